"""Declaring: it runs nothing, and mistakes come out as early as they can be known."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from typing import Any

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock

from trioflow import (
    ConfigError,
    CycleError,
    DefinitionError,
    RunClosedError,
    Step,
    StepConfig,
    StepContext,
    WorkflowStep,
    open_run,
    run_workflow,
)

HERE = re.escape(__file__)

Workflow = Callable[[Any, WorkflowStep], Any]


def line_of(workflow: Callable[..., Any], below: int) -> str:
    """ "file:line" so many lines below a workflow's `def`."""
    return f"{__file__}:{workflow.__code__.co_firstlineno + below}"


async def mistake(workflow: Workflow, kind: type[Exception] = DefinitionError, **options: Any) -> Any:
    """The error that a workflow ends with."""
    with pytest.raises(kind) as caught:
        await run_workflow(workflow, **options)
    return caught.value


# ---------------------------------------------------------------------------------------------------- what it gives


async def test_declaring_runs_nothing_and_what_nobody_needs_never_runs(autojump_clock: MockClock) -> None:
    began = []

    async def workflow(event: Any, step: WorkflowStep) -> None:
        @step.do()
        async def needed() -> None:
            began.append("needed")

        @step.do(depends=[needed])
        async def unneeded(needed: None) -> None:
            began.append("unneeded")

        await trio.sleep(10)
        assert began == []
        await needed()

    await run_workflow(workflow)
    assert began == ["needed"]


async def test_a_step_may_be_declared_with_all_that_it_needs(autojump_clock: MockClock) -> None:
    async def workflow(event: Any, step: WorkflowStep) -> None:
        a = step.do("a")(lambda: 1)
        config = StepConfig(timeout="1 second")
        for one in (
            step.do("b", [a], True, {"timeout": "1 second"}),
            step.do(name="b", depends=(a,), concurrent=True, config=config),
            step.do("b", depends=(x for x in [a]), concurrent=True, config=config),
        ):

            async def body(a: int) -> int:
                return a

            declared = one(body)
            assert (declared.name, declared.dependencies, declared.together) == ("b", (a,), True)
            assert declared.config == config
            assert declared.place == line_of(workflow, 12)

    await run_workflow(workflow)


@pytest.mark.parametrize("name", ["x" * 256, "", "größer 🙂", "with spaces: and signs", "\x7f", " "])
async def test_any_text_may_be_a_name(autojump_clock: MockClock, name: str) -> None:
    async def workflow(event: Any, step: WorkflowStep) -> str:
        return step.do(name)(lambda: None).name

    assert await run_workflow(workflow) == name


async def test_a_name_may_be_of_a_kind_of_text_of_ones_own(autojump_clock: MockClock) -> None:
    class Name(str):
        pass

    async def workflow(event: Any, step: WorkflowStep) -> bool:
        return step.do(Name("x"))(lambda: None).name == "x"

    assert await run_workflow(workflow)


async def test_tasks_and_bodies_may_declare_too(autojump_clock: MockClock) -> None:
    async def workflow(event: Any, step: WorkflowStep) -> dict[int, Any]:
        found: dict[int, Any] = {}

        async def task(n: int) -> None:
            @step.do()
            async def fetch() -> int:
                await trio.sleep(1)
                return n

            @step.do()
            async def store(fetch: int, ctx: StepContext) -> tuple[int, int]:
                inner = step.do("fetch")(lambda: fetch * 10)
                return await inner(), ctx.step.count

            found[n] = await store()

        async with trio.open_nursery() as nursery:
            for n in range(3):
                nursery.start_soon(task, n)
        return found

    found = await run_workflow(workflow)
    assert {n: value for n, (value, _) in found.items()} == {0: 0, 1: 10, 2: 20}
    assert sorted(count for _, count in found.values()) == [1, 2, 3]


async def test_a_task_of_a_task_and_a_task_of_a_body_declare_for_themselves(autojump_clock: MockClock) -> None:
    async def workflow(event: Any, step: WorkflowStep) -> list[Any]:
        found = []

        async def leaf(tag: str) -> None:
            step.do("own")(lambda: f"own of {tag}")
            found.append(await step.do()(lambda own, shared: (own, shared))())

        async def branch(tag: str) -> None:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(leaf, f"{tag}1")
                nursery.start_soon(leaf, f"{tag}2")

        step.do("shared")(lambda: "of the run")
        step.do("own")(lambda: "of the run")
        await branch("a")

        @step.do()
        async def body() -> None:
            step.do("shared")(lambda: "of the body")
            await branch("b")

        await body()
        return sorted(found)

    assert await run_workflow(workflow) == [
        ("own of a1", "of the run"),
        ("own of a2", "of the run"),
        ("own of b1", "of the body"),
        ("own of b2", "of the body"),
    ]


async def test_a_task_in_a_nursery_of_the_host_declares_for_the_run(autojump_clock: MockClock) -> None:
    found = []

    async def foreign(step: WorkflowStep) -> None:
        found.append(await step.do()(lambda shared: shared)())

    async def workflow(event: Any, step: WorkflowStep) -> None:
        step.do("shared")(lambda: 1)
        nursery.start_soon(foreign, step)
        await trio.sleep(1)

    async with trio.open_nursery() as nursery:
        await run_workflow(workflow)
    assert found == [1]


async def test_the_step_may_be_declared_in_another_system_task_or_none(autojump_clock: MockClock) -> None:
    """A task of Trio's own has nobody above: what it declares belongs to the run."""
    found = []

    async def workflow(event: Any, step: WorkflowStep) -> None:
        async def system() -> None:
            found.append(await step.do("theirs")(lambda: 1)())

        trio.lowlevel.spawn_system_task(system)
        await trio.sleep(1)

    await run_workflow(workflow)
    assert found == [1]


# ------------------------------------------------------------------------------------------- mistakes in step.do(...)


async def test_parentheses_that_are_missing_are_asked_for(autojump_clock: MockClock) -> None:
    async def workflow(event: Any, step: WorkflowStep) -> None:
        @step.do  # type: ignore[arg-type]
        async def body() -> None: ...

    error = await mistake(workflow)
    assert "step.do needs parentheses: write @step.do() or @step.do('name') above the function" in str(error)
    assert re.search(rf"{HERE}:\d+", str(error))
    assert error.place in str(error)


@pytest.mark.parametrize("name", [5, b"bytes", 1.5, ["a"], object()])
async def test_a_name_that_is_no_text_is_refused(autojump_clock: MockClock, name: Any) -> None:
    async def workflow(event: Any, step: WorkflowStep) -> None:
        step.do(name)

    error = await mistake(workflow)
    assert f"a step's name is text, not {name!r}" in str(error)
    assert error.place == line_of(workflow, 1)
    assert error.place in str(error)


@given(
    st.text(max_size=5),
    st.characters(max_codepoint=0x1F),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=300),
)
def test_a_name_with_a_control_character_is_refused(before: str, control: str, after: str) -> None:
    async def workflow(event: Any, step: WorkflowStep) -> None:
        step.do(f"{before}{control}{after}"[:256])(lambda: None)

    with pytest.raises(DefinitionError) as caught:
        trio.run(run_workflow, workflow)
    assert str(caught.value).endswith(f" ({line_of(workflow, 1)}): a name can't contain control characters")
    assert caught.value.place == line_of(workflow, 1)


@given(st.integers(257, 2000))
def test_a_name_that_is_too_long_is_refused_and_not_repeated_at_length(length: int) -> None:
    async def workflow(event: Any, step: WorkflowStep) -> None:
        step.do("n" * length)(lambda: None)

    with pytest.raises(DefinitionError) as caught:
        trio.run(run_workflow, workflow)
    shown = f"'{'n' * 40}'... ({length} characters)"
    assert str(caught.value) == f"step {shown} ({line_of(workflow, 1)}): a name has at most 256 characters"


async def test_a_functions_own_name_is_looked_at_too(autojump_clock: MockClock) -> None:
    def body() -> None: ...

    body.__name__ = "two\nlines"

    async def workflow(event: Any, step: WorkflowStep) -> None:
        step.do()(body)

    assert "'two\\nlines'" in str(await mistake(workflow))


@pytest.mark.parametrize("value", ["users", b"users", 5, len])
async def test_depends_wants_a_list(autojump_clock: MockClock, value: Any) -> None:
    async def workflow(event: Any, step: WorkflowStep) -> None:
        step.do("report", depends=value)(lambda users: None)

    error = await mistake(workflow)
    if isinstance(value, bytes):
        assert "has 117 as number 1 of its depends, which is not a step" in str(error)
    else:
        assert f"depends takes a list of the steps themselves, not {value!r}" in str(error)
    assert error.place == line_of(workflow, 1)
    assert error.place in str(error)


async def test_a_single_step_in_depends_wants_brackets(autojump_clock: MockClock) -> None:
    async def workflow(event: Any, step: WorkflowStep) -> None:
        users = step.do("users")(lambda: 1)
        step.do("report", depends=users)(lambda users: None)  # type: ignore[arg-type]

    error = await mistake(workflow)
    assert "depends takes a list of steps: write depends=[users] instead of the step itself" in str(error)
    assert error.place == line_of(workflow, 2)
    assert error.place in str(error)


def plain() -> int:
    return 1


@pytest.mark.parametrize("value", ["users", plain, None, 5, functools.partial(plain), StepConfig()])
async def test_what_is_no_step_is_refused_in_depends(autojump_clock: MockClock, value: Any) -> None:
    async def workflow(event: Any, step: WorkflowStep) -> None:
        a = step.do("a")(lambda: 1)
        step.do("report", depends=[a, value])(lambda a, b: None)

    error = await mistake(workflow)
    assert str(error) == (
        f"step 'report' ({line_of(workflow, 2)}) has {value!r} as number 2 of its depends, which is not a step; "
        "depends takes what @step.do(...) has made of the functions"
    )
    assert (error.step, error.place) == ("report", line_of(workflow, 2))


@pytest.mark.parametrize(
    ("config", "said"),
    [
        (5, "config can't be 5"),
        ({"retires": {}}, "did you mean 'retries'?"),
        ({"limit": 3}, "it goes inside retries"),
        ({"retries": 3}, "retries can't be 3"),
        ({"retries": {"limit": 3}}, "retries needs delay too"),
        ({"retries": {"limit": -1, "delay": 1}}, "limit of retries can't be -1"),
        ({"retries": {"limit": 1, "delay": "5 min"}}, 'did you mean "5 minutes"?'),
        ({"retries": {"limit": 1, "delay": 1, "backoff": "linaer"}}, "did you mean 'linear'?"),
        ({"timeout": 0}, "timeout can't be 0"),
        ({"timeout": "soon"}, "timeout can't be 'soon'"),
    ],
)
async def test_a_configuration_that_cannot_be_used_is_refused_at_the_declaration(
    autojump_clock: MockClock, config: Any, said: str
) -> None:
    began = []

    async def workflow(event: Any, step: WorkflowStep) -> None:
        await step.do("before")(lambda: began.append(1))()
        step.do("body", config=config)
        began.append(2)

    error = await mistake(workflow, ConfigError)
    assert said in str(error)
    assert began == [1]


async def test_a_timeout_on_a_plain_body_is_refused_with_the_way_out(autojump_clock: MockClock) -> None:
    async def workflow(event: Any, step: WorkflowStep) -> None:
        step.do("crunch", config={"timeout": "1 second"})(lambda: sum(range(10**9)))

    error = await mistake(workflow)
    assert str(error).startswith(f"step 'crunch' ({line_of(workflow, 1)}) has a timeout but a plain function")
    assert "executor=Threads()" in str(error)
    assert (error.step, error.place) == ("crunch", line_of(workflow, 1))


# -------------------------------------------------------------------------------------------- parameters and depends


@pytest.mark.parametrize(
    ("body", "count", "said"),
    [
        (lambda: None, 1, "`depends` names 1 step, but its body takes 0 by position"),
        (lambda a: None, 0, "`depends` names 0 steps, but its body takes 1 by position ('a')"),
        (lambda a: None, 2, "`depends` names 2 steps, but its body takes 1 by position ('a')"),
        (lambda a, ctx: None, 2, "`depends` names 2 steps, but its body takes 1 by position ('a')"),
        (lambda a, b=1: None, 3, "`depends` names 3 steps, but its body takes 1 to 2 by position ('a', 'b')"),
        (lambda a, *rest: None, 0, "`depends` names 0 steps, but its body takes at least 1 by position ('a')"),
        (lambda a, *, b: None, 1, "which never reach keyword-only 'b'"),
        (lambda *, a, b: None, 2, "which never reach keyword-only 'a', 'b'"),
    ],
)
async def test_a_count_that_does_not_fit_the_parameters_is_refused(
    autojump_clock: MockClock, body: Any, count: int, said: str
) -> None:
    async def workflow(event: Any, step: WorkflowStep) -> None:
        steps = [step.do(f"s{i}")(lambda: None) for i in range(count)]
        step.do("top", depends=steps)(body)

    error = await mistake(workflow)
    assert str(error).startswith(f"step 'top' ({line_of(workflow, 2)}): ")
    assert said in str(error)
    assert (error.step, error.place) == ("top", line_of(workflow, 2))


@pytest.mark.parametrize(
    ("body", "count"),
    [
        (lambda: None, 0),
        (lambda ctx: None, 0),
        (lambda a, b=1: None, 1),
        (lambda a, b=1: None, 2),
        (lambda a, *rest: None, 5),
        (lambda a, *, b=1: None, 1),
        (lambda *rest: None, 0),
    ],
)
async def test_a_count_that_fits_is_not(autojump_clock: MockClock, body: Any, count: int) -> None:
    async def workflow(event: Any, step: WorkflowStep) -> None:
        steps = [step.do(f"s{i}")(lambda: None) for i in range(count)]
        await step.do("top", depends=steps)(body)()

    await run_workflow(workflow)


@pytest.mark.parametrize("depends", [None, []])
async def test_keyword_parameters_without_names_are_refused(autojump_clock: MockClock, depends: Any) -> None:
    async def workflow(event: Any, step: WorkflowStep) -> None:
        @step.do(depends=depends)
        def body(**options: Any) -> None: ...

    error = await mistake(workflow)
    assert "takes **options, but a parameter's name says which step it takes" in str(error)
    assert f"{__file__}:" in str(error)


@pytest.mark.parametrize("yields", [False, True])
async def test_what_yields_is_no_body(autojump_clock: MockClock, yields: bool) -> None:
    def generator() -> Any:
        yield 1

    async def agenerator() -> Any:
        yield 1

    async def workflow(event: Any, step: WorkflowStep) -> None:
        step.do()(generator if yields else agenerator)

    assert "has a `yield` in it" in str(await mistake(workflow))


async def test_what_cannot_be_called_is_no_body(autojump_clock: MockClock) -> None:
    async def workflow(event: Any, step: WorkflowStep) -> None:
        step.do("five")(5)  # type: ignore[call-overload]

    assert "a step's body must be a function, not 5" in str(await mistake(workflow))


async def test_a_parameter_that_names_no_step_gets_a_hint(autojump_clock: MockClock) -> None:
    async def workflow(event: Any, step: WorkflowStep) -> None:
        began = []
        step.do("users")(lambda: began.append(1))

        @step.do("report")
        def report(user: Any) -> None: ...

        for _ in range(2):  # the same error when asked again
            with pytest.raises(DefinitionError) as caught:
                await report()
            assert str(caught.value) == (
                f"step 'report' ({line_of(workflow, 4)}) has a parameter 'user', but no step is called that: "
                "did you mean 'users'?"
            )
            assert report.status == "pending"
        assert not began

    await run_workflow(workflow)


async def test_an_unknown_parameter_deep_below_is_found_before_any_body_runs(autojump_clock: MockClock) -> None:
    began = []

    async def workflow(event: Any, step: WorkflowStep) -> None:
        a = step.do("a")(lambda: began.append("a"))
        wrong = step.do("wrong")(lambda nothing_of_the_kind: None)
        await step.do("top", depends=[a, wrong])(lambda a, wrong: None)()

    error = await mistake(workflow)
    assert error.step == "wrong"
    assert began == []


# ------------------------------------------------------------------------------------------------- other runs' steps


async def test_a_step_of_another_run_is_refused(autojump_clock: MockClock) -> None:
    theirs: list[Step[int]] = []

    async def one(event: Any, step: WorkflowStep) -> None:
        theirs.append(step.do("theirs")(lambda: 1))
        await trio.sleep(5)

    async def other(event: Any, step: WorkflowStep) -> None:
        step.do("ours", depends=theirs)(lambda x: None)

    async with open_run(one):
        await trio.sleep(1)
        error = await mistake(other)
    assert str(error) == (
        f"step 'ours' ({line_of(other, 1)}) depends on step 'theirs' ({line_of(one, 1)}), "
        "which was declared in a run that is another one; declare it in this one"
    )
    assert (error.step, error.place) == ("ours", line_of(other, 1))
    error = await mistake(other)
    assert "which was declared in a run that is over" in str(error)


async def test_a_step_of_another_run_may_be_awaited_while_that_goes_on(autojump_clock: MockClock) -> None:
    async def one(event: Any, step: WorkflowStep) -> None:
        step.do("theirs")(lambda: 1)
        await trio.sleep(5)

    async def other(event: Any, step: WorkflowStep) -> int:
        theirs: Step[int] = event.payload
        return await theirs()

    async with open_run(one) as run:
        await trio.sleep(1)
        assert await run_workflow(other, run.steps[0]) == 1


async def test_nothing_can_be_declared_in_a_run_that_is_over(autojump_clock: MockClock) -> None:
    kept: list[WorkflowStep] = []

    async def workflow(event: Any, step: WorkflowStep) -> None:
        kept.append(step)

    await run_workflow(workflow)

    async def late() -> None:
        kept[0].do("late")(lambda: 1)

    with pytest.raises(RunClosedError) as caught:
        await late()
    assert str(caught.value) == f"step 'late' ({line_of(late, 1)}) is declared in a run that is over"
    assert caught.value.step == "late"


# ------------------------------------------------------------------------------------------------------------ cycles


@given(st.integers(1, 6), st.integers(0, 3))
def test_a_cycle_is_reported_with_its_path_and_what_does_not_need_it_still_runs(length: int, before: int) -> None:
    """`length` steps that mean each other by name in a circle, and a chain of others that leads to it."""
    began: list[str] = []

    def named(name: str, needs: str) -> Callable[..., Any]:
        namespace: dict[str, Any] = {"began": began}
        exec(f"def {name}({needs}):\n    began.append({name!r})\n", namespace)
        body: Callable[..., Any] = namespace[name]
        return body

    async def workflow(event: Any, step: WorkflowStep) -> None:
        for i in range(length):
            step.do()(named(f"c{i}", f"c{(i + 1) % length}"))
        top = step.do()(named("lead0", "c0"))
        for i in range(before):
            top = step.do()(named(f"lead{i + 1}", f"lead{i}, free"))
        free = step.do()(named("free", ""))
        messages = set()
        for _ in range(2):
            with pytest.raises(CycleError) as caught:
                await top()
            messages.add(str(caught.value))
            circle = [f"c{i % length}" for i in range(length + 1)]
            assert caught.value.steps == tuple(circle)
            assert caught.value.places == (line_of(workflow, 2),) * (length + 1)
            assert " -> ".join(map(repr, circle)) in str(caught.value)
            assert line_of(workflow, 2) in str(caught.value)
            assert "lead" not in str(caught.value)
        assert len(messages) == 1
        assert began == []
        assert top.status == "pending"
        await free()
        assert began == ["free"]

    trio.run(run_workflow, workflow)


async def test_a_cycle_through_a_function_in_the_code_of_ones_own(autojump_clock: MockClock) -> None:
    async def workflow(event: Any, step: WorkflowStep) -> None:
        @step.do("the hen")
        async def hen(egg: None) -> None: ...

        @step.do("the egg")
        async def egg(hen: None) -> None: ...

        await hen()

    error = await mistake(workflow, CycleError)
    assert error.steps == ("the hen", "the egg", "the hen")
    assert error.places == (line_of(workflow, 1), line_of(workflow, 4), line_of(workflow, 1))
    assert "take away one of these dependencies" in str(error)


async def test_a_step_that_names_itself_is_a_cycle(autojump_clock: MockClock) -> None:
    async def workflow(event: Any, step: WorkflowStep) -> None:
        @step.do()
        async def ouroboros(ouroboros: None) -> None: ...

        await ouroboros()

    assert (await mistake(workflow, CycleError)).steps == ("ouroboros", "ouroboros")


async def test_a_cycle_may_be_mended_by_declaring_what_was_meant(autojump_clock: MockClock) -> None:
    """All or nothing: the failed attempt to find the names has left no step half bound."""

    async def workflow(event: Any, step: WorkflowStep) -> Any:
        top = step.do("top")(lambda a, b: (a, b))
        step.do("a")(lambda: 1)
        with pytest.raises(DefinitionError, match="has a parameter 'b', but no step is called that"):
            await top()
        assert top.dependencies == ()
        step.do("b")(lambda: 2)
        return await top()

    assert await run_workflow(workflow) == (1, 2)
