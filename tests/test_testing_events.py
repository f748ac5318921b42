"""The post of a run, sorted by hand: which event goes to which wait."""

from __future__ import annotations

from fractions import Fraction

import attrs
import pytest
from hypothesis import given

from trioflow.testing import ExchangeSpec, SendSpec, WaitSpec, deliver
from trioflow.testing.events import Result
from trioflow.testing.policies import exchanges


def told(exchange: ExchangeSpec) -> tuple[list[tuple[str, int, int | None]], tuple[int, ...]]:
    """What each wait comes to, in whole seconds; and what is left."""
    results, left = deliver(exchange)
    return [(result.how, int(result.time), result.send) for result in results], left


@pytest.mark.parametrize(
    ("sends", "waits", "results", "left"),
    [
        # Before the wait, and after it has begun.
        ([SendSpec(at=1)], [WaitSpec(at=3)], [("event", 3, 0)], ()),
        ([SendSpec(at=3)], [WaitSpec(at=1)], [("event", 3, 0)], ()),
        # In order: first sent, first served; first come, first served.
        ([SendSpec(at=2), SendSpec(at=1)], [WaitSpec(at=3), WaitSpec(at=4)], [("event", 3, 1), ("event", 4, 0)], ()),
        ([SendSpec(at=7), SendSpec(at=8)], [WaitSpec(at=5), WaitSpec(at=4)], [("event", 8, 1), ("event", 7, 0)], ()),
        # Each type by itself.
        ([SendSpec(type="b")], [WaitSpec(at=1, timeout=4)], [("timeout", 5, None)], (0,)),
        (
            [SendSpec(type="b", at=2), SendSpec(at=3)],
            [WaitSpec(), WaitSpec(type="b")],
            [("event", 3, 1), ("event", 2, 0)],
            (),
        ),
        # A wait that is over takes none.
        ([SendSpec(at=5)], [WaitSpec(timeout=4)], [("timeout", 4, None)], (0,)),
        ([SendSpec(at=5)], [WaitSpec(cancelled=4)], [("cancelled", 4, None)], (0,)),
        ([SendSpec(at=5)], [WaitSpec(timeout=4), WaitSpec(at=1)], [("timeout", 4, None), ("event", 5, 0)], ()),
        ([SendSpec(at=5)], [WaitSpec(cancelled=4), WaitSpec(at=1)], [("cancelled", 4, None), ("event", 5, 0)], ()),
        # Cancelled before it begins: none, though there is one.
        ([SendSpec(at=1)], [WaitSpec(at=2, cancelled=0)], [("cancelled", 2, None)], (0,)),
        # No time: what is there is taken.
        ([SendSpec(at=1)], [WaitSpec(at=2, timeout=0)], [("event", 2, 0)], ()),
        ([SendSpec(at=3)], [WaitSpec(at=2, timeout=0)], [("timeout", 2, None)], (0,)),
        # What nobody waits for stays, in order.
        ([SendSpec(at=9), SendSpec(at=1), SendSpec(at=4)], [WaitSpec(at=2)], [("event", 2, 1)], (2, 0)),
        ([], [], [], ()),
    ],
)
def test_events_and_waits_by_hand(
    sends: list[SendSpec],
    waits: list[WaitSpec],
    results: list[tuple[str, int, int | None]],
    left: tuple[int, ...],
) -> None:
    assert told(ExchangeSpec(sends=sends, waits=waits)) == (results, left)


def test_an_event_arrives_in_the_instant_in_which_it_is_sent() -> None:
    exchange = ExchangeSpec(sends=[SendSpec(at=3)], waits=[WaitSpec()])
    assert deliver(exchange) == ((Result("event", exchange.sent_at(0), 0),), ())


@given(exchanges())
def test_no_time_of_its_own_coincides_with_another(exchange: ExchangeSpec) -> None:
    times: list[Fraction] = [exchange.sent_at(i) for i in range(len(exchange.sends))]
    for i in range(len(exchange.waits)):
        begins, patience = exchange.begins_at(i), exchange.patience(i)
        times += {begins, begins + exchange.timeout(i), begins + (patience or 0)}
    assert len(set(times)) == len(times)
    assert all(result.time < exchange.ends_at() for result in deliver(exchange)[0])


@given(exchanges())
def test_no_event_is_lost_or_doubled_and_no_wait_is_overtaken(exchange: ExchangeSpec) -> None:
    """What must hold whatever the algorithm: the events are taken in the order in which they were sent."""
    results, left = deliver(exchange)
    taken = [result.send for result in results if result.send is not None]
    assert sorted([*taken, *left]) == [*range(len(exchange.sends))]
    for result, wait in zip(results, exchange.waits, strict=True):
        assert (result.how == "event") == (result.send is not None)
        assert result.send is None or exchange.sends[result.send].type == wait.type
    for kind in "ab":
        sends = [(r.time, r.send) for r in results if r.send is not None and exchange.sends[r.send].type == kind]
        in_order = [exchange.sent_at(send) for _, send in sorted(sends)]
        assert in_order == sorted(in_order)
    assert list(left) == sorted(left, key=exchange.sent_at)


@given(exchanges())
def test_a_specification_prints_as_the_call_that_makes_it(exchange: ExchangeSpec) -> None:
    names = {"ExchangeSpec": ExchangeSpec, "SendSpec": SendSpec, "WaitSpec": WaitSpec}
    assert eval(repr(exchange), names) == exchange
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        exchange.sends = ()  # type: ignore[misc]
