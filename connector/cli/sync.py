"""`connector sync`: a snapshot the first time, after that the changes since the last run."""

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
    Segments,
    Tables,
    To,
    Until,
    Workers,
)
from connector.cli.runs.running import Work, chosen, command


def sync(
    tables: Tables = None,
    config: ConfigFile = None,
    to: To = None,
    follow: Follow = False,
    duration: For = None,
    segments: Segments = None,
    workers: Workers = None,
    jobs: Jobs = JOBS,
    output: Format = Output.table,
    quiet: Quietly = False,
) -> None:
    """Bring tables up to date: a snapshot the first time, after that the changes since."""
    from connector.scanning.processes import forked_workers

    flags = Flags(config, to, output, quiet)
    until = Until.of(follow, duration)
    scan = {"scan.segments": segments, "scan.workers": workers}
    with forked_workers(workers or 0, segments) as processes, command(flags) as (printer, stop):
        from connector.cli.runs.results import print_states

        settings = flags.load(tables or [], scan)
        names = chosen(tables, settings, "sync")
        work = Work("sync", flags, settings, names, stop, jobs, until, processes)
        with work.publishing():
            outcomes = work.outcomes(lambda run, ended: run.sync(ended, until.lasts))
            print_states(printer, work, outcomes)
