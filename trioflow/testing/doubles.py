"""Doubles: what stands in for the `step` that a workflow gets, for the bodies it declares, and for its post.

The real thing runs, everywhere: steps are declared by the real `step.do`, called from the user's own line, retried by the
real policy, and told of to instruments. Doubles only ask, whenever a body is called, a retry is due, a sleep or a wait begins
or an event comes, what the book has for that (`cues`). So nothing in the runtime knows of tests, and a workflow that no cue
is for runs as it does without doubles, but for a frame in its tracebacks.

Hooks in the runtime were rejected: whoever embeds trioflow would pay for them, and could be hurt by them.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Coroutine
from datetime import datetime, timedelta
from typing import Any, Protocol, TypeVar, cast, final

import attrs
import trio
from trio.lowlevel import checkpoint, current_task, enable_ki_protection

from .._declare import StepDecorator, WorkflowStep
from .._errors import WorkflowTimeoutError
from .._mailbox import Mailbox
from .._policy import Retries, StepConfig
from .._run import Run, bodies_of
from .._signature import signature_of
from .._step import Step, call_async, call_either, call_sync
from .._time import Duration, SpelledDuration, seconds_of, shown
from .._views import ReceivedEvent, WorkflowEvent
from .._waits import Pause, Wait, paused
from .._watchers import Watchers
from .._workflow import Profile, _call, _function_of, _instance
from ..abc import Instrument
from .cues import Reading, Turn

W = TypeVar("W", bound="type[Any] | Callable[[Any, Any], Any]")


class Director(Protocol):
    """Who has the book, and wants to know what becomes of the play."""

    @property
    def changes_delays(self) -> bool: ...
    @property
    def instrument(self) -> Instrument: ...
    def comes(self) -> None: ...
    def begins(self, run: Run) -> Reading: ...
    def returned(self, run: Run, reading: Reading) -> None: ...
    def raised(self, run: Run, reading: Reading, error: Exception) -> None: ...


def double_of(workflow: W, director: Director) -> W:
    """A workflow that does the same, before doubles. As a class it makes instances of the real one.

    Raises:
        DefinitionError: it is no workflow.
    """
    base: Callable[[], Profile] = getattr(workflow, "__trioflow_profile__", Profile)

    def profile() -> Profile:
        return _Stage(base(), director)

    double: Any
    if inspect.isclass(workflow):

        def new(cls: type[Any], ctx: Any = None, env: Any = None) -> Any:
            return _instance(workflow, env)

        told = {name: getattr(workflow, name) for name in ("__module__", "__qualname__", "__doc__")}
        run = {"run": workflow.run} if hasattr(workflow, "run") else {}
        double = type(workflow.__name__, (), {**told, **run, "__new__": new})
    else:
        fn = _function_of(workflow, None, Profile())  # what is no workflow is refused here, and not when it is run

        def double(event: Any, step: Any) -> Any:
            return fn(event, step)

        functools.update_wrapper(double, fn)
        double.__name__ = getattr(workflow, "__name__", type(workflow).__name__)
    double.__trioflow_profile__ = profile
    return cast(W, double)


@final
class _Stage(Profile):
    """One run before doubles. How the workflow is called, and what it is given, its own profile says."""

    def __init__(self, base: Profile, director: Director) -> None:
        self._base = base
        self._director = director
        #: What begins, by the task that will call the workflow: somebody may use one profile for several runs at once.
        self._beginning: dict[trio.lowlevel.Task, tuple[Run, Reading]] = {}

    def env(self, env: object) -> object:
        return self._base.env(env)

    def function(self, fn: Callable[..., Any]) -> Callable[..., Any]:
        fn = self._base.function(fn)
        self._director.comes()

        @enable_ki_protection
        async def run(event: Any, step: Any) -> Any:
            __tracebackhide__ = True  # pytest's
            beginning = self._beginning.pop(current_task())
            try:
                output = await _call(fn, event, step)
            except Exception as exc:
                self._director.raised(*beginning, exc)
                raise
            self._director.returned(*beginning)
            return output

        return run

    def given(self, event: WorkflowEvent[Any], run: Run) -> tuple[Any, Any]:
        event, step = self._base.given(event, run)
        reading = self._director.begins(run)
        self._beginning[current_task()] = (run, reading)
        others = [] if run.watch is None else run.watch.instruments
        run.watch = Watchers.of(run.instance_id, [*others, self._director.instrument])
        post = PostDouble(run.mailbox, reading)
        run.mailbox = cast(Any, post)
        for event_type, payload in reading.book.events:
            post.put(event_type, ReceivedEvent(type=event_type, payload=payload, timestamp=run.clock.now()))
        post.put_early_ones()
        adapt = functools.partial(_adapted, self._director, run, reading)
        return event, _in_front_of_ours(step, adapt, reading)


def _in_front_of_ours(step: Any, adapt: Callable[..., Any], reading: Reading) -> Any:
    """Put a double between ours and whatever stands before it: the `step` of `trioflow.workers`, say, or another double."""
    if not isinstance(step, WorkflowStep):
        return attrs.evolve(step, step=_in_front_of_ours(step._step, adapt, reading))
    before = step._adapt

    def adapted(
        fn: Callable[..., Any], config: StepConfig | None, stoppable: bool
    ) -> tuple[Callable[..., Any], StepConfig | None]:
        if before is not None:
            fn, config = before(fn, config, stoppable)
        return cast("tuple[Callable[..., Any], StepConfig | None]", adapt(fn, config, stoppable))

    return StepDouble(attrs.evolve(step, adapt=adapted, between=step._between + 1), reading)


# ------------------------------------------------------------------------------------------------------------- the step


@final
@attrs.frozen(eq=False, repr=False)
class StepDouble:
    """Stands in for the `step` that a workflow gets."""

    _step: WorkflowStep
    _reading: Reading

    @property
    def do(self) -> Callable[..., StepDecorator]:
        """Ours itself, so that it is called from the user's own line, by which it knows a declaration."""
        return self._step.do

    @enable_ki_protection
    def sleep(self, name: str, duration: Duration) -> Wait[None]:
        return self._skipped(self._step.sleep(name, duration))

    @enable_ki_protection
    def sleep_until(self, name: str, when: datetime) -> Wait[None]:
        return self._skipped(self._step.sleep_until(name, when))

    def _skipped(self, wait: Wait[None]) -> Wait[None]:
        async def sleep(pause: Pause, real: Callable[[], Coroutine[Any, Any, None]]) -> None:
            self._reading.pauses["sleep", pause.path[-1][0]] = None
            if self._reading.skips("sleep", pause.path):
                await checkpoint()
            else:
                await real()

        return _played(wait, sleep)

    @enable_ki_protection
    def wait_for_event(self, name: str, event_type: str, timeout: Duration = "24 hours") -> Wait[ReceivedEvent[Any]]:
        async def wait(pause: Pause, real: Callable[[], Coroutine[Any, Any, Any]]) -> ReceivedEvent[Any]:
            self._reading.pauses["wait", name] = None
            if not self._reading.skips("wait", pause.path):
                return cast("ReceivedEvent[Any]", await real())
            await checkpoint()
            seconds = seconds_of(timeout, what="timeout")
            raise WorkflowTimeoutError(
                f"wait {name!r}: no event {event_type!r} came within its timeout of {shown(seconds)}",
                step=name,
                seconds=seconds,
            )

        return _played(self._step.wait_for_event(name, event_type, timeout), wait)


T = TypeVar("T")


def _played(
    wait: Wait[T], play: Callable[[Pause, Callable[[], Coroutine[Any, Any, T]]], Coroutine[Any, Any, T]]
) -> Wait[T]:
    """Ours, as seen from outside: it is told of, kept over attempts, and reported if nobody awaits it."""
    make = cast("functools.partial[Any]", wait._make)  # before doubles each is told of, so it is `paused`
    pause, real, says = make.args
    wait._make = functools.partial(paused, pause, functools.partial(play, pause, real), says)
    return wait


# ----------------------------------------------------------------------------------------------------------- the bodies


def _adapted(
    director: Director, run: Run, reading: Reading, fn: Callable[..., Any], config: StepConfig | None, stoppable: bool
) -> tuple[Callable[..., Any], StepConfig | None]:
    """The double of a body and, if delays are changed, a configuration with the double of its delay function."""
    if director.changes_delays:
        own = config or run.defaults
        if own is not None and own.retries is not None:
            delay = functools.partial(_delay, reading, own.retries)
            config = attrs.evolve(
                own,
                retries=attrs.evolve(own.retries, delay=delay),
                timeout=own.timeout if config or stoppable else None,
            )
    return body_double(fn, reading), config


def _delay(reading: Reading, retries: Retries, ctx: Any, error: Exception) -> SpelledDuration:
    if reading.skips("delay", _current_step().path):
        return timedelta()
    return retries.delay(ctx, error) if callable(retries.delay) else retries.delay


def _current_step() -> Step[Any]:
    """The step on whose task this is called, by its body's double."""
    return bodies_of(current_task())[0]


def body_double(fn: Callable[..., Any], reading: Reading) -> Callable[..., Any]:
    """To everybody but the one who calls it, it is the body: it has its name and its parameters, and is async if that is."""
    if isinstance(fn, functools.partial):  # what is bound is told from what has a default only in a partial
        return functools.partial(body_double(fn.func, reading), *fn.args, **fn.keywords)
    return (AsyncBodyDouble if signature_of(fn).is_native else BodyDouble)(fn, reading)


class BodyDouble:
    """Stands in for a body that is no `async def`."""

    def __init__(self, fn: Callable[..., Any], reading: Reading) -> None:
        functools.update_wrapper(self, fn)
        self._fn = fn
        self._reading = reading

    def _called(self, keywords: dict[str, Any]) -> tuple[Step[Any], Turn | None, Callable[..., Any]]:
        """Whose body is called, what is to happen, and what to call with the arguments by position."""
        step = _current_step()
        body = functools.partial(self._fn, **keywords) if keywords else self._fn
        return step, self._reading.call(step.path), body

    @enable_ki_protection
    def __call__(self, *args: Any, **keywords: Any) -> Any:
        __tracebackhide__ = True
        step, turn, body = self._called(keywords)
        return call_sync(body, args) if turn is None else _perform(step, turn, body, args)


@final
class AsyncBodyDouble(BodyDouble):
    """Stands in for a body that is one."""

    @enable_ki_protection
    async def __call__(self, *args: Any, **keywords: Any) -> Any:
        __tracebackhide__ = True
        step, turn, body = self._called(keywords)
        return await (call_async(body, args) if turn is None else _perform(step, turn, body, args))


@enable_ki_protection
async def _perform(step: Step[Any], turn: Turn, body: Callable[..., Any], args: tuple[Any, ...]) -> Any:
    """One call of a body with what the book has for it: first what comes before, then the body or its mock, then the rest."""
    __tracebackhide__ = True
    for cue in turn.before:
        await _late(cue.seconds)
        if cue.outcome is not None:
            cue.outcome(step, turn.number)
    if turn.instead is not None and turn.instead.outcome is not None:
        value = turn.instead.outcome(step, turn.number)
    else:
        value = await call_either(body, args)
    for cue in turn.after:
        await _late(cue.seconds)
        if cue.outcome is not None:
            cue.outcome(step, turn.number)
    return value


async def _late(seconds: float) -> None:
    if seconds:
        await trio.sleep(seconds)


# ------------------------------------------------------------------------------------------------------------- the post


@final
class PostDouble:
    """Stands in for a run's mailbox: of what comes, some comes later, twice or never."""

    def __init__(self, mailbox: Mailbox[ReceivedEvent[Any]] | PostDouble, reading: Reading) -> None:
        self._mailbox = mailbox
        self._reading = reading
        #: Where all ends up, past other doubles.
        self._box: Mailbox[ReceivedEvent[Any]] = mailbox._box if isinstance(mailbox, PostDouble) else mailbox
        self._early, self._box._events = self._box._events, {}
        self.is_awaited = self._box.is_awaited
        self.take = self._box.take
        self.close = self._box.close

    def put_early_ones(self) -> None:
        """What was sent before the run's first line. Other doubles have seen it."""
        for event_type, events in self._early.items():
            for event in events:
                self._put(self._box, event_type, event)

    def put(self, event_type: str, event: ReceivedEvent[Any]) -> None:
        self._put(self._mailbox, event_type, event)

    def _put(self, where: Mailbox[ReceivedEvent[Any]] | PostDouble, event_type: str, event: ReceivedEvent[Any]) -> None:
        for seconds in self._reading.post(event_type):
            if seconds:
                trio.lowlevel.spawn_system_task(_later, seconds, where, event_type, event)
            else:
                where.put(event_type, event)


async def _later(
    seconds: float, where: Mailbox[ReceivedEvent[Any]] | PostDouble, event_type: str, event: ReceivedEvent[Any]
) -> None:
    await trio.sleep(seconds)
    where.put(event_type, event)
