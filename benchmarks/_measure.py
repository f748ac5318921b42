"""The timer: two ways of doing one thing take turns, and every round gives one figure.

A shared machine gets faster and slower by a half within seconds. What lasts through that is the ratio of two
neighbours in time, so a case has two sides, which go by turns (and take turns in going first); a round's figure is
made of its own two readings, and the case is reported as the median of these figures with its quartiles. A mean of
each side and then a ratio, the usual way, was as unsteady as the machine.

Each side reads the CPU time of its own thread (`clock`): what other processes do to the wall clock stays outside.

The first round of a case is thrown away: it pays for caches that fill once in a program's life.
"""

from __future__ import annotations

import gc
import math
import resource
import statistics
import sys
import time
import traceback
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Final, Literal, TypeAlias, final

import attrs
import trio

from ._budgets import Budget, Stage

#: One measurement, run in a Trio loop of its own: what it cost, per unit of the case, or `WrongValueError`.
Side: TypeAlias = Callable[[], Awaitable[float]]
#: What a round's figure is: ours ÷ beside, ours - beside, or ours alone.
Judgement: TypeAlias = Literal["ratio", "difference", "alone"]
#: `everyday` is measured when nothing is asked for, `rare` by `--all`, the others by an option of their name.
Chapter: TypeAlias = Literal["everyday", "rare", "scale", "memory", "peers", "where"]
EVERYDAY: Final[frozenset[Chapter]] = frozenset({"everyday"})
RARE: Final[frozenset[Chapter]] = frozenset({"rare"})

clock: Final = time.thread_time
#: How often a disturbed round is tried again before the case is given up.
PATIENCE: Final = 5


class WrongValueError(Exception):
    """What came out is not what the graph says: the figures mean nothing."""


class CannotError(Exception):
    """What was to be measured can't do it, or isn't there: a row that says so, and no failure of ours."""


class DisturbedError(Exception):
    """The machine was too busy for this round to be what it should measure. It is tried again."""


@final
@attrs.frozen(kw_only=True)
class Case:
    """One claim that can be measured."""

    #: What `--only` selects by: the family, the variant, the size.
    name: str
    #: What one figure is the cost of: "step", "run", "demand" ...
    per: str
    #: Makes both sides, just before they are measured: a large graph of one case must not burden the collector in
    #: another. The second is what ours is compared with, and None if the claim is absolute.
    sides: Callable[[], tuple[Side, Side | None]]
    budget: Budget | None
    unit: Literal["us", "ms", "bytes"] = "us"
    judged_by: Judgement = "ratio"
    #: A round of it counts as so many rounds of the others: large cases get by with fewer.
    weight: int = 1
    #: Between which bounds the other side lies, rounded, on a quiet machine; outside of them it may itself be wrong.
    credible: tuple[int, int] | None = None
    #: What has to be asked for, all of it, to get this; the everyday minute is short.
    chapters: frozenset[Chapter] = EVERYDAY
    #: What stands for what in tables and pictures: "system", "shape", "steps" ...
    about: Mapping[str, str | int] = attrs.field(factory=dict)
    #: No round begins after so many seconds, except the first.
    seconds: float = math.inf
    #: Makes the Trio clock of each reading; the default is Trio's own.
    new_clock: Callable[[], trio.abc.Clock | None] = lambda: None


@final
@attrs.frozen
class Spread:
    """A median between its quartiles."""

    q1: float
    median: float
    q3: float

    @classmethod
    def of(cls, figures: Sequence[float]) -> Spread:
        if len(figures) == 1:
            return cls(figures[0], figures[0], figures[0])
        return cls(*statistics.quantiles(figures, n=4, method="inclusive"))


@final
@attrs.frozen(kw_only=True)
class Measured:
    """What the rounds of one case have given."""

    case: Case
    ours: tuple[float, ...] = ()
    #: What stood beside, in the same rounds; empty if the claim is absolute.
    beside: tuple[float, ...] = ()
    #: What was wrong, in a line; there are no figures then.
    wrong: str | None = None
    #: The same with its traceback. Text, because the exception itself would keep a whole run alive, and the collector
    #: would walk it in all cases that follow.
    details: str = ""
    #: Why there is nothing to measure, in a line; there are no figures then either.
    cannot: str | None = None
    #: In how many processes it was measured, all of whose rounds are here.
    processes: int = 1

    @property
    def has_figures(self) -> bool:
        return self.wrong is None and self.cannot is None

    @property
    def spread(self) -> Spread:
        """Of the figures that the case is judged by."""
        if self.case.judged_by == "alone":
            return Spread.of(self.ours)
        pairs = zip(self.ours, self.beside, strict=True)
        if self.case.judged_by == "difference":
            return Spread.of([ours - beside for ours, beside in pairs])
        return Spread.of([ours / beside for ours, beside in pairs])

    @property
    def in_doubt(self) -> bool:
        """Is what stood beside outside of the bounds in which it can be believed?"""
        if self.case.credible is None or not self.beside:
            return False
        low, high = self.case.credible
        return not low <= round(statistics.median(self.beside)) <= high

    def over(self, stage: Stage) -> bool:
        """Has it cost more than it may?"""
        return self.has_figures and self.case.budget is not None and self.spread.median > self.case.budget.at(stage)


def most_resident() -> int:
    """Bytes that this process has had resident at most.

    Not `ru_maxrss` where it can be helped: on Linux a process starts with the one of the process that started it.
    """
    status = Path("/proc/self/status")
    if status.exists():
        [line] = [line for line in status.read_text().splitlines() if line.startswith("VmHWM:")]
        return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def us_since(begun: float, units: int) -> float:
    """CPU time since `begun`, a reading of `clock`, in microseconds for each of `units`."""
    return (clock() - begun) / units * 1e6


def measure(
    case: Case, rounds: int, *, warm_up: bool = True, new_clock: Callable[[], trio.abc.Clock | None] | None = None
) -> Measured:
    """Let both sides of `case` take turns.

    `rounds`: how many figures a case of weight 1 gets; at least one is taken. `new_clock`: makes the Trio clock of
    each measurement; the default is the case's own, tests bring virtual time. Whatever a side raises is caught and
    reported as the case's `wrong`: one case that is broken doesn't hide the others.
    """
    ours: list[float] = []
    beside: list[float] = []
    try:
        sides = case.sides()
        new_clock = new_clock or case.new_clock
        begun = time.monotonic()
        for n in range(-1 if warm_up and case.weight == 1 else 0, max(1, rounds // case.weight)):
            if n > 0 and time.monotonic() - begun > case.seconds:
                break
            mine, other = _round(sides, ours_first=n % 2 == 0, new_clock=new_clock)
            if n >= 0:
                ours.append(mine)
                beside += [] if other is None else [other]
    except CannotError as exc:
        return Measured(case=case, cannot=str(exc))
    except Exception as exc:
        details = "".join(traceback.format_exception(exc))
        return Measured(case=case, wrong=f"{type(exc).__name__}: {exc}", details=details)
    return Measured(case=case, ours=tuple(ours), beside=tuple(beside))


def _round(
    sides: tuple[Side, Side | None], *, ours_first: bool, new_clock: Callable[[], trio.abc.Clock | None]
) -> tuple[float, float | None]:
    ours, beside = sides
    if beside is None:
        return _reading(ours, new_clock), None
    if ours_first:
        mine = _reading(ours, new_clock)
        return mine, _reading(beside, new_clock)
    other = _reading(beside, new_clock)
    return _reading(ours, new_clock), other


def _reading(side: Side, new_clock: Callable[[], trio.abc.Clock | None]) -> float:
    for attempt in range(PATIENCE):
        gc.collect()
        try:
            return trio.run(side, clock=new_clock())
        except DisturbedError:
            if attempt == PATIENCE - 1:
                raise
    raise AssertionError("unreachable")  # pragma: no cover
