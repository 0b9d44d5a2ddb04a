"""One commit or load inside its transaction of a Postgres database: rows brought in."""

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
from connector.destinations.commits.staging import count, deleted_keys, without_rest
from connector.destinations.commits.step import Step
from connector.destinations.postgres import schema as postgres_schema
from connector.destinations.postgres.layout import PostgresLayout
from connector.destinations.postgres.load import ROWS_AT_ONCE, Loading
from connector.destinations.postgres.merge import delete_sql, mark_sql, upsert_sql
from connector.destinations.postgres.refusals import swallowed
from connector.destinations.postgres.schema import Found
from connector.destinations.postgres.session.connection import Connection
from connector.destinations.postgres.types import POSTGRES
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
        loading = Loading(
            self._connection,
            load.table,
            layout,
            self._found,
            self._header.start_commit,
            self._step.number,
        )
        failpoint("load.before_insert")
        overtaken = self._state.buried(load.table)
        streamed = loading.count_streamed()
        feed = Feed(rows, self._step.watch, ROWS_AT_ONCE)
        written, deleted = loading.run(feed, overtaken, load.max_deleted)
        if feed.left_over:
            self._growth.overflowed()
        loading.tidy(self._growth)
        self._step.finish(load)
        return self._step.end(written, deleted, bad, self._renamed, streamed)

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
        return self._put(layout, layout.stage(rows))

    def _put(self, layout: PostgresLayout, staged: pa.Table) -> tuple[int, int]:
        self._connection.stage(staged, STAGED)
        deletes, kept = count(staged, DELETED), count(staged, KEPT)
        deleted = self._connection.changed(delete_sql(layout)) if deletes else 0
        written = len(staged) - deletes - kept
        number = [self._step.number]
        if written:
            # A trigger or a rule of somebody else may drop a row without an error.
            arrived = self._connection.changed(upsert_sql(layout), number)
            if arrived != written:
                raise swallowed(self._connection, layout.target, written - arrived)
        if kept:
            self._connection.run(mark_sql(layout), number)
        if deletes and self._header.phase is Phase.LOADING:
            self._connection.stage(deleted_keys(layout, staged), STAGED_KEYS)
            self._state.bury(self._header.table_name, STAGED_KEYS, self._step.number)
        return written, deleted + kept

    def _add(self, layout: PostgresLayout, service: str) -> None:
        table_columns.add(POSTGRES, self._connection.execute, layout.target, service)

    @cached_property
    def _found(self) -> Found:
        return postgres_schema.describe(self._connection, self._header.target)

    @cached_property
    def _growth(self) -> Growth:
        target, keys = self._header.target, self._header.identity.keys
        run = self._connection.execute

        def unused() -> bool:
            return postgres_schema.unused(self._connection, target)

        growth = Growth(POSTGRES, run, self._state, self._step, self._found.columns, unused)
        postgres_schema.verify(target, self._found, growth.columns, keys)
        return growth

    def _grow(self, wanted: Mapping[str, Type]) -> PostgresLayout:
        """The table's columns, grown to hold `wanted`."""
        growth = self._growth
        columns = growth.grow(wanted)
        self._renamed = growth.renamed
        return PostgresLayout.of(
            self._header.target,
            self._header.identity.keys,
            columns,
            wanted,
            rest=growth.rest,
            marks=growth.marks,
            retired=[column.name for column in growth.retired.values()],
        )
