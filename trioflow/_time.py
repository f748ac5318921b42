"""How long: durations, read as people write them and shown as people read them.

Inside trioflow a duration is a `float` of seconds, finite and not negative. This room is the border: what comes in is
checked here, once, and nothing else in the house knows how a duration is spelt.

The grammar is Cloudflare's, without its accidents. There, "5 min" is five *milliseconds*, as is every unit that it
doesn't know; here a text that isn't understood is refused, and where the meaning can be guessed the message asks "did
you mean …?". Guessing and going on was rejected: a second spelling for each unit has to be learnt by each reader and
by each other implementation, and "5 m" stays ambiguous.

A bare number is milliseconds, because it is so in Cloudflare's API (`seconds_of`). Trio's own functions take seconds,
so values that are ours alone refuse bare numbers (`spelled_seconds`) rather than be misread by a factor of 1,000.
"""

from __future__ import annotations

import difflib
import re
import reprlib
from datetime import timedelta
from typing import Final, TypeAlias, TypeGuard, cast

from ._errors import ConfigError

#: A duration in a form that says its unit: text such as "10 seconds", or a `datetime.timedelta`.
SpelledDuration: TypeAlias = str | timedelta

#: A duration as Cloudflare's API takes it: a `SpelledDuration`, or a number of *milliseconds*.
Duration: TypeAlias = str | int | float | timedelta

#: The longest duration that is accepted, in seconds: 999,999,999 days. Each fits into a `timedelta`, and a clock that
#: many of them are added to never reaches infinity, where virtual time would stand still for ever.
LONGEST: Final = timedelta.max.days * 86_400.0

_UNITS: Final = {
    "second": 1.0,
    "minute": 60.0,
    "hour": 3_600.0,
    "day": 86_400.0,
    "week": 604_800.0,
    "month": 2_592_000.0,  # 30 days
    "year": 31_557_600.0,  # 365.25 days
}
_NUMBER: Final = r"(?:[0-9]+(?:\.[0-9]+)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?"
_DURATION: Final = re.compile(rf"(-?{_NUMBER}) +({'|'.join(_UNITS)})s?")

_SPELLED_FORMS: Final = (
    'write a number and a unit, as in "10 seconds" (second, minute, hour, day, week, month or year, singular or '
    "plural), or pass a datetime.timedelta"
)
_ALL_FORMS: Final = f"{_SPELLED_FORMS} or a number of milliseconds"
_RANGE: Final = f"a duration is at least 0 and at most {timedelta.max.days:,} days"


def seconds_of(duration: Duration, *, what: str = "duration") -> float:
    """The length of a duration in seconds, where Cloudflare's conventions hold: a bare number is milliseconds.

    Text is a number, one or more spaces, and a unit: second, minute, hour, day, week, month (30 days) or year (365.25
    days), singular or plural. `what` says in the message what the value was meant to be.

    >>> seconds_of("1.5 minutes"), seconds_of(250), seconds_of(timedelta(hours=1))
    (90.0, 0.25, 3600.0)

    Raises `ConfigError` (a `ValueError`) for everything else: another word, a negative or endless duration, NaN, a
    `bool`, `None`. The message names the value and the units.
    """
    if not is_number(duration):
        return _seconds_of_spelled(duration, what, _ALL_FORMS)
    if not 0 <= duration <= LONGEST * 1_000:  # NaN is not, and an int of any size can be compared
        raise _refusal(duration, what, f"{_RANGE}; {_ALL_FORMS}")
    return duration / 1_000 + 0.0  # so that -0.0 becomes 0.0


def spelled_seconds(duration: SpelledDuration, *, what: str = "duration") -> float:
    """The length in seconds of a duration that must say its unit: as `seconds_of`, but bare numbers are refused too.

    >>> spelled_seconds("10 seconds"), spelled_seconds(timedelta(milliseconds=250))
    (10.0, 0.25)

    Raises `ConfigError`, for a number with the advice to write "10 seconds" or a `timedelta`.
    """
    if is_number(duration):
        reason = 'a bare number doesn\'t say its unit; write "10 seconds" or a datetime.timedelta'
        raise _refusal(duration, what, reason)
    return _seconds_of_spelled(duration, what, _SPELLED_FORMS)


def spelled(duration: Duration, *, what: str = "duration") -> SpelledDuration:
    """The same duration in a form that says its unit: a number of milliseconds becomes a `timedelta`.

    A `timedelta` counts whole microseconds, so a thousandth of a millisecond is the finest that is left. Anything but
    a number is handed back as it is, unchecked: `spelled_seconds` judges it. Raises `ConfigError` for a number that
    is no duration.
    """
    if is_number(duration):
        return timedelta(seconds=seconds_of(duration, what=what))
    return cast(SpelledDuration, duration)


def shown(seconds: float) -> str:
    """A short text for people, of a finite number of seconds that isn't negative: three digits, or two units.

    >>> [shown(seconds) for seconds in (0.25, 1.5, 10, 200, 187_200)]
    ['250 ms', '1.5 s', '10 s', '3 min 20 s', '2 d 4 h']
    """
    rounded = float(f"{seconds:.3g}")
    if 0 < rounded < 1:
        return f"{rounded * 1_000:.3g} ms"
    if rounded < 60:
        return f"{rounded:g} s"
    # Rounded to the finer of the two units before it is split: nobody wants to read "59 min 60 s".
    if (whole := round(seconds)) < 3_600:
        return _two_units(whole, 60, "min", "s")
    if (minutes := round(seconds / 60)) < 1_440:
        return _two_units(minutes, 60, "h", "min")
    return _two_units(round(seconds / 3_600), 24, "d", "h")


def is_number(value: object) -> TypeGuard[int | float]:
    """Whether a value is an `int` or a `float`, and not a `bool`, which is an `int` only by history."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def named(value: object) -> str:
    """A value as it is shown in a refusal: its `repr`, shortened, whatever the value is.

    A `repr` may be endless, may raise, and does raise for an `int` of more than 4,300 digits.
    """
    try:
        return _REPR.repr(value)
    except Exception:
        return f"a {type(value).__name__} that can't be shown"


_REPR: Final = reprlib.Repr()
_REPR.maxstring = _REPR.maxother = 80


def _seconds_of_spelled(duration: object, what: str, forms: str) -> float:
    if isinstance(duration, timedelta):
        seconds = duration.total_seconds()
    elif not isinstance(duration, str):
        raise _refusal(duration, what, forms)
    elif (match := _DURATION.fullmatch(duration)) is None:
        meant = _what_was_meant(duration)
        raise _refusal(duration, what, forms if meant is None else f'did you mean "{meant}"? Otherwise {forms}')
    else:
        seconds = float(match[1]) * _UNITS[match[2]]
    if not 0 <= seconds <= LONGEST:
        raise _refusal(duration, what, f"{_RANGE}; {forms}")
    return seconds + 0.0


def _refusal(duration: object, what: str, reason: str) -> ConfigError:
    return ConfigError(f"{what} can't be {named(duration)}: {reason}")


# What people write elsewhere. None of it is accepted; it only makes the refusal more helpful.
_ELSEWHERE: Final = {
    word: unit
    for unit, words in {
        "second": "s sec secs",
        "minute": "m min mins",
        "hour": "h hr hrs",
        "day": "d",
        "week": "w wk wks",
        "month": "mo mon mos",
        "year": "y yr yrs",
    }.items()
    for word in words.split()
}
_MILLISECONDS: Final = frozenset({"ms", "msec", "msecs", "millis", "millisecond", "milliseconds"})
_LOOSE_PART: Final = re.compile(rf"({_NUMBER})[\s-]*([a-z]+)")
_LOOSE_FILLING: Final = re.compile(r"(?:\s|,|\band\b)*")


def _what_was_meant(text: str) -> str | None:
    """The accepted spelling nearest to a text that isn't one: "1h 30min" → "90 minutes". None if it can't be told."""
    lowered = text.lower()
    # Guessing takes time quadratic in the length: without the limit a text of a million digits would hang here.
    parts = _LOOSE_PART.findall(lowered) if len(text) <= 100 else []
    if not parts or not _LOOSE_FILLING.fullmatch(_LOOSE_PART.sub("", lowered)):
        return None
    total, finest = 0.0, "year"
    for number, word in parts:
        unit = _nearest_unit(word)
        if unit is None:
            return None
        total += float(number) * (0.001 if word in _MILLISECONDS else _UNITS[unit])
        finest = min(unit, finest, key=_UNITS.__getitem__)
    if total > LONGEST:
        return None
    amount = f"{total / _UNITS[finest]:.12g}"
    return f"{amount} {finest}" if amount == "1" else f"{amount} {finest}s"


def _nearest_unit(word: str) -> str | None:
    """The unit that a word is another spelling of. For milliseconds, which have no unit of their own, the second."""
    if word in _MILLISECONDS:
        return "second"
    if word in _ELSEWHERE:
        return _ELSEWHERE[word]
    nearest = difflib.get_close_matches(word.removesuffix("s"), _UNITS, 1, 0.75)
    return nearest[0] if nearest else None


def _two_units(count: int, ratio: int, coarse: str, fine: str) -> str:
    whole, rest = divmod(count, ratio)
    return f"{whole} {coarse} {rest} {fine}" if rest else f"{whole} {coarse}"
