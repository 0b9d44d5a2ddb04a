"""python -m benchmarks: decoding and snapshots, as a table and as JSON."""

import argparse
import json
import platform
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.decoding import Decoding, decoding
from benchmarks.snapshots import Snapshot, snapshot
from tests.rigs.scripted import prerendered

SHAPES = {
    "flat": prerendered.flat,
    "nested": prerendered.nested,
    "wide": prerendered.wide,
    "tiny": prerendered.tiny,
}


def main() -> None:
    """Measures what was asked for."""
    parser = argparse.ArgumentParser(prog="make bench ARGS=…", description=__doc__)
    parser.add_argument("--items", type=int, default=1_000_000, help="items of the flat table")
    parser.add_argument("--shapes", default="flat,nested,wide,tiny")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path, help="write the figures here as well")
    options = parser.parse_args()
    shapes = options.shapes.split(",")
    decodings = [decoding(shape, SHAPES[shape]) for shape in shapes]
    snapshots = [
        snapshot(shape, SHAPES[shape], _count(shape, options.items), options.rounds)
        for shape in shapes
    ]
    console = Console(width=120)
    console.print(_decoding_table(decodings))
    console.print(_snapshot_table(snapshots))
    if options.json:
        options.json.write_text(json.dumps(_figures(decodings, snapshots), indent=2) + "\n")


def _count(shape: str, items: int) -> int:
    """About the same bytes for each shape."""
    return {"nested": items // 2, "wide": items // 20, "tiny": items * 2}.get(shape, items)


def _decoding_table(decodings: list[Decoding]) -> Table:
    table = Table(title="Decoding a page, one core", box=None)
    for name in ("shape", "bytes/item", "items/s", "MB/s", "botocore items/s", "ratio"):
        table.add_column(name, justify="right")
    for each in decodings:
        table.add_row(
            each.shape,
            f"{each.item_bytes:.0f}",
            f"{each.ours:,.0f}",
            f"{each.ours * each.item_bytes / 1e6:.0f}",
            f"{each.botocore:,.0f}",
            f"{each.ratio:.1f} ×",
        )
    return table


def _snapshot_table(snapshots: list[Snapshot]) -> Table:
    table = Table(title="Snapshot to DuckDB, --workers 2", box=None)
    names = ("shape", "items", "items/s", "MB/s", "CPU s", "peak MB", "× by hand", "of the limit")
    for name in names:
        table.add_column(name, justify="right")
    for each in snapshots:
        table.add_row(
            each.shape,
            f"{each.items:,}",
            f"{each.rate:,.0f}",
            f"{each.rate * each.item_bytes / 1e6:.0f}",
            f"{each.cpu:.1f}",
            f"{each.peak_bytes / 1e6:.0f}",
            f"{each.rate / each.by_hand:.1f} ×",
            f"{each.rate / each.limit:.0%}",
        )
    return table


def _figures(decodings: list[Decoding], snapshots: list[Snapshot]) -> dict[str, Any]:
    return {
        "machine": {"python": platform.python_version(), "system": platform.platform()},
        "decoding": [{**asdict(each), "ratio": each.ratio} for each in decodings],
        "snapshots": [{**asdict(each), "limit": each.limit} for each in snapshots],
    }


if __name__ == "__main__":
    main()
