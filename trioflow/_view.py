"""What every way of showing a run has to do, and what most of them do alike.

There are three: plain lines (`_lines`), facts for programs (`_feed`) and the live tree (`_live`). Which one it is to be is
`_console`'s decision; the command line knows only this.
"""

from __future__ import annotations

import attrs
import trio

from ._board import Board
from ._streams import print_output, say
from .abc import Instrument


@attrs.define(eq=False)
class View(Instrument):
    """An instrument that shows a run to somebody. The board has to be told before it."""

    board: Board

    @property
    def picture(self) -> int | None:
        """The file descriptor of the terminal on which it is drawn again and again, if it is."""
        return None

    def open(self) -> None:
        """The run is about to begin."""

    async def keep_up(self) -> None:
        """Show how time passes, until cancelled, if that is shown at all. A checkpoint."""
        await trio.lowlevel.checkpoint()

    def stopping(self) -> None:
        """Ctrl-C was pressed. Called in a signal handler."""
        self.board.stopping = True

    def close(self, time: float) -> None:
        """The run is over: what ended without a word has ended now."""
        for _ in self.board.close(time):
            pass

    def tell(self, *lines: str) -> None:
        """What is to be said about the run when it is over: why it has failed."""
        say(*lines)

    def output(self, output: object) -> bool:
        """Hand over the result. False if it can't be written."""
        return print_output(output)
