"""DuckDB without a file, since starting it takes 20 times as long as opening a file in it."""

import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any

import duckdb

from connector.destinations.sql import quoted

Settings = Mapping[str, Any]

_SIDE_FILES = ("", ".wal", ".wal.checkpoint", ".wal.recovery")
"""The suffixes of the files that DuckDB writes for a file."""


class Instance:
    """A running DuckDB that opens one file repeatedly, and cannot open any other.

    The file's path is absolute. One thread at a time may use it, and any number its connections.
    """

    def __init__(self, path: Path, settings: Settings) -> None:
        self.made_for = (path, dict(settings))
        self._path = path
        # No file's database has this name, since it would end before the file name's first dot.
        none = quoted(f"no {path.name}")
        self._name = ""
        self._open = 0
        # Files can be allowed only before access to all others is disabled.
        open_door = {"enable_external_access": "true", "temp_directory": f"{self._path}.tmp"}
        self._root = duckdb.connect(config={**settings, **open_door})
        # DuckDB resolves a link to an existing file, but not to one that is still to be created.
        spellings = sorted({str(self._path), os.path.realpath(path)})
        allowed = ", ".join(_text(each + suffix) for each in spellings for suffix in _SIDE_FILES)
        for statement in (
            f"ATTACH ':memory:' AS {none}",
            f"USE {none}",
            # A file may have this name.
            "DETACH memory",
            f"SET allowed_paths = [{allowed}]",
            "SET enable_external_access = false",
            "SET GLOBAL TimeZone = 'UTC'",
            "SET lock_configuration = true",
        ):
            self._root.execute(statement)

    @property
    def idle(self) -> bool:
        """Whether the file is closed."""
        return not self._open

    def open(self, read_only: bool) -> "Opened":
        """Opens the file if it is closed, and returns a connection. Raises DuckDB's own errors."""
        if self.idle:
            mode = " (READ_ONLY)" if read_only else ""
            self._root.execute(f"ATTACH {_text(str(self._path))}{mode}")
            self._name = self._name or self._named()
        self._open += 1
        connection = self._root.cursor()
        try:
            connection.execute(f"USE {quoted(self._name)}")
        except BaseException:
            # Whoever keeps the error would keep the file open as well.
            connection.close()
            raise
        return Opened(connection, self)

    def _named(self) -> str:
        """DuckDB's name for the file."""
        found = self._root.execute(
            "SELECT database_name FROM duckdb_databases() "
            "WHERE NOT internal AND database_name <> current_database()"
        ).fetchall()
        return str(found[0][0])

    def close(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Closes a connection, and the file with the last one.

        Commits are safe by then, even if they cannot be moved from the log into the file: the next
        one to open the file gets the error.
        """
        connection.close()
        self._open -= 1
        if self.idle:
            with suppress(duckdb.Error):
                self._root.execute(f"DETACH {quoted(self._name)}")

    def end(self) -> None:
        """Ends the instance; open connections remain usable, and keep the file open."""
        self._root.close()


@dataclass(frozen=True)
class Opened:
    """A connection to a file, and the instance in which the file is open."""

    connection: duckdb.DuckDBPyConnection
    instance: Instance


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


class _Rest:
    """The idle instance of this process that was used last."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._instance: Instance | None = None
        self._inherited: list[Instance | None] = []

    def take(self, path: Path, settings: Settings) -> Instance | None:
        """Hands over the idle instance if it was made for this file and these settings."""
        with self._lock:
            if self._instance is None or self._instance.made_for != (path, settings):
                return None
            taken, self._instance = self._instance, None
        return taken

    def give(self, instance: Instance) -> None:
        """Keeps an idle instance, and ends the previous one."""
        with self._lock:
            before, self._instance = self._instance, instance
        if before is not None:
            before.end()

    def inherit(self) -> None:
        """Sets the instance aside in a fork, which lacks the threads to run or to end it."""
        self._lock = Lock()
        self._inherited.append(self._instance)
        self._instance = None


_rest = _Rest()
os.register_at_fork(after_in_child=_rest.inherit)


def started(path: Path, settings: Settings) -> Instance:
    """An idle instance for a file: the one that was kept, or a new one."""
    path = path.absolute()
    return _rest.take(path, settings) or Instance(path, settings)


def rest(instance: Instance) -> None:
    """Returns an idle instance for later use."""
    _rest.give(instance)
