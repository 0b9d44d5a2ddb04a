"""The position in one shard, and one visit that reads on from there."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from threading import Lock

from connector.core.changes.change import ChangePage
from connector.core.changes.shards import Retention, Shard, window
from connector.core.cursors import Cursor
from connector.errors import WAYS_OUT, HistoryLost, ShardGone, Unreachable
from connector.ports import Changes

EMPTY_PAGE = 10
"""Records that an empty page of a closed shard counts as, so that a visit ends."""

EMPTY_PAGES = 3
"""How many empty pages prove that an open shard is read; one alone may precede records."""

SECOND = timedelta(seconds=1)
"""The source truncates times to seconds, so a record of the same second may predate the tail."""

MISSING_PATIENCE = timedelta(seconds=60)
DOUBT_PATIENCE = timedelta(minutes=15)


@dataclass(frozen=True)
class Silence:
    """The times of the first and the last of consecutive empty pages of a shard."""

    since: datetime
    until: datetime
    pages: int = 1

    def lasts(self, quiet: timedelta) -> bool:
        """Whether it is long enough, with enough pages, to prove that nothing is left unread."""
        return self.pages >= EMPTY_PAGES and self.until - self.since >= quiet


@dataclass
class Position:
    """How far one shard was read, at or ahead of its committed cursor (None: never committed)."""

    cursor: Cursor
    committed: Cursor | None
    silence: Silence | None = None
    fresh: bool = False
    """Whether a record made after this tail began was read."""
    missing: datetime | None = None
    """Since when the stream reports that the shard does not exist."""
    doubted: datetime | None = None
    """Since when the shard gives no next iterator, although nothing shows that it has ended."""
    due_at: datetime | None = None
    """When to read it again; None means now."""
    drained: bool = False
    """Whether its last page said that nothing more is there for now."""
    rested: float = 0.0
    """How many seconds it rested before its last read."""

    def due(self, now: datetime) -> bool:
        """Whether it is time to read it."""
        return self.due_at is None or self.due_at <= now

    def caught_up(self, quiet: timedelta, began: datetime) -> bool:
        """Whether nothing older than `began` is left unread, given that a stream is delayed."""
        silence = self.silence
        silent = silence is not None and silence.lasts(quiet) and silence.until >= began + quiet
        return self.cursor.done or self.fresh or silent or self.drained

    def seen_through(self, until: datetime) -> bool:
        """Whether everything up to `until` was read."""
        seen_at = self.cursor.seen_at
        return self.cursor.done or (seen_at is not None and seen_at >= until)

    def seen_later(self) -> bool:
        """Whether it was read after its cursor was committed, even if nothing new was there."""
        return self.committed is None or self.cursor.seen_at != self.committed.seen_at


class RoundBudget:
    """How many records all visits of a round may read together, so that they fit in memory."""

    def __init__(self, records: int, until: datetime) -> None:
        self._left = records
        self._until = until
        self._lock = Lock()

    def spend(self, records: int) -> None:
        """Uses up some of the budget."""
        with self._lock:
            self._left -= records

    def open(self, now: datetime) -> bool:
        """Whether another page may be read."""
        return self._left > 0 and now < self._until


@dataclass
class Visit:
    """One shard's part of a round: reads pages until there are no more, or enough."""

    shard: Shard
    cursor: Cursor
    silence: Silence | None
    fresh: bool
    missing: datetime | None = None
    doubted: datetime | None = None
    drained: bool = False
    pages: list[ChangePage] = field(default_factory=list)
    found: bool = False
    """Whether it has read records."""
    begun: bool = False
    more: bool = False
    """Whether it ended because enough was read, rather than for lack of records."""

    @classmethod
    def begin(cls, shard: Shard, position: Position, parents: Sequence[Position]) -> "Visit":
        """A visit from the shard's current position."""
        return cls(
            shard=shard,
            cursor=begun(position.cursor, [parent.cursor for parent in parents]),
            silence=position.silence,
            fresh=position.fresh,
            missing=position.missing,
            doubted=position.doubted,
        )

    def move(self, position: Position) -> None:
        """Moves the position to the end of this visit."""
        position.cursor, position.silence = self.cursor, self.silence
        position.fresh, position.missing = self.fresh, self.missing
        position.doubted, position.drained = self.doubted, self.drained

    def read(
        self,
        changes: Changes,
        *,
        began: datetime,
        quiet: timedelta,
        share: int,
        budget: RoundBudget,
    ) -> "Visit":
        """Reads about `share` records, as long as the round's budget lasts."""
        left = share
        while left > 0 and budget.open(changes.now()):
            self.begun = True
            try:
                page = changes.read(self.shard, self.cursor)
            except ShardGone:
                # It may only be late; `judge_missing` decides. Until then it is not caught up.
                self.missing, self.silence = self.missing or changes.now(), None
                break
            if page.unnamed is not None and self.pages:
                # What is looked up depends on what those pages do to the table.
                self.more = True
                break
            self.missing, self.drained = None, page.drained
            left -= page.count or EMPTY_PAGE
            budget.spend(page.count)
            moves = self._take_or_rest(page, began, quiet)
            self._doubt(page)
            if page.ended:
                # `seen_at` stays: the shard's children may hold records older than now.
                self.cursor = replace(self.cursor, done=True)
            if page.ended or not (moves or page.behind or self.shard.closed):
                break
            if page.unnamed is not None or page.checkpoint:
                self.more = True
                break
        else:
            self.more = True
        return self

    def _take_or_rest(self, page: ChangePage, began: datetime, quiet: timedelta) -> bool:
        """Takes what a page has; returns whether it leads further."""
        moves = page.count > 0 or page.token != self.cursor.token
        if moves:
            self._take(page, began)
        elif page.goes_on and not (self.shard.closed or page.more_to_come):
            self._fall_silent(page.asked_at, quiet)
        if page.through is not None:
            self.cursor = seen(self.cursor, page.through)
        return moves

    def _take(self, page: ChangePage, began: datetime) -> None:
        self.pages.append(page)
        self.found, self.silence = True, None
        self.cursor = replace(self.cursor, token=page.token)
        if page.newest_at is not None:
            at = datetime.fromtimestamp(page.newest_at, UTC)
            self.cursor = seen(self.cursor, at)
            self.fresh = self.fresh or at >= began + SECOND

    def _doubt(self, page: ChangePage) -> None:
        if page.ended or page.goes_on:
            self.doubted = None
            return
        # The shard has ended and is not listed as closed yet, or the iterator is lost: no silence.
        self.silence = None
        self.doubted = self.doubted or page.asked_at
        if page.asked_at - self.doubted > DOUBT_PATIENCE:
            raise Unreachable(
                f"Shard {self.shard.id} gives no next iterator, but is listed as open.",
                "Nothing is lost yet; run the same command again.",
            )

    def _fall_silent(self, at: datetime, quiet: timedelta) -> None:
        # One empty page proves nothing: it can precede pages with records. In a closed shard, which
        # has an end, even many prove nothing.
        before = self.silence
        self.silence = Silence(before.since, at, before.pages + 1) if before else Silence(at, at)
        if self.silence.lasts(quiet):
            self.cursor = seen(self.cursor, at)

    def judge_missing(
        self, listed: Shard | None, planned_at: datetime, now: datetime, retention: Retention
    ) -> None:
        """Decides what to do about a shard that does not exist according to the stream.

        The answer may be temporary, so it is believed only after a while, which includes listings.
        Raises HistoryLost if records are lost with the shard.
        """
        waited = self.missing is not None and now - self.missing >= MISSING_PATIENCE
        if not waited and retention.nothing_trimmed(self.cursor.seen_at, now):
            return
        if retention.gone_unread(self.cursor, planned_at, now):
            raise HistoryLost(
                f"Shard {self.shard.id} is gone and was not read to its end; changes may be "
                f"missing{window(self.cursor.seen_at, now)}.",
                WAYS_OUT,
            )
        if listed and not listed.closed:
            raise Unreachable(
                f"Shard {self.shard.id} is listed as open, but the stream cannot find it.",
                "Nothing is lost yet; run the same command again.",
            )
        self.cursor = replace(self.cursor, done=True)


def begun(cursor: Cursor, parents: Sequence[Cursor]) -> Cursor:
    """The cursor to read from: a shard holds nothing older than what was read of its parents."""
    at = all_seen(parents)
    return cursor if cursor.token is not None or at is None else seen(cursor, at)


def all_seen(cursors: Sequence[Cursor]) -> datetime | None:
    """The time up to which each of some shards was read; None if that of one is not known."""
    times = [cursor.seen_at for cursor in cursors if cursor.seen_at is not None]
    return min(times, default=None) if len(times) == len(cursors) else None


def seen(cursor: Cursor, at: datetime) -> Cursor:
    """The cursor, read without a gap until `at`; `seen_at` never moves back."""
    return cursor if cursor.seen_at and cursor.seen_at >= at else replace(cursor, seen_at=at)
