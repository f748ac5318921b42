"""JavaScript's values and names do on Python's values what they do there."""

from __future__ import annotations

import copy
import json
import pickle
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trioflow.workers import FormData, Request, Response
from trioflow.workers.js import JSON, NAMES, Date, Object, console
from trioflow.workers.values import (
    JsArray,
    JsBuffer,
    JsDict,
    JsException,
    JsObject,
    JsProxy,
    create_once_callable,
    create_proxy,
    destroy_proxies,
    rebuilt,
    to_js,
)

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


# ------------------------------------------------------------------------------------------------------------- values


@settings(deadline=None)
@given(values)
def test_a_value_is_rebuilt_as_it_was_and_shares_nothing(value: Any) -> None:
    again = rebuilt(value, JsDict, list)
    assert again == value
    assert rebuilt(again, dict, list) == value
    if isinstance(value, dict | list):
        assert again is not value


def test_what_is_in_itself_or_very_deep_is_rebuilt_too() -> None:
    loop: list[Any] = [1]
    loop.append(loop)
    again = rebuilt(loop, JsDict, list)
    assert again is not loop
    assert again[1] is again
    deep: dict[str, Any] = {}
    for _ in range(100_000):
        deep = {"inner": deep}
    assert rebuilt(deep, JsDict, list).inner.inner.inner is not None


def test_keys_are_attributes_too() -> None:
    data = JsDict(a=1)
    assert data.a == 1
    data.b = 2
    assert data == {"a": 1, "b": 2}
    with pytest.raises(AttributeError, match="there is no 'c'; there is a, b"):
        data.c  # noqa: B018
    assert json.dumps(data) == '{"a": 1, "b": 2}'
    assert pickle.loads(pickle.dumps(data)) == copy.deepcopy(data) == data


@pytest.mark.parametrize("plain", [None, 1, "x", {}, [], b"", {"to_py": 1}, JsDict()])
def test_what_is_plain_is_no_proxy(plain: object) -> None:
    assert not isinstance(plain, JsProxy)


def test_what_comes_from_javascript_is_one_and_can_be_made_plain() -> None:
    for proxy, expected in ((JsObject(a=JsArray([1])), {"a": [1]}), (JsArray([JsObject()]), [{}])):
        assert isinstance(proxy, JsProxy)
        plain = proxy.to_py()
        assert plain == expected
        assert type(plain) is type(expected)
    assert JsArray([1, 2]).length == 2


def test_a_buffer_is_bytes() -> None:
    buffer = JsBuffer.new(b"ab")
    assert (bytes(buffer), buffer.to_bytes(), bytes(buffer.to_py()), bytes(buffer.to_memoryview())) == (b"ab",) * 4
    assert (buffer.length, buffer.byteLength, buffer.to_string(), buffer.buffer is buffer) == (2, 2, "ab", True)
    assert bytes(JsBuffer.new(2)) == bytes(JsBuffer.new()) + b"\0\0"
    assert bytes(JsBuffer.new(buffer)) == b"ab"


def test_an_exception_of_javascripts_says_its_name_and_its_message() -> None:
    error = JsException("it is late", "TimeoutError")
    assert (str(error), error.name, error.message, error.stack) == (
        "TimeoutError: it is late",
        "TimeoutError",
        "it is late",
        "",
    )
    assert str(JsException()) == "Error: "
    assert str(copy.copy(error)) == str(pickle.loads(pickle.dumps(error))) == "TimeoutError: it is late"


# ---------------------------------------------------------------------------------------------------------------- ffi


@settings(deadline=None)
@given(values)
def test_to_js_is_the_value_and_with_a_converter_an_equal_one(value: Any) -> None:
    assert to_js(value) is value
    assert to_js(value, dict_converter=Object.fromEntries, depth=3, create_pyproxies=False) == value


def test_a_converter_gets_every_dict() -> None:
    options = to_js({"a": {"b": [{"c": 1}]}, "t": (1,)}, dict_converter=Object.fromEntries)
    assert (options.a.b[0].c, options.t) == (1, [1])
    assert to_js({"a": 1}, dict_converter=list) == [("a", 1)]
    assert to_js(b"x", dict_converter=Object.fromEntries) == b"x"


def test_a_proxy_of_ours_is_what_it_stands_for_until_it_is_destroyed() -> None:
    proxy = create_proxy(len)
    assert (proxy("abc"), proxy.__name__, isinstance(proxy, JsProxy), proxy.unwrap()) == (3, "len", True, len)
    destroy_proxies([proxy])
    for use in (lambda: proxy("abc"), proxy.unwrap, lambda: proxy.name):
        with pytest.raises(RuntimeError, match="has been destroyed"):
            use()
    once = create_once_callable(len)
    assert once("ab") == 2
    with pytest.raises(RuntimeError, match="for one call only"):
        once("ab")
    assert copy.copy(create_proxy([1])).unwrap() == [1]


# ----------------------------------------------------------------------------------------------------------------- js


def test_objects() -> None:
    made = Object.fromEntries([["a", 1], ("b", 2)])
    assert (made.a, made) == (1, {"a": 1, "b": 2})
    assert Object.fromEntries({"a": 1}.items()) == Object.fromEntries({"a": 1}) == {"a": 1}
    assert (Object.keys(made), Object.values(made), Object.entries(made)) == (["a", "b"], [1, 2], [["a", 1], ["b", 2]])
    assert Object.assign(Object.new(), {"a": 1}, None, {"a": 2}) == {"a": 2}


@settings(deadline=None)
@given(values)
def test_json_goes_there_and_back(value: Any) -> None:
    assert JSON.parse(JSON.stringify(value)) == value


def test_json_is_written_as_javascript_writes_it() -> None:
    value = {
        "n": 1.0,
        "x": 1.5,
        "nan": float("nan"),
        "big": 1e300,
        "é": (None, True),
        "t": datetime(2026, 1, 2, tzinfo=UTC),
    }
    assert JSON.stringify(value) == (
        '{"n":1,"x":1.5,"nan":null,"big":1e+300,"é":[null,true],"t":"2026-01-02T00:00:00.000Z"}'
    )
    assert JSON.stringify({"a": [1]}, None, 2) == '{\n  "a": [\n    1\n  ]\n}'
    with pytest.raises(TypeError, match="not JSON serializable"):
        JSON.stringify(object())
    replacer: Any = len
    with pytest.raises(TypeError, match="takes no replacer"):
        JSON.stringify({}, replacer)
    with pytest.raises(JsException, match=r"^SyntaxError: Expecting value") as caught:
        JSON.parse("x")
    assert caught.value.name == "SyntaxError"


def test_a_date_is_an_aware_datetime() -> None:
    date = Date.new(1_795_507_200_500)
    assert date == datetime(2026, 11, 24, 8, 0, 0, 500_000, UTC)
    assert (date.getTime(), date.valueOf()) == (1_795_507_200_500,) * 2
    assert date.toISOString() == date.toJSON() == "2026-11-24T08:00:00.500Z"
    assert type(date.to_py()) is datetime
    assert isinstance(date, JsProxy)
    assert Date.new("2026-11-24") == datetime(2026, 11, 24, tzinfo=UTC)
    assert Date.new("2026-11-24T00:00:00+01:00") == datetime(2026, 11, 23, 23, tzinfo=UTC)
    assert Date.new("2026-11-24T08:00:00").timestamp() == datetime(2026, 11, 24, 8).timestamp()
    assert (
        Date.new(datetime(2026, 1, 1, tzinfo=timezone(timedelta(hours=1)))).toISOString() == "2025-12-31T23:00:00.000Z"
    )
    assert abs(Date.now() - Date.new().getTime()) < 60_000
    assert JSON.stringify([date]) == '["2026-11-24T08:00:00.500Z"]'


def test_the_console_prints(capsys: pytest.CaptureFixture[str]) -> None:
    console.log("a", 1)
    console.info("b")
    console.debug("c")
    console.warn("d", {"e": 1})
    console.error("f")
    assert capsys.readouterr() == ("a 1\nb\nc\n", "d {'e': 1}\nf\n")


def test_the_names_are_javascripts() -> None:
    assert (NAMES["Response"], NAMES["Request"], NAMES["FormData"]) == (Response, Request, FormData)
    assert NAMES["Uint8Array"] is NAMES["ArrayBuffer"] is JsBuffer
