"""The examples do what they say: as a user runs them, and to the second in virtual time."""

from __future__ import annotations

import ast
import importlib
import inspect
import io
import json
import os
import re
import shlex
import sqlite3
import subprocess
import sys
import tempfile
import tokenize
from collections import Counter
from collections.abc import Callable, Coroutine
from contextlib import closing, redirect_stdout
from pathlib import Path
from typing import Any, TypeVar

import attrs
import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock

from examples import approval, embedded, etl, fan_out, per_item
from trioflow import Step, open_run, run_workflow
from trioflow.abc import (
    AttemptErrored,
    AttemptStarted,
    SleepCancelled,
    SleepCompleted,
    StepCancelled,
    StepCompleted,
    StepErrored,
    StepFact,
    StepStarted,
    WaitTimedOut,
)
from trioflow.trace import Recorder

ROOT = Path(__file__).parents[1]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))

T = TypeVar("T")
F = TypeVar("F", bound=StepFact)


@attrs.frozen
class Done:
    status: int
    out: str
    err: str


def command(line: str, here: Path) -> Done:
    """A command of a docstring, in a folder of its own, as a shell runs it in a pipe."""
    words = [word.replace("examples/", f"{ROOT / 'examples'}{os.sep}") for word in shlex.split(line)]
    program = {"trioflow": [sys.executable, "-m", "trioflow"], "python": [sys.executable]}[words[0]]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(here), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [*program, *words[1:]], cwd=here, env=environment, capture_output=True, text=True, check=False, timeout=60
    )
    return Done(done.returncode, done.stdout, done.stderr)


def virtually(fn: Callable[..., Coroutine[Any, Any, T]], *args: Any) -> tuple[T, list[str]]:
    """What it returns, and the lines that it has printed, in virtual time that begins at 0."""
    printed = io.StringIO()
    with redirect_stdout(printed):
        result: T = trio.run(fn, *args, clock=MockClock(autojump_threshold=0))
    return result, printed.getvalue().splitlines()


def told(recorder: Recorder, kind: type[F]) -> list[F]:
    return [fact for fact in recorder.events if isinstance(fact, kind)]


# ------------------------------------------------------------------------------------------------------- all of them

#: Each command of a docstring, its exit status, and what standard output has to look like, line by line.
SALES = ["5 sales in 3 files", re.escape('{"cake": 4.2, "coffee": 18.4, "tea": 22.0}')]
CORRUPT = [
    r"\d+ succeeded: .*",
    r" 2 failed: check piece {0}, assemble",
    r"   because step 'check piece {0}' failed: .*",
]
STOPPED = [r" *\d+ cancelled: .*", r"   because step 'check piece {0}' failed: CorruptError\('piece {0}: .*'\)"]
REMINDER = "reminder: the claim over 120 euros waits for you"
PAID = "claim over 120 euros: paid, approved by ann after 1 day, 1:00:00"
WITHDRAWN = '"claim over 120 euros: withdrawn"'
MEASURED = r" *{} +\d+ lines +\d+ functions"
COMMANDS: dict[str, tuple[int, list[str]]] = {
    "trioflow run examples/diamond.py": (
        0,
        [r" *the #+ 13", r" *and #+ 7", " *river #+ 5", " *sea #+ 5", " *is #+ 4", r"{.*}"],
    ),
    """trioflow run examples/diamond.py --params '{"top": 3}'""": (
        0,
        [" *the #+ 13", " *and #+ 7", " *river #+ 5", "{.*}"],
    ),
    "trioflow run examples/etl.py": (0, SALES),
    """trioflow run examples/etl.py --params '{"folder": "exports"}'""": (0, ["1 sales in 1 files", '{"tea": 0.06}']),
    "trioflow run examples/fan_out.py": (1, [line.replace("{0}", "20") for line in CORRUPT + STOPPED]),
    """trioflow run examples/fan_out.py --params '{"corrupt": 30}'""": (
        1,
        [line.replace("{0}", "30") for line in CORRUPT + STOPPED],
    ),
    """trioflow run examples/fan_out.py --params '{"corrupt": null}'""": (
        0,
        ["51 succeeded: .*", '"5222400 bytes, [0-9a-f]{64}"'],
    ),
    """trioflow run examples/approval.py --virtual-time --event 'approval={"by": "ann"}@90000'""": (
        0,
        [REMINDER, f'"{PAID}"'],
    ),
    "trioflow run examples/approval.py --virtual-time": (0, [REMINDER] * 3 + [WITHDRAWN]),
    """trioflow run examples/approval.py --virtual-time --params '{"remind": "5 hours", "timeout": "1 day"}'""": (
        0,
        [REMINDER] * 4 + [WITHDRAWN],
    ),
    "trioflow run examples/per_item.py": (0, [MEASURED.format(r"\w+")] * 4 + [r"\[.*\]"]),
    """trioflow run examples/per_item.py --params '{"modules": ["heapq", "bisect"]}'""": (
        0,
        [MEASURED.format("heapq"), MEASURED.format("bisect"), r"\[.*\]"],
    ),
    "python examples/embedded.py": (0, [r" *\d+ min  (ann|bob|carl): .*"] * 10),
}


def commands_of(example: Path) -> list[str]:
    docstring = ast.get_docstring(ast.parse(example.read_text())) or ""
    return re.findall(r"^ {4}((?:trioflow|python) .*)$", docstring, re.MULTILINE)


def test_each_command_of_a_docstring_is_tried_here() -> None:
    assert sorted(line for example in EXAMPLES for line in commands_of(example)) == sorted(COMMANDS)
    for example in EXAMPLES:
        assert all(f"examples/{example.name}" in line for line in commands_of(example))


@pytest.mark.slow
@pytest.mark.parametrize("line", COMMANDS)
def test_each_command_does_what_its_docstring_says_from_any_folder_and_leaves_nothing_behind(
    line: str, tmp_path: Path
) -> None:
    exports = tmp_path / "exports"
    if "exports" in line:
        exports.mkdir()
        (exports / "mine.csv").write_text("product,pieces,cents\ntea,2,3\n")
    done = command(line, tmp_path)
    status, expected = COMMANDS[line]
    assert done.status == status, done.err
    assert "Traceback" not in done.err
    assert "Warning" not in done.err
    lines = done.out.splitlines()
    assert len(lines) == len(expected), done.out
    for shown, pattern in zip(lines, expected, strict=True):
        assert re.fullmatch(pattern, shown) or pattern == shown, shown
    left = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")}
    assert left == ({"exports", "exports/mine.csv", "exports/sales.db"} if "exports" in line else set())


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_each_example_is_short_says_how_to_run_it_and_uses_public_names_only(example: Path) -> None:
    text = example.read_text()
    assert text.count("\n") <= 80
    assert commands_of(example)
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "trioflow":
            module = importlib.import_module(node.module or "")
            names = [*(node.module or "").split("."), *(alias.name for alias in node.names)]
            assert all(hasattr(module, alias.name) for alias in node.names)
        elif isinstance(node, ast.Attribute):
            names = [node.attr]
        else:
            continue
        assert not any(name.startswith("_") for name in names), ast.unparse(node)


def test_the_readme_lists_each_example() -> None:
    chapter = (ROOT / "README.md").read_text().partition("\n## Examples\n")[2].partition("\n## ")[0]
    listed = re.findall(r"^- \[`examples/(\w+\.py)`\]\(examples/\1\): .+\.$", chapter, re.MULTILINE)
    assert sorted(listed) == [example.name for example in EXAMPLES]


# -------------------------------------------------------------------------------------------------------------- etl


def sold(folder: Path) -> list[tuple[str, int]]:
    with closing(sqlite3.connect(folder / "sales.db")) as database:
        return list(database.execute("SELECT product, cents FROM sales ORDER BY product, cents"))


def test_etl_reads_again_after_growing_delays_until_the_shops_have_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    recorder = Recorder()

    async def main() -> dict[str, float]:
        return await run_workflow(etl.sales, instruments=[recorder])

    totals, printed = virtually(main)
    assert totals == {"cake": 4.2, "coffee": 18.4, "tea": 22.0}
    assert printed == ["5 sales in 3 files"]
    failed: dict[str, list[tuple[float, float | None]]] = {}
    for fact in told(recorder, AttemptErrored):
        assert type(fact.error) is BlockingIOError
        failed.setdefault(fact.step, []).append((pytest.approx(fact.time), pytest.approx(fact.retry_in)))
    assert failed == {
        "read airport.csv": [(0, 0.1)],  # it was written at 0.05
        "read harbour.csv": [(0, 0.1), (0.1, 0.2)],  # at 0.15
        "read station.json": [(0, 0.1), (0.1, 0.2), (0.3, 0.4)],  # at 0.35
    }
    times = {fact.step: fact.time for fact in told(recorder, StepCompleted)}
    assert times == pytest.approx(
        {"read airport.csv": 0.1, "read harbour.csv": 0.3, "read station.json": 0.7, "transform": 0.7, "load": 0.7}
    )
    assert [*tmp_path.iterdir()] == []


def test_etl_loads_a_folder_of_ones_own_and_again_without_doubling_it(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("product,pieces,cents\nTEA,2,3\nrum,1,500\n")
    (tmp_path / "b.json").write_text('[{"product": "tea", "pieces": 1, "cents": 4}]')
    (tmp_path / "c.txt").write_text("not for us")
    for _ in range(2):
        totals, printed = virtually(run_workflow, etl.sales, {"folder": str(tmp_path)})
        assert totals == {"rum": 5.0, "tea": 0.1}
        assert printed == ["3 sales in 2 files"]
        assert sold(tmp_path) == [("rum", 500), ("tea", 4), ("tea", 6)]


def test_etl_gives_up_after_six_attempts_and_another_run_takes_it_up(tmp_path: Path) -> None:
    """The other program has died, and somebody takes the lock away."""
    (tmp_path / "a.csv").write_text("product,pieces,cents\ntea,2,3\n")
    lock = tmp_path / "a.lock"
    lock.touch()
    recorder = Recorder()

    async def main() -> float:
        with pytest.raises(BlockingIOError, match=r"^a\.csv is still being written$"):
            await run_workflow(etl.sales, {"folder": str(tmp_path)}, instruments=[recorder])
        return trio.current_time()

    ended, _ = virtually(main)
    assert ended == pytest.approx(0.1 + 0.2 + 0.4 + 0.8 + 1.6)
    assert [fact.attempt for fact in told(recorder, AttemptStarted)] == [1, 2, 3, 4, 5, 6]
    assert not (tmp_path / "sales.db").exists()
    lock.unlink()
    virtually(run_workflow, etl.sales, {"folder": str(tmp_path)})
    assert sold(tmp_path) == [("tea", 6)]


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("product,pieces,cents\ntea,many,3\n", "invalid literal for int"),
        (None, "No such file or directory: '.*nowhere'"),
    ],
)
def test_etl_loads_nothing_of_what_it_cannot_read(tmp_path: Path, text: str | None, error: str) -> None:
    folder = tmp_path if text is not None else tmp_path / "nowhere"
    if text is not None:
        (folder / "a.csv").write_text(text)
    with pytest.raises((ValueError, FileNotFoundError), match=error):
        virtually(run_workflow, etl.sales, {"folder": str(folder)})
    assert not (folder / "sales.db").exists()


# ---------------------------------------------------------------------------------------------------------- fan_out


@pytest.mark.slow
@settings(max_examples=20)
@given(st.integers(1, 50))
def test_fan_out_fails_with_the_very_error_of_the_corrupt_piece_and_stops_its_siblings(corrupt: int) -> None:
    recorder = Recorder()

    async def main() -> tuple[list[Step[Any]], BaseException, BaseException]:
        async with open_run(fan_out.Download, {"corrupt": corrupt}, instruments=[recorder]) as run:
            with pytest.raises(fan_out.CorruptError, match=f"^piece {corrupt}: ") as caught:
                await run.result()
            with pytest.raises(fan_out.CorruptError) as again:
                await run.steps[corrupt - 1]()
            return [*run.steps], caught.value, again.value

    (steps, error, own), printed = virtually(main)
    assert error is own
    *checks, assemble = steps
    assert len(checks) == 50
    # Who has a block more or less may come before or after it: which of two has its turn first is Trio's choice.
    assert {step.status for step in checks[: max(0, corrupt - 2)]} <= {"succeeded"}
    assert checks[corrupt - 1].status == "failed"
    # All are at work by the tenth block; an error that comes earlier keeps the last ones from beginning.
    assert {step.status for step in checks[corrupt + 1 :]} <= {"cancelled", *(["pending"] if corrupt < 10 else [])}
    for step in checks:
        if step.status in ("cancelled", "pending"):
            assert step.reason is not None
            assert step.reason.startswith("never started: ") is (step.status == "pending")
            assert f"step 'check piece {corrupt}' failed: CorruptError('piece {corrupt}: " in step.reason
    assert "assemble" not in {fact.step for fact in told(recorder, StepStarted)}
    assert assemble.status == "failed"
    # Nothing was done after the error.
    kinds = [type(fact) for fact in recorder.events]
    assert StepCompleted not in kinds[kinds.index(StepErrored) :]
    assert kinds.count(StepCancelled) == sum(step.status == "cancelled" for step in checks)
    counted = Counter(step.status for step in steps)
    assert {
        status: int(count) for line in printed for count, status in re.findall(r"^ *(\d+) (\w+): ", line)
    } == counted


def test_fan_out_succeeds_when_no_piece_is_corrupt() -> None:
    output, printed = virtually(run_workflow, fan_out.Download, {"corrupt": None})
    whole = b"".join(bytes([number]) * 4096 * number for number in range(1, 51))
    assert output == f"{len(whole)} bytes, {fan_out.sha256(whole).hexdigest()}"
    assert [line[:14] for line in printed] == ["51 succeeded: "]


# --------------------------------------------------------------------------------------------------------- approval

DAY = 86_400


def decided(approved_at: float | None, recorder: Recorder) -> tuple[str, float, list[str]]:
    """What became of a claim that ann approves so many seconds after it was filed: text, seconds, and what was printed."""

    async def main() -> tuple[str, float]:
        async with open_run(approval.Claim, instruments=[recorder]) as run, trio.open_nursery() as nursery:

            async def ann() -> None:
                if approved_at is not None:
                    await trio.sleep(approved_at)
                    run.send_event("approval", {"by": "ann"})

            nursery.start_soon(ann)
            result = await run.result()
            nursery.cancel_scope.cancel()
        return result, trio.current_time()

    (result, seconds), printed = virtually(main)
    return result, seconds, printed


def test_approval_after_25_hours_comes_after_one_reminder() -> None:
    recorder = Recorder()
    assert decided(90_000, recorder) == (PAID, 90_000, [REMINDER])
    assert [(fact.step, fact.time) for fact in told(recorder, StepCompleted)] == [
        ("file", 0),
        ("remind", DAY),
        ("pay", 90_000),
    ]
    assert [fact.time for fact in told(recorder, SleepCancelled)] == [90_000]


def test_approval_that_does_not_come_is_reminded_of_three_times_and_withdrawn_in_the_end() -> None:
    recorder = Recorder()
    assert decided(None, recorder) == (json.loads(WITHDRAWN), 3.5 * DAY, [REMINDER] * 3)
    assert [fact.time for fact in told(recorder, SleepCompleted)] == [DAY, 2 * DAY, 3 * DAY]
    assert [fact.time for fact in told(recorder, WaitTimedOut)] == [3.5 * DAY]
    assert told(recorder, StepCompleted)[-1].step == "withdraw"


@settings(max_examples=50)
@given(st.integers(0, 4 * DAY).filter(lambda seconds: seconds % DAY and seconds != 3.5 * DAY))
def test_approval_takes_an_event_at_any_time_and_reminds_no_longer(seconds: int) -> None:
    result, ended, printed = decided(seconds, Recorder())
    assert ended == min(seconds, 3.5 * DAY)
    assert ("paid" in result) is (seconds < 3.5 * DAY)
    assert printed == [REMINDER] * min(3, seconds // DAY)


# --------------------------------------------------------------------------------------------------------- per_item


def counted(module: str) -> per_item.Row:
    """The same by other means: a function begins with the word `def`."""
    source = inspect.getsource(importlib.import_module(module))
    words = tokenize.generate_tokens(io.StringIO(source).readline)
    functions = sum(word.type == tokenize.NAME and word.string == "def" for word in words)
    return per_item.Row(module=module, lines=len(source.splitlines()), functions=functions)


@pytest.mark.slow
@settings(max_examples=10)
@given(st.lists(st.sampled_from(["heapq", "bisect", "csv", "textwrap", "shlex"])))
def test_per_item_measures_each_module_with_its_own_steps(modules: list[str]) -> None:
    async def main() -> tuple[list[per_item.Row], list[Step[Any]]]:
        async with open_run(per_item.Survey, {"modules": modules}) as run:
            return await run.result(), [*run.steps]

    (rows, steps), printed = virtually(main)
    assert rows == sorted(map(counted, modules), key=lambda row: -row["lines"])
    assert [line.split()[0] for line in printed] == [row["module"] for row in rows]
    *items, compare = steps
    for number, module in enumerate(modules):
        source, tree, row = items[3 * number : 3 * number + 3]
        assert [source.name, tree.name, row.name] == [f"read {module}", f"parse {module}", f"measure {module}"]
        assert (source.dependencies, tree.dependencies, row.dependencies) == ((), (source,), (source, tree))
    assert compare.dependencies == tuple(items[2::3])


@pytest.mark.parametrize("module", ["there_is_none", "sys", "trioflow.nothing"])
def test_per_item_fails_plainly_for_what_has_no_source(module: str) -> None:
    with pytest.raises(ModuleNotFoundError, match=f"^there is no source of a module '{module}'$") as caught:
        virtually(run_workflow, per_item.Survey, {"modules": ["heapq", module]})
    assert caught.value.name == module


# --------------------------------------------------------------------------------------------------------- embedded


def test_embedded_runs_go_on_beside_each_other_and_one_of_them_is_given_up_in_time() -> None:
    async def main() -> float:
        await embedded.main()
        return trio.current_time()

    seconds, printed = virtually(main)
    assert seconds == 100 * 60
    assert sorted(printed) == [
        " 30 min  ann: save the files, going on",
        " 30 min  bob: save the database, going on",
        " 30 min  carl: save the files, going on",
        " 45 min  ann: ann.sql and ann.tar are safe",
        " 60 min  bob: save the database, going on",
        " 60 min  carl: save the files, going on",
        " 75 min  bob: bob.sql and bob.tar are safe",
        " 90 min  carl: save the files, going on",
        "100 min  carl: save the files, cancelled: a deadline of the host has passed",
        "100 min  carl: verify, pending: never started: a deadline of the host has passed",
    ]
