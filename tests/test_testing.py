"""The testing kit, tested: the model against answers worked out by hand, and `check` against runtimes that are broken.

A check that has never failed proves nothing. So there is a runtime here, slow and simple, that keeps the promises, and
a score of others that break one each, as subtly as somebody might who writes the real one.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import attrs
import pytest
import trio
from hypothesis import HealthCheck, Phase, find, given, settings
from hypothesis import strategies as st
from hypothesis.errors import NoSuchExample

import trioflow
from trioflow.testing import Answer, BodyError, DagSpec, Demand, Event, Node, Span, Trace, check, predict, run_dag
from trioflow.testing.model import critical_path
from trioflow.testing.strategies import SHAPES, dags, demands, seeds
from trioflow.testing.world import INVARIANTS, Value

# ------------------------------------------------------------------------------------------------- a reference runtime


class Cell:
    def __init__(self, name: str, fn: Callable[..., Any], dependencies: list[Cell], concurrent: bool) -> None:
        self.name = name
        self.fn = fn
        self.dependencies = dependencies
        self.concurrent = concurrent
        self.phase = "idle"  # leaving, doomed, queued, running, stopping, value, error
        self.waits: set[Cell] = set()
        self.outcome: Any = None
        self.order = math.inf  # of the failure
        self.scope = trio.CancelScope(shield=True)

    @property
    def settled(self) -> bool:
        return self.phase in ("value", "error")

    @property
    def missing(self) -> list[Cell]:
        return [d for d in self.dependencies if d.phase != "value"]


@attrs.define(eq=False)
class Waiter:
    cell: Cell
    wants: bool = True
    told: trio.Event = attrs.Factory(trio.Event)


class Reference:
    """Keeps the promises, in the simplest way: after each event it looks at everything again.

    Each broken runtime is a subclass that overrides one method.
    """

    def __init__(self, nursery: trio.Nursery) -> None:
        self.nursery = nursery
        self.cells: list[Cell] = []
        self.waiters: list[Waiter] = []
        self.want: set[Cell] = set()
        self.begun: set[Cell] = set()
        self.fresh: list[Cell] = []
        self.failures = 0
        self.closed = False

    # what a workflow sees

    def do(self, name: str, depends: list[Any] | None = None, concurrent: bool = False) -> Any:
        def declare(fn: Callable[..., Any]) -> Callable[[], Awaitable[Any]]:
            before = [step.cell for step in depends] if depends is not None else self.by_name(fn)
            cell = Cell(name, fn, before, concurrent)
            self.cells.append(cell)

            async def step() -> Any:
                return await self.ask(cell)

            step.cell = cell  # type: ignore[attr-defined]
            return step

        return declare

    def by_name(self, fn: Callable[..., Any]) -> list[Cell]:
        names = {cell.name: cell for cell in self.cells}
        return [names[name] for name in fn.__signature__.parameters]  # type: ignore[attr-defined]

    async def ask(self, cell: Cell) -> Any:
        if self.closed:
            raise trioflow.RunClosedError("over")
        if cell.settled:
            await trio.lowlevel.checkpoint()
            return self.give(cell)
        waiter = Waiter(cell)
        self.waiters.append(waiter)
        self.react()
        try:
            await waiter.told.wait()
        except trio.Cancelled:
            await self.leave(waiter)
            if not cell.settled:
                raise
        if not cell.settled:
            raise trioflow.RunClosedError("closed")
        return self.give(cell)

    def give(self, cell: Cell) -> Any:
        if cell.phase == "error":
            raise cell.outcome
        return cell.outcome

    async def leave(self, waiter: Waiter) -> None:
        waiter.wants = False
        already = waiter.cell.phase in ("stopping", "leaving")
        self.react()
        if waiter.cell not in self.want and not already and waiter.cell.phase in ("stopping", "leaving", "doomed"):
            with trio.CancelScope(shield=True):
                await waiter.told.wait()
        elif waiter in self.waiters:
            self.waiters.remove(waiter)

    def close(self) -> None:
        self.closed = True
        for waiter in self.waiters:
            waiter.wants = False
        for cell in self.want:
            if cell.phase in ("idle", "leaving", "queued"):
                self.doom(cell, math.inf, None)
        self.react()

    # what follows from an event

    def react(self) -> None:
        wanted = self.find_wanted()
        concerned = self.want | wanted
        self.doom_the_bound(wanted)
        self.want = self.find_wanted()
        self.drop(concerned - self.want)
        for cell in self.fresh:
            cell.waits |= self.to_wait_for(cell)
        self.fresh.clear()
        self.settle()
        if not self.closed:
            self.begin()

    def roots(self) -> Iterable[Cell]:
        return [waiter.cell for waiter in self.waiters if waiter.wants]

    def wants_of(self, cell: Cell) -> list[Cell]:
        return [] if cell.phase == "doomed" else cell.dependencies

    def find_wanted(self) -> set[Cell]:
        todo = list(self.roots())
        seen = set()
        for cell in todo:
            if not cell.settled and cell not in seen:
                seen.add(cell)
                todo += self.wants_of(cell)
        return seen

    def doom_the_bound(self, wanted: set[Cell]) -> None:
        for cell in self.cells:  # dependencies first
            if cell.phase in ("idle", "leaving", "queued"):
                failed = [d for d in cell.dependencies if self.dooms(d)]
                if failed and (cell in wanted or cell.phase == "leaving"):
                    first = min(failed, key=lambda d: d.order)
                    self.doom(cell, first.order, first.outcome)

    def dooms(self, dependency: Cell) -> bool:
        return dependency.phase in ("error", "doomed")

    def doom(self, cell: Cell, order: float, failure: Any) -> None:
        cell.phase, cell.order, cell.outcome = "doomed", order, failure
        self.fresh.append(cell)

    def to_wait_for(self, cell: Cell) -> set[Cell]:
        return {d for d in cell.dependencies if d.phase in ("stopping", "leaving", "doomed")}

    def drop(self, gone: set[Cell]) -> None:
        out = set()
        for cell in self.cells:
            if cell not in gone:
                continue
            if cell.phase == "running":
                cell.phase = "stopping"
                cell.scope.cancel()
                out.add(cell)
            elif cell.phase in ("idle", "queued"):
                cell.phase = "idle"
                cell.waits = out.intersection(cell.dependencies)
                if cell.waits:
                    cell.phase = "leaving"
                    out.add(cell)

    def settle(self) -> None:
        for cell in self.cells:
            if cell.phase == "doomed" and not cell.waits:
                failed = [d for d in cell.dependencies if d.phase == "error" and d.order < cell.order]
                for d in failed:
                    if d.order < cell.order:
                        cell.order, cell.outcome = d.order, d.outcome
                self.out(cell, "idle" if cell.order == math.inf else "error")
            elif cell.phase == "leaving" and not cell.waits:
                self.out(cell, "idle")

    def out(self, cell: Cell, phase: str) -> None:
        cell.phase = phase
        for other in self.cells:
            if cell in other.waits:
                other.waits.remove(cell)
                if phase == "error" and other.outcome is not cell.outcome and other.phase == "doomed" and other.outcome:
                    note = f"step {cell.name!r} also failed: {cell.outcome!r}"
                    if note not in getattr(other.outcome, "__notes__", ()):
                        other.outcome.add_note(note)
        for waiter in list(self.waiters):
            if waiter.cell is cell and (cell.settled or self.closed or not waiter.wants):
                self.waiters.remove(waiter)
                waiter.told.set()

    def turn(self, cell: Cell) -> list[Cell]:
        return cell.missing if cell.concurrent else cell.missing[:1]

    def begin(self) -> None:
        todo = [*self.roots(), *(self.begun & self.want)]
        self.begun = set()
        for cell in todo:
            if cell not in self.begun and cell.phase in ("idle", "queued", "running", "stopping"):
                self.begun.add(cell)
                todo += self.turn(cell)
                if cell.phase == "idle" and not cell.missing:
                    cell.phase = "queued"
                    self.nursery.start_soon(self.run, cell)

    # a body

    async def run(self, cell: Cell) -> None:
        if cell.phase != "queued":
            return
        cell.phase = "running"
        cell.scope = trio.CancelScope(shield=True)
        phase = "idle"
        with cell.scope:
            try:
                outcome = cell.fn(*self.arguments(cell))
                cell.outcome = await outcome if hasattr(outcome, "__await__") else outcome
                phase = "value"
            except Exception as exc:
                self.failures += 1
                cell.outcome, cell.order, phase = exc, self.failures, "error"
        self.over(cell, phase)
        self.react()

    def arguments(self, cell: Cell) -> list[Any]:
        return [d.outcome for d in cell.dependencies]

    def over(self, cell: Cell, phase: str) -> None:
        self.out(cell, phase)


Runtime = Callable[..., Awaitable[Any]]


def runtime(kind: type[Reference]) -> Runtime:
    async def run_workflow(workflow: Callable[..., Awaitable[Any]], params: object = None) -> Any:
        async with trio.open_nursery() as nursery:
            run = kind(nursery)
            try:
                return await workflow(params, run)
            finally:
                run.close()

    return run_workflow


# ------------------------------------------------------------------------------------------------------ broken runtimes

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
            outcome = cell.fn(*self.arguments(cell))
            cell.outcome = await outcome if hasattr(outcome, "__await__") else outcome
            cell.phase = "value"

    return await workflow(params, Naive(None))  # type: ignore[arg-type]


async def hanging(workflow: Callable[..., Awaitable[Any]], params: object = None) -> Any:
    await trio.sleep_forever()


async def swallowing(workflow: Callable[..., Awaitable[Any]], params: object = None) -> Any:
    await runtime(Reference)(workflow, params)


# ---------------------------------------------------------------------------------------------- check can tell them apart

everything = dags(inner=True)


def verdict(spec: DagSpec, run_workflow: Runtime, seed: int | None = None) -> str | None:
    """The name of the invariant that is broken."""
    try:
        check(spec, run_dag(spec, run_workflow=run_workflow, seed=seed))
    except AssertionError as exc:
        return str(exc).partition(" (")[0]
    return None


@settings(deadline=None, max_examples=400, suppress_health_check=[HealthCheck.too_slow])
@given(everything, seeds())
def test_a_runtime_that_keeps_the_promises_passes(spec: DagSpec, seed: int) -> None:
    check(spec, run_dag(spec, run_workflow=runtime(Reference), seed=seed))
