"""Runtimes that are broken, each in one way, as subtly as somebody might who writes the real one: the kit catches all."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import trio

import trioflow
from tests.reference import Cell, Reference, Runtime, Waiter, runtime
from trioflow.testing import BodyError, DagSpec, check, run_dag

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


RUNTIMES: dict[str, Runtime] = {
    **{kind.__name__: runtime(kind) for kind in BROKEN},
    "naive": naive,
    "hanging": hanging,
    "swallowing": swallowing,
}


def verdict(spec: DagSpec, run_workflow: Runtime, seed: int | None = None) -> str | None:
    """The name of the invariant that is broken."""
    try:
        check(spec, run_dag(spec, run_workflow=run_workflow, seed=seed))
    except AssertionError as exc:
        return str(exc).partition(" (")[0]
    return None
