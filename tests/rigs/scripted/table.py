"""The model table: its items, its key, and the stream its writes go to."""

import threading
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from .clock import VirtualClock
from .errors import ServiceError
from .items import Item, KeySchema, Position, Value, canonical
from .kinesis import KinesisStream
from .rows import Rows
from .shards import SequenceNumbers
from .stream import Change, Stream

if TYPE_CHECKING:
    from .replication import Replication

TTL_IDENTITY = {"Type": "Service", "PrincipalId": "dynamodb.amazonaws.com"}


@dataclass
class Table:
    """A table a test can write to directly; every write that changes something is streamed."""

    name: str
    schema: KeySchema
    region: str
    account: str
    clock: VirtualClock
    numbers: SequenceNumbers = field(repr=False)
    lock: threading.RLock = field(repr=False)
    first_shards: int = 1
    billing: str = "PAY_PER_REQUEST"
    status: str = "ACTIVE"
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    created_at: float = 0.0
    earlier: int = 0
    streams: list[Stream] = field(default_factory=list, repr=False)
    detours: dict[Position, Position | None] = field(default_factory=dict, repr=False)
    staleness: float = 0.0
    group: "Replication | None" = field(default=None, repr=False)
    """The global table that it is a replica of."""
    rows: Rows = field(default_factory=Rows, repr=False)
    kinesis: KinesisStream | None = field(default=None, repr=False)

    @property
    def arn(self) -> str:
        """The table's ARN."""
        return f"arn:aws:dynamodb:{self.region}:{self.account}:table/{self.name}"

    @property
    def stream(self) -> Stream:
        """The newest stream, enabled or not."""
        if not self.streams:
            raise LookupError(f"{self.name} has never had a stream")
        return self.streams[-1]

    def __len__(self) -> int:
        return len(self.rows)

    def items(self) -> list[Item]:
        """Every item, in the order a Scan meets them."""
        with self.lock:
            return [stored.item for stored in self.rows]

    def get(self, key: Item) -> Item | None:
        """The item with this key, if there is one."""
        stored = self.rows.get(self.schema.position(key))
        return stored.item if stored else None

    def put(self, *items: Item) -> None:
        """Writes whole items as they stand, one after the other."""
        for item in items:
            self._replace(self.schema.position(item), dict(item))

    def load(self, items: Iterable[Item]) -> None:
        """Fills the table with items that were there before any stream: no records."""
        with self.lock:
            self.rows.load((self.schema.position(item), item) for item in items)

    def update(self, key: Item, changed: Item, removed: Iterable[str] = ()) -> None:
        """Sets and removes some attributes; makes the item where there is none."""
        with self.lock:
            position = self.schema.position(key)
            before = self.rows.get(position)
            merged = {**(before.item if before else key), **changed}
            for name in removed:
                merged.pop(name, None)
            self._replace(position, merged)

    def delete(self, *keys: Item) -> None:
        """Deletes items by their keys; one that is not there makes no record."""
        for key in keys:
            self._replace(self.schema.position(key), None)

    def expire(self, *keys: Item) -> None:
        """Deletes items as time to live does: the records say it was the service."""
        for key in keys:
            self._replace(self.schema.position(key), None, TTL_IDENTITY)

    def enable_stream(self, view: str = "NEW_AND_OLD_IMAGES", shards: int | None = None) -> Stream:
        """Enables a stream, always a new one with its own ARN."""
        with self.lock:
            if self.streaming:
                raise ValueError(f"{self.name} has a stream already")
            # A label has milliseconds; two streams at one virtual instant must still differ.
            at = self.clock.now() + (self.earlier + len(self.streams)) / 1000
            label = datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")[:-6]
            arn = f"{self.arn}/stream/{label}"
            stream = Stream(
                arn=arn,
                label=label,
                table=self.name,
                schema=self.schema,
                view=view,
                region=self.region,
                clock=self.clock,
                numbers=self.numbers,
                lock=self.lock,
                created_at=self.clock.now(),
            )
            stream.open_first(shards or self.first_shards)
            self.streams.append(stream)
            return stream

    def disable_stream(self) -> None:
        """Disables the stream; later writes are in no stream."""
        self.stream.disable()

    @property
    def streaming(self) -> bool:
        """Whether writes go to a stream now."""
        return bool(self.streams) and self.stream.disabled_at is None

    def read(self, *, consistent: bool) -> Rows:
        """The rows a read sees: an eventual one may be `staleness` seconds behind."""
        if consistent or not self.staleness:
            return self.rows
        return self.rows.as_of(self.clock.now() - self.staleness)

    def describe(self) -> dict[str, Any]:
        """The Table of DescribeTable."""
        described: dict[str, Any] = {
            "TableName": self.name,
            "TableStatus": self.status,
            "TableArn": self.arn,
            "TableId": self.id,
            "CreationDateTime": self.created_at,
            "KeySchema": self.schema.describe(),
            "AttributeDefinitions": self.schema.attributes(),
            "ItemCount": len(self.rows),
            "TableSizeBytes": sum(stored.size for stored in self.rows),
            "DeletionProtectionEnabled": False,
            "ProvisionedThroughput": {
                "NumberOfDecreasesToday": 0,
                "ReadCapacityUnits": 0,
                "WriteCapacityUnits": 0,
            },
        }
        if self.billing == "PAY_PER_REQUEST":
            described["BillingModeSummary"] = {"BillingMode": self.billing}
        else:
            described["ProvisionedThroughput"].update(ReadCapacityUnits=5, WriteCapacityUnits=5)
        if self.streams:
            # Both stay after the stream was disabled; only StreamSpecification goes.
            described["LatestStreamArn"] = self.stream.arn
            described["LatestStreamLabel"] = self.stream.label
        if self.streaming:
            described["StreamSpecification"] = {
                "StreamEnabled": True,
                "StreamViewType": self.stream.view,
            }
        if self.group is not None:
            described.update(self.group.describe(self.region))
        return described

    def replicated(self, position: Position, new: Item | None) -> None:
        """Stores what another Region has written. A delete by time to live is like any other."""
        self._store(position, new)

    def _replace(
        self, position: Position, new: Item | None, identity: Mapping[str, str] | None = None
    ) -> None:
        with self.lock:
            if self.group is not None:
                self.group.settle()
            self._store(position, new, identity)
            if self.group is not None:
                self.group.wrote(self, position, new)

    def _store(
        self, position: Position, new: Item | None, identity: Mapping[str, str] | None = None
    ) -> None:
        with self.lock:
            before = self.rows.get(position)
            old = before.item if before else None
            if not differ(old, new):
                return
            self.rows.replace(position, new, self.clock.now())
            key = self.schema.key_of(new if new is not None else old or {})
            change = Change(key, position[0], old, new, identity)
            if self.streaming:
                self.stream.write(change)
            if self.kinesis is not None:
                self.kinesis.write(change)


def differ(old: Item | None, new: Item | None) -> bool:
    """Whether a write changes anything; a set in another order is the same set."""
    return folded(old) != folded(new)


def folded(item: Item | None) -> dict[str, Value] | None:
    """An item in a form that compares by content; one that is malformed compares as it is."""
    try:
        return None if item is None else {n: canonical(value) for n, value in item.items()}
    except (ServiceError, AttributeError, TypeError, ValueError):
        return dict(item or {})
