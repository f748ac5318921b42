"""Errors: flat, with built-in parents, and they survive travel."""

from __future__ import annotations

import copy
import inspect
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

import trioflow
from trioflow import (
    AsyncioError,
    ConfigError,
    CycleError,
    DeadlockError,
    DefinitionError,
    NonRetryableError,
    RunClosedError,
    TrioflowError,
    WorkflowTimeoutError,
)

#: Each with the parent that somebody who has never heard of us would catch.
LEAVES: dict[type[TrioflowError], type[Exception]] = {
    DefinitionError: TypeError,
    ConfigError: ValueError,
    CycleError: ValueError,
    DeadlockError: RuntimeError,
    RunClosedError: RuntimeError,
    NonRetryableError: Exception,
    AsyncioError: NotImplementedError,
    WorkflowTimeoutError: TimeoutError,
}

names = st.text(max_size=5)
texts = st.none() | names

#: One of each with its facts.
errors = st.one_of(
    st.builds(DefinitionError, names, step=texts, place=texts),
    st.builds(ConfigError, names),
    st.builds(
        CycleError,
        names,
        steps=st.lists(names, max_size=3).map(tuple),
        places=st.lists(names, max_size=3).map(tuple),
    ),
    st.builds(DeadlockError, names, steps=st.lists(names, max_size=3).map(tuple)),
    st.builds(RunClosedError, names, step=texts),
    st.builds(AsyncioError, names),
    st.builds(NonRetryableError, names),
    st.builds(WorkflowTimeoutError, names, step=texts, seconds=st.none() | st.floats(0, 1e9)),
)


def test_every_error_is_listed_here() -> None:
    found = {c for c in vars(trioflow).values() if inspect.isclass(c) and issubclass(c, TrioflowError)}
    assert found == {TrioflowError, *LEAVES}


@pytest.mark.parametrize(("leaf", "parent"), LEAVES.items())
def test_one_base_and_no_tree(leaf: type[TrioflowError], parent: type[Exception]) -> None:
    base = NonRetryableError if leaf is AsyncioError else TrioflowError  # another attempt would end the same way
    assert leaf.__bases__ == ((base,) if parent is Exception else (base, parent))


@pytest.mark.parametrize("leaf", LEAVES)
def test_its_facts_may_be_left_out_and_are_keywords(leaf: type[TrioflowError]) -> None:
    error = leaf("what happened")
    assert str(error) == "what happened"
    assert error.args == ("what happened",)
    for name, fact in vars(error).items():
        assert fact in (None, ())
        assert inspect.signature(leaf).parameters[name].kind is inspect.Parameter.KEYWORD_ONLY


@given(errors, st.sampled_from([copy.copy, copy.deepcopy, lambda e: pickle.loads(pickle.dumps(e))]))
def test_a_copy_has_the_message_and_all_the_facts(error: TrioflowError, copied: object) -> None:
    error.add_note("and that isn't all")
    again = copied(error)  # type: ignore[operator]
    assert again is not error
    assert type(again) is type(error)
    assert again.args == error.args
    assert vars(again) == vars(error)
    assert again.__notes__ == ["and that isn't all"]


def test_a_users_own_subclass_travels_too() -> None:
    again = pickle.loads(pickle.dumps(Rejected("no such account", 7)))
    assert (type(again), again.args, again.account) == (Rejected, ("no such account", 7), 7)


class Rejected(NonRetryableError):
    def __init__(self, message: str, account: int) -> None:
        super().__init__(message, account)
        self.account = account


@pytest.mark.parametrize("leaf", LEAVES)
def test_it_can_be_found_where_it_says_it_is(leaf: type[TrioflowError]) -> None:
    assert leaf.__module__ == "trioflow"
    assert getattr(trioflow, leaf.__qualname__) is leaf
    assert leaf.__doc__
    assert len(leaf.__doc__.split()) > 8, "the docstring should say what to do"
