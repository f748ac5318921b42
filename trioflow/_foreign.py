"""What calls of asyncio's raise where Trio runs, and what that means.

There is no loop that they could find, or they yield what Trio doesn't know. Either error says nothing to somebody who has
written `await asyncio.sleep(1)`, and another attempt ends the same way.
"""

from __future__ import annotations

from ._errors import AsyncioError

_NO_LOOP = "no running event loop"
_UNKNOWN_TO_TRIO = "trio.run received unrecognized yield message"


def is_asyncios(error: BaseException) -> bool:
    """Whether the error says that code written for asyncio was run without it."""
    if isinstance(error, RuntimeError):
        return str(error) == _NO_LOOP
    if isinstance(error, TypeError):
        return str(error).startswith(_UNKNOWN_TO_TRIO)
    # Its locks and queues take None for a loop.
    return isinstance(error, AttributeError) and error.obj is None and _call(error) is not None


def explained(error: Exception, where: str) -> Exception:
    """The error, or one that says what to do about it. `where`: whose code it was."""
    if not is_asyncios(error):
        return error
    call = _call(error)
    message = (
        f"{call or 'a call of asyncio'} in {where}: this runs on Trio, which can't serve asyncio's calls; use what "
        "Trio has for it (asyncio.sleep -> trio.sleep, gather and create_task -> a nursery, to_thread -> "
        "trio.to_thread.run_sync), "
        "or run the file with trioflow.workers, where asyncio works"
    )
    said = AsyncioError(message).with_traceback(error.__traceback__)
    said.__cause__ = error
    return said


def _call(error: BaseException) -> str | None:
    """The function of asyncio's that was called, if the traceback leads into one."""
    tb = error.__traceback__
    while tb is not None:
        if tb.tb_frame.f_globals.get("__name__", "").partition(".")[0] == "asyncio":
            return f"asyncio.{tb.tb_frame.f_code.co_qualname}"
        tb = tb.tb_next
    return None
