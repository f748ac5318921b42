"""Cancelling and interrupting at a moment that can be named, and met again."""

from __future__ import annotations

import signal
import threading
from itertools import count
from typing import Any

import pytest
import trio
import trio.lowlevel
from trio.testing import MockClock

from trioflow import ConfigError, WorkflowStep, run_workflow
from trioflow.testing import cancel_at, interrupt_at


class Work:
    """Two bodies at the same time, and a third; `open` are those that have begun and not cleaned up."""

    def __init__(self) -> None:
        self.open: set[str] = set()
        self.log: list[str] = []

    async def body(self, name: str) -> None:
        self.open.add(name)
        self.log.append(f"{name} begins")
        try:
            await trio.sleep(1)
            await trio.sleep(1)
        finally:
            self.open.remove(name)
        self.log.append(f"{name} ends")

    async def flow(self, event: Any, step: WorkflowStep) -> str:
        @step.do()
        async def a() -> None:
            await self.body("a")

        @step.do()
        async def b() -> None:
            await self.body("b")

        @step.do(depends=[a, b], concurrent=True)
        async def top(a: None, b: None) -> str:
            await self.body("top")
            return "done"

        return await top()


@pytest.mark.parametrize("kind", ["task_step", "checkpoint", "tick"])
async def test_each_moment_comes_once_and_all_of_them_are_met(kind: str, autojump_clock: object) -> None:
    how_far = []
    for number in count(1):
        work = Work()
        with cancel_at(**{kind: number}) as scope:
            assert await run_workflow(work.flow) == "done"
        assert not work.open
        how_far.append(len(work.log))
        if not scope.cancel_called:
            break
    assert how_far[0] == 0 or kind == "tick"
    assert how_far[-1] == 6
    assert how_far == sorted(how_far)
    assert len(how_far) > (2 if kind == "checkpoint" else 5)


async def test_the_reason_says_who_it_was(autojump_clock: object) -> None:
    with cancel_at(checkpoint=2) as scope:
        await trio.lowlevel.checkpoint()
        with pytest.raises(trio.Cancelled, match="cancel_at"):
            await trio.sleep(1)
        await trio.lowlevel.checkpoint()
    assert scope.cancelled_caught


async def test_a_checkpoint_is_one_of_the_task_that_has_entered_the_block(autojump_clock: object) -> None:
    async def other() -> None:
        for _ in range(10):
            await trio.sleep(1)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(other)
        with cancel_at(checkpoint=1) as scope:
            await trio.sleep(100)
        assert trio.current_time() == 0
        assert scope.cancelled_caught


@pytest.mark.parametrize("kind", ["task_step", "checkpoint", "tick"])
def test_ctrl_c_comes_at_each_moment_and_leaves_nothing_behind(kind: str) -> None:
    interrupted = 0
    for number in count(1):
        work = Work()

        async def main(work: Work = work, number: int = number) -> None:
            with interrupt_at(**{kind: number}):
                await run_workflow(work.flow)

        try:
            trio.run(main, clock=MockClock(autojump_threshold=0))
        except KeyboardInterrupt:
            interrupted += 1
            assert not work.open
        else:
            break
    assert work.log[-1] == "top ends"
    assert interrupted == number - 1 > (1 if kind == "checkpoint" else 5)


async def test_nothing_is_counted_outside_of_the_block(autojump_clock: object) -> None:
    with cancel_at(task_step=3) as scope:
        await trio.sleep(1)
    for _ in range(5):
        await trio.sleep(1)
    assert not scope.cancel_called


@pytest.mark.parametrize("moment", [{}, {"tick": 1, "task_step": 1}])
async def test_one_moment_has_to_be_said(moment: dict[str, int]) -> None:
    for fault in (cancel_at, interrupt_at):
        with pytest.raises(ConfigError, match="say one of task_step, checkpoint, tick"), fault(**moment):
            pass


@pytest.mark.parametrize("number", [0, -1, True, 1.5, "1"])
async def test_a_moment_is_a_number(number: Any) -> None:
    for fault in (cancel_at, interrupt_at):
        with pytest.raises(ConfigError, match="moments are counted from 1"), fault(tick=number):
            pass


def test_only_the_main_thread_can_be_interrupted() -> None:
    said = []

    def elsewhere() -> None:
        with pytest.raises(ConfigError) as caught, interrupt_at(tick=1):
            pass
        said.append(str(caught.value))

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert said == ["only the main thread can be interrupted: call trio.run there"]


def test_where_ctrl_c_would_end_or_not_reach_the_program_it_is_refused() -> None:
    before = signal.getsignal(signal.SIGINT)
    try:
        for handler in (signal.SIG_IGN, signal.SIG_DFL):
            signal.signal(signal.SIGINT, handler)
            with pytest.raises(ConfigError, match="SIGINT is ignored or left to the system"), interrupt_at(tick=1):
                pass
    finally:
        signal.signal(signal.SIGINT, before)
