"""A terminal for tests: what a program has written to it, as a person would see it.

`pyte` is the emulator. `Emulator` is a stream whose terminal is in this process, `Terminal` has a real pseudo-terminal with a
process on it.
"""

from __future__ import annotations

import codecs
import fcntl
import io
import os
import pty
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType

import pyte


def shown(screen: pyte.HistoryScreen) -> list[str]:
    """All lines, those that have been scrolled away among them, without what is blank at the end."""
    gone = ["".join(line[x].data for x in range(screen.columns)) for line in screen.history.top]
    lines = [line.rstrip() for line in [*gone, *screen.display]]
    while lines and not lines[-1]:
        lines.pop()
    return lines


class Emulator(io.StringIO):
    """A text stream that is a terminal."""

    encoding = "utf-8"  # type: ignore[assignment]
    errors = "backslashreplace"  # type: ignore[assignment]

    def __init__(self, columns: int = 80, lines: int = 24) -> None:
        super().__init__()
        self.screen = pyte.HistoryScreen(columns, lines, history=10_000)
        self._stream = pyte.Stream(self.screen)

    def write(self, text: str) -> int:
        self._stream.feed(text.replace("\n", "\r\n"))
        return len(text)

    def screen_feed(self, data: str) -> None:
        """What has gone through a terminal of the machine's already."""
        self._stream.feed(data)

    def isatty(self) -> bool:
        return True

    @property
    def lines(self) -> list[str]:
        return shown(self.screen)


class Terminal:
    """A command on a pseudo-terminal of a given size. Standard output may go elsewhere."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        columns: int = 80,
        lines: int = 24,
        env: Mapping[str, str],
        stdout: int | None = None,
    ) -> None:
        self.screen = pyte.HistoryScreen(columns, lines, history=10_000)
        self._stream = pyte.Stream(self.screen)
        self._decode = codecs.getincrementaldecoder("utf-8")().decode
        self._ours, theirs = pty.openpty()
        self._set_size(columns, lines)
        self.before = termios.tcgetattr(theirs)
        self._theirs = theirs  # kept open, so that its modes can be looked at when the process has gone
        # pyte doesn't break lines anew when it becomes narrower: neither does xterm.
        env = {**env, "TERM": "xterm-256color", "LANG": "C.UTF-8", "XTERM_VERSION": "XTerm(390)"}
        for name in ("COLUMNS", "LINES", "NO_COLOR"):
            env.pop(name, None)
        self.process = subprocess.Popen(
            command,
            stdin=theirs,
            stdout=theirs if stdout is None else stdout,
            stderr=theirs,
            env=env,
            start_new_session=True,
            preexec_fn=_become_its_owner,
        )

    def __enter__(self) -> Terminal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._ours)
        os.close(self._theirs)

    @property
    def lines(self) -> list[str]:
        return shown(self.screen)

    @property
    def modes(self) -> list[object]:
        return termios.tcgetattr(self._theirs)

    def resize(self, columns: int, lines: int) -> None:
        self.screen.resize(lines, columns)
        self._set_size(columns, lines)

    def _set_size(self, columns: int, lines: int) -> None:
        fcntl.ioctl(self._ours, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def press(self, keys: bytes) -> None:
        os.write(self._ours, keys)

    def read(self, seconds: float = 0.05) -> bool:
        """Take in what has been written. False if there was nothing in this time."""
        if not select.select([self._ours], [], [], seconds)[0]:
            return False
        try:
            data = os.read(self._ours, 65_536)
        except OSError:  # it has gone
            return False
        self._stream.feed(self._decode(data))
        return True

    def wait_until(self, happened: Callable[[list[str]], bool], timeout: float = 30) -> list[str]:
        """Read until the screen shows something."""
        end = time.monotonic() + timeout
        while not happened(self.lines):
            assert time.monotonic() < end, "it has not happened:\n" + "\n".join(self.lines)
            self.read()
        return self.lines

    def wait(self, timeout: float = 30) -> int:
        """Read until the process has ended. Returns its status."""
        end = time.monotonic() + timeout
        while self.process.poll() is None:
            assert time.monotonic() < end, "it has not ended:\n" + "\n".join(self.lines)
            self.read()
        while self.read():
            pass
        return self.process.returncode


def _become_its_owner() -> None:
    """Standard input is the controlling terminal, so that Ctrl-C becomes a signal."""
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # whoever started the tests may ignore it
