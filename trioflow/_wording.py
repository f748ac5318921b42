"""How names, errors and times that users' programs bring along are put into one line for people.

A step's name, an exception's message or a note may hold anything: line breaks, escape sequences of a terminal, megabytes. What
comes out of here is printable, stands in one line and has an end. Where it has been cut it says so.
"""

from __future__ import annotations

from ._time import shown

#: The longest name that is shown whole. Cloudflare's limit is 256; a line has to hold something else, too.
LONGEST_NAME = 60


def one_line(text: str, limit: int = 200) -> str:
    """In one line without control characters, whatever a user's name or message holds."""
    line = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in " ".join(text[: 4 * limit].split()))
    return line if len(line) <= limit and len(text) <= 4 * limit else f"{line[: limit - 3]}..."


def numbered(name: str, occurrence: int) -> str:
    """A step's name, with its number if it isn't the first of that name."""
    name = one_line(name, LONGEST_NAME)
    return f"{name} #{occurrence}" if occurrence > 1 else name


def described(error: BaseException, limit: int = 200) -> str:
    """An exception as Python would name it: class and text."""
    try:
        text = str(error)
    except Exception:
        text = "(its text can't be shown)"
    return one_line(f"{type(error).__name__}: {text}" if text else type(error).__name__, limit)


def attempt_of(attempt: int, attempts: int) -> str:
    """Which try it is, of how many there may be: nothing if there is only one."""
    return f"attempt {attempt} of {attempts}" if attempts > 1 else ""


def seconds(duration: float) -> str:
    """How long, for a line that is written again and again: with tenths up to a minute, so that it is seen to move."""
    return f"{duration:.1f} s" if 0 <= duration < 59.95 else shown(max(0.0, duration))


def shortened(names: list[str]) -> list[str]:
    """The first, the last, and how many there are between them."""
    return names if len(names) <= 6 else [*names[:2], f"({len(names) - 4:,} more)", *names[-2:]]


def first_of(lines: list[str], room: int) -> list[str]:
    """So many lines at most; the last then says how many there would be."""
    return lines if len(lines) <= room else [*lines[: room - 1], f"... and {len(lines) - room + 1:,} more"]


def counted(counts: dict[str, int]) -> str:
    """ "3 done, 1 failed": what there is none of is left out."""
    return ", ".join(f"{number:,} {what}" for what, number in counts.items() if number)


def plural(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"
