"""Rule 0: who is alone in awaiting a tree of steps can't tell it from the same bodies run by hand in one Trio nursery.

A random tree of bodies is run twice, each time in a Trio program of its own and in virtual time: by hand (`by_hand`: one
nursery, a task per body, events to wait on, nothing else) and as steps of a workflow. The bodies are the same functions.
Then all that they and the waiter saw is compared: who began, when and with which values, who was cancelled and when, how
long the clean-up took, how each ended, when the waiter left and with what.

**Where the schedule decides.** Both programs may order what happens at one instant as they like. So in *spread* programs
every duration has a power of two of its own as its fraction: sums of different durations are then different instants, to
the last bit, and everything has to be the same. In *tied* programs, in whole seconds, that may still be so: `ambiguous`
tells from the hand-written program whether anything else was about to happen at the instant that decided. If so, only
that is compared which no order can change.

    python -m tests.agreement.test_rule_zero 20000 [first seed]
"""

from __future__ import annotations

import math
import random
import sys
import time
import traceback
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextvars import ContextVar
from functools import partial
from typing import Any, Literal

import attrs
import pytest
import trio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from trio.testing import MockClock

from trioflow import Retries, StepConfig, run_workflow
from trioflow.abc import Instrument

# ------------------------------------------------------------------------------------------------------------ programs


@attrs.frozen
class Sleep:
    seconds: int


@attrs.frozen
class Limit:
    """A sleep under a time limit of the body's own."""

    limit: int
    seconds: int


@attrs.frozen
class Both:
    """Two sleeps in a nursery of the body's own. A child may raise: when it has slept ("end"), or when cancelled ("stop")."""

    first: int
    second: int
    raises: Literal["", "end", "stop"] = ""


Work = Sleep | Limit | Both | Literal["checkpoint"]


@attrs.frozen
class Node:
    """One body, and the bodies whose values it takes."""

    deps: tuple[Node, ...] = ()
    concurrent: bool = False
    sync: bool = False
    work: tuple[Work, ...] = ()
    #: What it does when its work is done: return, raise an Exception, raise something that is none.
    fails: Literal["", "error", "fatal"] = ""
    cleanup: int = 0
    #: What it does after its clean-up. "again": it blocks once more before it gives in.
    then: Literal["reraise", "error", "value", "again"] = "reraise"


@attrs.frozen
class Program:
    root: Node
    timeout: int | None = None
    #: Whose timeout it is: that of the waiter inside the workflow, or that of the one who runs the workflow.
    timeout_of: Literal["waiter", "host"] = "waiter"
    spread: bool = True
    #: How trioflow executes bodies: as they are, through the machinery for attempts, or for instruments.
    way: Literal["plain", "attempts", "watched"] = "plain"

    def nodes(self) -> Iterator[tuple[str, Node]]:
        """Every body with its name, those that others need first. "r12" is the third dependency of the second of the root."""

        def below(name: str, node: Node) -> Iterator[tuple[str, Node]]:
            for i, dep in enumerate(node.deps):
                yield from below(f"{name}{i}", dep)
            yield name, node

        return below("r", self.root)


def needs(name: str, node: Node) -> list[str]:
    return [f"{name}{i}" for i in range(len(node.deps))]


Pick = Callable[[tuple[Any, ...]], Any]


def some_work(pick: Pick) -> Work:
    seconds = (1, 2, 3, 5)
    match pick(("sleep", "sleep", "sleep", "checkpoint", "zero", "limit", "both")):
        case "sleep":
            return Sleep(pick(seconds))
        case "zero":
            return Sleep(0)
        case "limit":
            return Limit(pick(seconds), pick(seconds))
        case "both":
            first, second = pick(((1, 2), (3, 2), (2, 5), (5, 3)))
            return Both(first, second, pick(("", "", "end", "stop")))
        case _:
            return "checkpoint"


def some_node(pick: Pick, left: list[int]) -> Node:
    """A body and those below it; `left` counts down how many there may still be."""
    left[0] -= 1
    deps = []
    for _ in range(pick((0, 1, 2, 2, 3, 4))):
        if left[0] > 0:
            deps.append(some_node(pick, left))
    concurrent = pick((False, True, True))
    fails = pick(("",) * 8 + ("error", "error", "error", "fatal"))
    if pick((False,) * 6 + (True,)):
        return Node(tuple(deps), concurrent, sync=True, fails=fails)
    work = tuple(some_work(pick) for _ in range(pick((1, 1, 1, 2, 0))))
    then = pick(("reraise", "reraise", "error", "value", "again"))
    return Node(tuple(deps), concurrent, False, work, fails, pick((0, 0, 1, 2, 4)), then)


def some_program(pick: Pick, spread: bool) -> Program:
    root = some_node(pick, [pick((1, 2, 3, 4, 5, 6, 7, 8, 10))])
    timeout = pick((None, None, None, 0, 1, 2, 3, 4, 6, 9))
    of = pick(("waiter",) if timeout is None else ("waiter", "host"))
    return Program(root, timeout, of, spread, pick(("plain", "plain", "attempts", "watched")))


def programs(spread: bool) -> st.SearchStrategy[Program]:
    @st.composite
    def drawn(draw: st.DrawFn) -> Program:
        return some_program(lambda options: draw(st.sampled_from(options)), spread)

    return drawn()


# -------------------------------------------------------------------------------------------------- bodies, and what is seen


class Boom(Exception):
    pass


class Fatal(BaseException):
    pass


def tokens(error: BaseException) -> Any:
    """An exception in a form that can be compared between two programs; the Cancelled in it left out."""
    if isinstance(error, BaseExceptionGroup):
        return ("group", [t for e in error.exceptions if (t := tokens(e))])
    if isinstance(error, trio.Cancelled):
        return None
    return (type(error).__name__, *error.args)


def holds_cancelled(error: BaseException) -> bool:
    if isinstance(error, BaseExceptionGroup):
        return error.subgroup(trio.Cancelled) is not None
    return isinstance(error, trio.Cancelled)


#: The body that this code runs in.
whose: ContextVar[str] = ContextVar("whose", default="nobody")


@attrs.define
class Ending:
    """A body that raised: when, what, and whether of itself or while it was being stopped."""

    time: float
    name: str
    error: BaseException
    stopped: bool


class Stage:
    """The bodies of a program, and what they and the waiter have seen in one execution of it."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.fractions: dict[object, float] = {}
        #: By body: what happened to it, with the time.
        self.log: dict[str, list[tuple[Any, ...]]] = {name: [] for name, _ in program.nodes()}
        #: By body: the instants at which it does something of itself.
        self.instants: dict[str, set[float]] = {name: set() for name in self.log}
        self.raised: list[Ending] = []
        self.cancelled_at: float | None = None
        self.child_stopped: set[str] = set()
        #: Cancelled it stays if the host is cancelled before the workflow has begun.
        self.answer: tuple[Any, ...] = ("cancelled",)
        #: What the waiter was told, and what came out in the end, which is something else where a body raised Fatal.
        self.told: Exception | None = None
        self.error: BaseException | None = None
        self.end = math.nan
        self.timeout = math.inf if program.timeout is None else self.seconds(program.timeout, "timeout")

    def seconds(self, whole: int, *key: object) -> float:
        """A duration: in spread programs no two sums of them are the same."""
        if whole and self.program.spread:
            return whole + self.fractions.setdefault(key, 2.0 ** -(1 + len(self.fractions)))
        return whole

    def fix_durations(self) -> None:
        """Every duration gets its fraction before anything runs, or the order of execution would deal them out."""
        for name, node in self.program.nodes():
            for i, work in enumerate(node.work):
                match work:
                    case Sleep(a):
                        self.seconds(a, name, i)
                    case Limit(a, b) | Both(a, b):
                        self.seconds(a, name, i)
                        self.seconds(b, name, i, "second")
            self.seconds(node.cleanup, name, "clean-up")
        assert len(self.fractions) < 46, "more than a float can tell apart"

    def note(self, name: str, what: str, *more: object) -> None:
        self.log[name].append((trio.current_time(), what, *more))

    def awakes(self, name: str, *seconds: float) -> None:
        self.instants[name].update(trio.current_time() + s for s in seconds)

    def fails(self, name: str, error: BaseException, stopped: bool) -> BaseException:
        self.note(name, "fails", tokens(error))
        self.raised.append(Ending(trio.current_time(), name, error, stopped))
        return error

    def begins(self, name: str, args: tuple[Any, ...]) -> None:
        self.awakes(name, 0)
        self.note(name, "begins", args, whose.get())
        whose.set(name)

    def body(self, name: str, node: Node) -> Callable[..., Any]:
        def returns() -> str:
            if node.fails:
                raise self.fails(name, (Fatal if node.fails == "fatal" else Boom)(name), stopped=False)
            self.note(name, "returns", whose.get())
            return f"value of {name}"

        def sync_body(*args: Any) -> str:
            self.begins(name, args)
            return returns()

        async def async_body(*args: Any) -> str:
            self.begins(name, args)
            try:
                for i, work in enumerate(node.work):
                    await self.work(name, i, work)
            except BaseException as exc:
                if not holds_cancelled(exc) and name not in self.child_stopped:
                    self.fails(name, exc, stopped=False)
                    raise
                return await self.stopped(name, node, exc)
            return returns()

        return sync_body if node.sync else async_body

    async def work(self, name: str, i: int, work: Work) -> None:
        match work:
            case "checkpoint":
                await trio.lowlevel.checkpoint()
            case Sleep():
                seconds = self.seconds(work.seconds, name, i)
                self.awakes(name, seconds)
                await trio.sleep(seconds)
            case Limit():
                limit, seconds = self.seconds(work.limit, name, i), self.seconds(work.seconds, name, i, "second")
                self.awakes(name, limit, seconds)
                with trio.move_on_after(limit) as scope:
                    await trio.sleep(seconds)
                self.note(name, "had its limit", scope.cancelled_caught)
            case Both():
                first, second = self.seconds(work.first, name, i), self.seconds(work.second, name, i, "second")
                self.awakes(name, first, second)
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self.child, name, first, work.raises)
                    nursery.start_soon(self.child, name, second, "")

    async def child(self, name: str, seconds: float, raises: str) -> None:
        try:
            await trio.sleep(seconds)
        except trio.Cancelled:
            self.note(name, "child is cancelled", whose.get())
            if raises == "stop":  # nothing of the body's own cancels it
                self.child_stopped.add(name)
                raise Boom(name, "child while stopping") from None
            raise
        self.note(name, "child ends")
        if raises == "end":
            raise Boom(name, "child")

    async def stopped(self, name: str, node: Node, cancelled: BaseException) -> str:
        now = trio.current_time()
        if self.cancelled_at is None:
            self.cancelled_at = now
        self.note(name, "is cancelled")
        with trio.CancelScope(shield=True):
            if node.cleanup:
                await trio.sleep(self.seconds(node.cleanup, name, "clean-up"))
        if node.then == "error":
            raise self.fails(name, Boom(name, "while stopping"), stopped=True) from None
        if node.then == "value":
            self.note(name, "returns all the same")
            return f"late value of {name}"
        if node.then == "again":
            try:
                await trio.sleep(1000)  # cancelled again: Trio's cancellation is a state, not an edge
            except trio.Cancelled:
                self.note(name, "is cancelled again")
        if isinstance(cancelled, BaseExceptionGroup) and cancelled.split(trio.Cancelled)[1] is not None:
            self.fails(name, cancelled, stopped=True)
        else:
            self.note(name, "stops")
        raise cancelled

    async def hear(self, ask: Callable[[], Awaitable[Any]]) -> None:
        """The waiter."""
        whose.set("waiter")
        try:
            self.answer = ("value", await ask())
        except Exception as exc:
            self.told = self.error = exc
            self.answer = ("error", tokens(exc))
        except BaseException:  # Cancelled, by hand in a group; or Fatal, which whoever runs it all will see
            self.answer = ("cancelled",)
            raise


# ------------------------------------------------------------------------------------------------------------ the two programs


async def by_hand(stage: Stage) -> Any:
    """What rule 0 compares with: one nursery, a task for each body, the root's body by the one who waits for it.

    The nursery's scope is the only one. A body that fails ends all the others, and whoever waits, at that moment.
    """
    bodies = {name: (node, stage.body(name, node)) for name, node in stage.program.nodes()}
    may_begin = {name: trio.Event() for name in bodies}
    done = {name: trio.Event() for name in bodies}
    values: dict[str, Any] = {}

    async def resolve(name: str) -> Any:
        node, body = bodies[name]
        if node.concurrent:
            for dep in needs(name, node):
                may_begin[dep].set()
        for dep in needs(name, node):
            may_begin[dep].set()
            await done[dep].wait()
        await trio.lowlevel.checkpoint()
        result = body(*(values[dep] for dep in needs(name, node)))
        return result if node.sync else await result

    async def task(name: str) -> None:
        await may_begin[name].wait()
        values[name] = await resolve(name)
        done[name].set()

    async with trio.open_nursery() as nursery:
        for name in bodies:
            if name != "r":
                nursery.start_soon(task, name)
        return await resolve("r")


async def plainly(stage: Stage) -> Any:
    """The one difference that rule 0 allows: not a group but the failure that came first, or what ends every program."""
    try:
        return await by_hand(stage)
    except BaseExceptionGroup as group:
        errors = group.split(trio.Cancelled)[1]
        if errors is None:
            raise
        fatal = [e for e in errors.exceptions if not isinstance(e, Exception)]
        raise (fatal or errors.exceptions)[0] from None


async def as_steps(stage: Stage) -> None:
    async def workflow(event: Any, step: Any) -> None:
        steps: dict[str, Any] = {}
        for name, node in stage.program.nodes():
            depends = [steps[dep] for dep in needs(name, node)]
            steps[name] = step.do(name, depends=depends, concurrent=node.concurrent)(stage.body(name, node))
        with trio.move_on_after(stage.timeout if stage.program.timeout_of == "waiter" else math.inf):
            await stage.hear(steps["r"])

    way = stage.program.way
    defaults = StepConfig(Retries(0, "1 second")) if way == "attempts" else None
    with trio.move_on_after(stage.timeout if stage.program.timeout_of == "host" else math.inf):
        await run_workflow(workflow, defaults=defaults, instruments=[Watcher()] if way == "watched" else ())


async def as_tasks(stage: Stage) -> None:
    with trio.move_on_after(stage.timeout):
        await stage.hear(partial(plainly, stage))


class Watcher(Instrument):
    def step_started(self, fact: object, /) -> None:
        pass

    def step_completed(self, fact: object, /) -> None:
        pass


def execute(program: Program, how: Callable[[Stage], Awaitable[None]]) -> Stage:
    stage = Stage(program)
    stage.fix_durations()

    async def main() -> None:
        with trio.fail_after(100_000):
            try:
                await how(stage)
            except Fatal as exc:
                stage.error = exc
                stage.answer = ("fatal", tokens(exc))
        stage.end = trio.current_time()

    trio.run(main, clock=MockClock(autojump_threshold=0))
    return stage


# ------------------------------------------------------------------------------------------------------------- the comparison


def decision(stage: Stage) -> tuple[float, str | None]:
    """When it was decided how it ends, and by whose failure (None: by the timeout, or by success)."""
    own = [e for e in stage.raised if not e.stopped]
    if own and (stage.cancelled_at is None or own[0].time <= stage.cancelled_at):
        return own[0].time, own[0].name
    if stage.cancelled_at is not None:
        return stage.cancelled_at, None
    return (stage.timeout if stage.answer == ("cancelled",) else stage.end), None


def ambiguous(hand: Stage) -> bool:
    """Whether anything was to happen, at the instant that decided, that neither led to the decision nor followed from it."""
    now, name = decision(hand)
    if now == 0 and hand.timeout == 0:
        return False
    if name is None and hand.answer[0] == "value" and hand.cancelled_at is None:
        return now == hand.timeout
    others = [o for o in hand.log if name is None or not o.startswith(name)]
    return (name is not None and now == hand.timeout) or any(now in hand.instants[o] or is_due(hand, o) for o in others)


def is_due(stage: Stage, name: str) -> bool:
    """Whether a body that has not begun could have."""
    nodes = dict(stage.program.nodes())
    returned = {n for n, log in stage.log.items() if any(what == "returns" for _, what, *_ in log)}
    if stage.log[name] or not returned.issuperset(needs(name, nodes[name])):
        return False
    while name != "r":
        parent, number = name[:-1], int(name[-1])
        if not nodes[parent].concurrent and not returned.issuperset(needs(parent, nodes[parent])[:number]):
            return False
        name = parent
    return True


def check_by_itself(stage: Stage) -> None:
    """What holds for each of the two, in whatever order things happened."""
    now, _ = decision(stage)
    events = [(*event[:2], name) for name, events in stage.log.items() for event in events]
    # Nothing begins after the decision, and nothing waits for longer than the bodies take.
    assert all(at <= now for at, what, _ in events if what == "begins")
    assert stage.end == max([now, *(at for at, _, _ in events)])
    for name, log in stage.log.items():
        assert sum(what == "begins" for _, what, *_ in log) <= 1, name
    # The answer is the failure that happened first.
    fatal = [e for e in stage.raised if isinstance(e.error, Fatal)]
    first = (fatal or stage.raised)[0] if stage.raised else None
    if first is None:
        assert stage.answer[0] in ("value", "cancelled")
        return
    candidates = [e.error for e in fatal or stage.raised if e.time == first.time]
    assert stage.error is not None, stage.answer
    assert tokens(stage.error) in map(tokens, candidates), (stage.error, candidates)


def check_object(ours: Stage) -> None:
    """A failure is that very exception, unless Trio has had to take a Cancelled out of a group."""
    if ours.error is not None and not any(holds_cancelled(e.error) for e in ours.raised):
        assert any(ours.error is e.error for e in ours.raised)


def check_notes(ours: Stage) -> None:
    """Every other failure is named once, in a note of the one that is raised."""
    raised = [e for e in (ours.told, ours.error) if e is not None]
    notes = {id(e): getattr(e, "__notes__", []) for e in raised}
    for other in ours.raised:
        if all(tokens(other.error) != tokens(e) for e in raised):
            naming = [n for some in notes.values() for n in some if f"'{other.name}'" in n]
            assert len(naming) == 1, f"the failure of {other.name} is named {len(naming)} times: {notes}"


def compare(program: Program) -> tuple[str, str]:
    """Run it both ways. AssertionError unless they agree; else how it ended, and whether it could be compared exactly."""
    hand, ours = execute(program, as_tasks), execute(program, as_steps)
    check_by_itself(hand)
    check_by_itself(ours)
    check_object(ours)
    check_notes(ours)
    (now, name), end = decision(hand), hand.answer[0]
    if not ambiguous(hand):
        assert ours.log == hand.log
        assert ours.end == hand.end
        assert ours.answer[0] == end
        if end == "value" or name is not None:
            assert ours.answer == hand.answer
        return end, "exact"
    assert not program.spread or name is not None, "no two instants are the same, but those of bodies that take no time"
    assert decision(ours)[0] == now
    for body in hand.log:
        assert [e for e in ours.log[body] if e[0] < now] == [e for e in hand.log[body] if e[0] < now], body
        if hand.log[body] and hand.log[body][0][0] < now and now not in hand.instants[body]:
            assert ours.log[body] == hand.log[body], body
    return end, "tied"


# ------------------------------------------------------------------------------------------------------------------ tests


@pytest.mark.slow
@settings(max_examples=800, suppress_health_check=[HealthCheck.too_slow])
@given(programs(spread=True))
def test_rule_0_a_tree_of_steps_is_like_the_same_bodies_in_one_nursery(program: Program) -> None:
    compare(program)


@pytest.mark.slow
@settings(max_examples=400, suppress_health_check=[HealthCheck.too_slow])
@given(programs(spread=False))
def test_rule_0_holds_where_many_things_happen_at_one_instant(program: Program) -> None:
    compare(program)


def report(count: int, first_seed: int) -> int:
    began = time.perf_counter()
    ends: Counter[str] = Counter()
    bad = 0
    for seed in range(first_seed, first_seed + count):
        program = some_program(random.Random(seed).choice, spread=seed % 3 != 0)
        try:
            end, how = compare(program)
        except Exception:
            bad += 1
            print(f"seed {seed}: {program!r}", flush=True)
            traceback.print_exc()
        else:
            ends[f"{end} ({how})"] += 1
    seconds = time.perf_counter() - began
    for what, n in sorted(ends.items()):
        print(f"{n:8,} {what}")
    print(f"{count - bad:8,} of {count:,} trees the same as by hand, {seconds:.0f} s, first seed {first_seed}")
    return bad


if __name__ == "__main__":
    numbers = [int(a) for a in sys.argv[1:]] or [20_000]
    sys.exit(bool(report(numbers[0], numbers[1] if len(numbers) > 1 else 0)))
