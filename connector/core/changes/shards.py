"""Which shards may be read, which are finished, and what was lost: pure functions over values."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from connector.core.cursors import Cursor


@dataclass(frozen=True)
class Retention:
    """How long a source keeps its changes, and how far its times and listings can be trusted."""

    lasts: timedelta
    """Changes can be read for so long; then they may be gone at any moment."""
    overlap: timedelta
    """Changes so much older than the plan are left to the scan, which sees what they did."""
    margin: timedelta
    """More than the overlap: what counts of a shard that was there at the plan is younger."""
    remembered: timedelta
    """How long a finished shard may still be listed, or its children."""

    def nothing_trimmed(self, seen_at: datetime | None, now: datetime) -> bool:
        """Whether everything after a cursor that counts is still there, whatever the source says.

        What is trimmed is older than `lasts`. What came after `seen_at` is younger, and so is what
        counts of a shard that was only planned: older changes are the scan's.
        """
        return seen_at is not None and now - seen_at < self.lasts - self.margin

    def gone_unread(self, cursor: Cursor, planned_at: datetime, now: datetime) -> bool:
        """Whether a shard that no longer exists may have taken changes with it that count.

        A shard is gone once all in it is trimmed. Sooner after the plan than that leaves only
        shards that had ended before it, whose changes are all the scan's; one that was read since
        had not.
        """
        read_since = cursor.seen_at is None or cursor.seen_at > planned_at
        return read_since or not self.nothing_trimmed(planned_at, now)


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
    listing: Listing,
    cursors: Mapping[str, Cursor],
    planned_at: datetime,
    now: datetime,
    retention: Retention,
) -> list[Loss]:
    """Losses that the listing proves, if it is not merely late.

    An orphan's parent was born after the plan, which listed every shard there was. It can have
    been trimmed unread only where the plan is older than the retention; before that, the listing
    is late.
    """
    found = newcomers(listing, cursors)
    lost = [
        Loss(shard.id, "it was listed only after its child was read")
        for shard in found.welcome
        if any(c.parent == shard.id and (c.token or c.done) for c in cursors.values())
    ]
    if not retention.nothing_trimmed(planned_at, now):
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


def childless(
    listing: Listing, cursors: Mapping[str, Cursor], now: datetime, retention: Retention
) -> list[str]:
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
        and (shard_id in listing.shards or retention.nothing_trimmed(cursor.seen_at, now))
    ]


def forgettable(
    listing: Listing, cursors: Mapping[str, Cursor], now: datetime, retention: Retention
) -> list[str]:
    """Finished shards that no listing can bring up again."""
    return [
        shard_id
        for shard_id, cursor in cursors.items()
        if cursor.done
        and shard_id not in listing.shards
        and cursor.seen_at is not None
        and now - cursor.seen_at > retention.remembered
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


def window(seen_at: datetime | None, now: datetime) -> str:
    """The time in which changes may be missing, in words."""
    since = seen_at.isoformat(timespec="seconds") if seen_at else "the beginning"
    return f", between {since} and {now.isoformat(timespec='seconds')}"
