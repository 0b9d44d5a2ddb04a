"""`connector schema infer`: writes schemas/TABLE.yaml from what a table's columns are."""

import os
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from connector.cli.runs.flags import ConfigFile, Flags, Format, OneTable, Output, Quietly, To
from connector.cli.runs.running import command
from connector.errors import ConfigError

if TYPE_CHECKING:
    from connector.config.model import Config
    from connector.core.contracts.seen import Sight
    from connector.stop import Stop

ITEMS = 1_000
Items = Annotated[
    int,
    typer.Option(
        min=1,
        help="Items to read at the source, at least, if the table is not in the warehouse yet.",
        metavar="N",
    ),
]
Stdout = Annotated[
    bool, typer.Option("--stdout", help="Print what the file would say; write nothing.")
]
Force = Annotated[bool, typer.Option("--force", help="Replace a file that is there already.")]


def infer(
    table: OneTable,
    config: ConfigFile = None,
    to: To = None,
    items: Items = ITEMS,
    stdout: Stdout = False,
    force: Force = False,
    output: Format = Output.table,
    quiet: Quietly = False,
) -> None:
    """Write schemas/TABLE.yaml with the types of a table's columns, as they are now."""
    flags = Flags(config, to, output, quiet)
    with command(flags) as (printer, stop):
        from connector.config.tables.written import Written

        settings = flags.load([table])
        _refuse_packed(settings, table)
        written = Written.of(config, table, os.environ)
        if not stdout:
            written.refuse(force)
        sight = _seen(settings, table, items, stop)
        if stdout:
            # What could control a terminal is escaped in it.
            sys.stdout.write(written.text(sight))
            return
        written.write(written.text(sight), force)
        made = {"file": str(written.path), "columns": len(sight.attributes)}
        printer.rows([{"table": table, **made, f"{sight.thing}s": sight.total}])


def _refuse_packed(config: "Config", table: str) -> None:
    if config.tables[table].spec().packed:
        raise ConfigError(
            f"tables.{table}.layout is packed, so its attributes have no columns.",
            "A file can be inferred for a table with the layout columns.",
        )


def _seen(config: "Config", table: str, items: int, stop: "Stop") -> "Sight":
    """The table in the warehouse if it was read there, or else some of its items."""
    from connector import job
    from connector.core.state import Phase
    from connector.pipeline.declared.looking import of_warehouse

    destination = job.open_destination(config, table, "schema")
    with destination.reading():
        state = destination.read(table)
        if state is not None and state.phase is Phase.TAILING:
            return of_warehouse(destination, state)
    return job.sampled(config, table, items, stop)
