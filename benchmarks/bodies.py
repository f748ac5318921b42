"""What the steps do, and which values must come out.

A body costs as little as Python allows and still proves that the right value came to the right place: step i takes
one of its arguments, the (i mod their number)-th, and mixes its own number in. So over a graph every position is
looked at, for the price of one operation a step. Only what has more than 15 dependencies adds them all up.
All values are below 256: Python keeps those ready, and they take no memory.

Every step has a function of its own, as in a workflow that somebody writes (a `def` in a loop makes a new one each
time), with the same code. One function shared by all steps would make a cache by function look good that in real life
never hits. The functions are made from text, because kinds times numbers of parameters are too many to write out, and
bodies that differ in nothing else are the point.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Coroutine, Sequence
from contextvars import ContextVar
from typing import Any, Final, Literal, TypeAlias, get_args

import trio

from .graphs import Graph

#: `noop` returns at once, `checkpoint` executes one checkpoint first, `sync` is no coroutine function, `context` sets a
#: context variable, `flaky` raises when it is called for the first time.
Kind: TypeAlias = Literal["noop", "checkpoint", "sync", "context", "flaky"]
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)
Body: TypeAlias = Callable[..., Coroutine[Any, Any, int]] | Callable[..., int]
AsyncBody: TypeAlias = Callable[[], Coroutine[Any, Any, int]]

#: Up to how many dependencies have a parameter each; more arrive in `*rest`.
NAMED: Final = 15
MASK: Final = 255
TEMPLATE: Final = """
def make(own):
    calls = 0
    {keyword}def body({parameters}):
        {first}
        return {value}
    return body
"""
FIRST: Final[dict[Kind, str]] = {
    "noop": "pass",
    "checkpoint": "await checkpoint()",
    "sync": "pass",
    "context": "variable.set(own)",
    "flaky": "nonlocal calls; calls += 1\n        if calls == 1: raise FlakyError",
}
variable: Final[ContextVar[int]] = ContextVar("variable")


class FlakyError(Exception):
    """What a flaky body raises."""


def make(graph: Graph, kinds: Sequence[Kind]) -> list[Body]:
    """The bodies of all steps of `graph`; step i is of the kind `kinds[i]`."""
    return [
        _factory(kind, len(needs), i % len(needs) if needs else 0)(i & MASK)
        for i, (needs, kind) in enumerate(zip(graph, kinds, strict=True))
    ]


def make_alone(kinds: Sequence[Kind]) -> list[AsyncBody | None]:
    """The bodies that block, without parameters, for bare tasks; None for the others: the floor has nothing there."""
    return [_factory("checkpoint", 0, 0)(i & MASK) if kind == "checkpoint" else None for i, kind in enumerate(kinds)]


def expected(graph: Graph) -> list[int]:
    """The value of each step."""
    values: list[int] = []
    for i, needs in enumerate(graph):
        own = i & MASK
        if not needs:
            values.append(own)
        elif len(needs) <= NAMED:
            values.append(values[needs[i % len(needs)]] ^ own)
        else:
            values.append(sum(values[k] for k in needs) & MASK ^ own)
    return values


@functools.cache
def _factory(kind: Kind, arity: int, pick: int) -> Callable[[int], Callable[..., Any]]:
    if arity > NAMED:
        parameters, value = "*rest", f"sum(rest) & {MASK} ^ own"
    elif arity:
        parameters, value = ", ".join(f"a{i}" for i in range(arity)), f"a{pick} ^ own"
    else:
        parameters, value = "", "own"
    text = TEMPLATE.format(
        keyword="" if kind == "sync" else "async ",
        parameters=parameters,
        first=FIRST[kind],
        value=value,
    )
    made: dict[str, Any] = {"checkpoint": trio.lowlevel.checkpoint, "variable": variable, "FlakyError": FlakyError}
    exec(text, made)
    factory: Callable[[int], Callable[..., Any]] = made["make"]
    return factory
