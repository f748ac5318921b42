"""Mutants of kernel, `_run` and `_step`: small wrong changes made by a machine, to see what the tests don't notice.

    python -m tests.mutants                       300 of them, drawn; exit status 1 if one lives on without a reason
    python -m tests.mutants --seed 7 --count 100 --only _step --jobs 1
    python -m tests.mutants --list                all there are, and judge none
    python -m tests.mutants --mutant 1f3c9a02     show its change, and judge it
    python -m tests.mutants --mutant 1f3c9a02 --thorough    and if it lives, by all tests of promises: that takes minutes

`tests.planted` plants what a maintainer could have got wrong. A machine has no idea what is likely, and so it tries what
nobody has thought of. A mutant is one site and one change: another comparison, a condition that is never true, a statement
left out. Only the text of the changed node is replaced, by its position, so that every line keeps its number. Left alone are
texts and the errors that consist of them, annotations, assertions and `__repr__`.

One process judges a mutant, the sharpest judge first: every order of events in small graphs, if it is in the kernel; 300
random workflows in chosen schedules; the quick tests of promises that random workflows can't see. Where nothing is wrong
all that takes less than ten seconds. What takes far longer, or is silent for as long, hangs, and that is noticed, too.

Who lives on has a reason in `mutants_survivors.toml`, or a test is missing. A mutant is known by its module, function, source
line and change, and not by the line's number: reasons, and who is drawn, outlive changes elsewhere.
"""

from __future__ import annotations

import argparse
import ast
import difflib
import hashlib
import json
import os
import queue
import resource
import shutil
import signal
import sys
import tempfile
import time
import tomllib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from types import FrameType
from typing import Any, Final

import attrs

from tests import every_order
from tests.planted import ROOT, Finding, Judge, copy_of, dags, examine, judge_dags, orders, promises, test_files
from trioflow._kernel import STATES

MODULES: Final = ("_kernel", "_run", "_step")
REASONS: Final = Path(__file__).with_name("mutants_survivors.toml")
#: What a reason can be: nobody can tell the difference; only time or memory; a test that the fast judge hasn't the time for.
KINDS: Final = ("equivalent", "cost", "elsewhere")

#: Random workflows for each mutant.
EXAMPLES: Final = 300
#: Every order of events on graphs of so many steps, with so many parties who ask so often: a second or two in all.
ORDERS: Final = ((1, 2, 2), (2, 2, 2), (3, 2, 1))
#: Those of the tests of promises that show most in a few seconds, their slow ones left out; all in virtual time, as what
#: depends on how busy the machine is would object to anybody.
QUICK: Final = (
    "agreement/test_failure_and_cancellation", "agreement/test_found_missing", "agreement/test_survivors", "test_step",
    "test_lanes", "test_kernel", "test_watchers", "test_workflow", "test_declare",
)  # fmt: skip
#: Seconds of silence after which a judge hangs, and seconds of computing, of which it needs a third at most.
SILENCE: Final = 15.0
COMPUTING: Final = 30
#: Bytes of memory: a mutant can make a list grow without end.
MEMORY: Final = 2 << 30


# -------------------------------------------------------------------------------------------------------------- mutants


@attrs.frozen
class Mutant:
    """One change at one site: `text` in the place of what stands between two positions of the module's source."""

    module: str
    function: str
    #: The source line where the change begins, without its indentation.
    line: str
    change: str
    #: Of several that are alike in all the above, which one.
    occurrence: int
    number: int = attrs.field(eq=False)
    start: int = attrs.field(eq=False)
    end: int = attrs.field(eq=False)
    text: bytes = attrs.field(eq=False)

    @property
    def id(self) -> str:
        """The same as long as function, line and change are."""
        words = (self.module, self.function, self.line, self.change, str(self.occurrence))
        return hashlib.sha256("\0".join(words).encode()).hexdigest()[:8]

    def changed(self, source: bytes) -> bytes:
        return source[: self.start] + self.text + source[self.end :]

    def diff(self, source: bytes) -> str:
        old, new = (text.decode().splitlines() for text in (source, self.changed(source)))
        lines = list(difflib.unified_diff(old, new, f"trioflow/{self.module}.py", "mutant", n=2, lineterm=""))
        return "\n".join(lines)

    def __str__(self) -> str:
        return f"{self.id} {self.module}:{self.number} {self.function}: {self.change}"


def mutants_of(module: str, source: bytes) -> list[Mutant]:
    """All there are, in the order of the source."""
    sites = Sites(module, source)
    sites.visit(ast.parse(source))
    return sorted(sites.found, key=lambda mutant: (mutant.start, mutant.end))


COMPARISONS: Final[dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]]] = {
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}
ARITHMETIC: Final[dict[type[ast.operator], type[ast.operator]]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Add,
    ast.BitOr: ast.BitAnd,
    ast.BitAnd: ast.BitOr,
}
NAMESAKES: Final = {"min": "max", "max": "min", "any": "all", "all": "any", "popleft": "pop", "pop": "popleft"}
PROTECTION: Final = ("enable_ki_protection", "disable_ki_protection")
#: Arguments of `attrs.field` that say how a class is made, and not what its instances begin with.
MADE: Final = ("init", "kw_only", "repr", "eq", "factory")


class Sites(ast.NodeVisitor):
    """Walks through a module and finds what can be changed in it."""

    def __init__(self, module: str, source: bytes) -> None:
        self.module, self.source = module, source
        self.lines = source.decode().splitlines()
        self.starts = [0]
        for line in source.splitlines(keepends=True):
            self.starts.append(self.starts[-1] + len(line))
        self.names = {node.id for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Name)}
        self.inside: list[str] = []
        #: In the function that we are in: how often each name is bound.
        self.bound: Counter[str] = Counter()
        self.found: list[Mutant] = []
        self.seen: set[tuple[int, int, bytes]] = set()
        self.alike: Counter[tuple[str, ...]] = Counter()

    # ------------------------------------------------------------------------------------------- one change

    def replace(self, node: ast.expr | ast.stmt | ast.ExceptHandler, new: ast.AST | str) -> None:
        """A mutant that has `new` in the place of `node`. It has as many lines: what comes below stays where it is."""
        old = ast.unparse(node)
        text = new if isinstance(new, str) else ast.unparse(new)
        if text == old:  # two arguments that are the same, swapped
            return
        start, end = self.position(node)
        more = self.source[start:end].count(b"\n") * "\n"
        if not isinstance(node, ast.expr):
            code = text + more
        else:
            code = f"({text}{more})" if more or isinstance(new, (ast.BoolOp, ast.UnaryOp, ast.Compare)) else text
        self.keep(node.lineno, start, end, code.encode(), f"{_brief(old)} -> {_brief(text)}")

    def keep(self, number: int, start: int, end: int, text: bytes, change: str) -> None:
        if (start, end, text) in self.seen:
            return
        self.seen.add((start, end, text))
        place = (self.module, ".".join(self.inside) or "<module>", self.lines[number - 1].strip(), change)
        self.alike[place] += 1
        self.found.append(Mutant(*place, self.alike[place], number, start, end, text))

    def position(self, node: ast.expr | ast.stmt | ast.ExceptHandler) -> tuple[int, int]:
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        return (
            self.starts[node.lineno - 1] + node.col_offset,
            self.starts[node.end_lineno - 1] + node.end_col_offset,
        )

    # ------------------------------------------------------------------------------------------ what is skipped

    def visit_Assert(self, node: ast.Assert) -> None: ...

    def visit_JoinedStr(self, node: ast.JoinedStr) -> None: ...

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        if not isinstance(node.target, ast.Name):
            self.replace(node, "pass")
        if node.value is not None:
            self.visit(node.value)

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        self.inside.append(node.name)
        for statement in node.body:
            self.visit(statement)
        self.inside.pop()

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        if node.name == "__repr__":
            return
        self.inside.append(node.name)
        outer, self.bound = self.bound, Counter(_bound_in(node))
        for decorator in node.decorator_list:
            if isinstance(decorator, ast.Name) and decorator.id in PROTECTION:
                start, end = self.position(decorator)
                self.keep(decorator.lineno, start - 1, end, b"", f"without @{decorator.id}")
        for statement in node.body:
            self.visit(statement)
        self.inside.pop()
        self.bound = outer

    visit_AsyncFunctionDef = visit_FunctionDef

    # ------------------------------------------------------------------------------------------------ statements

    def visit_Expr(self, node: ast.Expr) -> None:
        if not isinstance(node.value, ast.Constant):  # a docstring, or `...`
            self.replace(node, "pass")
            self.visit(node.value)

    def visit_Assign(self, node: ast.Assign) -> None:
        names = [target.id for target in node.targets if isinstance(target, ast.Name)]
        if all(self.bound[name] > 1 for name in names):  # without its only one a name would be an error
            self.replace(node, "pass")
        self.visit(node.value)

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        self.replace(node, "pass")
        if type(node.op) in ARITHMETIC:
            self.replace(node, attrs_of(node, op=ARITHMETIC[type(node.op)]()))
        self.visit(node.value)

    def visit_Delete(self, node: ast.Delete) -> None:
        self.replace(node, "pass")

    def visit_Raise(self, node: ast.Raise) -> None:
        self.replace(node, "pass")

    def visit_Continue(self, node: ast.Continue) -> None:
        self.replace(node, "break")
        self.replace(node, "pass")

    def visit_Break(self, node: ast.Break) -> None:
        self.replace(node, "continue")
        self.replace(node, "pass")

    def visit_Return(self, node: ast.Return) -> None:
        if node.value is None:
            self.replace(node, "pass")
        elif not (isinstance(node.value, ast.Constant) and node.value.value is None):
            self.replace(node, "return None")
            self.visit(node.value)

    def visit_ExceptHandler(self, node: ast.ExceptHandler) -> None:
        if isinstance(node.type, ast.Name) and node.type.id == "Exception":
            self.replace(node.type, "BaseException")
        for statement in node.body:
            self.visit(statement)

    # ------------------------------------------------------------------------------------------------ conditions

    def visit_If(self, node: ast.If) -> None:
        if not (isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"):
            self.condition(node.test)
            self.generic_visit(node)

    def visit_While(self, node: ast.While) -> None:
        self.condition(node.test)
        self.generic_visit(node)

    def visit_IfExp(self, node: ast.IfExp) -> None:
        self.condition(node.test)
        self.generic_visit(node)

    def visit_comprehension(self, node: ast.comprehension) -> None:
        for test in node.ifs:
            self.condition(test)
        self.generic_visit(node)

    def condition(self, test: ast.expr) -> None:
        if isinstance(test, ast.Constant):
            return
        if not isinstance(test, (ast.Compare, ast.UnaryOp)):  # of those the opposite comes by itself
            self.replace(test, ast.UnaryOp(ast.Not(), test))
        if not any(isinstance(part, ast.NamedExpr) for part in ast.walk(test)):
            self.replace(test, "True")
            self.replace(test, "False")

    # ----------------------------------------------------------------------------------------------- expressions

    def visit_Compare(self, node: ast.Compare) -> None:
        for i, op in enumerate(node.ops):
            for other in COMPARISONS[type(op)]:
                self.replace(node, attrs_of(node, ops=[*node.ops[:i], other(), *node.ops[i + 1 :]]))
        self.generic_visit(node)

    def visit_BoolOp(self, node: ast.BoolOp) -> None:
        self.replace(node, attrs_of(node, op=ast.Or() if isinstance(node.op, ast.And) else ast.And()))
        for i in range(len(node.values)):
            left = [*node.values[:i], *node.values[i + 1 :]]
            self.replace(node, attrs_of(node, values=left) if len(left) > 1 else left[0])
        self.generic_visit(node)

    def visit_UnaryOp(self, node: ast.UnaryOp) -> None:
        if isinstance(node.op, ast.Not):
            self.replace(node, node.operand)
        self.generic_visit(node)

    def visit_BinOp(self, node: ast.BinOp) -> None:
        is_text = any(isinstance(side, ast.JoinedStr) or _is_text(side) for side in ast.walk(node))
        if type(node.op) in ARITHMETIC and not is_text:
            self.replace(node, attrs_of(node, op=ARITHMETIC[type(node.op)]()))
        self.generic_visit(node)

    def visit_Constant(self, node: ast.Constant) -> None:
        if isinstance(node.value, bool):
            self.replace(node, str(not node.value))
        elif isinstance(node.value, (int, float)):
            self.replace(node, str(node.value + 1))
            self.replace(node, str(node.value - 1))

    def visit_Name(self, node: ast.Name) -> None:
        if node.id in NAMESAKES:
            self.replace(node, NAMESAKES[node.id])
        elif node.id in STATES and isinstance(node.ctx, ast.Load):
            state = (STATES.index(node.id) + 1) % len(STATES)
            self.replace(node, STATES[state] if STATES[state] in self.names else str(state))

    def visit_Call(self, node: ast.Call) -> None:
        first = node.args[:2]
        if len(first) == 2 and not any(isinstance(arg, ast.Starred) for arg in first):
            self.replace(node, attrs_of(node, args=[first[1], first[0], *node.args[2:]]))
        if isinstance(node.func, ast.Attribute) and node.func.attr in NAMESAKES:
            self.replace(node, attrs_of(node, func=attrs_of(node.func, attr=NAMESAKES[node.func.attr])))
        self.visit(node.func)
        for arg in node.args:
            self.visit(arg)
        for keyword in node.keywords:
            if keyword.arg not in MADE:
                self.visit(keyword.value)


def attrs_of(node: Any, **changes: Any) -> Any:
    """A copy of a node with some of its fields changed."""
    return type(node)(**{**dict(ast.iter_fields(node)), **changes})


def _bound_in(function: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[str]:
    for node in ast.walk(function):
        if isinstance(node, ast.arg):
            yield node.arg
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def _brief(code: str) -> str:
    code = " ".join(code.split())
    return code if len(code) <= 70 else f"{code[:67]}..."


def all_mutants(project: Path, only: Iterable[str] = MODULES) -> dict[str, list[Mutant]]:
    return {module: mutants_of(module, file_of(project, module).read_bytes()) for module in only}


def file_of(project: Path, module: str) -> Path:
    return project / "trioflow" / f"{module}.py"


def drawn(there: dict[str, list[Mutant]], count: int, seed: int) -> list[Mutant]:
    """So many of them, of each module in proportion. Each mutant has a lot of its own: a change elsewhere redraws none."""

    def lot(mutant: Mutant) -> bytes:
        return hashlib.sha256(f"{seed}/{mutant.id}".encode()).digest()

    total = sum(map(len, there.values()))
    found, given, seen = [], 0, 0
    for mutants in there.values():
        seen += len(mutants)
        share = min(count, total) * seen // max(total, 1) - given  # rounded so that all shares together are `count`
        given += share
        found += sorted(sorted(mutants, key=lot)[:share], key=lambda mutant: mutant.start)
    return found


# ---------------------------------------------------------------------------------------------------------------- judge


def judge(module: str, seed: int) -> None:
    """Look at the project that is imported here, and end this process: with status 1 if something is wrong with it."""
    begun = time.perf_counter()
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (COMPUTING, COMPUTING + 5))
    signal.signal(signal.SIGXCPU, _hangs)
    if module == "_kernel":
        print("judge: every order", flush=True)
        _every_order()
    print("judge: random DAGs", flush=True)
    judge_dags(EXAMPLES, seed)
    print("judge: promise tests", flush=True)
    status = _quick_tests(seed)
    print(f"{time.perf_counter() - begun:.1f} s", flush=True)
    os._exit(status)  # whatever a mutant has left behind is not waited for


def _every_order() -> None:
    extent = every_order.Extent()
    for steps, parties, asks in ORDERS:
        for graph in every_order.shapes(steps, twice=False):
            every_order.Explorer(graph, parties, asks, closing=True).explore(extent)
            if extent.found:
                print(extent.found[0], extent, sep="\n", flush=True)
                os._exit(1)
            print(".", flush=True)  # silence would be a finding


def _quick_tests(seed: int) -> int:
    import hypothesis  # here, as these two take longer to import than most mutants live
    import pytest

    class Hurry:
        """An example that shows the fault is enough: it needn't be the smallest."""

        def pytest_sessionstart(self) -> None:
            phases = [hypothesis.Phase.explicit, hypothesis.Phase.generate]
            hypothesis.settings.register_profile("mutants", deadline=None, phases=phases, database=None)
            hypothesis.settings.load_profile("mutants")

    options = ["-x", "-v", "--tb=short", "-p", "no:cacheprovider", "-m", "not slow", f"--hypothesis-seed={seed}"]
    options += ["-W", "ignore::pytest.PytestAssertRewriteWarning"]  # what was imported already is none of the tests
    files = [file for name in QUICK if Path(file := f"tests/{name}.py").exists()]
    return int(pytest.main([*options, *files], plugins=[Hurry()]))


def _hangs(number: int, frame: FrameType | None) -> None:
    print(f"\nHANGS: not done after {COMPUTING} s of computing", flush=True)
    os._exit(1)


READERS: Final[dict[str, Callable[[str], tuple[str, str]]]] = {
    judge.name: judge.read for judge in (orders(), dags(0, 0), promises((), 0))
}


def _read(said: str) -> tuple[str, str]:
    """Which of the judges it was, with where it was; and what it has found."""
    before, _, rest = said.rpartition("judge: ")
    name, _, rest = rest.partition("\n")
    if not before and name not in READERS:
        return "import", said.strip().rpartition("\n")[2]
    where, what = READERS[name](rest)
    if "\nHANGS: " in said:
        what = "hangs: " + said.rpartition("\nHANGS: ")[2].strip()
    return f"{name}, {where}", what


def fast_judge(module: str, seed: int, *options: str) -> Judge:
    code = f"from tests.mutants import judge; judge({module!r}, {seed})"
    return Judge("fast", [sys.executable, *options, "-c", code], _read, module, SILENCE)


@attrs.frozen
class Result:
    """What came of a mutant. Without a finding it lives."""

    mutant: Mutant
    finding: Finding | None
    reason: str | None

    @property
    def verdict(self) -> str:
        if self.finding is not None:
            return "timeout" if self.finding.what.startswith("hangs: ") else "killed"
        return "known" if self.reason is not None else "NEW"

    def __str__(self) -> str:
        if self.finding is None:
            return f"SURVIVES {self.mutant} | {self.reason or 'for no known reason'}"
        by = self.finding
        stale = ", although there is a reason why it should live" if self.reason is not None else ""
        return f"{self.verdict:8} {self.mutant} | {by.where}: {by.what} ({by.seconds:.1f} s){stale}"[:400]

    def as_json(self) -> dict[str, Any]:
        found = None if self.finding is None else attrs.asdict(self.finding)
        facts = attrs.asdict(self.mutant, filter=attrs.filters.exclude("start", "end", "text"))
        return {"id": self.mutant.id, **facts, "verdict": self.verdict, "finding": found, "reason": self.reason}


class Court:
    """Copies of a project, one for each who judges, and the reasons that are known."""

    def __init__(self, real: Path, jobs: int, seed: int, thorough: bool = False) -> None:
        self.seed, self.jobs, self.thorough = seed, jobs, thorough
        self.sources = {module: file_of(real, module).read_bytes() for module in MODULES}
        self.reasons = {entry["id"]: entry["reason"] for entry in reasons()}
        self.first = copy_of(real, real.with_name("copy-0"))
        self.projects: queue.SimpleQueue[Path] = queue.SimpleQueue()

    def objection(self, only: Iterable[str]) -> str | None:
        """What is wrong with the code as it is. Says how long that takes; afterwards there are enough compiled copies."""
        begun = time.perf_counter()
        module = min(only, key=MODULES.index)  # what is looked at for the kernel's sake is more than for the others'
        finding = examine([fast_judge(module, self.seed)], self.first)
        if finding is not None:
            return f"{module}: {finding.where}: {finding.what}"
        print(f"no mutant: nothing is found in {time.perf_counter() - begun:.1f} s", flush=True)
        for module in MODULES:  # or a mutant of the same second and size would be taken for compiled already
            for compiled in self.first.glob(f"trioflow/__pycache__/{module}.*"):
                compiled.unlink()
        self.projects.put(self.first)
        for number in range(1, self.jobs):
            self.projects.put(shutil.copytree(self.first, self.first.with_name(f"copy-{number}")))
        return None

    def judge(self, mutant: Mutant) -> Result:
        project = self.projects.get()
        file, source = file_of(project, mutant.module), self.sources[mutant.module]
        file.write_bytes(mutant.changed(source))
        try:
            judges = [fast_judge(mutant.module, self.seed, "-B")]
            if self.thorough:
                judges.append(promises(test_files(), self.seed))
            finding = examine(judges, project)
        finally:
            file.write_bytes(source)
            self.projects.put(project)
        return Result(mutant, finding, self.reasons.get(mutant.id))

    def judge_all(self, mutants: Sequence[Mutant]) -> Iterator[Result]:
        """As they come."""
        with ThreadPoolExecutor(self.jobs) as pool:
            for done in as_completed([pool.submit(self.judge, mutant) for mutant in mutants]):
                yield done.result()


def reasons() -> list[dict[str, str]]:
    """Why those survive that do."""
    entries: list[dict[str, str]] = tomllib.loads(REASONS.read_text()).get("survivor", [])
    return entries


# -------------------------------------------------------------------------------------------------------------- command


def table(results: Sequence[Result]) -> str:
    verdicts = ("killed", "timeout", "known", "NEW")
    rows = [f"{'module':8} | mutants | " + " | ".join(f"{verdict:>7}" for verdict in verdicts)]
    for module in (*MODULES, "all"):
        of_it = [result for result in results if module in (result.mutant.module, "all")]
        counts = Counter(result.verdict for result in of_it)
        rows.append(f"{module:8} | {len(of_it):7} | " + " | ".join(f"{counts[verdict]:7}" for verdict in verdicts))
    return "\n".join(rows)


def entry(mutant: Mutant) -> str:
    """What to write into the reasons' file."""
    facts = {
        "id": mutant.id,
        "where": f"{mutant.module} {mutant.function}",
        "line": mutant.line,
        "change": mutant.change,
    }
    return "\n".join(["[[survivor]]", *(f"{key} = {json.dumps(value)}" for key, value in facts.items())])


def chosen(options: argparse.Namespace, there: dict[str, list[Mutant]]) -> list[Mutant]:
    if not options.mutant:
        return drawn(there, options.count, options.seed)
    by_id = {mutant.id: mutant for mutants in there.values() for mutant in mutants}
    unknown = [name for name in options.mutant if name not in by_id]
    if unknown:
        raise LookupError(f"no such mutant: {', '.join(unknown)}; --list shows all")
    return [by_id[name] for name in options.mutant]


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--count", type=int, default=300, help="how many to draw")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", action="append", choices=MODULES, metavar="MODULE", help=", ".join(MODULES))
    parser.add_argument("--jobs", type=int, default=2, help="how many at the same time")
    parser.add_argument("--mutant", action="append", metavar="ID", help="show this one and judge it")
    parser.add_argument("--thorough", action="store_true", help="show survivors to all tests of promises: slow")
    parser.add_argument("--list", action="store_true", help="say which mutants there are, and judge none")
    parser.add_argument("--json", metavar="FILE", help="write all results there")
    options = parser.parse_args(arguments)
    there = all_mutants(ROOT, options.only or MODULES)
    if options.list:
        print(*(mutant for mutants in there.values() for mutant in mutants), sep="\n")
        return 0
    try:
        mutants = chosen(options, there)
    except LookupError as exc:
        parser.error(str(exc))
    if options.mutant:
        print(*(m.diff(file_of(ROOT, m.module).read_bytes()) for m in mutants), sep="\n\n")
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        real = copy_of(ROOT, Path(folder, "real"))
        return judged(Court(real, options.jobs, options.seed, options.thorough), mutants, options.json)


def judged(court: Court, mutants: Sequence[Mutant], file: str | None) -> int:
    """Judge them, print a line for each, and the table. The command's status."""
    begun = time.perf_counter()
    objection = court.objection({mutant.module for mutant in mutants})
    if objection is not None:
        print(f"no mutant, and yet there is something wrong with {objection}", file=sys.stderr)
        return 2
    results = []
    for result in court.judge_all(mutants):
        results.append(result)
        print(f"{len(results):4} {result}", flush=True)
    if file is not None:
        Path(file).write_text(json.dumps([result.as_json() for result in results], indent=1))
    new = [result.mutant for result in results if result.verdict == "NEW"]
    print(f"\n{table(results)}\n{time.perf_counter() - begun:.0f} s")
    if new:
        print("\nSURVIVES FOR NO KNOWN REASON: a test is missing, or a reason in mutants_survivors.toml\n")
        print(*map(entry, new), sep="\n\n")
    return 1 if new else 0


if __name__ == "__main__":
    sys.exit(main())
