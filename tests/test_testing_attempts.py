"""The testing kit on policies and names: the model against answers worked out by hand, and traces that were spoilt."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from typing import Any

import attrs
import pytest
from hypothesis import given

import trioflow
from tests.reference import Cell, Reference, Runtime, runtime
from trioflow.testing import Answer, BodyError, DagSpec, Demand, Event, Node, Trace, check, predict, run_dag
from trioflow.testing.judge import INVARIANTS
from trioflow.testing.spec import FinalError
from trioflow.testing.strategies import dags, random_dag
from trioflow.testing.world import Value

RUNTIMES = pytest.mark.parametrize(
    "run_workflow", [runtime(Reference), trioflow.run_workflow], ids=["reference", "trioflow"]
)

# ----------------------------------------------------------------------------------------------------- worked out by hand

FAILS = Node(seconds=1, fails=True, retries=2, delay=10)
#: Attempts, from 0 to 3 (it is stopped at 2), and after a delay from 7 to 10.
SLOW = Node(seconds=5, cleanup=1, timeout=2, retries=1, delay=4)


def one(node: Node, *demands: Demand) -> DagSpec:
    return DagSpec(nodes=[node], demands=demands or (Demand(),))


def error(time: float, origin: int = 0) -> Answer:
    return Answer(time, "error", origin)


#: A spec; of each step number, start, end and fate of its attempts; the answers.
BY_HAND: list[Any] = [
    pytest.param(
        one(FAILS), [[(1, 0, 1, "error"), (2, 11, 12, "error"), (3, 22, 23, "error")]], [error(23)], id="constant"
    ),
    pytest.param(
        one(attrs.evolve(FAILS, backoff="linear")),
        [[(1, 0, 1, "error"), (2, 11, 12, "error"), (3, 32, 33, "error")]],
        [error(33)],
        id="linear",
    ),
    pytest.param(
        one(attrs.evolve(FAILS, retries=3, backoff="exponential")),
        [[(1, 0, 1, "error"), (2, 11, 12, "error"), (3, 32, 33, "error"), (4, 73, 74, "error")]],
        [error(74)],
        id="exponential",
    ),
    pytest.param(
        one(Node(seconds=1, flaky=1, retries=5)),
        [[(1, 0, 1, "error"), (2, 1, 2, "value")]],
        [Answer(2, "value", 0)],
        id="succeeds in the end",
    ),
    pytest.param(
        one(Node(flaky=1, fails=True, final=True, retries=5, delay=3, sync=True)),
        [[(1, 0, 0, "error"), (2, 3, 3, "error")]],
        [error(3)],
        id="final",
    ),
    pytest.param(
        one(SLOW), [[(1, 0, 3, "cancelled"), (2, 7, 10, "cancelled")]], [error(10)], id="a timeout waits for clean-up"
    ),
    pytest.param(
        one(attrs.evolve(SLOW, afterwards="return")),
        [[(1, 0, 3, "value")]],
        [Answer(3, "value", 0)],
        id="what it returns while stopping counts",
    ),
    pytest.param(
        one(attrs.evolve(SLOW, afterwards="fail")),
        [[(1, 0, 3, "error"), (2, 7, 10, "error")]],
        [error(10)],
        id="what it raises while stopping is tried again",
    ),
    pytest.param(
        one(attrs.evolve(SLOW, afterwards="fail", final=True)),
        [[(1, 0, 3, "error")]],
        [error(3)],
        id="unless it is final",
    ),
    pytest.param(
        one(FAILS, Demand(timeout=5), Demand(at=8)),
        [[(1, 0, 1, "error"), (1, 8, 9, "error"), (2, 19, 20, "error"), (3, 30, 31, "error")]],
        [Answer(5, "cancelled"), error(31)],
        id="left in the delay, and begun afresh",
    ),
    pytest.param(
        one(FAILS, Demand(timeout=5), Demand(at=3)),
        [[(1, 0, 1, "error"), (2, 11, 12, "error"), (3, 22, 23, "error")]],
        [Answer(5, "cancelled"), error(23)],
        id="somebody else leaves in the delay",
    ),
    pytest.param(
        one(attrs.evolve(SLOW, cleanup=3), Demand(timeout=3)),
        [[(1, 0, 5, "cancelled")]],
        [Answer(5, "cancelled")],
        id="left while it stops because its time is up",
    ),
    pytest.param(
        one(attrs.evolve(SLOW, cleanup=3), Demand(timeout=3), Demand(at=4)),
        [[(1, 0, 5, "cancelled"), (1, 5, 10, "cancelled"), (2, 14, 19, "cancelled")]],
        [Answer(5, "cancelled"), error(19)],
        id="and wanted again before it has stopped",
    ),
    pytest.param(
        one(attrs.evolve(SLOW, cleanup=3, afterwards="fail"), Demand(timeout=3)),
        [[(1, 0, 5, "error")]],
        [error(5)],
        id="what it raises then is its outcome",
    ),
    pytest.param(
        one(attrs.evolve(SLOW, afterwards="fail"), Demand(timeout=1)),
        [[(1, 0, 2, "error")]],
        [error(2)],
        id="or what it raises while stopping because nobody wants it",
    ),
    pytest.param(
        DagSpec(nodes=[FAILS, Node(back=[1], retries=5, timeout=1)]),
        [[(1, 0, 1, "error"), (2, 11, 12, "error"), (3, 22, 23, "error")], []],
        [error(23)],
        id="a dependency's failure is not retried, nor its time counted",
    ),
    pytest.param(
        DagSpec(nodes=[FAILS, Node(seconds=3, fails=True), Node(back=[1, 2], concurrent=True)]),
        [[(1, 0, 1, "error")], [(1, 0, 3, "error")], []],
        [error(3, 1)],
        id="who is in a delay holds up no failure",
    ),
    pytest.param(
        DagSpec(nodes=[Node(seconds=1, fails=True), Node(awaits=[1], retries=1, delay=2)]),
        [[(1, 0, 1, "error")], [(1, 0, 1, "error"), (2, 3, 3, "error")]],
        [error(3)],
        id="a failure that a body awaits is the attempt's",
    ),
    pytest.param(
        DagSpec(nodes=[Node(seconds=5, cleanup=2), Node(awaits=[1], timeout=1, retries=1, cleanup=1)]),
        [[(1, 0, 3, "cancelled"), (1, 4, 7, "cancelled")], [(1, 0, 4, "cancelled"), (2, 4, 8, "cancelled")]],
        [error(8, 1)],
        id="its time is up while its body awaits another",
    ),
    pytest.param(
        DagSpec(nodes=[FAILS], demands=[Demand()], return_at=5),
        [[(1, 0, 1, "error")]],
        [Answer(5, "closed")],
        id="the run is closed in the delay",
    ),
    pytest.param(
        DagSpec(
            nodes=[attrs.evolve(SLOW, cleanup=5), Node(seconds=3, fails=True), Node(back=[1, 2], concurrent=True)],
            demands=[Demand(), Demand(node=2)],
        ),
        [[(1, 0, 7, "cancelled"), (2, 11, 18, "cancelled")], [(1, 0, 3, "error")], []],
        [error(3, 1), error(18)],
        id="who stops because its time is up and is wanted by others holds up no failure",
    ),
]


@pytest.mark.parametrize(("spec", "attempts", "answers"), BY_HAND)
@RUNTIMES
def test_attempts_by_hand(
    spec: DagSpec, attempts: list[list[tuple[int, float, float, str]]], answers: list[Answer], run_workflow: Runtime
) -> None:
    ought = predict(spec)

    assert [[(span.attempt, span.start, span.end, span.how) for span in many] for many in ought.spans] == attempts
    assert list(ought.answers) == answers
    assert ought.exact_until > max(answer.time for answer in answers)
    check(spec, run_dag(spec, run_workflow=run_workflow))
    check(spec, run_dag(attrs.evolve(spec), run_workflow=run_workflow, seed=1))


@pytest.mark.parametrize(
    ("spec", "since"),
    [
        pytest.param(one(Node(seconds=2, timeout=2)), 2, id="done when its time is up"),
        pytest.param(one(SLOW, Demand(timeout=2)), 2, id="left when its time is up"),
        pytest.param(one(FAILS, Demand(timeout=11)), 11, id="left when the next attempt is due"),
        pytest.param(one(FAILS, Demand(timeout=1)), 1, id="left when an attempt fails"),
    ],
)
@RUNTIMES
def test_where_the_schedule_decides_about_an_attempt_the_prediction_ends(
    spec: DagSpec, since: float, run_workflow: Runtime
) -> None:
    assert predict(spec).exact_until == since
    assert predict(attrs.evolve(spec, spread=True)).exact_until == math.inf
    for seed in range(20):
        check(spec, run_dag(spec, run_workflow=run_workflow, seed=seed))


@pytest.mark.parametrize("spec", [spec for spec, *_ in (param.values for param in BY_HAND)])
def test_what_is_spread_is_predicted_to_the_end(spec: DagSpec) -> None:
    assert predict(attrs.evolve(spec, spread=True)).exact_until == math.inf


# -------------------------------------------------------------------------------------------------------- spoilt traces

FLAKY = one(Node(seconds=1, flaky=1, retries=2, delay=2, timeout=3))
ONE, WRONG = Value(0, 2), BodyError(0)
TRIED = (
    Event(0, "ask", 0, 0),
    Event(0, "start", 0, (), 1),
    Event(1, "end", 0, ("error", WRONG)),
    Event(3, "start", 0, (), 2),
    Event(4, "end", 0, ("value", ONE)),
    Event(4, "answer", 0, ("value", ONE)),
    Event(4, "again", 0, ("value", ONE)),
    Event(4, "closing", -1),
    Event(4, "over", -1, ("value", "done")),
)
LATE = one(Node(seconds=5, cleanup=1, retries=1, timeout=2))
TOO_LATE = trioflow.WorkflowTimeoutError("too late", step="s0")
STOPPED = (
    Event(0, "ask", 0, 0),
    Event(0, "start", 0, (), 1),
    Event(2, "cancelled", 0),
    Event(3, "end", 0, ("cancelled", None)),
    Event(3, "start", 0, (), 2),
    Event(5, "cancelled", 0),
    Event(6, "end", 0, ("cancelled", None)),
    Event(6, "answer", 0, ("error", TOO_LATE)),
    Event(6, "again", 0, ("error", TOO_LATE)),
    Event(6, "closing", -1),
    Event(6, "over", -1, ("value", "done")),
)
LEFT = DagSpec(nodes=[Node(seconds=1, flaky=1, retries=1, delay=4)], demands=[Demand(timeout=2), Demand(at=3)])
AFRESH = (
    Event(0, "ask", 0, 0),
    Event(0, "start", 0, (), 1),
    Event(1, "end", 0, ("error", WRONG)),
    Event(2, "answer", 0, ("cancelled", None)),
    Event(3, "ask", 1, 0),
    Event(3, "start", 0, (), 1),
    Event(4, "end", 0, ("error", BodyError(0))),
    Event(8, "start", 0, (), 2),
    Event(9, "end", 0, ("value", ONE)),
    Event(9, "answer", 1, ("value", ONE)),
    Event(9, "again", 0, ("value", ONE)),
    Event(9, "closing", -1),
    Event(9, "over", -1, ("value", "done")),
)
FINAL = one(Node(seconds=1, fails=True, final=True, retries=2))
FOR_GOOD = FinalError(0)


def replaced(trace: tuple[Event, ...], index: int, *instead: Event, upto: int | None = None) -> Trace:
    return Trace((*trace[:index], *instead, *trace[index + 1 if upto is None else upto :]))


def later(trace: tuple[Event, ...], since: int, by: float) -> tuple[Event, ...]:
    return (*trace[:since], *(attrs.evolve(event, time=event.time + by) for event in trace[since:]))


@pytest.mark.parametrize(("spec", "trace"), [(FLAKY, TRIED), (LATE, STOPPED), (LEFT, AFRESH)])
def test_what_is_spoilt_below_is_right(spec: DagSpec, trace: tuple[Event, ...]) -> None:
    check(spec, Trace(trace))


@pytest.mark.parametrize(
    ("name", "says", "spec", "trace"),
    [
        ("attempts are counted", "not told", FLAKY, replaced(TRIED, 1, Event(0, "start", 0, ()))),
        ("attempts are counted", "afresh", FLAKY, replaced(TRIED, 3, Event(3, "start", 0, (), 1))),
        ("attempts are counted", "told that it is attempt 3", FLAKY, replaced(TRIED, 3, Event(3, "start", 0, (), 3))),
        ("attempts are counted", "told that it is attempt 2", FLAKY, replaced(TRIED, 1, Event(0, "start", 0, (), 2))),
        (
            "attempts are counted",
            "left in the delay",
            LEFT,
            replaced(AFRESH, 5, Event(5, "start", 0, (), 2), *later(AFRESH[8:], 0, -3), upto=99),
        ),
        (
            "retries have an end",
            "attempt 3",
            LATE,
            replaced(STOPPED, 7, Event(6, "start", 0, (), 3), *STOPPED[7:]),
        ),
        (
            "retries have an end",
            "after the timeout of its last",
            LATE,
            replaced(STOPPED, 7, Event(6, "start", 0, (), 1), *STOPPED[7:]),
        ),
        (
            "retries have an end",
            "final",
            FINAL,
            Trace((*TRIED[:2], Event(1, "end", 0, ("error", FOR_GOOD)), *later(TRIED, 3, -2)[3:])),
        ),
        ("the next attempt in time", "at 2 instead of 3", FLAKY, Trace(later(TRIED, 3, -1))),
        ("the next attempt in time", "at 4 instead of 3", FLAKY, Trace(later(TRIED, 3, 1))),
        (
            "the next attempt in time",
            "attempt 2 isn't made",
            FLAKY,
            replaced(TRIED, 3, Event(1, "answer", 0, ("error", WRONG)), *later(TRIED[7:], 0, -3), upto=99),
        ),
        (
            "the next attempt in time",
            "not tried again at 3",
            FLAKY,
            Trace((*TRIED[:3], Event(5, "answer", 0, ("cancelled", None)), *later(TRIED[7:], 0, 1))),
        ),
        (
            "an attempt in its time",
            "after its timeout",
            LATE,
            Trace((*STOPPED[:2], *later(STOPPED, 2, 1)[2:])),
        ),
        (
            "that very object",
            "is not what a body",
            FLAKY,
            replaced(TRIED, 5, Event(4, "answer", 0, ("error", TOO_LATE)), *TRIED[7:], upto=99),
        ),
        (
            "outcomes stay",
            "awaited again",
            LATE,
            replaced(STOPPED, 8, Event(6, "again", 0, ("error", trioflow.WorkflowTimeoutError("too", step="s0")))),
        ),
        ("once only", "outcome", FLAKY, replaced(TRIED, 5, Event(4, "start", 0, (), 1), *TRIED[4:])),
        ("no overlap", "twice", LATE, Trace((*STOPPED[:3], Event(2, "start", 0, (), 2), *STOPPED[3:]))),
    ],
)
def test_a_spoilt_trace_breaks_the_invariant_that_it_should(name: str, says: str, spec: DagSpec, trace: Trace) -> None:
    ordered = [invariant for invariant in INVARIANTS if invariant.name != "it ends"]
    with pytest.raises(AssertionError) as caught:
        check(spec, trace)

    assert len(ordered) == len(INVARIANTS) - 1
    said = str(caught.value).splitlines()[0]
    assert said.startswith(f"{name} (")
    assert says in said


# ------------------------------------------------------------------------------------------------------ broken runtimes


class IgnoresTheDelay(Reference):
    async def run(self, cell: Cell) -> None:
        cell.policy.base = 0
        await super().run(cell)


class IgnoresTheTimeout(Reference):
    async def attempt(self, cell: Cell, number: int) -> str:
        cell.policy.timeout = math.inf
        return await super().attempt(cell, number)


class CountsOnAfterACancellation(Reference):
    async def attempt(self, cell: Cell, number: int) -> str:
        cell.counted = getattr(cell, "counted", 0) + 1  # type: ignore[attr-defined]
        return await super().attempt(cell, cell.counted)  # type: ignore[attr-defined]


class TimeoutEndsIt(Reference):
    def may_retry(self, cell: Cell, number: int, error: Exception) -> bool:
        return super().may_retry(cell, number, error) and not isinstance(error, trioflow.WorkflowTimeoutError)


class GoesOnInTheDelay(Reference):
    """Who leaves in a delay is forgotten, and the next attempt made for nobody."""

    def drop(self, gone: set[Cell]) -> None:
        super().drop({cell for cell in gone if cell.phase != "pausing"})


BROKEN = [
    (IgnoresTheDelay, "the next attempt in time"),
    (IgnoresTheTimeout, "an attempt in its time"),
    (CountsOnAfterACancellation, "the next attempt in time"),
    (TimeoutEndsIt, "the next attempt in time"),
    (GoesOnInTheDelay, "attempts are counted"),
]


@pytest.mark.parametrize(("kind", "name"), BROKEN)
def test_a_runtime_with_a_broken_policy_is_caught(kind: type[Reference], name: str) -> None:
    """By one of the first random workflows, and each time by the invariant that says what the matter is, or nearly."""
    said = []
    for seed in range(400):
        spec = random_dag(random.Random(seed))
        if any(node.has_policy for node in spec.nodes):
            try:
                check(spec, run_dag(spec, run_workflow=runtime(kind), seed=seed))
            except AssertionError as exc:
                said.append(str(exc).partition(" (")[0])
        if name in said:
            return
    pytest.fail(f"{kind.__name__} breaks {said}")


# -------------------------------------------------------------------------------------------------------- names, switches


def test_names_collide_on_purpose() -> None:
    nodes = [Node(), Node(alias=1), Node(alias=1), Node(alias=9), Node(back=[4], by_name=True)]
    spec = DagSpec(nodes=nodes)

    assert spec.names == ("s0", "s0", "s0", "s3", "s4")
    assert spec.dependencies(4) == (2,)  # the latest of that name
    assert attrs.evolve(spec, nodes=[*nodes[:4], Node(back=[4])]).dependencies(4) == (0,)
    twice = DagSpec(nodes=[*nodes[:4], Node(back=[3, 2, 4], by_name=True)])
    assert twice.dependencies(4) == (2,)
    assert "names" not in repr(spec)


def test_a_name_that_a_parameter_has_meant_is_not_given_again() -> None:
    """The runtime would refuse that parameter: it can't tell which step is meant (P4)."""
    spec = DagSpec(nodes=[Node(), Node(back=[1], by_name=True), Node(alias=2), Node(back=[3], by_name=True, alias=3)])

    assert spec.names == ("s0", "s1", "s2", "s3")
    own = DagSpec(nodes=[Node(), Node(back=[1], by_name=True, alias=1)])
    assert own.names == ("s0", "s0")
    assert own.dependencies(1) == (0,)


@RUNTIMES
def test_a_parameter_means_the_latest_step_of_its_name(run_workflow: Runtime) -> None:
    nodes = [Node(), Node(alias=1), Node(back=[1, 2], by_name=True, alias=2), Node(back=[1, 2, 3])]
    spec = DagSpec(nodes=nodes, demands=[Demand(), Demand(node=1)])
    trace = run_dag(spec, run_workflow=run_workflow)

    assert [len(event.detail) for event in trace.events if event.kind == "start"] == [0, 1, 0, 3]
    check(spec, trace)


def test_a_runtime_that_takes_another_step_of_that_name_is_caught() -> None:
    class TheFirst(Reference):
        def by_name(self, fn: Callable[..., Any]) -> list[Cell]:
            names = {cell.name: cell for cell in reversed(self.cells)}
            return [names[name] for name in fn.__signature__.parameters if name != "ctx"]  # type: ignore[attr-defined]

    spec = DagSpec(nodes=[Node(), Node(alias=1), Node(back=[1], by_name=True)])
    with pytest.raises(AssertionError, match="dependencies first"):
        check(spec, run_dag(spec, run_workflow=runtime(TheFirst)))


def test_a_spec_with_a_policy_prints_as_the_call_that_makes_it() -> None:
    shown = (
        "DagSpec(nodes=(Node(retries=2, delay=1, backoff='linear', timeout=3, flaky=1, final=True), Node(back=(1,), "
        "alias=1)))"
    )
    assert repr(eval(shown, {"DagSpec": DagSpec, "Node": Node})) == shown


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (lambda: Node(sync=True, timeout=1), "a sync body can't be stopped, so it has no timeout"),
        (lambda: Node(timeout=0), "Node: timeout needs whole numbers from 1, not 0"),
        (lambda: Node(retries=-1), "Node: retries needs whole numbers from 0, not -1"),
        (lambda: Node(backoff="quadratic"), "backoff"),
    ],
)
def test_a_policy_that_makes_no_sense_is_refused(wrong: Callable[[], object], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        wrong()


def test_a_step_is_declared_with_a_config_only_where_it_has_a_policy() -> None:
    asked: list[dict[str, Any]] = []

    class Curious(Reference):
        def do(self, name: str, *args: Any, **options: Any) -> Any:
            asked.append({"name": name, **options})
            return super().do(name, *args, **options)

    nodes = [Node(delay=3), Node(retries=2, delay=1, backoff="linear"), Node(timeout=7)]
    run_dag(DagSpec(nodes=nodes), run_workflow=runtime(Curious))

    assert asked == [
        {"name": "s0", "depends": []},
        {
            "name": "s1",
            "depends": [],
            "config": {"retries": {"limit": 2, "delay": "1 seconds", "backoff": "linear"}},
        },
        {"name": "s2", "depends": [], "config": {"timeout": "7 seconds"}},
    ]


@given(dags(policies=False, aliases=False, inner=True))
def test_policies_and_aliases_can_be_switched_off(spec: DagSpec) -> None:
    assert not any(node.has_policy or node.alias or node.flaky for node in spec.nodes)


@given(dags(failures=False))
def test_without_failures_there_are_no_policies(spec: DagSpec) -> None:
    assert not any(node.has_policy for node in spec.nodes)
