"""Changes → one row per key: the newest. Older changes never reach the database."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pyarrow as pa
from msgspec import Raw

from connector.core.changes.change import Change, ChangePage
from connector.core.cursors import Quarantined
from connector.core.keys import KeySchema
from connector.core.rows import ITEM, MARKED, combine, with_service
from connector.core.spec import Deletes
from connector.core.texts import Malformed
from connector.items import columns
from connector.items.encoder import Encoded
from connector.items.keys import item_of_key, key_of, keys_of
from connector.items.recorded.recording import Recorded, Recording, turned
from connector.items.records import UNDECODABLE
from connector.items.routed.encoding import Encoding
from connector.items.ruled.refused import misplaced, quarantined
from connector.items.ruled.ruling import Ruling

_item = msgspec.json.Decoder(dict[str, Any])

ROWS_AT_ONCE = 5000
"""Decoded items take ten times the memory of their rows, so they are decoded in portions."""

KEYS_AT_ONCE = 400
"""So many items, of 400 KB each at the most, are in memory before they are rows."""

LOOKED_UP_BYTES = 32 * 1024**2
"""Items that were looked up are committed once there are so many bytes of them."""

LookUp = Callable[[Sequence[bytes]], Sequence[bytes | None]]
"""Items by key, in wire form, each as it is now; None if there is none."""

_Newest = tuple[tuple[str, ...], tuple[str, Change]]
"""A key, and its newest change with its partition."""


@dataclass
class Counts:
    """The number of changes read, and what became of them."""

    read: int = 0
    duplicate: int = 0
    superseded: int = 0
    unchanged: int = 0
    quarantined: int = 0
    applied: int = 0


@dataclass
class Fold:
    """Collects the changes of one round; `rows` returns the newest of each key."""

    keys: KeySchema
    encoder: Encoding
    deletes: Deletes = Deletes.APPLY
    horizon: float = 0.0
    """Changes made before this time, in seconds since 1970, are superseded by the scan."""
    recording: Recording | None = None
    """What is kept of all changes, and not only of the newest of each key."""
    counts: Counts = field(default_factory=Counts)
    quarantined: list[Quarantined] = field(default_factory=list)
    _newest: dict[tuple[str, ...], tuple[str, Change]] = field(default_factory=dict)
    _places: set[tuple[str, str]] = field(default_factory=set)

    def __len__(self) -> int:
        return len(self._newest) + len(self.quarantined)

    def add(self, partition: str, page: ChangePage) -> None:
        """Adds a page of one partition."""
        self.counts.read += page.count
        self.counts.duplicate += page.repeated
        if not self._add_ordinary(partition, page):
            for change in page.changes:
                self._add_checked(partition, change)
        for bad in page.misplaced:
            self._refuse(misplaced(self._ruling, self.keys, partition, bad))

    def _add_ordinary(self, partition: str, page: ChangePage) -> bool:
        """Adds a page at once if no change needs a closer look; returns whether it did."""
        if not page.ordinary or (page.oldest_at is not None and page.oldest_at < self.horizon):
            return False
        if self.recording and self.recording.may_know(partition, page.changes):
            return False
        try:
            keys = keys_of(self.keys, [change.key for change in page.changes])
        except (ValueError, RecursionError):
            return False
        if self.recording:
            self.recording.add(partition, keys, page.changes)
        for key, change in zip(keys, page.changes, strict=True):
            self._fold(key, partition, change)
        return True

    def _add_checked(self, partition: str, change: Change) -> None:
        past = change.at < self.horizon
        if past and not self.recording:
            self.counts.superseded += 1
            return
        try:
            key = key_of(self.keys, _item.decode(change.key))
        except (*UNDECODABLE, Malformed) as error:
            reason = str(error) if isinstance(error, Malformed) else "a record without its keys"
            self._refuse(quarantined(self._ruling, partition, change, None, reason))
            return
        if change.unchanged:
            self.counts.unchanged += 1
            return
        if self.recording and not self.recording.add_one(partition, key, change):
            self.counts.duplicate += 1
        elif past:
            self.counts.superseded += 1
        else:
            self._fold(key, partition, change)

    def _fold(self, key: tuple[str, ...], partition: str, change: Change) -> None:
        before = self._newest.get(key)
        if before is not None:
            self.counts.superseded += 1
            if self.recording:
                self.recording.follow(key, before, (partition, change))
            # A key moves to another shard only once the parent is committed; this makes sure.
            if before[1].version > change.version:
                return
        self._newest[key] = (partition, change)

    @property
    def _ruling(self) -> Ruling | None:
        return self.encoder.ruling

    @property
    def _row_keys(self) -> KeySchema:
        return self._ruling.row_keys if self._ruling else self.keys

    def _refuse(self, record: Quarantined) -> None:
        if self.recording is not None and record.sequence is not None:
            place = (record.partition, record.sequence)
            if place in self._places:
                return
            self._places.add(place)
        self.counts.quarantined += 1
        self.quarantined.append(record)

    def recorded(self) -> Recorded:
        """Removes and returns what is kept of all changes, once the rows were made."""
        if self.recording is None:
            return Recorded()

        def refuse(partition: str, change: Change, key: tuple[str, ...], reason: str) -> None:
            self._refuse(quarantined(self._ruling, partition, change, key, reason))

        return self.recording.done(refuse)

    def rows(self) -> pa.Table:
        """Removes and returns one row per key, with `changed_at` and `deleted`.

        A delete has only its key. A put that cannot be stored is quarantined and deletes the older
        row of its key: a row is either right or absent. Without keys there are no columns either.
        """
        newest = list(self._newest.items())
        self._newest = {}
        tables: list[pa.Table] = []
        while newest:
            # From the end, so that records are freed as their rows are made.
            part = newest[-ROWS_AT_ONCE:]
            tables.append(self._rows(part, [change.image for _, (_, change) in part]))
            del newest[-ROWS_AT_ONCE:]
        return together(tables)

    def looked_up(self, look_up: LookUp) -> Iterator[pa.Table]:
        """Removes and returns rows as `rows` does, with each item as it is now at the source.

        They come in portions, each made of items of about LOOKED_UP_BYTES, and at least one. A put
        whose item is gone by now is a delete.
        """
        newest = list(self._newest.items())
        self._newest = {}
        tables: list[pa.Table] = []
        size = 0
        while newest:
            part = newest[-KEYS_AT_ONCE:]
            del newest[-KEYS_AT_ONCE:]
            found = self._found(part, look_up)
            size += sum(len(item) for item in found if item is not None)
            tables.append(self._rows(part, found))
            if size >= LOOKED_UP_BYTES:
                yield combine(tables)
                tables, size = [], 0
        yield combine(tables)

    def _found(self, newest: Sequence[_Newest], look_up: LookUp) -> list[Raw | None]:
        """The items of these keys; of a change that is flawed, what it has."""
        asked = [i for i, (_, (_, change)) in enumerate(newest) if not change.flaw]
        found = [change.image for _, (_, change) in newest]
        items = look_up([item_of_key(self.keys, newest[index][0]) for index in asked])
        for index, item in zip(asked, items, strict=True):
            found[index] = None if item is None else Raw(item)
        return found

    def _rows(self, newest: Sequence[_Newest], found: Sequence[Raw | None]) -> pa.Table:
        """One row per key, of the item that was found; None if there is none any more."""
        images = [
            # A delete has only its key.
            bytes(change.key if image is None else image)
            for image, (_, (_, change)) in zip(found, newest, strict=True)
        ]
        # Nothing is required of a delete, which has only its key.
        whole = [image is not None for image in found]
        encoded = self.encoder.encode(images, whole)
        reasons = {bad.index: bad.reason for bad in encoded.bad}
        reasons |= self._of_other_keys(encoded, images, newest)
        if reasons:
            images = [
                item_of_key(self.keys, key) if index in reasons else images[index]
                for index, (key, _) in enumerate(newest)
            ]
            whole = [each and index not in reasons for index, each in enumerate(whole)]
            encoded = self.encoder.encode(images, whole)
        for index, reason in list(reasons.items()):
            key, (partition, change) = newest[index]
            image = found[index]
            if image is None:
                # The contents of a deleted item do not matter.
                del reasons[index]
            else:
                apart = bytes(image) if image is not change.image else None
                self._refuse(quarantined(self._ruling, partition, change, key, reason, apart))
        self.counts.applied += len(newest) - len(reasons)
        # If the destination cannot hold a key, it has no row of that key to delete.
        good = _good(encoded, len(newest))
        return self._with_deletes(
            encoded.rows,
            [newest[index] for index in good],
            removed=[found[index] is None for index in good],
            replaced=[index in reasons for index in good],
        )

    def _with_deletes(
        self,
        rows: pa.Table,
        newest: Sequence[_Newest],
        removed: Sequence[bool],
        replaced: Sequence[bool],
    ) -> pa.Table:
        changes = [change for _, (_, change) in newest]
        rows, times = turned(self.recording, rows if changes else pa.table({}), newest)
        if not any(removed) and not any(replaced) and self.deletes is Deletes.APPLY:
            return with_service(rows, times, removed)
        marked = [
            gone and self._only_marks(change) and not lost
            for gone, change, lost in zip(removed, changes, replaced, strict=True)
        ]
        deleted = [
            (gone and not mark) or lost
            for gone, mark, lost in zip(removed, marked, replaced, strict=True)
        ]
        rows = with_service(rows, times, deleted)
        if self.deletes is not Deletes.APPLY:
            rows = rows.append_column(MARKED, pa.array(marked, pa.bool_()))
        return rows

    def _only_marks(self, change: Change) -> bool:
        """Whether a delete leaves the row, marked as deleted."""
        if self.deletes is not Deletes.IGNORE_TTL:
            return self.deletes is Deletes.SOFT
        # If an item is gone after a put, only the record of its delete says whether it expired.
        return change.expired or change.image is not None

    def _of_other_keys(
        self, encoded: Encoded, images: Sequence[bytes], newest: Sequence[_Newest]
    ) -> dict[int, str]:
        """The reason to refuse each change with an image that does not have the change's key."""
        good = _good(encoded, len(newest))
        parts = range(len(self.keys))
        if not good or all(self._is_key(part, encoded.rows, good, newest) for part in parts):
            return {}
        return {
            index: "a record whose image has another key"
            for index in good
            if key_of(self.keys, _item.decode(images[index])) != newest[index][0]
        }

    def _is_key(
        self, part: int, rows: pa.Table, good: Sequence[int], newest: Sequence[_Newest]
    ) -> bool:
        attribute, ruling = self._row_keys[part], self._ruling
        texts = [newest[index][0][part] for index in good]
        if ruling is not None and attribute.name in ruling.hashed_keys:
            texts = [ruling.key(newest[index][0])[part] for index in good]
        _, expected = columns.of_one_tag(attribute.tag, texts)
        return bool(rows.column(ITEM + attribute.name).combine_chunks().equals(expected))


def together(tables: Sequence[pa.Table]) -> pa.Table:
    """As `combine`, and a single table as it is."""
    return tables[0] if len(tables) == 1 else combine(tables)


def _good(encoded: Encoded, count: int) -> list[int]:
    """The indices of the items that have a row, in the order of the rows."""
    bad = {each.index for each in encoded.bad}
    return [index for index in range(count) if index not in bad]
