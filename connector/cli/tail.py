"""`connector tail`: a table's changes only."""

from connector.cli.flags import (
    ConfigFile,
    Flags,
    Follow,
    For,
    Format,
    OneTable,
    Output,
    Quietly,
    To,
    Until,
)
from connector.cli.running import command, opened, print_states


def tail(
    table: OneTable,
    config: ConfigFile = None,
    to: To = None,
    follow: Follow = False,
    duration: For = None,
    output: Format = Output.table,
    quiet: Quietly = False,
) -> None:
    """Read a table's changes until caught up, for a time, or for ever."""
    flags = Flags(config, to, output, quiet)
    until = Until.of(follow, duration)
    with command(flags) as (printer, stop):
        settings = flags.load([table])
        with opened("tail", flags, settings, table, stop) as run:
            state = run.tail(until.condition())
        print_states(printer, settings, [state])
