"""`self.env`: what the bindings of a Worker are here, and what a file is told that reads one which nobody gave.

At Cloudflare a binding is a name in the project's configuration: a text, a store, a queue. Here whoever starts the run gives
what the workflow shall find under that name: a text, or an object that stands in for the store. A name that nobody gave is
a mistake of the start, not of the step, so it is never retried; with the documented delays that would take five minutes.
"""

from __future__ import annotations

import difflib
import dis
import sys
from collections.abc import Mapping
from types import FrameType
from typing import Any, Final, final

from .._errors import NonRetryableError


@final
class MissingBindingError(NonRetryableError, AttributeError):
    """A workflow reads a name of `self.env` that nobody has given. The message says how to give it."""


_NOTHING: Final = object()
#: What only the binding of another workflow is asked for.
_CREATES: Final = frozenset({"create", "create_batch", "createBatch"})


@final
class Bindings:
    """An `env`, from mappings and objects with attributes; what a later one has comes before what an earlier one has.

    >>> env = Bindings({"API_KEY": "k-1"})
    >>> env.API_KEY, hasattr(env, "CACHE")
    ('k-1', False)

    Raises `MissingBindingError` (an `AttributeError`) for a name that none of them has.
    """

    __slots__ = ("_sources",)

    def __init__(self, *sources: object) -> None:
        self._sources = sources

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):  # Python and its tools ask every object for such names
            raise AttributeError(f"env has no {name!r}", name=name, obj=self)
        for source in reversed(self._sources):
            value = source.get(name, _NOTHING) if isinstance(source, Mapping) else getattr(source, name, _NOTHING)
            if value is not _NOTHING:
                return value
        raise MissingBindingError(self._what_is_missing(name, _asked_next(sys._getframe(1))))

    def _what_is_missing(self, name: str, asked: str | None) -> str:
        given = dir(self)
        near = difflib.get_close_matches(name, given, n=1)
        hint = f" (did you mean {near[0]!r}?)" if near else ""
        has = f"it has {', '.join(given)}" if given else "nothing was given"
        if asked in _CREATES:
            return (
                f"env has no {name!r}{hint}: {has}. Its {asked}() would start another workflow, which takes an engine, and "
                f"trioflow has none yet: give an object of your own in its place, with `--env FILE[:NAME]`, or in code with "
                f"`env={{{name!r}: ...}}`"
            )
        return (
            f"env has no {name!r}{hint}: {has}. Give a text with `--env {name}=VALUE`, an object out of a Python file with "
            f"`--env FILE[:NAME]`, or both in code with `env={{{name!r}: ...}}`"
        )

    def __dir__(self) -> list[str]:
        names: set[str] = set()
        for source in self._sources:
            names.update(map(str, source if isinstance(source, Mapping) else dir(source)))
        return sorted(name for name in names if not name.startswith("_"))

    def __repr__(self) -> str:
        return f"Bindings({', '.join(dir(self))})"  # names only: values are often secrets


def _asked_next(frame: FrameType) -> str | None:
    """Which attribute of what it gets a frame goes on to ask for: "create" in `self.env.OTHER.create()`."""
    after = (i for i in dis.get_instructions(frame.f_code) if i.offset > frame.f_lasti and i.opname != "EXTENDED_ARG")
    return next((i.argval if i.opname in ("LOAD_ATTR", "LOAD_METHOD") else None for i in after), None)


def bindings_of(env: object) -> Bindings:
    """The `env` that was given, as one that says what is missing."""
    return env if isinstance(env, Bindings) else Bindings() if env is None else Bindings(env)
