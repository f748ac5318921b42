"""The classes that a project for Cloudflare derives from.

Only workflows are run here. A workflow's file often holds the Worker that starts it as well, so its bases are here, too, and
such a file can be loaded; nobody calls the Worker's handlers, and `trioflow run` says so when it is asked to.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from .. import _workflow
from .._workflow import Profile
from .profile import profile_of

F = TypeVar("F", bound=Callable[..., Any])


class WorkflowEntrypoint(_workflow.WorkflowEntrypoint):
    """Base of a workflow that is written for Cloudflare: `trioflow.WorkflowEntrypoint`, with Cloudflare's profile."""

    @classmethod
    def __trioflow_profile__(cls) -> Profile:
        return profile_of(cls)


class WorkerEntrypoint:
    """Base of a Worker: handlers such as `fetch(self, request)` read the bindings in `self.env`.

    trioflow calls no handler.
    """

    def __init__(self, ctx: Any = None, env: Any = None) -> None:
        self.ctx = ctx
        self.env = env


class DurableObject:
    """Base of a Durable Object, which lives at Cloudflare only: here it can be derived from, and nobody makes one."""

    def __init__(self, ctx: Any = None, env: Any = None) -> None:
        self.ctx = ctx
        self.env = env


def handler(fn: F, /) -> F:
    """Marks a handler such as `on_fetch`. There it converts what comes from JavaScript; here nothing does."""
    return fn
