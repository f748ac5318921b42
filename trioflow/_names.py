"""Which step a name means: the one that a reader of the code would take it for.

A parameter names a step the way an expression names a variable, but a step may also stand further down, and a name is
looked up only when its step is first needed, when a loop may have declared it many times over. So a name is not a key
in a registry, where the last one wins and silently is another iteration's. Three things answer it: *scopes* (what this
task or this attempt of a body has declared comes before what surrounds it), *places* in the source, and the *order* of
declaration in the run.

    for page in pages:
        @step.do("fetch")
        async def fetch(): ...      # means its own iteration's, above

        @step.do("store")
        async def store(fetch, log): ...

        @step.do("log")
        async def log(): ...        # its own iteration's, below

What can't be told is an error that shows the places. Places are compared as source positions, not as offsets in the
bytecode that they are derived from: the compiler moves handlers to the end and writes a `finally` twice.

Looking up costs about a microsecond; declaring is an append, and all indexes are made when they are asked for.
"""

from __future__ import annotations

import difflib
from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, KeysView, Sequence
from itertools import islice
from types import CodeType
from typing import Any, NoReturn, Protocol, TypeAlias, TypeVar, cast, final

import attrs

from ._errors import DefinitionError
from ._signature import ByIdentity, Signature

#: Where a step is declared: the code that calls `step.do(...)(fn)`, and the offset of that call's instruction.
Site: TypeAlias = tuple[CodeType, int]


class Declared(Protocol):
    """What has to be known of a step. All steps in one chain of scopes are of one type. Compared by identity."""

    @property
    def name(self) -> str: ...
    @property
    def fn(self) -> Callable[..., Any]:
        """Its body, whose `__name__` is the step's second name."""

    @property
    def at(self) -> int:
        """When it was declared: no two of a run have the same, and a later one has a higher one."""

    @property
    def site(self) -> Site: ...


C = TypeVar("C", bound=Declared)

# ------------------------------------------------------------------------------------------------------------- places

_COLUMN_BITS = 20
_LAST_COLUMN = (1 << _COLUMN_BITS) - 1
_positions: ByIdentity[array[int]] = ByIdentity()


def place_of(site: Site) -> str:
    """Where a declaration stands, as "file:line"."""
    code = site[0]
    return f"{code.co_filename}:{_position(site) >> _COLUMN_BITS or code.co_firstlineno}"


def _position(site: Site) -> int:
    """Line and column as one number: in the same code, higher means further down. 0 if the code doesn't say."""
    code, offset = site
    positions = _positions.facts.get(id(code))
    if positions is None:
        positions = _positions.keep(code, array("Q", _all_positions(code)))
    i = offset // 2
    return positions[i] if i < len(positions) else 0


def _all_positions(code: CodeType) -> Iterator[int]:
    for line, _, column, _ in code.co_positions():
        yield (line or 0) << _COLUMN_BITS | min(column or 0, _LAST_COLUMN)


def _is_below(cell: Declared, asker: Declared) -> bool:
    return cell.site[0] is asker.site[0] and _position(cell.site) > _position(asker.site)


def _is_level(cell: Declared, asker: Declared) -> bool:
    return cell.site[0] is asker.site[0] and _position(cell.site) == _position(asker.site)


# ------------------------------------------------------------------------------------------------------------ indexes


@attrs.define(eq=False, repr=False)
class _Namesakes:
    """Steps of one scope that bear the same name, in order of declaration."""

    cells: list[Declared]
    _by_site: dict[int, dict[int, list[Declared]]] = attrs.field(factory=dict)  # id of the code: offset: steps
    _sorted: int = 0

    def in_code(self, code: CodeType) -> Iterable[list[Declared]]:
        """Those declared in this code, place by place."""
        for cell in self.cells[self._sorted :]:
            its_code, offset = cell.site
            self._by_site.setdefault(id(its_code), {}).setdefault(offset, []).append(cell)
        self._sorted = len(self.cells)
        return self._by_site.get(id(code), {}).values()


@attrs.define(eq=False, repr=False)
class _Index:
    """The steps of a growing list by a name of theirs. It catches up when it is asked."""

    _cells: list[Declared]
    _name: Callable[[Declared], str | None]
    _seen: int = 0
    # Most names are borne by one step: those cost no list.
    _first: dict[str, Declared] = attrs.field(factory=dict)
    _shared: dict[str, _Namesakes] = attrs.field(factory=dict)

    def _catch_up(self) -> None:
        for cell in self._cells[self._seen :]:
            name = self._name(cell)
            if name is None:
                continue
            first = self._first.setdefault(name, cell)
            if first is cell:
                continue
            shared = self._shared.get(name)
            if shared is None:
                shared = self._shared[name] = _Namesakes([first])
            shared.cells.append(cell)
        self._seen = len(self._cells)

    def get(self, name: str) -> Declared | _Namesakes | None:
        if self._seen != len(self._cells):
            self._catch_up()
        return self._shared.get(name) or self._first.get(name)

    def all(self, name: str) -> Sequence[Declared]:
        got = self.get(name)
        return got.cells if isinstance(got, _Namesakes) else () if got is None else (got,)

    def names(self) -> KeysView[str]:
        self._catch_up()
        return self._first.keys()


def _step_name(cell: Declared) -> str:
    return cell.name


def _function_name(cell: Declared) -> str | None:
    """None if it has none of its own."""
    name: str | None = getattr(cell.fn, "__name__", None)
    return None if name == cell.name else name


def _at(cell: Declared) -> int:
    return cell.at


# ------------------------------------------------------------------------------------------------------------- scopes


@final
@attrs.define(eq=False, repr=False)
class Scope:
    """The steps that a run, one attempt of a body, or one task declares, inside the scope that surrounds it.

    `Scope()` is a run's, `Scope(parent)` that of a body whose step was declared in `parent`, and
    `Scope(parent, parent.owner)` that of a task in a nursery of the task or body that `parent` is for. A run or a body
    is the *owner* of all that its tasks declare: it counts occurrences for them, and knows what earlier attempts declared.
    """

    parent: Scope | None = None
    _owner: Scope | None = None  # None: itself, as a reference would be a cycle
    #: The step to whose body it belongs, if it is a body's.
    body: Declared | None = None
    #: What is declared in this scope itself.
    cells: list[Declared] = attrs.field(init=False, factory=list)
    #: What is declared in all scopes of one owner, in order. It is `cells` until a task has a scope of its own.
    _declared: list[Declared] = attrs.field(init=False)
    _steps: _Index | None = attrs.field(init=False, default=None)
    _functions: _Index | None = attrs.field(init=False, default=None)
    _counts: _Index | None = attrs.field(init=False, default=None)
    #: Of an owner: what earlier attempts have declared, by (name, occurrence), and the other way round.
    _earlier: dict[tuple[str, int], Declared] | None = attrs.field(init=False, default=None)
    _numbers: dict[Declared, int] | None = attrs.field(init=False, default=None)

    def __attrs_post_init__(self) -> None:
        self._declared = self.cells if self._owner is None else self._owner._shared()

    @property
    def owner(self) -> Scope:
        """The scope of the body, or of the run, that this belongs to."""
        return self._owner or self

    def _shared(self) -> list[Declared]:
        """From now on something may belong to this owner that is not declared in its own scope."""
        if self._declared is self.cells:
            self._declared = self.cells.copy()
        return self._declared

    def add(self, cell: Declared) -> None:
        """A step has been declared, the latest of all."""
        self.cells.append(cell)
        if self._declared is not self.cells:
            self._declared.append(cell)

    def _by_step(self) -> _Index:
        if self._steps is None:
            self._steps = _Index(self.cells, _step_name)
        return self._steps

    def _by_function(self) -> _Index:
        if self._functions is None:
            self._functions = _Index(self.cells, _function_name)
        return self._functions

    # ---------------------------------------------------------------------------------------------- what names mean

    def known(self) -> KeysView[str]:
        """Names that mean a step here: those of steps and functions, from the innermost scope outwards."""
        names: dict[str, None] = {}
        scope: Scope | None = self
        while scope is not None:
            names |= dict.fromkeys(scope._by_step().names()) | dict.fromkeys(scope._by_function().names())
            scope = scope.parent
        return names.keys()

    def find(self, name: str, asker: C) -> C | None:
        """The step that `name` means where `asker`, which this scope has declared, says it.

        It is the asker itself only if nothing else has that name, and None if nothing has it.

        Raises:
            DefinitionError: if it can't be told.
        """
        own = name == asker.name or name == _function_name(asker)
        scope: Scope | None = self
        while scope is not None:
            for index in (scope._by_step, scope._by_function):  # the second is only made if it is needed
                candidates = index().get(name)
                if candidates is None:
                    continue
                found = _meant(_Question(name, asker, own, self.cells), candidates)
                if found is not None:
                    return cast(C, found)
            scope = scope.parent
        return asker if own else None

    # -------------------------------------------------------------------------------------------------- occurrences

    def _counted(self) -> _Index:
        """All that this owner has declared, by step name."""
        if self._declared is self.cells:
            return self._by_step()
        if self._counts is None:
            self._counts = _Index(self._declared, _step_name)
        return self._counts

    def occurrence(self, cell: Declared) -> int:
        """Which of the owner's steps of that name it is, in order of declaration, from 1.

        Each attempt of a body counts anew; what an earlier one has declared keeps its number.
        """
        owner = self.owner
        namesakes = owner._counted().all(cell.name)
        i = bisect_left(namesakes, cell.at, key=_at)
        if i < len(namesakes) and namesakes[i] is cell:
            return i + 1
        number = (owner._numbers or {}).get(cell)
        if number is None:  # a task of an earlier attempt is still declaring: it counts on where that attempt was
            return sum(other.name == cell.name and other.at <= cell.at for other in self._declared)
        return number

    def begin_again(self) -> None:
        """The body makes another attempt: the scope is empty, but what it held is remembered, for `earlier`."""
        earlier, numbers, counts = self._earlier or {}, self._numbers or {}, dict[str, int]()
        for cell in self._declared:
            counts[cell.name] = number = counts.get(cell.name, 0) + 1
            earlier[cell.name, number] = cell
            numbers[cell] = number
        self._earlier, self._numbers = earlier, numbers
        self.cells = self._declared = []  # not cleared: a task of the old attempt may still add to what it shares
        self._steps = self._functions = self._counts = None

    def earlier(self, name: str) -> Declared | None:
        """What an earlier attempt has declared at the (name, occurrence) of the next declaration of this name, if any.

        Occurrences are the owner's: it doesn't matter which of its tasks declares.
        """
        owner = self.owner
        if owner._earlier is None:
            return None
        return owner._earlier.get((name, len(owner._counted().all(name)) + 1))


# --------------------------------------------------------------------------------------------------------- one answer


@attrs.define(eq=False, repr=False)
class _Question:
    """Who asks for which name."""

    name: str
    asker: Declared
    #: The asker bears that name itself. Then those declared in its own place are earlier and later iterations of it: as
    #: in `total = f(total)`, the earlier ones count as above it, and the later ones can't be meant.
    own: bool
    #: What is declared in the asker's scope.
    around: list[Declared]

    def excludes(self, cell: Declared) -> bool:
        return self.own and cell.at >= self.asker.at and _is_level(cell, self.asker)

    def refuse(self, cells: Iterable[Declared], why: str) -> NoReturn:
        place = place_of(self.asker.site)
        places = list(dict.fromkeys(place_of(c.site) for c in cells))
        shown = ", ".join(places[:5]) + (f" and {len(places) - 5} more" if len(places) > 5 else "")
        raise DefinitionError(
            f"step {self.asker.name!r} ({place}) needs {self.name!r}, {why}: {shown}; "
            "say which step is meant with depends=[…]",
            step=self.asker.name,
            place=place,
        )


def _meant(question: _Question, candidates: Declared | _Namesakes) -> Declared | None:
    """Of those that bear the name in one scope, the one that is meant. None if none of them can be."""
    if isinstance(candidates, _Namesakes):
        found, placed = _by_place(question, candidates)
        return found if placed else _by_order(question, candidates.cells)
    return None if question.excludes(candidates) else _only(question, candidates)


def _only(question: _Question, cell: Declared) -> Declared:
    """A single candidate is taken wherever it stands, unless it is an earlier iteration's and ours is still to come."""
    asker = question.asker
    if cell.at < asker.at and _is_below(cell, asker) and _is_repeated(asker, question.around):
        question.refuse([cell], "which is declared further down, but so far only an earlier iteration has got there")
    return cell


def _is_repeated(asker: Declared, around: list[Declared]) -> bool:
    return any(_is_level(other, asker) for other in around if other.at < asker.at)


def _by_place(question: _Question, namesakes: _Namesakes) -> tuple[Declared | None, bool]:
    """What the places in the asker's own code say, and whether they say anything.

    If one above has been declared before: the latest that was, wherever in this code it stands, as with any Python name
    (in a loop that may be one further down, of the iteration before). Else, of those below, the first declared after.
    """
    asker, here = question.asker, _position(question.asker.site)
    before: list[Declared] = []
    after: list[Declared] = []
    above = placed = level = False
    for cells in namesakes.in_code(asker.site[0]):
        there = _position(cells[0].site)
        i = bisect_left(cells, asker.at, key=_at)
        if i:
            before.append(cells[i - 1])
        if there > here and i < len(cells):
            after.append(cells[i])
        above |= i > 0 and (there < here or (question.own and there == here))
        placed |= there != here
        level |= not question.own and there == here
    if above:
        return max(before, key=_at), True
    if level or not placed:
        return None, False
    if after:
        return min(after, key=_at), True
    candidates = [cell for cell in namesakes.cells if not question.excludes(cell)]
    if len(candidates) == 1:
        return _only(question, candidates[0]), True
    question.refuse(candidates, "and none of these belongs to it, or not yet")


def _by_order(question: _Question, cells: list[Declared]) -> Declared | None:
    """Where places say nothing: the latest that was declared before, else the first after."""
    i = bisect_left(cells, question.asker.at, key=_at)
    before = cells[i - 1] if i else None
    after = next((cells[j] for j in range(i, len(cells)) if not question.excludes(cells[j])), None)
    if before is not None and after is not None:
        question.refuse(cells, "which could be any of these")
    return after if before is None else before


# --------------------------------------------------------------------------------------------------------- parameters


def parameters_of(signature: Signature, scope: Scope, cell: C) -> dict[str, C]:
    """The step that each parameter of a step's body means, in the order of `signature.names`.

    A parameter with a default that is no other step's name keeps the default and is left out. One without a default
    that is only the step's own name means that step: a cycle, for the caller to report.

    Raises:
        DefinitionError: for a name that means no step, or of which can't be told which.
    """
    found: dict[str, C] = {}
    for name in signature.names:
        step = scope.find(name, cell)
        if name in signature.optional and (step is None or step is cell):
            continue
        if step is None:
            _refuse_unknown(name, scope, cell)
        found[name] = step
    return found


#: Names to compare a misspelt one with, at about 3 microseconds each.
_WORTH_COMPARING = 10_000


def _refuse_unknown(name: str, scope: Scope, cell: Declared) -> NoReturn:
    known = [
        other for other in islice(scope.known(), _WORTH_COMPARING) if other not in (cell.name, _function_name(cell))
    ]
    near = difflib.get_close_matches(name, known, 1)
    if near:
        hint = f"did you mean {near[0]!r}?"
    elif known:
        hint = f"there are {', '.join(map(repr, known[:5]))}{' and others' if len(known) > 5 else ''}"
    else:
        hint = "there is no other step"
    place = place_of(cell.site)
    raise DefinitionError(
        f"step {cell.name!r} ({place}) has a parameter {name!r}, but no step is called that: {hint}",
        step=cell.name,
        place=place,
    )
