"""The report of a failure: a dozen lines, with the step, what needed it, the user's own lines, and what to try."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from command_line import ORDER, flow, here, main
from hypothesis import given, settings
from hypothesis import strategies as st

from trioflow._board import Board
from trioflow._report import report
from trioflow.abc import StepErrored

__all__ = ["here"]  # a fixture


def test_a_failure_names_the_step_what_needed_it_and_the_users_own_lines() -> None:
    done = main("run", flow(ORDER))
    assert (done.status, done.out) == (1, "")
    assert "failed     reserve stock             LookupError: no lamp left" in done.lines
    assert "cancelled  charge card               step 'reserve stock' failed: LookupError('no lamp left')" in done.lines
    assert "6 steps: 1 done, 1 failed, 1 cancelled, 3 not started" in done.lines
    assert done.report == [
        "error: LookupError: no lamp left",
        "  step       reserve stock (flow.py:8)",
        "  needed by  receipt -> mail",
        "  flow.py:18 in main",
        "      await mail()",
        "  flow.py:11 in stock",
        '      raise LookupError(f"no {items[0]} left")',
        "  try        --traceback for the whole traceback",
    ]


def test_an_error_of_run_itself_has_no_step() -> None:
    assert main("run", flow("raise ValueError")).report == [
        "error: ValueError",
        "  flow.py:4 in main",
        "      raise ValueError",
        "  try        --traceback for the whole traceback",
    ]


def test_a_long_chain_and_a_deep_stack_are_cut_in_the_middle() -> None:
    done = main(
        "run",
        flow(
            """
def dig(n):
    return dig(n - 1) if n else 1 / 0
@step.do("s0")
async def last(): dig(50)
for i in range(1, 21):
    @step.do(f"s{i}", depends=[last])
    async def last(x): ...
await last()
"""
        ),
    )
    assert done.report == [
        "error: ZeroDivisionError: division by zero",
        "  step       s0 (flow.py:6)",
        "  needed by  s1 -> s2 -> (16 more) -> s19 -> s20",
        "  flow.py:11 in main",
        "      await last()",
        "  ... 50 more ...",
        "  flow.py:5 in dig",
        "      return dig(n - 1) if n else 1 / 0",
        "  flow.py:5 in dig",
        "      return dig(n - 1) if n else 1 / 0",
        "  try        --traceback for the whole traceback",
    ]


def test_the_chain_goes_on_through_a_body_that_awaited_the_step() -> None:
    done = main(
        "run",
        flow(
            """
@step.do()
async def outer():
    @step.do()
    async def inner(): raise KeyError("x")
    @step.do(depends=[inner])
    async def middle(x): ...
    await middle()
@step.do(depends=[outer])
async def end(x): ...
await end()
"""
        ),
    )
    assert done.report[1:3] == ["  step       inner (flow.py:6)", "  needed by  middle -> outer -> end"]


def test_what_else_failed_and_what_caused_it_is_told() -> None:
    done = main(
        "run",
        flow(
            """
@step.do()
async def one():
    try: await trio.sleep_forever()
    finally: raise OSError("could not\\nclean up")
@step.do()
async def two():
    await trio.lowlevel.checkpoint()
    try: {}["key"]
    except KeyError as exc: raise ValueError("bad") from exc
@step.do(depends=[one, two], concurrent=True)
async def both(a, b): ...
await both()
"""
        ),
    )
    assert done.report[0] == "error: ValueError: bad"
    assert "  caused by  KeyError: 'key'  [flow.py:11 in two]" in done.report
    assert any(line.startswith("  note       step 'one'") and "OSError" in line for line in done.report)


def test_what_was_being_handled_is_told_and_which_step_had_raised_it() -> None:
    done = main(
        "run",
        flow(
            """
@step.do()
async def charge(): raise KeyError("card")
try: await charge()
except KeyError: raise ValueError("no order")
"""
        ),
    )
    assert done.report[0] == "error: ValueError: no order"
    assert "  handling   KeyError: 'card'  [step charge, flow.py:5 in charge]" in done.report
    assert not any("step       " in line for line in done.report)


def test_causes_in_a_circle_end() -> None:
    done = main("run", flow("a, b = ValueError('a'), ValueError('b')\na.__cause__, b.__cause__ = b, a\nraise a"))
    assert [line for line in done.report if "caused by" in line] == ["  caused by  ValueError: b"]


def test_a_group_shows_its_members_each_with_its_place() -> None:
    done = main(
        "run",
        flow(
            """
async def fail(n): raise ValueError(f"number {n}")
@step.do()
async def all():
    async with trio.open_nursery() as nursery:
        for n in range(3): nursery.start_soon(fail, n)
await all()
"""
        ),
    )
    assert done.report[0] == "error: ExceptionGroup: Exceptions from Trio nursery (3 sub-exceptions)"
    assert done.report[1] == "  step       all (flow.py:5)"
    assert sorted(done.report[2:5]) == [f"  - ValueError: number {n}  [flow.py:4 in fail]" for n in range(3)]
    assert done.report[5:-1] == [
        "  flow.py:9 in main",
        "      await all()",
        "  flow.py:7 in all",
        "      async with trio.open_nursery() as nursery:",
    ]


def test_a_group_of_one_shows_where_that_one_was_raised() -> None:
    Path("outside.py").write_text(
        "import trio\nasync def call(fn):\n    async def inner(): fn()\n"
        "    async with trio.open_nursery() as nursery:\n        nursery.start_soon(inner)\n"
    )
    try:
        done = main("run", flow("def fail(): raise ValueError('alone')\nfrom outside import call\nawait call(fail)"))
    finally:
        sys.modules.pop("outside", None)
    assert done.report[1] == "  - ValueError: alone  [flow.py:4 in fail]"
    assert done.report[-3:-1] == ["  flow.py:4 in fail", "      def fail(): raise ValueError('alone')"]


def test_an_error_without_a_line_of_the_users_own_shows_the_librarys() -> None:
    Path("flow.py").write_text("import random\nmain = random.sample\n")  # of (event, step)
    done = main("run", "flow.py:main")
    assert done.report[0].startswith("error: TypeError: Population must be a sequence")
    assert re.search(r"random\.py:\d+ in sample$", done.report[1])


def nested(depth: int, error: BaseException) -> None:
    if depth:
        nested(depth - 1, error)
    raise error


class Mute(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")


def with_extras(error: Exception, notes: list[str], cause: Exception | None) -> Exception:
    for note in notes:
        error.add_note(note)
    error.__cause__ = cause
    return error


leaves = st.builds(lambda cls, text: cls(text), st.sampled_from([ValueError, KeyError, OSError, Mute]), st.text())


trees = st.recursive(
    leaves, lambda inner: st.builds(ExceptionGroup, st.text(), st.lists(inner, min_size=1)), max_leaves=20
)


errors = st.builds(with_extras, trees, st.lists(st.text(), max_size=20), st.none() | leaves)


@settings(deadline=None)
@given(errors, st.integers(0, 30), st.none() | st.text(min_size=1))
def test_a_report_has_at_most_twelve_lines_whatever_is_raised(error: Exception, depth: int, step: str | None) -> None:
    board = Board()
    if step is not None:
        board.errors.append(
            StepErrored(instance_id="i", step=step, occurrence=1, path=((step, 1),), time=0.0, error=error)
        )
    try:
        nested(depth, error)
    except Exception as exc:
        lines = report(exc, board)
    assert 3 <= len(lines) <= 12
    assert lines[0].startswith(f"error: {type(error).__name__}")
    assert all(line.isprintable() and line.strip() and len(line) < 520 for line in lines)
    assert any("in nested" in line for line in lines)  # there is always room for a place
    assert not any("trioflow/" in line or "site-packages" in line for line in lines)


def test_notes_that_are_none_are_passed_over() -> None:
    error = ValueError("x")
    error.__notes__ = 5  # type: ignore[assignment]
    assert report(error, Board()) == ["error: ValueError: x"]
