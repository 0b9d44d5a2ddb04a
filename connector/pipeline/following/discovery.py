"""Discovers shards: listings, children of finished shards, and proof of losses."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from math import inf

from connector.core.changes.shards import (
    Listing,
    Shard,
    childless,
    filled_until,
    growing,
    in_circle,
    losses,
    newcomers,
    window,
)
from connector.core.cursors import Cursor
from connector.errors import (
    WAYS_OUT,
    BadAnswer,
    HistoryLost,
    Unreachable,
    switched_off,
)
from connector.ports import Changes
from connector.stop import Stop
from connector.waits import Wait, Waits

log = logging.getLogger("connector.tail")

LISTING_EVERY = timedelta(seconds=30)
LISTING_TRIES = 7
LISTING_PATIENCE = timedelta(minutes=15)
SETTLING_TRIES = 5


@dataclass
class Discovery:
    """Keeps the listing fresh. Listings can be late, so only a lasting hole counts as a loss."""

    changes: Changes
    planned_at: datetime
    stop: Stop
    retry_seconds: float
    settles_at: datetime
    """When another listing is due that certainly shows every shard from before the run began."""
    listing: Listing = field(default_factory=lambda: Listing({}))
    listed_at: datetime | None = None
    incomplete_since: datetime | None = None
    waits: Waits = field(default_factory=Waits)
    _incomplete: Wait | None = None
    _proving: Wait | None = None
    _reported_disabled: bool = False
    _listed_for: set[str] = field(default_factory=set)

    def refresh(self, cursors: Mapping[str, Cursor], table: str) -> tuple[Shard, ...]:
        """Lists again if that is due; returns new shards, parents first.

        If the stream was switched off, that is reported long before everything in it is read.

        Raises HistoryLost if a hole in the listing remains.
        """
        now = self.changes.now()
        waiting = self._childless(cursors, now)
        due = self._due(now)
        if not due and not waiting:
            return ()
        if due:
            self._list(cursors, now)
        else:
            self._find_children(waiting)
            orphaned = set(self._childless(cursors, now))
            if orphaned - self._listed_for:
                # A stream that was switched off ends its shards; only a listing shows that.
                self._listed_for |= orphaned
                self._list(cursors, now)
        if not self.listing.enabled and not self._reported_disabled:
            self._reported_disabled = True
            log.warning(
                "%s: its stream was switched off: what is in it is still read, but later changes "
                "are in no stream",
                table,
            )
        return newcomers(self.listing, cursors).welcome

    def _childless(self, cursors: Mapping[str, Cursor], now: datetime) -> list[str]:
        return childless(self.listing, cursors, now, self.changes.retention)

    def _due(self, now: datetime) -> bool:
        if self.listed_at is None or now - self.listed_at >= LISTING_EVERY:
            return True
        return self.listed_at < self.settles_at <= now

    def settles_in(self, now: datetime) -> float:
        """Seconds until the listing at `settles_at` is due; infinity once it was made."""
        settled = self.listed_at is not None and self.listed_at >= self.settles_at
        waits = (self.settles_at - now).total_seconds()
        return inf if settled or waits <= 0 else waits

    def _find_children(self, parents: list[str]) -> None:
        for parent in parents:
            self.listing = self.listing.merged(self.changes.children(parent))

    def _list(self, cursors: Mapping[str, Cursor], now: datetime) -> None:
        wait = self.waits.begin()
        for attempt in range(LISTING_TRIES):
            listing = self.changes.listing()
            circle = in_circle(listing)
            if circle:
                raise BadAnswer(
                    f"The stream lists shard {circle} as its own ancestor.", "Report it."
                )
            since = filled_until(cursors, self.planned_at)
            lost = losses(listing, cursors, since, now, self.changes.retention)
            if not lost:
                break
            if attempt == LISTING_TRIES - 1:
                more = f" (and {len(lost) - 1} more)" if len(lost) > 1 else ""
                raise HistoryLost(
                    f"Shard {lost[0].shard}{more} is lost: {lost[0].reason}; changes may be "
                    f"missing{window(self._oldest(cursors), now)}.",
                    WAYS_OUT,
                )
            # About a minute in all, since a listing may be that late.
            pause = self.retry_seconds * 2**attempt
            left = self.retry_seconds * (2 ** (LISTING_TRIES - 1) - 2**attempt)
            wait.goes_on(f"shard {lost[0].shard}, which the stream no longer lists", left, pause)
            self.stop.sleep(pause)
        self.listing, self.listed_at = listing, now

    @staticmethod
    def _oldest(cursors: Mapping[str, Cursor]) -> datetime | None:
        return min((c.seen_at for c in cursors.values() if c.seen_at), default=None)

    def check_complete(self, cursors: Mapping[str, Cursor]) -> None:
        """Raises Unreachable if shards that must exist stay unlisted, so that no run hangs."""
        now = self.changes.now()
        if self.complete(cursors, self.listed_at or now):
            self.incomplete_since = self._incomplete = None
            return
        self.incomplete_since = self.incomplete_since or now
        self._incomplete = self._incomplete or self.waits.begin()
        left = LISTING_PATIENCE - (now - self.incomplete_since)
        self._incomplete.goes_on("shards that the stream does not list yet", left.total_seconds())
        if now - self.incomplete_since > LISTING_PATIENCE:
            raise Unreachable(
                "The stream lists shards without their parents, or none after a finished shard, or "
                "no open one.",
                "Nothing is lost yet; run the same command again.",
            )

    def await_proof(self, proven: bool, ahead: float) -> None:
        """Reports a long wait for silence, which proves that everything was read."""
        if proven:
            self._proving = None
            return
        self._proving = self._proving or self.waits.begin(logging.INFO)
        what = "silence in the stream, to prove that nothing is left unread"
        self._proving.goes_on(what, ahead=ahead)

    def check_enabled(
        self, table: str, cursors: Mapping[str, Cursor], caught_up: Callable[[], bool]
    ) -> None:
        """Raises StreamDisabled if the stream was switched off and was read to its end."""
        if self.listed_at is None or self.listing.enabled:
            return
        ended = all(cursor.done for cursor in cursors.values())
        if ended or (self.listing.lasting and caught_up()):
            raise switched_off(table)

    def complete(self, cursors: Mapping[str, Cursor], since: datetime) -> bool:
        """Whether the listing is younger than `since` and lacks no shard that must exist."""
        fresh = self.listed_at is not None and self.listed_at >= since
        return (
            fresh
            and growing(self.listing)
            and not self._childless(cursors, self.changes.now())
            and not newcomers(self.listing, cursors).orphans
        )


def settled_listing(changes: Changes, stop: Stop) -> Listing:
    """The union of two or more listings, until no parent and no open shard is missing.

    Listings can be late, and the plan cannot cover a shard that it does not see.
    """
    listing = changes.listing()
    for attempt in range(SETTLING_TRIES - 1):
        if stop.wait(0.2 if attempt else 0):
            break
        again = changes.listing()
        listing = again.merged({**listing.shards, **again.shards}.values())
        if growing(listing) and not newcomers(listing, {}).orphans:
            break
    return listing
