"""Interrupting everywhere: a cancellation at every task step, a Ctrl-C at every line of ours that is executed.

A dozen small programs use, together, all that a run can do. `cancel` runs one of them and cancels somebody (the host, a
waiter, another waiter) just before the k-th time that Trio resumes any task. `interrupt` runs one and raises SIGINT while
the k-th executed line of trioflow is the current one. The signal is raised by the tracing function itself, so that Trio's
own handler decides, as always, by the frame that it hits. Both judge what comes out, then look for what has been left
behind: bodies, tasks, coroutines that nobody awaited, steps that don't know what has become of them.

    python -m tests.agreement.everywhere                  everything
    python -m tests.agreement.everywhere --every 7        every seventh step and line
    python -m tests.agreement.everywhere --only diamond --line 120 --mode 1     one line, with the traceback
"""

from __future__ import annotations

import argparse
import faulthandler
import functools
import gc
import itertools
import logging
import math
import signal
import sys
import time
import traceback
import warnings
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from types import FrameType
from typing import Any, TypeVar, cast

import attrs
import trio
from trio.testing import MockClock

import trioflow
from trioflow import (
    CycleError,
    DeadlockError,
    DefinitionError,
    NonRetryableError,
    Retries,
    RunClosedError,
    Step,
    StepConfig,
    WorkflowEntrypoint,
    WorkflowStep,
    WorkflowTimeoutError,
    open_run,
    run_workflow,
)
from trioflow.abc import Instrument

HOME = str(Path(trioflow.__file__).parent)
#: Far more steps of tasks than any of the programs takes.
ENDLESS = 20_000
#: More virtual seconds than it takes all of them to clean up.
PATIENCE = 4

#: The only thing that the programs forget to await.
FORGOTTEN = "a forgotten sleep"

S = TypeVar("S", bound=Step[Any])

# -------------------------------------------------------------------------------------------------- what programs stand on


class Boom(Exception):
    """What bodies raise."""


class Fatal(BaseException):
    """What ends a run."""


@attrs.define(eq=False)
class Stage:
    """What a program uses to declare and to await, so that it can be seen who runs, who waits and with what result."""

    #: Waiters shield themselves against whoever is around them.
    shield: bool = False
    #: Bodies that have begun and not ended; how often each has begun, and returned.
    live: Counter[str] = attrs.field(factory=Counter)
    begun: Counter[str] = attrs.field(factory=Counter)
    returned: Counter[str] = attrs.field(factory=Counter)
    steps: list[Step[Any]] = attrs.field(factory=list)
    scopes: dict[str, trio.CancelScope] = attrs.field(factory=dict)
    #: By waiter: "value", "error", "cancelled", or "closed" for those outside the run.
    answers: dict[str, str] = attrs.field(factory=dict)
    #: Waiters that don't belong to the run, so that it can be over before they have an answer.
    outside: set[str] = attrs.field(factory=set)

    def keep(self, step: S) -> S:
        """A step that will be asked for again when all is over."""
        self.steps.append(step)
        return step

    def step(self, do: WorkflowStep, name: str, seconds: float, *needs: Step[Any], **kw: Any) -> Step[Any]:
        options = {key: kw.pop(key) for key in ("concurrent", "config") if key in kw}
        return self.keep(do.do(name, depends=needs, **options)(self.body(name, seconds, **kw)))

    def body(self, name: str, seconds: float, *, fails: bool = False, cleanup: float = 0, then: str = "") -> Any:
        """Sleeps, then fails or returns its name. When cancelled it takes its time, then goes, fails or returns ("then")."""

        async def body(*values: Any) -> str:
            with self.running(name):
                try:
                    await trio.sleep(seconds)
                except trio.Cancelled:
                    with trio.CancelScope(shield=True):
                        await trio.sleep(cleanup)
                    if then == "error":
                        raise Boom(name) from None
                    if not then:
                        raise
                if fails:
                    raise Boom(name)
                return self.value(name)

        return body

    @contextmanager
    def running(self, name: str) -> Any:
        assert not self.live[name], f"two executions of {name} overlap"
        self.live[name] += 1
        self.begun[name] += 1
        try:
            yield
        finally:
            self.live[name] -= 1

    def value(self, name: str) -> str:
        self.returned[name] += 1
        assert self.returned[name] == 1, f"{name} has returned twice"
        return name

    async def ask(self, waiter: str, step: Step[Any], *, outside: bool = False) -> None:
        """A waiter that can be cancelled."""
        self.answers[waiter] = "cancelled"
        if outside:
            self.outside.add(waiter)
        with trio.CancelScope(shield=self.shield) as self.scopes[waiter]:
            try:
                value = await step()
                assert value == step.name, value
                self.answers[waiter] = "value"
            except Boom:
                self.answers[waiter] = "error"
            except RunClosedError:
                if not outside:
                    raise
                self.answers[waiter] = "closed"

    async def ask_later(self, seconds: float, limit: float, waiter: str, step: Step[Any]) -> None:
        await trio.sleep(seconds)
        with trio.move_on_after(limit):
            await self.ask(waiter, step)

    async def run(self, workflow: Any, **options: Any) -> Any:
        try:
            return await run_workflow(workflow, **options)
        finally:
            self.check_nothing_lives()

    def check_nothing_lives(self) -> None:
        assert not +self.live, f"still running: {+self.live}"

    async def check_afterwards(self) -> None:
        """The steps know what has become of them, and tell it whoever asks."""
        self.check_nothing_lives()
        for step in self.steps:
            status, reason = step.status, step.reason
            try:
                await step()
                right = ["succeeded"]
            except RunClosedError:
                right = ["pending", "cancelled"]
            except Exception:
                right = ["failed"]
            assert status in right, repr(step)
            assert (reason is None) == (status == "succeeded"), (repr(step), reason)
        self.check_nothing_lives()


@asynccontextmanager
async def plain_nursery() -> AsyncIterator[trio.Nursery]:
    """A nursery that wraps neither a single exception nor what ends a run: the programs' own groups say nothing about ours."""
    try:
        async with trio.open_nursery() as nursery:
            yield nursery
    except BaseExceptionGroup as group:
        for kind in (KeyboardInterrupt, Fatal):
            for error in group.exceptions:
                if isinstance(error, kind):
                    raise error from None
        if len(group.exceptions) > 1:
            raise
        raise group.exceptions[0] from None


# ------------------------------------------------------------------------------------------------------------ the programs


async def diamond(stage: Stage) -> Any:
    """Concurrent, with a sync step; a sleep, and a step that is asked for again."""

    async def workflow(event: Any, step: WorkflowStep) -> Any:
        first = stage.keep(step.do("first")(lambda: stage.value("first")))
        left = stage.step(step, "left", 1, first, cleanup=1)
        right = stage.step(step, "right", 2, first)
        joined = stage.step(step, "joined", 0, left, right, concurrent=True)
        await stage.ask("waiter", joined)
        await step.sleep("a pause", "1 second")
        return await joined()

    return await stage.run(workflow)


async def chain(stage: Stage) -> Any:
    """One after the other, sync and async, with a claimed dependency that somebody else asks for."""

    async def workflow(event: Any, step: WorkflowStep) -> Any:
        a = stage.step(step, "a", 1, cleanup=1)
        b = stage.keep(step.do("b", depends=[a])(lambda a: stage.value("b")))
        c = stage.step(step, "c", 2, then="value", cleanup=1)
        d = stage.step(step, "d", 1)
        last = stage.step(step, "last", 0, b, c, d)
        async with plain_nursery() as nursery:
            nursery.start_soon(stage.ask, "waiter", last)
            await trio.sleep(0.5)
            nursery.start_soon(stage.ask, "sibling", d)
        return await last()

    return await stage.run(workflow)


async def shared(stage: Stage) -> Any:
    """A step with two waiters and a third that leaves."""

    async def workflow(event: Any, step: WorkflowStep) -> Any:
        base = stage.step(step, "base", 3, cleanup=1)
        left = stage.step(step, "left", 1, base)
        right = stage.step(step, "right", 2, base)
        async with plain_nursery() as nursery:
            nursery.start_soon(stage.ask, "waiter", left)
            nursery.start_soon(stage.ask, "sibling", right)
            with trio.move_on_after(1):
                await base()
        assert stage.begun["base"] == 1, "it was taken away from those who still waited"
        return await left()

    return await stage.run(workflow)


async def failure(stage: Stage) -> Any:
    """A step fails while its siblings run: they clean up, one fails at that, one returns all the same."""

    async def workflow(event: Any, step: WorkflowStep) -> Any:
        bad = stage.step(step, "bad", 1, fails=True)
        slow = stage.step(step, "slow", 5, cleanup=2)
        worse = stage.step(step, "worse", 5, cleanup=1, then="error")
        late = stage.step(step, "late", 5, cleanup=1, then="value")
        wanted = stage.step(step, "wanted", 2)
        below = stage.step(step, "below", 0, slow, wanted, concurrent=True)
        top = stage.step(step, "top", 0, below, worse, late, bad, concurrent=True)
        async with plain_nursery() as nursery:
            nursery.start_soon(stage.ask, "waiter", top)
            nursery.start_soon(stage.ask, "sibling", wanted)
        return await slow()

    return await stage.run(workflow)


async def names(stage: Stage) -> Any:
    """What parameters mean: other steps, a loop's own, keyword-only ones, the context; and mistakes."""

    class ByName(WorkflowEntrypoint):
        async def run(self, event: Any, step: WorkflowStep) -> Any:
            lasts = []
            for number in range(2):

                @stage.keep
                @step.do(f"part {number}")
                async def part(number: int = number) -> int:
                    return number

                @stage.keep
                @step.do(f"last {number}", concurrent=True)
                async def last(part: int, *, ctx: Any, more: int = 1) -> int:
                    await trio.sleep(1)
                    return part + more + int(ctx.attempt)

                lasts.append(last)

            total = stage.keep(step.do("total", depends=lasts)(functools.partial(self.add, extra=1)))

            @step.do()
            async def circle(round_: int) -> None: ...

            @step.do("round_")
            async def rounder(circle: int) -> None: ...

            @step.do()
            async def lost(totla: int) -> None: ...

            for wrong, error in ((circle, CycleError), (lost, DefinitionError)):
                try:
                    await wrong()
                except error:
                    stage.answers[wrong.name] = "error"
            try:
                step.do("too many", depends=[part])(lambda: None)
            except DefinitionError:
                stage.answers["too many"] = "error"
            return await total()

        def add(self, *parts: int, extra: int) -> int:
            return sum(parts) + extra

    return await stage.run(ByName, params={"day": 1}, env={"key": "value"})


async def inner(stage: Stage) -> Any:
    """Bodies that declare and await steps of their own, in tasks of their own too, and one that waits for itself."""

    async def workflow(event: Any, step: WorkflowStep) -> Any:
        cells: dict[str, Step[Any]] = {}
        count = iter(range(100))

        @stage.keep
        @step.do("outer")
        async def outer() -> str:
            with stage.running("outer"):
                i = next(count)
                one = stage.step(step, f"one {i}", 1)

                @stage.keep
                @step.do(f"two {i}")
                async def two(ctx: Any) -> str:
                    try:
                        await cells["top"]()
                    except DeadlockError:
                        return f"two {i}"
                    raise AssertionError("a body that waits for itself")

                async with plain_nursery() as nursery:
                    nursery.start_soon(two, name="two")  # else Trio calls repr between making a coroutine and a task
                    assert await one() == one.name
                return stage.value("outer")

        other = stage.step(step, "other", 0.5, cleanup=1)
        cells["top"] = top = stage.step(step, "top", 0, outer, other, concurrent=True)
        await stage.ask("waiter", top)
        return await top()

    return await stage.run(workflow)


async def attempts(stage: Stage) -> Any:
    """Retries with a delay, a timeout, an error that is not retried, a run's defaults."""

    async def workflow(event: Any, step: WorkflowStep) -> Any:
        tries = iter(range(100))

        @stage.keep
        @step.do("flaky", config=StepConfig(Retries(20, lambda ctx, error: timedelta(seconds=1)), timeout="2 seconds"))
        async def flaky(ctx: Any) -> str:
            with stage.running("flaky"):
                match next(tries):
                    case 0:
                        raise Boom("flaky")
                    case 1:
                        await trio.sleep(3)
                await trio.sleep(1)
                return stage.value("flaky")

        @stage.keep
        @step.do("hopeless", config={"retries": {"limit": 3, "delay": "1 second", "backoff": "exponential"}})
        def hopeless() -> None:
            raise NonRetryableError("hopeless")

        slow = stage.step(step, "slow", 100, config=StepConfig(timeout="3 seconds"), cleanup=1)
        await stage.ask("waiter", flaky)
        for wrong, error in ((hopeless, NonRetryableError), (slow, WorkflowTimeoutError)):
            try:
                await wrong()
            except error:
                stage.answers[wrong.name] = "error"
        return await flaky()

    return await stage.run(workflow, defaults={"retries": {"limit": 1, "delay": "1 second"}})


async def held(stage: Stage) -> Any:
    """A run with a handle: the host asks for its result and for its steps, and leaves before the end."""

    async def workflow(event: Any, step: WorkflowStep) -> Any:
        a = stage.step(step, "a", 1, cleanup=1)
        b = stage.step(step, "b", 2, a, cleanup=1)
        await stage.ask("waiter", b)
        return stage.answers["waiter"]

    async def endless(event: Any, step: WorkflowStep) -> Any:
        await stage.step(step, "endless", math.inf, cleanup=1)()

    async with open_run(workflow) as run:
        await trio.sleep(0.5)
        await stage.ask("sibling", run.steps[0], outside=True)
        first = await run.result()
    stage.check_nothing_lives()
    async with open_run(endless):
        await trio.sleep(1)
    stage.check_nothing_lives()
    return first


async def strangers(stage: Stage) -> Any:
    """The workflow's function returns while tasks of a foreign nursery await its steps, and another one fails."""

    async def workflow(event: Any, step: WorkflowStep) -> Any:
        a = stage.step(step, "a", 5, cleanup=2)
        b = stage.step(step, "b", 5, cleanup=1, then="value")
        c = stage.step(step, "c", 5, cleanup=1, then="error")
        top = stage.step(step, "top", 0, a, b, concurrent=True)
        foreign.start_soon(functools.partial(stage.ask, "stranger", top, outside=True))
        foreign.start_soon(functools.partial(stage.ask, "another stranger", b, outside=True))
        foreign.start_soon(functools.partial(stage.ask, "third", c, outside=True))
        await stage.ask("waiter", stage.step(step, "quick", 1))
        return "early"

    async with plain_nursery() as foreign:
        return await stage.run(workflow)


async def cut_off(stage: Stage) -> Any:
    """The host's own timeout passes while bodies run, one of them awaited under a shield."""

    async def workflow(event: Any, step: WorkflowStep) -> Any:
        a = stage.step(step, "a", 5, cleanup=1)
        b = stage.step(step, "b", 2)
        try:
            await stage.ask("waiter", stage.step(step, "top", 0, a, b, concurrent=True))
        finally:
            with trio.CancelScope(shield=True):
                await stage.ask("shielded", stage.step(step, "afterwards", 1))

    with trio.move_on_after(3):
        await stage.run(workflow)


async def fan(stage: Stage) -> Any:
    """Many bodies, so that lanes are parked, woken and taken over: demands in turn and at once."""

    async def workflow(event: Any, step: WorkflowStep) -> Any:
        for i in range(2):
            leaves = [stage.step(step, f"{i}{j}", j % 2) for j in range(3)]
            await stage.ask("waiter", stage.step(step, f"join {i}", 0, *leaves, concurrent=True))
        async with plain_nursery() as nursery:
            for i in range(2, 4):
                leaves = [stage.step(step, f"{i}{j}", 1) for j in range(2)]
                nursery.start_soon(stage.ask, f"waiter {i}", stage.step(step, f"join {i}", 1, *leaves, concurrent=True))

    return await stage.run(workflow)


async def again(stage: Stage) -> Any:
    """Steps that are wanted again while they stop, as one of a sequence too; and one that fails at that."""

    async def workflow(event: Any, step: WorkflowStep) -> Any:
        a = stage.step(step, "a", 2, cleanup=2)
        x = stage.step(step, "x", 1)
        row = stage.step(step, "row", 0, x, a)
        bad = stage.step(step, "bad", 5, cleanup=2, then="error")
        top = stage.step(step, "top", 0, bad, x, concurrent=True)
        async with plain_nursery() as nursery:
            nursery.start_soon(stage.ask_later, 0, 1, "first", a)
            nursery.start_soon(stage.ask_later, 0, 1, "second", top)
            nursery.start_soon(stage.ask_later, 1.5, 1, "third", a)
            nursery.start_soon(stage.ask_later, 1.5, math.inf, "waiter", row)
            nursery.start_soon(stage.ask_later, 1.5, math.inf, "sibling", top)
        return await a()

    return await stage.run(workflow)


async def going_down(stage: Stage) -> Any:
    """A body raises what is no Exception while others run, are queued and are wanted by strangers."""

    told = trio.Event()

    async def workflow(event: Any, step: WorkflowStep) -> Any:
        @stage.keep
        @step.do("fatal")
        async def fatal() -> None:
            with stage.running("fatal"):
                await trio.sleep(1)
                told.set()
                raise Fatal

        async def ask_when_told() -> None:
            with trio.move_on_after(10):
                await told.wait()
                await stage.ask("late", late, outside=True)

        late = stage.step(step, "late", 1)
        slow = stage.step(step, "slow", 5, cleanup=1)
        worse = stage.step(step, "worse", 5, cleanup=2, then="error")
        top = stage.step(step, "top", 0, slow, fatal, worse, concurrent=True)
        foreign.start_soon(functools.partial(stage.ask, "stranger", slow, outside=True))
        async with plain_nursery() as nursery:
            nursery.start_soon(ask_when_told)
            nursery.start_soon(trio.sleep, 100)
            await stage.ask("waiter", top)

    async with plain_nursery() as foreign:
        try:
            await stage.run(workflow)
        finally:
            assert not told.is_set() or trio.current_time() <= 1 + PATIENCE, "what ends a run ends it at once"


async def handles(stage: Stage) -> Any:
    """Runs with a handle that fail: whoever asked hears of it, else whoever leaves the block; and asking afterwards."""

    async def workflow(event: Any, step: WorkflowStep) -> Any:
        await stage.step(step, f"bad {event.payload}", 1, fails=True)()

    async def endless(event: Any, step: WorkflowStep) -> Any:
        await stage.step(step, "endless", math.inf, cleanup=1)()

    try:
        async with open_run(workflow, 1) as run:
            await stage.ask("waiter", cast(Any, run.result), outside=True)
    except Boom:  # the waiter has left before
        pass
    for number, error in ((2, Boom), (3, KeyError)):
        try:
            async with open_run(workflow, number):
                await trio.sleep(2)
                if error is KeyError:
                    raise KeyError
        except error:
            stage.answers[f"run {number}"] = "error"
    async with open_run(endless) as run:
        await trio.sleep(1)
    stage.check_nothing_lives()
    for ask in (run.result, run.steps[0]):
        try:
            await ask()
        except RunClosedError:
            stage.answers[f"afterwards {ask!r:.5}"] = "closed"
    return repr(run)[-20:]


class Listener(Instrument):
    def __init__(self) -> None:
        self.heard: list[str] = []

    def step_started(self, fact: Any, /) -> None:
        self.heard.append(f"{fact.step} started")

    def step_completed(self, fact: Any, /) -> None:
        self.heard.append(f"{fact.step} completed")

    def step_errored(self, fact: Any, /) -> None:
        self.heard.append(f"{fact.step} errored")

    def step_cancelled(self, fact: Any, /) -> None:
        self.heard.append(f"{fact.step} cancelled")
        raise Boom("an instrument that raises is told no more")


async def watched(stage: Stage) -> Any:
    """Instruments hear of all kinds of ends; a sleep that nobody awaits is reported."""

    async def workflow(event: Any, step: WorkflowStep) -> Any:
        good = stage.keep(step.do("good")(lambda: stage.value("good")))
        bad = stage.step(step, "bad", 1, good, fails=True)
        slow = stage.step(step, "slow", 3, good)
        await stage.ask("waiter", stage.step(step, "top", 0, bad, slow, concurrent=True))
        _ = step.sleep(FORGOTTEN, 1)
        return await slow()

    return await stage.run(workflow, instruments=[Listener(), Listener()], instance_id="watched")


#: Programs in which one waiter's leaving changes, rightly, what others get: when a body is begun again, or a run goes down.
NO_USUAL_ANSWERS = ("again", "going_down")

Program = Callable[[Stage], Coroutine[Any, Any, Any]]


async def events(stage: Stage) -> Any:
    """Events that come early, late and not at all, to a body too; a moment is waited for."""

    async def workflow(event: Any, step: WorkflowStep) -> Any:
        await step.wait_for_event("early", "a")

        @stage.keep
        @step.do("inside")
        async def inside() -> str:
            with stage.running("inside"):
                await step.wait_for_event("in a body", "b", "1 minute")
                return stage.value("inside")

        await stage.ask("waiter", inside)
        with suppress(WorkflowTimeoutError):
            await step.wait_for_event("none", "c", "1 second")
        await step.sleep_until("then", event.timestamp + timedelta(seconds=5))
        return await inside()

    try:
        async with open_run(workflow) as run:
            run.send_event("a")
            try:
                await trio.sleep(1)
            finally:  # a shielded waiter waits for it also where the host is cancelled
                with suppress(RunClosedError):
                    run.send_event("b")
            return await run.result()
    finally:
        stage.check_nothing_lives()


_ALL: list[Any] = [diamond, chain, shared, failure, names, inner, attempts, held]
_ALL += [strangers, cut_off, fan, again, going_down, handles, watched, events]
PROGRAMS = {program.__name__: program for program in _ALL}


# ----------------------------------------------------------------------------------------------------------- one execution


@attrs.define(eq=False)
class Watchdog(trio.abc.Instrument):
    """Which tasks there are, and how often any of them was resumed: before the k-th time it does something."""

    at: int = -1
    act: Callable[[], None] = lambda: None
    steps: int = 0
    tasks: set[trio.lowlevel.Task] = attrs.field(factory=set)
    emergency: trio.CancelScope | None = None

    def task_spawned(self, task: trio.lowlevel.Task) -> None:
        self.tasks.add(task)

    def task_exited(self, task: trio.lowlevel.Task) -> None:
        self.tasks.discard(task)

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        if self.emergency is None or task.parent_nursery is None:
            return
        self.steps += 1
        if self.steps == self.at:
            self.act()
        elif self.steps > ENDLESS:
            self.emergency.cancel()


@attrs.define(eq=False)
class Execution:
    """One execution of a program, and all that could be seen of it."""

    program: Program
    stage: Stage = attrs.field(factory=Stage)
    watchdog: Watchdog = attrs.field(factory=Watchdog)
    result: Any = None
    ended_at: float = math.nan
    error: BaseException | None = None
    #: What the program has ended with where that is its usual end.
    fatal: Fatal | None = None
    complaints: list[str] = attrs.field(factory=list)

    def perform(self, before: Callable[[], None], after: Callable[[], None], *, mode: int = 0) -> None:
        """Run it in a Trio program of its own. `mode` as in MODES."""

        async def main() -> None:
            others = set(self.watchdog.tasks)
            with trio.move_on_after(10_000) as self.watchdog.emergency:
                await self.main(before, after)
            assert not self.watchdog.emergency.cancel_called, "it hangs, or goes on for ever"
            self.watchdog.emergency = None
            left = [task.name for task in self.watchdog.tasks - others]
            assert not left, f"tasks are left: {left}"
            if self.error is not None and not isinstance(self.error, trio.Cancelled):
                raise self.error

        started = trio.lowlevel.enable_ki_protection(main) if mode == 1 else main
        unraisable = sys.unraisablehook
        sys.unraisablehook = lambda args: self.complaints.append(f"unraisable: {args.exc_value!r} in {args.object!r}")
        try:
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                try:
                    trio.run(
                        started,
                        clock=MockClock(autojump_threshold=0),
                        instruments=[self.watchdog],
                        restrict_keyboard_interrupt_to_checkpoints=mode == 2,
                    )
                    self.error = None
                except BaseException as exc:
                    self.error = exc
                    self.error.__traceback__ = without_locals(exc)
                gc.collect()
        finally:
            after()
            sys.unraisablehook = unraisable
        messages = [f"{w.filename}:{w.lineno}: {w.message}" for w in caught]
        self.complaints += [m for m in messages if FORGOTTEN not in m]
        assert not self.complaints, self.complaints

    async def main(self, before: Callable[[], None], after: Callable[[], None]) -> None:
        before()
        try:
            with trio.CancelScope() as self.stage.scopes["host"]:
                self.result = await self.program(self.stage)
        except Fatal as exc:
            self.fatal = exc
        except BaseException as exc:
            self.error = exc
        finally:
            after()
            self.ended_at = trio.current_time()
        with trio.CancelScope(shield=True):
            try:
                await self.stage.check_afterwards()
            except KeyboardInterrupt as exc:  # that was on its way to us all the time
                assert self.error is None, self.error
                self.error = exc
                await self.stage.check_afterwards()


def without_locals(error: BaseException) -> Any:
    """Its traceback, the frames' variables forgotten: what they hold would be collected, and complain, in the next run."""
    traceback.clear_frames(error.__traceback__)
    return error.__traceback__


def nothing() -> None:
    pass


# ---------------------------------------------------------------------------------------- a cancellation at every task step


@attrs.frozen
class Usual:
    """What a program does when nobody interferes."""

    result: Any
    answers: dict[str, str]
    task_steps: int


@functools.cache
def usual(name: str, shield: bool) -> Usual:
    execution = Execution(PROGRAMS[name], Stage(shield))
    execution.perform(nothing, nothing)
    assert execution.error is None, execution.error
    return Usual(execution.result, dict(execution.stage.answers), execution.watchdog.steps)


def targets(name: str) -> list[str]:
    """Who can be cancelled."""
    stage = Stage()
    Execution(PROGRAMS[name], stage).perform(nothing, nothing)
    return list(stage.scopes)


def cancel(name: str, target: str, shield: bool, step: int) -> str | None:
    """Cancel somebody before the `step`-th task step. Gives how it ended; None if there are no so many steps."""
    stage = Stage(shield)
    hit = []

    def act() -> None:
        if target in stage.scopes:
            stage.scopes[target].cancel()
            hit.append(target)

    execution = Execution(PROGRAMS[name], stage, Watchdog(step, act))
    execution.perform(nothing, nothing)
    if execution.watchdog.steps < step:
        return None
    if not hit:
        return "too early"
    was = usual(name, shield)
    # P10: where bodies fail while the host cancels, and nobody hears of it, the run says so.
    if execution.error is not None and not (target == "host" and isinstance(execution.error, Boom)):
        raise execution.error
    for waiter, answer in stage.answers.items():
        allowed = {was.answers.get(waiter, "value")}
        if target in ("host", waiter):
            allowed |= {"cancelled", *({"error"} & set(was.answers.values()))}
        if waiter in stage.outside and target not in stage.outside:  # that ends the run earlier than usual
            allowed.add("closed")
        if name in NO_USUAL_ANSWERS:
            allowed |= {"value", "error", "cancelled"}
        assert answer in allowed, f"{waiter} got {answer} and not {allowed} when {target} was cancelled"
    if target == "host":
        if execution.error is not None:
            return "an error came out"
        return "cancelled" if stage.scopes["host"].cancelled_caught else "finished"
    if name != "held":  # whose result is the waiter's answer
        assert execution.result == was.result, f"{execution.result!r} and not {was.result!r}"
    answer = stage.answers.get(target, "never asked")
    return f"{answer}, the others as usual"


# ------------------------------------------------------------------------------------------------- a Ctrl-C at every line

MODES = ("anywhere", "anywhere, with a protected main task", "at checkpoints only")


@attrs.define(eq=False)
class Pen:
    """Follows the lines of trioflow as they are executed. While the k-th is the current one it raises SIGINT."""

    at: int = -1
    count: int = 0
    hit: tuple[str, int] | None = None
    hit_at: float = math.nan
    seen: set[tuple[str, int]] = attrs.field(factory=set)
    #: Who else traces, a coverage measurement say; once we have begun.
    others: list[Any] = attrs.field(factory=list)

    def start(self) -> None:
        self.others.append(sys.gettrace())
        sys.settrace(self.trace)

    def stop(self) -> None:
        if self.others:
            sys.settrace(self.others.pop())

    def trace(self, frame: FrameType, event: str, arg: object) -> Any:
        file = frame.f_code.co_filename
        if not file.startswith(HOME) and not (file.startswith("<attrs generated") and "trioflow" in file):
            return None
        return self.line

    def line(self, frame: FrameType, event: str, arg: object) -> Any:
        if event == "line":
            self.count += 1
            if self.at < 0:
                self.seen.add((frame.f_code.co_filename, frame.f_lineno))
            elif self.count == self.at:
                sys.settrace(None)
                self.hit = (frame.f_code.co_filename, frame.f_lineno)
                self.hit_at = trio.current_time()
                signal.raise_signal(signal.SIGINT)
        return self.line


def lines_of(name: str) -> Pen:
    """How many lines of ours a program executes, and which."""
    pen = Pen()
    for _ in range(2):  # the first time fills what is cached
        pen.count, pen.seen = 0, set()
        Execution(PROGRAMS[name]).perform(pen.start, pen.stop)
    return pen


def interrupt(name: str, mode: int, line: int) -> tuple[str, int] | None:
    """Ctrl-C at the `line`-th line of ours. KeyboardInterrupt has to come out. Gives file and line; None if not so many."""
    pen = Pen(line)
    execution = Execution(PROGRAMS[name])
    execution.perform(pen.start, pen.stop, mode=mode)
    if pen.hit is None:
        if execution.error is not None:
            raise execution.error
        return None
    late = execution.ended_at - pen.hit_at
    assert late <= PATIENCE, f"a Ctrl-C at {pen.hit[0]}:{pen.hit[1]} has ended it {late} s later"
    if execution.fatal is not None and "KeyboardInterrupt" in "".join(getattr(execution.fatal, "__notes__", [])):
        return pen.hit  # two at once: one comes out, with a note for the other
    if type(execution.error) is not KeyboardInterrupt:
        error = AssertionError(f"a Ctrl-C has ended in {execution.error!r}")
        error.add_note(f"it came at {pen.hit[0]}:{pen.hit[1]}")
        raise error from execution.error
    return pen.hit


# ---------------------------------------------------------------------------------------------------------------- everything


@attrs.define
class Tally:
    """Counts how executions end, and shows the first of each kind that ended badly."""

    ends: Counter[str] = attrs.field(factory=Counter)
    bad: Counter[str] = attrs.field(factory=Counter)

    def add(self, what: str, attempt: Callable[[], Any]) -> Any:
        """What `attempt` gives; False if it failed."""
        faulthandler.dump_traceback_later(60, exit=True)
        try:
            return attempt()
        except BaseException as exc:
            kind = f"{type(exc).__name__}: {str(exc)[:150]}"
            if not self.bad[kind]:
                print(f"BAD  {what}: {kind}", *getattr(exc, "__notes__", []), flush=True)
            self.bad[kind] += 1
            return False
        finally:
            faulthandler.cancel_dump_traceback_later()


def until_none(tally: Tally, what: str, every: int, attempt: Callable[[int], Any]) -> Iterator[Any]:
    """What attempts 1, 1 + every, ... give, those that failed left out, until there is nothing more to try, or to hope."""
    in_a_row = 0
    for number in itertools.count(1, every):
        end = tally.add(what.format(number), functools.partial(attempt, number))
        in_a_row = in_a_row + 1 if end is False else 0
        if end is None or in_a_row > 200:
            return
        if end is not False:
            yield end


def cancel_everywhere(only: list[str], every: int) -> Tally:
    tally = Tally()
    for name in only:
        for target in targets(name):
            for shield in (False, True):
                what = f"{name}, {target} cancelled at task step {{}}, {'with' if shield else 'without'} shields"
                for end in until_none(tally, what, every, functools.partial(cancel, name, target, shield)):
                    tally.ends[("host: " if target == "host" else "waiter: ") + end] += 1
    return tally


def interrupt_everywhere(only: list[str], every: int, mode: int) -> tuple[Tally, int, int]:
    """Also how many different lines there are, and how many of them were hit."""
    tally = Tally()
    seen: set[tuple[str, int]] = set()
    hit: set[tuple[str, int]] = set()
    for name in only:
        seen |= lines_of(name).seen
        what = f"{name}, line {{}}, mode {mode}"
        for end in until_none(tally, what, every, functools.partial(interrupt, name, mode)):
            tally.ends["KeyboardInterrupt"] += 1
            hit.add(end)
    return tally, len(seen), len(hit & seen)


def show(title: str, tally: Tally, began: float) -> None:
    good, bad = sum(tally.ends.values()), sum(tally.bad.values())
    print(f"{title}: {good:,} as promised, {bad:,} not; {time.perf_counter() - began:.0f} s")
    for what, n in sorted(tally.ends.items()):
        print(f"{n:9,} {what}")
    for what, n in tally.bad.most_common():
        print(f"{n:9,} BAD {what}")
    sys.stdout.flush()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.agreement.everywhere")
    parser.add_argument("--every", type=int, default=1, help="only every n-th step and line")
    parser.add_argument("--only", nargs="*", default=list(PROGRAMS), choices=PROGRAMS, help="these programs")
    parser.add_argument("--skip", choices=("cancel", "interrupt"), help="leave out one of the two parts")
    parser.add_argument("--mode", type=int, choices=range(3), help="one way of Trio's to treat SIGINT")
    parser.add_argument("--line", type=int, help="Ctrl-C at this line only, with the traceback")
    options = parser.parse_args()
    logging.getLogger("trioflow").addHandler(logging.NullHandler())
    gc.collect()
    gc.freeze()
    if options.line is not None:
        for name in options.only:
            lines_of(name)
            print(interrupt(name, options.mode or 0, options.line))
        return 0
    bad = 0
    if options.skip != "cancel":
        began = time.perf_counter()
        tally = cancel_everywhere(options.only, options.every)
        show("cancelled at every task step", tally, began)
        bad += tally.bad.total()
    if options.skip != "interrupt":
        for mode in range(3) if options.mode is None else [options.mode]:
            began = time.perf_counter()
            tally, seen, hit = interrupt_everywhere(options.only, options.every, mode)
            show(f"Ctrl-C {MODES[mode]}, at {hit:,} of {seen:,} different lines", tally, began)
            bad += tally.bad.total()
    return int(bad > 0)


if __name__ == "__main__":
    sys.exit(main())
