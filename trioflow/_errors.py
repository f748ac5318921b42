"""What can go wrong, and what the reader may do about it.

One base, few leaves, no tree: whoever wants to catch "anything of trioflow's" catches `TrioflowError`, whoever knows
what happened catches the leaf, and whoever has never heard of us catches the built-in parent (a wrong declaration is
a `TypeError`, a bad value a `ValueError`, a timeout a `TimeoutError`).

Errors of a step's *body* are never wrapped in one of these: a step that raised `KeyError` fails with that `KeyError`.

Every class takes its message first and its facts as keywords, so that `pickle` and `copy` keep both: `BaseException`
restores `args` through the constructor and everything else from `__dict__`.
"""

from __future__ import annotations

import contextlib
from typing import final


class TrioflowError(Exception):
    """Base of all errors that trioflow itself raises. Catch it where you don't care which one it is."""


@final
class DefinitionError(TrioflowError, TypeError):
    """A workflow declares something that can't work: the code needs a change, trying again doesn't help.

    Usual causes: a parameter that names no step, a `depends` whose length doesn't fit the parameters, a `depends`
    entry that is no step or belongs to another run, `**kwargs` in a step's signature, a name that could mean several
    steps. The message names the step, the file and the line.
    """

    def __init__(self, message: str, *, step: str | None = None, place: str | None = None) -> None:
        super().__init__(message)
        #: Name of the step whose declaration is at fault, if it is known.
        self.step = step
        #: Where it is declared, as "file:line".
        self.place = place


@final
class ConfigError(TrioflowError, ValueError):
    """A configuration, a duration or another value that was handed in can't be used. The message says what would be."""


@final
class CycleError(TrioflowError, ValueError):
    """Steps depend on each other in a circle, so that none of them could ever begin.

    Steps that don't need the circle still run. Break it by taking away one of the dependencies shown.
    """

    def __init__(self, message: str, *, steps: tuple[str, ...] = (), places: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        #: Names of the steps on the cycle; each needs the next, and the first stands again at the end.
        self.steps = steps
        #: Where each of them is declared, as "file:line".
        self.places = places


@final
class DeadlockError(TrioflowError, RuntimeError):
    """A step's body awaited a step that, directly or not, waits for that body. Both would have waited for ever.

    Make the awaited step a dependency of a third one, or await it from `run`.
    """

    def __init__(self, message: str, *, steps: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        #: Names of the steps on the loop; each waits for the next, and the first stands again at the end.
        self.steps = steps


@final
class RunClosedError(TrioflowError, RuntimeError):
    """The run that this step belongs to is over, and the step has no outcome, nor will it ever have one.

    Steps live in one run. Await them before the workflow's `run` returns, or return their values from it.
    """

    def __init__(self, message: str, *, step: str | None = None) -> None:
        super().__init__(message)
        #: Name of the step that was asked for, if it was one.
        self.step = step


class NonRetryableError(TrioflowError):
    """Raise it in a step's body to say that another attempt can't help: the step fails at once with this error."""


@final
class AsyncioError(NonRetryableError, NotImplementedError):
    """Code written for asyncio asks for something that can't be had on Trio. The message names it, and the way out."""


@final
class WorkflowTimeoutError(TrioflowError, TimeoutError):
    """An attempt of a step, or the wait for an event, took longer than its `timeout`."""

    def __init__(self, message: str, *, step: str | None = None, seconds: float | None = None) -> None:
        super().__init__(message)
        #: Name of the step or of the wait.
        self.step = step
        #: The limit that was exceeded, in seconds.
        self.seconds = seconds


def note(error: BaseException, text: str) -> None:
    """Add a note to an exception, if it takes one: a frozen one doesn't, and it is no reason to stop here."""
    with contextlib.suppress(Exception):
        error.add_note(text)


def shown(error: BaseException) -> str:
    """An exception in a few words, even if its own `repr` is a book, or raises."""
    try:
        text = repr(error)
    except Exception:
        return f"{type(error).__name__}(...)"
    return text if len(text) <= 200 else f"{text[:200]}..."
