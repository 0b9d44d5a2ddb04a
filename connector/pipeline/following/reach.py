"""How far the stream of a table was read: its shards, and the position in each."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from math import inf

from connector.config.model import TailConfig
from connector.core.changes.shards import EARLIER, Shard, filled_until, forgettable, read_through
from connector.core.cursors import SHARD, Batch, Cursor, Span
from connector.core.state import Committed, Phase, TableState
from connector.pipeline.following.discovery import Discovery
from connector.pipeline.following.position import Position, Visit, all_seen
from connector.ports import Changes
from connector.stop import Stop
from connector.waits import Waits

log = logging.getLogger("connector.tail")

ELSEWHERE = timedelta(seconds=10)
"""How inexact it is up to when another Region was read, by the times of this one."""


@dataclass
class Reach:
    """The table's state as this tail knows it, and how far its shards were read beyond that."""

    changes: Changes
    state: TableState
    began: datetime
    """The tail has caught up once everything written before this time is read."""
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
        """The reach that a state describes, before anything is read."""
        # The source's time is in whole seconds, so a load that has ended may seem to be in future.
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
        """Continues after this run's own load, which moves no cursor.

        A shard that was silent before needs only another empty page, and there must be another
        listing, both later than the scan by the possible delay of a stream and of a listing.
        """
        self.state = state
        self.began = state.scanned_until or self.changes.now()
        for position in self.positions.values():
            position.fresh, position.due_at = False, None
        self.discovery.settles_at = self.began + self.quiet

    def discover(self) -> None:
        """Adds newly listed shards, if it is time to look for them."""
        for shard in self.discovery.refresh(self.cursors(), self.state.table):
            self._welcome(shard)

    def _welcome(self, shard: Shard) -> None:
        # A child holds nothing older than what was read of its parents.
        known = [self.positions[each].cursor for each in shard.parents if each in self.positions]
        seen_at = all_seen(known) if known else self.state.planned_at
        cursor = Cursor(seen_at=seen_at, parent=shard.parent, adjacent=shard.adjacent)
        self.positions[shard.id] = Position(cursor, None)
        log.info("%s shard %s: found", self.state.table, shard.id)

    def cursors(self) -> dict[str, Cursor]:
        """The cursor of each shard, committed or not."""
        return {shard: position.cursor for shard, position in self.positions.items()}

    def unfinished(self) -> int:
        """The number of shards that have not ended."""
        return sum(not position.cursor.done for position in self.positions.values())

    def proven(self, position: Position) -> bool:
        """Whether a shard certainly has no unread records from before this tail began."""
        return position.caught_up(self.quiet, self.began)

    def caught_up(self) -> bool:
        """Whether every shard is read up to now, according to a listing that is late enough.

        One child of a split may be listed later than the other, and a listing does not say so.
        """
        return self.discovery.complete(self.cursors(), self.began + self.quiet) and all(
            map(self.proven, self.positions.values())
        )

    def consistent(self) -> bool:
        """Whether a commit now would be the first to make the table a consistent image.

        Until each shard is read past the end of the scan, a row may show an older value.
        """
        end = self.state.scanned_until
        if self.state.phase is not Phase.TAILING or self.state.consistent_since or not end:
            return False
        # The last shards of a stream that was just switched off may not be listed yet.
        settled, found = filled_until(self.cursors(), end) + self.quiet, self.discovery
        return (
            found.listing.enabled
            and found.complete(self.cursors(), settled)
            and all(
                # That nothing more is there for now does not mean that the scan is overtaken.
                p.seen_through(settled) or (self.proven(p) and not p.drained)
                for p in self.positions.values()
            )
        )

    @property
    def moved_since(self) -> float:
        """From when on changes count that another Region may have shown; in seconds since 1970."""
        if (moved := self.state.moved) is None:
            return -inf
        seen = min(moved.seen_at or self.state.planned_at, self.state.planned_at)
        return (seen - ELSEWHERE).timestamp()

    @property
    def filled_until(self) -> datetime:
        """From when on the shards themselves must be read."""
        return filled_until(self.cursors(), self.state.planned_at)

    @property
    def filling(self) -> bool:
        """Whether what the stream no longer has is being read from elsewhere."""
        cursors = self.cursors().items()
        return any(shard.startswith(EARLIER) and not cursor.done for shard, cursor in cursors)

    def lag(self) -> float | None:
        """Seconds since the slowest shard that must be read was last read without a gap."""
        oldest = read_through(self.cursors())
        return (self.changes.now() - oldest).total_seconds() if oldest else None

    def spans(self, every: bool) -> list[Span]:
        """How far each shard was read since its last commit.

        `every` includes unread shards, so that a claim about all of them fails if another run has
        moved one.
        """
        return [
            Span(SHARD + name, position.committed, position.cursor)
            for name, position in self.positions.items()
            if every or position.committed != position.cursor or position.seen_later()
        ]

    def standing(self, visits: Sequence[Visit]) -> list[Span]:
        """Where the visited shards stand in the state; a commit there moves none of them."""
        stands = {visit.shard.id: self.positions[visit.shard.id] for visit in visits}
        return [Span(SHARD + name, p.committed, p.cursor) for name, p in stands.items()]

    def forgettable(self, now: datetime) -> list[str]:
        """Partitions with cursors that are no longer needed."""
        found = forgettable(self.discovery.listing, self.cursors(), now, self.changes.retention)
        return [SHARD + shard for shard in found]

    def unburied(self) -> datetime | None:
        """Until when deletes need no tombstone: no older change can come that is not looked up."""
        oldest = read_through(self.cursors())
        return oldest - self.changes.retention.lasts if oldest else None

    def _tell_finished(self, shard: str, until: Cursor) -> None:
        if not shard.startswith(EARLIER):
            log.info("%s shard %s: finished", self.state.table, shard)
        elif until.seen_at is not None:
            filled = until.seen_at.isoformat(timespec="seconds")
            log.info("%s: changes until %s are filled in from exports", self.state.table, filled)

    def committed(self, batch: Batch, committed: Committed) -> None:
        """Continues from a commit."""
        for span in batch.spans:
            shard = span.partition.removeprefix(SHARD)
            if span.until.done and not (span.since and span.since.done):
                self._tell_finished(shard, span.until)
            self.positions[shard].committed = span.until
        for partition in batch.forgotten:
            del self.positions[partition.removeprefix(SHARD)]
        self.state = replace(
            self.state,
            quarantined=self.state.quarantined + committed.quarantined,
            consistent_since=self.state.consistent_since or batch.consistent_since,
        )
