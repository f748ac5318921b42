"""Drawing durations, policies and events: Hypothesis strategies for what `timing` and `events` judge by.

They need the extra `testing`. Durations come as people write them, in every form; those of a policy are multiples of half
a millisecond and add up to a few years at most, so that a clock that counts in floats tells all their sums apart.
"""

from __future__ import annotations

import functools
import math
from datetime import timedelta
from typing import Any, Final

from hypothesis import strategies as st

from trioflow.testing.durations import UNITS, Written, exact_seconds
from trioflow.testing.events import ExchangeSpec, SendSpec, WaitSpec
from trioflow.testing.timing import AttemptSpec, ChainSpec, PolicySpec, StepSpec

__all__ = ["attempts", "chains", "durations", "exchanges", "not_durations", "policies"]

#: Two months, in seconds: a hundred of them are still within what a float counts to less than a microsecond.
_LONG: Final = 5_000_000


@functools.cache
def durations(*, milliseconds: bool = True, most: float = 10**9) -> st.SearchStrategy[Written]:
    """Durations of at most so many seconds, as people write them: texts in every unit, `timedelta`s, and numbers of
    `milliseconds` where those are allowed. All are multiples of half a millisecond."""
    halves = st.integers(0, int(most * 2_000))
    forms: list[st.SearchStrategy[Any]] = [
        *(_texts(unit, most) for unit in UNITS if UNITS[unit] <= most),
        halves.map(lambda half: timedelta(milliseconds=half / 2)),
    ]
    if milliseconds:
        forms += [st.integers(0, int(most * 1_000)), halves.map(lambda half: half / 2)]
    return st.one_of(forms)


def _texts(unit: str, most: float) -> st.SearchStrategy[str]:
    """A number and a unit: whole numbers mostly, and decimals of up to three digits."""
    count = int(most / UNITS[unit])
    number = st.one_of(
        st.integers(0, count).map(str),
        st.builds("{}.{:03}".format, st.integers(0, count - 1), st.integers(0, 999)),
        st.builds(".{}".format, st.integers(0, 999)),
        st.builds("{}e{}".format, st.integers(0, min(9, count)), st.integers(0, max(0, len(str(count)) - 2))),
    )
    return st.builds(
        lambda number, spaces, plural: f"{number}{' ' * spaces}{unit}{'s' * plural}",
        number,
        st.integers(1, 3),
        st.booleans(),
    )


@functools.cache
def not_durations() -> st.SearchStrategy[object]:
    """What has to be refused wherever a duration is wanted: near misses in text, what is negative or endless, other things."""
    number, unit = st.integers(1, 100).map(str), st.sampled_from(list(UNITS))
    shapes = [
        "{0}{1}", " {0} {1}", "{0} {1} ", "{0}\t{1}", "{0} {1}\n", "-{0} {1}", "+{0} {1}", "{0}. {1}", "{0}e {1}", "{1}",
        "{0}", "{0} {1}ss", "{0} {1}s 1 second", "{0},5 {1}", "0x{0} {1}", "{0}_0 {1}", "{0}e99 {1}", "inf {1}", "nan {1}",
    ]  # fmt: skip
    texts = st.builds(lambda shape, number, unit: shape.format(number, unit), st.sampled_from(shapes), number, unit)
    words = st.sampled_from(["s", "sec", "m", "min", "h", "hr", "d", "w", "ms", "millisecond", "fortnight", "Second"])
    others: list[Any] = [
        None, True, False, "", " ", b"1 second", [1], {}, -1, -0.5, math.nan, math.inf, -math.inf, 10**500, 1e30,
        timedelta(microseconds=-1), timedelta.max,
    ]  # fmt: skip
    return st.one_of(
        texts,
        st.builds("{} {}".format, number, words),
        st.builds(lambda number, unit: f"{number} {unit.upper()}", number, unit),
        st.text(max_size=12).filter(lambda text: exact_seconds(text) is None),
        st.sampled_from(others),
    )


@st.composite
def policies(draw: st.DrawFn, *, max_limit: int = 5, timeouts: bool = True, functions: bool = True) -> PolicySpec:
    """Policies of up to `max_limit` retries, written as a dict or as `StepConfig` and `Retries`; without jitter.

    Each of the switches allows something: `timeouts` that an attempt may take only so long, `functions` that the delay
    is what a function returns, at times no duration.
    """
    milliseconds = draw(st.booleans())
    written, limits, seconds, returned, rubbish = _written(milliseconds)
    return PolicySpec(
        limit=draw(st.sampled_from([None, *range(max_limit + 1)])),
        delay=draw(draw(st.sampled_from([written, written, returned, returned, rubbish] if functions else [written]))),
        backoff=draw(st.sampled_from(["constant", "linear", "exponential"])),
        max_delay=draw(limits) if draw(st.booleans()) else None,
        timeout=draw(draw(st.sampled_from([st.none(), seconds, seconds, limits]))) if timeouts else None,
        milliseconds=milliseconds,
    )


@functools.cache
def _written(milliseconds: bool) -> tuple[st.SearchStrategy[Any], ...]:
    """Durations; those that can be limits, long ones and short; what a delay function may return, and with rubbish."""
    short, long = (durations(milliseconds=milliseconds, most=most) for most in (6, _LONG))
    either = st.one_of(short, long)
    rubbish = not_durations() if milliseconds else st.one_of(not_durations(), st.integers(0, 10))
    return (
        either,
        either.filter(_is_no_bare_zero),
        short.filter(_is_no_bare_zero),
        st.lists(either, min_size=1, max_size=3).map(tuple),
        st.builds(lambda values, last: (*values, last), st.lists(either, max_size=2), rubbish),
    )


def _is_no_bare_zero(duration: Written) -> bool:
    return isinstance(duration, str | timedelta) or duration != 0


@functools.cache
def attempts(*, sync: bool = False) -> st.SearchStrategy[AttemptSpec]:
    """What a body may do in one attempt. It fails more often than not, or there would be few retries to be seen."""
    ends = st.sampled_from(["value", "error", "error", "error", "error", "error", "final"])
    nurseries = st.sampled_from([0, 0, 0, 1, 2, 3])
    if sync:
        return st.builds(AttemptSpec, ends=ends, nurseries=nurseries)
    return st.builds(
        AttemptSpec,
        seconds=st.integers(0, 8),
        ends=ends,
        cleanup=st.integers(0, 3),
        stops=st.sampled_from(["stop", "stop", "stop", "error", "error", "final", "value"]),
        nurseries=nurseries,
    )


@st.composite
def _steps(draw: st.DrawFn) -> StepSpec:
    sync = draw(st.sampled_from([False, False, True]))
    policy = draw(policies(timeouts=not sync))
    return StepSpec(policy=policy, attempts=draw(st.lists(attempts(sync=sync), min_size=1, max_size=5)), sync=sync)


@st.composite
def chains(draw: st.DrawFn, *, max_steps: int = 3, leaves: bool = True) -> ChainSpec:
    """Chains of up to `max_steps` steps, and who awaits the last; with `leaves` some of them only for a while."""
    steps = draw(st.lists(_steps(), min_size=1, max_size=max_steps))
    after = draw(st.sampled_from([None, 10, 40, 10**8])) if leaves else None
    return ChainSpec(steps=steps, leaves=None if after is None else draw(st.integers(0, after)))


@functools.cache
def exchanges(*, max_sends: int = 6, max_waits: int = 6) -> st.SearchStrategy[ExchangeSpec]:
    """Events and waits of two types, all within some seconds, so that they often meet, and often just don't."""
    types, when = st.sampled_from("ab"), st.integers(0, 5)
    sends = st.builds(SendSpec, type=types, at=when)
    waits = st.builds(
        WaitSpec,
        type=types,
        at=when,
        timeout=st.just(0) | st.integers(1, 5) | st.just(1_000_000),
        cancelled=st.none() | st.integers(0, 3),
        in_step=st.booleans(),
    )
    return st.builds(ExchangeSpec, sends=st.lists(sends, max_size=max_sends), waits=st.lists(waits, max_size=max_waits))
