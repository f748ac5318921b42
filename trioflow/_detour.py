"""What reaches a terminal behind Python's back: the output of child processes, and of libraries that aren't Python's.

While a picture is drawn there, such output would land in the middle of it, and be wiped with the next. So the numbers under
which the machine knows standard output and standard error lead to a pseudo-terminal meanwhile, and a thread hands over what
comes out of it. A pseudo-terminal and not a pipe: a child looks what it writes to, and leaves out its colours or holds
back its lines where that is no terminal. A thread and not a task: a body may wait for its child without Trio.
"""

from __future__ import annotations

import codecs
import fcntl
import os
import select
import termios
import threading
import tty
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Final

#: How long the last words of a child may take to come through, in seconds, if somebody still holds the other end.
LAST_WORDS: Final = 0.05


@contextmanager
def detoured(numbers: Sequence[int], show: Callable[[str], object]) -> Iterator[None]:
    """While the block runs, what is written to these file descriptors goes to `show`, which is called in a thread."""
    ours, theirs = os.openpty()
    tty.setraw(theirs)  # nothing is to be changed on the way
    with suppress(OSError):
        size = fcntl.ioctl(numbers[0], termios.TIOCGWINSZ, b"\0" * 8)
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, size)
    over, wake = os.pipe()
    reader = threading.Thread(target=_hand_over, args=(ours, over, show), name="trioflow output", daemon=True)
    kept = [os.dup(number) for number in numbers]
    for number in numbers:
        os.dup2(theirs, number)
    os.close(theirs)
    reader.start()
    try:
        yield
    finally:
        for number, before in zip(numbers, kept, strict=True):
            os.dup2(before, number)
            os.close(before)
        os.write(wake, b".")
        reader.join()
        for fd in (ours, over, wake):
            os.close(fd)


def _hand_over(ours: int, over: int, show: Callable[[str], object]) -> None:
    decode = codecs.getincrementaldecoder("utf-8")("replace").decode
    watched, patience = [ours, over], None
    while True:
        ready = select.select(watched, [], [], patience)[0]
        if ours in ready:
            try:
                data = os.read(ours, 65_536)
            except OSError:  # nobody holds the other end any more, and all is read
                data = b""
            if not data:
                return
            show(decode(data))
        elif over in ready:
            watched, patience = [ours], LAST_WORDS
        else:
            return
