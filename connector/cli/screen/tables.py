"""Tables on stdout, as wide as the terminal allows."""

import os
import sys
from collections.abc import Sequence
from itertools import zip_longest
from typing import TYPE_CHECKING

from rich.cells import cell_len

from connector.cli.screen.visible import visible

if TYPE_CHECKING:
    from rich.console import Console

_WIDEST = 10_000
"""Characters; a wider table is printed with one value per line, even if stdout is no terminal."""

_GAP = 2
"""Between two columns."""

_NARROWEST = 20
"""A narrower terminal, or one that claims to be, wraps the lines itself, so nothing is left out."""


_LOOKS_LIKE_A_TERMINAL = ("FORCE_COLOR", "TTY_COMPATIBLE")
"""Variables by which people have a pipe treated as a terminal."""


def print_table(names: Sequence[str], rows: Sequence[Sequence[str]], folds: bool = False) -> None:
    """Prints rows of texts under their names; `folds` gives the last column room for long ones."""
    plain = not sys.stdout.isatty() and not any(map(os.environ.get, _LOOKS_LIKE_A_TERMINAL))
    shown = [*map(visible, names)]
    if not (plain and _print_plain(shown, rows)):
        _print_drawn(shown, rows, folds)


def _print_plain(names: Sequence[str], rows: Sequence[Sequence[str]]) -> bool:
    """Prints a line per row where nobody looks, which takes no time; false if one would not do."""
    if any("\n" in text for row in rows for text in row):
        return False
    sizes = [[cell_len(text) for text in line] for line in (names, *rows)]
    widths = [max(column) for column in zip(*sizes, strict=True)]
    if sum(widths) + _GAP * (len(widths) - 1) > _WIDEST:
        return False
    for line, lengths in zip((names, *rows), sizes, strict=True):
        padded = (
            text + " " * (width - length)
            for text, width, length in zip(line, widths, lengths, strict=True)
        )
        sys.stdout.write((" " * _GAP).join(padded) + "\n")
    return True


def _print_drawn(names: Sequence[str], rows: Sequence[Sequence[str]], folds: bool) -> None:
    # What draws tables takes a while to import, and is for terminals.
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    # If stdout is not a terminal, a table is as wide as it needs to be.
    width = max(Console().width, _NARROWEST) if sys.stdout.isatty() else _WIDEST
    console = Console(width=width, highlight=False, emoji=False)
    widths = _leading(names, rows, console.width) if folds else []
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name, width in zip_longest(names, widths):
        table.add_column(Text(name), overflow="fold", width=width)
    for row in rows:
        table.add_row(*map(Text, row))
    unlimited = console.options.update(max_width=_WIDEST + 1)
    least = console.measure(table, options=unlimited).maximum
    if len(names) == 1 or widths or least <= console.width:
        console.print(table)
    else:
        _one_below_the_other(console, names, rows, without_empty=folds)


def _leading(names: Sequence[str], rows: Sequence[Sequence[str]], total: int) -> list[int]:
    """How wide all columns but the last are; none if these leave it too little room for words.

    Where they must give way, the widest does, and its texts are folded.
    """
    widths = [max(map(cell_len, column)) for column in zip(names, *rows, strict=True)][:-1]
    room = total - 2 * _NARROWEST - _GAP * len(widths)
    while sum(widths) > room:
        if max(widths) <= _NARROWEST:
            return []
        widths[widths.index(max(widths))] -= 1
    return widths


def _one_below_the_other(
    console: "Console",
    names: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    without_empty: bool = False,
) -> None:
    """Prints rows that are wider than the terminal, one line per value."""
    from rich.table import Table
    from rich.text import Text

    for number, row in enumerate(rows or [[""] * len(names)]):
        if number:
            console.print()
        lines = Table(box=None, pad_edge=False, show_header=False)
        lines.add_column(style="bold", overflow="fold")
        lines.add_column(overflow="fold")
        for name, value in zip(names, row, strict=True):
            if value or not without_empty:
                lines.add_row(Text(name), Text(value))
        console.print(lines)
