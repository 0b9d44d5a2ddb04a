"""One commit or load inside its transaction of a Postgres database: rows brought in."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import pyarrow as pa

from connector.core.cursors import Batch, Quarantined
from connector.core.names import DELETED as MARK
from connector.core.names import REST
from connector.core.rows import DELETED, KEPT, schema_of
from connector.core.schema import Type
from connector.core.state import Committed, Load, Phase
from connector.destinations import postgres_schema, table_columns
from connector.destinations.layout import count, deleted_keys, without_rest
from connector.destinations.postgres_connection import Connection
from connector.destinations.postgres_layout import PostgresLayout
from connector.destinations.postgres_load import Loading
from connector.destinations.postgres_merge import delete_sql, mark_sql, upsert_sql
from connector.destinations.postgres_schema import Found
from connector.destinations.postgres_types import MAX_COLUMNS, POSTGRES
from connector.destinations.sql import STAGED, STAGED_KEYS
from connector.destinations.state import State
from connector.destinations.step import Step
from connector.failpoints import failpoint


class Commit:
    """The next commit of one table. Raises CursorMoved where another generation is current."""

    def __init__(
        self,
        connection: Connection,
        state: State,
        of: Batch | Load,
        run: tuple[str, str],
        max_columns: int,
    ) -> None:
        self._step = Step(state, of, run)
        self._connection = connection
        self._state = state
        self._header = self._step.header
        self._max_columns = min(max_columns, MAX_COLUMNS)

    def batch(self, batch: Batch) -> Committed:
        """Merges a batch and moves its cursors."""
        self._step.move(batch)
        written, deleted = self._merge(batch.rows)
        failpoint("commit.after_merge")
        return self._step.end(written, deleted, batch.quarantined)

    def load(self, load: Load, rows: Iterable[pa.Table], bad: Sequence[Quarantined]) -> Committed:
        """Brings in every spooled row and ends the loading phase."""
        layout, found = self._grow(load.schema)
        start = self._header.start_commit
        loading = Loading(self._connection, load.table, layout, found, start, self._step.number)
        failpoint("load.before_insert")
        overtaken = self._state.buried(load.table)
        streamed = loading.count_streamed()
        written, deleted = loading.run(rows, overtaken, load.max_deleted)
        self._step.finish(load)
        return self._step.end(written, deleted, bad, streamed)

    def _merge(self, rows: pa.Table) -> tuple[int, int]:
        if not len(rows):
            failpoint("commit.after_schema")
            return 0, 0
        layout, _ = self._grow(schema_of(rows.schema))
        if not layout.rest and layout.overflows(rows):
            self._add(layout, REST)
            layout = replace(layout, rest=True)
        if not layout.marks and KEPT.name in rows.column_names:
            self._add(layout, MARK)
            layout = replace(layout, marks=True)
        rows = rows if layout.rest else without_rest(rows)
        failpoint("commit.after_schema")
        return self._put(layout, layout.stage(rows))

    def _put(self, layout: PostgresLayout, staged: pa.Table) -> tuple[int, int]:
        self._connection.stage(staged, STAGED)
        deletes, kept = count(staged, DELETED), count(staged, KEPT)
        deleted = self._connection.changed(delete_sql(layout)) if deletes else 0
        written = len(staged) - deletes - kept
        number = [self._step.number]
        if written:
            self._connection.run(upsert_sql(layout), number)
        if kept:
            self._connection.run(mark_sql(layout), number)
        if deletes and self._header.phase is Phase.LOADING:
            self._connection.stage(deleted_keys(layout, staged), STAGED_KEYS)
            self._state.bury(self._header.table_name, STAGED_KEYS, self._step.number)
        return written, deleted + kept

    def _add(self, layout: PostgresLayout, service: str) -> None:
        table_columns.add(POSTGRES, self._connection.execute, layout.target, service)

    def _grow(self, wanted: Mapping[str, Type]) -> tuple[PostgresLayout, Found]:
        """The table's columns, grown to hold `wanted`."""
        table, target = self._header.table_name, self._header.target
        keys = self._header.identity.keys
        columns = self._state.columns(table)
        found = postgres_schema.describe(self._connection, target)
        postgres_schema.verify(target, found, columns, keys)
        actual, run = found.columns, self._connection.execute
        grown = table_columns.grow(
            POSTGRES, run, target, actual, columns, wanted, self._max_columns
        )
        self._step.new_columns += len(grown) - len(columns)
        if grown != columns:
            self._state.save_columns(table, grown)
        layout = PostgresLayout.of(
            target,
            keys,
            grown,
            wanted,
            rest=table_columns.has(POSTGRES, actual, REST),
            marks=table_columns.has(POSTGRES, actual, MARK),
        )
        return layout, found
