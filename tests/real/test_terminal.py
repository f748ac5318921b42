"""The live tree on a real pseudo-terminal, as a person sees it."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest
from command_line import COMMAND, ENVIRONMENT, flow, here
from terminal import Terminal

__all__ = ["here"]  # a fixture

pytestmark = pytest.mark.slow  # each starts an interpreter

FIVE = """
import logging, sys, warnings
@step.do("fetch users")
async def users():
    print("got", end=" ", flush=True)
    await gate("users")
    print("the users")
    return 1
@step.do("fetch orders", config={"retries": {"limit": 3, "delay": "1 hour"}})
async def orders(ctx):
    if ctx.attempt == 1: raise ConnectionError("no luck")
@step.do("copy")
async def copy():
    print("to standard error", file=sys.stderr)
    logger.warning("a log record")
    warnings.warn("a warning")
    await gate("copy")
@step.do("merge", depends=[users, orders], concurrent=True)
async def merge(a, b): ...
@step.do("report", depends=[merge, copy, users], concurrent=True)
async def report(a, b, c): ...
"""
#: Bodies wait for files to appear, so that nothing depends on how fast the machine is. The handler is older than the run.
GATES = """\
import logging
import os
import trio

logging.basicConfig(format="%(levelname)s %(message)s")
logger = logging.getLogger("flow")

async def gate(name):
    while not os.path.exists(name):
        await trio.sleep(0.02)

"""


def file_of(body: str) -> str:
    name = flow(body)
    path = Path(name)
    path.write_text(GATES + path.read_text())
    return name


def run(body: str, *args: str, columns: int = 80, lines: int = 24, **options: int) -> Terminal:
    return Terminal([*COMMAND, "run", file_of(body), *args], columns=columns, lines=lines, env=ENVIRONMENT, **options)


def test_five_steps_are_a_tree_below_what_is_printed() -> None:
    with run(FIVE + "await report()") as terminal:
        terminal.wait_until(lambda lines: any("retry in" in line for line in lines))
        lines = terminal.wait_until(lambda lines: any("a warning" in line for line in lines))
        tree = terminal.wait_until(lambda lines: "5 steps: 2 running" in lines[-1])[-7:-1]
        assert [re.sub(r" +\d+\.\d s.*", "", line) for line in tree if "retry" not in line] == [
            "… report",
            "├ ● copy",
            "├ … merge",
            "│ ├ ● fetch users",
            "└ ↑ fetch users     see there",
        ]
        (retry,) = (line for line in tree if "retry" in line)
        assert re.fullmatch(r"│ └ ↻ fetch orders  retry in (59 min \d+ s|1 h) \(attempt 2 of 4\): Conn.*", retry), retry
        above = "".join(lines[:-7])  # the warning is longer than a line
        assert "got" in above
        assert re.search(r"to standard errorWARNING a log record.*UserWarning: a warning", above), above

        Path("copy").touch()
        terminal.wait_until(lambda lines: any("├ ✓ copy" in line for line in lines))
        Path("users").touch()
        terminal.wait_until(lambda lines: any(line.endswith("the users") for line in lines))
        terminal.press(b"\x03")
        assert terminal.wait() == 130
        assert not terminal.screen.cursor.hidden
        assert terminal.lines[-1] == "trioflow: interrupted"
        assert any("⊘ fetch orders  cancelled: the host cancelled the run: Ctrl-C" in line for line in terminal.lines)
        assert "5 steps: 2 done, 1 cancelled, 2 not started" in terminal.lines[-2]


def test_at_the_end_the_tree_stays_and_the_result_comes_after_it() -> None:
    with run("@step.do()\nasync def one(): print('hello', end='')\nawait one()\nreturn {'a': 1}") as terminal:
        assert terminal.wait() == 0
        assert [re.sub(r"\d\.\d s", "# s", line) for line in terminal.lines] == [
            "hello",
            "✓ one  # s",
            "# s  1 step: 1 done",
            '{"a": 1}',
        ]


def test_a_report_follows_the_tree_in_colour() -> None:
    with run("@step.do()\nasync def one(): raise ValueError('bad')\nawait one()") as terminal:
        assert terminal.wait() == 1
        lines = terminal.lines
        first = lines.index("error: ValueError: bad")
        assert lines[first - 2 : first + 2][0].startswith("✗ one  failed: ValueError: bad")
        assert terminal.screen.buffer[first][0].fg == "red"
        assert lines[-1] == "  try        --traceback for the whole traceback"


MANY = """
before = []
for layer in range(10):
    now = []
    for i in range(50):
        @step.do(f"job {layer}.{i} with a name that is long", depends=before, concurrent=True)
        async def job(*values, layer=layer, i=i):
            print(f"from {layer}.{i}")
            await gate(f"layer {layer}")
        now.append(job)
    before = now
@step.do("all", depends=before, concurrent=True)
async def all(*values): ...
await all()
"""


@pytest.mark.parametrize("columns", [80, 40])
def test_five_hundred_steps_have_room(columns: int) -> None:
    with run(MANY, columns=columns) as terminal:
        for layer in range(10):
            lines = terminal.wait_until(  # the last two lines, so that it is a whole picture
                lambda lines: len(lines) > 1 and "29 more running" in lines[-2] and "501 steps" in lines[-1]
            )[-24:]
            assert sum(f"● job {layer}." in line for line in lines) == 21
            assert lines[-2].startswith("… ")
            assert not layer or f"{layer * 50} done" in lines[-2]
            Path(f"layer {layer}").touch()
            terminal.wait_until(
                lambda _, layer=layer: not any(f"● job {layer}." in line for line in terminal.screen.display)
            )
        assert terminal.wait() == 0
        lines = terminal.lines
        assert sorted(line for line in lines if line.startswith("from ")) == sorted(
            f"from {layer}.{i}" for layer in range(10) for i in range(50)
        )
        assert "501 steps: 501 done" in lines[-2]
        assert lines[-1] == "null"


def test_a_smaller_window_gets_a_smaller_tree() -> None:
    def has_jobs(lines: list[str], count: int, width: int) -> bool:
        """The last lines are a whole picture. A picture that was on its way to the larger window may stand above it."""
        picture = lines[-count - 2 :]
        return (
            len(picture) == count + 2
            and "501 steps" in picture[-1]
            and all(f"● job 0.{number}" in line for number, line in enumerate(picture[:-2]))
            and all(len(line) <= width for line in picture)
        )

    with run(MANY) as terminal:
        terminal.wait_until(lambda lines: has_jobs(lines, 21, 80))
        terminal.resize(40, 10)
        terminal.wait_until(lambda lines: has_jobs(lines, 7, 40))
        terminal.resize(100, 30)
        terminal.wait_until(lambda lines: has_jobs(lines, 27, 100))
        terminal.press(b"\x03")
        assert terminal.wait() == 130


def test_standard_output_in_a_pipe_is_untouched() -> None:
    reading, writing = os.pipe()
    with run("print('a', end='')\nprint('\\x1b[5Ab')\nreturn [1]", stdout=writing) as terminal:
        os.close(writing)
        assert terminal.wait() == 0
        assert "0 steps" in "\n".join(terminal.lines)
        assert not any("a" in line for line in terminal.lines)
    with open(reading, "rb") as pipe:
        assert pipe.read() == b"a\x1b[5Ab\n[1]\n"


@pytest.mark.parametrize("variable", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_whoever_wants_plain_lines_gets_them_at_a_terminal(variable: dict[str, str]) -> None:
    file = file_of("@step.do()\nasync def one(): ...\nawait one()")
    words = [f"{name}={value}" for name, value in variable.items()]
    with Terminal(["env", *words, *COMMAND, "run", file], env=ENVIRONMENT) as terminal:
        assert terminal.wait() == 0
        assert terminal.lines[0].split()[1:] == ["started", "one"]
        assert terminal.lines[-2:] == ["1 step: 1 done", "null"]


def test_what_child_processes_print_is_above_the_tree() -> None:
    body = """
import subprocess
@step.do()
async def builds():
    await trio.run_process(["sh", "-c", "echo one; echo two >&2; printf three"])
    subprocess.run(["echo", " four"])
await builds()
"""
    with run(body) as terminal:
        assert terminal.wait() == 0
        assert terminal.lines[:3] == ["one", "two", "three four"]
        assert terminal.lines[3].startswith("✓ builds")
        assert len(terminal.lines) == 6


def test_json_at_a_terminal_is_no_tree() -> None:
    with run("print('hello')\nreturn 1", "--json", columns=300) as terminal:
        assert terminal.wait() == 0
        told = [line for line in terminal.lines if line != "hello"]
        assert [json.loads(line)["type"] for line in told] == ["workflow_started", "workflow_completed"]


def test_virtual_days_pass_at_once() -> None:
    body = "for i in range(50):\n    await step.sleep('a day', '1 day')"
    with run(body, "--virtual-time") as terminal:
        assert terminal.wait() == 0
        assert terminal.lines[0].startswith("trioflow: virtual time: ")
        assert "50 d  0 steps" in terminal.lines[-2]


# ------------------------------------------------------------------------------------------------------------- Ctrl-C

SHIELDED = """
@step.do("polite")
async def polite():
    try: await trio.sleep_forever()
    finally:
        with trio.CancelScope(shield=True): await trio.sleep(1000)
await polite()
"""
BUSY = """
@step.do("busy")
def busy():
    import termios, time
    modes = termios.tcgetattr(0)
    modes[3] &= ~termios.ECHO
    termios.tcsetattr(0, termios.TCSANOW, modes)
    print("spinning")
    while True:
        try:
            open("in the loop", "w").close()
            while True: time.sleep(0.01)
        except KeyboardInterrupt: print("no")
await busy()
"""


def test_ctrl_c_once_says_that_it_stops_and_twice_ends_at_once() -> None:
    with run(SHIELDED) as terminal:
        # So late that the body has gone to sleep: in its own lines it would be the one who is interrupted.
        terminal.wait_until(lambda lines: any("● polite" in line and "0.0 s" not in line for line in lines))
        assert terminal.screen.cursor.hidden
        terminal.press(b"\x03")
        lines = terminal.wait_until(lambda lines: bool(lines) and "stopping…" in lines[-1])
        terminal.wait_until(lambda lines: any("◌ polite" in line and "Ctrl-C" in line for line in lines))
        assert lines
        terminal.press(b"\x03")
        assert terminal.wait() == 130
        assert terminal.lines[-1] == "trioflow: interrupted twice, ended at once"
        assert not terminal.screen.cursor.hidden


def test_ctrl_c_twice_ends_what_takes_no_notice_of_it_and_puts_the_terminal_back() -> None:
    with run(BUSY) as terminal:
        terminal.wait_until(lambda lines: "spinning" in lines and Path("in the loop").exists())
        assert terminal.modes != terminal.before
        terminal.press(b"\x03")
        terminal.wait_until(lambda lines: "no" in lines and "stopping…" in lines[-1])
        terminal.press(b"\x03")
        assert terminal.wait() == 130
        assert terminal.lines[-1] == "trioflow: interrupted twice, ended at once"
        assert terminal.modes == terminal.before
        assert not terminal.screen.cursor.hidden
