"""The destination, whatever its database: tables and their state, each step one transaction."""

from collections import Counter
from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from datetime import datetime
from typing import TypeVar
from uuid import uuid4

import pyarrow as pa

from connector.core.contracts.found import FoundTable
from connector.core.cursors import Batch, Quarantined
from connector.core.needs import Need, Wanted, tried
from connector.core.publishing import Copies
from connector.core.schema import Type
from connector.core.spec import TableSpec
from connector.core.state import Committed, Load, Mend, Plan, Ran, TableState
from connector.destinations.commits.commit import Commit
from connector.destinations.commits.mend import mended
from connector.destinations.commits.planned import with_rows
from connector.destinations.commits.step import moved, unknown
from connector.destinations.database import Database, Found, Transaction
from connector.destinations.history.kept import drop_kept
from connector.destinations.history.log import begun
from connector.destinations.opening import opened, reason
from connector.destinations.sql import Target
from connector.destinations.state.part import Part, parts_of
from connector.destinations.state.store import State
from connector.destinations.state.tables import SCHEMA
from connector.destinations.table.comments import undescribed
from connector.destinations.table.described import described
from connector.destinations.table.in_the_way import NotWidened, explained, forgetting
from connector.destinations.table.rows import all_changed_keys, count_all, read_all, unchanged
from connector.destinations.table.several import Targets, keep_each
from connector.destinations.trial import Trial
from connector.errors import ConnectorError, DestinationRefused
from connector.failpoints import failpoint
from connector.stop import MACHINE

Result = TypeVar("Result")


class DatabaseDestination:
    """Tables in one schema of a database, and their state."""

    copies: Copies | None = None

    def __init__(
        self, database: Database, schema: str, run_id: str = "", command: str = ""
    ) -> None:
        self.database = database
        self._schema = schema
        self._run = (run_id or uuid4().hex, command)
        self._new_columns: Counter[str] = Counter()
        self._widened_columns: Counter[str] = Counter()

    def read(self, table: str) -> TableState | None:
        """The state of a table; None if it was never planned."""
        with self._looking() as state:
            return state.read(table) if state else None

    def reading(self) -> AbstractContextManager[None]:
        """Lets this thread's reads share what they open, which may take longer than reading.

        Other processes may wait meanwhile, and this thread cannot write.
        """
        return self.database.held_open()

    def tables(self) -> list[str]:
        """Source tables that have a state here."""
        with self._looking() as state:
            return state.tables() if state else []

    def ran(self, table: str) -> Ran:
        """What this object has committed to a table."""
        with self._looking() as state:
            done = state.journal.ran(self._run[0], table) if state else Ran()
        new, widened = self._new_columns[table], self._widened_columns[table]
        return replace(done, new_columns=new, widened_columns=widened)

    def _grew(self, table: str, committed: Committed) -> None:
        self._new_columns[table] += committed.new_columns
        self._widened_columns[table] += committed.widened_columns

    @contextmanager
    def _looking(self) -> Iterator[State | None]:
        """The state as it is, if there is one; none is created."""
        if not self.database.exists():
            yield None
            return
        with self.database.read_only() as transaction:
            state = State(transaction.schema)
            yield state if state.exists() else None

    @contextmanager
    def _transaction(
        self, step: str, *locks: str, more: bool = False
    ) -> Iterator[tuple[Transaction, State]]:
        """One transaction on a state that this program can read; an error rolls it back.

        Steps with a lock in common take turns; their cursors decide which of them may continue.
        """
        with self.database.begin(more) as transaction:
            state = opened(transaction, locks)

            def explain(cause: Exception, widening: NotWidened | None) -> ConnectorError | None:
                return reason(transaction, step, locks[-1], cause, widening)

            with explained(explain):
                yield transaction, state
                failpoint(f"{step}.before_commit")
                transaction.commit()
            failpoint(f"{step}.after_commit")

    def _attempt(self, work: Callable[[], Result]) -> Result:
        return self.database.attempt(lambda: forgetting(work))

    def plan(self, plan: Plan) -> TableState:
        """Starts a generation and seeds all its cursors in one transaction."""
        return self._attempt(lambda: self._plan(plan))

    def _plan(self, plan: Plan) -> TableState:
        self._refuse_state_schema()
        with self._transaction("plan", SCHEMA, plan.table) as (transaction, state):
            targets = self._targets(transaction, plan.target, plan.spec)
            state.create()
            before = state.header(plan.table)
            if plan.replaces != (before.plan_id if before else None):
                raise moved(plan.table)
            plan = begun(plan, transaction, state, targets[0], before)
            several = Targets(transaction, state).begin(plan, targets, before)
            plan, newest = with_rows(plan, transaction, state, targets)
            commit = max(newest, before.commit if before else 0) + 1
            generation = (before.generation if before else 0) + 1
            state.start(plan, targets[0], generation, commit, several)
            keep_each(transaction, state, plan.table, before)
            state.journal.count(self._run, plan.table, MACHINE.now(), (0, 0, 0))
            planned = state.read(plan.table)
        if planned is None:
            raise moved(plan.table)
        return planned

    def reconfigure(self, table: str, target: str, spec: TableSpec) -> TableState:
        """Applies a changed configuration in one transaction, if the rows allow it."""
        return self._attempt(lambda: self._reconfigure(table, target, spec))

    def _reconfigure(self, table: str, target: str, spec: TableSpec) -> TableState:
        self._refuse_state_schema()
        if not self.database.exists():
            raise unknown(table)
        with self._transaction("reconfigure", SCHEMA, table) as (transaction, state):
            wanted = self._targets(transaction, target, spec)
            Targets(transaction, state).reconfigure(table, wanted, spec)
            changed = state.read(table)
        if changed is None:
            raise moved(table)
        return changed

    def _refuse_state_schema(self) -> None:
        if self._schema.casefold() == SCHEMA:
            raise DestinationRefused(
                f"The schema {SCHEMA} is reserved for the connector's own state."
            )

    def _targets(self, transaction: Transaction, name: str, spec: TableSpec) -> list[Target]:
        names = spec.routes.targets or (name,)
        return [Target(self._schema, each, transaction.schema.database) for each in names]

    def commit(self, batch: Batch) -> Committed:
        """Merges rows and moves cursors in one transaction."""
        return self._attempt(lambda: self._commit(batch))

    def _commit(self, batch: Batch) -> Committed:
        if not self.database.exists():
            raise moved(batch.table)
        with self._transaction("commit", batch.table, more=batch.more) as (transaction, state):
            committed = Commit(transaction, state, batch, self._run).batch(batch)
        self._grew(batch.table, committed)
        return committed

    def release(self) -> None:
        """Closes the connection that the last commit kept open for the next one."""
        self.database.release()

    def load(
        self, load: Load, rows: Iterable[pa.Table], quarantined: Sequence[Quarantined]
    ) -> Committed:
        """Puts every spooled row in the table in one transaction and ends the loading phase."""
        return forgetting(lambda: self._load(load, rows, quarantined))

    def _load(
        self, load: Load, rows: Iterable[pa.Table], quarantined: Sequence[Quarantined]
    ) -> Committed:
        if not self.database.exists():
            raise moved(load.table)
        with self._transaction("load", load.table) as (transaction, state):
            commit = Commit(transaction, state, load, self._run)
            committed = commit.load(load, rows, quarantined)
        self._grew(load.table, committed)
        return committed

    def rows(self, table: str) -> Generator[pa.RecordBatch, None, None]:
        """The table's rows, with columns `item.<attribute>` and `rest` as in `core.rows`.

        Rows that are marked as deleted are left out.
        """
        with self._reading(table) as (transaction, parts):
            yield from read_all(transaction, parts)

    def count(self, table: str) -> int:
        """How many rows the table has, without those marked as deleted."""
        return sum(self.counts(table).values())

    def counts(self, table: str) -> dict[str, int]:
        """How many rows each target has, without those marked as deleted."""
        with self._reading(table) as (transaction, parts):
            return count_all(transaction, parts)

    def described(
        self, table: str, declared: Mapping[str, Type], counted: Collection[str] | None = None
    ) -> list[FoundTable]:
        """The columns that there are of a table, beside the types `declared` of attributes.

        Values are counted of the attributes `counted`, or of all.
        """
        with self._staying(table) as (transaction, parts):
            return [
                described(
                    transaction, part.header, *part.state.all_columns(table), declared, counted
                )
                for part in parts
            ]

    def undescribed(self, table: str) -> bool:
        """Whether a column has another comment than the description that the state has of it."""
        with self._staying(table) as (transaction, parts):
            return any(undescribed(transaction, part, table) for part in parts)

    @contextmanager
    def _reading(self, table: str) -> Iterator[tuple[Transaction, list[tuple[Part, Found]]]]:
        """The targets of a planned table at one moment, as the connector made them."""
        with self._staying(table) as (transaction, parts):
            yield transaction, [(part, unchanged(transaction, part)) for part in parts]

    @contextmanager
    def _staying(self, table: str) -> Iterator[tuple[Transaction, list[Part]]]:
        """The targets of a planned table at one moment, without those that rows only leave."""
        if not self.database.exists():
            raise unknown(table)
        with self.database.read_only() as transaction:
            state = State(transaction.schema)
            header = state.header(table) if state.exists() else None
            if header is None:
                raise unknown(table)
            parts = parts_of(transaction.schema, state, header)
            yield transaction, [part for part in parts if not part.leaving]

    def changed_since(
        self, table: str, since: datetime, until: datetime
    ) -> Generator[tuple[str, bool], None, None]:
        """The keys of rows that changed after `since`, and whether that was by `until`."""
        with self._reading(table) as (transaction, parts):
            yield from all_changed_keys(transaction, parts, since, until)

    def mend(self, mend: Mend) -> TableState:
        """Replaces the cursors of all shards in one transaction; the rows stay as they are."""
        return self._attempt(lambda: self._mend(mend))

    def _mend(self, mend: Mend) -> TableState:
        if not self.database.exists():
            raise moved(mend.table)
        with self._transaction("mend", mend.table) as (_, state):
            return mended(state, mend)

    def query(self, sql: str) -> pa.Table:
        """The answer to a read-only query; names without a schema are those of the tables."""
        return self.database.query(sql, self._schema)

    def note(self, table: str, problem: str | None) -> None:
        """Records why a table needs a person, or that it no longer does."""
        if not self.database.exists():
            return
        with self._transaction("note", table) as (_, state):
            if state.exists():
                state.update(table, problem=problem)

    def reset(self, table: str, drop: bool) -> None:
        """Forgets the state of a table, and with `drop` the table itself."""
        if not self.database.exists():
            return
        with self._transaction("reset", table) as (transaction, state):
            header = state.header(table) if state.exists() else None
            if header is None:
                return
            parts = parts_of(transaction.schema, state, header)
            for part in parts if drop else []:
                drop_kept(transaction, part.state, part.header)
            state.forget(table)
            for part in parts if drop else []:
                transaction.ask(f"DROP TABLE IF EXISTS {part.header.target.sql}")

    def check(self, tables: Sequence[Wanted] = ()) -> Iterator[Need]:
        """Tries what every step does, also for each of `tables`, and changes nothing."""
        yield from Trial(self.database, self._schema).needs(tables)
        if self.copies is not None:
            yield tried("publish", self.copies.check)
