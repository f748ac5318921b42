"""Cycles and paths: against graphlib and against the closure of the edges, on graphs of every small shape."""

from __future__ import annotations

import graphlib
from collections.abc import Callable, Iterator
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trioflow._graph import find_cycle, find_path

Graph = dict[int, list[int]]


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    """Up to nine nodes with any edges, doubled ones and loops on one node included."""
    n = draw(st.integers(1, 9))
    nodes = st.integers(0, n - 1)
    return {node: draw(st.lists(nodes, max_size=4)) for node in range(n)}


def reached(graph: Graph, start: int) -> set[int]:
    """All nodes that edges lead to, `start` included: the slow way, by closing the set until it stays."""
    nodes = {start}
    while (more := nodes | {b for a in nodes for b in graph[a]}) != nodes:
        nodes = more
    return nodes


def backwards(graph: Graph) -> Graph:
    return {node: [a for a, successors in graph.items() for b in successors if b == node] for node in graph}


# ------------------------------------------------------------------------------------------------------------- cycles


def test_a_cycle_is_its_own_steps_and_not_what_leads_to_it() -> None:
    graph = {"report": ["join"], "join": ["a"], "a": ["b"], "b": ["c"], "c": ["a", "d"], "d": []}
    assert find_cycle("report", graph.__getitem__) == ["a", "b", "c", "a"]


def test_a_step_that_needs_itself_is_a_cycle_of_one() -> None:
    assert find_cycle("me", lambda node: [node]) == ["me", "me"]


def test_what_does_not_need_the_cycle_has_none() -> None:
    graph = {"fine": ["leaf"], "leaf": [], "a": ["b", "leaf"], "b": ["a"]}
    assert find_cycle("fine", graph.__getitem__) is None


def test_a_diamond_is_no_cycle() -> None:
    graph = {"top": ["left", "right", "left"], "left": ["bottom"], "right": ["bottom"], "bottom": []}
    assert find_cycle("top", graph.__getitem__) is None


def test_what_looking_up_a_dependency_raises_comes_through() -> None:
    error = LookupError("no such step")

    def dependencies(node: str) -> list[str]:
        if node == "c":
            raise error
        return {"a": ["b"], "b": ["c"]}[node]

    with pytest.raises(LookupError) as caught:
        find_cycle("a", dependencies)
    assert caught.value is error


@given(graphs())
@settings(deadline=None)
def test_a_cycle_is_found_exactly_where_graphlib_finds_one(graph: Graph) -> None:
    below = reached(graph, 0)
    try:
        graphlib.TopologicalSorter({node: graph[node] for node in below}).prepare()
        has_cycle = False
    except graphlib.CycleError:
        has_cycle = True
    cycle = find_cycle(0, graph.__getitem__)
    assert (cycle is not None) == has_cycle
    if cycle is not None:
        assert cycle[0] == cycle[-1]
        assert len(set(cycle)) == len(cycle) - 1
        assert set(cycle) <= below
        assert all(needed in graph[node] for node, needed in pairwise(cycle))


@given(graphs())
@settings(deadline=None)
def test_each_node_is_asked_once_for_what_it_needs(graph: Graph) -> None:
    asked: list[int] = []

    def dependencies(node: int) -> list[int]:
        asked.append(node)
        return graph[node]

    cycle = find_cycle(0, dependencies)
    assert len(asked) == len(set(asked))
    assert set(asked) <= reached(graph, 0)
    if cycle is None:
        assert set(asked) == reached(graph, 0)


@pytest.mark.slow
def test_a_million_steps_need_no_recursion() -> None:
    n = 1_000_000
    assert find_cycle(0, lambda node: (node + 1, node + 2) if node < n else ()) is None
    assert find_cycle(0, lambda node: (node + 1 if node < n else n - 1,)) == [n - 1, n, n - 1]


# -------------------------------------------------------------------------------------------------------------- paths


class Edges:
    """A graph that counts how many edges were looked at."""

    def __init__(self, neighbours: Callable[[int], range | list[int]]) -> None:
        self.neighbours = neighbours
        self.seen = 0

    def __call__(self, node: int) -> Iterator[int]:
        for neighbour in self.neighbours(node):
            self.seen += 1
            yield neighbour


@given(graphs(), st.data())
@settings(deadline=None)
def test_a_path_is_found_exactly_where_there_is_one(graph: Graph, data: st.DataObject) -> None:
    start, goal = data.draw(st.sampled_from(sorted(graph))), data.draw(st.sampled_from(sorted(graph)))
    path = find_path(start, goal, graph.__getitem__, backwards(graph).__getitem__)
    assert (path is not None) == (goal in reached(graph, start))
    if path is not None:
        assert (path[0], path[-1]) == (start, goal)
        assert len(set(path)) == len(path)
        assert all(b in graph[a] for a, b in pairwise(path))


@given(graphs(), st.data())
@settings(deadline=None)
def test_the_search_costs_twice_the_cheaper_side(graph: Graph, data: st.DataObject) -> None:
    start, goal = data.draw(st.sampled_from(sorted(graph))), data.draw(st.sampled_from(sorted(graph)))
    back = backwards(graph)
    forth_cost = sum(len(graph[node]) for node in reached(graph, start))
    back_cost = sum(len(back[node]) for node in reached(back, goal))
    ahead, behind = Edges(graph.__getitem__), Edges(back.__getitem__)
    find_path(start, goal, ahead, behind)
    assert abs(ahead.seen - behind.seen) <= 1
    assert ahead.seen + behind.seen <= 2 * min(forth_cost, back_cost) + 1


def test_from_a_node_to_itself_the_path_is_that_node() -> None:
    def nobody(node: str) -> list[str]:
        raise AssertionError("asked for edges")

    assert find_path("a", "a", nobody, nobody) == ["a"]


@pytest.mark.parametrize("turned", [False, True])
def test_34_000_dependents_on_one_side_do_no_harm(turned: bool) -> None:
    # 0 is needed by 34,000; 1 needs 2 and nothing else. Does 0, by way of its dependents, lead to 1?
    ahead = Edges(lambda node: range(10, 34_010) if node == 0 else [])
    behind = Edges(lambda node: [2] if node == 1 else [])
    if turned:
        assert find_path(1, 0, behind, ahead) is None
    else:
        assert find_path(0, 1, ahead, behind) is None
    assert ahead.seen + behind.seen <= 3


def test_equal_nodes_are_one_node() -> None:
    graph = {"1000": ["2000"], "2000": ["3000"], "3000": []}

    def fresh(graph: dict[str, list[str]]) -> Callable[[str], list[str]]:
        return lambda node: ["".join(list(other)) for other in graph[node]]

    behind = {"3000": ["2000"], "2000": ["1000"], "1000": []}
    assert find_path("1000", "3000", fresh(graph), fresh(behind)) == ["1000", "2000", "3000"]
    assert find_path("1000", "2000", fresh(graph), lambda node: []) is None
    assert find_path("1000", "2000", fresh(graph), fresh(behind)) == ["1000", "2000"]


@pytest.mark.slow
def test_a_path_of_a_million_needs_no_recursion() -> None:
    n = 1_000_000
    path = find_path(0, n, lambda node: [node + 1] if node < n else [], lambda node: [node - 1] if node > 0 else [])
    assert path == list(range(n + 1))
