"""Tables and their state in a DuckDB file: changed by hand, read by hand, and by queries."""

import re
from pathlib import Path

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connector.core.cursors import Quarantined
from connector.core.keys import KeyAttribute
from connector.core.state import STATE_VERSION
from connector.destinations.duckdb.file import DuckDBDestination
from connector.destinations.duckdb.types import duckdb_fold
from connector.destinations.sql import quoted
from connector.errors import (
    ConfigError,
    ConnectorError,
    CursorMoved,
    DestinationRefused,
    StateRefused,
)
from tests.rigs import duckdb_file

from .items import SECRET, A, B
from .needs import checked
from .story import EPOCH, SHARD, Story, delete, put


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "warehouse.duckdb"


@pytest.fixture
def story(path: Path) -> Story:
    told = Story(DuckDBDestination(path, lock_timeout=0.2, run_id="run-1", command="sync"))
    told.plan()
    return told


def _has_utf8(text: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in text)


def by_hand(path: Path, *statements: str) -> list[tuple]:
    """Runs statements as another user of the file would; returns the last answer."""
    with duckdb_file.opened(path) as connection:
        for statement in statements[:-1]:
            connection.execute(statement)
        answer = connection.sql(statements[-1])
        return [tuple(row.values()) for row in answer.to_arrow_table().to_pylist()]


def test_81_a_newer_state_is_refused_untouched(story, path):
    story.tail(put(A))
    by_hand(path, f"UPDATE _connector.tables SET state_version = {STATE_VERSION + 1}")
    before = by_hand(path, "FROM _connector.tables")
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
    assert by_hand(path, "FROM _connector.tables") == before
    assert by_hand(path, "SELECT id FROM orders") == [("a",)]


@pytest.mark.parametrize(
    "damage",
    [
        "DROP TABLE _connector.tables",
        "DROP TABLE _connector.cursors",
        "ALTER TABLE _connector.cursors DROP token",
        "ALTER TABLE _connector.tables DROP generation",
        "ALTER TABLE _connector.tables ALTER generation TYPE TEXT USING 'x'",
        "ALTER TABLE _connector.tables ALTER state_version TYPE TEXT USING 'x'",
        "UPDATE _connector.tables SET phase = 'sleeping'",
        "UPDATE _connector.tables SET keys = '{'",
        "UPDATE _connector.tables SET planned_at = NULL",
        "UPDATE _connector.columns SET type = 'float'",
        "INSERT INTO _connector.tables FROM _connector.tables",
        "INSERT INTO _connector.cursors FROM _connector.cursors",
    ],
)
def test_81_a_damaged_state_is_refused(story, path, damage):
    by_hand(path, damage)
    with pytest.raises(StateRefused) as caught:
        story.state()
    assert caught.value.hint
    with pytest.raises(StateRefused):
        story.tail(put(A))
    assert by_hand(path, "SELECT count(*) FROM orders") == [(0,)]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("ALTER TABLE orders DROP n", "'n' should be BIGINT and is gone"),
        ("ALTER TABLE orders ALTER n TYPE DOUBLE", "'n' should be BIGINT and is DOUBLE"),
        ("ALTER TABLE orders DROP _commit", "'_commit' should be BIGINT and is gone"),
        ("DROP TABLE orders", "gone"),
    ],
)
def test_a_column_changed_by_hand_is_refused(story, path, change, told):
    story.tail(put(A))
    by_hand(path, change)
    for use in (
        lambda: story.tail(put(B)),
        lambda: story.load(story.page(B)),
        lambda: list(story.destination.rows("orders")),
    ):
        with pytest.raises(DestinationRefused, match=re.escape(told)):
            use()


def test_a_column_added_by_hand_is_left_alone(story, path):
    story.tail(put(A))
    by_hand(path, "ALTER TABLE orders ADD COLUMN Mine VARCHAR DEFAULT 'x'")
    story.tail(put(B | {"mine": {"S": "theirs"}}), put(A | {"n": {"N": "3"}}))
    story.shows(A | {"n": {"N": "3"}}, B | {"mine": {"S": "theirs"}})
    story.load(story.page({"id": {"S": "c"}}))
    assert by_hand(path, "SELECT id, Mine FROM orders ORDER BY id") == [
        ("a", "x"),
        ("b", "x"),
        ("c", "x"),
    ]


def test_a_table_of_somebody_else_is_refused_untouched(path):
    by_hand(path, "CREATE TABLE Orders AS SELECT 'mine' AS id")
    with pytest.raises(DestinationRefused, match="not created by the connector") as caught:
        Story(DuckDBDestination(path)).plan()
    assert "into" in caught.value.hint
    assert by_hand(path, "FROM Orders") == [("mine",)]
    assert DuckDBDestination(path).tables() == []


def test_a_table_of_another_key_is_refused(story):
    story.tail(put(A))
    other = Story(story.destination, (KeyAttribute("id", "N"),))
    with pytest.raises(DestinationRefused, match="key"):
        other.plan("plan-2", "plan-1")
    story.destination.reset("orders", drop=False)
    with pytest.raises(DestinationRefused, match="another key"):
        other.plan()
    story.destination.reset("orders", drop=True)


def test_the_state_has_a_schema_of_its_own(path):
    with pytest.raises(DestinationRefused, match="_connector"):
        Story(DuckDBDestination(path, "_Connector")).plan()


def test_a_schema_is_made_where_absent(path):
    story = Story(DuckDBDestination(path, 'my "schema"'))
    story.plan()
    story.tail(put(A))
    assert by_hand(path, 'SELECT id FROM "my ""schema""".orders') == [("a",)]


def test_a_plan_may_move_the_table_elsewhere(story, path):
    story.load(story.page(A))
    last = story.state().commit
    story.target = "elsewhere"
    assert story.refresh().start_commit > last
    assert by_hand(path, "SELECT id FROM elsewhere") == [("a",)]
    story.load(story.page(B))
    story.shows(B)
    assert by_hand(path, "SHOW TABLES") == [("elsewhere",)]


def test_service_columns_are_filled(story, path):
    story.tail(put(A))
    story.load(story.page(B))
    rows = by_hand(path, "SELECT id, _commit, epoch(_changed_at) FROM orders ORDER BY id")
    assert rows == [("a", 2, EPOCH.timestamp() + 1), ("b", 3, EPOCH.timestamp())]


def test_duplicates_of_a_load_are_repaired_with_every_column(story, path):
    by_hand(path, "ALTER TABLE orders ADD COLUMN mine VARCHAR DEFAULT 'x'")
    pages = [story.page(A, B | {"v": {"M": {"x": {"N": "1.50"}}}}), story.page(A, B)]
    pages.append(story.page(A | {"n": {"N": "9"}}, at=EPOCH.replace(year=2031)))
    assert story.load(*pages).written == 2
    assert by_hand(path, "SELECT id, _commit, mine FROM orders ORDER BY id") == [
        ("a", 2, "x"),
        ("b", 2, "x"),
    ]
    assert story.items()['["a"]']["n"] == "number 9"


def test_tombstones_and_quarantine_can_be_seen(story, path):
    story.tail(delete(A), quarantined=[Quarantined(SHARD, "why", "{}", '["a"]', "5")])
    assert by_hand(path, 'SELECT table_name, key, "commit" FROM _connector.tombstones') == [
        ("orders", '["a"]', 2)
    ]
    wanted = 'SELECT generation, "commit", partition, sequence, key, reason, raw'
    assert by_hand(path, f"{wanted} FROM _connector.quarantine") == [
        (1, 2, SHARD, "5", '["a"]', "why", "{}")
    ]
    story.load(story.page(A))
    assert by_hand(path, "FROM _connector.tombstones") == []


def test_runs_add_up(story, path):
    story.tail(put(A), put(B), quarantined=[Quarantined(SHARD, "why", "{}")])
    story.tail(delete(A))
    story.load(story.page({"id": {"S": "c"}}))
    with pytest.raises(CursorMoved):
        story.load(story.page(A))
    columns = "run_id, table_name, command, commits, written, deleted, quarantined"
    assert by_hand(path, f"SELECT {columns} FROM _connector.runs") == [
        ("run-1", "orders", "sync", 4, 3, 1, 1)
    ]


def test_a_query_can_only_read(story, tmp_path):
    story.tail(put(A))
    query = story.destination.query
    assert query("SELECT id FROM orders").to_pylist() == [{"id": "a"}]
    assert query("SELECT _changed_at FROM orders").schema.field(0).type.tz == "UTC"
    (tmp_path / "secret.csv").write_text("secret\n1\n")
    for refused in (
        "DELETE FROM orders",
        "SELECT nothing FROM orders",
        "SELEC",
        f"FROM read_csv('{tmp_path}/secret.csv')",
        f"COPY orders TO '{tmp_path}/out.csv'",
        f"ATTACH '{tmp_path}/other.duckdb'",
        "SET enable_external_access = true",
        "INSTALL httpfs",
    ):
        with pytest.raises(ConfigError):
            query(refused)
    story.shows(A)
    assert not (tmp_path / "out.csv").exists()
    assert not (tmp_path / "other.duckdb").exists()


def test_no_error_quotes_a_value(story, path):
    story.tail(put({"id": {"S": SECRET}}))
    with pytest.raises(ConnectorError) as caught:
        story.destination.query("SELECT id::BIGINT FROM orders")
    assert SECRET not in str(caught.value)
    by_hand(path, "ALTER TABLE orders ADD COLUMN mine VARCHAR", "UPDATE orders SET mine = 'x'",
            "ALTER TABLE orders ALTER mine SET NOT NULL")  # fmt: skip
    with pytest.raises(DestinationRefused) as caught:
        story.tail(put({"id": {"S": SECRET + "2"}}))
    assert SECRET not in str(caught.value)
    story.shows({"id": {"S": SECRET}})


@settings(max_examples=30, deadline=None)
@given(names=st.lists(st.text(min_size=1).filter(_has_utf8), min_size=1, max_size=4))
def test_a_quoted_name_is_that_name_and_nothing_else(names):
    columns = {duckdb_fold(name): name for name in names}.values()
    with duckdb.connect() as connection:
        connection.execute(f"CREATE TABLE t ({', '.join(f'{quoted(n)} INT' for n in columns)})")
        found = connection.execute("SELECT column_name FROM information_schema.columns").fetchall()
    assert [name for (name,) in found] == list(columns)


def test_an_empty_name_is_refused():
    with pytest.raises(DestinationRefused):
        quoted("main", "")
