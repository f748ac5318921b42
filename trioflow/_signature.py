"""What a function's parameters say: which values a step needs, and how they are handed over.

`inspect.signature` costs more than running the step whose body it describes, so what it says is kept. A plain function
without defaults is known by its code: a function that is defined again, in a loop or in another run, costs a lookup.
Code is not enough for anything else: functions under one decorator share it, and a default is an object of the
user's. So those are known by themselves, and forgotten with them: nothing here keeps a user's closure alive.

Two caches were rejected. One keyed by hash and equality (`WeakKeyDictionary`, `lru_cache`) refuses callables that can't
be hashed, mixes up those that are merely equal, and hashes the whole code object at every question. Building the answer
from `__code__` without `inspect` is quick enough to need no cache, but is a second opinion on Python's rules.
"""

from __future__ import annotations

import functools
import inspect
import sys
import weakref
from collections.abc import Callable, Sequence
from inspect import Parameter
from types import CodeType, FunctionType, MethodType
from typing import Any, Generic, TypeVar

import attrs

from ._errors import DefinitionError

V = TypeVar("V")


class ByIdentity(Generic[V]):
    """Facts about objects, found by the object itself and forgotten with it. Equality and hash are never asked."""

    __slots__ = ("_refs", "facts")

    def __init__(self) -> None:
        #: By `id`. An object that can be asked about is alive, so its id is nobody else's.
        self.facts: dict[int, V] = {}
        self._refs: dict[int, weakref.ref[object]] = {}

    def keep(self, about: object, fact: V) -> V:
        """Remember the fact for as long as the object lives, or not at all if nobody can tell how long that is."""
        key = id(about)

        def forget(_: weakref.ref[object]) -> None:
            del self._refs[key], self.facts[key]

        try:
            self._refs[key] = weakref.ref(about, forget)
        except TypeError:
            return fact
        self.facts[key] = fact
        return fact


@attrs.frozen
class Signature:
    """Which values a function takes.

    A parameter takes the value of a dependency unless it is called `ctx`, which takes the step's context. `*rest` is no
    parameter that could mean a step; it takes what `depends` gives beyond the others.
    """

    #: Parameters that take a dependency, in order, keyword-only ones (which come last) included.
    names: tuple[str, ...]
    #: Those that may be left out, as they have a default.
    optional: frozenset[str]
    #: Those that can't be given by position.
    keyword: frozenset[str]
    #: Keyword-only ones without a default, which `depends` can never fill.
    unreachable: tuple[str, ...]
    #: How many values `depends` has to give, and may give; with `*rest` there is no limit (`sys.maxsize`).
    least: int
    most: int
    #: What can be given by position, in order, `ctx` included.
    slots: tuple[str, ...]
    #: Index of `ctx` among the parameters (`*rest` not counted), None if there is none.
    ctx: int | None
    #: Defaults of positional-only parameters: one that is left out must be spelt out if a later one is given.
    spelt_out: dict[str, object]
    #: Calling it gives an awaitable, as far as can be told without calling it. A forecast: see `_is_async`.
    is_async: bool
    #: Calling it gives a coroutine, for certain.
    is_native: bool
    #: The values can simply be passed by position.
    plain: bool = attrs.field(init=False)

    @plain.default
    def _is_plain(self) -> bool:
        return self.ctx is None and not self.keyword


_known: ByIdentity[Signature] = ByIdentity()
#: Bound methods are made afresh at each access; what one takes depends on the function it binds.
_of_methods: ByIdentity[Signature] = ByIdentity()


def signature_of(fn: Callable[..., object]) -> Signature:
    """What the parameters of a step's body say.

    Raises:
        DefinitionError: if it isn't callable, doesn't tell its parameters (some builtins don't), or takes `**kwargs`:
            what a step needs must have a name.
    """
    kept, key = _known, fn
    if type(fn) is FunctionType:
        if not (fn.__defaults__ or fn.__kwdefaults__ or hasattr(fn, "__wrapped__") or hasattr(fn, "__signature__")):
            key = fn.__code__  # type: ignore[assignment]
    elif type(fn) is MethodType:
        kept, key = _of_methods, fn.__func__
    signature = kept.facts.get(id(key))
    if signature is not None:
        return signature
    signature = _read(fn)
    if signature.spelt_out:  # holds objects of the user's
        return signature
    return kept.keep(key, signature)


def _read(fn: Callable[..., object]) -> Signature:
    parameters = _parameters(fn)
    slots = [p for p in parameters if p.kind in (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)]
    takers = [p for p in parameters if p.name != "ctx" and p.kind is not Parameter.VAR_POSITIONAL]
    optional = frozenset(p.name for p in takers if p.default is not Parameter.empty)
    keyword = [p.name for p in takers if p.kind is Parameter.KEYWORD_ONLY]
    positional = [p.name for p in takers if p.name not in keyword]
    named = [p.name for p in parameters if p.kind is not Parameter.VAR_POSITIONAL]
    return Signature(
        names=tuple(p.name for p in takers),
        optional=optional,
        keyword=frozenset(keyword),
        unreachable=tuple(name for name in keyword if name not in optional),
        least=sum(name not in optional for name in positional),
        most=len(positional) if len(named) == len(parameters) else sys.maxsize,
        slots=tuple(p.name for p in slots),
        ctx=named.index("ctx") if "ctx" in named else None,
        spelt_out={
            p.name: p.default for p in slots if p.kind is Parameter.POSITIONAL_ONLY and p.default is not Parameter.empty
        },
        is_async=_is_async(fn),
        is_native=_is_native(fn),
    )


def _parameters(fn: Callable[..., object]) -> list[Parameter]:
    """What is left to be filled: a keyword that a partial has bound is an argument already, not a default."""
    try:
        parameters = list(inspect.signature(fn).parameters.values())
    except (TypeError, ValueError) as exc:
        if not callable(fn):
            raise DefinitionError(f"a step's body must be a function, not {fn!r}") from None
        raise DefinitionError(
            f"{_shown(fn)} doesn't tell which parameters it takes ({exc}): call it in a function of your own"
        ) from exc
    if inspect.isgeneratorfunction(fn) or inspect.isasyncgenfunction(fn):
        raise DefinitionError(
            f"{_shown(fn)} has a `yield` in it, so calling it would run nothing of it: "
            "a step's body returns its result",
            place=_place(fn),
        )
    bound = fn.keywords if isinstance(fn, functools.partial) else ()
    for p in parameters:
        if p.kind is Parameter.VAR_KEYWORD:
            raise DefinitionError(
                f"{_shown(fn)} takes **{p.name}, but a parameter's name says which step it takes: "
                f"name each one, or take any number by position with *{p.name}",
                place=_place(fn),
            )
    return [p for p in parameters if p.name not in bound]


def _is_native(fn: Any) -> bool:
    """Whether a call makes a coroutine. A function that is merely marked as such may return any other awaitable."""
    while isinstance(fn, functools.partial):
        fn = fn.func
    codes = (getattr(f, "__code__", None) for f in (fn, type(fn).__call__))
    return any(isinstance(code, CodeType) and code.co_flags & inspect.CO_COROUTINE for code in codes)


def _is_async(fn: Any) -> bool:
    """Looks behind partials, bound methods, wrappers (`functools.wraps`) and objects with an `async def __call__`.

    It is a forecast. A sync function that returns an awaitable isn't seen here, and a sync wrapper of an async function
    may have run that itself.
    """
    while fn is not None:
        if inspect.iscoroutinefunction(fn) or inspect.iscoroutinefunction(type(fn).__call__):
            return True
        fn = fn.func if isinstance(fn, functools.partial) else getattr(fn, "__wrapped__", None)
    return False


def _shown(fn: Callable[..., object]) -> str:
    place = _place(fn)
    name = getattr(fn, "__qualname__", None) or repr(fn)
    return name if place is None else f"{name} ({place})"


def _place(fn: Any) -> str | None:
    while isinstance(fn, functools.partial):
        fn = fn.func
    fn = inspect.unwrap(fn)
    code = getattr(fn, "__code__", None) or getattr(type(fn).__call__, "__code__", None)
    return f"{code.co_filename}:{code.co_firstlineno}" if isinstance(code, CodeType) else None


def check_count(signature: Signature, count: int, step: str, place: str) -> None:
    """Refuse a `depends` that doesn't fit the parameters.

    Raises:
        DefinitionError: if `count` values are too few or too many, or can't reach a keyword-only parameter.
    """
    if signature.least <= count <= signature.most and not signature.unreachable:
        return
    said = f"step {step!r} ({place}): `depends` names {count} step{'s' * (count != 1)}"
    if signature.unreachable:
        names = ", ".join(repr(name) for name in signature.unreachable)
        message = (
            f"{said}, whose values come by position, which never reach keyword-only {names}: "
            "leave out `depends` to let parameters' names say which steps they mean, or take away the `*`"
        )
    else:
        names = ", ".join(repr(name) for name in signature.names if name not in signature.keyword)
        message = (
            f"{said}, but its body takes {_counted(signature)} by position{names and f' ({names})'}: "
            "name one step for each of these parameters, `ctx` not counted"
        )
    raise DefinitionError(message, step=step, place=place)


def _counted(signature: Signature) -> str:
    least, most = signature.least, signature.most
    if most == sys.maxsize:
        return f"at least {least}"
    return f"{least}" if least == most else f"{least} to {most}"


def arranged(
    signature: Signature, names: tuple[str, ...] | None, values: Sequence[object], ctx: object
) -> tuple[tuple[object, ...], dict[str, object]]:
    """The positional and the keyword arguments of a call.

    Args:
        signature: Of the function that will be called.
        names: Which parameters the values belong to, in the order of `signature.names`; those left out keep their
            default. None if the values come by position, as `depends` gives them.
        values: What the dependencies have returned.
        ctx: For the parameter `ctx`, if there is one.
    """
    rest: Sequence[object] = ()
    if names is None:
        names = signature.names
        if len(values) > len(names) - len(signature.keyword):
            names = names[: len(names) - len(signature.keyword)]
            rest = values[len(names) :]
    given = dict(zip(names, values, strict=False))
    if signature.ctx is not None:
        given["ctx"] = ctx
    args = []
    for slot in signature.slots:  # by position as far as nothing is left out
        if slot in given:
            args.append(given.pop(slot))
        elif given and slot in signature.spelt_out:
            args.append(signature.spelt_out[slot])
        else:
            break
    return (*args, *rest), given
