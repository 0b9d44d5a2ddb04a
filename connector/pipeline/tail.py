"""Tail: read every readable shard for a round, merge the round, move its cursors; repeat."""

import logging
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from types import TracebackType

from connector.config import Tail as TailConfig
from connector.core.cursors import SHARD, Batch, Cursor, Span, shard_partition
from connector.core.encoder import Encoder
from connector.core.fold import Fold
from connector.core.shards import Shard, lost, readable, unknown
from connector.core.state import Phase, TableState
from connector.core.wire import RecordsPage
from connector.errors import CursorMoved, HistoryLost
from connector.failpoints import failpoint
from connector.pipeline.plan import WAYS_OUT
from connector.pipeline.scan import quarantine_limit
from connector.ports import Destination, Progress, Source

log = logging.getLogger("connector.tail")

LISTING_SECONDS = 30.0
LISTING_TRIES = 5
HEARTBEAT = timedelta(seconds=60)
RIVAL_TRIES = 5
PAGE_RECORDS = 1000
REST_SECONDS = 0.2


@dataclass(frozen=True)
class Silence:
    """The first and the last of the empty pages that a shard has just given."""

    since: datetime
    until: datetime

    @property
    def length(self) -> timedelta:
        """How long the shard has been silent."""
        return self.until - self.since


@dataclass
class Position:
    """How far one shard was read, ahead of or at its committed cursor."""

    cursor: Cursor
    committed: Cursor | None
    silence: Silence | None = None
    fresh: bool = False
    """A record made after this tail began was read."""

    def caught_up(self, quiet: timedelta) -> bool:
        """Nothing older than this tail is left unread."""
        silent = self.silence is not None and self.silence.length >= quiet
        return self.cursor.done or self.fresh or silent


@dataclass(frozen=True)
class Turn:
    """What one shard gave in one round."""

    shard: Shard
    pages: list[RecordsPage]
    cursor: Cursor
    silence: Silence | None
    fresh: bool


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

    def __post_init__(self) -> None:
        self._threads = ThreadPoolExecutor(self.config.readers, "shard")
        self._positions: dict[str, Position] = {}
        self._queue: deque[str] = deque()
        self._shards: dict[str, Shard] = {}
        self._listed_at: datetime | None = None
        self._committed_at: datetime | None = None
        self._began = self.source.now()
        self._quiet = timedelta(seconds=self.config.quiet_seconds)
        self._adopt(self.state)

    def __enter__(self) -> "Tail":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._threads.shutdown(cancel_futures=True)

    def _adopt(self, state: TableState) -> None:
        self.state = state
        self._positions = {
            shard: Position(cursor, cursor) for shard, cursor in state.shards.items()
        }
        self._listed_at = None

    def restart(self, state: TableState) -> None:
        """Goes on from a state that another step has just written."""
        self._adopt(state)
        self._began = self.source.now()

    def until(self, finished: Callable[[], bool]) -> None:
        """Runs rounds until `finished`, which is asked after each."""
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
            if finished():
                self._commit(Fold(self.state.identity.keys, self.encoder), {}, [], force=True)
                return
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
        self._adopt(state)

    def caught_up(self) -> bool:
        """Every shard is read up to now, and the listing is younger than this tail."""
        if self._listed_at is None or self._listed_at < self._began:
            return False
        return all(position.caught_up(self._quiet) for position in self._positions.values())

    def lag(self) -> float | None:
        """Seconds since the slowest unfinished shard was last read without a gap."""
        seen = [p.cursor.seen_at for p in self._positions.values() if not p.cursor.done]
        oldest = min((at for at in seen if at), default=None)
        return (self.source.now() - oldest).total_seconds() if oldest else None

    def round(self) -> bool:
        """Reads, folds and commits once; true where records came or a shard ended."""
        fresh_shards = self._discover()
        chosen = self._choose()
        turns = list(self._threads.map(self._read, chosen)) if chosen else []
        failpoint("tail.after_read")
        fold = Fold(self.state.identity.keys, self.encoder)
        moved: dict[str, Turn] = {}
        for turn in turns:
            self._take(fold, turn)
            moved[turn.shard.id] = turn
        failpoint("tail.after_fold")
        self._commit(fold, moved, fresh_shards)
        ended = any(turn.cursor.done for turn in turns)
        if ended:
            # Children may be read from now on; they are found by listing again.
            self._listed_at = None
        self.progress.tailed(vars(fold.counts), self.lag())
        return ended or fold.counts.read > 0

    def _discover(self) -> list[Shard]:
        now = self.source.now()
        fresh_enough = timedelta(seconds=LISTING_SECONDS)
        if self._listed_at is not None and now - self._listed_at < fresh_enough:
            return []
        shards = self.source.shards()
        cursors = self._cursors()
        for _ in range(LISTING_TRIES):
            if not lost(shards, cursors) or self.pause(self.config.poll_seconds):
                break
            # A listing can lag and can disagree between its pages; only a lasting hole is a loss.
            shards = self.source.shards()
        losses = lost(shards, cursors)
        if losses:
            first = losses[0]
            raise HistoryLost(
                f"Shard {first.shard} of {self.state.table} is lost: {first.reason}"
                + (f" (and {len(losses) - 1} more)." if len(losses) > 1 else "."),
                WAYS_OUT,
            )
        self._listed_at = now
        self._shards = {shard.id: shard for shard in shards}
        return self._welcome(unknown(shards, cursors), cursors, now)

    def _welcome(
        self, shards: list[Shard], cursors: Mapping[str, Cursor], now: datetime
    ) -> list[Shard]:
        for shard in shards:
            # Nothing of a child is older than the end of its parent, which was read then.
            parent = cursors.get(shard.parent) if shard.parent else None
            seen = parent.seen_at if parent and parent.seen_at else self.state.planned_at
            self._positions[shard.id] = Position(Cursor(seen_at=seen, parent=shard.parent), None)
        return shards

    def _cursors(self) -> dict[str, Cursor]:
        return {shard: position.cursor for shard, position in self._positions.items()}

    def _committed_cursors(self) -> dict[str, Cursor]:
        return {
            shard: position.committed or replace(position.cursor, done=False)
            for shard, position in self._positions.items()
        }

    def _choose(self) -> list[Shard]:
        """The shards of this round: at most as many as fit in memory, in turn."""
        ready = {shard.id for shard in readable(self._shards.values(), self._committed_cursors())}
        self._queue = deque(name for name in self._queue if name in ready)
        waiting = set(self._queue)
        self._queue.extend(sorted(ready - waiting))
        count = min(len(self._queue), max(1, self.config.batch_records // PAGE_RECORDS))
        chosen = [self._queue.popleft() for _ in range(count)]
        self._queue.extend(chosen)
        self._share = max(PAGE_RECORDS, self.config.batch_records // max(1, count))
        return [self._shards[name] for name in chosen]

    def _read(self, shard: Shard) -> Turn:
        position = self._positions[shard.id]
        cursor, silence, fresh = position.cursor, position.silence, position.fresh
        pages: list[RecordsPage] = []
        records = 0
        started = self.source.now()
        budget = timedelta(seconds=self.config.commit_seconds)
        while True:
            answer = self.source.read(shard, cursor)
            page = answer.page
            count = len(page.records) + len(page.bad)
            if count:
                pages.append(page)
                records += count
                silence = None
                cursor, newest = _after(cursor, page)
                fresh = fresh or (newest is not None and newest >= self._began)
            else:
                silence = Silence(silence.since if silence else answer.asked_at, answer.asked_at)
                if silence.length >= self._quiet:
                    cursor = _seen(cursor, answer.asked_at)
            if answer.ended:
                cursor = replace(_seen(cursor, answer.asked_at), done=True)
                return Turn(shard, pages, cursor, silence, fresh)
            enough = records >= self._share or self.source.now() - started >= budget
            if not count or enough:
                return Turn(shard, pages, cursor, silence, fresh)

    def _take(self, fold: Fold, turn: Turn) -> None:
        since = self._positions[turn.shard.id].cursor.token
        for page in turn.pages:
            since = fold.add(shard_partition(turn.shard.id), page, since)

    def _commit(
        self, fold: Fold, moved: Mapping[str, Turn], discovered: list[Shard], force: bool = False
    ) -> None:
        for name, turn in moved.items():
            position = self._positions[name]
            position.cursor = turn.cursor
            position.silence, position.fresh = turn.silence, turn.fresh
        spans = [
            Span(SHARD + name, position.committed, position.cursor)
            for name, position in self._positions.items()
            if position.committed != position.cursor or self._seen_later(position)
        ]
        changed = any(span.since != span.until for span in spans)
        now = self.source.now()
        consistent = self._consistent(now)
        resting = self._committed_at is not None and now - self._committed_at < HEARTBEAT
        if not spans or (not changed and not consistent and resting and not force):
            return
        rows = fold.rows()
        if len(fold.quarantined) + self.state.quarantined > self.quarantine_limit:
            raise quarantine_limit(self.quarantine_limit)
        self.destination.commit(
            Batch(
                table=self.state.table,
                generation=self.state.generation,
                plan_id=self.state.plan_id,
                spans=spans,
                rows=rows,
                quarantined=fold.quarantined,
                consistent_since=now if consistent else None,
            )
        )
        self._committed(now, len(fold.quarantined), now if consistent else None)

    def _seen_later(self, position: Position) -> bool:
        return position.committed is not None and position.cursor.seen_at != (
            position.committed.seen_at
        )

    def _committed(self, now: datetime, quarantined: int, consistent: datetime | None) -> None:
        self._committed_at = now
        for position in self._positions.values():
            position.committed = position.cursor
        self.state = replace(
            self.state,
            quarantined=self.state.quarantined + quarantined,
            consistent_since=self.state.consistent_since or consistent,
        )

    def _consistent(self, now: datetime) -> bool:
        """Whether this commit is the first after which the table is a consistent image."""
        scanned_until = self.state.scanned_until
        if (
            self.state.phase is not Phase.TAILING
            or self.state.consistent_since
            or not scanned_until
        ):
            return False
        if self._listed_at is None or self._listed_at < scanned_until:
            return False
        return all(
            p.cursor.done or (p.cursor.seen_at is not None and p.cursor.seen_at >= scanned_until)
            for p in self._positions.values()
        )


def _after(cursor: Cursor, page: RecordsPage) -> tuple[Cursor, datetime | None]:
    """The cursor after a page, and the time of its newest record."""
    token = page.token(cursor.token)
    if not page.records:
        return replace(cursor, token=token), None
    newest = max(record.dynamodb.ApproximateCreationDateTime for record in page.records)
    at = datetime.fromtimestamp(newest, UTC)
    return _seen(replace(cursor, token=token), at), at


def _seen(cursor: Cursor, at: datetime) -> Cursor:
    return cursor if cursor.seen_at and cursor.seen_at >= at else replace(cursor, seen_at=at)
