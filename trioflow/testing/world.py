"""Making it happen: any runtime, on a generated workflow, in virtual time.

`run_dag` runs a `DagSpec` on a runtime and returns a `Trace`: what the bodies of the steps and those who awaited them
saw, in the order in which they saw it. `judge` compares it with the promises. Both see the runtime through
`run_workflow` and the `step` that it hands out and through nothing else, so that another runtime, or one that was
broken on purpose, can be put under the same checks.

**Schedules.** Trio by itself only shuffles the tasks that become runnable together, and under Hypothesis it shuffles
them the same way every time. With a `seed`, `run_dag` chooses their order instead (`turnstile`). As in Trio, everything
that is runnable gets its turn before anything gets its second.
"""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Awaitable, Callable
from typing import Any, Literal, final

import attrs
import trio
from trio.testing import MockClock

import trioflow
from trioflow._trio_private import cancelling_in_order
from trioflow.testing.schedules import RandomWalk
from trioflow.testing.spec import BodyError, DagSpec, FinalError
from trioflow.testing.turnstile import Turnstile

__all__ = ["Event", "Trace", "Value", "run_dag"]

PATIENCE = 1_000_000
"""Virtual seconds after which a run is said to hang."""


# ------------------------------------------------------------------------------------------------------------- traces


@final
@attrs.frozen(repr=False)
class Event:
    """Something that a body or a waiter saw."""

    #: In seconds since the run began.
    time: float
    #: "ask" and "answer" of a waiter; "start", "cancelled" and "end" of a body; "again": a step that is settled was
    #: awaited once more; "closing": the workflow's function is over; "over": `run_workflow` is.
    kind: Literal["ask", "answer", "start", "cancelled", "end", "again", "closing", "over"]
    #: Of a waiter: the demand's number, or -1 - i for the body of step i. Otherwise: the step's number. -1 for the run.
    who: int
    #: "ask": which step. "start": with what arguments. "answer", "end", "again", "over": how ("value", "error",
    #: "cancelled", "closed") and the object itself.
    detail: Any = None
    #: "start" of a step with a policy: which attempt it is, says the context. None: it was given none.
    attempt: int | None = None

    @property
    def how(self) -> str:
        """The first half of the detail of an "answer", "end", "again" or "over"."""
        return str(self.detail[0])

    def __str__(self) -> str:
        who = "run" if self.who < 0 else f"s{self.who}"
        if self.kind in ("ask", "answer"):
            who = f"demand {self.who}" if self.who >= 0 else f"s{-1 - self.who}'s own await"
        match self.kind, self.detail:
            case _, None:
                what = ""
            case "ask", target:
                what = f" s{target}"
            case "start", arguments:
                what = "" if self.attempt is None else f" attempt {self.attempt}"
                what += f" with {', '.join(map(repr, arguments)) or 'no arguments'}"
            case _:
                how, thing = self.detail
                what = f" {how}" if thing is None else f" {how} {thing!r}"
        return f"{self.time:>12.6f}  {who} {self.kind}{what}"

    def __repr__(self) -> str:
        return f"<Event {self}>"


@final
@attrs.frozen(repr=False, eq=False)
class Value:
    """What the body of a generated step returns: a new object at each execution, so that identity can be judged."""

    node: int
    execution: int

    def __repr__(self) -> str:
        return f"<value {self.execution} of s{self.node}>"


@final
@attrs.frozen
class Trace:
    """What was seen in one run, in order. `str(trace)` is a timeline."""

    events: tuple[Event, ...]

    def __str__(self) -> str:
        return "\n".join(map(str, self.events))


# -------------------------------------------------------------------------------------------------- making it happen


def run_dag(
    spec: DagSpec, *, run_workflow: Callable[..., Awaitable[Any]] = trioflow.run_workflow, seed: int | None = None
) -> Trace:
    """Run `spec` on a runtime in a Trio program of its own, in virtual time, and return what was seen.

    Not async: it brings `trio.run` and a `MockClock` along. `run_workflow` is called once, as
    `run_workflow(workflow, None)`, with `workflow` a function `(event, step)` that uses nothing of `step` but
    `step.do(name, depends=…, concurrent=…)`, and awaits what that returns. Steps with a policy, and no others, are declared
    with `config=…` besides, a dict with Cloudflare's keys and durations in seconds as text, and their bodies have a
    parameter `ctx`, keyword-only, of which they read `ctx.attempt`. With a `seed` the order in which tasks that are
    runnable at the same time take their turns is drawn from it; the same seed gives the same trace.

    Nothing that the runtime does wrong is raised here, as long as Trio itself stands: it is in the trace, for `check`.
    """
    world = _World(spec, run_workflow)
    with cancelling_in_order():
        trio.run(world.main, seed, clock=MockClock(autojump_threshold=0))
    return Trace(tuple(world.events))


@final
class _World:
    """The workflow of a spec, those who await its steps, and the notes that they take."""

    def __init__(self, spec: DagSpec, run_workflow: Callable[..., Awaitable[Any]]) -> None:
        self.spec = spec
        self.run_workflow = run_workflow
        self.events: list[Event] = []
        self.steps: list[Callable[[], Awaitable[Any]]] = []
        self.declared = trio.Event()
        self.executions = [0] * len(spec.nodes)
        self.since = 0.0

    def note(self, kind: Any, who: int = -1, detail: Any = None, attempt: int | None = None) -> None:
        self.events.append(Event(trio.current_time() - self.since, kind, who, detail, attempt))

    async def main(self, seed: int | None) -> None:
        if seed is not None:
            await trio.lowlevel.checkpoint()  # after which no task but this one is under way
            trio.lowlevel.add_instrument(Turnstile(RandomWalk(seed).chooser(), fair=True))
        self.since = trio.current_time()
        with trio.move_on_after(PATIENCE):
            async with trio.open_nursery() as foreign:
                for k in range(len(self.spec.demands)):
                    if self.spec.is_stranger(k):
                        foreign.start_soon(self.stranger, k, name=f"demand {k}")
                foreign.start_soon(self.host, name="host")

    async def host(self) -> None:
        with trio.CancelScope(deadline=self.since + self.spec.cancelled_at()):
            try:
                self.note("over", -1, ("value", await self.run_workflow(self.workflow, None)))
            except Exception as exc:
                self.note("over", -1, ("error", exc))
            except BaseException:
                self.note("over", -1, ("cancelled", None))
                raise
            finally:
                self.declared.set()  # it may be that the workflow has never begun

    async def workflow(self, event: Any, step: Any) -> str:
        try:
            for i in range(len(self.spec.nodes)):
                self.steps.append(self.declare(step, i))
            self.declared.set()
            if self.spec.return_at is not None:
                await trio.sleep_until(self.since + self.spec.returns_at())
            else:
                async with trio.open_nursery() as nursery:
                    for k in range(len(self.spec.demands)):
                        if not self.spec.is_stranger(k):
                            nursery.start_soon(self.demand, k, name=f"demand {k}")
                await self.ask_again()
        finally:
            self.note("closing")
        return "done"

    async def stranger(self, k: int) -> None:
        await self.declared.wait()
        if self.steps:
            await self.demand(k)

    async def demand(self, k: int) -> None:
        if self.spec.asks_at(k):
            await trio.sleep_until(self.since + self.spec.asks_at(k))
        with trio.CancelScope(deadline=trio.current_time() + self.spec.timeout(k)), contextlib.suppress(Exception):
            await self.ask(k, self.spec.target(k))  # an error is in the notes

    async def ask(self, waiter: int, target: int) -> None:
        self.note("ask", waiter, target)
        try:
            with trio.CancelScope(deadline=self.since + PATIENCE):  # inside whatever shield there may be
                value = await self.steps[target]()
        except trioflow.RunClosedError as exc:
            self.note("answer", waiter, ("closed", exc))
            raise
        except Exception as exc:
            self.note("answer", waiter, ("error", exc))
            raise
        except BaseException:
            self.note("answer", waiter, ("cancelled", None))
            raise
        self.note("answer", waiter, ("value", value))

    async def ask_again(self) -> None:
        """Outcomes stay: await once more what is settled. An error that might be tried again settles nothing."""
        ends = (e for e in self.events if e.kind == "end")
        settled = {e.who for e in ends if e.how == "value" or (e.how == "error" and not self.spec.nodes[e.who].retries)}
        failed = (e.who for e in self.events if e.kind == "answer" and e.who >= 0 and e.how == "error")
        settled |= set(map(self.spec.target, failed))
        for i in sorted(settled):
            try:
                self.note("again", i, ("value", await self.steps[i]()))
            except Exception as exc:
                self.note("again", i, ("error", exc))

    def declare(self, step: Any, i: int) -> Callable[[], Awaitable[Any]]:
        node = self.spec.nodes[i]
        before = self.spec.dependencies(i)

        def sync_body(*args: Any, **kwargs: Any) -> Any:
            return self.sync_body(i, *args, **kwargs)

        async def async_body(*args: Any, **kwargs: Any) -> Any:
            return await self.async_body(i, *args, **kwargs)

        body: Any = sync_body if node.sync else async_body
        # A copy for each step: nothing but its parameters tells the runtime how many there are and what they are called.
        names = [self.spec.names[d] for d in before] if node.by_name else [f"p{k}" for k in range(len(before))]
        parameters = [inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD) for name in names]
        options: dict[str, Any] = {} if node.by_name else {"depends": [self.steps[d] for d in before]}
        if node.concurrent:
            options["concurrent"] = True
        if node.has_policy:
            options["config"] = self.config(i)
            parameters.append(inspect.Parameter("ctx", inspect.Parameter.KEYWORD_ONLY))
        body.__signature__ = inspect.Signature(parameters)
        decorated: Callable[[], Awaitable[Any]] = step.do(self.spec.names[i], **options)(body)
        return decorated

    def config(self, i: int) -> dict[str, Any]:
        """The policy of step i as people write it. Texts, because they keep every bit of a number of seconds."""
        node = self.spec.nodes[i]
        config: dict[str, Any] = {}
        if node.retries:
            delay = f"{self.spec.base_delay(i)!r} seconds"
            config["retries"] = {"limit": node.retries, "delay": delay, "backoff": node.backoff}
        if node.timeout is not None:
            config["timeout"] = f"{self.spec.attempt_timeout(i)!r} seconds"
        return config

    # ---- what bodies do

    def begin(self, i: int, args: tuple[Any, ...], kwargs: dict[str, Any]) -> int:
        """Note the start of an execution; which attempt it is. Where nobody says so, it is the first."""
        self.executions[i] += 1
        attempt = getattr(kwargs.pop("ctx", None), "attempt", None)
        self.note("start", i, (*args, *kwargs.values()), attempt)
        return attempt or 1

    def finish(self, i: int, execution: int, error: BodyError | None) -> Value:
        if error is not None:
            self.note("end", i, ("error", error))
            raise error
        value = Value(i, execution)
        self.note("end", i, ("value", value))
        return value

    def when_done(self, i: int, attempt: int) -> BodyError | None:
        """What an attempt of step i raises when its work is done, if anything."""
        node = self.spec.nodes[i]
        if not node.fails_in(attempt):
            return None
        return FinalError(i) if node.final and attempt > node.flaky else BodyError(i)

    def when_stopped(self, i: int) -> BodyError | None:
        """The same when it has been cancelled, and doesn't raise that again."""
        node = self.spec.nodes[i]
        if node.afterwards == "return":
            return None
        return FinalError(i) if node.final else BodyError(i)

    def sync_body(self, i: int, *args: Any, **kwargs: Any) -> Value:
        attempt = self.begin(i, args, kwargs)
        return self.finish(i, self.executions[i], self.when_done(i, attempt))

    async def async_body(self, i: int, *args: Any, **kwargs: Any) -> Value:
        attempt = self.begin(i, args, kwargs)
        execution = self.executions[i]
        try:
            await self.work(i)
        except trio.Cancelled:  # noqa: ASYNC103 - some bodies swallow it, to see what that does
            self.note("cancelled", i)
            if self.spec.cleanup(i):
                with trio.CancelScope(shield=True):
                    await trio.sleep(self.spec.cleanup(i))
            if self.spec.nodes[i].afterwards == "reraise":
                self.note("end", i, ("cancelled", None))
                raise
            return self.finish(i, execution, self.when_stopped(i))  # noqa: ASYNC104
        except Exception as exc:
            self.note("end", i, ("error", exc))
            raise
        return self.finish(i, execution, self.when_done(i, attempt))

    async def work(self, i: int) -> None:
        for target in self.spec.awaited_inside(i):
            await self.ask(-1 - i, target)
        if self.spec.seconds(i):
            await trio.sleep(self.spec.seconds(i))
        elif self.spec.nodes[i].checkpoint:
            await trio.lowlevel.checkpoint()
