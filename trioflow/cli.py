"""Workflows at a terminal: `trioflow run FILE[:NAME]`.

Standard output is the workflow's: what it prints, and at the end its result as JSON, so that it can be piped. All that
trioflow has to say goes to standard error, as plain lines that also read well in a log: which step began, was done,
failed or was cancelled, and why. A failed workflow ends with a report of at most twelve lines in place of a traceback:
nine lines in ten of a traceback through a scheduler belong to the scheduler. `--traceback` prints it as well.

The exit status is 0 if the workflow succeeded, 1 if it failed, 2 if the command was wrong (arguments, the file, what is
in it) and 130 after Ctrl-C. A workflow that calls `sys.exit` chooses its own.
"""

from __future__ import annotations

import functools
import importlib.metadata
import json
import os
import sys
import sysconfig
import traceback as tracebacks
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Annotated, Any, Final, NoReturn, final

import attrs
import outcome
import trio
from cyclopts import App, CycloptsError, Parameter

from . import workers
from ._errors import ConfigError, TrioflowError
from ._loading import LoadError, load_workflow, shown
from ._step import Step
from ._workflow import AnyWorkflow, WorkflowRun, open_run
from .abc import Instrument, StepCancelled, StepCompleted, StepErrored, StepFact, StepStarted

SUCCEEDED, FAILED, USAGE, INTERRUPTED = 0, 1, 2, 130

REPORT_LINES: Final = 12


def _version() -> str:
    try:
        return importlib.metadata.version("trioflow")
    except importlib.metadata.PackageNotFoundError:  # run from a source tree
        return "unknown, not installed"


def _plainly(error: CycloptsError) -> str:
    return f"trioflow: {error}\nTry 'trioflow --help' or 'trioflow run --help'."


app: Final = App(
    name="trioflow",
    help="DAG workflows on Trio.",
    version=_version,
    error_formatter=_plainly,
    result_action="return_value",
    suppress_keyboard_interrupt=False,
)


def main(tokens: Sequence[str] | None = None) -> int:
    """Do what the command line says. Returns the exit status; `SystemExit` comes from help, usage errors and workflows.

    `tokens` stand for `sys.argv[1:]`.
    """
    try:
        status = app(tokens)
    except KeyboardInterrupt:  # while a file was loaded; in a run it is dealt with where the steps are known
        _say("trioflow: interrupted")
        return INTERRUPTED
    return status if isinstance(status, int) else SUCCEEDED


@app.command
def run(
    target: Annotated[str, Parameter(name="FILE[:NAME]")],
    /,
    *,
    params: Annotated[str | None, Parameter(name="--params")] = None,
    instance_id: Annotated[str | None, Parameter(name="--id")] = None,
    traceback: Annotated[bool, Parameter(negative=(), show_default=False)] = False,
) -> int:
    """Run the workflow in FILE and print its result as JSON.

    What the steps do is told on standard error. Exit status: 0 succeeded, 1 failed, 2 wrong usage, 130 Ctrl-C.

    Parameters
    ----------
    target: str
        A Python file, and the name of the class or function in it, needed if the file has several workflows.
    params: str
        The event's payload as JSON, or @PATH for a file that holds it.
    instance_id: str
        The id of this run, given to the workflow as `event.instanceId`.
    traceback: bool
        Print Python's whole traceback after the report of a failure.
    """
    try:
        payload = _payload(params)
        with workers.install(), load_workflow(target) as workflow:
            return _perform(workflow, payload, instance_id, traceback)
    except UsageError as exc:
        _say(f"trioflow: {exc}")
    except LoadError as exc:
        _say(f"trioflow: {exc}", *_frame_lines(_own_frames(exc.__cause__), room=REPORT_LINES - 1))
    return USAGE


# ------------------------------------------------------------------------------------------------------- what is given


@final
class UsageError(TrioflowError):
    """An argument can't be used. The message says which and why."""


def _payload(params: str | None) -> Any:
    """What `--params` means: JSON, or a file that holds some."""
    if params is None:
        return None
    text: str | bytes = params
    if params.startswith("@"):
        try:
            text = Path(params[1:]).read_bytes()
        except OSError as exc:
            raise UsageError(f"--params: {params[1:]} can't be read: {exc.strerror}") from None
    what = f"what is in {params[1:]}" if params.startswith("@") else "the text"
    try:
        return json.loads(text, parse_constant=_refuse_constant)
    except json.JSONDecodeError as exc:
        place = f"line {exc.lineno}, column {exc.colno}"
        raise UsageError(f"--params: {what} is no JSON: {exc.msg} at {place}{_excerpt(exc)}") from None
    except (ValueError, RecursionError) as exc:
        raise UsageError(f"--params: {what} is no JSON: {exc}") from None


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number there")


def _excerpt(error: json.JSONDecodeError) -> str:
    """The place in its line, with a mark under it."""
    start = error.pos - (error.colno - 1)
    line = error.doc[start:].partition("\n")[0]
    left = max(0, error.colno - 40)  # a document may be one long line
    piece = "".join(c if c.isprintable() else " " for c in line[left : left + 78])
    return f"\n  {piece}\n  {'^':>{error.colno - left}}"


# ----------------------------------------------------------------------------------------------------------- the run


def _perform(workflow: AnyWorkflow, payload: Any, instance_id: str | None, traceback: bool) -> int:
    progress = Progress()
    try:
        try:
            output = trio.run(_result, workflow, payload, instance_id, progress)
        finally:
            progress.summarize()
    except (SystemExit, UsageError):
        raise
    except BaseException as exc:  # noqa: ASYNC103 - told to people; outside of Trio
        return _tell_failure(exc, progress, traceback)  # noqa: ASYNC104
    return _print_output(output)


async def _result(workflow: AnyWorkflow, payload: Any, instance_id: str | None, progress: Progress) -> Any:
    try:
        opening = open_run(workflow, payload, instance_id=instance_id, instruments=[progress])
    except ConfigError as exc:  # of all that is given here, only the id can be wrong
        raise UsageError(f"--id: {exc}") from None
    progress.began = trio.current_time()
    try:
        with trio.CancelScope() as scope:
            async with opening as progress.run:
                try:
                    return await progress.run.result()
                except KeyboardInterrupt as exc:
                    progress.interrupt = exc
                    scope.cancel(reason="Ctrl-C")  # so that the steps say why they stopped
    finally:
        progress.over(trio.current_time())
    assert progress.interrupt is not None
    raise progress.interrupt


def _tell_failure(error: BaseException, progress: Progress, traceback: bool) -> int:
    interrupt, rest = _without_interrupt(error)
    interrupt = interrupt or progress.interrupt  # which an error of somebody's clean-up may have replaced
    if rest is not None:
        _say(*report(rest, progress))
        if traceback:
            _say("".join(tracebacks.format_exception(rest)).rstrip())
    if interrupt is None:
        return FAILED
    _say("trioflow: interrupted", *(f"  note       {_one_line(note)}" for note in _notes(interrupt)))
    return INTERRUPTED


def _without_interrupt(error: BaseException) -> tuple[BaseException | None, BaseException | None]:
    """Ctrl-C, and what came with it."""
    if isinstance(error, BaseExceptionGroup):
        interrupt, rest = error.split(KeyboardInterrupt)
        return (interrupt, rest) if interrupt is not None else (None, error)  # `rest` would be another object
    return (error, None) if isinstance(error, KeyboardInterrupt) else (None, error)


@final
@attrs.define(eq=False)
class Progress(Instrument):
    """An instrument that prints a line per fact, and remembers who raised what."""

    #: When the run began, on Trio's clock.
    began: float = 0.0
    #: The run, once it is open.
    run: WorkflowRun[Any] | None = None
    #: Trio's KeyboardInterrupt, if Ctrl-C came while the run was waited for.
    interrupt: BaseException | None = None
    #: In the order in which they happened.
    errors: list[StepErrored] = attrs.field(factory=list, init=False)
    #: What has begun and not yet ended.
    _running: dict[tuple[tuple[str, int], ...], StepStarted] = attrs.field(factory=dict, init=False)

    @property
    def steps(self) -> Sequence[Step[Any]]:
        """What the run has declared, so far or in all."""
        return self.run.steps if self.run is not None else ()

    def step_started(self, fact: StepStarted, /) -> None:
        self._running[fact.path] = fact
        self._line("started", fact, fact.time)

    def step_completed(self, fact: StepCompleted, /) -> None:
        began = self._running.pop(fact.path, fact).time
        self._line("done", fact, fact.time, f"{fact.time - began:.3f} s")

    def step_errored(self, fact: StepErrored, /) -> None:
        self._running.pop(fact.path, None)
        self.errors.append(fact)
        self._line("failed", fact, fact.time, _describe(fact.error))

    def step_cancelled(self, fact: StepCancelled, /) -> None:
        self._running.pop(fact.path, None)
        self._line("cancelled", fact, fact.time, fact.reason)

    def over(self, time: float) -> None:
        """Print a line for each body of which nothing was heard: it ended the run, by Ctrl-C or `sys.exit`."""
        for fact in self._running.values():
            self._line("cancelled", fact, time, "the run was ended from within it")

    def _line(self, what: str, fact: StepFact, time: float, why: str = "") -> None:
        line = f"{time - self.began:8.3f}  {what:<9}  {_name(fact):<24}"
        _say(f"{line}  {_one_line(why, 120)}".rstrip())

    def summarize(self) -> None:
        """Print how many steps there were, and what became of them. Nothing if there was no run."""
        if self.run is None:
            return
        count = Counter(step.status for step in self.steps)
        total = count.total()
        failed = min(count["failed"], len({fact.path for fact in self.errors}))
        cancelled = count["cancelled"] + count["cancelling"] + count["running"]
        parts = {"done": count["succeeded"], "failed": failed, "cancelled": cancelled}
        parts["not started"] = total - sum(parts.values())  # nobody needed them, or what they needed failed
        told = ", ".join(f"{number} {what}" for what, number in parts.items() if number)
        _say(f"{total} step{'' if total == 1 else 's'}" + (f": {told}" if told else ""))


# ------------------------------------------------------------------------------------------------- why it has failed


def report(error: BaseException, progress: Progress) -> list[str]:
    """Why a run has failed, in `REPORT_LINES` lines at most.

    First the exception, the step that raised it, and the steps that needed that one, up to the one that was awaited.
    Then as there is room: the members of a group, the user's own frames, what caused it and what its notes say.
    """
    raisers = _raisers(progress)
    lines = [f"error: {_describe(error, 500)}", *_where(error, progress, raisers)]
    remarks = [f"  {line}" for line in _cut([*_causes(error, raisers), *_labelled_notes(error)], 3)]
    room = REPORT_LINES - len(lines) - len(remarks)
    members = [*_members(error)]
    if members:
        told = _cut([f"  - {_member(leaf, raisers)}" for leaf in members], room - 3)
        lines += told
        room -= len(told)
    frames = _own_frames(error)
    if len(members) == 1:
        frames += _own_frames(members[0])
    return [*lines, *_frame_lines(frames, room), *remarks]


def _raisers(progress: Progress) -> dict[int, list[StepErrored]]:
    """Who has raised an exception, by its identity: the step itself first, then those whose bodies let it through."""
    found: dict[int, list[StepErrored]] = {}
    for fact in progress.errors:
        found.setdefault(id(fact.error), []).append(fact)
    return found


def _where(error: BaseException, progress: Progress, raisers: dict[int, list[StepErrored]]) -> Iterator[str]:
    facts = raisers.get(id(error))
    if facts is None:
        return
    steps = [step for step in (_declared(fact, progress.steps) for fact in facts) if step is not None]
    place = f" ({shown(steps[0].place)})" if steps else ""
    yield f"  step       {_name(facts[0])}{place}"
    if len(chain := _chain(steps, progress.steps)) > 1:
        yield f"  needed by  {_one_line(' -> '.join(_shorten([step.name for step in chain[1:]])))}"


def _declared(fact: StepFact, steps: Sequence[Step[Any]]) -> Step[Any] | None:
    """The step that a fact is about: the latest, if a body that was run again has declared it anew."""
    return next((step for step in reversed(steps) if step.name == fact.step and step.path == fact.path), None)


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


def _causes(error: BaseException, raisers: dict[int, list[StepErrored]]) -> Iterator[str]:
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
    return (f"note       {_one_line(note)}" for note in _notes(error))


def _notes(error: BaseException) -> list[str]:
    notes = getattr(error, "__notes__", ())
    return [str(note) for note in notes] if isinstance(notes, list) else []


def _members(error: BaseException) -> Iterator[BaseException]:
    """The leaves of a group; of anything else, nothing."""
    if isinstance(error, BaseExceptionGroup):
        for member in error.exceptions:
            yield from _members(member) if isinstance(member, BaseExceptionGroup) else (member,)


def _member(error: BaseException, raisers: dict[int, list[StepErrored]]) -> str:
    """One exception in one line: what, which step, where."""
    step = [f"step {_name(raisers[id(error)][0])}"] if id(error) in raisers else []
    frame = [_place(frame) for frame in _own_frames(error)[-1:]]
    where = ", ".join(step + frame)
    return _describe(error, 120) + (f"  [{where}]" if where else "")


# ------------------------------------------------------------------------------------------------------------- frames


@functools.cache
def _not_ours() -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Where code lives that isn't the user's: what carries the run, and all that is installed."""
    machine = tuple(os.path.join(os.path.dirname(file), "") for file in (__file__, trio.__file__, outcome.__file__))
    paths = sysconfig.get_paths()
    installed = tuple(os.path.join(paths[kind], "") for kind in ("stdlib", "platstdlib", "purelib", "platlib"))
    return machine, installed


def _own_frames(error: BaseException | None) -> list[tracebacks.FrameSummary]:
    """The frames in the user's own files, outermost first; if there is none, those of the libraries."""
    if error is None:
        return []
    machine, installed = _not_ours()
    frames = [f for f in tracebacks.extract_tb(error.__traceback__) if not f.filename.startswith(("<", *machine))]
    return [frame for frame in frames if not frame.filename.startswith(installed)] or frames


def _frame_lines(frames: list[tracebacks.FrameSummary], room: int) -> list[str]:
    """Two lines each; if there isn't room, the outermost, a line that counts, and the innermost."""
    fit = room // 2
    lines = [[f"  {_place(frame)}", f"      {_one_line(frame.line or '')}"] for frame in frames]
    if len(lines) > fit:
        keep = max(1, (room - 1) // 2)
        outer = lines[:1] if keep > 1 else []
        lines = [*outer, [f"  ... {len(lines) - keep} more ..."], *lines[len(lines) - (keep - len(outer)) :]]
    return [line for pair in lines for line in pair]


def _place(frame: tracebacks.FrameSummary) -> str:
    return f"{shown(frame.filename)}:{frame.lineno} in {frame.name}"


# --------------------------------------------------------------------------------------------------------------- words


def _name(fact: StepFact) -> str:
    name = _one_line(fact.step, 60)
    return f"{name} #{fact.occurrence}" if fact.occurrence > 1 else name


def _describe(error: BaseException, limit: int = 200) -> str:
    try:
        text = str(error)
    except Exception:
        text = "(its text can't be shown)"
    return _one_line(f"{type(error).__name__}: {text}" if text else type(error).__name__, limit)


def _one_line(text: str, limit: int = 200) -> str:
    """In one line without control characters, whatever a user's name or message holds."""
    line = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in " ".join(text.split()))
    return line if len(line) <= limit else f"{line[: limit - 3]}..."


def _shorten(names: list[str]) -> list[str]:
    return names if len(names) <= 6 else [*names[:2], f"({len(names) - 4:,} more)", *names[-2:]]


def _cut(lines: list[str], room: int) -> list[str]:
    return lines if len(lines) <= room else [*lines[: room - 1], f"... and {len(lines) - room + 1:,} more"]


# ------------------------------------------------------------------------------------------------------------- streams


def _print_output(output: object) -> int:
    """The workflow's result as one line of JSON; what JSON can't hold, as Python shows it."""
    try:
        text = _encodable(json.dumps(output, ensure_ascii=False, allow_nan=False), lambda: json.dumps(output))
    except (TypeError, ValueError, RecursionError) as exc:
        _say(f"the output is {type(output).__name__} that JSON can't hold ({_one_line(str(exc))}): here is its repr()")
        text = _representation(output)
    try:
        print(text, flush=True)
    except BrokenPipeError:  # whoever read has had enough
        _hang_up(sys.stdout)
    except (OSError, ValueError) as exc:
        _hang_up(sys.stdout)
        _say(f"trioflow: the output can't be written: {exc}")
        return FAILED
    return SUCCEEDED


def _representation(output: object) -> str:
    try:
        return _encodable(repr(output), lambda: ascii(output))
    except Exception:
        return object.__repr__(output)


def _encodable(text: str, plain: Callable[[], str]) -> str:
    """The text, unless standard output is too old-fashioned for it, or it holds half a character."""
    try:
        text.encode(getattr(sys.stdout, "encoding", None) or "utf-8")
    except UnicodeEncodeError:
        return plain()
    return text


def _say(*lines: str) -> None:
    """To standard error, after what the workflow has printed so far. A reader that has gone doesn't stop a workflow."""
    for stream, text in ((sys.stdout, ()), (sys.stderr, lines)):
        if stream is None:  # closed before we began
            continue
        try:
            print(*text, sep="\n", end="\n" if text else "", file=stream, flush=True)
        except BrokenPipeError:
            _hang_up(stream)
        except (OSError, ValueError):  # a full disk, a closed file: said in the end, or nobody there to be told
            pass


def _hang_up(stream: IO[str]) -> None:
    """Let what is still written to it go nowhere, or Python itself would complain at its exit."""
    with suppress(OSError, ValueError), open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), stream.fileno())
