"""A destination in plain dictionaries: the contract in as few words as possible."""

import base64
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import astuple, dataclass, field, replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa

from connector.core.cursors import Batch, Cursor, Quarantined
from connector.core.needs import Need, Wanted
from connector.core.rows import (
    CHANGED_AT,
    DELETED,
    ITEM,
    KEPT,
    REST,
    field_of,
    rest_field,
    schema_of,
)
from connector.core.schema import BINARY, INTEGER, STRING, Kind, join
from connector.core.spec import TableSpec
from connector.core.state import Column, Committed, Drift, Load, Phase, Plan, Ran, TableState
from connector.destinations.table.drift import Watch
from connector.errors import CursorMoved, DestinationRefused, TooManyDeletes

_KEY_TYPES = {"S": STRING, "N": INTEGER, "B": BINARY}


@dataclass(frozen=True)
class Row:
    """One item: JSON text by attribute."""

    item: dict[str, str]
    commit: int
    changed_at: datetime
    marked: bool = False


@dataclass
class Table:
    """One table and its state."""

    state: TableState
    rows: dict[str, Row] = field(default_factory=dict)
    tombstones: set[str] = field(default_factory=set)
    quarantined: list[tuple[int, Quarantined]] = field(default_factory=list)

    def copied(self) -> "Table":
        """The same, to be changed: rows and states are replaced, and never changed themselves."""
        return Table(self.state, dict(self.rows), set(self.tombstones), list(self.quarantined))


class FakeDestination:
    """Keeps everything in memory. A step that raises leaves nothing behind."""

    def __init__(self) -> None:
        self.by_name: dict[str, Table] = {}
        self.left_behind: dict[str, Table] = {}
        self.done: dict[str, Ran] = {}

    def read(self, table: str) -> TableState | None:
        """The state of a table."""
        if table not in self.by_name:
            return None
        found = self.by_name[table]
        bad = [each for generation, each in found.quarantined]
        count = sum(generation == found.state.generation for generation, _ in found.quarantined)
        assert len(bad) >= count
        return replace(found.state, quarantined=count)

    def reading(self) -> AbstractContextManager[None]:
        """There is nothing to open."""
        return nullcontext()

    def tables(self) -> list[str]:
        """Tables with a state."""
        return sorted(self.by_name)

    def ran(self, table: str) -> Ran:
        """Everything that was done to a table."""
        return self.done.get(table, Ran())

    def check(self, tables: Sequence[Wanted] = ()) -> Iterator[Need]:
        """Always fine."""
        yield Need("destination", "memory")
        yield from (Need("destination table", each.target, each.table) for each in tables)

    def query(self, sql: str) -> pa.Table:
        """There is no SQL here."""
        raise DestinationRefused("Memory has no SQL.")

    def plan(self, plan: Plan) -> TableState:
        """Starts a generation."""
        before = self.by_name.get(plan.table)
        if (before.state.plan_id if before else None) != plan.replaces:
            raise CursorMoved("planned by another run")
        for name, other in self.by_name.items():
            if name != plan.table and other.state.target.lower() == plan.target.lower():
                raise DestinationRefused("two tables with one target")
        old = before or self.left_behind.get(plan.target)
        newest = [row.commit for row in old.rows.values()] if old else []
        commit = max([old.state.commit if old else 0, *newest]) + 1
        columns = old.state.columns if old else {}
        if not columns:
            columns = {k.name: Column(k.name, _KEY_TYPES[k.tag]) for k in plan.identity.keys}
        state = TableState(
            table=plan.table,
            target=plan.target,
            identity=plan.identity,
            generation=(before.state.generation if before else 0) + 1,
            plan_id=plan.plan_id,
            phase=Phase.LOADING,
            segments=plan.segments,
            start_commit=commit,
            commit=commit,
            cursors=dict(plan.cursors),
            columns=columns,
            drift=before.state.drift if before else 0,
            planned_at=plan.planned_at,
            spec=plan.spec,
            target_schema="main",
        )
        self._count(plan.table, Ran(1))
        self.by_name[plan.table] = Table(
            state, old.rows if old else {}, set(), before.quarantined if before else []
        )
        return state

    def reconfigure(self, table: str, target: str, spec: TableSpec) -> TableState:
        """Here every item is whole, whatever it is made with."""
        found = self.by_name[table]
        found.state = replace(found.state, target=target, spec=spec)
        changed = self.read(table)
        assert changed is not None
        return changed

    def commit(self, batch: Batch) -> Committed:
        """Merges rows and moves cursors."""
        table = self._current(batch)
        cursors = dict(table.state.cursors)
        for span in batch.spans:
            before = cursors.get(span.partition)
            if before != span.since:
                raise CursorMoved("a cursor has moved")
            cursors[span.partition] = replace(
                span.until,
                seen_at=span.until.seen_at or (before.seen_at if before else None),
                parent=span.until.parent or (before.parent if before else None),
            )
        table = table.copied()
        number = table.state.commit + 1
        written = deleted = 0
        columns = self._columns(table, batch.rows)
        for name in batch.forgotten:
            del cursors[name]
        for key, item, changed_at, gone, kept in _items(table, batch.rows):
            if kept:
                deleted += 1
                values = table.rows[key].item if key in table.rows else item
                table.rows[key] = Row(values, number, changed_at, True)
            elif gone:
                deleted += table.rows.pop(key, None) is not None
                if table.state.phase is Phase.LOADING:
                    table.tombstones.add(key)
            else:
                written += 1
                table.rows[key] = Row(item, number, changed_at)
        table.state = replace(
            table.state,
            commit=number,
            cursors=cursors,
            columns=columns,
            consistent_since=table.state.consistent_since or batch.consistent_since,
            committed_at=datetime.now(UTC),
        )
        return self._end(table, number, written, deleted, batch.quarantined, [batch.rows])

    def release(self) -> None:
        """Nothing is open."""

    def load(
        self, load: Load, rows: Iterable[pa.Table], quarantined: Sequence[Quarantined]
    ) -> Committed:
        """Adds scanned rows that the stream has not overtaken; older generations go."""
        table = self._current(load)
        if table.state.phase is not Phase.LOADING:
            raise CursorMoved("loaded by another run")
        table = table.copied()
        start, number = table.state.start_commit, table.state.commit + 1
        kept = {key: row for key, row in table.rows.items() if row.commit > start}
        loaded: dict[str, Row] = {}
        columns = table.state.columns
        pages = list(rows)
        for page in pages:
            columns = self._columns(table, page)
            table.state = replace(table.state, columns=columns)
            for key, item, changed_at, *_ in _items(table, page):
                twice = loaded.get(key)
                newer = twice is None or changed_at >= twice.changed_at
                if key not in kept and key not in table.tombstones and newer:
                    loaded[key] = Row(item, number, changed_at)
        earlier = {key: row for key, row in table.rows.items() if row.commit <= start}
        unmarked = {key for key, row in earlier.items() if not row.marked}
        vanished = unmarked - loaded.keys()
        if load.max_deleted is not None and len(vanished) > len(unmarked) * load.max_deleted:
            raise TooManyDeletes("too many")
        marked = {key: row for key, row in earlier.items() if row.marked}
        table.rows = marked | kept | loaded
        table.tombstones = set()
        done = {name: Cursor(table.state.cursors[name].token, True) for name in load.partitions}
        table.state = replace(
            table.state,
            commit=number,
            columns=columns,
            cursors={**table.state.cursors, **done},
            phase=Phase.TAILING,
            scanned_until=load.scanned_until,
            loaded_at=datetime.now(UTC),
        )
        streamed = sum(not row.marked for row in kept.values())
        counts = len(loaded), len(vanished)
        return self._end(table, number, *counts, quarantined, pages, streamed)

    def _current(self, of: Batch | Load) -> Table:
        table = self.by_name.get(of.table)
        known = table and (table.state.generation, table.state.plan_id)
        if table is None or known != (of.generation, of.plan_id):
            raise CursorMoved("another generation")
        return table

    def _columns(self, table: Table, rows: pa.Table) -> dict[str, Column]:
        columns = dict(table.state.columns)
        limit = (table.state.spec or TableSpec()).max_columns
        for name, type_ in schema_of(rows.schema).items():
            if name in columns:
                columns[name] = Column(name, join(columns[name].type, type_))
            elif type_.kind is not Kind.NULL and len(columns) < limit:
                columns[name] = Column(name, type_)
        return columns

    def _end(
        self,
        table: Table,
        number: int,
        written: int,
        deleted: int,
        bad: Sequence[Quarantined],
        pages: Sequence[pa.Table],
        streamed: int = 0,
    ) -> Committed:
        name = table.state.table
        drift = _drift(self.by_name[name].state, table.state, pages)
        new = len(table.state.columns) - len(self.by_name[name].state.columns)
        generation, before = table.state.generation, len(table.quarantined)
        there = {(g, b.partition, b.raw) for g, b in table.quarantined if b.sequence is None}
        for each in bad:
            place = generation, each.partition, each.raw
            if each.sequence is not None or place not in there:
                table.quarantined.append((generation, each))
                there.add(place)
        self.by_name[name] = table
        kept = len(table.quarantined) - before
        committed = Committed(number, written, deleted, kept, new, streamed, drift=drift)
        self._count(name, Ran(1, written, deleted, kept, new, committed.widened_columns))
        table.state = replace(table.state, drift=table.state.drift + len(drift))
        return committed

    def _count(self, name: str, more: Ran) -> None:
        so_far = self.ran(name)
        self.done[name] = Ran(*(a + b for a, b in zip(astuple(so_far), astuple(more), strict=True)))

    def rows(self, table: str) -> Iterator[pa.RecordBatch]:
        """The rows, all in one batch."""
        if table not in self.by_name:
            raise DestinationRefused("no such table")
        found = self.by_name[table]
        items = [row.item for row in found.rows.values() if not row.marked]
        columns = found.state.columns
        fields = [field_of(name, column.type) for name, column in columns.items()]
        arrays = [
            _array([item.get(name) for item in items], column.type.arrow, column.type.kind)
            for name, column in columns.items()
        ]
        rest = [{n: json.loads(t) for n, t in i.items() if n not in columns} for i in items]
        if any(rest):
            texts = [_members(item, columns) for item in items]
            fields.append(rest_field())
            arrays.append(pa.array(texts, pa.string()).cast(pa.json_()))
        yield pa.RecordBatch.from_arrays(arrays, schema=pa.schema(fields))

    def count(self, table: str) -> int:
        """How many items there are."""
        return sum(batch.num_rows for batch in self.rows(table))

    def note(self, table: str, problem: str | None) -> None:
        """Remembers a problem."""
        if table in self.by_name:
            state = self.by_name[table].state
            self.by_name[table].state = replace(state, problem=problem)

    def reset(self, table: str, drop: bool) -> None:
        """Forgets a table."""
        found = self.by_name.pop(table, None)
        if found and not drop:
            self.left_behind[found.state.target] = found


def _drift(before: TableState, after: TableState, pages: Sequence[pa.Table]) -> list[Drift]:
    """What became of columns; types have the names of their kinds here."""
    watch = Watch.of(
        before.identity.keys,
        before.columns,
        after.columns,
        lambda type_: type_.kind.value,
        loaded=before.generation > 1 or before.phase is not Phase.LOADING,
        loading=before.phase is not after.phase,
    )
    for page in pages:
        watch.see(page)
    return watch.found()


def _members(item: dict[str, str], columns: Any) -> str | None:
    members = [f"{json.dumps(n)}:{text}" for n, text in item.items() if n not in columns]
    return "{" + ",".join(members) + "}" if members else None


def _items(
    table: Table, rows: pa.Table
) -> Iterator[tuple[str, dict[str, str], datetime, bool, bool]]:
    """Key, item, time, whether it is deleted and whether it is only marked so, row by row."""
    types = schema_of(rows.schema)
    keys = [key.name for key in table.state.identity.keys]
    for row in rows.to_pylist():
        item = {
            name: _TEXT[type_.kind](row[ITEM + name])
            for name, type_ in types.items()
            if row[ITEM + name] is not None
        }
        rest = (
            json.loads(row[REST], parse_float=_Digits, parse_int=_Digits) if row.get(REST) else {}
        )
        item |= {name: _dump(value) for name, value in rest.items()}
        key = json.dumps([item[name] for name in keys])
        flags = bool(row.get(DELETED.name)), bool(row.get(KEPT.name))
        yield key, item, row[CHANGED_AT.name], *flags


class _Digits(float):
    """A number that remembers how it was written."""

    def __new__(cls, text: str) -> "_Digits":
        made = super().__new__(cls, 0)
        made.text = text
        return made

    text: str


def _dump(value: Any) -> str:
    if isinstance(value, _Digits):
        return value.text
    if isinstance(value, dict):
        return "{" + ",".join(f"{json.dumps(k)}:{_dump(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(_dump, value)) + "]"
    return json.dumps(value)


def _plain_decimal(value: Decimal) -> str:
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


_TEXT: dict[Kind, Callable[[Any], str]] = {
    Kind.STRING: json.dumps,
    Kind.BOOLEAN: json.dumps,
    Kind.INTEGER: str,
    Kind.DECIMAL: _plain_decimal,
    Kind.NUMBER: str,
    Kind.JSON: str,
    Kind.BINARY: lambda value: json.dumps(base64.b64encode(value).decode()),
}

_VALUE: dict[Kind, Callable[[str], Any]] = {
    Kind.STRING: json.loads,
    Kind.BOOLEAN: json.loads,
    Kind.INTEGER: int,
    Kind.DECIMAL: Decimal,
    Kind.BINARY: lambda text: base64.b64decode(json.loads(text)),
}


def _array(texts: Sequence[str | None], type_: pa.DataType, kind: Kind) -> pa.Array:
    if kind in (Kind.NUMBER, Kind.JSON):
        return pa.array(texts, pa.string()).cast(type_)
    value = _VALUE[kind]
    return pa.array([None if text is None else value(text) for text in texts], type_)
