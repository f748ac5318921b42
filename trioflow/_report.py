"""Why a run has failed, in a dozen lines in place of a traceback.

What happened, in which step, at which attempt, who needed it, where in the user's own files, what else failed, and what
to try.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final

from ._advice import advice
from ._board import Board
from ._frames import frame_lines, own_frames, place
from ._loading import shown
from ._step import Step
from ._wording import attempt_of, described, first_of, numbered, one_line, shortened
from .abc import StepErrored

REPORT_LINES: Final = 12

#: Who has raised an exception, by its identity.
Raisers = dict[int, list[StepErrored]]


def report(error: BaseException, board: Board, *, params: bool = True, traceback: bool = True) -> list[str]:
    """Why a run has failed, in `REPORT_LINES` lines at most.

    First the exception, the step that raised it, and the steps that needed that one, up to the one that was awaited.
    Then as there is room: the members of a group, the user's own frames, what caused it and what its notes say. Last what
    to try; `params` and `traceback` say whether the command had these options.
    """
    raisers = _raisers(board)
    steps = _who_raised(error, board, raisers)
    lines = [f"error: {described(error, 500)}", *_where(error, board, raisers, steps)]
    hint = advice(error, steps[0] if steps else None, board, params=params, traceback=traceback)
    remarks = [f"  {line}" for line in first_of([*_causes(error, raisers), *_labelled_notes(error)], 3)]
    if hint is not None:
        remarks.append(f"  try        {hint}")
    room = REPORT_LINES - len(lines) - len(remarks)
    members = [*_members(error)]
    if members:
        told = first_of([f"  - {_member(leaf, raisers)}" for leaf in members], room - 3)
        lines += told
        room -= len(told)
    frames = own_frames(error)
    if len(members) == 1:
        frames += own_frames(members[0])
    return [*lines, *frame_lines(frames, room), *remarks]


def _raisers(board: Board) -> Raisers:
    """Who has raised an exception, by its identity: the step itself first, then those whose bodies let it through."""
    found: Raisers = {}
    for fact in board.errors:
        found.setdefault(id(fact.error), []).append(fact)
    return found


def _who_raised(error: BaseException, board: Board, raisers: Raisers) -> list[Step[Any]]:
    """The step whose body raised it, then those whose bodies let it through."""
    steps = (board.by_key().get(board.row(fact).key) for fact in raisers.get(id(error), ()))
    return [step for step in steps if step is not None]


def _where(error: BaseException, board: Board, raisers: Raisers, steps: list[Step[Any]]) -> Iterator[str]:
    for fact in raisers.get(id(error), ())[:1]:
        row = board.row(fact)
        place = f" ({shown(steps[0].place)})" if steps else ""
        attempt = attempt_of(row.attempt, row.attempts)
        yield f"  step       {numbered(fact.step, fact.occurrence)}{place}{attempt and f', {attempt}'}"
    if len(chain := _chain(steps, board.steps)) > 1:
        yield f"  needed by  {one_line(' -> '.join(shortened([step.name for step in chain[1:]])))}"


def _chain(raisers: list[Step[Any]], steps: Iterable[Step[Any]]) -> list[Step[Any]]:
    """From the step that raised to the one that was awaited: each is needed by the next, or was awaited in its body."""
    needed_by: dict[Step[Any], Step[Any]] = {}
    for step in steps:
        if step.status == "failed":
            for dependency in step.dependencies:
                needed_by.setdefault(dependency, step)
    chain: dict[Step[Any], None] = {}
    for step in raisers:
        up: Step[Any] | None = step
        while up is not None and up not in chain:
            chain[up] = None
            up = needed_by.get(up)
    return [*chain]


def _causes(error: BaseException, raisers: Raisers) -> Iterator[str]:
    """What it was raised from, or while handling what; not the groups that nurseries made of it on its way."""
    seen = {id(error)}
    label, cause = _cause(error)
    while isinstance(cause, Exception) and id(cause) not in seen and seen.isdisjoint(map(id, _members(cause))):
        seen.add(id(cause))
        yield f"{label:<9}  {_member(cause, raisers)}"
        label, cause = _cause(cause)


def _cause(error: BaseException) -> tuple[str, BaseException | None]:
    if error.__cause__ is not None:
        return "caused by", error.__cause__
    return "handling", None if error.__suppress_context__ else error.__context__


def _labelled_notes(error: BaseException) -> Iterator[str]:
    return (f"note       {one_line(note)}" for note in notes_of(error))


def notes_of(error: BaseException) -> list[str]:
    notes = getattr(error, "__notes__", ())
    return [str(note) for note in notes] if isinstance(notes, list) else []


def _members(error: BaseException) -> Iterator[BaseException]:
    """The leaves of a group; of anything else, nothing."""
    if isinstance(error, BaseExceptionGroup):
        for member in error.exceptions:
            yield from _members(member) if isinstance(member, BaseExceptionGroup) else (member,)


def _member(error: BaseException, raisers: Raisers) -> str:
    """One exception in one line: what, which step, where."""
    step = [f"step {numbered(fact.step, fact.occurrence)}" for fact in raisers.get(id(error), ())[:1]]
    frame = [place(frame) for frame in own_frames(error)[-1:]]
    where = ", ".join(step + frame)
    return described(error, 120) + (f"  [{where}]" if where else "")
