"""Claim: a small run, begun and declared and ended, costs about as much as its steps would as bare tasks.

Graphs of ten to thirty steps are what most people have, and a program may run many of them: what a run costs beyond
its steps counts here and nowhere else. The workflow is written as people write it, its functions made anew in each run.

What would change our mind: programs in which `run_workflow` itself shows up in a profile.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

import trio

from trioflow import run_workflow

from . import _budgets, floors
from ._measure import Case, WrongValueError, clock, us_since

if TYPE_CHECKING:
    from trioflow import WorkflowEvent, WorkflowStep

STEPS: Final = 10
FIRST: Final = ("first 1", "first 2", "first 3", "first 4", "first 5")
SECOND: Final = ("second 1", "second 2", "second 3")
#: Each of five is 1 + 1, each of three their sum and 1, the last the sum of these.
EXPECTED: Final = 3 * (5 * 2 + 1)


async def workflow(event: WorkflowEvent[Any], step: WorkflowStep) -> int:
    """1 -> 5 -> 3 -> 1; each step needs all of the layer before."""

    @step.do("source", concurrent=True)
    async def source() -> int:
        return 1

    first = []
    for name in FIRST:

        @step.do(name, depends=[source], concurrent=True)
        async def widen(value: int) -> int:
            return value + 1

        first.append(widen)
    second = []
    for name in SECOND:

        @step.do(name, depends=first, concurrent=True)
        async def narrow(a: int, b: int, c: int, d: int, e: int) -> int:
            return a + b + c + d + e + 1

        second.append(narrow)

    @step.do("last", depends=second, concurrent=True)
    async def last(a: int, b: int, c: int) -> int:
        return a + b + c

    return await last()


def cases(n: int) -> Iterator[Case]:
    """n / 10 runs one after the other, beside as many nurseries of ten bare tasks."""
    runs = max(1, n // STEPS)

    async def mine() -> float:
        gc.collect()
        begun = clock()
        for _ in range(runs):
            got = await run_workflow(workflow)
            if got != EXPECTED:
                raise WrongValueError(f"a run of ten steps gave {got!r} instead of {EXPECTED}")
        return us_since(begun, runs)

    async def floor() -> float:
        gc.collect()
        begun = clock()
        for _ in range(runs):
            async with trio.open_nursery() as nursery:
                for _ in range(STEPS):
                    nursery.start_soon(floors.bare)
        return us_since(begun, runs)

    yield Case(name="run of 10 steps", per="run", sides=lambda: (mine, floor), budget=_budgets.SMALL_RUN)
