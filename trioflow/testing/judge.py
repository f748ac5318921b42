"""Judging what was seen: the laws that every trace of a run keeps, and the comparison with what was predicted.

`check` judges twice. The invariants in `INVARIANTS` follow the trace and hold for every spec, however many things
happen at one instant: where the schedule may decide, they allow each way. Then comes `predict`, which allows only one,
as far as it reaches. An invariant that is broken is reported in preference to a prediction that isn't met, because it
says what the matter is.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final, final

import attrs

import trioflow
from trioflow.testing.model import Span, predict
from trioflow.testing.spec import BodyError, DagSpec
from trioflow.testing.world import PATIENCE, Event, Trace, Value

__all__ = ["INVARIANTS", "Invariant", "check"]


def check(spec: DagSpec, trace: Trace) -> None:
    """Raise `AssertionError` unless `trace` is what the promises make of `spec`.

    The message names the invariant that is broken and the promises behind it, shows the piece of the trace that
    concerns the steps in question, and the spec as a call.
    """
    story = _Story(spec, trace)
    for invariant in INVARIANTS:
        for what, last, steps in invariant.breaches(story):
            about = {*steps, *(-1 - i for i in steps)}
            shown = [event for event in trace.events[: last + 1] if story.concerns(event, about)]
            lines = "\n".join(f"    {event}" for event in shown[-20:])
            raise AssertionError(f"{invariant.name} ({invariant.promises}): {what}\n{lines}\n{spec!r}")


_Breach = tuple[str, int, Sequence[int]]
"""What is wrong, the index of the event that shows it, and the steps concerned."""


@final
@attrs.frozen
class Invariant:
    """A law that every trace keeps."""

    name: str
    #: The promises that it follows from.
    promises: str
    breaches: Callable[[_Story], Iterator[_Breach]]


INVARIANTS: list[Invariant] = []
"""All of them, in the order in which `check` tries them: what says most comes first."""


def _invariant(name: str, promises: str) -> Callable[[Callable[[_Story], Iterator[_Breach]]], None]:
    return lambda breaches: INVARIANTS.append(Invariant(name, promises, breaches))


@final
@attrs.define
class _State:
    """What an observer knows after some event."""

    index: int = -1
    time: float = 0
    until: float = 0  # when the next thing happens
    live: set[int] = attrs.Factory(set)  # bodies between their first line and their last
    cleaning: set[int] = attrs.Factory(set)  # those of them that have seen Cancelled
    values: set[int] = attrs.Factory(set)
    errors: dict[int, float] = attrs.Factory(dict)  # since when
    asking: dict[int, tuple[int, float]] = attrs.Factory(dict)  # waiter: its target, and since when

    def copy(self) -> _State:
        sets = set(self.live), set(self.cleaning), set(self.values)
        return _State(self.index, self.time, self.until, *sets, dict(self.errors), dict(self.asking))

    def follow(self, index: int, event: Event) -> None:
        self.index, self.time = index, event.time
        who = event.who
        if event.kind == "ask":
            self.asking[who] = event.detail, event.time
        elif event.kind == "answer":
            self.asking.pop(who, None)
        elif event.kind == "start":
            self.live.add(who)
        elif event.kind == "cancelled":
            self.cleaning.add(who)
        elif event.kind == "end":
            self.live.discard(who)
            self.cleaning.discard(who)
            if event.how == "value":
                self.values.add(who)
            elif event.how == "error":
                self.errors.setdefault(who, event.time)


@final
class _Story:
    """A trace, with what follows from it."""

    def __init__(self, spec: DagSpec, trace: Trace) -> None:
        self.spec = spec
        self.events = trace.events
        numbers = range(len(spec.nodes))
        self.dependencies = [spec.dependencies(i) for i in numbers]
        self.reach = [spec.reach(i) for i in numbers]
        self.ancestors: list[frozenset[int]] = []  # with the step itself
        for i, dependencies in enumerate(self.dependencies):
            self.ancestors.append(frozenset({i}).union(*(self.ancestors[d] for d in dependencies)))
        self.asked = {e.who: e for e in trace.events if e.kind == "ask" and e.who >= 0}
        self.answered = {e.who: e for e in trace.events if e.kind == "answer" and e.who >= 0}
        self.closing = next((e.time for e in trace.events if e.kind == "closing"), math.inf)
        self.results = {e.who: e.detail[1] for e in trace.events if e.kind == "end" and e.how == "value"}
        self.raised = {e.who: e.detail[1] for e in trace.events if e.kind == "end" and e.how == "error"}
        self.failed_at = {e.who: e.time for e in trace.events if e.kind == "end" and e.how == "error"}
        self.before: dict[int, _State] = {}  # the state before each start of a body, by index
        self.moments: list[_State] = []  # the states in which time passed
        state = _State()
        for index, event in enumerate(trace.events):
            state.until = event.time
            if event.time > state.time and index:
                self.moments.append(state.copy())
            if event.kind == "start":
                self.before[index] = state.copy()
            state.follow(index, event)
        self.moments.append(state)

    def target_of(self, index: int) -> int:
        """Which step the answer at `index` is about."""
        who = self.events[index].who
        target: int = next(e.detail for e in reversed(self.events[:index]) if e.kind == "ask" and e.who == who)
        return target

    def concerns(self, event: Event, about: set[int]) -> bool:
        """Whether an event has to do with these steps, or with awaits of them."""
        if event.kind in ("ask", "answer") and event.who >= 0:
            return self.spec.target(event.who) in about
        return event.who in about or event.kind in ("closing", "over")

    def deadline(self, k: int) -> float:
        """From when on demand `k` has been cancelled."""
        host = math.inf if self.spec.is_stranger(k) else self.spec.cancelled_at()
        return min(self.asked[k].time + self.spec.timeout(k), host)

    def answer_time(self, k: int) -> float:
        return self.answered[k].time if k in self.answered else math.inf

    def bound(self, state: _State, before: float = math.inf) -> list[bool]:
        """Which steps are bound to fail, or have, by failures from before a time."""
        found: list[bool] = []
        for i, dependencies in enumerate(self.dependencies):
            idle = i not in state.values and i not in state.live
            found.append(state.errors.get(i, math.inf) < before or (idle and any(found[d] for d in dependencies)))
        return found

    def needed(
        self,
        state: _State,
        roots: Iterable[int],
        *,
        in_turn: bool = False,
        failed_before: float = math.inf,
        asked_before: float = math.inf,
    ) -> set[int]:
        """What these await and what that needs (P11); with `in_turn`, only as far as its turn has come (P5).

        Failures and awaits inside bodies count if they are from before a time.
        """
        todo = list(roots)
        seen: set[int] = set()
        bound = self.bound(state, failed_before)
        for i in todo:
            if i in seen or i in state.values or i in state.errors:
                continue
            seen.add(i)
            if i in state.live:
                target, since = state.asking.get(-1 - i, (i, 0))
                if i not in state.cleaning and since < asked_before:
                    todo.append(target)
            elif not bound[i]:
                missing = [d for d in self.dependencies[i] if d not in state.values]
                todo += missing[:1] if in_turn and not self.spec.nodes[i].concurrent else missing
        return seen

    def present(self, state: _State) -> list[int]:
        """What is awaited, surely, as long as time passes after `state`."""
        if self.closing <= state.time:
            return []
        return [target for k, (target, _) in state.asking.items() if k >= 0 and self.deadline(k) >= state.until]

    def throughout(self, time: float) -> list[int]:
        """What was awaited before the instant `time` and still is after it, in whatever order things happened in it."""
        if self.closing <= time:
            return []
        return [
            self.spec.target(k)
            for k, asked in self.asked.items()
            if asked.time < time < min(self.answer_time(k), self.deadline(k))
        ]

    def possible(self, state: _State, time: float) -> list[int]:
        """What may have been awaited at some moment of the instant `time`, up to `state`."""
        inside = [target for waiter, (target, _) in state.asking.items() if waiter < 0]
        return inside + [
            e.detail
            for k, e in self.asked.items()
            if self.deadline(k) >= time and (k in state.asking or e.time <= time == self.answer_time(k))
        ]


@_invariant("it ends", "P1, P16")
def _it_ends(story: _Story) -> Iterator[_Breach]:
    last = len(story.events) - 1
    if story.moments[-1].time >= PATIENCE or not any(e.kind == "over" for e in story.events):
        stuck = [target for target, _ in story.moments[-1].asking.values()]
        yield "the run hangs", last, stuck
    for k in story.asked.keys() - story.answered.keys():
        yield f"demand {k} never got an answer", last, [story.spec.target(k)]


@_invariant("nothing is left", "P1")
def _nothing_is_left(story: _Story) -> Iterator[_Breach]:
    over = next(i for i, e in enumerate(story.events) if e.kind == "over")
    for i, event in enumerate(story.events[over:], over):
        if event.kind in ("start", "cancelled", "end"):
            yield f"a body of s{event.who} was alive when the run was over", i, [event.who]


@_invariant("nothing begins after the end", "P2, P12")
def _nothing_begins_after_the_end(story: _Story) -> Iterator[_Breach]:
    for index in story.before:
        event = story.events[index]
        if event.time > story.closing:
            yield f"s{event.who} begins although the run is closed", index, [event.who]


@_invariant("no overlap", "P3")
def _no_overlap(story: _Story) -> Iterator[_Breach]:
    for index, state in story.before.items():
        i = story.events[index].who
        if i in state.live:
            yield f"s{i} runs twice at the same time", index, [i]


@_invariant("once only", "P3")
def _once_only(story: _Story) -> Iterator[_Breach]:
    for index, state in story.before.items():
        i = story.events[index].who
        if i in state.values or i in state.errors:
            yield f"s{i} runs again although it has an outcome", index, [i]


@_invariant("dependencies first", "P4")
def _dependencies_first(story: _Story) -> Iterator[_Breach]:
    for index, state in story.before.items():
        event = story.events[index]
        for d in story.dependencies[event.who]:
            if d not in state.values:
                yield f"s{event.who} begins before s{d} has succeeded", index, [event.who, d]


@_invariant("values as in a call", "P4, P22")
def _values_as_in_a_call(story: _Story) -> Iterator[_Breach]:
    for index in story.before:
        event = story.events[index]
        ought = [story.results[d] for d in story.dependencies[event.who]]
        if len(ought) != len(event.detail) or any(a is not b for a, b in zip(ought, event.detail, strict=True)):
            yield f"s{event.who} ought to get {ought}, not {list(event.detail)}", index, [event.who]


@_invariant("lazy", "P2, P9")
def _lazy(story: _Story) -> Iterator[_Breach]:
    for index, state in story.before.items():
        event = story.events[index]
        if event.who not in story.needed(state, story.possible(state, event.time), failed_before=event.time):
            yield f"s{event.who} begins, and nobody needs it", index, [event.who]


@_invariant("one after the other", "P5")
def _one_after_the_other(story: _Story) -> Iterator[_Breach]:
    begun: set[int] = set()  # what has had its turn keeps it as long as it is wanted
    states = sorted([*story.before.values(), *story.moments], key=lambda state: state.index)
    for state in states:
        index = state.index + 1
        time = story.events[index].time if index in story.before else state.time
        roots = story.possible(state, time)
        begun &= story.needed(state, roots, failed_before=time)
        begun = story.needed(state, [*roots, *begun], in_turn=True, failed_before=time)
        if index in story.before and (i := story.events[index].who) not in begun:
            yield f"s{i} begins before its turn has come", index, [i, *story.dependencies[i]]


@_invariant("no delay", "P5")
def _no_delay(story: _Story) -> Iterator[_Breach]:
    for state in story.moments:
        if not state.cleaning:  # else a step may have to wait until what it was leaving is gone
            bound = story.bound(state)
            for i in story.needed(state, story.present(state), in_turn=True) - state.live:
                if not bound[i] and state.values.issuperset(story.dependencies[i]):
                    yield f"s{i} could begin, is wanted, and time passes without it", state.index, [i]


@_invariant("nothing for nobody", "P9, P11")
def _nothing_for_nobody(story: _Story) -> Iterator[_Breach]:
    for state in story.moments:
        wanted = story.needed(state, story.present(state))
        for i in state.live - state.cleaning - wanted:
            if not (-1 - i in state.asking and state.cleaning):  # its own await may be waiting for a clean-up
                yield f"the body of s{i} works on, and nobody wants it", state.index, [i]


@_invariant("what is wanted is left alone", "P11")
def _what_is_wanted_is_left_alone(story: _Story) -> Iterator[_Breach]:
    after = {state.time: state for state in story.moments}
    own = {(-1 - e.who, e.time) for e in story.events if e.kind == "answer"}
    for index, event in enumerate(story.events):
        i = event.who
        if event.kind != "cancelled" or (i, event.time) in own:
            continue  # a body that awaits another step hears of it when that await is over
        if i in story.needed(after[event.time], story.throughout(event.time), asked_before=event.time):
            yield f"the body of s{i} is cancelled, and somebody wants it", index, [i]


@_invariant("siblings stop before the error", "P9")
def _siblings_stop_before_the_error(story: _Story) -> Iterator[_Breach]:
    if len(story.failed_at) != 1:
        return  # with more of them, or of them and of timeouts, it is the model's business what belongs together
    (failed,) = story.failed_at.values()
    leaving = {story.closing, *map(story.deadline, story.asked)}
    for state in story.moments:
        for k, answer in story.answered.items():
            if answer.how == "error" and answer.time == state.time and story.asked[k].time < failed not in leaving:
                last = {e.who: e.time for e in story.events[: state.index + 1] if e.kind == "cancelled"}
                stopped = {i for i in state.cleaning if last[i] == failed}
                for i in stopped & story.ancestors[story.spec.target(k)]:
                    yield f"demand {k} gets the error while s{i} cleans up because of it", state.index, [i]


@_invariant("prompt", "P9, P12")
def _prompt(story: _Story) -> Iterator[_Breach]:
    for state in story.moments:
        bound = story.bound(state)
        for k, (target, _since) in state.asking.items():
            if k < 0:
                continue
            cleaning = story.reach[target] & state.cleaning
            end = min(story.deadline(k), story.closing)
            gone = end < state.until
            if target in state.values or target in state.errors:
                yield f"demand {k} has not been told of the outcome of s{target}", state.index, [target]
            elif (gone or bound[target]) and not cleaning:
                yield f"demand {k} waits for nothing", state.index, [target, *story.reach[target]]
            elif gone and target in story.needed(state, story.throughout(end), asked_before=end):
                yield f"demand {k} is cancelled, and stays although others want s{target}", state.index, [target]


@_invariant("no orphans", "P12")
def _no_orphans(story: _Story) -> Iterator[_Breach]:
    for state in story.moments:
        if state.time < story.closing:
            reach = set().union(*(story.reach[target] for k, (target, _) in state.asking.items() if k >= 0))
            for i in state.live - reach:
                yield f"the body of s{i} is alive after all that wanted it have left", state.index, [i]


@_invariant("a reason to leave", "P12")
def _a_reason_to_leave(story: _Story) -> Iterator[_Breach]:
    for index, event in enumerate(story.events):
        k = event.who
        if event.kind == "answer" and k >= 0:
            early = {"cancelled": story.deadline(k), "closed": story.closing}.get(event.how, 0)
            if event.time < early:
                yield f"demand {k} is told {event.how!r} without a reason", index, [story.spec.target(k)]


@_invariant("outcomes stay", "P3, P8")
def _outcomes_stay(story: _Story) -> Iterator[_Breach]:
    first = {story.spec.target(k): e.detail for k, e in story.answered.items() if e.how in ("value", "error")}
    for index, event in enumerate(story.events):
        if event.kind == "again":
            how, thing = first.get(event.who) or ("value", story.results.get(event.who))
            if event.who not in first and event.who in story.raised:
                how, thing = "error", story.raised[event.who]
            if event.how != how or event.detail[1] is not thing:
                yield f"awaited again, s{event.who} gives {event.detail} instead of {(how, thing)}", index, [event.who]


@_invariant("that very object", "P3, P8")
def _that_very_object(story: _Story) -> Iterator[_Breach]:
    for index, event in enumerate(story.events):
        if event.kind not in ("answer", "again") or event.how not in ("value", "error"):
            continue
        thing = event.detail[1]
        target = event.who
        if event.kind == "answer":
            target = story.target_of(index)
        if event.how == "value" and thing is not story.results.get(target):
            yield f"{thing!r} is not what s{target} returned", index, [target]
        if event.how == "error" and not any(thing is story.raised.get(i) for i in story.reach[target]):
            yield f"{thing!r} is not what a body below s{target} raised", index, [target, *story.reach[target]]


@_invariant("the first failure", "P9")
def _the_first_failure(story: _Story) -> Iterator[_Breach]:
    below = story.ancestors
    for k, answer in story.answered.items():
        target = story.spec.target(k)
        if answer.how == "error" and k in story.asked:
            told = min(t for i, t in story.failed_at.items() if story.raised[i] is answer.detail[1])
            for i, time in story.failed_at.items():
                if i in below[target] and story.asked[k].time < time < min(told, story.deadline(k)):
                    index = story.events.index(answer)
                    yield f"demand {k} ought to fail with the failure of s{i}, which came first", index, [i, target]


@_invariant("nothing is lost", "P10")
def _nothing_is_lost(story: _Story) -> Iterator[_Breach]:
    told = [e.detail[1] for e in story.events if e.kind in ("answer", "over") and e.how == "error"]
    notes = " ".join(note for exc in told for note in getattr(exc, "__notes__", ()))
    for i, exc in story.raised.items():
        if isinstance(exc, trioflow.RunClosedError):
            continue  # of a body that awaited a step when the run was closed: it says nothing new
        if not any(exc is other for other in told) and not re.search(rf"\bs{i}\b", notes):
            yield f"nobody was told that s{i} raised {exc!r}", len(story.events) - 1, [i]


@_invariant("the run's own end", "P1, P10")
def _the_run_s_own_end(story: _Story) -> Iterator[_Breach]:
    index, over = next((i, e) for i, e in enumerate(story.events) if e.kind == "over")
    result = over.detail[1]
    if over.how == "value":
        fine = result == "done"
    elif over.how == "cancelled":
        fine = story.spec.cancelled_at() <= over.time
    else:  # a body raised it when the run had been closed, and nobody was left to be told
        fine = any(result is exc and story.failed_at[i] >= story.closing for i, exc in story.raised.items())
    if not fine:
        yield f"run_workflow ends with {over.detail}", index, []


@_invariant("as predicted", "rule 0, P3, P5, P9, P11, P12")
def _as_predicted(story: _Story) -> Iterator[_Breach]:
    ought = predict(story.spec)
    last = len(story.events) - 1
    for i, spans in enumerate(ought.spans):
        expected = _until(ought.exact_until, (entry for span in spans for entry in _entries(span)))
        own = [e for e in story.events if e.who == i and e.kind in _BODY]
        seen = _until(ought.exact_until, ((e.time, e.how if e.kind == "end" else e.kind, None) for e in own))
        if expected != seen:
            yield f"s{i} ought to have {_shown(expected)}, not {_shown(seen)}", last, [i]
    for k, answer in enumerate(ought.answers):
        if k in story.asked and story.asked[k].time >= story.closing:
            continue  # closed, or an outcome that there is
        right = _until(ought.exact_until, [] if answer is None else [(answer.time, answer.kind, answer.origin)])
        got = [(e.time, e.how, _origin(e.detail[1])) for e in story.events if e.kind == "answer" and e.who == k]
        if right != (got := _until(ought.exact_until, got)):
            yield f"demand {k} ought to get {_shown(right)}, not {_shown(got)}", last, [story.spec.target(k)]
    over = next(e.time for e in story.events if e.kind == "over")
    if ought.ends != over and min(ought.ends, over) < ought.exact_until:
        yield f"the run ought to be over at {ought.ends}, not at {over}", last, []


_BODY: Final = ("start", "cancelled", "end")
_Entry = tuple[float, str, int | None]


def _entries(span: Span) -> Iterator[_Entry]:
    yield span.start, "start", None
    if span.cancelled is not None:
        yield span.cancelled, "cancelled", None
    yield span.end, span.how, None


def _origin(thing: object) -> int | None:
    match thing:
        case Value(node=node) | BodyError(args=(int(node),)):
            return node
    return None


def _until(limit: float, entries: Iterable[_Entry]) -> list[_Entry]:
    return sorted((entry for entry in entries if entry[0] < limit), key=lambda entry: entry[0])


def _shown(entries: list[_Entry]) -> str:
    told = (f"{what}{'' if origin is None else f' of s{origin}'} at {time:g}" for time, what, origin in entries)
    return ", ".join(told) or "nothing"
