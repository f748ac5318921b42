"""The graph of steps and what each one needs, and only the graph: who stands on a circle, who can be reached.

It knows nothing of steps: nodes are whatever can be a key, and edges are asked for one node at a time, so that a graph
that is still being discovered (names are looked up as the search arrives) needs no copy. Nothing recurses, and every
search is linear in what it touches: a chain of a million nodes is as good as a fan.

`graphlib` was no help: it wants the whole graph first, and its cycle is whichever it meets, from anywhere in the graph;
ours is one that the step in question needs.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator
from itertools import chain
from typing import TypeVar

N = TypeVar("N", bound=Hashable)


def find_cycle(top: N, dependencies: Callable[[N], Iterable[N]]) -> list[N] | None:
    """A cycle among `top` and all that it needs, or None.

    Args:
        top: Where the search begins.
        dependencies: What a node needs. It is called exactly once for each node reached, `top` included, depth first in
            the order it gives; what it raises comes through.

    Returns:
        The nodes of the cycle, not what leads to it: each needs the next, and the first stands again at the end.
    """
    path: dict[N, None] = {top: None}  # from `top` down, each needs the next
    clear: set[N] = set()
    remaining = [iter(dependencies(top))]
    while remaining:
        for needed in remaining[-1]:
            if needed in path:
                nodes = list(path)
                return [*nodes[nodes.index(needed) :], needed]
            if needed not in clear:
                path[needed] = None
                remaining.append(iter(dependencies(needed)))
                break
        else:
            remaining.pop()
            clear.add(path.popitem()[0])
    return None


def find_path(
    start: N, goal: N, ahead: Callable[[N], Iterable[N]], behind: Callable[[N], Iterable[N]]
) -> list[N] | None:
    """A path from `start` to `goal`, or None.

    The search goes from both ends, one edge on each side in turn, and is over as soon as either has seen everything it
    can reach. So it costs about twice what the cheaper side alone would: that 34,000 nodes can be reached from one end
    does no harm if few can from the other.

    Args:
        ahead: The nodes that edges from a node lead to, asked for lazily and at most once.
        behind: The same graph backwards: the nodes from which edges lead to a node.

    Returns:
        The nodes of the path, both ends included; `[start]` if they are one.
    """
    if start == goal:
        return [start]
    # From which node each was reached, on its side; the end itself from nowhere.
    forth, back = {start: start}, {goal: goal}
    for node in chain.from_iterable(zip(_spread(forth, ahead), _spread(back, behind), strict=False)):
        if node in forth and node in back:
            return [*reversed(_trail(node, forth)), *_trail(node, back)[1:]]
    return None


def _spread(came_from: dict[N, N], neighbours: Callable[[N], Iterable[N]]) -> Iterator[N]:
    """The end of one edge after another, breadth first."""
    frontier = list(came_from)
    for node in frontier:
        for neighbour in neighbours(node):
            if neighbour not in came_from:
                came_from[neighbour] = node
                frontier.append(neighbour)
            yield neighbour


def _trail(node: N, came_from: dict[N, N]) -> list[N]:
    trail = [node]
    while (previous := came_from[node]) != node:
        trail.append(previous)
        node = previous
    return trail
