"""Instruments: who is told what, in which order, and what becomes of one that misbehaves."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from typing import Any

import attrs
import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock

from trioflow import (
    ConfigError,
    Retries,
    StepConfig,
    StepContext,
    WorkflowStep,
    WorkflowTimeoutError,
    open_run,
    run_workflow,
)
from trioflow import _watchers as watchers
from trioflow.abc import (
    Fact,
    Instrument,
    StepCancelled,
    StepCompleted,
    StepErrored,
    StepFact,
    StepStarted,
    WorkflowErrored,
    WorkflowStarted,
    WorkflowTerminated,
)


class Recorder(Instrument):
    """Overrides everything, and keeps it."""

    def __init__(self) -> None:
        self.facts: list[StepFact] = []

    def step_started(self, fact: StepStarted, /) -> None:
        self.facts.append(fact)

    def step_completed(self, fact: StepCompleted, /) -> None:
        self.facts.append(fact)

    def step_errored(self, fact: StepErrored, /) -> None:
        self.facts.append(fact)

    def step_cancelled(self, fact: StepCancelled, /) -> None:
        self.facts.append(fact)

    def story(self) -> list[str]:
        return [f"{fact.time:g}: {type(fact).__name__[4:].lower()} {fact.step}" for fact in self.facts]


async def test_facts_come_in_order_with_their_time_and_what_they_are_about(autojump_clock: MockClock) -> None:
    recorder = Recorder()
    error = ValueError("no")
    value = object()

    async def workflow(event: Any, step: WorkflowStep) -> None:
        @step.do()
        async def good() -> object:
            await trio.sleep(1)
            return value

        @step.do(depends=[good])
        async def bad(good: object) -> None:
            await trio.sleep(1)
            raise error

        @step.do()
        async def slow() -> None:
            try:
                await trio.sleep(10)
            finally:
                with trio.CancelScope(shield=True):
                    await trio.sleep(1)

        @step.do(depends=[bad, slow], concurrent=True)
        async def top(bad: None, slow: None) -> None: ...

        with suppress(ValueError):
            await top()

    await run_workflow(workflow, instance_id="the-run", instruments=[recorder])
    assert recorder.story() == [
        "0: started slow",
        "0: started good",
        "1: completed good",
        "1: started bad",
        "2: errored bad",
        "3: cancelled slow",
    ] or recorder.story() == [
        "0: started good",
        "0: started slow",
        "1: completed good",
        "1: started bad",
        "2: errored bad",
        "3: cancelled slow",
    ]
    completed, _, errored, cancelled = recorder.facts[2:]
    assert isinstance(completed, StepCompleted)
    assert completed.output is value
    assert isinstance(errored, StepErrored)
    assert errored.error is error
    assert isinstance(cancelled, StepCancelled)
    assert "bad" in cancelled.reason
    for fact in recorder.facts:
        assert (fact.instance_id, fact.occurrence) == ("the-run", 1)
        with pytest.raises(attrs.exceptions.FrozenInstanceError):
            fact.step = "other"  # type: ignore[misc]


async def test_occurrences_tell_steps_of_one_name_apart(autojump_clock: MockClock) -> None:
    recorder = Recorder()

    async def workflow(event: Any, step: WorkflowStep) -> None:
        steps = [step.do("page")(lambda: None) for _ in range(3)]
        for declared in reversed(steps):
            await declared()

    await run_workflow(workflow, instruments=[recorder])
    assert [fact.occurrence for fact in recorder.facts] == [3, 3, 2, 2, 1, 1]


async def test_each_attempt_belongs_to_one_execution(autojump_clock: MockClock) -> None:
    """`step_started` is told when a body is begun for somebody, not for each attempt."""
    recorder = Recorder()

    async def workflow(event: Any, step: WorkflowStep) -> None:
        @step.do(config=StepConfig(Retries(2, "1 second", "constant")))
        async def flaky(ctx: StepContext) -> None:
            if ctx.attempt < 3:
                raise ValueError

        await flaky()

    await run_workflow(workflow, instruments=[recorder])
    assert recorder.story() == ["0: started flaky", "2: completed flaky"]


async def test_what_nobody_needed_is_not_told_of(autojump_clock: MockClock) -> None:
    recorder = Recorder()

    async def workflow(event: Any, step: WorkflowStep) -> None:
        @step.do()
        def bad() -> None:
            raise ValueError

        @step.do()
        def never() -> None: ...

        @step.do(depends=[bad, never])
        def top(bad: None, never: None) -> None: ...

        with suppress(ValueError):
            await top()

    await run_workflow(workflow, instruments=[recorder])
    assert recorder.story() == ["0: started bad", "0: errored bad"]


async def test_a_body_that_the_runs_end_stops_is_cancelled(autojump_clock: MockClock) -> None:
    recorder = Recorder()

    async def workflow(event: Any, step: WorkflowStep) -> None:
        @step.do()
        async def endless() -> None:
            await trio.sleep_forever()

        nursery.start_soon(endless_waiter, endless)
        await trio.sleep(1)

    async def endless_waiter(endless: Callable[[], Any]) -> None:
        with suppress(Exception):
            await endless()

    async with trio.open_nursery() as nursery:
        await run_workflow(workflow, instruments=[recorder])
    assert recorder.story() == ["0: started endless", "1: cancelled endless"]
    last = recorder.facts[-1]
    assert isinstance(last, StepCancelled)
    assert last.reason == "the run is over"


async def test_a_plain_body_that_returns_a_coroutine_completes_when_that_has(autojump_clock: MockClock) -> None:
    recorder = Recorder()

    async def body(result: int) -> int:
        await trio.sleep(1)
        return 1 // result

    async def workflow(event: Any, step: WorkflowStep) -> None:
        await step.do("good")(lambda: body(1))()
        with suppress(ZeroDivisionError):
            await step.do("bad")(lambda: body(0))()

    await run_workflow(workflow, instruments=[recorder])
    assert recorder.story() == ["0: started good", "1: completed good", "1: started bad", "2: errored bad"]
    assert isinstance(recorder.facts[1], StepCompleted)
    assert recorder.facts[1].output == 1


# ---------------------------------------------------------------------------------------------------- who is asked


class OnlyErrors(Instrument):
    def __init__(self) -> None:
        self.errors: list[str] = []

    def step_errored(self, fact: StepErrored, /) -> None:
        self.errors.append(fact.step)


class Anything:
    """No subclass of ours."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def step_completed(self, fact: StepCompleted, /) -> None:
        self.told.append(fact.step)


async def good_and_bad(event: Any, step: WorkflowStep) -> None:
    await step.do("good")(lambda: None)()

    @step.do()
    def bad() -> None:
        raise ValueError

    with suppress(ValueError):
        await bad()
    with trio.move_on_after(1):
        await step.do("long")(trio.sleep_forever)()


async def test_only_what_is_overridden_is_told(autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch) -> None:
    def unwanted(self: Instrument, fact: StepFact, /) -> None:
        raise AssertionError("the base's method was called")

    only, anything = OnlyErrors(), Anything()
    on_itself: Any = Instrument()
    told: list[str] = []
    on_itself.step_cancelled = lambda fact: told.append(fact.reason)
    for hook in ("step_started", "step_completed"):
        monkeypatch.setattr(Instrument, hook, unwanted)
    await run_workflow(good_and_bad, instruments=[only, anything, Instrument()])  # type: ignore[list-item]
    assert (only.errors, anything.told) == (["bad"], ["good"])


def test_who_wants_nothing_is_as_good_as_nobody() -> None:
    """Then nothing is asked, and nothing paid for."""
    assert watchers.Watchers.of("it", [Instrument(), Instrument()]) is None
    assert watchers.Watchers.of("it", [Instrument(), OnlyErrors()]) is not None


async def test_an_iterator_of_instruments_will_do(autojump_clock: MockClock) -> None:
    only = OnlyErrors()
    await run_workflow(good_and_bad, instruments=iter([only]))
    assert only.errors == ["bad"]


async def test_all_are_told_in_the_order_in_which_they_were_given(autojump_clock: MockClock) -> None:
    told = []

    class Numbered(Instrument):
        def __init__(self, number: int) -> None:
            self.number = number

        def step_started(self, fact: StepStarted, /) -> None:
            told.append((fact.step, self.number))

    await run_workflow(good_and_bad, instruments=[Numbered(n) for n in range(3)])
    assert told == [(name, n) for name in ("good", "bad", "long") for n in range(3)]


# ------------------------------------------------------------------------------------------------- what goes wrong


class Broken(Instrument):
    """Raises at the nth fact."""

    def __init__(self, at: int) -> None:
        self.left = at
        self.heard = 0

    def hear(self, fact: StepFact, /) -> None:
        self.heard += 1
        self.left -= 1
        if not self.left:
            raise ZeroDivisionError("in the instrument")

    step_started = step_completed = step_errored = step_cancelled = hear


FACTS = ["started good", "completed good", "started bad", "errored bad", "started long", "cancelled long"]


@pytest.mark.parametrize("at", range(1, len(FACTS) + 1))
async def test_one_that_raises_is_logged_and_removed_and_the_run_goes_on(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture, at: int
) -> None:
    broken, before, after = Broken(at), Recorder(), Recorder()
    with caplog.at_level(logging.ERROR, "trioflow"):
        await run_workflow(good_and_bad, instruments=[before, broken, after])
    assert broken.heard == at
    assert before.facts == after.facts
    assert [line.partition(": ")[2] for line in before.story()] == FACTS
    (record,) = caplog.records
    assert record.name == "trioflow"
    assert record.getMessage() == f"instrument {broken!r} raised in step_{FACTS[at - 1].split()[0]} and is told no more"
    assert record.exc_info is not None
    assert record.exc_info[0] is ZeroDivisionError


@attrs.define
class Equal:
    """Equal to all others of its kind, as any two values are that look the same."""

    works: bool = attrs.field(eq=False)
    told: list[str] = attrs.field(factory=list, eq=False)

    def step_started(self, fact: StepStarted, /) -> None:
        if not self.works:
            raise ZeroDivisionError
        self.told.append(fact.step)


@given(st.lists(st.booleans(), max_size=5))
def test_of_several_that_are_equal_those_that_raise_are_removed(works: list[bool]) -> None:
    instruments: list[Any] = [Equal(w) for w in works]
    logger = logging.getLogger("trioflow")
    logger.disabled = True
    try:
        trio.run(lambda: run_workflow(good_and_bad, instruments=instruments), clock=MockClock(autojump_threshold=0))
    finally:
        logger.disabled = False
    assert [i.told for i in instruments] == [["good", "bad", "long"] if w else [] for w in works]


def test_a_keyboard_interrupt_in_an_instrument_ends_the_run() -> None:
    class Impatient(Instrument):
        def step_completed(self, fact: StepCompleted, /) -> None:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        trio.run(lambda: run_workflow(good_and_bad, instruments=[Impatient()]))


@pytest.mark.parametrize(
    ("instruments", "said"),
    [
        (Instrument(), r"takes a list: write instruments=\["),
        ([5], "5 is no instrument"),
        ([Instrument], r"is a class: pass an object, Instrument\(\)"),
        ([Instrument(), object()], "is no instrument"),
    ],
)
async def test_what_could_never_be_told_is_refused(instruments: Any, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        await run_workflow(lambda event, step: None, instruments=instruments)


async def test_an_async_method_is_refused_as_it_would_never_run() -> None:
    class Slow(Instrument):
        async def step_started(self, fact: Any, /) -> None:  # type: ignore[override]
            raise AssertionError

    with pytest.raises(ConfigError, match=r"step_started of .* is async"):
        await run_workflow(lambda event, step: None, instruments=[Slow()])


# --------------------------------------------------------------------------------------------------- all that is told


class Story(Instrument):
    """Overrides whatever there is, and keeps it in words: the fact, and what it says beside which and when."""

    def __init__(self) -> None:
        self.facts: list[Fact] = []

    def lines(self) -> list[str]:
        return [f"{fact.time:g}: {self.line(fact)}" for fact in self.facts]

    def line(self, fact: Fact) -> str:
        name = next(name for name, kind in watchers.FACTS.items() if kind is type(fact))
        says = {k: v for k, v in attrs.asdict(fact, recurse=False).items() if k not in WHICH}
        where = "/".join(step for step, _ in fact.path) + " " if isinstance(fact, StepFact) else ""
        return f"{name} {where}{' '.join(f'{k}={v}' for k, v in says.items())}".rstrip()


def keep(self: Story, fact: Fact, /) -> None:
    self.facts.append(fact)


for hook in watchers.FACTS:
    setattr(Story, hook, keep)
WHICH = {"instance_id", "time", "step", "occurrence", "path", "timestamp", "config", "depends", "concurrent", "after"}


async def story_of(workflow: Any, **keywords: Any) -> list[str]:
    story = Story()
    with suppress(Exception):
        await run_workflow(workflow, instruments=[story], **keywords)
    return story.lines()


async def test_attempts_and_their_delays_are_told(autojump_clock: MockClock) -> None:
    async def workflow(event: Any, step: WorkflowStep) -> str:
        @step.do(config={"retries": {"limit": 2, "delay": "10 seconds"}, "timeout": "5 seconds"})
        async def flaky(ctx: StepContext) -> str:
            if ctx.attempt == 1:
                raise ValueError("no")
            if ctx.attempt == 2:
                await trio.sleep_forever()
            return "yes"

        @step.do(config={"retries": {"limit": 1, "delay": 0}})
        def hopeless() -> None:
            raise KeyError("never")

        with suppress(KeyError):
            await hopeless()
        return await flaky()

    timed_out = "step 'flaky' (FILE): attempt 2 took longer than its timeout of 5 s"
    lines = await story_of(workflow, params=7)
    place = f"{__file__}:{workflow.__code__.co_firstlineno + 1}"
    assert [line.replace(place, "FILE") for line in lines] == [
        "0: workflow_started workflow=workflow params=7",
        "0: step_started hopeless",
        "0: attempt_started hopeless attempt=1",
        "0: attempt_errored hopeless attempt=1 error='never' retry_in=0.0",
        "0: attempt_started hopeless attempt=2",
        "0: attempt_errored hopeless attempt=2 error='never' retry_in=None",
        "0: step_errored hopeless error='never'",
        "0: step_started flaky",
        "0: attempt_started flaky attempt=1",
        "0: attempt_errored flaky attempt=1 error=no retry_in=10.0",
        "10: attempt_started flaky attempt=2",
        f"15: attempt_errored flaky attempt=2 error={timed_out} retry_in=20.0",
        "35: attempt_started flaky attempt=3",
        "35: attempt_completed flaky attempt=3",
        "35: step_completed flaky output=yes",
        "35: workflow_completed output=yes",
    ]


async def test_an_attempt_that_is_cancelled_has_no_end_of_its_own(autojump_clock: MockClock) -> None:
    async def workflow(event: Any, step: WorkflowStep) -> None:
        @step.do(config={"retries": {"limit": 1, "delay": "10 seconds"}})
        async def slow(ctx: StepContext) -> None:
            await trio.sleep(1)
            raise ValueError("no")

        for seconds in (0.5, 5):  # in the body, and in the delay
            with trio.move_on_after(seconds):
                await slow()

    assert (await story_of(workflow))[1:] == [
        "0: step_started slow",
        "0: attempt_started slow attempt=1",
        "0.5: step_cancelled slow reason=a deadline has passed for the one who awaited it",
        "0.5: step_started slow",
        "0.5: attempt_started slow attempt=1",
        "1.5: attempt_errored slow attempt=1 error=no retry_in=10.0",
        "5.5: step_cancelled slow reason=a deadline has passed for the one who awaited it",
        "5.5: workflow_completed output=None",
    ]


async def test_sleeps_and_waits_are_told_however_they_end(autojump_clock: MockClock) -> None:
    story = Story()

    async def pauses(event: Any, step: WorkflowStep) -> None:
        await step.sleep("nap", 1_000)
        with trio.move_on_after(1):
            await step.sleep("left", "1 day")
        got = await step.wait_for_event("the bell", "bell")
        assert got.payload == "ding"
        with suppress(WorkflowTimeoutError):
            await step.wait_for_event("the bell", "bell", "3 seconds")
        with trio.move_on_after(1):
            await step.wait_for_event("left", "bell")

        @step.do(config={"retries": {"limit": 1, "delay": 0}})
        async def twice(ctx: StepContext) -> None:
            await step.sleep("within", 1_000)
            await step.do("inner")(lambda: 5)()
            if ctx.attempt == 1:
                raise ValueError("no")

        await twice()

    async with open_run(pauses, instruments=[story]) as run:
        run.send_event("bell", "ding")
        await run.result()
    lines = [line for line in story.lines() if "attempt" not in line]
    event = next(line for line in lines if "wait_completed" in line)
    assert "payload='ding'" in event
    lines.remove(event)
    assert lines[1:] == [
        "0: sleep_started nap seconds=1.0",
        "1: sleep_completed nap",
        "1: sleep_started left seconds=86400.0",
        "2: sleep_cancelled left",
        "2: wait_started the bell event_type=bell timeout=86400.0",
        "2: wait_started the bell event_type=bell timeout=3.0",
        "5: wait_timed_out the bell",
        "5: wait_started left event_type=bell timeout=86400.0",
        "6: wait_cancelled left",
        "6: step_started twice",
        "6: sleep_started twice/within seconds=1.0",
        "7: sleep_completed twice/within",
        "7: step_started twice/inner",
        "7: step_completed twice/inner output=5",
        "7: step_reused twice/within kind=sleep output=None",
        "7: step_reused twice/inner kind=step output=5",
        "7: step_completed twice output=None",
        "7: workflow_completed output=None",
    ]


async def test_a_sleep_until_a_moment_says_how_long_it_will_take(autojump_clock: MockClock) -> None:
    async def workflow(event: Any, step: WorkflowStep) -> None:
        sleep = step.sleep_until("then", event.timestamp + timedelta(seconds=10))
        await trio.sleep(4)
        await sleep

    assert (await story_of(workflow))[1:3] == ["4: sleep_started then seconds=6.0", "10: sleep_completed then"]


async def test_what_a_step_waited_for_is_told_when_it_starts(autojump_clock: MockClock) -> None:
    """Its dependencies, and what the code that asked for it had awaited before."""
    started = {}

    class Starts(Instrument):
        def step_started(self, fact: StepStarted, /) -> None:
            after = fact.after and "/".join(name for name, _ in fact.after)
            started[fact.step] = ([path[-1][0] for path in fact.depends], fact.concurrent, after)

    async def workflow(event: Any, step: WorkflowStep) -> None:
        for name in "abcde":
            step.do(name)(lambda: None)
        a, b, c, d, e = run.steps
        both = step.do("both", depends=[a, b], concurrent=True)(lambda a, b: None)
        turns = step.do("turns", depends=[both, c])(lambda both, c: None)

        @step.do()
        async def outer() -> None:
            await step.do("first")(lambda: None)()
            await step.do("second")(lambda: None)()

        await turns()
        await outer()
        await outer()  # an outcome that is known counts as well
        async with trio.open_nursery() as nursery:
            nursery.start_soon(d)
        await e()

    async with open_run(workflow, instruments=[Starts()]) as run:
        await run.result()
    assert started == {
        "a": ([], False, None),
        "b": ([], False, None),
        "both": (["a", "b"], True, None),
        "c": ([], False, None),
        "turns": (["both", "c"], False, None),
        "outer": ([], False, "turns"),
        "first": ([], False, None),
        "second": ([], False, "outer/first"),
        "d": ([], False, "outer"),
        "e": ([], False, "outer"),
    }


async def test_a_run_begins_and_has_one_end(autojump_clock: MockClock) -> None:
    error = ValueError("no")

    async def fails(event: Any, step: WorkflowStep) -> None:
        raise error

    async def cleans_up(event: Any, step: WorkflowStep) -> None:
        try:
            await trio.sleep_forever()
        finally:
            with trio.CancelScope(shield=True):
                await trio.sleep(1)

    story = Story()
    with suppress(ValueError):
        await run_workflow(fails, {"a": 1}, instance_id="it", instruments=[story])
    begin, end = story.facts
    assert isinstance(begin, WorkflowStarted)
    assert isinstance(end, WorkflowErrored)
    assert (begin.instance_id, begin.workflow, begin.params) == ("it", "fails", {"a": 1})
    assert begin.timestamp.utcoffset() == timedelta()
    assert end.error is error
    for scope, reason in [
        (trio.CancelScope(deadline=trio.current_time() + 3), "a deadline has passed"),
        (trio.CancelScope(), "the host cancelled the run: enough"),
        (trio.CancelScope(), "the host cancelled the run"),
    ]:
        story = Story()
        async with trio.open_nursery() as nursery:
            with scope:
                if scope.deadline == float("inf"):
                    nursery.start_soon(cancel, scope, reason.partition(": ")[2] or None)
                await run_workflow(cleans_up, instruments=[story])
        end = story.facts[-1]
        assert isinstance(end, WorkflowTerminated)
        assert (end.time - story.facts[0].time, end.reason) == (4, reason)


async def cancel(scope: trio.CancelScope, reason: str | None) -> None:
    await trio.sleep(3)
    scope.cancel(reason=reason)


def test_a_run_that_an_interrupt_ends_is_terminated_by_it() -> None:
    async def workflow(event: Any, step: WorkflowStep) -> None:
        @step.do()
        async def body() -> None:
            raise KeyboardInterrupt

        await body()

    story = Story()
    with pytest.raises(KeyboardInterrupt):
        trio.run(lambda: run_workflow(workflow, instruments=[story]))
    assert [line.partition(": ")[2] for line in story.lines()][-1] == "workflow_terminated reason=KeyboardInterrupt"


def test_a_group_of_interrupts_and_errors_is_told_in_words() -> None:
    group = BaseExceptionGroup("", [KeyboardInterrupt(), SystemExit(), BaseExceptionGroup("", [KeyboardInterrupt()])])
    told = []

    class Told(Instrument):
        def workflow_terminated(self, fact: WorkflowTerminated, /) -> None:
            told.append(fact.reason)

    async def main() -> None:
        watchers.Watchers("it", [Told()]).run_ended(group, None)

    trio.run(main)
    assert told == ["KeyboardInterrupt, SystemExit"]
