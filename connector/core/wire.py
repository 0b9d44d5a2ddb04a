"""Bodies of Scan and GetRecords answers → items and records, nested values left as raw bytes."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import msgspec
from msgspec import Raw, Struct

from connector.core.malformed import Malformed
from connector.errors import BadAnswer

TTL_PRINCIPAL = "dynamodb.amazonaws.com"
REPLICATION_PREFIX = "aws:rep:"
_REPLICATION = f'"{REPLICATION_PREFIX}'.encode()


class _ScanHead(Struct, gc=False):
    Items: list[Raw]
    Count: int
    ScannedCount: int
    LastEvaluatedKey: Raw = Raw()


class UserIdentity(Struct, gc=False):
    """Who made a change, where that was not a user: DynamoDB itself deletes expired items."""

    PrincipalId: str = ""
    Type: str = ""


class Change(Struct, gc=False):
    """The `dynamodb` member of a stream record. Images stay raw: most are never decoded."""

    Keys: Raw
    SequenceNumber: str
    ApproximateCreationDateTime: float
    NewImage: Raw | msgspec.UnsetType = msgspec.UNSET
    OldImage: Raw | msgspec.UnsetType = msgspec.UNSET


class Record(Struct, gc=False):
    """One stream record."""

    eventName: str
    dynamodb: Change
    eventID: str = ""
    userIdentity: UserIdentity | None = None

    @property
    def sequence(self) -> int:
        """Sequence numbers vary in length, so only their value orders them."""
        return int(self.dynamodb.SequenceNumber)

    @property
    def expired(self) -> bool:
        """The item was deleted by its time to live."""
        return self.userIdentity is not None and self.userIdentity.PrincipalId == TTL_PRINCIPAL


class _RecordsHead(Struct, gc=False):
    Records: list[Raw]
    NextShardIterator: str | None = None


class _RecordsPage(Struct, gc=False):
    Records: list[Record]
    NextShardIterator: str | None = None


@dataclass(frozen=True)
class BadRecord:
    """A stream record that has not the shape of one."""

    raw: str
    reason: str
    sequence: str | None = None


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
        numbers += [bad.sequence for bad in self.bad if bad.sequence]
        return max(numbers, key=int, default=None)

    def token(self, since: str | None) -> str | None:
        """The sequence number to go on after, in the stream's own spelling."""
        return max(filter(None, (since, self._newest)), key=int, default=None)


_scan_head = msgspec.json.Decoder(_ScanHead)
_records = msgspec.json.Decoder(_RecordsPage)
_records_head = msgspec.json.Decoder(_RecordsHead)
_record = msgspec.json.Decoder(Record)

_EVENTS = ("INSERT", "MODIFY", "REMOVE")


def scan_page(body: bytes) -> tuple[list[bytes], str | None]:
    """The raw items of a Scan page and the token after it; None where the segment has ended.

    Raises BadAnswer where the body is no Scan answer: it is never taken for an end.
    """
    try:
        head = _scan_head.decode(body)
        items, last = [bytes(item) for item in head.Items], bytes(head.LastEvaluatedKey)
    except msgspec.MsgspecError as error:
        page = _loose(body, "Scan", ("Items", "Count", "ScannedCount"), error)
        items = [json.dumps(item).encode() for item in page["Items"]]
        last = json.dumps(page["LastEvaluatedKey"]).encode() if "LastEvaluatedKey" in page else b""
    except RecursionError as error:
        raise BadAnswer("A Scan answer is nested too deeply to be DynamoDB's.") from error
    return items, token(last)


def token(last_evaluated_key: bytes | Raw) -> str | None:
    """The token of a LastEvaluatedKey: its own JSON text."""
    text = bytes(last_evaluated_key)
    return text.decode() if text and text != b"null" else None


def records_page(body: bytes) -> RecordsPage:
    """The records of a GetRecords page. Raises BadAnswer where the body is no such page."""
    try:
        page = _records.decode(body)
        if all(map(_sound, page.Records)):
            return RecordsPage(page.Records, (), page.NextShardIterator, _REPLICATION in body)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return _split(body)
    return _split(body)


def _sound(record: Record) -> bool:
    return (
        record.eventName in _EVENTS
        and record.dynamodb.SequenceNumber.isdecimal()
        and (record.eventName == "REMOVE" or record.dynamodb.NewImage is not msgspec.UNSET)
    )


def _split(body: bytes) -> RecordsPage:
    try:
        head = _records_head.decode(body)
        raws, following = [bytes(raw) for raw in head.Records], head.NextShardIterator
    except msgspec.MsgspecError as error:
        page = _loose(body, "GetRecords", ("Records",), error)
        raws = [json.dumps(record).encode() for record in page["Records"]]
        following = page.get("NextShardIterator")
    except RecursionError as error:
        raise BadAnswer("A GetRecords answer is nested too deeply to be DynamoDB's.") from error
    records, bad = [], []
    for raw in raws:
        try:
            records.append(_one(raw))
        except Malformed as error:
            text = raw.decode(errors="backslashreplace")
            bad.append(BadRecord(text, str(error), _sequence_in(text)))
    return RecordsPage(records, bad, following)


def _one(raw: bytes) -> Record:
    try:
        record = _record.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Malformed("a record without its keys, sequence number or time") from error
    if record.eventName not in _EVENTS:
        raise Malformed("a record of an unknown event")
    if not record.dynamodb.SequenceNumber.isdecimal():
        raise Malformed("a record whose sequence number is no number")
    if not _sound(record):
        raise Malformed("a record of a put without its new image")
    return record


def _sequence_in(text: str) -> str | None:
    """The sequence number of a record that is otherwise no record, if it has one."""
    try:
        sequence = json.loads(text)["dynamodb"]["SequenceNumber"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    return sequence if isinstance(sequence, str) and sequence.isdecimal() else None


def _loose(body: bytes, operation: str, members: Sequence[str], cause: Exception) -> dict[str, Any]:
    """A page with a lone surrogate is valid for Python's own parser only; anything else is bad."""
    try:
        page: dict[str, Any] = json.loads(body.decode())
    except (ValueError, RecursionError):
        raise BadAnswer(f"The answer to {operation} was cut off or is not JSON.") from cause
    lists = isinstance(page, dict) and all(member in page for member in members)
    if not lists or not isinstance(page[members[0]], list):
        names = ", ".join(members)
        raise BadAnswer(f"The answer to {operation} lacks one of {names}.") from cause
    return page
