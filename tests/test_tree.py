"""What of a run is shown in so many lines: all if it has room, else what runs or has failed, and counts."""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock

from trioflow import open_run
from trioflow._board import Board
from trioflow._tree import FEW, URGENT, Picture, picture


def pictures(workflow: Any, *times: float, room: int = 22, board: Board | None = None) -> list[Picture]:
    """What a run looks like at these times, and when it is over."""
    board, seen = board or Board(), []

    async def main() -> None:
        with suppress(ValueError, TimeoutError):
            async with open_run(workflow, instruments=[board]) as board.run:
                for time in times:
                    await trio.sleep_until(time)
                    seen.append(picture(board, time, room))
                if not times or times[-1] >= 0:
                    await board.run.result()
        for _ in board.close(trio.current_time()):
            pass
        seen.append(picture(board, trio.current_time(), room))

    trio.run(main, clock=MockClock(autojump_threshold=0))
    return seen


def text(seen: Picture) -> list[str]:
    """As lines."""
    lines = [f"{line.branch}{line.look} {line.name}: {line.says}".removesuffix(": ") for line in seen.lines]
    folded = [", ".join(f"{count} {look}" for look, count in seen.folded)] if seen.folded else []
    return [*lines, *folded, seen.summary]


def step_that_takes(step: Any, name: str, seconds: float, depends: Any = (), **options: Any) -> Any:
    @step.do(name, depends=list(depends), concurrent=True, **options)
    async def body(*values: object) -> None:
        await trio.sleep(seconds)

    return body


async def diamond(event: Any, step: Any) -> None:
    top = step_that_takes(step, "top", 1)
    left = step_that_takes(step, "left", 2, [top])
    right = step_that_takes(step, "right", 3, [top])
    step_that_takes(step, "spare", 1)
    await step_that_takes(step, "bottom", 1, [left, right])()


def test_what_was_awaited_is_the_root_and_what_it_needs_hangs_below_a_shared_step_once() -> None:
    before, between, after = pictures(diamond, 0.5, 3.5)
    assert text(before) == [
        "pending bottom",
        "├ pending left",
        "│ └ running top: 0.5 s",
        "└ pending right",
        "  └ again top: see there",
        "0.5 s  5 steps: 1 running, 4 to do",
    ]
    assert text(between) == [
        "pending bottom",
        "├ done left: 2.0 s",
        "│ └ done top: 1.0 s",
        "└ running right: 2.5 s",
        "  └ again top: see there",
        "3.5 s  5 steps: 2 done, 1 running, 2 to do",
    ]
    assert text(after)[0] == "done bottom: 1.0 s"
    assert text(after)[-1] == "5.0 s  5 steps: 4 done, 1 not started"
    assert [before.is_going_on, after.is_going_on] == [True, False]


def test_references_go_first_where_room_is_scarce() -> None:
    (before, _) = pictures(diamond, 0.5, room=4)
    assert text(before)[:4] == ["pending bottom", "├ pending left", "│ └ running top: 0.5 s", "└ pending right"]


def test_what_has_no_room_is_counted_and_what_runs_is_shown_with_what_needs_it() -> None:
    before, after = pictures(diamond, 1.5, room=3)
    assert text(before) == [
        "running left: 0.5 s",
        "running right: 0.5 s",
        "1 done, 2 pending",
        "1.5 s  5 steps: 1 done, 2 running, 2 to do",
    ]
    assert text(after) == ["4 done, 1 pending", "5.0 s  5 steps: 4 done, 1 not started"]


def test_no_room_leaves_the_summary() -> None:
    for room in (0, -1):
        (before, _) = pictures(diamond, 1.5, room=room)
        assert text(before) == ["1.5 s  5 steps: 1 done, 2 running, 2 to do"]
    (before, _) = pictures(diamond, 1.5, room=1)
    assert text(before)[0] == "1 done, 2 running, 2 pending" or text(before)[0] == "2 running, 1 done, 2 pending"


async def eventful(event: Any, step: Any) -> None:
    @step.do("flaky", config={"retries": {"limit": 3, "delay": "10 seconds", "backoff": "constant"}})
    async def flaky(ctx: Any) -> None:
        await trio.sleep(1)
        if ctx.attempt < 3:
            raise OSError("not\nyet")

    @step.do("outer", depends=[flaky])
    async def outer(_: None) -> None:
        @step.do("inner")
        async def inner() -> None:
            await step.sleep("nap", "1 minute")
            await step.wait_for_event("boss", "approval", timeout="1 minute")

        await inner()

    with suppress(TimeoutError):
        await outer()
    with trio.move_on_after(10):
        await step.sleep("a while", "1 hour")


def test_each_state_says_what_there_is_to_say() -> None:
    *seen, after = pictures(eventful, 0.5, 2, 11.5, 24, 84, 150)
    assert [text(one)[:-1] for one in seen] == [
        ["pending outer", "└ running flaky: 0.5 s  attempt 1 of 4"],
        ["pending outer", "└ retrying flaky: retry in 9.0 s (attempt 2 of 4): OSError: not yet"],
        ["pending outer", "└ running flaky: 11.5 s  attempt 2 of 4"],
        [
            "running outer: 1.0 s",
            "├ done flaky: 23.0 s  attempt 3 of 4",
            "└ running inner: 1.0 s",
            "  └ sleeping nap: sleeps, 59.0 s left",
        ],
        [
            "running outer: 1 min 1 s",
            "├ done flaky: 23.0 s  attempt 3 of 4",
            "└ running inner: 1 min 1 s",
            "  ├ done nap: 1 min",
            "  └ waiting boss: waits for 'approval', 59.0 s left",
        ],
        [
            "failed outer: failed: WorkflowTimeoutError: wait 'boss': no event 'approval' came within its timeout of 1 min",
            "├ done flaky: 23.0 s  attempt 3 of 4",
            "└ failed inner: failed: WorkflowTimeoutError: wait 'boss': no event 'approval' came within its timeout of 1 min",
            "  ├ done nap: 1 min",
            "  └ late boss: no 'approval' in 1 min",
            "sleeping a while: sleeps, 59 min 53 s left",
        ],
    ]
    assert text(after)[-2] == "cancelled a while: cancelled"


def test_what_is_being_stopped_says_why() -> None:
    async def stubborn(event: Any, step: Any) -> None:
        @step.do("slow to go")
        async def slow() -> None:
            try:
                await trio.sleep_forever()
            finally:
                with trio.CancelScope(shield=True):
                    await trio.sleep(5)

        @step.do("bad")
        async def bad() -> None:
            await trio.sleep(1)
            raise ValueError("x")

        @step.do("both", depends=[slow, bad], concurrent=True)
        async def both(a: None, b: None) -> None: ...

        await both()

    seen, after = pictures(stubborn, 2)
    assert text(seen)[1:3] == [
        "├ stopping slow to go: 2.0 s  stopping: step 'bad' failed: ValueError('x')",
        "└ failed bad: failed: ValueError: x",
    ]
    assert text(after)[1] == "├ cancelled slow to go: cancelled: step 'bad' failed: ValueError('x')"
    assert text(after)[-1] == "6.0 s  3 steps: 1 failed, 1 cancelled, 1 not started"


def test_ctrl_c_is_seen_until_the_run_is_over() -> None:
    board = Board(stopping=True)
    before, after = pictures(diamond, 1.5, board=board)
    assert before.summary.startswith("stopping…  1.5 s")
    assert after.summary.startswith("5.0 s")


def test_a_step_declared_again_by_a_body_that_is_run_again_is_one() -> None:
    async def again(event: Any, step: Any) -> None:
        @step.do("outer", config={"retries": {"limit": 1, "delay": "1 second"}})
        async def outer(ctx: Any) -> None:
            @step.do("inner")
            async def inner() -> None:
                if ctx.attempt == 1:
                    raise OSError("x")

            await inner()

        await outer()

    (after,) = pictures(again)
    assert text(after)[:2] == ["done outer: 1.0 s  attempt 2 of 2", "└ done inner: 0.0 s"]
    assert text(after)[2] == "1.0 s  2 steps: 2 done"


def test_a_body_that_is_needed_by_what_it_declares_makes_no_circle() -> None:
    async def loop(event: Any, step: Any) -> None:
        made: list[Any] = []

        @step.do("outer")
        async def outer() -> None:
            made.append(step_that_takes(step, "inner", 1, made))
            await trio.sleep(5)

        made.append(outer)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(outer)
            await trio.sleep(1)
            nursery.start_soon(made[-1])

    (seen, _) = pictures(loop, 2)
    assert text(seen)[:2] == ["pending inner", "└ running outer: 2.0 s"]


# --------------------------------------------------------------------------------------------------------- many steps


def layers(count: int, width: int, *, fails: bool = False) -> Callable[[Any, Any], Any]:
    async def layered(event: Any, step: Any) -> None:
        rng, before = random.Random(1), []
        for layer in range(count):
            before = [
                step_that_takes(step, f"{layer}.{i}", 1 + i % 3 / 10, rng.sample(before, min(3, len(before))))
                for i in range(width)
            ]
        if fails:

            @step.do("bad", depends=before[:1])
            async def bad(_: None) -> None:
                raise ValueError("x")

            before.append(bad)
        await step_that_takes(step, "all", 1, before)()

    return layered


@pytest.mark.parametrize("room", [3, 22, 60])
def test_of_five_hundred_steps_what_runs_is_shown_with_what_needs_it(room: int) -> None:
    board = Board()
    seen, after = pictures(layers(50, 10), 25.05, room=room, board=board)
    assert len(board.steps) == 501 > FEW
    looks = [line.look for line in seen.lines]
    running = 10
    assert looks.count("running") == min(running, room - 1)
    assert len(looks) <= room - 1
    if room == 60:
        assert "pending" in looks  # for whose sake
        assert seen.lines[0].name == "all"
    folded = dict(seen.folded)
    assert folded["done"] + folded.get("running", 0) + folded["pending"] + len(looks) == 501
    assert after.lines == ()
    assert sum(number for _, number in after.folded) == 501


def test_of_five_hundred_steps_what_has_failed_is_shown_first() -> None:
    seen, after = pictures(layers(10, 50, fails=True), 9.5, room=5)
    assert [line.look for line in seen.lines] == ["running"] * 4
    assert sorted(line.look for line in after.lines) == ["cancelled"] * 3 + ["failed"]


def test_sleeps_in_a_large_run_are_shown() -> None:
    async def large(event: Any, step: Any) -> None:
        for i in range(FEW):
            step_that_takes(step, f"{i}", 1)
        await step.sleep("nap", "1 minute")

    seen, _ = pictures(large, 1)
    assert text(seen) == ["sleeping nap: sleeps, 59.0 s left", f"{FEW} pending", f"1.0 s  {FEW} steps: {FEW} to do"]


def test_cancelled_steps_are_shown_where_nothing_is_more_urgent() -> None:
    *_, after = pictures(layers(1, 30), 0.5, -1, room=10)
    assert [line.look for line in after.lines] == ["cancelled"] * 9
    assert after.folded == (("cancelled", 21), ("pending", 1))


@settings(max_examples=50)
@given(
    st.integers(1, 12),
    st.integers(1, 6),
    st.integers(-2, 40),
    st.floats(0, 14),
    st.sampled_from([1, FEW]),
    st.booleans(),
)
def test_no_picture_is_higher_than_its_room_and_nothing_is_missing(
    count: int, width: int, room: int, time: float, few: int, fails: bool
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("trioflow._tree.FEW", few)
        for seen in pictures(layers(count, width, fails=fails), time, room=room):
            assert len(seen.lines) + bool(seen.folded) <= max(room, 0)
            names = [line.name for line in seen.lines if line.look != "again"]
            assert len(set(names)) == len(names)
            if room > 0:
                total = len(names) + sum(number for _, number in seen.folded)
                assert total == count * width + 1 + fails
            urgent = [line for line in seen.lines if line.look in URGENT]
            hidden = sum(number for look, number in seen.folded if look in URGENT)
            if hidden:
                assert len(urgent) == room - 1  # all the room there is
