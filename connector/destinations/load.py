"""Every spooled row of a generation into a DuckDB table, in bounded memory."""

from collections.abc import Iterable, Iterator, Mapping

import duckdb
import pyarrow as pa

from connector.core.names import CHANGED_AT, COMMIT
from connector.core.schema import Type
from connector.destinations.duckdb_connection import Connection, changed, run
from connector.destinations.duckdb_schema import add_rest
from connector.destinations.merge import (
    STAGED,
    Layout,
    insert_sql,
    not_streamed,
    overflows,
    without_rest,
)
from connector.destinations.sql import quoted


class Feed:
    """Tables of rows on their way into the database, one at a time.

    It stops before the first table that needs a column `_rest` where there is none yet.
    """

    def __init__(self, tables: Iterable[pa.Table]) -> None:
        self._tables = iter(tables)
        self._waiting: pa.Table | None = None
        self._ended = False
        self.needs_rest = False
        self.failure: BaseException | None = None

    @property
    def ended(self) -> bool:
        """Whether every table was taken."""
        return self._ended

    def reader(self, layout: Layout) -> pa.RecordBatchReader:
        """The rows up to the end or the stop, staged."""
        nothing = layout.stage(pa.table({}))
        return pa.RecordBatchReader.from_batches(nothing.schema, self._batches(layout))

    def _batches(self, layout: Layout) -> Iterator[pa.RecordBatch]:
        try:
            while (rows := self._next()) is not None:
                if not len(rows):
                    continue
                if not layout.rest:
                    if overflows(rows, layout.columns):
                        self._waiting, self.needs_rest = rows, True
                        return
                    rows = without_rest(rows)
                yield from layout.stage(rows).to_batches()
        except BaseException as error:
            # DuckDB reads this generator and would replace what went wrong by an error of its own.
            self.failure = error
            raise

    def _next(self) -> pa.Table | None:
        rows, self._waiting = self._waiting, None
        if rows is None:
            rows = next(self._tables, None)
        self._ended = rows is None
        return rows


class Loading:
    """The statements of one load, inside its transaction."""

    def __init__(
        self,
        connection: Connection,
        table: str,
        layout: Layout,
        start_commit: int,
        commit: int,
    ) -> None:
        self._connection = connection
        self._table = table
        self._layout = layout
        self._start = start_commit
        self._commit = commit

    def insert(self, tables: Iterable[pa.Table], wanted: Mapping[str, Type], plain: bool) -> int:
        """Adds the rows; those that the stream has overtaken only where `plain` says none are."""
        feed = Feed(tables)
        inserted = 0
        while not feed.ended:
            if feed.needs_rest and not self._layout.rest:
                add_rest(self._connection, self._layout.target)
                kept = self._layout
                self._layout = Layout.of(kept.target, kept.keys, kept.columns, wanted, True)
            inserted += self._insert(feed, plain)
        return inserted

    def _insert(self, feed: Feed, plain: bool) -> int:
        sql = insert_sql(self._layout, "" if plain else not_streamed(self._layout))
        parameters = [self._commit] if plain else [self._commit, self._start, self._table]
        self._connection.register(STAGED, feed.reader(self._layout))
        try:
            inserted = changed(self._connection, sql, parameters)
        except duckdb.Error:
            if feed.failure is not None:
                raise feed.failure from None
            raise
        self._connection.unregister(STAGED)
        return inserted

    def streamed(self) -> bool:
        """Whether the stream has written a row since `plan`."""
        sql = f"SELECT 1 FROM {self._layout.target.sql} WHERE {quoted(COMMIT)} > $1 LIMIT 1"
        return bool(run(self._connection, sql, [self._start]))

    def delete_earlier(self) -> int:
        """Deletes the rows of earlier generations; returns how many keys are gone with them."""
        commit, target = quoted(COMMIT), self._layout.target.sql
        if not run(
            self._connection, f"SELECT 1 FROM {target} WHERE {commit} <= $1 LIMIT 1", [self._start]
        ):
            return 0
        vanished = run(
            self._connection,
            f"SELECT count(*) AS vanished FROM {target} AS o WHERE o.{commit} <= $1 AND NOT EXISTS "
            f"(SELECT 1 FROM {target} AS n WHERE n.{commit} > $1 "
            f"AND {self._layout.same_key('n', 'o')})",
            [self._start],
        )
        changed(self._connection, f"DELETE FROM {target} WHERE {commit} <= $1", [self._start])
        return int(vanished[0]["vanished"])

    def repair(self) -> int:
        """Keeps the newest of loaded rows that share a key; returns how many others there were.

        A key is scanned twice where it was deleted and made again while the scan went on.
        """
        target, commit = self._layout.target.sql, quoted(COMMIT)
        keys = ", ".join(quoted(column.name) for _, column in self._layout.keys_staged)
        self._connection.execute(
            f"CREATE TEMP TABLE _connector_twice AS SELECT {keys}, count(*) AS _connector_count "
            f"FROM {target} WHERE {commit} = $1 GROUP BY {keys} HAVING count(*) > 1",
            [self._commit],
        )
        found = run(
            self._connection, "SELECT sum(_connector_count - 1)::BIGINT AS n FROM _connector_twice"
        )
        surplus = found[0]["n"] or 0
        if surplus:
            self._keep_newest()
        self._connection.execute("DROP TABLE temp._connector_twice")
        return int(surplus)

    def _keep_newest(self) -> None:
        target, commit = self._layout.target.sql, quoted(COMMIT)
        keys = ", ".join(quoted(column.name) for _, column in self._layout.keys_staged)
        twice = (
            f"t.{commit} = $1 AND EXISTS (SELECT 1 FROM temp._connector_twice AS d "
            f"WHERE {self._layout.same_key('t', 'd')})"
        )
        self._connection.execute(
            f"CREATE TEMP TABLE _connector_newest AS SELECT t.* FROM {target} AS t WHERE {twice} "
            f"QUALIFY row_number() OVER (PARTITION BY {keys} ORDER BY {quoted(CHANGED_AT)} DESC) "
            "= 1",
            [self._commit],
        )
        self._connection.execute(f"DELETE FROM {target} AS t WHERE {twice}", [self._commit])
        self._connection.execute(f"INSERT INTO {target} SELECT * FROM temp._connector_newest")
        self._connection.execute("DROP TABLE temp._connector_newest")
