"""python -m benchmarks: every measurement, as tables and as JSON."""

import argparse
import json
import os
import platform
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks import report
from benchmarks.decoding import decoding
from benchmarks.exports import exported
from benchmarks.follow import followed
from benchmarks.growth import by_size, by_workers, rounds_by_rows
from benchmarks.idle import idle
from benchmarks.rules import ruled
from benchmarks.snapshots import snapshot
from benchmarks.tails import drained, drained_of_kinesis, kept
from benchmarks.warehouses import KINDS
from tests.rigs.scripted import prerendered

SHAPES = {
    "flat": prerendered.flat,
    "nested": prerendered.nested,
    "wide": prerendered.wide,
    "tiny": prerendered.tiny,
}
LONG = ("large", "sizes", "rounds", "workers")
"""Parts that read tables of up to ten million items."""

LARGE_ITEMS = 5_000_000
KINESIS_CHANGES = 200_000


def _decoding(options: argparse.Namespace) -> list[Any]:
    return [decoding(shape, SHAPES[shape], 2 * options.rounds + 1) for shape in options.shapes]


def _snapshots(options: argparse.Namespace) -> list[Any]:
    return [
        snapshot(
            shape, SHAPES[shape], kind, _count(shape, options.items), options.rounds, options.peer
        )
        for kind in options.destinations
        for shape in options.shapes
    ]


def _large(options: argparse.Namespace) -> list[Any]:
    return [
        snapshot("flat", SHAPES["flat"], kind, LARGE_ITEMS, options.rounds, options.peer)
        for kind in options.destinations
    ]


def _exports(options: argparse.Namespace) -> list[Any]:
    return [exported(kind, options.items, options.rounds) for kind in options.destinations]


def _rules(options: argparse.Namespace) -> list[Any]:
    return [ruled(kind, options.items, options.rounds) for kind in options.destinations]


def _tails(options: argparse.Namespace) -> list[Any]:
    return [
        drained(kind, options.items, options.items)
        for kind in options.destinations
        for _ in range(options.rounds)
    ]


def _kinesis(options: argparse.Namespace) -> list[Any]:
    changes = min(options.items, KINESIS_CHANGES)
    return [
        drained_of_kinesis(kind, options.items, changes)
        for kind in options.destinations
        for _ in range(options.rounds)
    ]


def _follow(options: argparse.Namespace) -> list[Any]:
    return [followed(kind, per_second=500, seconds=20) for kind in options.destinations]


PARTS: dict[str, Callable[[argparse.Namespace], list[Any]]] = {
    "decoding": _decoding,
    "snapshots": _snapshots,
    "large": _large,
    "exports": _exports,
    "rules": _rules,
    "tails": _tails,
    "kinesis": _kinesis,
    "kept": lambda options: [
        kept(kind, options.items, options.items)
        for kind in options.destinations
        for _ in range(options.rounds)
    ],
    "follow": _follow,
    "idle": lambda options: [idle(500, settle=40, seconds=30)],
    "sizes": lambda options: by_size([500_000, 1_000_000, 2_000_000, 5_000_000], options.rounds),
    "rounds": lambda options: rounds_by_rows([1_000_000, 10_000_000], 10_000),
    "workers": lambda options: by_workers([1, 2, 3, 4], options.items, options.rounds),
}


def _count(shape: str, items: int) -> int:
    """About the same bytes for each shape."""
    return {"nested": items // 2, "wide": items // 20, "tiny": items}.get(shape, items)


def _names(allowed: Sequence[str]) -> Callable[[str], list[str]]:
    def parse(text: str) -> list[str]:
        names = text.split(",")
        if unknown := set(names) - set(allowed):
            raise argparse.ArgumentTypeError(f"{unknown.pop()} is none of {', '.join(allowed)}")
        return names

    return parse


def main() -> None:
    """Measures what was asked for, and prints each part as soon as it is there."""
    parser = argparse.ArgumentParser(prog="make bench ARGS=…", description=__doc__)
    usual = [part for part in PARTS if part not in LONG]
    parser.add_argument("--only", type=_names([*PARTS]), default=usual, help=", ".join(PARTS))
    parser.add_argument("--full", action="store_true", help="every part; takes an hour")
    parser.add_argument("--items", type=int, default=1_000_000, help="items of the flat table")
    parser.add_argument("--shapes", type=_names([*SHAPES]), default=[*SHAPES])
    parser.add_argument("--destinations", type=_names(KINDS), default=[*KINDS])
    parser.add_argument("--rounds", type=int, help="of each; 3 with --full, else 1")
    parser.add_argument("--peer", type=Path, help="an ingestr to run beside, into Postgres")
    parser.add_argument("--json", type=Path, help="write the figures here as well")
    options = parser.parse_args()
    options.rounds = options.rounds or (3 if options.full else 1)
    console = Console(width=150, highlight=False)
    figures: dict[str, Any] = {
        "machine": {"python": platform.python_version(), "processors": os.cpu_count()}
    }
    for part in PARTS if options.full else options.only:
        try:
            found = PARTS[part](options)
        except subprocess.CalledProcessError as error:
            sys.exit(f"{error}\n{error.stderr or ''}")
        console.print(table_of(report.TITLES[part], report.rows(part, found)))
        figures[part] = [{**asdict(each), **report.derived(each)} for each in found]
        if options.json:
            options.json.write_text(json.dumps(figures, indent=2) + "\n")


def table_of(title: str, rows: list[dict[str, str]]) -> Table:
    """Rows as a table."""
    table = Table(title=title, box=None, title_justify="left")
    for name in rows[0]:
        table.add_column(name, justify="right")
    for row in rows:
        table.add_row(*row.values())
    return table


if __name__ == "__main__":
    main()
