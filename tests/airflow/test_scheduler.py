"""A real scheduler, started and used as docs/airflow.md says."""

import json
import os
import re
import shutil
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from connector.demo import source as demo_source
from connector.demo.source import TABLE as COURSES
from tests.rigs.combinations import are_by_turns
from tests.rigs.scripted import (
    Key,
    KeySchema,
    PrerenderedTable,
    RunningClock,
    ScriptedDynamoDB,
    faults,
    prerendered,
)

from .home import Home
from .stack import HEALTHCHECKS, Stack, page_blocks, shell, wait

# A link holds at least 50,000 rows, so that each segment has two.
ROWS = 130_000
# Seconds that any of them may take on a machine that is busy with other work.
PATIENCE = 300

pytestmark = pytest.mark.timeout(4 * PATIENCE)
# The page's own command has unpaused both with the others. Nothing is asked of the tail.
RUN_ORDERS = "airflow dags pause orders__tail\nairflow dags trigger orders__snapshot"
# The page of the user interface asks nobody for a password, so that a browser can look at it.
OPEN_TO_ALL = {"AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True"}
MAKE_POOL = 'airflow pools set duckdb_poolless 1 "One writer"'


class Killer:
    """Kills the task that scans the first segment, once, when it asks for a page after a link."""

    def __init__(self) -> None:
        self.stack: Stack | None = None
        self.killed: list[int] = []

    def __call__(self) -> None:
        """Runs in the server, before it answers a Scan of that segment."""
        assert self.stack is not None
        spool = self.stack.home / ".connector" / "spool" / "orders"
        if self.killed or not list(spool.glob("*/*000000-of-*/*.arrow")):
            return
        ((pid,),) = self.stack.ask(
            "select pid from task_instance where dag_id = 'orders__snapshot' and "
            "task_id = 'scan' and map_index = 0 and state = 'running'"
        )
        assert isinstance(pid, int)
        os.kill(pid, signal.SIGKILL)
        self.killed.append(pid)


@pytest.fixture(scope="module")
def rig() -> Iterator[ScriptedDynamoDB]:
    """The source: the courses, and a table whose segments take several files each."""
    with ScriptedDynamoDB(clock=RunningClock()) as running:
        courses = running.create_table(COURSES, KeySchema(Key("courseid")))
        for course in (*demo_source.FIRST, *demo_source.SECOND):
            courses.put(course)
        running.add_prerendered(PrerenderedTable("orders", ROWS, prerendered.flat))
        running.create_table("returns", KeySchema(Key("id"))).put({"id": {"S": "1"}})
        yield running


@pytest.fixture(scope="module")
def killer(rig: ScriptedDynamoDB) -> Killer:
    """Waits for the scan of the orders."""
    killer = Killer()
    rig.faults.add(faults.run(killer), on="Scan", table="orders", segment=0, times=10_000)
    return killer


@pytest.fixture(scope="module")
def stack(
    rig: ScriptedDynamoDB, killer: Killer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stack]:
    """Everything that the page says, up to the point where one waits."""
    folder = tmp_path_factory.mktemp("scheduler")
    make, name, start, _ = page_blocks()
    with shell(folder, rig.url, OPEN_TO_ALL) as stack:
        stack.shell("\n".join(line for line in make.splitlines() if line.startswith("export ")))
        stack.get_ready(PATIENCE)
        stack.shell(make)
        Home(stack.home).add_orders()
        Home(stack.home).add_poolless()
        stack.shell(name + RUN_ORDERS)
        for command in start.splitlines():
            stack.start(command)
            wait("an answer of the api-server", stack.answers, PATIENCE)
        killer.stack = stack
        yield stack


def test_the_page_leads_from_nothing_to_a_synced_table(stack, rig):
    *_, look = page_blocks()
    snapshot, tail = f"{COURSES}__snapshot", f"{COURSES}__tail"
    wait("the snapshot", lambda: stack.states(snapshot) == ["success"], PATIENCE)
    wait("the tail", lambda: "success" in stack.states(tail), PATIENCE)
    assert "failed" not in stack.states(tail)
    shown = stack.shell(look)
    assert "tailing" in shown
    for course in (*demo_source.FIRST, *demo_source.SECOND):
        assert course["title"]["S"] in shown


def test_a_dag_that_waits_for_the_table_has_run(stack):
    # A tail that ends before the table is loaded tells the asset as well; that report is skipped.
    tasks = "select task_id, state from task_instance where dag_id = 'courses_report'"
    wait("the report", lambda: ("longest", "success") in stack.ask(tasks), PATIENCE)
    logs = Path(stack.home, "logs").glob("dag_id=courses_report/*/task_id=longest/*.log")
    assert "Build AWS Serverless Web Applications" in next(logs).read_text()


def test_a_scan_that_is_killed_goes_on_from_the_page_where_it_stopped(stack, rig, killer):
    wait("the snapshot", lambda: stack.states("orders__snapshot") == ["success"], PATIENCE)
    assert len(killer.killed) == 1
    asked = Counter(
        json.dumps(call.parameters.get("ExclusiveStartKey"))
        for call in rig.calls.of("Scan", table="orders", segment=0)
    )
    # The page whose answer never came is asked for again, and no other.
    assert sorted(asked.values()) == [*[1] * (len(asked) - 1), 2]
    assert next(iter(asked.values())) == 1
    tries = stack.ask(
        "select map_index, try_number from task_instance where dag_id = 'orders__snapshot' and "
        "task_id = 'scan' order by map_index"
    )
    assert tries == [(0, 2), (1, 1)]
    query = 'connector query --output json "select count(*) as n from orders" --config '
    assert json.loads(stack.shell(f"{query} {stack.home}/dags/orders.yaml")) == [{"n": ROWS}]


def test_a_pool_that_does_not_exist_fails_the_run_and_the_page_says_how_to_make_it(stack):
    tail = "returns__tail"
    wait("the end of the tail", lambda: stack.states(tail) == ["failed"], PATIENCE)
    tries = dict(stack.ask(f"select task_id, state from task_instance where dag_id = '{tail}'"))
    assert tries["pool"] == "failed"
    assert tries["plan"] == "upstream_failed"
    ((run,),) = stack.ask(f"select run_id from dag_run where dag_id = '{tail}'")
    (log,) = Path(stack.home, "logs").glob(f"dag_id={tail}/*/task_id=pool/*.log")
    assert "airflow_errors" not in log.read_text()
    shown = "\n".join(json.loads(line)["event"] for line in log.read_text().splitlines())
    # CI has a browser; without one, what the page shows is read where it comes from. By turns one
    # is not started, which takes as much time as the rest of this test.
    if os.environ.get("CI") or (shutil.which("chromium") and not are_by_turns()):
        shown = stack.page(f"/dags/{tail}/runs/{run}/tasks/pool")
    assert "ConfigError: The pool duckdb_poolless does not exist" in shown
    assert f"Hint: Run `{MAKE_POOL}`" in shown
    assert "airflow_errors" not in shown
    stack.shell(f"{MAKE_POOL}\nairflow tasks clear --yes {tail}")
    wait("the snapshot", lambda: stack.states("returns__snapshot") == ["success"], PATIENCE)


@pytest.mark.parametrize("command", HEALTHCHECKS)
def test_a_process_that_works_is_healthy(command, stack):
    (kind,) = re.findall(r"--job-type (\w+)", command)
    begun = f"select id from job where job_type = '{kind}' and state = 'running'"
    wait("the first sign of life", lambda: bool(stack.ask(begun)), PATIENCE)
    assert "Found one alive job" in stack.shell(command)


def test_every_task_goes_through_the_pool_that_is_named(stack):
    pools = stack.ask("select distinct task_id, pool from task_instance where dag_id like 'cloud%'")
    assert dict(pools) == {
        "pool": "default_pool",
        "plan": "duckdb_warehouse",
        "scan": "default_pool",
        "load": "duckdb_warehouse",
        "tail": "duckdb_warehouse",
        "start_snapshot": "default_pool",
    }
