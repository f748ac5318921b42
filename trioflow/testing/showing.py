"""How runs went, as text for the report of a failing test: what became of each step, and what the run has waited for."""

from __future__ import annotations

from .. import abc
from .._drawing import Node, label_of
from .._errors import shown as shown_error
from ..trace import Recorder

#: Of many runs, a property's examples say, those that were made last are shown: the last is the one that has failed.
_RUNS = 3


def shown(recorder: Recorder) -> str:
    """What was recorded, run by run: state, name and seconds of all that has begun, and the critical path.

    What is declared in a body is below its step, moved in. Outputs are not shown. Empty if there was no run.

    >>> from trioflow.testing import run_virtually
    >>> async def tea(event, step):
    ...     @step.do()
    ...     async def boil():
    ...         await step.sleep("until it sings", "3 minutes")
    ...         raise OSError("no water")
    ...
    ...     await boil()
    >>> recorder = Recorder()
    >>> run_virtually(tea, instance_id="t1", instruments=[recorder])
    Traceback (most recent call last):
        ...
    OSError: no water
    >>> print(shown(recorder))
    run 't1' of tea: failed after 180.000 s, OSError('no water')
      failed     boil                               180.000 s  OSError('no water')
      succeeded    until it sings (sleep)           180.000 s
      critical path: boil 180.000 s
    """
    ids = list(dict.fromkeys(fact.instance_id for fact in recorder.events))
    earlier = len(ids) - _RUNS
    parts = [f"{earlier} earlier runs are not shown"] if earlier > 0 else []
    return "\n\n".join([*parts, *(_run(recorder, instance_id) for instance_id in ids[-_RUNS:])])


def _run(recorder: Recorder, instance_id: str) -> str:
    facts = [fact for fact in recorder.events if fact.instance_id == instance_id]
    starts = [number for number, fact in enumerate(facts) if isinstance(fact, abc.WorkflowStarted)]
    facts = facts[starts[-1] :]  # of an instance that was run more than once the last run counts
    nodes = recorder.nodes(instance_id=instance_id)
    path = recorder.critical_path(instance_id=instance_id)
    whys = dict(_why(fact) for fact in facts if isinstance(fact, abc.StepErrored | abc.StepCancelled))
    lines = [_head(facts), *(_line(node, whys.get(node.path, "")) for node in _in_order(nodes))]
    if path:
        lines.append(f"  critical path: {', '.join(f'{label} {_seconds(seconds)}' for label, seconds in path)}")
    return "\n".join(lines)


def _head(facts: list[abc.Fact]) -> str:
    start, end = facts[0], facts[-1]
    assert isinstance(start, abc.WorkflowStarted)
    ended = "has not ended"
    if isinstance(end, abc.WorkflowErrored):
        ended = f"failed after {_seconds(end.time - start.time)}, {shown_error(end.error)}"
    elif isinstance(end, abc.WorkflowTerminated):
        ended = f"stopped after {_seconds(end.time - start.time)}, {end.reason}"
    elif isinstance(end, abc.WorkflowCompleted):
        ended = f"complete after {_seconds(end.time - start.time)}"
    return f"run {start.instance_id!r} of {start.workflow}: {ended}"


def _why(fact: abc.StepErrored | abc.StepCancelled) -> tuple[abc.Path, str]:
    return fact.path, shown_error(fact.error) if isinstance(fact, abc.StepErrored) else fact.reason


def _in_order(nodes: tuple[Node, ...]) -> list[Node]:
    """In the order in which they began, but what is declared in a body after its step."""
    begun: dict[abc.Path, int] = {}
    for number, node in enumerate(nodes):
        begun.setdefault(node.path, number)
    return sorted(nodes, key=lambda node: [begun.get(node.path[:depth], -1) for depth in range(1, len(node.path) + 1)])


def _line(node: Node, why: str) -> str:
    name = "  " * (len(node.path) - 1) + label_of(node.path) + (f" ({node.kind})" if node.kind != "step" else "")
    seconds = "" if node.seconds is None else _seconds(node.seconds)
    return f"  {node.state:9}  {name:32}  {seconds:>10}  {why if node.kind == 'step' else ''}".rstrip()


def _seconds(seconds: float) -> str:
    return f"{seconds:.3f} s"
