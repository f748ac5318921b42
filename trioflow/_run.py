"""One pass over a workflow: who asks for which step, and what follows for tasks.

`Run` sits between two rooms that don't know each other. The kernel decides and gives orders; homes and lanes are the
tasks that can carry them out. A `Demand` is one `await step()`: the party that the kernel counts, the task that Trio
wakes, and the asker in whose context and home bodies run.

Trio cancels a waiting demand through its abort function. That tells the kernel, which may order bodies to stop, which
may cancel other demands: `carry_out` is a loop over the orders and never calls itself. An abort function always answers
"not yet": the waiter is woken by the order that tells it that its leaving is complete, often within the same call.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from contextvars import Context, copy_context
from typing import Any, cast
from weakref import WeakKeyDictionary

import attrs
import outcome
import trio
from trio.lowlevel import (
    Abort,
    RaiseCancelT,
    Task,
    checkpoint,
    current_task,
    enable_ki_protection,
    reschedule,
    wait_task_rescheduled,
)

from ._errors import CycleError, DeadlockError, RunClosedError
from ._foreign import explained
from ._graph import find_cycle, find_path
from ._kernel import DONE, FAILED, PENDING, READY, RUNNING, START, STOP, STOPPING, Failure, Kernel
from ._lanes import LANES, Home, Lane
from ._mailbox import Mailbox
from ._names import Scope, Site, parameters_of
from ._policy import StepConfig
from ._signature import signature_of
from ._sleep import WallClock
from ._step import Step, without_our_frames
from ._trio_private import is_cancelled
from ._views import ReceivedEvent
from ._waits import Pauses, Unawaited
from ._watchers import Watchers

#: Idle resolutions that a run keeps for the demands to come. Opening one costs about 30 microseconds.
SPARE = 8


@attrs.define(eq=False, repr=False)
class Demand:
    """A task that awaits a step, and on whose behalf bodies run."""

    run: Run
    cell: Step[Any]
    task: Task
    #: The bodies that the task works for, innermost first: none if nobody's, several if a body has opened a run.
    bodies: tuple[Step[Any], ...]
    context: Context
    home: Home | None
    ready: deque[Step[Any]]
    #: Waits in Trio, so that being told means being woken.
    parked: bool = False
    #: How Trio's cancellation ended, if it was cancelled.
    cancelled: outcome.Error | None = None
    #: None until the kernel has told it; then whether its step is settled.
    told: bool | None = None
    #: What the task had awaited before; only known where there are instruments.
    after: Step[Any] | None = None

    def abort(self, raise_cancel: RaiseCancelT) -> Abort:
        captured = outcome.capture(raise_cancel)
        assert isinstance(captured, outcome.Error)
        self.cancelled = captured
        self.run.kernel.release(self.cell, self, self.why(captured.error))
        self.run.carry_out()
        return Abort.FAILED

    def why(self, cancelled: BaseException) -> str:
        """Who has cancelled the waiter, in words."""
        if not isinstance(cancelled, trio.Cancelled):
            return type(cancelled).__name__
        for body in self.bodies[:1]:
            if body.state == STOPPING:
                return cast(str, body.value)  # the first cause, not the way that it has come
        reason = cancelled.reason
        lobby = self.run.lobby.nursery
        if lobby is not None and is_cancelled(lobby.cancel_scope):
            if cancelled.source == "deadline":
                return "a deadline of the host has passed"
            return "the host cancelled the run" + (f": {reason}" if reason else "")
        if cancelled.source == "deadline":
            return "a deadline has passed for the one who awaited it"
        return "the one who awaited it was cancelled" + (f": {reason}" if reason else "")

    @property
    def interrupted(self) -> bool:
        """Trio has delivered a KeyboardInterrupt through the abort function.

        It counts more than any outcome: whoever has taken it from Trio must not lose it.
        """
        return self.cancelled is not None and not isinstance(self.cancelled.error, trio.Cancelled)

    def wake(self) -> None:
        """Trio goes on with the waiter: with the outcome if there is one, else with the cancellation."""
        if self.cancelled is None or (self.told and not self.interrupted):
            reschedule(self.task)
        else:
            reschedule(self.task, self.cancelled)


@attrs.define(eq=False, repr=False)
class Run:
    """The state of one run. When its nursery is gone it still answers for its steps."""

    instance_id: str
    watch: Watchers | None
    #: The configuration of steps that have none of their own.
    defaults: StepConfig | None
    #: The nursery's own home: of demands without concurrent upstreams that block.
    lobby: Home = attrs.field(init=False)
    kernel: Kernel = attrs.field(factory=Kernel)
    #: Every declared step, in order.
    steps: list[Step[Any]] = attrs.field(factory=list)
    #: Steps whose parameters have not been matched with steps yet.
    unbound: set[Step[Any]] = attrs.field(factory=set)
    #: What each task, and each body, has declared.
    scopes: WeakKeyDictionary[Task | Step[Any], Scope] = attrs.field(factory=WeakKeyDictionary)
    root: Scope = attrs.field(factory=Scope)
    #: Where steps are declared: one tuple for each place, not for each step.
    sites: dict[tuple[int, int], Site] = attrs.field(factory=dict)  # by the code's id and the instruction
    #: The latest of them.
    site: Site | tuple[None, int] = (None, 0)
    places: int = 0
    #: The task that runs the workflow's function.
    main: Task | None = None
    #: Nothing is started any more, and nobody can ask.
    closed: bool = False
    #: Every failure of a body, and the ids of those errors that some waiter has been told of.
    failures: list[Failure] = attrs.field(factory=list)
    heard: set[int] = attrs.field(factory=set)
    #: What ended the run from inside a body: KeyboardInterrupt and its like.
    fatal: list[BaseException] = attrs.field(factory=list)
    context: Context = attrs.field(factory=copy_context)
    spare: list[Home] = attrs.field(factory=list)
    lanes: dict[Task, Lane] = attrs.field(factory=dict)
    #: For each body that awaits steps right now: its demands.
    asks: dict[Step[Any], dict[Demand, None]] = attrs.field(factory=dict)
    #: What was created to be awaited and has not been, with its place.
    unawaited: Unawaited = attrs.field(factory=dict)
    #: The sleeps and waits of each owner's, body or run.
    pauses: dict[Scope, Pauses] = attrs.field(factory=dict)
    #: It starts with the run.
    clock: WallClock = attrs.field(init=False)
    #: What was sent to the run, and who waits for it.
    mailbox: Mailbox[ReceivedEvent[Any]] = attrs.field(factory=Mailbox)
    carrying_out: bool = False

    def __repr__(self) -> str:
        return f"<Run {self.instance_id!r}, {len(self.steps)} steps>"

    # ------------------------------------------------------------------------------------------------- asking

    async def demand(self, step: Step[Any]) -> None:
        """Return as soon as the step is settled. A checkpoint."""
        if self.closed:
            await checkpoint()  # if the run is being broken off, those inside shall hear of that first
            raise RunClosedError(
                f"step {step.name!r} ({step.place}) was asked for, but its run is over: await it before run returns",
                step=step.name,
            )
        if self.unbound and step.state == PENDING:
            self.bind(step)
        task = current_task()
        bodies = bodies_of(task)
        demand = Demand(self, step, task, bodies, copy_context(), self.lobby, self.lobby.ready)
        for body in bodies:
            check_loop(step, body)
        for body in bodies:
            asks_of(body).setdefault(body, {})[demand] = None
        if self.watch is not None:
            latest = self.watch.latest
            demand.after = next((latest[code] for code in _code_of(task) if code in latest), None)
        try:
            self.kernel.demand(step, demand)
            if self.kernel.orders:
                self.carry_out()
            if demand.told is None:
                demand.parked = True
                await wait_task_rescheduled(demand.abort)
            else:
                await checkpoint()
        finally:
            self.over(demand)

    def awaited(self, step: Step[Any]) -> None:
        """The current task has awaited a step, whatever came of it. Asked only where there are instruments."""
        assert self.watch is not None
        self.watch.latest[next(_code_of(current_task()))] = step

    def over(self, demand: Demand) -> None:
        home = demand.home
        if home is not None and home is not self.lobby:
            home.free = True
            home.rest()
        for body in demand.bodies:
            asks = asks_of(body)[body]
            del asks[demand]
            if not asks:
                del asks_of(body)[body]

    # ----------------------------------------------------------------------- declaring, and what names mean

    def next_place(self) -> int:
        """A number for a declaration: later ones have larger ones."""
        self.places += 1
        return self.places

    def bind(self, top: Step[Any]) -> None:
        """Find the steps that parameters name, for all that `top` needs; report a cycle. Before any body is started.

        All or nothing: a mistake leaves every step as it was, so that asking again gives the same error.
        """
        found: dict[Step[Any], dict[str, Step[Any]]] = {}

        def dependencies(step: Step[Any]) -> Iterable[Step[Any]]:
            deps: Iterable[Step[Any]] = step.dependencies
            if step in self.unbound:
                found[step] = parameters_of(signature_of(step.fn), step.scope, step)
                deps = found[step].values()
            return [d for d in deps if d.state == PENDING]

        cycle = find_cycle(top, dependencies)
        if cycle is not None:
            raise _cycle_error(cycle)
        for step, deps in found.items():
            step.connect(tuple(deps.values()))
            if len(deps) < len(step.params or ()):  # some keep their defaults, so that those behind come by keyword
                step.params = tuple(deps)
                step.managed = True
            self.unbound.discard(step)

    # ------------------------------------------------------------------------------------------------- orders

    def carry_out(self) -> None:
        """Do what the kernel has ordered. Cancelling may bring new orders, and call this again."""
        if self.carrying_out:
            return
        self.carrying_out = True
        orders = self.kernel.orders
        try:
            while orders:
                what, who, arg = orders.popleft()
                if what is START:
                    if who.state != READY:
                        continue
                    if self.closed:
                        self.kernel.lost(who)
                    else:
                        self.send_home(who)
                elif what is STOP:
                    if who.state == STOPPING:
                        who.lane.scope.cancel(reason=arg)
                else:
                    self.tell(who, arg)
        finally:
            self.carrying_out = False

    def tell(self, demand: Demand, settled: bool) -> None:
        demand.told = settled
        if settled and demand.cell.state == FAILED and not demand.interrupted:
            failure: Failure = demand.cell.value
            self.heard.update(id(f.error) for f in (failure, *failure.noted))
        if demand.parked:
            demand.wake()

    def send_home(self, cell: Step[Any]) -> None:
        """Queue a cell where bodies of its asker run; open a home for that if it has none."""
        asker: Demand = cell.asker
        home = asker.home
        if home is None:
            asker.home = home = self.spare.pop() if self.spare else Home(self)
            asker.ready = home.ready
        home.take(cell)

    def keep_spare(self, home: Home) -> bool:
        if self.closed or len(self.spare) >= SPARE:
            return False
        self.spare.append(home)
        return True

    # ------------------------------------------------------------------------------------ what became of bodies

    def body_failed(self, cell: Step[Any], error: Exception) -> bool:
        """True if it had been told to stop."""
        error = explained(error, f"step {cell.name!r} ({cell.place})")
        stopped = self.kernel.failed(cell, error, without_our_frames(error.__traceback__))
        self.failures.append(cell.value)
        if self.watch is not None:
            self.watch.errored(cell, error)
        return stopped

    def body_stopped(self, cell: Step[Any]) -> None:
        """A lane's scope is spent, and so is its body, unless that has reported its outcome."""
        if cell.state == STOPPING:
            reason: str = cell.value
            self.begin_again(cell)
            self.kernel.gone(cell)
        elif cell.state == RUNNING:  # stopped by `close`
            reason = "the run is over"
            self.kernel.lost(cell)
        else:
            return
        if self.watch is not None:
            self.watch.cancelled(cell, reason)

    def begin_again(self, step: Step[Any]) -> None:
        """A body will be run another time: what it declares then continues what it has declared before."""
        scope = self.scopes.get(step)
        if scope is not None:
            scope.begin_again()
            if scope in self.pauses:
                self.pauses[scope].begin_again()

    def broken(self, cell: Step[Any] | None, error: BaseException) -> None:
        """A lane died of something that is no outcome: a KeyboardInterrupt, say. The run goes down with it.

        Those inside hear it from Trio before they hear it from us, or the run would end with two errors.
        """
        self.closed = True
        if isinstance(error, trio.Cancelled):
            error = RunClosedError(
                "a cancellation that was none of trioflow's has come out of a body and ended the run"
            )
        self.fatal.append(error)
        assert self.lobby.nursery is not None
        self.lobby.nursery.cancel_scope.cancel(reason="a step ended the run")
        if cell is not None and cell.state in (RUNNING, STOPPING):
            self.kernel.lost(cell)
            self.carry_out()

    # ------------------------------------------------------------------------------------------------- ending

    @enable_ki_protection
    def close(self) -> None:
        """The workflow's function is over: nothing is started any more, and what runs only for strangers is stopped."""
        self.closed = True
        self.kernel.close()
        homes = {lane.home for lane in self.lanes.values()} | {self.lobby}
        for home in homes:
            while home.idle:
                home.wake()
            home.give_up()
        for lane in list(self.lanes.values()):
            if lane.cell is not None and lane.cell.state == RUNNING:
                lane.scope.cancel(reason="the run is over")
        self.carry_out()

    def forget(self) -> None:
        """The nursery is gone. Who keeps the handle, or a step, shall not keep tasks and contexts with it."""
        self.main = self.lobby.nursery = None
        self.context = Context()
        self.scopes.clear()
        self.pauses.clear()
        self.spare.clear()

    def unheard(self) -> list[BaseException]:
        """What bodies raised and nobody was told of: who waited was interrupted, say."""
        return [f.error for f in self.failures if f.error is not None and id(f.error) not in self.heard]


def bodies_of(task: Task | None) -> tuple[Step[Any], ...]:
    """The bodies that a task works for: its own, that of the task in whose nursery it is, and so on up.

    Not a contextvar: a task that was started in a foreign nursery inherits those, but doesn't hold up the body.
    """
    bodies = []
    while task is not None:
        lane = LANES.get(task)
        if lane is not None and lane.cell is not None:
            bodies.append(lane.cell)
        nursery = task.parent_nursery
        task = None if nursery is None else nursery.parent_task
    return tuple(bodies)


def _code_of(task: Task | None) -> Iterator[Task | Step[Any]]:
    """Whose code a task runs: its own, that of the task in whose nursery it is, and so on, up to the body if it is in one."""
    while task is not None:
        lane = LANES.get(task)
        if lane is not None and lane.cell is not None:
            yield lane.cell
            return
        yield task
        nursery = task.parent_nursery
        task = None if nursery is None else nursery.parent_task


def asks_of(body: Step[Any]) -> dict[Step[Any], dict[Demand, None]]:
    """Where it is kept what a body awaits: in its own run."""
    return cast(Run, body.run).asks


def check_loop(step: Step[Any], body: Step[Any]) -> None:
    """Refuse that a body awaits a step that, directly or not, waits for that body. They may be of different runs.

    Dependencies alone never loop, so only the await of a body can close a loop, and the last one to do so is told. The
    search goes from both ends, as either side can be as large as the graph.
    """
    path = find_path(step, body, _waits_for, _waited_for_by)
    if path is None:
        return
    names = [body.name, *(c.name for c in path)]
    raise DeadlockError(
        f"step {body.name!r} ({body.place}) would wait for itself: its body awaits "
        + ", which waits for ".join(repr(n) for n in names[1:])
        + "; make the awaited step a dependency of another one, or await it outside of this body",
        steps=tuple(names),
    )


def _waits_for(cell: Step[Any]) -> Iterable[Step[Any]]:
    if cell.state in (RUNNING, STOPPING):
        return (demand.cell for demand in asks_of(cell).get(cell, ()))
    return (d for d in cell.dependencies if d.state < DONE)


def _waited_for_by(cell: Step[Any]) -> Iterator[Any]:
    yield from cell.dependents or ()
    for party in cell.parties or ():
        assert isinstance(party, Demand)
        yield from party.bodies


def _cycle_error(cycle: list[Step[Any]]) -> CycleError:
    names = " -> ".join(repr(c.name) for c in cycle)
    places = ", ".join(f"{c.name!r} at {c.place}" for c in cycle[:-1][:8])
    return CycleError(
        f"steps need each other in a circle: {names} ({places}); take away one of these dependencies",
        steps=tuple(c.name for c in cycle),
        places=tuple(c.place for c in cycle),
    )
