"""`explore` finds races that were planted, explains them by as few deviations as can be, and leaves alone what has none."""

from __future__ import annotations

import itertools
import os
import random
import re
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio
from hypothesis import find, given, settings
from hypothesis import strategies as st
from hypothesis.errors import NoSuchExample
from trio.lowlevel import checkpoint

from examples.races.first_come import cheapest
from examples.races.lost_update import LostUpdate
from examples.races.stale_check import Booking
from trioflow import DefinitionError, Retries, StepConfig, WorkflowEntrypoint, WorkflowStep
from trioflow.testing import (
    Explored,
    Holds,
    Picks,
    RandomWalk,
    Schedule,
    ScheduleError,
    SingleHolds,
    Systematic,
    explore,
    replay,
    seeded,
)
from trioflow.testing.schedules import Chooser
from trioflow.testing.strategies import schedules

# ------------------------------------------------------------------------------------------- the races in the examples


def all_there(balance: int) -> bool:
    return balance == 112


def has_a_seat(booked: dict[str, bool]) -> bool:
    return booked["seat"] or not booked["ticket"]


RACES: list[tuple[Any, dict[str, Any], str]] = [
    (LostUpdate, {"check": all_there}, r"check\((105|107)\) is False"),
    (cheapest, {}, "it returns 'airport', but returns 'station' in the default order"),
    (
        Booking,
        {"check": has_a_seat, "same": False},
        r"check\(\{'seat': False, 'ticket': True\}\) is False",
    ),
]
HOW: list[int | Systematic | SingleHolds] = [200, Systematic(), Systematic(3), SingleHolds()]


def found(workflow: Any, params: object = None, **options: Any) -> ScheduleError:
    with pytest.raises(ScheduleError) as caught:
        explore(workflow, params, **options)
    return caught.value


@pytest.mark.parametrize("schedules", HOW, ids=str)
@pytest.mark.parametrize(("workflow", "options", "said"), RACES, ids=["lost update", "first come", "stale check"])
def test_every_search_finds_the_races(
    workflow: Any, options: dict[str, Any], said: str, schedules: int | Systematic | SingleHolds
) -> None:
    began = time.perf_counter()
    error = found(workflow, schedules=schedules, **options)
    assert time.perf_counter() - began < 10
    assert f"{error.timeline}\n" in str(error)
    first_line, _, rest = str(error).partition("\n")
    assert re.search(said, first_line)
    assert isinstance(error.schedule, Holds)
    assert len(error.schedule.holds) == 1, "each of them takes one task that comes late"
    assert rest.count("\n>") <= 2


@pytest.mark.parametrize(("workflow", "options", "said"), RACES, ids=["lost update", "first come", "stale check"])
def test_a_race_is_replayed_from_its_seed_every_time(workflow: Any, options: dict[str, Any], said: str) -> None:
    error = found(workflow, **options)
    assert error.seed is not None
    assert f"explore(…, seed={error.seed}) finds it again" in str(error)
    for _ in range(3):
        again = found(workflow, seed=error.seed, **options)
        assert again.seed == error.seed
        assert again.schedule == error.schedule
        assert again.timeline == error.timeline
    assert error.schedule is not None
    results = {repr(replay(workflow, schedule=error.schedule)) for _ in range(3)}
    assert len(results) == 1
    assert results != {repr(replay(workflow))}


@pytest.mark.slow
def test_another_process_finds_the_same() -> None:
    """With other hashes, and other places in memory."""
    code = (
        "from examples.races.stale_check import Booking\n"
        "from trioflow.testing import ScheduleError, explore\n"
        "try:\n    explore(Booking, check=lambda booked: booked['seat'] or not booked['ticket'], same=False)\n"
        "except ScheduleError as error:\n    print(error)\n"
    )
    here = Path(__file__).parents[1]
    for seed in "12":
        done = subprocess.run(
            [sys.executable, "-c", code],
            cwd=here,
            env={**os.environ, "PYTHONPATH": str(here), "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout == f"{found(Booking, check=has_a_seat, same=False)}\n"


@pytest.mark.slow
def test_hypothesis_draws_an_order_and_shrinks_it() -> None:
    options = settings(max_examples=3_000, database=None, derandomize=True, deadline=None)
    for workflow, bad, holds in [
        (LostUpdate, lambda balance: not all_there(balance), [(0, 2)]),
        (cheapest, lambda shop: shop == "airport", [(3, 1)]),
        (Booking, lambda booked: not has_a_seat(booked), [(3, 1)]),
    ]:

        def goes_wrong(schedule: Schedule, workflow: Any = workflow, bad: Callable[[Any], bool] = bad) -> bool:
            return bad(replay(workflow, schedule=schedule))

        assert len(find(schedules(), goes_wrong, settings=options).holds) == len(holds)


# ---------------------------------------------------------------------------------------------------- planted by number


@attrs.frozen
class Planted:
    """A workflow of some bodies of some steps each, that goes wrong if one body makes its last step before another's first."""

    steps: tuple[int, ...]
    late: int
    early: int

    def __call__(self, event: Any, step: WorkflowStep) -> Any:
        return self.run(step)

    async def run(self, step: WorkflowStep) -> None:
        begun: set[int] = set()

        async def body(number: int) -> None:
            begun.add(number)
            for _ in range(self.steps[number]):
                await checkpoint()
            if number == self.early and self.late not in begun:
                raise ArithmeticError("too early")

        bodies = [step.do(f"body {n}")(partial(body, n)) for n in range(len(self.steps))]
        await step.do("all", depends=bodies, concurrent=True)(lambda *_: None)()


@pytest.mark.slow
@settings(max_examples=15, deadline=None)
@given(st.lists(st.integers(1, 4), min_size=2, max_size=4), st.data())
def test_an_order_that_has_to_be_is_found_and_is_one_hold(steps: list[int], data: st.DataObject) -> None:
    late = data.draw(st.integers(0, len(steps) - 1))
    early = data.draw(st.integers(0, len(steps) - 1).filter(lambda n: n != late))
    error = found(Planted(tuple(steps), late, early), schedules=400)
    assert isinstance(error.schedule, Holds)
    assert len(error.schedule.holds) == 1
    assert isinstance(error.__cause__, ArithmeticError)
    assert "ArithmeticError: too early" in str(error)


def three_in_a_row(event: Any, step: WorkflowStep) -> Any:
    """Goes wrong only if c comes before b, and b before a."""
    order: list[str] = []

    def body(name: str) -> Any:
        return step.do(name)(lambda: order.append(name))

    def all_of_them(*_: None) -> None:
        assert order != ["c", "b", "a"], "the other way round"

    return step.do("all", depends=[body(name) for name in "abc"], concurrent=True)(all_of_them)()


def test_where_one_hold_is_not_enough_the_deviations_are_few() -> None:
    error = found(three_in_a_row)
    assert error.schedule == Picks([2, 1])
    assert isinstance(error.__cause__, AssertionError)
    assert found(three_in_a_row, schedules=Systematic()).schedule == Picks([2, 1])
    assert explore(three_in_a_row, schedules=Systematic(2)).complete
    one_late = explore(three_in_a_row, schedules=SingleHolds())
    assert (one_late.complete, one_late.interleavings) == (True, 4)
    with pytest.raises(AssertionError, match="the other way round") as caught:
        replay(three_in_a_row, schedule=Picks([2, 1]))
    assert "under the schedule Picks([2, 1])" in caught.value.__notes__[0]


def test_of_many_deviations_those_that_make_no_difference_are_taken_out() -> None:
    async def with_idlers(event: Any, step: WorkflowStep) -> None:
        async def idle() -> None:
            for _ in range(4):
                await checkpoint()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(idle, name="idle")
            nursery.start_soon(idle, name="idle, too")
            await three_in_a_row(event, step)

    error = found(with_idlers, same=False)
    assert isinstance(error.schedule, Picks)
    assert 1 <= sum(pick > 0 for pick in error.schedule.picks) <= 6
    assert error.schedule.picks[-1]


def test_a_schedule_of_ones_own_is_explained_by_fewer_deviations() -> None:
    @attrs.frozen
    class Moody:
        """Whoever came last goes first."""

        def chooser(self) -> Chooser:
            return lambda waiting: len(waiting) - 1

    error = found(three_in_a_row, schedules=[Moody()])
    assert error.seed is None
    assert error.schedule == Picks([2, 1])
    assert "explore(…, schedules=[" in str(error)


# --------------------------------------------------------------------------------------------------- no false alarms


@st.composite
def race_free(draw: st.DrawFn) -> tuple[list[tuple[tuple[int, ...], tuple[int, ...], bool]]]:
    """Bodies that say what they receive: each with its dependencies, its pauses, and whether it is concurrent."""
    nodes = []
    for i in range(draw(st.integers(1, 5))):
        before = tuple(draw(st.sets(st.integers(0, i - 1), max_size=3))) if i else ()
        nodes.append((before, tuple(draw(st.lists(st.integers(0, 2), max_size=3))), draw(st.booleans())))
    return (nodes,)


@pytest.mark.slow
@settings(max_examples=40, deadline=None)
@given(race_free(), st.sampled_from([15, Systematic(1, limit=15)]))
def test_what_has_no_race_raises_no_alarm(drawn: Any, how: int | Systematic) -> None:
    (nodes,) = drawn

    async def workflow(event: Any, step: WorkflowStep) -> Any:
        steps: list[Any] = []
        for i, (before, pauses, concurrent) in enumerate(nodes):

            async def body(*values: Any, i: int = i, pauses: Any = pauses) -> Any:
                for pause in pauses:
                    await trio.sleep(pause)
                return {i: values}

            depends = [steps[d] for d in before]
            steps.append(step.do(f"s{i}", depends=depends, concurrent=concurrent)(body))
        results = {}
        async with trio.open_nursery() as nursery:
            for number, one in enumerate(steps):

                async def ask(number: int = number, one: Any = one) -> None:
                    results[number] = await one()

                nursery.start_soon(ask)
        return results, event.timestamp, trio.current_time(), object()

    assert explore(workflow, schedules=how).schedules >= 1


def test_chance_is_the_same_in_every_run_and_what_it_was_outside() -> None:
    async def workflow(event: Any, step: WorkflowStep) -> Any:
        @step.do(config=StepConfig(retries=Retries(1, "10 seconds", jitter=0.9)))
        async def tried(ctx: Any) -> float:
            if ctx.attempt == 1:
                raise OSError("again")
            return random.random()

        return await tried(), trio.current_time()

    random.seed(7)
    expected = random.random()
    random.seed(7)
    explore(workflow, schedules=20)
    assert random.random() == expected
    assert replay(workflow) == replay(workflow, schedule=5)


def test_params_are_each_runs_own() -> None:
    params = {"items": [3, 1, 2]}

    async def workflow(event: Any, step: WorkflowStep) -> Any:
        event.payload["items"].append(len(event.payload["items"]))
        return event.payload["items"]

    explore(workflow, params, schedules=5)
    assert params == {"items": [3, 1, 2]}
    assert replay(workflow, params) == [3, 1, 2, 3]
    with pytest.raises(TypeError, match="params have to be copied for each run, and these can't be"):
        explore(workflow, {"items": (i for i in ())})


# ------------------------------------------------------------------------------------------------------- what is wrong


def test_an_exception_is_wrong_unless_it_is_allowed() -> None:
    async def workflow(event: Any, step: WorkflowStep) -> None:
        raise LookupError("nothing there")

    error = found(workflow)
    assert str(error).startswith(
        "workflow goes wrong in the default order of its tasks (schedule 1): LookupError: nothing there\n"
    )
    assert error.schedule == Holds()
    assert error.seed == 0
    assert error.__cause__ is not None
    assert error.__cause__.__traceback__ is not None
    assert explore(workflow, schedules=3, allow=LookupError).schedules == 3
    assert explore(workflow, schedules=3, allow=(KeyError, LookupError)).schedules == 3
    assert found(workflow, allow=KeyError)


@pytest.mark.slow
def test_an_exception_that_is_allowed_has_to_be_the_same_in_every_order() -> None:
    async def workflow(event: Any, step: WorkflowStep) -> Any:
        async def fails(name: str) -> None:
            await trio.sleep(1)
            raise ValueError(name)

        both = [step.do(name)(partial(fails, name)) for name in "ab"]
        await step.do("both", depends=both, concurrent=True)(lambda a, b: None)()

    error = found(workflow, allow=ValueError)
    assert "it raises ValueError(args=('b',)), but raises ValueError(args=('a',)) in the default order" in str(error)
    assert explore(workflow, allow=ValueError, same=False)


def test_a_check_may_raise_or_return_false() -> None:
    async def workflow(event: Any, step: WorkflowStep) -> list[int]:
        return [1] * 300

    def check(result: Any) -> None:
        assert len(result) < 300, "too many"

    error = found(workflow, check=check)
    assert "raises AssertionError: too many" in str(error)
    assert isinstance(error.__cause__, AssertionError)
    assert "is False" in str(found(workflow, check=lambda result: False))
    assert explore(workflow, schedules=2, check=lambda result: None)
    assert explore(workflow, schedules=2, check=lambda result: 0)


@pytest.mark.slow
def test_results_that_differ_are_shown_and_not_all_of_them() -> None:
    async def workflow(event: Any, step: WorkflowStep) -> list[str]:
        order: list[str] = []
        bodies = [step.do(name)(partial(order.append, name * 150)) for name in "ab"]
        await step.do("all", depends=bodies, concurrent=True)(lambda *_: None)()
        return order

    line = str(found(workflow)).partition("\n")[0]
    assert "it returns ['bbb" in line
    assert "but returns ['aaa" in line
    assert len(line) < 600
    assert explore(workflow, same=False)
    assert explore(workflow, same=False, schedules=Systematic()).interleavings == 2


def test_a_deadlock_is_found() -> None:
    async def workflow(event: Any, step: WorkflowStep) -> None:
        one, other = trio.Lock(), trio.Lock()

        async def take(first: trio.Lock, second: trio.Lock, pauses: int) -> None:
            for _ in range(pauses):
                await checkpoint()
            async with first, second:
                pass

        left = step.do("left")(partial(take, one, other, 0))
        right = step.do("right")(partial(take, other, one, 4))
        await step.do("both", depends=[left, right], concurrent=True)(lambda *_: None)()

    error = found(workflow)
    assert "Stuck: all tasks are blocked" in str(error)
    assert "left over:" in str(error)
    assert "  left waits at test_testing_exploring.py:" in error.timeline


def test_a_run_that_does_not_end_is_found() -> None:
    async def workflow(event: Any, step: WorkflowStep) -> None:
        ready = False

        @step.do()
        async def wait() -> None:
            while not ready:  # noqa: ASYNC110 - what it waits for never comes
                await trio.sleep(1)

        await wait()

    assert "Endless: the program has not ended after 500 turns" in str(found(workflow, turns=500))


def test_what_is_no_exception_goes_through() -> None:
    async def workflow(event: Any, step: WorkflowStep) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        explore(workflow)


def test_what_something_else_decides_is_told_as_such() -> None:
    calls = itertools.count()

    async def workflow(event: Any, step: WorkflowStep) -> None:
        if next(calls) == 3:
            raise OSError("once")

    error = found(workflow)
    assert "doesn't when it is run again in the same order (seed=3)" in str(error)
    assert "`deterministic` may find out what" in str(error)
    assert isinstance(error.__cause__, OSError)


def test_what_goes_wrong_in_another_way_is_not_taken_for_it() -> None:
    """While it looks for a shorter order it comes to others, in which something else is wrong."""
    calls = itertools.count()

    async def workflow(event: Any, step: WorkflowStep) -> None:
        order: list[str] = []
        bodies = [step.do(name)(partial(order.append, name)) for name in "abc"]
        await step.do("all", depends=bodies, concurrent=True)(lambda *_: None)()
        next(calls)
        if order == ["c", "b", "a"]:
            raise ValueError("this one")
        if order != ["a", "b", "c"] and next(calls) > 20:
            raise KeyError("another one")

    error = found(workflow, schedules=[Picks([2, 1])])
    assert isinstance(error.__cause__, ValueError)
    assert error.schedule == Picks([2, 1])


# ----------------------------------------------------------------------------------------------------- what is looked at


def test_a_schedule_that_is_not_the_same_each_time_is_shown_as_it_is() -> None:
    @attrs.frozen
    class Worse:
        """Goes wrong by what it does besides."""

        def chooser(self) -> Chooser:
            broken.append(1)
            return lambda waiting: 0

    broken: list[int] = []

    async def workflow(event: Any, step: WorkflowStep) -> None:
        bodies = [step.do(name)(checkpoint) for name in "ab"]
        await step.do("all", depends=bodies, concurrent=True)(lambda *_: None)()
        if broken:
            broken.clear()
            raise ArithmeticError("it is the schedule's fault")

    error = found(workflow, schedules=[Worse()])
    assert error.schedule == Worse()


def test_statistics_say_what_was_looked_at() -> None:
    async def workflow(event: Any, step: WorkflowStep) -> None:
        async def body() -> None:
            await checkpoint()

        both = [step.do(name)(body) for name in "ab"]
        await step.do("both", depends=both, concurrent=True)(lambda *_: None)()

    everything = explore(workflow, schedules=Systematic())
    assert (everything.schedules, everything.interleavings, everything.complete) == (6, 6, True)
    assert str(everything).startswith("6 schedules, 6 different interleavings, which is all there are, ")
    drawn = explore(workflow, schedules=100)
    assert (drawn.schedules, drawn.interleavings, drawn.complete) == (100, 6, False)
    assert "all there are" not in str(drawn)
    few = explore(workflow, schedules=Systematic(1))
    assert (few.schedules, few.complete) == (4, True)
    cut = explore(workflow, schedules=Systematic(limit=3))
    assert (cut.schedules, cut.complete) == (3, False)
    assert explore(workflow, schedules=Systematic(), fair=True).schedules < 6
    assert isinstance(drawn, Explored)
    given = explore(workflow, schedules=[Holds([(0, 1)]), 7, RandomWalk(3)])
    assert given.schedules == 4, "and the default order, to compare with"


def test_any_trio_program_will_do() -> None:
    async def program() -> str:
        order = ""

        async def worker(name: str) -> None:
            nonlocal order
            await trio.sleep(1)
            order += name

        async with trio.open_nursery() as nursery:
            nursery.start_soon(worker, "a")
            nursery.start_soon(worker, "b")
        return order

    assert "it returns 'ba', but returns 'ab'" in str(found(program))
    assert replay(program, schedule=Holds()) == "ab"
    with pytest.raises(TypeError, match="takes no arguments, so it can't be given params or env"):
        explore(program, {"a": 1})
    with pytest.raises(TypeError, match="7 can't be run"):
        explore(7)
    assert explore(NoSignature(), schedules=2)


class NoSignature:
    """As some things that are written in C."""

    @property
    def __signature__(self) -> Any:
        raise ValueError("it doesn't tell")

    async def __call__(self) -> int:
        return 1


def test_a_class_may_have_an_env() -> None:
    class Report(WorkflowEntrypoint):
        async def run(self, event: Any, step: WorkflowStep) -> Any:
            return self.env, event.payload

    assert replay(Report, 1, env={"a": 2}) == ({"a": 2}, 1)
    assert explore(Report, 1, env={"a": 2}, schedules=2)


def test_what_is_no_workflow_is_told() -> None:
    class Nothing:
        pass

    assert isinstance(found(Nothing).__cause__, DefinitionError)
    with pytest.raises(ValueError, match="schedules=0 runs nothing"):
        explore(LostUpdate, schedules=0)
    with pytest.raises(TypeError, match="a schedule is a seed"):
        explore(LostUpdate, schedules=["fast"])  # type: ignore[list-item]


def test_there_is_nothing_to_find_in_an_order_that_nobody_can_choose() -> None:
    """So that the tests above don't prove that anything is found."""
    with pytest.raises(NoSuchExample):
        find(
            schedules(),
            lambda schedule: replay(cheapest, schedule=schedule) == "harbour",
            settings=settings(max_examples=50, database=None),
        )
    assert replay(cheapest, schedule=seeded(0)) == "station"
