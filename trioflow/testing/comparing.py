"""When two values are the same, of two runs that share no objects.

`==` is not enough: objects without an equality of their own are never equal to those of another run, and
exceptions are such. So values are written down, and the texts are compared. A text shows what an object consists of and not
where it is in memory, a set without its order, and floats to the last bit. It travels between processes, too, which
hash texts differently, and can be shown to people as it stands.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

import attrs

__all__ = ["shortened", "shown"]

#: Where something is in memory says nothing about what it is.
_ADDRESS: Final = re.compile(r" at 0x[0-9a-fA-F]+")
#: Objects in objects, down to there.
_DEEPEST: Final = 40


def shown(value: object, *, ordered: bool = True) -> str:
    """A value as text, the same for values that consist of the same.

    With `ordered` the order of a mapping counts: who goes through it sees it. `==` doesn't.
    """
    return _shown(value, ordered, ())


def shortened(value: object, width: int = 60) -> str:
    """A value for people, in one line."""
    text = " ".join(shown(value).split())
    return text if len(text) <= width else f"{text[: width - 1]}…"


def _shown(value: Any, ordered: bool, above: tuple[int, ...]) -> str:
    kind: Any = type(value)
    if value is None or kind in (bool, int, float, complex, str, bytes):
        return repr(value)
    if id(value) in above or len(above) > _DEEPEST:
        return "…"
    above = (*above, id(value))
    if kind in (list, tuple):
        inside = ", ".join(_shown(v, ordered, above) for v in value)
        return f"[{inside}]" if kind is list else f"({inside},)" if len(value) == 1 else f"({inside})"
    if isinstance(value, set | frozenset):
        return f"{kind.__name__}({{{', '.join(sorted(_shown(v, ordered, above) for v in value))}}})"
    if isinstance(value, Mapping):
        items = [f"{_shown(k, ordered, above)}: {_shown(v, ordered, above)}" for k, v in value.items()]
        inside = ", ".join(items if ordered else sorted(items))
        return f"{{{inside}}}" if kind is dict else f"{kind.__name__}({{{inside}}})"
    if isinstance(value, BaseException):
        return _parts(kind.__name__, _members(value), ordered, above)
    if kind.__repr__ is object.__repr__ or attrs.has(kind) or hasattr(kind, "__dataclass_fields__"):
        return _parts(kind.__qualname__, _members(value), ordered, above)
    return _ADDRESS.sub("", repr(value))


def _parts(name: str, members: Iterable[tuple[str, Any]], ordered: bool, above: tuple[int, ...]) -> str:
    return f"{name}({', '.join(f'{key}={_shown(value, ordered, above)}' for key, value in members)})"


def _members(value: Any) -> list[tuple[str, Any]]:
    members: list[tuple[str, Any]] = []
    if isinstance(value, BaseException):
        members.append(("args", value.args))
        if isinstance(value, BaseExceptionGroup):
            members = [("message", value.message), ("exceptions", list(value.exceptions))]
    for owner in reversed(type(value).__mro__):
        slots = owner.__dict__.get("__slots__", ())
        names = [slots] if isinstance(slots, str) else slots
        members += [(n, getattr(value, n)) for n in names if not n.startswith("__") and hasattr(value, n)]
    return members + list(getattr(value, "__dict__", {}).items())
