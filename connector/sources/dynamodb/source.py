"""A DynamoDB table and its stream: a `Lookup`, a `Snapshot` and `Changes` of `connector.ports`."""

import time
from collections.abc import Callable, Sequence
from datetime import datetime

from connector.config.model import SourceConfig
from connector.core.changes.change import ChangePage
from connector.core.changes.shards import Listing, Retention, Shard
from connector.core.cursors import Cursor
from connector.core.state import Identity
from connector.errors import elsewhere
from connector.ports import Decoded, Description, Past, Prepared
from connector.sources.dynamodb.calls import Caller, ReadUnitLimiter, SourceClock, Spending
from connector.sources.dynamodb.client import Clients, open_clients
from connector.sources.dynamodb.lookups import Lookups
from connector.sources.dynamodb.retention import RETENTION
from connector.sources.dynamodb.scan import Scanner
from connector.sources.dynamodb.streams import Stream
from connector.sources.dynamodb.table import check_identity, describe
from connector.waits import Waits


class DynamoDBSource:
    """Reads one table. Safe to use from several threads, each with shards of its own.

    Sources that share a `spending` stay below `max_read_units` together. Without `clients`, it logs
    in for itself. One that is not `streamed` asks for no stream, and its table's identity has none.
    """

    def __init__(
        self,
        config: SourceConfig,
        table: str,
        *,
        readers: int = 16,
        max_read_units: float | None = None,
        sleep: Callable[[float], None] = time.sleep,
        clients: Clients | None = None,
        spending: Spending | None = None,
        waits: Waits | None = None,
        streamed: bool = True,
    ) -> None:
        self.table = table
        self._name, self._several = config.name_of(table), len(config.choices) > 1
        self._streamed = streamed
        self._clock = SourceClock()
        self._clients = clients or open_clients(config, readers)
        waits = waits or Waits(table)
        self._call = Caller(config.retry_seconds, self._clock, sleep, table=table, waits=waits)
        limiter = ReadUnitLimiter(max_read_units, sleep, spending=spending, waits=waits)
        self._scanner = Scanner(
            self._call, self._clients.dynamodb, self._name, config.consistent_read, limiter
        )
        self._lookups = Lookups(self._call, self._clients.dynamodb, self._name, limiter)
        self._identity: Identity | None = None
        self._stream: Stream | None = None

    @property
    def caller(self) -> Caller:
        """How the table's calls are made, for what else is called for it."""
        return self._call

    @property
    def name(self) -> str:
        """The table's name, or its ARN, in this Region."""
        return self._name

    @property
    def clients(self) -> Clients:
        """The clients that its calls are made with."""
        return self._clients

    def describe(self) -> Description:
        """Identity and size of the table as it is now."""
        description = describe(
            self._call, self._clients.dynamodb, self._name, self._streamed, self._several
        )
        if self._identity is None or self._identity.stream_arn != description.identity.stream_arn:
            self._stream = Stream(
                self._call, self._clients.streams, description.identity.stream_arn
            )
        self._identity = description.identity
        return description

    def confirm(self, planned: Identity) -> None:
        """Raises HistoryLost if the table or its stream is no longer the planned one.

        Raises ConfigError if it was planned in another Region, which is then not asked.
        """
        self.confirm_region(planned)
        check_identity(planned, self.describe())

    def confirm_region(self, planned: Identity) -> None:
        """Raises ConfigError if the table was planned in another Region."""
        here = self._clients.dynamodb.meta.region_name
        if planned.region not in ("", here):
            raise elsewhere(self.table, planned.region, here)

    def prepare(self, table: Identity) -> Prepared:
        """A Scan reads what is there, in any number of segments."""
        return Prepared()

    def resume(self, origin: str | None) -> None:
        """A Scan has no origin but the table."""

    def page(
        self, segment: int, segments: int, since: str | None, decode: Callable[[bytes], Decoded]
    ) -> tuple[Decoded, datetime]:
        """The Scan page after the token `since`, decoded, and when it was requested."""
        return self._scanner.page(segment, segments, since, decode)

    @property
    def retention(self) -> Retention:
        """How long the stream's records can be read."""
        return RETENTION

    @property
    def images(self) -> bool:
        """Whether the stream's records have the items as they are after each change."""
        return self._described_stream().images

    @property
    def by_time(self) -> bool:
        """A stream has the changes of each item in their order."""
        return False

    def listing(self) -> Listing:
        """Every shard that the stream lists now."""
        return self._described_stream().listing()

    def children(self, shard: str) -> list[Shard]:
        """The children of a shard, as far as they are listed yet."""
        return self._described_stream().children(shard)

    @property
    def while_loading(self) -> bool:
        """A stream is read beside the scan, since its records may not outlast that."""
        return True

    def beginning(self, shard: Shard, planned_at: datetime, past: Past | None) -> Cursor:
        """The beginning of a shard: records that are trimmed before they are read are older."""
        return Cursor(seen_at=planned_at, parent=shard.parent)

    def read(self, shard: Shard, since: Cursor) -> ChangePage:
        """The next page of a shard."""
        return self._described_stream().read(shard, since)

    def items(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """Items by key, read consistently."""
        if self._identity is None:
            self.describe()
        assert self._identity is not None
        return self._lookups.items(keys, self._identity.keys)

    def now(self) -> datetime:
        """The source's own time."""
        return self._clock.now()

    def _described_stream(self) -> Stream:
        if self._stream is None:
            self.describe()
        assert self._stream is not None
        return self._stream
