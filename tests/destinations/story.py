"""A table's story, told to a destination in wire form: real pages, real records."""

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pyarrow as pa

from connector.core.cursors import (
    START,
    Batch,
    Cursor,
    Quarantined,
    Span,
    segment_partition,
    shard_partition,
)
from connector.core.keys import KeyAttribute, KeySchema, key_text
from connector.core.rows import CHANGED_AT, ITEM, REST, convert, packed_in, schema_of, with_service
from connector.core.schema import JSON, STRING, Type, join_all
from connector.core.spec import Deletes, TableSpec
from connector.core.state import Committed, Identity, Load, Plan, TableState
from connector.core.texts import json_text
from connector.destinations.destination import DatabaseDestination
from connector.destinations.postgres.server import PostgresDestination
from connector.destinations.sql import quoted
from connector.items import values
from connector.items.encoder import Encoder
from connector.items.fold import Fold
from connector.items.keys import key_of
from connector.items.wire import records_page
from connector.ports import Destination
from connector.sources.dynamodb.streams import change_page

Item = Mapping[str, Any]
"""An item in wire form."""

KEYS = (KeyAttribute("id", "S"),)
SHARD = shard_partition("a")
SEGMENT = segment_partition(0, 1)
EPOCH = datetime(2030, 1, 1, tzinfo=UTC)


def put(item: Item) -> tuple[str, Item]:
    """A change that writes an item."""
    return "MODIFY", item


def delete(key: Item) -> tuple[str, Item]:
    """A change that deletes an item, given any item of its key."""
    return "REMOVE", key


def identity(keys: KeySchema = KEYS) -> Identity:
    """What the source says it is."""
    return Identity("arn:table", "table-id", "arn:stream", "NEW_IMAGE", keys)


@dataclass
class Story:
    """One table's plan, tail and load, step by step."""

    destination: Destination
    keys: KeySchema = KEYS
    table: str = "orders"
    target: str = "orders"
    plan_id: str = ""
    generation: int = 0
    sequence: int = 0
    cursor: Cursor = START
    deletes: Deletes = Deletes.APPLY
    spec: TableSpec = field(default_factory=TableSpec)
    """What the next generation is planned with, but for `deletes`."""
    text: Callable[[str], str] | None = None
    """What stands for a text of the story in this destination."""
    encoder: Encoder = field(init=False)

    def __post_init__(self) -> None:
        self.encoder = Encoder(self.keys)
        self.text = self.text or text_of(self.destination)

    def told(self, item: Item) -> Item:
        """The item with texts that this destination can hold."""
        assert self.text
        return {name: _with_text(self.text, value) for name, value in item.items()}

    def plan(self, plan_id: str = "plan-1", replaces: str | None = None) -> TableState:
        """Starts a generation with one segment and one shard."""
        state = self.destination.plan(
            Plan(
                table=self.table,
                target=self.target,
                identity=identity(self.keys),
                plan_id=plan_id,
                segments=1,
                planned_at=EPOCH,
                cursors={SEGMENT: START, SHARD: START},
                replaces=replaces,
                spec=replace(self.spec, deletes=self.deletes),
            )
        )
        self.plan_id, self.generation, self.cursor = plan_id, state.generation, START
        return state

    def refresh(self) -> TableState:
        """Starts the next generation."""
        return self.plan(f"plan-{self.generation + 1}", self.plan_id)

    def records(self, *changes: tuple[str, Item]) -> pa.Table:
        """The newest row of each key of some stream records."""
        fold = self.fold(*changes)
        rows = fold.rows()
        assert not fold.quarantined
        return rows

    def fold(self, *changes: tuple[str, Item]) -> Fold:
        """Some stream records, folded."""
        fold = Fold(self.keys, self.encoder, self.deletes)
        page = {"Records": [self._record(event, item) for event, item in changes]}
        fold.add(SHARD, change_page(records_page(msgspec.json.encode(page)), None, EPOCH))
        return fold

    def _record(self, event: str, item: Item) -> dict[str, Any]:
        self.sequence += 1
        item = self.told(item)
        change = {
            "Keys": {key.name: item[key.name] for key in self.keys},
            "SequenceNumber": str(self.sequence),
            "ApproximateCreationDateTime": (EPOCH + timedelta(seconds=self.sequence)).timestamp(),
        }
        if event != "REMOVE":
            change["NewImage"] = item
        return {"eventName": event, "dynamodb": change}

    def batch(self, *changes: tuple[str, Item], **more: Any) -> Batch:
        """Some stream records as the next batch."""
        rows = self.records(*changes) if changes else pa.table({})
        spans = [Span(SHARD, self.cursor, Cursor(str(self.sequence)))]
        return Batch(
            **{
                "table": self.table,
                "generation": self.generation,
                "plan_id": self.plan_id,
                "spans": spans,
                "rows": rows,
                **more,
            }
        )

    def tail(self, *changes: tuple[str, Item], **more: Any) -> Committed:
        """Commits some stream records."""
        batch = self.batch(*changes, **more)
        committed = self.destination.commit(batch)
        self.cursor = batch.spans[0].until if batch.spans else self.cursor
        return committed

    def page(self, *items: Item, at: datetime = EPOCH) -> pa.Table:
        """Scanned items as a table of rows."""
        encoded = self.encoder.encode([msgspec.json.encode(self.told(item)) for item in items])
        assert not encoded.bad
        times = pa.array([at] * len(items), CHANGED_AT.type)
        return with_service(encoded.rows, times)

    def load(
        self, *pages: pa.Table, quarantined: Sequence[Quarantined] = (), **more: Any
    ) -> Committed:
        """Loads scanned pages and ends the scan."""
        wanted: dict[str, Any] = {
            "table": self.table,
            "generation": self.generation,
            "plan_id": self.plan_id,
            "schema": join_all(schema_of(page.schema) for page in pages),
            "partitions": [SEGMENT],
            "scanned_until": EPOCH,
            "packed": lambda known, room: packed_types(pages, known),
        }
        return self.destination.load(Load(**(wanted | more)), iter(pages), quarantined)

    def state(self) -> TableState:
        """The table's state, which must exist."""
        state = self.destination.read(self.table)
        assert state is not None
        return state

    def items(self) -> dict[str, dict[str, Any]]:
        """What the destination has, by key: plain values whose numbers are their exact digits."""
        found: dict[str, dict[str, Any]] = {}
        for batch in self.destination.rows(self.table):
            rows = pa.Table.from_batches([batch])
            types = schema_of(rows.schema)
            texts = {
                name: convert(rows.column(ITEM + name), type_, JSON).cast(pa.string()).to_pylist()
                for name, type_ in types.items()
            }
            if REST in rows.column_names:
                texts[""] = rows.column(REST).cast(pa.string()).to_pylist()
            for index in range(len(rows)):
                row = {name: column[index] for name, column in texts.items() if column[index]}
                item = {name: exact(text) for name, text in row.items()}
                item |= item.pop("", {})
                key = json.dumps([item[key.name] for key in self.keys])
                assert key not in found
                found[key] = item
        return found

    def expected(self, *items: Item) -> dict[str, dict[str, Any]]:
        """What the destination should have."""
        plain = [
            {n: exact(json_text(values.plain(v))) for n, v in i.items() if "NULL" not in v}
            for i in map(self.told, items)
        ]
        return {json.dumps([item[key.name] for key in self.keys]): item for item in plain}

    def shows(self, *items: Item) -> None:
        """Asserts that the destination has exactly these items."""
        assert self.items() == self.expected(*items)

    def key(self, item: Item) -> str:
        """The canonical key of an item."""
        return key_text(key_of(self.keys, self.told(item)))


def packed_types(pages: Sequence[pa.Table], known: Collection[str]) -> dict[str, Type]:
    """The types of what pages keep in `rest`, of the known attributes."""
    types = join_all(packed_in(page.schema) or {} for page in pages)
    return {name: type_ for name, type_ in types.items() if name in known}


def asked(destination: Destination, sql: str) -> list[dict[str, Any]]:
    """The answer of the database itself.

    In the statement, `{id}` is the key as it is read, and `{orders}` the table with its schema.
    """
    assert isinstance(destination, DatabaseDestination)
    state = destination.read("orders")
    orders = quoted(state.target_schema, state.target) if state else ""
    with destination.database.read_only() as transaction:
        key = transaction.dialect.sent('"id"', STRING)
        return transaction.ask(sql.format(id=key, orders=orders))


def text_of(destination: Destination) -> Callable[[str], str]:
    """A destination that cannot hold a NUL is told stories without: its own tests tell of that."""
    if isinstance(destination, PostgresDestination):
        return lambda text: text.replace("\0", "\u2400")
    return lambda text: text


def _with_text(text: Callable[[str], str], value: Any) -> Any:
    if isinstance(value, str):
        return text(value)
    if isinstance(value, Mapping):
        return {text(name): _with_text(text, inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_with_text(text, inner) for inner in value]
    return value


def exact(text: str) -> Any:
    """JSON whose numbers keep their digits."""
    return json.loads(text, parse_int=_digits, parse_float=_digits)


def _digits(text: str) -> str:
    return f"number {text}"
