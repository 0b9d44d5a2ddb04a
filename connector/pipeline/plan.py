"""Plan: fixes the source's identity and every cursor before the first page is read."""

import logging
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

from connector.core.changes.filler import Filler
from connector.core.changes.shards import Listing, read_through
from connector.core.cursors import (
    Cursor,
    origin_partition,
    segment_partition,
    shard_partition,
)
from connector.core.spec import TableSpec
from connector.core.state import Phase, Plan, TableState
from connector.core.words import counted
from connector.errors import HistoryLost, ShardGone, no_stream
from connector.failpoints import failpoint
from connector.pipeline.following.discovery import settled_listing
from connector.ports import (
    Changes,
    Description,
    Destination,
    Lookup,
    Past,
    Prepared,
    Snapshot,
)
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
    replaces: TableState | None = None,
    plan_id: str | None = None,
    filler: Filler | None = None,
) -> TableState:
    """Starts a generation: identity, every shard at its beginning and all segments, at once.

    Raises NeedsPerson, and writes nothing, if the snapshot lacks what is in no stream either.
    """
    prepared = snapshot.prepare((description := lookup.describe()).identity)
    start = _Planning(table, prepared, changes, filler, description, stop, lookup).checked()
    total = _segments_for(description, workers, segments, prepared.parts)
    failpoint("plan.before_commit")
    state = destination.plan(
        Plan(
            table=table,
            target=target,
            identity=description.identity,
            plan_id=plan_id or uuid4().hex,
            segments=total,
            planned_at=start.at,
            cursors=start.cursors | _segments(total, prepared.origin),
            replaces=replaces.plan_id if replaces else None,
            spec=spec,
            **(_since(replaces, description, changes, start.at) if replaces else {}),
            retention=varying(changes),
        )
    )
    return _reported(state, start.shards if changes else None)


def _since(
    before: TableState, now: Description, changes: Changes | None, began: datetime
) -> dict[str, Any]:
    """What must be known of the time since a generation that is replaced was read."""
    return {"after_gap": _lost(before, now, changes, began), "moved": _moved(before, now)}


def _lost(before: TableState, now: Description, changes: Changes | None, began: datetime) -> bool:
    """Whether changes are in no stream any more that were made since a generation was read."""
    there = (now.identity.table_id, now.identity.stream_arn)
    if changes is not None and (moved := _moved(before, now)):
        # What was made since is in the new stream too; what is older is only in the scan.
        return (
            _noted(before)
            or moved.seen_at is None
            or began - moved.seen_at > (changes.retention.overlap)
        )
    if (before.identity.table_id, before.identity.stream_arn) != there or changes is None:
        return True
    read = read_through(before.shards)
    trimmed = read is not None and not changes.retention.nothing_trimmed(read, began)
    return _noted(before) or trimmed


def _noted(before: TableState) -> bool:
    if before.phase is Phase.LOADING and before.after_gap:
        return True
    return (before.problem or "").partition(":")[0] in (HistoryLost.__name__, ShardGone.__name__)


def _moved(before: TableState, now: Description) -> Cursor | None:
    """What marks a plan in another Region; also one in the place of such a plan, if not loaded."""
    if before.phase is Phase.LOADING and before.moved:
        return before.moved
    if before.identity.region in ("", now.identity.region):
        return None
    return Cursor(done=True, seen_at=read_through(before.shards))


@dataclass(frozen=True)
class _Start:
    """The moment of a plan, and the cursor of every shard that is read from it on."""

    at: datetime
    cursors: dict[str, Cursor]
    shards: int = 0


@dataclass(frozen=True)
class _Planning:
    """How the shards of one table are found before a plan."""

    table: str
    prepared: Prepared
    changes: Changes | None
    filler: Filler | None
    description: Description
    stop: Stop
    lookup: Lookup

    def checked(self) -> _Start:
        """The shards there are once the snapshot is known to be whole."""
        start = self._start()
        if self.prepared.check is None:
            return start
        self.prepared.check()
        # That may have taken hours, and what the stream reaches back to has moved on.
        return self._start()

    def _start(self) -> _Start:
        """The shards there are now.

        Changes that are older than the plan by the overlap are the snapshot's. One that was taken
        in the past has none after `past.since`, so these all must be in the stream yet, or be
        filled in from elsewhere.
        """
        changes, past, found = self.changes, self.prepared.past, self.description
        if changes is None:
            return _Start(past.at if past else self.lookup.now(), {})
        if not found.streaming:
            region = found.identity.region if found.group else ""
            raise found.refusal or no_stream(self.table, region)
        listing, now = settled_listing(changes, self.stop), self.lookup.now()
        if past is None:
            return _Start(now, _beginnings(changes, listing, now, None), len(listing.shards))
        began = min(now, past.since + changes.retention.overlap)
        cursors = self._of_the_past(changes, listing, past, began, now)
        return _Start(began, cursors, len(listing.shards))

    def _of_the_past(
        self, changes: Changes, listing: Listing, past: Past, began: datetime, now: datetime
    ) -> dict[str, Cursor]:
        readable = changes.retention.readable(listing.since, now)
        if past.since > readable:
            return _beginnings(changes, listing, began, past)
        uncovered = past.uncovered(readable, now)
        found = self.filler and self.filler.earlier(
            self.description.identity,
            past.at,
            readable + changes.retention.overlap,
            exact=True,
            about=f"{uncovered.message} ",
        )
        if not found:
            raise uncovered
        return filled(*found, listing)


def filled(name: str, first: Cursor, listing: Listing) -> dict[str, Cursor]:
    """The cursor of a shard with what a stream no longer has, and below it those of the stream."""
    # A shard of the stream is not read before the end of that; it has nothing older to go on from.
    return {shard_partition(name): first} | {
        shard_partition(shard.id): Cursor(
            seen_at=first.seen_at, parent=shard.parent if shard.parent in listing.shards else name
        )
        for shard in listing.shards.values()
    }


def varying(changes: Changes | None) -> timedelta | None:
    """How long a source keeps changes, if that must be remembered because it varies."""
    retention = changes.retention if changes else None
    return retention.lasts if retention and retention.varies else None


def _reported(state: TableState, shards: int | None) -> TableState:
    failpoint("plan.after_commit")
    parts = counted(state.segments, "segment")
    if shards is not None:
        parts += f" and {counted(shards, 'shard')}"
    log.info("%s: generation %d planned, %s", state.table, state.generation, parts)
    return state


def _beginnings(
    changes: Changes, listing: Listing, began: datetime, past: Past | None
) -> dict[str, Cursor]:
    return {
        shard_partition(shard.id): changes.beginning(shard, began, past)
        for shard in listing.shards.values()
    }


def _segments(segments: int, origin: str | None) -> dict[str, Cursor]:
    cursors = {segment_partition(number, segments): Cursor() for number in range(segments)}
    if origin is not None:
        cursors[origin_partition(origin)] = Cursor(done=True)
    return cursors


def _segments_for(
    description: Description, workers: int, wanted: int | None, parts: int | None
) -> int:
    if parts is not None:
        return max(1, min(wanted or parts, parts))
    return wanted or max(workers, -(-description.size_bytes // SEGMENT_BYTES))
