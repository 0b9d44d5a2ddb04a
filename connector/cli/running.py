"""What the commands that read a table have in common: signals, a run with its progress, results."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from connector.cli.flags import Flags
from connector.cli.leaving import leave_with, stopped_by_signals

if TYPE_CHECKING:
    from connector.cli.output import Printer
    from connector.config import Config
    from connector.core.state import TableState
    from connector.pipeline.sync import Run
    from connector.worker_processes import WorkerProcesses


@contextmanager
def command(flags: Flags) -> "Iterator[tuple[Printer, threading.Event]]":
    """A command from its beginning to its exit code, with what stops it early."""
    with leave_with(flags.quiet), stopped_by_signals() as stop:
        from connector.cli.output import Printer

        yield Printer(flags.output), stop


@contextmanager
def opened(
    name: str,
    flags: Flags,
    config: "Config",
    table: str,
    stop: threading.Event,
    processes: "WorkerProcesses | None" = None,
) -> "Iterator[Run]":
    """A run of one table, with its progress shown as long as the block lasts."""
    from connector import job
    from connector.cli.live import shown_progress

    with shown_progress(table, flags.quiet) as progress:
        pause = job.Stop(stop)
        yield job.open_run(
            config,
            table,
            progress=progress,
            stop=pause,
            command=name,
            shared=job.Shared.by(config, 1, processes),
        )


def print_states(printer: "Printer", config: "Config", states: "Sequence[TableState]") -> None:
    """What each table holds after a run."""
    from connector import job
    from connector.cli.output import state_row

    rows = []
    for state in states:
        destination = job.open_destination(config, state.table)
        rows.append(state_row(state, destination.count(state.table)))
    printer.rows(rows)
