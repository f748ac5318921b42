"""Claim: a step costs a fraction of a Trio task with a cancel scope, whatever the shape of the graph.

Eight shapes; bodies that return at once, that checkpoint, of which every third checkpoints, and that are sync.

What would change our mind: a shape or a mixture, among those that people's graphs have, that costs more than its floor;
then lanes that serve body after body are the wrong idea there, and a task per step would be the honest answer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final, TypeAlias

from . import _budgets, bodies, floors, ours
from ._budgets import Budget
from ._measure import EVERYDAY, RARE, Case, Side
from .graphs import Graph, chain, dense, fan, forest, ladder, layered, random, tree

Shape: TypeAlias = Callable[[int], Graph]

SHAPES: Final[tuple[Shape, ...]] = (chain, fan, ladder, layered, dense, tree, forest, random)
#: The ones that are measured every day with every kind of body.
USUAL: Final = SHAPES[:5]
#: Where each task of the floor spawns the next.
DEEP: Final[tuple[Shape, ...]] = (chain, ladder, dense)


def kinds_of(variant: str, n: int) -> list[bodies.Kind]:
    """The kinds of n bodies, for the name of a variant."""
    if variant == "mixed":
        return ["noop" if i % 3 else "checkpoint" for i in range(n)]
    [kind] = [kind for kind in bodies.KINDS if kind == variant]
    return [kind] * n


def floor_of(shape: Shape, n: int, variant: str) -> Side:
    """Bare tasks, as many as the shape of n has steps."""
    alone = bodies.make_alone(kinds_of(variant, len(shape(n))))

    async def floor() -> float:
        return await (floors.handing_over(alone) if shape in DEEP else floors.in_a_batch(alone))

    return floor


def _case(shape: Shape, n: int, variant: str, budget: Budget | None) -> Case:
    def sides() -> tuple[Side, Side]:
        graph = shape(n)

        async def mine() -> float:
            return (await ours.spend(graph, kinds_of(variant, len(graph)))).running

        return mine, floor_of(shape, n, variant)

    often = variant == "noop" or (variant != "mixed" and shape in USUAL)
    name = f"{variant} {shape.__name__}"
    return Case(name=name, per="step", sides=sides, budget=budget, chapters=EVERYDAY if often else RARE)


def cases(n: int) -> Iterator[Case]:
    """Every variant in every shape, with n steps. A mixture has no budget of its own."""
    variants = {"noop": _budgets.NO_OP, "checkpoint": _budgets.CHECKPOINT, "mixed": None, "sync": _budgets.SYNC}
    for variant, budget in variants.items():
        for shape in SHAPES:
            yield _case(shape, n, variant, budget)
