"""Loads every spooled row of a generation into a DuckDB table, in bounded memory."""

from collections.abc import Iterable

import pyarrow as pa

from connector.core.names import CHANGED_AT, COMMIT, DELETED
from connector.destinations.commits.load import Loading
from connector.destinations.duckdb.merge import insert_sql, not_streamed, temporary
from connector.destinations.duckdb.session.connection import Connection, changed, run
from connector.destinations.duckdb.types import SURPLUS
from connector.destinations.sql import OUTER, STAGED, quoted

_TWICE = "_connector_twice"
_NEWEST = "_connector_newest"


def load(connection: Connection, loading: Loading, tables: Iterable[pa.Table]) -> tuple[int, int]:
    """Brings in every row; returns how many were written and how many earlier ones deleted."""
    work = _Load(connection, loading)
    written = work.insert(tables) - work.repair()
    return written, work.delete_earlier()


class _Load:
    """The statements of one load, inside its transaction."""

    def __init__(self, connection: Connection, loading: Loading) -> None:
        self._connection = connection
        self._loading = loading
        self._commit = loading.commit

    def insert(self, tables: Iterable[pa.Table]) -> int:
        """Adds the rows that the stream has not overtaken."""
        return self._loading.feed(tables, self._insert)

    def _insert(self, reader: pa.RecordBatchReader) -> int:
        loading, layout = self._loading, self._loading.layout
        plain = not loading.streamed and not loading.overtaken
        sql = insert_sql(layout, "" if plain else not_streamed(layout))
        more = [] if plain else [loading.start, loading.table]
        self._connection.register(STAGED, reader)
        inserted = changed(self._connection, sql, [self._commit, *more])
        self._connection.unregister(STAGED)
        return inserted

    def delete_earlier(self) -> int:
        """Deletes the rows of earlier generations; returns how many of them were not replaced.

        A row that is marked as deleted stays, unless its item exists again. Raises TooManyDeletes
        if too many would vanish.
        """
        loading = self._loading
        earlier = loading.count(loading.earlier)
        gone = f"{loading.earlier} AND NOT {self._again}"
        vanishing = earlier and loading.count(gone)
        loading.refuse_too_many(vanishing, earlier, gone)
        if earlier:
            self._delete(loading.earlier)
        if loading.layout.marks:
            commit, deleted = quoted(COMMIT), quoted(DELETED)
            marked = f"{OUTER}.{commit} <= $1 AND {OUTER}.{deleted} IS TRUE"
            self._delete(f"{marked} AND {self._again}")
        return vanishing

    def _delete(self, condition: str) -> None:
        sql = f"DELETE FROM {self._loading.target} AS {OUTER} WHERE {condition}"
        changed(self._connection, sql, [self._loading.start])

    @property
    def _again(self) -> str:
        """A condition that this generation has a row with the same key."""
        return (
            f"EXISTS (SELECT 1 FROM {self._loading.target} AS n "
            f"WHERE n.{quoted(COMMIT)} > $1 AND {self._loading.layout.same_key('n', OUTER)})"
        )

    def repair(self) -> int:
        """Keeps the newest of loaded rows that share a key; returns how many others there were.

        A key is scanned twice if it was deleted and created again during the scan.
        """
        target, commit = self._loading.target, quoted(COMMIT)
        self._connection.execute(
            f"CREATE TEMP TABLE {_TWICE} AS SELECT {self._keys}, count(*) - 1 AS {SURPLUS} "
            f"FROM {target} WHERE {commit} = $1 GROUP BY {self._keys} HAVING count(*) > 1",
            [self._commit],
        )
        found = run(
            self._connection, f"SELECT sum({SURPLUS})::BIGINT AS n FROM {temporary(_TWICE)}"
        )
        surplus = int(found[0]["n"] or 0)
        if surplus:
            self._keep_newest()
        self._connection.execute(f"DROP TABLE {temporary(_TWICE)}")
        return surplus

    @property
    def _keys(self) -> str:
        return ", ".join(quoted(column.name) for _, column in self._loading.layout.keys_staged)

    def _keep_newest(self) -> None:
        target, commit = self._loading.target, quoted(COMMIT)
        twice = (
            f"{OUTER}.{commit} = $1 AND EXISTS (SELECT 1 FROM {temporary(_TWICE)} AS d "
            f"WHERE {self._loading.layout.same_key(OUTER, 'd')})"
        )
        self._connection.execute(
            f"CREATE TEMP TABLE {_NEWEST} AS SELECT {OUTER}.* FROM {target} AS {OUTER} "
            f"WHERE {twice} QUALIFY row_number() OVER "
            f"(PARTITION BY {self._keys} ORDER BY {quoted(CHANGED_AT)} DESC) = 1",
            [self._commit],
        )
        self._connection.execute(f"DELETE FROM {target} AS {OUTER} WHERE {twice}", [self._commit])
        self._connection.execute(f"INSERT INTO {target} SELECT * FROM {temporary(_NEWEST)}")
        self._connection.execute(f"DROP TABLE {temporary(_NEWEST)}")
