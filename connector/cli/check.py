"""`connector check`: everything a run needs, tried, and nothing changed."""

from typing import TYPE_CHECKING

from connector.cli.runs.flags import ConfigFile, Flags, Format, Output, Quietly, Tables, To
from connector.cli.runs.running import command
from connector.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

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
        printer.rows([need.row() for need in needs])
        error = unmet(needs)
        if error is not None:
            raise error


def _needs(flags: Flags, tables: list[str] | None, stop: "Stop") -> "Sequence[Need]":
    from connector import checking
    from connector.core.needs import Need

    try:
        settings = flags.load(tables or [])
    except ConfigError as error:
        return [Need("configuration", error.message, error=error)]
    return checking.check(settings, tables or list(settings.tables), stop)
