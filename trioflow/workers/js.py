"""JavaScript's own names, as far as workflows use them: `js.JSON`, `js.Object`, `js.Date`, `js.console`, `js.fetch`.

Each does what it does there, on Python's values. What isn't here says so by name: a stand-in that silently did less would
be worse than none.
"""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Final, final

from .fetching import AbortSignal, js_fetch
from .forms import Blob, File, FormData
from .messages import HttpHeaders, Request, Response
from .values import JsArray, JsBuffer, JsException, JsObject, JsProxy, from_json, pairs

#: Beyond this JavaScript writes a number with an exponent.
_LONGEST_INTEGER = 10**21


@final
class Object:
    """JavaScript's `Object`.

    >>> Object.fromEntries([("id", 1)]).id
    1
    """

    @staticmethod
    def new() -> JsObject:
        return JsObject()

    @staticmethod
    def fromEntries(entries: Iterable[tuple[str, Any]] | Mapping[str, Any]) -> JsObject:
        return JsObject(pairs(entries))

    @staticmethod
    def assign(target: dict[str, Any], *sources: Mapping[str, Any] | None) -> dict[str, Any]:
        for source in sources:
            target.update(source or {})
        return target

    @staticmethod
    def keys(value: Mapping[str, Any]) -> JsArray:
        return JsArray(value)

    @staticmethod
    def values(value: Mapping[str, Any]) -> JsArray:
        return JsArray(value.values())

    @staticmethod
    def entries(value: Mapping[str, Any]) -> JsArray:
        return JsArray(JsArray(pair) for pair in value.items())


@final
class JSON:
    """JavaScript's `JSON`.

    >>> JSON.stringify({"id": 1.0, "tags": ["a"]})
    '{"id":1,"tags":["a"]}'
    >>> JSON.parse('{"id": 1}').id
    1
    """

    @staticmethod
    def stringify(value: Any, replacer: None = None, space: int | str | None = None) -> str:
        """Raises `TypeError` for what JSON can't hold."""
        if replacer is not None:
            raise TypeError("JSON.stringify takes no replacer in trioflow: change the value before")
        separators = (",", ":") if space is None else (",", ": ")
        return json.dumps(_for_json(value), ensure_ascii=False, indent=space, separators=separators)

    @staticmethod
    def parse(text: str) -> Any:
        """Raises `JsException`, a SyntaxError, for what is no JSON."""
        try:
            return from_json(text)
        except json.JSONDecodeError as exc:
            raise JsException(str(exc), "SyntaxError") from None


def _for_json(value: Any) -> Any:
    """The value with numbers and moments as JavaScript writes them."""
    if isinstance(value, Mapping):
        return {key: _for_json(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_for_json(inner) for inner in value]
    if isinstance(value, float):
        if not math.isfinite(value):
            return None
        return int(value) if value.is_integer() and abs(value) < _LONGEST_INTEGER else value
    return _iso(value) if isinstance(value, datetime) else value


@final
class Date(datetime):
    """JavaScript's `Date`: an aware datetime in UTC, so that `step.sleep_until` takes it.

    >>> Date.new("2026-11-24T08:00:00Z").getTime()
    1795507200000
    """

    @staticmethod
    def new(when: float | str | datetime | None = None, /) -> Date:
        """Now, or a number of milliseconds since 1970, a text in ISO's form, or a datetime (a naive one is local)."""
        if when is None:
            when = datetime.now(UTC)
        elif isinstance(when, str):
            when = datetime.fromisoformat(when)
            if when.hour == when.minute == when.second == 0 and when.tzinfo is None:
                when = when.replace(tzinfo=UTC)  # so JavaScript reads a day
        elif not isinstance(when, datetime):
            when = datetime.fromtimestamp(when / 1_000, UTC)
        return Date.fromtimestamp(when.timestamp(), UTC)

    @staticmethod
    def now() -> int:  # type: ignore[override]
        """Milliseconds since 1970."""
        return int(time.time() * 1_000)

    def getTime(self) -> int:
        return round(self.timestamp() * 1_000)

    valueOf = getTime

    def toISOString(self) -> str:
        return _iso(self)

    toJSON = toISOString

    def to_py(self, **_: object) -> datetime:
        return datetime.fromtimestamp(self.timestamp(), UTC)


JsProxy.register(Date)


def _iso(when: datetime) -> str:
    return when.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


@final
class console:
    """JavaScript's `console`: warnings and errors go to standard error, the rest to standard output."""

    @staticmethod
    def log(*values: object) -> None:
        print(*values)

    info = debug = log

    @staticmethod
    def warn(*values: object) -> None:
        print(*values, file=sys.stderr)

    error = warn


#: What the module `js` has.
NAMES: Final[dict[str, object]] = {
    "AbortSignal": AbortSignal,
    "ArrayBuffer": JsBuffer,
    "Blob": Blob,
    "Date": Date,
    "File": File,
    "FormData": FormData,
    "Headers": HttpHeaders,
    "JSON": JSON,
    "Object": Object,
    "Request": Request,
    "Response": Response,
    "Uint8Array": JsBuffer,
    "console": console,
    "fetch": js_fetch,
}
