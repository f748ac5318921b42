"""Has it become slower? Two reports, case by case, with as much doubt as both deserve.

Compared is what each report measured beside its own floor, in its own minute: a faster machine, or a busier one, moves
both sides. The change of a case is the quotient of the two medians, and it is known as well as both are: from the
quartiles of its rounds each median gets a standard error, and a case counts as slower only if the change less `DOUBT`
of these errors is still more than `TOLERANCE`. Three errors, because fifty cases are fifty chances to be wrong. Two
processes of the same tree differ by more than their rounds say: where things happen to lie in memory makes a case faster or
slower by a tenth for a whole process (`DRIFT`, as measured). Only more processes help against that, so a report that is to
be compared is best made with `--processes 5`; with one process a fifth more doesn't show. Whoever has the code at hand
measures such a case again (the command does) and believes it if it is slower twice.

On a busy machine a single case is known so badly that a fifth more doesn't show. What has slowed down has mostly slowed
down many cases, though, and their noise is their own: so each family of cases (those whose names begin alike) is compared
as a whole, too, by the mean of its changes, with the error that their differences among each other give it.

What it can see is in the report: the slowdown that half of the cases would have shown, and each family. What it can't:
costs that the floor has too, times that stand beside nothing, a case with fewer than `LEAST` rounds; and a case or two that
got slower by less than what is visible.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Final, Literal, TypeAlias, final

import attrs

from ._measure import Measured, Spread

Verdict: TypeAlias = Literal["slower", "faster", "same", "not compared"]

TOLERANCE: Final = 0.05
DOUBT: Final = 3.0
LEAST: Final = 3
#: How many cases a family needs to be compared as a whole.
FAMILY: Final = 5
#: No figure that was read a few times is known better than this.
FINEST: Final = 0.02
#: The standard deviation of a case's medians from process to process, and of what all cases of a family share of it.
DRIFT: Final = 0.06
SHARED_DRIFT: Final = 0.03
#: The quartiles of a normal spread are this many standard deviations apart, and a median's error is this much
#: larger than a mean's.
QUARTILES_APART: Final = 1.349
MEDIANS_ERROR: Final = 1.2533


@final
@attrs.frozen(kw_only=True)
class Change:
    """One case in both reports."""

    name: str
    #: New ÷ old; above 1 is worse. The bounds are those of the doubt. NaN if it wasn't compared.
    ratio: float = math.nan
    low: float = math.nan
    high: float = math.nan
    #: Why it wasn't compared.
    reason: str = ""
    #: How much of both reports' error a family shares.
    shared: float = 0.0
    #: Which family this is the change of; none if it is that of a case.
    family: str = ""

    @property
    def verdict(self) -> Verdict:
        if self.reason:
            return "not compared"
        if self.low > 1 + TOLERANCE:
            return "slower"
        return "faster" if self.high < 1 / (1 + TOLERANCE) else "same"

    @property
    def visible(self) -> float:
        """The least change that would have counted as slower."""
        return (1 + TOLERANCE) * self.ratio / self.low


def compared(old: Sequence[Measured], new: Sequence[Measured]) -> list[Change]:
    """A change for each case of `new`."""
    before: Mapping[str, Measured] = {measured.case.name: measured for measured in old}
    return [change(before.get(measured.case.name), measured) for measured in new]


def change(old: Measured | None, new: Measured) -> Change:
    """What has become of one case."""
    name = new.case.name
    if old is None:
        return Change(name=name, reason="it is not in the old report")
    for age, measured in (("old", old), ("new", new)):
        if not measured.has_figures:
            return Change(name=name, reason=f"the {age} report has no figures of it")
    exact = new.case.unit == "bytes"
    if not new.beside and not exact:
        return Change(name=name, reason="it stands beside nothing, and the machine may have changed")
    if not exact and min(len(old.ours), len(new.ours)) < LEAST:
        return Change(name=name, reason=f"fewer than {LEAST} rounds")
    if min(*old.ours, *old.beside, *new.ours, *new.beside) <= 0:
        return Change(name=name, reason="a difference that is hardly more than nothing")
    (was, doubt_before), (is_, doubt_now) = _known(old), _known(new)
    doubt = DOUBT * math.hypot(doubt_before, doubt_now)
    apart = is_ - was
    shared = 0.0 if exact else SHARED_DRIFT * math.sqrt(1 / old.processes + 1 / new.processes)
    low, high = math.exp(apart - doubt), math.exp(apart + doubt)
    return Change(name=name, ratio=math.exp(apart), low=low, high=high, shared=shared)


def _known(measured: Measured) -> tuple[float, float]:
    """The logarithm of the median, and its standard error."""
    beside = measured.beside or [1.0] * len(measured.ours)
    logs = [math.log(ours / other) for ours, other in zip(measured.ours, beside, strict=True)]
    spread, exact = Spread.of(logs), measured.case.unit == "bytes" and not measured.beside
    error = MEDIANS_ERROR * (spread.q3 - spread.q1) / QUARTILES_APART / math.sqrt(len(logs))
    error = math.hypot(max(error, FINEST / math.sqrt(len(logs))), DRIFT / math.sqrt(measured.processes))
    return statistics.median(logs), 0.0 if exact else error


def together(changes: Sequence[Change]) -> list[Change]:
    """Each family of cases as a whole."""
    families: dict[str, list[Change]] = {}
    for one in changes:
        if one.verdict != "not compared":
            families.setdefault(one.name.split()[0], []).append(one)
    return [_as_one(name, members) for name, members in families.items() if len(members) >= FAMILY]


def _as_one(family: str, members: Sequence[Change]) -> Change:
    logs = [math.log(one.ratio) for one in members]
    middle = statistics.mean(logs)
    own = max(statistics.stdev(logs), FINEST) / math.sqrt(len(logs))
    error = math.hypot(own, max(one.shared for one in members))
    low, high = math.exp(middle - DOUBT * error), math.exp(middle + DOUBT * error)
    return Change(
        name=f"{family} ({len(logs)} cases as one)", ratio=math.exp(middle), low=low, high=high, family=family
    )


def suspected(changes: Sequence[Change]) -> set[str]:
    """The names of the cases that seem slower, by themselves or as a family."""
    families = {one.family for one in changes if one.family and one.verdict == "slower"}
    return {
        one.name for one in changes if not one.family and (one.verdict == "slower" or one.name.split()[0] in families)
    }


def summary(changes: Sequence[Change]) -> str:
    """What is different, and what could have been seen."""
    lines = []
    for one in changes:
        if one.family or one.verdict in ("slower", "faster"):
            lines.append(f"{one.verdict}: {one.name}: {one.ratio:.2f} x ({one.low:.2f}-{one.high:.2f})")
    done = [one for one in changes if one.verdict != "not compared" and not one.family]
    count = {word: sum(one.verdict == word for one in done) for word in ("slower", "faster", "same")}
    lines.append("{} cases compared: {slower} slower, {faster} faster, {same} the same".format(len(done), **count))
    if done:
        middle = statistics.median(one.ratio for one in done)
        visible = statistics.median(one.visible for one in done) - 1
        lines.append(f"the middle case is at {middle:.2f} x; half of them would have shown a slowdown of {visible:.0%}")
    for one in changes:
        if one.verdict == "not compared":
            lines.append(f"not compared: {one.name}: {one.reason}")
    return "\n".join(lines)
