"""A fold of changes that only their times order: where these do not, the item is read."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
from msgspec import Raw

from connector.core.changes.change import Change
from connector.core.changes.times import SECOND, Order, order, tied_with
from connector.core.cursors import Quarantined
from connector.core.keys import key_text
from connector.core.rows import SETTLED, combine
from connector.items.fold import (
    KEYS_AT_ONCE,
    LOOKED_UP_BYTES,
    ROWS_AT_ONCE,
    Fold,
    LookUp,
    together,
)
from connector.items.keys import item_of_key

_Key = tuple[str, ...]
_Newest = tuple[_Key, tuple[str, Change]]


@dataclass(frozen=True)
class Settled:
    """A change whose item was read: as it is now, at least as new as the change."""

    key: Raw
    image: Raw | None
    before: Raw | None
    created: bool
    version: int
    at: float
    expired: bool
    raw: str
    token: str
    unchanged: bool = False
    flaw: str = ""


@dataclass
class TimedFold(Fold):
    """Collects the changes of one round; `portions` returns their rows, as often as it is asked."""

    planned: float = 0.0
    """When the plan was made, in seconds since 1970. Scanned rows count as of then: whether they
    have a change that was made shortly before, only the item shows."""
    _doubted: set[_Key] = field(default_factory=set)
    _tied: dict[_Key, int] = field(default_factory=dict)
    """The least exact time of all changes that are tied with the newest of a key."""
    _refused: tuple[int, Sequence[Quarantined]] | None = None

    def _fold(self, key: _Key, partition: str, change: Change) -> None:
        before = self._newest.get(key)
        if before is not None:
            self.counts.superseded += 1
            if not self._replaces(key, before[1], change):
                return
        self._newest[key] = (partition, change)
        # Only this source's changes are ever unsure.
        if change.at <= self.planned or change.unsure:  # type: ignore[attr-defined]
            self._doubted.add(key)

    def _replaces(self, key: _Key, before: Change, change: Change) -> bool:
        """Whether a change takes the place of another; if they are tied, the key is doubted."""
        least = self._tied.get(key, before.version)
        stands = order(change.version, least)
        if stands is Order.NEWER:
            # Whatever was tied with the one before is older than this one as well.
            self._tied.pop(key, None)
            self._doubted.discard(key)
            return True
        if stands is Order.OLDER:
            return False
        self._tied[key] = min(least, change.version)
        if _same(before, change):
            return change.version < before.version
        self._doubted.add(key)
        later = change.version > before.version
        return later or (change.version == before.version and change.image is None)

    def doubt(self, keys: frozenset[str]) -> bool:
        """Has the items of some keys read, as `core.keys.key_text` spells those of their rows.

        False if all of them were to be read before.
        """
        before = len(self._doubted)
        ruling = self._ruling
        self._doubted |= {
            key for key in self._newest if key_text(ruling.key(key) if ruling else key) in keys
        }
        return len(self._doubted) > before

    @property
    def doubts(self) -> bool:
        """Whether items must be read."""
        return bool(self._doubted)

    def portions(self, look_up: LookUp) -> Iterator[pa.Table]:
        """The rows of all keys, at least once: first those that need no look-up."""
        if self._refused is None:
            self._refused = (self.counts.quarantined, tuple(self.quarantined))
        self.counts.quarantined, refused = self._refused
        self.quarantined, self.counts.applied = list(refused), 0
        certain = [each for each in self._newest.items() if each[0] not in self._doubted]
        if certain or not self._doubted:
            yield self._tables(certain)
        yield from self._read_portions(look_up)

    def _tables(self, newest: Sequence[_Newest]) -> pa.Table:
        return together(
            [
                self._rows(part, [change.image for _, (_, change) in part])
                for part in _parts(newest, ROWS_AT_ONCE)
            ]
        )

    def _read_portions(self, look_up: LookUp) -> Iterator[pa.Table]:
        tables: list[pa.Table] = []
        size = 0
        doubted = [(key, self._newest[key]) for key in sorted(self._doubted)]
        for part in _parts(doubted, KEYS_AT_ONCE):
            settled = self._settled(part, look_up)
            size += sum(len(bytes(each.image or b"")) for _, (_, each) in settled)
            # Not the same objects: the quarantine is to have the items, and not the changes.
            found = [each.image and Raw(bytes(each.image)) for _, (_, each) in settled]
            tables.append(self._rows(settled, found))
            if size >= LOOKED_UP_BYTES:
                yield combine(tables)
                tables, size = [], 0
        if tables:
            yield combine(tables)

    def _settled(
        self, newest: Sequence[_Newest], look_up: LookUp
    ) -> list[tuple[_Key, tuple[str, Settled]]]:
        items = look_up([item_of_key(self.keys, key) for key, _ in newest])
        return [
            (key, (partition, self._as_read(key, change, item)))
            for (key, (partition, change)), item in zip(newest, items, strict=True)
        ]

    def _as_read(self, key: _Key, change: Change, item: bytes | None) -> Settled:
        # As exact as the least exact of all that it settles, the scan among them: what is tied with
        # any of them is then tied with this row as well.
        version = self._tied.get(key, change.version)
        at = change.at if version == change.version else version / SECOND
        if tied_with(version)[2] / SECOND < self.planned:
            at = self.planned
        return Settled(
            key=change.key,
            image=None if item is None else Raw(item),
            before=change.before,
            created=change.created,
            version=version,
            at=at,
            # If an item is gone after a put, only the record of its delete says whether it expired.
            expired=change.expired or change.image is not None,
            raw=change.raw,
            token=change.token,
        )

    def _with_deletes(
        self,
        rows: pa.Table,
        newest: Sequence[_Newest],
        removed: Sequence[bool],
        replaced: Sequence[bool],
    ) -> pa.Table:
        made = super()._with_deletes(rows, newest, removed, replaced)
        settled = [isinstance(change, Settled) for _, (_, change) in newest]
        return made.append_column(SETTLED, pa.array(settled, pa.bool_()))


def _same(one: Change, other: Change) -> bool:
    """Whether two changes leave the same item, as a record that comes again does."""
    if one.flaw or other.flaw:
        return False
    first, second = one.image, other.image
    if first is None or second is None:
        return first is second
    return bytes(first) == bytes(second)


def _parts(newest: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    """Slices of at most this many."""
    for at in range(0, len(newest), size):
        yield newest[at : at + size]
