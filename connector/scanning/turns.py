"""Scans of several tables in one program take turns at its workers, in the order they came."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Lock

from connector.pipeline.sync import Scanning
from connector.waits import Waits


class Lane:
    """Lets `room` scans go on at once; the others wait."""

    def __init__(self, room: int) -> None:
        self._room = room
        self._tickets: list[object] = []
        self._lock = Lock()

    def enter(self) -> object:
        """A ticket, the last of the line."""
        ticket = object()
        with self._lock:
            self._tickets.append(ticket)
        return ticket

    def admits(self, ticket: object) -> bool:
        """Whether it is this ticket's turn."""
        with self._lock:
            return ticket in self._tickets[: self._room]

    def leave(self, ticket: object) -> None:
        """Gives a turn back, or does without it; leaving twice does no harm."""
        with self._lock:
            if ticket in self._tickets:
                self._tickets.remove(ticket)


@dataclass(frozen=True)
class ScanTurns:
    """Scans in processes go on one at a time, since each employs all workers.

    Scans in threads are of small tables, and do not wait for a large one.
    """

    processes: Lane = field(default_factory=lambda: Lane(1))
    threads: Lane = field(default_factory=lambda: Lane(1))

    @classmethod
    def of(cls, tables: int, capped: bool) -> "ScanTurns":
        """Turns of as many small tables at once; under a cap on read units, of one scan alone."""
        if not capped:
            return cls(threads=Lane(tables))
        alone = Lane(1)
        return cls(alone, alone)


class TurnedScan:
    """A scan that begins when it is its turn. The tail of its table goes on meanwhile."""

    def __init__(
        self,
        table: str,
        lane: Lane,
        start: Callable[[], Scanning],
        waits: Waits | None = None,
    ) -> None:
        self._lane = lane
        self._start = start
        self._scan: Scanning | None = None
        self._ticket = lane.enter()
        self._wait = (waits or Waits(table)).begin(logging.INFO)
        self.begun()

    def begun(self) -> bool:
        """Whether it has begun; it does where it is its turn."""
        if self._scan is None and self._lane.admits(self._ticket):
            try:
                self._scan = self._start()
            except BaseException:
                self._lane.leave(self._ticket)
                raise
        return self._scan is not None

    def finished(self) -> bool:
        """Whether every segment is done. Raises the error the scan ended with."""
        if not self.begun():
            self._wait.goes_on("its turn to be scanned, while other tables are")
            return False
        assert self._scan is not None
        done = self._scan.finished()
        if done:
            # The load that follows needs no worker.
            self._lane.leave(self._ticket)
        return done

    def stop(self) -> None:
        """Ends the scan, or its wait."""
        try:
            if self._scan is not None:
                self._scan.stop()
        finally:
            self._lane.leave(self._ticket)
