"""Virtual time: it jumps to the next deadline when all are blocked, waits for threads and sockets, and notices a deadlock."""

from __future__ import annotations

import gc
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import trio

from trioflow.testing.timekeeping import VirtualClock


def run(program: Callable[[], Awaitable[Any]]) -> list[Any]:
    """What it returns if anything, and "stuck" for each time that it was found to be."""
    clock, happened = VirtualClock(), list[Any]()

    async def main() -> None:
        with trio.CancelScope() as scope:
            happened.append(await program())
        if scope.cancelled_caught:
            happened.append("cancelled")

    async def all_of_it() -> None:
        async with trio.open_nursery() as nursery:

            def stuck() -> None:
                happened.append("stuck")
                inner.cancel_scope.cancel()

            begun = trio.Event()
            nursery.start_soon(clock.keep, begun, stuck, bool)
            await begun.wait()
            async with trio.open_nursery() as inner:
                inner.start_soon(main)
            nursery.cancel_scope.cancel()

    trio.run(all_of_it, clock=clock)
    return happened


def test_time_jumps_to_the_next_deadline_and_nowhere_else() -> None:
    async def program() -> list[float]:
        times = [trio.current_time()]
        await trio.sleep(3)
        times.append(trio.current_time())
        with trio.move_on_after(10):
            await trio.sleep_forever()
        times.append(trio.current_time())
        await trio.lowlevel.checkpoint()
        await trio.sleep(80_000)
        return [*times, trio.current_time()]

    began = time.perf_counter()
    assert run(program) == [[0.0, 3.0, 13.0, 80_013.0]]
    assert time.perf_counter() - began < 10


def test_it_stands_still_while_a_thread_works() -> None:
    async def program() -> float:
        with trio.fail_after(0.001):
            await trio.to_thread.run_sync(time.sleep, 0.02)
        return trio.current_time()

    assert run(program) == [0.0]


def test_a_program_in_which_all_wait_for_ever_is_stuck() -> None:
    assert run(trio.sleep_forever) == ["stuck"]


def test_who_waits_for_a_socket_is_not_stuck() -> None:
    async def program() -> bytes:
        mine, yours = trio.socket.socketpair()
        with mine, yours:
            async with trio.open_nursery() as nursery:

                @nursery.start_soon
                async def send() -> None:
                    await trio.to_thread.run_sync(time.sleep, 0.01, limiter=trio.CapacityLimiter(1))
                    await yours.send(b"here")

                return await mine.recv(10)

    assert run(program) == [b"here"]


def test_a_program_that_nothing_ends_is_broken_off() -> None:
    async def never() -> None:
        with trio.CancelScope(shield=True):
            await trio.sleep_forever()

    clock, calls = VirtualClock(), []

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            begun = trio.Event()
            nursery.start_soon(clock.keep, begun, lambda: calls.append(1), bool)
            await begun.wait()
            await never()

    with pytest.raises(trio.TrioInternalError) as caught:
        trio.run(main, clock=clock)
    assert "shielded scope" in str(caught.value.__cause__)
    assert len(calls) == 3
    del caught
    silently_collected()


def silently_collected() -> None:
    """Trio has dropped tasks in the middle of something: what they say of that is no news."""
    hook, sys.unraisablehook = sys.unraisablehook, lambda _: None
    try:
        gc.collect()
    finally:
        sys.unraisablehook = hook
