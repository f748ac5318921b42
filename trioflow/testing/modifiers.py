"""What a test changes in a workflow: results that are mocked, sleeps that are skipped, failures that come on cue.

The words are those of Cloudflare's testing API, as far as it has some. Unlike there, 0, "", False and None are results like
any other, several tasks may wait for one step, and what a test asks for and never comes is reported.

What is changed is changed for a workflow's doubles (`doubles`), never for the runtime.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeAlias, TypeVar, final

import attrs

from .._errors import ConfigError, WorkflowTimeoutError, note
from .._mailbox import checked_type
from .._run import Run
from .._step import Step
from .._time import Duration, seconds_of, shown
from ..abc import Instrument
from .cues import Book, Cue, Kind, Outcome, Reading, When
from .doubles import double_of
from .lookout import Ended, Lookout, Reached
from .selecting import Selection, Selector, selection

W = TypeVar("W", bound="type[Any] | Callable[[Any, Any], Any]")

#: An exception, or what makes one when it is called: a class, or a function without parameters.
Error: TypeAlias = Exception | Callable[[], Exception]


_EVERYTHING = Selection((), anywhere=True)


@final
@attrs.define(eq=False, repr=False)
class Modifiers:
    """What a test changes in the runs of a workflow. `apply` gives the workflow that is run.

    >>> import trio
    >>> from trio.testing import MockClock
    >>> from trioflow import run_workflow
    >>> async def report(event, step):
    ...     @step.do("fetch", config={"retries": {"limit": 2, "delay": "10 seconds"}})
    ...     async def fetch():
    ...         raise OSError("no network in tests")
    ...
    ...     await step.sleep("until tomorrow", "1 day")
    ...     return len(await fetch())
    >>> mods = Modifiers()
    >>> mods.mock_step_error("fetch", OSError("down"), times=2)
    >>> mods.mock_step_result("fetch", ["ann", "bob"])
    >>> mods.disable_sleeps()
    >>> async def main():
    ...     return await run_workflow(mods.apply(report)), trio.current_time()
    >>> trio.run(main, clock=MockClock(autojump_threshold=0))
    (2, 30.0)

    It holds for each run of what `apply` gives, from its beginning: a run that is made again goes through it again. What
    is asked for while a run goes on counts for it, too, from then on.

    Args:
        strict: A run that has returned although something that was asked for has never come fails with a ConfigError
            that names it, since mostly a name is misspelt; a run that fails has it as a note. With False nothing is said,
            and `unused` can be asked.
    """

    _strict: bool = attrs.field(default=True, kw_only=True)
    _book: Book = attrs.field(factory=Book, init=False)
    _lookout: Lookout = attrs.field(factory=Lookout, init=False)
    #: The latest run as it has gone through the book.
    _reading: Reading = attrs.field(init=False)
    _declared: Callable[[], list[str]] = attrs.field(default=list, init=False)

    def __attrs_post_init__(self) -> None:
        self._reading = Reading(self._book)

    def apply(self, workflow: W) -> W:
        """The workflow that is run instead: `run_workflow`, `open_run` and whatever else takes a workflow take it.

        The real one is called, and declares real steps. Instances of a class are instances of the real class.

        Raises:
            DefinitionError: it is no workflow.
        """
        return double_of(workflow, _Director(self))

    @property
    def unused(self) -> list[str]:
        """What was asked for and has never come, in words."""
        return self._reading.unused(self._declared())

    def check(self) -> None:
        """Raise a ConfigError if something that was asked for has never come, in any run so far."""
        unused = self.unused
        if unused:
            raise _never_came(unused)

    # ------------------------------------------------------------------------------------------- in Cloudflare's terms

    def mock_step_result(self, step: Selector, value: object) -> None:
        """The step's body isn't run: its result is `value`, the object itself, whatever it is.

        The step is declared, and depends on what it depends on, as ever; instruments are told as if the body had run.

        Args:
            step: Which step: its name, or see `Selector`.
            value: What its body would have returned.

        Raises:
            ConfigError: something else is to happen at every attempt of that step.
        """
        self._mock(f"mock_step_result({step!r})", step, None, lambda step, call: value)

    def mock_step_error(self, step: Selector, error: Error, times: int | None = None) -> None:
        """The step's body isn't run: its attempts fail with `error`, and are tried again as its policy says.

        Mocks of one step are gone through in order: two errors, then a timeout, then a result, say. What comes after the
        last one is the real body.

        Args:
            step: Which step: its name, or see `Selector`.
            error: The exception, which is the object that is raised, or what makes one for each time: a class, a function.
            times: How many attempts, 0 or more; None: all.

        Raises:
            ConfigError: something else is to happen at every attempt of that step; `error` or `times` can't be used.
        """
        self._mock(f"mock_step_error({step!r})", step, times, _raising(error))

    def force_step_timeout(self, step: Selector, times: int | None = None) -> None:
        """Attempts of the step exceed their timeout at once, without the body being run.

        Args:
            step: Which step: its name, or see `Selector`.
            times: How many attempts, 0 or more; None: all.

        Raises:
            ConfigError: something else is to happen at every attempt of that step; `times` can't be used.
        """
        self._mock(f"force_step_timeout({step!r})", step, times, _timing_out)

    def disable_sleeps(self, *sleeps: Selector) -> None:
        """`step.sleep` and `step.sleep_until` return at once. Delays before retries, and timeouts, remain.

        Args:
            sleeps: Which of them; none means all.
        """
        self._disable("disable_sleeps", "sleep", sleeps)

    def disable_retry_delays(self, *steps: Selector) -> None:
        """Retries follow at once.

        It counts for steps that are declared from now on. In their `ctx.config` there is no `delay` then.

        Args:
            steps: Those of which steps; none means all.
        """
        self._disable("disable_retry_delays", "delay", steps)

    def mock_event(self, type: str, payload: object = None) -> None:
        """Each run has this event from its beginning: the `step.wait_for_event` whose turn it is gets it.

        Several of one type come in the order of these calls, and before those that are sent to the run once it has begun.

        Raises:
            ConfigError: the type is no text of at most 100 characters.
        """
        self._book.events.append((checked_type(type), payload))

    def force_event_timeout(self, wait: Selector) -> None:
        """The wait times out at once, even if there is an event for it, which the next wait gets then."""
        self._add(Cue(f"force_event_timeout({wait!r})", "wait", selection(wait)))

    # ------------------------------------------------------------------------------------------------- faults on cue

    def fail(self, step: Selector, error: Error, *, attempt: int = 1, after: bool = False) -> None:
        """One attempt of a step fails.

        Args:
            step: Which step: its name, or see `Selector`.
            error: The exception, or what makes one: a class, a function.
            attempt: Which time that the body is called in the run, from 1: the attempt's number, which goes on where a
                step is begun afresh.
            after: The body runs, and its result is lost. If the body itself fails, that counts. By default it isn't run.

        Raises:
            ConfigError: `error` or `attempt` can't be used.
        """
        self._fault(f"fail({step!r}, attempt={attempt})", step, attempt, after, outcome=_raising(error))

    def time_out(self, step: Selector, *, attempt: int = 1, after: bool = False) -> None:
        """One attempt of a step exceeds its timeout: at once, or just before it would have returned.

        Args:
            step: Which step: its name, or see `Selector`.
            attempt: As for `fail`.
            after: The body runs, and its result is lost.
        """
        self._fault(f"time_out({step!r}, attempt={attempt})", step, attempt, after, outcome=_timing_out)

    def delay(self, step: Selector, duration: Duration, *, attempt: int | None = None, after: bool = False) -> None:
        """Attempts of a step take longer, within its timeout if it has one. A plain function waits without blocking.

        Args:
            step: Which step: its name, or see `Selector`.
            duration: By how much, in Trio's time, as for `step.sleep`: "10 seconds", a `timedelta`, or milliseconds.
            attempt: Which attempt, as for `fail`; None: each.
            after: After the body and not before it.
        """
        said = f"delay({step!r}{'' if attempt is None else f', attempt={attempt}'})"
        seconds = seconds_of(duration, what="the duration of a delay")
        self._fault(said, step, attempt, after, seconds=seconds)

    def lose_event(self, type: str, *, number: int = 1) -> None:
        """An event that is sent to the run never comes.

        Args:
            type: The event's type.
            number: Which event of that type, in the order in which they are sent, from 1.
        """
        self._event_fault("lose_event", type, number, copies=0)

    def delay_event(self, type: str, duration: Duration, *, number: int = 1) -> None:
        """An event comes later than it is sent, so that others may overtake it. Its timestamp is that of sending.

        Args:
            type: The event's type.
            duration: By how much, as for `step.sleep`.
            number: Which event of that type, from 1.
        """
        seconds = seconds_of(duration, what="the duration of a delay")
        self._event_fault("delay_event", type, number, seconds=seconds)

    def duplicate_event(self, type: str, *, number: int = 1) -> None:
        """An event comes twice.

        Args:
            type: The event's type.
            number: Which event of that type, from 1.
        """
        self._event_fault("duplicate_event", type, number, copies=2)

    # ------------------------------------------------------------------------------------------------------- waiting

    async def result_of(self, step: Selector, *, instance_id: str | None = None) -> Any:
        """Wait for a step's outcome and return its result, without running the step. A checkpoint.

        Any number of tasks may wait. A wait's result is its event, a sleep's None.

        Args:
            step: Which step, sleep or wait: its name, or see `Selector`. Of several, the one that began first.
            instance_id: In which run; None: the latest, or the first to come. Until it begins it is waited for.

        Raises:
            Exception: what the step has failed with, that very object.
            RunClosedError: the run has ended without an outcome of such a step.
        """
        which = selection(step)
        return await self._lookout.outcome(which, await self._lookout.record(instance_id))

    async def reached(self, step: Selector, status: Reached, *, instance_id: str | None = None) -> None:
        """Wait until a step, a sleep or a wait is, or has been, "running", "succeeded", "failed" or "cancelled". A checkpoint.

        Args:
            step: As for `result_of`.
            status: As in `Step.status`.
            instance_id: As for `result_of`.

        Raises:
            RunClosedError: that can't come any more: it has another outcome, or the run has ended.
            ConfigError: there is no such status.
        """
        which = selection(step)
        await self._lookout.reached(which, status, await self._lookout.record(instance_id))

    async def ended(self, status: Ended | None = None, *, instance_id: str | None = None) -> Ended:
        """Wait for the end of a run and return how it has ended: "complete", "errored" or "terminated". A checkpoint.

        Args:
            status: How it has to end; None: in any way.
            instance_id: As for `result_of`.

        Raises:
            RunClosedError: it has ended in another way.
            ConfigError: there is no such end.
        """
        return await self._lookout.ended(status, await self._lookout.record(instance_id))

    # ------------------------------------------------------------------------------------------------------- the book

    def _add(self, cue: Cue) -> None:
        self._book.cues.append(cue)

    def _mock(self, said: str, step: Selector, times: int | None, outcome: Outcome) -> None:
        which = selection(step)
        first = self._book.next_mock(which, said)
        last = math.inf if times is None else first + _counted("times", times, least=0) - 1
        if times != 0:
            self._add(Cue(said, "step", which, first, last, "instead", outcome))

    def _disable(self, said: str, kind: Kind, selectors: tuple[Selector, ...]) -> None:
        for selector in selectors:
            self._add(Cue(f"{said}({selector!r})", kind, selection(selector)))
        if not selectors:
            self._add(Cue(f"{said}()", kind, _EVERYTHING, may_be_idle=True))

    def _fault(self, said: str, step: Selector, attempt: int | None, after: bool, **what: Any) -> None:
        first, last = (1, math.inf) if attempt is None else (_counted("attempt", attempt),) * 2
        when: When = "after" if after else "before"
        self._add(Cue(said, "step", selection(step), first, last, when, **what))

    def _event_fault(self, said: str, event_type: str, number: int, **what: Any) -> None:
        which = Selection(((checked_type(event_type), 1),), anywhere=True)
        first = _counted("number", number)
        self._add(Cue(f"{said}({event_type!r}, number={number})", "event", which, first, first, **what))

    def __repr__(self) -> str:
        return f"<Modifiers: {', '.join(cue.said for cue in self._book.cues) or 'none'}>"


@final
@attrs.frozen(eq=False)
class _Director:
    """What doubles are told by modifiers, and tell them."""

    _mods: Modifiers

    @property
    def changes_delays(self) -> bool:
        return any(cue.kind == "delay" for cue in self._mods._book.cues)

    @property
    def instrument(self) -> Instrument:
        return self._mods._lookout

    def comes(self) -> None:
        self._mods._lookout.comes()

    def begins(self, run: Run) -> Reading:
        mods = self._mods
        mods._reading = reading = Reading(mods._book)
        mods._declared = lambda: [step.name for step in run.steps]
        mods._lookout.begins(run.instance_id)
        return reading

    def returned(self, run: Run, reading: Reading) -> None:
        unused = reading.unused([step.name for step in run.steps])
        if unused and self._mods._strict:
            raise _never_came(unused)

    def raised(self, run: Run, reading: Reading, error: Exception) -> None:
        unused = reading.unused([step.name for step in run.steps])
        if unused and self._mods._strict:
            note(error, str(_never_came(unused)))


def _never_came(unused: list[str]) -> ConfigError:
    return ConfigError(f"the run went without what was asked for: {'; '.join(unused)}")


def _raising(error: Error) -> Outcome:
    if not isinstance(error, Exception) and (
        not callable(error) or (isinstance(error, type) and not issubclass(error, Exception))
    ):
        raise ConfigError(
            f"a step can't fail with {error!r}: give an Exception, its class, or a function that makes one"
        )

    def outcome(step: Step[Any], call: int) -> object:
        raised = error if isinstance(error, Exception) else error()
        if not isinstance(raised, Exception):
            raise ConfigError(f"step {step.name!r} was to fail with what {error!r} makes, but that is {raised!r}")
        raise raised.with_traceback(None)

    return outcome


def _timing_out(step: Step[Any], call: int) -> object:
    seconds = None if step.config is None else step.config.timeout_seconds
    said = "was made to time out, though it has no timeout"
    if seconds is not None:
        said = f"took longer than its timeout of {shown(seconds)}"
    raise WorkflowTimeoutError(
        f"step {step.name!r} ({step.place}): attempt {call} {said}", step=step.name, seconds=seconds
    )


def _counted(what: str, number: object, *, least: int = 1) -> int:
    if not isinstance(number, int) or isinstance(number, bool) or number < least:
        raise ConfigError(f"{what} can't be {number!r}: it is a whole number, {least} or more")
    return number
