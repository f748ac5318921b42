"""One step: what its cell tells, and what one execution of its body consists of."""

from __future__ import annotations

import functools
import gc
import itertools
import traceback
import weakref
from collections.abc import Awaitable, Callable, Generator
from contextlib import suppress
from typing import Any

import attrs
import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock, assert_checkpoints

from trioflow import (
    ConfigError,
    DefinitionError,
    NonRetryableError,
    Retries,
    RunClosedError,
    Step,
    StepConfig,
    StepContext,
    WorkflowStep,
    WorkflowTimeoutError,
    open_run,
    run_workflow,
)
from trioflow._step import chance

Workflow = Callable[[Any, WorkflowStep], Any]


def ran(workflow: Workflow, **options: Any) -> Any:
    """The outcome of a run in virtual time."""
    return trio.run(functools.partial(run_workflow, workflow, **options), clock=MockClock(autojump_threshold=0))


def once(limit: int, delay: Any = "1 second", backoff: Any = "constant", **more: Any) -> StepConfig:
    return StepConfig(Retries(limit, delay, backoff, **more))


# --------------------------------------------------------------------------------------- what it says of its own life


async def test_a_step_says_where_it_is_in_its_life_and_what_it_waits_for(autojump_clock: MockClock) -> None:
    async def workflow(event: Any, step: WorkflowStep) -> None:
        @step.do()
        async def first() -> int:
            await trio.sleep(2)
            return 1

        @step.do("second one", depends=[first])
        async def second(first: int) -> int:
            await trio.sleep(2)
            return first + 1

        def life() -> list[tuple[str, str | None]]:
            return [(s.status, s.reason) for s in (first, second)]

        assert life() == [("pending", "never started: nobody has needed it")] * 2
        async with trio.open_nursery() as nursery:
            nursery.start_soon(second)
            await trio.sleep(1)
            assert life() == [("running", None), ("pending", "waits for 'first'")]
            await trio.sleep(2)
            assert life() == [("succeeded", None), ("running", None)]
        assert life() == [("succeeded", None)] * 2
        assert repr(second) == "<Step 'second one' succeeded>"

    await run_workflow(workflow)


async def test_a_step_that_waits_for_several_names_those_that_are_not_settled(autojump_clock: MockClock) -> None:
    async def workflow(event: Any, step: WorkflowStep) -> None:
        @step.do()
        async def quick() -> None: ...

        @step.do()
        async def one() -> None:
            await trio.sleep(2)

        @step.do()
        async def other() -> None:
            await trio.sleep(3)

        @step.do(concurrent=True)
        async def top(quick: None, one: None, other: None) -> None: ...

        async with trio.open_nursery() as nursery:
            nursery.start_soon(top)
            await trio.sleep(1)
            assert top.reason == "waits for 'one', 'other'"
            assert top.dependencies == (quick, one, other)

    await run_workflow(workflow)


async def test_what_comes_later_in_a_sequence_waits_and_has_not_begun(autojump_clock: MockClock) -> None:
    async def workflow(event: Any, step: WorkflowStep) -> None:
        @step.do()
        async def far() -> None: ...

        @step.do()
        async def one() -> None:
            await trio.sleep(2)

        @step.do(depends=[far])
        async def other(far: None) -> None: ...

        @step.do(depends=[one, other])
        async def top(one: None, other: None) -> None: ...

        async with trio.open_nursery() as nursery:
            nursery.start_soon(top)
            await trio.sleep(1)
            assert (other.status, other.reason) == ("pending", "waits for 'far'")
            assert (far.status, far.reason) == ("pending", "waits for its turn in a sequence")

    await run_workflow(workflow)


def sleeper(step: WorkflowStep, name: str = "sleeper", *, clean_up: float = 0) -> Step[None]:
    @step.do(name)
    async def body() -> None:
        try:
            await trio.sleep(1000)
        finally:
            with trio.CancelScope(shield=True):
                await trio.sleep(clean_up)

    return body


async def test_a_step_left_by_a_deadline_is_cancelling_and_then_cancelled(autojump_clock: MockClock) -> None:
    async def workflow(event: Any, step: WorkflowStep) -> None:
        body = sleeper(step, clean_up=2)

        async def waiter() -> None:
            with trio.move_on_after(1):
                await body()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(waiter)
            await trio.sleep(2)
            assert (body.status, body.reason) == ("cancelling", "a deadline has passed for the one who awaited it")
        assert trio.current_time() == 3
        assert (body.status, body.reason) == ("cancelled", "a deadline has passed for the one who awaited it")
        assert repr(body) == "<Step 'sleeper' cancelled>"

    await run_workflow(workflow)


@pytest.mark.parametrize("reason", [None, "the user went home"])
async def test_a_step_left_by_a_cancelled_waiter_says_so_with_the_reason(
    autojump_clock: MockClock, reason: str | None
) -> None:
    seen: list[str | None] = []

    async def workflow(event: Any, step: WorkflowStep) -> None:
        @step.do()
        async def body() -> None:
            try:
                await trio.sleep_forever()
            except trio.Cancelled as exc:
                seen.append(exc.reason)
                raise

        async with trio.open_nursery() as nursery:
            with trio.CancelScope() as scope:
                nursery.start_soon(cancel_later, scope, reason)
                await body()
        more = f": {reason}" if reason else ""
        assert (body.status, body.reason) == ("cancelled", f"the one who awaited it was cancelled{more}")
        assert seen == [body.reason]  # Trio's own reason carries it

    await run_workflow(workflow)


async def cancel_later(scope: trio.CancelScope, reason: str | None) -> None:
    await trio.sleep(1)
    scope.cancel(reason=reason)


@pytest.mark.parametrize("reason", [None, "enough"])
async def test_a_step_cancelled_by_the_host_says_so(autojump_clock: MockClock, reason: str | None) -> None:
    steps: list[Step[None]] = []

    async def workflow(event: Any, step: WorkflowStep) -> None:
        steps.append(sleeper(step))
        steps.append(step.do("top", depends=steps)(lambda body: None))
        await steps[1]()

    async with trio.open_nursery() as nursery:
        with trio.CancelScope() as scope:
            nursery.start_soon(cancel_later, scope, reason)
            await run_workflow(workflow)
    said = "the host cancelled the run" + (f": {reason}" if reason else "")
    assert [(s.status, s.reason) for s in steps] == [("cancelled", said), ("pending", f"never started: {said}")]


async def test_a_failure_is_told_by_whom_it_struck(autojump_clock: MockClock) -> None:
    async def workflow(event: Any, step: WorkflowStep) -> None:
        running = sleeper(step, "running")

        @step.do("bad")
        async def bad() -> None:
            await trio.sleep(1)
            raise ValueError("no")

        never = sleeper(step, "never")

        @step.do(depends=[running, bad], concurrent=True)
        async def both(running: None, bad: None) -> None: ...

        @step.do(depends=[both, never])
        async def top(both: None, never: None) -> None: ...

        with pytest.raises(ValueError, match="no"):
            await top()
        assert (bad.status, bad.reason) == ("failed", "step 'bad' failed: ValueError('no')")
        assert (both.status, both.reason) == ("failed", "step 'bad' failed: ValueError('no')")
        assert (top.status, top.reason) == ("failed", "step 'bad' failed: ValueError('no')")
        assert running.status == "cancelled"
        assert running.reason is not None
        assert running.reason.startswith("step 'bad' failed")
        assert never.status == "pending"
        assert never.reason is not None
        assert never.reason.startswith("never started: step 'bad' failed")

    await run_workflow(workflow)


async def test_a_doomed_step_tells_the_failure_before_it_has_settled(autojump_clock: MockClock) -> None:
    async def workflow(event: Any, step: WorkflowStep) -> None:
        slow = sleeper(step, clean_up=2)

        @step.do()
        async def bad() -> None:
            await trio.sleep(1)
            raise ValueError("no")

        top = step.do("top", depends=[slow, bad], concurrent=True)(lambda slow, bad: None)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(ignoring, ValueError, top)
            await trio.sleep(2)
            assert (slow.status, top.status) == ("cancelling", "pending")
            assert top.reason == "step 'bad' failed: ValueError('no')"
        assert (slow.status, top.status) == ("cancelled", "failed")

    await run_workflow(workflow)


async def ignoring(kind: type[BaseException], step: Callable[[], Awaitable[Any]]) -> None:
    with suppress(kind):
        await step()


async def test_when_the_run_is_over_a_step_says_so(autojump_clock: MockClock) -> None:
    async def workflow(event: Any, step: WorkflowStep) -> None:
        body = sleeper(step)
        step.do("top", depends=[body])(lambda body: None)
        await trio.sleep(1)

    async with open_run(workflow) as run:
        await trio.testing.wait_all_tasks_blocked()
        body, top = run.steps
        with pytest.raises(RunClosedError, match=r"step 'top' .* has no outcome: its run is over; await it") as caught:
            await top()
        assert caught.value.step == "top"
        assert (body.status, body.reason) == ("cancelled", "the run is over")
        assert (top.status, top.reason) == ("pending", "never started: the run is over")


async def test_a_step_says_where_it_is_declared(autojump_clock: MockClock) -> None:
    async def workflow(event: Any, step: WorkflowStep) -> str:
        body = step.do("body")(lambda: None)
        return body.place

    here = workflow.__code__.co_firstlineno
    assert await run_workflow(workflow) == f"{__file__}:{here + 1}"


def test_an_exception_that_cannot_be_shown_is_no_obstacle() -> None:
    class Odd(Exception):
        def __repr__(self) -> str:
            raise RuntimeError

    async def workflow(event: Any, step: WorkflowStep) -> str | None:
        @step.do()
        def odd() -> None:
            raise Odd

        with suppress(Odd):
            await odd()
        return odd.reason

    assert ran(workflow) == "step 'odd' failed: Odd(...)"


@pytest.mark.parametrize(("length", "expected"), [(200, "x" * 200), (201, "x" * 200 + "...")])
def test_an_exception_is_shown_in_a_few_words_though_it_says_much(length: int, expected: str) -> None:
    class Long(Exception):
        def __repr__(self) -> str:
            return "x" * length

    async def workflow(event: Any, step: WorkflowStep) -> str | None:
        @step.do()
        def long() -> None:
            raise Long

        with suppress(Long):
            await long()
        return long.reason

    assert ran(workflow) == f"step 'long' failed: {expected}"


# ---------------------------------------------------------------------------------------------- awaiting an outcome


async def test_every_await_is_a_checkpoint(autojump_clock: MockClock) -> None:
    async def workflow(event: Any, step: WorkflowStep) -> None:
        good = step.do("good")(lambda: 1)

        @step.do()
        def bad() -> None:
            raise ValueError

        for _ in range(2):
            with assert_checkpoints():
                assert await good() == 1
            with assert_checkpoints(), suppress(ValueError):
                await bad()

    await run_workflow(workflow)


async def test_a_failure_is_one_object_with_its_own_traceback_however_often(autojump_clock: MockClock) -> None:
    async def workflow(event: Any, step: WorkflowStep) -> None:
        @step.do()
        async def bad() -> None:
            try:
                raise KeyError("before")
            except KeyError as exc:
                raise ValueError("after") from exc

        @step.do(depends=[bad])
        async def top(bad: None) -> None: ...

        seen = []
        for asked in (bad, top, bad, top, top):
            try:
                raise LookupError("what the one who asks is busy with")
            except LookupError:
                with pytest.raises(ValueError, match="after") as caught:
                    await asked()
            seen.append(caught.value)
            frames = traceback.extract_tb(caught.value.__traceback__)
            assert frames[-1].name == "bad"
            assert len(frames) == 3  # this test, the step's own call, the body
            assert caught.value.__context__ is caught.value.__cause__
            assert repr(caught.value.__cause__) == "KeyError('before')"
        assert len({id(error) for error in seen}) == 1

    await run_workflow(workflow)


def test_a_failure_is_not_kept_alive_by_who_was_told_of_it() -> None:
    class Big(Exception):
        pass

    async def workflow(event: Any, step: WorkflowStep) -> weakref.ref[Big]:
        async def bad() -> None:
            await trio.lowlevel.checkpoint()
            raise Big

        try:
            await step.do("bad")(bad)()
        except Big as exc:
            return weakref.ref(exc)
        raise AssertionError

    gc.collect()
    reference = ran(workflow)
    gc.collect()
    assert reference() is None


# ------------------------------------------------------------------------------------------------- what a body can be


async def aplus(a: int, b: int = 1) -> int:
    await trio.sleep(1)
    return a + b


def plus(a: int, b: int = 1) -> int:
    return a + b


class Adder:
    def __init__(self, more: int = 1) -> None:
        self.more = more

    def method(self, a: int) -> int:
        return a + self.more

    async def amethod(self, a: int) -> int:
        await trio.sleep(1)
        return a + self.more

    @staticmethod
    def static(a: int) -> int:
        return a + 1

    @classmethod
    async def aclass(cls, a: int) -> int:
        return a + 1

    def __call__(self, a: int) -> int:
        return a + self.more


class AsyncAdder:
    async def __call__(self, a: int) -> int:
        await trio.sleep(1)
        return a + 1


def logged(fn: Callable[..., Any]) -> Callable[..., Any]:
    """A sync wrapper: returns the coroutine of an async function."""

    @functools.wraps(fn)
    def wrapper(*args: Any, **keywords: Any) -> Any:
        return fn(*args, **keywords)

    return wrapper


def cached(fn: Callable[..., Any]) -> Callable[..., Any]:
    """A sync wrapper of an async function that answers by itself: no coroutine, though it looks like one that gives one."""

    @functools.wraps(fn)
    def wrapper(a: int) -> int:
        return a + 1

    return wrapper


class Later:
    """An awaitable that is no coroutine."""

    def __init__(self, value: int) -> None:
        self.value = value

    def __await__(self) -> Generator[Any, Any, int]:
        yield from trio.sleep(1).__await__()  # noqa: ASYNC105
        return self.value


def alogged(fn: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(fn)
    async def wrapper(*args: Any, **keywords: Any) -> Any:
        value = fn(*args, **keywords)
        return await value if isinstance(value, Awaitable) else value

    return wrapper


BODIES: dict[str, Callable[..., Any]] = {
    "async def": aplus,
    "def": plus,
    "lambda": lambda a: a + 1,
    "lambda that returns a coroutine": lambda a: aplus(a),
    "partial": functools.partial(plus, b=1),
    "partial of an async def": functools.partial(aplus, b=1),
    "partial of a partial": functools.partial(functools.partial(aplus), b=1),
    "partial by position": functools.partial(lambda b, a: a + b, 1),
    "bound method": Adder().method,
    "async bound method": Adder().amethod,
    "static method": Adder.static,
    "async class method": Adder.aclass,
    "object": Adder(),
    "async object": AsyncAdder(),
    "wrapper": logged(plus),
    "wrapper of an async def": logged(aplus),
    "async wrapper": alogged(plus),
    "async wrapper of an async def": alogged(aplus),
    "wrapper of a bound method": logged(Adder().amethod),
    "partial of a wrapper": functools.partial(logged(aplus), b=1),
    "wrapper of an async def that returns a value": cached(aplus),
    "partial of such a wrapper": functools.partial(cached(aplus)),
    "async def that was decorated twice": logged(alogged(aplus)),
    "lambda that returns another awaitable": lambda a: Later(a + 1),
}


@pytest.mark.parametrize("config", [None, once(1)], ids=["plain", "with retries"])
@pytest.mark.parametrize("by_name", [False, True], ids=["depends", "by name"])
@pytest.mark.parametrize("kind", BODIES)
async def test_a_body_is_whatever_can_be_called(
    autojump_clock: MockClock, kind: str, by_name: bool, config: StepConfig | None
) -> None:
    async def workflow(event: Any, step: WorkflowStep) -> int:
        a = step.do("a")(lambda: 1)
        body: Step[int] = step.do("body", None if by_name else [a], config=config)(BODIES[kind])
        assert await body() == 2
        return await body()

    assert await run_workflow(workflow) == 2


async def test_a_name_is_the_functions_or_else_the_classes(autojump_clock: MockClock) -> None:
    async def workflow(event: Any, step: WorkflowStep) -> None:
        a = step.do("a")(lambda: 1)
        bodies: list[Callable[..., Any]] = [plus, Adder().method, Adder(), functools.partial(plus, b=1), logged(aplus)]
        assert [step.do(depends=[a])(b).name for b in bodies] == ["plus", "method", "Adder", "partial", "aplus"]

    await run_workflow(workflow)


async def test_a_plain_body_may_return_a_sleep_or_the_call_of_another_step(autojump_clock: MockClock) -> None:
    async def workflow(event: Any, step: WorkflowStep) -> Any:
        other = step.do("other")(lambda: step.sleep("a while", 1000))
        body: Step[Any] = step.do("body")(lambda: other())
        return await body(), trio.current_time()

    assert await run_workflow(workflow) == (None, 1)


async def test_a_body_may_run_other_code_in_nurseries_and_scopes(autojump_clock: MockClock) -> None:
    async def workflow(event: Any, step: WorkflowStep) -> float:
        @step.do()
        async def body() -> float:
            with trio.move_on_after(1):
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(trio.sleep_forever)
            return trio.current_time()

        return await body()

    assert await run_workflow(workflow) == 1


# ---------------------------------------------------------------------------------------------------- ctx, and values


def first_of_all(ctx: StepContext, a: int, b: int) -> Any:
    return ctx, a, b


def in_the_middle(a: int, ctx: StepContext, b: int) -> Any:
    return ctx, a, b


async def last(a: int, b: int, ctx: StepContext) -> Any:
    return ctx, a, b


async def by_keyword(a: int, b: int, *, ctx: StepContext) -> Any:
    return ctx, a, b


def with_a_default(a: int, b: int, ctx: StepContext | None = None) -> Any:
    return ctx, a, b


def by_position_only(a: int, ctx: StepContext, /, b: int) -> Any:
    return ctx, a, b


def before_the_rest(ctx: StepContext, *rest: int) -> Any:
    return ctx, *rest


WITH_CTX = [first_of_all, in_the_middle, last, by_keyword, with_a_default, by_position_only, before_the_rest]


@pytest.mark.parametrize(
    ("body", "by_name"),
    [(body, False) for body in WITH_CTX] + [(body, True) for body in WITH_CTX if body is not before_the_rest],
)
async def test_ctx_may_stand_anywhere(autojump_clock: MockClock, body: Callable[..., Any], by_name: bool) -> None:
    async def workflow(event: Any, step: WorkflowStep) -> Any:
        a, b = step.do("a")(lambda: 1), step.do("b")(lambda: 2)
        return await step.do("both", None if by_name else [a, b])(body)()

    ctx, *values = await run_workflow(workflow)
    assert values == [1, 2]
    assert isinstance(ctx, StepContext)
    assert ctx == {
        "step": {"name": "both", "count": 1},
        "attempt": 1,
        "config": {"retries": {"limit": 0, "delay": 0, "backoff": "exponential"}, "timeout": None},
    }


async def test_ctx_counts_the_steps_of_one_name_and_shows_the_configuration(autojump_clock: MockClock) -> None:
    async def workflow(event: Any, step: WorkflowStep) -> list[StepContext]:
        config: Any = {"retries": {"limit": 2, "delay": 100}, "timeout": "1 minute"}

        async def body(ctx: StepContext) -> StepContext:
            return ctx

        return [await step.do("same", config=config)(body)() for _ in range(3)]

    contexts = await run_workflow(workflow)
    assert [ctx.step.count for ctx in contexts] == [1, 2, 3]
    assert contexts[0].config["retries"] == {"limit": 2, "delay": 100, "backoff": "exponential"}
    assert contexts[0]["config"]["timeout"] == "1 minute"


async def test_a_keyword_only_parameter_and_a_default_are_filled_by_name(autojump_clock: MockClock) -> None:
    async def workflow(event: Any, step: WorkflowStep) -> Any:
        for name in "ab":
            step.do(name)(lambda name=name: name)  # a default that is no step's name stays a default
        return await step.do()(lambda a, x=3, *, b, y=4: (a, x, b, y))()

    assert await run_workflow(workflow) == ("a", 3, "b", 4)


@pytest.mark.parametrize("config", [None, StepConfig(timeout="1 hour")])
async def test_a_default_between_two_steps_stays_a_default(
    config: StepConfig | None, autojump_clock: MockClock
) -> None:
    async def workflow(event: Any, step: WorkflowStep) -> Any:
        for name in "ab":
            step.do(name)(lambda name=name: name)

        @step.do(config=config)
        async def between(a: str, x: int = 3, b: str = "") -> tuple[str, int, str]:
            return a, x, b

        return await between()

    assert await run_workflow(workflow) == ("a", 3, "b")


@given(st.lists(st.integers(), max_size=8))
def test_values_arrive_in_the_order_of_depends(values: list[int]) -> None:
    async def workflow(event: Any, step: WorkflowStep) -> Any:
        steps = [step.do()(lambda v=v: v) for v in values]
        return await step.do(depends=steps, concurrent=True)(lambda *rest: list(rest))()

    assert ran(workflow) == values


# --------------------------------------------------------------------------------------------------------- retries


@given(
    fails=st.integers(0, 5),
    limit=st.integers(0, 4),
    delay=st.integers(0, 100),
    backoff=st.sampled_from(["constant", "linear", "exponential"]),
    max_delay=st.none() | st.integers(0, 100),
    is_async=st.booleans(),
)
def test_there_are_limit_plus_one_attempts_and_each_comes_when_the_backoff_says(
    fails: int, limit: int, delay: int, backoff: Any, max_delay: int | None, is_async: bool
) -> None:
    times: list[float] = []
    attempts: list[int] = []

    def body(ctx: StepContext) -> str:
        times.append(trio.current_time())
        attempts.append(ctx.attempt)
        if len(times) <= fails:
            raise ValueError(len(times))
        return "done"

    async def abody(ctx: StepContext) -> str:
        await trio.lowlevel.checkpoint()
        return body(ctx)

    async def workflow(event: Any, step: WorkflowStep) -> Any:
        retries = Retries(
            limit, f"{delay} seconds", backoff, max_delay=None if max_delay is None else f"{max_delay} seconds"
        )
        return await step.do(config=StepConfig(retries))(abody if is_async else body)()

    if fails <= limit:
        assert ran(workflow) == "done"
    else:
        with pytest.raises(ValueError, match=str(limit + 1)):
            ran(workflow)
    made = min(fails, limit) + 1
    assert attempts == list(range(1, made + 1))
    growth = {"constant": [1, 1, 1, 1], "linear": [1, 2, 3, 4], "exponential": [1, 2, 4, 8]}[backoff]
    delays = [delay * n for n in growth[: made - 1]]
    if max_delay is not None:
        delays = [min(d, max_delay) for d in delays]
    assert [after - before for before, after in itertools.pairwise(times)] == delays


def jittered(seed: int, jitter: float) -> float:
    """The delay of a step whose 100 seconds are left to chance by that part."""

    async def workflow(event: Any, step: WorkflowStep) -> float:
        @step.do(config=once(1, "100 seconds", jitter=jitter))
        def body(ctx: StepContext) -> float:
            if ctx.attempt == 1:
                raise ValueError
            return trio.current_time()

        return await body()

    before = chance.getstate()
    try:
        chance.seed(seed)
        delay: float = ran(workflow)
        return delay
    finally:
        chance.setstate(before)


@given(st.integers(0, 2**32), st.sampled_from([0.25, 0.5, 1.0]))
def test_jitter_shortens_a_delay_by_at_most_its_part_and_can_be_seeded(seed: int, jitter: float) -> None:
    delay = jittered(seed, jitter)
    assert 100 * (1 - jitter) <= delay <= 100
    assert jittered(seed, jitter) == delay


def test_jitter_is_different_each_time() -> None:
    assert len({jittered(seed, 0.5) for seed in range(20)}) == 20


class Refused(NonRetryableError):
    pass


@pytest.mark.parametrize(
    ("error", "made"),
    [
        (ValueError("again"), 3),
        (ExceptionGroup("two", [ValueError(), KeyError()]), 3),
        (NonRetryableError("no"), 1),
        (Refused("no"), 1),
        (ExceptionGroup("two", [ValueError(), NonRetryableError("no")]), 1),
        (ExceptionGroup("deep", [ExceptionGroup("deeper", [KeyError(), Refused("no")])]), 1),
    ],
)
async def test_a_nonretryable_error_ends_it_also_inside_a_group(
    autojump_clock: MockClock, error: Exception, made: int
) -> None:
    attempts = []

    async def workflow(event: Any, step: WorkflowStep) -> None:
        @step.do(config=once(2))
        async def body(ctx: StepContext) -> None:
            attempts.append(ctx.attempt)
            raise error

        await body()

    with pytest.raises(type(error)) as caught:
        await run_workflow(workflow)
    assert caught.value is error
    assert len(attempts) == made


async def test_what_is_no_exception_is_not_tried_again(autojump_clock: MockClock) -> None:
    class Fatal(BaseException): ...

    attempts = []

    async def workflow(event: Any, step: WorkflowStep) -> None:
        @step.do(config=once(2))
        async def body(ctx: StepContext) -> None:
            attempts.append(ctx.attempt)
            raise Fatal

        await body()

    with pytest.raises(Fatal):
        await run_workflow(workflow)
    assert attempts == [1]


async def test_a_group_of_the_bodys_own_nursery_is_looked_into(autojump_clock: MockClock) -> None:
    attempts = []

    async def refuse() -> None:
        raise NonRetryableError("no")

    async def workflow(event: Any, step: WorkflowStep) -> None:
        @step.do(config=once(2))
        async def body() -> None:
            attempts.append(1)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(refuse)

        await body()

    with pytest.RaisesGroup(pytest.RaisesExc(NonRetryableError, match="no")):
        await run_workflow(workflow)
    assert attempts == [1]


async def test_a_dependencys_failure_is_not_retried_by_its_dependents(autojump_clock: MockClock) -> None:
    began = []

    async def workflow(event: Any, step: WorkflowStep) -> None:
        @step.do()
        async def bad() -> None:
            began.append("bad")
            raise ValueError

        @step.do(depends=[bad], config=once(5))
        async def top(bad: None) -> None:
            began.append("top")

        await top()

    with pytest.raises(ValueError, match=r"^$"):
        await run_workflow(workflow)
    assert began == ["bad"]
    assert trio.current_time() == 0


# -------------------------------------------------------------------------------------------------------- timeouts


async def test_an_attempt_that_takes_too_long_says_so(autojump_clock: MockClock) -> None:
    places = []

    async def workflow(event: Any, step: WorkflowStep) -> None:
        @step.do("slow", config={"timeout": 1500})
        async def slow() -> None:
            await trio.sleep(2)

        places.append(slow.place)
        await slow()

    with pytest.raises(WorkflowTimeoutError) as caught:
        await run_workflow(workflow)
    assert str(caught.value) == f"step 'slow' ({places[0]}): attempt 1 took longer than its timeout of 1.5 s"
    assert (caught.value.step, caught.value.seconds) == ("slow", 1.5)
    assert isinstance(caught.value, TimeoutError)
    assert trio.current_time() == 1.5


async def test_an_attempt_has_stopped_before_the_next_begins(autojump_clock: MockClock) -> None:
    story: list[tuple[str, float]] = []

    async def workflow(event: Any, step: WorkflowStep) -> str:
        @step.do(config=StepConfig(Retries(2, "10 seconds", "constant"), timeout="5 seconds"))
        async def body(ctx: StepContext) -> str:
            story.append((f"begin {ctx.attempt}", trio.current_time()))
            try:
                await trio.sleep(8 if ctx.attempt < 3 else 4)
            finally:
                with trio.CancelScope(shield=True):
                    await trio.sleep(3)
                story.append((f"end {ctx.attempt}", trio.current_time()))
            return "done"

        return await body()

    assert await run_workflow(workflow) == "done"
    assert story == [("begin 1", 0), ("end 1", 8), ("begin 2", 18), ("end 2", 26), ("begin 3", 36), ("end 3", 43)]


@pytest.mark.parametrize("limit", [0, 1])
async def test_what_a_body_returns_or_raises_while_its_time_is_up_counts(autojump_clock: MockClock, limit: int) -> None:
    attempts = []

    async def workflow(event: Any, step: WorkflowStep) -> Any:
        config = StepConfig(Retries(limit, "1 second"), timeout="1 second")

        @step.do(config=config)
        async def returns() -> str:
            try:
                await trio.sleep_forever()
            except trio.Cancelled:
                return "what I have so far"

        @step.do(config=config)
        async def raises() -> None:
            attempts.append(1)
            try:
                await trio.sleep_forever()
            finally:
                raise KeyError("half")

        assert await returns() == "what I have so far"
        with pytest.raises(KeyError, match="half"):
            await raises()

    await run_workflow(workflow)
    assert len(attempts) == limit + 1


async def test_a_timeout_covers_neither_dependencies_nor_delays(autojump_clock: MockClock) -> None:
    async def workflow(event: Any, step: WorkflowStep) -> float:
        @step.do()
        async def before() -> None:
            await trio.sleep(100)

        @step.do(depends=[before], config=StepConfig(Retries(1, "100 seconds"), timeout="2 seconds"))
        async def body(before: None, ctx: StepContext) -> float:
            await trio.sleep(1)
            if ctx.attempt == 1:
                raise ValueError
            return trio.current_time()

        return await body()

    assert await run_workflow(workflow) == 202


async def test_no_time_at_all_is_enough_for_what_never_waits(autojump_clock: MockClock) -> None:
    async def workflow(event: Any, step: WorkflowStep) -> None:
        config = StepConfig(timeout="0 seconds")

        @step.do(config=config)
        async def quick() -> int:
            return 1

        @step.do(config=config)
        async def waits() -> None:
            await trio.lowlevel.checkpoint()

        assert await quick() == 1
        with pytest.raises(WorkflowTimeoutError, match="took longer than its timeout of 0 s"):
            await waits()

    await run_workflow(workflow)


# ------------------------------------------------------------------------------------------------- computed delays


async def test_a_function_may_compute_the_delay(autojump_clock: MockClock) -> None:
    asked = []

    def delay(ctx: StepContext, error: Exception) -> str:
        asked.append((ctx.step.name, ctx.attempt, str(error)))
        return f"{ctx.attempt * 10} seconds"

    async def workflow(event: Any, step: WorkflowStep) -> float:
        @step.do("flaky", config=once(2, delay))
        def flaky(ctx: StepContext) -> float:
            if ctx.attempt < 3:
                raise ValueError(f"no {ctx.attempt}")
            return trio.current_time()

        return await flaky()

    assert await run_workflow(workflow) == 30
    assert asked == [("flaky", 1, "no 1"), ("flaky", 2, "no 2")]


async def test_numbers_of_a_delay_function_are_milliseconds_where_numbers_are(autojump_clock: MockClock) -> None:
    async def workflow(event: Any, step: WorkflowStep) -> float:
        @step.do(config={"retries": {"limit": 1, "delay": lambda ctx, error: 2500}})
        def flaky(ctx: StepContext) -> float:
            if ctx.attempt == 1:
                raise ValueError
            return trio.current_time()

        return await flaky()

    assert await run_workflow(workflow) == 2.5


async def test_a_delay_function_that_fails_ends_it_with_its_own_error(autojump_clock: MockClock) -> None:
    def delay(ctx: Any, error: Exception) -> str:
        raise ZeroDivisionError("in the delay")

    async def workflow(event: Any, step: WorkflowStep) -> None:
        @step.do(config=once(5, delay))
        def body() -> None:
            raise ValueError("in the body")

        with pytest.raises(ZeroDivisionError, match="in the delay") as caught:
            await body()
        assert repr(caught.value.__context__) == "ValueError('in the body')"
        assert body.reason == "step 'body' failed: ZeroDivisionError('in the delay')"

    await run_workflow(workflow)


async def test_a_delay_function_that_returns_no_duration_is_refused(autojump_clock: MockClock) -> None:
    async def workflow(event: Any, step: WorkflowStep) -> None:
        @step.do(config=once(5, lambda ctx, error: 10))
        def body() -> None:
            raise ValueError

        await body()

    with pytest.raises(ConfigError, match="what the delay function returned can't be 10: a bare number") as caught:
        await run_workflow(workflow)
    frames = [frame.name for frame in traceback.extract_tb(caught.value.__traceback__)]
    assert "returned_delay" in frames, "where no frame is the user's, ours are better than none"


# --------------------------------------------------------------------------------------- being cancelled and retried


async def test_what_is_raised_while_being_cancelled_is_the_outcome_and_not_tried_again(
    autojump_clock: MockClock,
) -> None:
    attempts = []

    async def workflow(event: Any, step: WorkflowStep) -> None:
        @step.do(config=once(5))
        async def body() -> None:
            attempts.append(1)
            try:
                await trio.sleep_forever()
            finally:
                raise KeyError("while stopping")

        for _ in range(2):
            with pytest.raises(KeyError, match="while stopping"), trio.move_on_after(1):
                await body()
        assert body.status == "failed"

    await run_workflow(workflow)
    assert attempts == [1]


@pytest.mark.parametrize("leaves_after", [0.5, 5.0], ids=["in an attempt", "in a delay"])
async def test_a_cancelled_step_begins_afresh_at_attempt_one(autojump_clock: MockClock, leaves_after: float) -> None:
    attempts = []

    async def workflow(event: Any, step: WorkflowStep) -> str:
        @step.do(config=once(1, "10 seconds"))
        async def body(ctx: StepContext) -> str:
            attempts.append(ctx.attempt)
            await trio.sleep(1)
            if len(attempts) < 3:
                raise ValueError
            return "done"

        with trio.move_on_after(leaves_after):
            await body()
        assert body.status == "cancelled"
        return await body()

    assert await run_workflow(workflow) == "done"
    assert attempts == [1, 1, 2]


async def test_a_step_that_waits_for_its_next_attempt_is_running_and_shared(autojump_clock: MockClock) -> None:
    async def workflow(event: Any, step: WorkflowStep) -> None:
        attempts = []

        @step.do(config=once(1, "10 seconds"))
        async def body(ctx: StepContext) -> int:
            attempts.append(1)
            if ctx.attempt == 1:
                raise ValueError
            return len(attempts)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(body)
            await trio.sleep(5)
            assert (body.status, body.reason) == ("running", None)
            with trio.move_on_after(1):
                await body()
            assert body.status == "running", "another one still wants it"
        assert await body() == 2

    await run_workflow(workflow)


# ---------------------------------------------------------------------------------------------------------- defaults


async def test_defaults_are_for_steps_that_have_no_configuration_of_their_own(autojump_clock: MockClock) -> None:
    attempts: list[str] = []

    async def workflow(event: Any, step: WorkflowStep) -> None:
        async def one() -> None:
            attempts.append("default")
            raise ValueError

        async def other() -> None:
            attempts.append("own")
            raise ValueError

        for declared in (step.do()(one), step.do(config={})(other)):
            with pytest.raises(ValueError, match=r"^$"):
                await declared()

        @step.do()
        async def slow() -> None:
            await trio.sleep(100)

        with pytest.raises(WorkflowTimeoutError, match="attempt 3 took longer than its timeout of 10 s"):
            await slow()

        @step.do()
        def quick(ctx: StepContext) -> Any:
            return ctx.config

        assert await quick() == {
            "retries": {"limit": 2, "delay": "1 second", "backoff": "constant"},
            "timeout": None,  # nothing can interrupt a plain function, so the default doesn't apply
        }

    await run_workflow(
        workflow,
        defaults={"retries": {"limit": 2, "delay": "1 second", "backoff": "constant"}, "timeout": "10 seconds"},
    )
    assert attempts == ["default"] * 3 + ["own"]


async def test_the_sync_body_of_a_run_with_defaults_may_still_be_tried_again(autojump_clock: MockClock) -> None:
    async def workflow(event: Any, step: WorkflowStep) -> float:
        @step.do()
        def flaky(ctx: StepContext) -> float:
            if ctx.attempt < 3:
                raise ValueError
            return trio.current_time()

        return await flaky()

    assert await run_workflow(workflow, defaults=once(5, "1 second", "linear")) == 3


# ------------------------------------------------------------------------------- what a body declares, over attempts


@attrs.define
class Told:
    """What the inner steps of a body did, attempt by attempt."""

    story: list[str] = attrs.field(factory=list)

    def body(self, name: str, fails: bool = False) -> Callable[[], str]:
        def inner() -> str:
            self.story.append(name)
            if fails:
                raise ValueError(name)
            return name

        return inner


async def test_inner_steps_that_succeeded_are_kept_and_those_that_failed_run_again(
    autojump_clock: MockClock,
) -> None:
    told = Told()
    kept: list[Step[str]] = []

    async def workflow(event: Any, step: WorkflowStep) -> list[str]:
        @step.do(config=once(2))
        async def outer(ctx: StepContext) -> list[str]:
            a = step.do("a")(told.body("a"))
            kept.append(a)
            b = step.do("b")(told.body("b", fails=ctx.attempt < 3))
            return [await a(), await b()]

        return await outer()

    assert await run_workflow(workflow) == ["a", "b"]
    assert told.story == ["a", "b", "b", "b"]
    assert kept[0] is kept[1] is kept[2]


async def test_inner_steps_are_kept_when_a_cancelled_body_begins_afresh(autojump_clock: MockClock) -> None:
    told = Told()

    async def workflow(event: Any, step: WorkflowStep) -> float:
        @step.do()
        async def outer() -> float:
            for n in range(2):  # the same name twice: told apart by their occurrence
                assert await step.do("page")(told.body(f"page {n}"))() == f"page {n}"
            await trio.sleep(10)
            return trio.current_time()

        with trio.move_on_after(5):
            await outer()
        assert outer.status == "cancelled"
        return await outer()

    assert await run_workflow(workflow) == 15
    assert told.story == ["page 0", "page 1"]


async def test_an_inner_step_that_was_stopped_with_its_body_runs_again(autojump_clock: MockClock) -> None:
    began = []

    async def workflow(event: Any, step: WorkflowStep) -> float:
        @step.do()
        async def outer() -> float:
            first = step.do("first")(lambda: 1)

            @step.do("slow", depends=[first])
            async def slow(first: int) -> None:
                began.append(trio.current_time())
                await trio.sleep(10)

            await slow()
            return trio.current_time()

        with trio.move_on_after(5):
            await outer()
        return await outer()

    assert await run_workflow(workflow) == 15
    assert began == [0, 5]


@pytest.mark.parametrize("by_name", [False, True])
async def test_an_inner_step_that_was_not_needed_yet_needs_what_the_new_attempt_declares(
    autojump_clock: MockClock, by_name: bool
) -> None:
    """What it depended on has failed meanwhile and is another cell now."""

    async def workflow(event: Any, step: WorkflowStep) -> str:
        @step.do(config=once(1))
        async def outer(ctx: StepContext) -> str:
            @step.do()
            def a() -> str:
                if ctx.attempt == 1:
                    raise ValueError
                return "a"

            last: Step[str] = step.do("last", None if by_name else [a])(lambda a: a)
            await a()
            return await last()

        return await outer()

    assert await run_workflow(workflow) == "a"


async def test_an_inner_step_is_called_with_the_newest_function(autojump_clock: MockClock) -> None:
    async def workflow(event: Any, step: WorkflowStep) -> str:
        @step.do(config=once(1))
        async def outer(ctx: StepContext) -> str:
            used = step.do("used", depends=[])(lambda: f"declared in attempt {ctx.attempt}")
            if ctx.attempt == 1:
                raise ValueError
            return await used()

        return await outer()

    assert await run_workflow(workflow) == "declared in attempt 2"


async def test_inner_steps_that_mean_each_other_by_name_are_kept_too(autojump_clock: MockClock) -> None:
    told = Told()

    async def workflow(event: Any, step: WorkflowStep) -> str:
        @step.do(config=once(2))
        async def outer(ctx: StepContext) -> str:
            step.do("a")(told.body("a"))

            @step.do()
            async def b(a: str, c: str = "c") -> str:
                told.story.append("b")
                return a + c

            assert await b() == "ac"
            if ctx.attempt < 3:
                raise ValueError
            return await b()

        return await outer()

    assert await run_workflow(workflow) == "ac"
    assert told.story == ["a", "b"]


@pytest.mark.parametrize("first_by_name", [False, True])
async def test_an_inner_step_that_says_otherwise_what_it_needs_is_refused(
    autojump_clock: MockClock, first_by_name: bool
) -> None:
    """By name where it was `depends` before: what it needs may be the same or not, and nobody wants to guess."""

    async def workflow(event: Any, step: WorkflowStep) -> None:
        @step.do(config=once(1))
        async def outer(ctx: StepContext) -> None:
            a, _ = step.do("a")(lambda: "a"), step.do("x")(lambda: "x")
            by_name = (ctx.attempt == 1) is first_by_name
            await step.do("last", None if by_name else [a])(lambda x: x)()
            raise ValueError

        await outer()

    with pytest.raises(DefinitionError, match="what a body declares has to stay the same when it is run again"):
        await run_workflow(workflow)


@pytest.mark.parametrize("by_name", [False, True])
async def test_an_inner_step_whose_dependencies_differ_is_refused(autojump_clock: MockClock, by_name: bool) -> None:
    async def workflow(event: Any, step: WorkflowStep) -> None:
        @step.do("outer", config=once(1))
        async def outer(ctx: StepContext) -> None:
            a, b = step.do("a")(lambda: 1), step.do("b")(lambda: 2)
            if by_name:
                last = step.do("last")((lambda a: a) if ctx.attempt == 1 else (lambda b: b))
            else:
                last = step.do("last", depends=[a if ctx.attempt == 1 else b])(lambda x: x)
            await last()
            raise ValueError

        await outer()

    with pytest.raises(DefinitionError) as caught:
        await run_workflow(workflow)
    message = str(caught.value)
    assert message.startswith(f"step 'last' ({__file__}:")
    assert "depends on ['b'], but when the body around it ran before it depended on ['a']" in message
    assert caught.value.step == "last"
    assert caught.value.place is not None
    assert caught.value.place in message


@given(st.lists(st.sampled_from(["good", "bad", "unused"]), max_size=5), st.integers(0, 3))
def test_in_each_attempt_exactly_what_has_not_succeeded_runs(kinds: list[str], retries: int) -> None:
    """A body declares some steps and awaits them in order; those called bad fail until the last attempt."""
    told = Told()

    async def workflow(event: Any, step: WorkflowStep) -> None:
        @step.do(config=once(retries))
        async def outer(ctx: StepContext) -> None:
            fails = ctx.attempt <= retries
            steps = [
                step.do(kind, depends=[])(told.body(f"{ctx.attempt}: {i} {kind}", kind == "bad" and fails))
                for i, kind in enumerate(kinds)
            ]
            for kind, inner in zip(kinds, steps, strict=True):
                if kind != "unused":
                    await inner()

        await outer()

    ran(workflow)
    expected = []
    first_bad = kinds.index("bad") if "bad" in kinds else None
    for attempt in range(1, (retries if first_bad is not None else 0) + 2):
        for i, kind in enumerate(kinds):
            done_before = attempt > 1 and first_bad is not None and i < first_bad
            if kind == "unused" or done_before:
                continue
            expected.append(f"{attempt}: {i} {kind}")
            if i == first_bad and attempt <= retries:
                break
    assert told.story == expected
