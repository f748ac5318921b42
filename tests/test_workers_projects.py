"""What people write for Cloudflare runs unmodified: their constructs, each in a file as they write it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from datetime import datetime
from functools import partial
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from trioflow import AsyncioError, NonRetryableError, open_run, run_workflow, workers
from trioflow._bindings import bindings
from trioflow._loading import load_workflow


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty project, whose modules are forgotten afterwards."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "src").mkdir()
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        if str(tmp_path) in str(getattr(sys.modules[name], "__file__", None)):
            del sys.modules[name]


def result(
    text: str, params: object = None, *, name: str = "", env: object = None, events: tuple[tuple[str, Any], ...] = ()
) -> Any:
    """What the workflow in `src/entry.py` returns, in virtual time."""
    Path("src/entry.py").write_text(dedent(text))

    async def main(workflow: Any) -> Any:
        async with open_run(workflow, params, instance_id="i-1", env=env) as run:
            for kind, payload in events:
                run.send_event(kind, payload)
            return await run.result()

    with workers.install(), load_workflow(f"src/entry.py{name and ':'}{name}") as workflow:
        return trio.run(partial(main, workflow), clock=MockClock(autojump_threshold=0))


def steps(body: str, params: object = None, **options: Any) -> Any:
    """What this `run` returns."""
    run = "".join(f"        {line}\n" for line in dedent(body).strip("\n").splitlines())
    head = "from workers import WorkflowEntrypoint\nfrom workers.workflows import NonRetryableError\n"
    return result(
        f"{head}\nclass Flow(WorkflowEntrypoint):\n    async def run(self, event, step):\n{run}", params, **options
    )


# ------------------------------------------------------------------------------------------- as the documentation does


def test_a_starter_with_its_worker_beside_it_runs(capsys: pytest.CaptureFixture[str]) -> None:
    text = """
        from workers import Response, WorkerEntrypoint, WorkflowEntrypoint

        class Starter(WorkflowEntrypoint):
            async def run(self, event, step):
                @step.do('step1')
                async def step_1():
                    print('executing step1')

                @step.do('step2')
                async def step_2():
                    print('executing step2')

                await step_1()
                await step_2()

        class Default(WorkerEntrypoint):
            async def fetch(self, request):
                await self.env.MY_WORKFLOW.create()
                return Response("Hello world!")
        """
    assert result(text) is None
    assert capsys.readouterr().out == "executing step1\nexecuting step2\n"


def test_dependencies_by_name_run_concurrently_where_they_may() -> None:
    text = """
        import trio
        from workers import WorkflowEntrypoint

        class Dag(WorkflowEntrypoint):
            async def run(self, event, step):
                @step.do()
                async def load_users():
                    await trio.sleep(3)
                    return ["ann"]

                @step.do()
                async def load_orders(ctx):
                    await trio.sleep(3)
                    return [ctx["step"]["name"]]

                @step.do(concurrent=True)
                async def join(load_users, load_orders):
                    return load_users + load_orders + [trio.current_time()]

                begun = trio.current_time()
                *rest, ended = await join()
                return rest, ended - begun
        """
    assert result(text) == (["ann", "load_orders"], pytest.approx(3))


def test_dependencies_in_a_list_are_handed_over_by_position() -> None:
    text = """
        from workers import WorkflowEntrypoint

        class Dag(WorkflowEntrypoint):
            async def run(self, event, step):
                @step.do("dependency a")
                async def step_a():
                    return {"a": 1}

                @step.do("dependency b")
                async def step_b():
                    return {"b": 2}

                @step.do("final", depends=[step_a, step_b], concurrent=True)
                async def step_c(first=None, second=None):
                    return {**first, **second}

                return await step_c()
        """
    assert result(text) == {"a": 1, "b": 2}


def test_an_error_is_caught_around_a_step_and_the_workflow_goes_on() -> None:
    body = """
        config = {"retries": {"limit": 2, "delay": "10 seconds", "backoff": "linear"}, "timeout": "5 minutes"}

        @step.do("might fail", config=config)
        async def might_fail(ctx):
            raise ValueError(f"attempt {ctx['attempt']}")

        @step.do("clean up")
        async def clean_up():
            return "cleaned"

        try:
            await might_fail()
        except Exception as exc:
            return [type(exc).__name__, str(exc), await clean_up()]
        """
    assert steps(body) == ["ValueError", "attempt 3", "cleaned"]


# --------------------------------------------------------------------------------------------------- steps as written


def test_steps_named_with_spaces_are_meant_by_their_functions_names() -> None:
    body = """
        @step.do("fetch the page")
        async def fetch_page(): return "page"

        @step.do("count its words")
        async def count(fetch_page): return len(fetch_page)

        return await count()
        """
    assert steps(body) == 4


def test_a_parameter_with_a_default_is_a_dependency_all_the_same() -> None:
    body = """
        @step.do("load")
        async def load(): return [1, 2]

        @step.do("total")
        async def total(load=None, limit=10): return sum(load), limit

        return await total()
        """
    assert steps(body) == (3, 10)


def test_a_step_per_node_may_capture_the_node_in_a_default() -> None:
    body = """
        made = {}
        for node in ["a", "b", "c"]:
            @step.do(f"visit_{node}")
            async def visit(node=node):
                return node.upper()
            made[node] = visit
        return [await visit() for visit in made.values()]
        """
    assert steps(body) == ["A", "B", "C"]


def test_steps_declared_in_a_loop_each_mean_their_own() -> None:
    body = """
        results = []
        for i in range(3):
            @step.do(f"load batch {i}")
            async def load(): return i

            @step.do(f"store batch {i}")
            async def store(load): return load * 10

            results.append(await store())
        return results
        """
    assert steps(body) == [0, 10, 20]


def test_bodies_close_over_what_is_assigned_after_they_are_declared() -> None:
    body = """
        @step.do("use")
        async def use(): return later + helper()

        later = 1
        def helper(): return 2
        return await use()
        """
    assert steps(body) == 3


def test_every_dependency_may_be_awaited_by_hand_and_the_last_step_too() -> None:
    body = """
        runs = []

        @step.do()
        async def a(): runs.append("a")

        @step.do()
        async def b(a): runs.append("b")

        await a()
        await b()
        await b()
        return runs
        """
    assert steps(body) == ["a", "b"]


def test_the_context_may_stand_anywhere() -> None:
    body = """
        @step.do("load")
        async def load(): return 1

        @step.do("first")
        async def first(ctx, load): return ctx["attempt"] + load

        @step.do("last")
        async def last(load, first, ctx=None): return ctx.attempt + first

        @step.do("middle")
        def middle(load, ctx, last): return ctx["step"].name, ctx.step.count, last

        return await middle()
        """
    assert steps(body) == ("middle", 1, 3)


def test_results_are_handed_over_as_they_are() -> None:
    body = """
        from dataclasses import asdict, dataclass
        from datetime import datetime

        @dataclass
        class User:
            name: str

        @step.do()
        async def values():
            return [None, b"bytes", datetime(2026, 1, 1), asdict(User("ann")), {"nested": [1.5]}]

        return await values()
        """
    assert steps(body) == [None, b"bytes", datetime(2026, 1, 1), {"name": "ann"}, {"nested": [1.5]}]


def test_run_may_be_a_plain_function_and_classes_may_make_themselves() -> None:
    text = """
        from workers import WorkflowEntrypoint

        class Flow(WorkflowEntrypoint):
            def __init__(self, ctx, env):
                self.env = env
                self.limit = int(env.LIMIT)

            def run(self, event, step):
                return self.limit, event["payload"].get("day")
        """
    assert result(text, {"day": 2}, env=bindings(["LIMIT=20"])) == (20, 2)


def test_one_constant_configures_many_steps() -> None:
    text = """
        from workers import WorkflowEntrypoint

        RETRY = {"retries": {"limit": 1, "delay": 1000}}

        class Flow(WorkflowEntrypoint):
            async def run(self, event, step):
                attempts = []

                @step.do("one", config=RETRY)
                async def one(ctx):
                    attempts.append(ctx["attempt"])
                    if ctx["attempt"] == 1:
                        raise RuntimeError("once")
                    return ctx["config"]["timeout"]

                @step.do("two", config=RETRY)
                async def two(one): return one, attempts

                return await two(), RETRY
        """
    assert result(text) == ((600_000, [1, 2]), {"retries": {"limit": 1, "delay": 1000}})


@pytest.mark.parametrize(
    ("duration", "seconds"),
    [
        *(("5 seconds", 5), ("30 minutes", 1_800), ("1 hour", 3_600), ("24 hours", 86_400), ("7 days", 604_800)),
        *((0, 0), (1000, 1)),
    ],
)
def test_durations_as_people_write_them(duration: object, seconds: float) -> None:
    body = f"""
        import trio
        start = trio.current_time()
        await step.sleep("a while", {duration!r})
        return trio.current_time() - start
        """
    assert steps(body) == pytest.approx(seconds)


@pytest.mark.parametrize("now", ["datetime.now()", "datetime.now(timezone.utc)", 'event["timestamp"]'])
def test_people_sleep_until_a_moment_from_now(now: str) -> None:
    body = f"""
        from datetime import datetime, timedelta, timezone
        import trio
        start = trio.current_time()
        await step.sleep_until("tomorrow", {now} + timedelta(days=1))
        return trio.current_time() - start
        """
    assert steps(body) == pytest.approx(86_400, abs=10)


def test_an_error_that_is_not_to_be_retried_may_say_nothing_and_come_from_run() -> None:
    body = """
        import trio

        @step.do("validate")
        async def validate(): raise NonRetryableError()

        try:
            await validate()
        except NonRetryableError as exc:
            raise NonRetryableError(f"invalid: {exc!s}|") from exc
        """
    with pytest.raises(NonRetryableError, match=r"^invalid: \|$"):
        steps(body)


# ------------------------------------------------------------------------------------------------ events and bindings


def test_the_event_is_asked_as_people_ask_it() -> None:
    body = """
        assert isinstance(event, dict)
        try:
            event["schedule"]
        except KeyError:
            pass
        payload = event.get("payload", {})
        return ["payload" in event, payload.get("name", "nobody"), event.instanceId, event["workflowName"]]
        """
    assert steps(body) == [True, "nobody", "i-1", "Flow"]
    assert steps(body, {"name": "ann"}) == [True, "ann", "i-1", "Flow"]


def test_a_wait_gives_a_dictionary() -> None:
    body = """
        approval = await step.wait_for_event("wait for approval", "approval", timeout="24 hours")
        assert isinstance(approval, dict)
        return approval["payload"]["approved"], approval.payload.get("by"), approval["type"]
        """
    assert steps(body, events=(("approval", {"approved": True}),)) == (True, None, "approval")


def test_an_event_type_that_production_refuses_is_warned_of() -> None:
    body = """
        return (await step.wait_for_event("wait", "workflow.approval"))["payload"]
        """
    with pytest.warns(UserWarning, match=r"Cloudflare refuses event type 'workflow\.approval' in production") as warned:
        assert steps(body, events=(("workflow.approval", 1),)) == 1
    assert [Path(w.filename).name for w in warned] == ["entry.py"]


def test_a_store_of_ones_own_stands_in_for_theirs() -> None:
    Path("stand_ins.py").write_text(
        dedent("""
        class Bucket:
            def __init__(self): self.objects = {}
            async def get(self, key): return self.objects.get(key)
            async def put(self, key, value, **options): self.objects[key] = value

        class env:
            MY_BUCKET = Bucket()
        """)
    )
    body = """
        @step.do("store")
        async def store():
            await self.env.MY_BUCKET.put("a", b"x", httpMetadata={"contentType": "text/plain"})

        @step.do("load")
        async def load(store): return await self.env.MY_BUCKET.get("a"), self.env.REGION

        return await load()
        """
    assert steps(body, env=bindings(["stand_ins.py", "REGION=eu"])) == (b"x", "eu")


def test_a_binding_that_nobody_gave_ends_the_step_at_once() -> None:
    body = """
        import trio
        start = trio.current_time()

        @step.do("start another")
        async def start_another():
            await self.env.OTHER_WORKFLOW.create(params={"a": 1})

        try:
            await start_another()
        except AttributeError as exc:
            return trio.current_time() - start, str(exc)
        """
    seconds, text = steps(body)
    assert seconds == 0
    assert text.startswith(
        "env has no 'OTHER_WORKFLOW': nothing was given. Its create() would start another workflow, "
    )


# -------------------------------------------------------------------------------------------------- js and pyodide.ffi


def test_what_is_converted_for_javascript_comes_out_as_it_went_in() -> None:
    text = """
        import js
        from js import JSON, Object, Uint8Array, console
        from pyodide.ffi import JsProxy, create_proxy, to_js as _to_js
        from workers import WorkflowEntrypoint

        def to_js(value):
            return _to_js(value, dict_converter=Object.fromEntries)

        def to_py(value):
            return value.to_py() if isinstance(value, JsProxy) else value

        class Flow(WorkflowEntrypoint):
            async def run(self, event, step):
                @step.do("convert")
                async def convert():
                    options = to_js({"id": "a", "params": {"n": [1]}})
                    console.log(options.id, options.params.n)
                    return {
                        "options": to_py(options),
                        "payload": to_py(event["payload"]),
                        "text": JSON.stringify(options),
                        "bytes": bytes(Uint8Array.new(to_js(b"xy"))),
                        "buffer": js.Uint8Array.new([1, 2]).to_py().tobytes(),
                        "proxy": create_proxy(len)("abc"),
                    }

                return await convert()
        """
    assert result(text, {"day": 1}) == {
        "options": {"id": "a", "params": {"n": [1]}},
        "payload": {"day": 1},
        "text": '{"id":"a","params":{"n":[1]}}',
        "bytes": b"xy",
        "buffer": b"\1\2",
        "proxy": 3,
    }


def test_files_that_ask_whether_they_are_at_cloudflare_think_so() -> None:
    text = """
        try:
            import js
            from pyodide.ffi import JsException, to_js
            HERE = True
        except ImportError:
            HERE = False
        from workers import WorkflowEntrypoint

        class Flow(WorkflowEntrypoint):
            async def run(self, event, step):
                try:
                    raise JsException("no", "TypeError")
                except JsException as exc:
                    return HERE, str(exc), hasattr(js, "document")
        """
    assert result(text) == (True, "TypeError: no", False)


def test_responses_are_made_as_handlers_make_them() -> None:
    text = """
        from workers import FormData, Response, WorkerEntrypoint, WorkflowEntrypoint, handler

        class Default(WorkerEntrypoint):
            async def fetch(self, request):
                return Response("ok", headers={"X-A": "1"})

            async def scheduled(self, controller, env, ctx): ...

        @handler
        async def on_fetch(request, env, ctx):
            return Response.json({"url": request.url}, status=202)

        class Flow(WorkflowEntrypoint):
            async def run(self, event, step):
                form = FormData({"file": "x"})
                body = await Response(form).bytes()
                answer = await Default(None, self.env).fetch(None)
                return answer.headers["x-a"], Response.from_json([1], status=201).status, b'name="file"' in body
        """
    assert result(text) == ("1", 201, True)


# ------------------------------------------------------------------------------------------------------------ asyncio


def test_bodies_and_run_may_use_asyncio() -> None:
    text = """
        import asyncio
        from workers import WorkflowEntrypoint

        class Flow(WorkflowEntrypoint):
            async def run(self, event, step):
                loop = asyncio.get_running_loop()
                begun = loop.time()

                async def slowly(value):
                    await asyncio.sleep(2)
                    return value

                @step.do("gather")
                async def gather(ctx):
                    if ctx["attempt"] == 1:
                        await asyncio.sleep(0)
                        raise RuntimeError("once")
                    return await asyncio.gather(slowly(1), slowly(2))

                @step.do("beside it")
                async def beside():
                    await asyncio.sleep(3)
                    return 3

                @step.do("plain", concurrent=True)
                def plain(gather, beside): return [*gather, beside]

                first = await asyncio.gather(gather(), beside())
                await asyncio.gather(step.sleep("a while", "5 seconds"), asyncio.sleep(1))
                return first, await plain(), loop.time() - begun
        """
    assert result(text) == ([[1, 2], 3], [1, 2, 3], pytest.approx(10 + 2 + 5))


def test_asyncio_may_be_imported_in_a_body_or_by_a_sibling() -> None:
    body = """
        @step.do("wait")
        async def wait():
            import asyncio
            await asyncio.sleep(1)
            return "waited"

        return await wait()
        """
    assert steps(body) == "waited"
    Path("src/polling.py").write_text(
        "import asyncio\nasync def poll():\n    await asyncio.sleep(1)\n    return 'polled'\n"
    )
    text = """
        from polling import poll
        from workers import WorkflowEntrypoint

        class Flow(WorkflowEntrypoint):
            async def run(self, event, step):
                return await step.do("poll")(poll)()
        """
    assert result(text) == "polled"


def test_places_and_names_stay_where_bodies_use_asyncio() -> None:
    body = """
        import asyncio
        places = []
        for i in range(2):
            @step.do(f"load {i}", config={"timeout": "5 seconds", "retries": {"limit": 0, "delay": 0}})
            async def load(i=i): await asyncio.sleep(0); return i

            @step.do(f"join {i}")
            async def join(load, ctx): return load, ctx.step.name

            places.append((join.place.rpartition("/")[2], await join()))

        @step.do("late", config={"timeout": "5 seconds", "retries": {"limit": 0, "delay": 0}})
        async def late(): await asyncio.sleep(10)

        try:
            await late()
        except TimeoutError as exc:
            return places, type(exc).__name__
        """
    assert steps(body) == (
        [("entry.py:12", (0, "join 0")), ("entry.py:12", (1, "join 1"))],
        "WorkflowTimeoutError",
    )


def test_who_does_not_use_asyncio_pays_nothing_for_it() -> None:
    body = """
        import importlib
        importlib.import_module("async" + "io").get_running_loop()
        """
    with pytest.raises(AsyncioError, match="a call of asyncio in the workflow's run"):
        steps(body)


# -------------------------------------------------------------------------------------------------------- the project


def test_several_workflows_may_be_in_one_file_with_siblings_of_any_name() -> None:
    for name in ("filter", "models", "app", "utils"):
        Path("src", f"{name}.py").write_text(f"NAME = {name!r}\n")
    text = """
        import app, filter, models
        from src.utils import NAME
        from workers import WorkflowEntrypoint

        class One(WorkflowEntrypoint):
            async def run(self, event, step): return [m.NAME for m in (app, filter, models)]

        class Two(WorkflowEntrypoint):
            async def run(self, event, step): return NAME
        """
    assert result(text, name="One") == ["app", "filter", "models"]
    assert result(text, name="Two") == "utils"


async def test_a_class_keeps_its_profile_when_the_modules_are_out_again() -> None:
    with workers.install():
        namespace: dict[str, Any] = {}
        exec(
            "from workers import WorkflowEntrypoint\n"
            "class Flow(WorkflowEntrypoint):\n"
            "    async def run(self, event, step): return event.timestamp.tzinfo\n",
            namespace,
        )
    assert await run_workflow(namespace["Flow"]) is None
