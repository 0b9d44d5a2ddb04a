"""A Postgres database as destination: each step is one transaction on a connection of its own."""

import random
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from hashlib import sha256
from typing import TypeVar
from uuid import uuid4

import pyarrow as pa

from connector.config_url import DestinationUrl
from connector.core.cursors import Batch, Quarantined
from connector.core.names import COMMIT
from connector.core.state import Column, Committed, Load, Plan, Ran, TableState
from connector.destinations import postgres_schema, table_columns
from connector.destinations.postgres_commit import Commit
from connector.destinations.postgres_connection import Connection, PostgresServer
from connector.destinations.postgres_errors import Conflict
from connector.destinations.postgres_rows import count_rows, read_rows, with_numbers
from connector.destinations.postgres_schema import Found
from connector.destinations.postgres_state import create_state, state_names
from connector.destinations.postgres_types import POSTGRES
from connector.destinations.sql import Target, quoted
from connector.destinations.state import State
from connector.destinations.state_header import Header
from connector.destinations.state_tables import SCHEMA
from connector.destinations.step import check_key, moved, refuse_shared, unknown
from connector.errors import DestinationRefused, Unreachable
from connector.failpoints import failpoint
from connector.waits import Waits

AGAIN_SECONDS = 10.0
"""For how long a commit is tried again that Postgres, or the way to it, did not let through."""

_PAUSE_SECONDS = (0.1, 1.0)

Result = TypeVar("Result")


class PostgresDestination:
    """Tables and their state in one Postgres database. `lock_timeout` is in seconds.

    `max_columns` bounds the attributes with a column of their own; further ones go to `_rest`.
    """

    def __init__(
        self,
        url: DestinationUrl,
        schema: str = "public",
        *,
        lock_timeout: float = 60.0,
        max_columns: int = 500,
        run_id: str = "",
        command: str = "",
        waits: Waits | None = None,
    ) -> None:
        self._waits = waits or Waits()
        self._server = PostgresServer(url, lock_timeout, self._waits)
        self._schema = schema
        self._max_columns = max_columns
        self._run = (run_id or uuid4().hex, command)
        self._new_columns: Counter[str] = Counter()

    def read(self, table: str) -> TableState | None:
        """The state of a table, or None where it was never planned."""
        with self._server.open(read_only=True) as connection:
            state = _state_in(connection)
            return state.read(table) if state.exists() else None

    def tables(self) -> list[str]:
        """Source tables that have a state here."""
        with self._server.open(read_only=True) as connection:
            state = _state_in(connection)
            return state.tables() if state.exists() else []

    def ran(self, table: str) -> Ran:
        """What was committed of a table through this object."""
        with self._server.open(read_only=True) as connection:
            state = _state_in(connection)
            done = state.journal.ran(self._run[0], table) if state.exists() else Ran()
        return replace(done, new_columns=self._new_columns[table])

    @contextmanager
    def _transaction(self, step: str, *locks: str) -> Iterator[tuple[Connection, State]]:
        """One transaction on a state that this program can read; nothing is kept on an error.

        Steps with a lock in common take turns; which of them may go on, their cursors decide.
        """
        with self._server.open() as connection:
            for name in locks:
                sql = "SELECT pg_advisory_xact_lock($1::bigint)::text AS held"
                connection.run(sql, [_lock_number(name)])
            state = _state_in(connection)
            state.exists()
            yield connection, state
            failpoint(f"{step}.before_commit")
            self._server.commit(connection)
            failpoint(f"{step}.after_commit")

    def plan(self, plan: Plan) -> TableState:
        """Starts a generation and seeds all its cursors in one transaction."""
        return _again(lambda: self._plan(plan), self._waits)

    def _plan(self, plan: Plan) -> TableState:
        target = Target(self._schema, plan.target)
        if self._schema == SCHEMA:
            raise DestinationRefused(f"The schema {SCHEMA} is for the connector's own state.")
        with self._transaction("plan", SCHEMA, plan.table) as (connection, state):
            create_state(connection)
            before = state.header(plan.table)
            if plan.replaces != (before.plan_id if before else None):
                raise moved(plan.table)
            refuse_shared(state, plan, target, _same_target)
            columns = self._columns_to_start_with(connection, state, plan, target, before)
            sql = f"SELECT max({quoted(COMMIT)}) AS newest FROM {target.sql}"
            newest = connection.run(sql)[0]["newest"] or 0
            commit = max(newest, before.commit if before else 0) + 1
            generation = (before.generation if before else 0) + 1
            state.start(plan, target, generation, commit)
            state.save_columns(plan.table, columns)
            state.journal.count(self._run, plan.table, datetime.now(UTC), (0, 0, 0))
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
        found = postgres_schema.describe(connection, target)
        if not found.columns:
            columns = table_columns.key_columns(POSTGRES, plan.identity.keys)
            postgres_schema.create(connection, target, columns)
            return columns
        if before is None or before.target != target:
            return postgres_schema.adopt(target, found, plan.identity.keys)
        check_key(before, plan)
        columns = state.columns(plan.table)
        postgres_schema.verify(target, found, columns, plan.identity.keys)
        return columns

    def commit(self, batch: Batch) -> Committed:
        """Merges rows and moves cursors in one transaction."""
        return _again(lambda: self._commit(batch), self._waits)

    def _commit(self, batch: Batch) -> Committed:
        with self._transaction("commit", batch.table) as (connection, state):
            commit = Commit(connection, state, batch, self._run, self._max_columns)
            committed = commit.batch(batch)
        self._new_columns[batch.table] += committed.new_columns
        return committed

    def release(self) -> None:
        """Every commit has closed its connection."""

    def load(
        self, load: Load, rows: Iterable[pa.Table], quarantined: Sequence[Quarantined]
    ) -> Committed:
        """Puts every spooled row in the table in one transaction and ends the loading phase."""
        with self._transaction("load", load.table) as (connection, state):
            commit = Commit(connection, state, load, self._run, self._max_columns)
            committed = commit.load(load, rows, quarantined)
        self._new_columns[load.table] += committed.new_columns
        return committed

    def rows(self, table: str) -> Generator[pa.RecordBatch, None, None]:
        """The table's rows, with columns `item.<attribute>` and `rest` as in `core.rows`.

        Rows that are marked as deleted are left out.
        """
        with self._reading(table) as (connection, state, target, found):
            yield from read_rows(connection, target, state.columns(table), found.columns)

    def count(self, table: str) -> int:
        """How many rows the table has, without those marked as deleted."""
        with self._reading(table) as (connection, _, target, found):
            return count_rows(connection, target, found.columns)

    @contextmanager
    def _reading(self, table: str) -> Iterator[tuple[Connection, State, Target, Found]]:
        """A planned table as it is at one moment, read only."""
        with self._server.open(read_only=True) as connection:
            state = _state_in(connection)
            header = state.header(table) if state.exists() else None
            if header is None:
                raise unknown(table)
            found = postgres_schema.describe(connection, header.target)
            columns = state.columns(table)
            postgres_schema.verify(header.target, found, columns, header.identity.keys)
            yield connection, state, header.target, found

    def query(self, sql: str) -> pa.Table:
        """The answer to a read-only query; names without a schema are those of the tables."""
        with self._server.open(read_only=True, path=quoted(self._schema)) as connection:
            return with_numbers(connection.query(sql))

    def note(self, table: str, problem: str | None) -> None:
        """Remembers why a table needs a person, or that it no longer does."""
        with self._transaction("note", table) as (_, state):
            if state.exists():
                state.update(table, problem=problem)

    def reset(self, table: str, drop: bool) -> None:
        """Forgets the state of a table, and with `drop` the table itself."""
        with self._transaction("reset", table) as (connection, state):
            header = state.header(table) if state.exists() else None
            if header is None:
                return
            state.forget(table)
            if drop:
                connection.execute(f"DROP TABLE IF EXISTS {header.target.sql}")

    def check(self) -> str:
        """Proves that the role may do what every step needs; changes nothing."""
        with self._server.open() as connection:
            state = _state_in(connection)
            state.exists()
            create_state(connection)
            postgres_schema.create_schema(connection, self._schema)
            probe = Target(self._schema, f"_connector_check_{uuid4().hex[:8]}")
            connection.execute(f"CREATE TABLE {probe.sql} (id bigint)")
            postgres_schema.try_key(connection, probe, ["id"])
            connection.run(f"SELECT count(*) AS n FROM {probe.sql}")
            connection.execute("CREATE TEMPORARY TABLE _connector_check ()")
            for target in state.targets().values():
                if postgres_schema.describe(connection, target).columns:
                    # Where row level security would hide rows, Postgres says so here.
                    connection.run(f"SELECT 1 AS found FROM {target.sql} LIMIT 1")
            found = connection.run("SELECT current_setting('server_version') AS version")
        return f"PostgreSQL {found[0]['version']}, {self._server.shown}"


def _state_in(connection: Connection) -> State:
    return State(connection.run_on_state, lambda: state_names(connection))


def _again(work: Callable[[], Result], waits: Waits) -> Result:
    """Does a whole transaction again that was rolled back through no fault of its own.

    Safe where the first one was committed after all: the second then finds its cursors moved.
    """
    deadline = time.monotonic() + AGAIN_SECONDS
    wait = waits.begin()
    while True:
        try:
            return work()
        except (Conflict, Unreachable):
            if time.monotonic() >= deadline:
                raise
            wait.goes_on("Postgres to let a commit through", deadline - time.monotonic())
        time.sleep(random.uniform(*_PAUSE_SECONDS))


def _same_target(one: Target, other: Target) -> bool:
    """Names that differ in case only are two tables here, but not wherever the data goes next."""
    return (one.schema.lower(), one.name.lower()) == (other.schema.lower(), other.name.lower())


def _lock_number(name: str) -> int:
    """The advisory lock of a table, or of the state: one of 2⁶⁴."""
    digest = sha256(f"connector {name}".encode()).digest()
    return int.from_bytes(digest[:8], signed=True)
