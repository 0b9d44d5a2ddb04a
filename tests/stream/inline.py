"""What goes on beside the tail, without a thread: the same scenario always runs in the same way."""

from dataclasses import dataclass

from connector.core.cursors import Batch
from connector.pipeline.following.committing import Finished
from connector.pipeline.scan import SegmentScan
from connector.ports import Destination


@dataclass
class InlineScan:
    """Scans some pages each time it is asked whether it has finished: between two rounds."""

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


@dataclass
class LateCommitting:
    """Makes each commit only when it is waited for: as late as a thread could, with all that was
    read meanwhile at stake. A process that dies before has not made it.
    """

    destination: Destination
    under_way: Batch | None = None

    def begin(self, batch: Batch) -> None:
        """Keeps the batch for later."""
        assert self.under_way is None
        self.under_way = batch

    def wait(self) -> Finished | None:
        """Commits what was begun."""
        batch, self.under_way = self.under_way, None
        return (batch, self.destination.commit(batch)) if batch else None

    def close(self) -> None:
        """Drops what was begun, as the death of the process would."""
        self.under_way = None
