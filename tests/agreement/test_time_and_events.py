"""Time, durations, events, and what nobody awaited: P17, P19 and P20, through the front door."""

from __future__ import annotations

import warnings
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock, assert_checkpoints, wait_all_tasks_blocked

from trioflow import (
    ConfigError,
    ReceivedEvent,
    Retries,
    RunClosedError,
    StepConfig,
    WorkflowEvent,
    WorkflowStep,
    WorkflowTimeoutError,
    open_run,
    run_workflow,
)

# ------------------------------------------------------------------------------------------------------------ P17


async def test_p17_sleeps_timeouts_delays_and_waits_follow_the_runs_trio_clock(autojump_clock: MockClock) -> None:
    """Half a year of them takes no real time; and by real time none of them would be over."""

    async def workflow(event: WorkflowEvent[Any], step: WorkflowStep) -> list[float]:
        times = [trio.current_time()]
        config = StepConfig(retries=Retries(1, "1 week", "constant"), timeout="3 days")

        @step.do(config=config)
        async def slow() -> None:
            await trio.sleep_forever()

        with pytest.raises(WorkflowTimeoutError):
            await slow()
        times.append(trio.current_time())
        await step.sleep("a month", "1 month")
        times.append(trio.current_time())
        await step.sleep_until("day 100", event.timestamp + timedelta(days=100))
        times.append(trio.current_time())
        with pytest.raises(WorkflowTimeoutError):
            await step.wait_for_event("nothing", "nothing")
        times.append(trio.current_time())
        return times

    assert await run_workflow(workflow) == pytest.approx([86_400 * days for days in (0, 13, 43, 100, 101)])


@given(st.lists(st.floats(0, 1e6), max_size=5))
def test_p17_an_events_time_is_that_of_the_start_plus_trios_time_since(pauses: list[float]) -> None:
    async def workflow(event: WorkflowEvent[Any], step: WorkflowStep) -> tuple[datetime, list[ReceivedEvent[Any]]]:
        return event.timestamp, [await step.wait_for_event("next", "tick", "1 year") for _ in pauses]

    async def main() -> None:
        before = datetime.now(UTC)
        async with open_run(workflow) as run:
            began = trio.current_time()
            sent = []
            for number, pause in enumerate(pauses):
                await trio.sleep(pause)
                run.send_event("tick", number)
                sent.append(trio.current_time() - began)
            start, events = await run.result()
        assert before <= start <= datetime.now(UTC)
        assert [event.payload for event in events] == [*range(len(pauses))]
        assert [event.timestamp for event in events] == [start + timedelta(seconds=seconds) for seconds in sent]

    trio.run(main, clock=MockClock(autojump_threshold=0))


async def test_p17_a_moment_is_an_aware_datetime_and_what_else_it_could_be_is_refused(
    autojump_clock: MockClock,
) -> None:
    async def workflow(event: WorkflowEvent[Any], step: WorkflowStep) -> None:
        assert event.timestamp.tzinfo is UTC
        unclear: list[Any] = [datetime(2999, 1, 1), 32_472_144_000, "2999-01-01T00:00:00+00:00"]
        for when in unclear:
            with pytest.raises(ConfigError, match=r"sleep 'x' can't last until .*; write datetime"):
                step.sleep_until("x", when)
        with pytest.raises(ConfigError, match="which is 1 min past"):
            step.sleep_until("x", event.timestamp - timedelta(minutes=1))

    await run_workflow(workflow)


# ------------------------------------------------------------------------------------------------------------ P19


@pytest.mark.parametrize(
    ("duration", "seconds"),
    [
        (250, 0.25),
        (0, 0),
        ("0 seconds", 0),
        ("1 second", 1),
        ("2 minutes", 120),
        ("1 hour", 3_600),
        ("3 days", 3 * 86_400),
        ("1 week", 7 * 86_400),
        ("1 month", 30 * 86_400),
        ("1 year", 365.25 * 86_400),
        (timedelta(hours=2), 7_200),
    ],
)
async def test_p19_a_duration_is_what_it_says_and_a_number_is_milliseconds(
    autojump_clock: MockClock, duration: Any, seconds: float
) -> None:
    async def workflow(event: Any, step: WorkflowStep) -> None:
        start = trio.current_time()
        await step.sleep("a pause", duration)
        assert trio.current_time() - start == pytest.approx(seconds)
        start = trio.current_time()
        with pytest.raises(WorkflowTimeoutError) as caught:
            await step.wait_for_event("a wait", "nothing", timeout=duration)
        assert trio.current_time() - start == pytest.approx(seconds)
        assert (caught.value.step, caught.value.seconds) == ("a wait", seconds)

        @step.do(config={"timeout": duration if duration != 0 else "0 seconds"})
        async def body() -> None:
            await trio.sleep_forever()

        start = trio.current_time()
        with pytest.raises(WorkflowTimeoutError):
            await body()
        assert trio.current_time() - start == pytest.approx(seconds)

    await run_workflow(workflow)


@pytest.mark.parametrize(
    "duration", ["5 min", "5 s", "1 fortnight", "1 hour 1 minute", "1second", "", -1, timedelta(-1), float("nan"), None]
)
async def test_p19_what_is_no_duration_is_refused_with_the_units_and_the_name(
    autojump_clock: MockClock, duration: Any
) -> None:
    async def workflow(event: Any, step: WorkflowStep) -> None:
        with pytest.raises(
            ConfigError, match=r"the duration of sleep 'nap' can't be .*second, minute, hour, day, week"
        ):
            step.sleep("nap", duration)
        with pytest.raises(ValueError, match=r"the timeout of wait 'bell' can't be .*second, minute, hour, day, week"):
            step.wait_for_event("bell", "bell", duration)

    await run_workflow(workflow)


def test_p19_what_is_ours_alone_refuses_bare_numbers() -> None:
    number: Any = 5
    for make in (lambda: StepConfig(timeout=number), lambda: Retries(1, number)):
        with pytest.raises(ConfigError, match="a bare number doesn't say its unit"):
            make()


# ------------------------------------------------------------------------------------------------------------ P20


def test_p20_what_was_made_and_never_awaited_is_reported_and_the_run_goes_on() -> None:
    story: list[Any] = []

    async def workflow(event: Any, step: WorkflowStep) -> str:
        @step.do()
        async def body() -> None:
            step.sleep("in the body", 1)
            try:
                await trio.sleep_forever()
            finally:
                story.append("stopped")

        step.sleep("a pause", 1)
        step.sleep_until("a moment", event.timestamp + timedelta(1))
        step.wait_for_event("a wait", "bell")
        with trio.move_on_after(1):
            await body()
        return "done"

    line = workflow.__code__.co_firstlineno
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.showwarning = lambda message, category, file, line, *rest: story.append(
            (str(message), category, file, line)
        )
        story.append(trio.run(run_workflow, workflow, clock=MockClock(autojump_threshold=0)))
    assert story == [
        "stopped",
        ("sleep 'a pause' was never awaited", RuntimeWarning, __file__, line + 9),
        ("sleep 'a moment' was never awaited", RuntimeWarning, __file__, line + 10),
        ("wait 'a wait' was never awaited", RuntimeWarning, __file__, line + 11),
        ("sleep 'in the body' was never awaited", RuntimeWarning, __file__, line + 3),
        "done",
    ]


def test_p20_a_step_call_that_nobody_awaits_is_reported_where_it_is_dropped_and_the_run_goes_on() -> None:
    """By Python itself, as for any coroutine: a call that is dropped at once is reported at once, with its own line."""

    async def workflow(event: Any, step: WorkflowStep) -> str:
        @step.do()
        async def body() -> None: ...

        body()  # type: ignore[unused-coroutine]
        return body.status

    line = workflow.__code__.co_firstlineno + 4
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert trio.run(run_workflow, workflow) == "pending"
    assert [(w.category, w.filename, w.lineno) for w in caught] == [(RuntimeWarning, __file__, line)]
    assert "was never awaited" in str(caught[0].message)


# --------------------------------------------------------------------------------------------------------- events


async def test_an_event_is_kept_from_the_start_of_the_run_until_somebody_waits_for_its_type(
    autojump_clock: MockClock,
) -> None:
    async def workflow(event: Any, step: WorkflowStep) -> list[Any]:
        await step.sleep("first", 1)
        with assert_checkpoints():
            got = [await step.wait_for_event("a wait", "a")]
        got.append(await step.wait_for_event("a wait", "a"))
        got.append(await step.wait_for_event("a wait", "with.a.dot"))
        return [(type(e), e.type, e["payload"]) for e in got]

    async with open_run(workflow) as run:
        run.send_event("with.a.dot")  # before the workflow's first line
        run.send_event("a", 1)
        run.send_event("a", {"n": 2})
        assert await run.result() == [
            (ReceivedEvent, "a", 1),
            (ReceivedEvent, "a", {"n": 2}),
            (ReceivedEvent, "with.a.dot", None),
        ]


async def test_waits_of_one_type_are_served_in_order_and_the_other_types_stay(autojump_clock: MockClock) -> None:
    served: list[tuple[str, int]] = []

    async def workflow(event: Any, step: WorkflowStep) -> None:
        @step.do()
        async def early() -> int:
            got: ReceivedEvent[int] = await step.wait_for_event("early", "a")
            return got.payload

        @step.do()
        async def late() -> int:
            await trio.sleep(1)
            got: ReceivedEvent[int] = await step.wait_for_event("late", "a")
            return got.payload

        @step.do(concurrent=True)
        async def both(early: int, late: int) -> None:
            served.extend([("early", early), ("late", late)])

        await both()
        served.append(("kept", (await step.wait_for_event("other", "b")).payload))

    async with open_run(workflow) as run:
        await trio.sleep(2)
        for number, kind in enumerate("baa"):
            run.send_event(kind, number)
        await run.result()
    assert served == [("early", 1), ("late", 2), ("kept", 0)]


async def test_a_wait_can_be_started_in_a_nursery(autojump_clock: MockClock) -> None:
    async def workflow(event: Any, step: WorkflowStep) -> float:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(step.wait_for_event, "the bell", "bell")
            nursery.start_soon(step.sleep, "a pause", "1 second")
            nursery.start_soon(step.sleep_until, "a moment", event.timestamp + timedelta(seconds=2))
        return trio.current_time()

    async with open_run(workflow) as run:
        await trio.sleep(3)
        run.send_event("bell")
        assert await run.result() == 3


async def test_a_wait_that_is_over_takes_no_event_from_the_next(autojump_clock: MockClock) -> None:
    """Timed out, cancelled, or in a body that was stopped, also in the instant in which the event comes."""

    async def workflow(event: Any, step: WorkflowStep) -> Any:
        @step.do()
        async def waits() -> None:
            await step.wait_for_event("in a body", "a")

        with pytest.raises(WorkflowTimeoutError, match="wait 'short': no event 'a' came within its timeout of 1 s"):
            await step.wait_for_event("short", "a", 1_000)
        with trio.move_on_after(1):
            await step.wait_for_event("cancelled", "a")
        with trio.move_on_after(1):
            await waits()
        with trio.CancelScope() as scope:
            cancelled.append(scope)
            await step.wait_for_event("cancelled", "a")
        return (await step.wait_for_event("the next", "a")).payload

    cancelled: list[trio.CancelScope] = []
    async with open_run(workflow) as run:
        await trio.sleep(4)
        cancelled[0].cancel()
        run.send_event("a", "it")
        assert await run.result() == "it"


async def test_an_event_that_was_handed_over_is_returned_though_the_wait_is_cancelled_in_that_instant(
    autojump_clock: MockClock,
) -> None:
    async def workflow(event: Any, step: WorkflowStep) -> Any:
        with trio.CancelScope() as scope:
            scopes.append(scope)
            return (await step.wait_for_event("it", "a")).payload

    scopes: list[trio.CancelScope] = []
    async with open_run(workflow) as run:
        await trio.sleep(1)
        run.send_event("a", "it")
        scopes[0].cancel()
        assert await run.result() == "it"


async def test_an_event_for_a_run_that_is_over_is_refused(autojump_clock: MockClock) -> None:
    async def workflow(event: Any, step: WorkflowStep) -> None:
        pass

    async with open_run(workflow, instance_id="i-1") as run:
        await run.result()
        with pytest.raises(RunClosedError, match="event 'bell' can't be sent to run 'i-1': it is over"):
            run.send_event("bell")
    with pytest.raises(RunClosedError):
        run.send_event("bell")
    with pytest.raises(ConfigError, match="has 101 characters"):
        run.send_event("x" * 101)


async def test_an_event_for_a_run_that_was_cancelled_before_it_began_is_refused(autojump_clock: MockClock) -> None:
    async def workflow(event: Any, step: WorkflowStep) -> None:
        raise AssertionError("it doesn't begin")

    async with open_run(workflow) as run:
        run.send_event("bell")
        held = run
    with pytest.raises(RunClosedError):
        held.send_event("bell")


async def test_a_run_that_is_ending_takes_events_for_whom_it_still_waits(autojump_clock: MockClock) -> None:
    """A body's clean-up may need an answer. What nobody waits for any more is refused, not lost."""
    got: list[Any] = []

    async def workflow(event: Any, step: WorkflowStep) -> None:
        @step.do()
        async def body() -> None:
            try:
                await trio.sleep_forever()
            finally:
                with trio.CancelScope(shield=True):
                    got.append((await step.wait_for_event("an answer", "answer")).payload)

        bodies.append(body)
        await trio.sleep(2)

    async def ask() -> None:
        with pytest.raises(RunClosedError):
            await bodies[0]()

    bodies: list[Any] = []
    async with open_run(workflow) as run, trio.open_nursery() as nursery:
        await trio.sleep(1)
        nursery.start_soon(ask)
        await trio.sleep(2)
        with pytest.raises(RunClosedError):
            run.send_event("question")
        run.send_event("answer", 42)
        await run.result()
    assert got == [42]


async def test_a_stranger_who_waits_is_told_when_the_run_is_over(autojump_clock: MockClock) -> None:
    """Somebody outside of the run who has got hold of its `step`."""

    async def workflow(event: Any, step: WorkflowStep) -> None:
        steps.append(step)
        await trio.sleep(2)

    async def stranger() -> None:
        with pytest.raises(RunClosedError, match="wait 'it': no event 'bell' will come, its run is over") as caught:
            await steps[0].wait_for_event("it", "bell")
        assert caught.value.step == "it"
        assert trio.current_time() == 2

    steps: list[WorkflowStep] = []
    async with trio.open_nursery() as nursery:
        async with open_run(workflow) as run:
            await wait_all_tasks_blocked()
            nursery.start_soon(stranger)
            await run.result()
        await stranger()


async def test_another_thread_sends_through_trios_own_door(autojump_clock: MockClock) -> None:
    async def workflow(event: Any, step: WorkflowStep) -> Any:
        return (await step.wait_for_event("it", "bell", "1 year")).payload

    autojump_clock.autojump_threshold = float("inf")  # a thread is no sleeper
    async with open_run(workflow) as run:
        await trio.to_thread.run_sync(lambda: trio.from_thread.run_sync(run.send_event, "bell", 1))
        assert await run.result() == 1


async def test_with_a_timeout_of_zero_only_what_has_been_sent_is_taken(autojump_clock: MockClock) -> None:
    async def workflow(event: Any, step: WorkflowStep) -> Any:
        await trio.sleep(1)
        got = await step.wait_for_event("it", "bell", timeout=0)
        with assert_checkpoints(), pytest.raises(WorkflowTimeoutError):
            await step.wait_for_event("it", "bell", timeout=0)
        assert trio.current_time() == 1
        return got.payload

    async with open_run(workflow) as run:
        run.send_event("bell", 7)
        assert await run.result() == 7
