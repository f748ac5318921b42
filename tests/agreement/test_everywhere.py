"""A sample of `everywhere`: cancellations at task steps, Ctrl-C at lines of ours.

Where the sample begins is drawn, so that other steps and lines have their turn in every run. A failure names the program
and the number; `python -m tests.agreement.everywhere` repeats it, or does all of them.
"""

from __future__ import annotations

import gc
import logging
from collections.abc import Iterator

import pytest
from everywhere import MODES, PROGRAMS, cancel, interrupt, lines_of, targets
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

#: One line in so many is interrupted, one task step in so many is cancelled at.
LINES, STEPS = 101, 3

a_sample = settings(
    max_examples=2,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)


@pytest.fixture(autouse=True)
def nothing_old_is_collected() -> Iterator[None]:
    """Garbage is collected after every execution: let that cost no more than the execution's own."""
    logger = logging.getLogger("trioflow")
    silent = logging.NullHandler()
    logger.addHandler(silent)
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()
    logger.removeHandler(silent)


@pytest.mark.slow
@pytest.mark.parametrize("shield", [False, True], ids=["open", "shielded"])
@pytest.mark.parametrize("name", PROGRAMS)
def test_P12_whoever_is_cancelled_at_whatever_task_step_the_others_go_on_and_nothing_is_left(
    name: str, shield: bool
) -> None:
    @a_sample
    @given(st.integers(1, STEPS))
    def sample(first: int) -> None:
        for target in targets(name):
            step = first
            while cancel(name, target, shield, step) is not None:
                step += STEPS

    sample()


@pytest.mark.slow
@pytest.mark.parametrize("mode", range(len(MODES)), ids=MODES)
@pytest.mark.parametrize("name", PROGRAMS)
def test_P15_ctrl_c_at_whatever_line_of_ours_comes_out_plainly_and_nothing_is_left(name: str, mode: int) -> None:
    lines_of(name)

    @a_sample
    @given(st.integers(1, LINES))
    def sample(first: int) -> None:
        line = first
        while interrupt(name, mode, line) is not None:
            line += LINES

    sample()


def test_the_programs_execute_every_room_that_a_run_uses() -> None:
    rooms = {
        "_declare",
        "_graph",
        "_kernel",
        "_lanes",
        "_mailbox",
        "_names",
        "_policy",
        "_run",
        "_signature",
        "_sleep",
        "_step",
    }
    rooms |= {"_waits"}
    rooms |= {"_time", "_trio_private", "_views", "_watchers", "_workflow"}
    seen = {file for name in PROGRAMS for file, _ in lines_of(name).seen}
    assert {room for room in rooms if any(file.endswith(f"{room}.py") for file in seen)} == rooms
