"""Reads an Airflow connection of type `aws`: credentials, Region and endpoints."""

import logging
import os
from typing import Any

from airflow.sdk import Connection

from connector.airflow.found import extra_of, find_connection, opening
from connector.errors import ConfigError, SourceRefused

log = logging.getLogger("connector.airflow")

_KINDS = ("aws", "")
_METHODS = ("assume_role", "assume_role_with_saml", "assume_role_with_web_identity")
_FEDERATIONS = ("file", "google")
_TOKEN_FILE = "assume_role_with_web_identity_token_file"
_TEXTS = ("region_name", "role_arn", "endpoint_url", "profile_name", "assume_role_method")
_SECTIONS = ("assume_role_kwargs", "service_config", "session_kwargs", "config_kwargs")
_EXTERNAL = 'put {"ExternalId": ...} into its assume_role_kwargs'
_HALF = "it has an access key id without a secret, or a secret without an access key id"


class HostCredentials:
    """Credentials from a session that Airflow opened, which may be renewed at any call.

    A failure is raised as an error of ours that names the connection.
    """

    def __init__(self, conn_id: str, credentials: Any) -> None:
        self._conn_id = conn_id
        self._credentials = credentials

    def get_frozen_credentials(self) -> Any:
        """The credentials to sign a request with."""
        with opening(self._conn_id):
            return self._credentials.get_frozen_credentials()

    def get_deferred_property(self, name: str) -> Any:
        """A function that returns a property, and may renew the credentials."""
        read = self._credentials.get_deferred_property(name)

        def guarded() -> Any:
            with opening(self._conn_id):
                return read()

        return guarded

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self._credentials, name)


def open_session(conn_id: str, region: str | None) -> tuple[dict[str, object], HostCredentials]:
    """The connection's settings of the source, and its credentials; `region` is from the file.

    Raises ConfigError, SourceRefused or Unreachable.
    """
    hint = "A source is a connection of the type aws."
    extra = _checked(conn_id, find_connection(conn_id, _KINDS, hint))
    region = extra.get("region_name") or region or os.environ.get("AWS_REGION")
    with opening(conn_id):
        from airflow.providers.amazon.aws.hooks.base_aws import AwsGenericHook

        hook: Any = AwsGenericHook(aws_conn_id=conn_id, region_name=region, client_type="dynamodb")
        session = hook.get_session()
        endpoint = hook.conn_config.get_service_endpoint_url
        settings: dict[str, object] = {
            "source.region": region or session.region_name,
            "source.endpoint_url": endpoint("dynamodb"),
            "source.streams_endpoint_url": endpoint("dynamodbstreams"),
        }
        credentials = session.get_credentials()
    if credentials is None:
        # Otherwise the profile or role in the file would be used instead.
        raise SourceRefused(
            f"The connection {conn_id} supplies no credentials, and this machine has none.",
            "Put an access key in it, or give the worker credentials of its own.",
        )
    if not settings["source.region"]:
        raise SourceRefused(
            f"The connection {conn_id} names no Region, and neither does anything else.",
            "Set region_name in its extra, or source.region in the file.",
        )
    opened = HostCredentials(conn_id, credentials)
    # A role that may not be assumed is discovered now, not at the first call.
    frozen = opened.get_frozen_credentials()
    if not (frozen.access_key and frozen.secret_key):
        raise _wrong(conn_id, _HALF)
    return settings, opened


def _checked(conn_id: str, connection: Connection) -> dict[str, Any]:
    extra = extra_of(conn_id, connection)
    for names, kind, what in ((_TEXTS, str, "text"), (_SECTIONS, dict, "an object")):
        for name in names:
            if extra.get(name) is not None and not isinstance(extra[name], kind):
                raise _wrong(conn_id, f"{name} in its extra must be {what}")
    if bool(connection.login) != bool(connection.password):
        # The hook would silently use the worker's own credentials.
        raise _wrong(conn_id, _HALF)
    if extra.get("role_arn"):
        _check_role(conn_id, extra)
        if extra.get("external_id") and "ExternalId" not in (extra.get(_SECTIONS[0]) or {}):
            log.warning("external_id of the connection %s is not read: %s", conn_id, _EXTERNAL)
    return extra


def _check_role(conn_id: str, extra: dict[str, Any]) -> None:
    method = extra.get("assume_role_method") or _METHODS[0]
    if method not in _METHODS:
        raise _wrong(conn_id, f"assume_role_method must be one of {', '.join(_METHODS)}")
    if method == "assume_role_with_saml" and not isinstance(extra.get(method), dict):
        raise _wrong(conn_id, f"{method} must be an object that names the identity provider")
    if method != "assume_role_with_web_identity":
        return
    federation = extra.get(f"{method}_federation")
    if federation not in _FEDERATIONS:
        raise _wrong(conn_id, f"{method}_federation must be one of {', '.join(_FEDERATIONS)}")
    if federation == "file" and not (
        extra.get(_TOKEN_FILE) or os.environ.get("AWS_WEB_IDENTITY_TOKEN_FILE")
    ):
        raise _wrong(conn_id, f"{_TOKEN_FILE} must name the file of the token")


def _wrong(conn_id: str, problem: str) -> ConfigError:
    return ConfigError(
        f"The connection {conn_id} cannot be used: {problem}.",
        "Correct it in Airflow, under Admin, Connections, or where it is defined.",
    )
