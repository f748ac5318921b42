"""The event loop that asyncio finds running in a body. See `_asyncio` for who runs it."""

from __future__ import annotations

import asyncio
import functools
import heapq
import logging
import math
import threading
from collections import deque
from collections.abc import Callable, Coroutine
from contextvars import Context, copy_context
from typing import Any, Final, NoReturn, final

import outcome
import trio
from trio.lowlevel import (
    cancel_shielded_checkpoint,
    checkpoint,
    checkpoint_if_cancelled,
    current_task,
    enable_ki_protection,
)

from ._asyncio_driver import Driver, Runner, run_handle
from ._errors import AsyncioError


@enable_ki_protection
async def conducted(coro: Coroutine[Any, Any, Any]) -> Any:
    """Run a coroutine of asyncio's in this task, and all that it starts within this call."""
    loop, end = Loop(), None
    loop.main = loop.runner = main = Driver(loop, coro)
    main.trio_task = current_task()
    loop.take(main, None, copy_context())
    try:
        async with trio.open_nursery() as loop.nursery:
            try:
                await main.drive()
            finally:
                loop.wind_up()
    except BaseException as exc:  # noqa: ASYNC103 - raised below
        end = _without_our_group(exc)
    finally:
        loop.close()
    task = main.task
    try:
        if end is not None:
            if task.done() and not task.cancelled():
                task.exception()  # or asyncio would log that nobody has asked
            raise end
        if task.cancelled():
            await checkpoint_if_cancelled()
            raise AsyncioError(
                "asyncio.CancelledError has come out of code that nobody had cancelled: in trioflow a step is cancelled when "
                "nobody wants it any more; to give up raise an error of your own"
            )
        return task.result()
    finally:
        del main, task, end, loop, coro  # no cycle through this frame, which the traceback holds


def _without_our_group(error: BaseException) -> BaseException:
    """What has come out of our nursery: mostly one KeyboardInterrupt, and a Cancelled beside it."""
    if not isinstance(error, BaseExceptionGroup):
        return error
    members = [e for e in error.exceptions if not isinstance(e, trio.Cancelled)] or [error.exceptions[0]]
    return members[0] if len(members) == 1 else error


# --------------------------------------------------------------------------------------------------- what is Trio's here

_INSTEAD: Final = {
    "create_connection": "trio.open_tcp_stream, or a library that runs on Trio (httpx does)",
    "create_server": "trio.serve_tcp",
    "create_unix_connection": "trio.open_unix_socket",
    "subprocess_exec": "trio.run_process",
    "subprocess_shell": "trio.run_process",
    "getaddrinfo": "trio.socket.getaddrinfo",
    "getnameinfo": "trio.socket.getnameinfo",
    "start_tls": "trio.SSLStream",
    "add_reader": "trio.lowlevel.wait_readable",
    "add_writer": "trio.lowlevel.wait_writable",
    "add_signal_handler": "trio.open_signal_receiver",
    "run_until_complete": "`await`: the loop is running",
    "run_forever": "`await`: the loop is running",
    "stop": "an end of the body",
    "close": "an end of the body",
    "set_task_factory": "a function that makes the task and calls asyncio.create_task",
    "set_default_executor": "run_in_executor with that executor",
}


def _refusal(name: str) -> Callable[..., NoReturn]:
    def refuse(self: object, *_: Any, **__: Any) -> NoReturn:
        instead = _INSTEAD.get(name, "what Trio has for it")
        raise AsyncioError(f"the asyncio loop's {name} can't be used in a workflow, which runs on Trio: use {instead}")

    refuse.__name__ = refuse.__qualname__ = name
    return refuse


_METHODS: Final = [name for name in vars(asyncio.AbstractEventLoop) if not name.startswith("_")]
#: A loop that has nothing of what asyncio asks a loop for, and says so. (The abstract one says nothing, and wants it all.)
_Refusing: Any = type("_Refusing", (asyncio.AbstractEventLoop,), {name: _refusal(name) for name in _METHODS})


# ---------------------------------------------------------------------------------------------------------------- the loop


@final
class Loop(_Refusing):  # type: ignore[misc]
    """The running loop of one body, and of all that it has started."""

    def __init__(self) -> None:
        self.nursery: trio.Nursery | None = None
        #: Who runs the loop, or will do so when it gets its turn from Trio. Nobody: there is nothing to do but wait.
        self.runner: Runner | None = None
        self.keeper: Runner = Runner(self)
        self.main: Driver | None = None
        self.drivers: dict[asyncio.Task[Any], Driver] = {}
        self.newborn: Driver | None = None
        #: What is to be called, and whose step it is.
        self.ready: deque[tuple[asyncio.Handle, Driver | None]] = deque()
        self.timers: list[asyncio.TimerHandle] = []
        #: What is left of this turn: asyncio looks at its timers, and we let Trio have its turn, once per turn of the loop.
        self.todo = 1
        #: The loop has just waited, so that Trio need not be asked before the next turn.
        self.rested = False
        self.asleep = False
        self.winding_up = False
        self._closed = False
        self._in_step = False
        self._debug = False
        self._handler: Callable[[asyncio.AbstractEventLoop, dict[str, Any]], object] | None = None
        self._thread = threading.get_ident()
        self._token = trio.lowlevel.current_trio_token()

    # --------------------------------------------------------------------------------------------------------- running

    @property
    def open_nursery(self) -> trio.Nursery:
        assert self.nursery is not None
        return self.nursery

    def take(self, driver: Driver, name: str | None, context: Context) -> asyncio.Task[Any]:
        """Make an asyncio task of what a driver drives. The first step is the first thing that is asked of the loop."""
        self.newborn = driver
        try:
            driver.task = asyncio.Task(driver, loop=self, name=name, context=context)
        finally:
            self.newborn = None
        self.drivers[driver.task] = driver
        return driver.task

    async def run_some(self, me: Runner) -> None:
        """Call what is ready, in order, until it is `me` who has a step to make, or somebody else."""
        if not self.todo:
            await self.next_turn(me)
        while self.todo and self.runner is me and me.step is None:
            self.todo -= 1
            handle, owner = self.ready.popleft()
            if handle.cancelled():
                continue
            if owner is None:
                self.run(handle)
            else:
                owner.step = handle
                if owner is not me:
                    self.runner = owner
                    owner.call()

    async def next_turn(self, me: Runner) -> None:
        timers = self.timers
        while timers and timers[0].cancelled():
            heapq.heappop(timers)
        if not self.ready:
            self.asleep = self.rested = True
            try:
                await me.wait(timers[0].when() if timers else math.inf)
            finally:
                self.asleep = False
        elif self.rested:
            self.rested = False
        elif me.is_shielded():
            await cancel_shielded_checkpoint()
        else:
            await checkpoint()
        now = self.time()
        while timers and timers[0].when() <= now:
            self.ready.append((heapq.heappop(timers), None))
        self.todo = len(self.ready)

    def run(self, handle: asyncio.Handle) -> None:
        self._in_step = True
        try:
            run_handle(handle, self)
        finally:
            self._in_step = False

    def step_aside(self, me: Runner) -> None:
        """`me` has other things to do than to run the loop."""
        if self.runner is me:
            self.runner = None
        if self.runner is None and (self.ready or self.timers):
            self.elect()

    def elect(self) -> None:
        self.runner = next((d for d in self.drivers.values() if d.waiting), self.keeper)
        self.runner.call()

    def noticed(self) -> None:
        """There is something new to do."""
        if self.asleep:
            assert self.runner is not None
            self.runner.call()
        elif self.runner is None and not self._in_step:  # after a step its driver sees to it
            self.elect()

    def left(self, driver: Driver) -> None:
        """A driver's task is done."""
        self.drivers.pop(driver.task, None)
        if self.winding_up and not self.drivers:
            self.close()
        else:
            self.step_aside(driver)

    def keeper_left(self, keeper: Runner) -> None:
        self.keeper = Runner(self)
        self.step_aside(keeper)

    def wind_up(self) -> None:
        """The body is over: what it has left running is cancelled, in the order of its creation."""
        self.winding_up = True
        for driver in list(self.drivers.values()):
            driver.insist()
        if not self.drivers:
            self.close()

    def close(self) -> None:
        self._closed = True
        self.ready.clear()
        self.timers.clear()
        self.todo = 0
        self.keeper.scope.cancel()

    # ----------------------------------------------------------------------------------------------- as asyncio sees it

    def time(self) -> float:
        """Trio's time, in seconds."""
        return trio.current_time()

    def is_running(self) -> bool:
        return not self._closed

    def is_closed(self) -> bool:
        return self._closed

    def get_debug(self) -> bool:
        return self._debug

    def set_debug(self, enabled: bool) -> None:
        self._debug = enabled

    def call_soon(self, callback: Callable[..., object], *args: Any, context: Context | None = None) -> asyncio.Handle:
        self._check_open()
        handle = asyncio.Handle(callback, args, self, context)
        task = getattr(callback, "__self__", None)
        owner = self.drivers.get(task, self.newborn) if isinstance(task, asyncio.Task) else None
        if owner is not None and owner.landing:
            owner.step = handle
        else:
            self.ready.append((handle, owner))
            self.noticed()
        return handle

    def call_later(
        self, delay: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        return self.call_at(self.time() + delay, callback, *args, context=context)

    def call_at(
        self, when: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        self._check_open()
        handle = asyncio.TimerHandle(when, callback, args, self, context)
        heapq.heappush(self.timers, handle)
        self.noticed()
        return handle

    def call_soon_threadsafe(
        self, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.Handle:
        if threading.get_ident() == self._thread:
            return self.call_soon(callback, *args, context=context)
        self._check_open()
        handle = asyncio.Handle(callback, args, self, context)
        self._token.run_sync_soon(self._from_thread, handle)
        return handle

    def _from_thread(self, handle: asyncio.Handle) -> None:
        if not self._closed:
            self.ready.append((handle, None))
            self.noticed()

    def _check_open(self) -> None:
        if self._closed:
            raise RuntimeError("Event loop is closed: the body that it belonged to is over")

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """Nothing to do: its turn will come. (asyncio asks every loop for this method.)"""

    def create_future(self) -> asyncio.Future[Any]:
        task = asyncio.current_task(self)
        if task in self.drivers:
            self.drivers[task].look_around()
        return asyncio.Future(loop=self)

    def create_task(self, coro: Any, *, name: str | None = None, context: Context | None = None) -> asyncio.Task[Any]:
        if not asyncio.iscoroutine(coro):
            raise TypeError(f"a coroutine was expected, got {coro!r}")
        self._check_open()
        return self.take(Driver(self, coro), name, copy_context() if context is None else context)

    def run_in_executor(self, executor: Any, func: Callable[..., Any], *args: Any) -> asyncio.Future[Any]:
        """Call a function in a thread, or in the executor that is given. The body doesn't end before it has returned."""
        self._check_open()
        if executor is not None:
            return asyncio.wrap_future(executor.submit(func, *args), loop=self)
        future = self.create_future()
        self.open_nursery.start_soon(self._in_thread, future, functools.partial(func, *args))
        return future

    async def _in_thread(self, future: asyncio.Future[Any], func: Callable[[], Any]) -> None:
        result = await outcome.acapture(trio.to_thread.run_sync, func)
        if self._closed or future.done():
            return
        if isinstance(result, outcome.Value):
            future.set_result(result.value)
        else:
            future.set_exception(result.error)

    # ---------------------------------------------------------------------------------------- what nobody has asked for

    def get_exception_handler(self) -> Any:
        return self._handler

    def set_exception_handler(self, handler: Any) -> None:
        self._handler = handler

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """An exception that nobody will ever see: in a callback, or of a task that nobody awaits."""
        if self._handler is None:
            self.default_exception_handler(context)
            return
        try:
            self._handler(self, context)
        except Exception as exc:
            said = {"message": "Unhandled error in exception handler", "exception": exc, "context": context}
            self.default_exception_handler(said)

    def default_exception_handler(self, context: dict[str, Any]) -> None:
        """Log it, where asyncio does and in its form."""
        error = context.get("exception")
        lines = [context.get("message") or "Unhandled exception in event loop"]
        for key in sorted(context.keys() - {"message", "exception"}):
            value = context[key]
            if key == "source_traceback":
                lines.append("Object created at (most recent call last):\n" + "".join(value.format()).rstrip())
            else:
                lines.append(f"{key}: {value!r}")
        info = None if error is None else (type(error), error, error.__traceback__)
        logging.getLogger("asyncio").error("\n".join(lines), exc_info=info)

    def get_task_factory(self) -> None:
        return None

    async def shutdown_asyncgens(self) -> None:
        """Trio looks after asynchronous generators."""

    async def shutdown_default_executor(self, *_: float | None) -> None:
        """The body waits for its threads anyway."""
