"""Sessions on a Postgres server, a new one for each operation, and the transaction in each."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from threading import Lock
from typing import Any, Literal, TypeAlias, TypeVar

import adbc_driver_postgresql
import pyarrow as pa
from adbc_driver_manager import AdbcConnection, AdbcDatabase, Error, dbapi

from connector.destinations.backend import DestinationUrl
from connector.destinations.postgres.session import idle
from connector.destinations.postgres.session.errors import (
    Translate,
    guarded,
    of_the_connection,
    of_the_query,
    of_the_state,
    said_by,
    translated,
)
from connector.destinations.postgres.url.libpq import libpq_url
from connector.destinations.queries.errors import NO_ROWS
from connector.errors import ConfigError, ConnectorError, DestinationRefused, Unreachable
from connector.waits import Found, Waits

Rows: TypeAlias = "pa.RecordBatchReader | pa.Table"
Asked = TypeVar("Asked")

OLDEST = 130_000
# Before version 14, Postgres does not report since when.
_BLOCKED = """
SELECT array_to_string(pg_blocking_pids($1::int), ', ') AS holders, coalesce((
    SELECT extract(epoch FROM clock_timestamp() - min((to_jsonb(l) ->> 'waitstart')::timestamptz))
    FROM pg_locks AS l WHERE l.pid = $1::int AND NOT l.granted
), 0)::float8 AS seconds
"""
ANSWER_SECONDS = 10.0
"""How long to ask whether a COMMIT arrived, after its connection was lost."""

# The settings of a role or a server must not change the meaning of a statement: names are looked up
# in our schemas, rows are not filtered silently, and notices do not go to standard error.
_SETTINGS = {
    "client_encoding": "UTF8",
    "client_min_messages": "error",
    "TimeZone": "UTC",
    "DateStyle": "ISO, MDY",
    "IntervalStyle": "postgres",
    "bytea_output": "hex",
    "extra_float_digits": "1",
    "lc_monetary": "C",
    "standard_conforming_strings": "on",
    "transform_null_equals": "off",
    "default_transaction_isolation": "read committed",
    "row_security": "off",
}


class Connection:
    """One transaction on one connection; it is rolled back unless `commit` is called."""

    def __init__(self, connection: dbapi.Connection, server: str) -> None:
        self._connection = connection
        self._server = server
        self.process = 0
        """The id of the server process that serves the connection."""
        self.said: dict[str, str] | None = None
        """The server's message about the last failed statement, which may contain values."""

    def run(self, sql: str, parameters: Sequence[Any] = ()) -> list[dict[str, Any]]:
        """Runs one statement and returns its rows."""
        return self._guarded(translated, lambda: self._run(sql, parameters))

    def run_on_state(self, sql: str, parameters: Sequence[Any]) -> list[dict[str, Any]]:
        """As `run`, for statements on the state's own tables."""
        return self._guarded(of_the_state, lambda: self._run(sql, parameters))

    def _guarded(self, translate: Translate, work: Callable[[], Asked]) -> Asked:
        def remembering(server: str, error: Error) -> ConnectorError:
            self.said = said_by(error)
            return translate(server, error)

        return guarded(self._server, remembering, work)

    def execute(self, sql: str) -> None:
        """Runs one statement that returns no rows."""
        self.run(sql)

    def changed(self, sql: str, parameters: Sequence[Any] = ()) -> int:
        """Runs a statement that changes rows and returns how many."""
        counted = f"WITH changed AS ({sql} RETURNING 1) SELECT count(*) AS n FROM changed"
        return int(self.run(counted, parameters)[0]["n"])

    def _run(self, sql: str, parameters: Sequence[Any]) -> list[dict[str, Any]]:
        with self._connection.cursor() as cursor:
            cursor.execute(_whole(sql), list(parameters))
            rows: list[dict[str, Any]] = cursor.fetch_arrow_table().to_pylist()
            return rows

    def batches(self, sql: str) -> Iterator[pa.RecordBatch]:
        """The answer as it comes."""
        with self._connection.cursor() as cursor:
            self._guarded(translated, lambda: cursor.execute(_whole(sql)))
            reader = cursor.fetch_record_batch()
            while batch := self._guarded(translated, lambda: next(reader, None)):
                yield batch

    def described(self, sql: str) -> pa.Schema:
        """The columns that a user's own query will have; it does not run yet."""
        return self._asked(lambda: self._described(sql), sql)

    def _described(self, sql: str) -> pa.Schema:
        with self._connection.cursor() as cursor:
            return cursor.adbc_execute_schema(_whole(sql))

    def query(self, sql: str) -> pa.Table:
        """The answer to a user's own query."""
        return self._asked(lambda: self._query(sql), sql, running=True)

    def _asked(self, work: Callable[[], Asked], sql: str, running: bool = False) -> Asked:
        def translate(server: str, error: Error) -> ConnectorError:
            return of_the_query(server, error, sql, running)

        try:
            return guarded(self._server, translate, work)
        except Unreachable:
            # For a statement without rows, such as COPY, the driver reports nothing more either.
            if not self._is_alive():
                raise
        raise ConfigError(*NO_ROWS)

    def _is_alive(self) -> bool:
        try:
            self.rollback()
            self.run("SELECT 1 AS alive")
        except ConnectorError:
            return False
        return True

    def _query(self, sql: str) -> pa.Table:
        # COPY, which is faster, knows neither SHOW nor EXPLAIN.
        options = {"adbc.postgresql.use_copy": "false"}
        with self._connection.cursor(adbc_stmt_kwargs=options) as cursor:
            cursor.execute(_whole(sql))
            return cursor.fetch_arrow_table()

    def ingest(self, rows: Rows, table: str, schema: str | None = None) -> int:
        """Adds rows by COPY, to a table or, without a schema, to a temporary one."""
        return self._guarded(translated, lambda: self._ingest(rows, table, "append", schema))

    def stage(self, rows: Rows, name: str) -> int:
        """Copies rows to a new temporary table, in the types that ADBC has for theirs."""
        return self._guarded(translated, lambda: self._ingest(rows, name, "create", None))

    def _ingest(
        self, rows: Rows, table: str, mode: Literal["append", "create"], schema: str | None
    ) -> int:
        with self._connection.cursor() as cursor:
            temporary = schema is None
            return int(
                cursor.adbc_ingest(
                    table, rows, mode=mode, db_schema_name=schema, temporary=temporary
                )
            )

    def commit(self) -> None:
        """Ends the transaction."""
        self._guarded(translated, self._connection.commit)

    def rollback(self) -> None:
        """Ends a transaction that failed, so that the catalog can be asked why."""
        self._guarded(translated, self._connection.rollback)


def _whole(sql: str) -> str:
    # libpq would read the part before the NUL as the whole statement.
    if "\0" in sql:
        raise DestinationRefused("A name with a NUL cannot be a schema or a table in Postgres.")
    return sql


class _Borrowed:
    """A database that outlives a connection to it; opening a new one costs another connection."""

    def __init__(self, database: AdbcDatabase) -> None:
        self._database = database

    def close(self) -> None:
        """Does nothing: the database stays open for the next connection."""


_databases: dict[str, AdbcDatabase] = {}
"""Shared by all tables of this process, since opening one reads every type on the server."""
_opening = Lock()


class PostgresServer:
    """A database on a server. `lock_timeout` is in seconds; its texts never contain a password."""

    def __init__(
        self, url: DestinationUrl, lock_timeout: float, waits: Waits | None = None
    ) -> None:
        self.shown = str(url)
        self._url = url
        self._lock_timeout = lock_timeout
        self._waits = waits or Waits()

    def _opened(self, url: str) -> AdbcDatabase:
        with _opening:
            if url not in _databases:
                _databases[url] = adbc_driver_postgresql.connect(url)
            return _databases[url]

    @contextmanager
    def open(self, *, read_only: bool = False, path: str = "pg_catalog") -> Iterator[Connection]:
        """A new session; what it does not commit is rolled back at the end.

        A read-only session sees one snapshot of the database throughout. Names without a schema
        are looked up in `path`.
        """
        url = libpq_url(self._url.reveal())
        connection = guarded(self.shown, of_the_connection, lambda: self._connect(url))
        try:
            yield from self._session(Connection(connection, self.shown), read_only, path)
        except BaseException:
            connection.close()
            raise
        idle.keep(url, connection)

    def _session(self, opened: Connection, read_only: bool, path: str) -> Iterator[Connection]:
        self._settle(opened, path)
        if read_only:
            opened.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
            yield opened
            return
        with self._waits.watched(lambda: self._lock(opened.process)):
            yield opened

    def _lock(self, process: int) -> Found | None:
        """The lock that one of our processes waits for, looked up on another connection."""
        try:
            with self.open(read_only=True) as connection:
                found = connection.run(_BLOCKED, [process])[0]
        except ConnectorError:
            # This is only for the log: a real problem will reach the block itself.
            return None
        if not found["holders"]:
            return None
        what = f"a lock in Postgres, which process {found['holders']} holds"
        return what, self._lock_timeout - found["seconds"]

    def _connect(self, url: str) -> dbapi.Connection:
        if kept := idle.take(url):
            return kept
        database = self._opened(url)
        borrowed: Any = _Borrowed(database)
        return dbapi.Connection(borrowed, AdbcConnection(database))

    def _settle(self, connection: Connection, path: str) -> None:
        settings = _SETTINGS | {
            "search_path": f"{path}, pg_temp",
            "lock_timeout": f"{max(1, round(self._lock_timeout * 1000))}ms",
        }
        calls = ", ".join(
            f"pg_catalog.set_config(${2 * place + 1}, ${2 * place + 2}, false)"
            for place in range(len(settings))
        )
        found = connection.run(
            "SELECT pg_catalog.current_setting('server_version_num')::int AS version, "
            "pg_catalog.pg_backend_pid() AS process, "
            f"pg_catalog.pg_encoding_to_char(encoding) AS encoding, ARRAY[{calls}] AS done "
            "FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database()",
            [text for pair in settings.items() for text in pair],
        )[0]
        connection.commit()
        connection.process = found["process"]
        if found["version"] < OLDEST:
            raise DestinationRefused(
                f"{self.shown} is older than PostgreSQL {OLDEST // 10_000}.", "Upgrade it."
            )
        if found["encoding"] != "UTF8":
            raise DestinationRefused(
                f"The database of {self.shown} has the encoding {found['encoding']}, which cannot "
                "hold every text.",
                "Use a database with the encoding UTF8.",
            )

    def commit(self, connection: Connection) -> None:
        """Commits. If the answer is lost, asks the server whether the transaction was committed."""
        found = connection.run("SELECT pg_current_xact_id_if_assigned()::text AS id")
        try:
            connection.commit()
        except Unreachable:
            if not found[0]["id"] or not self._is_committed(found[0]["id"]):
                raise

    def _is_committed(self, transaction: str) -> bool:
        deadline = time.monotonic() + ANSWER_SECONDS
        while time.monotonic() < deadline:
            status = self._status(transaction)
            if status in ("committed", "aborted"):
                return status == "committed"
            time.sleep(0.1)
        return False

    def _status(self, transaction: str) -> str | None:
        """The outcome of a transaction; None if it is unknown, or not known yet."""
        try:
            with self.open(read_only=True) as connection:
                sql = "SELECT pg_xact_status($1::text::xid8) AS status"
                status: str | None = connection.run(sql, [transaction])[0]["status"]
                return status
        except ConnectorError:
            # The server is down, or another one that never saw it: the next run compares cursors.
            return None
