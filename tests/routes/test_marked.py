"""Rows of deleted items that stay, in the target where they are."""

import pytest

from .routed import NAME, Routed, key, order, profile


def marked(replica: Routed) -> list[tuple[str, str, bool]]:
    """The target and the key of each row, and whether it is marked."""
    return sorted(
        (name, sk, bool(mark))
        for name in replica.targets
        for sk, mark in replica.sql(f"SELECT sk, {mark_in(replica, name)} FROM {name}")
    )


def mark_in(replica: Routed, name: str) -> str:
    found = replica.sql(
        "SELECT 1 FROM information_schema.columns "
        f"WHERE table_name = '{name}' AND column_name = '_deleted'"
    )
    return "_deleted" if found else "false"


@pytest.mark.by_turns("url", "history")
@pytest.mark.parametrize("deletes", ["soft", "ignore-ttl"])
@pytest.mark.parametrize("history", [False, True])
def test_a_deleted_item_is_marked_where_it_was(
    replica: Routed, deletes: str, history: bool
) -> None:
    tables = replica.settings["tables"]
    assert isinstance(tables, dict)
    tables[NAME] |= {"deletes": deletes, "history": history}
    replica.model.load([order(1, 2), order(2, 3), profile(1), order(3, 2)])
    replica.sync()
    replica.model.expire(key(order(1)), key(order(2)))
    replica.model.put(order(3, 3))
    replica.sync()
    assert marked(replica) == [
        ("bought", "O#1", True),
        ("customers", "PROFILE", False),
        ("other", "O#2", True),
        ("other", "O#3", False),
    ]
    assert replica.verdict().equal
    assert replica.run().destination.counts(NAME) == {"customers": 1, "bought": 0, "other": 1}
    replica.model.put(order(1, 7), order(2, 7))
    replica.model.delete(key(profile(1)))
    replica.sync()
    soft = [("customers", "PROFILE", True)] if deletes == "soft" else []
    assert marked(replica) == [*soft, *(("other", f"O#{n}", False) for n in (1, 2, 3))]
    assert replica.verdict().equal
    replica.model.expire(key(order(1)))
    replica.sync()
    replica.run().snapshot(full_refresh=True, yes=True)
    expected = [("other", "O#1", True), ("other", "O#2", False), ("other", "O#3", False)]
    assert marked(replica) == [*soft, *expected]
    assert replica.verdict().equal
