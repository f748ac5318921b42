"""Hamilton: functions in a module, wired by the names of their parameters; a driver is asked for the last one.

As its documentation shows for functions that are made on the fly: `ad_hoc_utils.create_temporary_module`, then the builder
of the driver, sync or async. A driver can be executed again and again, so making it counts as building. Of a step with
many dependencies the sync one compares each with each, which is what makes a fan of 1,000 dear.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

from ..graphs import Graph
from ._peer import Build, Peer, named


def _module(graph: Graph, functions: Sequence[Any], *, asynchronous: bool) -> Any:
    from hamilton import ad_hoc_utils

    return ad_hoc_utils.create_temporary_module(*named(graph, functions, asynchronous=asynchronous))


@contextmanager
def opened_sync() -> Iterator[Build]:
    """Nothing has to be there; it is told not to report its use."""
    os.environ["HAMILTON_TELEMETRY_ENABLED"] = "false"
    from hamilton import driver

    def build(graph: Graph, functions: Sequence[Any]) -> Callable[[], Any]:
        made = driver.Builder().with_modules(_module(graph, functions, asynchronous=False)).build()
        last = f"n{len(graph) - 1}"
        return lambda: made.execute([last])[last]

    yield build


@contextmanager
def opened_async() -> Iterator[Build]:
    """As above, on asyncio."""
    os.environ["HAMILTON_TELEMETRY_ENABLED"] = "false"
    from hamilton import async_driver

    async def build(graph: Graph, functions: Sequence[Any]) -> Callable[[], Any]:
        made = await async_driver.Builder().with_modules(_module(graph, functions, asynchronous=True)).build()
        last = f"n{len(graph) - 1}"

        async def run() -> Any:
            return (await made.execute([last]))[last]

        return run

    yield build


INSTALL: Final = "pip install 'sf-hamilton>=1.90'"
PEERS: Final = (
    Peer(
        name="Hamilton sync",
        distribution="sf-hamilton",
        install=INSTALL,
        kind="sync",
        how="driver.Builder().with_modules(...).build().execute([last])",
        cannot="its depth is bounded by the recursion limit; one function at a time",
        opened=opened_sync,
    ),
    Peer(
        name="Hamilton async",
        distribution="sf-hamilton",
        install=INSTALL,
        kind="noop",
        loop="asyncio",
        how="async_driver.Builder().with_modules(...).build(), await execute([last])",
        cannot="a failure leaves the other tasks running",
        opened=opened_async,
    ),
)
