"""What user functions receive: dictionaries, attributes and fields at once."""

from __future__ import annotations

import copy
import json
import keyword
import pickle
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trioflow import StepContext, WorkflowEvent
from trioflow._views import StepName

AT = datetime(2026, 11, 23, 20, tzinfo=UTC)

events = st.builds(
    lambda payload, i: WorkflowEvent[Any](payload=payload, timestamp=AT, instanceId=i, workflowName="Report"),
    st.dictionaries(st.text(max_size=3), st.integers() | st.text(max_size=3), max_size=3) | st.integers(),
    st.text(max_size=3),
)
contexts = st.builds(
    lambda name, count, attempt: StepContext(
        step=StepName(name=name, count=count), attempt=attempt, config={"timeout": None}
    ),
    st.text(max_size=3),
    st.integers(1, 9),
    st.integers(1, 9),
)


@given(events | contexts)
def test_each_key_is_an_attribute_and_each_attribute_a_key(view: dict[str, Any]) -> None:
    assert isinstance(view, dict)
    for key in view:
        assert getattr(view, key) is view[key]
    assert set(type(view).__annotations__) == set(view)


@given(events | contexts)
def test_it_is_a_real_dictionary(view: dict[str, Any]) -> None:
    plain = dict(view)
    assert view == plain
    assert {**view} == plain
    assert list(view.items()) == list(plain.items())
    assert view.get("schedule") is None
    assert "schedule" not in view
    match view:
        case {"attempt": attempt}:
            assert attempt == plain["attempt"]
        case {"payload": payload}:
            assert payload == plain["payload"]
        case _:
            raise AssertionError


@given(events | contexts)
def test_a_copy_is_of_the_same_kind(view: dict[str, Any]) -> None:
    for again in (copy.copy(view), copy.deepcopy(view), pickle.loads(pickle.dumps(view))):
        assert again == view
        assert type(again) is type(view)
    assert json.loads(json.dumps(view, default=str)).keys() == view.keys()


@given(events, st.from_regex("[a-z_]{1,8}", fullmatch=True))
def test_what_is_not_there_is_named_with_what_is(event: WorkflowEvent[Any], name: str) -> None:
    if name in event or hasattr(dict, name) or keyword.iskeyword(name):
        return
    with pytest.raises(AttributeError) as caught:
        getattr(event, name)
    assert str(caught.value) == (f"WorkflowEvent has no {name!r}; it has payload, timestamp, instanceId, workflowName")
    assert caught.value.__suppress_context__
    assert caught.value.__cause__ is None
    with pytest.raises(KeyError):
        event[name]


def test_attributes_cannot_be_set_where_no_key_would_change() -> None:
    event: Any = WorkflowEvent(payload={})
    with pytest.raises(AttributeError):
        event.payload = {"day": 1}
    event["payload"] = {"day": 1}
    assert event.payload == {"day": 1}


def test_it_shows_itself_as_it_would_be_written() -> None:
    ctx = StepContext(step=StepName(name="load", count=2), attempt=1, config={})
    assert repr(ctx) == "StepContext(step=StepName(name='load', count=2), attempt=1, config={})"
    assert eval(repr(ctx), {"StepContext": StepContext, "StepName": StepName}) == ctx
