"""Claim: a step is a small object: a million of them fit into a gigabyte, with their functions.

Bytes are those that `tracemalloc` counts: the cell, its dependencies and the wiring both ways, and whatever the run
keeps for it. Name, function and the caller's list of steps exist before counting starts. The results are small
integers, which take nothing. A settled cell is read after a collection: what was garbage is not counted.

What would change our mind: a use for so many steps that bytes decide. Until then speed comes before another slot.
"""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from trioflow import run_workflow

from . import _budgets, bodies, ours
from ._measure import EVERYDAY, Case, Chapter, Side
from .graphs import layered
from .steps import kinds_of

if TYPE_CHECKING:
    from trioflow import Step, WorkflowEvent, WorkflowStep


async def bytes_per_cell(n: int, *, settled: bool) -> float:
    """Of a layered graph of n steps: after it was declared, or after it was run as well."""
    graph = layered(n)
    functions = bodies.make(graph, kinds_of("noop", n))
    names = [f"s{i}" for i in range(n)]
    values = bodies.expected(graph)

    async def workflow(event: WorkflowEvent[Any], step: WorkflowStep) -> float:
        steps: list[Step[int]] = []
        ours.declare(step, graph[:1], ["first"], functions[:1], steps)  # what is made once is not a cell's
        await steps[0]()
        steps *= n  # the caller's list, at its full size before counting starts
        steps.clear()
        gc.collect()
        tracemalloc.start()
        try:
            ours.declare(step, graph, names, functions, steps)
            if settled:
                await steps[-1]()
            gc.collect()
            taken = tracemalloc.get_traced_memory()[0]
        finally:
            tracemalloc.stop()
        await ours.check(steps, values)
        return taken / n

    return await run_workflow(workflow)


def _case(n: int, state: str, chapters: frozenset[Chapter]) -> Case:
    def sides() -> tuple[Side, None]:
        async def mine() -> float:
            return await bytes_per_cell(n, settled=state == "settled")

        return mine, None

    return Case(
        name=f"memory {state} {n:,}",
        per="cell",
        sides=sides,
        budget=_budgets.MEMORY_BYTES if chapters == EVERYDAY else None,
        unit="bytes",
        judged_by="alone",
        weight=11,
        chapters=chapters,
        about={"series": f"trioflow, {state}", "steps": n},
    )


def cases(sizes: Sequence[int]) -> Iterator[Case]:
    """Per declared and per settled cell of layered graphs with three dependencies each.

    The largest of `sizes` belongs to everyday.
    """
    for size in sizes:
        for state in ("declared", "settled"):
            yield _case(size, state, EVERYDAY if size == sizes[-1] else frozenset({"memory"}))
