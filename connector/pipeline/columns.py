"""Reports changes of columns, once, after the commit that made them."""

import logging
from collections.abc import Mapping

from connector.core.contracts.contract import Contract, Declared
from connector.core.state import Committed, Drift
from connector.core.words import counted

log = logging.getLogger("connector.columns")

AT_ONCE = 20
"""How many new or wider columns of one commit get a line of their own."""


def report_columns(table: str, committed: Committed) -> None:
    """Logs columns that are not named after their attribute, and warns of new and wider ones.

    The item that caused a change is named by its key; values are never logged.
    """
    report_renamed(table, committed.renamed)
    for drift in committed.drift[:AT_ONCE]:
        log.warning("%s: %s", table, _text(drift))
    if len(committed.drift) > AT_ONCE:
        more = len(committed.drift) - AT_ONCE
        log.warning("%s: and %d more: see _connector.drift", table, more)


def report_misfits(
    table: str, committed: Committed, contract: Contract, told: set[str] | None = None
) -> None:
    """Warns of columns with values that do not fit, once for each that is not in `told` yet."""
    told = set() if told is None else told
    for name, count in sorted(committed.misfits.items()):
        if name not in told:
            told.add(name)
            log.warning(
                "%s: %s of %r %s fit what is declared of it, %s: see docs/tables.md#contracts",
                table,
                counted(count, "value"),
                name,
                "does not" if count == 1 else "do not",
                contract.named.get(name, Declared()),
            )


def report_renamed(table: str, renamed: Mapping[str, str]) -> None:
    """Logs attributes with the names of their columns."""
    for attribute, column in renamed.items():
        log.info("%s: the attribute %r is in the column %r", table, attribute, column)


def _text(drift: Drift) -> str:
    column = f"the column {drift.column!r}" + (f" of {drift.target}" if drift.target else "")
    if drift.before is None:
        text, cause = f"{column} is new: {drift.after}", "first seen in"
    else:
        text = f"{column} is {drift.after} instead of {drift.before}"
        cause = "because of"
    return text if drift.key is None else f"{text}, {cause} the item with the key {drift.key}"
