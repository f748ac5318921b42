"""Standard output and standard error, whatever has become of them.

Standard output is the workflow's and its result's; what trioflow has to say goes to standard error. Either may be closed,
full, too old-fashioned for a character, or a pipe whose reader has had enough: none of that stops a workflow, and only a
result that can't be written is a failure.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import IO

from ._wording import one_line


def say(*lines: str) -> None:
    """To standard error, after what the workflow has printed so far. A reader that has gone doesn't stop a workflow."""
    for stream, text in ((sys.stdout, ()), (sys.stderr, lines)):
        if stream is None:  # closed before we began
            continue
        try:
            print(*text, sep="\n", end="\n" if text else "", file=stream, flush=True)
        except BrokenPipeError:
            hang_up(stream)
        except (OSError, ValueError):  # a full disk, a closed file: said in the end, or nobody there to be told
            pass


def hang_up(stream: IO[str]) -> None:
    """Let what is still written to it go nowhere, or Python itself would complain at its exit."""
    with suppress(OSError, ValueError), open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), stream.fileno())


def print_output(output: object) -> bool:
    """The workflow's result as one line of JSON; what JSON can't hold, as Python shows it. False if it can't be written."""
    try:
        text = _encodable(json.dumps(output, ensure_ascii=False, allow_nan=False), lambda: json.dumps(output))
    except (TypeError, ValueError, RecursionError) as exc:
        say(f"the output is {type(output).__name__} that JSON can't hold ({one_line(str(exc))}): here is its repr()")
        text = _encodable(representation(output), lambda: ascii(output))
    return print_text(text)


def print_text(text: str) -> bool:
    """A result, on standard output. False if it can't be written; that somebody has stopped reading is no failure."""
    try:
        print(text, flush=True)
    except BrokenPipeError:
        hang_up(sys.stdout)
    except (OSError, ValueError) as exc:
        hang_up(sys.stdout)
        say(f"trioflow: the output can't be written: {exc}")
        return False
    return True


def representation(value: object) -> str:
    """What `repr` says, or the little that can be said if it raises."""
    try:
        return repr(value)
    except Exception:
        return object.__repr__(value)


def _encodable(text: str, plain: Callable[[], str]) -> str:
    """The text, unless standard output is too old-fashioned for it, or it holds half a character."""
    try:
        text.encode(getattr(sys.stdout, "encoding", None) or "utf-8")
    except UnicodeEncodeError:
        return plain()
    return text
