"""The second reader of durations, by examples that were worked out by hand: P19."""

from __future__ import annotations

import math
from datetime import timedelta
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trioflow.testing import exact_seconds
from trioflow.testing.durations import LONGEST, UNITS


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("1 second", 1),
        ("90 seconds", 90),
        ("2 minute", 120),
        ("1 hour", 3_600),
        ("1.5 days", 129_600),
        ("1 week", 604_800),
        ("2 months", 5_184_000),
        ("1 year", 31_557_600),
        ("0.001 seconds", Fraction(1, 1_000)),
        (".5 minutes", 30),
        ("1e3 seconds", 1_000),
        ("5E-1  seconds", Fraction(1, 2)),
        ("1e+2 seconds", 100),
        ("007 seconds", 7),
        ("-0 seconds", 0),
        ("999999999 days", 86_399_999_913_600),
        (250, Fraction(1, 4)),
        (0.5, Fraction(1, 2_000)),
        (0, 0),
        (timedelta(hours=1), 3_600),
        (timedelta(microseconds=1), Fraction(1, 1_000_000)),
        (timedelta(days=999_999_999), 86_399_999_913_600),
    ],
)
def test_a_duration_is_exactly_as_long_as_it_says(value: Any, seconds: Any) -> None:
    assert exact_seconds(value) == seconds


@pytest.mark.parametrize(
    "value",
    [
        "",
        " ",
        "5",
        "second",
        " seconds",
        "1second",
        "5 min",
        "5 s",
        "5 m",
        "5 ms",
        "1 Second",
        "1 secondss",
        "1 fortnight",
        " 1 second",
        "1 second ",
        "1 second\n",
        "1\tsecond",
        "1 hour 1 minute",
        "-1 second",
        "+1 second",
        "1. seconds",
        ". seconds",
        "- seconds",
        "1e seconds",
        "1e+ seconds",
        "e3 seconds",
        "1e3e3 seconds",
        "1_000 seconds",
        "1,5 seconds",
        "0x10 seconds",
        "٣ seconds",
        "² seconds",
        "inf seconds",
        "nan seconds",
        "1e999999999 seconds",
        "1000000000 days",
        "3e6 years",
        b"1 second",
        None,
        True,
        False,
        [1],
        -1,
        -0.5,
        math.nan,
        math.inf,
        -math.inf,
        10**500,
        86_399_999_913_600_001,
        timedelta(microseconds=-1),
        timedelta.max,
    ],
)
def test_anything_else_is_none(value: object) -> None:
    assert exact_seconds(value) is None


@pytest.mark.parametrize("number", [0, 1, 0.5])
def test_a_bare_number_is_one_only_where_numbers_are_milliseconds(number: float) -> None:
    assert exact_seconds(number) == Fraction(number) / 1_000
    assert exact_seconds(number, milliseconds=False) is None
    assert exact_seconds("1 second", milliseconds=False) == 1
    assert exact_seconds(timedelta(1), milliseconds=False) == 86_400


@given(st.decimals(0, 10**6, places=3), st.sampled_from(sorted(UNITS)), st.booleans(), st.integers(1, 4))
def test_a_number_of_units_is_so_many_times_as_long_as_the_unit(
    number: Any, unit: str, plural: bool, spaces: int
) -> None:
    assert exact_seconds(f"{number}{' ' * spaces}{unit}{'s' * plural}") == Fraction(number) * UNITS[unit]


def test_the_longest_is_that_of_a_timedelta_of_whole_days() -> None:
    assert timedelta(seconds=int(LONGEST)) == timedelta(days=timedelta.max.days)
