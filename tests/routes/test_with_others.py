"""Routes with what else a table can have: rules, limits, numbers as keys, what cannot be stored."""

from pathlib import Path
from typing import Any

import pytest

from connector.core.rules.hash_key import VARIABLE
from connector.errors import TooManyDeletes
from tests.rigs.scripted import Key, KeySchema, ScriptedDynamoDB

from .routed import NAME, ROUTES, Routed, key, order, profile

pytestmark = pytest.mark.by_turns("url")


def with_settings(replica: Routed, **settings: Any) -> None:
    tables: Any = replica.settings["tables"]
    tables[NAME] |= settings


@pytest.mark.by_turns("url", "settings")
@pytest.mark.parametrize("settings", [{"layout": "packed"}, {"max_columns": 4}])
def test_what_has_no_column_is_in_the_rest_of_its_own_target(
    replica: Routed, settings: dict[str, Any]
) -> None:
    with_settings(replica, **settings)
    more = {f"m{n}": {"N": str(n)} for n in range(4)}
    replica.model.load([order(1, 2, **more), order(2, 3, only={"S": "x"}), profile(1, **more)])
    replica.sync()
    replica.assert_divided()
    replica.model.put(order(1, 3, **more), order(2, 2, only={"S": "x"}, **more), profile(2, **more))
    replica.sync()
    replica.assert_divided()
    replica.run().snapshot(full_refresh=True, yes=True)
    replica.assert_divided()


def test_rules_come_after_routes(replica: Routed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "k" * 64)
    columns = {
        "kind": {"exclude": True},
        "pk": {"hash": True},
        "name": {"mask": "***"},
        "v": {"rename": "version"},
    }
    with_settings(replica, columns=columns)
    replica.model.load([order(1, 2), order(2, 3), profile(1, name={"S": "Ann"})])
    replica.sync()
    assert replica.verdict().equal
    assert replica.sql("SELECT sk, version FROM bought") == [("O#1", 2)]
    assert replica.sql("SELECT name FROM customers") == [("***",)]
    replica.model.put(order(1, 3), order(2, 2))
    replica.model.delete(key(profile(1)))
    replica.sync()
    assert replica.verdict().equal
    assert replica.sql("SELECT sk, version FROM bought") == [("O#2", 2)]
    assert replica.sql("SELECT sk, version FROM other") == [("O#1", 3)]
    assert replica.sql("SELECT count(*) FROM customers") == [(0,)]


def test_a_value_that_decides_and_is_hidden_is_nowhere(
    replica: Routed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, "k" * 64)
    tables: Any = replica.settings["tables"]
    tables[NAME]["routes"][1]["when"] = {"kind": "canary-kind", "why": "canary-why", "v": 2}
    with_settings(replica, columns={"kind": {"hash": True}, "v": {}}, unlisted="exclude")
    more = {"kind": {"S": "canary-kind"}, "why": {"S": "canary-why"}}
    replica.model.load([order(1, 2, **more), order(2, 2, kind={"S": "canary-kind"}), profile(1)])
    replica.sync()
    assert replica.keys_in("bought") == [("C#1", "O#1")]
    replica.model.put(order(2, 2, **more), order(1, 2, kind={"S": "other"}))
    replica.sync()
    assert replica.keys_in("bought") == [("C#2", "O#2")]
    assert replica.verdict().equal
    if not replica.database:
        for file in (each for each in replica.folder.rglob("*") if each.is_file()):
            assert b"canary" not in file.read_bytes(), file
    kept = replica.sql("SELECT * FROM _connector.tables")
    assert "canary" not in repr(kept)


def test_what_cannot_be_stored_leaves_every_target(replica: Routed) -> None:
    replica.settings["quarantine.limit"] = 10
    replica.model.load([order(1, 2), order(2, 3), profile(1)])
    replica.sync()
    replica.model.put(order(1, 2, bad={"N": "1" * 39}), order(2, 2, bad={"SS": []}))
    replica.sync()
    assert replica.keys_in("bought") == replica.keys_in("other") == []
    assert replica.state().quarantined == 2
    replica.model.put(order(1, 3), order(2, 3))
    replica.sync()
    replica.assert_divided()


def test_numbers_as_keys_of_several_widths(rig: ScriptedDynamoDB, tmp_path: Path, url: str) -> None:
    rig.create_table(NAME, KeySchema(Key("n", "N")))
    routes = [{"when": {"kind": "a"}, "into": "a"}, {"else": "rest"}]
    replica = Routed.of(rig, tmp_path, url, routes)
    numbers = ["1", "2.5", "1e30", "-0.001", "9" * 38]
    kinds = {number: {"n": {"N": number}, "kind": {"S": "a"}} for number in numbers}
    replica.model.load(kinds.values())
    replica.sync()
    assert replica.verdict().equal
    replica.model.put(*({**kinds[number], "kind": {"S": "b"}} for number in numbers[1:]))
    replica.sync()
    assert replica.verdict().equal
    assert replica.sql("SELECT count(*) FROM a") == [(1,)]
    replica.model.put(kinds["2.5"])
    replica.model.delete({"n": {"N": "1E30"}})
    replica.sync()
    assert replica.verdict().equal
    assert replica.sql("SELECT count(*) FROM rest") == [(2,)]


def test_names_of_attributes_that_look_like_ours(replica: Routed) -> None:
    tables: Any = replica.settings["tables"]
    nasty = {name: {"S": "x"} for name in ("route", "0\x1fa", "rest", "deleted", "item.a", "a.b")}
    if replica.database:
        nasty.pop("0\x1fa")
    tables[NAME]["routes"] = [
        {"when": {"a\\.b": "x", 'q"': "1"}, "into": "customers"},
        {"when": {"route": "y"}, "into": "bought"},
        {"else": "other"},
    ]
    replica.target_of = lambda item: (
        "customers"
        if item.get("a.b") == {"S": "x"} and item.get('q"') == {"S": "1"}
        else "bought"
        if item.get("route") == {"S": "y"}
        else "other"
    )
    replica.model.load([profile(1, **nasty), profile(2, **{**nasty, 'q"': {"S": "1"}})])
    replica.sync()
    replica.model.put(profile(3, **{**nasty, "route": {"S": "y"}}), profile(1, **nasty))
    replica.sync()
    replica.assert_divided()


def test_several_routes_lead_into_one_target(replica: Routed) -> None:
    tables: Any = replica.settings["tables"]
    tables[NAME]["routes"] = [
        {"when": {"v": 2}, "into": "some"},
        {"when": {"v": 3}, "into": "skipped_by_none"},
        {"when": {"sk": "PROFILE"}, "into": "some"},
        {"else": "skipped_by_none"},
    ]
    replica.targets = ("some", "skipped_by_none")
    replica.target_of = lambda item: (
        "some"
        if item.get("v") == {"N": "2"} or ("v" not in item and item["sk"] == {"S": "PROFILE"})
        else "skipped_by_none"
    )
    replica.model.load([order(1, 2), order(2, 3), order(3, 4), profile(1)])
    replica.sync()
    replica.assert_divided()
    replica.model.put(profile(1, v={"N": "3"}), order(2, 2), order(3, 3))
    replica.sync()
    replica.assert_divided()


def test_a_table_that_is_read_anew_each_time(replica: Routed) -> None:
    with_settings(replica, follow="none")
    replica.model.load([order(1, 2), order(2, 3), profile(1)])
    replica.sync()
    replica.assert_divided()
    replica.model.put(order(1, 3), order(2, 2))
    replica.sync()
    replica.assert_divided()


@pytest.mark.by_turns("url", "history")
@pytest.mark.parametrize("history", [False, True])
@pytest.mark.parametrize("kind", ["S", "N", "B"])
def test_an_item_that_is_in_another_target_has_not_vanished(
    rig: ScriptedDynamoDB, tmp_path: Path, url: str, kind: str, history: bool
) -> None:
    rig.create_table(NAME, KeySchema(Key("k", kind)))
    routes = [{"when": {"kind": "a"}, "into": "a"}, {"else": "rest"}]
    replica = Routed.of(rig, tmp_path, url, routes)
    keys = {"S": "abcd", "N": ["1", "2.5", "1e30", "9" * 38], "B": ["YQ==", "Yg==", "", "AAA="]}
    items = [{"k": {kind: key}, "kind": {"S": "a"}} for key in keys[kind] if key]
    replica.model.load(items)
    with_settings(replica, follow="stream" if history else "none", history=history)
    replica.sync()
    for item in items:
        replica.model.put({**item, "kind": {"S": "b"}})
    full = {"full_refresh": True} if history else {}
    rig.model(NAME).stream.trim(None)
    rig.clock.advance(hours=30)
    replica.run().snapshot(**full)
    assert replica.sql("SELECT count(*) FROM a") == [(0,)]
    assert replica.sql("SELECT count(*) FROM rest") == [(len(items),)]
    assert replica.verdict().equal
    replica.model.delete(*({"k": item["k"]} for item in items))
    rig.model(NAME).stream.trim(None)
    rig.clock.advance(hours=30)
    with pytest.raises(TooManyDeletes, match=f"{len(items)} of {len(items)} rows"):
        replica.run().snapshot(**full)


def test_the_routes_are_those_of_the_oracle() -> None:
    assert [each.get("into", each.get("else")) for each in ROUTES] == [
        "customers",
        "bought",
        "other",
    ]


@pytest.mark.by_turns("url", "policy")
@pytest.mark.parametrize("policy", ["evolve", "quarantine"])
def test_a_contract_holds_for_each_target(replica: Routed, policy: str) -> None:
    replica.settings["quarantine.limit"] = 10
    declared = {"at": {"type": "timestamp", "from": "epoch_ms"}, "v": {"type": "integer"}}
    with_settings(replica, columns=declared, contract=policy)
    at = {"N": "1700000000000"}
    replica.model.load([order(1, 2, at=at), order(2, 3, at=at), profile(1, at=at)])
    replica.sync()
    replica.assert_divided()
    replica.model.put(order(1, 3, at=at), order(2, 2, at=at))
    replica.sync()
    replica.assert_divided()
    year = "SELECT date_part('year', \"at\") FROM {}"
    years = [replica.sql(year.format(name)) for name in replica.targets]
    assert [[int(year) for (year,) in each] for each in years] == [[2023]] * 3
    replica.model.put(order(1, 2, at={"S": "yesterday"}))
    replica.model.delete(key(profile(1)))
    replica.sync()
    if policy == "evolve":
        replica.assert_divided()
        return
    assert replica.keys_in("bought") == [("C#2", "O#2")]
    assert replica.keys_in("other") == replica.keys_in("customers") == []
