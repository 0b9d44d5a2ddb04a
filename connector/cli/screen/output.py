"""Results on stdout: as a table for people, or as JSON for programs."""

import sys
from base64 import b64encode
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec
import pyarrow as pa
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from connector.cli.runs.flags import Output
from connector.cli.screen.plain import ENCODER, plain_values
from connector.cli.screen.visible import json_visible, visible

_WIDEST = 10_000
"""Characters; a wider table is printed with one value per line, even if stdout is no terminal."""

_NARROWEST = 20
"""A narrower terminal, or one that claims to be, wraps the lines itself, so nothing is left out."""


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
        # If stdout is not a terminal, a table is as wide as it needs to be.
        width = max(Console().width, _NARROWEST) if sys.stdout.isatty() else _WIDEST
        console = Console(width=width, highlight=False, emoji=False)
        table = Table(box=None, pad_edge=False, header_style="bold")
        for name in names:
            stays = folds and name != names[-1]
            table.add_column(Text(visible(name)), overflow="fold", no_wrap=stays)
        for row in rows:
            table.add_row(*map(Text, row))
        unlimited = console.options.update(max_width=_WIDEST + 1)
        least = console.measure(table, options=unlimited).maximum
        if folds:
            # The other columns keep their width and must leave the last one room for some words.
            least += 2 * _NARROWEST - max(cell_len(row[-1]) for row in rows)
        if len(names) == 1 or least <= console.width:
            console.print(table)
        else:
            self._one_below_the_other(console, names, rows)

    def _one_below_the_other(
        self, console: Console, names: Sequence[str], rows: Sequence[Sequence[str]]
    ) -> None:
        """Prints rows that are wider than the terminal, one line per value."""
        for number, row in enumerate(rows or [[""] * len(names)]):
            if number:
                console.print()
            lines = Table(box=None, pad_edge=False, show_header=False)
            lines.add_column(style="bold", overflow="fold")
            lines.add_column(overflow="fold")
            for name, value in zip(names, row, strict=True):
                lines.add_row(Text(visible(name)), Text(value))
            console.print(lines)


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
