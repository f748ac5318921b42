"""Threads: where a plain body is called, what it sees there, and what becomes of it when nobody wants it any more."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock

from trioflow import (
    ConfigError,
    Retries,
    Step,
    StepConfig,
    StepContext,
    WorkflowStep,
    WorkflowTimeoutError,
    run_workflow,
)
from trioflow.executors import Threads

variable: ContextVar[str] = ContextVar("variable")


async def test_a_body_is_called_in_a_thread_with_its_values_and_its_ctx() -> None:
    async def workflow(event: Any, step: WorkflowStep) -> Any:
        step.do("first")(lambda: 1)

        @step.do("second", executor=Threads())
        def second(first: int, ctx: StepContext) -> tuple[int, str, int, int]:
            return first, ctx.step.name, ctx.attempt, threading.get_ident()

        @step.do(depends=[second], executor=Threads())
        def keywords(second: Any, *, ctx: StepContext, more: int = 3) -> Any:
            return second, ctx.step.name, more, threading.get_ident()

        return await keywords()

    (one, name, attempt, there), other_name, more, there_too = await run_workflow(workflow)
    assert (one, name, attempt, other_name, more) == (1, "second", 1, "keywords", 3)
    assert threading.get_ident() not in (there, there_too)


async def test_it_holds_nobody_up() -> None:
    """Two that wait for each other, and a task of the program that both wait for."""
    meeting, third = threading.Barrier(3), trio.Event()

    async def workflow(event: Any, step: WorkflowStep) -> list[int]:
        @step.do(executor=Threads())
        def left() -> int:
            return meeting.wait(10)

        @step.do(executor=Threads())
        def right() -> int:
            return meeting.wait(10)

        @step.do(depends=[left, right], concurrent=True)
        def both(left: int, right: int) -> list[int]:
            return [left, right]

        return await both()

    async def beside() -> None:
        await trio.to_thread.run_sync(meeting.wait, 10)
        third.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(beside)
        assert len(set(await run_workflow(workflow))) == 2
        await third.wait()


async def test_p15_it_sees_the_contextvars_of_the_one_who_asked_and_its_own_changes_stay_with_it() -> None:
    async def workflow(event: Any, step: WorkflowStep) -> None:
        @step.do(executor=Threads())
        def body() -> str:
            seen = variable.get()
            variable.set("changed there")
            return seen

        variable.set("of the one who asks")
        assert await body() == "of the one who asks"
        assert variable.get() == "of the one who asks"

    await run_workflow(workflow)


async def test_its_error_is_plain_with_its_own_traceback() -> None:
    error = ValueError("no")

    async def workflow(event: Any, step: WorkflowStep) -> None:
        @step.do(executor=Threads())
        def fails() -> None:
            raise error

        await fails()

    with pytest.raises(ValueError, match="no") as caught:
        await run_workflow(workflow)
    assert caught.value is error
    names = [entry.name for entry in caught.traceback]
    assert names[-2:] == ["__call__", "fails"], "between the await and the body there is nothing of ours or Trio's"


async def test_it_may_call_back() -> None:
    async def workflow(event: Any, step: WorkflowStep) -> int:
        one = step.do("one")(lambda: 1)

        @step.do(executor=Threads())
        def calls_back() -> int:
            return trio.from_thread.run(one) + trio.from_thread.run_sync(lambda: 1)

        return await calls_back()

    assert await run_workflow(workflow) == 2


async def test_p16_who_calls_back_for_a_step_that_waits_for_it_is_told() -> None:
    async def workflow(event: Any, step: WorkflowStep) -> str:
        @step.do(executor=Threads())
        def body() -> str:
            try:
                trio.from_thread.run(top)
            except Exception as exc:
                return type(exc).__name__
            return "nothing was told"

        @step.do(depends=[body])
        def top(body: str) -> str:
            return body

        return await top()

    assert await run_workflow(workflow) == "DeadlockError"


# --------------------------------------------------------------------------------------------------------- being stopped


class Body:
    """Works in a thread until it is let go, or finds out that it is to stop."""

    def __init__(self, asks: bool) -> None:
        self.asks = asks
        self.begun = trio.Event()
        self.go = threading.Event()
        self.ended: list[str] = []

    def __call__(self) -> str:
        trio.from_thread.run_sync(self.begun.set)
        while not self.go.wait(0.001):
            if self.asks:
                try:
                    trio.from_thread.check_cancelled()
                except trio.Cancelled:
                    self.ended.append("stopped")
                    raise
        self.ended.append("returned")
        return "value"


async def left_alone(body: Body, executor: Threads) -> Step[str]:
    """Await it, and leave as soon as it works."""
    declared: list[Step[str]] = []

    async def workflow(event: Any, step: WorkflowStep) -> None:
        declared.append(step.do("body", executor=executor)(body))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(declared[0])
            await body.begun.wait()
            nursery.cancel_scope.cancel()
            if not body.asks and not executor.abandon_on_cancel:
                trio.lowlevel.current_trio_token().run_sync_soon(body.go.set)
                assert declared[0].status == "cancelling", "it is waited for"

    await run_workflow(workflow)
    return declared[0]


async def test_one_that_asks_whether_it_is_to_stop_is_stopped() -> None:
    body = Body(asks=True)
    step = await left_alone(body, Threads())
    assert (step.status, body.ended) == ("cancelled", ["stopped"])


async def test_one_that_does_not_is_waited_for_and_its_value_counts() -> None:
    body = Body(asks=False)
    step = await left_alone(body, Threads())
    assert (step.status, body.ended) == ("succeeded", ["returned"])


async def test_one_that_may_be_abandoned_is() -> None:
    body = Body(asks=False)
    step = await left_alone(body, Threads(abandon_on_cancel=True))
    assert (step.status, body.ended) == ("cancelled", [])
    body.go.set()


async def test_p18_a_timeout_stops_it_before_the_next_attempt_begins() -> None:
    """Real time, of some milliseconds: under virtual time it would stand still."""
    at_work: list[int] = []
    most = 0

    async def workflow(event: Any, step: WorkflowStep) -> None:
        @step.do(executor=Threads(), config=StepConfig(Retries(2, "0 seconds"), "0.01 seconds"))
        def body(ctx: StepContext) -> None:
            nonlocal most
            at_work.append(ctx.attempt)
            most = max(most, len(at_work))
            try:
                while True:
                    trio.from_thread.check_cancelled()
            finally:
                at_work.remove(ctx.attempt)

        with pytest.raises(WorkflowTimeoutError, match="attempt 3 took longer"):
            await body()

    await run_workflow(workflow)
    assert (at_work, most) == ([], 1)


async def test_a_limit_is_for_how_many_work_at_once() -> None:
    at_work = most = 0
    lock = threading.Lock()
    both = threading.Barrier(2, timeout=30)

    async def workflow(event: Any, step: WorkflowStep) -> None:
        def body() -> None:
            nonlocal at_work, most
            with lock:
                at_work += 1
                most = max(most, at_work)
            both.wait()  # for another one, however slow the machine is
            trio.from_thread.run(trio.testing.wait_all_tasks_blocked)  # so that a third could begin
            with lock:
                at_work -= 1

        threads = Threads(limit=2)
        steps = [step.do(f"s{i}", executor=threads)(body) for i in range(6)]
        await step.do("all", depends=steps, concurrent=True)(lambda *values: None)()

    await run_workflow(workflow)
    assert most == 2


# ----------------------------------------------------------------------------------------------------------- virtual time


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 3), st.integers(0, 3))
def test_p17_virtual_time_stands_still_while_threads_work(threads: int, turns: int) -> None:
    """Without that a clock that jumps would let every timeout pass while they work."""
    times = []

    async def workflow(event: Any, step: WorkflowStep) -> None:
        def body() -> None:
            for _ in range(turns):
                trio.from_thread.run_sync(lambda: None)
            threading.Event().wait(0.002)  # long enough for a clock that would jump
            times.append(trio.from_thread.run_sync(trio.current_time))

        steps = [step.do(f"s{i}", executor=Threads())(body) for i in range(threads)]
        async with trio.open_nursery() as nursery:
            nursery.start_soon(step.do("beside")(trio.sleep_forever))
            await step.do("all", depends=steps, concurrent=True)(lambda *values: None)()
            nursery.cancel_scope.cancel()
        await step.sleep("afterwards", "10 days")

    async def main() -> None:
        with trio.fail_after(864_001):
            await run_workflow(workflow)
        assert trio.current_time() == 864_000

    trio.run(main, clock=MockClock(autojump_threshold=0))
    assert times == [0.0] * threads


async def test_a_cancellation_and_an_error_come_through_virtual_time_as_they_are(autojump_clock: MockClock) -> None:
    with pytest.raises(ZeroDivisionError):
        await Threads().run_sync(lambda: 1 // 0)
    with trio.CancelScope() as scope:
        scope.cancel()
        await Threads().run_sync(lambda: None)
    assert scope.cancelled_caught


# -------------------------------------------------------------------------------------------------------------- mistakes


@pytest.mark.parametrize("limit", [0, -1, 1.5, "4", True])
def test_a_limit_that_is_no_number_of_threads_is_refused(limit: Any) -> None:
    with pytest.raises(ConfigError, match=r"limit of threads can't be .*: it is how many may work at once"):
        Threads(limit=limit)


@pytest.mark.parametrize("make", [lambda: Threads(), lambda: Threads(limit=3, abandon_on_cancel=True)])
def test_it_shows_what_it_was_made_with(make: Callable[[], Threads]) -> None:
    made = make()
    assert repr(made) == f"Threads(limit={made.limit}, abandon_on_cancel={made.abandon_on_cancel})"
