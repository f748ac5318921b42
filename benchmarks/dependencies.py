"""Claim: a step's second, third and fifteenth dependency cost next to nothing.

A dense graph and a chain have the same steps in the same order; what the dense one costs beyond the chain is its extra
dependencies. Both are read in the same turn, and the difference is divided by their number. What the caller's own
list and call of 15 parameters cost beyond those of one is in it.

What would change our mind: a graph whose edges cost more than its steps.
"""

from __future__ import annotations

from collections.abc import Iterator

from . import _budgets, ours
from ._measure import Case, Side
from .graphs import chain, dense
from .steps import floor_of, kinds_of


def cases(n: int) -> Iterator[Case]:
    """Run and declared, with n steps."""
    for part, budget in (("run", _budgets.DEPENDENCY_RUN), ("declared", _budgets.DEPENDENCY_DECLARED)):

        def sides(part: str = part) -> tuple[Side, Side]:
            many, one = dense(n), chain(n)
            kinds = kinds_of("noop", n)
            extra = sum(map(len, many)) - sum(map(len, one))

            async def mine() -> float:
                dear, cheap = await ours.spend(many, kinds), await ours.spend(one, kinds)
                difference = dear.running - cheap.running if part == "run" else dear.declaring - cheap.declaring
                return difference * n / extra

            return mine, floor_of(dense, n, "noop")

        yield Case(name=f"dependency {part}", per="dependency", sides=sides, budget=budget)
