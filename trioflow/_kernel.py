"""The cells of a run: who wants them, what may start, what must stop.

A *cell* is a write-once place for a step's outcome. A *party* is somebody outside the graph who awaits one. This room
decides everything that follows from who asks, who leaves and what ends, and does nothing itself: events go in as method
calls, orders come out in `Kernel.orders`, and whoever made the call looks there afterwards. No Trio, no await, no clock, no
callback, no recursion. So cancelling, which re-enters through abort functions, can never meet it half way through a
transition, a chain of any length unwinds on a small stack, and every order of events can be tried in a test.

Events: `demand`, `release` (a party comes, goes); `done`, `failed`, `gone` (a body has returned, raised, or stopped
without an outcome); `close`, `lost` (the run ends; what it took along). Orders:

* ``(START, cell, None)``: the body may begin. By the time the order is carried out that may have changed: look at the state.
* ``(STOP, cell, why)``: cancel the body.
* ``(TELL, party, settled)``: exactly once for each demand: its cell has an outcome, or (False) its leaving is complete.

A cell that becomes ready and belongs into the queue that the reporter of `done` serves goes there without an order.

::

              demand                last dependency          driver
    PENDING ─────────► RESOLVING ─────────────────► READY ──────────► RUNNING ──────────► DONE | FAILED
     ▲ ▲ ▲  as one of     ▲  │                        │                  │ nobody wants it      ▲
     │ │ │  a sequence    │  │ a dependency fails     │                  ▼                      │
     │ │ └──────────── CLAIMED ────────► DOOMED ──────┼─► FAILED      STOPPING ─────────────────┤
     │ └──────────────────────────────────────────────┘ nobody wants it  │ without an outcome   │
     └───────────────────────────────────────────────────────────────────┘ (begins again        │
                                                                            if wanted again)    │
    LOST: the run ended before there was an outcome ────────────────────────────────────────────┘

*Interest* is a number in the cell: each party that awaits it, and each dependent that is itself wanted, unsettled and not
bound to fail, counts one. To want is not to begin: what comes later in a sequence is only CLAIMED until its turn, but
what runs already is not stopped meanwhile. Waiting is a number, too. The graph is wired both ways when it is declared
and never rewired: who is concerned follows from the dependents' own states, so leaving costs the same whether one or
30,000 others stay.

A failure dooms at once all that cannot succeed any more, all the way up. The doomed want nothing; whatever only they
wanted is told to stop in the same breath. Then each of them settles by itself, as soon as those of its own
dependencies that are on their way out have got there. That waiting is kept in `Exit` records and not in states: a cell that
was left while bodies below it still clean up is simply PENDING, can be wanted again at once, and whoever left it waits
for the record. (A state "leaving" was tried: a cell in it that was wanted again needed its own copy of every rule.)
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable
from typing import Any, Final, Protocol

import attrs

from ._errors import note, shown

PENDING: Final = 0
CLAIMED: Final = 1
RESOLVING: Final = 2
READY: Final = 3
RUNNING: Final = 4
STOPPING: Final = 5
DOOMED: Final = 6
DONE: Final = 7
FAILED: Final = 8
LOST: Final = 9

STATES: Final = (
    "PENDING", "CLAIMED", "RESOLVING", "READY", "RUNNING", "STOPPING", "DOOMED", "DONE", "FAILED", "LOST",
)  # fmt: skip

START: Final = "start"
STOP: Final = "stop"
TELL: Final = "tell"

Order = tuple[str, Any, Any]


class Party(Protocol):
    """Somebody who awaits a cell, and on whose behalf bodies are started. The kernel only compares and hands out."""

    #: The queue that cells started on its behalf belong into.
    ready: deque[Any]


@attrs.define(eq=False, repr=False)
class Failure:
    """One exception, shared by the cell whose body raised it and by every cell that fails with it."""

    #: None: not a failure at all, the run went down.
    error: BaseException | None
    #: The body's own traceback, context and cause: every raise starts from them, so that none grows or is another's.
    traceback: Any
    context: BaseException | None
    cause: BaseException | None
    suppress: bool
    #: The cell whose body raised it.
    cell: Cell | None
    #: Which failure of the run it is. Of several the first counts, and dependents inherit the number.
    order: float
    #: In words, for whoever is stopped because of it.
    why: str
    #: Other failures that the error's notes name already, in order. Shared by those that have the same error.
    noted: dict[Failure, None] = attrs.field(factory=dict)

    @classmethod
    def of(cls, error: BaseException, traceback: Any, cell: Cell | None, order: float, why: str) -> Failure:
        return cls(error, traceback, error.__context__, error.__cause__, error.__suppress_context__, cell, order, why)

    def raised(self) -> BaseException:
        """The error, ready to be raised: as the body left it."""
        assert self.error is not None
        restore(self.error, self)
        return self.error.with_traceback(self.traceback)


@attrs.define(eq=False, repr=False)
class Exit:
    """One cell's way out: whom it waits for, and who waits for it.

    Belongs to a cell that is STOPPING or DOOMED, or that nobody wants any more while bodies below it are still stopping.
    If such a cell is wanted again the record goes on without it, for those who wait.
    """

    cell: Cell
    #: In which event it was made: a left cell waits for what stops because it was left, not for what was stopping before.
    since: int
    #: How many others hold this record in their `waiting`.
    behind: int = 0
    waiting: list[Party | Exit] = attrs.field(factory=list)
    over: bool = False


@attrs.define(eq=False, repr=False)
class Cell:
    # What begins with a default is a keyword and not `init=False`: attrs then looks each default up as it makes a cell, which
    # took a tenth of a declaration.
    name: str
    deps: tuple[Cell, ...]
    #: Whether the dependencies are begun at the same time; also where there is only one.
    together: bool
    state: int = attrs.field(default=PENDING, kw_only=True)
    #: DONE: what the body returned. FAILED, DOOMED, LOST: the `Failure`. STOPPING, and PENDING again: why, as text.
    value: Any = attrs.field(default=None, kw_only=True)
    #: How many want it. Positive in the states CLAIMED to RUNNING, 0 in PENDING, anything in STOPPING and DOOMED.
    wanted: int = attrs.field(default=0, kw_only=True)
    #: RESOLVING: how many dependencies are unsettled (together), or which of them it is at (one after the other).
    missing: int = attrs.field(default=0, kw_only=True)
    #: Every cell that names this one, wanting it now or not. None once it is settled, or if there are none.
    dependents: list[Cell] | None = attrs.field(default=None, kw_only=True)
    #: Those outside the graph that await it, in the order in which they came.
    parties: dict[Party, None] | None = attrs.field(default=None, kw_only=True)
    #: STOPPING, DOOMED, or PENDING and left while bodies below are still stopping: who waits for that. Else None.
    exit: Exit | None = attrs.field(default=None, kw_only=True)
    #: All its exits that are not complete: `exit`, and earlier ones since which it has been wanted again.
    exits: list[Exit] | None = attrs.field(default=None, kw_only=True)
    #: On whose behalf it runs: the party whose demand began it.
    asker: Any = attrs.field(default=None, kw_only=True)
    #: What the driver runs the body on, or has last run it on; None if it never began.
    lane: Any = attrs.field(default=None, kw_only=True)

    def connect(self, deps: tuple[Cell, ...]) -> None:
        """Name the dependencies, once, at the declaration or later but before the first demand."""
        self.deps = deps
        if len(deps) < 2:
            self.together = True
        for d in deps:
            if d.state < DONE:
                if d.dependents is None:
                    d.dependents = [self]
                else:
                    d.dependents.append(self)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r} {STATES[self.state].lower()}>"


class Kernel:
    """The rules of one run."""

    __slots__ = (
        *("_bad", "_broken", "_event", "_failures", "_left", "_loss", "_outs", "_raised", "_released"),
        *("closing", "orders"),
    )

    def __init__(self) -> None:
        self.orders: deque[Order] = deque()
        #: The run ends: the driver answers every START with `lost`.
        self.closing = False
        self._failures = 0
        self._event = 0
        # Some cell has failed or is lost: only then have newly wanted cells to be looked at for it.
        self._broken = False
        self._loss = Failure(None, None, None, None, False, None, math.inf, "the run is over")
        self._raised: dict[int, Failure] = {}  # by the error's id: bodies may raise one object, which is noted on once
        # One event is carried through in four passes. Each of these is the agenda of one, in this order.
        self._bad: list[Cell] = []  # failed or doomed just now: whoever depends on them is doomed
        self._released: deque[tuple[Cell, Party | None, str]] = deque()  # somebody wants it no longer
        self._left: list[Exit] = []  # on their way out since just now: whom do they wait for?
        self._outs: deque[Exit] = deque()  # may have nobody left to wait for

    # ------------------------------------------------------------------------------------------------ parties

    def demand(self, cell: Cell, party: Party) -> None:
        """`party` wants a cell that is not settled."""
        if cell.parties is None:
            cell.parties = {}
        cell.parties[party] = None
        cell.wanted += 1
        if cell.state == PENDING:
            self._begin([cell], party)
        elif cell.state == CLAIMED:
            self._begin_claimed([cell], party)
        if self._broken:
            self._drain()

    def release(self, cell: Cell, party: Party, why: str) -> None:
        """`party` leaves. It is told when that is complete, or has been told already that the cell is settled."""
        if cell.parties is not None and party in cell.parties:
            del cell.parties[party]
            self._released.append((cell, party, why))
            self._drain()

    # ------------------------------------------------------------------------------------------------- bodies

    def done(self, cell: Cell, value: object, ready: deque[Any]) -> bool:
        """The body has returned. True if it had been told to stop; else it goes on with `ready`, the queue that it serves."""
        stopped = cell.state != RUNNING
        if stopped:
            self._settle(cell, DONE, value)
        else:
            cell.value = value
            cell.state = DONE
            cell.asker = None
        if cell.dependents is not None:
            sequences: list[Cell] = []
            for w in cell.dependents:
                if w.state == RESOLVING:
                    if not w.together:
                        sequences.append(w)
                        continue
                    w.missing -= 1
                    if not w.missing:
                        w.state = READY
                        if w.asker.ready is ready and not stopped:
                            ready.append(w)
                        else:
                            self.orders.append((START, w, None))
            cell.dependents = None
            if sequences:
                self._take_turns(sequences, cell)
        if cell.parties is not None:
            self._tell_parties(cell)
        if stopped:
            self._drain()
        return stopped

    def failed(self, cell: Cell, error: BaseException, traceback: Any) -> bool:
        """The body has raised. True if it had been told to stop."""
        stopped = cell.state == STOPPING
        self._failures += 1
        self._broken = True
        why = f"step {cell.name!r} failed: {shown(error)}"
        failure = Failure.of(error, traceback, cell, self._failures, why)
        failure.noted = self._raised.setdefault(id(error), failure).noted
        self._settle(cell, FAILED, failure)
        self._drain()
        return stopped

    def gone(self, cell: Cell) -> None:
        """The body was told to stop and has, without an outcome."""
        self._gone(cell)
        self._drain()

    # -------------------------------------------------------------------------------------------- the run's end

    def close(self) -> None:
        """The run ends. Nothing is started any more; who still waits hears of it when `lost` has come for the bodies."""
        self.closing = self._broken = True

    def lost(self, cell: Cell) -> None:
        """The run goes down and the cell with it: the body was never begun, or has ended without an outcome."""
        self.close()
        if cell.state == STOPPING:
            self._gone(cell)
        else:
            self._settle(cell, LOST, self._loss)
        self._drain()

    # ---------------------------------------------------------------------------------------- towards a body

    def _begin(self, todo: list[Cell], asker: Any) -> None:
        """Resolve cells that are newly wanted, and what they need: `todo` grows while we go."""
        broken = self._broken
        for c in todo:
            c.asker = asker
            c.exit = None  # who left it before waits for that record by itself
            deps = c.deps
            if broken and (failure := _first_failure(deps)):
                self._doom(c, failure)
            elif c.together:
                c.state = RESOLVING
                missing = 0
                for d in deps:
                    s = d.state
                    if s < DONE:
                        missing += 1
                        d.wanted += 1
                        if not s:
                            d.state = RESOLVING  # not twice into `todo`, where it is named twice
                            todo.append(d)
                        elif s == CLAIMED:
                            self._begin_claimed([d], asker)
                c.missing = missing
                if not missing:
                    c.state = READY
                    self.orders.append((START, c, None))
            else:
                self._claim(c)
                if c.state == CLAIMED:
                    self._begin_claimed([c], asker)

    def _claim(self, top: Cell) -> None:
        """Want all that `top` needs, and begin nothing."""
        top.state = CLAIMED
        todo = [top]
        for c in todo:
            if self._broken and (failure := _first_failure(c.deps)):
                self._doom(c, failure)
                continue
            for d in c.deps:
                if d.state < DONE:
                    d.wanted += 1
                    if d.state == PENDING:
                        d.state = CLAIMED
                        d.exit = None
                        todo.append(d)

    def _begin_claimed(self, todo: list[Cell], asker: Any) -> None:
        """As `_begin`, for cells that want already what they need."""
        for c in todo:
            if c.state != CLAIMED:
                continue
            c.state = RESOLVING
            c.asker = asker
            if not c.together:
                c.missing = 0
                self._advance(c, todo)
                continue
            missing = 0
            for d in c.deps:
                if d.state < DONE:
                    missing += 1
                    if d.state == CLAIMED:
                        todo.append(d)
            c.missing = missing
            if not missing:
                c.state = READY
                self.orders.append((START, c, None))

    def _take_turns(self, sequences: Iterable[Cell], done: Cell) -> None:
        """Those that were at `done` go on. After all others that wait for it have been counted down, and not in between:
        what comes next may be one of those, and when it begins it doesn't count what is done."""
        for c in sequences:
            if c.state == RESOLVING and c.deps[c.missing] is done:
                self._advance(c)

    def _advance(self, c: Cell, todo: list[Cell] | None = None) -> None:
        """One dependency after the other: go to the next that is unsettled."""
        deps = c.deps
        for i in range(c.missing, len(deps)):
            d = deps[i]
            if d.state != DONE:
                c.missing = i
                if d.state == CLAIMED:
                    if todo is None:
                        self._begin_claimed([d], c.asker)
                    else:
                        todo.append(d)
                return
        c.state = READY
        self.orders.append((START, c, None))

    # ------------------------------------------------------------------------------------------ away from it

    def _drain(self) -> None:
        """First all that are doomed, then what nobody wants, then who waits for whom, then who is out."""
        while True:
            if self._bad:
                self._spread(self._bad.pop())
            elif self._released:
                self._release(*self._released.popleft())
            elif self._left:
                self._look_behind(self._left.pop())
            elif self._outs:
                self._leave(self._outs.popleft())
            else:
                self._event += 1
                return

    def _spread(self, c: Cell) -> None:
        """`c` has failed, or is bound to: so is whoever depends on it and is wanted, or still waited for by a leaver."""
        for w in c.dependents or ():
            if w.state in (RESOLVING, CLAIMED):
                for d in w.deps:
                    if d.state < DONE:
                        self._released.append((d, None, c.value.why))
                self._doom(w, c.value)
            elif w.state == PENDING and w.exits:
                self._doom(w, c.value)
        if c.state > DONE:
            c.dependents = None

    def _doom(self, c: Cell, failure: Failure) -> None:
        """`c` is bound to fail. It wants nothing any more."""
        c.state = DOOMED
        c.value = failure
        c.asker = None
        self._bad.append(c)
        self._left.append(c.exit or self._open_exit(c))

    def _open_exit(self, c: Cell) -> Exit:
        c.exit = exit = Exit(c, self._event)
        if c.exits is None:
            c.exits = []
        c.exits.append(exit)
        return exit

    def _release(self, d: Cell, party: Party | None, why: str) -> None:
        """Somebody wants `d` no longer: a party, which waits for what stops because of it, or a dependent."""
        d.wanted -= 1
        waits = False
        if not d.wanted and d.state < DONE:
            d.asker = None
            waits = self._unwanted(d, why)
        if party is None:
            return
        if waits and d.exit is not None:
            d.exit.waiting.append(party)
        else:
            self.orders.append((TELL, party, False))

    def _unwanted(self, d: Cell, why: str) -> bool:
        """The last one who wanted `d` has gone. Is there anything of it that the last one has to wait for?"""
        s = d.state
        if s == STOPPING:  # wanted again meanwhile, and again not: that body was not this one's
            return False
        if s == DOOMED:  # the failure is the outcome: stay for it
            return True
        d.value = why
        if s == READY:
            d.state = PENDING
            return False
        exit = self._open_exit(d)
        if s == RUNNING:
            d.state = STOPPING
            self.orders.append((STOP, d, why))
        else:
            d.state = PENDING
            self._left.append(exit)
            for e in d.deps:
                if e.state < DONE:
                    self._released.append((e, None, why))
        return True

    def _look_behind(self, exit: Exit) -> None:
        """All is released that had to be: whom does `exit` wait for?

        A doomed cell for all that is on its way out in its dependencies, a left one for what stops with it.
        """
        c = exit.cell
        for d in c.deps:
            for below in d.exits or ():
                if c.state == DOOMED or below.since == exit.since:
                    below.waiting.append(exit)
                    exit.behind += 1
        if not exit.behind:
            self._outs.append(exit)

    def _leave(self, exit: Exit) -> None:
        """Nobody is left to wait for, unless `exit` has come here twice."""
        c = exit.cell
        if exit.behind or exit.over:
            return
        if c.exit is not exit:  # wanted again meanwhile
            self._let_go(exit)
        elif c.state == DOOMED:
            self._settle(c, LOST if c.value.error is None else FAILED, c.value)
        else:
            c.exit = None
            self._let_go(exit)

    def _let_go(self, exit: Exit) -> None:
        """`exit.cell` is out: nobody need wait for it any longer."""
        waiting, exit.waiting = exit.waiting, []
        exit.over = True
        c = exit.cell
        assert c.exits is not None
        c.exits.remove(exit)
        for who in waiting:
            if isinstance(who, Exit):
                if c.state in (FAILED, DOOMED, LOST) and who.cell.state == DOOMED:
                    who.cell.value = _first_of(who.cell.value, c.value)
                who.behind -= 1
                if not who.behind:
                    self._outs.append(who)
            elif c.state == DOOMED and c.exit is not None:
                c.exit.waiting.append(who)  # its step has turned out to be bound to fail: it stays for that
            else:
                self.orders.append((TELL, who, c.state in (DONE, FAILED)))

    def _gone(self, c: Cell) -> None:
        exit, c.exit = c.exit, None
        c.state = PENDING
        assert exit is not None
        self._let_go(exit)
        if not c.wanted:
            return
        if self.closing:
            self._settle(c, LOST, self._loss)
            return
        asker = _first_asker(c)
        if asker is not None:
            self._begin([c], asker)
        else:
            c.state = CLAIMED

    def _settle(self, c: Cell, state: int, value: Any) -> None:
        c.state = state
        c.value = value
        c.asker = None
        exit, c.exit = c.exit, None
        if exit is not None:
            self._let_go(exit)
        if c.parties is not None:
            self._tell_parties(c)
        if state != DONE:
            self._bad.append(c)

    def _tell_parties(self, c: Cell) -> None:
        for p in c.parties or ():
            self.orders.append((TELL, p, True))
        c.parties = None


def _first_failure(deps: Iterable[Cell]) -> Failure | None:
    """The first failure among `deps`, those that are only bound to fail included."""
    return min((d.value for d in deps if d.state in (FAILED, DOOMED, LOST)), key=_order, default=None)


def _first_asker(c: Cell) -> Any:
    """On whose behalf a cell that is wanted begins afresh; None if it is wanted only as a later part of sequences."""
    for party in c.parties or ():
        return party
    for w in c.dependents or ():
        if w.state == RESOLVING and (w.together or w.deps[w.missing] is c):
            return w.asker
    return None


def _order(failure: Failure) -> float:
    return failure.order


def _first_of(a: Failure, b: Failure) -> Failure:
    """The one of two failures that a cell fails with. The other, and those that it has noted, are noted on it, once."""
    first, other = (a, b) if a.order <= b.order else (b, a)
    if first.error is None or first.error is other.error:
        return first
    for failure in (other, *other.noted):
        if failure.error is not None and failure.error is not first.error and failure not in first.noted:
            assert failure.cell is not None
            first.noted[failure] = None
            note(first.error, f"step {failure.cell.name!r} also failed while stopping: {shown(failure.error)}")
    return first


def restore(error: BaseException, failure: Failure) -> None:
    """Undo what raising an exception again, or a waiter's `raise ... from`, has changed in it.

    Through the slots of `BaseException`: a frozen dataclass refuses plain assignment, and would raise here in place of
    itself. The cause comes first, as setting it suppresses the context.
    """
    BaseException.__cause__.__set__(error, failure.cause)  # type: ignore[union-attr]
    BaseException.__context__.__set__(error, failure.context)  # type: ignore[union-attr]
    BaseException.__suppress_context__.__set__(error, failure.suppress)  # type: ignore[attr-defined]
