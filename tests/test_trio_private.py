"""What we ask Trio's private attributes, and that a Trio without them is good enough."""

from __future__ import annotations

import functools
import math
from collections.abc import Generator
from contextlib import suppress
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import trio
from trio.lowlevel import current_task
from trio.testing import MockClock

from trioflow import Step, WorkflowStep, _lanes, _run, _trio_private, run_workflow


@pytest.fixture(params=[True, False], ids=["with the attributes", "without"])
def has_them(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Makes all of the runtime ask as it would with this Trio, or with one that has changed inside."""
    has: bool = request.param
    asked: list[tuple[ModuleType, str, Any]] = [
        (_lanes, "innermost_scope", _trio_private.make_innermost_scope(has)),
        (_run, "is_cancelled", _trio_private.make_is_cancelled(has)),
    ]
    for room, name, function in asked:
        monkeypatch.setattr(room, name, function)
    return has


def test_this_trio_has_them() -> None:
    """If it hasn't any more, nothing breaks, but it is time to look what else there is to ask."""
    assert _trio_private._has_it()
    assert _trio_private._knows(trio.lowlevel.Task)


def test_a_class_without_them_is_known_as_such() -> None:
    class Changed:
        __slots__ = ("_cancel_state",)

    class Plain:
        _cancel_status = None

    assert not _trio_private._knows(Changed)
    assert not _trio_private._knows(object)
    assert _trio_private._knows(Plain)


async def test_the_innermost_scope_is_told_apart() -> None:
    asked = _trio_private.make_innermost_scope(True)
    before = asked(current_task())
    with trio.CancelScope():  # noqa: ASYNC100
        inside = asked(current_task())
        assert inside is asked(current_task())
    assert inside is not before
    assert asked(current_task()) is before
    fallback = _trio_private.make_innermost_scope(False)
    with trio.CancelScope():  # noqa: ASYNC100
        assert fallback(current_task()) is None


async def test_cancelled_by_itself_or_by_what_is_around_it() -> None:
    asked, fallback = _trio_private.make_is_cancelled(True), _trio_private.make_is_cancelled(False)
    with trio.CancelScope() as outer, trio.CancelScope() as inner:  # noqa: ASYNC100
        assert not asked(inner)
        assert not fallback(inner)
        outer.cancel()
        assert asked(inner)
        assert not fallback(inner), "this is what is lost"
        inner.cancel()
        assert fallback(inner)
    assert not asked(inner), "a scope that was left contains no code"


async def test_a_run_gives_what_it_gives(autojump_clock: MockClock, has_them: bool) -> None:
    async def workflow(event: Any, step: WorkflowStep) -> tuple[int, str | None]:
        @step.do()
        async def one() -> int:
            await trio.sleep(1)
            return 1

        @step.do()
        def other() -> int:
            return 2

        @step.do(concurrent=True)
        async def top(one: int, other: int) -> int:
            with trio.move_on_after(5):
                await trio.sleep_forever()
            return one + other

        @step.do()
        async def bad() -> None:
            await trio.sleep(1)
            raise ValueError("no")

        @step.do()
        async def stopped() -> None:
            await trio.sleep_forever()

        value = await top()
        with suppress(ValueError):
            await step.do("both", depends=[bad, stopped], concurrent=True)(lambda bad, stopped: None)()
        with trio.move_on_after(1):
            await stopped()
        return value, stopped.reason

    assert await run_workflow(workflow) == (3, "a deadline has passed for the one who awaited it")


async def test_a_host_that_cancels_is_named_where_it_can_be_told(autojump_clock: MockClock, has_them: bool) -> None:
    steps: list[Step[None]] = []

    async def workflow(event: Any, step: WorkflowStep) -> None:
        steps.append(step.do("sleeper")(trio.sleep_forever))
        await steps[0]()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(functools.partial(run_workflow, workflow))
        await trio.sleep(1)
        nursery.cancel_scope.cancel(reason="enough")
    assert steps[0].status == "cancelled"
    assert steps[0].reason == (
        "the host cancelled the run: enough" if has_them else "the one who awaited it was cancelled: enough"
    )


def leave_a_scope_open() -> Generator[None, None, None]:
    """A generator with a timeout: once it is abandoned, its scope stays where it was opened."""
    with trio.fail_after(1):
        yield


async def test_a_body_that_leaves_a_scope_open_is_found_out(autojump_clock: MockClock, has_them: bool) -> None:
    """Trio says that scopes are not nested as they should be. With the attribute it is that very body's failure."""
    abandoned = []

    async def workflow(event: Any, step: WorkflowStep) -> str:
        @step.do()
        async def leaves_it_open() -> None:
            abandoned.append(leave_a_scope_open())
            next(abandoned[0])

        @step.do()
        async def innocent() -> str:
            await trio.sleep(10)
            return "done"

        with suppress(RuntimeError):
            await leaves_it_open()
        assert leaves_it_open.status == ("failed" if has_them else "succeeded")
        return await innocent() if has_them else ""

    if has_them:
        assert await run_workflow(workflow) == "done"
    else:
        with pytest.raises(RuntimeError, match="Cancel scope stack corrupted"):
            await run_workflow(workflow)
    with suppress(RuntimeError):
        abandoned[0].close()  # while Trio still runs: its scope looks for the task


# ------------------------------------------------------------------------------------------- the order of cancellation


async def cancel_twenty(order: list[int]) -> None:
    """Several tasks in one scope, then several scopes with one deadline: each says when Trio tells it to leave."""

    async def wait(number: int, scope: trio.CancelScope) -> None:
        def abort(_: object) -> trio.lowlevel.Abort:
            order.append(number)
            return trio.lowlevel.Abort.SUCCEEDED

        with scope:
            await trio.lowlevel.wait_task_rescheduled(abort)

    for deadline in (math.inf, 5):
        async with trio.open_nursery() as nursery:
            rubble = []  # or new objects would often be in memory one behind the other
            for number in range(20):
                rubble.append([bytes(50) for _ in range(number * 7919 % 13)])
                nursery.start_soon(wait, number, trio.CancelScope(deadline=deadline))
                await trio.testing.wait_all_tasks_blocked()
            if deadline == math.inf:
                nursery.cancel_scope.cancel()


def test_what_is_cancelled_at_once_is_cancelled_in_the_same_order_in_every_run() -> None:
    order: list[int] = []
    with _trio_private.cancelling_in_order() as could:
        assert could, "if it can't any more, nothing breaks, but it is time to look what else there is to ask"
        trio.run(cancel_twenty, order, clock=MockClock(autojump_threshold=0))
    assert order == [*reversed(range(20)), *range(20)], "Trio takes scopes from the end"


def test_after_that_trio_is_what_it_was() -> None:
    core: Any = _trio_private._CORE
    before = dict(vars(core)), core.CancelStatus.__attrs_post_init__
    with _trio_private.cancelling_in_order():
        assert core.id(core) == id(core), "only scopes are numbered"
    with pytest.raises(ZeroDivisionError), _trio_private.cancelling_in_order():
        1 / 0  # noqa: B018
    assert (dict(vars(core)), core.CancelStatus.__attrs_post_init__) == before


@pytest.mark.parametrize("core", [None, SimpleNamespace(), SimpleNamespace(CancelStatus=SimpleNamespace)])
def test_a_trio_that_keeps_it_elsewhere_goes_on_in_its_own_order(core: Any) -> None:
    order: list[int] = []
    with _trio_private.cancelling_in_order(core) as could:
        assert not could
        trio.run(cancel_twenty, order, clock=MockClock(autojump_threshold=0))
    assert sorted(order) == sorted([*range(20), *range(20)])
