"""Prefect: a flow that submits tasks, whose futures are given to the tasks that need them; with a server of its own.

The server is Prefect's temporary one for tests (`prefect_test_harness`), on this machine, with a database that is thrown
away; starting it takes half a minute and isn't counted. It isn't in the `bench` extra: it asks for a hundred packages, and
for exact versions of some (3.8.8 fails on import with a fastapi from 0.165, though it allows it).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

from ..graphs import Graph
from ._peer import Build, Peer


@contextmanager
def opened() -> Iterator[Build]:
    """A server, as long as it takes."""
    os.environ["PREFECT_SERVER_ANALYTICS_ENABLED"] = "false"
    os.environ["DO_NOT_TRACK"] = "1"
    os.environ["PREFECT_LOGGING_LEVEL"] = "CRITICAL"
    from prefect import flow, task
    from prefect.testing.utilities import prefect_test_harness

    def build(graph: Graph, functions: Sequence[Any]) -> Callable[[], Any]:
        tasks = [task(function, name=f"n{i}") for i, function in enumerate(functions)]

        @flow(name="graph")
        def run() -> Any:
            futures: list[Any] = []
            for needs, made in zip(graph, tasks, strict=True):
                futures.append(made.submit(*[futures[k] for k in needs]))
            return futures[-1].result()

        return run

    with prefect_test_harness(server_startup_timeout=90):
        yield build


PEERS: Final = (
    Peer(
        name="Prefect",
        distribution="prefect",
        install="pip install 'prefect>=3.8' 'fastapi<0.140'",
        kind="sync",
        clock="wall",
        how="task.submit(*futures) in a flow, a temporary server on this machine",
        steps=50,
        opened=opened,
    ),
)
