"""The graph that a workflow declares, drawn without running any step's body.

`sketch` runs the workflow's own `run` through the real doors, with the real `step`, so that names, places and mistakes are
those of a run. Only the *lobby*, where bodies are run, is an easel: a cell that is ready is settled there and then,
with an `Unknown` in place of what its body would return. Pauses pass at once, and waits receive an unknown payload.

An `Unknown` can be passed on, stored, looked into (`user["id"]`, `user.name()`), computed with and put into a text: none
of that changes what is declared. As soon as the code wants to know what it is (in an `if`, in a loop, as a number) the
drawing can't go on truthfully: `Undecided` is raised there, and what was declared so far is the sketch. The doubt is also
remembered where the code catches that. Guessing (the loop's body once, both branches) was rejected: a drawing
that shows what no run would do is worse than one that says where it ends.

What a sketch can't know, and doesn't say: steps that are declared in bodies; what is done after a step has failed or a
wait has timed out. And Python tells nobody of `is`, nor of `match`: an `Unknown` is not None, and has no pattern. So where
nothing else has stopped the drawing, the text of `run` is looked through for these.

What `run` does by itself is really done. Its own I/O is real, its own `trio.sleep` takes the time of the clock that the
caller has chosen, and whatever it waits for, the sketch ends after `PATIENCE` seconds.
"""

from __future__ import annotations

import ast
import inspect
import sys
import threading
import traceback
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from functools import partial
from itertools import dropwhile, takewhile
from types import FrameType
from typing import Any, Final, Literal, NoReturn, cast, final

import attrs
import trio
from trio.lowlevel import checkpoint, current_trio_token

from ._declare import StepDecorator, WorkflowStep
from ._drawing import Node
from ._errors import CycleError, DefinitionError, TrioflowError, shown
from ._frames import not_ours
from ._kernel import RUNNING
from ._lanes import Home
from ._loading import shown as path_shown
from ._names import parameters_of
from ._run import Run
from ._signature import signature_of
from ._sleep import LATEST
from ._step import Step
from ._time import Duration
from ._views import ReceivedEvent, WorkflowEvent
from ._waits import Wait
from ._workflow import AnyWorkflow, _call, _conduct, _prepare

#: Steps, sleeps and waits after which a workflow is taken for one that has no end.
MOST: Final = 10_000
#: How long `run` may take, in seconds of real time.
PATIENCE: Final = 10.0

#: Ends the sentences about what is only known when the workflow is run.
_ADVICE: Final = "; `trioflow run FILE --graph out.mmd` draws what is really done"

_LONGEST_TEXT: Final = 60


@final
@attrs.frozen
class Sketch:
    """What a workflow declares, as far as that is known without running a step."""

    #: The declared steps, sleeps and waits, in order. All are pending, and only steps depend on something.
    nodes: tuple[Node, ...]
    #: Why there may be more or others than these: one sentence with file and line. None: these are all.
    why_not: str | None


async def sketch(
    workflow: AnyWorkflow, params: object = None, *, env: object = None, instance_id: str | None = None
) -> Sketch:
    """What `workflow` declares, and which step needs which. A checkpoint.

    Runs the workflow's `run` and no step's body. Whatever `run` raises is told in `why_not`, and so is every other reason
    why the drawing may not be complete. Bring a `MockClock(autojump_threshold=0)` if `run` itself sleeps.

    Args:
        workflow: As for `run_workflow`, and so are the others.
        params: `event.payload`; `{}` if there are none.
        env: `self.env` of the workflow. Only for classes.
        instance_id: `event.instanceId`; generated if not given.

    Raises:
        DefinitionError: `workflow` is none, or `env` was given for a function.
        ConfigError: the instance id can't be used.
    """
    try:
        start = _prepare(workflow, params, instance_id, env, None, ())
    except TrioflowError:
        raise
    except Exception as exc:  # of the class's own `__init__`
        await checkpoint()
        return Sketch((), _raised(exc, "__init__", [] if env is not None else ["env"]))
    sitting = _Sitting(start.run)
    fn = start.fn

    async def run(event: WorkflowEvent[Any], step: WorkflowStep) -> None:
        await sitting.pose(fn, event, step)

    start.fn, start.run.lobby = run, _Easel(start.run, sitting=sitting)
    await _conduct(start.now())
    nodes, unnamed = _nodes(sitting)
    why_not = sitting.why_not
    if why_not is None and sitting.error is not None:
        given = {"params": params, "env": env if inspect.isclass(workflow) else workflow}
        why_not = _raised(sitting.error, "run", [name for name, value in given.items() if value is None])
    return Sketch(nodes, why_not or unnamed or _unseen(fn))


# --------------------------------------------------------------------------------------------------------- the sitting


@final
class Undecided(Exception):
    """The workflow's code wants to know what a step returns, which nobody knows before it has run."""


@final
class _Enough(BaseException):
    """There is no end in sight. Not an `Exception`: a loop that catches those must end, too."""


@attrs.define(eq=False, repr=False)
class _Sitting:
    """The workflow's code runs, and is watched."""

    run: Run
    #: The first reason why what it declares is not to be relied on.
    why_not: str | None = None
    #: What it raised in the end.
    error: BaseException | None = None
    #: Steps, sleeps, waits and doubts so far.
    count: int = 0
    #: Sleeps and waits, each with the number of steps that were declared before it.
    pauses: list[tuple[int, Node]] = attrs.field(factory=list)
    _named: Counter[tuple[str, str]] = attrs.field(factory=Counter)

    async def pose(self, fn: Callable[..., Any], event: WorkflowEvent[Any], step: WorkflowStep) -> None:
        """Run the workflow's function, and keep what it raises. What cancels or interrupts it from outside is raised."""
        place = ""
        try:
            with _patience() as scope:
                try:
                    await _call(fn, event, cast(WorkflowStep, _SketchStep(self, step)))
                except BaseException as exc:
                    place = _place(reversed([*traceback.walk_tb(exc.__traceback__)]))
                    raise
        except BaseException as exc:  # noqa: ASYNC103 - raised unless it is the workflow's own
            if not all(isinstance(leaf, Exception | SystemExit | _Enough) for leaf in _leaves(exc)):
                raise
            self.error = exc  # noqa: ASYNC104
        if scope.cancelled_caught:
            self.doubt(f"run was still at {place} after {PATIENCE:g} seconds, so that the drawing ends there{_ADVICE}")
        self.run.unawaited.clear()  # whoever draws a workflow doesn't ask what it forgets

    def doubt(self, why: str) -> str:
        """From here on the drawing is not sure."""
        if self.why_not is None:
            self.why_not = why
        return why

    def draw_pause(self, kind: Literal["sleep", "wait"], name: str) -> None:
        """A sleep or a wait was made. Those of a name are counted in the run, as steps are."""
        self._named[kind, name] += 1
        node = Node(path=((name, self._named[kind, name]),), kind=kind)
        self.pauses.append((len(self.run.steps), node))

    def count_one(self) -> None:
        """One more thing has happened in a workflow that, perhaps, has no end."""
        self.count += 1
        if self.count > MOST:
            place = _place(traceback.walk_stack(sys._getframe()))
            self.doubt(f"by {place} there were {MOST:,} steps, sleeps and waits with no end in sight{_ADVICE}")
            raise _Enough


@contextmanager
def _patience() -> Iterator[trio.CancelScope]:
    """A scope that is cancelled after `PATIENCE` seconds of real time, on whatever clock the program runs.

    A deadline wouldn't do. In virtual time it would come at once where `run` waits for a socket or a thread, and never
    where something always has its turn.
    """
    token = current_trio_token()

    def lose_it() -> None:
        with suppress(trio.RunFinishedError):
            token.run_sync_soon(partial(scope.cancel, reason="a sketch takes no longer than that"))

    with trio.CancelScope() as scope:
        timer = threading.Timer(PATIENCE, lose_it)
        timer.daemon = True
        timer.start()
        try:
            yield scope
        finally:
            timer.cancel()


@attrs.define(eq=False, repr=False)
class _Easel(Home):
    """A home in which no body is run: what is ready is settled at once, with a value that nobody knows."""

    sitting: _Sitting = attrs.field(kw_only=True)

    def take(self, cell: Step[Any]) -> None:
        cell.state = RUNNING
        value = Unknown(_Source(self.sitting, f"step {cell.name!r} returns"), cell.name)
        self.run.kernel.done(cell, value, deque())  # nobody serves that queue: what is ready now comes as an order


@final
@attrs.define(eq=False, repr=False)
class _SketchStep:
    """The run's `step`, whose pauses pass at once."""

    _sitting: _Sitting
    _step: WorkflowStep

    @property
    def do(self) -> Callable[..., StepDecorator]:
        """The real one, called from the real place."""
        self._sitting.count_one()
        return self._step.do

    def sleep(self, name: str, duration: Duration) -> Wait[None]:
        name = _known(name, str(name))
        return self._passing("sleep", name, self._step.sleep(name, _known(duration, 0)), None)

    def sleep_until(self, name: str, when: datetime) -> Wait[None]:
        name, when = _known(name, str(name)), _known(when, LATEST)
        return self._passing("sleep", name, self._step.sleep_until(name, when), None)

    def wait_for_event(self, name: str, event_type: str, timeout: Duration = "24 hours") -> Wait[ReceivedEvent[Any]]:
        name, event_type = _known(name, str(name)), _known(event_type, str(event_type))
        wait = self._step.wait_for_event(name, event_type, _known(timeout, 0))
        payload = Unknown(_Source(self._sitting, f"wait {name!r} receives"), name)
        now = self._sitting.run.clock.now()
        return self._passing("wait", name, wait, ReceivedEvent(type=event_type, payload=payload, timestamp=now))

    def _passing(self, kind: Literal["sleep", "wait"], name: str, wait: Wait[Any], value: Any) -> Wait[Any]:
        self._sitting.count_one()
        self._sitting.draw_pause(kind, name)
        wait._make = partial(_pass, value)
        return wait

    def __getattr__(self, name: str) -> Any:
        return getattr(self._step, name)


async def _pass(value: Any) -> Any:
    await checkpoint()
    return value


def _known(value: Any, otherwise: Any) -> Any:
    return otherwise if type(value) is Unknown else value


# --------------------------------------------------------------------------------------------------- what nobody knows


@final
@attrs.frozen(eq=False)
class _Source:
    """Where something unknown comes from."""

    sitting: _Sitting
    #: "step 'fetch' returns": after "what".
    what: str

    def stop(self, does: str) -> NoReturn:
        place = _place(traceback.walk_stack(sys._getframe()))
        self.sitting.count_one()
        raise Undecided(self.sitting.doubt(f"{place} {does} what {self.what}, which a drawing can't know{_ADVICE}"))


@final
class Unknown:
    """Stands for what a body would return, and for what the workflow makes of that."""

    __slots__ = ("__weakref__", "_trioflow_source", "_trioflow_text")
    _trioflow_source: _Source
    _trioflow_text: str

    def __init__(self, source: _Source, text: str) -> None:
        if len(text) > _LONGEST_TEXT:
            text = text[: _LONGEST_TEXT - 1] + "…"
        object.__setattr__(self, "_trioflow_source", source)
        object.__setattr__(self, "_trioflow_text", text)

    def _trioflow_then(self, text: str) -> Unknown:
        return Unknown(self._trioflow_source, self._trioflow_text + text)

    @property  # type: ignore[misc]
    def __class__(self) -> type[Unknown]:
        """`isinstance` asks for it, and then decides by what nobody knows. What is merely logged is looked at, too."""
        frame = sys._getframe(1)
        if frame.f_globals.get("__name__") == "abc" and frame.f_back is not None:
            frame = frame.f_back
        if frame.f_globals.get("__name__") != "logging":
            self._trioflow_source.stop("looks at the type of")
        return Unknown

    # ------------------------------------------------------------------------------- passed on, and looked into

    def __getattr__(self, name: str) -> Unknown:
        if name.startswith("__") and name.endswith("__"):  # Python and its tools ask everything for such names
            raise AttributeError(name)
        return self._trioflow_then(f".{name}")

    def __getitem__(self, key: object) -> Unknown:
        return self._trioflow_then(f"[{key!r}]")

    def __call__(self, *args: object, **kwargs: object) -> Unknown:
        return self._trioflow_then("(…)")

    def __setattr__(self, name: str, value: object) -> None:
        pass

    def __delattr__(self, name: str) -> None:
        pass

    def __setitem__(self, key: object, value: object) -> None:
        pass

    def __delitem__(self, key: object) -> None:
        pass

    def __copy__(self) -> Unknown:
        return self

    def __deepcopy__(self, memo: object) -> Unknown:
        return self

    # ------------------------------------------------------------------------------------------- put into a text

    def __repr__(self) -> str:
        return f"{{{self._trioflow_text}}}"

    def __format__(self, spec: str) -> str:
        return repr(self)

    def __add__(self, other: object) -> Unknown | str:
        return f"{self}{other}" if isinstance(other, str) else self._trioflow_then("…")

    def __radd__(self, other: object) -> Unknown | str:
        return f"{other}{self}" if isinstance(other, str) else self._trioflow_then("…")


#: Computing with it gives something that is as unknown.
_GOES_ON: Final = (
    *(f"{r}{name}" for r in ("", "r") for name in ("sub", "mul", "truediv", "floordiv", "mod", "divmod", "pow", "matmul")),
    *(f"{r}{name}" for r in ("", "r") for name in ("and", "or", "xor", "lshift", "rshift")),
    *("neg", "pos", "abs", "invert", "round", "trunc", "floor", "ceil"),
)  # fmt: skip

#: What would have to know it, and what the code does there, in words.
_STOPS: Final = {
    "bool": "decides by",
    **dict.fromkeys(("eq", "ne", "lt", "le", "gt", "ge"), "compares"),
    **dict.fromkeys(("iter", "next", "reversed", "aiter", "anext"), "loops over or unpacks"),
    "len": "counts",
    "contains": "searches",
    **dict.fromkeys(("int", "float", "complex", "index"), "makes a number of"),
    **dict.fromkeys(("bytes", "fspath", "reduce_ex"), "converts"),
    "hash": "makes a key of",
    **dict.fromkeys(("await", "enter", "exit", "aenter", "aexit"), "awaits or enters"),
}


def _goes_on(self: Unknown, *args: object) -> Unknown:
    return self._trioflow_then("…")


def _stops(does: str) -> Callable[..., NoReturn]:
    def stop(self: Unknown, *args: object) -> NoReturn:
        self._trioflow_source.stop(does)

    return stop


for _name in _GOES_ON:
    setattr(Unknown, f"__{_name}__", _goes_on)
for _name, _does in _STOPS.items():
    setattr(Unknown, f"__{_name}__", _stops(_does))


# ------------------------------------------------------------------------------------------ what even Python doesn't tell


def _unseen(fn: Callable[..., Any]) -> str | None:
    """Why the drawing may be wrong although nothing has stopped it: a result is compared with `is`, or matched.

    Goes by the text of the function alone, bodies of steps excepted, and follows names from one assignment to the next.
    """
    fn = inspect.unwrap(fn)
    nodes = [*_without_bodies(_syntax_of(fn))]
    known, names = -1, set[str]()
    while known < len(names):
        known = len(names)
        for node in nodes:
            if isinstance(node, _ASSIGNMENT) and _is_of_a_step(node.value, names):
                names.update(_assigned(node))
    for value in (value for node in nodes for value in _asked(node)):
        if _is_of_a_step(value, names):
            place = f"{path_shown(inspect.getfile(fn))}:{value.lineno}"
            return f"{place} may depend on what a step returns, where a drawing can't follow `is` and `match`{_ADVICE}"
    return None


def _syntax_of(fn: Callable[..., Any]) -> ast.AST:
    """The definition of a function; an empty one if its text can't be found."""
    with suppress(OSError, TypeError, SyntaxError):
        lines, first = inspect.findsource(fn)
        for node in ast.walk(ast.parse("".join(lines))):
            if isinstance(node, _FUNCTION) and min(n.lineno for n in (node, *node.decorator_list)) == first + 1:
                return node
    return ast.Pass()


_FUNCTION: Final = (ast.FunctionDef, ast.AsyncFunctionDef)
_ASSIGNMENT: Final = (ast.Assign, ast.AnnAssign, ast.AugAssign, ast.NamedExpr)


def _without_bodies(function: ast.AST) -> Iterator[ast.AST]:
    """All within a function but other functions that have decorators: those are bodies of steps, mostly."""
    for child in ast.iter_child_nodes(function):
        if not (isinstance(child, _FUNCTION) and child.decorator_list):
            yield child
            yield from _without_bodies(child)


def _assigned(node: ast.Assign | ast.AnnAssign | ast.AugAssign | ast.NamedExpr) -> Iterator[str]:
    """The names that get a value, or in which something does."""
    targets = node.targets if isinstance(node, ast.Assign) else [node.target]
    return (part.id for target in targets for part in ast.walk(target) if isinstance(part, ast.Name))


def _asked(node: ast.AST) -> list[ast.expr]:
    """What is compared by identity, or matched."""
    if isinstance(node, ast.Compare) and any(isinstance(op, ast.Is | ast.IsNot) for op in node.ops):
        return [node.left, *node.comparators]
    return [node.subject] if isinstance(node, ast.Match) else []


def _is_of_a_step(value: ast.expr | None, names: set[str]) -> bool:
    """Whether a step's result is in an expression: `await it()`, or a name that stands for one."""
    for part in () if value is None else ast.walk(value):
        if isinstance(part, ast.Name) and part.id in names:
            return True
        if isinstance(part, ast.Await) and isinstance(part.value, ast.Call) and _asks_a_step(part.value):
            return True
    return False


def _asks_a_step(call: ast.Call) -> bool:
    """Steps are called without arguments. What a wait gives has a payload that is as unknown."""
    waits = isinstance(call.func, ast.Attribute) and call.func.attr == "wait_for_event"
    return waits or not (call.args or call.keywords)


# --------------------------------------------------------------------------------------------------- what came of it


def _nodes(sitting: _Sitting) -> tuple[tuple[Node, ...], str | None]:
    """All that was declared, in order, and why not all that it needs is known, if so."""
    nodes, why_not = list[Node](), None
    for step in sitting.run.steps:
        depends: Iterable[Step[Any]] = step.dependencies
        if step in sitting.run.unbound:  # nobody has awaited it, or nobody can, as it is on a cycle
            try:
                depends = parameters_of(signature_of(step.fn), step.scope, step).values()
            except DefinitionError as exc:
                why_not = why_not or str(exc)
        nodes.append(Node(step.path, depends=tuple(dict.fromkeys(d.path for d in depends))))
    for before, pause in reversed(sitting.pauses):
        nodes.insert(before, pause)
    return tuple(nodes), why_not


def _raised(error: BaseException, who: str, missing: Iterable[str]) -> str:
    """Why the drawing ends with an exception, in a sentence. `missing` is what it may have been raised for."""
    leaf = next(_leaves(error))
    if isinstance(leaf, CycleError | DefinitionError):
        return str(leaf)  # that says what and where
    place = _place(reversed([*traceback.walk_tb(leaf.__traceback__)]))
    without = " and ".join(f"no {name}" for name in missing) if isinstance(leaf, KeyError | AttributeError) else ""
    given = f" (it was given {without})" if without else ""
    return f"{who} raised {shown(leaf)} at {place}{given}, so that the drawing ends there{_ADVICE}"


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for member in error.exceptions:
            yield from _leaves(member)
    else:
        yield error


def _place(frames: Iterable[tuple[FrameType, int]]) -> str:
    """Where the user's own code stands, "file:line", if there is some among `frames`. The innermost come first."""
    machine, installed = not_ours()
    places = [(frame.f_code.co_filename, line) for frame, line in frames]
    # From where the machine is left to where it calls; further out stands whoever has started the program.
    left = dropwhile(lambda place: place[0].startswith(machine), places)
    code = [*takewhile(lambda place: not place[0].startswith(machine), left)] or places
    own = [place for place in code if not place[0].startswith(("<", *installed))] or code
    return f"{path_shown(own[0][0])}:{own[0][1]}"
