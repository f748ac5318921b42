"""JavaScript's values, as Python sees them through Cloudflare's bridge, on plain Python ones.

There every value that crosses is a proxy, or is converted: to a dict whose keys are attributes, too, and which says
`.to_py()`. Here nothing crosses. A file that converts gets back what it put in, in a form that also answers to what people
call on a proxy. So `to_js` of a dict is a dict, and `isinstance(value, JsProxy)` is true only of what a file could have got
from JavaScript alone: a plain dict or text isn't one, as there.

Running a JavaScript engine was rejected: no workflow needs its language, only its spelling.
"""

from __future__ import annotations

import abc
import json
from collections.abc import Callable, Iterable, Iterator
from typing import Any, final

from .._errors import NonRetryableError


class JsDict(dict[str, Any]):
    """A dictionary whose keys are attributes, too: what the original makes of each dict that crosses.

    >>> JsDict(user="ann").user
    'ann'
    """

    __slots__ = ()

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(f"there is no {name!r}; there is {', '.join(map(str, self))}", name=name) from None

    def __setattr__(self, name: str, value: Any) -> None:
        self[name] = value


def rebuilt(value: Any, dicts: Callable[[], dict[Any, Any]], lists: Callable[[], list[Any]]) -> Any:
    """A copy in which every dict and list, however deep, is a new one as these make them. What else there is stays.

    >>> rebuilt({"rows": [{"id": 1}]}, JsDict, list).rows[0].id
    1
    """
    made: dict[int, Any] = {}
    open_: list[tuple[Any, Any]] = []  # no recursion: a payload may be nested deeper than Python's stack

    def shell(old: Any) -> Any:
        if not isinstance(old, dict | list):
            return old
        if id(old) not in made:  # one that is in itself, or in two places, stays that
            made[id(old)] = dicts() if isinstance(old, dict) else lists()
            open_.append((old, made[id(old)]))
        return made[id(old)]

    result = shell(value)
    while open_:
        old, new = open_.pop()
        if isinstance(old, dict):
            new.update((key, shell(inner)) for key, inner in old.items())
        else:
            new.extend(map(shell, old))
    return result


class JsProxy(abc.ABC):  # noqa: B024 - asked with isinstance, and never made
    """What comes from JavaScript: `isinstance(value, JsProxy)` says whether it has a `.to_py()`."""


@final
class JsObject(JsDict):
    """A JavaScript object: keys are attributes, too, and `.to_py()` gives plain dictionaries and lists."""

    __slots__ = ()

    def to_py(self, **_: object) -> dict[str, Any]:
        plain: dict[str, Any] = rebuilt(self, dict, list)
        return plain


@final
class JsArray(list[Any]):
    """A JavaScript array: a list with `.length` and `.to_py()`."""

    @property
    def length(self) -> int:
        return len(self)

    def to_py(self, **_: object) -> list[Any]:
        plain: list[Any] = rebuilt(self, dict, list)
        return plain


@final
class JsBuffer(bytearray):
    """JavaScript's `ArrayBuffer` and `Uint8Array`: bytes that can be changed.

    >>> buffer = JsBuffer.new([104, 105])
    >>> bytes(buffer), buffer.byteLength, buffer.to_bytes()
    (b'hi', 2, b'hi')
    """

    @staticmethod
    def new(source: int | Iterable[int] = 0) -> JsBuffer:
        """So many zeros, or a copy of the bytes."""
        return JsBuffer(source)

    @property
    def byteLength(self) -> int:
        return len(self)

    @property
    def length(self) -> int:
        return len(self)

    @property
    def buffer(self) -> JsBuffer:
        return self

    def to_bytes(self) -> bytes:
        return bytes(self)

    def to_py(self, **_: object) -> memoryview:
        return memoryview(self)

    def to_memoryview(self) -> memoryview:
        return memoryview(self)

    def to_string(self, encoding: str = "utf-8") -> str:
        return self.decode(encoding)


for _kind in (JsObject, JsArray, JsBuffer):
    JsProxy.register(_kind)


def from_json(text: str | bytes) -> Any:
    """What is in a JSON text, as JavaScript's values. Raises `json.JSONDecodeError`."""
    return rebuilt(json.loads(text), JsObject, JsArray)


@final
class JsException(Exception):
    """An error of JavaScript's: `name`, such as "TypeError", and `message`."""

    def __init__(self, message: str = "", name: str = "Error") -> None:
        super().__init__(message)
        self.name = name
        self.message = message
        self.stack = ""

    def __str__(self) -> str:
        return f"{self.name}: {self.message}"


@final
class MissingNameError(NonRetryableError, AttributeError):
    """A name of Cloudflare's modules that isn't here. Trying again doesn't help."""


# ------------------------------------------------------------------------------------------------------- pyodide.ffi


def to_js(
    obj: Any,
    /,
    *,
    depth: int = -1,
    pyproxies: object = None,
    create_pyproxies: bool = True,
    dict_converter: Callable[[Iterable[tuple[Any, Any]]], Any] | None = None,
    default_converter: Callable[..., Any] | None = None,
    eager_converter: Callable[..., Any] | None = None,
) -> Any:
    """The value itself; with a `dict_converter` a copy in which every dict, however deep, is what that one makes of it.

    The other arguments say how proxies are made, and there are none here.

    >>> data = {"id": 1}
    >>> to_js(data) is data
    True
    """
    if dict_converter is None:
        return obj
    if isinstance(obj, dict):
        return dict_converter([(key, to_js(value, dict_converter=dict_converter)) for key, value in obj.items()])
    if isinstance(obj, list | tuple):
        return JsArray(to_js(value, dict_converter=dict_converter) for value in obj)
    return obj


@final
class PyProxy:
    """A Python object as JavaScript would hold it: it is called and asked as the object, until it is destroyed."""

    __slots__ = ("_once", "_target")

    def __init__(self, target: Any, *, once: bool = False) -> None:
        self._target = target
        self._once = once

    def unwrap(self) -> Any:
        """The object itself. Raises `RuntimeError` after `destroy`."""
        if self._target is None:
            raise RuntimeError("this proxy has been destroyed, or was made for one call only and has had it")
        return self._target

    def destroy(self) -> None:
        self._target = None

    def __call__(self, *args: Any, **keywords: Any) -> Any:
        target = self.unwrap()
        if self._once:
            self.destroy()
        return target(*args, **keywords)

    def __getattr__(self, name: str) -> Any:
        if name in PyProxy.__slots__:  # it is being copied
            raise AttributeError(name)
        return getattr(self.unwrap(), name)


JsProxy.register(PyProxy)


def create_proxy(obj: Any, /, **_: object) -> Any:
    """The object, with a `.destroy()`, after which it can't be used through this any more."""
    return PyProxy(obj)


def create_once_callable(obj: Callable[..., Any], /, **_: object) -> Any:
    """The function, for one call only."""
    return PyProxy(obj, once=True)


def destroy_proxies(proxies: Iterable[Any], /) -> None:
    """Destroy each."""
    for proxy in proxies:
        proxy.destroy()


def pairs(entries: Any) -> Iterator[tuple[Any, Any]]:
    """The entries of a mapping, or those that are given one by one."""
    yield from entries.items() if hasattr(entries, "items") else ((key, value) for key, value in entries)
