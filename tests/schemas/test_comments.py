"""Descriptions are comments on columns, in the database itself."""

from typing import Any

import pytest

from tests.pipeline.replica import ORDERS, Replica, key
from tests.rules.conftest import Made

pytestmark = pytest.mark.by_turns("make")

COMMENTS = {
    "duckdb": "SELECT column_name, comment FROM duckdb_columns() "
    "WHERE table_name = '{}' AND comment IS NOT NULL",
    "postgres": "SELECT a.attname::text, t.description FROM pg_description t "
    "JOIN pg_attribute a ON a.attrelid = t.objoid AND a.attnum = t.objsubid AND a.attnum > 0 "
    "WHERE t.objoid = to_regclass('{}')",
}
HARD = "It's \"so\"; $$ $1 %s \\ -- /* {x} 'ü' \U0001f980\n\tDROP TABLE orders"


def comments(replica: Replica, table: str = ORDERS) -> dict[str, str]:
    """The comments on the columns of a table or a view, as the database has them."""
    kind = "postgres" if replica.database else "duckdb"
    return dict(replica.sql(COMMENTS[kind].format(table)))


def described(**texts: str) -> dict[str, Any]:
    """Entries with nothing but a description."""
    return {name: {"description": text} for name, text in texts.items()}


def become(replica: Replica, columns: dict[str, Any], **table: Any) -> None:
    """Gives the table other entries."""
    replica.settings["tables"] = {ORDERS: {"columns": columns, **table}}


def put(replica: Replica, **attributes: dict[str, str]) -> None:
    """Writes an item."""
    replica.model.put({**key(1), **attributes})


def test_a_column_has_its_comment_from_the_commit_that_adds_it(make: Made) -> None:
    replica = make(described(id="The key.", n=HARD, later="Comes later.", never="Never comes."))
    put(replica, n={"N": "1"})
    replica.sync()
    assert comments(replica) == {"id": "The key.", "n": HARD}
    put(replica, n={"N": "1"}, later={"S": "x"}, other={"S": "y"})
    replica.sync()
    assert comments(replica) == {"id": "The key.", "n": HARD, "later": "Comes later."}
    replica.assert_equal()


def test_a_new_table_has_the_service_columns_last_all_the_same(make: Made) -> None:
    replica = make(described(id="The key."))
    put(replica, n={"N": "1"})
    replica.sync()
    names = "SELECT column_name FROM information_schema.columns WHERE table_name = 'orders' "
    found = [name for (name,) in replica.sql(names + "ORDER BY ordinal_position")]
    assert found == ["id", "n", "_changed_at", "_commit"]


def test_a_comment_that_somebody_has_changed_is_put_back_by_the_next_run(make: Made) -> None:
    replica = make(described(n="One.", id="The key."))
    put(replica, n={"N": "1"}, other={"S": "x"})
    replica.sync()
    replica.by_hand("COMMENT ON COLUMN orders.n IS 'Mine.'")
    replica.by_hand("COMMENT ON COLUMN orders.id IS NULL")
    replica.by_hand("COMMENT ON COLUMN orders.other IS 'Kept.'")
    replica.sync()
    assert comments(replica) == {"id": "The key.", "n": "One.", "other": "Kept."}
    replica.by_hand("ALTER TABLE orders DROP COLUMN n")
    replica.sync()
    assert comments(replica) == {"id": "The key.", "other": "Kept."}


def test_another_description_is_applied_without_a_new_read(make: Made) -> None:
    replica = make(described(n="One.", id="The key."))
    put(replica, n={"N": "1"})
    replica.sync()
    scans = replica.rig.calls.count("Scan")
    become(replica, described(n="Another."))
    replica.sync()
    assert comments(replica) == {"n": "Another."}
    become(replica, {})
    replica.sync()
    assert comments(replica) == {}
    become(replica, {"n": {"rename": "number", "description": "Again."}})
    replica.sync()
    assert comments(replica) == {"number": "Again."}
    assert replica.rig.calls.count("Scan") == scans
    assert replica.state().generation == 1


def test_the_comments_of_others_stay_where_nothing_is_described(make: Made) -> None:
    replica = make(described(id="The key."))
    put(replica, n={"N": "1"})
    replica.sync()
    replica.by_hand("COMMENT ON COLUMN orders.n IS 'mine'")
    replica.by_hand("COMMENT ON COLUMN orders.id IS 'mine too'")
    become(replica, {})
    replica.sync()
    assert comments(replica) == {"n": "mine", "id": "mine too"}
    become(replica, described(n="Ours."))
    replica.sync()
    assert comments(replica) == {"n": "Ours.", "id": "mine too"}


@pytest.mark.parametrize("place", [{"into": "sales"}, {"schema": "other"}])
def test_comments_move_with_the_table(make: Made, place: dict[str, str]) -> None:
    replica = make(described(n="A number."))
    put(replica, n={"N": "1"})
    replica.sync()
    into = place.get("into", ORDERS)
    become(replica, described(n="A number."), into=into)
    if "schema" in place:
        replica.settings["destination.schema"] = place["schema"]
    replica.sync()
    table = f"other.{into}" if replica.database and "schema" in place else into
    assert comments(replica, table) == {"n": "A number."}


def test_comments_outlive_a_wider_type_and_a_full_refresh(make: Made) -> None:
    replica = make(described(n="A number.", gone="Not there any more."))
    put(replica, n={"N": "1"}, gone={"S": "x"})
    replica.sync()
    put(replica, n={"N": "1.5"})
    replica.sync()
    put(replica, n={"S": "x"})
    replica.sync()
    assert comments(replica) == {"n": "A number.", "gone": "Not there any more."}
    become(replica, described(n="Anything."))
    replica.run().snapshot(full_refresh=True)
    assert comments(replica)["n"] == "Anything."
    assert replica.verdict().equal


def test_a_table_that_lost_its_state_gets_its_comments(make: Made) -> None:
    replica = make({})
    put(replica, n={"N": "1"})
    replica.sync()
    replica.run().destination.reset(ORDERS, drop=False)
    become(replica, described(n="A number."))
    replica.sync()
    assert comments(replica) == {"n": "A number."}


def test_the_view_of_versions_has_them_too(make: Made) -> None:
    replica = make(described(n="One.", later="Later."), history=True)
    put(replica, n={"N": "1"})
    replica.sync()
    assert comments(replica, "orders__history") == {"n": "One."}
    put(replica, n={"N": "1.5"}, later={"S": "x"})
    replica.sync()
    assert comments(replica, "orders__history") == {"n": "One.", "later": "Later."}
    become(replica, described(later="Another."), history=True)
    replica.sync()
    assert comments(replica, "orders__history") == {"later": "Another."}


def test_a_packed_table_describes_its_key(make: Made) -> None:
    replica = make(described(id="The key.", n="In _rest."), layout="packed")
    put(replica, n={"N": "1"})
    replica.sync()
    assert comments(replica) == {"id": "The key."}
