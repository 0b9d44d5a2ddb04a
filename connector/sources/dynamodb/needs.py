"""What a run needs from AWS: each operation is tried once, with as little cost as possible."""

import os
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

from connector.config.model import SourceConfig
from connector.config.urls import AWS_HOSTS
from connector.core.keys import KeySchema
from connector.core.needs import Need, tried, tried_after
from connector.core.state import Identity
from connector.core.words import counted
from connector.errors import ConnectorError, SourceRefused, Unreachable, no_stream
from connector.items.wire import scan_page
from connector.ports import GlobalTable
from connector.sources.dynamodb.calls import Caller, SourceClock, body, error_code, member
from connector.sources.dynamodb.client import Clients, SharedClients
from connector.sources.dynamodb.identity import caller
from connector.sources.dynamodb.lookups import got_body
from connector.sources.dynamodb.refused.denied import DENIED
from connector.sources.dynamodb.streams import records_body
from connector.sources.dynamodb.table import (
    WITHOUT_IMAGES,
    fetch,
    global_table,
    key_schema,
    refuse_replica,
    refuse_status,
    refuse_stream,
    replicas_text,
)

PATIENCE = 10.0
"""Seconds to retry each operation: a check should report, not wait."""
_SEGMENTS = 1_000_000
DESCRIBED = "DescribeTable"
"""The first need of a table, on which most others depend."""
_FOR_VERIFY = "needed for verify"


class Trial:
    """Tries the needs of one table, and of its stream if that is read.

    A `spare` one is in a Region in which the table is not read now. `keys` and `ahead` are known
    once the needs were tried.
    """

    def __init__(
        self,
        config: SourceConfig,
        table: str,
        sleep: Callable[[float], None],
        shared: SharedClients | None = None,
        streamed: bool = True,
        scanned: bool = True,
        by_key: bool = False,
        spare: bool = False,
    ) -> None:
        self._config = config
        self._spare = spare
        self._scanned = scanned
        self._by_key = by_key
        self._streamed = streamed
        self._table = table
        self._name = config.name_of(table)
        self._shared = shared or SharedClients(config)
        self._clock = SourceClock()
        patience = min(config.retry_seconds, PATIENCE)
        self._call = Caller(patience, self._clock, sleep, table=table)
        self._clients: Clients | None = None
        self._described: dict[str, Any] = {}
        self._shards: list[dict[str, Any]] = []
        self._iterator = ""

    @property
    def keys(self) -> KeySchema | None:
        """The key of the table, once AWS has described it."""
        return key_schema(self._described) if self._described else None

    @property
    def arn(self) -> str:
        """The ARN of the table, once AWS has described it."""
        return str(self._described.get("TableArn") or "")

    @property
    def identity(self) -> Identity:
        """The table, without its stream, once AWS has described it."""
        return Identity(
            self.arn, str(self._described.get("TableId") or ""), "", "", self.keys or ()
        )

    @property
    def images(self) -> bool:
        """Whether its stream has items as they are after a change, once AWS has described it."""
        stream = self._described.get("StreamSpecification") or {}
        return stream.get("StreamViewType") not in WITHOUT_IMAGES

    @property
    def group(self) -> GlobalTable | None:
        """The global table that it is a replica of, once AWS has described it."""
        return global_table(self._described)

    @property
    def region(self) -> str:
        """The Region that is asked."""
        return str(self._open.dynamodb.meta.region_name)

    @property
    def ahead(self) -> float | None:
        """How many seconds this machine's clock is ahead of AWS's, if AWS has answered."""
        return self._clock.ahead

    def needs(self) -> Iterator[Need]:
        """Each need, in the order of a run; those that depend on an unmet one are not tried."""
        described = tried(DESCRIBED, self._describe, self._table)
        yield described
        status = tried_after(described, "table status", self._status)
        yield status
        if self.group is not None or self._config.regions:
            yield tried_after(described, "replicas", self._replicas)
        if not self._streamed:
            yield self._scan_need(described, status)
        else:
            yield from self._stream_needs(described, status)
        by_key = tried_after(status, "BatchGetItem", self._batch_get_item)
        yield by_key if self._looks_up else _for_verify(by_key)

    @property
    def _looks_up(self) -> bool:
        view = (self._described.get("StreamSpecification") or {}).get("StreamViewType")
        return self._by_key or (self._streamed and view in WITHOUT_IMAGES)

    def _stream_needs(self, described: Need, status: Need) -> Iterator[Need]:
        stream = tried_after(described, "stream", self._stream)
        yield stream
        yield self._scan_need(described, status)
        # A stream with another view type exists, so it may still be read.
        readable = stream if status.error is None and not self._stream_arn else status
        listed = tried_after(readable, "DescribeStream", self._describe_stream)
        yield listed
        opened = tried_after(listed, "GetShardIterator", self._get_shard_iterator)
        yield opened
        yield tried_after(opened, "GetRecords", self._get_records)

    def _scan_need(self, described: Need, status: Need) -> Need:
        need = self._tried_scan(described, status)
        return need if self._scanned else _for_verify(need)

    def _tried_scan(self, described: Need, status: Need) -> Need:
        # Someone who may not describe the table may still be allowed to scan it.
        denied = described.error is not None and error_code(described.error) in DENIED
        if denied:
            return tried("Scan", self._scan, self._table)
        return tried_after(described if described.error else status, "Scan", self._scan)

    @property
    def _open(self) -> Clients:
        if self._clients is None:
            self._clients = self._shared.get(self._config.region)
        return self._clients

    @property
    def _stream_arn(self) -> str:
        return str(self._described.get("LatestStreamArn") or "")

    def _describe(self) -> str:
        table = self._described = fetch(
            self._call, self._open.dynamodb, self._name, len(self._config.choices) > 1
        )
        keys = ", ".join(f"{key.name} {key.tag}" for key in key_schema(table))
        items, size = int(table.get("ItemCount", 0)), int(table.get("TableSizeBytes", 0))
        return f"key {keys}; about {counted(items, 'item')}, {size / 1e6:,.1f} MB"

    def _status(self) -> str:
        refuse_status(self._table, self._described)
        return str(self._described["TableStatus"])

    def _replicas(self) -> str:
        if self.group is None:
            return f"not a global table, so it can be read in {self.region} alone"
        for region in self._config.choices:
            if region != self.region:
                refuse_replica(self._name, self.group, region)
        role = "can be read" if self._spare else "read"
        return f"{role} in {replicas_text(self.group, self.region)}"

    def _stream(self) -> str:
        region = self.region if self.group else ""
        refuse_stream(self._name, self._described, region)
        stream = self._described.get("StreamSpecification") or {}
        if not stream.get("StreamEnabled"):
            raise no_stream(self._name, region)
        view = stream.get("StreamViewType")
        if view in WITHOUT_IMAGES:
            return f"enabled, {view}: items that change are looked up"
        return f"enabled, {view}"

    def _scan(self) -> str:
        # At most one item, of one of a million segments: this costs next to nothing.
        self._call(
            self._open.dynamodb.scan,
            lambda answer: scan_page(body(answer)),
            TableName=self._name,
            Segment=0,
            TotalSegments=_SEGMENTS,
            Limit=1,
            ConsistentRead=self._config.consistent_read,
        )
        return "allowed"

    def _describe_stream(self) -> str:
        try:
            found = self._call(
                self._open.streams.describe_stream,
                member("StreamDescription"),
                StreamArn=self._stream_arn,
            )
        except ConnectorError as error:
            if error_code(error) != "ResourceNotFoundException":
                raise
            raise SourceRefused(
                f"{self._open.streams.meta.endpoint_url} does not have the stream of the table "
                f"{self._table}.",
                "Set source.streams_endpoint_url to the endpoint of the same account and Region, "
                "or enable the stream again if it was off for more than a day.",
            ) from error
        self._shards = found.get("Shards") or []
        more = " and more" if found.get("LastEvaluatedShardId") else ""
        return f"allowed; {found.get('StreamStatus')}, shards listed: {len(self._shards)}{more}"

    def _get_shard_iterator(self) -> str:
        if not self._shards:
            raise Unreachable(
                f"The stream of {self._table} lists no shard yet.", "Run the same command later."
            )
        is_open = [each for each in self._shards if not _ending(each)]
        shard = (is_open or self._shards)[-1]
        self._iterator = self._call(
            self._open.streams.get_shard_iterator,
            member("ShardIterator"),
            StreamArn=self._stream_arn,
            ShardId=shard["ShardId"],
            ShardIteratorType="TRIM_HORIZON",
        )
        return "allowed"

    def _get_records(self) -> str:
        # From the horizon, so that a record is decrypted, which tries the table's KMS key.
        self._call(
            self._open.streams.get_records, records_body, ShardIterator=self._iterator, Limit=1
        )
        return "allowed"

    def _batch_get_item(self) -> str:
        key = {each.name: _nobodys(each.tag) for each in self.keys or ()}
        self._call(
            self._open.dynamodb.batch_get_item,
            got_body,
            RequestItems={self._name: {"Keys": [key], "ConsistentRead": True}},
        )
        return "allowed"


def _ending(shard: dict[str, Any]) -> Any:
    return (shard.get("SequenceNumberRange") or {}).get("EndingSequenceNumber")


def _nobodys(tag: str) -> dict[str, Any]:
    """A key part that no item has."""
    unique = uuid4()
    values = {"S": unique.hex, "N": str(-unique.int >> 16), "B": unique.bytes}
    return {tag: values[tag]}


def _for_verify(need: Need) -> Need:
    """The same need, marked as needed only by `verify`."""
    if need.error is None or not need.tried:
        return Need(need.check, f"{need.detail}; {_FOR_VERIFY}", need.table, need.error, need.tried)
    hint = f"Only `connector verify` needs it. {need.error.hint}"
    error = type(need.error)(need.error.message, hint)
    return Need(need.check, f"{_FOR_VERIFY}: {need.detail}", need.table, error)


def identity(config: SourceConfig, shared: SharedClients, credentials: Any = None) -> Need:
    """The identity that AWS sees, which needs no permission; it is asked of AWS only."""
    return tried("identity", lambda: _identity(config, shared.get(), credentials))


def _identity(config: SourceConfig, clients: Clients, credentials: Any) -> str:
    region, endpoint = clients.dynamodb.meta.region_name, clients.dynamodb.meta.endpoint_url
    host = urlsplit(endpoint).hostname or ""
    given = any(os.environ.get(name) for name in ("AWS_ENDPOINT_URL_STS", "AWS_ENDPOINT_URL"))
    if not host.endswith(AWS_HOSTS) and not given:
        return f"not asked: {endpoint} is not AWS; Region {region}"
    try:
        found = caller(config, credentials)
    except Unreachable as error:
        # STS is not reachable from every network, and nothing else needs it.
        return f"could not be determined: {error.message} Region {region}"
    return f"{found.arn}, account {found.account}, Region {found.region}"
