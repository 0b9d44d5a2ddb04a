"""Results on stdout: as a table for people, or as JSON for programs."""

import sys
from base64 import b64encode
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec
import pyarrow as pa

from connector.cli.runs.flags import Output
from connector.cli.screen.plain import ENCODER, plain_values
from connector.cli.screen.visible import json_visible, visible


class Printer:
    """Prints rows in the chosen format; nothing in them can control the terminal."""

    def __init__(self, output: Output) -> None:
        self.output = output

    @property
    def for_people(self) -> bool:
        """Whether the output is a table on a terminal."""
        return self.output is Output.table and sys.stdout.isatty()

    def rows(self, rows: Sequence[Mapping[str, Any]], *, folds: bool = False) -> None:
        """Rows with the same columns; `folds` gives the last column room for long texts."""
        if self.output is Output.json:
            self.json(list(rows))
        elif rows:
            cells = [[_text(each) for each in row.values()] for row in rows]
            self._table(list(rows[0]), cells, folds)

    def arrow(self, table: pa.Table) -> None:
        """The answer to a query; a table shows its columns even if there is no row."""
        names = table.column_names
        rows = list(zip(*map(plain_values, table.columns), strict=True))
        if self.output is Output.json:
            self.json([dict(zip(names, row, strict=True)) for row in rows])
        elif names:
            self._table(names, [[_cell(value) for value in row] for row in rows])

    def json(self, value: Any) -> None:
        """One JSON document; numbers keep their digits."""
        text = msgspec.json.format(ENCODER.encode(value), indent=2).decode()
        sys.stdout.write(json_visible(text, sys.stdout.encoding or "utf-8") + "\n")

    def _table(
        self, names: Sequence[str], rows: Sequence[Sequence[str]], folds: bool = False
    ) -> None:
        # JSON needs nothing of what draws tables.
        from connector.cli.screen.tables import print_table

        print_table(names, rows, folds)


def _text(value: Any) -> str:
    """The text of a cell of a command's own result."""
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.isoformat(sep=" ", timespec="seconds")
    return visible(str(value))


def _cell(value: Any) -> str:
    """The text of a cell of a query's answer; line breaks are kept."""
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.isoformat(sep=" ")
    if isinstance(value, bytes):
        return b64encode(value).decode()
    if isinstance(value, msgspec.Raw):
        return visible(bytes(value).decode(), keep="\n")
    if isinstance(value, list | dict):
        return visible(ENCODER.encode(value).decode())
    return visible(str(value), keep="\n")
