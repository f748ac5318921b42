"""The testing kit, tested: the model against answers worked out by hand, and `check` against runtimes that are broken.

A check that has never failed proves nothing. So there is a runtime here, slow and simple, that keeps the promises, and
a score of others that break one each, as subtly as somebody might who writes the real one.
"""

from __future__ import annotations

import math
import random
from collections.abc import Awaitable, Callable
from typing import Any

import attrs
import pytest
import trio
from hypothesis import HealthCheck, find, given, settings
from hypothesis import strategies as st

import trioflow
from tests.broken import RUNTIMES, naive, verdict
from tests.reference import Reference, Runtime, runtime
from trioflow.testing import Answer, BodyError, DagSpec, Demand, Event, Node, Span, Trace, check, predict, run_dag
from trioflow.testing.judge import INVARIANTS
from trioflow.testing.prediction import critical_path
from trioflow.testing.strategies import SHAPES, dags, demands, random_dag, seeds
from trioflow.testing.world import Value

# ---------------------------------------------------------------------------------------------- check can tell them apart

everything = st.tuples(dags(inner=True), seeds())


@settings(deadline=None, max_examples=500, suppress_health_check=[HealthCheck.too_slow])
@given(everything)
def test_a_runtime_that_keeps_the_promises_passes(case: tuple[DagSpec, int]) -> None:
    spec, seed = case
    check(spec, run_dag(spec, run_workflow=runtime(Reference), seed=seed))


@pytest.mark.slow
@pytest.mark.parametrize("name", RUNTIMES)
def test_a_broken_runtime_is_caught(name: str) -> None:
    for seed in range(6000):
        if verdict(random_dag(random.Random(seed), inner=seed % 2 == 0), RUNTIMES[name], seed) is not None:
            return
    pytest.fail(f"{name} passes")


def test_a_broken_promise_shrinks_to_the_smallest_graph_there_is() -> None:
    """The original runs a shared ancestor twice if it is still waiting for a dependency of its own."""
    specs = dags(failures=False, timeouts=False, endings=False, strangers=False, max_demands=1)
    smallest = find(
        specs,
        lambda spec: verdict(spec, naive) in ("no overlap", "once only"),
        settings=settings(max_examples=2000, derandomize=True, database=None, deadline=None),
    )

    assert len(smallest.reach(smallest.target(0))) <= 4


# Two steps, the second needs the first; one waiter. What follows is this trace, spoilt in the places named.
PAIR = DagSpec(nodes=[Node(seconds=1), Node(back=[1])])
ONE, TWO = Value(0, 1), Value(1, 1)
WRONG = BodyError(0)
LATER = BodyError(1)
RIGHT = (
    Event(0, "ask", 0, 1),
    Event(0, "start", 0, ()),
    Event(1, "end", 0, ("value", ONE)),
    Event(1, "start", 1, (ONE,)),
    Event(1, "end", 1, ("value", TWO)),
    Event(1, "answer", 0, ("value", TWO)),
    Event(1, "again", 1, ("value", TWO)),
    Event(1, "closing", -1),
    Event(1, "over", -1, ("value", "done")),
)
FAILING = attrs.evolve(
    PAIR, nodes=[Node(seconds=1, fails=True), Node(seconds=3, cleanup=1), Node(back=[1, 2], concurrent=True)]
)
FAILED = (
    Event(0, "ask", 0, 2),
    Event(0, "start", 0, ()),
    Event(0, "start", 1, ()),
    Event(1, "end", 0, ("error", WRONG)),
    Event(1, "cancelled", 1),
    Event(2, "end", 1, ("cancelled", None)),
    Event(2, "answer", 0, ("error", WRONG)),
    Event(2, "again", 0, ("error", WRONG)),
    Event(2, "closing", -1),
    Event(2, "over", -1, ("value", "done")),
)


STAYS = DagSpec(nodes=[Node(seconds=5, cleanup=4)], demands=[Demand(at=2, timeout=1), Demand(at=2), Demand(timeout=1)])
LEAVING = (
    Event(0, "ask", 2, 0),
    Event(0, "start", 0, ()),
    Event(1, "cancelled", 0),
    Event(2, "ask", 0, 0),
    Event(2, "ask", 1, 0),
    Event(3, "answer", 0, ("cancelled", None)),
    Event(5, "end", 0, ("cancelled", None)),
    Event(5, "answer", 2, ("cancelled", None)),
    Event(5, "start", 0, ()),
    Event(10, "end", 0, ("value", ONE)),
    Event(10, "answer", 1, ("value", ONE)),
    Event(10, "again", 0, ("value", ONE)),
    Event(10, "closing", -1),
    Event(10, "over", -1, ("value", "done")),
)
# A body that awaits a step when the run is closed may be told so, instead of being cancelled: that is no loss.
INSIDE = DagSpec(nodes=[Node(seconds=5), Node(awaits=[1])], return_at=1)
OVER = trioflow.RunClosedError("over")
CLOSING = (
    Event(0, "ask", 0, 1),
    Event(0, "start", 1, ()),
    Event(0, "ask", -2, 0),
    Event(0, "start", 0, ()),
    Event(1, "closing", -1),
    Event(1, "cancelled", 0),
    Event(1, "end", 0, ("cancelled", None)),
    Event(1, "answer", -2, ("closed", OVER)),
    Event(1, "end", 1, ("error", OVER)),
    Event(1, "answer", 0, ("closed", OVER)),
    Event(1, "over", -1, ("value", "done")),
)
BOTH = DagSpec(
    nodes=[
        Node(seconds=1, fails=True),
        Node(seconds=3, cleanup=1, afterwards="fail"),
        Node(back=[1, 2], concurrent=True),
    ]
)


def late(trace: tuple[Event, ...], since: int, by: float) -> Trace:
    return Trace((*trace[:since], *(attrs.evolve(event, time=event.time + by) for event in trace[since:])))


def spoilt(trace: tuple[Event, ...], index: int, *instead: Event) -> Trace:
    return Trace((*trace[:index], *instead, *trace[index + 1 :]))


@pytest.mark.parametrize(("spec", "trace"), [(PAIR, RIGHT), (FAILING, FAILED), (STAYS, LEAVING), (INSIDE, CLOSING)])
def test_what_is_spoilt_below_is_right(spec: DagSpec, trace: tuple[Event, ...]) -> None:
    check(spec, Trace(trace))


@pytest.mark.parametrize(
    ("name", "spec", "trace"),
    [
        ("it ends", PAIR, Trace(RIGHT[:-1])),
        ("it ends", PAIR, spoilt(RIGHT, 5)),
        ("nothing is left", PAIR, Trace((*RIGHT, Event(1, "end", 0, ("cancelled", None))))),
        (
            "nothing begins after the end",
            PAIR,
            spoilt(RIGHT, 8, Event(2, "start", 0, ()), Event(2, "over", -1, ("value", "done"))),
        ),
        ("no overlap", PAIR, spoilt(RIGHT, 1, RIGHT[1], RIGHT[1])),
        ("once only", PAIR, spoilt(RIGHT, 3, RIGHT[1], RIGHT[2], RIGHT[3])),
        ("dependencies first", PAIR, Trace((*RIGHT[:2], Event(0, "start", 1, (ONE,)), RIGHT[2], *RIGHT[4:]))),
        ("values as in a call", PAIR, spoilt(RIGHT, 3, Event(1, "start", 1, (Value(0, 1),)))),
        ("values as in a call", PAIR, spoilt(RIGHT, 3, Event(1, "start", 1, ()))),
        ("lazy", PAIR, spoilt(RIGHT, 0, Event(0, "start", 0, ()), Event(0, "end", 0, ("cancelled", None)), RIGHT[0])),
        ("what is wanted is left alone", FAILING, spoilt(FAILED, 3, Event(0.5, "cancelled", 1), FAILED[3])),
        ("prompt", FAILING, spoilt(FAILED, 6, Event(3, "answer", 0, ("error", WRONG)))),
        ("that very object", PAIR, Trace((*RIGHT[:5], Event(1, "answer", 0, ("value", Value(1, 1))), *RIGHT[7:]))),
        ("that very object", FAILING, spoilt(FAILED, 6, Event(2, "answer", 0, ("error", BodyError(0))))),
        (
            "siblings stop before the error",
            FAILING,
            Trace((*FAILED[:5], Event(1, "answer", 0, ("error", WRONG)), FAILED[5], *FAILED[7:])),
        ),
        ("outcomes stay", PAIR, spoilt(RIGHT, 6, Event(1, "again", 1, ("value", ONE)))),
        ("outcomes stay", FAILING, spoilt(FAILED, 7, Event(2, "again", 1, ("error", WRONG)))),
        ("the run's own end", PAIR, spoilt(RIGHT, 8, Event(1, "over", -1, ("value", None)))),
        ("the run's own end", PAIR, spoilt(RIGHT, 8, Event(1, "over", -1, ("cancelled", None)))),
        ("the run's own end", FAILING, spoilt(FAILED, 9, Event(2, "over", -1, ("error", WRONG)))),
        ("prompt", PAIR, late(RIGHT, 5, 1)),
        (
            "prompt",
            STAYS,
            Trace((*LEAVING[:5], *LEAVING[6:8], Event(5, "answer", 0, ("cancelled", None)), *LEAVING[8:])),
        ),
        (
            "no orphans",
            STAYS,
            Trace((*LEAVING[:3], Event(1, "answer", 2, ("cancelled", None)), *LEAVING[3:7], *LEAVING[8:])),
        ),
        ("a reason to leave", PAIR, spoilt(RIGHT, 5, Event(1, "answer", 0, ("cancelled", None)))),
        (
            "the first failure",
            BOTH,
            Trace(
                (
                    *FAILED[:5],
                    Event(2, "end", 1, ("error", LATER)),
                    Event(2, "answer", 0, ("error", LATER)),
                    *FAILED[8:],
                )
            ),
        ),
        ("nothing is lost", BOTH, spoilt(FAILED, 5, Event(2, "end", 1, ("error", LATER)))),
        ("as predicted", PAIR, late(RIGHT, 2, 1)),
        ("as predicted", STAYS, spoilt(LEAVING, 9, Event(10, "end", 0, ("value", ONE)), *LEAVING[10:12])),
        ("as predicted", PAIR, spoilt(RIGHT, 8, Event(2, "over", -1, ("value", "done")))),
    ],
)
def test_a_spoilt_trace_breaks_the_invariant_that_it_should(name: str, spec: DagSpec, trace: Trace) -> None:
    with pytest.raises(AssertionError) as caught:
        check(spec, trace)

    assert str(caught.value).startswith(f"{name} (")
    assert str(caught.value).endswith(repr(spec))


def test_the_message_shows_the_piece_of_the_trace_that_shows_it() -> None:
    with pytest.raises(AssertionError) as caught:
        check(PAIR, spoilt(RIGHT, 3, RIGHT[1], RIGHT[2], RIGHT[3]))

    assert str(caught.value).splitlines() == [
        "once only (P3): s0 runs again although it has an outcome",
        "        1.000000  s0 end value <value 1 of s0>",
        "        0.000000  s0 start with no arguments",
        "DagSpec(nodes=(Node(seconds=1), Node(back=(1,))))",
    ]


def test_invariants_have_names_of_their_own() -> None:
    names = [invariant.name for invariant in INVARIANTS]

    assert len(set(names)) == len(names)
    assert all(invariant.promises for invariant in INVARIANTS)


# ----------------------------------------------------------------------------------------------------------- the model


def test_critical_path_by_hand() -> None:
    diamond = DagSpec(nodes=[Node(seconds=1), Node(back=[1], seconds=5), Node(back=[2], seconds=2), Node(back=[1, 2])])

    assert critical_path(diamond, 3) == 6
    assert predict(diamond).answers == (Answer(8, "value", 3),)
    concurrent = attrs.evolve(diamond, nodes=[attrs.evolve(node, concurrent=True) for node in diamond.nodes])
    assert predict(concurrent).answers == (Answer(6, "value", 3),)


def test_a_failure_waits_for_the_clean_up_of_siblings_by_hand() -> None:
    assert predict(FAILING).spans == ((Span(0, None, 1, "error"),), (Span(0, 1, 2, "cancelled"),), ())
    assert predict(FAILING).answers == (Answer(2, "error", 0),)


def test_a_timeout_takes_only_what_it_alone_wanted_by_hand() -> None:
    spec = DagSpec(
        nodes=[Node(seconds=4, cleanup=1), Node(seconds=9, cleanup=2), Node(back=[1, 2], concurrent=True)],
        demands=[Demand(timeout=3), Demand(node=2)],
    )
    ought = predict(spec)

    assert ought.spans == ((Span(0, None, 4, "value"),), (Span(0, 3, 5, "cancelled"),), ())
    assert ought.answers == (Answer(5, "cancelled"), Answer(4, "value", 0))
    assert ought.ends == 5
    assert ought.exact_until == math.inf


def test_what_comes_after_a_cancellation_is_fresh_by_hand() -> None:
    spec = DagSpec(nodes=[Node(seconds=4, cleanup=3)], demands=[Demand(timeout=1), Demand(at=2)])
    ought = predict(spec)

    assert ought.spans == ((Span(0, 1, 4, "cancelled"), Span(4, None, 8, "value")),)
    assert ought.answers == (Answer(4, "cancelled"), Answer(8, "value", 0))


def test_closing_ends_all_interest_by_hand() -> None:
    spec = DagSpec(nodes=[Node(seconds=4, cleanup=3)], demands=[Demand(), Demand(at=5)], return_at=1)
    ought = predict(spec)

    assert ought.spans == ((Span(0, 1, 4, "cancelled"),),)
    assert ought.answers == (Answer(4, "closed"), Answer(5, "closed"))
    assert ought.ends == 4


def awaiting(inner: Node, **options: Any) -> DagSpec:
    """The body of s1 awaits s0, and whoever awaits s1 gives up at 2."""
    return DagSpec(nodes=[inner, Node(awaits=[1], **options)], demands=[Demand(timeout=2)])


BY_HAND = [
    # the failure of what a body awaits passes through it
    (awaiting(Node(seconds=1, fails=True)), [[(0, 1, "error")], [(0, 1, "error")]], Answer(1, "error", 0)),
    # a body that is cancelled hears of it when what it alone wanted has cleaned up
    (
        awaiting(Node(seconds=5, cleanup=1), cleanup=1),
        [[(0, 3, "cancelled")], [(0, 4, "cancelled")]],
        Answer(4, "cancelled"),
    ),
    # what was awaited returns all the same: so may who awaits, but not if it has to wait again
    (awaiting(Node(seconds=5, afterwards="return")), [[(0, 2, "value")], [(0, 2, "value")]], Answer(2, "value", 1)),
    (
        awaiting(Node(seconds=5, afterwards="return"), seconds=1),
        [[(0, 2, "value")], [(0, 2, "cancelled")]],
        Answer(2, "cancelled"),
    ),
    # or fails all the same
    (
        awaiting(Node(seconds=5, cleanup=1, afterwards="fail")),
        [[(0, 3, "error")], [(0, 3, "error")]],
        Answer(3, "error", 0),
    ),
    # a step that waits is left while the clean-up below it fails
    (
        DagSpec(nodes=[Node(seconds=5, cleanup=1, afterwards="fail"), Node(back=[1])], demands=[Demand(timeout=2)]),
        [[(0, 3, "error")], []],
        Answer(3, "error", 0),
    ),
    # a deadline that passes while the failure waits for a clean-up
    (
        DagSpec(
            nodes=[Node(seconds=1, fails=True), Node(seconds=5, cleanup=4), Node(back=[1, 2], concurrent=True)],
            demands=[Demand(timeout=2)],
        ),
        [[(0, 1, "error")], [(0, 5, "cancelled")], []],
        Answer(5, "error", 0),
    ),
]


@pytest.mark.parametrize(("spec", "spans", "answer"), BY_HAND)
@pytest.mark.parametrize("run_workflow", [runtime(Reference), trioflow.run_workflow], ids=["reference", "trioflow"])
def test_the_finer_points_by_hand(
    spec: DagSpec, spans: list[list[tuple[float, float, str]]], answer: Answer, run_workflow: Runtime
) -> None:
    ought = predict(spec)

    assert [[(span.start, span.end, span.how) for span in many] for many in ought.spans] == spans
    assert ought.answers == (answer,)
    assert ought.exact_until > answer.time
    check(spec, run_dag(spec, run_workflow=run_workflow))


WAITING = Node(back=[1])
SLOW = Node(seconds=5, cleanup=4)


@pytest.mark.parametrize(
    ("spec", "since"),
    [
        pytest.param(
            DagSpec(nodes=[SLOW], demands=[Demand(timeout=1), Demand(at=2, timeout=1)]),
            3,
            id="leaves while the body is being stopped for somebody else",
        ),
        pytest.param(
            DagSpec(nodes=[SLOW, WAITING], demands=[Demand(timeout=1, node=1), Demand(at=2, timeout=1)]),
            3,
            id="the same, from above",
        ),
        pytest.param(
            DagSpec(
                nodes=[Node(seconds=1, fails=True), SLOW, Node(back=[1, 2], concurrent=True), WAITING],
                demands=[Demand(), Demand(node=1, timeout=3)],
            ),
            3,
            id="leaves a step that is bound to fail, as is one above that others await",
        ),
        pytest.param(
            DagSpec(
                nodes=[SLOW, Node(seconds=2), Node(back=[1, 2], concurrent=True)],
                demands=[Demand(timeout=1), Demand(at=2)],
            ),
            2,
            id="wanted again while it is being left",
        ),
        pytest.param(
            DagSpec(
                nodes=[Node(seconds=3, fails=True), SLOW, Node(back=[1, 2], concurrent=True)],
                demands=[Demand(node=2), Demand(timeout=1)],
            ),
            3,
            id="fails elsewhere while it is being left",
        ),
        pytest.param(
            DagSpec(
                nodes=[SLOW, Node(seconds=1), Node(seconds=2), Node(back=[1, 2]), Node(back=[4, 1])],
                demands=[Demand(), Demand(node=1, timeout=1)],
            ),
            2,
            id="was begun for somebody who has left",
        ),
        pytest.param(DagSpec(nodes=[SLOW], demands=[Demand(timeout=3)], return_at=1), 3, id="gives up after closing"),
        pytest.param(DagSpec(nodes=[SLOW], demands=[Demand(timeout=1)], return_at=2), 2, id="closing after giving up"),
        pytest.param(
            DagSpec(nodes=[SLOW], demands=[Demand(), Demand()], cancel_at=2), 2, id="several cancelled by the host"
        ),
        pytest.param(
            DagSpec(
                nodes=[Node(seconds=5, afterwards="return"), Node(), Node(awaits=[2, 1])], demands=[Demand(timeout=2)]
            ),
            2,
            id="awaits again although it is cancelled",
        ),
    ],
)
@pytest.mark.parametrize("run_workflow", [runtime(Reference), trioflow.run_workflow], ids=["reference", "trioflow"])
def test_what_the_promises_leave_open_is_not_predicted(spec: DagSpec, since: float, run_workflow: Runtime) -> None:
    assert predict(spec).exact_until == since
    check(spec, run_dag(spec, run_workflow=run_workflow))


def test_where_the_schedule_decides_the_prediction_ends() -> None:
    tie = DagSpec(nodes=[Node(seconds=1)], demands=[Demand(timeout=1)])

    assert predict(tie).exact_until == 1
    assert predict(attrs.evolve(tie, spread=True)).exact_until == math.inf


@settings(deadline=None)
@given(dags(endings=False, strangers=False))
def test_spread_specs_without_zero_durations_are_predicted_to_the_end(spec: DagSpec) -> None:
    """The model has few excuses: where nothing coincides, only what the promises leave open is left."""
    plain = [Node(back=n.back, concurrent=n.concurrent, seconds=n.seconds + 1, fails=n.fails) for n in spec.nodes]
    demands = [attrs.evolve(demand, timeout=None) for demand in spec.demands]
    ought = predict(attrs.evolve(spec, nodes=plain, demands=demands, spread=True))

    assert ought.exact_until == math.inf


@given(dags(inner=True))
def test_times_of_a_spread_spec_add_up_without_rounding(spec: DagSpec) -> None:
    spread = attrs.evolve(spec, spread=True)
    times = [f(i) for i in range(len(spec.nodes)) for f in (spread.seconds, spread.cleanup)]
    times += [spread.asks_at(k) for k in range(len(spec.demands))]

    assert all((time * 2**31).is_integer() for time in map(float, times))
    assert len({time for time in times if time}) == len([time for time in times if time])


# ------------------------------------------------------------------------------------------------------ specs, schedules


@given(dags(inner=True))
def test_a_spec_prints_as_the_call_that_makes_it(spec: DagSpec) -> None:
    assert eval(repr(spec), {"DagSpec": DagSpec, "Node": Node, "Demand": Demand}) == spec


def test_a_spec_shows_only_what_is_not_plain() -> None:
    assert repr(DagSpec(nodes=[Node(), Node(back=[1], concurrent=True)])) == (
        "DagSpec(nodes=(Node(), Node(back=(1,), concurrent=True)))"
    )


@given(dags(), st.data())
def test_deleting_a_step_leaves_a_valid_spec(spec: DagSpec, data: st.DataObject) -> None:
    if len(spec.nodes) > 1:
        i = data.draw(st.integers(0, len(spec.nodes) - 1))
        spec = attrs.evolve(spec, nodes=spec.nodes[:i] + spec.nodes[i + 1 :])

    assert all(d < i for i in range(len(spec.nodes)) for d in spec.dependencies(i))
    assert all(0 <= spec.target(k) < len(spec.nodes) for k in range(len(spec.demands)))


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (lambda: Node(back=[0]), "Node: back needs whole numbers from 1, not (0,)"),
        (lambda: Node(seconds=0.5), "Node: seconds needs whole numbers from 0, not 0.5"),
        (lambda: Demand(timeout=-1), "Demand: timeout needs whole numbers from 0, not -1"),
        (lambda: DagSpec(nodes=[Node()], cancel_at=True), "DagSpec: cancel_at needs whole numbers"),
        (lambda: Node(sync=True, seconds=1), "a sync body can't wait"),
        (lambda: Node(by_name=True, twice=True), "a parameter can't be named twice"),
    ],
)
def test_a_spec_that_makes_no_sense_is_refused(wrong: Callable[[], object], says: str) -> None:
    with pytest.raises(trioflow.ConfigError) as caught:
        wrong()

    assert says in str(caught.value)


@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape_is_drawn_and_runs(shape: Any) -> None:
    spec = find(dags(shape=shape, max_nodes=7, failures=False), lambda spec: len(spec.nodes) == 7)

    assert max(len(spec.dependencies(i)) for i in range(7)) <= 6
    check(spec, run_dag(spec, run_workflow=runtime(Reference)))


def test_failures_and_the_rest_can_be_switched_off() -> None:
    tame = dags(
        failures=False, timeouts=False, endings=False, strangers=False, sync=False, concurrent=True, spread=True
    )

    @given(tame)
    def every(spec: DagSpec) -> None:
        assert spec.spread
        assert spec.cancel_at is spec.return_at is None
        assert not any(n.fails or n.sync or n.awaits or n.afterwards == "fail" or not n.concurrent for n in spec.nodes)
        assert not any(d.stranger or d.timeout is not None for d in spec.demands)

    every()


@given(demands(max_size=2))
def test_demands_can_be_drawn_by_themselves(drawn: tuple[Demand, ...]) -> None:
    assert 1 <= len(drawn) <= 2


FAN = DagSpec(nodes=[Node(checkpoint=True)] * 4 + [Node(back=[1, 2, 3, 4], concurrent=True)])


def starts(seed: int | None) -> tuple[int, ...]:
    trace = run_dag(FAN, run_workflow=runtime(Reference), seed=seed)
    return tuple(event.who for event in trace.events if event.kind == "start")[:4]


def test_a_seed_is_a_schedule() -> None:
    assert len({starts(seed) for seed in range(200)}) == 24  # all there are of four tasks
    assert all(starts(seed) == starts(seed) for seed in range(20))


def test_tasks_can_be_looked_into_while_their_turn_is_chosen() -> None:
    frames: list[str] = []

    async def curious(workflow: Callable[..., Awaitable[Any]], params: object = None) -> Any:
        await trio.lowlevel.checkpoint()
        frames.extend(frame.f_code.co_name for frame, _ in trio.lowlevel.current_task().iter_await_frames())
        return await runtime(Reference)(workflow, params)

    run_dag(PAIR, run_workflow=curious, seed=1)

    assert frames == ["host"]


def test_a_run_that_is_cancelled_before_it_begins() -> None:
    async def late(workflow: Callable[..., Awaitable[Any]], params: object = None) -> Any:
        await trio.sleep(1)

    spec = DagSpec(nodes=[Node()], demands=[Demand(at=1, stranger=True)], cancel_at=0)

    check(spec, run_dag(spec, run_workflow=late))


def test_a_trace_reads_as_a_timeline() -> None:
    assert str(Trace(RIGHT)).splitlines()[:4] == [
        "    0.000000  demand 0 ask s1",
        "    0.000000  s0 start with no arguments",
        "    1.000000  s0 end value <value 1 of s0>",
        "    1.000000  s1 start with <value 1 of s0>",
    ]
    assert str(Event(2, "answer", -1, ("cancelled", None))).endswith("s0's own await answer cancelled")
    assert repr(Event(2, "closing", -1)) == "<Event     2.000000  run closing>"
