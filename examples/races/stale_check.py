"""A ticket for a seat that is free again: a check that a cancelled sibling makes out of date.

A seat is reserved while the card is charged. If that fails, the reservation is cancelled with it, and gives the seat back.
Meanwhile somebody prints the ticket as soon as the seat is reserved, having looked that it is.

    explore(Booking, check=lambda booked: not booked["ticket"] or booked["seat"])
"""

from __future__ import annotations

from contextlib import suppress

import trio

from trioflow import WorkflowEntrypoint, WorkflowEvent, WorkflowStep


class CardDeclined(Exception):
    """The bank says no."""


class Booking(WorkflowEntrypoint):
    async def run(self, event: WorkflowEvent[None], step: WorkflowStep) -> dict[str, bool]:
        booked = {"seat": False, "ticket": False}

        @step.do("reserve")
        async def reserve() -> None:
            booked["seat"] = True
            try:
                await trio.sleep(60)  # until the hall has confirmed it
            except trio.Cancelled:
                booked["seat"] = False
                raise

        @step.do("charge")
        async def charge() -> None:
            await trio.sleep(5)
            raise CardDeclined

        @step.do("book", depends=[reserve, charge], concurrent=True)
        def book(_: None, __: None) -> None:
            """Both have to be done."""

        @step.do("print")
        async def ticket() -> None:
            await trio.sleep(5)
            await trio.lowlevel.checkpoint()  # the printer is switched on
            if booked["seat"]:
                await trio.lowlevel.checkpoint()  # the mistake: while it prints, the seat may be given back
                booked["ticket"] = True

        async def print_it() -> None:
            await ticket()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(print_it)
            with suppress(CardDeclined):
                await book()
        return booked
