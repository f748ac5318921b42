"""Values as texts: the same for what consists of the same, different for what doesn't, wherever it is in memory."""

from __future__ import annotations

import collections
import copy
import dataclasses
import math
import types
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trioflow.testing.comparing import shortened, shown


class Plain:
    def __init__(self, **values: Any) -> None:
        vars(self).update(values)


class Slotted:
    __slots__ = ("__weakref__", "one", "other")

    def __init__(self, one: Any) -> None:
        self.one = one


class OneSlot(Slotted):
    __slots__ = "third"


@attrs.define
class Attrs:
    x: Any


@dataclasses.dataclass
class Data:
    x: Any


def slotted(one: Any) -> OneSlot:
    made = OneSlot(one)
    made.third = 3
    return made


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "None"),
        (True, "True"),
        (1, "1"),
        (0.1 + 0.2, "0.30000000000000004"),
        (math.nan, "nan"),
        ("a'b", '"a\'b"'),
        (b"a", "b'a'"),
        ([1, [2]], "[1, [2]]"),
        ((1,), "(1,)"),
        ((), "()"),
        ((1, "a"), "(1, 'a')"),
        ({"b", "a"}, "set({'a', 'b'})"),
        (frozenset({2, 1}), "frozenset({1, 2})"),
        ({"b": 1, "a": 2}, "{'b': 1, 'a': 2}"),
        (collections.OrderedDict(a=1), "OrderedDict({'a': 1})"),
        (ValueError("no", 1), "ValueError(args=('no', 1))"),
        (ExceptionGroup("all", [ValueError()]), "ExceptionGroup(message='all', exceptions=[ValueError(args=())])"),
        (Plain(a=Plain(), b={1}), "Plain(a=Plain(), b=set({1}))"),
        (slotted(1), "OneSlot(one=1, third=3)"),
        (Attrs(Plain(a=1)), "Attrs(x=Plain(a=1))"),
        (Data([Plain()]), "Data(x=[Plain()])"),
        (types.SimpleNamespace(a=1), "namespace(a=1)"),
        (range(3), "range(0, 3)"),
        (test_value := Plain, "<class 'tests.test_testing_comparing.Plain'>"),
    ],
)
def test_a_value_as_a_text(value: Any, text: str) -> None:
    assert shown(value).replace("<class 'test_testing", "<class 'tests.test_testing") == text


def test_what_has_a_name_and_an_address_is_shown_by_its_name() -> None:
    assert shown(test_a_value_as_a_text) == "<function test_a_value_as_a_text>"
    assert shown(object()) == "object()"


def test_the_order_of_a_mapping_counts_only_if_asked_for() -> None:
    one, other = {"a": 1, "b": 2}, {"b": 2, "a": 1}
    assert shown(one) != shown(other)
    assert shown(one, ordered=False) == shown(other, ordered=False)
    assert shown([{"x": one}], ordered=False) == shown([{"x": other}], ordered=False)


def test_what_contains_itself_has_an_end() -> None:
    loop: list[Any] = [1]
    loop.append(loop)
    assert shown(loop) == "[1, …]"
    deep: Any = 0
    for _ in range(5_000):
        deep = [deep]
    assert shown(deep).count("[") < 100


def test_an_object_twice_is_no_loop() -> None:
    inner = [1]
    assert shown([inner, inner]) == "[[1], [1]]"


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: (
        st.lists(inner) | st.dictionaries(st.text(), inner) | st.builds(Attrs, inner) | st.builds(Data, inner)
    ),
)


@pytest.mark.slow
@settings(max_examples=50)
@given(VALUES, VALUES)
def test_texts_are_the_same_exactly_if_the_values_are(one: Any, other: Any) -> None:
    assert shown(one) == shown(copy.deepcopy(one))
    if shown(one) == shown(other):
        assert repr(one) == repr(other)


def test_for_people_it_is_one_line_and_not_too_long() -> None:
    assert shortened("a") == "'a'"
    assert shortened(["x" * 100], 20) == "['xxxxxxxxxxxxxxxxx…"
