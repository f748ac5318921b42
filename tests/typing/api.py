"""What a type checker makes of programs that use trioflow. Checked with `mypy --strict`, never executed.

A line that has to be refused says so with `type: ignore[...]`: the checker complains about one that isn't needed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Literal, TypedDict, assert_type

import trio

import trioflow.abc
from trioflow import (
    CycleError,
    DeadlockError,
    DefinitionError,
    NonRetryableError,
    OpenRun,
    Retries,
    RunClosedError,
    Step,
    StepConfig,
    StepContext,
    WorkflowEntrypoint,
    WorkflowEvent,
    WorkflowRun,
    WorkflowStep,
    WorkflowTimeoutError,
    open_run,
    run_workflow,
)
from trioflow.abc import Instrument, StepCancelled, StepCompleted, StepErrored, StepStarted
from trioflow.executors import Threads

# ------------------------------------------------------------------------------------------------------- workflows


class Params(TypedDict):
    day: str


class Made(TypedDict):
    lines: int


class Report(WorkflowEntrypoint):
    async def run(self, event: WorkflowEvent[Params], step: WorkflowStep) -> Made:
        assert_type(event.payload["day"], str)
        assert_type(event.timestamp, datetime)
        assert_type(event.instanceId, str)
        assert_type(event.workflowName, str)
        assert isinstance(event, dict)
        event.schedule  # type: ignore[attr-defined]  # noqa: B018
        event.payload["month"]  # type: ignore[typeddict-item]

        @step.do("fetch users")
        async def users() -> list[str]:
            await trio.sleep(1)
            return ["ann"]

        @step.do("count", depends=[users], concurrent=True, config={"timeout": "1 minute"})
        def count(users: list[str], ctx: StepContext) -> int:
            assert_type(ctx.step.name, str)
            assert_type(ctx.step.count, int)
            assert_type(ctx.attempt, int)
            assert_type(ctx.config, Mapping[str, Any])
            ctx.attempts  # type: ignore[attr-defined]  # noqa: B018
            return len(users)

        assert_type(users, Step[list[str]])
        assert_type(count, Step[int])
        assert_type(await users(), list[str])
        assert_type(count.name, str)
        assert_type(count.status, Literal["pending", "running", "cancelling", "succeeded", "failed", "cancelled"])
        assert_type(count.reason, str | None)
        assert_type(count.dependencies, tuple[Step[Any], ...])
        assert_type(count.place, str)
        if count.status == "done":  # type: ignore[comparison-overlap]
            pass
        users.status = "failed"  # type: ignore[misc]
        await users(1)  # type: ignore[call-arg]

        await step.sleep("a while", "10 seconds")
        await step.sleep("a while", timedelta(seconds=10))
        await step.sleep("a while", 250)
        await step.sleep("a while", None)  # type: ignore[arg-type]
        async with trio.open_nursery() as nursery:
            nursery.start_soon(step.sleep, "beside", "10 seconds")
            nursery.start_soon(users)

        step.do("wrong", depends=[len])  # type: ignore[list-item]
        step.do("wrong", depends=users)  # type: ignore[arg-type]
        step.do("wrong", depends="users")  # type: ignore[arg-type]
        step.do("wrong", executor="threads")  # type: ignore[arg-type]
        step.do("wrong", config={"timeuot": 1})  # type: ignore[arg-type]
        step.do("wrong", config={"retries": {"limit": 1}})  # type: ignore[arg-type]
        step.do(5)  # type: ignore[arg-type]
        step.do(users)  # type: ignore[arg-type]

        steps: list[Step[Any]] = [users, count]
        step.do("all of them", depends=steps)(lambda *rest: None)
        assert_type(step.do("there", executor=Threads(limit=2))(lambda: 1), Step[int])
        assert_type(step.do("there", executor=trio.to_thread)(lambda: 1), Step[int])
        step.do("in turn", depends=iter(steps))(lambda *rest: None)
        return {"lines": await count()}


class Plain(WorkflowEntrypoint):
    def run(self, event: WorkflowEvent[None], step: WorkflowStep) -> int:
        return 1


class Untyped(WorkflowEntrypoint):
    async def run(self, event, step):  # type: ignore[no-untyped-def]
        @step.do()
        async def body():  # type: ignore[no-untyped-def]
            return 1

        return await body()


class NotOurs:
    """Any class with a `run` will do."""

    async def run(self, event: WorkflowEvent[int], step: WorkflowStep) -> str:
        return ""


async def function(event: WorkflowEvent[Params], step: WorkflowStep) -> bytes:
    return b""


def plain_function(event: WorkflowEvent[Params], step: WorkflowStep) -> float:
    return 1.0


# ----------------------------------------------------------------------------------------------------------- running


class Watching(Instrument):
    def step_started(self, fact: StepStarted, /) -> None:
        assert_type(fact.step, str)
        assert_type(fact.occurrence, int)
        assert_type(fact.time, float)
        assert_type(fact.instance_id, str)

    def step_completed(self, fact: StepCompleted, /) -> None:
        assert_type(fact.output, object)

    def step_errored(self, fact: StepErrored, /) -> None:
        assert_type(fact.error, BaseException)

    def step_cancelled(self, fact: StepCancelled, /) -> None:
        assert_type(fact.reason, str)
        fact.reason = ""  # type: ignore[misc]


class Mistaken(Instrument):
    def step_started(self, fact: StepCompleted, /) -> None: ...  # type: ignore[override]


async def runs() -> None:
    assert_type(await run_workflow(Report, {"day": "today"}), Made)
    assert_type(await run_workflow(Plain), int)
    assert_type(await run_workflow(NotOurs, 1), str)
    assert_type(await run_workflow(function), bytes)
    assert_type(await run_workflow(plain_function), float)
    await run_workflow(Untyped)
    await run_workflow(
        Report,
        {"day": "today"},
        instance_id="the-one",
        env={"KEY": "x"},
        defaults=StepConfig(Retries(3, "1 second"), timeout=timedelta(minutes=1)),
        instruments=[Watching()],
    )
    await run_workflow(Report, defaults={"retries": {"limit": 3, "delay": 250, "backoff": "linear"}})
    await run_workflow(Report, "the-one", {"KEY": "x"})  # type: ignore[call-overload]
    await run_workflow(Report, instance_id=1)  # type: ignore[call-overload]
    await run_workflow(Report, instruments=[len])  # type: ignore[list-item]
    await run_workflow(5)  # type: ignore[call-overload]

    async with open_run(Report) as run:
        assert_type(run, WorkflowRun[Made])
        assert_type(await run.result(), Made)
        assert_type(run.steps, Sequence[Step[Any]])
        assert_type(run.id, str)
        run.id = ""  # type: ignore[misc]
    assert_type(open_run(Plain), OpenRun[int])
    assert_type(open_run(function), OpenRun[bytes])
    trio.run(run_workflow, Report)


# ------------------------------------------------------------------------------------------------ configuration, errors

StepConfig(timeout=1000)  # type: ignore[arg-type]
Retries(3, 1000)  # type: ignore[arg-type]
Retries(3, "1 second", "lineal")  # type: ignore[arg-type]
Retries(3, lambda ctx, error: "1 second")
Retries(3, lambda ctx, error: 1000)  # type: ignore[arg-type, return-value]
StepConfig().timeout = "1 second"  # type: ignore[misc]

assert_type(DefinitionError("x").place, str | None)
assert_type(CycleError("x").steps, tuple[str, ...])
assert_type(DeadlockError("x").steps, tuple[str, ...])
assert_type(RunClosedError("x").step, str | None)
assert_type(WorkflowTimeoutError("x").seconds, float | None)
RunClosedError("x", "y")  # type: ignore[call-arg]


class Refused(NonRetryableError):
    """Made to be extended."""


class Final(StepContext):  # type: ignore[misc]
    """Not made to be extended."""


watching: Callable[[StepStarted], None] = trioflow.abc.Instrument().step_started
