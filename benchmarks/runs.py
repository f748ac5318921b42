"""Claim: a small run, begun and declared and ended, costs about as much as its steps would as bare tasks.

Graphs of ten to thirty steps are what most people have, and a program may run many of them, or thousands of five
steps: what a run costs beyond its steps counts here and nowhere else. The workflow is written as people write it, its
functions made anew in each run.

What would change our mind: programs in which `run_workflow` itself shows up in a profile.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Coroutine, Iterator
from typing import TYPE_CHECKING, Any, Final

import trio

from trioflow import run_workflow

from . import _budgets, floors
from ._measure import RARE, Case, Side, WrongValueError, clock, us_since

if TYPE_CHECKING:
    from trioflow import WorkflowEvent, WorkflowStep

STEPS: Final = 10
FIRST: Final = ("first 1", "first 2", "first 3", "first 4", "first 5")
SECOND: Final = ("second 1", "second 2", "second 3")
#: Each of five is 1 + 1, each of three their sum and 1, the last the sum of these.
EXPECTED: Final = 3 * (5 * 2 + 1)
#: 10,000 small runs where other cases have 1,000 steps.
MANY: Final = 10
SMALL_STEPS: Final = 5
SMALL_EXPECTED: Final = 3 * 2


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


async def small_workflow(event: WorkflowEvent[Any], step: WorkflowStep) -> int:
    """1 -> 3 -> 1: 1, three that add 1, and their sum."""

    @step.do("source", concurrent=True)
    async def source() -> int:
        return 1

    between = []
    for name in SECOND:

        @step.do(name, depends=[source], concurrent=True)
        async def widen(value: int) -> int:
            return value + 1

        between.append(widen)

    @step.do("last", depends=between, concurrent=True)
    async def last(a: int, b: int, c: int) -> int:
        return a + b + c

    return await last()


def _sides(runs: int, steps: int, run: Callable[..., Coroutine[Any, Any, int]], expected: int) -> tuple[Side, Side]:
    """`runs` of `steps` each, one after the other, beside as many nurseries of as many bare tasks."""

    async def mine() -> float:
        gc.collect()
        begun = clock()
        for _ in range(runs):
            got: int = await run_workflow(run)
            if got != expected:
                raise WrongValueError(f"a run of {steps} steps gave {got!r} instead of {expected}")
        return us_since(begun, runs)

    async def floor() -> float:
        gc.collect()
        begun = clock()
        for _ in range(runs):
            async with trio.open_nursery() as nursery:
                for _ in range(steps):
                    nursery.start_soon(floors.bare)
        return us_since(begun, runs)

    return mine, floor


def cases(n: int) -> Iterator[Case]:
    """n / 10 runs of ten steps, and 10 n of five."""
    usual, many = max(1, n // STEPS), MANY * n
    yield Case(
        name="run of 10 steps",
        per="run",
        sides=lambda: _sides(usual, STEPS, workflow, EXPECTED),
        budget=_budgets.SMALL_RUN,
    )
    yield Case(
        name=f"{many:,} runs of 5 steps",
        per="run",
        sides=lambda: _sides(many, SMALL_STEPS, small_workflow, SMALL_EXPECTED),
        budget=None,
        weight=3,
        chapters=RARE,
    )
