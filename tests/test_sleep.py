"""`step.sleep`: a pause in Trio's time, to be awaited or started, and a report where it was forgotten."""

from __future__ import annotations

import gc
import sys
import warnings
from collections.abc import Coroutine
from datetime import timedelta
from typing import Any

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock, assert_checkpoints

from trioflow import ConfigError, WorkflowEntrypoint, WorkflowStep, run_workflow
from trioflow._sleep import Sleep


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


async def test_it_can_be_awaited_once_only_as_any_coroutine(autojump_clock: MockClock) -> None:
    async def workflow(event: Any, step: WorkflowStep) -> None:
        pause = step.sleep("pause", 1)
        await pause
        await pause

    with pytest.raises(RuntimeError, match="cannot reuse already awaited coroutine"):
        await run_workflow(workflow)


def test_it_is_a_coroutine_in_all_respects() -> None:
    """Driven by hand, as whoever wraps coroutines does."""
    forgotten: dict[object, tuple[str, str, int]] = {}

    def made() -> Sleep:
        pause = Sleep("pause", 1.0, forgotten)
        forgotten[pause] = ("sleep 'pause'", __file__, 1)
        return pause

    pause = made()
    assert isinstance(pause, Coroutine)
    pause.close()
    assert pause in forgotten, "it was closed and not begun: nobody has awaited it"

    class Stop(Exception):
        pass

    thrown: list[tuple[Any, ...]] = [(Stop,), (Stop, Stop()), (Stop(),)]
    for arguments in thrown:
        pause = made()
        with pytest.raises(Stop):
            pause.throw(*arguments)
        assert pause not in forgotten

    async def main() -> None:
        pause = made()

        class ByHand:
            def __await__(self) -> Any:
                value = pause.send(None)
                while True:
                    try:
                        value = pause.send((yield value))
                    except StopIteration:
                        return

        await ByHand()
        assert trio.current_time() == 1
        begun = made()
        begun.send(None)
        begun.close()
        with pytest.raises(RuntimeError, match="cannot reuse"):
            begun.send(None)

    trio.run(main, clock=MockClock(autojump_threshold=0))


# --------------------------------------------------------------------------------------------------------- forgotten


def forgets(event: Any, step: WorkflowStep) -> str:
    step.sleep("nap", "10 seconds")
    step.sleep("longer nap", "20 seconds")
    return "done"


FIRST = forgets.__code__.co_firstlineno + 1


def test_a_sleep_that_nobody_awaited_is_reported_with_its_place_when_the_run_has_ended() -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert trio.run(run_workflow, forgets) == "done"
    assert [(w.category, str(w.message), w.filename, w.lineno) for w in caught] == [
        (RuntimeWarning, "sleep 'nap' was never awaited", __file__, FIRST),
        (RuntimeWarning, "sleep 'longer nap' was never awaited", __file__, FIRST + 1),
    ]


def test_it_is_reported_after_every_body_has_stopped() -> None:
    story = []

    class Slow(WorkflowEntrypoint):
        async def run(self, event: Any, step: WorkflowStep) -> None:
            @step.do()
            async def body() -> None:
                step.sleep("in the body", 1)
                try:
                    await trio.sleep_forever()
                finally:
                    story.append("stopped")

            with trio.move_on_after(1):
                await body()

    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.showwarning = lambda message, *rest, **more: story.append(str(message))
        trio.run(run_workflow, Slow, clock=MockClock(autojump_threshold=0))
    assert story == ["stopped", "sleep 'in the body' was never awaited"]


def test_the_run_does_not_fail_for_it_under_an_error_filter(monkeypatch: pytest.MonkeyPatch) -> None:
    """As with a coroutine that was never awaited, Python's own hook hears of it, and the program goes on."""
    told: list[tuple[BaseException | None, str]] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda args: told.append((args.exc_value, str(args.exc_value))))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert trio.run(run_workflow, forgets) == "done"
    gc.collect()
    assert [(type(error), text) for error, text in told] == [
        (RuntimeWarning, "sleep 'nap' was never awaited"),
        (RuntimeWarning, "sleep 'longer nap' was never awaited"),
    ]


def test_it_is_reported_also_when_the_run_fails(recwarn: pytest.WarningsRecorder) -> None:
    async def fails(event: Any, step: WorkflowStep) -> None:
        step.sleep("nap", 1)
        raise ValueError("no")

    warnings.simplefilter("always")
    with pytest.raises(ValueError, match="no"):
        trio.run(run_workflow, fails)
    assert [str(w.message) for w in recwarn] == ["sleep 'nap' was never awaited"]


def test_what_has_been_begun_is_not_reported() -> None:
    async def workflow(event: Any, step: WorkflowStep) -> None:
        with trio.move_on_after(1):
            await step.sleep("cancelled", "1 hour")
        with trio.CancelScope() as scope:
            scope.cancel()
            await step.sleep("cancelled before it began", "1 hour")

    trio.run(run_workflow, workflow, clock=MockClock(autojump_threshold=0))
