"""One commit or load inside its transaction, for any database."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property

import pyarrow as pa

from connector.core.cursors import Batch, Quarantined
from connector.core.names import DELETED as MARK
from connector.core.names import REST
from connector.core.rows import DELETED, MARKED, SETTLED, packed_in, schema_of
from connector.core.schema import Type, join_all
from connector.core.state import Committed, Load, Phase
from connector.destinations.commits.by_time import ByTime
from connector.destinations.commits.load import Loading
from connector.destinations.commits.staging import Layout, count, deleted_keys, without_rest
from connector.destinations.commits.step import Step
from connector.destinations.database import Merge, Transaction
from connector.destinations.sql import STAGED, STAGED_KEYS
from connector.destinations.state.store import State
from connector.destinations.table import columns as table_columns
from connector.destinations.table.growth import Growth
from connector.failpoints import failpoint


class Commit:
    """The next commit of one table. Raises CursorMoved if another generation is current."""

    def __init__(
        self, transaction: Transaction, state: State, of: Batch | Load, run: tuple[str, str]
    ) -> None:
        self._step = Step(state, of, run)
        self._transaction = transaction
        self._state = state
        self._header = self._step.header
        self._renamed: Mapping[str, str] = {}
        self._lost: frozenset[str] = frozenset()
        """Keys of rows that are older than what is stored of them."""
        self._buries = False
        """Whether deletes leave tombstones."""

    def batch(self, batch: Batch) -> Committed:
        """Merges a batch and moves its cursors."""
        self._step.move(batch)
        self._buries = batch.buries or self._header.phase is Phase.LOADING
        written, deleted = self._merge(batch.rows)
        failpoint("commit.after_merge")
        bad = [each for each in batch.quarantined if each.key not in self._lost]
        return self._step.end(written, deleted, bad, self._renamed, superseded=len(self._lost))

    def load(self, load: Load, rows: Iterable[pa.Table], bad: Sequence[Quarantined]) -> Committed:
        """Loads every spooled row and ends the loading phase."""
        layout = self._grow(self._growth.wanted(load))
        loading = Loading(
            self._transaction,
            load,
            layout,
            self._header.start_commit,
            self._step.number,
            overtaken=self._state.tombstones.any(load.table),
            watch=self._step.watch,
        )
        failpoint("load.before_insert")
        streamed = loading.count_streamed()
        written, deleted = self._transaction.load(loading, rows)
        if loading.left_over:
            self._growth.overflowed()
        self._growth.tidy(loading.filled)
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
        if not layout.marks and MARKED.name in rows.column_names:
            self._add(layout, MARK)
            layout = replace(layout, marks=True)
        rows = rows if layout.rest else without_rest(rows)
        failpoint("commit.after_schema")
        return self._put(layout, layout.stage(rows))

    def _put(self, layout: Layout, staged: pa.Table) -> tuple[int, int]:
        if SETTLED.name in staged.column_names:
            table = self._header.table_name
            merge_by_time = ByTime(self._transaction, self._state, table, layout)
            staged, self._lost = merge_by_time.winners(staged)
        deletes, marked = count(staged, DELETED), count(staged, MARKED)
        written = len(staged) - deletes - marked
        with self._transaction.staged(staged, STAGED):
            merge = Merge(layout, self._step.number, written, deletes, marked)
            deleted = self._transaction.merge(merge)
        if deletes and self._buries:
            with self._transaction.staged(deleted_keys(layout, staged), STAGED_KEYS):
                self._state.tombstones.bury(self._header.table_name, STAGED_KEYS, self._step.number)
        return written, deleted + marked

    def _add(self, layout: Layout, service: str) -> None:
        table_columns.add(self._transaction, layout.target, service)

    @cached_property
    def _growth(self) -> Growth:
        target, keys = self._header.target, self._header.row_keys
        transaction = self._transaction
        found = transaction.describe(target)
        growth = Growth(transaction, self._state, self._step, found.columns)
        table_columns.refuse_changed(transaction.dialect, target, found, growth.columns, keys)
        return growth

    def _grow(self, wanted: Mapping[str, Type]) -> Layout:
        """The table's columns, grown to hold `wanted`."""
        growth = self._growth
        columns = growth.grow(wanted)
        self._renamed = growth.renamed
        return self._transaction.layout.of(
            self._header.target,
            self._header.row_keys,
            columns,
            wanted,
            rest=growth.rest,
            marks=growth.marks,
            retired=[column.name for column in growth.retired.values()],
        )
