"""Whose turn it is at a DuckDB file, among the tables of one process."""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from threading import Condition, Lock, Timer, get_ident
from typing import TYPE_CHECKING

import duckdb

from connector.errors import Busy

if TYPE_CHECKING:
    from connector.destinations.duckdb.session.connection import DuckDBFile

_LOOK_SECONDS = 1.0
"""How often a table that waits for its turn looks whether the wait has become long."""
KEPT_SECONDS = 2.0
"""How long commits that follow each other may share a connection."""
GAP_SECONDS = 0.25
"""How long the file is free after that; longer than the longest wait between two looks at it."""


@dataclass(frozen=True)
class Kept:
    """A connection that is open since a moment of `time.monotonic`, and what will close it."""

    file: "DuckDBFile"
    connection: duckdb.DuckDBPyConnection
    since: float
    timer: Timer


@dataclass
class Gate:
    """Lets many readers or one writer of this process at a file, in the order they came.

    DuckDB refuses a second connection of one process where only one of the two is read-only.
    Nobody here gives up on the others: a load may take longer than any commit should wait for
    another process.
    """

    readers: list[int] = field(default_factory=list)
    """The threads that read."""
    writing: bool = False
    waiting: list[object] = field(default_factory=list)
    changed: Condition = field(default_factory=Condition)
    setting_up: Lock = field(default_factory=Lock)
    """Readers share what they open: the first sets it up before another can see it."""
    kept: Kept | None = None
    """What the last writer left open for the next one."""
    closed_at: float = -GAP_SECONDS
    """When a connection was closed that had been kept."""
    held_since: float | None = None
    """Since when another process has been found to hold the file."""

    @contextmanager
    def passed(self, read_only: bool, file: "DuckDBFile") -> Iterator[None]:
        """Holds the gate. Raises Busy where the caller itself still reads and now would write."""
        me = get_ident()
        with self.changed:
            if me in self.readers and not read_only:
                raise Busy("The rows of this DuckDB file are still being read.")
            if me not in self.readers:
                self._await_turn(read_only, file)
            if read_only:
                self.readers.append(me)
            self.writing = not read_only
            # The next one may read as well.
            self.changed.notify_all()
        try:
            yield
        finally:
            with self.changed:
                if read_only:
                    self.readers.remove(me)
                self.writing = False
                self.changed.notify_all()

    def _await_turn(self, read_only: bool, file: "DuckDBFile") -> None:
        turn = object()
        self.waiting.append(turn)
        wait = file.waits.begin(logging.INFO)
        try:
            while not self.changed.wait_for(
                lambda: (
                    self.waiting[0] is turn and not self.writing and (read_only or not self.readers)
                ),
                _LOOK_SECONDS,
            ):
                wait.goes_on(
                    f"its turn at {file.path.name}, which other tables of this run are using"
                )
        finally:
            # One that is interrupted while it waits must not keep its place before the others.
            self.waiting.remove(turn)
            self.changed.notify_all()

    def take(self) -> Kept | None:
        """What was left open, which is the caller's now."""
        with self.changed:
            kept, self.kept = self.kept, None
        if kept is not None:
            kept.timer.cancel()
        return kept

    def keep(self, file: "DuckDBFile", connection: duckdb.DuckDBPyConnection, since: float) -> None:
        """Leaves a connection open for the next writer of this process, if it is not open long."""
        timer = Timer(max(0.0, since + KEPT_SECONDS - time.monotonic()), self.let_go)
        with self.changed:
            self.kept = Kept(file, connection, since, timer)
        timer.start()

    def let_go(self) -> None:
        """Closes what was left open, before anybody else can open the file."""
        with self.changed:
            kept = self.take()
            if kept is not None:
                # What was committed is safe, and who opens the file next hears what is wrong.
                with suppress(duckdb.Error):
                    kept.connection.close()
                self.closed_at = time.monotonic()
