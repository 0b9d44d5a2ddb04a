"""Plan: pin the source's identity and seed every cursor, before the first page is read."""

import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from uuid import uuid4

from connector.core.cursors import Cursor, segment_partition, shard_partition
from connector.core.shards import Listing
from connector.core.spec import TableSpec
from connector.core.state import Identity, Plan, TableState
from connector.core.words import counted
from connector.errors import WAYS_OUT, HistoryLost, no_stream
from connector.failpoints import failpoint
from connector.pipeline.following.discovery import settled_listing
from connector.ports import Description, Destination, Source

log = logging.getLogger("connector.plan")

SEGMENT_BYTES = 2 * 1024**3
"""One segment for each 2 GB is AWS's advice for parallel scans (developer guide, "Scan")."""


def plan(
    source: Source,
    destination: Destination,
    table: str,
    target: str,
    spec: TableSpec,
    *,
    segments: int | None,
    workers: int,
    pause: Callable[[float], bool],
    replaces: str | None = None,
    plan_id: str | None = None,
) -> TableState:
    """Starts a generation: identity, all shards and all segments in one transaction.

    Every shard is seeded at its beginning, so the stream covers the scan however long that takes.
    """
    description = source.describe()
    if not description.streaming:
        raise no_stream(table)
    listing, now = settled_listing(source, pause), source.now()
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
    _report(state, total, len(listing.shards))
    return state


def _report(state: TableState, segments: int, shards: int) -> None:
    parts = f"{counted(segments, 'segment')} and {counted(shards, 'shard')}"
    log.info("%s: generation %d planned, %s", state.table, state.generation, parts)


def _beginnings(listing: Listing, now: datetime, segments: int) -> dict[str, Cursor]:
    # What is trimmed within a day of now was written before now, and the scan will see it.
    shards = {
        shard_partition(shard.id): Cursor(seen_at=now, parent=shard.parent)
        for shard in listing.shards.values()
    }
    return shards | {segment_partition(number, segments): Cursor() for number in range(segments)}


def _segments_for(description: Description, workers: int) -> int:
    return max(workers, -(-description.size_bytes // SEGMENT_BYTES))


def check_identity(planned: Identity, description: Description) -> None:
    """Raises HistoryLost where the table or its stream is no longer the planned one.

    A stream that was switched off is still the planned one: it can be read to its end.
    """
    now = description.identity
    if not description.streaming:
        now = replace(now, view_type=planned.view_type)
    if planned.table_arn != now.table_arn:
        raise HistoryLost(
            f"The table is now {now.table_arn}, but {planned.table_arn} was replicated.", WAYS_OUT
        )
    if planned.table_id != now.table_id:
        raise HistoryLost(
            f"The table {now.table_arn} was deleted and created again since it was first read.",
            WAYS_OUT,
        )
    if planned.stream_arn != now.stream_arn:
        raise HistoryLost(
            f"The stream is now {now.stream_arn}, but {planned.stream_arn} was read; changes made "
            "in between are in neither.",
            WAYS_OUT,
        )
    if planned != now:
        raise HistoryLost(
            f"The keys or the stream's view type of {now.table_arn} have changed.", WAYS_OUT
        )
