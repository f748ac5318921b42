"""The board knows the state of every step, sleep and wait that has begun."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import trio
from trio.testing import MockClock

from trioflow import open_run
from trioflow._board import Board
from trioflow.abc import StepReused

RETRIES = {"retries": {"limit": 2, "delay": "10 seconds", "backoff": "constant"}}


async def everything(event: Any, step: Any) -> None:
    @step.do("flaky", config=RETRIES)
    async def flaky(ctx: Any) -> None:
        await trio.sleep(1)
        if ctx.attempt == 1:
            raise OSError("not yet")

    @step.do("nap")
    async def nap() -> None:
        await step.sleep("doze", "5 seconds")
        await step.wait_for_event("boss", "approval", timeout="20 seconds")

    @step.do("idle")
    async def idle() -> None: ...

    @step.do("both", depends=[flaky, nap], concurrent=True)
    async def both(a: None, b: None) -> None: ...

    await both()


def looked_at(
    workflow: Any, *times: float, events: dict[str, float] | None = None
) -> tuple[Board, list[dict[str, str]]]:
    """A board after a run, and what it showed at these times: the states by name."""
    board, seen = Board(), []

    async def main() -> None:
        async with open_run(workflow, instruments=[board]) as board.run:
            for time in times:
                await trio.sleep_until(time)
                seen.append({row.name: row.state for row in board.rows.values()})
                assert set(board.active) | set(board.bad) <= set(board.rows)
                assert sum(board.tally.values()) == len(board.rows)
                for kind, at in (events or {}).items():
                    if at == time:
                        board.run.send_event(kind)

    with suppress(TimeoutError):
        trio.run(main, clock=MockClock(autojump_threshold=0))
    return board, seen


def test_steps_sleeps_and_waits_have_the_state_that_they_are_in() -> None:
    board, seen = looked_at(everything, 0.5, 2, 6, 12.5, 13, events={"approval": 12.5})
    assert seen == [
        {"flaky": "running", "nap": "running", "doze": "sleeping"},
        {"flaky": "retrying", "nap": "running", "doze": "sleeping"},
        {"flaky": "retrying", "nap": "running", "doze": "done", "boss": "waiting"},
        {"flaky": "done", "nap": "running", "doze": "done", "boss": "waiting"},
        {"flaky": "done", "nap": "done", "doze": "done", "boss": "done", "both": "done"},
    ]
    row = board.rows["step", (("flaky", 1),)]
    assert (row.began, row.ended, row.attempt, row.attempts) == (0, 12, 2, 3)
    assert board.taken == {"approval": 1}
    assert board.counts() == {"done": 3, "failed": 0, "cancelled": 0, "not started": 1}


def test_a_wait_that_is_too_late_fails_its_step() -> None:
    board, seen = looked_at(everything, 30)
    assert seen == [{"flaky": "done", "nap": "failed", "doze": "done", "boss": "late"}]
    assert [row.name for row in board.bad.values()] == ["boss", "nap"]
    assert board.bad["step", (("nap", 1),)].why.startswith("WorkflowTimeoutError: wait 'boss': no event 'approval'")


def test_what_is_cancelled_says_why() -> None:
    board, _ = looked_at(everything, 2, 2)
    assert {row.name: row.state for row in board.rows.values()} == dict.fromkeys(("flaky", "nap", "doze"), "cancelled")
    assert board.rows["step", (("nap", 1),)].why == "the host cancelled the run: the block of open_run was left"
    assert not board.active


def test_a_wait_may_be_cancelled() -> None:
    board, _ = looked_at(everything, 6, 6)
    assert board.rows["wait", (("nap", 1), ("boss", 1))].state == "cancelled"


def test_what_is_begun_again_begins_anew() -> None:
    async def again(event: Any, step: Any) -> None:
        @step.do("slow")
        async def slow() -> None:
            await trio.sleep(10)

        with trio.move_on_after(1):
            await slow()
        await slow()

    board, seen = looked_at(again, 0.5, 1.5, 12)
    assert [states["slow"] for states in seen] == ["running", "running", "done"]
    assert board.rows["step", (("slow", 1),)].began == 1
    assert (board.tally["step", "done"], board.tally["step", "cancelled"], board.bad) == (1, 0, {})


def test_what_is_reused_stays_as_it_was() -> None:
    async def outer(event: Any, step: Any) -> None:
        @step.do("outer", config=RETRIES)
        async def body(ctx: Any) -> None:
            @step.do("inner")
            async def inner() -> None:
                await trio.sleep(1)

            await inner()
            await step.sleep("nap", "1 second")
            if ctx.attempt == 1:
                raise OSError

        await body()

    board, _ = looked_at(outer, 30)
    inner, nap = (row for row in board.rows.values() if row.name != "outer")
    assert (inner.state, inner.ended, nap.state, nap.ended) == ("done", 1, "done", 2)


def test_what_was_done_before_this_run_is_done() -> None:
    board = Board()
    board.step_reused(StepReused(instance_id="i", time=3.0, step="a", occurrence=1, path=(("a", 1),), output=None))
    assert [(row.name, row.state, row.ended) for row in board.rows.values()] == [("a", "done", 3.0)]


def test_what_ended_without_a_word_ends_with_the_run() -> None:
    async def leave(event: Any, step: Any) -> None:
        @step.do()
        def leaves() -> None:
            raise SystemExit(3)

        await leaves()

    board = Board()

    async def main() -> None:
        async with open_run(leave, instruments=[board]) as board.run:
            await board.run.result()

    with suppress(SystemExit):
        trio.run(main)
    assert [row.state for row in board.rows.values()] == ["running"]
    assert [row.why for row in board.close(7.0)] == ["the run was ended from within it"]
    assert (board.ended, board.rows["step", (("leaves", 1),)].state) == (7.0, "cancelled")


def test_a_board_without_a_run_has_no_steps() -> None:
    assert (Board().steps, Board().by_key()) == ((), {})
