"""What is printed and what is kept: a line per case as it is measured, and all readings as JSON.

No date and no name of a machine: a report says what a claim's ratio is, and on what. Figures of one side alone are
printed only so that a reader can see the order of magnitude.
"""

from __future__ import annotations

import os
import platform
import statistics
from collections.abc import Sequence
from typing import Any, Final

import attrs
import trio

from ._budgets import Stage
from ._measure import Measured

FLOOR: Final = (
    "floor: bare Trio tasks of the same shape, a cancel scope each; "
    "for 'by hand' the graphlib runner, for 'size' and 'with' trioflow itself, for 'import' trio"
)


def surroundings() -> dict[str, object]:
    """What the figures depend on, beside the code."""
    return {
        "python": platform.python_version(),
        "trio": trio.__version__,
        "load": round(os.getloadavg()[0], 2),
        "cores": os.cpu_count(),
    }


def header(width: int, stage: Stage) -> str:
    """The lines above the first case; `width`: of the longest name."""
    facts = surroundings()
    about = "Python {python}, Trio {trio}, load {load} on {cores} cores".format_map(facts)
    how = "CPU time of the thread in us; medians of paired ratios (quartiles), taken in alternation in one process"
    columns = f"{'case':{width}}  {'per':10}  {'ours us':>9}  {'floor us':>9}  {'x floor (q1-q3)':>22}  {'budget':>8}  "
    return f"{about}; budgets: {stage}\n{how}\n{FLOOR}\n\n{columns}"


def line(measured: Measured, width: int, stage: Stage) -> str:
    """One case."""
    case = measured.case
    start = f"{case.name:{width}}  {case.per:10}  "
    if measured.wrong is not None:
        return f"{start}WRONG: {measured.wrong}"
    budget = "-" if case.budget is None else f"{case.budget.at(stage):g}{_unit(measured)}"
    ours, beside = _middle(measured.ours, case.unit), _middle(measured.beside, case.unit)
    return f"{start}{ours:>9}  {beside:>9}  {_judged(measured):>22}  {budget:>8}  {verdict(measured, stage)}"


def verdict(measured: Measured, stage: Stage) -> str:
    """`ok`, `OVER`, `WRONG`, or `-` where there is no budget; with a word if what stood beside can't be believed."""
    if measured.wrong is not None:
        return "WRONG"
    word = "-" if measured.case.budget is None else "OVER" if measured.over(stage) else "ok"
    if measured.in_doubt and measured.case.credible is not None:
        word += " (what stands beside isn't at {}-{} us: a loaded machine?)".format(*measured.case.credible)
    return word


def as_json(all_measured: Sequence[Measured], stage: Stage) -> dict[str, Any]:
    """Everything that was read, for whoever compares two reports."""
    return {**surroundings(), "budgets": stage, "cases": [_entry(m, stage) for m in all_measured]}


def _entry(measured: Measured, stage: Stage) -> dict[str, Any]:
    case = measured.case
    return {
        "name": case.name,
        "per": case.per,
        "unit": case.unit,
        "judged_by": case.judged_by,
        "ours": list(measured.ours),
        "beside": list(measured.beside),
        "judged": None if measured.wrong is not None else attrs.asdict(measured.spread),
        "budget": None if case.budget is None else case.budget.at(stage),
        "verdict": verdict(measured, stage),
        "wrong": measured.wrong,
    }


def _middle(readings: Sequence[float], unit: str) -> str:
    if not readings:
        return "-"
    value = statistics.median(readings)
    return f"{value:.0f} B" if unit == "bytes" else f"{value:.1f} ms" if unit == "ms" else f"{value:.2f}"


def _unit(measured: Measured) -> str:
    if measured.case.judged_by == "ratio":
        return " x"
    return " B" if measured.case.unit == "bytes" else f" {measured.case.unit}"


def _judged(measured: Measured) -> str:
    spread, unit = measured.spread, _unit(measured)
    if measured.case.unit == "bytes":
        digits = 0
    elif measured.case.judged_by == "ratio":
        digits = 3 if abs(spread.median) < 0.1 else 2
    else:
        digits = 1
    return f"{spread.median:.{digits}f}{unit} ({spread.q1:.{digits}f}-{spread.q3:.{digits}f})"
