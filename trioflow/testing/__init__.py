"""The workshop: workflows to try a runtime on, an oracle that knows what ought to come out, and the judge.

    from trioflow.testing import check, run_dag
    from trioflow.testing.strategies import dags, seeds

    @given(dags(), seeds())
    def test_my_runtime(spec, seed):
        check(spec, run_dag(spec, run_workflow=my_run_workflow, seed=seed))

`spec` says what a generated workflow (`DagSpec`) is; `model` works out what ought to happen; `world` runs it on any
runtime, in virtual time; `judge` judges what was seen; `strategies` draws them, and is the only part that needs the
extra `testing`.
"""

from __future__ import annotations

from trioflow.testing.judge import check as check
from trioflow.testing.model import Answer as Answer
from trioflow.testing.model import Prediction as Prediction
from trioflow.testing.model import Span as Span
from trioflow.testing.model import critical_path as critical_path
from trioflow.testing.model import predict as predict
from trioflow.testing.spec import BodyError as BodyError
from trioflow.testing.spec import DagSpec as DagSpec
from trioflow.testing.spec import Demand as Demand
from trioflow.testing.spec import Node as Node
from trioflow.testing.world import Event as Event
from trioflow.testing.world import Trace as Trace
from trioflow.testing.world import run_dag as run_dag
