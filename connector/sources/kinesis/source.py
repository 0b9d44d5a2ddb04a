"""A table that is followed by a Kinesis stream: a `Lookup` and `Changes` of `connector.ports`."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from connector.core.changes.change import ChangePage
from connector.core.changes.shards import Listing, Retention, Shard
from connector.core.cursors import Cursor
from connector.core.state import Identity
from connector.errors import WAYS_OUT, ConfigError, ConnectorError, HistoryLost, Unreachable
from connector.items.by_time.page import Expected
from connector.ports import Description, Past
from connector.sources.dynamodb.source import DynamoDBSource
from connector.sources.dynamodb.table import check_identity
from connector.sources.kinesis.destination import Link, link, refusal
from connector.sources.kinesis.shards import summary
from connector.sources.kinesis.stream import BEGINNING_TRIES, KinesisStream


class KinesisSource:
    """Follows one table. Safe to use from several threads, each with shards of its own."""

    def __init__(self, table: DynamoDBSource, arn: str) -> None:
        self._source = table
        self._table = table.table
        self._arn = arn
        self._call = table.caller
        self._dynamodb = table.clients.dynamodb
        self._kinesis = table.clients.kinesis()
        check_region(arn, self._kinesis.meta.region_name, self._table)
        self._stream: KinesisStream | None = None
        self._identity: Identity | None = None

    def describe(self) -> Description:
        """Identity and size of the table as it is now, with the stream in its identity."""
        table, found = self._source.describe(), self._link()
        refused = None if found.sends else refusal(self._table, self._arn, found)
        try:
            return self._described_by(table, refused)
        except HistoryLost as error:
            # Nothing was read of it yet, as far as this says.
            raise refused or error from None

    def confirm(self, planned: Identity) -> None:
        """Raises HistoryLost if the table or the stream is no longer the planned one."""
        self._source.confirm_region(planned)
        if not planned.stream_arn.startswith(f"{self._arn}/"):
            was = planned.stream_arn.rpartition("/")[0]
            raise HistoryLost(
                f"tables.{self._table}.kinesis is now {self._arn} and was {was}: what has changed "
                "in between may be in neither.",
                f"Set it back, or go on with the other: {WAYS_OUT}",
            )
        check_identity(planned, self._described_by(self._source.describe(), None))

    def _described_by(self, table: Description, refused: ConnectorError | None) -> Description:
        now = summary(self._call, self._kinesis, self._arn)
        identity = replace(table.identity, stream_arn=now.identity, view_type="NEW_AND_OLD_IMAGES")
        if self._stream is None or self._identity != identity:
            arn, region = identity.table_arn, self._kinesis.meta.region_name
            expected = Expected(arn.rpartition("/")[2], arn, region, self._arn)
            self._stream = KinesisStream(self._call, self._kinesis, now, expected)
        self._identity = identity
        return replace(table, identity=identity, streaming=refused is None, refusal=refused)

    def now(self) -> datetime:
        """The source's own time."""
        return self._source.now()

    def items(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """Items by key, read consistently."""
        return self._source.items(keys)

    @property
    def retention(self) -> Retention:
        """How long the stream's records can be read, as it said last."""
        return self._described().retention

    @property
    def images(self) -> bool:
        """Kinesis always has both images."""
        return True

    @property
    def by_time(self) -> bool:
        """Its records come in any order."""
        return True

    def listing(self) -> Listing:
        """Every shard that the stream lists now."""
        return self._described().listing(self._link().sends)

    def children(self, shard: str) -> list[Shard]:
        """The children of a shard, as far as they are known yet."""
        return self._described().children(shard)

    @property
    def while_loading(self) -> bool:
        """The stream is read beside the scan, since its records may not outlast that."""
        return True

    def beginning(self, shard: Shard, planned_at: datetime, past: Past | None) -> Cursor:
        """The beginning of a shard: records that are trimmed before they are read are older."""
        return Cursor(seen_at=planned_at, parent=shard.parent, adjacent=shard.adjacent)

    def read(self, shard: Shard, since: Cursor) -> ChangePage:
        """The next page of a shard."""
        return self._described().read(shard, since)

    def _link(self) -> Link:
        """Whether the table sends its changes there, once that is settled."""
        wait = self._call.waits.begin()
        for tried in range(BEGINNING_TRIES):
            found = link(self._call, self._dynamodb, self._source.name, self._arn)
            if not found.begins:
                return found
            left = BEGINNING_TRIES - tried
            wait.goes_on("the table's link to the stream, which is being enabled", left, 1.0)
            self._call.sleep(1.0)
        raise Unreachable(
            f"The table {self._table} does not send its changes to {self._arn} yet.",
            "Run the same command again later.",
        )

    def _described(self) -> KinesisStream:
        if self._stream is None:
            self.describe()
        assert self._stream is not None
        return self._stream


def check_region(arn: str, region: str, table: str) -> None:
    """Raises ConfigError if a stream is in another Region than the table."""
    theirs = arn.split(":")[3]
    if theirs != region:
        raise ConfigError(
            f"tables.{table}.kinesis is a stream in {theirs}, but source.region is {region}.",
            "A table sends its changes to a stream in its own Region: set the one or the other.",
        )
