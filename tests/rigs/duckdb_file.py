"""A DuckDB file as others see it.

It is attached to a database that is open already: to open one takes far longer than most queries.
"""

import functools
import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb

_numbers = itertools.count()


@contextmanager
def opened(path: Path, read_only: bool = False) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection in which the file's tables need no other name; it is let go at the end."""
    name = f"file_{next(_numbers)}"
    quoted = str(path).replace("'", "''")
    with _database().cursor() as connection:
        connection.execute(f"ATTACH '{quoted}' AS {name}{' (READ_ONLY)' if read_only else ''}")
        try:
            connection.execute(f"USE {name}")
            yield connection
        finally:
            connection.execute("USE memory")
            connection.execute(f"DETACH {name}")


def read(path: Path, query: str) -> list[tuple[Any, ...]]:
    """The rows of a query of a file that nobody writes at the moment."""
    with opened(path, read_only=True) as connection:
        return connection.execute(query).fetchall()


@functools.cache
def _database() -> duckdb.DuckDBPyConnection:
    return duckdb.connect()
