"""Tail: read every readable shard for a round, merge the round, move its cursors; repeat."""

import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from types import TracebackType

from connector.config import Tail as TailConfig
from connector.core.cursors import SHARD, Batch, Cursor, Span, shard_partition
from connector.core.encoder import Encoder
from connector.core.fold import Deletes, Fold
from connector.core.shards import OVERLAP, Shard, forgettable, read_through, readable
from connector.core.state import Phase, TableState
from connector.errors import WAYS_OUT, CursorMoved, StreamDisabled
from connector.failpoints import failpoint
from connector.pipeline.discovery import Discovery
from connector.pipeline.position import Budget, Position, Turn, begun
from connector.pipeline.scan import quarantine_limit
from connector.ports import Destination, Progress, Source

log = logging.getLogger("connector.tail")

HEARTBEAT = timedelta(seconds=60)
RIVAL_TRIES = 5
PAGE_RECORDS = 1000
REST_SECONDS = 0.2
WARN_LAG = timedelta(hours=12)
ALARM_LAG = timedelta(hours=20)


@dataclass
class Tail:
    """Follows the stream of one table. Use as a context manager: it owns the reading threads."""

    source: Source
    destination: Destination
    state: TableState
    encoder: Encoder
    config: TailConfig
    progress: Progress
    quarantine_limit: int
    pause: Callable[[float], bool]
    """Waits so many seconds; true where the run was asked to end."""
    deletes: Deletes = Deletes.APPLY

    def __post_init__(self) -> None:
        self._threads = ThreadPoolExecutor(self.config.readers, "shard")
        self._queue: list[str] = []
        self._committed_at: datetime | None = None
        self._warned_at: datetime | None = None
        self._quiet = timedelta(seconds=self.config.quiet_seconds)
        self.restart(self.state)

    def __enter__(self) -> "Tail":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._threads.shutdown(cancel_futures=True)

    def restart(self, state: TableState) -> None:
        """Goes on from a state that another step, or another run, has written."""
        self.state = state
        self._began = self.source.now()
        self._positions = {
            shard: Position(cursor, cursor) for shard, cursor in state.shards.items()
        }
        self._discovery = Discovery(
            self.source,
            state.planned_at,
            self.pause,
            self.config.poll_seconds,
            settles_at=self._began + self._quiet,
        )

    def loaded(self, state: TableState) -> None:
        """Goes on after this run's own load, which moves no cursor.

        What was silent before it needs only another empty page, and a listing that is younger.
        """
        self.state = state
        self._began = state.scanned_until or self.source.now()
        for position in self._positions.values():
            position.fresh = False
        self._discovery.settles_at = self._began + self._quiet

    def until(self, finished: Callable[[], bool]) -> None:
        """Runs rounds until `finished`, which is asked after each.

        Raises StreamDisabled where the stream was switched off and is read to its end.
        """
        rivals = 0
        idle = 0.0
        while True:
            try:
                moved = self.round()
                rivals = 0
            except CursorMoved:
                rivals += 1
                if rivals >= RIVAL_TRIES:
                    raise
                self._reread()
                continue
            self._check_disabled()
            if finished():
                self._commit(self._fold(), (), force=True)
                return
            self._discovery.check_complete(self._cursors())
            idle = 0.0 if moved else min(self.config.idle_poll_seconds, idle * 2 or self._poll())
            if idle and self._rest(self._wait(idle), finished):
                return

    def _poll(self) -> float:
        return self.config.poll_seconds

    def _wait(self, idle: float) -> float:
        # Until every shard is quiet the polls must be close enough together to see that.
        return idle if self.caught_up() else min(self._poll(), self.config.quiet_seconds / 2)

    def _rest(self, seconds: float, finished: Callable[[], bool]) -> bool:
        """Waits, but not longer than until `finished`; true where the run was asked to end."""
        while seconds > 0 and not finished():
            if self.pause(min(seconds, REST_SECONDS)):
                return True
            seconds -= REST_SECONDS
        return False

    def _reread(self) -> None:
        state = self.destination.read(self.state.table)
        if state is None or state.plan_id != self.state.plan_id:
            raise CursorMoved(
                f"Another run started {self.state.table} anew.", "Run the same command again."
            )
        self.restart(state)

    def _check_disabled(self) -> None:
        ended = all(position.cursor.done for position in self._positions.values())
        if self._discovery.listed_at is None or self._discovery.listing.enabled or not ended:
            return
        raise StreamDisabled(
            f"The stream of {self.state.table} was switched off; everything in it was read, and "
            "later changes are in no stream.",
            f"Enable it again, then: {WAYS_OUT}",
        )

    def caught_up(self) -> bool:
        """Every shard is read up to now, and was listed when this tail was no longer young.

        One child of a split may be listed later than the other: no listing says what it lacks.
        """
        return self._discovery.complete(self._cursors(), self._began + self._quiet) and all(
            position.caught_up(self._quiet, self._began) for position in self._positions.values()
        )

    def lag(self) -> float | None:
        """Seconds since the slowest shard that must be read was last read without a gap."""
        oldest = read_through(self._cursors())
        return (self.source.now() - oldest).total_seconds() if oldest else None

    def _cursors(self) -> dict[str, Cursor]:
        return {shard: position.cursor for shard, position in self._positions.items()}

    def round(self) -> bool:
        """Reads, folds and commits once; true where records came or a shard ended."""
        for shard in self._discovery.refresh(self._cursors()):
            self._welcome(shard)
        turns = self._read()
        for turn in turns:
            if turn.missing:
                listed = self._discovery.listing.shards.get(turn.shard.id)
                turn.settle(listed, self.state.planned_at, self.source.now())
        failpoint("tail.after_read")
        fold = self._fold()
        for turn in turns:
            token = self._positions[turn.shard.id].cursor.token
            for page in turn.pages:
                token = fold.add(shard_partition(turn.shard.id), page, token)
        failpoint("tail.after_fold")
        self._commit(fold, turns)
        self.progress.tailed(vars(fold.counts), self.lag())
        self._warn()
        return any(turn.cursor.done for turn in turns) or fold.counts.read > 0

    def _welcome(self, shard: Shard) -> None:
        # Nothing of a child is older than what was read of its parent.
        parent = self._positions.get(shard.parent) if shard.parent else None
        seen_at = parent.cursor.seen_at if parent else self.state.planned_at
        self._positions[shard.id] = Position(Cursor(seen_at=seen_at, parent=shard.parent), None)
        log.info("%s shard %s: found", self.state.table, shard.id)

    def _fold(self) -> Fold:
        horizon = (self.state.planned_at - OVERLAP).timestamp()
        return Fold(self.state.identity.keys, self.encoder, self.deletes, horizon)

    def _read(self) -> list[Turn]:
        """A turn for every readable shard; those that the budget left out come first next time.

        A parent that ended is committed before this, so its children never overtake it.
        """
        ready = {s.id: s for s in readable(self._discovery.listing, self._cursors())}
        waiting = [name for name in self._queue if name in ready]
        waiting += sorted(ready.keys() - set(waiting))
        until = self.source.now() + timedelta(seconds=self.config.commit_seconds)
        budget = Budget(self.config.batch_records, until)
        share = max(PAGE_RECORDS, self.config.batch_records // max(1, len(waiting)))

        def read(name: str) -> Turn:
            position = self._positions[name]
            parent = self._positions.get(position.cursor.parent or "")
            turn = Turn(
                shard=ready[name],
                cursor=begun(position.cursor, parent.cursor if parent else None),
                silence=position.silence,
                fresh=position.fresh,
                missing=position.missing,
                doubted=position.doubted,
            )
            return turn.read(
                self.source, began=self._began, quiet=self._quiet, share=share, budget=budget
            )

        turns = list(self._threads.map(read, waiting))
        self._queue = [turn.shard.id for turn in sorted(turns, key=lambda turn: turn.begun)]
        return turns

    def _commit(self, fold: Fold, turns: Sequence[Turn], force: bool = False) -> None:
        for turn in turns:
            position = self._positions[turn.shard.id]
            position.cursor, position.silence = turn.cursor, turn.silence
            position.fresh, position.missing = turn.fresh, turn.missing
            position.doubted = turn.doubted
        spans = self._spans()
        now = self.source.now()
        consistent = now if self._consistent() else None
        # A record without a sequence number moves no cursor, and still must be kept.
        news = len(fold) > 0 or any(span.since != span.until for span in spans)
        resting = self._committed_at is not None and now - self._committed_at < HEARTBEAT
        if not (spans or news) or (not news and not consistent and resting and not force):
            return
        rows = fold.rows()
        if len(fold.quarantined) + self.state.quarantined > self.quarantine_limit:
            raise quarantine_limit(self.quarantine_limit)
        forgotten = forgettable(self._discovery.listing, self._cursors(), now)
        committed = self.destination.commit(
            Batch(
                table=self.state.table,
                generation=self.state.generation,
                plan_id=self.state.plan_id,
                spans=spans,
                rows=rows,
                quarantined=fold.quarantined,
                consistent_since=consistent,
                forgotten=[SHARD + shard for shard in forgotten],
            )
        )
        self._committed(now, forgotten, committed.quarantined, consistent)

    def _spans(self) -> list[Span]:
        return [
            Span(SHARD + name, position.committed, position.cursor)
            for name, position in self._positions.items()
            if position.committed != position.cursor or position.seen_later()
        ]

    def _committed(
        self, now: datetime, forgotten: Sequence[str], quarantined: int, since: datetime | None
    ) -> None:
        self._committed_at = now
        for shard in forgotten:
            del self._positions[shard]
        for shard, position in self._positions.items():
            if position.cursor.done and not (position.committed and position.committed.done):
                log.info("%s shard %s: finished", self.state.table, shard)
            position.committed = position.cursor
        self.state = replace(
            self.state,
            quarantined=self.state.quarantined + quarantined,
            consistent_since=self.state.consistent_since or since,
        )

    def _consistent(self) -> bool:
        """Whether this commit is the first after which the table is a consistent image.

        Until each shard is read past the end of the scan, a row may show an older value.
        """
        end = self.state.scanned_until
        if self.state.phase is not Phase.TAILING or self.state.consistent_since or not end:
            return False
        # The last shards of a stream that was just switched off may not be listed yet.
        found, end_listed = self._discovery, end + self._quiet
        listed = found.listing.enabled and found.complete(self._cursors(), end_listed)
        return listed and all(
            p.cursor.done or (p.cursor.seen_at is not None and p.cursor.seen_at >= end)
            for p in self._positions.values()
        )

    def _warn(self) -> None:
        lag = timedelta(seconds=self.lag() or 0.0)
        now = self.source.now()
        if lag < WARN_LAG or (self._warned_at and now - self._warned_at < HEARTBEAT):
            return
        self._warned_at = now
        level = logging.ERROR if lag >= ALARM_LAG else logging.WARNING
        log.log(level, "%s: %s behind; changes are lost at 24 hours", self.state.table, lag)
