"""How long to sleep: the wall clock of a run, and the moments that it can be asked to wait for.

A run has one clock, Trio's, so that a test's `MockClock` moves all of it. Its wall clock is the wall time at its start plus
Trio's time since: `step.sleep_until` a day of next week takes no time at all in virtual time, and a machine whose clock is
set while the run goes on wakes nobody early.

A moment must say which one it is. A `datetime` without a time zone is another moment on another machine, a number may be
seconds or milliseconds, a text may be written in many ways. The original takes all three and misreads some of each.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import final

import attrs
import trio

from ._errors import ConfigError
from ._time import is_number, named, shown

#: What the wall clock says from then on. Virtual time may go on far beyond.
LATEST = datetime.max.replace(tzinfo=UTC)


@final
@attrs.frozen
class WallClock:
    """The wall clock of one run, in UTC."""

    start: datetime
    #: What Trio's clock said then.
    start_in_trio: float

    @classmethod
    def started(cls) -> WallClock:
        """A clock that starts now."""
        return cls(datetime.now(UTC), trio.current_time())

    def now(self) -> datetime:
        try:
            return self.start + timedelta(seconds=trio.current_time() - self.start_in_trio)
        except OverflowError:
            return LATEST

    def in_trio(self, when: datetime) -> float:
        """The same moment by Trio's clock."""
        return self.start_in_trio + (when - self.start).total_seconds()


def deadline_of(when: datetime, name: str, clock: WallClock, *, over: bool = False) -> float:
    """When a `step.sleep_until` ends, by Trio's clock. `over`: it has been slept through, so that it may be past.

    Raises:
        ConfigError: it is no aware datetime, or past.
    """
    reason = _why_not(when)
    if reason is not None:
        raise ConfigError(f"sleep {name!r} can't last until {named(when)}: {reason}")
    now = clock.now()
    if when < now and not over:
        past = shown((now - when).total_seconds())
        raise ConfigError(
            f"sleep {name!r} can't last until {when.isoformat()}, which is {past} past: by the run's clock it is "
            f"{now.isoformat()}; add a duration to event.timestamp, which is when the run began, or don't sleep"
        )
    return clock.in_trio(when)


def _why_not(when: object) -> str | None:
    if isinstance(when, datetime):
        if when.utcoffset() is not None:
            return None
        return (
            "without a time zone it is another moment on another machine; write datetime(..., tzinfo=UTC), or "
            ".astimezone() behind it if this machine's local time is meant"
        )
    if is_number(when):
        return (
            "a number doesn't say whether it counts seconds or milliseconds; "
            "write datetime.fromtimestamp(seconds, UTC), or use step.sleep for a duration"
        )
    if isinstance(when, str):
        return "a text can be read in many ways; write datetime.fromisoformat(text), with a time zone in the text"
    if isinstance(when, date):
        return "a day is no moment; write datetime.combine(day, time(...), tzinfo=UTC)"
    if isinstance(when, timedelta):
        return "that is a duration, for step.sleep; here an aware datetime says when"
    return "an aware datetime says when, as datetime.now(UTC) + timedelta(hours=1) does"
