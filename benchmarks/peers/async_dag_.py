"""async-dag: functions become nodes of a builder, an executor runs them in asyncio tasks. For Python 3.12 and later."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

from ..graphs import Graph
from ._peer import Build, Peer


@contextmanager
def opened() -> Iterator[Build]:
    """Nothing has to be there."""
    from async_dag import build_dag

    def build(graph: Graph, functions: Sequence[Any]) -> Callable[[], Any]:
        with build_dag() as maker:
            nodes: list[Any] = []
            for needs, function in zip(graph, functions, strict=True):
                nodes.append(maker.add_node(function, *[nodes[k] for k in needs]))
        last = nodes[-1]

        async def run() -> Any:
            done = await maker.invoke(None)
            return last.extract_result(done)

        return run

    yield build


PEERS: Final = (
    Peer(
        name="async-dag async",
        distribution="async-dag",
        install="pip install 'async-dag>=0.3.1'  (Python 3.12 or later)",
        kind="noop",
        loop="asyncio",
        how="build_dag(), add_node(function, *nodes), invoke(None)",
        cannot="no cancellation of single nodes",
        opened=opened,
    ),
)
