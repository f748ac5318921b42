"""What to try when a run has failed: the option or the parameter that would help, where that is known."""

from __future__ import annotations

from pathlib import Path

import pytest
from command_line import flow, here, main

from trioflow import CycleError, DeadlockError, DefinitionError, WorkflowTimeoutError
from trioflow._advice import advice
from trioflow._board import Board

__all__ = ["here"]  # a fixture


IN_A_NURSERY = """import asyncio, trio
async def in_a_nursery():
    async with trio.open_nursery() as nursery:
        nursery.start_soon(asyncio.sleep, 1)
"""


def step(body: str, config: str = "config=None") -> str:
    return f"@step.do('load', {config})\nasync def load(): {body}\nawait load()"


@pytest.mark.parametrize(
    ("body", "hint"),
    [
        ("raise ValueError", "--traceback for the whole traceback"),
        (
            "@step.do()\nasync def other(): ...\n" + step("await trio.sleep(5)", "config={'timeout': '1 second'}"),
            "a longer \"timeout\" in the config of step 'load' (flow.py:6), now 1 s",
        ),
        (
            "await step.wait_for_event('the boss', 'approval', timeout='2 days')",
            "--event approval=JSON@SECONDS, or a longer timeout= of wait 'the boss', now 2 d",
        ),
        (
            "from trioflow import NonRetryableError\n" + step("raise NonRetryableError('no')"),
            "another --params, or change what the step does: it says that another attempt can't help",
        ),
        (
            step("raise ConnectionError"),
            'config={"retries": {"limit": 3, "delay": "1 second"}} for step \'load\', if it may pass',
        ),
        (
            "class ReadTimeout(Exception): pass\n" + step("raise ReadTimeout"),
            'config={"retries": {"limit": 3, "delay": "1 second"}} for step \'load\', if it may pass',
        ),
        (
            step("raise ConnectionError", "config={'retries': {'limit': 1, 'delay': 0}}"),
            "--traceback for the whole traceback",
        ),
        (step("raise ValueError"), "--traceback for the whole traceback"),
        (
            "import asyncio\n" + step("await asyncio.sleep(1)"),
            "Trio's call in its place, or a class that derives from trioflow.workers.WorkflowEntrypoint: asyncio works there",
        ),
        (
            IN_A_NURSERY + step("await in_a_nursery()"),
            "Trio's call in its place, or a class that derives from trioflow.workers.WorkflowEntrypoint: asyncio works there",
        ),
        ("event.payload['day']", "--params JSON, or --params @FILE: event.payload is empty without"),
        ("event.payload.day", "--params JSON, or --params @FILE: event.payload is empty without"),
        ("{}['day']", "--traceback for the whole traceback"),
        (
            "@step.do()\nasync def a(nowhere): ...\nawait a()",
            "changing the declaration at flow.py:4 as the message says",
        ),
        ("@step.do(config={'timeout': 'soon'})\nasync def a(): ...", "changing the value that the message names"),
        (
            "@step.do()\nasync def a(b): ...\n@step.do()\nasync def b(a): ...\nawait a()",
            "taking one dependency away: a -> b -> a",
        ),
        (
            "@step.do()\nasync def a():\n    @step.do('b', [a])\n    async def b(x): ...\n    await b()\nawait a()",
            "naming 'b' in depends=[...] instead of awaiting it in a body",
        ),
    ],
)
def test_what_would_help_is_said_in_the_last_line(body: str, hint: str) -> None:
    done = main("run", flow(body), "--virtual-time")
    assert done.status == 1
    assert done.report[-1] == f"  try        {hint}"


@pytest.mark.parametrize(
    ("body", "hint"),
    [
        (
            "await in_a_nursery()",
            "asyncio.TaskGroup or gather in place of a Trio nursery, or Trio's calls in its tasks",
        ),
        ("await asyncio.open_connection('host', 1)", "what the message names in place of asyncio's call"),
        ("raise asyncio.CancelledError", "what the message names in place of asyncio's call"),
        ("raise trioflow.AsyncioError('no') from KeyError()", "what the message names in place of asyncio's call"),
    ],
)
def test_where_asyncio_works_it_is_told_apart_what_does_not(body: str, hint: str) -> None:
    lines = [
        IN_A_NURSERY,
        "import trioflow",
        "from workers import WorkflowEntrypoint",
        "class Flow(WorkflowEntrypoint):",
        "    async def run(self, event, step):",
        "        @step.do('load')",
        f"        async def load(): {body}",
        "        await load()",
    ]
    Path("flow.py").write_text("\n".join(lines))
    done = main("run", "flow.py", "--virtual-time")
    assert done.status == 1
    assert "attempt 1 of 6" in done.err  # and no other, whatever the retries
    assert "attempt 2" not in done.err
    assert done.report[-1] == f"  try        {hint}"


def test_what_is_there_already_is_not_advised() -> None:
    assert "try " not in main("run", flow("raise ValueError"), "--traceback").report[-1]
    done = main("run", flow("event.payload['day']"), "--params", "{}")
    assert done.report[-1] == "  try        --traceback for the whole traceback"


def hint_for(error: BaseException) -> str | None:
    return advice(error, None, Board(), params=True, traceback=True)


def test_errors_without_facts_get_advice_as_far_as_it_goes() -> None:
    assert hint_for(WorkflowTimeoutError("late", step="gone")) is None
    assert hint_for(CycleError("round", steps=("a", "b", "a"))) == "taking one dependency away: a -> b -> a"
    assert hint_for(DeadlockError("stuck")) == "naming 'the step' in depends=[...] instead of awaiting it in a body"
    assert hint_for(DefinitionError("no")) == "changing the value that the message names"
    assert hint_for(AttributeError("payload")) is None


def test_what_was_awaited_too_late_has_to_be_awaited_earlier() -> None:
    done = main("run", flow("import trioflow\nraise trioflow.RunClosedError('over')"))
    assert done.report[-1] == "  try        awaiting it before the workflow's run returns"
