"""Claim: a step can't be had in Trio for much less than the floor, unless one gives up tasks, scopes or values.

What each way of doing as many things as the graph has steps costs, beside the floor (a task with a cancel scope each), so
that a reader sees where time goes: calling a function; a task; a nursery for each level of the graph; the runner that one
would write on Trio, and the same on asyncio. The first two pass no values on and are lower bounds. The others do all that
their twenty lines can: the values are checked.

What would change our mind: a way to run a graph by hand that keeps its values and its order, and costs less than these.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable, Iterator, Sequence
from graphlib import TopologicalSorter
from typing import Any, Final

import trio

from . import bodies, by_hand, floors
from ._measure import Case, Side, WrongValueError, clock, us_since
from .graphs import Graph, layered
from .steps import floor_of, kinds_of


async def calling(graph: Graph, kind: str = "noop") -> float:
    """No loop, no order to find out: each body is called in turn, and awaited. Microseconds per step."""
    functions: Sequence[Any] = bodies.make(graph, kinds_of(kind, len(graph)))
    results: list[int] = []
    gc.collect()
    begun = clock()
    for needs, function in zip(graph, functions, strict=True):
        results.append(await function(*[results[k] for k in needs]))
    spent = us_since(begun, len(graph))
    return checked(spent, results, graph)


async def spawning(graph: Graph) -> float:
    """A task each, without a scope, without a body. Microseconds per task."""

    async def nothing() -> None:
        pass

    gc.collect()
    begun = clock()
    async with trio.open_nursery() as nursery:
        for _ in graph:
            nursery.start_soon(nothing)
    return us_since(begun, len(graph))


def levels_of(graph: Graph) -> list[list[int]]:
    """The steps by the length of the longest way to them."""
    depths: list[int] = []
    levels: list[list[int]] = []
    for i, needs in enumerate(graph):
        depths.append(1 + max((depths[k] for k in needs), default=-1))
        if depths[i] == len(levels):
            levels.append([])
        levels[depths[i]].append(i)
    return levels


async def by_level(graph: Graph) -> float:
    """A nursery for each level, a task for each step: the next level waits for the whole one before."""
    functions: Sequence[Any] = bodies.make(graph, kinds_of("noop", len(graph)))
    results: list[int | None] = [None] * len(graph)
    levels = levels_of(graph)

    async def worker(i: int) -> None:
        results[i] = await functions[i](*[results[k] for k in graph[i]])

    gc.collect()
    begun = clock()
    for level in levels:
        async with trio.open_nursery() as nursery:
            for i in level:
                nursery.start_soon(worker, i)
    spent = us_since(begun, len(graph))
    return checked(spent, results, graph)


async def on_asyncio(graph: Graph) -> float:
    """The runner of `by_hand.py` with asyncio's TaskGroup. Microseconds of CPU per step, its loop's start left out."""
    functions: Sequence[Any] = bodies.make(graph, kinds_of("noop", len(graph)))
    results: list[int | None] = [None] * len(graph)
    sorter = TopologicalSorter(dict(enumerate(graph)))
    sorter.prepare()
    tasks = set()  # asyncio itself would not keep them

    async def worker(i: int) -> None:
        results[i] = await functions[i](*[results[k] for k in graph[i]])
        sorter.done(i)
        for ready in sorter.get_ready():
            tasks.add(group.create_task(worker(ready)))

    gc.collect()
    begun = clock()
    async with asyncio.TaskGroup() as group:
        for i in sorter.get_ready():
            tasks.add(group.create_task(worker(i)))
    spent = us_since(begun, len(graph))
    return checked(spent, results, graph)


def checked(spent: float, results: Sequence[int | None], graph: Graph) -> float:
    """`spent`, if the results are right."""
    if list(results) != bodies.expected(graph):
        raise WrongValueError("a runner written by hand gave a wrong value")
    return spent


async def asyncio_taskgroup(graph: Graph) -> float:
    """Another loop inside of a Trio task, which waits for it: nothing else is to run."""
    return asyncio.run(on_asyncio(graph))


async def graphlib_runner(graph: Graph) -> float:
    """The runner of `by_hand.py`."""
    return await by_hand.spend(graph, kinds_of("noop", len(graph)))


async def relaying(graph: Graph) -> float:
    """The floor itself, handing over instead of in a batch: what a turn of Trio's loop per step adds."""
    return await floors.handing_over([None] * len(graph))


#: In the order of what they do.
WAYS: Final[dict[str, Callable[[Graph], Any]]] = {
    "a direct call": calling,
    "a bare task": spawning,
    "a task that spawns the next": relaying,
    "a nursery per level": by_level,
    "a graphlib runner on Trio": graphlib_runner,
    "a graphlib runner on asyncio": asyncio_taskgroup,
}


def _case(name: str, way: Callable[[Graph], Any], n: int) -> Case:
    def sides() -> tuple[Side, Side]:
        graph = layered(n)

        async def price() -> float:
            spent: float = await way(graph)
            return spent

        return price, floor_of(layered, n, "noop")

    return Case(name=f"price of {name}", per="step", sides=sides, budget=None)


def cases(n: int) -> Iterator[Case]:
    """Every way to run a layered graph of n no-op steps by hand."""
    for name, way in WAYS.items():
        yield _case(name, way, n)
