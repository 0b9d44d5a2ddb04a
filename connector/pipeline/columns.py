"""Reports changes of columns, once, after the commit that made them."""

import logging
from collections.abc import Mapping

from connector.core.state import Committed, Drift

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


def report_renamed(table: str, renamed: Mapping[str, str]) -> None:
    """Logs attributes with the names of their columns."""
    for attribute, column in renamed.items():
        log.info("%s: the attribute %r is in the column %r", table, attribute, column)


def _text(drift: Drift) -> str:
    if drift.before is None:
        text, cause = f"the column {drift.column!r} is new: {drift.after}", "first seen in"
    else:
        text = f"the column {drift.column!r} is {drift.after} instead of {drift.before}"
        cause = "because of"
    return text if drift.key is None else f"{text}, {cause} the item with the key {drift.key}"
