"""The pytest plugin: fixtures that run a workflow in virtual time, and a failing test that shows how the run went.

It stands beside the package and not in it, since pytest imports it at every start: `import trioflow` would cost every run of
any test a tenth of a second, and would happen before whoever measures coverage is ready. What a fixture needs is imported
when a test asks for it. It works with pytest-trio and without it, and needs no Hypothesis.

* `trioflow_run` runs a workflow in virtual time and returns its output: `trioflow_run(Report, {"day": 1})`.
* `trioflow_modifiers`, a `trioflow.testing.Modifiers`, is what is changed in that run.
* `trioflow_recorder`, a `trioflow.trace.Recorder`, is what is recorded of it.

In an async test use the latter two yourself: `await run_workflow(trioflow_modifiers.apply(Report),
instruments=[trioflow_recorder])`, under pytest-trio's `autojump_clock`.

`pytest --trioflow-schedules 20` runs each test that uses `trioflow_run` another 20 times, with Trio's tasks in another order
each time; the number in the test's name is the seed, and the same number gives the same order.

Properties have a Hypothesis profile, `pytest --hypothesis-profile=trioflow`: it measures no real time, which says nothing
where time is virtual, and lets a property use these fixtures, as `trioflow_run` takes a clock of its own for each call.
"""

from __future__ import annotations

import sys
from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING, Any, Protocol

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from trioflow import StepConfig
    from trioflow.abc import Instrument
    from trioflow.testing import Modifiers
    from trioflow.trace import Recorder

PROFILE = "trioflow"

_passed: pytest.StashKey[bool] = pytest.StashKey()

# ------------------------------------------------------------------------------------------------------------ fixtures


class TrioflowRun(Protocol):
    """What the fixture `trioflow_run` gives."""

    def __call__(
        self,
        workflow: type[Any] | Callable[[Any, Any], Any],
        params: object = None,
        *,
        instance_id: str | None = None,
        env: object = None,
        defaults: StepConfig | dict[str, Any] | None = None,
        instruments: Iterable[Instrument] = (),
    ) -> Any: ...


@pytest.fixture
def trioflow_recorder() -> Recorder:
    """Keeps what happens in the runs of `trioflow_run`; an instrument for others. If the test fails it is shown."""
    from trioflow.trace import Recorder

    return Recorder()


@pytest.fixture
def trioflow_modifiers(request: pytest.FixtureRequest) -> Iterator[Modifiers]:
    """What is changed in the runs of `trioflow_run`. What was asked for and has never come fails a test that has passed."""
    from trioflow.testing import Modifiers

    modifiers = Modifiers()
    yield modifiers
    if request.node.stash.get(_passed, False):
        modifiers.check()


@pytest.fixture
def trioflow_run(trioflow_recorder: Recorder, trioflow_modifiers: Modifiers, trioflow_seed: int | None) -> TrioflowRun:
    """Runs a workflow in virtual time and returns its output, or raises its error: as `trioflow.testing.run_virtually`."""
    from trioflow.testing import run_virtually

    def run(workflow: Any, params: object = None, *, instruments: Iterable[Instrument] = (), **options: Any) -> Any:
        options["instruments"] = [trioflow_recorder, *instruments]
        if trioflow_seed is None:
            return run_virtually(workflow, params, modifiers=trioflow_modifiers, **options)
        return _replayed(trioflow_modifiers.apply(workflow), params, trioflow_seed, options)

    return run


# ----------------------------------------------------------------------------------------------------------- schedules


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.getgroup("trioflow").addoption(
        "--trioflow-schedules",
        type=int,
        default=0,
        metavar="N",
        help="run tests that use trioflow_run in N other orders of Trio's tasks, too",
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    schedules = metafunc.config.getoption("--trioflow-schedules")
    if schedules and "trioflow_seed" in metafunc.fixturenames:
        seeds = range(1, schedules + 1)
        metafunc.parametrize(
            "trioflow_seed", [None, *seeds], indirect=True, ids=["", *(f"schedule{seed}" for seed in seeds)]
        )


@pytest.fixture
def trioflow_seed(request: pytest.FixtureRequest) -> int | None:
    """Which order of Trio's tasks the test is run in, with `--trioflow-schedules`; None: the one that comes by itself."""
    return getattr(request, "param", None)


def _replayed(workflow: Any, params: object, seed: int, options: dict[str, Any]) -> Any:
    from trioflow import run_workflow
    from trioflow.testing import gated, replay

    env = options.pop("env", None)

    async def main() -> Any:
        return await run_workflow(gated(workflow, env=env), params, **options)

    return replay(main, schedule=seed)


# -------------------------------------------------------------------------------------------------------------- report


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.when == "call":
        item.stash[_passed] = report.passed
        recorder = getattr(item, "funcargs", {}).get("trioflow_recorder")
        if report.failed and recorder is not None:
            from trioflow.testing.showing import shown

            text = shown(recorder)
            if text:
                report.sections.append(("trioflow", text))
    return report


# ---------------------------------------------------------------------------------------------------------- Hypothesis


@pytest.hookimpl(tryfirst=True)  # before Hypothesis looks for the profile that it is told to use
def pytest_configure(config: pytest.Config) -> None:
    if "hypothesis" in sys.modules or config.getoption("--hypothesis-profile", None) == PROFILE:
        _register_profile()


def pytest_collection_modifyitems() -> None:
    if "hypothesis" in sys.modules:
        _register_profile()


def _register_profile() -> None:
    """Unless there is one of that name, which is the user's own."""
    from hypothesis import HealthCheck, errors, settings

    try:
        settings.get_profile(PROFILE)
    except errors.InvalidArgument:
        settings.register_profile(PROFILE, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
