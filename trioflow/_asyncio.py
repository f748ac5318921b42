"""Coroutines that were written for asyncio, run on Trio, in the task of the body that they are.

    body = bridged(body)            # the same function to everybody else: name, signature, methods
    uses_asyncio(module)            # whether a file is worth it

Inside, `asyncio.get_running_loop()` is a loop of ours that has no clock and waits for nothing by itself: its time is
Trio's, and when it has nothing to do a task of Trio's sleeps. All that asyncio builds from futures, tasks and timers works,
asyncio's own code doing it: `sleep`, `gather`, `wait_for`, `timeout`, `TaskGroup`, `Queue`, `to_thread` and so on, with
callbacks in asyncio's order. Trio's calls and `await step()` may be mixed in at will, and passed to `gather` or `create_task`.
Sockets, pipes, signals and subprocesses are Trio's here: asking the loop for them is an `AsyncioError` that says so.

**Who runs what.** Each asyncio task has a task of Trio's, which runs its coroutine and nothing else's: Trio's scopes and
nurseries, and what a step thinks who asks, go by that. The first is the body's own; the others live in a nursery of that one
and end with the body: those that still run are cancelled and waited for, as `asyncio.run` does. The nursery is opened
always: the coroutine may ask for it within a scope of its own, when it is too late. The loop is run by whichever of these
tasks has nothing else to do; one more, the keeper, steps in where all of them are busy in Trio.

**Cancellation.** asyncio's (`Task.cancel`, a timeout) arrives as `asyncio.CancelledError` wherever the coroutine waits.
Trio's arrives as the exception of the world that the coroutine waits in. At asyncio's waits it is `CancelledError`: asyncio
code cleans up on that, and asyncio's own machinery passes it on (`gather` to its children). At Trio's waits it is
`trio.Cancelled`, which Trio's libraries need; so it is for a scope that the coroutine itself has opened around a wait of
asyncio's. Tasks of `create_task` hear of it as in asyncio: from those who await them, or at the end.

A clean-up may wait, in asyncio: the body is told once. If it swallows the exception the next wait raises it again, so that
nobody goes on for ever by accident. A body that ends with `CancelledError` when Trio has cancelled it is cancelled. If nobody
has, that is an error like any other (`AsyncioError`): in trioflow a step is cancelled by those who don't want it any more.

Limits: tasks of a Trio nursery that the coroutine opens speak only Trio; a call of asyncio's there is an `AsyncioError`, too.
A Trio nursery within `asyncio.timeout` raises a group with `CancelledError` in it, as it does with any error. `asyncio.run`
within a body is refused by asyncio itself. `sniffio` says "trio", and that is what works: libraries that ask it (anyio, httpx)
use Trio, from asyncio's tasks too.

Rejected: a loop in a thread (another clock, other contextvars, no `await step()`); a loop that steps all coroutines in one
task of Trio's (their scopes would be tangled up, and whoever awaits a step could not be told from his siblings).
"""

from __future__ import annotations

import ast
import asyncio
import functools
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar, cast

from trio.lowlevel import disable_ki_protection

from ._asyncio_loop import conducted
from ._signature import signature_of

F = TypeVar("F", bound=Callable[..., Any])


def bridged(fn: F) -> F:
    """The same function, except that its coroutine may use asyncio. It keeps name and signature; methods work, too.

    A function that is no `async def` stays one; if it returns an awaitable, that may use asyncio.

    Raises, where it is awaited:
        AsyncioError: the coroutine ended with `asyncio.CancelledError` though Trio had not cancelled it.
    """
    if signature_of(fn).is_async:

        @functools.wraps(fn)
        async def wrapper(*args: Any, **keywords: Any) -> Any:
            return await conducted(awaited(fn, args, keywords))
    else:

        @functools.wraps(fn)
        def wrapper(*args: Any, **keywords: Any) -> Any:
            value = fn(*args, **keywords)
            return conducted(awaited(lambda: value, (), {})) if hasattr(type(value), "__await__") else value

    return cast(F, wrapper)


@disable_ki_protection
async def awaited(fn: Callable[..., Any], args: tuple[Any, ...], keywords: dict[str, Any]) -> Any:
    return await fn(*args, **keywords)


# --------------------------------------------------------------------------------------------------------- which files


def uses_asyncio(module: ModuleType) -> bool:
    """Whether the module, or what it imports from its own directory, imports asyncio: at the top or in a function.

    It is read, not run. What is installed doesn't count: libraries that know several worlds import asyncio, too. A module
    without a source file is asked for what is in it.
    """
    file = getattr(module, "__file__", None)
    if file is None or not file.endswith(".py"):
        values = vars(module).values()
        return any(v is asyncio or str(getattr(v, "__module__", "")).partition(".")[0] == "asyncio" for v in values)
    top = Path(file).resolve()
    home, pending, seen = top.parent, [(module.__name__, top)], set[Path]()
    while pending:
        name, path = pending.pop()
        if path in seen:
            continue
        seen.add(path)
        for wanted in _imports_of(path, name):
            if wanted.partition(".")[0] == "asyncio":
                return True
            source = _source_of(wanted, home)
            if source is not None:
                pending.append((wanted, source))
    return False


def _imports_of(path: Path, name: str) -> Iterator[str]:
    """The modules that a file may import, by their absolute names. `from a import b` may mean `a` or `a.b`."""
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    try:
        tree = ast.parse(path.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parts = package.split(".")
            base = ".".join(parts[: len(parts) - node.level + 1]) if node.level else ""
            module = ".".join(filter(None, [base, node.module]))
            yield module
            yield from (f"{module}.{alias.name}" for alias in node.names)


def _source_of(name: str, home: Path) -> Path | None:
    """The file of a module, if it is the user's own: in this directory, and not installed there."""
    file = getattr(sys.modules.get(name), "__file__", None)
    if file is None:
        place = home.joinpath(*name.split("."))
        file = next((p for p in (place.with_suffix(".py"), place / "__init__.py") if p.is_file()), "")
    path = Path(file).resolve()
    if path.suffix != ".py" or not path.is_relative_to(home) or "site-packages" in path.relative_to(home).parts:
        return None
    return path
