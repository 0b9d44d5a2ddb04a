"""`connector failover`: goes on with a global table in the replica of another Region."""

from typing import Annotated

import typer

from connector.cli.runs.flags import (
    ConfigFile,
    Flags,
    Format,
    OneTable,
    Output,
    Quietly,
    Region,
    Segments,
    To,
    Workers,
)
from connector.cli.runs.running import Work, command


def failover(
    table: OneTable,
    region: Region,
    config: ConfigFile = None,
    to: To = None,
    segments: Segments = None,
    workers: Workers = None,
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Allow it to delete any number of rows.")
    ] = False,
    output: Format = Output.table,
    quiet: Quietly = False,
) -> None:
    """Go on in another replica of a global table; its rows stay readable until it is loaded."""
    from connector.scanning.pool import usual_workers
    from connector.scanning.processes import forked_workers

    flags = Flags(config, to, output, quiet)
    scan = {"scan.segments": segments, "scan.workers": workers}
    count = workers or usual_workers()
    with forked_workers(count, segments) as processes, command(flags) as (printer, stop):
        from connector.cli.runs.results import print_states
        from connector.pipeline.following.failover import fail_over

        settings = flags.load([table], scan)
        work = Work(
            "failover", flags, settings, [table], stop, 1, processes=processes, region=region
        )
        with work.publishing():
            outcomes = work.outcomes(lambda run, ended: fail_over(run, region, yes))
            print_states(printer, work, outcomes)
