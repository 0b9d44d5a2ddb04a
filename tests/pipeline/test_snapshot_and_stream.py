"""Scan beside tail: what the stream says wins, deletes included, whatever the order of events."""

import pytest

from connector.errors import HistoryLost, Interrupted, QuarantineLimit
from connector.pipeline.following.tail import Tail
from tests.rigs.scripted import Key, KeySchema, ScriptedDynamoDB, faults

from .replica import ORDERS, PACE, Replica, change, key, order, polled


@pytest.fixture(autouse=True)
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages of 10 KB instead of 1 MB."""
    monkeypatch.setattr("tests.rigs.scripted.scan.PAGE_BYTES", 10 * 1024)


def fill(replica: Replica) -> list[str]:
    """Four pages of orders; their ids in the order of the scan."""
    replica.model.load({**order(n, 0), "padding": {"S": "x" * 1000}} for n in range(40))
    return [item["id"]["S"] for item in replica.model.items()]


def interrupted_after(replica: Replica, pages: int) -> None:
    """A sync that is asked to end after so many pages of the scan."""
    with pytest.raises(Interrupted):
        replica.run(polled(lambda: replica.rig.calls.count("Scan") >= pages)).sync(
            lambda tail: tail.caught_up()
        )


def tail_only(replica: Replica) -> None:
    """A tail beside the unfinished scan."""
    replica.run().tail(lambda tail: tail.caught_up())


def test_an_item_deleted_after_its_page_stays_deleted(replica: Replica) -> None:
    ids = fill(replica)
    interrupted_after(replica, 2)
    replica.model.delete(key(ids[0]), key(ids[3]))
    tail_only(replica)
    replica.sync()
    replica.assert_equal()
    assert replica.sql("SELECT count(*) FROM _connector.tombstones") == [(0,)]


def test_an_item_changed_after_its_page_keeps_the_change(replica: Replica) -> None:
    ids = fill(replica)
    interrupted_after(replica, 2)
    replica.model.put(order(ids[0], 1), order(ids[-1], 2))
    tail_only(replica)
    replica.sync()
    replica.assert_equal()


def test_an_item_deleted_and_made_again_is_there_once(replica: Replica) -> None:
    ids = fill(replica)
    interrupted_after(replica, 2)
    for each in (ids[0], ids[-1]):
        replica.model.delete(key(each))
        tail_only(replica)
        replica.model.put(order(each, 5))
        tail_only(replica)
        replica.model.delete(key(each))
        replica.model.put(order(each, 6))
    replica.sync()
    replica.assert_equal()


def test_writes_between_the_pages_of_a_running_scan_are_applied(replica: Replica) -> None:
    ids = fill(replica)
    for page in range(4):
        first, last = ids[page], ids[-1 - page]

        def write(page: int = page, first: str = first, last: str = last) -> None:
            replica.model.delete(key(first))
            replica.model.put(order(last, page), order(f"new {page}", page))

        replica.rig.faults.add(faults.run(write), on="Scan", times=1, after=page)
    replica.sync()
    replica.assert_equal()


def test_a_full_refresh_removes_what_the_stream_never_told(replica: Replica) -> None:
    ids = fill(replica)
    replica.sync()
    # Behind the stream's back, as after lost history.
    with replica.rig.lock:
        for each in ids[:5]:
            replica.model.rows.replace(replica.model.schema.position(key(each)), None, 0.0)
    replica.model.put(order("newer", 1))
    state = replica.run().snapshot(full_refresh=True)
    assert state.generation == 2
    replica.sync()
    replica.assert_equal()


def test_a_snapshot_ends_with_values_as_new_as_its_scan(replica: Replica) -> None:
    for n in range(5):
        replica.model.put(order(1, n), order(2, n))
        replica.model.stream.roll()
    replica.run().snapshot()
    replica.assert_equal()
    replica.run().snapshot(full_refresh=True)
    replica.assert_equal()


def test_rows_stay_readable_while_a_full_refresh_is_under_way(replica: Replica) -> None:
    fill(replica)
    replica.sync()
    before = replica.rig.calls.count("Scan")
    with pytest.raises(Interrupted):
        replica.run(polled(lambda: replica.rig.calls.count("Scan") > before + 1)).snapshot(True)
    replica.assert_equal()
    replica.sync()
    replica.assert_equal()


def lost(replica: Replica) -> str:
    """The message of a sync that must stop for a person; the rows stay as they are."""
    before = replica.numbers()
    with pytest.raises(HistoryLost) as caught:
        replica.sync()
    assert caught.value.exit_code == 3
    assert "full-refresh" in caught.value.hint
    assert replica.numbers() == before
    return caught.value.message


def test_a_table_made_again_under_its_name_stops_the_run(
    rig: ScriptedDynamoDB, replica: Replica
) -> None:
    replica.model.put(order(1, 1))
    replica.sync()
    rig.delete_table(ORDERS)
    rig.create_table(ORDERS, KeySchema(Key("id"))).put(order(2, 2))
    assert "created again" in lost(replica)
    replica.run().snapshot(full_refresh=True, yes=True)
    replica.sync()
    replica.assert_equal()


def test_a_stream_switched_off_and_on_stops_the_run(replica: Replica) -> None:
    replica.model.put(order(1, 1))
    replica.sync()
    replica.model.disable_stream()
    replica.model.put(order(2, 2))
    replica.model.enable_stream()
    assert "stream" in lost(replica)


def test_changes_trimmed_unread_stop_the_run(rig: ScriptedDynamoDB, replica: Replica) -> None:
    replica.model.put(order(1, 1))
    replica.sync()
    change(replica)
    rig.clock.advance(hours=26)
    lost(replica)


def test_a_day_of_silence_is_no_loss(rig: ScriptedDynamoDB, replica: Replica) -> None:
    replica.model.put(order(1, 1))
    replica.sync()
    rig.clock.advance(hours=23)
    replica.sync()
    rig.clock.advance(hours=23)
    change(replica)
    replica.sync()
    replica.assert_equal()


def test_a_table_is_consistent_only_from_a_proof_on(replica: Replica) -> None:
    """The source tells its time in whole seconds, so a later run may believe that it is earlier."""
    fill(replica)

    def loaded(tail: Tail) -> bool:
        return tail.state.phase.value == "tailing"

    replica.settings["tail.quiet_seconds"] = 600.0
    state = replica.sync(loaded)
    assert state.scanned_until is not None and state.consistent_since is None
    replica.settings["tail.quiet_seconds"] = PACE["tail.quiet_seconds"]
    replica.rig.clock.advance(seconds=-0.9)
    state = replica.sync()
    assert state.consistent_since is not None
    assert state.consistent_since >= state.scanned_until
    assert replica.sync().consistent_since == state.consistent_since


def test_more_quarantined_records_than_allowed_stop_the_run_unmoved(replica: Replica) -> None:
    replica.model.put(order(1, 1))
    replica.settings["quarantine.limit"] = 1
    replica.sync()
    before = replica.state().shards
    replica.model.put(*({**key(f"bad {n}"), "n": {"ZZ": "1"}} for n in range(2)))
    with pytest.raises(QuarantineLimit) as caught:
        replica.sync()
    assert caught.value.exit_code == 3
    assert "an attribute value of an unknown type (2)" in caught.value.message
    assert replica.state().shards == before
    replica.settings["quarantine.limit"] = 2
    state = replica.sync()
    assert state.quarantined == 2
    assert replica.numbers() == {"1": 1}


def test_a_table_over_its_limit_goes_on_once_what_comes_is_good(replica: Replica) -> None:
    replica.settings["quarantine.limit"] = 2
    replica.sync()
    replica.model.put(*({**key(f"bad {n}"), "n": {"ZZ": "1"}} for n in range(2)))
    replica.sync()
    replica.settings["quarantine.limit"] = 1
    replica.model.put(order("good", 1))
    assert replica.sync().quarantined == 2
    assert replica.numbers() == {"good": 1}
    replica.model.put({**key("bad again"), "n": {"ZZ": "1"}})
    with pytest.raises(QuarantineLimit):
        replica.sync()


def test_a_scan_with_more_bad_items_than_allowed_loads_nothing(replica: Replica) -> None:
    fill(replica)
    replica.model.load([{**key(f"bad {n}"), "n": {"N": "many"}} for n in range(3)])
    replica.settings["quarantine.limit"] = 2
    with pytest.raises(QuarantineLimit):
        replica.sync()
    assert replica.numbers() == {}
    replica.settings["quarantine.limit"] = 3
    assert replica.sync().quarantined == 3
    assert len(replica.numbers()) == 40
