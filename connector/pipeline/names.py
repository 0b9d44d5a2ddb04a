"""Columns that could not have their attribute's name: each is told once, when it is made."""

import logging
from collections.abc import Mapping

log = logging.getLogger("connector.columns")


def tell_renamed(table: str, renamed: Mapping[str, str]) -> None:
    """Logs attributes with the names of their columns."""
    for attribute, column in renamed.items():
        log.info("%s: the attribute %r is in the column %r", table, attribute, column)
