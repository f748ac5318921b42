"""What can be waited on beside a step: a coroutine in all respects, awaited once, and reported where it was forgotten."""

from __future__ import annotations

import gc
import sys
import warnings
from collections.abc import Coroutine
from contextlib import suppress
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock, assert_checkpoints

from trioflow import (
    DefinitionError,
    Retries,
    Step,
    StepConfig,
    StepContext,
    WorkflowEntrypoint,
    WorkflowStep,
    WorkflowTimeoutError,
    open_run,
    run_workflow,
)
from trioflow._waits import Unawaited, Wait
from trioflow.abc import Instrument, SleepStarted, StepFact, WaitStarted


def make(step: WorkflowStep, kind: str) -> Wait[Any]:
    if kind == "sleep":
        return step.sleep("it", 1)
    if kind == "sleep_until":
        return step.sleep_until("it", step._run.clock.now())
    return step.wait_for_event("it", "bell", 1)


KINDS = ["sleep", "sleep_until", "wait_for_event"]


@pytest.mark.parametrize("kind", KINDS)
async def test_it_can_be_awaited_once_only(autojump_clock: MockClock, kind: str) -> None:
    async def workflow(event: Any, step: WorkflowStep) -> None:
        made = make(step, kind)
        with trio.move_on_after(0):
            await made
        with pytest.raises(RuntimeError, match=r"(sleep|wait) 'it' has been awaited before: make another one"):
            await made

    await run_workflow(workflow)


def test_it_is_a_coroutine_in_all_respects() -> None:
    """Driven by hand, as whoever wraps coroutines does."""
    forgotten: Unawaited = {}

    def made() -> Wait[None]:
        pause = Wait("pause", partial(trio.sleep, 1), forgotten)
        forgotten[pause] = ("pause", __file__, 1)
        return pause

    pause = made()
    assert isinstance(pause, Coroutine)
    assert repr(pause) == "<pause>"
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
        with pytest.raises(RuntimeError, match="awaited before"):
            await begun

    trio.run(main, clock=MockClock(autojump_threshold=0))


# --------------------------------------------------------------------------------------------------------- forgotten


def forgets(event: Any, step: WorkflowStep) -> str:
    step.sleep("nap", "10 seconds")
    step.sleep_until("tomorrow", event.timestamp.replace(year=9000))
    step.wait_for_event("the bell", "bell")
    return "done"


FIRST = forgets.__code__.co_firstlineno + 1
SAID = [f"{what} was never awaited" for what in ("sleep 'nap'", "sleep 'tomorrow'", "wait 'the bell'")]


def test_what_nobody_awaited_is_reported_with_its_place_when_the_run_has_ended() -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert trio.run(run_workflow, forgets) == "done"
    assert [(w.category, str(w.message), w.filename, w.lineno) for w in caught] == [
        (RuntimeWarning, said, __file__, FIRST + i) for i, said in enumerate(SAID)
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
    assert [(type(error), text) for error, text in told] == [(RuntimeWarning, said) for said in SAID]


def test_it_is_reported_also_when_the_run_fails(recwarn: pytest.WarningsRecorder) -> None:
    async def fails(event: Any, step: WorkflowStep) -> None:
        step.sleep("nap", 1)
        raise ValueError("no")

    warnings.simplefilter("always")
    with pytest.raises(ValueError, match="no"):
        trio.run(run_workflow, fails)
    assert [str(w.message) for w in recwarn] == ["sleep 'nap' was never awaited"]


@pytest.mark.parametrize("kind", KINDS)
def test_what_has_been_begun_is_not_reported(kind: str) -> None:
    async def workflow(event: Any, step: WorkflowStep) -> None:
        with trio.CancelScope() as scope:
            scope.cancel()
            await make(step, kind)
        assert scope.cancelled_caught
        async with trio.open_nursery() as nursery:
            nursery.start_soon(make, step, kind)
            nursery.cancel_scope.cancel()

    trio.run(run_workflow, workflow, clock=MockClock(autojump_threshold=0))


# ------------------------------------------------------------------------------------------- in a body that runs again


async def test_p24_sleeps_and_waits_that_succeeded_in_an_earlier_attempt_are_kept(autojump_clock: MockClock) -> None:
    seen = []

    async def workflow(event: Any, step: WorkflowStep) -> None:
        @step.do(config=StepConfig(Retries(2, "0 seconds", "constant")))
        async def body(ctx: StepContext) -> None:
            await step.sleep("nap", "10 seconds")
            await step.sleep_until("then", event.timestamp + timedelta(seconds=15))
            got = await step.wait_for_event("the bell", "bell")
            seen.append((ctx.attempt, trio.current_time(), got.payload))
            if ctx.attempt == 1:
                raise ValueError("first")
            await step.sleep("nap", "10 seconds")  # another one of that name
            if ctx.attempt == 2:
                raise ValueError("second")

        await body()
        assert (await step.wait_for_event("the bell", "bell")).payload == 2, "an event was taken twice"

    async with open_run(workflow) as run:
        run.send_event("bell", 1)
        run.send_event("bell", 2)
        await run.result()
    assert seen == [(1, 15, 1), (2, 15, 1), (3, 25, 1)]


async def test_p24_they_are_kept_also_when_a_cancelled_body_is_begun_afresh(autojump_clock: MockClock) -> None:
    async def workflow(event: Any, step: WorkflowStep) -> None:
        @step.do()
        async def body() -> None:
            await step.sleep("first", "10 seconds")
            await step.sleep("second", "10 seconds")

        with trio.move_on_after(15):
            await body()
        await body()

    await run_workflow(workflow)
    assert trio.current_time() == 15 + 10, "the second was broken off, and has to be slept through again"


async def test_p24_what_failed_or_was_broken_off_belongs_to_its_attempt(autojump_clock: MockClock) -> None:
    got = []

    async def workflow(event: Any, step: WorkflowStep) -> None:
        @step.do(config=StepConfig(Retries(1, "1 second")))
        async def body(ctx: StepContext) -> None:
            with trio.move_on_after(3):
                await step.sleep("broken off in the first attempt", "10 seconds" if ctx.attempt == 1 else "2 seconds")
            got.append((await step.wait_for_event("the bell", "bell", "5 seconds")).payload)

        await body()

    async with open_run(workflow) as run:
        await trio.sleep(10)
        run.send_event("bell", "late")
        await run.result()
    assert (got, trio.current_time()) == (["late"], 3 + 5 + 1 + 2)


async def test_a_kept_one_is_a_checkpoint_too(autojump_clock: MockClock) -> None:
    async def workflow(event: Any, step: WorkflowStep) -> None:
        @step.do(config=StepConfig(Retries(1, "0 seconds")))
        async def body(ctx: StepContext) -> None:
            with assert_checkpoints():
                await step.sleep("nap", 1)
            if ctx.attempt == 1:
                raise ValueError

        await body()

    await run_workflow(workflow)


async def test_namesakes_of_tasks_steps_and_other_bodies_do_not_mix(autojump_clock: MockClock) -> None:
    """Each body counts its own; sleeps, waits and steps are counted apart."""
    paths = []

    class Paths(Instrument):
        def sleep_started(self, fact: SleepStarted, /) -> None:
            paths.append(fact.path)

        def wait_started(self, fact: WaitStarted, /) -> None:
            paths.append(fact.path)

    async def workflow(event: Any, step: WorkflowStep) -> None:
        def body(name: str) -> Step[None]:
            @step.do(name)
            async def inner() -> None:
                await step.do("x")(lambda: None)()
                await step.sleep("x", 1)
                with suppress(WorkflowTimeoutError):
                    await step.wait_for_event("x", "bell", 1)
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(step.sleep, "x", 1)

            return inner

        await step.sleep("x", 1)
        await body("a")()
        await body("b")()
        await body("b")()

    await run_workflow(workflow, instruments=[Paths()])
    bodies = [("a", 1), ("b", 1), ("b", 2)]
    assert paths == [(("x", 1),), *((body, ("x", n)) for body in bodies for n in (1, 1, 2))]


@given(
    st.lists(st.tuples(st.sampled_from(["sleep", "wait", "step", "fail"]), st.sampled_from("ab")), max_size=12),
    st.booleans(),
)
def test_p24_whatever_has_succeeded_is_done_once(plan: list[tuple[str, str]], stopped: bool) -> None:
    """A body does things in turn; at each "fail" it fails the first time, or whoever awaits it leaves."""
    done: list[object] = []
    failed: set[int] = set()

    class Done(Instrument):
        def step_completed(self, fact: StepFact, /) -> None:
            done.append(fact.path)

        sleep_completed = wait_completed = step_completed

    async def workflow(event: Any, step: WorkflowStep) -> None:
        async def body() -> None:
            for i, (what, name) in enumerate(plan):
                if what == "sleep":
                    await step.sleep(name, 1000)
                elif what == "wait":
                    await step.wait_for_event(name, "bell")
                elif what == "step":
                    await step.do(name)(lambda: None)()
                elif i not in failed:
                    failed.add(i)
                    if stopped:
                        await trio.sleep_forever()
                    raise ValueError

        declared = step.do("body", config=StepConfig(Retries(len(plan), "0 seconds")))(body)
        while declared.status != "succeeded":
            with trio.move_on_after(1_000):
                await declared()

    async def main() -> None:
        async with open_run(workflow, instruments=[Done()]) as run:
            for _ in plan:
                run.send_event("bell")
            await run.result()

    trio.run(main, clock=MockClock(autojump_threshold=0))
    assert len(done) == sum(what != "fail" for what, _ in plan) + 1


# --------------------------------------------------------------------------------------------------------------- names


@pytest.mark.parametrize("kind", ["sleep", "wait_for_event"])
@pytest.mark.parametrize(
    ("name", "said"),
    [(5, "name is text, not 5"), (None, "name is text, not None"), ("x" * 257, "257 characters: at most 256")],
)
async def test_a_name_that_is_none_is_refused(kind: str, name: Any, said: str) -> None:
    async def workflow(event: Any, step: WorkflowStep) -> None:
        with pytest.raises(DefinitionError, match=said):
            await (step.sleep(name, 1) if kind == "sleep" else step.wait_for_event(name, "bell"))

    await run_workflow(workflow)
