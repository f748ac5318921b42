"""When attempts begin and end: policies, worked out by hand, to the last fraction of a second.

A `ChainSpec` says of some steps, each of which needs the one before, how they are to be tried again and what their bodies
do in each attempt. `foresee` says what the promises make of it: every attempt with its number, start and end, and what the
one who awaits the last step gets, and when. It keeps the books of one clock, attempt after attempt. There is no task, no
scope and no event in it, and nothing of the runtime that it judges.

**No two things at once.** Where an attempt is over in the very instant of its timeout, the order is Trio's to choose, and
no promise's. So the times that aren't the policy's are moved by a fraction: who works does so an eighth of a millisecond
longer than it says, and who leaves does so a sixteenth later. As long as the durations of the policies are multiples of
half a millisecond, nothing coincides but what brings about one another, and there is one right answer. (A set of
right answers for each tie was the other way; it grows with every attempt, and a set of many answers judges little.)
"""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from typing import Any, Final, Literal, TypeAlias, final

import attrs

from trioflow.testing.durations import LONGEST, Written, exact_seconds

__all__ = ["Answer", "Attempt", "AttemptSpec", "ChainSpec", "Foresight", "PolicySpec", "StepSpec", "foresee"]

Backoff: TypeAlias = Literal["constant", "linear", "exponential"]

#: How an attempt can be over. "final" is an error that forbids another attempt. "timeout": its time was up, and it stopped
#: without an outcome of its own. "cancelled": the same, but it was stopped because nobody wants the step any more.
How: TypeAlias = Literal["value", "error", "final", "timeout", "cancelled"]

_WORK: Final = Fraction(1, 8_000)
_LEAVE: Final = Fraction(1, 16_000)


# ---------------------------------------------------------------------------------------------------- specifications


def _returns(values: Any) -> Any:
    return tuple(values) if isinstance(values, list) else values


def _attempts(values: Iterable[AttemptSpec]) -> tuple[AttemptSpec, ...]:
    return tuple(values)


def _steps(values: Iterable[StepSpec]) -> tuple[StepSpec, ...]:
    return tuple(values)


@final
@attrs.frozen(kw_only=True)
class PolicySpec:
    """How a step is to be tried again. The plain `PolicySpec()` says: once, and as long as it takes."""

    #: How many retries there may be; None: no retries are configured at all, and what is said of delays means nothing.
    limit: int | None = None
    #: The base of the delays. A list: what a delay function returns, call by call, and its last ever after; what is no
    #: duration ends the step.
    delay: Written | tuple[object, ...] = attrs.field(default="0 seconds", converter=_returns)
    backoff: Backoff = "exponential"
    max_delay: Written | None = None
    #: Which part of each delay is left to chance. `foresee` refuses any; `delay_before` says what the most can be.
    jitter: float = 0.0
    #: How long one attempt may take.
    timeout: Written | None = None
    #: Bare numbers are milliseconds, as in a dict with Cloudflare's keys; in `StepConfig` and `Retries` they are refused.
    milliseconds: bool = True

    def delay_before(self, retry: int) -> Fraction | None:
        """The delay before a retry, counted from 1, without jitter; None: the delay function returned no duration."""
        values = self.delay if isinstance(self.delay, tuple) else (self.delay,)
        base = exact_seconds(values[min(retry, len(values)) - 1], milliseconds=self.milliseconds)
        if base is None:
            return None
        growth = {"constant": 1, "linear": retry, "exponential": 1 << retry - 1}[self.backoff]
        return min(base * growth, LONGEST if self.max_delay is None else _seconds(self.max_delay))


@final
@attrs.frozen(kw_only=True)
class AttemptSpec:
    """What a body does in one attempt. The plain `AttemptSpec()` returns at once."""

    #: How long it works, about (see `works`). 0: it doesn't wait for anything, so that nothing can stop it.
    seconds: int = 0
    #: What it does then.
    ends: Literal["value", "error", "final"] = "value"
    #: How long it cleans up, shielded, when it is told to stop.
    cleanup: int = 0
    #: What it does then: stop without an outcome, or end with one all the same.
    stops: Literal["stop", "value", "error", "final"] = "stop"
    #: Its errors come out of so many nurseries of its own, one in the other. 0: they are raised plainly.
    nurseries: int = 0

    def works(self) -> Fraction:
        """How long it works, in seconds."""
        return self.seconds + _WORK if self.seconds else Fraction(0)


@final
@attrs.frozen(kw_only=True)
class StepSpec:
    """One step: its policy, and what its body does from attempt to attempt."""

    policy: PolicySpec = PolicySpec()
    #: What the attempts do, by their numbers. All later ones do as the last.
    attempts: tuple[AttemptSpec, ...] = attrs.field(default=(AttemptSpec(),), converter=_attempts)
    #: A plain function. It can't wait, so it has no timeout.
    sync: bool = False

    def __attrs_post_init__(self) -> None:
        if self.sync and (self.policy.timeout is not None or any(attempt.seconds for attempt in self.attempts)):
            raise ValueError(f"a sync body can't wait, nor be stopped: {self!r}")

    def attempt(self, number: int) -> AttemptSpec:
        """What the attempt with this number does."""
        return self.attempts[min(number, len(self.attempts)) - 1]


@final
@attrs.frozen(kw_only=True)
class ChainSpec:
    """Steps of which each needs the one before; somebody awaits the last. It prints as the call that makes it."""

    steps: tuple[StepSpec, ...] = attrs.field(default=(StepSpec(),), converter=_steps)
    #: After how many seconds, about, whoever awaits is cancelled (see `leaves_at`); None: never.
    leaves: int | None = None

    def leaves_at(self) -> Fraction | None:
        """When whoever awaits is cancelled, in seconds since the await."""
        return None if self.leaves is None else self.leaves + _LEAVE


# ---------------------------------------------------------------------------------------------------------- foresight


@final
@attrs.frozen
class Attempt:
    """One attempt of a body. Times are seconds since the await."""

    step: int
    #: What `ctx.attempt` says.
    number: int
    start: Fraction
    #: When its body is over, with its clean-up.
    end: Fraction
    how: How


@final
@attrs.frozen
class Answer:
    """What the one who awaits gets."""

    time: Fraction
    #: As the attempt's. "refused": the delay function has returned something that is no duration.
    how: Literal["value", "error", "final", "timeout", "cancelled", "refused"]
    #: The attempt it comes from; None where it is cancelled.
    origin: Attempt | None = None


@final
@attrs.frozen
class Foresight:
    """What ought to happen."""

    #: All attempts of all bodies, in order.
    attempts: tuple[Attempt, ...]
    answer: Answer
    #: After which attempts the delay function of their step is called.
    asked: tuple[Attempt, ...]


def foresee(chain: ChainSpec) -> Foresight:
    """What the promises make of a chain.

    A timeout covers one attempt. An attempt that is told to stop has stopped before anything follows, and what it returns
    or raises meanwhile counts. After a failed attempt comes a delay and then the next, but for three reasons not to: all
    retries are used up, the error is final, nobody wants the step any more. Nothing of this concerns the steps that need
    it: they begin when it has succeeded, and fail when it has failed.

    Raises:
        ValueError: a policy has jitter, which nobody can foresee.
    """
    if any(step.policy.jitter for step in chain.steps):
        raise ValueError(
            "jitter can't be foreseen: judge each delay by PolicySpec.delay_before, which is the most it can be"
        )
    books = _Books(chain.leaves_at())
    for i, step in enumerate(chain.steps):
        answer = books.answer_of(i, step)
        if answer.how != "value":
            break
        if i < len(chain.steps) - 1 and books.is_left_at(answer.time):
            answer = Answer(answer.time, "cancelled")  # it came while stopping: nobody is there to begin the next for
            break
    return Foresight(tuple(books.attempts), answer, tuple(books.asked))


@final
@attrs.define(eq=False)
class _Books:
    leaves: Fraction | None
    now: Fraction = Fraction(0)
    attempts: list[Attempt] = attrs.field(factory=list)
    asked: list[Attempt] = attrs.field(factory=list)

    def is_left_at(self, time: Fraction) -> bool:
        """Whether whoever awaited has left by then."""
        return self.leaves is not None and self.leaves <= time

    def answer_of(self, i: int, step: StepSpec) -> Answer:
        number = 0
        while True:
            number += 1
            attempt = self.attempt_of(i, step, number)
            self.attempts.append(attempt)
            self.now = attempt.end
            if attempt.how == "cancelled":
                return Answer(self.now, "cancelled")
            may_retry = step.policy.limit is not None and number <= step.policy.limit
            if attempt.how in ("value", "final") or not may_retry or self.is_left_at(self.now):
                return Answer(self.now, attempt.how, attempt)
            if isinstance(step.policy.delay, tuple):
                self.asked.append(attempt)
            delay = step.policy.delay_before(number)
            if delay is None:
                return Answer(self.now, "refused", attempt)
            if self.leaves is not None and self.is_left_at(self.now + delay):
                return Answer(self.leaves, "cancelled")  # nothing is to be stopped in a delay
            self.now += delay

    def attempt_of(self, i: int, step: StepSpec, number: int) -> Attempt:
        spec, start = step.attempt(number), self.now
        end = start + spec.works()
        stops = [] if self.leaves is None else [self.leaves]
        if step.policy.timeout is not None:
            stops.append(start + _seconds(step.policy.timeout))
        stop = min(stops, default=end)
        if not spec.seconds or end <= stop:
            return Attempt(i, number, start, end, spec.ends)
        end = stop + spec.cleanup
        if spec.stops != "stop":
            return Attempt(i, number, start, end, spec.stops)
        return Attempt(i, number, start, end, "cancelled" if self.is_left_at(end) else "timeout")


def _seconds(value: Written) -> Fraction:
    """The length of a duration that was drawn, or written, as one. In dicts and by hand: numbers are milliseconds."""
    seconds = exact_seconds(value)
    assert seconds is not None, value
    return seconds
