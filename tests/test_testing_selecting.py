"""Which step a test means by what it writes."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trioflow import ConfigError
from trioflow.abc import Path
from trioflow.testing.selecting import Selection, hint, selection

TOP: Path = (("load", 1),)
SECOND: Path = (("load", 2),)
INNER: Path = (("load", 1), ("page", 2))

NAMES = st.sampled_from(["load", "page", "a/b", ""])
PATHS = st.lists(st.tuples(NAMES, st.integers(1, 3)), min_size=1, max_size=3).map(tuple)


@pytest.mark.parametrize(
    ("selector", "meant"),
    [
        ("load", [TOP]),
        (("load", 2), [SECOND]),
        (("load", None), [TOP, SECOND]),
        ("page", []),
        (("page", 2), [INNER]),
        (["load"], [TOP]),
        ([("page", 2)], []),
        (["load", ("page", 2)], [INNER]),
        (("load", ("page", None)), [INNER]),
        (["load", "page"], []),
        (("load", "page"), []),
        ([("load", 2), ("page", None)], []),
    ],
)
def test_a_selector_means_the_steps_that_it_says(selector: Any, meant: list[Path]) -> None:
    assert [path for path in (TOP, SECOND, INNER) if selection(selector).matches(path)] == meant


@given(PATHS, PATHS)
def test_the_path_of_a_step_means_that_step_and_no_other(path: Path, other: Path) -> None:
    assert selection(path).matches(path)
    assert selection(path).matches(other) == (path == other)


@given(PATHS, st.integers(1, 3))
def test_a_name_means_a_step_wherever_it_is_declared(path: Path, number: int) -> None:
    name, occurrence = path[-1]
    assert selection((name, number)).matches(path) == (number == occurrence)
    assert selection(name).matches(path) == (occurrence == 1)
    assert selection((name, None)).matches(path)


@given(PATHS)
def test_nothing_said_means_everything(path: Path) -> None:
    assert Selection((), anywhere=True).matches(path)


@pytest.mark.parametrize(
    ("selector", "said"),
    [
        ("load", "'load'"),
        (("load", 3), "'load' #3"),
        (("load", None), "each 'load'"),
        (["load", ("page", 2)], "'page' #2 in 'load'"),
    ],
)
def test_it_is_shown_as_people_say_it(selector: Any, said: str) -> None:
    assert str(selection(selector)) == said


@pytest.mark.parametrize(
    ("selector", "said"),
    [
        (3, "3 says no step"),
        (None, "None says no step"),
        ([], "says no step"),
        ([3], "3 says no step"),
        ((3, 1), r"\(3, 1\) says no step"),
        (("load", 0), "can't be number 0"),
        (("load", True), "can't be number True"),
        (("load", 1.0), "can't be number 1.0"),
        (["load", ("page", -1)], "can't be number -1"),
        (pytest.fail, "give its name, as text"),
    ],
)
def test_what_says_no_step_is_refused(selector: Any, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        selection(selector)


@pytest.mark.parametrize(
    ("known", "said"),
    [
        ([], ""),
        (["load", "store"], "did you mean 'load'?"),
        (["store", "store"], "there is 'store'"),
        ([str(n) for n in range(12)], "there is '0', '1', '2', '3', '4', '5', '6', '7', '8', '9' and others"),
    ],
)
def test_a_name_that_nothing_bears_comes_with_what_was_meant(known: list[str], said: str) -> None:
    assert hint("laod", known) == said
