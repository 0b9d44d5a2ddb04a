"""Each target has its own history and changes: an item comes and leaves in both."""

import json
import random
from collections import defaultdict
from itertools import pairwise
from typing import Any

import pytest

from connector.errors import ConfigError
from tests.rigs.combinations import amount

from .routed import NAME, Routed, key, order, profile

pytestmark = pytest.mark.by_turns("url")

Told = dict[str, list[tuple[Any, ...]]]


@pytest.fixture
def kept(replica: Routed) -> Routed:
    tables: Any = replica.settings["tables"]
    tables[NAME] |= {"history": True, "changes": True}
    return replica


def told(replica: Routed, id_: str) -> Told:
    """The versions of an order in each target: their number, how they began and how they ended."""
    return {
        name: replica.sql(
            f"SELECT v, _op, _ended_by FROM {name}__history WHERE sk = '{id_}' ORDER BY _version"
        )
        for name in ("bought", "other")
    }


def test_a_move_ends_a_version_and_begins_another(kept: Routed) -> None:
    kept.model.load([order(1, 2), order(2, 3), profile(1)])
    kept.sync()
    kept.model.put(order(1, 4))
    kept.sync()
    assert told(kept, "O#1") == {
        "bought": [(2, "snapshot", "update")],
        "other": [(4, "update", None)],
    }
    kept.model.put(order(1, 2), order(1, 5), order(1, 6), order(1, 2))
    kept.model.delete(key(order(2)))
    kept.sync()
    assert told(kept, "O#1") == {
        "bought": [(2, "snapshot", "update"), (2, "update", "update"), (2, "update", None)],
        "other": [(4, "update", "update"), (5, "update", "update"), (6, "update", "update")],
    }
    assert told(kept, "O#2") == {"bought": [], "other": [(3, "snapshot", "delete")]}
    check(kept)


def test_drawn_moves_are_in_every_history_and_every_log(kept: Routed) -> None:
    drawn = random.Random(7)
    kept.model.load([order(n, 1 + n % 3) for n in range(8)] + [profile(n) for n in range(3)])
    kept.sync()
    for _ in range(amount(6, by_turns=3)):
        for _ in range(drawn.randrange(1, 30)):
            n = drawn.randrange(10)
            if drawn.random() < 0.2:
                kept.model.delete(key(order(n)))
            else:
                kept.model.put(order(n, drawn.choice((1, 2, 3, 2))))
        kept.sync()
        check(kept)
    kept.run().snapshot(full_refresh=True)
    check(kept)


def test_a_log_needs_to_know_where_items_were(kept: Routed) -> None:
    kept.model.disable_stream()
    kept.model.enable_stream("NEW_IMAGE")
    kept.model.load([order(1)])
    with pytest.raises(ConfigError, match="as it was before each change"):
        kept.sync()


def test_changed_routes_are_refused_with_the_command_that_applies_them(kept: Routed) -> None:
    kept.model.load([order(1, 2), profile(1)])
    kept.sync()
    tables: Any = kept.settings["tables"]
    tables[NAME]["routes"] = [{"when": {"v": 2}, "into": "bought"}, {"else": "rest"}]
    with pytest.raises(ConfigError, match="routes have changed") as refused:
        kept.sync()
    assert f"connector snapshot {NAME} --full-refresh" in refused.value.hint


def test_reset_drops_what_is_kept(kept: Routed) -> None:
    kept.model.load([order(1, 2), profile(1)])
    kept.sync()
    kept.run().destination.reset(NAME, drop=True)
    names = "SELECT table_name FROM information_schema.tables WHERE table_name LIKE '%\\_\\_%'"
    assert kept.sql(names + " ESCAPE '\\'") == []


def check(replica: Routed) -> None:
    """Histories and logs are those of the stream, seen through the routes."""
    replica.assert_divided()
    for name in replica.targets:
        check_history(replica, name)
        check_log(replica, name)


def check_history(replica: Routed, name: str) -> None:
    """Versions follow each other, the open ones are the table, and each put is there once."""
    columns = replica.state().parts[name]
    v = "v" if "v" in columns else "NULL"
    versions: dict[str, list[tuple[Any, ...]]] = defaultdict(list)
    for row in replica.sql(
        f"SELECT pk, sk, {v}, _valid_from, _valid_to, _version, _op, _ended_by FROM "
        f"{name}__history ORDER BY pk, sk, _version"
    ):
        versions["\0".join(row[:2])].append(row)
    for each in versions.values():
        assert [row[5] for row in each] == list(range(1, len(each) + 1))
        for before, after in pairwise(each):
            assert before[3] <= before[4] <= after[3]
    live = [row for each in versions.values() for row in each if row[4] is None]
    rows = replica.sql(f"SELECT pk, sk, {v}, _changed_at FROM {name}")
    assert sorted(rows) == sorted(row[:4] for row in live)
    puts: dict[str, list[int]] = defaultdict(list)
    for _, record in replica.model.stream.written:
        image = record.content["dynamodb"].get("NewImage")
        if image and replica.target_of(image) == name:
            puts["\0".join((image["pk"]["S"], image["sk"]["S"]))].append(int(image["v"]["N"]))
    shown = {
        each: [row[2] for row in found if row[6] != "snapshot"] for each, found in versions.items()
    }
    assert {each: found for each, found in shown.items() if found} == puts


def check_log(replica: Routed, name: str) -> None:
    """Each change of an item that was or is in the target is there once."""
    wanted: list[tuple[Any, ...]] = []
    for _, record in replica.model.stream.written:
        change = record.content["dynamodb"]
        before, after = change.get("OldImage"), change.get("NewImage")
        was = before if before and replica.target_of(before) == name else None
        here = after if after and replica.target_of(after) == name else None
        if was or here:
            op = "update" if was and here else "insert" if here else "delete"
            sides = [int(each["v"]["N"]) if each else None for each in (was, here)]
            wanted.append((int(change["SequenceNumber"]), op, *sides))
    found = [
        (int(number), op, *(json.loads(each)["v"] if each else None for each in sides))
        for number, op, *sides in replica.sql(
            f"SELECT _sequence, _op, _before, _after FROM {name}__changes"
        )
    ]
    assert sorted(found) == wanted
