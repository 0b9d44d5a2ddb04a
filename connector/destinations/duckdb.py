"""A DuckDB file as destination: one process at a time, every commit one transaction."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import uuid4

import duckdb
import pyarrow as pa

from connector.core.cursors import Batch, Cursor, Quarantined
from connector.core.names import COMMIT, REST
from connector.core.rows import field_of, rest_field, schema_of
from connector.core.schema import JSON, Type
from connector.core.state import Column, Committed, Load, Phase, Plan, TableState
from connector.destinations import duckdb_schema
from connector.destinations.duckdb_connection import (
    Connection,
    DuckDBFile,
    changed,
    run,
    run_on_state,
)
from connector.destinations.duckdb_errors import query_errors
from connector.destinations.load import Loading
from connector.destinations.merge import (
    STAGED,
    STAGED_KEYS,
    Layout,
    deleted_keys,
    deletes,
    merge_sql,
    overflows,
    without_rest,
)
from connector.destinations.sql import Target, duckdb_fold, quoted
from connector.destinations.state import Header, State
from connector.destinations.state_tables import SCHEMA
from connector.errors import CursorMoved, DestinationRefused
from connector.failpoints import failpoint

# Measured: a load of a million rows keeps the whole process near 500 MB with these.
DEFAULT_THREADS = 2
DEFAULT_MEMORY_LIMIT = "512MB"

# A row can have 400 KB, so this bounds a batch at 200 MB.
_ROWS_READ_AT_ONCE = 512


class DuckDBDestination:
    """Tables and their state in one DuckDB file. `lock_timeout` is in seconds.

    The file is open only while an operation runs. `max_columns` bounds the attributes with a
    column of their own; further ones go to `_rest`.
    """

    def __init__(
        self,
        path: Path,
        schema: str = "main",
        *,
        lock_timeout: float = 60.0,
        threads: int | None = None,
        memory_limit: str | None = None,
        max_columns: int = 500,
        run_id: str = "",
        command: str = "",
    ) -> None:
        self._file = DuckDBFile(
            path=path,
            threads=threads or DEFAULT_THREADS,
            memory_limit=memory_limit or DEFAULT_MEMORY_LIMIT,
            lock_timeout=lock_timeout,
        )
        self._schema = schema
        self._max_columns = max_columns
        self._run = (run_id or uuid4().hex, command)

    def read(self, table: str) -> TableState | None:
        """The state of a table, or None where it was never planned; makes no file."""
        if not self._file.exists():
            return None
        with self._file.open(read_only=True) as connection:
            state = _state_in(connection)
            return state.read(table) if state.exists() else None

    def tables(self) -> list[str]:
        """Source tables that have a state here."""
        if not self._file.exists():
            return []
        with self._file.open(read_only=True) as connection:
            state = _state_in(connection)
            return state.tables() if state.exists() else []

    @contextmanager
    def _transaction(self, step: str) -> Iterator[tuple[Connection, State]]:
        """One transaction on a state that this program can read; nothing is kept on an error."""
        with self._file.open() as connection:
            connection.execute("BEGIN TRANSACTION")
            state = _state_in(connection)
            state.exists()
            yield connection, state
            failpoint(f"{step}.before_commit")
            connection.execute("COMMIT")
            failpoint(f"{step}.after_commit")

    def plan(self, plan: Plan) -> TableState:
        """Starts a generation and seeds all its cursors in one transaction."""
        target = Target(self._schema, plan.target)
        if duckdb_fold(self._schema) == SCHEMA:
            raise DestinationRefused(f"The schema {SCHEMA} is for the connector's own state.")
        with self._transaction("plan") as (connection, state):
            state.create()
            before = state.header(plan.table)
            if plan.replaces != (before.plan_id if before else None):
                raise _moved(plan.table)
            _refuse_shared(state, plan.table, target)
            columns = self._columns_to_start_with(connection, state, plan, target, before)
            newest = run(connection, f"SELECT max({quoted(COMMIT)}) AS newest FROM {target.sql}")[
                0
            ]["newest"]
            commit = max(newest or 0, before.commit if before else 0) + 1
            generation = (before.generation if before else 0) + 1
            state.start(plan, target, generation, commit, _now())
            state.save_columns(plan.table, columns)
            state.count(self._run, plan.table, _now(), (0, 0, 0))
            planned = state.read(plan.table)
        if planned is None:
            raise _moved(plan.table)
        return planned

    def _columns_to_start_with(
        self,
        connection: Connection,
        state: State,
        plan: Plan,
        target: Target,
        before: Header | None,
    ) -> Mapping[str, Column]:
        actual = duckdb_schema.describe(connection, target)
        if not actual:
            columns = duckdb_schema.key_columns(plan.identity.keys)
            duckdb_schema.create(connection, target, columns)
            return columns
        if before is None or not duckdb_schema.same_target(before.target, target):
            return duckdb_schema.adopt(target, actual, plan.identity.keys)
        if before.identity.keys != plan.identity.keys:
            raise DestinationRefused(
                f"The key of {plan.table} is another one than before.",
                f"Run `connector reset {plan.table} --drop` and take a new snapshot.",
            )
        columns = state.columns(plan.table)
        duckdb_schema.verify(target, actual, columns)
        return columns

    def commit(self, batch: Batch) -> Committed:
        """Merges rows and moves cursors in one transaction."""
        if not self._file.exists():
            raise _moved(batch.table)
        with self._transaction("commit") as (connection, state):
            header = _current(state, batch.table, batch.generation, batch.plan_id)
            self._move(state, batch)
            commit = header.commit + 1
            written, deleted = self._merge(connection, state, header, batch.rows, commit)
            failpoint("commit.after_merge")
            now = _now()
            state.quarantine(header, commit, batch.quarantined, now)
            since = header.consistent_since or batch.consistent_since
            state.update(batch.table, commit=commit, committed_at=now, consistent_since=since)
            counts = (written, deleted, len(batch.quarantined))
            state.count(self._run, batch.table, now, counts)
        return Committed(commit, *counts)

    def _move(self, state: State, batch: Batch) -> None:
        if not batch.spans:
            return
        stored = state.cursors(batch.table, [span.partition for span in batch.spans])
        until: dict[str, Cursor] = {}
        for span in batch.spans:
            before = stored.get(span.partition)
            if before != span.since or span.partition in until:
                raise _moved(batch.table)
            until[span.partition] = Cursor(
                token=span.until.token,
                done=span.until.done,
                seen_at=span.until.seen_at or (before.seen_at if before else None),
                parent=span.until.parent or (before.parent if before else None),
            )
        state.move(batch.table, until)

    def _merge(
        self, connection: Connection, state: State, header: Header, rows: pa.Table, commit: int
    ) -> tuple[int, int]:
        if not len(rows):
            failpoint("commit.after_schema")
            return 0, 0
        columns, rest = self._grow(connection, state, header, schema_of(rows.schema))
        if not rest:
            if overflows(rows, columns):
                duckdb_schema.add_rest(connection, header.target)
                rest = True
            else:
                rows = without_rest(rows)
        failpoint("commit.after_schema")
        keys = header.identity.keys
        layout = Layout.of(header.target, keys, columns, schema_of(rows.schema), rest)
        staged = layout.stage(rows)
        connection.register(STAGED, staged)
        touched = changed(connection, merge_sql(layout), [commit])
        connection.unregister(STAGED)
        wanted = deletes(staged)
        if wanted and header.phase is Phase.LOADING:
            connection.register(STAGED_KEYS, deleted_keys(layout, staged))
            state.bury(header.table_name, STAGED_KEYS, commit)
            connection.unregister(STAGED_KEYS)
        written = len(staged) - wanted
        return written, touched - written

    def _grow(
        self, connection: Connection, state: State, header: Header, wanted: Mapping[str, Type]
    ) -> tuple[Mapping[str, Column], bool]:
        """The columns that hold `wanted`, and whether there is one for the rest."""
        columns = state.columns(header.table_name)
        actual = duckdb_schema.describe(connection, header.target)
        duckdb_schema.verify(header.target, actual, columns)
        grown = duckdb_schema.grow(
            connection, header.target, actual, columns, wanted, self._max_columns
        )
        if grown != columns:
            state.save_columns(header.table_name, grown)
        return grown, duckdb_schema.has_rest(actual)

    def load(
        self, load: Load, rows: Iterable[pa.Table], quarantined: Sequence[Quarantined]
    ) -> Committed:
        """Puts every spooled row in the table in one transaction and ends the loading phase."""
        if not self._file.exists():
            raise _moved(load.table)
        with self._transaction("load") as (connection, state):
            header = _current(state, load.table, load.generation, load.plan_id)
            if header.phase is not Phase.LOADING:
                raise _moved(load.table)
            commit = header.commit + 1
            columns, rest = self._grow(connection, state, header, load.schema)
            keys = header.identity.keys
            layout = Layout.of(header.target, keys, columns, load.schema, rest)
            loading = Loading(connection, load.table, layout, header.start_commit, commit)
            failpoint("load.before_insert")
            plain = not state.buried(load.table) and not loading.streamed()
            written = loading.insert(rows, load.schema, plain) - loading.repair()
            deleted = loading.delete_earlier()
            self._end_loading(state, header, load, commit, quarantined)
            counts = (written, deleted, len(quarantined))
            state.count(self._run, load.table, _now(), counts)
        return Committed(commit, *counts)

    def _end_loading(
        self,
        state: State,
        header: Header,
        load: Load,
        commit: int,
        quarantined: Sequence[Quarantined],
    ) -> None:
        now = _now()
        state.quarantine(header, commit, quarantined, now)
        state.finish(load.table, load.partitions)
        state.unbury(load.table)
        state.update(
            load.table,
            phase=Phase.TAILING.value,
            commit=commit,
            scanned_until=load.scanned_until,
            loaded_at=now,
            committed_at=now,
        )

    def rows(self, table: str) -> Iterator[pa.RecordBatch]:
        """The table's rows, with columns `item.<attribute>` and `rest` as in `core.rows`."""
        if not self._file.exists():
            raise _unknown(table)
        with self._file.open(read_only=True) as connection:
            state = _state_in(connection)
            header = state.header(table) if state.exists() else None
            if header is None:
                raise _unknown(table)
            columns = state.columns(table)
            actual = duckdb_schema.describe(connection, header.target)
            duckdb_schema.verify(header.target, actual, columns)
            yield from _read(connection, header.target, columns, duckdb_schema.has_rest(actual))

    def query(self, sql: str) -> pa.Table:
        """The answer to a read-only query."""
        if not self._file.exists():
            raise DestinationRefused(f"There is no file {self._file.path} yet.")
        with self._file.open(read_only=True) as connection, query_errors():
            answer = connection.sql(sql)
            return pa.table({}) if answer is None else answer.to_arrow_table()

    def reset(self, table: str, drop: bool) -> None:
        """Forgets the state of a table, and with `drop` the table itself."""
        if not self._file.exists():
            return
        with self._transaction("reset") as (connection, state):
            header = state.header(table) if state.exists() else None
            if header is None:
                return
            state.forget(table)
            if drop:
                connection.execute(f"DROP TABLE IF EXISTS {header.target.sql}")

    def check(self) -> str:
        """Proves that the file can be opened, or made, and written; changes nothing."""
        if self._file.exists():
            self._try(self._file)
        elif self._file.path.parent.is_dir():
            with TemporaryDirectory(dir=self._file.path.parent, prefix=".connector-") as folder:
                self._try(self._file.beside(Path(folder)))
        else:
            with self._file.open():
                pass
        return f"DuckDB {duckdb.__version__}, {self._file.path}"

    def _try(self, file: DuckDBFile) -> None:
        with file.open() as connection:
            connection.execute("BEGIN TRANSACTION")
            state = _state_in(connection)
            state.exists()
            state.create()
            connection.execute(f"CREATE SCHEMA IF NOT EXISTS {quoted(self._schema)}")
            connection.execute("ROLLBACK")


def _read(
    connection: Connection, target: Target, columns: Mapping[str, Column], rest: bool
) -> Iterator[pa.RecordBatch]:
    fields = [field_of(attribute, column.type) for attribute, column in columns.items()]
    names = [column.name for column in columns.values()]
    if rest:
        fields.append(rest_field())
        names.append(REST)
    chosen = ", ".join(f"{quoted(name)} AS c{index}" for index, name in enumerate(names))
    reader = connection.sql(f"SELECT {chosen} FROM {target.sql}").to_arrow_reader(
        _ROWS_READ_AT_ONCE
    )
    schema = pa.schema(fields)
    for batch in reader:
        arrays = [
            array.cast(pa.string()).cast(JSON.arrow) if field.type == JSON.arrow else array
            for array, field in zip(batch.columns, schema, strict=True)
        ]
        yield pa.RecordBatch.from_arrays(arrays, schema=schema)


def _state_in(connection: Connection) -> State:
    return State(lambda sql, parameters: run_on_state(connection, sql, parameters))


def _current(state: State, table: str, generation: int, plan_id: str) -> Header:
    header = state.header(table) if state.exists() else None
    if header is None or (header.generation, header.plan_id) != (generation, plan_id):
        raise _moved(table)
    return header


def _refuse_shared(state: State, table: str, target: Target) -> None:
    for other, theirs in state.targets().items():
        if other != table and duckdb_schema.same_target(theirs, target):
            raise DestinationRefused(
                f"The tables {other} and {table} would both go to {target}.",
                "Give one of them another name with `into`.",
            )


def _moved(table: str) -> CursorMoved:
    return CursorMoved(
        f"Another run has moved {table} on; nothing was written.", "Run the same command again."
    )


def _unknown(table: str) -> DestinationRefused:
    return DestinationRefused(f"There is no table {table} here yet.", "Run `connector sync` first.")


def _now() -> datetime:
    return datetime.now(UTC)
