"""Time that passes only when nobody has anything left to do, and a word when nobody ever will.

Trio's `MockClock` with a threshold of 0 is nearly that. But it jumps while a thread works, so that timeouts strike that
would not, and where everybody waits for each other it turns round for ever: in a search for bad orders that is one of the
things to be found. `VirtualClock` stands still while a thread works, and tells when the program is stuck.

Only documented names of Trio's are used: a task waits until all others are blocked (`wait_all_tasks_blocked`), asks when the
next deadline is (`current_statistics`), and moves the clock there. A thread is seen if it is counted by Trio's default
limiter.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final, final

import trio
from trio.testing import wait_all_tasks_blocked

__all__ = ["VirtualClock"]

#: For how many seconds of real time nothing must have happened, where something outside may still make something happen.
_QUIET: Final = 0.001
#: Trio asks how long it may sleep: until something else happens.
_LONG: Final = 1e9


@final
class VirtualClock(trio.abc.Clock):
    """A clock for `trio.run` that `keep` moves. It starts at 0."""

    def __init__(self) -> None:
        self._now = 0.0
        self._beyond_help = False

    def start_clock(self) -> None:
        """Nothing: `keep` moves it."""

    def current_time(self) -> float:
        return self._now

    def deadline_to_sleep_time(self, deadline: float) -> float:
        if self._beyond_help:
            raise RuntimeError(
                "everybody waits for each other, and neither being cancelled nor an error ends that: somebody waits in a "
                "shielded scope, again and again, for what will never come"
            )
        return 0 if deadline <= self._now else _LONG

    async def keep(self, begun: trio.Event, stuck: Callable[[], None], others: Callable[[], bool]) -> None:
        """Move the time on whenever all tasks are blocked, until cancelled. It sets `begun` when it has begun.

        `others` says whether others have been woken besides: who waits for all to be blocked, as we do, goes before
        time does.
        `stuck` is called when all tasks are blocked, no deadline is left, no thread works and no task waits for a socket or
        the like. It shall cancel something. If they get stuck a third time, `trio.run` breaks off with a
        `TrioInternalError`: nothing else ends a program that can't be cancelled.
        """
        calls = 0
        waiting_outside = _waiting_outside()
        begun.set()
        while True:
            await wait_all_tasks_blocked()
            if others():
                continue
            left = trio.lowlevel.current_statistics().seconds_to_next_deadline
            if _threads_at_work() or (left == math.inf and _waiting_outside() > waiting_outside):
                await wait_all_tasks_blocked(_QUIET)
            elif left < math.inf:
                self._now += max(0.0, left)
            else:
                calls += 1
                self._beyond_help = calls > 2
                stuck()


def _threads_at_work() -> bool:
    return trio.to_thread.current_default_thread_limiter().borrowed_tokens > 0


def _waiting_outside() -> int:
    """How many tasks wait for sockets and pipes, Trio's own included. What is counted depends on the platform."""
    statistics: Any = trio.lowlevel.current_statistics().io_statistics
    return sum(getattr(statistics, name, 0) for name in ("tasks_waiting_read", "tasks_waiting_write", "tasks_waiting"))
