"""`connector tail`: reads changes only."""

from connector.cli.runs.flags import (
    JOBS,
    ConfigFile,
    Flags,
    Follow,
    For,
    Format,
    Jobs,
    Output,
    Quietly,
    Tables,
    To,
    Until,
)
from connector.cli.runs.running import Work, chosen, command


def tail(
    tables: Tables = None,
    config: ConfigFile = None,
    to: To = None,
    follow: Follow = False,
    duration: For = None,
    jobs: Jobs = JOBS,
    output: Format = Output.table,
    quiet: Quietly = False,
) -> None:
    """Read changes until caught up, for a given time, or until interrupted."""
    flags = Flags(config, to, output, quiet)
    until = Until.of(follow, duration)
    with command(flags) as (printer, stop):
        from connector.cli.runs.results import print_states

        settings = flags.load(tables or [])
        names = chosen(tables, settings, "tail")
        work = Work("tail", flags, settings, names, stop, jobs, until)
        with work.publishing():
            print_states(printer, work, work.outcomes(lambda run, ended: run.tail(ended)))
