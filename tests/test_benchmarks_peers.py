"""The peers of the benchmarks: each gives the right values, and one that can't is a row that says why. Nothing is timed."""

from __future__ import annotations

import importlib
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from benchmarks import bodies, graphs, peers
from benchmarks._measure import CannotError, WrongValueError, measure
from benchmarks.peers import _serve, _worker
from benchmarks.peers._peer import Build, Peer, Within, named
from benchmarks.peers._worker import Worker

ROOT = Path(__file__).parent.parent
WORKERS = peers.all_workers()
#: They start a database or a server.
SLOW = ("Dask distributed", "DBOS sync", "DBOS async", "Luigi", "redun", "Prefect")


@pytest.fixture(autouse=True)
def nothing_left_running() -> Iterator[None]:
    yield
    peers.close()
    assert _worker._open == []


@pytest.mark.parametrize(
    "worker", [pytest.param(w, id=w.peer.name, marks=[pytest.mark.slow] * (w.peer.name in SLOW)) for w in WORKERS]
)
def test_every_peer_that_is_installed_gives_the_right_values(worker: Worker) -> None:
    if worker.peer.version is None:
        pytest.skip(f"not installed: {worker.peer.install}")
    for shape in peers.SHAPES if worker.peer.name not in SLOW else ("layered",):
        answer = worker.ask("peer", shape, 24)
        assert answer["running"] > 0
        assert answer["building"] >= 0
        assert worker.ask("hand", shape, 24)["running"] > 0


@pytest.mark.parametrize("peer", [worker.peer for worker in WORKERS], ids=lambda peer: peer.name)
def test_every_peer_says_how_it_is_driven_and_how_it_is_installed(peer: Peer) -> None:
    assert peer.how
    assert peer.install.startswith("pip install ")
    assert peer.clock == "wall" or peer.name not in SLOW
    assert peer.steps >= 50


def test_rows_say_where_time_is_wall_time_and_graphs_are_small() -> None:
    assert peers._label(made(in_order, here=True), 1000) == "made"
    assert peers._label(made(in_order, here=True, clock="wall"), 1000) == "made (wall time)"
    assert peers._label(made(in_order, here=True, clock="wall", steps=50), 50) == "made (50 steps, wall time)"


def test_no_peer_is_imported_before_it_is_measured() -> None:
    code = "import benchmarks.catalogue as c, sys; c.all_cases(); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    roots = {name.partition(".")[0] for name in done.stdout.split()}
    assert "benchmarks" in roots
    strangers = "dask dagio dbos distributed hamilton langgraph luigi matplotlib pipefunc prefect pydantic_graph redun"
    assert roots & set(strangers.split()) == set()


# ---------------------------------------------------------------- a peer's process


def made(build: Build, **options: Any) -> Peer:
    @contextmanager
    def opened() -> Iterator[Build]:
        yield build

    options = {
        "name": "made",
        "distribution": "trio",
        "install": "pip install it",
        "kind": "sync",
        "how": "-",
        **options,
    }
    return Peer(opened=opened, **options)


def in_order(graph: graphs.Graph, functions: Sequence[Any]) -> Callable[[], int]:
    def run() -> int:
        values: list[int] = []
        for needs, function in zip(graph, functions, strict=True):
            values.append(function(*[values[k] for k in needs]))
        return values[-1]

    return run


def ask(peer: Peer, what: str = "peer", shape: str = "layered", steps: int = 45) -> dict[str, Any]:
    with peer.opened() as build:
        return _serve.Server(peer, build).answer({"ask": what, "shape": shape, "steps": steps})


def test_what_is_asked_is_answered() -> None:
    peer = made(in_order)
    assert set(ask(peer)) == {"building", "running"}
    assert set(ask(peer, "hand")) == {"running"}
    assert set(ask(peer, "memory")) == {"bytes"}


def test_a_wrong_last_value_is_noticed() -> None:
    def one_more(graph: graphs.Graph, functions: Sequence[Any]) -> Callable[[], int]:
        return lambda: in_order(graph, functions)() + 1

    assert "the last of 45 steps gave" in ask(made(one_more))["wrong"]


def test_a_step_that_runs_twice_or_never_is_noticed_though_the_last_value_is_right() -> None:
    def twice(graph: graphs.Graph, functions: Sequence[Any]) -> Callable[[], int]:
        functions[0]()
        return in_order(graph, functions)

    def never(graph: graphs.Graph, functions: Sequence[Any]) -> Callable[[], int]:
        return lambda: bodies.expected(graph)[-1]

    assert "46 of 45 steps have run" in ask(made(twice))["wrong"]
    assert "0 of 45 steps have run" in ask(made(never))["wrong"]
    assert "wrong" not in ask(made(never, visible=False))


def test_what_a_peer_cannot_do_is_said() -> None:
    def recursive(graph: graphs.Graph, functions: Sequence[Any]) -> Callable[[], int]:
        def value(i: int) -> int:
            got: int = functions[i](*[value(k) for k in graph[i]])
            return got

        return lambda: value(len(graph) - 1)

    def broken(graph: graphs.Graph, functions: Sequence[Any]) -> Callable[[], int]:
        raise ValueError("no graphs today")

    assert ask(made(recursive), shape="chain", steps=20).keys() == {"building", "running"}
    assert ask(made(recursive), shape="chain", steps=5000)["cannot"].startswith("RecursionError: ")
    assert ask(made(broken))["cannot"] == "ValueError: no graphs today"


def test_a_run_that_builds_within_is_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = iter(range(0, 1000, 45))
    monkeypatch.setitem(_serve.CLOCKS, "CPU", lambda: next(ticks))

    def within(graph: graphs.Graph, functions: Sequence[Any]) -> Callable[[], Within]:
        return lambda: Within(in_order(graph, functions)(), 9)

    # between two looks at this clock 45 seconds pass, one for each step; 9 of them in the run were for building
    assert ask(made(within)) == {"building": pytest.approx(1.2e6), "running": pytest.approx(0.8e6)}


@pytest.mark.parametrize("loop", ["asyncio", "trio"])
def test_what_is_async_is_awaited_in_its_loop(loop: Any) -> None:
    import sniffio

    def build(graph: graphs.Graph, functions: Sequence[Any]) -> Callable[[], Any]:
        async def run() -> int:
            assert sniffio.current_async_library() == loop
            values: list[int] = []
            for needs, function in zip(graph, functions, strict=True):
                values.append(await function(*[values[k] for k in needs]))
            return values[-1]

        return run

    assert ask(made(build, kind="noop", loop=loop))["running"] > 0


def test_functions_for_systems_that_wire_by_name_have_the_names_of_their_steps() -> None:
    graph = graphs.fan(400)
    functions = named(graph, bodies.make(graph, ["sync"] * 400))
    assert functions[399].__name__ == "n399"
    assert functions[399].__code__.co_varnames[:2] == ("n1", "n2")
    values = {f"n{i}": value for i, value in enumerate(bodies.expected(graph))}
    assert (
        functions[399](**{name: values[name] for name in functions[399].__annotations__ if name != "return"})
        == (values["n399"])
    )


# ---------------------------------------------------------------- who asks it

#: Peers that do what none should; a folder with this is a package of peers beside ours.
STRANGE = """
import os, signal, time
from contextlib import contextmanager
from benchmarks.peers._peer import Peer

def peer(name, run, start=lambda: None):
    @contextmanager
    def opened():
        start()
        yield lambda graph, functions: lambda: run(graph)
    return Peer(name=name, distribution="trio", install="pip install it", kind="sync", how="-", visible=False, opened=opened)

def last(graph):
    from benchmarks.bodies import expected
    return expected(graph)[-1]

def dies(graph):
    if len(graph) > 24:
        os.kill(os.getpid(), signal.SIGSEGV)
    return last(graph)

def hangs(graph):
    if len(graph) > 24:
        time.sleep(600)
    return last(graph)

def talks(graph):
    print("not an answer")
    os.system("echo not an answer either")
    return last(graph)

PEERS = (
    peer("dies", dies),
    peer("hangs", hangs),
    peer("talks", talks),
    peer("never starts", last, lambda: exec("raise OSError('no server here')")),
    peer("wrong", lambda graph: last(graph) + 1),
)
"""


@pytest.fixture
def strange(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Worker]:
    """Workers whose processes find their peers in a folder of the test's."""
    (tmp_path / "strange_peers.py").write_text(STRANGE)
    (tmp_path / "sitecustomize.py").write_text(
        "import importlib, sys\n"
        "class Finder:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'benchmarks.peers.strange_peers':\n"
        "            from importlib.util import spec_from_file_location\n"
        f"            return spec_from_file_location(name, {str(tmp_path / 'strange_peers.py')!r})\n"
        "sys.meta_path.insert(0, Finder())\n"
    )
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]))
    monkeypatch.syspath_prepend(str(tmp_path))
    found: Sequence[Peer] = importlib.import_module("strange_peers").PEERS
    return {peer.name: Worker(peer, "strange_peers", number) for number, peer in enumerate(found)}


@pytest.mark.slow
def test_a_peer_that_crashes_is_a_row_and_the_next_question_is_answered(strange: dict[str, Worker]) -> None:
    worker = strange["dies"]
    with pytest.raises(CannotError, match="crashed: its process was ended by SIGSEGV"):
        worker.ask("peer", "chain", 30)
    assert worker.ask("peer", "chain", 24)["running"] > 0


@pytest.mark.slow
def test_a_peer_that_hangs_is_ended(strange: dict[str, Worker], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_worker, "PATIENCE", 0.5)
    monkeypatch.setattr(_worker, "GRACE", 0.1)
    worker = strange["hangs"]
    with pytest.raises(CannotError, match=r"no answer within 0\.5 s"):
        worker.ask("peer", "chain", 30)
    assert worker.process is None


@pytest.mark.slow
def test_what_a_peer_prints_is_no_answer(strange: dict[str, Worker]) -> None:
    assert strange["talks"].ask("peer", "chain", 30)["running"] > 0


@pytest.mark.slow
def test_a_peer_that_cannot_be_started_says_why(strange: dict[str, Worker]) -> None:
    with pytest.raises(CannotError, match=r"ended with status 1; OSError: no server here"):
        strange["never starts"].ask("peer", "chain", 30)


@pytest.mark.slow
def test_a_wrong_value_fails_the_run(strange: dict[str, Worker]) -> None:
    with pytest.raises(WrongValueError, match=r"wrong: the last of 30 steps gave"):
        strange["wrong"].ask("peer", "chain", 30)
    measured = measure(peers._case(strange["wrong"], "chain", 30, frozenset({"peers"})), 1)
    assert measured.wrong is not None
    assert measured.cannot is None


def test_one_process_at_a_time(strange: dict[str, Worker]) -> None:
    first, second = strange["talks"], strange["dies"]
    first.ask("peer", "chain", 20)
    second.ask("peer", "chain", 20)
    assert first.process is None
    assert second.process is not None


def test_a_peer_that_is_not_installed_is_a_row_with_the_command_that_installs_it() -> None:
    absent = Worker(made(in_order, distribution="no-such-thing"), "nowhere", 0)
    measured = measure(peers._case(absent, "chain", 30, frozenset({"peers"})), 3)
    assert (measured.cannot, measured.wrong) == ("not installed: pip install it", None)
    assert absent.process is None


def test_the_bench_extra_names_every_peer_that_it_can_and_files_say_which_it_cannot() -> None:
    extra = re.search(r"^bench = \[(.*?)^\]", (ROOT / "pyproject.toml").read_text(), re.DOTALL | re.MULTILINE)
    assert extra is not None
    for worker in WORKERS:
        peer = worker.peer
        if peer.distribution == "trioflow":
            continue
        words = re.search(r"pip install '?([a-z-]+)", peer.install)
        assert words is not None
        doc = importlib.import_module(f"benchmarks.peers.{worker.module}").__doc__ or ""
        assert (f'"{words[1]}' in extra[1]) != ("the `bench` extra" in " ".join(doc.split())), peer.name
