"""Calls of asyncio's where nobody serves them: one clear error that names the step and the way out."""

from __future__ import annotations

import asyncio
import re
import traceback
from collections.abc import Callable
from typing import Any

import pytest
import trio
import trio.lowlevel
from trio.testing import MockClock

from trioflow import AsyncioError, Retries, StepConfig, WorkflowStep, run_workflow
from trioflow._asyncio import bridged
from trioflow._foreign import explained, is_asyncios


async def gathers() -> None:
    await asyncio.gather(trio.lowlevel.checkpoint())  # noqa: ASYNC105


async def makes_a_task() -> None:
    coroutine = trio.lowlevel.checkpoint()  # noqa: ASYNC105
    try:
        asyncio.create_task(coroutine)  # noqa: RUF006 - it can't be made
    finally:
        coroutine.close()


TRIED_AGAIN = StepConfig(Retries(3, "1 second"))

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
        @step.do("x", config=TRIED_AGAIN)
        async def body() -> None:
            nonlocal attempts
            attempts += 1
            await call()

        with pytest.raises(
            AsyncioError, match=rf"({said}) in step 'x' \(.*\): .* trioflow.workers.WorkflowEntrypoint, "
        ):
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


# ----------------------------------------------------------------------------------------------------- in a nursery


async def fails() -> None:
    raise ValueError("bad")


async def fails_in_a_nursery() -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(fails)


async def catching(body: Callable[[], Any]) -> tuple[Exception, int]:
    """What a step with this body fails with, and after how many attempts."""
    attempts = 0
    caught: list[Exception] = []

    async def workflow(event: Any, step: WorkflowStep) -> None:
        @step.do("x", config=TRIED_AGAIN)
        async def failing() -> None:
            nonlocal attempts
            attempts += 1
            await body()

        try:
            await failing()
        except Exception as exc:
            caught.append(exc)

    await run_workflow(workflow)
    return caught[0], attempts


@pytest.mark.parametrize(("said", "call"), CALLS)
async def test_in_a_task_of_a_nursery_it_is_one_plain_error_too(
    autojump_clock: MockClock, said: str, call: Callable[[], Any]
) -> None:
    async def child() -> None:
        await call()

    async def body() -> None:
        async with trio.open_nursery() as outer:
            outer.start_soon(trio.sleep_forever)
            async with trio.open_nursery() as inner:
                inner.start_soon(child)

    error, attempts = await catching(body)
    assert isinstance(error, AsyncioError)
    assert re.match(rf"({said}) in step 'x' \(.*\): this runs on Trio, .* -> trio.sleep, ", str(error))
    assert isinstance(error.__cause__, ExceptionGroup)
    frames = [frame.name for frame in traceback.extract_tb(error.__traceback__)]
    assert "child" in frames  # where it has to be changed
    assert not hasattr(error, "__notes__")
    assert attempts == 1


@pytest.mark.filterwarnings("ignore:There is no current event loop:DeprecationWarning")
@pytest.mark.parametrize("calls", [True, False])
async def test_what_a_nursery_is_given_for_a_function_may_be_asyncios(autojump_clock: MockClock, calls: bool) -> None:
    loop = asyncio.new_event_loop()
    future: asyncio.Future[None] = asyncio.Future(loop=loop)
    given: Any = asyncio.ensure_future if calls else future

    async def body() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(given, *([future] if calls else []))

    error, attempts = await catching(body)
    loop.close()
    assert isinstance(error, AsyncioError)
    assert str(error).startswith("a call of asyncio in step 'x'")
    assert attempts == 1


async def test_what_else_went_wrong_in_the_nursery_is_kept(autojump_clock: MockClock) -> None:
    async def body() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(fails_in_a_nursery)
            nursery.start_soon(asyncio.sleep, 1)
            nursery.start_soon(asyncio.sleep, 2)
            try:
                await trio.sleep_forever()
            finally:
                raise KeyError("closing")

    error, attempts = await catching(body)
    assert isinstance(error, AsyncioError)
    cause = error.__cause__
    assert isinstance(cause, ExceptionGroup)
    assert cause.subgroup(ValueError) is not None
    assert cause.subgroup(KeyError) is not None
    (note,) = error.__notes__
    heading, _, told = note.partition(": ")
    assert heading == "raised beside it"
    assert sorted(told.split("; ")) == ["KeyError: 'closing'", "ValueError: bad"]
    assert attempts == 1


async def test_a_nursery_that_calls_asyncio_itself_is_the_last_line_of_ones_own(autojump_clock: MockClock) -> None:
    async def body() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(asyncio.sleep, 1)

    error, _ = await catching(body)
    assert str(error).startswith("asyncio.sleep in step 'x'")
    assert "body" in [frame.name for frame in traceback.extract_tb(error.__traceback__)]


async def test_one_that_was_never_raised_is_recognised_too(autojump_clock: MockClock) -> None:
    async def body() -> None:
        raise ExceptionGroup("by hand", [RuntimeError("no running event loop")])

    error, attempts = await catching(body)
    assert str(error).startswith("a call of asyncio in step 'x'")
    assert "body" in [frame.name for frame in traceback.extract_tb(error.__traceback__)]
    assert attempts == 1


async def test_in_run_a_nursery_says_so_too(autojump_clock: MockClock) -> None:
    async def workflow(event: Any, step: WorkflowStep) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(asyncio.sleep, 1)

    with pytest.raises(AsyncioError, match=r"^asyncio\.sleep in the workflow's run: "):
        await run_workflow(workflow)


async def test_a_group_without_a_call_of_asyncios_stays_as_it_is(autojump_clock: MockClock) -> None:
    async def raises_a_group() -> None:
        raise ExceptionGroup("ours", [AsyncioError("told already"), RuntimeError("no")])

    error, attempts = await catching(raises_a_group)
    assert isinstance(error, ExceptionGroup)
    assert error.message == "ours"
    assert attempts == 1  # an AsyncioError is no reason to try again, in a group either
    error, attempts = await catching(fails_in_a_nursery)
    assert isinstance(error, ExceptionGroup)
    assert attempts == 4


class Unspeakable(RuntimeError):
    def __str__(self) -> str:
        raise ZeroDivisionError


@pytest.mark.parametrize("args", [(), ("no",), (1,), (None, "no running event loop")])
async def test_an_error_whose_text_cannot_be_had_stays_that_error(
    autojump_clock: MockClock, args: tuple[object, ...]
) -> None:
    async def body() -> None:
        raise Unspeakable(*args)

    async def with_asyncio_beside_it() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(body)
            nursery.start_soon(asyncio.sleep, 1)

    error, attempts = await catching(body)
    assert type(error) is Unspeakable
    assert attempts == 4
    error, attempts = await catching(with_asyncio_beside_it)
    assert type(error) is AsyncioError
    assert error.__notes__[0].startswith("raised beside it: ")
    assert "Unspeakable" in error.__notes__[0]


def test_groups_may_be_nested_deeper_than_the_stack() -> None:
    error: Exception = RuntimeError("no running event loop")
    groups = []
    for _ in range(20_000):
        error = ExceptionGroup("group", [error])
        groups.append(error)
    assert is_asyncios(error)
    del error
    while groups:  # from the outside in, or freeing them would recurse as deep
        groups.pop()


# ----------------------------------------------------------------------------------------- where asyncio works in bodies


@pytest.mark.parametrize(("said", "call"), CALLS)
async def test_in_a_nursery_of_a_body_that_may_use_asyncio_it_says_where_it_may_not(
    autojump_clock: MockClock, said: str, call: Callable[[], Any]
) -> None:
    @bridged
    async def body() -> None:
        await asyncio.sleep(1)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(call)

    error, attempts = await catching(body)
    assert isinstance(error, AsyncioError)
    assert re.match(rf"({said}) in step 'x' \(.*\): the tasks of a Trio nursery, and threads, have no", str(error))
    assert attempts == 1


@pytest.mark.parametrize("in_a_bridged_body", [True, False])
async def test_in_a_thread_it_says_so_too(in_a_bridged_body: bool) -> None:
    @bridged
    async def body() -> None:
        await trio.to_thread.run_sync(asyncio.get_running_loop)

    async def native() -> None:
        await trio.to_thread.run_sync(asyncio.get_event_loop)

    error, attempts = await catching(body if in_a_bridged_body else native)
    assert isinstance(error, AsyncioError)
    assert ("threads, have no asyncio loop" in str(error)) == in_a_bridged_body
    assert attempts == 1


def test_other_errors_are_left_alone() -> None:
    for error in (
        RuntimeError("no"),
        RuntimeError("no running event loop of ours"),
        RuntimeError(None),
        TypeError("no"),
        ValueError("no running event loop"),
        AttributeError("x", obj=None),
        TypeError("Trio expected an async function, but 'f' appears to be synchronous"),
        ExceptionGroup("x", [RuntimeError("no")]),
    ):
        assert not is_asyncios(error)
        assert explained(error, "step 'x'") is error
