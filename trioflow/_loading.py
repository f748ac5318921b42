"""From `FILE[:NAME]` on a command line to a workflow that can be run.

The file is loaded as `python FILE` would see it: its own directory comes first on `sys.path`, so that its siblings can
be imported, and it is never cached, so that an edit is never overlooked. But it is loaded as a *module*, called after
the file and present in `sys.modules`, because pickle and dataclasses look classes up by their module's name; so the
block under `if __name__ == "__main__":` doesn't run.

A project's modules name each other in several ways, and `src/entry.py` can be meant by `entry` and by `src.entry`. By
whatever name the file is imported, it is the one module that has been loaded: run twice, its classes would be two. A file
that imports relatively (`from .models import User`) is a module of the package that its directory is.

`runpy` was rejected: it takes the module out of `sys.modules` before the workflow runs, and an error in the file comes
out with runpy's frames and without a place.

Whatever is wrong with the file is a `LoadError` whose text says what to do. If the user's code raised, that exception
is its `__cause__`, with the traceback.
"""

from __future__ import annotations

import ast
import difflib
import importlib
import importlib.machinery
import importlib.util
import inspect
import os
import re
import sys
import traceback
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import ModuleType
from typing import Any, Final, final

from ._errors import TrioflowError
from ._workflow import AnyWorkflow, WorkflowEntrypoint
from .workers import WorkerEntrypoint


@final
class LoadError(TrioflowError):
    """A file doesn't give what it shall. The message says why; if the user's code raised, that exception is the cause."""


@contextmanager
def load_workflow(target: str) -> Iterator[AnyWorkflow]:
    """The workflow that `target` names, as `FILE` or `FILE:NAME`. While the block runs, its module can be imported.

    Without a name it is the only class in the file that derives from `WorkflowEntrypoint` and has a `run`; if there is
    no such class, the only function whose parameters are called `event` and `step`. What the file merely imports
    doesn't count, except by name. Raises `LoadError`.

    Afterwards `sys.path` and the module's entry in `sys.modules` are as they were. Siblings that were imported stay, as
    after any import.
    """
    path, name = split(target)
    with loaded(path) as module:
        yield _named(module, path, name) if name is not None else _only(module, path)


def shown(path: str | os.PathLike[str]) -> str:
    """A path as a person at this prompt would write it: relative, if it is below the current directory."""
    absolute, here = os.path.abspath(path), os.getcwd()
    return os.path.relpath(absolute, here) if absolute.startswith(os.path.join(here, "")) else os.fspath(path)


# ------------------------------------------------------------------------------------------------------------ the file


def split(target: str) -> tuple[Path, str | None]:
    """The file and the name that `FILE[:NAME]` says. Raises `LoadError` where there is no such file."""
    path, name = Path(target), None
    if not path.exists() and ":" in target:  # a colon may also belong to the file's own name
        file, _, name = target.rpartition(":")
        path = Path(file)
    if path.is_dir():
        raise LoadError(f"{path} is a directory: name a file in it")
    if not path.is_file():
        raise LoadError(f"there is no file {str(path)!r}{_did_you_mean(path)}")
    if name is not None and not name.isidentifier():
        raise LoadError(f"{name!r} can't be a name in {path}: write FILE or FILE:NAME")
    return path.absolute(), name


def _did_you_mean(path: Path) -> str:
    siblings = [p.name for p in path.parent.glob("*.py")]
    near = difflib.get_close_matches(path.name, siblings, n=1)
    return f": did you mean {path.with_name(near[0])}?" if near else ""


@contextmanager
def loaded(path: Path) -> Iterator[ModuleType]:
    """The file's module, which has been run. While the block runs, it can be imported, and so can its siblings.

    Afterwards `sys.path` and the module's entries in `sys.modules` are as they were. Raises `LoadError`.
    """
    source = _source_of(path)
    module, root = _module_for(path, _levels(source))
    finder = _Finder(path, module)
    before = sys.path.copy()
    # As `python FILE` and `python -m` do. Where a package would be found comes before it if the file is in one, else last:
    # in `src/entry.py` people write `from src.models import …`, and start it from anywhere; but nothing that is installed
    # shall be hidden by it.
    package = [str(root)] if "." in module.__name__ else []
    sys.path[:0] = dict.fromkeys([str(path.resolve().parent), *package, os.getcwd()])
    sys.path.append(str(root))
    sys.meta_path.insert(0, finder)
    sys.modules[module.__name__] = module
    try:
        _execute(module, source, path)
        yield module
    finally:
        sys.meta_path.remove(finder)
        sys.path[:] = before
        for name in [name for name, known in sys.modules.items() if known is module]:
            del sys.modules[name]


def _source_of(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as exc:
        raise LoadError(f"{shown(path)} can't be read: {exc.strerror}") from None


def _levels(source: bytes) -> int:
    """How many directories up the file's relative imports go: 0 if it has none, or doesn't parse."""
    with suppress(SyntaxError, ValueError, RecursionError, MemoryError), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what there is to be warned of is said when it is compiled
        return max((node.level for node in ast.walk(ast.parse(source)) if isinstance(node, ast.ImportFrom)), default=0)
    return 0


def _module_for(path: Path, levels: int) -> tuple[ModuleType, Path]:
    """A module for the file, empty yet, and the directory in which its package would be found."""
    name, root = path.stem.replace(".", "_"), path.resolve().parent
    if levels:
        while levels > 0 or root.joinpath("__init__.py").is_file():
            name, root, levels = f"{root.name}.{name}", root.parent, levels - 1
    else:
        root = root.parent
    while name in sys.modules:  # a file called email.py must not take the place of the library's module
        name += "_"
    spec = importlib.util.spec_from_file_location(
        name, path, loader=importlib.machinery.SourceFileLoader(name, str(path))
    )
    assert spec is not None  # there is a loader
    return importlib.util.module_from_spec(spec), root


@final
class _Finder:
    """Finds the file's own module, by whatever name somebody imports it; for all else it knows nothing."""

    def __init__(self, path: Path, module: ModuleType) -> None:
        self._path = path
        self._module = module
        self._spec = module.__spec__

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if name.rpartition(".")[2] != self._path.stem:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        if spec is None or spec.origin is None or Path(spec.origin).resolve() != self._path.resolve():
            return None
        spec.loader = self  # type: ignore[assignment]  # the two methods are all that is asked of one
        return spec

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType:
        return self._module

    def exec_module(self, module: ModuleType) -> None:
        module.__spec__ = self._spec  # the machinery has put the second name's there


def _join_package(module: ModuleType, path: Path) -> None:
    """Make a module of a package known to it, as an import does."""
    package, _, name = module.__name__.rpartition(".")
    if not package:
        return
    parent = importlib.import_module(package)
    if os.fspath(path.resolve().parent) not in [*getattr(parent, "__path__", ())]:
        raise LoadError(
            f"{shown(path)} imports relatively, so it is in a package {package!r}; but that is another one here, "
            f"{getattr(parent, '__file__', None) or 'a directory elsewhere'}: give its directory another name"
        )
    setattr(parent, name, module)


def _execute(module: ModuleType, source: bytes, path: Path) -> None:
    # Not `exec_module`: its cache goes by the second and the size, and overlooks a quick edit.
    loader = importlib.machinery.SourceFileLoader(module.__name__, str(path))
    try:
        _join_package(module, path)
        exec(loader.source_to_code(source, str(path)), vars(module))
    except SyntaxError as exc:  # in the file, or in one that it imports
        raise LoadError(_syntax_error(exc, path)) from exc
    except LoadError:
        raise
    except (Exception, SystemExit) as exc:
        what = "".join(traceback.format_exception_only(exc)).rstrip()
        raise LoadError(f"{shown(path)} can't be loaded: {what}") from exc


# --------------------------------------------------------------------------------------------------- what doesn't parse

# What only a newer Python parses, with the first version that does. The running one can't be asked for a grammar that
# it doesn't have, so this goes by what the line looks like and by what the parser complains about.
_OWN_QUOTES: Final = re.compile(r"""(?i)\b(?:f|rf|fr)(["']).*\{[^}]*\1""")
_COMPLAINT: Final = re.compile(r"f-string.*(?:unmatched|expecting '}'|cannot include|unterminated)")
_NEWER: Final[tuple[tuple[tuple[int, int], re.Pattern[str], str], ...]] = (
    ((3, 12), re.compile(r"\s*type\s+\w+[^=]*="), "a `type` statement"),
    ((3, 12), re.compile(r"\s*(?:async\s+)?(?:def|class)\s+\w+\s*\["), "a list of type parameters"),
    ((3, 14), re.compile(r"\s*except\*?\s[^(:]+,"), "`except` with several classes and no parentheses"),
    ((3, 14), re.compile(r"""(?i).*\b(?:t|rt|tr)["']"""), "a t-string"),
)


def _syntax_error(error: SyntaxError, path: Path) -> str:
    place = f"{shown(error.filename or path)}:{error.lineno or 1}:{error.offset or 1}"
    lines = [f"{place}: {type(error).__name__}: {error.msg or 'invalid syntax'}"]
    if error.text is not None and error.text.strip():
        text = error.text.rstrip("\n")
        code = text.lstrip()
        lines.append(f"  {code}")
        lines.append(" " * (2 + max(0, (error.offset or 1) - 1 - (len(text) - len(code)))) + "^")
    return "\n".join(lines + newer_python(error, sys.version_info[:2]))


def newer_python(error: SyntaxError, running: tuple[int, int]) -> list[str]:
    """A line that says which Python parses what `running` could not, if it looks like that; else nothing."""
    text, newer = error.text or "", _NEWER
    if _COMPLAINT.match(error.msg or "") or _OWN_QUOTES.search(text):
        newer = (((3, 12), re.compile(""), "an f-string with backslashes or its own quotes in the braces"), *_NEWER)
    for version, looks, what in newer:
        if running < version and looks.match(text):
            return [f"  {what} needs Python {version[0]}.{version[1]} or later; this is {running[0]}.{running[1]}"]
    return []


# --------------------------------------------------------------------------------------------------------- the workflow


def _only(module: ModuleType, path: Path) -> AnyWorkflow:
    found = _workflows(module)
    if not found:
        raise LoadError(
            f"{shown(path)} has no workflow: define a class that derives from WorkflowEntrypoint and has "
            f"`run(self, event, step)`, or a function with the parameters (event, step){_handlers(module)}"
        )
    if len(found) > 1:
        raise LoadError(f"{shown(path)} has {len(found)} workflows, say which:{_choices(found, path)}")
    return next(iter(found.values()))


def _named(module: ModuleType, path: Path, name: str) -> AnyWorkflow:
    missing = object()
    found: Any = getattr(module, name, missing)
    if found is missing:
        workflows = _workflows(module)
        has = f"; it has:{_choices(workflows, path)}" if workflows else ", nor any other workflow"
        raise LoadError(f"{shown(path)} has no {name!r}{has}")
    if _is_handler(name, found):
        raise LoadError(f"{shown(path)}:{name} is a handler, {_NO_SERVER}")
    if inspect.isclass(found) and not issubclass(found, WorkflowEntrypoint):
        raise LoadError(f"{shown(path)}:{name} is a class that doesn't derive from WorkflowEntrypoint")
    if not callable(found):
        raise LoadError(f"{shown(path)}:{name} is no workflow: it is {type(found).__name__}, not a class or a function")
    workflow: AnyWorkflow = found
    return workflow


#: What is asked of a Worker and not of a workflow: nothing calls it here.
_HANDLERS: Final = ("on_fetch", "on_scheduled", "on_queue", "on_alarm")
_NO_SERVER: Final = (
    "which only a server calls, and trioflow has none yet: run a workflow, and pass what the handler would give it as "
    "--params"
)


def _handlers(module: ModuleType) -> str:
    found = [name for name, value in vars(module).items() if _is_own(value, module) and _is_handler(name, value)]
    return f"; all it has is handlers ({', '.join(found)}), {_NO_SERVER}" if found else ""


def _is_handler(name: str, value: object) -> bool:
    if inspect.isfunction(value):
        return name in _HANDLERS
    return isinstance(value, type) and issubclass(value, WorkerEntrypoint)


def _choices(found: dict[str, AnyWorkflow], path: Path) -> str:
    return "".join(f"\n  {shown(path)}:{name}" for name in found)


def _workflows(module: ModuleType) -> dict[str, AnyWorkflow]:
    """What the file itself defines: classes, else functions. Each once, under its first name."""
    own: dict[int, tuple[str, AnyWorkflow]] = {}
    for name, value in vars(module).items():
        if _is_own(value, module):
            own.setdefault(id(value), (name, value))
    classes = {name: value for name, value in own.values() if _is_workflow_class(value)}
    return classes or {name: value for name, value in own.values() if _is_workflow_function(value)}


def _is_own(value: object, module: ModuleType) -> bool:
    return (inspect.isclass(value) or inspect.isfunction(value)) and value.__module__ == module.__name__


def _is_workflow_class(value: AnyWorkflow) -> bool:
    return isinstance(value, type) and issubclass(value, WorkflowEntrypoint) and value.run is not WorkflowEntrypoint.run


def _is_workflow_function(value: AnyWorkflow) -> bool:
    return inspect.isfunction(value) and [*inspect.signature(value).parameters] == ["event", "step"]
