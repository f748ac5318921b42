"""Cloudflare's modules in `sys.modules`, and out again.

Installing is a deed, not a side effect of an import: a program that embeds trioflow may have the real SDK. A package
called `workers` in the distribution was rejected for the same reason.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib.machinery import ModuleSpec
from opcode import opmap
from types import FrameType, ModuleType, TracebackType
from typing import Any, Final, NoReturn, final

from .. import _errors
from . import entrypoints, forms, js, messages, values
from .fetching import fetch
from .values import MissingNameError

#: The modules, and what they have.
NAMES: Final[dict[str, dict[str, Any]]] = {
    "workers": {
        "Blob": forms.Blob,
        "BlobEnding": forms.BlobEnding,
        "BlobValue": Any,  # this and others are for annotations
        "Body": messages.Body,
        "Context": Any,
        "DurableObject": entrypoints.DurableObject,
        "FetchKwargs": dict[str, Any],
        "FetchResponse": messages.Response,
        "File": forms.File,
        "FormData": forms.FormData,
        "FormDataValue": forms.FormDataValue,
        "Headers": messages.Headers,
        "JSBody": Any,
        "Request": messages.Request,
        "RequestInitCfProperties": dict[str, Any],
        "Response": messages.Response,
        "WorkerEntrypoint": entrypoints.WorkerEntrypoint,
        "WorkflowEntrypoint": entrypoints.WorkflowEntrypoint,
        "fetch": fetch,
        "handler": entrypoints.handler,
    },
    "workers.workflows": {"NonRetryableError": _errors.NonRetryableError},
    "js": js.NAMES,
    "pyodide": {},
    "pyodide.ffi": {
        "JsArray": values.JsArray,
        "JsBuffer": values.JsBuffer,
        "JsException": values.JsException,
        "JsProxy": values.JsProxy,
        "create_once_callable": values.create_once_callable,
        "create_proxy": values.create_proxy,
        "destroy_proxies": values.destroy_proxies,
        "to_js": values.to_js,
    },
}

#: What to do without some of the names that aren't here.
_ADVICE: Final = {
    "env": "a workflow reads its bindings as self.env",
    "patch_env": "pass env= to run_workflow",
    "import_from_javascript": "there is no JavaScript here",
    "waitUntil": "await it in a step",
    "wait_until": "await it in a step",
}


def _missing(module: str, name: str) -> str:
    elsewhere = next((other for other, names in NAMES.items() if name in names), None)
    hint = f"it is in {elsewhere!r}" if elsewhere else "trioflow doesn't have it"
    advice = f"; {_ADVICE[name]}" if name in _ADVICE and not elsewhere else ""
    has = f" ({module} has {', '.join(NAMES[module])})" if NAMES[module] else ""
    return f"cannot import name {name!r} from {module!r}: {hint}{advice}{has}"


def _answer_for(module: str) -> Callable[[str], NoReturn]:
    def __getattr__(name: str) -> NoReturn:
        if name.startswith("_"):  # Python and its tools ask every module for such names
            raise AttributeError(f"module {module!r} has no attribute {name!r}", name=name)
        problem = _missing(module, name)
        if _imports(sys._getframe(1)):
            # Not an AttributeError: of that, `from workers import …` makes an ImportError in its own words.
            raise ImportError(problem, name=module)
        raise MissingNameError(problem)

    return __getattr__


def _imports(frame: FrameType) -> bool:
    """Whether what a frame is doing is a `from … import`."""
    return frame.f_code.co_code[frame.f_lasti] == opmap["IMPORT_FROM"]


def _module(name: str) -> ModuleType:
    module = ModuleType(name, f"Cloudflare's {name!r}, provided by trioflow.")
    is_package = any(other.startswith(f"{name}.") for other in NAMES)
    module.__spec__ = ModuleSpec(name, None, is_package=is_package)
    if is_package:
        module.__path__ = []
    vars(module).update(NAMES[name], __all__=[*NAMES[name]], __getattr__=_answer_for(name))
    return module


_MODULES: Final = {name: _module(name) for name in NAMES}
for _name, _inner in _MODULES.items():
    _package, _, _last = _name.rpartition(".")
    if _package:
        setattr(_MODULES[_package], _last, _inner)

# While somebody has installed: what `sys.modules` held before the first of them did (`None`: nothing).
_before: Final[dict[str, ModuleType | None]] = {}
_holders: Final[set[Installation]] = set()


@final
class Installation:
    """The modules are in place until `uninstall` is called, or until the `with` block ends."""

    def uninstall(self) -> None:
        """Put back what was in `sys.modules` before. A second call does nothing.

        If `install` was called several times, the last installation to go does it. A module that somebody else has
        put there in the meantime is left alone.
        """
        if self not in _holders:
            return
        _holders.remove(self)
        if _holders:
            return
        for name, module in _before.items():
            if sys.modules.get(name) is _MODULES[name]:
                del sys.modules[name]
                if module is not None:
                    sys.modules[name] = module
        _before.clear()

    def __enter__(self) -> Installation:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.uninstall()


def install() -> Installation:
    """Make `import workers`, `import js` and `import pyodide.ffi` give what is here, in the whole interpreter.

    Installing again changes nothing. The result takes them out again, by `uninstall()` or as a context manager; what
    has been imported from them until then goes on working.
    """
    if not _holders:
        _before.update((name, sys.modules.get(name)) for name in _MODULES)
    sys.modules.update(_MODULES)
    installation = Installation()
    _holders.add(installation)
    return installation
