"""LangGraph: a StateGraph with a node per step, whose values are merged into one dictionary of the state.

As its documentation shows: a TypedDict with a reducer, `add_node`, `add_edge` (from a list where a node waits for several),
`compile`, `invoke` or `ainvoke`. Nodes run in supersteps: each waits for the whole one before. Without a checkpointer.
"""

from __future__ import annotations

import operator
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Annotated, Any, Final, TypedDict

from ..graphs import Graph
from ._peer import Build, Peer


class State(TypedDict):
    """What the nodes have given so far."""

    values: Annotated[dict[int, int], operator.or_]


def _node(i: int, needs: Sequence[int], function: Any) -> Any:
    def node(state: State) -> dict[str, dict[int, int]]:
        values = state["values"]
        return {"values": {i: function(*[values[k] for k in needs])}}

    return node


def _async_node(i: int, needs: Sequence[int], function: Any) -> Any:
    async def node(state: State) -> dict[str, dict[int, int]]:
        values = state["values"]
        return {"values": {i: await function(*[values[k] for k in needs])}}

    return node


def _compiled(graph: Graph, functions: Sequence[Any], node: Callable[..., Any]) -> Any:
    from langgraph.graph import END, START, StateGraph

    made: Any = StateGraph(State)
    for i, (needs, function) in enumerate(zip(graph, functions, strict=True)):
        made.add_node(f"n{i}", node(i, needs, function))
        if len(needs) > 1:
            made.add_edge([f"n{k}" for k in needs], f"n{i}")
        else:
            made.add_edge(f"n{needs[0]}" if needs else START, f"n{i}")
    made.add_edge(f"n{len(graph) - 1}", END)
    return made.compile()


@contextmanager
def opened_sync() -> Iterator[Build]:
    """Nothing has to be there; it is told not to trace."""
    os.environ["LANGSMITH_TRACING"] = "false"

    def build(graph: Graph, functions: Sequence[Any]) -> Callable[[], Any]:
        made, last, config = _compiled(graph, functions, _node), len(graph) - 1, {"recursion_limit": 2 * len(graph)}
        return lambda: made.invoke({"values": {}}, config)["values"][last]

    yield build


@contextmanager
def opened_async() -> Iterator[Build]:
    """As above, on asyncio."""
    os.environ["LANGSMITH_TRACING"] = "false"

    def build(graph: Graph, functions: Sequence[Any]) -> Callable[[], Any]:
        made, last = _compiled(graph, functions, _async_node), len(graph) - 1
        config = {"recursion_limit": 2 * len(graph)}

        async def run() -> Any:
            return (await made.ainvoke({"values": {}}, config))["values"][last]

        return run

    yield build


INSTALL: Final = "pip install 'langgraph>=1.2'"
PEERS: Final = (
    Peer(
        name="LangGraph sync",
        distribution="langgraph",
        install=INSTALL,
        kind="sync",
        clock="wall",
        how="StateGraph with a reducer, add_node, add_edge, compile().invoke(); its nodes run in threads",
        cannot="a superstep waits for the whole one before",
        opened=opened_sync,
    ),
    Peer(
        name="LangGraph async",
        distribution="langgraph",
        install=INSTALL,
        kind="noop",
        loop="asyncio",
        how="the same with ainvoke()",
        cannot="a superstep waits for the whole one before",
        opened=opened_async,
    ),
)
