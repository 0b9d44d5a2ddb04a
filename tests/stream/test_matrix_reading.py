"""Fault matrix C 33–40: GetRecords that fails, is trimmed or empty, or repeats itself."""

import logging

import pytest

from connector.errors import HistoryLost, Throttled
from tests.destinations.fake import FakeDestination
from tests.rigs.combinations import amount
from tests.rigs.scripted.scenario import (
    During,
    Fault,
    Heal,
    Put,
    Roll,
    Split,
    Step,
    Trim,
    Wait,
    Write,
)

from .memory import run
from .replica import Replica, planned


@pytest.mark.parametrize("after", [0, 4], ids=["before the first record", "after some"])
@pytest.mark.parametrize("times", [1, 3], ids=["once", "three times"])
@pytest.mark.usefixtures("small_pages")
def test_33_an_iterator_expires(replica: Replica, after: int, times: int) -> None:
    """A new one begins where the old one stood, never at the newest record."""
    replica.play(Write(20, seed=1), Fault("expired_iterator", "GetRecords", times, after))
    replica.sync()


def test_33_iterators_expire_while_the_process_is_stopped(replica: Replica) -> None:
    """After twenty minutes of being stopped, reading goes on after the last record."""
    planned(replica, Put("a", 2))
    replica.play(During("GetRecords", Wait(minutes=20), Put("a", 3), after=1, times=3))
    replica.sync()


def test_34_records_before_the_cursor_are_trimmed(replica: Replica) -> None:
    """=: the last poll was two hours ago, so nothing unread can be gone."""
    planned(replica, Trim("0"), Wait(hours=2), Put("a", 2), Put("b", 1))
    replica.sync()
    kinds = [
        call.parameters["ShardIteratorType"] for call in replica.rig.calls.of("GetShardIterator")
    ]
    assert kinds[-2:] == ["AFTER_SEQUENCE_NUMBER", "TRIM_HORIZON"]


def test_34_a_trim_that_is_none_brings_records_twice(replica: Replica) -> None:
    """What comes again is dropped by its sequence number."""
    planned(replica, Write(20, seed=3))
    replica.sync()
    replica.play(Wait(hours=2), Fault("trimmed", "GetRecords"), Put("a", 5))
    replica.sync()


@pytest.mark.parametrize("steps", [(), (Put("b", 1),)], ids=["nothing came", "something came"])
def test_35_the_last_poll_was_26_hours_ago(replica: Replica, steps: tuple[Step, ...]) -> None:
    """G: nothing tells what was trimmed in the meantime."""
    planned(replica, *steps, Wait(hours=26), Put("c", 1))
    lost = replica.fails(HistoryLost, match="trimmed before they were read, between 2026-01-01")
    assert f"snapshot {replica.table} --full-refresh" in lost.hint and "on_gap: resync" in lost.hint
    assert "HistoryLost" in (replica.state().problem or "")
    replica.refresh()


@pytest.mark.usefixtures("small_pages")
def test_36_a_catch_up_slower_than_trimming(
    replica: Replica, caplog: pytest.LogCaptureFixture
) -> None:
    """G as soon as it is proven, and an alarm before that."""
    planned(replica)
    for n in range(40):
        replica.play(Wait(minutes=1), Put("a", n))
    replica.play(Wait(hours=23, minutes=10))
    replica.play(During("GetRecords", Wait(minutes=5), times=1000))
    # Airflow, in the process of a test before, may have asked for less than warnings.
    caplog.clear()
    with caplog.at_level(logging.WARNING, "connector"):
        replica.fails(HistoryLost, match="trimmed")
    assert [record.levelname for record in caplog.records][:1] == ["ERROR"]
    assert "behind; changes are lost at 24 hours" in caplog.text
    replica.play(Heal())
    replica.refresh()


def test_37_a_third_reader_for_a_minute(replica: Replica) -> None:
    """It backs off, and gets through."""
    planned(replica, Put("a", 2), Fault("limit_exceeded", "GetRecords", times=12))
    before = replica.rig.clock.now()
    replica.sync()
    assert replica.rig.clock.now() - before > 10


def test_37_a_third_reader_that_stays(replica: Replica) -> None:
    """It gives up at its deadline, says why, and has lost nothing."""
    planned(replica, Put("a", 2), Fault("limit_exceeded", "GetRecords", times=10**6))
    replica.fails(Throttled, match="LimitExceeded")
    replica.play(Heal())
    replica.sync()


def test_38_a_third_of_the_calls_answer_500(replica: Replica) -> None:
    """They are made again."""
    planned(replica, Fault("internal_server_error", chance=0.3, seed=38))
    for seed in range(5):
        replica.play(Write(10, seed=seed), Split() if seed % 2 else Roll())
        replica.sync()


def test_39_empty_pages_of_an_open_shard_and_then_data(replica: Replica) -> None:
    """The data is found, and the polls in between are as rare as configured."""
    planned(replica, Put("a", 2), Fault("empty_page", "GetRecords", times=500))
    polls = replica.rig.calls.count("GetRecords")
    replica.follow(hours=1.5)
    assert replica.contents()["a"]["n"] == 2
    assert replica.rig.calls.count("GetRecords") - polls < 1.5 * 3600 / 10 + 20


def test_39_5000_empty_pages_of_a_closed_shard_and_then_data(replica: Replica) -> None:
    """A closed shard has an end: no silence is taken for it, and none makes the run wait."""
    planned(replica, Put("a", 2), Roll(), Put("a", 3))
    replica.play(Fault("empty_page", "GetRecords", times=amount(5000, by_turns=1200)))
    before = replica.rig.clock.now()
    replica.sync()
    assert replica.rig.clock.now() - before < 300


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.usefixtures("small_pages")
def test_40_pages_come_twice(replica: Replica, seed: int) -> None:
    """What was taken already is counted as a duplicate, and changes nothing."""
    planned(replica, Write(15, seed=seed), Roll(), Write(15, seed=seed + 10))
    replica.play(Fault("repeat", "GetRecords", chance=0.4, times=20, seed=seed))
    replica.sync()


@pytest.mark.parametrize("older", [1, 3, 6])
def test_i6_replaying_any_suffix_gives_the_same_table(replica: Replica, older: int) -> None:
    """Cursors that are set back read again what the rows already have; the table is the same."""
    planned(replica)
    for n in range(8):
        replica.play(Write(6, seed=n, keys=4), Roll() if n % 3 == 2 else Wait(seconds=5))
        replica.sync()
    assert isinstance(replica.destination, FakeDestination)
    state = replica.destination.read("orders")
    assert state is not None
    places = {name: cursor for name, cursor in state.cursors.items() if "segment" in name}
    for batch in replica.witness.batches[: -3 * older]:
        places |= {span.partition: span.until for span in batch.spans}
    run(replica.destination, "DELETE FROM _connector.cursors")
    for partition, cursor in places.items():
        row = ("orders", partition, cursor.token, cursor.done, cursor.seen_at, cursor.parent)
        inserted = "INSERT INTO _connector.cursors VALUES (?, ?, ?, ?, ?, ?, NULL)"
        run(replica.destination, inserted, *row)
    now = replica.checker.now_is
    now.places = {name: (cursor.token, cursor.done) for name, cursor in places.items()}
    now.last.clear()
    replica.sync()
