"""The scripted service: tables, streams, faults and calls behind one address."""

import json
import threading
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Self

from botocore.client import BaseClient
from botocore.config import Config
from botocore.session import Session

from .backups import Backups
from .calls import Call, Calls
from .clock import MORNING, VirtualClock
from .errors import ServiceError, invalid, missing_stream, missing_table, unknown_operation
from .faults import Faults
from .items import KeySchema
from .kinesis import KinesisStream
from .operations import OPERATIONS, shard_of
from .prerendered import PrerenderedTable
from .reading import Iterator
from .responses import Response
from .scan import detour
from .server import HttpServer
from .shards import SequenceNumbers
from .stream import Stream
from .table import Table

# One session for all rigs: it caches the service models, which take long to read.
SESSION = Session()


class ScriptedDynamoDB:
    """DynamoDB and DynamoDB Streams, steered by the test that started them."""

    def __init__(
        self,
        clock: VirtualClock | None = None,
        region: str = "us-west-2",
        account: str = "000000000000",
        numbers: SequenceNumbers | None = None,
        port: int = 0,
    ) -> None:
        self.clock = clock or VirtualClock()
        self.region = self._first_region = region
        self.account = account
        self.numbers = numbers or SequenceNumbers()
        self.lock = threading.RLock()
        self.tables: dict[str, Table | PrerenderedTable] = {}
        self.deleted: list[Table] = []
        self.kinesis: dict[str, KinesisStream] = {}
        self.faults = Faults()
        self.calls = Calls()
        self.regions: dict[str, ScriptedDynamoDB] = {}
        """The other Regions behind the same address; one that is not here is this one, too."""
        self.backups = Backups()
        self.admits: Callable[[str], ServiceError | None] = lambda key: None
        """Why a call that this access key has signed is refused, if it is."""
        self._server = HttpServer(self.answer, self.clock, port)
        self._clients: list[BaseClient] = []

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for client in self._clients:
            client.close()
        self._server.stop()

    def reset(self) -> None:
        """Forgets every table, fault and call, and sets the clock back to its morning."""
        with self.lock:
            self.regions.clear()
            self.region = self._first_region
            self.tables.clear()
            self.deleted.clear()
            self.kinesis.clear()
            self.faults.reset()
            self.calls.clear()
            self.backups = Backups()
            self.numbers = SequenceNumbers()
            self.clock.set(MORNING)

    def add_region(self, region: str) -> "ScriptedDynamoDB":
        """Another Region: requests that are signed for it see its tables, faults and calls."""
        added = ScriptedDynamoDB(self.clock, region, self.account)
        added.lock, added._server = self.lock, self._server
        self.regions[region] = added
        return added

    @property
    def url(self) -> str:
        """The endpoint of both DynamoDB and DynamoDB Streams."""
        return self._server.url

    def client(self, service: str = "dynamodb", **config: Any) -> BaseClient:
        """A real botocore client, without retries unless the config says otherwise."""
        client = connect(self.url, service, self.region, **config)
        self._clients.append(client)
        return client

    def create_table(
        self,
        name: str,
        schema: KeySchema,
        *,
        view: str | None = "NEW_AND_OLD_IMAGES",
        shards: int = 1,
        billing: str = "PAY_PER_REQUEST",
    ) -> Table:
        """A new table, with a stream unless `view` is None."""
        with self.lock:
            if name in self.tables:
                raise ServiceError("ResourceInUseException", f"Table already exists: {name}")
            table = Table(
                name=name,
                schema=schema,
                region=self.region,
                account=self.account,
                clock=self.clock,
                numbers=self.numbers,
                lock=self.lock,
                first_shards=shards,
                billing=billing,
                created_at=self.clock.now(),
                # Labels go on from a deleted namesake's, so that no two streams share an ARN.
                earlier=sum(len(each.streams) for each in self.deleted if each.name == name),
            )
            if view is not None:
                table.enable_stream(view)
            self.tables[name] = table
            return table

    def add_kinesis(self, table: str, name: str = "", *, shards: int = 1) -> KinesisStream:
        """A Kinesis stream that a table sends its changes to from now on."""
        with self.lock:
            arn = f"arn:aws:kinesis:{self.region}:{self.account}:stream/{name or table}"
            stream = KinesisStream(
                arn=arn,
                table=table,
                region=self.region,
                clock=self.clock,
                lock=self.lock,
                created_at=self.clock.now(),
            )
            stream.open_first(shards)
            self.kinesis[arn] = stream
            found = self.table(table)
            if isinstance(found, Table):
                found.kinesis = stream
            return stream

    def kinesis_stream(self, arn: str) -> KinesisStream:
        """The Kinesis stream with this ARN."""
        if arn not in self.kinesis:
            name = arn.rpartition("/")[2]
            raise ServiceError("ResourceNotFoundException", f"Stream {name} not found.")
        return self.kinesis[arn]

    def add_prerendered(self, table: PrerenderedTable) -> PrerenderedTable:
        """Serves a table made for load tests; `table.changes` is its stream."""
        model = Table(
            name=table.name,
            schema=table.schema,
            region=self.region,
            account=self.account,
            clock=self.clock,
            numbers=self.numbers,
            lock=self.lock,
            created_at=self.clock.now(),
        )
        table.changes = model.enable_stream()
        self.tables[table.name] = table
        return table

    def delete_table(self, name: str) -> Table:
        """Deletes a table; its streams stay readable for 24 hours."""
        with self.lock:
            table = self.model(name)
            if table.streaming:
                table.disable_stream()
            del self.tables[name]
            self.deleted.append(table)
            return table

    def table(self, name: str) -> Table | PrerenderedTable:
        """The table with this name or ARN."""
        name = name.rpartition(":table/")[2]
        if name not in self.tables:
            raise missing_table(name)
        return self.tables[name]

    def model(self, name: str) -> Table:
        """The model table with this name, which can be written to."""
        table = self.table(name)
        if not isinstance(table, Table):
            raise invalid(f"{name} is rendered already and cannot be written to")
        return table

    @property
    def streams(self) -> dict[str, Stream]:
        """Every stream there ever was, by its ARN."""
        return {
            stream.arn: stream
            for table in [*self.tables.values(), *self.deleted]
            for stream in table.streams
        }

    def stream(self, arn: str) -> Stream:
        """The stream with this ARN, unless nothing is left of it."""
        stream = self.streams.get(arn)
        if stream is None or stream.gone():
            raise missing_stream(arn)
        return stream

    def answer(self, target: str, body: bytes, key: str = "", region: str = "") -> Response:
        """The answer to one request, which `key` has signed for a Region."""
        if region in self.regions:
            return self.regions[region].answer(target, body, key)
        name = target.rpartition(".")[2]
        try:
            parameters = json.loads(body)
        except ValueError:
            parameters = None
        if not isinstance(parameters, dict):
            return Response.failed(ServiceError("SerializationException", "Not a JSON object"))
        shard = shard_of(name, parameters)
        with self.calls.recorded(name, parameters, self.clock.now(), shard, key) as call:
            refused = self.admits(key)
            answer = (
                Response.failed(refused)
                if refused
                else self.faults.answer(
                    call,
                    normal=lambda: self._normal(target, parameters),
                    empty=lambda: self._empty(call),
                    wait=self._server.wait,
                )
            )
            call.status, call.error = answer.status, answer.error
            if self.calls.keep_answers:
                call.answer = answer
            return answer

    def _normal(self, target: str, parameters: Mapping[str, Any]) -> Response:
        operation = OPERATIONS.get(target)
        try:
            if operation is None:
                raise unknown_operation(target)
            with self.lock:
                self._settle()
                return operation(self, parameters)
        except ServiceError as error:
            return Response.failed(error)
        except KeyError as error:
            return Response.failed(invalid(f"The parameter {error} is missing"))

    def _settle(self) -> None:
        for table in self.tables.values():
            if isinstance(table, Table) and table.group is not None:
                table.group.settle()

    def _empty(self, call: Call) -> Response:
        try:
            with self.lock:
                return self._empty_page(call)
        except ServiceError as error:
            return Response.failed(error)

    def _empty_page(self, call: Call) -> Response:
        if call.operation == "GetRecords":
            old = Iterator.parse(call.parameters["ShardIterator"])
            again = Iterator(old.arn, old.shard, old.start, self.clock.now())
            page: dict[str, Any] = {"Records": [], "NextShardIterator": again.token()}
            if old.arn in self.kinesis:
                page["MillisBehindLatest"] = 1000
            return Response.of(page)
        if call.operation != "Scan":
            raise ValueError(f"{call.operation} has no pages")
        table = self.table(call.parameters["TableName"])
        if isinstance(table, PrerenderedTable):
            return table.empty(call.parameters)
        return Response(detour(table, call.parameters))


def connect(
    url: str, service: str = "dynamodb", region: str = "us-west-2", **config: Any
) -> BaseClient:
    """A botocore client for any local endpoint, without retries unless the config says so."""
    return SESSION.create_client(
        service,
        region_name=region,
        endpoint_url=url,
        aws_access_key_id="test",
        aws_secret_access_key="test",
        config=Config(**{"retries": {"total_max_attempts": 1}, **config}),
    )
