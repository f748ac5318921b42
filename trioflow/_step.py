"""One step: what people see of its cell, and what one execution of its body consists of."""

from __future__ import annotations

import functools
import random
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Any, Generic, Literal, Protocol, TypeVar, cast, final

import attrs
import trio
from trio.lowlevel import checkpoint, disable_ki_protection, enable_ki_protection

from ._errors import RunClosedError, WorkflowTimeoutError
from ._foreign import is_asyncios
from ._kernel import (
    CLAIMED,
    DONE,
    DOOMED,
    FAILED,
    LOST,
    PENDING,
    READY,
    RESOLVING,
    RUNNING,
    STOPPING,
    Cell,
    Failure,
    restore,
)
from ._names import Scope, Site, place_of
from ._policy import DEFAULT, StepConfig, as_mapping, delay_before, is_retryable, returned_delay
from ._signature import arranged, signature_of
from ._time import shown as shown_seconds
from ._views import StepContext, StepName

T = TypeVar("T")
Status = Literal["pending", "running", "cancelling", "succeeded", "failed", "cancelled"]

_STATUS: dict[int, Status] = {
    PENDING: "pending",
    CLAIMED: "pending",
    RESOLVING: "pending",
    READY: "pending",
    DOOMED: "pending",
    RUNNING: "running",
    STOPPING: "cancelling",
    DONE: "succeeded",
    FAILED: "failed",
    LOST: "pending",
}


#: Where jitter comes from: one generator of our own, so that whoever tests can seed it.
chance = random.Random()


class Watch(Protocol):
    """What a step tells of its body's start and end, where there are instruments."""

    def started(self, step: Step[Any]) -> None: ...
    def attempt_started(self, step: Step[Any], attempt: int) -> None: ...
    def retried(self, step: Step[Any], error: Exception, delay: float) -> None: ...
    def completed(self, step: Step[Any], output: object) -> None: ...


class StepRun(Protocol):
    """What a step needs of the run that it belongs to."""

    @property
    def watch(self) -> Watch | None: ...
    @property
    def closed(self) -> bool: ...
    async def demand(self, step: Step[Any]) -> None: ...
    def awaited(self, step: Step[Any]) -> None: ...
    def begin_again(self, step: Step[Any]) -> None: ...


@final
@attrs.define(eq=False, repr=False)
class Step(Cell, Generic[T]):
    """A declared step: `await step()` gives what its body returned, raises what it raised.

    `@step.do(...)` makes it. Steps are compared by identity. Public are `name`, `status`, `reason`, `dependencies`, `path`
    and `place`; the other attributes are the scheduler's.

    Attributes:
        name: The step's name, as given to `step.do` or the function's.
    """

    fn: Callable[..., Any]
    is_async: bool
    run: StepRun
    #: The body needs more than its values by position: see `prepared`.
    managed: bool
    #: Names of the parameters that take dependencies, where the names say which; None where `depends` does.
    params: tuple[str, ...] | None
    #: The steps of the task or body that declares it, and its place among all of the run.
    scope: Scope
    at: int
    site: Site
    #: Its own configuration; None: none, which is not the same as the run's defaults.
    config: StepConfig | None

    async def __call__(self) -> T:
        """Run the step if it has not run, with all that it needs, and return its result. A checkpoint, always.

        Whoever awaits it, and however often, gets the one outcome. If the waiter is cancelled it leaves at once; it waits
        only for the clean-up of bodies that nobody else wants, and what such a body raises or returns while it is
        being stopped is raised or returned here.

        Raises:
            Exception: whatever the body raised, or the body of a step that it needs: that very object.
            CycleError, DefinitionError: if the dependencies can't be resolved; no body has been started then.
            DeadlockError: if a body awaits a step that waits for that body.
            RunClosedError: if the run is over and the step has no outcome.
        """
        if self.state < DONE:
            await self.run.demand(self)
        else:
            await checkpoint()
        if self.run.watch is not None:
            self.run.awaited(self)
        if self.state == DONE:
            return cast(T, self.value)
        if self.state != FAILED:
            raise RunClosedError(
                f"step {self.name!r} ({self.place}) has no outcome: its run is over; await it before run returns",
                step=self.name,
            )
        failure: Failure = self.value
        error = failure.raised()
        try:
            raise error
        finally:
            restore(error, failure)
            del failure, error, self  # no cycle through this frame, which the traceback holds

    @property
    def status(self) -> Status:
        """What has become of it.

        "pending": not begun, or not any more. "running". "cancelling": told to stop, cleaning up. "succeeded", "failed":
        it has an outcome. "cancelled": its body was stopped without one; an await would start it afresh.
        """
        if self.state in (PENDING, LOST) and self.lane is not None:
            return "cancelled"
        if self.state == RUNNING and self.run.closed:
            return "cancelling"
        return _STATUS[self.state]

    @property
    def reason(self) -> str | None:
        """Why it has not succeeded, in words: which step failed and how, who cancelled it, or what it waits for.

        None while it runs and when it has succeeded.
        """
        state = self.state
        if state in (FAILED, DOOMED, LOST):
            failure: Failure = self.value
            if failure.error is None and self.lane is None:
                return f"never started: {failure.why}"
            return failure.why
        if state == STOPPING:
            return cast(str, self.value)
        if state == RUNNING and self.run.closed:
            return "the run is over"
        if state == PENDING:
            if self.lane is not None:
                return cast(str, self.value)
            return f"never started: {self.value or 'nobody has needed it'}"
        if state in (CLAIMED, RESOLVING):
            names = ", ".join(repr(d.name) for d in self.deps if d.state < DONE)
            return f"waits for {names or 'its turn in a sequence'}"
        return None

    @property
    def dependencies(self) -> tuple[Step[Any], ...]:
        """The steps that it needs, in the order of its parameters. Those meant by name are known once it was needed."""
        return cast("tuple[Step[Any], ...]", self.deps)

    @property
    def path(self) -> tuple[tuple[str, int], ...]:
        """Which step of the run it is: name and occurrence of the step in whose body it is declared, and so on inwards.

        Its own come last. An occurrence counts the steps of that name in the run, or in the body, from 1.
        """
        path = []
        step: Step[Any] | None = self
        while step is not None:
            path.append((step.name, step.scope.occurrence(step)))
            step = cast("Step[Any] | None", step.scope.owner.body)
        return tuple(reversed(path))

    @property
    def place(self) -> str:
        """Where it is declared: "file:line"."""
        return place_of(self.site)

    def __repr__(self) -> str:
        return f"<Step {self.name!r} {self.status}>"


enable_ki_protection(Step.__call__)  # not as a decorator: pyright loses a method's type in it


@disable_ki_protection
async def call_async(fn: Callable[..., Awaitable[Any]], args: Any) -> Any:
    """The border between our protected code and a body. A native coroutine: a KeyboardInterrupt between two of its
    instructions has a frame to land in; a Python function in its place would lose the trap that is on its way to Trio."""
    return await fn(*args)


@disable_ki_protection
def call_sync(fn: Callable[..., Any], args: Any) -> Any:
    return fn(*args)


async def call_either(fn: Callable[..., Any], args: Any) -> Any:
    value = call_sync(fn, args)
    return await call_async(itself, (value,)) if is_awaitable(value) else value


async def itself(awaitable: Awaitable[Any]) -> Any:
    return await awaitable


def prepared(step: Step[Any], values: Any) -> tuple[Callable[..., Any], tuple[Any, ...]]:
    """A function and its arguments: one execution of a body that isn't simply called with its values by position."""
    config = step.config
    if needs_attempts(config):
        fn: Callable[..., Any] = attempts
        args: Any = (step, config, values)
    else:
        fn, args = bound(step, values, 1)
    watch = step.run.watch
    if watch is None:
        return fn, args
    return (watched_async if step.is_async else watched_sync), (step, watch, fn, args)


def bound(step: Step[Any], values: Any, attempt: int) -> tuple[Callable[..., Any], Any]:
    """The body and its arguments, by position and by name."""
    fn, args = step.fn, values
    signature = signature_of(fn)
    if signature.plain and step.params is None:
        return fn, args
    ctx = None if signature.ctx is None else context_of(step, attempt)
    args, keywords = arranged(signature, step.params, args, ctx)
    return (functools.partial(fn, **keywords) if keywords else fn), args


def context_of(step: Step[Any], attempt: int) -> StepContext:
    name = StepName(name=step.name, count=step.scope.occurrence(step))
    return StepContext(step=name, attempt=attempt, config=as_mapping(step.config or DEFAULT))


def needs_attempts(config: StepConfig | None) -> bool:
    """Whether a body has to be run by `attempts`."""
    return config is not None and (config.retries is not None or config.timeout_seconds is not None)


@enable_ki_protection
async def attempts(step: Step[Any], config: StepConfig, values: Any) -> Any:
    """Run a body, again and again if its configuration says so, until it returns or has failed for good."""
    attempt, watch = 1, step.run.watch
    while True:
        if watch is not None:
            watch.attempt_started(step, attempt)
        try:
            return await one_attempt(step, values, attempt, config.timeout_seconds)
        except Exception as exc:
            # What a body raises while it is being stopped is its outcome: nobody is there to try again for.
            if step.state == STOPPING or step.run.closed or not will_retry(config, attempt, exc):
                raise
            delay = delay_after(step, config, attempt, exc)
            if watch is not None:
                watch.retried(step, exc, delay)
        await trio.sleep(delay)
        step.run.begin_again(step)
        attempt += 1


@enable_ki_protection
async def one_attempt(step: Step[Any], values: Any, attempt: int, limit: float | None) -> Any:
    """A body that exceeds its timeout is cancelled; what it returns or raises while it is being stopped counts."""
    fn, args = bound(step, values, attempt)
    call = call_async(fn, args) if signature_of(step.fn).is_native else call_either(fn, args)
    if limit is None:
        return await call
    with trio.move_on_after(limit):
        return await call
    raise WorkflowTimeoutError(
        f"step {step.name!r} ({step.place}): attempt {attempt} took longer than its timeout of {shown_seconds(limit)}",
        step=step.name,
        seconds=limit,
    )


def will_retry(config: StepConfig, attempt: int, error: Exception) -> bool:
    may = config.retries is not None and attempt <= config.retries.limit
    return may and is_retryable(error) and not is_asyncios(error)


def delay_after(step: Step[Any], config: StepConfig, attempt: int, error: Exception) -> float:
    """Seconds until the next attempt. If a delay function raises, the step fails with that."""
    retries = config.retries
    assert retries is not None
    base = None
    if callable(retries.delay):
        base = returned_delay(call_sync(retries.delay, (context_of(step, attempt), error)))
    return delay_before(retries, attempt, random=chance.random(), base=base)


async def watched_async(step: Step[Any], watch: Watch, fn: Callable[..., Any], args: Any) -> Any:
    begun(step, watch, fn)
    value = await fn(*args)
    watch.completed(step, value)
    return value


def watched_sync(step: Step[Any], watch: Watch, fn: Callable[..., Any], args: Any) -> Any:
    begun(step, watch, fn)
    value = fn(*args)
    if is_awaitable(value):
        return watched_rest(step, watch, value)
    watch.completed(step, value)
    return value


def begun(step: Step[Any], watch: Watch, fn: Callable[..., Any]) -> None:
    watch.started(step)
    if fn is not attempts:  # which tells of each
        watch.attempt_started(step, 1)


async def watched_rest(step: Step[Any], watch: Watch, awaitable: Awaitable[Any]) -> Any:
    value = await awaitable
    watch.completed(step, value)
    return value


def is_awaitable(value: object) -> bool:
    """Whether a body that is no `async def` has returned something to be awaited: a coroutine, mostly."""
    return hasattr(type(value), "__await__")


#: Whose frames come before a body's: the scheduler's, and those of a worker thread.
MACHINE = frozenset({__package__, "trio", "outcome"})


def without_our_frames(traceback: TracebackType | None) -> TracebackType | None:
    """A body's own traceback: the frames that have led to it are left out."""
    tb = traceback
    while tb is not None and tb.tb_frame.f_globals.get("__package__") in MACHINE:
        tb = tb.tb_next
    return tb or traceback
