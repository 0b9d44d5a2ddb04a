"""The DAGs as a user has them, run one after another in this process."""

import json
import os
import re
import signal
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from connector import job
from connector.config.loading import load
from connector.demo import source as demo_source
from connector.demo.source import TABLE as COURSES
from connector.events import quiet
from connector.pipeline.verify import verify
from tests.pipeline.replica import caught_up
from tests.rigs import duckdb_file, exports
from tests.rigs.scripted import ScriptedDynamoDB, Table, faults

from .home import Home, events, states, xcoms

pytestmark = pytest.mark.usefixtures("aws", "fresh_runs")

CANARY = "canary-of-an-item"


def run(home: Home, dag_id: str, **conf: Any) -> Any:
    """One run of a DAG, to its end."""
    return home.dag(dag_id).test(run_conf=conf or None)


def rows(home: Home, sql: str, config: str = "connector.yaml") -> list[dict[str, Any]]:
    """The answer of a destination."""
    answer = job.open_destination(load(home.dags / config)).query(sql)
    found: list[dict[str, Any]] = answer.to_pylist()
    return found


def is_equal(home: Home, rig: ScriptedDynamoDB, table: str, config: str) -> bool:
    """Whether every item equals its row; the clients are those of the command line."""
    loaded = load(home.dags / config, overrides={"source.endpoint_url": rig.url})
    opened = job.open_run(loaded, table)
    verdict = verify(
        opened.pages,
        opened.lookup,
        opened.destination,
        opened.planned(),
        segments=2,
        tail=lambda: None,
        listener=quiet,
    )
    return verdict.equal and not verdict.unsettled.count


def synced(
    home: Home,
    rig: ScriptedDynamoDB,
    table: str,
    config: str = "connector.yaml",
    to: str | None = None,
) -> None:
    """A table that the command line has synced before, with the settings of the DAGs."""
    loaded = load(home.dags / config, to=to, overrides={"source.endpoint_url": rig.url})
    job.open_run(loaded, table).sync(caught_up)


def runs_of(dag_id: str) -> list[Any]:
    """The runs that a DAG has had."""
    from airflow.models.dagrun import DagRun

    return DagRun.find(dag_id=dag_id)


def test_tail_starts_the_snapshot_once_and_what_changes_meanwhile_is_not_lost(home, rig, courses):
    for course in demo_source.FIRST:
        courses.put(course)
    first = run(home, f"{COURSES}__tail")
    assert (first.state, states(first)["start_snapshot"]) == ("success", ["success"])
    assert [each.state for each in runs_of(f"{COURSES}__snapshot")] == ["queued"]
    courses.delete({"courseid": {"S": demo_source.DELETED}})
    for course in demo_source.SECOND:
        courses.put(course)
    second = run(home, f"{COURSES}__tail")
    assert (second.state, states(second)["start_snapshot"]) == ("success", ["skipped"])
    assert len(runs_of(f"{COURSES}__snapshot")) == 1
    snapshot = run(home, f"{COURSES}__snapshot")
    assert states(snapshot) == {
        "pool": ["success"],
        "plan": ["success"],
        "scan": ["success", "success"],
        "load": ["success"],
    }
    last = run(home, f"{COURSES}__tail")
    assert states(last)["start_snapshot"] == ["skipped"]
    assert is_equal(home, rig, COURSES, "connector.yaml")
    assert rows(home, "select count(*) as n from courses") == [{"n": 5}]
    assert not list(Path(home.folder, ".connector").rglob("*.arrow"))


def test_every_load_and_every_tail_tells_the_asset_what_it_did(home, rig, courses):
    for course in demo_source.FIRST:
        courses.put(course)
    assert_labels_carry_counts(run(home, f"{COURSES}__snapshot"))
    # The report, which waits for the asset, runs its query.
    report = home.module("courses_report").courses_report().test()
    assert (report.state, states(report)["longest"]) == ("success", ["success"])
    courses.put({**demo_source.THIRD[0], "title": {"N": "7"}})
    run(home, f"{COURSES}__tail")
    run(home, f"{COURSES}__tail")
    load, tail, again = events("/main/courses")
    assert (load["rows"], load["changed"], load["phase"]) == (3, 3, "tailing")
    assert (tail["rows"], tail["phase"]) == (4, "tailing")
    assert tail["changed"] >= 1
    assert tail["commit"] > load["commit"]
    assert tail["consistent_since"]
    assert 0 <= tail["lag_seconds"] < 3600
    assert tail["seconds_to_data_loss"] == pytest.approx(86_400 - tail["lag_seconds"], abs=0.2)
    # It hears of columns that are new or wider, once.
    assert (load["widened_columns"], load["drift"]) == (0, 0)
    grown = [
        (event["new_columns"], event["widened_columns"], event["drift"]) for event in (tail, again)
    ]
    assert grown == [(1, 1, 2), (0, 0, 2)]


def assert_labels_carry_counts(done: Any) -> None:
    """The label of each scan says how many items it has read."""
    labels = [
        each.rendered_map_index for each in done.get_task_instances() if each.task_id == "scan"
    ]
    counts = [re.fullmatch(r"segment [01]: (\d) items", label)[1] for label in labels]
    assert sum(map(int, counts)) == len(demo_source.FIRST)


def test_a_full_refresh_reads_the_whole_table_again(home, rig, courses):
    for course in demo_source.FIRST:
        courses.put(course)
    synced(home, rig, COURSES)
    asked = rig.calls.count("Scan")
    again = run(home, f"{COURSES}__snapshot")
    assert states(again) == {
        "pool": ["success"],
        "plan": ["success"],
        "scan": ["skipped"],
        "load": ["skipped"],
    }
    assert rig.calls.count("Scan") == asked
    refreshed = run(home, f"{COURSES}__snapshot", full_refresh=True)
    assert refreshed.state == "success"
    assert rig.calls.count("Scan") > asked
    assert rows(home, "select generation from _connector.tables") == [{"generation": 2}]


@pytest.fixture
def unfollowed(home: Home) -> Iterator[None]:
    """The courses are not followed, by the file."""
    file = home.dags / "connector.yaml"
    before = file.read_text()
    file.write_text(before.replace("into: courses", "into: courses, follow: none"))
    yield
    file.write_text(before)


@pytest.mark.usefixtures("unfollowed")
def test_a_table_that_is_not_followed_is_read_whole_by_each_run(home, rig, courses):
    for course in demo_source.FIRST:
        courses.put(course)
    courses.disable_stream()
    assert run(home, f"{COURSES}__snapshot").state == "success"
    for course in demo_source.SECOND:
        courses.put(course)
    again = run(home, f"{COURSES}__snapshot")
    assert states(again)["scan"] == ["success", "success"]
    assert rows(home, "SELECT count(*) AS n FROM courses") == [{"n": len(courses)}]
    assert rows(home, "SELECT generation FROM _connector.tables") == [{"generation": 2}]
    told = events("/main/courses")[-1]
    assert (told["phase"], told["lag_seconds"], told["consistent_since"]) == ("loaded", None, None)
    assert rig.calls.count("DescribeStream") == 0


def test_the_load_and_the_tail_publish_a_copy(home, rig, courses, tmp_path, monkeypatch):
    copy = tmp_path / "read.duckdb"
    monkeypatch.setenv("CONNECTOR_DESTINATION__PUBLISH", str(copy))
    for course in demo_source.FIRST:
        courses.put(course)
    assert run(home, f"{COURSES}__snapshot").state == "success"
    loaded = duckdb_file.read(copy, "SELECT count(*) FROM courses")
    assert loaded == [(len(demo_source.FIRST),)]
    for course in demo_source.SECOND:
        courses.put(course)
    assert run(home, f"{COURSES}__tail").state == "success"
    assert duckdb_file.read(copy, "SELECT count(*) FROM courses") == [(len(courses),)]


@pytest.fixture
def by_kinesis(home: Home, rig: ScriptedDynamoDB, courses: Table) -> Iterator[None]:
    """The courses are followed by a Kinesis stream, by the file."""
    stream = rig.add_kinesis(COURSES, shards=2)
    file = home.dags / "connector.yaml"
    before = file.read_text()
    settings = f"into: courses, follow: kinesis, kinesis: '{stream.arn}'"
    file.write_text(before.replace("into: courses", settings))
    yield
    file.write_text(before)


@pytest.mark.usefixtures("by_kinesis")
def test_a_table_that_is_followed_by_kinesis_has_the_same_two_dags(home, rig, courses):
    for course in demo_source.FIRST:
        courses.put(course)
    courses.disable_stream()
    assert run(home, f"{COURSES}__snapshot").state == "success"
    courses.delete({"courseid": {"S": demo_source.DELETED}})
    rig.kinesis_stream(next(iter(rig.kinesis))).split()
    for course in demo_source.SECOND:
        courses.put(course)
    assert run(home, f"{COURSES}__tail").state == "success"
    assert is_equal(home, rig, COURSES, "connector.yaml")
    tail = events("/main/courses")[-1]
    assert tail["seconds_to_data_loss"] == pytest.approx(86_400 - tail["lag_seconds"], abs=0.2)
    assert rig.calls.count("DescribeStream") == 0


@pytest.fixture
def exports_folder(home: Home, tmp_path: Path) -> Iterator[Path]:
    """Where exports are; the courses begin with one, by the file."""
    file = home.dags / "connector.yaml"
    before = file.read_text()
    changed = before.replace("into: courses", "into: courses, snapshot: export")
    file.write_text(f"{changed}\nexports:\n  url: {tmp_path.as_uri()}\n")
    yield tmp_path
    file.write_text(before)


def test_the_files_of_an_export_are_read_by_mapped_tasks(home, rig, courses, exports_folder):
    for course in demo_source.FIRST:
        courses.put(course)
    rig.clock.advance(hours=2)
    export = exports.write(exports_folder, courses, files=3)
    for course in demo_source.SECOND:
        courses.put(course)
    done = run(home, f"{COURSES}__snapshot")
    assert done.state == "success"
    assert states(done)["scan"] == ["success"] * 3
    plans = [plan for plan in map(json.loads, xcoms()) if isinstance(plan, list)]
    assert {segment["origin"] for plan in plans for segment in plan} == {export.url}
    assert run(home, f"{COURSES}__tail").state == "success"
    assert rig.calls.count("Scan") == 0
    assert is_equal(home, rig, COURSES, "connector.yaml")


def test_a_table_that_follows_exports_has_the_same_two_dags(home, rig, courses, exports_folder):
    file = home.dags / "connector.yaml"
    file.write_text(file.read_text().replace("snapshot: export", "follow: exports"))
    for course in demo_source.FIRST:
        courses.put(course)
    begin = courses.clock.datetime().replace(microsecond=0) - timedelta(minutes=1)
    first = run(home, f"{COURSES}__tail")
    assert (first.state, states(first)["start_snapshot"]) == ("success", ["success"])
    assert run(home, f"{COURSES}__snapshot").state == "success"
    for course in demo_source.SECOND:
        courses.put(course)
    rig.clock.advance(hours=2)
    exports.write_window(exports_folder, courses, begin, courses.clock.datetime())
    assert run(home, f"{COURSES}__tail").state == "success"
    assert rig.calls.count("DescribeStream") == 0
    assert is_equal(home, rig, COURSES, "connector.yaml")


def test_a_gap_is_repaired_by_a_dag_of_its_own(home, rig, courses, exports_folder):
    file = home.dags / "connector.yaml"
    file.write_text(file.read_text().replace(", snapshot: export", ""))
    for course in demo_source.FIRST:
        courses.put(course)
    synced(home, rig, COURSES)
    begin = courses.clock.datetime().replace(microsecond=0) - timedelta(minutes=20)
    for course in demo_source.SECOND:
        courses.put(course)
    for _ in range(2):
        rig.clock.advance(hours=20)
        courses.stream.roll()
    courses.delete({"courseid": {"S": demo_source.DELETED}})
    assert run(home, f"{COURSES}__tail").state == "failed"
    assert run(home, f"{COURSES}__repair").state == "failed"
    exports.write_window(exports_folder, courses, begin, begin + timedelta(hours=24))
    repaired = run(home, f"{COURSES}__repair", minutes=5)
    assert states(repaired) == {"pool": ["success"], "repair": ["success"]}
    assert run(home, f"{COURSES}__tail").state == "success"
    assert is_equal(home, rig, COURSES, "connector.yaml")


@pytest.fixture
def pack(home: Home) -> Iterator[Callable[[], None]]:
    """Changes the layout of the courses in the file."""
    file = home.dags / "connector.yaml"
    before = file.read_text()
    packed = before.replace("into: courses", "into: courses, layout: packed")
    assert packed != before
    yield lambda: file.write_text(packed) and None
    file.write_text(before)


def test_a_changed_layout_fails_the_tail_until_a_full_refresh(home, rig, courses, pack):
    for course in demo_source.FIRST:
        courses.put(course)
    synced(home, rig, COURSES)
    text = "select * exclude (_changed_at) from courses order by all"
    before = rows(home, text)
    pack()
    assert states(run(home, f"{COURSES}__tail"))["plan"] == ["failed"]
    assert rows(home, text) == before
    assert run(home, f"{COURSES}__snapshot", full_refresh=True).state == "success"
    assert "_rest" in rows(home, "from courses")[0]
    assert is_equal(home, rig, COURSES, "connector.yaml")


def test_a_scan_goes_on_as_it_was_planned(home, rig, courses, pack):
    for course in demo_source.FIRST:
        courses.put(course)
    # The file changes while the first of two segments is read.
    rig.faults.add(faults.run(pack), on="Scan", times=1)
    assert run(home, f"{COURSES}__snapshot").state == "success"
    found = rows(home, "from courses")
    assert len(found) == len(demo_source.FIRST)
    assert "_rest" not in found[0]


def test_too_many_deletes_need_a_yes(home, rig, courses):
    for course in demo_source.FIRST:
        courses.put(course)
    synced(home, rig, COURSES)
    for course in demo_source.FIRST[1:]:
        courses.delete({"courseid": course["courseid"]})
    refused = run(home, f"{COURSES}__snapshot", full_refresh=True)
    assert states(refused)["load"] == ["failed"]
    assert rows(home, "select count(*) as n from courses") == [{"n": 3}]
    assert run(home, f"{COURSES}__snapshot", yes=True).state == "success"
    assert rows(home, "select count(*) as n from courses") == [{"n": 1}]


def test_xcom_and_the_log_of_a_task_have_names_and_counters_only(home, rig, orders, caplog):
    orders.put({"id": {"S": CANARY}, "note": {"S": CANARY}})
    with caplog.at_level("INFO"):
        run(home, "orders__snapshot")
        run(home, "orders__tail")
    texts = xcoms()
    assert texts
    assert not [text for text in texts if CANARY in text]
    assert max(map(len, texts)) < 400
    # The log has the lines of the command line.
    lines = [each.getMessage() for each in caplog.records if each.name.startswith("connector.")]
    assert [line for line in lines if "the table has 1 row" in line]
    assert [line for line in lines if line.startswith("orders: tailed ")]
    assert CANARY not in caplog.text


def test_a_source_that_cannot_be_replicated_fails_at_once_in_two_lines(home, rig, caplog, capfd):
    from tests.rigs.scripted import Key, KeySchema

    rig.create_table("orders", KeySchema(Key("id")), view=None)
    failed = run(home, "orders__tail")
    (plan,) = [each for each in failed.get_task_instances() if each.task_id == "plan"]
    assert (failed.state, str(plan.state), plan.try_number) == ("failed", "failed", 1)
    lines = [each.getMessage() for each in caplog.records if each.levelname == "ERROR"]
    assert lines[0].startswith("SourceRefused: The stream of orders is not switched on")
    assert lines[1].startswith("Hint: Enable it: `aws dynamodb update-table")
    shown = "".join(capfd.readouterr())
    assert "Task failed with exception" in shown
    assert "Traceback" not in shown
    assert "airflow_errors" not in shown


def test_a_source_that_throttles_is_asked_again_by_the_next_try(home, rig, orders, monkeypatch):
    monkeypatch.setenv("CONNECTOR_SOURCE__RETRY_SECONDS", "0.2")
    rig.faults.add(faults.throttle(), on="Scan", segment=0, times=5)
    for number in range(20):
        orders.put({"id": {"S": str(number)}})
    done = run(home, "orders__snapshot")
    tries = {each.map_index: each.try_number for each in done.get_task_instances()}
    assert done.state == "success"
    assert (tries[0] > 1, tries[1]) == (True, 1)
    assert is_equal(home, rig, "orders", "orders.yaml")


def test_a_task_that_is_asked_to_end_goes_on_in_its_next_try(home, rig, orders, caplog):
    caplog.set_level("INFO")
    for number in range(24):
        orders.put({"id": {"S": str(number)}, "note": {"S": "x" * 300_000}})
    rig.faults.add(faults.run(lambda: os.kill(os.getpid(), signal.SIGTERM)), on="Scan", segment=1)
    done = run(home, "orders__snapshot")
    tries = {each.map_index: each.try_number for each in done.get_task_instances()}
    assert (done.state, tries[0], tries[1]) == ("success", 1, 2)
    asked = [call.parameters.get("ExclusiveStartKey") for call in rig.calls.of("Scan", segment=1)]
    assert len(asked) > 2
    assert all(asked.count(key) == 1 for key in asked)
    assert is_equal(home, rig, "orders", "orders.yaml")
    (second,) = [each for each in caplog.messages if "resumes after" in each]
    assert re.match(r"orders: segment 1 of 2 resumes after \d+ items in the spool", second)
    assert [each for each in caplog.messages if re.search(r"of about 12, [\d.]+ MB", each)]


def test_lost_history_fails_the_tail_and_resync_reads_the_table_again(home, rig, monkeypatch):
    from tests.rigs.scripted import Key, KeySchema

    rig.create_table("orders", KeySchema(Key("id"))).put({"id": {"S": "old"}})
    synced(home, rig, "orders", "orders.yaml")
    rig.delete_table("orders")
    rig.create_table("orders", KeySchema(Key("id"))).put({"id": {"S": "new"}})
    lost = run(home, "orders__tail")
    assert (lost.state, states(lost)["plan"]) == ("failed", ["failed"])
    (problem,) = rows(home, "select problem from _connector.tables", "orders.yaml")
    assert problem["problem"].startswith("HistoryLost")
    monkeypatch.setenv("CONNECTOR_TABLES", '{"orders": {"on_gap": "resync", "max_deleted": 1}}')
    resynced = run(home, "orders__tail")
    assert (resynced.state, states(resynced)["start_snapshot"]) == ("success", ["success"])
    assert run(home, "orders__snapshot").state == "success"
    run(home, "orders__tail")
    assert is_equal(home, rig, "orders", "orders.yaml")
