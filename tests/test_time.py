"""P19: what is a duration, what is refused, and how a duration is shown."""

from __future__ import annotations

import math
import re
from datetime import timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from trioflow._errors import ConfigError
from trioflow._time import LONGEST, is_number, named, seconds_of, shown, spelled, spelled_seconds

UNITS = {
    "second": 1,
    "minute": 60,
    "hour": 3_600,
    "day": 86_400,
    "week": 604_800,
    "month": 30 * 86_400,
    "year": 365.25 * 86_400,
}
MICROSECOND = timedelta(microseconds=1)
LONGEST_TIMEDELTA = timedelta(days=timedelta.max.days)
timedeltas = st.timedeltas(timedelta(), LONGEST_TIMEDELTA)


class Unshowable:
    def __repr__(self) -> str:
        raise RuntimeError("no repr")


def short(value: object) -> str:
    """A test's id: pytest's own would need the 5,000 digits of a number."""
    return named(value)[:30]


# What is read


@pytest.mark.parametrize("read", [seconds_of, spelled_seconds])
@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1 second", 1),
        ("2 minutes", 120),
        ("1 hour", 3_600),
        ("3 days", 3 * 86_400),
        ("1 week", 7 * 86_400),
        ("1 month", 30 * 86_400),
        ("1 year", 365.25 * 86_400),
        ("0 seconds", 0),
        ("1.5 minutes", 90),
        (".5 hours", 1_800),
        ("1e3 seconds", 1_000),
        ("5E-1 seconds", 0.5),
        ("007 seconds", 7),
        ("10   seconds", 10),
        ("1 seconds", 1),
        ("5 second", 5),
        ("24 hours", 86_400),
        ("30 minutes", 1_800),
    ],
)
def test_text_is_a_number_spaces_and_a_unit_singular_or_plural(read: Any, text: str, seconds: float) -> None:
    assert read(text) == seconds
    assert type(read(text)) is float


@settings(deadline=None)
@given(st.floats(0, 1e6), st.sampled_from(sorted(UNITS)), st.booleans(), st.integers(1, 5))
def test_every_number_that_python_writes_can_be_read_in_every_unit(
    number: float, unit: str, plural: bool, spaces: int
) -> None:
    text = f"{number!r}{' ' * spaces}{unit}{'s' if plural else ''}"
    assert seconds_of(text) == spelled_seconds(text) == number * UNITS[unit]


@settings(deadline=None)
@given(timedeltas)
@example(timedelta())
@example(LONGEST_TIMEDELTA)
def test_a_timedelta_is_its_total_seconds_and_comes_back_from_text(duration: timedelta) -> None:
    seconds = seconds_of(duration)
    assert type(seconds) is float
    assert seconds == spelled_seconds(duration) == duration.total_seconds()
    assert seconds_of(f"{seconds!r} seconds") == seconds


@settings(deadline=None)
@given(st.integers(0, int(LONGEST) * 1_000) | st.floats(0, LONGEST * 1_000))
@example(250)
@example(-0.0)
def test_a_bare_number_is_milliseconds(number: float) -> None:
    seconds = seconds_of(number)
    assert type(seconds) is float
    assert seconds == number / 1_000
    assert math.copysign(1, seconds) == 1


@settings(deadline=None)
@given(timedeltas, timedeltas)
def test_the_longer_timedelta_is_never_the_fewer_seconds(a: timedelta, b: timedelta) -> None:
    assert (seconds_of(a) <= seconds_of(b)) or a > b


@pytest.mark.parametrize("zero", ["-0 seconds", -0.0, timedelta(0), 0])
def test_zero_has_no_sign(zero: Any) -> None:
    assert math.copysign(1, seconds_of(zero)) == 1


# What is refused

REFUSED = [
    None,
    True,
    False,
    "",
    " ",
    "seconds",
    "10",
    "1e1",
    "0x10",
    "0x10 seconds",
    "Infinity",
    "inf seconds",
    "nan seconds",
    "1_000 seconds",
    "1. seconds",
    "+1 second",
    "-1 second",
    "٣ seconds",
    "1e999 seconds",
    "1e12 days",
    "1 second\n",
    "PT5M",
    timedelta(microseconds=-1),
    timedelta.max,
    timedelta.min,
    b"1 second",
    Decimal(5),
    Fraction(1, 2),
    5j,
    ["1 second"],
    {"seconds": 1},
    object(),
    timedelta,
    Unshowable(),
]
NUMBERS_REFUSED = [-1, -0.001, math.nan, math.inf, -math.inf, 10**400, -(10**400), 10**5_000, LONGEST * 1_001]


@pytest.mark.parametrize("read", [seconds_of, spelled_seconds])
@pytest.mark.parametrize("value", REFUSED + NUMBERS_REFUSED, ids=short)
def test_anything_else_is_refused_naming_the_value_and_what_it_was_for(read: Any, value: Any) -> None:
    with pytest.raises(ConfigError) as info:
        read(value, what="the timeout of 'fetch'")
    assert str(info.value).startswith(f"the timeout of 'fetch' can't be {named(value)}: ")
    assert isinstance(info.value, ValueError)


@pytest.mark.parametrize("value", REFUSED, ids=short)
def test_a_refusal_lists_the_units_and_the_other_forms(value: Any) -> None:
    with pytest.raises(ConfigError) as info:
        seconds_of(value)
    for word in [*UNITS, "singular", "plural", "datetime.timedelta", "a number of milliseconds"]:
        assert word in str(info.value)
    with pytest.raises(ConfigError) as info:
        spelled_seconds(value)
    assert "milliseconds" not in str(info.value)


@pytest.mark.parametrize("number", [*NUMBERS_REFUSED, 0, 10, 1.5], ids=short)
def test_where_a_unit_is_wanted_a_bare_number_is_told_how_to_say_it(number: float) -> None:
    with pytest.raises(ConfigError, match=r'doesn\'t say its unit; write "10 seconds" or a datetime\.timedelta'):
        spelled_seconds(number)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("5 min", "5 minutes"),
        ("5 mins", "5 minutes"),
        ("5 m", "5 minutes"),
        ("1 min", "1 minute"),
        ("5 s", "5 seconds"),
        ("5 sec", "5 seconds"),
        ("5s", "5 seconds"),
        ("2hrs", "2 hours"),
        ("1 d", "1 day"),
        ("2 wk", "2 weeks"),
        ("3 mo", "3 months"),
        ("2 yr", "2 years"),
        ("500 ms", "0.5 seconds"),
        ("1000 milliseconds", "1 second"),
        ("1second", "1 second"),
        ("1 Second", "1 second"),
        ("5 MINUTES", "5 minutes"),
        ("1-hour", "1 hour"),
        ("90 secnods", "90 seconds"),
        ("2 moths", "2 months"),
        (" 10 seconds ", "10 seconds"),
        ("10\tseconds", "10 seconds"),
        ("1 hour 1 minute", "61 minutes"),
        ("1h30m", "90 minutes"),
        ("1 day, 2 hours and 3 minutes", "1563 minutes"),
        ("1 sec 500 ms", "1.5 seconds"),
        ("0 min", "0 minutes"),
    ],
)
def test_a_near_miss_is_refused_with_the_right_spelling(text: str, meant: str) -> None:
    for read in (seconds_of, spelled_seconds):
        with pytest.raises(ConfigError, match=re.escape(f'did you mean "{meant}"?')):
            read(text)


@pytest.mark.parametrize(
    "text",
    [
        "1 fortnight",
        "5 parsecs",
        "1h30",
        "-5 min",
        "1.2.3 s",
        "5 min!",
        "1 hour or 2 min",
        "1e999 min",
        "0 " + "m" * 99,
    ],
)
def test_where_nothing_can_be_meant_nothing_is_suggested(text: str) -> None:
    with pytest.raises(ConfigError) as info:
        seconds_of(text)
    assert "did you mean" not in str(info.value)


def test_a_refusal_of_a_huge_text_is_short_and_quick() -> None:
    """Guessing at a million digits would take hours: it is tried for short texts only."""
    with pytest.raises(ConfigError) as info:
        seconds_of("1" * 1_000_000 + "!")
    assert len(str(info.value)) < 500


NEAR_MISSES = ["s", "sec", "m", "min", "h", "hours", "d", "Days", "w", "mo", "y", "ms"]


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(st.decimals(0, 10_000, places=3), st.sampled_from(NEAR_MISSES)),
        min_size=1,
        max_size=4,
    ),
    st.sampled_from(["", " "]),
    st.sampled_from([" ", ", ", " and "]),
)
def test_every_suggestion_can_be_written_and_means_the_same(
    parts: list[tuple[Decimal, str]], space: str, glue: str
) -> None:
    sizes = {"s": 1, "sec": 1, "m": 60, "min": 60, "h": 3_600, "hours": 3_600, "d": 86_400, "Days": 86_400}
    sizes |= {"w": 604_800, "mo": 2_592_000, "y": 31_557_600}
    text = glue.join(f"{number}{space}{word}" for number, word in parts)
    assume(not (len(parts) == 1 and space and parts[0][1] == "hours"))  # that one is right
    with pytest.raises(ConfigError) as info:
        seconds_of(text)
    suggestion = re.search(r'did you mean "(.*?)"\?', str(info.value))
    assert suggestion is not None
    total = sum(float(number) * sizes.get(word, 0.001) for number, word in parts)
    assert seconds_of(suggestion[1]) == pytest.approx(total, rel=1e-9)


scalars: st.SearchStrategy[Any] = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.binary(), st.timedeltas(), st.dates()
)
anything = scalars | st.lists(scalars, max_size=3) | st.dictionaries(st.text(), scalars, max_size=3)
nearly_durations = st.from_regex(r"[-+]?[0-9.e]{0,5}[ \t]{0,2}(ms|s|min|second|hours?|years?|x)?[ s]?", fullmatch=True)


@settings(deadline=None)
@given(anything | nearly_durations)
def test_whatever_comes_is_a_duration_or_a_config_error(value: Any) -> None:
    for read in (seconds_of, spelled_seconds):
        try:
            seconds = read(value)
        except ConfigError:
            continue
        assert type(seconds) is float
        assert 0 <= seconds <= LONGEST
        assert isinstance(value, str | timedelta) or (read is seconds_of and type(value) in (int, float))


# The same in a form that says its unit


@settings(deadline=None)
@given(st.integers(0, int(LONGEST) * 1_000) | st.floats(0, LONGEST * 1_000))
@example(LONGEST * 1_000)
def test_spelled_turns_milliseconds_into_a_timedelta_to_the_microsecond(number: float) -> None:
    duration = spelled(number)
    assert isinstance(duration, timedelta)
    assert abs(duration.total_seconds() - number / 1_000) <= max(1e-6, number * 1e-15)


@pytest.mark.parametrize("value", ["5 min", "1 hour", timedelta(1), None, True, []])
def test_spelled_hands_back_what_is_no_number(value: Any) -> None:
    assert spelled(value) is value


@pytest.mark.parametrize("number", NUMBERS_REFUSED, ids=short)
def test_spelled_refuses_a_number_that_is_no_duration(number: float) -> None:
    with pytest.raises(ConfigError, match="delay can't be"):
        spelled(number, what="delay")


@pytest.mark.parametrize(("value", "expected"), [(1, True), (1.0, True), (True, False), ("1", False), (None, False)])
def test_a_bool_is_not_a_number(value: object, expected: bool) -> None:
    assert is_number(value) is expected


# What people read


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (0.25, "250 ms"),
        (0.0001, "0.1 ms"),
        (0.9994, "999 ms"),
        (0.9996, "1 s"),
        (1, "1 s"),
        (1.5, "1.5 s"),
        (10, "10 s"),
        (59.94, "59.9 s"),
        (59.96, "1 min"),
        (60, "1 min"),
        (200, "3 min 20 s"),
        (3_599.4, "59 min 59 s"),
        (3_599.6, "1 h"),
        (3_600, "1 h"),
        (3_660, "1 h 1 min"),
        (86_399, "1 d"),
        (86_400, "1 d"),
        (187_200, "2 d 4 h"),
        (LONGEST, "999999999 d"),
    ],
)
def test_a_duration_is_shown_short(seconds: float, text: str) -> None:
    assert shown(seconds) == text


@settings(deadline=None)
@given(st.floats(1e-6, 1e7))
def test_what_is_shown_is_what_it_was_but_for_rounding(seconds: float) -> None:
    sizes = {"ms": 0.001, "s": 1, "min": 60, "h": 3_600, "d": 86_400}
    words = shown(seconds).split()
    assert len(words) in (2, 4)
    total = sum(float(n) * sizes[unit] for n, unit in zip(words[::2], words[1::2], strict=True))
    assert total == pytest.approx(seconds, rel=0.025)


@settings(deadline=None)
@given(st.floats(60, 1e9))
def test_the_smaller_unit_never_reaches_the_larger(seconds: float) -> None:
    words = shown(seconds).split()
    ratio = {"min": 60, "h": 60, "d": 24}[words[1]]
    assert int(words[0]) >= 1
    assert words[2:] == [] or 1 <= int(words[2]) < ratio


def test_a_value_is_named_shortly_whatever_its_repr_does() -> None:
    assert named("5 min") == "'5 min'"
    assert len(named("x" * 10_000)) < 100
    assert len(named(list(range(10_000)))) < 100
    assert "int" in named(10**5_000)
    assert "Unshowable" in named(Unshowable())
