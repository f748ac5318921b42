"""What is kept: all readings as JSON, with what the machine was like, and back again.

The machine's checks and facts are pyperf's where it is installed. Its name and its paths are left out.
"""

from __future__ import annotations

import importlib.util
import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import attrs
import trio

from . import _report
from ._budgets import Stage
from ._measure import Case, Measured, Side

#: Of what pyperf knows, the facts that a reading depends on.
FACTS: Final = (
    "aslr",
    "cpu_affinity",
    "cpu_config",
    "cpu_freq",
    "cpu_machine",
    "cpu_model_name",
    "date",
    "platform",
    "python_compiler",
    "python_implementation",
    "runnable_threads",
    "uptime",
)


class UnusableError(Exception):
    """A file of readings that is none, or not of what it should be."""


def surroundings() -> dict[str, object]:
    """What the figures depend on, beside the code."""
    return {
        "python": platform.python_version(),
        "trio": trio.__version__,
        "load": round(os.getloadavg()[0], 2),
        "cores": os.cpu_count(),
    }


def machine() -> dict[str, object]:
    """What pyperf finds out about the machine; where it isn't installed, only what it is."""
    if importlib.util.find_spec("pyperf") is not None:
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder, "facts.json")
            command = [sys.executable, "-m", "pyperf", "collect_metadata", "--output", str(file)]
            subprocess.run(command, capture_output=True, check=True)
            found = json.loads(file.read_text())["metadata"]
        return {name: found[name] for name in FACTS if name in found}
    date = datetime.now().isoformat(sep=" ", timespec="seconds")
    return {"date": date, "platform": platform.platform(), "cpu_machine": platform.machine()}


def in_a_line(facts: Mapping[str, Any]) -> str:
    """When and on what something was measured, for below a picture."""
    machine = facts["machine"]
    what = machine.get("cpu_model_name") or machine.get("cpu_machine", "unknown processor")
    parts = [str(machine.get("date", ""))[:10], f"{what}, {facts['cores']} cores"]
    return " · ".join(filter(None, [*parts, f"Python {facts['python']}, Trio {facts['trio']}"]))


def advice() -> list[str]:
    """What pyperf would have one change on this machine before measuring; nothing where it isn't installed."""
    if importlib.util.find_spec("pyperf") is None:
        return []
    command = [sys.executable, "-m", "pyperf", "system", "show"]
    said = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    return advice_in(said)


def advice_in(said: str) -> list[str]:
    """The lines below "Advices", up to the next empty line but one."""
    _, _, after = said.partition("\nAdvices\n=======\n")
    block, _, _ = after.strip().partition("\n\n")
    return [line.strip() for line in block.splitlines()]


def facts(steps: int) -> dict[str, Any]:
    """All that is kept beside the readings; `steps`: as asked for."""
    return {**surroundings(), "steps": steps, "machine": machine()}


def as_json(all_measured: Sequence[Measured], stage: Stage, facts: Mapping[str, Any]) -> dict[str, Any]:
    """Everything that was read, for whoever compares two reports or draws them."""
    kept = {name: facts[name] for name in (*surroundings(), "steps", "machine")}
    return {**kept, "budgets": stage, "cases": [_entry(m, stage) for m in all_measured]}


def _entry(measured: Measured, stage: Stage) -> dict[str, Any]:
    case = measured.case
    return {
        "name": case.name,
        "per": case.per,
        "unit": case.unit,
        "judged_by": case.judged_by,
        "chapters": sorted(case.chapters),
        "about": dict(case.about),
        "ours": list(measured.ours),
        "beside": list(measured.beside),
        "judged": attrs.asdict(measured.spread) if measured.has_figures else None,
        "budget": None if case.budget is None else case.budget.at(stage),
        "verdict": _report.verdict(measured, stage),
        "wrong": measured.wrong,
        "cannot": measured.cannot,
        "processes": measured.processes,
    }


def read(file: Path | None) -> dict[str, Any] | None:
    """The facts of a report; its cases as `Measured` under "measured". None if there is no file to read.

    Raises:
        UnusableError: if the file isn't there or isn't what `as_json` makes.
    """
    if file is None:
        return None
    try:
        kept = json.loads(file.read_text())
        kept["measured"] = [_measured(entry) for entry in kept["cases"]]
    except (OSError, ValueError, KeyError, TypeError) as exc:
        raise UnusableError(f"{file} holds no readings of `--json` ({type(exc).__name__}: {exc})") from exc
    return dict(kept)


def pooled(case: Case, parts: Sequence[Measured]) -> Measured:
    """The readings of one case from several processes."""
    return Measured(
        case=case,
        ours=tuple(reading for part in parts for reading in part.ours),
        beside=tuple(reading for part in parts for reading in part.beside),
        wrong=next((part.wrong for part in parts if part.wrong is not None), None),
        cannot=next((part.cannot for part in parts if part.cannot is not None), None),
        processes=sum(part.processes for part in parts),
    )


def processes_of(kept: dict[str, Any] | None) -> int:
    """In how many processes a report was measured; 1 if there is none."""
    return 1 if kept is None else max((measured.processes for measured in kept["measured"]), default=1)


def comparable(old: dict[str, Any] | None, steps: int) -> None:
    """Raises `UnusableError` if `old` was measured with another number of steps."""
    if old is not None and old["steps"] != steps:
        raise UnusableError(f"an old report with --steps {old['steps']} can't be compared with --steps {steps}")


def described(kept: dict[str, Any]) -> str:
    """When and on what it was measured."""
    date = str(kept["machine"].get("date", "no date"))[:16]
    return f"{date}, Python {kept['python']}, Trio {kept['trio']}, load {kept['load']}"


def _measured(entry: dict[str, Any]) -> Measured:
    case = Case(
        name=entry["name"],
        per=entry["per"],
        sides=_gone,
        budget=None,
        unit=entry["unit"],
        judged_by=entry["judged_by"],
        chapters=frozenset(entry["chapters"]),
        about=entry["about"],
    )
    return Measured(
        case=case,
        ours=tuple(map(float, entry["ours"])),
        beside=tuple(map(float, entry["beside"])),
        wrong=entry["wrong"],
        cannot=entry["cannot"],
        processes=entry["processes"],
    )


def _gone() -> tuple[Side, Side | None]:
    raise AssertionError("this case was measured elsewhere")
