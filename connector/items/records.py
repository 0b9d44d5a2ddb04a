"""Stream records as they are on the wire: only what orders them is decoded."""

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
"""What global tables of 2017 add to items: attributes whose names begin so."""

TTL_PRINCIPAL = "dynamodb.amazonaws.com"

UNDECODABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""What decoding raises for a text that is not what it should be."""


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
    """One stream record, as a `Change`. What few need stays raw, and harms no other."""

    eventName: str
    dynamodb: Images
    eventID: Raw | UnsetType = UNSET
    userIdentity: Raw | UnsetType = UNSET
    """Who made a change, where that was not a user: DynamoDB itself deletes expired items."""

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
    def version(self) -> int:
        """Sequence numbers vary in length, so only their value orders them."""
        return int(self.dynamodb.SequenceNumber)

    @property
    def token(self) -> str:
        """Its sequence number, in the stream's own spelling."""
        return self.dynamodb.SequenceNumber

    @property
    def at(self) -> float:
        """When it was made, in seconds since 1970; infinite if that is not known."""
        return self.dynamodb.ApproximateCreationDateTime

    @property
    def unchanged(self) -> bool:
        """Whether only what global tables of 2017 add has changed: their second record."""
        new, old = self.dynamodb.NewImage, self.dynamodb.OldImage
        if isinstance(new, UnsetType) or isinstance(old, UnsetType):
            return False
        if _REPLICATION not in bytes(new) and _REPLICATION not in bytes(old):
            return False
        try:
            return _without_replication(new) == _without_replication(old)
        except UNDECODABLE:
            # What cannot be compared may have changed.
            return False

    @property
    def expired(self) -> bool:
        """The item was deleted by its time to live."""
        if isinstance(self.userIdentity, UnsetType):
            return False
        try:
            return _identity.decode(self.userIdentity).PrincipalId == TTL_PRINCIPAL
        except UNDECODABLE:
            return False

    @property
    def raw(self) -> str:
        """What is known of it, as it was on the wire."""
        return msgspec.json.encode(self).decode(errors="backslashreplace")

    @property
    def flaw(self) -> str:
        """Nothing is wrong with it as a record."""
        return ""


class FlawedRecord(Record, gc=False):
    """A record that has its place in the stream, and does not say what became of its key.

    Its event is empty; if it has no time, that is infinite: after any other.
    """

    reason: str = ""
    text: str = ""

    @property
    def raw(self) -> str:
        """All of it, as it was on the wire."""
        return self.text

    @property
    def flaw(self) -> str:
        """Why it does not say what became of its key."""
        return self.reason


def _without_replication(image: Raw) -> dict[str, Any]:
    item = _item.decode(image)
    return {n: v for n, v in item.items() if not n.startswith(REPLICATION_PREFIX)}


@dataclass(frozen=True)
class RecordsPage:
    """One GetRecords answer; `next_iterator` None means the shard may have ended."""

    records: Sequence[Record]
    bad: Sequence[Misplaced]
    next_iterator: str | None
    replicated: bool = True
    """Whether it may have attributes that global tables of 2017 add to items."""

    @cached_property
    def _versions(self) -> list[int]:
        return [int(record.dynamodb.SequenceNumber) for record in self.records]

    @cached_property
    def times(self) -> list[float]:
        """When each record was made, in seconds since 1970."""
        return [record.dynamodb.ApproximateCreationDateTime for record in self.records]

    @property
    def newest_at(self) -> float | None:
        """When its newest record was made, of those that say so."""
        newest = max(self.times, default=None)
        if newest == inf:
            return max((at for at in self.times if at < inf), default=None)
        return newest

    def after(self, since: str | None) -> Sequence[Record]:
        """The records after a sequence number, each once, in their order."""
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
        """The sequence number to go on after, in the stream's own spelling."""
        versions = self._versions
        newest = max(versions, default=-1)
        if since and int(since) >= newest:
            return since
        return self.records[versions.index(newest)].dynamodb.SequenceNumber if versions else None
