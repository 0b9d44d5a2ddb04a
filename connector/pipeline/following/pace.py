"""When a shard is read again: at once while it has records, ever less often while it is idle."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from connector.config.model import TailConfig
from connector.pipeline.following.position import Position


@dataclass(frozen=True)
class Pace:
    """Schedules the reads of shards. Empty reads are billed too, so idle shards rest longer."""

    config: TailConfig

    @property
    def proving(self) -> float:
        """Seconds between reads of a shard that is not proven to be silent yet."""
        return min(self.config.poll_seconds, self.config.quiet_seconds / 2)

    def rest(
        self,
        position: Position,
        found: bool,
        proven: bool,
        settles: float,
        shards: int,
        now: datetime,
    ) -> None:
        """Schedules the next read of a shard that was just read.

        `shards` is the number of all shards that are read. In `settles` seconds an empty page will
        prove that nothing older than the tail is to come.
        """
        if found or position.cursor.done:
            position.rested, position.due_at = 0.0, None
            return
        seconds = min(self.proving, settles)
        if proven:
            longer = min(self.config.idle_poll_seconds, position.rested * 2)
            seconds = max(longer, self.config.poll_seconds, shards / self.config.idle_requests)
            position.rested = seconds
        position.due_at = now + timedelta(seconds=seconds)

    def until_due(self, positions: Iterable[Position], now: datetime) -> float:
        """Seconds until the first shard is due."""
        due = [each.due_at for each in positions if each.due_at and not each.cursor.done]
        if not due:
            return self.config.poll_seconds
        return max(0.0, (min(due) - now).total_seconds())
