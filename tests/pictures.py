"""Pictures of the terminal for the README, made from real runs: `python -m tests.pictures` makes them anew.

A command of the README runs on a pseudo-terminal, an emulator says what a person would see, and rich draws that as SVG.
"""

from __future__ import annotations

import io
import itertools
import os
import re
import sys
from pathlib import Path
from typing import Final

from pyte.screens import Char
from rich.console import Console
from rich.text import Text

sys.path.insert(0, str(Path(__file__).parent))

from terminal import Terminal

ROOT: Final = Path(__file__).parent.parent
FOLDER: Final = ROOT / "examples" / "pictures"
COLUMNS: Final = 90

#: What is run for each picture.
COMMANDS: Final = {
    "failure": "trioflow run examples/fan_out.py",
    "timeout": "trioflow run examples/approval.py --virtual-time",
}

#: rich's own has fonts that a reader's browser would fetch from elsewhere.
SVG: Final = """\
<svg class="rich-terminal" viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
<style>
.{unique_id}-matrix {{ font-family: monospace; font-size: {char_height}px; line-height: {line_height}px; }}
.{unique_id}-title {{ font-size: 18px; font-weight: bold; font-family: sans-serif; }}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal"><rect x="0" y="0" width="{terminal_width}" height="{terminal_height}" /></clipPath>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""


def seen(command: str) -> list[Text]:
    """What a command leaves on a terminal, line by line."""
    words = [sys.executable, "-m", *command.split()]
    with Terminal(words, columns=COLUMNS, lines=16, env={**os.environ, "PYTHONPATH": str(ROOT)}) as terminal:
        terminal.wait()
        rows = [*terminal.screen.history.top, *(terminal.screen.buffer[y] for y in range(terminal.screen.lines))]
    texts = []
    for row in rows:
        text = Text()
        for style, cells in itertools.groupby((row[x] for x in range(COLUMNS)), key=_style):
            text.append("".join(cell.data for cell in cells), style)
        text.rstrip()
        texts.append(text)
    while texts and not texts[-1].plain:
        texts.pop()
    return texts


def _style(cell: Char) -> str:
    """What rich calls the look of a cell."""
    colour = {"brown": "yellow", "default": ""}.get(cell.fg, cell.fg)
    return f"bold {colour}".strip() if cell.bold else colour


def drawn(name: str) -> str:
    """The picture of that name."""
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True, color_system="standard")
    for text in seen(COMMANDS[name]):
        console.print(text, no_wrap=True, crop=True)
    return console.export_svg(title=f"$ {COMMANDS[name]}", code_format=SVG, unique_id=name)


def words(svg: str) -> str:
    """What can be read in a picture, with every number as 0: two runs don't take the same time."""
    texts = re.findall(r"<text[^>]*>([^<]*)</text>", svg)
    return re.sub(r"[\d.]+", "0", " ".join(" ".join(texts).replace("&#160;", " ").split()))


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    for name in COMMANDS:
        (FOLDER / f"{name}.svg").write_text(drawn(name))
        print(FOLDER / f"{name}.svg")


if __name__ == "__main__":
    os.chdir(ROOT)
    main()
