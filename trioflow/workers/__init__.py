"""Cloudflare's modules, spelt their way, running on ours.

A file written for Cloudflare begins with `from workers import Response, WorkflowEntrypoint`, and often goes on with
`from js import Object` and `from pyodide.ffi import to_js`. `install` makes those imports work in this interpreter, so that
the file runs here unmodified:

>>> import trioflow
>>> from trioflow import workers
>>> with workers.install():
...     from workers import WorkflowEntrypoint
...     from workers.workflows import NonRetryableError
>>> issubclass(WorkflowEntrypoint, trioflow.WorkflowEntrypoint), NonRetryableError is trioflow.NonRetryableError
(True, True)

Workflows that derive from this `WorkflowEntrypoint` have Cloudflare's defaults, and are given what they are given there:
`profile` says what that is. What isn't here yet says so, by name, when it is imported.

The rooms, bottom first: `env` bindings · `values` JavaScript's values · `forms` forms and files · `messages` requests and
responses · `fetching` over the network · `js` JavaScript's names · `profile` how a workflow is read · `entrypoints` what
a project derives from · `installing` the modules.
"""

from __future__ import annotations

from .entrypoints import DurableObject as DurableObject
from .entrypoints import WorkerEntrypoint as WorkerEntrypoint
from .entrypoints import WorkflowEntrypoint as WorkflowEntrypoint
from .entrypoints import handler as handler
from .env import Bindings as Bindings
from .env import MissingBindingError as MissingBindingError
from .fetching import fetch as fetch
from .forms import Blob as Blob
from .forms import File as File
from .forms import FormData as FormData
from .installing import Installation as Installation
from .installing import install as install
from .messages import Request as Request
from .messages import Response as Response
