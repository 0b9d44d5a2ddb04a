"""Reading positions: cursors, the spans by which a batch moves them, and partition names."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import pyarrow as pa

from connector.core.spec import TableSpec


@dataclass(frozen=True)
class Cursor:
    """Everything up to `token` is in the destination; `done` means the partition has ended.

    The token is a stream's sequence number or a Scan's LastEvaluatedKey; None is the beginning.
    `seen_at` is when the partition was last read without a gap; it does not affect equality.
    `adjacent` is the other parent of a shard that two were merged into.
    """

    token: str | None = None
    done: bool = False
    seen_at: datetime | None = field(default=None, compare=False)
    parent: str | None = field(default=None, compare=False)
    adjacent: str | None = field(default=None, compare=False)

    @property
    def parents(self) -> tuple[str, ...]:
        """The shards that it continues."""
        return tuple(each for each in (self.parent, self.adjacent) if each)


START = Cursor()
Cursors = dict[str, Cursor]
"""Cursors by partition."""


@dataclass(frozen=True)
class Span:
    """One partition moves from `since` to `until`; `since` is None if it is newly listed."""

    partition: str
    since: Cursor | None
    until: Cursor


@dataclass(frozen=True)
class Quarantined:
    """A record that could not be stored: the reason, and the record as it was on the wire."""

    partition: str
    reason: str
    raw: str
    key: str | None = None
    sequence: str | None = None


@dataclass(frozen=True)
class Batch:
    """One commit: the newest row of each key, and the spans that were read to get them.

    `rows` has a column `item.<attribute>` for each attribute, `changed_at`, `deleted` and
    perhaps `rest`; see `core.rows`.
    """

    table: str
    generation: int
    plan_id: str
    spans: Sequence[Span]
    rows: pa.Table
    quarantined: Sequence[Quarantined] = ()
    consistent_since: datetime | None = None
    forgotten: Sequence[str] = ()
    """Finished partitions whose cursors are no longer needed."""
    more: bool = False
    """Whether another batch follows at once, so that an expensive connection may stay open."""
    spec: TableSpec | None = None
    """The spec that the rows were made with."""
    retention: timedelta | None = None
    """How long the source keeps changes, if that varies."""
    unburied: datetime | None = None
    """Tombstones of items that were deleted before then are no longer needed."""
    buries: bool = False
    """Whether deletes leave tombstones even if the table is loaded."""
    versions: pa.Table | None = None
    """Versions that began and ended between two commits, where a history is kept."""
    log: pa.Table | None = None
    """A row for each change, where these are kept."""


SEGMENT = "segment/"
SHARD = "shard/"
ORIGIN = "origin/"
"""What stands before the name of whatever the segments are parts of; it is none of them."""
EARLIER = "earlier/"
"""What stands before the name of a shard that earlier generations have read up to a token."""
GAP = "gap/"
"""A partition that is there where changes were lost before the generation was planned."""
ROWS = "rows/"
"""A partition whose token is how many rows there were when the generation was planned."""
MOVED = "moved/"
"""A partition that is there where a table with a history or a log goes on in another Region. It was
seen when the Region before was last read."""


REMEMBERED = timedelta(days=8)
"""How long after it was read a shard may be listed again, although it is not listed now."""


def carried(before: Mapping[str, Cursor], planned: Mapping[str, Cursor], at: datetime) -> Cursors:
    """What a new generation must know of how far those before it have read, under EARLIER."""
    known: dict[str, Cursor] = {}
    for prefix in (EARLIER, SHARD):
        for name, cursor in before.items():
            shard = name.removeprefix(prefix)
            if shard == name or not _says_more(cursor, known.get(shard)):
                continue
            fresh = cursor.seen_at is None or at - cursor.seen_at < REMEMBERED
            if fresh or shard_partition(shard) in planned:
                known[shard] = cursor
    return {EARLIER + shard: cursor for shard, cursor in known.items()}


def _says_more(cursor: Cursor, known: Cursor | None) -> bool:
    if cursor.done or cursor.token is None or not cursor.token.isdecimal():
        return cursor.done
    if known is None or known.token is None:
        return known is None or not known.done
    return not known.done and int(cursor.token) > int(known.token)


def segment_partition(number: int, total: int) -> str:
    """The partition of one segment of a parallel Scan."""
    return f"{SEGMENT}{number:06d}-of-{total:06d}"


def shard_partition(shard_id: str) -> str:
    """The partition of one stream shard."""
    return f"{SHARD}{shard_id}"


def origin_partition(origin: str) -> str:
    """The partition that remembers what the segments of a plan are parts of."""
    return f"{ORIGIN}{origin}"
