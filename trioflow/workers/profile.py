"""What a workflow written for Cloudflare is given: their defaults, their reading of moments, their kind of event.

A class has this profile if it derives from `workers.WorkflowEntrypoint`, wherever it is defined and whoever runs it. One
that derives from `trioflow.WorkflowEntrypoint`, and a function, is native, whether or not the modules are installed: what a
workflow means must not depend on who has loaded it.

* A step without `retries` is tried again five times, after 10, 20, 40, 80 and 160 seconds, and an attempt has 10 minutes,
  as the documentation says. (The local engine takes 1 second; its source and the documentation have never agreed.) What
  `config` leaves out, or says None of, is the default's. A plain `def` has no timeout, even if one is asked for: nothing
  can interrupt it, neither here nor there. `defaults=` of `run_workflow` takes the place of theirs.
* `event.timestamp` and that of a received event are naive and say local time, so that they can be compared with
  `datetime.now()` and handed to `step.sleep_until`. In production local time is UTC. Payloads have their keys as attributes.
* `step.sleep_until` takes a naive datetime for local time, and a number for milliseconds since 1970. (Their Python manual
  says seconds; their code, and their manual for JavaScript, say milliseconds.) A number that can only be seconds is
  refused: as milliseconds it is a moment of 1970.
* An event's type that production refuses is warned of.
* If its file, or one of the project's that it imports, imports asyncio, `run` and the bodies may use that.
"""

from __future__ import annotations

import re
import sys
import warnings
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Final, final
from weakref import WeakKeyDictionary

import attrs
from trio.lowlevel import enable_ki_protection

from .._declare import StepDecorator
from .._declare import WorkflowStep as NativeStep
from .._errors import ConfigError
from .._policy import Retries, StepConfig
from .._run import Run
from .._time import Duration, is_number, named
from .._views import ReceivedEvent, WorkflowEvent
from .._waits import Wait
from .._workflow import Profile
from .env import Bindings, bindings_of
from .values import JsDict, rebuilt

#: What the documentation says of a step that says nothing itself.
DEFAULTS: Final = StepConfig(Retries(5, timedelta(seconds=10)), timedelta(minutes=10))

#: What an event's type may consist of there. Ours may be any text, as with the local engine.
_DEPLOYABLE_TYPE: Final = re.compile(r"[a-zA-Z0-9_-]*")

#: Milliseconds since 1970: a smaller number was a moment before 1974, and is a moment to come if it counts seconds.
_SURELY_SECONDS: Final = 2**37


@final
@attrs.frozen
class CloudflareProfile(Profile):
    """The profile of classes that derive from `workers.WorkflowEntrypoint`."""

    #: What makes a function of one that may use asyncio, if the project does.
    _bridged: Callable[[Callable[..., Any]], Callable[..., Any]] | None = None

    def env(self, env: object) -> Bindings:
        return bindings_of(env)

    def function(self, fn: Callable[..., Any]) -> Callable[..., Any]:
        return fn if self._bridged is None else self._bridged(fn)

    def given(self, event: WorkflowEvent[Any], run: Run) -> tuple[Any, Any]:
        theirs: WorkflowEvent[Any] = WorkflowEvent(
            event, payload=_payload(event.payload), timestamp=_local(event.timestamp)
        )
        return theirs, WorkflowStep(NativeStep(run, partial(self._adapted, run.defaults or DEFAULTS), between=1))

    def _adapted(
        self, base: StepConfig, fn: Callable[..., Any], config: StepConfig | None, stoppable: bool
    ) -> tuple[Callable[..., Any], StepConfig]:
        """A body, and its configuration with what it leaves out."""
        given = config or base
        timeout = (given.timeout or base.timeout) if stoppable else None
        return self.function(fn), StepConfig(given.retries or base.retries, timeout, sensitive=given.sensitive)


#: Whether a project uses asyncio is read in its files, which a class is asked for once.
_profiles: Final[WeakKeyDictionary[type, CloudflareProfile]] = WeakKeyDictionary()


def profile_of(workflow: type) -> CloudflareProfile:
    """The profile of one class."""
    profile = _profiles.get(workflow)
    if profile is None:
        from .._asyncio import bridged, uses_asyncio  # not above: it takes a while, and brings asyncio along

        module = sys.modules.get(workflow.__module__)
        profile = CloudflareProfile(bridged if module is not None and uses_asyncio(module) else None)
        _profiles[workflow] = profile
    return profile


@final
@attrs.frozen(eq=False, repr=False)
class WorkflowStep:
    """The `step` of the original: ours, with their parameters' names and their reading of moments."""

    _step: NativeStep

    @property
    def do(self) -> Callable[..., StepDecorator]:
        """Ours itself, so that it is called from the user's own line, by which it knows a declaration."""
        return self._step.do

    @enable_ki_protection
    def sleep(self, name: str, duration: Duration) -> Wait[None]:
        """As `trioflow.WorkflowStep.sleep`."""
        return self._step.sleep(name, duration)

    @enable_ki_protection
    def sleep_until(self, name: str, timestamp: datetime | float) -> Wait[None]:
        """As `trioflow.WorkflowStep.sleep_until`; naive means local time, a number milliseconds since 1970."""
        return self._step.sleep_until(name, _moment(timestamp, name))

    @enable_ki_protection
    def wait_for_event(self, name: str, event_type: str, /, timeout: Duration = "24 hours") -> Wait[ReceivedEvent[Any]]:
        """As `trioflow.WorkflowStep.wait_for_event`; the event's timestamp is local time."""
        if isinstance(event_type, str) and not _DEPLOYABLE_TYPE.fullmatch(event_type):
            warnings.warn(
                f"wait {name!r}: Cloudflare refuses event type {event_type!r} in production: letters, digits, - and _ only",
                stacklevel=2,
            )
        wait = self._step.wait_for_event(name, event_type, timeout)
        wait._make = partial(_received, wait._make)
        return wait


@enable_ki_protection
async def _received(make: Callable[[], Coroutine[Any, Any, ReceivedEvent[Any]]]) -> ReceivedEvent[Any]:
    event = await make()
    return ReceivedEvent(event, payload=_payload(event.payload), timestamp=_local(event.timestamp))


def _payload(payload: Any) -> Any:
    return rebuilt(payload, JsDict, list)


def _local(when: datetime) -> datetime:
    try:
        return when.astimezone().replace(tzinfo=None)
    except OverflowError:  # the end of time, to which virtual time may come
        return when.replace(tzinfo=None)


def _moment(when: Any, name: str) -> Any:
    """The moment that the original reads, where ours wants an aware datetime; what it can't read either goes on."""
    if is_number(when) and 0 < when < _SURELY_SECONDS:
        raise ConfigError(
            f"sleep {name!r} can't last until {named(when)}: a number counts milliseconds since 1970, not seconds; "
            "write datetime.fromtimestamp(seconds)"
        )
    try:
        if isinstance(when, datetime) and when.utcoffset() is None:
            return when.astimezone()
        return datetime.fromtimestamp(when / 1_000, UTC) if is_number(when) else when
    except (OverflowError, OSError, ValueError) as exc:
        raise ConfigError(f"sleep {name!r} can't last until {named(when)}: no calendar goes there ({exc})") from None
