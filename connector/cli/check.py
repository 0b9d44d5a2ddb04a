"""`connector check`: everything a run needs, tried, and nothing changed."""

from typing import Any

from connector.cli.flags import ConfigFile, Flags, Format, Output, Quietly, Tables, To
from connector.cli.running import command
from connector.errors import ConnectorError


def check(
    tables: Tables = None,
    config: ConfigFile = None,
    to: To = None,
    output: Format = Output.table,
    quiet: Quietly = False,
) -> None:
    """Try everything a run needs, and change nothing."""
    flags = Flags(config, to, output, quiet)
    with command(flags) as (printer, _):
        from connector import job

        settings = flags.load(tables or [])
        rows: list[dict[str, Any]] = [
            {"what": "destination", "result": job.open_destination(settings).check()}
        ]
        names = tables or list(settings.tables)
        errors: list[ConnectorError] = []
        for table in names:
            try:
                found = job.check_source(settings, table)
            except ConnectorError as error:
                if len(names) == 1:
                    raise
                errors.append(error)
                found = f"failed: {error}"
            rows.append({"what": table, "result": found})
        printer.rows(rows)
        if errors:
            raise errors[0]
