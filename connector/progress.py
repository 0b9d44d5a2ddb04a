"""Listeners that count events, and that log progress if there is no terminal."""

import logging
import threading
from collections.abc import Callable

from connector.core.words import counted, lasting
from connector.events import Event, ScanBegun, Scanned, Tailed
from connector.stop import MACHINE, Clock

log = logging.getLogger("connector.progress")

LOG_SECONDS = 10.0


class Tally:
    """The counts of one run."""

    def __init__(self, table: str, clock: Clock = MACHINE) -> None:
        self.table = table
        self._clock = clock
        self.items = 0
        self.size = 0
        self.segments_done = 0
        self.records = 0
        self.applied = 0
        self.lag: float | None = None
        self.started = self._clock.monotonic()
        self._logged = self.started
        self._lock = threading.Lock()

    def __call__(self, event: Event) -> None:
        """Counts an event."""
        with self._lock:
            match event:
                case Scanned():
                    self.items += event.items
                    self.size += event.size
                    self.segments_done += event.done
                case Tailed():
                    self.records += event.counts.get("read", 0)
                    self.applied += event.counts.get("applied", 0)
                    self.lag = event.lag

    def scanned_text(self) -> str:
        """The progress of the scan, in words."""
        rate = self.items / max(self._clock.monotonic() - self.started, 0.001)
        return f"{counted(self.items, 'item')}, {self.size / 1e6:,.1f} MB, {rate:,.0f}/s"

    def tailed_text(self) -> str:
        """The progress of the tail, in words."""
        lag = "" if self.lag is None else f", lag {lasting(self.lag)}"
        return f"{counted(self.records, 'change')}{lag}"

    def due(self) -> bool:
        """Whether it is time for another log line."""
        now = self._clock.monotonic()
        if now - self._logged < LOG_SECONDS:
            return False
        self._logged = now
        return True


class Logged:
    """A listener that counts, and logs a line every few seconds.

    `aside` returns what to append to each line, such as the failed tables of the same run.
    """

    def __init__(self, tally: Tally, aside: Callable[[], str] = str) -> None:
        self.tally = tally
        self._aside = aside

    def __call__(self, event: Event) -> None:
        """Counts an event; the start of a scan is always logged."""
        self.tally(event)
        match event:
            case ScanBegun():
                about = f"{counted(event.items, 'item')} in {counted(event.segments, 'segment')}"
                self._log(f"{'reading an export of' if event.origin else 'scanning'} about {about}")
            case Scanned() if self.tally.due():
                self._log(f"scanned {self.tally.scanned_text()}")
            case Tailed() if self.tally.due():
                self._log(f"tailed {self.tally.tailed_text()}")

    def _log(self, text: str) -> None:
        log.info("%s: %s%s", self.tally.table, text, self._aside())
