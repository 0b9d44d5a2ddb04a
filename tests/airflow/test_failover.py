"""The DAG that goes on with a table in another Region, and the others, which follow it there."""

from collections.abc import Iterator

import pytest

from connector.demo import source as demo_source
from connector.demo.source import TABLE as COURSES
from tests.rigs.scripted import (
    Key,
    KeySchema,
    Replication,
    ScriptedDynamoDB,
    faults,
    global_table,
)

from .home import Home, states
from .test_dags import is_equal, rows, run, runs_of, synced
from .test_factory import made, write

pytestmark = pytest.mark.usefixtures("aws", "fresh_runs")

WEST, EAST = "us-west-2", "ap-southeast-2"


@pytest.fixture
def courses(rig: ScriptedDynamoDB, home: Home) -> Iterator[Replication]:
    """The courses in two Regions, which the file lists."""
    file = home.dags / "connector.yaml"
    before = file.read_text()
    file.write_text(f"source:\n  regions: [{WEST}, {EAST}]\n{before}")
    group = global_table(COURSES, KeySchema(Key("courseid")), rig, rig.add_region(EAST), delay=0)
    group.tables[WEST].put(*demo_source.FIRST)
    yield group
    file.write_text(before)


def test_a_table_goes_on_in_another_region_and_the_other_dags_follow(home, rig, courses):
    synced(home, rig, COURSES)
    courses.cut(WEST)
    rig.faults.add(faults.unavailable(), times=10**6)
    rig.calls.clear()
    courses.tables[EAST].put(demo_source.SECOND[0])
    done = run(home, f"{COURSES}__failover", region=EAST)
    assert done.state == "success"
    assert states(done) == {
        "pool": ["success"],
        "plan": ["success"],
        "scan": ["success", "success"],
        "load": ["success"],
    }
    for course in demo_source.SECOND[1:]:
        courses.tables[EAST].put(course)
    tailed = run(home, f"{COURSES}__tail")
    assert states(tailed)["start_snapshot"] == ["skipped"]
    assert is_equal(home, rig, COURSES, "connector.yaml")
    assert run(home, f"{COURSES}__snapshot", full_refresh=True).state == "success"
    assert rows(home, "select generation, region from _connector.tables") == [
        {"generation": 3, "region": EAST}
    ]
    assert not rig.calls.log


def test_one_that_is_there_already_is_left_alone(home, rig, courses):
    synced(home, rig, COURSES)
    done = run(home, f"{COURSES}__failover", region=WEST)
    assert states(done)["scan"] == ["skipped"]
    assert rows(home, "select generation from _connector.tables") == [{"generation": 1}]


def test_a_tail_starts_no_snapshot_while_a_failover_loads_the_table(home, rig, courses):
    from airflow.api.common.trigger_dag import trigger_dag
    from airflow.utils.types import DagRunTriggeredByType

    # It fails, for there is nothing to leave yet, but Airflow knows the DAG from then on.
    assert states(run(home, f"{COURSES}__failover", region=WEST))["plan"] == ["failed"]
    trigger_dag(
        f"{COURSES}__failover",
        triggered_by=DagRunTriggeredByType.TEST,
        conf={"region": EAST},
    )
    tailed = run(home, f"{COURSES}__tail")
    assert (tailed.state, states(tailed)["start_snapshot"]) == ("success", ["skipped"])
    assert runs_of(f"{COURSES}__snapshot") == []


def test_a_failover_that_has_failed_goes_on_in_the_next_run(home, rig, courses):
    synced(home, rig, COURSES)
    rig.regions[EAST].faults.add(faults.access_denied(), on="Scan", times=1)
    failed = run(home, f"{COURSES}__failover", region=EAST)
    assert states(failed)["load"] == ["upstream_failed"]
    again = run(home, f"{COURSES}__failover", region=EAST)
    assert again.state == "success"
    assert rows(home, "select generation from _connector.tables") == [{"generation": 2}]
    assert is_equal(home, rig, COURSES, "connector.yaml")


def test_a_region_that_is_not_listed_cannot_be_chosen(home, rig, courses):
    from airflow.sdk.exceptions import ParamValidationError

    with pytest.raises((ParamValidationError, ValueError), match="eu-west-1"):
        run(home, f"{COURSES}__failover", region="eu-west-1")


@pytest.mark.parametrize(
    ("source", "regions"),
    [
        (f"regions: [{WEST}, {EAST}]", [WEST, EAST]),
        (f"region: {EAST}\n  regions: [{WEST}]", [EAST, WEST]),
        (f"regions: [{WEST}]", None),
        (f"region: {WEST}", None),
    ],
)
def test_only_where_there_are_several_regions_is_there_a_dag(source, regions, tmp_path):
    file = write(tmp_path, "  orders: {}\n  users: {follow: none}\n")
    file.write_text(f"source:\n  {source}\n{file.read_text()}")
    dags = made(file)
    found = [dag_id for dag_id in dags if dag_id.endswith("__failover")]
    assert found == ([] if regions is None else ["orders__failover", "users__failover"])
    for dag in dags.values():
        dag.validate()
    for dag_id in found:
        assert dags[dag_id].params.get_param("region").schema["enum"] == regions
        assert dags[dag_id].schedule is None
