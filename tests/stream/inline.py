"""A scan that goes on between rounds of the tail, in its own thread: it has none."""

from dataclasses import dataclass

from connector.pipeline.scan import SegmentScan


@dataclass
class InlineScan:
    """Scans some pages each time it is asked whether it has finished: between rounds of the tail.

    No thread runs, so that the same scenario always interleaves in the same way.
    """

    scan: SegmentScan
    segments: int
    pages: int | None

    def __post_init__(self) -> None:
        self._left = 0
        self._segment = 0
        self.scan.stopped = self._stopped

    def _stopped(self) -> bool:
        self._left -= 1
        return self.pages is not None and self._left < 0

    def finished(self) -> bool:
        """Scans on; true after the last page."""
        self._left = self.pages or 0
        while self._segment < self.segments:
            if not self.scan.run(self._segment):
                return False
            self._segment += 1
        return True

    def stop(self) -> None:
        """Nothing runs."""
