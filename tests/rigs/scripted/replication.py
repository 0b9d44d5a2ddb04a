"""Global tables: replicas in several Regions, each with a table, a stream and numbers of its own.

east = rig.add_region("us-east-1")
orders = global_table("orders", SCHEMA, rig, east, delay=2.0)
orders.tables["us-west-2"].put(...)      # arrives in us-east-1 two seconds later
orders.cut("us-west-2")                  # its writes arrive nowhere, and none arrives there
orders.lose()                            # what has not arrived never will
"""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from .items import Item, KeySchema, Position
from .table import Table

if TYPE_CHECKING:
    from .service import ScriptedDynamoDB

Version = tuple[float, int]


@dataclass(frozen=True)
class Write:
    """What one Region has written to one item."""

    region: str
    position: Position
    new: Item | None
    version: Version


@dataclass
class Replication:
    """Lets every write arrive in the other Regions a while later; the last writer wins.

    Of several writes of an item that arrive together, only the last one is in a stream there.
    """

    tables: dict[str, Table]
    delay: float = 1.0
    consistency: str = "EVENTUAL"
    witnesses: tuple[str, ...] = ()
    statuses: dict[str, str] = field(default_factory=dict)
    """The status of replicas that are not ACTIVE."""
    held: bool = False
    """Whether nothing arrives anywhere for now."""
    lists_itself: bool = False
    """Whether a replica is among those that DescribeTable of itself lists."""
    _versions: dict[tuple[str, Position], Version] = field(default_factory=dict)
    _under_way: dict[tuple[str, str, Position], tuple[float, Write]] = field(default_factory=dict)
    _cut: set[str] = field(default_factory=set)
    _numbers: Any = field(default_factory=lambda: itertools.count(1))

    def wrote(self, table: Table, position: Position, new: Item | None) -> None:
        """Takes note of a local write."""
        at = table.clock.now()
        version = (at, next(self._numbers))
        self._versions[table.region, position] = version
        write = Write(table.region, position, new, version)
        for region in self.tables:
            if region != table.region:
                self._under_way[table.region, region, position] = (at + self.delay, write)

    def settle(self) -> None:
        """Lets everything arrive that is due."""
        for way, (due, write) in list(self._under_way.items()):
            origin, region, position = way
            if self.held or {origin, region} & self._cut or due > self.tables[region].clock.now():
                continue
            del self._under_way[way]
            if self._versions.get((region, position), (0.0, 0)) < write.version:
                self._versions[region, position] = write.version
                self.tables[region].replicated(position, write.new)

    def converge(self) -> None:
        """Lets everything arrive, except what is cut off."""
        before, self.delay = self.delay, 0.0
        self._under_way = {way: (0.0, write) for way, (_, write) in self._under_way.items()}
        self.settle()
        self.delay = before

    def cut(self, region: str) -> None:
        """Isolates a Region."""
        self._cut.add(region)

    def heal(self, region: str) -> None:
        """Ends the isolation of a Region: what was written there arrives now, if it was later."""
        self._cut.discard(region)

    def lose(self) -> None:
        """Forgets every write that has not arrived yet."""
        self._under_way.clear()

    def describe(self, region: str) -> Mapping[str, Any]:
        """What DescribeTable says of the group in one Region."""
        others = [each for each in self.tables if self.lists_itself or each != region]
        found: dict[str, Any] = {
            "GlobalTableVersion": "2019.11.21",
            "MultiRegionConsistency": self.consistency,
            "Replicas": [
                {"RegionName": each, "ReplicaStatus": self.statuses.get(each, "ACTIVE")}
                for each in others
            ],
        }
        if self.witnesses:
            found["GlobalTableWitnesses"] = [
                {"RegionName": each, "WitnessStatus": "ACTIVE"} for each in self.witnesses
            ]
        return found


def global_table(
    name: str,
    schema: KeySchema,
    *services: "ScriptedDynamoDB",
    delay: float = 1.0,
    consistency: str = "EVENTUAL",
    view: str | None = "NEW_AND_OLD_IMAGES",
    shards: int = 1,
    witnesses: tuple[str, ...] = (),
) -> Replication:
    """A table in each of these Regions."""
    tables = {
        each.region: each.create_table(name, schema, view=view, shards=shards) for each in services
    }
    group = Replication(tables, delay, consistency, witnesses)
    for table in tables.values():
        table.group = group
    return group
