"""The planted faults: each still has its place, a few are found in passing, and the judges find nothing where nothing is."""

from __future__ import annotations

import sys
from pathlib import Path

import attrs
import pytest
from planted import FAULTS, ROOT, Fault, Judge, copy_of, dags, examine, nowhere_to_go

#: Random workflows in which the faults below show soon.
EXAMPLES = 200
#: Those that random workflows find among the first.
QUICK = ("timeout_kills", "settles_early", "doomed_still_wants", "keeps_its_queue")


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_every_fault_has_its_place_in_the_code(fault: Fault) -> None:
    """If this fails, the code has been changed: let the fault's `old` and `new` in planted.py follow it."""
    assert nowhere_to_go(fault, ROOT) is None


@pytest.mark.slow
def test_where_nothing_is_planted_the_judge_finds_nothing(tmp_path: Path) -> None:
    assert examine([dags(EXAMPLES, seed=0)], copy_of(ROOT, tmp_path / "real")) is None


@pytest.mark.slow
@pytest.mark.parametrize("name", QUICK)
def test_random_workflows_find_what_is_planted(name: str, tmp_path: Path) -> None:
    project = copy_of(ROOT, tmp_path / "planted")
    FAULTS[name].plant(project)

    finding = examine([dags(EXAMPLES, seed=0)], project)

    assert finding is not None
    assert finding.judge == "random DAGs"
    assert finding.where.startswith("example ")
    assert finding.what


def test_a_copy_is_judged_and_not_what_is_imported_here(tmp_path: Path) -> None:
    project = copy_of(ROOT, tmp_path / "planted")
    code = "import sys, trioflow; print(trioflow.__file__); sys.exit(1)"
    finding = examine([Judge("where", [sys.executable, "-c", code], lambda said: ("", said.strip()))], project)

    assert finding is not None
    assert finding.what == str(project / "trioflow" / "__init__.py")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """One with a single module of a single line."""
    (tmp_path / "trioflow").mkdir()
    (tmp_path / "trioflow" / "_room.py").write_text("x = 1 + 1\n")
    return tmp_path


def test_a_fault_is_one_change_in_the_copy(project: Path) -> None:
    Fault("sum", "a wrong sum", "_room", "1 +", "2 +").plant(project)

    assert (project / "trioflow" / "_room.py").read_text() == "x = 2 + 1\n"


@pytest.mark.parametrize(("old", "times"), [("no such text", 0), ("1", 2)])
def test_a_text_that_is_not_there_exactly_once_is_refused(old: str, times: int, project: Path) -> None:
    fault = Fault("sum", "a wrong sum", "_room", old, "2")

    with pytest.raises(LookupError, match=rf"'sum'.*_room\.py has .* {times} times and not once") as caught:
        fault.plant(project)

    assert old in str(caught.value)
    assert nowhere_to_go(fault, project) == str(caught.value)
    assert (project / "trioflow" / "_room.py").read_text() == "x = 1 + 1\n"


def test_a_fault_that_is_no_python_is_refused(project: Path) -> None:
    with pytest.raises(SyntaxError):
        Fault("sum", "a wrong sum", "_room", "1 +", "if").plant(project)


def test_a_judge_that_says_nothing_for_too_long_hangs(tmp_path: Path) -> None:
    code = "import time; print('example 7', flush=True); time.sleep(600)"
    judge = attrs.evolve(dags(1, seed=0), command=[sys.executable, "-c", code], silence=0.5)

    finding = examine([judge], tmp_path)

    assert finding is not None
    assert (finding.where, finding.what) == ("example 7", "hangs: nothing for 0.5 s")


def test_the_first_judge_who_finds_something_is_believed(tmp_path: Path) -> None:
    def judge(name: str, status: int) -> Judge:
        return Judge(
            name, [sys.executable, "-c", f"print('{name} speaks'); exit({status})"], lambda said: ("here", said)
        )

    finding = examine([judge("a", 0), judge("b", 3), judge("c", 1)], tmp_path)

    assert finding is not None
    assert (finding.judge, finding.where, finding.what) == ("b", "here", "b speaks\n")
    assert examine([judge("a", 0)], tmp_path) is None
