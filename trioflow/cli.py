"""Workflows at a terminal: `trioflow run FILE[:NAME]`, `trioflow graph FILE[:NAME]`.

Standard output is the workflow's: what it prints, and at the end its result as JSON, so that it can be piped. All that
trioflow has to say goes to standard error: at a terminal as a tree that is redrawn while the run goes on, elsewhere as plain
lines that read well in a log. With `--json` it is the other way round: standard output has the facts for programs. A
failed workflow ends with a report of at most twelve lines in place of a traceback; `--traceback` prints that as well.

The exit status is 0 if the workflow succeeded, 1 if it failed, 2 if the command was wrong (arguments, the file, what is
in it) and 130 after Ctrl-C. A workflow that calls `sys.exit` chooses its own.
"""

from __future__ import annotations

import importlib.metadata
import sys
import traceback as tracebacks
from collections.abc import Callable, Sequence
from contextlib import ExitStack, redirect_stdout
from typing import Annotated, Any, Final, final

import attrs
import outcome
import trio
from cyclopts import App, CycloptsError, Parameter
from trio.abc import Clock
from trio.lowlevel import enable_ki_protection

from . import workers
from ._arguments import Delivery, UsageError, delivery_of, payload_of
from ._bindings import bindings
from ._board import Board
from ._console import shown
from ._errors import ConfigError, DefinitionError, RunClosedError
from ._frames import frame_lines, own_frames
from ._interrupt import INTERRUPTED, two_interrupts
from ._loading import LoadError, load_workflow
from ._report import REPORT_LINES, notes_of, report
from ._streams import print_text, say
from ._time import shown as shown_seconds
from ._view import View
from ._wording import one_line
from ._workflow import AnyWorkflow, WorkflowRun, open_run
from .abc import Instrument

SUCCEEDED, FAILED, USAGE = 0, 1, 2


def _version() -> str:
    try:
        return importlib.metadata.version("trioflow")
    except importlib.metadata.PackageNotFoundError:  # run from a source tree
        return "unknown, not installed"


def _plainly(error: CycloptsError) -> str:
    return f"trioflow: {error}\nTry 'trioflow --help' or 'trioflow run --help'."


app: Final = App(
    name="trioflow",
    help="DAG workflows on Trio.",
    version=_version,
    error_formatter=_plainly,
    result_action="return_value",
    suppress_keyboard_interrupt=False,
)


def main(tokens: Sequence[str] | None = None) -> int:
    """Do what the command line says. Returns the exit status; `SystemExit` comes from help, usage errors and workflows.

    `tokens` stand for `sys.argv[1:]`.
    """
    try:
        status = app(tokens)
    except KeyboardInterrupt:  # while a file was loaded; in a run it is dealt with where the steps are known
        say("trioflow: interrupted")
        return INTERRUPTED
    return status if isinstance(status, int) else SUCCEEDED


Flag = Annotated[bool, Parameter(negative=(), show_default=False)]


@app.command
def run(
    target: Annotated[str, Parameter(name="FILE[:NAME]")],
    /,
    *,
    params: Annotated[str | None, Parameter(name="--params")] = None,
    instance_id: Annotated[str | None, Parameter(name="--id")] = None,
    env: Annotated[tuple[str, ...], Parameter(name="--env", negative=(), show_default=False)] = (),
    event: Annotated[tuple[str, ...], Parameter(name="--event", negative=(), show_default=False)] = (),
    virtual_time: Flag = False,
    json: Flag = False,
    graph: str | None = None,
    trace: str | None = None,
    traceback: Flag = False,
) -> int:
    """Run the workflow in FILE and print its result as JSON.

    What the steps do is shown on standard error: at a terminal as a live tree, elsewhere, and with NO_COLOR or TERM=dumb,
    in plain lines. Exit status: 0 succeeded, 1 failed, 2 wrong usage, 130 Ctrl-C. A second Ctrl-C ends it at once.

    Parameters
    ----------
    target: str
        A Python file, and the name of the class or function in it, needed if the file has several workflows.
    params: str
        The event's payload as JSON, or @PATH for a file that holds it.
    instance_id: str
        The id of this run, given to the workflow as `event.instanceId`.
    env: tuple[str, ...]
        What the workflow finds in `self.env`: NAME=VALUE a text, NAME:=JSON a value, FILE[:NAME] an object out of a file.
    event: tuple[str, ...]
        An event to send, so many seconds after the start: TYPE=JSON@SECONDS. JSON and seconds (0) may be left out.
    virtual_time: bool
        Let no sleep, delay or timeout take any real time: the clock jumps to when the next one is over.
    json: bool
        Print each fact as one line of JSON as it happens, in place of the result: `type` ("step_started", ...),
        `instanceId`, `time` since the start, `stepName`, `attempt`, `error`, `output` and others. What the workflow
        prints goes to standard error. The last is "workflow_completed", "workflow_errored" or "workflow_terminated".
    graph: str
        Write the graph of the run there at its end, failed or not: Mermaid (.mmd) or Graphviz (.dot).
    trace: str
        Write a trace of the run there at its end, to be opened in ui.perfetto.dev.
    traceback: bool
        Print Python's whole traceback after the report of a failure.
    """
    try:
        order = Order(payload_of(params), instance_id, [delivery_of(text) for text in event], virtual_time, traceback)
        with ExitStack() as until:
            instruments, write = _recording(graph, trace, until)
            board = Board()
            view = until.enter_context(shown(board, as_json=json, is_virtual=virtual_time))
            until.enter_context(workers.install())
            bound = bindings(env) if env else None
            workflow = until.enter_context(load_workflow(target))
            try:
                status = _perform(workflow, bound, order, view, [board, view, *instruments])
            finally:
                written = write(board)
            return status if written or status != SUCCEEDED else FAILED
    except (UsageError, LoadError) as exc:
        return _tell_misuse(exc)


@app.command
def graph(
    target: Annotated[str, Parameter(name="FILE[:NAME]")],
    /,
    *,
    params: Annotated[str | None, Parameter(name="--params")] = None,
    dot: Flag = False,
) -> int:
    """Print the graph that the workflow in FILE declares, without running any step.

    It is Mermaid's text. What depends on the results of steps can't be known before they have run: then the part that is
    known is printed, standard error says why the rest isn't, and the exit status is 1.

    Parameters
    ----------
    target: str
        A Python file, and the name of the class or function in it, needed if the file has several workflows.
    params: str
        The event's payload as JSON, or @PATH for a file that holds it.
    dot: bool
        Print Graphviz's text in place of Mermaid's.
    """
    from . import _drawing, _sketch

    try:
        payload = payload_of(params)
        # What the workflow prints meanwhile must not get into the drawing.
        with redirect_stdout(sys.stderr), workers.install(), load_workflow(target) as workflow:
            sketch = trio.run(_sketch.sketch, workflow, payload, clock=_clock(virtual_time=True))
    except (UsageError, LoadError) as exc:
        return _tell_misuse(exc)
    draw = _drawing.dot if dot else _drawing.mermaid
    is_written = print_text(draw(sketch.nodes).rstrip("\n"))
    if sketch.why_not is not None:
        say(f"trioflow: {one_line(sketch.why_not, 1_000)}")
    return SUCCEEDED if is_written and sketch.why_not is None else FAILED


def _tell_misuse(error: UsageError | LoadError) -> int:
    say(f"trioflow: {error}", *frame_lines(own_frames(error.__cause__), room=REPORT_LINES - 1))
    return USAGE


# ----------------------------------------------------------------------------------------------------------- the run


@final
@attrs.frozen
class Order:
    """What is asked for, apart from the workflow itself."""

    payload: Any
    instance_id: str | None
    deliveries: list[Delivery]
    virtual_time: bool
    traceback: bool


def _recording(
    graph: str | None, trace: str | None, until: ExitStack
) -> tuple[list[Instrument], Callable[[Board], bool]]:
    """Instruments for what shall be left in files, and what writes them."""
    if graph is None and trace is None:
        return [], lambda board: True
    from ._files import Files

    files = Files.opened(graph, trace, until)
    return [files.recorder], lambda board: board.run is None or files.write(board.steps)


def _clock(*, virtual_time: bool) -> Clock | None:
    if not virtual_time:
        return None
    from trio.testing import MockClock

    return MockClock(autojump_threshold=0)


def _perform(workflow: AnyWorkflow, env: object, order: Order, view: View, instruments: list[Instrument]) -> int:
    performance = Performance(order, view)
    if order.virtual_time:
        say("trioflow: virtual time: sleeps, delays and timeouts take none of yours, and all times shown are virtual")
    try:
        output = trio.run(performance.result, workflow, env, instruments, clock=_clock(virtual_time=order.virtual_time))
    except (SystemExit, UsageError):
        raise
    except BaseException as exc:  # noqa: ASYNC103 - told to people; outside of Trio
        performance.tell_events()
        return _tell_failure(exc, performance)  # noqa: ASYNC104
    performance.tell_events()
    return SUCCEEDED if view.output(output) else FAILED


@final
@attrs.define(eq=False)
class Performance:
    """One run of a workflow, with somebody who watches it."""

    order: Order
    view: View
    #: Trio's KeyboardInterrupt, if Ctrl-C came while the run was waited for.
    interrupt: BaseException | None = attrs.field(default=None, init=False)
    #: The events that have been sent.
    sent: list[Delivery] = attrs.field(factory=list, init=False)

    async def result(self, workflow: AnyWorkflow, env: object, instruments: list[Instrument]) -> Any:
        """What the workflow returns or raises."""
        order, view = self.order, self.view
        try:
            opening = open_run(workflow, order.payload, instance_id=order.instance_id, env=env, instruments=instruments)
        except ConfigError as exc:  # of all that is given here, only the id can be wrong
            raise UsageError(f"--id: {exc}") from None
        except DefinitionError as exc:
            raise UsageError(str(exc)) from None
        view.open()
        with two_interrupts(view.stopping, view.picture):
            try:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(view.keep_up)
                    result = await outcome.acapture(self._in_the_block, opening, nursery)
                    nursery.cancel_scope.cancel()
            finally:
                view.close(trio.current_time())
        return result.unwrap()

    async def _in_the_block(self, opening: Any, nursery: trio.Nursery) -> Any:
        with trio.CancelScope() as scope:
            async with opening as run:
                self.view.board.run = run
                self._send_first(run, nursery)
                try:
                    return await run.result()
                except KeyboardInterrupt as exc:
                    self.interrupt = exc
                    scope.cancel(reason="Ctrl-C")  # so that the steps say why they stopped
        assert self.interrupt is not None
        raise self.interrupt

    # -------------------------------------------------------------------------------------------------------- events

    def _send_first(self, run: WorkflowRun[Any], nursery: trio.Nursery) -> None:
        """What is due at the start is there before the workflow begins."""
        start = trio.current_time()
        for delivery in self.order.deliveries:
            if delivery.at:
                nursery.start_soon(self._send_later, run, delivery, start)
            else:
                self._send(run, delivery)

    @enable_ki_protection
    async def _send_later(self, run: WorkflowRun[Any], delivery: Delivery, start: float) -> None:
        await trio.sleep_until(start + delivery.at)
        self._send(run, delivery)

    def _send(self, run: WorkflowRun[Any], delivery: Delivery) -> None:
        try:
            run.send_event(delivery.type, delivery.payload)
        except RunClosedError:
            return
        self.sent.append(delivery)

    def tell_events(self) -> None:
        """A line for each event that nobody got."""
        left = self.view.board.taken.copy()
        for delivery in self.sent:
            left[delivery.type] -= 1
            if left[delivery.type] < 0:
                say(f"trioflow: --event {one_line(delivery.type, 60)}: nobody has taken it")
        for delivery in self.order.deliveries:
            if delivery not in self.sent:
                when = shown_seconds(delivery.at)
                say(f"trioflow: --event {one_line(delivery.type, 60)}: not sent, since the run was over before {when}")


# --------------------------------------------------------------------------------------------------------- the failure


def _tell_failure(error: BaseException, performance: Performance) -> int:
    interrupt, rest = _without_interrupt(error)
    interrupt = interrupt or performance.interrupt  # which an error of somebody's clean-up may have replaced
    view, order = performance.view, performance.order
    if rest is not None:
        view.tell(*report(rest, view.board, params=order.payload is not None, traceback=order.traceback))
        if order.traceback:
            say("".join(tracebacks.format_exception(rest)).rstrip())
    if interrupt is None:
        return FAILED
    view.tell("trioflow: interrupted", *(f"  note       {one_line(note)}" for note in notes_of(interrupt)))
    return INTERRUPTED


def _without_interrupt(error: BaseException) -> tuple[BaseException | None, BaseException | None]:
    """Ctrl-C, and what came with it."""
    if isinstance(error, BaseExceptionGroup):
        interrupt, rest = error.split(KeyboardInterrupt)
        return (interrupt, rest) if interrupt is not None else (None, error)  # `rest` would be another object
    return (error, None) if isinstance(error, KeyboardInterrupt) else (None, error)
