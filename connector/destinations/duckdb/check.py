"""Tries in a DuckDB file what a run does there, in transactions that are rolled back."""

import errno
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile

import duckdb

from connector.core.names import COMMIT
from connector.core.needs import Need, Wanted
from connector.core.schema import Kind
from connector.core.spec import TableSpec
from connector.core.state import Column
from connector.destinations import trial
from connector.destinations.duckdb import schema as duckdb_schema
from connector.destinations.duckdb.schema import DUCKDB
from connector.destinations.duckdb.session.connection import (
    Connection,
    DuckDBFile,
    database_of,
    run,
)
from connector.destinations.sql import Target, quoted
from connector.destinations.state.store import State
from connector.destinations.table import columns as table_columns
from connector.errors import ConnectorError, DestinationRefused, DiskFull

_PROBE_BYTES = 256 * 1024
"""As much as DuckDB takes for a block."""


class DuckDBCheck:
    """The needs of runs that write to one schema of a file, which is not made."""

    def __init__(self, file: DuckDBFile, schema: str) -> None:
        self._file = file
        self._schema = schema

    def needs(self, tables: Sequence[Wanted]) -> Iterator[Need]:
        """Each need, tried in a transaction of its own."""
        try:
            yield from trial.needs(self._opened, self._state, self._made, self._table, tables)
        finally:
            self._file.release()

    def _opened(self) -> str:
        with self._rolled_back():
            folder = self._file.path.parent
            _try_folder(folder)
            free = shutil.disk_usage(folder).free
        new = "" if self._file.exists() else ", which will be made"
        return f"DuckDB {duckdb.__version__}, {self._file.path}{new}; {free / 1e9:,.1f} GB free"

    def _state(self) -> str:
        with self._rolled_back() as connection:
            state = _state_in(connection)
            known = state.tables() if state.exists() else None
            if state.outdated:
                state.migrate()
            state.create()
            trial.try_state(duckdb_schema.state_schema(connection).execute)
        return trial.of_the_state(known)

    def _made(self) -> str:
        columns = table_columns.key_columns(DUCKDB, trial.KEY, TableSpec())
        with self._rolled_back() as connection:
            target = trial.throw_away(self._schema, database_of(connection))
            duckdb_schema.create(connection, target, columns)
            actual = duckdb_schema.describe(connection, target)
            trial.try_columns(DUCKDB, connection.execute, target, actual)
            _insert(connection, target, columns.values())
        return f"a table, columns and rows can be made in the schema {self._schema}"

    def _table(self, wanted: Wanted) -> str:
        with self._rolled_back() as connection:
            state = _state_in(connection)
            place = trial.place(state, wanted, self._schema, duckdb_schema.same_target)
            actual = duckdb_schema.describe(connection, place.target)
            if place.columns is not None:
                table_columns.verify(DUCKDB, place.target, actual, place.columns)
            elif not actual or not place.keys:
                return trial.not_ours_yet(place, bool(actual))
            columns = place.columns or _adopted(place, actual)
            trial.try_column(DUCKDB, connection.execute, place.target)
            _insert(connection, place.target, [columns[key.name] for key in place.keys])
        return f"{place.target} takes rows and columns ({len(actual)} so far)"

    @contextmanager
    def _rolled_back(self) -> Iterator[Connection]:
        """A transaction that leaves nothing, in the file, or in one beside it if there is none."""
        # The next need follows at once; what is beside is removed before.
        with self._there() as file, file.open(keep=file is self._file) as connection:
            connection.execute("BEGIN TRANSACTION")
            yield connection
            connection.execute("ROLLBACK")

    @contextmanager
    def _there(self) -> Iterator[DuckDBFile]:
        if self._file.exists() or not self._file.path.parent.is_dir():
            yield self._file
            return
        try:
            made = TemporaryDirectory(dir=self._file.path.parent, prefix=".connector-")
        except OSError as error:
            raise _of_the_folder(self._file.path.parent, error) from error
        with made as folder:
            yield self._file.beside(Path(folder))


def _adopted(place: trial.Place, actual: Mapping[str, str]) -> Mapping[str, Column]:
    """The columns of a table whose state was forgotten: of them only the key matters here."""
    return table_columns.adopt(DUCKDB, place.target, actual, place.keys, marked=False)


def _insert(connection: Connection, target: Target, key: Iterable[Column]) -> None:
    parts = list(key)
    names = ", ".join(quoted(part.name) for part in parts)
    places = [f"CAST(${n} AS {DUCKDB.type_of(part.type)})" for n, part in enumerate(parts, 1)]
    sql = f"INSERT INTO {target.sql} ({names}, {quoted(COMMIT)}) VALUES ({', '.join(places)}, 0)"
    run(connection, sql, [_value(part) for part in parts])


def _value(part: Column) -> str:
    """A value of the column's type, as text: nought is in every type of numbers."""
    return trial.mark() if part.type.kind in (Kind.STRING, Kind.BINARY) else "0"


def _state_in(connection: Connection) -> State:
    return State(duckdb_schema.state_schema(connection))


def _try_folder(folder: Path) -> None:
    """Writes beside the file, where DuckDB puts what is not in it yet."""
    try:
        with TemporaryFile(dir=folder) as probe:
            probe.write(bytes(_PROBE_BYTES))
            probe.flush()
            os.fsync(probe.fileno())
    except OSError as error:
        raise _of_the_folder(folder, error) from error


def _of_the_folder(folder: Path, error: OSError) -> ConnectorError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return DiskFull(
            f"The disk of {folder} is full.", "Make room and run the same command again."
        )
    return DestinationRefused(
        f"The folder {folder} cannot be written: {error.strerror}.",
        "DuckDB writes a second file beside its own: use a folder that this program may write.",
    )
