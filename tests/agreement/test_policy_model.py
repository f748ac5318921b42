"""Time and policy, P17 to P20: drawn programs, run for real in virtual time, against `trioflow.testing`'s own arithmetic.

The judges are in `timekeeping`. That each of them objects when it should is shown at the end, with runtimes that are broken
on purpose: what they do wrong is what somebody might have written.
"""

from __future__ import annotations

import math
import re
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import attrs
import outcome
import pytest
import trio
from hypothesis import HealthCheck, Phase, assume, example, find, given, settings
from hypothesis import strategies as st
from hypothesis.errors import NoSuchExample
from timekeeping import (
    DOORS,
    PAUSES,
    PROGRAMS,
    Pauses,
    ProgramSpec,
    config_of,
    in_virtual_time,
    judge_chain,
    judge_duration,
    judge_exchange,
    judge_jitter,
    judge_program,
    judge_wall_clock,
)

from trioflow import (
    ConfigError,
    NonRetryableError,
    Retries,
    StepConfig,
    WorkflowStep,
    WorkflowTimeoutError,
    _declare,
    _policy,
    _run,
    _sleep,
    _step,
    _time,
    _workflow,
    run_workflow,
)
from trioflow._mailbox import Mailbox
from trioflow.testing import (
    AttemptSpec,
    ChainSpec,
    DagSpec,
    Demand,
    ExchangeSpec,
    Node,
    PolicySpec,
    StepSpec,
    exact_seconds,
    foresee,
    predict,
)
from trioflow.testing.policies import chains, durations, exchanges, not_durations, policies

#: Policies that leave a part of each delay to chance.
JITTERY = st.builds(
    lambda policy, limit, jitter: attrs.evolve(policy, limit=limit, jitter=jitter),
    policies(timeouts=False, functions=False),
    st.integers(1, 6),
    st.floats(0, 1) | st.just(1.0),
)

thorough = settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.too_slow])


brief = settings(deadline=None, max_examples=50, suppress_health_check=[HealthCheck.too_slow])


#: Left while it works, and while it stops because of its timeout; each time it fails meanwhile and might be tried again.
LEFT = StepSpec(policy=PolicySpec(limit=3), attempts=[AttemptSpec(seconds=9, cleanup=2, stops="error")])
LEFT_TWICE = attrs.evolve(LEFT, policy=PolicySpec(limit=3, timeout="2 seconds"))


@thorough
@given(chains())
@example(ChainSpec(steps=[LEFT], leaves=1))
@example(ChainSpec(steps=[LEFT_TWICE], leaves=3))
@example(ChainSpec(steps=[StepSpec(), LEFT_TWICE, StepSpec()], leaves=3))
@example(ChainSpec(steps=[StepSpec(policy=PolicySpec(timeout="0 seconds"), attempts=[AttemptSpec(seconds=1)])]))
def test_p18_every_attempt_comes_and_goes_when_the_policy_says(chain: ChainSpec) -> None:
    """Also ten days later, in chains, in groups, while cleaning up, and when whoever awaits is cancelled meanwhile."""
    judge_chain(chain)


@brief
@given(chains(max_steps=1, leaves=False))
def test_p18_whoever_nobody_disturbs_is_in_time_whatever_the_policy(chain: ChainSpec) -> None:
    judge_chain(chain)


@brief
@given(chains(max_steps=2, leaves=False), st.integers(0, 10) | st.integers(0, 10_000))
def test_p18_somebody_else_who_leaves_changes_nothing(chain: ChainSpec, seconds: int) -> None:
    """Neither attempts nor their times; and who leaves is gone at once, in a delay and in a clean-up, too."""
    judge_chain(chain, passes_by=ChainSpec(leaves=seconds).leaves_at())


@brief
@given(chains(max_steps=1).filter(lambda chain: not chain.steps[0].sync))
def test_p18_a_runs_defaults_are_a_steps_policy(chain: ChainSpec) -> None:
    judge_chain(chain, as_defaults=True)


@brief
@given(st.integers(0, 4), st.sampled_from([0, 1, 2]), policies(max_limit=4), st.booleans())
def test_p18_a_dependencys_failure_is_not_retried_nor_its_time_counted(
    limit: int, failures: int, upper: PolicySpec, short: bool
) -> None:
    """A slow step below, that fails for good or in the end succeeds, and above it one with a policy of its own."""
    below = StepSpec(
        policy=PolicySpec(limit=limit, delay="10 days", backoff="linear"),
        attempts=[AttemptSpec(seconds=1_000_000, ends="error")] * failures + [AttemptSpec(seconds=1_000_000)],
    )
    above = StepSpec(policy=upper, attempts=[AttemptSpec(seconds=1 if short else 10, ends="error"), AttemptSpec()])
    judge_chain(ChainSpec(steps=[below, above]))


@brief
@given(JITTERY, st.integers(0, 2**32))
def test_p18_jitter_shortens_each_delay_by_a_part_of_its_own(policy: PolicySpec, seed: int) -> None:
    judge_jitter(policy, seed)


#: What a dict must not say: key, value, and the word that the refusal has to name.
WRONG = [
    ("retry", {"limit": 1, "delay": 1}, "retry"),
    ("limit", 1, "limit"),
    ("time_out", "1 second", "time_out"),
    ("retries", {"limit": 1}, "delay"),
    ("retries", {"limit": -1, "delay": 1}, "limit"),
    ("retries", {"limit": 1.0, "delay": 1}, "limit"),
    ("retries", {"limit": 1, "delay": 1, "backoff": "quadratic"}, "quadratic"),
    ("retries", {"limit": 1, "delay": 1, "maxDelay": 5}, "maxDelay"),
    ("retries", {"limit": 1, "delay": 1, "jitter": 2}, "jitter"),
    ("timeout", 0, "timeout"),
    ("sensitive", True, "sensitive"),
]
NOT_NONE = not_durations().filter(lambda value: value is not None)  # None says: no timeout


@brief
@given(policies(functions=False), st.sampled_from(WRONG) | NOT_NONE.map(lambda value: ("timeout", value, "timeout")))
def test_p18_unknown_keys_and_values_are_refused_where_the_step_is_declared(
    policy: PolicySpec, wrong: tuple[str, Any, str]
) -> None:
    key, value, named = wrong

    async def workflow(event: Any, step: WorkflowStep) -> None:
        right = config_of(attrs.evolve(policy, milliseconds=True), policy.delay)
        step.do("right", config=right)
        with pytest.raises(ConfigError, match=named):
            step.do("wrong", config={**right, key: value})

    in_virtual_time(lambda: run_workflow(workflow))


@thorough
@given(durations(most=10**10), st.sampled_from(sorted(DOORS)))
def test_p19_a_duration_is_as_long_as_it_says_wherever_it_is_written(value: Any, door: str) -> None:
    judge_duration(value, door)


@thorough
@given(not_durations(), st.sampled_from(sorted(DOORS)))
def test_p19_what_is_no_duration_is_refused_wherever_it_is_written(value: Any, door: str) -> None:
    if value is not None or door not in ("timeout", "timeout in a dict", "max_delay", "delay in a dict"):  # left out
        judge_duration(value, door)


NEARLY = st.lists(
    st.sampled_from(
        ["1", "2.5", ".5", "5", " ", "  ", "-", "+", ".", "e", "e2", "second", "minute", "hours", "s", "S", ","]
    ),
    max_size=6,
).map("".join)


@thorough
@given(NEARLY)
def test_p19_a_text_is_read_as_another_reader_reads_it(text: str) -> None:
    """Texts made of pieces of durations: which of them are some, and how long."""
    exact = exact_seconds(text)
    if exact is None:
        with pytest.raises(ConfigError):
            _time.seconds_of(text)
    else:
        assert _time.seconds_of(text) == pytest.approx(float(exact), rel=1e-15)


@brief
@given(PAUSES)
def test_p17_the_wall_clock_is_the_time_at_the_start_plus_trios_time_since(pauses: Pauses) -> None:
    judge_wall_clock(pauses)


@brief
@given(st.datetimes() | st.integers() | st.floats() | st.text() | st.datetimes().map(str) | st.dates() | st.none())
def test_p17_what_is_no_moment_is_refused_and_it_says_why(when: Any) -> None:
    async def workflow(event: Any, step: WorkflowStep) -> None:
        with pytest.raises(ConfigError, match=r"sleep 'it' can't last until (.|\n)*datetime"):
            step.sleep_until("it", when)

    in_virtual_time(lambda: run_workflow(workflow))


@thorough
@given(exchanges())
def test_p17_waits_and_events_meet_when_and_as_they_should(exchange: ExchangeSpec) -> None:
    judge_exchange(exchange)


@thorough
@given(PROGRAMS)
def test_p20_exactly_what_is_never_awaited_is_reported_with_file_and_line(spec: ProgramSpec) -> None:
    judge_program(spec)


# ------------------------------------------------------------------------------- that two who know the answer agree on it


def _links() -> st.SearchStrategy[Node]:
    """A step of a chain, as a `DagSpec` has it, in whole seconds that seldom coincide."""
    return st.builds(
        Node,
        back=st.just((1,)),
        seconds=st.sampled_from([0, 1, 2, 7]),
        fails=st.booleans(),
        cleanup=st.sampled_from([0, 3, 5]),
        afterwards=st.sampled_from(["reraise", "reraise", "fail", "return"]),
        retries=st.integers(0, 3),
        delay=st.sampled_from([0, 11, 13]),
        backoff=st.sampled_from(["constant", "linear", "exponential"]),
        timeout=st.sampled_from([None, 4, 6]),
        flaky=st.integers(0, 3),
        final=st.booleans(),
    )


def as_chain(spec: DagSpec) -> ChainSpec:
    """The same for `foresee`."""

    def step(node: Node) -> StepSpec:
        stopping = {"reraise": "stop", "return": "value", "fail": "final" if node.final else "error"}[node.afterwards]
        common: dict[str, Any] = {"seconds": node.seconds, "cleanup": node.cleanup, "stops": stopping}
        ends = ("final" if node.final else "error") if node.fails else "value"
        timeout = None if node.timeout is None else f"{node.timeout} seconds"
        limit = node.retries or None
        return StepSpec(
            policy=PolicySpec(limit=limit, delay=f"{node.delay} seconds", backoff=node.backoff, timeout=timeout),
            attempts=[*[AttemptSpec(ends="error", **common)] * node.flaky, AttemptSpec(ends=ends, **common)],
        )

    return ChainSpec(steps=[step(node) for node in spec.nodes], leaves=spec.demands[0].timeout)


def foreseen(chain: ChainSpec) -> tuple[Any, ...]:
    """What `foresee` says, in the words of `predict`: the fractions by which it keeps things apart are left out."""
    foresight = foresee(chain)
    hows = {"final": "error", "timeout": "cancelled", "refused": "error"}
    spans: list[list[Any]] = [[] for _ in chain.steps]
    for a in foresight.attempts:
        spans[a.step].append((a.number, math.floor(a.start), math.floor(a.end), hows.get(a.how, a.how)))
    answer = foresight.answer
    kind = "error" if answer.how == "timeout" else hows.get(answer.how, answer.how)
    return spans, (math.floor(answer.time), kind, answer.origin and answer.origin.step)


def predicted(spec: DagSpec) -> tuple[Any, ...]:
    ought = predict(spec)
    spans = [[(a.attempt, a.start, a.end, a.how) for a in many] for many in ought.spans]
    (answer,) = ought.answers
    assert answer is not None
    return spans, (answer.time, answer.kind, answer.origin)


@settings(thorough, max_examples=500)
@given(st.lists(_links(), min_size=1, max_size=3), st.none() | st.sampled_from([1, 3, 5, 9, 10, 17, 25, 31, 44]))
@example([Node(seconds=7, cleanup=5, timeout=4, retries=1)], 5)
@example([Node(seconds=7, cleanup=5, timeout=4, retries=1, afterwards="fail")], 5)
@example([Node(seconds=1, flaky=2, retries=3, delay=11, backoff="exponential"), Node(back=[1], seconds=2)], None)
def test_p18_the_model_of_graphs_and_the_arithmetic_of_chains_agree(nodes: list[Node], leaves: int | None) -> None:
    """Two ways to the same answer: a simulation of who wants what, and the books of one clock."""
    spec = DagSpec(nodes=nodes, demands=[Demand(timeout=leaves)])
    assume(predict(spec).exact_until == math.inf)  # where things coincide, only one of them has an opinion

    assert predicted(spec) == foreseen(as_chain(spec))


# ------------------------------------------------------------------------------- that the judges object when they should


def finds(judge: Callable[[Any], None], strategy: st.SearchStrategy[Any]) -> Any:
    """What the judge objects to, of what is drawn."""

    def objects(drawn: Any) -> bool:
        try:
            judge(drawn)
        except AssertionError:
            return True
        return False

    some = settings(
        deadline=None,
        max_examples=400,
        phases=[Phase.generate],
        database=None,
        derandomize=True,
        suppress_health_check=[HealthCheck.too_slow],
    )
    return find(strategy, objects, settings=some)


def test_a_judge_who_has_nothing_to_object_to_finds_nothing() -> None:
    with pytest.raises(NoSuchExample):
        finds(judge_exchange, exchanges(max_sends=1, max_waits=1))


real_delay, real_attempt, real_attempts = _step.delay_before, _step.one_attempt, _step.attempts


def one_retry_later(retries: Retries, retry: int, **drawn: Any) -> float:
    return real_delay(retries, retry + 1, **drawn)


def the_cap_first(retries: Retries, retry: int, *, random: float, base: float | None = None) -> float:
    base = retries.delay_seconds if base is None else base
    cap = retries.max_delay_seconds
    assert base is not None
    return real_delay(
        attrs.evolve(retries, max_delay=None), retry, random=random, base=base if cap is None else min(base, cap)
    )


def an_hour_at_most(retries: Retries, retry: int, **drawn: Any) -> float:
    return min(3_600.0, real_delay(retries, retry, **drawn))


def without_backoff_where_computed(retries: Retries, retry: int, *, random: float, base: float | None = None) -> float:
    return real_delay(retries, retry if base is None else 1, random=random, base=base)


def once_more(config: StepConfig, attempt: int, error: Exception) -> bool:
    return config.retries is not None and attempt <= config.retries.limit + 1 and _policy.is_retryable(error)


def once_less(config: StepConfig, attempt: int, error: Exception) -> bool:
    return config.retries is not None and attempt < config.retries.limit and _policy.is_retryable(error)


def only_plain_ones_are_final(error: BaseException) -> bool:
    return not isinstance(error, NonRetryableError)


def timeouts_are_final(error: BaseException) -> bool:
    return _policy.is_retryable(error) and not isinstance(error, WorkflowTimeoutError)


async def without_waiting_for_clean_up(step: Any, values: Any, attempt: int, limit: float | None) -> Any:
    """The attempt goes on behind the back of the one who gives up: as in Cloudflare's own engine."""
    results: list[outcome.Outcome[Any]] = []
    over = trio.Event()

    async def goes_on() -> None:
        results.append(await outcome.acapture(real_attempt, step, values, attempt, limit))
        over.set()

    trio.lowlevel.spawn_system_task(goes_on)
    with trio.move_on_after(math.inf if limit is None else limit):
        await over.wait()
        return results[0].unwrap()
    raise WorkflowTimeoutError(f"attempt {attempt} took longer", step=step.name, seconds=limit)


async def whatever_it_says_while_stopping(step: Any, values: Any, attempt: int, limit: float | None) -> Any:
    """A timeout is a timeout, also where the body has returned or raised something meanwhile."""
    start = trio.current_time()
    result = await outcome.acapture(real_attempt, step, values, attempt, limit)
    if limit is not None and trio.current_time() >= start + limit:
        raise WorkflowTimeoutError(f"attempt {attempt} took longer", step=step.name, seconds=limit)
    return result.unwrap()


async def always_the_first(step: Any, values: Any, attempt: int, limit: float | None) -> Any:
    return await real_attempt(step, values, 1, limit)


async def another_second(step: Any, values: Any, attempt: int, limit: float | None) -> Any:
    return await real_attempt(step, values, attempt, None if limit is None else limit + 1)


async def one_timeout_for_all(step: Any, config: StepConfig, values: Any) -> Any:
    limit = config.timeout_seconds
    with trio.move_on_after(math.inf if limit is None else limit):
        return await real_attempts(step, config, values)
    raise WorkflowTimeoutError("attempt 1 took longer", step=step.name, seconds=limit)


async def though_nobody_wants_it(step: Any, config: StepConfig, values: Any) -> Any:
    with trio.CancelScope(shield=True):
        return await real_attempts(step, config, values)


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("delay_before", one_retry_later),
        ("delay_before", the_cap_first),
        ("delay_before", an_hour_at_most),
        ("delay_before", without_backoff_where_computed),
        ("will_retry", once_more),
        ("will_retry", once_less),
        ("is_retryable", only_plain_ones_are_final),
        ("is_retryable", timeouts_are_final),
        ("one_attempt", without_waiting_for_clean_up),
        ("one_attempt", whatever_it_says_while_stopping),
        ("one_attempt", always_the_first),
        ("one_attempt", another_second),
        ("attempts", one_timeout_for_all),
        ("attempts", though_nobody_wants_it),
    ],
)
def test_p18_a_runtime_with_another_policy_is_found_out(
    monkeypatch: pytest.MonkeyPatch, name: str, wrong: Callable[..., Any]
) -> None:
    monkeypatch.setattr(_step, name, wrong)
    finds(judge_chain, chains(max_steps=2))


def lengthened(retries: Retries, retry: int, *, random: float, base: float | None = None) -> float:
    return real_delay(retries, retry, random=-random, base=base)


class Unchanging:
    """Draws the same again and again."""

    def random(self) -> float:
        return 0.5

    def seed(self, seed: int) -> None: ...
    def getstate(self) -> None: ...
    def setstate(self, state: None) -> None: ...


@pytest.mark.parametrize(("name", "wrong"), [("delay_before", lengthened), ("chance", Unchanging())])
def test_p18_a_runtime_with_another_jitter_is_found_out(monkeypatch: pytest.MonkeyPatch, name: str, wrong: Any) -> None:
    monkeypatch.setattr(_step, name, wrong)
    finds(lambda policy: judge_jitter(policy, 0), JITTERY)


@pytest.mark.parametrize(("unit", "seconds"), [("month", 31 * 86_400.0), ("year", 365 * 86_400.0), ("min", 60.0)])
def test_p19_another_reader_of_durations_is_found_out(
    monkeypatch: pytest.MonkeyPatch, unit: str, seconds: float
) -> None:
    units = {**_time._UNITS, unit: seconds}
    monkeypatch.setattr(_time, "_UNITS", units)
    monkeypatch.setattr(_time, "_DURATION", re.compile(rf"(-?{_time._NUMBER}) +({'|'.join(units)})s?"))
    finds(lambda value: judge_duration(value, "sleep"), durations(most=10**10) | not_durations())


def test_p19_seconds_for_milliseconds_are_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_declare, "seconds_of", lambda value, what: _time.seconds_of(value, what=what) * 1_000)
    finds(lambda value: judge_duration(value, "wait"), durations(most=10**6))


real_put, real_take = Mailbox.put, Mailbox.take


def to_the_last(self: Any, event_type: str, event: Any) -> None:
    """Hands an event to who has come last."""
    waiting = self._waiting.get(event_type)
    if waiting is not None:
        waiting.move_to_end(next(reversed(waiting)), last=False)
    real_put(self, event_type, event)


def before_the_others(self: Any, event_type: str, event: Any) -> None:
    if event_type in self._waiting:
        real_put(self, event_type, event)
    else:
        self._events.setdefault(event_type, deque()).appendleft(event)


def unless_nobody_waits(self: Any, event_type: str, event: Any) -> None:
    if event_type in self._waiting:
        real_put(self, event_type, event)


async def though_cancelled(self: Any, event_type: str, seconds: float) -> Any:
    """An event that is there is taken out of the box before the cancellation strikes."""
    kept = event_type in self._events
    with trio.CancelScope(shield=kept):
        event = await real_take(self, event_type, seconds)
    if kept:
        await trio.lowlevel.checkpoint()
    return event


async def without_a_look(self: Any, event_type: str, seconds: float) -> Any:
    """A wait whose time is 0 is over before it looks."""
    if not seconds:
        await trio.lowlevel.checkpoint()
        raise trio.TooSlowError
    return await real_take(self, event_type, seconds)


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("put", to_the_last),
        ("put", before_the_others),
        ("put", unless_nobody_waits),
        ("take", though_cancelled),
        ("take", without_a_look),
    ],
)
def test_p17_another_postman_is_found_out(
    monkeypatch: pytest.MonkeyPatch, name: str, wrong: Callable[..., Any]
) -> None:
    monkeypatch.setattr(Mailbox, name, wrong)
    finds(judge_exchange, exchanges())


def the_machines(self: Any) -> datetime:
    return datetime.now(UTC)


def by_the_second(self: Any, when: datetime) -> float:
    return float(round(self.start_in_trio + (when - self.start).total_seconds()))


@pytest.mark.parametrize(("name", "wrong"), [("now", the_machines), ("in_trio", by_the_second)])
def test_p17_another_wall_clock_is_found_out(
    monkeypatch: pytest.MonkeyPatch, name: str, wrong: Callable[..., Any]
) -> None:
    monkeypatch.setattr(_sleep.WallClock, name, wrong)
    finds(judge_wall_clock, PAUSES)


real_report = _workflow._report_unawaited


def one_line_below(run: Any) -> None:
    run.unawaited.update({wait: (what, file, line + 1) for wait, (what, file, line) in run.unawaited.items()})
    real_report(run)


def only_the_first(run: Any) -> None:
    for wait in list(run.unawaited)[1:]:
        del run.unawaited[wait]
    real_report(run)


def not_at_all(run: Any) -> None:
    run.unawaited.clear()


@pytest.mark.parametrize("wrong", [one_line_below, only_the_first, not_at_all])
def test_p20_another_report_of_what_is_forgotten_is_found_out(
    monkeypatch: pytest.MonkeyPatch, wrong: Callable[..., Any]
) -> None:
    monkeypatch.setattr(_workflow, "_report_unawaited", wrong)
    finds(judge_program, PROGRAMS)


class Unforgetting(dict[Any, Any]):
    def pop(self, *args: Any) -> None: ...


def test_p20_a_report_of_what_has_been_awaited_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    real_init = _run.Run.__init__

    def init(self: Any, *args: Any, **options: Any) -> None:
        real_init(self, *args, **options)
        self.unawaited = Unforgetting()

    monkeypatch.setattr(_run.Run, "__init__", init)
    finds(judge_program, PROGRAMS)
