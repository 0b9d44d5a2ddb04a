"""Which shards may be read, which are finished, and what was lost: pure functions over values."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from connector.core.cursors import Cursor

RETENTION = timedelta(hours=24)
"""Stream records live this long, then may be trimmed at any moment (DynamoDB Streams guide)."""

OVERLAP = timedelta(minutes=15)
"""Records so much older than the plan are left to the scan, which sees what they did."""

TRIM_MARGIN = timedelta(minutes=20)
"""More than the overlap: what counts of a shard that was there at the plan is younger than that."""

REMEMBERED = timedelta(hours=48)
"""How long a finished shard is remembered: a listing may show it, or its children, until then."""


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
class Listing:
    """Every shard of a stream at one moment. A stream that is not enabled gets no new ones."""

    shards: Mapping[str, Shard]
    enabled: bool = True

    @classmethod
    def of(cls, shards: Iterable[Shard], enabled: bool = True) -> "Listing":
        """A listing of these shards."""
        return cls({shard.id: shard for shard in shards}, enabled)

    def merged(self, shards: Iterable[Shard]) -> "Listing":
        """This listing with what is newly known of some shards."""
        return replace(self, shards={**self.shards, **{shard.id: shard for shard in shards}})


@dataclass(frozen=True)
class Loss:
    """History that can no longer be read: the shard, and why that is certain."""

    shard: str
    reason: str


@dataclass(frozen=True)
class Newcomers:
    """Listed shards that have no cursor yet.

    `welcome` may get one. `orphans` may not: their parent is neither listed nor known, so nothing
    says that it was read.
    """

    welcome: tuple[Shard, ...]
    orphans: tuple[Shard, ...]


def readable(listing: Listing, cursors: Mapping[str, Cursor]) -> list[Shard]:
    """Unfinished shards whose parent is committed to its end, or was trimmed before the plan.

    A shard that is not listed, or no longer, is among them: only reading it can tell why.
    """
    return [
        listing.shards.get(shard_id) or Shard(shard_id, cursor.parent)
        for shard_id, cursor in cursors.items()
        if not cursor.done and _parent_is_past(cursor, cursors)
    ]


def _parent_is_past(cursor: Cursor, cursors: Mapping[str, Cursor]) -> bool:
    parent = cursors.get(cursor.parent) if cursor.parent else None
    return parent is None or parent.done


def newcomers(listing: Listing, cursors: Mapping[str, Cursor]) -> Newcomers:
    """Listed shards without a cursor, parents before children."""
    known = set(cursors)
    unknown = [shard for shard in listing.shards.values() if shard.id not in known]
    welcome: list[Shard] = []
    while ready := [s for s in unknown if s.parent is None or s.parent in known]:
        welcome += ready
        known.update(shard.id for shard in ready)
        unknown = [shard for shard in unknown if shard.id not in known]
    return Newcomers(tuple(welcome), tuple(unknown))


def losses(
    listing: Listing, cursors: Mapping[str, Cursor], planned_at: datetime, now: datetime
) -> list[Loss]:
    """Losses that the listing proves, if it is not merely late.

    An orphan's parent was born after the plan, which listed every shard there was. It can have
    been trimmed unread only where the plan is a day old; before that, the listing is late.
    """
    found = newcomers(listing, cursors)
    lost = [
        Loss(shard.id, "it was listed only after its child was read")
        for shard in found.welcome
        if any(c.parent == shard.id and (c.token or c.done) for c in cursors.values())
    ]
    if not nothing_trimmed(planned_at, now):
        lost += [
            Loss(
                str(shard.parent),
                f"it was never read and is no longer listed, and {shard.id} follows it",
            )
            for shard in found.orphans
        ]
    return lost


def in_circle(listing: Listing) -> str | None:
    """A shard that is its own ancestor, which no stream can have; None where there is none."""
    sound: set[str] = set()
    for start in listing.shards:
        path: list[str] = []
        current: str | None = start
        while current is not None and current in listing.shards and current not in sound:
            if current in path:
                return current
            path.append(current)
            current = listing.shards[current].parent
        sound.update(path)
    return None


def growing(listing: Listing) -> bool:
    """Whether the listing has an open shard, as that of an enabled stream must."""
    return not listing.enabled or not all(shard.closed for shard in listing.shards.values())


def childless(listing: Listing, cursors: Mapping[str, Cursor], now: datetime) -> list[str]:
    """Finished shards whose children must exist, since the stream is enabled, but are not known.

    Of shards that are neither listed nor read lately the children may be finished and forgotten.
    """
    if not listing.enabled:
        return []
    parents = {shard.parent for shard in listing.shards.values()}
    parents.update(cursor.parent for cursor in cursors.values())
    return [
        shard_id
        for shard_id, cursor in cursors.items()
        if cursor.done
        and shard_id not in parents
        and (shard_id in listing.shards or nothing_trimmed(cursor.seen_at, now))
    ]


def forgettable(listing: Listing, cursors: Mapping[str, Cursor], now: datetime) -> list[str]:
    """Finished shards that no listing can bring up again."""
    return [
        shard_id
        for shard_id, cursor in cursors.items()
        if cursor.done
        and shard_id not in listing.shards
        and cursor.seen_at is not None
        and now - cursor.seen_at > REMEMBERED
        and all(c.done for c in cursors.values() if c.parent == shard_id)
    ]


def read_through(cursors: Mapping[str, Cursor]) -> datetime | None:
    """Until when every shard was read that must be; None where nothing is known of any.

    A finished shard without a child counts: its stream goes on in one that is not listed yet.
    """
    parents = {cursor.parent for cursor in cursors.values()}
    seen = [
        cursor.seen_at
        for shard_id, cursor in cursors.items()
        if not (cursor.done and shard_id in parents)
    ]
    return min((at for at in seen if at), default=None)


def nothing_trimmed(seen_at: datetime | None, now: datetime) -> bool:
    """Whether everything after a cursor that counts must still be there, whatever the stream says.

    Trimmed records are at least 24 hours old. What came after `seen_at` is younger, and so is what
    counts of a shard that was only planned: older records are the scan's.
    """
    return seen_at is not None and now - seen_at < RETENTION - TRIM_MARGIN


def gone_unread(cursor: Cursor, planned_at: datetime, now: datetime) -> bool:
    """Whether a shard that no longer exists may have taken records with it that count.

    A shard is gone a day after it ended. Within a day of the plan that leaves only shards that had
    ended before it, whose records are all the scan's; one that was read since had not.
    """
    read_since = cursor.seen_at is None or cursor.seen_at > planned_at
    return read_since or not nothing_trimmed(planned_at, now)


def window(seen_at: datetime | None, now: datetime) -> str:
    """The time in which changes may be missing, in words."""
    since = seen_at.isoformat(timespec="seconds") if seen_at else "the beginning"
    return f", between {since} and {now.isoformat(timespec='seconds')}"
