"""Claim: whatever else one would take for it, a step costs less here, on every shape.

Each peer is driven as its own documentation says, in a file of its own, on the same graphs and with the same bodies as
trioflow, in a process of its own; and so is trioflow, which is a row like the others. Beside each stands the runner
written by hand, in the same process by turns and by the same clock: the ratios to it can be compared with each other.
Running is what counts; building the graph is a column of its own. What a peer can't do is a row that says so: not installed,
recursion limit, crashed, no answer in time. Peers do more than run steps, and are made for steps that take longer than
nothing: what they cost a step is what this shows, and no more.

What would change our mind: a row that is less than twice as slow; a peer that is driven in a way its authors wouldn't
recommend; anybody who knows better should change its file.

- `_peer.py` what a peer is, `_serve.py` its process, `_worker.py` who asks that process;
- one file per system; `cloudflare.md`, a recipe for the one that can't be installed with pip.
"""

from __future__ import annotations

import atexit
import importlib
from collections.abc import Iterator
from typing import Any, Final

from .._measure import Case, Chapter, Side
from ._peer import Peer
from ._worker import Worker, close

MODULES: Final = (
    "trioflow_",
    "async_dag_",
    "dagio_",
    "hamilton_",
    "pipefunc_",
    "dask_",
    "pydantic_graph_",
    "langgraph_",
    "redun_",
    "luigi_",
    "dbos_",
    "prefect_",
)
SHAPES: Final = ("chain", "fan", "ladder", "layered")
MORE_SHAPES: Final = ("dense", "tree", "forest", "random")
#: Peers that get smaller graphs than this are slow, and get fewer rounds, too.
USUAL: Final = 1000
#: Seconds for all rounds of one case, the first left out.
SECONDS: Final = 4.0


def all_workers() -> list[Worker]:
    """One for each way of using a peer; none is started yet."""
    atexit.register(close)
    found = []
    for module in MODULES:
        peers: tuple[Peer, ...] = importlib.import_module(f"{__name__}.{module}").PEERS
        found += [Worker(peer, module, number) for number, peer in enumerate(peers)]
    return found


def _case(worker: Worker, shape: str, steps: int, chapters: frozenset[Chapter], **options: Any) -> Case:
    """The peer beside the runner written by hand."""
    peer = worker.peer

    async def mine() -> float:
        return worker.ask("peer", shape, steps)["running"]

    async def beside() -> float:
        return worker.ask("hand", shape, steps)["running"]

    return Case(
        name=f"{peer.name} {shape} of {steps:,}",
        per=f"step, {peer.clock}",
        sides=lambda: (mine, beside),
        budget=None,
        weight=1 if peer.steps >= USUAL else 2,
        seconds=SECONDS,
        chapters=chapters,
        **options,
    )


def _alone(worker: Worker, what: str, unit: Any, key: str, chapters: frozenset[Chapter], **about: str | int) -> Case:
    peer = worker.peer

    async def mine() -> float:
        if key == "bytes":
            close()  # a process that has held nothing yet
        return worker.ask("memory" if key == "bytes" else "peer", "layered", peer.steps)[key]

    async def side() -> float:
        return await mine()

    sides: tuple[Side, None] = (side, None)
    return Case(
        name=f"{peer.name} {what} of {peer.steps:,}",
        per=f"step, {peer.clock}" if unit == "us" else "step",
        sides=lambda: sides,
        budget=None,
        unit=unit,
        judged_by="alone",
        weight=2,
        seconds=SECONDS,
        chapters=chapters,
        about=about,
    )


def _label(peer: Peer, steps: int) -> str:
    """Its name and version, and what is different with it."""
    different = [f"{steps} steps"] * (peer.steps < USUAL) + ["wall time"] * (peer.clock == "wall")
    return " ".join(filter(None, [peer.name, peer.version, f"({', '.join(different)})" * bool(different)]))


def cases(n: int) -> Iterator[Case]:
    """Every peer: in graphs of n steps, or of as many as it can be given; at several sizes; and what it holds."""
    for worker in all_workers():
        peer = worker.peer
        steps = min(n, peer.steps)
        system = _label(peer, steps)
        for shape in (*SHAPES, *MORE_SHAPES):
            chapters: frozenset[Chapter] = frozenset({"peers"} if shape in SHAPES else {"peers", "rare"})
            yield _case(worker, shape, steps, chapters, about={"system": system, "shape": shape, "clock": peer.clock})
        about: dict[str, str | int] = {"system": system, "shape": "building layered", "clock": peer.clock}
        yield _alone(worker, "building layered", "us", "building", frozenset({"peers"}), **about)
        for size in (steps // 10, steps * 10):
            series: dict[str, str | int] = {"series": system, "steps": size}
            yield _case(worker, "layered", size, frozenset({"peers", "scale"}), about=series)
        held: dict[str, str | int] = {"series": system, "steps": peer.steps}
        yield _alone(worker, "memory", "bytes", "bytes", frozenset({"peers", "memory"}), **held)
