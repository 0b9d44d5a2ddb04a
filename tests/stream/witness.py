"""A destination that tells the checker of everything that passes through it."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from threading import RLock
from typing import Any

import pyarrow as pa

from connector import failpoints
from connector.core.cursors import Batch, Cursor, Quarantined
from connector.core.rows import packed_in
from connector.core.schema import Type
from connector.core.state import Committed, Load, Plan, TableState
from connector.events import Event, Tailed
from connector.ports import Destination

from .checker import Checker
from .claims import Move, Place, Violation
from .truth import Item, Key, rows_of

Contents = Callable[[], Mapping[Key, Item]]
"""Reads the live rows of the table in a way of the test's own."""


def place(cursor: Cursor | None) -> Place | None:
    """Where a cursor stands."""
    return None if cursor is None else (cursor.token, cursor.done)


@dataclass
class Witness:
    """Passes every call on, and has it checked."""

    inner: Destination
    checker: Checker
    contents: Contents
    batches: list[Batch] = field(default_factory=list)
    violation: Violation | None = None
    _lock: Any = field(default_factory=RLock)
    """Rivals commit from other threads; each commit and its check are one."""

    def read(self, table: str) -> TableState | None:
        """The state of a table."""
        return self.inner.read(table)

    def plan(self, plan: Plan) -> TableState:
        """Starts a generation."""
        with self._lock:
            try:
                state = self.inner.plan(plan)
            finally:
                # A run that is killed just after the transaction has planned all the same.
                stored = self.inner.read(plan.table)
                if stored and stored.plan_id == plan.plan_id:
                    self._check(lambda: self.checker.planned(plan))
        failpoints.failpoint("witness.planned")
        return state

    def commit(self, batch: Batch) -> Committed:
        """Merges rows and moves cursors."""
        with self._lock:
            committed = self.inner.commit(batch)
            self.batches.append(batch)
            self._check(lambda: self._committed(batch))
        failpoints.failpoint("witness.committed")
        return committed

    def load(
        self, load: Load, rows: Iterable[pa.Table], quarantined: Sequence[Quarantined]
    ) -> Committed:
        """Ends the loading phase."""
        tables = list(rows)
        with self._lock:
            committed = self.inner.load(load, tables, quarantined)
            self._check(lambda: self._loaded(load, tables))
        failpoints.failpoint("witness.loaded")
        return committed

    def note(self, table: str, problem: str | None) -> None:
        """Remembers why a person is needed."""
        self.inner.note(table, problem)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def _committed(self, batch: Batch) -> None:
        moves = []
        for span in batch.spans:
            until = place(span.until)
            assert until is not None
            moves.append(Move(span.partition, place(span.since), until))
        self.checker.committed(
            batch.plan_id,
            moves,
            rows_of(batch.rows),
            {int(bad.sequence) for bad in batch.quarantined if bad.sequence},
            batch.consistent_since,
            batch.forgotten,
        )
        self.compare(batch.table)

    def _loaded(self, load: Load, tables: Sequence[pa.Table]) -> None:
        rows = [row for table in tables for row in rows_of(table)]
        self.checker.loaded(load.plan_id, rows, load.partitions, load.scanned_until)
        self.compare(load.table)

    def compare(self, table: str) -> None:
        """Has the table and its cursors, as they are now, compared with the checker's copy."""
        state = self.inner.read(table)
        assert state is not None
        places = {name: (cursor.token, cursor.done) for name, cursor in state.cursors.items()}
        self.checker.compare(self.contents(), places, state.consistent_since)

    def _check(self, check: Callable[[], None]) -> None:
        try:
            check()
        except Violation as violation:
            # Told again at the end of the run, should the program swallow it.
            self.violation = violation
            raise


@dataclass
class Counted:
    """A listener that has the counts of each round checked."""

    checker: Checker

    def __call__(self, event: Event) -> None:
        """One round."""
        if isinstance(event, Tailed):
            self.checker.counted(event.counts)


def spooled() -> "MemorySpools":
    """Spools in memory, by plan."""
    return MemorySpools({})


@dataclass(frozen=True)
class MemoryLink:
    """One link of a chain."""

    until: Cursor
    table: pa.Table
    quarantined: Sequence[Quarantined]

    @property
    def rows_schema(self) -> pa.Schema:
        """The schema of the rows."""
        return self.table.schema

    @property
    def count(self) -> int:
        """How many rows there are."""
        return len(self.table)

    def packed(self) -> Mapping[str, Type] | None:
        """The types of the attributes in `rest`."""
        return packed_in(self.table.schema)

    def rows(self) -> pa.Table:
        """The rows."""
        return self.table


@dataclass(frozen=True)
class MemorySpool:
    """The spool of one plan: what was appended survives a crash, as files do."""

    chains: dict[tuple[str, str | None], MemoryLink]

    def append(
        self,
        partition: str,
        since: str | None,
        until: Cursor,
        rows: pa.Table,
        quarantined: Sequence[Quarantined],
    ) -> None:
        """Adds a link."""
        failpoints.failpoint("spool.before_rename")
        self.chains[partition, since] = MemoryLink(until, rows, quarantined)
        failpoints.failpoint("spool.after_rename")

    def position(self, partition: str) -> Cursor:
        """The end of a chain."""
        position = Cursor()
        for link in self.links(partition):
            position = link.until
        return position

    def links(self, partition: str) -> Iterator[MemoryLink]:
        """The links of a chain."""
        since: str | None = None
        while (link := self.chains.get((partition, since))) is not None:
            yield link
            if link.until.done:
                return
            since = link.until.token

    def drop(self) -> None:
        """Removes every link."""
        self.chains.clear()


@dataclass(frozen=True)
class MemorySpools:
    """The folder of all spools."""

    by_plan: dict[str, MemorySpool]

    def __call__(self, state: TableState) -> MemorySpool:
        """The spool of a plan."""
        return self.by_plan.setdefault(state.plan_id, MemorySpool({}))
