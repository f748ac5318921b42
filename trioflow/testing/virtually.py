"""Run a workflow to its end in virtual time: a year of sleeping takes no time at all, and the same time each time."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import trio
from trio.testing import MockClock

from .. import run_workflow
from .._errors import ConfigError
from .._policy import StepConfig, StepConfigDict
from ..abc import Instrument
from .modifiers import Modifiers


def run_virtually(
    workflow: type[Any] | Callable[[Any, Any], Any],
    params: object = None,
    *,
    modifiers: Modifiers | None = None,
    instance_id: str | None = None,
    env: object = None,
    defaults: StepConfig | StepConfigDict | None = None,
    instruments: Iterable[Instrument] = (),
) -> Any:
    """Run a workflow in a Trio of its own, with a clock that jumps to when something happens; return its output.

    A plain function, for plain tests: of a property, say, where each example needs a clock of its own. In an async test
    `await run_workflow(...)` under a `MockClock`, which is what pytest-trio's fixture `autojump_clock` is.

    >>> async def nag(event, step):
    ...     await step.sleep("for a while", "30 days")
    ...     return f"{event.payload}!"
    >>> run_virtually(nag, "pay")
    'pay!'

    Under Hypothesis, which draws Trio's lots, tasks that could go on at the same time do so in the same order in each example;
    `explore` is for other orders. Virtual time doesn't wait for threads: what a body does in one takes no time, or as much
    as you like, by the clock that its timeout goes by.

    Args:
        workflow: A class with `run(self, event, step)`, or a function; and for the rest see `run_workflow`.
        params: As there.
        modifiers: What is changed in it.
        instance_id: As there.
        env: As there.
        defaults: As there.
        instruments: As there.

    Raises:
        Exception: what the workflow raises.
        ConfigError: Trio is running here already, so that no other can.
    """
    if trio.lowlevel.in_trio_run():
        raise ConfigError("you are in Trio here: await run_workflow(...) under a MockClock, as autojump_clock is one")
    if modifiers is not None:
        workflow = modifiers.apply(workflow)
    run = partial(
        run_workflow, workflow, params, instance_id=instance_id, env=env, defaults=defaults, instruments=instruments
    )
    return trio.run(run, clock=MockClock(autojump_threshold=0))
