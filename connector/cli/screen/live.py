"""Moving lines on a terminal during a run: rows, bytes, and lag; never a value."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)
from rich.text import Text

from connector.cli.screen.visible import visible
from connector.core.words import counted
from connector.events import Event, Listener, ScanBegun, Scanned, Tailed
from connector.pipeline.side_by_side import Failures
from connector.progress import Tally

FAILED = "failed"


class _Name(ProgressColumn):
    """The description of a line, and whether its table has failed."""

    max_refresh = 0.1

    def __init__(self, failed: Callable[[str], bool]) -> None:
        super().__init__()
        self._failed = failed

    def render(self, task: Task) -> Text:
        """The description, marked if the table has failed."""
        name = Text(task.description)
        if self._failed(task.fields["table"]):
            name.append(f" {FAILED}", style="bold red")
        return name


class _Lines:
    """The lines of one table: its scan, its segments if it is the only table, and its tail."""

    def __init__(self, table: str, display: Progress, segments: bool) -> None:
        self._tally = Tally(table)
        self._display = display
        self._shows_segments = segments
        self._segments: dict[int, TaskID] = {}
        self._first = self._add(table, None)
        self._scan: TaskID | None = None
        self._tail: TaskID | None = None
        self._expected: float | None = None
        self._lock = threading.Lock()

    def _add(self, what: str, total: float | None) -> TaskID:
        return self._display.add_task(
            visible(what), total=total, counts="", table=self._tally.table
        )

    def clear(self) -> None:
        """Removes every line."""
        with self._lock:
            for task in (self._first, self._tail, *self._segments.values()):
                if task is not None and task in self._display.task_ids:
                    self._display.remove_task(task)

    def __call__(self, event: Event) -> None:
        """Updates the lines."""
        self._tally(event)
        match event:
            case ScanBegun():
                self._expected = event.items / event.segments if event.items else None
                with self._lock:
                    self._begin_scan(event.items or None)
            case Scanned():
                self._scanned(event)
            case Tailed():
                self._tailed()

    def _begin_scan(self, total: float | None) -> TaskID:
        if self._tail == self._first:
            self._tail = self._add(f"{self._tally.table} tail", None)
        self._scan = self._first
        self._display.update(
            self._first, description=visible(f"{self._tally.table} scan"), total=total
        )
        return self._first

    def _scanned(self, event: Scanned) -> None:
        segment, items = event.segment, event.items
        with self._lock:
            scan = self._begin_scan(None) if self._scan is None else self._scan
            if self._shows_segments and segment not in self._segments:
                self._segments[segment] = self._add(f"  segment {segment}", self._expected)
        self._display.update(scan, advance=items, counts=self._tally.scanned_text())
        task = self._segments.get(segment)
        if task is None:
            return
        self._display.update(task, advance=items, counts=counted(int(self._seen(task)), "item"))
        if event.done:
            self._display.remove_task(task)

    def _seen(self, task: TaskID) -> float:
        return next((each.completed for each in self._display.tasks if each.id == task), 0.0)

    def _tailed(self) -> None:
        with self._lock:
            if self._tail is None:
                alone = self._scan is None
                self._tail = self._first if alone else self._add("", None)
                self._display.update(self._tail, description=visible(f"{self._tally.table} tail"))
        self._display.update(self._tail, counts=self._tally.tailed_text())


class _Live:
    """A display that all tables of a run share."""

    def __init__(self, display: Progress, segments: bool) -> None:
        self._display = display
        self._segments = segments
        self._lines: dict[str, _Lines] = {}

    def __call__(self, table: str) -> Listener:
        """The lines of another try of a table."""
        if before := self._lines.get(table):
            before.clear()
        self._lines[table] = _Lines(table, self._display, self._segments)
        return self._lines[table]


@contextmanager
def live(failures: Failures, several: bool) -> Iterator[Callable[[str], Listener]]:
    """A display on a terminal for all tables: called for a try of one, it shows that try."""
    columns = (
        SpinnerColumn(),
        _Name(lambda table: failures.of(table) is not None),
        BarColumn(bar_width=20),
        TextColumn("{task.fields[counts]}", markup=False),
        TimeElapsedColumn(),
    )
    console = Console(stderr=True, emoji=False)
    with Progress(*columns, console=console, transient=True) as display:
        yield _Live(display, segments=not several)
