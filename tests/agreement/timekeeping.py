"""Worlds and judges for time and policy: they run what a specification says, for real, and compare with the model.

A judge is a plain function from a specification to nothing or an `AssertionError`, so that a property can draw for it and
a test can show that it objects to a runtime that is broken. What ought to happen is `trioflow.testing`'s arithmetic
(`timing`, `events`, `durations`); only what the clock on the wall says, and what is forgotten, is worked out here.
"""

from __future__ import annotations

import contextlib
import itertools
import math
import warnings
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta, timezone
from fractions import Fraction
from typing import Any

import attrs
import outcome
import trio
from hypothesis import strategies as st
from trio.testing import MockClock

from trioflow import (
    ConfigError,
    NonRetryableError,
    ReceivedEvent,
    Retries,
    StepConfig,
    WorkflowEvent,
    WorkflowStep,
    WorkflowTimeoutError,
    _step,
    open_run,
    run_workflow,
)
from trioflow.testing import (
    AttemptSpec,
    ChainSpec,
    ExchangeSpec,
    PolicySpec,
    StepSpec,
    deliver,
    exact_seconds,
    foresee,
)

#: A microsecond, beside which what floats lose in some years of virtual time is little.
SOON = 1e-6


#: What Trio's clock says when a run begins: not 0, or a clock that forgets to add it would be right.
BEGIN = 4_096.0


def in_virtual_time(main: Callable[[], Awaitable[Any]]) -> Any:
    async def later() -> Any:
        await trio.sleep_until(BEGIN)
        return await main()

    return trio.run(later, clock=MockClock(autojump_threshold=0))


def elapsed() -> float:
    """Seconds since the run began."""
    return trio.current_time() - BEGIN


def same_time(seen: float, foreseen: Fraction) -> bool:
    return abs(seen - foreseen) <= SOON


# ------------------------------------------------------------------------------------------------- P18: chains of steps


class AgainError(Exception):
    """What a drawn body raises. Its arguments are the step and the attempt."""


class FinalError(NonRetryableError):
    """The same, for good."""


@attrs.define(eq=False)
class Seen:
    """One attempt, as its body saw it."""

    step: int
    number: int
    start: float
    end: float = math.nan
    #: "value", "error", "final", or "stopped".
    how: str = "stopped"
    #: What it has returned or raised: an error alone, without the groups around it.
    thing: object = None


@attrs.define(eq=False)
class Story:
    """What was seen in the run of a chain."""

    attempts: list[Seen] = attrs.field(factory=list)
    #: The calls of delay functions: step, `ctx.attempt`, and the error.
    asked: list[tuple[int, int, Exception]] = attrs.field(factory=list)
    #: What was handed on from step to step.
    handed_on: list[tuple[int, tuple[object, ...]]] = attrs.field(factory=list)
    #: Of the one who awaits: when, and a value or an exception.
    time: float = math.nan
    #: When whoever passed by was gone.
    passed_by: float = math.nan
    answer: outcome.Outcome[object] | None = None


def config_of(policy: PolicySpec, delay: Any) -> Any:
    """The configuration as its spec wants it written."""
    if not policy.milliseconds:
        limits: dict[str, Any] = {"jitter": policy.jitter, "max_delay": policy.max_delay}
        retries = None if policy.limit is None else Retries(policy.limit, delay, policy.backoff, **limits)
        return StepConfig(retries, policy.timeout)  # type: ignore[arg-type]
    config: dict[str, Any] = {"timeout": policy.timeout}
    if policy.limit is not None:
        config["retries"] = {
            "limit": policy.limit,
            "delay": delay,
            "backoff": policy.backoff,
            "jitter": policy.jitter,
            "max_delay": policy.max_delay,
        }
    return config


@attrs.define(eq=False)
class ChainWorld:
    """The workflow of a chain: its bodies do what it says, and take notes."""

    chain: ChainSpec
    #: Give the configuration of a chain's only step as that of all steps of the run.
    as_defaults: bool = False
    #: When somebody else leaves, who has awaited the last step, too.
    passes_by: Fraction | None = None
    story: Story = attrs.field(factory=Story)

    def run(self) -> Story:
        in_virtual_time(self.main)
        return self.story

    async def main(self) -> None:
        first = self.chain.steps[0]
        defaults = config_of(first.policy, self.delay_of(0)) if self.as_defaults else None
        await run_workflow(self.workflow, defaults=defaults)

    async def workflow(self, event: Any, step: WorkflowStep) -> None:
        last: Any = None
        for i, spec in enumerate(self.chain.steps):
            config = None if self.as_defaults else config_of(spec.policy, self.delay_of(i))
            depends = [] if last is None else [last]
            last = step.do(f"s{i}", depends=depends, config=config)(self.sync_body(i) if spec.sync else self.body(i))
        async with trio.open_nursery() as nursery:
            if self.passes_by is not None:
                nursery.start_soon(self.pass_by, last, self.passes_by)
            await self.wait_for(last)
        with trio.move_on_after(1e9):  # whatever goes on behind the back of the one who has left, it is seen
            await trio.sleep_forever()

    async def pass_by(self, last: Any, leaves: Fraction) -> None:
        with trio.CancelScope(deadline=BEGIN + float(leaves)), contextlib.suppress(Exception):
            await last()
        self.story.passed_by = elapsed()

    async def wait_for(self, last: Any) -> None:
        leaves = self.chain.leaves_at()
        with trio.CancelScope(deadline=BEGIN + (math.inf if leaves is None else float(leaves))):
            try:
                self.story.answer = outcome.Value(await last())
            except (Exception, trio.Cancelled) as exc:
                self.story.answer = outcome.Error(exc)
                if isinstance(exc, trio.Cancelled):
                    raise
            finally:
                self.story.time = elapsed()

    def delay_of(self, i: int) -> Any:
        returns = self.chain.steps[i].policy.delay
        if not isinstance(returns, tuple):
            return returns

        def delay(ctx: Any, error: Exception) -> object:
            self.story.asked.append((i, ctx.attempt, error))
            return returns[min(ctx.attempt, len(returns)) - 1]

        return delay

    def begin(self, i: int, before: tuple[object, ...], ctx: Any) -> tuple[Seen, AttemptSpec]:
        assert (ctx.step.name, ctx["attempt"]) == (f"s{i}", ctx.attempt)
        seen = Seen(i, ctx.attempt, elapsed())
        self.story.attempts.append(seen)
        self.story.handed_on.append((i, before))
        return seen, self.chain.steps[i].attempt(ctx.attempt)

    def end(self, seen: Seen, how: str) -> Any:
        """Whatever it ends with is an object of its own, so that it is known again."""
        seen.end, seen.how = elapsed(), how
        kinds: dict[str, Callable[[int, int], object]] = {
            "error": AgainError,
            "final": FinalError,
            "value": lambda step, number: ["value", step, number],
        }
        seen.thing = kinds[how](seen.step, seen.number)
        return seen.thing

    def sync_body(self, i: int) -> Callable[..., object]:
        def body(*before: object, ctx: Any) -> object:
            seen, spec = self.begin(i, before, ctx)
            thing = self.end(seen, spec.ends)
            if not isinstance(thing, Exception):
                return thing
            for _ in range(spec.nurseries):
                thing = ExceptionGroup("by hand", [thing])
            raise thing

        return body

    def body(self, i: int) -> Callable[..., Awaitable[object]]:
        async def body(*before: object, ctx: Any) -> object:
            seen, spec = self.begin(i, before, ctx)
            try:
                if spec.seconds:
                    await trio.sleep(float(spec.works()))
            except trio.Cancelled:  # noqa: ASYNC103 - some bodies swallow it, to see what that does
                with trio.CancelScope(shield=True):
                    await trio.sleep(spec.cleanup)
                if spec.stops == "stop":
                    seen.end = elapsed()
                    raise
                thing = self.end(seen, spec.stops)
            else:
                thing = self.end(seen, spec.ends)
            if isinstance(thing, Exception):
                await raise_in_nurseries(thing, spec.nurseries)
            return thing  # noqa: ASYNC104

        return body


async def raise_in_nurseries(error: Exception, nurseries: int) -> None:
    if not nurseries:
        raise error
    async with trio.open_nursery() as nursery:
        nursery.start_soon(raise_in_nurseries, error, nurseries - 1)


def alone(error: BaseException) -> tuple[int, BaseException]:
    """In how many groups an error is, one in the other and with nothing else in them, and the error itself."""
    depth = 0
    while isinstance(error, BaseExceptionGroup):
        (error,) = error.exceptions
        depth += 1
    return depth, error


def judge_chain(chain: ChainSpec, *, as_defaults: bool = False, passes_by: Fraction | None = None) -> None:
    """P18: every attempt at its time and with its number, and the right thing for the one who awaits, in time."""
    story, foresight = ChainWorld(chain, as_defaults, passes_by).run(), foresee(chain)
    stops = {"timeout": "stopped", "cancelled": "stopped"}
    seen = [(a.step, a.number, a.how) for a in story.attempts]
    assert seen == [(a.step, a.number, stops.get(a.how, a.how)) for a in foresight.attempts], (story, foresight)
    for a, b in zip(story.attempts, foresight.attempts, strict=True):
        assert same_time(a.start, b.start), (a, b)
        assert same_time(a.end, b.end), (a, b)
    judge_calls_of_delay_functions(story, foresight.asked)
    judge_answer(chain, story, foresight.answer)
    if passes_by is not None:
        assert same_time(story.passed_by, min(passes_by, foresight.answer.time)), (story, foresight)


def judge_calls_of_delay_functions(story: Story, asked: Sequence[Any]) -> None:
    assert [(i, number) for i, number, _ in story.asked] == [(a.step, a.number) for a in asked]
    for (i, number, error), attempt in zip(story.asked, asked, strict=True):
        _, error_alone = alone(error)
        if attempt.how == "timeout":
            assert isinstance(error_alone, WorkflowTimeoutError)
        else:
            (seen,) = [a for a in story.attempts if (a.step, a.number) == (i, number)]
            assert error_alone is seen.thing


def judge_answer(chain: ChainSpec, story: Story, foreseen: Any) -> None:
    assert story.answer is not None
    assert same_time(story.time, foreseen.time), (story.time, story.answer, foreseen)
    last = story.attempts[-1]
    if foreseen.how == "value":
        assert isinstance(story.answer, outcome.Value), story.answer
        assert story.answer.value is last.thing
        things = [a.thing for a in story.attempts if a.how == "value"]
        assert len(things) == len(chain.steps)
        for i, before in story.handed_on:
            assert len(before) == (i > 0)
            assert all(value is things[i - 1] for value in before)
        return
    assert isinstance(story.answer, outcome.Error), story.answer
    depth, error = alone(story.answer.error)
    if foreseen.how in ("error", "final"):
        assert error is last.thing
        assert depth == chain.steps[last.step].attempt(last.number).nurseries
    elif foreseen.how == "timeout":
        limit = exact_seconds(chain.steps[last.step].policy.timeout)
        assert isinstance(error, WorkflowTimeoutError)
        assert limit is not None
        assert error.seconds is not None
        assert same_time(error.seconds, limit)
        assert error.step == f"s{last.step}"
        assert f"attempt {last.number} took longer" in str(error)
    elif foreseen.how == "refused":
        assert isinstance(error, ConfigError)
        assert "what the delay function returned" in str(error)
    else:
        assert isinstance(error, trio.Cancelled), error


def judge_jitter(policy: PolicySpec, seed: int) -> None:
    """P18: no delay is longer than without jitter, nor shorter by more than its part of it; and no two are alike."""
    chain = ChainSpec(steps=[StepSpec(policy=policy, attempts=[AttemptSpec(ends="error")])])
    before = _step.chance.getstate()
    try:
        _step.chance.seed(seed)
        attempts = ChainWorld(chain).run().attempts
    finally:
        _step.chance.setstate(before)
    assert policy.limit is not None
    assert [a.number for a in attempts] == [*range(1, policy.limit + 2)]
    parts = []
    for retry, (a, b) in enumerate(itertools.pairwise(attempts), 1):
        most = policy.delay_before(retry)
        assert most is not None
        delay = b.start - a.end
        assert float(most) * (1 - policy.jitter) - SOON <= delay <= float(most) + SOON, (retry, delay, most)
        if most > 10:
            parts.append(round(delay / float(most), 6))
    if parts and policy.jitter >= 0.5:  # of a smaller part two might be alike by chance
        assert len(set(parts)) > len(parts) / 2, parts


# -------------------------------------------------------------------------------------------------- P19: durations

#: Everywhere that a duration can be written: what takes that long, and whether a bare number is milliseconds there.
Door = Callable[[WorkflowStep, Any], Awaitable[Any]]


async def sleeps(step: WorkflowStep, duration: Any) -> None:
    await step.sleep("it", duration)


async def waits(step: WorkflowStep, duration: Any) -> None:
    with contextlib.suppress(WorkflowTimeoutError):
        await step.wait_for_event("it", "nothing", duration)


async def times_out_in(step: WorkflowStep, config: Any) -> None:
    with contextlib.suppress(WorkflowTimeoutError):
        await step.do(config=config)(trio.sleep_forever)()


async def retries_after(step: WorkflowStep, config: Any) -> None:
    def body() -> None:
        raise AgainError

    with contextlib.suppress(AgainError):
        await step.do(config=config)(body)()


def not_zero(duration: Any) -> Any:
    """A bare 0 as a limit is refused, because it reads like none."""
    return "0 seconds" if type(duration) in (int, float) and duration == 0 else duration


DOORS: dict[str, tuple[bool, Door]] = {
    "sleep": (True, sleeps),
    "wait": (True, waits),
    "timeout in a dict": (True, lambda step, d: times_out_in(step, {"timeout": not_zero(d)})),
    "timeout": (False, lambda step, d: times_out_in(step, StepConfig(timeout=d))),
    "delay in a dict": (True, lambda step, d: retries_after(step, {"retries": {"limit": 1, "delay": d}})),
    "delay": (False, lambda step, d: retries_after(step, StepConfig(Retries(1, d)))),
    "max_delay": (False, lambda step, d: retries_after(step, StepConfig(Retries(1, "999999999 days", max_delay=d)))),
    "function in a dict": (
        True,
        lambda step, d: retries_after(step, {"retries": {"limit": 1, "delay": lambda c, e: d}}),
    ),
    "function": (False, lambda step, d: retries_after(step, StepConfig(Retries(1, lambda c, e: d)))),
}


def judge_duration(value: Any, door: str) -> None:
    """P19: it takes as long as it says, or else it is refused, with the list of units."""
    milliseconds, pass_through = DOORS[door]
    exact = exact_seconds(value, milliseconds=milliseconds)

    async def workflow(event: Any, step: WorkflowStep) -> None:
        start, refusal = elapsed(), None
        try:
            await pass_through(step, value)
        except ConfigError as exc:
            refusal = exc
        if exact is not None:
            assert refusal is None, f"{value!r} is {exact} seconds and was refused: {refusal}"
            took = elapsed() - start
            assert abs(took - exact) <= max(SOON, 1e-14 * float(exact)), (took, exact)
        else:
            assert refusal is not None, f"{value!r} is no duration and was taken for one"
            assert isinstance(refusal, TypeError | ValueError)
            is_number = type(value) in (int, float)
            if is_number and not milliseconds:
                assert "a bare number doesn't say its unit" in str(refusal)
            else:
                assert "second, minute, hour, day, week, month or year, singular or plural" in str(refusal)

    in_virtual_time(lambda: run_workflow(workflow))


# ------------------------------------------------------------------------------------------- P17: clocks and events


def zones() -> st.SearchStrategy[timezone]:
    return st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))


#: Pauses one after the other: until so many seconds after the start of the run (by a clock somewhere), or for so many.
Pauses = list[tuple[timezone, timedelta] | tuple[None, timedelta]]

PAUSES = st.lists(
    st.tuples(st.none() | zones(), st.timedeltas(timedelta(), timedelta(days=20))), min_size=1, max_size=6
)


def judge_wall_clock(pauses: Pauses) -> None:
    """P17: the wall clock is the time at the start plus Trio's time since; a moment that is past is refused."""
    now, expected = timedelta(), []
    for zone, pause in pauses:
        if zone is None:
            now += pause
        elif pause >= now:
            now = pause
        expected.append((zone is None or pause >= now, now))

    async def workflow(event: WorkflowEvent[Any], step: WorkflowStep) -> None:
        assert event.timestamp.utcoffset() == timedelta()
        assert event.timestamp.tzinfo is UTC
        seen = []
        for zone, pause in pauses:
            try:
                if zone is None:
                    await step.sleep("for", pause)
                else:
                    await step.sleep_until("until", (event.timestamp + pause).astimezone(zone))
            except ConfigError:
                seen.append((False, elapsed()))
            else:
                seen.append((True, elapsed()))
        assert [ok for ok, _ in seen] == [ok for ok, _ in expected], (seen, expected)
        for (_, a), (_, b) in zip(seen, expected, strict=True):
            assert abs(a - b.total_seconds()) <= SOON, (seen, expected)

    in_virtual_time(lambda: run_workflow(workflow))


def judge_exchange(exchange: ExchangeSpec) -> None:
    """P17, and how events are handed out: to whom, in which order, when, and what stays."""
    seen: dict[int, tuple[str, float, ReceivedEvent[Any] | None]] = {}
    left: dict[str, list[int]] = {}

    async def waits(i: int, step: WorkflowStep) -> ReceivedEvent[Any]:
        spec, timeout = exchange.waits[i], 1000 * float(exchange.timeout(i))
        if not spec.in_step:
            return await step.wait_for_event(f"wait {i}", spec.type, timeout)
        return await step.do(f"step {i}")(lambda: step.wait_for_event(f"wait {i}", spec.type, timeout))()

    async def waiter(i: int, step: WorkflowStep) -> None:
        await trio.sleep_until(BEGIN + float(exchange.begins_at(i)))
        patience = exchange.patience(i)
        how, event = "cancelled", None
        with trio.move_on_after(math.inf if patience is None else float(patience)):
            try:
                event = await waits(i, step)
                how = "event"
            except WorkflowTimeoutError:
                how = "timeout"
        seen[i] = (how, elapsed(), event)

    async def workflow(event: Any, step: WorkflowStep) -> datetime:
        async with trio.open_nursery() as nursery:
            for i in range(len(exchange.waits)):
                nursery.start_soon(waiter, i, step)
            await trio.sleep_until(BEGIN + float(exchange.ends_at()))
        for kind in {send.type for send in exchange.sends}:
            with contextlib.suppress(WorkflowTimeoutError):
                while True:
                    left.setdefault(kind, []).append((await step.wait_for_event("rest", kind, 0)).payload)
        start: datetime = event.timestamp
        return start

    async def main() -> datetime:
        async with open_run(workflow) as run:
            for i in sorted(range(len(exchange.sends)), key=exchange.sent_at):
                await trio.sleep_until(BEGIN + float(exchange.sent_at(i)))
                run.send_event(exchange.sends[i].type, i)
            start: datetime = await run.result()
            return start

    start = in_virtual_time(main)
    results, rest = deliver(exchange)
    for i, result in enumerate(results):
        how, time, event = seen[i]
        assert how == result.how, (i, seen, results)
        assert same_time(time, result.time), (i, seen, results)
        if result.send is not None:
            assert event is not None
            assert (event.payload, event.type) == (result.send, exchange.waits[i].type), (i, seen, results)
            sent = (event.timestamp - start).total_seconds()
            assert abs(sent - exchange.sent_at(result.send)) <= SOON, (event, start)
    for kind, sends in left.items():
        assert sends == [i for i in rest if exchange.sends[i].type == kind], (left, rest)


# --------------------------------------------------------------------------------------------- P20: what is forgotten

#: What a program does with each thing that it makes. All but the first two await it.
FATES = ("dropped", "kept", "awaited", "awaited later", "in a nursery", "by a nursery", "when cancelled")
MAKERS = {
    "sleep": ("step.sleep", "'{name}', 5"),
    "sleep_until": ("step.sleep_until", "'{name}', tomorrow(event)"),
    "wait": ("step.wait_for_event", "'{name}', 'nothing', 5"),
    "call": ("nothing", ""),
}


@attrs.frozen
class Made:
    """One sleep, wait or call of a step in a drawn program: what it is, and what becomes of it."""

    kind: str
    fate: str


@attrs.frozen
class ProgramSpec:
    """A workflow whose steps and `run` make sleeps, waits and calls, and forget some."""

    #: What `run` makes, a step's body, a plain one, and a body that is cancelled, in its clean-up.
    run: tuple[Made, ...] = ()
    body: tuple[Made, ...] = ()
    sync: tuple[Made, ...] = ()
    cleanup: tuple[Made, ...] = ()
    #: How the run ends: with a value, an error, or because its host cancels it.
    ends: str = "value"


def making(fates: Sequence[str] = FATES) -> st.SearchStrategy[tuple[Made, ...]]:
    # A step's call that is kept and never awaited is Python's to report, at a place of its own choosing.
    made = st.builds(Made, st.sampled_from(sorted(MAKERS)), st.sampled_from(fates))
    sensible = made.filter(lambda m: m.kind != "call" or m.fate in ("dropped", "awaited", "by a nursery"))
    return st.lists(sensible, max_size=4).map(tuple)


PROGRAMS = st.builds(
    ProgramSpec,
    run=making(),
    body=making(),
    sync=making(FATES[:2]),
    cleanup=making(FATES[:2]),
    ends=st.sampled_from(["value", "value", "error", "cancelled"]),
)


@attrs.define(eq=False)
class Program:
    """The source of such a workflow, in lines, so that each thing in it has one of its own."""

    spec: ProgramSpec
    lines: list[str] = attrs.field(factory=list)
    #: What should be reported: the name, or None for a call, and the line.
    forgotten: list[tuple[str | None, int]] = attrs.field(factory=list)

    def write(self, indent: int, line: str) -> None:
        self.lines.append("    " * indent + line)

    def source(self) -> str:
        self.write(0, "async def workflow(event, step):")
        self.write(1, "@step.do()")
        self.write(1, "async def nothing(): pass")
        self.write(1, "@step.do()")
        self.write(1, "async def body():")
        self.make("body", self.spec.body, 2)
        self.write(1, "@step.do()")
        self.write(1, "def sync():")
        self.make("sync", self.spec.sync, 2)
        self.write(1, "@step.do()")
        self.write(1, "async def cleanup():")
        self.write(2, "try: await trio.sleep_forever()")
        self.write(2, "finally:")
        self.make("cleanup", self.spec.cleanup, 3)
        self.make("run", self.spec.run, 1)
        self.write(1, "await body()")
        self.write(1, "await sync()")
        self.write(1, "with trio.move_on_after(1): await cleanup()")
        self.write(1, "ending()")
        self.write(
            1, {"value": "return", "error": "raise KeyError", "cancelled": "await trio.sleep_forever()"}[self.spec.ends]
        )
        return "\n".join(self.lines)

    def make(self, where: str, things: Sequence[Made], indent: int) -> None:
        self.write(indent, "pass")
        later = []
        for i, thing in enumerate(things):
            name = f"{where} {i}"
            method, arguments = MAKERS[thing.kind]
            call = f"{method}({arguments.format(name=name)})"
            match thing.fate:
                case "dropped":
                    self.write(indent, call)
                case "kept":
                    self.write(indent, f"kept_{i} = {call}")
                case "awaited":
                    self.write(indent, f"await forgiving({call})")
                case "by a nursery":
                    comma = ", " if arguments else ""
                    self.write(indent, "async with trio.open_nursery() as nursery:")
                    self.write(indent + 1, f"nursery.start_soon(forgive, {method}{comma}{arguments.format(name=name)})")
                case _:
                    self.write(indent, f"later_{i} = {call}")
                    later.append((i, thing))
            if thing.fate in ("dropped", "kept"):
                self.forgotten.append((None if thing.kind == "call" else name, len(self.lines)))
        for i, thing in reversed(later):
            match thing.fate:
                case "awaited later":
                    self.write(indent, f"await forgiving(later_{i})")
                case "in a nursery":
                    self.write(indent, "async with trio.open_nursery() as nursery:")
                    self.write(indent + 1, f"nursery.start_soon(forgiving, later_{i})")
                case "when cancelled":
                    self.write(indent, f"with trio.move_on_after(0): await later_{i}")


async def forgiving(thing: Awaitable[object]) -> None:
    """Await it, whatever comes of it."""
    with contextlib.suppress(WorkflowTimeoutError):
        await thing


async def forgive(method: Callable[..., Awaitable[object]], *args: object) -> None:
    """Let a nursery of its own begin it, as people do."""
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(method, *args)
    except* WorkflowTimeoutError:
        pass


def judge_program(spec: ProgramSpec) -> None:
    """P20: just what is forgotten is reported, with its line, when the run has ended."""
    program = Program(spec)
    source = program.source()
    early: list[str] = []
    names = {
        "trio": trio,
        "tomorrow": lambda event: event.timestamp + timedelta(days=1, seconds=elapsed()),
        "forgiving": forgiving,
        "forgive": forgive,
        "ending": lambda: early.extend(str(w.message) for w in caught if "Step" not in str(w.message)),
    }
    exec(compile(source, "drawn.py", "exec"), names)

    async def main() -> None:
        with trio.move_on_after(1e6), contextlib.suppress(KeyError):
            await run_workflow(names["workflow"])  # type: ignore[arg-type]

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        in_virtual_time(main)
    assert early == [], f"reported while the run goes on: {early}\n{source}"
    reported: Counter[tuple[str | None, int]] = Counter()
    for w in caught:
        assert w.category is RuntimeWarning
        assert w.filename == "drawn.py", (str(w.message), w.filename, w.lineno, source)
        what, name, rest = str(w.message).split("'")
        assert rest == " was never awaited"
        reported[None if what == "coroutine " else name, w.lineno] += 1
    assert reported == Counter(program.forgotten), source
