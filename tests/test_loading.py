"""`FILE[:NAME]` gives a workflow, or a message that says what to do about it."""

from __future__ import annotations

import pickle
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio

from trioflow import run_workflow, workers
from trioflow._loading import LoadError, load_workflow, newer_python, shown

CLASS = "from trioflow import WorkflowEntrypoint\nclass {}(WorkflowEntrypoint):\n    def run(self, event, step): ...\n"
FUNCTION = "async def {}(event, step):\n    return __name__\n"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty current directory, and no modules left over from it."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    before = set(sys.modules)
    yield tmp_path / "here"
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", None)).startswith(str(tmp_path)):
            del sys.modules[name]


def write(path: str, text: str | bytes) -> str:
    Path(path).parent.mkdir(exist_ok=True, parents=True)
    Path(path).write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def problem(target: str) -> str:
    with pytest.raises(LoadError) as caught, load_workflow(target):
        pytest.fail("it was loaded")
    return str(caught.value)


def result(target: str) -> object:
    with load_workflow(target) as workflow:
        return trio.run(run_workflow, workflow)


# ---------------------------------------------------------------------------------------------------- which workflow


def test_the_only_class_is_taken_before_any_function() -> None:
    target = write("a.py", CLASS.format("Report") + FUNCTION.format("helper"))
    with load_workflow(target) as workflow:
        assert workflow.__name__ == "Report"


def test_classes_that_are_imported_or_have_no_run_do_not_count() -> None:
    write("base.py", CLASS.format("Imported"))
    text = "from base import Imported\nfrom trioflow import WorkflowEntrypoint as W\nclass Base(W):\n    retries = 3\n"
    target = write("a.py", text + "class Mine(Base):\n    def run(self, event, step): ...\nAlias = Mine\n")
    with load_workflow(target) as workflow:
        assert workflow.__name__ == "Mine"


def test_the_only_function_of_event_and_step_is_taken_where_there_is_no_class() -> None:
    target = write("a.py", "def other(a, b): ...\ndef step(event): ...\nclass C: ...\n" + FUNCTION.format("go"))
    assert result(target) == "a"


@pytest.mark.parametrize("form", [CLASS, FUNCTION])
def test_of_several_one_must_be_named(form: str) -> None:
    target = write("a.py", form.format("One") + form.format("Two"))
    assert problem(target) == "a.py has 2 workflows, say which:\n  a.py:One\n  a.py:Two"
    with load_workflow("a.py:Two") as workflow:
        assert workflow.__name__ == "Two"


def test_a_name_may_also_be_of_something_imported() -> None:
    write("base.py", CLASS.format("Imported"))
    write("a.py", "from base import Imported\nx = 3\nclass C: ...\n")
    with load_workflow("a.py:Imported") as workflow:
        assert workflow.__name__ == "Imported"


def test_a_file_without_a_workflow_is_told_what_one_is() -> None:
    assert problem(write("a.py", "x = 1\n")).startswith("a.py has no workflow: define a class that derives from")


def test_a_name_that_is_no_workflow_is_refused() -> None:
    write("a.py", "x = 3\nclass C: ...\n" + FUNCTION.format("go"))
    assert problem("a.py:x") == "a.py:x is no workflow: it is int, not a class or a function"
    assert problem("a.py:C") == "a.py:C is a class that doesn't derive from WorkflowEntrypoint"
    assert problem("a.py:gone") == "a.py has no 'gone'; it has:\n  a.py:go"
    assert problem("a.py:") == "'' can't be a name in a.py: write FILE or FILE:NAME"
    assert problem("a.py:1x").startswith("'1x' can't be a name")
    write("b.py", "x = 3\n")
    assert problem("b.py:gone") == "b.py has no 'gone', nor any other workflow"


WORKER = """
from workers import WorkerEntrypoint, WorkflowEntrypoint
class Default(WorkerEntrypoint):
    async def fetch(self, request): await self.env.FLOW.create()
def on_fetch(request, env): ...
def helper(): ...
"""


def test_of_a_file_without_a_workflow_its_handlers_are_named() -> None:
    with workers.install():
        said = problem(write("a.py", WORKER))
        assert (
            "; all it has is handlers (Default, on_fetch), which only a server calls, and trioflow has none yet" in said
        )
        assert problem("a.py:Default").startswith("a.py:Default is a handler, which only a server calls")
        assert problem("a.py:on_fetch").startswith("a.py:on_fetch is a handler, which only a server calls")
        target = write("b.py", WORKER + "class Flow(WorkflowEntrypoint):\n    def run(self, event, step): return 1\n")
        assert result(target) == 1


# ---------------------------------------------------------------------------------------------------------- the file


def test_a_missing_file_is_named_with_one_that_looks_like_it() -> None:
    write("diamond.py", "")
    assert problem("dimond.py") == "there is no file 'dimond.py': did you mean diamond.py?"
    assert problem("diamond:Flow") == "there is no file 'diamond': did you mean diamond.py?"
    assert problem("x/y.py") == "there is no file 'x/y.py'"


def test_a_directory_is_refused() -> None:
    Path("flows").mkdir()
    assert problem("flows") == "flows is a directory: name a file in it"
    assert problem("flows:Main") == "flows is a directory: name a file in it"


def test_a_colon_may_belong_to_the_name_of_the_file() -> None:
    target = write("a:b.py", FUNCTION.format("go"))
    assert result(target) == "a:b"
    assert result("a:b.py:go") == "a:b"


@pytest.mark.skipif(sys.platform != "linux", reason="needs a file that nobody, not even root, can read from its start")
def test_a_file_that_cannot_be_read_says_why() -> None:
    Path("a.py").symlink_to("/proc/self/mem")
    assert problem("a.py") == "a.py can't be read: Input/output error"


def test_a_file_is_shown_as_a_person_here_would_write_it(here: Path) -> None:
    assert shown(here / "x" / "a.py") == "x/a.py"
    assert shown("x/a.py") == "x/a.py"
    assert shown(f"{here}-not/a.py") == f"{here}-not/a.py"
    assert shown("/usr/a.py") == "/usr/a.py"


# -------------------------------------------------------------------------------------------------- as `python FILE`


def test_siblings_are_found_from_anywhere_and_everything_is_put_back() -> None:
    before = sys.path.copy()
    write("flows/near_by.py", "VALUE = 5\n")
    target = write(
        "flows/a.py", "import near_by\nasync def go(event, step):\n    import a\n    return a.near_by.VALUE\n"
    )
    with load_workflow(target) as workflow:
        assert sys.path[0] == str(Path("flows").resolve())
        assert "a" in sys.modules
        assert trio.run(run_workflow, workflow) == 5
    assert sys.path == before
    assert "a" not in sys.modules


def test_the_current_directory_is_searched_too_as_with_python_m() -> None:
    write("package_here/models.py", "VALUE = 6\n")
    target = write(
        "package_here/entry.py", "from package_here.models import VALUE\ndef go(event, step): return VALUE\n"
    )
    assert result(target) == 6


@pytest.fixture
def forgotten() -> Iterator[None]:
    """What a test's project imports is not there for the next one."""
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        del sys.modules[name]


PROJECT = {
    "project/src/models.py": "class User: ...\n",
    "project/src/utils.py": "from src.models import User\nimport src.entry\ndef limit(): return src.entry.LIMIT\n",
    "project/src/filter.py": "import entry\ndef keep(): return entry.LIMIT\n",
    "project/lib/app.py": "NAME = 'app'\n",
}


@pytest.mark.usefixtures("forgotten")
@pytest.mark.parametrize("elsewhere", [False, True])
@pytest.mark.parametrize("start", ["import filter, models\n", "import filter\nfrom . import models\n"])
def test_a_file_in_src_is_one_module_by_whatever_name_it_is_imported(
    start: str, elsewhere: bool, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for path, text in PROJECT.items():
        write(str(here / path), text)
    flow = "async def go(event, step):\n    import entry, src.entry as second\n    return entry is second, seen\n"
    write(
        "project/src/entry.py",
        f"{start}from src.utils import limit\nLIMIT = 5\nseen = []\nseen.append(limit())\n{flow}",
    )
    if not elsewhere:
        monkeypatch.chdir("project")
    before, finders = sys.path.copy(), sys.meta_path.copy()
    assert result(str(here / "project/src/entry.py")) == (True, [5])
    assert (sys.path, sys.meta_path) == (before, finders)
    assert "entry" not in sys.modules
    assert "src.entry" not in sys.modules


@pytest.mark.usefixtures("forgotten")
def test_the_modules_own_spec_stays() -> None:
    target = write(
        "one.py",
        "import sys\n"
        "def go(event, step):\n    sys.modules.pop('one')\n    import one\n    return one.__spec__.loader, one.go is go\n",
    )
    loader, same = result(target)  # type: ignore[misc]
    assert type(loader).__name__ == "SourceFileLoader"
    assert same is True


@pytest.mark.usefixtures("forgotten")
def test_a_module_of_the_same_name_that_is_another_file_is_another_module() -> None:
    write("one/deep/entry.py", "VALUE = 1\n")
    target = write(
        "one/entry.py", "VALUE = 2\ndef go(event, step):\n    from deep import entry\n    return entry.VALUE\n"
    )
    assert result(target) == 1
    target = write("entry.py", "def go(event, step):\n    import nothing.entry\n")
    with pytest.raises(ModuleNotFoundError):
        result(target)
    Path("space/entry").mkdir(parents=True)  # a package without a file
    target = write("entry.py", "def go(event, step):\n    from space import entry\n    return entry.__file__\n")
    assert result(target) is None


@pytest.mark.usefixtures("forgotten")
@pytest.mark.parametrize("has_init", [False, True])
def test_a_file_that_imports_relatively_is_a_module_of_its_directory(has_init: bool) -> None:
    write("project/settings.py", "LIMIT = 3\n")
    write("project/flows/models.py", "from . import shared\nfrom ..settings import LIMIT\n")
    write("project/flows/shared.py", "VALUE = 4\n")
    if has_init:
        write("project/flows/__init__.py", "")
        write("project/__init__.py", "")
    text = "from .models import LIMIT\nfrom ..settings import LIMIT as SAME\nfrom . import shared\n"
    target = write("project/flows/entry.py", text + "def go(event, step): return __name__, LIMIT, SAME, shared.VALUE\n")
    assert result(target) == ("project.flows.entry", 3, 3, 4)


@pytest.mark.usefixtures("forgotten")
def test_classes_of_such_a_module_can_be_pickled() -> None:
    write("flows/base.py", "BASE = 1\n")
    text = "from .base import BASE\nimport dataclasses\n@dataclasses.dataclass\nclass Point:\n    x: 'int'\n"
    with load_workflow(write("flows/points.py", text + "def go(event, step): return Point(BASE)\n")) as workflow:
        point = trio.run(run_workflow, workflow)
        assert pickle.loads(pickle.dumps(point)) == point


def test_what_python_warns_of_in_the_file_is_said_once() -> None:
    target = write("a.py", "from . import b\nTEXT = 'a\\d'\ndef go(event, step): return TEXT\n")
    write("b.py", "")
    with pytest.warns(Warning, match="invalid escape sequence") as warned:
        assert result(target) == "a\\d"
    assert len(warned) == 1


def test_a_relative_import_that_leads_nowhere_is_told() -> None:
    assert "No module named 'here.gone'" in problem(write("a.py", "from .gone import x\n"))


def test_a_package_that_is_another_one_here_is_not_mixed_up_with_it() -> None:
    assert problem(write("email/a.py", "from .b import x\n")).startswith(
        "email/a.py imports relatively, so it is in a package 'email'; but that is another one here, /"
    )
    assert "is another one here, a directory elsewhere: give" in problem(write("sys/a.py", "from .b import x\n"))


@pytest.mark.usefixtures("forgotten")
def test_nothing_that_is_installed_is_hidden_by_the_directory_above(monkeypatch: pytest.MonkeyPatch) -> None:
    write("project/this.py", "d = 1\n")
    write("project/flows/a.py", "import this\ndef go(event, step): return this.__file__\n")
    monkeypatch.delitem(sys.modules, "this", raising=False)
    monkeypatch.chdir("project/flows")
    assert str(result("a.py")).startswith(sys.base_prefix)


def test_sys_path_is_put_back_also_after_an_error() -> None:
    before = sys.path.copy()
    problem(write("a.py", "import sys\nsys.path.append('elsewhere')\nraise ValueError"))
    assert sys.path == before
    assert "a" not in sys.modules


def test_the_module_is_found_by_pickle_and_by_dataclasses() -> None:
    text = (
        "import dataclasses\n@dataclasses.dataclass\nclass Point:\n    x: 'int'\ndef go(event, step): return Point(3)\n"
    )
    with load_workflow(write("points.py", text)) as workflow:
        point = trio.run(run_workflow, workflow)
        assert pickle.loads(pickle.dumps(point)) == point


def test_a_file_named_like_a_module_that_is_loaded_does_not_take_its_place() -> None:
    import email

    with load_workflow(write("email.py", FUNCTION.format("go"))) as workflow:
        assert sys.modules["email"] is email
        assert trio.run(run_workflow, workflow) == "email_"
    assert sys.modules["email"] is email
    assert result(write("my.own-flow.py", FUNCTION.format("go"))) == "my_own-flow"


def test_what_stands_under_if_main_does_not_run() -> None:
    assert result(write("a.py", FUNCTION.format("go") + "if __name__ == '__main__':\n    raise SystemExit\n")) == "a"


def test_an_edit_is_never_overlooked_and_no_cache_is_left_behind(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    for value in "123":  # same size, same second: what a cached module wouldn't notice
        assert result(write("a.py", f"def go(event, step): return {value}\n")) == int(value)
    assert [*here.iterdir()] == [here / "a.py"]


def test_an_error_of_the_block_is_nobody_elses() -> None:
    with pytest.raises(ZeroDivisionError), load_workflow(write("a.py", FUNCTION.format("go"))):
        1 / 0  # noqa: B018


# ------------------------------------------------------------------------------------------------- what goes wrong


def test_an_error_in_the_file_is_the_cause_with_its_traceback() -> None:
    target = write("a.py", "x = 1\nraise KeyError('here')\n")
    with pytest.raises(LoadError, match=r"^a\.py can't be loaded: KeyError: 'here'$") as caught, load_workflow(target):
        pass
    assert type(caught.value.__cause__) is KeyError
    assert caught.value.__cause__.__traceback__ is not None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("import not_to_be_found", "ModuleNotFoundError: No module named 'not_to_be_found'"),
        ("raise SystemExit('enough')", "SystemExit: enough"),
        ("x = '\0'", "null bytes"),
        ("from trioflow import Diamond", "cannot import name 'Diamond'"),
    ],
)
def test_whatever_the_file_raises_is_told(text: str, words: str) -> None:
    assert words in problem(write("a.py", text))


def test_what_does_not_parse_is_shown_with_its_place() -> None:
    assert problem(write("a.py", "x = 1\n\n    y = (2 +\n")).startswith("a.py:3:")
    assert problem(write("a.py", "def f():\n    return ]\n")) == (
        "a.py:2:12: SyntaxError: unmatched ']'\n  return ]\n         ^"
    )
    assert problem(write("a.py", b"\xff = 1\n")).startswith("a.py:1:1: SyntaxError:")


def test_an_error_of_syntax_in_a_sibling_names_the_sibling() -> None:
    write("sibling.py", "def f(:\n")
    assert problem(write("a.py", "import sibling")).startswith("sibling.py:1:7: SyntaxError: invalid syntax\n  def f(:")


def test_a_syntax_error_that_somebody_made_by_hand_is_told_as_well() -> None:
    assert problem(write("a.py", "raise SyntaxError")) == "a.py:1:1: SyntaxError: invalid syntax"
    assert problem(write("a.py", "raise SyntaxError('no good')")) == "a.py:1:1: SyntaxError: no good"


NEWER = [
    ('f"{x["a"]}"', (3, 12)),
    ("print(rf'{', '.join(names)}')", (3, 12)),
    ("type Pair[T] = tuple[T, T]", (3, 12)),
    ("def first[T](items: list[T]) -> T: ...", (3, 12)),
    ("async def first[T](items: list[T]) -> T: ...", (3, 12)),
    ("class Box[T]: ...", (3, 12)),
    ("except ValueError, KeyError:", (3, 14)),
    ("    except* ValueError, errors.KeyError:", (3, 14)),
    ('x = t"hello {name}"', (3, 14)),
]


@pytest.mark.parametrize(("line", "version"), NEWER)
def test_what_only_a_newer_python_parses_names_that_python(line: str, version: tuple[int, int]) -> None:
    error = SyntaxError("invalid syntax", ("a.py", 1, 1, line))
    (hint,) = newer_python(error, (3, 11))
    assert hint.endswith(f"needs Python {version[0]}.{version[1]} or later; this is 3.11")
    assert newer_python(error, version) == []


@pytest.mark.parametrize(("line", "version"), NEWER)
def test_this_python_agrees_about_the_newer_grammar(line: str, version: tuple[int, int]) -> None:
    if line.lstrip().startswith("except"):
        line = f"try: pass\n{line.strip()} pass"
    if sys.version_info >= version:
        compile(line, "a.py", "exec")
    else:
        with pytest.raises(SyntaxError) as caught:
            compile(line, "a.py", "exec")
        assert newer_python(caught.value, sys.version_info[:2])


@pytest.mark.parametrize("message", ["f-string: unmatched '['", "f-string expression part cannot include a backslash"])
def test_a_complaint_about_an_f_string_names_the_python_that_would_not_complain(message: str) -> None:
    assert "needs Python 3.12" in newer_python(SyntaxError(message, ("a.py", 1, 1, "(x")), (3, 11))[0]
    assert newer_python(SyntaxError(message, ("a.py", 1, 1, "(x")), (3, 12)) == []


@pytest.mark.parametrize(
    "line", ["def f(:", "type = 3 +", "class C(: ...", "except (A, B) x:", "set'x'", 'f"{a b}"', ""]
)
def test_ordinary_mistakes_are_not_blamed_on_the_python(line: str) -> None:
    assert newer_python(SyntaxError("invalid syntax", ("a.py", 1, 1, line)), (3, 11)) == []


def test_the_hint_is_part_of_the_message() -> None:
    if sys.version_info < (3, 12):
        assert problem(write("a.py", "type X = int\n")).endswith(
            "\n  a `type` statement needs Python 3.12 or later; this is 3.11"
        )
