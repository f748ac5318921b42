"""Where plain functions are called when not between the program's other tasks: so far, in threads.

A body that blocks (a database driver, a file on a slow disk) or computes for long holds up the whole program, timeouts of
others included. `@step.do(executor=Threads())` calls it in one of Trio's worker threads.

It sees the contextvars that a body sees, may call back with `trio.from_thread`, and its exception comes out as it is.
A thread can't be stopped from outside. When such a body is cancelled, or has exceeded its timeout, then one of two things:
by default it is waited for, as for any body that is cleaning up, and it can find out with
`trio.from_thread.check_cancelled()`, which raises where it is to stop; with `abandon_on_cancel` it is left alone, goes on
for itself, and what becomes of it is nobody's business any more.

Under a `MockClock` that jumps, time stands still while a thread works: Trio itself would see no task at work, and jump
over timeouts that were not due (https://github.com/python-trio/trio/issues/456).
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar, final

import attrs
import outcome
import trio

from ._errors import ConfigError
from .abc import Executor

T = TypeVar("T")


def _check_limit(_: object, __: attrs.Attribute[Any], limit: object) -> None:
    if limit is None:
        return
    if not isinstance(limit, int) or isinstance(limit, bool) or limit < 1:
        raise ConfigError(f"limit of threads can't be {limit!r}: it is how many may work at once, 1 or more")


@final
@attrs.define(eq=False, kw_only=True)
class Threads(Executor):
    """Calls a step's body in a thread.

    Args:
        limit: How many of its calls may be at work at once; the others wait for their turn. By default they share
            Trio's limit of 40 with all that uses `trio.to_thread`.
        abandon_on_cancel: Don't wait for a call that was cancelled.

    Raises:
        ConfigError: `limit` is no number of threads.
    """

    limit: int | None = attrs.field(default=None, validator=_check_limit)
    abandon_on_cancel: bool = False
    _limiter: trio.CapacityLimiter | None = attrs.field(default=None, init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        if self.limit is not None:
            self._limiter = trio.CapacityLimiter(self.limit)

    async def run_sync(self, fn: Callable[..., T], /, *args: Any) -> T:
        """Call `fn(*args)` in a thread. A checkpoint."""
        call = partial(
            trio.to_thread.run_sync, fn, *args, abandon_on_cancel=self.abandon_on_cancel, limiter=self._limiter
        )
        testing: Any = sys.modules.get("trio.testing")  # who hasn't imported it has no MockClock
        if testing is None or not isinstance(trio.lowlevel.current_clock(), testing.MockClock):
            return await call()
        async with trio.open_nursery() as nursery:
            # The clock jumps only where nobody waits for everybody to be blocked: here somebody waits for that for ever.
            nursery.start_soon(testing.wait_all_tasks_blocked, math.inf)
            result = await outcome.acapture(call)  # the nursery would make a group of it
            nursery.cancel_scope.cancel()
        return result.unwrap()
