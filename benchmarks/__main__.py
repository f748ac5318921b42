"""The command: which cases, how many rounds, where the readings go.

Exit status 0 if every result was right, 1 if one was wrong (or, with `--check`, over its budget), 2 for arguments that
can't be used. A budget alone is not fatal: it is held against a quiet machine, and most machines aren't.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from . import _report
from ._measure import Case, Measured, measure
from .catalogue import all_cases

ROUNDS: Final = 11
QUICK: Final = 3
#: Below this a dense graph has hardly a step with all of its dependencies.
LEAST_STEPS: Final = 20


def _steps(text: str) -> int:
    try:
        n = int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of steps") from None
    if n < LEAST_STEPS:
        raise argparse.ArgumentTypeError(f"{n} steps are too few to be shaped: at least {LEAST_STEPS}")
    return n


def parser() -> argparse.ArgumentParser:
    """The arguments."""
    made = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__, allow_abbrev=False)
    made.add_argument("--only", metavar="NAME", action="append", help="cases whose name contains NAME; may be repeated")
    made.add_argument("--list", action="store_true", help="show the names of the cases and measure nothing")
    made.add_argument("--quick", action="store_true", help=f"{QUICK} rounds instead of {ROUNDS}: a first look")
    made.add_argument("--steps", metavar="N", type=_steps, default=1000, help="steps, demands or siblings (1000)")
    made.add_argument("--scale", action="store_true", help="run a graph of 1,000,000 steps too (takes a gigabyte)")
    made.add_argument("--json", metavar="FILE", type=Path, help="write all readings to FILE")
    made.add_argument("--budget", choices=("core", "end"), default="core", help="what to hold the figures against")
    made.add_argument("--check", action="store_true", help="exit with 1 if a budget is exceeded, too")
    return made


def chosen(cases: Sequence[Case], only: Sequence[str] | None) -> list[Case]:
    """Those whose name contains one of `only`; all, if nothing is asked for."""
    return [case for case in cases if not only or any(part in case.name for part in only)]


def main(argv: Sequence[str] | None = None) -> int:
    """Measure what is asked for. Returns the exit status."""
    made = parser()
    arguments = made.parse_args(argv)
    cases = chosen(all_cases(arguments.steps, huge=1_000_000 if arguments.scale else None), arguments.only)
    if not cases:
        made.error(f"no case is called anything like {' or '.join(arguments.only)}: see --list")
    if arguments.list:
        print(*[case.name for case in cases], sep="\n")
        return 0
    width = max(len(case.name) for case in cases)
    print(_report.header(width, arguments.budget), flush=True)
    all_measured: list[Measured] = []
    for case in cases:
        measured = measure(case, QUICK if arguments.quick else ROUNDS)
        all_measured.append(measured)
        print(_report.line(measured, width, arguments.budget), flush=True)
        if measured.wrong is not None:
            print(measured.details, file=sys.stderr, flush=True)
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(_report.as_json(all_measured, arguments.budget), indent=1) + "\n")
    wrong = any(measured.wrong is not None for measured in all_measured)
    over = arguments.check and any(measured.over(arguments.budget) for measured in all_measured)
    return int(wrong or over)


if __name__ == "__main__":
    sys.exit(main())
