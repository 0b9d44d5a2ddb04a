"""`connector status`: where each table stands, by the destination's own word."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import typer

from connector.cli.flags import ConfigFile, Flags, Format, Output, Quietly, To
from connector.cli.running import command
from connector.errors import ConnectorError
from connector.pipeline.side_by_side import Outcome, Result

if TYPE_CHECKING:
    from connector.config import Config
    from connector.core.state import TableState
    from connector.ports import Destination


def status(
    config: ConfigFile = None,
    to: To = None,
    output: Format = Output.table,
    quiet: Quietly = False,
) -> None:
    """Show where each table stands, those that are configured and were never synced included."""
    flags = Flags(config, to, output, quiet)
    with command(flags) as (printer, _):
        from connector import job
        from connector.cli.results import leave

        settings = flags.load()
        destination = job.open_destination(settings)
        known = [destination.read(table) for table in destination.tables()]
        states = [state for state in known if state]
        rows, failed = _rows(settings, destination, states)
        if settings.tables:
            # Where no tables are listed any may be synced, so none is missing in the list.
            rows = [row | _listed(row["table"] in settings.tables, output) for row in rows]
        printer.rows(rows)
        if not states and output is Output.table:
            typer.echo("No table has been planned here yet: run `connector sync`.", err=True)
        leave(failed)


def _rows(
    config: "Config", destination: "Destination", states: "list[TableState]"
) -> tuple[list[dict[str, Any]], list[Outcome[None]]]:
    """A row for each table, by name, and the tables whose rows could not be counted."""
    from connector.cli.results import status_row, unsynced_row

    now = datetime.now(UTC)
    rows = {table: unsynced_row(table, config.target(table)) for table in config.tables}
    failed = []
    for state in states:
        count = None
        try:
            count = destination.count(state.table)
        except ConnectorError as error:
            failed.append(Outcome[None](state.table, Result.FAILED, error=error))
        rows[state.table] = status_row(state, count, now)
    return [rows[table] for table in sorted(rows)], failed


def _listed(configured: bool, output: Output) -> dict[str, Any]:
    shown = configured if output is Output.json else "yes" if configured else "no"
    return {"configured": shown}
