"""Schedules are values: they print as what makes them, and each run has a chooser of its own that does what they say."""

from __future__ import annotations

from collections import Counter
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trioflow.testing import Holds, Picks, Priorities, RandomWalk, Schedule, seeded
from trioflow.testing.schedules import Chooser, as_schedule
from trioflow.testing.strategies import schedules


@attrs.frozen
class Waiter:
    number: int
    ticket: int


def order(schedule: Schedule, tasks: int, turns: int = 1) -> str:
    """In which order tasks a, b, c … take their turns, if each wants as many and nobody else comes."""
    choose = schedule.chooser()
    waiting = [Waiter(n, n) for n in range(tasks)]
    left = Counter(dict.fromkeys(range(tasks), turns))
    ticket, taken = tasks, ""
    while waiting:
        gone = waiting.pop(choose(waiting) if len(waiting) > 1 else 0)
        taken += "abcdefgh"[gone.number]
        left[gone.number] -= 1
        if left[gone.number]:
            waiting.append(Waiter(gone.number, ticket))
            ticket += 1
    return taken


@pytest.mark.parametrize(
    ("schedule", "taken"),
    [
        (Holds(), "abcabc"),
        (Holds([(0, 1)]), "bacbac"),
        (Holds([(0, 2)]), "bcabca"),
        (Holds([(1, 1)]), "acbacb"),
        (Holds([(0, 100)]), "bcbcaa"),
        (Holds([(0, 100), (1, 100)]), "bbaacc"),
        (Holds([(99, 5)]), "abcabc"),
        (Picks([2]), "cabcab"),
        (Picks([0, 1, 1]), "acabcb"),
        (Picks([9, 9]), "ccabab"),
    ],
)
def test_a_schedule_says_who_goes(schedule: Schedule, taken: str) -> None:
    assert order(schedule, 3, 2) == taken


def test_where_all_are_held_back_goes_the_one_that_is_free_next() -> None:
    assert order(Holds([(0, 9), (1, 3)]), 4) == "bdca"
    assert order(Holds([(0, 3), (1, 9)]), 4) == "bdac"


ALL = st.one_of(
    schedules(),
    st.integers(0, 10_000).map(seeded),
    st.lists(st.integers(0, 5)).map(Picks),
    st.builds(Priorities, st.integers(0, 100), depth=st.integers(1, 5), length=st.integers(1, 50)),
)


@given(ALL, st.integers(1, 5), st.integers(1, 4))
def test_everybody_gets_his_turns_and_the_same_run_gives_the_same(schedule: Any, tasks: int, turns: int) -> None:
    taken = order(schedule, tasks, turns)
    assert Counter(taken) == Counter("abcde"[:tasks] * turns)
    assert order(schedule, tasks, turns) == taken
    printed = eval(repr(schedule))
    assert printed == schedule
    assert order(printed, tasks, turns) == taken


def test_a_random_walk_reaches_every_order_about_as_often() -> None:
    orders = Counter(order(RandomWalk(seed), 3) for seed in range(600))
    assert len(orders) == 6
    assert min(orders.values()) > 60


def test_priorities_keep_one_task_going_until_it_falls_behind() -> None:
    without = {order(Priorities(seed, depth=1), 3, 2) for seed in range(50)}
    assert without == {"aabbcc", "aaccbb", "bbaacc", "bbccaa", "ccaabb", "ccbbaa"}
    once = {order(Priorities(seed, depth=2, length=3), 2, 2) for seed in range(50)}
    assert {"abba", "baab"} <= once


def test_seeds_stand_for_schedules_of_several_kinds_and_0_for_the_default_order() -> None:
    assert seeded(0) == Holds()
    assert {type(seeded(seed)) for seed in range(1, 10)} == {Holds, RandomWalk, Priorities}
    assert len({repr(seeded(seed)) for seed in range(100)}) == 100


def test_what_is_no_schedule_is_refused() -> None:
    assert as_schedule(0) == Holds()
    assert as_schedule(Picks([1])) == Picks([1])
    with pytest.raises(TypeError, match=r"a schedule is a seed, or something with chooser\(\).*not 'fast'"):
        as_schedule("fast")
    with pytest.raises(ValueError, match=r"\(decision from 0, turns of others from 1\), not \(0, 0\)"):
        Holds([(0, 0)])
    with pytest.raises(ValueError, match=r"not \(-1, 2\)"):
        Holds([(-1, 2)])


def test_ones_own_schedule_will_do() -> None:
    class Last:
        def chooser(self) -> Chooser:
            return lambda waiting: len(waiting) - 1

    assert order(as_schedule(Last()), 3) == "cba"
