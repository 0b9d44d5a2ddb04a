"""Tables and their state in Postgres: changed by hand, read by hand, and by queries."""

import re
from decimal import Decimal

import pytest

from connector.core.cursors import Quarantined
from connector.core.state import STATE_VERSION
from connector.destinations.postgres.server import PostgresDestination
from connector.errors import (
    ConfigError,
    ConnectorError,
    DestinationRefused,
    StateRefused,
)
from tests.rigs.postgres import Database

from .items import SECRET, A, B
from .needs import checked
from .postgres_story import told
from .story import EPOCH, SHARD, Story, delete, put


@pytest.fixture
def story(postgres: Database) -> Story:
    return told(postgres)


@pytest.mark.parametrize(
    ("change", "told_of"),
    [
        ("ALTER TABLE orders DROP n", "'n' should be bigint and is gone"),
        (
            "ALTER TABLE orders ALTER n TYPE numeric(9,2)",
            "'n' should be bigint and is numeric(9,2)",
        ),
        ("ALTER TABLE orders DROP _commit", "'_commit' should be bigint and is gone"),
        ("ALTER TABLE orders RENAME n TO m", "'n' should be bigint and is gone"),
        ("ALTER TABLE orders DROP CONSTRAINT orders_pkey", "primary key"),
        ("DROP TABLE orders", "gone"),
    ],
)
def test_a_table_changed_by_hand_is_refused(story, postgres, change, told_of):
    story.tail(put(A))
    postgres.by_hand(change)
    for use in (
        lambda: story.tail(put(B)),
        lambda: story.load(story.page(B)),
        lambda: list(story.destination.rows("orders")),
        lambda: story.destination.count("orders"),
    ):
        with pytest.raises(DestinationRefused, match=re.escape(told_of)):
            use()


def test_a_column_added_by_hand_is_left_alone(story, postgres):
    story.tail(put(A))
    postgres.by_hand("ALTER TABLE orders ADD COLUMN mine text DEFAULT 'x'")
    story.tail(put(B | {"mine": {"S": "theirs"}}), put(A | {"n": {"N": "3"}}))
    c = {"id": {"S": "c"}}
    story.load(story.page(c), story.page(c))
    assert postgres.by_hand("SELECT id, mine FROM orders ORDER BY id") == [
        ("a", "x"),
        ("b", "x"),
        ("c", "x"),
    ]
    story.refresh()
    story.load(story.page(A, B))
    story.shows(A, B)
    assert postgres.by_hand("SELECT DISTINCT mine FROM orders") == [("x",)]


@pytest.mark.parametrize(
    ("change", "item", "state"),
    [
        ("ALTER TABLE orders ALTER n SET NOT NULL", {}, "23502"),
        ("ALTER TABLE orders ADD CHECK (n < 2)", {"n": {"N": "5"}}, "23514"),
        ("CREATE UNIQUE INDEX ON orders ((1))", {}, "23505"),
        ("CREATE VIEW v AS SELECT n FROM orders", {"n": {"S": SECRET}}, "0A000"),
    ],
)
def test_what_stands_in_the_way_is_named_without_a_value(story, postgres, change, item, state):
    story.tail(put(A))
    postgres.by_hand(change)
    with pytest.raises(DestinationRefused, match=state) as caught:
        story.tail(put({"id": {"S": SECRET}} | item))
    assert caught.value.hint
    assert SECRET not in repr(caught.value) + str(caught.value)
    # What the driver says does quote it.
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None
    story.shows(A)


def test_no_name_ends_the_block_that_makes_the_key(postgres):
    name = "a$try0$ b'; END $try1$"
    story = Story(PostgresDestination(postgres.parsed), target=name)
    story.plan()
    assert story.load(story.page(A, B), story.page(A)).written == 2
    assert postgres.by_hand(f'SELECT id FROM "{name}" ORDER BY id') == [("a",), ("b",)]


def test_what_is_no_table_is_refused(postgres):
    postgres.by_hand("CREATE VIEW orders AS SELECT 1 AS id")
    with pytest.raises(DestinationRefused, match="is not a table"):
        told(postgres)


def test_a_table_of_somebody_else_is_refused_untouched(postgres):
    postgres.by_hand("CREATE TABLE orders AS SELECT 'mine' AS id")
    with pytest.raises(DestinationRefused, match="not created by the connector"):
        told(postgres)
    assert postgres.by_hand("SELECT id FROM orders") == [("mine",)]
    assert PostgresDestination(postgres.parsed).tables() == []


def test_81_a_newer_state_is_refused_untouched(story, postgres):
    story.tail(put(A))
    postgres.by_hand(f"UPDATE _connector.tables SET state_version = {STATE_VERSION + 1}")
    destination = story.destination
    for use in (
        story.plan,
        story.refresh,
        story.state,
        destination.tables,
        lambda: checked(destination),
        lambda: story.tail(put(B)),
        lambda: story.load(story.page(B)),
        lambda: destination.reset("orders", drop=True),
        lambda: list(destination.rows("orders")),
    ):
        with pytest.raises(StateRefused, match=f"version {STATE_VERSION + 1}"):
            use()
    assert postgres.by_hand("SELECT id FROM orders") == [("a",)]


@pytest.mark.parametrize(
    "damage",
    [
        "DROP TABLE _connector.tables",
        "DROP TABLE _connector.cursors",
        "ALTER TABLE _connector.cursors DROP token",
        "ALTER TABLE _connector.tables DROP generation",
        "ALTER TABLE _connector.tables ALTER generation TYPE text",
        "ALTER TABLE _connector.tables ALTER state_version TYPE text",
        "UPDATE _connector.tables SET phase = 'sleeping'",
        "UPDATE _connector.tables SET keys = '{'",
        "UPDATE _connector.columns SET type = 'float'",
    ],
)
def test_81_a_damaged_state_is_refused(story, postgres, damage):
    postgres.by_hand(damage)
    with pytest.raises(StateRefused) as caught:
        story.state()
    assert caught.value.hint
    with pytest.raises(StateRefused):
        story.tail(put(A))
    assert postgres.by_hand("SELECT count(*) FROM orders") == [(0,)]


def test_the_state_has_keys(story, postgres):
    rows = postgres.by_hand(
        "SELECT conrelid::regclass::text FROM pg_constraint k JOIN pg_namespace n "
        "ON n.oid = k.connamespace WHERE n.nspname = '_connector' AND k.contype = 'p' ORDER BY 1"
    )
    keyed = ["columns", "cursors", "migrations", "runs", "tables", "target_columns", "targets"]
    assert [name for (name,) in rows] == [f"_connector.{each}" for each in keyed]


def test_tombstones_and_quarantine_can_be_seen(story, postgres):
    story.tail(delete(A), quarantined=[Quarantined(SHARD, "why", "{}", '["a"]', "5")])
    assert postgres.by_hand('SELECT table_name, key, "commit" FROM _connector.tombstones') == [
        ("orders", '["a"]', 2)
    ]
    story.load(story.page(A))
    story.shows()
    assert postgres.by_hand("SELECT key FROM _connector.tombstones") == []


def test_a_query_can_only_read(story, postgres):
    story.tail(put(A))
    query = story.destination.query
    assert query("SELECT id, n * 1.5 AS x, _changed_at FROM orders").to_pylist() == [
        {"id": "a", "x": Decimal("1.5"), "_changed_at": EPOCH.replace(second=1)}
    ]
    assert query("EXPLAIN SELECT 1").num_rows
    assert query("SHOW search_path").to_pylist() == [{"search_path": '"public", pg_temp'}]
    assert query("SELECT 'NaN'::numeric AS x").to_pylist() == [{"x": "NaN"}]
    for refused in (
        "DELETE FROM orders",
        "INSERT INTO orders (id) VALUES ('x')",
        "WITH gone AS (DELETE FROM orders RETURNING 1) SELECT * FROM gone",
        "CREATE TABLE mine (a int)",
        "SELECT nothing FROM orders",
        "SELEC",
        "SELECT 1; DELETE FROM orders",
        "SELECT $1",
        "SELECT 1\0",
        "SELECT (SELECT id FROM orders)::int",
        "SELECT 1 / 0",
    ):
        with pytest.raises((ConfigError, DestinationRefused)) as caught:
            query(refused)
        assert "\n" not in str(caught.value)
    story.shows(A)


def test_no_query_error_quotes_a_value(story):
    story.tail(put({"id": {"S": SECRET}}))
    with pytest.raises(ConnectorError) as caught:
        story.destination.query("SELECT id::bigint FROM orders")
    assert SECRET not in str(caught.value)
    assert caught.value.__context__ is None
