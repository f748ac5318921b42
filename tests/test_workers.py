"""A file written for Cloudflare finds `workers` here, and nothing of it stays behind."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from collections.abc import Iterator
from http import HTTPStatus
from types import ModuleType

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

import trioflow
from trioflow import workers
from trioflow.workers import Request, Response, WorkerEntrypoint

NAMES = ("workers", "workers.workflows")


@pytest.fixture(autouse=True)
def _nothing_stays_behind() -> Iterator[None]:
    before = {name: sys.modules.get(name) for name in NAMES}
    yield
    assert {name: sys.modules.get(name) for name in NAMES} == before


def installed() -> bool:
    return all(name in sys.modules for name in NAMES)


@pytest.mark.slow
def test_importing_the_room_installs_nothing() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "import sys, trioflow.workers; sys.exit('workers' in sys.modules)"],
        cwd=trioflow.__path__[0] + "/..",
        check=False,
    )
    assert done.returncode == 0


def test_the_names_of_a_workflow_file_are_ours() -> None:
    with workers.install():
        namespace: dict[str, object] = {}
        exec(
            "from workers import Request, Response, WorkerEntrypoint, WorkflowEntrypoint\n"
            "from workers.workflows import NonRetryableError\n"
            "import workers.workflows as by_attribute",
            namespace,
        )
    assert namespace["WorkflowEntrypoint"] is trioflow.WorkflowEntrypoint
    assert namespace["NonRetryableError"] is trioflow.NonRetryableError
    assert (namespace["Request"], namespace["Response"]) == (Request, Response)
    assert namespace["WorkerEntrypoint"] is WorkerEntrypoint
    assert vars(namespace["by_attribute"])["NonRetryableError"] is trioflow.NonRetryableError


def test_a_star_import_gives_the_names_and_nothing_else() -> None:
    with workers.install():
        namespace: dict[str, object] = {}
        exec("from workers import *", namespace)
    assert set(namespace) - {"__builtins__"} == {"Request", "Response", "WorkerEntrypoint", "WorkflowEntrypoint"}


def test_uninstall_takes_the_modules_out_and_a_second_one_does_nothing() -> None:
    installation = workers.install()
    assert installed()
    installation.uninstall()
    assert not installed()
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("workers")
    with workers.install():
        installation.uninstall()
        assert installed()


@settings(deadline=None)
@given(st.permutations(range(3)))
def test_the_last_of_several_installations_to_go_takes_the_modules_out(order: list[int]) -> None:
    installations = [workers.install() for _ in order]
    for i in order:
        assert installed()
        installations[i].uninstall()
    assert not installed()


def test_what_was_there_before_is_put_back(monkeypatch: pytest.MonkeyPatch) -> None:
    theirs = ModuleType("workers")
    monkeypatch.setitem(sys.modules, "workers", theirs)
    with workers.install():
        assert sys.modules["workers"] is not theirs
    assert sys.modules["workers"] is theirs
    assert "workers.workflows" not in sys.modules
    monkeypatch.undo()


def test_a_module_that_somebody_else_has_put_there_since_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    newer = ModuleType("workers")
    with workers.install():
        sys.modules["workers"] = newer
    assert sys.modules.pop("workers") is newer


def test_modules_go_also_when_the_block_raises() -> None:
    with pytest.raises(ZeroDivisionError), workers.install():
        1 / 0  # noqa: B018
    assert not installed()


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("from workers import fetch", "cannot import name 'fetch' from 'workers': trioflow doesn't have it yet"),
        ("import workers; workers.DurableObject", "'DurableObject' from 'workers': trioflow doesn't have it yet"),
        ("from workers import NonRetryableError", "it is in 'workers.workflows'"),
        ("from workers.workflows import Rollback", "'Rollback' from 'workers.workflows': trioflow doesn't have it"),
    ],
)
def test_what_is_missing_is_named(statement: str, words: str) -> None:
    with workers.install(), pytest.raises(ImportError, match=r"^cannot import name") as caught:
        exec(statement, {})
    assert words in str(caught.value)


def test_tools_may_ask_the_modules_for_names_of_theirs() -> None:
    with workers.install():
        module = sys.modules["workers"]
        assert not hasattr(module, "__path__")
        with pytest.raises(AttributeError, match="module 'workers' has no attribute '__wrapped__'"):
            module.__wrapped__  # noqa: B018
    with workers.install(), pytest.raises(ModuleNotFoundError, match=r"workers\.other"):
        importlib.import_module("workers.other")


def test_a_worker_keeps_its_context_and_its_bindings() -> None:
    class Default(WorkerEntrypoint):
        pass

    env = object()
    assert Default("ctx", env).env is env
    assert Default("ctx", env).ctx == "ctx"
    assert (Default().ctx, Default().env) == (None, None)


def test_a_response_says_what_it_was_made_of() -> None:
    response = Response("so", HTTPStatus.CREATED, "Made", {"X-Place": "here"})
    assert (response.body, response.status, response.status_text, response.ok) == ("so", 201, "Made", True)
    assert response.headers["x-place"] == "here"
    assert response.headers["Content-Type"] == "text/plain;charset=UTF-8"
    assert repr(response) == "Response(status=201, content_type='text/plain;charset=UTF-8')"


def test_a_response_may_have_no_body_or_bytes_and_then_no_type_of_its_own() -> None:
    assert Response().body is None
    assert Response().status == 200
    assert Response(b"\0").headers["content-type"] is None
    assert Response("x", headers={"content-type": "text/html"}).headers.get_all("Content-Type") == ["text/html"]
    with pytest.raises(TypeError, match=r"not dict: see Response\.json"):
        Response({})  # type: ignore[arg-type]


def test_headers_may_be_pairs_and_occur_several_times() -> None:
    response = Response(headers=[("Set-Cookie", "a=1"), ("Set-Cookie", "b=2")])
    assert response.headers.get_all("set-cookie") == ["a=1", "b=2"]


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


def test_a_json_response_keeps_a_content_type_that_is_given() -> None:
    response = Response.json([], headers={"Content-Type": "application/problem+json"})
    assert response.headers.get_all("content-type") == ["application/problem+json"]


@settings(deadline=None, max_examples=30)
@given(json_values)
def test_a_request_gives_its_body_as_text_and_as_json(value: object) -> None:
    text = json.dumps(value)
    for body in (text, text.encode()):
        request = Request("https://example.com/", method="put", body=body)
        assert trio.run(request.text) == text
        assert trio.run(request.json) == value


def test_a_request_says_where_it_goes() -> None:
    request = Request("https://example.com/a", headers={"Accept": "text/html"})
    assert (request.url, request.method, request.headers["accept"]) == ("https://example.com/a", "GET", "text/html")
    assert repr(request) == "Request(method='GET', url='https://example.com/a')"
    assert trio.run(request.text) == ""
