"""A DuckDB file, opened for one operation at a time so that other processes get a turn."""

import gc
import os
import random
import stat
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import duckdb

from connector.destinations.duckdb.session import format as duckdb_format
from connector.destinations.duckdb.session.alone import Alone
from connector.destinations.duckdb.session.errors import (
    duckdb_errors,
    held,
    holder,
    is_locked,
    is_of_this_process,
    is_unreplayed,
    state_errors,
)
from connector.destinations.duckdb.session.gate import GAP_SECONDS, KEPT_SECONDS, Gate
from connector.destinations.duckdb.session.instance import Opened
from connector.errors import DestinationRefused
from connector.waits import Waits

# Long enough to cost nothing, short enough to get a turn between two commits of a tail.
_POLL_SECONDS = (0.02, 0.2)

Connection = duckdb.DuckDBPyConnection
Found = TypeVar("Found")


_gates: dict[str, Gate] = {}


@dataclass(frozen=True)
class DuckDBFile:
    """One DuckDB file and how to open it. `lock_timeout` is in seconds."""

    path: Path
    threads: int
    memory_limit: str
    lock_timeout: float
    storage_version: str | None = None
    waits: Waits = field(default_factory=Waits, compare=False)

    def exists(self) -> bool:
        """Whether there is a file yet. Raises DestinationRefused if there can be none."""
        try:
            found = self.path.stat()
        except FileNotFoundError:
            return False
        except (OSError, ValueError) as error:
            raise DestinationRefused(
                f"{self.path} cannot be opened: {_reason(error)}.",
                "Check the path and the permissions of its folder.",
            ) from None
        if not stat.S_ISREG(found.st_mode):
            raise DestinationRefused(
                f"{self.path} cannot hold tables: it is {_kind(found.st_mode)}.",
                "Name a file: --to duckdb:///warehouse.duckdb.",
            )
        return True

    def beside(self, folder: Path) -> "DuckDBFile":
        """A file of the same name and settings in another folder."""
        return replace(self, path=folder / self.path.name)

    @contextmanager
    def open(self, read_only: bool = False, keep: bool = False) -> Iterator[Connection]:
        """A connection that is closed, and unless committed rolled back, at the end.

        Closing costs a checkpoint. If another commit follows at once, `keep` leaves it open for
        that one, but not for long, since other processes wait.

        Raises Busy if another process holds the file for longer than `lock_timeout`, and
        DestinationRefused if it cannot be a DuckDB file.
        """
        if not self.exists() and not self.path.parent.is_dir():
            raise DestinationRefused(
                f"The folder {self.path.parent} does not exist.",
                "Create it, or choose another path for the DuckDB file.",
            )
        gate = self._gate
        asked = time.monotonic()
        with gate.passed(read_only, self), duckdb_errors(self.path):
            kept = self._kept(gate, read_only)
            since, opened = kept or (time.monotonic(), self.connect(read_only, gate, asked))
            try:
                yield opened.connection
            except BaseException:
                gate.drop(opened)
                raise
            # Without a checkpoint, what opens it next must read the log first.
            keep = keep or (not read_only and not gate.checkpoints)
            if keep and time.monotonic() < since + KEPT_SECONDS:
                gate.keep(self, opened, since)
            else:
                gate.close(opened)
                gate.closed_at = time.monotonic() if keep or kept else gate.closed_at

    @contextmanager
    def asked(self) -> Iterator[Connection]:
        """A connection for a user's query, in a separate DuckDB that can only read this file."""
        # Two instances cannot have one file open, so no other table of this process may read.
        with self.alone():
            connection = self._waited(self._read_only, self._gate, time.monotonic())
            try:
                yield connection
            finally:
                connection.close()

    @property
    def _gate(self) -> Gate:
        return _gates.setdefault(os.path.realpath(self.path), Gate())

    @contextmanager
    def alone(self) -> Iterator[Alone]:
        """Keeps the file closed in this process, except for what the block itself opens."""
        with self._gate.passed(False, self), duckdb_errors(self.path):
            self.release()
            yield Alone(self, self._gate)

    def release(self) -> None:
        """Closes a connection that was kept open for a commit that does not come."""
        gate = _gates.get(os.path.realpath(self.path))
        if gate is not None:
            gate.let_go()

    def _kept(self, gate: Gate, read_only: bool) -> tuple[float, Opened] | None:
        """The connection that the last writer kept open if it fits; otherwise closes it."""
        kept = gate.take()
        if kept is None:
            return None
        if kept.file == self and not read_only:
            return kept.since, kept.opened
        gate.close(kept.opened)
        return None

    def connect(self, read_only: bool, gate: Gate, asked: float) -> Opened:
        """A connection through a gate that is passed, once no other process holds the file."""
        if not read_only:
            # Others may have waited for long, and only try now and then.
            time.sleep(max(0.0, gate.closed_at + GAP_SECONDS - time.monotonic()))
        return self._waited(lambda: self.connect_now(read_only, gate), gate, asked)

    def _waited(self, open_: Callable[[], Found], gate: Gate, asked: float) -> Found:
        """Retries `open_` until no other process holds the file, and returns its result."""
        wait = self.waits.begin()
        while True:
            try:
                found = open_()
                gate.held_since = None
                return found
            except duckdb.Error as error:
                if not is_locked(error):
                    raise
                if is_of_this_process(error):
                    # An earlier error in a reference cycle may keep a connection open.
                    gc.collect()
                now = time.monotonic()
                gate.held_since = gate.held_since or now
                # Waiting behind another table of this process counts as waiting for the file.
                waited = now - max(asked, gate.held_since)
                if waited >= self.lock_timeout:
                    raise held(self.path, error, waited) from error
                what = f"{self.path.name}, held by {holder(error)}"
                wait.goes_on(what, self.lock_timeout - waited)
            time.sleep(random.uniform(*_POLL_SECONDS))

    def connect_now(self, read_only: bool, gate: Gate) -> Opened:
        """The same without a wait: raises DuckDB's error if another process holds the file."""
        new = not self.exists()
        opened = gate.open(self.path, self._settings(), read_only)
        try:
            if new:
                # The rows are private until the owner of the file decides otherwise.
                self.path.chmod(0o600)
            if self.storage_version and not read_only:
                duckdb_format.refuse_newer(opened.connection, self.path, self.storage_version)
        except BaseException:
            gate.drop(opened)
            raise
        return opened

    def _read_only(self) -> Connection:
        connection = self._replayed()
        connection.execute("SET GLOBAL TimeZone = 'UTC'")
        # The bar would go to standard output, among the rows.
        connection.execute("SET enable_progress_bar = false")
        connection.execute("SET lock_configuration = true")
        return connection

    def _replayed(self) -> Connection:
        try:
            return duckdb.connect(self.path, read_only=True, config=self._settings())
        except duckdb.Error as error:
            if not is_unreplayed(error):
                raise
        self._replay()
        return duckdb.connect(self.path, read_only=True, config=self._settings())

    def _replay(self) -> None:
        """Moves what a killed run had committed from the file's log into the file.

        The log may widen a column to JSON, and is replayed before a file that is opened directly
        has the functions for that. An attached file finds them in the database it joins.
        """
        settings = self._settings() | {"enable_external_access": "true"}
        path = str(self.path).replace("'", "''")
        with duckdb.connect(config=settings) as beside:
            beside.execute(f"ATTACH '{path}' AS killed")
            beside.execute("CHECKPOINT killed")

    def _settings(self) -> dict[str, str | bool | int | float | list[str]]:
        return {
            "threads": str(self.threads),
            "memory_limit": self.memory_limit,
            "preserve_insertion_order": "false",
            # The only checkpoint is the one when the file is closed.
            "wal_autocheckpoint": "1GB",
            **({} if self._gate.checkpoints else {"checkpoint_on_detach": "DISABLED"}),
            "autoinstall_known_extensions": "false",
            "autoload_known_extensions": "false",
            "enable_external_access": "false",
            "python_enable_replacements": "false",
            **duckdb_format.settings(self.storage_version),
        }


def _reason(error: Exception) -> str:
    """The system's reason for refusing a path."""
    return (isinstance(error, OSError) and error.strerror) or "it is not a valid file name"


def _kind(mode: int) -> str:
    if stat.S_ISDIR(mode):
        return "a folder"
    if stat.S_ISFIFO(mode):
        return "a pipe"
    return "a socket" if stat.S_ISSOCK(mode) else "a device"


def database_of(connection: Connection) -> str:
    """DuckDB's name for the file: usually the file's name up to the first dot."""
    return str(run_often(connection, "SELECT current_database() AS name")[0]["name"])


def roll_back(connection: Connection) -> None:
    """Ends a transaction that failed, so that the catalog can be asked why."""
    with suppress(duckdb.TransactionException):
        # A failed COMMIT has already ended it.
        connection.execute("ROLLBACK")


_parsed: dict[str, duckdb.Statement] = {}
"""Statements by their text, for any connection: to parse one takes as long as to run it."""

_PARSED_AT_MOST = 500


def run(
    connection: Connection, sql: str | duckdb.Statement, parameters: Sequence[Any] = ()
) -> list[dict[str, Any]]:
    """Runs one statement and returns its rows."""
    connection.execute(sql, list(parameters))
    names = [column[0] for column in connection.description or ()]
    return [dict(zip(names, row, strict=True)) for row in connection.fetchall()]


def run_often(
    connection: Connection, sql: str, parameters: Sequence[Any] = ()
) -> list[dict[str, Any]]:
    """As `run`, for one of a few statements that every transaction needs: each is parsed once."""
    statement = _parsed.get(sql)
    if statement is None:
        (statement,) = connection.extract_statements(sql)
        if len(_parsed) >= _PARSED_AT_MOST:
            _parsed.clear()
        _parsed[sql] = statement
    return run(connection, statement, parameters)


def run_on_state(
    connection: Connection, sql: str, parameters: Sequence[Any]
) -> list[dict[str, Any]]:
    """As `run_often`, for statements on the state's own tables."""
    with state_errors():
        return run_often(connection, sql, parameters)


def changed(connection: Connection, sql: str, parameters: Sequence[Any] = ()) -> int:
    """Runs a statement that changes rows and returns how many."""
    rows = connection.execute(sql, list(parameters)).fetchall()
    return int(rows[0][0]) if rows else 0
