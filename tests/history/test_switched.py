"""Settings that change while a history and a log are kept, and settings that meet them."""

from typing import Any

import pytest

from connector.errors import ConfigError
from tests.pipeline.replica import ORDERS, Replica, key, order

from .test_versions import told
from .truth import check_history, versions_of

pytestmark = pytest.mark.by_turns("url")

HISTORY, CHANGES = f"tables.{ORDERS}.history", f"tables.{ORDERS}.changes"
COLUMNS = f"tables.{ORDERS}.columns"


def ops(replica: Replica) -> list[tuple[Any, ...]]:
    """What the log has of each order."""
    return replica.sql("SELECT id, _op FROM orders__changes ORDER BY length(_sequence), _sequence")


def test_a_column_that_is_renamed_is_renamed_in_all_versions(replica: Replica) -> None:
    replica.model.load([order("a", 1)])
    replica.sync()
    replica.model.put(order("a", 2))
    replica.sync()
    replica.settings[COLUMNS] = {"n": {"rename": "amount"}}
    replica.model.put(order("a", 3))
    replica.sync()
    sql = "SELECT amount, _op, _ended_by FROM orders__history ORDER BY _version"
    assert replica.sql(sql) == [
        (1, "snapshot", "update"),
        (2, "update", "update"),
        (3, "update", None),
    ]
    replica.settings[COLUMNS] = {}
    replica.model.put(order("a", 4))
    replica.sync()
    assert [n for n, *_ in told(replica, "a")] == [1, 2, 3, 4]
    check_history(replica)


def test_a_key_that_is_renamed_is_renamed_in_the_log_too(replica: Replica) -> None:
    replica.model.load([order("a", 1)])
    replica.sync()
    replica.model.put(order("a", 2))
    replica.sync()
    replica.settings[COLUMNS] = {"id": {"rename": "customer"}}
    replica.model.put(order("a", 3))
    replica.sync()
    assert replica.sql("SELECT customer, _op FROM orders__changes") == [("a", "update")] * 2
    sql = "SELECT customer, n FROM orders__history ORDER BY _version"
    assert replica.sql(sql) == [("a", 1), ("a", 2), ("a", 3)]


def test_a_renamed_column_can_widen(replica: Replica) -> None:
    replica.model.load([order("a", 1)])
    replica.settings[COLUMNS] = {"n": {"rename": "amount"}}
    replica.sync()
    replica.model.put({**key("a"), "n": {"S": "many"}})
    replica.sync()
    sql = "SELECT CAST(amount AS VARCHAR) FROM orders__history ORDER BY _version"
    assert replica.sql(sql) == [("1",), ('"many"',)]
    assert replica.verdict().equal


def test_what_changes_while_the_log_is_off_is_not_in_it(replica: Replica) -> None:
    replica.model.load([order("a", 1)])
    replica.sync()
    replica.model.put(order("a", 2))
    replica.sync()
    replica.settings[CHANGES] = False
    replica.model.put(order("a", 3))
    replica.sync()
    assert ops(replica) == [("a", "update")]
    assert [n for n, *_ in told(replica, "a")] == [1, 2, 3]
    replica.settings[CHANGES] = True
    replica.sync()
    replica.model.delete(key("a"))
    replica.sync()
    replica.run().snapshot(full_refresh=True, yes=True)
    replica.sync()
    assert ops(replica) == [("a", "update"), ("a", "delete")]
    check_history(replica)


def test_a_reader_sees_closed_versions_while_the_history_is_off(replica: Replica) -> None:
    replica.model.load([order("a", 1), order("b", 1)])
    replica.sync()
    replica.settings[HISTORY] = False
    replica.sync()
    assert all(v["_valid_to"] for each in versions_of(replica).values() for v in each)
    replica.model.put({**order("a", 2), "city": {"S": "Rome"}})
    replica.sync()
    replica.run().snapshot(full_refresh=True)
    assert told(replica, "a") == [(1, "snapshot", "gap")]
    replica.settings[HISTORY] = True
    replica.sync()
    assert told(replica, "a") == [(1, "snapshot", "gap"), (2, "gap", None)]
    assert [v["_ended_by"] for v in versions_of(replica)["b"]][-1] is None
    assert replica.sql("SELECT city FROM orders__history WHERE id = 'a' ORDER BY _version") == [
        (None,),
        ("Rome",),
    ]
    check_history(replica, gaps=True)


def test_a_refresh_may_switch_a_history_on(replica: Replica) -> None:
    replica.settings |= {HISTORY: False, CHANGES: False}
    replica.model.load([order("a", 1)])
    replica.sync()
    replica.settings |= {HISTORY: True, CHANGES: True}
    replica.model.put(order("a", 2))
    replica.run().snapshot(full_refresh=True)
    replica.sync()
    assert [n for n, *_ in told(replica, "a")][-1] == 2
    replica.model.put(order("a", 3))
    replica.sync()
    assert told(replica, "a")[-1] == (3, "update", None)
    assert ("a", "update") in ops(replica)
    check_history(replica, gaps=True)


@pytest.mark.by_turns("url", "layout")
@pytest.mark.parametrize("deletes", ["apply", "soft", "ignore-ttl"])
@pytest.mark.parametrize("layout", [{}, {"layout": "packed"}, {"max_columns": 1}], ids=str)
def test_deletes_and_layouts_meet_a_refresh(
    replica: Replica, deletes: str, layout: dict[str, object]
) -> None:
    replica.settings[f"tables.{ORDERS}.deletes"] = deletes
    replica.settings |= {f"tables.{ORDERS}.{name}": value for name, value in layout.items()}
    city = {"city": {"S": "Rome"}}
    replica.model.load([{**order(each, 1), **city} for each in ("a", "b", "c")])
    replica.sync()
    replica.model.put({**order("a", 2), **city, "more": {"L": [{"N": "1"}]}})
    replica.model.expire(key("b"))
    replica.model.delete(key("c"))
    replica.sync()
    sql = "SELECT id, _op, _ended_by, _version FROM orders__history ORDER BY id, _version"
    expected = [
        ("a", "snapshot", "update", 1),
        ("a", "update", None, 2),
        ("b", "snapshot", "expiry", 1),
        ("c", "snapshot", "delete", 1),
    ]
    assert replica.sql(sql) == expected
    replica.run().snapshot(full_refresh=True)
    replica.sync()
    assert replica.sql(sql) == expected
    replica.model.put({**order("b", 3), **city}, {**order("c", 3), **city})
    replica.sync()
    assert replica.sql(sql) == [
        *expected[:3],
        ("b", "insert", None, 2),
        expected[3],
        ("c", "insert", None, 2),
    ]
    assert replica.verdict().equal


def test_a_new_column_begins_no_version(replica: Replica) -> None:
    replica.model.load([order("a", 1), order("b", 1)])
    replica.sync()
    replica.model.put({**order("b", 2), "city": {"S": "Rome"}})
    replica.sync()
    assert told(replica, "a") == [(1, "snapshot", None)]
    replica.run().snapshot(full_refresh=True)
    assert told(replica, "a") == [(1, "snapshot", None)]
    assert told(replica, "b") == [(1, "snapshot", "update"), (2, "update", None)]


@pytest.mark.parametrize("follow", ["kinesis", "exports", "none"])
@pytest.mark.parametrize("kept", [HISTORY, CHANGES])
def test_what_has_no_order_is_refused_in_one_sentence(
    replica: Replica, follow: str, kept: str
) -> None:
    arn = "arn:aws:kinesis:us-west-2:123456789012:stream/orders"
    replica.settings |= {HISTORY: kept == HISTORY, CHANGES: kept == CHANGES}
    replica.settings |= {f"tables.{ORDERS}.follow": follow, "exports.url": "file:///exports"}
    replica.settings |= {f"tables.{ORDERS}.kinesis": arn} if follow == "kinesis" else {}
    with pytest.raises(ConfigError, match="need follow: stream") as caught:
        replica.config()
    assert caught.value.exit_code == 2
