"""DBOS: a workflow whose steps are recorded in SQLite, in a folder that is thrown away.

It has no graph: a workflow is a function that calls its steps, here in their order; in the async form the steps of a level
at once, with `asyncio.gather`, started in an order that is always the same, as its documentation asks for. Every step
is on disk before its value is used, which nothing else here does: compare it with what is durable too.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from ..graphs import Graph
from ..prices import levels_of
from ._peer import Build, Peer

_graphs: Final[list[tuple[Graph, Sequence[Any]]]] = []


@contextmanager
def _launched() -> Iterator[Any]:
    """DBOS with a database of its own, and two workflows that it knows."""
    from dbos import DBOS

    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{Path(folder, 'dbos.sqlite')}"
        DBOS(config={"name": "benchmarks", "system_database_url": url, "log_level": "CRITICAL", "enable_otlp": False})

        @DBOS.workflow()
        def one_by_one(number: int) -> int:
            graph, functions = _graphs[number]
            values: list[int] = []
            for i, needs in enumerate(graph):
                values.append(DBOS.run_step({"name": f"n{i}"}, functions[i], *[values[k] for k in needs]))
            return values[-1]

        @DBOS.workflow()
        async def by_level(number: int) -> int:
            graph, functions = _graphs[number]
            values: dict[int, int] = {}
            for level in levels_of(graph):
                steps = [
                    DBOS.run_step_async({"name": f"n{i}"}, functions[i], *[values[k] for k in graph[i]]) for i in level
                ]
                values.update(zip(level, await asyncio.gather(*steps), strict=True))
            return values[len(graph) - 1]

        DBOS.launch()
        try:
            yield one_by_one, by_level
        finally:
            DBOS.destroy()


@contextmanager
def opened_sync() -> Iterator[Build]:
    """See `_launched`."""
    with _launched() as (workflow, _):

        def build(graph: Graph, functions: Sequence[Any]) -> Callable[[], Any]:
            _graphs.append((graph, functions))
            number = len(_graphs) - 1
            return lambda: workflow(number)

        yield build


@contextmanager
def opened_async() -> Iterator[Build]:
    """See `_launched`."""
    with _launched() as (_, workflow):

        def build(graph: Graph, functions: Sequence[Any]) -> Callable[[], Any]:
            _graphs.append((graph, functions))
            number = len(_graphs) - 1
            return lambda: workflow(number)

        yield build


INSTALL: Final = "pip install 'dbos>=3.4'"
PEERS: Final = (
    Peer(
        name="DBOS sync",
        distribution="dbos",
        install=INSTALL,
        kind="sync",
        clock="wall",
        how="a workflow that calls DBOS.run_step in order; SQLite",
        cannot="no graph: one step at a time; durable",
        steps=300,
        opened=opened_sync,
    ),
    Peer(
        name="DBOS async",
        distribution="dbos",
        install=INSTALL,
        kind="noop",
        loop="asyncio",
        clock="wall",
        how="DBOS.run_step_async, a level at once with asyncio.gather; SQLite",
        cannot="no graph: a level waits for the whole one before; durable",
        steps=300,
        opened=opened_async,
    ),
)
