"""A runtime that keeps the promises in the simplest way: slow, and short enough to be checked by reading.

`broken` breaks it, one promise at a time, to see that the testing kit notices.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Iterable
from types import SimpleNamespace
from typing import Any

import attrs
import trio

import trioflow


class Policy:
    def __init__(self, config: dict[str, Any] | None) -> None:
        config = config or {}
        retries = config.get("retries", {"limit": 0, "delay": "0 seconds", "backoff": "constant"})
        self.limit: int = retries["limit"]
        self.base = seconds(retries["delay"])
        self.backoff: str = retries["backoff"]
        self.timeout = seconds(config["timeout"]) if "timeout" in config else math.inf

    def delay(self, retry: int) -> float:
        return self.base * {"constant": 1, "linear": retry, "exponential": 2 ** (retry - 1)}[self.backoff]


def seconds(text: str) -> float:
    return float(text.removesuffix(" seconds"))


class Cell:
    def __init__(
        self, number: int, name: str, fn: Callable[..., Any], dependencies: list[Cell], concurrent: bool, policy: Policy
    ) -> None:
        self.number = number
        self.name = name
        self.fn = fn
        self.dependencies = dependencies
        self.concurrent = concurrent
        self.policy = policy
        self.phase = "idle"  # leaving, doomed, queued, running, pausing, stopping, value, error
        self.waits: set[Cell] = set()
        self.outcome: Any = None
        self.order = math.inf  # of the failure
        self.late = False  # it ended when the run was closed
        self.scope = trio.CancelScope(shield=True)

    def __hash__(self) -> int:
        """Sets of cells are gone through in the same order each time: by addresses a run could not be repeated."""
        return self.number

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
        self.heard: list[Any] = []
        self.raisers: dict[int, str] = {}

    # what a workflow sees

    def do(
        self,
        name: str,
        depends: list[Any] | None = None,
        concurrent: bool = False,
        config: dict[str, Any] | None = None,
    ) -> Any:
        def declare(fn: Callable[..., Any]) -> Callable[[], Awaitable[Any]]:
            before = [step.cell for step in depends] if depends is not None else self.by_name(fn)
            cell = Cell(len(self.cells), name, fn, before, concurrent, Policy(config))
            self.cells.append(cell)

            async def step() -> Any:
                return await self.ask(cell)

            step.cell = cell  # type: ignore[attr-defined]
            return step

        return declare

    def by_name(self, fn: Callable[..., Any]) -> list[Cell]:
        names = {cell.name: cell for cell in self.cells}
        return [names[name] for name in fn.__signature__.parameters if name != "ctx"]  # type: ignore[attr-defined]

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
            if cell.phase in ("idle", "leaving", "queued", "pausing"):
                cell.scope.cancel()
                self.doom(cell, math.inf, None)
        self.react()

    def raise_what_nobody_heard(self) -> None:
        """What bodies raised when the run was closed, and nobody was left to be told."""
        late = [cell for cell in self.cells if cell.phase == "error" and cell.late]
        lost = [cell for cell in late if not any(cell.outcome is exc for exc in self.heard)]
        for cell in lost[1:]:
            lost[0].outcome.add_note(f"step {cell.name!r} also failed: {cell.outcome!r}")
        if lost:
            raise lost[0].outcome from None

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
            elif cell.phase == "pausing":
                cell.phase = "idle"
                cell.scope.cancel()
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
                    # It may have come from further down: the note names the step whose body has raised it.
                    note = f"step {self.raisers.get(id(cell.outcome), cell.name)!r} also failed: {cell.outcome!r}"
                    if note not in getattr(other.outcome, "__notes__", ()):
                        other.outcome.add_note(note)
        for waiter in list(self.waiters):
            if waiter.cell is cell and (cell.settled or self.closed or not waiter.wants):
                self.waiters.remove(waiter)
                waiter.told.set()
                self.heard.append(cell.outcome)

    def turn(self, cell: Cell) -> list[Cell]:
        return cell.missing if cell.concurrent else cell.missing[:1]

    def begin(self) -> None:
        todo = [*self.roots(), *(self.begun & self.want)]
        self.begun = set()
        for cell in todo:
            if cell not in self.begun and cell.phase in ("idle", "queued", "running", "pausing", "stopping"):
                self.begun.add(cell)
                todo += self.turn(cell)
                if cell.phase == "idle" and not cell.missing:
                    cell.phase = "queued"
                    self.nursery.start_soon(self.run, cell)

    # a body

    async def run(self, cell: Cell) -> None:
        if cell.phase != "queued":
            return
        scope = cell.scope = trio.CancelScope(shield=True)
        number = 0
        with scope:
            phase = "again"
            while phase == "again":
                number += 1
                cell.phase, phase = "running", "idle"
                phase = await self.attempt(cell, number)
                if phase == "again":
                    cell.phase, phase = "pausing", "left"
                    await trio.sleep(cell.policy.delay(number))
                    if cell.phase == "pausing" and cell.scope is scope:
                        phase = "again"
        if phase != "left":
            cell.late = self.closed
            self.over(cell, phase)
            self.react()

    async def attempt(self, cell: Cell, number: int) -> str:
        try:
            with trio.move_on_after(cell.policy.timeout):
                outcome = cell.fn(*self.arguments(cell), **self.context(cell, number))
                cell.outcome = await outcome if hasattr(outcome, "__await__") else outcome
                return "value"
            raise trioflow.WorkflowTimeoutError("too late", step=cell.name)
        except Exception as exc:
            if self.may_retry(cell, number, exc):
                return "again"
            self.failures += 1
            cell.outcome, cell.order = exc, self.failures
            self.raisers.setdefault(id(exc), cell.name)
            return "error"

    def context(self, cell: Cell, number: int) -> dict[str, Any]:
        return {"ctx": SimpleNamespace(attempt=number)} if "ctx" in cell.fn.__signature__.parameters else {}  # type: ignore[attr-defined]

    def may_retry(self, cell: Cell, number: int, error: Exception) -> bool:
        """Nobody is there to try again for if it was being stopped."""
        final = isinstance(error, trioflow.NonRetryableError)
        return cell.phase == "running" and number <= cell.policy.limit and not final

    def arguments(self, cell: Cell) -> list[Any]:
        return [d.outcome for d in cell.dependencies]

    def over(self, cell: Cell, phase: str) -> None:
        self.out(cell, phase)


Runtime = Callable[..., Awaitable[Any]]


def runtime(kind: type[Reference]) -> Runtime:
    async def run_workflow(workflow: Callable[..., Awaitable[Any]], params: object = None) -> Any:
        runs: list[Reference] = []
        try:
            async with trio.open_nursery() as nursery:
                runs.append(kind(nursery))
                try:
                    result = await workflow(params, runs[0])
                finally:
                    runs[0].close()
        except BaseException:
            runs[0].raise_what_nobody_heard()  # instead of the host's Cancelled
            raise
        runs[0].raise_what_nobody_heard()
        return result

    return run_workflow
