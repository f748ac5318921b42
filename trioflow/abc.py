"""The sockets: what can be plugged into a run.

* `Instrument` is told what happens, in frozen facts.
* `Executor` runs plain functions elsewhere: `trioflow.executors` has threads.

Facts bear the names under which Cloudflare's engine publishes its events, and are told in the order in which things
happen. `step_cancelled` and `step_reused` are ours, since there a step can't be cancelled; so are `sleep_cancelled` and
`wait_cancelled`, without which whoever shows what is going on would show a sleep that has been left for ever.
"""

from __future__ import annotations

import abc
from collections.abc import Callable
from datetime import datetime
from typing import Any, Literal, TypeVar, final

import attrs

from ._policy import StepConfig
from ._views import ReceivedEvent

_T = TypeVar("_T")

#: Which step of a run: (name, occurrence) of the step in whose body it is declared, if it is in one, and so on inwards;
#: its own comes last. An occurrence counts the steps of that name where it is declared, in order, from 1. Sleeps and
#: waits have paths of the same form, and are counted apart from steps and from each other.
Path = tuple[tuple[str, int], ...]


@attrs.frozen(kw_only=True)
class Fact:
    """What every fact says."""

    #: The run: `event.instanceId` of the workflow.
    instance_id: str
    #: When, in seconds of the run's Trio clock (`trio.current_time()`).
    time: float


@final
@attrs.frozen(kw_only=True)
class WorkflowStarted(Fact):
    """The workflow's function is about to be called."""

    #: Name of its class or function.
    workflow: str
    #: `event.payload`: the object itself.
    params: object
    #: The same moment by the wall clock: aware, in UTC.
    timestamp: datetime


@final
@attrs.frozen(kw_only=True)
class WorkflowCompleted(Fact):
    """The workflow's function has returned, and every body has stopped."""

    #: What it returned: the object itself.
    output: object


@final
@attrs.frozen(kw_only=True)
class WorkflowErrored(Fact):
    """The run has failed, and every body has stopped."""

    #: What it raises: the object itself.
    error: Exception


@final
@attrs.frozen(kw_only=True)
class WorkflowTerminated(Fact):
    """The run was ended without an outcome, by a cancellation or a KeyboardInterrupt, and every body has stopped."""

    #: By what, in words.
    reason: str


@attrs.frozen(kw_only=True)
class StepFact(Fact):
    """What every fact about a step, a sleep or a wait says."""

    #: Its name.
    step: str
    #: Which of those of that name it is, in the order of their declarations where it is declared, from 1.
    occurrence: int
    #: Which of the run it is; its own name and occurrence come last.
    path: Path


@final
@attrs.frozen(kw_only=True)
class StepStarted(StepFact):
    """All dependencies have succeeded, and the body is about to begin."""

    #: The steps that it depends on, in order.
    depends: tuple[Path, ...]
    #: Whether those were resolved at the same time; if not, each was begun when the one before had settled.
    concurrent: bool
    #: What the code that asked for it, or for a step that needs it, had awaited just before: that is a reason, too, for not
    #: having started earlier. None if nothing.
    after: Path | None
    #: How it is run.
    config: StepConfig


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


@final
@attrs.frozen(kw_only=True)
class StepReused(StepFact):
    """A body that is run again has come to what it had done before: the outcome is kept, nothing is run."""

    #: What it is.
    kind: Literal["step", "sleep", "wait"] = "step"
    #: The step's output, the event that a wait got, None for a sleep.
    output: object


@final
@attrs.frozen(kw_only=True)
class AttemptStarted(StepFact):
    """The body is about to be called."""

    #: Which try it is, from 1.
    attempt: int


@final
@attrs.frozen(kw_only=True)
class AttemptCompleted(StepFact):
    """The body has returned."""

    attempt: int


@final
@attrs.frozen(kw_only=True)
class AttemptErrored(StepFact):
    """The body has raised, or has been stopped by its timeout."""

    attempt: int
    #: What it raised, or the WorkflowTimeoutError.
    error: BaseException
    #: Seconds until the next attempt; None if this was the last.
    retry_in: float | None


@final
@attrs.frozen(kw_only=True)
class SleepStarted(StepFact):
    """A `step.sleep` or `step.sleep_until` begins."""

    #: How long it will take.
    seconds: float


@final
@attrs.frozen(kw_only=True)
class SleepCompleted(StepFact):
    """It is over."""


@final
@attrs.frozen(kw_only=True)
class SleepCancelled(StepFact):
    """Who slept was cancelled."""


@final
@attrs.frozen(kw_only=True)
class WaitStarted(StepFact):
    """A `step.wait_for_event` begins."""

    event_type: str
    #: How long it will wait at most, in seconds.
    timeout: float


@final
@attrs.frozen(kw_only=True)
class WaitCompleted(StepFact):
    """The event has come."""

    event: ReceivedEvent[Any]


@final
@attrs.frozen(kw_only=True)
class WaitTimedOut(StepFact):
    """It has not come in time."""


@final
@attrs.frozen(kw_only=True)
class WaitCancelled(StepFact):
    """Who waited was cancelled, or the run is over."""


class Instrument:
    """Base for whatever watches a run: override what you want to hear of.

    Pass it as `instruments=[...]`. Each method gets one frozen fact and must return without blocking. One that raises
    is logged and removed, as Trio does with its own; the run goes on. What nobody overrides costs nothing. Any object
    with some of these methods will do; the base class is there for type checkers and for reading.

    A run begins with `workflow_started` and ends with one of `workflow_completed`, `workflow_errored` and
    `workflow_terminated`. A body that was begun has one `step_started`, then one `attempt_started` for each call of the
    function, and ends with one of `step_completed`, `step_errored` and `step_cancelled`, unless a KeyboardInterrupt or its
    like has ended the run from within it. An attempt that is cancelled has no end of its own.
    """

    def workflow_started(self, fact: WorkflowStarted, /) -> None:
        """A run begins."""

    def workflow_completed(self, fact: WorkflowCompleted, /) -> None:
        """A run has an output."""

    def workflow_errored(self, fact: WorkflowErrored, /) -> None:
        """A run has failed."""

    def workflow_terminated(self, fact: WorkflowTerminated, /) -> None:
        """A run was cancelled."""

    def step_started(self, fact: StepStarted, /) -> None:
        """A body is about to begin."""

    def step_completed(self, fact: StepCompleted, /) -> None:
        """A body has returned."""

    def step_errored(self, fact: StepErrored, /) -> None:
        """A body has raised, for good."""

    def step_cancelled(self, fact: StepCancelled, /) -> None:
        """A body was stopped before it had an outcome."""

    def step_reused(self, fact: StepReused, /) -> None:
        """What was done in an earlier attempt is not done again."""

    def attempt_started(self, fact: AttemptStarted, /) -> None:
        """A body is about to be called, the first time or again."""

    def attempt_completed(self, fact: AttemptCompleted, /) -> None:
        """A call of a body has returned."""

    def attempt_errored(self, fact: AttemptErrored, /) -> None:
        """A call of a body has failed."""

    def sleep_started(self, fact: SleepStarted, /) -> None:
        """A sleep begins."""

    def sleep_completed(self, fact: SleepCompleted, /) -> None:
        """A sleep is over."""

    def sleep_cancelled(self, fact: SleepCancelled, /) -> None:
        """A sleep was broken off."""

    def wait_started(self, fact: WaitStarted, /) -> None:
        """A wait for an event begins."""

    def wait_completed(self, fact: WaitCompleted, /) -> None:
        """A wait has got its event."""

    def wait_timed_out(self, fact: WaitTimedOut, /) -> None:
        """A wait has got none in time."""

    def wait_cancelled(self, fact: WaitCancelled, /) -> None:
        """A wait was broken off."""


class Executor(abc.ABC):
    """Runs plain functions somewhere else: in threads, in other processes, on other machines.

    `step.do(..., executor=...)` takes any object that has this method, a subclass or not: the modules `trio.to_thread`
    and `trio_parallel` do.
    """

    @abc.abstractmethod
    async def run_sync(self, fn: Callable[..., _T], /, *args: Any) -> _T:
        """Call `fn(*args)` there, and return what it returns or raise what it raises. A checkpoint.

        When the caller is cancelled, stop the call if that can be done, else wait for it. Its outcome then counts more
        than the cancellation. What a body receives by keyword is in `fn` already, as a `functools.partial`.
        """
