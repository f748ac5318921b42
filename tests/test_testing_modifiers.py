"""What a test changes in a workflow. The first part are the cases of Cloudflare's testing API, by their numbers."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from trioflow import (
    ConfigError,
    RunClosedError,
    StepContext,
    WorkflowEntrypoint,
    WorkflowStep,
    WorkflowTimeoutError,
    open_run,
    run_workflow,
)
from trioflow.testing import Modifiers, run_virtually
from trioflow.trace import Recorder

RETRIES: Any = {"retries": {"limit": 5, "delay": "10 seconds", "backoff": "constant"}, "timeout": "1 minute"}


class Flow(WorkflowEntrypoint):
    """One step, which is tried again; `calls` are the attempts whose body has run."""

    calls: list[int]
    clock: list[float]

    async def run(self, event: Any, step: WorkflowStep) -> Any:
        Flow.calls, Flow.clock = [], []

        @step.do("a", config=RETRIES)
        async def a(ctx: StepContext) -> str:
            Flow.calls.append(ctx.attempt)
            return "real"

        try:
            return await a()
        finally:
            Flow.clock.append(trio.current_time())


def facts(recorder: Recorder, name: str) -> list[str]:
    return [type(fact).__name__ for fact in recorder.events if getattr(fact, "step", None) == name]


# ------------------------------------------------------------------------------------------------ cases of Cloudflare's


def test_case_113_a_mocked_result_is_the_output_and_the_body_is_not_run() -> None:
    mods, recorder = Modifiers(), Recorder()
    mods.mock_step_result("a", 42)
    assert run_virtually(Flow, modifiers=mods, instruments=[recorder]) == 42
    assert Flow.calls == []
    assert facts(recorder, "a") == ["StepStarted", "AttemptStarted", "AttemptCompleted", "StepCompleted"]


@pytest.mark.parametrize("value", [0, "", False, None, [], 0.0])
def test_case_114_a_mocked_result_that_is_false_is_a_result_too(value: object) -> None:
    """The original runs the real body."""
    mods = Modifiers()
    mods.mock_step_result("a", value)
    assert run_virtually(Flow, modifiers=mods) is value
    assert Flow.calls == []


def test_case_115_errors_come_first_and_then_the_result() -> None:
    mods, recorder = Modifiers(), Recorder()
    mods.mock_step_error("a", OSError("down"), times=2)
    mods.mock_step_result("a", "mocked")
    assert run_virtually(Flow, modifiers=mods, instruments=[recorder]) == "mocked"
    assert Flow.calls == []
    assert facts(recorder, "a").count("AttemptErrored") == 2
    assert Flow.clock == [20.0]


def test_case_115_errors_come_first_and_then_the_body() -> None:
    mods = Modifiers()
    mods.mock_step_error("a", OSError, times=2)
    assert run_virtually(Flow, modifiers=mods) == "real"
    assert Flow.calls == [3]


@pytest.mark.parametrize(
    "again",
    [
        lambda mods: mods.mock_step_result("a", 2),
        lambda mods: mods.mock_step_error("a", OSError, times=1),
        lambda mods: mods.mock_step_error("a", OSError),
        lambda mods: mods.force_step_timeout("a", times=1),
    ],
)
def test_case_116_a_mock_that_could_never_come_is_refused(again: Callable[[Modifiers], None]) -> None:
    mods = Modifiers()
    mods.mock_step_result("a", 1)
    mods.mock_step_result("b", 1)
    with pytest.raises(
        ConfigError, match=r"would never happen: mock_step_result\('a'\) is for every attempt of step 'a'"
    ):
        again(mods)


async def pausing(event: Any, step: WorkflowStep) -> Any:
    times = [trio.current_time()]

    @step.do("a", config=RETRIES)
    async def a(ctx: StepContext) -> None:
        if ctx.attempt == 1:
            raise OSError

    await step.sleep("nap", "1 hour")
    await step.sleep("nap", "1 hour")
    await step.sleep_until("day", event.timestamp.replace(year=event.timestamp.year + 1, day=1))
    times.append(trio.current_time())
    await a()
    times.append(trio.current_time())
    try:
        await step.wait_for_event("boss", "approval", timeout="1 hour")
    except WorkflowTimeoutError:
        times.append(trio.current_time())
    return [later - earlier for earlier, later in pairwise(times)]


def test_case_117_sleeps_end_at_once_and_delays_and_timeouts_do_not() -> None:
    mods, recorder = Modifiers(), Recorder()
    mods.disable_sleeps()
    assert run_virtually(pausing, modifiers=mods, instruments=[recorder]) == [0.0, 10.0, 3600.0]
    assert facts(recorder, "nap") == ["SleepStarted", "SleepCompleted"] * 2


def test_case_117_only_those_sleeps_that_are_named() -> None:
    mods = Modifiers()
    mods.disable_sleeps(("nap", 2), "day")
    assert run_virtually(pausing, modifiers=mods) == [3600.0, 10.0, 3600.0]


@pytest.mark.parametrize("steps", [(), ("a",), ("a", ("a", None))])
def test_case_118_retries_follow_at_once_and_sleeps_and_timeouts_remain(steps: tuple[Any, ...]) -> None:
    mods = Modifiers()
    mods.disable_sleeps("day")
    mods.disable_retry_delays(*steps)
    assert run_virtually(pausing, modifiers=mods) == [7200.0, 0.0, 3600.0]


@pytest.mark.parametrize("kind", ["a function", "the run's defaults", "another step's"])
def test_case_118_whatever_the_delay_is_made_of(kind: str) -> None:
    asked: list[int] = []

    def delay(ctx: StepContext, error: Exception) -> str:
        asked.append(ctx.attempt)
        return "10 seconds"

    async def flow(event: Any, step: WorkflowStep) -> float:
        config: Any = {"retries": {"limit": 1, "delay": delay}, "timeout": "1 minute"}
        own = None if kind == "the run's defaults" else config

        @step.do("a", config=own)
        async def a(ctx: StepContext) -> None:
            assert ctx.attempt == 2

        @step.do("b", config=None if own is None else {"retries": {"limit": 1, "delay": "20 seconds"}})
        def b(ctx: StepContext) -> None:
            assert ctx.attempt == 2

        await a()
        await b()
        return trio.current_time()

    mods = Modifiers()
    mods.disable_retry_delays("b" if kind == "another step's" else "a")
    defaults: Any = {"retries": {"limit": 1, "delay": "20 seconds"}, "timeout": "1 minute"}
    took = run_virtually(flow, modifiers=mods, defaults=defaults)
    assert took == (10.0 if kind == "another step's" else 20.0)
    assert asked == ([1] if kind == "another step's" else [])


def test_case_119_an_attempt_times_out_without_running_and_the_next_one_runs() -> None:
    mods, recorder = Modifiers(), Recorder()
    mods.force_step_timeout("a", 1)
    assert run_virtually(Flow, modifiers=mods, instruments=[recorder]) == "real"
    assert Flow.calls == [2]
    (errored,) = [fact for fact in recorder.events if type(fact).__name__ == "AttemptErrored"]
    assert "attempt 1 took longer than its timeout of 1 min" in str(errored.error)  # type: ignore[attr-defined]
    assert errored.error.seconds == 60.0  # type: ignore[attr-defined]


def test_case_119_without_a_number_every_attempt_times_out() -> None:
    mods = Modifiers()
    mods.force_step_timeout("a")
    with pytest.raises(WorkflowTimeoutError, match="attempt 6 took"):
        run_virtually(Flow, modifiers=mods)
    assert Flow.calls == []


def test_case_119_a_step_without_a_timeout_can_be_made_to_time_out() -> None:
    async def flow(event: Any, step: WorkflowStep) -> None:
        @step.do()
        def a() -> None: ...

        await a()

    mods = Modifiers()
    mods.force_step_timeout("a")
    with pytest.raises(
        WorkflowTimeoutError, match="attempt 1 was made to time out, though it has no timeout"
    ) as caught:
        run_virtually(flow, modifiers=mods)
    assert caught.value.seconds is None


async def two_waits(event: Any, step: WorkflowStep) -> list[Any]:
    first = await step.wait_for_event("first", "approval", timeout="1 hour")
    second = await step.wait_for_event("second", "approval", timeout="1 hour")
    return [first.payload, second.payload, first.timestamp - event.timestamp]


async def test_case_120_a_mocked_event_goes_to_the_wait_whose_turn_it_is(autojump_clock: object) -> None:
    mods = Modifiers()
    mods.mock_event("approval", 1)
    mods.mock_event("other")
    async with open_run(mods.apply(two_waits)) as run:
        run.send_event("approval", 2)
        assert await run.result() == [1, 2, timedelta()]


def test_case_120_several_come_in_order() -> None:
    mods = Modifiers()
    mods.mock_event("approval", "a")
    mods.mock_event("approval")
    assert run_virtually(two_waits, modifiers=mods)[:2] == ["a", None]


def test_case_121_a_wait_times_out_at_once_and_leaves_the_event_to_the_next() -> None:
    async def flow(event: Any, step: WorkflowStep) -> Any:
        with pytest.raises(
            WorkflowTimeoutError, match=r"wait 'boss': no event 'approval' came within its timeout of 1 h"
        ) as caught:
            await step.wait_for_event("boss", "approval", timeout="1 hour")
        assert caught.value.seconds == 3600.0
        assert trio.current_time() == 0
        return (await step.wait_for_event("deputy", "approval")).payload

    mods, recorder = Modifiers(), Recorder()
    mods.force_event_timeout("boss")
    mods.mock_event("approval", 7)
    assert run_virtually(flow, modifiers=mods, instruments=[recorder]) == 7
    assert facts(recorder, "boss") == ["WaitStarted", "WaitTimedOut"]


async def test_case_122_waiting_for_an_end_that_can_not_come_is_an_error(autojump_clock: object) -> None:
    mods = Modifiers()
    await run_workflow(mods.apply(Flow), instance_id="i1")
    with pytest.raises(RunClosedError, match="run 'i1' will never be 'terminated': run 'i1' is over: it is complete"):
        await mods.ended("terminated")
    assert await mods.ended("complete") == await mods.ended() == "complete"


async def test_case_123_everybody_who_waits_is_told(autojump_clock: object) -> None:
    """The original leaves all but the last waiting for ever."""
    mods, got = Modifiers(), list[Any]()

    async def wait(for_it: Callable[[], Any]) -> None:
        got.append(await for_it())

    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(wait, lambda: mods.result_of("a"))
            nursery.start_soon(wait, lambda: mods.ended("complete"))
        await trio.testing.wait_all_tasks_blocked()
        assert await run_workflow(mods.apply(Flow)) == "real"
    assert sorted(got) == ["complete"] * 3 + ["real"] * 3


async def test_case_124_waiting_for_a_step_that_never_ran_in_a_run_that_is_over_is_an_error(
    autojump_clock: object,
) -> None:
    """The original waits for ever."""
    mods = Modifiers()
    await run_workflow(mods.apply(Flow), instance_id="i1")
    with pytest.raises(
        RunClosedError,
        match=r"'b' will never have a result: it has not begun, and run 'i1' is over: it is complete \(there is 'a'\)",
    ) as caught:
        await mods.result_of("b")
    assert caught.value.step == "b"


def test_a_run_that_is_made_again_goes_through_the_mocks_again() -> None:
    """As a restarted instance does (case 125)."""
    mods = Modifiers()
    mods.mock_step_error("a", OSError, times=2)
    for _ in range(3):
        assert run_virtually(Flow, modifiers=mods) == "real"
        assert Flow.calls == [3]


# ------------------------------------------------------------------------------------------------------- mocks, further


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 2)), max_size=4), st.booleans())
def test_mocks_of_a_step_are_gone_through_in_order(mocks: list[tuple[bool, int]], and_then: bool) -> None:
    """As long as there are attempts: six of them."""
    mods, recorder = Modifiers(strict=False), Recorder()
    expected: list[type[Exception]] = []
    for times_out, times in mocks:
        if times_out:
            mods.force_step_timeout("a", times)
        else:
            mods.mock_step_error("a", KeyError, times)
        expected += [WorkflowTimeoutError if times_out else KeyError] * times
    if and_then:
        mods.mock_step_result("a", "mocked")
    if len(expected) < 6:
        assert run_virtually(Flow, modifiers=mods, instruments=[recorder]) == ("mocked" if and_then else "real")
    else:
        with pytest.raises(expected[5]):
            run_virtually(Flow, modifiers=mods, instruments=[recorder])
    errors = [type(fact.error) for fact in recorder.events if type(fact).__name__ == "AttemptErrored"]  # type: ignore[attr-defined]
    assert errors == expected[:6]


def test_the_exception_that_is_given_is_the_one_that_is_raised_with_the_traceback_of_its_last_time() -> None:
    mods, error = Modifiers(), OSError("down")
    mods.mock_step_error("a", error)
    lengths = []
    for _ in range(2):
        with pytest.raises(OSError, match="down") as caught:
            run_virtually(Flow, modifiers=mods)
        assert caught.value is error
        lengths.append(len(caught.traceback))
    assert lengths[0] == lengths[1]


def test_a_function_makes_an_error_for_each_attempt() -> None:
    made = [OSError(str(n)) for n in range(6)]
    mods, left = Modifiers(), iter(made)
    mods.mock_step_error("a", lambda: next(left))
    with pytest.raises(OSError, match="5"):
        run_virtually(Flow, modifiers=mods)


@pytest.mark.parametrize("error", ["down", None, KeyboardInterrupt, KeyboardInterrupt(), int, trio.Cancelled])
def test_what_is_no_error_is_refused(error: Any) -> None:
    for refused in (Modifiers().mock_step_error, Modifiers().fail):
        with pytest.raises(ConfigError, match="a step can't fail with"):
            refused("a", error)


def test_what_makes_no_error_fails_the_step() -> None:
    mods = Modifiers()
    mods.mock_step_error("a", lambda: "down")  # type: ignore[arg-type, return-value]
    with pytest.raises(ConfigError, match=r"step 'a' was to fail with what .* makes, but that is 'down'"):
        run_virtually(Flow, modifiers=mods)


@pytest.mark.parametrize("number", [0, -1, True, 1.0, "1"])
def test_what_is_no_number_is_refused(number: Any) -> None:
    mods = Modifiers()
    if number != 0:  # a property may draw "not at all"
        with pytest.raises(ConfigError, match="times can't be"):
            mods.mock_step_error("a", OSError, number)
    with pytest.raises(ConfigError, match="attempt can't be"):
        mods.fail("a", OSError, attempt=number)
    with pytest.raises(ConfigError, match="number can't be"):
        mods.lose_event("a", number=number)


def test_a_step_that_depends_on_a_mocked_one_gets_what_was_mocked() -> None:
    value = object()

    async def flow(event: Any, step: WorkflowStep) -> Any:
        @step.do()
        async def base() -> object:
            raise AssertionError

        @step.do(depends=[base])
        async def top(given: object) -> object:
            return given

        return await top()

    mods = Modifiers()
    mods.mock_step_result("base", value)
    assert run_virtually(flow, modifiers=mods) is value


# --------------------------------------------------------------------------------------------------------- faults on cue


def test_an_attempt_fails_before_its_body_or_after_it() -> None:
    mods = Modifiers()
    mods.fail("a", OSError)
    mods.fail("a", OSError, attempt=2, after=True)
    assert run_virtually(Flow, modifiers=mods) == "real"
    assert Flow.calls == [2, 3]


def test_an_attempt_times_out_before_its_body_or_after_it() -> None:
    mods = Modifiers()
    mods.time_out("a")
    mods.time_out("a", attempt=2, after=True)
    assert run_virtually(Flow, modifiers=mods) == "real"
    assert Flow.calls == [2, 3]


def test_an_attempt_takes_longer_within_its_timeout() -> None:
    mods = Modifiers()
    mods.delay("a", "59 seconds", attempt=1, after=True)
    assert run_virtually(Flow, modifiers=mods) == "real"
    assert Flow.clock == [59.0]
    mods.delay("a", "2 seconds", after=True)
    assert run_virtually(Flow, modifiers=mods) == "real"
    assert Flow.calls == [1, 2]
    assert Flow.clock == [60.0 + 10.0 + 2.0]


def test_faults_come_before_mocks_and_what_comes_after_the_body_after_those_too() -> None:
    mods = Modifiers()
    mods.mock_step_result("a", 3)
    mods.fail("a", OSError)
    mods.fail("a", OSError, attempt=2, after=True)
    mods.delay("a", "1 second", after=True)
    assert run_virtually(Flow, modifiers=mods) == 3
    assert Flow.clock == [10.0 + 10.0 + 1.0]


def test_what_the_body_raises_counts_more_than_what_was_to_come_after_it() -> None:
    async def flow(event: Any, step: WorkflowStep) -> None:
        @step.do()
        def a() -> None:
            raise KeyError

        await a()

    mods = Modifiers()
    mods.fail("a", OSError, after=True)
    with pytest.raises(KeyError):
        run_virtually(flow, modifiers=mods)


def test_the_second_time_is_the_second_time_whatever_has_begun_it() -> None:
    """The body around it runs again, and the inner step begins afresh at attempt 1."""
    attempts = []

    async def flow(event: Any, step: WorkflowStep) -> Any:
        @step.do(config=RETRIES)
        async def outer() -> str:
            @step.do()
            async def inner(ctx: StepContext) -> str:
                attempts.append(ctx.attempt)
                return "done"

            return await inner()

        return await outer()

    mods = Modifiers()
    mods.mock_step_error("inner", OSError, times=2)
    mods.fail(["outer", "inner"], KeyError, attempt=3)
    assert run_virtually(flow, modifiers=mods) == "done"
    assert attempts == [1]


async def collecting(event: Any, step: WorkflowStep) -> list[Any]:
    got = []
    try:
        while True:
            received = await step.wait_for_event("next", "number", timeout="1 minute")
            got.append((received.payload, trio.current_time()))
    except WorkflowTimeoutError:
        return got


@pytest.mark.parametrize(
    ("fault", "got"),
    [
        (lambda mods: mods.lose_event("number", number=2), [1, 3]),
        (lambda mods: mods.duplicate_event("number"), [1, 1, 2, 3]),
        (lambda mods: mods.delay_event("number", "5 seconds"), [2, 3, 1]),
        (lambda mods: (mods.delay_event("number", 5000), mods.duplicate_event("number")), [2, 3, 1, 1]),
        (lambda mods: (mods.lose_event("number"), mods.duplicate_event("number")), [2, 3]),
        (lambda mods: mods.delay_event("number", "1 day", number=3), [1, 2]),
    ],
)
def test_events_are_lost_late_or_come_twice(fault: Callable[[Modifiers], object], got: list[int]) -> None:
    mods = Modifiers()
    for number in (1, 2, 3):
        mods.mock_event("number", number)
    fault(mods)
    assert [payload for payload, _ in run_virtually(collecting, modifiers=mods)] == got


async def test_an_event_that_is_sent_before_the_runs_first_line_is_one_too(autojump_clock: object) -> None:
    mods = Modifiers()
    mods.lose_event("number")
    mods.delay_event("number", "5 seconds", number=2)
    async with open_run(mods.apply(collecting)) as run:
        for number in (1, 2, 3):
            run.send_event("number", number)
        assert await run.result() == [(3, 0.0), (2, 5.0)]


# ---------------------------------------------------------------------------------------------------- what never came


@pytest.mark.parametrize(
    ("ask", "said"),
    [
        (
            lambda m: m.mock_step_result("aa", 1),
            r"mock_step_result\('aa'\): no step is called 'aa', did you mean 'a'\?",
        ),
        (lambda m: m.mock_step_result("fetch", 1), "no step is called 'fetch', there is 'idle', 'a'"),
        (lambda m: m.mock_step_result("idle", 1), "step 'idle' was never run"),
        (lambda m: m.mock_step_result(("a", 2), 1), "step 'a' #2 was never run"),
        (lambda m: m.fail("a", OSError, attempt=2), r"fail\('a', attempt=2\): the body of step 'a' was called once"),
        (lambda m: (m.fail("a", OSError), m.fail("a", OSError, attempt=4)), "step 'a' was called 2 times"),
        (lambda m: m.disable_retry_delays("a"), r"disable_retry_delays\('a'\): step 'a' was never tried again"),
        (lambda m: m.disable_retry_delays("b"), "no step is called 'b'"),
        (lambda m: m.disable_sleeps("np"), "no sleep is called 'np', did you mean 'nap'"),
        (lambda m: m.disable_sleeps(("nap", 2)), "sleep 'nap' #2 was never awaited"),
        (lambda m: m.force_event_timeout("nap"), "no wait is called 'nap', there is 'boss'"),
        (lambda m: m.lose_event("no"), r"lose_event\('no', number=1\): no event of this type was sent"),
        (lambda m: m.lose_event("yes", number=2), "only 1 of this type were sent"),
    ],
)
def test_what_was_asked_for_and_has_never_come_fails_the_run(ask: Callable[[Modifiers], object], said: str) -> None:
    async def flow(event: Any, step: WorkflowStep) -> str:
        @step.do("idle")
        async def idle() -> None: ...

        @step.do("a", config=RETRIES)
        async def a() -> str:
            await step.sleep("nap", "1 second")
            await step.wait_for_event("boss", "yes")
            return "real"

        return await a()

    mods = Modifiers()
    mods.mock_event("yes")
    ask(mods)
    with pytest.raises(ConfigError, match=said):
        run_virtually(flow, modifiers=mods)
    assert len(mods.unused) == 1
    with pytest.raises(ConfigError, match=said):
        mods.check()


def test_a_run_that_fails_has_it_as_a_note() -> None:
    async def flow(event: Any, step: WorkflowStep) -> None:
        raise KeyError

    mods = Modifiers()
    mods.mock_step_result("a", 1)
    with pytest.raises(KeyError) as caught:
        run_virtually(flow, modifiers=mods)
    assert caught.value.__notes__ == [
        "the run went without what was asked for: mock_step_result('a'): no step is called 'a'"
    ]


def test_what_is_meant_for_everything_need_not_come() -> None:
    mods = Modifiers()
    mods.disable_sleeps()
    mods.disable_retry_delays()
    run_virtually(lambda event, step: None, modifiers=mods)
    mods.check()


def test_who_does_not_want_to_know_is_not_told_but_can_ask() -> None:
    mods = Modifiers(strict=False)
    mods.mock_step_result("b", 1)
    assert run_virtually(Flow, modifiers=mods) == "real"
    assert mods.unused == ["mock_step_result('b'): no step is called 'b', there is 'a'"]

    async def failing(event: Any, step: WorkflowStep) -> None:
        raise KeyError

    with pytest.raises(KeyError) as caught:
        run_virtually(failing, modifiers=mods)
    assert not hasattr(caught.value, "__notes__")


def test_what_was_never_run_is_missing_too() -> None:
    mods = Modifiers()
    mods.check()
    mods.disable_sleeps("nap")
    with pytest.raises(ConfigError, match=r"no sleep is called 'nap'$"):
        mods.check()


def test_modifiers_show_what_they_change() -> None:
    mods = Modifiers()
    assert repr(mods) == "<Modifiers: none>"
    mods.mock_step_result("a", 1)
    mods.disable_sleeps()
    mods.delay("b", 5)
    mods.delay("b", 5, attempt=2)
    mods.force_event_timeout(("w", None))
    assert repr(mods) == (
        "<Modifiers: mock_step_result('a'), disable_sleeps(), delay('b'), delay('b', attempt=2), "
        "force_event_timeout(('w', None))>"
    )


async def test_what_is_asked_for_while_a_run_goes_on_counts_for_it(autojump_clock: object) -> None:
    mods = Modifiers()

    async def flow(event: Any, step: WorkflowStep) -> Any:
        @step.do()
        async def late() -> str:
            return "real"

        await step.sleep("before", "1 hour")
        return await late()

    async with open_run(mods.apply(flow)) as run:
        await mods.reached("before", "running")
        mods.mock_step_result("late", "mocked")
        assert await run.result() == "mocked"
