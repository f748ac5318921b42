"""Claim: running a step costs the same in a graph of a hundred thousand or a million steps as in one of a thousand.

What stands beside is trioflow itself with a thousand steps, the middle one of five readings.

What would change our mind: a ratio that grows from 100,000 to 1,000,000; then something isn't linear.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator

from . import _budgets, ours
from ._measure import EVERYDAY, Case, Chapter, Side
from .graphs import layered
from .steps import kinds_of


def cases(n: int, large: int, huge: int) -> Iterator[Case]:
    """Layered graphs of `large` steps, and on request of `huge`, against one of n."""
    for size, weight in ((large, 3), (huge, 11)):

        def sides(size: int = size) -> tuple[Side, Side]:
            big, small = layered(size), layered(n)

            async def mine() -> float:
                return (await ours.spend(big, kinds_of("noop", len(big)))).running

            async def beside() -> float:
                kinds = kinds_of("noop", len(small))
                return statistics.median([(await ours.spend(small, kinds)).running for _ in range(5)])

            return mine, beside

        name = f"size {size:,} against {n:,}"
        chapters: frozenset[Chapter] = EVERYDAY if size == large else frozenset({"scale"})
        yield Case(name=name, per="step", sides=sides, budget=_budgets.SIZE, weight=weight, chapters=chapters)
