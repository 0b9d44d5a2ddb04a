"""Incremental exports: a table that they follow, and what a stream no longer has."""

from datetime import datetime, timedelta
from pathlib import Path

import pytest

from connector.core.state import Phase
from connector.errors import ExportRefused, HistoryLost, WindowsMissing
from connector.sources.exports.data_files import reading
from tests.pipeline.replica import ORDERS, SCHEMA, caught_up, change, key, order
from tests.rigs import exports
from tests.rigs.scripted import ScriptedDynamoDB

from .replica import Exported

pytestmark = pytest.mark.by_turns("replica")

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


@pytest.fixture(params=["duckdb", "postgres"])
def replica(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    server: ScriptedDynamoDB,
    monkeypatch: pytest.MonkeyPatch,
) -> Exported:
    """Forty orders of some days ago, on their way to each database."""
    database = request.getfixturevalue("kept_postgres").url if request.param == "postgres" else ""
    monkeypatch.setattr(reading, "LINES_BYTES", 300)
    server.clock.advance(hours=-100)
    table = server.create_table(ORDERS, SCHEMA)
    table.load(order(n, 0) for n in range(40))
    settings: dict[str, object] = {"spool": str(tmp_path / "spool")}
    return Exported(server, tmp_path, settings=settings, database=database)


def exported(replica: Exported, **options: object) -> datetime:
    """A full export as of this moment, whose time is in whole seconds."""
    replica.rig.clock.advance(seconds=2)
    at = replica.now()
    exports.write(replica.folder / "exports", replica.model, at, name="full", **options)
    return at


# A table that is followed by exports ---------------------------------------------------------


@pytest.mark.parametrize("form", exports.FORMS)
def test_windows_follow_a_full_export(replica, form):
    replica.keep(follow="exports")
    at = exported(replica, form=form)
    change(replica)
    replica.rig.clock.advance(hours=1)
    middle = replica.now()
    replica.window(at, form=form)
    change(replica, 2)
    replica.rig.clock.advance(hours=1)
    replica.window(middle, form=form)
    state = replica.sync()
    replica.assert_equal()
    replica.assert_no_scan()
    assert state.phase is Phase.TAILING
    assert replica.rig.calls.count("BatchGetItem") == 0
    assert replica.rig.calls.count("DescribeStream") == 0
    change(replica, 3)
    replica.rig.clock.advance(hours=1)
    replica.window(middle + HOUR)
    replica.sync()
    replica.assert_equal()


def test_after_a_scan_what_no_line_names_is_looked_up(replica):
    replica.keep(snapshot="scan", follow="exports")
    begin = replica.now()
    replica.model.put(order("brief", 1))
    state = replica.sync()
    assert state.phase is Phase.TAILING
    replica.model.delete(key("brief"))
    change(replica)
    replica.rig.clock.advance(hours=1)
    middle = replica.now()
    replica.window(begin - timedelta(minutes=10), middle)
    replica.sync()
    replica.assert_equal()
    change(replica, 2)
    replica.rig.clock.advance(hours=1)
    replica.window(middle)
    before = replica.rig.calls.count("BatchGetItem")
    replica.sync()
    replica.assert_equal()
    assert replica.rig.calls.count("BatchGetItem") == before


def test_89_a_hole_is_refused_with_the_command_that_mends_it(replica):
    replica.keep(follow="exports")
    at = exported(replica)
    replica.rig.clock.advance(hours=1)
    middle = replica.now()
    replica.window(at)
    replica.rig.clock.advance(minutes=1)
    later = replica.now()
    change(replica)
    replica.rig.clock.advance(hours=1)
    replica.window(later)
    with pytest.raises(WindowsMissing) as caught:
        replica.sync()
    assert f"covers {exports.stamp(middle).replace('.000', '')}" in caught.value.message
    assert "--incremental-export-specification ExportFromTime=" in caught.value.hint
    replica.window(middle, later + timedelta(minutes=14))
    replica.sync()
    replica.assert_equal()
    assert replica.state().problem is None


@pytest.mark.parametrize("deletes", ["apply", "soft", "ignore-ttl"])
def test_89_where_windows_overlap_what_they_leave_out_is_looked_up(replica, deletes):
    """An item of the first window, put before the second begins, and deleted within it."""
    replica.keep(follow="exports", deletes=deletes)
    at = exported(replica)
    replica.rig.clock.advance(minutes=40)
    replica.model.put(order("brief", 1), order("comes again", 1), order("stays", 1))
    replica.rig.clock.advance(minutes=20)
    middle = replica.now()
    replica.window(at, middle)
    replica.sync()
    replica.model.delete(key("brief"), key("comes again"))
    replica.rig.clock.advance(minutes=20)
    later = replica.now()
    replica.window(middle - timedelta(minutes=30), later)
    replica.rig.clock.advance(seconds=90)
    replica.model.put(order("comes again", 2))
    replica.sync()
    live = "SELECT id FROM orders" + ("" if deletes == "apply" else " WHERE NOT _deleted")
    found = {each for (each,) in replica.sql(live)}
    assert found == {item["id"]["S"] for item in replica.model.items()}
    marked = replica.sql("SELECT count(*) FROM orders WHERE id = 'brief'")
    assert marked == [(0 if deletes == "apply" else 1,)]
    # What was looked up was newer than its window, so the next one asks again if it names it not.
    replica.model.delete(key("comes again"))
    replica.rig.clock.advance(minutes=20)
    replica.window(later)
    replica.sync()
    assert ("comes again",) not in replica.sql(live)


def test_what_each_window_has_may_be_of_any_view_and_come_in_any_order(replica):
    replica.keep(follow="exports")
    at = exported(replica)
    times = [at]
    for round_ in range(3):
        change(replica, round_)
        replica.rig.clock.advance(hours=1)
        times.append(replica.now())
    for n, view in ((2, "NEW_IMAGE"), (0, "NEW_AND_OLD_IMAGES"), (1, "NEW_IMAGE")):
        replica.window(times[n], times[n + 1], view=view, name=f"{9 - n}")
    replica.window(times[0], times[2], name="both", files=3)
    replica.sync()
    replica.assert_equal()


# What a stream no longer has -----------------------------------------------------------------


def test_an_old_export_is_filled_up_to_the_stream(replica):
    at = exported(replica)
    for round_ in range(3):
        change(replica, round_)
        replica.model.put(order("brief", 1))
        replica.model.delete(key("brief"))
        replica.rig.clock.advance(hours=20)
        replica.model.stream.roll()
        replica.window(at)
        at = replica.now()
    change(replica, 7)
    state = replica.sync()
    replica.assert_equal()
    replica.assert_no_scan()
    assert state.consistent_since is not None


def test_what_lacks_between_is_named(replica):
    at = exported(replica)
    replica.rig.clock.advance(hours=20)
    replica.window(at)
    replica.rig.clock.advance(hours=60)
    with pytest.raises(ExportRefused) as caught:
        replica.sync()
    assert "No incremental export in" in caught.value.message
    assert caught.value.hint.count("INCREMENTAL_EXPORT") == 2
    assert not replica.file.exists() or replica.run().destination.read(ORDERS) is None


# Repair --------------------------------------------------------------------------------------


def overslept(replica: Exported) -> datetime:
    """A table that was synced once, and then not for days; returns when."""
    replica.keep(snapshot="scan")
    replica.sync()
    at = replica.now()
    replica.model.put(order("brief", 1))
    replica.sync()
    replica.model.delete(key("brief"))
    for round_ in range(3):
        change(replica, round_)
        replica.model.delete(key(30 + round_))
        replica.rig.clock.advance(hours=20)
        replica.model.stream.roll()
    change(replica, 9)
    with pytest.raises(HistoryLost):
        replica.sync()
    return at


def test_a_repair_fills_in_what_was_lost(replica):
    at = overslept(replica)
    with pytest.raises(ExportRefused) as caught:
        replica.run().repair(caught_up)
    assert caught.value.hint.count("INCREMENTAL_EXPORT") == 2
    assert replica.state().problem.startswith("HistoryLost")
    before = replica.sql("SELECT count(*) FROM orders")
    begin = at - timedelta(minutes=20)
    for _ in range(3):
        replica.window(begin, begin + 20 * HOUR)
        begin += 20 * HOUR
    scans = replica.rig.calls.count("Scan")
    assert replica.sql("SELECT count(*) FROM orders") == before
    state = replica.run().repair(caught_up)
    replica.assert_equal()
    assert state.problem is None
    assert state.generation == 1
    assert state.consistent_since is not None
    assert replica.rig.calls.count("Scan") == scans
    change(replica, 11)
    replica.sync()
    replica.assert_equal()


def test_a_table_in_no_gap_is_left_alone(replica):
    replica.keep(snapshot="scan")
    replica.sync()
    commit = replica.state().commit
    replica.run().repair(caught_up)
    assert replica.state().commit == commit


def test_a_new_stream_is_a_gap_too(replica):
    replica.keep(snapshot="scan", on_gap="repair")
    replica.sync()
    at = replica.now() - timedelta(minutes=16)
    change(replica, 1)
    replica.model.disable_stream()
    change(replica, 2)
    replica.model.delete(key(33))
    replica.rig.clock.advance(hours=1)
    replica.model.enable_stream()
    change(replica, 3)
    replica.rig.clock.advance(hours=1)
    replica.window(at, replica.now() - timedelta(minutes=30))
    change(replica, 4)
    replica.sync()
    replica.assert_equal()
    assert replica.state().identity.stream_arn == replica.model.stream.arn
