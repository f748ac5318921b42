"""The command's options, and which cases they ask for."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from ._measure import EVERYDAY, RARE, Case, Chapter

ABOUT: Final = """What a workflow step costs, in trioflow and elsewhere.

Without an option: Trio's own prices and trioflow beside them, in about a minute. Each of --peers, --scale, --memory and
--where measures that and nothing else; together, all that is asked for.

Exit status 0 if every result was right; 1 if one was wrong, or slower than what it is compared with, or (with --check)
over its budget; 2 for arguments that can't be used. A budget alone is not fatal: it is held against a quiet machine, and
most machines aren't."""
ROUNDS: Final = 9
QUICK: Final = 3
#: Below this a dense graph has hardly a step with all of its dependencies.
LEAST_STEPS: Final = 20
MOST_PROCESSES: Final = 100
CHAPTERS: Final[dict[Chapter, str]] = {
    "peers": "other systems, those that are installed, on the same graphs",
    "scale": "graphs of 1,000 to 1,000,000 steps (takes two gigabytes)",
    "memory": "what is held for a graph, by its size",
    "where": "where a step's microseconds go: trioflow beside itself with one thing left out",
}


def _steps(text: str) -> int:
    try:
        n = int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of steps") from None
    if n < LEAST_STEPS:
        raise argparse.ArgumentTypeError(f"{n} steps are too few to be shaped: at least {LEAST_STEPS}")
    return n


def _processes(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= MOST_PROCESSES:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of processes: 1 to {MOST_PROCESSES}")
    return int(text)


def parser() -> argparse.ArgumentParser:
    """The arguments."""
    made = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=ABOUT,
        allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("--only", metavar="NAME", action="append", help="cases whose name contains NAME; may be repeated")
    made.add_argument("--all", action="store_true", help="the usual cases and the rarer ones, too")
    for chapter, about in CHAPTERS.items():
        made.add_argument(f"--{chapter}", action="store_true", help=about)
    made.add_argument("--list", action="store_true", help="show the names of the cases and measure nothing")
    made.add_argument("--quick", action="store_true", help=f"{QUICK} rounds instead of {ROUNDS}: a first look")
    made.add_argument("--processes", metavar="N", type=_processes, help="measure in N fresh processes, one by one (1)")
    made.add_argument("--steps", metavar="N", type=_steps, default=1000, help="steps, demands or siblings (1000)")
    made.add_argument("--json", metavar="FILE", type=Path, help="write all readings to FILE")
    made.add_argument(
        "--read", metavar="FILE", type=Path, help="measure nothing: take the readings of an earlier --json"
    )
    made.add_argument("--compare", metavar="OLD.json", type=Path, help="say what is slower than in an earlier --json")
    made.add_argument("--plot", metavar="DIR", type=Path, help="draw what was measured into DIR, as SVG and PNG")
    made.add_argument("--budget", choices=("core", "end"), default="core", help="what to hold the figures against")
    made.add_argument("--check", action="store_true", help="exit with 1 if a budget is exceeded, too")
    return made


def rounds_of(arguments: argparse.Namespace) -> int:
    """How many rounds a case of weight 1 gets."""
    return QUICK if arguments.quick else ROUNDS


def chapters_of(arguments: argparse.Namespace) -> frozenset[Chapter]:
    """Those that are asked for; a name alone asks for whatever is trioflow's own."""
    chapters = frozenset(chapter for chapter in CHAPTERS if getattr(arguments, chapter))
    if arguments.all or (arguments.only and not chapters):
        chapters |= EVERYDAY | RARE
    return chapters or EVERYDAY


def chosen(cases: Sequence[Case], arguments: argparse.Namespace) -> list[Case]:
    """The cases that are asked for, by chapter and by name. Of a kept report: all, if no chapter is asked for."""
    asked = arguments.all or arguments.only or any(getattr(arguments, chapter) for chapter in CHAPTERS)
    chapters = chapters_of(arguments)
    found = [case for case in cases if case.chapters <= chapters or (arguments.read is not None and not asked)]
    return [case for case in found if not arguments.only or any(part in case.name for part in arguments.only)]


def repeated(arguments: argparse.Namespace, cases: Sequence[Case]) -> list[str]:
    """The arguments that have another process measure these cases in the same way."""
    words = ["--all", *[f"--{chapter}" for chapter in CHAPTERS], "--steps", str(arguments.steps), "--processes", "1"]
    words += ["--quick"] * arguments.quick
    for case in cases:
        words += ["--only", case.name]
    return words
