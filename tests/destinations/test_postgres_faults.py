"""A server that goes away, comes back, has no room, or lets nobody in; and the way to it."""

import getpass
import logging
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from threading import Thread

import pyarrow as pa
import pytest

from connector import config as configuration
from connector import job
from connector.config_url import DestinationUrl
from connector.core.rows import CHANGED_AT, field_of
from connector.core.schema import STRING
from connector.core.state import Load
from connector.destinations import postgres as destination_module
from connector.destinations.postgres import PostgresDestination
from connector.destinations.postgres_url import libpq_url
from connector.errors import ConfigError, ConnectorError, DestinationRefused, DiskFull, Unreachable
from tests.rigs.postgres import Database, Server, administer, database, wait_until
from tests.rigs.relay import Fault, Relay

from .story import EPOCH, SEGMENT, Story, delete, put

A = {"id": {"S": "a"}, "n": {"N": "1"}}
B = {"id": {"S": "b"}, "n": {"N": "2"}}
CANARY = "canary-password"

# The transaction that sets the connection up is committed as well.
ONLY_THE_LAST = 2


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A server that these tests may stop."""
    started = Server()
    yield started
    started.stop()


@pytest.fixture
def own(server: Server) -> Iterator[Database]:
    """A database on it."""
    with database(server.url) as made:
        yield made


@pytest.fixture
def relay(server: Server) -> Iterator[Relay]:
    with Relay(server.socket) as started:
        yield started


@pytest.fixture
def story(own: Database, relay: Relay) -> Story:
    """A planned table behind the relay; without patience, where a test needs none."""
    url = DestinationUrl.parse(own.at("127.0.0.1", relay.port))
    told = Story(PostgresDestination(url, lock_timeout=5, run_id="run"))
    told.plan()
    return told


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is tried again."""
    monkeypatch.setattr(destination_module, "AGAIN_SECONDS", 0.0)


def commits(own: Database) -> int:
    """How many commits the runs say they made."""
    return own.by_hand("SELECT coalesce(sum(commits), 0)::bigint FROM _connector.runs")[0][0]


@pytest.mark.parametrize("arrives", [True, False])
@pytest.mark.usefixtures("impatient")
def test_a_commit_whose_answer_is_lost_is_done_if_it_arrived(story, own, relay, arrives):
    story.tail(put(A))
    relay.fault = Fault(cut=b"COMMIT", cut_at=ONLY_THE_LAST, deliver=arrives)
    batch = story.batch(put(B), delete(A))
    if arrives:
        assert story.destination.commit(batch).commit == 3
    else:
        with pytest.raises(Unreachable):
            story.destination.commit(batch)
        story.shows(A)
        assert commits(own) == 2
        assert story.destination.commit(batch).commit == 3
    assert relay.resets == 1
    story.shows(B)
    assert commits(own) == 3


def test_a_commit_that_did_not_arrive_is_tried_again(story, own, relay):
    relay.fault = Fault(cut=b"COMMIT", cut_at=ONLY_THE_LAST, deliver=False)
    story.tail(put(A))
    assert relay.resets == 1
    story.shows(A)
    assert commits(own) == 2


@pytest.mark.parametrize("arrives", [True, False])
def test_a_plan_whose_answer_is_lost_is_made_once(own, relay, arrives):
    url = DestinationUrl.parse(own.at("127.0.0.1", relay.port))
    relay.fault = Fault(cut=b"COMMIT", cut_at=ONLY_THE_LAST, deliver=arrives)
    story = Story(PostgresDestination(url))
    assert story.plan().generation == 1
    assert relay.resets == 1
    story.tail(put(A))
    story.shows(A)


@pytest.mark.parametrize("arrives", [True, False])
def test_a_load_whose_answer_is_lost_is_done_if_it_arrived(story, own, relay, arrives):
    story.tail(put(A))
    relay.fault = Fault(cut=b"COMMIT", cut_at=ONLY_THE_LAST, deliver=arrives)
    if not arrives:
        with pytest.raises(Unreachable) as caught:
            story.load(story.page(A, B))
        assert caught.value.exit_code == 4
        story.shows(A)
    assert story.load(story.page(A, B)).written == 1
    story.shows(A, B)
    assert commits(own) == 3


def test_nobody_knowing_what_became_of_a_commit_is_no_success(story, own, relay, monkeypatch):
    monkeypatch.setattr(destination_module, "AGAIN_SECONDS", 0.0)
    monkeypatch.setattr("connector.destinations.postgres_connection.ANSWER_SECONDS", 0.0)
    relay.fault = Fault(cut=b"COMMIT", cut_at=ONLY_THE_LAST)
    with pytest.raises(Unreachable):
        story.tail(put(A))
    # It did arrive: the next run finds the cursor moved, and reads on from there.
    wait_until(lambda: commits(own) == 2)
    story.cursor = story.state().cursors["shard/a"]
    assert story.cursor.token == "1"
    story.tail(put(B))
    story.shows(A, B)


@pytest.mark.parametrize("after", [3000, 6000, 9000, 12000, 15000])
def test_a_reset_anywhere_is_made_good(story, own, relay, after):
    relay.fault = Fault(reset_after=relay.sent + after)
    story.tail(put(A), delete(B))
    story.tail(put(B), put(A | {"new": {"S": "x"}}))
    assert relay.resets == 1
    story.shows(A | {"new": {"S": "x"}}, B)
    assert commits(own) == 3


def test_a_slow_way_changes_nothing(story, relay):
    relay.fault = Fault(latency=0.01)
    story.tail(put(A))
    story.load(story.page(A, B))
    story.shows(A, B)


@pytest.mark.usefixtures("impatient")
def test_a_server_that_never_answers_is_unreachable(own, relay):
    relay.fault = Fault(black_hole=True)
    url = own.at("127.0.0.1", relay.port) + "&connect_timeout=2"
    destination = PostgresDestination(DestinationUrl.parse(url))
    for use in (destination.check, lambda: destination.read("orders"), Story(destination).plan):
        with pytest.raises(Unreachable):
            use()


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


def pages(story: Story, count: int, meanwhile: object = None) -> Iterator[pa.Table]:
    """Pages of a load; something happens after the first."""
    for number in range(count):
        ids = [f"{number}-{row}" for row in range(1000)]
        times = pa.array([EPOCH] * 1000, CHANGED_AT.type)
        schema = pa.schema([field_of("id", STRING), field_of("text", STRING), CHANGED_AT])
        yield pa.table([ids, ["x" * 100] * 1000, times], schema=schema)
        if number == 0 and meanwhile:
            meanwhile()


def load_of(story: Story) -> Load:
    schema = {"id": STRING, "text": STRING}
    return Load("orders", story.generation, story.plan_id, schema, [SEGMENT], EPOCH)


def test_a_server_that_crashes_amid_a_load_leaves_nothing_of_it(server, own):
    story = Story(PostgresDestination(own.parsed))
    story.plan()
    story.tail(put(A))
    crash = lambda: server.control("-m", "immediate", "restart")  # noqa: E731
    with pytest.raises(Unreachable):
        story.destination.load(load_of(story), pages(story, 5, crash), [])
    story.shows(A)
    assert story.destination.load(load_of(story), pages(story, 5), []).written == 5000
    assert story.destination.count("orders") == 5001


def test_a_commit_waits_for_a_server_that_restarts(server, own):
    story = Story(PostgresDestination(own.parsed))
    story.plan()
    server.control("-m", "fast", "stop")
    starting = Thread(target=server.control, args=["start"])
    starting.start()
    story.tail(put(A))
    starting.join()
    story.shows(A)


def test_a_commit_whose_session_is_ended_is_tried_again(own):
    story = Story(PostgresDestination(own.parsed))
    story.plan()
    own.by_hand(
        "CREATE SEQUENCE ended",
        "CREATE FUNCTION once() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        "PERFORM pg_terminate_backend(pg_backend_pid()) WHERE nextval('public.ended') = 1; "
        "RETURN NEW; END $$",
        "CREATE TRIGGER once BEFORE INSERT ON orders FOR EACH ROW EXECUTE FUNCTION once()",
    )
    story.tail(put(A))
    story.shows(A)
    assert commits(own) == 2
    assert own.by_hand("SELECT last_value FROM ended") == [(2,)]


def test_a_full_disk_is_told_and_leaves_nothing_half_written(server, own):
    folder = Path(tempfile.mkdtemp(prefix="full-"))
    if getpass.getuser() != "root":
        pytest.skip("only root can mount a small disk")
    mount = ["mount", "-t", "tmpfs", "-o", "size=6m,mode=0777", "tmpfs", str(folder)]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("no small disk can be mounted here")
    space = folder / "space"
    try:
        space.mkdir()
        space.chmod(0o777)
        owner = (server.folder / "PG_VERSION").stat()
        os.chown(space, owner.st_uid, owner.st_gid)
        own.by_hand(
            f"CREATE TABLESPACE small LOCATION '{space}'",
            f"ALTER ROLE postgres IN DATABASE {own.name} SET default_tablespace = small",
        )
        story = Story(PostgresDestination(own.parsed))
        story.plan()
        story.tail(put(A))
        with pytest.raises(DiskFull) as caught:
            story.destination.load(load_of(story), pages(story, 60), [])
        assert caught.value.exit_code == 4
        story.shows(A)
        story.load(story.page(B))
        story.shows(A, B)
    finally:
        own.by_hand(
            "DROP SCHEMA public CASCADE",
            "DROP SCHEMA IF EXISTS _connector CASCADE",
            f"ALTER ROLE postgres IN DATABASE {own.name} RESET ALL",
            "DROP TABLESPACE IF EXISTS small",
        )
        subprocess.run(["umount", str(folder)], check=True)
        folder.rmdir()


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
