"""Every spooled row of a generation into a DuckDB table, in bounded memory."""

from collections.abc import Sequence
from dataclasses import replace

import duckdb

from connector.core.names import CHANGED_AT, COMMIT, DELETED, REST
from connector.destinations.commits.feed import Feed
from connector.destinations.commits.staging import Layout
from connector.destinations.commits.step import refuse_too_many
from connector.destinations.duckdb.merge import insert_sql, not_streamed
from connector.destinations.duckdb.schema import DUCKDB
from connector.destinations.duckdb.session.connection import Connection, changed, run
from connector.destinations.sql import NEWEST, OUTER, STAGED, SURPLUS, TWICE, quoted, temporary
from connector.destinations.table import columns as table_columns
from connector.destinations.table.growth import Growth


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

    def insert(self, feed: Feed, plain: bool) -> int:
        """Adds the rows; those that the stream has overtaken only where `plain` says none are."""
        inserted = 0
        while not feed.ended:
            if feed.needs_rest and not self._layout.rest:
                table_columns.add(DUCKDB, self._connection.execute, self._layout.target, REST)
                self._layout = replace(self._layout, rest=True)
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

    def count_streamed(self) -> int:
        """How many rows there are by the stream alone, without those marked as deleted."""
        condition = f"{OUTER}.{quoted(COMMIT)} > $1"
        if self._layout.marks:
            condition += f" AND {OUTER}.{quoted(DELETED)} IS NOT TRUE"
        return self._count(condition)

    def delete_earlier(self, max_deleted: float | None) -> int:
        """Deletes the rows of earlier generations; returns how many of them were not replaced.

        A row that is marked as deleted stays, unless its item is there again. Raises TooManyDeletes
        where a greater share than `max_deleted` would vanish.
        """
        earlier = self._count(self._earlier(marked=False))
        vanishing = earlier and self._count(f"{self._earlier(marked=False)} AND NOT {self._again}")
        refuse_too_many(self._table, self._layout.target, vanishing, earlier, max_deleted)
        if earlier:
            self._delete(self._earlier(marked=False))
        if self._layout.marks:
            self._delete(f"{self._earlier(marked=True)} AND {self._again}")
        return vanishing

    def _delete(self, condition: str) -> None:
        sql = f"DELETE FROM {self._layout.target.sql} AS {OUTER} WHERE {condition}"
        changed(self._connection, sql, [self._start])

    def _earlier(self, marked: bool) -> str:
        """A condition on rows of an earlier generation; `$1` is this generation's first commit."""
        condition = f"{OUTER}.{quoted(COMMIT)} <= $1"
        if self._layout.marks:
            condition += f" AND {OUTER}.{quoted(DELETED)} IS {'' if marked else 'NOT '}TRUE"
        return condition

    @property
    def _again(self) -> str:
        """A condition that this generation has the same key."""
        return (
            f"EXISTS (SELECT 1 FROM {self._layout.target.sql} AS n "
            f"WHERE n.{quoted(COMMIT)} > $1 AND {self._layout.same_key('n', OUTER)})"
        )

    def _count(self, condition: str) -> int:
        sql = f"SELECT count(*) AS n FROM {self._layout.target.sql} AS {OUTER} WHERE {condition}"
        return int(run(self._connection, sql, [self._start])[0]["n"])

    def tidy(self, growth: Growth) -> None:
        """Drops the columns that only rows of earlier generations had something in."""
        target = self._layout.target

        def filled(names: Sequence[str]) -> dict[str, bool]:
            counts = ", ".join(f"count({quoted(name)}) AS c{n}" for n, name in enumerate(names))
            found = run(self._connection, f"SELECT {counts} FROM {target.sql}")[0]
            return dict(zip(names, map(bool, found.values()), strict=True))

        growth.tidy(filled)

    def repair(self) -> int:
        """Keeps the newest of loaded rows that share a key; returns how many others there were.

        A key is scanned twice where it was deleted and made again while the scan went on.
        """
        target, commit = self._layout.target.sql, quoted(COMMIT)
        self._connection.execute(
            f"CREATE TEMP TABLE {TWICE} AS SELECT {self._keys}, count(*) - 1 AS {SURPLUS} "
            f"FROM {target} WHERE {commit} = $1 GROUP BY {self._keys} HAVING count(*) > 1",
            [self._commit],
        )
        found = run(self._connection, f"SELECT sum({SURPLUS})::BIGINT AS n FROM {temporary(TWICE)}")
        surplus = int(found[0]["n"] or 0)
        if surplus:
            self._keep_newest()
        self._connection.execute(f"DROP TABLE {temporary(TWICE)}")
        return surplus

    @property
    def _keys(self) -> str:
        return ", ".join(quoted(column.name) for _, column in self._layout.keys_staged)

    def _keep_newest(self) -> None:
        target, commit = self._layout.target.sql, quoted(COMMIT)
        twice = (
            f"{OUTER}.{commit} = $1 AND EXISTS (SELECT 1 FROM {temporary(TWICE)} AS d "
            f"WHERE {self._layout.same_key(OUTER, 'd')})"
        )
        self._connection.execute(
            f"CREATE TEMP TABLE {NEWEST} AS SELECT {OUTER}.* FROM {target} AS {OUTER} "
            f"WHERE {twice} QUALIFY row_number() OVER "
            f"(PARTITION BY {self._keys} ORDER BY {quoted(CHANGED_AT)} DESC) = 1",
            [self._commit],
        )
        self._connection.execute(f"DELETE FROM {target} AS {OUTER} WHERE {twice}", [self._commit])
        self._connection.execute(f"INSERT INTO {target} SELECT * FROM {temporary(NEWEST)}")
        self._connection.execute(f"DROP TABLE {temporary(NEWEST)}")
