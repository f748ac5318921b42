"""The floor: as many bare Trio tasks as the graph has steps, each with one cancel scope and nothing else.

It is what one pays in Trio for that many things that can be cancelled one by one, with no values, no sharing and no
order. Where the shape has width the tasks are spawned in one batch; where it has depth each spawns the next, because a
chain of bodies can't be had in one batch, and every hand-over is a turn of Trio's loop.

Where a body checkpoints, the floor's task has the same body. Where it doesn't, the scope is empty: an `await` of an
empty function is already more than the floor.
"""

from __future__ import annotations

import gc
from collections.abc import Sequence

import trio

from ._measure import clock, us_since
from .bodies import AsyncBody


async def bare() -> None:
    """One task of the floor, without a body."""
    with trio.CancelScope():  # noqa: ASYNC100 (the scope is what is measured)
        pass


async def hosting(body: AsyncBody) -> None:
    """One task of the floor, with a body."""
    with trio.CancelScope():
        await body()


async def in_a_batch(bodies: Sequence[AsyncBody | None]) -> float:
    """All at once. Microseconds per task."""
    gc.collect()
    begun = clock()
    async with trio.open_nursery() as nursery:
        for body in bodies:
            if body is None:
                nursery.start_soon(bare)
            else:
                nursery.start_soon(hosting, body)
    return us_since(begun, len(bodies))


async def handing_over(bodies: Sequence[AsyncBody | None]) -> float:
    """Each task spawns the next. Microseconds per task."""

    async def bare(left: int) -> None:
        with trio.CancelScope():  # noqa: ASYNC100
            pass
        if left:
            nursery.start_soon(kinds[left - 1], left - 1)

    async def hosting(left: int) -> None:
        body = bodies[left]
        assert body is not None
        with trio.CancelScope():
            await body()
        if left:
            nursery.start_soon(kinds[left - 1], left - 1)

    kinds = [bare if body is None else hosting for body in bodies]
    last = len(bodies) - 1
    gc.collect()
    begun = clock()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(kinds[last], last)
    return us_since(begun, len(bodies))
