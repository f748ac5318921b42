"""A plain function that is called elsewhere: in a thread, in another process, wherever an executor takes it.

To everything else it is the function: it has its name and its signature, and calling it gives an awaitable, as calling
any function may. So the machine knows nothing of executors, and who has none pays nothing.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Coroutine
from typing import Any, Protocol, final

from ._errors import ConfigError


class RunsSync(Protocol):
    """What is asked of an executor: see `trioflow.abc.Executor`. A module with such a function will do."""

    @property
    def run_sync(self) -> Callable[..., Coroutine[Any, Any, Any]]: ...


@final
class Elsewhere:
    """A step's body, and who calls it."""

    def __init__(self, executor: RunsSync, fn: Callable[..., Any]) -> None:
        functools.update_wrapper(self, fn)  # `__wrapped__` is what `inspect.signature` and tracebacks go by
        self._executor = executor
        self._fn = fn

    def __call__(self, *args: Any, **keywords: Any) -> Coroutine[Any, Any, Any]:
        fn = functools.partial(self._fn, **keywords) if keywords else self._fn
        return self._executor.run_sync(fn, *args)


def check_executor(executor: object) -> None:
    """Raise ConfigError for what is no executor."""
    if isinstance(executor, type):
        raise ConfigError(f"executor {executor.__name__} is a class: pass an object, {executor.__name__}()")
    run_sync = getattr(executor, "run_sync", None)
    if not callable(run_sync):
        raise ConfigError(
            f"executor can't be {executor!r}: it has no `async def run_sync(fn, *args)`; Threads() of trioflow.executors does"
        )
    if not inspect.iscoroutinefunction(inspect.unwrap(run_sync)):
        raise ConfigError(f"executor can't be {executor!r}: its run_sync is no `async def`")
