"""What a task can wait on beside a step: made now, awaited once, and reported where it was forgotten.

`async def` would do but for the last: Python reports a coroutine that nobody awaited when it is collected, without the
place where it was made. Files written for Cloudflare do forget it (there a sleep begins when it is created), so the
report names the file and the line.

A body that is run again comes to its sleeps and waits again, too. Those that have succeeded are not repeated: like steps
they are known by name and occurrence (`Pauses`).
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Generator
from types import TracebackType
from typing import Any, Literal, Protocol, TypeVar, cast, final

import attrs
import trio
from trio.lowlevel import checkpoint, enable_ki_protection

from ._errors import RunClosedError, WorkflowTimeoutError
from ._mailbox import Mailbox
from ._time import shown
from ._views import ReceivedEvent

T = TypeVar("T")

#: What has been made and not been awaited, with what it is, the file and the line.
Unawaited = dict[object, tuple[str, str, int]]


@final
@attrs.define(eq=False, repr=False)
class Wait(Coroutine[Any, Any, T]):
    """A sleep, or a wait for an event. Await it once, or pass the method that makes it to a nursery's `start_soon`.

    Its time begins when it is awaited. Awaiting is a checkpoint.
    """

    what: str
    _make: Callable[[], Coroutine[Any, Any, T]]
    #: It takes itself out.
    _unawaited: Unawaited
    _coroutine: Coroutine[Any, Any, T] | None = None

    def _begun(self) -> Coroutine[Any, Any, T]:
        if self._coroutine is None:
            self._unawaited.pop(self, None)
            self._coroutine = self._make()
        return self._coroutine

    def __await__(self) -> Generator[Any, Any, T]:
        # A generator: between making the coroutine and awaiting it there is no place for an interrupt.
        if self._coroutine is not None:
            raise RuntimeError(f"{self.what} has been awaited before: make another one to wait again")
        return (yield from self._begun().__await__())

    def send(self, value: Any, /) -> Any:
        return self._begun().send(value)

    def throw(  # type: ignore[override]
        self, typ: Any, val: BaseException | None = None, tb: TracebackType | None = None, /
    ) -> Any:
        return self._begun().throw(typ if val is None else val)

    def close(self) -> None:
        if self._coroutine is not None:
            self._coroutine.close()

    def __repr__(self) -> str:
        return f"<{self.what}>"


enable_ki_protection(Wait.__await__)  # not as decorators: pyright loses a method's type in them
enable_ki_protection(Wait.send)
enable_ki_protection(Wait.throw)


@attrs.define(eq=False, repr=False)
class Pauses:
    """The sleeps and waits of one body, or of those of a run that are in none: each attempt counts them anew."""

    _counts: dict[tuple[str, str], int] = attrs.field(factory=dict, init=False)
    #: What came of those that have succeeded, by kind, name and occurrence.
    kept: dict[tuple[str, str, int], object] = attrs.field(factory=dict, init=False)

    def next(self, kind: str, name: str) -> int:
        """The occurrence of the one that is made now."""
        self._counts[kind, name] = number = self._counts.get((kind, name), 0) + 1
        return number

    def begin_again(self) -> None:
        self._counts.clear()


class Told(Protocol):
    """Who is told of sleeps and waits, where there are instruments."""

    def pause(self, what: str, pause: Pause, **says: object) -> None: ...
    def pause_reused(self, pause: Pause, output: object) -> None: ...


@attrs.frozen(eq=False)
class Pause:
    """Which sleep, or which wait."""

    kind: Literal["sleep", "wait"]
    #: Name and occurrence of the step in whose body it is, if it is in one, and so on inwards; its own come last.
    path: tuple[tuple[str, int], ...]
    #: Where it is kept once it has succeeded: None outside of bodies, as nothing else is run again.
    pauses: Pauses | None
    watch: Told | None

    @property
    def is_kept(self) -> bool:
        """It has succeeded in an earlier attempt."""
        return self.pauses is not None and (self.kind, *self.path[-1]) in self.pauses.kept

    def tell(self, what: str, **says: object) -> None:
        if self.watch is not None:
            self.watch.pause(what, self, **says)


@enable_ki_protection
async def paused(pause: Pause, make: Callable[[], Coroutine[Any, Any, T]], says: Callable[[], dict[str, object]]) -> T:
    """Sleep or wait, unless that has succeeded in an earlier attempt, and tell of it. `says`: what to say at the start."""
    key = (pause.kind, *pause.path[-1])
    if pause.pauses is not None and pause.is_kept:
        kept = pause.pauses.kept[key]
        await checkpoint()
        if pause.watch is not None:
            pause.watch.pause_reused(pause, kept)
        return cast(T, kept)
    pause.tell("started", **says())
    try:
        result = await make()
    except WorkflowTimeoutError:
        pause.tell("timed_out")
        raise
    except BaseException:
        pause.tell("cancelled")
        raise
    if pause.pauses is not None:
        pause.pauses.kept[key] = result
    pause.tell("completed", **({} if result is None else {"event": result}))
    return result


@enable_ki_protection
async def next_event(
    mailbox: Mailbox[ReceivedEvent[Any]], name: str, event_type: str, seconds: float
) -> ReceivedEvent[Any]:
    try:
        return await mailbox.take(event_type, seconds)
    except trio.TooSlowError:
        raise WorkflowTimeoutError(
            f"wait {name!r}: no event {event_type!r} came within its timeout of {shown(seconds)}",
            step=name,
            seconds=seconds,
        ) from None
    except trio.ClosedResourceError:
        raise RunClosedError(f"wait {name!r}: no event {event_type!r} will come, its run is over", step=name) from None
