"""What the command prints, keeps, compares and draws, on readings that are known beforehand. Nothing here is timed."""

from __future__ import annotations

import gc
import json
import random
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio

from benchmarks import __main__, _compare, _kept, _options, _plot, _report, endurance
from benchmarks._budgets import Budget
from benchmarks._measure import CannotError, Case, Measured, Side, WrongValueError, measure
from benchmarks.catalogue import all_cases


@pytest.fixture(scope="module", autouse=True)
def small_heap() -> Iterator[None]:
    """Each reading begins with a collection, which need not walk what the test runner has loaded."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


def known(ours: list[float], beside: list[float], *, name: str = "known", **options: Any) -> Case:
    """A case whose readings are these, in this order."""

    def side(readings: list[float]) -> Side:
        following = iter(readings)

        async def read() -> float:
            await trio.lowlevel.checkpoint()
            return next(following)

        return read

    options.setdefault("budget", None)
    return Case(name=name, per="step", sides=lambda: (side(ours), side(beside) if beside else None), **options)


def once(case: Case) -> Measured:
    return measure(case, 1, warm_up=False)


# ---------------------------------------------------------------- report and command

HALF = Budget(core=0.5, end=0.2)


@pytest.mark.parametrize(
    ("reading", "core", "end"), [(0.1, "ok", "ok"), (0.3, "ok", "OVER"), (0.5, "ok", "OVER"), (0.6, "OVER", "OVER")]
)
def test_a_case_is_over_if_its_median_is_beyond_the_budget(reading: float, core: str, end: str) -> None:
    measured = once(known([reading], [1], budget=HALF))
    assert [_report.verdict(measured, "core"), _report.verdict(measured, "end")] == [core, end]
    assert [measured.over("core"), measured.over("end")] == [core == "OVER", end == "OVER"]


@pytest.mark.parametrize(("reading", "doubt"), [(6.4, True), (6.6, False), (8, False), (10.4, False), (10.6, True)])
def test_what_stands_beside_is_doubted_outside_of_its_bounds(reading: float, doubt: bool) -> None:
    measured = once(known([1], [reading], budget=HALF, credible=(7, 10)))
    assert measured.in_doubt is doubt
    assert ("isn't at 7-10 us" in _report.verdict(measured, "core")) is doubt


def test_the_table_is_aligned() -> None:
    measured = [
        once(known([0.123], [1], name="a", budget=HALF)),
        once(known([0.0123], [1], name="a ratio below a tenth", budget=HALF)),
        once(known([493], [], name="memory", judged_by="alone", unit="bytes", budget=Budget(600, 450))),
        once(known([60], [40], name="import", judged_by="difference", unit="ms", budget=Budget(50, 50))),
        once(known([1], [1], name="none")),
    ]
    width = max(len(m.case.name) for m in measured)
    head = _report.header(width, "core", _kept.surroundings()).splitlines()[-1]
    lines = [_report.line(m, width, "core") for m in measured]
    assert lines == [
        "a                      step             0.12       1.00      0.12 x (0.12-0.12)     0.5 x  ok",
        "a ratio below a tenth  step             0.01       1.00   0.012 x (0.012-0.012)     0.5 x  ok",
        "memory                 step            493 B          -         493 B (493-493)     600 B  ok",
        "import                 step          60.0 ms    40.0 ms     20.0 ms (20.0-20.0)     50 ms  ok",
        "none                   step             1.00       1.00      1.00 x (1.00-1.00)         -  -",
    ]
    end = lines[0].index("ok")
    assert [head[: end - 2].endswith("budget"), head.index("per")] == [True, lines[0].index("step")]


def test_the_header_says_on_what_it_was_measured() -> None:
    facts = _kept.surroundings()
    head = _report.header(10, "end", facts)
    assert f"Python {facts['python']}, Trio {facts['trio']}, load" in head
    assert "budgets: end" in head


def command(monkeypatch: pytest.MonkeyPatch, cases: list[Case], *arguments: str) -> int:
    monkeypatch.setattr(__main__, "all_cases", lambda *args, **kwargs: cases)
    return __main__.main(list(arguments))


def wrong_case() -> Case:
    async def read() -> float:
        await trio.lowlevel.checkpoint()
        raise WrongValueError("5 instead of 6")

    return Case(name="wrong", per="step", sides=lambda: (read, read), budget=HALF)


def many(reading: float) -> Case:
    return known([reading] * 4, [1.0] * 4, name="right", budget=HALF)


def test_a_wrong_value_fails_the_run_and_hides_no_other_case(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(monkeypatch, [wrong_case(), many(0.1)], "--quick") == 1
    out, err = capsys.readouterr()
    assert "WRONG: WrongValueError: 5 instead of 6" in out
    assert out.splitlines()[-1].startswith("right ")
    assert "Traceback" in err


def test_a_budget_is_fatal_only_with_check(monkeypatch: pytest.MonkeyPatch) -> None:
    assert command(monkeypatch, [many(0.6)], "--quick") == 0
    assert command(monkeypatch, [many(0.6)], "--quick", "--check") == 1
    assert command(monkeypatch, [many(0.4)], "--quick", "--check") == 0
    assert command(monkeypatch, [many(0.4)], "--quick", "--check", "--budget", "end") == 1


def test_all_readings_are_written_as_json(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "readings.json"
    case = known([9, 1, 2, 3], [9, 4, 4, 4], name="right", budget=HALF)
    assert command(monkeypatch, [case, wrong_case()], "--quick", "--json", str(file)) == 1
    report = json.loads(file.read_text())
    assert {"python", "trio", "load", "cores", "steps", "machine", "budgets", "cases"} == set(report)
    right, wrong = report["cases"]
    assert (right["ours"], right["beside"]) == ([1, 2, 3], [4, 4, 4])
    assert right["judged"] == {"q1": 0.375, "median": 0.5, "q3": 0.625}
    assert (right["budget"], right["verdict"], right["wrong"]) == (0.5, "ok", None)
    assert (wrong["judged"], wrong["verdict"]) == (None, "WRONG")


def test_the_command_measures_what_it_is_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--quick", "--steps", "20", "--only", "noop ch", "--only", "run of"]
    assert __main__.main(arguments) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line[:15].strip() for line in lines[-2:]] == ["noop chain", "run of 10 steps"]


def listed(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[str]:
    assert __main__.main(["--list", *arguments]) == 0
    return capsys.readouterr().out.splitlines()


def test_names_can_be_listed_by_chapter(capsys: pytest.CaptureFixture[str]) -> None:
    cases = all_cases()
    for arguments, chapters in (
        ([], {"everyday"}),
        (["--all"], {"everyday", "rare"}),
        (["--peers"], {"peers"}),
        (["--peers", "--scale"], {"peers", "scale"}),
        (["--where", "--memory"], {"where", "memory"}),
        (["--all", "--peers", "--scale", "--memory", "--where"], set(_options.CHAPTERS) | {"everyday", "rare"}),
    ):
        expected = [case.name for case in cases if case.chapters <= chapters]
        assert listed(capsys, *arguments) == expected
        assert expected
    assert len(listed(capsys, *arguments)) == len(cases)


def test_a_name_alone_is_looked_for_in_what_is_trioflows_own(capsys: pytest.CaptureFixture[str]) -> None:
    assert listed(capsys, "--only", "virtual") == ["asleep in virtual time"]
    assert listed(capsys, "--only", "size") == ["size 100,000 against 1,000"]
    assert listed(capsys, "--only", "size", "--scale") == ["size 1,000,000 against 1,000"]


def test_scale_goes_from_a_thousand_to_a_million(capsys: pytest.CaptureFixture[str]) -> None:
    names = listed(capsys, "--scale", "--only", "scale run noop")
    assert names == [f"scale run noop {size}" for size in ("1,000", "10,000", "100,000", "1,000,000")]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--only", "nothing"], "no case is called anything like nothing: see --list"),
        (["--steps", "3"], "3 steps are too few to be shaped: at least 20"),
        (["--steps", "many"], "'many' is no number of steps"),
        (["--budget", "soon"], "invalid choice: 'soon'"),
        (["--processes", "0"], "'0' is no number of processes: 1 to 100"),
        (["--compare", "no such file"], "no such file holds no readings of `--json`"),
        (["--read", "pyproject.toml"], "pyproject.toml holds no readings of `--json`"),
    ],
)
def test_arguments_that_cannot_be_used_are_refused(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        __main__.main(arguments)
    assert caught.value.code == 2
    assert message in capsys.readouterr().err


def test_an_endurance_case_runs_here_and_checks_its_value(capsys: pytest.CaptureFixture[str]) -> None:
    endurance.run_here("chain")
    assert re.fullmatch(r"chain +100,000 +[\d.]+ s +[\d.]+ us +\d+ MiB\n", capsys.readouterr().out)


def test_an_endurance_case_that_is_none_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["endurance", "chian"])
    with pytest.raises(SystemExit) as caught:
        endurance.main()
    assert caught.value.code == 2
    assert "no case 'chian'" in capsys.readouterr().err


# ---------------------------------------------------------------- what is kept


def test_what_cannot_be_measured_is_a_row_and_no_failure(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def read() -> float:
        raise CannotError("not installed: pip install it")

    absent = Case(name="absent", per="step", sides=lambda: (read, read), budget=HALF)
    assert command(monkeypatch, [absent, many(0.1)], "--quick", "--check") == 0
    assert capsys.readouterr().out.splitlines()[-2] == "absent  step        not installed: pip install it"


def test_a_kept_report_is_shown_again_without_measuring(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, again = tmp_path / "readings.json", tmp_path / "again.json"
    cases = [many(0.25), wrong_case()]
    assert command(monkeypatch, cases, "--quick", "--json", str(file)) == 1
    first = capsys.readouterr().out
    assert command(monkeypatch, [], "--read", str(file), "--json", str(again)) == 1
    shown = first[first.index("CPU time") :].replace("0.5 x", "    -").replace("  ok\n", "  -\n")
    assert capsys.readouterr().out.splitlines()[1:] == shown.splitlines()
    kept, copied = json.loads(file.read_text()), json.loads(again.read_text())
    for case in kept["cases"]:
        case["budget"], case["verdict"] = None, "WRONG" if case["wrong"] else "-"
    assert copied == kept


def test_of_a_kept_report_a_part_can_be_asked_for(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "readings.json"
    other = known([1.0] * 4, [1.0] * 4, name="other", chapters=frozenset({"where"}))
    command(monkeypatch, [many(0.25), other], "--quick", "--where", "--all", "--json", str(file))
    capsys.readouterr()
    for arguments, names in (([], ["right", "other"]), (["--where"], ["other"]), (["--only", "rig"], ["right"])):
        assert __main__.main(["--read", str(file), "--list", *arguments]) == 0
        assert capsys.readouterr().out.splitlines() == names


def test_the_machine_is_described_without_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    facts = _kept.facts(1000)
    assert facts["steps"] == 1000
    assert "hostname" not in facts["machine"]
    assert facts["machine"]["platform"]
    assert facts["python"] in _kept.in_a_line(facts)


def test_pyperfs_advice_is_found_in_what_it_says() -> None:
    said = "State\n=====\n\nASLR: Full\n\nAdvices\n=======\n\nTurn this off\nTurn that on\n\nWarnings\n========\n\nNo\n"
    assert _kept.advice_in(said) == ["Turn this off", "Turn that on"]
    assert _kept.advice_in("State\n=====\n") == []


# ---------------------------------------------------------------- what has changed


def measured(
    figures: list[float], *, name: str = "case", beside: float | None = 1.0, processes: int = 8, **options: Any
) -> Measured:
    case = Case(name=name, per="step", sides=lambda: pytest.fail("measured"), budget=None, **options)
    others = () if beside is None else tuple([beside] * len(figures))
    return Measured(case=case, ours=tuple(figures), beside=others, processes=processes)


#: Eleven rounds with quartiles 6 % apart, as on a machine with something else to do.
ROUNDS = [1.0, 0.97, 1.03, 0.98, 1.02, 0.95, 1.05, 0.99, 1.01, 0.96, 1.04]


def times(factor: float) -> list[float]:
    return [factor * figure for figure in ROUNDS]


@pytest.mark.parametrize(
    ("factor", "verdict"),
    [(1.0, "same"), (1.07, "same"), (1.2, "slower"), (2, "slower"), (0.96, "same"), (0.7, "faster")],
)
def test_a_fifth_more_is_slower_and_a_few_percent_are_not(factor: float, verdict: str) -> None:
    change = _compare.change(measured(times(0.15)), measured(times(0.15 * factor)))
    assert change.verdict == verdict
    assert change.ratio == pytest.approx(factor)
    assert change.low < factor < change.high


def test_one_process_is_not_enough_to_call_a_fifth_slower_but_enough_for_a_half() -> None:
    old = measured(times(1), processes=1)
    assert _compare.change(old, measured(times(1.2), processes=1)).verdict == "same"
    assert _compare.change(old, measured(times(1.6), processes=1)).verdict == "slower"


def test_a_faster_machine_changes_nothing() -> None:
    old = measured([4 * figure for figure in ROUNDS], beside=4.0)
    assert _compare.change(old, measured(ROUNDS)).ratio == pytest.approx(1)


def test_what_is_known_badly_is_not_called_slower() -> None:
    unsteady = [figure * factor for figure, factor in zip(ROUNDS, [0.6, 1, 1.7] * 4, strict=False)]
    assert _compare.change(measured(unsteady), measured([1.2 * figure for figure in unsteady])).verdict == "same"
    assert _compare.change(measured(times(1)), measured(times(1.2))).verdict == "slower"


@pytest.mark.parametrize(("spread", "seen"), [(0.02, 30), (0.04, 10), (0.06, 1)])
def test_an_unchanged_tree_is_quiet_and_a_fifth_shows_in_what_is_steady(spread: float, seen: int) -> None:
    random_ = random.Random(1)

    def report(factor: float) -> list[Measured]:
        return [
            measured([factor * random_.lognormvariate(0, spread) for _ in range(11)], name=f"case {i}")
            for i in range(40)
        ]

    def slower(old: list[Measured], new: list[Measured]) -> int:
        return [change.verdict for change in _compare.compared(old, new)].count("slower")

    assert [slower(report(1), report(1)) for _ in range(25)].count(0) >= 24
    assert min(slower(report(1), report(1.2)) for _ in range(10)) >= seen


def test_bytes_are_compared_as_they_are_and_times_beside_nothing_are_not() -> None:
    def memory(size: float) -> Measured:
        return measured([size], beside=None, unit="bytes", judged_by="alone")

    assert _compare.change(memory(450), memory(450)).verdict == "same"
    assert _compare.change(memory(450), memory(540)).verdict == "slower"
    alone = measured([1.0] * 5, beside=None, judged_by="alone")
    assert "stands beside nothing" in _compare.change(alone, alone).reason


def test_what_cannot_be_compared_says_why() -> None:
    new = measured(ROUNDS)
    for old, reason in (
        (None, "not in the old report"),
        (attrs.evolve(new, wrong="5 instead of 6"), "the old report has no figures"),
        (attrs.evolve(new, cannot="not installed"), "the old report has no figures"),
        (measured([1.0, 1.1]), "fewer than 3 rounds"),
        (measured([-0.1, *ROUNDS]), "hardly more than nothing"),
    ):
        change = _compare.change(old, new)
        assert change.verdict == "not compared"
        assert reason in change.reason


def test_what_seems_slower_is_measured_again_and_counts_if_it_is_slower_twice() -> None:
    old = [measured(times(1), name=name) for name in ("once", "twice", "never")]
    new = [measured(times(1.3), name=name) for name in ("once", "twice")] + [measured(times(1), name="never")]
    asked: list[str] = []

    def again(cases: Any) -> list[Measured]:
        asked.extend(case.name for case in cases)
        return [measured(times(1.3 if case.name == "twice" else 1), name=case.name) for case in cases]

    changes = __main__.changes_since(old, new, again)
    assert asked == ["once", "twice"]
    assert {change.name: change.verdict for change in changes} == {"once": "same", "twice": "slower", "never": "same"}


def family(factor: float, noise: random.Random, *, but: str = "") -> list[Measured]:
    """Eight cases known so badly that none of them shows a fifth more."""
    cases = []
    for shape in graphs_of_a_family:
        drift = noise.lognormvariate(0, 0.04) * (factor if shape != but else 1)
        figures = [drift * figure for figure in (0.5, 0.6, 0.7, 0.75, 1, 1, 1, 1.35, 1.45, 1.7, 2)]
        cases.append(measured(figures, name=f"noop {shape}"))
    return cases


graphs_of_a_family = ("chain", "fan", "ladder", "layered", "dense", "tree", "forest", "random")


def test_a_family_shows_what_none_of_its_cases_does() -> None:
    noise = random.Random(5)
    old, seen = family(1, noise), 0
    for _ in range(20):
        same = _compare.compared(old, family(1, noise))
        assert [one.verdict for one in _compare.together(same)] == ["same"]
        slower = _compare.compared(old, family(1.25, noise))
        assert "slower" not in [one.verdict for one in slower]
        [whole] = _compare.together(slower)
        assert whole.name == "noop (8 cases as one)"
        assert 1.15 < whole.ratio < 1.35
        seen += whole.verdict == "slower"
    assert seen >= 15
    few = _compare.compared(old[:4], family(1.25, noise)[:4])
    assert _compare.together(few) == []


def test_a_family_that_seems_slower_is_measured_again_as_a_whole() -> None:
    noise = random.Random(2)
    old, slow = family(1, noise), family(1.3, noise)
    asked: list[str] = []

    def again(factor: float) -> Any:
        def measure_again(cases: Any) -> list[Measured]:
            asked.extend(case.name for case in cases)
            return family(factor, noise) if cases else []

        return measure_again

    for factor, verdict in ((1.3, "slower"), (1.0, "same")):
        asked.clear()
        changes = __main__.changes_since(old, slow, again(factor))
        assert asked == [f"noop {shape}" for shape in graphs_of_a_family]
        assert {change.verdict for change in changes if change.family} == {verdict}


def test_the_command_fails_if_something_is_slower(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old, slow = tmp_path / "old.json", tmp_path / "slow.json"

    def report(factor: float) -> list[Case]:
        readings = [1.0, *times(0.15 * factor)] * 2
        return [known(readings, [1.0] * 24, name="noop chain"), known([1.0] * 24, [1.0] * 24, name="other")]

    assert command(monkeypatch, report(1), "--json", str(old)) == 0
    assert command(monkeypatch, report(1), "--compare", str(old)) == 0
    out = capsys.readouterr().out
    assert "2 cases compared: 0 slower, 0 faster, 2 the same" in out
    assert "seems slower" not in out
    assert command(monkeypatch, report(1.6), "--compare", str(old), "--json", str(slow)) == 1
    out = capsys.readouterr().out
    assert "seems slower, so once more" in out
    assert "slower: noop chain: 1.60 x" in out
    assert "half of them would have shown a slowdown of" in out
    assert command(monkeypatch, [], "--read", str(slow), "--compare", str(old)) == 1
    assert command(monkeypatch, [], "--read", str(old), "--compare", str(slow)) == 0
    assert "faster: noop chain: 0.62 x" in capsys.readouterr().out


def test_reports_of_other_sizes_are_not_compared(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old = tmp_path / "old.json"
    assert command(monkeypatch, [many(0.1)], "--quick", "--json", str(old)) == 0
    with pytest.raises(SystemExit) as caught:
        command(monkeypatch, [many(0.1)], "--quick", "--steps", "200", "--compare", str(old))
    assert caught.value.code == 2
    assert "--steps 1000 can't be compared with --steps 200" in capsys.readouterr().err


def test_the_rounds_of_several_processes_belong_together(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent.parent))
    file = tmp_path / "readings.json"
    arguments = ["--only", "noop chain", "--quick", "--steps", "20", "--json", str(file)]
    assert __main__.main([*arguments, "--processes", "2"]) == 0
    [case] = json.loads(file.read_text())["cases"]
    assert (case["name"], case["processes"], len(case["ours"])) == ("noop chain", 2, 6)
    assert case["budget"] == 0.5
    report = _kept.read(file)
    assert _kept.processes_of(report) == 2
    assert _kept.processes_of(None) == 1
    assert "process 2 of 2" in capsys.readouterr().err


def test_what_one_process_finds_wrong_is_wrong() -> None:
    right = measured(ROUNDS, processes=1)
    wrong = attrs.evolve(right, ours=(), beside=(), wrong="5 instead of 6")
    assert _kept.pooled(right.case, [right, wrong]).wrong == "5 instead of 6"
    whole = _kept.pooled(right.case, [right, right])
    assert (len(whole.ours), whole.processes, whole.wrong) == (22, 2, None)


# ---------------------------------------------------------------- tables and pictures


def rows() -> list[Measured]:
    peers, where, scale, memory = (frozenset({chapter}) for chapter in ("peers", "where", "scale", "memory"))
    made: list[Measured] = []
    for system, factor in (("trioflow async", 0.2), ("Another 1.0", 30.0)):
        for shape in ("chain", "fan"):
            about: dict[str, Any] = {"system": system, "shape": shape, "clock": "CPU"}
            made.append(measured(times(factor * 8), name=f"{system} {shape}", beside=8.0, chapters=peers, about=about))
        built: dict[str, Any] = {"chapters": peers, "about": {"system": system, "shape": "building"}}
        made.append(measured([7], name=f"{system} building", beside=None, judged_by="alone", **built))
    refused = measured([], name="Another ladder", chapters=peers, about={"system": "Another 1.0", "shape": "ladder"})
    made.append(attrs.evolve(refused, cannot="RecursionError: its depth is bounded"))
    for part in ("a context of its own", "a name"):
        about = {"variant": part, "body": "no-op, chain"}
        figures = [2 - 0.25 * figure for figure in ROUNDS]
        options: dict[str, Any] = {"chapters": where, "about": about, "judged_by": "difference"}
        made.append(measured(figures, name=f"where {part}", beside=2.0, **options))
    for steps in (1000, 10_000):
        about = {"series": "trioflow, run async", "beside": "graphlib by hand, async", "steps": steps}
        made.append(measured(times(2), name=f"scale {steps}", beside=8.0, chapters=scale, about=about))
        held: dict[str, Any] = {"chapters": memory, "about": {"series": "trioflow", "steps": steps}}
        made.append(measured([450], name=f"memory {steps}", beside=None, unit="bytes", judged_by="alone", **held))
    return made


def test_systems_and_parts_are_shown_in_tables() -> None:
    systems, parts = _report.tables(rows()).split("\n\n")
    assert [cell.strip() for cell in systems.splitlines()[2].split("|")[1:-1]] == [
        "trioflow async", "1.60 (0.200x)", "1.60 (0.200x)", "7.00", "",
    ]  # fmt: skip
    assert [cell.strip() for cell in systems.splitlines()[3].split("|")[1:-1]] == [
        "Another 1.0", "240 (30.0x)", "240 (30.0x)", "7.00", "RecursionError",
    ]  # fmt: skip
    assert len({len(line) for line in systems.splitlines()}) == 1
    assert "| a context of its own " in parts
    assert "+0.25 (+0.24 to +0.26)" in parts
    assert _report.tables([measured(ROUNDS)]) == ""


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.1234, "0.123"), (1.234, "1.23"), (12.34, "12.3"), (123.4, "123"), (1234.5, "1,230"), (99.99, "100.0")],
)
def test_three_digits_count(value: float, text: str) -> None:
    assert _report.short(value) == text


def test_whatever_was_measured_is_drawn_twice(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    lines = _plot.draw(rows(), tmp_path / "pictures", "a machine")
    names = [f"{name}.{ending}" for name in ("systems", "size", "memory", "where") for ending in ("svg", "png")]
    assert sorted(file.name for file in (tmp_path / "pictures").iterdir()) == sorted(names)
    assert all(line.startswith("drawn: ") for line in lines)
    for name in names:
        content = (tmp_path / "pictures" / name).read_bytes()
        assert content.startswith(b"\x89PNG" if name.endswith("png") else b"<?xml")
        assert len(content) > 5000


def test_what_was_not_measured_is_not_drawn_and_says_what_to_ask_for(tmp_path: Path) -> None:
    lines = _plot.draw([measured(ROUNDS)], tmp_path, "a machine")
    assert lines == [
        f"not drawn: {name}, for which there are no readings: --{option}"
        for name, option in (("systems", "peers"), ("size", "scale"), ("memory", "memory"), ("where", "where"))
    ]
    assert list(tmp_path.iterdir()) == []


def test_without_matplotlib_nothing_is_measured_for_a_picture(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(_plot.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(SystemExit) as caught:
        command(monkeypatch, [many(0.1)], "--plot", str(tmp_path))
    assert caught.value.code == 2
    assert "--plot needs matplotlib: pip install -e '.[bench]'" in capsys.readouterr().err
