"""What can be waited on beside a step: a coroutine in all respects, awaited once, and reported where it was forgotten."""

from __future__ import annotations

import gc
import sys
import warnings
from collections.abc import Coroutine
from functools import partial
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from trioflow import WorkflowEntrypoint, WorkflowStep, run_workflow
from trioflow._waits import Unawaited, Wait


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
