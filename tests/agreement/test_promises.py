"""Each promise, P1 to P20, as a property: in its own words, over drawn graphs, demands, schedules, policies and durations.

`test_random_dags` asks the kit's judge. Here nobody is asked: a property says in a few lines what its promise says, about
what bodies and waiters saw (`run_dag`), or about a workflow of its own where that is not enough. So a slip in the judge, or
in its model, is no slip here. Each property is narrow on purpose: it draws only what its promise is about.

`EXAMPLES` says how many each draws. `TRIOFLOW_EXAMPLES=20 python -m pytest tests/agreement/test_promises.py` draws twenty
times as many.

The last test shows that they can fail: each of those about graphs objects to a runtime that breaks its promise.
"""

from __future__ import annotations

import contextlib
import contextvars
import inspect
import itertools
import os
import re
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta
from typing import Any, Final

import attrs
import pytest
import trio
from hypothesis import HealthCheck, Phase, find, given, settings
from hypothesis import strategies as st
from timekeeping import config_of
from trio.testing import MockClock, assert_checkpoints

import trioflow
from tests.broken import RUNTIMES
from tests.reference import Reference, Runtime, runtime
from trioflow import CycleError, DeadlockError, DefinitionError, Step, WorkflowStep, run_workflow
from trioflow.testing import DagSpec, Demand, Event, PolicySpec, Trace, exact_seconds, run_dag
from trioflow.testing.policies import durations, not_durations, policies
from trioflow.testing.strategies import dags, seeds

#: How many examples of each promise are drawn. Those of P1-P5 and P8-P14 are graphs, each in a schedule of its own: 2,250,
#: of which a hundred are of a shape that is written here.
EXAMPLES: Final = {
    1: 150, 2: 150, 3: 250, 4: 250, 5: 300, 6: 20, 7: 100, 8: 200, 9: 200, 10: 200, 11: 250, 12: 200, 13: 150, 14: 150,
    15: 100, 16: 100, 17: 50, 18: 100, 19: 150, 20: 50,
}  # fmt: skip
TIMES: Final = int(os.environ.get("TRIOFLOW_EXAMPLES", "1"))


def examples(promise: int, part: float = 1) -> settings:
    """As many as the table says, or a part of them where several properties share them."""
    count = round(EXAMPLES[promise] * part) * TIMES
    quiet = [HealthCheck.too_slow, HealthCheck.filter_too_much]
    return settings(deadline=None, max_examples=count, suppress_health_check=quiet)


def graphs(**switches: Any) -> st.SearchStrategy[DagSpec]:
    """Steps without a policy: those are P18's. A body runs once, then, or again after it was cancelled."""
    return dags(policies=False, **switches)


#: Where nothing but the steps' own failures happens to those who wait.
UNDISTURBED: Final[dict[str, Any]] = {"timeouts": False, "endings": False, "strangers": False}
#: The same with a single one who waits, for the last step: all that runs, runs for it.
SOLE: Final[dict[str, Any]] = {**UNDISTURBED, "max_demands": 1}


# ------------------------------------------------------------------------------------------------ reading a trace


@attrs.frozen(eq=False)
class Execution:
    """Of a body, from its first line to its last."""

    step: int
    start: float
    #: When it saw `Cancelled`; None: it didn't.
    cancelled: float | None
    end: float
    #: "value", "error" or "cancelled", and the object.
    how: str
    thing: Any


def executions(trace: Trace) -> list[Execution]:
    """All that have ended, in that order."""
    found = []
    start: dict[int, float] = {}
    cancelled: dict[int, float] = {}
    for event in trace.events:
        if event.kind == "start":
            start[event.who] = event.time
            cancelled.pop(event.who, None)
        elif event.kind == "cancelled":
            cancelled[event.who] = event.time
        elif event.kind == "end":
            i = event.who
            found.append(Execution(i, start[i], cancelled.get(i), event.time, event.how, event.detail[1]))
    return found


def those(trace: Trace, *kinds: str) -> Iterator[Event]:
    return (event for event in trace.events if event.kind in kinds)


def answers(trace: Trace) -> dict[int, Event]:
    """What those who await were told. (A body's own awaits have negative numbers.)"""
    return {event.who: event for event in those(trace, "answer") if event.who >= 0}


def asks(trace: Trace) -> dict[int, Event]:
    return {event.who: event for event in those(trace, "ask") if event.who >= 0}


def over(trace: Trace) -> Event:
    (event,) = those(trace, "over")
    return event


# ---------------------------------------------------------- P1 to P5, P8 to P12, P14: what was seen, and the promise

Judge = Callable[[DagSpec, Trace], None]


def nothing_is_left(spec: DagSpec, trace: Trace) -> None:
    """P1. What a body notes is noted before the run is over; and all that has begun has ended."""
    at = trace.events.index(over(trace))
    assert not [event for event in trace.events[at:] if event.kind in ("start", "cancelled", "end")]
    assert Counter(e.who for e in those(trace, "start")) == Counter(e.who for e in those(trace, "end"))


def nobody_needs_it_and_it_never_runs(spec: DagSpec, trace: Trace) -> None:
    """P2. Whatever begins is, or is needed by, what somebody has awaited before."""
    needed: set[int] = set()
    for event in trace.events:
        if event.kind == "ask":
            needed |= below(spec, event.detail)
        elif event.kind == "start":
            assert event.who in needed


def once_only(spec: DagSpec, trace: Trace) -> None:
    """P3. No two executions overlap, none comes after an outcome, and that outcome is everybody's."""
    running: set[int] = set()
    outcome: dict[int, Any] = {}
    for event in those(trace, "start", "end"):
        if event.kind == "start":
            assert event.who not in running
            assert event.who not in outcome
            running.add(event.who)
        else:
            running.remove(event.who)
            if event.how != "cancelled":
                outcome[event.who] = event.detail[1]
    told: dict[int, Any] = {}
    for k, event in answers(trace).items():
        if event.how in ("value", "error"):
            i = spec.target(k)
            assert told.setdefault(i, event.detail[1]) is event.detail[1]
            assert event.detail[1] is outcome.get(i, event.detail[1])  # without an outcome of its own, a dependency's


def values_in_order(spec: DagSpec, trace: Trace) -> None:
    """P4. At its first line all dependencies have succeeded, and their values are the arguments."""
    values: dict[int, Any] = {}
    for event in those(trace, "start", "end"):
        if event.kind == "start":
            ought = [values[d] for d in spec.dependencies(event.who)]  # a KeyError: begun too early
            assert len(event.detail) == len(ought)
            assert all(a is b for a, b in zip(event.detail, ought, strict=True))
        elif event.how == "value":
            values[event.who] = event.detail[1]


def exactly_the_critical_path(spec: DagSpec, trace: Trace) -> None:
    """P5, where all is concurrent: the longest way through the graph, worked out by hand."""
    done: list[float] = []
    for i in range(len(spec.nodes)):
        done.append(max((done[d] for d in spec.dependencies(i)), default=0) + spec.seconds(i))
    assert answers(trace)[0].time == spec.asks_at(0) + done[spec.target(0)]


def one_after_the_other(spec: DagSpec, trace: Trace) -> None:
    """P5, where nothing is: each with all it needs before the next is begun, in the order in which they are named."""
    order: list[int] = []

    def visit(i: int) -> None:
        for d in spec.dependencies(i):
            visit(d)
        if i not in order:
            order.append(i)

    visit(spec.target(0))
    assert [(e.kind, e.who) for e in those(trace, "start", "end")] == [(k, i) for i in order for k in ("start", "end")]
    assert answers(trace)[0].time == spec.asks_at(0) + sum(map(spec.seconds, order))


def that_very_exception(spec: DagSpec, trace: Trace) -> None:
    """P8. An error that is told is what a body below has raised: that object, the same whenever it is asked for."""
    raised = {run.step: run.thing for run in executions(trace) if run.how == "error"}
    told: dict[int, Any] = {}
    for event in those(trace, "answer", "again"):
        if event.how == "error" and event.who >= 0:
            i = spec.target(event.who) if event.kind == "answer" else event.who
            error = event.detail[1]
            assert any(error is raised.get(d) for d in below(spec, i))
            assert told.setdefault(i, error) is error


def siblings_stop(spec: DagSpec, trace: Trace) -> None:
    """P9, for one who is alone: at the first failure all that runs is cancelled, nothing begins, and when the last has
    stopped that failure is raised."""
    events = list(those(trace, "start", "cancelled", "end", "answer"))
    at = next((n for n, e in enumerate(events) if e.kind == "end" and e.how == "error"), None)
    if at is None:
        return
    failure, later = events[at], events[at + 1 :]
    running = {e.who for e in events[:at] if e.kind == "start"} - {e.who for e in events[: at + 1] if e.kind == "end"}
    assert not [e for e in later if e.kind == "start"]
    for i in running:
        assert next(e.time for e in later if e.kind != "answer" and e.who == i) == failure.time
    answer = answers(trace)[0]
    assert answer.how == "error"
    assert answer.detail[1] is failure.detail[1]
    assert answer.time == max(e.time for e in events if e.kind == "end")


def nothing_is_lost(spec: DagSpec, trace: Trace) -> None:
    """P10, for one who is alone: the failure that is raised has a note of each other, once."""
    errors = [run.step for run in executions(trace) if run.how == "error"]
    if errors:
        notes = " ".join(getattr(answers(trace)[0].detail[1], "__notes__", ()))
        assert Counter(re.findall(r"step 's(\d+)' also failed", notes)) == Counter(map(str, errors[1:]))


def what_a_body_ends_with_counts(spec: DagSpec, trace: Trace) -> None:
    """P10. If the body that is awaited was begun, its end is what the one who awaits gets, cancelled or not."""
    own = [run for run in executions(trace) if run.step == spec.target(0)]
    if own:
        assert answers(trace)[0].how == own[-1].how
        assert answers(trace)[0].detail[1] is own[-1].thing


def leaves(spec: DagSpec, trace: Trace, k: int) -> float:
    """When demand `k` has been told something, or was told to leave."""
    return min(asks(trace)[k].time + spec.timeout(k), answers(trace)[k].time)


def wanted_and_not_cancelled(spec: DagSpec, trace: Trace) -> None:
    """P11, without failures. A body that is cancelled is wanted by nobody, and one that works is wanted by somebody."""
    for run in executions(trace):
        who = [k for k, ask in asks(trace).items() if run.step in below(spec, ask.detail)]
        until = run.end if run.cancelled is None else run.cancelled
        if run.cancelled is not None:
            assert not [k for k in who if asks(trace)[k].time < run.cancelled < leaves(spec, trace, k)]
        assert [k for k in who if asks(trace)[k].time <= until <= leaves(spec, trace, k)]


def leaves_at_once(spec: DagSpec, trace: Trace) -> None:
    """P12, without failures. Who is cancelled is gone when what is cleaning up below its step has stopped, if anything."""
    for k, answer in answers(trace).items():
        if answer.how == "cancelled":
            deadline = asks(trace)[k].time + spec.timeout(k)
            cleaning = [
                run.end
                for run in executions(trace)
                if run.step in below(spec, spec.target(k)) and run.cancelled is not None and run.cancelled <= deadline
            ]
            assert answer.time == deadline or answer.time in [end for end in cleaning if end > deadline]
            others = {i for j in asks(trace) if j != k for i in below(spec, spec.target(j))}
            if not others & below(spec, spec.target(k)):  # it alone wanted all of it
                assert answer.time == max([deadline, *cleaning])


def closing_ends_all_interest(spec: DagSpec, trace: Trace) -> None:
    """P12. Who still waits when the run is closed is told so when the bodies have stopped, or gets their outcome."""
    closing = next(event.time for event in those(trace, "closing"))
    last = max([closing, *(event.time for event in those(trace, "end"))])
    for k, answer in answers(trace).items():
        assert answer.how != "closed" or answer.time >= closing
        if answer.time > closing and asks(trace)[k].time + spec.timeout(k) > answer.time:
            assert answer.how in ("closed", "value")
            assert answer.time <= last or asks(trace)[k].time == answer.time
    for run in executions(trace):
        assert run.start <= closing
        assert run.end <= closing or run.cancelled is not None


def again_after_cancel(spec: DagSpec, trace: Trace) -> None:
    """P14. A value comes from the last execution; whatever was cancelled before it left nothing."""
    runs = executions(trace)
    for k, answer in answers(trace).items():
        if answer.how == "value":
            for i in below(spec, spec.target(k)):
                own = [run for run in runs if run.step == i]
                assert [run.how for run in own] == ["cancelled"] * (len(own) - 1) + ["value"]
                assert own[-1].thing.execution == len(own)


def below(spec: DagSpec, step: int) -> frozenset[int]:
    return spec.reach(step)


#: What each judge is shown.
ANY: Final = graphs(inner=True)
ALL_CONCURRENT: Final = st.builds(
    lambda spec: attrs.evolve(spec, demands=[Demand()]),
    graphs(failures=False, concurrent=True, max_nodes=20, **SOLE),
)
ALL_SEQUENTIAL: Final = st.builds(
    lambda spec: attrs.evolve(spec, demands=[Demand()]),
    graphs(failures=False, concurrent=False, max_nodes=20, **SOLE),
)
FAILURES: Final = graphs(endings=False)
ALONE: Final = graphs(spread=True, **SOLE)
FAN: Final = graphs(spread=True, concurrent=True, sync=False, shape="fan", **SOLE)
LEAVES: Final = graphs(endings=False, strangers=False, max_demands=1)
MANY_LEAVE: Final = graphs(failures=False, endings=False, strangers=False, shape="random", max_demands=6)
CLOSED: Final = st.builds(
    lambda spec, when: attrs.evolve(spec, return_at=when), graphs(failures=False, endings=False), st.integers(0, 6)
)


@examples(1)
@given(ANY, seeds())
def test_p01_when_a_run_is_over_nothing_of_it_is_left(spec: DagSpec, seed: int) -> None:
    nothing_is_left(spec, run_dag(spec, seed=seed))


@examples(2)
@given(ANY, seeds())
def test_p02_what_nobody_needs_never_runs(spec: DagSpec, seed: int) -> None:
    nobody_needs_it_and_it_never_runs(spec, run_dag(spec, seed=seed))


@examples(3)
@given(ANY, seeds())
def test_p03_once_only(spec: DagSpec, seed: int) -> None:
    once_only(spec, run_dag(spec, seed=seed))


@examples(4)
@given(ANY, seeds())
def test_p04_dependencies_first_and_their_values_as_arguments(spec: DagSpec, seed: int) -> None:
    values_in_order(spec, run_dag(spec, seed=seed))


@examples(5, 1 / 2)
@given(ALL_CONCURRENT, seeds())
def test_p05_all_concurrent_takes_exactly_the_critical_path(spec: DagSpec, seed: int) -> None:
    exactly_the_critical_path(spec, run_dag(spec, seed=seed))


@examples(5, 1 / 2)
@given(ALL_SEQUENTIAL, seeds())
def test_p05_all_sequential_goes_one_after_the_other(spec: DagSpec, seed: int) -> None:
    one_after_the_other(spec, run_dag(spec, seed=seed))


@examples(8, 3 / 4)
@given(FAILURES, seeds())
def test_p08_a_failure_is_that_very_exception(spec: DagSpec, seed: int) -> None:
    that_very_exception(spec, run_dag(spec, seed=seed))


@examples(9)
@given(ALONE, seeds())
def test_p09_siblings_stop_before_the_failure_is_raised(spec: DagSpec, seed: int) -> None:
    siblings_stop(spec, run_dag(spec, seed=seed))


@examples(10, 1 / 2)
@given(FAN, seeds())
def test_p10_other_failures_are_named_in_a_note(spec: DagSpec, seed: int) -> None:
    nothing_is_lost(spec, run_dag(spec, seed=seed))


@examples(10, 1 / 2)
@given(LEAVES, seeds())
def test_p10_what_a_body_ends_with_counts(spec: DagSpec, seed: int) -> None:
    what_a_body_ends_with_counts(spec, run_dag(spec, seed=seed))


@examples(11)
@given(MANY_LEAVE, seeds())
def test_p11_a_body_works_exactly_as_long_as_somebody_wants_it(spec: DagSpec, seed: int) -> None:
    wanted_and_not_cancelled(spec, run_dag(spec, seed=seed))


@examples(12, 1 / 2)
@given(MANY_LEAVE, seeds())
def test_p12_who_is_cancelled_leaves_at_once(spec: DagSpec, seed: int) -> None:
    leaves_at_once(spec, run_dag(spec, seed=seed))


@examples(12, 1 / 2)
@given(CLOSED, seeds())
def test_p12_closing_a_run_ends_all_interest(spec: DagSpec, seed: int) -> None:
    closing_ends_all_interest(spec, run_dag(spec, seed=seed))


@examples(14, 2 / 3)
@given(MANY_LEAVE, seeds())
def test_p14_what_was_cancelled_begins_afresh(spec: DagSpec, seed: int) -> None:
    again_after_cancel(spec, run_dag(spec, seed=seed))


# ------------------------------------------------------------------------------- P6, P7: large graphs, and wrong ones


def virtually(workflow: Callable[..., Any], run: Runtime = run_workflow) -> Any:
    return trio.run(run, workflow, clock=MockClock(autojump_threshold=0))


#: By name and size: what step i depends on.
LARGE: Final[dict[str, Callable[[int, int], range | list[int]]]] = {
    "chain": lambda i, n: range(max(0, i - 1), i),
    "fan-in": lambda i, n: range(i) if i == n - 1 else [],
    "diamond": lambda i, n: range(1, i) if i == n - 1 else range(min(i, 1)),
    "ladder": lambda i, n: range(max(0, i - 2), i),
    "layers": lambda i, n: range(max(0, i - i % 10 - 10), i - i % 10),
}


@examples(6)
@given(st.sampled_from(sorted(LARGE)), st.integers(1_000, 2_000), st.booleans(), st.booleans())
def test_p06_no_graph_is_too_deep_or_too_wide(shape: str, size: int, concurrent: bool, sync: bool) -> None:
    """More steps than Python has frames, each run once, in an order that the graph allows."""
    order: list[int] = []

    def body(i: int) -> Callable[..., Any]:
        def plain(*values: int) -> int:
            assert list(values) == list(LARGE[shape](i, size))
            order.append(i)
            return i

        async def waits(*values: int) -> int:
            await trio.lowlevel.checkpoint()
            return plain(*values)

        return plain if sync else waits

    async def workflow(event: Any, step: WorkflowStep) -> int:
        steps: list[Step[int]] = []
        for i in range(size):
            before = [steps[d] for d in LARGE[shape](i, size)]
            steps.append(step.do(f"s{i}", depends=before, concurrent=concurrent)(body(i)))
        return await steps[-1]()

    assert virtually(workflow) == size - 1
    assert len(set(order)) == len(order)


def by_name(step: Any, i: int, needs: Iterable[int], ran: list[int]) -> Any:
    """A step that needs others, by the names of its parameters; they may be declared later."""

    async def body(*values: Any) -> int:
        ran.append(i)
        return i

    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    parameters = [inspect.Parameter(f"s{d}", kind) for d in dict.fromkeys(needs)]
    body.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return step.do(f"s{i}", concurrent=i % 2 == 1)(body)


@attrs.frozen
class Wired:
    """A graph of steps by number, and which of them needs which."""

    needs: tuple[tuple[int, ...], ...]

    def below(self, i: int) -> set[int]:
        """What step `i` needs, directly or not: itself, if it is on a cycle."""
        todo, seen = list(self.needs[i]), set(self.needs[i])
        for j in todo:
            fresh = [d for d in self.needs[j] if d not in seen]
            seen.update(fresh)
            todo += fresh
        return seen

    def on_a_cycle(self, i: int) -> bool:
        return i in self.below(i)

    @classmethod
    def closed(cls, spec: DagSpec, low: int, high: int) -> Wired:
        """The steps of a spec, the first of which needs the second, too, though it was declared before it."""
        low, high = sorted((low % len(spec.nodes), high % len(spec.nodes)))
        needs = [set(spec.dependencies(i)) for i in range(len(spec.nodes))]
        needs[low].add(high)
        return cls(tuple(tuple(sorted(some)) for some in needs))


def cycles_are_reported(graph: Wired, run: Runtime = run_workflow) -> None:
    """Each step that needs a cycle fails with its path, again and again, and no body begins; all others run."""
    ran: list[int] = []

    async def workflow(event: Any, step: Any) -> None:
        steps = [by_name(step, i, needs, ran) for i, needs in enumerate(graph.needs)]
        for i in range(len(steps)):
            needed = graph.below(i) | {i}
            if not any(graph.on_a_cycle(j) for j in needed):
                assert await steps[i]() == i
                continue
            before, messages = list(ran), []
            for _ in range(2):
                with pytest.raises(CycleError) as caught:
                    await steps[i]()
                messages.append(str(caught.value))
            assert messages[0] == messages[1]
            assert ran == before
            path = [int(name[1:]) for name in caught.value.steps]
            assert path[0] == path[-1]
            assert set(path) <= needed
            assert all(after in graph.needs[one] for one, after in itertools.pairwise(path))
            assert all(__file__ in place for place in caught.value.places)

    async def for_a_while(*args: Any) -> None:
        with trio.fail_after(100):
            await run(*args)

    virtually(workflow, for_a_while)


@examples(7, 1 / 2)
@given(graphs(sync=False), st.integers(0, 9), st.integers(0, 9))
def test_p07_a_cycle_is_reported_with_its_path_before_any_body_begins(spec: DagSpec, low: int, high: int) -> None:
    cycles_are_reported(Wired.closed(spec, low, high))


@examples(7, 1 / 2)
@given(graphs(), st.integers(0, 9), st.sampled_from(["unknown", "too many", "no step", "foreign"]))
def test_p07_a_wrong_dependency_is_named_before_any_body_begins(spec: DagSpec, wrong: int, mistake: str) -> None:
    graph = Wired(tuple(spec.dependencies(i) for i in range(len(spec.nodes))))
    wrong %= len(spec.nodes)
    ran: list[int] = []
    foreign: list[Any] = []

    def declare(step: WorkflowStep, steps: list[Any]) -> None:
        depends: list[Any] = [steps[d] for d in graph.needs[wrong]]
        odd = {"too many": [], "no step": [print], "foreign": foreign}[mistake]
        extra = 0 if mistake == "too many" else 1
        names = [f"p{n}" for n in range(len(depends) + extra + (mistake == "too many"))]
        fn: Any = lambda *values: ran.append(wrong)  # noqa: E731
        fn.__signature__ = inspect.Signature(
            [inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD) for name in names]
        )
        step.do("the wrong one", depends=[*depends, *odd])(fn)

    async def workflow(event: Any, step: WorkflowStep) -> None:
        steps = [by_name(step, i, needs, ran) for i, needs in enumerate(graph.needs)]
        if mistake != "unknown":
            with pytest.raises(DefinitionError, match="the wrong one") as caught:
                declare(step, steps)
        else:
            top = by_name(step, 1_000, [*range(len(steps)), 10_000 + wrong], ran)
            with pytest.raises(DefinitionError, match=rf"s1000.*s{10_000 + wrong}") as caught:
                await top()
        assert caught.value.place is not None
        assert __file__ in caught.value.place
        assert ran == []

    async def elsewhere(event: Any, step: WorkflowStep) -> None:
        foreign.append(step.do("foreign")(lambda: 1))
        await run_workflow(workflow)

    virtually(elsewhere)


@pytest.mark.parametrize("concurrent", [0, 1])
def test_p07_the_property_objects_to_a_runtime_that_looks_for_no_cycles(concurrent: int) -> None:
    """The original's D: with or without `concurrent`, it never ends."""
    graph = Wired(((),) * concurrent + ((concurrent + 1,), (concurrent,)))
    with pytest.raises((pytest.fail.Exception, trio.TooSlowError)):
        cycles_are_reported(graph, recursing)


async def recursing(workflow: Callable[..., Any], params: object = None) -> None:
    """As the original does it: who needs a step calls it."""

    class Recursing:
        def do(self, name: str, concurrent: bool = False) -> Any:
            def declare(fn: Any) -> Any:
                async def call() -> Any:
                    await trio.sleep(1)
                    needs = [steps[p] for p in fn.__signature__.parameters]
                    if not concurrent:
                        return await fn(*[await needed() for needed in needs])
                    async with trio.open_nursery() as nursery:
                        for needed in needs:
                            nursery.start_soon(needed)

                steps[name] = call
                return call

            return declare

    steps: dict[str, Any] = {}
    await workflow(params, Recursing())


# --------------------------------------------------------------------------------- P8, P13: what is raised, and why


@examples(8, 1 / 4)
@given(st.integers(0, 6), st.integers(2, 12), st.booleans())
def test_p08_however_often_it_is_raised_a_failure_does_not_grow(depth: int, times: int, concurrent: bool) -> None:
    async def workflow(event: Any, step: WorkflowStep) -> None:
        def fail() -> None:
            try:
                raise LookupError("the cause")
            except LookupError as exc:
                raise ValueError("the failure") from exc

        top: Step[Any] = step.do("s0")(fail)
        for i in range(depth):
            top = step.do(f"s{i + 1}", depends=[top], concurrent=concurrent)(lambda value: value)
        seen = set()
        for _ in range(times):
            try:
                await top()
            except ValueError as exc:
                frames = traceback.extract_tb(exc.__traceback__)
                seen.add((id(exc), len(frames), frames[-1].name, repr(exc.__cause__), repr(exc.__context__)))
        assert len(seen) == 1

    virtually(workflow)


def with_steps(spec: DagSpec, seed: int) -> tuple[Trace, list[Step[Any]]]:
    """Run it, and keep the steps."""
    steps: list[Step[Any]] = []

    async def keeping(workflow: Callable[..., Any], params: object) -> Any:
        async def inside(event: Any, step: WorkflowStep) -> Any:
            class Keeping:
                def do(self, name: str, **options: Any) -> Callable[[Any], Any]:
                    def declare(fn: Any) -> Any:
                        steps.append(step.do(name, **options)(fn))
                        return steps[-1]

                    return declare

            return await workflow(event, Keeping())

        return await run_workflow(inside, params)

    return run_dag(spec, run_workflow=keeping, seed=seed), steps


@examples(13)
@given(graphs(aliases=False), seeds())
def test_p13_every_step_that_did_not_succeed_says_why(spec: DagSpec, seed: int) -> None:
    trace, steps = with_steps(spec, seed)
    last = {run.step: run for run in executions(trace)}
    failed = [run.step for run in last.values() if run.how == "error"]
    for i, step in enumerate(steps):
        reason = step.reason
        how = last[i].how if i in last else None
        if how == "value":
            assert (step.status, reason) == ("succeeded", None)
            continue
        assert reason
        causes = [j for j in failed if f"step 's{j}' failed: BodyError({j})" in reason]
        if how == "error":
            assert step.status == "failed"
            assert causes == [i]
        elif how == "cancelled":
            assert step.status in ("cancelled", "failed")  # it would have begun again, and a dependency can't fail now
            assert causes or re.search("deadline|host|run is over|was cancelled", reason)
        else:
            assert step.status in ("pending", "failed", "cancelled")
            assert step.status != "failed" or set(causes) & spec.reach(i)
            assert step.status != "pending" or reason.startswith("never started: ")


# --------------------------------------------------------------------------- P14 to P16: waiters, Trio's manners, loops

asker = contextvars.ContextVar("asker", default=-1)


@examples(14, 1 / 3)
@given(st.lists(st.integers(1, 8), min_size=1, max_size=6), st.integers(1, 8))
def test_p14_each_start_is_the_first_attempt_in_the_context_of_who_asks_then(patience: list[int], work: int) -> None:
    """One after the other asks, and is as patient as was drawn."""
    starts: list[tuple[int, int]] = []

    async def workflow(event: Any, step: WorkflowStep) -> None:
        @step.do(config={"retries": {"limit": 3, "delay": "1 second"}})
        async def body(ctx: Any) -> int:
            starts.append((asker.get(), ctx.attempt))
            await trio.sleep(work - 0.5)
            return asker.get()

        async def ask(k: int) -> None:
            asker.set(k)
            with trio.move_on_after(patience[k]):
                assert await body() == first

        for k in range(len(patience)):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(ask, k)
        assert body.status == ("succeeded" if first < len(patience) else "cancelled")

    first = next((k for k, seconds in enumerate(patience) if seconds >= work), len(patience))
    virtually(workflow)
    assert starts == [(k, 1) for k in range(min(first + 1, len(patience)))]


@examples(15, 1 / 2)
@given(graphs(inner=True, failures=False))
def test_p15_every_await_is_a_checkpoint_and_contexts_do_not_leak(spec: DagSpec) -> None:
    """All steps, each awaited when it has an outcome and when it has none, by somebody with a context of his own."""

    async def workflow(event: Any, step: WorkflowStep) -> None:
        def body(i: int, sync: bool) -> Callable[..., Any]:
            def plain(*values: Any) -> int:
                assert asker.get() >= i
                assert changed.get() == "by nobody"
                changed.set(f"by {i}")
                return asker.get()

            async def waits(*values: Any) -> int:
                await trio.sleep(spec.seconds(i))
                return plain()

            return plain if sync else waits

        changed: contextvars.ContextVar[str] = contextvars.ContextVar("changed", default="by nobody")
        steps: list[Step[int]] = []
        for i, node in enumerate(spec.nodes):
            needs = [steps[d] for d in spec.dependencies(i)]
            steps.append(step.do(f"s{i}", depends=needs, concurrent=node.concurrent)(body(i, node.sync)))
        asked = {spec.target(k) for k in range(len(spec.demands))}
        for i in sorted(asked):
            asker.set(i)
            for _ in range(2):
                with assert_checkpoints():
                    assert await steps[i]() == min(j for j in asked if i in above(spec, i, j))
        assert changed.get() == "by nobody"

    def above(spec: DagSpec, i: int, j: int) -> set[int]:
        """Who asks first for step i: whoever asks for the first step that needs it."""
        seen, todo = {j}, [j]
        for other in todo:
            todo += [d for d in spec.dependencies(other) if d not in seen]
            seen.update(spec.dependencies(other))
        return seen

    virtually(workflow)


@examples(15, 1 / 2)
@given(
    graphs(failures=False, sync=False),
    st.integers(0, 9),
    st.sampled_from([KeyboardInterrupt, SystemExit, GeneratorExit]),
    st.booleans(),
)
def test_p15_what_is_no_exception_is_no_outcome_and_ends_the_run_plainly(
    spec: DagSpec, which: int, kind: type[BaseException], sync: bool
) -> None:
    which %= len(spec.nodes)
    error = kind("now")
    running: set[int] = set()
    steps: list[Step[Any]] = []

    async def workflow(event: Any, step: WorkflowStep) -> None:
        def body(i: int) -> Callable[..., Any]:
            def raises(*values: Any) -> None:
                raise error

            async def waits(*values: Any) -> None:
                running.add(i)
                try:
                    await trio.sleep(spec.seconds(i))
                    if i == which:
                        raise error
                finally:
                    running.remove(i)

            return raises if sync and i == which else waits

        for i, node in enumerate(spec.nodes):
            needs = [steps[d] for d in spec.dependencies(i)]
            steps.append(step.do(f"s{i}", depends=needs, concurrent=node.concurrent)(body(i)))
        top = step.do("top", depends=steps, concurrent=True)(lambda *values: None)
        with contextlib.suppress(Exception):
            await top()
        await trio.sleep_forever()

    with pytest.raises(kind) as caught:
        virtually(workflow)
    assert caught.value is error
    assert not running
    assert steps[which].status == "cancelled"


@examples(16)
@given(st.lists(st.booleans(), min_size=1, max_size=8), st.integers(0, 7), st.integers(0, 5))
def test_p16_a_loop_of_awaits_is_an_error_that_names_it(awaits: list[bool], first: int, seconds: int) -> None:
    """Steps in a ring: each needs the next as a dependency, or awaits it in its body. One body at least does."""
    count = len(awaits)
    awaits = [*awaits[:-1], True]  # the last is declared first, and needs the first, which isn't there yet

    async def workflow(event: Any, step: WorkflowStep) -> None:
        steps: dict[int, Step[Any]] = {}

        def declare(i: int) -> None:
            async def body(*values: Any) -> None:
                await trio.sleep(seconds * i)
                if awaits[i]:
                    await steps[(i + 1) % count]()

            needs = [] if awaits[i] else [steps[i + 1]]
            steps[i] = step.do(f"s{i}", depends=needs, concurrent=i % 2 == 0)(body)

        for i in reversed(range(count)):
            declare(i)
        with pytest.raises(DeadlockError) as caught:
            await steps[first % count]()
        path = [int(name[1:]) for name in caught.value.steps]
        assert path[0] == path[-1]
        assert len(path) == count + 1
        assert all(after == (one + 1) % count for one, after in itertools.pairwise(path))

    virtually(workflow)


# ----------------------------------------------------------------------------------------------------- P17 to P20: time


@examples(17)
@given(st.lists(st.tuples(st.sampled_from("sdw"), durations(most=10_000_000)), max_size=6))
def test_p17_all_that_waits_waits_by_trios_clock(pauses: list[tuple[str, Any]]) -> None:
    async def workflow(event: Any, step: WorkflowStep) -> None:
        for kind, duration in pauses:
            seconds = float(exact_seconds(duration) or 0)
            before = trio.current_time()
            if kind == "s":
                await step.sleep("a pause", duration)
            elif kind == "w":
                with pytest.raises(trioflow.WorkflowTimeoutError):
                    await step.wait_for_event("a wait", "nothing", timeout=duration)
            else:
                when = event.timestamp + timedelta(seconds=before - began + seconds)
                await step.sleep_until("a moment", when)
            assert trio.current_time() - before == pytest.approx(seconds, abs=2e-6)

    async def main(workflow: Callable[..., Any]) -> None:
        nonlocal began
        began = trio.current_time()
        await run_workflow(workflow)

    began = 0.0
    virtually(workflow, main)


@examples(18)
@given(policies(timeouts=False, functions=False), st.integers(0, 7))
def test_p18_attempts_are_one_more_than_the_limit_and_delays_are_what_the_backoff_says(
    policy: PolicySpec, succeeds: int
) -> None:
    starts: list[float] = []

    async def workflow(event: Any, step: WorkflowStep) -> int:
        @step.do("tries", config=config_of(policy, policy.delay))
        async def tries(ctx: Any) -> int:
            starts.append(trio.current_time())
            assert ctx.attempt == len(starts)
            if ctx.attempt <= succeeds:
                raise ValueError(ctx.attempt)
            return int(ctx.attempt)

        return await tries()

    most = 1 + (policy.limit or 0)
    if succeeds < most:
        assert virtually(workflow) == succeeds + 1
    else:
        with pytest.raises(ValueError, match=str(most)):
            virtually(workflow)
    assert len(starts) == min(most, succeeds + 1)
    for retry, (one, after) in enumerate(itertools.pairwise(starts), 1):
        assert after - one == pytest.approx(float(policy.delay_before(retry) or 0), rel=1e-9, abs=2e-6)


@examples(19, 2 / 3)
@given(durations())
def test_p19_a_duration_is_as_long_as_it_says(duration: Any) -> None:
    async def workflow(event: Any, step: WorkflowStep) -> float:
        before = trio.current_time()
        await step.sleep("a pause", duration)
        return trio.current_time() - before

    assert virtually(workflow) == pytest.approx(float(exact_seconds(duration) or 0), rel=1e-9, abs=2e-6)


@examples(19, 1 / 3)
@given(not_durations())
def test_p19_what_is_no_duration_is_refused_with_the_units(value: Any) -> None:
    async def workflow(event: Any, step: WorkflowStep) -> None:
        for make in (lambda: step.sleep("nap", value), lambda: step.wait_for_event("nap", "bell", timeout=value)):
            with pytest.raises((TypeError, ValueError), match=r"'nap'.*second, minute, hour, day, week") as caught:
                make()
            assert isinstance(caught.value, trioflow.ConfigError)

    virtually(workflow)


@examples(20)
@given(st.lists(st.tuples(st.sampled_from(["sleep", "wait", "until"]), st.booleans(), st.booleans()), max_size=8))
def test_p20_what_was_never_awaited_is_reported_with_its_line(made: list[tuple[str, bool, bool]]) -> None:
    """In `run` or in a body, awaited or not."""

    def make(step: WorkflowStep, event: Any, kind: str, n: int) -> Any:
        if kind == "sleep":
            return step.sleep(f"{n}", 1)
        if kind == "until":
            return step.sleep_until(f"{n}", event.timestamp + timedelta(days=1, seconds=trio.current_time()))
        return step.wait_for_event(f"{n}", "bell", timeout=1)

    async def workflow(event: Any, step: WorkflowStep) -> str:
        async def some(inside: bool) -> None:
            for n, (kind, awaited, in_body) in enumerate(made):
                if in_body is inside:
                    thing = make(step, event, kind, n)
                    if awaited:
                        with contextlib.suppress(trioflow.WorkflowTimeoutError):
                            await thing

        @step.do()
        async def body() -> None:
            await some(True)

        await body()
        await some(False)
        return "done"

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert virtually(workflow) == "done"
    told = [(str(w.message), w.category, w.filename) for w in caught]
    kinds = {"sleep": "sleep", "wait": "wait", "until": "sleep"}
    ought = [
        (f"{kinds[kind]} '{n}' was never awaited", RuntimeWarning, __file__)
        for n, (kind, awaited, _) in enumerate(made)
        if not awaited
    ]
    assert sorted(told) == sorted(ought)
    lines = make.__code__.co_firstlineno, make.__code__.co_firstlineno + 6
    assert all(lines[0] < w.lineno <= lines[1] for w in caught)


# ------------------------------------------------------------------------------------------ that each of them can fail

#: A judge, what it is shown, and runtimes that break its promise.
OBJECTIONS: Final[list[tuple[Judge, st.SearchStrategy[DagSpec], list[str]]]] = [
    (nothing_is_left, ANY, ["RunsOnWhenItIsOver"]),
    (nobody_needs_it_and_it_never_runs, ANY, ["Eager"]),
    (once_only, ANY, ["AEntersTheTableLate", "naive", "Original", "FailureIsForgotten", "StartsAfreshBeforeItIsGone"]),
    (values_in_order, ANY, ["StartsBeforeItsDependencies", "ArgumentsTheWrongWayRound", "ValuesAreCopied"]),
    (exactly_the_critical_path, ALL_CONCURRENT, ["ConcurrentIsSequential", "DawdlesBetweenSteps"]),
    (one_after_the_other, ALL_SEQUENTIAL, ["SequentialIsConcurrent", "LastInSequenceFirst", "DawdlesBetweenSteps"]),
    (that_very_exception, FAILURES, ["FailureIsCopied", "FailureInAGroup"]),
    (siblings_stop, ALONE, ["BSiblingsGoOn", "ErrorOvertakesCleanUp", "SiblingsAreNotCancelled"]),
    (nothing_is_lost, FAN, ["OutcomeOfACancelledBodyIsDropped", "ErrorOvertakesCleanUp"]),
    (what_a_body_ends_with_counts, LEAVES, ["OutcomeOfACancelledBodyIsDropped", "LeavesBeforeTheCleanUp"]),
    (wanted_and_not_cancelled, MANY_LEAVE, ["FOneWhoLeavesTakesSharedStepsAlong", "BodyOutlivesItsWaiter"]),
    (leaves_at_once, MANY_LEAVE, ["LeavesWithTheLastOne", "LeavesBeforeTheCleanUp"]),
    (closing_ends_all_interest, CLOSED, ["ClosingDoesNotStopBodies", "ClosedOnTheFirstAnswer"]),
    (again_after_cancel, MANY_LEAVE, ["EEveryAwaitIsAnExecution", "StartsAfreshBeforeItIsGone"]),
]


def objects(judge: Judge, spec: DagSpec, run_workflow: Runtime, seed: int) -> bool:
    try:
        judge(spec, run_dag(spec, run_workflow=run_workflow, seed=seed))
    except (AssertionError, LookupError, ValueError):  # what it looks for may not be there at all
        return True
    return False


@pytest.mark.slow
@pytest.mark.parametrize(
    ("judge", "drawn", "name"),
    [
        pytest.param(judge, drawn, name, id=f"{judge.__name__}-{name}")
        for judge, drawn, many in OBJECTIONS
        for name in many
    ],
)
def test_it_objects_to_a_runtime_that_breaks_its_promise(
    judge: Judge, drawn: st.SearchStrategy[DagSpec], name: str
) -> None:
    def found(case: tuple[DagSpec, int]) -> bool:
        return objects(judge, case[0], RUNTIMES[name], case[1])

    options = settings(
        max_examples=3000,
        database=None,
        deadline=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    find(st.tuples(drawn, seeds()), found, settings=options)


@pytest.mark.slow
@pytest.mark.parametrize(("judge", "drawn"), [(judge, drawn) for judge, drawn, _ in OBJECTIONS])
def test_it_does_not_object_to_one_that_keeps_them(judge: Judge, drawn: st.SearchStrategy[DagSpec]) -> None:
    @settings(max_examples=100, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(drawn, seeds())
    def all_right(spec: DagSpec, seed: int) -> None:
        judge(spec, run_dag(spec, run_workflow=runtime(Reference), seed=seed))

    all_right()
