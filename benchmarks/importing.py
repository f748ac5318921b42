"""Claim: `import trioflow` takes little more than `import trio`, which a Trio program pays for anyway.

Fresh interpreters import the one and the other by turns; each reads its own CPU time, so that starting Python is
outside. What counts is the difference.

What would change our mind: nothing so far. What is slow to import and rarely used is not imported by the front door.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import trio

import trioflow

from . import _budgets
from ._measure import Case, Side

TIMED: Final = "import time; begun = time.process_time(); import {module}; print(time.process_time() - begun)"


def _importing(module: str) -> Side:
    async def milliseconds() -> float:
        root = str(Path(trioflow.__file__).parent.parent)
        path = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
        command = [sys.executable, "-c", TIMED.format(module=module)]
        done = await trio.run_process(command, capture_stdout=True, env={**os.environ, "PYTHONPATH": path})
        return float(done.stdout) * 1e3

    return milliseconds


def cases() -> Iterator[Case]:
    """One case: milliseconds, ours beside Trio's."""
    yield Case(
        name="import beyond trio",
        per="import",
        sides=lambda: (_importing("trioflow"), _importing("trio")),
        budget=_budgets.IMPORT_MILLISECONDS,
        unit="ms",
        judged_by="difference",
        weight=2,
    )
