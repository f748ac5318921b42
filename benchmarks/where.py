"""Claim: of a step's microseconds, nearly all that is left is Python calling the body and keeping its promises.

Each part is measured by leaving it out: a copy of trioflow with one change in its source takes turns with a copy that has
none, and the difference is what the part costs. A profiler would not do: it charges calls and not what they are for, and
at a microsecond a step it measures itself. Two parts are the other way round, something that trioflow saves: the copy
does without the saving, and the cost comes out negative. The parts needn't add up to the whole, and they change nothing
that these bodies would notice: what each is there for is written in the source beside it.

The first row is the whole: what a step costs more than awaiting its function in a loop.

What would change our mind: a part that is dear and that nobody would miss. A change whose place in the source is gone fails
the case, so that this table can't outlive the code that it is about.
"""

from __future__ import annotations

import atexit
import functools
import importlib
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, TypeAlias, final

import attrs

import trioflow

from . import ours, prices
from ._measure import Case, Chapter, Side
from .graphs import chain, layered
from .steps import Shape, kinds_of

#: Module, text, what stands there instead.
Edit: TypeAlias = tuple[str, str, str]
WHERE: Final[frozenset[Chapter]] = frozenset({"where"})
#: The differences are small: the least of so many readings is a round's, since whatever disturbs one only adds to it.
READINGS: Final = 3


@final
@attrs.frozen
class Part:
    """Something that a step has, and the trioflow that doesn't have it."""

    name: str
    edits: tuple[Edit, ...]
    #: Which of `BODIES` have it.
    bodies: tuple[str, ...]


#: Variant of the body, shape, and what of it is read.
BODIES: Final[dict[str, tuple[str, Shape, str]]] = {
    "no-op, chain": ("noop", chain, "running"),
    "no-op, layered": ("noop", layered, "running"),
    "sync, layered": ("sync", layered, "running"),
    "checkpoint, layered": ("checkpoint", layered, "running"),
    "declared": ("noop", layered, "declaring"),
}
ASYNC: Final = ("no-op, chain", "no-op, layered", "checkpoint, layered")
RUN: Final = (*ASYNC, "sync, layered")
BLOCKS: Final = ("checkpoint, layered",)
DECLARED: Final = ("declared",)

NO_CONTEXT: Final[tuple[Edit, ...]] = (
    ("_lanes", "context, task.name = asker.context.copy(), c.name", "context, task.name = None, c.name"),
    ("_lanes", "trap = context.run(cross, (fn, args))", "trap = cross((fn, args))"),
    ("_lanes", "value = context.run(call_sync, fn, args)", "value = call_sync(fn, args)"),
    ("_lanes", "self.task.context = context  #", "#"),
)
DONE: Final = "stopped = kernel.done(c, value, ready)\n"
INLINED: Final = """if c.state == RUNNING:
                        c.value = value
                        c.state = 7
                        c.asker = None
                        if c.dependents is not None:
                            for w in c.dependents:
                                if w.state == 2:
                                    if w.together:
                                        w.missing -= 1
                                        if not w.missing:
                                            w.state = READY
                                            if w.asker.ready is ready:
                                                ready.append(w)
                                            else:
                                                kernel.orders.append(("start", w, None))
                                    elif w.deps[w.missing] is c:
                                        kernel._advance(w)
                            c.dependents = None
                        if c.parties is not None:
                            kernel._tell_parties(c)
                        stopped = False
                    else:
                        stopped = kernel.done(c, value, ready)
"""
PARTS: Final = (
    Part("a context of its own", NO_CONTEXT, RUN),
    Part("the kernel is a room of its own", (("_lanes", DONE, INLINED),), RUN),
    Part(
        "the task carries the step's name",
        (("_lanes", "context, task.name = asker.context.copy(), c.name", "context = asker.context.copy()"),),
        RUN,
    ),
    Part(
        "a scope left open is noticed",
        (("_lanes", "if innermost_scope(task) is not scopes:", "if False:"),),
        ASYNC,
    ),
    Part("a turn for other tasks now and then", (("_lanes", "TURNS = 64", "TURNS = 10**9"),), RUN),
    Part(
        "saved: one border for body after body",
        (("_lanes", "trap = context.run(cross, (fn, args))", "trap = context.run(self.open_border(), (fn, args))"),),
        ASYNC,
    ),
    Part(
        "saved: no more lanes are woken than are missed",
        (("_lanes", "return min(1 + more, SPREE)", "return 8"),),
        BLOCKS,
    ),
    Part(
        "saved: a scope serves body after body",
        (("_lanes", "if stopped or ((kernel.orders", "if stopped or not turns or ((kernel.orders"),),
        BLOCKS,
    ),
    Part("saved: idle lanes are parked", (("_lanes", "PARKED = 64", "PARKED = 0"),), BLOCKS),
    Part(
        "its place in the source",
        (("_declare", "code, offset = frame.f_code, frame.f_lasti", "code, offset = None, 0"),),
        DECLARED,
    ),
    Part(
        "its name is looked at",
        (("_declare", "if len(name) > LONGEST_NAME or not name.isprintable():", "if False:"),),
        DECLARED,
    ),
    Part(
        "its depends are looked at",
        (("_declare", "        _check_depends(depends, signature, name, site, run)\n", ""),),
        DECLARED,
    ),
    Part("it can be found by its name", (("_declare", "        scope.add(step)\n", ""),), DECLARED),
)


class OutlivedError(Exception):
    """The source isn't any more what a part of this table is about."""


@functools.cache
def _workshop() -> Path:
    """Where the copies are. Gone when the program ends."""
    folder = Path(tempfile.mkdtemp(prefix="variants-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    sys.path.insert(0, str(folder))
    return folder


def changed(text: str, edit: Edit) -> str:
    """`text`, the source of a module, with one change."""
    module, old, new = edit
    if text.count(old) != 1:
        raise OutlivedError(f"trioflow/{module}.py has {text.count(old)} times what where.py would change: {old!r}")
    return text.replace(old, new)


@functools.cache
def variant(edits: tuple[Edit, ...]) -> Callable[..., Any]:
    """The `run_workflow` of a trioflow with these changes."""
    name = f"trioflow_variant_{len(list(_workshop().iterdir()))}"
    source = Path(trioflow.__file__).parent
    shutil.copytree(source, _workshop() / name, ignore=shutil.ignore_patterns("__pycache__", "testing", "workers"))
    for edit in edits:
        file = _workshop() / name / f"{edit[0]}.py"
        file.write_text(changed(file.read_text(), edit))
    importlib.invalidate_caches()
    run: Callable[..., Any] = importlib.import_module(name).run_workflow
    return run


def _reading(run: Callable[..., Any], body: str, n: int) -> Side:
    kind, shape, what = BODIES[body]
    graph = shape(n)

    async def read() -> float:
        spent = [await ours.spend(graph, kinds_of(kind, len(graph)), run=run) for _ in range(READINGS)]
        return min(one.running if what == "running" else one.declaring for one in spent)

    return read


def _case(part: str, edits: tuple[Edit, ...], body: str, n: int) -> Case:
    return Case(
        name=f"where {body}: {part}",
        per="step",
        sides=lambda: (_reading(variant(edits), body, n), _reading(variant(()), body, n)),
        budget=None,
        judged_by="difference",
        chapters=WHERE,
        about={"variant": part, "body": body},
    )


def _whole(body: str, n: int) -> Case:
    kind, shape, _ = BODIES[body]

    def sides() -> tuple[Side, Side]:
        graph = shape(n)

        async def called() -> float:
            return min([await prices.calling(graph, kind) for _ in range(READINGS)])

        return called, _reading(variant(()), body, n)

    return Case(
        name=f"where {body}: {WHOLE}",
        per="step",
        sides=sides,
        budget=None,
        judged_by="difference",
        chapters=WHERE,
        about={"variant": WHOLE, "body": body},
    )


WHOLE: Final = "all of it, beyond awaiting the function"


def cases(n: int) -> Iterator[Case]:
    """The whole and every part of it, for each body that has it, in graphs of n steps."""
    for body in ASYNC:
        yield _whole(body, n)
    for part in PARTS:
        for body in part.bodies:
            yield _case(part.name, part.edits, body, n)
