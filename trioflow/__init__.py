"""trioflow: declare steps, say which steps each one needs, await the one you want.

A workflow is a class with `run(self, event, step)`, or a function `(event, step)`. It declares steps with
`@step.do(...)` and awaits the one it wants. A run is a Trio nursery, a step a write-once cell; whatever it needs runs
first, at most once, and what nobody needs any more is cancelled.

A map of the house. Imports go down only, and a test sees to it.

* Ground floor, values and rules, without Trio: `_errors` what can go wrong · `_foreign` calls of
  asyncio's where there is none · `_time` durations · `_policy` how often and how
  long · `_signature` what a body's parameters say · `_graph` cycles and paths · `_names` which step a name means ·
  `_views` what user functions receive · `_kernel` who wants which cell, what may start, what must stop · `_drawing` graphs
  as text that others draw
* First floor, sockets: `abc` what can be plugged in · `_mailbox` events that come before or after their waiter
* Second floor, plugs, strangers to one another: `executors` where plain functions are called · `trace` what has happened,
  kept and shown, by way of `_story` what lasted how long, `_critical` what held up what and `_timeline` slices for a viewer
* Third floor, the machine: `_trio_private` what we ask Trio's private attributes · `_asyncio` bodies that are written
  for it, on a loop of ours: `_asyncio_driver`, `_asyncio_loop` · `_step` one step and one execution of its body ·
  `_sleep` until when · `_waits` what is awaited beside a step, and must not be forgotten · `_watchers` who is told ·
  `_lanes` which task runs a body · `_run` who asks, and what follows for tasks · `_elsewhere` a body that is called
  elsewhere · `_declare` `step.do` and what else `step` can · `_workflow` the doors
* Top floor: `workers` Cloudflare's modules · `_loading` a workflow in a file · `_bindings` its `self.env` · `_sketch`
  what it declares, drawn without running it · `cli` the command line · for it `_wording` texts in one line ·
  `_arguments` what people write · `_frames` the user's own lines of a traceback · `_streams` standard output and error
  · `_board` what is known while a run goes on · `_advice` what to try · `_report` why it has failed · `_view` ways to
  show a run: `_lines` plain ones, `_feed` facts for programs, `_tree` what there is room for, `_live` pictures below
  what is printed, `_detour` what children print, `_treeview` how they look · `_console` which of them · `_interrupt`
  Ctrl-C, once and twice · `_files` what a run leaves behind · `testing` the workshop
"""

from __future__ import annotations

from . import abc as abc
from ._declare import StepDecorator as StepDecorator
from ._declare import WorkflowStep as WorkflowStep
from ._errors import AsyncioError as AsyncioError
from ._errors import ConfigError as ConfigError
from ._errors import CycleError as CycleError
from ._errors import DeadlockError as DeadlockError
from ._errors import DefinitionError as DefinitionError
from ._errors import NonRetryableError as NonRetryableError
from ._errors import RunClosedError as RunClosedError
from ._errors import TrioflowError as TrioflowError
from ._errors import WorkflowTimeoutError as WorkflowTimeoutError
from ._policy import Retries as Retries
from ._policy import StepConfig as StepConfig
from ._step import Step as Step
from ._views import ReceivedEvent as ReceivedEvent
from ._views import StepContext as StepContext
from ._views import WorkflowEvent as WorkflowEvent
from ._workflow import OpenRun as OpenRun
from ._workflow import WorkflowEntrypoint as WorkflowEntrypoint
from ._workflow import WorkflowRun as WorkflowRun
from ._workflow import open_run as open_run
from ._workflow import run_workflow as run_workflow

__version__ = "0.1.0"

for _thing in list(globals().values()):
    if getattr(_thing, "__module__", "").startswith(__name__ + "._"):
        _thing.__module__ = __name__  # tracebacks, pickles and help show where people import it from
del _thing
