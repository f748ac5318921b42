"""Plain progress: each fact is a line, with when, what, which and why."""

from __future__ import annotations

import re

from command_line import flow, here, main

__all__ = ["here"]  # a fixture

PATIENCE = """
@step.do("flaky", config={"retries": {"limit": 2, "delay": "10 seconds", "backoff": "linear"}})
async def flaky(ctx):
    await trio.sleep(1)
    if ctx.attempt < event.payload["good"]: raise OSError(f"try {ctx.attempt}")
@step.do("wait a while", depends=[flaky])
async def wait(_):
    await step.sleep("nap", "1 hour")
    return (await step.wait_for_event("boss", "approval", timeout="2 days"))["payload"]
return await wait()
"""


def test_retries_sleeps_and_waits_are_told() -> None:
    done = main("run", flow(PATIENCE), "--params", '{"good": 3}', "--virtual-time", "--event", 'approval="yes"@4000')
    assert (done.status, done.out) == (0, '"yes"\n')
    assert done.err.splitlines() == [
        "trioflow: virtual time: sleeps, delays and timeouts take none of yours, and all times shown are virtual",
        "   0.000  started    flaky",
        "   1.000  errored    flaky                     retry in 10 s (attempt 2 of 3): OSError: try 1",
        "  11.000  started    flaky                     attempt 2 of 3",
        "  12.000  errored    flaky                     retry in 20 s (attempt 3 of 3): OSError: try 2",
        "  32.000  started    flaky                     attempt 3 of 3",
        "  33.000  done       flaky                     33.000 s",
        "  33.000  started    wait a while",
        "  33.000  sleeping   nap                       for 1 h",
        "3633.000  slept      nap                       3600.000 s",
        "3633.000  waiting    boss                      for event 'approval', 2 d at most",
        "4000.000  received   boss                      event 'approval', 367.000 s",
        "4000.000  done       wait a while              3967.000 s",
        "2 steps: 2 done",
    ]


def test_the_last_failure_says_how_often_it_was_tried() -> None:
    done = main("run", flow(PATIENCE), "--params", '{"good": 9}', "--virtual-time")
    assert "  33.000  failed     flaky                     OSError: try 3 (attempt 3 of 3)" in done.err.splitlines()
    assert done.report[:2] == ["error: OSError: try 3", "  step       flaky (flow.py:4), attempt 3 of 3"]


def test_a_wait_that_timed_out_says_how_long_it_was() -> None:
    done = main("run", flow(PATIENCE), "--params", '{"good": 1}', "--virtual-time")
    assert "176401.000  timed out  boss                      no event 'approval' within 2 d" in done.err.splitlines()
    assert re.search(r"failed     wait a while +WorkflowTimeoutError: wait 'boss': no event", done.err)


def test_what_is_cancelled_and_what_is_reused_is_told() -> None:
    done = main(
        "run",
        flow(
            """
with trio.move_on_after(5):
    await step.sleep("long", "1 minute")
with trio.move_on_after(5):
    await step.wait_for_event("mail", "mail")
@step.do("outer", config={"retries": {"limit": 1, "delay": "1 second"}})
async def outer(ctx):
    @step.do()
    async def inner(): return 1
    await inner()
    if ctx.attempt == 1: raise OSError
await outer()
"""
        ),
        "--virtual-time",
    )
    assert done.status == 0
    assert done.lines[1:] == [
        "sleeping   long                      for 1 min",
        "cancelled  long                      a sleep",
        "waiting    mail                      for event 'mail', 1 d at most",
        "cancelled  mail                      a wait",
        "started    outer",
        "started    inner",
        "done       inner",
        "errored    outer                     retry in 1 s (attempt 2 of 2): OSError",
        "started    outer                     attempt 2 of 2",
        "reused     inner                     done before",
        "done       outer",
        "2 steps: 2 done",
    ]
