"""Claim: what a step is given beside its body costs a few microseconds, and who doesn't use it pays nothing.

What stands beside is trioflow itself, the same graph without it; the figure is the difference. A timeout costs a cancel
scope, a policy a frame round the body, a recorder four facts (a step's begin and end, an attempt's begin and end). A
failed attempt costs raising, catching and a sleep of no length; setting a context variable, what the context of its own
that each body has makes of it.

What would change our mind: an instrument that wants nothing and still costs something; then the question whether
anybody listens is asked too often.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from trioflow import Retries, StepConfig
from trioflow.abc import Instrument
from trioflow.trace import Recorder

from . import _budgets, bodies, ours
from ._budgets import Budget
from ._measure import EVERYDAY, RARE, Case, Side
from .graphs import layered
from .steps import kinds_of


def _case(
    name: str,
    n: int,
    budget: Budget | None,
    config: StepConfig | None = None,
    *,
    instruments: Sequence[type[Instrument]] = (),
    kind: bodies.Kind = "noop",
) -> Case:
    def sides() -> tuple[Side, Side]:
        graph = layered(n)

        async def mine() -> float:
            extras: dict[str, Any] = {"defaults": config, "instruments": [make() for make in instruments]}
            return (await ours.spend(graph, kinds_of(kind, len(graph)), **extras)).running

        async def beside() -> float:
            return (await ours.spend(graph, kinds_of("noop", len(graph)))).running

        return mine, beside

    chapters = EVERYDAY if budget is not None else RARE
    return Case(name=f"with {name}", per="step", sides=sides, budget=budget, judged_by="difference", chapters=chapters)


def cases(n: int) -> Iterator[Case]:
    """Layered graphs of n no-op steps, with one thing more in each."""
    yield _case("retries", n, _budgets.RETRIES_MICROSECONDS, StepConfig(Retries(3, "1 second")))
    yield _case("timeout", n, _budgets.TIMEOUT_MICROSECONDS, StepConfig(timeout="1 minute"))
    yield _case("both", n, _budgets.TIMEOUT_MICROSECONDS, StepConfig(Retries(3, "1 second"), "1 minute"))
    yield _case("idle instrument", n, _budgets.IDLE_MICROSECONDS, instruments=(Instrument,))
    yield _case("recorder", n, _budgets.RECORDER_MICROSECONDS, instruments=(Recorder,))
    yield _case("a failed attempt", n, None, StepConfig(Retries(1, "0 seconds")), kind="flaky")
    yield _case("a context variable", n, None, kind="context")
