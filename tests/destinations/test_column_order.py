"""Where a table's columns stand: the key, what was first seen, and ours; nothing is lost for it."""

from pathlib import Path

import pytest

from connector.core.spec import TableSpec
from connector.destinations.duckdb.file import DuckDBDestination
from tests.rigs import duckdb_file
from tests.rigs.postgres import Database

from .postgres_story import told
from .story import Story, delete, put

pytestmark = pytest.mark.by_turns("make_real")

KEY = {"id": {"S": "a"}}
FIRST = KEY | {"total": {"N": "1"}, "note": {"S": "x"}}
OURS = ["_changed_at", "_commit"]


@pytest.fixture
def story(make_real) -> Story:
    """A planned table in each database."""
    told = Story(make_real())
    told.plan()
    return told


def columns(story: Story) -> list[str]:
    """The table's columns in their order."""
    return story.destination.query("SELECT * FROM orders LIMIT 0").column_names


def test_the_key_is_first_then_what_was_seen_then_ours(story):
    story.load(story.page(FIRST))
    assert columns(story) == ["id", "total", "note", *OURS]
    story.shows(FIRST)


def test_the_first_change_of_the_stream_orders_them_too(story):
    story.tail(put(FIRST))
    story.load(story.page({"id": {"S": "b"}, "later": {"BOOL": True}}))
    assert columns(story) == ["id", "total", "note", *OURS, "later"]
    story.shows(FIRST, {"id": {"S": "b"}, "later": {"BOOL": True}})


def test_a_later_column_stands_at_the_end(story):
    story.load(story.page(FIRST))
    story.tail(put(FIRST | {"more": {"N": "2"}}))
    assert columns(story) == ["id", "total", "note", *OURS, "more"]
    story.shows(FIRST | {"more": {"N": "2"}})


def test_a_table_of_keys_alone_waits_for_its_first_column(story):
    story.tail(delete(KEY))
    assert columns(story) == ["id", *OURS]
    story.load()
    story.tail(put(FIRST))
    assert columns(story) == ["id", "total", "note", *OURS]
    story.shows(FIRST)


def test_what_is_only_sometimes_there_stands_behind_the_others(make_real):
    story = Story(make_real(), spec=TableSpec(max_columns=2))
    story.plan()
    story.load(story.page(FIRST))
    assert columns(story)[:4] == ["id", "total", *OURS]
    assert columns(story)[4:] == ["_rest"]
    story.shows(FIRST)


def in_duckdb(path: Path, *statements: str) -> None:
    with duckdb_file.opened(path) as connection:
        for statement in statements:
            connection.execute(statement)


@pytest.mark.parametrize(
    ("made", "kept"),
    [
        ("CREATE INDEX mine ON orders (_commit)", True),
        ("COMMENT ON COLUMN orders._commit IS 'mine'", True),
        ("ALTER TABLE orders ADD COLUMN mine INTEGER", True),
        ("CREATE VIEW mine AS SELECT id, _commit FROM orders", False),
    ],
)
def test_in_duckdb_what_somebody_has_made_stays(tmp_path, made, kept):
    path = tmp_path / "warehouse.duckdb"
    story = Story(DuckDBDestination(path))
    story.plan()
    in_duckdb(path, made)
    story.load(story.page(FIRST))
    story.shows(FIRST)
    found = columns(story)
    assert (found.index("_commit") < found.index("total")) is kept
    if "VIEW" in made:
        assert story.destination.query("SELECT id FROM mine").to_pylist() == [{"id": "a"}]


@pytest.mark.parametrize(
    "made",
    [
        "CREATE INDEX mine ON orders (_commit)",
        "CREATE VIEW mine AS SELECT id, _commit FROM orders",
        "CREATE VIEW mine AS SELECT * FROM orders",
        "CREATE MATERIALIZED VIEW mine AS SELECT max(_changed_at) FROM orders",
        "COMMENT ON COLUMN orders._changed_at IS 'mine'",
        "GRANT SELECT (_commit) ON orders TO public",
        "ALTER TABLE orders ADD COLUMN mine integer",
        "CREATE STATISTICS mine ON id, _commit FROM orders",
        "CREATE TABLE parent (_commit bigint); ALTER TABLE orders INHERIT parent",
        "ALTER TABLE orders ADD CHECK (_commit > 0)",
    ],
)
def test_in_postgres_what_somebody_has_made_stays(postgres: Database, made: str):
    story = told(postgres)
    postgres.by_hand(*made.split("; "), "SELECT 1")
    story.load(story.page(FIRST))
    story.shows(FIRST)
    found = columns(story)
    assert found.index("_commit") < found.index("total")


def test_in_postgres_a_grant_on_the_table_holds_for_the_new_order(postgres: Database):
    story = told(postgres)
    role = postgres.role("GRANT SELECT ON orders TO {role}", password="p")
    story.load(story.page(FIRST))
    assert columns(story) == ["id", "total", "note", *OURS]
    name = postgres.roles[-1]
    sql = f"SELECT has_column_privilege('{name}', 'orders', '_commit', 'SELECT')"
    assert role
    assert postgres.by_hand(sql) == [(True,)]
