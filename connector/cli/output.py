"""Results on stdout: as a table for people, or as JSON for programs."""

import sys
from base64 import b64encode
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec
import pyarrow as pa
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from connector.cli.flags import Output


class Printer:
    """Prints rows in the chosen form."""

    def __init__(self, output: Output) -> None:
        self.output = output

    @property
    def for_people(self) -> bool:
        """Whether what is printed is read on a terminal."""
        return self.output is Output.table and sys.stdout.isatty()

    def rows(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Rows with the same columns."""
        if self.output is Output.json:
            self.json(list(rows))
        elif rows:
            self._table(list(rows[0]), [list(row.values()) for row in rows])

    def arrow(self, table: pa.Table) -> None:
        """The answer to a query."""
        names = table.column_names
        columns = [_plain(column, self.output) for column in table.columns]
        if self.output is Output.json:
            self.json([dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)])
        else:
            self._table(names, [list(row) for row in zip(*columns, strict=True)])

    def json(self, value: Any) -> None:
        """One JSON document; numbers keep their digits."""
        text = msgspec.json.Encoder(decimal_format="number", enc_hook=str).encode(value)
        sys.stdout.write(msgspec.json.format(text, indent=2).decode() + "\n")

    def _table(self, names: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        # Where stdout is no terminal a table is as wide as it needs to be.
        console = Console(width=None if sys.stdout.isatty() else 10_000, highlight=False)
        table = Table(box=None, pad_edge=False, header_style="bold")
        for name in names:
            table.add_column(escape(name), overflow="fold")
        for row in rows:
            table.add_row(*(_text(value) for value in row))
        unlimited = console.options.update(max_width=10_000)
        if len(names) > 1 and console.measure(table, options=unlimited).maximum > console.width:
            self._one_below_the_other(console, names, rows)
        else:
            console.print(table)

    def _one_below_the_other(
        self, console: Console, names: Sequence[str], rows: Sequence[Sequence[Any]]
    ) -> None:
        """Rows that are wider than the terminal: a line for each value."""
        for number, row in enumerate(rows):
            if number:
                console.print()
            lines = Table(box=None, pad_edge=False, show_header=False)
            lines.add_column(style="bold")
            lines.add_column(overflow="fold")
            for name, value in zip(names, row, strict=True):
                lines.add_row(escape(name), _text(value))
            console.print(lines)


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.isoformat(sep=" ", timespec="seconds")
    if isinstance(value, bytes):
        return b64encode(value).decode()
    return escape(str(value))


def _plain(column: pa.ChunkedArray, output: Output) -> list[Any]:
    values: list[Any] = column.to_pylist()
    if output is Output.json and column.type == pa.json_():
        return [None if value is None else msgspec.Raw(value.encode()) for value in values]
    return values
