"""Which task runs a body: read off Trio's own task tree."""

from __future__ import annotations

import gc
import inspect
import random
import sys
import weakref
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from itertools import pairwise
from typing import Any

import pytest
import trio
from hypothesis import example, given, settings
from hypothesis import strategies as st
from trio.lowlevel import Task, current_task
from trio.testing import MockClock

from trioflow import RunClosedError, Step, WorkflowStep, _lanes, _run, open_run, run_workflow


@asynccontextmanager
async def a_run() -> AsyncIterator[tuple[WorkflowStep, Task]]:
    """The inside of a run, and the task whose nursery the run's is."""
    entered: list[tuple[WorkflowStep, Task]] = []
    ready, over = trio.Event(), trio.Event()

    async def workflow(event: Any, step: WorkflowStep) -> None:
        entered.append((step, current_task()))
        ready.set()
        await over.wait()

    async with open_run(workflow) as run:
        await ready.wait()
        yield entered[0]
        over.set()
        await run.result()


def run_nursery(main: Task) -> trio.Nursery:
    (nursery,) = main.child_nurseries
    return nursery


def nurseries_within(nursery: trio.Nursery) -> list[trio.Nursery]:
    """Those that tasks of a nursery have opened: child nurseries of resolutions, if the nursery is a run's."""
    return [child for task in nursery.child_tasks for child in task.child_nurseries]


def sleepers(step: WorkflowStep, names: str, where: dict[str, Task], seconds: float = 1) -> list[Step[None]]:
    def declare(name: str) -> Step[None]:
        @step.do(name)
        async def body() -> None:
            where[name] = current_task()
            await trio.sleep(seconds)

        return body

    return [declare(name) for name in names]


async def test_concurrent_upstreams_that_block_run_in_a_child_nursery_of_their_demand(
    autojump_clock: MockClock,
) -> None:
    where: dict[str, Task] = {}
    async with a_run() as (step, main):
        top = step.do("top", depends=sleepers(step, "abcd", where), concurrent=True)(lambda *values: None)

        async def look() -> None:
            await trio.sleep(0.5)
            (child,) = nurseries_within(run_nursery(main))
            assert child.parent_task.parent_nursery is run_nursery(main)
            homes = [task.parent_nursery for name, task in sorted(where.items())]
            assert homes.count(child) == 3
            assert homes.count(run_nursery(main)) == 1  # the first to block stays where it began
            assert child.cancel_scope.shield
            assert not child.cancel_scope.cancel_called

        async with trio.open_nursery() as nursery:
            nursery.start_soon(look)
            await top()
        assert len(where) == 4

        # The demand is over: its nursery is idle, and serves the next.
        (child,) = nurseries_within(run_nursery(main))
        assert {task.name for task in child.child_tasks} == {"trioflow lane"}
        second = step.do("second", depends=sleepers(step, "efgh", where), concurrent=True)(lambda *values: None)
        await second()
        assert nurseries_within(run_nursery(main)) == [child]
        assert sum(where[name].parent_nursery is child for name in "efgh") == 3
    assert main.child_nurseries == []


async def test_where_nothing_blocks_no_nursery_is_opened(autojump_clock: MockClock) -> None:
    async with a_run() as (step, main):

        def declare(name: str) -> Step[str]:
            @step.do(name)
            async def body() -> str:
                return name

            return body

        assert await step.do("top", depends=[declare(c) for c in "abcd"], concurrent=True)(lambda *v: v)() == tuple(
            "abcd"
        )
        assert nurseries_within(run_nursery(main)) == []
        assert len(run_nursery(main).child_tasks) <= 1


async def test_a_lane_waits_for_more_only_where_more_has_come(autojump_clock: MockClock) -> None:
    """Most small runs await one step: what waits then has to be told to end."""
    async with a_run() as (step, main):
        for waiting in (0, 1, 1):
            assert await step.do("one more")(lambda: 1)() == 1
            assert len(run_nursery(main).child_tasks) == waiting


async def test_a_chain_of_bodies_that_block_needs_one_lane(autojump_clock: MockClock) -> None:
    where: dict[str, Task] = {}
    async with a_run() as (step, main):
        last: Step[Any] = step.do("0")(lambda: None)
        for i in range(20):

            async def body(value: None, i: int = i) -> None:
                where[f"{i}"] = current_task()
                await trio.sleep(1)

            last = step.do(f"{i + 1}", depends=[last])(body)
        await last()
        assert nurseries_within(run_nursery(main)) == []
    assert len(set(where.values())) <= 2


class Turns(trio.abc.Instrument):
    """Counts turns of Trio's loop."""

    count = 0

    def before_io_wait(self, timeout: float) -> None:
        self.count += 1


@given(
    asleep=st.sets(st.integers(0, 999)) | st.integers(0, 1000).map(lambda n: set(range(n))), seed=st.integers(0, 1000)
)
@example(asleep=set(), seed=0)
@example(asleep=set(range(1000)), seed=0)
@example(asleep=set(range(0, 1000, 2)), seed=0)
@settings(deadline=None, max_examples=10)
def test_a_thousand_bodies_have_all_begun_after_some_fifty_turns(asleep: set[int], seed: int) -> None:
    """Whichever of them block for long, and with no more tasks than it takes where they don't."""
    turns, begun_after, tasks = Turns(), [], set[Task]()
    order = random.Random(seed).sample(range(1000), 1000)

    async def workflow(event: Any, step: WorkflowStep) -> None:
        def declare(number: int) -> Step[None]:
            @step.do(f"{number}")
            async def body() -> None:
                begun_after.append(turns.count)
                tasks.add(current_task())
                if number in asleep:
                    await trio.sleep(1000)
                else:
                    await trio.lowlevel.checkpoint()

            return body

        trio.lowlevel.add_instrument(turns)
        await step.do("top", depends=[declare(number) for number in order], concurrent=True)(lambda *values: None)()

    trio.run(run_workflow, workflow, clock=MockClock(autojump_threshold=0))
    assert len(begun_after) == 1000
    assert max(begun_after) <= 90
    assert len(tasks) <= len(asleep) + (250 if asleep else 60)


async def test_a_body_that_was_stopped_leaves_nothing_to_the_collector(autojump_clock: MockClock) -> None:
    """Its Cancelled has a traceback with our frames in it: one that held the Cancelled would keep all of them alive."""
    stopped: list[weakref.ref[BaseException]] = []

    class Cancellation:
        """Dies with the frame that the Cancelled was raised in."""

    async with a_run() as (step, _):

        @step.do()
        async def sleeper() -> None:
            here = Cancellation()
            stopped.append(weakref.ref(here))
            await trio.sleep_forever()

        @step.do()
        async def fails() -> None:
            await trio.sleep(1)
            raise ValueError

        gc.collect()
        gc.disable()
        try:
            with pytest.raises(ValueError):  # noqa: PT011
                await step.do("top", depends=[sleeper, fails], concurrent=True)(lambda a, b: None)()
            assert [reference() for reference in stopped] == [None]
        finally:
            gc.enable()


async def test_a_failure_in_one_resolution_leaves_another_demands_bodies_alone(autojump_clock: MockClock) -> None:
    where: dict[str, Task] = {}
    stopped: list[str] = []
    async with a_run() as (step, main):

        @step.do()
        async def bad() -> None:
            await trio.sleep(0.5)
            raise ValueError("boom")

        one = step.do("one", depends=[*sleepers(step, "abc", where), bad], concurrent=True)(lambda *values: None)
        other = step.do("other", depends=sleepers(step, "def", where), concurrent=True)(lambda *values: "fine")
        got: list[str] = []

        async def ask() -> None:
            got.append(await other())

        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask)
            with pytest.raises(ValueError, match="boom"):
                await one()
            assert trio.current_time() == pytest.approx(0.5)
            homes = {where[name].parent_nursery for name in "def"} - {run_nursery(main)}
            (home,) = homes
            assert {task.name for task in home.child_tasks} >= {"e", "f"}
        assert got == ["fine"]
    assert stopped == []


async def test_a_body_stays_in_its_home_when_the_demand_that_began_it_has_gone(autojump_clock: MockClock) -> None:
    """No ownership, no handing over: it runs on for somebody else where it is."""
    where: dict[str, Task] = {}
    async with a_run() as (step, _):
        nodes = sleepers(step, "abc", where, seconds=5)
        top = step.do("top", depends=nodes, concurrent=True)(lambda *values: None)
        got: list[str] = []

        async def ask(name: str, node: Step[None]) -> None:
            await node()
            got.append(name)

        async with trio.open_nursery() as nursery:
            with trio.move_on_after(1):
                nursery.start_soon(ask, "b", nodes[1])
                nursery.start_soon(ask, "c", nodes[2])
                await top()
            assert [node.status for node in nodes] == ["cancelled", "running", "running"]
        assert sorted(got) == ["b", "c"]
        await trio.testing.wait_all_tasks_blocked()
        assert len(where) == 3


def longest_gap(turns: list[int]) -> int:
    """Bodies between two turns of a ticker. Trio may let a task go last in one batch and first in the next."""
    return max(b - a for a, b in pairwise(turns))


@pytest.mark.parametrize("body", ["sync", "async"])
async def test_other_tasks_have_their_turn_while_many_quick_bodies_run(body: str) -> None:
    turns: list[int] = []

    async def ticker() -> None:
        while True:
            turns.append(len(ran))
            await trio.lowlevel.checkpoint()

    ran: list[None] = []
    async with a_run() as (step, _), trio.open_nursery() as nursery:

        async def quick() -> None:
            ran.append(None)

        fn: Callable[[], Any] = quick if body == "async" else lambda: ran.append(None)
        nodes = [step.do(f"{i}")(fn) for i in range(1000)]
        nursery.start_soon(ticker)
        await step.do("top", depends=nodes, concurrent=True)(lambda *values: None)()
        nursery.cancel_scope.cancel()
    assert longest_gap(turns) <= 2 * _lanes.TURNS


async def test_slow_sync_bodies_let_others_have_their_turn_sooner(monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock is the machine's, as it is the machine's time that is taken; here it is counted instead of waited for."""
    now = [0.0]
    monkeypatch.setattr(_lanes, "perf_counter", lambda: now[0])
    turns = [0]
    ran: list[None] = []

    def slow() -> None:
        ran.append(None)
        now[0] += _lanes.SLICE * 0.4

    async def ticker() -> None:
        while True:
            turns.append(len(ran))
            await trio.lowlevel.checkpoint()

    async with a_run() as (step, _), trio.open_nursery() as nursery:
        nursery.start_soon(ticker)
        nodes = [step.do(f"{i}")(slow) for i in range(60)]
        await step.do("top", depends=nodes, concurrent=True)(lambda *values: None)()
        nursery.cancel_scope.cancel()
    assert longest_gap([*turns, len(nodes)]) <= 2 * 3


async def test_a_scope_that_a_body_leaves_open_is_that_steps_failure(autojump_clock: MockClock) -> None:
    async def numbers() -> AsyncIterator[int]:
        with trio.move_on_after(2):
            yield 1
            yield 2

    kept: list[Any] = []
    async with a_run() as (step, _):

        @step.do()
        async def careless() -> int:
            generator = numbers()
            kept.append(generator)
            async for number in generator:
                return number
            raise AssertionError

        @step.do()
        async def following() -> int:
            await trio.sleep(5)
            return 2

        with pytest.raises(RuntimeError, match="corrupted"):
            await careless()
        assert await following() == 2


async def test_a_plain_function_that_gives_a_coroutine_is_awaited(autojump_clock: MockClock) -> None:
    async def later() -> str:
        await trio.sleep(1)
        return "later"

    async def at_once() -> str:
        return "at once"

    async with a_run() as (step, _):
        assert await step.do("one")(lambda: later())() == "later"
        assert await step.do("other")(lambda: at_once())() == "at once"


class Later:
    """Awaitable, and no coroutine."""

    def __await__(self) -> Iterator[Any]:
        yield from trio.sleep(1).__await__()  # noqa: ASYNC105
        return "later"


@pytest.mark.skipif(sys.version_info < (3, 12), reason="functions can't be marked as coroutine functions")
@pytest.mark.parametrize("config", [None, {"timeout": "2 seconds"}])
async def test_a_function_that_is_marked_as_a_coroutine_function_may_return_any_awaitable(
    config: Any, autojump_clock: MockClock
) -> None:
    marked: Any = inspect.markcoroutinefunction(lambda: Later())  # type: ignore[attr-defined,unused-ignore]
    async with a_run() as (step, _):
        assert await step.do("marked", config=config)(marked)() == "later"


async def test_a_plain_function_that_raises_stop_iteration_fails(autojump_clock: MockClock) -> None:
    """It is no coroutine that has returned. What Python makes of it in an `async def` is a RuntimeError."""

    def stops() -> None:
        raise StopIteration(5)

    async with a_run() as (step, _):
        node = step.do("stops")(stops)
        with pytest.raises(RuntimeError) as caught:
            await node()
        assert isinstance(caught.value.__cause__, StopIteration)
        assert node.status == "failed"


async def test_errors_of_a_group_that_a_stopped_body_leaves_are_its_outcome(autojump_clock: MockClock) -> None:
    """The body's nursery raises Cancelled and a KeyError at once: Trio takes the Cancelled out, the rest counts."""
    async with a_run() as (step, _):

        @step.do()
        async def body() -> None:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(trio.sleep_forever)
                try:
                    await trio.sleep_forever()
                finally:
                    raise KeyError("while stopping")

        with trio.move_on_after(1), pytest.RaisesGroup(KeyError):
            await body()
        assert body.status == "failed"


async def test_a_stray_cancelled_ends_the_run_with_a_word_about_it() -> None:
    """A Cancelled that is none of ours nor of Trio's scopes: somebody kept one and raised it again."""

    async def workflow(event: Any, step: WorkflowStep) -> None:
        kept: list[BaseException] = []
        with trio.CancelScope() as scope:
            scope.cancel()
            try:
                await trio.lowlevel.checkpoint()
            except trio.Cancelled as exc:
                kept.append(exc)

        @step.do()
        async def stray() -> None:
            raise kept[0]

        await stray()

    with pytest.raises(BaseException, match="a cancellation that was none of trioflow's") as caught:
        await run_workflow(workflow)
    assert isinstance(caught.value, RunClosedError)  # to pytest-trio a Cancelled out of a test is a success


@given(
    turns=st.sampled_from([1, 2, 64]),
    spree=st.sampled_from([1, 2, 8]),
    parked=st.sampled_from([0, 1, 64]),
    spare=st.sampled_from([0, 1, 8]),
    seed=st.integers(0, 1000),
)
def test_the_constants_are_a_matter_of_speed_only(turns: int, spree: int, parked: int, spare: int, seed: int) -> None:
    """Random layers of bodies that block or not, awaited by several tasks: same values, same virtual time."""
    chance = random.Random(seed)
    durations = [[chance.choice([0, 0, 1, 2]) for _ in range(4)] for _ in range(4)]

    async def workflow(event: Any, step: WorkflowStep) -> tuple[list[int], float]:
        layer: list[Step[int]] = []
        for i, row in enumerate(durations):

            def declare(i: int, j: int, seconds: int, needs: list[Step[int]]) -> Step[int]:
                @step.do(f"{i}-{j}", depends=needs, concurrent=True)
                async def body(*values: int) -> int:
                    if seconds:
                        await trio.sleep(seconds)
                    return 1 + sum(values)

                return body

            layer = [declare(i, j, seconds, layer) for j, seconds in enumerate(row)]
        got: list[int] = []

        async def ask(node: Step[int]) -> None:
            got.append(await node())

        async with trio.open_nursery() as nursery:
            for node in layer:
                nursery.start_soon(ask, node)
        return got, trio.current_time()

    def outcome() -> Any:
        return trio.run(run_workflow, workflow, clock=MockClock(autojump_threshold=0))

    usual = outcome()
    with pytest.MonkeyPatch.context() as patch:
        for module, name, value in (
            (_lanes, "TURNS", turns),
            (_lanes, "SPREE", spree),
            (_lanes, "PARKED", parked),
            (_run, "SPARE", spare),
        ):
            patch.setattr(module, name, value)
        assert outcome() == usual
