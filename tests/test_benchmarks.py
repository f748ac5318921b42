"""The benchmarks tell the truth: every case runs, judges values, and reports what it has read.

Nothing here is timed. The cases run in tiny sizes and virtual time; the timer is tried on cases with readings that are
known beforehand. A benchmark that can't see a wrong value is worse than none, so runtimes with planted faults are
measured too, and must be caught. What is printed, kept, compared and drawn is in `test_benchmarks_command.py`, the other
systems are in `test_benchmarks_peers.py`.
"""

from __future__ import annotations

import functools
import gc
import re
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock

import trioflow
from benchmarks import (
    _budgets,
    asleep,
    bodies,
    by_hand,
    demands,
    floors,
    graphs,
    memory,
    ours,
    prices,
    runs,
    steps,
    stopping,
    where,
)
from benchmarks._budgets import Budget
from benchmarks._measure import (
    EVERYDAY,
    PATIENCE,
    CannotError,
    Case,
    DisturbedError,
    Measured,
    Side,
    Spread,
    WrongValueError,
    measure,
)
from benchmarks.catalogue import all_cases

SMALL = all_cases(24, sizes=(24, 40, 60, 80))
OURS = [case for case in SMALL if "peers" not in case.chapters]
#: They start processes of their own.
SLOW = ("import", "resident")
SHAPES = {shape.__name__: shape for shape in steps.SHAPES}
virtual = functools.partial(MockClock, autojump_threshold=0)


@pytest.fixture(scope="module", autouse=True)
def small_heap() -> Iterator[None]:
    """Each reading begins with a collection, which need not walk what the test runner has loaded."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


def once(case: Case) -> Measured:
    """One round in virtual time."""
    return measure(case, 1, warm_up=False, new_clock=virtual)


def named(name: str) -> Case:
    [case] = [case for case in SMALL if case.name == name]
    return case


# ---------------------------------------------------------------- the cases


@pytest.mark.parametrize(
    "case", [pytest.param(c, id=c.name, marks=[pytest.mark.slow] * c.name.startswith(SLOW)) for c in OURS]
)
def test_every_case_runs_and_its_values_are_right(case: Case) -> None:
    measured = once(case)
    assert measured.wrong is None, measured.details
    assert len(measured.ours) == 1
    assert len(measured.beside) == (0 if case.judged_by == "alone" else 1)
    assert all(reading > 0 for reading in measured.beside)
    if case.name.startswith("resident"):  # so small a graph may fit into what was there
        assert measured.ours[0] >= 0
    elif not case.name.startswith("dependency"):  # a difference, which may be negative in so small a graph
        assert measured.ours[0] > 0


def test_no_two_cases_have_the_same_name() -> None:
    names = [case.name for case in SMALL]
    assert len(set(names)) == len(names)


def test_every_budget_has_a_case() -> None:
    budgets = {name: value for name, value in vars(_budgets).items() if isinstance(value, Budget)}
    used = {id(case.budget) for case in SMALL}
    assert [name for name, value in budgets.items() if id(value) not in used] == []


def test_every_everyday_case_of_ours_has_a_budget() -> None:
    assert {c.name.split()[0] for c in SMALL if c.budget is None and c.chapters == EVERYDAY} == {"price"}


def test_every_claim_says_what_would_change_our_mind() -> None:
    families = {case.sides.__module__ for case in SMALL}
    assert len(families) == 17
    for family in families:
        doc = __import__(family, fromlist=["__doc__"]).__doc__ or ""
        assert doc.startswith("Claim: "), family
        assert "What would change our mind: " in doc, family


# ---------------------------------------------------------------- graphs and bodies


@settings(deadline=None)
@given(st.sampled_from(sorted(SHAPES)), st.integers(20, 300))
def test_the_last_step_of_a_graph_needs_all_others(shape: str, n: int) -> None:
    graph = SHAPES[shape](n)
    assert n - 3 < len(graph) <= n
    assert len(graph) == n or shape == "ladder"
    needed = {len(graph) - 1}
    for i in reversed(range(len(graph))):
        assert len(set(graph[i])) == len(graph[i])
        assert all(0 <= k < i for k in graph[i])
        if i in needed:
            needed.update(graph[i])
    assert needed == set(range(len(graph)))


def test_edges_per_step_are_what_the_names_say() -> None:
    assert {len(needs) for needs in graphs.layered(1001)[graphs.WIDTH : -1]} == {3}
    assert {len(needs) for needs in graphs.dense(100)[graphs.BACK :]} == {15}
    assert {len(needs) for needs in graphs.chain(100)[1:]} == {1}
    assert sorted(map(len, graphs.ladder(100))) == [0] + [1] * 66 + [2] * 33
    assert len(graphs.fan(100)[-1]) == 98
    assert {len(needs) for needs in graphs.tree(101)} == {0, 2}
    assert {len(needs) for needs in graphs.forest(101)[:-1]} == {0, 1}
    assert {len(needs) for needs in graphs.random(500)[4:-1]} == {0, 1, 2, 3, 4}


def times_needed(graph: graphs.Graph) -> list[int]:
    return [sum(i in needs for needs in graph) for i in range(len(graph))]


def test_in_a_tree_nothing_is_shared_and_in_a_forest_trees_share_nothing() -> None:
    assert times_needed(graphs.tree(100)) == [1] * 99 + [0]
    assert max(times_needed(graphs.ladder(100))) == 2
    graph = graphs.forest(101)
    assert {
        needs[0] // graphs.TREE for i, needs in enumerate(graph[:50]) if needs and i // 10 != needs[0] // 10
    } == set()
    assert list(graph[:-1:10]) == [()] * 10


@st.composite
def any_graph(draw: st.DrawFn) -> graphs.Graph:
    graph: graphs.Graph = []
    for i in range(draw(st.integers(1, 30))):
        chosen = draw(st.lists(st.integers(0, i - 1), unique=True, max_size=20)) if i else []
        graph.append(tuple(chosen))
    return graph


def by_recipe(graph: graphs.Graph, functions: Any, spoil: tuple[int, int] | None = None) -> list[int]:
    """The values of sync bodies, called one after the other; `spoil`: a step, and which of its arguments is changed."""
    values: list[int] = []
    for i, needs in enumerate(graph):
        arguments = [values[k] for k in needs]
        if spoil is not None and spoil[0] == i:
            arguments[spoil[1]] ^= 128
        values.append(functions[i](*arguments))
    return values


@settings(deadline=None)
@given(any_graph())
def test_the_values_expected_are_those_of_the_bodies(graph: graphs.Graph) -> None:
    values = by_recipe(graph, bodies.make(graph, ["sync"] * len(graph)))
    assert values == bodies.expected(graph)
    assert all(0 <= value < 256 for value in values)


@pytest.mark.parametrize("position", range(15))
def test_an_argument_in_the_wrong_place_gives_a_wrong_value_somewhere(position: int) -> None:
    graph = graphs.dense(60)
    functions = bodies.make(graph, ["sync"] * 60)
    spoilt = [by_recipe(graph, functions, (i, position)) != bodies.expected(graph) for i in range(15, 60)]
    assert spoilt.count(True) == 3  # a step looks at one of its fifteen, the next step at the next


def test_of_a_large_fan_in_every_argument_counts() -> None:
    graph = graphs.fan(40)
    functions = bodies.make(graph, ["sync"] * 40)
    for position in range(38):
        assert by_recipe(graph, functions, (39, position))[-1] != bodies.expected(graph)[-1]


def test_every_step_has_a_function_of_its_own() -> None:
    graph = graphs.layered(100)
    for kind in ("noop", "checkpoint", "sync"):
        functions = bodies.make(graph, steps.kinds_of(kind, 100))
        assert len(set(map(id, functions))) == 100


def test_a_flaky_body_fails_once_and_only_once() -> None:
    [body] = bodies.make([()], ["flaky"])

    async def call() -> object:
        try:
            return await body()
        except bodies.FlakyError:
            return "failed"

    async def twice() -> list[object]:
        return [await call(), await call(), await call()]

    assert trio.run(twice) == ["failed", 0, 0]


def test_a_body_that_sets_a_context_variable_does() -> None:
    _, body = bodies.make([(), ()], ["context", "context"])

    async def call() -> int:
        await body()
        return bodies.variable.get()

    assert trio.run(call) == 1


def test_every_third_body_of_a_mixture_checkpoints() -> None:
    assert steps.kinds_of("mixed", 7) == ["checkpoint", "noop", "noop", "checkpoint", "noop", "noop", "checkpoint"]


# ---------------------------------------------------------------- what stands beside


class TaskCounter(trio.abc.Instrument):
    """Counts the tasks of a floor, how many live at once, and how many were rescheduled after a checkpoint."""

    def __init__(self) -> None:
        self.alive = self.most = self.spawned = self.steps = 0

    def task_spawned(self, task: trio.lowlevel.Task) -> None:
        if "floors" in task.name:
            self.spawned += 1
            self.alive += 1
            self.most = max(self.most, self.alive)

    def task_exited(self, task: trio.lowlevel.Task) -> None:
        self.alive -= "floors" in task.name

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        self.steps += "floors" in task.name


@pytest.mark.parametrize("shape", sorted(SHAPES))
@pytest.mark.parametrize(("variant", "turns"), [("noop", 40), ("sync", 40), ("checkpoint", 80), ("mixed", 40 + 14)])
def test_the_floor_has_a_task_for_each_step_and_hands_over_where_there_is_depth(
    shape: str, variant: str, turns: int
) -> None:
    counter = TaskCounter()
    assert trio.run(steps.floor_of(SHAPES[shape], 40, variant), instruments=[counter]) > 0
    assert counter.spawned == 40
    assert counter.steps == turns
    # who spawns the next one still lives at that moment
    assert counter.most == (2 if shape in ("chain", "ladder", "dense") else 40)


def test_bare_tasks_have_a_cancel_scope_each(monkeypatch: pytest.MonkeyPatch) -> None:
    real, opened = trio.CancelScope, []

    def counted() -> trio.CancelScope:
        opened.append(real())
        return opened[-1]

    monkeypatch.setattr(trio, "CancelScope", counted)
    trio.run(floors.in_a_batch, [None] * 7)
    trio.run(floors.handing_over, [None] * 5)
    assert len(opened) == 12


@pytest.mark.parametrize("kind", ["noop", "checkpoint", "sync"])
@pytest.mark.parametrize("shape", sorted(SHAPES))
def test_the_runner_written_by_hand_is_right_and_has_a_task_per_body(shape: str, kind: bodies.Kind) -> None:
    counter: list[str] = []

    class Workers(trio.abc.Instrument):
        def task_spawned(self, task: trio.lowlevel.Task) -> None:
            if "worker" in task.name:
                counter.append(task.name)

    graph = SHAPES[shape](40)
    assert trio.run(by_hand.spend, graph, [kind] * 40, instruments=[Workers()]) > 0
    assert len(counter) == 40


def test_a_wrong_value_of_the_runner_written_by_hand_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "expected", lambda graph: [0] * len(graph))
    with pytest.raises(WrongValueError, match="by hand"):
        trio.run(by_hand.spend, graphs.chain(20), steps.kinds_of("noop", 20))


@pytest.mark.parametrize("way", sorted(prices.WAYS))
def test_every_way_to_run_a_graph_by_hand_costs_something(way: str) -> None:
    assert trio.run(prices.WAYS[way], graphs.layered(45)) > 0


@pytest.mark.parametrize("way", [prices.calling, prices.by_level, prices.asyncio_taskgroup, prices.graphlib_runner])
def test_a_wrong_value_of_a_way_by_hand_is_noticed(monkeypatch: pytest.MonkeyPatch, way: Any) -> None:
    monkeypatch.setattr(bodies, "expected", lambda graph: [0] * len(graph))
    with pytest.raises(WrongValueError, match="by hand"):
        trio.run(way, graphs.chain(20))


@settings(deadline=None)
@given(any_graph())
def test_a_level_needs_only_levels_before_it_and_at_least_the_last_of_them(graph: graphs.Graph) -> None:
    levels = prices.levels_of(graph)
    level_of = {i: number for number, level in enumerate(levels) for i in level}
    assert sorted(level_of) == list(range(len(graph)))
    for i, needs in enumerate(graph):
        assert level_of[i] == max((level_of[k] + 1 for k in needs), default=0)


# ---------------------------------------------------------------- one thing left out


@pytest.mark.parametrize("part", where.PARTS, ids=lambda part: part.name)
def test_every_part_is_still_in_the_source_and_what_is_without_it_gives_the_same_values(part: where.Part) -> None:
    run = where.variant(part.edits)
    assert run is not trioflow.run_workflow
    for body in part.bodies:
        kind, shape, _ = where.BODIES[body]
        graph = shape(45)
        spent = trio.run(functools.partial(ours.spend, graph, steps.kinds_of(kind, 45), run=run))
        assert spent.running > 0


def test_a_part_whose_place_in_the_source_is_gone_says_so() -> None:
    with pytest.raises(where.OutlivedError, match=r"trioflow/_lanes\.py has 0 times .*'no such line'"):
        where.changed("TURNS = 64", ("_lanes", "no such line", ""))
    with pytest.raises(where.OutlivedError, match="has 2 times"):
        where.changed("x = 1; x = 1", ("_lanes", "x = 1", ""))
    assert where.changed("TURNS = 64", ("_lanes", "64", "1")) == "TURNS = 1"


# ---------------------------------------------------------------- planted faults

Wrapper = Callable[[Callable[..., Any]], Callable[..., Any]]


def broken_runtime(wrap: Wrapper) -> Callable[..., Awaitable[Any]]:
    """A `run_workflow` whose `step.do` puts `wrap` around each body."""
    real: Any = trioflow.run_workflow

    class Steps:
        def __init__(self, step: Any) -> None:
            self.step = step

        def do(self, *args: Any, **kwargs: Any) -> Callable[..., Any]:
            declare = self.step.do(*args, **kwargs)
            return lambda body: declare(wrap(body))

    async def run_workflow(workflow: Callable[..., Any]) -> Any:
        async def wrapped(event: Any, step: Any) -> Any:
            return await workflow(event, Steps(step))

        return await real(wrapped)

    return run_workflow


def backwards(body: Callable[..., Any]) -> Callable[..., Any]:
    async def call(*arguments: Any) -> Any:
        return await body(*reversed(arguments))

    return call


def one_too_many(body: Callable[..., Any]) -> Callable[..., Any]:
    async def call(*arguments: Any) -> Any:
        return await body(*arguments) + 1

    return call


def other_error(body: Callable[..., Any]) -> Callable[..., Any]:
    async def call(*arguments: Any) -> Any:
        try:
            return await body(*arguments)
        except ValueError:
            raise ValueError("stop") from None

    return call


@pytest.mark.parametrize(
    ("name", "module", "fault", "message"),
    [
        ("noop dense", ours, backwards, r"step \d+ of 24 gave"),
        ("noop layered", ours, backwards, r"step \d+ of 24 gave"),
        ("noop chain", ours, one_too_many, r"step \d+ of 24 gave"),
        ("mixed fan", ours, one_too_many, r"step \d+ of 24 gave"),
        ("memory settled 60", memory, one_too_many, r"step \d+ of 60 gave"),
        ("asleep at once", asleep, one_too_many, r"49 of 24 sleepers"),
        ("run of 10 steps", runs, one_too_many, r"gave \d+ instead of 33"),
        ("240 runs of 5 steps", runs, one_too_many, r"gave \d+ instead of 6"),
        ("demands for one step", demands, one_too_many, r"48 of 24 who asked"),
        ("asleep in virtual time", asleep, one_too_many, r"49 of 24 sleepers"),
        ("noop tree", ours, backwards, r"step \d+ of 24 gave"),
        ("noop random", ours, backwards, r"step \d+ of 24 gave"),
        ("stopped by a failure", stopping, other_error, r"came out instead of"),
    ],
)
def test_a_runtime_that_gives_wrong_values_is_caught(
    monkeypatch: pytest.MonkeyPatch, name: str, module: Any, fault: Wrapper, message: str
) -> None:
    monkeypatch.setattr(module, "run_workflow", broken_runtime(fault))
    measured = once(named(name))
    assert measured.wrong is not None
    assert measured.wrong.startswith("WrongValueError: ")
    assert measured.ours == ()
    assert re.search(message, measured.wrong)
    assert "Traceback" in measured.details


def test_memory_that_is_kept_for_each_step_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = trio.run(functools.partial(memory.bytes_per_cell, 200, settled=False))
    hoard = []

    def hoarding(body: Callable[..., Any]) -> Callable[..., Any]:
        hoard.append(bytearray(1000))
        return body

    monkeypatch.setattr(memory, "run_workflow", broken_runtime(hoarding))
    wasteful = trio.run(functools.partial(memory.bytes_per_cell, 200, settled=False))
    assert 1000 < wasteful - honest < 1300


def test_memory_that_a_body_leaves_behind_is_that_of_a_settled_cell(monkeypatch: pytest.MonkeyPatch) -> None:
    hoard = []

    def hoarding(body: Callable[..., Any]) -> Callable[..., Any]:
        async def call(*arguments: Any) -> Any:
            hoard.append(bytearray(1000))
            return await body(*arguments)

        return call

    monkeypatch.setattr(memory, "run_workflow", broken_runtime(hoarding))
    declared = trio.run(functools.partial(memory.bytes_per_cell, 200, settled=False))
    settled = trio.run(functools.partial(memory.bytes_per_cell, 200, settled=True))
    assert settled - declared > 500


def test_what_a_process_holds_does_not_begin_with_what_another_held() -> None:
    code = "from benchmarks._measure import most_resident; print(most_resident())"
    begin = "import subprocess, sys; {0}; print(subprocess.check_output([sys.executable, '-c', sys.argv[1]]).decode())"
    root = Path(__file__).parent.parent

    def held(before: str) -> int:
        command = [sys.executable, "-c", begin.format(before), code]
        return int(subprocess.run(command, cwd=root, capture_output=True, check=True).stdout)

    assert held("large = b'x' * 300_000_000") < held("pass") + 50_000_000


def test_a_sibling_that_was_not_stopped_is_noticed() -> None:
    siblings = stopping.Siblings(count=3, stopped=2)
    with pytest.raises(WrongValueError, match="2 of 3 bodies were stopped"):
        siblings.spent(siblings.error)
    siblings.stopped = 3
    assert siblings.spent(siblings.error) > 0


@settings(deadline=None, max_examples=20)
@given(st.integers(1, 5000))
def test_of_many_steps_a_thousand_are_looked_at_with_the_first_and_the_last(n: int) -> None:
    asked = []

    def step(i: int) -> Any:
        async def ask() -> int:
            await trio.lowlevel.checkpoint()
            asked.append(i)
            return i

        return ask

    trio.run(ours.check, [step(i) for i in range(n)], list(range(n)))
    assert len(asked) == len(set(asked))
    assert {0, n - 1} <= set(asked)
    assert min(n, 500) <= len(asked) <= 1001
    with pytest.raises(WrongValueError, match=f"step {n - 1} of {n}"):
        trio.run(ours.check, [step(i) for i in range(n)], [*range(n - 1), -1])


def test_bodies_that_were_not_all_asleep_at_once_do_not_count() -> None:
    room = asleep.Dormitory(2)
    sleeper = room.sleeper()

    async def one_after_the_other() -> None:
        await sleeper()
        await sleeper()

    trio.run(one_after_the_other, clock=virtual())
    with pytest.raises(DisturbedError, match="first of 2"):
        room.check()


# ---------------------------------------------------------------- what is read

SPENT = {"chain": ours.Spent(declaring=1, running=2), "dense": ours.Spent(declaring=31, running=62)}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("noop layered", 5),
        ("by hand sync layered", 5),
        ("size 60 against 24", 5),
        ("declare 24", 3),
        ("declare 60", 3),
        ("scale run sync 80", 5),
        ("scale declare 80", 3),
        ("where declared: its name is looked at", 3),
        ("where no-op, chain: a context of its own", 2),
        # 24 steps and 30 (or 60) us more for each; 23 dependencies in the chain, 0 + 1 + ... + 15 and 8 x 15 if dense
        ("dependency declared", 30 * 24 / (120 + 8 * 15 - 23)),
        ("dependency run", 60 * 24 / (120 + 8 * 15 - 23)),
    ],
)
def test_a_case_reads_what_its_name_says(monkeypatch: pytest.MonkeyPatch, name: str, expected: float) -> None:
    async def spend(graph: graphs.Graph, kinds: list[bodies.Kind], **options: Any) -> ours.Spent:
        await trio.lowlevel.checkpoint()
        shape = "dense" if graph == graphs.dense(24) else "chain" if graph == graphs.chain(24) else "other"
        return SPENT.get(shape, ours.Spent(declaring=3, running=5))

    monkeypatch.setattr(ours, "spend", spend)
    [reading] = once(named(name)).ours
    assert reading == pytest.approx(expected)


@pytest.mark.parametrize("how", ["in turn", "at once"])
@pytest.mark.parametrize(("kind", "blocking"), [("noop", 0), ("checkpoint", 2)])
def test_of_the_three_bodies_of_a_demand_two_block_on_both_sides(
    monkeypatch: pytest.MonkeyPatch, how: str, kind: str, blocking: int
) -> None:
    declared = []
    counter = TaskCounter()

    def noting(body: Callable[..., Any]) -> Callable[..., Any]:
        declared.append("checkpoint" in body.__code__.co_names)
        return body

    monkeypatch.setattr(demands, "run_workflow", broken_runtime(noting))
    mine, floor = named(f"demands {how} {kind}").sides()
    assert floor is not None
    trio.run(mine)
    trio.run(floor, instruments=[counter])
    assert (len(declared), declared.count(True)) == (3 * 24, blocking * 24)
    assert (counter.spawned, counter.steps) == (3 * 24, (3 + blocking) * 24)


# ---------------------------------------------------------------- the timer


def known(
    ours: list[float], beside: list[float], *, log: list[str] | None = None, name: str = "known", **options: Any
) -> Case:
    """A case whose readings are these, in this order."""

    def side(label: str, readings: list[float]) -> Side:
        following = iter(readings)

        async def read() -> float:
            await trio.lowlevel.checkpoint()
            if log is not None:
                log.append(label)
            return next(following)

        return read

    options.setdefault("budget", None)
    return Case(
        name=name,
        per="step",
        sides=lambda: (side("ours", ours), side("beside", beside) if beside else None),
        **options,
    )


def test_sides_take_turns_in_going_first_and_the_first_round_is_thrown_away() -> None:
    log: list[str] = []
    measured = measure(known([9, 1, 2, 3], [9, 4, 5, 6], log=log), 3)
    assert (measured.ours, measured.beside) == ((1, 2, 3), (4, 5, 6))
    there, back = ["ours", "beside"], ["beside", "ours"]
    assert log == back + there + back + there


def test_a_heavy_case_has_fewer_rounds_and_no_warm_up() -> None:
    assert measure(known([1, 2, 3, 4], [1] * 4, weight=4), 11).ours == (1, 2)
    assert measure(known([1, 2, 3, 4], [1] * 4, weight=4), 3).ours == (1,)


def test_ratios_are_those_of_neighbours_in_time() -> None:
    """A machine that becomes ten times slower in between changes nothing."""
    measured = measure(known([2, 20, 200], [1, 10, 100]), 3, warm_up=False)
    assert measured.spread == Spread(2, 2, 2)


def test_a_case_is_judged_by_a_ratio_a_difference_or_itself() -> None:
    for judged_by, expected in (
        ("ratio", Spread(3, 3, 3.25)),
        ("difference", Spread(3, 4, 7)),
        ("alone", Spread(4.5, 6, 10)),
    ):
        measured = measure(known([3, 6, 14], [1, 2, 4], judged_by=judged_by), 3, warm_up=False)
        assert measured.spread == expected, judged_by


def test_a_single_round_has_no_spread() -> None:
    assert Spread.of([4.0]) == Spread(4, 4, 4)


def disturbed(times: int) -> Case:
    """A case whose first readings are disturbed."""
    left = [times]

    async def read() -> float:
        await trio.lowlevel.checkpoint()
        left[0] -= 1
        if left[0] >= 0:
            raise DisturbedError("too busy")
        return 1.0

    return Case(name="disturbed", per="step", sides=lambda: (read, None), budget=None, judged_by="alone")


def test_a_disturbed_round_is_tried_again_but_not_for_ever() -> None:
    assert measure(disturbed(PATIENCE - 1), 1, warm_up=False).ours == (1,)
    assert measure(disturbed(PATIENCE), 1, warm_up=False).wrong == "DisturbedError: too busy"


def test_no_round_begins_when_the_time_is_over_but_the_first_does() -> None:
    assert measure(known([9, 1, 2, 3], [1] * 4, seconds=0), 3).ours == (1,)
    assert measure(known([9, 1, 2, 3], [1] * 4, seconds=60), 3).ours == (1, 2, 3)


def test_what_cannot_be_measured_is_no_mistake() -> None:
    async def read() -> float:
        raise CannotError("not installed: pip install it")

    measured = measure(Case(name="absent", per="step", sides=lambda: (read, read), budget=None), 3)
    assert (measured.cannot, measured.wrong) == ("not installed: pip install it", None)
    assert not measured.has_figures
    assert not measured.over("core")


def test_a_case_can_bring_a_clock() -> None:
    async def read() -> float:
        before = trio.current_time()
        await trio.sleep(1000)
        return trio.current_time() - before

    case = Case(name="slept", per="step", sides=lambda: (read, None), budget=None, judged_by="alone", new_clock=virtual)
    assert measure(case, 1, warm_up=False).ours == (1000,)


def test_every_reading_has_the_clock_that_was_asked_for() -> None:
    async def read() -> float:
        before = trio.current_time()
        await trio.sleep(1000)
        return trio.current_time() - before

    case = Case(name="slept", per="step", sides=lambda: (read, None), budget=None, judged_by="alone")
    assert measure(case, 2, new_clock=virtual).ours == (1000, 1000)
