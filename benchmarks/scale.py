"""Claim: trioflow stays ahead of the runner written by hand at every size, and what a step costs hardly depends on it.

Layered graphs from a thousand to a million steps. Running them stands beside `by_hand.py` on the same graph, declaring
them beside as many bare tasks. A million steps, their functions and both runners take about two gigabytes.

What would change our mind: a ratio that gets worse from size to size; then something of ours isn't linear, or is kept
in more pieces than the collector can walk.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from . import by_hand, ours
from ._measure import Case, Chapter, Side
from .graphs import layered
from .steps import floor_of, kinds_of

SCALE: frozenset[Chapter] = frozenset({"scale"})


def _running(size: int, variant: str, weight: int) -> Case:
    def sides() -> tuple[Side, Side]:
        graph = layered(size)
        kinds = kinds_of(variant, size)

        async def mine() -> float:
            return (await ours.spend(graph, kinds)).running

        async def beside() -> float:
            return await by_hand.spend(graph, kinds)

        return mine, beside

    label = "sync" if variant == "sync" else "async"
    about: dict[str, str | int] = {
        "series": f"trioflow, run {label}",
        "beside": f"graphlib by hand, {label}",
        "steps": size,
    }
    name = f"scale run {variant} {size:,}"
    return Case(name=name, per="step", sides=sides, budget=None, weight=weight, chapters=SCALE, about=about)


def _declaring(size: int, weight: int) -> Case:
    def sides() -> tuple[Side, Side]:
        graph = layered(size)
        kinds = kinds_of("noop", size)

        async def mine() -> float:
            return (await ours.spend(graph, kinds)).declaring

        return mine, floor_of(layered, size, "noop")

    about: dict[str, str | int] = {"series": "trioflow, declare", "beside": "bare task with a scope", "steps": size}
    name = f"scale declare {size:,}"
    return Case(name=name, per="step", sides=sides, budget=None, weight=weight, chapters=SCALE, about=about)


def cases(sizes: Sequence[int]) -> Iterator[Case]:
    """Async and sync no-op bodies, and declarations, at every size."""
    for size in sizes:
        weight = 1 + min(10, size // 30_000)
        for variant in ("noop", "sync"):
            yield _running(size, variant, weight)
        yield _declaring(size, weight)
