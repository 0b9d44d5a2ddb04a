"""A table that is followed by a Kinesis stream, in virtual time, and what its replica holds."""

from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from connector.core.state import TableState
from connector.destinations.postgres.server import PostgresDestination
from connector.events import quiet
from connector.pipeline.sync import Run
from connector.sources.dynamodb.calls import ReadUnitLimiter
from connector.sources.dynamodb.source import DynamoDBSource
from connector.sources.kinesis.source import KinesisSource
from tests.rigs.postgres import Database
from tests.rigs.scripted.kinesis import KinesisStream
from tests.rigs.scripted.scenario import SCHEMA
from tests.stream.replica import Crash, Replica
from tests.stream.truth import Item, Key, of_json, plain_item


@dataclass
class Followed(Replica):
    """The scripted table, its Kinesis stream, and a destination that nothing stands before."""

    shards: int = 1
    postgres: Database | None = None
    kinesis: KinesisStream = field(init=False)

    def __post_init__(self) -> None:
        if self.table not in self.rig.tables:
            self.rig.create_table(self.table, SCHEMA, view=None)
        self.kinesis = self.rig.add_kinesis(self.table, shards=self.shards)
        self.keep()
        super().__post_init__()
        if self.postgres is not None:
            self.destination = PostgresDestination(self.postgres.parsed, lock_timeout=5)

    def keep(self, **settings: object) -> None:
        """Says how the table is kept."""
        kept = {"follow": "kinesis", "kinesis": self.kinesis.arn, **settings}
        self.settings["tables"] = {self.table: kept}

    def run(self) -> Run:
        """A new run, with a new source, that knows only what the destination remembers."""
        run = super().run()
        assert isinstance(run.lookup, DynamoDBSource)
        source = KinesisSource(run.lookup, self.kinesis.arn)
        return replace(
            run, lookup=source, changes=source, destination=self.destination, listener=quiet
        )

    def _source(self, config: Any) -> DynamoDBSource:
        def sleep(seconds: float) -> None:
            self.pause(seconds)

        source = DynamoDBSource(config.source, self.table, sleep=sleep, streamed=False)
        source._call.monotonic = self.rig.clock.now
        limiter = ReadUnitLimiter(config.source.max_read_units, sleep, self.rig.clock.now)
        source._scanner._limiter = source._lookups.limiter = limiter
        return source

    def _checked(self, run: Callable[[], TableState], caught_up: bool) -> TableState:
        return run()

    def contents(self) -> dict[Key, Item]:
        """The live rows, read by the test itself."""
        if self.postgres is None:
            return {
                key: {name: binary(value) for name, value in item.items()}
                for key, item in super().contents().items()
            }
        (found,) = self.postgres.by_hand(
            f"SELECT coalesce(jsonb_agg(to_jsonb(t)), '[]')::text FROM \"{self.table}\" t"
        )
        rows = of_json(found[0])
        return {
            row["id"]: {
                n: binary(v) for n, v in row.items() if v is not None and not n.startswith("_")
            }
            for row in rows
            if not row.get("_deleted")
        }

    def truth(self) -> dict[Key, Item]:
        """What the source holds now."""
        return {item["id"]["S"]: plain_item(item) for item in self.model.items()}

    def assert_equal(self) -> None:
        """The replica has exactly the source's items."""
        assert self.contents() == self.truth()

    def looked_up(self) -> int:
        """How many keys were read by key so far."""
        calls = self.rig.calls.of("BatchGetItem")
        return sum(len(c.parameters["RequestItems"][self.table]["Keys"]) for c in calls)


def binary(value: Any) -> Any:
    """A value as `plain_item` has it: binary as base64, whatever each database says of it."""
    if isinstance(value, str) and value.startswith("\\x"):
        value = bytes.fromhex(value[2:])
    return b64encode(value).decode() if isinstance(value, bytes) else value


__all__ = ["Crash", "Followed"]
