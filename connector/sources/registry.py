"""Every way in to a table. To add one: its folder, a line here, and its name in `config.model`."""

from collections.abc import Iterator
from dataclasses import replace

from connector.config.model import Config
from connector.core.changes.filler import Filler
from connector.core.needs import Need
from connector.core.spec import TableSpec
from connector.core.state import Identity
from connector.errors import StateRefused
from connector.ports import Snapshot
from connector.sources.dynamodb.ways import NONE, SCAN, STREAM
from connector.sources.exports import ways as exports
from connector.sources.exports.ways import EXPORT, EXPORTS
from connector.sources.kinesis.ways import KINESIS
from connector.sources.way import FollowerKind, Opening, SnapshotKind, WayIn

SNAPSHOTS: tuple[SnapshotKind, ...] = (SCAN, EXPORT)
FOLLOWERS: tuple[FollowerKind, ...] = (STREAM, KINESIS, EXPORTS, NONE)


def snapshot_of(spec: TableSpec) -> SnapshotKind:
    """How a table is read whole. Raises StateRefused for a kind that a newer version knows."""
    for each in SNAPSHOTS:
        if each.kind == spec.snapshot:
            return each
    raise _unknown("snapshot", spec.snapshot)


def follower_of(spec: TableSpec) -> FollowerKind:
    """How a table's changes are read. Raises StateRefused for a kind that a newer version knows."""
    for each in FOLLOWERS:
        if each.kind == spec.follow:
            return each
    raise _unknown("follow", spec.follow)


def _unknown(key: str, kind: str) -> StateRefused:
    return StateRefused(
        f"The state here has a table with {key}: {kind}, which this program does not know.",
        "Use the newer connector that wrote it. Nothing was changed.",
    )


def open_snapshot(opening: Opening, spec: TableSpec) -> Snapshot:
    """All items of a table, by a way that was planned."""
    return snapshot_of(spec).open(opening)


def open_way(opening: Opening) -> WayIn:
    """The way in to a table that its settings choose."""
    spec = opening.config.tables[opening.table].spec()
    follower = follower_of(spec)
    opening = replace(opening, streamed=follower.streamed)
    lookup, changes = follower.open(opening)
    filler: Filler | None = None
    if changes is not None and follower.streamed:
        changes, filler = exports.fill(opening, changes)
    snapshot = open_snapshot(opening, spec)
    return WayIn(lookup, snapshot, SCAN.open(opening), changes, filler)


def besides(config: Config) -> frozenset[str]:
    """The operations of AWS that a configuration allows besides those that are always allowed."""
    return exports.besides(config)


def needs(opening: Opening, table: Identity) -> Iterator[Need]:
    """What the settings of a table need besides the table itself."""
    return exports.needs(opening, table)
