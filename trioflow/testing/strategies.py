"""Drawing workflows: Hypothesis strategies for `DagSpec`. They need the extra `testing`.

Nearly everything about a step comes from *one* number, cut into fields. That is four times as fast as building each
field with a strategy of its own (about a millisecond per example), finds two to three times as many steps that are
shared and have dependencies of their own, and shrinks as well: the fields are ordered so that fewer bits mean a simpler
step, and since dependencies are distances backwards, deleting a number leaves a valid spec. The numbers are drawn as bytes:
of integers Hypothesis prefers small ones, in which the upper fields would hardly ever be anything but 0.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any, Final, Literal

from hypothesis import strategies as st

from trioflow.testing.schedules import Holds
from trioflow.testing.spec import Afterwards, Backoff, DagSpec, Demand, Node

__all__ = ["SHAPES", "Shape", "dags", "demands", "random_dag", "schedules", "seeds"]

Shape = Literal["random", "chain", "fan", "diamond", "ladder", "layered", "dense", "forest"]


def _bits(width: int) -> st.SearchStrategy[int]:
    """Numbers of so many bits, each of which is as often 1 as 0."""
    size, mask = -(-width // 8), (1 << width) - 1
    return st.binary(min_size=size, max_size=size).map(lambda drawn: int.from_bytes(drawn, "little") & mask)


def _mask(bits: int) -> tuple[int, ...]:
    return tuple(distance for distance in range(1, 5) if bits >> (distance - 1) & 1)


def _layered(i: int, n: int, bits: int) -> tuple[int, ...]:
    """Layers of three; whoever isn't in the first needs some of the layer before."""
    before = range(i % 3 + 1, i % 3 + 4)
    return tuple(d for d in before if bits >> (d - before[0]) & 1) or (before[0],) if i >= 3 else ()


#: What step i of n depends on, by distance. The last argument is four bits of chance.
SHAPES: Final[dict[Shape, Callable[[int, int, int], tuple[int, ...]]]] = {
    "random": lambda i, n, bits: _mask(bits),
    "chain": lambda i, n, bits: (1,),
    "fan": lambda i, n, bits: tuple(range(1, n)) if i == n - 1 else (),
    "diamond": lambda i, n, bits: (i,) if 0 < i < n - 1 else tuple(range(1, max(2, n - 1))),
    "ladder": lambda i, n, bits: ((1, 2), (1,), (2,))[i % 3],
    "layered": _layered,
    "dense": lambda i, n, bits: tuple(range(1, i + 1)),
    "forest": lambda i, n, bits: (1 + bits // 4,) if bits % 4 else (),
}


#: By two bits of chance.
_BACKOFFS: Final[tuple[Backoff, ...]] = ("constant", "linear", "exponential", "constant")


def _taker(bits: int) -> Callable[[int], int]:
    """A function that cuts a field of so many bits off, from the low end."""

    def take(width: int) -> int:
        nonlocal bits
        field, bits = bits & ((1 << width) - 1), bits >> width
        return field

    return take


def _policy(bits: int, sync: bool, timeouts: bool) -> dict[str, Any]:
    take = _taker(bits)
    retries, flaky, delay, timeout = take(2), take(2), take(2), take(3)
    growth, final = take(2), take(2) == 3
    return {
        "retries": retries,
        "flaky": flaky,
        "delay": delay,
        "backoff": _BACKOFFS[growth],
        "timeout": timeout - 3 if timeout > 3 and timeouts and not sync else None,
        "final": final,
    }


def _node(
    bits: int, policy: int | None, back: tuple[int, ...], failures: bool, sync: bool, inner: bool, aliases: bool
) -> Node:
    take = _taker(bits)
    take(4)  # the shape's
    concurrent, seconds, fails, cleanup = bool(take(1)), take(2), take(3) >= 6, take(2)
    fate, by_name, twice, kind, own = take(3), bool(take(1)), take(2) == 3, take(2), take(4)
    fails, alias = fails and failures, own & 3 if aliases else 0
    more = {} if policy is None else _policy(policy, sync and kind == 3, not aliases)
    if sync and kind == 3:
        return Node(back=back, concurrent=concurrent, by_name=by_name, sync=True, fails=fails, alias=alias, **more)
    endings: dict[int, Afterwards] = {6: "return", 7: "fail"} if failures else {6: "return"}
    return Node(
        back=back,
        concurrent=concurrent,
        by_name=by_name,
        twice=twice and not by_name,
        seconds=seconds,
        checkpoint=kind == 2,
        fails=fails,
        cleanup=cleanup,
        afterwards=endings.get(fate, "reraise"),
        awaits=(own // 2 - 3,) if inner and own >= 8 else (),
        alias=alias,
        **more,
    )


def _demand(bits: int, timeouts: bool, strangers: bool) -> Demand:
    timeout = bits >> 5 & 7 if timeouts and bits >> 4 & 1 else None
    return Demand(node=bits & 3, at=bits >> 2 & 3, timeout=timeout, stranger=strangers and bits >> 8 & 7 == 7)


def demands(
    *, max_size: int = 4, timeouts: bool = True, strangers: bool = True
) -> st.SearchStrategy[tuple[Demand, ...]]:
    """Who awaits: up to `max_size` tasks, each at its time, some of them only for a while, a few from outside the run."""
    drawn = st.lists(_bits(11), min_size=1, max_size=max_size)
    return drawn.map(lambda many: tuple(_demand(bits, timeouts, strangers) for bits in many))


@st.composite
def dags(
    draw: st.DrawFn,
    *,
    max_nodes: int = 8,
    shape: Shape | None = None,
    failures: bool = True,
    timeouts: bool = True,
    endings: bool = True,
    strangers: bool = True,
    sync: bool = True,
    inner: bool = False,
    policies: bool = True,
    aliases: bool = True,
    concurrent: bool | None = None,
    spread: bool | None = None,
    max_demands: int = 4,
) -> DagSpec:
    """Workflows of up to `max_nodes` steps, of one `shape` or of any, and who awaits them.

    Each of the switches allows something: `failures` that bodies fail (rarely, or nearly every run would be over at
    once), `timeouts` that those who await give up, `endings` that the host cancels or the workflow's function returns
    early, `strangers` that tasks of a foreign nursery await, `sync` bodies that are plain functions, `inner` bodies
    that await other steps, `policies` that steps are tried again or have a timeout (in some of the specs in which bodies
    may fail), `aliases` that steps have the same name (in few). With `concurrent` or `spread` all steps, or all specs, are
    or aren't (see `DagSpec`).
    """
    header = draw(_bits(16))
    step = _bits(24)
    steps: list[tuple[int, int | None]]
    if _has_policies(header, failures and policies):
        steps = draw(st.lists(st.tuples(step, _bits(13)), min_size=1, max_size=max_nodes))
    else:
        steps = [(bits, None) for bits in draw(st.lists(step, min_size=1, max_size=max_nodes))]
    asked = draw(demands(max_size=max_demands, timeouts=timeouts, strangers=strangers))
    return _assemble(header, steps, asked, shape, failures, endings, sync, inner, aliases, concurrent, spread)


def random_dag(
    chance: random.Random,
    *,
    max_nodes: int = 8,
    max_demands: int = 4,
    inner: bool = False,
    policies: bool = True,
    aliases: bool = True,
) -> DagSpec:
    """The same without Hypothesis, ten times as fast: for long runs from a plain seed, where nothing is shrunk."""
    header = chance.getrandbits(16)
    steps = [
        (chance.getrandbits(24), chance.getrandbits(13) if _has_policies(header, policies) else None)
        for _ in range(chance.randint(1, max_nodes))
    ]
    asked = tuple(_demand(chance.getrandbits(11), True, True) for _ in range(chance.randint(1, max_demands)))
    return _assemble(header, steps, asked, None, True, True, True, inner, aliases, None, None)


def _has_policies(header: int, policies: bool) -> bool:
    """Every other spec in which bodies may fail."""
    return policies and header >> 4 & 1 == header >> 12 & 1 == 1


def _assemble(
    header: int,
    steps: list[tuple[int, int | None]],
    asked: tuple[Demand, ...],
    shape: Shape | None,
    failures: bool,
    endings: bool,
    sync: bool,
    inner: bool,
    aliases: bool,
    concurrent: bool | None,
    spread: bool | None,
) -> DagSpec:
    dependencies = SHAPES[shape or list(SHAPES)[header & 7]]
    failures = failures and bool(header >> 4 & 1)
    aliases = aliases and header >> 13 == 7
    if concurrent is not None:
        steps = [(bits & ~16 | 16 * concurrent, policy) for bits, policy in steps]
    ending, when = header >> 5 & 15, header >> 9 & 7
    return DagSpec(
        nodes=[
            _node(bits, policy, dependencies(i, len(steps), bits & 15), failures, sync, inner, aliases)
            for i, (bits, policy) in enumerate(steps)
        ],
        demands=asked,
        cancel_at=when if endings and ending == 14 else None,
        return_at=when if endings and ending == 15 else None,
        spread=bool(header >> 3 & 1) if spread is None else spread,
    )


def seeds() -> st.SearchStrategy[int]:
    """Schedules, for `run_dag(spec, seed=…)`. Without them Trio under Hypothesis runs every example in the same order."""
    return st.integers(0, 2**16 - 1)


def schedules(*, max_holds: int = 6) -> st.SearchStrategy[Holds]:
    """Orders of any program's tasks, for `replay(workflow, schedule=…)`: the default one, with some tasks held back.

    They shrink to as few holds as will do, as early and as short as can be.
    """
    at = st.integers(0, 7) | st.integers(0, 60)  # most programs have few decisions, and some have many
    length = st.integers(1, 4) | st.integers(1, 40)
    return st.lists(st.tuples(at, length), max_size=max_holds).map(Holds)
