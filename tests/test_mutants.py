"""The mutants: what is changed and what is left alone, who is drawn and how they are judged; every reason has its mutant."""

from __future__ import annotations

import ast
import json
import sys
from pathlib import Path

import attrs
import pytest

from tests.mutants import (
    KINDS,
    MODULES,
    REASONS,
    ROOT,
    Court,
    Mutant,
    Result,
    all_mutants,
    drawn,
    entry,
    fast_judge,
    file_of,
    main,
    mutants_of,
    reasons,
    table,
)
from tests.planted import Finding, Judge, copy_of, examine

THERE = all_mutants(ROOT)
BY_ID = {mutant.id: mutant for mutants in THERE.values() for mutant in mutants}


def changes(source: str) -> list[str]:
    return [mutant.change for mutant in mutants_of("_room", source.encode())]


def mutated(source: str) -> list[str]:
    return [mutant.changed(source.encode()).decode() for mutant in mutants_of("_room", source.encode())]


# ------------------------------------------------------------------------------------------------------------- mutating


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("f(a < b)", {"pass", "f((a <= b))", "f((a >= b))"}),
        ("f(a is b)", {"pass", "f((a is not b))"}),
        ("f(a in b)", {"pass", "f((a not in b))"}),
        ("f(a and b)", {"pass", "f((a or b))", "f(a)", "f(b)"}),
        ("f(a or b or c)", {"pass", "f((a and b and c))", "f((a or b))", "f((a or c))", "f((b or c))"}),
        ("f(not a)", {"pass", "f(a)"}),
        ("f(1, x=True)", {"pass", "f(2, x=True)", "f(0, x=True)", "f(1, x=False)"}),
        ("f(a, b, *c)", {"pass", "f(b, a, *c)"}),
        ("f(*a, b)", {"pass"}),
        ("f(a + b)", {"pass", "f(a - b)"}),
        ("f('a' + b)", {"pass"}),
        ("q.popleft()", {"pass", "q.pop()"}),
        ("f(min)", {"pass", "f(max)"}),
        ("f(DONE)", {"pass", "f(8)"}),
        ("f(DONE, FAILED)", {"pass", "f(FAILED, DONE)", "f(FAILED, FAILED)", "f(DONE, 9)"}),
        ("x += y", {"pass", "x -= y"}),
        ("a.x = y", {"pass"}),
        ("del a.x", {"pass"}),
        ("if a:\n    f()", {f"if {x}:\n    f()" for x in ("(not a)", "True", "False")} | {"if a:\n    pass"}),
        (
            "while True:\n    break",
            {f"while {x}" for x in ("False:\n    break", "True:\n    continue", "True:\n    pass")},
        ),
        ("f([a for a in b if c])", {"pass", *(f"f([a for a in b if {x}])" for x in ("(not c)", "True", "False"))}),
        ("def f(a):\n    return a", {"def f(a):\n    return None"}),
        ("def f(a):\n    return", {"def f(a):\n    pass"}),
        ("def f(a):\n    a = b", {"def f(a):\n    pass"}),  # bound twice: the parameter, and here
        ("def f(a):\n    raise E(1, a < 2)", {"def f(a):\n    pass"}),
        ("@enable_ki_protection\ndef f(): ...", {"\ndef f(): ..."}),
        (
            "try:\n    f()\nexcept Exception: ...",
            {"try:\n    pass\nexcept Exception: ...", "try:\n    f()\nexcept BaseException: ..."},
        ),
    ],
)
def test_what_becomes_of_a_piece_of_code(source: str, expected: set[str]) -> None:
    assert set(mutated(source)) == expected


@pytest.mark.parametrize(
    "source",
    [
        '"""A sign."""',
        "x: Final[dict[str, Literal[1]]]",
        "import a",
        "assert a < 1",
        "x = f'{a < 1}'",
        "x = y",
        "if TYPE_CHECKING:\n    f(1)",
        "class A:\n    def __repr__(self):\n        return 1 + 2",
        "class A:\n    x: int = attrs.field(init=False, eq=False)",
        "@attrs.define(eq=False)\nclass A: ...",
        "def f():\n    a = b",
    ],
)
def test_texts_annotations_assertions_and_what_would_be_an_error_anyway_are_left_alone(source: str) -> None:
    assert changes(source) == []


def test_what_spans_lines_keeps_them_so_that_everything_below_stays_where_it_is() -> None:
    source = "x = (\n    a\n    and f(\n        b,  # why\n        c,\n    )\n)\n\nf(\n    é,\n)  # end\nlast(1)\n"
    for text in mutated(source):
        assert len(text.splitlines()) == len(source.splitlines())
        assert [node.lineno for node in ast.parse(text).body] == [1, 9, 12]


@pytest.mark.slow
@pytest.mark.parametrize("module", MODULES)
def test_every_mutant_is_python_other_than_the_original_and_keeps_its_lines(module: str) -> None:
    source = file_of(ROOT, module).read_bytes()
    original = ast.dump(ast.parse(source))
    assert len(THERE[module]) > 200
    for mutant in THERE[module][::7]:
        text = mutant.changed(source)
        assert text.count(b"\n") == source.count(b"\n")
        assert ast.dump(ast.parse(text)) != original, mutant
        assert mutant.line in source.decode().splitlines()[mutant.number - 1]


def test_each_has_a_name_of_its_own_that_does_not_depend_on_line_numbers() -> None:
    assert len(BY_ID) == sum(map(len, THERE.values()))

    source = "def f(a):\n    g(1)\n    g(1)\n"
    before = mutants_of("_room", source.encode())
    after = mutants_of("_room", b"# a comment\n\n" + source.encode())
    assert [mutant.id for mutant in before] == [mutant.id for mutant in after]
    assert [mutant.number + 2 for mutant in before] == [mutant.number for mutant in after]
    assert [mutant.occurrence for mutant in before] == [1, 1, 1, 2, 2, 2]


# -------------------------------------------------------------------------------------------------------------- drawing


def test_the_same_seed_draws_the_same_and_each_module_gets_its_share() -> None:
    assert drawn(THERE, 300, seed=1) == drawn(THERE, 300, seed=1)
    assert drawn(THERE, 300, seed=1) != drawn(THERE, 300, seed=2)
    total = sum(map(len, THERE.values()))
    found = drawn(THERE, 300, seed=1)
    assert len(set(found)) == 300
    for module, mutants in THERE.items():
        share = sum(mutant.module == module for mutant in found)
        assert abs(share - 300 * len(mutants) / total) <= 1


def test_whoever_wants_more_than_there_are_gets_all() -> None:
    assert set(drawn(THERE, 10**6, seed=0)) == set(BY_ID.values())
    assert drawn({}, 300, seed=0) == []


def test_a_new_line_redraws_none_of_the_others() -> None:
    source = "\n".join(f"def f{i}(a):\n    g(a, {i})" for i in range(30))
    before = drawn({"_room": mutants_of("_room", source.encode())}, 40, seed=0)
    after = drawn({"_room": mutants_of("_room", f"h(1)\n{source}".encode())}, 40, seed=0)
    assert len(set(before) - set(after)) <= 3  # as many as the new line has


# ------------------------------------------------------------------------------------------------------------ judging


@pytest.mark.slow
def test_well_known_mutants_are_noticed_and_the_copy_is_as_before(tmp_path: Path) -> None:
    court = Court(copy_of(ROOT, tmp_path / "real"), jobs=2, seed=0)
    assert court.objection(MODULES) is None
    mutants = [
        next(m for m in THERE["_kernel"] if m.function == "Kernel._release" and m.change == "d.wanted -= 1 -> pass"),
        next(m for m in THERE["_run"] if m.function == "Demand.abort" and m.change == "self.run.carry_out() -> pass"),
        next(m for m in THERE["_step"] if m.function == "attempts" and m.change == "raise -> pass"),
    ]
    results = list(court.judge_all(mutants))
    assert {result.mutant.module for result in results} == set(MODULES)
    assert [result.verdict for result in results if result.verdict not in ("killed", "timeout")] == []
    for project in (court.projects.get(), court.projects.get()):
        assert all(file_of(project, module).read_bytes() == court.sources[module] for module in MODULES)


@pytest.mark.slow
def test_what_is_no_python_any_more_or_never_ends_is_noticed(tmp_path: Path) -> None:
    project = copy_of(ROOT, tmp_path / "real")
    file = file_of(project, "_kernel")
    source = file.read_text()
    file.write_text(f"{source}\n1 / 0\n")
    finding = examine([fast_judge("_kernel", 0, "-B")], project)
    assert finding is not None
    assert (finding.where, finding.what) == ("import", "ZeroDivisionError: division by zero")

    old = "                self._event += 1\n                return\n"
    assert old in source
    file.write_text(source.replace(old, "                pass\n"))
    shorter = "import tests.mutants as m; m.COMPUTING = 1; m.judge('_kernel', 0)"
    finding = examine([attrs.evolve(fast_judge("_kernel", 0), command=[sys.executable, "-B", "-c", shorter])], project)
    assert finding is not None
    assert finding.where == "every order, "
    assert finding.what == "hangs: not done after 1 s of computing"
    assert Result(THERE["_kernel"][0], finding, None).verdict == "timeout"


@pytest.mark.slow
def test_a_judge_that_finds_something_where_nothing_is_wrong_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def strict(module: str, seed: int, *options: str) -> Judge:
        return Judge("strict", [sys.executable, "-c", "exit(1)"], lambda said: ("everywhere", "all of it"))

    monkeypatch.setattr("tests.mutants.fast_judge", strict)
    assert main(["--mutant", THERE["_step"][0].id, "--jobs", "1"]) == 2
    assert "_step: everywhere: all of it" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize(("reason", "status"), [(None, 1), ("nobody can tell", 0)])
def test_who_lives_on_needs_a_reason(
    reason: str | None,
    status: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def blind(module: str, seed: int, *options: str) -> Judge:
        return Judge("blind", [sys.executable, "-c", ""], lambda said: ("", ""))

    mutant = THERE["_step"][0]
    known = [] if reason is None else [{"id": mutant.id, "reason": reason}]
    monkeypatch.setattr("tests.mutants.fast_judge", blind)
    monkeypatch.setattr("tests.mutants.reasons", lambda: known)
    file = tmp_path / "results.json"

    assert main(["--mutant", mutant.id, "--jobs", "1", "--json", str(file)]) == status

    said = capsys.readouterr().out
    assert mutant.diff(file_of(ROOT, "_step").read_bytes()) in said
    assert f"SURVIVES {mutant} | {reason or 'for no known reason'}" in said
    assert (entry(mutant) in said) is (reason is None)
    (result,) = json.loads(file.read_text())
    assert (result["id"], result["verdict"], result["reason"]) == (mutant.id, "known" if reason else "NEW", reason)


def test_the_table_counts_each_module_and_all() -> None:
    found = Finding("fast", "here", "it")
    hangs = Finding("fast", "here", "hangs: nothing for 5 s")
    a, b, c = (THERE[module][0] for module in MODULES)
    rows = table([Result(a, found, None), Result(a, hangs, None), Result(b, None, "so"), Result(c, None, None)])
    counts = {row.split()[0]: [int(n) for n in row.split("|")[1:]] for row in rows.splitlines()[1:]}
    assert counts == {
        "_kernel": [2, 1, 1, 0, 0],
        "_run": [1, 0, 0, 1, 0],
        "_step": [1, 0, 0, 0, 1],
        "all": [4, 1, 1, 1, 1],
    }


def test_an_unknown_mutant_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--mutant", "nobody"])
    assert "no such mutant: nobody" in capsys.readouterr().err


def test_all_can_be_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--list", "--only", "_step"]) == 0
    assert capsys.readouterr().out.splitlines() == [str(mutant) for mutant in THERE["_step"]]


# ------------------------------------------------------------------------------------------------------------- reasons


@pytest.mark.parametrize("known", reasons(), ids=lambda known: known["id"])
def test_every_reason_has_its_mutant(known: dict[str, str]) -> None:
    """If this fails, the code has been changed: look at the mutant again, then give the reason its new name or drop it."""
    mutant: Mutant | None = BY_ID.get(known["id"])
    assert mutant is not None, f"no mutant {known['id']} any more: {known['where']}: {known['change']}"
    head = {
        "id": mutant.id,
        "where": f"{mutant.module} {mutant.function}",
        "line": mutant.line,
        "change": mutant.change,
    }
    assert {key: known[key] for key in head} == head
    assert known["kind"] in KINDS
    assert len(known["reason"]) > 20
    if known["kind"] == "elsewhere":
        file, _, test = known["test"].partition("::")
        assert f"def {test.partition('[')[0]}(" in (ROOT / "tests" / file).read_text()


def test_no_reason_is_given_twice() -> None:
    ids = [known["id"] for known in reasons()]
    assert len(ids) == len(set(ids))
    assert REASONS.exists()
