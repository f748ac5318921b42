"""The last lines of a terminal are a picture, and what is printed appears above it, in order and whole."""

from __future__ import annotations

import fcntl
import io
import os
import select
import struct
import subprocess
import sys
import termios
import threading
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from typing import Any, TextIO

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.text import Text
from terminal import Emulator

from trioflow._live import LONGEST_LINE, Display, Screen, screen_on


def picture_of(*lines: str) -> Callable[[int, int], list[Text]]:
    def drawing(width: int, height: int) -> list[Text]:
        return [Text(line, no_wrap=True, overflow="ellipsis") for line in lines]

    return drawing


def started(columns: int = 80, lines: int = 24) -> tuple[Screen, Emulator]:
    terminal = Emulator(columns, lines)
    screen = Screen(console(terminal))
    screen.start()
    return screen, terminal


def console(terminal: Emulator) -> Display:
    """Which asks the emulator for its size, each time."""

    class Sized(Display):
        @property
        def size(self) -> Any:
            return super().size.__class__(terminal.screen.columns, terminal.screen.lines)

    return Sized(file=terminal, force_terminal=True, color_system="256")


def test_what_is_printed_is_above_the_picture_in_order() -> None:
    screen, terminal = started()
    screen.draw(picture_of("one", "two"))
    screen.write("first\n")
    screen.write("second\nthird\n")
    assert terminal.lines == ["first", "second", "third", "one", "two"]
    screen.draw(picture_of("three"))
    screen.write("fourth\n")
    assert terminal.lines == ["first", "second", "third", "fourth", "three"]
    screen.stop()
    screen.write("last\n")
    assert terminal.lines == ["first", "second", "third", "fourth", "three", "last"]


def test_a_line_without_an_end_is_shown_and_kept_open() -> None:
    screen, terminal = started()
    screen.draw(picture_of("picture"))
    screen.write("work")
    assert terminal.lines == ["work", "picture"]
    screen.write("ing ...")
    screen.draw(picture_of("picture 2"))
    assert terminal.lines == ["working ...", "picture 2"]
    screen.write(" done\nnext")
    assert terminal.lines == ["working ... done", "next", "picture 2"]
    screen.stop()
    assert terminal.lines == ["working ... done", "next", "picture 2"]


def test_a_progress_bar_of_the_workflow_overwrites_itself() -> None:
    screen, terminal = started()
    screen.draw(picture_of("picture"))
    for percent in (10, 20):
        screen.write(f"\r{percent} %")
        assert terminal.lines == [f"{percent} %", "picture"]
    screen.write("\r")
    assert terminal.lines == ["20 %", "picture"]
    screen.write("30 %\r")
    screen.write("100 %\r\n")
    assert terminal.lines == ["100 %", "picture"]


def test_lines_that_are_too_long_are_broken_above_and_cut_below() -> None:
    screen, terminal = started(columns=20)
    screen.draw(picture_of("p" * 30))
    screen.write("x" * 30)
    assert terminal.lines == ["x" * 19 + "…", "p" * 19 + "…"]
    screen.write("\n")
    assert terminal.lines == ["x" * 20, "x" * 10, "p" * 19 + "…"]
    screen.write("y" * (LONGEST_LINE + 1))  # would be drawn again and again
    screen.write("z\n")
    assert terminal.lines[-2:] == ["z", "p" * 19 + "…"]
    assert "".join(terminal.lines[2:-2]) == "y" * (LONGEST_LINE + 1)


def test_colours_are_kept_and_what_moves_the_cursor_is_not() -> None:
    screen, terminal = started()
    screen.draw(picture_of("picture"))
    screen.write("\x1b[31mred\x1b[0m\x1b[5A\x1b[2J\n")
    assert terminal.lines == ["red", "picture"]
    assert terminal.screen.buffer[0][0].fg == "red"


def test_a_picture_is_never_higher_than_the_terminal() -> None:
    screen, terminal = started(lines=5)
    screen.write("above\nopen")
    screen.draw(lambda width, height: [Text(f"{n}") for n in range(20)])
    assert len(terminal.screen.display) == 5
    assert terminal.lines[:2] == ["above", "open"]


def test_a_picture_gets_the_size_that_there_is() -> None:
    screen, terminal = started(columns=40, lines=10)
    sizes: list[tuple[int, int]] = []

    def drawing(width: int, height: int) -> list[Text]:
        sizes.append((width, height))
        return [Text("x")]

    screen.draw(drawing)
    screen.write("open")
    screen.draw(drawing)
    terminal.screen.resize(20, 60)
    screen.draw(drawing)
    assert sizes == [(40, 10), (40, 9), (60, 19)]


def test_where_a_terminal_breaks_lines_anew_as_many_rows_more_are_wiped(monkeypatch: pytest.MonkeyPatch) -> None:
    """pyte doesn't; so it is given the lines as they would stand there."""
    monkeypatch.delenv("XTERM_VERSION", raising=False)
    screen, terminal = started(columns=40)
    screen.write("above\n")
    screen.draw(picture_of("a" * 35, "b" * 10, "c" * 25))
    terminal.screen.resize(24, 20)
    terminal.screen.reset()
    terminal.write("above\n" + "a" * 20 + "\n" + "a" * 15 + "\n" + "b" * 10 + "\n" + "c" * 20 + "\n" + "c" * 5)
    screen.draw(picture_of("short"))
    assert terminal.lines == ["above", "short"]


def test_where_it_cuts_them_no_more_is_wiped_than_was_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XTERM_VERSION", "XTerm(390)")
    screen, terminal = started(columns=40)
    screen.write("above\n")
    screen.draw(picture_of("a" * 35, "b" * 10))
    terminal.screen.resize(24, 20)
    screen.draw(picture_of("short"))
    screen.write("more\n")
    assert terminal.lines == ["above", "more", "short"]


@settings(max_examples=60)
@given(
    st.lists(st.text(st.sampled_from("ab \n"), max_size=12) | st.integers(0, 4), max_size=30),
    st.integers(10, 30),
)
def test_the_same_lines_appear_as_without_a_picture(events: list[str | int], width: int) -> None:
    screen, terminal = started(columns=width, lines=8)
    plain = Emulator(width, 8)
    for event in events:
        if isinstance(event, int):
            screen.draw(picture_of(*(f"|{n}" for n in range(event))))
        else:
            screen.write(event)
            plain.write(event)
    screen.draw(picture_of("|last"))
    written = "".join(event for event in events if isinstance(event, str))
    above = [line for line in terminal.lines if not line.startswith("|")]
    if len(written) <= width:
        assert [line.rstrip() for line in above if line] == [line for line in plain.lines if line]
    assert "".join(above).replace(" ", "").replace("…", "") in written.replace(" ", "").replace("\n", "") + "…"
    assert terminal.lines[-1] == "|last"


def test_threads_print_whole_lines() -> None:
    screen, terminal = started()
    screen.draw(picture_of("picture"))

    def work(name: str) -> None:
        for n in range(50):
            screen.write(f"{name} {n}\n")

    threads = [threading.Thread(target=work, args=(name,)) for name in "abc"]
    for thread in threads:
        thread.start()
    for _ in range(20):
        screen.draw(picture_of("picture"))
    for thread in threads:
        thread.join()
    assert sorted(terminal.lines[:-1]) == sorted(f"{name} {n}" for name in "abc" for n in range(50))
    assert terminal.lines[-1] == "picture"


def test_who_prints_or_draws_while_it_is_drawn_is_not_held_up_and_nothing_is_lost() -> None:
    screen, terminal = started()

    def drawing(width: int, height: int) -> list[Text]:
        screen.write("from within\n")  # as a signal handler does
        screen.draw(picture_of("picture from within"))
        return [Text("picture")]

    screen.draw(drawing)
    assert terminal.lines == ["from within", "picture from within"]


def test_no_picture_is_left_out_because_another_thread_prints_just_then() -> None:
    screen, terminal = started()
    in_it, go_on = threading.Event(), threading.Event()
    write = terminal.write

    def slow(text: str) -> int:
        in_it.set()
        go_on.wait()
        return write(text)

    terminal.write = slow  # type: ignore[method-assign]
    printer = threading.Thread(target=screen.write, args=("printed\n",))
    printer.start()
    in_it.wait()
    drawer = threading.Thread(target=screen.draw, args=(picture_of("last picture"),))
    drawer.start()
    go_on.set()
    printer.join()
    drawer.join()
    assert terminal.lines == ["printed", "last picture"]


@pytest.mark.parametrize("error", [OSError, BrokenPipeError, ValueError])
def test_a_terminal_that_has_gone_is_no_obstacle(error: type[Exception]) -> None:
    screen, terminal = started()
    screen.draw(picture_of("picture"))

    def gone(text: str) -> int:
        raise error

    terminal.write = gone  # type: ignore[method-assign]
    screen.write("more\n")
    screen.draw(picture_of("picture"))
    screen.stop()
    screen.write("more\n")
    screen.stop()


# ---------------------------------------------------------------------------------------------------------------- taps


@attrs.frozen
class Machine:
    """A terminal of the machine's, two streams to it, and what stands on it."""

    out: TextIO
    err: TextIO
    ours: int
    terminal: Emulator

    @property
    def lines(self) -> list[str]:
        while select.select([self.ours], [], [], 0)[0]:
            self.terminal.screen_feed(os.read(self.ours, 65_536).decode())
        return self.terminal.lines


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    monkeypatch.setenv("TERM", "xterm-256color")
    ours, theirs = os.openpty()
    fcntl.ioctl(ours, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    with open(theirs, "w") as out, open(os.dup(theirs), "w", errors="backslashreplace") as err:
        yield Machine(out, err, ours, Emulator())
    os.close(ours)


def test_what_goes_to_the_terminal_is_shown_by_the_screen(machine: Machine) -> None:
    with redirect_stdout(machine.out), redirect_stderr(machine.err):
        with screen_on(machine.err) as screen:
            print("not on yet")
            screen.start()
            screen.draw(picture_of("picture"))
            assert sys.stdout.isatty()
            assert sys.stdout.fileno() == machine.out.fileno()
            assert (sys.stdout.encoding, sys.stderr.errors) == (machine.out.encoding, "backslashreplace")
            assert sys.stdout.buffer.name == machine.out.name  # type: ignore[attr-defined]
            print("to standard output")
            print("to standard error", file=sys.stderr)
            sys.stdout.buffer.write("ä".encode()[:1])
            sys.stdout.buffer.write("ä\n".encode()[1:])
            print("kept", end="")
            assert machine.lines == ["not on yet", "to standard output", "to standard error", "ä", "picture"]
            assert screen.number not in (None, machine.out.fileno(), machine.err.fileno())
            taps = sys.stdout, sys.stderr
            sys.stdout.flush()
        assert (sys.stdout, sys.stderr) == (machine.out, machine.err)
        print("later", file=taps[1])  # a logging handler keeps its stream
    assert machine.lines[-3:] == ["kept", "picture", "later"]


def test_what_children_print_is_shown_above_and_whole(machine: Machine) -> None:
    program = "import os, sys\nfor i in range(50): print(i, os.isatty(1), *os.get_terminal_size(1))"
    with redirect_stdout(machine.out), redirect_stderr(machine.err):
        with screen_on(machine.err) as screen:
            screen.start()
            screen.draw(picture_of("picture"))
            subprocess.run([sys.executable, "-c", program], stdout=machine.out, check=True)
            if (child := os.fork()) == 0:
                print("forked", flush=True)
                os._exit(0)
            os.waitpid(child, 0)
        assert machine.out.isatty()
    assert machine.lines == [*(f"{i} True 80 24" for i in range(50)), "forked", "picture"]


def test_what_goes_elsewhere_is_left_alone(machine: Machine) -> None:
    with (
        open(os.devnull, "w") as elsewhere,
        redirect_stdout(elsewhere),
        redirect_stderr(machine.err),
        screen_on(machine.err),
    ):
        assert sys.stdout is elsewhere
        assert sys.stderr is not machine.err


def test_what_the_workflow_has_put_there_itself_is_left_there(machine: Machine) -> None:
    own = io.StringIO()
    with redirect_stdout(machine.out), redirect_stderr(machine.err):
        with screen_on(machine.err):
            sys.stdout = own
        assert sys.stdout is own


def test_streams_that_are_none_or_closed_are_left_alone() -> None:
    closed = io.StringIO()
    closed.close()
    with redirect_stdout(None), redirect_stderr(closed), screen_on(Emulator()) as screen:
        assert sys.stdout is None
        assert sys.stderr is closed
        assert screen.number is None
