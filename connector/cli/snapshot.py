"""`connector snapshot`: reads whole tables once and loads them."""

from typing import Annotated

import typer

from connector.cli.runs.flags import (
    CAUGHT_UP,
    JOBS,
    ConfigFile,
    Flags,
    Format,
    Jobs,
    Output,
    Quietly,
    Segments,
    Tables,
    To,
    Workers,
)
from connector.cli.runs.running import Work, chosen, command


def snapshot(
    tables: Tables = None,
    config: ConfigFile = None,
    to: To = None,
    segments: Segments = None,
    workers: Workers = None,
    full_refresh: Annotated[
        bool, typer.Option("--full-refresh", help="Read the whole table again.")
    ] = False,
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Allow a full refresh to delete any number of rows.")
    ] = False,
    jobs: Jobs = JOBS,
    output: Format = Output.table,
    quiet: Quietly = False,
) -> None:
    """Read whole tables once and load them, together with the changes made meanwhile."""
    from connector.scanning.pool import usual_workers
    from connector.scanning.processes import forked_workers

    flags = Flags(config, to, output, quiet)
    scan = {"scan.segments": segments, "scan.workers": workers}
    count = workers or usual_workers()
    with forked_workers(count, segments) as processes, command(flags) as (printer, stop):
        from connector.cli.runs.results import print_states

        settings = flags.load(tables or [], scan)
        names = chosen(tables, settings, "snapshot")
        work = Work("snapshot", flags, settings, names, stop, jobs, CAUGHT_UP, processes)
        outcomes = work.outcomes(lambda run, ended: run.snapshot(full_refresh, yes))
        print_states(printer, work, outcomes)
