"""A gate before each body, so that which step comes first is for the schedule to say.

A lane of trioflow's runs body after body in one step of its task as long as none of them blocks. Trio has no say in that,
and so no schedule has: bodies without an await of their own always came in the same order. Here each begins with a
checkpoint, as if it had a little to wait for, and a plain function becomes one that does. That is no order that a
run may not come to: which of several ready steps is first has never been promised, nor that nothing comes between.

Bodies with an executor are called in place: when a thread ends is nobody's choice and can't be replayed. To the others
it is what it was, something that takes a moment: there is a checkpoint behind the call as well.
"""

from __future__ import annotations

import datetime
import functools
import inspect
from collections.abc import Callable
from typing import Any, Final, Protocol, final

import attrs
import trio

from trioflow._declare import WorkflowStep
from trioflow._elsewhere import Elsewhere
from trioflow._policy import StepConfig
from trioflow._run import Run
from trioflow._signature import _parameters, signature_of
from trioflow._sleep import WallClock
from trioflow._step import is_awaitable
from trioflow._views import WorkflowEvent
from trioflow._workflow import Profile, _function_of

__all__ = ["Log", "gated"]

#: What the wall clock of an explored run says at its start: always the same, or no run would be like another.
START: Final = datetime.datetime(2000, 1, 1, tzinfo=datetime.UTC)


class Log(Protocol):
    """Is told what bodies do, in whose task."""

    def __call__(self, what: str, detail: object = None, /) -> None:
        """`what` is "begins", "returns", "raises" or "is cancelled"; the detail what it receives, returns or raises."""


def _no_log(what: str, detail: object = None) -> None:
    """Nobody wants to know."""


def gated(
    workflow: Any, *, env: object = None, log: Log = _no_log, seen: Callable[[Run], None] | None = None
) -> Callable[..., Any]:
    """The same workflow, to be run under chosen schedules: `await run_workflow(gated(Report), params)`.

    `explore` does that by itself with the workflow that it is given. Use it in a program that calls `run_workflow` itself.

    Args:
        workflow: A class or a function, as for `run_workflow`.
        env: For a class: here, and not with `run_workflow`.
        log: Is told when bodies begin and end.
        seen: Is told of the run, once it begins.
    """

    @functools.wraps(workflow, updated=())
    def stand_in(event: Any, step: Any) -> Any:
        """Never called: the profile gives the workflow's own function."""

    profile = _Gating(workflow, env, log, seen)
    stand_in.__name__ = getattr(workflow, "__name__", type(workflow).__name__)
    stand_in.__trioflow_profile__ = lambda: profile  # type: ignore[attr-defined]
    return stand_in


@final
class _Gating(Profile):
    """Somebody's profile, with a gate before each body and a wall clock that always starts at the same time."""

    def __init__(self, workflow: Any, env: object, log: Log, seen: Callable[[Run], None] | None) -> None:
        self.workflow = workflow
        self.made_with = env
        self.log = log
        self.seen = seen
        self.inner: Profile = getattr(workflow, "__trioflow_profile__", Profile)()

    def function(self, fn: Callable[..., Any]) -> Callable[..., Any]:
        return _function_of(self.workflow, self.made_with, self.inner)

    def given(self, event: WorkflowEvent[Any], run: Run) -> tuple[Any, Any]:
        run.clock = WallClock(START, run.clock.start_in_trio)
        event["timestamp"] = START
        if self.seen is not None:
            self.seen(run)
        given, step = self.inner.given(event, run)
        return given, self.adapted(step)

    def adapted(self, step: Any) -> Any:
        if not isinstance(step, WorkflowStep):  # somebody's own `step`, with ours in it
            return attrs.evolve(step, step=self.adapted(step._step))
        before = step._adapt

        def adapt(
            fn: Callable[..., Any], config: StepConfig | None, stoppable: bool
        ) -> tuple[Callable[..., Any], StepConfig | None]:
            if isinstance(fn, Elsewhere):
                fn = Elsewhere(_InPlace(), fn._fn)
            if before is not None:
                fn, config = before(fn, config, stoppable)
            return _with_gate(fn, self.log), config

        return attrs.evolve(step, adapt=adapt)


class _InPlace:
    """An executor that calls the body here and now."""

    async def run_sync(self, fn: Callable[..., Any], /, *args: Any) -> Any:
        value = fn(*args)
        await trio.lowlevel.checkpoint()
        return value


def _with_gate(fn: Callable[..., Any], log: Log) -> Callable[..., Any]:
    async def behind_gate(*args: Any, **keywords: Any) -> Any:
        await trio.lowlevel.checkpoint()
        log("begins", (args, keywords))
        try:
            value = fn(*args, **keywords)
            if is_awaitable(value):
                value = await value
        except trio.Cancelled:
            log("is cancelled")
            raise
        except BaseException as exc:
            log("raises", exc)
            raise
        log("returns", value)
        return value

    def plain(*args: Any, **keywords: Any) -> Any:
        return behind_gate(*args, **keywords)  # which the machine awaits: it looks at what a plain function gives

    stand_in: Callable[..., Any] = functools.update_wrapper(behind_gate if signature_of(fn).is_native else plain, fn)
    stand_in.__signature__ = inspect.Signature(_parameters(fn))  # type: ignore[attr-defined]
    return stand_in
