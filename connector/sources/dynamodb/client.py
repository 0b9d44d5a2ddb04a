"""Read-only boto3 clients that return large answers as bytes."""

from collections.abc import Callable
from collections.abc import Set as AbstractSet
from concurrent.futures import Future
from dataclasses import dataclass, replace
from functools import partial
from threading import Lock
from typing import Any

import boto3
from botocore.config import Config
from botocore.parsers import JSONParser, ResponseParser, ResponseParserFactory

from connector.config.model import SourceConfig
from connector.config.urls import check_endpoint, region_of
from connector.errors import ConfigError
from connector.sources.dynamodb.login.session import log_in
from connector.sources.dynamodb.login.surroundings import (
    TABLE_SERVICES,
    check_endpoints,
    known_region,
)
from connector.stop import MACHINE, Clock

READ_ONLY = frozenset(
    (
        "DescribeTable",
        "Scan",
        "BatchGetItem",
        "DescribeStream",
        "GetShardIterator",
        "GetRecords",
    )
)
"""Every operation that these clients always may call. None of them changes anything."""

FOR_KINESIS = frozenset(("DescribeKinesisStreamingDestination",))
"""What they may call as well for a table that is followed by a Kinesis stream."""

KINESIS_READ_ONLY = frozenset(
    ("DescribeStreamSummary", "ListShards", "GetShardIterator", "GetRecords")
)
"""Every operation that a client of Kinesis may call."""

FRESH_SECONDS = 60.0
"""How long clients are given to further tables: a file may hold other credentials by then."""

_RAW_ANSWERS = frozenset(("ScanOutput", "GetRecordsOutput", "BatchGetItemOutput"))


class _RawJSONParser(JSONParser):
    """Passes the bodies of large answers on as bytes; botocore's own parsing takes 30 times longer.

    Errors and small answers are parsed as usual.
    """

    def _do_parse(self, response: dict[str, Any], shape: Any) -> dict[str, Any]:
        if shape is not None and shape.name in _RAW_ANSWERS:
            return {"Body": response["body"], "ResponseMetadata": {}}
        try:
            parsed: dict[str, Any] = super()._do_parse(response, shape)  # type: ignore[misc]
        except (AttributeError, KeyError, TypeError, ValueError):
            # JSON of an unexpected shape: it is refused later, since its members are missing.
            return {"ResponseMetadata": {}}
        return parsed

    def _parse_body_as_json(self, body_contents: bytes) -> dict[str, Any]:
        try:
            parsed = super()._parse_body_as_json(body_contents)  # type: ignore[misc]
        except ValueError:
            return {}
        return parsed if isinstance(parsed, dict) else {}


class _RawParserFactory(ResponseParserFactory):
    def create_parser(self, protocol_name: str) -> ResponseParser:
        return _RawJSONParser() if protocol_name == "json" else super().create_parser(protocol_name)


@dataclass(frozen=True)
class Clients:
    """One client for the table and one for its stream, since they have different endpoints."""

    dynamodb: Any
    streams: Any
    kinesis: Callable[[], Any]
    """A client of Kinesis, made when it is first asked for."""
    credentials: Any = None
    """Those of a host program's session, if they were opened with any."""


def open_clients(
    source: SourceConfig,
    readers: int = 16,
    credentials: Any = None,
    besides: frozenset[str] = frozenset(),
) -> Clients:
    """Clients for `source`; botocore's own chain supplies what it leaves out.

    `credentials` from a session that a host program has opened replace those of `source`. What the
    configuration asks for may be called `besides` READ_ONLY.
    """
    login = log_in(source, credentials)
    try:
        allowed = READ_ONLY | besides
        opened = _clients(source, login.session, login.region, readers, allowed)
        return replace(opened, credentials=credentials)
    except Exception as error:
        raise login.refusal(error) from None


class SharedClients:
    """The clients of all tables of a run: to log in and to make them takes longer than most calls.

    Safe to use from several threads. They hold connections, which a fork must not use.
    """

    def __init__(
        self,
        source: SourceConfig,
        readers: int = 16,
        credentials: Any = None,
        clock: Clock = MACHINE,
        besides: frozenset[str] = frozenset(),
    ) -> None:
        self._source = source
        self._open = partial(
            open_clients, readers=readers, credentials=credentials, besides=besides
        )
        self._clock = clock
        self._lock = Lock()
        self._made: dict[str | None, tuple[Future[Clients], float]] = {}

    def get(self, region: str | None = None) -> Clients:
        """Clients for a Region, by default the source's own, that were opened not long ago.

        Raises what `open_clients` raises, to all who wait for the same.
        """
        now = self._clock.monotonic()
        source = self._source.at(region)
        with self._lock:
            made, made_at = self._made.get(source.region, (None, 0.0))
            if made is not None and made_at >= now - FRESH_SECONDS:
                mine = False
            else:
                mine, made = True, Future()
                self._made[source.region] = made, now
        if mine:
            self._make(made, source)
        return made.result()

    def forget(self, before: float) -> None:
        """Lets nobody else have what was opened before a moment: it may be why a table failed."""
        with self._lock:
            self._made = {where: each for where, each in self._made.items() if each[1] >= before}

    def _make(self, made: "Future[Clients]", source: SourceConfig) -> None:
        try:
            made.set_result(self._open(source))
        except BaseException as error:
            with self._lock:
                if self._made.get(source.region, (None,))[0] is made:
                    del self._made[source.region]
            made.set_exception(error)


def _clients(
    source: SourceConfig, session: Any, region: str, readers: int, known: frozenset[str]
) -> Clients:
    session.register_component("response_parser_factory", _RawParserFactory())
    given = (source.endpoint_url, source.streams_endpoint_url or source.endpoint_url)
    elsewhere = [each for each, url in zip(TABLE_SERVICES, given, strict=True) if url is None]
    check_endpoints(session, elsewhere, source.allow_http)
    # Retries are done in calls.py, which has a deadline and knows what a wrong body means.
    config = Config(
        retries={"mode": "standard", "total_max_attempts": 1},
        connect_timeout=source.connect_timeout,
        read_timeout=source.read_timeout,
        max_pool_connections=max(10, readers),
        tcp_keepalive=True,
        user_agent_extra="connector",
        # botocore would refuse the short sequence numbers of DynamoDB Local.
        parameter_validation=False,
    )
    boto: Any = boto3.Session(botocore_session=session)
    allowed = set(known)

    def opened(service: str, url: str | None, operations: AbstractSet[str]) -> Any:
        client = boto.client(service, endpoint_url=url, config=config)
        # Only for these clients: those used to log in call other operations.
        client.meta.events.register("before-call", partial(_refuse_others, operations))
        check_endpoint(client.meta.endpoint_url, allow_http=source.allow_http)
        known_region(session, region, client.meta.endpoint_url)
        if source.regions:
            _refuse_other_region(region, client.meta.endpoint_url)
        return client

    def open_kinesis() -> Any:
        url = source.kinesis_endpoint_url or source.endpoint_url
        check_endpoints(session, ["kinesis"] if url is None else [], source.allow_http)
        allowed.update(FOR_KINESIS)
        return opened("kinesis", url, KINESIS_READ_ONLY)

    dynamodb = opened("dynamodb", given[0], allowed)
    return Clients(dynamodb, opened("dynamodbstreams", given[1], allowed), _once(open_kinesis))


def _once(make: Callable[[], Any]) -> Callable[[], Any]:
    """Makes something when it is first asked for, by whichever thread."""
    lock = Lock()
    made: list[Any] = []

    def get() -> Any:
        with lock:
            if not made:
                made.append(make())
            return made[0]

    return get


def _refuse_other_region(region: str, endpoint: str) -> None:
    other = region_of(endpoint)
    if other not in (None, region):
        raise ConfigError(
            f"{endpoint} is an endpoint of {other}, through which {region} cannot be read.",
            "Unset AWS_ENDPOINT_URL_DYNAMODB, AWS_ENDPOINT_URL_DYNAMODB_STREAMS and whatever else "
            "sets it: each Region has an endpoint of its own.",
        )


def _refuse_others(allowed: AbstractSet[str], model: Any, **_: Any) -> None:
    if model.name not in allowed:
        raise PermissionError(f"The connector never calls {model.name}.")
