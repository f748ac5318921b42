"""Calls of asyncio's in a workflow that runs on Trio only: one clear error that names the step and the way out."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
import trio
import trio.lowlevel
from trio.testing import MockClock

from trioflow import AsyncioError, Retries, StepConfig, WorkflowStep, run_workflow
from trioflow._foreign import explained, is_asyncios


async def gathers() -> None:
    await asyncio.gather(trio.lowlevel.checkpoint())  # noqa: ASYNC105


async def makes_a_task() -> None:
    coroutine = trio.lowlevel.checkpoint()  # noqa: ASYNC105
    try:
        asyncio.create_task(coroutine)  # noqa: RUF006 - it can't be made
    finally:
        coroutine.close()


CALLS: list[tuple[str, Callable[[], Any]]] = [
    ("asyncio.sleep", lambda: asyncio.sleep(1)),
    ("a call of asyncio|asyncio.sleep", lambda: asyncio.sleep(0)),
    ("asyncio.create_task", makes_a_task),
    ("asyncio.to_thread", lambda: asyncio.to_thread(len, "")),
    ("asyncio.Queue.get", lambda: asyncio.Queue().get()),
    ("asyncio.Event.wait", lambda: asyncio.Event().wait()),
]


@pytest.mark.parametrize(("said", "call"), CALLS)
async def test_in_a_body_it_names_the_step_and_is_not_tried_again(
    autojump_clock: MockClock, said: str, call: Callable[[], Any]
) -> None:
    attempts = 0

    async def workflow(event: Any, step: WorkflowStep) -> None:
        @step.do("x", config=StepConfig(Retries(3, "1 second")))
        async def body() -> None:
            nonlocal attempts
            attempts += 1
            await call()

        with pytest.raises(AsyncioError, match=rf"({said}) in step 'x' \(.*\): .* run the file with trioflow.workers"):
            await body()

    await run_workflow(workflow)
    assert attempts == 1


@pytest.mark.parametrize(("said", "call"), CALLS)
async def test_in_run_it_says_so(said: str, call: Callable[[], Any]) -> None:
    async def workflow(event: Any, step: WorkflowStep) -> None:
        await call()

    with pytest.raises(AsyncioError, match=rf"({said}) in the workflow's run: ") as caught:
        await run_workflow(workflow)
    assert caught.value.__cause__ is not None


def test_other_errors_are_left_alone() -> None:
    for error in (
        RuntimeError("no"),
        TypeError("no"),
        ValueError("no running event loop"),
        AttributeError("x", obj=None),
    ):
        assert not is_asyncios(error)
        assert explained(error, "step 'x'") is error
