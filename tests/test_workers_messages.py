"""Requests and responses say what they were made of, in the SDK's words and in JavaScript's."""

from __future__ import annotations

import json
from http import HTTPMethod, HTTPStatus
from typing import Any

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from trioflow.workers import Blob, FormData, Request, Response
from trioflow.workers.messages import HttpHeaders
from trioflow.workers.values import JsProxy


def test_a_response_says_what_it_was_made_of() -> None:
    response = Response("so", HTTPStatus.CREATED, "Made", {"X-Place": "here"})
    assert (response.body, response.status, response.status_text, response.ok) == ("so", 201, "Made", True)
    assert (response.statusText, response.js_object, response.bodyUsed) == ("Made", response, False)
    assert response.headers["x-place"] == "here"
    assert response.headers["Content-Type"] == "text/plain;charset=UTF-8"
    assert repr(response) == "Response(status=201, content_type='text/plain;charset=UTF-8')"
    assert (response.url, response.redirected, response.type) == ("", False, "default")


def test_a_response_may_have_no_body_or_bytes_and_then_no_type_of_its_own() -> None:
    assert Response().body is None
    assert Response().status == 200
    assert Response(b"\0").headers["content-type"] is None
    assert Response(bytearray(b"\0")).body == Response(memoryview(b"\0")).body == b"\0"
    assert Response("x", headers={"content-type": "text/html"}).headers.get_all("Content-Type") == ["text/html"]


@pytest.mark.parametrize("body", [{}, 3, object()])
def test_a_body_of_another_type_is_refused(body: Any) -> None:
    with pytest.raises(TypeError, match=rf"not {type(body).__name__}: json\.dumps makes text, and Response\.from_json"):
        Response(body)
    with pytest.raises(TypeError, match="a Request's body is"):
        Request("https://example.com/", body=body)
    with pytest.raises(TypeError, match="web socket needs a server"):
        Response(web_socket=object())


def test_headers_may_be_pairs_and_occur_several_times() -> None:
    response = Response(headers=[("Set-Cookie", "a=1"), ("Set-Cookie", "b=2")])
    assert response.headers.get_all("set-cookie") == response.headers.getSetCookie() == ["a=1", "b=2"]
    assert Response(headers=response.headers).headers.items() == response.headers.items()


def test_headers_answer_to_javascripts_names_as_well() -> None:
    headers = HttpHeaders.new({"Accept": "a"})
    headers.append("accept", "b")
    assert headers.get_all("Accept") == ["a", "b"]
    headers.set("ACCEPT", "c")
    assert [*headers.entries()] == [("ACCEPT", "c")]
    assert (headers.get("accept"), headers.get("cookie"), headers.has("accept")) == ("c", None, True)
    headers.delete("accept")
    assert (headers.has("accept"), headers.getSetCookie()) == (False, [])
    assert isinstance(headers, JsProxy)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@settings(deadline=None, max_examples=30)
@given(json_values)
def test_a_json_response_holds_the_value(value: object) -> None:
    for response in (Response.json(value, status=202), Response.from_json(value, 202)):
        assert isinstance(response.body, str)
        assert json.loads(response.body) == value
        assert (response.status, response.headers["content-type"]) == (202, "application/json")
        assert trio.run(response.json) == value


def test_a_json_response_keeps_a_content_type_that_is_given() -> None:
    response = Response.json([], headers={"Content-Type": "application/problem+json"})
    assert response.headers.get_all("content-type") == ["application/problem+json"]
    with pytest.raises(TypeError, match="not JSON serializable"):
        Response.json(object())


def test_what_is_read_as_json_is_plain_and_answers_as_a_proxy_too() -> None:
    data = trio.run(Response('{"rows": [{"id": 1}]}').json)
    assert data == {"rows": [{"id": 1}]}
    assert data.rows[0].id == 1
    assert type(data.to_py()["rows"]) is list


@settings(deadline=None, max_examples=30)
@given(json_values)
def test_a_request_gives_its_body_as_text_and_as_json(value: object) -> None:
    text = json.dumps(value)
    for body in (text, text.encode()):
        request = Request("https://example.com/", method="put", body=body)
        assert trio.run(request.clone().text) == text
        assert trio.run(request.json) == value


async def test_a_request_says_where_it_goes() -> None:
    request = Request("https://example.com/a", headers={"Accept": "text/html"})
    assert (request.url, request.method, request.headers["accept"]) == ("https://example.com/a", "GET", "text/html")
    assert (request.method is HTTPMethod.GET, request.cf, request.redirect) == (True, None, "follow")
    assert repr(request) == "Request(method='GET', url='https://example.com/a')"
    assert await request.text() == ""
    with pytest.raises(ValueError, match="'FLY' is not a valid HTTPMethod"):
        Request("https://example.com/", method="fly")


async def test_a_request_may_be_made_of_another() -> None:
    first = Request("https://example.com/a", method="POST", body="x", headers={"X-A": "1"}, redirect="manual")
    second = Request(first, method=HTTPMethod.PUT)
    assert (second.url, second.method, second.redirect, second.headers["x-a"]) == (first.url, "PUT", "manual", "1")
    assert await second.text() == "x"
    assert first.body_used
    third = Request(Request("https://example.com/"), body="y", headers={"X-B": "2"})
    assert (third.body, third.headers["x-b"], third.method) == ("y", "2", "GET")


async def test_requests_and_responses_may_be_made_as_javascript_does() -> None:
    response = Response.new("gone", {"status": 404, "statusText": "Gone", "headers": {"X-A": "1"}})
    assert (response.status, response.statusText, response.headers["x-a"], response.ok) == (404, "Gone", "1", False)
    assert Response.new("x", status=201).status == 201
    assert Response.new().body is None
    request = Request.new("https://example.com/", {"method": "POST"}, body="x")
    assert (request.method, await request.text()) == ("POST", "x")
    assert await Request.new("https://example.com/", body="[1.5]").json(parse_float=str) == ["1.5"]
    assert isinstance(request, JsProxy)
    assert isinstance(response, JsProxy)


async def test_a_body_is_read_once_unless_it_is_cloned_before() -> None:
    for message in (Response("x"), Request("https://example.com/", body="x")):
        copy = message.clone()
        assert await message.bytes() == b"x"
        assert message.body_used
        for read in (message.text, message.bytes, message.buffer, message.arrayBuffer, message.json, message.blob):
            with pytest.raises(OSError, match="the body has been read before"):
                await read()
        with pytest.raises(OSError, match=r"clone\(\) before"):
            message.clone()
        assert await copy.text() == "x"
    empty = Response()
    assert (await empty.text(), await empty.bytes()) == ("", b"")  # nothing to be used up


async def test_a_body_can_be_read_in_every_form() -> None:
    assert (await Response("é").bytes()).decode() == "é"
    assert (await Response("é").arrayBuffer()).to_bytes() == "é".encode()
    blob = await Response("é", headers={"content-type": "text/x"}).blob()
    assert (await blob.text(), blob.content_type) == ("é", "text/x")
    assert (await Response(Blob("é", "text/y")).text(), Response(Blob("é", "text/y")).headers["content-type"]) == (
        "é",
        "text/y",
    )


async def test_a_text_is_read_as_the_web_reads_it() -> None:
    assert await Response(b"\xef\xbb\xbfa\xff").text() == await Blob(b"\xef\xbb\xbfa\xff").text() == "a\ufffd"
    assert await Response(b"\xef\xbb\xbf[1]").json() == [1]
    number: Any = 5
    assert Response(headers={"X-Limit": number}).headers["x-limit"] == "5"


async def test_a_form_is_encoded_by_a_response_and_read_by_a_request() -> None:
    form = FormData({"name": "ann"})
    form.append("file", Blob(b"\0\r\n", "image/png"), "a.png")
    response = Response(form)
    kind = response.headers["content-type"]
    assert kind.startswith("multipart/form-data; boundary=")
    for read in ("form_data", "formData"):
        request = Request(
            "https://example.com/", method="POST", body=await response.clone().bytes(), headers={"content-type": kind}
        )
        read_back = await getattr(request, read)()
        assert read_back["name"] == "ann"
        assert (read_back["file"].name, read_back["file"].content_type) == ("a.png", "image/png")
        assert await read_back["file"].bytes() == b"\0\r\n"


def test_a_response_of_a_response_is_that_one() -> None:
    first = Response("x", 404)
    assert (Response(first).body, Response(first).status) == ("x", 404)
    with pytest.raises(ValueError, match="without other options"):
        Response(first, status=200)


async def test_a_response_may_have_its_body_replaced() -> None:
    first = Response("x", 404, "Gone", {"X-A": "1"})
    second = first.replace_body("y")
    assert (await second.text(), second.status, second.status_text, second.headers["x-a"]) == ("y", 404, "Gone", "1")


def test_a_redirect_says_where_to_go() -> None:
    response = Response.redirect("https://example.com/b")
    assert (response.status, response.headers["location"]) == (302, "https://example.com/b")
    assert Response.redirect("/", HTTPStatus.PERMANENT_REDIRECT).status == 308
    with pytest.raises(ValueError, match="status 200 is no redirect: 301, 302"):
        Response.redirect("/", 200)


def test_a_response_raises_for_its_status_where_it_says_that_something_is_wrong() -> None:
    Response("x", 399).raise_for_status()
    with pytest.raises(OSError, match="404 Gone for this response"):
        Response("x", 404, "Gone").raise_for_status()
