"""A body that is called elsewhere: whatever has a `run_sync` may do it, and for all others it is the function itself."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, TypeVar

import pytest
import trio

from trioflow import ConfigError, DefinitionError, Retries, StepConfig, StepContext, WorkflowStep, run_workflow
from trioflow._elsewhere import Elsewhere
from trioflow.abc import Executor

T = TypeVar("T")


class Inline(Executor):
    """Calls at once, and keeps what it was given."""

    def __init__(self) -> None:
        self.given: list[tuple[Any, tuple[Any, ...]]] = []

    async def run_sync(self, fn: Callable[..., T], /, *args: Any) -> T:
        self.given.append((fn, args))
        await trio.lowlevel.checkpoint()
        return fn(*args)


def crunch(left: int, right: int = 2, *, ctx: StepContext | None = None) -> int:
    """Crunches."""
    return left + right


def test_it_has_the_name_and_the_signature_of_the_function() -> None:
    elsewhere: Any = Elsewhere(Inline(), crunch)
    assert (elsewhere.__name__, elsewhere.__doc__) == ("crunch", "Crunches.")
    assert inspect.signature(elsewhere) == inspect.signature(crunch)


async def test_the_executor_is_given_the_very_function_with_its_values() -> None:
    """So that it can be sent to another process. What comes by keyword is in a partial, which can be sent, too."""
    inline = Inline()

    async def workflow(event: Any, step: WorkflowStep) -> tuple[int, int]:
        one = step.do("one", executor=inline)(functools.partial(abs, -1))
        plain = step.do("plain", depends=[one], executor=inline)(abs)
        with_ctx = step.do("ctx", depends=[one], executor=inline)(crunch)
        return await plain(), await with_ctx()

    assert await run_workflow(workflow) == (1, 3)
    (_, nothing), (fn, args), (bound, more) = inline.given
    assert (nothing, fn, args, more) == ((), abs, (1,), (1,))
    assert isinstance(bound, functools.partial)
    assert (bound.func, list(bound.keywords)) == (crunch, ["ctx"])


async def test_a_module_with_such_a_function_will_do() -> None:
    async def workflow(event: Any, step: WorkflowStep) -> int:
        return await step.do(executor=trio.to_thread)(lambda: 5)()

    assert await run_workflow(workflow) == 5


async def test_attempts_are_made_there_one_by_one() -> None:
    inline = Inline()

    async def workflow(event: Any, step: WorkflowStep) -> int:
        @step.do(executor=inline, config=StepConfig(Retries(2, "0 seconds"), "1 minute"))
        def body(ctx: StepContext) -> int:
            if ctx.attempt < 3:
                raise ValueError
            return ctx.attempt

        return await body()

    assert await run_workflow(workflow) == 3
    assert len(inline.given) == 3


async def test_the_timeout_of_the_defaults_is_for_it_too() -> None:
    class Slow(Inline):
        async def run_sync(self, fn: Callable[..., T], /, *args: Any) -> T:
            await trio.sleep_forever()
            raise AssertionError

    async def workflow(event: Any, step: WorkflowStep) -> None:
        await step.do("slow", executor=Slow())(crunch_nothing)()

    def crunch_nothing() -> None: ...

    with pytest.raises(TimeoutError):
        await run_workflow(workflow, defaults=StepConfig(timeout="0.001 seconds"))


class NotAsync:
    def run_sync(self, fn: Callable[..., T], *args: Any) -> T:
        return fn(*args)


@pytest.mark.parametrize(
    ("executor", "said"),
    [
        (Inline, r"executor Inline is a class: pass an object, Inline\(\)"),
        ("threads", r"executor can't be 'threads': it has no `async def run_sync\(fn, \*args\)`; Threads\(\) of"),
        (NotAsync(), r"executor can't be .*: its run_sync is no `async def`"),
    ],
)
async def test_what_is_no_executor_is_refused(executor: Any, said: str) -> None:
    async def workflow(event: Any, step: WorkflowStep) -> None:
        step.do(executor=executor)(lambda: None)

    with pytest.raises(ConfigError, match=said):
        await run_workflow(workflow)


async def test_an_async_body_is_refused() -> None:
    async def workflow(event: Any, step: WorkflowStep) -> None:
        @step.do("fetch", executor=Inline())
        async def fetch() -> None: ...

    with pytest.raises(DefinitionError, match=r"step 'fetch' \(.*\) has an executor but an async body"):
        await run_workflow(workflow)
