"""`connector snapshot`: reads whole tables once and loads them."""

from collections.abc import Sequence
from typing import Annotated

import typer

from connector.cli.runs.flags import (
    JOBS,
    ConfigFile,
    Export,
    Flags,
    Format,
    JobsOnce,
    Output,
    Quietly,
    Segments,
    Tables,
    To,
    Workers,
)
from connector.cli.runs.running import Work, chosen, command
from connector.errors import ConfigError


def snapshot(
    tables: Tables = None,
    config: ConfigFile = None,
    to: To = None,
    segments: Segments = None,
    workers: Workers = None,
    full_refresh: Annotated[
        bool, typer.Option("--full-refresh", help="Read the whole table again.")
    ] = False,
    export: Export = None,
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Allow a full refresh to delete any number of rows.")
    ] = False,
    jobs: JobsOnce = JOBS,
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
        if export is not None:
            refuse_export(export, names)
        work = Work(
            "snapshot", flags, settings, names, stop, jobs, processes=processes, export=export
        )
        with work.publishing():
            outcomes = work.outcomes(lambda run, ended: run.snapshot(full_refresh, yes))
            print_states(printer, work, outcomes)


def refuse_export(url: str, tables: Sequence[str]) -> None:
    """Raises ConfigError where an export is no place, or cannot be of all the tables."""
    from connector.config.urls import check_exports

    try:
        check_exports(url)
    except ConfigError as error:
        raise ConfigError(f"--export: {error.message}", error.hint) from None
    if len(tables) > 1:
        raise ConfigError(
            "An export is of one table, and --export was given for several.",
            f"Name one: `connector snapshot {tables[0]} --export URL`.",
        )
