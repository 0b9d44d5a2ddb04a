"""The state of each table, and every statement that reads or changes it."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec
import sqlalchemy as sa

from connector.core.cursors import ROWS, Cursor
from connector.core.spec import TableSpec
from connector.core.state import STATE_VERSION, Column, Drift, Phase, Plan, TableState
from connector.destinations.sql import Target
from connector.destinations.state import tables as t
from connector.destinations.state.attributes import column_rows, columns_of_rows
from connector.destinations.state.header import Header, spelled, unreadable, whole_seconds
from connector.destinations.state.journal import Journal
from connector.destinations.state.migrations import begin, found_version, migrate
from connector.destinations.state.parts import Parts
from connector.destinations.state.tables import Schema, compiled, insert
from connector.destinations.state.tombstones import Tombstones
from connector.errors import StateRefused


class State:
    """The schema `_connector`, inside the transaction that `schema` runs in."""

    def __init__(self, schema: Schema) -> None:
        self._schema = schema
        self._version: int | None = None
        self._empty = False
        """Whether this transaction has made it, and no table is planned in it yet."""
        self.journal = Journal(schema.execute)
        self.tombstones = Tombstones(schema.execute)
        self.parts = Parts(schema.execute, schema.database)

    def _run(self, statement: sa.sql.expression.ClauseElement) -> list[dict[str, Any]]:
        return self._schema.execute(*compiled(statement))

    def exists(self) -> bool:
        """Whether there is a state. Raises StateRefused if this program cannot read it."""
        if self._version is not None:
            return True
        names = self._schema.listed()
        if not names:
            return False
        if t.tables.name not in names:
            raise unreadable("it has no list of tables")
        version = found_version(self._schema, names)
        if version > STATE_VERSION:
            raise StateRefused(
                f"The state here has version {version}; this program supports {STATE_VERSION}.",
                "Use the newer connector that wrote it. Nothing was changed.",
            )
        needed = t.names_of(version)
        # If another run migrated the state between the two queries, it is complete now.
        if not needed <= names and (missing := sorted(needed - self._schema.listed())):
            raise unreadable(f"it lacks {', '.join(missing)}")
        self._version = version
        return True

    @property
    def database(self) -> str:
        """What a target must be qualified with."""
        return self._schema.database

    @property
    def outdated(self) -> bool:
        """Whether an earlier version wrote it. It can be read; it is migrated before a write."""
        return self.exists() and self._version != STATE_VERSION

    def migrate(self) -> None:
        """Brings the state of an earlier version to this one. It must exist."""
        assert self.exists() and self._version is not None
        migrate(self._schema, self._version)
        self._version = STATE_VERSION

    def create(self) -> None:
        """Creates the state if there is none."""
        if self.exists():
            return
        self._schema.create()
        for table in t.all_tables():
            self._schema.create_table(table)
        begin(self._schema)
        self._version = STATE_VERSION
        self._empty = True

    def _has(self, table: sa.Table) -> bool:
        return table.name in t.names_of(self._version or STATE_VERSION)

    def _select(self, table: sa.Table) -> sa.Select[Any]:
        """Selects a table's columns in this state, which may be of an earlier version."""
        return t.selected(table, self._version or STATE_VERSION)

    def _rows(self, of: sa.Table, table: str, order: str = "") -> list[dict[str, Any]]:
        """What a table of the state has of one source table."""
        text = t.rows_of_a_table(of, self._version or STATE_VERSION)
        rows = self._schema.execute(text, [table])
        # A database takes longer to prepare to sort than it takes to find so few rows.
        return sorted(rows, key=lambda row: row[order]) if order else rows

    def tables(self) -> list[str]:
        """Source tables that have a state."""
        rows = self._run(sa.select(t.tables.c.table_name).order_by(t.tables.c.table_name))
        return [row["table_name"] for row in rows]

    def targets(self) -> dict[str, list[Target]]:
        """The targets of each source table."""
        if self._empty:
            return {}
        chosen = (t.tables.c.table_name, t.tables.c.target_schema, t.tables.c.target_name)
        rows = self._run(sa.select(*chosen))
        database = self._schema.database
        found = {
            row["table_name"]: [Target(row["target_schema"], row["target_name"], database)]
            for row in rows
        }
        if self._has(t.targets):
            for table, targets in self.parts.every().items():
                first = found.get(table, [])
                found[table] = [*(each for each in first if each not in targets), *targets]
        return found

    def header(self, table: str) -> Header | None:
        """The row of one table."""
        rows = self._rows(t.tables, table)
        if len(rows) > 1:
            raise unreadable("it has a table twice")
        if not rows:
            return None
        try:
            return msgspec.convert(rows[0] | {"database": self._schema.database}, Header)
        except msgspec.MsgspecError as error:
            raise unreadable("a table's row is damaged") from error

    def read(self, table: str) -> TableState | None:
        """The whole state of one table."""
        header = self.header(table)
        if header is None:
            return None
        quarantined, drifted = self.journal.totals(header, drift=self._has(t.drift))
        routed = bool((header.made_with() or TableSpec()).routes)
        parts = self.parts.of(table) if routed else {}
        return TableState(
            table=header.table_name,
            target=header.target_name,
            identity=header.identity,
            generation=header.generation,
            plan_id=header.plan_id,
            phase=header.phase,
            segments=header.segments,
            start_commit=header.start_commit,
            commit=header.commit,
            # How many rows there were is of no use to those who read.
            cursors={n: each for n, each in self.cursors(table).items() if not n.startswith(ROWS)},
            columns={} if routed else self.columns(table),
            planned_at=header.planned_at,
            scanned_until=header.scanned_until,
            loaded_at=header.loaded_at,
            consistent_since=header.consistent_since,
            committed_at=header.committed_at,
            quarantined=quarantined,
            drift=drifted,
            problem=header.problem,
            spec=header.made_with(),
            retention=header.lasts,
            target_schema=header.target_schema,
            parts={
                name: self.parts.columns(table, name)[0]
                for name, row in parts.items()
                if not row["retired"]
            },
        )

    def cursors(self, table: str, partitions: Sequence[str] | None = None) -> dict[str, Cursor]:
        """Cursors by partition: all of them, or those of the given partitions."""
        if partitions is None:
            rows = self._rows(t.cursors, table, "partition")
        else:
            query = self._select(t.cursors).where(t.cursors.c.table_name == table)
            rows = self._run(query.where(t.cursors.c.partition.in_(partitions)))
        try:
            found = {row.pop("partition"): msgspec.convert(row, Cursor) for row in rows}
        except msgspec.ValidationError as error:
            raise unreadable("a cursor is damaged") from error
        if len(found) != len(rows):
            raise unreadable("it has a cursor twice")
        return found

    def columns(self, table: str) -> dict[str, Column]:
        """The column of each attribute, in the order in which they were added."""
        return self.all_columns(table)[0]

    def retired(self, table: str) -> dict[str, Column]:
        """Columns of an earlier generation's rows, for attributes that this one packs."""
        return self.all_columns(table)[1]

    def all_columns(self, table: str) -> tuple[dict[str, Column], dict[str, Column]]:
        """The columns in use and the retired ones."""
        return columns_of_rows(self._rows(t.columns, table, "position"))

    def start(
        self, plan: Plan, target: Target, generation: int, commit: int, routed: bool = False
    ) -> None:
        """Replaces a table's row and cursors by a new generation's."""
        if not self._empty:
            self._forget(plan.table, t.tables, t.cursors, t.tombstones)
        self._empty = False
        row = {
            "table_name": plan.table,
            "target_schema": target.schema,
            "target_name": target.name,
            "table_arn": plan.identity.table_arn,
            "table_id": plan.identity.table_id,
            "stream_arn": plan.identity.stream_arn,
            "view_type": plan.identity.view_type,
            "keys": msgspec.json.encode([(k.name, k.tag) for k in plan.identity.keys]).decode(),
            "generation": generation,
            "plan_id": plan.plan_id,
            "phase": Phase.LOADING.value,
            "segments": plan.segments,
            "start_commit": commit,
            "commit": commit,
            "state_version": STATE_VERSION,
            "planned_at": plan.planned_at,
            "spec": spelled(plan.spec),
            "overflowed": False,
            "region": plan.identity.region or None,
            "retention": None if plan.retention is None else whole_seconds(plan.retention),
            "routed": routed,
        }
        self._run(sa.insert(t.tables).values(row))
        self._insert_cursors(plan.table, plan.cursors)

    def forget(self, table: str) -> None:
        """Deletes the state of a table, except its runs."""
        self._forget(table, t.tables, t.cursors, t.columns, t.tombstones, t.quarantine, t.drift)
        self.parts.drop(table)

    def _forget(self, table: str, *from_tables: sa.Table) -> None:
        for each in from_tables:
            self._run(sa.delete(each).where(each.c.table_name == table))

    def _insert_cursors(self, table: str, cursors: Mapping[str, Cursor]) -> None:
        insert(
            self._schema.execute,
            t.cursors,
            (
                {
                    "table_name": table,
                    "partition": partition,
                    "token": cursor.token,
                    "done": cursor.done,
                    "seen_at": cursor.seen_at,
                    "parent": cursor.parent,
                    "adjacent": cursor.adjacent,
                }
                for partition, cursor in cursors.items()
            ),
        )

    def move(self, table: str, cursors: Mapping[str, Cursor]) -> None:
        """Replaces the cursors of the given partitions."""
        if not cursors:
            return
        self._run(
            sa.delete(t.cursors)
            .where(t.cursors.c.table_name == table)
            .where(t.cursors.c.partition.in_(list(cursors)))
        )
        self._insert_cursors(table, cursors)

    def drop_cursors(self, table: str, partitions: Sequence[str]) -> None:
        """Forgets cursors of finished partitions."""
        self._run(
            sa.delete(t.cursors)
            .where(t.cursors.c.table_name == table)
            .where(t.cursors.c.partition.in_(partitions))
        )

    def finish(self, table: str, partitions: Sequence[str]) -> None:
        """Marks partitions as read to their end."""
        self._run(
            sa.update(t.cursors)
            .where(t.cursors.c.table_name == table)
            .where(t.cursors.c.partition.in_(partitions))
            .values(done=True)
        )

    def update(self, table: str, **changes: Any) -> None:
        """Changes columns of a table's row."""
        self._run(sa.update(t.tables).where(t.tables.c.table_name == table).values(**changes))

    def drifted(self, table: str, commit: int, found: Sequence[Drift], now: datetime) -> None:
        """Records how the table's columns have changed."""
        self.journal.drift(table, commit, found, now)

    def save_columns(
        self,
        table: str,
        columns: Mapping[str, Column],
        retired: Mapping[str, Column] | None = None,
    ) -> None:
        """Replaces the map from attributes to columns; retired ones stay unless they are given."""
        retired = self.retired(table) if retired is None else retired
        self._forget(table, t.columns)
        insert(self._schema.execute, t.columns, column_rows(table, columns, retired))
