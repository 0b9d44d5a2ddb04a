"""One commit or load inside its transaction of a DuckDB file: rows brought in."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property

import pyarrow as pa

from connector.core.cursors import Batch, Quarantined
from connector.core.names import DELETED as MARK
from connector.core.names import REST
from connector.core.rows import DELETED, KEPT, packed_in, schema_of
from connector.core.schema import Type, join_all
from connector.core.state import Committed, Load, Phase
from connector.destinations.commits.feed import Feed
from connector.destinations.commits.staging import Layout, count, deleted_keys, without_rest
from connector.destinations.commits.step import Step
from connector.destinations.duckdb import schema as duckdb_schema
from connector.destinations.duckdb.load import Loading
from connector.destinations.duckdb.merge import merge
from connector.destinations.duckdb.schema import DUCKDB
from connector.destinations.duckdb.session.connection import Connection
from connector.destinations.sql import STAGED, STAGED_KEYS
from connector.destinations.state.store import State
from connector.destinations.table import columns as table_columns
from connector.destinations.table.growth import Growth
from connector.failpoints import failpoint


class Commit:
    """The next commit of one table. Raises CursorMoved where another generation is current."""

    def __init__(
        self,
        connection: Connection,
        state: State,
        of: Batch | Load,
        run: tuple[str, str],
    ) -> None:
        self._step = Step(state, of, run)
        self._connection = connection
        self._state = state
        self._header = self._step.header
        self._renamed: Mapping[str, str] = {}

    def batch(self, batch: Batch) -> Committed:
        """Merges a batch and moves its cursors."""
        self._step.move(batch)
        written, deleted = self._merge(batch.rows)
        failpoint("commit.after_merge")
        return self._step.end(written, deleted, batch.quarantined, self._renamed)

    def load(self, load: Load, rows: Iterable[pa.Table], bad: Sequence[Quarantined]) -> Committed:
        """Brings in every spooled row and ends the loading phase."""
        layout = self._grow(self._growth.wanted(load))
        start = self._header.start_commit
        loading = Loading(self._connection, load.table, layout, start, self._step.number)
        failpoint("load.before_insert")
        streamed = loading.streamed()
        kept = loading.count_streamed() if streamed else 0
        plain = not streamed and not self._state.buried(load.table)
        feed = Feed(rows, self._step.watch)
        written = loading.insert(feed, plain) - loading.repair()
        deleted = loading.delete_earlier(load.max_deleted)
        if feed.left_over:
            self._growth.overflowed()
        loading.tidy(self._growth)
        self._step.finish(load)
        return self._step.end(written, deleted, bad, self._renamed, kept)

    def _merge(self, rows: pa.Table) -> tuple[int, int]:
        if not len(rows):
            failpoint("commit.after_schema")
            return 0, 0
        layout = self._grow(join_all([schema_of(rows.schema), packed_in(rows.schema) or {}]))
        rows = layout.placed(rows)
        self._step.watch.see(rows)
        if layout.leaves_over(rows):
            self._growth.overflowed()
        if not layout.rest and layout.overflows(rows):
            self._add(layout, REST)
            layout = replace(layout, rest=True)
        if not layout.marks and KEPT.name in rows.column_names:
            self._add(layout, MARK)
            layout = replace(layout, marks=True)
        rows = rows if layout.rest else without_rest(rows)
        failpoint("commit.after_schema")
        staged = layout.stage(rows)
        self._connection.register(STAGED, staged)
        touched = merge(self._connection, layout, staged, self._step.number)
        self._connection.unregister(STAGED)
        deletes = count(staged, DELETED)
        if deletes and self._header.phase is Phase.LOADING:
            self._bury(deleted_keys(layout, staged))
        written = len(staged) - deletes - count(staged, KEPT)
        return written, touched - written

    def _add(self, layout: Layout, service: str) -> None:
        table_columns.add(DUCKDB, self._connection.execute, layout.target, service)

    def _bury(self, keys: pa.Table) -> None:
        self._connection.register(STAGED_KEYS, keys)
        self._state.bury(self._header.table_name, STAGED_KEYS, self._step.number)
        self._connection.unregister(STAGED_KEYS)

    @cached_property
    def _growth(self) -> Growth:
        target = self._header.target
        actual = duckdb_schema.describe(self._connection, target)

        def unused() -> bool:
            return duckdb_schema.unused(self._connection, target)

        growth = Growth(DUCKDB, self._connection.execute, self._state, self._step, actual, unused)
        table_columns.verify(DUCKDB, target, actual, growth.columns)
        return growth

    def _grow(self, wanted: Mapping[str, Type]) -> Layout:
        """The table's columns, grown to hold `wanted`."""
        growth = self._growth
        columns = growth.grow(wanted)
        self._renamed = growth.renamed
        return Layout.of(
            self._header.target,
            self._header.identity.keys,
            columns,
            wanted,
            rest=growth.rest,
            marks=growth.marks,
            retired=[column.name for column in growth.retired.values()],
        )
