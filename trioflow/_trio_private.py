"""The things that we ask Trio's private attributes, each with a fallback. Nothing else of ours may.

Two read `_cancel_status`, where Trio keeps the innermost cancel scope of a task. There is no public way to ask for it.
Without it trioflow still works: what is lost is said below, and a test runs both ways.

The third is for tests that choose schedules (`trioflow.testing`), and does nothing unless asked to.
"""

from __future__ import annotations

import builtins
import itertools
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from operator import attrgetter
from typing import Any, TypeVar

import trio

T = TypeVar("T")


def _knows(owner: type) -> bool:
    return "_cancel_status" in getattr(owner, "__slots__", ()) or hasattr(owner, "_cancel_status")


def _has_it() -> bool:
    return _knows(trio.lowlevel.Task) and _knows(trio.CancelScope)


def make_innermost_scope(has_it: bool) -> Callable[[trio.lowlevel.Task], object]:
    """A function that gives a task's innermost cancel scope, to be compared by identity.

    A body that leaves a scope open (a generator with a timeout that is abandoned) shows itself by another one than before.
    Fallback: always the same. Then Trio notices a little later, when the lane closes its own scope.
    """
    return attrgetter("_cancel_status") if has_it else lambda task: None


def make_is_cancelled(has_it: bool) -> Callable[[trio.CancelScope], bool]:
    """A function that says whether code in this scope is being cancelled, by the scope itself or by one around it.

    Fallback: whether the scope itself is. Then a reason says "a waiter was cancelled" where it could say "the host".
    """
    if has_it:
        return lambda scope: scope._cancel_status is not None and scope._cancel_status.effectively_cancelled
    return lambda scope: scope.cancel_called


innermost_scope = make_innermost_scope(_has_it())
is_cancelled = make_is_cancelled(_has_it())


class InOrder(dict[T, None]):
    """As much of a set as Trio uses, in the order in which things were put into it."""

    def add(self, thing: T) -> None:
        self[thing] = None

    def remove(self, thing: T) -> None:
        del self[thing]


#: Where Trio keeps what it knows of cancellation.
_CORE: Any = sys.modules.get("trio._core._run")


@contextmanager
def cancelling_in_order(core: Any = _CORE) -> Iterator[bool]:
    """Make a `trio.run` in this block do the same in every run where it cancels several tasks or scopes at once.

    Trio itself goes by where they are in memory, which no seed decides; here it goes by which was there first. Who waits
    for a step and is cancelled leaves at once, so that the order of that can be seen. Gives whether it could.

    Fallback: nothing. Then about one in 240 generated runs, in which much is cancelled at once, isn't repeated exactly.
    """
    status: Any = getattr(core, "CancelStatus", None)
    before = getattr(status, "__attrs_post_init__", None)
    if before is None or not {"_tasks", "_children"} <= {*getattr(status, "__slots__", ())}:
        yield False
        return
    count = itertools.count()

    def born(self: Any) -> None:
        self._tasks, self._children = InOrder(), InOrder()
        before(self)

    def number(thing: object) -> int:
        return next(count) if isinstance(thing, trio.CancelScope) else builtins.id(thing)

    status.__attrs_post_init__ = born
    core.id = number  # by which scopes of one deadline are told apart
    try:
        yield True
    finally:
        status.__attrs_post_init__ = before
        del core.id
