"""`connector reset`: what is remembered of a table, forgotten."""

import sys
from typing import Annotated

import typer

from connector.cli.flags import ConfigFile, Flags, Format, OneTable, Output, Quietly, To, Yes
from connector.cli.running import command
from connector.errors import ConfigError


def reset(
    table: OneTable,
    config: ConfigFile = None,
    to: To = None,
    drop: Annotated[bool, typer.Option("--drop", help="Drop the table's rows as well.")] = False,
    yes: Yes = False,
    output: Format = Output.table,
    quiet: Quietly = False,
) -> None:
    """Forget how far a table was read; the next sync reads it from the beginning."""
    flags = Flags(config, to, output, quiet)
    with command(flags) as (printer, _):
        from connector import job

        settings = flags.load([table])
        destination = job.open_destination(settings, table)
        state = destination.read(table)
        if state is None:
            raise ConfigError(f"{table} has no state here.", "There is nothing to reset.")
        if not yes:
            _ask(table, drop)
        job.drop_spool(settings, state)
        destination.reset(table, drop)
        printer.rows([{"table": table, "reset": True, "dropped": drop}])


def _ask(table: str, drop: bool) -> None:
    if not sys.stdin.isatty():
        raise ConfigError(
            "A reset asks first, and there is no terminal to answer on.", "Give --yes."
        )
    what = "state and its rows" if drop else "state"
    if not typer.confirm(f"Forget the {what} of {table}?", err=True):
        raise ConfigError("Nothing was changed.", "Answer y, or give --yes.")
