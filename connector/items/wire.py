"""Bodies of Scan and GetRecords answers → items and records; nested values stay raw bytes."""

from collections.abc import Sequence
from datetime import UTC, datetime
from math import inf

import msgspec
from msgspec import UNSET, Raw, Struct

from connector.core.changes.change import Misplaced
from connector.core.texts import Malformed
from connector.errors import BadAnswer
from connector.items import parts
from connector.items.records import (
    REPLICATION_PREFIX,
    UNDECODABLE,
    FlawedRecord,
    Images,
    Record,
    RecordsPage,
)

_REPLICATION = f'"{REPLICATION_PREFIX}'.encode()


class _ScanHead(Struct, gc=False):
    Items: list[Raw]
    Count: int
    ScannedCount: int
    LastEvaluatedKey: Raw = Raw()


class _RecordsHead(Struct, gc=False):
    Records: list[Raw]
    NextShardIterator: str | None = None


class _RecordsPage(Struct, gc=False):
    Records: list[Record]
    NextShardIterator: str | None = None


_scan_head = msgspec.json.Decoder(_ScanHead)
_records = msgspec.json.Decoder(_RecordsPage)
_records_head = msgspec.json.Decoder(_RecordsHead)
_record = msgspec.json.Decoder(Record)
_text = msgspec.json.Decoder(str)
_time = msgspec.json.Decoder(float)

_EVENTS = ("INSERT", "MODIFY", "REMOVE")
_LATEST = datetime.max.replace(tzinfo=UTC).timestamp()
# AWS documents 21 to 40 digits; Python refuses to convert thousands.
_MOST_DIGITS = 128


def scan_page(body: bytes) -> tuple[list[bytes], str | None]:
    """The raw items of a Scan page and the token after it, or None if the segment has ended.

    Raises BadAnswer if the body is not a Scan answer; it is never mistaken for an end.
    """
    try:
        head = _scan_head.decode(body)
        return [bytes(item) for item in head.Items], token(head.LastEvaluatedKey)
    except UNDECODABLE as error:
        page = _parts(body, "Scan", ("Items", "Count", "ScannedCount"), error)
        return _elements(page, "Items", "Scan"), token(page.get("LastEvaluatedKey", b""))


def token(last_evaluated_key: bytes | Raw) -> str | None:
    """The token of a LastEvaluatedKey: its own JSON text."""
    text = bytes(last_evaluated_key)
    try:
        return text.decode() if text and text != b"null" else None
    except UnicodeDecodeError as error:
        raise BadAnswer("A Scan answer ends at a key that is not Unicode.", "Run again.") from error


def records_page(body: bytes, images: bool = True) -> RecordsPage:
    """The records of a GetRecords page; `images` says whether puts must have new images.

    Raises BadAnswer if the body is not such a page.
    """
    try:
        page = _records.decode(body)
        if all(map(_sound if images else _placed, page.Records)):
            return RecordsPage(page.Records, (), page.NextShardIterator, _REPLICATION in body)
    except UNDECODABLE:
        return _split(body, images)
    return _split(body, images)


def _sound(record: Record) -> bool:
    removed = record.eventName == "REMOVE"
    return _placed(record) and (removed or record.dynamodb.NewImage is not UNSET)


def _placed(record: Record) -> bool:
    """Whether a record says what happened when, if not what the item was after it."""
    change = record.dynamodb
    number = change.SequenceNumber
    return (
        record.eventName in _EVENTS
        and number.isdecimal()
        and len(number) <= _MOST_DIGITS
        and 0 <= change.ApproximateCreationDateTime <= _LATEST
    )


def _split(body: bytes, images: bool) -> RecordsPage:
    try:
        head = _records_head.decode(body)
        raws, following = [bytes(raw) for raw in head.Records], head.NextShardIterator
    except UNDECODABLE as error:
        page = _parts(body, "GetRecords", ("Records",), error)
        raws, following = _elements(page, "Records", "GetRecords"), _iterator(page)
    found = [_one(raw, images) for raw in raws]
    records = [record for record in found if isinstance(record, Record)]
    bad = [record for record in found if isinstance(record, Misplaced)]
    return RecordsPage(records, bad, following)


def _iterator(page: dict[str, bytes]) -> str | None:
    raw = page.get("NextShardIterator", b"null")
    if raw == b"null":
        return None
    try:
        return _text.decode(raw)
    except UNDECODABLE as error:
        raise BadAnswer("The answer to GetRecords has no valid NextShardIterator.") from error


def _one(raw: bytes, images: bool) -> Record | Misplaced:
    try:
        record = _record.decode(raw)
        if _sound(record) if images else _placed(record):
            return record
    except UNDECODABLE:
        return _of_parts(raw, images)
    return _of_parts(raw, images)


def _of_parts(raw: bytes, images: bool) -> Record | Misplaced:
    """A record with an invalid part; only the needed parts are checked."""
    text = raw.decode(errors="backslashreplace")
    record = parts.found(raw)
    change = parts.found(record.get("dynamodb", b""))
    event, number = parts.word(record.get("eventName")), parts.word(change.get("SequenceNumber"))
    keys, image = change.get("Keys", b"null"), change.get("NewImage")
    at = _moment(change.get("ApproximateCreationDateTime"))
    if not number.isdecimal() or len(number) > _MOST_DIGITS:
        return Misplaced(text, "a record without a valid sequence number", keys)
    reason = _flaw(event, at, image is not None or not images)
    if reason:
        about = Images(Raw(keys), number, inf if at is None else at)
        return FlawedRecord("", about, reason=reason, text=text)
    assert at is not None
    return Record(
        event,
        Images(Raw(keys), number, at, parts.raw(image), parts.raw(change.get("OldImage"))),
        parts.raw(record.get("eventID")),
        parts.raw(record.get("userIdentity")),
    )


def _flaw(event: str, at: float | None, complete: bool) -> str:
    """Why a record cannot be applied, or an empty string."""
    if event not in _EVENTS:
        return "a record of an unknown event"
    if at is None:
        return "a record without a valid time"
    if event != "REMOVE" and not complete:
        return "a record of a put without its new image"
    return ""


def _moment(raw: bytes | None) -> float | None:
    try:
        at = _time.decode(raw or b"null")
    except UNDECODABLE:
        return None
    return at if 0 <= at <= _LATEST else None


def _parts(
    body: bytes, operation: str, needed: Sequence[str], cause: Exception
) -> dict[str, bytes]:
    """The members of a page with a part that cannot be decoded."""
    try:
        page = parts.members(body)
    except Malformed:
        raise BadAnswer(f"The answer to {operation} was cut off or is not JSON.") from cause
    if not all(name in page for name in needed):
        raise BadAnswer(f"The answer to {operation} lacks one of {', '.join(needed)}.") from cause
    return page


def _elements(page: dict[str, bytes], name: str, operation: str) -> list[bytes]:
    try:
        return parts.elements(page[name])
    except Malformed as error:
        raise BadAnswer(f"In the answer to {operation}, {name} is not an array.") from error
