"""A stream: a tree of shards that grows, closes and is trimmed."""

import hashlib
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from .clock import VirtualClock
from .errors import missing_shard
from .items import Item, KeySchema, measured
from .shards import HashRange, Record, SequenceNumbers, Shard

RETENTION = 24 * 3600.0
LISTING_PAGE = 100

Listing = Callable[[list[dict[str, Any]]], list[dict[str, Any]]]


@dataclass(frozen=True)
class Change:
    """What one write did to one item."""

    key: Item
    hashed: int
    old: Item | None
    new: Item | None
    user_identity: Mapping[str, str] | None = None

    @property
    def name(self) -> str:
        """The event's name."""
        if self.old is None:
            return "INSERT"
        return "MODIFY" if self.new is not None else "REMOVE"


@dataclass
class Stream:
    """The stream of one table, from being enabled to 24 hours after being disabled."""

    arn: str
    label: str
    table: str
    schema: KeySchema
    view: str
    region: str
    clock: VirtualClock
    numbers: SequenceNumbers
    lock: threading.RLock
    status: str = "ENABLED"
    created_at: float = 0.0
    disabled_at: float | None = None
    retention: float = RETENTION
    listing_page: int = LISTING_PAGE
    listing: Listing | None = None
    shards: dict[str, Shard] = field(default_factory=dict)
    leaves: list[Shard] = field(default_factory=list)
    written: list[tuple[str, Record]] = field(default_factory=list, repr=False)
    """Every record there ever was, and its shard: what was trimmed is still here."""
    items_after: dict[int, Item | None] = field(default_factory=dict, repr=False)
    """The item after each change, by the number of its record: what its view type does not say."""
    _leaf_of: dict[int, Shard] = field(default_factory=dict, repr=False)

    def open_first(self, count: int) -> None:
        """Opens the shards a new stream begins with."""
        for hashes in HashRange().parts(count):
            self._open(hashes, None)

    def open_shards(self) -> list[Shard]:
        """The shards that take new records, in the order of their hash ranges."""
        leaves = [shard for shard in self.leaves if shard.is_open]
        return sorted(leaves, key=lambda shard: shard.hashes.low)

    def split(
        self,
        shard: Shard | None = None,
        into: int = 2,
        *,
        listed_after: float = 0.0,
        unlisted_listings: int = 0,
    ) -> list[Shard]:
        """Closes an open shard and opens its children, which a listing may show only later."""
        with self.lock:
            parent = shard or self.open_shards()[0]
            self.close(parent)
            children = self.open_children(parent, into)
            for child in children:
                child.listed_at = self.clock.now() + listed_after
                child.unlisted_listings = unlisted_listings
            return children

    def open_children(self, parent: Shard, count: int = 1) -> list[Shard]:
        """Opens the children of a closed shard that has none yet."""
        with self.lock:
            if parent.is_open or parent not in self.leaves:
                raise ValueError(f"{parent.id} is open, or has children already")
            self.leaves.remove(parent)
            self._leaf_of.clear()
            return [self._open(part, parent) for part in parent.hashes.parts(count)]

    def roll(
        self, shard: Shard | None = None, *, listed_after: float = 0.0, unlisted_listings: int = 0
    ) -> Shard:
        """Closes an open shard and opens its only child."""
        (child,) = self.split(
            shard, 1, listed_after=listed_after, unlisted_listings=unlisted_listings
        )
        return child

    def roll_all(self) -> list[Shard]:
        """Rolls every open shard over, as DynamoDB does about every four hours."""
        return [self.roll(shard) for shard in self.open_shards()]

    def close(self, shard: Shard) -> None:
        """Closes a shard; its child opens with the next write, unless one is opened before."""
        with self.lock:
            if not shard.is_open:
                raise ValueError(f"{shard.id} is closed already")
            shard.ending = self.numbers.take()
            shard.closed_at = self.clock.now()

    def disable(self) -> None:
        """Closes every shard; what was written stays readable for 24 hours."""
        with self.lock:
            for shard in self.open_shards():
                self.close(shard)
            self.status = "DISABLED"
            self.disabled_at = self.clock.now()

    def write(self, change: Change) -> Record:
        """Appends the record of one change to the shard its key belongs to."""
        with self.lock:
            at = self.clock.now()
            shard = self._leaf(change.hashed)
            number = self.numbers.take()
            record = Record.of(number, at, self._content(change, number, int(at)))
            shard.records.append(record)
            self.written.append((shard.id, record))
            self.items_after[number] = change.new
            return record

    def append(self, content: Mapping[str, Any], shard: Shard | None = None) -> Record:
        """Appends a record as it stands, however malformed, with the next number as its place."""
        with self.lock:
            target = shard or self.open_shards()[0]
            record = Record.of(self.numbers.take(), self.clock.now(), content)
            target.records.append(record)
            self.written.append((target.id, record))
            return record

    def trim(self, shard: Shard | None = None, through: int | None = None) -> None:
        """Drops records before their time: of one shard or of all, up to a number or all."""
        with self.lock:
            for each in [shard] if shard else list(self.shards.values()):
                each.trim(through=self.numbers.last() if through is None else through)

    def shard(self, shard_id: str) -> Shard:
        """The shard with this id, trimmed to the present."""
        with self.lock:
            shard = self.shards.get(shard_id)
            if shard is None or not shard.resolves or self._gone(shard):
                raise missing_shard(shard_id)
            shard.trim(horizon=self.clock.now() - self.retention)
            return shard

    def gone(self) -> bool:
        """Whether the stream was disabled so long ago that nothing is left of it."""
        return (
            self.disabled_at is not None and self.disabled_at + self.retention <= self.clock.now()
        )

    def listed(self) -> list[Shard]:
        """The shards a listing shows now, in the order they were made; none while ENABLING."""
        if self.status == "ENABLING":
            return []
        return [shard for shard in self.shards.values() if self._is_listed(shard)]

    def _is_listed(self, shard: Shard) -> bool:
        if not shard.listed or shard.listed_at > self.clock.now() or self._gone(shard):
            return False
        if shard.unlisted_listings:
            shard.unlisted_listings -= 1
            return False
        return True

    def _gone(self, shard: Shard) -> bool:
        horizon = self.clock.now() - self.retention
        return shard.closed_at is not None and shard.closed_at <= horizon

    def _leaf(self, hashed: int) -> Shard:
        leaf = self._leaf_of.get(hashed)
        if leaf is None:
            leaf = next(shard for shard in self.leaves if hashed in shard.hashes)
            self._leaf_of[hashed] = leaf
        return leaf if leaf.is_open else self.open_children(leaf)[0]

    def _open(self, hashes: HashRange, parent: Shard | None) -> Shard:
        now = self.clock.now()
        seed = f"{self.arn} {len(self.shards)}".encode()
        tail = hashlib.blake2b(seed, digest_size=4).hexdigest()
        shard = Shard(
            id=f"shardId-{int(now * 1000):020d}-{tail}",
            hashes=hashes,
            starting=self.numbers.take(),
            created_at=now,
            parent=parent.id if parent else None,
        )
        self.shards[shard.id] = shard
        self.leaves.append(shard)
        return shard

    def _content(self, change: Change, number: int, second: int) -> dict[str, Any]:
        images: dict[str, Item] = {}
        if change.new is not None and self.view in ("NEW_IMAGE", "NEW_AND_OLD_IMAGES"):
            images["NewImage"] = change.new
        if change.old is not None and self.view in ("OLD_IMAGE", "NEW_AND_OLD_IMAGES"):
            images["OldImage"] = change.old
        content: dict[str, Any] = {
            "eventID": hashlib.md5(f"{self.arn} {number}".encode()).hexdigest(),
            "eventName": change.name,
            "eventVersion": "1.1",
            "eventSource": "aws:dynamodb",
            "awsRegion": self.region,
            "dynamodb": {
                # The service keeps no fraction of a second here, so neither does the rig.
                "ApproximateCreationDateTime": second,
                "Keys": change.key,
                **images,
                "SequenceNumber": str(number),
                "SizeBytes": measured(change.key, *images.values()),
                "StreamViewType": self.view,
            },
        }
        if change.user_identity:
            content["userIdentity"] = dict(change.user_identity)
        return content
