"""What a history and a log say after each kind of change, in both databases."""

from typing import Any

import pytest

from connector.errors import ConfigError, DestinationRefused, QuarantineLimit
from connector.events import quiet
from connector.scanning.segments import segment_scan
from connector.stop import Stop
from tests.pipeline.replica import ORDERS, Replica, key, order

from .truth import check_as_of, check_history, check_log, versions_of

pytestmark = pytest.mark.by_turns("url")


def told(replica: Replica, id_: str) -> list[tuple[Any, ...]]:
    """The number of each version of an order, how it began, and how it ended."""
    return [(v["n"], v["_op"], v["_ended_by"]) for v in versions_of(replica).get(id_, [])]


def test_changes_of_one_batch_are_versions_of_their_own(replica: Replica) -> None:
    replica.model.load([order("a", 1), order("b", 1), order("c", 1)])
    replica.sync()
    replica.model.put(order("a", 2), order("a", 3), order("new", 1))
    replica.model.delete(key("b"))
    replica.model.put(order("b", 7))
    replica.model.expire(key("c"))
    replica.sync()
    assert told(replica, "a") == [
        (1, "snapshot", "update"),
        (2, "update", "update"),
        (3, "update", None),
    ]
    assert told(replica, "b") == [(1, "snapshot", "delete"), (7, "insert", None)]
    assert told(replica, "c") == [(1, "snapshot", "expiry")]
    assert told(replica, "new") == [(1, "insert", None)]
    sql = "SELECT id, _op, _expired FROM orders__changes WHERE _op = 'delete' ORDER BY id"
    assert replica.sql(sql) == [("b", "delete", False), ("c", "delete", True)]
    check_log(replica)
    check_history(replica)


def test_the_first_attribute_without_a_column_is_in_a_version_that_has_ended(
    replica: Replica,
) -> None:
    replica.settings["tables.orders.columns"] = {"n": {"type": "integer"}}
    replica.model.load([order("a", 1)])
    replica.sync()
    replica.model.put({**key("b"), "n": {"S": "many"}}, {**key("a"), "n": {"S": "few"}})
    replica.model.put(order("a", 2))
    replica.model.delete(key("b"))
    replica.sync()
    rows = replica.sql("SELECT id, n, _rest ->> 'n' FROM orders__history ORDER BY id, _version")
    assert rows == [("a", 1, None), ("a", None, "few"), ("a", 2, None), ("b", None, "many")]
    replica.assert_equal()


def test_a_full_refresh_leaves_what_is_equal_untouched(replica: Replica) -> None:
    replica.model.load([order("same", 1), order("differs", 1)])
    replica.sync()
    replica.model.put(order("changed", 1))
    replica.sync()
    before = replica.sql("SELECT * FROM orders WHERE id <> 'differs' ORDER BY id")
    replica.by_hand("UPDATE orders SET n = 5 WHERE id = 'differs'")
    replica.by_hand(
        "INSERT INTO orders (id, n, _changed_at, _commit) "
        "SELECT 'gone', n, _changed_at, _commit FROM orders WHERE id = 'same'"
    )
    replica.run().snapshot(full_refresh=True)
    assert replica.sql("SELECT * FROM orders WHERE id <> 'differs' ORDER BY id") == before
    replica.assert_equal()
    assert told(replica, "differs") == [(5, "snapshot", "refresh"), (1, "snapshot", None)]
    assert told(replica, "gone") == [(1, "snapshot", "refresh")]
    assert told(replica, "same") == [(1, "snapshot", None)]
    assert told(replica, "changed") == [(1, "insert", None)]
    check_log(replica)
    check_history(replica)


def test_what_is_unread_before_a_full_refresh_has_versions_of_its_own(replica: Replica) -> None:
    replica.model.load([order("a", 1), order("b", 1)])
    replica.sync()
    replica.rig.clock.advance(10)
    replica.model.put(order("a", 2), order("a", 3))
    replica.model.expire(key("b"))
    replica.rig.clock.advance(hours=2)
    replica.run().snapshot(full_refresh=True)
    assert told(replica, "a") == [
        (1, "snapshot", "update"),
        (2, "update", "update"),
        (3, "update", None),
    ]
    assert told(replica, "b") == [(1, "snapshot", "expiry")]
    check_log(replica)
    check_history(replica)
    check_as_of(replica, {"a": 1, "b": 1})


def test_what_is_written_while_a_refresh_scans_has_versions_of_its_own(replica: Replica) -> None:
    replica.model.load([order("a", 1), order("b", 1)])
    replica.sync()
    replica.rig.clock.advance(10)
    run = replica.run()
    state = run.begin(full_refresh=True)
    replica.model.put(order("a", 2), order("a", 3))
    replica.model.delete(key("b"))
    replica.rig.clock.advance(10)
    segment_scan(replica.config(), state, quiet, Stop.never()).run(0)
    replica.run().load()
    replica.sync()
    assert [n for n, *_ in told(replica, "a")] == [1, 2, 3]
    assert told(replica, "b") == [(1, "snapshot", "delete")]
    check_history(replica)
    check_as_of(replica, {"a": 1, "b": 1})


def test_a_refresh_mends_what_cannot_be_followed(
    replica: Replica, caplog: pytest.LogCaptureFixture
) -> None:
    replica.settings["quarantine.limit"] = 0
    replica.model.load([order("a", 1), order("b", 1)])
    replica.sync()
    replica.model.put({**order("b", 2), "text": {"S": "a\ud800b"}})
    with pytest.raises(QuarantineLimit):
        replica.sync()
    replica.model.put(order("b", 3))
    replica.settings["quarantine.limit"] = 10
    replica.run().snapshot(full_refresh=True)
    replica.sync()
    replica.assert_equal()
    replica.by_hand("DROP VIEW orders__history")
    replica.by_hand("DROP TABLE orders__ended")
    replica.model.put(order("a", 2))
    replica.run().snapshot(full_refresh=True)
    assert "versions since it was last read are not kept" in caplog.text
    replica.sync()
    replica.assert_equal()
    check_history(replica, gaps=True)


@pytest.mark.by_turns("url", "deletes")
@pytest.mark.parametrize("deletes", ["soft", "ignore-ttl"])
def test_a_row_that_stays_marked_is_no_version(replica: Replica, deletes: str) -> None:
    replica.settings[f"tables.{ORDERS}.deletes"] = deletes
    replica.model.load([order("a", 1), order("b", 1)])
    replica.sync()
    replica.model.expire(key("a"))
    replica.model.delete(key("b"))
    replica.sync()
    replica.model.delete(key("b"))
    assert told(replica, "a") == [(1, "snapshot", "expiry")]
    assert told(replica, "b") == [(1, "snapshot", "delete")]
    replica.model.put(order("a", 2))
    replica.sync()
    assert told(replica, "a") == [(1, "snapshot", "expiry"), (2, "insert", None)]
    replica.run().snapshot(full_refresh=True)
    assert told(replica, "a") == [(1, "snapshot", "expiry"), (2, "insert", None)]
    assert told(replica, "b") == [(1, "snapshot", "delete")]


def test_versions_have_the_columns_that_the_table_gets(replica: Replica) -> None:
    replica.model.load([order("a", 1)])
    replica.sync()
    replica.model.put({**order("a", 2), "city": {"S": "Rome"}})
    replica.sync()
    replica.model.put({**key("a"), "n": {"S": "many"}, "city": {"M": {"name": {"S": "Oslo"}}}})
    replica.sync()
    replica.model.put({**key("b"), "n": {"N": "2.5"}, "more": {"BOOL": True}})
    replica.sync()
    sql = "SELECT CAST(n AS VARCHAR), CAST(city AS VARCHAR), more FROM orders__history "
    found = replica.sql(sql + "ORDER BY id, _version")
    assert [(n, (city or "").replace(" ", ""), more) for n, city, more in found] == [
        ("1", "", None),
        ("2", '"Rome"', None),
        ('"many"', '{"name":"Oslo"}', None),
        ("2.5", "", True),
    ]
    assert replica.verdict().equal


@pytest.mark.by_turns("url", "settings")
@pytest.mark.parametrize("settings", [{"layout": "packed"}, {"max_columns": 2}], ids=str)
def test_attributes_without_a_column_are_in_the_rest_of_versions_too(
    replica: Replica, settings: dict[str, object]
) -> None:
    replica.settings |= {f"tables.{ORDERS}.{name}": value for name, value in settings.items()}
    replica.model.load([{**order("a", 1), "city": {"S": "Rome"}}])
    replica.sync()
    replica.model.put({**order("a", 2), "city": {"S": "Oslo"}, "x": {"N": "1"}})
    replica.model.put({**order("a", 3), "city": {"S": "Bonn"}})
    replica.sync()
    replica.run().snapshot(full_refresh=True)
    sql = "SELECT CAST(_rest AS VARCHAR), _op, _ended_by FROM orders__history ORDER BY _version"
    found = replica.sql(sql)
    assert [row[1:] for row in found] == [
        ("snapshot", "update"),
        ("update", "update"),
        ("update", None),
    ]
    assert [city in rest for (rest, *_), city in zip(found, ("Rome", "Oslo", "Bonn"), strict=True)]
    assert replica.verdict().equal


def test_a_table_that_moves_takes_all_with_it(replica: Replica) -> None:
    replica.model.load([order("a", 1)])
    replica.sync()
    replica.settings[f"tables.{ORDERS}.into"] = "sales"
    replica.settings["destination.schema"] = "shop"
    replica.model.put(order("a", 2))
    replica.sync()
    sql = "SELECT n, _op, _ended_by FROM shop.sales__history ORDER BY _version"
    assert replica.sql(sql) == [(1, "snapshot", "update"), (2, "update", None)]
    assert replica.sql("SELECT _op FROM shop.sales__changes") == [("update",)]


@pytest.mark.parametrize("name", ["orders__history", "orders__changes", "orders__ended"])
def test_a_name_that_something_else_has_is_refused(replica: Replica, name: str) -> None:
    replica.by_hand(f"CREATE TABLE {name} (id VARCHAR(9))")
    replica.model.load([order("a", 1)])
    with pytest.raises(DestinationRefused, match=f"{name} exists already"):
        replica.sync()
    assert replica.sql(f"SELECT count(*) FROM {name}") == [(0,)]


def test_a_reset_drops_all_or_nothing(replica: Replica) -> None:
    replica.model.load([order("a", 1)])
    replica.sync()
    replica.model.put(order("a", 2))
    replica.sync()
    replica.run().destination.reset(ORDERS, drop=False)
    assert len(versions_of(replica)["a"]) == 2
    replica.sync()
    check_log(replica)
    replica.run().destination.reset(ORDERS, drop=True)
    sql = "SELECT table_name FROM information_schema.tables WHERE table_name LIKE 'orders%'"
    assert replica.sql(sql) == []


def test_a_history_that_is_switched_on_begins_now(replica: Replica) -> None:
    replica.settings |= {f"tables.{ORDERS}.{key}": False for key in ("history", "changes")}
    replica.model.load([order("a", 1), order("b", 1)])
    replica.sync()
    replica.model.put(order("a", 2))
    replica.sync()
    replica.settings |= {f"tables.{ORDERS}.{key}": True for key in ("history", "changes")}
    replica.sync()
    assert told(replica, "a") == [(2, "snapshot", None)]
    assert replica.sql("SELECT * FROM orders__changes") == []
    replica.model.put(order("a", 3))
    replica.sync()
    replica.run().snapshot(full_refresh=True)
    replica.sync()
    assert told(replica, "a") == [(2, "snapshot", "update"), (3, "update", None)]
    assert replica.sql("SELECT _op FROM orders__changes") == [("update",)]
    check_history(replica, gaps=True)


def test_what_changes_while_a_history_is_off_is_a_gap(replica: Replica) -> None:
    replica.model.load([order("a", 1), order("b", 1), order("c", 1)])
    replica.sync()
    replica.settings[f"tables.{ORDERS}.history"] = False
    replica.model.put(order("a", 2), order("new", 1))
    replica.sync()
    assert told(replica, "a") == [(1, "snapshot", "gap")]
    assert told(replica, "b") == [(1, "snapshot", "gap")]
    replica.model.delete(key("c"))
    replica.sync()
    replica.settings[f"tables.{ORDERS}.history"] = True
    replica.sync()
    assert told(replica, "a") == [(1, "snapshot", "gap"), (2, "gap", None)]
    assert told(replica, "b") == [(1, "snapshot", None)]
    assert told(replica, "c") == [(1, "snapshot", "gap")]
    assert [n for n, *_ in told(replica, "new")] == [1]
    check_history(replica, gaps=True)


@pytest.mark.parametrize("key", ["history", "changes"])
@pytest.mark.parametrize("view", ["KEYS_ONLY", "OLD_IMAGE"])
def test_a_stream_without_new_images_is_refused(replica: Replica, key: str, view: str) -> None:
    replica.settings |= {f"tables.{ORDERS}.{each}": each == key for each in ("history", "changes")}
    replica.model.disable_stream()
    replica.model.enable_stream(view=view)
    with pytest.raises(ConfigError, match=f"{key} needs each item") as refused:
        replica.sync()
    assert refused.value.exit_code == 2


@pytest.mark.parametrize("key", ["history", "changes"])
def test_a_table_that_nobody_follows_is_refused(replica: Replica, key: str) -> None:
    replica.settings |= {f"tables.{ORDERS}.{each}": each == key for each in ("history", "changes")}
    replica.settings[f"tables.{ORDERS}.follow"] = "none"
    with pytest.raises(ConfigError, match="need follow: stream"):
        replica.config()
