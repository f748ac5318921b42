"""A run leaves its graph and its trace in files, also if it has failed, with the steps that never began."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from command_line import DIAMOND, ORDER, flow, here, main

from trioflow._arguments import Target

__all__ = ["here"]  # a fixture


@pytest.mark.parametrize("suffix", [".mmd", ".mermaid", ".MMD"])
def test_a_graph_for_mermaid(suffix: str) -> None:
    assert main("run", flow(DIAMOND), "--graph", f"out{suffix}").status == 0
    text = Path(f"out{suffix}").read_text()
    assert text.startswith("flowchart ")
    assert all(f"✓ {name}" in text for name in ("top", "left", "right", "bottom"))
    assert text.count("-->") == 4


@pytest.mark.parametrize("suffix", [".dot", ".gv"])
def test_a_graph_for_graphviz(suffix: str) -> None:
    assert main("run", flow(DIAMOND), "--graph", f"out{suffix}").status == 0
    assert Path(f"out{suffix}").read_text().startswith("digraph")


def test_the_graph_of_a_failure_has_the_steps_that_never_began() -> None:
    assert main("run", flow(ORDER), "--graph", "out.mmd").status == 1
    text = Path("out.mmd").read_text()
    for look in ("✓ load cart", "⊘ charge card", "✗ reserve stock", "✗ receipt", "✗ mail", "spare"):
        assert look in text
    assert text.count("-->") == 5


def test_sleeps_and_waits_are_in_the_graph() -> None:
    file = flow("await step.sleep('nap', '1 day')\n" + DIAMOND)
    assert main("run", file, "--virtual-time", "--graph", "out.mmd").status == 0
    assert "nap" in Path("out.mmd").read_text()


def test_a_trace_can_be_opened_elsewhere() -> None:
    assert main("run", flow(DIAMOND), "--trace", "out.json").status == 0
    events = json.loads(Path("out.json").read_text())["traceEvents"]
    assert {"top", "left", "right", "bottom"} <= {event.get("name") for event in events}


def test_both_at_once_and_over_what_was_there() -> None:
    Path("out.dot").write_text("x" * 10_000)
    assert main("run", flow(DIAMOND), "--trace", "out.json", "--graph", "out.dot").status == 0
    assert "x" * 10 not in Path("out.dot").read_text()
    assert json.loads(Path("out.json").read_text())


@pytest.mark.parametrize(
    ("option", "path", "words"),
    [
        ("--graph", "out.png", "its name has to end in one of .mmd, .mermaid, .dot, .gv"),
        ("--graph", "out", "its name has to end in one of"),
        ("--graph", "missing/out.mmd", "can't be written: No such file or directory"),
        ("--trace", ".", "can't be written: Is a directory"),
    ],
)
def test_a_file_that_cannot_be_written_is_refused_before_the_run(option: str, path: str, words: str) -> None:
    done = main("run", flow("print('begun')"), option, path)
    assert (done.status, done.out) == (2, "")
    assert done.err.startswith(f"trioflow: {option}: {path} ")
    assert words in done.err
    assert [p.name for p in Path().iterdir()] == ["flow.py"]


def test_what_did_not_come_to_a_run_leaves_no_file() -> None:
    Path("flow.py").write_text("raise ValueError")
    assert main("run", "flow.py", "--graph", "out.mmd", "--trace", "out.json").status == 2
    assert main("run", flow("pass"), "--graph", "out.mmd", "--id", "a b").status == 2
    assert [p.name for p in Path().iterdir()] == ["flow.py"]


def test_a_disk_that_is_full_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(target: Target, text: str) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Target, "write", full)
    done = main("run", flow("return 1"), "--graph", "out.mmd", "--trace", "out.json")
    assert (done.status, done.out) == (1, "1\n")
    assert done.err.splitlines()[-2:] == [
        "trioflow: out.mmd can't be written: No space left on device",
        "trioflow: out.json can't be written: No space left on device",
    ]
