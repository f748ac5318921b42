"""Promises P8 to P16: what a failure, a leaving waiter and the end of a run do to others.

Each test is named after the promise that it proves; the README links to it.
"""

from __future__ import annotations

import contextvars
import dataclasses
import signal
import traceback
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
from trio.testing import MockClock, assert_checkpoints

from trioflow import DeadlockError, RunClosedError, Step, WorkflowStep, open_run, run_workflow


class Log:
    """What happened and when, in virtual seconds since the log began."""

    def __init__(self) -> None:
        self.entries: list[tuple[float, str]] = []
        self.start = trio.current_time()

    def __call__(self, text: str) -> None:
        self.entries.append((trio.current_time() - self.start, text))

    def __contains__(self, text: str) -> bool:
        return any(text == t for _, t in self.entries)

    def at(self, text: str) -> float:
        (time,) = (time for time, t in self.entries if t == text)
        return time


class Bodies:
    """Makes steps whose bodies sleep, fail and clean up, and keep a log of it."""

    def __init__(self, step: WorkflowStep, log: Log) -> None:
        self.step = step
        self.log = log

    def __call__(
        self,
        name: str,
        seconds: float = 1,
        *needs: Step[Any],
        fails: BaseException | None = None,
        cleanup: float = 0,
        then: Any = None,
        concurrent: bool = True,
    ) -> Step[Any]:
        async def body(*values: Any) -> Any:
            self.log(f"{name} begins")
            try:
                await trio.sleep(seconds)
            except trio.Cancelled:
                self.log(f"{name} is cancelled")
                with trio.CancelScope(shield=True):
                    await trio.sleep(cleanup)
                self.log(f"{name} has stopped")
                if isinstance(then, BaseException):
                    raise then from None
                if then is not None:
                    return then
                raise
            self.log(f"{name} ends")
            if fails is not None:
                raise fails
            return name

        return self.step.do(name, depends=needs, concurrent=concurrent)(body)


@asynccontextmanager
async def a_run() -> AsyncIterator[tuple[WorkflowStep, Log]]:
    """The inside of a run, as the inside of a block: raises what the run raises."""
    entered: list[WorkflowStep] = []
    ready, over = trio.Event(), trio.Event()

    async def workflow(event: Any, step: WorkflowStep) -> None:
        entered.append(step)
        ready.set()
        await over.wait()

    async with open_run(workflow) as run:
        await ready.wait()
        yield entered[0], Log()
        over.set()
        await run.result()


# --------------------------------------------------------------------------------------- P8 first failure, plainly


async def test_p8_a_dependencys_failure_is_raised_as_that_very_object(autojump_clock: MockClock) -> None:
    problem = TypeError("boom")
    async with a_run() as (step, log):
        body = Bodies(step, log)
        bad = body("bad", 1, fails=problem)
        top = body("top", 1, body("middle", 1, bad), body("other", 0.5))
        for failing in (top, bad, top):
            with pytest.raises(TypeError) as caught:
                await failing()
            assert caught.value is problem
    assert [text for _, text in log.entries if text == "bad begins"] == ["bad begins"]  # never run again


async def test_p8_a_group_that_a_bodys_own_nursery_raises_is_that_object(autojump_clock: MockClock) -> None:
    raised: list[BaseException] = []
    async with a_run() as (step, _):

        async def fail(text: str) -> None:
            raise ValueError(text)

        @step.do()
        async def body() -> None:
            try:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(fail, "one")
                    nursery.start_soon(fail, "two")
            except BaseException as exc:
                raised.append(exc)
                raise

        with pytest.raises(ExceptionGroup) as caught:
            await step.do(depends=[body])(lambda value: value)()
        assert caught.value is raised[0]


async def test_p8_however_often_it_is_raised_the_exception_does_not_grow(autojump_clock: MockClock) -> None:
    async with a_run() as (step, _):

        @step.do()
        async def bad() -> None:
            await trio.sleep(1)
            try:
                raise KeyError("first")
            except KeyError as exc:
                raise ValueError("second") from exc

        seen = set()
        for _ in range(50):
            try:
                raise LookupError("the waiter's own business")
            except LookupError:
                with pytest.raises(ValueError, match="second") as caught:
                    await bad()
            error = caught.value
            assert isinstance(error.__cause__, KeyError)
            assert isinstance(error.__context__, KeyError)
            names = tuple(frame.name for frame in traceback.extract_tb(error.__traceback__))
            assert names[-1] == "bad"
            seen.add(names)
        assert len(seen) == 1


async def test_p8_an_exception_that_refuses_changes_comes_out_as_it_is(autojump_clock: MockClock) -> None:
    """A frozen dataclass refuses `__context__` and notes. Raised in the middle of everything that once hung the run."""

    @dataclasses.dataclass(frozen=True)
    class Frozen(Exception):
        text: str

    async with a_run() as (step, log):
        body = Bodies(step, log)
        first = Frozen("first")
        top = body("top", 1, body("bad", 1, fails=first), body("also", 9, then=Frozen("second")))
        for _ in range(2):
            caught = None
            try:
                await top()
            except Frozen as exc:
                caught = exc
            assert caught is first


async def test_p8_what_a_waiter_makes_of_it_is_not_what_the_next_one_gets(autojump_clock: MockClock) -> None:
    async with a_run() as (step, _):

        @step.do()
        async def bad() -> None:
            raise ValueError("boom") from KeyError("its own")

        for i in range(3):
            with pytest.raises(ValueError, match="boom") as caught:
                await bad()
            assert repr(caught.value.__cause__) == "KeyError('its own')"
            assert caught.value.__suppress_context__
            with pytest.raises(ValueError, match="boom"):
                raise caught.value from OSError(i)


# ------------------------------------------------------------------------------------------------ P9 siblings stop


async def test_p9_a_failure_stops_what_nobody_needs_any_more_at_that_moment(autojump_clock: MockClock) -> None:
    """Case 29; and not level by level: a body two levels up is stopped at once, too."""
    async with a_run() as (step, log):
        body = Bodies(step, log)
        left = body("left", 1, body("bad", 1, fails=ValueError("boom")), body("sibling", 9, cleanup=2))
        top = body("top", 1, left, body("far", 9, cleanup=1), body("later", 1, body("far below", 9)))
        with pytest.raises(ValueError, match="boom"):
            await top()
        log("told")
        await trio.sleep(20)
    assert log.at("sibling is cancelled") == log.at("far is cancelled") == log.at("far below is cancelled") == 1
    assert log.at("far has stopped") == 2
    assert log.at("sibling has stopped") == log.at("told") == 3  # no error overtakes a clean-up below it
    assert "later begins" not in log  # no side effect after the error
    assert log.entries[-1][1] == "told"


async def test_p9_each_step_settles_as_soon_as_its_own_dependencies_have_stopped(autojump_clock: MockClock) -> None:
    async with a_run() as (step, log):
        body = Bodies(step, log)
        bad = body("bad", 1, fails=ValueError("boom"))
        quick = body("quick top", 1, bad, body("quick sibling", 9, cleanup=1))
        slow = body("slow top", 1, bad, body("slow sibling", 9, cleanup=5))

        async def ask(node: Step[Any]) -> None:
            with pytest.raises(ValueError, match="boom"):
                await node()
            log(f"{node.name} fails")

        async with trio.open_nursery() as nursery:
            for node in (bad, quick, slow, body("both", 1, quick, slow)):
                nursery.start_soon(ask, node)
    assert [log.at(f"{name} fails") for name in ("bad", "quick top", "slow top", "both")] == [1, 2, 6, 6]


async def test_p9_a_sibling_that_somebody_else_wants_runs_on(autojump_clock: MockClock) -> None:
    async with a_run() as (step, log):
        body = Bodies(step, log)
        shared = body("shared", 5)
        top = body("top", 1, body("bad", 1, fails=ValueError("boom")), shared)
        got: list[str] = []

        async def ask() -> None:
            got.append(await shared())

        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask)
            with pytest.raises(ValueError, match="boom"):
                await top()
            log("told")
    assert log.at("told") == 1
    assert got == ["shared"]
    assert log.at("shared ends") == 5


async def test_p9_a_sequence_with_a_failed_dependency_begins_nothing_more(autojump_clock: MockClock) -> None:
    async with a_run() as (step, log):
        body = Bodies(step, log)
        bad = body("bad", 1, fails=ValueError("boom"))
        first = body("first", 5)
        sequence = body("sequence", 1, first, bad, body("never", 1), concurrent=False)

        async def ask_for_bad() -> None:
            with pytest.raises(ValueError, match="boom"):
                await bad()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask_for_bad)
            with pytest.raises(ValueError, match="boom"):
                await sequence()
            log("told")
    assert log.at("told") == log.at("first is cancelled") == 1
    assert "never begins" not in log


async def test_p9_a_body_cancelled_before_its_first_line_never_begins(autojump_clock: MockClock) -> None:
    async with a_run() as (step, log):

        @step.do()
        def bad() -> None:
            log("bad")
            raise ValueError("boom")

        @step.do()
        def sibling() -> None:
            log("sibling")

        with pytest.raises(ValueError, match="boom"):
            await step.do(depends=[bad, sibling], concurrent=True)(lambda *values: None)()
        assert sibling.status == "pending"
    assert "sibling" not in log


# ---------------------------------------------------------------------------------------------- P10 nothing is lost


async def test_p10_what_fails_while_stopping_is_kept_and_named_once(autojump_clock: MockClock) -> None:
    first, second = ValueError("first"), KeyError("second")
    async with a_run() as (step, log):
        body = Bodies(step, log)
        also = body("also", 9, cleanup=1, then=second)
        middle = body("middle", 1, body("bad", 1, fails=first), also)
        top = body("top", 1, middle, also)
        for _ in range(2):
            with pytest.raises(ValueError, match="first") as caught:
                await top()
            assert caught.value is first
            assert first.__notes__ == ["step 'also' also failed while stopping: KeyError('second')"]
        with pytest.raises(KeyError) as other:
            await also()
        assert other.value is second
        assert also.status == "failed"


async def test_p10_an_error_that_two_bodies_raise_names_what_else_failed_once(autojump_clock: MockClock) -> None:
    same = KeyError("the very same")

    async def workflow(event: Any, step: WorkflowStep) -> None:
        @step.do("first")
        async def first() -> None:
            await trio.sleep(1)
            raise same

        @step.do("again")
        async def again() -> None:
            try:
                await trio.sleep_forever()
            finally:
                raise same

        @step.do("other")
        async def other() -> None:
            try:
                await trio.sleep_forever()
            finally:
                with trio.CancelScope(shield=True):
                    await trio.sleep(1)
                raise ValueError("other")

        one = step.do("one", depends=[first, other], concurrent=True)(lambda *values: None)
        two = step.do("two", depends=[again, other], concurrent=True)(lambda *values: None)
        await step.do("both", depends=[one, two], concurrent=True)(lambda *values: None)()

    with pytest.raises(KeyError) as caught:
        await run_workflow(workflow)

    assert caught.value is same
    assert same.__notes__ == ["step 'other' also failed while stopping: ValueError('other')"]


async def test_p10_the_last_one_who_wanted_it_gets_what_a_stopping_body_returns_or_raises(
    autojump_clock: MockClock,
) -> None:
    """As in a nursery, where a task that swallows its cancellation has an answer, and one that raises an error."""
    async with a_run() as (step, log):
        body = Bodies(step, log)
        stubborn, bitter = body("stubborn", 9, cleanup=1, then="all the same"), body("bitter", 9, then=KeyError("no"))
        with trio.move_on_after(1) as scope:
            assert await stubborn() == "all the same"
        assert not scope.cancelled_caught
        assert trio.current_time() - log.start == 2
        with trio.move_on_after(1), pytest.raises(KeyError):
            await bitter()
        top = body("top", 1, body("below", 9, then=OSError("below")), body("besides", 9, cleanup=3))
        with trio.move_on_after(1), pytest.raises(OSError, match="below"):
            await top()
        assert log.at("besides has stopped") == trio.current_time() - log.start


async def test_p10_what_is_raised_while_the_host_cancels_comes_out_of_the_run(autojump_clock: MockClock) -> None:
    async def workflow(event: Any, step: WorkflowStep) -> None:
        body = Bodies(step, Log())
        await body("top", 1, body("a", 9, then=KeyError("a")), body("b", 9, then=OSError("b")))()

    with trio.move_on_after(1) as scope, pytest.raises((KeyError, OSError)) as caught:
        await run_workflow(workflow)
    assert not scope.cancelled_caught
    (note,) = caught.value.__notes__
    assert ("OSError('b')" in note) != ("KeyError('a')" in note)


async def test_p10_an_error_that_only_a_stranger_waits_for_is_the_strangers(autojump_clock: MockClock) -> None:
    problem = KeyError("while closing")
    told: list[BaseException] = []

    async def workflow(event: Any, step: WorkflowStep) -> str:
        node = Bodies(step, Log())("node", 9, cleanup=1, then=problem)

        async def stranger() -> None:
            with trio.move_on_after(1.5):  # while the run closes
                try:
                    await node()
                except KeyError as exc:
                    told.append(exc)

        outside.start_soon(stranger)
        await trio.sleep(1)
        return "the workflow's own"

    async with trio.open_nursery() as outside:
        assert await run_workflow(workflow) == "the workflow's own"
    assert told == [problem]


async def test_p10_what_stops_together_with_an_interrupt_is_a_note_on_it(autojump_clock: MockClock) -> None:
    async def workflow(event: Any, step: WorkflowStep) -> None:
        async def interrupted() -> None:
            await trio.sleep(1)
            raise KeyboardInterrupt

        bitter = Bodies(step, Log())("bitter", 9, cleanup=1, then=KeyError("bitter"))
        await step.do(depends=[bitter, step.do("ends it")(interrupted)], concurrent=True)(lambda *values: None)()

    with pytest.raises(KeyboardInterrupt) as caught:
        await run_workflow(workflow)
    assert caught.value.__notes__ == ["the run also ended with KeyError('bitter')"]


async def test_p10_what_a_body_raises_while_the_run_closes_is_no_reason_to_try_again(
    autojump_clock: MockClock,
) -> None:
    seen: list[Any] = []

    async def workflow(event: Any, step: WorkflowStep) -> None:
        @step.do(config={"retries": {"limit": 3, "delay": "1 second"}})
        async def bitter() -> None:
            try:
                await trio.sleep_forever()
            finally:
                seen.append((bitter.status, bitter.reason))
                raise KeyError("while closing")

        async def stranger() -> None:
            with pytest.raises(KeyError):
                await bitter()
            seen.append("told")

        outside.start_soon(stranger)
        await trio.sleep(1)

    async with trio.open_nursery() as outside:
        await run_workflow(workflow)
    assert seen == [("cancelling", "the run is over"), "told"]


# ----------------------------------------------------------------------------------------------------- P11 interest


async def test_p11_one_waiters_timeout_never_takes_a_shared_step_away(autojump_clock: MockClock) -> None:
    """Case 34."""
    async with a_run() as (step, log):
        body = Bodies(step, log)
        shared = body("shared", 5)
        one, other = body("one", 1, shared), body("other", 1, shared)
        got: list[str] = []

        async def ask() -> None:
            got.append(await other())

        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask)
            with trio.move_on_after(2) as scope:
                await one()
            assert scope.cancelled_caught
            log("one has left")
    assert log.at("one has left") == 2
    assert got == ["other"]
    assert "shared is cancelled" not in log


async def test_p11_a_body_is_cancelled_exactly_when_the_last_one_who_wants_it_has_gone(
    autojump_clock: MockClock,
) -> None:
    async with a_run() as (step, log):
        shared = Bodies(step, log)("shared", 50)

        async def ask(seconds: float) -> None:
            with trio.move_on_after(seconds):
                await shared()

        async with trio.open_nursery() as nursery:
            for seconds in (1, 3, 7, 2):
                nursery.start_soon(ask, seconds)
    assert log.at("shared is cancelled") == 7


async def test_p11_a_sequence_wants_what_it_has_not_begun(autojump_clock: MockClock) -> None:
    """Somebody began the second of a sequence and leaves: it runs on, as the sequence will need it."""
    async with a_run() as (step, log):
        body = Bodies(step, log)
        second = body("second", 5)
        below = body("below", 2)
        third = body("third", 1, below)
        sequence = body("sequence", 1, body("first", 3), second, third, concurrent=False)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(sequence)
            with trio.move_on_after(1):
                await second()
            with trio.move_on_after(1):
                await third()
    assert "second is cancelled" not in log
    assert "below is cancelled" not in log
    assert log.at("second begins") == 0
    assert log.at("third ends") == 4
    assert log.at("sequence ends") == 6


# ------------------------------------------------------------------------------------------------------- P12 prompt


async def test_p12_a_cancelled_waiter_waits_only_for_what_it_alone_wanted(autojump_clock: MockClock) -> None:
    async with a_run() as (step, log):
        body = Bodies(step, log)
        shared = body("shared", 9, cleanup=5)
        top = body("top", 1, shared, body("own", 9, cleanup=2))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(shared)
            with trio.move_on_after(1):
                await top()
            log("left")
            with trio.move_on_after(1):
                await shared()
            log("left again")
    assert log.at("own has stopped") == log.at("left") == 3
    assert log.at("left again") == 4
    assert log.at("shared ends") == 9


async def test_p12_a_step_awaited_under_a_shield_works_while_the_host_cancels(autojump_clock: MockClock) -> None:
    log = Log()

    async def workflow(event: Any, step: WorkflowStep) -> None:
        body = Bodies(step, log)
        try:
            await body("work", 9)()
        finally:
            with trio.CancelScope(shield=True):
                await body("tidy up", 1, body("a", 2), body("b", 3))()
                log("tidied up")

    with trio.move_on_after(1) as scope:
        await run_workflow(workflow)
    assert scope.cancelled_caught
    assert log.at("work is cancelled") == 1
    assert log.at("tidied up") == 5


async def test_p12_closing_a_run_tells_whoever_is_left_over(autojump_clock: MockClock) -> None:
    log = Log()
    steps: dict[str, Step[Any]] = {}

    async def stranger(name: str) -> None:
        try:
            log(f"{name}: {await steps[name]()}")
        except (RunClosedError, KeyError) as exc:
            log(f"{name}: {type(exc).__name__}")

    async def workflow(event: Any, step: WorkflowStep) -> None:
        body = Bodies(step, log)
        steps["stops"] = body("stops", 9, cleanup=2)
        steps["waits"] = body("waits", 1, steps["stops"])
        steps["answers"] = body("answers", 9, cleanup=1, then="an answer")
        steps["raises"] = body("raises", 9, then=KeyError())
        for name in steps:
            outside.start_soon(stranger, name)
        await trio.sleep(1)

    async with trio.open_nursery() as outside:
        await run_workflow(workflow)
        log("over")
    assert log.at("raises: KeyError") == 1
    assert log.at("answers: an answer") == 2
    assert log.at("stops: RunClosedError") == log.at("waits: RunClosedError") == log.at("over") == 3
    for name in ("stops", "waits"):
        with pytest.raises(RunClosedError, match=name):
            await steps[name]()
    assert await steps["answers"]() == "an answer"


# ------------------------------------------------------------------------------------------------------ P13 reasons


async def test_p13_every_step_that_did_not_succeed_can_say_why(autojump_clock: MockClock) -> None:
    reasons: list[str | None] = []
    async with a_run() as (step, log):
        body = Bodies(step, log)

        @step.do()
        async def sibling() -> None:
            try:
                await trio.sleep(9)
            except trio.Cancelled as exc:
                reasons.append(exc.reason)
                raise

        bad = body("bad", 1, fails=ValueError("boom"))
        top = body("top", 1, bad, sibling)
        never = body("never", 1, top)
        with pytest.raises(ValueError, match="boom"):
            await top()
        assert (bad.status, bad.reason) == ("failed", "step 'bad' failed: ValueError('boom')")
        assert (top.status, top.reason) == ("failed", "step 'bad' failed: ValueError('boom')")
        assert (sibling.status, sibling.reason) == ("cancelled", "step 'bad' failed: ValueError('boom')")
        assert reasons == ["step 'bad' failed: ValueError('boom')"]  # Trio's own cancel reason carries it
        assert (never.status, never.reason) == ("pending", "never started: nobody has needed it")

        late = body("late", 9)
        with trio.move_on_after(1):
            await late()
        assert (late.status, late.reason) == ("cancelled", "a deadline has passed for the one who awaited it")
        with trio.CancelScope() as scope:
            scope.cancel(reason="the operator said so")
            await late()
        assert late.status == "cancelled"
        assert "the operator said so" in (late.reason or "")


async def test_p13_the_host_is_named_where_the_host_cancels(autojump_clock: MockClock) -> None:
    steps: list[Step[Any]] = []

    async def workflow(event: Any, step: WorkflowStep) -> None:
        steps.append(Bodies(step, Log())("work", 9))
        steps.append(Bodies(step, Log())("next", 9, steps[0]))
        await steps[1]()

    with trio.CancelScope() as scope:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(run_workflow, workflow)
            await trio.sleep(1)
            scope.cancel(reason="we are shutting down")
    assert steps[0].status == "cancelled"
    assert steps[0].reason == "the host cancelled the run: we are shutting down"
    assert steps[1].status == "pending"
    assert steps[1].reason == "never started: the host cancelled the run: we are shutting down"


async def test_p13_a_reason_is_the_first_cause_and_not_the_way_that_it_has_come(autojump_clock: MockClock) -> None:
    async with a_run() as (step, _):
        nodes: list[Step[None]] = []

        def declare(i: int) -> None:
            @step.do(f"{i}")
            async def body() -> None:
                if not i:
                    await trio.sleep_forever()
                await nodes[i - 1]()

            nodes.append(body)

        for i in range(5):
            declare(i)
        with trio.move_on_after(1):
            await nodes[-1]()
        assert {node.reason for node in nodes} == {"a deadline has passed for the one who awaited it"}


# ------------------------------------------------------------------------------------------- P14 again after cancel

who = contextvars.ContextVar("who", default="nobody")


async def test_p14_a_cancelled_step_starts_afresh_for_the_one_who_asks_then(autojump_clock: MockClock) -> None:
    async with a_run() as (step, _):
        seen: list[tuple[str, int]] = []

        @step.do()
        async def work(ctx: Any) -> str:
            seen.append((who.get(), ctx.attempt))
            await trio.sleep(2)
            return who.get()

        async def ask(name: str, seconds: float) -> None:
            who.set(name)
            with trio.move_on_after(seconds):
                got.append(await work())

        got: list[str] = []
        for name, seconds in (("ann", 1), ("bob", 5), ("cid", 5)):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(ask, name, seconds)
        assert seen == [("ann", 1), ("bob", 1)]
        assert got == ["bob", "bob"]


async def test_p14_who_asks_while_a_body_is_stopping_gets_a_fresh_one_when_it_has(autojump_clock: MockClock) -> None:
    async with a_run() as (step, log):
        body = Bodies(step, log)
        work = body("work", 2, cleanup=3)
        top = body("top", 1, work, body("besides", 1))

        async def leaves() -> None:
            with trio.move_on_after(1):
                await work()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(leaves)
            await trio.sleep(2)
            nursery.start_soon(top)
    assert [time for time, text in log.entries if text == "work begins"] == [0, 4]
    assert log.at("besides begins") == 2  # what can begin doesn't wait
    assert log.at("top begins") == 6


# ------------------------------------------------------------------------------------------------- P15 Trio manners


async def test_p15_every_async_call_is_a_checkpoint_known_outcome_or_not(autojump_clock: MockClock) -> None:
    async def workflow(event: Any, step: WorkflowStep) -> None:
        good, bad = step.do("good")(lambda: 1), step.do("bad")(lambda: 1 / 0)
        for _ in range(2):
            with assert_checkpoints():
                await good()
            with assert_checkpoints(), pytest.raises(ZeroDivisionError):
                await bad()
        with assert_checkpoints():
            await step.sleep("a while", 0)

    with assert_checkpoints():
        await run_workflow(workflow)
    with assert_checkpoints():
        await run_workflow(lambda event, step: None)
    with assert_checkpoints():
        async with open_run(workflow) as run:
            with assert_checkpoints():
                await run.result()
            with assert_checkpoints():
                await run.result()


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, GeneratorExit])
@pytest.mark.parametrize("sync", [False, True])
async def test_p15_what_is_no_exception_is_no_outcome_and_ends_the_run_plainly(
    error: type[BaseException], sync: bool, autojump_clock: MockClock
) -> None:
    steps: list[Step[Any]] = []
    log = Log()

    async def workflow(event: Any, step: WorkflowStep) -> None:
        async def body() -> None:
            await trio.sleep(1)
            raise error("now")

        def sync_body() -> None:
            raise error("now")

        steps.append(step.do("ends it")(sync_body if sync else body))
        other = Bodies(step, log)("other", 9, cleanup=1)
        await step.do(depends=[other, steps[0]], concurrent=True)(lambda *values: None)()

    with pytest.raises(error, match="now"):
        await run_workflow(workflow)
    assert steps[0].status == "cancelled"
    assert "other ends" not in log


@pytest.mark.parametrize("sync", [False, True])
def test_p15_bodies_stay_interruptible(sync: bool) -> None:
    async def workflow(event: Any, step: WorkflowStep) -> None:
        def spin() -> None:
            signal.raise_signal(signal.SIGINT)
            for _ in range(1_000_000):
                pass
            raise AssertionError("not interrupted")

        async def spin_async() -> None:
            spin()

        await step.do("spin")(spin if sync else spin_async)()

    with pytest.raises(KeyboardInterrupt) as caught:
        trio.run(run_workflow, workflow)
    assert "spin" in {frame.name for frame in traceback.extract_tb(caught.value.__traceback__)}


async def test_p15_a_blocked_bodys_task_carries_the_steps_name_and_its_frames(autojump_clock: MockClock) -> None:
    async with a_run() as (step, _):

        @step.do("wait for it")
        async def waits() -> None:
            task = trio.lowlevel.current_task()
            await trio.sleep(1)
            assert task is trio.lowlevel.current_task()
            assert task.name == "wait for it"

        @step.do()
        async def look() -> set[str]:
            await trio.sleep(0.5)
            found = [trio.lowlevel.current_root_task()]
            for task in found:
                assert task is not None
                for nursery in task.child_nurseries:
                    found += nursery.child_tasks
            (task,) = [t for t in found if t is not None and t.name == "wait for it"]
            return {frame.f_code.co_name for frame, _ in task.iter_await_frames()}

        @step.do(concurrent=True)
        async def both(waits: None, look: set[str]) -> set[str]:
            return look

        assert {"waits", "sleep"} <= await both()


async def test_p15_a_body_sees_the_askers_contextvars_and_its_own_changes_do_not_leak(
    autojump_clock: MockClock,
) -> None:
    async with a_run() as (step, _):
        seen: dict[str, str] = {}

        def node(name: str, *needs: Step[Any]) -> Step[Any]:
            @step.do(name, depends=needs, concurrent=True)
            async def body(*values: Any) -> None:
                seen[name] = who.get()
                who.set(f"{name}'s own")
                await trio.sleep(1)
                assert who.get() == f"{name}'s own"

            return body

        @step.do()
        def quick() -> None:
            seen["quick"] = who.get()
            who.set("quick's own")

        top = node("top", node("a", quick), node("b"), node("c"))
        who.set("asker")
        await top()
        assert seen == dict.fromkeys(("quick", "a", "b", "c", "top"), "asker")
        assert who.get() == "asker"


# -------------------------------------------------------------------------------------------------- P16 silent hang


async def test_p16_bodies_that_wait_for_each_other_get_an_error_instead_of_a_deadlock(
    autojump_clock: MockClock,
) -> None:
    async with a_run() as (step, _):
        steps: dict[str, Step[Any]] = {}

        @step.do()
        async def a() -> str:
            await trio.sleep(1)
            return await steps["middle"]() + "a"

        @step.do()
        async def b() -> str:
            return await a() + "b"

        steps["middle"] = step.do("middle", depends=[b])(lambda value: value)
        with pytest.raises(DeadlockError, match=r"'a'.*would wait for itself.*'middle'.*'b'") as caught:
            await b()
        assert caught.value.steps == ("a", "middle", "b", "a")
        assert (a.status, b.status) == ("failed", "failed")


async def test_p16_a_body_that_awaits_itself_or_its_dependent_is_told(autojump_clock: MockClock) -> None:
    async with a_run() as (step, _):
        steps: dict[str, Step[Any]] = {}

        @step.do()
        async def selfish() -> None:
            await selfish()

        @step.do()
        async def below() -> None:
            await steps["above"]()

        steps["above"] = step.do("above", depends=[below])(lambda value: value)
        with pytest.raises(DeadlockError) as caught:
            await selfish()
        assert caught.value.steps == ("selfish", "selfish")
        with pytest.raises(DeadlockError) as caught:
            await steps["above"]()
        assert caught.value.steps == ("below", "above", "below")


async def test_p16_a_task_below_the_body_counts_as_the_body_and_a_stranger_does_not(
    autojump_clock: MockClock,
) -> None:
    async with a_run() as (step, _), trio.open_nursery() as foreign:
        steps: dict[str, Step[Any]] = {}
        got: list[str] = []

        async def ask_outside() -> None:
            got.append(await steps["top"]())

        @step.do()
        async def inner() -> str:
            foreign.start_soon(ask_outside)  # inherits our contextvars, but nobody here waits for it
            await trio.sleep(1)
            with pytest.RaisesGroup(DeadlockError):
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(steps["top"])
            return "inner"

        steps["top"] = step.do("top", depends=[inner])(lambda value: f"top of {value}")
        assert await steps["top"]() == "top of inner"
        await trio.sleep(1)
        assert got == ["top of inner"]


async def test_p16_steps_inside_steps_run_once_and_as_deep_as_one_likes(autojump_clock: MockClock) -> None:
    async with a_run() as (step, _):
        nodes: list[Step[int]] = []

        def declare(i: int) -> None:
            @step.do(f"{i}", depends=[])
            async def body() -> int:
                return 1 + await nodes[i - 1]() if i else 0

            nodes.append(body)

        for i in range(2000):
            declare(i)
        assert await nodes[-1]() == 1999


async def test_p16_bodies_of_two_runs_that_wait_for_each_other_are_told_too(autojump_clock: MockClock) -> None:
    async with a_run() as (one, _), a_run() as (other, _):
        steps: dict[str, Step[Any]] = {}

        @one.do()
        async def a() -> str:
            await trio.sleep(1)
            return await steps["x"]()

        @other.do()
        async def x() -> str:
            return await a()

        steps["x"] = x
        with pytest.raises(DeadlockError) as caught:
            await x()
        assert caught.value.steps == ("a", "x", "a")


async def test_p16_a_run_inside_a_body_counts_as_the_body(autojump_clock: MockClock) -> None:
    async with a_run() as (step, _):
        steps: dict[str, Step[Any]] = {}

        async def nested(event: Any, inner: WorkflowStep) -> str:
            @inner.do()
            async def asks() -> str:
                return await steps["above"]()

            return await asks()

        @step.do()
        async def below() -> str:
            return await run_workflow(nested)

        steps["above"] = step.do("above", depends=[below])(lambda value: value)
        with pytest.raises(DeadlockError) as caught:
            await steps["above"]()
        assert caught.value.steps == ("asks", "above", "below", "asks")
