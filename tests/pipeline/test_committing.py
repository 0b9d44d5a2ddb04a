"""Where there is more to read, a round is read while the one before is committed."""

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from threading import Event
from typing import Any

import pytest

from connector.core.changes.change import ChangePage
from connector.core.changes.shards import Shard
from connector.core.cursors import Batch, Cursor
from connector.core.state import Committed
from connector.errors import Interrupted, Throttled
from connector.pipeline.following.committing import Committing
from connector.pipeline.following.tail import Tail
from connector.pipeline.sync import Run
from connector.stop import Stop
from tests.cli.program import PATIENCE, wait_until
from tests.rigs.scripted import faults

from .replica import Replica, caught_up, change, order

LOSSES = 7


@dataclass
class Slow:
    """A destination whose commits, if more follows, wait for something first."""

    inner: Any
    wait: Callable[[], None]
    waited: int = 0
    newest: int = 0
    every: bool = False
    """Not only where more follows, but wherever there are rows."""

    def commit(self, batch: Batch) -> Committed:
        """Commits, later."""
        if batch.more or (self.every and len(batch.rows)):
            self.waited += 1
            self.wait()
        committed: Committed = self.inner.commit(batch)
        self.newest = committed.commit
        return committed

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)


@pytest.fixture
def behind(replica: Replica) -> Replica:
    """A replica of twenty orders that lacks the changes in several shards, of which a round reads
    one page.
    """
    replica.model.put(*(order(n, 0) for n in range(20)))
    replica.sync()
    for round_ in range(1, 4):
        change(replica, round_)
        replica.model.stream.split()
    change(replica, 4)
    replica.settings |= {"tail.batch_records": 1, "tail.readers": 1}
    return replica


@pytest.fixture
def handed_over(monkeypatch: pytest.MonkeyPatch) -> list[Callable[[], None]]:
    """What the reading thread does before it hands over a batch that more follows, and reads on."""
    done: list[Callable[[], None]] = []
    begin = Committing.begin

    def after_those(committing: Committing, batch: Batch) -> None:
        for each in done if batch.more else ():
            each()
        begin(committing, batch)

    monkeypatch.setattr(Committing, "begin", after_those)
    return done


def slowed(replica: Replica, wait: Callable[[], None]) -> tuple[Run, Slow]:
    """A run whose commits wait."""
    run = replica.run()
    slow = Slow(run.destination, wait)
    run.destination = slow
    return run, slow


def test_the_next_round_is_read_meanwhile(
    behind: Replica, handed_over: list[Callable[[], None]]
) -> None:
    calls = behind.rig.calls
    before: list[int] = []
    handed_over.append(lambda: before.append(calls.count("GetRecords")))
    run, slow = slowed(behind, lambda: wait_until(lambda: calls.count("GetRecords") > before[-1]))
    run.sync(caught_up)
    assert slow.waited > 1
    behind.assert_equal()


def test_a_rival_that_was_first_is_met_and_what_was_read_meanwhile_is_read_again(
    behind: Replica,
) -> None:
    rivals = iter([behind.sync])

    def overtaken() -> None:
        for rival in rivals:
            rival()

    run, slow = slowed(behind, overtaken)
    run.sync(caught_up)
    assert slow.waited >= 1
    behind.assert_equal()


@dataclass
class Heard:
    """Changes that say when reading a shard has failed."""

    inner: Any
    failed: Event = field(default_factory=Event)

    def read(self, shard: Shard, since: Cursor) -> ChangePage:
        """Reads."""
        try:
            page: ChangePage = self.inner.read(shard, since)
        except Throttled:
            self.failed.set()
            raise
        return page

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)


def test_a_commit_under_way_is_made_although_reading_fails(
    behind: Replica, handed_over: list[Callable[[], None]]
) -> None:
    behind.settings["source.retry_seconds"] = 0.2
    refusal = faults.limit_exceeded()
    handed_over.append(lambda: behind.rig.faults.add(refusal, on="GetRecords", times=10_000))

    def refused() -> None:
        assert heard.failed.wait(PATIENCE)

    run, slow = slowed(behind, refused)
    heard = Heard(run.changes)
    run.changes = heard
    with pytest.raises(Throttled):
        run.sync(caught_up)
    assert slow.waited == 1
    assert behind.state().commit == slow.newest > 0
    handed_over.clear()
    behind.rig.faults.clear()
    behind.sync()
    behind.assert_equal()


def test_a_follower_that_loses_to_a_rival_now_and_then_goes_on(behind: Replica) -> None:
    """Only rivals that win one time after the other, with nothing in between, end a run."""
    behind.sync()
    run, slow = slowed(behind, behind.sync)
    slow.every = True
    numbers = count()

    def lost_often(tail: Tail) -> bool:
        if not tail.caught_up() or slow.waited >= LOSSES:
            return tail.caught_up()
        behind.model.put(order(f"again {next(numbers)}", 1))
        return False

    run.tail(lost_often)
    assert slow.waited >= LOSSES
    behind.assert_equal()


def test_a_backlog_without_end_hears_that_it_is_to_stop(behind: Replica) -> None:
    asked = Event()

    def more() -> None:
        behind.model.put(*(order(f"more {slow.waited} {n}", 1) for n in range(5)))
        assert slow.waited < 30, "nobody asked whether the run is to end"
        if slow.waited == 3:
            asked.set()

    run, slow = slowed(behind, more)
    run.stop = Stop.of(asked)
    with pytest.raises(Interrupted):
        run.tail(lambda tail: False)
    assert slow.waited <= 5
    assert behind.state().commit == slow.newest
