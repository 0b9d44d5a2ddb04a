"""One commit or load inside its transaction: cursors compared and moved, rows brought in."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime

import pyarrow as pa

from connector.core.cursors import Batch, Cursor, Quarantined
from connector.core.names import DELETED as MARK
from connector.core.names import REST
from connector.core.rows import DELETED, KEPT, schema_of
from connector.core.schema import Type
from connector.core.state import Committed, Load, Phase
from connector.destinations import duckdb_schema
from connector.destinations.duckdb_connection import Connection, changed
from connector.destinations.load import Loading
from connector.destinations.merge import (
    STAGED,
    STAGED_KEYS,
    Layout,
    count,
    deleted_keys,
    merge_sql,
    overflows,
    without_rest,
)
from connector.destinations.state import State
from connector.destinations.state_header import Header
from connector.errors import CursorMoved
from connector.failpoints import failpoint


def moved(table: str) -> CursorMoved:
    """The error for a batch whose beginning is no longer where the table stands."""
    return CursorMoved(
        f"Another run has moved {table} on; nothing was written.", "Run the same command again."
    )


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
        header = state.header(of.table) if state.exists() else None
        if header is None or (header.generation, header.plan_id) != (of.generation, of.plan_id):
            raise moved(of.table)
        self._connection = connection
        self._state = state
        self._header: Header = header
        self._run = run
        self._max_columns = max_columns
        self._number = header.commit + 1
        self._now = datetime.now(UTC)

    def batch(self, batch: Batch) -> Committed:
        """Merges a batch and moves its cursors."""
        self._move(batch)
        written, deleted = self._merge(batch.rows)
        failpoint("commit.after_merge")
        since = self._header.consistent_since or batch.consistent_since
        self._state.update(batch.table, consistent_since=since)
        return self._end(written, deleted, batch.quarantined)

    def load(self, load: Load, rows: Iterable[pa.Table], bad: Sequence[Quarantined]) -> Committed:
        """Brings in every spooled row and ends the loading phase."""
        header = self._header
        if header.phase is not Phase.LOADING:
            raise moved(load.table)
        layout = self._grow(load.schema)
        loading = Loading(self._connection, load.table, layout, header.start_commit, self._number)
        failpoint("load.before_insert")
        plain = not self._state.buried(load.table) and not loading.streamed()
        written = loading.insert(rows, plain) - loading.repair()
        deleted = loading.delete_earlier(load.max_deleted)
        self._state.finish(load.table, load.partitions)
        self._state.unbury(load.table)
        self._state.update(
            load.table,
            phase=Phase.TAILING.value,
            scanned_until=load.scanned_until,
            loaded_at=self._now,
        )
        return self._end(written, deleted, bad)

    def _end(self, written: int, deleted: int, bad: Sequence[Quarantined]) -> Committed:
        table = self._header.table_name
        self._state.update(table, commit=self._number, committed_at=self._now)
        self._state.journal.quarantine(self._header, self._number, bad, self._now)
        counts = (written, deleted, len(bad))
        self._state.journal.count(self._run, table, self._now, counts)
        return Committed(self._number, *counts)

    def _move(self, batch: Batch) -> None:
        stored = self._state.cursors(batch.table, [span.partition for span in batch.spans])
        until: dict[str, Cursor] = {}
        for span in batch.spans:
            before = stored.get(span.partition)
            if before != span.since or span.partition in until:
                raise moved(batch.table)
            until[span.partition] = Cursor(
                token=span.until.token,
                done=span.until.done,
                seen_at=span.until.seen_at or (before.seen_at if before else None),
                parent=span.until.parent or (before.parent if before else None),
            )
        self._state.move(batch.table, until)
        if batch.forgotten:
            self._state.drop_cursors(batch.table, batch.forgotten)

    def _merge(self, rows: pa.Table) -> tuple[int, int]:
        if not len(rows):
            failpoint("commit.after_schema")
            return 0, 0
        layout = self._grow(schema_of(rows.schema))
        if not layout.rest and overflows(rows, layout.columns):
            duckdb_schema.add(self._connection, layout.target, REST)
            layout = replace(layout, rest=True)
        if not layout.marks and KEPT.name in rows.column_names:
            duckdb_schema.add(self._connection, layout.target, MARK)
            layout = replace(layout, marks=True)
        rows = rows if layout.rest else without_rest(rows)
        failpoint("commit.after_schema")
        staged = layout.stage(rows)
        self._connection.register(STAGED, staged)
        touched = changed(self._connection, merge_sql(layout), [self._number])
        self._connection.unregister(STAGED)
        deletes = count(staged, DELETED)
        if deletes and self._header.phase is Phase.LOADING:
            self._bury(deleted_keys(layout, staged))
        written = len(staged) - deletes - count(staged, KEPT)
        return written, touched - written

    def _bury(self, keys: pa.Table) -> None:
        self._connection.register(STAGED_KEYS, keys)
        self._state.bury(self._header.table_name, STAGED_KEYS, self._number)
        self._connection.unregister(STAGED_KEYS)

    def _grow(self, wanted: Mapping[str, Type]) -> Layout:
        """The table's columns, grown to hold `wanted`."""
        table, target = self._header.table_name, self._header.target
        columns = self._state.columns(table)
        actual = duckdb_schema.describe(self._connection, target)
        duckdb_schema.verify(target, actual, columns)
        grown = duckdb_schema.grow(
            self._connection, target, actual, columns, wanted, self._max_columns
        )
        if grown != columns:
            self._state.save_columns(table, grown)
        return Layout.of(
            target,
            self._header.identity.keys,
            grown,
            wanted,
            rest=duckdb_schema.has(actual, REST),
            marks=duckdb_schema.has(actual, MARK),
        )
