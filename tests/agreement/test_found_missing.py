"""Promises of which only a planted fault has shown that nothing else proves them, or only by chance: see `tests.planted`."""

from __future__ import annotations

import traceback
from itertools import pairwise
from types import FrameType
from typing import Any

import pytest
import trio
from trio.testing import MockClock, assert_checkpoints

from trioflow import _lanes, open_run, run_workflow


async def test_p11_a_step_begins_though_who_asked_first_has_gone_and_all_that_it_began_is_over(
    autojump_clock: MockClock,
) -> None:
    """Where its bodies ran is shut by then, and is opened again."""

    async def workflow(event: Any, step: Any) -> None:
        @step.do()
        async def slow() -> None:
            await trio.sleep(10)

        @step.do()
        async def first() -> None:
            await trio.sleep(2)

        @step.do()
        async def second() -> None:
            await trio.sleep(2)

        @step.do(depends=[first, second, slow], concurrent=True)
        async def shared(first: None, second: None, slow: None) -> float:
            await trio.sleep(1)
            return trio.current_time() - began

        async def gives_up() -> None:
            await trio.sleep(0.1)
            with trio.move_on_after(1):
                await shared()
            gave_up.append(trio.current_time() - began)

        began = trio.current_time()
        gave_up: list[float] = []
        async with trio.open_nursery() as nursery:
            nursery.start_soon(slow)
            nursery.start_soon(gives_up)
            await trio.sleep(0.5)
            assert await shared() == 11
        assert gave_up == [1.1]

    await run_workflow(workflow)


async def test_p15_an_await_is_a_checkpoint_also_where_it_finds_out_at_once(autojump_clock: MockClock) -> None:
    """The step has no outcome yet, but one that it needs has failed: nothing is left to wait for."""

    async def workflow(event: Any, step: Any) -> None:
        @step.do()
        async def fails() -> None:
            raise TypeError("no")

        @step.do(depends=[fails])
        async def needs_it(fails: None) -> None:
            raise AssertionError("a step begins although it can only fail")

        with pytest.raises(TypeError):
            await fails()
        assert needs_it.status == "pending"
        with assert_checkpoints(), pytest.raises(TypeError):
            await needs_it()

    await run_workflow(workflow)


def our_frames_that_hold(error: BaseException) -> tuple[list[FrameType], list[FrameType]]:
    """The frames of trioflow in its traceback, and those of them that refer to it."""
    ours = [f for f, _ in traceback.walk_tb(error.__traceback__) if f.f_globals.get("__package__") == "trioflow"]
    return ours, [f for f in ours if any(value is error for value in f.f_locals.values())]


async def test_p8_a_failure_makes_no_circle_with_its_own_traceback(autojump_clock: MockClock) -> None:
    """Or whatever its frames hold would stay until Python's collector comes by."""

    async def workflow(event: Any, step: Any) -> None:
        @step.do()
        async def fails() -> None:
            raise KeyError("no")

        for _ in range(2):  # as it comes, and when it is known
            with pytest.raises(KeyError) as caught:
                await fails()
            ours, holding = our_frames_that_hold(caught.value)
            assert ours
            assert not holding
        await fails()

    async with open_run(workflow) as run:
        with pytest.raises(KeyError) as caught:
            await run.result()
        ours, holding = our_frames_that_hold(caught.value)
        assert ours
        assert not holding


async def test_slow_sync_bodies_let_others_have_their_turn_whoever_is_scheduled_first(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What has run before the other's first turn counts as a gap, too: Trio draws who comes first."""
    now = [0.0]
    monkeypatch.setattr(_lanes, "perf_counter", lambda: now[0])
    ran: list[None] = []
    turns = [0]

    def slow() -> None:
        ran.append(None)
        now[0] += _lanes.SLICE * 0.4

    async def other() -> None:
        while True:
            turns.append(len(ran))
            await trio.lowlevel.checkpoint()

    async def workflow(event: Any, step: Any) -> None:
        nodes = [step.do(f"{i}")(slow) for i in range(60)]
        async with trio.open_nursery() as nursery:
            nursery.start_soon(other)
            await step.do("top", depends=nodes, concurrent=True)(lambda *values: None)()
            nursery.cancel_scope.cancel()

    await run_workflow(workflow)
    gaps = [after - before for before, after in pairwise([*turns, len(ran)])]
    assert len(ran) == 60
    assert max(gaps) <= 2 * 3
