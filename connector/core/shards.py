"""Which shards may be read, which are finished, and what was lost: pure functions over values."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from connector.core.cursors import Cursor


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
