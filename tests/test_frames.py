"""The lines of a traceback that are the user's own. How a report shows them is in test_report."""

from __future__ import annotations

import json
from traceback import FrameSummary

import pytest
import trio

from trioflow import _frames, run_workflow
from trioflow._frames import frame_lines, own_frames, place


def frames(count: int) -> list[FrameSummary]:
    return [FrameSummary("/far/away.py", n, f"f{n}", line=f"line {n}") for n in range(count)]


def test_no_error_has_no_frames() -> None:
    assert own_frames(None) == []


async def test_neither_trios_nor_ours_nor_the_librarys_are_the_users() -> None:
    async def fails(event: object, step: object) -> None:
        async with trio.open_nursery():
            json.loads("{")

    with pytest.RaisesGroup(json.JSONDecodeError) as caught:
        await run_workflow(fails)
    (error,) = caught.value.exceptions
    assert [frame.name for frame in own_frames(error)] == ["fails"]
    assert _frames.own_frames(caught.value)[-1].name == "fails"


def test_if_all_are_the_librarys_they_are_shown() -> None:
    with pytest.raises(ValueError, match="Expecting") as caught:
        json.loads("{")
    error = caught.value
    assert error.__traceback__ is not None
    error.__traceback__ = error.__traceback__.tb_next
    assert [frame.name for frame in own_frames(error)] == ["loads", "decode", "raw_decode"]


@pytest.mark.parametrize("room", [1, 2, 3, 4, 5, 8, 12])
@pytest.mark.parametrize("count", [0, 1, 2, 6, 50])
def test_frames_fit_into_their_room(count: int, room: int) -> None:
    lines = frame_lines(frames(count), room)
    assert len(lines) <= max(room, 3)
    if 0 < count <= room // 2:
        assert len(lines) == 2 * count
    if count:
        assert lines[-1] == f"      line {count - 1}"


def test_a_place_is_file_line_and_function() -> None:
    assert place(frames(4)[3]) == "/far/away.py:3 in f3"
