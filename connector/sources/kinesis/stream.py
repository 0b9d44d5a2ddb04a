"""Reads a Kinesis stream: lists shards, and reads each from its cursor in the destination."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from connector.core.changes.change import ChangePage
from connector.core.changes.shards import Listing, Retention, Shard, window
from connector.core.cursors import Cursor
from connector.errors import WAYS_OUT, HistoryLost, ShardGone, Unreachable
from connector.items.by_time.page import Expected, KinesisPage, kinesis_page
from connector.sources.dynamodb.calls import Caller, body, error_code, member
from connector.sources.kinesis import pace
from connector.sources.kinesis.shards import Summary, retention_of, shards, summary

MAX_RECORDS = 1000
ITERATOR_TRIES = 5
BEGINNING_TRIES = 60


@dataclass
class _Reader:
    """An iterator, and the token of its position."""

    iterator: str
    token: str | None


class KinesisStream:
    """Reads the shards of one stream. Iterators are kept between calls and renewed as needed."""

    def __init__(self, call: Caller, kinesis: Any, first: Summary, expected: Expected) -> None:
        self._call = call
        self._kinesis = kinesis
        self._summary = first
        self._expected = expected
        self._readers: dict[str, _Reader] = {}
        self._children: dict[str, list[Shard]] = {}

    @property
    def retention(self) -> Retention:
        """How long records can be read, as the stream said last."""
        return retention_of(self._summary.lasts)

    def listing(self, sends: bool) -> Listing:
        """Every shard listed now; `sends` says whether the table still sends its changes there."""
        now = self.described()
        found = shards(self._call, self._kinesis, now.arn)
        return Listing(found, enabled=sends, since=now.created_at, lasting=True)

    def described(self) -> Summary:
        """The stream as it is now, once it is there. Raises HistoryLost if it is another one."""
        wait = self._call.waits.begin()
        for tried in range(BEGINNING_TRIES):
            now = summary(self._call, self._kinesis, self._summary.arn)
            if now.created_at != self._summary.created_at:
                raise HistoryLost(
                    f"The stream {now.arn} was deleted and created again, so changes are missing"
                    f"{window(self._summary.created_at, self._call.clock.now())}.",
                    WAYS_OUT,
                )
            self._summary = now
            if now.status != "CREATING":
                return now
            wait.goes_on("the stream, which is being created", BEGINNING_TRIES - tried, 1.0)
            self._call.sleep(1.0)
        raise Unreachable("The stream is still being created.", "Run the same command again later.")

    def children(self, shard: str) -> list[Shard]:
        """The children of one shard: as it has named them at its end, or as they are listed."""
        named = self._children.get(shard)
        if named:
            return named
        listed = shards(self._call, self._kinesis, self._summary.arn)
        return [each for each in listed.values() if shard in each.parents]

    def read(self, shard: Shard, since: Cursor) -> ChangePage:
        """The next page after `since`; see `connector.ports.Changes.read`."""
        # Kinesis does not say that records were trimmed: it goes on with what is left.
        self._object_to_trim(shard, since)
        found, asked_at = self._page(shard, since)
        following, token = found.page.next_iterator, found.page.token(since.token)
        if following is not None:
            self._readers[shard.id] = _Reader(following, token)
            return change_page(found, since.token, asked_at)
        if found.children:
            self._children[shard.id] = [
                Shard(each.id, each.parents[0], adjacent=next(iter(each.parents[1:]), None))
                for each in found.children
                if each.parents
            ]
        # A missing iterator alone proves nothing: the shard must say what continues it, or be
        # listed as closed, and a new iterator must find nothing either.
        closed = shard.closed or bool(found.children) or self._closed(shard)
        ended = closed and self._nothing_after(shard, replace(since, token=token))
        return change_page(found, since.token, asked_at, ended=ended)

    def _nothing_after(self, shard: Shard, since: Cursor) -> bool:
        found, _ = self._page(shard, since)
        return found.page.next_iterator is None and found.page.token(since.token) == since.token

    def _closed(self, shard: Shard) -> bool:
        listed = shards(self._call, self._kinesis, self._summary.arn).get(shard.id)
        return listed is not None and listed.closed

    def _page(self, shard: Shard, since: Cursor) -> tuple[KinesisPage, datetime]:
        """The next page, and when it was requested; an invalid iterator is replaced."""
        reader = self._readers.pop(shard.id, None)
        if reader is None or reader.token != since.token:
            reader = self._open(shard, since)
        for _ in range(ITERATOR_TRIES):
            place = f"{self._summary.arn}/{shard.id}"
            pace.PROCESS.wait(place, self._call.sleep)
            asked_at = self._call.clock.now()
            try:
                found = self._records(reader)
            except Exception as error:
                pace.PROCESS.read(place, 0)
                reader = self._renewed(error, shard, since)
                continue
            pace.PROCESS.read(place, found.size)
            return found, asked_at
        raise Unreachable(
            f"The stream refuses every iterator that it returns for shard {shard.id}.",
            "Nothing is lost; run the same command again later.",
        )

    def _renewed(self, error: Exception, shard: Shard, since: Cursor) -> _Reader:
        code = error_code(error)
        if code in ("ExpiredIteratorException", "InvalidArgumentException"):
            return self._open(shard, since)
        if code == "ResourceNotFoundException":
            raise self._gone(shard) from error
        raise error

    def _open(self, shard: Shard, since: Cursor) -> _Reader:
        if since.token is not None:
            kind, at = "AFTER_SEQUENCE_NUMBER", {"StartingSequenceNumber": since.token}
            return self._iterator(shard, since, kind, at)
        # What arrived so long before was made before the plan, or is in the shard's parents.
        assert since.seen_at is not None
        overlap = self.retention.overlap
        return self._iterator(shard, since, "AT_TIMESTAMP", {"Timestamp": since.seen_at - overlap})

    def _iterator(self, shard: Shard, since: Cursor, kind: str, at: dict[str, Any]) -> _Reader:
        try:
            iterator = self._call(
                self._kinesis.get_shard_iterator,
                member("ShardIterator", "Kinesis"),
                StreamARN=self._summary.arn,
                ShardId=shard.id,
                ShardIteratorType=kind,
                **at,
            )
        except Exception as error:
            if error_code(error) in ("ResourceNotFoundException", "InvalidArgumentException"):
                raise self._gone(shard) from error
            raise
        return _Reader(iterator, since.token)

    def _records(self, reader: _Reader) -> KinesisPage:
        return self._call(
            self._kinesis.get_records,
            lambda answer: kinesis_page(body(answer), self._expected),
            StreamARN=self._summary.arn,
            ShardIterator=reader.iterator,
            Limit=MAX_RECORDS,
        )

    def _object_to_trim(self, shard: Shard, since: Cursor) -> None:
        now = self._call.clock.now()
        if self.retention.nothing_trimmed(since.seen_at, now):
            return
        raise HistoryLost(
            f"Records of shard {shard.id} may have been trimmed before they were read"
            f"{window(since.seen_at, now)}.",
            WAYS_OUT,
        )

    def _gone(self, shard: Shard) -> ShardGone:
        return ShardGone(
            f"Shard {shard.id} no longer exists and was not read to its end.", WAYS_OUT
        )


def change_page(
    found: KinesisPage, since: str | None, asked_at: datetime, ended: bool = False
) -> ChangePage:
    """The answer to GetRecords, as the changes after `since`.

    What it says of time is when records arrived, which is the order they are in.
    """
    page = found.page
    changes = page.after(since)
    newest = found.arrived
    if changes and found.behind is not None:
        through = asked_at.timestamp() - found.behind
        newest = through if newest is None else max(newest, through)
    return ChangePage(
        changes=changes,
        token=page.token(since),
        asked_at=asked_at,
        repeated=len(page.records) - len(changes),
        oldest_at=min(page.times, default=None),
        newest_at=newest,
        ordinary=not page.replicated,
        behind=bool(found.behind),
        goes_on=page.next_iterator is not None,
        ended=ended,
    )
