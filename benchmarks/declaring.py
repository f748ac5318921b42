"""Claim: declaring a step is cheap, and stays so while the heap grows.

Python's collector walks what lives, again and again while there is more of it: a cell made of many small objects is
paid for many times. The floor is as large as the graph, so its heap grows too; growth by itself is what the first
column of the two cases shows.

What would change our mind: a cost per declaration that keeps growing beyond 100,000 steps.
"""

from __future__ import annotations

from collections.abc import Iterator

from . import _budgets, ours
from ._measure import Case, Side
from .graphs import layered
from .steps import floor_of, kinds_of


def cases(n: int, large: int) -> Iterator[Case]:
    """Layered graphs of n and of `large` steps."""
    for size, budget, weight in ((n, _budgets.DECLARING, 1), (large, _budgets.DECLARING_LARGE, 4)):

        def sides(size: int = size) -> tuple[Side, Side]:
            graph = layered(size)
            kinds = kinds_of("noop", len(graph))

            async def mine() -> float:
                return (await ours.spend(graph, kinds)).declaring

            return mine, floor_of(layered, size, "noop")

        yield Case(name=f"declare {size:,}", per="step", sides=sides, budget=budget, weight=weight)
