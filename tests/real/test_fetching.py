"""`fetch` with the client that is installed, against a server of our own."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from textwrap import dedent

import pytest
import trio

from trioflow import run_workflow, workers
from trioflow._loading import load_workflow
from trioflow.workers import FormData, Request, fetch
from trioflow.workers.fetching import AbortSignal, js_fetch
from trioflow.workers.values import JsException

pytest.importorskip("httpx")


class Handler(BaseHTTPRequestHandler):
    """Says what it was asked; what begins with /to/ is somewhere else, and /slow waits until the server ends."""

    def do_GET(self) -> None:
        if self.path.startswith("/to/"):
            self.send_response(302, "Found")
            self.send_header("Location", self.path.removeprefix("/to"))
            self.end_headers()
            return
        if self.path == "/slow":
            self.server.ended.wait()  # type: ignore[attr-defined]
            return
        body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        told = {
            "method": self.command,
            "path": self.path,
            "body": body,
            "headers": {name.lower(): value for name, value in self.headers.items()},
        }
        self.send_response(418 if self.path == "/tea" else 200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Set-Cookie", "a=1")
        self.send_header("Set-Cookie", "b=2")
        self.end_headers()
        self.wfile.write(json.dumps(told).encode())

    do_POST = do_PUT = do_GET

    def log_message(self, format: str, *args: object) -> None: ...


@pytest.fixture
def url() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.ended = threading.Event()  # type: ignore[attr-defined]
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.ended.set()  # type: ignore[attr-defined]
        server.shutdown()
        thread.join()


async def test_what_is_asked_arrives_and_the_answer_is_a_response(url: str) -> None:
    response = await fetch(f"{url}/a?b=1", method="POST", body="x", headers={"X-A": "1"}, keepalive=True)
    assert (response.status, response.ok, response.status_text, response.url) == (200, True, "OK", f"{url}/a?b=1")
    assert response.headers["content-type"] == "application/json"
    assert response.headers.getSetCookie() == ["a=1", "b=2"]
    told = await response.json()
    assert (told.method, told.path, told.body, told.headers["x-a"]) == ("POST", "/a?b=1", "x", "1")
    assert told["headers"]["content-type"] == "text/plain;charset=UTF-8"


async def test_a_request_and_a_form_can_be_sent(url: str) -> None:
    request = Request(url, method="PUT", body=FormData({"name": "ann"}))
    told = await (await fetch(request)).json()
    assert told.headers["content-type"].startswith("multipart/form-data; boundary=")
    assert 'name="name"\r\n\r\nann\r\n' in told.body


async def test_every_status_is_an_answer(url: str) -> None:
    response = await fetch(f"{url}/tea")
    assert (response.status, response.ok) == (418, False)
    with pytest.raises(OSError, match="418"):
        response.raise_for_status()


async def test_redirects_are_followed_shown_or_refused(url: str) -> None:
    response = await fetch(f"{url}/to/a")
    assert (response.url, response.redirected, (await response.json()).path) == (f"{url}/a", True, "/a")
    response = await fetch(f"{url}/to/a", redirect="manual")
    assert (response.status, response.headers["location"], response.redirected) == (302, "/a", False)
    with pytest.raises(OSError, match="redirects to /a, and redirect='error' refuses that"):
        await fetch(f"{url}/to/a", redirect="error")
    assert (await fetch(url, redirect="error")).ok


@pytest.mark.parametrize("address", ["http://127.0.0.1:1/", "nowhere", "http://[", "ftp://127.0.0.1/"])
async def test_where_there_is_no_answer_it_is_an_os_error(address: str) -> None:
    with pytest.raises(OSError, match=r"can't be fetched: ."):
        await fetch(address)
    with pytest.raises(JsException, match=r"^TypeError: .* can't be fetched") as caught:
        await js_fetch(address)
    assert isinstance(caught.value.__cause__, OSError)


async def test_a_signal_ends_it(url: str) -> None:
    with pytest.raises(TimeoutError, match="/slow has not answered in the time that its signal gives"):
        await fetch(f"{url}/slow", signal=AbortSignal.timeout(50))
    with pytest.raises(JsException) as caught:
        await js_fetch(f"{url}/slow", {"signal": AbortSignal.timeout(50)})
    assert caught.value.name == "TimeoutError"
    assert (await fetch(url, signal=AbortSignal.timeout(60_000))).ok
    with pytest.raises(trio.TooSlowError), trio.fail_after(0.05):  # a deadline of one's own is one's own
        await fetch(f"{url}/slow")


def test_a_workflow_fetches_as_people_write_it(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "entry.py").write_text(
        dedent("""
        import js
        from js import AbortSignal, Object
        from pyodide.ffi import to_js
        from workers import WorkflowEntrypoint, fetch

        class Flow(WorkflowEntrypoint):
            async def run(self, event, step):
                @step.do("ask")
                async def ask():
                    response = await fetch(f"{event['payload']['url']}/one", headers={"Accept": "application/json"})
                    return await response.json()

                @step.do("ask javascript")
                async def ask_javascript(ask):
                    options = to_js({"method": "POST", "body": "y"}, dict_converter=Object.fromEntries)
                    response = await js.fetch(ask["path"].join([event.payload.url, "/two"]), options)
                    told = (await response.json()).to_py()
                    again = await js.fetch(event.payload.url, signal=AbortSignal.timeout(9000))
                    return response.status, told["method"], bytes(js.Uint8Array.new(await again.arrayBuffer()))[:1]

                return await ask_javascript()
        """)
    )
    with workers.install(), load_workflow("entry.py") as workflow:
        assert trio.run(run_workflow, workflow, {"url": url}) == (200, "POST", b"{")
