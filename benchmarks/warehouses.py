"""The destinations of a benchmark, each empty at the start and asked by its own driver."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any, Protocol

KINDS = ("duckdb", "postgres")


class Warehouse(Protocol):
    """A place for the table `load`."""

    kind: str
    url: str
    """As `--to` names it."""

    def ask(self, sql: str) -> tuple[Any, ...]:
        """The only row of a query, read without the connector."""
        ...

    def clean(self) -> None:
        """Makes it empty again."""
        ...


def compare(place: Warehouse, sql: str, *expected: int | Decimal) -> None:
    """Raises AssertionError where the only row of a query is not what was served."""
    found = tuple(map(Decimal, place.ask(sql)))
    if found != expected:
        raise AssertionError(f"{place.url} has {found}, and {expected} was served: {sql}")


class DuckDBFile:
    """A file in a folder."""

    kind = "duckdb"

    def __init__(self, folder: Path) -> None:
        self.file = folder / "warehouse.duckdb"
        self.url = f"duckdb:///{self.file}"

    def ask(self, sql: str) -> tuple[Any, ...]:
        """The only row of a query."""
        import duckdb

        with duckdb.connect(self.file, read_only=True) as connection:
            return connection.execute(sql).fetchone() or ()

    def clean(self) -> None:
        """Removes the file."""
        self.file.unlink(missing_ok=True)


class PostgresDatabase:
    """A database on a real server."""

    kind = "postgres"

    def __init__(self, database: Any) -> None:
        self._database = database
        self.url: str = database.url

    def ask(self, sql: str) -> tuple[Any, ...]:
        """The only row of a query."""
        rows: Sequence[tuple[Any, ...]] = self._database.by_hand(sql)
        return rows[0]

    def clean(self) -> None:
        """Drops every schema."""
        self._database.clean()


@contextmanager
def warehouse(kind: str, folder: Path) -> Iterator[Warehouse]:
    """An empty warehouse of a kind; a Postgres runs as long as the block does."""
    with ExitStack() as stack:
        yield _MAKE[kind](folder, stack)


def _postgres(folder: Path, stack: ExitStack) -> Warehouse:
    # Only a benchmark of Postgres needs its driver.
    from tests.rigs.postgres import administer, database, server_url

    server = stack.enter_context(server_url())
    if "TEST_POSTGRES_URL" not in os.environ:
        # What a machine with two cores would be given; the default is a quarter of a percent.
        settings = ("ALTER SYSTEM SET max_wal_size = '8GB'", "ALTER SYSTEM SET autovacuum = on")
        administer(server, *settings, "SELECT pg_reload_conf()")
    return PostgresDatabase(stack.enter_context(database(server)))


_MAKE: dict[str, Callable[[Path, ExitStack], Warehouse]] = {
    "duckdb": lambda folder, _: DuckDBFile(folder),
    "postgres": _postgres,
}
