"""A DuckDB file as others see it.

It is attached to a database that is open already: to open one takes far longer than most queries.
"""

import functools
import gc
import itertools
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb

_numbers = itertools.count()

_HOLDS = """
import sys, time
import duckdb
while True:
    try:
        connection = duckdb.connect(sys.argv[1], read_only=sys.argv[2] == "True")
        break
    except duckdb.IOException:
        time.sleep(0.01)
print(flush=True)
sys.stdin.read()
"""
"""Whoever writes to the file now and then has it open for a moment."""


@contextmanager
def opened(path: Path, read_only: bool = False) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection in which the file's tables need no other name; it is let go at the end."""
    name = f"file_{next(_numbers)}"
    quoted = str(path).replace("'", "''")
    with _database().cursor() as connection:
        _attach(connection, f"'{quoted}' AS {name}{' (READ_ONLY)' if read_only else ''}")
        try:
            connection.execute(f"USE {name}")
            yield connection
        finally:
            connection.execute("USE memory")
            connection.execute(f"DETACH {name}")


def _attach(connection: duckdb.DuckDBPyConnection, what: str) -> None:
    """As the connector does, waits for a file that this process has not quite closed yet."""
    ends = time.monotonic() + 30
    while True:
        try:
            connection.execute(f"ATTACH {what}")
            return
        except duckdb.Error as error:
            if "already attached" not in str(error) or time.monotonic() > ends:
                raise
            # An earlier error in a reference cycle may keep a connection open.
            gc.collect()
            time.sleep(0.05)


def read(path: Path, query: str) -> list[tuple[Any, ...]]:
    """The rows of a query of a file that nobody writes at the moment."""
    with opened(path, read_only=True) as connection:
        return connection.execute(query).fetchall()


@contextmanager
def held(path: Path, read_only: bool = False) -> Iterator[int]:
    """Another process, whose number this is, has the file open."""
    with subprocess.Popen(
        [sys.executable, "-c", _HOLDS, str(path), str(read_only)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"\n"
        yield holder.pid
        holder.communicate()


@functools.cache
def _database() -> duckdb.DuckDBPyConnection:
    return duckdb.connect()
