"""The README keeps its word: its commands, its links, and the machinery that executes its blocks (`conftest.py`)."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()

BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[([^\]]*)\]\(([^)#]+)\)")


def blocks(language: str) -> list[str]:
    return [text for name, text in BLOCK.findall(README) if name == language]


def test_every_block_is_of_a_kind_that_is_executed() -> None:
    found = {name for name, _ in BLOCK.findall(README)}
    assert found <= {"python", "console", "text"}
    assert "python" in found
    assert "console" in found
    assert README.count("```") == 2 * len(BLOCK.findall(README))


def test_two_commands_take_a_fresh_machine_to_a_run_and_to_the_tests() -> None:
    """Each makes a virtual environment, installs, and does it: one line to copy, in a block of its own."""
    lines = [line for line in README.splitlines() if "-m venv" in line]
    assert len(lines) == 2
    run, test = lines
    for line in lines:
        assert f"{line}\n" in blocks("console")
        made, installed, done = line.split(" && ")
        assert made == "python3 -m venv .venv"
        assert re.fullmatch(r"\.venv/bin/pip install -q -e '\.\[(cli|dev)\]'", installed)
        assert done.startswith(".venv/bin/")
    assert "examples/diamond.py" in run
    assert test.endswith(".venv/bin/python -m pytest")


def test_the_checks_run_the_readmes_own_test_command() -> None:
    script = (ROOT / ".ci" / "run").read_text()
    (found,) = re.findall(r"\$\((grep .*README\.md.*)\)", script)
    done = subprocess.run(found, shell=True, cwd=ROOT, capture_output=True, text=True, check=True)
    (command,) = done.stdout.splitlines()
    assert f"{command}\n" in blocks("console")
    assert command.endswith("-m pytest")
    assert 'eval "$test_command"' in script


def test_every_link_into_the_project_leads_somewhere() -> None:
    links = LINK.findall(README)
    assert links
    for _, target in links:
        if "://" not in target:
            assert (ROOT / target).exists(), target


def test_each_promise_is_proved_by_a_test_that_is_there() -> None:
    named = [(text.strip("`"), target) for text, target in LINK.findall(README) if text.startswith("`test_")]
    for test, target in named:
        functions = {
            node.name
            for node in ast.walk(ast.parse((ROOT / target).read_text()))
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        }
        assert test in functions, f"{target} has no {test}"
    numbers = re.findall(r"^\| P(\d+) \|", README, re.MULTILINE)
    assert len(named) >= len(numbers) > 0
    assert [int(n) for n in numbers] == sorted(int(n) for n in set(numbers))


#: Each block and whether it has to fail.
PLANTED = [
    ("python", "print(1 + 1)", False),
    ("text", "2", False),
    ("python", "import trio\nawait trio.sleep(10_000)\nprint(trio.current_time())", False),
    ("text", "10000.0", False),
    ("python", "print(2)", False),
    ("text", "3", True),
    ("text", "3", True),
    ("python", "assert False", True),
    ("python", "import trio\nawait trio.sleep(0)\nraise ValueError", True),
    ("console", "$ echo b; echo a 0.123\na 0.5\nb\n$ python -c 'print(2)'\n2", False),
    ("console", "$ echo a\nb", True),
    ("console", "$ echo a; exit 3\na", True),
    ("console", "shown before any command\n$ echo a\na", True),
    ("console", "exit 3", True),
    ("console", "echo fine", False),
    ("console", "python3 -m venv .venv && exit 3", False),
    ("console", "$ echo 'costs 3$ each'\ncosts 3$ each", False),
    ("console", "python -m pytest", False),
    ("console", "trioflow run FILE[:NAME] [--params JSON]", False),
    ("console", "trioflow run FILE[:NAME] [--parameters JSON]", True),
]


@pytest.mark.slow
def test_a_block_that_does_not_do_what_it_says_is_found(tmp_path: Path) -> None:
    text = "\n".join(f"```{language}\n{block}\n```\n" for language, block, _ in PLANTED)
    (tmp_path / "README.md").write_text(text)
    (tmp_path / "conftest.py").write_text((ROOT / "conftest.py").read_text())
    (tmp_path / "trioflow").mkdir()
    (tmp_path / "trioflow" / "room.py").write_text(
        '"""\n>>> 1 + 1\n2\n"""\n\n\ndef f():\n    """\n    >>> 1 + 1\n    3\n    """\n'
    )
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-rA", "--tb=line", "-p", "no:cacheprovider", "README.md", "trioflow"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(tmp_path / "trioflow")])},
        capture_output=True,
        text=True,
        check=False,
    )
    outcomes = re.findall(r"^(PASSED|FAILED) README\.md::line:(\d+)", done.stdout, re.MULTILINE)
    ended = {int(line): how for how, line in outcomes}
    starts = [text[: match.start()].count("\n") + 1 for match in BLOCK.finditer(text)]
    assert sorted(ended) == starts, done.stdout
    for start, (language, block, fails) in zip(starts, PLANTED, strict=True):
        assert (ended[start] == "FAILED") is fails, f"{language}: {block}\n{done.stdout}"
    rooms = re.findall(r"^(PASSED|FAILED) trioflow/room\.py::line:(\d+)", done.stdout, re.MULTILINE)
    assert sorted(rooms) == [("FAILED", "9"), ("PASSED", "2")], done.stdout
