"""Routes that change below a history: a refresh ends versions in one target, and begins others."""

import random
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import pytest

from tests.pipeline.replica import caught_up
from tests.rigs.combinations import amount

from .routed import NAME, ROUTES, Routed, key, order, profile

pytestmark = pytest.mark.by_turns("url")

TWO: list[dict[str, Any]] = [{"when": {"v": 2}, "into": "bought"}, {"else": "rest"}]
ONE: list[dict[str, Any]] = [{"else": "app"}]
EVERY = ("customers", "bought", "other", "rest", "app")


@pytest.fixture
def kept(replica: Routed) -> Routed:
    configure(replica, ROUTES)
    return replica


def configure(
    replica: Routed, routes: Sequence[Any], history: bool = True, changes: bool = True
) -> None:
    entry: dict[str, Any] = {"history": history, "changes": changes}
    replica.settings["tables"] = {NAME: entry | ({"routes": list(routes)} if routes else {})}


def refresh(replica: Routed) -> None:
    replica.run().snapshot(full_refresh=True, yes=True)


def there(replica: Routed) -> set[str]:
    names = "SELECT table_name FROM information_schema.tables"
    return {name for (name,) in replica.sql(names)}


def check(replica: Routed, led_to: Sequence[str]) -> None:
    """Present versions are the rows, and versions of a key follow each other."""
    assert replica.verdict().equal
    found = there(replica)
    for name in EVERY:
        if f"{name}__history" not in found:
            assert name not in led_to
            continue
        rows = replica.sql(
            f"SELECT pk, sk, _valid_from, _valid_to, _version, _ended_by FROM {name}__history "
            "ORDER BY pk, sk, _version"
        )
        for before, after in pairwise(rows):
            if before[:2] == after[:2]:
                assert before[4] + 1 == after[4], name
                assert before[2] <= before[3] <= after[2], name
        live = sorted(row[:3] for row in rows if row[3] is None)
        assert all((row[3] is None) == (row[5] is None) for row in rows)
        wanted = sorted(replica.sql(f"SELECT pk, sk, _changed_at FROM {name}"))
        assert live == (wanted if name in led_to else []), name


def versions(replica: Routed, name: str, id_: object) -> list[tuple[Any, ...]]:
    return replica.sql(
        f"SELECT _op, _ended_by FROM {name}__history WHERE pk = 'C#{id_}' ORDER BY _version"
    )


def test_a_refresh_by_other_routes_ends_and_begins_versions(kept: Routed) -> None:
    kept.model.load([order(1, 2), order(2, 3), profile(3)])
    kept.sync()
    configure(kept, TWO)
    refresh(kept)
    check(kept, ["bought", "rest"])
    assert versions(kept, "bought", 1) == [("snapshot", None)]
    assert versions(kept, "other", 2) == [("snapshot", "refresh")]
    assert versions(kept, "customers", 3) == [("snapshot", "refresh")]
    assert versions(kept, "rest", 2) == versions(kept, "rest", 3) == [("snapshot", None)]
    kept.model.put(order(2, 2), order(1, 3))
    kept.sync()
    check(kept, ["bought", "rest"])
    assert versions(kept, "rest", 2) == [("snapshot", "update")]
    log = "SELECT pk, _op FROM {}__changes ORDER BY pk"
    assert kept.sql(log.format("rest")) == [("C#1", "insert"), ("C#2", "delete")]
    assert kept.sql(log.format("bought")) == [("C#1", "delete"), ("C#2", "insert")]


def test_what_is_left_behind_can_go_and_comes_back_with_its_versions(kept: Routed) -> None:
    kept.model.load([order(1, 2), order(2, 3)])
    kept.sync()
    configure(kept, TWO)
    refresh(kept)
    kept.by_hand("DROP TABLE other")
    assert versions(kept, "other", 2) == [("snapshot", "refresh")]
    configure(kept, ROUTES)
    refresh(kept)
    check(kept, ["customers", "bought", "other"])
    assert versions(kept, "other", 2) == [("snapshot", "refresh"), ("snapshot", None)]
    assert versions(kept, "rest", 2) == [("snapshot", "refresh")]


def test_what_changes_while_it_is_read_anew_ends_where_it_was(kept: Routed) -> None:
    kept.model.load([order(n, 3) for n in range(1, 5)])
    kept.sync()
    configure(kept, TWO)
    kept.run().begin(full_refresh=True)
    kept.model.put(order(1, 4), order(2, 2))
    kept.model.delete(key(order(3, 3)))
    kept.run().tail(caught_up)
    assert versions(kept, "other", 1) == versions(kept, "other", 2) == [("snapshot", "update")]
    assert versions(kept, "other", 3) == [("snapshot", "delete")]
    assert versions(kept, "other", 4) == [("snapshot", None)]
    kept.run().snapshot(yes=True)
    check(kept, ["bought", "rest"])
    assert versions(kept, "rest", 1) == versions(kept, "bought", 2) == [("update", None)]
    assert versions(kept, "other", 4) == [("snapshot", "refresh")]
    assert versions(kept, "rest", 4) == [("snapshot", None)]


def test_routes_that_are_set_back_before_the_load_leave_versions_as_they_were(
    kept: Routed,
) -> None:
    kept.model.load([order(1, 3), order(2, 3)])
    kept.sync()
    configure(kept, TWO)
    kept.run().begin(full_refresh=True)
    kept.model.put(order(1, 4))
    configure(kept, ROUTES)
    refresh(kept)
    check(kept, ["customers", "bought", "other"])
    assert versions(kept, "other", 2) == [("snapshot", None)]
    assert len(versions(kept, "other", 1)) == 2


@pytest.mark.parametrize("first", [[], ONE])
def test_a_table_with_a_history_gets_routes_and_loses_them(
    kept: Routed, first: list[dict[str, Any]]
) -> None:
    configure(kept, first)
    kept.model.load([order(1, 2), order(2, 3)])
    kept.sync()
    configure(kept, TWO)
    refresh(kept)
    check(kept, ["bought", "rest"])
    assert versions(kept, "app", 1) == [("snapshot", "refresh")]
    configure(kept, first)
    refresh(kept)
    kept.model.put(order(1, 5))
    kept.sync()
    check(kept, ["app"])
    assert [each[1] for each in versions(kept, "app", 1)] == ["refresh", "update", None]
    assert versions(kept, "bought", 1) == [("snapshot", "refresh")]


def test_a_history_that_is_switched_with_its_routes(kept: Routed) -> None:
    kept.model.load([order(1, 2), order(2, 3)])
    kept.sync()
    configure(kept, TWO, history=False)
    refresh(kept)
    assert versions(kept, "bought", 1) == versions(kept, "other", 2) == [("snapshot", "gap")]
    assert "rest__history" not in there(kept)
    kept.model.put(order(2, 4))
    kept.sync()
    configure(kept, ROUTES)
    refresh(kept)
    check(kept, ["customers", "bought", "other"])
    assert versions(kept, "bought", 1) == [("snapshot", "gap"), ("gap", None)]
    assert "rest__history" not in there(kept)


def test_a_log_alone_goes_on_by_the_new_routes(kept: Routed) -> None:
    configure(kept, ROUTES, history=False)
    kept.model.load([order(1, 2), order(2, 3)])
    kept.sync()
    kept.model.put(order(2, 5))
    configure(kept, TWO, history=False)
    refresh(kept)
    kept.model.put(order(2, 6))
    kept.sync()
    assert kept.sql("SELECT pk, _op FROM rest__changes") == 2 * [("C#2", "update")]
    assert kept.sql("SELECT count(*) FROM other__changes") == [(0,)]


def test_drawn_routes_leave_every_version_in_its_place(kept: Routed) -> None:
    # Of this seed the first four rounds are of every kind.
    drawn = random.Random(2755)
    kept.model.load([order(n, 1 + n % 3) for n in range(6)] + [profile(9)])
    kept.sync()
    led = {"three": ["customers", "bought", "other"], "two": ["bought", "rest"], "one": ["app"]}
    for _ in range(amount(8, by_turns=4)):
        name, routes = drawn.choice((("three", ROUTES), ("two", TWO), ("one", [])))
        configure(kept, routes)
        kept.model.put(*(order(drawn.randrange(8), drawn.randrange(1, 4)) for _ in range(5)))
        if drawn.random() < 0.5:
            kept.run().begin(full_refresh=True)
            kept.model.put(*(order(drawn.randrange(8), drawn.randrange(1, 4)) for _ in range(5)))
            kept.model.delete(key(order(drawn.randrange(8))))
            if drawn.random() < 0.5:
                kept.run().tail(caught_up)
            if drawn.random() < 0.3:
                continue
            kept.run().snapshot(yes=True)
        else:
            refresh(kept)
        kept.sync()
        check(kept, led[name])
