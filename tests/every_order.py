"""Every order of events: the kernel explored exhaustively, each event judged against a model that knows only promises.

    python -m tests.every_order --steps 4 --parties 2              every graph of up to 4 steps, 2 parties, 2 asks each
    python -m tests.every_order --steps 3 --parties 2 --closing    and the run ends at any moment, in any way
    python -m tests.every_order --graph "- 0 0,1s" --parties 3     one graph: three steps, the last one sequential
    python -m tests.every_order --steps 8 --parties 3 --walks 5000 larger graphs, drawn, and walked at random

A *party* asks for a step, leaves, is told, and may ask again; a body begins whenever its lane gets to it, and ends with a
value, an error or, told to stop, without either. The search is breadth first over states, so that the first order found
to break a promise is a shortest one. A state is a tuple that holds all of kernel and model: what has been seen is not
looked at twice, and a state is rebuilt from it for each event that may come next.

The model, `Ghost`, is written from design.md's promises and shares nothing with the kernel: sets of steps instead of
counts, everything worked out afresh after each event by walking the graph. Parties are alike, so states that differ in
who is who are one. Each promise is one small function below that compares what the kernel did, ordered and holds with
what ought to be.
"""

from __future__ import annotations

import argparse
import itertools
import math
import random
import sys
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from functools import cached_property
from typing import Any, Final

import attrs

from trioflow._kernel import (
    CLAIMED,
    DONE,
    DOOMED,
    FAILED,
    LOST,
    PENDING,
    READY,
    RESOLVING,
    RUNNING,
    START,
    STATES,
    STOP,
    STOPPING,
    Cell,
    Exit,
    Failure,
    Kernel,
)

#: A set of steps: bit n is step n.
Mask = int
#: ("ask", slot, step), ("leave", slot, 0), ("close", 0, 0), or what becomes of a body: ("begin", step, 0) and so on.
Event = tuple[str, int, int]
Key = tuple[Any, ...]

#: In place of a failing step's number: the run went down.
LOSS: Final = 63
IDLE: Final = 0
WAITING: Final = 1
LEAVING: Final = 2
#: Who began a cell and has been told since: which of them it was makes no difference.
STALE: Final = -2


def steps_in(mask: Mask) -> Iterator[int]:
    while mask:
        low = mask & -mask
        yield low.bit_length() - 1
        mask ^= low


def mask_of(steps: Iterable[int]) -> Mask:
    mask = 0
    for c in steps:
        mask |= 1 << c
    return mask


# --------------------------------------------------------------------------------------------------------------- graphs


@attrs.define(frozen=True, slots=False)
class Shape:
    """A graph: what each step needs, by number, always lower than its own, and which steps have it begun together."""

    deps: tuple[tuple[int, ...], ...]
    together: tuple[bool, ...]

    @cached_property
    def needs(self) -> tuple[Mask, ...]:
        return tuple(mask_of(deps) for deps in self.deps)

    @cached_property
    def needed_by(self) -> tuple[Mask, ...]:
        n = len(self.deps)
        return tuple(mask_of(w for w in range(n) if c in self.deps[w]) for c in range(n))

    def __str__(self) -> str:
        """As `--graph` reads it."""
        words = (
            (",".join(map(str, deps)) or "-") + ("" if t else "s")
            for deps, t in zip(self.deps, self.together, strict=True)
        )
        return " ".join(words)


def shape(text: str) -> Shape:
    """ "- - 0,1s": two steps without dependencies, and one that needs both, one after the other."""
    words = text.split()
    deps = tuple(tuple(int(d) for d in w.rstrip("s").split(",")) if w.rstrip("s") != "-" else () for w in words)
    for step, ds in enumerate(deps):
        if any(d >= step or d < 0 for d in ds):
            raise ValueError(f"step {step} of {text!r} may only need steps before it")
    return Shape(deps, tuple(not w.endswith("s") for w in words))


def shapes(steps: int, twice: bool = True) -> Iterator[Shape]:
    """Every connected DAG of so many steps, one of each kind, with all its sequential and concurrent variants.

    `twice`: and those in which one step names its first dependency a second time, at the end.
    """
    seen = set()
    choices = [[s for r in range(i + 1) for s in itertools.combinations(range(i), r)] for i in range(steps)]
    for edges in itertools.product(*choices):
        if not _connected(edges):
            continue
        for deps in itertools.product(*(_variants(ds, twice) for ds in edges)):
            if sum(len(ds) > len(set(ds)) for ds, _ in deps) > 1:
                continue
            kind = _kind(deps)
            if kind not in seen:
                seen.add(kind)
                yield Shape(tuple(ds for ds, _ in deps), tuple(t for _, t in deps))


Named = tuple[tuple[int, ...], bool]


def _variants(deps: tuple[int, ...], twice: bool) -> list[Named]:
    """Concurrent in the order of numbers; sequential in every order; and with the first one twice."""
    found: list[Named] = [(deps, True)]
    if twice and deps:
        found.append(((*deps, deps[0]), True))
    for order in itertools.permutations(deps):
        if len(deps) > 1:
            found.append((order, False))
        if twice and deps:
            found.append(((*order, order[0]), False))
    return found


def _connected(edges: tuple[tuple[int, ...], ...]) -> bool:
    groups = [{i, *ds} for i, ds in enumerate(edges)]
    whole = groups.pop()
    while joined := [g for g in groups if g & whole]:
        groups = [g for g in groups if not g & whole]
        whole.update(*joined)
    return not groups


def _kind(deps: tuple[Named, ...]) -> Key:
    """The same for graphs that differ only in how their steps are numbered."""
    n = len(deps)
    best: Key | None = None
    for order in itertools.permutations(range(n)):
        number = {c: i for i, c in enumerate(order)}
        if any(number[d] > number[c] for c in range(n) for d in deps[c][0]):
            continue
        named = []
        for c in order:
            ds = tuple(number[d] for d in deps[c][0])
            named.append((tuple(sorted(ds)) if deps[c][1] else ds, deps[c][1]))
        if best is None or tuple(named) < best:
            best = tuple(named)
    assert best is not None
    return best


def any_shape(steps: int, chance: random.Random) -> Shape:
    deps, together = [], []
    for c in range(steps):
        ds = chance.choices(range(max(0, c - 5), c), k=chance.choice([0, 1, 1, 2, 2, 3])) if c else []
        if chance.random() < 0.9:
            ds = list(dict.fromkeys(ds))
        deps.append(tuple(ds))
        together.append(len(ds) < 2 or chance.random() < 0.6)
    return Shape(tuple(deps), tuple(together))


# ------------------------------------------------------------------------------------------------------ what ought to be


@attrs.define
class Slot:
    """One party at a time: idle, waiting for a step, or leaving it while bodies that it alone wanted are stopping."""

    status: int = IDLE
    step: int = 0
    stopping: Mask = 0
    asks: int = 0

    def key(self) -> Key:
        return (self.status, self.step, self.stopping, self.asks)


@attrs.define
class Effects:
    """What one event has to bring about, at once."""

    starts: Mask = 0
    stops: Mask = 0
    told: list[tuple[int, bool]] = attrs.field(factory=list)
    #: Had been told to stop: what the kernel has to answer to whoever reports an outcome.
    stopped: bool = False


@attrs.define(eq=False)
class Ghost:
    """What ought to be."""

    shape: Shape
    slots: list[Slot]
    #: Bodies: ordered to begin, begun, told to stop. Outcomes: done, failed, lost.
    ready: Mask = 0
    running: Mask = 0
    stopping: Mask = 0
    done: Mask = 0
    failed: Mask = 0
    lost: Mask = 0
    #: Wanted, and its turn has come, or had come once: it takes what it needs, in its order.
    called: Mask = 0
    #: Bound to fail.
    bound: Mask = 0
    #: Failed while it was being stopped.
    stopped_badly: Mask = 0
    closing: bool = False
    #: Bodies that have raised, in order.
    failures: tuple[int, ...] = ()
    #: Failed, lost or bound to be: with whose failure.
    fate: list[int] = attrs.field(init=False)
    #: Bound to fail: the stopping bodies that it waits for, its dependencies that it waits for to settle, those on their
    #: way out that it would wait for if they turned out to be bound to fail, and failures that its waiting has brought.
    bodies: list[Mask] = attrs.field(init=False)
    below: list[Mask] = attrs.field(init=False)
    leaving: list[Mask] = attrs.field(init=False)
    brought: list[Mask] = attrs.field(init=False)
    #: The bodies below it, still stopping, that were told to when it was left.
    out: list[Mask] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        n = len(self.shape.deps)
        self.fate = [-1] * n
        self.bodies, self.below, self.leaving, self.brought, self.out = [0] * n, [0] * n, [0] * n, [0] * n, [0] * n

    def key(self) -> Key:
        return (
            *(self.ready, self.running, self.stopping, self.done, self.failed, self.lost, self.called, self.bound),
            *(self.stopped_badly, self.closing, self.failures),
            *map(tuple, (self.fate, self.bodies, self.below, self.leaving, self.brought, self.out)),
            tuple(s.key() for s in self.slots),
        )

    @classmethod
    def of(cls, shape: Shape, key: Key) -> Ghost:
        ghost = cls(shape, [Slot(*s) for s in key[17]], *key[:11])
        ghost.fate, ghost.bodies, ghost.below, ghost.leaving, ghost.brought, ghost.out = map(list, key[11:17])
        return ghost

    @property
    def settled(self) -> Mask:
        return self.done | self.failed | self.lost

    def wanted(self) -> Mask:
        """P11: by every await of it, and by every step that is wanted, unsettled, not bound to fail and depends on it."""
        return self._wanted(self.settled | self.bound) & ~self.settled

    def _wanted(self, nothing: Mask) -> Mask:
        """`nothing`: who wants nothing."""
        wanted = mask_of(s.step for s in self.slots if s.status == WAITING)
        needs = self.shape.needs
        for c in range(len(needs) - 1, -1, -1):
            if wanted >> c & 1 and not nothing >> c & 1:
                wanted |= needs[c]
        return wanted

    def order(self, failure: int) -> float:
        return math.inf if failure == LOSS else self.failures.index(failure)

    # ------------------------------------------------------------------------------------------------------ events

    def possible(self, closing: bool) -> Iterator[Event]:
        """What may come next. Parties are alike: of several in the same condition one acts."""
        seen = set()
        for i, s in enumerate(self.slots):
            if s.key() in seen:
                continue
            seen.add(s.key())
            if s.status == WAITING:
                yield ("leave", i, 0)
            elif s.status == IDLE and s.asks and not self.closing:
                for c in range(len(self.shape.deps)):
                    if not self.settled >> c & 1:
                        yield ("ask", i, c)
        for c in steps_in(self.ready):
            if self.closing:
                yield ("lost", c, 0)
            else:
                yield ("begin", c, 0)
        for c in steps_in(self.running | self.stopping):
            yield ("value", c, 0)
            yield ("error", c, 0)
            if self.stopping >> c & 1:
                yield ("gone", c, 0)
            if closing:
                yield ("lost", c, 0)
        if closing and not self.closing:
            yield ("close", 0, 0)

    def apply(self, event: Event) -> Effects:
        what, a, step = event
        before = self.wanted()
        effects = Effects()
        if what == "ask":
            self.slots[a] = Slot(WAITING, step, 0, self.slots[a].asks - 1)
            self._follow(effects, before)
        elif what == "leave":
            slot = self.slots[a]
            slot.status = LEAVING
            self._follow(effects, before, leaver=slot)
        elif what == "begin":
            self.ready &= ~(1 << a)
            self.running |= 1 << a
        elif what == "close":
            self.closing = True
        else:
            effects.stopped = self._end(what, a, before)
            self._follow(effects, before, ended=1 << a)
        return effects

    def _end(self, what: str, c: int, before: Mask) -> bool:
        """A body has ended, or will never begin."""
        bit = 1 << c
        stopped = bool(self.stopping & bit)
        self.closing = self.closing or what == "lost"
        self.ready &= ~bit
        self.running &= ~bit
        self.stopping &= ~bit
        if what == "value":
            self.done |= bit
        elif what == "error":
            self.failed |= bit
            self.failures += (c,)
            self.fate[c] = c
            if stopped:
                self.stopped_badly |= bit
        elif not stopped or (self.closing and before & bit):
            self.lost |= bit
            self.fate[c] = LOSS
        return stopped

    def _follow(self, effects: Effects, before: Mask, ended: Mask = 0, leaver: Slot | None = None) -> None:
        doomed = self._doom(before)
        after = self.wanted()
        unwanted = before & ~after & ~self.settled
        effects.stops = stops = unwanted & self.running
        self.running ^= stops
        self.stopping |= stops
        self.ready &= ~unwanted
        self.called &= after
        self._come_back(before, after)
        self._leave(unwanted & ~self.bound, stops)
        self._look_below(doomed, before, after)
        if leaver is not None and not after >> leaver.step & 1:
            leaver.stopping = stops
        self._body_ended(ended)
        self._settle()
        self._call(effects, after)
        for i, s in enumerate(self.slots):
            bit = 1 << s.step
            if s.status == WAITING and self.settled & bit:
                effects.told.append((i, True))
            elif s.status == LEAVING and (
                (s is leaver and after & bit)  # others stay
                or (not s.stopping and not self.bound & bit)
            ):
                effects.told.append((i, bool(self.settled & bit)))
            else:
                continue
            self.slots[i] = Slot(asks=s.asks)

    def _doom(self, before: Mask) -> Mask:
        """P9: everything that depends on what has failed is bound to fail, all the way up.

        That is: whatever is wanted, was until now, or is on its way out, so that somebody may wait for it.
        """
        bad = self.failed | self.lost | self.bound
        if not bad:
            return 0
        needs = self.shape.needs
        hopeless = mask_of(c for c in range(len(needs)) if needs[c] & bad)
        concerned = before | self._wanted(self.settled | self.bound | hopeless)
        doomed = 0
        for c, need in enumerate(needs):
            bit = 1 << c
            if need & bad and not (bad | self.done) & bit and (concerned & bit or self.out[c]):
                self.fate[c] = min((self.fate[d] for d in steps_in(need & bad)), key=self.order)
                doomed |= bit
                bad |= bit
        self.bound |= doomed
        return doomed

    def _leave(self, unwanted: Mask, stops: Mask) -> None:
        """Steps that are left now are on their way out until the bodies below them that stop because of it have."""
        out: list[Mask] = [0] * len(self.out)
        for c in steps_in(unwanted & ~stops):
            for d in steps_in(self.shape.needs[c] & (unwanted | stops)):
                out[c] |= (1 << d) if stops >> d & 1 else out[d]
            self.out[c] |= out[c]

    def _look_below(self, doomed: Mask, before: Mask, after: Mask) -> None:
        """P9: it waits for those of its dependencies that are being stopped, or are bound to fail, at that moment."""
        for c in steps_in(self.bound & ~doomed):
            self.below[c] |= self.leaving[c] & doomed
            self.leaving[c] &= ~(doomed | after)
        for c in steps_in(doomed):
            if not (before | after) >> c & 1:
                self.bodies[c] = self.out[c]
            for d in steps_in(self.shape.needs[c] & ~self.settled):
                bit = 1 << d
                if self.stopping & bit:
                    self.bodies[c] |= bit
                elif self.bound & bit:
                    self.below[c] |= bit
                elif self.out[d] and not after & bit:
                    self.bodies[c] |= self.out[d]
                    self.leaving[c] |= bit

    def _body_ended(self, ended: Mask) -> None:
        for c in range(len(self.out)):
            if self.bodies[c] & ended:
                self.bodies[c] &= ~ended
                self._bring(c, ended & self.failed)
            self.out[c] &= ~ended
        for s in self.slots:
            s.stopping &= ~ended

    def _bring(self, c: int, failures: Mask) -> None:
        self.brought[c] |= failures
        for f in steps_in(failures):
            self.fate[c] = min(self.fate[c], f, key=self.order)

    def _settle(self) -> None:
        """Whoever has nobody left to wait for."""
        for c in steps_in(self.bound):
            if self.bodies[c] or self.below[c]:
                continue
            bit = 1 << c
            self.bound ^= bit
            if self.fate[c] == LOSS:
                self.lost |= bit
            else:
                self.failed |= bit
            for w in steps_in(self.shape.needed_by[c] & self.bound):
                if self.below[w] & bit:
                    self.below[w] ^= bit
                    known = self.brought[c] | (0 if self.fate[c] == LOSS else 1 << self.fate[c])
                    self._bring(w, known)
            self.leaving[c] = self.out[c] = 0

    def _call(self, effects: Effects, wanted: Mask) -> None:
        """P5: what is asked for is called, and so is what a called step needs: all of it, or what is next in turn."""
        deps, together = self.shape.deps, self.shape.together
        asked = mask_of(s.step for s in self.slots if s.status == WAITING)
        free = wanted & ~(self.settled | self.bound | self.stopping)
        called = self.called & free
        turns = asked
        for c in range(len(deps) - 1, -1, -1):
            if not free >> c & 1 or not (called | turns) >> c & 1:
                continue
            called |= 1 << c
            waits = [d for d in deps[c] if not self.done >> d & 1]
            if waits:
                turns |= mask_of(waits) if together[c] else 1 << waits[0]
            elif not (self.ready | self.running) >> c & 1:
                effects.starts |= 1 << c
        self.called = called
        self.ready |= effects.starts

    # ------------------------------------------------------------------------------------------------------- states

    def state_of(self, c: int) -> int:
        bit = 1 << c
        for mask, state in (
            (self.done, DONE),
            (self.failed, FAILED),
            (self.lost, LOST),
            (self.bound, DOOMED),
            (self.stopping, STOPPING),
            (self.running, RUNNING),
            (self.ready, READY),
            (self.called, RESOLVING),
            (self.wanted(), CLAIMED),
        ):
            if mask & bit:
                return state
        return PENDING


# ---------------------------------------------------------------------------------------------------- the kernel's side


class Violation(AssertionError):
    """A promise is broken."""


@attrs.define(eq=False)
class Asker:
    """The kernel's party: one await."""

    slot: int
    ready: deque[Any] = attrs.field(factory=deque)


#: What a state is made of. Whoever adds to it has to say here how it is kept.
KNOWN: Final[dict[type, set[str]]] = {
    Cell: set("name deps together state value wanted missing dependents parties exit asker lane".split()),
    Exit: {"cell", "behind", "waiting"},
    Failure: {"error", "traceback", "context", "cell", "order", "noted"},
    Kernel: set("_bad _broken _failures _left _loss _outs _released closing orders".split()),
}
AGENDAS: Final = ("_bad", "_released", "_left", "_outs")


def check_known() -> None:
    for cls, names in KNOWN.items():
        found = set(cls.__slots__) if cls is Kernel else {a.name for a in attrs.fields(cls)}
        if found != names:
            raise TypeError(f"{cls.__name__} has other attributes than a state is made of: {found ^ names}")


@attrs.define(eq=False)
class World:
    """One kernel with its cells and its parties; it can be taken down as a tuple, and put up again from one."""

    shape: Shape
    make: Callable[[], Kernel]
    kernel: Kernel = attrs.field(init=False)
    cells: list[Cell] = attrs.field(init=False)
    askers: list[Asker] = attrs.field(init=False)
    number: dict[Cell, int] = attrs.field(init=False)
    wired: list[list[Cell] | None] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.cells = []
        for i, (deps, together) in enumerate(zip(self.shape.deps, self.shape.together, strict=True)):
            cell = Cell(str(i), (), together)
            cell.connect(tuple(self.cells[d] for d in deps))
            self.cells.append(cell)
        self.number = {c: i for i, c in enumerate(self.cells)}
        self.wired = [c.dependents for c in self.cells]

    # The tuple: cells; records; closing, broken; failures in order with what they have noted.

    def key(self, rank: list[int]) -> Key:
        """`rank`: the number under which each slot is to be known."""
        records: dict[Exit, int] = {}
        todo: list[Exit] = []

        def code(who: Any) -> int:
            """Slots are 0 and up, records -1 and down."""
            if isinstance(who, Asker):
                return rank[who.slot]
            if who not in records:
                records[who] = -1 - len(records)
                todo.append(who)
            return records[who]

        number = self.number
        cells = []
        for c in self.cells:
            state = c.state
            asker = None if c.asker is None else STALE if c.asker.slot < 0 else rank[c.asker.slot]
            cells.append(
                (
                    state,
                    self._failure_number(c.value) if state in (DOOMED, FAILED, LOST) else None,
                    c.wanted if state < DONE else 0,
                    c.missing if state == RESOLVING else -99,
                    None if c.parties is None else tuple(sorted(rank[p.slot] for p in c.parties)),  # type: ignore[attr-defined]
                    None if c.exit is None else code(c.exit),
                    asker,
                    c.dependents is None,
                )
            )
        taken = []
        for record in todo:  # grows as we go
            taken.append((number[record.cell], record.behind, tuple(map(code, record.waiting))))
        noted = tuple((number[f.cell], tuple(number[g.cell] for g in f.noted)) for f in self._failures())  # type: ignore[index]
        return tuple(cells), tuple(taken), self.kernel.closing, self.kernel._broken, noted

    def _failure_number(self, failure: Failure) -> int:
        return LOSS if failure.cell is None else self.number[failure.cell]

    def _failures(self) -> list[Failure]:
        own = [c.value for c in self.cells if c.state == FAILED and c.value.cell is c]
        return sorted(own, key=lambda f: f.order)

    def put_up(self, key: Key, slots: list[Slot]) -> None:
        cells, taken, closing, broken, noted = key
        self.kernel = kernel = self.make()
        kernel.closing, kernel._broken, kernel._failures = closing, broken, len(noted)
        self.askers = [Asker(i) for i in range(len(slots))]
        failures: dict[int, Failure] = {LOSS: kernel._loss}
        for order, (c, _) in enumerate(noted, 1):
            failures[c] = Failure(ValueError(c), None, None, self.cells[c], order)
        for c, others in noted:
            failures[c].noted = [failures[g] for g in others]
            for g in others:
                failures[c].error.add_note(f"step {str(g)!r}")  # type: ignore[union-attr]
        records = [Exit(self.cells[c], behind) for c, behind, _ in taken]
        for record, (_, _, waiting) in zip(records, taken, strict=True):
            record.waiting = [self.askers[w] if w >= 0 else records[-1 - w] for w in waiting]
        stale = Asker(-1)
        for i, (cell, data) in enumerate(zip(self.cells, cells, strict=True)):
            cell.state, failure, cell.wanted, cell.missing, parties, record, asker, cut = data
            cell.value = None if failure is None else failures[failure]
            cell.parties = None if parties is None else {self.askers[p]: None for p in parties}
            cell.exit = None if record is None else records[-1 - record]
            cell.asker = None if asker is None else stale if asker == STALE else self.askers[asker]
            cell.dependents = None if cut else self.wired[i]

    def first_key(self, slots: int) -> Key:
        self.kernel = self.make()
        return self.key(list(range(slots)))

    def apply(self, event: Event) -> bool | None:
        """As the driver does it. What the kernel answers."""
        what, a, step = event
        kernel = self.kernel
        if what == "ask":
            self.askers[a] = Asker(a, self.askers[a].ready)
            kernel.demand(self.cells[step], self.askers[a])
            return None
        if what == "leave":
            party = self.askers[a]
            cell = next(c for c in self.cells if c.parties and party in c.parties)
            kernel.release(cell, party, "left")
            return None
        if what == "close":
            kernel.close()
            return None
        cell = self.cells[a]
        if what == "begin":
            cell.state = RUNNING
        elif what == "value":
            return kernel.done(cell, f"value of {a}", self.askers[0].ready)
        elif what == "error":
            return kernel.failed(cell, ValueError(a), None)
        elif what == "gone":
            kernel.gone(cell)
        else:
            kernel.lost(cell)
        return None


# --------------------------------------------------------------------------------------------------------- the promises


@attrs.define(eq=False)
class Moment:
    """One event, just carried through: what ought to be, and what is."""

    event: Event
    ghost: Ghost
    ought: Effects
    world: World
    answer: bool | None
    #: The model's states before the event: steps with an outcome, steps whose body is there.
    settled: Mask
    alive: Mask
    called: Mask
    values: list[Any]

    @cached_property
    def starts(self) -> list[int]:
        number = self.world.number
        queued = [number[c] for c in self.world.askers[0].ready]
        return queued + [number[c] for what, c, _ in self.world.kernel.orders if what is START]

    def mask(self, *states: int) -> Mask:
        return mask_of(i for i, c in enumerate(self.world.cells) if c.state in states)


def require(fine: object, what: str) -> None:
    if not fine:
        raise Violation(what)


def once_only(m: Moment) -> None:
    """P3: a body completes at most once in a run, and two executions of one body never overlap."""
    fresh = m.mask(READY) & (m.settled | m.alive & m.ghost.stopping)
    require(not fresh, f"{list(steps_in(fresh))} are to begin, but have an outcome or are not gone yet")


def in_order(m: Moment) -> None:
    """P4: a body starts only after all its dependencies have succeeded."""
    for c in steps_in(m.mask(READY, RUNNING)):
        require(not m.ghost.shape.needs[c] & ~m.ghost.done, f"{c} begins before what it needs is done")


def begins(m: Moment) -> None:
    """P5, P9: what can begin and is wanted is ordered to, each once, and nothing else; concurrent: at the same time;
    sequential: the next not before the last has settled; for a step that is bound to fail: nothing."""
    states = m.mask(READY)
    require(states == m.ghost.ready, f"ready are {list(steps_in(states))}, not {list(steps_in(m.ghost.ready))}")
    starts = [c for c in m.starts if states >> c & 1]  # who became ready and was given up within one event is skipped
    require(sorted(starts) == list(steps_in(m.ought.starts)), f"{starts} are ordered to start")


def called(m: Moment) -> None:
    """P5, P11: `concurrent` decides when a dependency is begun, not whether it is wanted."""
    for c, cell in enumerate(m.world.cells):
        ought = m.ghost.state_of(c)
        if {cell.state, ought} & {PENDING, CLAIMED, RESOLVING}:
            require(cell.state == ought, f"{c} is {STATES[cell.state]}, not {STATES[ought]}")


def stops(m: Moment) -> None:
    """P11: a body is cancelled exactly when the last one who wants it has gone. P9: at the moment of the failure."""
    ordered = [m.world.number[c] for what, c, _ in m.world.kernel.orders if what is STOP]
    require(sorted(ordered) == list(steps_in(m.ought.stops)), f"{ordered} are stopped, not {bin(m.ought.stops)}")
    running, stopping = m.mask(RUNNING), m.mask(STOPPING)
    require((running, stopping) == (m.ghost.running, m.ghost.stopping), "other bodies are running or stopping")


def tells(m: Moment) -> None:
    """P8, P9, P10, P12: whoever awaits a step is told when it is settled; a leaver at once, unless bodies that it alone
    wanted are still stopping or its step is bound to fail; nobody twice."""
    told = [(p.slot, settled) for what, p, settled in m.world.kernel.orders if what not in (START, STOP)]
    require(sorted(told) == sorted(m.ought.told), f"told are {sorted(told)}, not {sorted(m.ought.told)}")


def outcomes(m: Moment) -> None:
    """P9: a failing step settles as soon as those of its dependencies that were being stopped, or bound to fail, have."""
    for name, state, ought in (
        ("done", DONE, m.ghost.done),
        ("failed", FAILED, m.ghost.failed),
        ("lost", LOST, m.ghost.lost),
        ("bound to fail", DOOMED, m.ghost.bound),
    ):
        found = m.mask(state)
        require(found == ought, f"{name} are {list(steps_in(found))}, not {list(steps_in(ought))}")


def outcomes_stay(m: Moment) -> None:
    """P8: the failure is an outcome like any other. P3: a step is a write-once cell."""
    for c in steps_in(m.settled):
        require(m.world.cells[c].value is m.values[c], f"the outcome of {c} has changed")


def first_failure(m: Moment) -> None:
    """P8, P9: a step fails with that very exception, and with the failure that happened first."""
    for c in steps_in(m.ghost.failed | m.ghost.lost):
        failure: Failure = m.world.cells[c].value
        found = LOSS if failure.cell is None else int(failure.cell.name)
        require(found == m.ghost.fate[c], f"{c} fails with the failure of {found}, not of {m.ghost.fate[c]}")
        require((failure.error is None) == (found == LOSS), f"the failure of {c} is none")


def noted(m: Moment) -> None:
    """P10: if more bodies fail while stopping, the exception that is raised carries a note naming them, once."""
    for c in steps_in(m.ghost.failed):
        failure: Failure = m.world.cells[c].value
        assert failure.error is not None
        notes = [note.split("'")[1] for note in getattr(failure.error, "__notes__", ())]
        require(len(notes) == len(set(notes)), f"{failure.cell} notes {notes}")
        ought = m.ghost.brought[c] & m.ghost.stopped_badly & ~(1 << m.ghost.fate[c])
        missing = set(map(str, steps_in(ought))) - set(notes)
        require(not missing, f"{c} fails without a note on {missing}, whose bodies failed while stopping")
        require(failure.cell and failure.cell.name not in notes, "a failure notes itself")


def in_whose_name(m: Moment) -> None:
    """P14, P15: a body runs in the name of the one whose await started it; begun afresh, of the one who asks then."""
    cells = m.world.cells
    for c in steps_in(m.ghost.called & ~m.called):
        asker = cells[c].asker
        fine = [m.world.askers[i] for i, s in enumerate(m.ghost.slots) if s.status == WAITING and s.step == c]
        for w in steps_in(m.ghost.shape.needed_by[c] & m.ghost.called):
            waits = [d for d in m.ghost.shape.deps[w] if not m.ghost.done >> d & 1]
            if m.ghost.shape.together[w] or waits[0] == c:
                fine.append(cells[w].asker)
        require(asker is not None and asker in fine, f"{c} is begun in the name of {asker}")
        require(m.event[0] != "ask" or asker is m.world.askers[m.event[1]], f"{c} is begun in a stranger's name")
    for c in steps_in(m.ghost.ready):
        require(cells[c].asker is not None, f"{c} is begun in nobody's name")


def answers(m: Moment) -> None:
    """A lane whose body had been told to stop hears of it: its scope is spent."""
    if m.event[0] in ("value", "error"):
        require(m.answer is m.ought.stopped, f"the reporter is told {m.answer}")


def nobody_forgotten(m: Moment) -> None:
    """P16: no silent hang. Where no body is there, or may begin, everybody has been told."""
    if not m.ghost.ready | m.ghost.running | m.ghost.stopping:
        stuck = [c.name for c in m.world.cells if c.parties] + [c.name for c in m.world.cells if c.exit is not None]
        require(not stuck, f"somebody waits for ever for {stuck}")
        require(all(s.status == IDLE for s in m.ghost.slots), "the model itself leaves somebody waiting")


def nothing_left_over(m: Moment) -> None:
    """Each event is carried through to its end."""
    for name in AGENDAS:
        require(not getattr(m.world.kernel, name), f"left over: {name}")
    for c in m.world.cells:
        require(not c.parties or c.state < DONE, f"{c} is settled and has parties")
        require(c.dependents is None or c.state < DONE, f"{c} is settled and keeps its dependents")


def valid(m: Moment) -> None:
    check_valid(m.world.kernel, m.world.cells)


def check_valid(kernel: Kernel, cells: Iterable[Cell]) -> None:
    """Every number that the kernel keeps, counted again: interest, what a cell still waits for, who waits for a record."""
    behind: Counter[int] = Counter()
    seen: set[int] = set()
    records: list[Exit] = []
    todo = [c.exit for c in cells if c.exit is not None]
    while todo:
        record = todo.pop()
        if id(record) in seen:
            continue
        seen.add(id(record))
        records.append(record)
        for who in record.waiting:
            if isinstance(who, Exit):
                behind[id(who)] += 1
                todo.append(who)
    for record in records:
        require(record.behind == behind[id(record)], f"{record.cell}: behind {record.behind}, {behind[id(record)]}")
    for c in cells:
        if c.state >= DONE:
            require(c.exit is None and c.asker is None, f"{c} is settled and keeps an exit or an asker")
            continue
        wanted = len(c.parties or ())
        for w in {id(w): w for w in c.dependents or ()}.values():
            if w.state in (CLAIMED, RESOLVING):
                wanted += w.deps.count(c)
        require(c.wanted == wanted, f"{c}: wanted {c.wanted}, but {wanted} want it")
        unsettled = [i for i, d in enumerate(c.deps) if d.state != DONE]
        if c.state == RESOLVING:
            missing = len(unsettled) if c.together else unsettled[0]
            require(c.missing == missing, f"{c}: missing {c.missing}, not {missing}")
        if c.state in (CLAIMED, RESOLVING, READY, RUNNING):
            require(c.exit is None and c.wanted > 0, f"{c}: wanted {c.wanted}, exit {c.exit}")
        if c.state in (STOPPING, DOOMED):
            require(c.exit is not None and c.exit.cell is c, f"{c} has no exit")
        if c.state == PENDING:
            require(not c.wanted and (c.exit is None or c.exit.behind), f"{c}: wanted {c.wanted}, exit {c.exit}")


PROMISES: Final[tuple[Callable[[Moment], None], ...]] = (
    once_only,
    in_order,
    begins,
    stops,
    called,
    outcomes,
    outcomes_stay,
    first_failure,
    noted,
    tells,
    in_whose_name,
    answers,
    nothing_left_over,
    valid,
    nobody_forgotten,
)


# ---------------------------------------------------------------------------------------------------------- the search


@attrs.define
class Found:
    """An order of events that breaks a promise."""

    shape: Shape
    path: list[Event]
    what: str

    def __str__(self) -> str:
        lines = [f"graph {str(self.shape)!r}: {self.what}"]
        return "\n  ".join(lines + [told(e) for e in self.path])


def told(event: Event) -> str:
    what, a, step = event
    if what == "ask":
        return f"party {a} asks for {step}"
    if what == "leave":
        return f"party {a} leaves"
    return "close" if what == "close" else f"{what} {a}"


@attrs.define
class Extent:
    """How much has been looked at."""

    shapes: int = 0
    states: int = 0
    transitions: int = 0
    seconds: float = 0.0
    found: list[Found] = attrs.field(factory=list)

    def __str__(self) -> str:
        rate = self.transitions / self.seconds if self.seconds else 0
        return (
            f"{self.shapes:,} graphs, {self.states:,} states, {self.transitions:,} transitions, "
            f"{self.seconds:.1f} s ({rate:,.0f} transitions/s), {len(self.found)} orders that break a promise"
        )


@attrs.define(eq=False)
class Explorer:
    """The states of one graph."""

    shape: Shape
    parties: int
    asks: int = 2
    closing: bool = False
    make: Callable[[], Kernel] = Kernel
    #: Checks to leave out, by name.
    without: frozenset[str] = frozenset()
    world: World = attrs.field(init=False)
    promises: list[Callable[[Moment], None]] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        check_known()
        self.world = World(self.shape, self.make)
        self.promises = [p for p in PROMISES if p.__name__ not in self.without]

    def first(self) -> Key:
        ghost = Ghost(self.shape, [Slot(asks=self.asks) for _ in range(self.parties)])
        return ghost.key(), self.world.first_key(self.parties)

    def events(self, key: Key) -> Iterator[Event]:
        return Ghost.of(self.shape, key[0]).possible(self.closing)

    def step(self, key: Key, event: Event) -> tuple[Key, list[int]]:
        """The state that follows, and under which number each slot is known in it."""
        ghost = Ghost.of(self.shape, key[0])
        world = self.world
        world.put_up(key[1], ghost.slots)
        moment = Moment(
            event, ghost, Effects(), world, None,
            ghost.settled, ghost.stopping | ghost.running, ghost.called, [c.value for c in world.cells],
        )  # fmt: skip
        moment.ought = ghost.apply(event)
        try:
            moment.answer = world.apply(event)
        except Exception as exc:
            raise Violation(f"the kernel raises {exc!r}") from exc
        for promise in self.promises:
            try:
                promise(moment)
            except Violation as exc:
                raise Violation(f"{promise.__name__}: {exc}") from None
        return self.canonical(ghost)

    def canonical(self, ghost: Ghost) -> tuple[Key, list[int]]:
        """Slots in an order of their own: it makes no difference who is who."""
        world, slots = self.world, ghost.slots
        idle = [s.status == IDLE for s in slots]
        begun = [0] * len(slots)
        for i, c in enumerate(world.cells):
            if c.asker is not None:
                if c.asker.slot >= 0 and (idle[c.asker.slot] or c.asker is not world.askers[c.asker.slot]):
                    c.asker = Asker(-1)
                elif c.asker.slot >= 0:
                    begun[c.asker.slot] |= 1 << i
        order = sorted(range(len(slots)), key=lambda i: (slots[i].key(), begun[i]))
        rank = [0] * len(slots)
        for new, old in enumerate(order):
            rank[old] = new
        ghost.slots = [slots[i] for i in order]
        return (ghost.key(), world.key(rank)), rank

    def explore(self, extent: Extent, enough: int = 1) -> None:
        """Breadth first, every order of events. Ends early when `enough` orders break a promise."""
        start, found = time.perf_counter(), 0
        first = self.first()
        came: dict[Key, tuple[Key, Event, list[int]] | None] = {first: None}
        todo = deque([first])
        extent.shapes += 1
        while todo and found < enough:
            key = todo.popleft()
            for event in self.events(key):
                extent.transitions += 1
                try:
                    after, rank = self.step(key, event)
                except Violation as exc:
                    extent.found.append(Found(self.shape, self.path(came, key, event), str(exc)))
                    found += 1
                    break
                if after not in came:
                    came[after] = (key, event, rank)
                    todo.append(after)
        extent.states += len(came)
        extent.seconds += time.perf_counter() - start

    def path(self, came: dict[Key, tuple[Key, Event, list[int]] | None], key: Key, event: Event) -> list[Event]:
        """How we got here, with parties under the numbers that they had at first."""
        links = []
        while (link := came[key]) is not None:
            links.append(link)
            key = link[0]
        names = list(range(self.parties))  # of each slot, who it was at first
        events = []
        for _, e, rank in reversed(links):
            events.append(_renamed(e, names))
            moved = names[:]
            for old, new in enumerate(rank):
                moved[new] = names[old]
            names = moved
        return [*events, _renamed(event, names)]

    def walk(self, extent: Extent, chance: random.Random, length: int = 60) -> bool:
        """One order of events, drawn. True if it keeps every promise."""
        start = time.perf_counter()
        key, names, path = self.first(), list(range(self.parties)), []
        extent.shapes += 1
        for _ in range(length):
            events = [e for e in self.events(key) if e[0] not in ("close", "lost") or self.closing]
            if not events:
                break
            event = chance.choice(events)
            path.append(_renamed(event, names))
            extent.transitions += 1
            try:
                key, rank = self.step(key, event)
            except Violation as exc:
                extent.found.append(Found(self.shape, path, str(exc)))
                break
            moved = names[:]
            for old, new in enumerate(rank):
                moved[new] = names[old]
            names = moved
        extent.seconds += time.perf_counter() - start
        return not extent.found


def _renamed(event: Event, names: list[int]) -> Event:
    return (event[0], names[event[1]], event[2]) if event[0] in ("ask", "leave") else event


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.every_order", description=__doc__.partition("\n")[0])  # type: ignore[union-attr]
    parser.add_argument("--steps", type=int, default=3, help="explore every graph of up to so many steps")
    parser.add_argument("--exactly", action="store_true", help="only graphs of exactly so many steps")
    parser.add_argument("--parties", type=int, default=2, help="how many may await at the same time")
    parser.add_argument("--asks", type=int, default=2, help="how often each of them may ask")
    parser.add_argument("--closing", action="store_true", help="the run may end at any moment")
    parser.add_argument("--once", action="store_true", help="no dependency is named twice")
    parser.add_argument("--graph", help='only this graph, as in "- - 0,1s"')
    parser.add_argument("--walks", type=int, default=0, help="walk so many drawn graphs at random instead")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--without", default="", help="promises not to check, with commas")
    parser.add_argument("--enough", type=int, default=1, help="stop after so many broken promises")
    options = parser.parse_args(arguments)
    extent = Extent()

    def explorer(graph: Shape) -> Explorer:
        without = frozenset(options.without.split(","))
        return Explorer(graph, options.parties, options.asks, options.closing, without=without)

    if options.walks:
        for seed in range(options.seed, options.seed + options.walks):
            chance = random.Random(seed)
            graph = shape(options.graph) if options.graph else any_shape(options.steps, chance)
            if not explorer(graph).walk(extent, chance) and len(extent.found) >= options.enough:
                break
    else:
        least = options.steps if options.exactly else 1
        graphs = (g for n in range(least, options.steps + 1) for g in shapes(n, twice=not options.once))
        for graph in [shape(options.graph)] if options.graph else graphs:
            explorer(graph).explore(extent)
            if len(extent.found) >= options.enough:
                break
    for found in extent.found:
        print(found)
    print(extent)
    return 1 if extent.found else 0


if __name__ == "__main__":
    sys.exit(main())
