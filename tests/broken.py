"""Runtimes that are broken, each in one way, as subtly as somebody might who writes the real one: the kit catches all.

    python -m tests.broken                        how many examples it takes to catch each, and how small the culprit gets
    python -m tests.broken --only Eager naive     only these
    python -m tests.broken --show naive           the smallest workflow that shows it, as a call, and what `check` says
    python -m tests.broken --seeds 9 --json       more searches for each; the numbers for a program

What is drawn is what everybody gets who uses the kit: `dags(inner=True)` and `seeds()`, no search knows what it looks for.
Each runtime is searched several times, from different seeds of Hypothesis. Beside it `random_dag` looks for the same without
Hypothesis. Hypothesis then shrinks what it has found, and `minimal` goes on from there, one piece of the graph at a time.

Those that are named after a letter are the defects of Cloudflare's own runtime, one at a time, and `Original` is all of them
together. Where a cycle or an object that dependents share is the matter, a `DagSpec` can't say it:
`agreement/test_promises` shows that those are found, too.
"""

from __future__ import annotations

import argparse
import contextlib
import copy
import json
import math
import random
import statistics
import sys
import time
import warnings
from collections.abc import Awaitable, Callable, Iterable, Iterator
from typing import Any, Final, TypeVar

import attrs
import trio
from hypothesis import HealthCheck, Phase, find, settings
from hypothesis import strategies as st
from hypothesis.errors import Flaky, HypothesisWarning, NoSuchExample

import trioflow
from tests.reference import Cell, Reference, Runtime, Waiter, runtime
from trioflow.testing import BodyError, DagSpec, Demand, Node, check, run_dag
from trioflow.testing.strategies import dags, random_dag, seeds

BROKEN: list[type[Reference]] = []


def broken(kind: type[Reference]) -> type[Reference]:
    BROKEN.append(kind)
    return kind


@broken
class SiblingsAreNotCancelled(Reference):
    def wants_of(self, cell: Cell) -> list[Cell]:
        return cell.dependencies


@broken
class ErrorOvertakesCleanUp(Reference):
    def to_wait_for(self, cell: Cell) -> set[Cell]:
        return set()


@broken
class FailureClimbsLevelByLevel(Reference):
    def dooms(self, dependency: Cell) -> bool:
        return dependency.phase == "error"


@broken
class TimeoutTakesTheBodyAlong(Reference):
    async def leave(self, waiter: Waiter) -> None:
        if waiter.cell.phase == "running":
            waiter.cell.phase = "stopping"
            waiter.cell.scope.cancel()
        await super().leave(waiter)


@broken
class BodyOutlivesItsWaiter(Reference):
    async def leave(self, waiter: Waiter) -> None:
        pass


@broken
class LeavesBeforeTheCleanUp(Reference):
    async def leave(self, waiter: Waiter) -> None:
        waiter.wants = False
        self.waiters.remove(waiter)
        self.react()


@broken
class LeavesWithTheLastOne(Reference):
    async def leave(self, waiter: Waiter) -> None:
        waiter.wants = False
        self.react()
        if waiter in self.waiters and waiter.cell.phase in ("running", "stopping", "leaving", "doomed"):
            with trio.CancelScope(shield=True):
                await waiter.told.wait()


@broken
class Eager(Reference):
    def roots(self) -> Iterable[Cell]:
        return self.cells


@broken
class SequentialIsConcurrent(Reference):
    def turn(self, cell: Cell) -> list[Cell]:
        return cell.missing


@broken
class ConcurrentIsSequential(Reference):
    def turn(self, cell: Cell) -> list[Cell]:
        return cell.missing[:1]


@broken
class LastInSequenceFirst(Reference):
    def turn(self, cell: Cell) -> list[Cell]:
        return cell.missing if cell.concurrent else cell.missing[-1:]


@broken
class WantsOnlyWhatHasItsTurn(Reference):
    def wants_of(self, cell: Cell) -> list[Cell]:
        return [] if cell.phase == "doomed" else self.turn(cell)


@broken
class FailureInAGroup(Reference):
    def give(self, cell: Cell) -> Any:
        if cell.phase == "error":
            raise ExceptionGroup("a dependency failed", [cell.outcome])
        return super().give(cell)


@broken
class FailureIsCopied(Reference):
    def give(self, cell: Cell) -> Any:
        if cell.phase == "error":
            raise BodyError(*cell.outcome.args)
        return super().give(cell)


@broken
class FailureIsForgotten(Reference):
    def out(self, cell: Cell, phase: str) -> None:
        super().out(cell, phase)
        if phase == "error" and not self.waiters:
            cell.phase = "idle"


@broken
class LastFailureWins(Reference):
    def over(self, cell: Cell, phase: str) -> None:
        cell.order = -cell.order
        super().over(cell, phase)


@broken
class OutcomeOfACancelledBodyIsDropped(Reference):
    def over(self, cell: Cell, phase: str) -> None:
        super().over(cell, "idle" if cell.phase == "stopping" else phase)


@broken
class ArgumentsTheWrongWayRound(Reference):
    def arguments(self, cell: Cell) -> list[Any]:
        return super().arguments(cell)[::-1]


@broken
class StartsBeforeItsDependencies(Reference):
    def begin(self) -> None:
        super().begin()
        for cell in self.begun:
            if cell.phase == "idle" and len(cell.missing) == 1 and cell.missing[0].phase == "running":
                cell.phase = "queued"
                self.nursery.start_soon(self.run, cell)


@broken
class StartsAfreshBeforeItIsGone(Reference):
    def begin(self) -> None:
        for cell in self.cells:
            if cell.phase == "stopping" and cell in self.roots():
                cell.phase = "idle"
        super().begin()


@broken
class ClosingForgetsStrangers(Reference):
    def close(self) -> None:
        self.closed = True


@broken
class ClosingDoesNotStopBodies(Reference):
    def drop(self, gone: set[Cell]) -> None:
        if not self.closed:
            super().drop(gone)


@broken
class DawdlesBetweenSteps(Reference):
    def over(self, cell: Cell, phase: str) -> None:
        if phase == "value" and len(cell.dependencies) == 2:
            self.nursery.start_soon(self.later, cell)
        else:
            super().over(cell, phase)

    async def later(self, cell: Cell) -> None:
        with trio.CancelScope(shield=True):
            await trio.sleep(0.5)
        super().over(cell, "value")
        self.react()


@broken
class ClosedOnTheFirstAnswer(Reference):
    async def ask(self, cell: Cell) -> Any:
        await super().ask(cell)
        raise trioflow.RunClosedError("too early")


@broken
class RunsOnWhenItIsOver(Reference):
    def close(self) -> None:
        super().close()
        for cell in self.cells[:1]:
            trio.lowlevel.spawn_system_task(self.run, cell)
            cell.phase = "queued"


@broken
class ValuesAreCopied(Reference):
    def arguments(self, cell: Cell) -> list[Any]:
        return [copy.copy(value) for value in super().arguments(cell)]


@broken
class OneAttemptLess(Reference):
    def may_retry(self, cell: Cell, number: int, error: Exception) -> bool:
        return super().may_retry(cell, number + 1, error)


@broken
class TriesAgainWhatIsFinal(Reference):
    def may_retry(self, cell: Cell, number: int, error: Exception) -> bool:
        return super().may_retry(cell, number, BodyError())


@broken
class EveryAttemptIsTheFirst(Reference):
    def context(self, cell: Cell, number: int) -> dict[str, Any]:
        return super().context(cell, 1)


# ------------------------------------------------------------------- the defects of the original, one at a time


def another(cell: Cell) -> Cell:
    """A second cell for the same step, which nobody has begun."""
    twin = copy.copy(cell)
    twin.phase, twin.waits, twin.outcome, twin.order, twin.late = "idle", set(), None, math.inf, False
    twin.dependencies = list(cell.dependencies)
    return twin


@broken
class AEntersTheTableLate(Reference):
    """What still waits for its own dependencies isn't in the table: whoever needs it then begins it once more."""

    def __init__(self, nursery: trio.Nursery) -> None:
        super().__init__(nursery)
        self.begun_by: dict[Cell, Cell] = {}

    def turn(self, cell: Cell) -> list[Cell]:
        for d in super().turn(cell):
            first = self.begun_by.setdefault(d, cell)
            if first is not cell and first in self.want and d.phase == "idle" and d.missing:
                twin = another(d)
                self.begun_by[twin] = cell
                self.cells.insert(self.cells.index(d) + 1, twin)
                cell.dependencies = [twin if other is d else other for other in cell.dependencies]
        return super().turn(cell)


@broken
class BSiblingsGoOn(Reference):
    """When one of several dependencies has failed, the bodies of the others work on for nobody."""

    def drop(self, gone: set[Cell]) -> None:
        failed = [cell for cell in self.cells if cell.phase in ("doomed", "error")]
        super().drop({cell for cell in gone if not any(cell in other.dependencies for other in failed)})


@broken
class BFailuresAreRunAgain(Reference):
    """A failure is never remembered: the next await runs all that has failed once more."""

    async def ask(self, cell: Cell) -> Any:
        for other in self.cells:
            if cell.phase == "error" and other.phase == "error":
                other.phase, other.outcome, other.order = "idle", None, math.inf
        return await super().ask(cell)


@broken
class CNamesAreKeys(Reference):
    """Outcomes are kept by the step's name: a second step of that name never runs."""

    def out(self, cell: Cell, phase: str) -> None:
        super().out(cell, phase)
        for other in self.cells:
            if phase == "value" and other.name == cell.name and other.phase == "idle":
                other.phase, other.outcome = "value", cell.outcome


class DRecursesAlongAChain(Reference):
    """Four frames a step, as there: a chain of 246 is a RecursionError."""

    def find_wanted(self) -> set[Cell]:
        seen: set[Cell] = set()

        def call(cell: Cell) -> None:
            if not cell.settled and cell not in seen:
                seen.add(cell)
                gather(self.wants_of(cell))

        def gather(cells: list[Cell]) -> None:
            for cell in cells:
                resolve(cell)

        def resolve(cell: Cell) -> None:
            execute(cell)

        def execute(cell: Cell) -> None:
            call(cell)

        gather(list(self.roots()))
        return seen


@broken
class EEveryAwaitIsAnExecution(Reference):
    """Awaited directly, a step runs, whether it has an outcome or is under way."""

    async def ask(self, cell: Cell) -> Any:
        if cell.phase != "value" and cell not in self.want:
            return await super().ask(cell)
        twin = another(cell)
        self.cells.insert(self.cells.index(cell) + 1, twin)
        return await super().ask(twin)


@broken
class FOneWhoLeavesTakesSharedStepsAlong(Reference):
    """A waiter that is cancelled cancels what its step waits for, whoever else needs that."""

    async def leave(self, waiter: Waiter) -> None:
        below = [waiter.cell]
        for cell in below:
            below += [d for d in cell.missing if d not in below]
            if cell.phase == "running":
                cell.phase = "stopping"
                cell.scope.cancel()
        await super().leave(waiter)


class Original(Reference):
    """Cloudflare's own way, on Trio: a memo, a table of what is in flight, and a task for each who resolves dependencies."""

    def __init__(self, nursery: trio.Nursery) -> None:
        super().__init__(nursery)
        self.memo: dict[Cell, Any] = {}
        self.in_flight: dict[Cell, Flight] = {}

    def by_name(self, fn: Callable[..., Any]) -> list[Cell]:
        """Found out when the step is called: see `needs`."""
        return []

    def needs(self, cell: Cell) -> list[Cell]:
        names = {other.name: other for other in self.cells}
        found = [names[p] for p in cell.fn.__signature__.parameters if p in names]  # type: ignore[attr-defined]
        return cell.dependencies or found

    async def ask(self, cell: Cell) -> Any:
        """E: an execution for every await."""
        if cell.concurrent:
            await self.gather([d for d in self.needs(cell) if d not in self.memo])
        else:
            for d in self.needs(cell):
                await self.resolve(d)
        flight = self.in_flight[cell] = Flight()  # A: only now, so that whoever came before has begun it, too
        self.nursery.start_soon(self.fly, cell, flight)
        self.memo[cell] = await self.arrival(flight)
        return self.memo[cell]

    async def resolve(self, cell: Cell) -> None:
        """B: a failure is in neither table."""
        if cell in self.in_flight:
            await self.arrival(self.in_flight[cell])
        elif cell not in self.memo:
            await self.ask(cell)

    async def gather(self, cells: list[Cell]) -> None:
        """B: the first failure is raised at once, and the others go on."""
        flights = [Flight() for _ in cells]
        for cell, flight in zip(cells, flights, strict=True):
            self.nursery.start_soon(self.fly, cell, flight, self.resolve)
        for flight in flights:
            await self.arrival(flight)

    async def fly(self, cell: Cell, flight: Flight, way: Callable[[Cell], Awaitable[Any]] | None = None) -> None:
        flight.error = RuntimeError("cancelled by somebody else")
        with flight.scope:
            try:
                flight.value = await (way or self.body)(cell)
                flight.error = None
            except Exception as exc:
                flight.error = exc
        if self.in_flight.get(cell) is flight:
            del self.in_flight[cell]
        flight.over.set()

    async def body(self, cell: Cell) -> Any:
        outcome = cell.fn(*(self.memo[d] for d in self.needs(cell)), **self.context(cell, 1))
        return await outcome if hasattr(outcome, "__await__") else outcome

    async def arrival(self, flight: Flight) -> Any:
        """F: whoever waits and is cancelled takes the flight along."""
        try:
            await flight.over.wait()
        except trio.Cancelled:
            flight.scope.cancel()
            raise
        if flight.error is not None:
            raise flight.error
        return flight.value


@attrs.define(eq=False)
class Flight:
    """What asyncio calls a task."""

    over: trio.Event = attrs.Factory(trio.Event)
    scope: trio.CancelScope = attrs.Factory(trio.CancelScope)
    value: Any = None
    error: Exception | None = None


async def naive(workflow: Callable[..., Awaitable[Any]], params: object = None) -> Any:
    """What one writes first: everybody resolves what he needs in his own task. So did the original."""

    class Naive(Reference):
        async def ask(self, cell: Cell) -> Any:
            if not cell.settled:
                await self.resolve(cell)
            return self.give(cell)

        async def resolve(self, cell: Cell) -> None:
            if cell.concurrent:
                async with trio.open_nursery() as nursery:
                    for d in cell.missing:
                        nursery.start_soon(self.ask, d)
            else:
                for d in cell.missing:
                    await self.ask(d)
            outcome = cell.fn(*self.arguments(cell), **self.context(cell, 1))
            cell.outcome = await outcome if hasattr(outcome, "__await__") else outcome
            cell.phase = "value"

    return await workflow(params, Naive(None))  # type: ignore[arg-type]


async def hanging(workflow: Callable[..., Awaitable[Any]], params: object = None) -> Any:
    await trio.sleep_forever()


async def swallowing(workflow: Callable[..., Awaitable[Any]], params: object = None) -> Any:
    await runtime(Reference)(workflow, params)


RUNTIMES: dict[str, Runtime] = {
    **{kind.__name__: runtime(kind) for kind in BROKEN},
    "Original": runtime(Original),
    "naive": naive,
    "hanging": hanging,
    "swallowing": swallowing,
}
#: What shows only where graphs are larger than `dags()` draws them.
DEEP: Final[dict[str, Runtime]] = {"DRecursesAlongAChain": runtime(DRecursesAlongAChain)}
ALL: Final = {**RUNTIMES, **DEEP}


def complaint(spec: DagSpec, run_workflow: Runtime, seed: int | None = None) -> str | None:
    """What `check` says."""
    try:
        check(spec, run_dag(spec, run_workflow=run_workflow, seed=seed))
    except AssertionError as exc:
        return str(exc)
    return None


def verdict(spec: DagSpec, run_workflow: Runtime, seed: int | None = None) -> str | None:
    """The name of the invariant that is broken."""
    said = complaint(spec, run_workflow, seed)
    return None if said is None else said.partition(" (")[0]


# ------------------------------------------------------------------------------------------------------ the search

Part = TypeVar("Part", DagSpec, Node, Demand)
Case = tuple[DagSpec, int | None]
"""A workflow and the schedule in which it goes wrong."""

#: After so many examples a search has failed.
LIMIT: Final = 2_000
#: What the median of all searches must not exceed.
MEDIAN: Final = 100
#: A graph of more steps is no explanation.
SMALL: Final = 5


def chain(length: int) -> DagSpec:
    return DagSpec(nodes=[Node(), *[Node(back=[1])] * (length - 1)])


EVERYTHING: Final = st.tuples(dags(inner=True), seeds())
#: A long one takes seconds to judge, and Hypothesis lends every example two thousand frames: so it is these.
CHAINS: Final = st.tuples(st.sampled_from([1, 10, 100, 600]).map(chain), st.none())


@attrs.frozen
class Caught:
    """How one runtime was caught."""

    name: str
    #: Of each search with Hypothesis, and with `random_dag`, the example that failed first. None: none did.
    examples: tuple[int | None, ...]
    plain: tuple[int | None, ...]
    #: What was left of it, the invariant that it breaks, and what `check` says.
    case: Case | None
    invariant: str
    message: str
    #: How many runs it took to shrink it, by Hypothesis and by `minimal`.
    shrinking: tuple[int, int]
    seconds: float

    @property
    def found(self) -> bool:
        return any(n is not None for n in (*self.examples, *self.plain))

    @property
    def steps(self) -> int:
        """How many steps of the smallest workflow can run at all."""
        return 0 if self.case is None else len(concerned(self.case[0]))


def concerned(spec: DagSpec) -> frozenset[int]:
    """The steps that somebody awaits, and what those need."""
    return frozenset().union(*(spec.reach(spec.target(k)) for k in range(len(spec.demands))))


def median(examples: Iterable[int | None]) -> float:
    """A search that has failed counts as one that has gone to the limit."""
    numbers = [LIMIT if n is None else n for n in examples]
    return statistics.median(numbers) if numbers else math.nan


def search(name: str, seed: int, limit: int = LIMIT, *, shrink: bool = False) -> tuple[int | None, Case | None, int]:
    """The first example of Hypothesis that fails; what it has shrunk to; and how many runs that took."""
    run_workflow, runs, first, latest = ALL[name], 0, None, None
    cases = CHAINS if name in DEEP else EVERYTHING

    def fails(case: Case) -> bool:
        nonlocal runs, first, latest
        runs += 1
        bad = verdict(case[0], run_workflow, case[1]) is not None
        if bad:
            first, latest = first or runs, case
        return bad

    options = settings(
        max_examples=limit, database=None, deadline=None, suppress_health_check=list(HealthCheck),
        phases=[Phase.generate, *([Phase.shrink] if shrink else [])],
    )  # fmt: skip
    try:
        with warnings.catch_warnings(action="ignore", category=HypothesisWarning):  # that a chain prints long
            found: Case = find(cases, fails, settings=options, random=random.Random(seed))
    except NoSuchExample:
        return None, None, 0
    except Flaky:  # what is broken may depend on where Python puts things: it is found all the same
        assert latest is not None
        return first, latest, runs - (first or 0)
    return first, found, runs - (first or 0)


def search_plainly(name: str, seed: int, limit: int = LIMIT) -> tuple[int | None, Case | None]:
    """The same with `random_dag`."""
    for number in range(1, limit + 1):
        chance = random.Random(f"{seed}/{number}")
        case = random_dag(chance, inner=number % 2 == 0), chance.getrandbits(16)
        if verdict(case[0], ALL[name], case[1]) is not None:
            return number, case
    return None, None


def catch(name: str, searches: int, limit: int = LIMIT) -> Caught:
    began = time.perf_counter()
    examples: list[int | None] = []
    case, runs = None, 0
    for seed in range(searches):
        first, found, spent = search(name, seed, limit, shrink=case is None)
        examples.append(first)
        if case is None:
            case, runs = found, spent
    plain: list[int | None] = []
    for seed in range(0 if name in DEEP else searches):
        first, found = search_plainly(name, seed, limit)
        plain.append(first)
        case = case or found
    invariant = message = ""
    more = 0
    if case is not None:
        if name not in DEEP:  # a length is all that there was to shrink
            case, more = minimal(case, ALL[name])
        message = complaint(case[0], ALL[name], case[1]) or ""
        invariant = message.partition(": ")[0]
    seconds = time.perf_counter() - began
    return Caught(name, tuple(examples), tuple(plain), case, invariant, message, (runs, more), seconds)


# --------------------------------------------------------------------------------------------------- making it small


def minimal(case: Case, run_workflow: Runtime, most: int = 400) -> tuple[Case, int]:
    """The smallest workflow that goes wrong and is got by taking away one piece after the other; and the runs it took.

    Hypothesis shrinks the numbers that a workflow is made of. To take out a step from the middle it has to change those of
    all that reach past it, at once. Here such a step is one piece. A step less may need another schedule: a few are tried.
    """
    spec, seed = case
    runs = 0
    todo = simpler(spec)
    while runs < most and (candidate := next(todo, None)) is not None:
        for other in [seed] if seed is None else dict.fromkeys((seed, 0, 1)):
            runs += 1
            if verdict(candidate, run_workflow, other) is not None:
                spec, seed = candidate, other
                todo = simpler(spec)
                break
    return (spec, seed), runs


def simpler(spec: DagSpec) -> Iterator[DagSpec]:
    """All that is one piece less: what makes most difference comes first."""
    for i in reversed(range(len(spec.nodes))):
        yield from without(spec, i)
    for k in range(len(spec.demands)):
        if len(spec.demands) > 1:
            yield attrs.evolve(spec, demands=[*spec.demands[:k], *spec.demands[k + 1 :]])
    yield from plainer(spec, without=("nodes", "demands"))
    for i, node in enumerate(spec.nodes):
        fewer = [node.back[:n] + node.back[n + 1 :] for n in range(len(node.back))]
        for changed in (*(attrs.evolve(node, back=back) for back in fewer), *plainer(node)):
            yield attrs.evolve(spec, nodes=[*spec.nodes[:i], changed, *spec.nodes[i + 1 :]])
    for k, demand in enumerate(spec.demands):
        for other in plainer(demand, without=("node",)):
            yield attrs.evolve(spec, demands=[*spec.demands[:k], other, *spec.demands[k + 1 :]])


def plainer(thing: Part, without: tuple[str, ...] = ()) -> Iterator[Part]:
    """The same with one field that has its default, or a smaller number."""
    for field in attrs.fields(type(thing)):
        value = getattr(thing, field.name)
        if field.init and field.name not in without and value != field.default:
            smaller = [1, value - 1] if type(value) is int and value > 1 else []
            for simple in dict.fromkeys([field.default, *smaller]):
                with contextlib.suppress(trioflow.ConfigError):  # what would make no sense
                    yield attrs.evolve(thing, **{field.name: simple})


def without(spec: DagSpec, gone: int) -> Iterator[DagSpec]:
    """The same without one step: others need what it needed, or nothing instead, and who awaited it awaits that, or isn't
    there. What happens at a certain time still comes at the right moment if it is sooner by what the step took."""
    left = [i for i in range(len(spec.nodes)) if i != gone]
    for heirs in dict.fromkeys((spec.dependencies(gone), ())):

        def back(i: int, needs: Iterable[int], heirs: tuple[int, ...] = heirs) -> list[int]:
            found = [n for d in needs for n in (heirs if d == gone else (d,))]
            return [left.index(i) - left.index(d) for d in dict.fromkeys(found)]

        asked = [
            (d, (heirs or (gone,))[-1] if spec.target(k) == gone else spec.target(k))
            for k, d in enumerate(spec.demands)
        ]
        demands = [attrs.evolve(demand, node=left[::-1].index(i)) for demand, i in asked if i != gone]
        nodes = [
            attrs.evolve(spec.nodes[i], back=back(i, spec.dependencies(i)), awaits=back(i, spec.awaited_inside(i)))
            for i in left
        ]
        if nodes and demands:
            yield attrs.evolve(spec, nodes=nodes, demands=demands)
            if took := spec.nodes[gone].seconds:
                yield attrs.evolve(spec, nodes=nodes, demands=[sooner(demand, took) for demand in demands])


def sooner(demand: Demand, seconds: int) -> Demand:
    """It gives up so much earlier, and if it can't, it asks earlier."""
    if demand.timeout is not None and demand.timeout > seconds:
        return attrs.evolve(demand, timeout=demand.timeout - seconds)
    return attrs.evolve(demand, at=max(0, demand.at - seconds))


# -------------------------------------------------------------------------------------------------------------- command


def table(all_of_them: Iterable[Caught]) -> Iterator[str]:
    """A line for each, as soon as it is there."""
    yield (
        f"{'runtime':36} | {'examples':>8} | {'most':>5} | {'missed':>6} | {'random_dag':>10} | {'steps':>5} | "
        f"{'shrinking':>10} | {'s':>5} | what is broken"
    )
    for it in all_of_them:
        searches = (*it.examples, *it.plain)
        plain = f"{median(it.plain):g}" if it.plain else "-"
        most = max((n for n in it.examples if n is not None), default=LIMIT)
        missed = sum(n is None for n in searches)
        shrinking = "+".join(map(str, it.shrinking))
        yield (
            f"{it.name:36} | {median(it.examples):8g} | {most:5} | {f'{missed}/{len(searches)}':>6} | {plain:>10} | "
            f"{it.steps:5} | {shrinking:>10} | {it.seconds:5.1f} | {it.invariant or 'NOT CAUGHT'}"
        )


def summary(caught: list[Caught]) -> Iterator[str]:
    missed = [it.name for it in caught if not it.found]
    overall = median(n for it in caught for n in it.examples)
    yield (
        f"{len(caught) - len(missed)} of {len(caught)} caught; median {overall:g} examples of Hypothesis, "
        f"{median(n for it in caught for n in it.plain):g} of random_dag"
    )
    for it in caught:
        if it.steps > SMALL:
            why = "it takes as many to fill the stack" if it.name in DEEP else "nothing smaller was found"
            yield f"{it.name} needs {it.steps} steps: {why}"
    if missed:
        yield f"NOT CAUGHT within {LIMIT:,} examples: {', '.join(missed)}"
    if overall > MEDIAN:
        yield f"TOO LATE: the median ought to be {MEDIAN} at most"


def as_numbers(it: Caught) -> dict[str, Any]:
    return {
        "name": it.name,
        "examples": it.examples,
        "random_dag": it.plain,
        "steps": it.steps,
        "invariant": it.invariant,
        "shrinking": it.shrinking,
        "seconds": round(it.seconds, 3),
        "spec": None if it.case is None else repr(it.case[0]),
        "seed": None if it.case is None else it.case[1],
    }


def shown(it: Caught) -> str:
    if it.case is None:
        return f"{it.name} is not caught"
    spec, seed = it.case
    said = it.message.removesuffix(repr(spec)).rstrip()
    return f"spec = {spec!r}\ncheck(spec, run_dag(spec, run_workflow=ALL[{it.name!r}], seed={seed}))\n\n{said}"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.broken", description=__doc__.partition("\n")[0])
    parser.add_argument("--only", nargs="+", metavar="NAME", choices=ALL, default=list(ALL))
    parser.add_argument("--show", metavar="NAME", choices=ALL, help="the smallest workflow that shows what is wrong")
    parser.add_argument("--seeds", type=int, default=5, metavar="N", help="searches for each, 5 if not said")
    parser.add_argument("--json", action="store_true", help="all numbers")
    parser.add_argument("--list", action="store_true", help="say which runtimes there are")
    options = parser.parse_args(arguments)
    if options.list:
        print("\n".join(ALL))
        return 0
    if options.show:
        print(shown(catch(options.show, 1)))
        return 0
    caught: list[Caught] = []
    coming = (caught.append(it) or it for name in options.only for it in [catch(name, options.seeds)])  # type: ignore[func-returns-value]
    if options.json:
        print(json.dumps([as_numbers(it) for it in coming], indent=1))
    else:
        for line in table(coming):
            print(line, flush=True)
        print("\n" + "\n".join(summary(caught)))
    good = all(it.found for it in caught) and median(n for it in caught for n in it.examples) <= MEDIAN
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
