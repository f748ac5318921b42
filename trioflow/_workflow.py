"""The doors: a workflow's class, one run of it, and a run with a handle."""

from __future__ import annotations

import inspect
import os
import re
import warnings
from collections.abc import Callable, Coroutine, Iterable, Sequence
from types import TracebackType
from typing import Any, Generic, Protocol, TypeVar, cast, final, overload

import attrs
import trio
from trio.lowlevel import checkpoint_if_cancelled, current_task, disable_ki_protection, enable_ki_protection

from ._declare import WorkflowStep
from ._errors import ConfigError, DefinitionError, RunClosedError, note, shown
from ._foreign import explained
from ._kernel import Failure, restore
from ._lanes import Home
from ._mailbox import checked_type
from ._policy import StepConfig, StepConfigDict, step_config
from ._run import Run
from ._sleep import WallClock
from ._step import Step
from ._views import ReceivedEvent, WorkflowEvent
from ._watchers import Watchers, checked_instruments
from .abc import Instrument

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

_INSTANCE_ID = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9_-]{0,99}")


class WorkflowEntrypoint:
    """Base of a workflow: override `run(self, event, step)`, sync or async.

    Attributes:
        env: What the one who starts the run has passed as `env`.
        ctx: The run's execution context; None in a run in memory.
    """

    env: Any = None
    ctx: Any = None

    def __init__(self, ctx: Any = None, env: Any = None) -> None:
        self.ctx = ctx
        self.env = env

    def run(self, event: Any, step: Any) -> Any:
        """Declare steps with `step`, await the one you want, return the run's output.

        Args:
            event: A `WorkflowEvent`: what started the run.
            step: A `WorkflowStep`.
        """
        raise DefinitionError(f"{type(self).__qualname__} has no run(self, event, step): a workflow needs one")


class Profile:
    """How the workflows of one kind are called, and what they are given.

    This is ours. A class that has a class method `__trioflow_profile__` brings another: those of `trioflow.workers` read
    what they are given as Cloudflare does.
    """

    def env(self, env: object) -> object:
        """What the class is made with."""
        return env

    def function(self, fn: Callable[..., Any]) -> Callable[..., Any]:
        """What is called, of the workflow's `run`."""
        return fn

    def given(self, event: WorkflowEvent[Any], run: Run) -> tuple[Any, Any]:
        """The event and the `step` that it is called with."""
        return event, WorkflowStep(run)


class _RunsAsync(Protocol[T_co]):
    def run(self, event: Any, step: Any, /) -> Coroutine[Any, Any, T_co]: ...


class _RunsSync(Protocol[T_co]):
    def run(self, event: Any, step: Any, /) -> T_co: ...


AsyncWorkflow = type[_RunsAsync[T]] | Callable[[Any, Any], Coroutine[Any, Any, T]]
SyncClass = type[_RunsSync[T]]
SyncFunction = SyncClass[T] | Callable[[Any, Any], T]
AnyWorkflow = type[Any] | Callable[[Any, Any], Any]


@attrs.define(eq=False, repr=False)
class _Start:
    """What it takes to begin a run: the function, its event, and the run's empty state."""

    fn: Callable[..., Any]
    event: WorkflowEvent[Any]
    run: Run
    profile: Profile

    def now(self) -> _Start:
        """The run's wall clock starts."""
        self.run.clock = WallClock.started()
        self.event["timestamp"] = self.run.clock.start
        return self


def _prepare(
    workflow: AnyWorkflow,
    params: object,
    instance_id: str | None,
    env: object,
    defaults: StepConfig | StepConfigDict | None,
    instruments: Iterable[Instrument],
) -> _Start:
    name = getattr(workflow, "__name__", type(workflow).__name__)
    if instance_id is None:
        instance_id = f"run-{os.urandom(8).hex()}"
    elif not isinstance(instance_id, str) or not _INSTANCE_ID.fullmatch(instance_id):
        raise ConfigError(
            f"instance id {instance_id!r} can't be used: 1 to 100 letters, digits, '_' and '-', the first not a '-'"
        )
    watching = checked_instruments(instruments)
    watch = Watchers.of(instance_id, watching) if watching else None
    run = Run(instance_id, watch, None if defaults is None else step_config(defaults))
    run.lobby = Home(run)
    event: WorkflowEvent[Any] = WorkflowEvent(
        payload={} if params is None else params,
        timestamp=None,  # `now` knows
        instanceId=instance_id,
        workflowName=name,
    )
    profile: Profile = getattr(workflow, "__trioflow_profile__", Profile)()
    return _Start(_function_of(workflow, env, profile), event, run, profile)


def _function_of(workflow: AnyWorkflow, env: object, profile: Profile) -> Callable[..., Any]:
    if not inspect.isclass(workflow):
        if not callable(workflow):
            raise DefinitionError(
                f"{workflow!r} is not a workflow: give a class with run(self, event, step), or a function (event, step)"
            )
        if env is not None:
            raise DefinitionError(
                "env is for workflow classes, which read it as self.env; a function can close over what it needs"
            )
        fn: Callable[..., Any] = workflow
    elif not callable(getattr(workflow, "run", None)):
        raise DefinitionError(f"class {workflow.__qualname__} is not a workflow: it has no run(self, event, step)")
    else:
        fn = _instance(workflow, profile.env(env)).run
    if inspect.isgeneratorfunction(fn) or inspect.isasyncgenfunction(fn):
        raise DefinitionError(f"{fn.__qualname__} has a `yield` in it: a workflow returns its output, or awaits steps")
    return profile.function(fn)


def _instance(workflow: type[Any], env: object) -> Any:
    """Made as Cloudflare does, with `(ctx, env)`; a class of its own with an `__init__` that takes nothing is fine, too.

    An `__init__` that doesn't call `super().__init__` is common, so `env` is set where it has not been.
    """
    try:
        inspect.signature(workflow).bind(None, env)
    except TypeError:
        made = workflow()
    else:
        made = workflow(None, env)
    if env is not None and "env" not in getattr(made, "__dict__", ()):
        try:
            made.env = env
        except AttributeError as exc:
            raise DefinitionError(f"class {workflow.__qualname__} has no place for env: {exc}") from exc
    return made


@disable_ki_protection
async def _call(fn: Callable[..., Any], event: WorkflowEvent[Any], step: WorkflowStep) -> Any:
    if inspect.iscoroutinefunction(fn):
        return await fn(event, step)  # in one line: an interrupt has nowhere to leave a coroutine that nobody awaits
    result = fn(event, step)
    return await result if inspect.isawaitable(result) else result


@enable_ki_protection
async def _conduct(start: _Start) -> Any:
    """One pass over a workflow, in a nursery that is gone when this returns or raises."""
    run = start.run
    run.main = current_task()
    errors: list[BaseException] = []
    result, end = None, None
    await checkpoint_if_cancelled()  # a nursery without children is no place to be cancelled in
    if run.watch is not None:
        run.watch.run_started(start.event.workflowName, start.event.payload, start.event.timestamp)
    try:
        async with trio.open_nursery() as nursery:
            run.lobby.nursery = nursery
            try:
                result = await _call(start.fn, *start.profile.given(start.event, run))
            except Exception as exc:
                errors.append(explained(exc, "the workflow's run"))
            finally:
                run.close()
    except BaseException as exc:  # noqa: ASYNC103 - raised below
        # Cancelled, or our nursery's group round what the workflow's function has let through.
        end = _without_our_group(exc)
    run.mailbox.close()
    _report_unawaited(run)
    run.forget()
    ends = [end] if end is not None else []
    errors = [*run.fatal, *ends, *errors, *run.unheard()]
    error = _with_notes(errors) if errors else None
    if run.watch is not None:
        run.watch.run_ended(error, result)
    try:
        if error is not None:
            raise error
    finally:
        del error, errors, end, run, start  # no cycle through this frame, which the traceback holds
    return result


def _without_our_group(error: BaseException) -> BaseException:
    """What our own nursery has put into a group, if it is one thing; beside an error a Cancelled doesn't count."""
    if not isinstance(error, BaseExceptionGroup):
        return error
    members = [e for e in error.exceptions if not isinstance(e, trio.Cancelled)] or [error.exceptions[0]]
    return members[0] if len(members) == 1 else error


def _with_notes(errors: list[BaseException]) -> BaseException:
    """The first, with a note for each of the others. An error takes the place of a Cancelled, as in Trio."""
    first, *others = sorted(errors, key=lambda error: isinstance(error, trio.Cancelled))
    seen = {id(first)}
    for other in others:
        if id(other) not in seen and not isinstance(other, trio.Cancelled):
            seen.add(id(other))
            note(first, f"the run also ended with {shown(other)}")
    return first


def _report_unawaited(run: Run) -> None:
    for what, filename, line in run.unawaited.values():
        try:
            warnings.warn_explicit(f"{what} was never awaited", RuntimeWarning, filename, line)
        except RuntimeWarning as exc:  # an error filter: as with Python's own, the program goes on
            _Unraisable(exc)
    run.unawaited.clear()


class _Unraisable:
    """Reports an exception through `sys.unraisablehook`: Python does that for what is raised in a `__del__`."""

    def __init__(self, error: BaseException) -> None:
        self.error = error

    def __del__(self) -> None:
        raise self.error


@overload
async def run_workflow(
    workflow: AsyncWorkflow[T],
    params: object = None,
    *,
    instance_id: str | None = None,
    env: object = None,
    defaults: StepConfig | StepConfigDict | None = None,
    instruments: Iterable[Instrument] = (),
) -> T: ...
@overload
async def run_workflow(
    workflow: SyncClass[T],
    params: object = None,
    *,
    instance_id: str | None = None,
    env: object = None,
    defaults: StepConfig | StepConfigDict | None = None,
    instruments: Iterable[Instrument] = (),
) -> T: ...
@overload
async def run_workflow(
    workflow: SyncFunction[T],
    params: object = None,
    *,
    instance_id: str | None = None,
    env: object = None,
    defaults: StepConfig | StepConfigDict | None = None,
    instruments: Iterable[Instrument] = (),
) -> T: ...
@enable_ki_protection
async def run_workflow(
    workflow: AnyWorkflow,
    params: object = None,
    *,
    instance_id: str | None = None,
    env: object = None,
    defaults: StepConfig | StepConfigDict | None = None,
    instruments: Iterable[Instrument] = (),
) -> Any:
    """Run a workflow in memory, and return what its `run` returns. A checkpoint.

    The run is a Trio nursery: when this returns or raises, no task of it is left. Cancelling it cancels what the
    workflow awaits, and what nobody needs any more stops.

    Args:
        workflow: A class with `run(self, event, step)`, or a function `(event, step)`; sync or async.
        params: `event.payload`; `{}` if there are none. Handed over as it is.
        instance_id: `event.instanceId`; generated if not given.
        env: `self.env` of the workflow. Only for classes.
        defaults: The configuration of steps that have none of their own. Without: no retry, no timeout.
        instruments: Are told what happens: see `trioflow.abc.Instrument`.

    Raises:
        Exception: whatever `run` raises, the object itself. A body's failure that nobody was told of because the run was
            ending is raised, too, or added as a note.
        DefinitionError: `workflow` is none, or `env` was given for a function.
        ConfigError: the instance id or the defaults can't be used.
    """
    return await _conduct(_prepare(workflow, params, instance_id, env, defaults, instruments).now())


@final
@attrs.define(eq=False, repr=False)
class WorkflowRun(Generic[T]):
    """The handle of a run that goes on beside the code that holds it. `open_run` gives it."""

    _start: _Start
    _done: trio.Event = attrs.field(factory=trio.Event)
    _output: T | None = None
    _failure: Failure | None = None
    #: It returned or raised; False also when it was cancelled.
    _ended: bool = False
    _told: bool = False

    @property
    def id(self) -> str:
        """The run's id: `event.instanceId`."""
        return self._start.run.instance_id

    @property
    def steps(self) -> Sequence[Step[Any]]:
        """The steps declared so far, in order, those of bodies among them. A snapshot."""
        return tuple(self._start.run.steps)

    async def result(self) -> T:
        """Wait for the workflow's end and return its output. A checkpoint.

        Raises:
            Exception: what the workflow raised, that very object, however often it is asked for.
            RunClosedError: the block was left before the workflow had ended.
        """
        await self._done.wait()
        if not self._ended:
            raise RunClosedError(f"run {self.id!r} was cancelled before it had a result")
        failure = self._failure
        if failure is None:
            return cast(T, self._output)
        self._told = True
        error = failure.raised()
        try:
            raise error
        finally:
            restore(error, failure)
            del failure, error, self  # no cycle through this frame, which the traceback holds

    def send_event(self, type: str, payload: object = None) -> None:
        """Send an event to the run: the `step.wait_for_event` whose turn it is gets it, now or later.

        It is kept until somebody waits for its type, and is lost with the run if nobody ever does. From another thread
        call it through `trio.from_thread.run_sync`.

        Args:
            type: What kind of event it is: any text of at most 100 characters.
            payload: What to say; handed over as it is.

        Raises:
            RunClosedError: the run is over, and nobody waits for such an event.
            ConfigError: the type is no text, or longer than that.
        """
        run, event_type = self._start.run, checked_type(type)
        if self._done.is_set() or (run.closed and not run.mailbox.is_awaited(event_type)):
            raise RunClosedError(f"event {event_type!r} can't be sent to run {self.id!r}: it is over")
        run.mailbox.put(event_type, ReceivedEvent(type=event_type, payload=payload, timestamp=run.clock.now()))

    def _take_failure(self) -> BaseException | None:
        """The failure, if nobody has been told of it."""
        failure = None if self._told else self._failure
        self._told = True
        return None if failure is None else failure.raised()

    async def _conduct(self) -> None:
        try:
            self._output = await _conduct(self._start)
        except Exception as exc:
            self._failure = Failure.of(exc, exc.__traceback__, None, 0, "")
            self._ended = True
        else:
            self._ended = True
        finally:
            self._done.set()

    def __repr__(self) -> str:
        end = "failed" if self._failure is not None else "done" if self._ended else "cancelled"
        state = end if self._done.is_set() else "running"
        return f"<WorkflowRun {self.id!r} {state}, {len(self._start.run.steps)} steps>"


enable_ki_protection(WorkflowRun.send_event)  # not as a decorator: pyright loses a method's type in it


@final
@attrs.define(eq=False, repr=False)
class OpenRun(Generic[T]):
    """What `open_run` returns: an async context manager that gives a `WorkflowRun`."""

    _run: WorkflowRun[T]
    _manager: Any = None
    _nursery: trio.Nursery | None = None

    async def __aenter__(self) -> WorkflowRun[T]:
        if self._manager is not None:
            raise RunClosedError(f"run {self._run.id!r} has been opened before: call open_run again for another run")
        self._manager = trio.open_nursery()
        self._nursery = await self._manager.__aenter__()
        self._run._start.now()
        self._nursery.start_soon(self._run._conduct, name=self._run.id)
        return self._run

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._nursery is not None
        self._nursery.cancel_scope.cancel(reason="the block of open_run was left")
        end: BaseException | None = None
        try:
            # Our nursery never hears of the block's exception: Python raises it again by itself, and unwrapped, when this
            # returns. A Cancelled of our own nursery's scope can be in the block only if the run died of something that
            # is no Exception, which is then raised here.
            await self._manager.__aexit__(None, None, None)  # noqa: ASYNC102 - this is the nursery's own end
        except BaseException as exc:  # noqa: ASYNC103 - raised below, unless an error takes its place
            end = _without_our_group(exc)
        failure = self._run._take_failure()
        if end is not None and not isinstance(end, trio.Cancelled):
            raise end
        if error is None or isinstance(error, trio.Cancelled):  # an error takes the place of a Cancelled, as in Trio
            if failure is not None:
                raise failure
            if end is not None and error is None:
                raise end
        elif failure is not None and failure is not error:
            note(error, f"run {self._run.id!r} also failed: {shown(failure)}")


enable_ki_protection(OpenRun.__aenter__)  # not as decorators: pyright loses a method's type in them
enable_ki_protection(OpenRun.__aexit__)


@overload
def open_run(
    workflow: AsyncWorkflow[T],
    params: object = None,
    *,
    instance_id: str | None = None,
    env: object = None,
    defaults: StepConfig | StepConfigDict | None = None,
    instruments: Iterable[Instrument] = (),
) -> OpenRun[T]: ...
@overload
def open_run(
    workflow: SyncClass[T],
    params: object = None,
    *,
    instance_id: str | None = None,
    env: object = None,
    defaults: StepConfig | StepConfigDict | None = None,
    instruments: Iterable[Instrument] = (),
) -> OpenRun[T]: ...
@overload
def open_run(
    workflow: SyncFunction[T],
    params: object = None,
    *,
    instance_id: str | None = None,
    env: object = None,
    defaults: StepConfig | StepConfigDict | None = None,
    instruments: Iterable[Instrument] = (),
) -> OpenRun[T]: ...
def open_run(
    workflow: AnyWorkflow,
    params: object = None,
    *,
    instance_id: str | None = None,
    env: object = None,
    defaults: StepConfig | StepConfigDict | None = None,
    instruments: Iterable[Instrument] = (),
) -> OpenRun[Any]:
    """As `run_workflow`, beside other code: `async with open_run(Report, {"day": 1}) as run`.

    The workflow runs as a task and doesn't hold up the block. Its failure doesn't cancel the block: `await run.result()`
    raises it or, if nobody asked, it is raised when the block is left. Leaving the block cancels what is left of the run
    and waits for it. An exception of the block comes out as it is, with the run's failure as a note on it.

    The block may await the run's steps, as `run.steps` gives them. When the run is over, those without an outcome raise
    RunClosedError.

    Leaving the block waits for the run, as a nursery does; entering it is no checkpoint, as with a nursery.
    """
    return OpenRun(WorkflowRun(_prepare(workflow, params, instance_id, env, defaults, instruments)))
