"""DuckDB without a file: to start it takes 20 times as long as to open a file in it."""

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
"""What DuckDB writes for a file, by what follows the file's name."""


class Instance:
    """A running DuckDB in which one file is opened, again and again, and no other can be.

    The file's path is absolute. One thread at a time may use it, and any number its connections.
    """

    def __init__(self, path: Path, settings: Settings) -> None:
        self.made_for = (path, dict(settings))
        self._path = path
        # No file is called so: a file's database is named by what stands before its first dot.
        none = quoted(f"no {path.name}")
        self._name = ""
        self._open = 0
        # Files can be allowed only before the door is closed to all others.
        open_door = {"enable_external_access": "true", "temp_directory": f"{self._path}.tmp"}
        self._root = duckdb.connect(config={**settings, **open_door})
        # DuckDB follows a link to a file that is there, and none to one that is yet to be made.
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
        """A connection to the file, which is open from now on. Raises what DuckDB does."""
        if self.idle:
            mode = " (READ_ONLY)" if read_only else ""
            self._root.execute(f"ATTACH {_text(str(self._path))}{mode}")
            self._name = self._name or self._named()
        self._open += 1
        connection = self._root.cursor()
        connection.execute(f"USE {quoted(self._name)}")
        return Opened(connection, self)

    def _named(self) -> str:
        """What DuckDB calls the file."""
        found = self._root.execute(
            "SELECT database_name FROM duckdb_databases() "
            "WHERE NOT internal AND database_name <> current_database()"
        ).fetchall()
        return str(found[0][0])

    def close(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Closes a connection, and with the last one the file.

        What was committed is safe by then, even where it cannot be brought from the log into the
        file: who opens the file next hears what is wrong.
        """
        connection.close()
        self._open -= 1
        if self.idle:
            with suppress(duckdb.Error):
                self._root.execute(f"DETACH {quoted(self._name)}")

    def end(self) -> None:
        """Ends it; connections that are open still can be used, and keep the file open."""
        self._root.close()


@dataclass(frozen=True)
class Opened:
    """A connection to a file, and the DuckDB that the file is open in."""

    connection: duckdb.DuckDBPyConnection
    instance: Instance


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


class _Rest:
    """The instance that rests in this process: the last that was used."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._instance: Instance | None = None
        self._inherited: list[Instance | None] = []

    def take(self, path: Path, settings: Settings) -> Instance | None:
        """The one that was made for this, which is the caller's now."""
        with self._lock:
            if self._instance is None or self._instance.made_for != (path, settings):
                return None
            taken, self._instance = self._instance, None
        return taken

    def give(self, instance: Instance) -> None:
        """Keeps an idle one, and ends the one before it."""
        with self._lock:
            before, self._instance = self._instance, instance
        if before is not None:
            before.end()

    def inherit(self) -> None:
        """In a fork, where its threads are missing, it can neither be used nor ended."""
        self._lock = Lock()
        self._inherited.append(self._instance)
        self._instance = None


_rest = _Rest()
os.register_at_fork(after_in_child=_rest.inherit)


def started(path: Path, settings: Settings) -> Instance:
    """An idle instance for a file, which rested until now or is new."""
    path = path.absolute()
    return _rest.take(path, settings) or Instance(path, settings)


def rest(instance: Instance) -> None:
    """Gives an idle one back."""
    _rest.give(instance)
