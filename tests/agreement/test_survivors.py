"""Promises of which only a mutant that nobody noticed has shown that nothing else proves them: see `tests.mutants`."""

from __future__ import annotations

import gc
import weakref
from contextvars import ContextVar
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from trioflow import RunClosedError, open_run, run_workflow


async def test_p9_what_was_to_begin_for_a_step_that_turns_out_to_be_bound_to_fail_does_not(
    autojump_clock: MockClock,
) -> None:
    """It is found out while the demand is worked out, when the first of a sequence is ordered to begin already."""
    began: list[str] = []

    async def workflow(event: Any, step: Any) -> None:
        @step.do()
        async def fails() -> None:
            raise KeyError("no")

        @step.do()
        async def first() -> None:
            began.append("first")

        @step.do(depends=[fails, first])
        async def second(fails: None, first: None) -> None: ...

        @step.do(depends=[first, second])
        async def both(first: None, second: None) -> None: ...

        with pytest.raises(KeyError):
            await fails()
        with pytest.raises(KeyError):
            await both()
        assert began == []
        await first()
        assert began == ["first"]

    await run_workflow(workflow)


async def test_p12_steps_inside_steps_are_stopped_as_deep_as_one_likes(autojump_clock: MockClock) -> None:
    """Each body that stops leaves the step that it awaits, which stops that one's: a loop, and no recursion."""
    deep = 500
    stopped: list[int] = []

    async def workflow(event: Any, step: Any) -> None:
        resting = step.do("resting")(trio.sleep_forever)

        def level(number: int) -> Any:
            @step.do(f"{number}")
            async def body() -> None:
                try:
                    await (level(number + 1)() if number < deep else resting())
                finally:
                    stopped.append(number)

            return body

        with trio.move_on_after(1):
            await level(0)()
        assert stopped == [*range(deep, -1, -1)]

    await run_workflow(workflow)


class Fatal(BaseException):
    """As bad as a KeyboardInterrupt."""


async def test_p15_what_ends_a_run_lets_nothing_begin_that_its_function_asks_for_afterwards(
    autojump_clock: MockClock,
) -> None:
    began: list[str] = []

    async def workflow(event: Any, step: Any) -> None:
        @step.do()
        async def fatal() -> None:
            raise Fatal

        @step.do()
        async def other() -> None:
            began.append("other")

        try:
            await fatal()
        finally:
            with trio.CancelScope(shield=True), pytest.raises(RunClosedError):
                await other()

    with pytest.raises(Fatal):
        await run_workflow(workflow)
    assert began == []


async def test_p15_a_stranger_who_awaits_the_step_that_ends_the_run_hears_of_it(autojump_clock: MockClock) -> None:
    told: list[BaseException] = []

    async def workflow(event: Any, step: Any) -> None:
        @step.do()
        async def fatal() -> None:
            await trio.sleep(1)
            raise Fatal

        await trio.sleep(10)

    async def stranger(step: Any) -> None:
        try:
            await step()
        except RunClosedError as exc:
            told.append(exc)

    async def host(strangers: trio.Nursery) -> None:
        async with open_run(workflow) as run:
            await trio.sleep(0.5)
            strangers.start_soon(stranger, run.steps[0])
            await run.steps[0]()

    with trio.fail_after(100):
        async with trio.open_nursery() as nursery:
            with pytest.raises(Fatal):
                await host(nursery)
    assert len(told) == 1


async def test_who_keeps_a_step_of_a_run_that_is_over_does_not_keep_its_context(autojump_clock: MockClock) -> None:
    class Large: ...

    variable: ContextVar[Large] = ContextVar("variable")

    async def workflow(event: Any, step: Any) -> Any:
        @step.do()
        async def body() -> None: ...

        await body()
        return body

    token = variable.set(large := Large())
    kept = weakref.ref(large)
    body = await run_workflow(workflow)
    variable.reset(token)
    del large, token
    gc.collect()
    assert body.status == "succeeded"
    assert kept() is None


async def test_p16_a_step_that_has_failed_waits_for_nothing_and_so_closes_no_loop(autojump_clock: MockClock) -> None:
    async def workflow(event: Any, step: Any) -> None:
        @step.do()
        async def fails() -> None:
            await trio.sleep(1)
            raise KeyError("no")

        @step.do()
        async def runs_on() -> None:
            await trio.sleep(2)
            with pytest.raises(KeyError):
                await above()

        @step.do(depends=[fails, runs_on], concurrent=True)
        async def both(fails: None, runs_on: None) -> None: ...

        @step.do(depends=[both])
        async def above(both: None) -> None: ...

        async with trio.open_nursery() as nursery:
            nursery.start_soon(runs_on)
            with pytest.raises(KeyError):
                await both()
        assert runs_on.status == "succeeded"

    await run_workflow(workflow)
