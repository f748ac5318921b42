"""P18: how often a step is tried again, after which delays, and what a configuration may say."""

from __future__ import annotations

import copy
import functools
import operator
import pickle
from collections.abc import Callable
from datetime import timedelta
from types import MappingProxyType
from typing import Any

import attrs
import pytest
import trio
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from trio.testing import MockClock

from trioflow import StepContext, WorkflowStep, run_workflow
from trioflow._errors import (
    ConfigError,
    CycleError,
    DeadlockError,
    DefinitionError,
    NonRetryableError,
    RunClosedError,
    WorkflowTimeoutError,
)
from trioflow._policy import (
    DEFAULT,
    Retries,
    StepConfig,
    as_mapping,
    delay_before,
    is_retryable,
    returned_delay,
    step_config,
)
from trioflow._time import LONGEST, named, spelled_seconds

BACKOFFS = ("constant", "linear", "exponential")
HOUR = timedelta(hours=1)


def an_hour(ctx: object, error: Exception) -> timedelta:
    return HOUR


async def an_hour_later(ctx: object, error: Exception) -> timedelta:
    return HOUR


class Unhashable:
    __hash__ = None  # type: ignore[assignment]

    def __call__(self, ctx: object, error: Exception) -> timedelta:
        return HOUR


class Unsigned:
    """Callable, but inspect can't tell with what."""

    __signature__ = "no signature"

    def __call__(self, *args: object) -> timedelta:
        return HOUR


texts = st.builds("{} {}".format, st.integers(0, 10_000), st.sampled_from(["seconds", "minute", "hours", "days"]))
durations = texts | st.timedeltas(timedelta(), timedelta(days=10_000))
milliseconds = st.integers(0, 10**9) | st.floats(0, 1e9)
jitters = st.floats(0, 1)
draws = st.floats(0, 1, exclude_max=True)
retries_values = st.builds(
    Retries,
    st.integers(0, 10_000),
    durations,
    st.sampled_from(BACKOFFS),
    jitter=jitters,
    max_delay=st.none() | durations,
)
retries_dicts = st.fixed_dictionaries(
    {"limit": st.integers(0, 10_000), "delay": durations | milliseconds},
    optional={
        "backoff": st.sampled_from(BACKOFFS),
        "jitter": jitters,
        "max_delay": st.none() | durations | milliseconds.filter(bool),
    },
)
config_dicts = st.fixed_dictionaries(
    {},
    optional={
        "retries": st.none() | retries_dicts | retries_values,
        "timeout": st.none() | durations | milliseconds.filter(bool),
        "sensitive": st.sampled_from([None, "output"]),
    },
)


def short(value: object) -> str:
    """A test's id: pytest's own would need the 5,000 digits of a number."""
    return named(value)[:40]


# Values that are made by hand


def test_the_default_is_no_retry_and_no_timeout() -> None:
    assert StepConfig() == DEFAULT
    assert (DEFAULT.retries, DEFAULT.timeout, DEFAULT.timeout_seconds, DEFAULT.sensitive) == (None, None, None, None)


def test_retries_need_a_limit_and_a_delay_and_are_exponential_then() -> None:
    retries = Retries(3, "10 seconds")
    assert (retries.limit, retries.delay, retries.backoff) == (3, "10 seconds", "exponential")
    assert (retries.delay_seconds, retries.jitter, retries.max_delay, retries.max_delay_seconds) == (
        10.0,
        0,
        None,
        None,
    )
    for incomplete in ({"limit": 3}, {"delay": "10 seconds"}, {}):
        with pytest.raises(TypeError):
            Retries(**incomplete)


@settings(deadline=None)
@given(durations, durations, durations)
def test_durations_are_kept_as_written_and_in_seconds(delay: Any, max_delay: Any, timeout: Any) -> None:
    retries = Retries(1, delay, max_delay=max_delay)
    config = StepConfig(retries, timeout)
    assert (retries.delay, retries.max_delay, config.timeout) == (delay, max_delay, timeout)
    assert retries.delay_seconds == spelled_seconds(delay)
    assert retries.max_delay_seconds == spelled_seconds(max_delay)
    assert config.timeout_seconds == spelled_seconds(timeout)


def test_jitter_max_delay_and_sensitive_are_keyword_only() -> None:
    with pytest.raises(TypeError):
        Retries(1, "1 second", "constant", 0.5)  # type: ignore[call-arg]
    with pytest.raises(TypeError):
        StepConfig(None, None, "output")  # type: ignore[call-arg]


BAD_LIMITS = [-1, -(10**5_000), 1.5, 3.0, True, "3", None, float("inf"), [3]]
BAD_DURATIONS = ["5 min", "1 second ", "", -HOUR, True, b"1 second", [], float("nan"), -1, 10**5_000]
BAD_BACKOFFS = ["x", "Linear", "", None, 2, ["linear"], lambda: 1]
BAD_JITTERS = [-0.1, 1.1, float("nan"), True, "0.5", None, 10**5_000]
BAD_SENSITIVES = [True, False, "input", "", ["output"]]


@pytest.mark.parametrize(
    ("make", "bad", "names"),
    [
        *((lambda bad: Retries(bad, "1 second"), bad, "limit") for bad in BAD_LIMITS),
        *((lambda bad: Retries(1, bad), bad, "delay") for bad in [*BAD_DURATIONS, 10, 0.5, 0, None]),
        *((lambda bad: Retries(1, HOUR, bad), bad, "backoff") for bad in BAD_BACKOFFS),
        *((lambda bad: Retries(1, HOUR, jitter=bad), bad, "jitter") for bad in BAD_JITTERS),
        *((lambda bad: Retries(1, HOUR, max_delay=bad), bad, "max_delay") for bad in [*BAD_DURATIONS, 10, 0.5, 0]),
        *((lambda bad: StepConfig(timeout=bad), bad, "timeout") for bad in [*BAD_DURATIONS, 10, 0.5, 0]),
        *((lambda bad: StepConfig(sensitive=bad), bad, "sensitive") for bad in BAD_SENSITIVES),
        *((lambda bad: StepConfig(retries=bad), bad, "retries") for bad in [3, True, "3", [3, "1 second"], DEFAULT]),
        *(
            (lambda bad: step_config({"retries": {"limit": bad, "delay": 1}}), bad, "limit")
            for bad in BAD_LIMITS
            if bad
        ),
        *((lambda bad: step_config({"retries": {"limit": 1, "delay": bad}}), bad, "delay") for bad in BAD_DURATIONS),
        *(
            (lambda bad: step_config({"retries": {"limit": 1, "delay": 1, "backoff": bad}}), bad, "backoff")
            for bad in BAD_BACKOFFS
        ),
        *(
            (lambda bad: step_config({"retries": {"limit": 1, "delay": 1, "jitter": bad}}), bad, "jitter")
            for bad in BAD_JITTERS
        ),
        *(
            (lambda bad: step_config({"retries": {"limit": 1, "delay": 1, "max_delay": bad}}), bad, "max_delay")
            for bad in [*BAD_DURATIONS, 0, 0.0]
        ),
        *((lambda bad: step_config({"timeout": bad}), bad, "timeout") for bad in [*BAD_DURATIONS, 0, 0.0, "0"]),
        *((lambda bad: step_config({"sensitive": bad}), bad, "sensitive") for bad in BAD_SENSITIVES),
        *(
            (lambda bad: step_config({"retries": bad}), bad, "retries")
            for bad in [3, True, "3", [3, "1 second"], DEFAULT]
        ),
        *((step_config, bad, "config") for bad in [None, 3, True, "1 minute", [("timeout", 1)], StepConfig]),
    ],
    ids=short,
)
def test_what_cannot_be_used_is_refused_at_birth_naming_the_field_and_the_value(
    make: Callable[[Any], object], bad: Any, names: str
) -> None:
    with pytest.raises(ConfigError) as info:
        make(bad)
    assert str(info.value).startswith((f"{names} can't be {named(bad)}", f"{names} of retries can't be {named(bad)}"))
    assert isinstance(info.value, ValueError)


@settings(deadline=None)
@given(
    st.sampled_from(["limit", "delay", "backoff", "jitter", "max_delay", "timeout", "sensitive", "retries"]), st.data()
)
def test_whatever_a_dict_holds_it_is_a_configuration_or_a_config_error(key: str, data: st.DataObject) -> None:
    scalars: st.SearchStrategy[Any] = st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.binary(), st.timedeltas()
    )
    value = data.draw(scalars | st.lists(scalars, max_size=2) | st.dictionaries(st.text(), scalars, max_size=2))
    outer = key in ("timeout", "sensitive", "retries")
    given = {key: value} if outer else {"retries": {"limit": 1, "delay": 1, key: value}}
    refusal, config = None, None
    try:
        config = step_config(given)  # type: ignore[arg-type]
    except ConfigError as exc:
        refusal = str(exc)
    assert isinstance(config, StepConfig) if refusal is None else key in refusal


# Equality, immutability


@settings(deadline=None)
@given(config_dicts)
def test_equal_configurations_have_equal_hashes_and_survive_copy_and_pickle(given: Any) -> None:
    config = step_config(given)
    for same in (step_config(given), copy.deepcopy(config), pickle.loads(pickle.dumps(config)), attrs.evolve(config)):
        assert same == config
        assert hash(same) == hash(config)
        assert repr(same) == repr(config)


def test_two_spellings_of_one_duration_are_equal() -> None:
    minute = [
        StepConfig(Retries(3, "1 minute", max_delay="1 hour"), "1 minute"),
        StepConfig(Retries(3, "60 seconds", max_delay="60 minutes"), timedelta(minutes=1)),
        step_config({"retries": {"limit": 3, "delay": 60_000, "max_delay": 3_600_000}, "timeout": 60_000}),
    ]
    assert len(set(minute)) == 1
    assert minute[0] != attrs.evolve(minute[0], timeout="61 seconds")
    assert minute[0] != attrs.evolve(minute[0], retries=Retries(3, "61 seconds", max_delay="1 hour"))
    assert minute[0] != attrs.evolve(minute[0], retries=Retries(3, "1 minute", max_delay="2 hours"))
    assert minute[0] != attrs.evolve(minute[0], retries=Retries(3, "1 minute"))


def test_a_configuration_is_hashable_where_its_delay_function_is() -> None:
    assert Retries(1, an_hour) == Retries(1, an_hour)
    assert hash(Retries(1, an_hour)) == hash(Retries(1, an_hour))
    assert Retries(1, an_hour) != Retries(1, lambda ctx, error: HOUR)
    assert Retries(1, an_hour) != Retries(1, HOUR)
    with pytest.raises(TypeError, match="unhashable"):
        hash(StepConfig(Retries(1, Unhashable())))


@settings(deadline=None)
@given(config_dicts)
def test_a_configuration_cannot_be_changed(given: Any) -> None:
    config = step_config(given)
    fields: list[tuple[object, Any]] = [(config, field) for field in attrs.fields(StepConfig)]
    if config.retries is not None:
        fields += [(config.retries, field) for field in attrs.fields(Retries)]
    for value, field in fields:
        with pytest.raises(attrs.exceptions.FrozenInstanceError):
            setattr(value, field.name, None)


@settings(deadline=None)
@given(config_dicts)
def test_a_dict_is_neither_changed_nor_kept(given: Any) -> None:
    before = copy.deepcopy(given)
    config = step_config(given)
    assert given == before
    if isinstance(given.get("retries"), dict):
        given["retries"]["limit"] = 77_777
    given["timeout"] = "7 years"
    assert config == step_config(before)


# Cloudflare's dict


@settings(deadline=None)
@given(config_dicts)
def test_a_dict_means_what_the_same_values_made_by_hand_mean(given: Any) -> None:
    def by_hand(value: Any) -> Any:
        return timedelta(milliseconds=value) if isinstance(value, int | float) else value

    retries = given.get("retries")
    if isinstance(retries, dict):
        retries = Retries(
            retries["limit"],
            by_hand(retries["delay"]),
            retries.get("backoff", "exponential"),
            jitter=retries.get("jitter", 0.0),
            max_delay=by_hand(retries.get("max_delay")),
        )
    config = step_config(given)
    assert config == StepConfig(retries, by_hand(given.get("timeout")), sensitive=given.get("sensitive"))


def test_numbers_in_a_dict_are_milliseconds() -> None:
    config = step_config({"retries": {"limit": 2, "delay": 100, "max_delay": 1_500}, "timeout": 200.5})
    assert config.retries is not None
    assert config.retries.delay_seconds == 0.1
    assert config.retries.max_delay_seconds == 1.5
    assert config.timeout_seconds == 0.2005


def test_a_step_config_is_handed_back_as_it_is_and_any_mapping_will_do() -> None:
    config = StepConfig(timeout="1 minute")
    assert step_config(config) is config
    assert step_config(MappingProxyType({"timeout": "1 minute"})) == config  # type: ignore[arg-type]


@pytest.mark.parametrize("empty", [{}, {"retries": None}, {"retries": None, "timeout": None, "sensitive": None}])
def test_what_a_dict_leaves_out_or_sets_to_none_is_none(empty: Any) -> None:
    assert step_config(empty) == DEFAULT


def test_a_dict_is_accepted_as_retries_of_a_step_config() -> None:
    config = StepConfig(retries={"limit": 3, "delay": 1_000}, timeout="1 minute")
    assert config == StepConfig(Retries(3, "1 second"), "1 minute")
    assert step_config({"retries": Retries(3, "1 second"), "timeout": 60_000}) == config


@pytest.mark.parametrize(
    ("retries", "missing"),
    [
        ({"limit": 3}, "delay"),
        ({"delay": "1 second"}, "limit"),
        ({"limit": 3, "delay": None}, "delay"),
        ({"limit": None, "delay": 1}, "limit"),
        ({}, "limit and delay"),
        ({"backoff": "linear"}, "limit and delay"),
    ],
)
def test_retries_with_only_a_limit_or_only_a_delay_are_refused(retries: Any, missing: str) -> None:
    with pytest.raises(ConfigError, match=f"^retries needs {missing} too"):
        step_config({"retries": retries})


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (
            {"retry": {}},
            "config can't have 'retry' (did you mean 'retries'?): its keys are retries, timeout, sensitive",
        ),
        ({"limit": 3}, "'limit' (it goes inside retries)"),
        ({"max_delay": 3}, "'max_delay' (it goes inside retries)"),
        ({"retries": {"limit": 3, "delay": 1, "timeout": 5}}, "retries can't have 'timeout' (it goes beside retries)"),
        ({"retries": {"limit": 3, "delay": 1, "maxDelay": 5}}, "'maxDelay' (did you mean 'max_delay'?)"),
        (
            {"retries": {"limits": 3, "wait": 1}},
            "'limits' (did you mean 'limit'?), 'wait': its keys are limit, delay, backoff, jitter, max_delay",
        ),
        ({3: 4, None: 5}, "config can't have 3, None: "),
        ({"retries": {"limit": 3, "delay": 1, "backoff": "exponentail"}}, "(did you mean 'exponential'?)"),
        ({"retries": {"limit": 3, "delay": 1, "backoff": "x"}}, "choose one of constant, linear, exponential"),
    ],
)
def test_an_unknown_key_or_value_is_refused_with_the_known_ones(config: Any, message: str) -> None:
    with pytest.raises(ConfigError) as info:
        step_config(config)
    assert message in str(info.value)


@pytest.mark.parametrize("number", [0, 0.0, -0.0])
@pytest.mark.parametrize("key", ["timeout", "max_delay"])
def test_a_bare_zero_is_no_limit_but_zero_seconds_is(key: str, number: float) -> None:
    def seconds(value: Any) -> float | None:
        if key == "timeout":
            return step_config({"timeout": value}).timeout_seconds
        retries = step_config({"retries": {"limit": 1, "delay": 1, "max_delay": value}}).retries
        assert retries is not None
        return retries.max_delay_seconds

    with pytest.raises(ConfigError, match=f'^{key} can\'t be .*: for no limit leave it out, .* write "0 seconds"'):
        seconds(number)
    for zero in ("0 seconds", timedelta()):
        assert seconds(zero) == 0


# Delays


@pytest.mark.parametrize(
    ("backoff", "expected"),
    [("constant", [0.1, 0.1, 0.1]), ("linear", [0.1, 0.2, 0.3]), ("exponential", [0.1, 0.2, 0.4])],
)
def test_the_delay_grows_as_the_backoff_says(backoff: Any, expected: list[float]) -> None:
    retries = Retries(3, timedelta(milliseconds=100), backoff)
    assert [delay_before(retries, n, random=0.5) for n in (1, 2, 3)] == pytest.approx(expected)


@settings(deadline=None)
@given(durations, st.integers(1, 900), draws)
def test_without_cap_or_jitter_delays_are_the_formula_up_to_the_longest_duration(
    delay: Any, retry: int, random: float
) -> None:
    d = spelled_seconds(delay)
    for backoff, expected in (("constant", d), ("linear", d * retry), ("exponential", d * 2.0 ** (retry - 1))):
        made = Retries(10_000, delay, backoff)  # type: ignore[arg-type]
        assert delay_before(made, retry, random=random) == min(expected, LONGEST)


@settings(deadline=None)
@given(retries_values, st.integers(1, 10_000), draws)
@example(Retries(10_000, "1 second"), 10_000, 0.5)
@example(Retries(10_000, "0 seconds"), 10_000, 0.5)
@example(Retries(10**400, "1 second", "linear"), 10**400, 0.5)
@example(Retries(10**400, "1 second"), 10**400, 0.5)
def test_every_delay_of_every_retry_is_a_duration_within_its_cap(retries: Retries, retry: int, random: float) -> None:
    delay = delay_before(retries, retry, random=random)
    assert 0 <= delay <= LONGEST
    if retries.max_delay_seconds is not None:
        assert delay <= retries.max_delay_seconds


@settings(deadline=None)
@given(retries_values, st.integers(1, 10_000), st.integers(1, 10_000), draws)
def test_a_later_retry_never_waits_less_but_for_its_jitter(retries: Retries, a: int, b: int, random: float) -> None:
    earlier, later = sorted((a, b))
    assert delay_before(retries, earlier, random=random) <= delay_before(retries, later, random=random)


@settings(deadline=None)
@given(retries_values, st.integers(1, 50), draws, draws)
def test_jitter_shortens_a_delay_by_at_most_its_fraction_after_the_cap(
    retries: Retries, retry: int, random: float, other: float
) -> None:
    full = delay_before(attrs.evolve(retries, jitter=0.0), retry, random=random)
    shortened = delay_before(retries, retry, random=random)
    assert full * (1 - retries.jitter) <= shortened <= full
    assert shortened == pytest.approx(full * (1 - retries.jitter * random))
    assert delay_before(retries, retry, random=0.0) == full
    low, high = sorted((random, other))
    assert delay_before(retries, retry, random=high) <= delay_before(retries, retry, random=low)


@pytest.mark.parametrize(("random", "expected"), [(0.0, 60.0), (0.5, 54.0), (0.75, 51.0)])
def test_the_cap_comes_before_the_jitter(random: float, expected: float) -> None:
    retries = Retries(9, "10 seconds", jitter=0.2, max_delay="1 minute")
    assert delay_before(retries, 9, random=random) == pytest.approx(expected)


# Delay functions


def test_what_a_delay_function_returned_goes_through_backoff_cap_and_jitter() -> None:
    retries = Retries(9, an_hour, jitter=0.5, max_delay="3 hours")
    assert retries.delay_seconds is None
    assert callable(retries.delay)
    base = returned_delay(retries.delay(None, KeyError()))
    assert [delay_before(retries, n, random=0.0, base=base) for n in (1, 2, 3)] == [3_600, 7_200, 10_800]
    assert delay_before(retries, 3, random=0.5, base=base) == 8_100


def test_a_base_of_zero_is_a_base() -> None:
    assert delay_before(Retries(1, an_hour), 1, random=0.0, base=0.0) == 0
    assert delay_before(Retries(1, HOUR), 1, random=0.0, base=0.0) == 0


def test_the_delay_of_a_function_needs_what_it_returned() -> None:
    with pytest.raises(TypeError, match="pass its result as base"):
        delay_before(Retries(1, an_hour), 1, random=0.0)


@pytest.mark.parametrize(
    "rubbish", [None, True, 50, 0.5, -1, float("nan"), "5 min", "soon", -HOUR, object()], ids=short
)
def test_rubbish_from_a_delay_function_is_a_config_error(rubbish: Any) -> None:
    with pytest.raises(ConfigError, match=r"^what the delay function returned can't be"):
        returned_delay(rubbish)


@settings(deadline=None)
@given(durations)
def test_a_delay_function_may_return_what_a_delay_may_be(duration: Any) -> None:
    assert returned_delay(duration) == Retries(1, duration).delay_seconds


def test_numbers_that_a_dicts_delay_function_returns_are_milliseconds() -> None:
    calls: list[tuple[object, Exception]] = []
    answers: list[Any] = [50, 0.5, 0, "2 seconds", HOUR]

    def delay(ctx: object, error: Exception) -> Any:
        calls.append((ctx, error))
        return answers[len(calls) - 1]

    config = step_config({"retries": {"limit": 3, "delay": delay}})
    assert calls == []
    assert config.retries is not None
    assert callable(config.retries.delay)
    ctx, error = object(), KeyError()
    assert [returned_delay(config.retries.delay(ctx, error)) for _ in answers] == [0.05, 0.0005, 0, 2, 3_600]
    assert calls == [(ctx, error)] * len(answers)
    assert config == step_config({"retries": {"limit": 3, "delay": delay}})


@pytest.mark.parametrize("rubbish", [-1, float("nan"), 10**5_000, None, True, "5 min", [5]], ids=short)
def test_rubbish_from_a_dicts_delay_function_is_a_config_error(rubbish: Any) -> None:
    config = step_config({"retries": {"limit": 3, "delay": lambda ctx, error: rubbish}})
    assert config.retries is not None
    assert callable(config.retries.delay)
    with pytest.raises(ConfigError, match=r"^what the delay function returned can't be"):
        returned_delay(config.retries.delay(None, KeyError()))


@pytest.mark.parametrize(
    "delay",
    [an_hour_later, functools.partial(an_hour_later), lambda: HOUR, lambda info: HOUR, lambda a, b, c: HOUR],
)
def test_a_function_that_cannot_be_called_for_a_delay_is_refused_at_birth(delay: Any) -> None:
    for make in (lambda: Retries(1, delay), lambda: step_config({"retries": {"limit": 1, "delay": delay}})):
        with pytest.raises(
            ConfigError, match=r"^delay can't be .*: (it will be called with \(ctx, error\)|.* not an async)"
        ):
            make()


@pytest.mark.parametrize(
    "delay",
    [
        an_hour,
        lambda *args: HOUR,
        lambda ctx, error, factor=2: HOUR,
        functools.partial(lambda factor, ctx, error: HOUR, 2),
        Unhashable(),
        Unsigned(),
        operator.itemgetter,  # written in C: its signature can't be told
    ],
)
def test_anything_that_can_be_called_with_two_arguments_can_be_a_delay(delay: Any) -> None:
    assert Retries(1, delay).delay is delay
    config = step_config({"retries": {"limit": 1, "delay": delay}})
    assert config.retries is not None
    assert callable(config.retries.delay)


# What ctx.config shows


@pytest.mark.parametrize(
    ("config", "mapping"),
    [
        (DEFAULT, {"retries": {"limit": 0, "delay": 0, "backoff": "exponential"}, "timeout": None}),
        (
            StepConfig(Retries(5, "10 seconds", "linear"), "10 minutes"),
            {"retries": {"limit": 5, "delay": "10 seconds", "backoff": "linear"}, "timeout": "10 minutes"},
        ),
        (
            step_config({"retries": {"limit": 5, "delay": 250, "max_delay": 1.5}, "timeout": 1_000}),
            {"retries": {"limit": 5, "delay": 250, "backoff": "exponential", "max_delay": 1.5}, "timeout": 1_000},
        ),
        (
            StepConfig(Retries(5, HOUR, jitter=0.5, max_delay="1 day"), timedelta(), sensitive="output"),
            {
                "retries": {
                    "limit": 5,
                    "delay": 3_600_000,
                    "backoff": "exponential",
                    "jitter": 0.5,
                    "max_delay": "1 day",
                },
                "timeout": 0,
                "sensitive": "output",
            },
        ),
        (StepConfig(Retries(5, an_hour)), {"retries": {"limit": 5, "backoff": "exponential"}, "timeout": None}),
        (
            step_config({"retries": {"limit": 5, "delay": an_hour}}),
            {"retries": {"limit": 5, "backoff": "exponential"}, "timeout": None},
        ),
    ],
)
def test_ctx_config_shows_cloudflares_keys_with_durations_as_written(config: StepConfig, mapping: Any) -> None:
    assert as_mapping(config) == mapping
    assert list(as_mapping(config)) == list(mapping)


@settings(deadline=None)
@given(config_dicts)
@example({"retries": {"limit": 1, "delay": 100.5}, "timeout": "1 minute"})
def test_what_ctx_config_shows_can_be_used_as_a_config_again(given: Any) -> None:
    config = step_config(given)
    # A timedelta of nothing is shown as 0, which a dict may not say.
    assume(config.timeout_seconds != 0 and (config.retries is None or config.retries.max_delay_seconds != 0))
    again = step_config(as_mapping(config))  # type: ignore[arg-type]
    assert as_mapping(again) == as_mapping(config)
    assert again == (config if config.retries is not None else attrs.evolve(config, retries=Retries(0, timedelta())))


def test_what_ctx_config_shows_is_the_readers_own() -> None:
    config = StepConfig(Retries(5, HOUR))
    as_mapping(config)["retries"]["limit"] = 7
    assert as_mapping(config)["retries"]["limit"] == 5


# Which errors are tried again


errors: st.SearchStrategy[tuple[Exception, bool]] = st.recursive(
    st.sampled_from([(ValueError, True), (NonRetryableError, False), (OSError, True), (DefinitionError, False)]).map(
        lambda kind: (kind[0]("no"), kind[1])
    ),
    lambda inner: st.lists(inner, min_size=1, max_size=4).map(
        lambda parts: (ExceptionGroup("group", [error for error, _ in parts]), all(again for _, again in parts))
    ),
    max_leaves=8,
)


@settings(deadline=None)
@given(errors)
def test_what_ends_it_does_so_anywhere_in_a_group(case: tuple[Exception, bool]) -> None:
    error, again = case
    assert is_retryable(error) is again


def test_a_kind_of_non_retryable_error_is_one() -> None:
    class CardDeclinedError(NonRetryableError):
        pass

    assert not is_retryable(CardDeclinedError())
    assert not is_retryable(ExceptionGroup("group", [ValueError(), CardDeclinedError()]))


@pytest.mark.parametrize("kind", [DefinitionError, ConfigError, CycleError, DeadlockError])
def test_a_mistake_in_the_code_does_not_get_better(kind: type[Exception]) -> None:
    assert not is_retryable(kind("no"))
    assert not is_retryable(ExceptionGroup("group", [ValueError(), ExceptionGroup("inner", [kind("no")])]))


@pytest.mark.parametrize("kind", [WorkflowTimeoutError, RunClosedError])
def test_what_may_be_a_matter_of_time_is_tried_again(kind: type[Exception]) -> None:
    assert is_retryable(kind("late"))
    assert is_retryable(ExceptionGroup("group", [ValueError(), kind("late")]))


async def takes_an_unknown_name(step: WorkflowStep) -> None:
    @step.do()
    async def inner(nowhere: object) -> None: ...

    await inner()


async def sleeps_soon(step: WorkflowStep) -> None:
    await step.sleep("pause", "soon")


async def goes_round(step: WorkflowStep) -> None:
    @step.do("a")
    async def a(b: object) -> None: ...

    @step.do("b")
    async def b(a: object) -> None: ...

    await a()


async def waits_for_itself(step: WorkflowStep) -> None:
    @step.do("inner", config=ALWAYS)
    async def inner() -> None:
        await below()

    @step.do("below", [inner])
    async def below(inner: object) -> None: ...

    await inner()


async def in_a_nursery(step: WorkflowStep) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(takes_an_unknown_name, step)


ALWAYS = StepConfig(Retries(5, "10 seconds"))


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (takes_an_unknown_name, DefinitionError),
        (sleeps_soon, ConfigError),
        (goes_round, CycleError),
        (waits_for_itself, DeadlockError),
        (in_a_nursery, ExceptionGroup),
    ],
)
async def test_p18_a_body_that_uses_steps_wrongly_fails_at_once(
    autojump_clock: MockClock, body: Callable[[WorkflowStep], Any], kind: type[Exception]
) -> None:
    attempts: list[int] = []

    async def workflow(event: object, step: WorkflowStep) -> None:
        @step.do("outer", config=ALWAYS)
        async def outer(ctx: StepContext) -> None:
            attempts.append(ctx.attempt)
            await body(step)

        await outer()

    with pytest.raises(kind):
        await run_workflow(workflow)
    assert (attempts, trio.current_time()) == ([1], 0)


async def test_p18_a_wait_or_an_inner_step_that_was_too_late_is_tried_again(autojump_clock: MockClock) -> None:
    attempts: list[int] = []

    async def workflow(event: object, step: WorkflowStep) -> str:
        @step.do("outer", config=ALWAYS)
        async def outer(ctx: StepContext) -> str:
            attempts.append(ctx.attempt)
            if ctx.attempt == 1:
                await step.wait_for_event("answer", "answer", timeout="1 second")

            @step.do("inner", config=StepConfig(timeout="2 seconds"))
            async def inner() -> None:
                await trio.sleep(3 if ctx.attempt == 2 else 0)

            await inner()
            return "done"

        return await outer()

    assert await run_workflow(workflow) == "done"
    assert (attempts, trio.current_time()) == ([1, 2, 3], 1 + 10 + 2 + 20)


def test_an_error_caused_by_a_non_retryable_one_is_another_error() -> None:
    error = ValueError()
    error.__cause__ = error.__context__ = NonRetryableError()
    assert is_retryable(error)


@pytest.mark.parametrize(
    "error", [KeyboardInterrupt(), SystemExit(), BaseExceptionGroup("group", [ValueError(), KeyboardInterrupt()])]
)
def test_what_is_no_failure_of_the_body_is_not_tried_again(error: BaseException) -> None:
    assert not is_retryable(error)


def test_groups_may_be_nested_deeper_than_the_stack() -> None:
    for innermost, again in ((ValueError(), True), (NonRetryableError(), False)):
        error: Exception = innermost
        groups = []
        for _ in range(20_000):
            error = ExceptionGroup("group", [error])
            groups.append(error)
        assert is_retryable(error) is again
        del error
        while groups:  # from the outside in, or freeing them would recurse as deep
            groups.pop()
