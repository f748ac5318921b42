"""Fifty pieces of a file are checked at once, one is corrupt: the others are stopped, and the run fails with that error.

    trioflow run examples/fan_out.py
    trioflow run examples/fan_out.py --params '{"corrupt": 30}'
    trioflow run examples/fan_out.py --params '{"corrupt": null}'

Piece 1 has one block, piece 2 has two, and so on; they take turns after each block. So when piece 20 turns out to be
corrupt, the smaller ones have been checked and the larger ones are on their way. These stop where they are, "assemble"
fails without having started, and each step can say why. With `null` all is well; the other commands exit with 1.
"""

from __future__ import annotations

from hashlib import sha256
from textwrap import shorten
from typing import TypedDict

import trio

from trioflow import Step, WorkflowEntrypoint, WorkflowEvent, WorkflowStep

BLOCK = 4096
PIECES = {number: bytes([number]) * BLOCK * number for number in range(1, 51)}
#: What the checksums were when all was well.
MANIFEST = {number: sha256(piece).hexdigest() for number, piece in PIECES.items()}


class Params(TypedDict, total=False):
    """What `--params` may hold."""

    corrupt: int | None


class CorruptError(Exception):
    """A piece isn't what it was."""


class Download(WorkflowEntrypoint):
    """Puts pieces together if they are what the manifest says."""

    async def run(self, event: WorkflowEvent[Params], step: WorkflowStep) -> str:
        corrupt = event.payload.get("corrupt", 20)
        checks = [declare_check(step, number, is_corrupt=number == corrupt) for number in PIECES]

        @step.do("assemble", depends=checks, concurrent=True)
        def assemble(*pieces: bytes) -> str:
            return f"{sum(map(len, pieces))} bytes, {sha256(b''.join(pieces)).hexdigest()}"

        try:
            return await assemble()
        finally:
            show([*checks, assemble])


def declare_check(step: WorkflowStep, number: int, *, is_corrupt: bool) -> Step[bytes]:
    @step.do(f"check piece {number}")
    async def check() -> bytes:
        piece = PIECES[number][:-1] + b"\0" if is_corrupt else PIECES[number]
        digest = sha256()
        for start in range(0, len(piece), BLOCK):
            digest.update(piece[start : start + BLOCK])
            await trio.lowlevel.checkpoint()  # let the others have their turn, and be stopped if need be
        if digest.hexdigest() != MANIFEST[number]:
            raise CorruptError(f"piece {number}: {digest.hexdigest()[:8]}… instead of {MANIFEST[number][:8]}…")
        return piece

    return check


def show(steps: list[Step[bytes] | Step[str]]) -> None:
    """Which steps have ended how, and why."""
    names: dict[tuple[str, str | None], list[str]] = {}
    for step in steps:
        names.setdefault((step.status, step.reason), []).append(step.name)
    for (status, reason), these in names.items():
        print(f"{len(these):2} {status}: {shorten(', '.join(these), 60, placeholder=' …')}")
        if reason is not None:
            print(f"   because {reason}")
