"""Looks up and opens Airflow connections; every failure is raised as an error of ours."""

import json
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from airflow.sdk import BaseHook, Connection
from airflow.sdk.exceptions import (
    AirflowNotFoundException,
    AirflowOptionalProviderFeatureException,
)

from connector.errors import ConfigError, ConnectorError, SourceRefused, Unreachable

_CORRECT = "Correct it in Airflow, under Admin, Connections, or where it is defined."


def find_connection(conn_id: str, kinds: Sequence[str], hint: str) -> Connection:
    """The connection of this name. Raises ConfigError if there is none of these kinds."""
    with opening(conn_id):
        connection: Connection = BaseHook.get_connection(conn_id)
    if (connection.conn_type or "") not in kinds:
        raise ConfigError(
            f"The connection {conn_id} is of the type {connection.conn_type or 'none'}.", hint
        )
    return connection


def extra_of(conn_id: str, connection: Connection) -> dict[str, Any]:
    """Its extra. Raises ConfigError if it is not a JSON object, which Airflow would ignore."""
    if not connection.extra:
        return {}
    try:
        extra = json.loads(connection.extra)
    except ValueError:
        extra = None
    if not isinstance(extra, dict):
        raise ConfigError(f"The extra of the connection {conn_id} is not a JSON object.", _CORRECT)
    # Airflow reads it again, so that it masks the secrets in it.
    return dict(connection.extra_dejson)


@contextmanager
def opening(conn_id: str) -> Iterator[None]:
    """Turns whatever is raised while a connection is looked up or opened into an error of ours.

    A wrong connection is a ConfigError or SourceRefused, a failing network is Unreachable. Messages
    of foreign errors are left out, because they may quote a secret.
    """
    from connector.job import source_errors

    try:
        with source_errors():
            yield
    except ConnectorError as error:
        if f"connection {conn_id}" in error.message:
            raise
        raise type(error)(f"The connection {conn_id}: {error.message}", error.hint) from None
    except Exception as error:
        raise _of_airflow(conn_id, error) from None


def _of_airflow(conn_id: str, error: Exception) -> ConnectorError:
    if isinstance(error, AirflowNotFoundException):
        return ConfigError(
            f"There is no connection {conn_id}, or it cannot be read.",
            f"Add it with `airflow connections add {conn_id}`, or set "
            f"AIRFLOW_CONN_{conn_id.upper()} to a URI or to JSON.",
        )
    if isinstance(error, PermissionError) and error.filename is None:
        return ConfigError(
            f"Airflow does not let this task read the connection {conn_id}.",
            "Give the task's team access to it.",
        )
    if isinstance(error, ImportError | AirflowOptionalProviderFeatureException):
        return ConfigError(
            f"The connection {conn_id} needs a package that is not installed{_named(error)}.",
            "Install the connector with its extra, in the clone of the repository: "
            "`pip install '.[airflow]'`.",
        )
    if isinstance(error, FileNotFoundError | PermissionError | IsADirectoryError):
        return ConfigError(
            f"The connection {conn_id} names a file that cannot be read: {error.strerror}.",
            _CORRECT,
        )
    if isinstance(error, OSError):
        return Unreachable(
            f"The connection {conn_id} cannot be opened: {type(error).__name__}.",
            "Check the network, or try again later.",
        )
    if isinstance(error, RuntimeError) and "still expired" in str(error):
        return SourceRefused(
            f"The connection {conn_id} supplies credentials that have expired.", "Renew them."
        )
    place = traceback.extract_tb(error.__traceback__)[-1].name
    return ConfigError(
        f"The connection {conn_id} cannot be used: {type(error).__name__} in {place}.", _CORRECT
    )


def _named(error: Exception) -> str:
    name = getattr(error, "name", None)
    return f", {name}" if name else ""
