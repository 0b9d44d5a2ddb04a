"""DuckDB's exceptions → ours, in one place. Its texts may quote values, so they stay out."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb

from connector.destinations.answers import NO_PARAMETERS, UNFIT_VALUE
from connector.errors import (
    ConfigError,
    ConnectorError,
    DestinationRefused,
    DiskFull,
    FileHeld,
    StateRefused,
)

_HOLDER = re.compile(r"lock is held in (?P<program>.+?) \(PID (?P<pid>\d+)\)")
_NO_ROOM = ("no space left", "disk quota exceeded", "max_temp_directory_size", "enospc")
_NEWER = ("version number", "newer version", "storage version", "serialization version")
_BROKEN = ("corrupt", "not a valid duckdb", "checksum", "could not read enough bytes")
_UNREACHABLE = ("cannot open", "could not read", "is a directory", "permission denied", "read-only")

# What a user's own query did wrong is told before any row is read, so it names no value.
_OF_THE_QUERY = (duckdb.ParserException, duckdb.BinderException, duckdb.CatalogException)


def is_locked(error: duckdb.Error) -> bool:
    """Whether another process, or another part of this one, has the file open."""
    text = str(error)
    return "Could not set lock" in text or "different configuration" in text


def holder(error: duckdb.Error) -> str:
    """Who has the file open, as far as DuckDB says it."""
    found = _HOLDER.search(str(error))
    return f"process {found['pid']} ({found['program']})" if found else "another connection"


def held(path: Path, error: duckdb.Error, waited: float) -> FileHeld:
    """Names who holds the file."""
    return FileHeld(
        f"{path.name} is still held by {holder(error)} after {waited:.0f} s.",
        "One process at a time can have a DuckDB file open for writing: "
        "end the other one, or try again later.",
    )


@contextmanager
def duckdb_errors(path: Path) -> Iterator[None]:
    """Turns what DuckDB raises into errors of ours."""
    try:
        yield
    except duckdb.Error as error:
        raise _translated(path, error) from error


@contextmanager
def query_errors() -> Iterator[None]:
    """Tells what is wrong with a user's own query."""
    try:
        yield
    except _OF_THE_QUERY as error:
        raise ConfigError(
            f"The query cannot be answered: {_in_one_line(error)}",
            'What is there: `connector query "show all tables"`.',
        ) from error
    except (duckdb.IOException, duckdb.OutOfMemoryException):
        raise
    except duckdb.Error as error:
        if "read-only" in str(error).lower():
            raise ConfigError(
                "The query writes, and a query can only read.",
                "Change the items at the source; the table follows.",
            ) from error
        if "Values were not provided" in str(error):
            raise ConfigError(*NO_PARAMETERS) from error
        hint = "A query can only read, and only what is in the destination."
        raise ConfigError(
            f"The query failed ({type(error).__name__}).",
            UNFIT_VALUE if isinstance(error, duckdb.DataError) else hint,
        ) from error


def _in_one_line(error: duckdb.Error) -> str:
    text, marked, excerpt = str(error).partition("\n\nLINE ")
    where = f" (line {excerpt.partition(':')[0]})" if marked else ""
    return " ".join(text.split()) + where


@contextmanager
def state_errors() -> Iterator[None]:
    """A statement of ours that does not fit the state's tables: they are not as we made them."""
    try:
        yield
    except (duckdb.BinderException, duckdb.CatalogException, duckdb.ConversionException) as error:
        raise StateRefused(
            "The schema _connector is no readable state: its tables have another shape.",
            "Restore it from a backup, or drop the schema and take new snapshots.",
        ) from error


def _translated(path: Path, error: duckdb.Error) -> ConnectorError:
    text = str(error).lower()
    name = type(error).__name__
    if is_locked(error):
        return held(path, error, 0)
    if any(sign in text for sign in _NO_ROOM):
        return DiskFull(
            f"The disk of {path.name} is full; the last commit before it is intact.",
            "Make room and run the same command again.",
        )
    if isinstance(error, duckdb.OutOfMemoryException):
        return DestinationRefused(
            "DuckDB needs more memory than its limit for this.", "Raise its memory limit."
        )
    # A commit fails on its log, which lies beside the file.
    commit = isinstance(error, duckdb.TransactionException) and _is_unreachable(text)
    of_the_file = isinstance(error, duckdb.IOException | duckdb.SerializationException)
    if of_the_file or commit or name == "Error":
        return _of_the_file(path, text)
    return DestinationRefused(
        f"DuckDB refused to write {path.name} ({name}).",
        "A constraint, an index, a view or a changed column of the table may be in the way.",
    )


def _is_unreachable(text: str) -> bool:
    return any(sign in text for sign in _UNREACHABLE)


def _of_the_file(path: Path, text: str) -> ConnectorError:
    if any(sign in text for sign in _BROKEN):
        return DestinationRefused(
            f"{path} is no DuckDB file, or a damaged one.",
            "Choose another path, or restore the file from a backup.",
        )
    if any(sign in text for sign in _NEWER):
        return DestinationRefused(
            f"{path} was written by a version of DuckDB that this one ({duckdb.__version__}) "
            "cannot read.",
            "Upgrade the package duckdb.",
        )
    if _is_unreachable(text):
        return DestinationRefused(
            f"{path} cannot be opened.", "Check the path and the permissions of its folder."
        )
    return DestinationRefused(f"{path} cannot be read or written.", "Check the disk it is on.")
