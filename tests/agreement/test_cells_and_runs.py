"""Promises P1 to P7: what a run is, which bodies it runs, and in which order.

Each test is named after the promise that it proves; the README links to it. Random programs under random schedules are
judged elsewhere (`test_random_dags`); what is here can be read as examples.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock

from trioflow import CycleError, DefinitionError, RunClosedError, Step, WorkflowStep, run_workflow


def in_virtual_time(workflow: Callable[[Any, WorkflowStep], Any]) -> Any:
    """The output of one run, from a sync test: for properties, which want a new clock for each example."""
    return trio.run(run_workflow, workflow, clock=MockClock(autojump_threshold=0))


def tasks_below(task: trio.lowlevel.Task) -> list[trio.lowlevel.Task]:
    found = [task]
    for t in found:
        for nursery in t.child_nurseries:
            found.extend(nursery.child_tasks)
    return found[1:]


# ------------------------------------------------------------------------------------------------------- P1 nursery


async def test_p1_no_task_of_a_run_is_left_when_it_has_returned_or_raised(autojump_clock: MockClock) -> None:
    running: list[str] = []

    async def workflow(event: Any, step: WorkflowStep) -> str:
        def sleeper(name: str) -> Step[None]:
            @step.do(name)
            async def body() -> None:
                running.append(name)
                try:
                    await trio.sleep(10)
                finally:
                    with trio.CancelScope(shield=True):
                        await trio.sleep(1)
                    running.remove(name)

            return body

        @step.do(depends=[sleeper("a"), sleeper("b"), sleeper("c")], concurrent=True)
        async def everything(a: None, b: None, c: None) -> None: ...

        async with trio.open_nursery() as nursery:
            nursery.start_soon(everything)
            await trio.sleep(1)
            assert len(running) == 3
            if event.payload:
                raise KeyError("the workflow gives up")
            nursery.cancel_scope.cancel()
        return "left"

    here = trio.lowlevel.current_task()
    before = tasks_below(here)
    assert await run_workflow(workflow) == "left"
    assert tasks_below(here) == before
    assert running == []
    with pytest.RaisesGroup(KeyError):  # of the workflow's own nursery
        await run_workflow(workflow, "raise")
    assert tasks_below(here) == before
    assert running == []


async def test_p1_a_body_that_a_stranger_awaits_is_gone_with_the_run(autojump_clock: MockClock) -> None:
    steps: list[Step[None]] = []
    log: list[str] = []

    async def stranger() -> None:
        try:
            await steps[0]()
        except RunClosedError:
            log.append(f"told at {trio.current_time()}")

    async def workflow(event: Any, step: WorkflowStep) -> str:
        @step.do()
        async def forever() -> None:
            try:
                await trio.sleep_forever()
            finally:
                with trio.CancelScope(shield=True):
                    await trio.sleep(2)
                log.append(f"stopped at {trio.current_time()}")

        steps.append(forever)
        nursery.start_soon(stranger)
        await trio.sleep(1)
        return "early"

    async with trio.open_nursery() as nursery:
        assert await run_workflow(workflow) == "early"
        log.append(f"returned at {trio.current_time()}")
    assert log[0] == "stopped at 3.0"
    assert sorted(log[1:]) == ["returned at 3.0", "told at 3.0"]


# ---------------------------------------------------------------------------------------------------------- P2 lazy


async def test_p2_declaring_runs_nothing_and_what_nobody_needs_never_runs(autojump_clock: MockClock) -> None:
    ran: list[str] = []

    async def workflow(event: Any, step: WorkflowStep) -> None:
        @step.do()
        def needed() -> None:
            ran.append("needed")

        @step.do()
        def unneeded() -> None:
            ran.append("unneeded")

        @step.do(depends=[needed])
        def wanted(value: None) -> None:
            ran.append("wanted")

        @step.do(depends=[wanted, unneeded])
        def on_top(one: None, other: None) -> None:
            ran.append("on top")

        await trio.sleep(5)
        assert ran == []
        await wanted()
        await trio.sleep(5)
        assert unneeded.status == on_top.status == "pending"
        assert unneeded.reason == "never started: nobody has needed it"

    await run_workflow(workflow)
    assert ran == ["needed", "wanted"]


# ----------------------------------------------------------------------------------------------------- P3 once only


@pytest.mark.parametrize(("width", "depth"), [(2, 12), (3, 8), (4, 5)])
def test_p3_fully_connected_layers_run_each_step_once(width: int, depth: int) -> None:
    """The original runs these 4,097, 3,283 and 345 times."""
    ran: list[str] = []

    async def workflow(event: Any, step: WorkflowStep) -> int:
        layer: list[Step[int]] = []
        for level in range(depth):
            above: list[Step[int]] = []
            for i in range(width):

                @step.do(f"{level}-{i}", depends=layer, concurrent=True)
                async def node(*values: int, name: str = f"{level}-{i}") -> int:
                    ran.append(name)
                    await trio.lowlevel.checkpoint()
                    return 1 + max(values, default=0)

                above.append(node)
            layer = above

        @step.do(depends=layer, concurrent=True)
        async def join(*values: int) -> int:
            return max(values)

        return await join()

    assert in_virtual_time(workflow) == depth
    assert len(ran) == len(set(ran)) == width * depth


async def test_p3_a_step_that_still_waits_for_its_own_dependencies_is_shared(autojump_clock: MockClock) -> None:
    """Case 24: the original starts R twice here."""
    ran: list[str] = []

    async def workflow(event: Any, step: WorkflowStep) -> None:
        def node(name: str, *needs: Step[Any]) -> Step[Any]:
            @step.do(name, depends=needs, concurrent=True)
            async def body(*values: Any) -> None:
                ran.append(name)
                await trio.sleep(1)

            return body

        r = node("R", node("Z"))
        await node("J", node("L", r), node("Q", r))()

    await run_workflow(workflow)
    assert sorted(ran) == ["J", "L", "Q", "R", "Z"]


async def test_p3_everybody_who_awaits_gets_the_one_outcome(autojump_clock: MockClock) -> None:
    async def workflow(event: Any, step: WorkflowStep) -> None:
        runs: list[object] = []
        got: list[object] = []

        @step.do()
        async def value() -> object:
            runs.append(None)
            await trio.sleep(1)
            return object()

        async def ask(delay: float) -> None:
            await trio.sleep(delay)
            got.append(await value())

        async with trio.open_nursery() as nursery:
            for delay in (0, 0, 0.5, 1, 2):
                nursery.start_soon(ask, delay)
        got.append(await value())
        assert len(runs) == 1
        assert len(got) == 6
        assert len(set(map(id, got))) == 1

    await run_workflow(workflow)


# --------------------------------------------------------------------------------------------------------- P4 order


async def test_p4_values_come_by_position_and_by_name_in_one_workflow(autojump_clock: MockClock) -> None:
    async def workflow(event: Any, step: WorkflowStep) -> Any:
        @step.do("fetch users")
        async def users() -> list[str]:
            return ["ann", "bob"]

        @step.do("orders")
        def any_function_name() -> list[int]:
            return [1, 2, 3]

        @step.do(depends=[any_function_name, users, users])
        def by_position(first: list[int], second: list[str], *rest: list[str]) -> tuple[Any, ...]:
            return (first, second, rest)

        @step.do()
        async def by_name(users: list[str], ctx: Any, orders: list[int], factor: int = 10, *, by_position: Any) -> Any:
            return (users, orders, factor, by_position, ctx.step.name)

        return await by_name()

    assert await run_workflow(workflow) == (
        ["ann", "bob"],
        [1, 2, 3],
        10,
        ([1, 2, 3], ["ann", "bob"], (["ann", "bob"],)),
        "by_name",
    )


async def test_p4_a_body_starts_only_after_all_its_dependencies_have_succeeded(autojump_clock: MockClock) -> None:
    log: list[str] = []

    async def workflow(event: Any, step: WorkflowStep) -> None:
        def node(name: str, seconds: float, *needs: Step[Any]) -> Step[Any]:
            @step.do(name, depends=needs, concurrent=True)
            async def body(*values: Any) -> None:
                log.append(f"{name} begins")
                await trio.sleep(seconds)
                log.append(f"{name} ends")

            return body

        await node("top", 1, node("slow", 3), node("quick", 1))()

    await run_workflow(workflow)
    assert sorted(log[:2]) == ["quick begins", "slow begins"]
    assert log[2:] == ["quick ends", "slow ends", "top begins", "top ends"]


@pytest.mark.parametrize("by_name", [True, False], ids=["top by name", "top by depends"])
async def test_p4_a_step_that_a_sequence_comes_to_waits_for_all_that_it_needs(by_name: bool) -> None:
    """The sequence hears first that `b` is done, and begins `pair`, which needs `b`, too, and must not count it again."""

    async def workflow(event: Any, step: WorkflowStep) -> Any:
        @step.do()
        async def a() -> str:
            return "a"

        @step.do()
        async def b() -> str:
            return "b"

        @step.do(concurrent=True)
        async def pair(b: str, a: str) -> str:
            return f"{b} {a}"

        @step.do(depends=None if by_name else [b, pair])
        async def top(b: str, pair: str) -> str:
            return pair

        return await top()

    assert await run_workflow(workflow) == "b a"


@pytest.mark.parametrize("awaited", ["at once", "later"])
async def test_p4_in_a_loop_a_name_means_its_own_iterations_step(awaited: str, autojump_clock: MockClock) -> None:
    async def workflow(event: Any, step: WorkflowStep) -> list[str]:
        tops: list[Step[str]] = []
        got: list[str] = []
        for word in ("one", "two", "three"):

            @step.do()
            async def load(word: str = word) -> str:
                return word

            @step.do()
            async def shout(load: str) -> str:
                return load.upper()

            if awaited == "at once":
                got.append(await shout())
            tops.append(shout)
        return got or [await top() for top in tops]

    assert await run_workflow(workflow) == ["ONE", "TWO", "THREE"]


async def test_p4_in_a_task_a_name_means_its_own_tasks_step(autojump_clock: MockClock) -> None:
    async def workflow(event: Any, step: WorkflowStep) -> dict[str, str]:
        got: dict[str, str] = {}

        async def handle(word: str, delay: float) -> None:
            @step.do()
            async def load() -> str:
                await trio.sleep(delay)
                return word

            await trio.sleep(delay)

            @step.do()
            async def shout(load: str) -> str:
                return load.upper()

            got[word] = await shout()

        async with trio.open_nursery() as nursery:
            for delay, word in enumerate(("one", "two", "three")):
                nursery.start_soon(handle, word, float(3 - delay))
        return got

    assert await run_workflow(workflow) == {"one": "ONE", "two": "TWO", "three": "THREE"}


async def test_p4_in_a_body_its_own_declarations_come_before_those_of_run(autojump_clock: MockClock) -> None:
    async def workflow(event: Any, step: WorkflowStep) -> tuple[str, str]:
        @step.do()
        async def source() -> str:
            return "of run"

        @step.do()
        async def outer(source: str) -> str:
            @step.do("source")
            async def mine() -> str:
                return "of the body"

            @step.do()
            async def inner(source: str) -> str:
                return source

            return await inner()

        @step.do()
        async def plain(source: str) -> str:
            return source

        return await outer(), await plain()

    assert await run_workflow(workflow) == ("of the body", "of run")


async def test_p4_what_cant_be_told_is_an_error_that_shows_both_places(autojump_clock: MockClock) -> None:
    async def workflow(event: Any, step: WorkflowStep) -> None:
        def declare(value: int) -> None:
            step.do("source")(lambda: value)

        declare(1)

        @step.do()
        async def reads(source: int) -> None: ...

        declare(2)
        with pytest.raises(DefinitionError, match=r"reads.*source.*depends=\[") as caught:
            await reads()
        assert str(caught.value).count(__file__) >= 2

    await run_workflow(workflow)


# --------------------------------------------------------------------------------------------------- P5 concurrency


async def test_p5_sequential_dependencies_run_one_after_the_other_in_declared_order(autojump_clock: MockClock) -> None:
    log: list[tuple[str, float]] = []

    async def workflow(event: Any, step: WorkflowStep) -> None:
        def node(name: str) -> Step[None]:
            @step.do(name)
            async def body() -> None:
                log.append((name, trio.current_time()))
                await trio.sleep(1)

            return body

        b, a, c = node("b"), node("a"), node("c")
        await step.do("all", depends=[a, b, c])(lambda *values: None)()

    await run_workflow(workflow)
    assert log == [("a", 0), ("b", 1), ("c", 2)]


async def test_p5_on_its_own_account_a_sequence_begins_nothing_early(autojump_clock: MockClock) -> None:
    """Somebody else may need a later one at once; then it runs at once, and the sequence finds it done."""
    log: list[tuple[str, float]] = []

    async def workflow(event: Any, step: WorkflowStep) -> None:
        def node(name: str) -> Step[None]:
            @step.do(name)
            async def body() -> None:
                log.append((name, trio.current_time()))
                await trio.sleep(2)

            return body

        a, b, c = node("a"), node("b"), node("c")
        everything = step.do("all", depends=[a, b, c])(lambda *values: None)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(everything)
            await trio.sleep(1)
            nursery.start_soon(c)

    await run_workflow(workflow)
    assert log == [("a", 0), ("c", 1), ("b", 2)]
    assert trio.current_time() == 4


@given(
    layers=st.lists(st.lists(st.integers(0, 5), min_size=1, max_size=4), min_size=1, max_size=5),
    edges=st.randoms(use_true_random=False),
)
def test_p5_with_everything_concurrent_a_run_takes_exactly_the_critical_path(layers: Any, edges: Any) -> None:
    async def workflow(event: Any, step: WorkflowStep) -> None:
        before: list[tuple[Step[Any], float]] = []
        for i, durations in enumerate(layers):
            now: list[tuple[Step[Any], float]] = []
            for j, seconds in enumerate(durations):
                chosen = [pair for pair in before if edges.random() < 0.6]

                async def body(*values: Any, seconds: float = seconds) -> None:
                    if seconds:
                        await trio.sleep(seconds)

                node = step.do(f"{i}-{j}", depends=[s for s, _ in chosen], concurrent=True)(body)
                now.append((node, seconds + max((length for _, length in chosen), default=0)))
            before = now
        began = trio.current_time()
        top = step.do("top", depends=[s for s, _ in before], concurrent=True)(lambda *values: None)
        await top()
        assert trio.current_time() - began == max(length for _, length in before)

    in_virtual_time(workflow)


# ---------------------------------------------------------------------------------------------------------- P6 size


@pytest.mark.slow
@pytest.mark.parametrize("blocking", [False, True])
def test_p6_a_chain_of_100_000_steps_runs(blocking: bool) -> None:
    async def workflow(event: Any, step: WorkflowStep) -> int:
        async def first() -> int:
            return 1

        async def plus_one(value: int) -> int:
            if blocking and value % 1000 == 0:
                await trio.sleep(1)
            return value + 1

        last = step.do("0")(first)
        for i in range(1, 100_000):
            last = step.do(f"{i}", depends=[last])(plus_one)
        return await last()

    assert in_virtual_time(workflow) == 100_000


@pytest.mark.slow
def test_p6_a_chain_by_name_of_20_000_steps_runs() -> None:
    async def workflow(event: Any, step: WorkflowStep) -> int:
        last = step.do("s0")(lambda: 1)
        for i in range(1, 20_000):
            namespace: dict[str, Any] = {}
            exec(f"async def s{i}(s{i - 1}): return s{i - 1} + 1", namespace)
            last = step.do()(namespace[f"s{i}"])
        return await last()

    assert in_virtual_time(workflow) == 20_000


@pytest.mark.slow
@pytest.mark.parametrize("concurrent", [False, True])
def test_p6_a_fan_in_of_100_000_runs(concurrent: bool) -> None:
    async def workflow(event: Any, step: WorkflowStep) -> int:
        async def one() -> int:
            return 1

        leaves = [step.do(f"{i}")(one) for i in range(100_000)]
        return await step.do("sum", depends=leaves, concurrent=concurrent)(lambda *values: sum(values))()

    assert in_virtual_time(workflow) == 100_000


@pytest.mark.slow
def test_p6_a_failure_at_the_bottom_of_a_long_chain_comes_out_at_the_top() -> None:
    async def workflow(event: Any, step: WorkflowStep) -> str:
        async def bottom() -> None:
            await trio.sleep(1)
            raise KeyError("bottom")

        last: Step[Any] = step.do("0")(bottom)
        for i in range(1, 50_000):
            last = step.do(f"{i}", depends=[last])(lambda value: value)
        with pytest.raises(KeyError):
            await last()
        return last.status

    assert in_virtual_time(workflow) == "failed"


@pytest.mark.slow
def test_p6_30_000_dependents_come_and_leave_one_by_one() -> None:
    """Leaving a step must not cost more the more others need it."""

    async def workflow(event: Any, step: WorkflowStep) -> str:
        @step.do()
        async def shared() -> None:
            await trio.sleep(1000)

        dependents = [step.do(f"{i}", depends=[shared])(lambda value: value) for i in range(30_000)]
        async with trio.open_nursery() as nursery:
            scopes = []
            for dependent in dependents:
                scope = trio.CancelScope()

                async def ask(scope: trio.CancelScope = scope, dependent: Step[Any] = dependent) -> None:
                    with scope:
                        await dependent()

                scopes.append(scope)
                nursery.start_soon(ask)
            await trio.sleep(1)
            for scope in scopes[:-1]:
                scope.cancel()
            await trio.sleep(1)
            assert shared.status == "running"
            scopes[-1].cancel()
        return shared.status

    assert in_virtual_time(workflow) == "cancelled"


# ------------------------------------------------------------------------------------------------ P7 early mistakes


async def test_p7_a_cycle_is_reported_with_its_path_and_leaves_the_rest_alone(autojump_clock: MockClock) -> None:
    ran: list[str] = []

    async def workflow(event: Any, step: WorkflowStep) -> None:
        @step.do()
        async def a(c: Any) -> None: ...

        @step.do()
        async def b(a: Any) -> None: ...

        @step.do()
        async def c(b: Any) -> None: ...

        @step.do()
        async def fine() -> str:
            ran.append("fine")
            return "fine"

        @step.do()
        async def leads_to_it(fine: str, a: Any) -> None: ...

        messages = []
        for _ in range(2):
            with pytest.raises(CycleError) as caught:
                await leads_to_it()
            assert caught.value.steps[0] == caught.value.steps[-1]
            assert set(caught.value.steps) == {"a", "b", "c"}
            messages.append(str(caught.value))
        assert messages[0] == messages[1]
        assert all(place.startswith(f"{__file__}:") for place in caught.value.places)
        assert ran == []  # before any body
        assert await fine() == "fine"

    await run_workflow(workflow)


async def test_p7_an_unknown_parameter_is_an_error_with_a_suggestion(autojump_clock: MockClock) -> None:
    ran: list[str] = []

    async def workflow(event: Any, step: WorkflowStep) -> None:
        @step.do()
        async def customers() -> None:
            ran.append("customers")

        @step.do()
        async def report(customers: Any, costumers: Any) -> None: ...

        with pytest.raises(DefinitionError, match=r"report.*costumers.*did you mean.*customers") as caught:
            await report()
        assert caught.value.step == "report"
        assert caught.value.place is not None
        assert caught.value.place.startswith(f"{__file__}:")

    await run_workflow(workflow)
    assert ran == []


async def test_p7_a_step_of_another_run_is_refused_where_it_is_declared(autojump_clock: MockClock) -> None:
    foreign: list[Step[Any]] = []

    async def first(event: Any, step: WorkflowStep) -> None:
        foreign.append(step.do("elsewhere")(lambda: 1))
        declare.append(step)

    declare: list[WorkflowStep] = []

    async def second(event: Any, step: WorkflowStep) -> None:
        with pytest.raises(DefinitionError, match=r"'here'.*'elsewhere'.*a run that is over"):
            step.do("here", depends=foreign)(lambda value: value)
        with pytest.raises(DefinitionError, match=r"number 1 of its depends.*not a step"):
            step.do("here", depends=[print])(lambda value: value)  # type: ignore[list-item]
        with pytest.raises(DefinitionError, match=r"names 1 step.*takes 2"):
            step.do("here", depends=[step.do("one")(lambda: 1)])(lambda a, b: None)
        with pytest.raises(RunClosedError, match="elsewhere"):
            await foreign[0]()

    await run_workflow(first)
    await run_workflow(second)
    with pytest.raises(RunClosedError, match="late"):
        declare[0].do("late")(lambda: 1)


async def test_p7_size_is_no_excuse(autojump_clock: MockClock) -> None:
    """A cycle of two in a large acyclic surrounding is found, and named without it."""

    async def workflow(event: Any, step: WorkflowStep) -> None:
        layer: list[Step[Any]] = [step.do(f"base {i}")(lambda: 0) for i in range(50)]
        for level in range(60):
            layer = [step.do(f"{level} {i}", depends=layer[i : i + 3])(lambda *values: 0) for i in range(50)]

        @step.do()
        async def ping(pong: Any) -> None: ...

        @step.do()
        async def pong(ping: Any) -> None: ...

        top = step.do("top", depends=[*layer, ping])(lambda *values: 0)
        with pytest.raises(CycleError) as caught:
            await top()
        assert sorted(set(caught.value.steps)) == ["ping", "pong"]
        assert math.isclose(len(str(caught.value)), 300, abs_tol=250)

    await run_workflow(workflow)
