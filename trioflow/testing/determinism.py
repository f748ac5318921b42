"""Is a workflow deterministic? Run it again in the same order, and compare all that can be seen of it.

A durable run is replayed: after a crash the workflow's function is called again, and has to declare the same steps and come to
the same end. What may not decide is chance, a clock, the order of a set, where in memory something is, what an
earlier run has left behind, or which step happened to be finished first. `deterministic` runs a workflow several times as
a replay would: in one order, then in others, and in fresh processes that hash texts differently if asked to. It says where a
run first differs from the first one.

It sees what a run shows: declarations, what bodies receive, return and raise, when, and the result. A workflow that reads the
day of the week is found out on another day.
"""

from __future__ import annotations

import functools
import multiprocessing
import os
import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import takewhile
from multiprocessing.connection import Connection
from types import SimpleNamespace
from typing import Any, Final, final

import attrs
import outcome
import trio

from trioflow import abc, run_workflow
from trioflow._run import Run
from trioflow._step import Step
from trioflow._watchers import FACTS
from trioflow.testing.comparing import shown
from trioflow.testing.exploring import TURNS, copied, is_workflow, same_jitter
from trioflow.testing.gated import gated
from trioflow.testing.schedules import Schedule, as_schedule, seeded
from trioflow.testing.timeline import on_errand
from trioflow.testing.turnstile import conduct

__all__ = ["DeterminismError", "Deterministic", "deterministic"]

#: What a fact says that is no concern of the workflow's, or is said elsewhere in the line.
_LEFT_OUT: Final = frozenset(
    {"instance_id", "time", "path", "step", "occurrence", "timestamp", "depends", "concurrent", "config"}
)
#: Lines before the first difference that an error shows.
_CONTEXT: Final = 5
#: How much of a long line it shows, and how much of that before the difference.
_WIDTH: Final = 160
_BEFORE: Final = 40


@final
class DeterminismError(AssertionError):
    """Two runs of a workflow differ that should be the same. The message says where first."""

    def __init__(self, message: str, *, run: str = "", expected: str | None = None, came: str | None = None) -> None:
        super().__init__(message)
        #: Which run differs from the first, in words.
        self.run = run
        #: What the first run did there; None if it had ended.
        self.expected = expected
        #: What this one did there; None if it had ended.
        self.came = came


@final
@attrs.frozen
class Deterministic:
    """What was compared, and no difference was found."""

    #: How many runs, all in all.
    runs: int
    #: How many things were seen in each that could have differed.
    observations: int


@final
@attrs.frozen
class Seen:
    """All that can be seen of a run, as texts."""

    #: In order, for runs in one order.
    lines: list[str]
    #: What has to be the same in any order, by what it is about: declarations and results.
    anyway: dict[str, str]


@final
@attrs.frozen
class _Case:
    """A workflow, and how it is run."""

    workflow: Any
    params: object
    env: object
    turns: int

    def run(self, schedule: Schedule) -> Seen:
        runs: list[Run] = []
        lines: list[str] = []

        def log(what: str, detail: Any = None) -> None:
            if what == "begins":
                given = [*map(shown, detail[0]), *(f"{name}={shown(value)}" for name, value in detail[1].items())]
                lines.append(f"step {trio.lowlevel.current_task().name!r} is called with ({', '.join(given)})")

        def keep(fact: abc.Fact) -> None:
            lines.append(_told(fact))

        workflow = gated(self.workflow, env=self.env, log=log, seen=runs.append)
        instrument: Any = SimpleNamespace(**dict.fromkeys(FACTS, keep))
        body = functools.partial(
            run_workflow, workflow, copied(self.params), instance_id="checked", instruments=[instrument]
        )
        with same_jitter():
            end = conduct(body, schedule, name="run", fair=False, limit=self.turns, errand=on_errand)
        result = _result(end.outcome)
        steps = [step for run in runs for step in run.steps]
        return Seen(
            [*map(_declared, steps), *lines, f"at {end.seconds!r}: the run {result}"],
            {**{f"step {_named(step.path)}": _settled(step) for step in steps}, "the run": result},
        )


def _named(path: abc.Path) -> str:
    return " / ".join(repr(name) if n == 1 else f"{name!r} #{n}" for name, n in path)


def _declared(step: Step[Any]) -> str:
    needs = ", ".join(_named(d.path) for d in step.dependencies) or "nothing"
    at_once = " at once" if step.together and len(step.dependencies) > 1 else ""
    config = f", with {shown(step.config)}" if step.config is not None else ""
    return f"step {_named(step.path)} is declared, and needs {needs}{at_once}{config}"


def _settled(step: Step[Any]) -> str:
    """What has to be so whatever the order: not whether it was begun at all, or was stopped in time."""
    needs = ", ".join(_named(d.path) for d in step.dependencies) or "nothing"
    value = f", gives {shown(step.value)}" if step.status == "succeeded" else ""
    return f"needs {needs}{value}"


def _told(fact: abc.Fact) -> str:
    says = ", ".join(
        f"{field.name}={shown(getattr(fact, field.name))}"
        for field in attrs.fields(type(fact))
        if field.name not in _LEFT_OUT
    )
    about = f" {_named(fact.path)}" if isinstance(fact, abc.StepFact) else ""
    return f"at {fact.time!r}: {type(fact).__name__}{about}: {says}".removesuffix(": ")


def _result(end: outcome.Outcome[Any]) -> str:
    if isinstance(end, outcome.Value):
        return f"returns {shown(end.value)}"
    assert isinstance(end, outcome.Error)
    if not isinstance(end.error, Exception):
        raise end.error
    return f"raises {shown(end.error)}"


def deterministic(
    workflow: Any,
    params: object = None,
    *,
    env: object = None,
    runs: int = 3,
    schedule: Schedule | int = 0,
    orders: int = 10,
    processes: int = 0,
    turns: int = TURNS,
) -> Deterministic:
    """Run a workflow several times, in virtual time, and raise if a run differs from the first.

    Not async: it brings `trio.run` along. An exception that comes out of the workflow is a result like any other.

    >>> import random
    >>> async def charge(event, step):
    ...     @step.do(f"charge {random.random()}")
    ...     def charge():
    ...         return "paid"
    ...
    ...     return await charge()
    >>> try:
    ...     deterministic(charge)
    ... except DeterminismError as error:
    ...     print(error.run)
    run 2, in the same order,

    Args:
        workflow: A workflow's class or function, as for `run_workflow`.
        params: The workflow's; each run gets a copy.
        env: `self.env` of a workflow's class.
        runs: How often in the same order: everything has to be the same.
        schedule: That order, as a schedule or a seed.
        orders: In how many others: only what is declared has to be the same, what steps return, and the result.
        processes: How many runs in processes of their own, each with its own hashes for texts and its own memory. That
            finds what depends on the order of a set, and takes about a second each. The workflow has to be one that
            can be imported, and `params` and `env` to be picklable.
        turns: Of tasks, after which a run is broken off.

    Raises:
        DeterminismError: two runs differ.
    """
    if not callable(workflow) or not is_workflow(workflow):
        raise TypeError(f"{workflow!r} is no workflow: give a class with run(self, event, step), or a function like it")
    if runs < 1 or runs + orders + processes < 2:
        raise ValueError(f"runs={runs}, orders={orders}, processes={processes}: there is nothing to compare")
    case = _Case(workflow, params, env, turns)
    order = as_schedule(schedule)
    first = case.run(order)
    ballast: list[object] = []
    for number in range(2, runs + 1):
        ballast += ([i] for i in range(997 * number))  # or new objects would be where those of the first run were
        _compare(first, case.run(order), f"run {number}, in the same order,")
    for number in range(1, processes + 1):
        _compare(first, _elsewhere(case, order, number), f"a run in another process, with PYTHONHASHSEED={number},")
    for seed in range(1, orders + 1):
        _compare_anyway(first, case.run(seeded(seed)), f"a run in another order, seed={seed},")
    return Deterministic(runs + orders + processes, len(first.lines))


def _compare(first: Seen, other: Seen, run: str) -> None:
    for at in range(max(len(first.lines), len(other.lines))):
        expected = first.lines[at] if at < len(first.lines) else None
        came = other.lines[at] if at < len(other.lines) else None
        if expected != came:
            before = "".join(f"\n    {_window(line, 0)}" for line in first.lines[max(0, at - _CONTEXT) : at])
            raise _difference(run, expected, came, f"\n  both before that:{before}" if before else "")


def _compare_anyway(first: Seen, other: Seen, run: str) -> None:
    for about in dict.fromkeys([*first.anyway, *other.anyway]):
        expected, came = first.anyway.get(about), other.anyway.get(about)
        if expected != came and not _only_unsettled(expected, came):
            raise _difference(run, f"{about} {expected}" if expected else None, f"{about} {came}" if came else None, "")


def _only_unsettled(expected: str | None, came: str | None) -> bool:
    """Whether one is the other without what the step gives: it was stopped in time, or never begun."""
    if expected is None or came is None or (", gives " in expected) is (", gives " in came):
        return False
    shorter, longer = sorted((expected, came), key=len)
    return longer.startswith(f"{shorter}, gives ")


def _difference(run: str, expected: str | None, came: str | None, before: str) -> DeterminismError:
    same = len(list(takewhile(lambda pair: pair[0] == pair[1], zip(expected or "", came or "", strict=False))))
    start = same - _BEFORE if same > 2 * _BEFORE else 0
    texts = ["nothing more" if text is None else _window(text, start) for text in (expected, came)]
    return DeterminismError(
        f"{run} differs from the first\n  expected: {texts[0]}\n  came:     {texts[1]}{before}",
        run=run, expected=expected, came=came,
    )  # fmt: skip


def _window(text: str, start: int) -> str:
    """The part of a text where it begins to differ."""
    end = start + _WIDTH
    return ("…" if start else "") + text[start:end] + ("…" if end < len(text) else "")


# ----------------------------------------------------------------------------------------------- in another process


def _elsewhere(case: _Case, schedule: Schedule, hash_seed: int) -> Seen:
    spawning = multiprocessing.get_context("spawn")
    try:
        package = pickle.dumps((case, schedule))
    except (pickle.PicklingError, AttributeError, TypeError) as exc:
        raise TypeError(
            f"processes= needs a workflow that another process can import, and params and env that can be pickled: {exc}"
        ) from None
    mine, its = spawning.Pipe()
    with mine, _hashing_with(hash_seed):
        process = spawning.Process(target=_serve, args=(its, package))
        process.start()
        its.close()
        try:
            seen = mine.recv()
        except EOFError:
            process.join()
            raise RuntimeError(
                f"the process for PYTHONHASHSEED={hash_seed} has ended with {process.exitcode}"
            ) from None
        process.join()
    process.close()
    if isinstance(seen, BaseException):
        raise seen
    assert isinstance(seen, Seen)
    return seen


def _serve(connection: Connection, package: bytes) -> None:
    """In the other process."""
    with connection:
        try:
            case, schedule = pickle.loads(package)
            connection.send(case.run(schedule))
        except Exception as exc:
            connection.send(RuntimeError(f"in another process: {exc!r}"))


@contextmanager
def _hashing_with(seed: int) -> Iterator[None]:
    before = os.environ.get("PYTHONHASHSEED")
    os.environ["PYTHONHASHSEED"] = str(seed)
    try:
        yield
    finally:
        if before is None:
            del os.environ["PYTHONHASHSEED"]
        else:
            os.environ["PYTHONHASHSEED"] = before
