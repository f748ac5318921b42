"""Requests and responses, as values: nothing here talks to a network.

They are the SDK's classes (`await response.json()`, `Response.from_json(...)`, `response.headers["content-type"]`), and
answer to JavaScript's names for the same as well (`statusText`, `arrayBuffer`, `headers.get`), because many files take them
from `js`. As there, a body can be read once.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from http import HTTPMethod, HTTPStatus
from http.client import HTTPMessage
from typing import Any, TypeAlias, cast, final

from .forms import Blob, FormData, decoded, encoded
from .values import JsBuffer, JsProxy, from_json

#: What a body may be made of.
Body: TypeAlias = str | bytes | bytearray | memoryview | FormData | Blob | None

_REDIRECTS = (301, 302, 303, 307, 308)


@final
class HttpHeaders(HTTPMessage):
    """The standard library's headers, asked in any case, with JavaScript's names for the same.

    >>> headers = HttpHeaders.new({"Accept": "text/html"})
    >>> headers["accept"], headers.get("cookie"), headers.has("ACCEPT")
    ('text/html', None, True)
    """

    @staticmethod
    def new(init: Headers = None) -> HttpHeaders:
        """From a mapping or pairs."""
        return headers_of(init)

    def has(self, name: str) -> bool:
        return name in self

    def append(self, name: str, value: str) -> None:
        self[name] = value

    def set(self, name: str, value: str) -> None:
        del self[name]
        self[name] = value

    def delete(self, name: str) -> None:
        del self[name]

    def entries(self) -> Iterator[tuple[str, str]]:
        yield from self.items()

    def getSetCookie(self) -> list[str]:
        return self.get_all("set-cookie", [])


#: Headers as a caller may write them: a mapping, or pairs where a name occurs several times.
Headers: TypeAlias = Mapping[str, str] | HTTPMessage | Iterable[tuple[str, str]] | None


def headers_of(headers: Headers, content_type: str | None = None) -> HttpHeaders:
    """Headers as an object; with this content type if they say none themselves."""
    made = HttpHeaders()
    for name, value in headers.items() if isinstance(headers, Mapping | HTTPMessage) else headers or ():
        made[name] = str(value)
    if content_type and "content-type" not in made:
        made["content-type"] = content_type
    return made


class _Message:
    """A body, which can be read once, and headers."""

    headers: HttpHeaders

    def __init__(self, body: Body, headers: Headers, what: str) -> None:
        kind: str | None = "text/plain;charset=UTF-8" if isinstance(body, str) else None
        if isinstance(body, FormData):
            body, kind = encoded(body)
        elif isinstance(body, Blob):
            kind, body = body.content_type, body._bytes
        elif isinstance(body, bytearray | memoryview):
            body = bytes(body)
        elif body is not None and not isinstance(body, str | bytes):
            raise TypeError(
                f"a {what}'s body is text, bytes, a FormData or None, not {type(body).__name__}: json.dumps makes text, and "
                "Response.from_json does it for a response"
            )
        #: Text or bytes, as it was given; None if there is none.
        self.body = body
        self.headers = headers_of(headers, kind)
        self.body_used = False

    @property
    def bodyUsed(self) -> bool:
        return self.body_used

    @property
    def js_object(self) -> Any:
        """The object itself: there is no other behind it."""
        return self

    def _content(self) -> bytes:
        if self.body_used:
            raise OSError("the body has been read before: read it once and keep it, or clone() first")
        self.body_used = self.body is not None
        return self.body.encode() if isinstance(self.body, str) else self.body or b""

    def _text(self) -> str:
        return self._content().decode("utf-8-sig", "replace")  # as the web does: what is no UTF-8 is no error

    async def text(self) -> str:  # async because the original's is: the body is here already
        """The body, read as UTF-8; `""` if there is none. Not a checkpoint, as the others. `OSError` the second time."""
        return self._text()

    async def bytes(self) -> bytes:
        """The body's bytes."""
        return self._content()

    async def buffer(self) -> JsBuffer:
        """The body's bytes, in a form that can be changed."""
        return JsBuffer(self._content())

    arrayBuffer = buffer

    async def blob(self) -> Blob:
        """The body, with its content type."""
        return Blob(self._content(), self.headers["content-type"])

    async def form_data(self) -> FormData:
        """The form that the body is. Raises `TypeError` if it is none."""
        return decoded(self._content(), self.headers["content-type"])

    formData = form_data


@final
class Response(_Message):
    """What a handler answers, or `fetch` gives: `body`, `status`, `status_text` and `headers`.

    `body` is text, bytes, a `FormData` or None, `status` a number or an `http.HTTPStatus`. `headers` can be asked in any
    case:

    >>> response = Response("late", status=503, headers={"Retry-After": "30"})
    >>> response.status, response.ok, response.headers["retry-after"]
    (503, False, '30')

    Raises `TypeError` for a body of another type, as the original does.
    """

    def __init__(
        self,
        body: Body | Response = None,
        status: HTTPStatus | int | None = None,
        status_text: str = "",
        headers: Headers = None,
        web_socket: object = None,
    ) -> None:
        if web_socket is not None:
            raise TypeError("a Response with a web socket needs a server, which trioflow isn't")
        if isinstance(body, Response):
            if status is not None or status_text or headers is not None:
                raise ValueError("a Response of a Response is that one again, without other options")
            self.__dict__.update(vars(body))
            return
        super().__init__(body, headers, "Response")
        self.status = int(HTTPStatus.OK if status is None else status)
        self.status_text = status_text
        self.url = ""
        self.redirected = False
        self.type = "default"

    @staticmethod
    def new(body: Body = None, init: Mapping[str, Any] | None = None, /, **options: Any) -> Response:
        """As JavaScript spells it: `Response.new(text, {"status": 404, "statusText": ..., "headers": ...})`."""
        options = {**(init or {}), **options}
        return Response(body, options.get("status"), options.get("statusText", ""), options.get("headers"))

    @property
    def ok(self) -> bool:
        """Whether the status says success."""
        return 200 <= self.status < 300

    @property
    def statusText(self) -> str:
        return self.status_text

    def json(self, *args: Any, **options: Any) -> Any:
        """Of a response: `await response.json()` reads the body as JSON. Of the class: the same as `from_json`.

        Raises `json.JSONDecodeError` where the body is no JSON.

        >>> Response.json({"ready": True}, status=202)
        Response(status=202, content_type='application/json')
        """
        if isinstance(self, Response):
            return self._read_json(*args, **options)
        return Response.from_json(self, *args, **options)

    async def _read_json(self) -> Any:
        return from_json(self._text())

    @staticmethod
    def from_json(
        data: object, status: HTTPStatus | int = HTTPStatus.OK, status_text: str = "", headers: Headers = None
    ) -> Response:
        """A response whose body is `data` as JSON. Raises `TypeError` or `ValueError` where JSON can't hold it.

        >>> Response.from_json({"ready": True}).body
        '{"ready": true}'
        """
        response = Response(json.dumps(data), status, status_text)
        response.headers = headers_of(headers, "application/json")
        return response

    @staticmethod
    def redirect(url: str, status: HTTPStatus | int = HTTPStatus.FOUND) -> Response:
        """A response that sends the asker to another address. Raises `ValueError` for a status that doesn't."""
        if int(status) not in _REDIRECTS:
            raise ValueError(f"status {int(status)} is no redirect: {', '.join(map(str, _REDIRECTS))} are")
        return Response(None, status, headers={"location": url})

    def raise_for_status(self) -> None:
        """Raises `OSError` if the status is 400 or more."""
        if self.status >= HTTPStatus.BAD_REQUEST:
            raise OSError(f"{self.status} {self.status_text} for {self.url or 'this response'}")

    def replace_body(self, body: Body) -> Response:
        """Another one with this one's status and headers."""
        made = Response(body, self.status, self.status_text, self.headers)
        made.url, made.redirected, made.type = self.url, self.redirected, self.type
        return made

    def clone(self) -> Response:
        """A second one, whose body can be read as well. Raises `OSError` if this one's has been."""
        if self.body_used:
            raise OSError("the body has been read already: clone() before")
        return self.replace_body(cast(Body, self.body))

    def __repr__(self) -> str:
        return f"Response(status={self.status}, content_type={self.headers['content-type']!r})"


@final
class Request(_Message):
    """What a handler is asked, or `fetch` asks: `url`, `method`, `headers` and a body, read by `await request.json()`.

    >>> Request("https://example.com/start", method="post", body='{"day": 1}')
    Request(method='POST', url='https://example.com/start')

    `input` is the address or another request, from which everything is taken that isn't given.
    """

    def __init__(
        self,
        input: str | Request,
        *,
        method: HTTPMethod | str | None = None,
        headers: Headers = None,
        body: Body = None,
        redirect: str | None = None,
        **options: Any,
    ) -> None:
        other = input if isinstance(input, Request) else None
        if other is not None:
            body = cast(Body, other._content()) if body is None and other.body is not None else body
            headers = other.headers if headers is None else headers
        super().__init__(body, headers, "Request")
        self.url: str = str(input) if other is None else other.url
        self.method: HTTPMethod = HTTPMethod(str(method or (other.method if other else "GET")).upper())
        self.redirect: str = redirect or (other.redirect if other else "follow")
        #: Cloudflare's facts about an incoming request: there are none.
        self.cf: None = None
        self.signal: Any = options.get("signal", other.signal if other else None)

    @staticmethod
    def new(input: str | Request, init: Mapping[str, Any] | None = None, /, **options: Any) -> Request:
        """As JavaScript spells it: `Request.new(url, {"method": "POST"})`."""
        return Request(input, **{**(init or {}), **options})

    async def json(self, **options: Any) -> Any:
        """The body, read as JSON, with the options of `json.loads`. Raises `json.JSONDecodeError` where it is none."""
        return json.loads(self._text(), **options) if options else from_json(self._text())

    def clone(self) -> Request:
        """A second one, whose body can be read as well. Raises `OSError` if this one's has been."""
        if self.body_used:
            raise OSError("the body has been read already: clone() before")
        return Request(self.url, method=self.method, headers=self.headers, body=self.body, redirect=self.redirect)

    def __repr__(self) -> str:
        return f"Request(method={self.method.value!r}, url={self.url!r})"


for _kind in (HttpHeaders, Request, Response):
    JsProxy.register(_kind)
