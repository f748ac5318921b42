"""Who goes first: orders of tasks, as values that can be printed, replayed, drawn and shrunk.

Whenever several tasks could take their next turn, something has to say which one does. A *chooser* says so: it is
called with those who wait, the one whose turn it would be first, and answers with an index. A *schedule* is the value that
makes a fresh chooser for each run: the same schedule and the same program give the same run.

Choosing at random finds more than anything else, and explains nothing: a seed that fails differs from the usual order in
a hundred places. `Holds` is the other way round: the usual order, but for a few tasks that are kept back for a while. Most
races need only one task that comes late, so what was found by seeds is explained by holds. (A list with one number for
every decision was tried: it shrinks to five numbers where one hold says the same.)
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from typing import Any, Final, Protocol, final

import attrs

__all__ = ["Chooser", "Holds", "Picks", "Priorities", "RandomWalk", "Schedule", "Waiting", "seeded"]


class Waiting(Protocol):
    """A task that waits for its turn."""

    @property
    def number(self) -> int:
        """Which task it is, in the order in which they were spawned."""

    @property
    def ticket(self) -> int:
        """Which turn it waits for, of all turns of the run."""


class Chooser(Protocol):
    """Says who of several goes next, in one run."""

    def __call__(self, waiting: Sequence[Waiting], /) -> int:
        """The index of the one that goes; 0 is the one that has waited longest."""


class Schedule(Protocol):
    """A way to order the turns of any program. A value: it prints as the call that makes it."""

    def chooser(self) -> Chooser:
        """A fresh chooser, for one run."""


def _pairs(values: Iterable[Iterable[int]]) -> tuple[tuple[int, int], ...]:
    pairs = tuple((int(at), int(length)) for at, length in values)
    for at, length in pairs:
        if at < 0 or length < 1:
            raise ValueError(f"a hold is (decision from 0, turns of others from 1), not {(at, length)}")
    return pairs


def _indexes(values: Iterable[int]) -> tuple[int, ...]:
    return tuple(map(int, values))


@final
@attrs.frozen(repr=False)
class Holds:
    """First come, first served, but for some tasks that are held back: `Holds([(3, 5)])`.

    That means: at the fourth decision, let the one whose turn it is wait while five others go. A decision is a
    moment when several tasks could go. Without holds it is the default order.
    """

    holds: tuple[tuple[int, int], ...] = attrs.field(default=(), converter=_pairs)

    def chooser(self) -> Chooser:
        return _Holding(dict(self.holds))

    def __repr__(self) -> str:
        return f"Holds({list(self.holds)})"


@final
class _Holding:
    def __init__(self, holds: dict[int, int]) -> None:
        self.holds = holds
        self.decision = -1
        self.until: dict[int, int] = {}  # by ticket

    def __call__(self, waiting: Sequence[Waiting]) -> int:
        self.decision += 1
        until, now = self.until, self.decision
        length = self.holds.get(now)
        if not until and length is None:
            return 0
        free = [k for k, task in enumerate(waiting) if until.get(task.ticket, 0) <= now]
        if length is not None and len(free) > 1:
            until[waiting[free.pop(0)].ticket] = now + length
        return free[0] if free else min(range(len(waiting)), key=lambda k: until[waiting[k].ticket])


@final
@attrs.frozen(repr=False)
class Picks:
    """At each decision in turn the one of this index, and the default order after that: `Picks([0, 0, 2])`."""

    picks: tuple[int, ...] = attrs.field(default=(), converter=_indexes)

    def chooser(self) -> Chooser:
        return _Picking(self.picks)

    def __repr__(self) -> str:
        return f"Picks({list(self.picks)})"


@final
class _Picking:
    def __init__(self, picks: tuple[int, ...]) -> None:
        self.picks = iter(picks)

    def __call__(self, waiting: Sequence[Waiting]) -> int:
        return min(next(self.picks, 0), len(waiting) - 1)


@final
@attrs.frozen
class RandomWalk:
    """At each decision any of those that wait, all equally likely."""

    seed: int

    def chooser(self) -> Chooser:
        chance = random.Random(self.seed).random
        return lambda waiting: int(chance() * len(waiting))


@final
@attrs.frozen
class Priorities:
    """Probabilistic concurrency testing: each task has a drawn priority, and at some moments the foremost falls behind.

    A bug that takes `depth` events in a certain order is found with a likelihood of 1 in n · length ** (depth - 1) at
    least, for n tasks: no schedule drawn at random promises as much.
    (Burckhardt, Kothari, Musuvathi, Nagarakatti: A Randomized Scheduler with Probabilistic Guarantees of Finding Bugs, 2010.)
    """

    seed: int
    #: How many events have to come in the right order. One less is how often the foremost falls behind.
    depth: int = 3
    #: How many decisions a run is expected to have.
    length: int = 60

    def chooser(self) -> Chooser:
        return _Ranking(random.Random(self.seed), self.depth, self.length)


@final
class _Ranking:
    def __init__(self, chance: random.Random, depth: int, length: int) -> None:
        self.chance = chance
        self.falls = {chance.randrange(length) for _ in range(depth - 1)}
        self.priorities: dict[int, float] = {}  # by task
        self.decision = -1

    def __call__(self, waiting: Sequence[Waiting]) -> int:
        self.decision += 1
        for task in waiting:
            if task.number not in self.priorities:
                self.priorities[task.number] = self.chance.random()
        if self.decision in self.falls:
            foremost = self.foremost(waiting)
            self.priorities[waiting[foremost].number] = -1.0 - self.decision
        return self.foremost(waiting)

    def foremost(self, waiting: Sequence[Waiting]) -> int:
        return max(range(len(waiting)), key=lambda k: self.priorities[waiting[k].number])


#: What `seeded` takes turns with. They find different things: none is best at all programs.
_KINDS: Final = 3
#: Of the holds that it draws: on how many decisions it counts, and how long a task is held back at most.
_EARLY: Final = (10, 40, 160)
_LONG: Final = (4, 16, 64)


def seeded(seed: int) -> Schedule:
    """The schedule that a seed stands for: 0 is the default order, the others are drawn, in several ways.

    >>> seeded(0), seeded(1), seeded(2)
    (Holds([]), RandomWalk(seed=1), Priorities(seed=2, depth=2, length=15))
    """
    kind = seed % _KINDS
    if kind == 1:
        return RandomWalk(seed)
    chance = random.Random(seed)
    if kind == 2:
        return Priorities(seed, depth=chance.choice((2, 3, 3, 4)), length=chance.choice((15, 60, 240)))
    if seed == 0:
        return Holds()
    early, long = chance.choice(_EARLY), chance.choice(_LONG)
    return Holds((chance.randrange(early), chance.randint(1, long)) for _ in range(chance.choice((1, 2, 4))))


def as_schedule(what: Any) -> Schedule:
    """A schedule, or the one that a seed stands for."""
    if isinstance(what, int):
        return seeded(what)
    if callable(getattr(what, "chooser", None)):
        schedule: Schedule = what
        return schedule
    raise TypeError(f"a schedule is a seed, or something with chooser(), as Holds([(3, 5)]): not {what!r}")
