"""Airflow connections as sources and destinations."""

import errno
import json
import logging
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

from connector.errors import ConfigError, Fatal, HistoryLost, Throttled

SECRET = "canary/+secret"


@pytest.fixture
def file(tmp_path: Path) -> str:
    """A connector.yaml whose source says something of its own."""
    written = tmp_path / "connector.yaml"
    written.write_text(
        "source: {region: eu-west-1, role_arn: 'arn:aws:iam::123456789012:role/other', "
        "max_read_units: 5}\ndestination: {url: 'duckdb:///a.duckdb'}\ntables: {orders: {}}\n"
    )
    return str(written)


def connect(monkeypatch: pytest.MonkeyPatch, name: str, **values: Any) -> None:
    """An Airflow connection, from the environment."""
    monkeypatch.setenv(f"AIRFLOW_CONN_{name.upper()}", json.dumps(values))


def access(file: str, **conn_ids: str) -> Any:
    """What a task opens."""
    from connector.airflow.connections import open_access

    return open_access(file, **conn_ids)


def test_a_connection_says_region_endpoints_and_credentials(file, monkeypatch, caplog):
    connect(
        monkeypatch,
        "source",
        conn_type="aws",
        login="AKIA",
        password=SECRET,
        extra={
            "region_name": "us-west-2",
            "service_config": {
                "dynamodb": {"endpoint_url": "https://one.example.com"},
                "dynamodbstreams": {"endpoint_url": "https://two.example.com"},
            },
        },
    )
    with caplog.at_level(logging.DEBUG):
        opened = access(file, aws_conn_id="source")
    source = opened.config.source
    assert (source.region, source.max_read_units) == ("us-west-2", 5)
    assert source.endpoint_url == "https://one.example.com"
    assert source.streams_endpoint_url == "https://two.example.com"
    assert "source.role_arn is not used" in caplog.text
    assert opened.credentials.get_frozen_credentials().secret_key == SECRET
    assert SECRET not in caplog.text + repr(opened)


def test_what_a_connection_leaves_out_the_file_fills_in(file, monkeypatch):
    connect(monkeypatch, "source", conn_type="aws", login="AKIA", password=SECRET)
    assert access(file, aws_conn_id="source").config.source.region == "eu-west-1"
    assert access(file).credentials is None
    assert access(file).config.source.role_arn


def test_an_endpoint_of_a_connection_must_be_safe(file, monkeypatch):
    extra = {"endpoint_url": "http://example.com"}
    connect(monkeypatch, "source", conn_type="aws", login="a", password="b", extra=extra)
    with pytest.raises(ConfigError, match="http"):
        access(file, aws_conn_id="source")


def test_a_connection_that_is_missing_is_an_error(file, database):
    with pytest.raises(Exception, match="nowhere"):
        access(file, aws_conn_id="nowhere")


def test_a_role_is_assumed_with_its_external_id(file, monkeypatch):
    import boto3

    asked: list[dict[str, Any]] = []

    class Sts:
        def assume_role(self, **parameters: Any) -> dict[str, Any]:
            from datetime import UTC, datetime

            asked.append(parameters)
            return {
                "ResponseMetadata": {"HTTPStatusCode": 200},
                "Credentials": {
                    "AccessKeyId": "ASIA",
                    "SecretAccessKey": SECRET,
                    "SessionToken": "token",
                    "Expiration": datetime(2100, 1, 1, tzinfo=UTC),
                },
            }

    monkeypatch.setattr(boto3.session.Session, "client", lambda *_, **__: Sts())
    role = "arn:aws:iam::123456789012:role/reader"
    connect(
        monkeypatch,
        "source",
        conn_type="aws",
        login="AKIA",
        password="b",
        extra={"role_arn": role, "assume_role_kwargs": {"ExternalId": "example"}},
    )
    credentials = access(file, aws_conn_id="source").credentials
    assert credentials.get_frozen_credentials().token == "token"
    assert (asked[0]["RoleArn"], asked[0]["ExternalId"]) == (role, "example")


def test_credentials_of_a_host_are_used_by_our_own_clients():
    from botocore.credentials import Credentials

    from connector.config.model import SourceConfig
    from connector.sources.dynamodb.client import open_clients

    clients = open_clients(SourceConfig(region="us-west-2"), 1, Credentials("AKIA", SECRET))
    for client in (clients.dynamodb, clients.streams):
        assert client._request_signer._credentials.secret_key == SECRET
    with pytest.raises(PermissionError):
        clients.dynamodb.put_item(TableName="orders", Item={})


@pytest.mark.parametrize(
    ("values", "shown"),
    [
        ({"conn_type": "duckdb", "host": "/data/wh.duckdb"}, "duckdb:////data/wh.duckdb"),
        (
            {"conn_type": "duckdb", "extra": {"database": "/data/other.duckdb"}},
            "duckdb:////data/other.duckdb",
        ),
        (
            {
                "conn_type": "postgres",
                "host": "db",
                "port": 5433,
                "login": "loader",
                "password": SECRET,
                "schema": "analytics",
                "extra": {"sslmode": "verify-full"},
            },
            "postgresql://loader:***@db:5433/analytics",
        ),
        (
            {
                "conn_type": "postgres",
                "host": "/run/postgresql",
                "port": 5433,
                "login": "loader",
                "password": SECRET,
                "schema": "analytics",
                "extra": {"sslmode": "verify-full"},
            },
            "postgresql://loader:***@:5433/analytics",
        ),
    ],
)
def test_a_destination_is_a_connection(values, shown, file, monkeypatch):
    connect(monkeypatch, "warehouse", **values)
    url = access(file, destination_conn_id="warehouse").config.destination.url
    assert str(url) == shown
    if values["conn_type"] == "postgres":
        assert f"loader:{SECRET}@" in unquote(url.reveal())
        assert url.reveal().endswith("sslmode=verify-full")
        assert ("host=/run/postgresql" in unquote(url.reveal())) is values["host"].startswith("/")


@pytest.mark.parametrize(
    "values", [{"conn_type": "duckdb"}, {"conn_type": "mysql", "host": "db", "password": SECRET}]
)
def test_a_destination_that_is_none_is_refused(values, file, monkeypatch):
    connect(monkeypatch, "warehouse", **values)
    with pytest.raises(ConfigError) as raised:
        access(file, destination_conn_id="warehouse")
    assert SECRET not in str(raised.value)


@pytest.mark.parametrize(
    ("error", "fails_at_once"),
    [
        (HistoryLost("Gone.", "Do this."), True),
        (Throttled("Later."), False),
        (ValueError(SECRET), False),
    ],
)
def test_an_error_becomes_airflows_own_without_its_cause(error, fails_at_once):
    from airflow.sdk.exceptions import AirflowException, AirflowFailException

    from connector.airflow.step import airflow_errors

    with pytest.raises(AirflowException) as raised, airflow_errors():
        raise error
    assert isinstance(raised.value, AirflowFailException) is fails_at_once
    assert type(error).__name__ in str(raised.value)
    assert raised.value.__suppress_context__
    assert SECRET not in str(raised.value)
    assert not isinstance(error, Fatal) or "Do this." in str(raised.value)


@pytest.mark.parametrize(
    ("error", "fails_at_once"),
    [
        (PermissionError(errno.EACCES, "Permission denied", "/spool"), True),
        (OSError(errno.ENOSPC, "No space left on device", "/spool"), False),
    ],
)
def test_what_a_workers_system_refuses_is_no_bug(error, fails_at_once):
    from airflow.sdk.exceptions import AirflowException, AirflowFailException

    from connector.airflow.step import airflow_errors

    with pytest.raises(AirflowException, match="/spool") as raised, airflow_errors():
        raise error
    assert isinstance(raised.value, AirflowFailException) is fails_at_once
    assert "nexpected" not in str(raised.value)
