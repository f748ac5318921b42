"""Judging what was seen: the laws that every trace of a run keeps, and the comparison with what was predicted.

`check` judges twice. The invariants in `INVARIANTS` follow the trace and hold for every spec, however many things
happen at one instant: where the schedule may decide, they allow each way. Then comes `predict`, which allows only one,
as far as it reaches. An invariant that is broken is reported in preference to a prediction that isn't met, because it
says what the matter is.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

import trioflow
from trioflow.testing.invariants import INVARIANTS as LAWS
from trioflow.testing.invariants import Breach, Invariant
from trioflow.testing.model import predict
from trioflow.testing.prediction import Span
from trioflow.testing.spec import BodyError, DagSpec
from trioflow.testing.story import Story
from trioflow.testing.world import Event, Trace, Value

__all__ = ["INVARIANTS", "Invariant", "check"]


def check(spec: DagSpec, trace: Trace) -> None:
    """Raise `AssertionError` unless `trace` is what the promises make of `spec`.

    The message names the invariant that is broken and the promises behind it, shows the smallest piece of the trace in
    which the same can be seen, in order of time, and the spec as a call.
    """
    story = Story(spec, trace)
    for invariant in INVARIANTS:
        breach = next(invariant.breaches(story), None)
        if breach is not None:
            lines = "\n".join(f"    {event}" for event in smallest_piece(invariant, story, breach)[-20:])
            raise AssertionError(f"{invariant.name} ({invariant.promises}): {breach[0]}\n{lines}\n{spec!r}")


#: A piece is looked for as often as that at most: a judge who is asked while an example shrinks must be quick.
_TRIES: Final = 60
#: In a longer trace it isn't looked for at all.
_LONG: Final = 2_000


def smallest_piece(invariant: Invariant, story: Story, breach: Breach) -> list[Event]:
    """The events that a breach can be seen in, up to the one that shows it, without those that needn't be there.

    What is left out are whole steps, whole demands, and then events at the start, as long as the same invariant
    says the same of the same event.
    """
    what, last, steps = breach
    events = story.events
    about = {*steps, *(-1 - i for i in steps)}
    concerned = [k for k, event in enumerate(events) if k == last or story.concerns(event, about)]
    tries = _TRIES if len(events) <= _LONG else 0

    def still_shows(piece: list[int]) -> bool:
        nonlocal tries
        tries -= 1
        if tries < 0 or last not in piece:
            return False
        try:
            found = next(invariant.breaches(Story(story.spec, Trace(tuple(events[k] for k in piece)))), None)
        except Exception:  # half a trace needn't make sense
            return False
        return found is not None and found[0] == what and piece[found[1]] == last

    kept = concerned if still_shows(concerned) else list(range(len(events)))
    for who in dict.fromkeys(_group(events[k]) for k in kept):
        fewer = [k for k in kept if _group(events[k]) != who]
        if still_shows(fewer):
            kept = fewer
    while still_shows(kept[1:]):
        kept = kept[1:]
    if len(kept) > len(concerned):  # seen only among many others: those that it is about say more
        kept = concerned
    return [events[k] for k in kept if k <= last]


def _group(event: Event) -> tuple[bool, int]:
    """What belongs together: all events of a demand, or all of a step with its own awaits."""
    asks = event.kind in ("ask", "answer")
    return asks and event.who >= 0, -1 - event.who if asks and event.who < 0 else event.who


def _as_predicted(story: Story) -> Iterator[Breach]:
    ought = predict(story.spec)
    last = len(story.events) - 1
    for i, spans in enumerate(ought.spans):
        counted = story.spec.nodes[i].has_policy
        expected = _until(ought.exact_until, (entry for span in spans for entry in _entries(span, counted)))
        own = [e for e in story.events if e.who == i and e.kind in _BODY]
        seen = _until(ought.exact_until, map(_entry, own))
        if expected != seen:
            yield f"s{i} ought to have {_shown(expected)}, not {_shown(seen)}", last, [i]
    for k, answer in enumerate(ought.answers):
        if k in story.asked and story.asked[k].time >= story.closing:
            continue  # closed, or an outcome that there is
        right = _until(ought.exact_until, [] if answer is None else [(answer.time, answer.kind, answer.origin)])
        got = [(e.time, e.how, _origin(story, e.detail[1])) for e in story.events if e.kind == "answer" and e.who == k]
        if right != (got := _until(ought.exact_until, got)):
            yield f"demand {k} ought to get {_shown(right)}, not {_shown(got)}", last, [story.spec.target(k)]
    over = next(e.time for e in story.events if e.kind == "over")
    if ought.ends != over and min(ought.ends, over) < ought.exact_until:
        yield f"the run ought to be over at {ought.ends}, not at {over}", last, []


INVARIANTS: list[Invariant] = [*LAWS, Invariant("as predicted", "rule 0, P3, P5, P9, P11, P12, P18", _as_predicted)]
"""All of them, in the order in which `check` tries them: what says most comes first."""

_BODY: Final = ("start", "cancelled", "end")
_Entry = tuple[float, str, int | None]


def _entries(span: Span, counted: bool) -> Iterator[_Entry]:
    yield span.start, f"start of attempt {span.attempt}" if counted else "start", None
    if span.cancelled is not None:
        yield span.cancelled, "cancelled", None
    yield span.end, span.how, None


def _entry(event: Event) -> _Entry:
    if event.kind == "end":
        return event.time, event.how, None
    return event.time, event.kind if event.attempt is None else f"start of attempt {event.attempt}", None


def _origin(story: Story, thing: object) -> int | None:
    match thing:
        case Value(node=node) | BodyError(args=(int(node),)):
            return node
        case trioflow.WorkflowTimeoutError(step=name):
            return next((i for i, exc in story.raised.items() if exc is thing and story.spec.names[i] == name), None)
    return None


def _until(limit: float, entries: Iterable[_Entry]) -> list[_Entry]:
    return sorted((entry for entry in entries if entry[0] < limit), key=lambda entry: entry[0])


def _shown(entries: list[_Entry]) -> str:
    told = (f"{what}{'' if origin is None else f' of s{origin}'} at {time:g}" for time, what, origin in entries)
    return ", ".join(told) or "nothing"
