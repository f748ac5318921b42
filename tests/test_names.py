"""Which step a name means, told as stories: real functions whose steps are declared by a decorator that only takes notes."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trioflow._errors import DefinitionError
from trioflow._names import Scope, Site, parameters_of, place_of
from trioflow._signature import signature_of


@attrs.define(eq=False)
class Step:
    """A declaration, and the scope that it was made in."""

    name: str
    fn: Callable[..., Any]
    at: int
    site: Site
    scope: Scope

    def __repr__(self) -> str:
        return f"<{self.name} #{self.at}>"

    @property
    def place(self) -> str:
        return place_of(self.site)

    @property
    def needs(self) -> dict[str, Step]:
        """What its parameters mean, asked now."""
        return parameters_of(signature_of(self.fn), self.scope, self)


@attrs.define
class Flow:
    """What `step` is to a workflow; it knows in whose scope declarations are made."""

    scope: Scope = attrs.field(factory=Scope)
    n: int = 0

    def do(self, name: str | None = None) -> Callable[[Callable[..., Any]], Step]:
        def declare(fn: Callable[..., Any]) -> Step:
            frame = sys._getframe(1)
            self.n += 1
            step = Step(name or fn.__name__, fn, self.n, (frame.f_code, frame.f_lasti), self.scope)
            self.scope.add(step)
            return step

        return declare

    @contextmanager
    def inside(self, scope: Scope) -> Iterator[Scope]:
        outside, self.scope = self.scope, scope
        try:
            yield scope
        finally:
            self.scope = outside

    @contextmanager
    def body(self, step: Step) -> Iterator[Scope]:
        with self.inside(Scope(step.scope)) as scope:
            yield scope

    @contextmanager
    def task(self) -> Iterator[Scope]:
        with self.inside(Scope(self.scope, self.scope.owner)) as scope:
            yield scope


@pytest.fixture
def step() -> Flow:
    return Flow()


def refused(ask: Callable[[], object], asker: Step, *places: str) -> str:
    """It can't be told: the error shows these places, its own too, and says what to do."""
    with pytest.raises(DefinitionError) as caught:
        ask()
    message = str(caught.value)
    assert (caught.value.step, caught.value.place) == (asker.name, asker.place)
    assert repr(asker.name) in message
    for place in (asker.place, *places):
        assert place in message
    assert "depends=[…]" in message
    return message


# -------------------------------------------------------------------------------------------------- straight down


def test_a_name_is_a_step_s_or_its_function_s(step: Flow) -> None:
    @step.do("fetch users")
    def users() -> None: ...

    @step.do("orders")
    def fetch_orders() -> None: ...

    @step.do()
    def report(users: Any, orders: Any, fetch_orders: Any) -> None: ...

    assert report.needs == {"users": users, "orders": fetch_orders, "fetch_orders": fetch_orders}


def test_step_names_come_before_function_names(step: Flow) -> None:
    @step.do("users")
    def old_way() -> None: ...

    @step.do("new way")
    def users() -> None: ...

    @step.do()
    def report(users: Any) -> None: ...

    assert report.needs == {"users": old_way}


def test_a_step_may_stand_further_down(step: Flow) -> None:
    @step.do()
    def report(users: Any) -> None: ...

    @step.do()
    def users() -> None: ...

    assert report.needs == {"users": users}


def test_declared_twice_the_latest_above_is_meant(step: Flow) -> None:
    @step.do("a")
    def first() -> None: ...

    @step.do("b")
    def after_first(a: Any) -> None: ...

    @step.do("a")
    def second() -> None: ...

    @step.do("c")
    def after_second(a: Any) -> None: ...

    assert after_first.needs == {"a": first}
    assert after_second.needs == {"a": second}


def test_declared_twice_below_the_nearest_is_meant(step: Flow) -> None:
    @step.do()
    def b(a: Any) -> None: ...

    @step.do("a")
    def first() -> None: ...

    @step.do("a")
    def second() -> None: ...

    assert b.needs == {"a": first}
    assert second.at > first.at


def test_keyword_only_parameters_are_names_too(step: Flow) -> None:
    @step.do()
    def a() -> None: ...

    @step.do()
    def b() -> None: ...

    @step.do()
    def c(ctx: Any, b: Any, *rest: Any, a: Any) -> None: ...

    assert list(c.needs.items()) == [("b", b), ("a", a)]


# ------------------------------------------------------------------------------------------------------------- loops


def test_in_a_loop_its_own_iteration_s_is_meant_awaited_at_once_or_later(step: Flow) -> None:
    pairs = []
    for _ in range(3):

        @step.do("a")
        def a() -> None: ...

        @step.do("b")
        def b(a: Any) -> None: ...

        assert b.needs == {"a": a}
        pairs.append((a, b))
    for a, b in pairs:
        assert b.needs == {"a": a}


def test_in_a_loop_computed_names_share_a_function_name(step: Flow) -> None:
    pairs = []
    for i in range(3):

        @step.do(f"load {i}")
        def load() -> None: ...

        @step.do(f"store {i}")
        def store(load: Any) -> None: ...

        pairs.append((load, store))
    for load, store in pairs:
        assert store.needs == {"load": load}


def test_in_a_loop_one_further_down_is_its_own_iteration_s_when_collected(step: Flow) -> None:
    pairs = []
    for _ in range(3):

        @step.do("b")
        def b(a: Any) -> None: ...

        @step.do("a")
        def a() -> None: ...

        assert b.needs == {"a": a}
        pairs.append((a, b))
    for a, b in pairs:
        assert b.needs == {"a": a}


def test_in_a_loop_one_further_down_that_is_not_reached_yet_is_not_an_earlier_iteration_s(step: Flow) -> None:
    declared: list[Step] = []
    for i in range(3):

        @step.do("b")
        def b(a: Any) -> None: ...

        if i == 0:
            with pytest.raises(DefinitionError, match="no step is called that"):
                _ = b.needs
        else:
            refused(lambda b=b: b.needs, b, declared[0].place)

        @step.do("a")
        def a() -> None: ...

        declared.append(a)


def test_in_a_loop_a_single_one_further_down_is_taken_by_a_step_that_was_not_declared_before(step: Flow) -> None:
    a = None
    for _ in range(2):
        if a is not None:

            @step.do("b")
            def b(a: Any) -> None: ...

            assert b.needs == {"a": a}
            break

        @step.do("a")
        def a() -> None: ...


def test_in_a_loop_a_single_one_further_down_is_taken_by_the_iteration_that_declares_it(step: Flow) -> None:
    for i in range(3):

        @step.do("b")
        def b(a: Any) -> None: ...

        if i == 2:

            @step.do("a")
            def a() -> None: ...

    assert b.needs == {"a": a}


def test_in_a_loop_a_single_one_of_another_function_is_taken_although_that_stands_below(step: Flow) -> None:
    dependents = []

    def declare_both() -> None:
        for i in range(3):

            @step.do("b")
            def b(a: Any) -> None: ...

            dependents.append(b)
            if i == 0:
                declare_a()

    def declare_a() -> None:
        step.do("a")(lambda: None)

    declare_both()
    assert [b.needs["a"].name for b in dependents] == ["a", "a", "a"]


def test_an_iteration_that_skips_a_declaration_above_leaves_the_previous_one_in_force(step: Flow) -> None:
    meant, pairs = None, []
    for i in range(5):
        if i in (0, 2):

            @step.do("a")
            def a() -> None: ...

            meant = a

        @step.do("b")
        def b(a: Any) -> None: ...

        pairs.append((meant, b))
        assert b.needs == {"a": meant}
    for meant, b in pairs:
        assert b.needs == {"a": meant}


def test_what_the_loop_body_redeclares_below_is_in_force_in_the_next_iteration(step: Flow) -> None:
    """As with any Python name: `page = first(); while ...: handle(page); page = next(page)`."""

    @step.do("first page")
    def page() -> None: ...

    handled, pages = [], [page]
    for i in range(3):

        @step.do(f"handle {i}")
        def handle(page: Any) -> None: ...

        handled.append(handle)

        @step.do(f"page {i}")
        def page(page: Any) -> None: ...

        pages.append(page)
    assert [h.needs["page"] for h in handled] == pages[:-1]
    assert [p.needs["page"] for p in pages[1:]] == pages[:-1]


def test_one_above_that_only_later_iterations_declare_is_not_meant_but_its_own_iteration_s_below_is(step: Flow) -> None:
    dependents, below = [], []
    for i in range(3):
        if i == 2:

            @step.do("a")
            def a() -> None: ...

        @step.do("b")
        def b(a: Any) -> None: ...

        dependents.append(b)

        @step.do("a")
        def a() -> None: ...

        below.append(a)
    assert [b.needs["a"] for b in dependents[:2]] == below[:2]


def test_one_that_only_later_iterations_declare_can_not_be_told(step: Flow) -> None:
    dependents = []
    for i in range(4):
        if i >= 2:

            @step.do("a")
            def a() -> None: ...

        @step.do("b")
        def b(a: Any) -> None: ...

        dependents.append(b)
    refused(lambda: dependents[0].needs, dependents[0], a.place)
    assert dependents[3].needs == {"a": a}


def test_a_single_one_that_only_a_later_iteration_declares_is_taken(step: Flow) -> None:
    """There is but one step that the name could mean, wherever it stands."""

    def declare(what: str) -> Step:
        if what == "a":

            @step.do()
            def a() -> None: ...

            return a

        @step.do()
        def b(a: Any) -> None: ...

        return b

    b = declare("b")
    a = declare("a")
    assert b.needs == {"a": a}


def test_a_loop_of_a_thousand_stays_one_place_and_is_told_apart(step: Flow) -> None:
    """The interpreter rewrites hot code; a place stays what it is."""
    pairs = []
    for _ in range(1000):

        @step.do("b")
        def b(a: Any, c: Any) -> None: ...

        @step.do("a")
        def a() -> None: ...

        @step.do("c")
        def c() -> None: ...

        pairs.append((a, b, c))
    assert len({b.site for _, b, _ in pairs}) == 1
    for a, b, c in pairs:
        assert b.needs == {"a": a, "c": c}


def test_a_handler_stands_above_what_follows_it(step: Flow) -> None:
    """Python compiles handlers to the end of the code: only the source says that this one comes before."""
    pairs = []
    for i in range(3):
        try:
            if i != 1:
                raise LookupError

            @step.do("a")
            def a() -> None: ...

        except LookupError:

            @step.do("a")
            def a() -> None: ...

        @step.do("b")
        def b(a: Any) -> None: ...

        assert b.needs == {"a": a}
        pairs.append((a, b))
    for a, b in pairs:
        assert b.needs == {"a": a}


def test_a_finally_is_one_place_although_python_compiles_it_twice(step: Flow) -> None:
    pairs = []

    def iteration(fails: bool) -> None:
        try:
            if fails:
                raise LookupError
        finally:

            @step.do("b")
            def b(a: Any) -> None: ...

            @step.do("a")
            def a() -> None: ...

            pairs.append((a, b))

    for fails in (False, True, False, True):
        with suppress(LookupError):
            iteration(fails)
    assert len({b.site for _, b in pairs}) == 2
    for a, b in pairs:
        assert b.needs == {"a": a}


def test_two_on_one_line_are_two_places(step: Flow) -> None:
    pairs = []
    for _ in range(2):
        b, a = step.do("b")(lambda a: None), step.do("a")(lambda: None)
        pairs.append((a, b))
    for a, b in pairs:
        assert b.needs == {"a": a}


# ------------------------------------------------------------------------------------------- named like a parameter


def test_a_step_named_like_its_parameter_means_the_one_above(step: Flow) -> None:
    @step.do("fetch users")
    def users() -> None: ...

    @step.do("clean users")
    def clean(users: Any) -> None: ...

    fetched = users

    @step.do("count users")
    def users(users: Any) -> None: ...

    assert clean.needs == {"users": fetched}
    assert users.needs == {"users": fetched}


def test_a_loop_that_accumulates_means_the_iteration_before(step: Flow) -> None:
    @step.do("total")
    def total() -> int:
        return 0

    totals = [total]
    for _ in range(4):

        @step.do("total")
        def total(total: int) -> int:
            return total + 1

        assert total.needs == {"total": totals[-1]}
        totals.append(total)
    assert [t.needs["total"] for t in totals[1:]] == totals[:-1]


def test_an_accumulator_may_begin_with_its_default(step: Flow) -> None:
    totals = []
    for _ in range(3):

        @step.do()
        def total(total: int = 0) -> int:
            return total + 1

        totals.append(total)
    assert [t.needs for t in totals] == [{}, {"total": totals[0]}, {"total": totals[1]}]


def test_a_step_that_only_itself_is_named_like_its_parameter_means_itself_a_cycle(step: Flow) -> None:
    @step.do()
    def a(a: Any) -> None: ...

    assert a.needs == {"a": a}


def test_with_a_default_it_keeps_the_default(step: Flow) -> None:
    for node in "xyz":

        @step.do(f"run {node}")
        def run_node(node: str = node) -> None: ...

        assert run_node.needs == {}

    @step.do()
    def node(node: str = "self") -> None: ...

    assert node.needs == {}


def test_itself_is_no_candidate_beside_a_function_or_an_outer_step_of_that_name(step: Flow) -> None:
    @step.do("load")
    def users() -> None: ...

    @step.do("users")
    def clean(users: Any) -> None: ...

    assert clean.needs == {"users": users}
    with step.body(users):

        @step.do()
        def users(users: Any) -> None: ...

        assert users.needs == {"users": clean}


def test_collected_self_named_iterations_begin_with_the_outer_step(step: Flow) -> None:
    @step.do()
    def state() -> None: ...

    outer = state
    with step.body(outer):
        states = []
        for _ in range(3):

            @step.do()
            def state(state: Any) -> None: ...

            states.append(state)
    assert [s.needs["state"] for s in states] == [outer, *states[:-1]]


# --------------------------------------------------------------------------------------------------- tasks and bodies


def test_of_tasks_that_declare_equal_names_each_means_its_own(step: Flow) -> None:
    pairs = []

    def worker() -> Iterator[None]:
        with step.task() as scope:

            @step.do("a")
            def a() -> None: ...

        yield
        with step.inside(scope):

            @step.do("b")
            def b(a: Any, later: Any) -> None: ...

        yield
        with step.inside(scope):

            @step.do("later")
            def later() -> None: ...

            pairs.append((a, b, later))
        yield

    workers = [worker() for _ in range(3)]
    for _ in range(3):
        for each in workers:
            next(each)
    for a, b, later in pairs:
        assert b.needs == {"a": a, "later": later}


def test_a_task_sees_what_surrounds_it(step: Flow) -> None:
    @step.do()
    def config() -> None: ...

    with step.task(), step.task():

        @step.do()
        def b(config: Any, declared_below: Any) -> None: ...

    @step.do()
    def declared_below() -> None: ...

    assert b.needs == {"config": config, "declared_below": declared_below}


def test_a_body_s_own_steps_come_before_the_run_s_whatever_kind_of_name(step: Flow) -> None:
    @step.do("part")
    def outer() -> None: ...

    with step.body(outer):

        @step.do("an inner one")
        def part() -> None: ...

        @step.do()
        def b(part: Any, whole: Any) -> None: ...

        @step.do()
        def whole() -> None: ...

    inner = whole

    @step.do()
    def whole() -> None: ...

    @step.do()
    def c(part: Any, whole: Any) -> None: ...

    assert b.needs == {"part": part, "whole": inner}
    assert c.needs == {"part": outer, "whole": whole}


def test_ten_thousand_nested_scopes_need_no_recursion(step: Flow) -> None:
    @step.do()
    def a() -> None: ...

    for _ in range(10_000):
        step.scope = Scope(step.scope)

    @step.do()
    def b(a: Any) -> None: ...

    assert b.needs == {"a": a}


# -------------------------------------------------------------------------------------------- where places say nothing


def test_from_another_function_the_latest_before_is_meant_else_the_first_after(step: Flow) -> None:
    def helper() -> Step:
        @step.do("a")
        def a() -> None: ...

        return a

    @step.do()
    def early(a: Any) -> None: ...

    first = helper()
    assert early.needs == {"a": first}
    second = helper()
    assert early.needs == {"a": first}

    @step.do()
    def late(a: Any) -> None: ...

    assert late.needs == {"a": second}
    helper()
    refused(lambda: late.needs, late, second.place)


def test_what_the_same_code_declares_comes_before_what_another_function_does(step: Flow) -> None:
    @step.do()
    def a() -> None: ...

    def helper() -> None:
        @step.do("a")
        def other() -> None: ...

    helper()

    @step.do()
    def b(a: Any) -> None: ...

    helper()
    assert b.needs == {"a": a}


def test_a_wrapper_declares_everything_in_one_place(step: Flow) -> None:
    def logged_step(fn: Callable[..., Any]) -> Step:
        return step.do()(functools.wraps(fn)(lambda *args: fn(*args)))

    made = []
    for _ in range(3):

        @logged_step
        def a() -> None: ...

        @logged_step
        def b(a: Any) -> None: ...

        assert b.needs == {"a": a}
        made.append((a, b))
    a, b = made[2]
    assert b.needs == {"a": a}
    for a, b in made[:2]:
        refused(lambda b=b: b.needs, b, a.place)


def test_a_wrapper_s_step_and_one_below_in_the_same_code_can_not_be_told_apart(step: Flow) -> None:
    def a() -> None: ...
    def b(a: Any) -> None: ...

    declared = []
    for fn in (a, b):
        declared.append(step.do()(fn))  # not a comprehension, which Python 3.11 makes a code of its own

    @step.do("a")
    def below() -> None: ...

    refused(lambda: declared[1].needs, declared[1], declared[0].place, below.place)


def test_what_can_not_be_told_shows_at_most_five_places(step: Flow) -> None:
    namespace: dict[str, Any] = {"step": step}
    declare = "def declare_{0}(): return step.do('a')(lambda: None)\n"
    exec(compile("".join(declare.format(i) for i in range(8)), "declares.py", "exec"), namespace)
    for i in range(4):
        namespace[f"declare_{i}"]()

    @step.do()
    def b(a: Any) -> None: ...

    for i in range(4, 8):
        namespace[f"declare_{i}"]()
    message = refused(lambda: b.needs, b, *(f"declares.py:{line}" for line in range(1, 6)))
    assert "declares.py:6" not in message
    assert "and 3 more" in message


# -------------------------------------------------------------------------------------------------- unknown and default


def test_an_unknown_parameter_is_told_with_the_nearest_name(step: Flow) -> None:
    @step.do("fetch users")
    def fetch_users() -> None: ...

    with step.task():

        @step.do()
        def report(fetch_user: Any) -> None: ...

    with pytest.raises(DefinitionError) as caught:
        _ = report.needs
    assert str(caught.value) == (
        f"step 'report' ({report.place}) has a parameter 'fetch_user', but no step is called that: "
        "did you mean 'fetch_users'?"
    )
    assert (caught.value.step, caught.value.place) == ("report", report.place)


def test_where_nothing_is_near_some_known_names_are_told(step: Flow) -> None:
    for i in range(3):
        step.do(f"step {i}")(lambda: None)

    @step.do("report")
    def make(zzz: Any) -> None: ...

    with pytest.raises(DefinitionError, match=r"there are 'step 0', 'step 1', 'step 2', '<lambda>'$"):
        _ = make.needs
    for i in range(3, 9):
        step.do(f"step {i}")(lambda: None)
    with pytest.raises(DefinitionError, match=r"there are 'step 0', .* 'step 4' and others$"):
        _ = make.needs


def test_its_own_name_is_no_suggestion(step: Flow) -> None:
    @step.do("report2")
    def report1(report: Any) -> None: ...

    with pytest.raises(DefinitionError, match="there is no other step"):
        _ = report1.needs


def test_a_default_whose_name_is_no_step_stays_a_default(step: Flow) -> None:
    @step.do()
    def a() -> None: ...

    @step.do()
    def b(limit: int = 3, a: Any = None, *, page: int = 0) -> None: ...

    assert b.needs == {"a": a}


def test_names_known_come_from_the_innermost_scope_outwards(step: Flow) -> None:
    @step.do("outer")
    def out() -> None: ...

    with step.task() as scope:

        @step.do("inner")
        def inner() -> None: ...

        step.do("partial")(functools.partial(print))
    assert list(scope.known()) == ["inner", "partial", "outer", "out"]
    assert scope.known() == {"inner", "partial", "outer", "out"}
    assert inner.at > out.at


# ------------------------------------------------------------------------------------------------------------- places


def test_a_place_is_the_line_of_the_decorator(step: Flow) -> None:
    line = sys._getframe().f_lineno + 1

    @step.do(
        "a",
    )
    def a() -> None: ...

    assert a.place == f"{__file__}:{line + 1}"


def test_code_that_tells_no_lines_still_has_a_place(step: Flow) -> None:
    def declare() -> list[Step]:
        return [step.do("b")(lambda a: None), step.do("a")(lambda: None)]

    first_line = declare.__code__.co_firstlineno
    declare.__code__ = declare.__code__.replace(co_linetable=b"")
    b, a = declare()
    assert a.place == b.place == f"{__file__}:{first_line}"
    assert b.needs == {"a": a}
    b, after = declare()
    refused(lambda: b.needs, b, a.place)
    assert after.needs == {}


# --------------------------------------------------------------------------------------- the rule, read word by word


def _lines(filename: str) -> list[Site]:
    """Eight places in a code of their own, in order."""
    code = compile("f()\n" * 8, filename, "exec")
    first: dict[int, int] = {}
    for offset, (line, *_) in enumerate(code.co_positions()):
        if line:
            first.setdefault(line, offset * 2)
    return [(code, first[line]) for line in range(1, 9)]


#: The same text in two files: code objects that are equal and still two.
CODES = [_lines("one.py"), _lines("other.py")]


def same_place(one: Step, other: Step) -> bool:
    return one.site[0] is other.site[0] and one.site[1] == other.site[1]


def _line(step: Step) -> int:
    return next(sites.index(step.site) for sites in CODES if step.site in sites)


def _fn(name: str) -> Callable[[], None]:
    def fn() -> None: ...

    fn.__name__ = name
    return fn


@st.composite
def declarations(draw: st.DrawFn) -> list[Step]:
    """Up to sixteen steps, in order, in two codes and three scopes one inside the other."""
    outer = Scope()
    middle = Scope(outer, outer.owner)
    scopes = [outer, middle, Scope(middle)]
    places = draw(st.integers(1, 4))
    codes = CODES[: draw(st.integers(1, 2))]
    scopes = scopes[: draw(st.integers(1, 3))]
    names = st.sampled_from("abcd"[: draw(st.integers(2, 4))])
    steps = []
    for at in range(draw(st.integers(1, 16))):
        site = draw(st.sampled_from(codes))[draw(st.integers(0, places - 1))]
        step = Step(draw(names), _fn(draw(names)), at, site, draw(st.sampled_from(scopes)))
        step.scope.add(step)
        steps.append(step)
    return steps


UNCLEAR = "unclear"


def read(name: str, asker: Step, steps: list[Step]) -> Step | str | None:
    """What P4 says, without an index or a search."""
    own = name in (asker.name, asker.fn.__name__)
    scope: Scope | None = asker.scope
    while scope is not None:
        inside = [s for s in steps if s.scope is scope]
        for bearers in ([s for s in inside if s.name == name], [s for s in inside if s.fn.__name__ == name]):
            candidates = [s for s in bearers if not (own and same_place(s, asker) and s.at >= asker.at)]
            if candidates:
                return read_candidates(asker, candidates, own, [s for s in steps if s.scope is asker.scope])
        scope = scope.parent
    return asker if own else None


def read_candidates(asker: Step, candidates: list[Step], own: bool, around: list[Step]) -> Step | str:
    here = [s for s in candidates if s.site[0] is asker.site[0]]
    above = [s for s in here if _line(s) < _line(asker) or (own and _line(s) == _line(asker))]
    below = [s for s in here if _line(s) > _line(asker)]
    level = [s for s in here if s not in above and s not in below]
    if len(candidates) == 1:
        (single,) = candidates
        declared_before = any(same_place(s, asker) and s.at < asker.at for s in around)
        return UNCLEAR if single in below and single.at < asker.at and declared_before else single
    if any(s.at < asker.at for s in above):
        return [s for s in here if s.at < asker.at][-1]
    if (above or below) and not level:
        return next((s for s in below if s.at > asker.at), UNCLEAR)
    before = [s for s in candidates if s.at < asker.at]
    after = [s for s in candidates if s.at > asker.at]
    if before and after:
        return UNCLEAR
    return before[-1] if before else after[0]


def answer(name: str, asker: Step) -> Step | str | None:
    try:
        return asker.scope.find(name, asker)
    except DefinitionError:
        return UNCLEAR


@given(declarations(), st.data())
@settings(deadline=None, max_examples=1000)
def test_find_gives_what_the_rule_says(steps: list[Step], data: st.DataObject) -> None:
    asker = data.draw(st.sampled_from(steps))
    name = data.draw(st.sampled_from("abcd"))
    expected = read(name, asker, steps)
    assert answer(name, asker) is expected


@given(declarations())
@settings(deadline=None)
def test_asking_early_does_not_change_later_answers(steps: list[Step]) -> None:
    """Indexes catch up: declared with questions in between, or asked only at the end."""
    declared: list[Step] = []
    fresh = {scope: Scope() for scope in (s.scope for s in steps)}
    for s in steps:
        s.scope = fresh[s.scope]
        s.scope.add(s)
        declared.append(s)
        for asker in declared:
            assert answer("a", asker) is read("a", asker, declared)


# ------------------------------------------------------------------------------------------- occurrences and attempts


def test_occurrences_are_counted_by_the_body_for_its_tasks_too(step: Flow) -> None:
    @step.do("x")
    def x() -> None: ...

    outer = x
    assert outer.scope.occurrence(outer) == 1
    with step.body(outer) as body:

        @step.do("x")
        def x() -> None: ...

        first = x
        assert body.occurrence(first) == 1  # asked before a task has a scope of its own
        with step.task() as task, step.task() as below:

            @step.do("x")
            def x() -> None: ...

            second = x

        @step.do("x")
        def x() -> None: ...

    assert body.owner is task.owner is below.owner is body
    assert step.scope.owner is step.scope
    assert [s.scope.occurrence(s) for s in (outer, first, second, x)] == [1, 1, 2, 3]


def test_what_a_body_declares_again_at_the_same_path_is_known_from_before(step: Flow) -> None:
    @step.do()
    def outer() -> None: ...

    with step.body(outer) as body:
        attempt = [step.do(name)(lambda: None) for name in ("a", "b", "a")]
        assert body.earlier("a") is None
    body.begin_again()
    assert body.cells == []
    assert body.known() == {"outer"}
    with step.inside(body):
        assert body.earlier("a") is attempt[0]
        body.add(attempt[0])
        assert body.earlier("a") is attempt[2]
        with step.task() as task:
            assert task.earlier("b") is attempt[1]
            task.add(attempt[1])
            assert task.earlier("b") is None
            assert task.earlier("a") is attempt[2]
            assert task.earlier("c") is None
    assert [body.occurrence(attempt[i]) for i in (0, 1, 2)] == [1, 1, 2]


def test_what_a_shorter_attempt_does_not_get_to_is_still_known_in_the_next(step: Flow) -> None:
    body = step.scope
    first = [step.do("a")(lambda: None) for _ in range(3)]
    body.begin_again()
    replaced = step.do("a")(lambda: None)
    body.begin_again()
    assert body.earlier("a") is replaced
    step.do("a")(lambda: None)
    assert body.earlier("a") is first[1]
    step.do("a")(lambda: None)
    assert body.earlier("a") is first[2]
    assert [body.occurrence(s) for s in (*first, replaced)] == [1, 2, 3, 1]


def test_an_earlier_attempt_s_names_mean_nothing_in_the_next(step: Flow) -> None:
    @step.do("a")
    def old() -> None: ...

    @step.do()
    def outer() -> None: ...

    with step.body(outer) as body:

        @step.do("a")
        def of_first_attempt() -> None: ...

        body.begin_again()

        @step.do()
        def b(a: Any) -> None: ...

        assert b.needs == {"a": old}

        @step.do("a")
        def of_second_attempt() -> None: ...

        assert b.needs == {"a": of_second_attempt}
    assert body.occurrence(of_first_attempt) == 1


def test_a_task_of_an_earlier_attempt_does_not_count_in_the_next(step: Flow) -> None:
    body = step.scope
    with step.task() as left_over:
        step.do("b")(lambda: None)
        body.begin_again()
        straggler = step.do("b")(lambda: None)
    new = step.do("b")(lambda: None)
    assert body.earlier("b") is None
    assert body.occurrence(new) == 1
    assert left_over.occurrence(straggler) == 2


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 3)) | st.none(), max_size=40), st.randoms())
@settings(deadline=None)
def test_occurrences_and_earlier_steps_are_what_counting_by_hand_gives(
    story: list[tuple[str, int] | None], random: Any
) -> None:
    """Declarations by a body (0) and its tasks (1 to 3), attempts in between; asked now and then."""
    body = Scope()
    scopes = [body, *(Scope(body, body) for _ in range(3))]
    now: dict[str, list[Step]] = {}
    before: dict[tuple[str, int], Step] = {}
    numbers: dict[Step, int] = {}
    for at, event in enumerate(story):
        if event is None:
            body.begin_again()
            before |= {(name, n): s for name, steps in now.items() for n, s in enumerate(steps, 1)}
            now = {}
            scopes = [body, *(Scope(body, body) for _ in range(3))]
            continue
        name, which = event
        n = len(now.setdefault(name, [])) + 1
        expected = before.get((name, n))
        if random.random() < 0.7:
            assert scopes[which].earlier(name) is expected
        step = expected if expected is not None and random.random() < 0.5 else Step(name, print, at, CODES[0][0], body)
        step.at, step.scope = at, scopes[which]
        step.scope.add(step)
        now[name].append(step)
        numbers[step] = n
        if random.random() < 0.5:
            asked = random.choice(list(numbers))
            assert asked.scope.occurrence(asked) == numbers[asked]
    for step, n in numbers.items():
        assert step.scope.occurrence(step) == n
