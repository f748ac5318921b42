"""The long runs in which nothing must be objected to: a short one, and that an alarm would be seen."""

from __future__ import annotations

from typing import Any

import pytest

from tests import false_alarms
from tests.broken import ALL
from tests.false_alarms import example, explored, judged, main, raceless, workflow_of
from trioflow import run_workflow
from trioflow.testing import DagSpec, Demand, Node, check, run_dag, run_virtually


def test_a_short_run_has_no_alarm(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--examples", "40", "--explore", "2", "--seed", "3"]) == 0

    lines = capsys.readouterr().out.splitlines()
    assert "Trio" in lines[0]
    assert lines[1].startswith("check: 40 of 40 examples, no alarm, ")
    assert lines[2].startswith("explore: 2 of 2 examples x 20 schedules, no alarm, ")


def test_a_number_and_a_seed_say_all_of_an_example() -> None:
    assert example(17, 3) == example(17, 3)
    assert example(17, 3) != example(17, 4)
    examples = [example(number, 0) for number in range(200)]
    assert {schedule is None for _, schedule in examples} == {False, True}
    assert any(spec.awaited_inside(i) for spec, _ in examples for i in range(len(spec.nodes)))
    assert max(len(spec.nodes) for spec, _ in examples) > 8


def test_an_alarm_is_printed_as_a_call_to_paste(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def run_eagerly(spec: DagSpec, **options: Any) -> Any:
        return run_dag(spec, run_workflow=ALL["Eager"], **options)

    monkeypatch.setattr(false_alarms, "run_dag", run_eagerly)

    assert main(["--examples", "200"]) == 1
    printed = capsys.readouterr().out
    alarm = next(alarm for number in range(200) if (alarm := judged(number, 0)) is not None)
    assert printed.endswith(f"{alarm}\n")
    spec, check_it = alarm.call.splitlines()
    names: dict[str, Any] = {"DagSpec": DagSpec, "Node": Node, "Demand": Demand, "check": check, "run_dag": run_eagerly}
    exec(spec, names)
    with pytest.raises(AssertionError) as caught:
        exec(check_it, names)
    assert alarm.said.splitlines()[0] == f"AssertionError: {str(caught.value).splitlines()[0]}"


def test_workflows_without_a_race_have_neither_failures_nor_leavers() -> None:
    specs = [raceless(number, 0) for number in range(100)]

    assert not any(node.fails or node.retries or node.timeout for spec in specs for node in spec.nodes)
    assert not any(demand.timeout is not None or demand.stranger for spec in specs for demand in spec.demands)
    assert {spec.cancel_at for spec in specs} == {spec.return_at for spec in specs} == {None}


def test_the_workflow_of_a_spec_does_what_it_says() -> None:
    spec = DagSpec(nodes=[Node(seconds=1), Node(back=[1]), Node()], demands=[Demand(node=1), Demand(node=2)])

    assert run_virtually(workflow_of(spec)) == [[(1, (0,)), (0,)], [1, 1, 0]]


def test_a_race_would_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two who ask at once, for something that says who came first."""
    racy = DagSpec(nodes=[Node(checkpoint=True), Node(checkpoint=True), Node(back=[1, 2], concurrent=True)])
    order: list[int] = []

    def workflow_with_a_race(spec: DagSpec) -> Any:
        async def workflow(event: Any, step: Any) -> list[int]:
            order.clear()
            a, b = (step.do(f"{i}")(lambda i=i: order.append(i)) for i in range(2))
            await step.do("both", depends=[a, b], concurrent=True)(lambda a, b: None)()
            return list(order)

        return workflow

    monkeypatch.setattr(false_alarms, "raceless", lambda number, seed: racy)
    assert explored(0, 0) is None
    monkeypatch.setattr(false_alarms, "workflow_of", workflow_with_a_race)
    alarm = explored(0, 0)
    assert alarm is not None
    assert alarm.call == f"explore(workflow_of({racy!r}), schedules=20)"
    assert "in the default order" in alarm.said
    assert str(alarm).startswith("ALARM in example 0\n")


def test_an_example_can_be_had_again(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--examples", "1", "--from", "8123"]) == 0
    assert "1 of 1 examples" in capsys.readouterr().out
    assert judged(8123, 0) is None
    spec, schedule = example(8123, 0)
    check(spec, run_dag(spec, run_workflow=run_workflow, seed=schedule))
