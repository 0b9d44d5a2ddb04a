"""A commit in a thread of its own, so that the next round is read meanwhile."""

from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

from connector.core.cursors import Batch
from connector.core.state import Committed
from connector.ports import Destination

Settled = tuple[Batch, Committed]


@dataclass
class Committing:
    """At most one commit under way, so that commits keep the order in which they began."""

    destination: Destination
    _thread: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1, "commit"))
    _under_way: Future[Settled] | None = None

    def begin(self, batch: Batch) -> None:
        """Starts a commit; the one before must be settled."""
        assert self._under_way is None
        self._under_way = self._thread.submit(self._commit, batch)

    def _commit(self, batch: Batch) -> Settled:
        return batch, self.destination.commit(batch)

    def settle(self) -> Settled | None:
        """Waits for the commit under way, if there is one. Raises its error."""
        under_way, self._under_way = self._under_way, None
        return under_way.result() if under_way else None

    def close(self) -> None:
        """Waits for the commit under way; its error matters no more than another run's."""
        self._thread.shutdown()
        self.destination.release()
