"""`connector snapshot`: a whole table, read once and loaded."""

from typing import Annotated

import typer

from connector.cli.flags import (
    ConfigFile,
    Flags,
    Format,
    OneTable,
    Output,
    Quietly,
    Segments,
    To,
    Workers,
)
from connector.cli.running import command, opened, print_states


def snapshot(
    table: OneTable,
    config: ConfigFile = None,
    to: To = None,
    segments: Segments = None,
    workers: Workers = None,
    full_refresh: Annotated[
        bool, typer.Option("--full-refresh", help="Read the whole table again.")
    ] = False,
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Let a refresh delete any number of rows.")
    ] = False,
    output: Format = Output.table,
    quiet: Quietly = False,
) -> None:
    """Read a whole table once and load it; changes made meanwhile are drained as well."""
    from connector.worker_processes import forked_workers, usual_workers

    flags = Flags(config, to, output, quiet)
    scan = {"scan.segments": segments, "scan.workers": workers}
    count = workers or usual_workers()
    with forked_workers(count, segments) as processes, command(flags) as (printer, stop):
        settings = flags.load([table], scan)
        with opened("snapshot", flags, settings, table, stop, processes) as run:
            state = run.snapshot(full_refresh, yes)
        print_states(printer, settings, [state])
