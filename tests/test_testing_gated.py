"""A gate before each body: the workflow does what it does, and every body begins when the schedule says so."""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from functools import partial
from typing import Any

import pytest
import trio
from trio.lowlevel import checkpoint
from trio.testing import MockClock

from trioflow import (
    Retries,
    StepConfig,
    WorkflowEntrypoint,
    WorkflowStep,
    WorkflowTimeoutError,
    run_workflow,
    workers,
)
from trioflow.executors import Threads
from trioflow.testing import Modifiers, Systematic, explore, gated
from trioflow.testing.gated import START


def run(workflow: Any, params: object = None, **options: Any) -> Any:
    return trio.run(partial(run_workflow, gated(workflow, **options), params), clock=MockClock(autojump_threshold=0))


async def everything(event: Any, step: WorkflowStep) -> Any:
    def times(factor: int, number: int) -> int:
        return factor * number

    @step.do("fetch")
    async def fetch() -> int:
        await trio.sleep(1)
        return 1

    @step.do()
    def plain(fetch: int, *, other: int = 5) -> int:
        return fetch + other

    @step.do("by place", depends=[fetch, plain], concurrent=True)
    async def by_place(one: int, other: int, ctx: Any) -> tuple[int, int, str, int]:
        return one, other, ctx.step.name, ctx.attempt

    bound = step.do("bound", depends=[plain])(partial(times, 10))
    named = step.do("named", depends=[fetch])(partial(times, number=7))

    @step.do(executor=Threads())
    def elsewhere(fetch: int, ctx: Any) -> tuple[int, str]:
        return fetch, ctx.step.name

    tries = []

    @step.do(config=StepConfig(retries=Retries(2, "1 second"), timeout="5 seconds"))
    async def tried(ctx: Any) -> list[int]:
        tries.append(ctx.attempt)
        if ctx.attempt < 3:
            raise OSError("again")
        return tries

    @step.do(config=StepConfig(retries=Retries(1, "1 second")))
    def tried_plainly(ctx: Any) -> int:
        if ctx.attempt < 2:
            raise OSError("again")
        return int(ctx.attempt)

    @step.do()
    def returns_an_awaitable() -> Any:
        return trio.sleep(1)  # noqa: ASYNC105 - whoever calls it awaits what it gets

    await returns_an_awaitable()
    return [
        await by_place(), await bound(), await named(), await elsewhere(), await tried(), await tried_plainly(),
        trio.current_time(),
    ]  # fmt: skip


def test_the_workflow_gives_what_it_gives() -> None:
    expected = trio.run(partial(run_workflow, everything), clock=MockClock(autojump_threshold=0))
    assert expected[0] == (1, 6, "by place", 1)
    assert run(everything) == expected
    assert explore(everything, schedules=30).schedules == 30


def test_a_body_with_an_executor_is_called_in_place() -> None:
    async def workflow(event: Any, step: WorkflowStep) -> bool:
        @step.do(executor=Threads())
        def where() -> bool:
            return threading.current_thread() is threading.main_thread()

        return await where()

    assert not trio.run(run_workflow, workflow)
    assert run(workflow)


def test_a_timeout_strikes_as_it_does() -> None:
    async def workflow(event: Any, step: WorkflowStep) -> None:
        @step.do(config=StepConfig(timeout="5 seconds"))
        async def slow() -> None:
            await trio.sleep(6)

        await slow()

    with pytest.raises(WorkflowTimeoutError):
        run(workflow)


def test_the_wall_clock_always_starts_at_the_same_moment() -> None:
    async def workflow(event: Any, step: WorkflowStep) -> datetime:
        await step.sleep("a while", "10 seconds")
        await step.sleep_until("the date", datetime(2000, 1, 1, 1, tzinfo=UTC))
        assert trio.current_time() == 3600
        return event.timestamp

    assert run(workflow) == START


def test_a_class_is_made_with_its_env() -> None:
    class Report(WorkflowEntrypoint):
        async def run(self, event: Any, step: WorkflowStep) -> Any:
            return self.env, event.payload, event.workflowName

    assert run(Report, 1, env="e") == ("e", 1, "Report")


def test_a_workflow_for_cloudflare_stays_one() -> None:
    class Report(workers.WorkflowEntrypoint):
        async def run(self, event: Any, step: Any) -> Any:
            @step.do("fails")
            async def fails() -> None:
                tries.append(trio.current_time())
                raise OSError("no")

            assert event.timestamp.tzinfo is None
            await fails()

    tries: list[float] = []
    with pytest.raises(OSError, match="no"):
        run(Report)
    assert tries == [0, 10, 30, 70, 150, 310], "their default is five retries"


def test_doubles_and_gates_go_together() -> None:
    async def workflow(event: Any, step: WorkflowStep) -> Any:
        @step.do(executor=Threads())
        def fetch() -> int:
            raise OSError("no network in tests")

        @step.do()
        def double(fetch: int) -> int:
            return fetch * 2

        return await double()

    mods = Modifiers()
    mods.mock_step_result("fetch", 4)
    assert run(mods.apply(workflow)) == 8


def test_a_log_is_told_what_bodies_do() -> None:
    told = []

    def log(what: str, detail: object = None) -> None:
        told.append((trio.lowlevel.current_task().name, what, detail))

    async def workflow(event: Any, step: WorkflowStep) -> None:
        @step.do()
        async def slow() -> None:
            await trio.sleep(10)

        @step.do()
        def fails(one: int) -> None:
            raise error

        @step.do()
        def one() -> int:
            return 1

        await step.do("all", depends=[slow, fails], concurrent=True)(lambda slow, fails: None)()

    error = ValueError("no")
    with pytest.raises(ValueError, match="no"):
        run(workflow, log=log)
    assert told == [
        ("slow", "begins", ((), {})),
        ("one", "begins", ((), {})),
        ("one", "returns", 1),
        ("fails", "begins", ((1,), {})),
        ("fails", "raises", error),
        ("slow", "is cancelled", None),
    ]


def test_bodies_that_never_block_can_come_in_any_order() -> None:
    """Without gates they come in one: that is what gates are for."""
    orders = set()

    async def workflow(event: Any, step: WorkflowStep) -> None:
        order = []

        def body(name: str) -> Any:
            return step.do(name)(lambda: order.append(name))

        await step.do("all", depends=[body(name) for name in "abc"], concurrent=True)(lambda *_: None)()
        orders.add("".join(order))

    explore(partial(run_workflow, workflow), schedules=Systematic(limit=300))
    assert orders == {"abc"}
    done = explore(workflow, schedules=Systematic())
    assert orders == {"abc", "acb", "bac", "bca", "cab", "cba"}
    assert (done.complete, done.schedules, done.interleavings) == (True, 6, 6)


async def test_it_can_be_run_by_a_program_of_ones_own(autojump_clock: MockClock) -> None:
    async def workflow(event: Any, step: WorkflowStep) -> int:
        @step.do()
        async def one() -> int:
            await checkpoint()
            return int(event.payload)

        return await one()

    assert await run_workflow(gated(workflow), 7) == 7
