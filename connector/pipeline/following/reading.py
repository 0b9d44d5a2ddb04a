"""One round of reading: a visit for every shard that is due, concurrently, within one budget."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

from connector.config.model import TailConfig
from connector.core.changes.shards import Listing, readable
from connector.pipeline.following.position import Position, RoundBudget, Visit
from connector.ports import Changes

PAGE_RECORDS = 1000


class Reading:
    """Owns the reading threads, and remembers which shards a round has left out."""

    def __init__(self, changes: Changes, config: TailConfig) -> None:
        self._changes = changes
        self._config = config
        self._threads = ThreadPoolExecutor(config.readers, "shard")
        self._queue: list[str] = []

    def visits(
        self, listing: Listing, positions: Mapping[str, Position], began: datetime
    ) -> list[Visit]:
        """A visit for every shard that is due; those that the budget left out come first next time.

        The previous round's commit may still be under way and contain the end of a parent. Commits
        keep their order, so the children never overtake it.
        """
        cursors = {shard: position.cursor for shard, position in positions.items()}
        now = self._changes.now()
        ready = {s.id: s for s in readable(listing, cursors) if positions[s.id].due(now)}
        waiting = [name for name in self._queue if name in ready]
        waiting += sorted(ready.keys() - set(waiting))
        until = now + timedelta(seconds=self._config.commit_seconds)
        budget = RoundBudget(self._config.batch_records, until)
        share = max(PAGE_RECORDS, self._config.batch_records // max(1, len(waiting)))
        quiet = timedelta(seconds=self._config.quiet_seconds)

        def read(name: str) -> Visit:
            position = positions[name]
            parents = [positions[p] for p in position.cursor.parents if p in positions]
            visit = Visit.begin(ready[name], position, parents)
            return visit.read(self._changes, began=began, quiet=quiet, share=share, budget=budget)

        visits = list(self._threads.map(read, waiting))
        self._queue = [visit.shard.id for visit in sorted(visits, key=lambda visit: visit.begun)]
        return visits

    def close(self) -> None:
        """Ends the threads."""
        self._threads.shutdown(cancel_futures=True)
