"""What a prediction says: spans of bodies, answers to those who await, and how far it reaches.

The model makes it, the judge compares it with what was seen. The two share these values and nothing else.
"""

from __future__ import annotations

from typing import Literal, final

import attrs

from trioflow.testing.spec import DagSpec

__all__ = ["Answer", "Kind", "Prediction", "Span", "critical_path"]

Kind = Literal["value", "error", "cancelled", "closed"]
"""What a demand can get: the value of the step, its failure, `Cancelled`, or `RunClosedError`."""


@final
@attrs.frozen
class Span:
    """One execution of a body: an attempt."""

    #: When its first line ran.
    start: float
    #: When it saw `Cancelled`, if it did.
    cancelled: float | None
    #: When it was over.
    end: float
    #: How: with a value, with an error, or without an outcome.
    how: Literal["value", "error", "cancelled"]
    #: Which attempt it is, counted from 1.
    attempt: int = 1


@final
@attrs.frozen
class Answer:
    """What one demand got."""

    #: When.
    time: float
    #: The value of the step, its failure, `Cancelled`, or `RunClosedError`.
    kind: Kind
    #: The step whose body returned the value or raised the exception, or whose last attempt took too long.
    origin: int | None = None


@final
@attrs.frozen
class Prediction:
    """What ought to happen. Times are seconds since the run began."""

    #: Of each step, the executions of its body, in order.
    spans: tuple[tuple[Span, ...], ...]
    #: Of each demand, what it got; None if it was never made.
    answers: tuple[Answer | None, ...]
    #: When the run is over.
    ends: float
    #: The first instant that is not decided; all that happens before it is.
    exact_until: float


def critical_path(spec: DagSpec, node: int) -> float:
    """The longest way to the end of step `node`, in seconds.

    That is how long an await of it takes when everything is concurrent, nothing fails and nothing takes too long. It is
    worked out from the graph alone, as a check on `predict`.
    """
    ends: list[float] = []
    for i in range(node + 1):
        start = max((ends[d] for d in spec.dependencies(i)), default=0)
        ends.append(start + spec.seconds(i))
    return ends[node]
