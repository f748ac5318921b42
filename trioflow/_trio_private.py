"""The two things that we ask Trio's private attributes, each with a fallback. Nothing else of ours may.

Both read `_cancel_status`, where Trio keeps the innermost cancel scope of a task. There is no public way to ask for it.
Without it trioflow still works: what is lost is said below, and a test runs both ways.
"""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter

import trio


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
