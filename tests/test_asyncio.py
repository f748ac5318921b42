"""Coroutines of asyncio's in bodies and in `run`: what asyncio gives, in Trio's time, and whose cancellation it is."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import gc
import inspect
import logging
import signal
import sys
import textwrap
import threading
import types
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import sniffio
import trio
from trio.testing import MockClock

import trioflow
from trioflow import DeadlockError, StepConfig, WorkflowEntrypoint, open_run, run_workflow
from trioflow._asyncio import bridged, uses_asyncio
from trioflow._errors import AsyncioError


async def nap(seconds: float, result: Any = None) -> Any:
    await asyncio.sleep(seconds)
    return result


async def forever() -> None:
    await asyncio.get_running_loop().create_future()


@pytest.fixture(autouse=True)
def _no_loop_is_left() -> Iterator[None]:
    """Nor an error that nobody has looked at: it would come up in another test."""
    yield
    gc.collect()
    assert asyncio._get_running_loop() is None


# ------------------------------------------------------------------------------------------------- as the rest sees it


def test_it_is_the_same_function_to_everybody_else() -> None:
    async def store(users: int, *, ctx: Any, limit: int = 3) -> str:
        """What it says."""
        return ""

    wrapped = bridged(store)
    assert (wrapped.__name__, wrapped.__doc__) == ("store", "What it says.")
    assert inspect.signature(wrapped) == inspect.signature(store)
    assert inspect.iscoroutinefunction(wrapped)


async def test_steps_by_name_with_context_and_attempts(autojump_clock: MockClock) -> None:
    class Report(WorkflowEntrypoint):
        @bridged
        async def run(self, event: Any, step: Any) -> Any:
            @step.do()
            @bridged
            async def users() -> int:
                return await nap(2, 20)

            @step.do(config=StepConfig(trioflow.Retries(1, "10 seconds"), "5 seconds"))
            @bridged
            async def report(users: int, ctx: Any) -> tuple[int, int]:
                if ctx.attempt == 1:
                    await forever()
                return users, ctx.attempt

            await asyncio.sleep(1)
            return await report()

    assert await run_workflow(Report) == (20, 2)
    assert trio.current_time() == 1 + 2 + 5 + 10


async def test_a_function_that_returns_an_awaitable_and_one_that_does_not(autojump_clock: MockClock) -> None:
    async def workflow(event: Any, step: Any) -> Any:
        nap_for_one = bridged(lambda: asyncio.sleep(1, "slept"))
        return await step.do("a")(nap_for_one)(), await step.do("b")(bridged(lambda: 5))()

    assert await run_workflow(workflow) == ("slept", 5)


async def test_a_body_without_a_wait_and_its_error(autojump_clock: MockClock) -> None:
    @bridged
    async def body(n: int) -> float:
        return 1 / n

    assert await body(2) == 0.5
    with pytest.raises(ZeroDivisionError):
        await body(0)


# ---------------------------------------------------------------------------------------------- what asyncio promises


async def test_gather_sleep_wait_for_mixed_with_trio(autojump_clock: MockClock) -> None:
    @bridged
    async def body() -> Any:
        got = await asyncio.gather(nap(3, "a"), nap(5, "b"))
        await trio.sleep(1)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(nap(100), 2)
        return got

    assert await body() == ["a", "b"]
    assert trio.current_time() == 8


async def test_timeout_around_a_wait_in_trio(autojump_clock: MockClock) -> None:
    @bridged
    async def body() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(2):
                await trio.sleep_forever()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout_at(asyncio.get_running_loop().time() + 3):
                await trio.Event().wait()
        task = asyncio.current_task()
        assert task is not None
        assert task.cancelling() == 0
        await trio.sleep(1)
        await asyncio.sleep(1)

    await body()
    assert trio.current_time() == 7


async def test_a_scope_of_trios_around_a_wait_in_asyncio(autojump_clock: MockClock) -> None:
    @bridged
    async def body() -> None:
        with trio.move_on_after(2) as scope:
            await forever()
        assert scope.cancelled_caught
        with pytest.raises(trio.TooSlowError), trio.fail_after(3):
            await asyncio.gather(nap(5), forever())
        task = asyncio.current_task()
        assert task is not None
        assert task.cancelling() == 0
        await asyncio.sleep(1)

    await body()
    assert trio.current_time() == 6


async def test_a_task_group_keeps_its_group(autojump_clock: MockClock) -> None:
    @bridged
    async def body() -> None:
        async def fail() -> None:
            await asyncio.sleep(1)
            raise KeyError("x")

        async with asyncio.TaskGroup() as group:
            group.create_task(fail())
            group.create_task(trio.sleep_forever())  # noqa: ASYNC105
            group.create_task(forever())

    with pytest.raises(ExceptionGroup) as info:
        await body()
    assert [type(e) for e in info.value.exceptions] == [KeyError]
    assert trio.current_time() == 1


async def test_barrier_queue_as_completed_and_threads(autojump_clock: MockClock) -> None:
    @bridged
    async def body() -> Any:
        barrier = asyncio.Barrier(2)
        queue: asyncio.Queue[int] = asyncio.Queue()
        loop = asyncio.get_running_loop()

        async def meet(n: int) -> int:
            await asyncio.sleep(n)
            await barrier.wait()
            queue.put_nowait(n)
            return n

        done = [await f for f in asyncio.as_completed([meet(1), meet(2)])]
        assert loop.time() == trio.current_time() == 2
        with ThreadPoolExecutor(1) as pool:
            ident = await loop.run_in_executor(pool, threading.get_ident)
        assert ident != threading.get_ident()
        assert await asyncio.to_thread(threading.get_ident) != threading.get_ident()
        with pytest.raises(ZeroDivisionError):
            await asyncio.to_thread(lambda: 1 / 0)
        return sorted(done), queue.qsize()

    assert await body() == ([1, 2], 2)


async def test_each_task_has_a_copy_of_the_context(autojump_clock: MockClock) -> None:
    name = contextvars.ContextVar("name", default="nobody")

    @bridged
    async def body() -> Any:
        async def change(to: str) -> str:
            name.set(to)
            await asyncio.sleep(1)
            await trio.sleep(1)
            return name.get()

        name.set("body")
        return await asyncio.gather(change("a"), change("b")), name.get()

    name.set("host")
    assert await body() == (["a", "b"], "body")
    assert name.get() == "host"


async def test_timers_go_on_while_everybody_is_in_trio(autojump_clock: MockClock) -> None:
    heard: list[float] = []

    @bridged
    async def body() -> None:
        loop = asyncio.get_running_loop()
        loop.call_later(1, lambda: heard.append(loop.time()))
        loop.call_later(2, lambda: loop.call_later(1, lambda: heard.append(loop.time())))
        loop.call_later(2.5, lambda: heard.append(-1)).cancel()
        await trio.sleep(10)

    await body()
    assert heard == [1, 3]


async def test_trio_and_threads_can_set_what_asyncio_waits_for(autojump_clock: MockClock) -> None:
    @bridged
    async def body() -> Any:
        loop = asyncio.get_running_loop()
        first, second = loop.create_future(), loop.create_future()

        async def from_trio() -> None:
            await trio.sleep(3)
            first.set_result("trio")

        async with trio.open_nursery() as nursery:
            nursery.start_soon(from_trio)
            got = await first
        threading.Thread(target=lambda: loop.call_soon_threadsafe(second.set_result, "thread")).start()
        return got, await second

    autojump_clock.autojump_threshold = 0.05  # a thread is no reason to jump
    assert await body() == ("trio", "thread")


async def test_asyncio_is_detected_as_what_works(autojump_clock: MockClock) -> None:
    @bridged
    async def body() -> tuple[str, str, bool]:
        async def inner() -> str:
            return sniffio.current_async_library()

        loop = asyncio.get_running_loop()
        assert asyncio.current_task() in asyncio.all_tasks()
        return sniffio.current_async_library(), await asyncio.create_task(inner()), loop.is_running()

    assert await body() == ("trio", "trio", True)
    with pytest.raises(RuntimeError, match="no running event loop"):
        asyncio.get_running_loop()


async def test_what_is_taken_back_is_not_called(autojump_clock: MockClock) -> None:
    heard: list[str] = []

    @bridged
    async def body() -> None:
        loop = asyncio.get_running_loop()
        loop.call_soon(heard.append, "never").cancel()
        loop.call_later(1, heard.append, "first")
        loop.call_later(1, heard.append, "never").cancel()
        loop.call_later(1, heard.append, "last")
        await asyncio.sleep(2)

    await body()
    assert heard == ["first", "last"]


async def test_a_callback_may_make_a_future(autojump_clock: MockClock) -> None:
    @bridged
    async def body() -> Any:
        loop, made = asyncio.get_running_loop(), []
        loop.call_soon(lambda: made.append(loop.create_future()))
        await asyncio.sleep(1)
        loop.call_later(1, made[0].set_result, "made")
        return await made[0]

    assert await body() == "made"


async def test_what_a_thread_asks_for_when_the_body_is_over_is_not_called(autojump_clock: MockClock) -> None:
    heard: list[str] = []

    @bridged
    async def body() -> None:
        loop = asyncio.get_running_loop()
        thread = threading.Thread(target=lambda: loop.call_soon_threadsafe(heard.append, "never"))
        thread.start()
        thread.join()  # it has asked, and Trio has not had its turn yet

    await body()
    await trio.sleep(1)
    assert heard == []


@pytest.mark.parametrize("end", [lambda: "late", lambda: 1 / 0])
async def test_a_thread_that_nobody_waits_for_any_more_is_waited_for_by_the_body(
    autojump_clock: MockClock, end: Callable[[], object]
) -> None:
    went_on = threading.Event()
    ended: list[bool] = []

    def work() -> object:
        went_on.wait()
        ended.append(True)
        return end()

    @bridged
    async def body() -> str:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.to_thread(work), 1)
        went_on.set()
        return "body"

    assert await body() == "body"
    assert ended == [True]


# ------------------------------------------------------------------------------------------------------------- steps


async def test_steps_can_be_gathered_and_made_tasks(autojump_clock: MockClock) -> None:
    async def workflow(event: Any, step: Any) -> Any:
        @step.do()
        async def a() -> str:
            await trio.sleep(3)
            return "a"

        @step.do()
        @bridged
        async def b() -> str:
            return await nap(5, "b")

        @step.do()
        @bridged
        async def both() -> Any:
            task = asyncio.create_task(a())
            got = await asyncio.gather(a(), b(), step.sleep("pause", "4 seconds"))
            return *got, await task, await asyncio.wait_for(b(), 1)

        return await both()

    assert await run_workflow(workflow) == ("a", "b", None, "a", "b")
    assert trio.current_time() == 5


async def test_a_step_that_takes_too_long_is_cancelled(autojump_clock: MockClock) -> None:
    async def workflow(event: Any, step: Any) -> Any:
        @step.do()
        @bridged
        async def slow() -> None:
            await forever()

        with pytest.raises(TimeoutError):
            await asyncio.wait_for(slow(), 5)
        return slow.status

    assert await run_workflow(bridged(workflow)) == "cancelled"
    assert trio.current_time() == 5


async def test_a_tasks_await_counts_as_the_bodys(autojump_clock: MockClock) -> None:
    async def workflow(event: Any, step: Any) -> Any:
        @step.do()
        @bridged
        async def first() -> None:
            await asyncio.gather(second())

        @step.do()
        @bridged
        async def second() -> None:
            await asyncio.create_task(first())

        await first()

    with pytest.raises(DeadlockError):
        await run_workflow(workflow)


async def test_a_tasks_names_are_its_own(autojump_clock: MockClock) -> None:
    @bridged
    async def workflow(event: Any, step: Any) -> Any:
        async def one(n: int) -> int:
            @step.do()
            async def value() -> int:
                await trio.sleep(n)
                return n

            @step.do()
            async def doubled(value: int) -> int:
                return 2 * value

            await asyncio.sleep(10 - n)
            result: int = await doubled()
            return result

        return await asyncio.gather(one(1), one(2), one(3))

    assert await run_workflow(workflow) == [2, 4, 6]


# ------------------------------------------------------------------------------------------------------ cancellation


async def test_a_cancelled_body_hears_it_as_asyncio_does_and_may_wait_in_its_clean_up(
    autojump_clock: MockClock,
) -> None:
    log: list[Any] = []

    async def workflow(event: Any, step: Any) -> None:
        @step.do()
        @bridged
        async def body() -> None:
            async def child() -> None:
                try:
                    await forever()
                finally:
                    await asyncio.sleep(1)
                    log.append(("child", trio.current_time()))

            try:
                await asyncio.gather(child(), forever())
            except asyncio.CancelledError:
                await asyncio.sleep(2)
                log.append(("body", trio.current_time()))
                raise

        await body()

    async with open_run(workflow) as run:
        await trio.sleep(5)
    assert log == [("child", 6), ("body", 7)]  # gather waits for nobody who cleans up
    assert run.steps[0].status == "cancelled"


async def test_in_a_wait_of_trios_it_is_trios(autojump_clock: MockClock) -> None:
    @bridged
    async def body() -> None:
        with pytest.raises(trio.Cancelled):
            await trio.sleep_forever()
        await asyncio.sleep(100)

    with trio.move_on_after(1) as scope:
        await body()
    assert scope.cancelled_caught
    assert trio.current_time() == 1


async def test_what_is_swallowed_comes_again(autojump_clock: MockClock) -> None:
    times = 0

    @bridged
    async def body() -> None:
        nonlocal times
        for _ in range(3):
            try:
                await forever()
            except asyncio.CancelledError:
                times += 1
        await asyncio.sleep(3600)

    with trio.move_on_after(1) as scope:
        await body()
    assert (times, scope.cancelled_caught, trio.current_time()) == (3, True, 1)


async def test_what_is_only_kept_is_swallowed(autojump_clock: MockClock) -> None:
    kept: list[BaseException] = []

    @bridged
    async def body() -> None:
        try:
            await forever()
        except asyncio.CancelledError as exc:
            kept.append(exc)
        await asyncio.sleep(3600)

    with trio.move_on_after(1) as scope:
        await body()
    assert (len(kept), scope.cancelled_caught, trio.current_time()) == (1, True, 1)


async def test_what_a_body_returns_while_it_is_cancelled_counts(autojump_clock: MockClock) -> None:
    @bridged
    async def body() -> str:
        with contextlib.suppress(asyncio.CancelledError):
            await forever()
        return "all the same"

    with trio.move_on_after(1) as scope:
        assert await body() == "all the same"
    assert not scope.cancelled_caught


async def test_a_condition_gets_its_lock_back_before_it_lets_go(autojump_clock: MockClock) -> None:
    @bridged
    async def body() -> None:
        condition = asyncio.Condition()

        async def holder() -> None:
            async with condition:
                condition.notify_all()
                await asyncio.sleep(5)

        async with condition:
            task = asyncio.create_task(holder())
            await condition.wait()
        await task

    with trio.move_on_after(2) as scope:
        await body()
    assert scope.cancelled_caught
    assert trio.current_time() == 5


async def test_a_nursery_of_trios_fails_with_asyncios_cancellation(autojump_clock: MockClock) -> None:
    @bridged
    async def body() -> None:
        async def nursery() -> None:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(trio.sleep_forever)

        task = asyncio.create_task(nursery())
        await asyncio.sleep(1)
        task.cancel("enough")
        with pytest.raises(BaseExceptionGroup) as info:
            await task
        assert repr(info.value.exceptions) == "(CancelledError('enough'),)"
        with pytest.raises(BaseExceptionGroup):
            async with asyncio.timeout(1):
                await nursery()

    await body()
    assert trio.current_time() == 2


async def test_it_reaches_who_waits_beside_the_tasks_of_a_nursery(autojump_clock: MockClock) -> None:
    heard: list[str] = []

    @bridged
    async def body() -> None:
        async def child() -> None:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(trio.sleep_forever)
                try:
                    await trio.sleep_forever()
                except asyncio.CancelledError as exc:
                    heard.append(repr(exc))
                    raise

        task = asyncio.create_task(child())
        await asyncio.sleep(1)
        task.cancel("enough")
        with pytest.raises(BaseExceptionGroup) as info:
            await task
        assert repr(info.value.exceptions) == "(CancelledError('enough'),)"

    await body()
    assert heard == ["CancelledError('enough')"]
    assert trio.current_time() == 1


async def done_already() -> None:
    future = asyncio.get_running_loop().create_future()
    gathered = asyncio.gather(future)
    future.set_result(None)
    await gathered


WAITS: list[Callable[[], Any]] = [
    lambda: asyncio.sleep(0),
    lambda: asyncio.sleep(5),
    lambda: trio.sleep(5),  # noqa: ASYNC105
    done_already,
]


@pytest.mark.parametrize("wait", WAITS)
async def test_who_has_trios_answer_when_he_is_cancelled_is_told_at_the_next_wait(
    autojump_clock: MockClock, wait: Callable[[], Any]
) -> None:
    log: list[str] = []

    @bridged
    async def body() -> None:
        event = trio.Event()

        async def child() -> None:
            await event.wait()
            log.append("answered")
            try:
                await wait()
            except asyncio.CancelledError as exc:
                log.append(repr(exc))
                raise

        task = asyncio.create_task(child())
        await asyncio.sleep(1)
        event.set()
        task.cancel("enough")
        with pytest.raises(asyncio.CancelledError):
            await task
        assert task.cancelled()

    await body()
    assert log == ["answered", "CancelledError('enough')"]
    assert trio.current_time() == 1


@pytest.mark.parametrize("wait", WAITS)
async def test_but_not_if_it_was_a_timeout_that_is_over_by_then(
    autojump_clock: MockClock, wait: Callable[[], Any]
) -> None:
    @bridged
    async def body() -> None:
        event = trio.Event()
        asyncio.get_running_loop().call_later(1, event.set)
        async with asyncio.timeout(1) as limit:
            await event.wait()
        assert limit.expired()
        await wait()
        await trio.sleep(1)

    await body()


async def test_who_cancels_himself_is_told_at_his_next_wait_in_trio(autojump_clock: MockClock) -> None:
    @bridged
    async def body() -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel("enough")
        with pytest.raises(asyncio.CancelledError, match="enough"):
            await trio.sleep(1)
        task.uncancel()
        await trio.sleep(1)

    await body()
    assert trio.current_time() == 1


async def test_what_a_child_swallows_is_told_again_at_the_next_wait(autojump_clock: MockClock) -> None:
    log: list[object] = []

    @bridged
    async def body() -> None:
        async def child() -> str:
            with contextlib.suppress(asyncio.CancelledError):
                await forever()
            return "swallowed"

        log.append(await asyncio.create_task(child()))
        try:
            await forever()
        except asyncio.CancelledError:
            log.append("told")
            raise

    with trio.move_on_after(1) as scope:
        await body()
    assert (log, scope.cancelled_caught, trio.current_time()) == (["swallowed", "told"], True, 1)


async def test_a_scope_of_trios_that_a_child_swallows_ends_at_the_next_wait(autojump_clock: MockClock) -> None:
    @bridged
    async def body() -> None:
        async def child() -> str:
            with contextlib.suppress(asyncio.CancelledError):
                await forever()
            return "swallowed"

        task = asyncio.current_task()
        assert task is not None
        with trio.move_on_after(1) as scope:
            assert await asyncio.create_task(child()) == "swallowed"
            assert task.cancelling() == 0
            await forever()
        assert scope.cancelled_caught
        await asyncio.sleep(1)

    await body()
    assert trio.current_time() == 2


async def test_who_cancels_himself_fails(autojump_clock: MockClock) -> None:
    @bridged
    async def body() -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        await asyncio.sleep(1)

    async def workflow(event: Any, step: Any) -> None:
        await step.do("odd")(body)()

    with pytest.raises(AsyncioError, match="nobody had cancelled"):
        await run_workflow(workflow, defaults=StepConfig(trioflow.Retries(3, "1 second")))
    assert trio.current_time() == 0


async def test_tasks_that_are_left_are_cancelled_in_order_and_waited_for(autojump_clock: MockClock) -> None:
    log: list[Any] = []

    @bridged
    async def body() -> str:
        async def child(n: int) -> None:
            try:
                await (forever() if n % 2 else trio.sleep_forever())  # noqa: ASYNC105
            except asyncio.CancelledError:
                await asyncio.sleep(n)
                log.append((n, trio.current_time()))
                raise

        for n in (3, 1, 2):
            asyncio.create_task(child(n))  # noqa: RUF006 - drivers keep their tasks
        await asyncio.sleep(10)
        return "done"

    tasks = trio.lowlevel.current_statistics().tasks_living
    assert await body() == "done"
    assert log == [(1, 11), (2, 12), (3, 13)]
    assert trio.lowlevel.current_statistics().tasks_living == tasks


async def test_an_error_that_nobody_retrieved_is_logged(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    @bridged
    async def body() -> None:
        async def fail() -> None:
            raise KeyError("lost")

        asyncio.create_task(fail())  # noqa: RUF006
        asyncio.get_running_loop().call_soon(lambda: 1 / 0)
        await asyncio.sleep(1)

    with caplog.at_level(logging.ERROR, "asyncio"):
        await body()
        gc.collect()
    first, second = sorted(record.getMessage().splitlines()[0] for record in caplog.records)
    assert first.startswith("Exception in callback ")
    assert second == "Task exception was never retrieved"


async def test_in_debug_mode_the_log_says_where_it_was_made(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    @bridged
    async def body() -> None:
        loop = asyncio.get_running_loop()
        assert not loop.get_debug()
        loop.set_debug(True)
        assert loop.get_debug()
        loop.call_soon(lambda: 1 / 0)
        await asyncio.sleep(1)

    with caplog.at_level(logging.ERROR, "asyncio"):
        await body()
    (record,) = caplog.records
    assert "\nObject created at (most recent call last):\n" in record.getMessage()
    assert "loop.call_soon(lambda: 1 / 0)" in record.getMessage()
    assert record.exc_info is not None
    assert record.exc_info[0] is ZeroDivisionError


async def test_an_exception_handler_gets_it_instead(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    told: list[dict[str, Any]] = []

    def handler(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        told.append(context)
        if len(told) == 2:
            raise KeyError("in the handler")

    @bridged
    async def body() -> None:
        loop = asyncio.get_running_loop()
        assert loop.get_exception_handler() is None
        loop.set_exception_handler(handler)
        assert loop.get_exception_handler() is handler
        for _ in range(2):
            loop.call_soon(lambda: 1 / 0)
            await asyncio.sleep(1)
        loop.set_exception_handler(None)
        loop.call_exception_handler({"message": "said by hand"})

    with caplog.at_level(logging.ERROR, "asyncio"):
        await body()
    assert [type(context["exception"]) for context in told] == [ZeroDivisionError, ZeroDivisionError]
    unheard, by_hand = caplog.records
    assert unheard.getMessage().startswith("Unhandled error in exception handler\ncontext: {")
    assert unheard.exc_info is not None
    assert unheard.exc_info[0] is KeyError
    assert by_hand.getMessage() == "said by hand"


async def test_nobody_has_made_another_kind_of_task(autojump_clock: MockClock) -> None:
    @bridged
    async def body() -> Any:
        return asyncio.get_running_loop().get_task_factory()

    assert await body() is None


async def test_after_the_end_the_loop_is_closed(autojump_clock: MockClock) -> None:
    @bridged
    async def body() -> Any:
        return asyncio.get_running_loop()

    loop = await body()
    assert loop.is_closed()
    with pytest.raises(RuntimeError, match="the body that it belonged to is over"):
        loop.call_soon(print)


@pytest.mark.parametrize("where", ["asyncio", "trio", "running", "child"])
def test_an_interrupt_comes_out_plain(where: str, caplog: pytest.LogCaptureFixture) -> None:
    cleaned: list[str] = []

    def interrupt() -> None:
        signal.raise_signal(signal.SIGINT)

    @bridged
    async def body() -> None:
        async def child() -> None:
            try:
                await asyncio.sleep(1)
                if where == "child":
                    interrupt()
                await asyncio.sleep(1000)
            finally:
                cleaned.append("child")

        task = asyncio.create_task(child())
        try:
            if where == "running":
                interrupt()
            await (trio.sleep(1000) if where == "trio" else task)  # noqa: ASYNC105
        finally:
            cleaned.append("body")

    async def workflow(event: Any, step: Any) -> None:
        await step.do("body")(body)()

    async def main() -> None:
        if where not in ("asyncio", "trio"):
            return await run_workflow(workflow)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(soon)
            await run_workflow(workflow)

    async def soon() -> None:
        await trio.sleep(5)
        interrupt()

    with pytest.raises(BaseException) as info:  # noqa: PT011 - what is in it is looked at below
        trio.run(main, clock=MockClock(autojump_threshold=0))
    error = info.value
    if where in ("asyncio", "trio"):  # the host's nursery has put it into a group
        assert isinstance(error, BaseExceptionGroup)
        (error,) = error.exceptions
    assert isinstance(error, KeyboardInterrupt)
    assert "body" in cleaned
    del error, info
    gc.collect()
    assert not caplog.records


async def test_two_tasks_that_both_want_to_exit_do_not_hide_each_other(autojump_clock: MockClock) -> None:
    @bridged
    async def body() -> None:
        async def first() -> None:
            await asyncio.sleep(1)
            raise SystemExit("first")

        async def second() -> None:
            try:
                await forever()
            finally:
                raise SystemExit("second")

        tasks = [asyncio.create_task(first()), asyncio.create_task(second())]
        try:
            await forever()
        finally:
            for task in tasks:  # or asyncio would log that nobody has asked
                task.add_done_callback(asyncio.Task.exception)

    with pytest.raises(BaseExceptionGroup) as info:
        await body()
    assert sorted(map(repr, info.value.exceptions)) == ["SystemExit('first')", "SystemExit('second')"]


def test_an_exit_comes_out_plain_in_a_host_without_strict_groups_too() -> None:
    @bridged
    async def body() -> None:
        async def child() -> None:
            raise SystemExit("enough")

        await asyncio.create_task(child())

    for strict in (True, False):
        warned = contextlib.nullcontext() if strict else pytest.warns(trio.TrioDeprecationWarning)
        with warned, pytest.raises(SystemExit, match="enough"):
            trio.run(body, strict_exception_groups=strict)


# ------------------------------------------------------------------------------------------------- what can't be had


@pytest.mark.parametrize(
    ("ask", "said"),
    [
        (
            lambda loop: asyncio.open_connection("localhost", 1),
            "create_connection can't be used .* trio.open_tcp_stream",
        ),
        (lambda loop: asyncio.create_subprocess_exec("true"), "subprocess_exec can't be used .* trio.run_process"),
        (lambda loop: loop.add_reader(0, print), "add_reader can't be used .* trio.lowlevel.wait_readable"),
        (lambda loop: loop.add_signal_handler(2, print), "add_signal_handler can't be used"),
        (lambda loop: loop.run_until_complete(None), "run_until_complete can't be used .* `await`"),
        (lambda loop: loop.sock_accept(None), "sock_accept can't be used .* what Trio has for it"),
        (lambda loop: loop.set_task_factory(None), "set_task_factory can't be used"),
    ],
)
async def test_what_is_trios_says_so_and_is_not_tried_again(
    autojump_clock: MockClock, ask: Callable[..., Any], said: str
) -> None:
    attempts = 0

    @bridged
    async def body() -> None:
        nonlocal attempts
        attempts += 1
        asked = ask(asyncio.get_running_loop())
        await asked

    async def workflow(event: Any, step: Any) -> None:
        await step.do("odd")(body)()

    with pytest.raises(AsyncioError, match=said):
        await run_workflow(workflow, defaults=StepConfig(trioflow.Retries(3, "1 second")))
    assert attempts == 1


async def test_no_coroutine_no_task(autojump_clock: MockClock) -> None:
    @bridged
    async def body() -> None:
        nothing: Any = None
        with pytest.raises(TypeError, match="a coroutine was expected, got None"):
            asyncio.create_task(nothing)  # noqa: RUF006

    await body()


# ------------------------------------------------------------------------------------------------------- which files


def loaded(path: Path) -> types.ModuleType:
    module = types.ModuleType(path.stem)
    module.__file__ = str(path)
    return module


@pytest.mark.parametrize(
    ("text", "siblings", "uses"),
    [
        ("import asyncio", {}, True),
        ("import asyncio.subprocess as s", {}, True),
        ("def f():\n    from asyncio import sleep", {}, True),
        ("import trio", {}, False),
        ("import anyio, logging, concurrent.futures", {}, False),
        ("from helpers import nap", {"helpers.py": "import asyncio"}, True),
        ("import helpers", {"helpers.py": "import more", "more.py": "import helpers, asyncio"}, True),
        ("import helpers", {"helpers.py": "import trio"}, False),
        ("import helpers", {"helpers.py": "import more", "more.py": "import helpers"}, False),
        ("from src import a", {"src/__init__.py": "", "src/a.py": "from . import b", "src/b.py": "import asyncio"}, True),
        ("import helpers", {"helpers.py": "import asyncio of"}, False),
        ("import lib", {"site-packages/lib.py": "import asyncio"}, False),
    ],
)  # fmt: skip
def test_which_files_use_asyncio(
    text: str, siblings: dict[str, str], uses: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "flow_for_asyncio.py"
    path.write_text(text)
    for name, content in siblings.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(textwrap.dedent(content))
    module = loaded(path)
    assert uses_asyncio(module) == uses
    monkeypatch.setitem(sys.modules, module.__name__, module)
    assert uses_asyncio(module) == uses


def test_a_module_without_a_file_is_asked_for_what_it_has() -> None:
    module = types.ModuleType("typed_in")
    assert not uses_asyncio(module)
    vars(module)["nap"] = asyncio.sleep
    assert uses_asyncio(module)
