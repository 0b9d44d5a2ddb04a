"""What DynamoDB puts into a Kinesis stream, one record for each change."""

from math import inf, isfinite

import msgspec
from msgspec import UNSET, Raw, UnsetType, field

from connector.core.changes.times import MILLISECOND, SECOND
from connector.items.records import TTL_PRINCIPAL, UNDECODABLE, Images, Record

LATE = 12 * 3600.0
"""Seconds. Tombstones live longer than that, so a change that arrives later is looked up."""

_BINARY = (b'"B"', b'"BS"')


class _UserIdentity(msgspec.Struct, gc=False):
    principalId: str = ""
    PrincipalId: str = ""


_identity = msgspec.json.Decoder(_UserIdentity)


class TimedImages(Images, kw_only=True, gc=False):
    """The `dynamodb` member of a record; its place and its time in seconds are filled in later."""

    SequenceNumber: str = ""
    ApproximateCreationDateTimePrecision: str = ""


class TimedRecord(Record, kw_only=True, gc=False):
    """One change. Nothing but its time orders it: records come in any order, and repeatedly."""

    dynamodb: TimedImages
    tableName: str = ""
    awsRegion: str = ""
    eventSource: str = ""
    eventSourceARN: str = ""
    arrived: float = field(default=inf, name="ApproximateArrivalTimestamp")
    """When it arrived in the stream, in seconds since 1970; infinity if that is not known."""

    @property
    def version(self) -> int:
        """When the change was made, in microseconds since 1970."""
        at = self.dynamodb.ApproximateCreationDateTime
        return round(at * SECOND) if at < inf else 2**62

    @property
    def expired(self) -> bool:
        """Whether the item was deleted by its time to live."""
        if isinstance(self.userIdentity, UnsetType):
            return False
        try:
            identity = _identity.decode(self.userIdentity)
        except UNDECODABLE:
            return False
        return TTL_PRINCIPAL in (identity.principalId, identity.PrincipalId)

    @property
    def unsure(self) -> bool:
        """Whether the item must be read, since the record may not say what it is.

        It may be older than a tombstone that is gone. And binary values are said to be encoded in
        base64 twice; nothing in a record shows whether they are.
        """
        if self.arrived - self.dynamodb.ApproximateCreationDateTime > LATE:
            return True
        image = self.dynamodb.NewImage
        if isinstance(image, UnsetType):
            return False
        text = bytes(image)
        return any(tag in text for tag in _BINARY)


class FlawedTimedRecord(TimedRecord, gc=False):
    """A record that cannot be applied, with whatever is known of it. Its event is empty."""

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

    @property
    def unsure(self) -> bool:
        """It is not applied at all."""
        return False


# Between 1973 and 5138, a number of one of these is never one of another.
_PRECISIONS = (
    ("MICROSECOND", range(10**14, 10**17), SECOND),
    ("MILLISECOND", range(10**11, 10**14), SECOND // MILLISECOND),
    # Not of the service, but of emulators that send what a DynamoDB stream would.
    ("SECOND", range(10**8, 10**11), 1),
)


def seconds(number: float, precision: str) -> float | None:
    """A record's time in seconds since 1970; None if it is not clear what the number means."""
    if not isfinite(number):
        return None
    whole = int(number)
    for name, numbers, per_second in _PRECISIONS:
        if whole in numbers:
            # How exact a fraction of a second is meant to be, nothing says.
            unclear = precision not in ("", name) or (per_second == 1 and number != whole)
            return None if unclear else number / per_second
    return None


def flawed(
    reason: str, text: str, key: bytes, number: str, at: float | None, arrived: float
) -> FlawedTimedRecord:
    """A record that cannot be applied; without a time, it counts as of when it arrived."""
    images = TimedImages(
        Keys=Raw(key),
        SequenceNumber=number,
        ApproximateCreationDateTime=arrived if at is None else at,
        NewImage=UNSET,
    )
    return FlawedTimedRecord(
        eventName="", dynamodb=images, arrived=arrived, reason=reason, text=text
    )
