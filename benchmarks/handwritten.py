"""Claim: the library is cheaper than the twenty lines that one would write instead of it.

Those twenty lines are in `by_hand.py`. On a quiet machine they cost 7 to 10 microseconds a step; if they cost more or
less here, the machine is loaded or they are wrong, and the report says so.

What would change our mind: a runner written by hand that passes values on, keeps the order, and is faster.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from . import _budgets, by_hand, ours
from ._budgets import Budget
from ._measure import Case, Side
from .graphs import chain, fan, ladder, layered
from .steps import Shape, kinds_of

CREDIBLE: Final = (7, 10)


def _case(shape: Shape, n: int, variant: str, label: str, budget: Budget) -> Case:
    def sides() -> tuple[Side, Side]:
        graph = shape(n)
        kinds = kinds_of(variant, len(graph))

        async def mine() -> float:
            return (await ours.spend(graph, kinds)).running

        async def beside() -> float:
            return await by_hand.spend(graph, kinds)

        return mine, beside

    name = f"by hand {label} {shape.__name__}"
    return Case(name=name, per="step", sides=sides, budget=budget, credible=CREDIBLE)


def cases(n: int) -> Iterator[Case]:
    """Async and sync no-op bodies in graphs of n steps."""
    for shape in (chain, fan, ladder, layered):
        yield _case(shape, n, "noop", "async", _budgets.HANDWRITTEN_ASYNC)
    for shape in (chain, fan, ladder, layered):
        yield _case(shape, n, "sync", "sync", _budgets.HANDWRITTEN_SYNC)
