"""What `--env` means on a command line: the bindings that a workflow finds in `self.env`.

`NAME=VALUE` is a text, whatever it looks like, as it is in a project's variables and secrets, which is what workflows expect:
`int(self.env.LIMIT)`. `NAME:=JSON` is any other value. What is more than a value (a store, a queue, a model) is an object of
the user's, out of a Python file: `FILE[:NAME]`. What comes later takes the place of what came before.

Making stand-ins for Cloudflare's own stores was rejected: one that does less than the real one makes a workflow look right.
"""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Iterable, Mapping
from types import FunctionType
from typing import Any, Final

from ._loading import LoadError, loaded, shown, split
from .workers import Bindings

#: What is looked for in a file where no name is given.
USUAL_NAME: Final = "env"

_ASSIGNMENT: Final = re.compile(r"([^\W\d]\w*)(:?)=(.*)", re.DOTALL)
_FORMS: Final = (
    "write NAME=VALUE for a text, NAME:=JSON for another value, or FILE[:NAME] for an object out of a Python file"
)


def bindings(texts: Iterable[str]) -> Bindings:
    """The `env` that some `--env` arguments make, each `NAME=VALUE`, `NAME:=JSON` or `FILE[:NAME]`.

    >>> env = bindings(["LIMIT=20", 'SIZES:=[1, 2]'])
    >>> env.LIMIT, env.SIZES
    ('20', [1, 2])

    The file is run as a workflow's file is. In it `env`, or what NAME says, is a dict, an object whose attributes are the
    bindings, or a class, of which an object is made. Raises `LoadError` for what is none of that; if the user's code
    raised, that exception is the cause.
    """
    return Bindings(*map(_source, texts))


def _source(text: str) -> object:
    assignment = _ASSIGNMENT.fullmatch(text)
    if assignment is None:
        return _from_file(text)
    name, colon, value = assignment.groups()
    if not colon:
        return {name: value}
    try:
        return {name: json.loads(value)}
    except ValueError as exc:
        raise LoadError(f"--env {name}: what follows the := is no JSON: {exc}") from None


def _from_file(text: str) -> object:
    try:
        path, name = split(text)
    except LoadError as exc:
        raise LoadError(f"--env {text}: {exc}; {_FORMS}") from None
    with loaded(path) as module:
        if not hasattr(module, name or USUAL_NAME):
            advice = "" if name else "; say which other name it is with FILE:NAME"
            raise LoadError(f"--env {text}: {shown(path)} has no {name or USUAL_NAME!r}{advice}")
        return _checked(getattr(module, name or USUAL_NAME), f"--env {shown(path)}:{name or USUAL_NAME}")


def _checked(found: Any, what: str) -> object:
    if inspect.isclass(found):
        try:
            found = found()
        except Exception as exc:
            raise LoadError(f"{what}() can't be made: {type(exc).__name__}: {exc}") from exc
    if isinstance(found, Mapping) or not isinstance(
        found, str | bytes | int | float | list | tuple | set | FunctionType | None
    ):
        return found
    raise LoadError(
        f"{what} is {type(found).__name__}: it has to be a dict, an object with the bindings as attributes, or a class of such"
    )
