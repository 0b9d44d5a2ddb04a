"""A Postgres database as destination: each step is one transaction on a connection of its own."""

import random
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from hashlib import sha256
from typing import TypeVar
from uuid import uuid4

import pyarrow as pa

from connector.core.cursors import Batch, Quarantined
from connector.core.names import COMMIT
from connector.core.needs import Need, Wanted
from connector.core.spec import TableSpec
from connector.core.state import Committed, Load, Plan, Ran, TableState
from connector.destinations.backend import DestinationUrl
from connector.destinations.commits.step import moved, unknown
from connector.destinations.postgres import schema as postgres_schema
from connector.destinations.postgres.check import PostgresCheck
from connector.destinations.postgres.commit import Commit
from connector.destinations.postgres.reading.query import answered
from connector.destinations.postgres.reading.rows import count_rows, read_rows
from connector.destinations.postgres.refusals import in_the_way
from connector.destinations.postgres.schema import Found, PostgresTables
from connector.destinations.postgres.session.connection import Connection, PostgresServer
from connector.destinations.postgres.session.errors import Conflict
from connector.destinations.postgres.state import state_schema
from connector.destinations.sql import Target, quoted
from connector.destinations.state.store import State
from connector.destinations.state.tables import SCHEMA
from connector.destinations.table.in_the_way import NotWidened, explained, forgetting
from connector.destinations.table.reshape import Reshape
from connector.errors import ConnectorError, DestinationRefused, Unreachable
from connector.failpoints import failpoint
from connector.stop import MACHINE
from connector.waits import Waits

AGAIN_SECONDS = 10.0
"""For how long a commit is tried again that Postgres, or the way to it, did not let through."""

_PAUSE_SECONDS = (0.1, 1.0)

Result = TypeVar("Result")


class PostgresDestination:
    """Tables and their state in one Postgres database. `lock_timeout` is in seconds."""

    def __init__(
        self,
        url: DestinationUrl,
        schema: str = "public",
        *,
        lock_timeout: float = 60.0,
        run_id: str = "",
        command: str = "",
        waits: Waits | None = None,
    ) -> None:
        self._waits = waits or Waits()
        self._server = PostgresServer(url, lock_timeout, self._waits)
        self._schema = schema
        self._run = (run_id or uuid4().hex, command)
        self._new_columns: Counter[str] = Counter()
        self._widened_columns: Counter[str] = Counter()

    def read(self, table: str) -> TableState | None:
        """The state of a table, or None where it was never planned."""
        with self._server.open(read_only=True) as connection:
            state = _state_in(connection)
            return state.read(table) if state.exists() else None

    def reading(self) -> AbstractContextManager[None]:
        """Reads share nothing here: a connection is made quickly."""
        return nullcontext()

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
        new, widened = self._new_columns[table], self._widened_columns[table]
        return replace(done, new_columns=new, widened_columns=widened)

    def _grew(self, table: str, committed: Committed) -> None:
        self._new_columns[table] += committed.new_columns
        self._widened_columns[table] += committed.widened_columns

    @contextmanager
    def _transaction(self, step: str, *locks: str) -> Iterator[tuple[Connection, State]]:
        """One transaction on a state that this program can read; nothing is kept on an error.

        Steps with a lock in common take turns; which of them may go on, their cursors decide.
        """
        with self._server.open() as connection:
            state = self._begun(connection, locks)

            def explain(cause: Exception, widening: NotWidened | None) -> ConnectorError | None:
                if connection.said is None or not isinstance(cause, DestinationRefused):
                    return None
                return _named(connection, locks[-1], cause, widening, step == "reset")

            with explained(explain):
                yield connection, state
                failpoint(f"{step}.before_commit")
                self._server.commit(connection)
            failpoint(f"{step}.after_commit")

    def _begun(self, connection: Connection, locks: Sequence[str]) -> State:
        """The state, under some locks; one of an earlier version is migrated before."""
        _lock(connection, locks)
        state = _state_in(connection)
        if not state.outdated:
            return state
        # A transaction of its own, which waits for no table's lock while it has the state's.
        connection.commit()
        _lock(connection, [SCHEMA])
        state = _state_in(connection)
        if state.outdated:
            state.migrate()
        failpoint("migrate.before_commit")
        self._server.commit(connection)
        failpoint("migrate.after_commit")
        return self._begun(connection, locks)

    def plan(self, plan: Plan) -> TableState:
        """Starts a generation and seeds all its cursors in one transaction."""
        return _again(lambda: self._plan(plan), self._waits)

    def _plan(self, plan: Plan) -> TableState:
        target = self._target(plan.target)
        with self._transaction("plan", SCHEMA, plan.table) as (connection, state):
            state.create()
            before = state.header(plan.table)
            if plan.replaces != (before.plan_id if before else None):
                raise moved(plan.table)
            Reshape(PostgresTables(connection), state).begin(plan, target, before)
            sql = f"SELECT max({quoted(COMMIT)}) AS newest FROM {target.sql}"
            newest = connection.run(sql)[0]["newest"] or 0
            commit = max(newest, before.commit if before else 0) + 1
            generation = (before.generation if before else 0) + 1
            state.start(plan, target, generation, commit)
            state.journal.count(self._run, plan.table, MACHINE.now(), (0, 0, 0))
            planned = state.read(plan.table)
        if planned is None:
            raise moved(plan.table)
        return planned

    def reconfigure(self, table: str, target: str, spec: TableSpec) -> TableState:
        """Applies a changed configuration in one transaction, where the rows allow it."""
        return _again(lambda: self._reconfigure(table, target, spec), self._waits)

    def _reconfigure(self, table: str, target: str, spec: TableSpec) -> TableState:
        wanted = self._target(target)
        with self._transaction("reconfigure", SCHEMA, table) as (connection, state):
            Reshape(PostgresTables(connection), state).reconfigure(table, wanted, spec)
            changed = state.read(table)
        if changed is None:
            raise moved(table)
        return changed

    def _target(self, name: str) -> Target:
        if self._schema == SCHEMA:
            raise DestinationRefused(f"The schema {SCHEMA} is for the connector's own state.")
        return Target(self._schema, name)

    def commit(self, batch: Batch) -> Committed:
        """Merges rows and moves cursors in one transaction."""
        return _again(lambda: self._commit(batch), self._waits)

    def _commit(self, batch: Batch) -> Committed:
        with self._transaction("commit", batch.table) as (connection, state):
            commit = Commit(connection, state, batch, self._run)
            committed = commit.batch(batch)
        self._grew(batch.table, committed)
        return committed

    def release(self) -> None:
        """Every commit has closed its connection."""

    def load(
        self, load: Load, rows: Iterable[pa.Table], quarantined: Sequence[Quarantined]
    ) -> Committed:
        """Puts every spooled row in the table in one transaction and ends the loading phase."""
        return forgetting(lambda: self._load(load, rows, quarantined))

    def _load(
        self, load: Load, rows: Iterable[pa.Table], quarantined: Sequence[Quarantined]
    ) -> Committed:
        with self._transaction("load", load.table) as (connection, state):
            commit = Commit(connection, state, load, self._run)
            committed = commit.load(load, rows, quarantined)
        self._grew(load.table, committed)
        return committed

    def rows(self, table: str) -> Generator[pa.RecordBatch, None, None]:
        """The table's rows, with columns `item.<attribute>` and `rest` as in `core.rows`.

        Rows that are marked as deleted are left out.
        """
        with self._reading(table) as (connection, state, target, found):
            columns, retired = state.all_columns(table)
            yield from read_rows(connection, target, columns, retired, found.columns)

    def count(self, table: str) -> int:
        """How many rows the table has, without those marked as deleted."""
        with self._reading(table) as (connection, state, target, found):
            columns, retired = state.all_columns(table)
            return count_rows(connection, target, retired | columns, found.columns)

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
            return answered(connection, sql)

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

    def check(self, tables: Sequence[Wanted] = ()) -> Iterator[Need]:
        """Tries what every step does, for each of `tables` too; changes nothing."""
        return PostgresCheck(self._server, self._schema).needs(tables)


def _named(
    connection: Connection,
    table: str,
    cause: DestinationRefused,
    widening: NotWidened | None,
    dropping: bool,
) -> ConnectorError | None:
    """The error with what is in the way of a table; None where nobody can say."""
    said = connection.said or {}
    try:
        connection.rollback()
        state = _state_in(connection)
        header = state.header(table) if state.exists() else None
        if header is None:
            return None
        return in_the_way(connection, header.target, said, cause, widening, dropping)
    except ConnectorError:
        # The cause itself is what counts: without the catalog it has fewer names.
        return None


def _state_in(connection: Connection) -> State:
    return State(state_schema(connection))


def _lock(connection: Connection, names: Sequence[str]) -> None:
    for name in names:
        sql = "SELECT pg_advisory_xact_lock($1::bigint)::text AS held"
        connection.run(sql, [_lock_number(name)])


def _again(work: Callable[[], Result], waits: Waits) -> Result:
    """Does a whole transaction again that was rolled back through no fault of its own.

    Safe where the first one was committed after all: the second then finds its cursors moved.
    """
    deadline = time.monotonic() + AGAIN_SECONDS
    wait = waits.begin()
    while True:
        try:
            return forgetting(work)
        except (Conflict, Unreachable):
            if time.monotonic() >= deadline:
                raise
            wait.goes_on("Postgres to let a commit through", deadline - time.monotonic())
        time.sleep(random.uniform(*_PAUSE_SECONDS))


def _lock_number(name: str) -> int:
    """The advisory lock of a table, or of the state: one of 2⁶⁴."""
    digest = sha256(f"connector {name}".encode()).digest()
    return int.from_bytes(digest[:8], signed=True)
