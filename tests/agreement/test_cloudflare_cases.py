"""For whoever comes from Cloudflare: how its Python Workflows behave, case by case, and how trioflow does.

A test's number is that of a case in our list of what the original does; cases about replay, pausing and crashes are not
here. Where a test has a docstring trioflow differs on purpose, and the README's chapter "What differs from Cloudflare"
has a row for it. Where there is none both do the same.
"""

from __future__ import annotations

import functools
import inspect
import itertools
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest
import trio
from trio.testing import MockClock

from trioflow import (
    ConfigError,
    CycleError,
    DefinitionError,
    NonRetryableError,
    RunClosedError,
    Step,
    StepContext,
    WorkflowStep,
    WorkflowTimeoutError,
    open_run,
    run_workflow,
)


def in_a_run(workflow: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Makes a test of a workflow's `run(event, step)`, in virtual time. Further parameters are the test's own."""

    @functools.wraps(workflow)
    def test(**values: Any) -> None:
        run = functools.partial(workflow, **values)
        trio.run(run_workflow, run, clock=MockClock(autojump_threshold=0))

    _, _, *own = inspect.signature(workflow).parameters.values()
    test.__signature__ = inspect.Signature(own)  # type: ignore[attr-defined]
    return test


def telling(
    log: list[str], name: str, seconds: float = 1, *, fails: Exception | None = None, cleanup: float = 0
) -> Callable[..., Coroutine[Any, Any, str]]:
    """A body that takes its time and writes into the log what becomes of it. It returns its name, or fails."""

    async def body(*values: Any) -> str:
        log.append(f"{name} begins")
        try:
            await trio.sleep(seconds)
        except trio.Cancelled:
            with trio.CancelScope(shield=True):
                await trio.sleep(cleanup)
            log.append(f"{name} has stopped")
            raise
        log.append(f"{name} ends")
        if fails is not None:
            raise fails
        return name

    return body


def ended(log: list[str]) -> list[str]:
    """Which bodies have come to their end, once for each time."""
    return [entry.removesuffix(" ends") for entry in log if entry.endswith(" ends")]


def failing(times: list[float], error: Exception) -> Callable[[], Coroutine[Any, Any, None]]:
    """A body that always fails, and keeps when it was tried."""

    async def body() -> None:
        times.append(trio.current_time())
        raise error

    return body


def pauses(times: list[float]) -> list[float]:
    return [later - earlier for earlier, later in itertools.pairwise(times)]


def line_of(fn: Any, number: int) -> str:
    """The place of a line of a test, counted from that of its first decorator."""
    return f"{__file__}:{inspect.unwrap(fn).__code__.co_firstlineno + number}"


# ------------------------------------------------------------------------------------------- steps, names, dependencies


@in_a_run
async def test_case_04_a_step_is_called_what_its_function_is(event: Any, step: WorkflowStep) -> None:
    @step.do()
    async def load(ctx: StepContext) -> str:
        return ctx.step.name

    assert load.name == await load() == "load"


@in_a_run
async def test_case_05_a_parameter_receives_the_result_of_the_step_of_its_name(event: Any, step: WorkflowStep) -> None:
    @step.do()
    async def load() -> int:
        return 41

    @step.do()
    async def use(load: int) -> int:
        return load + 1

    assert await use() == 42


@in_a_run
async def test_case_06_a_parameter_means_a_steps_name(event: Any, step: WorkflowStep) -> None:
    """In the original it is never the function's; here that does, too, where no step has the name."""

    @step.do("other")
    async def whatever() -> str:
        return "the other"

    @step.do()
    async def by_the_steps_name(other: str) -> str:
        return other

    @step.do()
    async def by_the_functions(whatever: str) -> str:
        return whatever

    assert await by_the_steps_name() == await by_the_functions() == "the other"


@in_a_run
async def test_case_07_a_parameter_that_names_no_step_is_a_type_error_and_no_body_runs(
    event: Any, step: WorkflowStep
) -> None:
    log: list[str] = []
    step.do("load")(telling(log, "load"))

    @step.do()
    async def use(load: str, lode: str) -> None:
        log.append("use")

    with pytest.raises(TypeError, match=r"(?s)'lode'.*'load'"):  # did you mean …?
        await use()
    assert log == []


@pytest.mark.parametrize(
    "body", [lambda ctx, a, b: (ctx, a, b), lambda a, ctx, b: (ctx, a, b), lambda a, b, ctx: (ctx, a, b)]
)
@pytest.mark.parametrize("by_name", [True, False])
@in_a_run
async def test_case_08_ctx_is_the_context_wherever_it_stands(
    event: Any, step: WorkflowStep, body: Callable[..., Any], by_name: bool
) -> None:
    a, b = step.do("a")(lambda: 1), step.do("b")(lambda: 2)
    use = step.do("use", depends=None if by_name else [a, b])(body)
    ctx, *values = await use()
    assert (ctx.step.name, ctx["step"]["count"], ctx.attempt) == ("use", 1, 1)
    assert values == [1, 2]


@in_a_run
async def test_case_09_a_dependency_may_be_declared_further_down(event: Any, step: WorkflowStep) -> None:
    @step.do()
    async def use(load: int) -> int:
        return load + 1

    @step.do()
    async def load() -> int:
        return 41

    assert await use() == 42


@in_a_run
async def test_case_10_depends_hands_over_results_by_position(event: Any, step: WorkflowStep) -> None:
    a, b = step.do("a")(lambda: "a's"), step.do("b")(lambda: "b's")

    @step.do("use", depends=[a, b])
    async def use(x: str, y: str) -> list[str]:
        return [x, y]

    assert await use() == ["a's", "b's"]


@in_a_run
async def test_case_11_without_depends_a_parameter_means_a_step_by_its_name(event: Any, step: WorkflowStep) -> None:
    """In the original either all steps of a Worker say `depends` or none does: the first kind gets a TypeError here."""
    a, _ = step.do("a")(lambda: "a's"), step.do("b")(lambda: "b's")
    with_depends = step.do("with depends", depends=[a])(lambda x: x)
    without = step.do("without", None)(lambda b: b)
    assert (await with_depends(), await without()) == ("a's", "b's")

    @step.do("nobody", None)
    async def nobody(x: str) -> None: ...

    with pytest.raises(TypeError, match="'x'"):
        await nobody()


@pytest.mark.parametrize("count", [0, 1, 3])
@in_a_run
async def test_case_12_depends_that_do_not_fit_the_parameters_are_a_type_error(
    event: Any, step: WorkflowStep, count: int
) -> None:
    """At the declaration; the original says it when the step is called."""
    steps: list[Step[Any]] = [step.do(f"s{n}")(lambda: 1) for n in range(count)]
    with pytest.raises(TypeError, match=rf"names {count} steps?, but its body takes 2 by position \('x', 'y'\)"):

        @step.do("use", depends=steps)
        async def use(x: int, y: int) -> None: ...


@in_a_run
async def test_case_13_a_plain_function_in_depends_is_a_type_error(event: Any, step: WorkflowStep) -> None:
    """At the declaration, with its number in the list; the original says it when the step is called."""

    def load() -> int:
        return 1

    with pytest.raises(TypeError, match=r"function .*load.* as number 1 of its depends, which is not a step"):
        step.do("use", depends=[load])(lambda x: x)  # type: ignore[list-item]


@in_a_run
async def test_case_14_depends_may_be_empty(event: Any, step: WorkflowStep) -> None:
    @step.do("alone", depends=[])
    async def alone() -> str:
        return "ran"

    assert await alone() == "ran"


@in_a_run
async def test_case_15_a_dependency_that_is_there_is_used_again(event: Any, step: WorkflowStep) -> None:
    log: list[str] = []
    a = step.do("A")(telling(log, "A"))
    first = step.do("first", depends=[a])(telling(log, "first"))
    second = step.do("second", depends=[a])(telling(log, "second"))
    await first()
    await second()
    assert ended(log) == ["A", "first", "second"]


@in_a_run
async def test_case_16_a_step_that_is_awaited_twice_runs_once(event: Any, step: WorkflowStep) -> None:
    """The original runs it twice, as a-1 and a-2. Who wants two executions declares two steps; names may repeat."""
    counts: list[int] = []

    def declared() -> Step[int]:
        @step.do("a")
        async def a(ctx: StepContext) -> int:
            counts.append(ctx.step.count)
            return len(counts)

        return a

    a = declared()
    assert [await a(), await a(), await declared()()] == [1, 1, 2]
    assert counts == [1, 2]


@in_a_run
async def test_case_17_a_dependent_sees_what_everybody_sees(event: Any, step: WorkflowStep) -> None:
    """In the original it sees the second of two executions."""
    runs: list[int] = []

    @step.do()
    async def a() -> int:
        runs.append(1)
        return len(runs)

    @step.do()
    async def j(a: int) -> int:
        return a

    assert [await a(), await a(), await j()] == [1, 1, 1]


@in_a_run
async def test_case_18_a_body_may_be_a_plain_function(event: Any, step: WorkflowStep) -> None:
    @step.do()
    def load() -> int:
        return 42

    assert await load() == 42


@pytest.mark.parametrize(("name", "accepted"), [("x" * 256, True), ("x" * 257, False), ("two\nlines", False)])
@in_a_run
async def test_case_19_a_name_has_256_characters_at_most_and_one_line(
    event: Any, step: WorkflowStep, name: str, accepted: bool
) -> None:
    if accepted:
        assert await step.do(name)(lambda: 42)() == 42
    else:
        with pytest.raises(DefinitionError, match="a name"):
            step.do(name)(lambda: 42)


@in_a_run
async def test_case_20_a_step_called_in_a_steps_body_is_a_step_of_its_own(event: Any, step: WorkflowStep) -> None:
    log: list[str] = []
    inner = step.do("inner")(telling(log, "inner"))

    @step.do()
    async def outer() -> str:
        log.append("outer")
        return f"outer and {await inner()}"

    assert [await outer(), await inner(), await outer()] == ["outer and inner", "inner", "outer and inner"]
    assert log == ["outer", "inner begins", "inner ends"]


# ------------------------------------------------------------------------------------------ concurrency of dependencies


@in_a_run
async def test_case_21_by_default_one_dependency_follows_the_other(event: Any, step: WorkflowStep) -> None:
    log: list[str] = []
    a, b = step.do("A")(telling(log, "A")), step.do("B")(telling(log, "B"))
    await step.do("J", depends=[a, b])(telling(log, "J"))()
    assert log == ["A begins", "A ends", "B begins", "B ends", "J begins", "J ends"]


@in_a_run
async def test_case_22_concurrent_dependencies_overlap(event: Any, step: WorkflowStep) -> None:
    log: list[str] = []
    a, b = step.do("A")(telling(log, "A", 1)), step.do("B")(telling(log, "B", 2))
    begin = trio.current_time()
    await step.do("J", depends=[a, b], concurrent=True)(telling(log, "J", 0))()
    assert trio.current_time() - begin == 2
    assert ended(log) == ["A", "B", "J"]


@in_a_run
async def test_case_23_a_shared_leaf_runs_once(event: Any, step: WorkflowStep) -> None:
    log: list[str] = []
    r = step.do("R")(telling(log, "R"))
    sides = [step.do(name, depends=[r])(telling(log, name)) for name in "LQ"]
    await step.do("J", depends=sides, concurrent=True)(telling(log, "J"))()
    assert sorted(ended(log)) == ["J", "L", "Q", "R"]


@in_a_run
async def test_case_24_a_shared_step_with_a_dependency_runs_once(event: Any, step: WorkflowStep) -> None:
    """The original runs R twice; older SDKs crash with a KeyError."""
    log: list[str] = []
    z = step.do("Z")(telling(log, "Z"))
    r = step.do("R", depends=[z])(telling(log, "R"))
    sides = [step.do(name, depends=[r])(telling(log, name)) for name in "LQ"]
    await step.do("J", depends=sides, concurrent=True)(telling(log, "J"))()
    assert sorted(ended(log)) == ["J", "L", "Q", "R", "Z"]


@in_a_run
async def test_case_25_a_shared_chain_runs_once(event: Any, step: WorkflowStep) -> None:
    """The original: 14 executions of these 9 steps."""
    log: list[str] = []
    chain = [step.do("C0")(telling(log, "C0"))]
    for n in range(1, 6):
        chain.append(step.do(f"C{n}", depends=chain[-1:])(telling(log, f"C{n}")))
    sides = [step.do(name, depends=chain[-1:])(telling(log, name)) for name in "LQ"]
    await step.do("J", depends=sides, concurrent=True)(telling(log, "J"))()
    assert sorted(ended(log)) == ["C0", "C1", "C2", "C3", "C4", "C5", "J", "L", "Q"]


@in_a_run
async def test_case_26_fully_connected_layers_run_each_step_once(event: Any, step: WorkflowStep) -> None:
    """The original: 4,097 executions of these 25 steps."""
    log: list[str] = []
    layer: list[Step[str]] = []
    for depth in range(12):
        names = [f"{depth}.{side}" for side in (0, 1)]
        layer = [step.do(name, depends=layer, concurrent=True)(telling(log, name)) for name in names]
    await step.do("J", depends=layer, concurrent=True)(telling(log, "J"))()
    assert len(ended(log)) == len(set(ended(log))) == 25


@in_a_run
async def test_case_27_a_step_shared_in_a_nursery_of_ones_own_runs_once(event: Any, step: WorkflowStep) -> None:
    """The original, in `asyncio.gather` or a task group: R twice."""
    log: list[str] = []
    z = step.do("Z")(telling(log, "Z"))
    r = step.do("R", depends=[z])(telling(log, "R"))
    async with trio.open_nursery() as nursery:
        for name in "LQ":
            nursery.start_soon(step.do(name, depends=[r])(telling(log, name)))
    assert sorted(ended(log)) == ["L", "Q", "R", "Z"]


@in_a_run
async def test_case_28_a_shared_dependency_that_fails_runs_once(event: Any, step: WorkflowStep) -> None:
    log: list[str] = []
    a = step.do("A")(telling(log, "A", fails=ValueError("a bad day")))
    sides = [step.do(name, depends=[a])(telling(log, name)) for name in "LQ"]
    with pytest.raises(ValueError, match=r"^a bad day$"):
        await step.do("J", depends=sides, concurrent=True)(telling(log, "J"))()
    assert log == ["A begins", "A ends"]


@in_a_run
async def test_case_29_a_failure_stops_the_others_before_it_is_reported(event: Any, step: WorkflowStep) -> None:
    """In the original B runs on unattended, and its side effects happen after the error."""
    log: list[str] = []
    a = step.do("A")(telling(log, "A", 0.010, fails=ValueError("a bad day")))
    b = step.do("B")(telling(log, "B", 0.060, cleanup=0.005))
    begin = trio.current_time()
    with pytest.raises(ValueError, match="a bad day"):
        await step.do("J", depends=[a, b], concurrent=True)(telling(log, "J"))()
    log.append("reported")
    assert trio.current_time() - begin == pytest.approx(0.015)
    await trio.sleep(1)
    assert log == ["A begins", "B begins", "A ends", "B has stopped", "reported"]
    assert b.status == "cancelled"


@in_a_run
async def test_case_30_of_two_failures_both_can_be_seen(event: Any, step: WorkflowStep) -> None:
    """In the original only the first. Here it is the one raised, with a note about the other, which its step keeps."""
    log: list[str] = []
    first = step.do("first")(telling(log, "first", fails=ValueError("one")))

    @step.do()
    async def second() -> None:
        try:
            await trio.sleep_forever()
        finally:
            raise OSError("two")

    with pytest.raises(ValueError, match="one") as caught:
        await step.do("J", depends=[first, second], concurrent=True)(telling(log, "J"))()
    (note,) = caught.value.__notes__
    assert "'second'" in note
    assert "OSError" in note
    assert "two" in note
    with pytest.raises(OSError, match="two"):
        await second()


@in_a_run
async def test_case_31_a_failed_dependency_fails_the_next_dependent_too(event: Any, step: WorkflowStep) -> None:
    """The original runs it again for each dependent, with all of its retries."""
    times: list[float] = []
    error = ValueError("a bad day")
    config: Any = {"retries": {"limit": 2, "delay": "1 second"}}
    a = step.do("A", config=config)(failing(times, error))
    for name in ("first", "second"):
        with pytest.raises(ValueError, match="a bad day") as caught:
            await step.do(name, depends=[a])(lambda a: a)()
        assert caught.value is error
    assert len(times) == 3


@pytest.mark.parametrize("kind", ["by name", "with depends", "itself"])
@pytest.mark.parametrize("concurrent", [True, False])
@in_a_run
async def test_case_32_a_cycle_is_an_error_that_names_it_and_nothing_runs(
    event: Any, step: WorkflowStep, kind: str, concurrent: bool
) -> None:
    """The original ends in a RecursionError, and with `concurrent=True` never."""
    ran: list[str] = []
    step.do("leaf")(lambda: ran.append("leaf"))
    if kind == "itself":
        a = step.do("a", concurrent=concurrent)(lambda leaf, a: ran.append("a"))
    else:
        a = step.do("a", concurrent=concurrent)(lambda leaf, b: ran.append("a"))
        depends = [a] if kind == "with depends" else None
        step.do("b", depends, concurrent)(lambda a: ran.append("b"))
    with pytest.raises(CycleError) as caught:
        await a()
    assert set(caught.value.steps) == ({"a"} if kind == "itself" else {"a", "b"})
    assert all(f"'{name}'" in str(caught.value) for name in caught.value.steps)
    assert ran == []


@pytest.mark.slow
@pytest.mark.parametrize("by_name", [True, False])
@in_a_run
async def test_case_33_a_chain_of_10_000_steps_completes(event: Any, step: WorkflowStep, by_name: bool) -> None:
    """In the original 246 dependencies in a row are the most, Python's recursion limit."""
    last = step.do("s0")(lambda: 0)
    for n in range(1, 10_000):
        if by_name:
            last = step.do(f"s{n}")(eval(f"lambda s{n - 1}: s{n - 1} + 1"))
        else:
            last = step.do(f"s{n}", depends=[last])(lambda number: number + 1)
    assert await last() == 9_999


@in_a_run
async def test_case_34_a_waiter_that_gives_up_leaves_the_step_to_the_other(event: Any, step: WorkflowStep) -> None:
    """In the original the step and the other waiter are cancelled with it."""
    log: list[str] = []
    r = step.do("R")(telling(log, "R", 2))

    async def impatient() -> None:
        with trio.move_on_after(1):
            await r()
        log.append("given up")

    async def patient() -> None:
        log.append(f"received {await r()}")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(impatient)
        nursery.start_soon(patient)
    assert log == ["R begins", "given up", "R ends", "received R"]


@in_a_run
async def test_case_37_two_steps_of_one_name_are_two_dependencies(event: Any, step: WorkflowStep) -> None:
    """In older SDKs both parameters got the first one's result, and the second step never ran."""
    one, two = step.do("x")(lambda: "one"), step.do("x")(lambda: "two")
    assert await step.do("J", depends=[one, two])(lambda x, y: [x, y])() == ["one", "two"]


@in_a_run
async def test_case_38_a_signature_that_cannot_work_is_refused_with_file_and_line(
    event: Any, step: WorkflowStep
) -> None:
    """When it is declared, or first needed where a later declaration could mend it; the original says it at the call."""
    here = functools.partial(line_of, test_case_38_a_signature_that_cannot_work_is_refused_with_file_and_line)
    a = step.do("a")(lambda: 1)
    with pytest.raises(DefinitionError, match=r"takes \*\*rest") as caught:
        step.do("b")(lambda **rest: 1)
    assert (caught.value.step, caught.value.place) == ("b", here(8))
    with pytest.raises(DefinitionError, match="takes 1 by position") as caught:
        step.do("c", depends=[a, a])(lambda a: 1)
    assert (caught.value.step, caught.value.place) == ("c", here(11))
    with pytest.raises(DefinitionError, match="takes 2 by position") as caught:
        step.do("d", depends=[a])(lambda a, b: 1)
    assert (caught.value.step, caught.value.place) == ("d", here(14))
    with pytest.raises(DefinitionError, match="'nobody'") as caught:
        await step.do("e")(lambda nobody: 1)()
    assert (caught.value.step, caught.value.place) == ("e", here(17))
    assert here(17) in str(caught.value)


@in_a_run
async def test_case_38_a_signature_means_what_it_means_in_python(event: Any, step: WorkflowStep) -> None:
    """The original refuses defaults and `*rest`, and fails in the body where a parameter is keyword-only."""
    a, b, c = (step.do(name)(telling([], name)) for name in "abc")
    assert await step.do("default", depends=[a])(lambda x, y="y": [x, y])() == ["a", "y"]
    assert await step.do("default, by name")(lambda a, nobody="none": [a, nobody])() == ["a", "none"]
    assert await step.do("rest", depends=[a, b, c])(lambda first, *rest: [first, rest])() == ["a", ("b", "c")]
    assert await step.do("keyword")(lambda a, *, b: [a, b])() == ["a", "b"]


# ------------------------------------------------------------------------------------------- retries, timeouts, errors


@in_a_run
async def test_case_39_limit_counts_retries(event: Any, step: WorkflowStep) -> None:
    attempts: list[int] = []

    @step.do(config={"retries": {"limit": 3, "delay": "1 second"}})
    async def always_fails(ctx: StepContext) -> None:
        attempts.append(ctx.attempt)
        raise OSError("as always")

    with pytest.raises(OSError, match="as always"):
        await always_fails()
    assert attempts == [1, 2, 3, 4]


@in_a_run
async def test_case_40_with_a_limit_of_0_there_is_one_attempt(event: Any, step: WorkflowStep) -> None:
    times: list[float] = []
    once = step.do("once", config={"retries": {"limit": 0, "delay": "1 second"}})(failing(times, OSError("once")))
    with pytest.raises(OSError, match="once"):
        await once()
    assert len(times) == 1


@pytest.mark.parametrize(
    ("backoff", "expected"),
    [("constant", [0.1, 0.1, 0.1]), ("linear", [0.1, 0.2, 0.3]), ("exponential", [0.1, 0.2, 0.4])],
)
@in_a_run
async def test_case_41_the_backoff_says_how_delays_grow(
    event: Any, step: WorkflowStep, backoff: Any, expected: list[float]
) -> None:
    times: list[float] = []
    config: Any = {"retries": {"limit": 3, "delay": 100, "backoff": backoff}}
    with pytest.raises(OSError, match="again"):
        await step.do("tries", config=config)(failing(times, OSError("again")))()
    assert pauses(times) == pytest.approx(expected)


@in_a_run
async def test_case_42_without_a_backoff_it_is_exponential(event: Any, step: WorkflowStep) -> None:
    times: list[float] = []
    config: Any = {"retries": {"limit": 3, "delay": 100}}
    with pytest.raises(OSError, match="again"):
        await step.do("tries", config=config)(failing(times, OSError("again")))()
    assert pauses(times) == pytest.approx([0.1, 0.2, 0.4])


async def test_case_43_without_a_config_there_is_one_attempt_without_a_limit(autojump_clock: MockClock) -> None:
    """The original: 5 retries, 10 seconds and then twice as long each time, 10 minutes an attempt. `defaults` can say so."""
    times: list[float] = []

    async def workflow(event: Any, step: WorkflowStep) -> None:
        @step.do()
        async def takes_an_hour() -> None:
            times.append(trio.current_time())
            await trio.sleep(3_600)
            raise OSError("an hour lost")

        await takes_an_hour()

    with pytest.raises(OSError, match="an hour lost"):
        await run_workflow(workflow)
    assert len(times) == 1
    times.clear()
    retries: Any = {"limit": 5, "delay": "10 seconds", "backoff": "exponential"}
    with pytest.raises(WorkflowTimeoutError):
        await run_workflow(workflow, defaults={"retries": retries, "timeout": "10 minutes"})
    assert pauses(times) == pytest.approx([600 + delay for delay in (10, 20, 40, 80, 160)])


def refused(step: WorkflowStep, config: Any, said: str) -> None:
    """It can be caught, as a ValueError too, and there has been no attempt: there isn't even a step."""
    with pytest.raises(ConfigError, match=said):
        step.do("refused", config=config)(lambda: pytest.fail("there is an attempt"))
    assert issubclass(ConfigError, ValueError)


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"retires": {"limit": 1, "delay": 1}}, "did you mean 'retries'"),
        ({"retries": {"limit": 1, "delay": 1, "factor": 2}}, "'factor'"),
        ({"retries": {"limit": -1, "delay": 1}}, "limit of retries can't be -1"),
        ({"retries": {"limit": 1, "delay": 1, "backoff": "x"}}, "backoff can't be 'x'"),
        ({"retries": {"limit": 1, "delay": "soon"}}, "delay can't be 'soon'"),
    ],
)
@in_a_run
async def test_case_44_a_config_that_cannot_be_used_is_refused(
    event: Any, step: WorkflowStep, config: Any, said: str
) -> None:
    """At the declaration; the original says it when the step is called."""
    refused(step, config, said)


@pytest.mark.parametrize(("given", "missing"), [({"limit": 3}, "delay"), ({"delay": "1 second"}, "limit")])
@in_a_run
async def test_case_45_retries_need_a_limit_and_a_delay(
    event: Any, step: WorkflowStep, given: Any, missing: str
) -> None:
    """At the declaration; the original says it when the step is called."""
    refused(step, {"retries": given}, f"retries needs {missing}")


@in_a_run
async def test_case_46_a_timeout_of_0_is_refused_and_0_seconds_are_taken_at_their_word(
    event: Any, step: WorkflowStep
) -> None:
    """The refusal comes at the declaration; the original says it when the step is called."""
    refused(step, {"timeout": 0}, "timeout can't be 0")
    log: list[str] = []
    begin = trio.current_time()
    with pytest.raises(WorkflowTimeoutError):
        await step.do("at once", config={"timeout": "0 seconds"})(telling(log, "it", 1))()
    assert trio.current_time() == begin
    assert ended(log) == []


@in_a_run
async def test_case_47_a_function_may_say_the_base_of_each_delay(event: Any, step: WorkflowStep) -> None:
    """A plain function `(ctx, error)`; the original has this in JavaScript only, with both in one object."""
    times: list[float] = []
    asked: list[tuple[int, str]] = []

    def delay(ctx: StepContext, error: Exception) -> int:
        asked.append((ctx.attempt, str(error)))
        return 50

    config: Any = {"retries": {"limit": 2, "delay": delay}}
    with pytest.raises(OSError, match="again"):
        await step.do("tries", config=config)(failing(times, OSError("again")))()
    assert asked == [(1, "again"), (2, "again")]
    assert pauses(times) == pytest.approx([0.05, 0.1])


@in_a_run
async def test_case_48_a_delay_function_that_raises_ends_it(event: Any, step: WorkflowStep) -> None:
    """With its own error, behind which stands the attempt's; the original makes a NonRetryableDelayError of it."""
    times: list[float] = []
    error = OSError("again")

    def delay(ctx: StepContext, error: Exception) -> int:
        raise LookupError("no delay for this")

    config: Any = {"retries": {"limit": 5, "delay": delay}}
    with pytest.raises(LookupError, match="no delay for this") as caught:
        await step.do("tries", config=config)(failing(times, error))()
    assert caught.value.__context__ is error
    assert len(times) == 1


async def test_case_49_a_non_retryable_error_ends_it(autojump_clock: MockClock) -> None:
    times: list[float] = []

    async def workflow(event: Any, step: WorkflowStep) -> None:
        body = failing(times, NonRetryableError("never again"))
        await step.do("tries", config={"retries": {"limit": 5, "delay": 1}})(body)()

    with pytest.raises(NonRetryableError, match=r"^never again$"):
        await run_workflow(workflow)
    assert len(times) == 1


@in_a_run
async def test_case_50_after_a_non_retryable_error_that_is_caught_the_workflow_goes_on(
    event: Any, step: WorkflowStep
) -> None:
    with pytest.raises(NonRetryableError):
        await step.do("fails")(failing([], NonRetryableError("never again")))()
    assert await step.do("next")(lambda: 42)() == 42


@in_a_run
async def test_case_51_a_timeout_is_for_each_attempt(event: Any, step: WorkflowStep) -> None:
    attempts: list[int] = []

    @step.do(config={"timeout": 200, "retries": {"limit": 1, "delay": 100}})
    async def slow(ctx: StepContext) -> None:
        attempts.append(ctx.attempt)
        await trio.sleep(0.5)

    begin = trio.current_time()
    with pytest.raises(WorkflowTimeoutError):
        await slow()
    assert attempts == [1, 2]
    assert trio.current_time() - begin == pytest.approx(0.2 + 0.1 + 0.2)


@in_a_run
async def test_case_52_an_attempt_that_takes_too_long_has_stopped_before_the_next_begins(
    event: Any, step: WorkflowStep
) -> None:
    """In the original it runs on to its end, beside its own retry."""
    log: list[str] = []
    body = telling(log, "it", 0.5, cleanup=1)
    with pytest.raises(WorkflowTimeoutError):
        await step.do("slow", config={"timeout": 200, "retries": {"limit": 1, "delay": 0}})(body)()
    await trio.sleep(10)
    assert log == ["it begins", "it has stopped", "it begins", "it has stopped"]


@in_a_run
async def test_case_52_a_plain_function_cannot_be_stopped_and_gets_no_timeout(event: Any, step: WorkflowStep) -> None:
    """The original accepts it."""
    with pytest.raises(DefinitionError, match="timeout but a plain function"):
        step.do("crunch", config={"timeout": "1 second"})(lambda: sum(range(10**9)))


class OutOfStockError(Exception):
    def __init__(self, item: str) -> None:
        super().__init__(f"no {item} left")
        self.item = item


@pytest.mark.parametrize("error", [KeyError("k"), OutOfStockError("tea"), ExceptionGroup("many", [OSError()])])
@in_a_run
async def test_case_53_an_exception_is_caught_as_what_was_raised(
    event: Any, step: WorkflowStep, error: Exception
) -> None:
    """That very object. In the original only ValueError, TypeError and NonRetryableError keep their class."""
    fails = step.do("fails")(failing([], error))
    for failed in (fails, step.do("dependent", depends=[fails])(lambda x: x)):
        with pytest.raises(type(error)) as caught:
            await failed()
        assert caught.value is error


@pytest.mark.parametrize("value", [(1, 2), b"bytes", datetime(2026, 11, 23, tzinfo=UTC), {1: "one"}, object()])
@in_a_run
async def test_case_55_a_result_is_handed_over_as_it_is(event: Any, step: WorkflowStep, value: Any) -> None:
    """The object itself, to everybody the same. In the original some change their type, and others fail the step."""
    result = step.do("result")(lambda: value)
    assert await result() is value
    assert await step.do("dependent", depends=[result])(lambda x: x)() is value


# --------------------------------------------------------------------------------------------------------------- sleep


@pytest.mark.parametrize(
    ("duration", "seconds"),
    [
        ("1 second", 1),
        ("2 minutes", 120),
        ("1 hour", 3_600),
        ("3 days", 3 * 86_400),
        ("1 week", 7 * 86_400),
        ("1 month", 30 * 86_400),
        ("1 year", 365.25 * 86_400),
    ],
)
@in_a_run
async def test_case_58_a_duration_is_a_number_and_a_unit(
    event: Any, step: WorkflowStep, duration: str, seconds: float
) -> None:
    begin = trio.current_time()
    await step.sleep("a while", duration)
    assert trio.current_time() - begin == pytest.approx(seconds)


@in_a_run
async def test_case_59_a_number_is_milliseconds(event: Any, step: WorkflowStep) -> None:
    begin = trio.current_time()
    await step.sleep("a while", 250)
    assert trio.current_time() - begin == pytest.approx(0.25)


@pytest.mark.parametrize("negative", [-1, "-5 seconds", timedelta(seconds=-1)])
@in_a_run
async def test_case_60_0_seconds_end_at_once_and_a_negative_duration_is_refused(
    event: Any, step: WorkflowStep, negative: Any
) -> None:
    """In the original a negative one ends at once, too: it is mostly a mistake in somebody's arithmetic."""
    begin = trio.current_time()
    await step.sleep("not at all", "0 seconds")
    assert trio.current_time() == begin
    with pytest.raises(ConfigError, match="a duration is at least 0"):
        step.sleep("back in time", negative)


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("5 min", "5 minutes"),
        ("5 s", "5 seconds"),
        ("1 fortnight", None),
        ("1 hour 1 minute", "61 minutes"),
        ("1second", "1 second"),
        ("", None),
    ],
)
@in_a_run
async def test_case_61_what_is_no_duration_is_refused_with_the_units(
    event: Any, step: WorkflowStep, text: str, meant: str | None
) -> None:
    """The original takes "5 min" for 5 milliseconds, as with each unit that it doesn't know; others fail in its database."""
    with pytest.raises(ConfigError, match="second, minute, hour, day, week, month or year") as caught:
        step.sleep("a while", text)
    assert ("did you mean" in str(caught.value)) == (meant is not None)
    assert meant is None or f'did you mean "{meant}"?' in str(caught.value)


@in_a_run
async def test_case_65_a_moment_that_has_passed_is_an_error(event: Any, step: WorkflowStep) -> None:
    await step.sleep("a while", "1 hour")
    with pytest.raises(ConfigError, match="past"):
        await step.sleep_until("too late", event.timestamp + timedelta(minutes=59))


@in_a_run
async def test_case_67_a_moment_is_a_datetime_with_a_time_zone(event: Any, step: WorkflowStep) -> None:
    """The original takes numbers for milliseconds where its manual says seconds, and a text fails in its database."""
    begin = trio.current_time()
    await step.sleep_until("tomorrow", event.timestamp + timedelta(days=1))
    assert trio.current_time() - begin == pytest.approx(86_400)
    number, text = cast(Any, 32_472_144_000), cast(Any, "2999-01-01T00:00:00Z")
    with pytest.raises(ConfigError, match=r"time zone.* write datetime"):
        step.sleep_until("naive", datetime(2999, 1, 1))
    with pytest.raises(ConfigError, match=r"seconds or milliseconds.* write datetime\.fromtimestamp"):
        step.sleep_until("number", number)
    with pytest.raises(ConfigError, match=r"text.* write datetime\.fromisoformat"):
        step.sleep_until("text", text)


# -------------------------------------------------------------------------------------------------------------- events


async def test_case_68_an_event_may_come_before_its_wait(autojump_clock: MockClock) -> None:
    async def workflow(event: Any, step: WorkflowStep) -> tuple[Any, float]:
        await step.sleep("a while", "1 hour")
        begin = trio.current_time()
        got = await step.wait_for_event("the bell", "bell")
        return got.payload, trio.current_time() - begin

    async with open_run(workflow) as run:
        run.send_event("bell", "rings")
        assert await run.result() == ("rings", 0)


async def test_case_69_waits_get_events_in_order(autojump_clock: MockClock) -> None:
    async def workflow(event: Any, step: WorkflowStep) -> list[Any]:
        return [(await step.wait_for_event("a number", "number")).payload for _ in range(2)]

    async with open_run(workflow) as run:
        run.send_event("number", 1)
        run.send_event("number", 2)
        assert await run.result() == [1, 2]


async def test_case_70_an_event_of_another_type_is_kept(autojump_clock: MockClock) -> None:
    async def workflow(event: Any, step: WorkflowStep) -> list[Any]:
        waits = [("the bell", "bell"), ("the horn", "horn")]
        return [((await step.wait_for_event(*wait)).type, trio.current_time()) for wait in waits]

    async with open_run(workflow) as run:
        run.send_event("horn")
        await trio.sleep(5)
        run.send_event("bell")
        assert await run.result() == [("bell", 5), ("horn", 5)]


async def test_case_71_concurrent_waits_get_one_event_each_in_order_of_waiting(autojump_clock: MockClock) -> None:
    async def workflow(event: Any, step: WorkflowStep) -> dict[str, Any]:
        got = {}

        async def wait(name: str, after: float) -> None:
            await trio.sleep(after)
            got[name] = (await step.wait_for_event(name, "number")).payload

        async with trio.open_nursery() as nursery:
            nursery.start_soon(wait, "second", 2)
            nursery.start_soon(wait, "first", 1)
        return got

    async with open_run(workflow) as run:
        await trio.sleep(3)
        run.send_event("number", 1)
        run.send_event("number", 2)
        assert await run.result() == {"first": 1, "second": 2}


@in_a_run
async def test_case_72_a_wait_in_vain_is_a_workflow_timeout_error(event: Any, step: WorkflowStep) -> None:
    begin = trio.current_time()
    with pytest.raises(WorkflowTimeoutError, match="'the bell'"):
        await step.wait_for_event("the bell", "bell", timeout="1 minute")
    assert trio.current_time() - begin == pytest.approx(60)


@in_a_run
async def test_case_73_a_wait_is_for_24_hours_unless_it_says_otherwise(event: Any, step: WorkflowStep) -> None:
    begin = trio.current_time()
    with pytest.raises(WorkflowTimeoutError):
        await step.wait_for_event("the bell", "bell")
    assert trio.current_time() - begin == pytest.approx(86_400)


async def test_case_74_an_event_without_a_payload_has_none(autojump_clock: MockClock) -> None:
    async def workflow(event: Any, step: WorkflowStep) -> Any:
        got = await step.wait_for_event("the bell", "bell")
        return got.payload, got["type"]

    async with open_run(workflow) as run:
        run.send_event("bell")
        assert await run.result() == (None, "bell")


async def test_case_77_an_event_for_a_run_that_is_over_is_an_error(autojump_clock: MockClock) -> None:
    """As Cloudflare's manual says; its local engine takes the event silently."""

    async def workflow(event: Any, step: WorkflowStep) -> None: ...

    async with open_run(workflow) as run:
        await run.result()
        with pytest.raises(RunClosedError, match="bell"):
            run.send_event("bell")


async def test_case_78_with_a_timeout_of_0_a_wait_takes_only_what_is_there(autojump_clock: MockClock) -> None:
    """The original waits for 24 hours."""

    async def workflow(event: Any, step: WorkflowStep) -> Any:
        got = await step.wait_for_event("the bell", "bell", timeout=0)
        with pytest.raises(WorkflowTimeoutError):
            await step.wait_for_event("the bell again", "bell", timeout=0)
        return got.payload, trio.current_time()

    async with open_run(workflow) as run:
        run.send_event("bell", "rings")
        assert await run.result() == ("rings", 0)
