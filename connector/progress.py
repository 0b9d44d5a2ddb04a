"""Progress as counts, and as log lines where nobody watches a terminal. Never a value."""

import logging
import threading
import time
from collections.abc import Callable, Mapping

from connector.core.words import counted, lasting

log = logging.getLogger("connector.progress")

LOG_SECONDS = 10.0


class Tally:
    """Counts of one run, logged now and then where nobody watches a terminal."""

    def __init__(self, table: str) -> None:
        self.table = table
        self.items = 0
        self.size = 0
        self.segments_done = 0
        self.records = 0
        self.applied = 0
        self.lag: float | None = None
        self.started = time.monotonic()
        self._logged = self.started
        self._lock = threading.Lock()

    def add_scan(self, items: int, size: int, done: bool) -> None:
        """Counts a page."""
        with self._lock:
            self.items += items
            self.size += size
            self.segments_done += done

    def add_tail(self, counts: Mapping[str, int], lag: float | None) -> None:
        """Counts a round."""
        with self._lock:
            self.records += counts.get("read", 0)
            self.applied += counts.get("applied", 0)
            self.lag = lag

    def scanned_text(self) -> str:
        """What was scanned, in words."""
        rate = self.items / max(time.monotonic() - self.started, 0.001)
        return f"{counted(self.items, 'item')}, {self.size / 1e6:,.1f} MB, {rate:,.0f}/s"

    def tailed_text(self) -> str:
        """What was tailed, in words."""
        lag = "" if self.lag is None else f", lag {lasting(self.lag)}"
        return f"{counted(self.records, 'change')}{lag}"

    def due(self) -> bool:
        """Whether it is time for another log line."""
        now = time.monotonic()
        if now - self._logged < LOG_SECONDS:
            return False
        self._logged = now
        return True


class Logged:
    """Progress as a log line every few seconds.

    `aside` is what each line adds, such as the tables of the same run that have failed.
    """

    def __init__(self, tally: Tally, aside: Callable[[], str] = str) -> None:
        self.tally = tally
        self._aside = aside

    def scanned(self, segment: int, items: int, size: int, done: bool) -> None:
        """Counts a page."""
        self.tally.add_scan(items, size, done)
        if self.tally.due():
            self._say(f"scanned {self.tally.scanned_text()}")

    def planned(self, items: int, segments: int) -> None:
        """Says how much there is to scan."""
        self._say(f"scanning about {counted(items, 'item')} in {counted(segments, 'segment')}")

    def tailed(self, counts: Mapping[str, int], lag: float | None) -> None:
        """Counts a round."""
        self.tally.add_tail(counts, lag)
        if self.tally.due():
            self._say(f"tailed {self.tally.tailed_text()}")

    def _say(self, text: str) -> None:
        log.info("%s: %s%s", self.tally.table, text, self._aside())
