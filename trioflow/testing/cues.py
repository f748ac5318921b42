"""What is to happen, and when: the book that doubles play from.

A cue says to what, at which time of it, and what then. A time is the n-th call of a body in the run, which is the
attempt's number, except that it goes on counting where Trio's cancellation or the body around it has a step begin afresh.
So "fails twice" means twice, whatever the workflow makes of it.

Who plays (`doubles`) asks at every turn, and a cue remembers that it was asked for: one that never was is mostly a
misspelt name.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, Literal, TypeAlias, final

import attrs

from .._errors import ConfigError
from .._step import Step
from ..abc import Path
from .selecting import Selection, hint

Kind: TypeAlias = Literal["step", "delay", "sleep", "wait", "event"]
When: TypeAlias = Literal["before", "instead", "after"]

#: How a body ends: returns its result or raises its error. It is told the step, and which call of its body this is.
Outcome: TypeAlias = Callable[[Step[Any], int], object]


@final
@attrs.define(eq=False)
class Cue:
    """One thing that is to happen."""

    #: How it was asked for, for people.
    said: str
    #: To what: a step's body, the delay before its retry, a sleep, a wait, or an event of a type.
    kind: Kind
    which: Selection
    #: From which call, or from which event of the type, to which.
    first: int = 1
    last: float = math.inf
    #: Of a body: with respect to it.
    when: When = "before"
    #: Of a body: how it ends; None: as ever.
    outcome: Outcome | None = None
    #: Of a body, and of an event: by how many seconds it is later.
    seconds: float = 0.0
    #: Of an event: how often it comes.
    copies: int = 1
    #: Some that are meant for everything need not be asked for.
    may_be_idle: bool = False
    used: bool = False

    def covers(self, number: int) -> bool:
        return self.first <= number <= self.last


@final
@attrs.frozen
class Turn:
    """What is to happen at one call of a body."""

    number: int
    before: tuple[Cue, ...]
    instead: Cue | None
    after: tuple[Cue, ...]


@final
@attrs.define(eq=False)
class Book:
    """All that is to happen, in the order in which it was asked for."""

    cues: list[Cue] = attrs.field(factory=list)
    #: Type and payload of events that are sent to each run as it begins.
    events: list[tuple[str, object]] = attrs.field(factory=list)

    def next_mock(self, which: Selection, said: str) -> int:
        """The first call of a body that no mock is for yet.

        Raises:
            ConfigError: they are for all of them.
        """
        mocks = [cue for cue in self.cues if cue.kind == "step" and cue.when == "instead" and cue.which == which]
        if not mocks:
            return 1
        if mocks[-1].last == math.inf:
            raise ConfigError(
                f"{said} would never happen: {mocks[-1].said} is for every attempt of step {which} already; errors and "
                "timeouts with times= come first"
            )
        return int(mocks[-1].last) + 1


@final
@attrs.define(eq=False)
class Reading:
    """The book as one run goes through it."""

    book: Book
    #: How often each body was called, and events of each type were sent.
    calls: Counter[Path] = attrs.field(factory=Counter)
    sent: Counter[str] = attrs.field(factory=Counter)
    #: What sleeps and waits there were.
    pauses: dict[tuple[Kind, str], None] = attrs.field(factory=dict)

    def _matching(self, kind: Kind, path: Path, number: int) -> Iterator[Cue]:
        for cue in self.book.cues:
            if cue.kind == kind and cue.covers(number) and cue.which.matches(path):
                cue.used = True
                yield cue

    def call(self, path: Path) -> Turn | None:
        """A body is called: None if nothing is to happen."""
        self.calls[path] += 1
        number = self.calls[path]
        cues = tuple(self._matching("step", path, number))
        if not cues:
            return None
        before, mocks, after = ([c for c in cues if c.when == when] for when in ("before", "instead", "after"))
        return Turn(number, tuple(before), mocks[0] if mocks else None, tuple(after))

    def skips(self, kind: Kind, path: Path) -> bool:
        """Whether there is a cue for a delay before a retry, a sleep or a wait."""
        return any(list(self._matching(kind, path, 1)))

    def post(self, event_type: str) -> list[float]:
        """After how many seconds an event is to come; several times, maybe, or never."""
        self.sent[event_type] += 1
        copies, seconds = 1, 0.0
        for cue in self._matching("event", ((event_type, 1),), self.sent[event_type]):
            copies *= cue.copies
            seconds += cue.seconds
        return [seconds] * copies

    def unused(self, declared: list[str]) -> list[str]:
        """What was never asked for, in words, with what may have been meant. `declared`: the names of the run's steps."""
        return [self._why(cue, declared) for cue in self.book.cues if not (cue.used or cue.may_be_idle)]

    def _why(self, cue: Cue, declared: list[str]) -> str:
        name, _ = cue.which.parts[-1]
        if cue.kind == "event":
            number = self.sent[name]
            return f"{cue.said}: {f'only {number} of this type were' if number else 'no event of this type was'} sent"
        if cue.kind in ("sleep", "wait"):
            known = [other for kind, other in self.pauses if kind == cue.kind]
            return _never(cue, cue.kind, name, known, "awaited")
        calls = max((count for path, count in self.calls.items() if cue.which.matches(path)), default=0)
        if calls and cue.kind == "delay":
            return f"{cue.said}: step {cue.which} was never tried again"
        if calls:
            return f"{cue.said}: the body of step {cue.which} was called {_times(calls)}"
        return _never(cue, "step", name, declared, "run")


def _never(cue: Cue, what: str, name: str, known: list[str], done: str) -> str:
    if name in known:
        return f"{cue.said}: {what} {cue.which} was never {done}"
    said = hint(name, known)
    return f"{cue.said}: no {what} is called {name!r}{said and f', {said}'}"


def _times(number: int) -> str:
    return "once" if number == 1 else f"{number} times"
