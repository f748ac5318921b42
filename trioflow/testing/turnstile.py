"""The hook in Trio: one task at a time, and a chooser says which.

Trio by itself shuffles the tasks that become runnable together, and nothing more: of the 90 ways in which three tasks of two
checkpoints each can take their turns it shows 4. Here everybody who is woken waits at a gate. When nobody but those at
the gates could go on, one is let through, makes one step, and the others still wait: any order can be chosen.

An instrument puts the gates up: it replaces `Task.coro`, which is a documented attribute, by something that behaves as the
coroutine does and waits first. Replacing Trio's own source of chance instead would be four times as fast a turn,
but is private and reaches only 36 of the 90. Should a Trio go past its tasks' `coro` one day, the run says so.

What it can't choose: within one step of a task nothing comes between, so several bodies that a lane of
trioflow's runs one after the other without blocking keep their order. `gated` puts a gate before each body. Threads
and sockets are ready when they are. What Trio does at once, such as cancelling all tasks of a scope, it does in one order,
the same in every run, although those that it wakes go in any.
"""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final, Protocol, cast, final

import attrs
import outcome
import trio

from trioflow._trio_private import cancelling_in_order
from trioflow.testing.schedules import Chooser, Schedule
from trioflow.testing.timekeeping import VirtualClock

__all__ = ["Conduct", "Endless", "Stuck", "conduct"]

#: How many others may go before the one that has waited longest: a task that polls must not keep the rest out for ever.
PATIENCE: Final = 1_000


@final
class Stuck(RuntimeError):
    """All tasks are blocked, and nothing will ever happen: they wait for each other, or for what nobody does any more."""


@final
class Endless(RuntimeError):
    """A run took more turns than it was given."""


class Watcher(Protocol):
    """Is shown how a run goes, in more detail than most runs need."""

    def turn(self, gate: Gate, passed: list[Gate]) -> None:
        """One of those who wait at gates is let through, before those who have waited longer."""

    def step_over(self, gate: Gate) -> None:
        """It has made its step, and perhaps its last."""

    def leave_off(self, gates: list[Gate]) -> None:
        """The run is stuck, or has taken too long: these are the tasks that there are."""


@final
@attrs.define
class Conduct:
    """How a run went."""

    #: What the program returned or raised.
    outcome: outcome.Outcome[Any]
    #: The number of the task that took each turn: two runs with the same are the same interleaving.
    turns: list[int]
    #: At each decision: between how many, and which index.
    decisions: list[tuple[int, int]]
    #: The virtual time at the end.
    seconds: float


def conduct(
    program: Callable[[], Awaitable[Any]],
    schedule: Schedule,
    *,
    name: str,
    fair: bool,
    limit: int,
    watcher: Watcher | None = None,
    errand: Callable[[trio.lowlevel.Task], bool] | None = None,
) -> Conduct:
    """Run a Trio program of its own in virtual time, with tasks taking their turns as the schedule says.

    With `fair`, everybody who waits gets a turn before anybody gets a second: those are the orders that Trio itself may come
    to. After `limit` turns the program is cancelled.
    """
    if trio.lowlevel.in_trio_run():
        raise RuntimeError("this brings a trio.run of its own along: call it where no Trio is running, in a plain test")
    clock = VirtualClock()
    turnstile = Turnstile(schedule.chooser(), fair=fair, limit=limit, watcher=watcher, errand=errand)
    ends: list[outcome.Outcome[Any]] = []

    async def run_program() -> None:
        with turnstile.scope:
            ends.append(await outcome.acapture(program))

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            begun = trio.Event()
            nursery.start_soon(clock.keep, begun, turnstile.stuck, turnstile.is_busy, name="virtual time")
            await begun.wait()
            trio.lowlevel.add_instrument(turnstile)  # now that no task but this one is under way
            async with trio.open_nursery() as inner:
                inner.start_soon(run_program, name=name)
            turnstile.open()
            nursery.cancel_scope.cancel()

    interrupted = False
    try:
        with cancelling_in_order():
            trio.run(main, clock=clock)
    except* KeyboardInterrupt:  # which Trio has given to the main task, in the group of our nurseries
        interrupted = True
    if interrupted:
        raise KeyboardInterrupt
    if turnstile.failure is not None:
        raise turnstile.failure
    if not turnstile.turns:
        raise RuntimeError(f"trio {trio.__version__} doesn't let its tasks be held back: no schedule can be chosen")
    end = ends[0] if turnstile.broken_off is None else outcome.Error(turnstile.broken_off)
    return Conduct(end, turnstile.turns, turnstile.decisions, clock.current_time())


@final
class Turnstile(trio.abc.Instrument):
    """Lets one task at a time through. Tasks that exist when it is installed, Trio's own among them, go free."""

    def __init__(
        self,
        choose: Chooser,
        *,
        fair: bool,
        limit: int | None = None,
        watcher: Watcher | None = None,
        errand: Callable[[trio.lowlevel.Task], bool] | None = None,
    ) -> None:
        self.choose = choose
        self.fair = fair
        self.limit = limit
        self.watcher = watcher
        self.errand = errand
        #: What is cancelled when the run is stuck or takes too long.
        self.scope = trio.CancelScope()
        self.broken_off: Stuck | Endless | None = None
        #: What the chooser raised: an instrument must not.
        self.failure: BaseException | None = None
        self.turns: list[int] = []
        self.decisions: list[tuple[int, int]] = []
        self.is_open = False
        self.runnable = 0
        self.spawned = 0
        self.tickets = 0
        self.overtaken = 0
        #: Who has come to the gate since the last turn, in Trio's order, which is not ours.
        self.arrived: list[Gate] = []
        #: Who waits, oldest first.
        self.waiting: list[Gate] = []
        self.gates: dict[trio.lowlevel.Task, Gate] = {}
        #: Who has been let through and has not made his step yet.
        self.under_way: Gate | None = None

    def task_spawned(self, task: trio.lowlevel.Task) -> None:
        self.spawned += 1
        self.gates[task] = gate = Gate(self, self.spawned, task)
        task.coro = cast(Any, gate)

    def task_exited(self, task: trio.lowlevel.Task) -> None:
        self.gates.pop(task, None)

    def task_scheduled(self, task: trio.lowlevel.Task) -> None:
        self.runnable += 1

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        self.runnable -= 1

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        if self.watcher is not None and self.under_way is not None and self.under_way.task is task:
            self.watcher.step_over(self.under_way)
            self.under_way = None
        if self.runnable > 0:
            return
        waiting = self.waiting
        if self.arrived and not (self.fair and waiting):
            if len(self.arrived) > 1:
                self.arrived.sort(key=_number)
            for gate in self.arrived:
                self.tickets += 1
                gate.ticket = self.tickets
            waiting += self.arrived
            self.arrived.clear()
        if waiting:
            self.let_through(self.errands() if len(waiting) > 1 else 0)

    def errands(self) -> int:
        """Whose turn it is, of several: of those on an errand first, if there are any."""
        if self.errand is not None:
            for index, gate in enumerate(self.waiting):
                if self.errand(gate.task):
                    return index
        return self.index()

    def index(self) -> int:
        """Whose turn it is, of several."""
        index = 0
        if self.overtaken < PATIENCE and self.failure is None:
            try:
                index = self.choose(self.waiting)
            except BaseException as exc:  # noqa: ASYNC103 - raised when the run is over
                self.failure = exc
        self.overtaken = self.overtaken + 1 if index else 0
        self.decisions.append((len(self.waiting), index))
        return index

    def let_through(self, index: int) -> None:
        gate = self.waiting[index]
        if self.watcher is not None:
            self.watcher.turn(gate, self.waiting[:index])
            self.under_way = gate
        del self.waiting[index]
        self.turns.append(gate.number)
        if len(self.turns) == self.limit:
            self.break_off(Endless(f"the program has not ended after {self.limit:,} turns of its tasks"))
        trio.lowlevel.reschedule(gate.task)

    def is_busy(self) -> bool:
        """Whether anybody, besides the one who asks, could go on."""
        return bool(self.runnable or self.arrived or self.waiting)

    def open(self) -> None:
        """The program is over. Who is left, in a system task, goes free."""
        trio.lowlevel.remove_instrument(self)
        self.is_open = True
        for gate in (*self.waiting, *self.arrived):
            trio.lowlevel.reschedule(gate.task)

    def stuck(self) -> None:
        """All tasks are blocked, and nothing will ever happen. Whom being cancelled doesn't help gets the error itself.

        (Who has been waiting for something stays on its list then, and may be woken when he is gone: Trio breaks off.)
        """
        error = Stuck("all tasks are blocked, and nothing is left that could wake one")
        if isinstance(self.broken_off, Stuck):
            for gate in self.gates.values():
                trio.lowlevel.reschedule(gate.task, outcome.Error(error))
        self.break_off(error)

    def break_off(self, error: Stuck | Endless) -> None:
        if self.broken_off is None:
            self.broken_off = error
            if self.watcher is not None:
                self.watcher.leave_off(list(self.gates.values()))
        self.scope.cancel(reason=str(error))


def _number(gate: Gate) -> int:
    return gate.number


def _stay(_: object) -> trio.lowlevel.Abort:
    return trio.lowlevel.Abort.FAILED


@final
class Gate:
    """Stands before the coroutine of a task, and holds it back whenever it is resumed, until it is its turn."""

    __slots__ = ("inner", "message", "number", "parked", "task", "ticket", "turnstile")

    def __init__(self, turnstile: Turnstile, number: int, task: trio.lowlevel.Task) -> None:
        self.turnstile = turnstile
        self.number = number
        self.ticket = 0
        self.task = task
        self.inner = task.coro
        self.parked: Coroutine[Any, Any, Any] | None = None
        self.message: Any = None

    def send(self, value: Any) -> Any:
        parked, self.parked = self.parked, None
        if parked is None and self.turnstile.is_open:
            return self.inner.send(value)
        if parked is None:
            self.message = value
            self.parked = trio.lowlevel.wait_task_rescheduled(_stay)  # noqa: ASYNC105 - awaited by hand, bit by bit
            self.turnstile.arrived.append(self)
            return self.parked.send(None)
        with contextlib.suppress(StopIteration):
            parked.send(value)
        value, self.message = self.message, None
        return self.inner.send(value)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)  # throw, close, cr_frame and whatever else a coroutine has
