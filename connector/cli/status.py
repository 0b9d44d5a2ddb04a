"""`connector status`: where each table stands, by the destination's own word."""

from datetime import UTC, datetime

import typer

from connector.cli.flags import ConfigFile, Flags, Format, Output, Quietly, To
from connector.cli.running import command


def status(
    config: ConfigFile = None,
    to: To = None,
    output: Format = Output.table,
    quiet: Quietly = False,
) -> None:
    """Show where each table stands."""
    flags = Flags(config, to, output, quiet)
    with command(flags) as (printer, _):
        from connector import job
        from connector.cli.output import status_row

        destination = job.open_destination(flags.load())
        now = datetime.now(UTC)
        states = [destination.read(table) for table in destination.tables()]
        printer.rows(
            [status_row(state, destination.count(state.table), now) for state in states if state]
        )
        if not states and output is Output.table:
            typer.echo("No table has been planned here yet: run `connector sync`.", err=True)
