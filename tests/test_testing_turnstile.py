"""Tasks take their turns in the order that the schedule says: all orders can be reached, each run can be repeated."""

from __future__ import annotations

import signal
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.lowlevel import checkpoint
from trio.testing import wait_all_tasks_blocked

from trioflow.testing import DagSpec, Holds, Picks, RandomWalk, Schedule, Systematic, explore, run_dag, seeded
from trioflow.testing.schedules import Chooser
from trioflow.testing.strategies import dags, schedules
from trioflow.testing.turnstile import PATIENCE, Conduct, Endless, Stuck, Turnstile, conduct


def run(
    program: Callable[[], Awaitable[Any]], schedule: Schedule, *, fair: bool = False, limit: int = 10**5
) -> Conduct:
    return conduct(program, schedule, name="program", fair=fair, limit=limit)


async def three_of_two() -> str:
    taken = ""

    async def worker(name: str) -> None:
        nonlocal taken
        for _ in range(2):
            await checkpoint()
            taken += name

    async with trio.open_nursery() as nursery:
        for name in "abc":
            nursery.start_soon(worker, name)
    return taken


def all_orders(program: Callable[[], Awaitable[Any]], *, fair: bool = False) -> set[Any]:
    found = set()

    async def noting() -> None:
        found.add(await program())

    assert explore(noting, schedules=Systematic(), fair=fair).complete
    return found


async def begun_at_once() -> str:
    """As above, but that they begin is no choice of its own."""
    taken = ""
    gate = trio.Event()

    async def worker(name: str) -> None:
        nonlocal taken
        await gate.wait()
        taken += name
        await checkpoint()
        taken += name

    async with trio.open_nursery() as nursery:
        for name in "abc":
            nursery.start_soon(worker, name)
        await wait_all_tasks_blocked()
        gate.set()
    return taken


@pytest.mark.slow
def test_three_tasks_of_two_steps_can_take_turns_in_90_ways() -> None:
    orders = {run(begun_at_once, RandomWalk(seed)).outcome.unwrap() for seed in range(900)}
    assert len(orders) == 90


def test_who_waits_for_all_to_be_blocked_goes_before_time_does() -> None:
    async def program() -> list[float]:
        times = []
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.sleep, 5)
            for _ in range(3):
                await wait_all_tasks_blocked()
                times.append(trio.current_time())
        return times

    for seed in range(20):
        assert run(program, seeded(seed)).outcome.unwrap() == [0.0, 0.0, 0.0]


@pytest.mark.slow
def test_fairly_in_36() -> None:
    """Those in which each round is one of the six permutations: none that Trio wouldn't come to."""
    rounds = ["abc", "acb", "bac", "bca", "cab", "cba"]
    orders = {run(three_of_two, RandomWalk(seed), fair=True).outcome.unwrap() for seed in range(500)}
    assert orders == {first + second for first in rounds for second in rounds}


def test_a_search_through_all_orders_goes_through_all() -> None:
    async def two_of_two() -> str:
        taken = ""

        async def worker(name: str) -> None:
            nonlocal taken
            await checkpoint()
            taken += name
            await checkpoint()
            taken += name

        async with trio.open_nursery() as nursery:
            nursery.start_soon(worker, "a")
            nursery.start_soon(worker, "b")
        return taken

    assert all_orders(two_of_two) == {"aabb", "abab", "abba", "baab", "baba", "bbaa"}
    assert all_orders(two_of_two, fair=True) == {"abab", "abba", "baab", "baba"}


@pytest.mark.slow
@given(st.one_of(schedules(), st.integers(0, 1000).map(seeded)), st.booleans())
def test_the_same_schedule_gives_the_same_run(schedule: Schedule, fair: bool) -> None:
    async def program() -> str:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.sleep, 3)
            taken: str = await three_of_two()
            with trio.move_on_after(3):
                await trio.sleep_forever()
        return taken

    first, again = run(program, schedule, fair=fair), run(program, schedule, fair=fair)
    assert first.turns == again.turns
    assert first.decisions == again.decisions
    assert first.outcome.unwrap() == again.outcome.unwrap()
    assert first.seconds == again.seconds == 3


def test_the_default_order_is_first_come_first_served() -> None:
    done = run(three_of_two, Holds())
    assert done.outcome.unwrap() == "abcabc"
    assert done.turns == [1, 2, 3, 4, 2, 3, 4, 2, 3, 4, 1]
    assert done.decisions[:2] == [(3, 0), (3, 0)]


def test_what_the_program_raises_is_its_outcome() -> None:
    async def program() -> None:
        raise KeyError("no")

    with pytest.raises(KeyError, match="no"):
        run(program, Holds()).outcome.unwrap()

    async def interrupted() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(interrupted, Holds()).outcome.unwrap()


def test_an_interrupt_that_trio_gives_to_the_main_task_comes_out_plainly() -> None:
    @trio.lowlevel.enable_ki_protection
    def strike() -> None:
        signal.raise_signal(signal.SIGINT)

    async def program() -> None:
        strike()
        await trio.sleep_forever()

    with pytest.raises(KeyboardInterrupt):
        run(program, Holds())


def test_what_a_system_task_dies_of_is_trios_to_tell() -> None:
    async def dies() -> None:
        raise KeyError("no")

    async def program() -> None:
        trio.lowlevel.spawn_system_task(dies)
        await trio.sleep_forever()

    with pytest.raises(trio.TrioInternalError):
        run(program, Holds())


def test_tasks_that_wait_for_each_other_are_stuck() -> None:
    async def program() -> None:
        one, other = trio.Lock(), trio.Lock()

        async def take(first: trio.Lock, second: trio.Lock) -> None:
            async with first:
                await checkpoint()
                async with second:
                    pass

        async with trio.open_nursery() as nursery:
            nursery.start_soon(take, one, other)
            nursery.start_soon(take, other, one)

    with pytest.raises(Stuck, match="nothing is left that could wake one"):
        run(program, Holds()).outcome.unwrap()


def test_who_is_stuck_in_a_shield_is_told_by_an_error() -> None:
    told = []

    async def program() -> None:
        with trio.CancelScope(shield=True):
            try:
                await trio.sleep_forever()
            except Stuck as exc:
                told.append(exc)
                raise

    with pytest.raises(Stuck):
        run(program, Holds()).outcome.unwrap()
    assert len(told) == 1


def test_a_program_that_goes_on_for_ever_is_broken_off() -> None:
    async def program() -> None:
        while True:
            await checkpoint()

    with pytest.raises(Endless, match="has not ended after 1,234 turns"):
        run(program, Holds(), limit=1_234).outcome.unwrap()


def test_what_a_program_returns_although_it_was_broken_off_does_not_count() -> None:
    async def program() -> str:
        with trio.CancelScope(shield=True):
            for _ in range(100):
                await checkpoint()
        return "done"

    with pytest.raises(Endless):
        run(program, Holds(), limit=50).outcome.unwrap()
    assert run(program, Holds(), limit=150).outcome.unwrap() == "done"


def test_a_task_that_polls_does_not_keep_the_others_out_for_ever() -> None:
    class MainFirst:
        def chooser(self) -> Chooser:
            return lambda waiting: min(range(len(waiting)), key=lambda k: waiting[k].number)

    async def program() -> int:
        ready = trio.Event()
        rounds = 0

        async def set_it() -> None:
            ready.set()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(set_it)
            await checkpoint()
            while not ready.is_set():
                await checkpoint()
                rounds += 1
        return rounds

    assert PATIENCE // 2 < run(program, MainFirst()).outcome.unwrap() <= PATIENCE + 1


def test_a_chooser_that_raises_ends_the_search_and_not_trio() -> None:
    class Broken:
        def chooser(self) -> Chooser:
            def choose(waiting: Any) -> int:
                raise ArithmeticError("out of choices")

            return choose

    with pytest.raises(ArithmeticError, match="out of choices"):
        run(three_of_two, Broken())


def test_it_brings_a_trio_along_and_says_so() -> None:
    async def main() -> None:
        run(three_of_two, Holds())

    with pytest.raises(RuntimeError, match=r"brings a trio\.run of its own along"):
        trio.run(main)


def test_a_trio_that_does_not_let_tasks_be_held_back_is_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Turnstile, "task_spawned", lambda self, task: None)
    with pytest.raises(RuntimeError, match=rf"trio {trio.__version__} doesn't let its tasks be held back"):
        run(three_of_two, Holds())


def test_tasks_that_outlive_the_program_go_free() -> None:
    seen = []

    async def background(name: str) -> None:
        try:
            while True:
                await checkpoint()
        finally:
            seen.append(name)

    async def program() -> str:
        for name in "ab":
            trio.lowlevel.spawn_system_task(background, name)
        trio.lowlevel.spawn_system_task(trio.sleep_forever)
        for _ in range(5):
            await checkpoint()
        return "done"

    for seed in range(10):
        assert run(program, seeded(seed)).outcome.unwrap() == "done"
    assert sorted(seen) == sorted("ab" * 10)


def test_threads_are_waited_for() -> None:
    async def program() -> tuple[str, float]:
        with trio.fail_after(1):
            await trio.to_thread.run_sync(time.sleep, 0.01)
        return await trio.to_thread.run_sync(trio.from_thread.run, three_of_two), trio.current_time()

    taken, seconds = run(program, Picks([1, 1])).outcome.unwrap()
    assert sorted(taken) == list("aabbcc")
    assert seconds == 0


@pytest.mark.slow
@settings(max_examples=25, deadline=None)
@given(dags(inner=True), st.integers(0, 1000))
def test_waiters_that_are_cancelled_at_once_leave_in_the_same_order_in_every_run(spec: DagSpec, seed: int) -> None:
    """Much is cancelled at once in these, by the host, by timeouts and by failures."""
    traces = []
    for rubble in range(3):
        _ = [bytes(number % 97) for number in range(rubble * 50)]
        traces.append([str(event).partition(" <")[0] for event in run_dag(spec, seed=seed).events])
    assert traces[0] == traces[1] == traces[2]
