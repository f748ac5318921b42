"""What is written under a file descriptor takes another way while a picture is drawn, and nothing of it is lost."""

from __future__ import annotations

import os
import subprocess
import sys
import termios
from collections.abc import Iterator

import pytest

from trioflow import _detour
from trioflow._detour import detoured


@pytest.fixture
def number() -> Iterator[int]:
    """A file descriptor of a terminal."""
    ours, theirs = os.openpty()
    yield theirs
    os.close(ours)
    os.close(theirs)


def test_what_is_written_is_handed_over_byte_for_byte(number: int) -> None:
    told: list[str] = []
    before = os.fstat(number).st_rdev
    with detoured([number], told.append):
        assert os.fstat(number).st_rdev != before
        assert os.isatty(number)
        for piece in (b"a\tb\n", "ä".encode()[:1], "ä".encode()[1:], b"\r\n\x03\xff"):
            os.write(number, piece)
    assert os.fstat(number).st_rdev == before
    assert "".join(told) == "a\tb\nä\r\n\x03\N{REPLACEMENT CHARACTER}"


def test_a_child_that_lives_on_does_not_hold_up_the_end(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    monkeypatch.setattr(_detour, "LAST_WORDS", 0.2)
    program = "import sys; print('begun', flush=True); sys.stdin.read()"
    with detoured([number], told.append):
        child = subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=number)
        while not told:
            pass
    assert "".join(told) == "begun\n"
    child.communicate()


def test_much_is_handed_over_whole(number: int) -> None:
    told: list[str] = []
    with detoured([number, number], told.append), open(number, "w", closefd=False) as stream:
        for n in range(20_000):
            print(n, file=stream)
    assert "".join(told).split() == [str(n) for n in range(20_000)]


def test_it_is_as_large_as_the_terminal(number: int) -> None:
    termios.tcsetwinsize(number, (7, 33))
    with detoured([number], lambda text: None):
        assert termios.tcgetwinsize(number) == (7, 33)


def test_what_has_no_size_has_none(tmp_path: object) -> None:
    reading, writing = os.pipe()
    told: list[str] = []
    with detoured([writing], told.append):
        os.write(writing, b"x")
    assert told == ["x"]
    os.close(reading)
    os.close(writing)
