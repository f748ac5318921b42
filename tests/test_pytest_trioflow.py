"""The pytest plugin, in pytests of its own."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import entry_points
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
pytestmark = pytest.mark.slow
pytest_plugins = "pytester"

#: Installed it is found by its entry point, and must not be named another time.
INSTALLED = any(point.value == "pytest_trioflow" for point in entry_points(group="pytest11"))
NAMED = () if INSTALLED else ("-p", "pytest_trioflow")

#: Runs a test module that begins with `FLOW`, and returns what pytest has printed.
Run = Callable[..., str]

FLOW = """
import pytest, trio
from trioflow import run_workflow

async def flow(event, step):
    @step.do("load", config={"retries": {"limit": 1, "delay": "10 seconds"}})
    async def load():
        await step.sleep("nap", "1 hour")
        return event.payload

    @step.do("use")
    async def use(load):
        return load + 1

    return await use()
"""


@pytest.fixture
def run(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))

    def run(test: str, *options: str, **outcomes: int) -> str:
        pytester.makepyfile(FLOW + test)
        result = pytester.runpytest_subprocess(*NAMED, "-p", "no:cacheprovider", "-W", "error", *options)
        if outcomes:
            result.assert_outcomes(**outcomes)
        return result.stdout.str()

    return run


WITHOUT_TRIO = ("-p", "no:trio")


@pytest.mark.parametrize("options", [(), WITHOUT_TRIO])
def test_a_workflow_runs_in_virtual_time_and_is_modified_and_recorded(run: Run, options: tuple[str, ...]) -> None:
    run(
        """
def test_it(trioflow_run, trioflow_modifiers, trioflow_recorder):
    trioflow_modifiers.fail("load", OSError)
    assert trioflow_run(flow, 1) == 2
    assert dict(trioflow_recorder.critical_path())["load"] == 3610
    assert trioflow_run(flow, 5, instance_id="again") == 6

def test_each_test_has_its_own(trioflow_run, trioflow_modifiers, trioflow_recorder):
    assert trioflow_recorder.events == ()
    assert trioflow_run(flow, 1) == 2
    assert dict(trioflow_recorder.critical_path())["load"] == 3600
""",
        *options,
        passed=2,
    )


def test_an_async_test_uses_the_parts(run: Run) -> None:
    run(
        """
@pytest.mark.trio
async def test_it(autojump_clock, trioflow_modifiers, trioflow_recorder):
    trioflow_modifiers.mock_step_result("load", 7)
    assert await run_workflow(trioflow_modifiers.apply(flow), instruments=[trioflow_recorder]) == 8
    assert trioflow_recorder.nodes()

@pytest.mark.trio
async def test_the_whole_says_so(trioflow_run):
    with pytest.raises(ValueError, match="you are in Trio here"):
        trioflow_run(flow)
""",
        passed=2,
    )


@pytest.mark.parametrize("options", [(), WITHOUT_TRIO])
def test_a_failing_test_shows_how_the_run_went(run: Run, options: tuple[str, ...]) -> None:
    text = run(
        """
def test_wrong(trioflow_run):
    assert trioflow_run(flow, 1, instance_id="i7") == 3

def test_fails_in_a_step(trioflow_run, trioflow_modifiers):
    trioflow_modifiers.mock_step_error("load", OSError("down"))
    trioflow_modifiers.disable_retry_delays()
    trioflow_run(flow, 1)

def test_without_a_run(trioflow_recorder):
    assert False

def test_of_something_else():
    assert False
""",
        *options,
        failed=4,
    )
    assert text.count("- trioflow -") == 2
    assert "run 'i7' of flow: complete after 3600.000 s" in text
    assert re.search(r"^  succeeded  load +3600\.000 s$", text, re.MULTILINE)
    assert re.search(r"^  succeeded    nap \(sleep\) +3600\.000 s$", text, re.MULTILINE)
    assert "  critical path: load 3600.000 s, use 0.000 s\n" in text
    assert re.search(r"^  failed     load +0\.000 s  OSError\('down'\)$", text, re.MULTILINE)


def test_what_was_asked_for_and_never_came_is_an_error_unless_the_test_has_failed_already(run: Run) -> None:
    text = run(
        """
def test_never_ran(trioflow_modifiers):
    trioflow_modifiers.mock_step_result("load", 1)

def test_caught(trioflow_run, trioflow_modifiers):
    trioflow_modifiers.mock_step_error("load", OSError)
    trioflow_modifiers.disable_retry_delays()
    trioflow_modifiers.disable_sleeps("nip")
    with pytest.raises(OSError):
        trioflow_run(flow, 1)

def test_failed(trioflow_modifiers):
    trioflow_modifiers.mock_step_result("load", 1)
    assert False
""",
        passed=2,
        errors=2,
        failed=1,
    )
    assert "ConfigError: the run went without what was asked for: mock_step_result('load')" in text
    assert "disable_sleeps('nip'): no sleep is called 'nip'" in text


def test_a_test_is_run_in_other_orders_too_and_the_name_says_which(run: Run) -> None:
    """Of twenty orders some have the one first, and some the other."""
    text = run(
        """
class Race:
    env = None

    async def run(self, event, step):
        names = []

        @step.do()
        async def ann():
            names.append("ann")

        @step.do()
        async def bob():
            names.append("bob")

        @step.do(concurrent=True)
        async def both(ann, bob):
            return names, self.env, event.instanceId

        return await both()

def test_race(trioflow_run, trioflow_modifiers):
    trioflow_modifiers.delay("both", "1 second")
    assert trioflow_run(Race, env=3, instance_id="i") == (["ann", "bob"], 3, "i")

def test_no_race(trioflow_run, trioflow_seed):
    names, env, _ = trioflow_run(Race)
    assert (sorted(names), env) == (["ann", "bob"], None)

def test_of_something_else():
    pass
""",
        "--trioflow-schedules=20",
        *WITHOUT_TRIO,
    )
    failed = re.findall(r"^FAILED .*::(\S+)", text, re.MULTILINE)
    assert all(re.fullmatch(r"test_race\[schedule\d+\]", name) for name in failed)
    assert 0 < len(failed) < 20
    assert f"{len(failed)} failed, {21 + 21 + 1 - len(failed)} passed" in text


def test_the_readmes_test_with_fixtures_passes(run: Run) -> None:
    chapter = (ROOT / "README.md").read_text().split("## Test your workflow in five minutes")[1].split("\n## ")[0]
    workflow, *_, test = re.findall(r"^```python\n(.*?)^```$", chapter, re.MULTILINE | re.DOTALL)
    assert "trioflow_run" in test
    run(workflow + "\n\n" + test, passed=1)


PROPERTY = """
from hypothesis import given, settings, strategies as st

def test_the_profile():
    assert settings.default.deadline is None

@given(n=st.integers())
def test_property(trioflow_run, n):
    assert trioflow_run(flow, n) == n + 1
"""


@pytest.mark.parametrize("options", [(), WITHOUT_TRIO])
def test_properties_have_a_profile(run: Run, options: tuple[str, ...]) -> None:
    run(PROPERTY, *options, "--hypothesis-profile=trioflow", passed=2)


def test_the_profile_can_be_loaded_by_a_test_module_and_one_of_that_name_is_respected(run: Run) -> None:
    text = """
def test_there():
    assert settings.get_profile("trioflow").deadline == {deadline}
"""
    run("from hypothesis import settings\n" + text.format(deadline=None), *WITHOUT_TRIO, passed=1)
    own = "from hypothesis import settings\nsettings.register_profile('trioflow', deadline=5000)\n"
    own += "from datetime import timedelta\n"
    run(own + text.format(deadline="timedelta(seconds=5)"), *WITHOUT_TRIO, passed=1)


def test_it_costs_a_start_of_pytest_nothing_heavy_and_needs_no_hypothesis(tmp_path: Path) -> None:
    """It is imported at every start of pytest, before whoever measures coverage."""
    (tmp_path / "test_it.py").write_text(
        FLOW.replace("import pytest, trio\nfrom trioflow import run_workflow\n", "import sys\n")
        + """
def test_nothing_is_loaded():
    assert "pytest_trioflow" in sys.modules
    assert not {"trioflow", "trio", "attrs", "hypothesis"} & set(sys.modules)

def test_hypothesis_is_not_needed(trioflow_run, trioflow_modifiers):
    sys.modules["hypothesis"] = None
    trioflow_modifiers.disable_sleeps()
    assert trioflow_run(flow, 1) == 2
    del sys.modules["hypothesis"]
"""
    )
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "pytest_trioflow", "-p", "no:cacheprovider", "test_it.py"],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 passed" in done.stdout
