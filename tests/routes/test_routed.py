"""Items go where their routes lead, and leave where they were, in one commit."""

import pytest

from connector.errors import ConfigError
from tests.pipeline.replica import caught_up

from .routed import NAME, Routed, key, order, profile

pytestmark = pytest.mark.by_turns("url")


def test_a_scan_and_a_stream_divide_items_alike(replica: Routed) -> None:
    items = [profile(1, name={"S": "Ann"}), order(1, "2.0"), order(2, 3, name={"N": "7"})]
    replica.model.load(items)
    replica.sync()
    replica.assert_divided()
    assert replica.sql("SELECT name FROM customers") == [("Ann",)]
    assert replica.sql("SELECT name, v FROM other") == [(7, 3)]
    replica.model.put(profile(2), order(3, 2), order(4, 1))
    replica.model.delete(key(profile(1)))
    replica.sync()
    replica.assert_divided()


def test_an_item_that_changes_its_route_leaves_its_table(replica: Routed) -> None:
    replica.model.load([order(1, 2), order(2, 3), profile(1)])
    replica.sync()
    replica.model.put(order(1, 5), order(2, "2e0"))
    replica.sync()
    replica.assert_divided()
    assert replica.keys_in("bought") == [("C#2", "O#2")]
    replica.model.put(order(1, 2), order(1, 3), order(1, 2), order(2, 9))
    replica.model.delete(key(order(2)))
    replica.sync()
    replica.assert_divided()
    assert replica.keys_in("other") == []


def test_each_target_has_its_own_columns(replica: Routed) -> None:
    replica.model.load([profile(1, value={"S": "text"}), order(1, 2, value={"N": "1"})])
    replica.sync()
    replica.model.put(order(2, 7, value={"M": {"a": {"BOOL": True}}}, only={"BOOL": True}))
    replica.sync()
    assert replica.sql("SELECT value FROM customers") == [("text",)]
    assert replica.sql("SELECT value FROM bought") == [(1,)]
    parts = replica.state().parts
    assert {name: sorted(columns) for name, columns in parts.items()} == {
        "customers": ["pk", "sk", "value"],
        "bought": ["kind", "pk", "sk", "v", "value"],
        "other": ["kind", "only", "pk", "sk", "v", "value"],
    }
    replica.assert_divided()


def test_a_full_refresh_replaces_all_targets(replica: Routed) -> None:
    replica.model.load([profile(1), order(1, 2), order(2, 3)])
    replica.sync()
    replica.by_hand("DELETE FROM customers")
    replica.by_hand("INSERT INTO bought SELECT * FROM bought LIMIT 0")
    replica.run().snapshot(full_refresh=True, yes=True)
    replica.assert_divided()
    replica.model.put(order(2, 2))
    replica.sync()
    replica.assert_divided()


def test_what_changes_while_a_scan_runs_is_nowhere_twice(replica: Routed) -> None:
    replica.model.load([order(n, 2) for n in range(20)] + [profile(n) for n in range(5)])
    run = replica.run()
    run.begin()
    spooled = replica.run()
    scanning = spooled.start_scan(replica.state())
    while not scanning.finished():
        pass
    scanning.stop()
    replica.model.put(*(order(n, 3) for n in range(0, 10)))
    replica.model.put(order(1, 2), profile(2, name={"S": "Bob"}))
    replica.model.delete(key(order(15)), key(profile(4)))
    replica.run().tail(caught_up)
    replica.sync()
    replica.assert_divided()


def test_a_filter_is_a_route_and_an_else_that_skips(replica: Routed) -> None:
    replica.settings["tables"] = {
        NAME: {"routes": [{"when": {"kind": "order"}, "into": "orders"}, {"else": "skip"}]}
    }
    replica.targets = ("orders",)
    replica.target_of = lambda item: "orders" if item.get("kind") == {"S": "order"} else "skip"
    replica.model.load([order(1), profile(1), order(2)])
    replica.sync()
    replica.assert_divided()
    replica.model.put({**key(order(1)), "kind": {"S": "gone"}}, {**profile(1), "kind": {"N": "1"}})
    replica.sync()
    replica.assert_divided()
    replica.model.put(order(1))
    replica.sync()
    replica.assert_divided()


@pytest.mark.by_turns("url", "view")
@pytest.mark.parametrize("view", ["NEW_IMAGE", "KEYS_ONLY", "OLD_IMAGE"])
def test_a_stream_without_old_images_is_enough(replica: Routed, view: str) -> None:
    replica.model.disable_stream()
    replica.model.enable_stream(view)
    replica.model.load([order(1, 2), order(2, 3), profile(1)])
    replica.sync()
    replica.model.put(order(1, 3), order(2, 2))
    replica.model.delete(key(profile(1)))
    replica.sync()
    replica.assert_divided()


def test_verify_finds_and_repairs_a_row_in_the_wrong_target(replica: Routed) -> None:
    replica.model.load([order(1, 2), order(2, 3), profile(1)])
    replica.sync()
    columns = "pk, sk, _changed_at, _commit"
    move = f"INSERT INTO {{}} ({columns}) SELECT {columns} FROM {{}} WHERE pk = 'C#1'"
    replica.by_hand(move.format("other", "bought"))
    replica.by_hand("DELETE FROM customers")
    verdict = replica.verdict()
    assert not verdict.equal
    assert verdict.different.count == 1
    assert verdict.missing.count == 1
    replica.by_hand("DELETE FROM bought")
    verdict = replica.verdict()
    assert verdict.targets["bought"].missing == 1
    assert verdict.targets["other"].extra == 1


def test_changed_routes_need_a_new_read(replica: Routed) -> None:
    replica.model.load([order(1, 2), order(2, 3), profile(1)])
    replica.sync()
    replica.settings["tables"] = {
        NAME: {"routes": [{"when": {"kind": "order"}, "into": "orders"}, {"else": "other"}]}
    }
    with pytest.raises(ConfigError, match="routes have changed") as refused:
        replica.sync()
    assert f"connector snapshot {NAME} --full-refresh" in refused.value.hint
    replica.run().snapshot(full_refresh=True, yes=True)
    replica.targets = ("orders", "other")
    replica.target_of = lambda item: "orders" if item.get("kind") == {"S": "order"} else "other"
    replica.assert_divided()
    assert replica.sql("SELECT count(*) FROM customers") == [(0,)]
    replica.model.put(order(5), profile(6))
    replica.sync()
    replica.assert_divided()


def test_a_table_gets_routes_and_loses_them(replica: Routed) -> None:
    routed = replica.settings["tables"]
    replica.settings["tables"] = {NAME: {}}
    replica.model.load([order(1, 2), order(2, 3), profile(1)])
    replica.sync()
    replica.settings["tables"] = routed
    with pytest.raises(ConfigError, match="routes have changed"):
        replica.sync()
    replica.run().snapshot(full_refresh=True, yes=True)
    replica.assert_divided()
    assert replica.sql("SELECT count(*) FROM app") == [(0,)]
    replica.settings["tables"] = {NAME: {}}
    replica.run().snapshot(full_refresh=True, yes=True)
    assert replica.sql("SELECT count(*) FROM app") == [(3,)]
    assert replica.sql("SELECT count(*) FROM other") == [(0,)]
    assert replica.verdict().equal
    replica.model.put(order(1, 7))
    replica.sync()
    assert replica.verdict().equal


def test_reset_drops_all_targets(replica: Routed) -> None:
    replica.model.load([order(1, 2), order(2, 3), profile(1)])
    replica.sync()
    replica.run().destination.reset(NAME, drop=True)
    left = "SELECT table_name FROM information_schema.tables WHERE table_name IN "
    assert replica.sql(left + "('customers', 'bought', 'other')") == []
    replica.sync()
    replica.assert_divided()
    replica.run().destination.reset(NAME, drop=False)
    replica.sync()
    replica.assert_divided()


def test_a_new_column_is_reported_with_its_target_and_a_new_target_is_not(
    replica: Routed, caplog: pytest.LogCaptureFixture
) -> None:
    replica.model.load([order(1, 2), order(2, 3), profile(1)])
    replica.sync()
    replica.settings["tables"] = {
        NAME: {"routes": [{"when": {"kind": "order"}, "into": "orders"}, {"else": "other"}]}
    }
    replica.run().snapshot(full_refresh=True, yes=True)
    assert "is new" not in caplog.text
    replica.model.put(profile(1, vip={"BOOL": True}))
    replica.sync()
    (line,) = (each for each in caplog.text.splitlines() if "is new" in each)
    assert "the column 'vip' of other is new" in line
