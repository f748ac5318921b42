"""`--json`: each fact is one object in one line, whatever the values are."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import pytest
from command_line import flow, here, main
from hypothesis import given, settings
from hypothesis import strategies as st

from trioflow._board import Board
from trioflow._feed import Feed
from trioflow._watchers import FACTS
from trioflow.abc import WorkflowCompleted

__all__ = ["here"]  # a fixture


def facts(body: str, *args: str, status: int = 0) -> list[dict[str, Any]]:
    """What a workflow's run says."""
    done = main("run", flow(body), "--json", "--virtual-time", "--id", "i", *args)
    assert done.status == status
    return [json.loads(line) for line in done.out.splitlines()]


def test_each_fact_is_told_as_it_happens() -> None:
    body = """
@step.do("load", config={"retries": {"limit": 1, "delay": "2 seconds"}, "timeout": "1 minute"})
async def load(ctx):
    if ctx.attempt == 1: raise OSError("no")
    return [1]
@step.do("sum", depends=[load])
async def total(x):
    await step.sleep("nap", 500)
    return (await step.wait_for_event("boss", "go", timeout="1 minute"))["payload"]
return await total()
"""
    told = facts(body, "--event", 'go={"a": 1}@5', "--params", '{"day": 1}')
    assert all(fact["instanceId"] == "i" for fact in told)
    load = {"stepName": "load", "count": 1, "path": [["load", 1]]}
    total = {"stepName": "sum", "count": 1, "path": [["sum", 1]]}
    nap = {"stepName": "nap", "count": 1, "path": [["sum", 1], ["nap", 1]]}
    boss = {"stepName": "boss", "count": 1, "path": [["sum", 1], ["boss", 1]]}
    config = {"retries": {"limit": 1, "delay": "2 seconds", "backoff": "exponential"}, "timeout": "1 minute"}
    plain = {"retries": {"limit": 0, "delay": 0, "backoff": "constant"}, "timeout": None}
    for fact in told:
        for moment in (fact, fact.get("event", {})):
            if "timestamp" in moment:
                assert datetime.fromisoformat(moment.pop("timestamp")).utcoffset() is not None
        del fact["instanceId"]
        if fact.get("stepName") == "sum":
            plain = fact.get("config", plain)
    assert told == [
        {"type": "workflow_started", "time": 0, "workflowName": "main", "params": {"day": 1}},
        {
            "type": "step_started",
            "time": 0,
            **load,
            "depends": [],
            "concurrent": False,
            "after": None,
            "config": config,
        },
        {"type": "attempt_started", "time": 0, **load, "attempt": 1},
        {
            "type": "attempt_errored",
            "time": 0,
            **load,
            "attempt": 1,
            "error": {"name": "OSError", "message": "no"},
            "retryIn": 2,
        },
        {"type": "attempt_started", "time": 2, **load, "attempt": 2},
        {"type": "attempt_completed", "time": 2, **load, "attempt": 2},
        {"type": "step_completed", "time": 2, **load, "output": [1]},
        {
            "type": "step_started",
            "time": 2,
            **total,
            "depends": [[["load", 1]]],
            "concurrent": False,
            "after": None,
            "config": plain,
        },
        {"type": "attempt_started", "time": 2, **total, "attempt": 1},
        {"type": "sleep_started", "time": 2, **nap, "seconds": 0.5},
        {"type": "sleep_completed", "time": 2.5, **nap},
        {"type": "wait_started", "time": 2.5, **boss, "eventType": "go", "timeout": 60},
        {"type": "wait_completed", "time": 5, **boss, "event": {"type": "go", "payload": {"a": 1}}},
        {"type": "attempt_completed", "time": 5, **total, "attempt": 1},
        {"type": "step_completed", "time": 5, **total, "output": {"a": 1}},
        {"type": "workflow_completed", "time": 5, "output": {"a": 1}},
    ]


def test_a_failure_is_the_last_line_and_is_reported_to_people_too() -> None:
    done = main("run", flow("raise ValueError('bad')"), "--json")
    assert done.status == 1
    last = json.loads(done.out.splitlines()[-1])
    assert (last["type"], last["error"]) == ("workflow_errored", {"name": "ValueError", "message": "bad"})
    assert done.report[0] == "error: ValueError: bad"


def test_what_the_workflow_prints_goes_to_standard_error() -> None:
    done = main("run", flow("print('working')\nreturn 1"), "--json")
    assert done.err == "working\n"
    assert [json.loads(line)["type"] for line in done.out.splitlines()] == ["workflow_started", "workflow_completed"]


def test_ctrl_c_is_the_end_of_it_too() -> None:
    told = facts("raise KeyboardInterrupt", status=130)
    assert (told[-1]["type"], told[-1]["reason"]) == ("workflow_terminated", "KeyboardInterrupt")


@pytest.mark.parametrize(
    ("expression", "shown"),
    [
        ("{'a': b'x', 'b': [{1}]}", {"a": {"$repr": "b'x'"}, "b": [{"$repr": "{1}"}]}),
        ("float('nan')", {"$repr": "nan"}),
        ("{(1, 2): 3}", {"$repr": "{(1, 2): 3}"}),
        ("[1, float('inf')]", {"$repr": "[1, inf]"}),
        ("event.timestamp.__class__(2026, 1, 2)", {"$repr": "datetime.datetime(2026, 1, 2, 0, 0)"}),
        ("'\\ud800'", "\ud800"),
    ],
)
def test_what_json_cannot_hold_is_marked(expression: str, shown: object) -> None:
    assert facts(f"return {expression}")[-1]["output"] == shown


def test_a_circle_and_what_cannot_be_shown_are_marked() -> None:
    told = facts("class Shy:\n    def __repr__(self): raise ValueError\nloop = [Shy()]\nloop.append(loop)\nreturn loop")
    assert "Shy" in told[-1]["output"]["$repr"] or "list object" in told[-1]["output"]["$repr"]


def test_an_error_without_a_text_is_told() -> None:
    told = facts("class Mute(Exception):\n    def __str__(self): raise ValueError\nraise Mute", status=1)
    assert told[-1]["error"] == {"name": "Mute", "message": "Mute()"}


def test_what_is_sensitive_is_not_told() -> None:
    told = facts("@step.do(config={'sensitive': 'output'})\nasync def key(): return 'hidden'\nawait key()")
    (completed,) = (fact for fact in told if fact["type"] == "step_completed")
    assert completed["sensitive"] is True
    assert "output" not in completed
    assert "hidden" not in json.dumps(told)


objects = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | st.complex_numbers(),
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(st.text() | st.integers() | st.tuples(st.integers()), inner)
        | st.tuples(inner)
    ),
    max_leaves=8,
)


@settings(deadline=None)
@given(objects)
def test_any_value_becomes_one_line(value: object) -> None:
    lines: list[str] = []
    Feed(Board(), lines.append).workflow_completed(WorkflowCompleted(instance_id="i", time=3.0, output=value))
    (line,) = lines
    assert "\n" not in line

    def refuse(text: str) -> None:
        raise AssertionError(f"{text} is no JSON")

    assert json.loads(line, parse_constant=refuse)["type"] == "workflow_completed"


def test_every_fact_that_there_is_is_told() -> None:
    assert set(FACTS) <= set(vars(Feed))
