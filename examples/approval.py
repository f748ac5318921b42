"""An expense claim waits for somebody's approval, for half a week, and meanwhile reminds them every day.

    trioflow run examples/approval.py --virtual-time --event 'approval={"by": "ann"}@90000'
    trioflow run examples/approval.py --virtual-time
    trioflow run examples/approval.py --virtual-time --params '{"remind": "5 hours", "timeout": "1 day"}'

In the first Ann approves it after 25 hours (90,000 seconds): there has been one reminder, and the claim is paid. In the
others nobody does, and it is withdrawn. Virtual time jumps to when the next thing happens, so that days take a moment.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TypedDict

import trio

from trioflow import ReceivedEvent, WorkflowEntrypoint, WorkflowEvent, WorkflowStep, WorkflowTimeoutError


class Params(TypedDict, total=False):
    """What `--params` may hold."""

    amount: int
    remind: str
    timeout: str


class Decision(TypedDict):
    """What comes with an event of the type "approval"."""

    by: str


class Claim(WorkflowEntrypoint):
    """Pays a claim if somebody approves it in time."""

    async def run(self, event: WorkflowEvent[Params], step: WorkflowStep) -> str:
        @step.do("file")
        def claim() -> str:
            return f"claim over {event.payload.get('amount', 120)} euros"

        @step.do("pay")
        def pay(claim: str) -> str:
            return f"{claim}: paid"

        @step.do("withdraw")
        def withdraw(claim: str) -> str:
            return f"{claim}: withdrawn"

        async def keep_reminding() -> None:
            while True:
                await step.sleep("until the next reminder", event.payload.get("remind", "1 day"))

                @step.do("remind")
                def remind(claim: str) -> None:
                    print(f"reminder: the {claim} waits for you")

                await remind()

        await claim()
        approval: ReceivedEvent[Decision] | None = None
        async with trio.open_nursery() as nursery:
            nursery.start_soon(keep_reminding)
            with suppress(WorkflowTimeoutError):
                approval = await step.wait_for_event("approval", "approval", event.payload.get("timeout", "3.5 days"))
            nursery.cancel_scope.cancel()  # no more reminders
        if not approval:
            return await withdraw()
        return f"{await pay()}, approved by {approval.payload['by']} after {approval.timestamp - event.timestamp}"
