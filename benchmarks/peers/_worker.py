"""The other end of `_serve.py`: a peer's process, started when it is first asked, ended when another one's turn has come.

A peer that crashes, hangs or can't be started is a row that says so. The next question starts it afresh.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import IO, Any, Final, final

import attrs

from .._measure import CannotError, WrongValueError
from ._peer import Peer

#: Seconds that an answer may take, and the start of a process with all of its imports.
PATIENCE: Final = 60.0
START: Final = 120.0
#: And its end, once there are no more requests.
GRACE: Final = 10.0


@final
@attrs.define(eq=False)
class Worker:
    """A process that serves one peer."""

    peer: Peer
    #: The peer's module, and its place among the module's peers.
    module: str
    number: int
    process: subprocess.Popen[bytes] | None = None
    said: IO[bytes] | None = None
    rest: bytes = b""

    def ask(self, what: str, shape: str, steps: int) -> dict[str, float]:
        """An answer of `_serve.py`.

        Raises:
            CannotError: it isn't installed, can't do it, has crashed or doesn't answer.
            WrongValueError: it gave a wrong value.
        """
        if self.peer.version is None:
            raise CannotError(f"not installed: {self.peer.install}")
        if self.process is None:
            self.start()
        assert self.process is not None
        assert self.process.stdin is not None
        request = json.dumps({"ask": what, "shape": shape, "steps": steps}).encode()
        try:
            os.write(self.process.stdin.fileno(), request + b"\n")
        except BrokenPipeError:
            self.give_up()
        answer = self.answer(PATIENCE)
        if "wrong" in answer:
            raise WrongValueError(f"{self.peer.name}: {answer['wrong']}")
        if "cannot" in answer:
            raise CannotError(answer["cannot"])
        return answer

    def start(self) -> None:
        """Start the process, which ends the one that was there."""
        close()
        _open.append(self)
        self.said, self.rest = tempfile.TemporaryFile(), b""  # noqa: SIM115 (`stop` closes it)
        root = str(Path(__file__).parent.parent.parent)
        path = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
        self.process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.peers._serve", self.module, str(self.number)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.said,
            env={**os.environ, "PYTHONPATH": path},
            start_new_session=True,  # whatever it starts ends with it
        )
        self.answer(START)

    def answer(self, seconds: float) -> dict[str, Any]:
        """The next line that the process writes, within so many seconds."""
        assert self.process is not None
        assert self.process.stdout is not None
        until = time.monotonic() + seconds
        while b"\n" not in self.rest:
            readable, _, _ = select.select([self.process.stdout], [], [], max(0, until - time.monotonic()))
            if not readable:
                self.stop()
                raise CannotError(f"no answer within {seconds:g} s")
            read = os.read(self.process.stdout.fileno(), 65536)
            if not read:
                self.give_up()
            self.rest += read
        line, _, self.rest = self.rest.partition(b"\n")
        found: dict[str, Any] = json.loads(line)
        return found

    def give_up(self) -> None:
        """It has ended by itself: raises `CannotError`, with the last thing that it said."""
        assert self.process is not None
        assert self.said is not None
        status = self.process.wait(timeout=10)
        self.said.seek(0)
        lines = self.said.read().decode(errors="replace").strip().splitlines()
        self.stop()
        how = f"was ended by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"
        raise CannotError(f"crashed: its process {how}; {lines[-1][:200] if lines else 'it said nothing'}")

    def stop(self) -> None:
        """End the process, and whatever it has started."""
        if self.process is None:
            return
        process, self.process = self.process, None
        assert process.stdin is not None
        process.stdin.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=GRACE)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        assert process.stdout is not None
        process.stdout.close()
        if self.said is not None:
            self.said.close()
        if self in _open:
            _open.remove(self)


_open: Final[list[Worker]] = []


def close() -> None:
    """End whatever process is there."""
    for worker in list(_open):
        worker.stop()
