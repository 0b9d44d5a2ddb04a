"""One commit or load inside its transaction, for any database."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property

import pyarrow as pa

from connector.core.cursors import Batch, Quarantined
from connector.core.names import DELETED as MARK
from connector.core.names import OP, REST
from connector.core.rows import MARKED, SETTLED, packed_in, schema_of
from connector.core.schema import Type, join_all
from connector.core.state import Committed, Load, Phase
from connector.destinations.commits.by_time import ByTime
from connector.destinations.commits.load import Loading
from connector.destinations.commits.planned import planned_rows
from connector.destinations.commits.staging import Layout, deleted_keys, without_rest
from connector.destinations.commits.step import Step
from connector.destinations.database import Merge, Transaction
from connector.destinations.history.kept import Kept
from connector.destinations.history.refresh import EARLIER, refresh
from connector.destinations.history.turns import prepared
from connector.destinations.sql import STAGED, STAGED_KEYS, Target
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
        self._kept = Kept(transaction, state, self._header, self._step.spec)
        self._renamed: Mapping[str, str] = {}
        self._lost: frozenset[str] = frozenset()
        """Keys of rows that are older than what is stored of them."""
        self._buries = False
        """Whether deletes leave tombstones."""

    def batch(self, batch: Batch) -> Committed:
        """Merges a batch and moves its cursors."""
        self._step.move(batch)
        self._buries = batch.buries or self._header.phase is Phase.LOADING
        written, deleted = self._merge(batch)
        self._kept.show()
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
            planned=planned_rows(self._state, load.table),
            watch=self._step.watch,
        )
        failpoint("load.before_insert")
        streamed = loading.count_streamed()
        if self._kept.spec.history and loading.any(EARLIER):
            self._begin_turns()
            written, deleted = refresh(self._transaction, loading, rows, self._kept, load)
        else:
            written, deleted = self._transaction.load(loading, rows)
        if loading.left_over:
            self._growth.overflowed()
        self._growth.tidy(loading.filled)
        self._kept.changed()
        self._kept.show()
        self._step.finish(load)
        return self._step.end(written, deleted, bad, self._renamed, streamed)

    def _merge(self, batch: Batch) -> tuple[int, int]:
        tables = [t for t in (batch.rows, batch.versions, batch.log) if t is not None and len(t)]
        if not tables:
            failpoint("commit.after_schema")
            return 0, 0
        schemas = [table.schema for table in tables]
        packed = [packed_in(schema) or {} for schema in schemas]
        layout = self._grow(join_all([*map(schema_of, schemas), *packed]))
        if batch.log is not None:
            self._kept.log.add(batch.log, layout.columns, self._step.number)
        if not len(batch.rows):
            failpoint("commit.after_schema")
            return 0, 0
        return self._replace(layout, batch.rows, batch.versions)

    def _replace(
        self, layout: Layout, rows: pa.Table, versions: pa.Table | None
    ) -> tuple[int, int]:
        layout, rows = self._prepared(self._turned(layout), rows)
        if versions is not None:
            layout, versions = self._prepared(layout, versions)
            versions = layout.stage(versions if layout.rest else without_rest(versions))
        rows = rows if layout.rest else without_rest(rows)
        failpoint("commit.after_schema")
        return self._put(layout, layout.stage(rows), versions)

    def _prepared(self, layout: Layout, rows: pa.Table) -> tuple[Layout, pa.Table]:
        """The rows as the table holds them, after the service columns that they need are there."""
        rows = layout.placed(rows)
        self._step.watch.see(rows)
        if layout.leaves_over(rows):
            self._growth.overflowed()
        if not layout.rest and layout.overflows(rows):
            self._add(layout.target, REST)
            layout = replace(layout, rest=True)
        if not layout.marks and MARKED.name in rows.column_names:
            self._add(layout.target, MARK)
            layout = replace(layout, marks=True)
        return layout, rows

    def _turned(self, layout: Layout) -> Layout:
        """The layout with which rows are staged that may end versions."""
        if not self._kept.spec.history:
            return layout
        self._begin_turns()
        return replace(layout, history=True)

    def _begin_turns(self) -> None:
        if not self._growth.has(OP):
            self._add(self._header.target, OP)

    def _put(self, layout: Layout, staged: pa.Table, versions: pa.Table | None) -> tuple[int, int]:
        if SETTLED.name in staged.column_names:
            table = self._header.table_name
            merge_by_time = ByTime(self._transaction, self._state, table, layout)
            staged, self._lost = merge_by_time.winners(staged)
        merge = Merge.of(layout, self._step.number, staged)
        deleted = self._merged(merge, staged, versions)
        if merge.deleted and self._buries:
            with self._transaction.staged(deleted_keys(layout, staged), STAGED_KEYS):
                self._state.tombstones.bury(self._header.table_name, STAGED_KEYS, self._step.number)
        return merge.written, deleted + merge.marked

    def _merged(self, merge: Merge, staged: pa.Table, versions: pa.Table | None) -> int:
        """Merges the staged rows, and first keeps the versions that they end."""
        if not merge.layout.history:
            with self._transaction.staged(staged, STAGED):
                return self._transaction.merge(merge)
        staged = prepared(staged)
        with self._transaction.staged(staged, STAGED):
            settled = self._kept.settled(merge.layout, staged, versions)
            if settled is None:
                return self._ended(merge, versions)
        staged, versions = settled
        merge = Merge.of(merge.layout, merge.commit, staged)
        with self._transaction.staged(staged, STAGED):
            return self._ended(merge, versions)

    def _ended(self, merge: Merge, versions: pa.Table | None) -> int:
        self._kept.end(merge.layout, versions, merge.commit)
        return self._transaction.merge(merge)

    def _add(self, target: Target, service: str) -> None:
        table_columns.add(self._transaction, target, service)
        self._kept.changed()

    @cached_property
    def _growth(self) -> Growth:
        target, keys = self._header.target, self._header.row_keys
        transaction = self._transaction
        found = transaction.describe(target)
        growth = Growth(transaction, self._state, self._step, found.columns, self._kept)
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
