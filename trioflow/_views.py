"""What a user's function receives: real dictionaries whose keys are attributes too.

Cloudflare's Python SDK hands out mappings (files ask `isinstance(event, dict)` and write `event["payload"]`), people who
write for Trio expect attributes, and type checkers want fields. These are all three.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, Generic, TypeVar, final

P = TypeVar("P")


class _View(dict[str, Any]):
    """A dictionary that also answers to `view.key`."""

    __slots__ = ()

    if not TYPE_CHECKING:  # a checker shall know the declared fields only

        def __getattr__(self, name: str) -> Any:
            try:
                return self[name]
            except KeyError:
                raise AttributeError(f"{type(self).__name__} has no {name!r}; it has {', '.join(self)}") from None

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in self.items())})"


@final
class WorkflowEvent(_View, Generic[P]):
    """What started the run. `run` receives it as its first argument.

    >>> event = WorkflowEvent(payload={"day": 1}, instanceId="i-1")
    >>> event.payload["day"], event["instanceId"], "schedule" in event
    (1, 'i-1', False)
    """

    __slots__ = ()

    #: The run's `params`, as they were given; `{}` if there were none.
    payload: P
    #: When the run began: the machine's wall clock, aware, in UTC. The run's own wall clock goes on from there with Trio's.
    timestamp: datetime
    #: The run's id: `instance_id` as given, or a generated one.
    instanceId: str
    #: Name of the workflow's class or function.
    workflowName: str


@final
class ReceivedEvent(_View, Generic[P]):
    """An event that was sent to the run: what a `step.wait_for_event` gives.

    >>> event = ReceivedEvent(type="approval", payload={"by": "ann"}, timestamp=None)
    >>> event.payload["by"], event["type"], isinstance(event, dict)
    ('ann', 'approval', True)
    """

    __slots__ = ()

    #: Its type, as the sender named it.
    type: str
    #: What was sent, the object itself; None if nothing was.
    payload: P
    #: When it was sent, by the run's wall clock: aware, in UTC.
    timestamp: datetime


@final
class StepName(_View):
    """Which step it is."""

    __slots__ = ()

    name: str
    #: Which of the steps of that name, in the order of their declarations where this one is declared, from 1.
    count: int


@final
class StepContext(_View):
    """What a body that has a parameter called `ctx` receives.

    >>> ctx = StepContext(step=StepName(name="load", count=1), attempt=1, config={})
    >>> ctx.step.name, ctx["attempt"]
    ('load', 1)
    """

    __slots__ = ()

    step: StepName
    #: Which try of the body this is, from 1.
    attempt: int
    #: The step's configuration with Cloudflare's keys: `retries` (`limit`, `delay`, `backoff`) and `timeout`.
    config: Mapping[str, Any]
