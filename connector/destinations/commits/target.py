"""What a commit or a load does to one table of the destination, inside its transaction."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum, auto
from functools import cached_property
from typing import Protocol

import pyarrow as pa

from connector.core.names import DELETED as MARK
from connector.core.names import OP, REST
from connector.core.rows import DELETED, MARKED, SETTLED, packed_in, schema_of
from connector.core.schema import Type, join_all
from connector.core.state import Drift, Load
from connector.destinations.commits.by_time import ByTime
from connector.destinations.commits.load import Loading
from connector.destinations.commits.planned import planned_rows
from connector.destinations.commits.staging import Layout, count, dated_keys, without_rest
from connector.destinations.commits.step import Step
from connector.destinations.database import Merge, Transaction
from connector.destinations.history.kept import Kept
from connector.destinations.history.refresh import EARLIER, refresh
from connector.destinations.history.turns import prepared
from connector.destinations.sql import OUTER, STAGED, STAGED_KEYS, STAGED_TIMES, Target
from connector.destinations.state.store import State
from connector.destinations.table import columns as table_columns
from connector.destinations.table.growth import Growth
from connector.failpoints import failpoint


class Changed(Protocol):
    """What a batch has for one table."""

    @property
    def rows(self) -> pa.Table: ...

    @property
    def versions(self) -> pa.Table | None: ...

    @property
    def log(self) -> pa.Table | None: ...


@dataclass(frozen=True)
class Loaded:
    """How many rows a load wrote and deleted, and how many others the stream had written."""

    written: int
    deleted: int
    streamed: int


class Buries(Enum):
    """Which rows leave tombstones."""

    NOTHING = auto()
    DELETES = auto()
    EVERYTHING = auto()


class TargetCommit:
    """The part of a commit or a load that one table of the destination has in it."""

    def __init__(
        self,
        transaction: Transaction,
        state: State,
        step: Step,
        buries: Buries = Buries.DELETES,
        name: str = "",
    ) -> None:
        """`name` is that of one of several targets; a row that is only marked is of any of them."""
        self.step = step
        self._transaction = transaction
        self._state = state
        self._header = step.header
        self.kept = Kept(transaction, state, self._header, step.spec)
        self.renamed: Mapping[str, str] = {}
        self.lost: frozenset[str] = frozenset()
        """Keys of rows that are older than what is stored of them."""
        self._buries = buries
        self.name = name

    def merge(self, rows: Changed) -> tuple[int, int]:
        """Merges rows; returns how many were written and how many deleted."""
        counts = self._merge(rows)
        self.kept.show()
        return counts

    def load(
        self, load: Load, rows: Iterable[pa.Table], elsewhere: Iterable[pa.Table] = ()
    ) -> Loaded:
        """Loads every spooled row; `elsewhere` are the keys of those in other targets."""
        layout = self._grow(self._growth.wanted(load))
        loading = Loading(
            self._transaction,
            load,
            layout,
            self._header.start_commit,
            self.step.number,
            overtaken=self._state.tombstones.any(load.table),
            planned=planned_rows(self._state, load.table, self.name),
            watch=self.step.watch,
            elsewhere=elsewhere,
        )
        failpoint("load.before_insert")
        streamed = loading.count_streamed()
        if self.kept.spec.history and self._had(loading):
            self._begin_turns()
            written, deleted = refresh(self._transaction, loading, rows, self.kept, load)
        else:
            written, deleted = self._transaction.load(loading, rows)
        if loading.left_over:
            self._growth.overflowed()
        self._growth.tidy(loading.filled)
        self.kept.changed()
        self.kept.show()
        return Loaded(written, deleted, streamed)

    def _had(self, loading: Loading) -> bool:
        """Whether earlier generations have left rows, or versions."""
        return loading.any(EARLIER) or loading.any(EARLIER, self.kept.ended.target)

    def drifted(self, found: Sequence[Drift]) -> None:
        """Records how the table's columns have changed."""
        self._state.drifted(self._header.table_name, self.step.number, found, self.step.now)

    def _merge(self, batch: Changed) -> tuple[int, int]:
        tables = [t for t in (batch.rows, batch.versions, batch.log) if t is not None and len(t)]
        if not tables:
            failpoint("commit.after_schema")
            return 0, 0
        schemas = [table.schema for table in tables]
        packed = [packed_in(schema) or {} for schema in schemas]
        layout = self._grow(join_all([*map(schema_of, schemas), *packed]))
        if batch.log is not None:
            self.kept.log.add(batch.log, layout.columns, self.step.number)
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
        self.step.watch.see(rows)
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
        if not self.kept.spec.history:
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
            staged, self.lost = merge_by_time.winners(staged)
        every = staged
        if self.name and count(staged, MARKED):
            staged = self._there(layout, staged)
            if not len(staged):
                self._bury(layout, every, 0)
                return 0, 0
        merge = Merge.of(layout, self.step.number, staged)
        deleted = self._merged(merge, staged, versions)
        self._bury(layout, every, merge.deleted)
        return merge.written, deleted + merge.marked

    def _there(self, layout: Layout, staged: pa.Table) -> pa.Table:
        """Without rows that would only be marked, and are in another target or in none."""
        keys = staged.select([name for name, _ in layout.keys_staged])
        keys = keys.append_column("place", pa.array(range(len(staged)), pa.int64()))
        same = layout.key_of_staged(OUTER, STAGED_TIMES)
        with self._transaction.staged(keys, STAGED_TIMES):
            found = self._transaction.ask(
                f"SELECT {STAGED_TIMES}.place AS place FROM {layout.target.sql} AS {OUTER} "
                f"JOIN {STAGED_TIMES} ON {same}"
            )
        there = {int(row["place"]) for row in found}
        marked = staged.column(MARKED.name).to_pylist()
        kept = [not mark or place in there for place, mark in enumerate(marked)]
        return staged.filter(pa.array(kept, pa.bool_()))

    def _bury(self, layout: Layout, staged: pa.Table, deletes: int) -> None:
        every = self._buries is Buries.EVERYTHING
        if self._buries is Buries.NOTHING or not (deletes or every):
            return
        graves = dated_keys(layout, staged if every else staged.filter(staged.column(DELETED.name)))
        with self._transaction.staged(graves, STAGED_KEYS):
            self._state.tombstones.bury(self._header.table_name, STAGED_KEYS, self.step.number)

    def _merged(self, merge: Merge, staged: pa.Table, versions: pa.Table | None) -> int:
        """Merges the staged rows, and first keeps the versions that they end."""
        if not merge.layout.history:
            with self._transaction.staged(staged, STAGED):
                return self._transaction.merge(merge)
        staged = prepared(staged)
        with self._transaction.staged(staged, STAGED):
            settled = self.kept.settled(merge.layout, staged, versions)
            if settled is None:
                return self._ended(merge, versions)
        staged, versions = settled
        merge = Merge.of(merge.layout, merge.commit, staged)
        with self._transaction.staged(staged, STAGED):
            return self._ended(merge, versions)

    def _ended(self, merge: Merge, versions: pa.Table | None) -> int:
        self.kept.end(merge.layout, versions, merge.commit)
        return self._transaction.merge(merge)

    def _add(self, target: Target, service: str) -> None:
        table_columns.add(self._transaction, target, service)
        self.kept.changed()

    @cached_property
    def _growth(self) -> Growth:
        target, keys = self._header.target, self._header.row_keys
        transaction = self._transaction
        found = transaction.describe(target)
        growth = Growth(transaction, self._state, self.step, found.columns, self.kept)
        table_columns.refuse_changed(transaction.dialect, target, found, growth.columns, keys)
        return growth

    def _grow(self, wanted: Mapping[str, Type]) -> Layout:
        """The table's columns, grown to hold `wanted`."""
        growth = self._growth
        columns = growth.grow(wanted)
        self.renamed = growth.renamed
        return self._transaction.layout.of(
            self._header.target,
            self._header.row_keys,
            columns,
            wanted,
            rest=growth.rest,
            marks=growth.marks,
            retired=[column.name for column in growth.retired.values()],
        )
