"""Luigi: a task with a parameter for each step, whose output is a target; built by a local scheduler in this process.

The targets are Luigi's own in memory (`MockTarget`), since files would measure the disk.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

from ..graphs import Graph
from ._peer import Build, Peer


@contextmanager
def opened() -> Iterator[Build]:
    """Nothing has to be there."""
    import luigi
    from luigi.mock import MockTarget

    logging.getLogger("luigi").setLevel(logging.CRITICAL)
    logging.getLogger("luigi-interface").setLevel(logging.CRITICAL)
    graphs: list[tuple[Graph, Sequence[Any]]] = []

    class Node(luigi.Task):  # type: ignore[misc]
        build = luigi.IntParameter()
        number = luigi.IntParameter()

        def requires(self) -> list[Any]:
            return [Node(self.build, k) for k in graphs[self.build][0][self.number]]

        def output(self) -> Any:
            return MockTarget(f"{self.build}/{self.number}")

        def run(self) -> None:
            values = []
            for target in self.input():
                with target.open() as source:
                    values.append(int(source.read()))
            with self.output().open("w") as sink:
                sink.write(str(graphs[self.build][1][self.number](*values)))

    def build(graph: Graph, functions: Sequence[Any]) -> Callable[[], Any]:
        graphs.append((graph, functions))
        last = Node(len(graphs) - 1, len(graph) - 1)

        def run() -> int:
            if not luigi.build([last], local_scheduler=True, log_level="CRITICAL"):
                raise RuntimeError("luigi.build says that it failed")
            with last.output().open() as source:
                return int(source.read())

        return run

    yield build


PEERS: Final = (
    Peer(
        name="Luigi",
        distribution="luigi",
        install="pip install 'luigi>=3.8'",
        kind="sync",
        clock="wall",
        how="luigi.build([last], local_scheduler=True), targets in memory",
        cannot="one task at a time with one worker",
        steps=300,
        opened=opened,
    ),
)
