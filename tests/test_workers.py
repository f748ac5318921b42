"""A file written for Cloudflare finds `workers` here, and nothing of it stays behind."""

from __future__ import annotations

import copy
import importlib
import importlib.util
import inspect
import pickle
import subprocess
import sys
from collections.abc import Iterator
from types import ModuleType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import trioflow
from trioflow import NonRetryableError, workers
from trioflow.workers import DurableObject, Request, Response, WorkerEntrypoint

NAMES = ("workers", "workers.workflows", "js", "pyodide", "pyodide.ffi")


@pytest.fixture(autouse=True)
def _nothing_stays_behind() -> Iterator[None]:
    before = {name: sys.modules.get(name) for name in NAMES}
    yield
    assert {name: sys.modules.get(name) for name in NAMES} == before


def installed() -> bool:
    return all(name in sys.modules for name in NAMES)


@pytest.mark.slow
def test_importing_the_room_installs_nothing() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "import sys, trioflow.workers; sys.exit('workers' in sys.modules)"],
        cwd=trioflow.__path__[0] + "/..",
        check=False,
    )
    assert done.returncode == 0


def test_the_names_of_a_workflow_file_are_ours() -> None:
    with workers.install():
        namespace: dict[str, object] = {}
        exec(
            "from workers import Request, Response, WorkerEntrypoint, WorkflowEntrypoint\n"
            "from workers.workflows import NonRetryableError\n"
            "import workers.workflows as by_attribute\n"
            "import js, pyodide, pyodide.ffi\n"
            "from pyodide.ffi import to_js",
            namespace,
        )
    assert namespace["WorkflowEntrypoint"] is workers.WorkflowEntrypoint
    assert issubclass(workers.WorkflowEntrypoint, trioflow.WorkflowEntrypoint)
    assert namespace["pyodide"].ffi.to_js is namespace["to_js"]  # type: ignore[attr-defined]
    assert namespace["NonRetryableError"] is trioflow.NonRetryableError
    assert (namespace["Request"], namespace["Response"]) == (Request, Response)
    assert namespace["WorkerEntrypoint"] is WorkerEntrypoint
    assert vars(namespace["by_attribute"])["NonRetryableError"] is trioflow.NonRetryableError


@pytest.mark.parametrize("module", NAMES)
def test_a_star_import_gives_the_names_and_nothing_else(module: str) -> None:
    with workers.install():
        namespace: dict[str, object] = {}
        exec(f"from {module} import *", namespace)
        names = set(vars(sys.modules[module])) - {"workflows", "ffi"}
    assert set(namespace) - {"__builtins__"} == {name for name in names if not name.startswith("_")}


#: What the SDK exports, and the documentation shows; the others are named in the error.
@pytest.mark.parametrize(
    "name",
    [
        *(
            "Blob",
            "BlobEnding",
            "BlobValue",
            "Body",
            "Context",
            "DurableObject",
            "FetchKwargs",
            "FetchResponse",
            "File",
        ),
        *("FormData", "FormDataValue", "Headers", "JSBody", "Request", "RequestInitCfProperties", "Response"),
        *("WorkerEntrypoint", "WorkflowEntrypoint", "fetch", "handler"),
    ],
)
def test_what_files_import_at_the_top_is_there(name: str) -> None:
    with workers.install():
        exec(f"from workers import {name}", {})


def test_the_modules_can_be_asked_for_before_they_are_imported() -> None:
    assert importlib.util.find_spec("pyodide") is None
    with workers.install():
        assert all(importlib.util.find_spec(name) is not None for name in NAMES)


def test_uninstall_takes_the_modules_out_and_a_second_one_does_nothing() -> None:
    installation = workers.install()
    assert installed()
    installation.uninstall()
    assert not installed()
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("workers")
    with workers.install():
        installation.uninstall()
        assert installed()


@settings(deadline=None)
@given(st.permutations(range(3)))
def test_the_last_of_several_installations_to_go_takes_the_modules_out(order: list[int]) -> None:
    installations = [workers.install() for _ in order]
    for i in order:
        assert installed()
        installations[i].uninstall()
    assert not installed()


def test_what_was_there_before_is_put_back(monkeypatch: pytest.MonkeyPatch) -> None:
    theirs = ModuleType("workers")
    monkeypatch.setitem(sys.modules, "workers", theirs)
    with workers.install():
        assert sys.modules["workers"] is not theirs
    assert sys.modules["workers"] is theirs
    assert "workers.workflows" not in sys.modules
    monkeypatch.undo()


def test_a_module_that_somebody_else_has_put_there_since_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    newer = ModuleType("workers")
    with workers.install():
        sys.modules["workers"] = newer
    assert sys.modules.pop("workers") is newer


def test_modules_go_also_when_the_block_raises() -> None:
    with pytest.raises(ZeroDivisionError), workers.install():
        1 / 0  # noqa: B018
    assert not installed()


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        (
            "from workers import env",
            "trioflow doesn't have it; a workflow reads its bindings as self.env (workers has Blob",
        ),
        ("from js import document, fetch", "cannot import name 'document' from 'js': trioflow doesn't have it (js has"),
        ("from pyodide import code", "cannot import name 'code' from 'pyodide': trioflow doesn't have it"),
        ("from pyodide.ffi import run_sync", "'run_sync' from 'pyodide.ffi': trioflow doesn't have it"),
        ("from js import to_js", "it is in 'pyodide.ffi'"),
        ("from workers import NonRetryableError", "it is in 'workers.workflows'"),
        ("from workers.workflows import Rollback", "'Rollback' from 'workers.workflows': trioflow doesn't have it"),
    ],
)
def test_what_is_missing_is_named(statement: str, words: str) -> None:
    with workers.install(), pytest.raises(ImportError, match=r"^cannot import name") as caught:
        exec(statement, {})
    assert words in str(caught.value)


def test_what_is_no_module_of_theirs_is_said_so() -> None:
    with workers.install(), pytest.raises(ModuleNotFoundError, match=r"^No module named 'pyodide\.http'$"):
        importlib.import_module("pyodide.http")


def test_what_is_missing_can_be_asked_for_and_is_no_reason_to_try_again() -> None:
    with workers.install():
        js = sys.modules["js"]
        assert not hasattr(js, "process")
        assert getattr(js, "process", None) is None
        with pytest.raises(AttributeError, match="'process' from 'js': trioflow doesn't have it") as caught:
            js.process  # noqa: B018
    assert isinstance(caught.value, NonRetryableError)


def test_tools_may_ask_the_modules_for_names_of_theirs() -> None:
    with workers.install():
        module = sys.modules["workers.workflows"]
        assert not hasattr(module, "__path__")
        with pytest.raises(AttributeError, match=r"module 'workers\.workflows' has no attribute '__wrapped__'"):
            module.__wrapped__  # noqa: B018
        assert inspect.unwrap(module) is module  # type: ignore[arg-type]
    with workers.install(), pytest.raises(ModuleNotFoundError, match=r"workers\.other"):
        importlib.import_module("workers.other")


@pytest.mark.parametrize("base", [WorkerEntrypoint, DurableObject])
def test_a_worker_keeps_its_context_and_its_bindings(base: type[WorkerEntrypoint]) -> None:
    class Default(base):  # type: ignore[misc, valid-type]
        pass

    env = object()
    assert Default("ctx", env).env is env
    assert Default("ctx", env).ctx == "ctx"
    assert (Default().ctx, Default().env) == (None, None)


def test_a_handler_is_the_function_that_it_is() -> None:
    @workers.handler
    def on_fetch(request: Request, env: object) -> Response:
        return Response(request.url)

    assert on_fetch(Request("https://example.com/"), None).body == "https://example.com/"


# ----------------------------------------------------------------------------------------------------------- bindings


class Store:
    limit = 3

    def __init__(self) -> None:
        self._hidden = 1
        self.name = "store"


def test_bindings_come_from_mappings_and_from_objects_the_latest_first() -> None:
    env = workers.Bindings({"A": 1, "limit": 0}, Store(), {"B": None, "name": "mine"})
    assert (env.A, env.limit, env.B, env.name) == (1, 3, None, "mine")
    assert dir(env) == ["A", "B", "limit", "name"]


def test_a_binding_that_nobody_gave_says_its_name_and_how_to_give_one() -> None:
    with pytest.raises(workers.MissingBindingError) as caught:
        workers.Bindings().CACHE  # noqa: B018
    assert str(caught.value) == (
        "env has no 'CACHE': nothing was given. Give a text with `--env CACHE=VALUE`, an object out of a Python file with "
        "`--env FILE[:NAME]`, or both in code with `env={'CACHE': ...}`"
    )
    with pytest.raises(AttributeError, match=r"no 'API_KEI' \(did you mean 'API_KEY'\?\): it has API_KEY, DB\."):
        workers.Bindings({"API_KEY": 1, "DB": 2}).API_KEI  # noqa: B018
    assert issubclass(workers.MissingBindingError, NonRetryableError)


@pytest.mark.parametrize("call", ["create()", "create(id=1)", "create_batch([])", "createBatch([])"])
@pytest.mark.parametrize("names", [0, 300])  # more than fit into one instruction
def test_a_workflow_that_nobody_gave_says_what_can_stand_in_for_it(call: str, names: int) -> None:
    many = "; ".join(f"name{n} = 0" for n in range(names))
    source = f"{many}\nenv.OTHER.{call}"
    env = workers.Bindings({"KEY": 1})
    with pytest.raises(workers.MissingBindingError) as caught:
        exec(source, {"env": env})
    name = call.partition("(")[0]
    assert str(caught.value) == (
        f"env has no 'OTHER': it has KEY. Its {name}() would start another workflow, which takes an engine, and trioflow has "
        "none yet: give an object of your own in its place, with `--env FILE[:NAME]`, or in code with `env={'OTHER': ...}`"
    )


@pytest.mark.parametrize(
    "source",
    ["env.OTHER", "env.OTHER.get('x')", "env.OTHER(create)", "env.OTHER[create].create", "x = env.OTHER; x.create()"],
)
def test_whatever_else_nobody_gave_may_be_anything(source: str) -> None:
    with pytest.raises(workers.MissingBindingError, match=r"Give a text with `--env OTHER=VALUE`, an object out of"):
        exec(source, {"env": workers.Bindings(), "create": 1})


def test_bindings_can_be_asked_what_they_have() -> None:
    env = workers.Bindings({"KEY": "secret"})
    assert hasattr(env, "KEY")
    assert getattr(env, "OTHER", "default") == "default"
    assert repr(env) == "Bindings(KEY)"  # no secrets
    assert copy.copy(env).KEY == copy.deepcopy(env).KEY == pickle.loads(pickle.dumps(env)).KEY == "secret"
    assert not hasattr(workers.Bindings(Store()), "_hidden")
