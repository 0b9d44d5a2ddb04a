"""`connector status`: where each table stands, by the destination's own word."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from connector.cli.runs.flags import ConfigFile, Flags, Format, Output, Quietly, To, seconds_of
from connector.cli.runs.running import command
from connector.core.words import lasting
from connector.errors import ConfigError, ConnectorError, NeedsPerson
from connector.pipeline.side_by_side import Outcome, Result

if TYPE_CHECKING:
    from connector.config.model import Config
    from connector.core.state import TableState
    from connector.ports import Destination


def status(
    config: ConfigFile = None,
    to: To = None,
    max_lag: Annotated[
        str | None,
        typer.Option(
            "--max-lag",
            help="Leave with 3 if a table is further behind, such as 90s, 30m or 1h.",
            metavar="DURATION",
        ),
    ] = None,
    output: Format = Output.table,
    quiet: Quietly = False,
) -> None:
    """Show where each table stands; leaves with 3 if one needs a person or is late."""
    flags = Flags(config, to, output, quiet)
    with command(flags) as (printer, _):
        from connector import job
        from connector.cli.runs.results import leave, without_empty
        from connector.cli.screen.status_rows import brief

        allowed = None if max_lag is None else seconds_of(max_lag)
        settings = flags.load()
        destination = job.open_destination(settings)
        with destination.reading():
            known = [destination.read(table) for table in destination.tables()]
            states = [state for state in known if state]
            rows, failed = _rows(settings, destination, states)
        if printer.for_people:
            printer.rows(without_empty(list(map(brief, rows)), "drift"))
        else:
            printer.rows([_printed(row, output) for row in rows])
        if not states and output is Output.table:
            typer.echo("No table has been planned here yet: run `connector sync`.", err=True)
        leave([*failed, *_wrong(rows, allowed)])
        if allowed is not None and not rows:
            raise ConfigError(
                "There is no table here whose lag could be watched.",
                "List the tables in connector.yaml, or check the destination.",
            )


def _rows(
    config: "Config", destination: "Destination", states: "list[TableState]"
) -> tuple[list[dict[str, Any]], list[Outcome[None]]]:
    """A row for each table, by name, and the tables whose rows could not be counted."""
    from connector.cli.screen.status_rows import status_row, unsynced_row

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
    if config.tables:
        # If no tables are listed any may be synced, so none is missing in the list.
        rows = {table: {**row, "configured": table in config.tables} for table, row in rows.items()}
    return [rows[table] for table in sorted(rows)], failed


def _printed(row: Mapping[str, Any], output: Output) -> dict[str, Any]:
    if output is Output.json or "configured" not in row:
        return dict(row)
    return {**row, "configured": "yes" if row["configured"] else "no"}


def _wrong(rows: Sequence[Mapping[str, Any]], allowed: float | None) -> Iterator[Outcome[None]]:
    """What a monitor should hear of. A table that is no longer listed is never late."""
    for row in rows:
        error = None
        if row["problem"]:
            error = NeedsPerson(
                f"needs a person. {row['problem']}", "docs/operations.md says what to do, by error."
            )
        elif allowed is not None and row.get("configured", True):
            error = _late(row, allowed)
        if error:
            yield Outcome[None](row["table"], Result.FAILED, error=error)


def _late(row: Mapping[str, Any], allowed: float) -> NeedsPerson | None:
    """Why a table is later than allowed; what was never read is later than anything."""
    from connector.cli.screen.status_rows import NEVER_SYNCED

    lag = row["lag_seconds"]
    if row["phase"] == NEVER_SYNCED:
        how = "was never synced"
    elif lag is None:
        how = "has no lag that is known"
    elif lag > allowed:
        how = f"is {lasting(lag)} behind"
    else:
        return None
    return NeedsPerson(
        f"{how}, and {lasting(allowed)} is allowed.",
        "See that `connector sync` runs, and what it says.",
    )
