"""`step.sleep`: a pause that can be awaited, or started in a nursery, and says so when it was forgotten.

`async def` would do but for the last: Python reports a coroutine that nobody awaited when it is collected, without the
place where it was made. Files written for Cloudflare do forget it (there a sleep begins when it is created), so the
report names the file and the line.
"""

from __future__ import annotations

from collections.abc import Coroutine, Generator
from types import TracebackType
from typing import Any, final

import attrs
import trio


@final
@attrs.define(eq=False)
class Sleep(Coroutine[Any, Any, None]):
    """A pause in the run's Trio clock. Await it, or pass it to a nursery's `start_soon` through `step.sleep`. A checkpoint."""

    name: str
    seconds: float
    #: What has been created and not been awaited; it takes itself out.
    _unawaited: dict[object, tuple[str, str, int]]
    _coroutine: Coroutine[Any, Any, None] | None = None

    def _begin(self) -> Coroutine[Any, Any, None]:
        if self._coroutine is None:
            self._unawaited.pop(self, None)
            self._coroutine = trio.sleep(self.seconds)  # noqa: ASYNC105
        return self._coroutine

    def __await__(self) -> Generator[Any, Any, None]:
        return self._begin().__await__()

    def send(self, value: Any, /) -> Any:
        return self._begin().send(value)

    def throw(  # type: ignore[override]
        self, typ: Any, val: BaseException | None = None, tb: TracebackType | None = None, /
    ) -> Any:
        return self._begin().throw(typ if val is None else val)

    def close(self) -> None:
        if self._coroutine is not None:
            self._coroutine.close()
