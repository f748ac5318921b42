"""asyncio is the judge: drawn programs give the same on its own loop, in virtual time, and bridged to Trio.

The same coroutine runs in both: same log, in the same order, at the same times, and the same end. What is drawn are
programs in all that asyncio has for tasks: times may coincide, tasks are cancelled, errors fly through groups and shields.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import selectors
from collections.abc import Callable, Coroutine
from typing import Any

import attrs
import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock

from trioflow import run_workflow
from trioflow._asyncio import bridged

Program = Callable[["World"], Coroutine[Any, Any, Any]]
Log = list[tuple[Any, ...]]
FAR = 1000


# -------------------------------------------------------------------------------------------------- asyncio's own loop


class Jumping(selectors.DefaultSelector):
    """Nothing is ever ready, and waiting takes no time: the clock is set instead."""

    now = 0.0

    def select(self, timeout: float | None = None) -> Any:
        ready = super().select(0)
        if not ready:
            assert timeout is not None, "a program that waits for ever"
            self.now += timeout
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self.selector = Jumping()
        super().__init__(self.selector)

    def time(self) -> float:
        return self.selector.now


def under_asyncio(program: Program) -> tuple[Log, object]:
    async def main() -> tuple[Log, object]:
        return await observed(program)

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main())


# ---------------------------------------------------------------------------------------------------------------- ours


def under_trio(program: Program) -> tuple[Log, object]:
    @bridged
    async def main() -> tuple[Log, object]:
        return await observed(program)

    return trio.run(main, clock=MockClock(autojump_threshold=0))


def as_body(program: Program) -> tuple[Log, object]:
    async def workflow(event: Any, step: Any) -> tuple[Log, object]:
        @step.do()
        @bridged
        async def body() -> tuple[Log, object]:
            return await observed(program)

        return await body()

    return trio.run(run_workflow, workflow, clock=MockClock(autojump_threshold=0))


# ----------------------------------------------------------------------------------------------------------- a program


class World:
    """What the parts of a program share."""

    def __init__(self, *, mixed: bool = False) -> None:
        self.mixed = mixed  # every other sleep is Trio's, where there is one
        self.log: Log = []
        self.loop = asyncio.get_running_loop()
        self.began = self.loop.time()
        self.tasks: list[asyncio.Task[Any]] = []
        self.lock = asyncio.Lock()
        self.gate = asyncio.Semaphore(2)
        self.event = asyncio.Event()
        self.queue: asyncio.Queue[Any] = asyncio.Queue(2)
        self.condition = asyncio.Condition()
        self.serial = 0
        #: Parts that have begun and not ended.
        self.open = 0

    def say(self, *what: Any) -> None:
        self.log.append((round(self.loop.time() - self.began, 6), *what))

    def number(self) -> int:
        self.serial += 1
        return self.serial


def shown(error: BaseException) -> Any:
    if isinstance(error, BaseExceptionGroup):
        return ("group", [shown(e) for e in error.exceptions])
    kind = "CancelledError" if isinstance(error, asyncio.CancelledError) else type(error).__name__
    return (kind, *map(str, error.args), shown(error.__cause__) if error.__cause__ else None)


async def observed(program: Program) -> tuple[Log, object]:
    world = World()
    try:
        async with asyncio.timeout(FAR):
            end: object = await program(world)
    except (Exception, asyncio.CancelledError) as exc:
        end = shown(exc)
    world.say("end")
    task = asyncio.current_task()
    assert task is not None
    world.log.append(("cancelling", task.cancelling(), len(asyncio.all_tasks())))
    for t in world.tasks:
        world.log.append((t.done(), t.done() and t.cancelled()))
        if t.done() and not t.cancelled():
            t.exception()
    # The rest, as it is asked of by those who end in good order.
    for t in world.tasks:
        t.cancel()
    for rest in await asyncio.gather(*world.tasks, return_exceptions=True):
        world.say("left", shown(rest) if isinstance(rest, BaseException) else rest)
    return list(world.log), end  # what begins only while all that is left is being cancelled is no part of it


@attrs.frozen(repr=False)
class Op:
    """A part of a program, which shows how to write it."""

    make: Callable[..., Program]
    args: tuple[Any, ...]

    async def __call__(self, world: World) -> Any:
        world.open += 1
        try:
            return await self.make(*self.args)(world)
        finally:
            world.open -= 1

    def __repr__(self) -> str:
        return f"{self.make.__name__}({', '.join(map(repr, self.args))})"


def op(make: Callable[..., Program], *args: st.SearchStrategy[Any]) -> Any:
    return st.tuples(*args).map(lambda drawn: Op(make, drawn))


def sleep(n: int) -> Program:
    async def program(w: World) -> int:
        me = w.number()
        w.say("sleep", me)
        await (trio.sleep if w.mixed and me % 2 else asyncio.sleep)(n)
        w.say("slept", me)
        return n

    return program


def sequence(parts: list[Program]) -> Program:
    async def program(w: World) -> list[Any]:
        return [await part(w) for part in parts]

    return program


def gather(parts: list[Program], quiet: bool) -> Program:
    async def program(w: World) -> list[Any]:
        got = await asyncio.gather(*(part(w) for part in parts), return_exceptions=quiet)
        got = [shown(g) if isinstance(g, BaseException) else g for g in got]
        w.say("gathered", got)
        return got

    return program


def wait_for(part: Program, n: int) -> Program:
    async def program(w: World) -> Any:
        try:
            return await asyncio.wait_for(part(w), n)
        except TimeoutError:
            w.say("too late")

    return program


def within(part: Program, n: int) -> Program:
    async def program(w: World) -> Any:
        try:
            async with asyncio.timeout(n) as limit:
                return await part(w)
        finally:
            w.say("within", limit.expired())

    return program


def spawn(part: Program) -> Program:
    async def program(w: World) -> None:
        w.tasks.append(asyncio.create_task(part(w)))

    return program


def cancel(i: int) -> Program:
    async def program(w: World) -> None:
        if w.tasks:
            task = w.tasks[i % len(w.tasks)]
            w.say("cancel", task.cancel(f"by {i}"), task.cancelling())

    return program


def join(i: int) -> Program:
    async def program(w: World) -> Any:
        if not w.tasks or (task := w.tasks[i % len(w.tasks)]) is asyncio.current_task():
            return None
        done, pending = await asyncio.wait([task], timeout=7)
        w.say("joined", len(done), len(pending))
        return await asyncio.shield(task) if done else None

    return program


class Ordered(dict[Any, None]):
    """In place of the set whose order, and so that in which a TaskGroup cancels, is another one each time."""

    def add(self, task: Any) -> None:
        self[task] = None

    def discard(self, task: Any) -> None:
        self.pop(task, None)


def group(parts: list[Program]) -> Program:
    async def program(w: World) -> list[Any]:
        async with asyncio.TaskGroup() as tasks:
            tasks._tasks = Ordered()  # type: ignore[assignment]
            made = [tasks.create_task(part(w)) for part in parts]
            w.say("opened")
            if len(made) > 1:
                await parts[0](w)
        return [t.result() for t in made]

    return program


def shield(part: Program) -> Program:
    async def program(w: World) -> Any:
        task = asyncio.ensure_future(part(w))
        w.tasks.append(task)
        return await asyncio.shield(task)

    return program


def wait(parts: list[Program], n: int, when: str) -> Program:
    async def program(w: World) -> None:
        tasks = [asyncio.create_task(part(w)) for part in parts]
        w.tasks += tasks
        done, _ = await asyncio.wait(tasks, timeout=n, return_when=when)
        w.say("waited", [t in done for t in tasks])

    return program


def in_turn(parts: list[Program], n: int) -> Program:
    async def program(w: World) -> None:
        tasks = [asyncio.create_task(part(w)) for part in parts]
        w.tasks += tasks
        # (Its own order among those that are done already is that of a set.)
        for future in asyncio.as_completed(tasks[:1], timeout=n):
            with contextlib.suppress(TimeoutError):
                w.say("completed", await future)

    return program


def fail(n: int) -> Program:
    async def program(w: World) -> None:
        w.say("fail", n)
        raise ValueError(n)

    return program


def caught(part: Program) -> Program:
    async def program(w: World) -> Any:
        try:
            return await part(w)
        except Exception as exc:
            w.say("caught", shown(exc))

    return program


def cleaned(part: Program, after: Program) -> Program:
    async def program(w: World) -> Any:
        try:
            return await part(w)
        except asyncio.CancelledError as exc:
            w.say("cancelled", shown(exc))
            raise
        finally:
            await after(w)
            w.say("cleaned")

    return program


def swallowed(part: Program) -> Program:
    async def program(w: World) -> Any:
        task = asyncio.current_task()
        assert task is not None
        try:
            return await part(w)
        except asyncio.CancelledError:
            w.say("swallowed", task.cancelling(), task.uncancel())

    return program


def locked(part: Program) -> Program:
    async def program(w: World) -> Any:
        async with asyncio.timeout(20), w.gate:
            w.say("in the gate")
            return await part(w)

    return program


def alone(part: Program) -> Program:
    async def program(w: World) -> Any:
        async with asyncio.timeout(20), w.lock:
            w.say("locked")
            return await part(w)

    return program


def produce(n: int) -> Program:
    async def program(w: World) -> None:
        await asyncio.wait_for(w.queue.put(n), 30)
        w.say("put", n)

    return program


def consume() -> Program:
    async def program(w: World) -> Any:
        got = await asyncio.wait_for(w.queue.get(), 30)
        w.say("got", got)
        return got

    return program


def await_event() -> Program:
    async def program(w: World) -> None:
        await asyncio.wait_for(w.event.wait(), 30)
        w.say("event")

    return program


def set_event() -> Program:
    async def program(w: World) -> None:
        w.event.set()
        w.event.clear()

    return program


def await_condition() -> Program:
    async def program(w: World) -> None:
        async with asyncio.timeout(20), w.condition:
            await w.condition.wait()
            w.say("notified")

    return program


def notify(n: int) -> Program:
    async def program(w: World) -> None:
        async with asyncio.timeout(20), w.condition:
            w.condition.notify(n)

    return program


def later(n: int) -> Program:
    async def program(w: World) -> None:
        me = w.number()
        future = w.loop.create_future()
        w.loop.call_later(n, lambda: future.done() or future.set_result(me))
        w.loop.call_soon(w.say, "soon", me)
        w.say("later", await future)

    return program


ticks = st.integers(0, 9)
simple = st.one_of(
    op(sleep, ticks),
    op(sleep, ticks),
    op(fail, ticks),
    op(cancel, ticks),
    op(join, ticks),
    op(produce, ticks),
    op(later, ticks),
    op(notify, ticks),
    *map(op, [consume, await_event, set_event, await_condition]),
)
RETURN_WHEN = st.sampled_from([asyncio.ALL_COMPLETED, asyncio.FIRST_COMPLETED, asyncio.FIRST_EXCEPTION])


def nested(inner: Any) -> Any:
    several = st.lists(inner, min_size=1, max_size=4)
    return st.one_of(
        op(sequence, several),
        op(sequence, several),
        op(gather, several, st.booleans()),
        op(wait_for, inner, ticks),
        op(within, inner, ticks),
        op(spawn, inner),
        op(group, several),
        op(shield, inner),
        op(wait, several, ticks, RETURN_WHEN),
        op(in_turn, several, ticks),
        op(caught, inner),
        op(swallowed, inner),
        op(cleaned, inner, inner),
        op(locked, inner),
        op(alone, inner),
    )


programs = st.recursive(simple, nested, max_leaves=25)


@pytest.fixture(autouse=True)
def _quiet() -> Any:
    """Programs forget the errors of their tasks; asyncio logs each when the garbage is collected."""
    logging.disable(logging.CRITICAL)
    yield
    gc.collect()
    logging.disable(logging.NOTSET)


@given(programs)
@settings(max_examples=300)
def test_a_program_gives_the_same_as_on_asyncios_own_loop(program: Program) -> None:
    assert under_trio(program) == under_asyncio(program)


@given(programs)
@settings(max_examples=50)
def test_a_steps_body_gives_the_same(program: Program) -> None:
    assert as_body(program) == under_asyncio(program)


def coroutine_of_a_task(closed: bool) -> Program:
    """What `Task.get_coro()` is good for: to be shown; and for what it isn't."""

    async def program(w: World) -> None:
        task = asyncio.create_task(forever())
        await asyncio.sleep(1)
        coro: Any = task.get_coro()
        w.say(coro.__name__, coro.__qualname__, coro.cr_code.co_name, coro.cr_frame.f_code.co_name, coro.cr_running)
        w.say(asyncio.iscoroutine(coro), hasattr(coro, "nonsense"), [f.f_code.co_name for f in task.get_stack()])
        await said_by(w, coro)
        if closed:
            coro.close()
        task.cancel("enough")
        await said_by(w, task)
        await said_by(w, coro)

    return program


async def forever() -> None:
    await asyncio.get_running_loop().create_future()


async def said_by(w: World, awaitable: Any) -> None:
    try:
        await awaitable
    except (Exception, asyncio.CancelledError) as exc:
        w.say(shown(exc))


@pytest.mark.parametrize("closed", [False, True])
def test_a_tasks_coroutine_looks_the_same(closed: bool) -> None:
    program = coroutine_of_a_task(closed)
    assert under_trio(program) == under_asyncio(program)


@given(programs, st.integers(0, 40), st.booleans())
@settings(max_examples=200)
def test_a_program_can_be_cancelled_from_outside_at_any_moment(program: Program, deadline: int, mixed: bool) -> None:
    """What it has begun has ended, its clean-ups have run, and nothing is left."""
    worlds: list[World] = []

    @bridged
    async def main() -> Any:
        worlds.append(World(mixed=mixed))
        return await program(worlds[0])

    async def host() -> None:
        tasks = trio.lowlevel.current_statistics().tasks_living
        try:
            with trio.move_on_after(deadline + 0.5):
                await main()
        except* (Exception, asyncio.CancelledError):  # the latter only in a group that a TaskGroup has made
            pass
        assert trio.lowlevel.current_statistics().tasks_living == tasks

    trio.run(host, clock=MockClock(autojump_threshold=0))
    (world,) = worlds
    assert world.open == 0
    assert all(task.done() for task in world.tasks)
