"""Connections that cannot work: the same errors as on the command line, at once or tried again."""

import json
import os
import socket
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from connector.errors import (
    ConfigError,
    ConnectorError,
    SourceRefused,
    Throttled,
    Unreachable,
)
from tests.rigs.postgres import Database
from tests.rigs.scripted import ScriptedDynamoDB, Table

from .home import Home, aws_connection
from .sts import Sts, running

pytestmark = pytest.mark.usefixtures("fresh_runs", "nobody")

ROLE = "arn:aws:iam::123456789012:role/reader"
SECRET = "canary"


@pytest.fixture
def nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without credentials."""
    for name in list(os.environ):
        if name.startswith("AWS_"):
            monkeypatch.delenv(name)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


@pytest.fixture
def sts() -> Iterator[Sts]:
    """A small STS."""
    with running() as started:
        yield started


@pytest.fixture
def file(tmp_path: Path) -> str:
    """A connector.yaml."""
    written = tmp_path / "connector.yaml"
    written.write_text(
        "source: {region: us-west-2}\ndestination: {url: 'duckdb:///a.duckdb'}\n"
        "tables: {orders: {}}\n"
    )
    return str(written)


def connect(monkeypatch: pytest.MonkeyPatch, name: str, **values: Any) -> None:
    """An Airflow connection, from the environment."""
    monkeypatch.setenv(f"AIRFLOW_CONN_{name.upper()}", json.dumps(values))


def access(file: str, **conn_ids: str) -> Any:
    """What a task opens."""
    from connector.airflow.connections import open_access

    return open_access(file, **conn_ids)


def problem_of(file: str, **conn_ids: str) -> ConnectorError:
    """The error that a task gets: one sentence, a hint, and no secret."""
    with pytest.raises(ConnectorError) as raised:
        access(file, **conn_ids)
    assert raised.value.hint
    assert SECRET not in str(raised.value)
    assert "\n" not in str(raised.value)
    assert "nexpected" not in str(raised.value)
    return raised.value


def closed_port() -> str:
    """An address at which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return f"http://127.0.0.1:{probe.getsockname()[1]}"


def with_role(sts: str, **extra: Any) -> dict[str, Any]:
    """The fields of a connection that assumes a role."""
    return {
        "conn_type": "aws",
        "login": "AKIA",
        "password": SECRET,
        "extra": {"role_arn": ROLE, "service_config": {"sts": {"endpoint_url": sts}}, **extra},
    }


def first_task(home: Home, dag_id: str = "orders__tail") -> tuple[str, int]:
    """The state of a DAG's first task and how often it was tried."""
    done = home.dag(dag_id).test()
    (plan,) = [each for each in done.get_task_instances() if each.task_id == "plan"]
    return str(plan.state), plan.try_number


@pytest.mark.parametrize(
    ("refusal", "tries", "said"),
    [
        ((403, "AccessDenied"), 1, "AWS refused AssumeRole"),
        ((400, "ValidationError"), 1, "AWS refused AssumeRole"),
        ((403, "ExpiredToken"), 1, "AWS refused AssumeRole"),
        ((403, "InvalidClientTokenId"), 1, "AWS refused AssumeRole"),
        ((503, "ServiceUnavailable"), 4, "AssumeRole"),
    ],
)
def test_a_role_that_is_refused_fails_at_once_and_a_bad_moment_is_tried_again(
    home: Home,
    rig: ScriptedDynamoDB,
    orders: Table,
    sts: Sts,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    refusal: tuple[int, str],
    tries: int,
    said: str,
) -> None:
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    sts.refusal = refusal
    given = with_role(sts.url, region_name="us-west-2", endpoint_url=rig.url)
    connect(monkeypatch, "aws_default", **given)
    assert first_task(home) == ("failed", tries)
    told = "".join(capfd.readouterr())
    assert f"The connection aws_default: {said}" in told or said in told
    assert "nexpected" not in told
    assert SECRET not in told
    assert not rig.calls.log


def test_a_role_is_assumed_and_its_table_read(
    home: Home, rig: ScriptedDynamoDB, orders: Table, sts: Sts, monkeypatch: pytest.MonkeyPatch
) -> None:
    extra = {"ExternalId": "example"}
    given = with_role(sts.url, region_name="us-west-2", assume_role_kwargs=extra)
    given["extra"]["endpoint_url"] = rig.url
    connect(monkeypatch, "aws_default", **given)
    orders.put({"id": {"S": "1"}})
    assert home.dag("orders__snapshot").test().state == "success"
    assert {each["RoleArn"] for each in sts.asked} == {ROLE}
    assert {each["ExternalId"] for each in sts.asked} == {"example"}


def test_an_external_id_that_airflow_does_not_read_is_told(
    file: str, sts: Sts, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    given = with_role(sts.url)
    given["extra"]["external_id"] = SECRET
    connect(monkeypatch, "source", **given)
    assert access(file, aws_conn_id="source").credentials
    assert "external_id of the connection source is not read" in caplog.text
    assert "assume_role_kwargs" in caplog.text
    assert SECRET not in "".join(each.getMessage() for each in caplog.records)


@pytest.mark.parametrize("broken", ["not there", "another type", "no JSON", "nothing listens"])
def test_a_connection_that_is_wrong_fails_the_task_at_once(
    home: Home,
    rig: ScriptedDynamoDB,
    orders: Table,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    broken: str,
) -> None:
    tries = 1
    if broken == "not there":
        monkeypatch.delenv("AIRFLOW_CONN_AWS_DEFAULT")
        from airflow import settings
        from airflow.models import Connection

        with settings.Session() as session:
            session.query(Connection).filter(Connection.conn_id == "aws_default").delete()
            session.commit()
    elif broken == "another type":
        connect(monkeypatch, "aws_default", conn_type="postgres", login="a", password=SECRET)
    elif broken == "no JSON":
        connect(monkeypatch, "aws_default", conn_type="aws", extra=f"{{role_arn: {SECRET}")
    else:
        tries = 4
        monkeypatch.setenv("CONNECTOR_SOURCE__RETRY_SECONDS", "0.1")
        monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", aws_connection(closed_port()))
    assert first_task(home) == ("failed", tries)
    told = "".join(capfd.readouterr())
    assert ("connection aws_default" in told) is (tries == 1)
    assert "nexpected" not in told
    assert SECRET not in told


AWS = {"conn_type": "aws"}
KEYS = {**AWS, "login": "AKIA", "password": SECRET}


@pytest.mark.parametrize(
    ("values", "kind", "said"),
    [
        ({**KEYS, "conn_type": "duckdb"}, ConfigError, "is of the type duckdb"),
        (
            {**KEYS, "extra": "{"},
            ConfigError,
            "the connection source is not a JSON object",
        ),
        (
            {**KEYS, "extra": "[1]"},
            ConfigError,
            "the connection source is not a JSON object",
        ),
        ({**KEYS, "extra": '"text"'}, ConfigError, "is not a JSON object"),
        ({**KEYS, "extra": {"role_arn": 5}}, ConfigError, "role_arn in its extra must be text"),
        (
            {**KEYS, "extra": {"service_config": "x"}},
            ConfigError,
            "service_config in its extra must be an object",
        ),
        ({**AWS, "login": "AKIA"}, ConfigError, "access key id without a secret"),
        ({**AWS, "password": SECRET}, ConfigError, "access key id without a secret"),
        ({**AWS, "extra": {"aws_access_key_id": "AKIA"}}, ConfigError, "without a secret"),
        (
            {**KEYS, "extra": {"role_arn": ROLE, "assume_role_method": "ask"}},
            ConfigError,
            "assume_role_method must be one of",
        ),
        (
            {**KEYS, "extra": {"role_arn": ROLE, "assume_role_method": "assume_role_with_saml"}},
            ConfigError,
            "assume_role_with_saml must be an object",
        ),
        (
            {
                **AWS,
                "extra": {"role_arn": ROLE, "assume_role_method": "assume_role_with_web_identity"},
            },
            ConfigError,
            "assume_role_with_web_identity_federation must be one of file, google",
        ),
        (
            {
                **AWS,
                "extra": {
                    "role_arn": ROLE,
                    "assume_role_method": "assume_role_with_web_identity",
                    "assume_role_with_web_identity_federation": "file",
                },
            },
            ConfigError,
            "assume_role_with_web_identity_token_file must name",
        ),
        (
            {
                **AWS,
                "extra": {
                    "role_arn": ROLE,
                    "assume_role_method": "assume_role_with_web_identity",
                    "assume_role_with_web_identity_federation": "file",
                    "assume_role_with_web_identity_token_file": "/nowhere/token",
                },
            },
            ConfigError,
            "names a file that cannot be read: No such file",
        ),
        (
            {
                **AWS,
                "extra": {
                    "role_arn": ROLE,
                    "assume_role_method": "assume_role_with_web_identity",
                    "assume_role_with_web_identity_federation": "google",
                },
            },
            ConfigError,
            "needs a package that is not installed, google",
        ),
        (
            {
                **KEYS,
                "extra": {
                    "role_arn": ROLE,
                    "assume_role_method": "assume_role_with_saml",
                    "assume_role_with_saml": {},
                },
            },
            ConfigError,
            "KeyError",
        ),
        ({**KEYS, "extra": {"role_arn": "x"}}, SourceRefused, "The connection source"),
        ({**KEYS, "extra": {"config_kwargs": {"nothing": 1}}}, ConfigError, "TypeError"),
        ({**AWS, "extra": {"profile_name": "nobody"}}, SourceRefused, "nobody"),
        ({**AWS, "extra": {}}, SourceRefused, "supplies no credentials"),
        (
            {**KEYS, "extra": {"endpoint_url": "http://example.com"}},
            ConfigError,
            "The connection source: source.endpoint_url: Anyone on the network",
        ),
        (
            {**KEYS, "extra": {"endpoint_url": "example.com"}},
            ConfigError,
            "The connection source: source.endpoint_url: An endpoint must be",
        ),
    ],
)
def test_an_aws_connection_that_cannot_work_says_why(
    file: str, monkeypatch: pytest.MonkeyPatch, values: Any, kind: type, said: str
) -> None:
    connect(monkeypatch, "source", **values)
    problem = problem_of(file, aws_conn_id="source")
    assert type(problem) is kind
    assert said in problem.message
    assert problem.exit_code == 2


@pytest.mark.parametrize(
    "text", ["{", "[]", "aws://AKIA:canary@:port", '{"conn_type": "aws", "x": 1}']
)
def test_a_connection_that_cannot_be_read_says_so(
    file: str, database: None, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_SOURCE", text)
    problem = problem_of(file, aws_conn_id="source")
    assert problem.exit_code == 2
    assert "connection source" in problem.message


def test_a_region_that_is_nowhere(
    tmp_path: Path, sts: Sts, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "connector.yaml"
    file.write_text("destination: {url: 'duckdb:///a.duckdb'}\ntables: {orders: {}}\n")
    for values in (KEYS, with_role(sts.url)):
        connect(monkeypatch, "source", **values)
        problem = problem_of(str(file), aws_conn_id="source")
        assert type(problem) is SourceRefused
        assert "connection source" in problem.message
        assert "egion" in problem.message
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    assert access(str(file), aws_conn_id="source").config.source.region == "eu-west-1"


def test_the_file_s_own_credentials_are_never_read_with_instead(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "none").write_text("[other]\naws_access_key_id = x\naws_secret_access_key = y\n")
    file = tmp_path / "connector.yaml"
    file.write_text(
        "source: {region: us-west-2, profile: other}\n"
        "destination: {url: 'duckdb:///a.duckdb'}\ntables: {orders: {}}\n"
    )
    connect(monkeypatch, "source", **AWS)
    assert "supplies no credentials" in problem_of(str(file), aws_conn_id="source").message


@pytest.mark.parametrize(
    ("refusal", "kind", "said"),
    [
        ((403, "AccessDenied"), SourceRefused, "The connection source: AWS refused AssumeRole"),
        ((400, "Throttling"), Throttled, "AssumeRole"),
        (None, SourceRefused, "The connection source supplies credentials that have expired"),
    ],
)
def test_credentials_that_cannot_be_renewed_name_the_connection(
    file: str,
    rig: ScriptedDynamoDB,
    orders: Table,
    sts: Sts,
    monkeypatch: pytest.MonkeyPatch,
    refusal: tuple[int, str] | None,
    kind: type,
    said: str,
) -> None:
    from connector import job

    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    monkeypatch.setenv("CONNECTOR_SOURCE__RETRY_SECONDS", "0.2")
    # At the first look they are valid; shortly before their end they must be renewed.
    given = with_role(sts.url)
    given["extra"]["endpoint_url"] = rig.url
    connect(monkeypatch, "source", **given)
    opened = access(file, aws_conn_id="source")
    source = job.open_way(opened.config, "orders", credentials=opened.credentials).lookup
    assert source.describe().identity
    inner = opened.credentials._credentials
    inner._expiry_time = inner._time_fetcher() + timedelta(seconds=1)
    sts.refusal, sts.lifetime = refusal, timedelta(minutes=-5)
    with pytest.raises(ConnectorError) as raised:
        source.describe()
    assert type(raised.value) is kind
    assert said in raised.value.message
    assert SECRET not in str(raised.value)


def test_a_network_that_fails_while_credentials_are_got_is_tried_again(
    file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    connect(monkeypatch, "source", **with_role(closed_port()))
    problem = problem_of(file, aws_conn_id="source")
    assert type(problem) is Unreachable
    assert problem.exit_code == 4


POSTGRES = {"conn_type": "postgres", "host": "db", "login": "loader", "password": SECRET}


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"conn_type": "sqlite", "password": SECRET}, "is of the type sqlite"),
        ({"conn_type": "duckdb"}, "names no DuckDB file"),
        ({"conn_type": "duckdb", "extra": {"database": 5}}, "names no DuckDB file"),
        ({"conn_type": "duckdb", "extra": "{"}, "is not a JSON object"),
        ({"conn_type": "duckdb", "host": ":memory:"}, "The url does not name a file"),
        ({"conn_type": "duckdb", "host": "a.duckdb?x=1"}, "takes no options"),
        ({**POSTGRES, "extra": "{"}, "is not a JSON object"),
        ({**POSTGRES, "extra": {"sslmode": "nonsense"}}, "The option sslmode"),
        ({**POSTGRES, "extra": {"connect_timeout": "soon"}}, "The option connect_timeout"),
        ({**POSTGRES, "extra": {"client_encoding": "LATIN1"}}, "The option client_encoding"),
        ({**POSTGRES, "extra": {"host": "canary"}}, "has host twice"),
        ({**POSTGRES, "extra": {"sqlalchemy_query": {"sslmod": "x"}}}, "unknown option, sslmod"),
        ({**POSTGRES, "extra": {"sqlalchemy_query": "canary"}}, "TypeError"),
        ({**POSTGRES, "host": "https://db"}, "The host is neither a name nor an address"),
        ({**POSTGRES, "host": "me@db"}, "The host is neither a name nor an address"),
        ({**POSTGRES, "host": "db/analytics"}, "The host is neither a name nor an address"),
        ({**POSTGRES, "host": "db:5432"}, "The host is neither a name nor an address"),
        ({**POSTGRES, "port": 70000}, "The port is not a number from 1 to 65535"),
    ],
)
def test_a_destination_that_cannot_be_says_why(
    file: str, monkeypatch: pytest.MonkeyPatch, values: Any, said: str
) -> None:
    connect(monkeypatch, "warehouse", **values)
    problem = problem_of(file, destination_conn_id="warehouse")
    assert type(problem) is ConfigError
    assert "connection warehouse" in problem.message
    assert said in problem.message


@pytest.mark.parametrize(
    "name",
    ["airflow.providers.postgres.hooks.postgres", "airflow.providers.amazon.aws.hooks.base_aws"],
)
def test_a_provider_that_is_not_installed_is_named(
    file: str, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setitem(sys.modules, name, None)
    connect(monkeypatch, "warehouse", **POSTGRES)
    connect(monkeypatch, "source", **KEYS)
    which = "destination_conn_id" if "postgres" in name else "aws_conn_id"
    conn_id = "warehouse" if "postgres" in name else "source"
    problem = problem_of(file, **{which: conn_id})
    assert type(problem) is ConfigError
    assert f"not installed, {name}" in problem.message
    assert "pip install '.[airflow]'" in problem.hint


NAMES = ["a b", "50%", "%41[x]", "q?#@/:&=+;", "quo\"te's", "Dätä😀"]
PASSWORDS = ["".join(map(chr, range(32, 127))), " a b ", "100%", "%41", "[]", "pässwörd–€"]


@pytest.mark.parametrize(("name", "password"), [*zip(NAMES, PASSWORDS, strict=True)])
@pytest.mark.parametrize("as_json", [True, False])
def test_any_name_and_password_of_a_connection_logs_in(
    file: str,
    postgres: Database,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    password: str,
    as_json: bool,
) -> None:
    from urllib.parse import quote, urlsplit

    from connector import job

    named = '"' + name.replace('"', '""') + '"'
    literal = "'" + password.replace("'", "''") + "'"
    folder = urlsplit(postgres.url).query.removeprefix("host=")
    postgres.by_hand(f"CREATE ROLE {named} LOGIN PASSWORD {literal}")
    try:
        postgres.by_hand(f"CREATE DATABASE {named}")
        if as_json:
            connect(
                monkeypatch,
                "warehouse",
                conn_type="postgres",
                host=folder,
                login=name,
                password=password,
                schema=name,
            )
        else:
            parts = [quote(each, safe="") for each in (name, password, folder, name)]
            uri = "postgres://{}:{}@{}/{}".format(*parts)
            monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", uri)
        opened = access(file, destination_conn_id="warehouse")
        told = f"{opened} {opened.config.destination!r}"
        assert password not in told
        destination = job.open_destination(opened.config)
        sql = "SELECT session_user || '@' || current_database() AS who"
        assert destination.query(sql)["who"][0].as_py() == f"{name}@{name}"
    finally:
        from connector.destinations.postgres.session import connection as postgres_connection

        postgres_connection._databases.clear()
        postgres.by_hand(f"DROP DATABASE IF EXISTS {named} WITH (FORCE)")
        postgres.by_hand(f"DROP ROLE {named}")


def test_what_a_configuration_gets_wrong_is_an_import_error_of_one_sentence(
    home: Home, tmp_path: Path
) -> None:
    from airflow.dag_processing.dagbag import DagBag

    program = tmp_path / "wrong_dags.py"
    program.write_text(
        "from pathlib import Path\nfrom connector.airflow.factory import connector_dags\n"
        "DAGS = connector_dags(Path(__file__).with_name('wrong.yaml'))\n"
        "globals().update({dag.dag_id: dag for dag in DAGS})\n"
    )
    config = tmp_path / "wrong.yaml"
    wrong = {
        "destination: {url: 'postgresql://a:canary@b/c?sslmod=x'}": "unknown option, sslmod. Did",
        "destination: {url: 'duckdb:///x'}\ntables: {orders: {int: x}}": "tables.orders.int is not",
        "\tx: 1": "is not valid YAML at line 1",
        "tables: {orders: }": "There is no destination.",
        "destination: {url: 'duckdb:///${NOT_THERE}'}": "variable NOT_THERE, which is not set.",
    }
    for text, said in wrong.items():
        config.write_text(text)
        bag = DagBag(dag_folder=str(tmp_path), known_pools=set())
        ((file, told),) = bag.import_errors.items()
        last = told.strip().splitlines()[-1]
        # What is wrong with one table is shown without the lines that were run.
        assert last.removeprefix("connector.errors.").startswith("ConfigError: ")
        assert said in last
        assert "wrong_dags.py" in file
        assert "During handling" not in told
        assert SECRET not in told
        assert len(told.splitlines()) < 10
