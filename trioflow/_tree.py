"""What of a run is shown in so many lines: the steps as a tree, each below what needs it.

At the root stands what was awaited, below each step the steps that it depends on, and those that its body declares. One that
several need is shown once, and below the others there is a reference. If all of it has room, all is shown. Otherwise what
runs, waits or has failed comes first, then whose sake it is for; what is done and what is still to do are only counted.
Choosing comes before drawing, so that five hundred steps cost little more than twenty.

Nothing is drawn here, and no clock is read: lines come out as pieces of text with the name of a style.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, Literal, final

import attrs

from ._board import Board, Key, Row, State
from ._kernel import PENDING
from ._step import Step
from ._wording import attempt_of, counted, numbered, one_line, plural, seconds

#: What a step looks like. "idle": nobody has needed it. "pending": it waits for others. "stopping": it cleans up.
Look = Literal[
    "running", "retrying", "stopping", "sleeping", "waiting", "failed", "late", "cancelled", "pending", "idle", "done"
]
#: Of so many steps, sleeps and waits all are looked at, of more only what is under way.
FEW: Final = 300
#: Shown first, as far as there is room: first those that a reader would look for.
URGENT: Final[tuple[Look, ...]] = ("failed", "late", "stopping", "running", "retrying", "waiting", "sleeping")
#: How many of the rest are counted, in these words.
FOLDED: Final[dict[State | Literal["pending"], str]] = {
    "failed": "failed",
    "running": "running",
    "retrying": "to be retried",
    "sleeping": "sleeping",
    "waiting": "waiting",
    "late": "timed out",
    "cancelled": "cancelled",
    "done": "done",
    "pending": "to do",
}


@final
@attrs.frozen
class Line:
    """One line: how it hangs on the one above, what it looks like, its name, and what there is to say."""

    branch: str
    look: Look | Literal["again"]
    name: str
    says: str = ""


@final
@attrs.frozen
class Picture:
    """What is to be drawn, from top to bottom."""

    lines: tuple[Line, ...]
    #: How much is not among them.
    folded: tuple[tuple[State | Literal["pending"], int], ...]
    summary: str
    #: The run is not over yet.
    is_going_on: bool


@final
@attrs.define(eq=False)
class _Node:
    """A step, a sleep or a wait, and where it hangs."""

    key: Key
    look: Look
    row: Row | None
    #: By which siblings are sorted: those that have begun, in that order, then the others as they were declared.
    order: tuple[float, int]
    above: _Node | None = None
    #: What it needs, too, and hangs elsewhere.
    again: list[_Node] = attrs.field(factory=list)
    #: Why it is being stopped.
    why: str = ""


def picture(board: Board, now: float, room: int) -> Picture:
    """What a run looks like at a moment of its clock, in `room` lines and the summary."""
    is_small = len(board.steps) + len(board.rows) <= max(FEW, 3 * room)
    nodes = [node for node in _all(board) if node.look != "idle"] if is_small else []
    if is_small and len(nodes) <= room:
        has_room = len(nodes) + sum(len(node.again) for node in nodes) <= room
        chosen, with_references = nodes, has_room
    else:
        chosen, with_references = _chosen(nodes if is_small else _some(board), room - 1), False
    folded = () if chosen is nodes or room <= 0 else _folded(board, chosen)
    lines = tuple(_drawn(chosen, now, with_references))
    return Picture(lines, folded, _summary(board, now), board.ended is None)


# ------------------------------------------------------------------------------------------------------- all of it


def _all(board: Board) -> Iterable[_Node]:
    """Everything, each hung below the first that needs it, or else below the body that it is in."""
    nodes: dict[Key, _Node] = {}
    steps: dict[Step[Any], _Node] = {}
    for number, (step, key) in enumerate(board.keys().items()):
        # Declared again by a body that is run again, it has the place of the one before.
        nodes[key] = steps[step] = _node(step, key, board.rows.get(key), number)
    for number, row in enumerate(board.rows.values()):
        if row.key not in nodes:
            nodes[row.key] = _Node(row.key, row.state, row, (row.began, number))
    for step, node in steps.items():
        if node.look != "idle" and nodes[node.key] is node:
            for dependency in step.dependencies:
                _hang(steps[dependency], node)
    for node in nodes.values():
        body = nodes.get(("step", node.key[1][:-1]))
        if node.above is None and body is not None and node not in (body, *_ups(body)):
            node.above = body
    return nodes.values()


def _node(step: Step[Any], key: Key, row: Row | None, number: int) -> _Node:
    if row is None:
        return _Node(key, "idle" if step.state == PENDING else "pending", None, (math.inf, number))
    if row.ended is None and step.status == "cancelling":
        return _Node(key, "stopping", row, (row.began, number), why=step.reason or "")
    return _Node(key, row.state, row, (row.began, number))


def _hang(node: _Node, above: _Node) -> None:
    if node.above is None:
        node.above = above
    else:
        above.again.append(node)


def _ups(node: _Node) -> Iterator[_Node]:
    while node.above is not None:
        node = node.above
        yield node


# ------------------------------------------------------------------------------------------------- what there is room for


def _some(board: Board) -> list[_Node]:
    """What has ended badly or not at all, with what needs it, as far as that is still waiting for it."""
    found: dict[Key, _Node] = {}
    shown: list[_Node] = []
    steps, keys = board.by_key(), board.keys()
    for row in (*board.bad.values(), *board.active.values()):
        step = steps.get(row.key)
        node = _Node(row.key, row.state, row, (row.began, 0)) if step is None else _node(step, row.key, row, 0)
        node = found.setdefault(row.key, node)
        shown.append(node)
        while step is not None and node.above is None:
            step = next((up for up in step.dependents or () if up.state != PENDING), None)  # type: ignore[assignment]
            if step is not None:
                key = keys[step]
                above = found.setdefault(key, _node(step, key, board.rows.get(key), 0))
                node.above, node = above, above
    return shown


def _chosen(nodes: Sequence[_Node], room: int) -> list[_Node]:
    """What is urgent, and as far as there is room the steps for whose sake it is."""
    chosen: dict[_Node, None] = {}
    for look in URGENT:
        for node in nodes:
            if node.look == look and len(chosen) < room:
                chosen[node] = None
    for node in list(chosen):
        chain = [up for up in _ups(node) if up not in chosen]
        if len(chosen) + len(chain) <= room:
            chosen.update(dict.fromkeys(chain))
    for node in nodes:
        if node.look == "cancelled" and len(chosen) < room:
            chosen[node] = None
    return list(chosen)


def _folded(board: Board, chosen: Iterable[_Node]) -> tuple[tuple[State | Literal["pending"], int], ...]:
    """What is not among the chosen ones."""
    hidden: Counter[State | Literal["pending"]] = Counter()
    for (_, state), number in board.tally.items():
        hidden[state] += number
    hidden["pending"] = _to_do(board)
    hidden.subtract("pending" if node.row is None else node.row.state for node in chosen)
    return tuple((state, hidden[state]) for state in FOLDED if hidden[state] > 0)


def _to_do(board: Board) -> int:
    """Steps that have not begun: some wait for others, some nobody has needed yet."""
    return len(board.by_key()) - sum(number for (kind, _), number in board.tally.items() if kind == "step")


def _drawn(chosen: Iterable[_Node], now: float, with_references: bool) -> Iterator[Line]:
    """The chosen ones as a tree: each below the nearest above it that is chosen, too."""
    kept = dict.fromkeys(sorted(chosen, key=lambda node: node.order))
    below: dict[_Node | None, list[tuple[_Node, bool]]] = {}
    for node in kept:
        below.setdefault(next((up for up in _ups(node) if up in kept), None), []).append((node, False))
    for node in kept if with_references else ():
        below.setdefault(node, []).extend((other, True) for other in node.again)
    # No recursion: a terminal may be as high as the graph is deep.
    todo = [(node, again, "", "") for node, again in reversed(below.get(None, []))]
    while todo:
        node, again, branch, indent = todo.pop()
        if again:
            yield Line(branch, "again", _name(node.key), "see there")
            continue
        yield Line(branch, node.look, _name(node.key), _says(node, now))
        under = [(node, again, indent + "├ ", indent + "│ ") for node, again in below.get(node, [])]
        if under:
            under[-1] = (*under[-1][:2], indent + "└ ", indent + "  ")
        todo += reversed(under)


# ---------------------------------------------------------------------------------------------------------- words


def _name(key: Key) -> str:
    return numbered(*key[1][-1])


def _says(node: _Node, now: float) -> str:
    row = node.row
    if row is None:
        return ""
    took = seconds((now if row.ended is None else row.ended) - row.began)
    attempt = attempt_of(row.attempt, row.attempts)
    match node.look:
        case "running":
            words = [took, attempt]
        case "retrying":
            again = attempt_of(row.attempt + 1, row.attempts)
            words = [f"retry in {seconds(row.until - now)} ({again}): {row.why}"]
        case "stopping":
            words = [took, f"stopping: {node.why}"]
        case "sleeping":
            words = [f"sleeps, {seconds(row.until - now)} left"]
        case "waiting":
            words = [f"waits for {one_line(row.event_type, 40)!r}, {seconds(row.until - now)} left"]
        case "late":
            words = [f"no {one_line(row.event_type, 40)!r} in {took}"]
        case "failed":
            words = [attempt, f"failed: {row.why}"]
        case "cancelled":
            words = [f"cancelled: {row.why}" if row.why else "cancelled"]
        case _:
            words = [took, attempt if row.attempt > 1 else ""]
    return "  ".join(filter(None, words))


def _summary(board: Board, now: float) -> str:
    states: tuple[State, ...] = ("done", "failed", "cancelled", "running", "retrying")
    counts = {FOLDED[state]: board.tally["step", state] for state in states}
    counts["to do" if board.ended is None else "not started"] = _to_do(board)
    told = counted(counts)
    stopping = "stopping…  " if board.stopping and board.ended is None else ""
    time = seconds((now if board.ended is None else board.ended) - board.began)
    return f"{stopping}{time}  {plural(len(board.by_key()), 'step')}" + (f": {told}" if told else "")
