"""Scan: it resumes where it stopped, and nothing but a well-formed last page ends a segment."""

from itertools import pairwise
from threading import Event

import pytest

from connector.errors import BadAnswer, Interrupted, Throttled
from connector.sources.dynamodb.calls import ReadUnitLimiter, Spending
from connector.stop import Stop
from tests.cli.program import PATIENCE
from tests.rigs.scripted import faults
from tests.rigs.scripted.faults import Effect

from .replica import Replica, order, polled, tampered

WRONG_BODIES: dict[str, Effect] = {
    "empty": faults.wrong_body(b""),
    "html": faults.html(),
    "cut": faults.cut_body(0.6),
    "null": faults.wrong_body(b"null"),
    "array": faults.wrong_body(b"[]"),
    "object": faults.wrong_body(b"{}"),
    "text": faults.wrong_body(b'"Items"'),
    "without items": faults.without("Items"),
    "without count": faults.without("Count"),
    "null items": faults.wrong_body(tampered(Items=None, Count=0, ScannedCount=0)),
    "wrong checksum": faults.wrong_checksum(),
    "cut connection": faults.cut_connection(),
    "error 500": faults.internal_server_error(),
    "error 503": faults.unavailable(),
}
THROTTLES = (
    "ProvisionedThroughputExceededException",
    "ThrottlingException",
    "RequestLimitExceeded",
)


@pytest.fixture(autouse=True)
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages of 10 KB instead of 1 MB."""
    monkeypatch.setattr("tests.rigs.scripted.scan.PAGE_BYTES", 10 * 1024)


def fill(replica: Replica, count: int = 40) -> None:
    """Items so large that ten of them fill a page."""
    replica.model.load({**order(n, n), "padding": {"S": "x" * 1000}} for n in range(count))


def stop_after(replica: Replica, pages: int) -> Stop:
    """Asks the run to end once so many pages were asked for."""
    return polled(lambda: replica.rig.calls.count("Scan") >= pages)


def test_a_scan_resumes_at_the_page_where_it_stopped(replica: Replica) -> None:
    fill(replica, 400)
    stop, stopped = stop_after(replica, 2), Event()

    def requested() -> bool:
        if stop.requested():
            stopped.set()
        return stopped.is_set()

    # The third page comes once the run was asked to end, which takes less than the other 37.
    held = faults.run(lambda: stopped.wait(PATIENCE))
    replica.rig.faults.add(held, on="Scan", after=2)
    with pytest.raises(Interrupted):
        replica.run(polled(requested)).sync(lambda tail: tail.caught_up())
    first = replica.rig.calls.count("Scan")
    assert first < 40
    replica.rig.calls.clear()
    replica.sync()
    asked = replica.rig.calls.of("Scan")
    # 400 items of 1 KB are 40 full pages; no page is read twice.
    assert first + len(asked) == 40
    assert all("ExclusiveStartKey" in call.parameters for call in asked)
    replica.assert_equal()


def test_a_configured_number_of_segments_does_not_change_a_scan_under_way(
    replica: Replica,
) -> None:
    fill(replica)
    replica.settings["scan.segments"] = 3
    with pytest.raises(Interrupted):
        replica.run(stop_after(replica, 1)).sync(lambda tail: tail.caught_up())
    replica.settings["scan.segments"] = 7
    state = replica.sync()
    assert state.segments == 3
    assert {call.parameters["TotalSegments"] for call in replica.rig.calls.of("Scan")} == {3}
    replica.assert_equal()


def test_a_wrong_answer_is_asked_again_and_loses_nothing(replica: Replica) -> None:
    # Each wrong answer meets a segment of its own, at its beginning and later on.
    fill(replica, 40 * len(WRONG_BODIES))
    replica.settings["scan.segments"] = len(WRONG_BODIES)
    rules = {
        name: replica.rig.faults.add(effect, on="Scan", segment=segment, times=2, every=2)
        for segment, (name, effect) in enumerate(WRONG_BODIES.items())
    }
    replica.sync()
    assert [name for name, rule in rules.items() if rule.fired < 2] == []
    replica.assert_equal()


@pytest.mark.parametrize("effect", [faults.without("Items"), faults.wrong_checksum()])
def test_wrong_answers_without_end_leave_the_segment_unfinished(
    replica: Replica, effect: Effect
) -> None:
    fill(replica, 30)
    replica.settings["source.retry_seconds"] = 0.3
    rule = replica.rig.faults.add(effect, on="Scan", times=10_000, after=1)
    with pytest.raises(BadAnswer) as caught:
        replica.sync()
    assert caught.value.exit_code == 4
    assert rule.fired
    assert not any(cursor.done for cursor in replica.state().scanned.values())
    assert replica.numbers() == {}
    replica.rig.faults.clear()
    replica.sync()
    replica.assert_equal()


def test_a_throttled_scan_goes_on(replica: Replica) -> None:
    fill(replica)
    rules = [
        replica.rig.faults.add(faults.throttle(code), on="Scan", times=2, every=2)
        for code in THROTTLES
    ]
    replica.sync()
    assert all(rule.fired for rule in rules)
    replica.assert_equal()


def test_throttling_without_end_says_why_and_keeps_what_was_read(replica: Replica) -> None:
    fill(replica, 30)
    replica.settings["source.retry_seconds"] = 0.3
    replica.rig.faults.add(faults.throttle(), on="Scan", times=10_000, after=1)
    with pytest.raises(Throttled, match="TableReadProvisionedThroughputExceeded"):
        replica.sync()
    replica.rig.faults.clear()
    replica.sync()
    replica.assert_equal()


def test_an_item_deleted_where_the_scan_resumes_is_no_obstacle(replica: Replica) -> None:
    fill(replica)
    with pytest.raises(Interrupted):
        replica.run(stop_after(replica, 2)).sync(lambda tail: tail.caught_up())
    replica.model.delete(*[{"id": item["id"]} for item in replica.model.items()[:25]])
    replica.sync()
    replica.assert_equal()


def test_a_page_that_repeats_its_own_position_is_refused(replica: Replica) -> None:
    fill(replica, 30)
    replica.settings["source.retry_seconds"] = 0.2

    def repeat(content: dict[str, object]) -> None:
        start = replica.rig.calls.of("Scan")[-1].parameters["ExclusiveStartKey"]
        content["LastEvaluatedKey"] = start

    replica.rig.faults.add(faults.edit(repeat), on="Scan", times=1, after=1)
    with pytest.raises(BadAnswer):
        replica.sync()
    replica.sync()
    replica.assert_equal()


def test_read_units_stay_below_the_configured_rate(replica: Replica) -> None:
    fill(replica, 30)
    replica.settings |= {"source.max_read_units": 50}
    replica.sync()
    calls = replica.rig.calls.of("Scan")
    assert len(calls) == 3
    assert all(call.parameters["ReturnConsumedCapacity"] == "TOTAL" for call in calls)
    # A page of 10 KB read consistently is 3 units, which 50 a second pay for in 0.06 s.
    assert all(later.at - earlier.at >= 0.06 for earlier, later in pairwise(calls))


def test_readers_that_share_what_they_spend_stay_below_the_rate_together() -> None:
    now = 0.0

    def sleep(seconds: float) -> None:
        nonlocal now
        now += seconds

    spending = Spending()
    limiters = [ReadUnitLimiter(10, sleep, lambda: now, spending) for _ in range(3)]
    for _ in range(4):
        for limiter in limiters:
            limiter.wait()
            limiter.spend(5)
    # Twelve pages of five units, of which the last is not paid for yet.
    assert now == pytest.approx(5.5)


def test_without_a_cap_units_are_not_asked_for_and_reads_are_consistent(replica: Replica) -> None:
    fill(replica, 5)
    replica.sync()
    (call,) = replica.rig.calls.of("Scan")
    assert "ReturnConsumedCapacity" not in call.parameters
    assert call.parameters["ConsistentRead"] is True


def test_worker_processes_scan_what_a_thread_would(replica: Replica) -> None:
    fill(replica)
    replica.settings |= {"scan.workers": 2, "scan.segments": 5}
    replica.rig.faults.add(faults.throttle(), on="Scan", chance=0.3, seed=5)
    replica.sync()
    assert set(replica.rig.calls.per_segment()) == set(range(5))
    replica.assert_equal()
