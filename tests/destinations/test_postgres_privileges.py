"""Privileges and settings of a role in Postgres, as the documentation lists them."""

import pytest

from connector.core.needs import Wanted
from connector.destinations.postgres.server import PostgresDestination
from connector.destinations.registry import parse_url
from connector.errors import (
    DestinationRefused,
)
from tests.rigs.postgres import Database

from .items import A, B
from .needs import checked
from .postgres_story import least, told
from .story import EPOCH, Story, delete, put

ORDERS = Wanted("orders", "orders")


@pytest.fixture
def story(postgres: Database) -> Story:
    return told(postgres)


def test_a_role_needs_only_the_documented_privileges(postgres):
    url = least(postgres)
    assert "PostgreSQL" in checked(PostgresDestination(parse_url(url), "warehouse"))
    story = told(postgres, url, schema="warehouse", max_columns=2)
    story.tail(put(A), delete(B))
    story.load(story.page(B, {"id": {"S": "c"}, "x": {"S": "y"}, "z": {"N": "1"}}))
    story.tail(put(A | {"n": {"S": "text"}}))
    story.refresh()
    story.load(story.page(A))
    story.shows(A)
    assert story.destination.query("SELECT count(*) AS n FROM orders").to_pylist() == [{"n": 1}]
    story.destination.note("orders", "problem")
    story.destination.reset("orders", drop=True)
    assert story.destination.tables() == []
    (superuser,) = postgres.by_hand(
        f"SELECT rolsuper FROM pg_roles WHERE rolname = '{postgres.roles[0]}'"
    )
    assert superuser == (False,)


@pytest.mark.parametrize(
    "lacking",
    [
        "REVOKE CREATE ON SCHEMA warehouse FROM {role}",
        "REVOKE USAGE ON SCHEMA warehouse FROM {role}",
        "REVOKE CREATE ON SCHEMA _connector FROM {role}",
        "REVOKE TEMPORARY ON DATABASE {database} FROM {role}",
        "DROP SCHEMA _connector",
        "DROP SCHEMA warehouse",
    ],
)
def test_a_missing_privilege_is_told_by_check(postgres, lacking):
    url = least(postgres)
    postgres.by_hand(lacking.format(role=postgres.roles[0], database=postgres.name))
    with pytest.raises(DestinationRefused, match="42501") as caught:
        checked(PostgresDestination(parse_url(url), "warehouse"))
    assert "privileges" in caught.value.hint


def test_a_role_that_may_make_no_temporary_table_is_no_lost_connection(postgres):
    url = least(postgres)
    story = told(postgres, url, schema="warehouse")
    postgres.by_hand(f"REVOKE TEMPORARY ON DATABASE {postgres.name} FROM {postgres.roles[0]}")
    with pytest.raises(DestinationRefused, match="42501"):
        story.tail(put(A))


def test_a_language_that_somebody_forbade_is_told_by_check(postgres):
    """A load needs it; what the language was allowed is no part of a schema, so it is put back."""
    url = least(postgres)
    postgres.by_hand("REVOKE USAGE ON LANGUAGE plpgsql FROM PUBLIC")
    try:
        with pytest.raises(DestinationRefused, match="42501"):
            checked(PostgresDestination(parse_url(url), "warehouse"))
    finally:
        postgres.by_hand("GRANT USAGE ON LANGUAGE plpgsql TO PUBLIC")


def test_a_table_of_another_role_is_told_by_check(story, postgres):
    url = least(postgres)
    role = postgres.roles[0]
    postgres.by_hand(
        f"GRANT ALL ON SCHEMA public TO {role}",
        f"GRANT ALL ON ALL TABLES IN SCHEMA public, _connector TO {role}",
    )
    with pytest.raises(DestinationRefused, match="belongs to another role"):
        checked(PostgresDestination(parse_url(url)), ORDERS)


def test_row_level_security_never_hides_rows_silently(postgres):
    url = least(postgres)
    story = told(postgres, url, schema="warehouse")
    story.tail(put(A))
    postgres.by_hand(
        "ALTER TABLE warehouse.orders ENABLE ROW LEVEL SECURITY",
        "ALTER TABLE warehouse.orders FORCE ROW LEVEL SECURITY",
    )
    for use in (
        lambda: checked(story.destination, ORDERS),
        lambda: story.destination.count("orders"),
        lambda: story.tail(put(B)),
    ):
        with pytest.raises(DestinationRefused, match="42501"):
            use()


def test_names_are_never_looked_up_in_anothers_schema(postgres):
    url = least(postgres)
    role = postgres.roles[0]
    postgres.by_hand(
        "CREATE SCHEMA evil",
        "CREATE FUNCTION evil.trim_scale(numeric) RETURNS numeric LANGUAGE sql AS 'SELECT 666.0'",
        "CREATE FUNCTION evil.current_setting(text) RETURNS text LANGUAGE sql AS 'SELECT ''no'''",
        f"GRANT USAGE ON SCHEMA evil TO {role}",
        f"ALTER ROLE {role} SET search_path = evil, pg_catalog",
    )
    story = told(postgres, url, schema="warehouse")
    story.tail(put({"id": {"S": "a"}, "n": {"N": "1.5"}}))
    story.shows({"id": {"S": "a"}, "n": {"N": "1.5"}})


def test_settings_of_a_role_do_not_change_what_is_written(postgres):
    url = least(postgres)
    role = postgres.roles[0]
    for name, value in {
        "TimeZone": "'Pacific/Chatham'",
        "bytea_output": "'escape'",
        "client_encoding": "'LATIN1'",
        "default_transaction_isolation": "'serializable'",
        "standard_conforming_strings": "on",
        "DateStyle": "'SQL, DMY'",
        "extra_float_digits": "-5",
    }.items():
        postgres.by_hand(f"ALTER ROLE {role} SET {name} = {value}")
    story = told(postgres, url, schema="warehouse")
    item = {"id": {"S": "€"}, "n": {"N": "1.5"}, "b": {"B": "AP8="}, "m": {"L": [{"S": "漢"}]}}
    story.tail(put(item))
    story.shows(item)
    rows = postgres.by_hand("SELECT extract(epoch FROM _changed_at)::bigint FROM warehouse.orders")
    assert rows == [(int(EPOCH.timestamp()) + 1,)]


def test_a_server_that_is_too_old_is_refused_with_advice(postgres, monkeypatch):
    # Older than any that there is; so no server of the tests must really be old.
    monkeypatch.setattr("connector.destinations.postgres.session.connection.OLDEST", 990_000)
    with pytest.raises(DestinationRefused, match="older than PostgreSQL 99") as caught:
        checked(PostgresDestination(postgres.parsed))
    assert caught.value.hint == "Upgrade it."


@pytest.mark.parametrize("encoding", ["LATIN1", "SQL_ASCII"])
def test_a_database_that_cannot_hold_every_text_is_refused(postgres, encoding):
    name = f"{postgres.name}_{encoding.lower()}"
    template = f"TEMPLATE template0 ENCODING '{encoding}' LOCALE 'C'"
    postgres.by_hand(f"CREATE DATABASE {name} {template}")
    try:
        url = postgres.url.replace(postgres.name, name)
        with pytest.raises(DestinationRefused, match="UTF8"):
            checked(PostgresDestination(parse_url(url)))
    finally:
        postgres.by_hand(f"DROP DATABASE {name} WITH (FORCE)")
