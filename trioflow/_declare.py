"""Declaring: what a workflow's `run` receives as `step`.

Declaring runs nothing. It happens once per step, in user code and in a hot path for whoever declares 100,000 of them, so
mistakes that can be known now are looked for now, and everything else (which step a parameter's name means, cycles)
waits until the step is first needed.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Coroutine, Iterable
from datetime import datetime
from functools import partial
from typing import Any, Literal, TypeVar, cast, final, overload

import attrs
import trio
from trio.lowlevel import Task, current_task, enable_ki_protection

from ._elsewhere import Elsewhere, RunsSync, check_executor
from ._errors import DefinitionError, RunClosedError
from ._kernel import DONE, FAILED, LOST, PENDING
from ._mailbox import checked_type
from ._names import Scope, Site, place_of
from ._policy import StepConfig, StepConfigDict, step_config
from ._run import Run
from ._signature import Signature, check_count, signature_of
from ._sleep import deadline_of
from ._step import Step, needs_attempts
from ._time import Duration, seconds_of
from ._views import ReceivedEvent
from ._waits import Pause, Pauses, Wait, next_event, paused
from .abc import Executor

T = TypeVar("T")

#: Cloudflare's limit for step names.
LONGEST_NAME = 256

#: What another reading of the same API makes of a body and its configuration, which may have a timeout if it can be stopped.
Adapt = Callable[[Callable[..., Any], StepConfig | None, bool], tuple[Callable[..., Any], StepConfig | None]]


@final
@attrs.frozen(eq=False)
class WorkflowStep:
    """What a workflow's `run` receives as its second argument: declares steps, pauses, and waits for events."""

    _run: Run = attrs.field(repr=False)
    #: Set where somebody else's `step` stands before this one (`trioflow.workers`), with the number of its frames.
    _adapt: Adapt | None = attrs.field(default=None, repr=False)
    _between: int = attrs.field(default=0, repr=False)

    def do(
        self,
        name: str | None = None,
        depends: Iterable[Step[Any]] | None = None,
        concurrent: bool = False,
        config: StepConfig | StepConfigDict | None = None,
        *,
        executor: Executor | RunsSync | None = None,
    ) -> StepDecorator:
        """Declare a step: decorates its body, an `async def` or a quick plain function, and gives a `Step`.

        Nothing runs until the step is needed: `await` it, or let another one depend on it.

        Args:
            name: The step's name; by default the function's. At most 256 characters, no control characters.
            depends: The steps whose results the body receives, by position. Without it the body's parameters say so by
                their names. A parameter called `ctx` receives the `StepContext` either way.
            concurrent: Run the *dependencies* at the same time. By default the next is begun when the last is settled.
            config: Retries and the timeout of an attempt, as a `StepConfig` or as Cloudflare's dict.
            executor: Where to call the body, which is a plain function then: `trioflow.executors.Threads()`, say, for one
                that blocks or computes for long. By default plain functions are called between the program's other
                tasks, and hold them up.

        Raises:
            DefinitionError: the declaration can't work; the message says where it stands and what would.
            ConfigError: a value in `config` can't be used, or `executor` is none.
            RunClosedError: the run is over.
        """
        if name is not None and type(name) is not str:
            _check_text(name)
        if depends is not None:
            depends = tuple(depends) if type(depends) is list else _as_tuple(depends)
        if executor is not None:
            check_executor(executor)
        config = None if config is None else step_config(config)
        return StepDecorator(self._run, name, depends, concurrent, config, executor, self._adapt)

    def sleep(self, name: str, duration: Duration) -> Wait[None]:
        """A pause, in Trio's time: `await step.sleep("a while", "10 seconds")`.

        It begins when it is awaited, or when a nursery begins it: `nursery.start_soon(step.sleep, "a while", 500)`. It can
        be awaited once, which is a checkpoint. One that nobody has awaited is reported when the run has ended.

        Args:
            name: For people who read a trace.
            duration: "10 seconds", a `timedelta`, or a number of milliseconds, as with Cloudflare.

        Raises:
            ConfigError: the duration can't be read.
            DefinitionError: the name is no text, or longer than 256 characters. As with `sleep_until` and `wait_for_event`.
        """
        pause = _pause(self._run, "sleep", name)
        seconds = seconds_of(duration, what=f"the duration of sleep {name!r}")
        return self._made(f"sleep {name!r}", pause, partial(trio.sleep, seconds), lambda: {"seconds": seconds})

    def sleep_until(self, name: str, when: datetime) -> Wait[None]:
        """A pause up to a moment: `await step.sleep_until("morning", event.timestamp + timedelta(hours=8))`.

        The moment is one of the run's wall clock: the machine's at the start of the run, which `event.timestamp` says,
        and from there on with Trio's time. For the rest it is as `sleep` is. A moment that has passed when this is called
        is a mistake, as it is with Cloudflare, unless an earlier attempt of the body has slept until then. One that is
        now, or passes before the await, makes for a pause of no length.

        Args:
            name: For people who read a trace.
            when: A datetime with a time zone. Cloudflare takes others, too, and misreads some.

        Raises:
            ConfigError: `when` has passed, or is no aware datetime; the message says what to write.
        """
        pause = _pause(self._run, "sleep", name)
        deadline = deadline_of(when, name, self._run.clock, over=pause is not None and pause.is_kept)
        return self._made(f"sleep {name!r}", pause, partial(trio.sleep_until, deadline), partial(_left, deadline))

    def wait_for_event(self, name: str, event_type: str, timeout: Duration = "24 hours") -> Wait[ReceivedEvent[Any]]:
        """The next event of a type that is sent to the run: `await step.wait_for_event("the boss", "approval")`.

        Each event goes to one wait. Events are kept from the start of the run until somebody waits for their type, and
        are given out in the order in which they were sent, to whoever began to wait first. A wait that is cancelled takes
        none. As with `sleep`, the wait and its time begin when it is awaited, once; that is a checkpoint.

        Args:
            name: For people who read a trace.
            event_type: Which events: any text of at most 100 characters.
            timeout: How long to wait, as a duration for `sleep`. With 0 only an event that has been sent already is taken.

        Raises:
            WorkflowTimeoutError: on awaiting: no event came in time.
            RunClosedError: on awaiting: the run is over.
            ConfigError: the type or the timeout can't be used.
        """
        pause = _pause(self._run, "wait", name)
        seconds = seconds_of(timeout, what=f"the timeout of wait {name!r}")
        make = partial(next_event, self._run.mailbox, name, checked_type(event_type), seconds)
        return self._made(f"wait {name!r}", pause, make, lambda: {"event_type": event_type, "timeout": seconds})

    def _made(
        self,
        what: str,
        pause: Pause | None,
        make: Callable[[], Coroutine[Any, Any, T]],
        says: Callable[[], dict[str, object]],
    ) -> Wait[T]:
        if pause is not None:
            make = partial(paused, pause, make, says)
        unawaited = self._run.unawaited
        wait = Wait(what, make, unawaited)
        frame = sys._getframe(2 + self._between)
        unawaited[wait] = (what, frame.f_code.co_filename, frame.f_lineno)
        return wait


# An interrupt between making and awaiting would report as forgotten what it has itself prevented.
enable_ki_protection(WorkflowStep.sleep)  # not as decorators: pyright loses a method's type in them
enable_ki_protection(WorkflowStep.sleep_until)
enable_ki_protection(WorkflowStep.wait_for_event)


@final
@attrs.define(eq=False)  # not frozen: that costs a third of a declaration
class StepDecorator:
    """What `step.do(...)` returns: call it with the body."""

    _run: Run = attrs.field(repr=False)
    _name: str | None
    _depends: tuple[Step[Any], ...] | None
    _concurrent: bool
    _config: StepConfig | None
    _executor: Executor | RunsSync | None = None
    _adapt: Adapt | None = attrs.field(default=None, repr=False)

    @overload
    def __call__(self, fn: Callable[..., Coroutine[Any, Any, T]], /) -> Step[T]: ...
    @overload
    def __call__(self, fn: Callable[..., T], /) -> Step[T]: ...
    @enable_ki_protection
    def __call__(self, fn: Callable[..., Any], /) -> Step[Any]:
        """Declare the step whose body is `fn`."""
        run, depends, config = self._run, self._depends, self._config
        frame = sys._getframe(1)
        code, offset = frame.f_code, frame.f_lasti
        site = run.site  # of the declaration before, which in a loop is this one
        if site[0] is not code or site[1] != offset:
            site = run.site = run.sites.setdefault((id(code), offset), (code, offset))
        name = self._name
        if name is None:
            name = getattr(fn, "__name__", None) or type(fn).__name__
        if len(name) > LONGEST_NAME or not name.isprintable():
            _check_name(name, site)
        try:
            signature = signature_of(fn)
        except DefinitionError as exc:
            raise DefinitionError(f"step {name!r} ({place_of(site)}): {exc}", step=name, place=place_of(site)) from None
        executor = self._executor
        if executor is not None:
            fn = _sent_elsewhere(executor, fn, signature, name, site)
        if self._adapt is not None:
            fn, config = self._adapt(fn, config, signature.is_async or executor is not None)
        _check_depends(depends, signature, name, site, run)
        if run.closed:
            raise RunClosedError(f"step {name!r} ({place_of(site)}) is declared in a run that is over", step=name)
        task = current_task()
        scope = run.root if task is run.main else scope_of(run, task)
        if scope is not run.root:
            earlier = _taken_up(scope, name, fn, signature, site, depends)
            if earlier is not None:
                earlier.at = run.next_place()
                if run.watch is not None and earlier.state == DONE:
                    run.watch.reused(earlier)
                return earlier
        if config is not None or run.defaults is not None:
            stoppable = signature.is_async or executor is not None
            config = _config_for(config, run.defaults, stoppable, name, site)
        attempts = config is not None and needs_attempts(config)
        managed = attempts or not signature.plain or run.watch is not None
        by_name = depends is None and bool(signature.names)
        params = signature.names if by_name else None
        is_async = signature.is_native or attempts
        run.places = place = run.places + 1
        step: Step[Any] = Step(
            name, (), self._concurrent, fn, is_async, run, managed, params, scope, place, site, config
        )
        if by_name:
            run.unbound.add(step)
        else:
            step.connect(depends or ())
        run.steps.append(step)
        scope.add(step)
        return step


def _pause(run: Run, kind: Literal["sleep", "wait"], name: str) -> Pause | None:
    """What there is to be known of a sleep or a wait: nothing, if it is in no body, and nobody is told of it."""
    if type(name) is not str or len(name) > LONGEST_NAME:
        _check_pause_name(kind, name)
    owner = scope_of(run, current_task()).owner
    body = cast("Step[Any] | None", owner.body)
    if body is None and run.watch is None:
        return None
    pauses = run.pauses.get(owner)
    if pauses is None:
        pauses = run.pauses[owner] = Pauses()
    path = (*(() if body is None else body.path), (name, pauses.next(kind, name)))
    return Pause(kind, path, None if body is None else pauses, run.watch)


def _check_pause_name(kind: str, name: object) -> None:
    if not isinstance(name, str):
        raise DefinitionError(f"a {kind}'s name is text, not {name!r}")
    if len(name) > LONGEST_NAME:
        raise DefinitionError(f"{kind} {name[:40]!r}... has {len(name)} characters: at most {LONGEST_NAME} are allowed")


def _left(deadline: float) -> dict[str, object]:
    return {"seconds": max(0.0, deadline - trio.current_time())}


def _as_tuple(depends: object) -> tuple[Any, ...]:
    if isinstance(depends, Step):
        raise _misused(f"depends takes a list of steps: write depends=[{depends.name}] instead of the step itself")
    if isinstance(depends, str) or not isinstance(depends, Iterable):
        raise _misused(f"depends takes a list of the steps themselves, not {depends!r}")
    return tuple(depends)


def _check_text(name: object) -> None:
    if isinstance(name, str):
        return
    if callable(name):
        raise _misused("step.do needs parentheses: write @step.do() or @step.do('name') above the function")
    raise _misused(f"a step's name is text, not {name!r}")


def _misused(problem: str) -> DefinitionError:
    """A mistake in the call of `step.do` itself: the caller of its caller made it."""
    frame = sys._getframe(3)
    place = place_of((frame.f_code, frame.f_lasti))
    return DefinitionError(f"{problem} ({place})", place=place)


def _check_name(name: str, site: Site) -> None:
    shown = repr(name) if len(name) <= 40 else f"{name[:40]!r}... ({len(name)} characters)"
    if len(name) > LONGEST_NAME:
        raise DefinitionError(
            f"step {shown} ({place_of(site)}): a name has at most {LONGEST_NAME} characters", place=place_of(site)
        )
    if any(c < " " for c in name):
        raise DefinitionError(
            f"step {shown} ({place_of(site)}): a name can't contain control characters", place=place_of(site)
        )


def _check_depends(depends: tuple[Any, ...] | None, signature: Signature, name: str, site: Site, run: Run) -> None:
    """Raise DefinitionError unless `depends` are steps of this run, as many as the body has parameters for."""
    if depends is None:
        return
    for number, d in enumerate(depends, 1):
        if type(d) is not Step or d.run is not run:
            raise _no_dependency(d, number, name, site)
    if not signature.least <= len(depends) <= signature.most or signature.unreachable:
        check_count(signature, len(depends), name, place_of(site))


def _no_dependency(d: object, number: int, name: str, site: Site) -> DefinitionError:
    if isinstance(d, Step):
        what = "is over" if cast(Run, d.run).closed else "is another one"
        problem = (
            f"depends on step {d.name!r} ({d.place}), which was declared in a run that {what}; declare it in this one"
        )
    else:
        problem = (
            f"has {d!r} as number {number} of its depends, which is not a step; "
            "depends takes what @step.do(...) has made of the functions"
        )
    return DefinitionError(f"step {name!r} ({place_of(site)}) {problem}", step=name, place=place_of(site))


def _sent_elsewhere(
    executor: Executor | RunsSync, fn: Callable[..., Any], signature: Signature, name: str, site: Site
) -> Callable[..., Any]:
    if signature.is_async:
        raise DefinitionError(
            f"step {name!r} ({place_of(site)}) has an executor but an async body; an executor calls plain functions: make "
            "it a plain `def`, or leave the executor out",
            step=name,
            place=place_of(site),
        )
    return Elsewhere(executor, fn)


def _config_for(
    own: StepConfig | None, defaults: StepConfig | None, stoppable: bool, name: str, site: Site
) -> StepConfig | None:
    """A step's configuration, its own or the run's. A plain function can't be interrupted: its own timeout is a mistake."""
    if own is None:
        if defaults is not None and defaults.timeout is not None and not stoppable:
            return attrs.evolve(defaults, timeout=None)
        return defaults
    if own.timeout is None or stoppable:
        return own
    raise DefinitionError(
        f"step {name!r} ({place_of(site)}) has a timeout but a plain function as its body, which nothing can interrupt; "
        "make it `async def`, or pass executor=Threads() of trioflow.executors",
        step=name,
        place=place_of(site),
    )


def _taken_up(
    scope: Scope,
    name: str,
    fn: Callable[..., Any],
    signature: Signature,
    site: Site,
    depends: tuple[Step[Any], ...] | None,
) -> Step[Any] | None:
    """A body has begun again and declares what an earlier attempt of it has declared: the same cell, with the new function.

    What has succeeded is kept, what is still running is shared. A failure belongs to its attempt: None then, for a new cell.
    """
    earlier = cast("Step[Any] | None", scope.earlier(name))
    if earlier is None:
        return None
    _check_same_dependencies(earlier, depends, signature, site)
    if earlier.state in (FAILED, LOST):
        return None
    if earlier.state == PENDING and (depends is None or depends != earlier.deps):
        return None
    earlier.fn, earlier.site, earlier.scope = fn, site, scope
    scope.add(earlier)
    return earlier


def _check_same_dependencies(
    earlier: Step[Any], depends: tuple[Step[Any], ...] | None, signature: Signature, site: Site
) -> None:
    if earlier.params is None:
        before, now = [d.name for d in earlier.deps], [d.name for d in depends or ()]
        same = before == now and (depends is not None or not signature.names)
    else:
        before, now = sorted(signature_of(earlier.fn).names), sorted(signature.names)
        same = before == now and depends is None
    if not same:
        raise DefinitionError(
            f"step {earlier.name!r} ({place_of(site)}) depends on {now}, but when the body around it ran before "
            f"it depended on {before} ({earlier.place}); what a body declares has to stay the same when it is run again",
            step=earlier.name,
            place=place_of(site),
        )


def scope_of(run: Run, task: Task) -> Scope:
    """Where a task's declarations belong: to the body that it runs, if it is running one, else to itself."""
    lane = run.lanes.get(task)
    key = task if lane is None or lane.cell is None else lane.cell
    scope = run.scopes.get(key)
    if scope is None:
        scope = run.scopes[key] = run.root if key is run.main else _new_scope(run, key)
    return scope


def _new_scope(run: Run, key: Task | Step[Any]) -> Scope:
    if isinstance(key, Step):
        return Scope(key.scope, None, key)
    nursery = key.parent_nursery
    up = None if nursery is None else nursery.parent_task
    while up is not None and up not in run.lanes and up not in run.scopes:
        nursery = up.parent_nursery
        up = None if nursery is None else nursery.parent_task
    parent = run.root if up is None else scope_of(run, up)
    return Scope(parent, parent.owner)
