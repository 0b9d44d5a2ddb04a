"""A table that is followed by its incremental exports: one shard, which never ends."""

from dataclasses import replace
from datetime import datetime, timedelta

from connector.core.changes.change import ChangePage
from connector.core.changes.shards import Listing, Retention, Shard
from connector.core.cursors import Cursor
from connector.core.state import TableState
from connector.errors import StateRefused
from connector.ports import Past
from connector.sources.exports.retention import LONGEST
from connector.sources.exports.windows.token import Token, token_of
from connector.sources.exports.windows.windows import Need, Windows

SHARD = "exports"


def retention_of(state: TableState) -> Retention:
    """How long changes can be exported, as the last run has found it."""
    cursor = state.shards.get(SHARD)
    days = token_of(cursor.token).days if cursor and cursor.token else None
    return replace(LONGEST, lasts=timedelta(days=days)) if days else LONGEST


class ExportsFollower:
    """The changes of one table, window by window."""

    def __init__(self, windows: Windows) -> None:
        self._windows = windows

    @property
    def retention(self) -> Retention:
        """How long changes can be exported."""
        return replace(LONGEST, lasts=timedelta(days=self._windows.days))

    def now(self) -> datetime:
        """The source's own time."""
        return self._windows.now()

    @property
    def images(self) -> bool:
        """Every line of an export has the item, unless that was deleted."""
        return True

    @property
    def by_time(self) -> bool:
        """Windows come in the order of their times."""
        return False

    @property
    def while_loading(self) -> bool:
        """What a window leaves out is looked up among the rows, so these must be there."""
        return False

    def listing(self) -> Listing:
        """The one shard, and from when on the table can be exported."""
        earliest = self._windows.now() - timedelta(days=self._windows.days)
        return Listing({SHARD: Shard(SHARD)}, since=earliest)

    def children(self, shard: str) -> list[Shard]:
        """It has none."""
        return []

    def beginning(self, shard: Shard, planned_at: datetime, past: Past | None) -> Cursor:
        """Windows go on exactly from an export; after a scan, the first begins before the plan."""
        at = past.at if past else planned_at
        token = Token(
            covered=at,
            known=at if past else None,
            exact=past is not None,
            days=self._windows.days,
        )
        return Cursor(token.text(), seen_at=at)

    def read(self, shard: Shard, since: Cursor) -> ChangePage:
        """The next page of changes."""
        return self._windows.page(token_in(since), Need())


def token_in(cursor: Cursor) -> Token:
    """The token of a cursor of windows. Raises StateRefused if there is none."""
    if cursor.token is None:
        raise StateRefused(
            "The state here does not say up to when incremental exports were read.",
            "Restore it from a backup, or run `connector snapshot TABLE --full-refresh`.",
        )
    return token_of(cursor.token)
