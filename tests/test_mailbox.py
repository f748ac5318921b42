"""The mailbox against a list: whatever is sent, awaited, cancelled or timed out, in whatever order, each event has one taker.

A script is carried out by one task, one line after the other. Sending and cancelling take effect in the middle of a turn of
Trio's loop, before the waiter has run again: that is where an event could be lost.
"""

from __future__ import annotations

import attrs
import pytest
import trio
from hypothesis import example, given
from hypothesis import strategies as st
from trio.testing import MockClock, assert_checkpoints, wait_all_tasks_blocked

from trioflow import ConfigError
from trioflow._mailbox import Mailbox, checked_type


@attrs.frozen
class Send:
    type: str


@attrs.frozen
class Wait:
    """Its time ends between two full seconds, or at once."""

    type: str
    seconds: float
    #: Cancelled before it begins.
    cancelled: bool = False


@attrs.frozen
class Cancel:
    """The wait of that number, if it has begun."""

    number: int


@attrs.frozen
class Pass:
    """Some time; none is enough for everybody to have a turn."""

    seconds: int


Line = Send | Wait | Cancel | Pass
types = st.sampled_from("ab")
lines = (
    st.builds(Send, types)
    | st.builds(Wait, types, st.sampled_from([0, 0.5, 1.5, 2.5, 1e9]), st.sampled_from([False, False, False, True]))
    | st.builds(Cancel, st.integers(0, 5))
    | st.builds(Pass, st.integers(0, 2))
)

#: What has become of each wait: the number of its event, or why it has none.
Outcome = int | str


@attrs.define
class Model:
    """Lists. Events are numbered as they are sent, waits as they begin."""

    now: float = 0
    sent: int = 0
    kept: list[tuple[str, int]] = attrs.field(factory=list)
    queue: list[tuple[int, str, float]] = attrs.field(factory=list)
    outcomes: list[Outcome] = attrs.field(factory=list)

    def carry_out(self, line: Line) -> None:
        match line:
            case Send(type):
                self.send(type)
            case Wait(_, _, True):
                self.outcomes.append("cancelled")
            case Wait(type, seconds):
                self.wait(type, seconds)
            case Cancel(number):
                self.leave([w for w in self.queue if w[0] == number], "cancelled")
            case Pass(seconds):
                self.now += seconds
                self.leave([w for w in self.queue if w[2] <= self.now], "timed out")

    def send(self, type: str) -> None:
        first = next((w for w in self.queue if w[1] == type), None)
        if first is None:
            self.kept.append((type, self.sent))
        else:
            self.leave([first], self.sent)
        self.sent += 1

    def wait(self, type: str, seconds: float) -> None:
        event = next((e for e in self.kept if e[0] == type), None)
        self.outcomes.append("waiting" if event is None else event[1])
        if event is not None:
            self.kept.remove(event)
        elif seconds:
            self.queue.append((len(self.outcomes) - 1, type, self.now + seconds))
        else:
            self.outcomes[-1] = "timed out"

    def leave(self, waits: list[tuple[int, str, float]], outcome: Outcome) -> None:
        for wait in waits:
            self.queue.remove(wait)
            self.outcomes[wait[0]] = outcome


async def carried_out(script: list[Line]) -> tuple[list[Outcome], list[tuple[str, int]]]:
    """What becomes of each wait in the real one, and what is left in the end."""
    box: Mailbox[int] = Mailbox()
    outcomes: list[Outcome] = []
    scopes: list[trio.CancelScope] = []
    sent = 0

    async def wait(line: Wait, number: int, scope: trio.CancelScope) -> None:
        with scope:
            try:
                outcomes[number] = await box.take(line.type, line.seconds)
            except trio.TooSlowError:
                outcomes[number] = "timed out"
            return  # with or without an event: what the scope has caught comes out below
        outcomes[number] = "cancelled"

    async with trio.open_nursery() as nursery:
        for line in script:
            match line:
                case Send(type):
                    box.put(type, sent)
                    sent += 1
                case Wait():
                    scopes.append(trio.CancelScope())
                    outcomes.append("waiting")
                    if line.cancelled:
                        scopes[-1].cancel()
                    nursery.start_soon(wait, line, len(outcomes) - 1, scopes[-1])
                    await wait_all_tasks_blocked()  # Trio shuffles tasks that are ready at the same time
                case Cancel(number):
                    if number < len(scopes):
                        scopes[number].cancel()
                case Pass(seconds):
                    await trio.sleep(seconds)
                    await wait_all_tasks_blocked()
            assert not box._events.keys() & box._waiting.keys()
            assert all(box._events.values())
            assert all(box._waiting.values())
        await wait_all_tasks_blocked()
        result = outcomes.copy()
        nursery.cancel_scope.cancel()
    left = [(type, number) for type, numbers in box._events.items() for number in numbers]
    assert not box._waiting
    return result, sorted(left, key=lambda event: event[1])


@given(st.lists(lines, max_size=20))
@example([Wait("a", 1e9), Send("a"), Cancel(0)])  # too late: it has its event
@example([Wait("a", 1e9), Cancel(0), Send("a")])  # too early: the event stays
@example([Wait("a", 1e9), Wait("a", 1e9), Cancel(0), Send("a"), Cancel(1)])
@example([Send("a"), Wait("a", 0), Wait("a", 0)])
@example([Send("a"), Wait("a", 1e9, cancelled=True), Wait("a", 1e9)])
def test_every_event_goes_to_one_wait_in_order_and_none_is_lost(script: list[Line]) -> None:
    model = Model()
    for line in script:
        model.carry_out(line)
    outcomes, left = trio.run(carried_out, script, clock=MockClock(autojump_threshold=0))
    assert outcomes == model.outcomes
    assert left == model.kept
    taken = [outcome for outcome in outcomes if isinstance(outcome, int)]
    assert sorted(taken + [number for _, number in left]) == list(range(model.sent))


async def test_a_deadline_in_the_instant_of_the_event_loses_nothing(autojump_clock: MockClock) -> None:
    """Sent before Trio looks at its deadlines: the wait returns it, though its time is over when it runs again."""
    box: Mailbox[str] = Mailbox()
    got: list[str] = []

    async def wait() -> None:
        with trio.move_on_after(5):
            got.append(await box.take("a", 1))
            await trio.sleep_forever()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait)
        await wait_all_tasks_blocked()
        box.put("a", "event")
        autojump_clock.jump(5)
    assert got == ["event"]


async def test_taking_is_a_checkpoint_whether_an_event_is_there_or_not(autojump_clock: MockClock) -> None:
    box: Mailbox[int] = Mailbox()
    box.put("a", 1)
    with assert_checkpoints():
        assert await box.take("a", 0) == 1
    with assert_checkpoints(), pytest.raises(trio.TooSlowError):
        await box.take("a", 0)
    assert trio.current_time() == 0


async def test_a_cancelled_taker_takes_nothing_that_is_there(autojump_clock: MockClock) -> None:
    box: Mailbox[int] = Mailbox()
    box.put("a", 1)
    with trio.CancelScope() as scope:
        scope.cancel()
        await box.take("a", 5)
    assert scope.cancelled_caught
    assert await box.take("a", 0) == 1


async def test_who_waits_when_it_is_closed_or_comes_later_is_told(autojump_clock: MockClock) -> None:
    box: Mailbox[int] = Mailbox()
    told: list[str] = []

    async def wait(type: str) -> None:
        with pytest.raises(trio.ClosedResourceError):
            await box.take(type, 5)
        told.append(type)

    async with trio.open_nursery() as nursery:
        for type in "aab":
            nursery.start_soon(wait, type)
        await wait_all_tasks_blocked()
        assert box.is_awaited("a")
        assert not box.is_awaited("c")
        box.close()
        assert not box.is_awaited("a")
    with assert_checkpoints():
        await wait("late")
    assert sorted(told) == ["a", "a", "b", "late"]


@pytest.mark.parametrize("type", ["approval", "workflow.approval", "", "é" * 100])
def test_a_type_is_any_text_of_at_most_100_characters(type: str) -> None:
    assert checked_type(type) == type


@pytest.mark.parametrize(
    ("type", "said"),
    [
        ("x" * 101, r"event type 'x{40}'\.\.\. has 101 characters: at most 100 are allowed"),
        (None, "an event's type is text, not None"),
        (b"bell", "is text, not b'bell'"),
        (5, "is text, not 5"),
    ],
)
def test_another_type_is_refused(type: object, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        checked_type(type)
