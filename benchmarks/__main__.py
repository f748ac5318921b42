"""The command: which cases, how many rounds, where the readings go, and what follows from them."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from . import _compare, _kept, _options, _plot, _report
from ._measure import Case, Measured, measure
from .catalogue import all_cases


def measure_all(cases: Sequence[Case], rounds: int, show: Callable[[Measured], None]) -> list[Measured]:
    """One after the other; each is shown as soon as it is known."""
    all_measured = []
    for case in cases:
        measured = measure(case, rounds)
        all_measured.append(measured)
        show(measured)
        if measured.wrong is not None:
            print(measured.details, file=sys.stderr, flush=True)
    return all_measured


def measure_elsewhere(
    cases: Sequence[Case], arguments: argparse.Namespace, show: Callable[[Measured], None]
) -> list[Measured]:
    """The same in fresh processes, one after the other; the rounds of all of them belong together.

    Each process puts its objects in other places, which makes some cases faster or slower by a tenth for its whole life.
    """
    reports: list[dict[str, Measured]] = []
    with tempfile.TemporaryDirectory() as folder:
        for n in range(arguments.processes):
            print(f"process {n + 1} of {arguments.processes} ...", file=sys.stderr, flush=True)
            file = Path(folder, f"{n}.json")
            command = [sys.executable, "-m", "benchmarks", "--json", str(file), *_options.repeated(arguments, cases)]
            subprocess.run(command, stdout=subprocess.DEVNULL, check=False)
            report = _kept.read(file)
            assert report is not None
            reports.append({measured.case.name: measured for measured in report["measured"]})
    all_measured = [_kept.pooled(case, [report[case.name] for report in reports]) for case in cases]
    for measured in all_measured:
        show(measured)
    return all_measured


def take_readings(arguments: argparse.Namespace, cases: Sequence[Case], kept: dict[str, Any] | None) -> list[Measured]:
    """Measure the cases, or take what was kept of them, and print a line for each."""
    width = max(len(case.name) for case in cases)
    facts = _kept.surroundings() if kept is None else kept
    for line in _kept.advice() if kept is None else ():
        print(f"pyperf's advice: {line}")
    print(_report.header(width, arguments.budget, facts), flush=True)

    def show(measured: Measured) -> None:
        print(_report.line(measured, width, arguments.budget), flush=True)

    if kept is None and arguments.processes > 1:
        return measure_elsewhere(cases, arguments, show)
    if kept is None:
        return measure_all(cases, _options.rounds_of(arguments), show)
    names = {case.name for case in cases}
    readings = [measured for measured in kept["measured"] if measured.case.name in names]
    for measured in readings:
        show(measured)
    return readings


def changes_since(
    old: Sequence[Measured], new: Sequence[Measured], again: Callable[[Sequence[Case]], Sequence[Measured]]
) -> list[_compare.Change]:
    """What seems slower, by itself or as a family, is measured `again`, and counts if it still is."""
    found = _compare.compared(old, new)
    found += _compare.together(found)
    suspected = _compare.suspected(found)
    second = _compare.compared(old, again([measured.case for measured in new if measured.case.name in suspected]))
    second += _compare.together(second)
    changes = {change.family or change.name: change for change in found}
    for change in second:
        name = change.family or change.name
        if name in changes and change.verdict != "not compared":
            changes[name] = min(change, changes[name], key=lambda one: one.low)
    return list(changes.values())


def compare(arguments: argparse.Namespace, old: dict[str, Any], new: Sequence[Measured]) -> bool:
    """Say what has changed since `old`. Is anything slower?"""

    def again(cases: Sequence[Case]) -> Sequence[Measured]:
        if arguments.read is not None or not cases:
            return []
        print("\nseems slower, so once more:", flush=True)
        return take_readings(arguments, cases, None)

    changes = changes_since(old["measured"], new, again)
    print(f"\ncompared with {arguments.compare} ({_kept.described(old)})\n{_compare.summary(changes)}")
    return any(change.verdict == "slower" for change in changes)


def keep(arguments: argparse.Namespace, readings: Sequence[Measured], kept: dict[str, Any] | None) -> None:
    """Write the readings to a file and draw them, if that is asked for."""
    if arguments.json is None and arguments.plot is None:
        return
    facts = _kept.facts(arguments.steps) if kept is None else kept
    if arguments.json is not None:
        report = _kept.as_json(readings, arguments.budget, facts)
        arguments.json.write_text(json.dumps(report, indent=1) + "\n")
    if arguments.plot is not None:
        print(*_plot.draw(readings, arguments.plot, _kept.in_a_line(facts)), sep="\n")


def main(argv: Sequence[str] | None = None) -> int:
    """Measure what is asked for. Returns the exit status."""
    made = _options.parser()
    arguments = made.parse_args(argv)
    try:
        kept, old = _kept.read(arguments.read), _kept.read(arguments.compare)
        _kept.comparable(old, arguments.steps if kept is None else kept["steps"])
        arguments.processes = arguments.processes or _kept.processes_of(old)
        if arguments.plot is not None:
            _plot.require()
    except (_kept.UnusableError, _plot.NoMatplotlibError) as exc:
        made.error(str(exc))
    known = all_cases(arguments.steps) if kept is None else [measured.case for measured in kept["measured"]]
    cases = _options.chosen(known, arguments)
    if not cases:
        made.error(
            f"no case is called anything like {' or '.join(arguments.only or ['what was asked for'])}: see --list"
        )
    if arguments.list:
        print(*[case.name for case in cases], sep="\n")
        return 0
    readings = take_readings(arguments, cases, kept)
    tables = _report.tables(readings)
    if tables:
        print(f"\n{tables}")
    keep(arguments, readings, kept)
    slower = old is not None and compare(arguments, old, readings)
    wrong = any(measured.wrong is not None for measured in readings)
    over = arguments.check and any(measured.over(arguments.budget) for measured in readings)
    return int(wrong or over or slower)


if __name__ == "__main__":
    sys.exit(main())
