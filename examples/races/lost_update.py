"""Two payments into one account, one of which gets lost: a lost update between two bodies.

Each reads the balance and writes back what it has read plus its own amount, with a question to the bank in between. The
review of the one takes a moment longer than that of the other, so that usually the other is done by then.

    explore(LostUpdate, check=lambda balance: balance == 112)
"""

from __future__ import annotations

from trio.lowlevel import checkpoint

from trioflow import WorkflowEntrypoint, WorkflowEvent, WorkflowStep


class LostUpdate(WorkflowEntrypoint):
    async def run(self, event: WorkflowEvent[None], step: WorkflowStep) -> int:
        balance = 100

        async def pay(amount: int, reviews: int) -> None:
            nonlocal balance
            for _ in range(reviews):
                await checkpoint()  # which stands for a request to somebody, here and below
            before = balance
            await checkpoint()
            balance = before + amount  # the mistake: it may have changed since then

        @step.do("pay 5")
        async def five() -> None:
            await pay(5, reviews=1)

        @step.do("pay 7")
        async def seven() -> None:
            await pay(7, reviews=3)

        @step.do("balance", depends=[five, seven], concurrent=True)
        def total(_: None, __: None) -> int:
            return balance

        return await total()
