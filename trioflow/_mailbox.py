"""Events that arrive before or after their waiter.

Events are told apart by their type. Of one type, each goes to one wait: the first that was sent to the first that waits.
One that nobody waits for is kept. So a type has either events or waiters, never both.

No event is lost on its way, and the reason is Trio's: a waiting task leaves the queue in its abort function, and from the
moment that it is rescheduled with an event its abort function isn't called any more. A cancellation therefore comes before
the event, which then goes to the next in the queue or is kept, or it comes after it, and then the wait returns the event
and the cancellation strikes at the next checkpoint. An event has never to be put back.

A memory channel for each type keeps the same order. It was rejected because a channel stays for every type that was ever
named, has to be closed, and tells who has a timeout of zero that it is too late before it looks for an event.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from typing import Generic, TypeVar, final

import attrs
import outcome
import trio
from trio.lowlevel import (
    Abort,
    RaiseCancelT,
    Task,
    cancel_shielded_checkpoint,
    checkpoint,
    checkpoint_if_cancelled,
    current_task,
    enable_ki_protection,
    reschedule,
    wait_task_rescheduled,
)

from ._errors import ConfigError

T = TypeVar("T")

#: Cloudflare's limit for event types.
LONGEST_TYPE = 100


@final
@attrs.define(eq=False, repr=False)
class Mailbox(Generic[T]):
    """The events of one run that nobody has taken yet, and the tasks that wait for one, both by type and in order."""

    # No type is in both, and nothing in them is empty.
    _events: dict[str, deque[T]] = attrs.field(factory=dict)
    _waiting: dict[str, OrderedDict[Task, None]] = attrs.field(factory=dict)
    _closed: bool = False

    def put(self, event_type: str, event: T) -> None:
        """Hand an event to the first who waits for its type, or keep it."""
        waiting = self._waiting.get(event_type)
        if waiting is None:
            self._events.setdefault(event_type, deque()).append(event)
            return
        task, _ = waiting.popitem(last=False)
        if not waiting:
            del self._waiting[event_type]
        reschedule(task, outcome.Value(event))

    def is_awaited(self, event_type: str) -> bool:
        """Whether an event of this type would be handed over at once."""
        return event_type in self._waiting

    @enable_ki_protection
    async def take(self, event_type: str, seconds: float) -> T:
        """The next event of a type. A checkpoint.

        Who is cancelled takes none. An event that is there is taken however short the time is.

        Raises:
            trio.TooSlowError: none came within so many seconds.
            trio.ClosedResourceError: the mailbox is closed.
        """
        await checkpoint_if_cancelled()
        if self._closed:
            await checkpoint()
            raise trio.ClosedResourceError
        events = self._events.get(event_type)
        if events is not None:
            event = events.popleft()
            if not events:
                del self._events[event_type]
            await cancel_shielded_checkpoint()  # it is out of the box: a Cancelled now would lose it
            return event
        with trio.move_on_after(seconds):
            return await self._wait(event_type)
        raise trio.TooSlowError

    async def _wait(self, event_type: str) -> T:
        task = current_task()
        waiting = self._waiting.setdefault(event_type, OrderedDict())
        waiting[task] = None

        def leave(_: RaiseCancelT) -> Abort:
            del waiting[task]
            if not waiting:
                del self._waiting[event_type]
            return Abort.SUCCEEDED

        event: T = await wait_task_rescheduled(leave)
        return event

    def close(self) -> None:
        """Whoever waits, now or later, is told that there is nothing to wait for any more."""
        self._closed = True
        for waiting in self._waiting.values():
            for task in waiting:
                reschedule(task, outcome.Error(trio.ClosedResourceError()))
        self._waiting.clear()


def checked_type(event_type: object) -> str:
    """An event's type, if it can be one.

    Raises:
        ConfigError: it is no text, or longer than 100 characters.
    """
    if not isinstance(event_type, str):
        raise ConfigError(f"an event's type is text, not {event_type!r}")
    if len(event_type) > LONGEST_TYPE:
        raise ConfigError(
            f"event type {event_type[:40]!r}... has {len(event_type)} characters: at most {LONGEST_TYPE} are allowed"
        )
    return event_type
