"""The lines of a traceback that are the user's own.

Nine lines in ten of a traceback through a scheduler belong to the scheduler. What is left says where, in code that the
reader can change.
"""

from __future__ import annotations

import functools
import os
import sysconfig
import traceback
from traceback import FrameSummary

import outcome
import trio

from ._loading import shown
from ._wording import one_line


@functools.cache
def not_ours() -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Where code lives that isn't the user's: what carries the run, and all that is installed."""
    machine = tuple(os.path.join(os.path.dirname(file), "") for file in (__file__, trio.__file__, outcome.__file__))
    paths = sysconfig.get_paths()
    installed = tuple(os.path.join(paths[kind], "") for kind in ("stdlib", "platstdlib", "purelib", "platlib"))
    return machine, installed


def own_frames(error: BaseException | None) -> list[FrameSummary]:
    """The frames in the user's own files, outermost first; if there is none, those of the libraries."""
    if error is None:
        return []
    machine, installed = not_ours()
    frames = [f for f in traceback.extract_tb(error.__traceback__) if not f.filename.startswith(("<", *machine))]
    return [frame for frame in frames if not frame.filename.startswith(installed)] or frames


def frame_lines(frames: list[FrameSummary], room: int) -> list[str]:
    """Two lines each; if there isn't room, the outermost, a line that counts, and the innermost."""
    fit = room // 2
    lines = [[f"  {place(frame)}", f"      {one_line(frame.line or '')}"] for frame in frames]
    if len(lines) > fit:
        keep = max(1, (room - 1) // 2)
        outer = lines[:1] if keep > 1 else []
        lines = [*outer, [f"  ... {len(lines) - keep} more ..."], *lines[len(lines) - (keep - len(outer)) :]]
    return [line for pair in lines for line in pair]


def place(frame: FrameSummary) -> str:
    """File, line and function."""
    return f"{shown(frame.filename)}:{frame.lineno} in {frame.name}"
