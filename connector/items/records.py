"""Stream records as they are on the wire; only what determines their order is decoded."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import inf
from operator import lt
from typing import Any

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from connector.core.changes.change import Misplaced

REPLICATION_PREFIX = "aws:rep:"
"""Prefix of the attributes that global tables version 2017.11.29 (Legacy) add to items."""

TTL_PRINCIPAL = "dynamodb.amazonaws.com"

UNDECODABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""What decoding raises for text of another form than expected."""


class _UserIdentity(Struct, gc=False):
    PrincipalId: str = ""


_identity = msgspec.json.Decoder(_UserIdentity)
_item = msgspec.json.Decoder(dict[str, Any])
_REPLICATION = f'"{REPLICATION_PREFIX}'.encode()
_NO_IMAGE = Raw(b"null")


class Images(Struct, gc=False):
    """The `dynamodb` member of a stream record. Images stay raw: most are never decoded."""

    Keys: Raw
    SequenceNumber: str
    ApproximateCreationDateTime: float
    """Seconds since 1970."""
    NewImage: Raw | UnsetType = UNSET
    OldImage: Raw | UnsetType = UNSET


class Record(Struct, gc=False):
    """One stream record, as a `Change`. Rarely needed members stay raw, so they cannot do harm."""

    eventName: str
    dynamodb: Images
    eventID: Raw | UnsetType = UNSET
    userIdentity: Raw | UnsetType = UNSET
    """Who made the change if not a user: DynamoDB itself deletes expired items."""

    @property
    def key(self) -> Raw:
        """The item's key attributes."""
        return self.dynamodb.Keys

    @property
    def image(self) -> Raw | None:
        """The whole item after the change; None if it was deleted."""
        if self.eventName == "REMOVE":
            return None
        image = self.dynamodb.NewImage
        return _NO_IMAGE if image is UNSET else image

    @property
    def before(self) -> Raw | None:
        """The whole item before the change; None if there was none, or it is not reported."""
        image = self.dynamodb.OldImage
        return None if image is UNSET else image

    @property
    def created(self) -> bool:
        """Whether there was no item before the change."""
        return self.eventName == "INSERT"

    @property
    def version(self) -> int:
        """The sequence number. Its length varies, so it must be compared by value."""
        return int(self.dynamodb.SequenceNumber)

    @property
    def token(self) -> str:
        """The sequence number as the stream writes it."""
        return self.dynamodb.SequenceNumber

    @property
    def at(self) -> float:
        """When the change was made, in seconds since 1970; infinity if unknown."""
        return self.dynamodb.ApproximateCreationDateTime

    @property
    def unchanged(self) -> bool:
        """Whether only the attributes of a legacy global table have changed: its second record."""
        new, old = self.dynamodb.NewImage, self.dynamodb.OldImage
        if isinstance(new, UnsetType) or isinstance(old, UnsetType):
            return False
        if _REPLICATION not in bytes(new) and _REPLICATION not in bytes(old):
            return False
        try:
            return _without_replication(new) == _without_replication(old)
        except UNDECODABLE:
            # Images that cannot be compared may differ.
            return False

    @property
    def expired(self) -> bool:
        """Whether the item was deleted by its time to live."""
        if isinstance(self.userIdentity, UnsetType):
            return False
        try:
            return _identity.decode(self.userIdentity).PrincipalId == TTL_PRINCIPAL
        except UNDECODABLE:
            return False

    @property
    def raw(self) -> str:
        """The record as it was on the wire."""
        return msgspec.json.encode(self).decode(errors="backslashreplace")

    @property
    def flaw(self) -> str:
        """An empty string, since the record itself is sound."""
        return ""


class FlawedRecord(Record, gc=False):
    """A record that has its position in the stream, but cannot be applied.

    Its event is empty. A missing time is infinity: later than any other.
    """

    reason: str = ""
    text: str = ""

    @property
    def raw(self) -> str:
        """The record as it was on the wire."""
        return self.text

    @property
    def flaw(self) -> str:
        """Why the record cannot be applied."""
        return self.reason


def _without_replication(image: Raw) -> dict[str, Any]:
    item = _item.decode(image)
    return {n: v for n, v in item.items() if not n.startswith(REPLICATION_PREFIX)}


@dataclass(frozen=True)
class RecordsPage:
    """One GetRecords answer; if `next_iterator` is None, the shard may have ended."""

    records: Sequence[Record]
    bad: Sequence[Misplaced]
    next_iterator: str | None
    replicated: bool = True
    """Whether items may have attributes of a legacy global table."""

    @cached_property
    def _versions(self) -> list[int]:
        return [int(record.dynamodb.SequenceNumber) for record in self.records]

    @cached_property
    def times(self) -> list[float]:
        """When each record was made, in seconds since 1970."""
        return [record.dynamodb.ApproximateCreationDateTime for record in self.records]

    @property
    def newest_at(self) -> float | None:
        """When the newest record with a known time was made."""
        newest = max(self.times, default=None)
        if newest == inf:
            return max((at for at in self.times if at < inf), default=None)
        return newest

    def after(self, since: str | None) -> Sequence[Record]:
        """The records after a sequence number, without repetition, in order."""
        last = int(since) if since else -1
        versions = self._versions
        if versions and versions[0] > last and all(map(lt, versions, versions[1:])):
            return self.records
        found = []
        for version, record in zip(versions, self.records, strict=True):
            if version > last:
                found.append(record)
                last = version
        return found

    def token(self, since: str | None) -> str | None:
        """The sequence number to continue after, as the stream writes it."""
        versions = self._versions
        newest = max(versions, default=-1)
        if since and int(since) >= newest:
            return since
        return self.records[versions.index(newest)].dynamodb.SequenceNumber if versions else None
