"""Workflows that are not the same each time are found out, with what was expected and what came; the others are not."""

from __future__ import annotations

import multiprocessing
import os
import pickle
from typing import Any

import pytest

from tests import flaky
from trioflow import WorkflowStep
from trioflow.testing import DeterminismError, Deterministic, Holds, Modifiers, deterministic, seeded
from trioflow.testing.determinism import _Case, _serve


def differs(workflow: Any, params: object = None, **options: Any) -> DeterminismError:
    with pytest.raises(DeterminismError) as caught:
        deterministic(workflow, params, **options)
    error = caught.value
    assert error.expected != error.came
    assert str(error).startswith(f"{error.run} differs from the first\n  expected: ")
    return error


@pytest.mark.slow
def test_a_workflow_that_is_the_same_each_time() -> None:
    done = deterministic(flaky.steady, {"number": 3}, runs=4, orders=8, processes=1)
    assert isinstance(done, Deterministic)
    assert done.runs == 4 + 8 + 1
    assert done.observations > 20


def test_a_failure_is_a_result_like_any_other() -> None:
    assert deterministic(flaky.Steady, env="e").runs == 13


@pytest.mark.parametrize(
    ("workflow", "expected"),
    [
        (flaky.draws_a_value, "at 0.0: StepCompleted 'draw': output=0."),
        (flaky.draws_a_name, "step 'charge 0."),
        (flaky.draws_a_pause, "AttemptCompleted 'pause': attempt=1"),
        (flaky.draws_an_argument, "step 'use' is called with ([0."),
        (flaky.draws_what_is_declared, "step 'sometimes' is declared, and needs nothing"),
        (flaky.reads_the_clock, "at 0.0: WorkflowCompleted: output=datetime.datetime("),
        (flaky.shows_where_things_are, "StepCompleted 'where': output="),
        (flaky.remembers, "WorkflowCompleted: output="),
        (flaky.fails_at_random, "error=KeyError(args=(0."),
    ],
)
def test_what_differs_from_run_to_run_is_found(workflow: Any, expected: str) -> None:
    error = differs(workflow)
    assert error.run.startswith("run ")
    assert error.run.endswith(", in the same order,")
    assert expected in f"{error.expected} {error.came}"


def test_the_first_difference_is_shown_with_what_came_before() -> None:
    error = differs(flaky.draws_a_value)
    lines = str(error).splitlines()
    assert lines[0] == "run 2, in the same order, differs from the first"
    assert lines[1].startswith("  expected: at 0.0: StepCompleted 'draw': output=0.")
    assert lines[2].startswith("  came:     at 0.0: StepCompleted 'draw': output=0.")
    assert lines[3:] == [
        "  both before that:",
        "    at 0.0: WorkflowStarted: workflow='draws_a_value', params={}",
        "    at 0.0: StepStarted 'draw': after=None",
        "    at 0.0: AttemptStarted 'draw': attempt=1",
        "    step 'draw' is called with ()",
        "    at 0.0: AttemptCompleted 'draw': attempt=1",
    ]


def test_a_run_that_does_less_or_more_is_shown_as_such() -> None:
    calls: list[int] = []

    async def workflow(event: Any, step: WorkflowStep) -> None:
        calls.append(1)
        if len(calls) % 2:
            raise SystemError("x" * 400 if len(calls) == 1 else "")

    error = differs(workflow)
    assert "…" in str(error)
    assert len(str(error)) < 1_000


def test_a_long_text_is_shown_where_it_differs() -> None:
    ends = iter("ab")

    async def workflow(event: Any, step: WorkflowStep) -> str:
        return "x" * 500 + next(ends) + "y" * 500

    error = differs(workflow)
    expected, came = str(error).splitlines()[1:3]
    assert "xay" in expected
    assert "xby" in came
    assert len(expected) < 200


@pytest.mark.slow
def test_the_order_of_a_set_of_texts_is_found_in_another_process() -> None:
    seed = os.environ.get("PYTHONHASHSEED")
    assert deterministic(flaky.goes_through_a_set)
    error = differs(flaky.goes_through_a_set, processes=1)
    assert error.run == "a run in another process, with PYTHONHASHSEED=1,"
    assert "step 'customer " in str(error)
    assert os.environ.get("PYTHONHASHSEED") == seed


@pytest.mark.slow
def test_a_hash_seed_that_is_set_is_put_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONHASHSEED", "7")
    deterministic(flaky.Steady, processes=1, orders=0, env="e")
    assert os.environ["PYTHONHASHSEED"] == "7"


@pytest.mark.slow
def test_a_process_that_does_not_come_back_is_told_of() -> None:
    with pytest.raises(RuntimeError, match="the process for PYTHONHASHSEED=1 has ended with 3"):
        deterministic(flaky.dies_elsewhere, processes=1)
    with pytest.raises(RuntimeError, match=r"in another process: LookupError\('not there'\)"):
        deterministic(flaky.AtHome(), processes=1)


def test_the_other_process_answers_with_what_it_has_seen_or_why_not() -> None:
    """Its half, in this one."""
    case = _Case(flaky.Steady, None, "e", 1_000)
    mine, its = multiprocessing.Pipe()
    with mine:
        _serve(its, pickle.dumps((case, Holds())))
        assert mine.recv() == case.run(Holds())
    mine, its = multiprocessing.Pipe()
    with mine:
        _serve(its, b"nonsense")
        assert "in another process: UnpicklingError" in str(mine.recv())


def test_what_another_process_can_not_have_is_told() -> None:
    async def workflow(event: Any, step: WorkflowStep) -> None:
        """Nobody can import it."""

    with pytest.raises(TypeError, match="a workflow that another process can import, and params and env that can be"):
        deterministic(workflow, processes=1)


def test_what_depends_on_who_is_first_is_found_in_another_order() -> None:
    assert deterministic(flaky.takes_the_first, orders=0)
    error = differs(flaky.takes_the_first)
    assert error.run.startswith("a run in another order, seed=")
    assert error.expected == "step 'both' needs 'left', 'right', gives {'left': 1, 'right': 1}"
    assert error.came == "step 'both' needs 'left', 'right', gives {'right': 1, 'left': 1}"
    error = differs(flaky.declares_by_who_is_first)
    assert error.expected == "step 'after a' needs nothing, gives 1"
    assert error.came is None
    assert "came:     nothing more" in str(error)


def test_which_step_was_stopped_in_time_is_no_difference() -> None:
    assert deterministic(flaky.leaves_one_undone, orders=30)


def test_another_order_can_be_the_first() -> None:
    assert deterministic(flaky.steady, schedule=5)
    assert deterministic(flaky.steady, schedule=seeded(7), runs=1, orders=1).runs == 2


def test_doubles_may_take_the_place_of_what_differs() -> None:
    mods = Modifiers()
    mods.mock_step_result("draw", 4)
    assert deterministic(mods.apply(flaky.draws_a_value))


def test_what_is_no_exception_goes_through() -> None:
    async def workflow(event: Any, step: WorkflowStep) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        deterministic(workflow)


def test_what_can_not_be_checked_is_told() -> None:
    async def program() -> None:
        """Takes nothing, so is no workflow."""

    with pytest.raises(TypeError, match="is no workflow: give a class with run"):
        deterministic(program)
    with pytest.raises(TypeError, match="7 is no workflow"):
        deterministic(7)
    for nothing in ({"runs": 0}, {"runs": 1, "orders": 0}):
        with pytest.raises(ValueError, match="there is nothing to compare"):
            deterministic(flaky.steady, **nothing)
