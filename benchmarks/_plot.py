"""What was measured, drawn: one picture for each chapter of which there are readings.

Matplotlib is imported when something is to be drawn, and not before: measuring must not depend on it. Drawn with its own
defaults and few words; every picture says below it on what it was measured.
"""

from __future__ import annotations

import importlib.util
import statistics
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from ._measure import Measured

MARKERS: Final = ("o", "s", "^", "D", "v", "P", "X", "*")
OURS: Final = "trioflow"
#: How the parts of `where.py` begin that are a saving.
SAVED: Final = "saved: "
COLOUR: Final = {True: "#b3202c", False: "#4a6785"}


class NoMatplotlibError(Exception):
    """There is nothing to draw with."""


def require() -> None:
    """Raises `NoMatplotlibError` if nothing can be drawn here: better before an hour of measuring than after it."""
    if importlib.util.find_spec("matplotlib") is None:
        raise NoMatplotlibError("--plot needs matplotlib: pip install -e '.[bench]'")


def draw(all_measured: Sequence[Measured], folder: Path, caption: str) -> list[str]:
    """Draw whatever there are readings for, as SVG and as PNG. A line for each picture, made or not.

    `caption`: on what it was measured; it stands below every picture.
    """
    folder.mkdir(parents=True, exist_ok=True)
    readings = [measured for measured in all_measured if measured.has_figures]
    lines = []
    for name, (needs, rows_of, paint) in PICTURES.items():
        rows = [measured for measured in readings if rows_of(measured)]
        if rows:
            lines += [f"drawn: {file}" for file in _save(name, rows, paint, folder, caption)]
        else:
            lines.append(f"not drawn: {name}, for which there are no readings: {needs}")
    return lines


def _save(
    name: str, rows: Sequence[Measured], paint: Callable[[Any, Sequence[Measured]], None], folder: Path, caption: str
) -> Iterator[Path]:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 5), layout="constrained")
    FigureCanvasAgg(figure)
    paint(figure, rows)
    figure.text(0.01, -0.02, caption, fontsize=7, color="#666666")
    for ending in ("svg", "png"):
        file = folder / f"{name}.{ending}"
        figure.savefig(file, bbox_inches="tight", dpi=150, metadata={"Date": None} if ending == "svg" else None)
        yield file


def _paint_systems(figure: Any, rows: Sequence[Measured]) -> None:
    """µs per step by system, a mark for each shape, the cheapest on top."""
    axes = figure.subplots()
    shapes = list(dict.fromkeys(str(m.case.about["shape"]) for m in rows))
    times: dict[str, dict[str, float]] = {}
    for m in rows:
        times.setdefault(str(m.case.about["system"]), {})[str(m.case.about["shape"])] = statistics.median(m.ours)
        by_hand = times.setdefault("graphlib runner by hand (Trio)", {})
        by_hand.setdefault(str(m.case.about["shape"]), statistics.median(m.beside))
    order = sorted(times, key=lambda system: -statistics.median(times[system].values()))
    figure.set_size_inches(9, 1.5 + 0.27 * len(order))
    for height, system in enumerate(order):
        found, colour = times[system], COLOUR[system.startswith(OURS)]
        axes.plot([min(found.values()), max(found.values())], [height, height], color=colour, linewidth=2, alpha=0.4)
        for shape, value in found.items():
            axes.plot(value, height, MARKERS[shapes.index(shape) % len(MARKERS)], color=colour, markersize=5)
    for shape, marker in zip(shapes, MARKERS, strict=False):
        axes.plot([], [], marker, color="#888888", label=shape)
    axes.set_yticks(range(len(order)), order)
    axes.set_xscale("log")
    _plain(axes.xaxis, wide=True)
    axes.set_xlabel("µs per no-op step, on a logarithmic scale (less is better)")
    axes.grid(axis="x", which="both", alpha=0.25)
    axes.legend(loc="lower left", fontsize=8)


def _paint_growth(unit: str) -> Callable[[Any, Sequence[Measured]], None]:
    def paint(figure: Any, rows: Sequence[Measured]) -> None:
        axes = figure.subplots()
        series: dict[str, dict[int, float]] = {}
        for m in rows:
            steps = int(m.case.about["steps"])
            series.setdefault(_series(m), {})[steps] = statistics.median(m.ours)
            if "beside" in m.case.about:
                series.setdefault(str(m.case.about["beside"]), {})[steps] = statistics.median(m.beside)
        for (name, points), marker in zip(sorted(series.items(), key=_last), MARKERS * len(series), strict=False):
            mine = name.startswith(OURS)
            axes.plot(
                sorted(points),
                [points[steps] for steps in sorted(points)],
                f"{marker}-",
                label=name,
                linewidth=2 if mine else 1,
                alpha=1 if mine else 0.75,
            )
        axes.set_xscale("log")
        axes.set_yscale("log")
        _plain(axes.xaxis)
        _plain(axes.yaxis)
        axes.set_xlabel("steps in the graph (layered, three dependencies each)")
        axes.set_ylabel(unit)
        axes.grid(which="both", alpha=0.25)
        axes.legend(fontsize=8)

    return paint


def _series(measured: Measured) -> str:
    return str(measured.case.about.get("series") or measured.case.about["system"])


def _last(series: tuple[str, dict[int, float]]) -> float:
    points = series[1]
    return -points[max(points)]


def _plain(axis: Any, *, wide: bool = False) -> None:
    """Whole numbers and not powers of ten; at 1, 2 and 5 unless it goes over many powers."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axis.set_major_locator(LogLocator(subs=(1,) if wide else (1, 2, 5)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.6g}"))
    axis.set_minor_formatter(NullFormatter())
    axis.set_tick_params(labelsize=8)


def _paint_parts(figure: Any, rows: Sequence[Measured]) -> None:
    """What each part costs, and beside that what is saved: one is so much larger that it needs a scale of its own."""
    costs = [m for m in rows if not str(m.case.about["variant"]).startswith(SAVED)]
    saved = [m for m in rows if m not in costs]
    bodies = list(dict.fromkeys(str(m.case.about["body"]) for m in rows))
    figure.set_size_inches(9, 2 + 0.15 * (_lines(costs) + _lines(saved)))
    panels = figure.subplots(2, height_ratios=[_lines(costs), max(1, _lines(saved))])
    for axes, some, what in ((panels[0], costs, "costs"), (panels[1], saved, "would cost without it")):
        _paint_bars(axes, some, bodies, sign=-1 if what == "costs" else 1)
        axes.set_xlabel(f"µs per step that it {what} (differences, with their quartiles)", fontsize=8)
    panels[0].legend(
        [panels[0].barh([0], [0], color=f"C{at}") for at in range(len(bodies))], bodies, fontsize=8, loc="lower right"
    )


def _lines(rows: Sequence[Measured]) -> int:
    return len({m.case.about["variant"] for m in rows}) + len(rows)


def _paint_bars(axes: Any, rows: Sequence[Measured], bodies: Sequence[str], *, sign: int) -> None:
    """A group of bars for each part, from the top; `sign`: -1 turns what is gained by leaving out into what it costs."""
    ticks, labels, height = [], [], 0.0
    for part in dict.fromkeys(str(m.case.about["variant"]) for m in rows):
        group = [m for m in rows if m.case.about["variant"] == part]
        ticks.append(height - (len(group) - 1) / 2)
        labels.append(part.removeprefix(SAVED))
        for m in group:
            ends = sorted((sign * m.spread.q1, sign * m.spread.q3))
            middle = sign * m.spread.median
            errors = [[middle - ends[0]], [ends[1] - middle]]
            colour = f"C{bodies.index(str(m.case.about['body']))}"
            axes.barh(height, middle, 0.9, xerr=errors, color=colour, error_kw={"linewidth": 0.8, "alpha": 0.6})
            height -= 1
        height -= 1
    axes.set_yticks(ticks, labels, fontsize=8)
    axes.axvline(0, color="#444444", linewidth=0.8)
    axes.grid(axis="x", alpha=0.25)


def _is_growth(measured: Measured, unit: str) -> bool:
    wanted = {"memory"} if unit == "bytes" else {"scale"}
    return wanted <= measured.case.chapters and measured.case.unit == unit and "steps" in measured.case.about


#: For each: what to ask for, which readings it shows, and how.
PICTURES: Final[dict[str, tuple[str, Callable[[Measured], bool], Callable[[Any, Sequence[Measured]], None]]]] = {
    "systems": ("--peers", lambda m: "shape" in m.case.about and bool(m.beside), _paint_systems),
    "size": ("--scale", lambda m: _is_growth(m, "us"), _paint_growth("µs per step")),
    "memory": ("--memory", lambda m: _is_growth(m, "bytes"), _paint_growth("bytes per step")),
    "where": ("--where", lambda m: "variant" in m.case.about, _paint_parts),
}
