"""The sockets: what can be plugged into a run.

So far there is one, `Instrument`, with the facts that it is told.
"""

from __future__ import annotations

from typing import final

import attrs


@attrs.frozen(kw_only=True)
class StepFact:
    """What every fact about a step says."""

    #: The run: `event.instanceId` of the workflow that it belongs to.
    instance_id: str
    #: The step's name.
    step: str
    #: Which of the steps of that name it is, in the order of their declarations where it is declared, from 1.
    occurrence: int
    #: Which step of the run it is: (name, occurrence) of the step in whose body it is declared, if it is in one, and so
    #: on inwards; its own comes last.
    path: tuple[tuple[str, int], ...]
    #: When, in seconds of the run's Trio clock (`trio.current_time()`).
    time: float


@final
@attrs.frozen(kw_only=True)
class StepStarted(StepFact):
    """All dependencies have succeeded, and the body is about to begin."""


@final
@attrs.frozen(kw_only=True)
class StepCompleted(StepFact):
    """The body has returned."""

    #: What it returned: the object itself, not a copy.
    output: object


@final
@attrs.frozen(kw_only=True)
class StepErrored(StepFact):
    """The body has raised, and that is the step's outcome."""

    #: What it raised: the object itself, with its traceback.
    error: BaseException


@final
@attrs.frozen(kw_only=True)
class StepCancelled(StepFact):
    """The body was told to stop and has stopped, without an outcome. An await of the step would start it afresh."""

    #: Who or what stopped it, in words.
    reason: str


class Instrument:
    """Base for whatever watches a run: override what you want to hear of.

    Pass it as `instruments=[...]`. Each method gets one frozen fact and must return without blocking. One that raises
    is logged and removed, as Trio does with its own; the run goes on. What nobody overrides costs nothing. Any object
    with some of these methods will do; the base class is there for type checkers and for reading.
    """

    def step_started(self, fact: StepStarted, /) -> None:
        """A body is about to begin."""

    def step_completed(self, fact: StepCompleted, /) -> None:
        """A body has returned."""

    def step_errored(self, fact: StepErrored, /) -> None:
        """A body has raised."""

    def step_cancelled(self, fact: StepCancelled, /) -> None:
        """A body was stopped before it had an outcome."""
