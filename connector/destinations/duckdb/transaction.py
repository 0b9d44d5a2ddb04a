"""One transaction of a DuckDB file."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import pyarrow as pa

from connector.core.names import DELETED, OP
from connector.core.rows import REST as REST_FIELD
from connector.core.state import Column
from connector.destinations import trial
from connector.destinations.commits.load import Loading
from connector.destinations.commits.staging import Layout
from connector.destinations.database import Failure, Found, Merge, Transaction
from connector.destinations.duckdb import check
from connector.destinations.duckdb import schema as duckdb_schema
from connector.destinations.duckdb.load import load
from connector.destinations.duckdb.merge import buried_sql, merge, temporary
from connector.destinations.duckdb.refusals import in_the_way, is_of_a_table
from connector.destinations.duckdb.session.connection import Connection, changed, roll_back, run
from connector.destinations.duckdb.state import state_schema
from connector.destinations.duckdb.types import DUCKDB, duckdb_fold
from connector.destinations.sql import STAGED, Target, quoted
from connector.errors import ConfigError, ConnectorError

# A row can have 400 KB, so this bounds a batch at 200 MB.
_ROWS_AT_ONCE = 512
_READ = "_connector_read"


class DuckDBTransaction(Transaction):
    """A connection to a file, in a transaction; closing it rolls back what was not committed."""

    dialect = DUCKDB

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.schema = state_schema(connection)

    def ask(self, sql: str, parameters: Sequence[Any] = ()) -> list[dict[str, Any]]:
        """Runs one statement and returns its rows."""
        return run(self._connection, sql, parameters)

    def batches(self, sql: str) -> Iterator[pa.RecordBatch]:
        """The answer as it comes."""
        return iter(self._connection.sql(sql).to_arrow_reader(_ROWS_AT_ONCE))

    def describe(self, target: Target) -> Found:
        """A table as it is now."""
        return Found(duckdb_schema.describe(self._connection, target))

    def taken(self, target: Target) -> bool:
        """Whether anything has this name."""
        return duckdb_schema.taken(self._connection, target)

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

    def comments(self, target: Target) -> Mapping[str, str]:
        """The comments on the columns of a table or a view, by column."""
        return duckdb_schema.comments(self._connection, target)

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

    @contextmanager
    def gathered(self, loading: Loading, tables: Iterable[pa.Table]) -> Iterator[None]:
        """Copies all rows of a scan to a temporary table, which may outgrow the memory."""
        there = False

        def take(reader: pa.RecordBatchReader) -> int:
            nonlocal there
            self._connection.register(_READ, reader)
            if there:
                # The feed stopped because `_rest` was needed.
                self.ask(f"ALTER TABLE {temporary(STAGED)} ADD COLUMN {REST_FIELD} JSON")
                taken = changed(
                    self._connection,
                    f"INSERT INTO {temporary(STAGED)} BY NAME SELECT * FROM {_READ}",
                    [],
                )
            else:
                sql = f"CREATE TEMP TABLE {STAGED} AS SELECT * FROM {_READ}"
                taken = changed(self._connection, sql, [])
            self._connection.unregister(_READ)
            there = True
            return taken

        loading.feed(tables, take)
        yield
        self.ask(f"DROP TABLE {temporary(STAGED)}")

    def buried(self, layout: Layout, staged: str) -> str:
        """A query that has a row if a tombstone has the key of a staged row; `$2` is the source."""
        return buried_sql(layout, staged, "$2")

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
            f"{quoted(name)} {DUCKDB.optional[name] if self._is_ours(have, name) else sql}"
            for name, sql in self.describe(have).columns.items()
        )
        self.ask(f"CREATE TABLE {want.sql} ({body})")
        self.ask(f"INSERT INTO {want.sql} SELECT * FROM {have.sql}")
        self.ask(f"DROP TABLE {have.sql}")

    def _is_ours(self, target: Target, name: str) -> bool:
        """Whether a column is one of ours with a default; an attribute's column has none."""
        return name in (DELETED, OP) and self.has_default(target, name)

    def _refuse(self, target: Target, where: str, what: str) -> None:
        """Raises ConfigError if the table has something that would stay behind."""
        if duckdb_schema.has(self._connection, target, where):
            raise ConfigError(
                f"The table {target} has {what}, so it cannot be renamed.",
                "Nothing was changed. Drop it and run again, or keep the old name.",
            )
