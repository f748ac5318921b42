"""All cases, in the order in which they are reported."""

from __future__ import annotations

from . import (
    asleep,
    declaring,
    demands,
    dependencies,
    extras,
    handwritten,
    importing,
    memory,
    runs,
    size,
    steps,
    stopping,
)
from ._measure import Case


def all_cases(n: int = 1000, *, large: int = 100_000, huge: int | None = None) -> list[Case]:
    """n: the usual number of steps, demands, siblings; `large`: what shows growth; `huge`: the same, on request."""
    return [
        *steps.cases(n),
        *asleep.cases(n),
        *runs.cases(n),
        *demands.cases(n),
        *stopping.cases(n),
        *dependencies.cases(n),
        *declaring.cases(n, large),
        *extras.cases(n),
        *handwritten.cases(n),
        *size.cases(n, large, huge),
        *memory.cases(large),
        *importing.cases(),
    ]
