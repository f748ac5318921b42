"""All cases, in the order in which they are reported."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from . import (
    asleep,
    declaring,
    demands,
    dependencies,
    extras,
    handwritten,
    importing,
    memory,
    peers,
    prices,
    resident,
    runs,
    scale,
    size,
    steps,
    stopping,
    where,
)
from ._measure import Case

SIZES: Final = (1_000, 10_000, 100_000, 1_000_000)


def all_cases(n: int = 1000, *, sizes: Sequence[int] = SIZES) -> list[Case]:
    """n: the usual number of steps, demands, siblings; `sizes`: four that show growth, the last one only on request."""
    *_, large, huge = sizes
    return [
        *prices.cases(n),
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
        *memory.cases(sizes[:-1]),
        *importing.cases(),
        *scale.cases(sizes),
        *resident.cases(sizes),
        *where.cases(n),
        *peers.cases(n),
    ]
