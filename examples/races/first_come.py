"""A ranking that depends on who was asked first: a result that the order of tasks decides.

Three shops are asked at the same time, and the cheapest wins. Two ask the same price. Of equals `min` takes the first in the
list, which is whoever has answered first: always the same one, as it seems.

    explore(cheapest)
"""

from __future__ import annotations

import trio

from trioflow import WorkflowEvent, WorkflowStep

PRICES = {"harbour": 420, "station": 390, "airport": 390}


async def cheapest(event: WorkflowEvent[None], step: WorkflowStep) -> str:
    offers: list[tuple[str, int]] = []
    asked = []
    for shop, price in PRICES.items():

        @step.do(f"ask {shop}")
        async def ask(shop: str = shop, price: int = price) -> None:
            await trio.sleep(2)
            offers.append((shop, price))  # the mistake: `return shop, price` would leave the order to `depends`

        asked.append(ask)

    @step.do("choose", depends=asked, concurrent=True)
    def choose(*_: None) -> str:
        return min(offers, key=lambda offer: offer[1])[0]

    return await choose()
