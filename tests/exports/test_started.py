"""Exports that the connector starts itself: asked for once, awaited, and refused in a sentence."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from connector import checking
from connector.errors import (
    ConfigError,
    ExportRefused,
    HistoryLost,
    Interrupted,
    SourceRefused,
    Throttled,
)
from connector.sources.dynamodb.client import READ_ONLY, open_clients
from connector.sources.exports import calls
from tests.pipeline.replica import ORDERS, SCHEMA, caught_up, change, key, order, polled
from tests.rigs import exports
from tests.rigs.s3 import ScriptedS3
from tests.rigs.scripted import RunningClock, ScriptedDynamoDB, faults

from .replica import Exported

pytestmark = pytest.mark.by_turns("replica")

HOUR = timedelta(hours=1)
START = "ExportTableToPointInTime"


@pytest.fixture(params=["duckdb", "postgres"])
def replica(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Exported]:
    """Forty orders of some days ago, whose exports go to a bucket."""
    database = request.getfixturevalue("kept_postgres").url if request.param == "postgres" else ""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_REGION", "us-west-2")
    (tmp_path / "bucket").mkdir()
    with ScriptedDynamoDB(clock=RunningClock()) as rig, ScriptedS3(tmp_path / "bucket") as bucket:
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", bucket.url)
        rig.backups.bucket = tmp_path / "bucket"
        rig.clock.advance(hours=-100)
        table = rig.create_table(ORDERS, SCHEMA)
        table.put(*(order(n, 0) for n in range(40)))
        rig.clock.advance(hours=10)
        settings: dict[str, object] = {"spool": str(tmp_path / "spool")}
        made = Exported(rig, tmp_path, settings=settings, database=database)
        made.settings |= {"exports.url": "s3://exports/of orders", "exports.start": True}
        yield made


def keep(replica: Exported, **settings: object) -> None:
    """Says how the table is kept; its exports stay where they are."""
    place = replica.settings["exports.url"]
    replica.keep(**settings)
    replica.settings["exports.url"] = place


def started(replica: Exported) -> list[dict[str, Any]]:
    """The exports that were asked for, by what was asked."""
    return [each.parameters for each in replica.rig.calls.of(START)]


@pytest.mark.parametrize("form", exports.FORMS)
def test_a_table_is_read_and_followed_by_exports_of_its_own(replica, form):
    replica.settings["exports.format"] = "ion" if form == "ION" else "json"
    keep(replica, follow="exports")
    replica.sync()
    replica.assert_no_scan()
    change(replica)
    replica.rig.clock.advance(hours=30)
    replica.sync()
    replica.assert_equal()
    asked = started(replica)
    assert {each["ExportFormat"] for each in asked} == {form}
    assert {each["S3Prefix"] for each in asked} == {"of orders"}
    assert [each["ExportType"] for each in asked].count("FULL_EXPORT") == 1
    assert replica.rig.calls.count("DescribeStream") == 0
    spans = [each["IncrementalExportSpecification"] for each in asked[1:]]
    assert all(900 <= s["ExportToTime"] - s["ExportFromTime"] <= 86_400 for s in spans)
    replica.sync()
    assert len(started(replica)) == len(asked)


def test_an_old_export_and_a_gap_are_filled_by_exports_that_are_started(replica):
    keep(replica, on_gap="repair")
    replica.sync()
    for round_ in range(3):
        change(replica, round_)
        replica.model.delete(key(30 + round_))
        replica.rig.clock.advance(hours=20)
        replica.model.stream.roll()
    change(replica, 9)
    state = replica.sync()
    replica.assert_equal()
    assert state.problem is None
    assert state.consistent_since is not None
    replica.assert_no_scan()


def test_whoever_is_asked_to_end_goes_on_awaiting_the_same_export(replica):
    keep(replica, follow="exports")
    replica.sync()
    change(replica)
    replica.rig.clock.advance(hours=3)
    replica.rig.backups.seconds = 1800
    seen, before = replica.rig.calls.count("DescribeExport"), len(started(replica))
    stop = polled(lambda: replica.rig.calls.count("DescribeExport") > seen)
    with pytest.raises(Interrupted):
        replica.run(stop).sync(caught_up)
    (asked,) = started(replica)[before:]
    replica.rig.clock.advance(minutes=40)
    replica.rig.backups.seconds = 0
    replica.sync()
    replica.assert_equal()
    tokens = [each["ClientToken"] for each in started(replica)]
    assert tokens.count(asked["ClientToken"]) == 1


def test_an_export_that_fails_is_told_and_the_next_run_starts_another(replica):
    keep(replica, follow="exports")
    replica.sync()
    change(replica)
    replica.rig.clock.advance(hours=3)
    replica.rig.backups.failures = ["S3AccessDenied"]
    with pytest.raises(ExportRefused) as caught:
        replica.sync()
    assert "has failed (S3AccessDenied)" in caught.value.message
    replica.sync()
    replica.assert_equal()
    tokens = [each["ClientToken"] for each in started(replica)]
    assert len(tokens) == len(set(tokens))


def test_an_export_that_is_complete_and_not_there_is_told(replica, tmp_path):
    keep(replica, follow="exports")
    replica.sync()
    change(replica)
    replica.rig.clock.advance(hours=3)
    replica.rig.backups.bucket = tmp_path / "elsewhere"
    with pytest.raises(ExportRefused) as caught:
        replica.sync()
    assert "is complete, but in s3://exports/of orders" in caught.value.message


@pytest.mark.parametrize(
    ("change_rig", "kind", "says"),
    [
        ({"enabled": False}, ExportRefused, "Point-in-time recovery of orders is switched off"),
        ({"running": 0}, Throttled, "too many are running"),
    ],
)
def test_what_cannot_be_started_is_one_sentence(replica, change_rig, kind, says):
    keep(replica, follow="exports")
    replica.settings["source.retry_seconds"] = 0.1
    for name, value in change_rig.items():
        setattr(replica.rig.backups, name, value)
    with pytest.raises(kind) as caught:
        replica.sync()
    assert says in caught.value.message
    assert replica.run().destination.read(ORDERS) is None


def test_what_recovery_no_longer_keeps_is_lost(replica):
    keep(replica, follow="exports")
    replica.rig.backups.days = 2
    replica.sync()
    replica.rig.clock.advance(hours=80)
    with pytest.raises(HistoryLost) as caught:
        replica.sync()
    assert "point-in-time recovery keeps 2 days" in caught.value.message
    lag = replica.run().status(replica.state()).lag
    assert lag.seconds + lag.to_data_loss == pytest.approx(2 * 86_400, abs=1)


def test_the_list_of_calls_grows_only_where_that_is_configured(replica):
    plain = replica.config().model_copy(update={"exports": type(replica.config().exports)()})
    assert calls.besides(plain) == frozenset()
    place = plain.exports.model_copy(update={"url": "s3://exports/of orders"})
    asking = plain.model_copy(update={"exports": place})
    assert calls.besides(asking) == calls.ASKED
    assert calls.besides(replica.config()) == calls.ASKED | calls.STARTED
    assert not READ_ONLY & (calls.ASKED | calls.STARTED)
    for config in (plain, asking):
        clients = open_clients(config.source, besides=calls.besides(config))
        with pytest.raises(PermissionError):
            clients.dynamodb.export_table_to_point_in_time(
                TableArn=replica.model.arn, S3Bucket="exports"
            )
    assert started(replica) == []


def test_a_check_tries_what_starting_takes_and_starts_nothing(replica):
    keep(replica, follow="exports")
    needs = {need.check: need for need in checking.check(replica.config(), [ORDERS])}
    assert needs[START].error is None
    assert needs["DescribeExport"].error is None
    assert "the next run starts one" in needs["export"].detail
    assert replica.rig.backups.exports == {}
    replica.rig.faults.add(faults.access_denied(), on=START, times=9)
    needs = {need.check: need for need in checking.check(replica.config(), [ORDERS])}
    assert "dynamodb:ExportTableToPointInTime" in needs[START].error.hint
    replica.rig.faults.reset()
    replica.rig.faults.add(faults.access_denied(), on=START, times=9)
    with pytest.raises(SourceRefused) as caught:
        replica.sync()
    assert "s3:PutObject" in caught.value.hint


def test_what_may_not_be_asked_is_not_needed_to_read_windows(replica):
    replica.settings["exports.start"] = False
    keep(replica, follow="exports", snapshot="scan")
    for name in ("DescribeContinuousBackups", "DescribeExport"):
        replica.rig.faults.add(faults.access_denied(), on=name, times=99)
    begin = replica.now() - HOUR
    replica.sync()
    change(replica)
    replica.rig.clock.advance(hours=1)
    root = replica.folder / "bucket" / "of orders"
    exports.write_window(root, replica.model, begin, replica.now(), prefix="of orders")
    replica.sync()
    replica.assert_equal()


def test_exports_that_are_started_need_a_bucket(replica):
    replica.settings["exports.url"] = (replica.folder / "exports").as_uri()
    with pytest.raises(ConfigError) as caught:
        replica.config()
    assert "exports.url names no bucket" in caught.value.message
