"""Where a run is shown: as facts, as lines, or as a tree.

A tree needs a terminal that can move its cursor, and a reader who hasn't asked for less (`NO_COLOR`, `TERM=dumb`). rich is
imported only then.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout, suppress
from typing import IO, TextIO

from ._board import Board
from ._feed import Feed
from ._lines import Lines
from ._streams import hang_up
from ._view import View


@contextmanager
def shown(board: Board, *, as_json: bool, is_virtual: bool) -> Iterator[View]:
    """A view of the run that `board` is told of. To be entered before the workflow's file is loaded."""
    if as_json:
        with _kept_apart() as write:
            yield Feed(board, write)
    elif can_draw():
        from ._live import screen_on
        from ._treeview import Tree

        with screen_on(sys.stderr) as screen:
            yield Tree(board, screen, is_virtual)
    else:
        yield Lines(board)


def can_draw() -> bool:
    """Whether standard error is a terminal for a tree."""
    if os.environ.get("NO_COLOR") or os.environ.get("TERM", "dumb") in ("", "dumb", "unknown"):
        return False
    try:
        return sys.stderr is not None and sys.stderr.isatty()
    except ValueError:  # closed
        return False


@contextmanager
def _kept_apart() -> Iterator[Callable[[str], None]]:
    """A function that writes lines to standard output, while all that others write there goes to standard error.

    Others are child processes, too, where both are real files.
    """
    with _moved(sys.stdout, sys.stderr) as ours, redirect_stdout(sys.stderr):

        def write(line: str) -> None:
            if ours is None:  # closed before we began
                return
            try:
                print(line, file=ours, flush=True)
            except BrokenPipeError:
                hang_up(ours)
            except (OSError, ValueError):  # full or closed: nobody there to be told
                pass

        yield write


@contextmanager
def _moved(stream: TextIO | None, other: TextIO | None) -> Iterator[IO[str] | None]:
    """The stream itself, under another number; what is written to its own goes to the other one."""
    try:
        number, elsewhere = stream.fileno(), other.fileno()  # type: ignore[union-attr]
        stream.flush()  # type: ignore[union-attr]
        kept = os.dup(number)
    except (AttributeError, OSError, ValueError):  # closed, or none of the machine's
        yield stream
        return
    with open(kept, "w", encoding="utf-8") as ours:
        os.dup2(elsewhere, number)
        try:
            yield ours
        finally:
            with suppress(OSError, ValueError):
                ours.flush()
            os.dup2(kept, number)
