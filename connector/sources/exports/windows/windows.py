"""The windows of one table as one shard: each is read in turn, and what is missing is refused."""

import logging
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property

from msgspec.structs import replace as changed

from connector.core.changes.change import ChangePage
from connector.core.state import Identity
from connector.errors import ConfigError, ExportRefused
from connector.sources.exports.calls import DEFAULT_DAYS, Backups, ExportCalls
from connector.sources.exports.filling import LONGEST, SHORTEST, SLACK, shown
from connector.sources.exports.manifest import of_a_filter
from connector.sources.exports.source import starter_of, storage_of
from connector.sources.exports.starting import DONE, FAILED, Starter, failed
from connector.sources.exports.storage import Storage
from connector.sources.exports.windows import refusals
from connector.sources.exports.windows.chain import Hole, Window, following, hole
from connector.sources.exports.windows.found import Found, WindowFinder
from connector.sources.exports.windows.reading import WindowReading
from connector.sources.exports.windows.token import Token
from connector.sources.way import Opening
from connector.waits import Waits

log = logging.getLogger("connector.sources.exports")

LOOKS = 6
"""A folder is looked at again after so many polls of an idle shard."""


@dataclass(frozen=True)
class Need:
    """What windows are read for."""

    until: datetime | None = None
    """When what they fill in ends; None if they are followed for ever."""


class Windows:
    """Reads the windows of one table. Nothing is opened before it is needed."""

    def __init__(self, opening: Opening) -> None:
        self._opening = opening
        self._reading: WindowReading | None = None
        self._found: tuple[datetime, Found] | None = None
        self._begun: tuple[Token, str, ChangePage] | None = None
        self._polled: datetime | None = None
        self._complete = ""
        self._wait = (opening.waits or Waits(opening.table)).begin()

    @cached_property
    def identity(self) -> Identity:
        """The table that the windows must be of."""
        return self._opening.dynamodb.describe().identity

    @cached_property
    def backups(self) -> Backups | None:
        """Within what times the table can be exported, as far as that may be asked."""
        return self._calls.backups()

    @property
    def days(self) -> int:
        """For how many days changes can be exported."""
        return self.backups.days if self.backups else DEFAULT_DAYS

    def now(self) -> datetime:
        """The source's own time."""
        return self._opening.dynamodb.now()

    def check(self, token: Token, until: datetime, about: str = "") -> bool:
        """Whether there are windows from a token's time on; without a place for them, none is.

        Raises ExportRefused if some are there, but not all until a time. Where exports may be
        started, none has to be there yet.
        """
        if about and self._opening.config.exports.url is None:
            return False
        if self._starter is not None:
            return True
        found = self._look(fresh=True)
        gap = hole(found.windows, token.covered, _floor(token, until), until)
        if gap is None:
            return True
        if found.refused:
            raise found.refused[0]
        if about and gap.begin == token.covered and gap.end is None:
            return False
        until = min(until + SLACK, self.now()).replace(microsecond=0)
        raise refusals.missing(self.identity, self.url, gap, until, found.besides, about)

    def page(self, token: Token, need: Need) -> ChangePage:
        """The next page after a token.

        Raises WindowsMissing for a hole between windows, HistoryLost for changes that can no longer
        be exported, and ExportRefused for what cannot be used.
        """
        now = self.now()
        if token.window:
            return self._read(token).page(token, now)
        if need.until is not None and token.covered >= need.until:
            return ChangePage((), token.text(), now, ended=True)
        found = self._look()
        window = following(found.windows, token.covered, _floor(token, need.until))
        if window is None:
            found = self._look(fresh=self._stale(now))
            window = following(found.windows, token.covered, _floor(token, need.until))
        if window is not None:
            return self._begin(token, window, now)
        return self._missing(token, need, found, now)

    def _begin(self, token: Token, window: Window, now: datetime) -> ChangePage:
        if self._begun is not None and self._begun[:2] == (token, window.name):
            # What came before it was committed first, and it is asked for again.
            return self._begun[2]
        if self._calls.filtered(window.summary):
            raise of_a_filter(window.summary)
        log.info(
            "%s: the export %s has what changed from %s to %s",
            self._opening.table,
            window.name,
            shown(window.begin),
            shown(window.end),
        )
        # Whatever was scanned is in the table by now.
        known = token.known or now
        begun = changed(token, window=window.name, known=known, asked=None, arn="", tries=0)
        page = self._read(begun, window).begin(begun, now)
        self._begun = token, window.name, page
        return page

    def _missing(self, token: Token, need: Need, found: Found, now: datetime) -> ChangePage:
        gap = hole(found.windows, token.covered, _floor(token, need.until), need.until)
        if gap is not None and found.refused and not token.arn:
            raise found.refused[0]
        if token.covered < now - timedelta(days=self.days):
            raise refusals.too_late(self.identity, token.covered, self.days)
        if self._starter is not None:
            return self._started(self._starter, token, need, gap, now)
        if gap is None:
            if found.refused:
                raise found.refused[0]
            return self._drained(token, now)
        until = min((need.until or now) + SLACK, now).replace(microsecond=0)
        if need.until is None:
            raise refusals.hole(self.identity, self.url, gap, until, found.besides)
        raise refusals.missing(self.identity, self.url, gap, until, found.besides)

    def _drained(self, token: Token, now: datetime) -> ChangePage:
        if token.days != self.days:
            token = changed(token, days=self.days)
        return ChangePage((), token.text(), now, drained=True)

    # What is missing, started ----------------------------------------------------------------

    def _started(
        self, starter: Starter, token: Token, need: Need, gap: Hole | None, now: datetime
    ) -> ChangePage:
        if token.asked is None:
            end = self._end(token, need, gap, now)
            if end is None:
                return self._drained(token, now)
            asked = changed(token, asked=end, arn="", days=self.days)
            # Whoever goes on after a kill asks for the same.
            return ChangePage((), asked.text(), now, checkpoint=True)
        if not token.arn:
            arn = starter.window(self.identity, token.covered, token.asked, token.tries)
            log.info("%s: the export %s is under way", self._opening.table, arn)
            return ChangePage((), changed(token, arn=arn).text(), now, checkpoint=True)
        return self._awaited(starter, token, now)

    def _end(self, token: Token, need: Need, gap: Hole | None, now: datetime) -> datetime | None:
        """When a window ends that is to be started; None if it would be too short yet."""
        latest = min(now, self.backups.latest) if self.backups and self.backups.latest else now
        latest = latest.replace(microsecond=0)
        wanted = gap.end if gap and gap.end else (need.until + SLACK if need.until else latest)
        end = min(max(wanted, token.covered + SHORTEST), token.covered + LONGEST, latest)
        end = max(end.replace(microsecond=0), token.covered.replace(microsecond=0) + SHORTEST)
        return end if end <= latest else None

    def _awaited(self, starter: Starter, token: Token, now: datetime) -> ChangePage:
        """A page without changes, while an export is under way."""
        if self._polled is not None and now - self._polled < self._poll_every:
            return ChangePage((), token.text(), now, waiting=True)
        self._polled = now
        described = starter.calls.status(token.arn)
        if described.status == FAILED:
            if token.arn in starter.mine:
                raise failed(token.arn, described.failure)
            again = changed(token, arn="", tries=token.tries + 1)
            return ChangePage((), again.text(), now, checkpoint=True)
        starter.mine.add(token.arn)
        if described.status == DONE:
            if self._complete == token.arn:
                raise refusals.not_there(token.arn, self.url, token.covered)
            # The folder is looked at once more.
            self._found, self._complete = None, token.arn
        self._wait.goes_on(f"the export {token.arn}, which takes minutes to hours")
        return ChangePage((), token.text(), now, waiting=True)

    # What it is read with --------------------------------------------------------------------

    def _read(self, token: Token, window: Window | None = None) -> WindowReading:
        if self._reading is None or self._reading.window.name != token.window:
            window = window or self._again(token)
            self._reading = WindowReading(
                self._storage,
                self._finder.folder(window.name),
                window,
                self.identity.keys,
                self._opening.sleep,
            )
        return self._reading

    def _again(self, token: Token) -> Window:
        """The window that an earlier run has begun with."""
        for window in self._look(fresh=True).windows:
            if window.name == token.window:
                return window
        raise ExportRefused(
            f"The export {self._storage.at.url(self._finder.folder(token.window))} was read in "
            "part, and is no longer there as it was.",
            "Copy it again, whole.",
        )

    def _look(self, fresh: bool = False) -> Found:
        if self._found is None or fresh:
            self._found = self.now(), self._finder.found()
        return self._found[1]

    def _stale(self, now: datetime) -> bool:
        return self._found is None or now - self._found[0] >= LOOKS * self._poll_every

    @property
    def url(self) -> str:
        """The folder that holds AWSDynamoDB/. Raises ConfigError if none is configured."""
        url = self._opening.config.exports.url
        if url is None:
            raise ConfigError(
                f"What changed in {self._opening.table} is to be read from incremental exports, "
                "and nothing says where exports are.",
                "Set exports.url to the folder that holds AWSDynamoDB/. If there are none yet, set "
                "it to s3://bucket/prefix, and run the same command again: it says how to make "
                "them.",
            )
        return url.rstrip("/")

    @cached_property
    def _storage(self) -> Storage:
        return storage_of(self._opening, self.url)

    @cached_property
    def _finder(self) -> WindowFinder:
        return WindowFinder(self._storage, self.identity)

    @cached_property
    def _calls(self) -> ExportCalls:
        source = self._opening.dynamodb
        return ExportCalls(source.caller, source.clients.dynamodb, self._opening.table)

    @cached_property
    def _starter(self) -> Starter | None:
        return starter_of(self._opening, self._calls)

    @cached_property
    def _poll_every(self) -> timedelta:
        return timedelta(seconds=self._opening.config.tail.idle_poll_seconds)


def _floor(token: Token, until: datetime | None) -> datetime | None:
    """The time before which no window may begin: what it leaves out could not be looked up.

    Rows of an export that is not loaded yet are in no table; later, they can be looked up.
    """
    first = token.covered == token.known
    return token.known if token.exact and (first or until is not None) else None
