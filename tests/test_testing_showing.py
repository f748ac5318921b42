"""How runs went, as text."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from trio.testing import MockClock

from trioflow import StepContext, WorkflowStep, run_workflow
from trioflow.testing import run_virtually
from trioflow.testing.showing import shown
from trioflow.trace import Recorder


async def dinner(event: Any, step: WorkflowStep) -> None:
    @step.do()
    async def boil() -> None:
        await step.sleep("until it sings", "10 minutes")

    @step.do(config={"retries": {"limit": 1, "delay": "10 seconds"}})
    async def chop(ctx: StepContext) -> None:
        if ctx.attempt == 1:
            raise OSError("blunt")

        @step.do("carrot")
        async def first() -> None:
            await trio.sleep(1)

        @step.do("carrot")
        async def second() -> None:
            await trio.sleep(2)

        await first()
        await second()

    @step.do(depends=[boil, chop], concurrent=True)
    async def serve(*things: None) -> None:
        await trio.sleep(60)
        if event.payload == "fail":
            raise KeyError("plates")

    if event.payload == "cancel":
        with trio.move_on_after(5):
            await serve()
        await trio.sleep_forever()
    await serve()
    if event.payload == "wait":
        await step.wait_for_event("guests", "here", timeout="1 minute")


def test_states_seconds_and_the_critical_path_are_shown_with_inner_steps_below_theirs() -> None:
    recorder = Recorder()
    with pytest.raises(KeyError):
        run_virtually(dinner, "fail", instance_id="i", instruments=[recorder])
    lines = shown(recorder).splitlines()
    assert lines[0] == "run 'i' of dinner: failed after 660.000 s, KeyError('plates')"
    assert lines[-1] == "  critical path: boil 600.000 s, serve 60.000 s"
    table = [(line.index(line.split()[1]), line.split()) for line in lines[1:-1]]
    assert len({line.rindex(" s") for line in lines[1:-2]}) == 1
    chop = table.index((13, ["succeeded", "chop", "13.000", "s"]))
    assert table[chop + 1 : chop + 3] == [
        (15, ["succeeded", "carrot", "1.000", "s"]),
        (15, ["succeeded", "carrot", "#2", "2.000", "s"]),
    ]
    boil = table.index((13, ["succeeded", "boil", "600.000", "s"]))
    assert table[boil + 1] == (15, ["succeeded", "until", "it", "sings", "(sleep)", "600.000", "s"])
    assert table[-1] == (13, ["failed", "serve", "60.000", "s", "KeyError('plates')"])
    assert len(table) == 6


def test_what_was_cancelled_says_why() -> None:
    recorder = Recorder()

    async def main() -> None:
        with trio.move_on_after(7):
            await run_workflow(dinner, "cancel", instance_id="i", instruments=[recorder])

    trio.run(main, clock=MockClock(autojump_threshold=0))
    text = shown(recorder)
    assert text.startswith("run 'i' of dinner: stopped after 7.000 s, a deadline has passed")
    (boil,) = [line.split(maxsplit=4) for line in text.splitlines() if "boil" in line]
    assert boil == ["cancelled", "boil", "5.000", "s", "a deadline has passed for the one who awaited it"]


def test_a_wait_that_timed_out_has_failed() -> None:
    recorder = Recorder()
    with pytest.raises(TimeoutError):
        run_virtually(dinner, "wait", instruments=[recorder])
    assert "failed guests (wait) 60.000 s" in [" ".join(line.split()) for line in shown(recorder).splitlines()]


def test_a_run_that_goes_on_is_shown_as_far_as_it_is() -> None:
    recorder, texts = Recorder(), []

    async def flow(event: Any, step: WorkflowStep) -> None:
        @step.do()
        def look() -> None:
            texts.append(shown(recorder))

        await look()

    run_virtually(flow, instance_id="i", instruments=[recorder])
    assert texts == ["run 'i' of flow: has not ended\n  running    look"]


def test_no_run_is_no_text_and_of_many_the_last_are_shown() -> None:
    recorder = Recorder()
    assert shown(recorder) == ""
    for number in range(5):
        run_virtually(lambda event, step: None, instance_id=f"i{number % 4}", instruments=[recorder])
    assert shown(recorder).splitlines() == [
        "1 earlier runs are not shown",
        *(line for n in (1, 2, 3) for line in ("", f"run 'i{n}' of <lambda>: complete after 0.000 s")),
    ]
