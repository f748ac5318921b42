"""The doors: `run_workflow` and `open_run`."""

from __future__ import annotations

from typing import Any

import trio
from trio.testing import MockClock

from trioflow import WorkflowEntrypoint, WorkflowEvent, WorkflowStep, run_workflow


class Diamond(WorkflowEntrypoint):
    async def run(self, event: WorkflowEvent[Any], step: WorkflowStep) -> int:
        @step.do()
        async def root() -> int:
            await trio.sleep(1)
            return event.payload["start"]

        @step.do(depends=[root])
        async def left(start: int) -> int:
            await trio.sleep(2)
            return start + 1

        @step.do(depends=[root])
        async def right(start: int) -> int:
            await trio.sleep(3)
            return start + 2

        @step.do(depends=[left, right], concurrent=True)
        def both(one: int, other: int) -> int:
            return one * other

        return await both()


async def test_a_diamond_takes_its_critical_path_and_returns_its_value(autojump_clock: MockClock) -> None:
    assert await run_workflow(Diamond, {"start": 1}) == 6
    assert trio.current_time() == 4
