"""How the figures are shown, and what follows from them."""

from collections.abc import Callable
from statistics import median
from typing import Any

from benchmarks.decoding import Decoding
from benchmarks.exports import Exported
from benchmarks.follow import Followed
from benchmarks.growth import Grown
from benchmarks.idle import Idle
from benchmarks.rules import Ruled
from benchmarks.snapshots import Snapshot
from benchmarks.tails import Drained, Kept

TITLES = {
    "decoding": "Decoding pages, one core",
    "snapshots": "Snapshot, --workers 2",
    "large": "Snapshot of 5 million items, --workers 2",
    "exports": "Snapshot from an export in 4 files, against a scan",
    "rules": "Snapshot with a hash and an exclude, against none",
    "tails": "Backlog in 16 shards, one connector tail",
    "kinesis": "Backlog in a Kinesis stream of 64 shards, one connector tail",
    "kept": "The same with a history and a log, against without",
    "follow": "connector tail --follow at 500 changes a second",
    "idle": "Idle shards, followed",
    "sizes": "Snapshot to DuckDB by size",
    "rounds": "10,000 changes, one connector tail, by the size of the table",
    "workers": "Snapshot to DuckDB by workers",
}


def rows(part: str, found: list[Any]) -> list[dict[str, str]]:
    """A row of text for each figure."""
    shown = [_ROW[type(each)](each) for each in found]
    if part in ("tails", "kinesis"):
        shown += _medians(found)
    return shown


def derived(each: Any) -> dict[str, float]:
    """What is computed from other figures: ratios and rates."""
    names = ("ratio", "limit", "rate", "microseconds")
    return {name: getattr(each, name) for name in names if hasattr(each, name)}


def _decoding(each: Decoding) -> dict[str, str]:
    return {
        "shape": each.shape,
        "bytes/item": f"{each.item_bytes:.0f}",
        "items/s": f"{each.ours:,.0f}",
        "MB/s": f"{each.ours * each.item_bytes / 1e6:.0f}",
        "botocore items/s": f"{each.botocore:,.0f}",
        "ratio": f"{each.ratio:.1f} ×",
    }


def _snapshot(each: Snapshot) -> dict[str, str]:
    return {
        "destination": each.destination,
        "shape": each.shape,
        "items": f"{each.items:,}",
        "loaded/s": f"{each.loaded:,.0f}",
        "items/s": f"{each.rate:,.0f}",
        "MB/s": f"{each.rate * each.item_bytes / 1e6:.0f}",
        "CPU s": f"{each.cpu:.1f}",
        "peak MB": f"{each.peak_bytes / 1e6:.0f}",
        "× boto3 receive": f"{each.rate / each.boto3:.1f}",
        "× by hand": f"{each.rate / each.by_hand:.0f}",
        "× ingestr": both(each, each.peer, ".1f") if each.peer else "",
        "of the limit": both(each, each.limit, ".0%"),
    }


def both(each: Snapshot, other: float, form: str) -> str:
    """Ratios to another rate: until the rows are there, and of the whole command."""
    return f"{each.loaded / other:{form}} / {each.rate / other:{form}}"


def _exported(each: Exported) -> dict[str, str]:
    return {
        "destination": each.destination,
        "items": f"{each.items:,}",
        "spooled/s": f"{each.spooled:,.0f}",
        "× scan": f"{each.ratio:.2f}",
        "loaded/s": f"{each.loaded:,.0f}",
        "× scan, loaded": f"{each.loaded / each.loaded_by_scan:.2f}",
    }


def _drained(each: Drained) -> dict[str, str]:
    return {
        "destination": each.destination,
        "rows": f"{each.rows:,}",
        "events": f"{each.events:,}",
        "seconds": f"{each.seconds:.1f}",
        "events/s": f"{each.rate:,.0f}",
        "CPU s": f"{each.cpu:.1f}",
        "peak MB": f"{each.peak_bytes / 1e6:.0f}",
    }


def _medians(found: list[Drained]) -> list[dict[str, str]]:
    by_kind: dict[str, list[float]] = {}
    for each in found:
        by_kind.setdefault(each.destination, []).append(each.rate)
    blank = dict.fromkeys(_drained(found[0]), "")
    return [
        {**blank, "destination": f"{kind}, median", "events/s": f"{median(rates):,.0f}"}
        for kind, rates in by_kind.items()
    ]


def _kept(each: Kept) -> dict[str, str]:
    return {
        "destination": each.kept.destination,
        "events": f"{each.kept.events:,}",
        "events/s": f"{each.kept.rate:,.0f}",
        "events/s without": f"{each.plain.rate:,.0f}",
        "×": f"{each.ratio:.2f}",
        "peak MB": f"{each.kept.peak_bytes / 1e6:.0f}",
    }


def _followed(each: Followed) -> dict[str, str]:
    return {
        "destination": each.destination,
        "changes": f"{each.events:,}",
        "changes/s": f"{each.per_second:.0f}",
        "median s": f"{each.median:.2f}",
        "p95 s": f"{each.p95:.2f}",
        "worst s": f"{each.worst:.2f}",
    }


def _idle(each: Idle) -> dict[str, str]:
    return {
        "shards": f"{each.shards}",
        "GetRecords/s": f"{each.get_records:.1f}",
        "other requests/s": f"{each.other_requests:.2f}",
        "of a core": f"{each.core:.1%}",
    }


def _grown(each: Grown) -> dict[str, str]:
    return {
        "items": f"{each.items:,}",
        "workers": f"{each.workers}",
        "changes": f"{each.changes:,}" if each.changes else "",
        "seconds": f"{each.seconds:.1f}",
        "µs each": f"{each.microseconds:.2f}",
        "items/s": f"{each.rate:,.0f}",
        "peak MB": f"{each.peak_bytes / 1e6:.0f}",
        "of the limit": f"{each.rate / each.limit:.0%}" if each.limit else "",
    }


def _ruled(each: Ruled) -> dict[str, str]:
    return {
        "destination": each.destination,
        "items": f"{each.items:,}",
        "loaded/s, no rules": f"{each.plain:,.0f}",
        "loaded/s, rules": f"{each.ruled:,.0f}",
        "of it": f"{each.ratio:.0%}",
        "processor s, no rules": f"{each.plain_cpu:.1f}",
        "processor s, rules": f"{each.ruled_cpu:.1f}",
    }


_ROW: dict[type, Callable[[Any], dict[str, str]]] = {
    Decoding: _decoding,
    Snapshot: _snapshot,
    Exported: _exported,
    Drained: _drained,
    Kept: _kept,
    Followed: _followed,
    Idle: _idle,
    Ruled: _ruled,
    Grown: _grown,
}
