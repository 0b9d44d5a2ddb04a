"""Plan: fixes the source's identity and every cursor before the first page is read."""

import logging
from datetime import datetime, timedelta
from uuid import uuid4

from connector.core.changes.shards import Listing
from connector.core.cursors import (
    Cursor,
    origin_partition,
    segment_partition,
    shard_partition,
)
from connector.core.spec import TableSpec
from connector.core.state import Plan, TableState
from connector.core.words import counted
from connector.errors import no_stream
from connector.failpoints import failpoint
from connector.pipeline.following.discovery import settled_listing
from connector.ports import Changes, Description, Destination, Lookup, Past, Prepared, Snapshot
from connector.stop import Stop

log = logging.getLogger("connector.plan")

SEGMENT_BYTES = 2 * 1024**3
"""AWS advises one segment per 2 GB for parallel scans (developer guide, "Scan")."""


def plan(
    lookup: Lookup,
    snapshot: Snapshot,
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
    """Starts a generation: identity, every shard at its beginning and all segments, at once.

    Raises NeedsPerson, and writes nothing, if the snapshot lacks what is in no stream either.
    """
    description = lookup.describe()
    prepared = snapshot.prepare(description.identity)
    listing, began = _settled(table, prepared, changes, description, stop, lookup)
    total = _segments_for(description, workers, segments, prepared.parts)
    failpoint("plan.before_commit")
    state = destination.plan(
        Plan(
            table=table,
            target=target,
            identity=description.identity,
            plan_id=plan_id or uuid4().hex,
            segments=total,
            planned_at=began,
            cursors=_beginnings(listing, began, total, prepared.origin),
            replaces=replaces,
            spec=spec,
            retention=varying(changes),
        )
    )
    failpoint("plan.after_commit")
    return _reported(state, len(listing.shards) if changes else None)


def _settled(
    table: str,
    prepared: Prepared,
    changes: Changes | None,
    description: Description,
    stop: Stop,
    lookup: Lookup,
) -> tuple[Listing, datetime]:
    """The shards there are, and the moment of the plan, once the snapshot is known to be whole."""
    listing = _listing(table, changes, description, stop)
    began = _began(prepared.past, changes, listing, lookup.now())
    if prepared.check is None:
        return listing, began
    prepared.check()
    # That may have taken hours, and what the stream reaches back to has moved on.
    listing = _listing(table, changes, description, stop)
    return listing, _began(prepared.past, changes, listing, lookup.now())


def _listing(table: str, changes: Changes | None, description: Description, stop: Stop) -> Listing:
    if changes is None:
        return Listing({})
    if not description.streaming:
        region = description.identity.region if description.group else ""
        raise description.refusal or no_stream(table, region)
    return settled_listing(changes, stop)


def varying(changes: Changes | None) -> timedelta | None:
    """How long a source keeps changes, if that must be remembered because it varies."""
    retention = changes.retention if changes else None
    return retention.lasts if retention and retention.varies else None


def _reported(state: TableState, shards: int | None) -> TableState:
    parts = counted(state.segments, "segment")
    if shards is not None:
        parts += f" and {counted(shards, 'shard')}"
    log.info("%s: generation %d planned, %s", state.table, state.generation, parts)
    return state


def _began(past: Past | None, changes: Changes | None, listing: Listing, now: datetime) -> datetime:
    """What counts as the moment of the plan: by it, changes are the snapshot's or the stream's.

    Those that are older by the overlap are the snapshot's. One that was taken in the past has none
    after `since`, so these all must be in the stream yet.
    """
    if past is None:
        return now
    if changes is None:
        return past.at
    retention = changes.retention
    readable = max(listing.since or now, now - retention.reach)
    if past.since <= readable:
        raise past.uncovered(readable, now)
    return min(now, past.since + retention.overlap)


def _beginnings(
    listing: Listing, began: datetime, segments: int, origin: str | None
) -> dict[str, Cursor]:
    # Records that are trimmed before they are read were written before then: the snapshot has them.
    cursors = {
        shard_partition(shard.id): Cursor(
            seen_at=began, parent=shard.parent, adjacent=shard.adjacent
        )
        for shard in listing.shards.values()
    }
    if origin is not None:
        cursors[origin_partition(origin)] = Cursor(done=True)
    return cursors | {segment_partition(number, segments): Cursor() for number in range(segments)}


def _segments_for(
    description: Description, workers: int, wanted: int | None, parts: int | None
) -> int:
    if parts is not None:
        return max(1, min(wanted or parts, parts))
    return wanted or max(workers, -(-description.size_bytes // SEGMENT_BYTES))
