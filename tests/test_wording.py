"""Texts of users' programs, in one line: printable, and with an end."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trioflow._wording import attempt_of, counted, described, first_of, numbered, one_line, plural, seconds, shortened


@given(st.text(), st.integers(5, 50))
def test_any_text_becomes_one_printable_line_of_limited_length(text: str, limit: int) -> None:
    line = one_line(text, limit)
    assert line.isprintable()
    assert len(line) <= limit


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a\n  b\tc", "a b c"),
        ("\x1b[31mred", "\\x1b[31mred"),
        ("x" * 21, "x" * 17 + "..."),
        ("x" * 20, "x" * 20),
        (" " * 100 + "x", "..."),  # too far away to be looked at, but something was there
        ("\ud800", "\\ud800"),
    ],
)
def test_what_is_cut_or_escaped_can_be_seen(text: str, line: str) -> None:
    assert one_line(text, 20) == line


def test_a_name_has_its_number_unless_it_is_the_first() -> None:
    assert [numbered("load", n) for n in (1, 2)] == ["load", "load #2"]
    assert numbered("x" * 100, 2) == "x" * 57 + "... #2"


def test_an_error_is_named_as_python_names_it_even_if_it_has_no_text() -> None:
    class Mute(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    assert [described(e) for e in (ValueError("x\ny"), ValueError(), Mute())] == [
        "ValueError: x y",
        "ValueError",
        "Mute: (its text can't be shown)",
    ]


def test_an_attempt_is_told_only_where_there_may_be_several() -> None:
    assert (attempt_of(1, 1), attempt_of(2, 3)) == ("", "attempt 2 of 3")


@pytest.mark.parametrize(
    ("time", "shown"), [(0.04, "0.0 s"), (59.94, "59.9 s"), (59.96, "1 min"), (3_600, "1 h"), (-0.1, "0 s")]
)
def test_seconds_have_tenths_up_to_a_minute(time: float, shown: str) -> None:
    assert seconds(time) == shown


def test_long_lists_say_how_much_is_left_out() -> None:
    names = [str(n) for n in range(7)]
    assert shortened(names) == ["0", "1", "(3 more)", "5", "6"]
    assert shortened(names[:6]) == names[:6]
    assert first_of(names, 3) == ["0", "1", "... and 5 more"]
    assert first_of(names, 7) == names


def test_what_there_is_none_of_is_not_counted() -> None:
    assert counted({"done": 3, "failed": 0, "to do": 1_200}) == "3 done, 1,200 to do"
    assert [plural(n, "step") for n in (0, 1, 2_000)] == ["0 steps", "1 step", "2,000 steps"]
