"""A whole sync into Postgres, with what only Postgres cannot hold."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from connector.errors import QuarantineLimit
from tests.rigs.postgres import Database
from tests.rigs.scripted import RunningClock, ScriptedDynamoDB

from .replica import ORDERS, SCHEMA, Replica, change, key, order

NUL = {"s": {"S": "a\0b"}}


@pytest.fixture
def replica(
    postgres: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Replica]:
    """Old orders and new ones, on their way to Postgres."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_REGION", "us-west-2")
    with ScriptedDynamoDB(clock=RunningClock()) as rig:
        table = rig.create_table(ORDERS, SCHEMA)
        table.load(order(n, -1) for n in range(30))
        table.put(*(order(n, n) for n in range(20)))
        table.delete(*(key(n) for n in range(5, 8)))
        settings: dict[str, object] = {"spool": str(tmp_path / "spool")}
        yield Replica(rig, tmp_path, settings=settings, database=postgres.url)


def test_sync_and_verify_and_refresh(replica: Replica) -> None:
    replica.sync()
    replica.assert_equal()
    change(replica)
    replica.sync()
    replica.assert_equal()
    assert replica.verdict().equal
    replica.model.delete(*(key(n) for n in range(20)))
    replica.run().snapshot(full_refresh=True, yes=True)
    replica.sync()
    replica.assert_equal()
    assert replica.verdict().equal


def test_items_that_postgres_cannot_hold_are_in_the_quarantine(replica: Replica) -> None:
    replica.model.load([{**order("scanned"), **NUL}])
    replica.sync()
    replica.model.put({**order(9, 1), **NUL}, {**order("new"), **NUL})
    replica.sync()
    rows = replica.sql("SELECT key, raw FROM _connector.quarantine ORDER BY quarantined_at, key")
    assert [text for text, _ in rows] == ['["scanned"]', '["9"]', '["new"]']
    assert json.loads(rows[0][1]) == {**order("scanned"), **NUL}
    assert json.loads(rows[1][1])["dynamodb"]["NewImage"] == {**order(9, 1), **NUL}
    # The older row of the one that was there before is gone: absent is better than wrong.
    assert not {"9", "new", "scanned"} & replica.numbers().keys()
    verdict = replica.verdict()
    assert (verdict.missing.count, verdict.extra.count, verdict.different.count) == (3, 0, 0)
    replica.model.put(order(9, 2), order("new", 2), order("scanned", 2))
    replica.sync()
    replica.assert_equal()


def test_more_of_them_than_allowed_stop_the_run(replica: Replica) -> None:
    replica.settings["quarantine.limit"] = 1
    replica.sync()
    replica.model.put(*({**order(f"bad {n}"), **NUL} for n in range(2)))
    before = replica.state()
    with pytest.raises(QuarantineLimit):
        replica.sync()
    assert replica.state().cursors == before.cursors
    assert replica.sql("SELECT count(*) FROM _connector.quarantine") == [(0,)]
