"""What every way of showing a run does alike."""

from __future__ import annotations

import pytest

from trioflow import StepConfig
from trioflow._board import Board
from trioflow._view import View
from trioflow.abc import StepStarted


async def test_a_plain_view_has_nothing_to_keep_up(capsys: pytest.CaptureFixture[str]) -> None:
    view = View(Board())
    view.open()
    await view.keep_up()
    view.stopping()
    assert view.board.stopping
    view.tell("one", "two")
    assert view.output([1])
    assert capsys.readouterr() == ("[1]\n", "one\ntwo\n")


def test_when_it_is_closed_nothing_goes_on() -> None:
    board = Board()
    path = (("a", 1),)
    board.step_started(
        StepStarted(
            instance_id="i", time=1.0, step="a", occurrence=1, path=path, depends=(), concurrent=False, after=None,
            config=StepConfig(),
        )
    )  # fmt: skip
    View(board).close(2.0)
    assert (board.ended, board.rows["step", path].state) == (2.0, "cancelled")
