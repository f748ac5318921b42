"""What a generated workflow is: which steps there are, what their bodies do, and who awaits which of them, and when.

A spec is a value. It prints as the call that makes it, so that one that has failed can be pasted into a test, and each
of its parts may be left out and leaves a spec that is valid, so that it can be shrunk.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any, Literal, final

import attrs

from trioflow._errors import ConfigError, NonRetryableError

__all__ = ["Afterwards", "Backoff", "BodyError", "DagSpec", "Demand", "FinalError", "Node"]

Afterwards = Literal["reraise", "fail", "return"]
"""What a body does when it has been cancelled and has cleaned up."""

Backoff = Literal["constant", "linear", "exponential"]
"""How the delays between attempts grow."""


class BodyError(Exception):
    """What the body of a generated step raises. `args[0]` is the number of the step."""


@final
class FinalError(BodyError, NonRetryableError):
    """The same of a step with `final=True`: another attempt can't help."""


# ---------------------------------------------------------------------------------------------------- specifications


def _call(self: Any) -> str:
    """`self` as the shortest call that makes it again: what has its default is left out."""
    shown = (
        f"{field.name}={value!r}"
        for field in attrs.fields(type(self))
        if field.init and (value := getattr(self, field.name)) != field.default
    )
    return f"{type(self).__name__}({', '.join(shown)})"


def _numbers(values: Iterable[int]) -> tuple[int, ...]:
    return tuple(values)


def _nodes(values: Iterable[Node]) -> tuple[Node, ...]:
    return tuple(values)


def _demands(values: Iterable[Demand]) -> tuple[Demand, ...]:
    return tuple(values)


def _at_least(least: int) -> Callable[[Any, attrs.Attribute[Any], Any], None]:
    def check(instance: object, field: attrs.Attribute[Any], value: Any) -> None:
        for number in value if isinstance(value, tuple) else (value,):
            if number is not None and (type(number) is not int or number < least):
                message = f"{type(instance).__name__}: {field.name} needs whole numbers from {least}, not {value!r}"
                raise ConfigError(message)

    return check


@final
@attrs.frozen(kw_only=True, repr=False)
class Node:
    """One step of a `DagSpec`. The plain `Node()` needs nothing, awaits nothing and returns at once."""

    #: Its dependencies as distances backwards: 1 is the step declared just before, 2 the one before that. Deleting
    #: a step leaves all others valid, which is what shrinking lives on. Those that reach past the first are ignored.
    back: tuple[int, ...] = attrs.field(default=(), converter=_numbers, validator=_at_least(1))
    #: Resolve the dependencies at the same time, instead of one after the other.
    concurrent: bool = False
    #: Name the dependencies as parameters, instead of in `depends=[...]`.
    by_name: bool = False
    #: A plain function. It cannot wait, so all that takes time is refused.
    sync: bool = False
    #: How long the body works, in seconds. 0: it does not await at all (but see `checkpoint`).
    seconds: int = attrs.field(default=0, validator=_at_least(0))
    #: With `seconds=0`: the body takes one checkpoint, and no time.
    checkpoint: bool = False
    #: The body raises `BodyError` when its work is done, instead of returning.
    fails: bool = False
    #: How long it cleans up, shielded, when it has been cancelled; in seconds.
    cleanup: int = attrs.field(default=0, validator=_at_least(0))
    #: What it does then: raise the `Cancelled` again, raise a `BodyError`, or return its value all the same.
    afterwards: Afterwards = attrs.field(
        default="reraise", validator=attrs.validators.in_(("reraise", "fail", "return"))
    )
    #: Name the first dependency twice (with `depends=[...]` only).
    twice: bool = False
    #: Steps that the body awaits itself, one after the other, before it works; distances as in `back`.
    awaits: tuple[int, ...] = attrs.field(default=(), converter=_numbers, validator=_at_least(1))
    #: How many times it may be tried again.
    retries: int = attrs.field(default=0, validator=_at_least(0))
    #: The base of the delays before another attempt, in seconds, and how they grow.
    delay: int = attrs.field(default=0, validator=_at_least(0))
    backoff: Backoff = attrs.field(
        default="constant", validator=attrs.validators.in_(("constant", "linear", "exponential"))
    )
    #: How long one attempt may take, in seconds; None: as long as it will.
    timeout: int | None = attrs.field(default=None, validator=_at_least(1))
    #: So many first attempts raise a `BodyError` when their work is done. Those after them do what `fails` says.
    flaky: int = attrs.field(default=0, validator=_at_least(0))
    #: What `fails` and `afterwards="fail"` raise is a `NonRetryableError`.
    final: bool = False
    #: It has the name of the step so many before it (see `DagSpec.names`). 0: a name of its own.
    alias: int = attrs.field(default=0, validator=_at_least(0))

    @property
    def has_policy(self) -> bool:
        """Whether it is declared with a `config`. If so, its body takes the step context, too."""
        return self.retries > 0 or self.timeout is not None

    def fails_in(self, attempt: int) -> bool:
        """Whether its body raises an error when the work of an attempt, counted from 1, is done."""
        return self.fails or attempt <= self.flaky

    def __attrs_post_init__(self) -> None:
        waits = self.seconds or self.checkpoint or self.cleanup or self.awaits or self.afterwards != "reraise"
        if self.sync and self.timeout is not None:
            raise ConfigError(f"a sync body can't be stopped, so it has no timeout: {self!r}")
        if self.sync and waits:
            raise ConfigError(f"a sync body can't wait, nor be cancelled: {self!r}")
        if self.twice and self.by_name:
            raise ConfigError(f"a parameter can't be named twice: {self!r}")

    __repr__ = _call


@final
@attrs.frozen(kw_only=True, repr=False)
class Demand:
    """One task that awaits one step."""

    #: Which step, counted from the last one (0), and round again: any number is valid in any spec.
    node: int = attrs.field(default=0, validator=_at_least(0))
    #: When, in seconds since the run began.
    at: int = attrs.field(default=0, validator=_at_least(0))
    #: For how long at most, in seconds.
    timeout: int | None = attrs.field(default=None, validator=_at_least(0))
    #: The task belongs to a nursery outside the run: it is not cancelled with the run, and the run doesn't wait for it.
    stranger: bool = False

    __repr__ = _call


@final
@attrs.frozen(kw_only=True, repr=False)
class DagSpec:
    """A workflow, and what is asked of it. It prints as the call that makes it: paste that into a test."""

    #: The steps, in the order of their declaration.
    nodes: tuple[Node, ...] = attrs.field(converter=_nodes, validator=attrs.validators.min_len(1))
    #: Who awaits them.
    demands: tuple[Demand, ...] = attrs.field(default=(Demand(),), converter=_demands)
    #: The host cancels the run at that time, in seconds since it began.
    cancel_at: int | None = attrs.field(default=None, validator=_at_least(0))
    #: The workflow's function returns at that time, and all who await are strangers. Else it returns when all that
    #: await inside have their answers.
    return_at: int | None = attrs.field(default=None, validator=_at_least(0))
    #: Move every time that isn't the zero of a duration by a fraction of a second of its own.
    spread: bool = False
    #: What the steps are called: "s" and the number, unless one has the name of an earlier one. It has not where that one
    #: isn't there, nor where a parameter of a step in between means that name: which of them, nobody could tell (P4).
    names: tuple[str, ...] = attrs.field(init=False, eq=False)

    def __attrs_post_init__(self) -> None:
        names: list[str] = []
        meant: set[str] = set()
        for i, node in enumerate(self.nodes):
            name = names[i - node.alias] if 0 < node.alias <= i else f"s{i}"
            names.append(f"s{i}" if name in meant else name)
            if node.by_name:
                meant.update(names[d] for d in self._behind(i, node.back))
        object.__setattr__(self, "names", tuple(names))  # as attrs itself does it in a frozen class

    __repr__ = _call

    def dependencies(self, node: int) -> tuple[int, ...]:
        """The numbers of the steps that step `node` needs, in the order in which it names them.

        All steps are declared at one place. So a parameter means, of several steps of its name, the latest before (P4).
        """
        found = self._behind(node, self.nodes[node].back)
        if self.nodes[node].by_name:
            latest = {self.names[other]: other for other in range(node)}
            return tuple(dict.fromkeys(latest[self.names[other]] for other in found))
        return found + found[:1] if self.nodes[node].twice else found

    def awaited_inside(self, node: int) -> tuple[int, ...]:
        """The numbers of the steps that the body of step `node` awaits."""
        return self._behind(node, self.nodes[node].awaits)

    def target(self, demand: int) -> int:
        """The number of the step that demand `demand` awaits."""
        return len(self.nodes) - 1 - self.demands[demand].node % len(self.nodes)

    def is_stranger(self, demand: int) -> bool:
        """Whether demand `demand` is made by a task of a foreign nursery."""
        return self.return_at is not None or self.demands[demand].stranger

    def seconds(self, node: int) -> float:
        """How long the body of step `node` works."""
        return self._spread(self.nodes[node].seconds, 4 * node) if self.nodes[node].seconds else 0

    def cleanup(self, node: int) -> float:
        """How long the body of step `node` cleans up."""
        return self._spread(self.nodes[node].cleanup, 4 * node + 1) if self.nodes[node].cleanup else 0

    def attempt_timeout(self, node: int) -> float:
        """How long one attempt of step `node` may take; infinity if as long as it will."""
        timeout = self.nodes[node].timeout
        return math.inf if timeout is None else self._spread(timeout, 4_100_000 + 2 * node)

    def delay_before(self, node: int, retry: int) -> float:
        """How long it takes from the end of an attempt of step `node` to its retry, which is counted from 1 (P18)."""
        growth = {"constant": 1, "linear": retry, "exponential": 1 << retry - 1}[self.nodes[node].backoff]
        return self.base_delay(node) * growth

    def base_delay(self, node: int) -> float:
        """What the delays of step `node` grow from."""
        return self._spread(self.nodes[node].delay, 4_100_001 + 2 * node) if self.nodes[node].delay else 0

    def asks_at(self, demand: int) -> float:
        """When demand `demand` is made, in seconds since the run began."""
        return self._spread(self.demands[demand].at, 4 * demand + 2)

    def timeout(self, demand: int) -> float:
        """After how many seconds demand `demand` gives up; infinity if never."""
        timeout = self.demands[demand].timeout
        return math.inf if timeout is None else self._spread(timeout, 4 * demand + 3)

    def cancelled_at(self) -> float:
        """When the host cancels; infinity if never."""
        return math.inf if self.cancel_at is None else self._spread(self.cancel_at, 4_000_001)

    def returns_at(self) -> float:
        """When the workflow's function returns of itself; infinity if it waits for those inside."""
        return math.inf if self.return_at is None else self._spread(self.return_at, 4_000_002)

    def reach(self, node: int) -> frozenset[int]:
        """The steps that may run when step `node` is awaited: itself, and what it needs, directly or not."""
        todo, seen = [node], {node}
        for i in todo:
            for d in self.dependencies(i) + self.awaited_inside(i):
                if d not in seen:
                    seen.add(d)
                    todo.append(d)
        return frozenset(seen)

    def _behind(self, node: int, distances: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(dict.fromkeys(node - distance for distance in distances if distance <= node))

    def _spread(self, seconds: int, key: int) -> float:
        """Powers of a primitive root modulo a prime: no small sum of these fractions equals another.

        They are multiples of 2**-31, so that sums of them are exact in a float and model and clock agree on every bit.
        """
        return seconds + pow(7, key + 11, 2**31 - 1) / 2**31 if self.spread else seconds
