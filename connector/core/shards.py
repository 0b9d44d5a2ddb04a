"""Which shards may be read, which are finished, and what was lost: pure functions over values."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from connector.core.cursors import Cursor

RETENTION = timedelta(hours=24)
"""Stream records live this long, then may be trimmed at any moment (DynamoDB Streams guide)."""

TRIM_MARGIN = timedelta(minutes=5)


@dataclass(frozen=True)
class Shard:
    """One shard as DescribeStream lists it. `ending` is None while it is open."""

    id: str
    parent: str | None = None
    starting: str | None = None
    ending: str | None = None

    @property
    def closed(self) -> bool:
        """No more records will be added."""
        return self.ending is not None


@dataclass(frozen=True)
class Loss:
    """History that can no longer be read: the shard, and why that is certain."""

    shard: str
    reason: str


def readable(shards: Iterable[Shard], cursors: Mapping[str, Cursor]) -> list[Shard]:
    """Listed shards that are unfinished and whose parent is finished, or cannot be read any more.

    A parent that is known (it has a cursor) must be committed to its end first; an unknown parent
    was trimmed before the first plan, or `lost` has already objected.
    """
    return [
        shard
        for shard in shards
        if not cursors.get(shard.id, Cursor()).done and _parent_is_past(shard, cursors)
    ]


def _parent_is_past(shard: Shard, cursors: Mapping[str, Cursor]) -> bool:
    parent = cursors.get(shard.parent) if shard.parent else None
    return parent is None or parent.done


def unknown(shards: Iterable[Shard], cursors: Mapping[str, Cursor]) -> list[Shard]:
    """Listed shards that have no cursor yet."""
    return [shard for shard in shards if shard.id not in cursors]


def lost(shards: Iterable[Shard], cursors: Mapping[str, Cursor]) -> list[Loss]:
    """Losses that the listing proves.

    An unfinished shard that is no longer listed was trimmed before its end was read. A new shard
    whose parent is neither listed nor known had a parent that was born and trimmed unread.
    """
    listed = {shard.id: shard for shard in shards}
    losses = [
        Loss(shard_id, "it was not read to its end and is no longer listed")
        for shard_id, cursor in cursors.items()
        if not cursor.done and shard_id not in listed
    ]
    losses += [
        Loss(shard.parent, f"it was never read, is no longer listed, and {shard.id} follows it")
        for shard in unknown(listed.values(), cursors)
        if shard.parent and shard.parent not in listed and shard.parent not in cursors
    ]
    return losses


def nothing_trimmed(seen_at: datetime | None, now: datetime) -> bool:
    """Whether everything after a cursor must still be there, whatever the stream says.

    Trimmed records are at least 24 hours old, and whatever came after the last read is younger.
    """
    return seen_at is not None and now - seen_at < RETENTION - TRIM_MARGIN
