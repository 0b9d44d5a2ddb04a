"""Streams without images of the items: what changed is read from the table by key."""

import threading
from pathlib import Path
from typing import Any

import pytest

from connector.core.state import Phase
from connector.errors import (
    HistoryLost,
    Interrupted,
    QuarantineLimit,
    SourceRefused,
    Throttled,
)
from connector.items import fold
from connector.scanning.threads import ThreadScan
from connector.scanning.turns import TurnedScan
from tests.rigs.scripted import ScriptedDynamoDB, faults

from .replica import ORDERS, SCHEMA, Replica, caught_up, change, key, order, polled

# The contract suites show of each database what it does here, and the fault matrix has every fault
# with both kinds of stream.
pytestmark = pytest.mark.by_turns("either", "replica")

VIEWS = ("KEYS_ONLY", "OLD_IMAGE")
LOOK_UP = "BatchGetItem"


@pytest.fixture(params=VIEWS)
def replica(request: pytest.FixtureRequest, rig: ScriptedDynamoDB, tmp_path: Path) -> Replica:
    """Orders with such a stream, loaded."""
    table = rig.create_table(ORDERS, SCHEMA, view=request.param)
    table.load(order(n) for n in range(20))
    made = Replica(rig, tmp_path)
    made.sync()
    return made


@pytest.fixture(params=["duckdb", "postgres"])
def either(request: pytest.FixtureRequest, rig: ScriptedDynamoDB, tmp_path: Path) -> Replica:
    """The same with KEYS_ONLY, in each kind of destination."""
    rig.create_table(ORDERS, SCHEMA, view="KEYS_ONLY").load(order(n) for n in range(20))
    made = Replica(rig, tmp_path)
    if request.param == "postgres":
        made.database = request.getfixturevalue("kept_postgres").url
    made.sync()
    return made


def asked(rig: ScriptedDynamoDB) -> list[list[str]]:
    """The ids that each look-up asked for."""
    calls = rig.calls.of(LOOK_UP)
    return [
        [each["id"]["S"] for each in call.parameters["RequestItems"][ORDERS]["Keys"]]
        for call in calls
    ]


def test_what_changed_is_read_by_key(either: Replica) -> None:
    change(either)
    state = either.sync()
    assert state.consistent_since is not None
    either.assert_equal()
    (keys,) = asked(either.rig)
    assert sorted(keys) == sorted(
        [*map(str, range(15)), *(f"new 1 {n}" for n in range(5))],
    )
    requests = [call.parameters["RequestItems"][ORDERS] for call in either.rig.calls.of(LOOK_UP)]
    assert all(request["ConsistentRead"] for request in requests)
    assert either.verdict().equal


def test_a_key_is_read_once_in_a_round(replica: Replica) -> None:
    for n in range(50):
        replica.model.put(order("a", n), order("b", n))
    replica.sync()
    assert sorted(asked(replica.rig)[0]) == ["a", "b"]
    assert replica.rig.calls.count(LOOK_UP) == 1
    replica.assert_equal()


def test_a_row_is_as_new_as_the_item_and_not_as_its_record(replica: Replica) -> None:
    replica.model.put(order("a", 1))
    later = faults.run(lambda: replica.model.put(order("a", 2)))
    replica.rig.faults.add(later, on=LOOK_UP)
    seen: list[object] = []
    run = replica.run()
    original = run.destination.commit

    def commit(batch: Any) -> Any:
        committed = original(batch)
        seen.append([row.get("item.n") for row in batch.rows.to_pylist()])
        return committed

    run.destination.commit = commit  # type: ignore[method-assign]
    run.sync(caught_up)
    assert [2] in seen
    assert [1] not in seen
    replica.sync()
    replica.assert_equal()


def test_an_item_that_is_gone_by_now_goes_at_once(replica: Replica) -> None:
    replica.model.put(order("a", 1), order(1, 5))
    gone = faults.run(lambda: replica.model.delete(key("a"), key(1)))
    replica.rig.faults.add(gone, on=LOOK_UP)
    replica.sync()
    assert "a" not in replica.numbers()
    replica.sync()
    replica.assert_equal()


def test_a_delete_whose_item_is_back_is_no_delete(replica: Replica) -> None:
    replica.model.delete(key(1))
    back = faults.run(lambda: replica.model.put(order(1, 77)))
    replica.rig.faults.add(back, on=LOOK_UP)
    replica.sync()
    replica.sync()
    assert replica.numbers()["1"] == 77
    replica.assert_equal()


def test_a_hundred_keys_a_call(replica: Replica, monkeypatch) -> None:
    replica.model.put(*(order(f"k{n}", n) for n in range(950)))
    replica.sync()
    sizes = sorted(map(len, asked(replica.rig)))
    assert (sum(sizes), max(sizes), len(sizes)) == (950, 100, 10)
    replica.assert_equal()


def test_more_than_fits_in_memory_is_committed_in_portions(
    either: Replica, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cursor moves only with the last of them; a kill in between leaves it where it was."""
    monkeypatch.setattr(fold, "KEYS_AT_ONCE", 10)
    monkeypatch.setattr(fold, "LOOKED_UP_BYTES", 300)
    either.model.put(*(order(f"k{n}", n) for n in range(100)))
    before = either.state().shards
    run = either.run()
    batches = []
    original = run.destination.commit

    def commit(batch: Any) -> Any:
        batches.append(batch)
        if len(batches) == 5:
            raise KeyboardInterrupt
        return original(batch)

    run.destination.commit = commit  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        run.sync(caught_up)
    assert max(len(batch.rows) for batch in batches) <= 20
    assert all(span.since == span.until for batch in batches for span in batch.spans)
    assert either.state().shards == before
    assert len(either.numbers()) > 20
    change(either)
    either.sync()
    either.assert_equal()


def test_portions_of_a_run_that_was_overtaken_are_refused(
    replica: Replica, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it has read is older than what the other run wrote."""
    monkeypatch.setattr(fold, "KEYS_AT_ONCE", 1)
    monkeypatch.setattr(fold, "LOOKED_UP_BYTES", 1)
    replica.model.put(order("a", 1), order("b", 1), order("c", 1))
    ran: list[bool] = []

    def overtake() -> None:
        if not ran:
            ran.append(True)
            replica.model.put(order("c", 2), order("b", 2), order("a", 2))
            replica.sync()
            replica.assert_equal()

    replica.rig.faults.add(faults.run(overtake), on=LOOK_UP, after=2)
    slow = replica.run()
    slow.sync(caught_up)
    replica.assert_equal()


def test_keys_that_are_left_out_are_asked_for_again(replica: Replica) -> None:
    replica.model.put(*(order(f"k{n}", n) for n in range(30)))
    replica.rig.faults.add(faults.unprocessed(0.7), on=LOOK_UP, times=6)
    replica.sync()
    replica.assert_equal()
    sizes = list(map(len, asked(replica.rig)))
    assert sizes[0] == 30
    assert sizes == sorted(sizes, reverse=True)
    assert len(sizes) > 3


@pytest.mark.parametrize("how", ["unprocessed", "throttle"])
def test_keys_that_are_always_left_out_end_the_run_later(replica: Replica, how: str) -> None:
    replica.settings |= {"source.retry_seconds": 0.5}
    before = replica.state().shards
    replica.model.put(order("a", 1))
    fault = faults.unprocessed(1.0) if how == "unprocessed" else faults.throttle()
    replica.rig.faults.add(fault, on=LOOK_UP, times=10_000)
    with pytest.raises(Throttled, match="BatchGetItem") as error:
        replica.sync()
    assert error.value.exit_code == 4
    assert replica.state().shards == before
    replica.rig.faults.clear()
    replica.sync()
    replica.assert_equal()


def test_an_answer_of_sixteen_megabytes_leaves_keys_out(
    replica: Replica, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.rigs.scripted.operations.GOT_BYTES", 3000)
    more = {"padding": {"S": "x" * 900}}
    replica.model.put(*({**order(f"k{n}", n), **more} for n in range(20)))
    replica.sync()
    replica.assert_equal()
    assert replica.rig.calls.count(LOOK_UP) >= 7


def test_look_ups_spend_the_read_budget(replica: Replica) -> None:
    replica.settings |= {"source.max_read_units": 100_000}
    replica.model.put(order("a", 1))
    replica.sync()
    (call,) = replica.rig.calls.of(LOOK_UP)
    assert call.parameters["ReturnConsumedCapacity"] == "TOTAL"


@pytest.mark.parametrize(
    "fault",
    [
        faults.html(),
        faults.wrong_body(b"{}"),
        faults.wrong_body(b"[]"),
        faults.wrong_body(b'{"Responses":{},"UnprocessedKeys":{}}'),
        faults.wrong_body(b'{"Responses":{"orders":[]}}'),
        faults.wrong_body(b'{"Responses":{"a":[],"b":[]},"UnprocessedKeys":{}}'),
        faults.wrong_body(b'{"Responses":{"orders":[{"id":{"S":"x"}}]},"UnprocessedKeys":{}}'),
        faults.wrong_body(b'{"Responses":{"orders":[{"n":{"N":"1"}}]},"UnprocessedKeys":{}}'),
        faults.wrong_body(b'{"Responses":{"orders":[]},"UnprocessedKeys":{"orders":{"Keys":7}}}'),
        faults.wrong_body(b'{"Responses":{"orders":[]},"UnprocessedKeys":7}'),
        faults.wrong_checksum(),
        faults.cut_body(),
        faults.internal_server_error(),
    ],
)
def test_an_answer_that_is_none_deletes_nothing(replica: Replica, fault: Any) -> None:
    """An item that an answer does not have is taken for deleted, so it must be an answer."""
    replica.settings |= {"source.retry_seconds": 0.3}
    replica.model.put(order(1, 5))
    before = replica.numbers()
    replica.rig.faults.add(fault, on=LOOK_UP, times=10_000)
    with pytest.raises(Exception) as error:
        replica.sync()
    assert getattr(error.value, "exit_code", 1) == 4, error.value
    assert replica.numbers() == before
    replica.rig.faults.clear()
    replica.rig.faults.add(fault, on=LOOK_UP, times=1)
    replica.settings |= {"source.retry_seconds": 30}
    replica.sync()
    replica.assert_equal()


def test_a_denied_look_up_names_the_action(replica: Replica) -> None:
    replica.model.put(order("a", 1))
    replica.rig.faults.add(faults.access_denied(), on=LOOK_UP, times=9)
    with pytest.raises(SourceRefused, match="dynamodb:BatchGetItem") as error:
        replica.sync()
    assert error.value.exit_code == 2


def test_rows_of_another_table_of_that_name_are_never_written(replica: Replica) -> None:
    replica.model.put(order("a", 1))
    before = replica.numbers()

    def replaced() -> None:
        replica.rig.delete_table(ORDERS)
        replica.rig.create_table(ORDERS, SCHEMA, view="KEYS_ONLY").put(order("a", 666))

    replica.rig.faults.add(faults.run(replaced), on=LOOK_UP)
    with pytest.raises(HistoryLost, match="created again"):
        replica.sync()
    assert replica.numbers() == before


def test_a_table_that_was_deleted_stops_the_run(replica: Replica) -> None:
    replica.model.put(order("a", 1))
    before = replica.numbers()
    deleted = faults.run(lambda: replica.rig.delete_table(ORDERS))
    replica.rig.faults.add(deleted, on=LOOK_UP)
    with pytest.raises(SourceRefused, match="was deleted"):
        replica.sync()
    assert replica.numbers() == before


def test_what_cannot_be_stored_is_quarantined_by_its_key(either: Replica) -> None:
    either.model.put({**key("a"), "n": {"N": "1"}, "bad": {"ZZ": "canary"}}, order("b", 1))
    either.model.put({**key(1), "bad": {"ZZ": "canary"}})
    state = either.sync()
    assert state.quarantined == 2
    assert "1" not in either.numbers()
    assert either.numbers()["b"] == 1
    rows = either.sql("SELECT key, raw FROM _connector.quarantine ORDER BY key")
    assert [each for each, _ in rows] == ['["1"]', '["a"]']
    assert all("canary" in raw for _, raw in rows)
    either.model.put(order("a", 2), order(1, 2))
    either.sync()
    either.assert_equal()


def test_the_quarantine_has_its_limit(replica: Replica) -> None:
    replica.settings |= {"quarantine.limit": 1}
    replica.model.put(*({**key(n), "bad": {"ZZ": "1"}} for n in range(3)))
    with pytest.raises(QuarantineLimit):
        replica.sync()


def test_a_run_that_is_asked_to_end_does_not_look_up_the_rest(replica: Replica) -> None:
    replica.model.put(*(order(f"k{n}", n) for n in range(1500)))
    ended = threading.Event()
    replica.rig.faults.add(faults.run(ended.set), on=LOOK_UP, after=4)
    with pytest.raises(Interrupted):
        replica.run(polled(ended.is_set)).sync(caught_up)
    assert replica.rig.calls.count(LOOK_UP) < 12
    replica.sync()
    replica.assert_equal()


@pytest.mark.parametrize("deletes", ["apply", "soft", "ignore-ttl"])
def test_deletes_as_the_configuration_says(
    rig: ScriptedDynamoDB, tmp_path: Path, deletes: str
) -> None:
    rig.create_table(ORDERS, SCHEMA, view="KEYS_ONLY").load(order(n, n) for n in range(6))
    replica = Replica(rig, tmp_path, settings={"tables": {ORDERS: {"deletes": deletes}}})
    replica.sync()
    replica.model.delete(key(1))
    replica.model.expire(key(2))
    replica.model.put(order(3, 33))
    replica.model.put(order(4, 44))
    # They go between their record and the look-up, so nothing says how, yet.
    gone = [lambda: replica.model.delete(key(3)), lambda: replica.model.expire(key(4))]
    rig.faults.add(faults.run(lambda: [each() for each in gone]), on=LOOK_UP)
    replica.sync()
    replica.sync()
    marked = {"apply": set(), "soft": {"1", "2", "3", "4"}, "ignore-ttl": {"2", "4"}}[deletes]
    column = "_deleted" if marked else "false"
    found = dict(replica.sql(f"SELECT id, {column} FROM orders"))
    assert {each for each, deleted in found.items() if deleted} == marked
    assert {each for each, deleted in found.items() if not deleted} == {"0", "5"}
    if marked:
        numbers = dict(replica.sql("SELECT id, n FROM orders"))
        assert numbers["2"] == 2


def test_looked_up_rows_and_scanned_ones(
    rig: ScriptedDynamoDB, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A page that was read before the change never undoes what was looked up after it."""
    monkeypatch.setattr("tests.rigs.scripted.scan.PAGE_BYTES", 100)
    table = rig.create_table(ORDERS, SCHEMA, view="KEYS_ONLY")
    table.load(order(n) for n in range(30))
    replica = Replica(rig, tmp_path)
    changed: list[int] = []

    def writes() -> None:
        n = len(changed)
        changed.append(n)
        table.put(order(n % 30, 100 + n), order((n * 7) % 30, 200 + n))
        table.delete(key((n * 11) % 30))

    rig.faults.add(faults.run(writes), on="Scan", times=20)
    state = replica.sync()
    assert state.phase is Phase.TAILING
    replica.sync()
    replica.assert_equal()


def test_a_full_refresh(replica: Replica) -> None:
    change(replica)
    replica.run().snapshot(full_refresh=True)
    change(replica, 2)
    replica.sync()
    replica.assert_equal()


def test_a_stream_that_is_switched_off_is_read_to_its_end(replica: Replica) -> None:
    replica.model.put(order("a", 1))
    replica.model.disable_stream()
    with pytest.raises(Exception, match="switched off"):
        replica.sync()
    assert replica.numbers()["a"] == 1


def test_a_stream_with_images_asks_for_no_item(rig: ScriptedDynamoDB, tmp_path: Path) -> None:
    rig.create_table(ORDERS, SCHEMA, view="NEW_IMAGE").load(order(n) for n in range(5))
    replica = Replica(rig, tmp_path)
    replica.sync()
    change(replica)
    replica.sync()
    replica.assert_equal()
    assert rig.calls.count(LOOK_UP) == 0


def test_a_scan_beside_look_ups_shares_their_budget(replica: Replica) -> None:
    """Processes could not know what the look-ups of this one spend."""
    replica.settings |= {"source.max_read_units": 10_000, "scan.workers": 2, "scan.segments": 2}
    run = replica.run()
    scanning = run.start_scan(run.begin(full_refresh=True))
    try:
        assert isinstance(scanning, TurnedScan)
        assert isinstance(scanning._scan, ThreadScan)
    finally:
        scanning.stop()


def test_unknown_view_types_are_refused(rig: ScriptedDynamoDB, tmp_path: Path) -> None:
    rig.create_table(ORDERS, SCHEMA, view="LATEST_IMAGE")
    with pytest.raises(SourceRefused, match="does not know"):
        Replica(rig, tmp_path).sync()
