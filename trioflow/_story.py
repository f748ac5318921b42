"""The facts of one run, put together: what lasted from which fact to which, in what, and what it needed.

Order is that of the facts, never that of their times: in virtual time, and between quick steps, much happens at the same
moment, and only the order tells what came of what.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Final, Literal, TypeAlias

import attrs

from . import _drawing, abc
from ._drawing import Node

Kind: TypeAlias = Literal["run", "step", "attempt", "delay", "sleep", "wait"]


@attrs.define(eq=False)
class Span:
    """Something that lasts. Compared, and hashed, by identity."""

    kind: Kind
    path: abc.Path
    #: What it is in.
    within: Span | None
    #: Number and time of the fact with which it began.
    began: int
    begin: float
    #: The fact itself.
    fact: abc.Fact
    #: Those with which it ended: as far as is known. `over` is None if it has not.
    ended: int = -1
    end: float = math.nan
    over: abc.Fact | None = None
    #: What it depends on, as far as that was recorded.
    needs: tuple[Span, ...] = ()
    lane: int = -1

    @property
    def seconds(self) -> float:
        return self.end - self.begin


STARTS: Final[dict[type[abc.Fact], Kind]] = {
    abc.WorkflowStarted: "run",
    abc.StepStarted: "step",
    abc.AttemptStarted: "attempt",
    abc.SleepStarted: "sleep",
    abc.WaitStarted: "wait",
}
ENDS: Final[dict[type[abc.Fact], tuple[Kind, _drawing.State]]] = {
    abc.WorkflowCompleted: ("run", "succeeded"),
    abc.WorkflowErrored: ("run", "failed"),
    abc.WorkflowTerminated: ("run", "cancelled"),
    abc.StepCompleted: ("step", "succeeded"),
    abc.StepErrored: ("step", "failed"),
    abc.StepCancelled: ("step", "cancelled"),
    abc.AttemptCompleted: ("attempt", "succeeded"),
    abc.AttemptErrored: ("attempt", "failed"),
    abc.SleepCompleted: ("sleep", "succeeded"),
    abc.SleepCancelled: ("sleep", "cancelled"),
    abc.WaitCompleted: ("wait", "succeeded"),
    abc.WaitTimedOut: ("wait", "failed"),
    abc.WaitCancelled: ("wait", "cancelled"),
}


class Story:
    """The facts of one run, put together."""

    def __init__(self, facts: list[abc.Fact]) -> None:
        self.facts = facts
        #: In the order in which they began.
        self.spans: list[Span] = []
        self.reused: list[tuple[int, abc.StepReused]] = []
        #: Which of them have not ended.
        self.open: dict[tuple[Kind, abc.Path], Span] = {}
        #: The bodies that have an outcome, by path.
        self.settled: dict[abc.Path, Span] = {}
        for number, fact in enumerate(facts):
            self._read(number, fact)
        for span in self.spans:
            if span.over is None and span.ended < 0:
                span.ended, span.end = len(facts), facts[-1].time

    def _read(self, number: int, fact: abc.Fact) -> None:
        kind = STARTS.get(type(fact))
        if kind is not None:
            self._begin(kind, number, fact)
        elif type(fact) in ENDS:
            self._end(ENDS[type(fact)][0], number, fact)
        elif isinstance(fact, abc.StepReused):
            self.reused.append((number, fact))

    def _begin(self, kind: Kind, number: int, fact: abc.Fact) -> None:
        path = fact.path if isinstance(fact, abc.StepFact) else ()
        if kind in ("attempt", "delay"):
            self._close("delay", path, number, fact)
            within = self.open.get(("step", path))
        else:
            within = self.around(path)
        span = Span(kind, path, within, number, fact.time, fact)
        if isinstance(fact, abc.StepStarted):
            span.needs = tuple(self.settled[d] for d in dict.fromkeys(fact.depends) if d in self.settled)
        self.open[kind, path] = span
        self.spans.append(span)

    def around(self, path: abc.Path) -> Span | None:
        """What is going on of that in which something of this path happens."""
        if not path:
            return None
        outer = path[:-1]
        return self.open.get(("attempt", outer)) or self.open.get(("step" if outer else "run", outer))

    def _end(self, kind: Kind, number: int, fact: abc.Fact) -> None:
        path = fact.path if isinstance(fact, abc.StepFact) else ()
        if kind == "step":  # an attempt that is cancelled has no end of its own
            self._close("attempt", path, number, fact)
            self._close("delay", path, number, fact)
        span = self._close(kind, path, number, fact)
        if span is not None and isinstance(fact, abc.StepCompleted | abc.StepErrored):
            self.settled[path] = span
        if isinstance(fact, abc.AttemptErrored) and fact.retry_in is not None:
            self._begin("delay", number, fact)

    def _close(self, kind: Kind, path: abc.Path, number: int, fact: abc.Fact) -> Span | None:
        span = self.open.pop((kind, path), None)
        if span is not None:
            span.ended, span.end, span.over = number, fact.time, fact
        return span

    @property
    def is_over(self) -> bool:
        return isinstance(self.facts[-1], abc.WorkflowCompleted | abc.WorkflowErrored | abc.WorkflowTerminated)


def nodes_of(story: Story) -> Iterator[Node]:
    nodes: dict[tuple[Kind, abc.Path], Node] = {}
    for span in story.spans:
        if span.kind not in ("step", "sleep", "wait"):
            continue
        depends = span.fact.depends if isinstance(span.fact, abc.StepStarted) else ()
        for needed in depends:
            nodes.setdefault(("step", needed), Node(needed, "succeeded"))
        if span.over is None:
            state: _drawing.State = "cancelled" if story.is_over else "running"
            node = Node(span.path, state, None, depends, kind=span.kind)
        else:
            node = Node(span.path, ENDS[type(span.over)][1], span.seconds, depends, kind=span.kind)
        nodes[span.kind, span.path] = node
    for _, fact in story.reused:  # what had been done before anybody recorded
        nodes.setdefault((fact.kind, fact.path), Node(fact.path, "succeeded", kind=fact.kind))
    yield from nodes.values()
