"""The workshop: workflows to try a runtime on, an oracle that knows what ought to come out, and the judge.

    from trioflow.testing import check, run_dag
    from trioflow.testing.strategies import dags, seeds

    @given(dags(), seeds())
    def test_my_runtime(spec, seed):
        check(spec, run_dag(spec, run_workflow=my_run_workflow, seed=seed))

`spec` says what a generated workflow (`DagSpec`) is, with policies of its steps; `model` works out what ought to happen, a
`prediction`; `world` runs it on any runtime, in virtual time; `story` is what follows from the trace, `invariants` are
the laws that it keeps; `judge` judges by both, and shows the smallest piece; `strategies` draws specs.

For time and policy there is arithmetic of the same kind: `durations` how long a text is (`exact_seconds`), `timing` when
the attempts of steps begin and end (`foresee`), `events` which event goes to which wait (`deliver`); `policies` draws
what they are about. `strategies` and `policies` are the only parts that need the extra `testing`.

For a workflow of your own there are `modifiers`: results that are mocked, sleeps that are skipped, failures on cue, in the
words of `selecting` for which step; they are written down as `cues`, and played by `doubles`; `lookout` waits for what
happens. `faults` cancels or interrupts whoever runs it, at a moment that can be named; `virtually` runs it in virtual time;
`showing` says how a run went, for the report of a failing test. The pytest plugin, `pytest_trioflow`, makes fixtures of them.

`explore` runs a workflow in many orders of its tasks and shows the shortest in which it goes wrong; `deterministic` says
whether it does the same each time.
"""

from __future__ import annotations

from trioflow.testing.determinism import DeterminismError as DeterminismError
from trioflow.testing.determinism import Deterministic as Deterministic
from trioflow.testing.determinism import deterministic as deterministic
from trioflow.testing.durations import exact_seconds as exact_seconds
from trioflow.testing.events import ExchangeSpec as ExchangeSpec
from trioflow.testing.events import SendSpec as SendSpec
from trioflow.testing.events import WaitSpec as WaitSpec
from trioflow.testing.events import deliver as deliver
from trioflow.testing.exploring import Explored as Explored
from trioflow.testing.exploring import ScheduleError as ScheduleError
from trioflow.testing.exploring import SingleHolds as SingleHolds
from trioflow.testing.exploring import Systematic as Systematic
from trioflow.testing.exploring import explore as explore
from trioflow.testing.exploring import replay as replay
from trioflow.testing.faults import cancel_at as cancel_at
from trioflow.testing.faults import interrupt_at as interrupt_at
from trioflow.testing.gated import gated as gated
from trioflow.testing.judge import check as check
from trioflow.testing.model import predict as predict
from trioflow.testing.modifiers import Modifiers as Modifiers
from trioflow.testing.prediction import Answer as Answer
from trioflow.testing.prediction import Prediction as Prediction
from trioflow.testing.prediction import Span as Span
from trioflow.testing.prediction import critical_path as critical_path
from trioflow.testing.schedules import Holds as Holds
from trioflow.testing.schedules import Picks as Picks
from trioflow.testing.schedules import Priorities as Priorities
from trioflow.testing.schedules import RandomWalk as RandomWalk
from trioflow.testing.schedules import Schedule as Schedule
from trioflow.testing.schedules import seeded as seeded
from trioflow.testing.selecting import Selector as Selector
from trioflow.testing.spec import BodyError as BodyError
from trioflow.testing.spec import DagSpec as DagSpec
from trioflow.testing.spec import Demand as Demand
from trioflow.testing.spec import Node as Node
from trioflow.testing.timing import AttemptSpec as AttemptSpec
from trioflow.testing.timing import ChainSpec as ChainSpec
from trioflow.testing.timing import Foresight as Foresight
from trioflow.testing.timing import PolicySpec as PolicySpec
from trioflow.testing.timing import StepSpec as StepSpec
from trioflow.testing.timing import foresee as foresee
from trioflow.testing.virtually import run_virtually as run_virtually
from trioflow.testing.world import Event as Event
from trioflow.testing.world import Trace as Trace
from trioflow.testing.world import run_dag as run_dag
