"""A DuckDB file as destination: one process at a time, every commit one transaction."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pyarrow as pa

from connector.destinations.database import Database, Transaction
from connector.destinations.destination import DatabaseDestination
from connector.destinations.duckdb.check import about, tried_file
from connector.destinations.duckdb.publish.publication import Publication
from connector.destinations.duckdb.query import answered
from connector.destinations.duckdb.session.connection import DuckDBFile
from connector.destinations.duckdb.session.errors import query_errors
from connector.destinations.duckdb.transaction import DuckDBTransaction
from connector.destinations.queries.errors import NO_STATEMENT, SEVERAL
from connector.destinations.queries.statement import one_statement
from connector.destinations.table.in_the_way import forgetting
from connector.errors import ConfigError, DestinationRefused
from connector.waits import Waits

# Measured with 5 million rows of 9 columns: with more memory, or more threads than two, neither a
# load nor a tail is faster.
DEFAULT_THREADS = 2
DEFAULT_MEMORY_LIMIT = "300MB"


class DuckDBDestination(DatabaseDestination):
    """Tables and their state in one DuckDB file. `lock_timeout` is in seconds.

    The file is open only while an operation runs. `storage_version` is the oldest DuckDB, such as
    1.4, that must be able to read the file. Copies for readers are published as `publish`, at most
    every `publish_seconds`.
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
        publish: Path | None = None,
        publish_seconds: float = 300.0,
    ) -> None:
        self._file = DuckDBFile(
            path=path,
            threads=threads or DEFAULT_THREADS,
            memory_limit=memory_limit or DEFAULT_MEMORY_LIMIT,
            lock_timeout=lock_timeout,
            waits=waits or Waits(),
            storage_version=storage_version,
        )
        super().__init__(_DuckDBDatabase(self._file), schema, run_id, command)
        if publish is not None:
            self.copies = Publication(self._file, publish, publish_seconds)


class _DuckDBDatabase(Database):
    """A file that is opened separately for each transaction."""

    def __init__(self, file: DuckDBFile) -> None:
        self._file = file

    def exists(self) -> bool:
        """Whether there is a file yet."""
        return self._file.exists()

    @contextmanager
    def begin(self, more: bool = False) -> Iterator[Transaction]:
        """A transaction that may write; with `more` the file stays open for the next one."""
        with self._file.open(keep=more) as connection:
            transaction = DuckDBTransaction(connection)
            transaction.begin()
            yield transaction

    @contextmanager
    def read_only(self) -> Iterator[Transaction]:
        """A connection that only reads."""
        with self._file.open(read_only=True) as connection:
            yield DuckDBTransaction(connection)

    @contextmanager
    def held_open(self) -> Iterator[None]:
        """Keeps the file open: opening it takes longer than most reads."""
        with ExitStack() as opened:
            if self._file.exists():
                opened.enter_context(self._file.open(read_only=True))
            yield

    def release(self) -> None:
        """Closes a file that was kept open."""
        self._file.release()

    def query(self, sql: str, schema: str) -> pa.Table:
        """The answer to a user's own query."""
        return forgetting(lambda: self._query(sql))

    def _query(self, sql: str) -> pa.Table:
        if not self._file.exists():
            raise DestinationRefused(
                f"There is no file {self._file.path} yet.", "Run `connector sync` first."
            )
        statement = one_statement(sql)[0]
        with self._file.asked() as connection, query_errors(sql):
            count = len(connection.extract_statements(sql))
            if count == 0:
                raise ConfigError(*NO_STATEMENT)
            if count > 1:
                raise ConfigError(*SEVERAL)
            answer = connection.sql(statement)
            return pa.table({}) if answer is None else answered(answer)

    def about(self) -> str:
        """DuckDB's version, the file and the free space."""
        return about(self._file)

    @contextmanager
    def trial(self) -> Iterator[Transaction]:
        """A transaction that leaves nothing behind, in the file or in a temporary one beside it."""
        # The next need follows at once; what is beside is removed before.
        with tried_file(self._file) as file, file.open(keep=file is self._file) as connection:
            transaction = DuckDBTransaction(connection)
            transaction.begin()
            yield transaction
            connection.execute("ROLLBACK")
