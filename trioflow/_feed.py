"""A run for programs: each fact as one object of JSON in one line, as it happens.

The fields, in the order in which they stand:

* `type`: what has happened, by Cloudflare's name for it: "workflow_started", "step_started", "attempt_errored", and so on.
* `instanceId`: the run. `time`: when, in seconds since its start, of the run's clock.
* of a step, a sleep or a wait: `stepName`; `count`, which of those of that name it is; `path`, a list of [name, count] from
  the run inwards, its own last.
* `workflowName`, `params`, `timestamp` of "workflow_started"; `output` of "workflow_completed", "step_completed" and
  "step_reused"; `reason` of "workflow_terminated" and "step_cancelled".
* `depends` (a list of paths), `concurrent`, `after` (a path or null), `config` of "step_started". `attempt` of the attempts.
* `error` of what has failed: `{"name", "message"}`. `retryIn` of "attempt_errored": seconds, or null if it was the last.
* `seconds` of "sleep_started"; `eventType` and `timeout` (seconds) of "wait_started"; `event` of "wait_completed":
  `{"type", "payload", "timestamp"}`.

A value that JSON can't hold stands there as `{"$repr": "…"}`, what Python shows of it. What a step with `sensitive: "output"`
returns is left out, and `"sensitive": true` stands in its place. The last line is "workflow_completed", "workflow_errored" or
"workflow_terminated".
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from typing import Any, Final, final

import attrs

from . import abc
from ._policy import as_mapping
from ._streams import representation
from ._view import View
from ._views import ReceivedEvent
from ._watchers import FACTS
from .abc import Fact, Path

#: What is said of a fact under another name than its own.
_NAMES: Final = {
    "event_type": "eventType",
    "occurrence": "count",
    "retry_in": "retryIn",
    "step": "stepName",
    "workflow": "workflowName",
}


@final
@attrs.define(eq=False)
class Feed(View):
    """Hands each fact to `write`, as one line of JSON."""

    write: Callable[[str], object]
    _began: float | None = attrs.field(default=None, init=False)
    #: Whose output is nobody's business.
    _sensitive: set[Path] = attrs.field(factory=set, init=False)

    def told(self, kind: str, fact: Fact) -> None:
        """A fact, with what it is called."""
        if self._began is None:
            self._began = fact.time
        said = {
            "type": kind,
            "instanceId": fact.instance_id,
            "time": round(fact.time - self._began, 6),
            **self._fields(fact),
        }
        self.write(in_one_line(said))

    def output(self, output: object) -> bool:
        """It was in the last fact."""
        return True

    def _fields(self, fact: Fact) -> dict[str, Any]:
        if isinstance(fact, abc.StepStarted) and fact.config.sensitive is not None:
            self._sensitive.add(fact.path)
        fields = attrs.asdict(fact, recurse=False)
        del fields["instance_id"], fields["time"]
        if "output" in fields and fields.get("path") in self._sensitive:
            fields = {"sensitive" if name == "output" else name: value for name, value in fields.items()}
            fields["sensitive"] = True
        return {_NAMES.get(name, name): _PLAIN.get(name, _same)(value) for name, value in fields.items()}


def _event(event: ReceivedEvent[Any]) -> dict[str, Any]:
    return {**event, "timestamp": event.timestamp.isoformat()}


def _error(error: BaseException) -> dict[str, str]:
    return {"name": type(error).__name__, "message": _message(error)}


def _message(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:
        return representation(error)


def _same(value: object) -> object:
    return value


#: What of ours isn't JSON by itself.
_PLAIN: Final[dict[str, Callable[[Any], Any]]] = {
    "config": as_mapping,
    "error": _error,
    "event": _event,
    "timestamp": datetime.isoformat,
}


def in_one_line(fact: dict[str, Any]) -> str:
    """As JSON, whatever the values are."""
    try:
        return _dumps(fact)
    except (TypeError, ValueError, RecursionError):  # an odd key, NaN, a circle: one of the values is to blame, not all
        return _dumps({name: _held(value) for name, value in fact.items()})


def _held(value: Any) -> Any:
    try:
        _dumps(value)
    except (TypeError, ValueError, RecursionError):
        return _shown(value)
    return value


def _dumps(value: Any) -> str:
    return json.dumps(value, default=_shown, allow_nan=False)


def _shown(value: object) -> Any:
    return {"$repr": representation(value)}


def _told(kind: str) -> Callable[[Feed, Any], None]:
    return lambda feed, fact: feed.told(kind, fact)


for _kind in FACTS:
    setattr(Feed, _kind, _told(_kind))  # every fact that there is, in the same way
