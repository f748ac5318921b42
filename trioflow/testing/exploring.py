"""`explore`: run a workflow in many orders, and show the shortest one in which it goes wrong.

A bad order is found by drawing: in a second, seeds cover more than anything that goes about it step by step. It is
explained by a second search. Most races take one task that comes late, so at each decision of the order that was found a
task is held back for a while, and nothing else; failing that, as many of its deviations are taken out as can be. For small
programs `Systematic` goes through all orders, or all with few deviations, those with the fewest first.

Everything is as it was in every run: time is virtual, the wall clock starts at the same moment, Python's `random` and the
jitter of retries begin with the same seed. So a seed, or a schedule as it is printed, is all that it takes to see a run
again.
"""

from __future__ import annotations

import copy
import functools
import heapq
import inspect
import itertools
import random
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Final, NoReturn, final

import attrs
import outcome

from trioflow import _step, run_workflow
from trioflow.testing.comparing import shortened, shown
from trioflow.testing.gated import gated
from trioflow.testing.schedules import Holds, Picks, Schedule, as_schedule, seeded
from trioflow.testing.timeline import Film, on_errand
from trioflow.testing.turnstile import Conduct, conduct

__all__ = ["Explored", "ScheduleError", "SingleHolds", "Systematic", "explore", "replay"]

#: How many runs may be spent on finding a short order.
SHRINKING: Final = 600
#: For how many turns of others a task is held back, at first; then as shortly as will do.
LENGTHS: Final = (1, 2, 4, 8, 32, 1_000)
#: Turns of tasks after which a run is said to go on for ever.
TURNS: Final = 100_000

Check = Callable[[Any], object]
#: Gives schedules, each with how to ask for it again, is told how each went, and returns whether there are no others.
Search = Generator[tuple[Schedule, str], Conduct, bool]


@final
class ScheduleError(AssertionError):
    """In some order of its tasks a workflow goes wrong. The message shows the order and how to see it again.

    If an exception came out, it is the cause.
    """

    def __init__(
        self,
        message: str,
        *,
        schedule: Schedule | None = None,
        seed: int | None = None,
        timeline: str = "",
        schedules: int = 0,
    ) -> None:
        super().__init__(message)
        #: The shortest order found in which it goes wrong: `replay(workflow, schedule=error.schedule)`.
        self.schedule = schedule
        #: The seed with which it was found: `explore(workflow, seed=error.seed)`. None if it wasn't found by a seed.
        self.seed = seed
        #: Who ran when, in that order.
        self.timeline = timeline
        #: How many schedules were tried, up to this one.
        self.schedules = schedules


@final
@attrs.frozen
class Explored:
    """What was looked at, and nothing was wrong."""

    #: How many runs.
    schedules: int
    #: How many of them differed in who took which turn.
    interleavings: int
    #: Whether there are no others, or none within the limit on deviations.
    complete: bool
    #: In real time.
    seconds: float

    def __str__(self) -> str:
        rest = ", which is all there are" if self.complete else ""
        return (
            f"{self.schedules:,} schedules, {self.interleavings:,} different interleavings{rest}, "
            f"{self.schedules / max(self.seconds, 1e-9):,.0f} a second"
        )


@final
@attrs.frozen
class Systematic:
    """One order after the other, those nearest to the default one first: `explore(workflow, schedules=Systematic(2))`.

    Letting the second of those who wait go first is one deviation, the third is two. With `deviations=None` all orders
    there are: their number grows very fast, so that is for two or three tasks of a few steps. After `limit` runs it ends.
    """

    deviations: int | None = None
    limit: int = 10_000

    def search(self) -> Search:
        todo: list[tuple[int, int, tuple[int, ...]]] = [(0, 0, ())]  # deviations, number, first picks
        numbers = itertools.count(1)
        runs = 0
        while todo and runs < self.limit:
            spent, _, picks = heapq.heappop(todo)
            run = yield Picks(picks), f"schedules=[{Picks(picks)}]"
            runs += 1
            for at in range(len(picks), len(run.decisions)):
                choices, _ = run.decisions[at]
                for index in range(1, choices):
                    if self.deviations is None or spent + index <= self.deviations:
                        ahead = (*picks, *(0 for _ in range(at - len(picks))), index)
                        heapq.heappush(todo, (spent + index, next(numbers), ahead))
        return not todo


@final
@attrs.frozen
class SingleHolds:
    """Every order in which one task comes late: `explore(workflow, schedules=SingleHolds())`.

    At each decision of the default order one is held back, for one turn of others, for two, four and so on. That finds all
    that goes wrong because of one late task, in a number of runs that grows with the length of a run, no faster.
    """

    lengths: tuple[int, ...] = LENGTHS

    def search(self) -> Search:
        default = yield Holds(), "seed=0"
        for length in self.lengths:
            for at in range(len(default.decisions)):
                hold = Holds([(at, length)])
                yield hold, f"schedules=[{hold}]"
        return True


def _in_turn(schedules: Iterable[tuple[Schedule, str]]) -> Search:
    yield from schedules
    return False


def _search(schedules: int | Systematic | SingleHolds | Iterable[Schedule | int], seed: int | None) -> Search:
    if seed is not None:
        return _in_turn((seeded(s), f"seed={s}") for s in (0, seed))
    if isinstance(schedules, Systematic | SingleHolds):
        return schedules.search()
    if isinstance(schedules, int):
        if schedules < 1:
            raise ValueError(f"schedules={schedules} runs nothing: say how many, 1 or more")
        return _in_turn((seeded(s), f"seed={s}") for s in range(schedules))
    given = [as_schedule(s) for s in schedules]
    return _in_turn((s, f"schedules=[{s!r}]") for s in [Holds(), *given])


# -------------------------------------------------------------------------------------------------------- what is run


@final
@attrs.frozen
class Program:
    """What is run, again and again."""

    workflow: Any
    #: Not any async function.
    is_workflow: bool
    params: object
    env: object
    fair: bool
    turns: int

    @property
    def name(self) -> str:
        return getattr(self.workflow, "__name__", type(self.workflow).__name__)

    def run(self, schedule: Schedule, film: Film | None = None) -> Conduct:
        options: dict[str, Any] = {"fair": self.fair, "limit": self.turns, "watcher": film}
        body, name = self.workflow, self.name
        if self.is_workflow:
            log: dict[str, Any] = {} if film is None else {"log": film.log}
            workflow = gated(self.workflow, env=self.env, **log)
            body, name = functools.partial(run_workflow, workflow, copied(self.params), instance_id="explored"), "run"
            options["errand"] = on_errand  # who brings bodies to their gates: that order makes no difference
        with _same_chance():
            return conduct(body, schedule, name=name, **options)


def program(workflow: Any, params: object, env: object, fair: bool, turns: int) -> Program:
    if not callable(workflow):
        raise TypeError(f"{workflow!r} can't be run: give a workflow, or an async function without arguments")
    is_one = is_workflow(workflow)
    if not is_one and (params is not None or env is not None):
        raise TypeError(f"{workflow!r} takes no arguments, so it can't be given params or env: a workflow could")
    return Program(workflow, is_one, params, env, fair, turns)


def is_workflow(what: Any) -> bool:
    """A class, or what can't be called without arguments."""
    if inspect.isclass(what):
        return True
    try:
        inspect.signature(what).bind()
    except TypeError:
        return True
    except ValueError:  # it doesn't tell
        return False
    return False


def copied(params: object) -> object:
    """Params of a run's own: what one does to them is nothing to the next."""
    try:
        return copy.deepcopy(params)
    except Exception as exc:
        raise TypeError(f"params have to be copied for each run, and these can't be: {exc}") from exc


@contextmanager
def same_jitter() -> Iterator[None]:
    """The jitter of retries is the same in every run."""
    before = _step.chance.getstate()
    _step.chance.seed(0)
    try:
        yield
    finally:
        _step.chance.setstate(before)


@contextmanager
def _same_chance() -> Iterator[None]:
    """And so is what Python's own `random` gives."""
    before = random.getstate()
    random.seed(0)
    try:
        with same_jitter():
            yield
    finally:
        random.setstate(before)


# --------------------------------------------------------------------------------------------------- what is right


@final
@attrs.frozen(eq=False)
class Wrong:
    """What is wrong with a run."""

    #: Of one kind are those that have the same cause, probably.
    kind: str
    text: str
    error: BaseException | None = None


@final
@attrs.define(eq=False)
class Judge:
    """Says what is wrong with a run, if anything: by itself, or beside the first."""

    check: Check | None
    same: bool
    allow: tuple[type[BaseException], ...]
    first: str | None = None

    def wrong(self, run: Conduct) -> Wrong | None:
        if isinstance(run.outcome, outcome.Error):
            error = run.outcome.error
            if not isinstance(error, Exception):
                raise error
            if not isinstance(error, self.allow):
                return Wrong(type(error).__name__, f"{type(error).__name__}: {error}", error)
            text = f"raises {shown(error)}"
        else:
            value = run.outcome.unwrap()
            text = f"returns {shown(value, ordered=False)}"
            wrong = self.checked(value)
            if wrong is not None:
                return wrong
        if self.first is None:
            self.first = text
        if self.same and text != self.first:
            return Wrong("differs", f"it {_cut(text)}, but {_cut(self.first)} in the default order")
        return None

    def checked(self, value: Any) -> Wrong | None:
        if self.check is None:
            return None
        try:
            verdict = self.check(value)
        except Exception as exc:
            return Wrong("check", f"check({shortened(value)}) raises {type(exc).__name__}: {exc}", exc)
        return Wrong("check", f"check({shortened(value)}) is False") if verdict is False else None


def _cut(text: str) -> str:
    return text if len(text) <= 200 else f"{text[:200]}…"


# ------------------------------------------------------------------------------------------------------- the search


def explore(
    workflow: Any,
    params: object = None,
    *,
    schedules: int | Systematic | SingleHolds | Iterable[Schedule | int] = 200,
    seed: int | None = None,
    check: Check | None = None,
    same: bool = True,
    allow: type[BaseException] | tuple[type[BaseException], ...] = (),
    env: object = None,
    fair: bool = False,
    turns: int = TURNS,
) -> Explored:
    """Run a workflow in many orders of its tasks, in virtual time, and raise if it goes wrong in one of them.

    Wrong is an exception, a `check` that fails, a result that depends on the order, a program that is stuck, and one that
    doesn't end. Not async: it brings `trio.run` along. The same call does the same every time.

    >>> async def gather(event, step):
    ...     names = []
    ...     ann = step.do("ann")(lambda: names.append("ann"))
    ...     bob = step.do("bob")(lambda: names.append("bob"))
    ...     await step.do("both", depends=[ann, bob], concurrent=True)(lambda ann, bob: None)()
    ...     return names
    >>> try:
    ...     explore(gather)
    ... except ScheduleError as error:
    ...     print(str(error).partition(": ")[2].splitlines()[0])
    ...     print(error.schedule)
    it returns ['bob', 'ann'], but returns ['ann', 'bob'] in the default order
    Holds([(0, 1)])

    Each body begins with a checkpoint (`gated`), so that steps that are ready together may begin in any order. At one
    moment of virtual time everything that can happen may happen in any order; a moment is over when nobody can go on.

    Args:
        workflow: A workflow's class or function, as for `run_workflow`; or any async function without arguments, which
            may run workflows by itself: `gated` then puts their bodies under the schedule, too.
        params: The workflow's.
        schedules: How many to draw; or `Systematic(…)` or `SingleHolds()`; or those to be tried, as `[Holds([(3, 5)])]`.
        seed: Try this one only, as an error has named it.
        check: Is called with each result. Wrong is one that makes it raise, or return False.
        same: Whether the results have to be the same in every order. Objects are compared by what they consist of.
        allow: Exceptions that are a result like any other.
        env: `self.env` of a workflow's class.
        fair: Only those orders that Trio may come to by itself, in which all that wait take a turn before any takes a
            second. Otherwise a checkpoint may take as long as others have something to do at that moment, as
            reading from a disk or a socket would.
        turns: Of tasks, after which a run is said not to end.

    Raises:
        ScheduleError: it goes wrong. It shows the shortest such order that was found, and how to see it again.
    """
    judge = Judge(check, same, allow if isinstance(allow, tuple) else (allow,))
    return _tried(program(workflow, params, env, fair, turns), judge, _search(schedules, seed))


def _tried(run_it: Program, judge: Judge, search: Search) -> Explored:
    """Run it under each schedule of the search, up to the first that goes wrong."""
    began = time.perf_counter()
    seen: set[tuple[int, ...]] = set()
    count = 0
    try:
        schedule, again = next(search)
        while True:
            run = run_it.run(schedule)
            count += 1
            seen.add(tuple(run.turns))
            wrong = judge.wrong(run)
            if wrong is not None:
                _report(run_it, judge, wrong, run, schedule, again, count)
            schedule, again = search.send(run)
    except StopIteration as stop:
        return Explored(count, len(seen), stop.value is True, time.perf_counter() - began)


def replay(
    workflow: Any,
    params: object = None,
    *,
    schedule: Schedule | int = 0,
    env: object = None,
    fair: bool = False,
    turns: int = TURNS,
) -> Any:
    """Run a workflow, or any async function, once under a schedule or a seed, in virtual time; return its result.

    For properties, together with `strategies.schedules()`. The arguments are those of `explore`.

    Raises:
        Exception: what the program raises, that very object, with the order in which it came to that as a note.
    """
    run_it = program(workflow, params, env, fair, turns)
    schedule = as_schedule(schedule)
    film = Film()
    run = run_it.run(schedule, film)
    if isinstance(run.outcome, outcome.Error):
        run.outcome.error.add_note(f"under the schedule {schedule!r}:\n{film}")
    return run.outcome.unwrap()


def _report(
    run_it: Program, judge: Judge, wrong: Wrong, run: Conduct, schedule: Schedule, again: str, count: int
) -> NoReturn:
    """Raise the error, with the shortest order there is to be had."""
    seed = int(again.removeprefix("seed=")) if again.startswith("seed=") else None

    def attempt(other: Schedule) -> tuple[Conduct, bool]:
        other_run = run_it.run(other)
        other_wrong = judge.wrong(other_run)
        return other_run, other_wrong is not None and other_wrong.kind == wrong.kind

    if not attempt(schedule)[1]:
        raise ScheduleError(
            f"{run_it.name} has gone wrong ({wrong.text}), and doesn't when it is run again in the same order ({again}): "
            "something else than the order decides; `deterministic` may find out what",
            schedule=schedule, seed=seed, schedules=count,
        ) from wrong.error  # fmt: skip
    shortest = shortest_order(attempt, run, schedule)
    film = Film()
    last = judge.wrong(run_it.run(shortest, film)) or wrong
    where = "in the default order of its tasks" if shortest == Holds() else "in an order of its tasks"
    raise ScheduleError(
        f"{run_it.name} goes wrong {where} (schedule {count}): {last.text}\n{film}\n"
        f"explore(…, {again}) finds it again, replay(…, schedule={shortest!r}) runs it",
        schedule=shortest, seed=seed, timeline=str(film), schedules=count,
    ) from last.error  # fmt: skip


def shortest_order(attempt: Callable[[Schedule], tuple[Conduct, bool]], run: Conduct, found: Schedule) -> Schedule:
    """The schedule with the fewest deviations that goes wrong in the same way, of those that can be tried in passing."""
    default, wrong = attempt(Holds())
    if wrong:
        return Holds()
    tries = [(at, length) for length in LENGTHS for at in range(len(default.decisions))]
    for at, most in tries[:SHRINKING]:
        if attempt(Holds([(at, most)]))[1]:
            shorter = (Holds([(at, length)]) for length in range(most // 2 + 1, most))
            return next((hold for hold in shorter if attempt(hold)[1]), Holds([(at, most)]))
    return fewer_deviations(attempt, run) or found


def fewer_deviations(attempt: Callable[[Schedule], tuple[Conduct, bool]], run: Conduct) -> Schedule | None:
    """What was chosen at each decision, with the default instead wherever that makes no difference."""
    picks, left = [index for _, index in run.decisions], SHRINKING
    if not attempt(Picks(picks))[1]:
        return None  # it wasn't decided one by one: somebody's own schedule
    size = len(picks)
    while size:
        for start in range(0, len(picks), size):
            fewer = [*picks[:start], *(0 for _ in picks[start : start + size]), *picks[start + size :]]
            if fewer != picks and left:
                left -= 1
                picks = fewer if attempt(Picks(fewer))[1] else picks
        size //= 2
    while picks and not picks[-1]:
        picks.pop()
    return Picks(picks)
