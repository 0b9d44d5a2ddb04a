"""Who may log in to Postgres, with what password, and how what is sent is protected."""

import logging
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote, urlsplit

import adbc_driver_postgresql
import pytest
from adbc_driver_manager import AdbcConnection, Error

from connector import job
from connector.config import loading as configuration
from connector.destinations.postgres.server import PostgresDestination
from connector.destinations.postgres.session import connection as postgres_connection
from connector.destinations.postgres.url.libpq import libpq_url
from connector.destinations.postgres.url.options import OPTIONS
from connector.destinations.registry import parse_url
from connector.errors import ConfigError, ConnectorError, DestinationRefused, Unreachable
from tests.cli.program import wait_until
from tests.rigs.combinations import turn
from tests.rigs.postgres import Database, Server, administer

from .items import A
from .needs import checked
from .story import Story, put

CANARY = "canary-password"


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        ("postgresql://x@127.0.0.1:1/db", Unreachable),
        ("postgresql://x@nowhere.invalid/db?sslmode=disable", Unreachable),
        ("postgresql://x@/db?host=/nowhere", Unreachable),
        ("postgresql://x@ssl-tls-certificate.invalid/db?sslmode=disable", Unreachable),
        ("postgresql://password@127.0.0.1:1/database", Unreachable),
        ("postgresql://x@127.0.0.1,127.0.0.2,127.0.0.3/db?port=1,2", DestinationRefused),
        ("postgresql://x@/db?hostaddr=nonsense", DestinationRefused),
        ("postgresql://x@127.0.0.1:1/db?service=nowhere", DestinationRefused),
    ],
)
@pytest.mark.usefixtures("impatient")
def test_a_wrong_address_is_told(url, kind):
    with pytest.raises(kind) as caught:
        checked(PostgresDestination(parse_url(url)))
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
        PostgresDestination(parse_url(own.as_user("guarded"))).tables()
    except DestinationRefused:
        return True
    return False


def test_a_password_comes_from_where_it_should(guarded, own, tmp_path, monkeypatch):
    in_url = PostgresDestination(parse_url(own.as_user(f"guarded:{CANARY}")))
    assert checked(in_url)
    without = PostgresDestination(parse_url(guarded))
    monkeypatch.setenv("PGPASSWORD", CANARY)
    assert checked(without)
    monkeypatch.delenv("PGPASSWORD")
    file = tmp_path / "pgpass"
    file.write_text(f"*:*:*:guarded:{CANARY}\n")
    file.chmod(0o600)
    monkeypatch.setenv("PGPASSFILE", str(file))
    assert checked(without)
    monkeypatch.delenv("PGPASSFILE")
    with pytest.raises(DestinationRefused):
        checked(without)


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
            told += [repr(story.state()), checked(destination)]
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
    for url, which in ((own.as_user("nobody"), "role"), (own.url + "&user=nobody", "role")):
        with pytest.raises(
            DestinationRefused, match=f"refused the login: there is no such {which}"
        ):
            checked(PostgresDestination(parse_url(url.replace("postgres@/", "/"))))
    with pytest.raises(DestinationRefused, match="refused the login: there is no such database"):
        checked(PostgresDestination(parse_url(own.url.replace(own.name, "nowhere"))))


PRINTABLE = "".join(chr(code) for code in range(32, 127))
PASSWORDS = [
    PRINTABLE,
    PRINTABLE[::-1],
    "[pass]%word%",
    "100%",
    "%41",
    "%zz",
    " a b ",
    "a+b&c=d;e?f#g/h@i:j",
    "'\"`$${x}\\",
    "pässwörd–€😀",
    "line\nbreak\ttab",
    "%",
]
AS_THEY_ARE = [
    PRINTABLE.translate({ord(each): None for each in "@/?#"}),
    "[pass]%word%",
    "%zz%",
    "100% sure",
    "pässwörd€",
]


def literal(text: str) -> str:
    """A text in SQL."""
    return "'" + text.replace("'", "''") + "'"


def logged_in(url: str) -> str:
    """Who has logged in to which database by this url."""
    destination = PostgresDestination(parse_url(url))
    assert checked(destination)
    sql = "SELECT session_user || '@' || current_database() AS who"
    return str(destination.query(sql)["who"][0].as_py())


def test_any_password_logs_in_when_it_is_escaped(guarded, own):
    for password in PASSWORDS:
        own.by_hand(f"ALTER ROLE guarded PASSWORD {literal(password)}")
        url = own.as_user(f"guarded:{quote(password, safe='')}")
        assert logged_in(url) == f"guarded@{own.name}", password
        with pytest.raises(DestinationRefused, match="the password is wrong") as caught:
            logged_in(own.as_user(f"guarded:{quote(password + CANARY, safe='')}"))
        assert CANARY not in str(caught.value)


def test_a_password_that_needs_no_escapes_logs_in_as_it_is(guarded, own):
    for number, password in enumerate(AS_THEY_ARE):
        own.by_hand(f"ALTER ROLE guarded PASSWORD {literal(password)}")
        for scheme in turn(("postgresql:", "postgres:", "postgresql+psycopg2:"), number):
            url = own.as_user(f"guarded:{password}").replace("postgresql:", scheme, 1)
            assert logged_in(url) == f"guarded@{own.name}", password


@pytest.mark.parametrize("name", ["a b", "50%", "%41[x]", "q?#@/:&=+;", "quo\"te's", "Dätä😀", " "])
def test_any_name_of_a_database_and_a_role_logs_in(server, name):
    named = '"' + name.replace('"', '""') + '"'
    place = urlsplit(server.url)
    administer(server.url, f"CREATE DATABASE {named}", f"CREATE ROLE {named} LOGIN")
    try:
        escaped = quote(name, safe="")
        url = f"postgresql://{escaped}@/{escaped}?{place.query}"
        destination = PostgresDestination(parse_url(url))
        sql = "SELECT session_user || '@' || current_database() AS who"
        assert destination.query(sql)["who"][0].as_py() == f"{name}@{name}"
    finally:
        postgres_connection._databases.clear()
        administer(server.url, f"DROP DATABASE {named} WITH (FORCE)", f"DROP ROLE {named}")


def test_the_first_host_that_answers_and_a_socket_by_its_folder_are_found(own, relay):
    folder = quote(urlsplit(own.url).query.removeprefix("host="), safe="")
    for place in (f"127.0.0.1:1,127.0.0.1:{relay.port}", folder, f"{folder}:5432", ""):
        url = f"postgresql://postgres@{place}/{own.name}?sslmode=disable"
        if not place:
            url += f"&host=127.0.0.1,{folder}&port=1,5432"
        assert logged_in(url) == f"postgres@{own.name}"


SURROUNDINGS = {
    "PGCLIENTENCODING": ["LATIN1", "SQL_ASCII", "EUC_JP", "nonsense"],
    "PGTZ": ["Asia/Tokyo"],
    "PGDATESTYLE": ["German", "SQL, DMY"],
    "PGSSLMODE": ["disable"],
    "PGDATABASE": ["nowhere"],
    "PGUSER": ["nobody"],
    "PGHOST": ["nowhere.invalid"],
    "PGPORT": ["1"],
    "PGAPPNAME": ["ä" * 10],
    "PGOPTIONS": [
        "-c client_encoding=LATIN1",
        "-c search_path=nowhere -c TimeZone=Asia/Tokyo",
        "-c IntervalStyle=iso_8601 -c bytea_output=escape -c extra_float_digits=-15",
        "-c standard_conforming_strings=off -c transform_null_equals=on",
    ],
}


@pytest.mark.parametrize(
    ("variable", "value"),
    [(variable, value) for variable, values in SURROUNDINGS.items() for value in values],
)
def test_the_surroundings_change_nothing(postgres, variable, value):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(variable, value)
        _live_through(postgres)
    assert postgres.by_hand("SELECT text, n::text, encode(b, 'hex') FROM orders") == [
        ("ä€😀\\", "0.1", "ff005c")
    ]


def _live_through(own):
    url = own.url + ("" if own.parsed.shown.count(":") > 1 else "&port=5432")
    story = Story(PostgresDestination(parse_url(url)))
    story.plan()
    item = A | {"text": {"S": "ä€😀\\"}, "n": {"N": "0.1"}, "b": {"B": "/wBc"}}
    story.tail(put(item))
    assert story.destination.query(
        "SELECT text, '2026-02-03 04:05:06+00'::timestamptz::text AS at, "
        "interval '1 day 2 s'::text AS span, 0.1::float8::text AS f, b::text AS b FROM orders"
    ).to_pylist() == [
        {
            "text": "ä€😀\\",
            "at": "2026-02-03 04:05:06+00",
            "span": "1 day 00:00:02",
            "f": "0.1",
            "b": "\\xff005c",
        }
    ]


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("PGCONNECT_TIMEOUT", "soon", "The option connect_timeout is not allowed"),
        ("PGOPTIONS", "-c nothing=1", "The option nothing is not allowed"),
        ("PGOPTIONS", "--nothing", "The option options is not allowed"),
        ("PGOPTIONS", "-c role=nobody", "there is no such role"),
        ("PGTZ", "Nowhere/Nothing", "The option timezone is not allowed"),
        ("PGDATESTYLE", "canary", "The option datestyle is not allowed"),
        ("PGTARGETSESSIONATTRS", "canary", "The option target_session_attrs is not allowed"),
        ("PGREQUIREAUTH", "canary", "The option require_auth is not allowed"),
        ("PGSSLMODE", "canary", "The option sslmode is not allowed"),
        ("PGREQUIREPEER", "nobody", "The option requirepeer is not allowed"),
        ("PGCHANNELBINDING", "require", "The option channel_binding is not allowed"),
        ("PGMINPROTOCOLVERSION", "9", "The option min_protocol_version is not allowed"),
        ("PGSERVICE", "nowhere", "The service definition for"),
        ("PGPORT", "canary", "The option port is not allowed"),
    ],
)
@pytest.mark.usefixtures("impatient")
def test_a_variable_that_cannot_be_is_named(postgres, variable, value, said):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(variable, value)
        with pytest.raises(DestinationRefused, match=said) as caught:
            checked(PostgresDestination(postgres.parsed))
    assert caught.value.hint
    assert "canary" not in str(caught.value)
    assert caught.value.__context__ is None


@pytest.mark.parametrize(
    ("more", "works"), [("", True), ("client_encoding=LATIN1\n", True), ("canary=1\n", False)]
)
@pytest.mark.usefixtures("impatient")
def test_a_service_says_where(postgres, tmp_path, more, works):
    folder = urlsplit(postgres.url).query.removeprefix("host=")
    file = tmp_path / "services"
    file.write_text(f"[wh]\nhost={folder}\ndbname={postgres.name}\nuser=postgres\n{more}")
    for url, variables in (
        ("postgresql://?service=wh", {"PGSERVICEFILE": str(file)}),
        ("postgresql://", {"PGSERVICEFILE": str(file), "PGSERVICE": "wh"}),
        ("postgresql://", {"PGSYSCONFDIR": str(tmp_path), "PGSERVICE": "wh"}),
    ):
        shutil.copy(file, tmp_path / "pg_service.conf")
        with pytest.MonkeyPatch.context() as patch:
            for name, value in variables.items():
                patch.setenv(name, value)
            destination = PostgresDestination(parse_url(url))
            if works:
                assert destination.query("SELECT 'ä€😀' AS t").to_pylist() == [{"t": "ä€😀"}]
                continue
            with pytest.raises(DestinationRefused, match="The service definition for") as caught:
                destination.tables()
            assert "canary" not in str(caught.value)


@pytest.mark.parametrize("name", sorted(OPTIONS))
def test_libpq_knows_every_option_that_a_url_may_have(name):
    # The last one wins, so that nothing is called.
    url = f"postgresql://?{name}=1&host=/nowhere&hostaddr="
    with pytest.raises(Error) as caught:
        AdbcConnection(adbc_driver_postgresql.connect(url))
    assert "query parameter" not in str(caught.value)


@pytest.mark.usefixtures("impatient")
def test_a_server_without_a_free_connection_is_tried_later(own):
    url = own.role("ALTER ROLE {role} CONNECTION LIMIT 0")
    try:
        with pytest.raises(Unreachable, match="does not accept connections now"):
            checked(PostgresDestination(parse_url(url)))
    finally:
        own.by_hand(f"DROP ROLE {own.roles.pop()}")


def test_a_server_without_encryption_is_refused_where_it_is_asked_for(own, relay):
    url = own.at("127.0.0.1", relay.port).replace("sslmode=disable", "sslmode=require")
    with pytest.raises(DestinationRefused, match="encrypted") as caught:
        checked(PostgresDestination(parse_url(url)))
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
        ("postgresql://u@localhost/d", {"PGHOSTADDR": "10.0.0.1"}, True),
        ("postgresql://u@localhost/d?hostaddr=127.0.0.1", {"PGHOSTADDR": "10.0.0.1"}, False),
        ("postgresql://u@%2Frun%2Cdb.example.com/d", {}, True),
        ("postgresql://u@127.0.0.1,/d?hostaddr=127.0.0.1,10.0.0.1", {}, True),
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


WITHOUT_THE_EXTRA = """
import sys
sys.modules.update(adbc_driver_postgresql=None, adbc_driver_manager=None)
from connector import config, job
from connector.errors import ConfigError
try:
    job.open_destination(config.load(to="postgresql:///d", tables=["orders"], environment={}))
except ConfigError as error:
    print(error.hint)
    sys.exit(error.exit_code)
"""


def test_without_the_extra_the_hint_names_it():
    # In a process of its own: modules that are imported twice are two of each for other tests.
    run = subprocess.run([sys.executable, "-c", WITHOUT_THE_EXTRA], capture_output=True, text=True)
    assert run.returncode == 2, run.stderr
    assert "pip install '.[postgres]'" in run.stdout
    assert "pip install 'adbc-driver-postgresql'" in run.stdout
