"""`--env` gives a workflow what it finds in `self.env`, or a message that says what to write."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trioflow._bindings import bindings
from trioflow._loading import LoadError
from trioflow.workers import MissingBindingError


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(path: str, text: str) -> str:
    Path(path).parent.mkdir(exist_ok=True)
    Path(path).write_text(text)
    return path


def problem(*texts: str) -> LoadError:
    with pytest.raises(LoadError) as caught:
        bindings(texts)
    return caught.value


@given(st.text().filter(lambda text: "\0" not in text))
def test_a_value_is_a_text_whatever_it_looks_like(value: str) -> None:
    assert value == bindings([f"KEY={value}"]).KEY


@pytest.mark.parametrize(
    ("text", "value"), [("K:=3", 3), ('K:={"a": [1]}', {"a": [1]}), ("K:=null", None), ("K==x", "=x"), ("K=:=1", ":=1")]
)
def test_after_a_colon_and_an_equals_sign_stands_json(text: str, value: object) -> None:
    assert value == bindings([text]).K


def test_what_is_no_json_there_is_said() -> None:
    assert str(problem("SIZES:=[1,")).startswith("--env SIZES: what follows the := is no JSON: ")


def test_the_latest_counts_and_what_nobody_gave_is_missing() -> None:
    write("stand_ins.py", "env = {'KEY': 'file', 'DB': 1}\n")
    env = bindings(["KEY=1", "stand_ins.py", "KEY=2", "OTHER=3"])
    assert (env.KEY, env.DB, env.OTHER) == ("2", 1, "3")
    assert bindings(["KEY=1", "stand_ins.py"]).KEY == "file"
    with pytest.raises(MissingBindingError, match="env has no 'CACHE': it has DB, KEY, OTHER"):
        env.CACHE  # noqa: B018
    with pytest.raises(MissingBindingError, match="nothing was given"):
        bindings([]).CACHE  # noqa: B018


def test_a_file_gives_a_dict_an_object_or_a_class() -> None:
    write(
        "project/fakes.py",
        "import nearby\nimport types\n"
        "class Env:\n    LIMIT = 3\n    def __init__(self): self.store = nearby.Store()\n"
        "env = {'A': 1}\nspace = types.SimpleNamespace(B=2)\n",
    )
    write("project/nearby.py", "class Store:\n    def get(self, key): return key * 2\n")
    assert bindings(["project/fakes.py"]).A == 1
    assert bindings(["project/fakes.py:space"]).B == 2
    env = bindings(["project/fakes.py:Env"])
    assert (env.LIMIT, env.store.get("x")) == (3, "xx")
    del sys.modules["nearby"]


def test_a_file_whose_name_looks_like_an_assignment_is_given_by_its_path() -> None:
    write("a=b.py", "env = {'A': 1}\n")
    assert bindings(["a=b.py"]).a == "b.py"
    assert bindings(["./a=b.py"]).A == 1


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("nofile.py", "--env nofile.py: there is no file 'nofile.py'; write NAME=VALUE for a text"),
        ("KEY", "--env KEY: there is no file 'KEY'; write NAME=VALUE for a text, NAME:=JSON for another value, or"),
        ("1KEY=2", "there is no file '1KEY=2'; write NAME=VALUE"),
        ("=2", "there is no file '=2'"),
        ("", "is a directory"),
        ("fakes.py:other", "--env fakes.py:other: fakes.py has no 'other'"),
        ("fakes.py", "--env fakes.py: fakes.py has no 'env'; say which other name it is with FILE:NAME"),
        ("fakes.py:text", "--env fakes.py:text is str: it has to be a dict, an object"),
        ("fakes.py:make", "--env fakes.py:make is function: it has to be"),
        ("fakes.py:nothing", "--env fakes.py:nothing is NoneType: it has to be"),
        ("fakes.py:Needs", "--env fakes.py:Needs() can't be made: TypeError: "),
        ("broken.py", "broken.py can't be loaded: ZeroDivisionError: division by zero"),
    ],
)
def test_what_gives_no_bindings_is_refused(text: str, words: str) -> None:
    write(
        "fakes.py",
        "text = 'x'\nnothing = None\ndef make(): ...\nclass Needs:\n    def __init__(self, url): ...\n",
    )
    write("broken.py", "1 / 0\n")
    assert words in str(problem(text))


def test_what_the_users_code_raised_is_the_cause() -> None:
    write("fakes.py", "class env:\n    def __init__(self): 1 / 0\n")
    assert type(problem("fakes.py").__cause__) is ZeroDivisionError
