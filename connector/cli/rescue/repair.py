"""`connector repair`: fills in what a stream has lost, without reading the whole table."""

from connector.cli.runs.flags import ConfigFile, Flags, Format, OneTable, Output, Quietly, To
from connector.cli.runs.running import Work, command


def repair(
    table: OneTable,
    config: ConfigFile = None,
    to: To = None,
    output: Format = Output.table,
    quiet: Quietly = False,
) -> None:
    """Fill in changes that the stream has lost, from incremental exports, and go on from there."""
    flags = Flags(config, to, output, quiet)
    with command(flags) as (printer, stop):
        from connector.cli.runs.results import print_states

        settings = flags.load([table])
        work = Work("repair", flags, settings, [table], stop, jobs=1)
        print_states(printer, work, work.outcomes(lambda run, ended: run.repair(ended)))
