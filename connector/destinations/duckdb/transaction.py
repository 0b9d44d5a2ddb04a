"""One transaction of a DuckDB file."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import pyarrow as pa

from connector.core.names import DELETED
from connector.core.state import Column
from connector.destinations import trial
from connector.destinations.commits.load import Loading
from connector.destinations.database import Failure, Found, Merge, Transaction
from connector.destinations.duckdb import check
from connector.destinations.duckdb import schema as duckdb_schema
from connector.destinations.duckdb.load import load
from connector.destinations.duckdb.merge import merge
from connector.destinations.duckdb.refusals import in_the_way, is_of_a_table
from connector.destinations.duckdb.session.connection import Connection, roll_back, run
from connector.destinations.duckdb.state import state_schema
from connector.destinations.duckdb.types import DELETED_TYPE, DUCKDB, duckdb_fold
from connector.destinations.sql import Target, quoted
from connector.errors import ConfigError, ConnectorError

# A row can have 400 KB, so this bounds a batch at 200 MB.
_ROWS_AT_ONCE = 512


class DuckDBTransaction(Transaction):
    """A connection to a file, in a transaction; closing it rolls back what was not committed."""

    dialect = DUCKDB

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.schema = state_schema(connection)

    def ask(self, sql: str, parameters: Sequence[Any] = ()) -> list[dict[str, Any]]:
        """Runs one statement and returns its rows, none of which may hold a time with a zone."""
        return run(self._connection, sql, parameters)

    def batches(self, sql: str) -> Iterator[pa.RecordBatch]:
        """The answer as it comes."""
        return iter(self._connection.sql(sql).to_arrow_reader(_ROWS_AT_ONCE))

    def describe(self, target: Target) -> Found:
        """A table as it is now."""
        return Found(duckdb_schema.describe(self._connection, target))

    def create(self, target: Target, columns: Mapping[str, Column]) -> None:
        """Creates a table with its key columns, and its schema if absent."""
        self.ask(f"CREATE SCHEMA IF NOT EXISTS {target.schema_sql}")
        super().create(target, columns)

    def unused(self, target: Target) -> bool:
        """Whether a table is empty and nothing that others created depends on its columns."""
        return super().unused(target) and not duckdb_schema.used(self._connection, target)

    def explain(
        self, failure: Failure, target: Callable[[], Target | None]
    ) -> ConnectorError | None:
        """A better error if DuckDB refused a statement because of an object of others."""
        if not is_of_a_table(failure.cause):
            return None
        roll_back(self._connection)
        found = target()
        if found is None:
            return None
        return in_the_way(
            self._connection, found, failure.cause, failure.widening, failure.dropping
        )

    def has_default(self, target: Target, column: str) -> bool:
        """Whether a column has a default."""
        return duckdb_schema.has_default(self._connection, target, column)

    @contextmanager
    def staged(self, rows: pa.Table, name: str) -> Iterator[None]:
        """Lets statements read the rows directly from Arrow."""
        self._connection.register(name, rows)
        yield
        self._connection.unregister(name)

    def merge(self, merge_: Merge) -> int:
        """Merges the staged rows."""
        return merge(self._connection, merge_)

    def load(self, loading: Loading, tables: Iterable[pa.Table]) -> tuple[int, int]:
        """Brings in the rows of a scan."""
        return load(self._connection, loading, tables)

    def try_new(self, target: Target, key: Mapping[str, Column]) -> None:
        """Adds columns and a row."""
        trial.try_columns(self, target)
        check.insert(self._connection, target, key.values())

    def try_rows(self, target: Target, key: Sequence[Column]) -> str:
        """Adds a column and a row."""
        trial.try_column(self, target)
        check.insert(self._connection, target, key)
        return ""

    def move(self, have: Target, want: Target) -> None:
        """Renames a table; into another schema it is copied, since DuckDB has no other way."""
        if duckdb_fold(have.schema) == duckdb_fold(want.schema):
            self._refuse(have, "duckdb_indexes", "an index")
            if have.name != want.name:
                super().move(have, want)
            return
        for where, what in (("duckdb_indexes", "an index"), ("duckdb_constraints", "a constraint")):
            self._refuse(have, where, what)
        self.ask(f"CREATE SCHEMA IF NOT EXISTS {want.schema_sql}")
        body = ", ".join(
            f"{quoted(name)} {DELETED_TYPE if self._is_mark(have, name) else sql}"
            for name, sql in self.describe(have).columns.items()
        )
        self.ask(f"CREATE TABLE {want.sql} ({body})")
        self.ask(f"INSERT INTO {want.sql} SELECT * FROM {have.sql}")
        self.ask(f"DROP TABLE {have.sql}")

    def _is_mark(self, target: Target, name: str) -> bool:
        """Whether a column marks rows; an attribute's column has no default."""
        return duckdb_fold(name) == DELETED and self.has_default(target, DELETED)

    def _refuse(self, target: Target, where: str, what: str) -> None:
        """Raises ConfigError if the table has something that would stay behind."""
        if duckdb_schema.has(self._connection, target, where):
            raise ConfigError(
                f"The table {target} has {what}, so it cannot be renamed.",
                "Nothing was changed. Drop it and run again, or keep the old name.",
            )
