"""Plan: fixes the source's identity and every cursor before the first page is read."""

import logging
from datetime import datetime
from uuid import uuid4

from connector.core.changes.shards import Listing
from connector.core.cursors import Cursor, segment_partition, shard_partition
from connector.core.spec import TableSpec
from connector.core.state import Plan, TableState
from connector.core.words import counted
from connector.errors import no_stream
from connector.failpoints import failpoint
from connector.pipeline.following.discovery import settled_listing
from connector.ports import Changes, Description, Destination, Lookup
from connector.stop import Stop

log = logging.getLogger("connector.plan")

SEGMENT_BYTES = 2 * 1024**3
"""AWS advises one segment per 2 GB for parallel scans (developer guide, "Scan")."""


def plan(
    lookup: Lookup,
    changes: Changes | None,
    destination: Destination,
    table: str,
    target: str,
    spec: TableSpec,
    *,
    segments: int | None,
    workers: int,
    stop: Stop,
    replaces: str | None = None,
    plan_id: str | None = None,
) -> TableState:
    """Starts a generation: identity, all shards and all segments in one transaction.

    Every shard is seeded at its beginning, so the stream covers the scan however long that takes.
    """
    description = lookup.describe()
    listing, now = _listing(table, changes, description, stop), lookup.now()
    total = segments or _segments_for(description, workers)
    failpoint("plan.before_commit")
    state = destination.plan(
        Plan(
            table=table,
            target=target,
            identity=description.identity,
            plan_id=plan_id or uuid4().hex,
            segments=total,
            planned_at=now,
            cursors=_beginnings(listing, now, total),
            replaces=replaces,
            spec=spec,
        )
    )
    failpoint("plan.after_commit")
    _report(state, len(listing.shards) if changes else None)
    return state


def _listing(table: str, changes: Changes | None, description: Description, stop: Stop) -> Listing:
    if changes is None:
        return Listing({})
    if not description.streaming:
        raise no_stream(table)
    return settled_listing(changes, stop)


def _report(state: TableState, shards: int | None) -> None:
    parts = counted(state.segments, "segment")
    if shards is not None:
        parts += f" and {counted(shards, 'shard')}"
    log.info("%s: generation %d planned, %s", state.table, state.generation, parts)


def _beginnings(listing: Listing, now: datetime, segments: int) -> dict[str, Cursor]:
    # Records that are trimmed before they are read were written before now: the scan sees them.
    shards = {
        shard_partition(shard.id): Cursor(seen_at=now, parent=shard.parent)
        for shard in listing.shards.values()
    }
    return shards | {segment_partition(number, segments): Cursor() for number in range(segments)}


def _segments_for(description: Description, workers: int) -> int:
    return max(workers, -(-description.size_bytes // SEGMENT_BYTES))
