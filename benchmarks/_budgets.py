"""What each claim may cost: the numbers, in one place, so that a report can be held against them.

A budget is an upper bound on what a case is judged by (a ratio, milliseconds or bytes). `core` holds while the
runtime is being completed, `end` is where it has to arrive. A budget is loosened here in the open or not at all.
"""

from __future__ import annotations

from typing import Final, Literal, TypeAlias, final

import attrs

#: Which of the two numbers a report is held against.
Stage: TypeAlias = Literal["core", "end"]


@final
@attrs.frozen
class Budget:
    """Upper bounds, in the unit of what the case is judged by."""

    core: float
    end: float

    def at(self, stage: Stage) -> float:
        return self.core if stage == "core" else self.end


NO_OP: Final = Budget(core=0.5, end=0.2)
CHECKPOINT: Final = Budget(core=0.8, end=0.45)
ASLEEP: Final = Budget(core=1.3, end=1.10)
SYNC: Final = Budget(core=0.25, end=0.15)
DEPENDENCY_RUN: Final = Budget(core=0.02, end=0.015)
DEPENDENCY_DECLARED: Final = Budget(core=0.02, end=0.015)
DECLARING: Final = Budget(core=0.3, end=0.2)
DECLARING_LARGE: Final = Budget(core=0.6, end=0.4)
SMALL_RUN: Final = Budget(core=1.3, end=0.9)
DEMANDS_IN_TURN: Final = Budget(core=0.6, end=0.4)
DEMANDS_AT_ONCE: Final = Budget(core=1.1, end=0.5)
STOPPING: Final = Budget(core=1.5, end=1.1)
SIZE: Final = Budget(core=1.5, end=1.3)
MEMORY_BYTES: Final = Budget(core=600, end=450)
HANDWRITTEN_ASYNC: Final = Budget(core=0.8, end=0.3)
HANDWRITTEN_SYNC: Final = Budget(core=0.3, end=0.2)
IMPORT_MILLISECONDS: Final = Budget(core=50, end=50)
#: What one thing more than a body costs a step. No promise says so: they are here so that it is noticed when one grows.
RETRIES_MICROSECONDS: Final = Budget(core=4, end=2)
TIMEOUT_MICROSECONDS: Final = Budget(core=12, end=8)
IDLE_MICROSECONDS: Final = Budget(core=0.3, end=0.3)
RECORDER_MICROSECONDS: Final = Budget(core=25, end=15)
