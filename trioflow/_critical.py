"""What held up what in a run: the steps that it has waited for, and by how much the others could have been slower.

The facts tell what held up a step, with one exception. In a sequential resolution a dependency waits for its turn,
and so does all that it needs itself; but who began a step isn't told, only who depends on it. So of the turns that its
dependents offered it, a step is taken to have begun with the earliest, if it began after that. A body that awaits a step
of the run's has no arrow to it: that time is in the body's seconds.
"""

from __future__ import annotations

import math

import attrs

from . import _drawing, abc
from ._story import Span, Story


@attrs.define(eq=False)
class Moment:
    """When a body is over, or, if it has no label, when all of several moments have come: somebody's turn.

    A body's own `after` is what held up its start.
    """

    label: str | None
    #: A turn begins when it ends.
    begin: float
    end: float
    #: Number of the fact that was the end.
    ended: int
    #: Turns are numbered after those that they consist of.
    serial: int = -1
    after: tuple[Moment, ...] = ()
    #: How late it could have been without the last step settling later.
    latest: float = math.inf


def network(story: Story) -> list[Moment]:
    """All bodies of the run's own steps that have an outcome, and the turns that held them up, linked.

    A body may be a turn itself; None is the turn of who is asked for first.
    """
    bodies: dict[abc.Path, Moment] = {
        path: Moment(_drawing.label_of(path), span.begin, span.end, span.ended)
        for path, span in story.settled.items()
        if len(path) == 1
    }
    turns: list[Moment] = []

    def both(turn: Moment | None, other: Moment | None) -> Moment | None:
        if turn is None or other is None or turn is other:
            return turn or other
        last = max(turn, other, key=lambda moment: moment.ended)
        turns.append(Moment(None, last.end, last.end, last.ended, len(turns), (turn, other)))
        return turns[-1]

    begun = {span.path: span for span in story.spans if span.kind == "step"}
    offers: dict[abc.Path, Moment | None] = {}
    for span in sorted(begun.values(), key=lambda span: span.began, reverse=True):  # dependents before dependencies
        fact = span.fact
        assert isinstance(fact, abc.StepStarted)
        turn = both(_before(offers.get(span.path), span), _before(bodies.get(fact.after or ()), span))
        if (body := bodies.get(span.path)) is not None and story.settled[span.path] is span:
            held_up = (_before(bodies.get(path), span) for path in dict.fromkeys(fact.depends))
            body.after = tuple(moment for moment in (*held_up, turn) if moment is not None)
        for needed in fact.depends:
            if needed not in offers or _is_earlier(turn, offers[needed]):
                offers[needed] = turn
            if not fact.concurrent:
                turn = both(turn, bodies.get(needed))
    return [*bodies.values(), *turns]


def _before(moment: Moment | None, span: Span) -> Moment | None:
    """A moment, if it was before the span began: else it has held up nothing."""
    return moment if moment is not None and moment.ended < span.began else None


def _is_earlier(turn: Moment | None, other: Moment | None) -> bool:
    return other is not None and (turn is None or turn.ended < other.ended)


def critical(moments: list[Moment]) -> list[tuple[str, Moment]]:
    path = []
    moment = max(moments, key=_when, default=None)
    while moment is not None:
        if moment.label is not None:
            path.append((moment.label, moment))
        moment = max(moment.after, key=_when, default=None)
    return path[::-1]


def _when(moment: Moment) -> tuple[int, int]:
    """Bodies come before the turns that they make up, and those in the order in which they do."""
    return moment.ended, moment.serial


def slack(moments: list[Moment]) -> dict[str, float]:
    last = max((moment.end for moment in moments), default=0.0)
    on_path = {id(moment) for _, moment in critical(moments)}
    for moment in sorted(moments, key=_when, reverse=True):
        moment.latest = min(moment.latest, last)
        for before in moment.after:
            before.latest = min(before.latest, moment.latest - (moment.end - moment.begin))
    return {
        moment.label: max(0.0, moment.latest - moment.end)
        for moment in moments
        if moment.label is not None and id(moment) not in on_path
    }
