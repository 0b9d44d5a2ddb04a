"""One transaction of a Postgres database."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from hashlib import sha256
from typing import Any
from uuid import uuid4

import pyarrow as pa

from connector.core.names import VALID_TO
from connector.core.schema import Type
from connector.core.state import Column
from connector.destinations import trial
from connector.destinations.commits.load import Loading
from connector.destinations.commits.staging import Layout
from connector.destinations.database import Failure, Found, Merge, Transaction
from connector.destinations.postgres import check
from connector.destinations.postgres import schema as postgres_schema
from connector.destinations.postgres.layout import PostgresLayout
from connector.destinations.postgres.load import ROWS_AT_ONCE, Stage, load
from connector.destinations.postgres.merge import (
    IN_STAGE,
    buried_rows,
    delete_sql,
    left_sql,
    mark_sql,
    upsert_sql,
)
from connector.destinations.postgres.refusals import (
    hooked,
    in_the_way,
    meddled,
    swallowed,
    views_on,
)
from connector.destinations.postgres.session.connection import Connection, PostgresServer
from connector.destinations.postgres.state import state_schema
from connector.destinations.postgres.types import POSTGRES, staged_value
from connector.destinations.sql import OUTER, Target, quoted
from connector.destinations.table.in_the_way import blocked
from connector.errors import Busy, ConnectorError, DestinationRefused

_USED = "they use it"


class PostgresTransaction(Transaction):
    """A connection, on which the first statement begins a transaction."""

    dialect = POSTGRES
    layout = PostgresLayout

    def __init__(self, connection: Connection, server: PostgresServer) -> None:
        self._connection = connection
        self._server = server
        self.schema = state_schema(connection)
        self._written: Target | None = None
        """The table that is being written, until that has gone well."""

    def begin(self) -> None:
        """Does nothing: the next statement begins it."""

    def commit(self) -> None:
        """Commits the transaction."""
        self._server.commit(self._connection)

    def lock(self, names: Sequence[str]) -> None:
        """Locks out transactions with a name in common, until this one ends."""
        for name in names:
            sql = "SELECT pg_advisory_xact_lock($1::bigint)::text AS held"
            self._connection.run(sql, [_lock_number(name)])

    def ask(self, sql: str, parameters: Sequence[Any] = ()) -> list[dict[str, Any]]:
        """Runs one statement and returns its rows."""
        return self._connection.run(sql, parameters)

    def batches(self, sql: str) -> Iterator[pa.RecordBatch]:
        """The answer as it comes."""
        return self._connection.batches(sql)

    def describe(self, target: Target) -> Found:
        """A table as it is now. Raises DestinationRefused if this role does not own it."""
        return postgres_schema.describe(self._connection, target)

    def create(self, target: Target, columns: Mapping[str, Column]) -> None:
        """Creates a table with its key columns."""
        postgres_schema.create(self._connection, target, columns)

    def unused(self, target: Target) -> bool:
        """Whether a table is empty and nothing that others created depends on its columns."""
        return super().unused(target) and not postgres_schema.used(self._connection, target)

    def insert(
        self, target: Target, columns: str, query: str, parameters: Sequence[Any] = ()
    ) -> None:
        """Adds all rows of a query; what others made may have a say in it."""
        sql = f"INSERT INTO {target.sql} ({columns}) {query}"
        self._written = target
        if not meddled(self._connection, target):
            self.ask(sql, parameters)
        else:
            counted = f"SELECT count(*) AS n FROM ({query}) AS rows"
            rows = int(self.ask(counted, parameters)[0]["n"])
            arrived = self._connection.changed(sql, parameters)
            if arrived != rows:
                raise swallowed(self._connection, target, rows - arrived)
        self._written = None

    def delete(self, target: Target, condition: str, parameters: Sequence[Any] = ()) -> None:
        """Deletes the rows that meet a condition; what others made may have a say in it."""
        self._written = target
        super().delete(target, condition, parameters)
        if meddled(self._connection, target):
            left = f"SELECT count(*) AS n FROM {target.sql} AS {OUTER} WHERE {condition}"
            if rows := int(self.ask(left, parameters)[0]["n"]):
                raise swallowed(self._connection, target, 0, rows)
        self._written = None

    def widen(self, target: Target, column: Column, type_: Type) -> None:
        """Gives a column a wider type. Every value keeps its digits."""
        self._written = target
        super().widen(target, column, type_)
        self._written = None

    def explain(
        self, failure: Failure, target: Callable[[], Target | None]
    ) -> ConnectorError | None:
        """A better error if Postgres refused a statement because of an object of others."""
        said = self._connection.said
        if said is None or not isinstance(failure.cause, DestinationRefused):
            return None
        self._connection.rollback()
        found = self._written or target()
        if found is None:
            return None
        return in_the_way(
            self._connection, found, said, failure.cause, failure.widening, failure.dropping
        )

    def comments(self, target: Target) -> Mapping[str, str]:
        """The comments on the columns of a table or a view, by column."""
        return postgres_schema.comments(self._connection, target)

    def has_default(self, target: Target, column: str) -> bool:
        """Whether a column has a default."""
        return postgres_schema.has_default(self._connection, target, column)

    def taken(self, target: Target) -> bool:
        """Whether a table, or anything else that may not share its name, has this name."""
        return postgres_schema.taken(self._connection, target)

    @contextmanager
    def staged(self, rows: pa.Table, name: str) -> Iterator[None]:
        """Copies rows to a temporary table."""
        self._connection.stage(rows, name)
        yield
        self._connection.execute(f"DROP TABLE pg_temp.{name}")

    def merge(self, merge: Merge) -> int:
        """Merges the staged rows.

        Raises DestinationRefused if a trigger or a rule that somebody else created drops a row.
        """
        layout = merge.layout
        gone = self._connection.changed(delete_sql(layout)) if merge.deleted else 0
        # A key that was never there has no row to delete, so their number alone says nothing.
        if gone != merge.deleted and hooked(self._connection, layout.target):
            left = int(self.ask(left_sql(layout))[0]["n"])
            if left:
                raise swallowed(self._connection, layout.target, 0, left)
        for sql, rows in ((upsert_sql, merge.written), (mark_sql, merge.marked)):
            arrived = self._connection.changed(sql(layout), [merge.commit]) if rows else 0
            if arrived != rows:
                raise swallowed(self._connection, layout.target, rows - arrived)
        return gone

    def load(self, loading: Loading, tables: Iterable[pa.Table]) -> tuple[int, int]:
        """Brings in the rows of a scan."""
        return load(self._connection, loading, tables)

    @contextmanager
    def gathered(self, loading: Loading, tables: Iterable[pa.Table]) -> Iterator[None]:
        """Copies all rows of a scan to a temporary table."""
        stage = Stage(self._connection)
        loading.feed(tables, stage.take, ROWS_AT_ONCE)
        self._connection.execute(f"ANALYZE {IN_STAGE}")
        yield
        self._connection.execute(f"DROP TABLE {IN_STAGE}")

    def buried(self, layout: Layout, staged: str) -> str:
        """A query that has a row if a tombstone has the key of a staged row; `$2` is the source."""
        key_of = {
            column.name: staged_value(f"{staged}.{name}", column.type)
            for name, column in layout.keys_staged
        }
        return buried_rows(layout, key_of, "$2")

    def index_versions(self, target: Target, keys: Sequence[str]) -> None:
        """Indexes versions by their keys, for the life of an item, and by when they ended."""
        names = ", ".join(map(quoted, keys))
        self.ask(f"CREATE INDEX ON {target.sql} ({names})")
        self.ask(f"CREATE INDEX ON {target.sql} USING brin ({quoted(VALID_TO)})")

    def drop(self, target: Target, what: str = "table") -> None:
        """Drops a table, or a view, that is kept beside a replicated table."""
        if in_way := views_on(self._connection, target):
            raise blocked(f"The {what} {target} cannot be dropped", in_way, _USED)
        super().drop(target, what)

    def drop_view(self, view: Target) -> list[str]:
        """Drops a view; returns the statements that grant again what was granted on it."""
        if in_way := views_on(self._connection, view):
            what = f"The view {view} cannot be made anew with other columns"
            raise blocked(what, in_way, _USED)
        grants = postgres_schema.grants_on(self._connection, view)
        self.ask(f"DROP VIEW {view.sql}")
        return grants

    def looked_at(self, target: Target) -> Mapping[str, str]:
        """The columns of a table; none if there is no such table, or it belongs to another role."""
        try:
            return self.describe(target).columns
        except DestinationRefused:
            return {}

    def move_view(self, have: Target, want: Target) -> None:
        """Renames a view; what was granted on it stays."""
        self.move(have, want)

    def view_columns(self, view: Target) -> Mapping[str, str]:
        """The columns of a view, or of a table, with their SQL types; none if it is not there."""
        return postgres_schema.view_columns(self._connection, view)

    def try_new(self, target: Target, key: Mapping[str, Column]) -> None:
        """Drops the key, copies a row, creates the key and columns, and deletes."""
        check.load(self._connection, target)
        trial.try_columns(self, target)
        self._connection.changed(f"DELETE FROM {target.sql}")

    def try_rows(self, target: Target, key: Sequence[Column]) -> str:
        """Inserts and deletes a row, and adds a column unless somebody holds a lock."""
        check.use(self._connection, target, key)
        self._connection.run(check.SHORTLY)
        try:
            trial.try_column(self, target)
        except Busy:
            # Postgres checks the privilege before it waits for the lock.
            return "no column was tried, since another session holds a lock"
        return ""

    def move(self, have: Target, want: Target) -> None:
        """Renames a table; its key, its indexes and the views on it stay."""
        moving = have
        if have.schema != want.schema:
            postgres_schema.create_schema(self._connection, want.schema)
            # Its old name may be taken in the new schema, and its new name in the old one.
            moving = Target(have.schema, f"_connector_moving_{uuid4().hex[:8]}")
            super().move(have, moving)
            self.ask(f"ALTER TABLE {moving.sql} SET SCHEMA {quoted(want.schema)}")
            moving = Target(want.schema, moving.name)
        if moving.name != want.name:
            super().move(moving, want)


def _lock_number(name: str) -> int:
    """The number of the advisory lock for a table or for the state: one of 2⁶⁴."""
    digest = sha256(f"connector {name}".encode()).digest()
    return int.from_bytes(digest[:8], signed=True)
