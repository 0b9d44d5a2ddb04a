"""Scans of several tables in one program take turns at its workers, in order of arrival."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Lock

from connector.pipeline.scan import Scanning
from connector.waits import Waits


class Lane:
    """Lets `room` scans run at once; the others wait."""

    def __init__(self, room: int) -> None:
        self._room = room
        self._tickets: list[object] = []
        self._lock = Lock()

    def enter(self) -> object:
        """A ticket at the end of the queue."""
        ticket = object()
        with self._lock:
            self._tickets.append(ticket)
        return ticket

    def admits(self, ticket: object) -> bool:
        """Whether it is this ticket's turn."""
        with self._lock:
            return ticket in self._tickets[: self._room]

    def leave(self, ticket: object) -> None:
        """Gives up a turn or a place in the queue; leaving twice does no harm."""
        with self._lock:
            if ticket in self._tickets:
                self._tickets.remove(ticket)


@dataclass(frozen=True)
class ScanTurns:
    """Scans in processes run one at a time, since each uses all workers.

    Scans in threads are for small tables, and do not wait for a large one.
    """

    processes: Lane = field(default_factory=lambda: Lane(1))
    threads: Lane = field(default_factory=lambda: Lane(1))

    @classmethod
    def of(cls, tables: int, capped: bool) -> "ScanTurns":
        """Turns for `tables` small tables at once; with a limit on read units, for one scan."""
        if not capped:
            return cls(threads=Lane(tables))
        alone = Lane(1)
        return cls(alone, alone)


class TurnedScan:
    """A scan that begins when it is its turn. The tail of its table runs meanwhile."""

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
        """Whether the scan has begun; starts it if it is its turn."""
        if self._scan is None and self._lane.admits(self._ticket):
            try:
                self._scan = self._start()
            except BaseException:
                self._lane.leave(self._ticket)
                raise
        return self._scan is not None

    def finished(self) -> bool:
        """Whether every segment is done. Raises the error that the scan ended with."""
        if not self.begun():
            self._wait.goes_on("its turn to be scanned, after other tables")
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
