"""What people write on the command line is taken at its word or refused, with the place of the mistake."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trioflow._arguments import Delivery, Target, UsageError, delivery_of, payload_of

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)
types = st.text(st.characters(exclude_characters="=@"), min_size=1, max_size=100)


# -------------------------------------------------------------------------------------------------------------- events


@given(types, values, st.integers(0, 10**6) | st.floats(0, 10**6, allow_nan=False))
def test_an_event_has_a_type_json_and_a_time(event_type: str, payload: object, at: float) -> None:
    text = json.dumps(payload)
    assert delivery_of(f"{event_type}={text}@{at}") == Delivery(event_type, payload, float(at))
    assert delivery_of(f"{event_type}={text}") == Delivery(event_type, payload, 0.0)
    assert delivery_of(f"{event_type}@{at}") == Delivery(event_type, None, float(at))
    assert delivery_of(event_type) == Delivery(event_type, None, 0.0)


@pytest.mark.parametrize(
    ("text", "delivery"),
    [
        ('mail="a@5"', Delivery("mail", "a@5", 0.0)),
        ('mail="a@5"@6', Delivery("mail", "a@5", 6.0)),
        ("a@b=1", Delivery("a@b", 1, 0.0)),
        ("a@b@3", Delivery("a@b", None, 3.0)),
        ("go@2 days", Delivery("go", None, 172_800.0)),
        ("go=1@1.5 minutes", Delivery("go", 1, 90.0)),
        ("go@1e3", Delivery("go", None, 1_000.0)),
        ('x={"a": "b=c@d"}@0', Delivery("x", {"a": "b=c@d"}, 0.0)),
    ],
)
def test_json_and_types_may_hold_at_signs_and_equals_signs(text: str, delivery: Delivery) -> None:
    assert delivery_of(text) == delivery


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "the event's type is missing"),
        ("=1", "the event's type is missing"),
        ("@5", "the event's type is missing"),
        ("me@host", "'host' is no time; after the @ stands a number of seconds"),
        ("go@", "'' is no time"),
        ("go@-1", "'-1' is no time"),
        ("go@nan", "'nan' is no time"),
        ("go=1@soon", "'soon' is no time"),
        ("go=1@", "'' is no time"),
        ("go@5=1", "when comes last, as in go=1@5"),
        ("go={a: 1}", "what follows the = is no JSON: Expecting property name"),
        ("go={a: 1}@5", "what stands between = and @5 is no JSON: Expecting property name"),
        ("go=@5", "what stands between = and @5 is no JSON: Expecting value"),
        ('go={"a": "b@c"', "what follows the = is no JSON: Expecting ',' delimiter"),
        ("go=NaN", "NaN is no number there"),
        ("x" * 101, "has 101 characters: at most 100 are allowed"),
    ],
)
def test_what_is_no_event_is_refused_with_what_is_wrong(text: str, words: str) -> None:
    with pytest.raises(UsageError) as caught:
        delivery_of(text)
    assert str(caught.value).startswith("--event")
    assert words in str(caught.value)


@given(st.text(max_size=40))
def test_any_text_is_an_event_or_a_usage_error(text: str) -> None:
    try:
        delivery = delivery_of(text)
    except UsageError:
        return
    assert delivery.type
    assert delivery.at >= 0


# -------------------------------------------------------------------------------------------------------------- params


@given(values)
def test_params_are_json(value: object) -> None:
    assert payload_of(json.dumps(value)) == value


def test_params_that_are_not_given_are_none() -> None:
    assert payload_of(None) is None


# --------------------------------------------------------------------------------------------------------------- files


def test_a_file_keeps_what_it_holds_until_something_is_written(tmp_path: Path) -> None:
    path = tmp_path / "out.mmd"
    path.write_text("what was there before")
    target = Target.opened("--graph", str(path))
    assert path.read_text() == "what was there before"
    target.write("new ä")
    target.close()
    assert path.read_text() == "new ä"


def test_a_file_that_was_made_for_nothing_is_taken_away(tmp_path: Path) -> None:
    path = tmp_path / "out.mmd"
    target = Target.opened("--graph", str(path))
    assert path.exists()
    target.close()
    assert not path.exists()
    path.write_text("old")
    Target.opened("--graph", str(path)).close()
    assert path.read_text() == "old"


def test_a_device_is_written_to_as_it_is() -> None:
    target = Target.opened("--graph", "/dev/null")
    target.write("gone")
    target.close()
    assert Path("/dev/null").exists()


@pytest.mark.parametrize("path", ["missing/out.mmd", ".", "a\0b"])
def test_a_path_that_cannot_be_written_is_a_usage_error(
    path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=r"--trace: .* can't be written: "):
        Target.opened("--trace", path)
    assert list(tmp_path.iterdir()) == []
