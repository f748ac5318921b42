"""A sketch: the graph that a workflow declares, without a step having run."""

from __future__ import annotations

import copy
import functools
import gc
import itertools
import json
import linecache
import logging
import math
import os
import pickle
import sys
import threading
import weakref
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio
from hypothesis import given
from trio.testing import MockClock, assert_checkpoints

import trioflow._sketch as room
from trioflow import (
    ConfigError,
    CycleError,
    DefinitionError,
    NonRetryableError,
    Step,
    StepConfig,
    WorkflowEntrypoint,
    WorkflowStep,
)
from trioflow._drawing import Node, label_of, mermaid
from trioflow._loading import load_workflow, shown
from trioflow._sketch import Sketch, Undecided, Unknown, sketch
from trioflow.testing import DagSpec, run_dag
from trioflow.testing.strategies import dags, seeds

HERE = shown(__file__)
EXAMPLES = sorted((Path(__file__).parent.parent / "examples").glob("*.py"))

Workflow = Callable[[Any, Any], Any]


def sketched(workflow: Any, params: Any = None, **options: Any) -> Sketch:
    return trio.run(partial(sketch, workflow, params, **options), clock=MockClock(autojump_threshold=0))


def edges(drawing: Sketch) -> dict[str, list[str]]:
    """Each step, and what it needs."""
    return {node.label: [label_of(path) for path in node.depends] for node in drawing.nodes if node.kind == "step"}


def line_of(marked: str) -> str:
    """This file's line that has `# <marked>` in it."""
    (line,) = (n for n, text in enumerate(linecache.getlines(__file__), 1) if text.rstrip().endswith(f"# {marked}"))
    return f"{HERE}:{line}"


def says(drawing: Sketch, *parts: str) -> None:
    assert drawing.why_not is not None
    for part in parts:
        assert part in drawing.why_not
    assert "\n" not in drawing.why_not


def must_not_run(*_: Any) -> Any:
    raise AssertionError("a body was run")


def are_unknown(*values: Any) -> bool:
    return {type(value) for value in values} == {Unknown}


def are_one(*values: Any) -> bool:
    return len({id(value) for value in values}) == 1


def fetched(step: WorkflowStep, name: str = "fetch") -> Step[Any]:
    return step.do(name, [])(must_not_run)


# ------------------------------------------------------------------------------------------------------- what is drawn


def test_all_declared_steps_are_drawn_with_what_they_need_and_no_body_is_run() -> None:
    async def workflow(event: Any, step: WorkflowStep) -> Any:
        @step.do("fetch users")
        async def users() -> Any:
            return must_not_run()

        @step.do()
        def orders() -> Any:
            return must_not_run()

        @step.do(depends=[users, orders, users], concurrent=True)
        async def report(first: Any, second: Any, third: Any) -> Any:
            return must_not_run()

        @step.do("nobody awaits this")
        async def unneeded(report: Any, later: Any, optional: int = 3) -> Any:
            return must_not_run()

        @step.do(config=StepConfig(timeout="1 second"))
        async def later(ctx: Any, users: Any) -> Any:
            return must_not_run()

        return await report()

    drawing = sketched(workflow)
    assert drawing == Sketch(
        (
            Node((("fetch users", 1),)),
            Node((("orders", 1),)),
            Node((("report", 1),), depends=((("fetch users", 1),), (("orders", 1),))),
            Node((("nobody awaits this", 1),), depends=((("report", 1),), (("later", 1),))),
            Node((("later", 1),), depends=((("fetch users", 1),),)),
        ),
        None,
    )
    assert mermaid(drawing.nodes).count("-->") == 5


def test_each_iteration_needs_its_own_steps_and_params_say_how_many_there_are() -> None:
    async def workflow(event: Any, step: WorkflowStep) -> Any:
        pages = []
        for page in event.payload["pages"]:

            @step.do("fetch")
            async def fetch() -> Any:
                return must_not_run()

            @step.do(f"store {page}")
            async def store(fetch: Any) -> Any:
                return must_not_run()

            pages.append(store)

        @step.do("sum", depends=pages)
        async def total(*pages: Any) -> Any:
            return must_not_run()

        return await total()

    assert edges(sketched(workflow, {"pages": "ab"})) == {
        "fetch": [],
        "store a": ["fetch"],
        "fetch #2": [],
        "store b": ["fetch #2"],
        "sum": ["store a", "store b"],
    }
    assert edges(sketched(workflow, {"pages": ""})) == {"sum": []}


def test_steps_that_are_declared_and_awaited_by_tasks_are_drawn() -> None:
    async def workflow(event: Any, step: WorkflowStep) -> list[Any]:
        results: list[Any] = [None] * 3

        async def one(i: int) -> None:
            @step.do("load")
            async def load() -> Any:
                return must_not_run()

            @step.do(f"parse {i}")
            async def parse(load: Any) -> Any:
                return must_not_run()

            results[i] = await parse()

        async with trio.open_nursery() as nursery:
            for i in range(3):
                nursery.start_soon(one, i)
        assert are_unknown(*results)
        return results

    drawing = sketched(workflow)
    assert drawing.why_not is None
    needed = edges(drawing)
    assert sorted(needed) == ["load", "load #2", "load #3", "parse 0", "parse 1", "parse 2"]
    assert sorted(itertools.chain(*needed.values())) == ["load", "load #2", "load #3"]


def test_classes_are_drawn_with_their_env_and_plain_functions_too() -> None:
    class Flow(WorkflowEntrypoint):
        async def run(self, event: Any, step: WorkflowStep) -> None:
            assert event.instanceId == "i-1"
            fetched(step, self.env["name"])

    class Sync:
        def run(self, event: Any, step: WorkflowStep) -> None:
            fetched(step, event["workflowName"])

    def function(event: Any, step: WorkflowStep) -> None:
        fetched(step, str(event.payload))

    assert edges(sketched(Flow, env={"name": "alpha"}, instance_id="i-1")) == {"alpha": []}
    assert edges(sketched(Sync)) == {"Sync": []}
    assert edges(sketched(function)) == {"{}": []}
    assert sketched(function).why_not is None


def test_a_name_made_of_a_result_shows_that_it_is() -> None:
    async def workflow(event: Any, step: WorkflowStep) -> None:
        user = await fetched(step)()
        fetched(step, f"greet {user['name']}")
        fetched(step, "write to " + user.address.strip())
        fetched(step, user["id"] + " is gone")
        fetched(step, f"{user['age'] + 1:03d} and {1 + user!r}")

    assert list(edges(sketched(workflow))) == [
        "fetch",
        "greet {fetch['name']}",
        "write to {fetch.address.strip(…)}",
        "{fetch['id']} is gone",
        "{fetch['age']…} and {fetch…}",
    ]


def test_sleeps_and_waits_pass_at_once_and_are_drawn() -> None:
    async def workflow(event: Any, step: WorkflowStep) -> None:
        began = trio.current_time()
        result = await fetched(step)()
        await step.sleep("a while", "10 years")
        await step.sleep("a while", result["seconds"])
        await step.sleep_until("morning", trioflow_later(event))
        await step.sleep_until(result["name"], result["moment"])
        fetched(step, "between")
        got = await step.wait_for_event("the boss", "approval", "1 second")
        assert isinstance(got, dict)
        assert got.type == got["type"] == "approval"
        assert got.timestamp >= event.timestamp
        assert are_unknown(got.payload, got.payload["ok"])
        again = await step.wait_for_event("the boss", result["type"], timeout=result["timeout"])
        async with trio.open_nursery() as nursery:
            nursery.start_soon(step.sleep, "beside", 500)
        assert (trio.current_time(), again.type) == (began, "{fetch['type']}")
        step.sleep("forgotten, which is no matter here", 1)

    drawing = sketched(workflow)
    assert drawing.why_not is None
    assert [(node.kind, node.label) for node in drawing.nodes] == [
        ("step", "fetch"),
        ("sleep", "a while"),
        ("sleep", "a while #2"),
        ("sleep", "morning"),
        ("sleep", "{fetch['name']}"),
        ("step", "between"),
        ("wait", "the boss"),
        ("wait", "the boss #2"),
        ("sleep", "beside"),
        ("sleep", "forgotten, which is no matter here"),
    ]


def trioflow_later(event: Any) -> Any:
    return event.timestamp.replace(year=event.timestamp.year + 1, day=1)


@pytest.mark.parametrize("pause", ["sleep", "sleep_until", "wait_for_event"])
def test_pauses_keep_their_manners(pause: str) -> None:
    async def workflow(event: Any, step: WorkflowStep) -> None:
        make = {
            "sleep": lambda: step.sleep("it", 1),
            "sleep_until": lambda: step.sleep_until("it", trioflow_later(event)),
            "wait_for_event": lambda: step.wait_for_event("it", "type"),
        }[pause]
        wait: Any = make()
        with assert_checkpoints():
            await wait
        with pytest.raises(RuntimeError, match="has been awaited before"):
            await wait
        with pytest.raises(ConfigError):
            getattr(step, pause)("it", object())
        with pytest.raises(AttributeError, match="nothing"):
            step.nothing  # type: ignore[attr-defined]  # noqa: B018

    assert sketched(workflow).why_not is None


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_every_example_can_be_drawn(example: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with load_workflow(str(example)) as workflow:
        drawing = sketched(workflow)
    assert drawing.nodes
    assert drawing.why_not is None or " a drawing can't know" in drawing.why_not


def test_the_diamond_is_drawn() -> None:
    with load_workflow(str(EXAMPLES[0].with_name("diamond.py"))) as workflow:
        drawing = sketched(workflow)
    assert edges(drawing) == {
        "split the text": [],
        "read the first half": ["split the text"],
        "read the second half": ["split the text"],
        "add up": ["read the first half", "read the second half"],
    }
    says(drawing, "diamond.py:", "loops over or unpacks what step 'add up' returns")


@given(dags(failures=False, endings=False, aliases=False, inner=True), seeds())
def test_the_sketch_of_a_generated_workflow_has_exactly_its_steps_and_edges_and_no_body_has_run(
    spec: DagSpec, seed: int
) -> None:
    drawings = []

    async def draw(workflow: Workflow, params: object) -> None:
        drawings.append(await sketch(workflow, params))

    trace = run_dag(spec, run_workflow=draw, seed=seed)
    (drawing,) = drawings
    assert drawing.why_not is None
    assert edges(drawing) == {
        f"s{i}": [f"s{d}" for d in dict.fromkeys(spec.dependencies(i))] for i in range(len(spec.nodes))
    }
    assert {event.kind for event in trace.events} <= {"ask", "answer", "closing", "over"}
    for event in trace.events:
        if event.kind == "answer" and event.how == "value":
            assert repr(event.detail[1]) == f"{{s{spec.target(event.who)}}}"
        elif event.kind == "answer":  # too late, or too impatient
            assert spec.is_stranger(event.who) or event.how == "cancelled"


# -------------------------------------------------------------------------------- what would have to know the result

STOPS: dict[str, tuple[Callable[[Any], Any], str]] = {
    "if": (bool, "decides by"),
    "not": (lambda x: not x, "decides by"),
    "or": (lambda x: x["list"] or [], "decides by"),
    "==": (lambda x: x == 3, "compares"),
    "!=": (lambda x: x.a != 3, "compares"),
    "<": (lambda x: x < 3, "compares"),
    ">=": (lambda x: x <= 3, "compares"),
    "in a list": (lambda x: x in [1, 2], "compares"),
    "for": (lambda x: [y for y in x], "loops over or unpacks"),  # noqa: C416
    "unpacking": (lambda x: (lambda a, b: a)(*x), "loops over or unpacks"),
    "keywords": (lambda x: dict(**x), "loops over or unpacks"),
    "enumerate": (lambda x: list(enumerate(x)), "loops over or unpacks"),
    "items": (lambda x: dict(x.items()), "loops over or unpacks"),
    "sorted": (sorted, "loops over or unpacks"),
    "sum": (sum, "loops over or unpacks"),
    "next": (next, "loops over or unpacks"),
    "reversed": (reversed, "loops over or unpacks"),
    "aiter": (aiter, "loops over or unpacks"),
    "len": (len, "counts"),
    "contains": (lambda x: "key" in x, "searches"),
    "int": (int, "makes a number of"),
    "float": (float, "makes a number of"),
    "complex": (complex, "makes a number of"),
    "range": (lambda x: range(x["pages"]), "makes a number of"),
    "index": (lambda x: [1, 2][x], "makes a number of"),
    "math": (math.sqrt, "makes a number of"),
    "%d": (lambda x: "%d" % x, "makes a number of"),  # noqa: UP031
    "bytes": (bytes, "converts"),
    "path": (os.fspath, "converts"),
    "pickle": (pickle.dumps, "converts"),
    "key": (lambda x: {x: 1}, "makes a key of"),
    "set": (lambda x: {x}, "makes a key of"),
    "lookup": (lambda x: {}.get(x["id"]), "makes a key of"),
    "isinstance": (lambda x: isinstance(x, dict), "looks at the type of"),
    "json": (json.dumps, "looks at the type of"),
    "name of a step": (lambda x: None, "looks at the type of"),
}


@pytest.mark.parametrize("ask", STOPS)
def test_the_drawing_stops_where_the_code_wants_to_know_what_a_step_returns(ask: str) -> None:
    question, does = STOPS[ask]

    async def workflow(event: Any, step: WorkflowStep) -> None:
        result = await fetched(step)()
        fetched(step, "before")
        question(result)  # asked here
        step.do(result["name"])
        fetched(step, "after")

    drawing = sketched(workflow)
    assert list(edges(drawing)) == ["fetch", "before"]
    place = line_of("asked here") if ask == "name of a step" else f"{HERE}:"
    says(drawing, HERE, f" {does} what step 'fetch' returns", "`trioflow run FILE --graph out.mmd`")
    assert place in str(drawing.why_not) or ask == "name of a step"


def test_the_place_is_that_of_the_users_code_and_not_of_a_library() -> None:
    async def workflow(event: Any, step: WorkflowStep) -> None:
        json.dumps({"result": await fetched(step)()})  # dumped here

    says(sketched(workflow), f"{line_of('dumped here')} looks at the type of what step 'fetch' returns")


def test_statements_that_have_to_know_stop_the_drawing_too() -> None:
    async def awaits(x: Any) -> None:
        await x

    async def enters(x: Any) -> None:
        with x:
            raise AssertionError

    async def enters_async(x: Any) -> None:
        async with x:
            raise AssertionError

    async def loops_async(x: Any) -> None:
        async for _ in x:
            raise AssertionError

    async def compares(x: Any) -> None:
        match x["status"]:
            case "done":
                raise AssertionError

    for code, does in (
        (awaits, "awaits or enters"),
        (enters, "awaits or enters"),
        (enters_async, "awaits or enters"),
        (loops_async, "loops over or unpacks"),
        (compares, "compares"),
    ):

        async def workflow(event: Any, step: WorkflowStep, code: Any = code) -> None:
            await code(await fetched(step)())

        says(sketched(workflow), f" {does} what step 'fetch' returns")


def test_what_passes_a_result_on_goes_on() -> None:
    async def workflow(event: Any, step: WorkflowStep) -> Any:
        fetch = fetched(step)
        x = await fetch()
        assert are_one(x, await fetch(), copy.copy(x), copy.deepcopy({"x": x})["x"])
        assert are_unknown(x.a, x["a"], x(), x.a["b"]("c", d=1), x - 1, 2 * x, x @ x, -x, ~x, abs(x), x + 1, 1 + x)
        assert are_unknown(divmod(x, 2), round(x, 2), math.floor(x), x**2, x | {})
        x["a"] = x.a = 1
        x += 1
        x.append(2)
        del x["a"], x.a
        assert not hasattr(x, "__name__")
        assert (str(x.a), repr(x[0]), f"{x.b!s}", f"{x.c:>30}") == (
            "{fetch….a}",
            "{fetch…[0]}",
            "{fetch….b}",
            "{fetch….c}",
        )
        long = x
        for _ in range(100):
            long = long.attribute
        assert len(str(long)) == 62
        return {"x": x, "list": [x, x]}

    assert sketched(workflow) == Sketch((Node((("fetch", 1),)),), None)


def test_a_result_can_be_logged_and_printed(
    caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    async def workflow(event: Any, step: WorkflowStep) -> None:
        result = await fetched(step)()
        logging.getLogger("flow").warning("got %s", result)
        logging.getLogger("flow").warning("got %s of %s", result["n"], result)
        print("got", result.name, f"{result!r:>20}")

    assert sketched(workflow).why_not is None
    assert caplog.messages == ["got {fetch}", "got {fetch['n']} of {fetch}"]
    assert capsys.readouterr().out == "got {fetch.name} {fetch}\n".replace(" {fetch}", f" {'{fetch}':>20}")


def test_a_doubt_that_the_code_catches_is_kept_and_the_first_counts() -> None:
    async def workflow(event: Any, step: WorkflowStep) -> None:
        result = await fetched(step)()
        try:
            if result["stock"] > 0:  # first doubt
                raise AssertionError
        except Exception:
            fetched(step, "refund")
        with pytest.raises(Undecided, match="counts what step 'refund' returns"):
            len(await fetched(step, "refund")())
        raise KeyError("later")

    drawing = sketched(workflow)
    says(drawing, f"{line_of('first doubt')} compares what step 'fetch' returns")
    assert list(edges(drawing)) == ["fetch", "refund", "refund #2"]


def test_a_doubt_in_a_task_is_told_plainly() -> None:
    async def workflow(event: Any, step: WorkflowStep) -> None:
        fetch = fetched(step)

        async def task() -> None:
            if await fetch():  # in a task
                raise AssertionError

        async with trio.open_nursery() as nursery:
            nursery.start_soon(task)
            nursery.start_soon(task)

    says(sketched(workflow), f"{line_of('in a task')} decides by what step 'fetch' returns")


async def by_identity(event: Any, step: WorkflowStep) -> None:
    fetch = fetched(step)
    result = await fetch()
    if result is None:  # identity
        raise AssertionError
    fetched(step, "if it is something")


async def by_identity_later(event: Any, step: WorkflowStep) -> None:
    fetch = fetched(step)
    results: dict[str, Any] = {}
    async with trio.open_nursery() as nursery:

        async def task() -> None:
            results["fetch"] = await fetch()

        nursery.start_soon(task)
    first: Any = results["fetch"]
    name = before = None
    for _ in range(2):
        before = name
        name = first["name"]
    assert before is not event  # identity, later


async def by_identity_at_once(event: Any, step: WorkflowStep) -> None:
    wait = step.wait_for_event("the boss", "approval")
    assert (answer := await wait) is not None
    assert (await step.wait_for_event("the boss", "approval")).payload is not None  # identity, at once
    assert answer


async def by_pattern(event: Any, step: WorkflowStep) -> None:
    fetch = fetched(step)
    match (await fetch())["items"]:  # pattern
        case [_, *_]:
            raise AssertionError


async def by_key(event: Any, step: WorkflowStep) -> None:
    fetch = fetched(step)
    match await fetch():  # key
        case {"status": "done"}:
            raise AssertionError
        case _:
            fetched(step, "not done")


@pytest.mark.parametrize(
    ("workflow", "mark"),
    [
        (by_key, "key"),
        (by_identity, "identity"),
        (by_identity_later, "identity, later"),
        (by_identity_at_once, "identity, at once"),
        (by_pattern, "pattern"),
    ],
)
def test_what_python_tells_nobody_is_looked_for_in_the_text(workflow: Workflow, mark: str) -> None:
    says(sketched(workflow), f"{line_of(mark)} may depend on what a step returns", "`is` and `match`")


def test_a_class_and_a_wrapped_function_are_looked_through_as_well() -> None:
    class Flow(WorkflowEntrypoint):
        async def run(self, event: Any, step: WorkflowStep) -> None:
            await by_identity(event, step)
            result = await fetched(step)()
            assert result is not None  # in a method

    @functools.wraps(by_identity)
    async def wrapped(event: Any, step: WorkflowStep) -> None:
        await by_identity(event, step)

    says(sketched(Flow), line_of("in a method"))
    says(sketched(wrapped), line_of("identity"))


def test_what_is_no_result_may_be_compared_by_identity() -> None:
    async def workflow(event: Any, step: WorkflowStep, limit: int | None = None) -> None:
        @step.do()
        async def body() -> Any:
            result = await other()
            return None if result is None else result

        other = fetched(step)
        result = await body()
        count = None
        count = await trio.to_thread.run_sync(int, 3)
        if limit is None and count is not None and body is not other:
            fetched(step, "more")
        event["result"] = result
        match count:
            case 3:
                fetched(step, "three")

    drawing = sketched(workflow)
    assert drawing.why_not is None
    assert list(edges(drawing)) == ["body", "fetch", "more", "three"]


def test_a_workflow_without_a_text_is_drawn_all_the_same() -> None:
    class Callable:
        async def __call__(self, event: Any, step: WorkflowStep) -> None:
            await fetched(step)()

    def from_text(text: str) -> Any:
        namespace: dict[str, Any] = {"fetched": fetched}
        exec("async def workflow(event, step):\n    " + text, namespace)
        return namespace["workflow"]

    for workflow in (Callable(), from_text("await fetched(step)()"), lambda event, step: fetched(step)()):
        assert sketched(workflow) == Sketch((Node((("fetch", 1),)),), None)
    says(sketched(from_text("len(await fetched(step)())")), "<string>:2 counts what step 'fetch' returns")


def test_what_an_event_says_is_not_known() -> None:
    async def workflow(event: Any, step: WorkflowStep) -> None:
        answer = await step.wait_for_event("the boss", "approval")
        fetched(step, "ask")
        if answer.payload["approved"]:
            raise AssertionError
        fetched(step, "do it")

    drawing = sketched(workflow)
    assert list(edges(drawing)) == ["ask"]
    says(drawing, "decides by what wait 'the boss' receives")


def test_code_that_catches_the_errors_of_steps_is_drawn_as_if_none_failed() -> None:
    async def workflow(event: Any, step: WorkflowStep) -> None:
        try:
            await fetched(step, "reserve")()
        except ValueError:
            raise AssertionError from None
        else:
            await fetched(step, "charge")()
        finally:
            await fetched(step, "log")()

    drawing = sketched(workflow)
    assert (list(edges(drawing)), drawing.why_not) == (["reserve", "charge", "log"], None)


# --------------------------------------------------------------------------------------------------- what else may stop


def test_a_cycle_is_drawn_and_reported() -> None:
    async def workflow(event: Any, step: WorkflowStep) -> None:
        @step.do("A")
        async def alpha(omega: Any) -> Any:
            return must_not_run()

        @step.do()
        async def omega(alpha: Any) -> Any:
            return must_not_run()

        with pytest.raises(CycleError):
            await omega()
        await alpha()

    drawing = sketched(workflow)
    assert edges(drawing) == {"A": ["omega"], "omega": ["A"]}
    says(drawing, "steps need each other in a circle: 'A' -> 'omega' -> 'A'", __file__)
    assert str(drawing.why_not).startswith("steps need")
    assert mermaid(drawing.nodes).count("-->") == 2


def test_a_mistake_in_a_declaration_is_reported_in_its_own_words() -> None:
    async def awaited(event: Any, step: WorkflowStep) -> None:
        @step.do()
        async def users() -> Any:
            return must_not_run()

        @step.do()
        async def report(user: Any) -> Any:
            return must_not_run()

        await report()

    async def not_awaited(event: Any, step: WorkflowStep) -> None:
        for _ in range(2):

            @step.do()
            async def broken(nothing: Any) -> Any:
                return must_not_run()

        await fetched(step)()

    def misused(event: Any, step: WorkflowStep) -> None:
        step.do("x", depends=3)  # type: ignore[arg-type]

    class WithoutRun(WorkflowEntrypoint):
        pass

    says(sketched(WithoutRun), "WithoutRun has no run(self, event, step)")
    drawing = sketched(awaited)
    says(drawing, "step 'report'", "'user'", "did you mean 'users'", __file__)
    assert edges(drawing) == {"users": [], "report": []}
    drawing = sketched(not_awaited)
    says(drawing, "step 'broken'", "'nothing'")
    assert edges(drawing) == {"broken": [], "broken #2": [], "fetch": []}
    says(sketched(misused), "depends takes a list of the steps themselves, not 3", __file__)


def test_whatever_else_run_raises_is_told_with_its_place() -> None:
    async def no_param(event: Any, step: WorkflowStep) -> None:
        fetched(step)
        fetched(step, event.payload["day"])  # needs a day

    async def own(event: Any, step: WorkflowStep) -> None:
        raise NonRetryableError("no such customer")  # refuses

    async def in_a_task(event: Any, step: WorkflowStep) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(own, event, step)

    async def in_a_library(event: Any, step: WorkflowStep) -> None:
        json.loads("[")  # loads

    async def leaves(event: Any, step: WorkflowStep) -> None:
        fetched(step)
        sys.exit("no database")

    async def leaves_in_a_task(event: Any, step: WorkflowStep) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(leaves, event, step)

    async def bad_pause(event: Any, step: WorkflowStep) -> None:
        step.sleep("it", "5 min")

    class NeedsEnv(WorkflowEntrypoint):
        async def run(self, event: Any, step: WorkflowStep) -> None:
            self.env.database.open()

    drawing = sketched(no_param)
    assert list(edges(drawing)) == ["fetch"]
    says(drawing, f"run raised KeyError('day') at {line_of('needs a day')} (it was given no params), so that")
    assert "given" not in str(sketched(no_param, {"night": 1}).why_not)
    says(sketched(own), f"run raised NonRetryableError('no such customer') at {line_of('refuses')}, so that")
    says(sketched(in_a_task), f"run raised NonRetryableError('no such customer') at {line_of('refuses')}, so that")
    says(sketched(in_a_library), "run raised JSONDecodeError(", f" at {line_of('loads')}, so that")
    says(sketched(leaves), "run raised SystemExit('no database')")
    says(sketched(leaves_in_a_task), "run raised SystemExit('no database')")
    says(sketched(bad_pause), "run raised ConfigError(", HERE)
    says(sketched(NeedsEnv), "(it was given no params and no env)")
    says(sketched(NeedsEnv, {}, env={}), "run raised AttributeError")


def test_a_class_that_cannot_even_be_made_is_reported() -> None:
    class Flow(WorkflowEntrypoint):
        def __init__(self, ctx: Any, env: Any) -> None:
            self.database = env["database"]  # made here

    drawing = sketched(Flow)
    assert drawing.nodes == ()
    says(drawing, "__init__ raised TypeError", line_of("made here"))
    says(sketched(Flow, env={}), "__init__ raised KeyError('database')")


def test_what_is_no_workflow_is_refused_as_by_a_run() -> None:
    with pytest.raises(DefinitionError, match="is not a workflow"):
        sketched(3)
    with pytest.raises(DefinitionError, match="env is for workflow classes"):
        sketched(must_not_run, env={})
    with pytest.raises(ConfigError, match="instance id"):
        sketched(must_not_run, instance_id="-")


def test_an_unknown_outlives_its_sketch_as_what_it_is() -> None:
    kept = []

    async def workflow(event: Any, step: WorkflowStep) -> None:
        kept.append(await fetched(step)())

    drawing = sketched(workflow)
    with pytest.raises(Undecided):
        bool(kept[0])
    assert drawing.why_not is None


# ----------------------------------------------------------------------------------------------------------- it ends


async def declares(step: WorkflowStep, result: Any) -> None:
    await fetched(step)()


async def sleeps(step: WorkflowStep, result: Any) -> None:
    await step.sleep("again", 1)


async def waits(step: WorkflowStep, result: Any) -> None:
    await step.wait_for_event("again", "type")


async def doubts(step: WorkflowStep, result: Any) -> None:
    assert result["done"]


@pytest.mark.parametrize("loop", [declares, sleeps, waits, doubts])
def test_a_workflow_without_end_is_drawn_up_to_a_limit(loop: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "MOST", 50)

    turns = 0

    async def workflow(event: Any, step: WorkflowStep) -> None:
        nonlocal turns
        result = await fetched(step)()
        while turns < 100:
            turns += 1
            with suppress(Exception):
                await loop(step, result)

    drawing = sketched(workflow)
    assert turns == 50
    assert len(drawing.nodes) == (1 if loop is doubts else 50)
    says(
        drawing,
        "decides by" if loop is doubts else "there were 50 steps, sleeps and waits with no end in sight",
        HERE,
    )


@pytest.mark.slow
def test_a_large_workflow_is_drawn_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "PATIENCE", 600.0)

    async def workflow(event: Any, step: WorkflowStep) -> None:
        previous: list[Step[Any]] = []
        for i in range(room.MOST):
            previous = [step.do(f"s{i}", previous)(must_not_run)]
        await previous[0]()

    drawing = sketched(workflow)
    assert drawing.why_not is None
    assert len(drawing.nodes) == room.MOST
    assert drawing.nodes[-1].depends == (((f"s{room.MOST - 2}", 1),),)


def test_the_sleeps_of_run_itself_take_virtual_time_only() -> None:
    async def workflow(event: Any, step: WorkflowStep) -> None:
        await trio.sleep(86_400 * 365)
        with trio.move_on_after(5) as scope:
            await trio.sleep_forever()
        assert scope.cancelled_caught
        await fetched(step)()

    assert sketched(workflow) == Sketch((Node((("fetch", 1),)),), None)


def test_what_run_waits_for_outside_is_really_waited_for() -> None:
    async def workflow(event: Any, step: WorkflowStep) -> None:
        fetched(step, await trio.to_thread.run_sync(lambda: "from a thread"))

    assert list(edges(sketched(workflow))) == ["from a thread"]


async def blocks_for_ever() -> None:
    await trio.sleep_forever()  # waited here


async def turns_for_ever() -> None:
    while True:
        await trio.lowlevel.checkpoint()


async def blocks_in_a_task() -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.sleep_forever)


@pytest.mark.parametrize("stuck", [blocks_for_ever, turns_for_ever, blocks_in_a_task])
@pytest.mark.parametrize("virtual", [False, True], ids=["real", "virtual"])
def test_a_workflow_that_hangs_is_given_up(stuck: Any, virtual: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "PATIENCE", 0.01)

    async def workflow(event: Any, step: WorkflowStep) -> None:
        fetched(step)
        await stuck()  # the first checkpoint: however slow the machine is, it is given up there

    drawing = trio.run(sketch, workflow, clock=MockClock(autojump_threshold=0) if virtual else None)
    assert list(edges(drawing)) == ["fetch"]
    says(drawing, "run was still at ", f"{HERE}:", "after 0.01 seconds")
    if stuck is blocks_for_ever:
        says(drawing, line_of("waited here"))


def test_patience_ends_with_the_sketch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "PATIENCE", 60.0)

    async def workflow(event: Any, step: WorkflowStep) -> None:
        assert any(isinstance(thread, threading.Timer) for thread in threading.enumerate())

    assert sketched(workflow).why_not is None
    for thread in threading.enumerate():
        if isinstance(thread, threading.Timer):
            thread.join(10)
            assert not thread.is_alive()


async def test_a_sketch_is_a_checkpoint_and_can_be_cancelled(autojump_clock: MockClock) -> None:
    async def forever(event: Any, step: WorkflowStep) -> None:
        await trio.sleep_forever()

    class Broken(WorkflowEntrypoint):
        def __init__(self) -> None:
            raise ValueError

    with assert_checkpoints():
        await sketch(lambda event, step: None)
    with assert_checkpoints():
        await sketch(Broken)
    with trio.move_on_after(1) as scope:
        await sketch(forever)
    assert scope.cancelled_caught
    with trio.CancelScope() as scope:
        scope.cancel()
        await sketch(forever)
    assert scope.cancelled_caught


def test_an_interrupt_is_none_of_the_workflows_doings() -> None:
    async def workflow(event: Any, step: WorkflowStep) -> None:
        raise KeyboardInterrupt

    async def in_a_task(event: Any, step: WorkflowStep) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(workflow, event, step)

    with pytest.raises(KeyboardInterrupt):
        sketched(workflow)
    with pytest.raises(BaseExceptionGroup) as caught:
        sketched(in_a_task)
    assert caught.value.subgroup(KeyboardInterrupt) is not None


def test_a_sketch_leaves_nothing_behind() -> None:
    kept: list[weakref.ref[Any]] = []

    async def workflow(event: Any, step: WorkflowStep) -> None:
        async def body() -> Any:
            return must_not_run()

        result = await step.do()(body)()
        kept.extend(map(weakref.ref, (result, body, trio.lowlevel.current_task())))
        assert result["ok"]

    drawing = sketched(workflow)
    gc.collect()
    assert [ref() for ref in kept] == [None] * 3
    assert len(drawing.nodes) == 1
