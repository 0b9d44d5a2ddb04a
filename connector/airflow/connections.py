"""Airflow connections as the connector's own configuration: `aws`, `duckdb` and `postgres`."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from connector.airflow.credentials import open_session
from connector.airflow.found import extra_of, find, opening
from connector.config.loading import load_each
from connector.config.model import Config
from connector.config.postgres.options import OPTIONS
from connector.config.postgres.url import PostgresUrl
from connector.config.urls import DestinationUrl
from connector.errors import ConfigError

log = logging.getLogger("connector.airflow")

_OURS = ("profile", "role_arn", "external_id")
_KINDS = ("duckdb", "postgres")


@dataclass(frozen=True)
class Access:
    """A configuration with the connections laid over it, and the credentials to read with."""

    config: Config
    credentials: Any = None


def open_access(
    config_file: str,
    aws_conn_id: str | None = None,
    destination_conn_id: str | None = None,
    table: str | None = None,
) -> Access:
    """Reads the file and the connections; a connection wins over what the file says.

    A mistake in the section of another table than `table` is passed over. Raises the errors of the
    command line: ConfigError, SourceRefused and Unreachable.
    """
    to = destination_url(destination_conn_id) if destination_conn_id else None
    said_by = f"The connection {destination_conn_id}" if destination_conn_id else None
    config = _config_for(table, config_file, to, said_by)
    if not aws_conn_id:
        return Access(config)
    said, credentials = open_session(aws_conn_id, config.source.region)
    _tell_unused(aws_conn_id, config)
    # As flags, so that an endpoint of a connection must be as safe as one of the file.
    config = _config_for(table, config_file, to, f"The connection {aws_conn_id}", said)
    return Access(config, credentials)


def _config_for(
    table: str | None,
    file: str,
    to: str | None,
    said_by: str | None,
    said: Mapping[str, object] = MappingProxyType({}),
) -> Config:
    config, wrong = load_each(Path(file), to=to, overrides=said, said_by=said_by)
    for name in wrong:
        if table in (None, name):
            raise wrong[name]
    return config


def _tell_unused(conn_id: str, config: Config) -> None:
    unused = [name for name in _OURS if getattr(config.source, name)]
    if unused:
        log.info(
            "source.%s is not used: the connection %s gives the credentials",
            ", source.".join(unused),
            conn_id,
        )


def destination_url(conn_id: str) -> str:
    """The destination that a connection of the type `duckdb` or `postgres` stands for."""
    connection = find(
        conn_id, _KINDS, "A destination is a connection of the type duckdb or postgres."
    )
    extra = extra_of(conn_id, connection)
    with opening(conn_id):
        if connection.conn_type == "duckdb":
            return _duckdb(conn_id, extra.get("database") or connection.host)
        return _postgres(conn_id, extra)


def _duckdb(conn_id: str, file: object) -> str:
    if not file or not isinstance(file, str):
        raise ConfigError(
            f"The connection {conn_id} names no DuckDB file.",
            "Set its host to an absolute path: a table in memory is gone with its task.",
        )
    return DestinationUrl.parse(f"duckdb:///{file}").reveal()


def _postgres(conn_id: str, extra: dict[str, Any]) -> str:
    from airflow.providers.postgres.hooks.postgres import PostgresHook

    hook: Any = PostgresHook(postgres_conn_id=conn_id)
    # Its parts, not its text: in the text SQLAlchemy leaves spaces as they are.
    said = hook.sqlalchemy_url
    options = dict(said.query) | {name: extra[name] for name in extra if name in OPTIONS}
    return (
        PostgresUrl.of_parts(said.host, said.port, said.username, said.password, said.database)
        .with_options((name, _option(value)) for name, value in options.items())
        .text
    )


def _option(value: object) -> str:
    return str(int(value)) if isinstance(value, bool) else str(value)
