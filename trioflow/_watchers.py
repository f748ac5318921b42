"""Who is told what happens to bodies: the instruments of one run, each only what it asked for."""

from __future__ import annotations

import logging
from typing import Any

import attrs
import trio

from ._step import Step
from .abc import Instrument, StepCancelled, StepCompleted, StepErrored, StepStarted

logger = logging.getLogger("trioflow")


@attrs.define(eq=False)
class Watchers:
    """Asked once which facts each instrument wants. One that raises is logged and hears no more, as with Trio's own."""

    instance_id: str
    instruments: list[Any]
    _hooks: dict[str, list[Any]] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        names = ("step_started", "step_completed", "step_errored", "step_cancelled")
        self._hooks = {name: [i for i in self.instruments if _overrides(i, name)] for name in names}

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
        return {
            "instance_id": self.instance_id,
            "step": step.name,
            "occurrence": step.path[-1][1],
            "path": step.path,
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
