"""What to try when a run has failed: one line, with the option of the command or the parameter of a step to change.

Only where the cause says what would help. For whatever the user's own code raises nobody here can know; then it is
`--traceback`, which shows all that Python knows.
"""

from __future__ import annotations

import re
from typing import Any, Final

import trio

from ._board import Board
from ._errors import (
    AsyncioError,
    ConfigError,
    CycleError,
    DeadlockError,
    DefinitionError,
    NonRetryableError,
    RunClosedError,
    WorkflowTimeoutError,
)
from ._foreign import way_out
from ._frames import own_frames
from ._loading import shown
from ._step import Step
from ._time import shown as shown_seconds
from ._wording import one_line

#: What happens between machines, and may be over in a second: by class, and by what libraries call their own.
_PASSING: Final = (ConnectionError, TimeoutError, trio.BrokenResourceError, trio.TooSlowError)
_PASSING_NAME: Final = re.compile("(?i)timeout|timedout|connect|unavailable|ratelimit|toomanyrequests|throttl")


def advice(error: BaseException, step: Step[Any] | None, board: Board, *, params: bool, traceback: bool) -> str | None:
    """What to try, or None. `step` is the one whose body has raised the error.

    `params` and `traceback` say whether the command has these options already.
    """
    known = _for_ours(error, board) or _for_a_step(error, step) or (None if params else _for_no_params(error))
    return known or (None if traceback else "--traceback for the whole traceback")


def _for_ours(error: BaseException, board: Board) -> str | None:
    match error:
        case WorkflowTimeoutError():
            return _for_a_timeout(error, board)
        case AsyncioError():
            return way_out(error)
        case NonRetryableError():
            return "another --params, or change what the step does: it says that another attempt can't help"
        case CycleError():
            return f"taking one dependency away: {' -> '.join(one_line(name, 20) for name in error.steps[:6])}"
        case DeadlockError():
            last = one_line(error.steps[-2] if len(error.steps) > 1 else "the step", 40)
            return f"naming {last!r} in depends=[...] instead of awaiting it in a body"
        case DefinitionError(place=str(place)):
            return f"changing the declaration at {shown(place)} as the message says"
        case DefinitionError() | ConfigError():
            return "changing the value that the message names"
        case RunClosedError():
            return "awaiting it before the workflow's run returns"
    return None


def _for_a_timeout(error: WorkflowTimeoutError, board: Board) -> str | None:
    limit = "" if error.seconds is None else f", now {shown_seconds(error.seconds)}"
    name = one_line(error.step or "", 60)
    for row in board.rows.values():
        if row.kind == "wait" and row.state == "late" and row.name == error.step:
            return f"--event {one_line(row.event_type, 60)}=JSON@SECONDS, or a longer timeout= of wait {name!r}{limit}"
    for step in board.steps:
        if step.name == error.step:
            return f'a longer "timeout" in the config of step {name!r} ({shown(step.place)}){limit}'
    return None


def _for_a_step(error: BaseException, step: Step[Any] | None) -> str | None:
    """Retries, for what may pass and was tried once."""
    if step is None or (step.config is not None and step.config.retries is not None):
        return None
    if isinstance(error, _PASSING) or _PASSING_NAME.search(type(error).__name__):
        retries = 'config={"retries": {"limit": 3, "delay": "1 second"}}'
        return f"{retries} for step {one_line(step.name, 40)!r}, if it may pass"
    return None


def _for_no_params(error: BaseException) -> str | None:
    """Something was asked of `event.payload`, and there is nothing in it."""
    if isinstance(error, LookupError | AttributeError | TypeError):
        for frame in own_frames(error)[-1:]:
            if "payload" in (frame.line or ""):
                return "--params JSON, or --params @FILE: event.payload is empty without"
    return None
