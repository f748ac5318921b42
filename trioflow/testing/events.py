"""Which event goes to which wait: the post of one run, sorted by hand.

An `ExchangeSpec` says which events are sent to a run, when, and who waits for which type, from when on, how long at most, and
until when he is cancelled. `deliver` says who gets what, and when, and which events are left. It goes through everything
that happens in the order of time, as somebody with a pile of letters and a list of names would, and shares nothing with
the runtime that it judges.

Nothing in a specification happens in the same instant as anything else, unless one brings about the other: every time in it
is moved by a fraction of a second of its own. (Who begins to wait in the instant in which the only event is sent may
come before or after somebody else who does: that is for Trio to say.)
"""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from typing import Final, Literal, final

import attrs

__all__ = ["ExchangeSpec", "Result", "SendSpec", "WaitSpec", "deliver"]

#: How finely a second is divided, so that each time has a fraction of its own. Floats hold these fractions exactly.
_GRAIN: Final = Fraction(1, 4_096)

#: What comes first of what happens to one wait in one instant.
_ORDER: Final = {"sent": 0, "cancelled": 1, "waits": 2, "waits no more": 3}


@final
@attrs.frozen(kw_only=True)
class SendSpec:
    """One event that is sent to the run."""

    type: str = "a"
    #: When, in seconds since the run began.
    at: int = 0


@final
@attrs.frozen(kw_only=True)
class WaitSpec:
    """One wait for the next event of a type."""

    type: str = "a"
    #: When it begins, in seconds since the run began.
    at: int = 0
    #: For how many seconds it waits; 0: it takes only what has been sent already.
    timeout: int = 1_000_000
    #: After how many seconds it is cancelled; 0: before it begins.
    cancelled: int | None = None
    #: It is the body of a step that waits, and the one who awaits this step is who is cancelled.
    in_step: bool = False


def _sends(values: Iterable[SendSpec]) -> tuple[SendSpec, ...]:
    return tuple(values)


def _waits(values: Iterable[WaitSpec]) -> tuple[WaitSpec, ...]:
    return tuple(values)


@final
@attrs.frozen(kw_only=True)
class ExchangeSpec:
    """The events of one run and the waits for them. It prints as the call that makes it."""

    sends: tuple[SendSpec, ...] = attrs.field(default=(), converter=_sends)
    waits: tuple[WaitSpec, ...] = attrs.field(default=(), converter=_waits)

    def sent_at(self, send: int) -> Fraction:
        """When event `send` is sent."""
        return self.sends[send].at + (4 * send + 1) * _GRAIN

    def begins_at(self, wait: int) -> Fraction:
        """When wait `wait` begins."""
        return self.waits[wait].at + (4 * wait + 2) * _GRAIN

    def timeout(self, wait: int) -> Fraction:
        """For how long it waits at most. Not a thousandth of a second longer than it says, and 0 stays 0."""
        return self.waits[wait].timeout + _GRAIN if self.waits[wait].timeout else Fraction(0)

    def patience(self, wait: int) -> Fraction | None:
        """After which time it is cancelled. None: never."""
        cancelled = self.waits[wait].cancelled
        return cancelled + 2 * _GRAIN if cancelled else None if cancelled is None else Fraction(0)

    def ends_at(self) -> Fraction:
        """When all is over: later than anything else."""
        sends = [self.sent_at(i) for i in range(len(self.sends))]
        waits = [self.begins_at(i) + self.timeout(i) for i in range(len(self.waits))]
        return max([*sends, *waits], default=Fraction(0)) + 1


@final
@attrs.frozen
class Result:
    """What a wait came to."""

    how: Literal["event", "timeout", "cancelled"]
    #: When, in seconds since the run began.
    time: Fraction
    #: Which event it got.
    send: int | None = None


def deliver(exchange: ExchangeSpec) -> tuple[tuple[Result, ...], tuple[int, ...]]:
    """What each wait comes to, and which events are left, in the order in which they were sent.

    Events are kept until somebody waits for their type. Of one type, the first sent goes to the first who waits. A wait
    that is over, or that is cancelled before it begins, takes none. An event that is there is taken however short the time.
    """
    happens: list[tuple[Fraction, str, int]] = [(exchange.sent_at(i), "sent", i) for i in range(len(exchange.sends))]
    for i in range(len(exchange.waits)):
        begins, patience = exchange.begins_at(i), exchange.patience(i)
        if patience is not None:
            happens.append((begins + patience, "cancelled", i))
        happens.append((begins, "waits", i))
        happens.append((begins + exchange.timeout(i), "waits no more", i))

    kept: list[int] = []
    waiting: list[int] = []
    results: dict[int, Result] = {}
    for time, what, i in sorted(happens, key=lambda happening: (happening[0], _ORDER[happening[1]])):
        if what == "sent":
            kept.append(i)
        elif i in results:
            continue  # it has been over before
        elif what == "waits":
            waiting.append(i)
        else:
            results[i] = Result("cancelled" if what == "cancelled" else "timeout", time)
            waiting = [wait for wait in waiting if wait != i]
        for wait in waiting[:]:
            fitting = [send for send in kept if exchange.sends[send].type == exchange.waits[wait].type]
            if fitting:
                results[wait] = Result("event", time, fitting[0])
                kept.remove(fitting[0])
                waiting.remove(wait)
    return tuple(results[i] for i in range(len(exchange.waits))), tuple(kept)
