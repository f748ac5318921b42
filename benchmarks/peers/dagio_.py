"""dagio: coroutine methods of one object, each with the names of those that it depends on.

As its README shows: `@depends("other")` over the methods of a class, whose last one is awaited. It passes no values: a
method leaves them on the object.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

from ..graphs import Graph
from ._peer import Build, Peer


@contextmanager
def opened() -> Iterator[Build]:
    """Nothing has to be there."""
    from dagio import depends

    def method(i: int, needs: Sequence[int], function: Any) -> Any:
        @depends(*[f"n{k}" for k in needs])
        async def body(self: Any) -> None:
            values = self.values
            values[i] = await function(*[values[k] for k in needs])

        return body

    def build(graph: Graph, functions: Sequence[Any]) -> Callable[[], Any]:
        methods = {f"n{i}": method(i, graph[i], functions[i]) for i in range(len(graph))}
        made = type("Made", (), methods)()
        made.values = {}
        last = len(graph) - 1

        async def run() -> Any:
            await getattr(made, f"n{last}")()
            return made.values[last]

        return run

    yield build


PEERS: Final = (
    Peer(
        name="dagio async",
        distribution="dagio",
        install="pip install 'dagio>=0.0.2'",
        kind="noop",
        loop="asyncio",
        how="@depends over the methods of an object, the last one awaited",
        cannot="passes no values on; a failure leaves the other tasks running",
        opened=opened,
    ),
)
