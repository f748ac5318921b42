"""Plain progress: a line for each fact, as it happens.

For a log, for a pipe, for a terminal that can do no more: when, what, which step, and why. Lines are never taken back.
"""

from __future__ import annotations

from typing import final

import attrs

from ._streams import say
from ._time import shown
from ._view import View
from ._wording import attempt_of, counted, described, numbered, one_line, plural
from .abc import (
    AttemptErrored,
    AttemptStarted,
    SleepCancelled,
    SleepCompleted,
    SleepStarted,
    StepCancelled,
    StepCompleted,
    StepErrored,
    StepFact,
    StepReused,
    StepStarted,
    WaitCancelled,
    WaitCompleted,
    WaitStarted,
    WaitTimedOut,
)


@final
@attrs.define(eq=False)
class Lines(View):
    """A line per fact, on standard error."""

    def step_started(self, fact: StepStarted, /) -> None:
        self._line("started", fact)

    def step_completed(self, fact: StepCompleted, /) -> None:
        self._line("done", fact, f"{fact.time - self.board.row(fact).began:.3f} s")

    def step_errored(self, fact: StepErrored, /) -> None:
        row = self.board.row(fact)
        attempt = attempt_of(row.attempt, row.attempts)
        self._line("failed", fact, described(fact.error, 120) + (f" ({attempt})" if attempt else ""))

    def step_cancelled(self, fact: StepCancelled, /) -> None:
        self._line("cancelled", fact, fact.reason)

    def step_reused(self, fact: StepReused, /) -> None:
        self._line("reused", fact, "done before")

    def attempt_started(self, fact: AttemptStarted, /) -> None:
        if fact.attempt > 1:
            self._line("started", fact, attempt_of(fact.attempt, self.board.row(fact).attempts))

    def attempt_errored(self, fact: AttemptErrored, /) -> None:
        if fact.retry_in is not None:
            again = attempt_of(fact.attempt + 1, self.board.row(fact).attempts)
            self._line("errored", fact, f"retry in {shown(fact.retry_in)} ({again}): {described(fact.error, 100)}")

    def sleep_started(self, fact: SleepStarted, /) -> None:
        self._line("sleeping", fact, f"for {shown(fact.seconds)}")

    def sleep_completed(self, fact: SleepCompleted, /) -> None:
        self._line("slept", fact, f"{fact.time - self.board.row(fact, 'sleep').began:.3f} s")

    def sleep_cancelled(self, fact: SleepCancelled, /) -> None:
        self._line("cancelled", fact, "a sleep")

    def wait_started(self, fact: WaitStarted, /) -> None:
        self._line("waiting", fact, f"for event {one_line(fact.event_type, 60)!r}, {shown(fact.timeout)} at most")

    def wait_completed(self, fact: WaitCompleted, /) -> None:
        row = self.board.row(fact, "wait")
        self._line("received", fact, f"event {one_line(row.event_type, 60)!r}, {fact.time - row.began:.3f} s")

    def wait_timed_out(self, fact: WaitTimedOut, /) -> None:
        row = self.board.row(fact, "wait")
        late = f"no event {one_line(row.event_type, 60)!r} within {shown(fact.time - row.began)}"
        self._line("timed out", fact, late)

    def wait_cancelled(self, fact: WaitCancelled, /) -> None:
        self._line("cancelled", fact, "a wait")

    def close(self, time: float) -> None:
        """What ended without a word gets a line, and at last it is counted."""
        for row in self.board.close(time):
            self._print(time, "cancelled", numbered(row.name, row.occurrence), row.why)
        counts = self.board.counts()
        told = counted(counts)
        say(plural(sum(counts.values()), "step") + (f": {told}" if told else ""))

    def _line(self, what: str, fact: StepFact, why: str = "") -> None:
        self._print(fact.time, what, numbered(fact.step, fact.occurrence), why)

    def _print(self, time: float, what: str, name: str, why: str) -> None:
        say(f"{time - self.board.began:8.3f}  {what:<9}  {name:<24}  {one_line(why, 160)}".rstrip())
