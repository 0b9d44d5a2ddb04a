"""Bodies of Kinesis' GetRecords → the changes of one table, which alone the stream may hold."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from math import inf

import msgspec
from msgspec import UNSET, Raw, Struct

from connector.errors import BadAnswer, ForeignRecord
from connector.items import parts
from connector.items.by_time.records import TimedImages, TimedRecord, flawed, seconds
from connector.items.records import REPLICATION_PREFIX, UNDECODABLE, RecordsPage

_REPLICATION = f'"{REPLICATION_PREFIX}'.encode()
_EVENTS = ("INSERT", "MODIFY", "REMOVE")
_SOURCE = "aws:dynamodb"
# Text with none of these, even if it is cut off, was not written by DynamoDB.
_MARKS = (b'"awsRegion"', b'"dynamodb"', b'"tableName"', b'"aws:dynamodb"')
_AGGREGATED = b"\xf3\x89\x9a\xc2"
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,255}")


class _Sent(Struct, gc=False):
    Data: bytes
    SequenceNumber: str
    ApproximateArrivalTimestamp: float = inf


class _Child(Struct):
    ShardId: str
    ParentShards: list[str]


class _Answer(Struct, gc=False):
    Records: list[_Sent]
    NextShardIterator: str | None = None
    MillisBehindLatest: int | None = None
    ChildShards: list[_Child] | None = None


_answer = msgspec.json.Decoder(_Answer)
_record = msgspec.json.Decoder(TimedRecord)
_number = msgspec.json.Decoder(float)


@dataclass(frozen=True)
class Expected:
    """What the records of a stream must be about."""

    table: str
    """The table's name."""
    table_arn: str
    region: str
    stream: str
    """The ARN of the Kinesis stream."""


@dataclass(frozen=True)
class Child:
    """A shard that continues the one that has ended."""

    id: str
    parents: tuple[str, ...]


@dataclass(frozen=True)
class KinesisPage:
    """One answer to GetRecords."""

    page: RecordsPage
    arrived: float | None
    """When its last record arrived; None if there is none, or that is not known."""
    behind: float | None
    """How many seconds its end is behind the end of the shard, as the stream says."""
    children: Sequence[Child] = ()
    size: int = 0
    """The bytes of all data in it."""


def kinesis_page(body: bytes, expected: Expected) -> KinesisPage:
    """The changes in one answer.

    Raises BadAnswer if the body is not such an answer, and ForeignRecord if a record is not a
    change of the expected table.
    """
    try:
        answer = _answer.decode(body)
    except UNDECODABLE as error:
        raise BadAnswer("The answer to GetRecords was cut off or is not JSON.", "Run again.") from (
            error
        )
    sent = answer.Records
    if not all(each.SequenceNumber.isdecimal() for each in sent):
        raise BadAnswer("The answer to GetRecords has a record without its number.", "Run again.")
    text = b"\n".join(each.Data for each in sent)
    records = _records(sent, text, expected)
    behind = answer.MillisBehindLatest
    arrived = max((each.ApproximateArrivalTimestamp for each in sent), default=inf)
    return KinesisPage(
        RecordsPage(records, (), answer.NextShardIterator, _REPLICATION in text),
        arrived=None if arrived == inf else arrived,
        behind=None if behind is None or behind < 0 else behind / 1000,
        children=[Child(c.ShardId, tuple(c.ParentShards)) for c in answer.ChildShards or ()],
        size=len(text),
    )


def _records(sent: Sequence[_Sent], text: bytes, expected: Expected) -> list[TimedRecord]:
    decoded: Sequence[TimedRecord | None] = [None] * len(sent)
    if text.count(b"\n") == len(sent) - 1:
        try:
            lines = _record.decode_lines(text)
            decoded = lines if len(lines) == len(sent) else decoded
        except UNDECODABLE:
            decoded = [None] * len(sent)
    return [_placed(each, record, expected) for each, record in zip(sent, decoded, strict=True)]


def _placed(sent: _Sent, record: TimedRecord | None, expected: Expected) -> TimedRecord:
    """A record with its place and its time in seconds."""
    if record is None:
        try:
            record = _record.decode(sent.Data)
        except UNDECODABLE:
            return _in_parts(sent, expected)
    change = record.dynamodb
    at = seconds(change.ApproximateCreationDateTime, change.ApproximateCreationDateTimePrecision)
    complete = record.eventName == "REMOVE" or change.NewImage is not UNSET
    if at is None or record.eventName not in _EVENTS or not complete:
        return _in_parts(sent, expected)
    if (
        record.tableName != expected.table
        or record.eventSource != _SOURCE
        or record.awsRegion != expected.region
        or record.eventSourceARN
    ):
        _refuse_foreign(
            expected,
            record.tableName,
            record.eventSource,
            record.awsRegion,
            record.eventSourceARN,
        )
    change.SequenceNumber = sent.SequenceNumber
    change.ApproximateCreationDateTime = at
    record.arrived = sent.ApproximateArrivalTimestamp
    return record


def _refuse_foreign(expected: Expected, table: str, source: str, region: str, arn: str) -> None:
    """Raises ForeignRecord if a record says that it is of anything else, or nothing of its table.

    The table's name or the ARN of its stream must be there; other omissions are no sign.
    """
    if source not in ("", _SOURCE):
        raise _not_of_dynamodb(expected, "It is of another source.")
    if table not in ("", expected.table):
        named = f"the table {table}" if _NAME.fullmatch(table) else "another table"
        raise ForeignRecord(
            f"The stream {expected.stream} has records of {named}, not only of {expected.table}; "
            "nothing of them was written.",
            "Give each table a Kinesis stream of its own, as its only destination, and set "
            "tables.TABLE.kinesis to it.",
        )
    elsewhere = region not in ("", expected.region)
    if elsewhere or (arn and not (f"{arn}/").startswith(f"{expected.table_arn}/")):
        raise ForeignRecord(
            f"The stream {expected.stream} has records of a table of the name {expected.table} "
            "that is in another Region or account; nothing of them was written.",
            "Give each table a Kinesis stream of its own, and set tables.TABLE.kinesis to it.",
        )
    if not table and not arn:
        raise _not_of_dynamodb(expected, "It does not say of which table it is.")


def _not_of_dynamodb(expected: Expected, why: str) -> ForeignRecord:
    return ForeignRecord(
        f"The stream {expected.stream} has a record that DynamoDB did not write. {why}",
        f"Nothing of it was written. Let nothing but the table {expected.table} write to this "
        "stream, or give the table another one, and take a new snapshot.",
    )


def _in_parts(sent: _Sent, expected: Expected) -> TimedRecord:
    """A record with an invalid part; only the needed parts are checked."""
    record = _of_dynamodb(sent.Data, expected)
    change = parts.found(record.get("dynamodb", b""))
    event, image = parts.word(record.get("eventName")), change.get("NewImage")
    keys, arrived = change.get("Keys", b"null"), sent.ApproximateArrivalTimestamp
    at = seconds(
        _moment(change.get("ApproximateCreationDateTime")),
        parts.word(change.get("ApproximateCreationDateTimePrecision")),
    )
    reason = _flaw(bool(record), event, at, image is not None)
    if at is None or reason:
        text = sent.Data.decode(errors="backslashreplace")
        return flawed(reason, text, keys, sent.SequenceNumber, at, arrived)
    images = TimedImages(
        Keys=Raw(keys),
        SequenceNumber=sent.SequenceNumber,
        ApproximateCreationDateTime=at,
        NewImage=parts.raw(image),
        OldImage=parts.raw(change.get("OldImage")),
    )
    return TimedRecord(
        eventName=event,
        dynamodb=images,
        eventID=parts.raw(record.get("eventID")),
        userIdentity=parts.raw(record.get("userIdentity")),
        arrived=arrived,
    )


def _of_dynamodb(data: bytes, expected: Expected) -> dict[str, bytes]:
    """The members of a record, none if it was cut off. Raises ForeignRecord if it is no change."""
    if data.startswith(_AGGREGATED):
        raise _not_of_dynamodb(expected, "It was aggregated by the Kinesis Producer Library.")
    record = parts.found(data)
    if not record and not any(mark in data for mark in _MARKS):
        raise _not_of_dynamodb(expected, "It is not JSON.")
    names = ("tableName", "eventSource", "awsRegion", "eventSourceARN")
    table, source, region, arn = (parts.word(record.get(name)) for name in names)
    if record and "dynamodb" not in record and source != _SOURCE:
        raise _not_of_dynamodb(expected, "It has no member `dynamodb`.")
    if record:
        _refuse_foreign(expected, table, source, region, arn)
    return record


def _flaw(readable: bool, event: str, at: float | None, complete: bool) -> str:
    """Why a record cannot be applied, or an empty string."""
    if not readable:
        return "a record that was cut off or is not JSON"
    if event not in _EVENTS:
        return "a record of an unknown event"
    if at is None:
        return "a record whose time is not in microseconds, milliseconds or whole seconds"
    if event != "REMOVE" and not complete:
        return "a record of a put without its new image"
    return ""


def _moment(raw: bytes | None) -> float:
    try:
        return _number.decode(raw or b"null")
    except UNDECODABLE:
        return inf
