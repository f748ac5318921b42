"""Waiting for what a run does: a step's result, something that has begun, the run's end.

It listens as an instrument and wakes whoever waits, all of them, as often as something happens. Nobody waits for ever: when
the run has ended, or what is waited for has come to another end, whoever still waits is told why it won't come.
"""

from __future__ import annotations

from typing import Any, Literal, TypeAlias, cast, final, get_args

import attrs
import trio
from trio.lowlevel import checkpoint

from .. import abc
from .._errors import ConfigError, RunClosedError, WorkflowTimeoutError, shown
from .._kernel import Failure, restore
from .cues import Kind
from .selecting import Selection, hint

#: What may be waited for, of a step, a sleep or a wait, in the words of `Step.status`.
Reached: TypeAlias = Literal["running", "succeeded", "failed", "cancelled"]
#: How a run may end, in Cloudflare's words.
Ended: TypeAlias = Literal["complete", "errored", "terminated"]

_REACHED: dict[type[abc.Fact], tuple[Kind, Reached]] = {
    abc.StepStarted: ("step", "running"),
    abc.StepCompleted: ("step", "succeeded"),
    abc.StepErrored: ("step", "failed"),
    abc.StepCancelled: ("step", "cancelled"),
    abc.SleepStarted: ("sleep", "running"),
    abc.SleepCompleted: ("sleep", "succeeded"),
    abc.SleepCancelled: ("sleep", "cancelled"),
    abc.WaitStarted: ("wait", "running"),
    abc.WaitCompleted: ("wait", "succeeded"),
    abc.WaitTimedOut: ("wait", "failed"),
    abc.WaitCancelled: ("wait", "cancelled"),
}
_ENDED: dict[type[abc.Fact], Ended] = {
    abc.WorkflowCompleted: "complete",
    abc.WorkflowErrored: "errored",
    abc.WorkflowTerminated: "terminated",
}


@attrs.define(eq=False)
class Life:
    """What has become of one step, sleep or wait."""

    reached: set[Reached] = attrs.field(factory=set)
    #: The fact that says its outcome.
    outcome: abc.StepFact | None = None
    #: How it failed, as it was then: it is raised again for each who waits.
    failure: Failure | None = None


@attrs.define(eq=False)
class Record:
    """What has become of one run."""

    instance_id: str
    #: In the order in which they began.
    lives: dict[tuple[Kind, abc.Path], Life] = attrs.field(factory=dict)
    end: abc.Fact | None = None

    def first(self, which: Selection) -> Life | None:
        """Of what is meant, that which began first."""
        return next((life for (_, path), life in self.lives.items() if which.matches(path)), None)

    def keep(self, fact: abc.Fact) -> None:
        if type(fact) in _ENDED:
            self.end = fact
        elif isinstance(fact, abc.StepReused):
            self._live(fact.kind, fact, "succeeded")
        else:
            kind, reached = _REACHED[type(fact)]
            self._live(kind, cast(abc.StepFact, fact), reached)

    def _live(self, kind: Kind, fact: abc.StepFact, reached: Reached) -> None:
        life = self.lives.setdefault((kind, fact.path), Life())
        life.reached.add(reached)
        if reached in ("succeeded", "failed"):
            life.outcome = fact
        if isinstance(fact, abc.StepErrored):
            error = cast(Exception, fact.error)
            life.failure = Failure.of(error, error.__traceback__, None, 0, "")


@final
@attrs.define(eq=False, repr=False)
class Lookout(abc.Instrument):
    """Hears what happens, and lets people wait for it."""

    _records: dict[str, Record] = attrs.field(factory=dict, init=False)
    _latest: str | None = attrs.field(default=None, init=False)
    _news: trio.Event | None = attrs.field(default=None, init=False)

    def comes(self) -> None:
        """Somebody is about to begin a run: who doesn't say which from now on means that one."""
        self._latest = None

    def begins(self, instance_id: str) -> None:
        """A run begins."""
        self._records[instance_id] = Record(instance_id)
        self._latest = instance_id
        self._wake()

    def _hear(self, fact: Any, /) -> None:
        self._records[fact.instance_id].keep(fact)
        self._wake()

    workflow_completed = workflow_errored = workflow_terminated = _hear
    step_started = step_completed = step_errored = step_cancelled = step_reused = _hear
    sleep_started = sleep_completed = sleep_cancelled = _hear
    wait_started = wait_completed = wait_timed_out = wait_cancelled = _hear

    def _wake(self) -> None:
        if self._news is not None:
            self._news.set()
            self._news = None

    async def _next(self) -> None:
        if self._news is None:
            self._news = trio.Event()
        await self._news.wait()

    async def record(self, instance_id: str | None) -> Record:
        """The run that is meant, as soon as it has begun: the latest, if nobody says which. A checkpoint."""
        await checkpoint()
        while True:
            record = self._records.get(cast(str, self._latest if instance_id is None else instance_id))
            if record is not None:
                return record
            await self._next()

    async def reached(self, which: Selection, wanted: Reached, record: Record) -> Life:
        """Return as soon as what is meant has got there."""
        if wanted not in get_args(Reached):
            raise ConfigError(f"{wanted!r} can't be reached: {hint(str(wanted), get_args(Reached))}")
        while True:
            life = record.first(which)
            if life is not None and wanted in life.reached:
                return life
            if life is not None and life.outcome is not None:
                raise _never(which, f"become {wanted!r}: it has {_outcome(life)}")
            if record.end is not None:
                raise _never(which, f"become {wanted!r}: {_why_not(life, record)}")
            await self._next()

    async def outcome(self, which: Selection, record: Record) -> object:
        """Return the outcome of what is meant, or raise it, as soon as there is one."""
        while True:
            life = record.first(which)
            if life is not None and life.outcome is not None:
                return _returned_or_raised(life, life.outcome)
            if record.end is not None:
                raise _never(which, f"have a result: {_why_not(life, record)}")
            await self._next()

    async def ended(self, wanted: Ended | None, record: Record) -> Ended:
        """Return how a run has ended, as soon as it has."""
        if wanted is not None and wanted not in get_args(Ended):
            raise ConfigError(f"a run can't end {wanted!r}: {hint(str(wanted), get_args(Ended))}")
        while record.end is None:
            await self._next()
        ended = _ENDED[type(record.end)]
        if wanted not in (None, ended):
            raise RunClosedError(f"run {record.instance_id!r} will never be {wanted!r}: {_end(record)}")
        return ended


def _returned_or_raised(life: Life, fact: abc.StepFact) -> object:
    failure = life.failure
    if failure is not None:
        error = failure.raised()
        try:
            raise error
        finally:
            restore(error, failure)
            del failure, error, life, fact  # no cycle through this frame, which the traceback holds
    if isinstance(fact, abc.WaitTimedOut):
        raise WorkflowTimeoutError(f"wait {fact.step!r}: no event came within its timeout", step=fact.step)
    if isinstance(fact, abc.StepCompleted | abc.StepReused):
        return fact.output
    return fact.event if isinstance(fact, abc.WaitCompleted) else None


def _never(which: Selection, what: str) -> RunClosedError:
    return RunClosedError(f"{which} will never {what}", step=which.parts[-1][0])


def _outcome(life: Life) -> str:
    if life.failure is not None and life.failure.error is not None:
        return f"failed with {shown(life.failure.error)}"
    return "succeeded" if "succeeded" in life.reached else "timed out"


def _why_not(life: Life | None, record: Record) -> str:
    if life is not None:
        return f"it was cancelled, and {_end(record)}"
    said = hint("", [path[-1][0] for _, path in record.lives])
    return f"it has not begun, and {_end(record)}{said and f' ({said})'}"


def _end(record: Record) -> str:
    end = record.end
    if isinstance(end, abc.WorkflowErrored):
        return f"run {record.instance_id!r} is over: it failed with {shown(end.error)}"
    if isinstance(end, abc.WorkflowTerminated):
        return f"run {record.instance_id!r} is over: {end.reason}"
    return f"run {record.instance_id!r} is over: it is complete"
