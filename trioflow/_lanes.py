"""Which task runs a body: homes and their lanes.

A *lane* is a task with one cancel scope that runs bodies, one at a time. It makes the first leg of a body itself, in the
body's own context. A body that returns without blocking has then cost no task, no scope and no turn of Trio's loop. One
that blocks keeps the lane until it is over, and another lane, parked or new, takes over the queue. The task and the
scope serve the next body after that; only a scope that had to be cancelled is replaced. (A scope per body that blocks
costs 5 to 6 microseconds, letting idle lanes end costs 4; everything else in here is tenths.)

A *home* is a nursery with lanes and the queue that they serve. The run has one, the lobby, in the run's own nursery. A
demand that has a body blocked there while others are to run gets a home of its own, a *resolution*: a task of the
run's nursery that opens a child nursery. The bodies that come later run there; the first to block stays where it began.
A home stays as long as a body in it runs, whoever still wants that body; once idle it serves the next demand.

Scopes are shields. A body is stopped because nobody wants it any more, never because the run's own scope was cancelled:
when the host cancels, those who wait leave, and what they alone wanted stops, in that order. Everything here is
protected against KeyboardInterrupt but the bodies.
"""

from __future__ import annotations

import types
from collections import deque
from collections.abc import Callable, Generator, Sequence
from contextvars import Context
from functools import partial
from time import perf_counter
from types import FrameType
from typing import Any, NoReturn, Protocol, TypeAlias, cast

import attrs
import trio
from trio.lowlevel import (
    Abort,
    RaiseCancelT,
    checkpoint,
    current_task,
    disable_ki_protection,
    enable_ki_protection,
    reschedule,
    wait_task_rescheduled,
)

from ._kernel import READY, RUNNING, STOPPING, Kernel
from ._step import Step, call_sync, is_awaitable, itself, prepared
from ._trio_private import innermost_scope

#: Bodies that a lane runs before it lets other tasks have a turn.
TURNS = 64
#: How long sync bodies may hold up the program before that, in seconds of real time, plus the one that is running.
SLICE = 0.003
#: Lanes that are woken at once, at most.
SPREE = 64
#: Idle lanes that a home keeps.
PARKED = 64

IDLE = "trioflow lane"

#: What most bodies return: known not to be awaitable without looking, which costs a twentieth of a sync step.
PLAIN = frozenset({type(None), bool, int, float, str, bytes, tuple, list, set, dict})

#: Every lane there is, of whichever run: a body may hold up bodies of other runs, too.
LANES: dict[trio.lowlevel.Task, Lane] = {}

#: In place of its lane, once a body is over: that it has begun is all that anybody asks then, and a lane holds a task.
BEGUN = "begun"

#: What has come across the border in place of what Trio shall do: the body has returned, or there was nothing to await.
OVER = "over"
NEVER = "never"


#: A body and its arguments, by position.
Crossing = tuple[Callable[..., Any], Any]
Border: TypeAlias = "types.GeneratorType[Any, Crossing, NoReturn]"


class Asker(Protocol):
    """On whose behalf a body runs."""

    context: Context
    ready: deque[Step[Any]]
    #: None: to be opened for what comes next, since a body of this asker has blocked in the lobby.
    home: Home | None


class LaneRun(Protocol):
    """What homes and lanes need of the run that they belong to."""

    kernel: Kernel
    closed: bool
    context: Context
    lobby: Home
    lanes: dict[trio.lowlevel.Task, Lane]

    def carry_out(self) -> None: ...
    def send_home(self, cell: Step[Any]) -> None: ...
    def keep_spare(self, home: Home) -> bool: ...
    def body_failed(self, cell: Step[Any], error: Exception) -> bool: ...
    def body_stopped(self, cell: Step[Any]) -> None: ...
    def broken(self, cell: Step[Any] | None, error: BaseException) -> None: ...


@attrs.define(eq=False, repr=False)
class Home:
    """A nursery with lanes, and the queue of ready cells that they serve."""

    run: LaneRun
    #: None: not open, or not any more. Whatever becomes ready for it opens it again.
    nursery: trio.Nursery | None = None
    ready: deque[Step[Any]] = attrs.field(factory=deque)
    idle: list[Lane] = attrs.field(factory=list)
    #: How many lanes there are, those that are about to begin included.
    lanes: int = 0
    #: Lanes that will look at the queue before they block. While the queue is not empty and the lanes have had their turn
    #: there is at least one: who adds to the queue wakes a lane if there is none.
    takers: int = 0
    #: When lanes were last woken because all were blocked: how many that was, and how many bodies have come back since.
    were_blocked: int = 0
    came_back: int = 0
    #: How many of those that were blocked the time before were so still; how many were stuck, see `spree`.
    not_back: int = 0
    stuck: int = 0
    #: The demand that it was opened for is over.
    free: bool = False
    #: A lane has run out of work here before.
    has_rested: bool = False

    def take(self, cell: Step[Any]) -> None:
        """Queue a cell, and see to it that somebody looks."""
        self.ready.append(cell)
        if not self.takers:
            self.wake()

    def wake(self) -> None:
        """One more lane looks at the queue."""
        self.takers += 1
        if self.idle:
            reschedule(self.idle.pop().task)
            return
        self.lanes += 1
        if self.nursery is not None:
            self.run.context.run(self.nursery.start_soon, Lane(self).serve)
        elif self.lanes == 1:
            lobby = self.run.lobby.nursery
            assert lobby is not None
            self.run.context.run(partial(lobby.start_soon, self.resolve, name="trioflow resolution"))

    def blocked(self) -> None:
        """A lane that was running has blocked in a body: somebody else must take the queue."""
        self.takers -= 1
        if self.ready and not self.takers:
            for _ in range(min(len(self.ready), self.spree())):
                self.wake()

    def spree(self) -> int:
        """How many lanes to wake, since all are blocked: one if bodies come back soon, else more and more.

        Bodies that only checkpoint are back at the next turn of Trio's loop, and their lanes take the queue: a thousand
        get by with 45 lanes if one is woken at each turn; with eight at each, as we had it, there were 130. Where bodies
        sleep, one at each turn lets the last of a thousand wait for a thousand turns. So there are three more for each
        body that is stuck since lately: it was blocked the time before last, it isn't back, and it doesn't count again the
        next time. (The last time says nothing: that may have been earlier in this turn, when none could have come back.)
        Then a thousand have begun after 25 to 55 turns, whichever of them sleep. Doubling, and back to one with each body
        that comes back, took 350 where half of them slept.
        """
        stuck = max(0, self.not_back - self.came_back)
        more = 3 * max(0, stuck - self.stuck)
        self.not_back, self.stuck = max(0, self.were_blocked - self.came_back), stuck
        self.were_blocked, self.came_back = self.lanes - len(self.idle), 0
        return min(1 + more, SPREE)

    @enable_ki_protection
    async def resolve(self) -> None:
        """A resolution: a child nursery for the bodies of one demand, then of another, until it is no longer needed.

        The nursery's scope is a shield, which costs nothing: see the module's last paragraph.
        """
        async with trio.open_nursery() as nursery:
            nursery.cancel_scope.shield = True
            for _ in range(self.lanes):
                self.run.context.run(nursery.start_soon, Lane(self).serve)
            self.nursery = nursery

    def rest(self) -> None:
        """If nobody is at work here and the demand is over, it is kept for another one, or shut."""
        if self.free and len(self.idle) == self.lanes and not self.ready:
            if self.lanes and self.run.keep_spare(self):
                self.free = False
            else:
                while self.idle:
                    self.wake()

    def is_first_to_rest(self) -> bool:
        """Whether this is the lobby's first lane without work. It ends: many runs await one step, and to end a parked lane
        takes a turn of Trio's loop. Where more is to come a new one costs half of that, once."""
        if self.has_rested or self is not self.run.lobby:
            return False
        self.has_rested = True
        return True

    def leave(self) -> None:
        """A lane has ended."""
        self.lanes -= 1
        self.takers -= 1
        if self.run.closed:
            self.give_up()
        elif self.ready and not self.takers:
            self.wake()
        if not self.lanes and self is not self.run.lobby:
            self.nursery = None

    def give_up(self) -> None:
        """The run is over: what is queued is lost."""
        while self.ready:
            cell = self.ready.popleft()
            if cell.state == READY:
                self.run.kernel.lost(cell)
        self.run.carry_out()


@attrs.define(eq=False, repr=False)
class Lane:
    """One task of a home, and the body that it drives: `await lane` is the rest of a body that has blocked.

    It is an iterator and not a generator so that Trio's `Task.iter_await_frames` sees through it into the body.
    """

    home: Home
    task: trio.lowlevel.Task = attrs.field(init=False)
    #: The lane's own. While a body blocks the task has the body's instead: two tasks never share one.
    context: Context = attrs.field(init=False)
    scope: trio.CancelScope = attrs.field(init=False)
    cell: Step[Any] | None = None
    border: Border = attrs.field(init=False)
    #: What the body asked Trio for when it blocked, and what the last one has returned.
    trap: Any = None
    value: Any = None
    #: When sync bodies have held up other tasks for long enough, in seconds of real time.
    until: float = 0.0
    #: The asker for whom it was the first to block in the lobby.
    host_of: Asker | None = None

    # -------------------------------------------------------------------------------- the rest of a blocked body

    @property
    def cr_frame(self) -> FrameType | None:
        return self.border.gi_frame

    @property
    def cr_await(self) -> Any:
        return self.border.gi_yieldfrom

    def __await__(self) -> Lane:
        return self

    def __iter__(self) -> Lane:
        return self

    def __next__(self) -> Any:
        return self.trap

    def send(self, value: Any) -> Any:
        self.home.takers += 1
        try:
            trap = self.border.send(value)
        finally:
            del value  # a Cancelled, perhaps, whose traceback leads to this frame: a cycle
        return self.went_on(trap)

    def throw(self, *exc: Any) -> Any:
        self.home.takers += 1
        return self.went_on(self.border.throw(*exc))

    def went_on(self, trap: Any) -> Any:
        if trap is OVER:
            self.home.came_back += 1
            self.until = perf_counter() + SLICE
            raise StopIteration
        self.home.blocked()
        return trap

    def close(self) -> None:
        self.border.close()

    # ------------------------------------------------------------------------------------------------- the task

    @enable_ki_protection
    async def serve(self) -> None:
        """The task: one scope after the other, and in each as many bodies as it lasts for."""
        run, home = self.home.run, self.home
        self.task = current_task()
        self.context = self.task.context
        run.lanes[self.task] = LANES[self.task] = self
        try:
            while not run.closed and await self.spend_a_scope():
                run.carry_out()
                if not home.ready and (home.free or len(home.idle) >= PARKED):
                    break  # not worth a new scope
        except BaseException as exc:  # noqa: ASYNC103 - the run raises it
            run.broken(self.cell, exc)
        finally:
            home.leave()
            del run.lanes[self.task], LANES[self.task]
            self.forget()

    async def spend_a_scope(self) -> bool:
        """Run bodies until the scope had to be cancelled (True), or until there is nothing left to do."""
        run = self.home.run
        self.forget()
        self.until = perf_counter() + SLICE
        try:
            with trio.CancelScope(shield=True) as self.scope:
                await self.drive()
        except Exception as exc:  # what the scope left of a group when it had taken the Cancelled out
            if self.cell is None or self.cell.state not in (RUNNING, STOPPING):
                raise
            run.body_failed(self.cell, exc)
        if self.host_of is not None:
            self.move_out()
        if self.cell is None:
            return False
        self.cell.lane = BEGUN
        run.body_stopped(self.cell)
        return True

    @enable_ki_protection
    async def drive(self) -> None:
        """Run ready bodies. Ends with `cell` None when there is nothing left to do, else when the scope is spent."""
        home, task, scopes = self.home, self.task, innermost_scope(self.task)
        run, ready, kernel = home.run, home.ready, home.run.kernel
        turns, cross = 0, self.open_border()
        while True:
            while ready:
                if turns >= TURNS:
                    turns = 0
                    if not await self.give_way():
                        return
                    continue
                c = ready.popleft()
                if c.state != READY:
                    continue
                asker: Asker = c.asker
                if asker.home is not home:
                    run.send_home(c)
                    continue
                turns += 1
                c.state = RUNNING
                c.lane = self
                self.cell = c
                deps = c.deps
                args: Any = (deps[0].value,) if len(deps) == 1 else values_of(deps) if deps else ()
                fn = c.fn
                if c.managed:
                    fn, args = prepared(c, args)
                context, task.name = asker.context.copy(), c.name
                # Nothing of the scheduler's may fail inside this `try`: that would become the step's failure.
                try:
                    if c.is_async:
                        trap = context.run(cross, (fn, args))
                    else:
                        value = context.run(call_sync, fn, args)
                        more = type(value) not in PLAIN and is_awaitable(value)
                        trap = context.run(cross, (itself, (value,))) if more else NEVER
                    if trap is not NEVER:
                        if trap is not OVER:
                            self.settle_in(asker, trap, context)
                            await self
                            turns = 0
                        value = self.value
                        if innermost_scope(task) is not scopes:
                            return  # it has left a scope open: ours will say so as it closes
                except Exception as exc:
                    cross = self.open_border()
                    stopped = run.body_failed(c, exc)
                else:
                    stopped = kernel.done(c, value, ready)
                c.lane = BEGUN
                if stopped or ((kernel.orders or self.host_of is not None or run.closed) and not self.go_on()):
                    return
                if not c.is_async and perf_counter() > self.until:
                    turns = TURNS
            c = deps = fn = args = context = asker = value = trap = None  # type: ignore[assignment]
            if not await self.park():
                return
            turns = 0

    async def give_way(self) -> bool:
        """Let other tasks have a turn. False if the run has closed meanwhile."""
        await checkpoint()
        self.until = perf_counter() + SLICE
        return not self.home.run.closed

    def go_on(self) -> bool:
        """What has to be done after a body, if anything. False if the run has closed."""
        if self.host_of is not None:
            self.move_out()
        self.home.run.carry_out()
        return not self.home.run.closed

    def open_border(self) -> Callable[[Crossing], Any]:
        """A border, and how to send bodies across. It lasts until one of them raises."""
        self.border = border = cast(Border, bodies_across(self))
        next(border)
        return border.send

    def settle_in(self, asker: Asker, trap: Any, context: Context) -> None:
        """The body has blocked, and keeps this lane. What else there is to run for its asker gets a home of its own."""
        home = self.home
        self.trap = trap
        self.task.context = context  # Trio resumes this task in the body's context from here on
        if home is home.run.lobby:
            asker.home = None
            self.host_of = asker
            ready = home.ready
            while ready and ready[0].asker is asker:  # spares a lane of the lobby that would only look and pass on
                home.run.send_home(ready.popleft())
        home.blocked()

    def move_out(self) -> None:
        """The body that blocked is over. If nothing else came up meanwhile the asker is at home in the lobby again."""
        asker, self.host_of = self.host_of, None
        assert asker is not None
        if asker.home is None:
            asker.home = self.home

    def forget(self) -> None:
        self.cell = self.trap = self.value = None

    async def park(self) -> bool:
        """Wait for work inside the scope, which is as good as new. False if none will come."""
        home = self.home
        self.forget()
        self.task.name = IDLE
        self.task.context = self.context
        if len(home.idle) >= PARKED or home.free or home.is_first_to_rest():
            return False
        home.idle.append(self)
        home.takers -= 1
        await wait_task_rescheduled(_stay)
        self.until = perf_counter() + SLICE
        return not home.run.closed


@disable_ki_protection
@types.coroutine
def bodies_across(lane: Lane) -> Generator[Any, Crossing, NoReturn]:
    """The border between our protected code and a lane's bodies: it awaits body after body, and keeps what they return.

    One generator that lasts costs half of a coroutine round each body: nothing is made for a body, and none ends in a
    StopIteration, which Python makes and raises only for a caller in C. It has a frame for a KeyboardInterrupt between two
    of its instructions to land in; a Python function in its place would lose the trap that is on its way to Trio.
    """
    while True:
        fn, args = yield OVER
        lane.value = yield from fn(
            *args
        )  # in one line: an interrupt has nowhere to leave a coroutine that nobody awaits
        del fn, args


def _stay(_: RaiseCancelT) -> Abort:
    """Nothing cancels a parked lane: its scope is a shield, and is cancelled only for a body."""
    return Abort.FAILED


def values_of(deps: tuple[Any, ...]) -> Sequence[Any]:
    """What dependencies have returned. Two and three are frequent, and a comprehension is a call of its own before 3.12."""
    if len(deps) == 2:
        return deps[0].value, deps[1].value
    if len(deps) == 3:
        return deps[0].value, deps[1].value, deps[2].value
    return [d.value for d in deps]
