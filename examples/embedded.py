"""Backups of three machines, one run each, in a Trio program that does other things meanwhile: 100 minutes in no time.

    python examples/embedded.py

Each run may take 100 minutes, says Trio's own `fail_after`. Carl's machine is too slow, so his run is cancelled, and its
steps can say so; the other runs don't notice. Beside them a task tells every half hour which steps are running. `MockClock`
jumps to when the next thing happens; a plain `trio.run(main)` really takes its time.
"""

from __future__ import annotations

import trio
from trio.testing import MockClock

from trioflow import WorkflowEntrypoint, WorkflowEvent, WorkflowRun, WorkflowStep, open_run

MINUTE = 60.0
#: How many minutes it takes to save each machine's database, and its files.
MACHINES = {"ann": {"sql": 20, "tar": 40}, "bob": {"sql": 70, "tar": 25}, "carl": {"sql": 5, "tar": 600}}


class Backup(WorkflowEntrypoint):
    """Saves a machine's database and its files at the same time, and then reads both again."""

    async def run(self, event: WorkflowEvent[dict[str, int]], step: WorkflowStep) -> str:
        @step.do("save the database")
        async def database() -> str:
            await trio.sleep(event.payload["sql"] * MINUTE)
            return f"{event.instanceId}.sql"

        @step.do("save the files")
        async def files() -> str:
            await trio.sleep(event.payload["tar"] * MINUTE)
            return f"{event.instanceId}.tar"

        @step.do("verify", concurrent=True)
        async def verify(database: str, files: str) -> str:
            await trio.sleep(5 * MINUTE)
            return f"{database} and {files}"

        return await verify()


async def back_up(machine: str, params: dict[str, int], runs: list[WorkflowRun[str]]) -> None:
    try:
        with trio.fail_after(100 * MINUTE):
            async with open_run(Backup, params, instance_id=machine) as run:
                runs.append(run)
                say(f"{machine}: {await run.result()} are safe")
    except trio.TooSlowError:
        for step in run.steps:
            if step.status != "succeeded":
                say(f"{machine}: {step.name}, {step.status}: {step.reason}")


async def look_in(runs: list[WorkflowRun[str]]) -> None:
    while True:
        await trio.sleep(30 * MINUTE)
        for run in runs:
            for step in run.steps:
                if step.status == "running":
                    say(f"{run.id}: {step.name}, going on")


def say(what: str) -> None:
    print(f"{trio.current_time() / MINUTE:3.0f} min  {what}")


async def main() -> None:
    runs: list[WorkflowRun[str]] = []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(look_in, runs)
        async with trio.open_nursery() as backups:
            for machine, params in MACHINES.items():
                backups.start_soon(back_up, machine, params, runs)
        nursery.cancel_scope.cancel()  # all backups have ended


if __name__ == "__main__":
    trio.run(main, clock=MockClock(autojump_threshold=0))
