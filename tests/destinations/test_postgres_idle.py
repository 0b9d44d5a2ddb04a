"""Sessions that take over a connection: nothing of the session before is in them."""

import os

import pytest

from connector.destinations.postgres.session import idle
from connector.destinations.postgres.session.connection import PostgresServer
from connector.errors import ConnectorError
from tests.cli.program import wait_until
from tests.rigs.postgres import Database


@pytest.fixture
def server(postgres: Database) -> PostgresServer:
    return PostgresServer(postgres.parsed, lock_timeout=5)


def process(server: PostgresServer) -> int:
    """Which process of the server serves a session."""
    with server.open() as session:
        return session.process


def alive(postgres: Database) -> list[tuple[int]]:
    """The processes that serve sessions of the connector, under way or not."""
    return postgres.by_hand(
        "SELECT pid FROM pg_stat_activity WHERE application_name = 'connector' "
        "AND datname = current_database()"
    )


def test_the_next_session_takes_over_the_connection(
    server: PostgresServer, postgres: Database
) -> None:
    first = process(server)
    assert process(server) == first
    assert alive(postgres) == [(first,)]
    sql = "SELECT state FROM pg_stat_activity WHERE pid = " + str(first)
    assert postgres.by_hand(sql) == [("idle",)]


def test_nothing_of_a_session_is_in_the_next_one(server: PostgresServer) -> None:
    with server.open() as session:
        session.execute("CREATE TEMP TABLE mine (id int)")
        session.execute("SELECT set_config('TimeZone', 'Asia/Tokyo', false)")
        session.execute("SELECT set_config('my.own', 'x', false)")
        session.execute("SELECT pg_advisory_lock(7)")
        session.commit()
    with server.open() as session:
        (found,) = session.run(
            "SELECT to_regclass('pg_temp.mine')::text AS mine, current_setting('TimeZone') AS zone,"
            " nullif(current_setting('my.own', true), '') AS own, (SELECT count(*) FROM pg_locks"
            " WHERE locktype = 'advisory' AND pid = pg_backend_pid()) AS locks"
        )
    assert found == {"mine": None, "zone": "UTC", "own": None, "locks": 0}


def test_what_was_not_committed_is_rolled_back(server: PostgresServer, postgres: Database) -> None:
    with server.open() as session:
        session.execute("CREATE TABLE public.mine (id int)")
    assert postgres.by_hand("SELECT to_regclass('public.mine')::text") == [(None,)]


def test_a_connection_is_not_taken_over_after_an_error(server: PostgresServer) -> None:
    with pytest.raises(ConnectorError), server.open() as session:
        before = session.process
        session.execute("SELECT 1 / 0")
    assert process(server) != before


def test_one_that_the_server_has_ended_is_replaced(
    server: PostgresServer, postgres: Database
) -> None:
    before = process(server)
    postgres.by_hand(f"SELECT pg_terminate_backend({before}, 10000)")
    assert process(server) != before


def test_one_that_waits_for_too_long_is_closed(
    server: PostgresServer, postgres: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = process(server)
    monkeypatch.setattr(idle, "_SECONDS", 0.0)
    assert process(server) != before
    wait_until(lambda: (before,) not in alive(postgres))


def test_another_way_has_another_connection(
    server: PostgresServer, postgres: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = process(server)
    monkeypatch.setenv("PGAPPNAME", "another")
    assert process(server) != before
    monkeypatch.delenv("PGAPPNAME")
    assert process(server) == before
    assert process(PostgresServer(postgres.parsed, lock_timeout=7)) == before


def test_of_many_ways_the_last_ones_wait(
    server: PostgresServer, postgres: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = []
    for number in range(idle._AT_MOST + 2):
        monkeypatch.setenv("PGOPTIONS", f"-c my.own={number}")
        found.append((process(server),))
    wait_until(lambda: sorted(alive(postgres)) == sorted(found[2:]))


def test_a_fork_has_none(server: PostgresServer, postgres: Database) -> None:
    before = process(server)
    child = os.fork()
    if not child:
        os._exit(len(idle._waiting))
    assert os.waitpid(child, 0)[1] == 0
    wait_until(lambda: (before,) not in alive(postgres))
    assert process(server) != before
