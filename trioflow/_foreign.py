"""What calls of asyncio's raise where Trio runs, and what that means.

There is no loop that they could find, or they yield what Trio doesn't know. Either error says nothing to somebody who has
written `await asyncio.sleep(1)`, and another attempt ends the same way. Raised in a task of a nursery's they come in a
group, with whatever else has gone wrong there. All of this is looked at only when a body has failed.
"""

from __future__ import annotations

import re
import traceback
from collections.abc import Iterator
from types import FrameType
from typing import Final

from ._errors import AsyncioError

_NO_LOOP: Final = re.compile("no running event loop$|There is no current event loop in thread")
#: What Trio says of a yield that it doesn't know, and of what `start_soon` was given.
_UNKNOWN_TO_TRIO: Final = re.compile(
    r"trio\.run received unrecognized yield message"
    r"|Trio (got unexpected|was expecting an async function, but instead it got) <(\w*Future|Task) "
)
_ANYWHERE: Final = (
    "this runs on Trio, which can't serve asyncio's calls; use what Trio has for it (asyncio.sleep -> trio.sleep, gather and "
    "create_task -> a nursery, to_thread -> trio.to_thread.run_sync), or derive the workflow from "
    "trioflow.workers.WorkflowEntrypoint, where asyncio works"
)
_WITHIN: Final = (
    "the tasks of a Trio nursery, and threads, have no asyncio loop, even where the body has one; start tasks as asyncio does "
    "(TaskGroup, gather), or use Trio's calls in them (asyncio.sleep -> trio.sleep)"
)

#: A body has come through here if asyncio works in it.
_BRIDGE: Final = f"{__package__}._asyncio"


def is_asyncios(error: BaseException) -> bool:
    """Whether the error, or one anywhere in the group that it is, says that code written for asyncio was run without it."""
    return _first_of_asyncios(error) is not None


def explained(error: Exception, where: str) -> Exception:
    """The error, or one that says what to do about it. `where`: whose code it was.

    That one is no group, whatever the error is, and its traceback leads to the call. The error is its cause, and what else
    there is in the group stands in a note.
    """
    found = _first_of_asyncios(error)
    if found is None:
        return error
    advice = _WITHIN if _is_bridged(error) else _ANYWHERE
    said = AsyncioError(f"{_call(found) or 'a call of asyncio'} in {where}: {advice}")
    said.__traceback__ = found.__traceback__
    if said.__traceback__ is None or _is_of_asyncio(said.__traceback__.tb_frame):  # nobody's own line leads there
        said.__traceback__ = error.__traceback__
    said.__cause__ = error
    others = [leaf for leaf in _leaves(error) if not _is_one_of_asyncios(leaf)]
    if others:
        said.add_note(f"raised beside it: {'; '.join(map(_in_words, others))}")
    return said


def way_out(error: AsyncioError) -> str:
    """The end of what `explained` has said, in a few words. Of an error that it hasn't made: where to look."""
    cause = error.__cause__
    if cause is None or not is_asyncios(cause):
        return "what the message names in place of asyncio's call"
    if _is_bridged(cause):
        return "asyncio.TaskGroup or gather in place of a Trio nursery, or Trio's calls in its tasks"
    return "Trio's call in its place, or a class that derives from trioflow.workers.WorkflowEntrypoint: asyncio works there"


def _first_of_asyncios(error: BaseException) -> BaseException | None:
    return next(filter(_is_one_of_asyncios, _leaves(error)), None)


def _leaves(error: BaseException) -> Iterator[BaseException]:
    pending = [error]  # not recursive: groups may be nested deeper than Python's stack
    while pending:
        error = pending.pop()
        if isinstance(error, BaseExceptionGroup):
            pending.extend(reversed(error.exceptions))
        else:
            yield error


def _is_one_of_asyncios(error: BaseException) -> bool:
    if isinstance(error, RuntimeError):
        return _NO_LOOP.match(_text(error)) is not None
    if isinstance(error, TypeError):
        return _UNKNOWN_TO_TRIO.match(_text(error)) is not None
    # Its locks and queues take None for a loop.
    return isinstance(error, AttributeError) and error.obj is None and _call(error) is not None


def _text(error: BaseException) -> str:
    """What it says, without a call of `str`: that of a user's own class may raise."""
    return error.args[0] if error.args and isinstance(error.args[0], str) else ""


def _call(error: BaseException) -> str | None:
    """The function of asyncio's that was called, if the traceback leads into one."""
    for frame, _ in traceback.walk_tb(error.__traceback__):
        if _is_of_asyncio(frame):
            return f"asyncio.{frame.f_code.co_qualname}"
    return None


def _is_of_asyncio(frame: FrameType) -> bool:
    module = frame.f_globals.get("__name__")
    return isinstance(module, str) and module.partition(".")[0] == "asyncio"


def _is_bridged(error: BaseException) -> bool:
    return any(frame.f_globals.get("__name__") == _BRIDGE for frame, _ in traceback.walk_tb(error.__traceback__))


def _in_words(error: BaseException) -> str:
    return f"{traceback.format_exception_only(error)[0].strip():.200}"
