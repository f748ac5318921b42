"""pydantic-graph: steps of a GraphBuilder, edges between them, and a join before each step that waits for several.

Values are kept in the graph's state: a join hands over one thing, and tells nobody which branch brought what. Building
looks for the fork that all branches of a join come from: for a ladder of 300 steps that takes two seconds, for one of
1,000 more than a minute. So it is measured with 300.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

from ..graphs import Graph
from ._peer import Build, Peer


def _body(i: int, needs: Sequence[int], function: Any) -> Any:
    async def body(context: Any) -> None:
        values = context.state
        values[i] = await function(*[values[k] for k in needs])

    return body


@contextmanager
def opened() -> Iterator[Build]:
    """Nothing has to be there."""
    from pydantic_graph import GraphBuilder, reduce_null

    def build(graph: Graph, functions: Sequence[Any]) -> Callable[[], Any]:
        maker: Any = GraphBuilder(state_type=dict, auto_instrument=False)
        steps, entries = [], []
        for i, (needs, function) in enumerate(zip(graph, functions, strict=True)):
            steps.append(maker.step(call=_body(i, needs, function), node_id=f"n{i}"))
            entry = steps[i]
            if len(needs) > 1:
                entry = maker.join(reduce_null, initial=None, node_id=f"join{i}")
                maker.add(maker.edge_from(entry).to(steps[i]))
            entries.append(entry)
        following: list[list[Any]] = [[] for _ in graph]
        for i, needs in enumerate(graph):
            for k in needs:
                following[k].append(entries[i])
        maker.add(
            maker.edge_from(maker.start_node).to(*[e for e, needs in zip(entries, graph, strict=True) if not needs])
        )
        for step, targets in zip(steps, following, strict=True):
            maker.add(maker.edge_from(step).to(*(targets or [maker.end_node])))
        made, last = maker.build(validate_graph_structure=False), len(graph) - 1

        async def run() -> Any:
            values: dict[int, int] = {}
            await made.run(state=values)
            return values[last]

        return run

    yield build


PEERS: Final = (
    Peer(
        name="pydantic-graph async",
        distribution="pydantic-graph",
        install="pip install 'pydantic-graph>=2.68'",
        kind="noop",
        loop="asyncio",
        how="GraphBuilder with steps, edges and joins; graph.run()",
        cannot="building grows with the square of the joins, at least",
        steps=300,
        opened=opened,
    ),
)
