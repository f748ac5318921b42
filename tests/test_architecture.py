"""The floor plan: imports go down only, rooms stay small, and what Trio keeps private is touched in one place.

`trioflow/__init__` draws the map, this is the law. A new room needs a place in `FLOORS`: choosing it is the decision.
"""

from __future__ import annotations

import ast
import re
import shutil
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
import trio

import trioflow

PACKAGE = Path(trioflow.__file__).parent

WORKSHOP = (
    *("schedules", "timekeeping", "turnstile", "gated", "comparing", "timeline", "exploring", "determinism"),
    *("spec", "prediction", "model", "strategies"),
    *("durations", "timing", "events", "policies"),
    *("selecting", "cues", "doubles", "lookout", "modifiers", "faults", "virtually", "showing"),
    *("world", "story", "invariants", "judge", "__init__"),
)

CLOUDFLARE = (
    *("env", "values", "forms", "messages", "fetching", "js", "profile", "entrypoints", "installing", "__init__"),
)

#: What the command line consists of, each with one thing in mind.
FRONT_OF_HOUSE = (
    *("_wording", "_arguments", "_frames", "_streams", "_board", "_advice", "_report"),
    *("_view", "_lines", "_feed", "_tree", "_detour", "_live", "_treeview", "_console", "_interrupt", "_files"),
)

#: Bottom first. A tuple is a floor of rooms that may import those to their left; a set is one of strangers.
#: A tuple among strangers is a suite, whose rooms may import those to their left.
FRONT_DOOR = "__init__"
FLOORS: tuple[tuple[str, ...] | frozenset[str | tuple[str, ...]], ...] = (
    ("_errors", "_foreign", "_time", "_policy", "_signature", "_graph", "_names", "_views", "_kernel", "_drawing"),
    ("abc", "_mailbox"),
    frozenset({"executors", ("_story", "_critical", "_timeline", "trace")}),
    (
        *("_trio_private", "_asyncio_driver", "_asyncio_loop", "_asyncio"),
        *("_step", "_sleep", "_waits", "_watchers", "_lanes", "_run"),
        *("_elsewhere", "_declare", "_workflow"),
    ),
    (FRONT_DOOR,),
    frozenset(
        {
            tuple(f"workers.{room}" for room in CLOUDFLARE),
            tuple(f"testing.{room}" for room in WORKSHOP),
        }
    ),
    ("_loading", "_bindings", *FRONT_OF_HOUSE, "_sketch", "cli", "__main__"),
)
GROUND = frozenset(FLOORS[0])

#: Tighter than the floor alone would say: who judges others must not use what it judges.
ONLY = {
    "testing.spec": frozenset({"_errors", "_time"}),
    "testing.prediction": frozenset({"testing.spec"}),
    "testing.model": frozenset({"testing.spec", "testing.prediction"}),
    "testing.durations": frozenset(),
    "testing.timing": frozenset({"testing.durations"}),
    "testing.events": frozenset(),
}

#: What does I/O, reads a clock, draws lots or starts something, and Trio.
NOT_ON_THE_GROUND = frozenset({
    "_thread", "aiohttp", "asyncio", "concurrent", "ctypes", "fcntl", "glob", "http", "io", "logging", "mmap",
    "multiprocessing", "os", "pathlib", "queue", "random", "secrets", "select", "selectors", "shelve", "shutil",
    "signal", "socket", "socketserver", "sqlite3", "ssl", "subprocess", "tempfile", "threading", "time", "trio",
    "urllib", "uuid", "warnings",
})  # fmt: skip
#: Calls that do so without an import that says it.
NOT_CALLED_ON_THE_GROUND = frozenset({"now", "utcnow", "today", "open", "input", "print", "sleep"})

LONGEST_FUNCTION = 60
LONGEST_ROOM = 600


def allowed(name: str) -> frozenset[str]:
    """The rooms that a room may import."""
    below: set[str] = set()
    for floor in FLOORS:
        suites = [floor] if isinstance(floor, tuple) else [x if isinstance(x, tuple) else (x,) for x in floor]
        for suite in suites:
            if name in suite:
                return frozenset(below.union(suite[: suite.index(name)])) & ONLY.get(name, frozenset(homes()))
        below.update(*suites)
    raise AssertionError(f"{name} has no floor: give it one in FLOORS")


def homes() -> list[str]:
    """All rooms of the plan, however often they are in it."""
    rooms: list[str] = []
    for floor in FLOORS:
        for entry in floor:
            rooms.extend([entry] if isinstance(entry, str) else entry)
    return rooms


def rooms_of(package: Path) -> dict[str, Path]:
    return {
        ".".join(path.relative_to(package).with_suffix("").parts): path
        for path in sorted(package.rglob("*.py"))
        if "__pycache__" not in path.parts
    }


@cache
def nodes_of(text: str) -> tuple[ast.Module, tuple[ast.AST, ...]]:
    """The tree of a module, and all of its nodes. Most texts are looked at many times."""
    tree = ast.parse(text)
    return tree, tuple(ast.walk(tree))


def nodes(path: Path) -> tuple[ast.AST, ...]:
    return nodes_of(path.read_text())[1]


def last_name(node: ast.expr) -> str:
    """`f` of `f`, `a.f` and `a().f`."""
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


# --------------------------------------------------------------------------------------------------- what is imported


def imported(path: Path, name: str) -> Iterator[tuple[int, str, str | None]]:
    """Line, absolute module and imported name, for all imports anywhere in a module, by whatever spelling."""
    package = ["trioflow", *name.split(".")[:-1]]
    for node in nodes(path):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name, None
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            for alias in node.names:
                yield node.lineno, module, alias.name
        elif isinstance(node, ast.Call) and last_name(node.func) in ("import_module", "__import__"):
            for argument in node.args[:1]:
                if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
                    dots = len(argument.value) - len(argument.value.lstrip("."))
                    base = package[: len(package) - dots + 1] if dots else []
                    yield node.lineno, ".".join([*base, argument.value.lstrip(".")]), None


def targets(rooms: dict[str, Path], name: str) -> Iterator[tuple[int, str]]:
    """Line and room, for what a module imports of ours."""
    for line, module, wanted in imported(rooms[name], name):
        top, _, inner = module.partition(".")
        if top != "trioflow":
            continue
        room = f"{inner}.{wanted}" if inner and wanted else inner or wanted or FRONT_DOOR
        if not {room, f"{room}.__init__"} & rooms.keys() and wanted:  # not a module, so something out of one
            room = inner or FRONT_DOOR
        if f"{room}.__init__" in rooms:
            room = f"{room}.__init__"
        yield line, room


def wrong_imports(package: Path) -> list[str]:
    rooms = rooms_of(package)
    wrong = []
    for name, path in rooms.items():
        may = allowed(name)
        wrong += [
            f"{path.name}:{line} {name} imports {target}" for line, target in targets(rooms, name) if target not in may
        ]
    return wrong


def worldly(package: Path) -> list[str]:
    """What the ground floor has to do with Trio, the machine or its clock."""
    wrong = []
    for name, path in rooms_of(package).items():
        if name not in GROUND:
            continue
        for line, module, _ in imported(path, name):
            if module.partition(".")[0] in NOT_ON_THE_GROUND:
                wrong.append(f"{path.name}:{line} {name} imports {module}")
        for node in nodes(path):
            if isinstance(node, ast.Call):
                called = last_name(node.func)
                if called in NOT_CALLED_ON_THE_GROUND:
                    wrong.append(f"{path.name}:{node.lineno} {name} calls {called}")
            elif isinstance(node, ast.AsyncFunctionDef | ast.Await):
                wrong.append(f"{path.name}:{node.lineno} {name} is asynchronous")
    return wrong


# ------------------------------------------------------------------------------------------------- size, signs, Trio


def without_a_sign(package: Path) -> list[str]:
    """Modules whose docstring is not the first thing in them, so that nobody sees it."""
    return [name for name, path in rooms_of(package).items() if not ast.get_docstring(nodes_of(path.read_text())[0])]


def too_long(package: Path) -> list[str]:
    wrong = []
    for name, path in rooms_of(package).items():
        text = path.read_text()
        if (lines := len(text.splitlines())) > LONGEST_ROOM:
            wrong.append(f"{name} has {lines} lines")
        for node in nodes_of(text)[1]:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                assert node.end_lineno is not None
                if (lines := node.end_lineno - node.lineno + 1) > LONGEST_FUNCTION:
                    wrong.append(f"{path.name}:{node.lineno} {name}.{node.name} has {lines} lines")
    return wrong


def private_to_trio(package: Path) -> list[str]:
    """Names that Trio keeps to itself, where they are not fenced in: `trio._x`, `from trio._core import x`, and so on."""
    wrong = []
    for name, path in rooms_of(package).items():
        if name == "_trio_private":
            continue
        for line, module, wanted in imported(path, name):
            parts = [*module.split("."), *([wanted] if wanted else [])]
            if parts[0] == "trio" and any(part.startswith("_") for part in parts):
                wrong.append(f"{path.name}:{line} {name} imports {'.'.join(parts)}")
        for node in nodes(path):
            if isinstance(node, ast.Attribute):
                owner = last_name(node.value)
                if node.attr in TRIOS_OWN and owner != "self":
                    wrong.append(f"{path.name}:{node.lineno} {name} uses {node.attr}")
                elif owner in ("trio", "lowlevel") and re.match("_[^_]", node.attr):
                    wrong.append(f"{path.name}:{node.lineno} {name} uses trio.{node.attr}")
            elif isinstance(node, ast.Constant) and node.value in TRIOS_OWN:
                wrong.append(f"{path.name}:{node.lineno} {name} names {node.value}")
    return wrong


#: What Trio's own objects keep to themselves, to be found on whatever is not `self`.
TRIOS_OWN = frozenset(
    name
    for owner in (trio.lowlevel.Task, trio.CancelScope, trio.Nursery)
    for name in dir(owner)
    if name.startswith("_") and not name.endswith("__")
)


# ------------------------------------------------------------------------------------------------------------- the law


def test_every_room_has_exactly_one_floor() -> None:
    assert sorted(homes()) == sorted(set(homes()))
    missing = set(rooms_of(PACKAGE)) - set(homes())
    assert not missing, "give them a floor in FLOORS"
    assert not set(homes()) - set(rooms_of(PACKAGE)), "these are gone: take them out of FLOORS"


def test_imports_go_down_only() -> None:
    assert wrong_imports(PACKAGE) == []


def test_the_ground_floor_knows_neither_trio_nor_the_machine_nor_its_clock() -> None:
    assert worldly(PACKAGE) == []


def test_every_room_has_its_sign_first() -> None:
    assert without_a_sign(PACKAGE) == []


def test_no_function_and_no_room_is_too_long_to_keep_in_mind() -> None:
    assert too_long(PACKAGE) == []


def test_what_trio_keeps_private_is_asked_in_one_place_only() -> None:
    assert private_to_trio(PACKAGE) == []


def test_the_map_at_the_front_door_shows_every_room() -> None:
    shown = trioflow.__doc__ or ""
    for name in rooms_of(PACKAGE):
        if not name.endswith("__"):
            assert f"`{name.partition('.')[0]}`" in shown


# ------------------------------------------------------------------------------------------------- and that it bites


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the package, to plant something in."""
    return Path(shutil.copytree(PACKAGE, tmp_path / "trioflow", ignore=shutil.ignore_patterns("__pycache__")))


@pytest.mark.parametrize(
    ("room", "text", "said"),
    [
        ("_errors", "from ._time import shown", "_errors imports _time"),
        ("_time", "import trioflow._policy", "_time imports _policy"),
        ("_policy", "from trioflow import _run", "_policy imports _run"),
        ("_kernel", "from . import _step", "_kernel imports _step"),
        ("_kernel", "def f():\n    from ._step import Step", "_kernel imports _step"),
        ("_graph", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from . import abc", "_graph imports abc"),
        ("_names", "import importlib\nimportlib.import_module('trioflow._run')", "_names imports _run"),
        ("_names", "__import__('trioflow.abc')", "_names imports abc"),
        ("_names", "from importlib import import_module\nimport_module('._run', 'trioflow')", "_names imports _run"),
        ("abc", "from ._step import Step", "abc imports _step"),
        ("_step", "from ._run import Run", "_step imports _run"),
        ("_run", "from ._workflow import run_workflow", "_run imports _workflow"),
        ("_run", "import trioflow", "_run imports __init__"),
        ("_run", "from . import run_workflow", "_run imports __init__"),
        ("_workflow", "from .testing.model import predict", "_workflow imports testing.model"),
        ("_workflow", "from .testing import model", "_workflow imports testing.model"),
        ("__init__", "from . import workers", "__init__ imports workers.__init__"),
        ("workers.js", "from ..testing.world import check", "workers.js imports testing.world"),
        ("workers.values", "from . import js", "workers.values imports workers.js"),
        ("testing.model", "from .._graph import find_cycle", "testing.model imports _graph"),
        ("testing.model", "from . import world", "testing.model imports testing.world"),
        ("testing.world", "from .. import workers", "testing.world imports workers.__init__"),
        ("_loading", "from .cli import main", "_loading imports cli"),
        ("_step", "from ._nowhere import x", "_step imports _nowhere"),
    ],
)
def test_an_import_upwards_is_found(copy: Path, room: str, text: str, said: str) -> None:
    path = rooms_of(copy)[room]
    line = len(path.read_text().splitlines())
    plant(path, text)
    (found,) = wrong_imports(copy)
    place, _, what = found.partition(" ")
    assert what == said
    assert place.startswith(f"{path.name}:")
    assert int(place.rpartition(":")[2]) > line


@pytest.mark.parametrize(
    ("room", "text"),
    [
        ("_policy", "from . import _time"),
        ("cli", "import trioflow.workers"),
        ("testing.world", "from . import model\nfrom trioflow import run_workflow"),
    ],
)
def test_an_import_downwards_is_not(copy: Path, room: str, text: str) -> None:
    plant(rooms_of(copy)[room], text)
    assert wrong_imports(copy) == []


def test_a_room_without_a_floor_is_found(copy: Path) -> None:
    (copy / "_utils.py").write_text('"""Leftovers."""\n')
    with pytest.raises(AssertionError, match="_utils has no floor"):
        wrong_imports(copy)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("import trio", "_errors imports trio"),
        ("from trio import lowlevel", "_errors imports trio"),
        ("def f():\n    import os.path", "_errors imports os.path"),
        ("import datetime\ndatetime.datetime.now()", "_errors calls now"),
        ("open('x')", "_errors calls open"),
        ("async def f(): ...", "_errors is asynchronous"),
    ],
)
def test_trio_on_the_ground_floor_is_found(copy: Path, text: str, said: str) -> None:
    plant(copy / "_errors.py", text)
    (found,) = worldly(copy)
    assert found.endswith(said)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("import trio._core", "_run imports trio._core"),
        ("from trio import _core", "_run imports trio._core"),
        ("from trio._core._run import Task", "_run imports trio._core._run.Task"),
        ("import trio\nx = trio._sync", "_run uses trio._sync"),
        ("def f(task):\n    return task._cancel_status", "_run uses _cancel_status"),
        ("def f(task):\n    return getattr(task, '_cancel_status')", "_run names _cancel_status"),
    ],
)
def test_a_private_name_of_trio_is_found(copy: Path, text: str, said: str) -> None:
    plant(copy / "_run.py", text)
    (found,) = private_to_trio(copy)
    assert found.endswith(said)


def test_a_missing_sign_a_long_function_and_a_long_room_are_found(copy: Path) -> None:
    (copy / "_sleep.py").write_text('from __future__ import annotations\n"""Too late to be a docstring."""\n')
    plant(copy / "_watchers.py", "def long():\n" + "    pass\n" * LONGEST_FUNCTION)
    (copy / "_views.py").write_text('"""Much."""\n' + "x = 1\n" * LONGEST_ROOM)
    assert without_a_sign(copy) == ["_sleep"]
    assert set(too_long(copy)) - set(too_long(PACKAGE)) == {
        f"_watchers.py:{len((PACKAGE / '_watchers.py').read_text().splitlines()) + 1} _watchers.long has 61 lines",
        "_views has 601 lines",
    }


def plant(path: Path, text: str) -> None:
    path.write_text(path.read_text() + text + "\n")
