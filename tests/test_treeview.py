"""How a picture looks, and when it is drawn: no oftener than people can see."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from hypothesis import example, given
from hypothesis import strategies as st
from rich.cells import cell_len
from terminal import Emulator
from trio.testing import MockClock

from trioflow import run_workflow
from trioflow._board import Board
from trioflow._live import Display, Screen
from trioflow._tree import FOLDED, Line, Picture
from trioflow._treeview import SHORTEST, Tree, drawn

LOOKS = ("running", "retrying", "stopping", "sleeping", "waiting", "failed", "late", "cancelled", "pending", "done")

SMALL = Picture(
    (
        Line("", "pending", "report"),
        Line("├ ", "running", "fetch the orders", "2.0 s  attempt 2 of 3"),
        Line("└ ", "failed", "x", "failed: OSError: no"),
        Line("  └ ", "again", "users", "see there"),
    ),
    (("done", 12), ("running", 3), ("pending", 1_000)),
    "2.0 s  1,017 steps: 12 done",
    True,
)


def shown(seen: Picture, width: int = 80, is_plain: bool = False) -> list[str]:
    return [text.plain.rstrip() for text in drawn(seen, width, 0.0, is_plain)]


def test_words_stand_below_each_other_and_each_state_has_a_mark() -> None:
    assert shown(SMALL) == [
        "… report",
        "├ ● fetch the orders  2.0 s  attempt 2 of 3",
        "└ ✗ x                 failed: OSError: no",
        "  └ ↑ users           see there",
        "… ✓ 12 done  ● 3 more running  … 1,000 to do",
        "⠋ 2.0 s  1,017 steps: 12 done",
    ]


def test_a_terminal_without_such_characters_gets_plain_ones() -> None:
    lines = shown(SMALL, is_plain=True)
    assert lines == [
        ". report",
        "| * fetch the orders  2.0 s  attempt 2 of 3",
        "` x x                 failed: OSError: no",
        "  ` ^ users           see there",
        ". + 12 done  * 3 more running  . 1,000 to do",
        "| 2.0 s  1,017 steps: 12 done",
    ]
    assert all(line.isascii() for line in shown(Picture((Line("", "done", "ä…"),), (), "ö", False), is_plain=True))


def test_in_the_end_nothing_turns_and_nothing_is_left_to_do() -> None:
    over = Picture((), (("pending", 2), ("cancelled", 1)), "2.0 s", False)
    assert shown(over) == ["… 2 not started  ⊘ 1 more cancelled", "2.0 s"]


def test_names_are_cut_before_the_words_behind_them() -> None:
    seen = Picture((Line("", "running", "n" * 100, "2.0 s"), Line("", "pending", "n" * 100)), (), "s", True)
    assert shown(seen, 40) == ["● " + "n" * 17 + "…  2.0 s", "… " + "n" * 37 + "…", "⠋ s"]


def test_of_a_deep_tree_the_last_levels_are_seen() -> None:
    seen = Picture((Line("│ " * 30 + "└ ", "running", "deep", "2.0 s"),), (), "s", True)
    assert shown(seen, 40)[0] == "…│ │ │ │ │ └ ● deep  2.0 s"


lines = st.builds(
    Line,
    st.integers(0, 20).map(lambda depth: "│ " * depth + "├ "),
    st.sampled_from([*LOOKS, "again"]),
    st.text(st.characters(categories=["L", "N", "S"]), min_size=1, max_size=80),
    st.text(st.characters(categories=["L", "N", "S"]), max_size=80),
)


@example([], [], "0" * 8 + "\x80", 10, True)  # takes no cell, and one when it is replaced
@given(
    st.lists(lines, max_size=10),
    st.lists(st.tuples(st.sampled_from(list(FOLDED)), st.integers(1, 10**6)), max_size=8),
    st.text(max_size=100),
    st.integers(10, 120),
    st.booleans(),
)
def test_no_line_is_wider_than_the_terminal(
    seen: list[Line], folded: Any, summary: str, width: int, is_plain: bool
) -> None:
    texts = drawn(Picture(tuple(seen), tuple(folded), summary, True), width, 1.0, is_plain)
    assert len(texts) == len(seen) + bool(folded) + 1
    assert all(cell_len(text.plain) <= width for text in texts)


# -------------------------------------------------------------------------------------------------------- when it is drawn


class Watch:
    """A real clock that moves when it is told to, and pictures that take their time."""

    def __init__(self) -> None:
        self.time = 0.0
        self.drawn: list[float] = []
        self.takes = 0.0

    def __call__(self) -> float:
        return self.time


@pytest.fixture
def watch() -> Watch:
    return Watch()


def tree(watch: Watch, *, is_virtual: bool = False) -> Tree:
    view = Tree(Board(), Screen(Display(file=Emulator(), force_terminal=True)), is_virtual, watch)
    draw = view.screen.draw

    def counted(drawing: Any) -> None:
        watch.drawn.append(watch.time)
        watch.time += watch.takes
        draw(drawing)

    view.screen.draw = counted  # type: ignore[method-assign]
    return view


async def workflow(event: Any, step: Any) -> None:
    for i in range(20):

        @step.do(f"{i}")
        async def one() -> None:
            await trio.sleep(event.payload["takes"])

        await one()


async def watched(view: Tree, takes: float, passes: float = 0.0) -> None:
    """A run; real time passes as often as something happens."""
    watch: Any = view.clock
    told = Tree.told

    def later(self: Tree, fact: Any) -> None:
        watch.time += passes
        told(self, fact)

    view.open()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Tree, "told", later)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(view.keep_up)
            await run_workflow(workflow, {"takes": takes}, instruments=[view.board, view])
            nursery.cancel_scope.cancel()
    view.close(trio.current_time())


def test_between_two_pictures_there_is_a_while_of_real_time(watch: Watch) -> None:
    trio.run(watched, tree(watch), 0, 0.01)
    assert len(watch.drawn) > 5
    assert all(b - a > SHORTEST - 0.001 for a, b in zip(watch.drawn, watch.drawn[1:-1], strict=False))


def test_where_a_picture_takes_long_there_are_fewer(watch: Watch) -> None:
    watch.takes = 0.05
    trio.run(watched, tree(watch), 0, 0.01)
    assert 1 <= len(watch.drawn) <= 4


def test_while_nothing_happens_the_clocks_are_seen_to_move(watch: Watch) -> None:
    view = tree(watch)
    draw = view.draw

    def ticking() -> None:
        draw()
        watch.time = trio.current_time()

    async def main() -> None:
        with trio.move_on_after(1.05):
            object.__setattr__(view, "clock", trio.current_time)
            await view.keep_up()

    trio.run(main, clock=MockClock(autojump_threshold=0))
    assert len(watch.drawn) == 10


def test_virtual_time_is_not_held_up(watch: Watch) -> None:
    view = tree(watch, is_virtual=True)
    trio.run(watched, view, 86_400, 0.1, clock=MockClock(autojump_threshold=0))
    assert len(watch.drawn) <= 4 * 20 + 3  # as many as there are facts, not a picture for each tenth of a second


def test_a_clock_that_is_not_due_draws_nothing(watch: Watch) -> None:
    view = tree(watch)
    view.draw()  # the watch stands still: the next one is never due

    async def main() -> None:
        with trio.move_on_after(1):
            await view.keep_up()

    trio.run(main, clock=MockClock(autojump_threshold=0))
    assert len(watch.drawn) == 1


def test_a_report_is_coloured_below_the_picture() -> None:
    terminal = Emulator()
    view = Tree(Board(), Screen(Display(file=terminal, force_terminal=True, color_system="256")), False)

    async def main() -> None:
        view.open()
        assert view.picture is None  # a number that the machine knows it by
        view.stopping()
        view.close(trio.current_time())

    trio.run(main, clock=MockClock())
    view.tell(
        "error: ValueError: x", "  step       a (flow.py:3)", "  flow.py:3 in a", "      raise", "  try        it"
    )
    assert terminal.lines == [
        "0.0 s  0 steps",
        "error: ValueError: x",
        "  step       a (flow.py:3)",
        "  flow.py:3 in a",
        "      raise",
        "  try        it",
    ]
    cells = [terminal.screen.buffer[y][6] for y in range(1, 6)]
    assert (cells[0].fg, cells[0].bold, cells[1].bold, cells[4].bold) == ("red", True, True, True)
