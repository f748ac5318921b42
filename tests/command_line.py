"""`trioflow run` for tests: in this interpreter, in one of its own, and files with a workflow to run."""

from __future__ import annotations

import io
import os
import re
import signal
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import attrs
import pytest

from trioflow import cli

ROOT = Path(__file__).parents[1]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@attrs.frozen
class Done:
    status: object
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        """What stands on standard error, without the times."""
        return [re.sub(r"^ +\d+\.\d{3}  |  \d+\.\d{3} s$", "", line).rstrip() for line in self.err.splitlines()]

    @property
    def report(self) -> list[str]:
        """The lines from the error on."""
        lines = self.err.splitlines()
        first = next(i for i, line in enumerate(lines) if line.startswith("error: "))
        return lines[first:]


#: What the command is in an interpreter of its own, where standard output is buffered as usual.
COMMAND = [sys.executable, "-m", "trioflow"]


ENVIRONMENT = {name: value for name, value in os.environ.items() if name not in ("PYTHONUNBUFFERED", "NO_COLOR")}
ENVIRONMENT["PYTHONPATH"] = str(ROOT)


def command(*args: str, **variables: str) -> Done:
    """The real command line."""
    done = subprocess.run(
        [*COMMAND, *args], env=ENVIRONMENT | variables, capture_output=True, text=True, check=False, timeout=60
    )
    return Done(done.returncode, done.stdout, done.stderr)


def started(*args: str) -> subprocess.Popen[str]:
    """The same, while it runs."""
    return subprocess.Popen(
        [*COMMAND, *args],
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell's background job ignores it
    )


def main(*args: str) -> Done:
    """The same in this interpreter."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        try:
            status: object = cli.main(args)
        except SystemExit as exc:
            status = exc.code
    return Done(status, out.getvalue(), err.getvalue())


def flow(body: str, name: str = "flow.py") -> str:
    """A file with a workflow whose function consists of these lines."""
    lines = "\n".join("    " + line for line in body.strip("\n").splitlines())
    Path(name).write_text(f"import trio\n\nasync def main(event, step):\n{lines}\n", encoding="utf-8")
    return name


DIAMOND = """
@step.do()
async def top(): return 1
@step.do(depends=[top])
async def left(x): return x + 1
@step.do(depends=[top])
async def right(x): return x + 2
@step.do(depends=[left, right], concurrent=True)
async def bottom(a, b): return [a, b]
return await bottom()
"""


# `stock` fails; `charge` is stopped for it; `receipt` and `mail` needed it; nobody needs `spare`.
ORDER = """
@step.do("load cart")
async def cart(): return ["lamp"]
@step.do("charge card", depends=[cart])
async def charge(items): await trio.sleep_forever()
@step.do("reserve stock", depends=[cart])
async def stock(items):
    await trio.lowlevel.checkpoint()
    raise LookupError(f"no {items[0]} left")
@step.do("receipt", depends=[charge, stock], concurrent=True)
async def receipt(a, b): ...
@step.do("mail", depends=[receipt])
async def mail(r): ...
@step.do("spare")
async def spare(): ...
await mail()
"""


WAITING = """
print("working", flush=True)
@step.do()
async def polite():
    try: await trio.sleep_forever()
    finally: print("tidied up")
@step.do()
async def other(): await trio.sleep_forever()
@step.do(depends=[polite, other], concurrent=True)
async def both(a, b): ...
await both()
"""


def interrupted(file: str, begun: int) -> Done:
    """The command, and a real SIGINT when so many steps have begun."""
    with started("run", file) as process:
        try:
            assert process.stderr is not None
            told = "".join(process.stderr.readline() for _ in range(begun))
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=30)
        finally:
            process.kill()
    return Done(process.returncode, out, told + err)
