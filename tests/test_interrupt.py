"""Ctrl-C once is Trio's; twice is the end. What ends a process is tried in a process of its own, in tests/real."""

from __future__ import annotations

import os
import signal
import sys
import termios
from typing import Any

import pytest
import trio
from command_line import flow, here, main

from trioflow import _interrupt
from trioflow._interrupt import two_interrupts

__all__ = ["here"]  # a fixture


def test_the_first_one_is_trios_and_the_handler_goes_with_the_block() -> None:
    pressed: list[str] = []

    async def main() -> None:
        trios = signal.getsignal(signal.SIGINT)
        with two_interrupts(lambda: pressed.append("first"), None):
            assert signal.getsignal(signal.SIGINT) is not trios
            with pytest.raises(KeyboardInterrupt):
                signal.raise_signal(signal.SIGINT)
        assert signal.getsignal(signal.SIGINT) is trios

    trio.run(main)
    assert pressed == ["first"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_whoever_has_a_handler_of_his_own_keeps_it() -> None:
    def own(*_: object) -> None: ...

    async def main() -> None:
        with two_interrupts(lambda: None, None):
            signal.signal(signal.SIGINT, own)
        assert signal.getsignal(signal.SIGINT) is own

    try:
        trio.run(main)
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.mark.parametrize("handler", [signal.SIG_IGN, signal.default_int_handler])
def test_where_trio_handles_none_nothing_is_done(handler: Any) -> None:
    before = signal.signal(signal.SIGINT, handler)
    try:
        with two_interrupts(lambda: None, None):
            assert signal.getsignal(signal.SIGINT) is handler
    finally:
        signal.signal(signal.SIGINT, before)


class Ended(BaseException):
    """In place of the end of this process."""


@pytest.mark.parametrize("has_picture", [True, False])
def test_the_second_one_writes_what_is_left_and_puts_the_terminal_back(
    has_picture: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, theirs = os.openpty()
    before = termios.tcgetattr(theirs)
    written: list[bytes] = []
    flushed: list[str] = []

    class Stream:
        def flush(self) -> None:
            flushed.append("flushed")
            raise ValueError("closed")

    def end(status: int) -> None:
        raise Ended(status)

    def write(fd: int, data: bytes) -> int:
        assert fd == (7 if has_picture else 2)
        written.append(data)
        raise OSError

    def modes() -> Any:
        return [(theirs, before)]

    def without_echo() -> None:
        changed = termios.tcgetattr(theirs)
        changed[3] &= ~termios.ECHO
        termios.tcsetattr(theirs, termios.TCSANOW, changed)

    async def main() -> None:
        with two_interrupts(without_echo, 7 if has_picture else None):
            with pytest.raises(KeyboardInterrupt):
                signal.raise_signal(signal.SIGINT)
            assert termios.tcgetattr(theirs) != before
            with pytest.raises(Ended) as ended:
                signal.raise_signal(signal.SIGINT)
            assert ended.value.args == (130,)
            assert signal.getsignal(signal.SIGINT) is signal.SIG_DFL

    monkeypatch.setattr(_interrupt, "_terminal_modes", modes)
    monkeypatch.setattr(os, "_exit", end)
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", write)
        patch.setattr(sys, "stdout", Stream())
        patch.setattr(sys, "stderr", Stream())
        try:
            trio.run(main)
        finally:
            signal.signal(signal.SIGINT, signal.default_int_handler)
            signal.signal(signal.SIGTTOU, signal.SIG_DFL)
    assert flushed == ["flushed"] * 2
    assert termios.tcgetattr(theirs) == before
    assert b"".join(written) == (
        (b"\x1b[?25h\x1b[0m\r\n" if has_picture else b"") + b"trioflow: interrupted twice, ended at once\n"
    )
    os.close(ours)
    os.close(theirs)


def test_the_modes_of_terminals_are_known_and_nothing_of_what_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = os.openpty()
    reading, writing = os.pipe()
    asked = termios.tcgetattr
    monkeypatch.setattr(termios, "tcgetattr", lambda fd: asked((theirs, reading, writing)[fd]))
    assert _interrupt._terminal_modes() == [(0, asked(theirs))]
    for fd in (ours, theirs, reading, writing):
        os.close(fd)


def test_the_run_that_was_told_to_stop_says_so() -> None:
    body = """
import signal
@step.do()
async def waiting():
    trio.lowlevel.current_trio_token().run_sync_soon(signal.raise_signal, signal.SIGINT)
    await trio.sleep_forever()
await waiting()
"""
    done = main("run", flow(body))
    assert done.status == 130
    assert done.lines[-1] == "trioflow: interrupted"
