"""Logs the progress of one segment's scan in its task's log."""

import logging

from connector.core.words import lasting
from connector.events import Event, ScanBegun, Scanned
from connector.progress import LOG_SECONDS
from connector.stop import MACHINE, Clock

log = logging.getLogger("connector.airflow")


class SegmentLog:
    """A listener that logs how much of a segment was read, the rate, and the time left."""

    def __init__(self, table: str, segment: int, clock: Clock = MACHINE) -> None:
        self._clock = clock
        self._name = f"{table}: segment {segment}"
        self._expected: float | None = None
        self._before = 0
        self.read = 0
        """Items read by this try."""
        self.size = 0
        """Bytes read by this try."""
        self._done = False
        self._started = self._logged = self._clock.monotonic()

    @property
    def items(self) -> int:
        """Items of this segment so far, including those of earlier tries."""
        return self._before + self.read

    def goes_on_after(self, items: int) -> None:
        """Logs where this try resumes, if an earlier one has spooled something."""
        self._before = items
        if items:
            log.info("%s resumes after %s items in the spool", self._name, f"{items:,}")

    def __call__(self, event: Event) -> None:
        """Counts a page, and logs now and then; the source's item count is some hours old."""
        match event:
            case ScanBegun():
                self._name += f" of {event.segments}"
                self._expected = event.items / event.segments if event.items else None
            case Scanned():
                self.read += event.items
                self.size += event.size
                self._done = event.done
                if self._clock.monotonic() - self._logged >= LOG_SECONDS and not event.done:
                    self.log()

    def log(self) -> None:
        """Logs one line with the whole progress."""
        self._logged = self._clock.monotonic()
        rate = self.read / max(self._logged - self._started, 0.001)
        log.info(
            "%s: %s items%s, %.1f MB, %s/s%s",
            self._name,
            f"{self.items:,}",
            f" of about {self._expected:,.0f}" if self._expected else "",
            self.size / 1e6,
            f"{rate:,.0f}",
            self._left(rate),
        )

    def _left(self, rate: float) -> str:
        if self._done or not self._expected or not rate or self.items >= self._expected:
            return ""
        return f", about {lasting((self._expected - self.items) / rate)} left"
