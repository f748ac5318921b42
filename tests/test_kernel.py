"""The kernel: one story for each promise that it keeps, and every order of events on small graphs.

The stories are the shortest that show the point; some of them are counterexamples that `every_order` once found. Here the
orders are read off one event after the other, as the driver does it. What the stories leave out the search goes through.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable
from typing import Any

import attrs
import pytest
from every_order import PROMISES, Explorer, Extent, any_shape, check_known, check_valid, main, shape, shapes, valid
from hypothesis import given, settings
from hypothesis import strategies as st

from trioflow._kernel import (
    CLAIMED,
    DONE,
    DOOMED,
    FAILED,
    LOST,
    PENDING,
    READY,
    RESOLVING,
    RUNNING,
    START,
    STOP,
    STOPPING,
    TELL,
    Cell,
    Exit,
    Failure,
    Kernel,
)


@attrs.define(eq=False)
class Guest:
    """Somebody who awaits, with a queue of its own."""

    name: str
    ready: deque[Any] = attrs.field(factory=deque)


class Story:
    """A kernel and its cells, told event by event. Each event gives the orders that follow, in words."""

    def __init__(self, **deps: str) -> None:
        """`a="", b="a", c="a then b"`: c needs both, one after the other; "a b" would be at the same time."""
        self.kernel = Kernel()
        self.cells: dict[str, Cell] = {}
        self.guests: dict[str, tuple[Guest, Cell]] = {}
        self.elsewhere: deque[Any] = deque()
        for name, needs in deps.items():
            words = needs.split()
            cell = Cell(name, (), "then" not in words)
            cell.connect(tuple(self.cells[w] for w in words if w != "then"))
            self.cells[name] = cell

    def said(self) -> list[str]:
        check_valid(self.kernel, self.cells.values())
        words = []
        while self.kernel.orders:
            what, who, arg = self.kernel.orders.popleft()
            if what is START:
                words.append(f"start {who.name}")
            elif what is STOP:
                words.append(f"stop {who.name}: {arg}")
            else:
                assert what is TELL
                words.append(f"tell {who.name}: {'settled' if arg else 'left'}")
        return words

    def ask(self, guest: str, step: str) -> list[str]:
        self.guests[guest] = Guest(guest), self.cells[step]
        self.kernel.demand(self.cells[step], self.guests[guest][0])
        return self.said()

    def leave(self, guest: str, why: str = "tired of waiting") -> list[str]:
        party, cell = self.guests[guest]
        self.kernel.release(cell, party, why)
        return self.said()

    def begin(self, *steps: str) -> None:
        for step in steps:
            assert self.cells[step].state == READY
            self.cells[step].state = RUNNING

    def done(self, step: str) -> list[str]:
        self.kernel.done(self.cells[step], f"value of {step}", self.elsewhere)
        return self.said()

    def fail(self, step: str) -> list[str]:
        self.kernel.failed(self.cells[step], ValueError(step), None)
        return self.said()

    def gone(self, step: str) -> list[str]:
        self.kernel.gone(self.cells[step])
        return self.said()

    def lost(self, step: str) -> list[str]:
        self.kernel.lost(self.cells[step])
        return self.said()

    def states(self, *steps: str) -> list[int]:
        return [self.cells[s].state for s in steps]

    def error(self, step: str) -> BaseException:
        assert self.cells[step].state == FAILED
        failure: Failure = self.cells[step].value
        assert failure.error is not None
        return failure.error


# --------------------------------------------------------------------------------------------------------------- orders


def test_lazy_and_in_order_only_what_is_needed_begins_and_only_after_what_it_needs() -> None:
    s = Story(a="", b="a", other="")
    assert s.ask("p", "b") == ["start a"]
    s.begin("a")
    assert s.done("a") == ["start b"]
    s.begin("b")
    assert s.done("b") == ["tell p: settled"]
    assert s.states("a", "b", "other") == [DONE, DONE, PENDING]


def test_once_only_whoever_asks_shares_what_is_on_its_way() -> None:
    s = Story(a="", b="a")
    assert s.ask("p", "b") == ["start a"]
    assert s.ask("q", "b") == []
    assert s.ask("r", "a") == []
    s.begin("a")
    assert s.done("a") == ["start b", "tell r: settled"]
    s.begin("b")
    assert s.done("b") == ["tell p: settled", "tell q: settled"]


def test_concurrent_dependencies_begin_at_once_and_the_step_when_the_last_is_done() -> None:
    s = Story(a="", b="", c="a b a")
    assert s.ask("p", "c") == ["start a", "start b"]
    s.begin("a", "b")
    assert s.done("b") == []
    assert s.done("a") == ["start c"]


def test_sequential_dependencies_begin_one_after_the_other_in_declared_order() -> None:
    s = Story(a="", b="", c="b then a then b")
    assert s.ask("p", "c") == ["start b"]
    assert s.states("a", "b", "c") == [CLAIMED, READY, RESOLVING]
    s.begin("b")
    assert s.done("b") == ["start a"]
    s.begin("a")
    assert s.done("a") == ["start c"]


def test_what_a_sequence_has_claimed_begins_once_though_it_is_named_twice() -> None:
    s = Story(x="", a="", b="a a", c="b b", top="x then c")
    assert s.ask("p", "top") == ["start x"]
    s.begin("x")
    assert s.done("x") == ["start a"]
    s.begin("a")
    assert s.done("a") == ["start b"]


def test_who_names_a_settled_cell_is_not_kept_by_it() -> None:
    s = Story(a="")
    s.ask("p", "a")
    s.begin("a")
    s.done("a")
    Cell("b", (), True).connect((s.cells["a"],))
    assert s.cells["a"].dependents is None


def test_a_cell_that_becomes_ready_for_the_reporters_own_queue_goes_there_without_an_order() -> None:
    s = Story(a="", mine="a", others="a")
    s.ask("p", "mine")
    s.ask("q", "others")
    s.begin("a")
    ready = s.guests["p"][0].ready
    assert s.kernel.done(s.cells["a"], None, ready) is False
    assert list(ready) == [s.cells["mine"]]
    assert s.said() == ["start others"]


def test_what_was_ready_and_given_up_is_pending_and_ordered_again_when_wanted_again() -> None:
    s = Story(a="")
    assert s.ask("p", "a") == ["start a"]
    assert s.leave("p") == ["tell p: left"]
    assert s.states("a") == [PENDING]
    assert s.ask("q", "a") == ["start a"]
    assert s.cells["a"].asker is s.guests["q"][0]


# ------------------------------------------------------------------------------------------------------------- interest


def test_a_body_is_stopped_exactly_when_the_last_one_who_wants_it_has_gone() -> None:
    s = Story(a="", b="a", c="a")
    s.ask("p", "b")
    s.ask("q", "c")
    s.ask("r", "a")
    s.begin("a")
    assert s.leave("p") == ["tell p: left"]
    assert s.leave("r") == ["tell r: left"]
    assert s.leave("q", "a deadline") == ["stop a: a deadline"]


def test_a_sequential_dependency_is_wanted_before_its_turn() -> None:
    s = Story(a="", b="", c="a then b")
    s.ask("q", "b")
    s.begin("b")
    s.ask("p", "c")
    assert s.leave("q") == ["tell q: left"]
    assert s.states("b") == [RUNNING]


def test_a_leaver_waits_for_the_clean_up_of_bodies_that_it_alone_wanted_and_for_no_other() -> None:
    s = Story(mine="", shared="", top="mine shared")
    s.ask("p", "top")
    s.ask("q", "shared")
    s.begin("mine", "shared")
    assert s.leave("p") == ["stop mine: tired of waiting"]
    assert s.gone("mine") == ["tell p: left"]
    assert s.states("mine", "shared", "top") == [PENDING, RUNNING, PENDING]


def test_to_leave_twice_or_after_being_told_is_nothing() -> None:
    s = Story(a="")
    s.ask("p", "a")
    assert s.leave("p") == ["tell p: left"]
    assert s.leave("p") == []
    s.ask("q", "a")
    s.begin("a")
    assert s.done("a") == ["tell q: settled"]
    assert s.leave("q") == []


def test_who_visits_a_stopping_body_and_leaves_does_not_wait_for_it() -> None:
    s = Story(a="")
    s.ask("p", "a")
    s.begin("a")
    s.leave("p")
    assert s.ask("q", "a") == []
    assert s.leave("q") == ["tell q: left"]
    assert s.gone("a") == ["tell p: left"]


def test_again_after_cancel_a_body_begins_afresh_in_the_name_of_who_asks_then() -> None:
    s = Story(a="")
    s.ask("p", "a")
    s.begin("a")
    s.leave("p")
    s.ask("q", "a")
    s.ask("r", "a")
    assert s.leave("q") == ["tell q: left"]  # and so is not the one to begin it for
    assert s.gone("a") == ["tell p: left", "start a"]
    assert s.cells["a"].asker is s.guests["r"][0]


def test_what_stopped_and_is_wanted_only_for_later_in_a_sequence_waits_for_its_turn() -> None:
    s = Story(a="", b="", c="a then b")
    s.ask("q", "b")
    s.begin("b")
    s.leave("q")
    s.ask("p", "c")
    assert s.gone("b") == ["tell q: left"]
    assert s.states("b") == [CLAIMED]
    s.begin("a")
    assert s.done("a") == ["start b"]
    assert s.cells["b"].asker is s.guests["p"][0]


# ------------------------------------------------------------------------------------------------------------- failures


def test_the_first_failure_is_everybodys_that_very_object() -> None:
    s = Story(a="", b="a", c="b")
    s.ask("p", "c")
    s.begin("a")
    assert s.fail("a") == ["tell p: settled"]
    assert s.cells["a"].value is s.cells["b"].value is s.cells["c"].value


def test_siblings_stop_at_the_moment_of_the_failure_all_the_way_up() -> None:
    s = Story(a="", b="", c="", mid="a b", top="mid c")
    s.ask("p", "top")
    s.begin("a", "b", "c")
    assert s.fail("a") == ["stop b: step 'a' failed: ValueError('a')", "stop c: step 'a' failed: ValueError('a')"]
    assert s.states("mid", "top") == [DOOMED, DOOMED]
    assert s.gone("c") == []
    assert s.gone("b") == ["tell p: settled"]
    assert s.states("mid", "top") == [FAILED, FAILED]


def test_who_awaits_the_failing_step_itself_is_not_held_up_and_a_wanted_sibling_runs_on() -> None:
    s = Story(a="", b="", c="", top="a b c")
    s.ask("p", "top")
    s.ask("q", "a")
    s.ask("r", "b")
    s.begin("a", "b", "c")
    assert s.fail("a") == ["tell q: settled", "stop c: step 'a' failed: ValueError('a')"]
    assert s.states("b") == [RUNNING]
    assert s.gone("c") == ["tell p: settled"]


def test_nothing_begins_for_a_step_that_is_bound_to_fail() -> None:
    s = Story(a="", b="", c="", top="a then b then c")
    s.ask("q", "c")
    s.begin("c")
    assert s.fail("c") == ["tell q: settled"]
    assert s.ask("p", "top") == ["tell p: settled"]
    assert s.states("a", "b") == [PENDING, PENDING]


def test_nothing_is_lost_a_failure_while_stopping_is_noted_once_on_the_one_that_is_raised() -> None:
    s = Story(a="", b="", c="", mid="b c", top="a mid")
    s.ask("p", "top")
    s.begin("a", "b", "c")
    s.fail("a")
    assert s.fail("b") == []
    assert s.fail("c") == ["tell p: settled"]
    error = s.error("top")
    assert error is s.error("a")
    assert error.__notes__ == [
        "step 'b' also failed while stopping: ValueError('b')",
        "step 'c' also failed while stopping: ValueError('c')",
    ]


def test_one_error_of_two_bodies_is_noted_on_once() -> None:
    s = Story(a="", b="", x="", p="a", q="b x", top="p q")
    s.ask("w", "top")
    s.begin("a", "b", "x")
    error = KeyError("the very same")
    s.kernel.failed(s.cells["a"], error, None)
    assert s.said() == [f"stop b: step 'a' failed: {error!r}", f"stop x: step 'a' failed: {error!r}"]
    s.kernel.failed(s.cells["b"], error, None)
    assert s.fail("x") == ["tell w: settled"]
    assert s.error("top") is error
    assert error.__notes__ == ["step 'x' also failed while stopping: ValueError('x')"]


def test_a_step_in_a_sequence_that_can_only_fail_wants_nothing_of_what_it_needs() -> None:
    s = Story(f="", e="", c="f e", top="e then c")
    s.ask("p", "f")
    s.begin("f")
    s.fail("f")
    assert s.ask("q", "top")[-1] == "tell q: settled"
    assert s.states("e", "c", "top") == [PENDING, FAILED, FAILED]  # whatever was ordered for `e` is out of date


def test_a_sequence_with_a_step_that_can_only_fail_gives_back_all_that_the_others_need() -> None:
    s = Story(f="", y="", c="f", x="y", top="c then x")
    s.ask("p", "f")
    s.begin("f")
    s.fail("f")
    assert s.ask("q", "top") == ["tell q: settled"]
    assert s.states("c", "x", "y") == [FAILED, PENDING, PENDING]
    assert s.ask("q", "x") == ["start y"]


@pytest.mark.parametrize("end", ["done", "fail"])
def test_the_last_to_leave_gets_the_outcome_that_a_stopping_body_still_has(end: str) -> None:
    s = Story(a="")
    s.ask("p", "a")
    s.begin("a")
    s.leave("p")
    assert getattr(s, end)("a") == ["tell p: settled"]


def test_a_leaver_that_still_waits_stays_for_the_failure_of_its_step() -> None:
    s = Story(a="", b="", top="a b")
    s.ask("p", "top")
    s.begin("a", "b")
    s.leave("p")
    assert s.fail("a") == []
    assert s.states("top") == [DOOMED]
    assert s.gone("b") == ["tell p: settled"]


@pytest.mark.parametrize("visitor_stays", [True, False])
def test_and_also_if_somebody_has_wanted_the_step_meanwhile(visitor_stays: bool) -> None:
    s = Story(a="", mid="a", top="mid")
    s.ask("p", "top")
    s.begin("a")
    s.leave("p")
    s.ask("q", "mid")
    if not visitor_stays:
        assert s.leave("q") == ["tell q: left"]
    assert sorted(s.fail("a")) == ["tell p: settled", *(["tell q: settled"] if visitor_stays else [])]


def test_no_error_overtakes_the_clean_up_of_a_body_that_two_failing_steps_shared() -> None:
    s = Story(slow="", bad="", left="slow", right="slow", one="bad left", two="bad right")
    s.ask("p", "one")
    s.ask("q", "two")
    s.begin("slow", "bad")
    assert s.fail("bad") == ["stop slow: step 'bad' failed: ValueError('bad')"]
    assert sorted(s.gone("slow")) == ["tell p: settled", "tell q: settled"]


def test_a_failure_below_a_dependency_that_was_wanted_again_is_noted_too() -> None:
    s = Story(slow="", bad="", mid="slow", top="bad mid")
    s.ask("p", "top")
    s.begin("slow", "bad")
    s.fail("bad")
    s.ask("q", "mid")
    assert sorted(s.fail("slow")) == ["tell p: settled", "tell q: settled"]
    assert s.error("top").__notes__ == ["step 'slow' also failed while stopping: ValueError('slow')"]


# -------------------------------------------------------------------------------------------------------- the run's end


def test_when_the_run_ends_whoever_waits_hears_of_it_once_the_bodies_have_stopped() -> None:
    s = Story(a="", b="", top="a b")
    s.ask("p", "top")
    s.begin("a")
    s.kernel.close()
    assert s.lost("b") == ["stop a: the run is over"]
    assert s.gone("a") == ["tell p: settled"]
    assert s.states("b", "top") == [LOST, LOST]
    assert s.cells["top"].value.error is None


def test_an_error_while_the_run_ends_counts_more_than_the_end() -> None:
    s = Story(a="", b="", top="a b")
    s.ask("p", "top")
    s.begin("a", "b")
    s.lost("b")
    assert s.fail("a") == ["tell p: settled"]
    assert s.error("top") is s.error("a")


def test_a_leaver_whose_step_the_run_takes_along_has_just_left() -> None:
    s = Story(a="", top="a")
    s.ask("p", "top")
    s.begin("a")
    s.leave("p")
    s.ask("q", "a")
    assert sorted(s.lost("a")) == ["tell p: left", "tell q: settled"]
    assert s.states("a") == [LOST]


# ----------------------------------------------------------------------------------------------------------------- size


def chain(length: int) -> tuple[Kernel, list[Cell]]:
    cells = [Cell("0", (), True)]
    for i in range(1, length):
        cells.append(Cell(str(i), (), True))
        cells[-1].connect((cells[-2],))
    return Kernel(), cells


@pytest.mark.parametrize("end", ["leave", "fail"])
def test_no_recursion_a_long_chain_is_wanted_and_unwound(end: str) -> None:
    kernel, cells = chain(20_000)
    guest = Guest("p")
    kernel.demand(cells[-1], guest)
    cells[0].state = RUNNING
    kernel.orders.clear()
    if end == "fail":
        kernel.failed(cells[0], ValueError(), None)
        assert list(kernel.orders) == [(TELL, guest, True)]
        assert {c.state for c in cells} == {FAILED}
    else:
        kernel.release(cells[-1], guest, "enough")
        assert list(kernel.orders) == [(STOP, cells[0], "enough")]
        kernel.orders.clear()
        kernel.gone(cells[0])
        assert list(kernel.orders) == [(TELL, guest, False)]
        assert {c.state for c in cells} == {PENDING}


def test_no_recursion_sequences_inside_sequences_begin() -> None:
    """Each of them finds its first dependency settled, and goes on to the next at once."""
    s = Story(first="", last="")
    s.ask("p", "first")
    s.begin("first")
    s.done("first")
    top = s.cells["last"]
    for i in range(5_000):
        inner, top = top, Cell(str(i), (), False)
        top.connect((s.cells["first"], inner))
    s.kernel.demand(top, Guest("q"))
    assert list(s.kernel.orders) == [(START, s.cells["last"], None)]


def test_what_a_body_returns_while_it_is_stopped_counts_for_sequences_and_for_all_others() -> None:
    s = Story(a="", b="", turn="a then b", both="a b")
    s.ask("p", "a")
    s.begin("a")
    s.leave("p")
    s.ask("q", "turn")
    s.ask("r", "both")
    s.begin("b")
    assert s.states("a", "turn", "both") == [STOPPING, RESOLVING, RESOLVING]
    s.done("a")
    assert s.cells["both"].missing == 1
    assert set(s.done("b")) == {"start turn", "start both"}


# ---------------------------------------------------------------------------------------------------------- every order


def explored(make: Callable[[], Kernel] = Kernel, **options: Any) -> Extent:
    """Graphs of up to three steps, each dependency named once, unless `options` say otherwise."""
    extent = Extent()
    graphs = options.pop("graphs", None) or [g for n in (1, 2, 3) for g in shapes(n, twice=False)]
    for graph in graphs:
        Explorer(graph, make=make, **options).explore(extent)
        if extent.found:
            break
    return extent


def test_as_a_command_it_says_how_much_it_has_looked_at(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--graph", "- 0,0s", "--closing", "--asks", "1"]) == 0
    assert "1 graphs, " in capsys.readouterr().out
    assert main(["--steps", "6", "--walks", "3"]) == 0
    with pytest.raises(ValueError, match="may only need steps before it"):
        main(["--graph", "1 0"])


def test_the_graphs_are_all_there_are_each_once() -> None:
    together = [[g for g in shapes(n, twice=False) if all(g.together)] for n in (1, 2, 3, 4)]
    assert [len(gs) for gs in together] == [1, 1, 4, 24]  # connected DAGs without labels
    assert len(set(map(str, shapes(3)))) == len(list(shapes(3)))
    assert all(shape(str(g)) == g for n in (1, 2, 3) for g in shapes(n))


def test_the_search_knows_all_that_a_state_is_made_of() -> None:
    check_known()


@pytest.mark.slow
def test_every_order_of_two_parties_that_ask_twice_on_three_steps() -> None:
    extent = explored(parties=2, asks=2)
    assert not extent.found, extent.found[0]
    assert extent.states > 10_000


@pytest.mark.slow
def test_every_order_of_three_parties_on_two_steps() -> None:
    extent = explored(parties=3, asks=2, graphs=[shape("-"), shape("- 0")])
    assert not extent.found, extent.found[0]


@pytest.mark.slow
def test_every_order_with_dependencies_named_twice_and_the_run_ending_at_any_moment() -> None:
    extent = explored(parties=2, asks=1, closing=True, graphs=[g for n in (1, 2, 3) for g in shapes(n)])
    assert not extent.found, extent.found[0]


@pytest.mark.slow
@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize("graph", ["- 0 0 1,2", "- - 0 1,2", "- 0 - 1,2s", "- 0 0 2,1s", "- - 0,1 0,2", "- - 1,0 1,2s"])
def test_every_order_on_graphs_of_four_steps_that_were_hard_once(graph: str, backwards: bool) -> None:
    extent = explored(parties=2, asks=1, graphs=[shape(graph)], backwards=backwards)
    assert not extent.found, extent.found[0]


@pytest.mark.slow
def test_every_order_on_graphs_that_are_wired_backwards() -> None:
    extent = explored(parties=2, asks=1, closing=True, backwards=True)
    assert not extent.found, extent.found[0]


@given(st.integers(4, 9), st.integers(2, 4), st.booleans(), st.booleans(), st.integers(0, 2**32))
@settings(max_examples=60)
def test_orders_drawn_on_larger_graphs(steps: int, parties: int, closing: bool, backwards: bool, seed: int) -> None:
    chance, extent = random.Random(seed), Extent()
    Explorer(any_shape(steps, chance), parties, asks=4, closing=closing, backwards=backwards).walk(extent, chance)
    assert not extent.found, extent.found[0]


# ------------------------------------------------------------------------------------------------ is the search any good?


class StillGreedy(Kernel):
    """The doomed go on wanting what they need."""

    __slots__ = ()

    def _spread(self, c: Cell) -> None:
        super()._spread(c)
        self._released.clear()


class Hasty(Kernel):
    """A failure comes out before the sibling has stopped."""

    __slots__ = ()

    def _look_behind(self, exit: Exit) -> None:
        self._outs.append(exit)


class WantsOnlyTheNext(Kernel):
    """What comes later in a sequence is not wanted before its turn."""

    __slots__ = ()

    def _claim(self, top: Cell) -> None:
        super()._claim(top)
        for d in top.deps[1:]:
            if d.state == RUNNING and d is not top.deps[0]:
                d.wanted -= 1


class TellsTwice(Kernel):
    """Whoever came first is told twice."""

    __slots__ = ()

    def _tell_parties(self, c: Cell) -> None:
        first = next(iter(c.parties or ()), None)
        super()._tell_parties(c)
        if first is not None:
            self.orders.append((TELL, first, True))


class ForgetsToBeginAgain(Kernel):
    """Who came while a body was stopping is never served."""

    __slots__ = ()

    def _gone(self, c: Cell) -> None:
        wanted, c.wanted = c.wanted, 0
        super()._gone(c)
        c.wanted = wanted


class TakesItFromOthers(Kernel):
    """One leaver stops what another one wants."""

    __slots__ = ()

    def release(self, cell: Cell, party: Any, why: str) -> None:
        others, cell.wanted = cell.wanted - 1, 1
        super().release(cell, party, why)
        cell.wanted += others


class BeginsTooEarly(Kernel):
    """Wanted again, a body begins while the one before it is still stopping."""

    __slots__ = ()

    def demand(self, cell: Cell, party: Any) -> None:
        if cell.state == PENDING or cell.exit is None:
            super().demand(cell, party)
        else:
            self._gone(cell)
            super().demand(cell, party)


class TellsNobodyOfTheOthers(Kernel):
    """Failures that come while stopping are not noted."""

    __slots__ = ()

    def _let_go(self, exit: Exit) -> None:
        before = {id(who): who.cell.value for who in exit.waiting if isinstance(who, Exit)}
        noted = {f: dict(f.noted) for f in before.values() if isinstance(f, Failure)}
        super()._let_go(exit)
        for failure, others in noted.items():
            failure.noted = others
            if failure.error is not None and not others:
                failure.error.__dict__.pop("__notes__", None)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("planted", "promise"),
    [
        (StillGreedy, "begins"),
        (Hasty, "tells"),
        (WantsOnlyTheNext, "stops"),
        (TellsTwice, "tells"),
        (ForgetsToBeginAgain, "begins"),
        (TakesItFromOthers, "begins"),
        (BeginsTooEarly, "once_only"),
        (TellsNobodyOfTheOthers, "noted"),
    ],
)
def test_the_search_finds_planted_faults(planted: type[Kernel], promise: str) -> None:
    """By what it does, that is: the kernel's own numbers are not looked at."""
    extent = explored(planted, parties=2, asks=1, promises=tuple(p for p in PROMISES if p is not valid))
    assert extent.found, "nobody has noticed"
    assert extent.found[0].what.startswith(f"{promise}: ")


def test_a_wrong_number_is_found_before_it_does_any_harm() -> None:
    extent = explored(WantsOnlyTheNext, parties=2, asks=1)
    assert extent.found[0].what.startswith("valid: ")


def test_an_order_that_breaks_a_promise_is_shown_with_its_graph_and_is_a_shortest_one() -> None:
    extent = explored(ForgetsToBeginAgain, parties=2, asks=2)
    assert str(extent.found[0]).splitlines() == [
        "graph '-': begins: ready are {}, not {0}",
        "  party 0 asks for 0",
        "  begin 0",
        "  party 0 leaves",
        "  party 1 asks for 0",
        "  gone 0",
    ]
