"""What is known of a run while it goes on: one row for each step that has begun, each sleep and each wait.

Facts come in, rows are looked at. Whoever shows a run (lines, a tree, a report) asks here, so that none of them keeps an
account of its own. A step that has not begun has no row: `run.steps` knows it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, Final, Literal, final

import attrs

from ._step import Step
from ._wording import described
from ._workflow import WorkflowRun
from .abc import (
    AttemptErrored,
    AttemptStarted,
    Instrument,
    Path,
    SleepCancelled,
    SleepCompleted,
    SleepStarted,
    StepCancelled,
    StepCompleted,
    StepErrored,
    StepFact,
    StepReused,
    StepStarted,
    WaitCancelled,
    WaitCompleted,
    WaitStarted,
    WaitTimedOut,
    WorkflowStarted,
)

Kind = Literal["step", "sleep", "wait"]
KINDS: Final[tuple[Kind, ...]] = ("step", "sleep", "wait")

#: "retrying": between two attempts. "waiting": for an event. "late": the event has not come in time.
State = Literal["running", "retrying", "sleeping", "waiting", "done", "failed", "late", "cancelled"]

#: Sleeps and waits are counted apart from steps, so that a path alone may mean two things.
Key = tuple[Kind, Path]


@final
@attrs.define(eq=False)
class Row:
    """One step that has begun, one sleep or one wait. Times are of the run's clock."""

    kind: Kind
    path: Path
    state: State
    began: float
    #: When it ended, if it has.
    ended: float | None = None
    #: The attempt that it is at, of how many at most.
    attempt: int = 1
    attempts: int = 1
    #: When the next attempt begins, the sleep ends, the wait gives up.
    until: float = 0.0
    #: Why it has failed, is tried again, or was cancelled.
    why: str = ""
    #: What a wait waits for.
    event_type: str = ""

    @property
    def name(self) -> str:
        return self.path[-1][0]

    @property
    def occurrence(self) -> int:
        return self.path[-1][1]

    @property
    def key(self) -> Key:
        return self.kind, self.path


@final
@attrs.define(eq=False)
class Board(Instrument):
    """An instrument that remembers the state of things, and who has raised what."""

    #: When the run began, on Trio's clock.
    began: float = 0.0
    #: When it was over; None while it goes on.
    ended: float | None = None
    #: The run, once it is open.
    run: WorkflowRun[Any] | None = None
    #: Ctrl-C has been pressed.
    stopping: bool = False
    #: In the order in which they began: all, those that have not ended, and those that have ended badly.
    rows: dict[Key, Row] = attrs.field(factory=dict, init=False)
    active: dict[Key, Row] = attrs.field(factory=dict, init=False)
    bad: dict[Key, Row] = attrs.field(factory=dict, init=False)
    #: How many there are of each kind in each state.
    tally: Counter[tuple[Kind, State]] = attrs.field(factory=Counter, init=False)
    #: In the order in which they happened.
    errors: list[StepErrored] = attrs.field(factory=list, init=False)
    #: How many events of each type have been taken.
    taken: Counter[str] = attrs.field(factory=Counter, init=False)

    #: Of the steps that have been declared: working paths out is dear, and they don't change.
    _keys: dict[Step[Any], Key] = attrs.field(factory=dict, init=False)
    _steps: dict[Key, Step[Any]] = attrs.field(factory=dict, init=False)

    @property
    def steps(self) -> Sequence[Step[Any]]:
        """What the run has declared, so far or in all."""
        return self.run.steps if self.run is not None else ()

    def keys(self) -> dict[Step[Any], Key]:
        """The declared steps in their order, each with where its row is, if it has one. Not a copy."""
        for step in self.steps[len(self._keys) :]:
            key: Key = ("step", step.path)
            self._keys[step], self._steps[key] = key, step
        return self._keys

    def by_key(self) -> dict[Key, Step[Any]]:
        """The declared steps by where their rows are: the latest, if a body that was run again has declared one anew."""
        self.keys()
        return self._steps

    def row(self, fact: StepFact, kind: Kind = "step") -> Row:
        """The row that a fact is about. One that has no beginning of its own gets it here."""
        key: Key = (kind, fact.path)
        row = self.rows.get(key)
        if row is None:
            row = Row(kind, fact.path, "running", fact.time)
            self._begin(row)
        return row

    def close(self, time: float) -> Iterator[Row]:
        """The run is over. Gives those of which nothing was heard: they have ended it, by Ctrl-C or `sys.exit`."""
        self.ended = time
        for row in list(self.active.values()):
            self._end(row, "cancelled", time, "the run was ended from within it")
            yield row

    def counts(self) -> dict[str, int]:
        """How many steps were declared, and what has become of them, when the run is over."""
        count = Counter(step.status for step in self.steps)
        failed = min(count["failed"], len({fact.path for fact in self.errors}))
        cancelled = count["cancelled"] + count["cancelling"] + count["running"]
        parts = {"done": count["succeeded"], "failed": failed, "cancelled": cancelled}
        # Nobody needed the others, or what they needed failed.
        return {**parts, "not started": count.total() - sum(parts.values())}

    # --------------------------------------------------------------------------------------------------------- facts

    def workflow_started(self, fact: WorkflowStarted, /) -> None:
        self.began = fact.time

    def step_started(self, fact: StepStarted, /) -> None:
        retries = fact.config.retries
        attempts = 1 if retries is None else retries.limit + 1
        self._begin(Row("step", fact.path, "running", fact.time, attempts=attempts))

    def step_completed(self, fact: StepCompleted, /) -> None:
        self._end(self.row(fact), "done", fact.time)

    def step_errored(self, fact: StepErrored, /) -> None:
        self.errors.append(fact)
        self._end(self.row(fact), "failed", fact.time, described(fact.error))

    def step_cancelled(self, fact: StepCancelled, /) -> None:
        self._end(self.row(fact), "cancelled", fact.time, fact.reason)

    def step_reused(self, fact: StepReused, /) -> None:
        if not any((kind, fact.path) in self.rows for kind in KINDS):  # done by an earlier run: what it was isn't said
            self._end(self.row(fact), "done", fact.time)

    def attempt_started(self, fact: AttemptStarted, /) -> None:
        row = self.row(fact)
        row.attempt, row.why = fact.attempt, ""
        self._turn(row, "running")

    def attempt_errored(self, fact: AttemptErrored, /) -> None:
        row = self.row(fact)
        row.attempt = fact.attempt
        if fact.retry_in is not None:
            row.until, row.why = fact.time + fact.retry_in, described(fact.error)
            self._turn(row, "retrying")

    def sleep_started(self, fact: SleepStarted, /) -> None:
        self._begin(Row("sleep", fact.path, "sleeping", fact.time, until=fact.time + fact.seconds))

    def sleep_completed(self, fact: SleepCompleted, /) -> None:
        self._end(self.row(fact, "sleep"), "done", fact.time)

    def sleep_cancelled(self, fact: SleepCancelled, /) -> None:
        self._end(self.row(fact, "sleep"), "cancelled", fact.time)

    def wait_started(self, fact: WaitStarted, /) -> None:
        until = fact.time + fact.timeout
        self._begin(Row("wait", fact.path, "waiting", fact.time, until=until, event_type=fact.event_type))

    def wait_completed(self, fact: WaitCompleted, /) -> None:
        self.taken[fact.event.type] += 1
        self._end(self.row(fact, "wait"), "done", fact.time)

    def wait_timed_out(self, fact: WaitTimedOut, /) -> None:
        self._end(self.row(fact, "wait"), "late", fact.time)

    def wait_cancelled(self, fact: WaitCancelled, /) -> None:
        self._end(self.row(fact, "wait"), "cancelled", fact.time)

    def _begin(self, row: Row) -> None:
        """Anew and last, if it has been there before: a body that is run again."""
        earlier = self.rows.pop(row.key, None)
        if earlier is not None:
            self.tally[earlier.kind, earlier.state] -= 1
            self.active.pop(row.key, None)
            self.bad.pop(row.key, None)
        self.rows[row.key] = self.active[row.key] = row
        self.tally[row.kind, row.state] += 1

    def _turn(self, row: Row, state: State) -> None:
        self.tally[row.kind, row.state] -= 1
        self.tally[row.kind, state] += 1
        row.state = state

    def _end(self, row: Row, state: State, time: float, why: str = "") -> None:
        self._turn(row, state)
        row.ended, row.why = time, why
        self.active.pop(row.key, None)
        if state != "done":
            self.bad[row.key] = row
