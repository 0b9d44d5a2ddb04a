"""What following a Kinesis stream needs: each operation is tried once."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

from connector.core.changes.shards import Shard
from connector.core.needs import Need, tried, tried_after
from connector.core.state import Identity
from connector.core.words import counted, lasting
from connector.errors import HistoryLost, SourceRefused, Unreachable
from connector.items.by_time.page import Expected, kinesis_page
from connector.sources.dynamodb.calls import Caller, SourceClock, body, member
from connector.sources.dynamodb.needs import PATIENCE
from connector.sources.kinesis.destination import link, precision_command, refusal
from connector.sources.kinesis.shards import shards, summary
from connector.sources.kinesis.source import check_region
from connector.sources.way import Opening

_MICROSECOND = "MICROSECOND"


class KinesisTrial:
    """Tries the needs of one table's stream."""

    def __init__(self, opening: Opening, table: Identity) -> None:
        arn = opening.config.tables[opening.table].kinesis
        assert arn is not None
        source = opening.dynamodb
        self._arn = arn
        self._table = opening.table
        self._about = table
        self._name = source.name
        patience = min(opening.config.source.retry_seconds, PATIENCE)
        self._call = Caller(patience, SourceClock(), opening.sleep, table=opening.table)
        self._dynamodb = source.clients.dynamodb
        self._open: Callable[[], Any] = source.clients.kinesis
        self._shards: list[Shard] = []
        self._iterator = ""

    def needs(self) -> Iterator[Need]:
        """Each need, in the order of a run; those that depend on an unmet one are not tried."""
        linked = tried("DescribeKinesisStreamingDestination", self._link, self._table)
        yield linked
        described = tried("DescribeStreamSummary", self._summary, self._table)
        yield described
        listed = tried_after(described, "ListShards", self._list)
        yield listed
        opened = tried_after(listed, "GetShardIterator", self._get_shard_iterator)
        yield opened
        yield tried_after(opened, "GetRecords", self._get_records)

    def _link(self) -> str:
        check_region(self._arn, self._open().meta.region_name, self._table)
        found = link(self._call, self._dynamodb, self._name, self._arn)
        if found.begins:
            raise Unreachable(
                f"The table {self._table} does not send its changes to {self._arn} yet.",
                "Run the same command again later.",
            )
        if not found.sends:
            raise refusal(self._table, self._arn, found)
        if found.precision == _MICROSECOND:
            return f"{found.status}; times in microseconds"
        return (
            f"{found.status}; times in milliseconds: changes of one item in the same one are read "
            f"by key. Rarer with {precision_command(self._table, self._arn)}"
        )

    def _summary(self) -> str:
        try:
            found = summary(self._call, self._open(), self._arn)
        except HistoryLost as error:
            raise SourceRefused(
                f"There is no Kinesis stream {self._arn}.",
                f"Correct tables.{self._table}.kinesis, or source.kinesis_endpoint_url.",
            ) from error
        kept = lasting(found.lasts.total_seconds())
        return f"allowed; {found.status}, keeps records for {kept}"

    def _list(self) -> str:
        self._shards = list(shards(self._call, self._open(), self._arn).values())
        if not self._shards:
            raise Unreachable(f"{self._arn} lists no shard yet.", "Run the same command later.")
        return f"allowed; {counted(len(self._shards), 'shard')} listed"

    def _get_shard_iterator(self) -> str:
        is_open = [each for each in self._shards if not each.closed]
        self._iterator = self._call(
            self._open().get_shard_iterator,
            member("ShardIterator", "Kinesis"),
            StreamARN=self._arn,
            ShardId=(is_open or self._shards)[-1].id,
            ShardIteratorType="AT_TIMESTAMP",
            # Far enough back to find a record, whose content is then tried as well.
            Timestamp=self._call.clock.now() - timedelta(hours=1),
        )
        return "allowed"

    def _get_records(self) -> str:
        arn, region = self._about.table_arn, self._dynamodb.meta.region_name
        expected = Expected(arn.rpartition("/")[2], arn, region, self._arn)
        self._call(
            self._open().get_records,
            lambda answer: kinesis_page(body(answer), expected),
            StreamARN=self._arn,
            ShardIterator=self._iterator,
            Limit=1,
        )
        return "allowed"
