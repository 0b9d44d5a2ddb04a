"""Fault matrix A: the scan, beside a stream that goes on, in virtual time.

Wrong bodies of every kind, resuming, paging and worker processes in real time: tests/pipeline.
"""

from typing import Any

import pytest

from connector.core.state import Phase
from connector.errors import (
    BadAnswer,
    HistoryLost,
    SourceRefused,
    Throttled,
)
from connector.pipeline.following.tail import Tail
from tests.rigs.combinations import amount
from tests.rigs.scripted import faults
from tests.rigs.scripted.faults import Effect
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
    Wait,
    Write,
)

from .claims import Violation
from .replica import Replica
from .world import pages

CODES = ("ProvisionedThroughputExceededException", "ThrottlingException", "RequestLimitExceeded")


@pytest.fixture(autouse=True)
def scan_pages_of_two_items(request: pytest.FixtureRequest) -> Any:
    """Scan pages of 2 KB, so that a few items are many pages."""
    with pages(2**20, 2**20 if "small_scan" not in request.fixturenames else 2048):
        yield


@pytest.fixture
def small_scan(replica: Replica) -> None:
    """Forty items on twenty pages, scanned one page between two rounds of the tail."""
    replica.play(Before(40, size=900))
    replica.scan_pages = 1


@pytest.mark.usefixtures("small_scan")
@pytest.mark.parametrize("code", CODES)
def test_01_half_of_the_pages_are_throttled(replica: Replica, code: str) -> None:
    """=: the scan gets through, below its rate of read units."""
    replica.settings["source.max_read_units"] = 4
    replica.play(Fault("throttle", "Scan", chance=0.5, times=40, seed=1, having=(code,)))
    began = replica.rig.clock.now()
    replica.sync()
    assert replica.rig.clock.now() - began > 20


@pytest.mark.usefixtures("small_scan")
def test_02_throttled_without_end(replica: Replica) -> None:
    """X after the deadline, with the reason; what was scanned is kept, and the scan goes on."""
    replica.play(Fault("throttle", "Scan", times=10**6, after=5))
    began = replica.rig.clock.now()
    error = replica.fails(Throttled, match="TableReadProvisionedThroughputExceeded")
    assert error.exit_code == 4 and 200 < replica.rig.clock.now() - began < 400
    replica.play(Heal())
    replica.rig.calls.clear()
    replica.sync()
    assert replica.rig.calls.count("Scan") < 18


def test_03_a_thousand_empty_pages(replica: Replica) -> None:
    """=: a page with a cursor is not the end, whatever is on it."""
    replica.play(Before(5), Fault("empty_page", "Scan", times=1000))
    replica.sync()
    assert replica.rig.calls.count("Scan") == 1001


BODIES = {
    "html": faults.html(),
    "cut": faults.cut_body(0.5),
    "empty": faults.wrong_body(b""),
    "null": faults.wrong_body(b"null"),
    "list": faults.wrong_body(b"[]"),
    "wrong checksum (5)": faults.wrong_checksum(),
    "no items but a count (6)": faults.without("Items"),
}


@pytest.mark.usefixtures("small_scan")
@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_04_to_06_a_page_that_is_none(replica: Replica, body: Effect) -> None:
    """Tried again; then X, and the segment is not done."""
    replica.rig.faults.add(body, on="Scan", times=3)
    replica.rig.faults.add(body, on="Scan", times=10**6, after=19)
    replica.fails(BadAnswer)
    assert replica.state().phase is Phase.LOADING
    replica.play(Heal())
    replica.sync()


@pytest.mark.usefixtures("small_scan")
def test_07_connections_that_break_in_the_middle_of_a_page(replica: Replica) -> None:
    """=: the page is asked for again. Stalls and half-open sockets: test_matrix_network.py."""
    replica.play(Fault("cut_connection", "Scan", chance=0.4, times=15, seed=7))
    replica.sync()


@pytest.mark.usefixtures("small_scan")
@pytest.mark.parametrize("at", ["scan.after_page:5", "spool.before_rename", "spool.after_rename"])
def test_08_killed_after_some_pages(replica: Replica, at: str) -> None:
    """=: another run goes on with the same segments, from what is in the spool."""
    replica.settings["scan.segments"] = 3
    assert replica.crash(at)
    replica.play(Put("old 1", 100), Delete("old 2"))
    replica.sync()
    totals = {call.parameters["TotalSegments"] for call in replica.rig.calls.of("Scan")}
    assert totals == {3}


@pytest.mark.usefixtures("small_scan")
def test_09_another_number_of_segments_is_configured_meanwhile(
    replica: Replica, caplog: pytest.LogCaptureFixture
) -> None:
    """The plan's number stays until the scan is over, and the run says so."""
    replica.settings["scan.segments"] = 3
    assert replica.crash("scan.after_page:5")
    replica.settings["scan.segments"] = 7
    assert replica.sync().segments == 3
    (told,) = [each for each in caplog.messages if "segments, as it began" in each]
    assert "3" in told and "7" in told
    caplog.clear()
    replica.sync()
    assert "segments" not in caplog.text
    totals = {call.parameters["TotalSegments"] for call in replica.rig.calls.of("Scan")}
    assert totals == {3}


@pytest.mark.usefixtures("small_scan")
def test_10_the_item_at_the_cursor_is_deleted_before_the_scan_goes_on(replica: Replica) -> None:
    """=: a cursor is a place, not an item."""
    assert replica.crash("spool.after_rename:4")
    names = [item["id"]["S"] for item in replica.model.items()]
    replica.play(Delete(*names[:12]))
    replica.sync()


def test_11_items_deleted_behind_and_before_the_cursor_of_the_scan(stored: Replica) -> None:
    """I1: what the stream deleted stays deleted, though the scan has it from before."""
    stored.play(Before(8))
    names = [item["id"]["S"] for item in stored.model.items()]
    changes = Delete(names[0], names[-1]), Put(names[1], 99), Put("new", 1)
    stored.play(During("Scan", *changes, after=4))
    stored.scan_pages = 1
    with pages(2**20, 1):
        stored.sync()
    assert names[0] not in stored.contents()


@pytest.mark.usefixtures("small_scan")
@pytest.mark.parametrize("seed", range(4))
def test_11_items_written_deleted_and_made_again_while_scanned(replica: Replica, seed: int) -> None:
    """I1, whatever comes first."""
    for page in range(20):
        replica.play(During("Scan", Write(4, seed=seed * 100 + page, keys=9), after=page))
        if page % 5 == 4:
            replica.play(During("GetRecords", Delete(f"old {page}"), Roll(), after=page))
    replica.sync()


@pytest.mark.usefixtures("small_scan")
def test_12_a_scan_of_thirty_hours_with_constant_writes(replica: Replica) -> None:
    """=: the stream is drained beside it, so nothing is trimmed before it is read."""
    began = replica.rig.clock.now()
    for page in range(20):
        replica.play(During("Scan", Wait(hours=1.5), Write(3, seed=page, keys=9), after=page))
        if page % 3 == 0:
            replica.play(During("Scan", Roll(), after=page))
    state = replica.sync()
    assert replica.rig.clock.now() - began >= 30 * 3600
    assert state.consistent_since and state.scanned_until
    assert (state.scanned_until - state.planned_at).total_seconds() >= 29 * 3600


@pytest.mark.usefixtures("small_scan")
def test_12_changes_of_the_last_page_come_to_the_stream_a_second_later(replica: Replica) -> None:
    """The stream follows writes with a delay: the table is not called consistent before that."""
    clock = replica.rig.clock

    def hide() -> None:
        until = clock.now() + 1.5
        replica.rig.faults.add(
            faults.empty_page(), on="GetRecords", times=10**6, where=lambda _: clock.now() < until
        )

    for page in range(20):
        replica.play(During("Scan", Wait(seconds=1), after=page))
    replica.rig.faults.add(faults.run(hide), on="Scan", after=19)
    replica.play(During("Scan", *[Put(f"old {n}", 7) for n in range(0, 40, 5)], after=19))
    state = replica.sync()
    assert state.consistent_since
    numbers = {item["id"]: item["n"] for item in replica.contents().values()}
    assert len(numbers) == 40
    assert {numbers[f"old {n}"] for n in range(0, 40, 5)} == {7}


def test_12_a_tail_that_never_catches_up_says_when_the_table_is_consistent(
    replica: Replica,
) -> None:
    """What counts is the end of the scan, not the beginning of the run."""
    replica.play(Before(3))
    assert replica.rounds(1).consistent_since is None
    for minute in range(10):
        replica.play(Wait(minutes=1), Write(300, seed=minute, keys=300))
    replica.settings["tail.batch_records"] = 1000
    caught_up = []

    def one_round(tail: Tail) -> bool:
        caught_up.append(tail.caught_up())
        return True

    state = replica.tail(one_round)
    assert caught_up == [False]
    assert state.consistent_since


@pytest.mark.usefixtures("small_scan")
def test_13_the_table_is_deleted_while_it_is_scanned(replica: Replica) -> None:
    """X, and the destination is as it was."""
    replica.play(During("Scan", Drop(), after=7))
    replica.fails(SourceRefused, match="deleted while it was being scanned")
    assert replica.contents() == {}


@pytest.mark.usefixtures("small_scan")
def test_14_the_table_is_made_again_while_it_is_scanned(replica: Replica) -> None:
    """X: a scan goes by the name, and has read two tables; none of it is loaded."""
    replica.play(During("Scan", Drop(), Create(), Before(40), Put("new", 1), after=7))
    replica.fails(HistoryLost)
    assert replica.contents() == {}
    replica.refresh()


def test_14_the_table_is_made_again_between_two_runs(replica: Replica) -> None:
    """X: the TableId is another one."""
    replica.play(Before(3))
    replica.sync()
    replica.play(Drop(), Create(), Before(2))
    replica.fails(HistoryLost, match="deleted and created again")
    replica.refresh()


@pytest.mark.usefixtures("small_scan")
def test_15_credentials_that_expire_and_come_back(replica: Replica) -> None:
    """=: they renew themselves."""
    replica.play(Fault("expired_token", "Scan", times=2, after=3))
    replica.play(Fault("expired_token", "GetRecords", times=2, after=3))
    replica.sync()


@pytest.mark.usefixtures("small_scan")
@pytest.mark.parametrize("fault", ["access_denied", "unrecognized_client"])
def test_15_access_is_denied(replica: Replica, fault: str) -> None:
    """X at once, without a storm of retries."""
    replica.play(Fault(fault, "Scan", times=10**6, after=3))
    replica.fails(SourceRefused, match="Check the credentials")
    assert replica.rig.calls.count("Scan") == 4


@pytest.mark.parametrize(
    ("stale", "mended"), [(10, True), (20, False)], ids=["within the overlap", "beyond it"]
)
def test_16_eventually_consistent_reads(replica: Replica, stale: int, mended: bool) -> None:
    """I1 as long as reads are staler by no more than the overlap of 15 minutes; and only then.

    The second case shows that the overlap is what mends the first, and that the checker sees it.
    """
    replica.settings["source.consistent_read"] = False
    replica.model.staleness = stale * 60
    replica.play(Put("a", 1), Put("b", 1), Wait(hours=1), Put("a", 2), Delete("b"))
    replica.play(Wait(minutes=stale - 1))
    if mended:
        replica.sync()
        return
    with pytest.raises(Violation, match="I1"):
        replica.sync()


def test_17_pages_of_a_megabyte_and_items_of_400_kilobytes(replica: Replica) -> None:
    """=: one large value, thousands of small ones, and attributes beyond the columns."""
    # Fewer of them are longer: the item is as large.
    number = "1" * amount(1, by_turns=38)
    widest = {f"{n:x}": {"N": number} for n in range(amount(60_000, by_turns=15_000))}
    wide = {f"column {n}": {"N": str(n)} for n in range(3000)}
    large = {"text": {"S": "x" * 390_000}}
    replica.model.load([{"id": {"S": "widest"}, **widest}, {"id": {"S": "large"}, **large}])
    replica.play(Before(amount(2000, by_turns=500)))
    replica.sync()
    replica.play(Put("large", 1, large), Put("large", 2, {"text": {"S": "y" * 390_000}}))
    replica.play(Put("wide", 1, wide))
    replica.sync()
