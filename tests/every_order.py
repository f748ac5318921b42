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
#: Where a cell's part of a state has that.
ASKER: Final = 7


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
    #: What the kernel has made of things that the promises leave open, in this event: see `apply`.
    chosen: dict[int, int] = attrs.field(factory=dict)
    #: Failed, lost or bound to be: with whose failure.
    fate: list[int] = attrs.field(init=False)
    #: Bound to fail: the stopping bodies that it waits for, its dependencies that it waits for to settle, those on their
    #: way out that it would wait for if they turned out to be bound to fail, and failures that its waiting has brought.
    bodies: list[Mask] = attrs.field(init=False)
    below: list[Mask] = attrs.field(init=False)
    leaving: list[Mask] = attrs.field(init=False)
    brought: list[Mask] = attrs.field(init=False)
    #: The bodies below it, still stopping, that were told to when it was left; and those that were told to when it was
    #: left an earlier time, before it was wanted again.
    out: list[Mask] = attrs.field(init=False)
    out_before: list[Mask] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        n = len(self.shape.deps)
        self.fate = [-1] * n
        self.bodies, self.below, self.leaving = [0] * n, [0] * n, [0] * n
        self.brought, self.out, self.out_before = [0] * n, [0] * n, [0] * n

    def key(self) -> Key:
        return (
            *(self.ready, self.running, self.stopping, self.done, self.failed, self.lost, self.called, self.bound),
            *(self.stopped_badly, self.closing, self.failures),
            *map(tuple, (self.fate, self.bodies, self.below, self.leaving, self.brought, self.out, self.out_before)),
            tuple(s.key() for s in self.slots),
        )

    @classmethod
    def of(cls, shape: Shape, key: Key) -> Ghost:
        ghost = cls(shape, [Slot(*s) for s in key[18]], *key[:11])
        ghost.fate, ghost.bodies, ghost.below, ghost.leaving = map(list, key[11:15])
        ghost.brought, ghost.out, ghost.out_before = map(list, key[15:18])
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

    def possible(self, closing: bool, alike: set[int]) -> Iterator[Event]:
        """What may come next. `alike`: parties in the same condition as another one, which acts."""
        for i, s in enumerate(self.slots):
            if i in alike:
                continue
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

    def apply(self, event: Event, chosen: dict[int, int]) -> Effects:
        """What follows. `chosen`: who has failed or is bound to, and with whose failure, where the promises leave it open."""
        what, a, step = event
        self.chosen = chosen
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
        hopeless = self._hopeless(self.chosen)
        concerned = before | self._come_back(hopeless)
        doomed = self._doom(hopeless, concerned)
        after = self.wanted()
        unwanted = before & ~after & ~self.settled
        effects.stops = stops = unwanted & self.running
        self.running ^= stops
        self.stopping |= stops
        self.ready &= ~unwanted
        self.called &= after
        self._leave(unwanted & ~self.bound, stops)
        self._look_below(doomed, concerned)
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
                effects.told.append((i, bool((self.done | self.failed) & bit)))  # to be lost is no outcome
            else:
                continue
            self.slots[i] = Slot(asks=s.asks)

    def _hopeless(self, chosen: dict[int, int]) -> dict[int, int]:
        """P9: everything that depends on what has failed is bound to fail, all the way up: of each such step, why.

        With the first failure among its own dependencies. Of what is further down, and nobody has wanted, an earlier one
        may count as well: a failure is what has been found.
        """
        bad = known_bad = self.failed | self.lost | self.bound
        why: dict[int, int] = {}
        further: dict[int, set[int]] = {}
        if not bad:
            return why
        for c, need in enumerate(self.shape.needs):
            if need & bad and not (bad | self.done) >> c & 1:
                near = [self.fate[d] for d in steps_in(need & known_bad)]
                found = [f for d in steps_in(need & bad & ~known_bad) for f in further[d]]
                further[c] = {*near, *found}
                why[c] = min(near or found, key=self.order)
                choice = chosen.get(c)
                if choice in further[c] and (not near or self.order(choice) <= self.order(why[c])):
                    why[c] = choice
                bad |= 1 << c
        return why

    def _come_back(self, hopeless: Iterable[int]) -> Mask:
        """Steps that are wanted, and have hope, are on their way out no longer."""
        without = mask_of(hopeless)
        wanted = self._wanted(self.settled | self.bound | without) & ~self.settled
        for c in steps_in(wanted & ~without):
            self.out_before[c] |= self.out[c]
            self.out[c] = 0
        for c in steps_in(self.bound):
            self.leaving[c] &= ~wanted
        return wanted

    def _doom(self, hopeless: dict[int, int], concerned: Mask) -> Mask:
        """Bound to fail are all who are wanted, were until now, or are still waited for by somebody who has left.

        Left open is whether that is known at once of a step that depends on the failure only through others that nobody
        wants, unless it is wanted itself.
        """
        doomed = 0
        bad = self.failed | self.lost | self.bound
        for c, failure in hopeless.items():
            waited_for = self.out[c] | self.out_before[c] and self.shape.needs[c] & (bad | doomed)
            if concerned >> c & 1 or waited_for or c in self.chosen:
                self.fate[c] = failure
                doomed |= 1 << c
        self.bound |= doomed
        return doomed

    def _leave(self, unwanted: Mask, stops: Mask) -> None:
        """Steps that are left now are on their way out until the bodies below them that stop because of it have."""
        out: list[Mask] = [0] * len(self.out)
        for c in steps_in(unwanted & ~stops):
            for d in steps_in(self.shape.needs[c] & (unwanted | stops)):
                out[c] |= (1 << d) if stops >> d & 1 else out[d]
            self.out[c] |= out[c]

    def _look_below(self, doomed: Mask, concerned: Mask) -> None:
        """P9: it waits for those of its dependencies that are being stopped, or are bound to fail, at that moment.

        And for clean-up below them that is not over, also if they are wanted again since: no error overtakes it.
        """
        for c in steps_in(self.bound & ~doomed):
            self.below[c] |= self.leaving[c] & doomed
            self.leaving[c] &= ~doomed
        for c in steps_in(doomed):
            if not concerned >> c & 1:
                self.bodies[c] = self.out[c]
            for d in steps_in(self.shape.needs[c] & ~self.settled):
                bit = 1 << d
                self.bodies[c] |= self.out[d] | self.out_before[d]
                if self.stopping & bit:
                    self.bodies[c] |= bit
                elif self.bound & bit:
                    self.below[c] |= bit
                elif self.out[d]:
                    self.leaving[c] |= bit

    def _body_ended(self, ended: Mask) -> None:
        for c in range(len(self.out)):
            if self.bodies[c] & ended:
                self.bodies[c] &= ~ended
                self._bring(c, ended & self.failed)
            self.out[c] &= ~ended
            self.out_before[c] &= ~ended
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
            self.leaving[c] = self.out[c] = self.out_before[c] = 0

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
    Cell: {
        *("name", "deps", "together", "state", "value", "wanted", "missing", "dependents", "parties", "exit", "exits"),
        *("asker", "lane"),
    },
    Exit: {"cell", "since", "behind", "waiting", "over"},
    Failure: {"error", "traceback", "context", "cause", "suppress", "cell", "order", "why", "noted"},
    Kernel: {
        *("_bad", "_broken", "_event", "_failures", "_left", "_loss", "_outs", "_released", "closing", "orders"),
        "_raised",  # starts empty: here no two bodies raise the same object, and nothing else is shared by it
    },
}


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
    #: Dependents are wired before what they need, as it happens where names are looked up.
    backwards: bool = False
    kernel: Kernel = attrs.field(init=False)
    cells: list[Cell] = attrs.field(init=False)
    askers: list[Asker] = attrs.field(init=False)
    number: dict[Cell, int] = attrs.field(init=False)
    wired: list[list[Cell] | None] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.cells = [Cell(str(i), (), together) for i, together in enumerate(self.shape.together)]
        wiring = list(zip(self.cells, self.shape.deps, strict=True))
        for cell, deps in reversed(wiring) if self.backwards else wiring:
            cell.connect(tuple(self.cells[d] for d in deps))
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
                    tuple(map(code, c.exits or ())),
                    asker,
                    c.dependents is None,
                )
            )
        taken = []
        for record in todo:  # grows as we go
            taken.append((number[record.cell], record.behind, tuple(map(code, record.waiting))))
        noted = tuple((number[f.cell], tuple(number[g.cell] for g in f.noted)) for f in self._failures())  # type: ignore[index]
        return tuple(cells), tuple(taken), self.kernel.closing, self.kernel._broken, noted

    def fates(self) -> dict[int, int]:
        """Who has failed, is lost or is bound to be, and with whose failure."""
        bad = (DOOMED, FAILED, LOST)
        return {i: self._failure_number(c.value) for i, c in enumerate(self.cells) if c.state in bad}

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
            failures[c] = Failure.of(ValueError(c), None, self.cells[c], order, "")
        for c, others in noted:
            failures[c].noted = {failures[g]: None for g in others}
            for g in others:
                failures[c].error.add_note(f"step {str(g)!r}")  # type: ignore[union-attr]
        records = [Exit(self.cells[c], -1, behind) for c, behind, _ in taken]  # all made in earlier events
        for record, (_, _, waiting) in zip(records, taken, strict=True):
            record.waiting = [self.askers[w] if w >= 0 else records[-1 - w] for w in waiting]
        stale = Asker(-1)
        for i, (cell, data) in enumerate(zip(self.cells, cells, strict=True)):
            cell.state, failure, cell.wanted, cell.missing, parties, record, exits, asker, cut = data
            cell.value = None if failure is None else failures[failure]
            cell.parties = None if parties is None else {self.askers[p]: None for p in parties}
            cell.exit = None if record is None else records[-1 - record]
            cell.exits = [records[-1 - e] for e in exits]
            cell.asker = None if asker is None else stale if asker == STALE else self.askers[asker]
            cell.dependents = None if cut else self.wired[i]

    def begun_by(self, slot: int, key: Key) -> Mask:
        """The cells that are begun in its name."""
        return mask_of(i for i, cell in enumerate(key[0]) if cell[ASKER] == slot)

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
    #: What each party awaits, or has.
    awaited: list[int]

    @cached_property
    def masks(self) -> list[Mask]:
        """Of each of the kernel's states: which steps are in it."""
        masks = [0] * len(STATES)
        for i, c in enumerate(self.world.cells):
            masks[c.state] |= 1 << i
        return masks

    @cached_property
    def starts(self) -> list[int]:
        number = self.world.number
        queued = [number[c] for c in self.world.askers[0].ready]
        return queued + [number[c] for what, c, _ in self.world.kernel.orders if what is START]


def names(mask: Mask) -> str:
    return "{" + ", ".join(map(str, steps_in(mask))) + "}"


def same(what: str, found: Mask, ought: Mask) -> None:
    if found != ought:
        raise Violation(f"{what} are {names(found)}, not {names(ought)}")


def once_only(m: Moment) -> None:
    """P3: a body completes at most once in a run, and two executions of one body never overlap."""
    if fresh := m.masks[READY] & (m.settled | m.alive & m.ghost.stopping):
        raise Violation(f"{names(fresh)} are to begin, but have an outcome or are not gone yet")


def in_order(m: Moment) -> None:
    """P4: a body starts only after all its dependencies have succeeded."""
    for c in steps_in(m.masks[READY] | m.masks[RUNNING]):
        if early := m.ghost.shape.needs[c] & ~m.ghost.done:
            raise Violation(f"{c} begins before {names(early)} are done")


def begins(m: Moment) -> None:
    """P5, P9: what can begin and is wanted is ordered to, each once, and nothing else; concurrent: at the same time;
    sequential: the next not before the last has settled; for a step that is bound to fail: nothing."""
    same("ready", m.masks[READY], m.ghost.ready)
    starts = [c for c in m.starts if m.ghost.ready >> c & 1]  # ready and given up within one event: will be skipped
    if sorted(starts) != list(steps_in(m.ought.starts)):
        raise Violation(f"ordered to start are {starts}, not {names(m.ought.starts)}")


def called(m: Moment) -> None:
    """P5, P11: `concurrent` decides when a dependency is begun, not whether it is wanted."""
    ghost, wanted = m.ghost, m.ghost.wanted()
    busy = ghost.settled | ghost.bound | ghost.stopping | ghost.running | ghost.ready
    same("in turn and waiting", m.masks[RESOLVING], ghost.called & ~busy)
    same("wanted and not in turn", m.masks[CLAIMED], wanted & ~ghost.called & ~busy)


def stops(m: Moment) -> None:
    """P11: a body is cancelled exactly when the last one who wants it has gone. P9: at the moment of the failure."""
    ordered = [m.world.number[c] for what, c, _ in m.world.kernel.orders if what is STOP]
    if sorted(ordered) != list(steps_in(m.ought.stops)):
        raise Violation(f"ordered to stop are {ordered}, not {names(m.ought.stops)}")
    same("running", m.masks[RUNNING], m.ghost.running)
    same("stopping", m.masks[STOPPING], m.ghost.stopping)


def tells(m: Moment) -> None:
    """P8, P9, P10, P12: whoever awaits a step is told when it is settled; a leaver at once, unless bodies that it alone
    wanted are still stopping or its step is bound to fail; nobody twice."""
    told = [(p.slot, settled) for what, p, settled in m.world.kernel.orders if what not in (START, STOP)]
    if sorted(told) != sorted(m.ought.told):
        found, ought = ([f"of {m.awaited[i]}: {settled}" for i, settled in t] for t in (told, m.ought.told))
        raise Violation(f"told are {found or 'nobody'}, not {ought or 'nobody'} (that it is settled, or False: left)")


def outcomes(m: Moment) -> None:
    """P9: a failing step settles as soon as those of its dependencies that were being stopped, or bound to fail, have."""
    same("done", m.masks[DONE], m.ghost.done)
    same("failed", m.masks[FAILED], m.ghost.failed)
    same("lost", m.masks[LOST], m.ghost.lost)
    same("bound to fail", m.masks[DOOMED], m.ghost.bound)


def outcomes_stay(m: Moment) -> None:
    """P8: the failure is an outcome like any other. P3: a step is a write-once cell."""
    for c in steps_in(m.settled):
        if m.world.cells[c].value is not m.values[c]:
            raise Violation(f"the outcome of {c} has changed")


def first_failure(m: Moment) -> None:
    """P8, P9: a step fails with that very exception, and with the failure that happened first."""
    for c in steps_in((m.masks[FAILED] | m.masks[LOST]) & (m.ghost.failed | m.ghost.lost)):
        failure: Failure = m.world.cells[c].value
        found = LOSS if failure.cell is None else int(failure.cell.name)
        if found != m.ghost.fate[c]:
            raise Violation(f"{c} fails with the failure of {found}, not of {m.ghost.fate[c]}")


def noted(m: Moment) -> None:
    """P10: if more bodies fail while stopping, the exception that is raised carries a note naming them, once."""
    for c in steps_in(m.masks[FAILED] & m.ghost.failed):
        failure: Failure = m.world.cells[c].value
        notes = [note.split("'")[1] for note in getattr(failure.error, "__notes__", ())]
        ought = m.ghost.brought[c] & m.ghost.stopped_badly & ~(1 << m.ghost.fate[c])
        if missing := set(map(str, steps_in(ought))) - set(notes):
            raise Violation(f"{c} fails without a note on {missing}, whose bodies failed while stopping")
        if len(notes) != len({*notes, str(m.ghost.fate[c])}) - 1:
            raise Violation(f"{c} fails with the notes {notes}")


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
        if asker not in fine or (m.event[0] == "ask" and asker is not m.world.askers[m.event[1]]):
            raise Violation(f"{c} is begun in the name of {asker}")
    for c in steps_in(m.ghost.ready):
        if cells[c].asker is None:
            raise Violation(f"{c} is begun in nobody's name")


def answers(m: Moment) -> None:
    """A lane whose body had been told to stop hears of it: its scope is spent."""
    if m.event[0] in ("value", "error") and m.answer is not m.ought.stopped:
        raise Violation(f"the reporter is told {m.answer}")


def nobody_forgotten(m: Moment) -> None:
    """P16: no silent hang. Where no body is there, or may begin, everybody has been told."""
    if m.ghost.ready | m.ghost.running | m.ghost.stopping:
        return
    stuck = [c.name for c in m.world.cells if c.parties or c.exit is not None]
    if stuck or any(s.status != IDLE for s in m.ghost.slots):
        raise Violation(f"somebody waits for ever for {stuck}")


def nothing_left_over(m: Moment) -> None:
    """Who has an outcome waits for nobody, and nobody for it."""
    for c in m.world.cells:
        if c.state >= DONE and (c.parties or c.dependents is not None or c.exit is not None or c.asker is not None):
            raise Violation(f"{c} is settled and keeps parties, dependents, an exit or its asker")


def valid(m: Moment) -> None:
    check_valid(m.world.kernel, m.world.cells)


def check_valid(kernel: Kernel, cells: Iterable[Cell]) -> None:
    """Every number that the kernel keeps, counted again: interest, what a cell still waits for, who waits for a record."""
    if kernel._bad or kernel._released or kernel._left or kernel._outs:
        raise Violation("an agenda is left over")
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
        if record.behind != behind[id(record)] or record.over:
            raise Violation(f"a record of {record.cell} waits for {behind[id(record)]}, it says {record.behind}")
    for c in cells:
        own = [record for record in records if record.cell is c]
        if set(map(id, own)) != set(map(id, c.exits or ())) or (c.exit is not None and c.exit not in own):
            raise Violation(f"{c}: its exits are {c.exits}, but it has the records {own}")
        if c.state < DONE:
            check_cell(c)


def check_cell(c: Cell) -> None:
    wanted = len(c.parties or ())
    for w in set(c.dependents or ()):
        if w.state in (CLAIMED, RESOLVING):
            wanted += w.deps.count(c)
    if c.wanted != wanted:
        raise Violation(f"{c}: wanted is {c.wanted}, but {wanted} want it")
    if c.state == RESOLVING:
        unsettled = [i for i, d in enumerate(c.deps) if d.state != DONE]
        missing = len(unsettled) if c.together else unsettled[0]
        if c.missing != missing:
            raise Violation(f"{c}: missing is {c.missing}, not {missing}")
    if c.state == PENDING:
        fine = not wanted and (c.exit is None or c.exit.behind)
    elif c.state in (STOPPING, DOOMED):
        fine = c.exit is not None and c.exit.cell is c
    else:
        fine = wanted and c.exit is None
    if not fine:
        raise Violation(f"{c}: wanted is {wanted}, its exit {c.exit}")


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
    promises: tuple[Callable[[Moment], None], ...] = PROMISES
    backwards: bool = False
    world: World = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        check_known()
        self.world = World(self.shape, self.make, self.backwards)

    def first(self) -> Key:
        ghost = Ghost(self.shape, [Slot(asks=self.asks) for _ in range(self.parties)])
        return ghost.key(), self.world.first_key(self.parties)

    def events(self, key: Key) -> Iterator[Event]:
        ghost = Ghost.of(self.shape, key[0])
        seen: set[Key] = set()
        alike: set[int] = set()
        for i, s in enumerate(ghost.slots):
            condition = (s.key(), self.world.begun_by(i, key[1]))
            if condition in seen:
                alike.add(i)
            seen.add(condition)
        return ghost.possible(self.closing, alike)

    def step(self, key: Key, event: Event) -> tuple[Key, list[int]]:
        """The state that follows, and under which number each slot is known in it."""
        ghost = Ghost.of(self.shape, key[0])
        world = self.world
        world.put_up(key[1], ghost.slots)
        moment = Moment(
            event, ghost, Effects(), world, None,
            ghost.settled, ghost.stopping | ghost.running, ghost.called, [c.value for c in world.cells],
            [event[2] if event[:2] == ("ask", i) else s.step for i, s in enumerate(ghost.slots)],
        )  # fmt: skip
        try:
            moment.answer = world.apply(event)
        except Exception as exc:
            raise Violation(f"the kernel raises {exc!r}") from exc
        moment.ought = ghost.apply(event, world.fates())
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

    def explore(self, extent: Extent) -> None:
        """Breadth first, every order of events, up to the first that breaks a promise."""
        start, broken = time.perf_counter(), False
        first = self.first()
        came: dict[Key, tuple[Key, Event, list[int]] | None] = {first: None}
        todo = deque([first])
        extent.shapes += 1
        while todo and not broken:
            key = todo.popleft()
            for event in self.events(key):
                extent.transitions += 1
                try:
                    after, rank = self.step(key, event)
                except Violation as exc:
                    extent.found.append(Found(self.shape, self.path(came, key, event), str(exc)))
                    broken = True
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
        who = list(range(self.parties))  # of each slot, who it was at first
        events = []
        for _, e, rank in reversed(links):
            events.append(_renamed(e, who))
            who = _moved(who, rank)
        return [*events, _renamed(event, who)]

    def walk(self, extent: Extent, chance: random.Random, length: int = 60) -> bool:
        """One order of events, drawn. True if it keeps every promise."""
        start = time.perf_counter()
        key, who, path = self.first(), list(range(self.parties)), []
        extent.shapes += 1
        for _ in range(length):
            events = list(self.events(key))
            calm = [e for e in events if e[0] not in ("close", "lost")]
            if not events:
                break
            event = chance.choice(calm if calm and chance.random() < 0.97 else events)
            path.append(_renamed(event, who))
            extent.transitions += 1
            try:
                key, rank = self.step(key, event)
            except Violation as exc:
                extent.found.append(Found(self.shape, path, str(exc)))
                break
            who = _moved(who, rank)
        extent.seconds += time.perf_counter() - start
        return not extent.found


def _renamed(event: Event, who: list[int]) -> Event:
    return (event[0], who[event[1]], event[2]) if event[0] in ("ask", "leave") else event


def _moved(who: list[int], rank: list[int]) -> list[int]:
    moved = who[:]
    for old, new in enumerate(rank):
        moved[new] = who[old]
    return moved


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.every_order", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--steps", type=int, default=3, help="explore every graph of up to so many steps")
    parser.add_argument("--exactly", action="store_true", help="only graphs of exactly so many steps")
    parser.add_argument("--parties", type=int, default=2, help="how many may await at the same time")
    parser.add_argument("--asks", type=int, default=2, help="how often each of them may ask")
    parser.add_argument("--closing", action="store_true", help="the run may end at any moment")
    parser.add_argument("--once", action="store_true", help="no dependency is named twice")
    parser.add_argument("--backwards", action="store_true", help="wire the graph from its last step to its first")
    parser.add_argument("--graph", help='only this graph, as in "- - 0,1s"')
    parser.add_argument("--walks", type=int, default=0, help="walk so many drawn graphs at random instead")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--enough", type=int, default=1, help="stop after so many graphs with a broken promise")
    options = parser.parse_args(arguments)
    extent = Extent()

    def explorer(graph: Shape) -> Explorer:
        return Explorer(graph, options.parties, options.asks, options.closing, backwards=options.backwards)

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
