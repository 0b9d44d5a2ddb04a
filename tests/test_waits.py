"""What a run waits for is reported once the wait is long, and then once a minute."""

import logging
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from adbc_driver_postgresql import dbapi

from connector import waits as module
from connector.core.changes.shards import Listing, Shard
from connector.destinations.duckdb.file import DuckDBDestination
from connector.destinations.postgres.server import PostgresDestination
from connector.events import Waited
from connector.pipeline.following.discovery import Discovery
from connector.scanning.turns import Lane, TurnedScan
from connector.sources.dynamodb.calls import ReadUnitLimiter
from connector.sources.dynamodb.retention import RETENTION
from connector.stop import Stop
from connector.waits import Waits
from tests.cli.program import Program, ended
from tests.destinations.story import Story
from tests.pipeline.replica import ORDERS, SCHEMA, Replica, order
from tests.rigs import duckdb_file
from tests.rigs.postgres import Database
from tests.rigs.scripted import RunningClock, ScriptedDynamoDB, faults

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def monotonic(self) -> float:
        """Seconds since noon."""
        return self.seconds

    def now(self) -> datetime:
        """The time of day."""
        return NOON + timedelta(seconds=self.seconds)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def waits(clock: Clock) -> Waits:
    """Waits of the orders, by a clock that the test moves."""
    return Waits("orders", clock.monotonic, clock.now)


@pytest.fixture
def said(caplog: pytest.LogCaptureFixture) -> Callable[[], list[str]]:
    """What was reported until now."""
    caplog.set_level(logging.INFO, "connector")
    return lambda: [
        each.getMessage() for each in caplog.records if "waiting for" in each.getMessage()
    ]


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A wait is long at once, so that a test need not take as long."""
    monkeypatch.setattr(module, "LONG_SECONDS", 0.01)


def test_a_short_wait_is_not_reported_and_a_long_one_every_minute(waits, clock, said):
    wait = waits.begin()
    for seconds in range(200):
        clock.seconds = float(seconds)
        wait.goes_on("the tide", left=300.0 - seconds)
    assert said() == ["orders: waiting for the tide, until 12:05:00 at the latest"] * 4


@pytest.mark.parametrize(("at", "count"), [(4.9, 0), (5.0, 1), (64.9, 1), (65.0, 2), (125.0, 3)])
def test_it_is_reported_after_five_seconds_and_then_after_sixty(waits, clock, said, at, count):
    wait = waits.begin()
    for tenth in range(int(at * 10) + 1):
        clock.seconds = tenth / 10
        wait.goes_on("the tide")
    assert len(said()) == count


def test_a_wait_that_is_not_looked_at_again_in_time_is_reported_before(waits, said):
    waits.begin().goes_on("a long sleep", ahead=4.0)
    assert said() == []
    waits.begin().goes_on("a long sleep", ahead=20.0)
    assert said() == ["orders: waiting for a long sleep"]


def test_what_several_wait_for_is_reported_once(waits, clock, said):
    every = [waits.begin() for _ in range(16)]
    clock.seconds = 6.0
    for wait in every:
        wait.goes_on("the tide")
    every[0].goes_on("the moon")
    assert said() == ["orders: waiting for the tide", "orders: waiting for the moon"]


def test_an_end_that_has_passed_is_now(waits, clock, said):
    wait = waits.begin()
    clock.seconds = 10.0
    wait.goes_on("the tide", left=-3.0)
    assert said() == ["orders: waiting for the tide, until 12:00:10 at the latest"]


def test_a_wait_has_its_level(waits, clock, caplog):
    caplog.set_level(logging.INFO, "connector")
    waits.report(Waited("the tide", level=logging.INFO))
    waits.report(Waited("the flood"))
    assert [each.levelname for each in caplog.records] == ["INFO", "WARNING"]


@pytest.mark.usefixtures("impatient")
def test_a_block_that_waits_for_an_answer_is_watched(said):
    waits, asked = Waits("orders"), threading.Event()

    def look() -> tuple[str, float | None]:
        asked.set()
        return "the tide", None

    before = threading.active_count()
    with waits.watched(look):
        assert asked.wait(30)
        for _ in range(3000):
            if said():
                break
            threading.Event().wait(0.01)
    assert said() == ["orders: waiting for the tide"]
    for thread in threading.enumerate():
        if thread.name == "waits":
            thread.join(30)
    assert threading.active_count() == before


@pytest.mark.usefixtures("impatient")
def test_a_held_duckdb_file_says_who_holds_it(tmp_path: Path, said) -> None:
    with ScriptedDynamoDB(clock=RunningClock()) as rig:
        program = Program(tmp_path, rig.url)
        destination = DuckDBDestination(program.file, lock_timeout=0.5, waits=Waits("orders"))
        Story(destination).plan()
        with duckdb_file.held(program.file), pytest.raises(Exception, match="held by process"):
            destination.read("orders")
    (line,) = said()
    assert line.startswith("orders: waiting for warehouse.duckdb, held by process ")
    assert line.endswith(" at the latest")


@pytest.mark.usefixtures("impatient")
def test_a_lock_in_postgres_says_which_process_has_it(postgres: Database, said) -> None:
    destination = PostgresDestination(postgres.parsed, lock_timeout=20, waits=Waits("orders"))
    Story(destination).plan()
    with dbapi.connect(postgres.url) as holder, holder.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        (process,) = cursor.fetchone() or (0,)
        cursor.execute("LOCK TABLE _connector.tables IN ACCESS EXCLUSIVE MODE")
        noting = threading.Thread(target=destination.note, args=("orders", "a problem"))
        noting.start()
        for _ in range(3000):
            if said():
                break
            threading.Event().wait(0.01)
        holder.rollback()
        noting.join(30)
    (line,) = said()
    assert line.startswith(
        f"orders: waiting for a lock in Postgres, which process {process} holds, until "
    )


@pytest.fixture
def replica(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Replica]:
    """One scripted table that was never synced."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_REGION", "us-west-2")
    with ScriptedDynamoDB(clock=RunningClock()) as rig:
        rig.create_table(ORDERS, SCHEMA).put(order(1))
        yield Replica(rig, tmp_path)


EFFECTS = {
    "throttled": (faults.throttle(), "Scan", "waiting for DynamoDB, which throttles Scan, until "),
    "throttled stream": (faults.throttle(), "GetRecords", "which throttles GetRecords, until "),
    "failing": (faults.internal_server_error(), "Scan", "DynamoDB answered Scan with 500"),
    "cut": (faults.cut_connection(), "GetRecords", "damaged on its way), until "),
    "nonsense": (faults.html(), "DescribeStream", "lacks StreamDescription), until "),
}


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("effect", EFFECTS)
def test_a_source_that_does_not_answer_well(replica, said, effect):
    fault, operation, says = EFFECTS[effect]
    replica.rig.faults.add(fault, on=operation, times=5)
    replica.sync()
    replica.assert_equal()
    assert [line for line in said() if says in line and line.startswith("orders: ")], said()


def test_a_cap_on_read_units_that_makes_it_wait(clock, waits, said):
    limiter = ReadUnitLimiter(
        0.1, sleep=lambda seconds: None, monotonic=clock.monotonic, waits=waits
    )
    limiter.spend(2.0)
    limiter.wait()
    assert said() == [
        "orders: waiting for read units, since source.max_read_units is used up, "
        "until 12:00:20 at the latest"
    ]


def test_a_scan_that_waits_for_its_turn(clock, waits, said):
    lane = Lane(1)
    first = lane.enter()
    turned = TurnedScan("orders", lane, lambda: pytest.fail("it is not its turn"), waits)
    for seconds in range(70):
        clock.seconds = float(seconds)
        assert not turned.finished()
    assert said() == ["orders: waiting for its turn to be scanned, after other tables"] * 2
    lane.leave(first)


class Incomplete:
    """A stream that lists a shard without its parent."""

    retention = RETENTION

    def __init__(self, clock: Clock) -> None:
        self.clock = clock

    def listing(self) -> Listing:
        """A child whose parent is not there."""
        return Listing({"child": Shard("child", "parent", "1", None)})

    def children(self, shard: str) -> list[Shard]:
        """None."""
        return []

    def now(self) -> datetime:
        """The time of day."""
        return self.clock.now()


def test_a_listing_that_lacks_a_shard(clock, waits, said):
    discovery = Discovery(Incomplete(clock), NOON, Stop.never(), 1.0, settles_at=NOON, waits=waits)
    for _ in range(8):
        discovery.refresh({}, "orders")
        discovery.check_complete({})
        clock.seconds += 2.0
    lines = said()
    assert lines == [
        "orders: waiting for shards that the stream does not list yet, until 12:15:00 at the latest"
    ]


@pytest.mark.usefixtures("impatient")
def test_silence_that_must_be_proven(replica, said):
    replica.settings = {"tail.quiet_seconds": 0.5}
    replica.sync()
    assert (
        "orders: waiting for silence in the stream, to prove that nothing is left unread" in said()
    )


def test_a_run_that_waits_for_nothing_says_nothing(replica, said):
    replica.sync()
    assert said() == []


def test_workers_in_processes_of_their_own_are_heard_once(tmp_path: Path) -> None:
    """The real program and its real patience: throttled until it says so, and then no more."""
    with ScriptedDynamoDB(clock=RunningClock()) as rig:
        rig.create_table(ORDERS, SCHEMA).load(order(n) for n in range(9))
        program = Program(tmp_path, rig.url)
        rig.faults.add(faults.throttle(), on="Scan", times=10_000)
        process = program.start_from_nothing(
            "sync", ORDERS, "--workers", "2", "--segments", "2", "--quiet", *program.to
        )
        assert process.stderr is not None
        line = process.stderr.readline()
        rig.faults.clear()
        done = ended(process)
    assert "WARNING orders: waiting for DynamoDB, which throttles Scan, until " in line
    assert done.stderr == ""
    assert done.code == 0
