"""Instruments: who is told what, in which order, and what becomes of one that misbehaves."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import attrs
import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock

from trioflow import ConfigError, Retries, StepConfig, StepContext, WorkflowStep, run_workflow
from trioflow.abc import Instrument, StepCancelled, StepCompleted, StepErrored, StepFact, StepStarted


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
