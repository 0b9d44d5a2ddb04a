"""How far the stream of a table was read: which shards there are, and where each stands."""

import logging
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from connector.config.model import Tail as TailConfig
from connector.core.changes.shards import Shard, forgettable, read_through
from connector.core.cursors import SHARD, Batch, Cursor, Span
from connector.core.state import Committed, Phase, TableState
from connector.pipeline.following.discovery import Discovery
from connector.pipeline.following.position import Position
from connector.ports import Changes
from connector.stop import Stop
from connector.waits import Waits

log = logging.getLogger("connector.tail")


@dataclass
class Reach:
    """The state of a table as this tail knows it, ahead of it the shards that were read since."""

    changes: Changes
    state: TableState
    began: datetime
    """What was written until then is read before the tail has caught up."""
    quiet: timedelta
    discovery: Discovery
    positions: dict[str, Position]

    @classmethod
    def of(
        cls,
        changes: Changes,
        state: TableState,
        config: TailConfig,
        stop: Stop,
        waits: Waits,
    ) -> "Reach":
        """What a state says, before anything is read."""
        # Its time is told in whole seconds: a load that has ended may seem to be yet to come.
        began = max(changes.now(), state.scanned_until or state.planned_at)
        quiet = timedelta(seconds=config.quiet_seconds)
        discovery = Discovery(
            changes,
            state.planned_at,
            stop,
            config.poll_seconds,
            settles_at=began + quiet,
            waits=waits,
        )
        positions = {shard: Position(cursor, cursor) for shard, cursor in state.shards.items()}
        return cls(changes, state, began, quiet, discovery, positions)

    def loaded(self, state: TableState) -> None:
        """Goes on after this run's own load, which moves no cursor.

        What was silent before it needs only another empty page and another listing, both later
        than the scan by the time that a stream and a listing may be late.
        """
        self.state = state
        self.began = state.scanned_until or self.changes.now()
        for position in self.positions.values():
            position.fresh, position.due_at = False, None
        self.discovery.settles_at = self.began + self.quiet

    def discover(self) -> None:
        """Takes in shards that are newly listed, if it is time to look for them."""
        for shard in self.discovery.refresh(self.cursors(), self.state.table):
            self._welcome(shard)

    def _welcome(self, shard: Shard) -> None:
        # Nothing of a child is older than what was read of its parent.
        parent = self.positions.get(shard.parent) if shard.parent else None
        seen_at = parent.cursor.seen_at if parent else self.state.planned_at
        self.positions[shard.id] = Position(Cursor(seen_at=seen_at, parent=shard.parent), None)
        log.info("%s shard %s: found", self.state.table, shard.id)

    def cursors(self) -> dict[str, Cursor]:
        """Where each shard stands, committed or not."""
        return {shard: position.cursor for shard, position in self.positions.items()}

    def unfinished(self) -> int:
        """How many shards have not ended."""
        return sum(not position.cursor.done for position in self.positions.values())

    def proven(self, position: Position) -> bool:
        """Whether a shard certainly has nothing left from before this tail began."""
        return position.caught_up(self.quiet, self.began)

    def caught_up(self) -> bool:
        """Every shard is read up to now, and was listed when this tail was no longer young.

        One child of a split may be listed later than the other: no listing says what it lacks.
        """
        return self.discovery.complete(self.cursors(), self.began + self.quiet) and all(
            map(self.proven, self.positions.values())
        )

    def consistent(self) -> bool:
        """Whether a commit now is the first after which the table is a consistent image.

        Until each shard is read past the end of the scan, a row may show an older value.
        """
        end = self.state.scanned_until
        if self.state.phase is not Phase.TAILING or self.state.consistent_since or not end:
            return False
        # The last shards of a stream that was just switched off may not be listed yet.
        settled, found = end + self.quiet, self.discovery
        return (
            found.listing.enabled
            and found.complete(self.cursors(), settled)
            and all(p.seen_through(settled) or self.proven(p) for p in self.positions.values())
        )

    def lag(self) -> float | None:
        """Seconds since the slowest shard that must be read was last read without a gap."""
        oldest = read_through(self.cursors())
        return (self.changes.now() - oldest).total_seconds() if oldest else None

    def spans(self, every: bool) -> list[Span]:
        """How far each shard was read since its last commit; `every` includes those that were not.

        A claim about all shards is made only where no rival has moved any.
        """
        return [
            Span(SHARD + name, position.committed, position.cursor)
            for name, position in self.positions.items()
            if every or position.committed != position.cursor or position.seen_later()
        ]

    def forgettable(self, now: datetime) -> list[str]:
        """Partitions whose cursors are no longer needed."""
        found = forgettable(self.discovery.listing, self.cursors(), now, self.changes.retention)
        return [SHARD + shard for shard in found]

    def committed(self, batch: Batch, committed: Committed) -> None:
        """Goes on from a commit."""
        for span in batch.spans:
            shard = span.partition.removeprefix(SHARD)
            if span.until.done and not (span.since and span.since.done):
                log.info("%s shard %s: finished", self.state.table, shard)
            self.positions[shard].committed = span.until
        for partition in batch.forgotten:
            del self.positions[partition.removeprefix(SHARD)]
        self.state = replace(
            self.state,
            quarantined=self.state.quarantined + committed.quarantined,
            consistent_since=self.state.consistent_since or batch.consistent_since,
        )
