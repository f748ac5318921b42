"""One peer in a process of its own: `python -m benchmarks.peers._serve MODULE NUMBER` reads requests and answers them.

A request is a line of JSON with what is asked, a shape and a number of steps. `peer` runs the graph once on the peer,
`hand` on the runner written by hand; the answer has microseconds per step. Each graph is first run once with functions that
note what they gave, so that every step is known to have run, once, with the right values; afterwards the last value is
enough. `memory` tells how many bytes per step that first run has added to what the process has had resident at most.

What a peer prints goes nowhere, and its imports, threads and settings burden nobody else. What it has imported is frozen
(`gc.freeze`): the collector would otherwise walk it in the midst of both sides.
"""

from __future__ import annotations

import asyncio
import gc
import importlib
import inspect
import json
import os
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from typing import Any, Final, final

import attrs
import trio

from .. import bodies, by_hand, graphs
from .._measure import most_resident
from ._peer import Build, Peer, Within

CLOCKS: Final[dict[str, Callable[[], float]]] = {"CPU": time.thread_time, "wall": time.perf_counter}
#: The steps of a graph that loads whatever a peer loads only when it is first used.
FEW: Final = 20


class WrongError(Exception):
    """The peer gave something else than the graph says."""


@final
@attrs.frozen
class Timed:
    """Microseconds per step."""

    building: float
    running: float


@final
@attrs.define(eq=False)
class Server:
    """Runs one peer, which is open."""

    peer: Peer
    build: Build
    runner: asyncio.Runner = attrs.field(factory=asyncio.Runner)
    checked: dict[tuple[str, int], float] = attrs.field(factory=dict)

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """What is asked for, or why it can't be had."""
        shape, n = request["shape"], request["steps"]
        graph: graphs.Graph = getattr(graphs, shape)(n)
        try:
            if (shape, n) not in self.checked:
                self.checked[shape, n] = self.check(graph)
            if request["ask"] == "memory":
                return {"bytes": self.checked[shape, n]}
            if request["ask"] == "hand":
                kinds = [self.peer.kind] * len(graph)
                return {"running": trio.run(lambda: by_hand.spend(graph, kinds, read=CLOCKS[self.peer.clock]))}
            return attrs.asdict(self.run(graph, bodies.make(graph, [self.peer.kind] * len(graph))))
        except WrongError as exc:
            return {"wrong": str(exc)}
        except RecursionError:
            return {"cannot": "RecursionError: its depth is bounded by Python's recursion limit"}
        except Exception as exc:
            return {"cannot": f"{type(exc).__name__}: {' '.join(str(exc).split())[:200]}"}

    def check(self, graph: graphs.Graph) -> float:
        """Run it once and look at every step. Gives bytes per step."""
        expected, seen = bodies.expected(graph), list[tuple[int, int]]()
        functions = [noting(i, f, seen) for i, f in enumerate(bodies.make(graph, [self.peer.kind] * len(graph)))]
        before = most_resident()
        self.run(graph, functions)
        grown = (most_resident() - before) / len(graph)
        if self.peer.visible and sorted(seen) != list(enumerate(expected)):
            wrong = sorted(set(enumerate(expected)).symmetric_difference(seen))
            raise WrongError(f"{len(seen)} of {len(graph)} steps have run; not as they should: {wrong[:3]}")
        return grown

    def run(self, graph: graphs.Graph, functions: Sequence[Any]) -> Timed:
        """Build it and run it, once."""
        read = CLOCKS[self.peer.clock]
        gc.collect()
        begun = read()
        built = self.build(graph, functions)
        if inspect.isawaitable(built):
            built = self.runner.run(awaiting(built))
        building = read() - begun
        gc.collect()
        value, running = self.called(built)
        if isinstance(value, Within):
            building, running, value = building + value.building, running - value.building, value.value
        if value != bodies.expected(graph)[-1]:
            raise WrongError(f"the last of {len(graph)} steps gave {value!r} instead of {bodies.expected(graph)[-1]}")
        return Timed(building / len(graph) * 1e6, running / len(graph) * 1e6)

    def called(self, built: Callable[[], Any]) -> tuple[Any, float]:
        """What comes out, and the seconds that it took; the start of a loop left out."""
        read = CLOCKS[self.peer.clock]

        async def within() -> tuple[Any, float]:
            begun = read()
            value = await built()
            return value, read() - begun

        if self.peer.loop == "asyncio":
            return self.runner.run(within())
        if self.peer.loop == "trio":
            return trio.run(within)
        begun = read()
        value = built()
        return value, read() - begun


async def awaiting(awaitable: Any) -> Any:
    return await awaitable


def noting(i: int, function: Any, seen: list[tuple[int, int]]) -> Any:
    """A body that notes its number and its value."""
    if inspect.iscoroutinefunction(function):

        async def noted(*arguments: int) -> int:
            value: int = await function(*arguments)
            seen.append((i, value))
            return value

        return noted

    def noted_sync(*arguments: int) -> int:
        value: int = function(*arguments)
        seen.append((i, value))
        return value

    return noted_sync


def main() -> None:
    """Serve until there are no more requests."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    warnings.simplefilter("ignore")
    peers: Sequence[Peer] = importlib.import_module(f"benchmarks.peers.{sys.argv[1]}").PEERS
    peer = peers[int(sys.argv[2])]
    with peer.opened() as build:
        server = Server(peer, build)
        server.answer({"ask": "peer", "shape": "layered", "steps": FEW})
        gc.collect()
        gc.freeze()
        print(json.dumps({"ready": True}), file=answers, flush=True)
        for line in sys.stdin:
            print(json.dumps(server.answer(json.loads(line))), file=answers, flush=True)


if __name__ == "__main__":
    main()
