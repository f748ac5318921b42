"""A graph on trioflow: declare every step, await the last, and read the clock in between.

Names and functions are there before the clock starts, the list of dependencies that the caller writes is made while it
runs: that is what somebody pays who declares steps in a loop. The values are looked at after the clock has stopped, by
awaiting the steps once more; in a large graph a thousand of them.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final, final

import attrs

from trioflow import run_workflow

from . import bodies
from ._measure import WrongValueError, clock, us_since
from .graphs import Graph

if TYPE_CHECKING:
    from trioflow import Step, WorkflowEvent, WorkflowStep

#: How many values of a large graph are looked at.
SAMPLE: Final = 1000


@final
@attrs.frozen
class Spent:
    """Microseconds of CPU per step."""

    declaring: float
    running: float


async def spend(
    graph: Graph, kinds: Sequence[bodies.Kind], *, run: Callable[..., Any] | None = None, **extras: Any
) -> Spent:
    """Declare and run `graph` once, whose step i is of the kind `kinds[i]`, everything concurrent.

    `run`: a `run_workflow` that isn't trioflow's own. `extras` are given to it.
    """
    functions = bodies.make(graph, kinds)
    names = [f"s{i}" for i in range(len(graph))]
    values = bodies.expected(graph)

    async def workflow(event: WorkflowEvent[Any], step: WorkflowStep) -> Spent:
        steps: list[Step[int]] = []
        gc.collect()
        begun = clock()
        declare(step, graph, names, functions, steps)
        declaring = us_since(begun, len(graph))
        gc.collect()
        begun = clock()
        await steps[-1]()
        running = us_since(begun, len(graph))
        await check(steps, values)
        return Spent(declaring, running)

    spent: Spent = await (run or run_workflow)(workflow, **extras)
    return spent


def declare(
    step: WorkflowStep, graph: Graph, names: Sequence[str], functions: Sequence[bodies.Body], steps: list[Step[int]]
) -> None:
    """Declare all steps of `graph`, and add them to `steps`."""
    for name, needs, function in zip(names, graph, functions, strict=True):
        steps.append(step.do(name, depends=[steps[i] for i in needs], concurrent=True)(function))


async def check(steps: Sequence[Step[int]], values: Sequence[int]) -> None:
    """Has every step the value that it must have? Of many steps, a thousand spread evenly and the last are asked."""
    stride = -(-len(steps) // SAMPLE)
    for i in {*range(0, len(steps), stride), len(steps) - 1}:
        got = await steps[i]()
        if got != values[i]:
            raise WrongValueError(f"step {i} of {len(steps)} gave {got!r} instead of {values[i]!r}")
