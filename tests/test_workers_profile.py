"""A workflow of `workers.WorkflowEntrypoint` is given what it is given at Cloudflare; all others stay native."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from functools import partial
from typing import Any

import pytest
import trio
from trio.testing import MockClock

import trioflow
from trioflow import (
    ConfigError,
    NonRetryableError,
    Retries,
    StepConfig,
    WorkflowEvent,
    WorkflowTimeoutError,
    open_run,
    run_workflow,
)
from trioflow._sketch import sketch
from trioflow._sleep import LATEST
from trioflow.abc import Fact
from trioflow.executors import Threads
from trioflow.workers import Bindings, MissingBindingError, WorkflowEntrypoint
from trioflow.workers.profile import DEFAULTS, _local


@pytest.fixture(autouse=True, params=["UTC", "Asia/Kolkata", "America/New_York"])
def zone(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The machine's time zone."""
    monkeypatch.setenv("TZ", request.param)
    time.tzset()
    yield request.param
    monkeypatch.undo()
    time.tzset()


def workflow(run: Any, base: type = WorkflowEntrypoint) -> type:
    """A class with this `run(self, event, step)`."""
    return type("Theirs", (base,), {"run": run})


async def output(run: Any, params: object = None, **options: Any) -> Any:
    return await run_workflow(workflow(run), params, **options)


# ----------------------------------------------------------------------------------------------------------- defaults


async def attempts(config: Any, *, sync: bool = False, **options: Any) -> list[float]:
    """When the attempts of a step that always fails began."""
    times: list[float] = []

    async def run(self: Any, event: Any, step: Any) -> None:
        async def body() -> None:
            times.append(trio.current_time() - start)
            raise ValueError("no")

        def plain() -> None:
            times.append(trio.current_time() - start)
            raise ValueError("no")

        await step.do("x", None, False, config)(plain if sync else body)()

    start = trio.current_time()
    with pytest.raises(ValueError, match="no"):
        await output(run, **options)
    return times


@pytest.mark.parametrize(
    "config", [None, {}, {"retries": None}, {"timeout": None}, {"timeout": "1 minute"}, StepConfig()]
)
@pytest.mark.parametrize("sync", [False, True])
async def test_a_step_is_tried_again_as_the_documentation_says(
    autojump_clock: MockClock, config: Any, sync: bool
) -> None:
    assert await attempts(config, sync=sync) == pytest.approx([0, 10, 30, 70, 150, 310])


async def test_what_config_says_is_kept_and_what_it_leaves_out_is_the_defaults(autojump_clock: MockClock) -> None:
    contexts: list[Any] = []

    async def run(self: Any, event: Any, step: Any) -> None:
        @step.do(config={"retries": {"limit": 3, "delay": "1 second", "backoff": "linear"}})
        async def one(ctx: Any) -> None:
            contexts.append(ctx.config)

        @step.do(config={"timeout": 5000, "sensitive": "output"})
        async def two(one: Any, ctx: Any) -> None:
            contexts.append(ctx.config)

        @step.do(config={"retries": {"limit": 0, "delay": 0}, "timeout": "1 minute"})
        def three(two: Any, ctx: Any) -> None:
            contexts.append(ctx.config)

        @step.do()
        async def four(three: Any, ctx: Any) -> None:
            contexts.append(ctx.config)

        await four()

    await output(run)
    retries = {"limit": 5, "delay": 10_000, "backoff": "exponential"}
    assert contexts == [
        {"retries": {"limit": 3, "delay": "1 second", "backoff": "linear"}, "timeout": 600_000},
        {"retries": retries, "timeout": 5_000, "sensitive": "output"},
        {"retries": {"limit": 0, "delay": 0, "backoff": "exponential"}, "timeout": None},  # a plain `def`
        {"retries": retries, "timeout": 600_000},
    ]


async def test_an_attempt_has_ten_minutes(autojump_clock: MockClock) -> None:
    async def run(self: Any, event: Any, step: Any) -> float:
        @step.do(config={"retries": {"limit": 0, "delay": 0}})
        async def slow() -> None:
            await trio.sleep_forever()

        start = trio.current_time()
        with pytest.raises(WorkflowTimeoutError):
            await slow()
        return trio.current_time() - start

    assert await output(run) == pytest.approx(600)


async def test_a_plain_body_that_an_executor_calls_keeps_its_timeout() -> None:
    async def run(self: Any, event: Any, step: Any) -> Any:
        @step.do(config={"timeout": "1 minute"}, executor=Threads())
        def body(ctx: Any) -> Any:
            return ctx.config["timeout"]

        return await body()

    assert await output(run) == "1 minute"


async def test_defaults_of_ones_own_take_the_place_of_theirs(autojump_clock: MockClock) -> None:
    own = StepConfig(Retries(1, "2 seconds"))
    assert await attempts(None, defaults=own) == pytest.approx([0, 2])
    assert await attempts({"timeout": "1 minute"}, defaults=own) == pytest.approx([0, 2])
    assert (DEFAULTS.retries, DEFAULTS.timeout_seconds) == (Retries(5, "10 seconds"), 600)


async def test_an_error_that_is_not_to_be_retried_is_not(autojump_clock: MockClock) -> None:
    async def run(self: Any, event: Any, step: Any) -> float:
        @step.do()
        async def fails() -> None:
            raise NonRetryableError

        start = trio.current_time()
        with pytest.raises(NonRetryableError):
            await fails()
        return trio.current_time() - start

    assert await output(run) == 0


async def test_native_workflows_stay_native() -> None:
    async def run(self: Any, event: Any, step: Any) -> None:
        assert event.timestamp.tzinfo is UTC
        assert type(event.payload) is dict
        assert self.env is None
        assert type(step) is trioflow.WorkflowStep

        @step.do()
        async def fails(ctx: Any) -> None:
            assert ctx.config["timeout"] is None
            raise ValueError("no")

        with pytest.raises(ValueError, match="no"):
            await fails()

    await run_workflow(workflow(run, trioflow.WorkflowEntrypoint), {})
    await run_workflow(lambda event, step: run(workflow(run, trioflow.WorkflowEntrypoint)(), event, step), {})


# ------------------------------------------------------------------------------------------------------------ moments


async def until(timestamp: Any, *, by_name: bool = False) -> float:
    """How long a `sleep_until` took. A function is called with the event."""
    took = -1.0

    async def run(self: Any, event: Any, step: Any) -> None:
        nonlocal took
        when = timestamp(event) if callable(timestamp) else timestamp
        start = trio.current_time()
        await (step.sleep_until("x", timestamp=when) if by_name else step.sleep_until("x", when))
        took = trio.current_time() - start

    await output(run)
    return took


@pytest.mark.parametrize("by_name", [False, True])
async def test_a_naive_moment_is_local_time(autojump_clock: MockClock, by_name: bool) -> None:
    assert await until(lambda _: datetime.now() + timedelta(hours=1), by_name=by_name) == pytest.approx(3_600, abs=10)
    assert await until(lambda event: event.timestamp + timedelta(hours=1)) == pytest.approx(3_600)
    assert await until(lambda event: event["timestamp"]) == pytest.approx(0)


async def test_an_aware_moment_is_what_it_says(autojump_clock: MockClock) -> None:
    zone = timezone(timedelta(hours=7))
    assert await until(lambda _: datetime.now(zone) + timedelta(hours=1)) == pytest.approx(3_600, abs=10)


async def test_a_number_counts_milliseconds_since_1970(autojump_clock: MockClock) -> None:
    assert await until(lambda _: (time.time() + 3_600) * 1_000) == pytest.approx(3_600, abs=10)
    assert await until(lambda _: int(time.time() + 3_600) * 1_000) == pytest.approx(3_600, abs=10)


@pytest.mark.parametrize(
    ("when", "words"),
    [
        (lambda _: time.time() + 60, r"a number counts milliseconds since 1970, not seconds; write datetime\.from"),
        (lambda _: time.time() * 1_000 - 5_000, "which is 5 s past"),
        (0, "past"),
        (-1.0, "past"),
        (1e300, "no calendar goes there"),
        (float("nan"), "sleep 'x' can't last until nan"),
        (datetime.min, "no calendar goes there|past"),
        ("2030-01-01", "a text can be read in many ways"),
        (timedelta(hours=1), "that is a duration"),
        (True, "an aware datetime says when"),
        (None, "an aware datetime says when"),
    ],
)
async def test_what_is_no_moment_to_come_is_refused(when: Any, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        await until(when)


async def test_the_event_is_a_dictionary_with_a_naive_timestamp_in_local_time() -> None:
    async def run(self: Any, event: Any, step: Any) -> Any:
        assert isinstance(event, dict)
        assert type(event) is WorkflowEvent
        assert event["timestamp"] is event.timestamp
        assert event.timestamp.tzinfo is None
        assert abs(datetime.now() - event.timestamp) < timedelta(minutes=1)
        assert (event["instanceId"], event.workflowName) == ("i-1", "Theirs")
        assert event.get("schedule") is None
        with pytest.raises(KeyError):
            event["schedule"]
        return event["payload"]

    assert await output(run, instance_id="i-1") == {}
    given = {"user": {"id": 1}, "tags": [{"name": "a"}]}
    payload = await output(run, given, instance_id="i-1")
    assert payload == given
    assert (payload.user.id, payload.tags[0].name, payload is given) == (1, "a", False)
    assert await output(run, "text", instance_id="i-1") == "text"


async def test_an_event_that_is_waited_for_is_one_too(autojump_clock: MockClock) -> None:
    async def run(self: Any, event: Any, step: Any) -> Any:
        await step.sleep("a while", "1 hour")
        first = await step.wait_for_event("one", "approval", timeout="1 minute")
        assert isinstance(first, dict)
        assert first.timestamp - event.timestamp == timedelta(0)

        @step.do(config={"retries": {"limit": 1, "delay": 0}})
        async def body(ctx: Any) -> Any:
            second = await step.wait_for_event("two", "approval")
            assert second.timestamp.tzinfo is None
            if ctx.attempt == 1:
                raise ValueError
            return second["payload"]

        assert (await body()) == {"n": 2}
        with pytest.raises(WorkflowTimeoutError):
            await step.wait_for_event("three", "approval", timeout="1 minute")
        return first.payload.by.name

    async with open_run(workflow(run)) as handle:
        handle.send_event("approval", {"by": {"name": "ann"}})
        handle.send_event("approval", {"n": 2})
        assert await handle.result() == "ann"


async def test_instruments_are_told_aware_moments() -> None:
    told: list[Any] = []

    class Watcher:
        def workflow_started(self, fact: Fact) -> None:
            told.append(fact)

    async def run(self: Any, event: Any, step: Any) -> None: ...

    await output(run, {"a": 1}, instruments=[Watcher()])
    assert [type(fact.params) for fact in told] == [dict]


def test_the_end_of_time_has_a_local_time(zone: str) -> None:
    assert _local(LATEST).tzinfo is None


# ------------------------------------------------------------------------------------------------------------- places


def line() -> int:
    """The line of the caller."""
    import sys

    return sys._getframe(1).f_lineno


async def test_places_are_the_users_own_lines() -> None:
    places: list[tuple[str, int]] = []

    async def run(self: Any, event: Any, step: Any) -> None:
        @step.do()
        async def body() -> None: ...

        places.append((body.place, line() - 3))
        with pytest.raises(trioflow.DefinitionError) as caught:
            step.do("x", depends=body)
        places.append((str(caught.value.place), line() - 1))

    await output(run)
    for place, expected in places:
        assert place.endswith(f"{os.path.basename(__file__)}:{expected}")


@pytest.mark.parametrize("number", [0, 1, 2])
async def test_what_nobody_awaits_is_reported_with_the_users_own_line(number: int) -> None:
    expected = 0

    async def run(self: Any, event: Any, step: Any) -> None:
        nonlocal expected
        makers = [
            partial(step.sleep, "x", 1),
            partial(step.sleep_until, "x", event.timestamp + timedelta(hours=1)),
            partial(step.wait_for_event, "x", "go"),
        ]
        expected = line() + 1
        makers[number]()

    with pytest.warns(RuntimeWarning, match="'x' was never awaited") as warned:
        await output(run)
    assert [(w.filename, w.lineno) for w in warned] == [(__file__, expected)]


async def test_names_in_a_loop_mean_those_of_their_own_iteration() -> None:
    async def run(self: Any, event: Any, step: Any) -> list[int]:
        joins = []
        for n in range(3):

            @step.do(f"load {n}")
            async def load(n: int = n) -> int:
                return n

            @step.do(f"join {n}")
            async def join(load: int) -> int:
                return load * 10

            joins.append(join)
        return [await join() for join in joins]

    assert await output(run) == [0, 10, 20]


async def test_pauses_can_be_begun_by_a_nursery(autojump_clock: MockClock) -> None:
    async def run(self: Any, event: Any, step: Any) -> float:
        start = trio.current_time()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(step.sleep, "a", "5 seconds")
            nursery.start_soon(step.sleep_until, "b", event.timestamp + timedelta(seconds=7))
        return trio.current_time() - start

    assert await output(run) == pytest.approx(7)


# ----------------------------------------------------------------------------------------------------------- bindings


async def test_env_has_what_was_given_and_says_what_was_not(autojump_clock: MockClock) -> None:
    async def run(self: Any, event: Any, step: Any) -> Any:
        @step.do()
        async def reads() -> Any:
            return self.env.API_KEY

        start = trio.current_time()
        try:
            return await reads()
        finally:
            assert trio.current_time() == start  # nothing is tried again

    assert await output(run, env={"API_KEY": "k"}) == "k"
    assert await output(run, env=Bindings({"API_KEY": "k"})) == "k"

    class Env:
        API_KEY = "k"

    assert await output(run, env=Env()) == "k"
    for env in (None, {}, object()):
        with pytest.raises(MissingBindingError, match="env has no 'API_KEY'"):
            await output(run, env=env)


class WithoutSuper(WorkflowEntrypoint):
    def __init__(self, ctx: Any, env: Any) -> None:
        self.key = env.KEY

    async def run(self, event: Any, step: Any) -> Any:
        return self.key, self.env.KEY


class WithEnv(WorkflowEntrypoint):
    def __init__(self, ctx: Any, env: Any) -> None:
        self.env = env
        self.ctx = ctx

    def run(self, event: Any, step: Any) -> Any:
        return self.env.KEY, self.env.KEY


@pytest.mark.parametrize("kind", [WithoutSuper, WithEnv])
async def test_a_class_may_make_itself_without_its_base(kind: type) -> None:
    assert await run_workflow(kind, env={"KEY": 1}) == (1, 1)
    with pytest.raises(MissingBindingError):
        await run_workflow(kind)


def test_a_sketch_sees_them_as_a_run_does() -> None:
    async def run(self: Any, event: Any, step: Any) -> Any:
        @step.do("first")
        async def first() -> Any: ...

        @step.do("second")
        async def second(first: Any) -> Any: ...

        await step.sleep_until("morning", event.timestamp + timedelta(hours=1))
        approval = await step.wait_for_event("boss", "approval")
        await second()
        return approval["payload"], self.env.KEY

    made = trio.run(partial(sketch, workflow(run), env={"KEY": 1}), clock=MockClock(autojump_threshold=0))
    assert made.why_not is None
    assert sorted(node.label for node in made.nodes) == ["boss", "first", "morning", "second"]
    made = trio.run(partial(sketch, workflow(run)), clock=MockClock(autojump_threshold=0))
    assert made.why_not is not None
    assert "env has no 'KEY'" in made.why_not
