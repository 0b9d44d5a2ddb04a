"""Progress on stderr while a run works: rows, bytes, and lag. Never a value."""

import logging
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

from connector.ports import Progress as Port

log = logging.getLogger("connector.progress")

LOG_SECONDS = 10.0
_terminal = threading.Lock()


class _Tally:
    """Counts of one run, logged now and then where nobody watches a terminal."""

    def __init__(self, table: str) -> None:
        self.table = table
        self.items = 0
        self.size = 0
        self.segments_done = 0
        self.records = 0
        self.lag: float | None = None
        self.started = time.monotonic()
        self._logged = self.started
        self._lock = threading.Lock()

    def add_scan(self, items: int, size: int, done: bool) -> None:
        with self._lock:
            self.items += items
            self.size += size
            self.segments_done += done

    def add_tail(self, counts: Mapping[str, int], lag: float | None) -> None:
        with self._lock:
            self.records += counts.get("read", 0)
            self.lag = lag

    def scanned_text(self) -> str:
        rate = self.items / max(time.monotonic() - self.started, 0.001)
        return f"{self.items:,} items, {self.size / 1e6:,.1f} MB, {rate:,.0f}/s"

    def tailed_text(self) -> str:
        lag = "" if self.lag is None else f", lag {self.lag:,.0f} s"
        return f"{self.records:,} changes{lag}"

    def due(self) -> bool:
        now = time.monotonic()
        if now - self._logged < LOG_SECONDS:
            return False
        self._logged = now
        return True


class _Logged:
    """Progress as a log line every few seconds."""

    def __init__(self, tally: _Tally) -> None:
        self._tally = tally

    def scanned(self, segment: int, items: int, size: int, done: bool) -> None:
        """Counts a page."""
        self._tally.add_scan(items, size, done)
        if self._tally.due():
            log.info("%s: scanned %s", self._tally.table, self._tally.scanned_text())

    def planned(self, items: int, segments: int) -> None:
        """Says how much there is to scan."""
        log.info(
            "%s: scanning about %s items in %d segments", self._tally.table, f"{items:,}", segments
        )

    def tailed(self, counts: Mapping[str, int], lag: float | None) -> None:
        """Counts a round."""
        self._tally.add_tail(counts, lag)
        if self._tally.due():
            log.info("%s: tailed %s", self._tally.table, self._tally.tailed_text())


class _Shown:
    """Progress as live lines: one for each segment that is being scanned, one for the tail."""

    def __init__(self, tally: _Tally, display: Progress) -> None:
        self._tally = tally
        self._display = display
        self._segments: dict[int, TaskID] = {}
        self._scan: TaskID | None = None
        self._tail: TaskID | None = None
        self._expected: float | None = None
        self._lock = threading.Lock()

    def planned(self, items: int, segments: int) -> None:
        """Says how much there is to scan; the source's count is some hours old."""
        self._expected = items / segments if items else None
        self._scan = self._add(f"{self._tally.table} scan", items or None)

    def _add(self, what: str, total: float | None) -> TaskID:
        return self._display.add_task(what, total=total, counts="")

    def scanned(self, segment: int, items: int, size: int, done: bool) -> None:
        """Moves a segment's line and the scan's."""
        self._tally.add_scan(items, size, done)
        with self._lock:
            if self._scan is None:
                self._scan = self._add(f"{self._tally.table} scan", None)
            if segment not in self._segments:
                self._segments[segment] = self._add(f"  segment {segment}", self._expected)
        task = self._segments[segment]
        self._display.update(task, advance=items, counts=f"{self._seen(task):,.0f} items")
        self._display.update(self._scan, advance=items, counts=self._tally.scanned_text())
        if done:
            self._display.remove_task(task)

    def _seen(self, task: TaskID) -> float:
        return next((each.completed for each in self._display.tasks if each.id == task), 0.0)

    def tailed(self, counts: Mapping[str, int], lag: float | None) -> None:
        """Moves the tail's line."""
        self._tally.add_tail(counts, lag)
        with self._lock:
            if self._tail is None:
                self._tail = self._add(f"{self._tally.table} tail", None)
        self._display.update(self._tail, counts=self._tally.tailed_text())


@contextmanager
def shown_progress(table: str, quiet: bool) -> Iterator[Port]:
    """Live progress on a terminal; log lines elsewhere, or where the terminal is taken."""
    tally = _Tally(table)
    live = sys.stderr.isatty() and not quiet and _terminal.acquire(blocking=False)
    if not live:
        yield _Logged(tally)
        return
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(bar_width=20),
        TextColumn("{task.fields[counts]}"),
        TimeElapsedColumn(),
    )
    try:
        with Progress(*columns, console=Console(stderr=True), transient=True) as display:
            yield _Shown(tally, display)
    finally:
        _terminal.release()
