"""Which shards may be read, which are finished, and what was lost: pure functions over values."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from graphlib import CycleError, TopologicalSorter

from connector.core.cursors import Cursor


@dataclass(frozen=True)
class Retention:
    """How long a source keeps its changes, and how far its times and listings can be trusted."""

    lasts: timedelta
    """How long changes can be read; after that they may be gone at any moment."""
    overlap: timedelta
    """Changes older than the plan by more are left to the scan, which sees their effect."""
    margin: timedelta
    """Subtracted from `lasts` to be safe; longer than the overlap."""
    remembered: timedelta
    """How long a finished shard, or its children, may still be listed."""
    varies: bool = False
    """Whether `lasts` is the stream's own, which its owner can change at any time."""

    @property
    def reach(self) -> timedelta:
        """How far back from now changes are certainly still there, and long enough to be read."""
        return self.lasts - (self.margin - self.overlap)

    def readable(self, since: datetime | None, now: datetime) -> datetime:
        """From when on a stream that has existed since a time certainly has every change."""
        return max(since or now, now - self.reach)

    def nothing_trimmed(self, seen_at: datetime | None, now: datetime) -> bool:
        """Whether every change after a cursor that must be read is certainly still there.

        Only changes older than `lasts` are trimmed. Changes after `seen_at` are younger, and so
        are those that must be read of a shard that was only planned: older ones are the scan's.
        """
        return seen_at is not None and now - seen_at < self.lasts - self.margin

    def gone_unread(self, cursor: Cursor, planned_at: datetime, now: datetime) -> bool:
        """Whether changes that had to be read may be lost with a shard that no longer exists.

        A shard disappears once everything in it is trimmed. If that happens soon after the plan,
        the shard had ended before the plan, so all of its changes are the scan's, unless it was
        read since.
        """
        read_since = cursor.seen_at is None or cursor.seen_at > planned_at
        return read_since or not self.nothing_trimmed(planned_at, now)


EARLIER = "earlier/"
"""What the ids of shards begin with that hold what a stream no longer has, from elsewhere. They
are the parents of the stream's shards, and no listing has them."""


@dataclass(frozen=True)
class Shard:
    """One shard as its stream lists it; `ending` is None while it is open."""

    id: str
    parent: str | None = None
    starting: str | None = None
    ending: str | None = None
    adjacent: str | None = None
    """The other parent of a shard that two were merged into."""

    @property
    def parents(self) -> tuple[str, ...]:
        """The shards that it continues."""
        return tuple(each for each in (self.parent, self.adjacent) if each)

    @property
    def closed(self) -> bool:
        """Whether no more records will be added."""
        return self.ending is not None


@dataclass(frozen=True)
class Listing:
    """Every shard of a stream at one moment. A stream that is not enabled gets no new shards."""

    shards: Mapping[str, Shard]
    enabled: bool = True
    since: datetime | None = None
    """From when on there are changes, whether or not they can still be read; None is not known."""
    lasting: bool = False
    """Whether its shards stay open when it is no longer enabled."""

    @classmethod
    def of(cls, shards: Iterable[Shard], enabled: bool = True) -> "Listing":
        """A listing of these shards."""
        return cls({shard.id: shard for shard in shards}, enabled)

    def merged(self, shards: Iterable[Shard]) -> "Listing":
        """This listing, updated with some shards."""
        return replace(self, shards={**self.shards, **{shard.id: shard for shard in shards}})


@dataclass(frozen=True)
class Loss:
    """History that can no longer be read: the shard, and why that is certain."""

    shard: str
    reason: str


@dataclass(frozen=True)
class Newcomers:
    """Listed shards that have no cursor yet.

    `welcome` may get one. `orphans` may not: a parent of theirs is neither listed nor known, so it
    is not certain that it was read.
    """

    welcome: tuple[Shard, ...]
    orphans: tuple[Shard, ...]


def readable(listing: Listing, cursors: Mapping[str, Cursor]) -> list[Shard]:
    """Unfinished shards whose parents are committed to their ends, or were trimmed before the plan.

    Shards that are not listed are included: only reading them shows why.
    """
    return [
        listing.shards.get(shard_id) or Shard(shard_id, cursor.parent, adjacent=cursor.adjacent)
        for shard_id, cursor in cursors.items()
        if not cursor.done and _parents_are_past(cursor, cursors)
    ]


def _parents_are_past(cursor: Cursor, cursors: Mapping[str, Cursor]) -> bool:
    known = (cursors.get(parent) for parent in cursor.parents)
    return all(parent is None or parent.done for parent in known)


def newcomers(listing: Listing, cursors: Mapping[str, Cursor]) -> Newcomers:
    """Listed shards without a cursor, parents before children."""
    known = set(cursors)
    unknown = [shard for shard in listing.shards.values() if shard.id not in known]
    welcome: list[Shard] = []
    while ready := [s for s in unknown if known.issuperset(s.parents)]:
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
    """Losses that the listing proves, provided that it is not merely late.

    An orphan's parent was created after the plan, which listed every existing shard. It can have
    been trimmed unread only if the plan is older than the retention; otherwise the listing is
    late.
    """
    found = newcomers(listing, cursors)
    lost = [
        Loss(shard.id, "it was listed only after its child was read")
        for shard in found.welcome
        if any(shard.id in c.parents and (c.token or c.done) for c in cursors.values())
    ]
    if not retention.nothing_trimmed(planned_at, now):
        known = {*cursors, *(shard.id for shard in found.welcome)}
        lost += [
            Loss(parent, f"it was never read and is no longer listed, and {shard.id} follows it")
            for shard in found.orphans
            for parent in shard.parents
            if parent not in known
        ]
    return lost


def in_circle(listing: Listing) -> str | None:
    """A shard that is its own ancestor, which no stream can have, or None."""
    ancestry = {shard.id: shard.parents for shard in listing.shards.values()}
    try:
        TopologicalSorter(ancestry).prepare()
    except CycleError as error:
        circle: list[str] = error.args[1]
        return circle[0]
    return None


def growing(listing: Listing) -> bool:
    """Whether the listing has an open shard, as the listing of an enabled stream must."""
    return not listing.enabled or not all(shard.closed for shard in listing.shards.values())


def childless(
    listing: Listing, cursors: Mapping[str, Cursor], now: datetime, retention: Retention
) -> list[str]:
    """Finished shards without known children, although an enabled stream must have some.

    If a shard is neither listed nor was read lately, its children may be finished and forgotten.
    """
    if not listing.enabled:
        return []
    parents = {parent for shard in listing.shards.values() for parent in shard.parents}
    parents.update(parent for cursor in cursors.values() for parent in cursor.parents)
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
    """Finished shards that no listing can mention again."""
    return [
        shard_id
        for shard_id, cursor in cursors.items()
        if cursor.done
        and shard_id not in listing.shards
        and cursor.seen_at is not None
        and now - cursor.seen_at > retention.remembered
        and all(c.done for c in cursors.values() if shard_id in c.parents)
    ]


def read_through(cursors: Mapping[str, Cursor]) -> datetime | None:
    """The time up to which every shard that must be read was read; None if nothing is known.

    A finished shard without a child counts: its stream continues in one that is not listed yet.
    """
    parents = {parent for cursor in cursors.values() for parent in cursor.parents}
    seen = [
        cursor.seen_at
        for shard_id, cursor in cursors.items()
        if not (cursor.done and shard_id in parents) and _parents_are_past(cursor, cursors)
    ]
    return min((at for at in seen if at), default=None)


def filled_until(cursors: Mapping[str, Cursor], planned_at: datetime) -> datetime:
    """From when on the stream itself must be read: the plan, or what was filled in after it."""
    filled = [
        cursor.seen_at
        for shard_id, cursor in cursors.items()
        if shard_id.startswith(EARLIER) and cursor.done and cursor.seen_at
    ]
    return max([planned_at, *filled])


def window(seen_at: datetime | None, now: datetime) -> str:
    """The period in which changes may be missing, in words."""
    since = seen_at.isoformat(timespec="seconds") if seen_at else "the beginning"
    return f", between {since} and {now.isoformat(timespec='seconds')}"
