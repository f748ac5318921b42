"""Claim: what a process holds resident for a graph grows with its steps and with nothing else.

Fresh processes run one layered graph each, and report by how much what they had resident at most has grown: with the
functions of the steps, with everything that an allocator rounds up and `tracemalloc` doesn't see. What stands there too
is the runner written by hand, which has a task only for a body that is ready, and as many bare tasks as the graph has
steps, all alive at once and without functions.

What would change our mind: a line in the picture that bends upwards.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Awaitable, Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import trio

from trioflow import run_workflow

from . import bodies, by_hand, floors, ours
from ._measure import Case, Chapter, Side, most_resident
from .graphs import Graph, layered
from .steps import kinds_of

MEMORY: Final[frozenset[Chapter]] = frozenset({"memory"})


async def _trioflow(graph: Graph, ready: Callable[[], None]) -> None:
    ready()
    functions = bodies.make(graph, kinds_of("noop", len(graph)))
    names = [f"s{i}" for i in range(len(graph))]

    async def workflow(event: Any, step: Any) -> None:
        steps: list[Any] = []
        ours.declare(step, graph, names, functions, steps)
        await steps[-1]()

    await run_workflow(workflow)


async def _by_hand(graph: Graph, ready: Callable[[], None]) -> None:
    ready()
    await by_hand.spend(graph, kinds_of("noop", len(graph)))


async def _tasks(graph: Graph, ready: Callable[[], None]) -> None:
    ready()
    await floors.in_a_batch([None] * len(graph))


SYSTEMS: Final[dict[str, Callable[[Graph, Callable[[], None]], Awaitable[None]]]] = {
    "trioflow": _trioflow,
    "graphlib by hand": _by_hand,
    "bare tasks": _tasks,
}


def measure_here(system: str, size: int) -> float:
    """Bytes per step, in this process."""
    before: list[int] = []
    trio.run(SYSTEMS[system], layered(100), lambda: None)  # what is made once
    trio.run(SYSTEMS[system], layered(size), lambda: before.append(most_resident()))
    return (most_resident() - before[0]) / size


def in_a_process_of_its_own(arguments: Sequence[str]) -> Side:
    """A side that runs `python -m` with these arguments, and reads the number that is printed."""

    async def read() -> float:
        root = str(Path(__file__).parent.parent)
        path = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
        command = [sys.executable, "-m", *arguments]
        done = await trio.run_process(command, capture_stdout=True, env={**os.environ, "PYTHONPATH": path})
        return float(done.stdout)

    return read


def cases(sizes: Sequence[int]) -> Iterator[Case]:
    """Every system at every size but the smallest, which drowns in what an allocator rounds up."""
    for system in SYSTEMS:
        for size in sizes[1:]:

            def sides(system: str = system, size: int = size) -> tuple[Side, None]:
                return in_a_process_of_its_own(["benchmarks.resident", system, str(size)]), None

            yield Case(
                name=f"resident {system} {size:,}",
                per="step",
                sides=sides,
                budget=None,
                unit="bytes",
                judged_by="alone",
                weight=4,
                seconds=20,
                chapters=MEMORY,
                about={"series": system, "steps": size},
            )


if __name__ == "__main__":
    print(measure_here(sys.argv[1], int(sys.argv[2])))
