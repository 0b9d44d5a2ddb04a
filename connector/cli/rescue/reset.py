"""`connector reset`: forgets the state of a table."""

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from connector.cli.runs.flags import ConfigFile, Flags, Format, OneTable, Output, Quietly, To, Yes
from connector.cli.runs.running import command
from connector.cli.screen.visible import visible
from connector.errors import ConfigError, Interrupted

if TYPE_CHECKING:
    from connector.config.model import Config


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
    with command(flags) as (printer, stop):
        from connector import job

        # A table that is no longer listed may still have a state.
        settings = flags.load()
        destination = job.open_destination(settings, table)
        state = destination.read(table)
        if state is None:
            raise _nothing(table, settings, destination.tables())
        if not yes:
            _ask(table, drop)
        # What may be refused comes first: the spooled scan has cost read units.
        with job.publishing(settings, stop):
            destination.reset(table, drop)
        job.drop_spool(settings, state)
        printer.rows([{"table": table, "reset": True, "dropped": drop}])


def _nothing(table: str, config: "Config", known: list[str]) -> ConfigError:
    """The error for a table without a state; its hint suggests the name that may be meant."""
    from connector.config.layers import suggest

    message = f"{table} has no state here."
    if table in config.tables or not known:
        return ConfigError(message, "There is nothing to reset.")
    return ConfigError(message, suggest(table, known))


def _ask(table: str, drop: bool) -> None:
    if not sys.stdin.isatty():
        raise ConfigError(
            "A reset asks for confirmation, and there is no terminal to answer on.", "Give --yes."
        )
    what = "state and its rows" if drop else "state"
    try:
        agreed = typer.confirm(f"Forget the {what} of {visible(table)}?", err=True)
    except typer.Abort:
        raise Interrupted("Nothing was changed.", "Answer y, or give --yes.") from None
    if not agreed:
        raise ConfigError("Nothing was changed.", "Answer y, or give --yes.")
