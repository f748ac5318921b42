"""The planted bugs' command: what it counts, how it makes small what it has found, and what it says.

That each broken runtime is caught is in `test_testing`.
"""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings

from tests import broken
from tests.broken import ALL, Caught, catch, chain, main, median, minimal, naive, search, simpler, verdict
from tests.reference import Runtime
from trioflow import run_workflow
from trioflow.testing import DagSpec, Demand, Node
from trioflow.testing.strategies import dags

#: A shared step with a dependency of its own, in surroundings that have nothing to do with it.
LARGE = DagSpec(
    nodes=[
        Node(seconds=1, cleanup=2),
        Node(back=[1], seconds=2),
        Node(seconds=3),
        Node(back=[2, 1], concurrent=True, by_name=True),
        Node(back=[3]),
        Node(back=[1, 2], concurrent=True, seconds=1),
        Node(back=[1]),
    ],
    demands=[Demand(), Demand(node=4, at=3), Demand(node=1, timeout=9)],
)


def test_there_are_more_than_twelve_and_the_original_is_among_them() -> None:
    assert len(ALL) > 12
    assert {"Original", "AEntersTheTableLate", "BSiblingsGoOn", "BFailuresAreRunAgain", "CNamesAreKeys"} <= set(ALL)
    assert {"DRecursesAlongAChain", "EEveryAwaitIsAnExecution", "FOneWhoLeavesTakesSharedStepsAlong"} <= set(ALL)


@pytest.mark.slow
def test_a_shared_ancestor_that_runs_twice_is_shown_by_four_steps() -> None:
    run_twice: Runtime = ALL["AEntersTheTableLate"]
    (spec, seed), runs = minimal((LARGE, 0), run_twice)

    assert verdict(spec, run_twice, seed) == "once only"
    assert len(spec.nodes) <= 4
    assert 0 < runs < 500


def test_what_is_small_already_stays_as_it_is() -> None:
    spec = DagSpec(nodes=[Node()])

    assert minimal((spec, 0), naive)[0] == (spec, 0)


@settings(max_examples=50, deadline=None)
@given(dags(inner=True))
def test_each_piece_that_can_be_taken_away_leaves_a_workflow_that_is_less(spec: DagSpec) -> None:
    def size(it: DagSpec) -> int:
        parts = [*it.nodes, *it.demands, it]
        return sum(len(repr(part)) for part in parts)

    for other in simpler(spec):
        assert other != spec
        assert len(other.nodes) <= len(spec.nodes)
        assert len(other.demands) <= len(spec.demands)
        assert all(0 <= other.target(k) < len(other.nodes) for k in range(len(other.demands)))


def test_a_search_counts_the_examples_up_to_the_first_that_fails() -> None:
    first, case, runs = search("Eager", 0, 200)
    assert first is not None
    assert 1 <= first <= 200
    assert case is not None
    assert verdict(case[0], ALL["Eager"], case[1]) is not None
    assert runs <= 1  # Hypothesis makes sure
    assert search("Eager", 0, 200) == (first, case, runs)


def test_a_search_that_finds_nothing_counts_as_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ALL, "sound", run_workflow)
    caught = catch("sound", 1, 20)

    assert not caught.found
    assert caught.examples == caught.plain == (None,)
    assert (caught.case, caught.steps, caught.message) == (None, 0, "")
    assert median([None, 5, 7]) == 7
    assert median([None]) == broken.LIMIT
    assert "NOT CAUGHT" in "".join(broken.table([caught]))
    assert "NOT CAUGHT within 2,000 examples: sound" in "\n".join(broken.summary([caught]))


def test_a_bug_that_is_found_late_fails_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    late = Caught("late", (500,), (1,), (chain(7), 0), "x", "x", (0, 0), 0.0)
    monkeypatch.setattr(broken, "catch", lambda name, searches: late)

    assert main(["--only", "naive"]) == 1
    lines = list(broken.summary([late]))
    assert lines[1:] == [
        "late needs 7 steps: nothing smaller was found",
        "TOO LATE: the median ought to be 100 at most",
    ]


@pytest.mark.slow
def test_the_command_prints_a_line_for_each_and_the_median(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--only", "naive", "--seeds", "1"]) == 0

    head, line, empty, last = capsys.readouterr().out.splitlines()
    assert head.split("|")[0].strip() == "runtime"
    assert line.split("|")[0].strip() == "naive"
    assert int(line.split("|")[5]) <= 5
    assert empty == ""
    assert last.startswith("1 of 1 caught; median ")


@pytest.mark.slow
def test_the_numbers_and_the_case_can_be_had(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--only", "naive", "--seeds", "1", "--json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)
    spec = eval(found["spec"], {"DagSpec": DagSpec, "Node": Node, "Demand": Demand})
    assert verdict(spec, naive, found["seed"]) == found["invariant"].partition(" (")[0]

    assert main(["--show", "naive"]) == 0
    assert capsys.readouterr().out.startswith("spec = DagSpec(")
    assert main(["--list"]) == 0
    assert capsys.readouterr().out.split() == list(ALL)
