"""From `FILE[:NAME]` on a command line to a workflow that can be run.

The file is loaded as `python FILE` would see it: its own directory comes first on `sys.path`, so that its siblings can
be imported, and it is never cached, so that an edit is never overlooked. But it is loaded as a *module*, called after
the file and present in `sys.modules`, because pickle and dataclasses look classes up by their module's name; so the
block under `if __name__ == "__main__":` doesn't run.

`runpy` was rejected: it takes the module out of `sys.modules` before the workflow runs, and an error in the file comes
out with runpy's frames and without a place.

Whatever is wrong with the file is a `LoadError` whose text says what to do. If the user's code raised, that exception
is its `__cause__`, with the traceback.
"""

from __future__ import annotations

import difflib
import importlib.machinery
import importlib.util
import inspect
import os
import re
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any, Final, final

from ._errors import TrioflowError
from ._workflow import AnyWorkflow, WorkflowEntrypoint


@final
class LoadError(TrioflowError):
    """`FILE[:NAME]` gives no workflow. The message says why; if the user's code raised, that exception is the cause."""


@contextmanager
def load_workflow(target: str) -> Iterator[AnyWorkflow]:
    """The workflow that `target` names, as `FILE` or `FILE:NAME`. While the block runs, its module can be imported.

    Without a name it is the only class in the file that derives from `WorkflowEntrypoint` and has a `run`; if there is
    no such class, the only function whose parameters are called `event` and `step`. What the file merely imports
    doesn't count, except by name. Raises `LoadError`.

    Afterwards `sys.path` and the module's entry in `sys.modules` are as they were. Siblings that were imported stay, as
    after any import.
    """
    path, name = _split(target)
    with _importable(path) as module:
        _execute(module, path)
        yield _named(module, path, name) if name is not None else _only(module, path)


def shown(path: str | os.PathLike[str]) -> str:
    """A path as a person at this prompt would write it: relative, if it is below the current directory."""
    absolute, here = os.path.abspath(path), os.getcwd()
    return os.path.relpath(absolute, here) if absolute.startswith(os.path.join(here, "")) else os.fspath(path)


# ------------------------------------------------------------------------------------------------------------ the file


def _split(target: str) -> tuple[Path, str | None]:
    path, name = Path(target), None
    if not path.exists() and ":" in target:  # a colon may also belong to the file's own name
        file, _, name = target.rpartition(":")
        path = Path(file)
    if path.is_dir():
        raise LoadError(f"{path} is a directory: name a file in it")
    if not path.is_file():
        raise LoadError(f"there is no file {str(path)!r}{_did_you_mean(path)}")
    if name is not None and not name.isidentifier():
        raise LoadError(f"{name!r} can't be the name of a workflow in {path}: write FILE or FILE:NAME")
    return path.absolute(), name


def _did_you_mean(path: Path) -> str:
    siblings = [p.name for p in path.parent.glob("*.py")]
    near = difflib.get_close_matches(path.name, siblings, n=1)
    return f": did you mean {path.with_name(near[0])}?" if near else ""


@contextmanager
def _importable(path: Path) -> Iterator[ModuleType]:
    """A module for the file, empty yet, in `sys.modules`; what it imports is found as `python FILE` would find it."""
    name = path.stem.replace(".", "_")
    while name in sys.modules:  # a file called email.py must not take the place of the library's module
        name += "_"
    spec = importlib.util.spec_from_file_location(
        name, path, loader=importlib.machinery.SourceFileLoader(name, str(path))
    )
    assert spec is not None  # there is a loader
    module = importlib.util.module_from_spec(spec)
    before = sys.path.copy()
    # The current directory too, as with `python -m`: `src/entry.py` may say `from src.models import …`.
    sys.path[:0] = dict.fromkeys([str(path.resolve().parent), os.getcwd()])
    sys.modules[name] = module
    try:
        yield module
    finally:
        sys.path[:] = before
        sys.modules.pop(name, None)


def _execute(module: ModuleType, path: Path) -> None:
    loader = importlib.machinery.SourceFileLoader(module.__name__, str(path))
    try:
        # Not `exec_module`: its cache goes by the second and the size, and overlooks a quick edit.
        source = loader.get_data(str(path))
    except OSError as exc:
        raise LoadError(f"{shown(path)} can't be read: {exc.strerror}") from None
    try:
        exec(loader.source_to_code(source, str(path)), vars(module))
    except SyntaxError as exc:  # in the file, or in one that it imports
        raise LoadError(_syntax_error(exc, path)) from exc
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
            "`run(self, event, step)`, or a function with the parameters (event, step)"
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
    if inspect.isclass(found) and not issubclass(found, WorkflowEntrypoint):
        raise LoadError(f"{shown(path)}:{name} is a class that doesn't derive from WorkflowEntrypoint")
    if not callable(found):
        raise LoadError(f"{shown(path)}:{name} is no workflow: it is {type(found).__name__}, not a class or a function")
    workflow: AnyWorkflow = found
    return workflow


def _choices(found: dict[str, AnyWorkflow], path: Path) -> str:
    return "".join(f"\n  {shown(path)}:{name}" for name in found)


def _workflows(module: ModuleType) -> dict[str, AnyWorkflow]:
    """What the file itself defines: classes, else functions. Each once, under its first name."""
    own: dict[int, tuple[str, AnyWorkflow]] = {}
    for name, value in vars(module).items():
        if (inspect.isclass(value) or inspect.isfunction(value)) and value.__module__ == module.__name__:
            own.setdefault(id(value), (name, value))
    classes = {name: value for name, value in own.values() if _is_workflow_class(value)}
    return classes or {name: value for name, value in own.values() if _is_workflow_function(value)}


def _is_workflow_class(value: AnyWorkflow) -> bool:
    return isinstance(value, type) and issubclass(value, WorkflowEntrypoint) and value.run is not WorkflowEntrypoint.run


def _is_workflow_function(value: AnyWorkflow) -> bool:
    return inspect.isfunction(value) and [*inspect.signature(value).parameters] == ["event", "step"]
