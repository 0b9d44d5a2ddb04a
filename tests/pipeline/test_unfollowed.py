"""`follow: none`: a table that each run reads whole, with a stream or without one."""

import logging
from dataclasses import replace
from pathlib import Path

import pytest

from connector.core.state import Phase
from connector.errors import ConfigError, HistoryLost, TooManyDeletes
from connector.failpoints import VARIABLE
from connector.stop import Stop
from tests.rigs.scripted import ScriptedDynamoDB, faults

from .replica import ORDERS, SCHEMA, Replica, caught_up, change, key, order, polled

# The contract suites show of each database what it does here.
pytestmark = pytest.mark.by_turns("replica", "unfollowed")

NONE = {"tables": {ORDERS: {"follow": "none"}}}
STREAM = {"tables": {ORDERS: {"follow": "stream"}}}


@pytest.fixture(params=["duckdb", "postgres"])
def unfollowed(request: pytest.FixtureRequest, rig: ScriptedDynamoDB, tmp_path: Path) -> Replica:
    """Orders without a stream, and the destination that they are copied to."""
    rig.create_table(ORDERS, SCHEMA, view=None).put(*(order(n) for n in range(30)))
    made = Replica(rig, tmp_path, settings=NONE)
    if request.param == "postgres":
        made.database = request.getfixturevalue("kept_postgres").url
    return made


def stream_calls(rig: ScriptedDynamoDB) -> int:
    """How many calls went to a stream."""
    names = ("DescribeStream", "GetShardIterator", "GetRecords")
    return sum(rig.calls.count(name) for name in names)


def test_each_sync_reads_the_whole_table_again(unfollowed: Replica) -> None:
    first = unfollowed.sync()
    unfollowed.assert_equal()
    change(unfollowed)
    second = unfollowed.sync()
    unfollowed.assert_equal()
    assert (first.generation, second.generation) == (1, 2)
    assert second.phase is Phase.TAILING
    # The rows are as of a scan, and not of one moment.
    assert second.consistent_since is None
    assert second.identity.stream_arn == ""
    assert stream_calls(unfollowed.rig) == 0
    assert unfollowed.verdict().equal


def test_a_stream_that_is_there_is_left_alone(replica: Replica) -> None:
    replica.model.put(*(order(n) for n in range(5)))
    replica.settings = NONE
    replica.sync()
    change(replica)
    replica.model.disable_stream()
    replica.sync()
    replica.assert_equal()
    assert stream_calls(replica.rig) == 0


@pytest.mark.parametrize("view", ["KEYS_ONLY", "OLD_IMAGE"])
def test_a_stream_of_any_view_type_is_as_good_as_none(rig, tmp_path, view: str) -> None:
    rig.create_table(ORDERS, SCHEMA, view=view).put(order(1))
    replica = Replica(rig, tmp_path, settings=NONE)
    replica.sync()
    replica.assert_equal()


def test_old_rows_are_readable_until_the_new_ones_replace_them(unfollowed: Replica) -> None:
    unfollowed.sync()
    before = unfollowed.numbers()
    change(unfollowed)
    seen = []
    look = faults.run(lambda: seen.append(unfollowed.numbers()))
    unfollowed.rig.faults.add(look, on="Scan", times=1)
    unfollowed.sync()
    assert seen == [before]
    unfollowed.assert_equal()


def test_a_run_that_was_stopped_goes_on_with_its_scan(unfollowed: Replica, monkeypatch) -> None:
    monkeypatch.setattr("tests.rigs.scripted.scan.PAGE_BYTES", 100)
    unfollowed.sync()
    change(unfollowed)
    stopped: list[object] = []
    unfollowed.rig.faults.add(
        faults.run(lambda: stopped.append(unfollowed.rig.calls.count("Scan"))), on="Scan", after=2
    )
    with pytest.raises(Exception, match="asked to end"):
        unfollowed.run(polled(lambda: bool(stopped))).sync(caught_up)
    assert unfollowed.state().phase is Phase.LOADING
    state = unfollowed.sync()
    assert state.generation == 2
    unfollowed.assert_equal()


def test_a_snapshot_reads_it_again_as_well(unfollowed: Replica) -> None:
    unfollowed.sync()
    change(unfollowed)
    state = unfollowed.run().snapshot()
    assert (state.generation, state.phase) == (2, Phase.TAILING)
    unfollowed.assert_equal()


def test_a_plan_is_made_once_for_a_name(unfollowed: Replica) -> None:
    """A step of Airflow that is tried again goes on with its own plan."""
    unfollowed.sync()
    first = unfollowed.run().begin(plan_id="a1")
    again = unfollowed.run().begin(plan_id="a1")
    assert (first.generation, again.generation, again.plan_id) == (2, 2, "a1")
    # What another run began and did not end is gone on with, too.
    assert unfollowed.run().begin(plan_id="b2").plan_id == "a1"


def test_too_many_rows_may_not_vanish_at_once(unfollowed: Replica) -> None:
    unfollowed.sync()
    before = unfollowed.numbers()
    unfollowed.model.delete(*(key(n) for n in range(20)))
    for _ in range(2):
        with pytest.raises(TooManyDeletes):
            unfollowed.sync()
    assert unfollowed.numbers() == before
    unfollowed.run().snapshot(yes=True)
    unfollowed.assert_equal()


def test_a_table_that_was_made_anew_is_read_like_any(unfollowed: Replica) -> None:
    unfollowed.sync()
    unfollowed.rig.delete_table(ORDERS)
    unfollowed.rig.create_table(ORDERS, SCHEMA, view=None).put(*(order(n, 7) for n in range(30)))
    unfollowed.sync()
    unfollowed.assert_equal()


def test_a_scan_that_another_table_overtakes_is_not_loaded(unfollowed: Replica) -> None:
    unfollowed.sync()
    unfollowed.run().begin()
    unfollowed.rig.delete_table(ORDERS)
    unfollowed.rig.create_table(ORDERS, SCHEMA, view=None).put(order(1, 7))
    with pytest.raises(HistoryLost, match="created again"):
        unfollowed.sync()
    unfollowed.settings = {"tables": {ORDERS: {"follow": "none", "on_gap": "resync"}}}
    with pytest.raises(TooManyDeletes):
        unfollowed.sync()


def test_it_has_no_tail(unfollowed: Replica) -> None:
    with pytest.raises(ConfigError, match="changes of orders are not followed") as error:
        unfollowed.run().tail(caught_up)
    assert "connector sync orders" in error.value.hint
    assert unfollowed.rig.calls.count("DescribeTable") == 0
    with pytest.raises(ConfigError, match="one run"):
        unfollowed.run().sync(caught_up, lasts=True)


def test_a_table_that_is_followed_no_longer_is_read_again(replica: Replica) -> None:
    replica.model.put(*(order(n) for n in range(20)))
    replica.sync()
    replica.settings = NONE
    change(replica)
    state = replica.sync()
    assert (state.generation, state.identity.stream_arn) == (2, "")
    assert state.shards == {}
    replica.assert_equal()


def test_a_scan_that_was_begun_with_a_stream_is_begun_anew_without(replica: Replica) -> None:
    replica.model.put(*(order(n) for n in range(20)))
    planned = replica.run().begin()
    replica.settings = NONE
    state = replica.sync()
    assert (planned.generation, state.generation) == (1, 2)
    replica.assert_equal()


def test_a_tail_beside_that_cannot_commit_any_more(replica: Replica) -> None:
    """Else it would move shards of which the table knows nothing now."""
    replica.model.put(*(order(n) for n in range(5)))
    replica.sync()
    run = replica.run()
    old = replica.state()
    replica.settings = NONE
    replica.sync()
    replica.settings = STREAM
    replica.model.put(order(1, 99))
    with run._tail(old) as tail, pytest.raises(Exception, match="planned orders again"):
        tail.until(tail.caught_up)


def test_to_follow_it_again_takes_a_full_refresh(replica: Replica) -> None:
    replica.model.put(*(order(n) for n in range(20)))
    replica.settings = NONE
    replica.sync()
    replica.settings = STREAM
    change(replica)
    for step in (
        lambda: replica.sync(),
        lambda: replica.run().tail(caught_up),
        lambda: replica.run().snapshot(),
    ):
        with pytest.raises(ConfigError, match="follow is now stream and was none") as error:
            step()
        assert "connector snapshot orders --full-refresh" in error.value.hint
    assert replica.state().generation == 1
    replica.run().snapshot(full_refresh=True)
    change(replica, 2)
    state = replica.sync()
    assert state.consistent_since is not None
    replica.assert_equal()


@pytest.mark.parametrize("at", ["plan.after_commit", "scan.after_page", "load.before_drop"])
def test_a_kill_leaves_nothing_half_done(unfollowed: Replica, monkeypatch, at: str) -> None:
    unfollowed.sync()
    change(unfollowed)

    class Killed(BaseException):
        pass

    def kill(process: int, signal: int) -> None:
        raise Killed

    monkeypatch.setattr("connector.failpoints.os.kill", kill)
    monkeypatch.setenv(VARIABLE, f"{at}:1")
    with pytest.raises(Killed):
        unfollowed.sync()
    monkeypatch.delenv(VARIABLE)
    monkeypatch.setattr("connector.failpoints._reached", {})
    unfollowed.sync()
    unfollowed.assert_equal()


def test_the_status_says_nothing_of_a_stream(unfollowed: Replica) -> None:
    run = unfollowed.run()
    state = run.sync(caught_up)
    status = run.status(state)
    assert status.phase == "loaded"
    assert (status.lag, status.open_shards, status.finished_shards) == (None, None, None)
    assert status.wrong(60) is None
    late = replace(status, age=7200.0).wrong(3600)
    assert late is not None
    assert late.message == "was last read 2 h ago, and 1 h is allowed."


def test_its_plan_says_nothing_of_a_stream(unfollowed: Replica, caplog) -> None:
    with caplog.at_level(logging.INFO):
        unfollowed.sync()
    (planned,) = (each for each in caplog.messages if "planned" in each)
    assert planned == "orders: generation 1 planned, 1 segment"


def test_a_scan_that_fails_ends_the_run(unfollowed: Replica) -> None:
    unfollowed.rig.faults.add(faults.access_denied(), on="Scan", times=9)
    with pytest.raises(Exception, match="dynamodb:Scan"):
        unfollowed.run(Stop.never()).sync(caught_up)
