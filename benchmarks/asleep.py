"""Claim: where every body needs a task of its own, all asleep at once, the bookkeeping adds little to Trio's price.

Here nothing can be saved: a thousand bodies that sleep are a thousand tasks. So this is the worst case for lanes, and
the sleep is long enough for all to be asleep before the first wakes, or the round doesn't count.

In virtual time the same bodies sleep under Trio's own `MockClock`, as in tests.

What would change our mind: bookkeeping of a blocking body that is a noticeable part of its task's price.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final, final

import attrs
import trio
from trio.testing import MockClock

from trioflow import run_workflow

from . import _budgets, floors
from ._measure import RARE, Case, DisturbedError, WrongValueError, clock, us_since
from .bodies import AsyncBody

if TYPE_CHECKING:
    from trioflow import WorkflowEvent, WorkflowStep

#: How long to sleep, for each body: 50 ms for a thousand.
SECONDS_EACH: Final = 50e-6
SECONDS_LEAST: Final = 0.05


@final
@attrs.define(eq=False)
class Dormitory:
    """Bodies that sleep, and whether all of them have slept at once."""

    beds: int
    asleep: int = 0
    was_full: bool = False

    def sleeper(self) -> AsyncBody:
        """One of the bodies; a plain function, as most bodies are."""
        seconds = max(SECONDS_LEAST, self.beds * SECONDS_EACH)

        async def sleep() -> int:
            self.asleep += 1
            if self.asleep == self.beds:
                self.was_full = True
            await trio.sleep(seconds)
            self.asleep -= 1
            return 1

        return sleep

    def check(self) -> None:
        """Was the last asleep before the first woke?"""
        if not self.was_full:
            raise DisturbedError(f"the first of {self.beds} bodies woke before the last slept")


def cases(n: int) -> Iterator[Case]:
    """n bodies and a join, beside n tasks with the same body and one without."""

    async def mine() -> float:
        room = Dormitory(n)

        async def workflow(event: WorkflowEvent[Any], step: WorkflowStep) -> float:
            sleepers = [step.do(f"s{i}")(room.sleeper()) for i in range(n)]

            @step.do("all", depends=sleepers, concurrent=True)
            async def join(*values: int) -> int:
                return sum(values)

            gc.collect()
            begun = clock()
            woken = await join()
            spent = us_since(begun, n)
            if woken != n:
                raise WrongValueError(f"{woken} of {n} sleepers gave their value")
            return spent

        spent = await run_workflow(workflow)
        room.check()
        return spent

    async def floor() -> float:
        room = Dormitory(n)
        sleepers = [room.sleeper() for _ in range(n)]
        gc.collect()
        begun = clock()
        async with trio.open_nursery() as nursery:
            for sleeper in sleepers:
                nursery.start_soon(floors.hosting, sleeper)
            nursery.start_soon(floors.bare)
        spent = us_since(begun, n)
        room.check()
        return spent

    yield Case(name="asleep at once", per="body", sides=lambda: (mine, floor), budget=_budgets.ASLEEP)
    yield Case(
        name="asleep in virtual time",
        per="body",
        sides=lambda: (mine, floor),
        budget=None,
        chapters=RARE,
        new_clock=lambda: MockClock(autojump_threshold=0),
    )
