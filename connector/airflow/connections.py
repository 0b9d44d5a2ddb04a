"""Turns Airflow connections into configuration: that of the source and of the destination."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import MappingProxyType
from typing import Any

from connector.airflow.credentials import open_session
from connector.airflow.found import extra_of, find_connection, opening
from connector.config.loading import load_each
from connector.config.model import Config
from connector.destinations.backend import HostConnection
from connector.destinations.registry import BACKENDS, hosted_url

log = logging.getLogger("connector.airflow")

_OURS = ("profile", "role_arn", "external_id")


@dataclass(frozen=True)
class Access:
    """A configuration, overridden by the connections, and the credentials to read with."""

    config: Config
    credentials: Any = None


def open_access(
    config_file: str,
    aws_conn_id: str | None = None,
    destination_conn_id: str | None = None,
    table: str | None = None,
) -> Access:
    """Reads the file and the connections; a connection overrides the file.

    Mistakes in the sections of other tables than `table` are ignored. Raises the same errors as the
    command line: ConfigError, SourceRefused and Unreachable.
    """
    to = destination_url(destination_conn_id) if destination_conn_id else None
    given_by = f"The connection {destination_conn_id}" if destination_conn_id else None
    config = _config_for(table, config_file, to, given_by)
    if not aws_conn_id:
        return Access(config)
    settings, credentials = open_session(aws_conn_id, config.source.home)
    _log_unused(aws_conn_id, config)
    # Given as flags, so that a connection's endpoint is checked like one in the file.
    config = _config_for(table, config_file, to, f"The connection {aws_conn_id}", settings)
    return Access(config, credentials)


def _config_for(
    table: str | None,
    file: str,
    to: str | None,
    given_by: str | None,
    settings: Mapping[str, object] = MappingProxyType({}),
) -> Config:
    config, wrong = load_each(Path(file), to=to, overrides=settings, given_by=given_by)
    for name in wrong:
        if table in (None, name):
            raise wrong[name]
    return config


def _log_unused(conn_id: str, config: Config) -> None:
    unused = [name for name in _OURS if getattr(config.source, name)]
    if unused:
        log.info(
            "source.%s is not used: the connection %s supplies the credentials",
            ", source.".join(unused),
            conn_id,
        )


def destination_url(conn_id: str) -> str:
    """The url of a connection's destination. Raises ConfigError if it is not a destination."""
    kinds = {each.hosted.type: each.hosted for each in BACKENDS if each.hosted}
    hint = f"A destination is a connection of the type {' or '.join(kinds)}."
    connection = find_connection(conn_id, list(kinds), hint)
    extra = extra_of(conn_id, connection)
    with opening(conn_id):
        hosted = kinds[connection.conn_type]
        made = _by_hook(conn_id, hosted.hook, extra) if hosted.hook else _as_is(connection, extra)
        return hosted_url(hosted, made).reveal()


def _as_is(connection: Any, extra: Mapping[str, Any]) -> HostConnection:
    return HostConnection(connection.conn_id, connection.host, extra=extra)


def _by_hook(conn_id: str, hook: str, extra: Mapping[str, Any]) -> HostConnection:
    """The parts of a connection, from the provider's hook; in its url, spaces are not escaped."""
    module, _, name = hook.rpartition(".")
    # Each provider has its own name for the parameter, but it is always the first.
    opened = getattr(import_module(module), name)(conn_id)
    url = opened.sqlalchemy_url
    return HostConnection(
        conn_id,
        url.host,
        url.port,
        url.username,
        url.password,
        url.database,
        dict(url.query),
        extra,
    )
