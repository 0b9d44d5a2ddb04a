"""Tries what a run does in a DuckDB file, in transactions that are rolled back."""

import errno
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile

import duckdb

from connector.core.names import COMMIT
from connector.core.schema import Kind
from connector.core.state import Column
from connector.destinations import trial
from connector.destinations.duckdb.session.connection import (
    Connection,
    DuckDBFile,
    run,
)
from connector.destinations.duckdb.types import DUCKDB
from connector.destinations.sql import Target, quoted
from connector.errors import ConnectorError, DestinationRefused, DiskFull

_PROBE_BYTES = 256 * 1024
"""The size of a block in DuckDB."""


def about(file: DuckDBFile) -> str:
    """Describes the file, after opening it for writing."""
    # The next need follows at once; what is beside is removed before.
    with tried_file(file) as opened, opened.open(keep=opened is file):
        folder = file.path.parent
        _try_folder(folder)
        free = shutil.disk_usage(folder).free
    new = "" if file.exists() else ", which will be created"
    return f"DuckDB {duckdb.__version__}, {file.path}{new}; {free / 1e9:,.1f} GB free"


@contextmanager
def tried_file(file: DuckDBFile) -> Iterator[DuckDBFile]:
    """The file, or if there is none, one in a temporary folder beside it."""
    if file.exists() or not file.path.parent.is_dir():
        yield file
        return
    try:
        made = TemporaryDirectory(dir=file.path.parent, prefix=".connector-")
    except OSError as error:
        raise _of_the_folder(file.path.parent, error) from error
    with made as folder:
        yield file.beside(Path(folder))


def insert(connection: Connection, target: Target, key: Iterable[Column]) -> None:
    """Adds a row with a key that no other row has."""
    parts = list(key)
    names = ", ".join(quoted(part.name) for part in parts)
    places = [f"CAST(${n} AS {DUCKDB.type_of(part.type)})" for n, part in enumerate(parts, 1)]
    sql = f"INSERT INTO {target.sql} ({names}, {quoted(COMMIT)}) VALUES ({', '.join(places)}, 0)"
    run(connection, sql, [_value(part) for part in parts])


def _value(part: Column) -> str:
    """A value of the column's type, as text; every numeric type holds zero."""
    return trial.mark() if part.type.kind in (Kind.STRING, Kind.BINARY) else "0"


def _try_folder(folder: Path) -> None:
    """Writes beside the file, where DuckDB keeps its log."""
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
        "DuckDB writes a second file next to its own: use a folder that this program may write to.",
    )
