"""`connector schema diff`: compares what is declared of a table's columns with what they are."""

import logging
import os
from typing import TYPE_CHECKING

from connector.cli.runs.flags import ConfigFile, Flags, Format, OneTable, Output, Quietly, To
from connector.cli.runs.running import command
from connector.errors import ConfigError, SchemaDiffers

if TYPE_CHECKING:
    from connector.config.model import Config

log = logging.getLogger("connector.schema")


def diff(
    table: OneTable,
    config: ConfigFile = None,
    to: To = None,
    output: Format = Output.table,
    quiet: Quietly = False,
) -> None:
    """Compare what is declared of a table's columns with the warehouse; exit 3 if they differ."""
    flags = Flags(config, to, output, quiet)
    with command(flags) as (printer, _):
        from dataclasses import asdict

        from connector import job
        from connector.config.tables.written import Written
        from connector.core.contracts.found import advice, differences
        from connector.core.words import counted, joined

        settings = flags.load([table])
        entries = _entries(settings, table)
        spec = settings.tables[table].spec()
        required = [name for name, each in spec.contract.columns if each.required]
        found = job.open_destination(settings, table, "schema").described(
            table, spec.contract.types, required
        )
        every = [each for one in found for each in differences(spec, entries, one, found)]
        printer.rows([asdict(each) for each in every])
        if every:
            tables = joined(list(dict.fromkeys(each.table for each in every)), last="and")
            raise SchemaDiffers(
                f"{table}: {counted(len(every), 'thing')} in {tables} "
                f"{'differs' if len(every) == 1 else 'differ'} from what is declared.",
                advice(table, every, Written.of(config, table, os.environ).elsewhere),
            )
        log.info("%s: nothing differs from what is declared", table)


def _entries(config: "Config", table: str) -> dict[str, bool]:
    """The attributes with an entry, and whether they can have a column."""
    settings = config.tables[table]
    if not settings.columns:
        raise ConfigError(
            f"Nothing is declared of the columns of {table}.",
            f"`connector schema infer {table}` writes a file that declares them.",
        )
    return settings.listed()
