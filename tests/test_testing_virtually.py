"""A run in virtual time, for a plain test."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from trioflow import ConfigError, WorkflowStep
from trioflow.testing import Modifiers, run_virtually
from trioflow.trace import Recorder


@given(st.integers(0, 10_000_000))
def test_it_takes_as_long_as_it_takes_each_time_by_a_clock_of_its_own(seconds: int) -> None:
    async def flow(event: Any, step: WorkflowStep) -> float:
        begun = trio.current_time()
        await step.sleep("long", seconds * 1000)
        return trio.current_time() - begun

    assert run_virtually(flow) == seconds


def test_whatever_run_workflow_takes_is_handed_on() -> None:
    class Flow:
        env = None

        async def run(self, event: Any, step: WorkflowStep) -> Any:
            @step.do()
            async def a(ctx: Any) -> Any:
                return ctx.config["retries"]["limit"]

            return event.payload, event.instanceId, self.env, await a()

    recorder, mods = Recorder(), Modifiers()
    options: dict[str, Any] = {"instance_id": "i", "env": 4, "defaults": {"retries": {"limit": 7, "delay": 1}}}
    assert run_virtually(Flow, 3, modifiers=mods, instruments=[recorder], **options) == (3, "i", 4, 7)
    mods.mock_step_result("a", 0)
    assert run_virtually(Flow, 3, modifiers=mods, **options) == (3, "i", 4, 0)
    assert recorder.events[0].instance_id == "i"


async def test_where_trio_is_running_already_it_says_what_to_do() -> None:
    with pytest.raises(ConfigError, match="you are in Trio here: await run_workflow"):
        run_virtually(lambda event, step: None)
