"""Graphs as large as they get, each in a process of its own, with its time and its memory: `python -m benchmarks.endurance`.

What would change our mind: a case that doesn't end, a RecursionError, or one whose time per step is far from that of
`python -m benchmarks --only size`: then something in trioflow depends on the depth of a graph, or scans a list that grows.

Every case checks its value. Time is the CPU time of the thread, declaring included; memory is what the process has had
resident at most, less what it had before the first declaration.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any, Final

import trio
from trio.testing import MockClock

from trioflow import CycleError, Step, WorkflowStep, run_workflow

from . import graphs

MIB: Final = 1024  # ru_maxrss counts KiB


async def chain(step: WorkflowStep) -> int:
    """100,000 steps in a chain; every thousandth blocks."""

    async def plus_one(value: int) -> int:
        if value % 1000 == 0:
            await trio.sleep(1)
        return value + 1

    last: Step[int] = step.do("0")(lambda: 1)
    for i in range(1, 100_000):
        last = step.do(f"{i}", depends=[last])(plus_one)
    assert await last() == 100_000
    return 100_000


async def chain_fails(step: WorkflowStep) -> int:
    """100,000 steps in a chain whose first one fails after it has blocked."""

    async def bottom() -> int:
        await trio.sleep(1)
        raise KeyError

    last: Step[int] = step.do("0")(bottom)
    for i in range(1, 100_000):
        last = step.do(f"{i}", depends=[last])(lambda value: value)
    try:
        await last()
    except KeyError:
        return 100_000
    raise AssertionError("no failure")


async def fan_in(step: WorkflowStep) -> int:
    """One step that needs 100,000 others, concurrently."""

    async def one() -> int:
        return 1

    leaves = [step.do(f"{i}")(one) for i in range(100_000)]
    assert await step.do("sum", depends=leaves, concurrent=True)(lambda *values: sum(values))() == 100_000
    return 100_001


async def fan_out(step: WorkflowStep) -> int:
    """A running step that 30,000 others need; who awaits these leaves one by one."""

    async def shared() -> None:
        await trio.sleep_forever()

    async def ask(dependent: Step[None], scope: trio.CancelScope) -> None:
        with scope:
            await dependent()

    source = step.do("shared")(shared)
    scopes = []
    async with trio.open_nursery() as nursery:
        for i in range(30_000):
            scopes.append(trio.CancelScope())
            nursery.start_soon(ask, step.do(f"{i}", depends=[source])(lambda value: value), scopes[-1])
        await trio.sleep(1)
        for scope in scopes[:-1]:
            scope.cancel()
        await trio.sleep(1)
        statuses = [source.status]
        scopes[-1].cancel()
    statuses.append(source.status)
    assert statuses == ["running", "cancelled"]
    return 30_001


async def layered(step: WorkflowStep) -> int:
    """1,000,000 steps in layers of 20, each with three dependencies."""

    async def depth(*above: int) -> int:
        return 1 + max(above, default=0)

    graph = graphs.layered(1_000_000)
    steps: list[Step[int]] = []
    for i, needs in enumerate(graph):
        steps.append(step.do(f"{i}", depends=[steps[j] for j in needs], concurrent=True)(depth))
    assert await steps[-1]() == 50_001
    return len(graph)


async def cycle(step: WorkflowStep) -> int:
    """Two steps that need each other, in a graph of 60,000 in layers that they stand on."""
    graph = graphs.layered(60_000)
    steps: list[Step[int]] = []
    for i, needs in enumerate(graph):
        steps.append(step.do(f"{i}", depends=[steps[j] for j in needs], concurrent=True)(lambda *above: 1))
    last = steps[-1]

    @step.do(depends=[last])
    def below(value: int) -> int:
        return value

    @step.do()
    async def ping(below: int, pong: int) -> int:
        return 1

    @step.do()
    async def pong(ping: int) -> int:
        return 1

    top = step.do("top", depends=[last, ping], concurrent=True)(lambda *values: 1)
    try:
        await top()
    except CycleError as exc:
        assert set(exc.steps) == {"ping", "pong"}, exc.steps
    else:
        raise AssertionError("no cycle")
    assert await below() == 1  # what doesn't need the cycle still runs
    return len(graph) + 4


CASES: Final[dict[str, Callable[[WorkflowStep], Any]]] = {
    "chain": chain,
    "chain-fails": chain_fails,
    "fan-in": fan_in,
    "fan-out": fan_out,
    "layered": layered,
    "cycle": cycle,
}


def resident() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / MIB


def run_here(name: str) -> None:
    """One case in this process; prints its row."""

    async def workflow(event: object, step: WorkflowStep) -> int:
        steps: int = await CASES[name](step)
        return steps

    before, begun = resident(), time.thread_time()
    steps = trio.run(run_workflow, workflow, clock=MockClock(autojump_threshold=0))
    seconds = time.thread_time() - begun
    memory = resident() - before
    print(f"{name:12} {steps:>9,} {seconds:8.2f} s {seconds / steps * 1e6:8.2f} us {memory:8.0f} MiB", flush=True)


def main() -> int:
    """Run the cases asked for, each in a fresh process, and give 1 if one of them fails."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.endurance", description=__doc__.splitlines()[0])
    parser.add_argument("cases", nargs="*", help=f"which, of {', '.join(CASES)}; all if none is named")
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    names = arguments.cases or list(CASES)
    for name in names:
        if name not in CASES:
            parser.error(f"no case {name!r}; there are {', '.join(CASES)}")
    if arguments.here:
        for name in names:
            run_here(name)
        return 0
    print(f"{'case':12} {'steps':>9} {'CPU':>10} {'a step':>11} {'memory':>12}", flush=True)
    statuses = [subprocess.run([sys.executable, "-m", __spec__.name, "--here", name]).returncode for name in names]
    return 1 if any(statuses) else 0


if __name__ == "__main__":
    sys.exit(main())
