"""The public names: that they are there, are what they were, and cost little to import."""

from __future__ import annotations

import ast
import enum
import inspect
import json
import subprocess
import sys
import types
from pathlib import Path
from typing import Any

import pytest

import trioflow
import trioflow.trace
from trioflow._watchers import FACTS

ROOT = Path(trioflow.__file__).parent.parent

#: Others build on these: one may come, none may go. Functions with their parameters.
PINNED = {
    "WorkflowEntrypoint": "(ctx=None, env=None)",
    "run_workflow": "(workflow, params=None, *, instance_id=None, env=None, defaults=None, instruments=())",
    "open_run": "(workflow, params=None, *, instance_id=None, env=None, defaults=None, instruments=())",
    "WorkflowRun": None,
    "WorkflowStep": None,
    "Step": None,
    "WorkflowEvent": None,
    "StepContext": None,
    "StepConfig": "(retries=None, timeout=None, *, sensitive=None)",
    "Retries": "(limit, delay, backoff='exponential', *, jitter=0.0, max_delay=None)",
    "TrioflowError": None,
    "NonRetryableError": None,
    "WorkflowTimeoutError": None,
    "CycleError": None,
    "DefinitionError": None,
    "DeadlockError": None,
    "RunClosedError": None,
    "ConfigError": None,
    "abc": None,
}

PINNED_METHODS = {
    "WorkflowEntrypoint.run": "(self, event, step)",
    "WorkflowStep.do": "(self, name=None, depends=None, concurrent=False, config=None, *, executor=None)",
    "WorkflowStep.sleep": "(self, name, duration)",
    "WorkflowStep.sleep_until": "(self, name, when)",
    "WorkflowStep.wait_for_event": "(self, name, event_type, timeout='24 hours')",
    "WorkflowRun.send_event": "(self, type, payload=None)",
    "Step.__call__": "(self)",
    "WorkflowRun.result": "(self)",
    **{f"abc.Instrument.{name}": "(self, fact, /)" for name in FACTS},
    "abc.Executor.run_sync": "(self, fn, /, *args)",
    "trace.Recorder": "()",
    **{
        f"trace.Recorder.{name}": "(self, *, instance_id=None)"
        for name in ("nodes", "critical_path", "slack", "to_mermaid", "to_dot", "to_chrome_trace")
    },
}

#: Made to be extended, so not final.
OPEN = {"WorkflowEntrypoint", "NonRetryableError", "TrioflowError", "Instrument", "Fact", "StepFact", "Executor"}


def public(module: types.ModuleType) -> dict[str, Any]:
    """The public things of a module: what its own files bring along (`annotations`, `attrs`, …) is none of them."""
    return {
        name: thing
        for name, thing in vars(module).items()
        if not name.startswith("_") and getattr(thing, "__module__", "").partition(".")[0] == "trioflow"
    }


FRONT = public(trioflow)
PLUGS = {name: thing for name, thing in public(trioflow.abc).items() if thing.__module__ == "trioflow.abc"}
TRACE = {name: thing for name, thing in public(trioflow.trace).items() if thing.__module__ == "trioflow.trace"}
EVERYTHING = [*FRONT.items(), *PLUGS.items(), *TRACE.items()]


def parameters(fn: Any) -> str:
    """The parameters of a function and their defaults, without their types."""
    signature = inspect.signature(fn)
    bare = [p.replace(annotation=inspect.Parameter.empty) for p in signature.parameters.values()]
    return str(signature.replace(parameters=bare, return_annotation=inspect.Signature.empty))


def reached(path: str) -> Any:
    thing: Any = trioflow
    for name in path.split("."):
        thing = getattr(thing, name)
    return thing


@pytest.mark.parametrize("path", [*PINNED, *PINNED_METHODS])
def test_a_pinned_name_is_there_with_its_parameters(path: str) -> None:
    thing = reached(path)
    expected = {**PINNED, **PINNED_METHODS}[path]
    if expected is not None:
        assert parameters(thing) == expected


def test_what_is_public_is_pinned_or_belongs_to_what_is() -> None:
    also = {
        "AsyncioError",
        "StepDecorator",
        "OpenRun",
        "ReceivedEvent",
    }  # what `step.do(...)` and `open_run(...)` return
    assert set(FRONT) == set(PINNED) - {"abc"} | also
    facts = {fact.__name__ for fact in FACTS.values()}
    assert set(PLUGS) == {"Instrument", "Executor", "Fact", "StepFact"} | facts
    assert set(TRACE) == {"Recorder", "Node"}  # what its `nodes` gives


@pytest.mark.parametrize("path", ["Step.name", "Step.status", "Step.reason", "Step.dependencies", "Step.place"])
def test_what_a_step_shows_is_there(path: str) -> None:
    assert reached(path) is not None


@pytest.mark.parametrize(("name", "thing"), EVERYTHING)
def test_people_see_where_they_import_it_from(name: str, thing: Any) -> None:
    assert thing.__module__ == ("trioflow" if name in FRONT else "trioflow.abc" if name in PLUGS else "trioflow.trace")
    assert thing.__qualname__ == name


@pytest.mark.parametrize(("name", "thing"), EVERYTHING)
def test_a_class_is_final_unless_it_is_made_to_be_extended(name: str, thing: Any) -> None:
    if inspect.isclass(thing):
        assert getattr(thing, "__final__", False) is (name not in OPEN)
    else:
        assert inspect.isfunction(thing)


def members() -> list[tuple[str, Any]]:
    """Everything public with its own docstring: classes, functions, methods and properties."""
    found: list[tuple[str, Any]] = []
    for name, thing in EVERYTHING:
        found.append((name, thing))
        if inspect.isclass(thing):
            found += [
                (f"{name}.{inner}", member)
                for inner, member in vars(thing).items()
                if (not inner.startswith("_") or inner == "__call__")
                and (inspect.isfunction(member) or isinstance(member, property))
            ]
    return found


@pytest.mark.parametrize(("name", "thing"), members())
def test_everything_public_says_what_it_is_for(name: str, thing: Any) -> None:
    doc = inspect.cleandoc(thing.__doc__ or "")
    assert doc, f"{name} has no docstring"
    assert not doc.startswith(("Method generated by attrs", "str(object")), "that is somebody else's docstring"
    assert doc.splitlines()[0].endswith((".", ":", "?")), f"{name}: the first line is not a sentence: {doc!r}"


@pytest.mark.parametrize(("name", "thing"), EVERYTHING)
def test_facts_are_frozen_and_things_are_compared_by_identity(name: str, thing: Any) -> None:
    if not inspect.isclass(thing) or not hasattr(thing, "__attrs_attrs__"):
        return
    if name in PLUGS or name in ("StepConfig", "Retries", "Node"):
        assert thing.__setattr__ is not object.__setattr__, "can be changed"
        assert thing.__eq__ is not object.__eq__, "isn't compared by value"
    else:
        assert thing.__eq__ is object.__eq__


def test_nothing_public_is_an_enumeration() -> None:
    """States are literal strings: a type checker knows them, and a user needs no import to compare one."""
    assert not [name for name, thing in EVERYTHING if inspect.isclass(thing) and issubclass(thing, enum.Enum)]


def test_the_package_is_marked_as_typed() -> None:
    assert (ROOT / "trioflow" / "py.typed").exists()


def test_names_are_exported_so_that_checkers_see_them() -> None:
    """`from ._x import y as y`: without the `as` a strict checker takes the name for private."""
    tree = ast.parse((ROOT / "trioflow" / "__init__.py").read_text())
    for node in tree.body:
        if isinstance(node, ast.ImportFrom) and node.level:
            for alias in node.names:
                assert alias.name == alias.asname


# ------------------------------------------------------------------------------------------------------------ importing


def modules_after(statement: str) -> set[str]:
    """Which modules a fresh Python has loaded once it has done this."""
    done = subprocess.run(
        [sys.executable, "-c", f"import sys, json; {statement}; print(json.dumps(sorted(sys.modules)))"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return set(json.loads(done.stdout))


#: Nobody pays for them who doesn't import them.
WHEN_ASKED_FOR = ("trioflow.testing", "trioflow.cli", "trioflow.workers", "trioflow.trace", "trioflow._drawing")


@pytest.mark.slow
def test_importing_trioflow_brings_no_extras_along() -> None:
    loaded = modules_after("import trioflow")
    assert "trioflow.abc" in loaded
    assert not {"hypothesis", "cyclopts", "rich", "pytest", "asyncio", "sqlite3", "unittest", "workers"} & loaded
    assert not {name for name in loaded if name.startswith(WHEN_ASKED_FOR)}


# ------------------------------------------------------------------------------------------------------- type checking

API = ROOT / "tests" / "typing" / "api.py"


def checked(path: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", str(path)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return done.stdout + done.stderr


@pytest.mark.slow
def test_a_strict_type_checker_sees_what_people_mean_and_what_they_mistake() -> None:
    assert checked(API) == "Success: no issues found in 1 source file\n"


@pytest.mark.slow
def test_the_type_checker_would_say_so_otherwise(tmp_path: Path) -> None:
    planted = tmp_path / "planted.py"
    text = API.read_text()
    assert "assert_type(await run_workflow(function), bytes)" in text
    planted.write_text(
        text.replace(
            "assert_type(await run_workflow(function), bytes)", "assert_type(await run_workflow(function), str)"
        )
        + "StepConfig()  # type: ignore[arg-type]\n"
    )
    said = checked(planted)
    assert 'Expression is of type "bytes", not "str"' in said
    assert 'Unused "type: ignore" comment' in said
