"""A table that begins with an export ends as the source is, whatever happened since."""

import itertools
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from connector import job
from connector.core.state import Phase
from connector.errors import ConfigError, ExportRefused, TooManyDeletes
from connector.sources.exports.data_files import reading
from connector.sources.exports.filling import windows
from tests.pipeline.replica import ORDERS, SCHEMA, caught_up, change, key, order, polled
from tests.rigs import exports
from tests.rigs.scripted import ScriptedDynamoDB

from .replica import Exported

# The contract suites show of each database what it does here.
pytestmark = pytest.mark.by_turns("replica")

HOUR = timedelta(hours=1)


@pytest.fixture(params=["duckdb", "postgres"])
def replica(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    server: ScriptedDynamoDB,
    monkeypatch: pytest.MonkeyPatch,
) -> Exported:
    """Forty orders from before the stream, on their way to each database."""
    database = request.getfixturevalue("kept_postgres").url if request.param == "postgres" else ""
    monkeypatch.setattr(reading, "LINES_BYTES", 300)
    server.clock.advance(hours=-30)
    table = server.create_table(ORDERS, SCHEMA)
    table.load(order(n, 0) for n in range(40))
    server.clock.advance(hours=30)
    settings: dict[str, object] = {"spool": str(tmp_path / "spool")}
    return Exported(server, tmp_path, settings=settings, database=database)


@pytest.mark.parametrize("form", exports.FORMS)
def test_what_changed_since_the_export_comes_from_the_stream(replica, form):
    replica.export(HOUR, form=form)
    change(replica)
    state = replica.sync()
    replica.assert_equal()
    replica.assert_no_scan()
    assert state.phase is Phase.TAILING
    assert state.consistent_since is not None
    change(replica, 2)
    replica.sync()
    replica.assert_equal()
    replica.assert_no_scan()


def test_rows_count_as_of_the_time_of_the_export(replica):
    export = replica.export(HOUR)
    replica.sync()
    at = datetime.fromisoformat(export.summary["exportTime"])
    (times,) = replica.sql("SELECT min(_changed_at), max(_changed_at) FROM orders")
    assert [each.astimezone(UTC) for each in times] == [at, at]


def test_what_the_export_has_already_is_played_again_without_harm(replica):
    """Records from before the export, some of rows that it shows in a later state."""
    replica.rig.clock.advance(minutes=-4)
    replica.model.put(order(1, 1), order("born", 1), order("dies", 1))
    replica.model.delete(key(2), key("dies"))
    replica.rig.clock.advance(minutes=2)
    replica.model.put(order(1, 2), order(2, 2))
    replica.model.delete(key("born"))
    replica.rig.clock.advance(minutes=1)
    replica.export()
    replica.rig.clock.advance(minutes=1)
    replica.model.put(order(3, 3))
    replica.sync()
    replica.assert_equal()


def test_records_from_long_before_the_export_are_left_to_it(replica):
    replica.rig.clock.advance(hours=-2)
    replica.model.put(*(order(n, 7) for n in range(10)))
    replica.rig.clock.advance(hours=2)
    replica.export()
    state = replica.run().plan(None)
    assert state.planned_at <= replica.rig.clock.datetime()
    replica.sync()
    replica.assert_equal()
    assert replica.sql("SELECT count(*) FROM orders WHERE n = 7") == [(10,)]


@pytest.mark.parametrize("minutes", [0, 1, 4])
def test_an_export_may_lack_what_was_written_in_its_last_minutes(replica, minutes):
    replica.rig.clock.advance(minutes=-minutes)
    export = replica.export(-timedelta(minutes=minutes))
    replica.model.put(order(1, 1), order("new", 1))
    replica.model.delete(key(2))
    replica.rig.clock.advance(minutes=minutes)
    assert export.summary["itemCount"] == 40
    replica.sync()
    replica.assert_equal()


def test_a_row_that_the_stream_has_deleted_does_not_come_back(replica):
    replica.export(HOUR)
    replica.model.delete(*(key(n) for n in range(20)))
    run = replica.run()
    run.plan(None)
    run.tail(caught_up)
    assert replica.sql("SELECT count(*) FROM orders") == [(0,)]
    replica.sync()
    replica.assert_equal()


def test_a_load_that_is_ended_after_every_page_goes_on_in_the_middle_of_a_file(replica):
    """As mapped tasks read it, each of them with nothing but the plan."""
    replica.export(HOUR, files=3)
    replica.settings["scan.segments"] = 2
    state = replica.run().begin()
    pages = [0, 0]
    for segment in range(2):
        ended = False
        while not ended:
            heard: list[object] = []
            scan = job.open_segment_scan(
                replica.config(),
                ORDERS,
                plan_id=state.plan_id,
                segments=state.segments,
                origin=state.origin,
                listener=heard.append,
                # Of this scan's beginning, and of its first page.
                stop=polled(lambda heard=heard: len(heard) > 1),
            )
            ended = scan.run(segment)
            pages[segment] += 1
    assert min(pages) >= 3
    assert replica.run().load().phase is Phase.TAILING
    replica.sync()
    replica.assert_equal()


def test_a_certain_export_is_read_whatever_the_settings_say(replica):
    export = replica.export(HOUR)
    change(replica)
    replica.export()
    replica.settings["tables"] = {ORDERS: {}}
    del replica.settings["exports.url"]
    state = replica.run_of(export).snapshot()
    assert state.origin == export.url
    replica.assert_equal()
    replica.assert_no_scan()
    # From then on the table is followed as its settings say.
    change(replica, 2)
    replica.sync()
    replica.assert_equal()
    replica.assert_no_scan()


def test_another_export_than_the_one_under_way_is_refused(replica):
    first = replica.export(HOUR)
    second = replica.export()
    replica.run_of(first).begin()
    with pytest.raises(ConfigError, match="is being loaded from"):
        replica.run_of(second).snapshot()
    replica.run_of(first).snapshot()
    replica.assert_equal()


def test_the_newest_export_of_a_plan_stays_its_export(replica):
    first = replica.export(HOUR)
    replica.run().begin()
    change(replica)
    replica.export()
    state = replica.sync()
    assert state.origin == first.url
    replica.assert_equal()


def test_a_full_refresh_reads_the_newest_export(replica):
    replica.export(2 * HOUR)
    replica.sync()
    change(replica)
    newest = replica.export()
    replica.by_hand("DELETE FROM orders WHERE id = '1'")
    state = replica.run().snapshot(full_refresh=True)
    assert state.origin == newest.url
    replica.assert_equal()
    replica.assert_no_scan()
    assert replica.verdict().equal


def test_an_export_that_lacks_most_rows_is_not_believed_without_a_word(replica):
    replica.export(HOUR)
    replica.sync()
    replica.export(items=[order(1)])
    with pytest.raises(TooManyDeletes):
        replica.run().snapshot(full_refresh=True)


def test_without_a_stream_each_sync_reads_the_newest_export(replica):
    replica.model.disable_stream()
    replica.keep(follow="none")
    replica.export(48 * HOUR)
    replica.sync()
    replica.assert_equal()
    change(replica)
    replica.export(24 * HOUR)
    replica.sync()
    replica.assert_equal()
    assert not replica.rig.calls.count("DescribeStream")
    replica.assert_no_scan()
    age = replica.run().status(replica.state()).age
    assert age is not None
    assert 23 * 3600 < age < 25 * 3600


@pytest.mark.parametrize("number", [0, 1])
def test_an_empty_table_is_loaded(replica, number):
    replica.model.delete(*(key(n) for n in range(40)))
    replica.export(HOUR, files=number)
    replica.sync()
    replica.assert_equal()
    replica.model.put(order(1))
    replica.sync()
    replica.assert_equal()


def test_the_files_are_the_parts_of_the_load(replica):
    replica.export(HOUR, files=7)
    assert replica.run().begin().segments == 1
    replica.settings["scan.segments"] = 50
    replica.export(files=7)
    assert replica.run().begin(full_refresh=True).segments == 7
    replica.sync()
    replica.assert_equal()


# What is refused, and then nothing is written


def assert_untouched(replica: Exported) -> None:
    """No table and no state were made."""
    assert replica.run().destination.read(ORDERS) is None
    assert replica.run().destination.tables() == []


def test_a_damaged_export_writes_nothing(replica):
    replica.export(HOUR).files[1].write_bytes(b"")
    with pytest.raises(ExportRefused, match="is damaged"):
        replica.sync()
    assert_untouched(replica)


def test_a_damaged_export_leaves_a_table_as_it_was(replica):
    replica.export(HOUR)
    before = replica.sync()
    change(replica)
    replica.export().files[1].unlink()
    with pytest.raises(ExportRefused, match="lacks the file"):
        replica.run().snapshot(full_refresh=True)
    assert replica.state().plan_id == before.plan_id
    replica.sync()
    replica.assert_equal()


@pytest.mark.parametrize(
    ("ago", "fits"),
    [
        (timedelta(hours=23, minutes=49), True),
        (timedelta(hours=23, minutes=51), False),
        (timedelta(hours=25), False),
        (timedelta(days=9), False),
    ],
    ids=str,
)
def test_the_stream_must_reach_back_to_five_minutes_before_the_export(replica, ago, fits):
    export = replica.export(ago)
    if fits:
        replica.sync()
        replica.assert_equal()
        return
    with pytest.raises(ExportRefused) as refused:
        replica.sync()
    assert export.url in refused.value.message
    assert "changes in between are in neither" in refused.value.message
    assert "aws dynamodb export-table-to-point-in-time" in refused.value.hint
    assert "--export-type INCREMENTAL_EXPORT" in refused.value.hint
    assert replica.model.arn in refused.value.hint
    assert_untouched(replica)


def test_a_stream_that_began_after_the_export_does_not_reach_back_to_it(replica):
    replica.model.disable_stream()
    replica.model.put(order("lost", 1))
    replica.model.enable_stream()
    replica.export(timedelta(minutes=4))
    with pytest.raises(ExportRefused, match="changes in between are in neither"):
        replica.sync()
    assert_untouched(replica)
    replica.rig.clock.advance(minutes=10)
    replica.export()
    replica.sync()
    replica.assert_equal()


def test_without_a_place_of_exports_the_setting_is_named(replica):
    del replica.settings["exports.url"]
    with pytest.raises(ConfigError) as refused:
        replica.sync()
    assert "tables.orders.snapshot is export" in refused.value.message
    assert "exports.url" in refused.value.hint
    assert_untouched(replica)


@pytest.mark.parametrize("days", [0.001, 0.5, 1, 1.0001, 3.7, 34])
def test_the_windows_to_export_have_no_hole_and_a_length_that_aws_takes(days):
    begin = datetime(2026, 1, 1, 3, 4, 5, tzinfo=UTC)
    end = begin + timedelta(days=days)
    found = list(windows(begin, end))
    assert found[0][0] == begin
    assert found[-1][1] >= end
    assert all(a[1] == b[0] for a, b in itertools.pairwise(found))
    lengths = [until - since for since, until in found]
    assert min(lengths) >= timedelta(minutes=15)
    assert max(lengths) <= timedelta(hours=24)
