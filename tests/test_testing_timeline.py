"""One run as people see it: who went when, past whom, what bodies did, and where each task waits."""

from __future__ import annotations

import re
from functools import partial
from typing import Any

import pytest
import trio
from trio.lowlevel import checkpoint

from trioflow import WorkflowStep, run_workflow
from trioflow.testing import Holds, Schedule, replay
from trioflow.testing.exploring import program
from trioflow.testing.timeline import HEAD, TAIL, Film


def film(what: Any, schedule: Schedule) -> list[list[str]]:
    """The lines, in columns: the mark, the time, who, what."""
    watcher = Film()
    program(what, None, None, False, 10_000).run(schedule, watcher)
    lines = []
    for number, line in enumerate(str(watcher).splitlines()[1:], 1):
        columns = re.fullmatch(r"([ >]) *(\d+) +(\S+)  (.{24,}?)  (\S.*)", line)
        assert columns
        assert int(columns[2]) == number
        lines.append([columns[1], columns[3], columns[4].strip(), columns[5]])
    return lines


async def workflow(event: Any, step: WorkflowStep) -> str:
    @step.do("the first")
    async def first() -> str:
        await trio.sleep(1.5)
        return "x" * 50

    @step.do("the second")
    def second() -> None:
        """Nothing to say."""

    @step.do("both", depends=[first, second], concurrent=True)
    async def both(first: str, second: None) -> None:
        raise KeyError("no")

    try:
        await both()
    except KeyError:
        await checkpoint()
    return "done"


def test_names_are_those_of_steps_and_lines_say_what_they_do() -> None:
    told = [tuple(line[1:]) for line in film(workflow, Holds())]
    expected = [
        ("0", "run", r"waits at test_testing_timeline\.py:\d+: await both\(\)"),
        ("0", "the first", r"begins; waits at test_testing_timeline\.py:\d+: await trio\.sleep\(1\.5\)"),
        ("0", "the second", "begins; returns"),
        ("1.5", "the first", r"returns 'x{38}…"),
        ("1.5", "both", r"begins; raises KeyError\('no'\)"),
        ("1.5", "run", r"waits at test_testing_timeline\.py:\d+: await checkpoint\(\)"),
        ("1.5", "run", "ends"),
    ]
    assert [line[:2] for line in told] == [line[:2] for line in expected]
    for line, like in zip(told, expected, strict=True):
        assert re.fullmatch(like[2], line[2])


def test_who_goes_before_whom_is_marked() -> None:
    lines = film(workflow, Holds([(0, 1)]))
    assert lines[1] == [">", "0", "the second", "goes before the first; begins; returns"]
    assert [line[0] for line in lines].count(">") == 1


def test_who_is_cancelled_is_shown() -> None:
    async def given_up(event: Any, step: WorkflowStep) -> None:
        @step.do()
        async def slow() -> None:
            await trio.sleep_forever()

        with trio.move_on_after(1):
            await slow()

    assert ["1", "slow", "is cancelled"] in [line[1:] for line in film(given_up, Holds())]


def test_a_plain_program_has_the_names_of_its_tasks() -> None:
    async def worker() -> None:
        await checkpoint()

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(worker)
            nursery.start_soon(worker, name="a name with worker")

    names = [line[2] for line in film(main, Holds())]
    assert names == ["main", "worker", "a name with worker", "worker", "a name with worker", "main"]


def test_what_lanes_do_among_themselves_is_left_out_and_what_they_run_is_not() -> None:
    """In a program that runs a workflow without gates, a lane runs a body in the turn in which it finds it."""
    lines = film(partial(run_workflow, workflow), Holds())
    assert [line[2] for line in lines if "first" in line[2]] == ["the first"]
    assert not any("trioflow" in line[2] or "serve" in line[2] for line in lines)


def test_a_stuck_program_shows_who_is_left_and_where() -> None:
    async def main() -> None:
        lock = trio.Lock()

        async def hold() -> None:
            async with lock:
                await trio.sleep_forever()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(hold, name="holder")
            await trio.sleep(1)
            await lock.acquire()

    watcher = Film()
    program(main, None, None, False, 10_000).run(Holds(), watcher)
    assert re.search(
        r"left over:\n  main waits at test_testing_timeline\.py:\d+: await lock\.acquire\(\)\n"
        r"  holder waits at test_testing_timeline\.py:\d+: await trio\.sleep_forever\(\)$",
        str(watcher),
    )
    assert "ends" not in str(watcher), "what comes after that is no part of the order"


def test_a_long_one_is_cut_in_the_middle_and_a_long_line_at_its_end() -> None:
    async def main() -> None:
        for _ in range(500):
            await checkpoint(), "which is a rather long line of code, longer than anybody would like to read"

    watcher = Film()
    program(main, None, None, False, 10_000).run(Holds(), watcher)
    lines = str(watcher).splitlines()
    assert len(lines) == HEAD + TAIL + 2
    assert lines[HEAD + 1].strip() == f"… {501 - HEAD - TAIL} more turns …"
    assert lines[1].endswith("…")
    assert len(lines[1]) < 160


def test_code_without_a_source_has_its_line() -> None:
    names: dict[str, Any] = {"checkpoint": checkpoint}
    exec(compile("async def main():\n    await checkpoint()\n", "<nowhere>", "exec"), names)
    assert film(names["main"], Holds())[0][-1] == "waits at <nowhere>:2"


def test_a_replay_that_fails_tells_the_order_in_a_note() -> None:
    async def main() -> None:
        await checkpoint()
        raise KeyError("no")

    with pytest.raises(KeyError) as caught:
        replay(main, schedule=Holds([(0, 1)]))
    (note,) = caught.value.__notes__
    assert note.startswith("under the schedule Holds([(0, 1)]):\n  turn      time  who")
