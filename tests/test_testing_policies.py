"""What is drawn for time and policy is what it says it is."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from trioflow.testing import ChainSpec, ExchangeSpec, PolicySpec, exact_seconds
from trioflow.testing.policies import attempts, chains, durations, exchanges, not_durations, policies


@given(st.data(), st.booleans(), st.sampled_from([6, 10_000, 10**9]))
def test_durations_are_some_as_long_as_asked_for_and_multiples_of_half_a_millisecond(
    data: st.DataObject, milliseconds: bool, most: int
) -> None:
    value = data.draw(durations(milliseconds=milliseconds, most=most))
    seconds = exact_seconds(value, milliseconds=milliseconds)
    assert seconds is not None
    assert seconds <= most
    assert (seconds * 2_000).denominator == 1


@given(not_durations())
def test_what_is_no_duration_is_none(value: object) -> None:
    assert exact_seconds(value) is None


@given(policies(max_limit=2, timeouts=False, functions=False))
def test_switches_leave_out_what_they_say(policy: PolicySpec) -> None:
    assert policy.limit in (None, 0, 1, 2)
    assert policy.timeout is None
    assert not isinstance(policy.delay, tuple)


@settings(max_examples=300)
@given(policies())
def test_limits_are_durations_and_no_bare_zeros(policy: PolicySpec) -> None:
    for limit in (policy.timeout, policy.max_delay):
        assert limit is None or exact_seconds(limit, milliseconds=policy.milliseconds) is not None
        assert not (isinstance(limit, int | float) and limit == 0)


@given(chains(max_steps=2, leaves=False))
def test_chains_are_as_long_as_asked_for(chain: ChainSpec) -> None:
    assert 1 <= len(chain.steps) <= 2
    assert chain.leaves is None


@given(attempts(sync=True), exchanges(max_sends=1, max_waits=2))
def test_sync_attempts_take_no_time_and_exchanges_are_as_large_as_asked_for(
    attempt: object, exchange: ExchangeSpec
) -> None:
    assert getattr(attempt, "seconds") == getattr(attempt, "cleanup") == 0  # noqa: B009
    assert len(exchange.sends) <= 1
    assert len(exchange.waits) <= 2
