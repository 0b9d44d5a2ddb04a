"""A DuckDB file as destination: one process at a time, every commit one transaction."""

from collections import Counter
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import uuid4

import duckdb
import pyarrow as pa

from connector.core.cursors import Batch, Quarantined
from connector.core.names import COMMIT
from connector.core.state import Column, Committed, Load, Plan, Ran, TableState
from connector.destinations import duckdb_schema, table_columns
from connector.destinations.duckdb_commit import Commit
from connector.destinations.duckdb_connection import Connection, DuckDBFile, run, run_on_state
from connector.destinations.duckdb_errors import query_errors
from connector.destinations.duckdb_rows import count_rows, read_rows
from connector.destinations.duckdb_schema import DUCKDB
from connector.destinations.sql import Target, duckdb_fold, quoted
from connector.destinations.state import State
from connector.destinations.state_header import Header
from connector.destinations.state_tables import SCHEMA
from connector.destinations.step import check_key, moved, refuse_shared, unknown
from connector.errors import ConfigError, DestinationRefused
from connector.failpoints import failpoint
from connector.waits import Waits

# Measured with 5 million rows of 9 columns: with more memory, or more threads than two, neither a
# load nor a tail is faster.
DEFAULT_THREADS = 2
DEFAULT_MEMORY_LIMIT = "300MB"


class DuckDBDestination:
    """Tables and their state in one DuckDB file. `lock_timeout` is in seconds.

    The file is open only while an operation runs. `max_columns` bounds the attributes with a
    column of their own; further ones go to `_rest`.
    """

    def __init__(
        self,
        path: Path,
        schema: str = "main",
        *,
        lock_timeout: float = 60.0,
        threads: int | None = None,
        memory_limit: str | None = None,
        max_columns: int = 500,
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
        )
        self._schema = schema
        self._max_columns = max_columns
        self._run = (run_id or uuid4().hex, command)
        self._new_columns: Counter[str] = Counter()

    def read(self, table: str) -> TableState | None:
        """The state of a table, or None where it was never planned; makes no file."""
        if not self._file.exists():
            return None
        with self._file.open(read_only=True) as connection:
            state = _state_in(connection)
            return state.read(table) if state.exists() else None

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
        return replace(done, new_columns=self._new_columns[table])

    @contextmanager
    def _transaction(self, step: str, keep: bool = False) -> Iterator[tuple[Connection, State]]:
        """One transaction on a state that this program can read; nothing is kept on an error."""
        with self._file.open(keep=keep) as connection:
            connection.execute("BEGIN TRANSACTION")
            state = _state_in(connection)
            state.exists()
            yield connection, state
            failpoint(f"{step}.before_commit")
            connection.execute("COMMIT")
            failpoint(f"{step}.after_commit")

    def plan(self, plan: Plan) -> TableState:
        """Starts a generation and seeds all its cursors in one transaction."""
        target = Target(self._schema, plan.target)
        if duckdb_fold(self._schema) == SCHEMA:
            raise DestinationRefused(f"The schema {SCHEMA} is for the connector's own state.")
        with self._transaction("plan") as (connection, state):
            state.create()
            before = state.header(plan.table)
            if plan.replaces != (before.plan_id if before else None):
                raise moved(plan.table)
            refuse_shared(state, plan, target, duckdb_schema.same_target)
            columns = self._columns_to_start_with(connection, state, plan, target, before)
            newest = run(connection, f"SELECT max({quoted(COMMIT)}) AS newest FROM {target.sql}")[
                0
            ]["newest"]
            commit = max(newest or 0, before.commit if before else 0) + 1
            generation = (before.generation if before else 0) + 1
            state.start(plan, target, generation, commit)
            state.save_columns(plan.table, columns)
            state.journal.count(self._run, plan.table, _now(), (0, 0, 0))
            planned = state.read(plan.table)
        if planned is None:
            raise moved(plan.table)
        return planned

    def _columns_to_start_with(
        self,
        connection: Connection,
        state: State,
        plan: Plan,
        target: Target,
        before: Header | None,
    ) -> Mapping[str, Column]:
        actual = duckdb_schema.describe(connection, target)
        if not actual:
            columns = table_columns.key_columns(DUCKDB, plan.identity.keys)
            duckdb_schema.create(connection, target, columns)
            return columns
        if before is None or not duckdb_schema.same_target(before.target, target):
            return table_columns.adopt(DUCKDB, target, actual, plan.identity.keys)
        check_key(before, plan)
        columns = state.columns(plan.table)
        table_columns.verify(DUCKDB, target, actual, columns)
        return columns

    def commit(self, batch: Batch) -> Committed:
        """Merges rows and moves cursors in one transaction."""
        if not self._file.exists():
            raise moved(batch.table)
        with self._transaction("commit", keep=batch.more) as (connection, state):
            commit = Commit(connection, state, batch, self._run, self._max_columns)
            committed = commit.batch(batch)
        self._new_columns[batch.table] += committed.new_columns
        return committed

    def release(self) -> None:
        """Closes what a commit has left open for one that was to follow."""
        self._file.release()

    def load(
        self, load: Load, rows: Iterable[pa.Table], quarantined: Sequence[Quarantined]
    ) -> Committed:
        """Puts every spooled row in the table in one transaction and ends the loading phase."""
        if not self._file.exists():
            raise moved(load.table)
        with self._transaction("load") as (connection, state):
            commit = Commit(connection, state, load, self._run, self._max_columns)
            committed = commit.load(load, rows, quarantined)
        self._new_columns[load.table] += committed.new_columns
        return committed

    def rows(self, table: str) -> Generator[pa.RecordBatch, None, None]:
        """The table's rows, with columns `item.<attribute>` and `rest` as in `core.rows`.

        Rows that are marked as deleted are left out.
        """
        with self._reading(table) as (connection, state, target):
            columns = state.columns(table)
            actual = duckdb_schema.describe(connection, target)
            table_columns.verify(DUCKDB, target, actual, columns)
            yield from read_rows(connection, target, columns, actual)

    def count(self, table: str) -> int:
        """How many rows the table has, without those marked as deleted."""
        with self._reading(table) as (connection, state, target):
            actual = duckdb_schema.describe(connection, target)
            table_columns.verify(DUCKDB, target, actual, state.columns(table))
            return count_rows(connection, target, actual)

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
        if not self._file.exists():
            raise DestinationRefused(
                f"There is no file {self._file.path} yet.", "Run `connector sync` first."
            )
        with self._file.open(read_only=True) as connection, query_errors():
            if len(connection.extract_statements(sql)) > 1:
                raise ConfigError("One statement at a time.", "Run them one after the other.")
            answer = connection.sql(sql)
            return pa.table({}) if answer is None else _with_json(answer)

    def note(self, table: str, problem: str | None) -> None:
        """Remembers why a table needs a person, or that it no longer does."""
        if not self._file.exists():
            return
        with self._transaction("note") as (_, state):
            if state.exists():
                state.update(table, problem=problem)

    def reset(self, table: str, drop: bool) -> None:
        """Forgets the state of a table, and with `drop` the table itself."""
        if not self._file.exists():
            return
        with self._transaction("reset") as (connection, state):
            header = state.header(table) if state.exists() else None
            if header is None:
                return
            state.forget(table)
            if drop:
                connection.execute(f"DROP TABLE IF EXISTS {header.target.sql}")

    def check(self) -> str:
        """Proves that the file can be opened, or made, and written; changes nothing."""
        if self._file.exists():
            self._try(self._file)
        elif self._file.path.parent.is_dir():
            with TemporaryDirectory(dir=self._file.path.parent, prefix=".connector-") as folder:
                self._try(self._file.beside(Path(folder)))
        else:
            with self._file.open():
                pass
        return f"DuckDB {duckdb.__version__}, {self._file.path}"

    def _try(self, file: DuckDBFile) -> None:
        with file.open() as connection:
            connection.execute("BEGIN TRANSACTION")
            state = _state_in(connection)
            state.exists()
            state.create()
            connection.execute(f"CREATE SCHEMA IF NOT EXISTS {quoted(self._schema)}")
            connection.execute("ROLLBACK")


def _with_json(answer: duckdb.DuckDBPyRelation) -> pa.Table:
    """An answer in Arrow, where JSON is plain text unless it is said to be JSON."""
    table = answer.to_arrow_table()
    for index, type_ in enumerate(answer.types):
        if str(type_) == "JSON":
            texts = table.column(index).cast(pa.string()).cast(pa.json_())
            table = table.set_column(index, table.column_names[index], texts)
    return table


def _state_in(connection: Connection) -> State:
    return State(
        lambda sql, parameters: run_on_state(connection, sql, parameters),
        lambda: duckdb_schema.state_names(connection),
    )


def _now() -> datetime:
    return datetime.now(UTC)
