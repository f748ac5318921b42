"""What people write on the command line: JSON, events, and files that can be written.

What can't be used is refused before anything runs, with the name of the option and the place of the mistake.
"""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import IO, Any, NoReturn, final

import attrs

from ._errors import ConfigError, TrioflowError
from ._mailbox import checked_type
from ._time import spelled_seconds


@final
class UsageError(TrioflowError):
    """An argument can't be used. The message says which and why."""


# --------------------------------------------------------------------------------------------------------------- JSON


def payload_of(params: str | None) -> Any:
    """What `--params` means: JSON, or a file that holds some."""
    if params is None:
        return None
    if not params.startswith("@"):
        return _json(params, "--params: the text")
    try:
        text = Path(params[1:]).read_bytes()
    except OSError as exc:
        raise UsageError(f"--params: {params[1:]} can't be read: {exc.strerror}") from None
    return _json(text, f"--params: what is in {params[1:]}")


def _json(text: str | bytes, what: str) -> Any:
    try:
        return json.loads(text, parse_constant=_refuse_constant)
    except json.JSONDecodeError as exc:
        place = f"line {exc.lineno}, column {exc.colno}"
        raise UsageError(f"{what} is no JSON: {exc.msg} at {place}{_excerpt(exc)}") from None
    except (ValueError, RecursionError) as exc:
        raise UsageError(f"{what} is no JSON: {exc}") from None


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number there")


def _excerpt(error: json.JSONDecodeError) -> str:
    """The place in its line, with a mark under it."""
    start = error.pos - (error.colno - 1)
    line = error.doc[start:].partition("\n")[0]
    left = max(0, error.colno - 40)  # a document may be one long line
    piece = "".join(c if c.isprintable() else " " for c in line[left : left + 78])
    return f"\n  {piece}\n  {'^':>{error.colno - left}}"


# ------------------------------------------------------------------------------------------------------------- events


@final
@attrs.frozen
class Delivery:
    """An event that is to be sent to the run."""

    type: str
    payload: Any
    #: Seconds after the start, of the run's clock.
    at: float


def delivery_of(text: str) -> Delivery:
    """What `--event` means: `TYPE`, `TYPE=JSON`, `TYPE@SECONDS` or `TYPE=JSON@SECONDS`.

    The type ends at the first "=". JSON never ends in "@" and a number, except within a text, whose quote then comes last:
    so whatever is JSON as a whole is the payload, and otherwise the last "@" is the one that says when. In place of
    seconds a duration is understood, too: "2 days".

    >>> delivery_of('mail={"to": "a@b=c"}@2.5')
    Delivery(type='mail', payload={'to': 'a@b=c'}, at=2.5)

    Raises:
        UsageError: it is none of these.
    """
    kind, equals, rest = text.partition("=")
    if not equals:
        kind, at, when = text.rpartition("@")
        return Delivery(_type(kind, text), None, _seconds(when, text)) if at else Delivery(_type(text, text), None, 0.0)
    before, at, when = kind.rpartition("@")
    if at and _is_number(when):
        raise UsageError(f"--event {text}: when comes last, as in {before}={rest}@{when}")
    try:
        return Delivery(_type(kind, text), _json(rest, f"--event {text}: what follows the ="), 0.0)
    except UsageError:
        value, at, when = rest.rpartition("@")
        if not at or not _may_be_time(when):
            raise
    return Delivery(
        _type(kind, text), _json(value, f"--event {text}: what stands between = and @{when}"), _seconds(when, text)
    )


def _type(kind: str, text: str) -> str:
    if not kind:
        raise UsageError(f"--event {text}: the event's type is missing; write TYPE, TYPE=JSON or TYPE=JSON@SECONDS")
    try:
        return checked_type(kind)
    except ConfigError as exc:
        raise UsageError(f"--event: {exc}") from None


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _may_be_time(text: str) -> bool:
    """Whether somebody meant a time, right or wrong, and not a piece of JSON."""
    return not text.strip().endswith(('"', "}", "]"))


def _seconds(when: str, text: str) -> float:
    try:
        return spelled_seconds(f"{float(when)} seconds" if _is_number(when) else when, what="the time")
    except ConfigError:
        raise UsageError(
            f"--event {text}: {when!r} is no time; after the @ stands a number of seconds, as in @2.5, "
            'or a duration, as in "@2 days"'
        ) from None


# -------------------------------------------------------------------------------------------------------------- files


@final
@attrs.define(eq=False)
class Target:
    """A file that will be written at the end. It is opened now, so that a mistake is told before the run."""

    path: str
    _file: IO[bytes]
    _is_new: bool
    _written: bool = False

    @classmethod
    def opened(cls, option: str, path: str) -> Target:
        """What is in the file stays until something is written. Raises `UsageError` if it can't be written."""
        is_new = not os.path.lexists(path)
        try:
            return cls(path, open(path, "ab"), is_new)
        except (OSError, ValueError) as exc:
            reason = exc.strerror if isinstance(exc, OSError) else exc
            raise UsageError(f"{option}: {path} can't be written: {reason}") from None

    def write(self, text: str) -> None:
        """Raises `OSError`."""
        if stat.S_ISREG(os.fstat(self._file.fileno()).st_mode):
            self._file.truncate(0)
        self._file.write(text.encode())
        self._file.flush()
        self._written = True

    def close(self) -> None:
        """A file that was made for nothing is taken away again."""
        self._file.close()
        if self._is_new and not self._written:
            os.unlink(self.path)
