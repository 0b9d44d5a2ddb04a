"""A table with routes that is read from exports, repaired from them, or goes on elsewhere."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from connector.errors import HistoryLost
from tests.exports.replica import Exported
from tests.pipeline.replica import ORDERS, SCHEMA, Replica, caught_up, key
from tests.regions.world import EAST, WEST, World, world
from tests.rigs.scripted import RunningClock, ScriptedDynamoDB

pytestmark = pytest.mark.by_turns("url", "kept")

ROUTES = [
    {"when": {"kind": "a"}, "into": "in_a"},
    {"when": {"kind": "b*", "n": 2}, "into": "in_b"},
    {"else": "rest"},
]
TARGETS = ("in_a", "in_b", "rest")
COLUMNS = {"n": {"type": "integer", "required": True}}
KEPT: list[dict[str, Any]] = [{}, {"history": True, "changes": True}]


def item(id_: str, kind: str, n: object = 2) -> dict[str, Any]:
    """An item whose kind and number decide where it goes."""
    return {**key(id_), "kind": {"S": kind}, "n": {"N": str(n)}}


def target_of(each: Any) -> str:
    """Where the routes lead an item, spelled out."""
    kind = each["kind"]["S"]
    if kind == "a":
        return "in_a"
    return "in_b" if kind[:1] == "b" and float(each["n"]["N"]) == 2 else "rest"


def assert_divided(replica: Replica, kept: dict[str, Any]) -> None:
    """Each target has its items, and each item one present version, in the same target."""
    for target in TARGETS:
        wanted = sorted(
            (each["id"]["S"], int(each["n"]["N"]))
            for each in replica.model.items()
            if target_of(each) == target
        )
        assert replica.sql(f"SELECT id, n FROM {target} ORDER BY id") == wanted, target
        if kept:
            present = f"SELECT id, n FROM {target}__history WHERE _valid_to IS NULL ORDER BY id"
            assert replica.sql(present) == wanted, target
    assert replica.verdict().equal


def endings(replica: Replica, target: str) -> list[tuple[Any, ...]]:
    """How the versions of a target began and ended."""
    return replica.sql(f"SELECT id, _op, _ended_by FROM {target}__history ORDER BY id, _version")


@pytest.fixture
def past(rig: ScriptedDynamoDB) -> ScriptedDynamoDB:
    """A server of some days ago."""
    rig.clock.advance(hours=-100)
    return rig


@pytest.mark.parametrize("kept", KEPT, ids=["plain", "kept"])
def test_an_export_is_divided(
    past: ScriptedDynamoDB, tmp_path: Path, url: str, kept: dict[str, Any]
) -> None:
    past.create_table(ORDERS, SCHEMA)
    made = Exported(past, tmp_path, settings={"spool": str(tmp_path / "spool")}, database=url)
    made.keep(routes=ROUTES, columns=COLUMNS, **kept)
    made.model.load([item("x", "a"), item("y", "bb"), item("z", "bb", 3), item("w", "c")])
    past.clock.advance(minutes=10)
    made.export()
    made.model.put(item("x", "b"), item("y", "c"))
    made.model.delete(key("w"))
    made.sync()
    made.assert_no_scan()
    assert_divided(made, kept)


@pytest.mark.parametrize("kept", KEPT, ids=["plain", "kept"])
def test_a_gap_is_filled_in_every_target(
    past: ScriptedDynamoDB, tmp_path: Path, url: str, kept: dict[str, Any]
) -> None:
    past.create_table(ORDERS, SCHEMA)
    made = Exported(past, tmp_path, settings={"spool": str(tmp_path / "spool")}, database=url)
    made.keep(snapshot="scan", routes=ROUTES, columns=COLUMNS, **kept)
    made.model.load([item("gone", "a"), item("moved", "a"), item("same", "a"), item("late", "b")])
    made.sync()
    made.model.put(item("same", "b"), item("early", "a"))
    made.sync()
    before = made.sql("SELECT * FROM in_b WHERE id = 'same'")
    at = made.now()
    past.clock.advance(hours=1)
    made.model.put(item("moved", "b"), item("new", "c"), item("brief", "a"))
    made.model.delete(key("gone"), key("brief"))
    past.clock.advance(hours=59)
    made.model.stream.roll_all()
    made.model.put(item("late", "a"), item("moved", "c"), item("early", "b", 5))
    made.export_lost(at)
    with pytest.raises(HistoryLost):
        made.sync()
    made.run().repair(caught_up)
    assert_divided(made, kept)
    if kept:
        assert made.sql("SELECT * FROM in_b WHERE id = 'same'") == before
        assert endings(made, "in_a") == [
            ("early", "insert", "update"),
            ("gone", "snapshot", "gap"),
            ("late", "update", None),
            ("moved", "snapshot", "gap"),
            ("same", "snapshot", "update"),
        ]
        assert ("moved", "gap", "update") in endings(made, "in_b")


@pytest.fixture
def two_regions() -> Iterator[ScriptedDynamoDB]:
    """A scripted server with two Regions."""
    with ScriptedDynamoDB(clock=RunningClock(), region=WEST) as running:
        running.add_region(EAST)
        yield running


@pytest.mark.parametrize("kept", KEPT, ids=["plain", "kept"])
def test_all_targets_go_on_in_another_region(
    two_regions: ScriptedDynamoDB, tmp_path: Path, url: str, kept: dict[str, Any]
) -> None:
    there: World = world(two_regions, tmp_path, url, delay=0.0)
    there.settings["tables"] = {ORDERS: {"routes": ROUTES, "columns": COLUMNS, **kept}}
    there.settings["spool"] = str(tmp_path / "spool")
    there.model.put(item("same", "a"), item("moves", "a"), item("goes", "b"))
    there.group.converge()
    two_regions.clock.advance(60)
    there.sync_here()
    two_regions.clock.advance(timedelta(hours=1).total_seconds())
    there.group.tables[EAST].put(item("moves", "b"), item("new", "c"))
    there.group.tables[EAST].delete(key("goes"))
    there.group.converge()
    there.fail_over()
    there.sync_here()
    assert_divided(there, kept)
    there.model.put(item("moves", "c"), item("same", "b", 2))
    two_regions.clock.advance(60)
    there.sync_here()
    assert_divided(there, kept)
