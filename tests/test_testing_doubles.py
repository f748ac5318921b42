"""Before doubles a workflow does what it does without them, and says the same about itself."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Coroutine
from datetime import datetime, timedelta
from typing import Any

import attrs
import pytest
import trio
from hypothesis import HealthCheck, given, settings

from tests.agreement import everywhere
from trioflow import (
    ConfigError,
    DefinitionError,
    StepContext,
    WorkflowEntrypoint,
    WorkflowStep,
    open_run,
    run_workflow,
    workers,
)
from trioflow.abc import AttemptStarted, Instrument
from trioflow.executors import Threads
from trioflow.testing import DagSpec, Modifiers, check, gated, run_dag, run_virtually
from trioflow.testing.strategies import dags, seeds
from trioflow.trace import Recorder

PLACE = f"{__file__}:"


def run_before_doubles(workflow: Any, params: object = None, **options: Any) -> Coroutine[Any, Any, Any]:
    return run_workflow(Modifiers().apply(workflow), params, **options)


@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.too_slow])
@given(dags(spread=False, inner=True), seeds())
def test_a_random_workflow_keeps_all_promises_before_doubles(spec: DagSpec, seed: int) -> None:
    check(spec, run_dag(spec, run_workflow=run_before_doubles, seed=seed))


@settings(deadline=None, max_examples=100, suppress_health_check=[HealthCheck.too_slow])
@given(dags(spread=True), seeds())
def test_and_everything_happens_when_it_would(spec: DagSpec, seed: int) -> None:
    check(spec, run_dag(spec, run_workflow=run_before_doubles, seed=seed))


# -------------------------------------------------------------------------------------------------- kinds of workflows


class Stock(WorkflowEntrypoint):
    async def run(self, event: Any, step: WorkflowStep) -> Any:
        return type(self) is Stock, self.env, event.workflowName, event.payload


class Plain:
    """No subclass of ours, and with an `__init__` of its own."""

    env = None

    def __init__(self) -> None:
        self.made = True

    def run(self, event: Any, step: WorkflowStep) -> Any:
        return self.made, self.env, event.workflowName, event.payload


class Callable_:
    async def __call__(self, event: Any, step: WorkflowStep) -> Any:
        return True, None, event.workflowName, event.payload


def plain(event: Any, step: WorkflowStep) -> Any:
    return True, None, event.workflowName, event.payload


async def with_more(more: object, event: Any, step: WorkflowStep) -> Any:
    return True, None, event.workflowName, event.payload


@pytest.mark.parametrize("workflow", [Stock, Plain, Callable_(), plain, functools.partial(with_more, 1)])
async def test_each_kind_of_workflow_is_run_as_it_is(workflow: Any) -> None:
    env = 7 if isinstance(workflow, type) else None
    doubled = Modifiers().apply(workflow)
    expected = await run_workflow(workflow, {"day": 1}, env=env)
    assert expected[0]
    assert await run_workflow(doubled, {"day": 1}, env=env) == expected
    async with open_run(doubled, {"day": 1}, env=env) as run:
        assert await run.result() == expected
    assert doubled.__doc__ == workflow.__doc__


async def test_what_is_no_workflow_is_refused_as_ever() -> None:
    class Nothing:
        pass

    def generator(event: Any, step: WorkflowStep) -> Any:
        yield

    class Generator:
        def run(self, event: Any, step: WorkflowStep) -> Any:
            yield

    mods = Modifiers()
    with pytest.raises(DefinitionError, match="'Flow' is not a workflow"):
        mods.apply("Flow")  # type: ignore[type-var]
    with pytest.raises(DefinitionError, match="has a `yield` in it"):
        mods.apply(generator)
    with pytest.raises(DefinitionError, match="Nothing is not a workflow: it has no run"):
        await run_workflow(mods.apply(Nothing))  # type: ignore[arg-type]
    with pytest.raises(DefinitionError, match="has a `yield` in it"):
        await run_workflow(mods.apply(Generator))


async def test_a_workflow_for_cloudflare_keeps_its_own_reading_and_defaults(
    autojump_clock: trio.testing.MockClock,
) -> None:
    class Theirs(workers.WorkflowEntrypoint):
        async def run(self, event: Any, step: Any) -> Any:
            @step.do("a")
            async def a() -> str:
                return "real"

            before = event.timestamp
            await step.sleep_until("naive", event.timestamp + timedelta(hours=1))
            received = await step.wait_for_event("w", "go")
            assert received.timestamp.tzinfo is None
            return before.tzinfo, await a(), trio.current_time(), received.payload["by"]

    mods = Modifiers()
    mods.mock_step_error("a", OSError, times=2)
    mods.disable_sleeps("naive")
    mods.mock_event("go", {"by": "ann"})
    assert await run_workflow(mods.apply(Theirs)) == (None, "real", 30.0, "ann")
    again = Modifiers()
    again.disable_retry_delays()
    again.disable_sleeps()
    assert await run_workflow(again.apply(mods.apply(Theirs))) == (None, "real", 30.0, "ann")  # the clock goes on


def test_doubles_of_doubles_play_both_books() -> None:
    async def flow(event: Any, step: WorkflowStep) -> Any:
        @step.do(config={"retries": {"limit": 5, "delay": "10 seconds", "backoff": "constant"}})
        async def a(ctx: StepContext) -> int:
            return ctx.attempt

        await step.sleep("s", "1 day")
        await step.sleep("t", "1 minute")
        return await a(), trio.current_time()

    inner, outer = Modifiers(), Modifiers()
    inner.fail("a", OSError)
    inner.disable_sleeps("s")
    outer.fail("a", KeyError, attempt=2)
    outer.disable_sleeps("t")
    assert run_virtually(inner.apply(flow), modifiers=outer) == (3, 20.0)
    outer.disable_retry_delays()
    assert run_virtually(inner.apply(flow), modifiers=outer) == (3, 0.0)


async def test_runs_at_the_same_time_go_through_the_book_each_for_itself(autojump_clock: object) -> None:
    """Also where one profile is used for several runs, as behind gates."""

    async def flow(event: Any, step: WorkflowStep) -> int:
        @step.do(config={"retries": {"limit": 5, "delay": event.payload}})
        async def a(ctx: StepContext) -> int:
            return ctx.attempt

        return await a()

    mods, attempts = Modifiers(), []
    mods.fail("a", OSError)
    mods.fail("a", OSError, attempt=2)

    async def run(workflow: Any, delay: int) -> None:
        attempts.append(await run_workflow(workflow, delay))

    for workflow in (mods.apply(flow), gated(mods.apply(flow)), mods.apply(gated(flow))):
        async with trio.open_nursery() as nursery:
            for delay in (300, 100, 200):
                nursery.start_soon(run, workflow, delay)
    assert attempts == [3] * 9


async def test_events_go_through_all_doubles_once(autojump_clock: object) -> None:
    async def flow(event: Any, step: WorkflowStep) -> list[Any]:
        return [(await step.wait_for_event("w", "e")).payload for _ in range(5)]

    inner, outer = Modifiers(), Modifiers()
    inner.mock_event("e", "inner")
    outer.mock_event("e", "outer")
    inner.duplicate_event("e")
    outer.lose_event("e", number=5)
    async with open_run(outer.apply(inner.apply(flow))) as run:
        run.send_event("e", 1)
        await trio.testing.wait_all_tasks_blocked()
        run.send_event("e", 2)
        run.send_event("e", 3)
        assert sorted(map(str, await run.result())) == ["1", "3", "inner", "inner", "outer"]


def test_instruments_hear_the_same_and_one_that_raises_is_removed() -> None:
    class Bad(Instrument):
        def attempt_started(self, fact: AttemptStarted, /) -> None:
            raise RuntimeError

    def heard(modifiers: Modifiers | None) -> list[Any]:
        recorder = Recorder()
        run_virtually(bodies, modifiers=modifiers, instruments=[recorder, Bad()], instance_id="i")
        return [(type(fact).__name__, getattr(fact, "path", None)) for fact in recorder.events]

    assert heard(None) == heard(Modifiers())
    assert heard(None)


# ----------------------------------------------------------------------------------------------------- kinds of bodies


class Adder:
    def __init__(self, by: int) -> None:
        self.by = by

    def plus(self, base: int) -> int:
        return base + self.by

    async def aplus(self, base: int, *, ctx: StepContext) -> int:
        return base + self.by * ctx.attempt

    def __call__(self, base: int) -> int:
        return base + self.by


class AsyncAdder(Adder):
    async def __call__(self, base: int) -> int:  # type: ignore[override]
        return base + self.by


def decorated(fn: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(fn)
    def wrapper(*args: Any) -> Any:
        return fn(*args)

    return wrapper


@decorated
async def behind_a_wrapper(base: int) -> int:
    return base + 6


def with_default(base: int, by: int = 7, /, *rest: int, ctx: StepContext) -> int:
    return base + by + len(rest) + ctx.attempt


async def bound(base: int, extra: int, ctx: StepContext, more: int = 0) -> int:
    return base + extra + more + ctx.attempt


BODIES: list[tuple[Any, Any]] = [
    (Adder(1).plus, None),
    (Adder(2).aplus, None),
    (Adder(3), "named"),
    (AsyncAdder(4), None),
    (behind_a_wrapper, None),
    (with_default, None),
    (functools.partial(bound, extra=8), None),
    (functools.partial(functools.partial(bound, more=3), extra=9), "twice"),
    (functools.partial(Adder(2).aplus), None),
]


async def bodies(event: Any, step: WorkflowStep) -> list[Any]:
    @step.do()
    def base() -> int:
        return 100

    @step.do(executor=Threads())
    def elsewhere(base: int, *, more: int = 1) -> int:
        return base + more

    declared = [step.do(name)(body) for body, name in BODIES]
    return [(s.name, await s(), s.place) for s in (base, elsewhere, *declared)]


def test_each_kind_of_body_is_run_as_it_is() -> None:
    assert run_virtually(bodies, modifiers=Modifiers()) == run_virtually(bodies)


def test_each_kind_of_body_can_be_late_and_then_fail() -> None:
    mods = Modifiers()

    async def main() -> list[Any]:
        with pytest.raises(KeyError):
            await run_workflow(mods.apply(bodies))
        return list(mods.unused)

    for name in ("elsewhere", "plus", "aplus", "named", "AsyncAdder", "behind_a_wrapper", "with_default", "twice"):
        mods = Modifiers()
        mods.delay(name, "1 second")
        mods.fail(name, KeyError, after=True)
        assert trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0)) == []


def test_names_mean_the_same_steps_in_loops_and_in_bodies() -> None:
    async def flow(event: Any, step: WorkflowStep) -> list[Any]:
        stores = []
        for page in range(3):

            @step.do("fetch")
            async def fetch(page: int = page) -> int:
                return page

            @step.do("store")
            async def store(fetch: int, log: str) -> tuple[int, str]:
                @step.do("inner")
                async def inner(fetch: int) -> int:
                    return fetch * 10

                return await inner(), log

            @step.do("log")
            async def log(fetch: int) -> str:
                return f"log {fetch}"

            stores.append(store)
        return [await store() for store in stores]

    mods = Modifiers()
    assert run_virtually(flow) == run_virtually(flow, modifiers=mods)
    mods.mock_step_result(("fetch", 2), 7)
    mods.mock_step_result([("store", 3), "inner"], "mocked")
    assert run_virtually(flow, modifiers=mods) == [(20, "log 0"), (20, "log 7"), ("mocked", "log 2")]


# ------------------------------------------------------------------------------------------------ mistakes, and places


def mistakes(step: WorkflowStep, event: Any) -> list[Callable[[], object]]:
    async def body(nothing: int) -> None: ...

    return [
        lambda: step.do(body),  # type: ignore[arg-type]
        lambda: step.do("a", depends=[3])(body),  # type: ignore[list-item]
        lambda: step.do("a", depends="b")(body),  # type: ignore[arg-type]
        lambda: step.do("a", depends=[])(body),
        lambda: step.do("a" * 300)(body),
        lambda: step.do("a", config={"timeout": "1 second"})(lambda: None),
        lambda: step.do("a", config={"timeout": -1})(body),
        lambda: step.sleep("s", "soon"),
        lambda: step.sleep(3, 3),  # type: ignore[arg-type]
        lambda: step.sleep_until("s", datetime(2026, 1, 1)),
        lambda: step.sleep_until("s", event.timestamp - timedelta(days=1)),
        lambda: step.wait_for_event("w", 3),  # type: ignore[arg-type]
        lambda: step.wait_for_event("w", "e", timeout="soon"),
    ]


def test_mistakes_are_told_in_the_same_words_and_with_the_same_places() -> None:
    async def flow(event: Any, step: WorkflowStep) -> list[str]:
        said = []
        for mistake in mistakes(step, event):
            with pytest.raises((DefinitionError, ConfigError)) as caught:
                mistake()
            said.append(str(caught.value).partition(" (it is now")[0])
        return said

    def without_times(said: list[str]) -> list[str]:
        return [text.partition("20")[0] if "sleep 's'" in text else text for text in said]

    real = run_virtually(flow)
    assert without_times(run_virtually(flow, modifiers=Modifiers())) == without_times(real)
    assert sum(PLACE in text for text in real) >= 6


@pytest.mark.parametrize("config", [None, {"retries": {"limit": 1, "delay": 1}, "timeout": "1 second"}])
def test_a_plain_function_has_a_timeout_only_if_it_was_given_one_which_is_refused(config: Any) -> None:
    async def flow(event: Any, step: WorkflowStep) -> Any:
        step.do("a", config=config)(lambda: None)

    mods = Modifiers()
    mods.disable_retry_delays()
    defaults: Any = {"retries": {"limit": 1, "delay": 1}, "timeout": "1 second"}
    if config is None:
        run_virtually(flow, modifiers=mods, defaults=defaults)
    else:
        with pytest.raises(DefinitionError, match="has a timeout but a plain function"):
            run_virtually(flow, modifiers=mods, defaults=defaults)


def test_what_nobody_awaits_is_reported_where_it_was_made() -> None:
    async def flow(event: Any, step: WorkflowStep) -> None:
        step.sleep("s", 1)
        step.sleep_until("u", event.timestamp + timedelta(days=1))
        step.wait_for_event("w", "e")

    places = []
    for workflow in (flow, Modifiers().apply(flow), Modifiers().apply(Modifiers().apply(flow))):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            run_virtually(workflow)
        places.append([(str(w.message), w.filename, w.lineno) for w in caught])
    assert places[0] == places[1] == places[2]
    assert [line for _, _, line in places[0]] == [flow.__code__.co_firstlineno + n for n in (1, 2, 3)]


def test_pauses_that_have_succeeded_are_kept_over_attempts() -> None:
    times = []

    async def flow(event: Any, step: WorkflowStep) -> None:
        @step.do(config={"retries": {"limit": 1, "delay": "1 second"}})
        async def a(ctx: StepContext) -> None:
            await step.sleep("s", "1 hour")
            received = await step.wait_for_event("w", "e")
            times.append((trio.current_time(), received.payload))
            if ctx.attempt == 1:
                raise OSError

        await a()

    mods = Modifiers()
    mods.mock_event("e", 1)
    mods.mock_event("e", 2)
    run_virtually(flow, modifiers=mods)
    assert times == [(3600.0, 1), (3601.0, 1)]


async def test_an_event_can_be_sent_as_long_as_somebody_waits(autojump_clock: object) -> None:
    """The post's double asks the real one who waits."""
    got: list[Any] = []

    async def flow(event: Any, step: WorkflowStep) -> None:
        @step.do()
        async def stubborn() -> None:
            with trio.CancelScope(shield=True):
                got.append((await step.wait_for_event("w", "e")).payload)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(stubborn)
            await trio.sleep(1)
            nursery.cancel_scope.cancel()

    async with open_run(Modifiers().apply(flow)) as run:
        await trio.sleep(2)
        run.send_event("e", 3)
        await run.result()
    assert got == [3]


def test_contextvars_and_cancellation_reach_a_body_through_its_double() -> None:
    @attrs.define
    class Seen:
        cancelled: bool = False

    async def flow(event: Any, step: WorkflowStep) -> str | None:
        @step.do()
        async def slow() -> None:
            try:
                await trio.sleep_forever()
            except trio.Cancelled:
                event.payload.cancelled = True
                raise

        with trio.move_on_after(5):
            await slow()
        return slow.reason

    seen = Seen()
    mods = Modifiers()
    mods.delay("slow", "1 second")
    assert run_virtually(flow, seen, modifiers=mods) == "a deadline has passed for the one who awaited it"
    assert seen.cancelled


@pytest.mark.slow
def test_whoever_is_cancelled_at_a_step_of_a_task_is_so_as_without_doubles(monkeypatch: pytest.MonkeyPatch) -> None:
    """`tests.agreement.everywhere` has the programs and the judge."""
    monkeypatch.setattr(everywhere, "run_workflow", run_before_doubles)
    monkeypatch.setattr(
        everywhere, "open_run", lambda flow, *args, **kw: open_run(Modifiers().apply(flow), *args, **kw)
    )
    tally = everywhere.cancel_everywhere(list(everywhere.PROGRAMS)[:3], 101)
    assert not tally.bad
    assert tally.ends.total() > 5
