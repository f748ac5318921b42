"""Dask: delayed calls, computed by one of its schedulers: in this thread, in a pool of threads, or distributed.

The distributed one is a cluster in this process, without a dashboard and off the network (`processes=False`). It sends
functions to its workers: one of a module by its name, any other by its code, which would cost five milliseconds a step. So
it is given one function of this module, and what that is to call is looked up here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

from ..graphs import Graph
from ._peer import Build, Peer


def _delayed(graph: Graph, functions: Sequence[Any]) -> Any:
    """The last of the calls."""
    import dask

    calls: list[Any] = []
    for i, (needs, function) in enumerate(zip(graph, functions, strict=True)):
        calls.append(dask.delayed(function, pure=False, name=f"n{i}")(*[calls[k] for k in needs]))
    return calls[-1]


_functions: Final[list[Sequence[Any]]] = []


def call(build: int, number: int, *values: int) -> int:
    """Step `number` of a graph."""
    value: int = _functions[build][number](*values)
    return value


def _delayed_by_number(graph: Graph, functions: Sequence[Any]) -> Any:
    """As above, by way of `call`."""
    import dask

    _functions.append(functions)
    delayed, build, calls = dask.delayed(call, pure=False), len(_functions) - 1, list[Any]()
    for i, needs in enumerate(graph):
        calls.append(delayed(build, i, *[calls[k] for k in needs]))
    return calls[-1]


def _opened_with(scheduler: str) -> Callable[[], Any]:
    @contextmanager
    def opened() -> Iterator[Build]:
        def build(graph: Graph, functions: Sequence[Any]) -> Callable[[], Any]:
            last = _delayed(graph, functions)
            return lambda: last.compute(scheduler=scheduler)

        yield build

    return opened


@contextmanager
def opened_distributed() -> Iterator[Build]:
    """A scheduler and a worker with as many threads as it chooses, all in this process."""
    import dask
    from distributed import Client

    dask.config.set({"distributed.worker.daemon": False})
    with Client(processes=False, n_workers=1, dashboard_address=None) as client:

        def build(graph: Graph, functions: Sequence[Any]) -> Callable[[], Any]:
            last = _delayed_by_number(graph, functions)
            return lambda: client.compute(last).result()

        yield build


INSTALL: Final = "pip install 'dask[distributed]>=2026.8'"
PEERS: Final = (
    Peer(
        name="Dask sync",
        distribution="dask",
        install=INSTALL,
        kind="sync",
        how="delayed(function)(*calls), the last one .compute(scheduler='sync')",
        cannot="one call at a time",
        opened=_opened_with("sync"),
    ),
    Peer(
        name="Dask threads",
        distribution="dask",
        install=INSTALL,
        kind="sync",
        clock="wall",
        how="the same with scheduler='threads'",
        opened=_opened_with("threads"),
    ),
    Peer(
        name="Dask distributed",
        distribution="distributed",
        install=INSTALL,
        kind="sync",
        clock="wall",
        how="the same with client.compute(), a local cluster in this process",
        steps=300,
        opened=opened_distributed,
    ),
)
