"""Reading a stream: DescribeStream, GetShardIterator, GetRecords."""

import base64
import binascii
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from .errors import ServiceError, expired_iterator, invalid, trimmed
from .items import rendered
from .shards import Record, Shard
from .stream import Stream

ITERATOR_SECONDS = 15 * 60
MAX_RECORDS = 1000
MAX_BYTES = 1024 * 1024
NUMBERED = ("AT_SEQUENCE_NUMBER", "AFTER_SEQUENCE_NUMBER")


@dataclass(frozen=True)
class Iterator:
    """A place in a shard: the lowest sequence number still to read, and when it was issued."""

    arn: str
    shard: str
    start: int
    issued_at: float

    def token(self) -> str:
        """The opaque text a client gets."""
        inner = json.dumps([self.shard, self.start, self.issued_at]).encode()
        return f"{self.arn}|1|{base64.urlsafe_b64encode(inner).decode()}"

    @classmethod
    def parse(cls, token: str, refusal: Callable[[str], ServiceError] = invalid) -> "Iterator":
        """The iterator behind a token; each service refuses nonsense with an error of its own."""
        arn, _, inner = token.partition("|1|")
        try:
            shard, start, issued_at = json.loads(base64.urlsafe_b64decode(inner))
        except (ValueError, binascii.Error):
            raise refusal("Invalid ShardIterator") from None
        return cls(arn, shard, start, issued_at)


def describe_stream(stream: Stream, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """One page of a stream's listing."""
    shards = [shard.describe() for shard in stream.listed()]
    if wanted := parameters.get("ShardFilter"):
        shards = [each for each in shards if each.get("ParentShardId") == wanted["ShardId"]]
    if stream.listing is not None:
        shards = stream.listing(shards)
    if start := parameters.get("ExclusiveStartShardId"):
        shards = following(stream, shards, start)
    size = min(parameters.get("Limit", stream.listing_page), stream.listing_page)
    page = shards[:size]
    described: dict[str, Any] = {
        "StreamArn": stream.arn,
        "StreamLabel": stream.label,
        "StreamStatus": stream.status,
        "StreamViewType": stream.view,
        "CreationRequestDateTime": stream.created_at,
        "TableName": stream.table,
        "KeySchema": stream.schema.describe(),
        "Shards": page,
    }
    if len(shards) > size:
        described["LastEvaluatedShardId"] = page[-1]["ShardId"]
    return {"StreamDescription": described}


def following(stream: Stream, shards: list[dict[str, Any]], start: str) -> list[dict[str, Any]]:
    """The shards after this one, which may have left the listing since the last page."""
    for index, shard in enumerate(shards):
        if shard["ShardId"] == start:
            return shards[index + 1 :]
    made = list(stream.shards)
    place = made.index(start) if start in made else -1
    return [shard for shard in shards if made.index(shard["ShardId"]) > place]


def get_shard_iterator(stream: Stream, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Issues an iterator."""
    shard = stream.shard(parameters["ShardId"])
    start = starting(stream, shard, parameters)
    issued = Iterator(stream.arn, shard.id, start, stream.clock.now())
    return {"ShardIterator": issued.token()}


def starting(stream: Stream, shard: Shard, parameters: Mapping[str, Any]) -> int:
    """The lowest sequence number an iterator of this type reads."""
    kind, text = parameters["ShardIteratorType"], parameters.get("SequenceNumber")
    if kind not in NUMBERED and text is not None:
        raise invalid(
            "One or more parameter values were invalid: "
            "SequenceNumber should not be passed for this iterator type"
        )
    if kind == "TRIM_HORIZON":
        return shard.trimmed_through + 1
    if kind == "LATEST":
        return stream.numbers.last() + 1
    if kind not in NUMBERED or not (text or "").isdecimal():
        raise invalid("One or more parameter values were invalid: Invalid SequenceNumber")
    number = int(text or "")
    if number < shard.starting or (shard.ending is not None and number > shard.ending):
        raise invalid("Invalid SequenceNumber for the shard")
    if number <= shard.trimmed_through:
        raise trimmed()
    return number if kind == "AT_SEQUENCE_NUMBER" else number + 1


def get_records(stream: Stream, iterator: Iterator, parameters: Mapping[str, Any]) -> bytes:
    """The body of one page of records."""
    limit = parameters.get("Limit", MAX_RECORDS)
    if not 1 <= limit <= MAX_RECORDS:
        raise invalid(
            "One or more parameter values were invalid: Limit should be less than or equal to 1000"
        )
    now = stream.clock.now()
    if now - iterator.issued_at > ITERATOR_SECONDS:
        raise expired_iterator()
    shard = stream.shard(iterator.shard)
    if iterator.start <= shard.trimmed_through:
        raise trimmed()
    page = shard.page(iterator.start, limit, MAX_BYTES)
    reached = page[-1].number if page else iterator.start - 1
    ended = not shard.is_open and not shard.has_after(reached)
    following = Iterator(stream.arn, shard.id, reached + 1, now)
    return body(page, None if ended else following.token())


def body(page: list[Record], token: str | None) -> bytes:
    """Puts a page together from records that are rendered already."""
    records = b",".join(record.body for record in page)
    following = b"" if token is None else b',"NextShardIterator":' + rendered(token)
    return b'{"Records":[' + records + b"]" + following + b"}"
