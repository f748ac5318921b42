"""Which step, sleep or wait is meant: what people write to name one, and whether a path is that.

A name alone means the first of that name, as with Cloudflare. It is looked for in the bodies of steps too, so that a test
need not know in which body something is declared; who cares writes the path.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from typing import TypeAlias, final

import attrs

from .._errors import ConfigError
from ..abc import Path

#: A name, or a name and which of the steps of that name it is, from 1, where they are declared; None: each of them.
Part: TypeAlias = str | tuple[str, int | None]

#: `"load"` is the first step of that name, in `run` or in any body; `("load", 2)` the second, `("load", None)` all of them.
#: A list is a path, from the run inward: `["load"]` is one that `run` itself declares, `["load", ("page", 2)]` the second
#: `page` in the body of `load`. The `path` of a step or a fact is one too.
Selector: TypeAlias = Part | Sequence[Part]


@final
@attrs.frozen
class Selection:
    """What a `Selector` means."""

    #: From the run inward; without any everything is meant.
    parts: tuple[tuple[str, int | None], ...]
    #: It is no path but a name: wherever it is declared.
    anywhere: bool

    def matches(self, path: Path) -> bool:
        """Whether a step, a sleep or a wait of that path is meant."""
        if self.anywhere:
            path = path[-len(self.parts) :] if self.parts else ()
        return len(path) == len(self.parts) and all(
            name == wanted and number in (None, occurrence)
            for (name, occurrence), (wanted, number) in zip(path, self.parts, strict=True)
        )

    def __str__(self) -> str:
        return " in ".join(_shown(name, number) for name, number in reversed(self.parts))


def _shown(name: str, number: int | None) -> str:
    if number is None:
        return f"each {name!r}"
    return repr(name) if number == 1 else f"{name!r} #{number}"


def selection(selector: Selector) -> Selection:
    """What a selector means.

    >>> selection(("page", 2)).matches((("load", 1), ("page", 2)))
    True
    >>> print(selection(["load", ("page", None)]))
    each 'page' in 'load'

    Raises:
        ConfigError: it is none.
    """
    if isinstance(selector, str) or _is_pair(selector):
        return Selection((_part(selector),), anywhere=True)
    if not isinstance(selector, Sequence) or not selector:
        raise _no_selector(selector)
    return Selection(tuple(_part(part) for part in selector), anywhere=False)


def _is_pair(selector: object) -> bool:
    return isinstance(selector, tuple) and len(selector) == 2 and not isinstance(selector[1], str | tuple)


def _part(part: object) -> tuple[str, int | None]:
    name, number = part if isinstance(part, tuple) and len(part) == 2 else (part, 1)
    if not isinstance(name, str):
        raise _no_selector(part)
    if number is not None and (not isinstance(number, int) or isinstance(number, bool) or number < 1):
        raise ConfigError(f"{name!r} can't be number {number!r}: steps of one name are counted from 1; None means each")
    return name, number


def _no_selector(given: object) -> ConfigError:
    if callable(given):
        return ConfigError(f"{given!r} says no step: give its name, as text, since each run has steps of its own")
    return ConfigError(
        f'{given!r} says no step: write "load", ("load", 2) for the second of that name, or a list of these from the run '
        "inward"
    )


def hint(name: str, known: Iterable[str]) -> str:
    """What to say beside a name that nothing bears."""
    names = list(dict.fromkeys(known))
    near = difflib.get_close_matches(name, names, 1)
    if near:
        return f"did you mean {near[0]!r}?"
    return f"there is {', '.join(map(repr, names[:10]))}{' and others' if len(names) > 10 else ''}" if names else ""
