"""Stream records → one row per key: the newest. Older ones never reach the database."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
from msgspec import Raw

from connector.core import columns
from connector.core.cursors import Quarantined
from connector.core.encoder import Encoder
from connector.core.keys import KeySchema, key_of, key_text, keys_of
from connector.core.malformed import Malformed
from connector.core.rows import CHANGED_AT, ITEM, KEPT, combine, with_service
from connector.core.wire import REPLICATION_PREFIX, Record, RecordsPage

_REPLICATION = f'"{REPLICATION_PREFIX}'.encode()
_keys = msgspec.json.Decoder(dict[str, dict[str, str]])

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


class Deletes(StrEnum):
    """What becomes of a row whose item was deleted.

    `apply` deletes it. `soft` keeps it, marked `_deleted`. `ignore-ttl` keeps, marked, what expired
    by its time to live, and deletes what somebody deleted.
    """

    APPLY = "apply"
    SOFT = "soft"
    IGNORE_TTL = "ignore-ttl"


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
            if bad.sequence and int(bad.sequence) <= start:
                self.counts.duplicate += 1
            else:
                self._refuse(Quarantined(partition, bad.reason, bad.raw, None, bad.sequence))
        return page.token(since)

    def _keep_all(self, partition: str, records: Sequence[Record], replicated: bool) -> bool:
        """Keeps records that need no second look; false, and nothing kept, where one does."""
        horizon = self.horizon
        if replicated or any(r.dynamodb.ApproximateCreationDateTime < horizon for r in records):
            return False
        try:
            keys = keys_of(self.keys, [record.dynamodb.Keys for record in records])
        except ValueError:
            return False
        for key, record in zip(keys, records, strict=True):
            self._fold(key, partition, record)
        return True

    def _keep(self, partition: str, record: Record) -> None:
        if record.dynamodb.ApproximateCreationDateTime < self.horizon:
            self.counts.superseded += 1
            return
        try:
            key = key_of(self.keys, _keys.decode(record.dynamodb.Keys))
        except (msgspec.MsgspecError, Malformed) as error:
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

        A delete has only its key. An item that DynamoDB can hold and the destination cannot
        deletes the older row of its key: a row is right, or it is not there. What cannot be stored
        is quarantined.
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
        bad = {each.index: each for each in encoded.bad}
        replaced = {index for index, each in bad.items() if each.key}
        if replaced:
            images = [
                bytes(record.dynamodb.Keys) if index in replaced else images[index]
                for index, (_, (_, record)) in enumerate(kept)
            ]
            encoded = self.encoder.encode(images)
        left_out = {each.index for each in encoded.bad}
        for index, each in bad.items():
            key, (partition, record) = kept[index]
            self._refuse(_quarantined(partition, record, key, each.reason))
        good = [index for index in range(len(kept)) if index not in left_out]
        records = [kept[index][1][1] for index in good]
        rows = self._with_deletes(encoded.rows, records, [index in replaced for index in good])
        self.counts.applied -= len(replaced - left_out)
        return self._of_their_keys(rows, [kept[index] for index in good])

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

    def _of_their_keys(self, rows: pa.Table, good: Sequence[_Kept]) -> pa.Table:
        """Refuses rows whose image has another key than the record says."""
        matches = None
        for index, attribute in enumerate(self.keys):
            if not good:
                break
            _, expected = columns.of_one_tag(attribute.tag, [key[index] for key, _ in good])
            actual = rows.column(ITEM + attribute.name).combine_chunks()
            if actual.equals(expected):
                continue
            same = pc.equal(actual.cast(pa.string()), expected.cast(pa.string()))
            matches = same if matches is None else pc.and_(matches, same)
        if matches is not None:
            for (key, (partition, record)), same in zip(good, matches.to_pylist(), strict=True):
                if not same:
                    reason = "a record whose image has another key"
                    self._refuse(_quarantined(partition, record, key, reason))
            rows = rows.filter(matches)
        self.counts.applied += len(rows)
        return rows


def _replication_only(record: Record) -> bool:
    """Whether only what global tables of 2017 add to items has changed (their second record)."""
    new, old = record.dynamodb.NewImage, record.dynamodb.OldImage
    if isinstance(new, msgspec.UnsetType) or isinstance(old, msgspec.UnsetType):
        return False
    if _REPLICATION not in bytes(new) and _REPLICATION not in bytes(old):
        return False
    return bool(_without_replication(new) == _without_replication(old))


def _without_replication(image: Raw) -> Any:
    try:
        item = msgspec.json.decode(image)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return object()
    return {n: v for n, v in item.items() if not n.startswith(REPLICATION_PREFIX)}


def _image(record: Record) -> bytes:
    change = record.dynamodb
    image = change.NewImage
    if image is msgspec.UNSET or record.eventName == "REMOVE":
        return bytes(change.Keys)
    return bytes(image)


def _times(records: Sequence[Record]) -> pa.Array:
    seconds = pa.array([r.dynamodb.ApproximateCreationDateTime for r in records], pa.float64())
    micros = pc.round(pc.multiply(seconds, 1_000_000.0))
    return micros.cast(pa.int64()).cast(CHANGED_AT.type)


def _quarantined(
    partition: str, record: Record, key: tuple[str, ...] | None, reason: str
) -> Quarantined:
    return Quarantined(
        partition=partition,
        reason=reason,
        raw=msgspec.json.encode(record).decode(),
        key=key_text(key) if key else None,
        sequence=record.dynamodb.SequenceNumber,
    )
