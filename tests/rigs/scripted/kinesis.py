"""A Kinesis data stream that a table sends its changes to: out of order, twice, late or not at all.

stream = rig.add_kinesis("orders", shards=2)
orders.put(...)                      # arrives at once
stream.holding = True                # later changes wait, until
stream.deliver(stream.held[::-1])    # they arrive, in any order and as often as wanted
left, right = stream.split(); stream.merge(left, right)
"""

import hashlib
import json
import threading
from base64 import b64encode
from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from .clock import VirtualClock
from .errors import ServiceError, expired_iterator
from .items import Item, rendered
from .reading import Iterator
from .shards import HashRange, SequenceNumbers
from .stream import Change

ITERATOR_SECONDS = 5 * 60
MAX_RECORDS = 10_000
HASH_SHIFT = 64
MAX_BYTES = 10 * 1024 * 1024
READS_PER_SECOND = 5
BYTES_PER_SECOND = 2 * 1024 * 1024
MICROSECONDS = {"MICROSECOND": 1, "MILLISECOND": 1000, "SECOND": 1_000_000}
"""Of each precision; the service has no seconds, but what other emulators send has."""
FIRST_NUMBER = 49_590_338_271_490_256_608_559_692_538_361_571_095_921_575_989_136_588_898


@dataclass(frozen=True)
class Sent:
    """What DynamoDB sends for one change."""

    at: float
    hashed: int
    data: bytes
    key: Item
    item: Item | None


@dataclass(frozen=True)
class Arrived:
    """One record in a shard."""

    number: int
    at: float
    data: bytes
    body: bytes


@dataclass
class KinesisShard:
    """One shard; a merged one has two parents."""

    id: str
    hashes: HashRange
    starting: int
    parents: tuple[str, ...] = ()
    ending: int | None = None
    closed_at: float | None = None
    records: list[Arrived] = field(default_factory=list, repr=False)
    reads: deque[float] = field(default_factory=deque, repr=False)
    free_at: float = 0.0
    resolves: bool = True

    @property
    def is_open(self) -> bool:
        """Whether new records can still arrive."""
        return self.ending is None

    def describe(self) -> dict[str, Any]:
        """The shard as ListShards shows it."""
        numbers = {"StartingSequenceNumber": str(self.starting)}
        if self.ending is not None:
            numbers["EndingSequenceNumber"] = str(self.ending)
        # Those of Kinesis have 128 bits, and a range says its last one.
        low, high = self.hashes.low << HASH_SHIFT, (self.hashes.high << HASH_SHIFT) - 1
        hashes = {"StartingHashKey": str(low), "EndingHashKey": str(high)}
        named = dict(zip(("ParentShardId", "AdjacentParentShardId"), self.parents, strict=False))
        shard = {"ShardId": self.id, "HashKeyRange": hashes, "SequenceNumberRange": numbers}
        return {**shard, **named}


@dataclass
class KinesisStream:
    """The stream, and how the table is linked to it."""

    arn: str
    table: str
    region: str
    clock: VirtualClock
    lock: threading.RLock = field(repr=False)
    precision: str = "MICROSECOND"
    says_precision: bool = True
    hours: int = 24
    status: str = "ACTIVE"
    link: str = "ACTIVE"
    created_at: float = 0.0
    listing_page: int = 1000
    limited: bool = True
    """Whether a shard gives no more than five answers and two megabytes in a second."""
    holding: bool = False
    held: list[Sent] = field(default_factory=list, repr=False)
    skips: Callable[[Sent], bool] = lambda sent: False
    """Which changes never arrive."""
    change: Callable[[dict[str, Any]], dict[str, Any]] = lambda content: content
    """What becomes of the content of a record."""
    shards: dict[str, KinesisShard] = field(default_factory=dict)
    written: list[Sent] = field(default_factory=list, repr=False)
    numbers: SequenceNumbers = field(default_factory=lambda: SequenceNumbers(FIRST_NUMBER))
    _last_at: int = 0

    def open_first(self, count: int) -> None:
        """Opens the shards it begins with."""
        for hashes in HashRange().parts(count):
            self._open(hashes, ())

    def recreate(self) -> None:
        """Deletes it and makes it anew, with the same ARN."""
        with self.lock:
            self.shards.clear()
            self.created_at = self.clock.now()
            self.open_first(1)

    # Writing -------------------------------------------------------------------------------------

    def write(self, change: Change) -> None:
        """Sends one change of the table."""
        with self.lock:
            if self.link not in ("ACTIVE", "UPDATING"):
                return
            # Two changes never have the same microsecond, unless a test says so.
            self._last_at = at = max(round(self.clock.now() * 1e6), self._last_at + 1)
            sent = Sent(at / 1e6, change.hashed, self._data(change, at), change.key, change.new)
            self.written.append(sent)
            if self.skips(sent):
                return
            if self.holding:
                self.held.append(sent)
            else:
                self.deliver([sent])

    def deliver(self, sent: Iterable[Sent]) -> None:
        """Lets changes arrive now, in this order."""
        with self.lock:
            for each in list(sent):
                if each in self.held:
                    self.held.remove(each)
                self.append(each.data, each.hashed)

    def append(self, data: bytes, hashed: int = 0) -> KinesisShard:
        """Puts a record as it stands into the shard that its key belongs to."""
        with self.lock:
            shard = next(s for s in self.open_shards() if hashed in s.hashes)
            number, at = self.numbers.take(), self.clock.now()
            body = rendered(
                {
                    "Data": b64encode(data).decode(),
                    "PartitionKey": hashlib.md5(str(hashed).encode()).hexdigest(),
                    "SequenceNumber": str(number),
                    "ApproximateArrivalTimestamp": round(at, 3),
                }
            )
            shard.records.append(Arrived(number, at, data, body))
            return shard

    def _data(self, change: Change, at: int) -> bytes:
        images = {"NewImage": change.new, "OldImage": change.old}
        about: dict[str, Any] = {
            "ApproximateCreationDateTime": at // MICROSECONDS[self.precision],
            "Keys": change.key,
            **{name: image for name, image in images.items() if image is not None},
            "SizeBytes": 100,
        }
        if self.says_precision:
            about["ApproximateCreationDateTimePrecision"] = self.precision
        identity = None
        if change.user_identity:
            identity = {n[0].lower() + n[1:]: v for n, v in change.user_identity.items()}
        content = {
            "awsRegion": self.region,
            "eventID": hashlib.md5(f"{self.arn} {len(self.written)}".encode()).hexdigest(),
            "eventName": change.name,
            "userIdentity": identity,
            "recordFormat": "application/json",
            "tableName": self.table,
            "dynamodb": about,
            "eventSource": "aws:dynamodb",
        }
        return json.dumps(self.change(content), separators=(",", ":")).encode()

    # Shards --------------------------------------------------------------------------------------

    def open_shards(self) -> list[KinesisShard]:
        """The shards that take new records, in the order of their hash ranges."""
        found = [shard for shard in self.shards.values() if shard.is_open]
        return sorted(found, key=lambda shard: shard.hashes.low)

    def split(self, shard: KinesisShard | None = None) -> list[KinesisShard]:
        """Closes an open shard and opens its two children."""
        with self.lock:
            parent = shard or self.open_shards()[0]
            self._close(parent)
            return [self._open(part, (parent.id,)) for part in parent.hashes.parts(2)]

    def merge(self, left: KinesisShard, right: KinesisShard) -> KinesisShard:
        """Closes two neighbours and opens their only child."""
        with self.lock:
            self._close(left)
            self._close(right)
            both = HashRange(
                min(left.hashes.low, right.hashes.low), max(left.hashes.high, right.hashes.high)
            )
            return self._open(both, (left.id, right.id))

    def _close(self, shard: KinesisShard) -> None:
        if not shard.is_open:
            raise ValueError(f"{shard.id} is closed already")
        shard.ending, shard.closed_at = self.numbers.take(), self.clock.now()

    def _open(self, hashes: HashRange, parents: tuple[str, ...]) -> KinesisShard:
        made = KinesisShard(
            f"shardId-{len(self.shards):012d}", hashes, self.numbers.take(), parents
        )
        self.shards[made.id] = made
        return made

    def _horizon(self) -> float:
        return self.clock.now() - self.hours * 3600

    def listed(self) -> list[KinesisShard]:
        """The shards whose records may still be there."""
        horizon = self._horizon()
        return [s for s in self.shards.values() if s.closed_at is None or s.closed_at > horizon]

    # Reading -------------------------------------------------------------------------------------

    def summary(self) -> dict[str, Any]:
        """The answer to DescribeStreamSummary."""
        return {
            "StreamDescriptionSummary": {
                "StreamName": self.arn.rpartition("/")[2],
                "StreamARN": self.arn,
                "StreamStatus": self.status,
                "RetentionPeriodHours": self.hours,
                "StreamCreationTimestamp": self.created_at,
                "EnhancedMonitoring": [],
                "EncryptionType": "NONE",
                "OpenShardCount": len(self.open_shards()),
            }
        }

    def list_shards(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """One page of ListShards."""
        if "NextToken" in parameters and len(parameters) > 1 + ("MaxResults" in parameters):
            raise wrong("NextToken and StreamName cannot be provided together.")
        shards = [shard.describe() for shard in self.listed()]
        start = parameters.get("ExclusiveStartShardId") or parameters.get("NextToken", "")
        shards = [shard for shard in shards if shard["ShardId"] > start]
        page = shards[: min(parameters.get("MaxResults", 1000), self.listing_page)]
        more = {"NextToken": page[-1]["ShardId"]} if len(page) < len(shards) else {}
        return {"Shards": page, **more}

    def iterator(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """The answer to GetShardIterator."""
        shard = self._shard(parameters["ShardId"])
        kind, start = parameters["ShardIteratorType"], shard.starting
        if kind in ("AT_SEQUENCE_NUMBER", "AFTER_SEQUENCE_NUMBER"):
            start = int(parameters["StartingSequenceNumber"])
            if start < shard.starting or (shard.ending is not None and start > shard.ending):
                raise wrong("StartingSequenceNumber is invalid for this shard.")
            start += kind == "AFTER_SEQUENCE_NUMBER"
        elif kind == "AT_TIMESTAMP":
            if parameters["Timestamp"] > self.clock.now():
                raise wrong("The timestamp is in future.")
            first = bisect_left(shard.records, parameters["Timestamp"], key=lambda r: r.at)
            start = shard.records[first].number if first < len(shard.records) else self._end(shard)
        elif kind == "LATEST":
            start = self._end(shard)
        elif kind != "TRIM_HORIZON":
            raise wrong(f"There is no type {kind}.")
        issued = Iterator(self.arn, shard.id, start, self.clock.now())
        return {"ShardIterator": issued.token()}

    def _end(self, shard: KinesisShard) -> int:
        return shard.records[-1].number + 1 if shard.records else shard.starting

    def _shard(self, name: str) -> KinesisShard:
        shard = self.shards.get(name)
        if shard is None or not shard.resolves or shard not in self.listed():
            raise ServiceError("ResourceNotFoundException", f"Shard {name} under stream not found")
        horizon = self._horizon()
        while shard.records and shard.records[0].at <= horizon:
            del shard.records[0]
        return shard

    def trim(self) -> None:
        """Drops every record before its time; nobody is told."""
        for shard in self.shards.values():
            shard.records.clear()

    def records(self, iterator: Iterator, parameters: Mapping[str, Any]) -> bytes:
        """The body of one answer to GetRecords."""
        now = self.clock.now()
        if now - iterator.issued_at > ITERATOR_SECONDS:
            raise expired_iterator()
        limit = parameters.get("Limit", MAX_RECORDS)
        if not 1 <= limit <= MAX_RECORDS:
            raise wrong("Limit must be from 1 to 10,000.")
        shard = self._shard(iterator.shard)
        self._spend(shard, 0)
        page, size = self._page(shard, iterator.start, limit)
        self._spend(shard, size)
        reached = page[-1].number if page else iterator.start - 1
        rest = bisect_left(shard.records, reached + 1, key=lambda record: record.number)
        left = shard.records[rest:]
        answer: dict[str, Any] = {
            "MillisBehindLatest": max(1, round((now - left[0].at) * 1000)) if left else 0
        }
        if shard.is_open or left:
            following = Iterator(self.arn, shard.id, reached + 1, now)
            answer["NextShardIterator"] = following.token()
        else:
            answer["ChildShards"] = [
                {
                    "ShardId": child.id,
                    "ParentShards": list(child.parents),
                    "HashKeyRange": child.describe()["HashKeyRange"],
                }
                for child in self.shards.values()
                if shard.id in child.parents
            ]
        bodies = b",".join(record.body for record in page)
        return b'{"Records":[' + bodies + b"]," + rendered(answer)[1:]

    def _page(self, shard: KinesisShard, start: int, limit: int) -> tuple[list[Arrived], int]:
        first = bisect_left(shard.records, start, key=lambda record: record.number)
        page: list[Arrived] = []
        size = 0
        for record in shard.records[first : first + limit]:
            size += len(record.data)
            if size > MAX_BYTES and page:
                break
            page.append(record)
        return page, size

    def _spend(self, shard: KinesisShard, size: int) -> None:
        """Refuses a sixth read within a second, and a read before two megabytes a second allow."""
        now = self.clock.now()
        if not self.limited:
            return
        if size:
            shard.free_at = max(shard.free_at, now) + size / BYTES_PER_SECOND
            return
        while shard.reads and shard.reads[0] <= now - 1:
            shard.reads.popleft()
        # One answer may have ten megabytes; the next ones wait until that is paid for.
        if len(shard.reads) >= READS_PER_SECOND or shard.free_at > now + 1:
            raise ServiceError(
                "ProvisionedThroughputExceededException",
                f"Rate exceeded for shard {shard.id} in stream {self.arn}",
            )
        shard.reads.append(now)


def wrong(message: str) -> ServiceError:
    """A request that Kinesis refuses."""
    return ServiceError("InvalidArgumentException", message)
