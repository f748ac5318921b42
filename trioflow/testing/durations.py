"""How long a duration is, worked out a second time: exactly, in fractions, and with nothing of what it judges.

`exact_seconds` says of any value whether it is a duration, and how long. It reads a text word by word where the runtime has
a regular expression, and its numbers are fractions where the runtime has floats. So a slip in the one is no slip in the
other, and a sum of delays has one right value, however many they are.

A table of examples was the other way. It says nothing about the text that nobody thought of.
"""

from __future__ import annotations

import math
from datetime import timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Final, TypeAlias

__all__ = ["LONGEST", "UNITS", "Written", "exact_seconds"]

#: A duration as people write it: text, a `timedelta`, a number of milliseconds.
Written: TypeAlias = str | int | float | timedelta

_DAY: Final = Fraction(24 * 60 * 60)

#: The units and their lengths in seconds. A month has 30 days, a year 365.25.
UNITS: Final = {
    "second": Fraction(1),
    "minute": Fraction(60),
    "hour": Fraction(60 * 60),
    "day": _DAY,
    "week": 7 * _DAY,
    "month": 30 * _DAY,
    "year": 365 * _DAY + _DAY / 4,
}

#: The longest duration, in seconds: as many days as a `timedelta` can count.
LONGEST: Final = 999_999_999 * _DAY


def exact_seconds(value: object, *, milliseconds: bool = True) -> Fraction | None:
    """The length of a duration in seconds; None if it is none, and has to be refused.

    With `milliseconds` a bare number is that many of them; without, it has to be refused.

    >>> exact_seconds("1.5 minutes"), exact_seconds(250), exact_seconds(250, milliseconds=False)
    (Fraction(90, 1), Fraction(1, 4), None)
    """
    length = _length(value, milliseconds)
    return length if length is not None and 0 <= length <= LONGEST else None


def _length(value: object, milliseconds: bool) -> Fraction | None:
    if isinstance(value, str):
        return _of_text(value)
    if isinstance(value, timedelta):
        return Fraction(value // timedelta(microseconds=1), 10**6)
    if isinstance(value, bool) or not isinstance(value, int | float) or not milliseconds:
        return None
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return Fraction(value) / 1000


def _of_text(text: str) -> Fraction | None:
    """A number, at least one space, a unit, perhaps an s; nothing before, nothing behind."""
    number, space, rest = text.partition(" ")
    unit = rest.lstrip(" ").removesuffix("s")
    if not space or unit not in UNITS or not _is_number(number):
        return None
    if Decimal(number) > LONGEST.numerator:  # before it is made a fraction of that many digits
        return None
    return Fraction(number) * UNITS[unit]


def _is_number(text: str) -> bool:
    """Whether a text is a decimal number: -2, 1.5, .5, 1e3, 5E-1. Not +2, 1., 1_000, ٣, inf."""
    mantissa, e, exponent = text.lower().partition("e")
    whole, point, part = mantissa.removeprefix("-").partition(".")
    power = exponent[1:] if exponent[:1] in ("+", "-") else exponent
    return (
        (_is_digits(whole) or (whole == "" and point == "."))
        and (_is_digits(part) or point == "")
        and (_is_digits(power) or e == "")
    )


def _is_digits(text: str) -> bool:
    return text != "" and set(text) <= set("0123456789")
