"""Which words does a text use most? Two readers take one half each, at the same time: a diamond of four steps.

    trioflow run examples/diamond.py
    trioflow run examples/diamond.py --params '{"top": 3}'

Each reader needs a tenth of a second, and so do both together: the last step is `concurrent=True`, so what it depends
on is begun at the same time. Without that the second reader would wait for the first. The text is split only once,
although both readers need it.
"""

from __future__ import annotations

from collections import Counter
from typing import TypedDict

import trio

from trioflow import WorkflowEntrypoint, WorkflowEvent, WorkflowStep, run_workflow

TEXT = """\
The river runs and the river sings,
it sings of rain and of rainy things;
the rain comes down and the river grows,
and where the river goes, the river knows.
The sea is wide and the sea is deep,
and all the rain is the sea's to keep
until the sun, when the sea is warm,
has made of the sea a cloud and a storm.
"""


class Params(TypedDict, total=False):
    """What `--params` may hold."""

    top: int


class Words(WorkflowEntrypoint):
    """Counts words and draws the most frequent ones."""

    async def run(self, event: WorkflowEvent[Params], step: WorkflowStep) -> dict[str, int]:
        @step.do("split the text")
        async def halves() -> list[str]:
            lines = TEXT.splitlines()
            middle = len(lines) // 2
            return [" ".join(lines[:middle]), " ".join(lines[middle:])]

        @step.do("read the first half", depends=[halves])
        async def first(halves: list[str]) -> Counter[str]:
            return await read(halves[0])

        @step.do("read the second half", depends=[halves])
        async def second(halves: list[str]) -> Counter[str]:
            return await read(halves[1])

        @step.do("add up", depends=[first, second], concurrent=True)
        async def total(first: Counter[str], second: Counter[str]) -> dict[str, int]:
            return dict((first + second).most_common(event.payload.get("top", 5)))

        words = await total()
        for word, count in words.items():
            print(f"{word:>8} {'#' * count} {count}")
        return words


async def read(text: str) -> Counter[str]:
    """The words of a text and how often each occurs, read at a tenth of a second a text."""
    await trio.sleep(0.1)
    return Counter(word.strip(".,;").removesuffix("'s").lower() for word in text.split())


if __name__ == "__main__":
    trio.run(run_workflow, Words)
