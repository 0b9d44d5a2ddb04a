"""The view of all versions in Postgres, which what others make may use."""

from contextlib import closing
from pathlib import Path

import pytest

from connector.errors import DestinationRefused
from tests.pipeline.replica import ORDERS, SCHEMA, Replica, key, order
from tests.rigs.postgres import Database
from tests.rigs.scripted import ScriptedDynamoDB

from .conftest import BOTH


@pytest.fixture
def replica(rig: ScriptedDynamoDB, tmp_path: Path, postgres: Database) -> Replica:
    """An empty table of orders, replicated to Postgres."""
    rig.create_table(ORDERS, SCHEMA)
    spool = str(tmp_path / "spool")
    return Replica(rig, tmp_path, settings={**BOTH, "spool": spool}, database=postgres.url)


def test_what_was_granted_stays_when_a_column_widens(replica: Replica, postgres: Database) -> None:
    replica.model.load([order("a", 1)])
    replica.sync()
    url = postgres.role(
        "GRANT USAGE ON SCHEMA public TO {role}", "GRANT SELECT ON orders__history TO {role}"
    )
    replica.model.put({**key("a"), "n": {"S": "many"}, "city": {"S": "Rome"}})
    replica.sync()
    asked = "SELECT count(*) FROM public.orders__history WHERE n::text <> '' OR city <> ''"
    with closing(Database(url)) as granted:
        assert granted.by_hand(asked) == [(2,)]


def test_a_new_column_needs_no_drop_of_what_others_made(replica: Replica) -> None:
    replica.model.load([order("a", 1)])
    replica.sync()
    replica.by_hand("CREATE VIEW mine AS SELECT id, n FROM orders__history")
    replica.model.put({**order("a", 2), "city": {"S": "Rome"}})
    replica.sync()
    assert replica.sql("SELECT n FROM mine ORDER BY n") == [(1,), (2,)]
    assert replica.sql("SELECT city FROM orders__history ORDER BY _version") == [(None,), ("Rome",)]


def test_a_view_of_others_that_is_in_the_way_is_named(replica: Replica) -> None:
    replica.model.load([order("a", 1)])
    replica.sync()
    replica.by_hand("CREATE VIEW mine AS SELECT id, n FROM orders__history")
    replica.model.put({**key("a"), "n": {"S": "many"}})
    with pytest.raises(DestinationRefused, match="mine"):
        replica.sync()
    replica.by_hand("DROP VIEW mine")
    replica.sync()
    assert replica.verdict().equal
