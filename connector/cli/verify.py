"""`connector verify`: every item of the source against its row."""

import logging
from typing import TYPE_CHECKING

from connector.cli.flags import (
    ConfigFile,
    Flags,
    Format,
    OneTable,
    Output,
    Quietly,
    Segments,
    To,
)
from connector.cli.running import command, opened
from connector.errors import ConfigError, Mismatch, Transient

if TYPE_CHECKING:
    from connector.cli.output import Printer
    from connector.core.state import TableState
    from connector.pipeline.verify import Verdict

log = logging.getLogger("connector.cli")

_SEGMENTS = 4


def verify(
    table: OneTable,
    config: ConfigFile = None,
    to: To = None,
    segments: Segments = None,
    output: Format = Output.table,
    quiet: Quietly = False,
) -> None:
    """Compare every item of the source with the table; leaves with 3 where they differ."""
    flags = Flags(config, to, output, quiet)
    with command(flags) as (printer, stop):
        from connector.pipeline.verify import verify as compare

        settings = flags.load([table])
        with opened("verify", flags, settings, table, stop) as run:
            state = run.destination.read(table)
            if state is None:
                raise ConfigError(
                    f"{table} was never synced here.", f"Run `connector sync {table}`."
                )
            verdict = compare(
                run.source,
                run.destination,
                state,
                segments=segments or _SEGMENTS,
                tail=lambda: _discard(run.tail(lambda tail: tail.caught_up())),
                progress=run.progress,
            )
        _report(printer, table, verdict)


def _discard(state: "TableState") -> None:
    log.debug("tailed %s to commit %d", state.table, state.commit)


def _report(printer: "Printer", table: str, verdict: "Verdict") -> None:
    from connector.pipeline.verify import as_dict

    found = as_dict(verdict)
    if printer.output is Output.json:
        printer.json({"table": table, "equal": verdict.equal, **found})
    else:
        printer.rows(
            [{"result": "matching", "count": verdict.matching, "keys": ""}]
            + [
                {
                    "result": name,
                    "count": found[name]["count"],
                    "keys": " ".join(found[name]["keys"]),
                }
                for name in ("missing", "extra", "different", "unsettled")
            ]
        )
    if not verdict.equal:
        raise Mismatch(
            f"{table} differs from its source.",
            "Run `connector verify` again; if it stays, "
            f"`connector snapshot {table} --full-refresh`.",
        )
    if verdict.unsettled.count:
        raise Transient(
            f"{verdict.unsettled.count} keys changed too often to be compared.",
            "Everything else is equal; run `connector verify` again.",
        )
