"""Every example that people read is executed: the README's blocks, and the examples in docstrings.

A block of Python runs as it stands; one with an `await` at its top level runs in a Trio of its own, in virtual time. A block
of `text` is what the block of Python before it has printed. A block of `console` that shows a session (`$ command`)
is run in a shell and has to show those very lines, in any order and whatever the seconds. One without `$` is for
people to type: commands that take long are only asked for their help, and those with placeholders for their options.
"""

from __future__ import annotations

import ast
import contextlib
import inspect
import io
import os
import re
import shlex
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from types import CodeType

import trio
from sybil import Example, Sybil
from sybil.document import PythonDocStringDocument
from sybil.evaluators.python import pad
from sybil.parsers.doctest import DocTestParser
from sybil.parsers.markdown import CodeBlockParser
from trio.testing import MockClock

ROOT = Path(__file__).parent

# A shell that starts the tests in the background has them ignore Ctrl-C, which is what some of them are about.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

#: Where the console finds its commands: not those that are installed, but those of this Python and this folder.
COMMANDS = {"trioflow": f"{shlex.quote(sys.executable)} -m trioflow", "python": shlex.quote(sys.executable)}
#: They take long, or make something; `.ci/run` runs them as they stand.
ELSEWHERE = ("-m venv",)
SLOW = ("-m benchmarks", "-m pytest")

PLACEHOLDER = re.compile(r"\b[A-Z]{2,}\b|\.\.\.|…")
SECONDS = re.compile(r"\d+\.\d+")
#: A file and a line: a reader's file has another name than this one, and its lines other numbers.
PLACE = re.compile(r"[\w/]+\.(?:py|md):\d+")
SOMEWHERE = "FILE:LINE"


def run_python(example: Example) -> None:
    """Keeps what is printed, for the block that shows it."""
    code = compile(
        pad(example.parsed, example.line + example.parsed.line_offset),
        example.path,
        "exec",
        flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT,
        dont_inherit=True,
    )
    printed = io.StringIO()
    try:
        with contextlib.redirect_stdout(printed):
            if code.co_flags & inspect.CO_COROUTINE:
                trio.run(top_level, code, example.namespace, clock=MockClock(autojump_threshold=0))
            else:
                exec(code, example.namespace)
    finally:
        example.namespace["printed"] = printed.getvalue()


async def top_level(code: CodeType, namespace: dict[str, object]) -> None:
    await eval(code, namespace)


def compare_text(example: Example) -> None:
    assert "printed" in example.namespace, "there is no Python above that could have printed this"
    printed = example.namespace.pop("printed")
    assert PLACE.sub(SOMEWHERE, printed) == PLACE.sub(SOMEWHERE, example.parsed), f"it prints\n{printed}"


def run_console(example: Example) -> None:
    lines = example.parsed.splitlines()
    if not any(line.startswith("$ ") for line in lines):
        for command in filter(None, lines):
            try_out(command)
        return
    assert lines[0].startswith("$ "), "a session begins with its first command"
    for session in re.split(r"^\$ ", example.parsed, flags=re.MULTILINE)[1:]:
        command, _, expected = session.partition("\n")
        shown = in_a_shell(command)
        assert comparable(shown) == comparable(expected), f"{command} shows\n{shown}"


def try_out(command: str) -> None:
    """A command for people to type, as far as it can be tried in passing."""
    if any(words in command for words in ELSEWHERE):
        return
    if any(words in command for words in SLOW):
        in_a_shell(f"{command} --help")
    elif PLACEHOLDER.search(command):
        words = [word for word in command.split() if word.isalpha() and word.islower()]
        usage = in_a_shell(" ".join([*words, "--help"]))
        missing = [option for option in re.findall(r"--[a-z-]+", command) if option not in usage]
        assert not missing, f"the command's help doesn't know {missing}:\n{usage}"
    else:
        in_a_shell(command)


def in_a_shell(command: str) -> str:
    """What a command shows on the terminal. It has to succeed."""
    with tempfile.TemporaryDirectory() as folder:
        for name, words in COMMANDS.items():
            script = Path(folder, name)
            script.write_text(f'#!/bin/sh\nexec {words} "$@"\n')
            script.chmod(0o755)
        done = subprocess.run(
            command,
            shell=True,
            cwd=ROOT,
            env={
                **os.environ,
                "PATH": os.pathsep.join([folder, os.environ.get("PATH", os.defpath)]),
                "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])),
                "COLUMNS": "120",
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=60,
            check=False,
        )
    assert done.returncode == 0, f"{command} ended with {done.returncode}:\n{done.stdout}"
    return done.stdout


def comparable(shown: str) -> list[str]:
    """The lines of an output without what differs from time to time: seconds, and the order of what happens at once."""
    return sorted(SECONDS.sub("#", line).rstrip() for line in shown.splitlines() if line.strip())


readme = Sybil(
    parsers=[
        CodeBlockParser("python", run_python),
        CodeBlockParser("text", compare_text),
        CodeBlockParser("console", run_console),
    ],
    filenames=["README.md"],
)
docstrings = Sybil(
    parsers=[DocTestParser()], path="trioflow", pattern="*.py", document_types={".py": PythonDocStringDocument}
)

pytest_collect_file = (readme + docstrings).pytest()
