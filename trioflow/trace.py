"""What has happened in a run, kept and made visible: who ran when, what held up whom, and where time could be saved.

`Recorder` is an instrument that keeps every fact. All that it can show is worked out from the facts when it is asked for,
so that watching costs little more than a list's `append`, and a run that is still going on, or was cut short, can be
looked at like any other.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import final

import attrs

from . import _drawing, abc
from ._critical import critical, network, slack
from ._drawing import Node as Node
from ._errors import ConfigError
from ._story import Story, nodes_of
from ._timeline import chrome_events


@final
@attrs.define(eq=False, repr=False)
class Recorder(abc.Instrument):
    """Keeps what happens in a run, and shows it.

    Pass it as an instrument; ask it while the run goes on or afterwards. It holds on to all that the facts do: outputs,
    errors with their tracebacks, events. Let go of it when you have seen what you wanted.

    It can record several runs of one `trio.run`, at the same time or in turn. What shows one run then asks which one:
    `instance_id=`. Of an instance that was run more than once the last run counts.

    >>> import trio
    >>> from trio.testing import MockClock
    >>> from trioflow import run_workflow
    >>> async def cook(event, step):
    ...     @step.do()
    ...     async def boil():
    ...         await trio.sleep(8)
    ...
    ...     @step.do()
    ...     async def chop():
    ...         await trio.sleep(3)
    ...
    ...     @step.do(concurrent=True)
    ...     async def serve(boil, chop):
    ...         await trio.sleep(1)
    ...
    ...     await serve()
    >>> recorder = Recorder()
    >>> async def main():
    ...     await run_workflow(cook, instruments=[recorder])
    >>> trio.run(main, clock=MockClock(autojump_threshold=0))
    >>> recorder.critical_path()
    [('boil', 8.0), ('serve', 1.0)]
    >>> recorder.slack()
    {'chop': 5.0}
    >>> for node in sorted(recorder.nodes(), key=lambda node: node.label):
    ...     print(node.label, node.state, node.seconds)
    boil succeeded 8.0
    chop succeeded 3.0
    serve succeeded 1.0
    """

    _facts: list[abc.Fact] = attrs.field(factory=list, init=False)

    def _keep(self, fact: abc.Fact, /) -> None:
        """Another fact."""
        self._facts.append(fact)

    workflow_started = workflow_completed = workflow_errored = workflow_terminated = _keep
    step_started = step_completed = step_errored = step_cancelled = step_reused = _keep
    attempt_started = attempt_completed = attempt_errored = _keep
    sleep_started = sleep_completed = sleep_cancelled = _keep
    wait_started = wait_completed = wait_timed_out = wait_cancelled = _keep

    @property
    def events(self) -> tuple[abc.Fact, ...]:
        """All facts of all runs, in the order in which they were told. A snapshot."""
        return tuple(self._facts)

    def nodes(self, *, instance_id: str | None = None) -> tuple[Node, ...]:
        """The steps, sleeps and waits that have begun, in that order, with what has become of them.

        A step that was begun several times is there once, as it is now. Among them are also those that have not begun under
        the recorder's eyes but are known to have succeeded, since another depends on them or their outcome was kept.
        `seconds` go from a body's start to its end, retries included, and are None until then.

        Args:
            instance_id: Which run; not needed if there is only one.

        Raises:
            ConfigError: there are several runs, or none of that id.
        """
        return tuple(nodes_of(self._story(instance_id)))

    def to_mermaid(self, *, instance_id: str | None = None) -> str:
        """The graph of a run as a Mermaid flowchart, as GitHub and many others draw it; the arguments are those of `nodes`.

        Arrows go from a step to those that depend on it, dotted ones from a step to what is declared in its body.
        """
        return _drawing.mermaid(self.nodes(instance_id=instance_id))

    def to_dot(self, *, instance_id: str | None = None) -> str:
        """The same graph for Graphviz: `dot -Tsvg`."""
        return _drawing.dot(self.nodes(instance_id=instance_id))

    def critical_path(self, *, instance_id: str | None = None) -> list[tuple[str, float]]:
        """Which steps the run has waited for: in order, each with its seconds; the arguments are those of `nodes`.

        The path ends with the step that settled last. Before each stands what held up its start: of its dependencies, of
        those whose turn came before its own in a sequential resolution, and of what the code that asked for it had awaited
        just before, the one that settled last. It begins where nothing held anything up.

        Where steps begin as soon as what they need is there, the seconds add up to what the run took. What is missing was
        spent elsewhere, in a sleep of `run`, say. Steps declared in a body are not on the path: they are in its seconds.
        A step is shown with its name, the second of that name as "name #2".
        """
        return [(label, body.end - body.begin) for label, body in critical(network(self._story(instance_id)))]

    def slack(self, *, instance_id: str | None = None) -> dict[str, float]:
        """By how many seconds each other step could have taken longer without the last one settling later.

        Those are the settled steps that are neither on the critical path nor in a body; the arguments are those of `nodes`.
        It is the total slack: steps on one way through the graph share it. Where a sequential resolution could have
        gone another way the slack may be larger than said, never smaller.
        """
        return slack(network(self._story(instance_id)))

    def to_chrome_trace(self, *, instance_id: str | None = None) -> str:
        """A timeline as JSON in the Trace Event Format: open it at https://ui.perfetto.dev or in chrome://tracing.

        Each run is a process, and what runs at the same time is on tracks of its own. In the slice of a step are its
        attempts, the delays between them, and what its body declares, as far as that doesn't overlap. Arrows lead from
        dependencies. Times are microseconds from the first fact on. Errors and reasons are in it, outputs and events are not.
        What has not ended goes as far as the last fact, with the outcome "unfinished".

        Args:
            instance_id: Only this run; else all.

        Raises:
            ConfigError: there is no run of that id.
        """
        runs = self._runs()
        if instance_id is not None:
            runs = {instance_id: self._of(runs, instance_id)}
        events = chrome_events([Story(facts) for parts in runs.values() for facts in parts])
        lines = ",\n".join(json.dumps(event, allow_nan=False) for event in events)
        return f'{{"displayTimeUnit": "ms", "traceEvents": [\n{lines}\n]}}\n'

    def _runs(self) -> dict[str, list[list[abc.Fact]]]:
        """The facts of each instance, those of each of its runs by themselves."""
        runs: dict[str, list[list[abc.Fact]]] = {}
        for fact in self._facts:
            parts = runs.setdefault(fact.instance_id, [])
            if not parts or isinstance(fact, abc.WorkflowStarted):
                parts.append([])
            parts[-1].append(fact)
        return runs

    def _story(self, instance_id: str | None) -> Story:
        runs = self._runs()
        if instance_id is None:
            if not runs:
                return Story([])
            if len(runs) > 1:
                raise ConfigError(f"which run? Pass instance_id=, one of {_listed(runs)}")
            instance_id = next(iter(runs))
        return Story(self._of(runs, instance_id)[-1])

    def _of(self, runs: dict[str, list[list[abc.Fact]]], instance_id: str) -> list[list[abc.Fact]]:
        if instance_id not in runs:
            raise ConfigError(f"no run {instance_id!r} was recorded: there is {_listed(runs) or 'none'}")
        return runs[instance_id]

    def __repr__(self) -> str:
        return f"<Recorder, {len(self._facts)} facts>"


Node.__module__ = __name__  # where people see it


def _listed(ids: Iterable[str]) -> str:
    shown_ids = [repr(name) for name in ids]
    return ", ".join(shown_ids[:10]) + (", …" if len(shown_ids) > 10 else "")
