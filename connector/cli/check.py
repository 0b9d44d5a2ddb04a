"""`connector check`: tries everything a run needs and changes nothing."""

from typing import TYPE_CHECKING

from connector.cli.runs.flags import ConfigFile, Flags, Format, Output, Quietly, Tables, To
from connector.cli.runs.running import command
from connector.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import Any

    from connector.core.needs import Need
    from connector.stop import Stop


def check(
    tables: Tables = None,
    config: ConfigFile = None,
    to: To = None,
    output: Format = Output.table,
    quiet: Quietly = False,
) -> None:
    """Try everything a run needs, and change nothing."""
    flags = Flags(config, to, output, quiet)
    with command(flags) as (printer, stop):
        from connector.core.needs import unmet

        needs = _needs(flags, tables, stop)
        rows = [need.row() for need in needs]
        if printer.for_people:
            printer.rows([line for row in rows for line in _lines(row)], folds=True)
        else:
            printer.rows(rows)
        error = unmet(needs)
        if error is not None:
            raise error


def _lines(row: "Mapping[str, Any]") -> "Iterator[Mapping[str, Any]]":
    """A need as shown on a terminal, with the remedy on the line below."""
    yield {name: value for name, value in row.items() if name != "fix"}
    if row["fix"]:
        yield {"table": None, "check": None, "ok": None, "detail": f"fix: {row['fix']}"}


def _needs(flags: Flags, tables: list[str] | None, stop: "Stop") -> "Sequence[Need]":
    from connector import checking
    from connector.core.needs import Need

    try:
        settings = flags.load(tables or [])
    except ConfigError as error:
        return [Need("configuration", error.message, error=error)]
    needs = checking.check(settings, tables or list(settings.tables), stop)
    unused = ", ".join(map(str, flags.strangers()))
    said = f"of no configured table, so nothing in it applies: {unused}"
    return [*needs[:1], *([Need("schemas", said)] if unused else []), *needs[1:]]
