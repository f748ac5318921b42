"""Whoever runs the workflow is cancelled, or interrupted by Ctrl-C, at a moment that can be named and so met again.

A moment is a number: the n-th step of a task that Trio makes, the n-th checkpoint of the task that is struck, the n-th turn
of Trio's loop. Counting up from 1 until nothing is left to strike goes through a program's whole life:

>>> import trio
>>> from itertools import count
>>> from trioflow import run_workflow
>>> async def copy(event, step):
...     @step.do()
...     async def write():
...         event.payload["open"] = True
...         try:
...             await trio.sleep(1)
...         finally:
...             event.payload["open"] = False
...
...     await write()
>>> async def main():
...     for number in count(1):
...         files = {"open": False}
...         with cancel_at(task_step=number) as scope:
...             await run_workflow(copy, files)
...         assert not files["open"]
...         if not scope.cancel_called:
...             return
>>> from trio.testing import MockClock
>>> trio.run(main, clock=MockClock(autojump_threshold=0))

Both are Trio instruments and know nothing of workflows. Where Trio chooses between tasks it draws lots: who wants to meet
the same moment again seeds Python's `random` before each try, or has one task do one thing at a time.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import trio
from trio.abc import Instrument
from trio.lowlevel import Task, add_instrument, current_task, remove_instrument

from .._errors import ConfigError


class _Counting(Instrument):
    """Does something when it has counted far enough."""

    def __init__(self, number: int, then: Callable[[], object]) -> None:
        self._left = number
        self._then = then

    def _count(self) -> None:
        self._left -= 1
        if self._left == 0:
            self._then()


class _TaskSteps(_Counting):
    def before_task_step(self, task: Task) -> None:
        self._count()


class _Ticks(_Counting):
    def before_io_wait(self, timeout: float) -> None:
        self._count()


class _Checkpoints(_Counting):
    def __init__(self, number: int, then: Callable[[], object]) -> None:
        super().__init__(number, then)
        self._task = current_task()

    def after_task_step(self, task: Task) -> None:
        if task is self._task:
            self._count()


@contextmanager
def cancel_at(
    *, task_step: int | None = None, checkpoint: int | None = None, tick: int | None = None
) -> Iterator[trio.CancelScope]:
    """A cancel scope that cancels itself at a certain moment, counted from the block's beginning. One of them is given.

    Args:
        task_step: Just before Trio resumes a task for the n-th time, any task, from 1.
        checkpoint: While the task that has entered the block is in its n-th checkpoint there, from 1.
        tick: At the end of the n-th turn of Trio's loop, from 1.

    Returns:
        The scope. Its `cancel_called` says whether the moment has come at all, `cancelled_caught` whether the block was left
        for it.

    Raises:
        ConfigError: none of them is given, or several, or one that is no whole number from 1 on.
    """
    scope = trio.CancelScope()
    with (
        scope,
        _counting(task_step, checkpoint, tick, lambda: scope.cancel(reason="a test has asked for it: cancel_at")),
    ):
        yield scope


@contextmanager
def interrupt_at(
    *, task_step: int | None = None, checkpoint: int | None = None, tick: int | None = None
) -> Iterator[None]:
    """Ctrl-C at a certain moment, counted from the block's beginning; the arguments are those of `cancel_at`.

    A SIGINT is raised, for which Trio has its handler, and strikes the main task at a checkpoint. The KeyboardInterrupt
    comes out of `trio.run`, or wherever it is caught.

    Raises:
        ConfigError: as for `cancel_at`, or this isn't the main thread, or Ctrl-C is not Python's own business here.
    """
    if threading.current_thread() is not threading.main_thread():
        raise ConfigError("only the main thread can be interrupted: call trio.run there")
    if signal.getsignal(signal.SIGINT) in (signal.SIG_IGN, signal.SIG_DFL):
        raise ConfigError("SIGINT is ignored or left to the system: Ctrl-C would not be a KeyboardInterrupt here")
    with _counting(task_step, checkpoint, tick, lambda: signal.raise_signal(signal.SIGINT)):
        yield


@contextmanager
def _counting(
    task_step: int | None, checkpoint: int | None, tick: int | None, then: Callable[[], object]
) -> Iterator[None]:
    kinds: dict[str, type[_Counting]] = {"task_step": _TaskSteps, "checkpoint": _Checkpoints, "tick": _Ticks}
    given = dict(zip(kinds, (task_step, checkpoint, tick), strict=True))
    chosen = [(kinds[name], number) for name, number in given.items() if number is not None]
    if len(chosen) != 1:
        raise ConfigError(f"say one of {', '.join(kinds)}, as in task_step=7")
    kind, number = chosen[0]
    if not isinstance(number, int) or isinstance(number, bool) or number < 1:
        raise ConfigError(f"moments are counted from 1: {number!r} is none")
    instrument = kind(number, then)
    add_instrument(instrument)
    try:
        yield
    finally:
        remove_instrument(instrument)
