"""Waiting for what a run does: whoever waits is told, and nobody waits for what can't come any more."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
import trio

from trioflow import (
    ConfigError,
    ReceivedEvent,
    RunClosedError,
    StepContext,
    WorkflowStep,
    WorkflowTimeoutError,
    open_run,
    run_workflow,
)
from trioflow.testing import Modifiers, run_virtually


async def day(event: Any, step: WorkflowStep) -> str:
    @step.do(config={"retries": {"limit": 1, "delay": "1 minute"}})
    async def load(ctx: StepContext) -> str:
        await trio.sleep(10)
        if ctx.attempt == 1:
            raise OSError
        return "loaded"

    @step.do()
    async def bad() -> None:
        raise KeyError("bad")

    await step.sleep("nap", "1 hour")
    await load()
    with pytest.raises(KeyError):
        await bad()
    with suppress(WorkflowTimeoutError):
        await step.wait_for_event("boss", "approval", timeout="1 hour")
    await step.wait_for_event("deputy", "approval")
    with trio.move_on_after(5):
        await step.sleep("cut short", "1 hour")
    return "done"


async def test_a_result_is_there_when_the_step_has_one_and_not_after_a_failed_attempt(autojump_clock: object) -> None:
    mods = Modifiers()
    async with open_run(mods.apply(day)) as run:
        assert await mods.result_of("nap") is None
        assert trio.current_time() == 3600
        assert await mods.result_of("load") == "loaded"
        assert trio.current_time() == 3600 + 10 + 60 + 10
        with pytest.raises(KeyError, match="bad"):
            await mods.result_of("bad")
        with pytest.raises(WorkflowTimeoutError, match="wait 'boss': no event came within its timeout") as caught:
            await mods.result_of("boss")
        assert caught.value.step == "boss"
        await mods.reached("deputy", "running")
        run.send_event("approval", 3)
        event = await mods.result_of("deputy")
        assert isinstance(event, ReceivedEvent)
        assert event.payload == 3
        await mods.reached("cut short", "cancelled")
        assert await mods.ended() == "complete"
        assert await run.result() == "done"


async def test_a_failure_is_that_very_object_for_each_who_waits_and_does_not_grow(autojump_clock: object) -> None:
    error, mods = OSError("down"), Modifiers()

    async def flow(event: Any, step: WorkflowStep) -> None:
        @step.do()
        async def a() -> None:
            raise error

        with pytest.raises(OSError, match="down"):
            await a()

    await run_workflow(mods.apply(flow))
    lengths = []
    for _ in range(3):
        with pytest.raises(OSError, match="down") as caught:
            await mods.result_of("a")
        assert caught.value is error
        lengths.append(len(caught.traceback))
    assert len(set(lengths)) == 1


async def test_what_has_been_reached_once_is_reached(autojump_clock: object) -> None:
    mods = Modifiers()
    mods.mock_event("approval")
    mods.force_event_timeout("boss")
    await run_workflow(mods.apply(day))
    await mods.reached("load", "running")
    await mods.reached("load", "succeeded")
    await mods.reached("bad", "failed")
    await mods.reached("boss", "failed")
    await mods.reached("deputy", "succeeded")


@pytest.mark.parametrize(
    ("name", "status", "said"),
    [
        ("load", "failed", "'load' will never become 'failed': it has succeeded"),
        ("bad", "succeeded", r"'bad' will never become 'succeeded': it has failed with KeyError\('bad'\)"),
        ("boss", "cancelled", "it has timed out"),
    ],
)
async def test_what_has_another_outcome_is_not_waited_for_until_the_end(
    name: str, status: Any, said: str, autojump_clock: object
) -> None:
    mods = Modifiers()
    async with open_run(mods.apply(day)):
        with pytest.raises(RunClosedError, match=said):
            await mods.reached(name, status)
        assert trio.current_time() < 10_000


async def test_a_cancelled_step_may_begin_again_and_is_waited_for_until_the_end(autojump_clock: object) -> None:
    mods = Modifiers()

    async def flow(event: Any, step: WorkflowStep) -> None:
        @step.do()
        async def slow() -> str:
            await trio.sleep(10)
            return "slow"

        with trio.move_on_after(5):
            await slow()
        await trio.sleep(100)
        if event.payload:
            await slow()

    async with open_run(mods.apply(flow), True):
        await mods.reached("slow", "cancelled")
        assert await mods.result_of("slow") == "slow"
        assert trio.current_time() == 115
    async with open_run(mods.apply(flow), False, instance_id="i"):
        with pytest.raises(
            RunClosedError, match="never have a result: it was cancelled, and run 'i' is over: it is complete"
        ):
            await mods.result_of("slow")


@pytest.mark.parametrize(
    ("how", "end", "said"),
    [
        ("fails", "errored", r"run 'i' is over: it failed with OSError\('down'\)"),
        ("cancelled", "terminated", "run 'i' is over: the host cancelled the run: enough"),
        ("deadline", "terminated", "run 'i' is over: a deadline has passed"),
        ("returns", "complete", "run 'i' is over: it is complete"),
    ],
)
async def test_when_a_run_ends_everybody_who_still_waits_is_told_how(
    how: str, end: Any, said: str, autojump_clock: object
) -> None:
    async def flow(event: Any, step: WorkflowStep) -> None:
        await trio.sleep(1)
        if how == "fails":
            raise OSError("down")
        if how != "returns":
            await trio.sleep_forever()

    mods = Modifiers()

    async def wait() -> None:
        with pytest.raises(RunClosedError, match=said):
            await mods.result_of("a")

    async def wait_for_the_other_end() -> None:
        with pytest.raises(RunClosedError, match=said):
            await mods.ended("complete" if end != "complete" else "errored")

    async def wait_for_status() -> None:
        with pytest.raises(RunClosedError, match=said):
            await mods.reached("a", "running")

    async with trio.open_nursery() as nursery:
        for waiter in (wait, wait_for_the_other_end, wait_for_status):
            nursery.start_soon(waiter)
        with trio.CancelScope(deadline=2 if how == "deadline" else float("inf")) as scope:
            if how == "cancelled":
                nursery.start_soon(_cancel_later, scope)
            try:
                await run_workflow(mods.apply(flow), instance_id="i")
            except OSError:
                assert how == "fails"
    assert await mods.ended(end) == end


async def _cancel_later(scope: trio.CancelScope) -> None:
    await trio.sleep(2)
    scope.cancel(reason="enough")


async def test_of_several_runs_the_latest_is_meant_or_the_one_that_is_named(autojump_clock: object) -> None:
    async def flow(event: Any, step: WorkflowStep) -> None:
        @step.do()
        async def a() -> str:
            return str(event.payload)

        await trio.sleep(event.payload)
        await a()

    mods = Modifiers()
    doubled, got = mods.apply(flow), []

    async def wait(instance_id: str | None) -> None:
        got.append((instance_id, await mods.result_of("a", instance_id=instance_id)))

    async with trio.open_nursery() as nursery:
        for instance_id in ("i3", "i2", None):
            nursery.start_soon(wait, instance_id)
        await trio.testing.wait_all_tasks_blocked()
        for seconds in (3, 1, 2):
            await nursery.start(_started, doubled, seconds)
    assert sorted(got, key=str) == [("i2", "2"), ("i3", "3"), (None, "3")]
    assert await mods.result_of("a") == "2"
    assert await mods.ended(instance_id="i1") == "complete"


async def _started(workflow: Any, seconds: int, *, task_status: trio.TaskStatus[None]) -> None:
    async with open_run(workflow, seconds, instance_id=f"i{seconds}") as run:
        await trio.testing.wait_all_tasks_blocked()
        task_status.started()
        await run.result()


async def test_whoever_waits_can_be_cancelled_and_every_wait_is_a_checkpoint(autojump_clock: object) -> None:
    mods = Modifiers()
    for wait in (lambda: mods.result_of("a"), lambda: mods.reached("a", "running"), lambda: mods.ended()):
        with trio.move_on_after(5) as scope:
            await wait()
        assert scope.cancelled_caught
    mods.mock_event("approval", 1)
    mods.mock_event("approval", 2)
    await run_workflow(mods.apply(day))
    for wait in (lambda: mods.result_of("load"), lambda: mods.reached("load", "running"), lambda: mods.ended()):
        with trio.testing.assert_checkpoints():
            await wait()


async def test_inner_steps_and_what_is_kept_are_seen(autojump_clock: object) -> None:
    async def flow(event: Any, step: WorkflowStep) -> None:
        @step.do(config={"retries": {"limit": 1, "delay": 1}})
        async def outer(ctx: StepContext) -> None:
            @step.do()
            def inner() -> int:
                return 3

            await inner()
            await step.sleep("nap", 1)
            if ctx.attempt == 1:
                raise OSError

        await outer()

    mods = Modifiers()
    await run_workflow(mods.apply(flow))
    assert await mods.result_of("inner") == await mods.result_of(["outer", "inner"]) == 3
    assert await mods.result_of("nap") is None
    with pytest.raises(RunClosedError, match=r"'inner' will never have a result: it has not begun"):
        await mods.result_of(["inner"])


async def test_what_can_not_be_reached_is_refused(autojump_clock: object) -> None:
    mods = Modifiers()
    mods.mock_event("approval", 1)
    mods.mock_event("approval", 2)
    await run_workflow(mods.apply(day))
    with pytest.raises(
        ConfigError, match="'done' can't be reached: there is 'running', 'succeeded', 'failed', 'cancelled'"
    ):
        await mods.reached("load", "done")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"a run can't end 'completed': did you mean 'complete'\?"):
        await mods.ended("completed")  # type: ignore[arg-type]


def test_a_run_without_a_step_has_nothing_to_offer() -> None:
    mods = Modifiers()

    async def main() -> None:
        await run_workflow(mods.apply(lambda event, step: None), instance_id="i")
        with pytest.raises(RunClosedError, match=r"it has not begun, and run 'i' is over: it is complete$"):
            await mods.result_of("a")

    trio.run(main)
    assert run_virtually(lambda event, step: 3, modifiers=mods) == 3
