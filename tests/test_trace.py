"""The recorder: what it keeps, what the run has waited for, where time could be saved, and the timeline."""

from __future__ import annotations

import inspect
import json
import math
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from itertools import pairwise
from typing import Any

import attrs
import pytest
import trio
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from trio.testing import MockClock

from trioflow import ConfigError, WorkflowTimeoutError, _drawing, abc, open_run, run_workflow
from trioflow._policy import DEFAULT
from trioflow.testing import DagSpec, Demand, run_dag
from trioflow.testing import Node as NodeSpec
from trioflow.testing.strategies import dags, seeds
from trioflow.trace import Node, Recorder

thorough = settings(max_examples=200, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])

Workflow = Callable[[Any, Any], Any]


def recorded(*workflows: Workflow, **options: Any) -> Recorder:
    """What was told of some runs, one after the other in virtual time."""
    recorder = Recorder()

    async def main() -> None:
        for workflow in workflows:
            with suppress(Exception):
                await run_workflow(workflow, instruments=[recorder], **options)

    trio.run(main, clock=MockClock(autojump_threshold=0))
    return recorder


def recorded_dag(spec: DagSpec, seed: int | None = None) -> tuple[Recorder, float]:
    """What was told of a generated workflow, and how long it took from its first demand on."""
    recorder = Recorder()
    trace = run_dag(spec, run_workflow=partial(run_workflow, instruments=[recorder]), seed=seed)
    over = next(event.time for event in trace.events if event.kind == "over")
    return recorder, over - spec.asks_at(0)


def path(*names: str) -> abc.Path:
    return tuple((name, 1) for name in names)


class Teller:
    """Makes facts by hand."""

    def __init__(self, instance_id: str = "i") -> None:
        self.recorder = Recorder()
        self.instance_id = instance_id

    def tell(self, hook: str, time: float, where: abc.Path | None = None, **says: Any) -> None:
        about = {} if where is None else {"step": where[-1][0], "occurrence": where[-1][1], "path": where}
        (parameter,) = [
            p for p in inspect.signature(getattr(abc.Instrument, hook)).parameters.values() if p.name != "self"
        ]
        fact = getattr(abc, str(parameter.annotation))(instance_id=self.instance_id, time=time, **about, **says)
        getattr(self.recorder, hook)(fact)

    def begin(
        self, time: float, where: abc.Path, *depends: abc.Path, concurrent: bool = True, after: Any = None
    ) -> None:
        self.tell("step_started", time, where, depends=depends, concurrent=concurrent, after=after, config=DEFAULT)

    def end(self, time: float, where: abc.Path) -> None:
        self.tell("step_completed", time, where, output=None)


# ------------------------------------------------------------------------------------------------------------ keeping


def test_it_keeps_every_kind_of_fact_in_order() -> None:
    hooks = [name for name in vars(abc.Instrument) if not name.startswith("_")]
    recorder = Recorder()
    marks = [object() for _ in hooks]
    for name, mark in zip(hooks, marks, strict=True):
        getattr(recorder, name)(mark)
    assert len(hooks) == 19
    assert list(recorder.events) == marks


async def test_what_it_has_heard_is_a_snapshot(autojump_clock: MockClock) -> None:
    recorder = Recorder()

    async def workflow(event: Any, step: Any) -> str:
        @step.do()
        async def one() -> bytes:
            return b"an output"

        await one()
        before.append(recorder.events)
        await step.sleep("nap", "1 second")
        return "done"

    before: list[tuple[abc.Fact, ...]] = []
    await run_workflow(workflow, instruments=[recorder])
    after = recorder.events
    assert [type(fact).__name__ for fact in after] == [
        *("WorkflowStarted", "StepStarted", "AttemptStarted", "AttemptCompleted", "StepCompleted"),
        *("SleepStarted", "SleepCompleted", "WorkflowCompleted"),
    ]
    assert before == [after[:5]]
    assert isinstance(after[4], abc.StepCompleted)
    assert after[4].output == b"an output"
    assert repr(recorder) == "<Recorder, 8 facts>"


def test_people_see_where_they_import_it_from() -> None:
    assert Recorder.__module__ == Node.__module__ == "trioflow.trace"


# ------------------------------------------------------------------------------------------------------ what there was


async def test_nodes_are_what_has_begun_with_what_has_become_of_it(autojump_clock: MockClock) -> None:
    recorder = Recorder()
    tries = []

    async def workflow(event: Any, step: Any) -> None:
        @step.do()
        async def parent() -> None:
            @step.do("child")
            async def inner() -> None:
                await trio.sleep(1)

            await inner()
            await step.sleep("nap", "2 seconds")

        @step.do(config={"retries": {"limit": 1, "delay": "5 seconds"}})
        async def flaky() -> None:
            tries.append(1)
            await trio.sleep(1)
            if len(tries) == 1:
                raise ValueError

        @step.do(depends=[parent, flaky], concurrent=True)
        async def join(parent: None, flaky: None) -> None: ...

        @step.do()
        async def bad() -> None:
            await trio.sleep(1)
            raise KeyError

        @step.do()
        async def slow() -> None:
            await trio.sleep(10)

        @step.do(depends=[bad, slow], concurrent=True)
        async def never(bad: None, slow: None) -> None: ...

        @step.do()
        async def unneeded() -> None: ...

        await join()
        with suppress(KeyError):
            await never()
        with suppress(WorkflowTimeoutError):
            await step.wait_for_event("approval", "ok", timeout="3 seconds")
        shown.extend(recorder.nodes())
        with trio.move_on_after(1):
            await slow()

    shown: list[Node] = []
    await run_workflow(workflow, instruments=[recorder])
    known = {(node.kind, *(name for name, _ in node.path)): node for node in recorder.nodes()}
    assert {key: (node.state, node.seconds) for key, node in known.items()} == {
        ("step", "parent"): ("succeeded", 3),
        ("step", "parent", "child"): ("succeeded", 1),
        ("sleep", "parent", "nap"): ("succeeded", 2),
        ("step", "flaky"): ("succeeded", 7),
        ("step", "join"): ("succeeded", 0),
        ("step", "bad"): ("failed", 1),
        ("step", "slow"): ("cancelled", 1),
        ("wait", "approval"): ("failed", 3),
    }
    assert known["step", "join"].depends == (path("parent"), path("flaky"))
    assert [node.path for node in recorder.nodes()] == [node.path for node in shown], (
        "a step begun afresh keeps its place"
    )
    assert recorder.to_mermaid() == _drawing.mermaid(recorder.nodes())
    assert recorder.to_dot() == _drawing.dot(recorder.nodes())


async def test_a_run_that_goes_on_can_be_looked_at(autojump_clock: MockClock) -> None:
    recorder = Recorder()

    async def workflow(event: Any, step: Any) -> None:
        @step.do()
        async def work() -> None:
            await trio.sleep(10)

        await work()

    async with open_run(workflow, instruments=[recorder]):
        await trio.sleep(4)
        (node,) = recorder.nodes()
        assert (node.label, node.state, node.seconds) == ("work", "running", None)
        assert recorder.critical_path() == []
        assert recorder.slack() == {}
        assert [s["args"]["outcome"] for s in slices(recorder)] == ["unfinished"] * 3
    (node,) = recorder.nodes()
    assert (node.state, node.seconds) == ("cancelled", 4)


def test_a_body_whose_end_was_not_told_is_not_running_when_the_run_is_over() -> None:
    teller = Teller()
    teller.begin(0, path("a"))
    teller.tell("workflow_terminated", 2, reason="KeyboardInterrupt")
    assert [(node.state, node.seconds) for node in teller.recorder.nodes()] == [("cancelled", None)]


def test_a_dependency_without_facts_of_its_own_has_succeeded_and_is_drawn() -> None:
    teller = Teller()
    teller.tell("step_reused", 0, path("kept"), output=None)
    teller.tell("step_reused", 0, path("alone"), output=None)
    teller.begin(1, path("b"), path("before"), path("kept"))
    assert [(node.label, node.state) for node in teller.recorder.nodes()] == [
        *(("before", "succeeded"), ("kept", "succeeded"), ("b", "running"), ("alone", "succeeded"))
    ]
    assert teller.recorder.to_dot().count(" -> ") == 2


async def test_what_is_reused_in_another_attempt_stays_what_it_was(autojump_clock: MockClock) -> None:
    recorder = Recorder()

    async def workflow(event: Any, step: Any) -> None:
        @step.do(config={"retries": {"limit": 1, "delay": "1 second"}})
        async def outer() -> None:
            @step.do()
            async def inner() -> None:
                await trio.sleep(2)

            await inner()
            await step.sleep("nap", "3 seconds")
            if len(tries) == 0:
                tries.append(1)
                raise ValueError

        await outer()

    tries: list[int] = []
    await run_workflow(workflow, instruments=[recorder])
    assert [(n.kind, n.label, n.state, n.seconds) for n in recorder.nodes()] == [
        *(("step", "outer", "succeeded", 6), ("step", "inner", "succeeded", 2), ("sleep", "nap", "succeeded", 3))
    ]
    reused = [event for event in timeline(recorder) if event["ph"] == "i"]
    assert [event["name"] for event in reused] == ["inner", "nap"]


# -------------------------------------------------------------------------------------------------------- which run


def idle(event: Any, step: Any) -> None:
    @step.do()
    def work() -> None: ...


async def sleepy(event: Any, step: Any) -> None:
    @step.do("work")
    async def work() -> None:
        await trio.sleep(len(event.instanceId))

    await work()


QUESTIONS = ("nodes", "to_mermaid", "to_dot", "critical_path", "slack")


@pytest.mark.parametrize("question", QUESTIONS)
async def test_of_several_runs_one_is_asked_for(autojump_clock: MockClock, question: str) -> None:
    recorder = Recorder()
    async with trio.open_nursery() as nursery:
        for name in ("a", "bb"):
            nursery.start_soon(partial(run_workflow, sleepy, instance_id=name, instruments=[recorder]))
    ask = getattr(recorder, question)
    with pytest.raises(ConfigError, match=r"which run\? Pass instance_id=, one of ('a', 'bb'|'bb', 'a')$"):
        ask()
    with pytest.raises(ConfigError, match=r"no run 'c' was recorded: there is ('a', 'bb'|'bb', 'a')$"):
        ask(instance_id="c")
    assert [recorder.critical_path(instance_id=name) for name in ("a", "bb")] == [[("work", 1)], [("work", 2)]]
    assert ask(instance_id="a") == ask(instance_id="a")


@pytest.mark.parametrize("question", [*QUESTIONS, "to_chrome_trace"])
def test_where_nothing_was_recorded_there_is_nothing(question: str) -> None:
    ask = getattr(Recorder(), question)
    assert not ask() or ask() in (_drawing.mermaid([]), _drawing.dot([])) or json.loads(ask())["traceEvents"] == []
    with pytest.raises(ConfigError, match="no run 'a' was recorded: there is none"):
        ask(instance_id="a")


def test_not_all_of_very_many_runs_are_named() -> None:
    recorder = Recorder()
    for number in range(100):
        teller = Teller(f"i{number}")
        teller.recorder = recorder
        teller.begin(0, path("a"))
    with pytest.raises(ConfigError, match=r"'i9', …$"):
        recorder.nodes()


def test_of_an_instance_that_ran_again_the_last_run_counts() -> None:
    async def shorter(event: Any, step: Any) -> None:
        await declare(step, "rest", 2)()

    recorder = recorded(sleepy, shorter, instance_id="again")
    assert recorder.critical_path() == [("rest", 2)]
    assert [node.label for node in recorder.nodes()] == ["rest"]
    assert [(s["pid"], s["name"], s["ts"]) for s in slices(recorder) if s["cat"] == "step"] == [
        (1, "work", 0),
        (2, "rest", 5e6),
    ]


# --------------------------------------------------------------------------------------------------- the critical path

#: One demand, and nothing that ends it early: all that takes time is bodies.
undisturbed = dags(failures=False, timeouts=False, endings=False, strangers=False, aliases=False, max_nodes=12).map(
    lambda spec: attrs.evolve(spec, demands=[Demand()])
)


def total(recorder: Recorder) -> float:
    return math.fsum(seconds for _, seconds in recorder.critical_path())


@thorough
@given(undisturbed, seeds())
def test_the_seconds_on_the_critical_path_are_those_of_the_run(spec: DagSpec, seed: int) -> None:
    """P5, whether dependencies are resolved together, in sequence, or some like this and some like that."""
    recorder, took = recorded_dag(spec, seed)
    assert total(recorder) == pytest.approx(took)


@thorough
@given(undisturbed, seeds())
def test_each_step_of_the_critical_path_begins_when_the_one_before_ends(spec: DagSpec, seed: int) -> None:
    recorder, _ = recorded_dag(attrs.evolve(spec, spread=True), seed)
    begun = {fact.step: fact.time for fact in recorder.events if isinstance(fact, abc.StepStarted)}
    ended = {fact.step: fact.time for fact in recorder.events if isinstance(fact, abc.StepCompleted)}
    steps = recorder.critical_path()
    assert [seconds for _, seconds in steps] == [ended[name] - begun[name] for name, _ in steps]
    assert all(ended[before] == begun[name] for (before, _), (name, _) in pairwise(steps))
    assert ended[steps[-1][0]] == max(ended.values())


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=1, max_size=6))
def test_bodies_awaited_one_after_the_other_are_all_on_it(bodies: list[tuple[int, bool]]) -> None:
    async def workflow(event: Any, step: Any) -> None:
        for seconds, fails in bodies:

            @step.do("work")
            async def work(seconds: int = seconds, fails: bool = fails) -> None:
                await trio.sleep(seconds)
                if fails:
                    raise ValueError

            with suppress(ValueError):
                await work()

    labels = ["work", *(f"work #{number}" for number in range(2, len(bodies) + 1))]
    recorder = recorded(workflow)
    assert recorder.critical_path() == [(label, seconds) for label, (seconds, _) in zip(labels, bodies, strict=True)]
    assert recorder.slack() == {}


def declare(step: Any, name: str, seconds: float, *depends: Any, concurrent: bool = False) -> Any:
    async def body(*values: None) -> None:
        await trio.sleep(seconds)

    return step.do(name, depends=depends, concurrent=concurrent)(body)


def test_what_is_asked_for_next_hangs_on_what_was_awaited_before_and_a_sleep_is_a_gap() -> None:
    async def workflow(event: Any, step: Any) -> None:
        await declare(step, "first", 2)()
        await step.sleep("nap", "10 seconds")
        await declare(step, "second", 4, declare(step, "needed", 3), declare(step, "other", 1), concurrent=True)()

    recorder = recorded(workflow)
    assert recorder.critical_path() == [("first", 2), ("needed", 3), ("second", 4)]
    assert recorder.slack() == {"other": 2}
    assert recorder.events[-1].time - recorder.events[0].time == total(recorder) + 10


def test_in_a_sequence_whatever_the_next_one_needs_has_waited_for_its_turn() -> None:
    async def workflow(event: Any, step: Any) -> None:
        b = declare(step, "b", 4, declare(step, "deep", 2), declare(step, "quick", 1), concurrent=True)
        await declare(step, "top", 1, declare(step, "a", 3), b)()

    recorder = recorded(workflow)
    assert recorder.critical_path() == [("a", 3), ("deep", 2), ("b", 4), ("top", 1)]
    assert recorder.slack() == {"quick": 1}


def test_who_was_not_the_last_in_a_sequence_holds_up_the_next_if_it_takes_longer() -> None:
    """`b` was the last to come to an end, since another had it begun, but without `a` it would not have been `c`'s turn."""

    async def workflow(event: Any, step: Any) -> None:
        b = declare(step, "b", 10)
        top = declare(step, "top", 1, declare(step, "a", 3), b, declare(step, "c", 2))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(b)
            nursery.start_soon(top)

    recorder = recorded(workflow)
    assert recorder.critical_path() == [("b", 10), ("c", 2), ("top", 1)]
    assert recorder.slack() == {"a": 7}


def test_a_turn_takes_the_slack_of_all_who_had_to_be_over_for_it() -> None:
    """As above, but all of it could have taken seven seconds longer."""

    async def workflow(event: Any, step: Any) -> None:
        b = declare(step, "b", 9, declare(step, "d", 1))
        top = declare(step, "top", 1, declare(step, "a", 3), b, declare(step, "c", 2))
        await declare(step, "all", 1, b, top, declare(step, "long", 20), concurrent=True)()

    recorder = recorded(workflow)
    assert recorder.critical_path() == [("long", 20), ("all", 1)]
    assert recorder.slack() == {"d": 7, "b": 7, "a": 14, "c": 7, "top": 7}


def test_of_several_turns_the_first_counts() -> None:
    """`shared` comes second in two sequences; the one that comes to it later is the one whose step begins first."""

    async def workflow(event: Any, step: Any) -> None:
        shared = declare(step, "shared", 5)
        first = declare(step, "first", 1, declare(step, "p", 2), shared, declare(step, "long", 9))
        second = declare(step, "second", 1, declare(step, "q", 3), shared)
        await declare(step, "top", 1, first, second, concurrent=True)()

    recorder = recorded(workflow)
    assert recorder.critical_path() == [("p", 2), ("shared", 5), ("long", 9), ("first", 1), ("top", 1)]
    assert recorder.slack() == {"q": 13, "second": 9}


def test_who_had_begun_before_its_turn_was_not_held_up_by_it() -> None:
    async def workflow(event: Any, step: Any) -> None:
        a, b = declare(step, "a", 3), declare(step, "b", 5)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(declare(step, "top", 1, a, b))
            nursery.start_soon(b)

    recorder = recorded(workflow)
    assert recorder.critical_path() == [("b", 5), ("top", 1)]
    assert recorder.slack() == {"a": 2}


def test_steps_of_a_body_are_not_on_it() -> None:
    async def workflow(event: Any, step: Any) -> None:
        @step.do()
        async def outer() -> None:
            @step.do()
            async def inner() -> None:
                await trio.sleep(2)

            await inner()

        await outer()

    recorder = recorded(workflow)
    assert recorder.critical_path() == [("outer", 2)]
    assert recorder.slack() == {}


def test_a_recorder_that_came_late_shows_what_it_has_seen() -> None:
    teller = Teller()
    teller.end(1, path("before"))
    teller.tell("attempt_completed", 1, path("before"), attempt=1)
    teller.begin(2, path("a"), path("before"), after=path("unknown"))
    teller.end(5, path("a"))
    assert teller.recorder.critical_path() == [("a", 3)]
    assert check_timeline(teller.recorder)


@pytest.mark.slow
def test_a_hundred_thousand_steps_in_a_chain() -> None:
    teller = Teller()
    steps = [((f"s{number}", 1),) for number in range(100_000)]
    for number, step in enumerate(steps):
        teller_begin(teller.recorder, number, step, steps[number - 1 : number])
    assert len(teller.recorder.critical_path()) == 100_000
    assert teller.recorder.slack() == {}


def teller_begin(recorder: Recorder, time: float, step: abc.Path, depends: list[abc.Path]) -> None:
    """As `Teller` does it, a good deal faster."""
    about: dict[str, Any] = {"instance_id": "i", "step": step[0][0], "occurrence": 1, "path": step}
    after = depends[0] if depends else None
    recorder.step_started(
        abc.StepStarted(**about, time=time, depends=tuple(depends), concurrent=False, after=after, config=DEFAULT)
    )
    recorder.step_completed(abc.StepCompleted(**about, time=time + 1, output=None))


def test_a_sequence_of_ten_thousand() -> None:
    recorder = Recorder()
    steps = [((f"s{number}", 1),) for number in range(10_000)]
    for number, step in enumerate(steps):
        teller_begin(recorder, number, step, [])
    teller_begin(recorder, len(steps), (("all", 1),), steps)
    assert len(recorder.critical_path()) == 10_001


# --------------------------------------------------------------------------------------------------------------- slack


def slower(spec: DagSpec, name: str, seconds: int) -> DagSpec:
    number = int(name[1:])
    nodes = list(spec.nodes)
    nodes[number] = attrs.evolve(nodes[number], seconds=nodes[number].seconds + seconds, sync=False, checkpoint=False)
    return attrs.evolve(spec, nodes=nodes)


@thorough
@given(undisturbed, st.integers(0, 11))
def test_a_step_may_take_its_slack_longer_and_the_run_takes_no_longer(spec: DagSpec, which: int) -> None:
    recorder, took = recorded_dag(attrs.evolve(spec, spread=False))
    slack = {name: seconds for name, seconds in recorder.slack().items() if seconds}
    assume(slack)
    name = sorted(slack)[which % len(slack)]
    assert slack[name] == int(slack[name])
    assert recorded_dag(slower(attrs.evolve(spec, spread=False), name, int(slack[name])))[1] == took


@thorough
@given(
    dags(failures=False, timeouts=False, endings=False, strangers=False, aliases=False, concurrent=True, max_nodes=12),
    st.integers(0, 11),
)
def test_where_all_is_concurrent_not_a_second_more(spec: DagSpec, which: int) -> None:
    spec = attrs.evolve(spec, demands=[Demand()], spread=False)
    recorder, took = recorded_dag(spec)
    slack = recorder.slack()
    assume(slack)
    name = sorted(slack)[which % len(slack)]
    assert recorded_dag(slower(spec, name, int(slack[name]) + 1))[1] == took + 1


@thorough
@given(dags(endings=False, aliases=False, max_nodes=10, inner=True), seeds())
def test_every_step_with_an_outcome_is_on_the_path_or_has_slack(spec: DagSpec, seed: int) -> None:
    recorder, _ = recorded_dag(spec, seed)
    settled = {f.step for f in recorder.events if isinstance(f, abc.StepCompleted | abc.StepErrored)}
    on_it = [name for name, _ in recorder.critical_path()]
    slack = recorder.slack()
    assert len(on_it) == len(set(on_it))
    assert not set(on_it) & set(slack)
    assert set(on_it) | set(slack) == settled
    assert all(seconds >= 0 for seconds in slack.values())


@given(st.lists(st.floats(0.001, 10), min_size=1, max_size=20), st.floats(0, 1e6))
def test_slack_is_never_negative_however_times_are_rounded(durations: list[float], start: float) -> None:
    """A chain beside one step that takes exactly as long."""
    teller, now, before = Teller(), start, ()
    teller.begin(start, path("long"))
    for number, seconds in enumerate(durations):
        teller.begin(now, path(f"s{number}"), *before)
        now += seconds
        teller.end(now, path(f"s{number}"))
        before = (path(f"s{number}"),)
    teller.end(now, path("long"))
    slack = teller.recorder.slack()
    assert len(slack) == len(durations)
    assert all(0 <= seconds < 1e-6 for seconds in slack.values())


# ------------------------------------------------------------------------------------------------------------ timeline


def refuse(constant: str) -> None:
    raise AssertionError(f"{constant} is no JSON")


def timeline(recorder: Recorder, **options: Any) -> list[dict[str, Any]]:
    text = recorder.to_chrome_trace(**options)
    text.encode()
    whole = json.loads(text, parse_constant=refuse)
    assert set(whole) == {"displayTimeUnit", "traceEvents"}
    return list(whole["traceEvents"])


def check_timeline(recorder: Recorder) -> list[dict[str, Any]]:
    """Read a timeline as a viewer does: sorted by time, brackets on each track; return its slices, with `dur`.

    As strict as the strictest of them. Perfetto binds an arrow to the slice that is open when it is read, and loses one
    whose end comes before its beginning.
    """
    events = timeline(recorder)
    named = {(e["pid"], e["tid"]) for e in events if e["ph"] == "M" and e["name"] == "thread_name"}
    assert {e["pid"] for e in events} == {e["pid"] for e in events if e["ph"] == "M" and e["name"] == "process_name"}
    open_: dict[tuple[int, int], list[dict[str, Any]]] = {}
    arrows: dict[int, dict[str, Any]] = {}
    done: set[int] = set()
    slices_ = []
    for event in sorted((e for e in events if e["ph"] != "M"), key=lambda e: e["ts"]):
        track = (event["pid"], event["tid"])
        assert track in named
        assert event["ts"] >= 0
        assert min(track) > 0, "threads and processes numbered 0 are the idle ones to some viewers"
        stack = open_.setdefault(track, [])
        match event["ph"]:
            case "B":
                stack.append(event | {"inside": stack[-1]["name"] if stack else None})
            case "E":
                begun = stack.pop()
                slices_.append(begun | {"dur": event["ts"] - begun["ts"]})
            case "s":
                assert stack[-1]["cat"] == "step"
                assert event["id"] not in arrows, "used twice"
                arrows[event["id"]] = stack[-1]
            case "f":
                assert (stack[-1]["cat"], event["bp"]) == ("step", "e")
                begun = arrows[event["id"]]
                assert event["pid"] == begun["pid"]
                stack[-1].setdefault("needs", []).append(begun["name"])
                done.add(event["id"])
            case phase:
                assert phase == "i"
    assert not any(open_.values()), "not all have ended"
    assert done == set(arrows)
    assert all(slice_["dur"] >= 0 for slice_ in slices_)
    return slices_


def slices(recorder: Recorder) -> list[dict[str, Any]]:
    """In the order in which they began."""
    return sorted(check_timeline(recorder), key=lambda slice_: slice_["ts"])


@thorough
@given(dags(inner=True, aliases=False), seeds(), st.floats(0, 1))
def test_whatever_happens_and_wherever_it_is_cut_the_timeline_is_sound(spec: DagSpec, seed: int, part: float) -> None:
    whole, _ = recorded_dag(spec, seed)
    for facts in (
        whole.events,
        whole.events[: round(part * len(whole.events))],
        whole.events[round(part * len(whole.events)) :],
    ):
        recorder = Recorder()
        for fact in facts:
            recorder.step_started(fact)  # type: ignore[arg-type] # it keeps what it is given
        begun = [f for f in facts if isinstance(f, abc.StepStarted)]
        found = check_timeline(recorder)
        assert sorted(s["name"] for s in found if s["cat"] == "step") == sorted(f.step for f in begun)
        assert not recorder.nodes() or recorder.to_dot()


@thorough
@given(dags(failures=False, timeouts=False, endings=False, strangers=False, aliases=False, max_nodes=10), seeds())
def test_there_is_an_arrow_from_each_dependency(spec: DagSpec, seed: int) -> None:
    recorder, _ = recorded_dag(spec, seed)
    found = {s["name"]: sorted(s.get("needs", [])) for s in check_timeline(recorder) if s["cat"] == "step"}
    for name, needs in found.items():
        assert needs == sorted({f"s{number}" for number in spec.dependencies(int(name[1:]))})


def test_tracks_are_as_few_as_what_runs_at_once() -> None:
    nodes = [
        *(NodeSpec(seconds=seconds) for seconds in (1, 2, 3)),
        NodeSpec(back=(1, 2, 3), concurrent=True, seconds=1),
    ]
    recorder, _ = recorded_dag(DagSpec(nodes=nodes))
    assert {s["tid"] for s in check_timeline(recorder)} == {1, 2, 3, 4}
    chain, _ = recorded_dag(DagSpec(nodes=[NodeSpec(back=(1,)) for _ in range(50)]))
    assert {s["tid"] for s in check_timeline(chain)} == {1, 2}, "what takes no time shares a track, too"


def test_a_slice_has_in_it_what_is_in_it() -> None:
    tries: list[int] = []

    async def workflow(event: Any, step: Any) -> None:
        @step.do(config={"retries": {"limit": 2, "delay": "2 seconds"}})
        async def flaky() -> str:
            tries.append(1)
            await step.sleep("nap", "1 second")
            if len(tries) == 1:
                raise ValueError("no luck")

            @step.do()
            async def inner() -> None:
                await trio.sleep(3)

            await inner()
            return "secret"

        @step.do()
        async def stuck() -> None:
            await trio.sleep_forever()

        await flaky()
        with trio.move_on_after(1):
            await stuck()
        with suppress(WorkflowTimeoutError):
            await step.wait_for_event("approval", "ok", timeout="4 seconds")
        raise KeyError("end")

    recorder = recorded(workflow, instance_id="run-1", params={"word": "secret"})
    found = [(s["cat"], s["name"], s["inside"], s["ts"] / 1e6, s["dur"] / 1e6, s["args"]) for s in slices(recorder)]
    error, why = "ValueError('no luck')", "a deadline has passed for the one who awaited it"
    expected: list[tuple[Any, ...]] = [
        ("run", "workflow", None, 0, 11, {"outcome": "failed", "error": "KeyError('end')"}),
        ("step", "flaky", None, 0, 6, {"outcome": "succeeded"}),
        ("attempt", "attempt 1", "flaky", 0, 1, {"outcome": "failed", "attempt": 1, "error": error}),
        ("sleep", "nap", "attempt 1", 0, 1, {"outcome": "succeeded", "seconds": 1, "path": "flaky / nap"}),
        ("delay", "delay", "flaky", 1, 2, {"outcome": "succeeded", "seconds": 2}),
        ("attempt", "attempt 2", "flaky", 3, 3, {"outcome": "succeeded", "attempt": 2}),
        ("step", "inner", "attempt 2", 3, 3, {"outcome": "succeeded", "path": "flaky / inner"}),
        ("attempt", "attempt 1", "inner", 3, 3, {"outcome": "succeeded", "attempt": 1}),
        ("step", "stuck", None, 6, 1, {"outcome": "cancelled", "reason": why}),
        ("attempt", "attempt 1", "stuck", 6, 1, {"outcome": "cancelled", "attempt": 1, "reason": why}),
        ("wait", "approval", "workflow", 7, 4, {"outcome": "timed out", "event_type": "ok", "timeout": 4}),
    ]  # fmt: skip
    assert sorted(found, key=lambda s: (s[0], s[1], s[3])) == sorted(expected, key=lambda s: (s[0], s[1], s[3]))
    assert "secret" not in recorder.to_chrome_trace()
    (process,) = [e["args"] for e in timeline(recorder) if e.get("name") == "process_name"]
    assert process == {"name": "run-1"}


def test_a_step_that_is_cancelled_between_two_attempts() -> None:
    async def workflow(event: Any, step: Any) -> None:
        @step.do(config={"retries": {"limit": 1, "delay": "10 seconds"}})
        async def flaky() -> None:
            raise ValueError

        with trio.move_on_after(4):
            await flaky()
        await trio.sleep(1)

    recorder = recorded(workflow)
    (delay,) = [s for s in slices(recorder) if s["cat"] == "delay"]
    why = "a deadline has passed for the one who awaited it"
    assert (delay["dur"], delay["args"]) == (4e6, {"outcome": "cancelled", "seconds": 10, "reason": why})


def test_a_delay_of_no_time_is_there_too() -> None:
    teller = Teller()
    teller.begin(0, path("a"))
    teller.tell("attempt_started", 0, path("a"), attempt=1)
    teller.tell("attempt_errored", 1, path("a"), attempt=1, error=ValueError(), retry_in=0.0)
    teller.tell("attempt_started", 1, path("a"), attempt=2)
    assert [s["name"] for s in slices(teller.recorder) if s["inside"] == "a"] == ["attempt 1", "delay", "attempt 2"]


def test_what_is_at_once_in_a_body_is_on_tracks_of_its_own() -> None:
    async def workflow(event: Any, step: Any) -> None:
        @step.do()
        async def outer() -> None:
            async with trio.open_nursery() as nursery:
                for number in range(3):

                    @step.do(f"inner {number}")
                    async def inner(number: int = number) -> None:
                        await trio.sleep(1 + number)

                    nursery.start_soon(inner)

        await outer()

    tracks = {s["name"]: s["tid"] for s in slices(recorded(workflow)) if s["cat"] == "step"}
    assert len({tracks[f"inner {number}"] for number in range(3)}) == 3
    assert tracks["outer"] in {tracks[f"inner {number}"] for number in range(3)}


def test_runs_are_processes_on_one_timeline() -> None:
    recorder = Recorder()

    async def main() -> None:
        for name in ("a", "bb"):
            await run_workflow(sleepy, instance_id=name, instruments=[recorder])

    trio.run(main, clock=MockClock(autojump_threshold=0))
    assert [(s["pid"], s["ts"], s["dur"]) for s in slices(recorder) if s["cat"] == "step"] == [
        (1, 0, 1e6),
        (2, 1e6, 2e6),
    ]
    assert {e["ts"] for e in timeline(recorder, instance_id="bb") if e["ph"] == "B"} == {0}


def test_awkward_texts_are_json_too() -> None:
    class Unshowable(Exception):
        def __repr__(self) -> str:
            raise RuntimeError

    teller = Teller('\ud800 "quoted"\n')
    teller.tell("workflow_started", 0, workflow="\udfff", params=math.nan, timestamp=datetime.now(UTC))
    teller.begin(0.1, path('"\n\x00\ud800'))
    teller.tell("attempt_started", 0.1, path('"\n\x00\ud800'), attempt=1)
    teller.tell("step_errored", 0.3, path('"\n\x00\ud800'), error=Unshowable())
    assert {s["name"] for s in slices(teller.recorder)} == {"attempt 1", '"\n\x00?', "?"}
    assert [s["args"]["error"] for s in slices(teller.recorder) if s["cat"] == "step"] == ["Unshowable(...)"]


def test_an_inner_step_that_outlives_its_body_has_a_track_of_its_own() -> None:
    teller = Teller()
    teller.begin(0, path("outer"))
    teller.begin(1, path("outer", "inner"))
    teller.end(2, path("outer"))
    teller.end(3, path("outer", "inner"))
    assert {s["tid"] for s in slices(teller.recorder)} == {2, 3}


@pytest.mark.slow
def test_twenty_thousand_steps_in_turn() -> None:
    recorder = Recorder()
    steps = [((f"s{number}", 1),) for number in range(20_000)]
    for number, step in enumerate(steps):
        teller_begin(recorder, number, step, steps[number - 1 : number])
    assert len(check_timeline(recorder)) == 20_000
