"""How often and how long: retries, backoff and timeouts as frozen values, with arithmetic that is only arithmetic.

Nothing here sleeps, draws a random number or calls the user's code. The machine hands in what it has drawn or what a
delay function has returned and gets back a number of seconds; so every rule about time can be proved without a clock.
(A library for retries was rejected: those that run on Trio keep their time budgets by `time.monotonic`, which
`MockClock` doesn't move, and a durable retry has to be recorded between the decision and the sleep.)

A policy is checked when it is made: one that exists can be used. `StepConfig` and `Retries` are ours and take durations
that say their unit; a dict with Cloudflare's keys is Cloudflare's and may hold numbers of milliseconds.
`step_config` is the one door from the second form to the first, and it never changes what it is given, since one
constant is often shared by many steps.
"""

from __future__ import annotations

import difflib
import inspect
import math
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from typing import Any, Final, Literal, Required, TypeAlias, TypedDict, final

import attrs

from ._errors import ConfigError, CycleError, DeadlockError, DefinitionError, NonRetryableError
from ._time import LONGEST, Duration, SpelledDuration, is_number, named, spelled, spelled_seconds

#: How the delay grows from retry to retry.
Backoff: TypeAlias = Literal["constant", "linear", "exponential"]

#: Computes the delay before a retry: called with the step context and the error of the attempt that has just failed.
DelayFunction: TypeAlias = Callable[[Any, Exception], SpelledDuration]

_BACKOFFS: Final = ("constant", "linear", "exponential")


class RetriesDict(TypedDict, total=False):
    """The dict form of `Retries`. Numbers are milliseconds."""

    limit: Required[int]
    delay: Required[Duration | Callable[[Any, Exception], Duration]]
    backoff: Backoff
    jitter: float
    max_delay: Duration | None


class StepConfigDict(TypedDict, total=False):
    """The dict form of `StepConfig`, with Cloudflare's keys. Numbers are milliseconds.

    A type checker wants to see the name where such a dict is kept in a constant: `CONFIG: StepConfigDict = {...}`.
    """

    retries: Retries | RetriesDict | None
    timeout: Duration | None
    sensitive: Literal["output"] | None


def _check_limit(_: object, __: attrs.Attribute[int], limit: object) -> None:
    if not isinstance(limit, int) or isinstance(limit, bool) or limit < 0:
        raise ConfigError(
            f"limit of retries can't be {named(limit)}: it is the number of retries after the first attempt, a whole "
            "number, 0 or more"
        )


def _check_delay(_: object, __: attrs.Attribute[Any], delay: object) -> None:
    if not callable(delay):
        return
    if inspect.iscoroutinefunction(delay):
        raise ConfigError(f"delay can't be {named(delay)}: a delay is computed by a plain function, not an async one")
    try:
        signature = inspect.signature(delay)
    except (TypeError, ValueError):  # some that are written in C don't tell
        return
    try:
        signature.bind(None, None)
    except TypeError as exc:
        raise ConfigError(f"delay can't be {named(delay)}: it will be called with (ctx, error); {exc}") from None


def _check_backoff(_: object, __: attrs.Attribute[Backoff], backoff: object) -> None:
    if not isinstance(backoff, str) or backoff not in _BACKOFFS:
        hint = _did_you_mean(backoff, _BACKOFFS)
        raise ConfigError(f"backoff can't be {named(backoff)}{hint}: choose one of {', '.join(_BACKOFFS)}")


def _check_jitter(_: object, __: attrs.Attribute[float], jitter: object) -> None:
    if not is_number(jitter) or not 0 <= jitter <= 1:
        raise ConfigError(
            f"jitter can't be {named(jitter)}: it is the part of each delay that is left to chance, from 0.0 to 1.0"
        )


def _check_sensitive(_: object, __: attrs.Attribute[Any], sensitive: object) -> None:
    if sensitive is not None and not (isinstance(sensitive, str) and sensitive == "output"):
        raise ConfigError(f'sensitive can\'t be {named(sensitive)}: only "output" is, or None')


def _function_of(delay: object) -> object:
    """What of a `delay` is compared: a function. Of text and `timedelta` the seconds are; they have their own field."""
    return delay if callable(delay) else None


@final
@attrs.frozen
class Retries:
    """How often a failed step is tried again, and after which delays.

    >>> Retries(3, "10 seconds").delay_seconds
    10.0

    Two are equal if they mean the same: "60 seconds" equals "1 minute". Hashable, unless `delay` is a function that
    isn't.

    Raises `ConfigError` (a `ValueError`) for a value that can't be used, a bare number as duration among them.
    """

    #: How many retries there may be after the first attempt (so there are at most `limit + 1` attempts), 0 or more.
    limit: int = attrs.field(validator=_check_limit)
    #: Base of the delay before a retry: text such as "10 seconds", a `timedelta`, or a plain function `(ctx, error)`
    #: that returns one of these. The function is called once for each failed attempt that will be retried.
    delay: SpelledDuration | DelayFunction = attrs.field(validator=_check_delay, eq=_function_of)
    #: Delay before retry n = 1, 2, … of base d: "constant" d, "linear" d·n, "exponential" d·2ⁿ⁻¹.
    backoff: Backoff = attrs.field(default="exponential", validator=_check_backoff)
    #: Which part of each delay is left to chance, from 0.0 to 1.0: after backoff and `max_delay` the delay is shortened
    #: by a random part of it, evenly drawn, at most this. 0.0 keeps it, 0.2 gives something between 80 and 100 % of it,
    #: 1.0 something between nothing and all of it ("full jitter"). Never lengthened, it stays within `max_delay`.
    jitter: float = attrs.field(default=0.0, kw_only=True, validator=_check_jitter)
    #: What the backoff may grow to: no delay is longer. None: no limit.
    max_delay: SpelledDuration | None = attrs.field(default=None, kw_only=True, eq=False)

    #: `delay` in seconds, or None if it is a function.
    delay_seconds: float | None = attrs.field(init=False, repr=False)
    #: `max_delay` in seconds.
    max_delay_seconds: float | None = attrs.field(init=False, repr=False)

    @delay_seconds.default
    def _(self) -> float | None:
        return None if callable(self.delay) else spelled_seconds(self.delay, what="delay")

    @max_delay_seconds.default
    def _(self) -> float | None:
        return None if self.max_delay is None else spelled_seconds(self.max_delay, what="max_delay")


def _as_retries(value: Retries | RetriesDict | None) -> Retries | None:
    if value is None or isinstance(value, Retries):
        return value
    if not isinstance(value, Mapping):
        raise ConfigError(
            f'retries can\'t be {named(value)}: write Retries(5, "10 seconds") or {{"limit": 5, "delay": "10 seconds"}}'
        )
    _check_keys(value, _RETRIES_KEYS, "retries", dict.fromkeys(_CONFIG_KEYS, "beside retries"))
    missing = [key for key in ("limit", "delay") if value.get(key) is None]
    if missing:
        raise ConfigError(f'retries needs {" and ".join(missing)} too, as in {{"limit": 5, "delay": "10 seconds"}}')
    delay = value["delay"]
    return Retries(
        value["limit"],
        _InMilliseconds(delay) if callable(delay) else spelled(delay, what="delay"),
        value.get("backoff", "exponential"),
        jitter=value.get("jitter", 0.0),
        max_delay=_limit_from(value.get("max_delay"), "max_delay"),
    )


@final
@attrs.frozen
class StepConfig:
    """How a step is run: whether it is tried again, and how long one attempt may take.

    `StepConfig()` says: once, and as long as it takes.

    >>> StepConfig(Retries(3, "10 seconds"), timeout="1 minute").timeout_seconds
    60.0

    Two are equal if they mean the same: "60 seconds" equals "1 minute". Hashable if its retries are.

    Raises `ConfigError` (a `ValueError`) for a value that can't be used, a bare number as `timeout` among them.
    """

    #: When to try again; None: never. A dict with Cloudflare's keys becomes a `Retries`.
    retries: Retries | None = attrs.field(default=None, converter=_as_retries)
    #: How long one attempt of the body may take (not its dependencies, nor the delays between attempts), as text or
    #: `timedelta`; None: as long as it likes. "0 seconds" is allowed: an attempt then has no time to wait for anything.
    timeout: SpelledDuration | None = attrs.field(default=None, eq=False)
    #: "output" keeps what the step returns out of everything that is shown to people; the value itself is used as ever.
    sensitive: Literal["output"] | None = attrs.field(default=None, kw_only=True, validator=_check_sensitive)

    #: `timeout` in seconds.
    timeout_seconds: float | None = attrs.field(init=False, repr=False)

    @timeout_seconds.default
    def _(self) -> float | None:
        return None if self.timeout is None else spelled_seconds(self.timeout, what="timeout")


#: No retry, no timeout.
DEFAULT: Final = StepConfig()

_RETRIES_KEYS: Final = ("limit", "delay", "backoff", "jitter", "max_delay")
_CONFIG_KEYS: Final = ("retries", "timeout", "sensitive")


def step_config(value: StepConfig | StepConfigDict) -> StepConfig:
    """The configuration of a step, from a `StepConfig` (handed back as it is) or from a dict with Cloudflare's keys.

    The keys are `retries` (a `Retries`, or a dict with `limit` and `delay`, both needed, `backoff`, and ours: `jitter`
    and `max_delay`), `timeout` and `sensitive`. A key that is left out means "none", and so does None; but `backoff`
    and `jitter` have other defaults, and None is no value for them. Numbers are milliseconds, those too that a delay
    function returns. A bare 0 as `timeout` or `max_delay` is refused, because it reads like "no limit" and would do
    the opposite; "0 seconds" is taken at its word. The dict is neither changed nor kept.

    >>> step_config({"retries": {"limit": 5, "delay": 250}, "timeout": "10 minutes"})
    StepConfig(retries=Retries(limit=5, delay=datetime.timedelta(microseconds=250000), backoff='exponential', \
jitter=0.0, max_delay=None), timeout='10 minutes', sensitive=None)

    Raises `ConfigError` (a `ValueError`), naming key and value, for an unknown key or value, for `retries` with only a
    limit or only a delay, and for anything that is no configuration.
    """
    if isinstance(value, StepConfig):
        return value
    if not isinstance(value, Mapping):
        raise ConfigError(
            f'config can\'t be {named(value)}: write StepConfig(timeout="1 minute") or {{"timeout": "1 minute"}}, '
            f"with the keys {', '.join(_CONFIG_KEYS)}"
        )
    _check_keys(value, _CONFIG_KEYS, "config", dict.fromkeys(_RETRIES_KEYS, "inside retries"))
    return StepConfig(
        value.get("retries"),
        _limit_from(value.get("timeout"), "timeout"),
        sensitive=value.get("sensitive"),
    )


def as_mapping(config: StepConfig) -> dict[str, Any]:
    """The configuration as `ctx.config` shows it, with Cloudflare's keys: a new dict of dicts, texts and numbers only.

    Durations are as they were written, a `timedelta` as a number of milliseconds. `retries` and `timeout` are always
    there: no retries are a `limit` of 0, no timeout is None. Left out are a `delay` that is a function, and `jitter`,
    `max_delay` and `sensitive` where they say nothing.

    >>> as_mapping(StepConfig(Retries(2, "1 second", "linear")))
    {'retries': {'limit': 2, 'delay': '1 second', 'backoff': 'linear'}, 'timeout': None}
    """
    policy = config.retries or _NO_RETRIES
    retries: dict[str, Any] = {"limit": policy.limit}
    if not callable(policy.delay):
        retries["delay"] = _written(policy.delay)
    retries["backoff"] = policy.backoff
    if policy.jitter:
        retries["jitter"] = policy.jitter
    if policy.max_delay is not None:
        retries["max_delay"] = _written(policy.max_delay)
    timeout = None if config.timeout is None else _written(config.timeout)
    shown: dict[str, Any] = {"retries": retries, "timeout": timeout}
    if config.sensitive is not None:
        shown["sensitive"] = config.sensitive
    return shown


def delay_before(retries: Retries, retry: int, *, random: float, base: float | None = None) -> float:
    """The delay before a retry, in seconds. `retry` counts from 1; `random` is drawn evenly from [0, 1) for each.

    `base` is for a `delay` that is a function: what `returned_delay` makes of its result.

    The backoff comes first, then `max_delay`, then `jitter`. However high `retry` is, the result is a duration: it
    never grows beyond `LONGEST`.

    >>> [delay_before(Retries(4, "10 seconds", max_delay="1 minute"), retry, random=0.5) for retry in (1, 2, 3, 4)]
    [10.0, 20.0, 40.0, 60.0]
    """
    base = retries.delay_seconds if base is None else base
    if base is None:
        raise TypeError("the delay of these retries is a function: call it, and pass its result as base=")
    longest = LONGEST if retries.max_delay_seconds is None else retries.max_delay_seconds
    return min(_grown(base, retries.backoff, retry), longest) * (1 - retries.jitter * random)


def returned_delay(value: SpelledDuration) -> float:
    """What a delay function has returned, in seconds: the `base` of `delay_before`.

    A bare number is refused, as everywhere in `Retries`: what a server says in `Retry-After` is seconds, and silently
    read as milliseconds it would have the server hammered. (Functions that come from a dict may return numbers: those
    are milliseconds, and `step_config` has seen to it.)

    Raises `ConfigError`.
    """
    return spelled_seconds(value, what="what the delay function returned")


def is_retryable(error: BaseException) -> bool:
    """Whether another attempt may help: not after a `NonRetryableError`, neither plain nor anywhere in a group.

    Nor after a mistake in how the body declares or awaits steps (`DefinitionError`, `ConfigError`, `CycleError`,
    `DeadlockError`): the next attempt would be the same code. Nor after what isn't an `Exception` (`KeyboardInterrupt`,
    `trio.Cancelled`): that is no failure of the step.
    """
    pending = [error]  # not recursive: groups may be nested deeper than Python's stack
    while pending:
        error = pending.pop()
        if isinstance(error, _FINAL) or not isinstance(error, Exception):
            return False
        if isinstance(error, ExceptionGroup):
            pending.extend(error.exceptions)
    return True


#: What another attempt would end with, too. Not a `WorkflowTimeoutError` or a `RunClosedError`: those may be a matter of time.
_FINAL: Final = (NonRetryableError, DefinitionError, ConfigError, CycleError, DeadlockError)

_NO_RETRIES: Final = Retries(0, timedelta())


@final
@attrs.frozen
class _InMilliseconds:
    """A delay function out of a dict, where numbers are milliseconds, as the `DelayFunction` that `Retries` wants."""

    function: Callable[[Any, Exception], Duration] = attrs.field(validator=_check_delay)

    def __call__(self, ctx: Any, error: Exception) -> SpelledDuration:
        return spelled(self.function(ctx, error), what="what the delay function returned")


def _limit_from(value: Duration | None, what: str) -> SpelledDuration | None:
    """A limit out of a dict. A bare 0 is refused: it reads like "no limit", and would do the opposite."""
    if value is None:
        return None
    if is_number(value) and value == 0:
        raise ConfigError(
            f'{what} can\'t be {named(value)}: for no limit leave it out, for none at all write "0 seconds"'
        )
    return spelled(value, what=what)


def _check_keys(given: Mapping[Any, Any], known: tuple[str, ...], what: str, elsewhere: Mapping[str, str]) -> None:
    unknown = [key for key in given if key not in known]
    if unknown:
        hints = [
            named(key) + (f" (it goes {elsewhere[key]})" if key in elsewhere else _did_you_mean(key, known))
            for key in unknown
        ]
        raise ConfigError(f"{what} can't have {', '.join(hints)}: its keys are {', '.join(known)}")


def _did_you_mean(word: object, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(word, list(known), 1) if isinstance(word, str) else []
    return f" (did you mean {near[0]!r}?)" if near else ""


def _written(duration: SpelledDuration) -> str | int | float:
    """A duration as a person would find it in a dict: text as it is, a `timedelta` in milliseconds."""
    if isinstance(duration, str):
        return duration
    milliseconds = duration / timedelta(milliseconds=1)
    return int(milliseconds) if milliseconds.is_integer() else milliseconds


def _grown(base: float, backoff: Backoff, retry: int) -> float:
    try:
        if backoff == "constant":
            return base
        return base * retry if backoff == "linear" else math.ldexp(base, retry - 1)
    except OverflowError:  # 2 to the power of 1,024 has no float, and `limit` may be 10,000
        return math.inf
