"""One run, turn by turn, for people: who went when, past whom, what his body did, and where he waits now.

The tasks of trioflow's lanes bear the names of the steps whose bodies they run, so that names here are names of steps. A
line is written for a turn that shows something: what the lanes do among themselves is left out.
"""

from __future__ import annotations

import linecache
from pathlib import PurePath
from types import FrameType
from typing import Any, Final, final

import attrs
import trio

from trioflow.testing.comparing import shortened
from trioflow.testing.turnstile import Gate

__all__ = ["Film"]

#: Tasks of ours while they are no step's.
_OURS: Final = ("trioflow lane", "trioflow resolution", "trioflow._lanes.")
#: Lines of a long timeline that are shown at its beginning, and at its end.
HEAD: Final = 40
TAIL: Final = 60
_NOT_THEIRS: Final = ("trio.", "trioflow.", "outcome.", "functools")
#: Nobody asks where a body waits after that.
_LAST: Final = ("returns", "raises", "is cancelled")
#: Of a name in a column, and of a line of code.
_WIDTH: Final = 24
_SOURCE: Final = 50


@final
@attrs.define
class _Turn:
    time: float
    who: str
    #: Those who had waited longer.
    passed: list[str]
    #: What a body has done.
    events: list[str] = attrs.field(factory=list)
    #: Where the task waits after it.
    where: str = ""

    def told(self) -> str:
        """All that there is to say; nothing, if nobody needs to know."""
        parts = [f"goes before {', '.join(self.passed)}"] if self.passed else []
        return "; ".join(filter(None, [*parts, *self.events, self.where]))


@final
@attrs.define(eq=False)
class Film:
    """Watches a run. `str` shows it."""

    turns: list[_Turn] = attrs.field(factory=list)
    #: Who was still there when the run was broken off, and where.
    left: list[str] = attrs.field(factory=list)
    #: After how many turns that was: what comes then is only the cleaning up.
    over: int | None = None

    def turn(self, gate: Gate, passed: list[Gate]) -> None:
        names = dict.fromkeys(name_of(other) for other in passed if not on_errand(other.task))
        errand = on_errand(gate.task)
        self.turns.append(_Turn(trio.current_time(), "" if errand else name_of(gate), [] if errand else list(names)))

    def step_over(self, gate: Gate) -> None:
        turn = self.turns[-1]
        turn.who = turn.who or name_of(gate)
        if not on_errand(gate.task) and not (turn.events and turn.events[-1].startswith(_LAST)):
            turn.where = place_of(gate)

    def leave_off(self, gates: list[Gate]) -> None:
        self.over = len(self.turns)
        self.left = [f"{name_of(gate)} {place_of(gate)}" for gate in gates if not on_errand(gate.task)]

    def log(self, what: str, detail: object = None) -> None:
        """What a body does, in the turn of its task."""
        given = detail if what in ("returns", "raises") else None
        said = "" if given is None else f" {given!r}" if what == "raises" else f" {shortened(given, 40)}"
        self.turns[-1].events.append(what + said)

    def __str__(self) -> str:
        lines: list[str] = []
        for turn in self.turns[: self.over]:
            if told := turn.told():
                number, mark = len(lines) + 1, ">" if turn.passed else " "
                lines.append(f"{mark}{number:>5} {turn.time:>9.6g}  {turn.who:<{_WIDTH}}  {told}")
        if len(lines) > HEAD + TAIL:
            lines[HEAD:-TAIL] = [f"  … {len(lines) - HEAD - TAIL} more turns …"]
        head = f"  {'turn':>4} {'time':>9}  {'who':<{_WIDTH}}  what"
        left = ["left over:", *(f"  {line}" for line in self.left)] if self.left else []
        return "\n".join([head, *lines, *left])


def on_errand(task: trio.lowlevel.Task) -> bool:
    """Whether it is one of trioflow's that is not in anybody's body: a lane that looks what there is to do."""
    return task.name.startswith(_OURS)


def name_of(gate: Gate) -> str:
    """A task's name: that of the step whose body it runs, or the one it was given, or that of its function."""
    name = gate.task.name
    inner: Any = gate.inner
    return inner.__name__ if name.endswith(f".{inner.__qualname__}") else name


def place_of(gate: Gate) -> str:
    """Where a task waits, in code that is neither Trio's nor ours; empty if there is none. "ends" when it is over."""
    if gate.inner.cr_frame is None:
        return "ends"
    theirs: tuple[FrameType, int] | None = None
    for frame, line in gate.task.iter_await_frames():
        module = frame.f_globals.get("__name__", "")
        if module != "trio" and not module.startswith(_NOT_THEIRS):
            theirs = frame, line
    if theirs is None:
        return ""
    code, line = theirs[0].f_code, theirs[1]
    source = linecache.getline(code.co_filename, line).strip()
    if len(source) > _SOURCE:
        source = f"{source[: _SOURCE - 1]}…"
    return f"waits at {PurePath(code.co_filename).name}:{line}" + (f": {source}" if source else "")
