"""The command in a process of its own: pipes, signals, devices."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from command_line import (
    COMMAND,
    DIAMOND,
    ENVIRONMENT,
    ORDER,
    ROOT,
    WAITING,
    Done,
    command,
    flow,
    here,
    interrupted,
    started,
)

__all__ = ["here"]  # a fixture

slow = pytest.mark.slow  # starts an interpreter


@slow
def test_the_command_does_the_same_in_a_process_of_its_own() -> None:
    done = command("run", flow("print('hello', event.payload)\n" + DIAMOND), "--params", '{"a": 1}')
    assert (done.status, done.out) == (0, "hello {'a': 1}\n[2, 3]\n")
    assert done.lines[-1] == "4 steps: 4 done"


@slow
def test_the_example_runs_its_readers_at_the_same_time() -> None:
    done = command("run", str(ROOT / "examples" / "diamond.py"), "--params", '{"top": 2}')
    assert done.status == 0
    assert json.loads(done.out.splitlines()[-1]) == {"the": 13, "and": 7}
    assert {"started    read the first half", "started    read the second half"} == set(done.lines[2:4])
    assert {"done       read the first half", "done       read the second half"} == set(done.lines[4:6])
    assert done.lines[-1] == "4 steps: 4 done"


@slow
def test_a_result_that_standard_output_cannot_spell_is_escaped() -> None:
    file = flow("return event.payload")
    assert command("run", file, "--params", '"\\u00e4"', PYTHONIOENCODING="ascii").out == '"\\u00e4"\n'
    assert command("run", flow("return {'ä'}"), PYTHONIOENCODING="ascii").out == "{'\\xe4'}\n"


@slow
def test_a_file_written_for_cloudflare_runs_as_it_is() -> None:
    Path("bakery.py").write_text(
        """\
from workers import Response, WorkflowEntrypoint


class BakeryWorkflow(WorkflowEntrypoint):
    async def run(self, event, step):
        async def await_step(fn):
            try:
                return await fn()
            except TypeError as error:
                print(f"not today: {error}")

        step.sleep("let it rise", "10 seconds")

        @step.do("weigh flour")
        async def flour():
            print("flour weighed")
            return 2

        @step.do("pour water")
        async def water():
            print("water poured")
            return 3

        @step.do("bake", depends=[flour, water], concurrent=True)
        async def bake(flour=None, water=None):
            print(f"bread of {flour + water} parts")

        await await_step(bake)


async def on_fetch(request, env):
    await env.BAKERY.create()
    return Response("baking", status=202)
"""
    )
    done = command("run", "bakery.py")
    assert done.status == 0
    *printed, result = done.out.splitlines()
    assert sorted(printed[:2]) == ["flour weighed", "water poured"]
    assert (printed[2:], result) == (["bread of 5 parts"], "null")
    assert re.search(r"bakery\.py:12: RuntimeWarning: .*'let it rise'.* was never awaited", done.err)
    assert done.lines[-1] == "3 steps: 3 done"


@slow
def test_the_command_says_the_same_in_a_process_of_its_own() -> None:
    done = command("run", flow(ORDER))
    assert (done.status, done.out) == (1, "")
    assert done.report[:3] == [
        "error: LookupError: no lamp left",
        "  step       reserve stock (flow.py:8)",
        "  needed by  receipt -> mail",
    ]
    assert "Traceback" not in done.err


@slow
def test_usage_errors_are_told_by_the_command_too() -> None:
    Path("flow.py").write_text("raise ValueError('at once')\n")
    for args in (["run"], ["run", "gone.py"], ["run", "flow.py"], ["run", "flow.py", "--parms=1"]):
        done = command(*args)
        assert (done.status, done.out) == (2, "")
        assert done.err.startswith("trioflow: ")
        assert "Traceback" not in done.err


@slow
def test_without_its_extra_the_command_says_how_to_get_it() -> None:
    program = "import runpy, sys; sys.modules['cyclopts'] = None; runpy.run_module('trioflow', run_name='__main__')"
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert re.fullmatch(r'trioflow: .*pip install "trioflow\[cli\]"\n', done.stderr)


@slow
def test_ctrl_c_stops_the_steps_tidily_and_ends_with_130() -> None:
    done = interrupted(flow(WAITING), begun=2)
    assert (done.status, done.out) == (130, "working\ntidied up\n")
    # Why is left open: Trio raises it in a body, if it is just in one.
    assert sorted(line.split()[1] for line in done.lines if line.startswith("cancelled ")) == ["other", "polite"]
    assert done.lines[-2:] == ["3 steps: 2 cancelled, 1 not started", "trioflow: interrupted"]
    assert "Traceback" not in done.err


@slow
def test_ctrl_c_gets_a_sync_body_out_of_its_loop() -> None:
    body = """
import sys
@step.do()
def spin():
    print("spinning", file=sys.stderr, flush=True)
    while True: pass
await spin()
"""
    done = interrupted(flow(body), begun=2)
    assert (done.status, done.out) == (130, "")
    assert done.lines[1:] == [
        "spinning",
        "cancelled  spin                      the run was ended from within it",
        "1 step: 1 cancelled",
        "trioflow: interrupted",
    ]


@slow
def test_an_error_of_a_clean_up_after_ctrl_c_is_told_and_the_status_is_130() -> None:
    body = WAITING.replace('print("tidied up")', 'raise OSError("disk is gone")')
    done = interrupted(flow(body), begun=2)
    assert done.status == 130
    assert "OSError: disk is gone" in done.err
    assert "trioflow: interrupted" in done.lines


@slow
def test_ctrl_c_while_the_file_is_loaded_ends_with_130() -> None:
    Path("flow.py").write_text("import sys\nprint('loading', file=sys.stderr, flush=True)\nwhile True: pass\n")
    assert interrupted("flow.py", begun=1) == Done(130, "", "loading\ntrioflow: interrupted\n")


@slow
@pytest.mark.parametrize("body", ["return 'x' * 100_000", "print('x')\nreturn 1", "print('x')\nraise ValueError"])
def test_a_reader_that_has_gone_causes_no_traceback(body: str) -> None:
    with started("run", flow(body)) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        err = process.stderr.read()
    assert process.returncode == (1 if "raise" in body else 0)
    assert "Traceback" not in err
    assert "BrokenPipe" not in err


@slow
def test_nobody_reading_standard_error_does_not_stop_the_workflow() -> None:
    with started("run", flow(DIAMOND)) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stderr.close()
        out = process.stdout.read()
    assert (process.returncode, out) == (0, "[2, 3]\n")


@slow
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_result_that_cannot_be_written_is_a_failure() -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [*COMMAND, "run", flow("return 1")],
            env=ENVIRONMENT,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == "trioflow: the output can't be written: [Errno 28] No space left on device"
