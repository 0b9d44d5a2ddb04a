"""Tail: read every shard that is due for a round, merge the round, move its cursors; repeat."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from types import TracebackType

from connector.config.model import Tail as TailConfig
from connector.core.cursors import SHARD, Batch, Cursor, Span, shard_partition
from connector.core.shards import OVERLAP, Shard, forgettable, read_through
from connector.core.spec import TableSpec
from connector.core.state import Phase, TableState
from connector.errors import CursorMoved
from connector.failpoints import failpoint
from connector.items.encoder import Encoder
from connector.items.fold import Counts, Fold
from connector.pipeline.columns import tell_columns
from connector.pipeline.following.alarm import LagAlarm
from connector.pipeline.following.committing import Committing
from connector.pipeline.following.discovery import Discovery
from connector.pipeline.following.pace import Pace
from connector.pipeline.following.position import Position, Turn
from connector.pipeline.following.reading import Reading
from connector.pipeline.interpreter import busy
from connector.pipeline.scan import quarantine_limit
from connector.ports import Destination, Progress, Source
from connector.waits import Waits

log = logging.getLogger("connector.tail")

HEARTBEAT = timedelta(seconds=60)
RIVAL_TRIES = 5
REST_SECONDS = 0.1


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
    waits: Waits = field(default_factory=Waits)

    def __post_init__(self) -> None:
        self._reading = Reading(self.source, self.config)
        self._committing = Committing(self.destination)
        self._more, self._rivals = False, 0
        self._untold = Counts()
        self._committed_at: datetime | None = None
        self._quiet = timedelta(seconds=self.config.quiet_seconds)
        self._alarm, self._pace = LagAlarm(), Pace(self.config)
        self.restart(self.state)

    def __enter__(self) -> "Tail":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._reading.close()
        self._committing.close()

    def restart(self, state: TableState) -> None:
        """Goes on from a state that another step, or another run, has written."""
        self.state = state
        # Its time is told in whole seconds: a load that has ended may seem to be yet to come.
        self._began = max(self.source.now(), state.scanned_until or state.planned_at)
        self._positions = {
            shard: Position(cursor, cursor) for shard, cursor in state.shards.items()
        }
        self._discovery = Discovery(
            self.source,
            state.planned_at,
            self.pause,
            self.config.poll_seconds,
            settles_at=self._began + self._quiet,
            waits=self.waits,
        )

    def loaded(self, state: TableState) -> None:
        """Goes on after this run's own load, which moves no cursor.

        What was silent before it needs only another empty page and another listing, both later
        than the scan by the time that a stream and a listing may be late.
        """
        self.state = state
        self._began = state.scanned_until or self.source.now()
        for position in self._positions.values():
            position.fresh, position.due_at = False, None
        self._discovery.settles_at = self._began + self._quiet

    def until(self, finished: Callable[[], bool]) -> None:
        """Runs rounds until `finished`, which is asked after each.

        Raises StreamDisabled where the stream was switched off and is read to its end.
        """
        self._rivals = 0
        while True:
            began = self.source.now()
            try:
                with busy():
                    moved = self._round()
                if not self._more:
                    self._rivals = 0
                self._discovery.check_enabled(self.state.table, self._cursors())
                ended = finished()
                if ended:
                    self._commit(self._fold(), (), force=True)
            except CursorMoved:
                self._rivals += 1
                if self._rivals >= RIVAL_TRIES:
                    raise
                self._reread()
                continue
            if ended:
                return
            self._discovery.check_complete(self._cursors())
            wait = self._wait(moved, (self.source.now() - began).total_seconds())
            self._discovery.await_proof(moved or self.caught_up(), wait)
            if self.pause(0) or (wait > 0 and self._rest(wait, finished)):
                self._settle()
                return

    def _wait(self, moved: bool, took: float) -> float:
        """Seconds until the next round is worth its while."""
        if self._more:
            return 0.0
        if not self.caught_up():
            settles = self._discovery.settles_in(self.source.now())
            return 0.0 if moved else min(self._pace.proving, settles)
        if moved:
            return self.config.commit_seconds - took
        return self._pace.until_due(self._positions.values(), self.source.now())

    def _rest(self, seconds: float, finished: Callable[[], bool]) -> bool:
        """Waits, but not longer than until `finished`; true where the run was asked to end."""
        while seconds > 0 and not finished():
            if self.pause(min(seconds, REST_SECONDS)):
                return True
            seconds -= REST_SECONDS
        return False

    def _reread(self) -> None:
        state = self.destination.read(self.state.table)
        mine = (self.state.plan_id, self.state.spec)
        if state is None or (state.plan_id, state.spec) != mine:
            raise CursorMoved(
                f"Another run started {self.state.table} anew, or keeps it in another way now.",
                "Run the same command again.",
            )
        self.restart(state)

    def caught_up(self) -> bool:
        """Every shard is read up to now, and was listed when this tail was no longer young.

        One child of a split may be listed later than the other: no listing says what it lacks.
        """
        return self._discovery.complete(self._cursors(), self._began + self._quiet) and all(
            map(self._proven, self._positions.values())
        )

    def _proven(self, position: Position) -> bool:
        return position.caught_up(self._quiet, self._began)

    def lag(self) -> float | None:
        """Seconds since the slowest shard that must be read was last read without a gap."""
        oldest = read_through(self._cursors())
        return (self.source.now() - oldest).total_seconds() if oldest else None

    def _cursors(self) -> dict[str, Cursor]:
        return {shard: position.cursor for shard, position in self._positions.items()}

    def round(self) -> bool:
        """Reads, folds and commits once; true where records came or a shard ended."""
        moved = self._round()
        self._settle()
        return moved

    def _round(self) -> bool:
        """As `round`; where there is more to read, the commit may still be under way after it."""
        for shard in self._discovery.refresh(self._cursors(), self.state.table):
            self._welcome(shard)
        turns = self._reading.turns(self._discovery.listing, self._positions, self._began)
        self._more = any(t.more for t in turns) and any(t.found for t in turns)
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
            # What the fold has not kept is freed before the rows are made.
            turn.pages.clear()
        failpoint("tail.after_fold")
        self._commit(fold, turns)
        self._rest_shards(turns)
        return any(turn.cursor.done for turn in turns) or fold.counts.read > 0

    def _rest_shards(self, turns: Sequence[Turn]) -> None:
        now = self.source.now()
        shards = sum(not position.cursor.done for position in self._positions.values())
        settles = self._discovery.settles_in(now)
        for turn in turns:
            position = self._positions.get(turn.shard.id)
            # One that the budget has left out is due as before.
            if position is not None and turn.begun:
                self._pace.rest(position, turn.found, self._proven(position), settles, shards, now)

    def _welcome(self, shard: Shard) -> None:
        # Nothing of a child is older than what was read of its parent.
        parent = self._positions.get(shard.parent) if shard.parent else None
        seen_at = parent.cursor.seen_at if parent else self.state.planned_at
        self._positions[shard.id] = Position(Cursor(seen_at=seen_at, parent=shard.parent), None)
        log.info("%s shard %s: found", self.state.table, shard.id)

    def _fold(self) -> Fold:
        horizon = (self.state.planned_at - OVERLAP).timestamp()
        spec = self.state.spec or TableSpec()
        return Fold(self.state.identity.keys, self.encoder, spec.deletes, horizon)

    def _commit(self, fold: Fold, turns: Sequence[Turn], force: bool = False) -> None:
        """Begins the commit of a round, and awaits it unless there is more to read meanwhile."""
        # A record without a sequence number moves no cursor, and still must be kept.
        found, rows = len(fold) > 0, fold.rows()
        self._settle()
        for turn in turns:
            turn.move(self._positions[turn.shard.id])
        now = self.source.now()
        consistent = now if self._consistent() else None
        # A claim about all shards is made only where no rival has moved any.
        spans = self._spans(every=consistent is not None)
        news = found or any(span.since != span.until for span in spans)
        resting = self._committed_at is not None and now - self._committed_at < HEARTBEAT
        if not (spans or news) or (not news and not consistent and resting and not force):
            self._tell(fold.counts)
            return
        if len(fold.quarantined) + self.state.quarantined > self.quarantine_limit:
            raise quarantine_limit(self.quarantine_limit)
        forgotten = forgettable(self._discovery.listing, self._cursors(), now)
        self._untold = fold.counts
        self._committing.begin(
            Batch(
                table=self.state.table,
                generation=self.state.generation,
                plan_id=self.state.plan_id,
                spans=spans,
                rows=rows,
                quarantined=fold.quarantined,
                consistent_since=consistent,
                forgotten=[SHARD + shard for shard in forgotten],
                more=self._more and not force,
                spec=self.state.spec,
            )
        )
        if force or not self._more:
            self._settle()

    def _spans(self, every: bool) -> list[Span]:
        return [
            Span(SHARD + name, position.committed, position.cursor)
            for name, position in self._positions.items()
            if every or position.committed != position.cursor or position.seen_later()
        ]

    def _settle(self) -> None:
        """Waits for the commit under way, and goes on from it."""
        if (settled := self._committing.settle()) is None:
            return
        batch, committed = settled
        tell_columns(self.state.table, committed)
        self._rivals, self._committed_at = 0, self.source.now()
        for span in batch.spans:
            shard = span.partition.removeprefix(SHARD)
            if span.until.done and not (span.since and span.since.done):
                log.info("%s shard %s: finished", self.state.table, shard)
            self._positions[shard].committed = span.until
        for partition in batch.forgotten:
            del self._positions[partition.removeprefix(SHARD)]
        self.state = replace(
            self.state,
            quarantined=self.state.quarantined + committed.quarantined,
            consistent_since=self.state.consistent_since or batch.consistent_since,
        )
        self._tell(self._untold)

    def _tell(self, counts: Counts) -> None:
        """Tells of a round once it is committed."""
        lag = self.lag()
        self.progress.tailed(vars(counts), lag)
        self._alarm.tell(self.state.table, lag, self.source.now())

    def _consistent(self) -> bool:
        """Whether this commit is the first after which the table is a consistent image.

        Until each shard is read past the end of the scan, a row may show an older value.
        """
        end = self.state.scanned_until
        if self.state.phase is not Phase.TAILING or self.state.consistent_since or not end:
            return False
        # The last shards of a stream that was just switched off may not be listed yet.
        settled, found = end + self._quiet, self._discovery
        return (
            found.listing.enabled
            and found.complete(self._cursors(), settled)
            and all(p.seen_through(settled) or self._proven(p) for p in self._positions.values())
        )
