"""A run as a timeline in the Trace Event Format, which Perfetto and chrome://tracing open.

A slice lies within the one that it is in, on as few tracks as will do, and an arrow leads from each dependency. Events are
in the order of the facts: who reads them sorts by time, and an arrow that ends before it has begun is lost.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from itertools import count
from typing import Any, TypeAlias

import attrs

from . import _drawing, abc
from ._errors import shown
from ._story import ENDS, Span, Story

Event: TypeAlias = dict[str, Any]


@attrs.define(eq=False)
class Track:
    """A row of the timeline. Its slices begin and end like brackets: one that is in another ends before it does."""

    about: Event
    zero: float
    #: With the number of the fact that each comes from.
    events: list[tuple[int, Event]] = attrs.field(factory=list)
    #: The slices that have begun and not ended, outermost first.
    open: list[Span] = attrs.field(factory=list)

    def note(self, number: int, phase: str, time: float, **more: Any) -> None:
        self.events.append((number, {"ph": phase, "ts": round((time - self.zero) * 1e6, 3), **self.about, **more}))

    def advance(self, number: int, flows: dict[Span, list[int]]) -> None:
        """End what ended before this fact."""
        while self.open and self.open[-1].ended <= number:
            span = self.open.pop()
            for flow in flows.get(span, ()):
                self.note(span.ended, "s", span.end, name="depends", cat="depends", id=flow)
            self.note(span.ended, "E", span.end)

    def begin(self, span: Span, flows: Iterable[int]) -> None:
        self.open.append(span)
        self.note(span.began, "B", span.begin, name=_title(span), cat=span.kind, args=_args(span))
        for flow in flows:
            self.note(span.began, "f", span.begin, name="depends", cat="depends", id=flow, bp="e")


def chrome_events(stories: list[Story]) -> Iterator[Event]:
    zero = min((story.facts[0].time for story in stories), default=0.0)
    flows = count(1)
    for pid, story in enumerate(stories, 1):
        yield {"ph": "M", "name": "process_name", "pid": pid, "tid": 1, "args": {"name": _text(_id_of(story))}}
        tracks = _tracks(story, pid, zero, flows)
        for row, track in enumerate(tracks):
            yield {"ph": "M", "name": "thread_name", **track.about, "args": {"name": f"track {row}" if row else "run"}}
            yield {"ph": "M", "name": "thread_sort_index", **track.about, "args": {"sort_index": row}}
        # In the order of the facts: who reads this sorts by time, and what happens at one moment stays in our order. An
        # arrow that ended before it began would be lost.
        for _, event in heapq.merge(*(track.events for track in tracks), key=lambda numbered: numbered[0]):
            yield event


def _id_of(story: Story) -> str:
    return story.facts[0].instance_id


def _tracks(story: Story, pid: int, zero: float, numbers: Iterator[int]) -> list[Track]:
    """The slices of a run, on as few tracks as will do. The first is that of the run itself."""
    arriving = {span: [next(numbers) for _ in span.needs] for span in story.spans if span.needs}
    leaving: dict[Span, list[int]] = {}
    for span, flows in arriving.items():
        for needed, flow in zip(span.needs, flows, strict=True):
            leaving.setdefault(needed, []).append(flow)
    tracks = [Track({"pid": pid, "tid": 1}, zero)]  # thread 0 is the idle one to some viewers
    free: list[int] = []
    taken: list[tuple[int, int]] = []  # until which fact, and which track
    begun: list[tuple[int, Span | abc.StepReused]] = [(span.began, span) for span in story.spans]
    for number, thing in heapq.merge(begun, story.reused, key=lambda numbered: numbered[0]):
        while taken and taken[0][0] <= number:
            heapq.heappush(free, heapq.heappop(taken)[1])
        if isinstance(thing, abc.StepReused):
            _mark(tracks[0], number, thing, leaving)
            continue
        thing.lane = _lane_within(thing, tracks, leaving)
        if thing.lane < 0:
            if not free:
                free.append(len(tracks))
                tracks.append(Track({"pid": pid, "tid": len(tracks) + 1}, zero))
            thing.lane = heapq.heappop(free)
            heapq.heappush(taken, (thing.ended, thing.lane))
            tracks[thing.lane].advance(number, leaving)
        tracks[thing.lane].begin(thing, arriving.get(thing, ()))
    for track in tracks:
        track.advance(len(story.facts), leaving)
    return tracks


def _lane_within(span: Span, tracks: list[Track], leaving: dict[Span, list[int]]) -> int:
    """The track of what a span is in, if there is room for it; else -1. The run's own is left to sleeps and waits."""
    if span.kind == "run":
        return 0
    within = span.within
    if within is None or (within.kind == "run" and span.kind == "step"):
        return -1
    track = tracks[within.lane]
    track.advance(span.began, leaving)
    return within.lane if track.open and track.open[-1] is within and span.ended <= within.ended else -1


def _mark(track: Track, number: int, fact: abc.StepReused, leaving: dict[Span, list[int]]) -> None:
    track.advance(number, leaving)
    args = {"outcome": "reused", "path": _text(_joined(fact.path))}
    track.note(number, "i", fact.time, name=_text(_drawing.label_of(fact.path)), cat="reused", s="t", args=args)


def _title(span: Span) -> str:
    match span.fact:
        case abc.WorkflowStarted(workflow=workflow):
            return _text(workflow)
        case abc.AttemptStarted(attempt=attempt):
            return f"attempt {attempt}"
        case abc.AttemptErrored():
            return "delay"
    return _text(_drawing.label_of(span.path))


def _args(span: Span) -> Event:
    """What is shown of a slice when it is clicked."""
    args: Event = {"outcome": _outcome(span)}
    match span.fact:
        case abc.AttemptStarted(attempt=attempt):
            args["attempt"] = attempt
        case abc.AttemptErrored(retry_in=seconds) | abc.SleepStarted(seconds=seconds):
            args["seconds"] = seconds
        case abc.WaitStarted(event_type=event_type, timeout=timeout):
            args |= {"event_type": _text(event_type), "timeout": timeout}
    if len(span.path) > 1 and span.kind not in ("attempt", "delay"):
        args["path"] = _text(_joined(span.path))
    match span.over:
        case abc.StepErrored(error=error) | abc.AttemptErrored(error=error) | abc.WorkflowErrored(error=error):
            args["error"] = _text(shown(error))
        case abc.StepCancelled(reason=reason) | abc.WorkflowTerminated(reason=reason):
            args["reason"] = _text(reason)
    return args


def _outcome(span: Span) -> str:
    if span.over is None:
        return "unfinished"
    if span.kind == "delay":
        return "succeeded" if isinstance(span.over, abc.AttemptStarted) else "cancelled"
    if isinstance(span.over, abc.WaitTimedOut):
        return "timed out"
    return ENDS[type(span.over)][1]


def _joined(path: abc.Path) -> str:
    return " / ".join(_drawing.label_of(path[: depth + 1]) for depth in range(len(path)))


def _text(text: str) -> str:
    """JSON is UTF-8, which has no halves of characters."""
    return text.encode("utf-8", "replace").decode()
