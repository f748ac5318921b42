"""The live tree at a terminal: how a run's picture looks, and when it is drawn.

Each state has a mark of its own beside its colour, since not everybody sees the colours. Lines are cut, never broken.

People see no more than twenty pictures a second. Between two there are at least 50 ms of real time, and ten times as long as
the last one took: a run of a hundred thousand steps loses a tenth of its time at most. After a fact there is a picture as
soon as that allows; while nothing happens a task draws ten a second, so that clocks are seen to move. In virtual time there
is no such task: the clock would wait for it every tenth of a second, and crawl through the days that it should skip.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final, final

import attrs
import trio
from rich.cells import cell_len, set_cell_size
from rich.text import Text
from trio.lowlevel import enable_ki_protection

from ._live import Screen
from ._streams import say
from ._tree import FOLDED, Line, Picture, picture
from ._view import View
from ._watchers import FACTS
from .abc import Fact

#: Between two pictures, in seconds of real time.
SHORTEST: Final = 0.05
#: Between two while nothing happens, in seconds of the run's clock.
TICK: Final = 0.1

#: Mark, mark where there are no such characters, style.
_MARKS: Final = {
    "running": ("●", "*", "cyan"),
    "retrying": ("↻", "r", "yellow"),
    "stopping": ("◌", "s", "yellow"),
    "sleeping": ("~", "~", "blue"),
    "waiting": ("?", "?", "blue"),
    "failed": ("✗", "x", "bold red"),
    "late": ("✗", "x", "red"),
    "cancelled": ("⊘", "/", "yellow"),
    "pending": ("…", ".", "dim"),
    "done": ("✓", "+", "green"),
    "again": ("↑", "^", "dim"),
}
_NAMES: Final = {"running": "bold", "failed": "bold", "pending": "dim", "again": "dim"}
_WORDS: Final = {"failed": "red", "late": "red", "retrying": "yellow", "cancelled": "yellow", "stopping": "yellow"}
_PLAIN_MARKS: Final = str.maketrans(
    "├└│" + "".join(mark for mark, _, _ in _MARKS.values()), "|`|" + "".join(plain for _, plain, _ in _MARKS.values())
)
_SPINNER: Final = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
_PLAIN_SPINNER: Final = "|/-\\"


@final
@attrs.define(eq=False)
class Tree(View):
    """Draws the tree on a screen: it is on from `open` to `close`."""

    screen: Screen
    #: Whether the run's clock is a virtual one.
    is_virtual: bool
    #: Real time, in seconds.
    clock: Callable[[], float] = time.monotonic
    #: When there may be another picture.
    _next: float = attrs.field(default=0.0, init=False)

    @property
    def picture(self) -> int | None:
        return self.screen.number

    def told(self, fact: Fact, /) -> None:
        """Something has happened."""
        if self.clock() >= self._next:
            self.draw()

    def open(self) -> None:
        self.screen.start()

    def draw(self) -> None:
        """Now, unless somebody is printing just now."""
        began = self.clock()
        self.screen.draw(self._drawing)
        now = self.clock()
        self._next = now + max(SHORTEST, 10 * (now - began))

    @enable_ki_protection
    async def keep_up(self) -> None:
        if self.is_virtual:
            await super().keep_up()
            return
        while True:
            await trio.sleep(TICK)
            if self.clock() >= self._next:
                self.draw()

    def stopping(self) -> None:
        super().stopping()
        self.draw()

    def close(self, time: float) -> None:
        super().close(time)
        say()  # what the workflow has printed and not flushed stands above
        self.draw()
        self.screen.stop()

    def tell(self, *lines: str) -> None:
        self.screen.stop()
        for line in lines:
            self.screen.console.print(Text(line, style=_style_of(line)), soft_wrap=True)

    # ------------------------------------------------------------------------------------------------------ drawing

    def _drawing(self, width: int, height: int) -> list[Text]:
        now = self.board.ended if self.board.ended is not None else trio.current_time()
        is_plain = not self.screen.console.encoding.lower().startswith("utf")
        seen = picture(self.board, now, max(0, height - 2))  # the summary, and at least a line of what is above
        return drawn(seen, width, self.clock(), is_plain)


def _told(view: Tree, fact: Fact, /) -> None:
    view.told(fact)


for _kind in FACTS.keys() - {"workflow_started"}:
    setattr(Tree, _kind, _told)  # every fact alike, but for the first: there is nothing to see yet


def drawn(seen: Picture, width: int, clock: float, is_plain: bool) -> list[Text]:
    """A picture in lines of at most `width` cells. `clock` turns the wheel of the summary."""
    column = _column(seen, width)
    texts = [_line(line, column, width) for line in seen.lines]
    if seen.folded:
        texts.append(_folded(seen, bool(seen.lines)))
    texts.append(_summary(seen, clock, is_plain))
    if is_plain:
        texts = [_plain(text) for text in texts]
    for text in texts:
        text.no_wrap, text.overflow = True, "crop" if is_plain else "ellipsis"
        text.truncate(width)
    return texts


def _column(seen: Picture, width: int) -> int:
    """Where the words begin behind the names: the same for all lines, and not too far right."""
    widest = max((cell_len(_branch(line, width)) + 2 + cell_len(line.name) for line in seen.lines), default=0)
    return min(widest, max(12, width // 2 if width < 60 else width * 3 // 5))


def _branch(line: Line, width: int) -> str:
    """How the line hangs on the one above; of a deep tree only the last levels."""
    longest = width // 3
    return line.branch if len(line.branch) <= longest else "…" + line.branch[-(longest - 1) :]


def _line(line: Line, column: int, width: int) -> Text:
    mark, _, style = _MARKS[line.look]
    branch = _branch(line, width)
    room = column - cell_len(branch) - 2
    name = line.name
    if line.says:
        name = name if cell_len(name) <= room else set_cell_size(name, max(1, room - 1)) + "…"
        name = set_cell_size(name, max(room, cell_len(name)))
    text = Text()
    text.append(branch, "dim")
    text.append(f"{mark} ", style)
    text.append(name, _NAMES.get(line.look, ""))
    if line.says:
        text.append(f"  {line.says}", _WORDS.get(line.look, "dim"))
    return text


def _folded(seen: Picture, has_more: bool) -> Text:
    text = Text("… " if has_more else "", "dim")
    for number, (look, count) in enumerate(seen.folded):
        mark, _, style = _MARKS[look]
        text.append("  " if number else "")
        text.append(f"{mark} ", style)
        more = "" if look in ("done", "pending") else "more "
        what = FOLDED[look] if seen.is_going_on or look != "pending" else "not started"
        text.append(f"{count:,} {more}{what}")
    return text


def _summary(seen: Picture, clock: float, is_plain: bool) -> Text:
    wheel = _PLAIN_SPINNER if is_plain else _SPINNER
    text = Text()
    if seen.is_going_on:
        text.append(wheel[int(clock * 10) % len(wheel)] + " ", "cyan")
    text.append(seen.summary, "bold")
    return text


def _plain(text: Text) -> Text:
    """For a terminal without such characters."""
    said = text.plain.translate(_PLAIN_MARKS)
    return Text(said.encode("ascii", "replace").decode(), spans=text.spans)


def _style_of(line: str) -> str:
    """How a line of a report looks."""
    if line.startswith(("error:", "trioflow:")):
        return "bold red"
    if line.startswith("      "):
        return "dim"
    return "bold" if line.startswith(("  try ", "  step ")) else ""
