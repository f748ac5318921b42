"""The doors: `run_workflow` and `open_run`."""

from __future__ import annotations

import functools
import json
import signal
import traceback
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock, assert_checkpoints

from trioflow import (
    ConfigError,
    DefinitionError,
    RunClosedError,
    Step,
    StepConfig,
    WorkflowEntrypoint,
    WorkflowEvent,
    WorkflowRun,
    WorkflowStep,
    open_run,
    run_workflow,
)

#: Mistakes in what they are given come out when they are called.
DOORS: list[Callable[..., Any]] = [run_workflow, open_run]


class Diamond(WorkflowEntrypoint):
    async def run(self, event: WorkflowEvent[Any], step: WorkflowStep) -> int:
        @step.do()
        async def root() -> int:
            await trio.sleep(1)
            return int(event.payload["start"])

        @step.do(depends=[root])
        async def left(start: int) -> int:
            await trio.sleep(2)
            return start + 1

        @step.do(depends=[root])
        async def right(start: int) -> int:
            await trio.sleep(3)
            return start + 2

        @step.do(depends=[left, right], concurrent=True)
        def both(one: int, other: int) -> int:
            return one * other

        return await both()


async def test_a_diamond_takes_its_critical_path_and_returns_its_value(autojump_clock: MockClock) -> None:
    assert await run_workflow(Diamond, {"start": 1}) == 6
    assert trio.current_time() == 4


# ------------------------------------------------------------------------------------------------- what a workflow is


class Async(WorkflowEntrypoint):
    async def run(self, event: Any, step: WorkflowStep) -> Any:
        await trio.sleep(1)
        return event.payload


class Sync(WorkflowEntrypoint):
    def run(self, event: Any, step: WorkflowStep) -> Any:
        return event.payload


class Handing(WorkflowEntrypoint):
    """A plain `run` that hands on to another, as files written for Cloudflare do."""

    def run(self, event: Any, step: WorkflowStep) -> Any:
        return self.later(event)

    async def later(self, event: Any) -> Any:
        await trio.sleep(1)
        return event.payload


class Static:
    @staticmethod
    async def run(event: Any, step: WorkflowStep) -> Any:
        return event.payload


class ByClass:
    @classmethod
    async def run(cls, event: Any, step: WorkflowStep) -> Any:
        return event.payload


async def function(event: Any, step: WorkflowStep) -> Any:
    await trio.sleep(1)
    return event.payload


def plain_function(event: Any, step: WorkflowStep) -> Any:
    return event.payload


def handing_function(event: Any, step: WorkflowStep) -> Any:
    return function(event, step)


class Callee:
    async def __call__(self, event: Any, step: WorkflowStep) -> Any:
        return event.payload

    async def method(self, event: Any, step: WorkflowStep) -> Any:
        return event.payload


WORKFLOWS: dict[str, Any] = {
    "Async": Async,
    "Sync": Sync,
    "Handing": Handing,
    "Static": Static,
    "ByClass": ByClass,
    "function": function,
    "plain_function": plain_function,
    "handing_function": handing_function,
    "<lambda>": lambda event, step: event.payload,
    "partial": functools.partial(function),
    "Callee": Callee(),
    "method": Callee().method,
}


@pytest.mark.parametrize("name", WORKFLOWS)
async def test_a_workflow_is_a_class_or_a_function_sync_or_async(autojump_clock: MockClock, name: str) -> None:
    given = object()
    assert await run_workflow(WORKFLOWS[name], given) is given
    async with open_run(WORKFLOWS[name], given) as run:
        assert await run.result() is given


@pytest.mark.parametrize("workflow", [None, 5, "Report", Diamond(), object()])
async def test_what_is_no_workflow_is_refused(autojump_clock: MockClock, workflow: Any) -> None:
    with pytest.raises(DefinitionError) as caught:
        await run_workflow(workflow)
    assert str(caught.value) == (
        f"{workflow!r} is not a workflow: give a class with run(self, event, step), or a function (event, step)"
    )
    with pytest.raises(DefinitionError, match="is not a workflow"):
        open_run(workflow)  # at once, before anything is opened


async def test_a_class_without_run_is_refused_by_name(autojump_clock: MockClock) -> None:
    class NoMethod:
        run = 5

    nothing: Any = NoMethod

    class Forgotten(WorkflowEntrypoint):
        pass

    with pytest.raises(
        DefinitionError, match=r"class .*\.NoMethod is not a workflow: it has no run\(self, event, step\)"
    ):
        await run_workflow(nothing)
    with pytest.raises(DefinitionError, match=r"Forgotten has no run\(self, event, step\): a workflow needs one"):
        await run_workflow(Forgotten)


async def test_a_generator_is_no_workflow(autojump_clock: MockClock) -> None:
    async def asynchronous(event: Any, step: WorkflowStep) -> Any:
        yield 1

    class Generates(WorkflowEntrypoint):
        def run(self, event: Any, step: WorkflowStep) -> Any:
            yield 1

    for workflow in (asynchronous, Generates):
        with pytest.raises(DefinitionError, match="has a `yield` in it"):
            await run_workflow(workflow)


async def test_it_is_a_checkpoint_also_where_nothing_is_to_be_done(autojump_clock: MockClock) -> None:
    with assert_checkpoints():
        assert await run_workflow(plain_function) == {}
    with assert_checkpoints():
        async with open_run(plain_function) as run:
            pass
    assert run.id


# ------------------------------------------------------------------------------------------------------------ the event


async def event_of(workflow: Any = None, **options: Any) -> WorkflowEvent[Any]:
    async def run(event: WorkflowEvent[Any], step: WorkflowStep) -> WorkflowEvent[Any]:
        return event

    return await run_workflow(run, **options)


async def test_the_event_is_a_dictionary_with_attributes(autojump_clock: MockClock) -> None:
    event = await event_of(params={"day": 1}, instance_id="the-one")
    assert isinstance(event, dict)
    assert isinstance(event, WorkflowEvent)
    assert set(event) == {"payload", "timestamp", "instanceId", "workflowName"}
    assert event.payload is event["payload"]
    assert (event.payload, event.instanceId, event.workflowName) == ({"day": 1}, "the-one", "run")
    assert json.loads(json.dumps(event, default=str))["instanceId"] == "the-one"


async def test_the_timestamp_is_the_wall_clocks_aware_and_in_utc(autojump_clock: MockClock) -> None:
    before = datetime.now(UTC)
    event = await event_of()
    assert before <= event.timestamp <= datetime.now(UTC)
    assert event.timestamp.tzinfo is UTC


@pytest.mark.parametrize("params", [0, "", [], {"a": 1}, object(), False])
async def test_params_are_handed_over_as_they_are(autojump_clock: MockClock, params: object) -> None:
    assert (await event_of(params=params)).payload is params


async def test_without_params_the_payload_is_an_empty_dictionary_of_its_own(autojump_clock: MockClock) -> None:
    one, other = await event_of(), await event_of(params=None)
    assert (one.payload, other.payload) == ({}, {})
    assert one.payload is not other.payload


async def test_the_name_is_the_classes_or_the_functions(autojump_clock: MockClock) -> None:
    class Report(WorkflowEntrypoint):
        async def run(self, event: WorkflowEvent[Any], step: WorkflowStep) -> str:
            return event.workflowName

    class Object:
        def __call__(self, event: WorkflowEvent[Any], step: WorkflowStep) -> str:
            return event.workflowName

    async def report(event: WorkflowEvent[Any], step: WorkflowStep) -> str:
        return event.workflowName

    workflows: list[Any] = [Report, Object(), report, functools.partial(report)]
    assert [await run_workflow(w) for w in workflows] == ["Report", "Object", "report", "partial"]


# ------------------------------------------------------------------------------------------------------- instance ids


@given(st.from_regex(r"[a-zA-Z0-9_][a-zA-Z0-9_-]{0,99}", fullmatch=True))
def test_an_instance_id_is_taken_as_it_is(instance_id: str) -> None:
    assert trio.run(functools.partial(event_of, instance_id=instance_id)).instanceId == instance_id


@pytest.mark.parametrize("instance_id", ["", "-a", "a" * 101, "a b", "ä", "a\n", "a.b", "٣", 5, b"a", ["a"], True])
async def test_an_instance_id_that_cannot_be_used_is_refused(autojump_clock: MockClock, instance_id: Any) -> None:
    began = []
    for door in DOORS:
        with pytest.raises(ConfigError) as caught:
            await door(lambda event, step: began.append(1), instance_id=instance_id)
        assert str(caught.value).startswith(f"instance id {instance_id!r} can't be used: 1 to 100 letters, digits")
    assert not began


async def test_without_one_each_run_gets_an_id_of_its_own(autojump_clock: MockClock) -> None:
    ids = {(await event_of()).instanceId for _ in range(100)}
    assert len(ids) == 100
    for instance_id in ids:
        assert (await event_of(instance_id=instance_id)).instanceId == instance_id


# ----------------------------------------------------------------------------------------------------- env, __init__


class Base(WorkflowEntrypoint):
    def run(self, event: Any, step: WorkflowStep) -> tuple[Any, Any]:
        return self.ctx, self.env


class Plain(Base):
    pass


class WithSuper(Base):
    def __init__(self, ctx: Any, env: Any) -> None:
        super().__init__(ctx, env)


class WithoutSuper(Base):
    def __init__(self, ctx: Any, env: Any) -> None:
        self.something = 1


class WithoutArguments(Base):
    def __init__(self) -> None:
        self.something = 1


class WithOptions(Base):
    def __init__(self, *args: Any, **keywords: Any) -> None:
        super().__init__(*args, **keywords)


class WithStars(Base):
    def __init__(self, *args: Any) -> None:
        assert len(args) == 2


@pytest.mark.parametrize("env", [None, {"KEY": "x"}, 0], ids=["none", "a dict", "falsy"])
@pytest.mark.parametrize("workflow", [Plain, WithSuper, WithoutSuper, WithoutArguments, WithOptions, WithStars])
async def test_env_reaches_the_workflow_whatever_its_init(
    autojump_clock: MockClock, workflow: type[Base], env: Any
) -> None:
    assert await run_workflow(workflow, env=env) == (None, env)


async def test_an_env_that_the_workflow_has_set_itself_stays(autojump_clock: MockClock) -> None:
    class Wraps(WorkflowEntrypoint):
        def __init__(self, ctx: Any, env: Any) -> None:
            self.env = {"wrapped": env}

        def run(self, event: Any, step: WorkflowStep) -> Any:
            return self.env

    assert await run_workflow(Wraps, env=1) == {"wrapped": 1}


async def test_a_class_without_a_place_for_env_can_be_run_without_one(autojump_clock: MockClock) -> None:
    class Slotted:
        __slots__ = ()

        def run(self, event: Any, step: WorkflowStep) -> int:
            return 1

    assert await run_workflow(Slotted) == 1
    with pytest.raises(DefinitionError, match="Slotted has no place for env"):
        await run_workflow(Slotted, env=1)


async def test_each_run_has_an_object_of_its_own(autojump_clock: MockClock) -> None:
    class Counts(WorkflowEntrypoint):
        count = 0

        async def run(self, event: Any, step: WorkflowStep) -> int:
            self.count += 1
            return self.count

    assert [await run_workflow(Counts) for _ in range(2)] == [1, 1]


async def test_an_error_in_init_comes_out_as_it_is(autojump_clock: MockClock) -> None:
    class Fails(WorkflowEntrypoint):
        def __init__(self, ctx: Any, env: Any) -> None:
            raise KeyError(env)

    with pytest.raises(KeyError, match="the env"):
        await run_workflow(Fails, env="the env")


async def test_env_with_a_function_is_refused(autojump_clock: MockClock) -> None:
    for door in DOORS:
        with pytest.raises(DefinitionError, match=r"env is for workflow classes, which read it as self\.env"):
            await door(function, env={})


@pytest.mark.parametrize("defaults", [5, {"retires": 1}, {"timeout": 0}])
async def test_defaults_that_cannot_be_used_are_refused_before_anything_runs(
    autojump_clock: MockClock, defaults: Any
) -> None:
    began = []
    for door in DOORS:
        with pytest.raises(ConfigError):
            await door(lambda event, step: began.append(1), defaults=defaults)
    assert not began


async def test_open_run_takes_what_run_workflow_takes(autojump_clock: MockClock) -> None:
    facts: list[Any] = []

    class Told:
        def step_completed(self, fact: Any) -> None:
            facts.append(fact)

    told: Any = [Told()]

    class Whole(WorkflowEntrypoint):
        async def run(self, event: Any, step: WorkflowStep) -> Any:
            config = await step.do()(lambda ctx: ctx.config)()
            return event.payload, event.instanceId, self.env, config["retries"]["limit"]

    async with open_run(
        Whole,
        {"day": 1},
        instance_id="the-one",
        env="env",
        defaults={"retries": {"limit": 7, "delay": 1}},
        instruments=told,
    ) as run:
        assert run.id == "the-one"
        assert await run.result() == ({"day": 1}, "the-one", "env", 7)
    assert [fact.instance_id for fact in facts] == ["the-one"]


# ---------------------------------------------------------------------------------------------- how a run ends plainly


async def test_an_error_of_run_comes_out_as_that_object(autojump_clock: MockClock) -> None:
    error = ExceptionGroup("two", [ValueError(), KeyError()])

    async def workflow(event: Any, step: WorkflowStep) -> None:
        await trio.sleep(1)
        raise error

    with pytest.raises(ExceptionGroup) as caught:
        await run_workflow(workflow)
    assert caught.value is error
    assert traceback.extract_tb(error.__traceback__)[-1].name == "workflow"


async def test_what_a_body_raises_as_the_run_closes_is_for_the_stranger_who_still_waits(
    autojump_clock: MockClock,
) -> None:
    heard = []

    async def workflow(event: Any, step: WorkflowStep) -> int:
        @step.do()
        async def body() -> None:
            try:
                await trio.sleep_forever()
            finally:
                raise KeyError("late")

        strangers.start_soon(waits, body)
        await trio.sleep(1)
        return 5

    async def waits(body: Step[None]) -> None:
        try:
            await body()
        except KeyError as exc:
            heard.append(repr(exc))

    async with trio.open_nursery() as strangers:
        assert await run_workflow(workflow) == 5
    assert heard == ["KeyError('late')"]


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("where", ["run", "sync run", "body", "sync body", "body below", "body while stopping"])
@pytest.mark.parametrize("door", ["run_workflow", "open_run", "open_run and result"])
def test_an_interrupt_ends_everything_plainly(kind: type[BaseException], where: str, door: str) -> None:
    error = kind("now")
    ended: list[str] = []

    async def raises() -> None:
        await trio.sleep(1)
        raise error

    def raises_at_once() -> None:
        raise error

    async def raises_while_stopping() -> None:
        try:
            await trio.sleep_forever()
        finally:
            raise error

    async def workflow(event: Any, step: WorkflowStep) -> None:
        @step.do()
        async def beside() -> None:
            try:
                await trio.sleep_forever()
            finally:
                ended.append("beside")

        @step.do("body")
        async def body() -> None:
            await raises()

        if where == "run":
            async with trio.open_nursery() as nursery:
                nursery.start_soon(beside)
                with suppress(BaseExceptionGroup):
                    await raises()
        elif where == "body":
            await step.do("both", depends=[body, beside], concurrent=True)(lambda a, b: None)()
        elif where == "sync body":
            sync = step.do("sync")(raises_at_once)
            await step.do("both", depends=[beside, sync], concurrent=True)(lambda a, b: None)()
        elif where == "body below":
            await step.do("outer")(lambda: body())()
        elif where == "body while stopping":
            with trio.move_on_after(1):
                await step.do("stubborn")(raises_while_stopping)()
        ended.append("run")

    def sync_workflow(event: Any, step: WorkflowStep) -> None:
        raise error

    async def main() -> None:
        chosen: Any = sync_workflow if where == "sync run" else workflow
        if door == "run_workflow":
            await run_workflow(chosen)
            return
        async with open_run(chosen) as run:
            if door == "open_run":
                await trio.sleep_forever()
            await run.result()

    group_of_their_own = where == "run"  # the workflow's own nursery has wrapped it
    with pytest.raises(BaseExceptionGroup if group_of_their_own else kind) as caught:
        trio.run(main, clock=MockClock(autojump_threshold=0))
    if group_of_their_own:
        assert isinstance(caught.value, BaseExceptionGroup)
        assert caught.value.exceptions == (error,)
    else:
        assert caught.value is error
    assert "run" not in ended
    if where in ("run", "body"):
        assert ended == ["beside"]


@pytest.mark.parametrize("door", ["run_workflow", "open_run"])
def test_a_ctrl_c_that_finds_the_program_at_the_runs_end_is_not_lost(door: str) -> None:
    """It arrives while the host waits for a body's clean-up: Trio hands it to the main task, inside our nursery."""

    @trio.lowlevel.enable_ki_protection
    def ctrl_c() -> None:
        signal.raise_signal(signal.SIGINT)

    async def workflow(event: Any, step: WorkflowStep) -> str:
        @step.do()
        async def body() -> None:
            try:
                await trio.sleep_forever()
            finally:
                with trio.CancelScope(shield=True):
                    await trio.sleep(1)
                    ctrl_c()
                    await trio.sleep(1)
                    ended.append("body")

        system(body)
        await trio.sleep(1)
        return "done"

    def system(body: Step[None]) -> None:
        async def waits() -> None:
            with suppress(RunClosedError):
                await body()

        trio.lowlevel.spawn_system_task(waits)

    async def main() -> None:
        if door == "run_workflow":
            await run_workflow(workflow)
        else:
            async with open_run(workflow):
                await trio.sleep(1.5)

    ended: list[str] = []
    with pytest.raises(KeyboardInterrupt):
        trio.run(main, clock=MockClock(autojump_threshold=0))
    assert ended == ["body"]


def test_what_a_body_raises_while_it_is_stopped_for_a_ctrl_c_is_a_note() -> None:
    """Trio hands the interrupt to the main task, which awaits a step: whoever has taken it from Trio must not lose it."""

    @trio.lowlevel.enable_ki_protection
    def ctrl_c() -> None:
        signal.raise_signal(signal.SIGINT)

    steps: list[Step[None]] = []

    async def workflow(event: Any, step: WorkflowStep) -> None:
        @step.do()
        async def quiet() -> None:
            await trio.sleep(1)
            ctrl_c()
            await trio.sleep_forever()

        @step.do()
        async def stubborn() -> None:
            try:
                await trio.sleep_forever()
            finally:
                raise KeyError("while stopping")

        steps.extend([quiet, stubborn])
        await step.do("top", depends=steps, concurrent=True)(lambda quiet, stubborn: None)()

    with pytest.raises(KeyboardInterrupt) as caught:
        trio.run(run_workflow, workflow, clock=MockClock(autojump_threshold=0))
    assert caught.value.__notes__ == ["the run also ended with KeyError('while stopping')"]
    assert [(s.status, s.reason) for s in steps] == [
        ("cancelled", "KeyboardInterrupt"),
        ("failed", "step 'stubborn' failed: KeyError('while stopping')"),
    ]


@pytest.mark.parametrize("same", [True, False])
def test_what_else_was_raised_is_a_note_of_what_ended_the_run_once(same: bool) -> None:
    """Two bodies die of what ends a run, and a third one raises an error while it is stopped for that."""
    errors = [SystemExit(1)] * 2 if same else [SystemExit(1), SystemExit(2)]

    async def workflow(event: Any, step: WorkflowStep) -> None:
        def dies(error: BaseException) -> Callable[[], Any]:
            async def body() -> None:
                for _ in range(9):  # all of them side by side, and not to be stopped by what the first one raises
                    await trio.lowlevel.cancel_shielded_checkpoint()
                raise error

            return body

        @step.do()
        async def stubborn() -> None:
            try:
                await trio.sleep_forever()
            finally:
                raise KeyError("while stopping")

        steps = [stubborn, *(step.do()(dies(error)) for error in errors)]
        await step.do("top", depends=steps, concurrent=True)(lambda *rest: None)()

    with pytest.raises(SystemExit) as caught:
        trio.run(run_workflow, workflow, clock=MockClock(autojump_threshold=0))
    assert caught.value in errors
    notes = ["the run also ended with KeyError('while stopping')"]
    for other in set(errors) - {caught.value}:
        notes.insert(0, f"the run also ended with {other!r}")
    assert caught.value.__notes__ == notes


@pytest.mark.parametrize("door", DOORS)
async def test_what_ends_a_run_takes_the_place_of_the_hosts_cancellation(
    autojump_clock: MockClock, door: Callable[..., Any]
) -> None:
    async def workflow(event: Any, step: WorkflowStep) -> None:
        @step.do()
        async def stubborn() -> None:
            try:
                await trio.sleep_forever()
            finally:
                raise SystemExit(3)

        await stubborn()

    with pytest.raises(SystemExit) as caught, trio.move_on_after(1):  # noqa: PT012
        if door is run_workflow:
            await door(workflow)
        async with door(workflow):
            await trio.sleep_forever()
    assert caught.value.code == 3


async def test_the_host_may_cancel_and_hears_of_nothing_but_that(autojump_clock: MockClock) -> None:
    ended = []

    async def workflow(event: Any, step: WorkflowStep) -> None:
        @step.do()
        async def body() -> None:
            try:
                await trio.sleep_forever()
            finally:
                ended.append("body")

        try:
            await body()
        finally:
            ended.append("run")

    with trio.move_on_after(1) as scope:
        await run_workflow(workflow)
    assert scope.cancelled_caught
    assert ended == ["body", "run"]
    with trio.CancelScope() as scope:
        scope.cancel()
        await run_workflow(workflow)
        raise AssertionError("it was cancelled before it began")
    assert ended == ["body", "run"]


# -------------------------------------------------------------------------------------------------------- open_run


async def counts(event: Any, step: WorkflowStep) -> int:
    @step.do()
    async def one() -> int:
        await trio.sleep(1)
        return 1

    @step.do()
    async def two(one: int) -> int:
        await trio.sleep(1)
        return one + 1

    return await two()


async def fails(event: Any, step: WorkflowStep) -> None:
    await trio.sleep(1)
    raise ValueError("of the run")


async def test_a_run_goes_on_beside_the_block(autojump_clock: MockClock) -> None:
    async with open_run(counts, instance_id="the-one") as run:
        assert isinstance(run, WorkflowRun)
        assert not run.steps
        await trio.sleep(0.5)
        assert [s.name for s in run.steps] == ["one", "two"]
        assert repr(run) == "<WorkflowRun 'the-one' running, 2 steps>"
        assert await run.result() == 2
        assert repr(run) == "<WorkflowRun 'the-one' done, 2 steps>"
        assert [s.status for s in run.steps] == ["succeeded", "succeeded"]
    assert trio.current_time() == 2


async def test_the_result_may_be_asked_for_often_and_by_many(autojump_clock: MockClock) -> None:
    async with open_run(counts) as run:
        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(run.result)
            with trio.move_on_after(1):
                await run.result()
        for _ in range(2):
            with assert_checkpoints():
                assert await run.result() == 2
    assert await run.result() == 2, "also when the block has been left"


async def test_leaving_cancels_what_is_left_and_waits_for_it(autojump_clock: MockClock) -> None:
    ended = []

    async def workflow(event: Any, step: WorkflowStep) -> None:
        @step.do()
        async def body() -> None:
            try:
                await trio.sleep_forever()
            except trio.Cancelled as exc:
                ended.append((exc.reason or "").partition(":")[0])
                with trio.CancelScope(shield=True):
                    await trio.sleep(5)
                raise

        await body()

    async with open_run(workflow, instance_id="the-one") as run:
        await trio.sleep(1)
    assert trio.current_time() == 6
    assert ended == ["the host cancelled the run"]
    assert repr(run) == "<WorkflowRun 'the-one' cancelled, 1 steps>"
    assert run.steps[0].reason == "the host cancelled the run: the block of open_run was left"
    with pytest.raises(RunClosedError, match="run 'the-one' was cancelled before it had a result"):
        await run.result()
    with pytest.raises(RunClosedError, match=r"step 'body' .* was asked for, but its run is over"):
        await run.steps[0]()


async def test_a_failure_waits_until_somebody_asks(autojump_clock: MockClock) -> None:
    async with open_run(fails, instance_id="the-one") as run:
        await trio.sleep(10)  # nothing happens to the block
        assert repr(run) == "<WorkflowRun 'the-one' failed, 0 steps>"
        errors = []
        for _ in range(3):
            try:
                raise LookupError("what the one who asks is busy with")
            except LookupError:
                with pytest.raises(ValueError, match="of the run") as caught:
                    await run.result()
            errors.append((caught.value, len(traceback.extract_tb(caught.value.__traceback__))))
            assert caught.value.__context__ is None
        assert len(set(errors)) == 1, "one object, and its traceback doesn't grow"
    with pytest.raises(ValueError, match="of the run"):
        await run.result()


async def test_a_failure_that_nobody_asked_for_is_raised_on_leaving(autojump_clock: MockClock) -> None:
    with pytest.raises(ValueError, match="of the run") as caught:
        async with open_run(fails) as run:
            await trio.sleep(10)
    with pytest.raises(ValueError, match="of the run") as again:
        await run.result()
    assert again.value is caught.value


async def test_one_who_asked_and_did_not_wait_for_the_answer_was_not_told(autojump_clock: MockClock) -> None:
    with pytest.raises(ValueError, match="of the run"):  # noqa: PT012
        async with open_run(fails) as run:
            with trio.move_on_after(0.5):
                await run.result()
            await trio.sleep(10)


async def test_an_exception_of_the_block_comes_out_unwrapped_with_the_runs_as_a_note(
    autojump_clock: MockClock,
) -> None:
    error = KeyError("of the block")
    with pytest.raises(KeyError) as caught:  # noqa: PT012
        async with open_run(fails, instance_id="the-one"):
            await trio.sleep(10)
            raise error
    assert caught.value is error
    assert error.__notes__ == ["run 'the-one' also failed: ValueError('of the run')"]
    assert error.__context__ is None


async def test_an_exception_of_the_block_has_no_note_where_the_run_has_not_failed(autojump_clock: MockClock) -> None:
    error = KeyError("of the block")
    with pytest.raises(KeyError) as caught:
        async with open_run(counts):
            raise error
    assert caught.value is error
    assert not hasattr(error, "__notes__")


async def test_the_runs_own_failure_raised_through_the_block_is_not_noted_on_itself(
    autojump_clock: MockClock,
) -> None:
    with pytest.raises(ValueError, match="of the run") as caught:
        async with open_run(fails) as run:
            await run.result()
    assert not hasattr(caught.value, "__notes__")


async def test_a_failure_that_the_block_has_from_a_step_is_not_noted_on_itself(autojump_clock: MockClock) -> None:
    error = ValueError("of a step")

    async def workflow(event: Any, step: WorkflowStep) -> None:
        @step.do()
        async def bad() -> None:
            await trio.sleep(1)
            raise error

        await bad()

    with pytest.raises(ValueError, match="of a step") as caught:  # noqa: PT012
        async with open_run(workflow) as run:
            await trio.sleep(0.5)
            await run.steps[0]()
    assert caught.value is error
    assert not hasattr(error, "__notes__")


async def test_a_failure_while_leaving_is_raised_too(autojump_clock: MockClock) -> None:
    async def workflow(event: Any, step: WorkflowStep) -> None:
        try:
            await trio.sleep_forever()
        finally:
            raise KeyError("while leaving")

    with pytest.raises(KeyError, match="while leaving"):
        async with open_run(workflow):
            await trio.sleep(1)


async def test_a_failure_takes_the_place_of_the_hosts_cancellation(autojump_clock: MockClock) -> None:
    async def workflow(event: Any, step: WorkflowStep) -> None:
        try:
            await trio.sleep_forever()
        finally:
            raise KeyError("while stopping")

    with pytest.raises(KeyError, match="while stopping"), trio.move_on_after(1):
        async with open_run(workflow):
            await trio.sleep_forever()
    with pytest.raises(KeyError, match="while stopping"), trio.move_on_after(1):
        await run_workflow(workflow)


async def test_the_host_may_cancel_the_block(autojump_clock: MockClock) -> None:
    with trio.move_on_after(0.5) as scope:
        async with open_run(counts) as run:
            await run.result()
    assert scope.cancelled_caught
    assert trio.current_time() == 0.5
    with trio.CancelScope() as scope:
        scope.cancel()
        async with open_run(counts):
            pass
    with trio.CancelScope() as scope:
        async with open_run(counts) as run:
            await trio.sleep(0.1)
            scope.cancel()
    assert scope.cancelled_caught, "leaving is a checkpoint"
    assert [s.status for s in run.steps] == ["cancelled", "pending"]


async def test_the_host_may_await_steps_beside_the_run(autojump_clock: MockClock) -> None:
    async with open_run(counts) as run:
        await trio.sleep(0.5)
        one, two = run.steps
        with assert_checkpoints():
            assert await one() == 1
        assert trio.current_time() == 1
        assert await two() == 2
        assert await run.result() == 2
        assert await one() == 1, "an outcome stays"
    assert await two() == 2, "also when the block has been left"


async def test_a_step_without_an_outcome_says_that_its_run_is_over(autojump_clock: MockClock) -> None:
    async def workflow(event: Any, step: WorkflowStep) -> None:
        step.do("unneeded")(lambda: 1)

    async with open_run(workflow) as run:
        await run.result()
        with pytest.raises(RunClosedError) as caught:
            await run.steps[0]()
        assert (
            str(caught.value)
            == f"step 'unneeded' ({run.steps[0].place}) was asked for, but its run is over: await it before run returns"
        )
        assert caught.value.step == "unneeded"


async def test_a_run_can_be_opened_once_only(autojump_clock: MockClock) -> None:
    opening = open_run(counts, instance_id="the-one")
    async with opening as run:
        with pytest.raises(RunClosedError, match="run 'the-one' has been opened before: call open_run again"):
            await opening.__aenter__()
        assert await run.result() == 2
    with pytest.raises(RunClosedError, match="has been opened before"):
        await opening.__aenter__()


async def test_many_runs_at_once_know_nothing_of_one_another(autojump_clock: MockClock) -> None:
    found = []

    async def one(n: int) -> None:
        async with open_run(Diamond, {"start": n}) as run:
            found.append((n, await run.result()))

    async with trio.open_nursery() as nursery:
        for n in range(20):
            nursery.start_soon(one, n)
    assert sorted(found) == [(n, (n + 1) * (n + 2)) for n in range(20)]
    assert trio.current_time() == 4


async def test_a_run_may_start_another(autojump_clock: MockClock) -> None:
    async def workflow(event: Any, step: WorkflowStep) -> int:
        @step.do(config=StepConfig(timeout="10 seconds"))
        async def inner() -> int:
            return await run_workflow(Diamond, {"start": 1})

        return await inner() + await run_workflow(Diamond, {"start": 2})

    assert await run_workflow(workflow) == 6 + 12
    assert trio.current_time() == 8
