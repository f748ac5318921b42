"""`fetch` where there is no HTTP client; what it does with one is in `real/test_fetching.py`."""

from __future__ import annotations

import sys

import pytest
import trio
from trio.testing import MockClock

from trioflow import NonRetryableError, run_workflow, workers
from trioflow.workers.fetching import AbortSignal, NoHttpClientError, fetch, js_fetch
from trioflow.workers.values import JsProxy


async def test_without_a_client_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "httpx", None)
    for each in (fetch, js_fetch):
        with pytest.raises(NoHttpClientError, match=r"none is installed: `pip install httpx`$") as caught:
            await each("http://127.0.0.1/")
        assert isinstance(caught.value, NonRetryableError)
        assert caught.value.name == "httpx"


async def test_a_step_that_fetches_in_vain_is_not_tried_again(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    class Flow(workers.WorkflowEntrypoint):
        async def run(self, event: object, step: object) -> None:
            await step.do("fetch")(lambda: fetch("http://127.0.0.1/"))()  # type: ignore[attr-defined]

    monkeypatch.setitem(sys.modules, "httpx", None)
    start = trio.current_time()
    with pytest.raises(ImportError):
        await run_workflow(Flow)
    assert trio.current_time() == start


async def test_a_signal_strikes_by_trios_clock(autojump_clock: MockClock) -> None:
    signal = AbortSignal.timeout(1_500)
    assert not signal.aborted
    await trio.sleep(1.6)
    assert signal.aborted
    assert not AbortSignal().aborted
    assert isinstance(signal, JsProxy)
