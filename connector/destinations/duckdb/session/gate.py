"""Turns at a DuckDB file among the tables of one process."""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Condition, Lock, Timer, get_ident
from typing import TYPE_CHECKING

import duckdb

from connector.destinations.duckdb.session.errors import is_locked
from connector.destinations.duckdb.session.instance import (
    Instance,
    Opened,
    Settings,
    rest,
    started,
)
from connector.errors import Busy

if TYPE_CHECKING:
    from connector.destinations.duckdb.session.connection import DuckDBFile

_LOOK_SECONDS = 1.0
"""How often a waiting table checks whether its wait has become long."""
KEPT_SECONDS = 2.0
"""How long consecutive commits may share a connection."""
GAP_SECONDS = 0.25
"""How long the file is free after that: longer than other processes wait between two tries."""


@dataclass(frozen=True)
class Kept:
    """A connection that has been open since a `time.monotonic`, and the timer that closes it."""

    file: "DuckDBFile"
    opened: Opened
    since: float
    timer: Timer


@dataclass
class Gate:
    """Admits many readers or one writer of this process to a file, in the order they came.

    DuckDB refuses a second connection of one process if only one of the two is read-only. There
    is no time-out here: a load may take longer than a commit should wait for another process.
    """

    readers: list[int] = field(default_factory=list)
    """The threads that read."""
    writing: bool = False
    waiting: list[object] = field(default_factory=list)
    changed: Condition = field(default_factory=Condition)
    instance: Instance | None = None
    """The DuckDB instance in which the file is open; readers share it."""
    opening: Lock = field(default_factory=Lock)
    kept: Kept | None = None
    """The connection that the last writer kept open for the next one."""
    closed_at: float = -GAP_SECONDS
    """When a kept connection was last closed."""
    checkpoints: bool = True
    """Whether closing the file moves its log into it."""
    held_since: float | None = None
    """Since when another process is known to hold the file."""

    @contextmanager
    def passed(self, read_only: bool, file: "DuckDBFile") -> Iterator[None]:
        """Holds the gate. Raises Busy if this thread wants to write while it still reads."""
        me = get_ident()
        with self.changed:
            if me in self.readers and not read_only:
                raise Busy("The rows of this DuckDB file are still being read.")
            if me not in self.readers:
                self._await_turn(read_only, file)
            if read_only:
                self.readers.append(me)
            self.writing = not read_only
            # The next one may also be a reader.
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
            # If the wait was interrupted, the place in the queue must not block the others.
            self.waiting.remove(turn)
            self.changed.notify_all()

    def open(self, path: Path, settings: Settings, read_only: bool) -> Opened:
        """A connection to the file. Raises what DuckDB does."""
        with self.opening:
            instance = self.instance or started(path, settings)
            try:
                opened = instance.open(read_only)
            except BaseException as error:
                self.instance = None
                # Usually another process holds the file, and this is tried again. After any other
                # error, such as too little memory, the instance may still have the file open.
                if instance.idle and isinstance(error, duckdb.Error) and is_locked(error):
                    rest(instance)
                else:
                    instance.end()
                raise
            self.instance = instance
            return opened

    def close(self, opened: Opened) -> None:
        """Closes a connection, and the file if no other reader has it open."""
        with self.opening:
            opened.instance.close(opened.connection)
            if self.instance is opened.instance and opened.instance.idle:
                self.instance = None
                rest(opened.instance)

    def drop(self, opened: Opened) -> None:
        """Closes a connection and its instance after an error, which may have damaged it."""
        with self.opening:
            opened.connection.close()
            opened.instance.end()
            if self.instance is opened.instance:
                self.instance = None

    def take(self) -> Kept | None:
        """Hands the kept connection over to the caller."""
        with self.changed:
            kept, self.kept = self.kept, None
        if kept is not None:
            kept.timer.cancel()
        return kept

    def keep(self, file: "DuckDBFile", opened: Opened, since: float) -> None:
        """Keeps a connection open for this process's next writer, for at most KEPT_SECONDS."""
        timer = Timer(max(0.0, since + KEPT_SECONDS - time.monotonic()), self.let_go)
        with self.changed:
            self.kept = Kept(file, opened, since, timer)
        timer.start()

    def let_go(self) -> None:
        """Closes the kept connection, before anyone else can open the file."""
        with self.changed:
            kept = self.take()
            if kept is not None:
                self.close(kept.opened)
                self.closed_at = time.monotonic()
