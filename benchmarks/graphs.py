"""The shapes: for each step, in an order in which they can be declared, the indices of the steps that it needs.

A chain, a fan and a ladder are the extremes of depth and width and what lies between; `layered` is the middle of the
road; `dense` has many edges for few steps. In a `tree` nobody shares anything; a `forest` is what many real graphs look
like, small trees side by side; `random` has no order at all. The last step of each needs all others, directly or not,
so that one await runs every step: in an earlier layered graph one step in twenty was needed by nobody, never ran, and
was counted.

Dependencies are tuples of numbers: Python's collector stops tracking those, so that the graph's own description
doesn't take part in what it costs to walk the heap.
"""

from __future__ import annotations

from random import Random
from typing import Final, TypeAlias

Graph: TypeAlias = list[tuple[int, ...]]

#: How many steps stand beside each other in `layered`.
WIDTH: Final = 20
#: How many steps before it a step of `dense` needs.
BACK: Final = 15
#: How many steps a tree of `forest` has.
TREE: Final = 10
#: How many dependencies a step of `random` has at most.
MOST: Final = 4


def chain(n: int) -> Graph:
    """Each needs the one before it."""
    return [(i - 1,) if i else () for i in range(n)]


def fan(n: int) -> Graph:
    """One, then n - 2 that need it, then one that needs them all."""
    return [(), *[(0,)] * (n - 2), tuple(range(1, n - 1))]


def ladder(n: int) -> Graph:
    """Two that need the same one, a third that needs both, and so on: as many whole rungs as fit into n steps."""
    graph: Graph = [()]
    for foot in range(0, n - 3, 3):
        graph += [(foot,), (foot,), (foot + 1, foot + 2)]
    return graph


def layered(n: int) -> Graph:
    """Layers of 20; each needs the one above it and two others of that layer. The last needs what nobody else does."""
    random_ = Random(1)
    graph: Graph = [() for _ in range(min(WIDTH, n - 1))]
    while len(graph) < n - 1:
        place = len(graph) % WIDTH
        above = len(graph) - place - WIDTH
        others = random_.sample(range(1, WIDTH), 2)
        graph.append((above + place, *[above + (place + k) % WIDTH for k in others]))
    return _gathered(graph)


def dense(n: int) -> Graph:
    """Each needs the 15 before it."""
    return [tuple(range(max(0, i - BACK), i)) for i in range(n)]


def tree(n: int) -> Graph:
    """Each needs two of its own, down to the leaves: every step is needed by one other, the last by nobody."""
    return [tuple(n - 1 - child for child in (2 * i + 1, 2 * i + 2) if child < n) for i in reversed(range(n))]


def forest(n: int) -> Graph:
    """Trees of ten, in which each step needs some earlier one of its tree. The last needs what nobody else does."""
    random_ = Random(1)
    return _gathered([(random_.randrange(i - i % TREE, i),) if i % TREE else () for i in range(n - 1)])


def random(n: int) -> Graph:
    """Each needs up to four others, any of those before it. The last needs what nobody else does."""
    random_ = Random(1)
    return _gathered([tuple(random_.sample(range(i), min(i, random_.randint(0, MOST)))) for i in range(n - 1)])


def _gathered(graph: Graph) -> Graph:
    """With one step more, that needs whatever nobody else does."""
    needed = {i for needs in graph for i in needs}
    return [*graph, tuple(i for i in range(len(graph)) if i not in needed)]
