"""Standard output and standard error, closed, full, old-fashioned or left by their readers."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout

import pytest
from command_line import DIAMOND, flow, here, main

from trioflow import cli

__all__ = ["here"]  # a fixture


@pytest.mark.parametrize(
    ("expression", "told", "shown"),
    [
        ("[b'x', 1]", "list that JSON can't hold (Object of type bytes is not JSON serializable)", "[b'x', 1]"),
        ("float('nan')", "float that JSON can't hold (Out of range float values are not JSON compliant", "nan"),
        ("{(1, 2): 3}", "dict that JSON can't hold (keys must be str, int, float, bool or None, not tuple)", "{(1, 2"),
    ],
)
def test_what_json_cannot_hold_is_shown_as_python_shows_it(expression: str, told: str, shown: str) -> None:
    done = main("run", flow(f"return {expression}"))
    assert done.status == 0
    assert done.out.startswith(shown)
    assert told in done.lines[-1]


def test_a_result_that_cannot_even_be_shown_is_named() -> None:
    done = main("run", flow("class Shy:\n    def __repr__(self): raise ValueError\nreturn Shy()"))
    assert done.status == 0
    assert "Shy object at 0x" in done.out


def test_half_a_character_is_escaped() -> None:
    assert main("run", flow("return event.payload"), "--params", '"\\ud800"').out == '"\\ud800"\n'


class Gone(io.StringIO):
    """A stream whose reader has gone, in this process."""

    def __init__(self, error: Callable[[], Exception]) -> None:
        super().__init__()
        self.error = error

    def flush(self) -> None:
        raise self.error()


@pytest.mark.parametrize(("error", "status"), [(BrokenPipeError, 0), (OSError, 1), (ValueError, 1)])
def test_what_standard_output_does_decides(error: type[Exception], status: int) -> None:
    err = io.StringIO()
    with redirect_stdout(Gone(error)), redirect_stderr(err):
        assert cli.main(["run", flow("return 1")]) == status
    assert ("can't be written" in err.getvalue()) == (status == 1)


def test_what_is_written_after_the_reader_has_gone_goes_nowhere() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with open(writing, "w") as gone, redirect_stdout(gone), redirect_stderr(gone):
        assert cli.main(["run", flow("print('a')\n" + DIAMOND)]) == 0
        print("more", flush=True)


def test_closed_streams_are_no_obstacle() -> None:
    out = io.StringIO()
    with redirect_stdout(out), redirect_stderr(None):
        assert cli.main(["run", flow(DIAMOND)]) == 0
    assert out.getvalue() == "[2, 3]\n"
    err = io.StringIO()
    with redirect_stdout(None), redirect_stderr(err):
        assert cli.main(["run", flow(DIAMOND)]) == 0
    assert "4 steps: 4 done" in err.getvalue()
