"""Cloudflare's `workers` module, spelt their way, running on ours.

A file written for Cloudflare begins with `from workers import Response, WorkflowEntrypoint`. `install` makes those
imports work in this interpreter, so that the file runs here unmodified:

>>> from trioflow import workers
>>> with workers.install():
...     from workers import WorkflowEntrypoint
...     from workers.workflows import NonRetryableError
>>> import trioflow
>>> WorkflowEntrypoint is trioflow.WorkflowEntrypoint, NonRetryableError is trioflow.NonRetryableError
(True, True)

Installing is a deed, not a side effect of an import: a program that embeds trioflow may have the real SDK. A package
called `workers` in the distribution was rejected for the same reason.

A workflow's file often holds the Worker that starts it as well, so the classes that such a Worker names at the top are
here too, as plain values: nothing in them talks to a network. What isn't here yet says so, by name, when it is
imported.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Mapping
from http import HTTPStatus
from http.client import HTTPMessage
from types import ModuleType, TracebackType
from typing import Any, Final, NoReturn, TypeAlias, final

from ._errors import NonRetryableError
from ._workflow import WorkflowEntrypoint

#: Headers as a caller may write them: a mapping, or pairs where a name occurs several times.
Headers: TypeAlias = Mapping[str, str] | Iterable[tuple[str, str]]


class WorkerEntrypoint:
    """Base of a Worker: handlers such as `fetch(self, request)` read the bindings in `self.env`.

    trioflow calls no handler: the class is there so that a file that holds a Worker beside its workflow can be loaded.
    """

    def __init__(self, ctx: object = None, env: object = None) -> None:
        self.ctx: Any = ctx
        self.env: Any = env


@final
class Response:
    """What a handler answers: `body`, `status`, `status_text` and `headers`, all readable.

    `body` is text, bytes or `None`, `status` a number or an `http.HTTPStatus`. `headers` can be asked in any case:

    >>> response = Response("late", status=503, headers={"Retry-After": "30"})
    >>> response.status, response.ok, response.headers["retry-after"]
    (503, False, '30')

    Raises `TypeError` for a body of another type, as the original does.
    """

    def __init__(
        self,
        body: str | bytes | None = None,
        status: HTTPStatus | int = HTTPStatus.OK,
        status_text: str = "",
        headers: Headers | None = None,
    ) -> None:
        if body is not None and not isinstance(body, str | bytes):
            raise TypeError(f"a Response's body is text, bytes or None, not {type(body).__name__}: see Response.json")
        self.body = body
        self.status = int(status)
        self.status_text = status_text
        self.headers = _message(headers, "text/plain;charset=UTF-8" if isinstance(body, str) else None)

    @property
    def ok(self) -> bool:
        """Whether the status says success."""
        return 200 <= self.status < 300

    @staticmethod
    def json(
        data: object,
        status: HTTPStatus | int = HTTPStatus.OK,
        status_text: str = "",
        headers: Headers | None = None,
    ) -> Response:
        """A response whose body is `data` as JSON. Raises `TypeError` or `ValueError` where JSON can't hold it.

        >>> Response.json({"ready": True}).body
        '{"ready": true}'
        """
        response = Response(json.dumps(data), status, status_text)
        response.headers = _message(headers, "application/json")
        return response

    #: The same under the name that the original recommends.
    from_json = json

    def __repr__(self) -> str:
        return f"Response(status={self.status}, content_type={self.headers['content-type']!r})"


@final
class Request:
    """What a handler is asked: `url`, `method`, `headers` and a body, read by `await request.text()` or `.json()`.

    >>> Request("https://example.com/start", method="post", body='{"day": 1}')
    Request(method='POST', url='https://example.com/start')
    """

    def __init__(
        self, url: str, *, method: str = "GET", headers: Headers | None = None, body: str | bytes | None = None
    ) -> None:
        self.url = url
        self.method = str(method).upper()
        self.headers = _message(headers, None)
        self.body = body

    async def text(self) -> str:  # async because the original's is; the body is here already, so there is no checkpoint
        """The body as text; `""` if there is none. Bytes are read as UTF-8. Not a checkpoint."""
        return self.body.decode() if isinstance(self.body, bytes) else self.body or ""

    async def json(self) -> Any:
        """The body, read as JSON. Raises `json.JSONDecodeError` where it is none. Not a checkpoint."""
        return json.loads(await self.text())

    def __repr__(self) -> str:
        return f"Request(method={self.method!r}, url={self.url!r})"


def _message(headers: Headers | None, content_type: str | None) -> HTTPMessage:
    message = HTTPMessage()
    for name, value in headers.items() if isinstance(headers, Mapping) else headers or ():
        message[name] = value
    if content_type is not None and "content-type" not in message:
        message["content-type"] = content_type
    return message


# --------------------------------------------------------------------------------------------------------- installing


def _answer_for(module: str) -> Callable[[str], NoReturn]:
    def __getattr__(name: str) -> NoReturn:
        if name.startswith("_"):  # Python and its tools ask every module for such names
            raise AttributeError(f"module {module!r} has no attribute {name!r}", name=name)
        # Not an AttributeError: of that, `from workers import …` makes an ImportError in its own words, without ours.
        elsewhere = next((m for m, names in _NAMES.items() if name in names), None)
        hint = f"it is in {elsewhere!r}" if elsewhere else "trioflow doesn't have it yet"
        has = ", ".join(_NAMES[module])
        raise ImportError(f"cannot import name {name!r} from {module!r}: {hint} ({module} has {has})", name=module)

    return __getattr__


def _module(name: str) -> ModuleType:
    module = ModuleType(name, f"Cloudflare's {name!r}, provided by trioflow.")
    vars(module).update(_NAMES[name], __all__=[*_NAMES[name]], __getattr__=_answer_for(name))
    return module


_NAMES: Final[dict[str, dict[str, object]]] = {
    "workers": {
        "Request": Request,
        "Response": Response,
        "WorkerEntrypoint": WorkerEntrypoint,
        "WorkflowEntrypoint": WorkflowEntrypoint,
    },
    "workers.workflows": {"NonRetryableError": NonRetryableError},
}
_MODULES: Final = {name: _module(name) for name in _NAMES}
_MODULES["workers"].workflows = _MODULES["workers.workflows"]  # type: ignore[attr-defined]

# While somebody has installed: what `sys.modules` held before the first of them did (`None`: nothing).
_before: Final[dict[str, ModuleType | None]] = {}
_holders: Final[set[Installation]] = set()


@final
class Installation:
    """The modules are in place until `uninstall` is called, or until the `with` block ends."""

    def uninstall(self) -> None:
        """Put back what was in `sys.modules` before. A second call does nothing.

        If `install` was called several times, the last installation to go does it. A module that somebody else has
        put there in the meantime is left alone.
        """
        if self not in _holders:
            return
        _holders.remove(self)
        if _holders:
            return
        for name, module in _before.items():
            if sys.modules.get(name) is _MODULES[name]:
                del sys.modules[name]
                if module is not None:
                    sys.modules[name] = module
        _before.clear()

    def __enter__(self) -> Installation:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.uninstall()


def install() -> Installation:
    """Make `import workers` and `import workers.workflows` give the modules of this room, in the whole interpreter.

    Installing again changes nothing. The result takes them out again, by `uninstall()` or as a context manager; what
    has been imported from them until then goes on working.
    """
    if not _holders:
        _before.update((name, sys.modules.get(name)) for name in _MODULES)
    sys.modules.update(_MODULES)
    installation = Installation()
    _holders.add(installation)
    return installation
