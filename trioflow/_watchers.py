"""Who is told what happens to bodies: the instruments of one run, each only what it asked for."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Iterable
from typing import Any

import attrs
import trio

from ._errors import ConfigError
from ._step import Step
from .abc import Instrument, StepCancelled, StepCompleted, StepErrored, StepStarted

logger = logging.getLogger("trioflow")

HOOKS = ("step_started", "step_completed", "step_errored", "step_cancelled")


def checked_instruments(instruments: Iterable[object]) -> list[object]:
    """The instruments as a list. Raises ConfigError for what could never be told anything, or would not hear it."""
    if not isinstance(instruments, Iterable):
        raise ConfigError(f"instruments takes a list: write instruments=[{instruments!r}]")
    watching = list(instruments)
    for instrument in watching:
        if isinstance(instrument, type):
            raise ConfigError(f"instrument {instrument.__name__} is a class: pass an object, {instrument.__name__}()")
        if not any(callable(getattr(instrument, name, None)) for name in HOOKS):
            raise ConfigError(f"{instrument!r} is no instrument: it has none of the methods {', '.join(HOOKS)}")
        for name in HOOKS:
            if inspect.iscoroutinefunction(getattr(instrument, name, None)):
                raise ConfigError(
                    f"{name} of {instrument!r} is async, but an instrument must not block: make it a plain def"
                )
    return watching


@attrs.define(eq=False, repr=False)
class Watchers:
    """Asked once which facts each instrument wants. One that raises is logged and hears no more, as with Trio's own."""

    instance_id: str
    instruments: list[Any]
    _hooks: dict[str, list[Any]] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._hooks = {name: [i for i in self.instruments if _overrides(i, name)] for name in HOOKS}

    def started(self, step: Step[Any]) -> None:
        if self._hooks["step_started"]:
            self._tell("step_started", StepStarted(**self._fact(step)))

    def completed(self, step: Step[Any], output: object) -> None:
        if self._hooks["step_completed"]:
            self._tell("step_completed", StepCompleted(output=output, **self._fact(step)))

    def errored(self, step: Step[Any], error: BaseException) -> None:
        if self._hooks["step_errored"]:
            self._tell("step_errored", StepErrored(error=error, **self._fact(step)))

    def cancelled(self, step: Step[Any], reason: str) -> None:
        if self._hooks["step_cancelled"]:
            self._tell("step_cancelled", StepCancelled(reason=reason, **self._fact(step)))

    def _fact(self, step: Step[Any]) -> dict[str, Any]:
        path = step.path
        return {
            "instance_id": self.instance_id,
            "step": step.name,
            "occurrence": path[-1][1],
            "path": path,
            "time": trio.current_time(),
        }

    def _tell(self, name: str, fact: object) -> None:
        for instrument in list(self._hooks[name]):
            try:
                getattr(instrument, name)(fact)
            except Exception:
                logger.exception("instrument %r raised in %s and is told no more", instrument, name)
                for hooks in self._hooks.values():
                    hooks[:] = [i for i in hooks if i is not instrument]


def _overrides(instrument: object, name: str) -> bool:
    method = getattr(type(instrument), name, None) or getattr(instrument, name, None)
    return method is not None and method is not getattr(Instrument, name)
