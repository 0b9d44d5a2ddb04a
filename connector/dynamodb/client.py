"""boto3 clients for reading only, whose large answers arrive as bytes."""

import logging
import os
from dataclasses import dataclass
from typing import Any

import boto3
import botocore.session
from botocore.config import Config
from botocore.credentials import (
    AssumeRoleCredentialFetcher,
    CredentialProvider,
    CredentialResolver,
    DeferredRefreshableCredentials,
)
from botocore.exceptions import BotoCoreError
from botocore.loaders import Loader
from botocore.parsers import JSONParser, ResponseParser, ResponseParserFactory

from connector.config import Source
from connector.config_url import check_endpoint
from connector.dynamodb.calls import translate

READ_ONLY = frozenset(
    (
        "DescribeTable",
        "Scan",
        "BatchGetItem",
        "DescribeStream",
        "GetShardIterator",
        "GetRecords",
        "AssumeRole",
    )
)
"""Every operation these clients may call. None of them changes anything."""

_RAW_ANSWERS = frozenset(("ScanOutput", "GetRecordsOutput", "BatchGetItemOutput"))


# Botocore's descriptions of services, looked for and read once: it takes most of the time of making
# a client, and a session would do it anew. Botocore's own clients of one session share theirs, too.
_loader = Loader()


class _RawJSONParser(JSONParser):
    """Hands the bodies of large answers on as bytes; botocore's own parsing takes 30 times longer.

    Errors and small answers are parsed as usual.
    """

    def _do_parse(self, response: dict[str, Any], shape: Any) -> dict[str, Any]:
        if shape is not None and shape.name in _RAW_ANSWERS:
            return {"Body": response["body"], "ResponseMetadata": {}}
        try:
            parsed: dict[str, Any] = super()._do_parse(response, shape)  # type: ignore[misc]
        except (AttributeError, KeyError, TypeError, ValueError):
            # JSON of another shape than the answer's: to be refused as an answer without members.
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
    """One client for the table and one for its stream: they have endpoints of their own."""

    dynamodb: Any
    streams: Any


def open_clients(source: Source, readers: int = 16, credentials: Any = None) -> Clients:
    """Clients for `source`; boto3's own chain fills in what it leaves out.

    `credentials` of a session that a host program has opened replace those of `source`.
    """
    _quiet_loggers()
    try:
        clients = _clients(source, readers, credentials)
    except BotoCoreError as error:
        raise translate(error) from error
    for client in (clients.dynamodb, clients.streams):
        # Endpoints also come from AWS_ENDPOINT_URL_DYNAMODB and from profiles.
        check_endpoint(client.meta.endpoint_url, allow_http=source.allow_http)
    return clients


def _clients(source: Source, readers: int, credentials: Any) -> Clients:
    session = _session(source) if credentials is None else _session_with(credentials)
    session.register_component("response_parser_factory", _RawParserFactory())
    session.register("before-call", _refuse_writes)
    if session.get_config_variable("data_path") is None:
        session.register_component("data_loader", _loader)
    # Retries are ours (see calls.py): they know a deadline and what a wrong body means.
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
    # boto3 reads AWS_DEFAULT_REGION only; AWS_REGION is what every other AWS tool reads.
    region = source.region or os.environ.get("AWS_REGION")
    boto = boto3.Session(botocore_session=session, region_name=region)
    return Clients(
        dynamodb=boto.client("dynamodb", endpoint_url=source.endpoint_url, config=config),
        streams=boto.client(
            "dynamodbstreams",
            endpoint_url=source.streams_endpoint_url or source.endpoint_url,
            config=config,
        ),
    )


def _session(source: Source) -> Any:
    session = botocore.session.Session(profile=source.profile)
    if not source.role_arn:
        return session
    # Credentials of a role expire within hours; a scan may take longer, so they renew themselves.
    extra = {"RoleSessionName": "connector"}
    if source.external_id:
        extra["ExternalId"] = source.external_id
    fetcher = AssumeRoleCredentialFetcher(
        client_creator=session.create_client,
        source_credentials=session.get_credentials(),
        role_arn=source.role_arn,
        extra_args=extra,
    )
    return _session_with(
        DeferredRefreshableCredentials(
            method="assume-role", refresh_using=fetcher.fetch_credentials
        ),
        source.profile,
    )


def _session_with(credentials: Any, profile: str | None = None) -> Any:
    session = botocore.session.Session(profile=profile)
    session.register_component("credential_provider", CredentialResolver([_Fixed(credentials)]))
    return session


class _Fixed(CredentialProvider):
    """A credential provider that always has the same, self-renewing credentials."""

    METHOD = "connector-fixed"
    CANONICAL_NAME = None

    def __init__(self, credentials: Any) -> None:
        super().__init__()
        self._credentials = credentials

    def load(self) -> Any:
        return self._credentials


def _refuse_writes(model: Any, **_: Any) -> None:
    if model.name not in READ_ONLY:
        raise PermissionError(f"The connector never calls {model.name}.")


def _quiet_loggers() -> None:
    # At DEBUG these print session tokens and whole items, whatever the host program asked for.
    for name in ("botocore", "boto3", "urllib3"):
        logger = logging.getLogger(name)
        if logger.getEffectiveLevel() < logging.INFO:
            logger.setLevel(logging.INFO)
