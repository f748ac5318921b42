"""No false alarm: what keeps the promises is never objected to, in many thousand random workflows and orders.

    python -m tests.false_alarms --examples 20000 --seed 1     random workflows on trioflow, each judged by `check`
    python -m tests.false_alarms --examples 0 --explore 500    workflows without a race, each explored in many orders
    python -m tests.false_alarms --examples 1 --from 8123      one of them again, the one with that number

A false alarm costs more than a bug that is missed: who has met one doesn't believe the next. Whether it is the judge that
is wrong or trioflow doesn't matter here. The first alarm ends the command with status 1, and is printed as a call to paste.

An example has a number, and the number and the seed say all of it: the workflow, who awaits, and the schedule.
"""

from __future__ import annotations

import argparse
import platform
import random
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final

import attrs
import trio

from trioflow.testing import DagSpec, ScheduleError, check, explore, run_dag
from trioflow.testing.strategies import random_dag

#: How many orders of each workflow are tried.
SCHEDULES: Final = 20
#: Says how far it is after so many seconds.
PACE: Final = 10.0


@attrs.frozen
class Alarm:
    """An example that was objected to, as a call to paste, and what was said."""

    number: int
    call: str
    said: str

    def __str__(self) -> str:
        return f"ALARM in example {self.number}\n{self.call}\n\n{self.said}"


def example(number: int, seed: int) -> tuple[DagSpec, int | None]:
    """A workflow and its schedule: mostly a drawn one, and one time in eight Trio's own.

    Bodies await steps in one of four. One in sixteen is larger: there the long waits for each other are.
    """
    chance = random.Random(f"{seed}/{number}")
    large = number % 16 == 0
    spec = random_dag(chance, max_nodes=24 if large else 8, max_demands=8 if large else 4, inner=number % 4 == 0)
    return spec, None if number % 8 == 7 else chance.getrandbits(16)


def judged(number: int, seed: int) -> Alarm | None:
    """Run an example on trioflow and have it judged."""
    spec, schedule = example(number, seed)
    try:
        check(spec, run_dag(spec, seed=schedule))
    except Exception as exc:
        said = f"{type(exc).__name__}: {exc}".removesuffix(repr(spec)).rstrip()
        return Alarm(number, f"spec = {spec!r}\ncheck(spec, run_dag(spec, seed={schedule}))", said)
    return None


def raceless(number: int, seed: int) -> DagSpec:
    """A workflow whose result no order of tasks can change: nothing fails, nobody leaves, no attempt is ever late."""
    chance = random.Random(f"raceless {seed}/{number}")
    spec = random_dag(chance, inner=number % 4 == 0)
    return attrs.evolve(
        spec,
        nodes=[
            attrs.evolve(node, fails=False, afterwards="reraise", retries=0, timeout=None, flaky=0)
            for node in spec.nodes
        ],
        demands=[attrs.evolve(demand, timeout=None, stranger=False) for demand in spec.demands],
        cancel_at=None,
        return_at=None,
    )


def workflow_of(spec: DagSpec) -> Callable[[Any, Any], Awaitable[list[Any]]]:
    """The workflow itself, as somebody would write it. It gives what each who awaits got, and how often bodies ran."""

    async def workflow(event: Any, step: Any) -> list[Any]:
        steps: list[Any] = []
        runs = [0] * len(spec.nodes)
        got: list[Any] = [None] * len(spec.demands)

        def body(i: int) -> Callable[..., Any]:
            def plain(*values: Any) -> tuple[Any, ...]:
                runs[i] += 1
                return (i, *values)

            async def waits(*values: Any) -> tuple[Any, ...]:
                inner = [await steps[d]() for d in spec.awaited_inside(i)]
                if spec.nodes[i].checkpoint:
                    await trio.lowlevel.checkpoint()
                await trio.sleep(spec.seconds(i))
                return (*plain(*values), *inner)

            return plain if spec.nodes[i].sync else waits

        async def ask(k: int) -> None:
            await trio.sleep(spec.asks_at(k))
            got[k] = await steps[spec.target(k)]()

        for i, node in enumerate(spec.nodes):
            needs = [steps[d] for d in spec.dependencies(i)]
            steps.append(step.do(f"s{i}", depends=needs, concurrent=node.concurrent)(body(i)))
        async with trio.open_nursery() as nursery:
            for k in range(len(spec.demands)):
                nursery.start_soon(ask, k)
        return [got, runs]

    return workflow


def explored(number: int, seed: int, schedules: int = SCHEDULES) -> Alarm | None:
    """Try a workflow without a race in many orders: the result has to be the same in each."""
    spec = raceless(number, seed)
    try:
        explore(workflow_of(spec), schedules=schedules)
    except ScheduleError as exc:
        return Alarm(number, f"explore(workflow_of({spec!r}), schedules={schedules})", str(exc))
    return None


def go_through(
    what: str, judge: Callable[[int, int], Alarm | None], numbers: range, seed: int, runs_each: int = 1
) -> Alarm | None:
    """Look at one after the other up to the first alarm, and say how it goes."""
    began = told = time.perf_counter()

    def report(count: int) -> None:
        rate = count * runs_each / max(time.perf_counter() - began, 1e-9)
        each = "" if runs_each == 1 else f" x {runs_each} schedules"
        print(f"{what}: {count:,} of {len(numbers):,} examples{each}, no alarm, {rate:,.0f} runs a second", flush=True)

    for count, number in enumerate(numbers, 1):
        alarm = judge(number, seed)
        if alarm is not None:
            return alarm
        if time.perf_counter() - told > PACE and count < len(numbers):
            report(count)
            told = time.perf_counter()
    report(len(numbers))
    return None


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.false_alarms", description=__doc__.partition("\n")[0])
    parser.add_argument("--examples", type=int, default=20_000, metavar="N", help="random workflows; 20000 if not said")
    parser.add_argument(
        "--explore", type=int, default=0, metavar="N", help="workflows without a race; none if not said"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--from", type=int, default=0, metavar="NUMBER", dest="first", help="the first example's number"
    )
    options = parser.parse_args(arguments)
    print(
        f"{platform.python_implementation()} {platform.python_version()}, Trio {trio.__version__}, seed {options.seed}"
    )
    for what, judge, count, runs in (
        ("check", judged, options.examples, 1),
        ("explore", explored, options.explore, SCHEDULES),
    ):
        numbers = range(options.first, options.first + count)
        alarm = go_through(what, judge, numbers, options.seed, runs) if count else None
        if alarm is not None:
            print(alarm)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
