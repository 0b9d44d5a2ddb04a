"""`connector status`: where each table stands, according to the destination alone."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from connector.cli.runs.flags import ConfigFile, Flags, Format, Output, Quietly, To, seconds_of
from connector.cli.runs.running import command
from connector.errors import ConfigError, ConnectorError
from connector.pipeline.side_by_side import Outcome, Result
from connector.stop import MACHINE

if TYPE_CHECKING:
    from connector.cli.screen.output import Printer
    from connector.config.model import Config
    from connector.core.publishing import Published
    from connector.core.status import Status
    from connector.ports import Destination


def status(
    config: ConfigFile = None,
    to: To = None,
    max_lag: Annotated[
        str | None,
        typer.Option(
            "--max-lag",
            help="Exit with code 3 if a table lags more than this, e.g. 90s, 30m or 1h.",
            metavar="DURATION",
        ),
    ] = None,
    output: Format = Output.table,
    quiet: Quietly = False,
) -> None:
    """Show where each table stands; exit with code 3 if one needs a person or lags too far."""
    flags = Flags(config, to, output, quiet)
    with command(flags) as (printer, _):
        from connector import job
        from connector.cli.runs.results import leave

        allowed = None if max_lag is None else seconds_of(max_lag)
        settings = flags.load()
        destination = job.open_destination(settings)
        with destination.reading():
            found = _found(settings, destination, MACHINE.now())
            known = [table for table, status in found.items() if status.state]
            counts, failed = _counted(destination, known)
        rows = _rows(settings, found, counts, _published(destination, found))
        _print(printer, rows, output)
        if not known and output is Output.table:
            typer.echo("No table has been synced here yet: run `connector sync`.", err=True)
        leave([*failed, *_wrong(settings, found, allowed)])
        if allowed is not None and not rows:
            raise ConfigError(
                "There is no table here to watch the lag of.",
                "List the tables in connector.yaml, or check the destination.",
            )


def _found(config: "Config", destination: "Destination", now: datetime) -> "dict[str, Status]":
    """The status of every table that is configured or has a state here."""
    from connector import job
    from connector.core.status import Status

    states = filter(None, map(destination.read, destination.tables()))
    known = {state.table: job.status(state, now) for state in states}
    return dict.fromkeys(config.tables, Status()) | known


def _counted(
    destination: "Destination", tables: Iterable[str]
) -> tuple[dict[str, dict[str, int]], list[Outcome[None]]]:
    """The rows in each target of each table, and the tables whose rows could not be counted."""
    counts, failed = {}, []
    for table in tables:
        try:
            counts[table] = destination.counts(table)
        except ConnectorError as error:
            failed.append(Outcome[None](table, Result.FAILED, error=error))
    return counts, failed


def _published(destination: "Destination", found: "Mapping[str, Status]") -> "Published | None":
    from connector.core.publishing import Published

    if destination.copies is None:
        return None
    states = filter(None, (status.state for status in found.values()))
    return Published.of(destination.copies.newest(), states)


def _rows(
    config: "Config",
    found: "Mapping[str, Status]",
    counts: Mapping[str, Mapping[str, int]],
    published: "Published | None",
) -> list[dict[str, Any]]:
    return [
        _row(config, table, found[table], counts.get(table), published) for table in sorted(found)
    ]


def _row(
    config: "Config",
    table: str,
    status: "Status",
    rows: Mapping[str, int] | None,
    published: "Published | None",
) -> dict[str, Any]:
    from connector import job
    from connector.cli.screen.status_rows import status_row

    listed = table in config.tables
    into = ", ".join(config.targets(table)) if listed else table
    row = status_row(table, into, status, rows, published)
    if status.state:
        row["region"] = job.region_of(config, status.state)
    # If no tables are listed, any may be synced, so none counts as missing from the list.
    return {**row, "configured": listed} if config.tables else row


def _print(printer: "Printer", rows: Sequence[Mapping[str, Any]], output: Output) -> None:
    from connector.cli.runs.results import without_empty
    from connector.cli.screen.status_rows import brief_status, by_target

    if printer.for_people:
        shown = list(map(brief_status, by_target(rows)))
        printer.rows(without_empty(shown, "drift", "region", "published"))
        for why in {row["held_back"] for row in rows} - {None}:
            typer.echo(f"{why[0].upper()}{why[1:]}.", err=True)
    else:
        every = rows if output is Output.json else by_target(rows)
        printer.rows([_printed(row, output) for row in every])


def _printed(row: Mapping[str, Any], output: Output) -> dict[str, Any]:
    if output is Output.json or "configured" not in row:
        return dict(row)
    return {**row, "configured": "yes" if row["configured"] else "no"}


def _wrong(
    config: "Config", found: "Mapping[str, Status]", allowed: float | None
) -> Iterator[Outcome[None]]:
    """The problems that a monitor should see. A table that is no longer listed is never late."""
    for table in sorted(found):
        listed = table in config.tables or not config.tables
        if error := found[table].wrong(allowed if listed else None):
            yield Outcome[None](table, Result.FAILED, error=error)
