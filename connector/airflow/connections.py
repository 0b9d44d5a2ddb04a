"""Airflow connections as the connector's own configuration: `aws`, `duckdb` and `postgres`."""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from airflow.sdk import BaseHook

from connector import config as configuration
from connector.config import Config, Source
from connector.errors import ConfigError

log = logging.getLogger("connector.airflow")

_LIBPQ = ("sslmode", "sslrootcert", "sslcert", "sslkey", "connect_timeout", "application_name")
_OURS = ("profile", "role_arn", "external_id")


@dataclass(frozen=True)
class Access:
    """A configuration with the connections laid over it, and the credentials to read with."""

    config: Config
    credentials: Any = None


def open_access(
    config_file: str, aws_conn_id: str | None = None, destination_conn_id: str | None = None
) -> Access:
    """Reads the file and the connections; a connection wins over what the file says."""
    to = destination_url(destination_conn_id) if destination_conn_id else None
    config = configuration.load(Path(config_file), to=to)
    if not aws_conn_id:
        return Access(config)
    said, credentials = _aws(aws_conn_id, config.source)
    # As flags, so that an endpoint of a connection must be as safe as one of the file.
    return Access(configuration.load(Path(config_file), to=to, overrides=said), credentials)


def _aws(conn_id: str, source: Source) -> tuple[dict[str, object], Any]:
    from airflow.providers.amazon.aws.hooks.base_aws import AwsGenericHook

    # Asked here as well, because the hook would quietly go on without a connection.
    region = BaseHook.get_connection(conn_id).extra_dejson.get("region_name") or source.region
    hook: Any = AwsGenericHook(aws_conn_id=conn_id, region_name=region, client_type="dynamodb")
    session = hook.get_session()
    unused = [name for name in _OURS if getattr(source, name)]
    if unused:
        log.info(
            "source.%s is not used: the connection %s gives the credentials",
            ", source.".join(unused),
            conn_id,
        )
    said = {
        "source.region": region or session.region_name,
        "source.endpoint_url": hook.conn_config.get_service_endpoint_url("dynamodb"),
        "source.streams_endpoint_url": hook.conn_config.get_service_endpoint_url("dynamodbstreams"),
    }
    return said, session.get_credentials()


def destination_url(conn_id: str) -> str:
    """The destination that a connection of the type `duckdb` or `postgres` stands for."""
    connection = BaseHook.get_connection(conn_id)
    if connection.conn_type == "duckdb":
        file = connection.extra_dejson.get("database") or connection.host
        if not file:
            raise ConfigError(
                f"The connection {conn_id} names no DuckDB file.",
                "Set its host to an absolute path: a table in memory is gone with its task.",
            )
        return f"duckdb:///{file}"
    if connection.conn_type == "postgres":
        return _postgres_url(conn_id)
    raise ConfigError(
        f"The connection {conn_id} is of the type {connection.conn_type}.",
        "A destination is a connection of the type duckdb or postgres.",
    )


def _postgres_url(conn_id: str) -> str:
    from airflow.providers.postgres.hooks.postgres import PostgresHook

    hook: Any = PostgresHook(postgres_conn_id=conn_id)
    extra = BaseHook.get_connection(conn_id).extra_dejson
    said = {name: str(extra[name]) for name in _LIBPQ if name in extra}
    url = hook.sqlalchemy_url.set(drivername="postgresql")
    if url.host and url.host.startswith("/"):
        # The folder of a Unix socket would end the url's host.
        said["host"] = url.host
        url = url.set(host="")
    url = url.update_query_dict(said)
    text: str = url.render_as_string(hide_password=False)
    return text
