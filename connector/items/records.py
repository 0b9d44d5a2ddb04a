"""Stream records as they are on the wire: only what orders them is decoded."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import inf

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

TTL_PRINCIPAL = "dynamodb.amazonaws.com"

UNDECODABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""What decoding raises for a text that is not what it should be."""


class _UserIdentity(Struct, gc=False):
    PrincipalId: str = ""


_identity = msgspec.json.Decoder(_UserIdentity)


class Change(Struct, gc=False):
    """The `dynamodb` member of a stream record. Images stay raw: most are never decoded."""

    Keys: Raw
    SequenceNumber: str
    ApproximateCreationDateTime: float
    """Seconds since 1970."""
    NewImage: Raw | UnsetType = UNSET
    OldImage: Raw | UnsetType = UNSET


class Record(Struct, gc=False):
    """One stream record. What few of them need stays raw, and harms no other."""

    eventName: str
    dynamodb: Change
    eventID: Raw | UnsetType = UNSET
    userIdentity: Raw | UnsetType = UNSET
    """Who made a change, where that was not a user: DynamoDB itself deletes expired items."""

    @property
    def sequence(self) -> int:
        """Sequence numbers vary in length, so only their value orders them."""
        return int(self.dynamodb.SequenceNumber)

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


@dataclass(frozen=True)
class BadRecord:
    """A stream record without a sequence number: nothing says what it comes before."""

    raw: str
    reason: str
    keys: bytes


@dataclass(frozen=True)
class RecordsPage:
    """One GetRecords answer; `next_iterator` None means the shard may have ended."""

    records: Sequence[Record]
    bad: Sequence[BadRecord]
    next_iterator: str | None
    replicated: bool = True
    """Whether it may have attributes that global tables of 2017 add to items."""

    @cached_property
    def _newest(self) -> str | None:
        numbers = [record.dynamodb.SequenceNumber for record in self.records]
        return max(numbers, key=int, default=None)

    @property
    def newest_at(self) -> float | None:
        """When its newest record was made, in seconds since 1970."""
        times = [record.dynamodb.ApproximateCreationDateTime for record in self.records]
        newest = max(times, default=None)
        return max((at for at in times if at < inf), default=None) if newest == inf else newest

    def token(self, since: str | None) -> str | None:
        """The sequence number to go on after, in the stream's own spelling."""
        return max(filter(None, (since, self._newest)), key=int, default=None)
