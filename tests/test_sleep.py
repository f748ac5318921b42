"""`step.sleep` and `step.sleep_until`: pauses in Trio's time, and the run's wall clock."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import Any

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock, assert_checkpoints

from trioflow import ConfigError, WorkflowEvent, WorkflowStep, open_run, run_workflow
from trioflow._sleep import LATEST, WallClock, deadline_of


@given(st.integers(0, 10**9) | st.floats(0, 1e9) | st.timedeltas(timedelta(), timedelta(days=9)))
def test_it_lasts_as_long_as_it_says_and_numbers_are_milliseconds(duration: float | timedelta) -> None:
    async def workflow(event: Any, step: WorkflowStep) -> float:
        before = trio.current_time()
        await step.sleep("a while", duration)
        return trio.current_time() - before

    async def main() -> float:
        return await run_workflow(workflow)

    seconds = duration.total_seconds() if isinstance(duration, timedelta) else duration / 1000
    assert trio.run(main, clock=MockClock(autojump_threshold=0)) == pytest.approx(seconds, abs=1e-6)


async def test_it_reads_durations_as_people_write_them(autojump_clock: MockClock) -> None:
    async def workflow(event: Any, step: WorkflowStep) -> float:
        with assert_checkpoints():
            await step.sleep("none", 0)
        await step.sleep("long", "1 day")
        return trio.current_time()

    assert await run_workflow(workflow) == 86_400


@pytest.mark.parametrize("duration", ["5 min", -1, None, "soon", float("nan"), timedelta(-1)])
async def test_what_is_no_duration_is_refused_with_the_sleeps_name(autojump_clock: MockClock, duration: Any) -> None:
    async def workflow(event: Any, step: WorkflowStep) -> None:
        await step.sleep("nap", duration)

    with pytest.raises(ConfigError, match="the duration of sleep 'nap' can't be"):
        await run_workflow(workflow)


async def test_it_can_be_started_in_a_nursery_or_made_first_and_awaited_later(autojump_clock: MockClock) -> None:
    async def workflow(event: Any, step: WorkflowStep) -> float:
        made = step.sleep("made", "3 seconds")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(step.sleep, "one", "4 seconds")
            nursery.start_soon(step.sleep, "other", "5 seconds")
            await trio.sleep(10)
            await made  # begins when it is awaited, as Trio's do
        return trio.current_time()

    assert await run_workflow(workflow) == 13


async def test_cancelling_ends_it_at_once(autojump_clock: MockClock) -> None:
    async def workflow(event: Any, step: WorkflowStep) -> float:
        with trio.move_on_after(1):
            await step.sleep("long", "1 year")
        return trio.current_time()

    assert await run_workflow(workflow) == 1


async def test_it_may_be_slept_in_a_body(autojump_clock: MockClock) -> None:
    async def workflow(event: Any, step: WorkflowStep) -> float:
        @step.do()
        async def body() -> float:
            await step.sleep("inside", "2 seconds")
            return trio.current_time()

        return await body()

    assert await run_workflow(workflow) == 2


# ---------------------------------------------------------------------------------------------------- until a moment

ZONES = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))


@given(st.floats(0, 1e6), st.timedeltas(timedelta(), timedelta(days=9_000)), ZONES)
def test_it_lasts_until_that_moment_of_the_runs_wall_clock(late: float, later: timedelta, zone: tzinfo) -> None:
    """However late it is asked for, and in whatever time zone the moment is given."""

    async def workflow(event: WorkflowEvent[Any], step: WorkflowStep) -> tuple[float, float]:
        before = trio.current_time()
        when = (event.timestamp + later).astimezone(zone)
        pause = step.sleep_until("the moment", when)
        if late < later.total_seconds():
            await trio.sleep(late)
            assert step._run.clock.now() <= when
        await pause
        assert step._run.clock.now() == when
        return trio.current_time() - before, later.total_seconds()

    took, expected = trio.run(run_workflow, workflow, clock=MockClock(autojump_threshold=0))
    assert took == pytest.approx(expected, abs=1e-6)


async def test_a_moment_that_is_now_or_passes_before_the_await_takes_no_time_but_a_checkpoint(
    autojump_clock: MockClock,
) -> None:
    async def workflow(event: WorkflowEvent[Any], step: WorkflowStep) -> None:
        now = step.sleep_until("now", event.timestamp)
        soon = step.sleep_until("soon", event.timestamp + timedelta(seconds=1))
        with assert_checkpoints():
            await now
        await trio.sleep(5)
        with assert_checkpoints():
            await soon
        assert trio.current_time() == 5

    await run_workflow(workflow)


async def test_a_moment_that_has_passed_is_refused_and_the_error_says_by_how_much(autojump_clock: MockClock) -> None:
    async def workflow(event: WorkflowEvent[Any], step: WorkflowStep) -> None:
        await trio.sleep(86_400 * 3)
        with pytest.raises(ConfigError) as caught:
            step.sleep_until("the day before", event.timestamp + timedelta(days=1))
        assert str(caught.value) == (
            f"sleep 'the day before' can't last until {(event.timestamp + timedelta(days=1)).isoformat()}, which is 2 d "
            f"past: by the run's clock it is {(event.timestamp + timedelta(days=3)).isoformat()}; add a duration to "
            "event.timestamp, which is when the run began, or don't sleep"
        )

    await run_workflow(workflow)


class Nowhere(tzinfo):
    """A time zone that doesn't know its offset leaves a datetime naive."""

    def utcoffset(self, when: datetime | None) -> None: ...
    def dst(self, when: datetime | None) -> None: ...
    def tzname(self, when: datetime | None) -> None: ...


@pytest.mark.parametrize(
    ("when", "said"),
    [
        (datetime(2999, 1, 1), r"can't last until datetime.datetime\(2999.*: without a time zone .*tzinfo=UTC"),
        (datetime(2999, 1, 1, tzinfo=Nowhere()), "without a time zone"),
        (32_472_144_000, "can't last until 32472144000: a number .* write datetime.fromtimestamp"),
        (3.5e12, "a number doesn't say whether it counts seconds or milliseconds"),
        (float("nan"), "a number"),
        ("2999-01-01T00:00:00Z", "a text can be read in many ways; write datetime.fromisoformat"),
        (datetime(2999, 1, 1).date(), "a day is no moment; write datetime.combine"),
        (timedelta(days=1), "that is a duration, for step.sleep"),
        (None, "can't last until None: an aware datetime says when"),
        (True, "an aware datetime says when"),
    ],
)
async def test_what_could_mean_several_moments_is_refused_and_the_error_says_what_to_write(
    autojump_clock: MockClock, when: Any, said: str
) -> None:
    def workflow(event: Any, step: WorkflowStep) -> None:
        with pytest.raises(ConfigError, match=f"sleep 'x'.*{said}"):
            step.sleep_until("x", when)

    await run_workflow(workflow)


# -------------------------------------------------------------------------------------------------- the wall clock


async def test_the_wall_clock_is_that_of_the_start_plus_trios_time_since(autojump_clock: MockClock) -> None:
    async def workflow(event: WorkflowEvent[Any], step: WorkflowStep) -> datetime:
        await step.sleep("a week", "1 week")
        return (await step.wait_for_event("x", "x", "1 week")).timestamp

    manager = open_run(workflow)
    await trio.sleep(3_600)  # the run begins when the block is entered
    before = datetime.now(UTC)
    async with manager as run:
        await trio.sleep(86_400 * 8)
        run.send_event("x")
        sent = await run.result()
    assert before + timedelta(days=8) <= sent <= datetime.now(UTC) + timedelta(days=8)


async def test_the_wall_clock_stands_still_where_the_calendar_ends(autojump_clock: MockClock) -> None:
    clock = WallClock.started()
    await trio.sleep(86_400 * 3_000_000)
    assert clock.now() == LATEST
    await trio.sleep(86_400 * 1_000_000_000)
    assert clock.now() == LATEST
    assert deadline_of(LATEST, "the end", clock) < trio.current_time()
