"""What a destination says of its needs: what is true, one line each, and nothing stays."""

import os
import signal
from pathlib import Path
from threading import Event, Thread

import pytest

from connector.core.keys import KeyAttribute
from connector.core.needs import Need, Wanted
from connector.destinations.postgres.server import PostgresDestination
from connector.destinations.registry import parse_url
from connector.ports import Destination
from tests.rigs.combinations import amount
from tests.rigs.postgres import Database
from tests.rigs.ready import ready

from .items import A, B
from .needs import checked, need
from .postgres_story import least, told, types_of
from .story import Story, put

pytestmark = pytest.mark.by_turns("make_real", "kind")

ORDERS = Wanted("orders", "orders", (KeyAttribute("id", "S"),))


def bad(destination: Destination, *tables: Wanted) -> list[Need]:
    """The needs that are not met and could be tried."""
    return [each for each in destination.check(tables) if each.error and each.tried]


@pytest.mark.parametrize("kinds", [("S",), ("N",), ("B",), ("S", "N"), ("B", "S")], ids="".join)
def test_a_table_in_use_is_tried_and_stays_as_it_is(make_real, kinds):
    values = {"S": "text", "N": "7", "B": "AP8="}
    keys = tuple(KeyAttribute(f"k{place}", kind) for place, kind in enumerate(kinds))
    item = {key.name: {key.tag: values[key.tag]} for key in keys} | {"x": {"S": "y"}}
    destination = make_real()
    wanted = Wanted("orders", "orders", keys)
    assert "will be created" in checked(destination, wanted)
    assert destination.tables() == []
    story = Story(destination, keys)
    story.plan()
    story.tail(put(item))
    story.load()
    before = story.state()
    assert "accepts rows and columns" in checked(destination, wanted)
    assert story.state() == before
    story.shows(item)
    story.tail(put(item | {"later": {"N": "1.5"}}))
    story.shows(item | {"later": {"N": "1.5"}})


def test_a_key_of_many_digits_is_tried_too(make_real):
    keys = (KeyAttribute("n", "N"),)
    destination = make_real()
    story = Story(destination, keys)
    story.plan()
    items = [{"n": {"N": n}} for n in ("1", "0.00000000000000000000000000000000000001", "1E+120")]
    for item in items:
        story.tail(put(item))
        assert bad(destination, Wanted("orders", "orders", keys)) == []


def test_a_table_that_was_left_behind_is_tried_as_what_it_will_be(make_real):
    destination = make_real()
    story = Story(destination)
    story.plan()
    story.tail(put(A))
    destination.reset("orders", drop=False)
    assert "accepts rows and columns" in checked(destination, ORDERS)
    assert "exists already" in checked(destination, Wanted("orders", "orders"))
    other = Wanted("orders", "orders", (KeyAttribute("other", "S"),))
    (found,) = bad(destination, other)
    assert found.check == "destination table"
    assert "another key" in found.detail


def test_each_table_has_its_line(make_real):
    destination = make_real()
    Story(destination).plan()
    tables = (ORDERS, Wanted("others", "ORDERS"), Wanted("more", "more"))
    needs = [each for each in destination.check(tables) if each.check == "destination table"]
    assert [each.table for each in needs] == ["orders", "others", "more"]
    assert [each.error is None for each in needs] == [True, False, True]


def relations(postgres: Database) -> list[tuple[object, ...]]:
    """Everything that anybody made in the database."""
    return postgres.by_hand(
        "SELECT n.nspname::text, c.relname::text FROM pg_class c "
        "JOIN pg_namespace n ON n.oid = c.relnamespace "
        "WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' ORDER BY 1, 2"
    )


def test_nothing_stays_in_postgres(postgres):
    story = told(postgres)
    story.tail(put(A))
    before = relations(postgres), types_of(postgres)
    checked(story.destination, ORDERS)
    assert (relations(postgres), types_of(postgres)) == before
    assert postgres.by_hand("SELECT count(*)::int FROM pg_namespace WHERE nspname ~ 'check'") == [
        (0,)
    ]


LACKING = {
    "no schema to make tables in": ("REVOKE CREATE ON SCHEMA warehouse FROM {role}", 1),
    "no way into the schema": ("REVOKE USAGE ON SCHEMA warehouse FROM {role}", 2),
    "no temporary tables": ("REVOKE TEMPORARY ON DATABASE {database} FROM {role}", 1),
    "no inserts of cursors": ("REVOKE INSERT ON _connector.cursors FROM {role}", 1),
    "no deletes of tombstones": ("REVOKE DELETE ON _connector.tombstones FROM {role}", 1),
    "no updates of tables": ("REVOKE UPDATE ON _connector.tables FROM {role}", 1),
    "no inserts": ("REVOKE INSERT ON warehouse.orders FROM {role}", 1),
    "no deletes": ("REVOKE DELETE ON warehouse.orders FROM {role}", 1),
    "another owner": ("ALTER TABLE warehouse.orders OWNER TO postgres", 1),
}


@pytest.mark.parametrize(("sql", "count"), LACKING.values(), ids=LACKING)
def test_a_missing_privilege_is_one_line_and_hides_no_other(postgres, sql, count):
    url = least(postgres)
    told(postgres, url, schema="warehouse").tail(put(A))
    destination = PostgresDestination(parse_url(url), "warehouse")
    assert bad(destination, ORDERS) == []
    postgres.by_hand(sql.format(role=postgres.roles[0], database=postgres.name))
    found = bad(destination, ORDERS)
    assert len(found) == count
    assert all("42501" in each.detail or "another role" in each.detail for each in found)
    assert all(each.error.hint for each in found)


BY_HAND = {
    "a column that must be given": "ALTER TABLE orders ADD COLUMN mine text NOT NULL DEFAULT ''",
    "a column without a default": "ALTER TABLE orders ADD mine text; "
    "ALTER TABLE orders ADD CONSTRAINT mine CHECK (mine IS NOT NULL) NOT VALID",
    "no key": "ALTER TABLE orders DROP CONSTRAINT orders_pkey",
    "a column of another type": "ALTER TABLE orders ALTER x TYPE varchar(10)",
    "a view of the table": "CREATE VIEW mine AS SELECT * FROM orders",
    "a view in its place": "ALTER TABLE orders RENAME TO mine; CREATE VIEW orders AS TABLE mine",
}


@pytest.mark.parametrize("what", BY_HAND)
def test_the_line_of_a_table_agrees_with_what_a_commit_does(postgres, what):
    story = told(postgres)
    story.tail(put(A | {"x": {"S": "y"}}))
    for statement in BY_HAND[what].split("; "):
        postgres.by_hand(statement)
    ok = need(story.destination, "destination table", ORDERS).error is None
    assert ok == (what in ("a column that must be given", "a view of the table"))
    try:
        story.tail(put(B | {"new": {"S": "z"}}))
    except Exception as error:
        assert not ok, error
    else:
        assert ok


def test_a_lock_of_somebody_is_no_missing_right_and_not_waited_for(postgres):
    story = Story(PostgresDestination(postgres.parsed, lock_timeout=600))
    story.plan()
    story.tail(put(A))
    with story.destination._server.open() as other:
        other.run("SELECT count(*) AS n FROM public.orders")
        found = need(story.destination, "destination table", ORDERS)
    assert found.error is None
    assert "holds a lock" in found.detail


def test_a_check_beside_a_tail_disturbs_neither(postgres):
    story = told(postgres, lock_timeout=30)
    ended, columns = Event(), amount(40, by_turns=15)
    found: list[Need] = []

    def check() -> None:
        while not ended.is_set():
            found.extend(bad(PostgresDestination(postgres.parsed), ORDERS))

    checking = Thread(target=check)
    checking.start()
    try:
        for n in range(columns):
            story.tail(put(A | {"n": {"N": str(n)}, f"c{n}": {"S": "x"}}))
    finally:
        ended.set()
        checking.join()
    assert found == []
    assert len(types_of(postgres)) == columns + 4


KILLED = """
import os, signal, sys
from connector.destinations.registry import parse_url
from connector.core.needs import Wanted
from connector.destinations import trial
from connector.destinations.duckdb.file import DuckDBDestination
from connector.destinations.postgres.server import PostgresDestination
url = parse_url(sys.argv[1])
made = PostgresDestination(url) if url.path is None else DuckDBDestination(url.path)
def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)
setattr(trial, sys.argv[2], die)
list(made.check([Wanted("orders", "orders")]))
"""


@pytest.mark.parametrize("at", ["of_the_state", "try_columns", "try_column"])
@pytest.mark.parametrize("kind", ["duckdb", "postgres"])
def test_a_kill_in_the_middle_leaves_nothing(kind, at, request, tmp_path: Path):
    if kind == "postgres":
        postgres = request.getfixturevalue("postgres")
        url, story = postgres.url, told(postgres)
    else:
        from connector.destinations.duckdb.file import DuckDBDestination

        url = f"duckdb:///{tmp_path}/w.duckdb"
        story = Story(DuckDBDestination(tmp_path / "w.duckdb"))
        story.plan()
    story.tail(put(A))
    before = story.state()
    waiting = ready("tests.destinations.history")
    assert waiting.run(KILLED, [url, at], tmp_path, os.environ).code == -signal.SIGKILL
    assert story.state() == before
    story.shows(A)
    assert bad(story.destination, ORDERS) == []
    story.tail(put(B))
    story.shows(A, B)
