"""A Postgres database as destination: each step is one transaction on a connection of its own."""

import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import pyarrow as pa

from connector.destinations.backend import DestinationUrl
from connector.destinations.database import Database, Transaction
from connector.destinations.destination import DatabaseDestination
from connector.destinations.postgres.query import answered
from connector.destinations.postgres.session.connection import PostgresServer
from connector.destinations.postgres.session.errors import Conflict
from connector.destinations.postgres.transaction import PostgresTransaction
from connector.destinations.sql import quoted
from connector.errors import Unreachable
from connector.waits import Waits

AGAIN_SECONDS = 10.0
"""How long a commit is retried if Postgres, or the connection to it, failed."""

_PAUSE_SECONDS = (0.1, 1.0)

Result = TypeVar("Result")


class PostgresDestination(DatabaseDestination):
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
        waits = waits or Waits()
        self._server = PostgresServer(url, lock_timeout, waits)
        super().__init__(_PostgresDatabase(self._server, waits), schema, run_id, command)


class _PostgresDatabase(Database):
    """A server that each transaction connects to separately."""

    def __init__(self, server: PostgresServer, waits: Waits) -> None:
        self._server = server
        self._waits = waits

    @contextmanager
    def begin(self, more: bool = False) -> Iterator[Transaction]:
        """A transaction that may write."""
        with self._server.open() as connection:
            yield PostgresTransaction(connection, self._server)

    @contextmanager
    def read_only(self) -> Iterator[Transaction]:
        """A transaction that sees one snapshot of the database throughout."""
        with self._server.open(read_only=True) as connection:
            yield PostgresTransaction(connection, self._server)

    def attempt(self, work: Callable[[], Result]) -> Result:
        """Repeats a whole transaction that a conflict or a lost connection rolled back.

        This is safe even if the first one was committed: the second then raises CursorMoved.
        """
        deadline = time.monotonic() + AGAIN_SECONDS
        wait = self._waits.begin()
        while True:
            try:
                return work()
            except (Conflict, Unreachable):
                if time.monotonic() >= deadline:
                    raise
                wait.goes_on("Postgres to let a commit through", deadline - time.monotonic())
            time.sleep(random.uniform(*_PAUSE_SECONDS))

    def query(self, sql: str, schema: str) -> pa.Table:
        """The answer to a user's own query."""
        with self._server.open(read_only=True, path=quoted(schema)) as connection:
            return answered(connection, sql)

    def about(self) -> str:
        """Postgres' version and the server."""
        with self._server.open() as connection:
            found = connection.run("SELECT current_setting('server_version') AS version")
        return f"PostgreSQL {found[0]['version']}, {self._server.shown}"
