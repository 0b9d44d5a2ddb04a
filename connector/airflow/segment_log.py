"""The progress of one segment's scan, as lines in its task's log."""

import logging
import time
from collections.abc import Mapping

from connector.core.words import lasting
from connector.progress import LOG_SECONDS

log = logging.getLogger("connector.airflow")


class SegmentLog:
    """Logs now and then how much of a segment was read, at which rate, and what is left.

    It is a `connector.ports.Progress`.
    """

    def __init__(self, table: str, segment: int) -> None:
        self._name = f"{table}: segment {segment}"
        self._expected: float | None = None
        self._before = 0
        self.read = 0
        """Items read by this try."""
        self.size = 0
        """Bytes read by this try."""
        self._done = False
        self._started = self._logged = time.monotonic()

    @property
    def items(self) -> int:
        """Items of this segment so far, those of earlier tries included."""
        return self._before + self.read

    def planned(self, items: int, segments: int) -> None:
        """Takes how much there is; the source's count is some hours old."""
        self._name += f" of {segments}"
        self._expected = items / segments if items else None

    def goes_on_after(self, items: int) -> None:
        """Says from where this try goes on, if an earlier one has spooled something."""
        self._before = items
        if items:
            log.info("%s goes on after %s items that are in the spool", self._name, f"{items:,}")

    def scanned(self, segment: int, items: int, size: int, done: bool) -> None:
        """Counts a page."""
        self.read += items
        self.size += size
        self._done = done
        if time.monotonic() - self._logged >= LOG_SECONDS and not done:
            self.log()

    def tailed(self, counts: Mapping[str, int], lag: float | None) -> None:
        """A scan does not tail."""

    def log(self) -> None:
        """One line with all of it."""
        self._logged = time.monotonic()
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
