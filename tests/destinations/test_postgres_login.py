"""Who may log in to Postgres, with what password, and how what is sent is protected."""

import logging
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from connector import config as configuration
from connector import job
from connector.config_url import DestinationUrl
from connector.destinations.postgres import PostgresDestination
from connector.destinations.postgres_url import libpq_url
from connector.errors import ConfigError, ConnectorError, DestinationRefused, Unreachable
from tests.cli.program import wait_until
from tests.rigs.postgres import Database, Server, administer

from .items import A
from .story import Story, put

CANARY = "canary-password"


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        ("postgresql://x@127.0.0.1:1/db", Unreachable),
        ("postgresql://x@nowhere.invalid/db?sslmode=disable", Unreachable),
        ("postgresql://x@/db?host=/nowhere", Unreachable),
        ("postgresql://x@127.0.0.1:99999/db", DestinationRefused),
        ("postgresql://x@127.0.0.1/db?sslmode=nonsense", DestinationRefused),
        ("postgresql://x@127.0.0.1/db?nonsense=1", DestinationRefused),
    ],
)
@pytest.mark.usefixtures("impatient")
def test_a_wrong_address_is_told(url, kind):
    with pytest.raises(kind) as caught:
        PostgresDestination(DestinationUrl.parse(url)).check()
    assert caught.value.hint
    assert caught.value.__context__ is None


@pytest.fixture
def guarded(server: Server, own: Database) -> Iterator[str]:
    """The url of a user who needs a password."""
    rules = server.folder / "pg_hba.conf"
    before = rules.read_text()
    rules.write_text("local all guarded scram-sha-256\n" + before)
    administer(
        server.url,
        f"CREATE ROLE guarded LOGIN PASSWORD '{CANARY}'",
        f"GRANT CREATE ON DATABASE {own.name} TO guarded",
        "SELECT pg_reload_conf()",
    )
    own.by_hand("GRANT ALL ON SCHEMA public TO guarded")
    wait_until(lambda: refuses(own))
    yield own.as_user("guarded")
    rules.write_text(before)
    own.by_hand("DROP OWNED BY guarded CASCADE", "DROP ROLE guarded", "SELECT pg_reload_conf()")


def refuses(own: Database) -> bool:
    """Whether the user needs a password by now."""
    try:
        PostgresDestination(DestinationUrl.parse(own.as_user("guarded"))).tables()
    except DestinationRefused:
        return True
    return False


def test_a_password_comes_from_where_it_should(guarded, own, tmp_path, monkeypatch):
    in_url = PostgresDestination(DestinationUrl.parse(own.as_user(f"guarded:{CANARY}")))
    assert in_url.check()
    without = PostgresDestination(DestinationUrl.parse(guarded))
    monkeypatch.setenv("PGPASSWORD", CANARY)
    assert without.check()
    monkeypatch.delenv("PGPASSWORD")
    file = tmp_path / "pgpass"
    file.write_text(f"*:*:*:guarded:{CANARY}\n")
    file.chmod(0o600)
    monkeypatch.setenv("PGPASSFILE", str(file))
    assert without.check()
    monkeypatch.delenv("PGPASSFILE")
    with pytest.raises(DestinationRefused):
        without.check()


def test_no_password_is_ever_told(guarded, own, caplog, monkeypatch, capfd):
    caplog.set_level(logging.DEBUG)
    folder = Path(tempfile.mkdtemp())
    monkeypatch.chdir(folder)
    text = own.as_user("guarded:${SECRET}")
    for environment in ({"SECRET": CANARY}, {"SECRET": CANARY + "-wrong"}):
        config = configuration.load(to=text, tables=["orders"], environment=environment)
        destination = job.open_destination(
            config, "orders", "sync --to " + str(config.destination.url)
        )
        told = [repr(destination), str(vars(destination)), repr(config), str(config)]
        try:
            story = Story(destination)
            story.plan()
            story.tail(put(A))
            told += [repr(story.state()), destination.check()]
            rows = own.by_hand("SELECT t::text FROM _connector.runs t")
            told += [str(rows)]
            with pytest.raises(ConfigError) as failed:
                destination.query("SELECT nothing")
            told += [repr(failed.value), str(failed.value.__context__)]
        except ConnectorError as error:
            told += [repr(error), str(error), str(error.__context__), str(error.__cause__)]
        assert CANARY not in "\n".join([*told, caplog.text, *capfd.readouterr()])
    folder.rmdir()


def test_an_unknown_role_or_database_is_refused(own):
    for url in (own.as_user("nobody"), own.url.replace(own.name, "nowhere")):
        with pytest.raises(DestinationRefused, match="login"):
            PostgresDestination(DestinationUrl.parse(url)).check()


@pytest.mark.usefixtures("impatient")
def test_a_server_without_a_free_connection_is_tried_later(own):
    url = own.role("ALTER ROLE {role} CONNECTION LIMIT 0")
    try:
        with pytest.raises(Unreachable, match="no connection now"):
            PostgresDestination(DestinationUrl.parse(url)).check()
    finally:
        own.by_hand(f"DROP ROLE {own.roles.pop()}")


def test_a_server_without_encryption_is_refused_where_it_is_asked_for(own, relay):
    url = own.at("127.0.0.1", relay.port).replace("sslmode=disable", "sslmode=require")
    with pytest.raises(DestinationRefused, match="encrypted") as caught:
        PostgresDestination(DestinationUrl.parse(url)).check()
    assert "sslrootcert" in caught.value.hint


@pytest.mark.parametrize(
    ("url", "environment", "verified"),
    [
        ("postgresql://u@db.example.com/d", {}, True),
        ("postgresql://u@10.0.0.1:5432/d?connect_timeout=5", {}, True),
        ("postgresql://u@localhost,db.example.com/d", {}, True),
        ("postgresql://u@[2001:db8::1]:5432/d", {}, True),
        ("postgresql://u@localhost.example.com/d", {}, True),
        ("postgresql://u@/d?host=db.example.com", {}, True),
        ("postgresql://u@localhost/d?hostaddr=10.0.0.1", {}, True),
        ("postgresql:///d", {"PGHOST": "db.example.com"}, True),
        ("postgresql:///d", {"PGHOST": "/run", "PGHOSTADDR": "10.0.0.1"}, True),
        ("postgresql:///d?service=prod", {}, True),
        ("postgresql:///d", {"PGSERVICE": "prod"}, True),
        ("postgresql://u@db.example.com/d", {"PGSSLMODE": "disable"}, True),
        ("postgresql://u@db.example.com/d?sslmode=require", {}, False),
        ("postgresql://u@db.example.com/d?sslmode=verify-ca", {}, False),
        ("postgresql://u@localhost/d", {}, False),
        ("postgresql://u@127.0.0.1:5432,[::1]:5433/d", {}, False),
        ("postgresql://u@/d?host=/run/postgresql", {}, False),
        ("postgresql://u@%2Frun%2Fpostgresql/d", {}, False),
        ("postgresql:///d", {}, False),
    ],
)
def test_what_leaves_this_machine_is_encrypted_and_verified(url, environment, verified):
    assert ("sslmode=verify-full" in libpq_url(url, environment)) is verified
    assert libpq_url(url, environment).startswith(url)


def test_waits_have_an_end_unless_the_url_says_otherwise():
    assert "connect_timeout=10" in libpq_url("postgresql:///d", {})
    assert "tcp_user_timeout=" in libpq_url("postgresql:///d?", {})
    said = libpq_url("postgresql:///d?connect_timeout=7", {"PGAPPNAME": "mine"})
    assert "connect_timeout=10" not in said
    assert "application_name" not in said


def test_without_the_extra_the_hint_names_it(monkeypatch):
    for name in [each for each in sys.modules if "postgres" in each and each.startswith("conn")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "adbc_driver_postgresql", None)
    monkeypatch.setitem(sys.modules, "adbc_driver_manager", None)
    config = configuration.load(to="postgresql:///d", tables=["orders"], environment={})
    with pytest.raises(ConfigError) as caught:
        job.open_destination(config)
    assert "connector[postgres]" in caught.value.hint
    assert caught.value.exit_code == 2
