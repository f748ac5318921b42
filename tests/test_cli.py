"""`trioflow run` and `trioflow graph`: what a script can rely on."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from command_line import DIAMOND, Done, flow, here, main
from hypothesis import given, settings
from hypothesis import strategies as st

from trioflow import cli

__all__ = ["here"]  # a fixture


def test_the_result_is_json_on_standard_output_and_the_steps_are_told_on_standard_error() -> None:
    done = main("run", flow(DIAMOND))
    assert (done.status, done.out) == (0, "[2, 3]\n")
    assert done.lines[:2] == ["started    top", "done       top"]
    assert sorted(done.lines[2:6]) == ["done       left", "done       right", "started    left", "started    right"]
    assert done.lines[6:] == ["started    bottom", "done       bottom", "4 steps: 4 done"]
    for line in done.err.splitlines()[:-1]:
        assert re.fullmatch(r" *\d+\.\d{3}  (started |done    ) +\w+( {19,}\d+\.\d{3} s)?", line), line


def test_no_result_is_null_and_no_steps_are_no_steps() -> None:
    done = main("run", flow("pass"))
    assert (done.status, done.out, done.err) == (0, "null\n", "0 steps\n")


def test_the_id_and_the_params_reach_the_workflow() -> None:
    done = main("run", flow("return [event.instanceId, event.payload]"), "--id", "mine", "--params", '{"day": "ä"}')
    assert done.out == '["mine", {"day": "ä"}]\n'
    assert main("run", flow("return event.payload")).out == "{}\n"


@settings(deadline=None, max_examples=30)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=8,
    ).filter(lambda value: value is not None)  # null means no params, and then the payload is {}
)
def test_any_json_goes_in_as_params_and_comes_out_as_the_result(value: object) -> None:
    done = main("run", flow("return event.payload"), f"--params={json.dumps(value)}")
    assert done.status == 0
    assert json.loads(done.out) == value


def test_params_may_come_from_a_file() -> None:
    Path("params.json").write_bytes(b'\xef\xbb\xbf{"a": "\xc3\xa4"}')  # with a mark that some editors put in front
    assert json.loads(main("run", flow("return event.payload"), "--params", "@params.json").out) == {"a": "ä"}


def test_steps_of_one_name_are_told_apart_and_long_names_are_cut() -> None:
    done = main(
        "run",
        flow(
            """
for name in ["load", "load", "x" * 100]:
    @step.do(name)
    async def one(): ...
    await one()
"""
        ),
    )
    assert [line for line in done.lines if line.startswith("started")] == [
        "started    load",
        "started    load #2",
        f"started    {'x' * 57}...",
    ]


def test_python_shows_its_own_traceback_too_if_asked() -> None:
    done = main("run", flow("{}['x']"), "--traceback")
    assert done.report[0] == "error: KeyError: 'x'"
    assert "Traceback (most recent call last):" in done.err
    assert done.err.endswith("KeyError: 'x'\n")


def test_usage_errors_end_with_status_2_and_say_what_is_wrong() -> None:
    file = flow("pass")
    assert main("run").status == 2
    assert "FILE[:NAME]" in main("run").err
    for args in (["rum", file], ["run", file, "--parms", "1"], ["run", file, "more"], ["run", file, "--params"]):
        done = main(*args)
        assert (done.status, done.out) == (2, "")
        assert done.err.startswith("trioflow: ")
        assert "Traceback" not in done.err


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ("{day: 1}", "the text is no JSON: Expecting property name enclosed in double quotes at line 1, column 2"),
        ('{"a": 1,\n "b": }', 'at line 2, column 7\n   "b": }\n        ^'),
        pytest.param("[" * 100_000, "the text is no JSON: ", id="too deep"),
        ("NaN", "the text is no JSON: NaN is no number there"),
        ("@gone.json", "gone.json can't be read: No such file or directory"),
        ("@bad.json", "what is in bad.json is no JSON: "),
        ("@latin.json", "what is in latin.json is no JSON: "),
        ("", "the text is no JSON: Expecting value at line 1, column 1"),
    ],
)
def test_params_that_are_no_json_are_refused_with_the_place(params: str, words: str) -> None:
    Path("bad.json").write_text("[1,")
    Path("latin.json").write_bytes(b'"\xe4"')
    done = main("run", flow("pass"), f"--params={params}")
    assert (done.status, done.out) == (2, "")
    assert f"trioflow: --params: {words}" in done.err or words in done.err
    assert len(done.err.splitlines()) <= 3


def test_the_place_in_a_long_line_is_shown_with_what_is_around_it() -> None:
    text = "[" + "1, " * 100 + "x" + ", 1" * 100 + "]"
    line, mark = main("run", flow("pass"), "--params", text).err.splitlines()[1:]
    assert line[mark.index("^")] == "x"
    assert len(line) <= 80


def test_an_id_that_cannot_be_one_is_refused() -> None:
    done = main("run", flow("pass"), "--id", "a b")
    assert (done.status, done.out) == (2, "")
    assert done.err.startswith("trioflow: --id: instance id 'a b' can't be used")


def test_a_file_that_raises_shows_the_users_own_lines_only() -> None:
    Path("flow.py").write_text("import json\n\ndef read():\n    return json.loads('{')\n\nread()\n")
    done = main("run", "flow.py")
    assert (done.status, done.out) == (2, "")
    assert done.err.splitlines() == [
        "trioflow: flow.py can't be loaded: json.decoder.JSONDecodeError: "
        "Expecting property name enclosed in double quotes: line 1 column 2 (char 1)",
        "  flow.py:6 in <module>",
        "      read()",
        "  flow.py:4 in read",
        "      return json.loads('{')",
    ]


def test_a_file_that_is_not_there_or_does_not_parse_is_a_usage_error() -> None:
    assert main("run", "gone.py") == Done(2, "", "trioflow: there is no file 'gone.py'\n")
    Path("flow.py").write_text("def f(:\n")
    assert main("run", "flow.py").err.splitlines()[0] == "trioflow: flow.py:1:7: SyntaxError: invalid syntax"


def test_help_and_version_are_results(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "FILE[:NAME]" in main("run", "--help").out
    assert main("--help").status == 0
    assert main().out == main("--help").out
    monkeypatch.setattr(cli.importlib.metadata, "version", lambda name: f"{name} 1.2")
    assert main("--version").out == "trioflow 1.2\n"


def test_the_version_of_a_source_tree_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    def not_found(name: str) -> str:
        raise cli.importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(cli.importlib.metadata, "version", not_found)
    assert main("--version").out == "unknown, not installed\n"


def test_steps_that_ctrl_c_has_stopped_say_so() -> None:
    body = """
import signal
@step.do()
async def waiting():
    trio.lowlevel.current_trio_token().run_sync_soon(signal.raise_signal, signal.SIGINT)
    await trio.sleep_forever()
await waiting()
"""
    done = main("run", flow(body))
    assert done.status == 130
    assert done.lines == [
        "started    waiting",
        "cancelled  waiting                   the host cancelled the run: Ctrl-C",
        "1 step: 1 cancelled",
        "trioflow: interrupted",
    ]

    done = main(
        "run",
        flow(
            body.replace(
                "await trio.sleep_forever()",
                """
    try: await trio.sleep_forever()
    finally: raise OSError("disk is gone")
""".strip(),
            )
        ),
    )
    assert done.status == 130
    assert done.report[0] == "error: OSError: disk is gone"
    assert done.lines[-1] == "trioflow: interrupted"


def test_an_interrupt_while_the_file_is_loaded_is_no_error_of_the_file() -> None:
    Path("flow.py").write_text("raise KeyboardInterrupt\n")
    assert main("run", "flow.py") == Done(130, "", "trioflow: interrupted\n")


def test_an_interrupt_in_a_group_leaves_the_rest_to_be_told() -> None:
    done = main("run", flow("raise BaseExceptionGroup('both', [KeyboardInterrupt(), ValueError('and this')])"))
    assert done.status == 130
    assert "ValueError: and this" in done.err
    assert done.lines[-1] == "trioflow: interrupted"


def test_notes_on_an_interrupt_are_told() -> None:
    done = main("run", flow("exc = KeyboardInterrupt()\nexc.add_note('half done')\nraise exc"))
    assert (done.status, done.lines) == (130, ["0 steps", "trioflow: interrupted", "  note       half done"])


def test_a_group_without_an_interrupt_is_a_failure() -> None:
    assert main("run", flow("raise BaseExceptionGroup('odd', [GeneratorExit()])")).status == 1


def test_a_workflow_that_exits_chooses_the_status() -> None:
    done = main("run", flow("@step.do()\ndef leave(): raise SystemExit(7)\nawait leave()"))
    assert (done.status, done.out) == (7, "")
    assert done.lines == [
        "started    leave",
        "cancelled  leave                     the run was ended from within it",
        "1 step: 1 cancelled",
    ]


# ------------------------------------------------------------------------------------------------- time and events


def test_virtual_time_takes_none_and_is_said_to_be_virtual() -> None:
    done = main("run", flow("await step.sleep('a year', '1 year')\nreturn 1"), "--virtual-time")
    assert (done.status, done.out) == (0, "1\n")
    assert done.err.splitlines()[0].startswith("trioflow: virtual time: ")


WAITS = """
first = await step.wait_for_event("first", "go", timeout="1 hour")
started = trio.current_time()
second = await step.wait_for_event("second", "go", timeout="1 hour")
return [first.payload, second.payload, trio.current_time() - started]
"""


def test_events_are_sent_when_they_are_due() -> None:
    done = main("run", flow(WAITS), "--virtual-time", "--event", "go=2@30", "--event", 'go="now"')
    assert (done.status, done.out) == (0, '["now", 2, 30.0]\n')
    assert "trioflow: --event" not in done.err


def test_events_that_nobody_got_are_told() -> None:
    args = [word for text in ("go", "go@1", "go@2", "stop", "late@1 day") for word in ("--event", text)]
    done = main("run", flow(WAITS + "\nawait trio.sleep(0)"), "--virtual-time", *args)
    assert done.status == 0
    assert [line for line in done.err.splitlines() if "--event" in line] == [
        "trioflow: --event stop: nobody has taken it",
        "trioflow: --event go: not sent, since the run was over before 2 s",
        "trioflow: --event late: not sent, since the run was over before 1 d",
    ]
    done = main("run", flow("raise ValueError"), "--event", "go")
    assert "trioflow: --event go: nobody has taken it" in done.err.splitlines()
    assert done.status == 1


def test_an_event_for_a_run_that_is_just_over_is_not_sent() -> None:
    body = """
@step.do()
async def slow():
    try: await trio.sleep_forever()
    finally:
        with trio.CancelScope(shield=True): await trio.sleep(10)
async def stranger():
    try: await slow()
    except BaseException: pass
trio.lowlevel.spawn_system_task(stranger)
await trio.sleep(1)
"""
    done = main("run", flow(body), "--virtual-time", "--event", "go@5")
    assert done.status == 0
    assert "trioflow: --event go: not sent, since the run was over before 5 s" in done.err.splitlines()


def test_what_is_no_event_is_a_usage_error() -> None:
    done = main("run", flow("print('begun')"), "--event", "go={")
    assert (done.status, done.out) == (2, "")
    assert done.err.startswith("trioflow: --event go={: what follows the = is no JSON: ")


# ---------------------------------------------------------------------------------------------------------- the graph


def test_the_graph_is_printed_and_no_step_is_run() -> None:
    done = main("graph", flow(DIAMOND.replace("return 1", "print('run')")))
    assert (done.status, done.err) == (0, "")
    assert done.out.startswith("flowchart ")
    assert done.out.endswith("\n")
    assert not done.out.endswith("\n\n")
    assert done.out.count("-->") == 4
    assert "run" not in done.out


def test_what_the_workflow_prints_is_not_in_the_drawing() -> None:
    done = main("graph", flow("print('hello')\n" + DIAMOND))
    assert done.out.startswith("flowchart TD")
    assert done.err == "hello\n"


def test_the_graph_for_graphviz() -> None:
    assert main("graph", flow(DIAMOND), "--dot").out.startswith("digraph")


def test_a_graph_that_depends_on_results_is_drawn_as_far_as_it_is_known() -> None:
    body = """
@step.do()
async def count(): return 3
for i in range(await count()):
    @step.do(f"part {i}")
    async def part(): ...
    await part()
"""
    done = main("graph", flow(body))
    assert done.status == 1
    assert "count" in done.out
    assert done.err.startswith("trioflow: ")
    assert "flow.py:6" in done.err
    assert len(done.err.splitlines()) == 1


def test_the_graph_may_depend_on_the_params() -> None:
    file = flow(
        "for i in range(event.payload['n']):\n    @step.do(f'part {i}')\n    async def part(): ...\n    await part()"
    )
    done = main("graph", file, "--params", '{"n": 3}')
    assert (done.status, done.out.count("part")) == (0, 3)


def test_mistakes_of_a_graph_are_usage_errors_too() -> None:
    assert main("graph", "gone.py") == Done(2, "", "trioflow: there is no file 'gone.py'\n")
    assert main("graph", flow("pass"), "--params", "{").status == 2


def test_a_graph_that_nobody_can_read_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli, "print_text", lambda text: False)
    assert main("graph", flow("pass")).status == 1


# -------------------------------------------------------------------------------------------------------- the bindings

BOUND = """
from workers import WorkflowEntrypoint
class Flow(WorkflowEntrypoint):
    async def run(self, event, step):
        return [self.env.NAME, self.env.SIZES]
"""


def test_bindings_are_found_in_env() -> None:
    Path("bound.py").write_text(BOUND)
    Path("stand_ins.py").write_text("env = {'NAME': 'of the file', 'SIZES': 3}\n")
    assert main("run", "bound.py", "--env", "NAME=n", "--env", "SIZES:=[1, 2]").out == '["n", [1, 2]]\n'
    assert main("run", "bound.py", "--env", "stand_ins.py", "--env", "NAME=n").out == '["n", 3]\n'


def test_a_binding_that_nobody_gave_is_named_with_how_to_give_it() -> None:
    Path("bound.py").write_text(BOUND)
    done = main("run", "bound.py", "--env", "NAME=n")
    assert done.status == 1
    assert "SIZES" in done.err
    assert "--env SIZES=" in done.err


def test_what_cannot_be_bound_is_a_wrong_command() -> None:
    done = main("run", flow("pass"), "--env", "nowhere.py")
    assert (done.status, done.out) == (2, "")
    assert "--env nowhere.py: there is no file" in done.err
    done = main("run", flow("pass"), "--env", "A=1")
    assert (done.status, done.out) == (2, "")
    assert "env is for workflow classes" in done.err
