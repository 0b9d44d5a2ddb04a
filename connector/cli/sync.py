"""`connector sync`: a snapshot the first time, then the changes since."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from connector.cli.flags import (
    ConfigFile,
    Flags,
    Follow,
    For,
    Format,
    Output,
    Quietly,
    Segments,
    Tables,
    To,
    Until,
    Workers,
)
from connector.cli.running import command, opened, print_states
from connector.errors import ConfigError

if TYPE_CHECKING:
    from connector.core.state import TableState


def sync(
    tables: Tables = None,
    config: ConfigFile = None,
    to: To = None,
    follow: Follow = False,
    duration: For = None,
    segments: Segments = None,
    workers: Workers = None,
    output: Format = Output.table,
    quiet: Quietly = False,
) -> None:
    """Bring tables up to date: the first time a snapshot, then the changes since."""
    from connector.worker_processes import forked_workers

    flags = Flags(config, to, output, quiet)
    until = Until.of(follow, duration)
    scan = {"scan.segments": segments, "scan.workers": workers}
    with forked_workers(workers or 0, segments) as processes, command(flags) as (printer, stop):
        settings = flags.load(tables or [], scan)
        names = tables or list(settings.tables)
        if not names:
            raise ConfigError("There is no table to sync.", "Name one: `connector sync TABLE`.")

        def one(table: str) -> "TableState":
            with opened("sync", flags, settings, table, stop, processes) as run:
                return run.sync(processes.closed_before(until.condition()))

        if len(names) == 1 or (not until.follow and until.seconds is None):
            states = [one(name) for name in names]
        else:
            states = _together(one, names, stop)
        print_states(printer, settings, states)


def _together(
    one: "Callable[[str], TableState]", names: list[str], stop: threading.Event
) -> "list[TableState]":
    errors: list[BaseException] = []

    def guarded(name: str) -> "TableState":
        try:
            return one(name)
        except BaseException as error:
            # One table that fails ends the run: nobody watches a run that is half dead.
            errors.append(error)
            stop.set()
            raise

    with ThreadPoolExecutor(len(names), "table") as threads:
        futures = [threads.submit(guarded, name) for name in names]
    if errors:
        # The first is why the others were asked to end.
        raise errors[0]
    return [future.result() for future in futures]
