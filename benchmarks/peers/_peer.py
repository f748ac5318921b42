"""What every peer is made of: a few facts about it, and a function that makes a graph in its own terms.

A peer's module is imported without what it measures being there: whatever it needs of that is imported in `opened`.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any, Literal, TypeAlias, final

import attrs

from ..bodies import Kind
from ..graphs import Graph

#: Makes a graph whose bodies are these functions, which take values by position. What comes out is called once: it runs
#: the graph and gives the value of its last step, or a `Within`; it may be async, if its peer has a loop.
Build: TypeAlias = Callable[[Graph, Sequence[Any]], Any]


@final
@attrs.frozen
class Within:
    """The value of a run that has built its graph itself, and how many seconds of it that took."""

    value: int
    building: float


@final
@attrs.frozen(kw_only=True)
class Peer:
    """A system, and one way of using it."""

    name: str
    #: What pip installs, and the command that does.
    distribution: str
    install: str
    #: Which bodies it is given.
    kind: Kind
    #: In which loop what was built is awaited.
    loop: Literal["none", "asyncio", "trio"] = "none"
    #: CPU time of the thread where one thread does it all; wall time if there are more, or processes, or a server.
    clock: Literal["CPU", "wall"] = "CPU"
    #: How it is driven, and what it can't do, in a line each.
    how: str
    cannot: str = ""
    #: In how large graphs it is measured at most: slow ones get by with fewer.
    steps: int = 1000
    #: It is part of this project, and there without being installed.
    here: bool = False
    #: Bodies run in this process's memory, so that all values can be seen and not only the last.
    visible: bool = True
    #: Starts what has to be there (a cluster, a database in a folder of its own), gives the function that builds, and
    #: ends it all.
    opened: Callable[[], AbstractContextManager[Build]]

    @property
    def version(self) -> str | None:
        """What is installed; None if nothing is."""
        if self.here:
            return ""
        try:
            return importlib.metadata.version(self.distribution)
        except importlib.metadata.PackageNotFoundError:
            return None


def named(graph: Graph, functions: Sequence[Any], *, asynchronous: bool = False) -> list[Any]:
    """Functions `n0`, `n1` ..., whose parameters are called like the steps that they need: some systems wire by name."""
    made = []
    word, wait = ("async ", "await ") if asynchronous else ("", "")
    for i, (needs, function) in enumerate(zip(graph, functions, strict=True)):
        parameters = ", ".join(f"n{k}: int" for k in needs)
        arguments = ", ".join(f"n{k}" for k in needs)
        scope: dict[str, Any] = {"function": function, "__name__": "graph"}
        exec(f"{word}def n{i}({parameters}) -> int:\n    return {wait}function({arguments})", scope)
        made.append(scope[f"n{i}"])
    return made
