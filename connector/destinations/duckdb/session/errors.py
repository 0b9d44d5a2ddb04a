"""Translates DuckDB's exceptions into ours, without its messages, which may quote values."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unicodedata import east_asian_width

import duckdb

from connector.destinations.queries.errors import (
    HIDDEN,
    NO_PARAMETERS,
    UNFIT_VALUE,
    WHERE,
    WRITES,
    failed,
    flat,
    without_values,
)
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

# Errors in the text of a query are found before any row is read, so they contain no values.
_OF_THE_TEXT = (duckdb.ParserException, duckdb.BinderException, duckdb.CatalogException)
_WHAT_IS_THERE = (
    'List the tables: `connector query "show all tables"`. JSON values need `->>` and a cast.'
)
# How the library for regular expressions begins to blame one, which may be a value of an item.
_PATTERN = re.compile(
    "(?P<what>Invalid Input Error: (?:missing|unexpected|no argument|bad repetition|trailing"
    "|invalid (?:perl|escape|repetition|character class|named capture))[^:]*: )(?P<pattern>.*)",
    re.DOTALL,
)
_MEMORY = "Query less data at once, or raise `destination.memory_limit`."
_ONLY_READ = (
    "A query can only read, and only what is in the destination: no other file, no extension, and "
    "no setting can be changed."
)


def is_locked(error: duckdb.Error) -> bool:
    """Whether another process, or another part of this one, has the file open."""
    text = str(error)
    return "Could not set lock" in text or is_of_this_process(error)


def is_of_this_process(error: duckdb.Error) -> bool:
    """Whether another connection of this process has the file open."""
    text = str(error)
    return "different configuration" in text or "Unique file handle conflict" in text


def is_unreplayed(error: duckdb.Error) -> bool:
    """Whether replaying the log beside the file needs functions that are not loaded yet."""
    return "replaying WAL" in str(error) and "json extension" in str(error)


def holder(error: duckdb.Error) -> str:
    """Who has the file open, as far as DuckDB reports it."""
    found = _HOLDER.search(str(error))
    return f"process {found['pid']} ({found['program']})" if found else "another connection"


def held(path: Path, error: duckdb.Error, waited: float) -> FileHeld:
    """The error that names who holds the file."""
    return FileHeld(
        f"{path.name} is still held by {holder(error)} after {waited:.0f} s.",
        "Only one process at a time can open a DuckDB file for writing: "
        "end the other one, or try again later.",
    )


@contextmanager
def duckdb_errors(path: Path) -> Iterator[None]:
    """Translates what DuckDB raises into our errors."""
    try:
        yield
    except duckdb.Error as error:
        raise _translated(path, error) from error


@contextmanager
def query_errors(sql: str) -> Iterator[None]:
    """Translates the errors of a user's own query."""
    try:
        yield
    except duckdb.IOException:
        raise
    except duckdb.Error as error:
        problem = _of_the_query(error, sql)
    else:
        return
    # Outside of the handler: DuckDB's message may contain values.
    raise problem


def _of_the_query(error: duckdb.Error, sql: str) -> ConfigError:
    text = str(error)
    if "read-only mode" in text:
        return ConfigError(*WRITES)
    if "configuration has been locked" in text:
        return failed(text, _ONLY_READ)
    if "Values were not provided" in text:
        return ConfigError(*NO_PARAMETERS)
    sentence, excerpt = _with_excerpt(text, sql)
    if isinstance(error, _OF_THE_TEXT):
        return failed(sentence, WHERE if excerpt else _WHAT_IS_THERE, excerpt)
    if isinstance(error, duckdb.OutOfMemoryException):
        # The numbers in it are sizes of memory, so they may be shown.
        return failed(sentence.partition("\n")[0], _MEMORY)
    shown = without_values(_without_pattern(sentence, sql), sql)
    if isinstance(error, duckdb.DataError):
        hint = f"{UNFIT_VALUE} TRY_CAST gives NULL for it."
    elif HIDDEN in shown and isinstance(error, duckdb.InvalidInputException):
        hint = UNFIT_VALUE
    elif isinstance(error, duckdb.PermissionException) or "disabled" in text:
        hint = _ONLY_READ
    else:
        hint = "Write the query differently; no row was changed."
    return failed(shown, hint, excerpt)


def _without_pattern(sentence: str, sql: str) -> str:
    """A message without the regular expression that it ends in, unless the query holds that."""
    found = _PATTERN.fullmatch(sentence)
    if not found or found["pattern"] in sql:
        return sentence
    return f"{found['what']}{HIDDEN}"


def _with_excerpt(text: str, sql: str) -> tuple[str, tuple[str, ...]]:
    """A message without its excerpt of the query, and the excerpt if it is one of this query."""
    sentence, marked, excerpt = text.rpartition("\n\nLINE ")
    number, _, lines = excerpt.partition(": ")
    if not marked or not number.isdigit():
        return text, ()
    shown, _, mark = lines.partition("\n")
    place = sql.find(shown.removeprefix("...").removesuffix("..."))
    if place < 0:
        return sentence, ()
    # DuckDB counts the lines of the statement it ran, which may begin elsewhere.
    head, before = f"LINE {sql.count(chr(10), 0, place) + 1}: ", f"LINE {number}: "
    blanks = len(mark) - len(mark.lstrip()) - len(before)
    return sentence, (head + flat(shown), " " * (len(head) + _seen(shown, blanks)) + mark.strip())


def _seen(text: str, width: int) -> int:
    """The width plus one for each control character, which DuckDB counts as nothing."""
    blanks = taken = 0
    for character in text:
        if not character.isprintable():
            blanks += 1
        elif taken >= width:
            break
        else:
            taken += 2 if east_asian_width(character) in "WF" else 1
    return max(0, width + blanks)


@contextmanager
def state_errors() -> Iterator[None]:
    """Reports the state as damaged if our own statement does not fit its tables."""
    try:
        yield
    except (duckdb.BinderException, duckdb.CatalogException, duckdb.ConversionException) as error:
        raise StateRefused(
            "The schema _connector holds no readable state: its tables have another shape.",
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
            "DuckDB needs more memory for this than its limit allows.",
            "Raise `destination.memory_limit`.",
        )
    # A commit writes to the log, which lies beside the file.
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
            f"{path} is not a DuckDB file, or is damaged.",
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
