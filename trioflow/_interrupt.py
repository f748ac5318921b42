"""Ctrl-C once asks a run to stop; Ctrl-C twice ends it.

The first is Trio's: it cancels, bodies clean up, and the run ends in order. But a clean-up may be shielded, or busy, or wait
for a thread; somebody who presses the keys again wants the prompt back, now. Then nothing is asked any more: what is
buffered is written, the terminal is put back as it was, and the process is gone.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any, NoReturn

INTERRUPTED = 130


@contextmanager
def two_interrupts(first: Callable[[], object], picture: int | None) -> Iterator[None]:
    """While the block runs: at the first Ctrl-C call `first`, then let Trio have it; at the second end the process.

    To be used within `trio.run`. `first` is called in the signal handler and has to be quick. `picture` is the file
    descriptor of a terminal that shows something that is redrawn, and no cursor. Does nothing where Trio doesn't handle
    Ctrl-C: in a thread, or when the host has a handler of its own.
    """
    trios = signal.getsignal(signal.SIGINT)
    if not callable(trios) or trios is signal.default_int_handler:
        yield
        return
    modes = _terminal_modes()
    pressed = False

    def handle(number: int, frame: FrameType | None) -> Any:
        nonlocal pressed
        if pressed:
            _end_at_once(modes, picture)
        pressed = True
        first()
        return trios(number, frame)

    signal.signal(signal.SIGINT, handle)
    try:
        yield
    finally:
        if signal.getsignal(signal.SIGINT) is handle:
            signal.signal(signal.SIGINT, trios)  # Trio takes its own away, and only its own


def _end_at_once(modes: list[tuple[int, list[Any]]], picture: int | None) -> NoReturn:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # a third one shall not wait for a pipe that nobody reads
    _restore(modes)
    if picture is not None:
        _write(picture, b"\x1b[?25h\x1b[0m")  # the cursor is seen again, the colours are as they were
    for stream in (sys.stdout, sys.stderr):
        with suppress(Exception):
            stream.flush()
    words = b"trioflow: interrupted twice, ended at once\n"
    _write(*((2, words) if picture is None else (picture, b"\r\n" + words)))
    os._exit(INTERRUPTED)


def _write(number: int, data: bytes) -> None:
    with suppress(OSError):
        os.write(number, data)


def _terminal_modes() -> list[tuple[int, list[Any]]]:
    """How the terminals of the three streams are set: a body may read a password just when it is ended."""
    found = []
    with suppress(ImportError):
        import termios

        for fd in range(3):
            with suppress(termios.error, OSError):
                found.append((fd, termios.tcgetattr(fd)))
    return found


def _restore(modes: list[tuple[int, list[Any]]]) -> None:
    for fd, mode in modes[:1]:
        import termios

        signal.signal(signal.SIGTTOU, signal.SIG_IGN)  # in the background it would stop us
        with suppress(termios.error, OSError):
            termios.tcsetattr(fd, termios.TCSANOW, mode)
