"""The arithmetic of attempts, by examples that were worked out by hand: P18."""

from __future__ import annotations

import datetime
from datetime import timedelta
from fractions import Fraction
from typing import Any

import attrs
import pytest
from hypothesis import given

from trioflow.testing import AttemptSpec, ChainSpec, PolicySpec, StepSpec, foresee
from trioflow.testing.durations import LONGEST
from trioflow.testing.policies import chains

FAILS = AttemptSpec(ends="error")


def told(chain: ChainSpec) -> tuple[list[tuple[int, int, float, float, str]], tuple[float, str, int | None]]:
    """Step, number, start, end and fate of each attempt, and the answer with its attempt's number; to a hundredth.

    The fractions by which works and departures are moved add up to less than that.
    """
    foresight = foresee(chain)
    attempts = [(a.step, a.number, round(float(a.start), 2), round(float(a.end), 2), a.how) for a in foresight.attempts]
    answer = foresight.answer
    return attempts, (round(float(answer.time), 2), answer.how, answer.origin and answer.origin.number)


def one(policy: PolicySpec, *attempts: AttemptSpec, leaves: int | None = None) -> ChainSpec:
    return ChainSpec(steps=[StepSpec(policy=policy, attempts=attempts)], leaves=leaves)


def test_without_a_policy_a_body_runs_once() -> None:
    assert told(ChainSpec()) == ([(0, 1, 0, 0, "value")], (0, "value", 1))
    assert told(one(PolicySpec(), FAILS)) == ([(0, 1, 0, 0, "error")], (0, "error", 1))
    assert told(one(PolicySpec(delay="1 hour"), AttemptSpec(seconds=5))) == ([(0, 1, 0, 5, "value")], (5, "value", 1))


@pytest.mark.parametrize(
    ("backoff", "starts"),
    [("constant", [0, 11, 22, 33]), ("linear", [0, 11, 32, 63]), ("exponential", [0, 11, 32, 73])],
)
def test_attempts_are_limit_plus_one_and_the_delays_between_them_grow(backoff: Any, starts: list[int]) -> None:
    policy = PolicySpec(limit=3, delay="10 seconds", backoff=backoff)
    attempts, answer = told(one(policy, AttemptSpec(seconds=1, ends="error")))
    assert [(number, start) for _, number, start, _, _ in attempts] == [*enumerate(starts, 1)]
    assert answer == (starts[-1] + 1, "error", 4)


def test_the_cap_is_on_the_delay_that_has_grown() -> None:
    policy = PolicySpec(limit=4, delay="10 seconds", max_delay=timedelta(seconds=25))
    assert [policy.delay_before(retry) for retry in (1, 2, 3, 4)] == [10, 20, 25, 25]
    assert PolicySpec(limit=0, delay="999999999 days").delay_before(2) == LONGEST
    assert PolicySpec(delay=500, max_delay=200).delay_before(1) == Fraction(1, 5)


def test_a_delay_function_gives_the_base_call_by_call() -> None:
    policy = PolicySpec(limit=4, delay=["1 second", 10_000, timedelta(seconds=100)], backoff="linear")
    assert [policy.delay_before(retry) for retry in (1, 2, 3, 4)] == [1, 20, 300, 400]
    foresight = foresee(one(policy, FAILS))
    assert foresight.asked == foresight.attempts[:4]
    assert foresight.answer.time == 721


def test_a_delay_function_that_returns_no_duration_ends_it_there() -> None:
    chain = one(PolicySpec(limit=4, delay=["1 second", "5 min"]), FAILS)
    assert told(chain) == ([(0, 1, 0, 0, "error"), (0, 2, 1, 1, "error")], (1, "refused", 2))
    assert len(foresee(chain).asked) == 2
    number = one(PolicySpec(limit=1, delay=[5], milliseconds=False), FAILS)
    assert told(number)[1] == (0, "refused", 1)
    assert told(one(PolicySpec(limit=0, delay=["5 min"]), FAILS))[1] == (0, "error", 1)


def test_it_ends_with_a_value_or_with_what_is_final() -> None:
    policy = PolicySpec(limit=9, delay="1 second", backoff="constant")
    assert told(one(policy, FAILS, FAILS, AttemptSpec())) == (
        [(0, 1, 0, 0, "error"), (0, 2, 1, 1, "error"), (0, 3, 2, 2, "value")],
        (2, "value", 3),
    )
    assert told(one(policy, FAILS, AttemptSpec(seconds=2, ends="final", nurseries=3)))[1] == (3, "final", 2)


def test_a_timeout_is_for_one_attempt_and_waits_for_its_clean_up() -> None:
    policy = PolicySpec(limit=1, delay="10 seconds", timeout="5 seconds")
    assert told(one(policy, AttemptSpec(seconds=8, cleanup=3))) == (
        [(0, 1, 0, 8, "timeout"), (0, 2, 18, 26, "timeout")],
        (26, "timeout", 2),
    )
    assert told(one(policy, AttemptSpec(seconds=4, cleanup=3)))[1] == (4, "value", 1)
    at_once = attrs.evolve(policy, timeout="0 seconds")
    assert told(one(at_once, AttemptSpec(seconds=1), AttemptSpec()))[0] == [
        (0, 1, 0, 0, "timeout"),
        (0, 2, 10, 10, "value"),  # which waits for nothing
    ]


@pytest.mark.parametrize(
    ("stops", "answer"),
    [("value", (7, "value", 1)), ("final", (7, "final", 1)), ("error", (24, "error", 2)), ("stop", (24, "timeout", 2))],
)
def test_what_it_ends_with_while_stopping_counts(stops: Any, answer: Any) -> None:
    policy = PolicySpec(limit=1, delay="10 seconds", timeout="5 seconds")
    assert told(one(policy, AttemptSpec(seconds=8, cleanup=2, stops=stops)))[1] == answer


def test_who_leaves_waits_for_the_clean_up_but_in_no_delay() -> None:
    policy = PolicySpec(limit=2, delay="10 seconds", timeout="5 seconds")
    slow = AttemptSpec(seconds=3, ends="error", cleanup=2)
    assert told(one(policy, slow, leaves=1)) == ([(0, 1, 0, 3, "cancelled")], (3, "cancelled", None))
    assert told(one(policy, slow, leaves=4)) == ([(0, 1, 0, 3, "error")], (4, "cancelled", None))
    assert told(one(policy, slow, leaves=14))[0][1:] == [(0, 2, 13, 16, "cancelled")]
    assert told(one(policy, slow, leaves=100))[1] == (39, "error", 3)


@pytest.mark.parametrize(
    ("stops", "answer"),
    [
        ("value", (3, "value", 1)),
        ("error", (3, "error", 1)),
        ("final", (3, "final", 1)),
        ("stop", (3, "cancelled", None)),
    ],
)
def test_who_leaves_gets_what_comes_of_it_and_it_is_not_tried_again(stops: Any, answer: Any) -> None:
    slow = AttemptSpec(seconds=5, cleanup=2, stops=stops)
    assert told(one(PolicySpec(limit=9), slow, leaves=1))[1] == answer
    # The same where it was stopping already, because of its timeout.
    slow = AttemptSpec(seconds=5, cleanup=3, stops=stops)
    assert told(one(PolicySpec(limit=9, timeout=0.5), slow, leaves=2))[1] == answer


def test_who_leaves_at_the_end_of_a_stop_without_clean_up_leaves_then() -> None:
    slow = AttemptSpec(seconds=5)
    assert told(one(PolicySpec(limit=9), slow, leaves=1)) == ([(0, 1, 0, 1, "cancelled")], (1, "cancelled", None))
    slow = AttemptSpec(seconds=5, stops="error")
    assert told(one(PolicySpec(limit=9), slow, leaves=1)) == ([(0, 1, 0, 1, "error")], (1, "error", 1))


BELOW = StepSpec(policy=PolicySpec(limit=1, delay="100 seconds"), attempts=[AttemptSpec(seconds=20, ends="error")])
ABOVE = StepSpec(policy=PolicySpec(limit=5, timeout="5 seconds"), attempts=[AttemptSpec(seconds=3)])


def test_a_dependency_has_its_own_attempts_and_its_failure_is_its_dependents() -> None:
    both = [(0, 1, 0, 20, "error"), (0, 2, 120, 140, "error")]
    assert told(ChainSpec(steps=[BELOW, ABOVE])) == (both, (140, "error", 2))
    succeeds = attrs.evolve(BELOW, attempts=[BELOW.attempts[0], AttemptSpec(seconds=50)])
    assert told(ChainSpec(steps=[succeeds, ABOVE])) == (
        [both[0], (0, 2, 120, 170, "value"), (1, 1, 170, 173, "value")],
        (173, "value", 1),
    )


def test_what_a_dependency_returns_while_stopping_begins_nothing() -> None:
    below = StepSpec(attempts=[AttemptSpec(seconds=9, cleanup=2, stops="value")])
    assert told(ChainSpec(steps=[below, StepSpec()], leaves=1)) == ([(0, 1, 0, 3, "value")], (3, "cancelled", None))
    fails = StepSpec(attempts=[AttemptSpec(seconds=9, cleanup=2, stops="error")])
    assert told(ChainSpec(steps=[fails, StepSpec()], leaves=1))[1] == (3, "error", 1)


def test_jitter_is_not_foreseen() -> None:
    with pytest.raises(ValueError, match="jitter can't be foreseen"):
        foresee(one(PolicySpec(jitter=0.1)))


def test_ten_days_pass() -> None:
    policy = PolicySpec(limit=4, delay="1 day", backoff="linear", timeout="1 hour")
    attempts, answer = told(one(policy, AttemptSpec(seconds=7_200)))
    assert [start for _, _, start, _, _ in attempts] == [0, 90_000, 266_400, 529_200, 878_400]
    assert answer == (10 * 86_400 + 5 * 3_600, "timeout", 5)


def test_works_and_departures_are_moved_by_fractions_that_never_meet() -> None:
    assert AttemptSpec().works() == 0
    assert AttemptSpec(seconds=2).works() == 2 + Fraction(1, 8_000)
    assert ChainSpec().leaves_at() is None
    assert ChainSpec(leaves=2).leaves_at() == 2 + Fraction(1, 16_000)


@given(chains())
def test_nothing_that_was_drawn_is_a_tie(chain: ChainSpec) -> None:
    leaves = chain.leaves_at()
    for attempt in foresee(chain).attempts:
        assert (attempt.start * 8_000).denominator == 1
        assert attempt.start != leaves
        over = attempt.start + chain.steps[attempt.step].attempt(attempt.number).works()
        assert over != leaves
        # Who has nothing to clean up is over at the moment at which it is stopped.
        assert attempt.end != leaves or (attempt.how != "timeout" and leaves is not None and over > leaves)


def test_a_sync_body_that_waits_is_refused() -> None:
    for wrong in ({"policy": PolicySpec(timeout="1 second")}, {"attempts": [AttemptSpec(seconds=1)]}):
        with pytest.raises(ValueError, match="a sync body can't wait"):
            StepSpec(sync=True, **wrong)  # type: ignore[arg-type]
    assert StepSpec(sync=True, attempts=[FAILS]).attempt(7) == FAILS


@given(chains())
def test_a_specification_prints_as_the_call_that_makes_it(chain: ChainSpec) -> None:
    shown = repr(chain)
    names = {spec.__name__: spec for spec in (ChainSpec, StepSpec, PolicySpec, AttemptSpec)}
    if not any(odd in shown for odd in ("nan", "inf")):  # which are no calls, nor equal to themselves
        assert eval(shown, {**names, "datetime": datetime}) == chain
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        chain.steps = ()  # type: ignore[misc]
