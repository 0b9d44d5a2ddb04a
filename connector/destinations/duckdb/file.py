"""A DuckDB file as destination: one process at a time, every commit one transaction."""

from collections import Counter
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import pyarrow as pa

from connector.core.cursors import Batch, Quarantined
from connector.core.names import COMMIT
from connector.core.needs import Need, Wanted
from connector.core.spec import TableSpec
from connector.core.state import Committed, Load, Plan, Ran, TableState
from connector.destinations.commits.step import moved, unknown
from connector.destinations.duckdb import schema as duckdb_schema
from connector.destinations.duckdb.check import DuckDBCheck
from connector.destinations.duckdb.commit import Commit
from connector.destinations.duckdb.reading.query import answered
from connector.destinations.duckdb.reading.rows import count_rows, read_rows
from connector.destinations.duckdb.refusals import in_the_way, is_of_a_table
from connector.destinations.duckdb.schema import DUCKDB, DuckDBTables
from connector.destinations.duckdb.session.connection import (
    Connection,
    DuckDBFile,
    database_of,
    roll_back,
    run,
)
from connector.destinations.duckdb.session.errors import query_errors
from connector.destinations.queries.errors import NO_STATEMENT, SEVERAL
from connector.destinations.queries.statement import one_statement
from connector.destinations.sql import Target, duckdb_fold, quoted
from connector.destinations.state.store import State
from connector.destinations.state.tables import SCHEMA
from connector.destinations.table import columns as table_columns
from connector.destinations.table.in_the_way import NotWidened, explained, forgetting
from connector.destinations.table.reshape import Reshape
from connector.errors import ConfigError, ConnectorError, DestinationRefused
from connector.failpoints import failpoint
from connector.stop import MACHINE
from connector.waits import Waits

# Measured with 5 million rows of 9 columns: with more memory, or more threads than two, neither a
# load nor a tail is faster.
DEFAULT_THREADS = 2
DEFAULT_MEMORY_LIMIT = "300MB"


class DuckDBDestination:
    """Tables and their state in one DuckDB file. `lock_timeout` is in seconds.

    The file is open only while an operation runs. `storage_version` is the oldest DuckDB, such as
    1.4, that must be able to read the file.
    """

    def __init__(
        self,
        path: Path,
        schema: str = "main",
        *,
        lock_timeout: float = 60.0,
        threads: int | None = None,
        memory_limit: str | None = None,
        storage_version: str | None = None,
        run_id: str = "",
        command: str = "",
        waits: Waits | None = None,
    ) -> None:
        self._file = DuckDBFile(
            path=path,
            threads=threads or DEFAULT_THREADS,
            memory_limit=memory_limit or DEFAULT_MEMORY_LIMIT,
            lock_timeout=lock_timeout,
            waits=waits or Waits(),
            storage_version=storage_version,
        )
        self._schema = schema
        self._run = (run_id or uuid4().hex, command)
        self._new_columns: Counter[str] = Counter()
        self._widened_columns: Counter[str] = Counter()

    def read(self, table: str) -> TableState | None:
        """The state of a table, or None where it was never planned; makes no file."""
        if not self._file.exists():
            return None
        with self._file.open(read_only=True) as connection:
            state = _state_in(connection)
            return state.read(table) if state.exists() else None

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Lets the reads of this thread share what they open: that takes longer than most of them.

        Other processes wait meanwhile, and this thread cannot write.
        """
        with ExitStack() as opened:
            if self._file.exists():
                opened.enter_context(self._file.open(read_only=True))
            yield

    def tables(self) -> list[str]:
        """Source tables that have a state here."""
        if not self._file.exists():
            return []
        with self._file.open(read_only=True) as connection:
            state = _state_in(connection)
            return state.tables() if state.exists() else []

    def ran(self, table: str) -> Ran:
        """What was committed of a table through this object."""
        if not self._file.exists():
            return Ran()
        with self._file.open(read_only=True) as connection:
            state = _state_in(connection)
            done = state.journal.ran(self._run[0], table) if state.exists() else Ran()
        new, widened = self._new_columns[table], self._widened_columns[table]
        return replace(done, new_columns=new, widened_columns=widened)

    def _grew(self, table: str, committed: Committed) -> None:
        self._new_columns[table] += committed.new_columns
        self._widened_columns[table] += committed.widened_columns

    @contextmanager
    def _transaction(
        self, step: str, table: str, keep: bool = False
    ) -> Iterator[tuple[Connection, State]]:
        """One transaction on a state that this program can read; nothing is kept on an error."""
        with self._file.open(keep=keep) as connection:
            connection.execute("BEGIN TRANSACTION")
            state = _state_in(connection)
            if state.outdated:
                state.migrate()
                failpoint("migrate.before_commit")
                connection.execute("COMMIT")
                failpoint("migrate.after_commit")
                connection.execute("BEGIN TRANSACTION")

            def explain(cause: Exception, widening: NotWidened | None) -> ConnectorError | None:
                if not is_of_a_table(cause):
                    return None
                roll_back(connection)
                state = _state_in(connection)
                header = state.header(table) if state.exists() else None
                if header is None:
                    return None
                dropping = step == "reset"
                return in_the_way(connection, header.target, cause, widening, dropping)

            with explained(explain):
                yield connection, state
                failpoint(f"{step}.before_commit")
                connection.execute("COMMIT")
            failpoint(f"{step}.after_commit")

    def plan(self, plan: Plan) -> TableState:
        """Starts a generation and seeds all its cursors in one transaction."""
        self._refuse_state_schema()
        with self._transaction("plan", plan.table) as (connection, state):
            target = self._target(connection, plan.target)
            state.create()
            before = state.header(plan.table)
            if plan.replaces != (before.plan_id if before else None):
                raise moved(plan.table)
            Reshape(DuckDBTables(connection), state).begin(plan, target, before)
            newest = run(connection, f"SELECT max({quoted(COMMIT)}) AS newest FROM {target.sql}")[
                0
            ]["newest"]
            commit = max(newest or 0, before.commit if before else 0) + 1
            generation = (before.generation if before else 0) + 1
            state.start(plan, target, generation, commit)
            state.journal.count(self._run, plan.table, MACHINE.now(), (0, 0, 0))
            planned = state.read(plan.table)
        if planned is None:
            raise moved(plan.table)
        return planned

    def reconfigure(self, table: str, target: str, spec: TableSpec) -> TableState:
        """Applies a changed configuration in one transaction, where the rows allow it."""
        self._refuse_state_schema()
        if not self._file.exists():
            raise unknown(table)
        with self._transaction("reconfigure", table) as (connection, state):
            wanted = self._target(connection, target)
            Reshape(DuckDBTables(connection), state).reconfigure(table, wanted, spec)
            changed = state.read(table)
        if changed is None:
            raise moved(table)
        return changed

    def _refuse_state_schema(self) -> None:
        if duckdb_fold(self._schema) == SCHEMA:
            raise DestinationRefused(f"The schema {SCHEMA} is for the connector's own state.")

    def _target(self, connection: Connection, name: str) -> Target:
        return Target(self._schema, name, database_of(connection))

    def commit(self, batch: Batch) -> Committed:
        """Merges rows and moves cursors in one transaction."""
        return forgetting(lambda: self._commit(batch))

    def _commit(self, batch: Batch) -> Committed:
        if not self._file.exists():
            raise moved(batch.table)
        with self._transaction("commit", batch.table, keep=batch.more) as (connection, state):
            commit = Commit(connection, state, batch, self._run)
            committed = commit.batch(batch)
        self._grew(batch.table, committed)
        return committed

    def release(self) -> None:
        """Closes what a commit has left open for one that was to follow."""
        self._file.release()

    def load(
        self, load: Load, rows: Iterable[pa.Table], quarantined: Sequence[Quarantined]
    ) -> Committed:
        """Puts every spooled row in the table in one transaction and ends the loading phase."""
        return forgetting(lambda: self._load(load, rows, quarantined))

    def _load(
        self, load: Load, rows: Iterable[pa.Table], quarantined: Sequence[Quarantined]
    ) -> Committed:
        if not self._file.exists():
            raise moved(load.table)
        with self._transaction("load", load.table) as (connection, state):
            commit = Commit(connection, state, load, self._run)
            committed = commit.load(load, rows, quarantined)
        self._grew(load.table, committed)
        return committed

    def rows(self, table: str) -> Generator[pa.RecordBatch, None, None]:
        """The table's rows, with columns `item.<attribute>` and `rest` as in `core.rows`.

        Rows that are marked as deleted are left out.
        """
        with self._reading(table) as (connection, state, target):
            columns, retired = state.all_columns(table)
            actual = duckdb_schema.describe(connection, target)
            table_columns.verify(DUCKDB, target, actual, columns)
            yield from read_rows(connection, target, columns, retired, actual)

    def count(self, table: str) -> int:
        """How many rows the table has, without those marked as deleted."""
        with self._reading(table) as (connection, state, target):
            actual = duckdb_schema.describe(connection, target)
            columns, retired = state.all_columns(table)
            table_columns.verify(DUCKDB, target, actual, columns)
            return count_rows(connection, target, retired | columns, actual)

    @contextmanager
    def _reading(self, table: str) -> Iterator[tuple[Connection, State, Target]]:
        """A planned table, read only."""
        if not self._file.exists():
            raise unknown(table)
        with self._file.open(read_only=True) as connection:
            state = _state_in(connection)
            header = state.header(table) if state.exists() else None
            if header is None:
                raise unknown(table)
            yield connection, state, header.target

    def query(self, sql: str) -> pa.Table:
        """The answer to a read-only query."""
        return forgetting(lambda: self._query(sql))

    def _query(self, sql: str) -> pa.Table:
        if not self._file.exists():
            raise DestinationRefused(
                f"There is no file {self._file.path} yet.", "Run `connector sync` first."
            )
        statement = one_statement(sql)[0]
        with self._file.open(read_only=True) as connection, query_errors(sql):
            count = len(connection.extract_statements(sql))
            if count == 0:
                raise ConfigError(*NO_STATEMENT)
            if count > 1:
                raise ConfigError(*SEVERAL)
            answer = connection.sql(statement)
            return pa.table({}) if answer is None else answered(answer)

    def note(self, table: str, problem: str | None) -> None:
        """Remembers why a table needs a person, or that it no longer does."""
        if not self._file.exists():
            return
        with self._transaction("note", table) as (_, state):
            if state.exists():
                state.update(table, problem=problem)

    def reset(self, table: str, drop: bool) -> None:
        """Forgets the state of a table, and with `drop` the table itself."""
        if not self._file.exists():
            return
        with self._transaction("reset", table) as (connection, state):
            header = state.header(table) if state.exists() else None
            if header is None:
                return
            state.forget(table)
            if drop:
                connection.execute(f"DROP TABLE IF EXISTS {header.target.sql}")

    def check(self, tables: Sequence[Wanted] = ()) -> Iterator[Need]:
        """Tries what every step does, for each of `tables` too; changes nothing, makes no file."""
        return DuckDBCheck(self._file, self._schema).needs(tables)


def _state_in(connection: Connection) -> State:
    return State(duckdb_schema.state_schema(connection))
