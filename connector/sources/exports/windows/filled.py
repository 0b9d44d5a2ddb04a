"""A stream whose beginning is filled in from incremental exports."""

from collections.abc import Callable
from datetime import datetime

from connector.core.changes.change import ChangePage
from connector.core.changes.shards import EARLIER, Listing, Retention, Shard
from connector.core.cursors import Cursor
from connector.core.state import Identity
from connector.ports import Changes, Past
from connector.sources.exports.windows.follower import token_in
from connector.sources.exports.windows.token import Token
from connector.sources.exports.windows.windows import Need, Windows


class FilledChanges:
    """The changes of a stream; what it no longer has is a shard of its own, the parent of all.

    Both a `Changes` and a `Filler`. The windows are not opened before they are needed.
    """

    def __init__(self, changes: Changes, windows: Callable[[], Windows]) -> None:
        self._changes = changes
        self._open = windows
        self._opened: Windows | None = None

    @property
    def _windows(self) -> Windows:
        if self._opened is None:
            self._opened = self._open()
        return self._opened

    @property
    def retention(self) -> Retention:
        """How long the stream's records can be read."""
        return self._changes.retention

    @property
    def images(self) -> bool:
        """Whether changes have the items as they are after them."""
        return self._changes.images

    @property
    def by_time(self) -> bool:
        """Whether changes are merged by their times."""
        return self._changes.by_time

    @property
    def while_loading(self) -> bool:
        """Whether the stream can be read beside a scan."""
        return self._changes.while_loading

    def now(self) -> datetime:
        """The source's own time."""
        return self._changes.now()

    def listing(self) -> Listing:
        """Every shard that the stream lists now."""
        return self._changes.listing()

    def children(self, shard: str) -> list[Shard]:
        """The children of a shard of the stream, as far as they are listed yet."""
        return self._changes.children(shard)

    def beginning(self, shard: Shard, planned_at: datetime, past: Past | None) -> Cursor:
        """The cursor of a shard of the stream that is read from a plan on."""
        return self._changes.beginning(shard, planned_at, past)

    def earlier(
        self,
        table: Identity,
        since: datetime,
        until: datetime,
        *,
        exact: bool,
        about: str = "",
    ) -> tuple[str, Cursor] | None:
        """The shard that has everything from `since` on, and the cursor of its beginning."""
        known = since if exact else self.now()
        token = Token(covered=since, known=known, exact=exact)
        if not self._windows.check(token, until, about):
            return None
        return f"{EARLIER}{since.isoformat()}", Cursor(token.text(), seen_at=since)

    def read(self, shard: Shard, since: Cursor) -> ChangePage:
        """The next page of a shard."""
        if not shard.id.startswith(EARLIER):
            return self._changes.read(shard, since)
        token = token_in(since)
        if token.window:
            return self._windows.page(token, Need())
        # It ends where the stream certainly has every change, and some time later.
        begins = self.retention.readable(self._changes.listing().since, self.now())
        return self._windows.page(token, Need(begins + self.retention.overlap))
