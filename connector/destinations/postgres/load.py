"""Every spooled row of a generation into a Postgres table, in bounded memory."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import pyarrow as pa

from connector.core.names import CHANGED_AT, COMMIT, DELETED, REST
from connector.core.rows import REST as REST_FIELD
from connector.core.schema import Kind
from connector.destinations.commits.feed import Feed
from connector.destinations.commits.staging import Layout
from connector.destinations.commits.step import refuse_too_many
from connector.destinations.postgres.merge import IN_STAGE, buried, insert_sql, load_sql
from connector.destinations.postgres.schema import Found, add_key, drop_key, try_key
from connector.destinations.postgres.session.connection import Connection
from connector.destinations.postgres.types import POSTGRES
from connector.destinations.sql import STAGED, quoted
from connector.destinations.table import columns as table_columns
from connector.destinations.table.growth import Growth
from connector.errors import ConnectorError

# Measured: smaller batches make more messages, larger ones only more memory.
ROWS_AT_ONCE = 10_000

# For this transaction only: enough to sort the keys of some million rows without the disk.
_MEMORY = (
    "SELECT set_config('maintenance_work_mem', '128MB', true), set_config('work_mem', '64MB', true)"
)


class Loading:
    """The statements of one load, inside its transaction."""

    def __init__(
        self,
        connection: Connection,
        table: str,
        layout: Layout,
        found: Found,
        start_commit: int,
        commit: int,
    ) -> None:
        self._connection = connection
        self._table = table
        self._layout = layout
        self._found = found
        self._start = start_commit
        self._commit = commit
        self._staged = False

    def count_streamed(self) -> int:
        """How many rows there are by the stream alone, without those marked as deleted."""
        condition = f"{quoted(COMMIT)} > $1::bigint"
        if not self._any(condition):
            return 0
        if self._layout.marks:
            condition += f" AND {quoted(DELETED)} IS NOT TRUE"
        sql = f"SELECT count(*) AS n FROM {self._layout.target.sql} WHERE {condition}"
        return int(self._connection.run(sql, [self._start])[0]["n"])

    def run(self, feed: Feed, overtaken: bool, max_deleted: float | None) -> tuple[int, int]:
        """Brings in every row; returns how many were written and how many earlier ones deleted.

        `overtaken` says whether there are tombstones. Raises TooManyDeletes where a greater share
        of the earlier rows than `max_deleted` would vanish.
        """
        self._connection.run(_MEMORY)
        if self._any(f"{quoted(COMMIT)} <= $1::bigint"):
            return self._refresh(feed, max_deleted)
        return self._first(feed, overtaken), 0

    def _first(self, feed: Feed, overtaken: bool) -> int:
        """A load into a table that has no earlier rows: straight into it, and then the key."""
        streamed = self._any(f"{quoted(COMMIT)} > $1::bigint")
        # It locks readers out, but what they could read is not the whole table yet.
        drop_key(self._connection, self._layout.target, self._found)
        written = self._copy(feed)
        if streamed or overtaken:
            self._connection.execute(f"ANALYZE {self._layout.target.sql}")
            written -= self._drop_overtaken()
        return written - self._keyed()

    def _refresh(self, feed: Feed, max_deleted: float | None) -> tuple[int, int]:
        """A load beside earlier rows, which stay readable until it is committed."""
        earlier = self._earlier()
        self._take(feed, self._stage)
        self._connection.execute(f"ANALYZE {IN_STAGE}")
        parameters = [self._commit, self._start, self._table]
        written = self._connection.changed(load_sql(self._layout), parameters)
        vanishing = self._earlier()
        refuse_too_many(self._table, self._layout.target, vanishing, earlier, max_deleted)
        sql = f"DELETE FROM {self._layout.target.sql} WHERE {self._is_earlier}"
        return written, self._connection.changed(sql, [self._start])

    @property
    def _is_earlier(self) -> str:
        """A condition on rows of earlier generations. One that is marked as deleted stays."""
        condition = f"{quoted(COMMIT)} <= $1::bigint"
        return condition + (f" AND {quoted(DELETED)} IS NOT TRUE" if self._layout.marks else "")

    def _earlier(self) -> int:
        sql = f"SELECT count(*) AS n FROM {self._layout.target.sql} WHERE {self._is_earlier}"
        return int(self._connection.run(sql, [self._start])[0]["n"])

    def _any(self, condition: str) -> bool:
        sql = f"SELECT 1 AS found FROM {self._layout.target.sql} WHERE {condition} LIMIT 1"
        return bool(self._connection.run(sql, [self._start]))

    def _copy(self, feed: Feed) -> int:
        # ADBC cannot write the text of a number to a numeric: that takes SQL.
        if all(column.type.kind is not Kind.NUMBER for column in self._layout.columns.values()):
            return self._take(feed, self._straight)
        self._take(feed, self._stage)
        return self._connection.changed(insert_sql(self._layout), [self._commit])

    def _take(self, feed: Feed, take: Callable[[pa.RecordBatchReader], int]) -> int:
        taken = 0
        while not feed.ended:
            if feed.needs_rest and not self._layout.rest:
                run, target = self._connection.execute, self._layout.target
                table_columns.add(POSTGRES, run, target, REST)
                self._layout = replace(self._layout, rest=True)
            try:
                taken += take(feed.reader(self._layout))
            except ConnectorError:
                if feed.failure is not None:
                    raise feed.failure from None
                raise
        return taken

    def tidy(self, growth: Growth) -> None:
        """Drops the columns that only rows of earlier generations had something in."""

        def filled(names: Sequence[str]) -> dict[str, bool]:
            counts = ", ".join(f"count({quoted(name)}) AS c{n}" for n, name in enumerate(names))
            found = self._connection.run(f"SELECT {counts} FROM {self._layout.target.sql}")[0]
            return dict(zip(names, map(bool, found.values()), strict=True))

        growth.tidy(filled)

    def _stage(self, reader: pa.RecordBatchReader) -> int:
        if not self._staged:
            self._staged = True
            return self._connection.stage(reader, STAGED)
        # The feed stopped because `_rest` was needed.
        self._connection.execute(f"ALTER TABLE {IN_STAGE} ADD COLUMN {REST_FIELD} json")
        return self._connection.ingest(reader, STAGED)

    def _straight(self, reader: pa.RecordBatchReader) -> int:
        target = self._layout.target
        return self._connection.ingest(self._as_in_table(reader), target.name, target.schema)

    def _as_in_table(self, reader: pa.RecordBatchReader) -> pa.RecordBatchReader:
        """The staged rows under the names of the table's own columns."""
        staged = self._layout.staged
        fields = [reader.schema.field(name).with_name(column) for name, column in staged.items()]
        schema = pa.schema([*fields, pa.field(COMMIT, pa.int64())])

        def batches() -> Iterator[pa.RecordBatch]:
            for batch in reader:
                commits = pa.repeat(pa.scalar(self._commit, pa.int64()), len(batch))
                arrays = [batch.column(name) for name in staged]
                yield pa.RecordBatch.from_arrays([*arrays, commits], schema=schema)

        return pa.RecordBatchReader.from_batches(schema, batches())

    def _drop_overtaken(self) -> int:
        """Deletes loaded rows whose key the stream wrote or deleted; returns how many."""
        table, commit = self._layout.target.sql, quoted(COMMIT)
        written = (
            f"DELETE FROM {table} AS t USING {table} AS n WHERE t.{commit} = $1::bigint "
            f"AND n.{commit} > $2::bigint AND n.{commit} < $1::bigint "
            f"AND {self._layout.same_key('t', 'n')}"
        )
        key_of = {name: f"t.{quoted(name)}" for name in self._key_names}
        deleted = (
            f"DELETE FROM {table} AS t WHERE t.{commit} = $1::bigint "
            f"AND {buried(self._layout, key_of, '$2')}"
        )
        return self._connection.changed(
            written, [self._commit, self._start]
        ) + self._connection.changed(deleted, [self._commit, self._table])

    def _keyed(self) -> int:
        """Makes the key, of which every value is there once; returns how many rows went for that.

        A key is scanned twice where it was deleted and made again while the scan went on. To make
        the key tells that at no cost; a query for it takes a third as long as the COPY.
        """
        if try_key(self._connection, self._layout.target, self._key_names):
            return 0
        surplus = self._drop_twins()
        add_key(self._connection, self._layout.target, self._key_names)
        return surplus

    def _drop_twins(self) -> int:
        """Keeps the newest of loaded rows that share a key; returns how many others there were."""
        table, keys = self._layout.target.sql, ", ".join(map(quoted, self._key_names))
        return self._connection.changed(
            f"DELETE FROM {table} AS t USING (SELECT ctid AS id, row_number() OVER (PARTITION BY "
            f"{keys} ORDER BY {quoted(CHANGED_AT)} DESC, ctid DESC) AS place FROM {table}) "
            "AS d WHERE t.ctid = d.id AND d.place > 1"
        )

    @property
    def _key_names(self) -> list[str]:
        return [column.name for _, column in self._layout.keys_staged]
