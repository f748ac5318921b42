"""What follows from a trace: who was running, asking and cleaning up at each moment, and who was wanted.

Invariants are questions about that. Here are the answers, worked out from the events alone and in their order: a `Story`
has a `State` for every moment in which time passed, and one `Attempt` for every execution of a body.

**Which error settles a step.** A body can't tell whether it will be tried again, and at one instant both may be right. So
the story says that an error is an outcome where it must be one (no retry is left, or it is final, or the body had been
stopped because nobody wants it), or where somebody was told of it. What of the rest ought to have been one, or ought not,
is for invariants to say.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Any, Literal, final

import attrs

import trioflow
from trioflow.testing.spec import BodyError, DagSpec
from trioflow.testing.world import Event, Trace

__all__ = ["Attempt", "State", "Story"]


@final
@attrs.define(eq=False)
class Attempt:
    """One execution of a body, as seen."""

    step: int
    #: As it was told, or else as it can be counted.
    number: int
    #: The index of its first event, and of its last, and when those were.
    index: int
    start: float
    #: When its time is up.
    limit: float
    cancelled: float | None = None
    last: int = -1
    end: float = math.inf
    #: "timeout": it was cancelled when its time was up, and has no outcome of its own. None: it never ended.
    how: Literal["value", "error", "timeout", "cancelled"] | None = None
    error: Any = None
    #: Whether the step has an outcome by it.
    settles: bool = False

    @property
    def failed(self) -> bool:
        return self.how in ("error", "timeout")

    @property
    def was_left(self) -> bool:
        """Whether it was surely stopped because nobody wanted it."""
        return self.cancelled is not None and self.cancelled < self.limit


@final
@attrs.define
class State:
    """What an observer knows after some event."""

    index: int = -1
    time: float = 0
    until: float = 0  # when the next thing happens
    live: set[int] = attrs.Factory(set)  # bodies between their first line and their last
    cleaning: set[int] = attrs.Factory(set)  # those of them that have seen Cancelled
    values: set[int] = attrs.Factory(set)
    errors: dict[int, float] = attrs.Factory(dict)  # since when
    asking: dict[int, tuple[int, float]] = attrs.Factory(dict)  # waiter: its target, and since when
    limits: dict[int, float] = attrs.Factory(dict)  # when the time of a live body is up
    pausing: dict[int, float] = attrs.Factory(dict)  # steps between two attempts, and until when

    def copy(self) -> State:
        sets = set(self.live), set(self.cleaning), set(self.values)
        attempts = dict(self.limits), dict(self.pausing)
        return State(self.index, self.time, self.until, *sets, dict(self.errors), dict(self.asking), *attempts)


@final
class Story:
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
        self.attempts: list[list[Attempt]] = [[] for _ in numbers]  # of each step, in order
        self.ended: dict[int, Attempt] = {}  # by the index of their last event
        self.gather()
        self.settle()
        settling = [a for many in self.attempts for a in many if a.settles and a.failed]
        self.raised = {a.step: a.error for a in settling}
        self.failed_at = {a.step: a.end for a in settling}
        self.before: dict[int, State] = {}  # the state before each start of a body, by index
        self.moments: list[State] = []  # the states in which time passed
        self.tell()
        self.after = {state.time: state for state in self.moments}

    # ---- attempts

    def gather(self) -> None:
        """Which events belong to which attempt. Of a body that runs twice at a time, the first end is the first one's."""
        at_work: list[list[Attempt]] = [[] for _ in self.attempts]
        for index, event in enumerate(self.events):
            i = event.who
            if event.kind == "start":
                last = self.attempts[i][-1] if self.attempts[i] else None
                number = event.attempt or (last.number + 1 if last is not None and last.failed else 1)
                limit = event.time + self.spec.attempt_timeout(i)
                self.attempts[i].append(Attempt(i, number, index, event.time, limit))
                at_work[i].append(self.attempts[i][-1])
            elif event.kind == "cancelled" and at_work[i]:
                at_work[i][0].cancelled = event.time
            elif event.kind == "end" and at_work[i]:
                attempt = self.ended[index] = at_work[i].pop(0)
                attempt.last, attempt.end, attempt.how = index, event.time, event.detail[0]
                if attempt.how == "error":
                    attempt.error = event.detail[1]
                elif attempt.how == "cancelled" and (attempt.cancelled or 0) >= attempt.limit:
                    attempt.how = "timeout"

    def may_be_tried_again(self, attempt: Attempt) -> bool:
        """Whether a failed attempt isn't surely the last."""
        left = attempt.number <= self.spec.nodes[attempt.step].retries
        return left and not isinstance(attempt.error, trioflow.NonRetryableError) and not attempt.was_left

    def settle(self) -> None:
        """Which attempts settle their steps."""
        kinds = ("answer", "again", "over")
        told = [(k, e.detail[1]) for k, e in enumerate(self.events) if e.kind in kinds and e.how == "error"]
        everywhere = {id(exc) for _, exc in told}
        directly = {(self.target_of(index), id(exc)) for index, exc in told}
        late: dict[str | None, list[Any]] = {}
        for _, exc in told:
            if isinstance(exc, trioflow.WorkflowTimeoutError):
                late.setdefault(exc.step, []).append(exc)
        for attempt in self.ended.values():
            i, exc = attempt.step, attempt.error
            if attempt.how == "value":
                attempt.settles = True
            elif attempt.how == "error":
                own = isinstance(exc, BodyError) and exc.args == (i,)  # nobody else has it but from this step
                last = attempt is self.attempts[i][-1]
                heard = id(exc) in everywhere if own else last and (i, id(exc)) in directly
                attempt.settles = heard or not self.may_be_tried_again(attempt)
            elif attempt.how == "timeout" and attempt is self.attempts[i][-1]:
                heard_of = late.get(self.spec.names[i], [])
                attempt.settles, attempt.error = bool(heard_of), heard_of[0] if heard_of else None

    def successions(self) -> Iterator[tuple[Attempt | None, Attempt]]:
        """Each attempt with the one before it, of the same step."""
        for many in self.attempts:
            yield from zip([None, *many], many, strict=False)

    def is_due(self, attempt: Attempt) -> bool:
        """Whether another attempt ought to follow, if the step is wanted."""
        return attempt.failed and self.may_be_tried_again(attempt)

    def is_over(self, attempt: Attempt) -> bool:
        """Whether a failed attempt was surely the last."""
        return not self.may_be_tried_again(attempt) and self.is_wanted_throughout(attempt, attempt.end)

    def due(self, attempt: Attempt) -> float:
        """When the one after a failed attempt ought to begin."""
        return attempt.end + self.spec.delay_before(attempt.step, attempt.number)

    def is_wanted_throughout(self, attempt: Attempt, until: float) -> bool:
        """Whether somebody wanted the step, without a doubt, from before an attempt began until then."""
        i, since = attempt.step, attempt.start
        others = (e.time == until and e.who != i and e.how != "value" for e in self.events if e.kind == "end")
        if any(others):
            return False  # in that very instant it may have become superfluous
        closing = next((k for k, e in enumerate(self.events) if e.kind == "closing"), len(self.events))
        told = {e.who for e in self.events[:closing] if e.kind == "answer"}
        states = [self.before[attempt.index], *(s for s in self.moments if since <= s.time < until)]
        return any(
            asked < attempt.index
            and self.answer_time(k) >= until < self.deadline(k)
            and (k in told or self.closing > until)
            and all(i in self.needed(state, [self.spec.target(k)], asked_before=-1) for state in states)
            for asked, k in enumerate(e.who if e.kind == "ask" else -1 for e in self.events)
            if k >= 0
        )

    def was_left_between(self, before: Attempt, attempt: Attempt) -> bool:
        """Whether nobody wanted the step for some time in the delay between two attempts."""
        i = before.step
        return any(before.end <= s.time < s.until <= attempt.start and i not in s.pausing for s in self.moments)

    # ---- states

    def tell(self) -> None:
        state = State()
        for index, event in enumerate(self.events):
            state.until = event.time
            if event.time > state.time and index:
                for i in set(state.pausing) - self.needed(state, self.present(state)):
                    del state.pausing[i]  # left in the delay
                self.moments.append(state.copy())
            if event.kind == "start":
                self.before[index] = state.copy()
            self.follow(state, index, event)
        self.moments.append(state)

    def follow(self, state: State, index: int, event: Event) -> None:
        state.index, state.time = index, event.time
        who = event.who
        if event.kind == "ask":
            state.asking[who] = event.detail, event.time
        elif event.kind == "answer":
            state.asking.pop(who, None)
        elif event.kind == "start":
            state.live.add(who)
            state.limits[who] = event.time + self.spec.attempt_timeout(who)
            state.pausing.pop(who, None)
        elif event.kind == "cancelled":
            state.cleaning.add(who)
        elif event.kind == "end":
            state.live.discard(who)
            state.cleaning.discard(who)
            if event.how == "value":
                state.values.add(who)
            elif (attempt := self.ended.get(index)) is None or not attempt.failed:
                pass
            elif attempt.settles:
                state.errors.setdefault(who, event.time)
            elif self.may_be_tried_again(attempt):
                state.pausing[who] = self.due(attempt)

    def target_of(self, index: int) -> int:
        """Which step the answer at `index` is about; of other events, whose it is."""
        who = self.events[index].who
        if self.events[index].kind != "answer":
            return who
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

    def bound(self, state: State, before: float = math.inf) -> list[bool]:
        """Which steps are bound to fail, or have, by failures from before a time."""
        found: list[bool] = []
        for i, dependencies in enumerate(self.dependencies):
            idle = i not in state.values and i not in state.live
            found.append(state.errors.get(i, math.inf) < before or (idle and any(found[d] for d in dependencies)))
        return found

    def needed(
        self,
        state: State,
        roots: Iterable[int],
        *,
        in_turn: bool = False,
        failed_before: float = math.inf,
        asked_before: float = math.inf,
    ) -> set[int]:
        """What these await and what that needs (P11); with `in_turn`, only as far as its turn has come (P5).

        Failures, ends of time and awaits inside bodies count if they are from before a time.
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
                if i not in state.cleaning and since < asked_before and not is_late(state, i, failed_before):
                    todo.append(target)
            elif not bound[i]:
                missing = [d for d in self.dependencies[i] if d not in state.values]
                todo += missing[:1] if in_turn and not self.spec.nodes[i].concurrent else missing
        return seen

    def present(self, state: State) -> list[int]:
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

    def possible(self, state: State, time: float) -> list[int]:
        """What may have been awaited at some moment of the instant `time`, up to `state`."""
        inside = [target for waiter, (target, _) in state.asking.items() if waiter < 0]
        return inside + [
            e.detail
            for k, e in self.asked.items()
            if self.deadline(k) >= time and (k in state.asking or e.time <= time == self.answer_time(k))
        ]


def is_late(state: State, i: int, before: float) -> bool:
    """Whether the time of a live body is up: before a time, or at the latest now."""
    limit = state.limits[i]
    return limit < before if before < math.inf else limit <= state.time
