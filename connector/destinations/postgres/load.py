"""Loads every spooled row of a generation into a Postgres table, in bounded memory."""

from collections.abc import Iterable, Iterator

import pyarrow as pa

from connector.core.names import CHANGED_AT, COMMIT
from connector.core.rows import REST as REST_FIELD
from connector.core.schema import Kind
from connector.destinations.commits.load import Loading
from connector.destinations.postgres.merge import (
    IN_STAGE,
    buried,
    insert_sql,
    load_sql,
    missing_sql,
)
from connector.destinations.postgres.refusals import hooked, swallowed
from connector.destinations.postgres.schema import add_key, drop_key, try_key
from connector.destinations.postgres.session.connection import Connection
from connector.destinations.sql import OUTER, STAGED, quoted

# Measured: smaller batches make more messages, larger ones only more memory.
ROWS_AT_ONCE = 10_000

_TEXTS = (Kind.NUMBER, Kind.UUID)

# For this transaction only: enough to sort the keys of some million rows in memory.
_MEMORY = (
    "SELECT set_config('maintenance_work_mem', '128MB', true), set_config('work_mem', '64MB', true)"
)


def load(connection: Connection, loading: Loading, tables: Iterable[pa.Table]) -> tuple[int, int]:
    """Brings in every row; returns how many were written and how many earlier ones deleted."""
    connection.run(_MEMORY)
    work = _Load(connection, loading)
    earlier = loading.any(f"{quoted(COMMIT)} <= $1::bigint")
    counts = work.refresh(tables) if earlier else (work.first(tables), 0)
    work.stage.drop()
    return counts


class Stage:
    """A temporary table for all rows of a scan, made of the first of them."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._staged = False

    def take(self, reader: pa.RecordBatchReader) -> int:
        """Adds rows; returns how many."""
        if not self._staged:
            self._staged = True
            return self._connection.stage(reader, STAGED)
        # The feed stopped because `_rest` was needed.
        self._connection.execute(f"ALTER TABLE {IN_STAGE} ADD COLUMN {REST_FIELD} json")
        return self._connection.ingest(reader, STAGED)

    def drop(self) -> None:
        """Drops the table, if there is one, so that another target's rows can be staged."""
        if self._staged:
            self._connection.execute(f"DROP TABLE {IN_STAGE}")


class _Load:
    """The statements of one load, inside its transaction."""

    def __init__(self, connection: Connection, loading: Loading) -> None:
        self._connection = connection
        self._loading = loading
        self._commit = loading.commit
        self._table = loading.target
        self.stage = Stage(connection)
        self._hooked = hooked(connection, loading.layout.target)
        """Whether a trigger may drop rows without an error, so that they have to be counted."""

    def first(self, tables: Iterable[pa.Table]) -> int:
        """Loads into a table without earlier rows: directly, and creates the key afterwards."""
        # This locks out readers, but the table is not complete yet anyway.
        drop_key(self._connection, self._loading.layout.target)
        written = self._copy(tables)
        if self._hooked:
            self._refuse(missing=written - self._count(f"{quoted(COMMIT)} = $1::bigint"))
        if self._loading.streamed or self._loading.overtaken:
            self._connection.execute(f"ANALYZE {self._table}")
            written -= self._drop_overtaken()
        return written - self._keyed()

    def refresh(self, tables: Iterable[pa.Table]) -> tuple[int, int]:
        """Loads beside earlier rows, which stay readable until the commit."""
        loading = self._loading
        earlier = loading.count(loading.earlier)
        loading.feed(tables, self.stage.take, ROWS_AT_ONCE)
        self._connection.execute(f"ANALYZE {IN_STAGE}")
        parameters = [self._commit, loading.start, loading.table]
        written = self._connection.changed(load_sql(loading.layout), parameters)
        if self._hooked:
            asked = self._connection.run(missing_sql(loading.layout), parameters[1:])
            self._refuse(missing=int(asked[0]["n"]))
        loading.refuse_too_many(loading.count(loading.earlier), earlier, loading.earlier)
        sql = f"DELETE FROM {self._table} AS {OUTER} WHERE {loading.earlier}"
        deleted = self._connection.changed(sql, [loading.start])
        if self._hooked:
            self._refuse(left=loading.count(loading.earlier))
        return written, deleted

    def _refuse(self, missing: int = 0, left: int = 0) -> None:
        if missing or left:
            raise swallowed(self._connection, self._loading.layout.target, missing, left)

    def _count(self, condition: str) -> int:
        sql = f"SELECT count(*) AS n FROM {self._table} AS t WHERE {condition}"
        return int(self._connection.run(sql, [self._commit])[0]["n"])

    def _copy(self, tables: Iterable[pa.Table]) -> int:
        loading = self._loading
        # ADBC cannot write the text of a number to a numeric, or of a UUID to a uuid: that takes
        # SQL.
        if all(each.type.kind not in _TEXTS for each in loading.layout.columns.values()):
            return loading.feed(tables, self._straight, ROWS_AT_ONCE)
        staged = loading.feed(tables, self.stage.take, ROWS_AT_ONCE)
        written = self._connection.changed(insert_sql(loading.layout), [self._commit])
        self._refuse(missing=staged - written)
        return written

    def _straight(self, reader: pa.RecordBatchReader) -> int:
        target = self._loading.layout.target
        return self._connection.ingest(self._as_in_table(reader), target.name, target.schema)

    def _as_in_table(self, reader: pa.RecordBatchReader) -> pa.RecordBatchReader:
        """The staged rows under the names of the table's own columns."""
        staged = self._loading.layout.staged
        fields = [reader.schema.field(name).with_name(column) for name, column in staged.items()]
        schema = pa.schema([*fields, pa.field(COMMIT, pa.int64())])

        def batches() -> Iterator[pa.RecordBatch]:
            for batch in reader:
                commits = pa.repeat(pa.scalar(self._commit, pa.int64()), len(batch))
                arrays = [batch.column(name) for name in staged]
                yield pa.RecordBatch.from_arrays([*arrays, commits], schema=schema)

        return pa.RecordBatchReader.from_batches(schema, batches())

    def _drop_overtaken(self) -> int:
        """Deletes loaded rows with a key that the stream wrote or deleted; returns how many."""
        table, commit = self._table, quoted(COMMIT)
        mine = f"t.{commit} = $1::bigint"
        written = (
            f"DELETE FROM {table} AS t USING {table} AS n WHERE {mine} "
            f"AND n.{commit} > $2::bigint AND n.{commit} < $1::bigint "
            f"AND {self._loading.layout.same_key('t', 'n')}"
        )
        key_of = {name: f"t.{quoted(name)}" for name in self._key_names}
        deleted = f"{mine} AND {buried(self._loading.layout, key_of, '$2')}"
        source = [self._commit, self._loading.table]
        gone = self._connection.changed(written, [self._commit, self._loading.start])
        gone += self._connection.changed(f"DELETE FROM {table} AS t WHERE {deleted}", source)
        if self._hooked:
            left = f"SELECT count(*) AS n FROM {table} AS t WHERE {deleted}"
            self._refuse(left=int(self._connection.run(left, source)[0]["n"]))
        return gone

    def _keyed(self) -> int:
        """Creates the key, and returns how many duplicates had to be deleted first.

        A key is scanned twice if it was deleted and created again during the scan. Creating the key
        finds that out for free; a query for it takes a third as long as the COPY.
        """
        if try_key(self._connection, self._loading.layout.target, self._key_names):
            return 0
        surplus = self._drop_twins()
        add_key(self._connection, self._loading.layout.target, self._key_names)
        return surplus

    def _drop_twins(self) -> int:
        """Keeps the newest of loaded rows that share a key; returns how many others there were."""
        table, keys = self._table, ", ".join(map(quoted, self._key_names))
        return self._connection.changed(
            f"DELETE FROM {table} AS t USING (SELECT ctid AS id, row_number() OVER (PARTITION BY "
            f"{keys} ORDER BY {quoted(CHANGED_AT)} DESC, ctid DESC) AS place FROM {table}) "
            "AS d WHERE t.ctid = d.id AND d.place > 1"
        )

    @property
    def _key_names(self) -> list[str]:
        return [column.name for _, column in self._loading.layout.keys_staged]
