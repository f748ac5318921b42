"""What ought to happen to a generated workflow: an oracle that knows the answer without running it.

A `DagSpec` says which steps there are, what their bodies do, and who awaits which of them, when and for how long.
`predict` says what the promises make of it: which bodies run, when each attempt begins, is cancelled and ends, and what
every waiter gets, at what time. It is a discrete-event simulation of the *promises* (the README's chapter on semantics),
not of the runtime. It keeps no counters of interest and passes nothing from step to step. After every event it works
out afresh, from the definition, which steps are wanted, which are bound to fail and which may begin, and compares that
with what is running. So it shares no idea with the runtime that it judges, and imports nothing of it.

**Where the schedule decides.** When two things happen at the same instant (a failure and a timeout, say), their order
is Trio's to choose, and every answer that some order gives is right. Exploring all orders was the other road. But a
runtime wakes tasks one by one *within* an instant, so a complete exploration needs its inner steps, and an oracle that
knows those judges nothing any more. Instead there are two kinds of specs:

* *spread* ones (`DagSpec.spread`): every time in them is moved by a fraction of a second of its own, so that no two
  events coincide unless one brings about the other. There the prediction is exact, to the last bit.
* *tied* ones, in whole seconds, where nearly everything coincides. There the prediction says how far it reaches:
  `Prediction.exact_until` is the first instant at which an order matters (infinity if none ever does: successes
  commute, so a tied run without failure and cancellation is exact, too). Beyond it, the invariants of
  `trioflow.testing.invariants` judge, which follow the order that the trace itself shows.

The same mark is set where the promises leave something open, see `_Simulation.open_question`.

**Attempts.** A step that is between two attempts is unsettled and wanted, and nothing of it runs. So the delay needs a
phase of its own; all else about a retry is the arithmetic of `DagSpec.delay_before`. An attempt whose time is up is told
to stop as one that nobody wants, but stays wanted: what comes of it is an outcome, or one more failed attempt.
"""

from __future__ import annotations

import enum
import heapq
import math
from collections.abc import Callable, Iterable
from typing import Any, Final, Literal, final

import attrs

from trioflow.testing.prediction import Answer, Kind, Prediction, Span
from trioflow.testing.spec import DagSpec

__all__ = ["predict"]


def predict(spec: DagSpec) -> Prediction:
    """What the promises make of `spec`, as exactly as they decide it."""
    return _Simulation(spec).run()


# -------------------------------------------------------------------------------------------------------- simulation


class _Phase(enum.Enum):
    IDLE = enum.auto()  # its body does not run; it may be waiting for its dependencies
    LEAVING = enum.auto()  # wanted by nobody since it was waiting, and what it alone wanted is still cleaning up
    DOOMED = enum.auto()  # bound to fail, and what was stopped below it is still cleaning up
    RUNNING = enum.auto()  # and wanted; if its time is up it has been told to stop all the same
    PAUSING = enum.auto()  # an attempt has failed, and the next begins after a delay
    STOPPING = enum.auto()  # nobody wants it; its body was told to stop, and is not over
    DONE = enum.auto()
    FAILED = enum.auto()


_IDLE, _LEAVING, _DOOMED = _Phase.IDLE, _Phase.LEAVING, _Phase.DOOMED
_RUNNING, _PAUSING, _STOPPING = _Phase.RUNNING, _Phase.PAUSING, _Phase.STOPPING
_DONE, _FAILED = _Phase.DONE, _Phase.FAILED
_OVER: Final = frozenset({_DONE, _FAILED})


@final
@attrs.frozen(order=True)
class _Failure:
    """Ordered by when it happened."""

    order: float
    origin: int | None  # whose body raised the exception; None: the run was closed
    final: bool = False  # no other attempt can help


_CLOSED: Final = _Failure(math.inf, None)


@final
@attrs.define(eq=False)
class _Cell:
    number: int
    dependencies: tuple[int, ...]
    inner: tuple[int, ...]
    phase: _Phase = _IDLE
    #: FAILED, DOOMED: why. DONE: whose value.
    failure: _Failure | None = None
    #: LEAVING, DOOMED: the dependencies that it waits for.
    waits: set[int] = attrs.Factory(set)
    bereft: bool = False  # one of them has failed
    spans: list[Span] = attrs.Factory(list)
    #: RUNNING, STOPPING: since when, when it was told to stop and when it saw `Cancelled`, and how many inner awaits it
    #: has begun. `expired`: it was told so because its time was up.
    start: float = 0
    told: float | None = None
    cancelled: float | None = None
    expired: bool = False
    position: int = 0
    inside: bool = False
    #: Which attempt, since it was begun afresh.
    attempt: int = 0
    #: Executions so far: an event of an earlier one is void.
    execution: int = 0


#: Who waits: a demand by its number, or the body of step i as -1 - i.
_Waiter = int
#: An execution of a body.
_Body = tuple[_Cell, int]


@final
class _Simulation:
    """Events in a heap; after each, `react` brings the cells into the state that the promises prescribe."""

    def __init__(self, spec: DagSpec) -> None:
        self.spec = spec
        self.cells = [
            _Cell(i, tuple(dict.fromkeys(spec.dependencies(i))), spec.awaited_inside(i)) for i in range(len(spec.nodes))
        ]
        self.now = 0.0
        self.heap: list[tuple[float, int, Callable[[Any], None], Any]] = []
        self.pushed = 0
        self.wide = False  # more than one thing has been about to happen at this instant
        self.exact_until = math.inf
        self.interest: dict[_Waiter, int] = {}  # who waits for which cell, and wants it
        self.lingering: dict[_Waiter, tuple[int, Literal["cancelled", "closed"]]] = {}  # wants it no longer, but waits
        self.answers: list[Answer | None] = [None] * len(spec.demands)
        self.inside = {k for k in range(len(spec.demands)) if not spec.is_stranger(k)}  # not answered yet
        self.want: set[int] = set()
        self.begun: set[int] = set()  # on somebody's account, and wanted ever since
        self.strict: set[int] = set()  # those that an active waiter has begun
        self.queued: set[int] = set()
        self.fresh: list[_Cell] = []  # doomed just now
        self.failures = 0
        self.cancelling = self.closed = False
        self.ends = 0.0

    def run(self) -> Prediction:
        spec = self.spec
        for k in range(len(spec.demands)):
            self.push(spec.asks_at(k), self.ask, k)
        if spec.cancel_at is not None:
            self.push(spec.cancelled_at(), self.cancel)
        if spec.return_at is not None:
            self.push(spec.returns_at(), self.close)
        if not self.inside and spec.return_at is None:
            self.push(0, self.close)
        while self.heap:
            event = heapq.heappop(self.heap)
            if self.is_void(*event):
                continue
            time, _, handler, subject = event
            if time > self.now:
                self.now, self.wide = time, False
            self.wide = self.wide or self.another_at(time)
            handler(subject)
            self.react()
        spans = tuple(tuple(cell.spans) for cell in self.cells)
        return Prediction(spans, tuple(self.answers), self.ends, self.exact_until)

    def push(self, time: float, handler: Callable[[Any], None], subject: Any = None) -> None:
        self.pushed += 1
        heapq.heappush(self.heap, (time, self.pushed, handler, subject))

    def another_at(self, time: float) -> bool:
        """Whether something else is about to happen at the same time. A deadline that was met before is no such thing."""
        while self.heap and self.is_void(*self.heap[0]):
            heapq.heappop(self.heap)
        return bool(self.heap) and self.heap[0][0] == time

    def is_void(self, time: float, _: int, handler: Callable[[Any], None], subject: Any) -> bool:
        if handler == self.expire:
            answer = self.answers[subject]
            return answer is not None and answer.time < time
        if handler not in (self.time_is_up, self.work_is_done):
            return False
        body: _Body = subject
        cell, execution = body
        if len(cell.spans) >= execution:
            return cell.spans[execution - 1].end < time
        return cell.told is not None and cell.told < time

    def disrupt(self) -> None:
        """Something happens that doesn't commute with whatever else happens at this instant."""
        if self.wide:
            self.open_question()

    def open_question(self) -> None:
        """The promises don't say what happens from now on. Each caller says in a comment what it is."""
        self.exact_until = min(self.exact_until, self.now)

    # ---- those who await

    def ask(self, k: int) -> None:
        if self.cancelling and not self.spec.is_stranger(k):
            return
        if self.closed:
            self.answers[k] = Answer(self.now, "closed")
        else:
            if self.spec.timeout(k) < math.inf:
                self.push(self.now + self.spec.timeout(k), self.expire, k)
            self.demand(k, self.spec.target(k))

    def demand(self, waiter: _Waiter, target: int) -> None:
        if self.cells[target].phase in _OVER:
            self.tell(waiter, *self.outcome(target))
        else:
            self.interest[waiter] = target

    def outcome(self, target: int) -> tuple[Literal["value", "error"], int | None]:
        cell = self.cells[target]
        if cell.phase is _DONE:
            return "value", target
        assert cell.failure is not None
        return "error", cell.failure.origin

    def expire(self, k: int) -> None:
        answer = self.answers[k]
        if k in self.interest:
            self.leave(k)
        elif answer is None or answer.time == self.now:
            # Answered at the same instant. Or the run has been closed under it, and it waits until the body has stopped:
            # does it leave at once, since it wants nothing any more, or is that the clean-up of what it alone wanted?
            self.open_question()

    def leave(self, waiter: _Waiter) -> None:
        """A waiter is cancelled: it stays only for the clean-up of what it alone wanted."""
        self.disrupt()
        target = self.interest.pop(waiter)
        cell = self.cells[target]
        before = cell.phase
        self.react()
        if target in self.want:
            self.tell(waiter, "cancelled")
        elif before in (_STOPPING, _LEAVING):
            # It had come while the body was being stopped for somebody else, and the body is still not gone: is that a
            # clean-up "that it alone wanted"?
            self.open_question()
            self.tell(waiter, "cancelled")
        elif cell.phase is _IDLE:
            self.tell(waiter, "cancelled")
        else:
            if before is _DOOMED and any(target in c.waits for c in self.cells):
                # Steps above it are bound to fail as well, and those who await them want the same clean-up.
                self.open_question()
            self.lingering[waiter] = (target, "cancelled")

    def tell(self, waiter: _Waiter, kind: Kind, origin: int | None = None) -> None:
        if waiter < 0:
            cell = self.cells[-1 - waiter]
            self.push(self.now, self.resume, (cell, cell.execution, kind, origin))
            return
        self.answers[waiter] = Answer(self.now, kind, origin)
        self.inside.discard(waiter)
        if not self.inside and self.spec.return_at is None and not self.spec.is_stranger(waiter):
            self.push(self.now, self.close)

    def cancel(self, _: None) -> None:
        """The host cancels: everybody inside leaves, strangers stay as long as the run does."""
        self.disrupt()
        if self.closed:
            return
        if not self.now:
            self.open_question()  # whether the workflow's function is called at all
        self.cancelling = True
        leaving = [k for k in self.interest if k in self.inside]
        if len(leaving) > 1:
            self.open_question()  # which of them is the last to want a body that they share
        self.inside = {k for k in self.inside if k in self.interest or k in self.lingering}
        for k in leaving:
            self.leave(k)
        if not self.inside:
            self.push(self.now, self.close)

    def close(self, _: None) -> None:
        """The workflow's function is over: nobody can want anything any more."""
        if self.closed:
            return
        self.closed = True
        self.ends = max(self.ends, self.now)
        if self.interest or self.spec.return_at is not None:
            self.disrupt()
        if self.lingering or min(self.interest, default=0) < 0 or len(set(self.interest.values())) > 1:
            # What does a waiter get that was cancelled before and still stays for a clean-up, or the await of a body
            # that is cancelled now: Cancelled or RunClosedError? And does an await of a step that has not begun wait
            # for bodies below it that others wanted as well?
            self.open_question()
        self.lingering.update((waiter, (target, "closed")) for waiter, target in self.interest.items())
        for i in self.want:
            if self.cells[i].phase in (_IDLE, _LEAVING, _PAUSING):
                self.doom(self.cells[i], _CLOSED)
        self.interest.clear()

    # ---- bodies

    def start(self, cell: _Cell) -> None:
        self.queued.discard(cell.number)
        if cell.number not in self.begun or cell.phase is not _IDLE or self.closed:
            return  # cancelled before its first line
        if cell.number not in self.strict:
            # It was begun on the account of somebody who has left, and only a step whose turn to begin it has not come
            # wants it now: is what has been begun carried on, or only what runs?
            self.open_question()
        cell.attempt = 0
        self.run_body(cell)

    def run_body(self, cell: _Cell) -> None:
        """The next attempt."""
        cell.phase = _RUNNING
        cell.start, cell.told, cell.cancelled, cell.expired, cell.position = self.now, None, None, False, 0
        cell.attempt += 1
        cell.execution += 1
        timeout = self.spec.attempt_timeout(cell.number)
        if timeout < math.inf:
            self.push(self.now + timeout, self.time_is_up, (cell, cell.execution))
        self.proceed(cell)

    def proceed(self, cell: _Cell) -> None:
        """Whatever the body does next."""
        i = cell.number
        cell.inside = cell.position < len(cell.inner)
        if cell.inside:
            cell.position += 1
            self.demand(-1 - i, cell.inner[cell.position - 1])
        elif self.spec.seconds(i) or self.spec.nodes[i].checkpoint:
            self.push(self.now + self.spec.seconds(i), self.work_is_done, (cell, cell.execution))
        else:
            self.finish(cell)

    def work_is_done(self, subject: _Body) -> None:
        cell, execution = subject
        if cell.execution == execution and cell.phase is _RUNNING and not cell.expired:
            self.finish(cell)

    def finish(self, cell: _Cell) -> None:
        node = self.spec.nodes[cell.number]
        if node.fails_in(cell.attempt):
            self.fail(cell, cell.number, final=node.final and cell.attempt > node.flaky)
        else:
            self.succeed(cell)

    def time_is_up(self, subject: _Body) -> None:
        """An attempt has taken too long: it is told to stop, and still wanted."""
        cell, execution = subject
        over = cell.spans[execution - 1].end if len(cell.spans) >= execution else math.inf
        if over == self.now or cell.told == self.now:
            self.open_question()  # over, or left by the last who wanted it, at the same instant
        elif over == math.inf and cell.told is None:
            self.disrupt()
            cell.expired, cell.told = True, self.now
            self.stop(subject)

    def resume(self, subject: tuple[_Cell, int, str, int | None]) -> None:
        """A body's own await is over."""
        cell, execution, kind, origin = subject
        assert cell.execution == execution, "a body ended before its await did"
        if kind == "error":
            failure = None if origin is None else self.cells[origin].failure
            self.fail(cell, origin, final=failure is not None and failure.final)
        elif kind == "value" and cell.told is None:
            self.proceed(cell)
        elif kind == "value" and cell.position == len(cell.inner) and not self.waits_after(cell):
            self.finish(cell)
        else:
            if kind == "value" and cell.position < len(cell.inner):
                self.open_question()  # does an await that is cancelled from the outset begin anything
            self.see_cancelled(cell)

    def waits_after(self, cell: _Cell) -> bool:
        return self.spec.nodes[cell.number].checkpoint or self.spec.nodes[cell.number].seconds > 0

    def stop(self, subject: _Body) -> None:
        """A body is cancelled, and was told so at this instant."""
        cell, execution = subject
        if cell.phase not in (_RUNNING, _STOPPING) or cell.execution != execution or cell.cancelled is not None:
            return
        if not cell.inside:
            self.see_cancelled(cell)
        elif -1 - cell.number in self.interest:
            self.leave(-1 - cell.number)

    def see_cancelled(self, cell: _Cell) -> None:
        cell.cancelled = self.now
        cell.inside = False
        seconds = self.spec.cleanup(cell.number)
        if seconds:
            self.push(self.now + seconds, self.cleaned_up, cell)
        else:
            self.cleaned_up(cell)

    def cleaned_up(self, cell: _Cell) -> None:
        node = self.spec.nodes[cell.number]
        if node.afterwards == "fail":
            self.fail(cell, cell.number, final=node.final)
        elif node.afterwards == "return":
            self.disrupt()
            self.succeed(cell)
        elif cell.phase is _RUNNING:  # its time was up
            self.fail(cell, cell.number, how="cancelled")
        else:
            self.over(cell, "cancelled", _IDLE)

    def succeed(self, cell: _Cell) -> None:
        self.over(cell, "value", _DONE)

    def fail(
        self, cell: _Cell, origin: int | None, *, final: bool = False, how: Literal["error", "cancelled"] = "error"
    ) -> None:
        """An attempt has failed. If nobody wants the step any more, that is its outcome (P10): for whom try again?"""
        if cell.phase is _RUNNING and not final and cell.attempt <= self.spec.nodes[cell.number].retries:
            delay = self.spec.delay_before(cell.number, cell.attempt)
            cell.phase = _PAUSING
            cell.spans.append(Span(cell.start, cell.cancelled, self.now, how, cell.attempt))
            self.push(self.now + delay, self.try_again, (cell, cell.execution))
            return
        self.disrupt()
        self.failures += 1
        cell.failure = _Failure(self.failures, origin, final)
        self.over(cell, how, _FAILED)

    def try_again(self, subject: _Body) -> None:
        cell, execution = subject
        if cell.phase is _PAUSING and cell.execution == execution:
            self.run_body(cell)

    def over(self, cell: _Cell, how: Literal["value", "error", "cancelled"], phase: _Phase) -> None:
        cell.phase = phase
        cell.spans.append(Span(cell.start, cell.cancelled, self.now, how, cell.attempt))
        self.ends = max(self.ends, self.now)
        self.out(cell)

    # ---- what follows from it

    def react(self) -> None:
        """Bring every cell into the state that it ought to be in, now that something has happened."""
        wanted = self.find_wanted()
        concerned = self.want | wanted
        if self.failures and self.doom_the_bound(wanted):
            wanted = self.find_wanted()
        self.want = wanted
        self.drop(concerned - wanted)
        for cell in self.fresh:
            cell.waits |= {d for d in cell.dependencies if self.cells[d].phase in (_STOPPING, _LEAVING, _DOOMED)}
        self.fresh.clear()
        self.settle()
        if not self.closed:
            self.begin()

    def find_wanted(self) -> set[int]:
        """Awaited, or needed by a step that is itself wanted, unsettled and not bound to fail (P11)."""
        todo = list(self.interest.values())
        seen = set()
        for i in todo:
            cell = self.cells[i]
            if i not in seen and cell.phase not in _OVER:
                seen.add(i)
                if cell.phase is not _DOOMED:
                    todo += cell.dependencies
        return seen

    def doom_the_bound(self, wanted: set[int]) -> bool:
        """Whoever depends on a failed step is bound to fail, all the way up and at once (P9)."""
        bound: list[_Failure | None] = []
        for cell in self.cells:
            if cell.phase in (_IDLE, _LEAVING):
                first = min((f for d in cell.dependencies if (f := bound[d])), default=None)
                if first and cell.number in wanted:
                    self.doom(cell, first)
                elif first and cell.phase is _LEAVING:
                    if cell.bereft or any(bound[d] for d in cell.waits):
                        self.doom(cell, first)
                    else:
                        # It failed elsewhere: does who stays for a clean-up hear of that, too (P10), or does it only
                        # get what comes out of the clean-up?
                        self.open_question()
                bound.append(first)
            else:
                bound.append(cell.failure)
        return bool(self.fresh)

    def doom(self, cell: _Cell, failure: _Failure) -> None:
        cell.phase, cell.failure = _DOOMED, failure
        self.fresh.append(cell)

    def drop(self, gone: set[int]) -> None:
        """Nobody wants these any longer: bodies are stopped, and who waited for them waits until they have."""
        out: set[int] = set()
        for i in sorted(gone):
            cell = self.cells[i]
            if cell.phase is _RUNNING:
                cell.phase = _STOPPING
                if cell.told is None:
                    cell.told = self.now
                    self.push(self.now, self.stop, (cell, cell.execution))
                out.add(i)
            elif cell.phase is _PAUSING:
                cell.phase = _IDLE  # there is nothing to be stopped
            elif cell.phase is _IDLE:
                below = out.intersection(cell.dependencies)
                if any(
                    self.cells[d].phase in (_STOPPING, _LEAVING) for d in gone.intersection(cell.dependencies) - out
                ):
                    # It waited for a body that was being stopped for somebody else: see `leave`.
                    self.open_question()
                if below:
                    cell.phase, cell.waits, cell.bereft = _LEAVING, below, False
                    out.add(i)

    def settle(self) -> None:
        for cell in self.cells:  # a cell waits only for cells before it
            if cell.phase is _DOOMED and not cell.waits:
                below = [self.cells[d].failure for d in cell.dependencies if self.cells[d].phase is _FAILED]
                cell.failure = min(f for f in [cell.failure, *below] if f)
                cell.phase = _IDLE if cell.failure is _CLOSED else _FAILED
                self.out(cell)
            elif cell.phase is _LEAVING and not cell.waits:
                cell.phase = _IDLE
                self.out(cell)

    def out(self, cell: _Cell) -> None:
        """It has an outcome, or has been left: nobody need wait for it any longer."""
        i = cell.number
        for other in self.cells:
            if i in other.waits:
                other.waits.discard(i)
                other.bereft = other.bereft or cell.phase is _FAILED
        waiting = [w for w, (target, _) in self.lingering.items() if target == i]
        if cell.phase in _OVER:
            told = self.outcome(i)
            for waiter in [w for w, target in self.interest.items() if target == i]:
                del self.interest[waiter]
                self.tell(waiter, *told)
            for waiter in waiting:
                del self.lingering[waiter]
                self.tell(waiter, *told)
        else:
            cell.failure = None
            for waiter in waiting:
                self.tell(waiter, self.lingering.pop(waiter)[1])

    def begin(self) -> None:
        """What is begun on somebody's account: all dependencies of a concurrent step, the first of any other (P5)."""
        self.strict = self.reached(self.interest.values())
        self.begun = self.strict | self.reached(self.begun & self.want)
        for i in sorted(self.begun):
            cell = self.cells[i]
            if cell.phase is _IDLE and i not in self.queued and not self.missing(cell):
                self.queued.add(i)
                self.push(self.now, self.start, cell)

    def reached(self, roots: Iterable[int]) -> set[int]:
        todo = list(roots)
        seen = set()
        for i in todo:
            cell = self.cells[i]
            if i in seen or cell.phase in _OVER or cell.phase is _DOOMED:
                continue
            seen.add(i)
            missing = self.missing(cell)
            turn = missing if self.spec.nodes[i].concurrent else missing[:1]
            if cell.phase is _LEAVING:
                if set(turn) != cell.waits:
                    # Wanted again while it was being left: may it begin other dependencies before that is complete?
                    self.open_question()
                turn = [d for d in turn if d in cell.waits]
            todo += turn
        return seen

    def missing(self, cell: _Cell) -> list[int]:
        return [d for d in cell.dependencies if self.cells[d].phase is not _DONE]
