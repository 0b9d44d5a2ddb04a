"""`connector query`: a statement that reads the destination."""

from typing import Annotated

import typer

from connector.cli.flags import ConfigFile, Flags, Format, Output, Quietly, To
from connector.cli.running import command


def query(
    sql: Annotated[str, typer.Argument(help="A statement that reads.")],
    config: ConfigFile = None,
    to: To = None,
    output: Format = Output.table,
    quiet: Quietly = False,
) -> None:
    """Run a query on the destination, read only."""
    flags = Flags(config, to, output, quiet)
    with command(flags) as (printer, _):
        from connector import job

        printer.arrow(job.open_destination(flags.load()).query(sql))
