"""Progress on stderr while a run works: rows, bytes, and lag. Never a value."""

import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

from connector.core.words import counted
from connector.ports import Progress as Port
from connector.progress import Logged, Tally

_terminal = threading.Lock()


class _Shown:
    """Progress as live lines: one for each segment that is being scanned, one for the tail."""

    def __init__(self, tally: Tally, display: Progress) -> None:
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
        self._display.update(task, advance=items, counts=counted(int(self._seen(task)), "item"))
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
    tally = Tally(table)
    live = sys.stderr.isatty() and not quiet and _terminal.acquire(blocking=False)
    if not live:
        yield Logged(tally)
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
