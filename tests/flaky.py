"""Workflows that are not the same each time, each for a reason that occurs; in a file, so that another process finds them."""

from __future__ import annotations

import itertools
import multiprocessing
import os
import random
import time
from datetime import datetime
from typing import Any

import attrs
import trio

from trioflow import Retries, StepConfig, WorkflowEntrypoint, WorkflowStep

calls = itertools.count()


class Receipt:
    def __init__(self, number: int) -> None:
        self.number = number


@attrs.define
class Order:
    receipt: Receipt


async def steady(event: Any, step: WorkflowStep) -> Any:
    """The same each time, with much that is hard to compare."""

    @step.do(config=StepConfig(retries=Retries(2, "10 seconds", jitter=0.5)))
    async def fetch(ctx: Any) -> Any:
        await trio.sleep(1)
        if ctx.attempt == 1:
            raise OSError("again")
        return {"receipts": {Receipt(1)}, "names": {"a", "b"}, "when": event.timestamp, "how": time.sleep}

    @step.do()
    def plain(fetch: Any) -> Order:
        @step.do()
        def inner() -> int:
            return 1

        return Order(Receipt(2))

    @step.do("both", depends=[fetch, plain], concurrent=True)
    async def both(fetch: Any, plain: Order) -> Any:
        @step.do()
        async def inner() -> int:
            return event.payload.get("number", 0)

        return await inner(), fetch, plain

    async with trio.open_nursery() as nursery:
        nursery.start_soon(step.sleep, "a while", "5 seconds")
    return await both()


class Steady(WorkflowEntrypoint):
    async def run(self, event: Any, step: WorkflowStep) -> Any:
        @step.do()
        async def fails() -> None:
            raise ValueError(self.env)

        await fails()


async def draws_a_value(event: Any, step: WorkflowStep) -> Any:
    @step.do()
    def draw() -> float:
        return random.random()

    return await draw()


async def draws_a_name(event: Any, step: WorkflowStep) -> Any:
    @step.do(f"charge {random.random()}")
    def charge() -> int:
        return 1

    return await charge()


async def draws_a_pause(event: Any, step: WorkflowStep) -> Any:
    @step.do()
    async def pause() -> None:
        await trio.sleep(random.random())

    await pause()


async def draws_an_argument(event: Any, step: WorkflowStep) -> Any:
    @step.do()
    def number() -> list[float]:
        return numbers

    @step.do()
    def use(number: list[float]) -> int:
        return 1

    numbers = [1.0]
    await number()
    numbers[0] = random.random()  # after it was recorded
    return await use()


async def draws_what_is_declared(event: Any, step: WorkflowStep) -> Any:
    @step.do()
    def always() -> int:
        return 1

    if next(calls) % 2:

        @step.do()
        def sometimes() -> int:
            return 2

    return await always()


async def reads_the_clock(event: Any, step: WorkflowStep) -> Any:
    return datetime.now()


async def shows_where_things_are(event: Any, step: WorkflowStep) -> Any:
    @step.do()
    def where() -> int:
        return id([])

    return await where()


async def remembers(event: Any, step: WorkflowStep) -> Any:
    return next(calls)


async def fails_at_random(event: Any, step: WorkflowStep) -> Any:
    @step.do()
    def fails() -> None:
        raise KeyError(random.random())

    await fails()


async def goes_through_a_set(event: Any, step: WorkflowStep) -> Any:
    steps = [step.do(name)(lambda: 1) for name in {f"customer {n}" for n in range(20)}]
    return [await one() for one in steps]


async def takes_the_first(event: Any, step: WorkflowStep) -> Any:
    done: dict[str, int] = {}

    @step.do()
    async def left() -> None:
        await trio.sleep(1)
        done["left"] = 1

    @step.do()
    async def right() -> None:
        await trio.sleep(1)
        done["right"] = 1

    @step.do(concurrent=True)
    def both(left: None, right: None) -> dict[str, int]:
        return done

    await both()
    return 0


async def declares_by_who_is_first(event: Any, step: WorkflowStep) -> Any:
    async def branch(name: str) -> None:
        await trio.sleep(1)
        if not taken:
            taken.append(name)
            await step.do(f"after {name}")(lambda: 1)()

    taken: list[str] = []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(branch, "a")
        nursery.start_soon(branch, "b")


async def leaves_one_undone(event: Any, step: WorkflowStep) -> Any:
    """Which of two is stopped is the order's to say, and no mistake."""

    @step.do()
    async def quick() -> str:
        await trio.sleep(1)
        return "quick"

    @step.do()
    async def fails() -> None:
        await trio.sleep(1)
        raise LookupError("no")

    both = step.do("both", depends=[quick, fails], concurrent=True)(lambda quick, fails: None)
    await both()


async def dies_elsewhere(event: Any, step: WorkflowStep) -> Any:
    if multiprocessing.parent_process() is not None:
        os._exit(3)


def not_there() -> Any:
    raise LookupError("not there")


class AtHome:
    """Can be sent to another process, and not be received there."""

    async def __call__(self, event: Any, step: WorkflowStep) -> Any:
        return 1

    def __reduce__(self) -> Any:
        return not_there, ()
