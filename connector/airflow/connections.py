"""Airflow connections as the connector's own configuration: the source's and the destination's."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import MappingProxyType
from typing import Any

from connector.airflow.credentials import open_session
from connector.airflow.found import extra_of, find, opening
from connector.config.loading import load_each
from connector.config.model import Config
from connector.destinations.backend import HostConnection
from connector.destinations.registry import BACKENDS, hosted_url

log = logging.getLogger("connector.airflow")

_OURS = ("profile", "role_arn", "external_id")


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
    given_by = f"The connection {destination_conn_id}" if destination_conn_id else None
    config = _config_for(table, config_file, to, given_by)
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
    given_by: str | None,
    said: Mapping[str, object] = MappingProxyType({}),
) -> Config:
    config, wrong = load_each(Path(file), to=to, overrides=said, given_by=given_by)
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
    """The destination that a connection stands for. Raises ConfigError if it stands for none."""
    kinds = {each.hosted.type: each.hosted for each in BACKENDS if each.hosted}
    hint = f"A destination is a connection of the type {' or '.join(kinds)}."
    connection = find(conn_id, list(kinds), hint)
    extra = extra_of(conn_id, connection)
    with opening(conn_id):
        hosted = kinds[connection.conn_type]
        made = _by_hook(conn_id, hosted.hook, extra) if hosted.hook else _as_is(connection, extra)
        return hosted_url(hosted, made).reveal()


def _as_is(connection: Any, extra: Mapping[str, Any]) -> HostConnection:
    return HostConnection(connection.conn_id, connection.host, extra=extra)


def _by_hook(conn_id: str, hook: str, extra: Mapping[str, Any]) -> HostConnection:
    """What Airflow makes of a form: its parts, for in its text SQLAlchemy leaves spaces as is."""
    module, _, name = hook.rpartition(".")
    # A provider calls the parameter for a connection after itself, and takes it as the first.
    opened = getattr(import_module(module), name)(conn_id)
    said = opened.sqlalchemy_url
    return HostConnection(
        conn_id,
        said.host,
        said.port,
        said.username,
        said.password,
        said.database,
        dict(said.query),
        extra,
    )
