"""Stream records → one row per key: the newest. Older ones never reach the database."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
from msgspec import UNSET, Raw, UnsetType

from connector.core.cursors import Quarantined
from connector.core.keys import KeySchema, key_text
from connector.core.rows import CHANGED_AT, ITEM, KEPT, combine, with_service
from connector.core.spec import Deletes
from connector.core.texts import Malformed
from connector.items import columns
from connector.items.encoder import Encoded, Encoder
from connector.items.keys import item_of_key, key_of, key_text_in, keys_of
from connector.items.records import UNDECODABLE, FlawedRecord, Record, RecordsPage
from connector.items.wire import REPLICATION_PREFIX

_REPLICATION = f'"{REPLICATION_PREFIX}'.encode()
_item = msgspec.json.Decoder(dict[str, Any])
_NO_IMAGE = b"null"

ROWS_AT_ONCE = 5000
"""Decoded items take ten times the memory of their rows, so there are never many of them."""

_Kept = tuple[tuple[str, ...], tuple[str, Record]]
"""A key, and its newest record with its partition."""


@dataclass
class Counts:
    """Every record read is one of these."""

    read: int = 0
    duplicate: int = 0
    superseded: int = 0
    unchanged: int = 0
    quarantined: int = 0
    applied: int = 0


@dataclass
class Fold:
    """Gathers the records of one round; `rows` takes out the newest of each key."""

    keys: KeySchema
    encoder: Encoder
    deletes: Deletes = Deletes.APPLY
    horizon: float = 0.0
    """Records made before this time, in seconds since 1970, are superseded by the scan."""
    counts: Counts = field(default_factory=Counts)
    quarantined: list[Quarantined] = field(default_factory=list)
    _newest: dict[tuple[str, ...], tuple[str, Record]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self._newest) + len(self.quarantined)

    def add(self, partition: str, page: RecordsPage, since: str | None) -> str | None:
        """Takes a page of one partition; returns the partition's token after it.

        Records at or before `since` were committed earlier and are dropped.
        """
        start = int(since) if since else -1
        self.counts.read += len(page.records) + len(page.bad)
        last = start
        records = []
        for record in page.records:
            sequence = int(record.dynamodb.SequenceNumber)
            if sequence > last:
                records.append(record)
                last = sequence
        self.counts.duplicate += len(page.records) - len(records)
        if not self._keep_all(partition, records, page.replicated):
            for record in records:
                self._keep(partition, record)
        for bad in page.bad:
            key = key_text_in(self.keys, bad.keys)
            self._refuse(Quarantined(partition, bad.reason, bad.raw, key))
        return page.token(since)

    def _keep_all(self, partition: str, records: Sequence[Record], replicated: bool) -> bool:
        """Keeps records that need no second look; false, and nothing kept, where one does."""
        horizon = self.horizon
        if replicated or any(r.dynamodb.ApproximateCreationDateTime < horizon for r in records):
            return False
        try:
            keys = keys_of(self.keys, [record.dynamodb.Keys for record in records])
        except (ValueError, RecursionError):
            return False
        for key, record in zip(keys, records, strict=True):
            self._fold(key, partition, record)
        return True

    def _keep(self, partition: str, record: Record) -> None:
        if record.dynamodb.ApproximateCreationDateTime < self.horizon:
            self.counts.superseded += 1
            return
        try:
            key = key_of(self.keys, _item.decode(record.dynamodb.Keys))
        except (*UNDECODABLE, Malformed) as error:
            reason = str(error) if isinstance(error, Malformed) else "a record without its keys"
            self._refuse(_quarantined(partition, record, None, reason))
            return
        if _replication_only(record):
            self.counts.unchanged += 1
            return
        self._fold(key, partition, record)

    def _fold(self, key: tuple[str, ...], partition: str, record: Record) -> None:
        before = self._newest.get(key)
        if before is not None:
            self.counts.superseded += 1
            # A key moves to another shard only after its parent was committed; the number guards.
            if before[1].sequence > record.sequence:
                return
        self._newest[key] = (partition, record)

    def _refuse(self, record: Quarantined) -> None:
        self.counts.quarantined += 1
        self.quarantined.append(record)

    def rows(self) -> pa.Table:
        """Takes out one row per key, with `changed_at` and `deleted`.

        A delete has only its key. A put that cannot be stored is quarantined and deletes the older
        row of its key: a row is right, or it is not there.
        """
        kept = list(self._newest.items())
        self._newest = {}
        tables: list[pa.Table] = []
        while kept or not tables:
            # From the end, so that records are freed as their rows are made.
            tables.append(self._rows(kept[-ROWS_AT_ONCE:]))
            del kept[-ROWS_AT_ONCE:]
        return combine(tables) if len(tables) > 1 else tables[0]

    def _rows(self, kept: Sequence[_Kept]) -> pa.Table:
        images = [_image(record) for _, (_, record) in kept]
        encoded = self.encoder.encode(images)
        reasons = {bad.index: bad.reason for bad in encoded.bad}
        reasons |= self._of_other_keys(encoded, images, kept)
        if reasons:
            images = [
                item_of_key(self.keys, key) if index in reasons else images[index]
                for index, (key, _) in enumerate(kept)
            ]
            encoded = self.encoder.encode(images)
        for index, reason in list(reasons.items()):
            key, (partition, record) = kept[index]
            if record.eventName == "REMOVE":
                # A delete needs its key alone.
                del reasons[index]
            else:
                self._refuse(_quarantined(partition, record, key, reason))
        self.counts.applied += len(kept) - len(reasons)
        # No row can have a key that the destination cannot hold, so there is none to delete.
        good = _good(encoded, len(kept))
        records = [kept[index][1][1] for index in good]
        return self._with_deletes(encoded.rows, records, [index in reasons for index in good])

    def _with_deletes(
        self, rows: pa.Table, records: Sequence[Record], replaced: Sequence[bool]
    ) -> pa.Table:
        removed = [record.eventName == "REMOVE" for record in records]
        if not any(removed) and not any(replaced) and self.deletes is Deletes.APPLY:
            return with_service(rows if records else pa.table({}), _times(records), removed)
        stays = [
            gone and self._keeps(record) and not lost
            for gone, record, lost in zip(removed, records, replaced, strict=True)
        ]
        deleted = [
            (gone and not stay) or lost
            for gone, stay, lost in zip(removed, stays, replaced, strict=True)
        ]
        rows = with_service(rows if records else pa.table({}), _times(records), deleted)
        if self.deletes is not Deletes.APPLY:
            rows = rows.append_column(KEPT, pa.array(stays, pa.bool_()))
        return rows

    def _keeps(self, record: Record) -> bool:
        return self.deletes is Deletes.SOFT or (
            self.deletes is Deletes.IGNORE_TTL and record.expired
        )

    def _of_other_keys(
        self, encoded: Encoded, images: Sequence[bytes], kept: Sequence[_Kept]
    ) -> dict[int, str]:
        """Why those are no good whose image has another key than the record says."""
        good = _good(encoded, len(kept))
        parts = range(len(self.keys))
        if not good or all(self._is_key(part, encoded.rows, good, kept) for part in parts):
            return {}
        return {
            index: "a record whose image has another key"
            for index in good
            if key_of(self.keys, _item.decode(images[index])) != kept[index][0]
        }

    def _is_key(
        self, part: int, rows: pa.Table, good: Sequence[int], kept: Sequence[_Kept]
    ) -> bool:
        attribute = self.keys[part]
        _, expected = columns.of_one_tag(attribute.tag, [kept[index][0][part] for index in good])
        return bool(rows.column(ITEM + attribute.name).combine_chunks().equals(expected))


def _good(encoded: Encoded, count: int) -> list[int]:
    """The places of the items that have a row, in the order of the rows."""
    bad = {each.index for each in encoded.bad}
    return [index for index in range(count) if index not in bad]


def _replication_only(record: Record) -> bool:
    """Whether only what global tables of 2017 add to items has changed (their second record)."""
    new, old = record.dynamodb.NewImage, record.dynamodb.OldImage
    if isinstance(new, UnsetType) or isinstance(old, UnsetType):
        return False
    if _REPLICATION not in bytes(new) and _REPLICATION not in bytes(old):
        return False
    try:
        return _without_replication(new) == _without_replication(old)
    except UNDECODABLE:
        # What cannot be compared may have changed.
        return False


def _without_replication(image: Raw) -> dict[str, Any]:
    item = _item.decode(image)
    return {n: v for n, v in item.items() if not n.startswith(REPLICATION_PREFIX)}


def _image(record: Record) -> bytes:
    change = record.dynamodb
    if record.eventName == "REMOVE":
        return bytes(change.Keys)
    return _NO_IMAGE if change.NewImage is UNSET else bytes(change.NewImage)


def _times(records: Sequence[Record]) -> pa.Array:
    seconds = pa.array([r.dynamodb.ApproximateCreationDateTime for r in records], pa.float64())
    # A record without a time has no row, so it needs none.
    known = pc.if_else(pc.is_finite(seconds), seconds, 0.0)
    micros = pc.round(pc.multiply(known, 1_000_000.0))
    return micros.cast(pa.int64()).cast(CHANGED_AT.type)


def _quarantined(
    partition: str, record: Record, key: tuple[str, ...] | None, reason: str
) -> Quarantined:
    return Quarantined(
        partition=partition,
        reason=record.reason if isinstance(record, FlawedRecord) else reason,
        raw=record.raw,
        key=key_text(key) if key else None,
        sequence=record.dynamodb.SequenceNumber,
    )
