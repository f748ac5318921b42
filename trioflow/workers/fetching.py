"""`fetch`: a request over the network, through the HTTP client that is installed.

The client is httpx, which runs on Trio, so that a timeout or a cancelled step ends the request, too. It is looked for when
something is fetched: trioflow doesn't depend on it, and a workflow that fetches nothing needs none. (The standard library's
client in a thread was rejected: it can't be stopped, and what it sends goes out after the step has failed.)
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import nullcontext
from importlib import import_module
from types import ModuleType
from typing import Any, final

import attrs
import trio

from .._errors import NonRetryableError
from .messages import Request, Response
from .values import JsException, JsProxy


@final
class NoHttpClientError(NonRetryableError, ImportError):
    """Something is to be fetched, and no HTTP client is installed. Trying again doesn't help."""


@final
@attrs.define(eq=False)
class AbortSignal:
    """Ends a `fetch` that takes too long: `signal=AbortSignal.timeout(5_000)`."""

    #: By Trio's clock.
    deadline: float = math.inf

    @staticmethod
    def timeout(milliseconds: float) -> AbortSignal:
        """One that strikes so many milliseconds from now, in Trio's time."""
        return AbortSignal(trio.current_time() + milliseconds / 1_000)

    @property
    def aborted(self) -> bool:
        """Whether it has struck."""
        return trio.current_time() >= self.deadline


JsProxy.register(AbortSignal)


async def fetch(resource: str | Request, /, **options: Any) -> Response:
    """Ask for `resource`, an address or a `Request`, and give the `Response`, whatever its status. A checkpoint.

    Args:
        resource: What to ask for.
        options: `method`, `headers`, `body`, `redirect` ("follow", "manual" or "error") and `signal`, as for `Request`.
            What else browsers know is taken and does nothing.

    Raises:
        OSError: there is no answer; a `TimeoutError` if the signal says so.
        NoHttpClientError: httpx isn't installed.
    """
    request = Request(resource, **options)
    client_library = _httpx()
    signal = request.signal
    try:
        with trio.fail_at(signal.deadline) if isinstance(signal, AbortSignal) else nullcontext():
            return await _answer(client_library, request)
    except trio.TooSlowError:
        raise TimeoutError(f"{request.url} has not answered in the time that its signal gives") from None
    except (client_library.HTTPError, client_library.InvalidURL) as exc:
        raise OSError(f"{request.url} can't be fetched: {exc or type(exc).__name__}") from exc


def _httpx() -> ModuleType:
    try:
        return import_module("httpx")
    except ImportError:
        raise NoHttpClientError(
            "fetch needs an HTTP client, and none is installed: `pip install httpx`", name="httpx"
        ) from None


async def _answer(httpx: ModuleType, request: Request) -> Response:
    body = request.body
    async with httpx.AsyncClient(timeout=None, follow_redirects=request.redirect == "follow") as client:
        answer = await client.request(
            request.method.value, request.url, headers=list(request.headers.items()), content=body
        )
    if answer.is_redirect and request.redirect == "error":
        raise OSError(f"{request.url} redirects to {answer.headers['location']}, and redirect='error' refuses that")
    response = Response(answer.content, answer.status_code, answer.reason_phrase, answer.headers.multi_items())
    response.url, response.redirected = str(answer.url), bool(answer.history)
    return response


async def js_fetch(resource: str | Request, init: Mapping[str, Any] | None = None, /, **options: Any) -> Response:
    """`fetch`, as JavaScript spells it: options in a dict, and a `JsException` where there is no answer."""
    try:
        return await fetch(resource, **{**(init or {}), **options})
    except TimeoutError as exc:
        raise JsException(str(exc), "TimeoutError") from exc
    except OSError as exc:
        raise JsException(str(exc), "TypeError") from exc
