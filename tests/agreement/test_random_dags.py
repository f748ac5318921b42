"""The runtime against the model: random workflows, random schedules, judged by `trioflow.testing.check`.

Which kind of spec a property draws says which promises it is about. All of them are checked in every one.
"""

from __future__ import annotations

import attrs
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from trioflow.testing import Answer, DagSpec, Demand, Node, check, critical_path, predict, run_dag
from trioflow.testing.strategies import dags, seeds

thorough = settings(deadline=None, max_examples=500, suppress_health_check=[HealthCheck.too_slow])
brief = settings(deadline=None, max_examples=200, suppress_health_check=[HealthCheck.too_slow])


@thorough
@given(dags(spread=True), seeds())
def test_where_nothing_coincides_all_happens_as_predicted(spec: DagSpec, seed: int) -> None:
    check(spec, run_dag(spec, seed=seed))


@thorough
@given(dags(spread=False), seeds())
def test_where_much_coincides_the_invariants_hold_in_every_schedule(spec: DagSpec, seed: int) -> None:
    check(spec, run_dag(spec, seed=seed))


@thorough
@given(dags(shape="random", endings=False, max_demands=6), seeds())
def test_shared_steps_and_many_who_give_up(spec: DagSpec, seed: int) -> None:
    check(spec, run_dag(spec, seed=seed))


@brief
@given(dags(timeouts=False, endings=False, strangers=False, max_nodes=12), seeds())
def test_failures_alone(spec: DagSpec, seed: int) -> None:
    check(spec, run_dag(spec, seed=seed))


@brief
@given(dags(inner=True), seeds())
def test_bodies_that_await_other_steps(spec: DagSpec, seed: int) -> None:
    check(spec, run_dag(spec, seed=seed))


@brief
@given(dags(endings=False), st.integers(0, 6), seeds())
def test_the_host_cancels(spec: DagSpec, when: int, seed: int) -> None:
    spec = attrs.evolve(spec, cancel_at=when)
    check(spec, run_dag(spec, seed=seed))


@brief
@given(dags(endings=False), st.integers(0, 6), seeds())
def test_the_workflow_returns_while_strangers_wait(spec: DagSpec, when: int, seed: int) -> None:
    spec = attrs.evolve(spec, return_at=when)
    check(spec, run_dag(spec, seed=seed))


@brief
@given(dags(inner=True), st.integers(0, 3), seeds())
def test_every_other_step_is_tried_again(spec: DagSpec, delay: int, seed: int) -> None:
    nodes = [attrs.evolve(n, retries=1, flaky=1, delay=delay) if i % 2 else n for i, n in enumerate(spec.nodes)]
    spec = attrs.evolve(spec, nodes=nodes)
    check(spec, run_dag(spec, seed=seed))


@brief
@given(dags(max_nodes=30, max_demands=2), seeds())
def test_larger_graphs(spec: DagSpec, seed: int) -> None:
    check(spec, run_dag(spec, seed=seed))


@brief
@given(dags())
def test_trios_own_schedule(spec: DagSpec) -> None:
    check(spec, run_dag(spec))


@brief
@given(dags(failures=False, timeouts=False, endings=False, strangers=False, concurrent=True, max_nodes=20), seeds())
def test_when_all_is_concurrent_a_run_takes_exactly_the_critical_path(spec: DagSpec, seed: int) -> None:
    """P5, by the graph alone: the model isn't asked."""
    spec = attrs.evolve(spec, demands=[Demand()])
    trace = run_dag(spec, seed=seed)
    over = next(event for event in trace.events if event.kind == "over")

    assert over.time == spec.asks_at(0) + critical_path(spec, len(spec.nodes) - 1)
    assert over.how == "value"


def test_a_diamond_of_shared_steps_step_by_step() -> None:
    """One spec in full, so that what the properties say can be read in one place."""
    spec = DagSpec(
        nodes=[
            Node(seconds=1),
            Node(back=[1], seconds=5, cleanup=2),
            Node(back=[2], seconds=2, fails=True),
            Node(back=[1, 2], concurrent=True),
        ],
        demands=[Demand(), Demand(node=2, at=2)],
    )
    assert predict(spec).answers == (Answer(3, "error", 2), Answer(6, "value", 1))
    check(spec, run_dag(spec))
