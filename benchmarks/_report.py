"""What is printed: a line per case as it is measured, and tables of what belongs together.

Ratios first: figures of one side alone are there only so that a reader can see the order of magnitude.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from ._budgets import Stage
from ._measure import Measured

FLOOR: Final = (
    "floor: bare Trio tasks of the same shape, a cancel scope each; for 'by hand', 'scale run' and peers the graphlib\n"
    "runner, for 'size', 'with' and 'where' trioflow itself, for 'import' trio"
)


def header(width: int, stage: Stage, facts: Mapping[str, object]) -> str:
    """The lines above the first case; `width`: of the longest name."""
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
    if measured.cannot is not None:
        return f"{start}{measured.cannot}"
    budget = "-" if case.budget is None else f"{case.budget.at(stage):g}{_unit(measured)}"
    ours, beside = _middle(measured.ours, case.unit), _middle(measured.beside, case.unit)
    return f"{start}{ours:>9}  {beside:>9}  {_judged(measured):>22}  {budget:>8}  {verdict(measured, stage)}"


def verdict(measured: Measured, stage: Stage) -> str:
    """`ok`, `OVER`, `WRONG`, or `-` where there is no budget; with a word if what stood beside can't be believed."""
    if measured.wrong is not None:
        return "WRONG"
    if measured.cannot is not None:
        return "-"
    word = "-" if measured.case.budget is None else "OVER" if measured.over(stage) else "ok"
    if measured.in_doubt and measured.case.credible is not None:
        word += " (what stands beside isn't at {}-{} us: a loaded machine?)".format(*measured.case.credible)
    return word


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


# ---------------------------------------------------------------- tables of what belongs together


def tables(all_measured: Sequence[Measured]) -> str:
    """In Markdown: systems against shapes, and where a step's microseconds go; those for which something was measured."""
    made = []
    rows = [m for m in all_measured if {"system", "shape"} <= set(m.case.about)]
    if rows:
        made.append(_grid(rows, "system", "shape", "us per step (x the graphlib runner)", _time_and_ratio))
    rows = [m for m in all_measured if "variant" in m.case.about]
    if rows:
        made.append(_grid(rows, "variant", "body", "us per step that it costs", _difference))
    return "\n\n".join(made)


def _grid(rows: Sequence[Measured], down: str, across: str, corner: str, show: Callable[[Measured], str]) -> str:
    lines = list(dict.fromkeys(str(m.case.about[down]) for m in rows))
    columns = list(dict.fromkeys(str(m.case.about[across]) for m in rows))
    cells = {(str(m.case.about[down]), str(m.case.about[across])): show(m) for m in rows}
    table = [[corner, *columns], ["---", *["--:"] * len(columns)]]
    table += [[name, *[cells.get((name, column), "") for column in columns]] for name in lines]
    widths = [max(len(row[i]) for row in table) for i in range(len(table[0]))]
    return "\n".join(
        "| " + " | ".join(f"{cell:{w}}" for cell, w in zip(row, widths, strict=True)) + " |" for row in table
    )


def _time_and_ratio(measured: Measured) -> str:
    if measured.wrong is not None:
        return "WRONG"
    if measured.cannot is not None:
        return measured.cannot.partition(":")[0]
    time = short(statistics.median(measured.ours))
    return f"{time} ({short(measured.spread.median)}x)" if measured.beside else time


def _difference(measured: Measured) -> str:
    if not measured.has_figures:
        return "WRONG" if measured.wrong else "-"
    spread = measured.spread
    return f"{-spread.median:+.2f} ({-spread.q3:+.2f} to {-spread.q1:+.2f})"


def short(value: float) -> str:
    """Three digits that count: 0.123, 1.23, 12.3, 123, 1,230."""
    if value >= 100:
        return f"{float(f'{value:.3g}'):,.0f}"
    return f"{value:.{1 if value >= 10 else 2 if value >= 1 else 3}f}"
