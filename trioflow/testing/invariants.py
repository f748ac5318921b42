"""The laws that every trace of a run keeps, however many things happen at one instant: where the schedule may decide, they
allow each way.

Each is a generator of breaches, written as a question to a `Story`. A law that can't be sure says nothing: what it lets
pass is caught by the prediction, where there is one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import final

import attrs

import trioflow
from trioflow.testing.story import Story
from trioflow.testing.world import PATIENCE

__all__ = ["INVARIANTS", "Breach", "Invariant"]

Breach = tuple[str, int, Sequence[int]]
"""What is wrong, the index of the event that shows it, and the steps concerned."""


@final
@attrs.frozen
class Invariant:
    """A law that every trace keeps."""

    name: str
    #: The promises that it follows from.
    promises: str
    breaches: Callable[[Story], Iterator[Breach]]


INVARIANTS: list[Invariant] = []
"""All of them, in the order in which `check` tries them: what says most comes first."""


def _invariant(name: str, promises: str) -> Callable[[Callable[[Story], Iterator[Breach]]], None]:
    return lambda breaches: INVARIANTS.append(Invariant(name, promises, breaches))


@_invariant("it ends", "P1, P16")
def _it_ends(story: Story) -> Iterator[Breach]:
    last = len(story.events) - 1
    if story.moments[-1].time >= PATIENCE or not any(e.kind == "over" for e in story.events):
        stuck = [target for target, _ in story.moments[-1].asking.values()]
        yield "the run hangs", last, stuck
    for k in story.asked.keys() - story.answered.keys():
        yield f"demand {k} never got an answer", last, [story.spec.target(k)]


@_invariant("nothing is left", "P1")
def _nothing_is_left(story: Story) -> Iterator[Breach]:
    over = next(i for i, e in enumerate(story.events) if e.kind == "over")
    for i, event in enumerate(story.events[over:], over):
        if event.kind in ("start", "cancelled", "end"):
            yield f"a body of s{event.who} was alive when the run was over", i, [event.who]


@_invariant("nothing begins after the end", "P2, P12")
def _nothing_begins_after_the_end(story: Story) -> Iterator[Breach]:
    for index in story.before:
        event = story.events[index]
        if event.time > story.closing:
            yield f"s{event.who} begins although the run is closed", index, [event.who]


@_invariant("no overlap", "P3")
def _no_overlap(story: Story) -> Iterator[Breach]:
    for index, state in story.before.items():
        i = story.events[index].who
        if i in state.live:
            yield f"s{i} runs twice at the same time", index, [i]


@_invariant("retries have an end", "P18")
def _retries_have_an_end(story: Story) -> Iterator[Breach]:
    for before, attempt in story.successions():
        i = attempt.step
        if attempt.number > story.spec.nodes[i].retries + 1:
            yield f"s{i} is in attempt {attempt.number}, and may be tried again only so often", attempt.index, [i]
        elif before is not None and isinstance(before.error, trioflow.NonRetryableError) and before.settles:
            yield f"s{i} is tried again after an error that is final", attempt.index, [i]
        elif before is not None and before.how == "timeout" and story.is_over(before):
            yield f"s{i} is run again after the timeout of its last attempt", attempt.index, [i]


@_invariant("the next attempt in time", "P18")
def _the_next_attempt_in_time(story: Story) -> Iterator[Breach]:
    following = {before: attempt for before, attempt in story.successions() if before is not None}
    for before in story.ended.values():
        if not story.is_due(before):
            continue
        i, due, attempt = before.step, story.due(before), following.get(before)
        if attempt is not None and attempt.number == before.number + 1:
            if attempt.start != due:
                yield f"s{i} is tried again at {attempt.start:g} instead of {due:g}", attempt.index, [i]
        elif before.settles:
            if story.is_wanted_throughout(before, before.end):
                yield f"s{i} has failed, and attempt {before.number + 1} isn't made", before.last, [i]
        elif (attempt is None or attempt.start > due) and story.is_wanted_throughout(before, due):
            index = next((index for index, e in enumerate(story.events) if e.time > due), len(story.events) - 1)
            yield f"s{i} is not tried again at {due:g}, when attempt {before.number + 1} is due", index, [i]


@_invariant("an attempt in its time", "P18")
def _an_attempt_in_its_time(story: Story) -> Iterator[Breach]:
    for state in story.moments:
        for i in state.live - state.cleaning:
            if state.limits[i] < state.until and not (-1 - i in state.asking and state.cleaning):
                yield f"s{i} works on after its timeout", state.index, [i]


@_invariant("once only", "P3")
def _once_only(story: Story) -> Iterator[Breach]:
    for index, state in story.before.items():
        i = story.events[index].who
        if i in state.values or i in state.errors:
            yield f"s{i} runs again although it has an outcome", index, [i]


@_invariant("attempts are counted", "P14, P18")
def _attempts_are_counted(story: Story) -> Iterator[Breach]:
    for before, attempt in story.successions():
        i, told = attempt.step, story.events[attempt.index].attempt
        if not story.spec.nodes[i].has_policy:
            continue
        if told is None:
            yield f"s{i} is not told which attempt it is", attempt.index, [i]
        elif told == 1:
            if before is not None and story.is_due(before) and story.is_wanted_throughout(before, attempt.start):
                yield f"s{i} begins afresh instead of with attempt {before.number + 1}", attempt.index, [i]
        elif before is None or not before.failed or told != before.number + 1:
            yield f"s{i} is told that it is attempt {told}, and isn't", attempt.index, [i]
        elif story.is_due(before) and not before.settles and story.was_left_between(before, attempt):
            yield f"s{i} was left in the delay, and goes on with attempt {told}", attempt.index, [i]


@_invariant("dependencies first", "P4")
def _dependencies_first(story: Story) -> Iterator[Breach]:
    for index, state in story.before.items():
        event = story.events[index]
        for d in story.dependencies[event.who]:
            if d not in state.values:
                yield f"s{event.who} begins before s{d} has succeeded", index, [event.who, d]


@_invariant("values as in a call", "P4, P22")
def _values_as_in_a_call(story: Story) -> Iterator[Breach]:
    for index in story.before:
        event = story.events[index]
        ought = [story.results[d] for d in story.dependencies[event.who]]
        if len(ought) != len(event.detail) or any(a is not b for a, b in zip(ought, event.detail, strict=True)):
            yield f"s{event.who} ought to get {ought}, not {list(event.detail)}", index, [event.who]


@_invariant("lazy", "P2, P9")
def _lazy(story: Story) -> Iterator[Breach]:
    for index, state in story.before.items():
        event = story.events[index]
        if event.who not in story.needed(state, story.possible(state, event.time), failed_before=event.time):
            yield f"s{event.who} begins, and nobody needs it", index, [event.who]


@_invariant("one after the other", "P5")
def _one_after_the_other(story: Story) -> Iterator[Breach]:
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
def _no_delay(story: Story) -> Iterator[Breach]:
    for state in story.moments:
        if not state.cleaning:  # else a step may have to wait until what it was leaving is gone
            bound = story.bound(state)
            for i in story.needed(state, story.present(state), in_turn=True) - state.live:
                if i in state.pausing and state.time < state.pausing[i]:
                    continue  # it waits for its next attempt
                if not bound[i] and state.values.issuperset(story.dependencies[i]):
                    yield f"s{i} could begin, is wanted, and time passes without it", state.index, [i]


@_invariant("nothing for nobody", "P9, P11")
def _nothing_for_nobody(story: Story) -> Iterator[Breach]:
    for state in story.moments:
        wanted = story.needed(state, story.present(state))
        for i in state.live - state.cleaning - wanted:
            if not (-1 - i in state.asking and state.cleaning):  # its own await may be waiting for a clean-up
                yield f"the body of s{i} works on, and nobody wants it", state.index, [i]


@_invariant("what is wanted is left alone", "P11")
def _what_is_wanted_is_left_alone(story: Story) -> Iterator[Breach]:
    own = {(-1 - e.who, e.time) for e in story.events if e.kind == "answer"}
    latest: dict[int, float] = {}  # when the time of its attempt is up
    for index, event in enumerate(story.events):
        i = event.who
        if event.kind == "start":
            latest[i] = event.time + story.spec.attempt_timeout(i)
        if event.kind != "cancelled" or (i, event.time) in own:
            continue  # a body that awaits another step hears of it when that await is over
        if event.time >= latest[i]:
            continue  # its time is up
        if i in story.needed(story.after[event.time], story.throughout(event.time), asked_before=event.time):
            yield f"the body of s{i} is cancelled, and somebody wants it", index, [i]


@_invariant("siblings stop before the error", "P9")
def _siblings_stop_before_the_error(story: Story) -> Iterator[Breach]:
    if len(story.failed_at) != 1:
        return  # with more of them, or of them and of timeouts, it is the model's business what belongs together
    (failed,) = story.failed_at.values()
    leaving = {story.closing, *map(story.deadline, story.asked)}
    for state in story.moments:
        for k, answer in story.answered.items():
            if answer.how == "error" and answer.time == state.time and story.asked[k].time < failed not in leaving:
                last = {e.who: e.time for e in story.events[: state.index + 1] if e.kind == "cancelled"}
                stopped = {i for i in state.cleaning if last[i] == failed < state.limits[i]}
                for i in stopped & story.ancestors[story.spec.target(k)]:
                    yield f"demand {k} gets the error while s{i} cleans up because of it", state.index, [i]


@_invariant("prompt", "P9, P12")
def _prompt(story: Story) -> Iterator[Breach]:
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
def _no_orphans(story: Story) -> Iterator[Breach]:
    for state in story.moments:
        if state.time < story.closing:
            reach = set().union(*(story.reach[target] for k, (target, _) in state.asking.items() if k >= 0))
            for i in state.live - reach:
                yield f"the body of s{i} is alive after all that wanted it have left", state.index, [i]


@_invariant("a reason to leave", "P12")
def _a_reason_to_leave(story: Story) -> Iterator[Breach]:
    for index, event in enumerate(story.events):
        k = event.who
        if event.kind == "answer" and k >= 0:
            early = {"cancelled": story.deadline(k), "closed": story.closing}.get(event.how, 0)
            if event.time < early:
                yield f"demand {k} is told {event.how!r} without a reason", index, [story.spec.target(k)]


@_invariant("outcomes stay", "P3, P8")
def _outcomes_stay(story: Story) -> Iterator[Breach]:
    first = {story.spec.target(k): e.detail for k, e in story.answered.items() if e.how in ("value", "error")}
    for index, event in enumerate(story.events):
        if event.kind == "again":
            how, thing = first.get(event.who) or ("value", story.results.get(event.who))
            if event.who not in first and event.who in story.raised:
                how, thing = "error", story.raised[event.who]
            if event.how != how or event.detail[1] is not thing:
                yield f"awaited again, s{event.who} gives {event.detail} instead of {(how, thing)}", index, [event.who]


@_invariant("that very object", "P3, P8")
def _that_very_object(story: Story) -> Iterator[Breach]:
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
def _the_first_failure(story: Story) -> Iterator[Breach]:
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
def _nothing_is_lost(story: Story) -> Iterator[Breach]:
    told = [e.detail[1] for e in story.events if e.kind in ("answer", "over") and e.how == "error"]
    notes = " ".join(note for exc in told for note in getattr(exc, "__notes__", ()))
    for i, exc in story.raised.items():
        if isinstance(exc, trioflow.RunClosedError):
            continue  # of a body that awaited a step when the run was closed: it says nothing new
        if not any(exc is other for other in told) and not re.search(rf"\b{story.spec.names[i]}\b", notes):
            yield f"nobody was told that s{i} raised {exc!r}", len(story.events) - 1, [i]


@_invariant("the run's own end", "P1, P10")
def _the_run_s_own_end(story: Story) -> Iterator[Breach]:
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
