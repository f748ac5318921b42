"""Claim: awaiting a step whose dependencies run concurrently costs no more than a nursery for them would.

Each demand is for a join of two steps, many of them in one run: one after the other, and all at once from tasks of
their own. The floor is a nursery of three bare tasks for each. Where all demands are for one and the same running step,
the floor is as many tasks that wait for one event.

What would change our mind: child nurseries that are opened where nothing blocks (30 us each), or never used again.
"""

from __future__ import annotations

import gc
from collections.abc import Awaitable, Callable, Iterator
from typing import TYPE_CHECKING, Any

import trio
from trio.testing import wait_all_tasks_blocked

from trioflow import run_workflow

from . import _budgets, bodies, floors, ours
from ._budgets import Budget
from ._measure import RARE, Case, Side, WrongValueError, clock, us_since
from .graphs import Graph

if TYPE_CHECKING:
    from trioflow import Step, WorkflowEvent, WorkflowStep


async def _in_turn(asks: list[Callable[[], Awaitable[Any]]]) -> None:
    for ask in asks:
        await ask()


async def _at_once(asks: list[Callable[[], Awaitable[Any]]]) -> None:
    async with trio.open_nursery() as nursery:
        for ask in asks:
            nursery.start_soon(ask)


def _case(n: int, kind: bodies.Kind, how: str, budget: Budget) -> Case:
    all_of = _in_turn if how == "in turn" else _at_once

    def sides() -> tuple[Side, Side]:
        graph: Graph = [needs for i in range(0, 3 * n, 3) for needs in ((), (), (i, i + 1))]
        kinds: list[bodies.Kind] = [kind, kind, "noop"] * n
        values = bodies.expected(graph)
        functions = bodies.make(graph, kinds)
        names = [f"s{i}" for i in range(3 * n)]

        async def mine() -> float:
            async def workflow(event: WorkflowEvent[Any], step: WorkflowStep) -> float:
                steps: list[Step[int]] = []
                ours.declare(step, graph, names, functions, steps)
                asks: list[Callable[[], Awaitable[Any]]] = list(steps[2::3])
                gc.collect()
                begun = clock()
                await all_of(asks)
                spent = us_since(begun, n)
                await ours.check(steps, values)
                return spent

            return await run_workflow(workflow)

        async def three() -> None:
            async with trio.open_nursery() as nursery:
                for body in bodies.make_alone(kinds[:3]):
                    if body is None:
                        nursery.start_soon(floors.bare)
                    else:
                        nursery.start_soon(floors.hosting, body)

        async def floor() -> float:
            gc.collect()
            begun = clock()
            await all_of([three] * n)
            return us_since(begun, n)

        return mine, floor

    return Case(name=f"demands {how} {kind}", per="demand", sides=sides, budget=budget)


def _shared(n: int) -> Case:
    async def mine() -> float:
        async def workflow(event: WorkflowEvent[Any], step: WorkflowStep) -> float:
            @step.do()
            async def wanted() -> int:
                await wait_all_tasks_blocked()
                return 1

            got: list[int] = []

            async def ask() -> None:
                got.append(await wanted())

            gc.collect()
            begun = clock()
            await _at_once([ask] * n)
            spent = us_since(begun, n)
            if got != [1] * n:
                raise WrongValueError(f"{sum(got)} of {n} who asked for one step got its value")
            return spent

        return await run_workflow(workflow)

    async def floor() -> float:
        happened = trio.Event()

        async def happen() -> None:
            await wait_all_tasks_blocked()
            happened.set()

        gc.collect()
        begun = clock()
        await _at_once([*[happened.wait] * n, happen])
        return us_since(begun, n)

    return Case(name="demands for one step", per="demand", sides=lambda: (mine, floor), budget=None, chapters=RARE)


def cases(n: int) -> Iterator[Case]:
    """n demands, of bodies that return at once and of two that checkpoint; and n for one and the same step."""
    kinds: tuple[bodies.Kind, ...] = ("noop", "checkpoint")
    for kind in kinds:
        yield _case(n, kind, "in turn", _budgets.DEMANDS_IN_TURN)
        yield _case(n, kind, "at once", _budgets.DEMANDS_AT_ONCE)
    yield _shared(n)
