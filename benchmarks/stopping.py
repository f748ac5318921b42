"""Claim: a failure stops a thousand running bodies at about the price of a nursery's own cancel.

The kernel takes interest away from each body and cancels its scope; a nursery cancels everything at once. The clock
runs from the line that raises until the failure has come out and every body has stopped.

What would change our mind: a cost per body that grows with their number.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, final

import attrs
import trio

from trioflow import run_workflow

from . import _budgets, floors
from ._measure import Case, WrongValueError, clock, us_since
from .bodies import AsyncBody

if TYPE_CHECKING:
    from trioflow import WorkflowEvent, WorkflowStep


@final
@attrs.define(eq=False)
class Siblings:
    """Bodies that run until they are stopped, and one that fails when all of them do; plain functions, as most are."""

    count: int
    running: int = 0
    stopped: int = 0
    raised_at: float = 0.0
    all_run: trio.Event = attrs.field(factory=trio.Event)
    error: ValueError = attrs.field(factory=lambda: ValueError("stop"))

    def sibling(self) -> AsyncBody:
        """One that runs until it is stopped."""

        async def run() -> int:
            self.running += 1
            if self.running == self.count:
                self.all_run.set()
            try:
                await trio.sleep_forever()
            except trio.Cancelled:
                self.stopped += 1
                raise

        return run

    def failing(self) -> AsyncBody:
        """The one that fails, and starts the clock."""

        async def fail() -> int:
            await self.all_run.wait()
            gc.collect()
            self.raised_at = clock()
            raise self.error

        return fail

    def spent(self, raised: BaseException | None) -> float:
        """Microseconds for each; `raised` is what has come out."""
        spent = us_since(self.raised_at, self.count)
        if raised is not self.error:
            raise WrongValueError(f"{raised!r} came out instead of {self.error!r}")
        if self.stopped != self.count:
            raise WrongValueError(f"{self.stopped} of {self.count} bodies were stopped")
        return spent


def cases(n: int) -> Iterator[Case]:
    """n siblings."""

    async def mine() -> float:
        siblings = Siblings(n)

        async def workflow(event: WorkflowEvent[Any], step: WorkflowStep) -> float:
            steps = [step.do(f"s{i}")(siblings.sibling()) for i in range(n)]

            @step.do("all", depends=[*steps, step.do("fail")(siblings.failing())], concurrent=True)
            async def join(*values: int) -> int:
                return sum(values)

            raised = None
            try:
                await join()
            except ValueError as exc:
                raised = exc
            return siblings.spent(raised)

        return await run_workflow(workflow)

    async def floor() -> float:
        siblings = Siblings(n)
        raised = None
        try:
            async with trio.open_nursery() as nursery:
                for _ in range(n):
                    nursery.start_soon(floors.hosting, siblings.sibling())
                nursery.start_soon(floors.hosting, siblings.failing())
        except* ValueError as group:
            raised = group.exceptions[0]
        return siblings.spent(raised)

    yield Case(name="stopped by a failure", per="body", sides=lambda: (mine, floor), budget=_budgets.STOPPING)
