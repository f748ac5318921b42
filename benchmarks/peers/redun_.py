"""redun: tasks called lazily make an expression, which a scheduler evaluates; calls and values go to a database in memory.

It isn't in the `bench` extra: what it asks for, a data base's driver and a cloud's client among it, is a lot for one row.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

from ..graphs import Graph
from ._peer import Build, Peer


@contextmanager
def opened() -> Iterator[Build]:
    """A scheduler with its database in memory, no cache of earlier calls."""
    from redun import Scheduler, task
    from redun.config import Config

    logging.getLogger("redun").setLevel(logging.CRITICAL)
    scheduler = Scheduler(config=Config({"backend": {"db_uri": "sqlite:///:memory:"}}))
    scheduler.load()
    functions_of: list[Sequence[Any]] = []

    @task(name="node", namespace="benchmarks", version="1", cache=False)
    def node(build: int, number: int, values: list[int]) -> int:
        value: int = functions_of[build][number](*values)
        return value

    def build(graph: Graph, functions: Sequence[Any]) -> Callable[[], Any]:
        functions_of.append(functions)
        calls: list[Any] = []
        for i, needs in enumerate(graph):
            calls.append(node(len(functions_of) - 1, i, [calls[k] for k in needs]))
        return lambda: scheduler.run(calls[-1])

    yield build


PEERS: Final = (
    Peer(
        name="redun",
        distribution="redun",
        install="pip install 'redun>=0.44'",
        kind="sync",
        clock="wall",
        how="tasks called lazily, Scheduler.run(last), database in memory, cache=False",
        cannot="its depth is bounded by the recursion limit",
        steps=200,
        opened=opened,
    ),
)
