"""Reads a table's stream: lists shards, and reads each from its cursor in the destination."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from connector.core.changes.change import ChangePage
from connector.core.changes.shards import Listing, Shard, window
from connector.core.cursors import Cursor
from connector.errors import WAYS_OUT, BadAnswer, HistoryLost, ShardGone, Unreachable
from connector.items.records import RecordsPage
from connector.items.wire import records_page
from connector.sources.dynamodb.calls import Caller, body, error_code, member
from connector.sources.dynamodb.retention import RETENTION
from connector.sources.dynamodb.table import WITHOUT_IMAGES

MAX_RECORDS = 1000
MAX_LISTING_PAGES = 10_000
ENABLING_TRIES = 60
ITERATOR_TRIES = 5

_SWITCHED_OFF = ("DISABLING", "DISABLED")


@dataclass
class _Reader:
    """An iterator, and the token of its position."""

    iterator: str
    token: str | None


class Stream:
    """Reads the shards of one stream. Iterators are kept between calls and renewed as needed."""

    def __init__(self, call: Caller, streams: Any, arn: str) -> None:
        self._call = call
        self._streams = streams
        self._arn = arn
        self._readers: dict[str, _Reader] = {}
        self._view: str | None = None

    @property
    def images(self) -> bool:
        """Whether its records have the items as they are after each change."""
        if self._view is None:
            self._described()
        return self._view not in WITHOUT_IMAGES

    def listing(self) -> Listing:
        """Every shard listed now, from all pages of DescribeStream."""
        wait = self._call.waits.begin()
        for tried in range(ENABLING_TRIES):
            status, since, shards = self._pages()
            if status != "ENABLING":
                return Listing(shards, enabled=status not in _SWITCHED_OFF, since=since)
            # No shard is listed while a stream is being enabled.
            wait.goes_on("the stream, which is being enabled", ENABLING_TRIES - tried, 1.0)
            self._call.sleep(1.0)
        raise Unreachable("The stream is still being enabled.", "Run the same command again later.")

    def _pages(self) -> tuple[str, datetime | None, dict[str, Shard]]:
        shards: dict[str, Shard] = {}
        start: dict[str, Any] = {}
        for _ in range(MAX_LISTING_PAGES):
            page = self._describe(**start)
            shards.update((each["ShardId"], _shard(each)) for each in page.get("Shards", []))
            last = page.get("LastEvaluatedShardId")
            if last is None:
                since = page.get("CreationRequestDateTime")
                return page.get("StreamStatus", "ENABLED"), since, shards
            if last == start.get("ExclusiveStartShardId"):
                raise BadAnswer("DescribeStream keeps repeating the same page.", "Run again.")
            start = {"ExclusiveStartShardId": last}
        raise BadAnswer("DescribeStream lists shards endlessly.", "Run again.")

    def children(self, shard: str) -> list[Shard]:
        """The listed children of one shard; emulators that ignore the filter return all shards."""
        try:
            page = self._described(ShardFilter={"Type": "CHILD_SHARDS", "ShardId": shard})
        except Exception as error:
            if error_code(error) not in ("ValidationException", "ResourceNotFoundException"):
                raise
            # The filter or the shard is unknown; the full listing has the children, too.
            return [each for each in self.listing().shards.values() if each.parent == shard]
        return [
            _shard(each) for each in page.get("Shards", []) if each.get("ParentShardId") == shard
        ]

    def _described(self, **parameters: Any) -> dict[str, Any]:
        description: dict[str, Any] = self._call(
            self._streams.describe_stream,
            member("StreamDescription"),
            StreamArn=self._arn,
            **parameters,
        )
        # It outlives a stream that is switched off, of whose view type DescribeTable says nothing.
        self._view = description.get("StreamViewType", "")
        return description

    def _describe(self, **parameters: Any) -> dict[str, Any]:
        try:
            return self._described(**parameters)
        except Exception as error:
            if error_code(error) == "ResourceNotFoundException":
                raise HistoryLost(f"The stream {self._arn} no longer exists.", WAYS_OUT) from error
            raise

    def read(self, shard: Shard, since: Cursor) -> ChangePage:
        """The next page after `since`; see `connector.ports.Changes.read`."""
        page, asked_at = self._page(shard, since)
        token = page.token(since.token)
        if page.next_iterator is not None:
            self._readers[shard.id] = _Reader(page.next_iterator, token)
            return change_page(page, since.token, asked_at)
        # A missing iterator alone proves nothing: the listing must show that the shard is closed,
        # and a new iterator must find nothing either. Otherwise reading continues.
        closed = shard.closed or self._closed(shard)
        ended = closed and self._nothing_after(shard, replace(since, token=token))
        return change_page(page, since.token, asked_at, ended=ended)

    def _nothing_after(self, shard: Shard, since: Cursor) -> bool:
        page, _ = self._page(shard, since)
        return page.next_iterator is None and page.token(since.token) == since.token

    def _page(self, shard: Shard, since: Cursor) -> tuple[RecordsPage, datetime]:
        """The next page, and when it was requested; an invalid iterator is replaced."""
        reader = self._readers.pop(shard.id, None)
        if reader is None or reader.token != since.token:
            reader = self._open(shard, since)
        for _ in range(ITERATOR_TRIES):
            asked_at = self._call.clock.now()
            try:
                return self._records(reader), asked_at
            except Exception as error:
                reader = self._renewed(error, shard, since)
        raise Unreachable(
            f"The stream refuses every iterator that it returns for shard {shard.id}.",
            "Nothing is lost; run the same command again later.",
        )

    def _renewed(self, error: Exception, shard: Shard, since: Cursor) -> _Reader:
        code = error_code(error)
        # An emulator may reject an iterator that it has just returned.
        if code in ("ExpiredIteratorException", "ValidationException"):
            return self._open(shard, since)
        if code == "TrimmedDataAccessException":
            self._object_to_trim(shard, since)
            return self._horizon(shard, since)
        if code == "ResourceNotFoundException":
            raise self._gone(shard) from error
        raise error

    def _closed(self, shard: Shard) -> bool:
        listed = self.listing().shards.get(shard.id)
        return listed is not None and listed.closed

    def _open(self, shard: Shard, since: Cursor) -> _Reader:
        if since.token is None:
            # The horizon hides what was trimmed, so times must prove that everything was read.
            self._object_to_trim(shard, since)
            return self._horizon(shard, since)
        try:
            return self._iterator(
                shard,
                since,
                ShardIteratorType="AFTER_SEQUENCE_NUMBER",
                SequenceNumber=since.token,
            )
        except Exception as error:
            if error_code(error) != "TrimmedDataAccessException":
                raise
            self._object_to_trim(shard, since)
            return self._horizon(shard, since)

    def _horizon(self, shard: Shard, since: Cursor) -> _Reader:
        # Records up to the cursor are repeated, and dropped by their sequence number.
        return self._iterator(shard, since, ShardIteratorType="TRIM_HORIZON")

    def _iterator(self, shard: Shard, since: Cursor, **position: str) -> _Reader:
        try:
            iterator = self._call(
                self._streams.get_shard_iterator,
                member("ShardIterator"),
                StreamArn=self._arn,
                ShardId=shard.id,
                **position,
            )
        except Exception as error:
            if error_code(error) == "ResourceNotFoundException":
                raise self._gone(shard) from error
            raise
        return _Reader(iterator, since.token)

    def _records(self, reader: _Reader) -> RecordsPage:
        images = self.images
        return self._call(
            self._streams.get_records,
            lambda answer: records_body(answer, images),
            ShardIterator=reader.iterator,
            Limit=MAX_RECORDS,
        )

    def _object_to_trim(self, shard: Shard, since: Cursor) -> None:
        now = self._call.clock.now()
        if RETENTION.nothing_trimmed(since.seen_at, now):
            return
        raise HistoryLost(
            f"Records of shard {shard.id} were trimmed before they were read"
            f"{window(since.seen_at, now)}.",
            WAYS_OUT,
        )

    def _gone(self, shard: Shard) -> ShardGone:
        return ShardGone(
            f"Shard {shard.id} no longer exists and was not read to its end.", WAYS_OUT
        )


def _shard(listed: dict[str, Any]) -> Shard:
    numbers = listed.get("SequenceNumberRange", {})
    return Shard(
        id=listed["ShardId"],
        parent=listed.get("ParentShardId"),
        starting=numbers.get("StartingSequenceNumber"),
        ending=numbers.get("EndingSequenceNumber"),
    )


def change_page(
    page: RecordsPage, since: str | None, asked_at: datetime, ended: bool = False
) -> ChangePage:
    """The answer to GetRecords, as the changes after `since`."""
    changes = page.after(since)
    return ChangePage(
        changes=changes,
        token=page.token(since),
        asked_at=asked_at,
        misplaced=page.bad,
        repeated=len(page.records) - len(changes),
        oldest_at=min(page.times, default=None),
        newest_at=page.newest_at,
        ordinary=not page.replicated,
        goes_on=page.next_iterator is not None,
        ended=ended,
    )


def records_body(answer: dict[str, Any], images: bool = True) -> RecordsPage:
    """The checked answer to GetRecords; `images` says whether its puts must have new images."""
    return records_page(body(answer), images)
