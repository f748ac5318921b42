"""What a run leaves behind in files: its graph, and a trace to look at on a time line.

Both come from what a `trioflow.trace.Recorder` was told. The graph shows the steps that never began, too, as the run declared
them: in the picture of a failure they are what is missing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path as FilePath
from typing import Any, Final, final

import attrs

from ._arguments import Target, UsageError
from ._drawing import Node, dot, mermaid
from ._step import Step
from ._streams import say
from .trace import Recorder

_DRAWN_BY: Final = {".mmd": mermaid, ".mermaid": mermaid, ".dot": dot, ".gv": dot}


@final
@attrs.define(eq=False)
class Files:
    """The files that the command line asks for, and what is to be written there. Open until `close`."""

    recorder: Recorder
    graph: Target | None
    trace: Target | None

    @classmethod
    def opened(cls, graph: str | None, trace: str | None, until: ExitStack) -> Files:
        """Raises `UsageError` for a file that can't be written, and for a graph of an unknown kind."""
        targets: dict[str, Target | None] = {}
        if graph is not None and FilePath(graph).suffix.lower() not in _DRAWN_BY:
            kinds = ", ".join(_DRAWN_BY)
            raise UsageError(f"--graph: {graph} says not how to draw: its name has to end in one of {kinds}")
        for option, path in (("--graph", graph), ("--trace", trace)):
            targets[option] = None if path is None else Target.opened(option, path)
            if (target := targets[option]) is not None:
                until.callback(target.close)
        return cls(Recorder(), targets["--graph"], targets["--trace"])

    def write(self, steps: Sequence[Step[Any]]) -> bool:
        """Write what there is. False, and a line on standard error, if that wasn't possible."""
        written = True
        for target, text in self._texts(steps):
            try:
                target.write(text)
            except OSError as exc:
                say(f"trioflow: {target.path} can't be written: {exc.strerror}")
                written = False
        return written

    def _texts(self, steps: Sequence[Step[Any]]) -> Iterator[tuple[Target, str]]:
        if self.graph is not None:
            draw = _DRAWN_BY[FilePath(self.graph.path).suffix.lower()]
            yield self.graph, draw(whole_graph(self.recorder.nodes(), steps))
        if self.trace is not None:
            yield self.trace, self.recorder.to_chrome_trace()


def whole_graph(told: Sequence[Node], steps: Sequence[Step[Any]]) -> list[Node]:
    """The declared steps in their order, whether begun or not, then the sleeps and waits."""
    known = {(node.kind, node.path): node for node in told}
    nodes: dict[Any, Node] = {}
    for step in steps:
        path = step.path
        declared = Node(path, step.status, None, tuple(d.path for d in step.dependencies))
        nodes["step", path] = known.get(("step", path), declared)
    return [*nodes.values(), *(node for key, node in known.items() if key not in nodes)]
