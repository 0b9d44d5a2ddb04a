"""Runs a commit in a thread of its own, so that the next round can be read meanwhile."""

from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

from connector.core.cursors import Batch
from connector.core.state import Committed
from connector.ports import Destination

Finished = tuple[Batch, Committed]


@dataclass
class Committing:
    """Allows one commit at a time, so that commits keep their order."""

    destination: Destination
    _thread: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1, "commit"))
    _under_way: Future[Finished] | None = None

    def begin(self, batch: Batch) -> None:
        """Starts a commit; the previous one must have been waited for."""
        assert self._under_way is None
        self._under_way = self._thread.submit(self._commit, batch)

    def _commit(self, batch: Batch) -> Finished:
        return batch, self.destination.commit(batch)

    def wait(self) -> Finished | None:
        """Waits for the commit under way, if there is one. Raises its error."""
        under_way, self._under_way = self._under_way, None
        return under_way.result() if under_way else None

    def close(self) -> None:
        """Waits for the commit under way; its error no longer matters."""
        self._thread.shutdown()
        self.destination.release()
