"""The last lines of a terminal, drawn again and again below whatever is printed.

rich does the drawing. What the workflow writes, to standard output or standard error, goes through a `Tap`, so that it comes
out above the picture, in order. Taps stand where the streams stood *before* the workflow's file is loaded: a logging handler
that the file makes keeps the stream that it finds. A line without an end stands between what is finished and the
picture until it has one, as it would stand on the screen. (rich's own redirection was rejected: it ends such a line wherever
somebody flushes it.)

Printing never waits for a picture. It comes out at once, above the last one, whose pieces are kept ready.
"""

from __future__ import annotations

import codecs
import io
import os
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from typing import Any, Final, TextIO, final

from rich.console import Console, ConsoleOptions, RenderResult
from rich.control import Control
from rich.live import Live
from rich.segment import ControlType, Segment
from rich.text import Text
from trio.lowlevel import enable_ki_protection

from ._detour import detoured

#: A line that is longer than that and has no end yet is given one.
LONGEST_LINE: Final = 2_000

Drawing = Callable[[int, int], list[Text]]


class Display(Console):
    """rich ends the program when a reader has gone away. That is no reason for a workflow to end."""

    def on_broken_pipe(self) -> None:
        raise


@final
class _Region:
    """What Live draws. It is made of pieces that are ready: most of the time only what is above it changes."""

    def __init__(self) -> None:
        self.lines: list[list[Segment]] = []

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for number, line in enumerate(self.lines):
            if number:
                yield Segment.line()
            yield from line

    def rows_beyond(self, width: int) -> int:
        """How many rows more it takes where a terminal has become as narrow as that."""
        return sum((Segment.get_line_length(line) - 1) // width for line in self.lines if line)


@final
class Screen:
    """A terminal whose last lines are a picture, with the output above them. Nothing here raises when it has gone away."""

    def __init__(self, console: Console, numbers: Sequence[int] = ()) -> None:
        """`numbers` are the file descriptors under which others write to the console's terminal."""
        self.console = console
        self.is_on = False
        self._numbers = numbers
        self._detour = ExitStack()
        self._region = _Region()
        self._live = Live(
            get_renderable=lambda: self._region,
            console=console,
            auto_refresh=False,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        #: Workflows print from threads, too. What was written and is not shown yet:
        self._lock = threading.RLock()
        self._written: deque[str] = deque()
        #: The picture that is to be drawn next, if any.
        self._wanted: list[Drawing] = []
        #: A signal handler may print, or want a picture, while its thread is just here.
        self._busy = False
        #: The line that has no end yet, and the picture.
        self._unfinished = ""
        self._picture: list[list[Segment]] = []
        self._width = console.size.width

    @property
    def number(self) -> int | None:
        """The terminal's own file descriptor, if it has one."""
        try:
            return self.console.file.fileno()
        except (OSError, ValueError):
            return None

    @enable_ki_protection
    def start(self) -> None:
        with self._at_work():
            self._live.start()
            self.is_on = True
            if self._numbers:
                self._detour.enter_context(detoured(self._numbers, self.write))
        with self._lock:
            self._catch_up()

    @enable_ki_protection
    def stop(self) -> None:
        """Leave the last picture where it is. What comes then goes straight to the terminal."""
        self._detour.close()
        with self._at_work():
            if not self.is_on:
                return
            self.is_on = False
            unfinished, self._unfinished = self._unfinished, ""
            self._compose()
            if unfinished:
                self._print(unfinished)
            self._live.stop()
        self._catch_up()

    @enable_ki_protection
    def write(self, text: str) -> None:
        """Show text above the picture. From any thread."""
        self._written.append(text)
        with self._lock:
            self._catch_up()

    @enable_ki_protection
    def draw(self, drawing: Drawing) -> None:
        """Show another picture, which the function makes for a width and a height.

        It is called in this thread: at once or, in a signal handler that has come between, when that is over.
        """
        with self._lock:
            self._wanted[:] = [drawing]
            self._catch_up()

    @contextmanager
    def _at_work(self) -> Iterator[None]:
        with self._lock:
            self._busy = True
            try:
                with suppress(OSError, ValueError):
                    yield
            finally:
                self._busy = False

    def _catch_up(self) -> None:
        """Show what has come in, also from signal handlers meanwhile."""
        while not self._busy and (self._written or self._wanted):
            with self._at_work():
                if self._written:
                    self._show(self._written.popleft())
                else:
                    self._draw(self._wanted.pop())

    def _draw(self, drawing: Drawing) -> None:
        if not self.is_on:
            return
        width, height = self.console.size
        options = self.console.options.update(width=width, height=None)
        texts = drawing(width, height - (1 if self._unfinished else 0))
        self._picture = [self.console.render_lines(text, options, pad=False)[0] for text in texts]
        self._compose()
        self._live.refresh()

    def _show(self, text: str) -> None:
        if not self.is_on:
            self.console.file.write(text)
            self.console.file.flush()
            return
        finished, newline, rest = (self._unfinished + text).rpartition("\n")
        if len(rest) > LONGEST_LINE:
            finished, newline, rest = finished + newline + rest, "\n", ""
        self._unfinished = _as_it_stands(rest)
        self._compose()
        if newline:
            self._print(finished)
        else:
            self._live.refresh()

    def _print(self, text: str) -> None:
        """Whole lines. Colours are kept; what would move the cursor is not."""
        self.console.print(Text.from_ansi(text.replace("\r\n", "\n").removesuffix("\r")), soft_wrap=True)

    def _compose(self) -> None:
        """What Live is to draw next, and room for it where it is to be drawn."""
        width, height = self.console.size
        if width < self._width and "XTERM_VERSION" not in os.environ and (rows := self._region.rows_beyond(width)):
            # All but xterm have broken lines that are too long now: there are more rows to wipe than Live knows of.
            up: list[Any] = [(ControlType.ERASE_IN_LINE, 2), (ControlType.CURSOR_UP, 1)] * rows
            self.console.control(Control(ControlType.CARRIAGE_RETURN, *up))
        self._width = width
        lines = list(self._picture)
        if self._unfinished:
            text = Text.from_ansi(self._unfinished.removesuffix("\r"))
            text.truncate(width, overflow="ellipsis")
            options = self.console.options.update(width=width, height=None, no_wrap=True)
            lines[:0] = self.console.render_lines(text, options, pad=False)
        self._region.lines = lines[: max(1, height)]


def _as_it_stands(line: str) -> str:
    """What of an unfinished line can be seen: nothing of what a progress bar has written over."""
    end = "\r" if line.endswith("\r") else ""
    return line.rstrip("\r").rpartition("\r")[2] + end


# ---------------------------------------------------------------------------------------------------- what is printed


@final
class Tap(io.BufferedIOBase):
    """Takes what is written to a stream and shows it on the screen. For the rest it is the stream."""

    def __init__(self, screen: Screen, stream: TextIO) -> None:
        self._screen = screen
        self._stream = stream
        self._process = os.getpid()
        self._decode = codecs.getincrementaldecoder(stream.encoding or "utf-8")("replace").decode
        self.name = getattr(stream, "name", "")
        self.mode = "wb"

    @enable_ki_protection
    def write(self, data: Any, /) -> int:
        if os.getpid() != self._process or not self._screen.is_on:  # forked: the picture is another process's
            self._stream.buffer.write(data)
            self._stream.flush()
        elif text := self._decode(bytes(data)):
            self._screen.write(text)
        return memoryview(data).nbytes

    def writable(self) -> bool:
        return True

    def isatty(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._stream.fileno()


@contextmanager
def screen_on(terminal: TextIO) -> Iterator[Screen]:
    """A screen on a stream's terminal. While the block runs, what is printed there goes to the screen."""
    before = {name: getattr(sys, name) for name in ("stdout", "stderr")}
    same = {name: stream for name, stream in before.items() if _is_same(stream, terminal)}
    with ExitStack() as until:
        try:
            own = os.dup(terminal.fileno())
        except (OSError, ValueError):  # none of the machine's
            screen = Screen(Display(file=terminal))
        else:
            file = until.enter_context(open(own, "w", encoding=terminal.encoding, errors="backslashreplace"))
            screen = Screen(Display(file=file), [stream.fileno() for stream in same.values()])
        until.enter_context(_tapped(screen, same))
        until.callback(screen.stop)
        yield screen


@contextmanager
def _tapped(screen: Screen, before: dict[str, TextIO]) -> Iterator[None]:
    taps = {name: _tap(screen, stream) for name, stream in before.items()}
    for name, tap in taps.items():
        setattr(sys, name, tap)
    try:
        yield
    finally:
        for name, tap in taps.items():
            with suppress(OSError, ValueError):
                tap.flush()
            if getattr(sys, name) is tap:
                setattr(sys, name, before[name])


def _tap(screen: Screen, stream: TextIO) -> io.TextIOWrapper:
    return io.TextIOWrapper(Tap(screen, stream), stream.encoding, stream.errors, line_buffering=True)


def _is_same(stream: Any, terminal: Any) -> bool:
    """Whether both are the same terminal. What goes elsewhere is not touched."""
    try:
        return bool(stream.isatty()) and os.path.samestat(os.fstat(stream.fileno()), os.fstat(terminal.fileno()))
    except (AttributeError, OSError, ValueError):
        return False
