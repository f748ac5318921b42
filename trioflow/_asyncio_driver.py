"""An asyncio task's coroutine, driven by a task of Trio's. See `_asyncio` for who runs what, and who is told of what."""

from __future__ import annotations

import asyncio
import math
import sys
import types
import weakref
from collections.abc import Callable, Coroutine, Generator
from typing import Any, Final, Protocol, cast, final

import attrs
import outcome
import trio
from trio.lowlevel import (
    Abort,
    RaiseCancelT,
    cancel_shielded_checkpoint,
    current_task,
    disable_ki_protection,
    enable_ki_protection,
    reschedule,
    wait_task_rescheduled,
)

from ._trio_private import is_cancelled


class DrivenLoop(Protocol):
    """What drivers need of the loop that they run in turn."""

    main: Driver | None
    runner: Runner | None
    winding_up: bool

    @property
    def open_nursery(self) -> trio.Nursery: ...
    async def run_some(self, me: Runner) -> None: ...
    def run(self, handle: asyncio.Handle) -> None: ...
    def step_aside(self, me: Runner) -> None: ...
    def left(self, driver: Driver) -> None: ...
    def keeper_left(self, keeper: Runner) -> None: ...


# ------------------------------------------------------------------------------------------- what asyncio keeps private
#
# Documented for those who write loops and tasks, but with an underscore: the running loop, that a handle is run by
# `_run`, and `_asyncio_future_blocking`, which tells a future that is awaited. asyncio's own Task, whichever class that is,
# does all else: we never look into one.


def run_handle(handle: asyncio.Handle, loop: asyncio.AbstractEventLoop) -> None:
    """Call what the handle says, while `loop` is the running one. Errors go to the loop's exception handler."""
    before = asyncio._get_running_loop()
    asyncio._set_running_loop(loop)
    try:
        handle._run()
    finally:
        asyncio._set_running_loop(before)


def is_for_asyncio(message: object) -> bool:
    """Whether what a coroutine yields is meant for asyncio's Task: a future, or the bare yield of `asyncio.sleep(0)`."""
    return message is None or getattr(message, "_asyncio_future_blocking", None) is not None


def to_be_awaited(future: asyncio.Future[Any]) -> asyncio.Future[Any]:
    """What `yield from future` would give."""
    future._asyncio_future_blocking = True
    return future


# -------------------------------------------------------------------------------------------------- who can run the loop


@attrs.define(eq=False, repr=False)
class Runner:
    """A task of Trio's that can run the loop; by itself it is the keeper, which does nothing else."""

    loop: DrivenLoop
    trio_task: trio.lowlevel.Task | None = attrs.field(init=False, default=None)
    #: The next step of its own, which it must make before anything else happens in the loop.
    step: asyncio.Handle | None = attrs.field(init=False, default=None)
    #: It can be woken.
    waiting: bool = attrs.field(init=False, default=False)
    scope: trio.CancelScope = attrs.field(init=False, factory=lambda: trio.CancelScope(shield=True))

    def start(self) -> None:
        """It has no task yet."""
        self.loop.open_nursery.start_soon(self.live, name="trioflow asyncio loop")

    @enable_ki_protection
    async def live(self) -> None:
        self.trio_task = current_task()
        try:
            with self.scope:
                while True:
                    await self.take_part()
        finally:  # an interrupt in a callback: those who are left go on with another one
            self.loop.keeper_left(self)

    async def take_part(self) -> None:
        """Run the loop if nobody does, else wait to be called."""
        loop = self.loop
        if loop.runner is None:
            loop.runner = self
        if loop.runner is self:
            await loop.run_some(self)
        else:
            await self.wait(math.inf)

    def call(self) -> None:
        """It has a step to make, or the loop to run."""
        if self.trio_task is None:
            self.start()
        elif self.waiting:
            self.waiting = False
            reschedule(self.trio_task)

    async def wait(self, until: float) -> None:
        shield = self.is_shielded()
        if until == math.inf and not shield:
            self.waiting = True
            await wait_task_rescheduled(self.abort)
        else:
            with trio.CancelScope(deadline=until, shield=shield):
                self.waiting = True
                await wait_task_rescheduled(self.abort)

    def abort(self, _: RaiseCancelT) -> Abort:
        self.waiting = False
        return Abort.SUCCEEDED

    def is_shielded(self) -> bool:
        return False


NOTHING: Final = object()
#: How often a coroutine that swallows a cancellation is told again at once; then it may finish one wait.
PATIENCE: Final = 10


@final
@attrs.define(eq=False, repr=False, init=False)
class Driver(Runner, Coroutine[Any, Any, Any]):
    """An asyncio task's coroutine, and the task of Trio's that makes its steps.

    To asyncio's Task it is the coroutine. What that yields for asyncio it hands on; a message to Trio it keeps, and gives the
    Task a future instead, until Trio has answered.
    """

    coro: Any
    task: asyncio.Task[Any]
    #: What the coroutine wants from Trio, the future that stands for it, the scope around it, and Trio's answer.
    message: object
    errand: Errand | None
    around: trio.CancelScope | None
    answer: object
    #: Trio has answered, and the coroutine goes on at once.
    landing: bool
    #: asyncio has cancelled the task while it was with Trio; if Trio answers all the same it is told at the next wait.
    owed: bool
    #: With which message.
    said: tuple[Any, ...]
    #: Trio has cancelled the body, which is to be told by the CancelledError that is on its way.
    due: bool
    #: It has been told so; the reference is alive while somebody deals with it.
    told: weakref.ref[BaseException] | None
    #: How often it has been told without having waited in between.
    times: int
    #: To be raised in place of the CancelledError that is on its way.
    instead: BaseException | None

    def __init__(self, loop: DrivenLoop, coro: Any) -> None:
        super().__init__(loop)
        self.coro = coro
        self.message = self.answer = NOTHING
        self.errand = self.around = self.told = self.instead = None
        self.owed = self.due = self.landing = False
        self.said = ()
        self.times = 0

    # ------------------------------------------------------------------------------------------ as asyncio's Task sees it

    def send(self, value: Any) -> Any:
        if self.due or self.instead is not None:  # what it waited for has come, the cancellation got lost on the way
            if self.instead is not None:
                self.task.uncancel()
            self.due, self.instead = False, None
        self.times = 0
        answer, self.answer = self.answer, NOTHING
        return self.sorted(leg(self.coro.send, value if answer is NOTHING else answer))

    def throw(self, exc: BaseException, *_: Any) -> Any:  # type: ignore[override]
        if isinstance(exc, asyncio.CancelledError):
            exc = self.spelt(exc)
        try:
            return self.sorted(leg(self.coro.throw, exc))
        finally:
            del exc

    def close(self) -> None:
        self.coro.close()

    def __await__(self) -> Generator[Any, Any, Any]:
        """For those who await `Task.get_coro()`: Python tells them that somebody does so already."""
        return joined(self.coro).__await__()

    def __getattr__(self, name: str) -> Any:
        """Name, code and frame, for those who show a task or its stack."""
        if name.startswith(("cr_", "gi_", "__")):
            return getattr(self.coro, name)
        raise AttributeError(name)

    def sorted(self, message: Any) -> Any:
        """What the Task is to wait for."""
        if self.owed and not self.task.cancelling():  # taken back: the timeout that did it is over
            self.owed = False
        if is_for_asyncio(message):
            if self.owed:
                self.owed = False
                if message is None or not message.cancel(*self.said):
                    return self.throw(asyncio.CancelledError(*self.said))
            return message
        self.message = message
        self.errand = Errand(self)
        return to_be_awaited(self.errand)

    def spelt(self, exc: BaseException) -> BaseException:
        """The exception that says who has cancelled."""
        if self.instead is not None:
            exc, self.instead = self.instead, None
            self.task.uncancel()
        elif self.due:
            self.due = False
            self.times += 1
            exc = asyncio.CancelledError(*exc.args)  # which nobody else has
            self.told = weakref.ref(exc)
        return exc

    # --------------------------------------------------------------------------------------------- the task of Trio's

    def start(self) -> None:
        self.loop.open_nursery.start_soon(self.live, name=self.task.get_name())

    @enable_ki_protection
    async def live(self) -> None:
        self.trio_task = current_task()
        with self.scope:
            await self.drive()

    async def drive(self) -> None:
        """Make the Task's steps, until it is done."""
        loop = self.loop
        try:
            while not self.task.done():
                while self.step is None:
                    self.insist()
                    try:
                        await self.take_part()
                    except BaseException as exc:  # noqa: ASYNC103 - the coroutine is told
                        self.stopped_by(exc)
                step, self.step = self.step, None
                loop.run(step)
                del step
                if self.message is not NOTHING:
                    await self.run_errand()
        finally:
            loop.left(self)

    async def run_errand(self) -> None:
        """Ask Trio what the coroutine wants to know. The scope is closed again before the coroutine goes on."""
        message, self.message = self.message, NOTHING
        errand = self.errand
        assert errand is not None
        self.insist()
        self.loop.step_aside(self)
        try:
            with trio.CancelScope() as self.around:
                if self.owed:
                    self.cancel_errand()
                answer = await handed_to_trio(message)
                if isinstance(answer, outcome.Error):
                    raise answer.error
        except BaseException as exc:  # noqa: ASYNC103 - the coroutine is told
            answer = outcome.Error(exc)
            if self.is_stopped(exc):
                self.due, self.told = False, weakref.ref(exc)
        around, self.around, self.errand = self.around, None, None
        assert around is not None
        self.landing = True
        if around.cancelled_caught:
            self.owed = False
            errand.give_up()
        else:
            self.answer = answer
            errand.set_result(None)
        self.landing = False

    # ---------------------------------------------------------------------------------------------------- cancellation

    def cancel_errand(self) -> None:
        assert self.around is not None
        self.around.cancel()
        if self.errand is not None and self.opened_nurseries():
            self.loop.open_nursery.start_soon(self.reach_in, self.errand)

    def opened_nurseries(self) -> list[trio.Nursery]:
        """Those of the coroutine itself: around a body there may be others, such as the run's."""
        assert self.trio_task is not None
        nurseries, ours = self.trio_task.child_nurseries, self.loop.open_nursery
        return nurseries[nurseries.index(ours) + 1 :] if ours in nurseries else nurseries

    async def reach_in(self, errand: Errand) -> None:
        """Who waits for the tasks of a nursery can't be cancelled, but one of them can fail."""
        await cancel_shielded_checkpoint()  # by now, who could be cancelled has been
        if self.errand is errand:
            self.owed = False
            self.opened_nurseries()[-1].start_soon(self.fail)

    async def fail(self) -> None:
        raise asyncio.CancelledError(*self.said)

    def is_stopped(self, exc: BaseException) -> bool:
        """Trio has cancelled the whole body, and not only a scope that the coroutine has opened."""
        loop = self.loop
        return loop.main is self and isinstance(exc, trio.Cancelled) and is_cancelled(loop.open_nursery.cancel_scope)

    def stopped_by(self, exc: BaseException) -> None:
        """Trio has raised something at a wait of asyncio's: let asyncio pass it on."""
        if self.is_stopped(exc):
            self.due = True
        else:
            self.instead = exc
        self.task.cancel()

    def is_heeded(self) -> bool:
        """It is being told, or deals with that, or is given up for the time of one wait.

        asyncio's own Condition swallows whatever comes until it has its lock again.
        """
        return self.due or self.times > PATIENCE or (self.told is not None and self.told() is not None)

    def look_around(self) -> None:
        """Called by the coroutine, before it waits: does it really deal with what it was told, or only keep it somewhere?"""
        told = None if self.told is None else self.told()
        error = sys.exception()
        while error is not None and error is not told:
            error = error.__context__
        if error is None:
            self.told = None

    def is_shielded(self) -> bool:
        """It has been told already. (A scope in which it is not cancelled is a shield of its own, with its own deadline.)"""
        if self.instead is not None or self.due:
            return True
        return self.is_heeded() and trio.current_effective_deadline() == -math.inf

    def insist(self) -> None:
        """The body is over, and this task goes on: it is cancelled again whenever it waits."""
        if self.loop.winding_up and not self.is_heeded() and not self.task.done():
            self.due = True
            self.task.cancel()


def leg(resume: Callable[[Any], Any], value: Any) -> Any:
    return resume(value)


disable_ki_protection(leg)


async def joined(coro: Any) -> Any:
    return await coro


@types.coroutine
def handed_to_trio(message: Any) -> Generator[Any, Any, Any]:
    return (yield message)


@final
class Errand(asyncio.Future[None]):
    """What asyncio's Task waits for while its coroutine waits in Trio."""

    def __init__(self, driver: Driver) -> None:
        super().__init__(loop=cast(asyncio.AbstractEventLoop, driver.loop))
        self._driver = driver

    def cancel(self, msg: Any = None) -> bool:
        """Trio decides whether it can still be cancelled."""
        driver = self._driver
        driver.owed, driver.said = True, () if msg is None else (msg,)
        if driver.around is not None:
            driver.cancel_errand()
        return True

    def give_up(self) -> None:
        super().cancel(*self._driver.said)
