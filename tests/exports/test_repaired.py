"""A gap that is repaired: what else goes on meanwhile, and what cannot be mended."""

from datetime import datetime, timedelta
from pathlib import Path

import pytest

from connector.core.changes.shards import EARLIER
from connector.errors import CursorMoved, HistoryLost, SourceRefused
from tests.pipeline.replica import ORDERS, SCHEMA, caught_up, change, key, order
from tests.rigs.scripted import ScriptedDynamoDB

from .replica import Exported

HOUR = timedelta(hours=1)


@pytest.fixture
def rig(server: ScriptedDynamoDB) -> ScriptedDynamoDB:
    """A server of some days ago."""
    server.clock.advance(hours=-100)
    return server


def replica(rig: ScriptedDynamoDB, folder: Path, **table: object) -> Exported:
    """Forty orders, and nothing read of them."""
    rig.create_table(ORDERS, SCHEMA, **table).load(order(n, 0) for n in range(40))
    made = Exported(rig, folder, settings={"spool": str(folder / "spool")})
    made.keep(snapshot="scan")
    return made


def oversleep(made: Exported) -> datetime:
    """Loses changes of the stream; returns when that began."""
    at = made.now()
    for round_ in range(3):
        change(made, round_)
        made.model.delete(key(30 + round_))
        made.rig.clock.advance(hours=20)
        made.model.stream.roll_all()
    change(made, 9)
    return at


@pytest.mark.by_turns("shards")
@pytest.mark.parametrize("view", ["KEYS_ONLY", "OLD_IMAGE", "NEW_IMAGE"])
@pytest.mark.parametrize("shards", [1, 3])
def test_any_stream_is_repaired(rig, tmp_path, view, shards):
    made = replica(rig, tmp_path, view=view, shards=shards)
    made.sync()
    at = oversleep(made)
    made.export_lost(at)
    with pytest.raises(HistoryLost):
        made.sync()
    made.run().repair(caught_up)
    made.assert_equal()
    change(made, 11)
    made.sync()
    made.assert_equal()
    assert made.state().consistent_since is not None


def test_a_run_of_before_the_repair_commits_nothing_more(rig, tmp_path):
    made = replica(rig, tmp_path)
    made.sync()
    late, repaired = made.run(), []

    def ended(tail):
        if not repaired:
            at = made.now()
            rig.clock.advance(hours=30)
            change(made, 5)
            made.export_lost(at)
            made.by_hand("UPDATE _connector.tables SET problem = 'HistoryLost: lost'")
            repaired.append(made.run().repair(caught_up).plan_id)
            change(made, 6)
        return False

    with pytest.raises((CursorMoved, HistoryLost)):
        late.sync(ended)
    assert made.state().plan_id == repaired[0]
    made.sync()
    made.assert_equal()


def test_a_table_that_was_created_again_is_another_one(rig, tmp_path):
    made = replica(rig, tmp_path)
    made.sync()
    rig.delete_table(ORDERS)
    rig.create_table(ORDERS, SCHEMA)
    before = made.numbers()
    with pytest.raises(HistoryLost) as caught:
        made.run().repair(caught_up)
    assert "was deleted and created again" in caught.value.message
    assert made.numbers() == before


def test_a_stream_that_is_off_is_switched_on_first(rig, tmp_path):
    made = replica(rig, tmp_path)
    made.sync()
    made.model.disable_stream()
    rig.clock.advance(hours=30)
    made.by_hand("UPDATE _connector.tables SET problem = 'HistoryLost: lost'")
    with pytest.raises(SourceRefused) as caught:
        made.run().repair(caught_up)
    assert "update-table" in caught.value.hint


def test_what_is_not_loaded_yet_is_read_again(rig, tmp_path):
    made = replica(rig, tmp_path)
    made.keep(snapshot="scan", on_gap="repair")
    made.run().begin()
    made.model.put(order("new", 1))
    rig.clock.advance(hours=60)
    made.model.stream.roll()
    with pytest.raises(HistoryLost) as caught:
        made.sync()
    assert "is not loaded yet" in caught.value.message
    assert "--full-refresh" in caught.value.hint
    made.run().snapshot(full_refresh=True)
    made.sync()
    made.assert_equal()


def test_a_key_that_is_hashed_is_not_looked_up(rig, tmp_path, monkeypatch):
    monkeypatch.setenv("CONNECTOR_HASH_KEY", "a key of thirty-two characters!!")
    made = replica(rig, tmp_path)
    made.keep(snapshot="scan", columns={"id": {"hash": True}})
    made.sync()
    at = oversleep(made)
    made.model.put(order("brief", 1))
    made.export_lost(at)
    with pytest.raises(HistoryLost):
        made.sync()
    with pytest.raises(HistoryLost) as caught:
        made.run().repair(caught_up)
    assert "is hashed" in caught.value.message
    assert f"snapshot {ORDERS} --full-refresh" in caught.value.hint
    assert not any(name.startswith(EARLIER) for name in made.state().shards)
    made.run().snapshot(full_refresh=True)
    made.sync()
    assert made.sql("SELECT count(*) FROM orders") == [(len(made.model),)]
