"""python -m benchmarks.page FIGURES.json: docs/performance.md from the figures of one run."""

import json
import sys
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks import report
from benchmarks.decoding import Decoding
from benchmarks.exports import Exported
from benchmarks.follow import Followed
from benchmarks.growth import Grown
from benchmarks.idle import Idle
from benchmarks.rules import Ruled
from benchmarks.snapshots import Snapshot
from benchmarks.tails import Drained, Kept

TYPES: dict[str, type] = {
    "decoding": Decoding,
    "snapshots": Snapshot,
    "large": Snapshot,
    "tails": Drained,
    "kinesis": Drained,
    "kept": Kept,
    "rules": Ruled,
    "follow": Followed,
    "idle": Idle,
    "exports": Exported,
    "sizes": Grown,
    "rounds": Grown,
    "workers": Grown,
}
OPTIONAL = {
    "exports": """## Snapshots from an export

The same table as an export of four files, DynamoDB JSON and gzip, on this disk, against a Scan in
the same run: into the spool by one process, and into the table by two.

""",
    "rules": """A snapshot in which one attribute is hashed and one is left out,
against one without rules in the same run:

""",
    "kinesis": """A backlog in a Kinesis stream of 64 shards, measured on another day:

""",
    "kept": """A backlog of which a history and all changes are kept, against one
of which they are not, in the same run:

""",
}
"""What the page says of parts, if they were measured."""
TEXT = Path(__file__).with_name("page.md")


def main() -> None:
    """Fills the tables and plots into the text."""
    figures = json.loads(Path(sys.argv[1]).read_text())
    parts = {part: _parsed(type_, figures.get(part, [])) for part, type_ in TYPES.items()}
    text = TEXT.read_text()
    for part, said in OPTIONAL.items():
        mark = f"<!-- {part} -->\n\n"
        text = text.replace(mark, said + mark if parts[part] else "")
    for part, found in parts.items():
        text = text.replace(f"<!-- {part} -->", _table(report.rows(part, found)) if found else "")
    text = text.replace("<!-- targets -->", _table(list(_targets(parts))))
    text = text.replace("<!-- plot sizes -->", _by_size(parts["sizes"]))
    text = text.replace("<!-- plot workers -->", _by_workers(parts["workers"]))
    sys.stdout.write(text.replace("<!-- machine -->", _machine(figures["machine"])))


def _parsed(type_: type, found: list[dict[str, Any]]) -> list[Any]:
    names = type_.__dataclass_fields__  # type: ignore[attr-defined]
    return [type_(**{name: _value(each[name]) for name in names}) for each in found]


def _value(found: Any) -> Any:
    return _parsed(Drained, [found])[0] if isinstance(found, dict) else found


def _machine(machine: dict[str, str]) -> str:
    return f"Python {machine['python']}, {machine['processors']} processors"


def _table(rows: list[dict[str, str]]) -> str:
    # A column that is empty in every row was not measured.
    names = [name for name in rows[0] if any(row[name] for row in rows)]
    lines = [names, ["---"] + ["---:"] * (len(names) - 1)]
    lines += [[row[name] for name in names] for row in rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _by_size(found: list[Grown]) -> str:
    sizes = [f"{each.items / 1e6:g}" for each in found]
    return _plot("Seconds by millions of items", sizes, [each.seconds for each in found])


def _by_workers(found: list[Grown]) -> str:
    rates = [each.rate / 1000 for each in found]
    return _plot("Thousand items a second by workers", [str(each.workers) for each in found], rates)


def _plot(title: str, places: list[str], heights: list[float]) -> str:
    bars = ", ".join(f"{height:.1f}" for height in heights)
    top = max(heights, default=1.0) * 1.1
    return (
        f'```mermaid\nxychart-beta\n    title "{title}"\n    x-axis [{", ".join(places)}]\n'
        f"    y-axis 0 --> {top:.0f}\n    bar [{bars}]\n```"
    )


def _targets(parts: dict[str, list[Any]]) -> list[dict[str, str]]:
    snapshots = {(each.destination, each.shape): each for each in parts["snapshots"]}
    flat, nested = snapshots["duckdb", "flat"], snapshots["duckdb", "nested"]
    postgres = snapshots["postgres", "flat"]
    large = {each.destination: each for each in parts["large"]}
    peers = (large["postgres"].peer, postgres.peer)
    tails: dict[str, list[float]] = {}
    for each in parts["tails"]:
        tails.setdefault(each.destination, []).append(each.rate)
    sizes = {each.items: each for each in parts["sizes"]}
    rounds = {each.items: each for each in parts["rounds"]}
    measured = ("snapshots", "large", "tails", "sizes", "rounds")
    peak = max(each.peak_bytes for part in measured for each in parts[part])
    ratios = {each.shape: each.ratio for each in parts["decoding"]}
    bytes_ratio = nested.rate * nested.item_bytes / (flat.rate * flat.item_bytes)
    per_item = sizes[5_000_000].microseconds / sizes[500_000].microseconds
    larger = rounds[10_000_000].seconds / rounds[1_000_000].seconds
    idle = parts["idle"][0]
    lines = [
        ("decode, flat", "≥ 8 × botocore", f"{ratios['flat']:.1f} ×"),
        ("decode, nested", "≥ 8 × botocore", f"{ratios['nested']:.1f} ×"),
        (
            "snapshot to DuckDB, flat",
            "≥ 8 × ingestr",
            _with_both(large["duckdb"], flat, *peers, ".1f"),
        ),
        (
            "the same, of what the machine allows",
            "≥ 50 %",
            _with_both(large["duckdb"], flat, large["duckdb"].limit, flat.limit, ".0%"),
        ),
        (
            "snapshot to Postgres, flat",
            "≥ 5 × ingestr",
            _with_both(large["postgres"], postgres, *peers, ".1f"),
        ),
        ("snapshot, nested", "≥ 50 % of flat in MB/s", f"{bytes_ratio:.0%}"),
        ("backlog, DuckDB", "≥ 40,000 events/s", f"{median(tails['duckdb']):,.0f}"),
        ("backlog, Postgres", "≥ 20,000 events/s", f"{median(tails['postgres']):,.0f}"),
        *(
            (f"follow, {each.destination}", "p95 ≤ 2 s", f"{each.p95:.2f} s")
            for each in parts["follow"]
        ),
        ("10,000 changes on 10 M rows", "≤ 3 × that on 1 M", f"{larger:.1f} ×"),
        ("time for an item, 5 M to 0.5 M", "≤ 1.2 ×", f"{per_item:.2f} ×"),
        ("peak memory, all processes, 2 workers", "≤ 700 MB", f"{peak / 1e6:.0f} MB"),
        (
            "500 idle shards",
            "≤ 20 requests/s, < 5 % of a core",
            f"{idle.get_records:.1f}/s, {idle.core:.1%}",
        ),
    ]
    return [dict(zip(("what", "target", "measured"), line, strict=True)) for line in lines]


def _with_both(
    large: Snapshot,
    small: Snapshot,
    large_other: float | None,
    small_other: float | None,
    form: str,
) -> str:
    """Ratios to another rate with five million items and with one."""
    if not (large_other and small_other):
        return "not measured"
    sizes = ((large, large_other, "5 M"), (small, small_other, "1 M"))
    return "; ".join(f"{size}: {report.both(each, other, form)}" for each, other, size in sizes)


if __name__ == "__main__":
    main()
