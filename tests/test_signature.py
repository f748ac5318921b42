"""What parameters say, and that a call arranged after them binds as Python itself would bind it."""

from __future__ import annotations

import functools
import gc
import inspect
import sys
import weakref
from collections.abc import Callable
from inspect import Parameter
from types import MethodType
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trioflow._errors import DefinitionError
from trioflow._signature import ByIdentity, Signature, arranged, check_count, signature_of

# ----------------------------------------------------------------------------------------------- what parameters say


def test_names_are_the_parameters_that_take_a_dependency() -> None:
    def body(users: int, ctx: object, orders: int = 0, *rest: int, limit: int, page: int = 1) -> None: ...

    signature = signature_of(body)
    assert signature.names == ("users", "orders", "limit", "page")
    assert signature.optional == {"orders", "page"}
    assert signature.keyword == {"limit", "page"}
    assert signature.unreachable == ("limit",)
    assert (signature.least, signature.most) == (1, sys.maxsize)
    assert signature.slots == ("users", "ctx", "orders")
    assert signature.ctx == 1
    assert not signature.plain
    assert not signature.is_async


def test_plain_means_that_values_can_be_passed_by_position() -> None:
    def nothing() -> None: ...
    def some(a: int, b: int = 0, /, c: int = 0, *rest: int) -> None: ...
    def with_ctx(a: int, ctx: object) -> None: ...
    def with_keyword(a: int, *, b: int = 0) -> None: ...

    assert [signature_of(fn).plain for fn in (nothing, some, with_ctx, with_keyword)] == [True, True, False, False]
    assert (signature_of(nothing).least, signature_of(nothing).most) == (0, 0)
    assert (signature_of(some).least, signature_of(some).most) == (1, sys.maxsize)


def test_rest_is_no_context_even_if_it_is_called_ctx() -> None:
    def body(a: int, *ctx: int) -> None: ...

    assert signature_of(body).ctx is None
    assert signature_of(body).most == sys.maxsize


def test_what_a_partial_has_bound_is_no_parameter_any_more() -> None:
    def body(a: int, b: int, ctx: object, c: int) -> tuple[object, ...]:
        return a, b, ctx, c

    by_position = signature_of(functools.partial(body, 1))
    assert by_position.names == ("b", "c")
    by_keyword = signature_of(functools.partial(body, b=2, ctx="mine"))
    assert by_keyword.names == ("a", "c")
    assert by_keyword.ctx is None
    assert by_keyword.unreachable == ("c",)  # Python: what follows a bound keyword can't be given by position
    args, keywords = arranged(by_keyword, ("a", "c"), (1, 3), "ours")
    assert functools.partial(body, b=2, ctx="mine")(*args, **keywords) == (1, 2, "mine", 3)


def test_a_bound_method_takes_what_its_function_takes_but_self() -> None:
    class Shop:
        def stock(self, items: int, ctx: object) -> None: ...
        @classmethod
        def make(cls, name: str) -> None: ...
        @staticmethod
        def tidy(shelf: int) -> None: ...

    assert signature_of(Shop().stock).names == ("items",)
    assert signature_of(Shop().stock).ctx == 1
    assert signature_of(Shop.stock).names == ("self", "items")
    assert signature_of(Shop().make).names == ("name",)
    assert signature_of(Shop.tidy).names == ("shelf",)


# ------------------------------------------------------------------------------------------------- sync or async body


async def async_body(a: int) -> int:
    return a


def sync_body(a: int) -> int:
    return a


def logged(fn: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(fn)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return fn(*args, **kwargs)

    return wrapper


class AsyncCallable:
    async def __call__(self, a: int) -> int:
        return a

    async def method(self, a: int) -> int:
        return a


class SyncCallable:
    def __call__(self, a: int) -> int:
        return a


class AsyncInstances:
    """Calling the class makes an instance, which is nothing to await."""

    def __init__(self, a: int) -> None: ...
    async def __call__(self) -> None: ...


class WrapperObject:
    """An async callable that has taken over a sync function's name and parameters."""

    def __init__(self, fn: Callable[..., Any]) -> None:
        functools.update_wrapper(self, fn)

    async def __call__(self, a: int) -> int:
        return a


@pytest.mark.parametrize(
    ("fn", "is_async"),
    [
        (async_body, True),
        (functools.partial(async_body), True),
        (functools.partial(functools.partial(async_body)), True),
        (AsyncCallable().method, True),
        (functools.partial(AsyncCallable().method), True),
        (AsyncCallable(), True),
        (functools.partial(AsyncCallable()), True),
        (logged(async_body), True),
        (logged(logged(async_body)), True),
        (functools.partial(logged(async_body)), True),
        (logged(AsyncCallable().method), True),
        (WrapperObject(sync_body), True),
        (functools.lru_cache(async_body), True),
        (sync_body, False),
        (functools.partial(sync_body), False),
        (SyncCallable(), False),
        (SyncCallable().__call__, False),
        (logged(sync_body), False),
        (AsyncInstances, False),
        (len, False),
    ],
)
def test_an_async_body_is_known_behind_whatever_wraps_it(fn: Callable[..., Any], is_async: bool) -> None:
    signature = signature_of(fn)
    assert signature.is_async is is_async
    assert len(signature.names) == 1


# ------------------------------------------------------------------------------------------------- refused functions


def test_kwargs_are_refused_with_the_parameter_and_the_place() -> None:
    def body(a: int, **options: int) -> None: ...

    place = f"{__file__}:{body.__code__.co_firstlineno}"
    for fn in (body, functools.partial(body, 1), logged(body)):
        with pytest.raises(DefinitionError, match=r"body.* takes \*\*options") as caught:
            signature_of(fn)
        assert place in str(caught.value)
        assert caught.value.place == place


def test_kwargs_of_callables_without_code_are_refused_too() -> None:
    class Body:
        def __call__(self, **options: int) -> None: ...

    class Made:
        def __init__(self, **options: int) -> None: ...

    with pytest.raises(DefinitionError, match=r"takes \*\*options") as caught:
        signature_of(Body())
    assert caught.value.place == f"{__file__}:{Body.__call__.__code__.co_firstlineno}"
    with pytest.raises(DefinitionError, match=r"Made takes \*\*options") as caught:
        signature_of(Made)
    assert caught.value.place is None


def test_a_builtin_that_hides_its_parameters_is_refused_with_advice() -> None:
    with pytest.raises(
        DefinitionError, match=r"dict.update doesn't tell which parameters it takes.*function of your own"
    ):
        signature_of(dict.update)


def test_what_can_not_be_called_is_refused() -> None:
    with pytest.raises(DefinitionError, match="must be a function, not 42"):
        signature_of(42)  # type: ignore[arg-type]


# -------------------------------------------------------------------------------------------------------------- cache


def test_a_function_defined_again_is_known_by_its_code() -> None:
    def define() -> Callable[..., Any]:
        def body(a: int) -> None: ...

        return body

    assert signature_of(define()) is signature_of(define())


def test_functions_under_one_decorator_share_code_but_not_parameters() -> None:
    def one(a: int) -> None: ...
    def two(a: int, b: int) -> None: ...

    assert logged(one).__code__ is logged(two).__code__
    assert signature_of(logged(one)).names == ("a",)
    assert signature_of(logged(two)).names == ("a", "b")


def test_functions_of_one_code_with_other_defaults_or_a_signature_of_their_own_differ() -> None:
    def define(default: object) -> Callable[..., Any]:
        def body(a: Any, b: Any) -> None: ...

        if default is not None:
            body.__defaults__ = (default,)
        return body

    assert signature_of(define(None)).optional == frozenset()
    assert signature_of(define(1)).optional == {"b"}
    keyword_default = define(None)
    keyword_default.__kwdefaults__ = {}
    assert signature_of(keyword_default).optional == frozenset()
    described = define(None)
    described.__signature__ = inspect.Signature([Parameter("other", Parameter.KEYWORD_ONLY)])  # type: ignore[attr-defined]
    assert signature_of(described).names == ("other",)
    assert signature_of(define(None)).names == ("a", "b")


def test_a_keyword_only_default_is_no_business_of_the_code() -> None:
    def define(default: object) -> Callable[..., Any]:
        def body(*, a: Any) -> None: ...

        if default is not None:
            body.__kwdefaults__ = {"a": default}
        return body

    assert [bool(signature_of(define(d)).optional) for d in (None, 1, None)] == [False, True, False]


def test_equal_callables_are_not_mixed_up() -> None:
    class Equal:
        def __init__(self, names: str) -> None:
            self.__signature__ = inspect.Signature([Parameter(n, Parameter.POSITIONAL_ONLY) for n in names])

        def __call__(self, *args: object) -> None: ...
        def __eq__(self, other: object) -> bool:
            return True

        def __hash__(self) -> int:
            return 0

    one, two = Equal("a"), Equal("ab")
    assert [signature_of(fn).names for fn in (one, two, one)] == [("a",), ("a", "b"), ("a",)]


def test_callables_that_can_not_be_hashed_or_referred_to_weakly_work() -> None:
    @attrs.define(weakref_slot=False)
    class Body:
        n: int = 0

        def __call__(self, a: int) -> None: ...

    body = Body()
    with pytest.raises(TypeError):
        hash(body)
    with pytest.raises(TypeError):
        weakref.ref(body)
    assert signature_of(body) == signature_of(body)
    assert signature_of(body).names == ("a",)


def test_a_method_is_known_by_the_function_it_binds() -> None:
    class Shop:
        def stock(self, items: int = 0) -> None: ...

    assert signature_of(Shop().stock) is signature_of(Shop().stock)
    assert signature_of(Shop.stock).names == ("self", "items")
    assert signature_of(Shop().stock).names == ("items",)
    odd = MethodType(functools.partial(sync_body), 1)
    assert signature_of(odd).names == ()


@pytest.mark.parametrize("kind", ["closure", "default", "partial", "object", "positional-only default", "wrapped"])
def test_the_cache_keeps_nobody_alive(kind: str) -> None:
    class Owner:
        def __call__(self, a: int) -> None: ...

    def make(owner: Any) -> Callable[..., Any]:
        def closure(a: int) -> object:
            return owner

        def default(a: int, b: object = owner) -> None: ...
        def slash(b: object = owner, /) -> None: ...

        return {
            "closure": closure,
            "default": default,
            "partial": functools.partial(sync_body, owner),
            "object": owner,
            "positional-only default": slash,
            "wrapped": logged(closure),
        }[kind]

    owner = Owner()
    fn = make(owner)
    owner.step = fn  # as whoever declares a step may keep it  # type: ignore[attr-defined]
    signature_of(fn)
    gone = weakref.ref(owner)
    del owner, fn
    gc.collect()
    assert gone() is None


def test_facts_are_forgotten_with_what_they_are_about() -> None:
    class Thing: ...

    known: ByIdentity[str] = ByIdentity()
    thing, other = Thing(), Thing()
    assert known.keep(thing, "first") == "first"
    known.keep(thing, "second")
    known.keep(other, "other")
    assert sorted(known.facts.values()) == ["other", "second"]
    del thing
    gc.collect()
    assert list(known.facts.values()) == ["other"]
    assert known.keep(1000, "of an int, which nobody can watch") == "of an int, which nobody can watch"
    assert list(known.facts.values()) == ["other"]


# ------------------------------------------------------------------------------------------- as many as are asked for


def test_a_wrong_number_of_depends_names_both_counts_and_what_to_do() -> None:
    def body(users: int, ctx: object, orders: int) -> None: ...

    with pytest.raises(DefinitionError) as caught:
        check_count(signature_of(body), 1, "report", "flow.py:7")
    assert str(caught.value) == (
        "step 'report' (flow.py:7): `depends` names 1 step, but its body takes 2 by position ('users', 'orders'): "
        "name one step for each of these parameters, `ctx` not counted"
    )
    assert (caught.value.step, caught.value.place) == ("report", "flow.py:7")
    with pytest.raises(DefinitionError, match="names 3 steps, but its body takes 2 by position"):
        check_count(signature_of(body), 3, "report", "flow.py:7")
    check_count(signature_of(body), 2, "report", "flow.py:7")


@pytest.mark.parametrize(
    ("source", "count", "said"),
    [
        ("lambda: 0", 1, "takes 0 by position:"),
        ("lambda a, b=1: 0", 3, "takes 1 to 2 by position"),
        ("lambda a, *rest: 0", 0, "takes at least 1 by position"),
        ("lambda *, a, b=1: 0", 1, "keyword-only 'a'"),
        ("lambda *, a, b=1: 0", 0, "keyword-only 'a'"),
        ("lambda *, b=1: 0", 1, "takes 0 by position:"),
    ],
)
def test_the_count_is_said_as_the_parameters_have_it(source: str, count: int, said: str) -> None:
    with pytest.raises(DefinitionError) as caught:
        check_count(signature_of(eval(source)), count, "s", "f.py:1")
    assert said in str(caught.value)


# ------------------------------------------------------------------------------------------------- against Python's own


@attrs.frozen
class Drawn:
    """A function that returns what its parameters were given, and its parameters as Python sees them."""

    fn: Callable[..., dict[str, object]]
    parameters: list[Parameter]

    @property
    def rest(self) -> Parameter | None:
        return next((p for p in self.parameters if p.kind is Parameter.VAR_POSITIONAL), None)

    @property
    def takers(self) -> list[Parameter]:
        return [p for p in self.parameters if p.name != "ctx" and p is not self.rest]

    @property
    def without_ctx(self) -> inspect.Signature:
        return inspect.Signature([p for p in self.parameters if p.name != "ctx"])


def defined(parameters: list[Parameter]) -> Callable[..., dict[str, object]]:
    """A real function with these parameters, defined by source text."""
    signature = inspect.Signature(parameters)
    source = f"def body{signature}: return dict(locals())"
    scope: dict[str, Any] = {}
    exec(source, scope)
    fn: Callable[..., dict[str, object]] = scope["body"]
    return fn


@st.composite
def functions(draw: st.DrawFn) -> Drawn:
    """Up to seven parameters of all kinds, `ctx` among them anywhere or not at all, defaults wherever Python allows them."""
    kinds = [Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD, Parameter.KEYWORD_ONLY]
    drawn = sorted(draw(st.lists(st.sampled_from(kinds), max_size=7)))
    at = draw(st.none() | st.integers(0, len(drawn) - 1)) if drawn else None
    n_positional = sum(kind is not Parameter.KEYWORD_ONLY for kind in drawn)
    first_default = draw(st.integers(0, n_positional))
    parameters = []
    for i, kind in enumerate(drawn):
        has_default = draw(st.booleans()) if kind is Parameter.KEYWORD_ONLY else i >= first_default
        name = "ctx" if i == at else f"p{i}"
        parameters.append(Parameter(name, kind, default=f"default of {name}" if has_default else Parameter.empty))
    if draw(st.booleans()):
        parameters.insert(n_positional, Parameter("rest", Parameter.VAR_POSITIONAL))
    return Drawn(defined(parameters), parameters)


def expected(drawn: Drawn, given: dict[str, object], rest: tuple[object, ...]) -> dict[str, object]:
    """What the function must see: the values, the context, and defaults for the others."""
    seen: dict[str, object] = {p.name: p.default for p in drawn.takers} | given
    if any(p.name == "ctx" for p in drawn.parameters):
        seen["ctx"] = "the context"
    if drawn.rest is not None:
        seen["rest"] = rest
    return seen


def seen_by(drawn: Drawn, args: tuple[object, ...], keywords: dict[str, object]) -> dict[str, object]:
    """What the call gives each parameter, as `inspect.Signature.bind` has it; the call itself must agree."""
    bound = inspect.signature(drawn.fn).bind(*args, **keywords)
    bound.apply_defaults()
    assert drawn.fn(*args, **keywords) == dict(bound.arguments)
    return dict(bound.arguments)


@given(functions(), st.data())
@settings(deadline=None, max_examples=300)
def test_values_by_position_reach_their_parameters(drawn: Drawn, data: st.DataObject) -> None:
    signature = signature_of(drawn.fn)
    if signature.unreachable:
        return
    n = data.draw(st.integers(signature.least, min(signature.most, signature.least + 9)))
    values = tuple(f"value {i}" for i in range(n))
    positional = [p.name for p in drawn.takers if p.kind is not Parameter.KEYWORD_ONLY]
    args, keywords = arranged(signature, None, list(values), "the context")
    want = expected(drawn, dict(zip(positional, values, strict=False)), values[len(positional) :])
    assert seen_by(drawn, args, keywords) == want
    if signature.plain:
        assert (args, keywords) == (values, {})


@given(functions(), st.data())
@settings(deadline=None, max_examples=300)
def test_values_by_name_reach_their_parameters_whichever_are_left_out(drawn: Drawn, data: st.DataObject) -> None:
    signature = signature_of(drawn.fn)
    names = tuple(n for n in signature.names if n not in signature.optional or data.draw(st.booleans()))
    values = tuple(f"value of {n}" for n in names)
    args, keywords = arranged(signature, names, values, "the context")
    assert seen_by(drawn, args, keywords) == expected(drawn, dict(zip(names, values, strict=True)), ())


@given(functions(), st.integers(0, 9))
@settings(deadline=None, max_examples=300)
def test_a_count_is_refused_exactly_when_python_would_refuse_the_call(drawn: Drawn, count: int) -> None:
    signature = signature_of(drawn.fn)
    try:
        drawn.without_ctx.bind(*range(count))
        fits = True
    except TypeError:
        fits = False
    try:
        check_count(signature, count, "s", "f.py:1")
        accepted = True
    except DefinitionError:
        accepted = False
    assert accepted == fits


@given(functions())
@settings(deadline=None)
def test_the_facts_agree_with_inspect(drawn: Drawn) -> None:
    signature: Signature = signature_of(drawn.fn)
    assert signature.names == tuple(p.name for p in drawn.takers)
    assert signature.optional == {p.name for p in drawn.takers if p.default is not Parameter.empty}
    assert signature.keyword == {p.name for p in drawn.takers if p.kind is Parameter.KEYWORD_ONLY}
    assert set(signature.unreachable) == signature.keyword - signature.optional
    named = [p.name for p in drawn.parameters if p is not drawn.rest]
    assert signature.ctx == (named.index("ctx") if "ctx" in named else None)
