"""trioflow itself, as a row among the others: declared in a loop, everything concurrent, the last step awaited."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

from ..graphs import Graph
from ._peer import Build, Peer, Within


@contextmanager
def opened() -> Iterator[Build]:
    """A workflow declares its steps whenever it runs, so building is a part of the run, and told apart by the clock."""
    from trioflow import run_workflow

    def build(graph: Graph, functions: Sequence[Any]) -> Callable[[], Awaitable[Within]]:
        names = [f"n{i}" for i in range(len(graph))]

        async def workflow(event: Any, step: Any) -> Within:
            begun = time.thread_time()
            steps: list[Any] = []
            for name, needs, function in zip(names, graph, functions, strict=True):
                steps.append(step.do(name, depends=[steps[k] for k in needs], concurrent=True)(function))
            building = time.thread_time() - begun
            return Within(await steps[-1](), building)

        return lambda: run_workflow(workflow)

    yield build


HOW: Final = "step.do(name, depends=[...], concurrent=True) in a loop; the last step is awaited"
PEERS: Final = (
    Peer(
        name="trioflow async",
        distribution="trioflow",
        install="pip install -e .",
        kind="noop",
        loop="trio",
        how=HOW,
        here=True,
        opened=opened,
    ),
    Peer(
        name="trioflow sync",
        distribution="trioflow",
        install="pip install -e .",
        kind="sync",
        loop="trio",
        how=HOW,
        here=True,
        opened=opened,
    ),
)
