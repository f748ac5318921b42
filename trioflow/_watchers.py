"""Who is told what happens in a run: its instruments, each only what it asked for."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Iterable
from datetime import datetime
from typing import Any
from weakref import WeakKeyDictionary

import attrs
import trio
from trio.lowlevel import Task

from . import abc
from ._errors import ConfigError
from ._policy import DEFAULT
from ._step import Step
from ._waits import Pause
from .abc import Instrument

logger = logging.getLogger("trioflow")

#: What instruments can be told, by the method that is called, with the fact that it is given.
FACTS: dict[str, type[abc.Fact]] = {
    "workflow_started": abc.WorkflowStarted,
    "workflow_completed": abc.WorkflowCompleted,
    "workflow_errored": abc.WorkflowErrored,
    "workflow_terminated": abc.WorkflowTerminated,
    "step_started": abc.StepStarted,
    "step_completed": abc.StepCompleted,
    "step_errored": abc.StepErrored,
    "step_cancelled": abc.StepCancelled,
    "step_reused": abc.StepReused,
    "attempt_started": abc.AttemptStarted,
    "attempt_completed": abc.AttemptCompleted,
    "attempt_errored": abc.AttemptErrored,
    "sleep_started": abc.SleepStarted,
    "sleep_completed": abc.SleepCompleted,
    "sleep_cancelled": abc.SleepCancelled,
    "wait_started": abc.WaitStarted,
    "wait_completed": abc.WaitCompleted,
    "wait_timed_out": abc.WaitTimedOut,
    "wait_cancelled": abc.WaitCancelled,
}


def about(path: abc.Path) -> dict[str, Any]:
    """Which step, sleep or wait a fact is about."""
    name, occurrence = path[-1]
    return {"step": name, "occurrence": occurrence, "path": path}


def checked_instruments(instruments: Iterable[object]) -> list[object]:
    """The instruments as a list. Raises ConfigError for what could never be told anything, or would not hear it."""
    if not isinstance(instruments, Iterable):
        raise ConfigError(f"instruments takes a list: write instruments=[{instruments!r}]")
    watching = list(instruments)
    for instrument in watching:
        if isinstance(instrument, type):
            raise ConfigError(f"instrument {instrument.__name__} is a class: pass an object, {instrument.__name__}()")
        if not any(callable(getattr(instrument, name, None)) for name in FACTS):
            raise ConfigError(f"{instrument!r} is no instrument: it has none of the methods {', '.join(FACTS)}")
        for name in FACTS:
            if inspect.iscoroutinefunction(getattr(instrument, name, None)):
                raise ConfigError(
                    f"{name} of {instrument!r} is async, but an instrument must not block: make it a plain def"
                )
    return watching


@attrs.define(eq=False, repr=False)
class Watchers:
    """Asked once which facts each instrument wants. One that raises is logged and hears no more, as with Trio's own.

    Facts are made only if somebody wants them.
    """

    instance_id: str
    instruments: list[Any]
    _hooks: dict[str, list[Any]] = attrs.field(init=False)
    #: The attempt that each body is at, or was when it was cancelled.
    _attempts: dict[Step[Any], int] = attrs.field(factory=dict, init=False)
    #: What the code of each body or task has awaited last.
    latest: WeakKeyDictionary[Task | Step[Any], Step[Any]] = attrs.field(factory=WeakKeyDictionary, init=False)
    #: What every fact about a step says. To count namesakes for each of its facts would cost more than the rest.
    _abouts: dict[Step[Any], dict[str, Any]] = attrs.field(factory=dict, init=False)

    def __attrs_post_init__(self) -> None:
        self._hooks = {name: [i for i in self.instruments if _overrides(i, name)] for name in FACTS}

    @classmethod
    def of(cls, instance_id: str, instruments: list[Any]) -> Watchers | None:
        """None if nobody wants to hear anything: then nothing is told, and nothing is paid for."""
        watchers = cls(instance_id, instruments)
        return watchers if any(watchers._hooks.values()) else None

    # ----------------------------------------------------------------------------------------------------- the run

    def run_started(self, workflow: str, params: object, timestamp: datetime) -> None:
        self._tell("workflow_started", {}, workflow=workflow, params=params, timestamp=timestamp)

    def run_ended(self, error: BaseException | None, output: object) -> None:
        if error is None:
            self._tell("workflow_completed", {}, output=output)
        elif isinstance(error, Exception):
            self._tell("workflow_errored", {}, error=error)
        else:
            self._tell("workflow_terminated", {}, reason=_why(error))

    # -------------------------------------------------------------------------------------------------------- steps

    def started(self, step: Step[Any]) -> None:
        if not self._hooks["step_started"]:
            return
        deps, after = step.dependencies, step.asker.after
        self._tell(
            "step_started",
            self._about(step),
            depends=tuple([self._about(d)["path"] for d in deps]),
            concurrent=step.together and len(deps) > 1,
            after=None if after is None else self._about(after)["path"],
            config=step.config or DEFAULT,
        )

    def attempt_started(self, step: Step[Any], attempt: int) -> None:
        self._attempts[step] = attempt
        self._tell("attempt_started", self._about(step), attempt=attempt)

    def retried(self, step: Step[Any], error: Exception, delay: float) -> None:
        """The attempt has failed, and there will be another one in so many seconds."""
        attempt = self._attempts.pop(step)
        self._tell("attempt_errored", self._about(step), attempt=attempt, error=error, retry_in=delay)

    def completed(self, step: Step[Any], output: object) -> None:
        self._tell("attempt_completed", self._about(step), attempt=self._attempts.pop(step))
        self._tell("step_completed", self._about(step), output=output)

    def errored(self, step: Step[Any], error: BaseException) -> None:
        attempt = self._attempts.pop(step, None)
        if attempt is not None:
            self._tell("attempt_errored", self._about(step), attempt=attempt, error=error, retry_in=None)
        self._tell("step_errored", self._about(step), error=error)

    def cancelled(self, step: Step[Any], reason: str) -> None:
        self._tell("step_cancelled", self._about(step), reason=reason)

    def reused(self, step: Step[Any]) -> None:
        self._tell("step_reused", self._about(step), output=step.value)

    # ---------------------------------------------------------------------------------------------- sleeps and waits

    def pause(self, what: str, pause: Pause, **says: object) -> None:
        """A sleep or a wait has "started", say."""
        self._tell(f"{pause.kind}_{what}", about(pause.path), **says)

    def pause_reused(self, pause: Pause, output: object) -> None:
        self._tell("step_reused", about(pause.path), kind=pause.kind, output=output)

    # -------------------------------------------------------------------------------------------------------- telling

    def _about(self, step: Step[Any]) -> dict[str, Any]:
        found = self._abouts.get(step)
        if found is None:
            found = self._abouts[step] = about(step.path)
        return found

    def _tell(self, name: str, about: dict[str, Any], **says: Any) -> None:
        if not self._hooks[name]:
            return
        fact = FACTS[name](instance_id=self.instance_id, time=trio.current_time(), **about, **says)
        for instrument in list(self._hooks[name]):
            try:
                getattr(instrument, name)(fact)
            except Exception:
                logger.exception("instrument %r raised in %s and is told no more", instrument, name)
                for hooks in self._hooks.values():
                    hooks[:] = [i for i in hooks if i is not instrument]


def _why(error: BaseException) -> str:
    """What has ended a run that has no outcome, in words."""
    if isinstance(error, BaseExceptionGroup):
        return ", ".join(dict.fromkeys(_why(member) for member in error.exceptions))
    if not isinstance(error, trio.Cancelled):
        return type(error).__name__
    if error.source == "deadline":
        return "a deadline has passed"
    return "the host cancelled the run" + (f": {error.reason}" if error.reason else "")


def _overrides(instrument: object, name: str) -> bool:
    method = getattr(type(instrument), name, None) or getattr(instrument, name, None)
    return method is not None and method is not getattr(Instrument, name)
