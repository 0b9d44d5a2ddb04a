"""Fault matrix F: rivals, stops, clocks, states, crashes, and workers that die.

With real processes and real signals: tests/kill and tests/cli (78, 79, 82, 84, 85). Networks and
certificates (83): test_matrix_network.py. Row 86 is `make soak`; row 87 waits for a second version
of the state.
"""

import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from connector.core.changes.change import ChangePage
from connector.core.changes.shards import Shard
from connector.core.cursors import Batch, Cursor
from connector.errors import Interrupted, StateRefused, Unreachable
from connector.sources.dynamodb import calls, streams
from tests.rigs import duckdb_file
from tests.rigs.combinations import amount
from tests.rigs.scripted import ScriptedDynamoDB
from tests.rigs.scripted.scenario import (
    Before,
    Create,
    Delete,
    Drop,
    During,
    Fault,
    Heal,
    Put,
    Roll,
    Split,
    Step,
    Wait,
    Write,
    item,
    key,
)
from tests.rigs.scripted.shards import Record

from .replica import Replica, planned
from .world import pages


class Act(Step):
    """Something of the test's own, as a step."""

    def __init__(self, action: Any) -> None:
        self.action = action

    def play(self, stage: Any) -> None:
        """Does it."""
        self.action()


@pytest.mark.parametrize("call", ["GetRecords", "DescribeStream", "GetShardIterator"])
def test_78_a_run_that_was_stopped_for_ten_minutes_while_another_went_on(
    replica: Replica, call: str
) -> None:
    """Its commit is refused; it reads the state again, and goes on from there."""
    replica.checker.runs_at_once = 2
    planned(replica, Put("a", 2), Roll(), Put("a", 3))

    def rival() -> None:
        replica.run().sync(lambda tail: tail.caught_up())
        replica.play(Put("a", 4), Wait(minutes=10), Delete("old 1"))

    replica.play(During(call, Act(rival), after=1))
    replica.sync()


def test_78_two_runs_plan_the_same_table_at_once(replica: Replica) -> None:
    """One plan is stored; the other run ends, and may be started again."""
    replica.play(Before(3), Put("a", 1))
    first = threading.Event()

    def rival() -> None:
        if not first.is_set():
            first.set()
            replica.run().sync(lambda tail: tail.caught_up())

    replica.play(During("DescribeStream", Act(rival)))
    with pytest.raises(Exception, match="Another run"):
        replica.run().sync(lambda tail: tail.caught_up())
    replica.sync()
    assert replica.state().generation == 1


@pytest.mark.parametrize("rounds", [1, 3])
def test_79_asked_to_end(replica: Replica, rounds: int) -> None:
    """The batch is committed, the run says that it was interrupted, and the next one goes on."""
    planned(replica, Write(30, seed=1), Split(), Write(30, seed=2))
    left = iter(range(rounds))

    def stop() -> None:
        replica.stopping = next(left, None) is None

    replica.listeners.append(stop)
    with pytest.raises(Interrupted):
        replica.follow(hours=1)
    replica.listeners.clear()
    replica.stopping = False
    replica.sync()


def test_79_asked_to_end_while_a_listing_is_late(replica: Replica) -> None:
    """That is no loss, whatever the listing lacks."""
    planned(replica, Wait(hours=23))
    replica.sync()
    replica.play(Wait(hours=4), Put("a", 2), Roll(late=10**6), Put("a", 3), Roll(), Put("a", 4))
    replica.listeners.append(lambda: setattr(replica, "stopping", True))
    with pytest.raises(Interrupted):
        replica.follow(hours=1)
    assert replica.state().problem is None


@pytest.mark.parametrize("days", [-1, 1])
def test_80_this_machines_clock_is_a_day_off(
    replica: Replica, monkeypatch: pytest.MonkeyPatch, days: int
) -> None:
    """Lags and proofs go by the source's time: no false loss, and none that is hidden."""

    class Wrong(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:
            return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=days)

        @classmethod
        def fromtimestamp(cls, timestamp: float, tz: Any = None) -> datetime:
            # SQLite stores what is a datetime itself.
            return datetime.fromtimestamp(timestamp, tz)

    planned(replica)
    monkeypatch.setattr(calls, "datetime", Wrong)
    for _ in range(3):
        replica.play(Wait(hours=8), Put("a", 2), Roll(), Put("a", 3))
        replica.sync()
    assert replica.state().planned_at == datetime(2026, 1, 1, tzinfo=UTC)


def test_80_this_machines_clock_jumps_while_it_waits(replica: Replica) -> None:
    """The next answer sets it right; a date that is none is ignored."""
    clock = calls.SourceClock()
    clock.hear("Thu, 01 Jan 2026 00:00:10 GMT")
    clock.hear("Thu, 01 Jan 2026 00:00:09 GMT")
    assert clock.now() == datetime(2026, 1, 1, 0, 0, 10, tzinfo=UTC)
    clock.hear("sometime")
    clock.hear("Thu, 01 Jan 2026 00:00:60 GMT")
    clock.hear("Fri, 02 Jan 2026 00:00:10 GMT")
    assert clock.now() == datetime(2026, 1, 2, 0, 0, 10, tzinfo=UTC)
    clock.hear("Thu, 01 Jan 2026 00:00:11 GMT")
    assert clock.now() == datetime(2026, 1, 1, 0, 0, 11, tzinfo=UTC)


def test_81_a_state_of_a_newer_version(stored: Replica) -> None:
    """X, and nothing is written. For each destination, with other damage: tests/destinations."""
    planned(stored)
    with duckdb_file.opened(stored.file) as connection:
        connection.execute("UPDATE _connector.tables SET state_version = 99")
    before = stored.file.read_bytes()
    with pytest.raises(StateRefused):
        stored.run().sync(lambda tail: tail.caught_up())
    assert stored.file.read_bytes() == before


@pytest.mark.parametrize(
    "at",
    [
        "plan.before_commit",
        "plan.after_commit",
        "witness.planned",
        "scan.after_page",
        "spool.before_rename",
        "spool.after_rename",
        "tail.after_read",
        "tail.after_fold",
        "witness.committed",
        "witness.loaded",
        "load.before_drop",
    ],
)
def test_82_a_crash_in_the_first_run(replica: Replica, at: str) -> None:
    """=: the next run ends in the same table as if nothing had happened."""
    replica.play(Before(6, size=900), Put("a", 1), Put("old 1", 5), Delete("old 2"))
    replica.scan_pages = 1
    with pages(2**20, 2048):
        assert replica.crash(at)
        replica.play(Put("a", 2), Delete("old 3"), Roll(), Put("old 1", 6))
        replica.sync()


def test_82_no_state_is_left_where_the_plan_could_not_be_made(replica: Replica) -> None:
    """X: before the plan is stored there is nothing, and the next run starts afresh."""
    replica.play(Before(3), Fault("internal_server_error", "DescribeStream", times=10**6))
    with pytest.raises(Unreachable):
        replica.run().sync(lambda tail: tail.caught_up())
    assert replica.destination.read("orders") is None
    replica.play(Heal())
    replica.sync()


def test_85_an_error_in_one_shard_fails_the_run(
    replica: Replica, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever it is: no shard dies while the others go on as if all were well."""
    replica.play(Drop(), Create(shards=4), Before(3))
    replica.sync()
    replica.play(Write(20, seed=85))
    dying, read = replica.shard("2").id, streams.Stream.read

    def broken(self: streams.Stream, shard: Shard, since: Cursor) -> ChangePage:
        if shard.id == dying:
            raise RuntimeError("out of luck")
        return read(self, shard, since)

    replica.settings["tail.readers"] = 4
    with monkeypatch.context() as patch:
        patch.setattr(streams.Stream, "read", broken)
        with pytest.raises(RuntimeError, match="out of luck"):
            replica.sync()
    replica.sync()


def backlog(replica: Replica, count: int, keys: int) -> None:
    """Puts in turns to some keys, written straight into the stream: many times faster."""
    stream, second = replica.stream, int(replica.rig.clock.now())
    names = [f"k{n}" for n in range(keys)]
    shard_of = [stream._leaf(replica.model.schema.position(key(name))[0]) for name in names]
    for n in range(count):
        place = n % keys
        number = replica.rig.numbers.take()
        change = {
            "ApproximateCreationDateTime": second,
            "Keys": key(names[place]),
            "NewImage": item(names[place], n),
            "SequenceNumber": str(number),
        }
        content = {"eventName": "INSERT" if n < keys else "MODIFY", "dynamodb": change}
        record = Record(number, second, content, msgspec.json.encode(content))
        shard_of[place].records.append(record)
        stream.written.append((shard_of[place].id, record))
    replica.model.load(item(names[n % keys], n) for n in range(count - keys, count))


def stepped(batch: Batch) -> list[str]:
    """The shards of which a commit took records, and not the first time."""
    return [s.partition for s in batch.spans if s.since and s.since.token != s.until.token]


def test_one_sync_drains_350_shards_and_100000_records(
    rig: ScriptedDynamoDB, replica: Replica
) -> None:
    """No shard is starved: none is read a second time before every one was read once."""
    shards, records = amount(350, by_turns=120), amount(100_000, by_turns=5_000)
    replica.play(Drop(), Create(shards=shards), Before(3))
    replica.settings |= {"tail.readers": 4, "tail.batch_records": records // 5}
    replica.sync()
    keys = amount(7000, by_turns=2500)
    backlog(replica, records, keys=keys)
    before = len(replica.witness.batches)
    replica.sync()
    assert len(replica.contents()) == keys + 3
    read: set[str] = set()
    for batch in replica.witness.batches[before:]:
        moved = set(stepped(batch))
        assert not read & moved
        read |= moved
    assert len(read) == shards
    assert set(replica.rig.calls.per_shard()) == set(replica.stream.shards)


@pytest.mark.usefixtures("small_pages")
def test_shards_that_a_round_leaves_out_come_next_although_others_have_more(
    replica: Replica,
) -> None:
    """A round that is full after one page reads another shard each time, until all had a turn."""
    replica.play(Drop(), Create(shards=12), Before(3))
    replica.settings |= {"tail.readers": 1, "tail.batch_records": 1}
    replica.sync()
    backlog(replica, 240, keys=120)
    before = len(replica.witness.batches)
    replica.rounds(12)
    moved = [shard for batch in replica.witness.batches[before:] for shard in stepped(batch)]
    assert len(set(moved)) == len(moved) == 12
    replica.settings |= {"tail.readers": 4, "tail.batch_records": 1000}
    replica.sync()
