"""Where a run is shown: as facts, as lines, or as a tree, whatever the streams are."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import pytest
from terminal import Emulator

from trioflow._board import Board
from trioflow._console import can_draw, shown
from trioflow._feed import Feed
from trioflow._lines import Lines


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)


def view_of(*, as_json: bool = False) -> Any:
    with shown(Board(), as_json=as_json, is_virtual=False) as view:
        return view


def test_a_terminal_gets_a_tree_and_everything_else_lines() -> None:
    from trioflow._treeview import Tree

    with redirect_stderr(Emulator()):
        assert isinstance(view_of(), Tree)
    with redirect_stderr(io.StringIO()):
        assert isinstance(view_of(), Lines)
        assert isinstance(view_of(as_json=True), Feed)


@pytest.mark.parametrize(
    ("variables", "draws"),
    [
        ({}, True),
        ({"NO_COLOR": ""}, True),  # as its convention has it
        ({"NO_COLOR": "1"}, False),
        ({"TERM": "dumb"}, False),
        ({"TERM": "unknown"}, False),
        ({"TERM": ""}, False),
    ],
)
def test_who_asks_for_less_gets_lines(variables: dict[str, str], draws: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with redirect_stderr(Emulator()):
        assert can_draw() is draws


def test_a_stream_that_is_closed_is_no_terminal() -> None:
    closed = io.StringIO()
    closed.close()
    for stream in (None, closed):
        with redirect_stderr(stream):
            assert not can_draw()


def test_facts_keep_standard_output_for_themselves_from_children_too(tmp_path: Path) -> None:
    with open(tmp_path / "out", "w+") as out, open(tmp_path / "err", "w+") as err:
        with redirect_stdout(out), redirect_stderr(err):
            print("before")
            with shown(Board(), as_json=True, is_virtual=False) as view:
                assert isinstance(view, Feed)
                view.write("a fact: ä")
                print("printed", flush=True)
                subprocess.run([sys.executable, "-c", "print('a child')"], stdout=out, check=True)
            print("after")
        for stream in (out, err):
            stream.flush()
            stream.seek(0)
        assert out.read() == "before\na fact: ä\nafter\n"
        assert err.read() == "printed\na child\n"


@pytest.mark.parametrize("error", [BrokenPipeError, OSError, ValueError])
def test_nobody_reading_the_facts_is_no_obstacle(error: type[Exception]) -> None:
    class Gone(io.StringIO):
        def flush(self) -> None:
            raise error

    with (
        redirect_stdout(Gone()),
        redirect_stderr(io.StringIO()),
        shown(Board(), as_json=True, is_virtual=False) as view,
    ):
        assert isinstance(view, Feed)
        view.write("a fact")


def test_facts_for_a_closed_standard_output_go_nowhere() -> None:
    err = io.StringIO()
    with redirect_stdout(None), redirect_stderr(err), shown(Board(), as_json=True, is_virtual=False) as view:
        assert isinstance(view, Feed)
        view.write("a fact")
    assert err.getvalue() == ""


def test_a_pipe_whose_reader_has_gone_takes_no_facts(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with (
        open(writing, "w") as gone,
        open(tmp_path / "err", "w") as err,
        redirect_stdout(gone),
        redirect_stderr(err),
        shown(Board(), as_json=True, is_virtual=False) as view,
    ):
        assert isinstance(view, Feed)
        view.write("a fact")
        view.write("another")
