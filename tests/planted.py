"""Faults planted in kernel and driver, to see that the tests notice each: one small wrong change of the real code.

    python -m tests.planted                       all of them, one at a time; a table; exit status 1 if one goes unnoticed
    python -m tests.planted note_twice deadlock   only these
    python -m tests.planted --examples 20000 --seed 7

A fault is a piece of the source and what a maintainer could have written there by mistake. It is planted in a copy of
the project, so that the plant is the real code, in every process that a test starts, and what others change meanwhile makes
no difference. If the piece isn't found exactly once the command refuses: the code has been changed, and the fault has
to follow it. (Patching methods of the loaded modules was the other way. Such a patch is a second version of a whole method,
which goes on passing when the first is mended.)

Three judges look at each copy, in this order, until one finds something: random workflows through the testing kit, every
order of events of the kernel, and the tests of promises and rooms. Each is a process of its own. One that is silent for
too long hangs, which is a finding, too. Before all of it they judge the code as it is: one that finds something there is no
judge, is left out, and counts as a failure of this command.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import attrs

from trioflow.testing import check, run_dag
from trioflow.testing.strategies import random_dag

ROOT: Final = Path(__file__).parent.parent
#: What a copy consists of: all that the judges read.
PARTS: Final = ("trioflow", "tests", "conftest.py", "pyproject.toml")
#: Seconds without a word, after which a judge is said to hang.
SILENCE: Final = 25.0
#: Bytes of memory that a judge may have: a fault can make a queue grow without end.
MEMORY: Final = 4 << 30
#: Says what it is doing after so many examples.
PACE: Final = 50


@attrs.frozen
class Fault:
    """What is wrong, in which module of trioflow, and the mistake: `new` in the place of `old`."""

    name: str
    what: str
    module: str
    old: str
    new: str

    def file(self, project: Path) -> Path:
        return project / "trioflow" / f"{self.module}.py"

    def changed(self, project: Path) -> str:
        """The module's source with the fault in it.

        Raises:
            LookupError: the text to replace isn't there exactly once.
            SyntaxError: what comes out is no Python.
        """
        file = self.file(project)
        text = file.read_text()
        count = text.count(self.old)
        if count != 1:
            raise LookupError(
                f"fault {self.name!r}: trioflow/{self.module}.py has the text to replace {count} times and not once; "
                f"it was changed, and the fault in tests/planted.py has to follow it:\n{self.old}"
            )
        changed = text.replace(self.old, self.new)
        compile(changed, str(file), "exec")
        return changed

    def plant(self, project: Path) -> None:
        """Change the copy of the project in this folder. Raises what `changed` raises."""
        self.file(project).write_text(self.changed(project))


KERNEL: Final = (
    Fault(
        "shared_late", "a step that still waits for its own dependencies is not shared yet",
        "_kernel", "d.state = RESOLVING  # not twice into `todo`, where it is named twice", "pass",
    ),
    Fault(
        "timeout_kills", "one waiter's timeout takes a shared step away from the others",
        "_kernel", "if not d.wanted and d.state < DONE:", "if (party is not None or not d.wanted) and d.state < DONE:",
    ),
    Fault(
        "settles_early", "a failed step's dependents settle before its siblings have stopped",
        "_kernel",
        "if c.state == DOOMED or below.since == exit.since:", "if c.state != DOOMED and below.since == exit.since:",
    ),
    Fault(
        "waits_for_new_only", "what is bound to fail doesn't wait for what was stopping before",
        "_kernel", "if c.state == DOOMED or below.since == exit.since:", "if below.since == exit.since:",
    ),
    Fault(
        "leaver_waits_for_old", "who leaves waits for the clean-up of what others had left before",
        "_kernel", "if c.state == DOOMED or below.since == exit.since:", "if True:",
    ),
    Fault(
        "exit_does_not_wait", "a left step's exit doesn't wait for the bodies below it",
        "_kernel", "if c.state == DOOMED or below.since == exit.since:", "if c.state == DOOMED:",
    ),
    Fault(
        "first_out", "an exit is over when the first of those it waits for is out",
        "_kernel",
        """\
                who.behind -= 1
                if not who.behind:
""",
        """\
                who.behind = 0
                if not who.behind:
""",
    ),
    Fault(
        "level_by_level", "dooming goes level by level: a dependent hears of it when the step below has settled",
        "_kernel", "        self._bad.append(c)\n        self._left.append", "        self._left.append",
    ),
    Fault(
        "leaver_not_doomed", "who is still leaving doesn't hear that its step is bound to fail",
        "_kernel", "elif w.state == PENDING and w.exits:", "elif False:",
    ),
    Fault(
        "doomed_still_wants", "what is bound to fail goes on wanting its dependencies",
        "_kernel",
        """\
                for d in w.deps:
                    if d.state < DONE:
                        self._released.append((d, None, c.value.why))
                self._doom""",
        "                self._doom",
    ),
    Fault(
        "sequence_wants_less", "a claimed sequence counts as interest only in what nobody else wants",
        "_kernel",
        """\
                    d.wanted += 1
                    if d.state == PENDING:
                        d.state = CLAIMED
""",
        """\
                    if d.state == PENDING:
                        d.wanted += 1
                        d.state = CLAIMED
""",
    ),
    Fault(
        "claimed_not_begun", "a step that a sequence has claimed doesn't begin for the one who awaits it",
        "_kernel",
        """\
        elif cell.state == CLAIMED:
            self._begin_claimed([cell], party)
""",
        "",
    ),
    Fault(
        "claimed_not_begun_below", "nor for somebody else's concurrent step that needs it",
        "_kernel", "elif s == CLAIMED:", "elif False:",
    ),
    Fault(
        "sequence_begins_all", "a sequence begins all its dependencies at once",
        "_kernel", "        if len(deps) < 2:\n            self.together", "        if deps:\n            self.together",
    ),
    Fault(
        "value_dropped", "what a stopping body returns is dropped",
        "_kernel", "            self._settle(cell, DONE, value)", "            self._gone(cell)",
    ),
    Fault(
        "newcomer_forgotten", "who came while the body was stopping is forgotten",
        "_kernel",
        """\
    for party in c.parties or ():
        return party
    for w""",
        "    for w",
    ),
    Fault(
        "counts_twice", "what a sequence begins counts a cell that was done before it began",
        "_kernel",
        """\
                    if not w.together:
                        sequences.append(w)
                        continue
                    w.missing -= 1
""",
        """\
                    if not w.together:
                        self._take_turns([w], cell)
                        continue
                    w.missing -= 1
""",
    ),
    Fault(
        "nobody_awake", "cells are put into a queue where nobody is awake",
        "_kernel",
        """\
                        if w.asker.ready is ready and not stopped:
                            ready.append(w)
                        else:
                            self.orders.append((START, w, None))
""",
        """\
                        w.asker.ready.append(w)
""",
    ),
    Fault(
        "note_twice", "an error's note is added twice",
        "_kernel", " and failure not in first.noted:", ":",
    ),
    Fault(
        "no_note", "a second failure is not noted on the first",
        "_errors", "        error.add_note(text)\n", "        pass\n",
    ),
    Fault(
        "lifo", "of several failures the last counts, for who comes later",
        "_kernel", "    return min((d.value", "    return max((d.value",
    ),
    Fault(
        "last_failure", "of two failures below one step the last counts",
        "_kernel", "if a.order <= b.order else", "if a.order > b.order else",
    ),
    Fault(
        "failure_overlooked", "who comes later is not told that a dependency has failed",
        "_kernel",
        """\
        self._failures += 1
        self._broken = True
""",
        """\
        self._failures += 1
""",
    ),
    Fault(
        "starts_while_closing", "a body that has stopped begins afresh although the run ends",
        "_kernel",
        """\
        if self.closing:
            self._settle(c, LOST, self._loss)
            return
        asker""",
        "        asker",
    ),
)  # fmt: skip

LANES: Final = (
    Fault(
        "wrong_context", "a body sees the contextvars of the run and not of who asks for it",
        "_lanes", "context, task.name = asker.context.copy(), c.name", "context, task.name = run.context.copy(), c.name",
    ),
    Fault(
        "context_leaks", "a body's context is not copied, so that its changes leak",
        "_lanes", "context, task.name = asker.context.copy(), c.name", "context, task.name = asker.context, c.name",
    ),
    Fault(
        "stale_queue", "a queued body begins although nobody wants it any more",
        "_lanes",
        "                if c.state != READY:\n                    continue\n", "",
    ),
    Fault(
        "keeps_its_queue", "a lane doesn't hand over its queue when its body blocks",
        "_lanes",
        """\
        if self.ready and not self.takers:
            for _ in range(min(len(self.ready), self.spree())):
                self.wake()
""",
        "",
    ),
    Fault(
        "scope_reused", "a scope is used again after it was cancelled",
        "_lanes", "if stopped or ((kernel.orders", "if ((kernel.orders",
    ),
    Fault(
        "open_scope_overlooked", "a scope that a body leaves open is taken for the lane's own",
        "_lanes", "if innermost_scope(task) is not scopes:", "if False:",
    ),
    Fault(
        "scopes_no_shield", "bodies are stopped by the run's own scope",
        "_lanes", "with trio.CancelScope(shield=True) as self.scope:", "with trio.CancelScope() as self.scope:",
    ),
    Fault(
        "home_stays_shut", "a home isn't opened again for what becomes ready later",
        "_lanes",
        """\
        if not self.lanes and self is not self.run.lobby:
            self.nursery = None
""",
        "",
    ),
    Fault(
        "no_turns", "quick bodies never let the rest of the program have a turn",
        "_lanes", "if turns >= TURNS:", "if False:",
    ),
    Fault(
        "no_slice", "slow sync bodies don't let others have their turn any sooner",
        "_lanes", "perf_counter() > self.until", "False",
    ),
    Fault(
        "no_names", "a body's task doesn't carry the step's name",
        "_lanes", "context, task.name = asker.context.copy(), c.name", "context = asker.context.copy()",
    ),
    Fault(
        "group_lost", "errors of a group that a stopped body leaves are not its outcome",
        "_lanes", "            run.body_failed(self.cell, exc)\n        if self.host_of", "        if self.host_of",
    ),
)  # fmt: skip

RUN: Final = (
    Fault(
        "interest_kept", "interest isn't given back when the host cancels",
        "_run",
        "        self.cancelled = captured\n",
        """\
        self.cancelled = captured
        lobby = self.run.lobby.nursery
        if lobby is not None and is_cancelled(lobby.cancel_scope):
            return Abort.SUCCEEDED  # the nursery stops the bodies
""",
    ),
    Fault(
        "gone_with_the_first", "bodies go with the demand that began them",
        "_run",
        """\
            home.free = True
            home.rest()
""",
        """\
            home.free = True
            for lane in [lane for lane in self.lanes.values() if lane.home is home]:
                lane.scope.cancel()
            home.rest()
""",
    ),
    Fault(
        "outcome_ignored", "a cancelled waiter gets Cancelled although there is an outcome",
        "_run", "if self.cancelled is None or (self.told and not self.interrupted):", "if self.cancelled is None:",
    ),
    Fault(
        "interrupt_lost", "a KeyboardInterrupt is taken from Trio and lost, as there is an outcome",
        "_run",
        "if self.cancelled is None or (self.told and not self.interrupted):", "if self.cancelled is None or self.told:",
    ),
    Fault(
        "hurried_demand", "a demand that is told at once is no checkpoint",
        "_run",
        """\
            else:
                await checkpoint()
        finally""",
        "        finally",
    ),
    Fault(
        "deadlock", "a deadlock is not found",
        "_run", "            check_loop(step, body)\n", "            pass\n",
    ),
    Fault(
        "deadlock_of_a_task", "a deadlock is not found where a task below the body awaits",
        "_run",
        """\
            bodies.append(lane.cell)
        nursery = task.parent_nursery
        task = None if nursery is None else nursery.parent_task
""",
        """\
            bodies.append(lane.cell)
        task = None
""",
    ),
    Fault(
        "cycle", "the cycle check is skipped",
        "_run",
        """\
        if cycle is not None:
            raise _cycle_error(cycle)
""",
        "",
    ),
    Fault(
        "half_bound", "a cycle is forgotten once it was reported",
        "_run",
        """\
        if cycle is not None:
            raise _cycle_error(cycle)
        for step, deps in found.items():
""",
        """\
        self.unbound.difference_update(found)
        if cycle is not None:
            raise _cycle_error(cycle)
        for step, deps in found.items():
""",
    ),
    Fault(
        "afresh_forgets", "a body that begins afresh has forgotten its inner steps",
        "_run", "            self.begin_again(cell)\n", "",
    ),
    Fault(
        "reported_twice", "a failure that a waiter was told of is raised by the run once more",
        "_run", "            self.heard.update(id(f.error) for f in (failure, *failure.noted))\n", "            pass\n",
    ),
    Fault(
        "failure_unheard", "a failure that nobody was told of is lost",
        "_run", " if f.error is not None and id(f.error) not in self.heard]", " if False]",
    ),
    Fault(
        "stranger_keeps_it", "a body that only a stranger awaits isn't stopped at the run's end",
        "_run", """lane.scope.cancel(reason="the run is over")""", "pass",
    ),
    Fault(
        "host_unnamed", "the host isn't named where the host cancels",
        "_run", "if lobby is not None and is_cancelled(lobby.cancel_scope):", "if False:",
    ),
)  # fmt: skip

STEP: Final = (
    Fault(
        "no_checkpoint", "an outcome that is known is no checkpoint",
        "_step",
        """\
        else:
            await checkpoint()
        if self.run.watch is not None:
""",
        """\
        if self.run.watch is not None:
""",
    ),
    Fault(
        "traceback_grows", "the traceback of a failure grows with each raise",
        "_kernel", "return self.error.with_traceback(self.traceback)", "return self.error",
    ),
    Fault(
        "context_grows", "a failure takes the context of whoever awaits it",
        "_step", "            restore(error, failure)\n", "",
    ),
    Fault(
        "kept_alive", "a failure keeps alive the frames of who was told of it",
        "_step", "            del failure, error, self  # no cycle", "            pass  # no cycle",
    ),
    Fault(
        "our_frames", "a body's traceback begins with the scheduler's frames",
        "_step", "        tb = tb.tb_next\n", "        break\n",
    ),
    Fault(
        "attempts_forget", "the inner steps of an earlier attempt are forgotten",
        "_step", "        step.run.begin_again(step)\n", "",
    ),
    Fault(
        "stubborn", "a body that fails while it is being stopped is tried again",
        "_step", "if step.state == STOPPING or step.run.closed or", "if step.run.closed or",
    ),
    Fault(
        "stubborn_at_the_end", "a body that fails while the run ends is tried again",
        "_step", "if step.state == STOPPING or step.run.closed or", "if step.state == STOPPING or",
    ),
    Fault(
        "one_attempt_less", "there are as many attempts as the limit of retries says",
        "_step", "attempt <= config.retries.limit", "attempt < config.retries.limit",
    ),
)  # fmt: skip

NAMES: Final = (
    Fault(
        "other_iteration", "a name above means the last iteration's step",
        "_names", "            before.append(cells[i - 1])\n", "            before.append(cells[-1])\n",
    ),
    Fault(
        "other_iteration_below", "a name below means the last iteration's step",
        "_names", "            after.append(cells[i])\n", "            after.append(cells[-1])\n",
    ),
    Fault(
        "other_task", "a task's declarations go to its run",
        "_declare", "    return Scope(parent, parent.owner)\n", "    return run.root\n",
    ),
    Fault(
        "newest_function", "an inner step of an earlier attempt keeps its old function",
        "_declare", "earlier.fn, earlier.site, earlier.scope = fn, site, scope", "earlier.scope = scope",
    ),
    Fault(
        "inner_failure_kept", "an inner failure outlives its attempt",
        "_declare",
        """\
    if earlier.state in (FAILED, LOST):
        return None
""",
        "",
    ),
    Fault(
        "no_memory", "a new attempt doesn't know what the one before has declared",
        "_names", "            earlier[cell.name, number] = cell\n", "",
    ),
)  # fmt: skip

DOORS: Final = (
    Fault(
        "sleep_unreported", "a sleep that nobody awaited is not reported",
        "_workflow", "    _report_unawaited(run)\n", "",
    ),
    Fault(
        "group_of_one", "a single failure comes out in a group",
        "_workflow", "return members[0] if len(members) == 1 else error", "return error",
    ),
    Fault(
        "run_not_closed", "a run isn't closed when its function has raised",
        "_workflow",
        """\
                errors.append(explained(exc, "the workflow's run"))
            finally:
                run.close()
""",
        """\
                errors.append(explained(exc, "the workflow's run"))
            else:
                run.close()
""",
    ),
    Fault(
        "instrument_stays", "an instrument that raises is not removed",
        "_watchers",
        """\
                for hooks in self._hooks.values():
                    hooks[:] = [i for i in hooks if i is not instrument]
""",
        "",
    ),
    Fault(
        "instrument_half_removed", "an instrument that raises is told other facts",
        "_watchers", "for hooks in self._hooks.values():", "for hooks in (self._hooks[name],):",
    ),
)  # fmt: skip

TIME: Final = (
    Fault(
        "doubled_once_more", "an exponential delay is doubled once more",
        "_policy", "math.ldexp(base, retry - 1)", "math.ldexp(base, retry)",
    ),
    Fault(
        "linear_from_zero", "the first linear delay is none",
        "_policy", "base * retry if backoff", "base * (retry - 1) if backoff",
    ),
    Fault(
        "cap_first", "max_delay limits the base and not the delay",
        "_policy",
        "min(_grown(base, retries.backoff, retry), longest) *",
        "_grown(min(base, longest), retries.backoff, retry) *",
    ),
    Fault(
        "jitter_lengthens", "jitter makes a delay longer",
        "_policy", "(1 - retries.jitter * random)", "(1 + retries.jitter * random)",
    ),
    Fault(
        "jitter_of_all", "jitter is all of the delay, whatever was asked for",
        "_policy", "(1 - retries.jitter * random)", "(1 - random)",
    ),
    Fault(
        "groups_unseen", "a NonRetryableError in a group is tried again",
        "_policy", "            pending.extend(error.exceptions)", "            pending.extend(error.exceptions[:0])",
    ),
    Fault(
        "retries_while_stopping", "what a body raises while it is being stopped is tried again",
        "_step", "if step.state == STOPPING or step.run.closed or not", "if step.run.closed or not",
    ),
    Fault(
        "attempts_by_twos", "attempts are counted by twos",
        "_step",
        """\
        attempt += 1
""",
        """\
        attempt += 2
""",
    ),
    Fault(
        "no_time_is_all_time", "a timeout of nothing is none",
        "_step",
        """\
    if limit is None:
        return await call
""",
        """\
    if not limit:
        return await call
""",
    ),
    Fault(
        "delay_asked_too_late", "the delay function is asked about the attempt that comes",
        "_step", "(context_of(step, attempt), error)", "(context_of(step, attempt + 1), error)",
    ),
    Fault(
        "delay_shielded", "nobody can leave in a delay",
        "_step",
        """\
        await trio.sleep(delay)
""",
        """\
        with trio.CancelScope(shield=True):
            await trio.sleep(delay)
""",
    ),
    Fault(
        "month_of_31", "a month has 31 days",
        "_time", "2_592_000.0", "2_678_400.0",
    ),
    Fault(
        "year_of_365", "a year has 365 days",
        "_time", "31_557_600.0", "31_536_000.0",
    ),
    Fault(
        "any_spaces", "number and unit may be on two lines",
        "_time", ") +({'|'.join", ")\\s+({'|'.join",
    ),
    Fault(
        "no_spaces", "number and unit may stand together",
        "_time", ") +({'|'.join", ") *({'|'.join",
    ),
    Fault(
        "bool_is_a_number", "True is a millisecond",
        "_time", "isinstance(value, int | float) and not isinstance(value, bool)", "isinstance(value, int | float)",
    ),
    Fault(
        "seconds_for_milliseconds", "a number is seconds",
        "_time", "return duration / 1_000 + 0.0", "return duration + 0.0",
    ),
    Fault(
        "last_waits_first", "who waits last is served first",
        "_mailbox", "waiting.popitem(last=False)", "waiting.popitem(last=True)",
    ),
    Fault(
        "last_sent_first", "what was sent last is taken first",
        "_mailbox", "event = events.popleft()", "event = events.pop()",
    ),
    Fault(
        "cancelled_takes", "who is cancelled takes an event",
        "_mailbox",
        """\
        await checkpoint_if_cancelled()
        if self._closed""",
        "        if self._closed",
    ),
    Fault(
        "kept_of_one", "of the events of one type only the latest is kept",
        "_mailbox",
        "            self._events.setdefault(event_type, deque()).append(event)",
        "            self._events[event_type] = deque([event])",
    ),
    Fault(
        "epoch_of_trio", "the wall clock forgets when the run began",
        "_sleep",
        "return self.start_in_trio + (when - self.start).total_seconds()",
        "return (when - self.start).total_seconds()",
    ),
    Fault(
        "now_stands_still", "the wall clock stands still",
        "_sleep", "trio.current_time() - self.start_in_trio)", "0.0)",
    ),
    Fault(
        "awaited_reported", "what was awaited is reported",
        "_waits",
        """\
            self._unawaited.pop(self, None)
""",
        """\
            pass
""",
    ),
    Fault(
        "line_of_the_function", "what was forgotten is reported at the function's first line",
        "_declare", "frame.f_lineno)", "frame.f_code.co_firstlineno)",
    ),
    Fault(
        "timeout_of_wait_ignored", "a wait waits for 24 hours",
        "_declare", "seconds = seconds_of(timeout, what=", "seconds = 86_400.0 + 0 * seconds_of(timeout, what=",
    ),
    Fault(
        "pause_not_kept", "a sleep that an earlier attempt has slept through is slept again",
        "_waits",
        """\
        pause.pauses.kept[key] = result
""",
        """\
        pass
""",
    ),
    Fault(
        "pause_counts_on", "a later attempt counts its sleeps on from the one before",
        "_waits",
        """\
        self._counts.clear()
""",
        """\
        pass
""",
    ),
    Fault(
        "kept_moment_is_past", "a moment that an earlier attempt has waited for is refused as past",
        "_sleep", "if when < now and not over:", "if when < now:",
    ),
    Fault(
        "kinds_mixed", "a sleep and a wait of one name are taken for one",
        "_waits", "key = (pause.kind, *pause.path[-1])", 'key = ("", *pause.path[-1])',
    ),
    Fault(
        "retry_untold", "an attempt that will be tried again is not told of",
        "_step",
        """\
                watch.retried(step, exc, delay)
""",
        """\
                pass
""",
    ),
    Fault(
        "after_of_nobody", "what was awaited before is not known",
        "_run",
        """\
        self.watch.latest[next(_code_of(current_task()))] = step
""",
        """\
        pass
""",
    ),
    Fault(
        "after_of_the_lane", "what a body had awaited is taken for what the next one on its lane had",
        "_run",
        """\
            yield lane.cell
            return
""",
        """\
            pass
""",
    ),
    Fault(
        "time_jumps", "virtual time jumps while a thread works",
        "executors",
        """\
            nursery.start_soon(testing.wait_all_tasks_blocked, math.inf)
""",
        "",
    ),
    Fault(
        "threads_in_groups", "the error of a thread comes out in a group",
        "executors", "result = await outcome.acapture(call)", "result = outcome.Value(await call())",
    ),
    Fault(
        "untold_costs", "an instrument that wants nothing is asked all the same",
        "_watchers", "return watchers if any(watchers._hooks.values()) else None", "return watchers",
    ),
)  # fmt: skip

FAULTS: Final = {fault.name: fault for fault in (*KERNEL, *LANES, *RUN, *STEP, *NAMES, *DOORS, *TIME)}


# --------------------------------------------------------------------------------------------------------------- judges


def judge_dags(examples: int, seed: int) -> None:
    """Random workflows in random schedules. Exits with status 1 at the first that breaks a promise."""
    for number in range(1, examples + 1):
        chance = random.Random(f"{seed}/{number}")
        spec = random_dag(chance, inner=number % 4 == 0)
        try:
            check(spec, run_dag(spec, seed=chance.getrandbits(16)))
        except BaseException as exc:  # a fault can make anything of it, a KeyboardInterrupt too
            print(f"example {number}\n{type(exc).__name__}: {exc}", flush=True)
            os._exit(1)  # whatever the fault has left behind is not waited for
        if number % PACE == 0:
            print(f"example {number}", flush=True)


@attrs.frozen
class Judge:
    """One who looks at a project: a command, and how to read what it says."""

    name: str
    command: Sequence[str]
    #: What it says -> after how much it has found something, and what.
    read: Callable[[str], tuple[str, str]]
    #: The module that it looks at; None: all of them.
    module: str | None = None
    silence: float = SILENCE


def dags(examples: int, seed: int) -> Judge:
    code = f"from tests.planted import judge_dags; judge_dags({examples}, {seed})"
    return Judge("random DAGs", [sys.executable, "-c", code], _read_dags)


def orders() -> Judge:
    options = ["--steps", "3", "--parties", "2", "--once", "--closing"]
    return Judge(
        "every order", [sys.executable, "-m", "tests.every_order", *options], _read_orders, "_kernel", silence=120.0
    )


def promises(files: Sequence[str], seed: int) -> Judge:
    options = ["-x", "-v", "--tb=short", "-p", "no:cacheprovider", f"--hypothesis-seed={seed}"]
    return Judge("promise tests", [sys.executable, "-m", "pytest", *options, *files], _read_tests)


#: Tests of promises and those of the rooms that a run uses: the quick ones first, or a fault would take a minute.
ORDERED: Final = (
    "agreement/test_failure_and_cancellation", "agreement/test_found_missing", "test_lanes", "test_step", "test_declare",
    "test_sleep", "test_waits", "test_watchers", "test_executors", "test_workflow", "test_views", "test_graph",
    "test_kernel", "agreement/test_time_and_events", "agreement/test_policy_model",
    "agreement/test_cells_and_runs", "test_names", "agreement/*",
)  # fmt: skip


def test_files() -> list[str]:
    """What the third judge executes, in order."""
    found = [file for pattern in ORDERED for file in sorted((ROOT / "tests").glob(f"{pattern}.py"))]
    return list(dict.fromkeys(str(f.relative_to(ROOT)) for f in found if f.name.startswith("test_")))


def _read_dags(said: str) -> tuple[str, str]:
    lines = said.splitlines()
    at = max((i for i, line in enumerate(lines) if line.startswith("example ")), default=None)
    if at is None:
        return "example 1", _last(said)
    return lines[at], lines[at + 1] if at + 1 < len(lines) else ""


def _read_orders(said: str) -> tuple[str, str]:
    found = [line for line in said.splitlines() if line.startswith("graph ")]
    amount = re.search(r"[\d,]+ transitions", said)
    return amount[0] if amount else "", found[0] if found else _last(said)


def _read_tests(said: str) -> tuple[str, str]:
    failed = re.search(r"^(?:FAILED|ERROR) (\S+)(?: - (.*))?", said, re.MULTILINE)
    if failed is not None:
        return _short(failed[1]), failed[2] or ""
    begun = re.findall(r"^tests/\S+::.*", said, re.MULTILINE)
    return _short(begun[-1].split(" ")[0]) if begun else "", _last(said)


def _short(test: str) -> str:
    return test.removeprefix("tests/").removeprefix("agreement/")


def _last(said: str) -> str:
    return next((line.strip() for line in reversed(said.splitlines()) if line.strip()), "(it says nothing)")


# ------------------------------------------------------------------------------------------------------------- findings


@attrs.frozen
class Finding:
    """What one judge has found."""

    judge: str
    where: str
    what: str
    seconds: float = 0.0


def examine(judges: Sequence[Judge], project: Path) -> Finding | None:
    """The first finding of these judges about the project in this folder. None: none has found anything."""
    begun = time.perf_counter()
    for judge in judges:
        status, said = _listen(judge.command, project, judge.silence)
        if status == 0:
            continue
        where, what = judge.read(said)
        if status is None:
            what = f"hangs: nothing for {judge.silence:g} s"
        elif status < 0 and not what:
            what = f"killed by {signal.Signals(-status).name}"
        return Finding(judge.name, where, what, time.perf_counter() - begun)
    return None


def _listen(command: Sequence[str], project: Path, silence: float) -> tuple[int | None, str]:
    """Run a command in a folder. Its status, None if it was silent for so long that it had to be killed; and what it says."""
    environment = {**os.environ, "PYTHONPATH": str(project), "PYTHONUNBUFFERED": "1", "COLUMNS": "400"}
    with tempfile.TemporaryFile("w+", errors="replace") as output:
        process = subprocess.Popen(
            command,
            cwd=project,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=_prepare,
        )
        try:
            status = _wait(process, output.fileno(), silence)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        output.seek(0)
        return status, output.read()


def _prepare() -> None:
    """In the new process. Whoever is started in a shell's background ignores Ctrl-C, and that would be inherited."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def _wait(process: subprocess.Popen[bytes], output: int, silence: float) -> int | None:
    said, since = 0, time.monotonic()
    while True:
        with contextlib.suppress(subprocess.TimeoutExpired):
            return process.wait(timeout=0.1)
        size = os.fstat(output).st_size
        if size != said:
            said, since = size, time.monotonic()
        elif time.monotonic() - since > silence:
            return None


def copy_of(project: Path, to: Path) -> Path:
    """The parts of a project that the judges read."""
    to.mkdir()
    for part in PARTS:
        if (project / part).is_dir():
            shutil.copytree(project / part, to / part, ignore=shutil.ignore_patterns("__pycache__", ".hypothesis"))
        else:
            shutil.copy(project / part, to / part)
    return to


# -------------------------------------------------------------------------------------------------------------- command


def usable(judges: Sequence[Judge], project: Path) -> list[Judge]:
    """Those who find nothing in the code as it is. Says so of the others."""
    found = []
    for judge in judges:
        begun = time.perf_counter()
        finding = examine([judge], project)
        if finding is None:
            print(f"no fault planted: {judge.name} find nothing in {time.perf_counter() - begun:.1f} s", flush=True)
            found.append(judge)
        else:
            print(f"no fault planted, but LEFT OUT: {judge.name}: {finding.where}: {finding.what}", flush=True)
    return found


def tests_that_hold(files: Sequence[str], seed: int, project: Path) -> tuple[Judge | None, bool]:
    """The third judge, without the tests that fail in the code as it is. True if there are none; None for it if they hang."""
    judge = promises(files, seed)
    status, said = _listen([word for word in judge.command if word != "-x"], project, judge.silence)
    if status == 0:
        print("no fault planted: the tests find nothing", flush=True)
        return judge, True
    failing = re.findall(r"^(?:FAILED|ERROR) (tests/\S+)", said, re.MULTILINE)
    if status != 1 or not failing:
        print(f"no fault planted, but LEFT OUT: all tests: {': '.join(judge.read(said))}", flush=True)
        return None, False
    for test in failing:
        print(f"no fault planted, but LEFT OUT: {test}, which fails", flush=True)
    return promises([*files, *(f"--deselect={test}" for test in failing)], seed), False


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.planted", description=__doc__.partition("\n")[0])  # type: ignore[union-attr]
    parser.add_argument("names", nargs="*", metavar="NAME", help="only these faults")
    parser.add_argument("--examples", type=int, default=2000, help="random workflows for each fault")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--list", action="store_true", help="say which faults there are")
    options = parser.parse_args(arguments)
    unknown = [name for name in options.names if name not in FAULTS]
    if unknown:
        parser.error(f"no such fault: {', '.join(unknown)}; --list shows all")
    if options.list:
        for fault in FAULTS.values():
            print(f"{fault.name:24} {fault.module:10} {fault.what}")
        return 0
    with tempfile.TemporaryDirectory(prefix="planted-") as folder:
        real = copy_of(ROOT, Path(folder, "real"))
        return judge_all([FAULTS[name] for name in options.names or FAULTS], real, options.examples, options.seed)


def nowhere_to_go(fault: Fault, project: Path) -> str | None:
    """Why a fault can't be planted. None: it can."""
    try:
        fault.changed(project)
    except (LookupError, SyntaxError) as exc:
        return str(exc)
    return None


def judge_all(faults: Sequence[Fault], real: Path, examples: int, seed: int) -> int:
    """Plant one after the other and print a line for each. The command's status."""
    homeless = [text for fault in faults if (text := nowhere_to_go(fault, real))]
    if homeless:
        print("\n\n".join(homeless), file=sys.stderr)
        return 2
    first = [dags(examples, seed), orders()]
    judges = usable(first, real)
    tests, all_hold = tests_that_hold(test_files(), seed, real)
    if tests is not None:
        judges.append(tests)
    missed = []
    print(f"\n{'fault':24} | {'judge':13} | {'after / which':24} | {'s':>5} | message")
    for fault in faults:
        project = copy_of(real, real.parent / fault.name)
        fault.plant(project)
        competent = [judge for judge in judges if judge.module in (None, fault.module)]
        finding = examine(competent, project)
        shutil.rmtree(project)
        if finding is None:
            missed.append(fault)
            finding = Finding("NOBODY", "", fault.what)
        row = f"{fault.name:24} | {finding.judge:13} | {finding.where:24} | {finding.seconds:5.1f} | {finding.what}"
        print(row[:400], flush=True)
    print(f"\n{len(faults)} faults, {len(faults) - len(missed)} found")
    if missed:
        print(f"NOT FOUND, so a test is missing: {', '.join(fault.name for fault in missed)}")
    return 1 if missed or not all_hold or len(judges) <= len(first) else 0


if __name__ == "__main__":
    sys.exit(main())
