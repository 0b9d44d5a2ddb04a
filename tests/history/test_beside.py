"""What others do to the tables beside a replicated one is named, and nothing is lost by it."""

from pathlib import Path

import pytest

from connector import job
from connector.core.needs import Need, Wanted
from connector.errors import DestinationRefused
from tests.pipeline.replica import ORDERS, SCHEMA, Replica, key, order
from tests.rigs.postgres import Database
from tests.rigs.scripted import ScriptedDynamoDB

from .conftest import BOTH
from .test_versions import told
from .truth import check_as_of, check_history, check_log

pytestmark = pytest.mark.by_turns("url")

SWALLOW = (
    "CREATE FUNCTION public.f() RETURNS trigger LANGUAGE plpgsql AS "
    "$$BEGIN IF new.id = 'b' THEN RETURN NULL; END IF; RETURN new; END$$"
)
FAIL = (
    "CREATE FUNCTION public.f() RETURNS trigger LANGUAGE plpgsql AS "
    "$$BEGIN RAISE EXCEPTION 'no'; END$$"
)
TRIGGER = "CREATE TRIGGER tr BEFORE INSERT ON {} FOR EACH ROW EXECUTE FUNCTION public.f()"


def synced(replica: Replica) -> Replica:
    """Two orders, of which both have changed since they were read."""
    replica.model.load([order("a", 1), order("b", 1)])
    replica.sync()
    replica.model.put(order("a", 2), order("b", 2))
    return replica


def refused(replica: Replica, *named: str) -> None:
    """The next run is refused by one sentence with these names, and nothing of it is kept."""
    before = replica.state()
    with pytest.raises(DestinationRefused) as caught:
        replica.sync()
    for name in named:
        assert name in caught.value.message, caught.value.message
    assert caught.value.hint
    after = replica.state()
    assert (after.cursors, after.commit) == (before.cursors, before.commit)


def whole(replica: Replica) -> None:
    """Once that is over, nothing is missing."""
    replica.sync()
    replica.assert_equal()
    check_log(replica)
    check_history(replica)
    check_as_of(replica, {"a": 1, "b": 1})


def checked(replica: Replica) -> Need:
    """What `connector check` says of the table in the destination."""
    config = replica.config()
    spec, keys = config.tables[ORDERS].spec(), replica.run().lookup.describe().identity.keys
    wanted = Wanted(ORDERS, config.target(ORDERS), keys, spec=spec)
    needs = job.open_destination(config).check([wanted])
    return next(need for need in needs if need.table == ORDERS)


@pytest.fixture
def served(rig: ScriptedDynamoDB, tmp_path: Path, postgres: Database) -> Replica:
    """An empty table of orders, replicated to Postgres."""
    rig.create_table(ORDERS, SCHEMA)
    settings: dict[str, object] = {**BOTH, "spool": str(tmp_path / "spool")}
    return Replica(rig, tmp_path, settings=settings, database=postgres.url)


KEPT = ("orders__changes", "orders__ended")


@pytest.mark.parametrize("function", [SWALLOW, FAIL], ids=["swallows", "fails"])
def test_a_trigger_on_what_is_kept(
    served: Replica, function: str, subtests: pytest.Subtests
) -> None:
    synced(served)
    served.by_hand(function)
    for table in KEPT:
        with subtests.test(table):
            served.by_hand(TRIGGER.format(table))
            refused(served, table, "the trigger tr")
        served.by_hand(f"DROP TRIGGER tr ON {table}")
    whole(served)


@pytest.mark.parametrize("when", ["", " WHERE new.id = 'b'"])
def test_a_rule_on_what_is_kept(served: Replica, when: str, subtests: pytest.Subtests) -> None:
    synced(served)
    for table in KEPT:
        with subtests.test(table):
            served.by_hand(f"CREATE RULE r AS ON INSERT TO {table}{when} DO INSTEAD NOTHING")
            refused(served, table, "the rule ")
        served.by_hand(f"DROP RULE r ON {table}")
    whole(served)


def test_a_trigger_that_swallows_what_a_refresh_does(served: Replica) -> None:
    synced(served)
    served.sync()
    served.by_hand("UPDATE orders SET n = 7 WHERE id = 'b'")
    served.by_hand(SWALLOW)
    served.by_hand(TRIGGER.format("orders"))
    with pytest.raises(DestinationRefused, match=r"the trigger tr on public\.orders"):
        served.run().snapshot(full_refresh=True)
    served.by_hand("DROP TRIGGER tr ON orders")
    served.sync()
    served.assert_equal()
    served.by_hand("UPDATE orders SET n = 7 WHERE id = 'b'")
    served.by_hand("DROP FUNCTION public.f CASCADE")
    served.by_hand(SWALLOW.replace("new.id", "old.id").replace("RETURN new", "RETURN old"))
    served.by_hand(TRIGGER.format("orders").replace("INSERT", "DELETE"))
    with pytest.raises(DestinationRefused, match="1 row was not deleted"):
        served.run().snapshot(full_refresh=True)


def test_a_view_of_others_on_the_history_is_in_the_way_of_wider_columns_only(
    served: Replica,
) -> None:
    synced(served)
    served.by_hand("CREATE VIEW mine AS SELECT id, n FROM orders__history")
    served.model.put({**order("a", 3), "city": {"S": "Rome"}})
    served.sync()
    served.model.put({**key("a"), "n": {"S": "many"}})
    refused(served, "orders__history", "the view public.mine")
    served.by_hand("DROP VIEW mine")
    served.sync()
    assert served.verdict().equal


def test_a_view_of_others_on_the_history_stays_whatever_else_changes(served: Replica) -> None:
    synced(served)
    served.sync()
    of, kept = f"tables.{ORDERS}", "SELECT n FROM mine ORDER BY n"
    served.by_hand("CREATE VIEW mine AS SELECT id, n FROM orders__history")
    served.by_hand("GRANT SELECT ON mine TO PUBLIC")
    served.model.put({**order("a", 3), "city": {"S": "Rome"}})
    served.run().snapshot(full_refresh=True)
    served.sync()
    before = served.sql(kept)
    assert (3,) in before
    for setting, value in (
        ("deletes", "soft"),
        ("columns", {"n": {"description": "How many."}}),
        ("contract", "freeze"),
        ("into", "sales"),
        ("changes", False),
    ):
        served.settings[f"{of}.{setting}"] = value
        served.sync()
        assert served.sql(kept) == before, setting
    served.run().snapshot(full_refresh=True)
    assert served.sql(kept) == before
    assert served.verdict().equal


def test_a_view_of_others_is_in_the_way_of_a_column_with_another_name(served: Replica) -> None:
    synced(served)
    served.by_hand("CREATE VIEW mine AS SELECT id, n FROM orders__history")
    served.settings[f"tables.{ORDERS}.columns"] = {"n": {"rename": "amount"}}
    refused(served, "orders__history", "the view public.mine")
    served.by_hand("DROP VIEW mine")
    whole_as = "SELECT amount FROM orders__history WHERE _valid_to IS NULL ORDER BY amount"
    served.sync()
    assert served.sql(whole_as) == [(2,), (2,)]


@pytest.mark.parametrize("of", ["orders__history", "orders__ended", "orders__changes"])
def test_a_reset_names_what_others_made_of_what_is_kept(served: Replica, of: str) -> None:
    synced(served)
    served.sync()
    served.by_hand(f"CREATE VIEW mine AS SELECT id FROM {of}")
    served.by_hand("CREATE VIEW harmless AS SELECT id FROM orders")
    with pytest.raises(DestinationRefused) as caught:
        served.run().destination.reset(ORDERS, drop=True)
    assert f"{of} cannot be dropped, because of the view public.mine" in caught.value.message
    assert "harmless" not in caught.value.message
    assert served.sql("SELECT count(*) FROM mine") != [(0,)]
    served.by_hand("DROP VIEW mine")
    served.by_hand("DROP VIEW harmless")
    served.run().destination.reset(ORDERS, drop=True)
    assert served.sql("SELECT 1 FROM pg_class WHERE relname LIKE 'orders%'") == []


CHANGED = [
    ("orders__changes", "ALTER TABLE orders__changes DROP COLUMN _before", "'_before' should be"),
    ("orders__changes", "ALTER TABLE orders__changes RENAME COLUMN id TO uid", "'id'"),
    ("orders__changes", "DROP TABLE orders__changes", "dropped or renamed"),
    ("orders__changes", "ALTER TABLE orders__changes RENAME TO mine", "dropped or renamed"),
    ("orders__changes", "ALTER TABLE orders__changes ALTER _sequence TYPE BIGINT", "'_sequence'"),
]


@pytest.mark.parametrize(("table", "statement", "named"), CHANGED, ids=lambda each: each[:46])
def test_a_log_that_others_have_changed(
    replica: Replica, table: str, statement: str, named: str
) -> None:
    synced(replica)
    if "ALTER _sequence" in statement and replica.database:
        statement += " USING _sequence::bigint"
    replica.by_hand(statement)
    refused(replica, table, named)
    need = checked(replica)
    assert need.error is not None
    assert named in need.detail


ENDED = [
    ("ALTER TABLE orders__ended DROP COLUMN n", "'n' is gone"),
    ("ALTER TABLE orders__ended RENAME COLUMN _op TO op", "'_op' should be"),
    ("ALTER TABLE orders__ended ALTER n TYPE VARCHAR", "'n' is "),
    ("DROP TABLE orders__ended", "dropped or renamed"),
]


@pytest.mark.parametrize(("statement", "named"), ENDED, ids=lambda each: each[:40])
def test_ended_versions_that_others_have_changed(
    replica: Replica, statement: str, named: str
) -> None:
    synced(replica)
    replica.by_hand("DROP VIEW orders__history")
    if statement.endswith("VARCHAR") and replica.database:
        statement = statement.replace("VARCHAR", "TEXT")
    replica.by_hand(statement)
    refused(replica, "orders__ended", named)
    need = checked(replica)
    assert need.error is not None
    assert "orders__ended" in need.detail


def test_a_view_of_ours_that_is_gone_comes_back(replica: Replica) -> None:
    synced(replica)
    replica.by_hand("DROP VIEW orders__history")
    need = checked(replica)
    assert need.error is not None
    assert "orders__history" in need.detail
    whole(replica)
    assert checked(replica).error is None


def test_rows_that_others_delete_there_are_missed_by_nobody(replica: Replica) -> None:
    synced(replica)
    replica.sync()
    replica.by_hand("DELETE FROM orders__changes")
    replica.by_hand("DELETE FROM orders__ended WHERE id = 'a'")
    replica.by_hand("UPDATE orders__ended SET _op = 'mine' WHERE id = 'b'")
    replica.model.put(order("a", 3), order("b", 3))
    replica.sync()
    replica.run().snapshot(full_refresh=True)
    assert told(replica, "a") == [(2, "update", "update"), (3, "update", None)]
    assert told(replica, "b") == [
        (1, "mine", "update"),
        (2, "update", "update"),
        (3, "update", None),
    ]
    assert replica.sql("SELECT count(*) FROM orders__changes") == [(2,)]
    replica.assert_equal()


@pytest.mark.by_turns("url", "kind")
@pytest.mark.parametrize("kind", ["TABLE {} (id VARCHAR(9))", "VIEW {} AS SELECT 1 AS one"])
@pytest.mark.parametrize("name", ["orders__history", "orders__changes", "orders__ended"])
def test_a_name_that_an_analyst_has_is_refused_before_anything_is_read(
    replica: Replica, name: str, kind: str
) -> None:
    replica.by_hand(f"CREATE {kind.format(name)}")
    need = checked(replica)
    assert need.error is not None
    assert f"{name} exists already" in need.detail
    replica.model.load([order("a", 1)])
    with pytest.raises(DestinationRefused, match=f"{name} exists already"):
        replica.sync()
    assert replica.rig.calls.count("Scan") == 0


def test_check_names_what_is_kept(replica: Replica) -> None:
    synced(replica).sync()
    need = checked(replica)
    assert need.error is None
    assert "orders__changes and orders__history" in need.detail
