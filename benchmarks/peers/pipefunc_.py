"""pipefunc: functions in a pipeline, wired by the names of outputs and parameters; run whole, or for one output.

`map` runs the generations of the graph, here in sequence (its documentation's `parallel=False`) and in threads; `run`, the
pipeline called as a function, resolves one output recursively. Making a pipeline takes time that grows with the cube of
its size or so (200 steps: one or two seconds; 1,000: more than a minute), so it is measured with 200.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, Final

from ..graphs import Graph
from ._peer import Build, Peer, named


def _pipeline(graph: Graph, functions: Sequence[Any]) -> Any:
    from pipefunc import PipeFunc, Pipeline

    made = [PipeFunc(f, f"n{i}") for i, f in enumerate(renamed(graph, functions))]
    return Pipeline(made, validate_type_annotations=False)


def renamed(graph: Graph, functions: Sequence[Any]) -> list[Any]:
    """Its functions must not be called like what they give."""
    made = named(graph, functions)
    for function in made:
        function.__name__ = function.__qualname__ = f"make_{function.__name__}"
    return made


@contextmanager
def opened_map() -> Iterator[Build]:
    """Results stay in memory: no run folder."""

    def build(graph: Graph, functions: Sequence[Any]) -> Callable[[], Any]:
        made, last = _pipeline(graph, functions), f"n{len(graph) - 1}"
        return lambda: made.map({}, parallel=False, storage="dict", show_progress=False)[last].output

    yield build


@contextmanager
def opened_threads() -> Iterator[Build]:
    """A pool of threads, made once."""
    with ThreadPoolExecutor() as pool:

        def build(graph: Graph, functions: Sequence[Any]) -> Callable[[], Any]:
            made, last = _pipeline(graph, functions), f"n{len(graph) - 1}"
            return lambda: made.map({}, executor=pool, storage="dict", show_progress=False)[last].output

        yield build


@contextmanager
def opened_run() -> Iterator[Build]:
    """Nothing has to be there."""

    def build(graph: Graph, functions: Sequence[Any]) -> Callable[[], Any]:
        made, last = _pipeline(graph, functions), f"n{len(graph) - 1}"
        return lambda: made.run(last, kwargs={})

    yield build


INSTALL: Final = "pip install 'pipefunc>=0.93'"
PEERS: Final = (
    Peer(
        steps=200,
        name="pipefunc map",
        distribution="pipefunc",
        install=INSTALL,
        kind="sync",
        how="Pipeline([...]).map({}, parallel=False)",
        cannot="a generation waits for the whole one before",
        opened=opened_map,
    ),
    Peer(
        steps=200,
        name="pipefunc map, threads",
        distribution="pipefunc",
        install=INSTALL,
        kind="sync",
        clock="wall",
        how="Pipeline([...]).map({}, executor=ThreadPoolExecutor())",
        cannot="a generation waits for the whole one before",
        opened=opened_threads,
    ),
    Peer(
        steps=200,
        name="pipefunc run",
        distribution="pipefunc",
        install=INSTALL,
        kind="sync",
        how="Pipeline([...]).run(last, kwargs={})",
        cannot="its depth is bounded by the recursion limit; one function at a time",
        opened=opened_run,
    ),
)
