"""What a run says it did to each table: its own rows, deletes, quarantine, columns, commits."""

import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.pipeline.replica import SCHEMA, Replica, key, order
from tests.rigs.scripted import RunningClock, ScriptedDynamoDB, faults

from .many import BAD, GOOD, NAMES, ROWS, denied, results, three_tables
from .program import Program, ended, wait_until

pytestmark = [
    pytest.mark.xdist_group("cli_what_a_run_did"),
    # The contract suites show of each database what it does here.
    pytest.mark.by_turns("either"),
]

TABLE = "apples"
WRITTEN = "SELECT 1 FROM _connector.runs WHERE written > 0"
COUNTS = ("written", "deleted", "newly_quarantined", "new_columns")


@pytest.fixture
def rig() -> Iterator[ScriptedDynamoDB]:
    """Three tables, which each test has for itself."""
    with three_tables() as running:
        yield running


@pytest.fixture(autouse=True)
def no_faults() -> None:
    """Each test has a rig of its own."""


@pytest.fixture(params=["duckdb", "postgres"])
def either(
    request: pytest.FixtureRequest, tmp_path: Path, rig: ScriptedDynamoDB
) -> tuple[Program, Replica]:
    """The program with either destination, and the same table as seen by its database."""
    url = request.getfixturevalue("postgres").url if request.param == "postgres" else ""
    replica = Replica(rig, tmp_path, name=TABLE, database=url)
    return Program(tmp_path, rig.url, database=url), replica


def row(program: Program, *arguments: str) -> dict[str, Any]:
    """The result row of a run of one table."""
    done = program(*arguments, "-o", "json", *program.to)
    assert done.code == 0, done.stderr
    (found,) = json.loads(done.stdout)
    return dict(found)


def did(found: dict[str, Any]) -> tuple[int, ...]:
    """What a run wrote, deleted, quarantined and added."""
    return tuple(found[name] for name in COUNTS)


def journal(replica: Replica) -> list[tuple[Any, ...]]:
    """What the destination itself says of every run: rows written and deleted, and commits."""
    return replica.sql("SELECT written, deleted, commits FROM _connector.runs ORDER BY started_at")


def test_each_run_says_what_it_did_itself(either: tuple[Program, Replica]) -> None:
    program, replica = either
    first = row(program, "sync", TABLE)
    # The key column is made with the table.
    assert (first["rows"], did(first)) == (ROWS, (ROWS, 0, 0, 1))
    replica.model.put(order(1, 9), {**order("new"), "a": {"S": "x"}, "b": {"BOOL": True}})
    replica.model.delete(key(0))
    replica.model.put({**key("bad"), "n": {"N": "1e999"}})
    second = row(program, "tail", TABLE)
    assert (second["rows"], did(second), second["quarantined"]) == (ROWS, (2, 1, 1, 2), 1)
    third = row(program, "sync", TABLE)
    # What was quarantined is still there, and is not this run's.
    assert (did(third), third["quarantined"]) == ((0, 0, 0, 0), 1)
    reread = row(program, "snapshot", TABLE, "--full-refresh", "--yes")
    assert reread["rows"] == ROWS and did(reread)[3] == 0
    runs = [first, second, third, reread]
    # A run soon after another one may have nothing to commit, not even how far it has read.
    made = [run for run in runs if run is not third or run["commits"]]
    assert journal(replica) == [(r["written"], r["deleted"], r["commits"]) for r in made]
    assert all(r["seconds"] >= 0 for r in runs)


def test_a_first_sync_of_what_is_all_in_the_stream_says_whose_the_rows_are(
    either: tuple[Program, Replica],
) -> None:
    program, replica = either
    # The scan begins only when the stream is read.
    seen = replica.rig.calls
    replica.rig.faults.add(
        faults.run(lambda: wait_until(lambda: bool(looked(replica, WRITTEN)))), on="Scan"
    )
    done = program("sync", TABLE, *program.to)
    assert done.code == 0, done.stderr
    assert seen.count("Scan") == 1
    (line,) = [line for line in done.stderr.splitlines() if "scanned and loaded" in line]
    said = line.partition(f"{TABLE}: ")[2]
    assert said.startswith(f"{ROWS} items scanned and loaded in commit ")
    assert said.endswith(f": the table has {ROWS} rows, all of them written by the stream")


def looked(replica: Replica, query: str) -> list[tuple[Any, ...]]:
    """The answer of the database; none as long as nobody can look, or there is nothing to see."""
    try:
        return replica.sql(query)
    except Exception as error:
        assert type(error).__module__.split(".")[0] in ("duckdb", "_duckdb", "adbc_driver_manager")
        return []


def test_a_table_that_failed_says_what_was_committed_before(
    program: Program, rig: ScriptedDynamoDB
) -> None:
    denied(program, rig)
    found = results(program("sync", *NAMES, "-o", "json", *program.to))
    replica = Replica(rig, program.folder, name=BAD)
    told = replica.sql(
        "SELECT table_name, written, deleted, commits FROM _connector.runs ORDER BY table_name"
    )
    assert told == [
        (name, found[name]["written"], found[name]["deleted"], found[name]["commits"])
        for name in sorted(NAMES)
    ]
    # The stream was read until the scan was refused.
    assert (found[BAD]["result"], found[BAD]["written"], found[BAD]["rows"]) == (
        "failed",
        ROWS,
        ROWS,
    )
    assert [found[name]["written"] for name in GOOD] == [ROWS, ROWS]


def test_tries_of_a_table_that_is_followed_are_counted_together(
    program: Program, rig: ScriptedDynamoDB
) -> None:
    rig.faults.add(faults.access_denied(), on="Scan", times=1, table=BAD)
    process = program.start("sync", *NAMES, "--follow", "-o", "json", *program.to)
    wait_until(lambda: rig.calls.count("Scan", table=BAD) > 1, process)
    rig.model(BAD).put(order("later"))
    replica = Replica(rig, program.folder, name=BAD)
    wait_until(lambda: bool(looked(replica, f"SELECT 1 FROM {BAD} WHERE id = 'later'")), process)
    found = results(ended(process, signal.SIGTERM))[BAD]
    sql = "SELECT written, commits FROM _connector.runs WHERE table_name = 'bananas'"
    assert replica.sql(sql) == [(found["written"], found["commits"])]
    assert found["new_columns"] == 1


def test_a_run_after_one_that_was_killed_counts_its_own_rows_only(
    program: Program, rig: ScriptedDynamoDB
) -> None:
    killed = program.with_(CONNECTOR_FAILPOINT="load.before_commit")
    process = killed.start("sync", TABLE, *program.to)
    assert ended(process).code == -signal.SIGKILL
    replica = Replica(rig, program.folder, name=TABLE)
    (before,) = journal(replica)
    found = row(program, "sync", TABLE)
    assert before[0] + found["written"] == ROWS == found["rows"]
    assert journal(replica)[1] == (found["written"], found["deleted"], found["commits"])


def test_a_table_that_was_not_tried_did_nothing(program: Program, rig: ScriptedDynamoDB) -> None:
    rig.faults.add(faults.throttle(), on="Scan", times=10_000)
    process = program.start("sync", *NAMES, "--jobs", "1", "-o", "json", *program.to)
    wait_until(lambda: rig.calls.count("Scan") > 0, process)
    found = results(ended(process, signal.SIGTERM))
    assert found["apples"]["commits"] > 0
    assert [found["cherries"][name] for name in (*COUNTS, "commits", "seconds")] == [None] * 6


def test_an_item_alone_is_singular(program: Program) -> None:
    with ScriptedDynamoDB(clock=RunningClock()) as alone:
        alone.create_table("one", SCHEMA).load([order(1)])
        done = Program(program.folder, alone.url)("sync", "one", *program.to)
    assert done.code == 0, done.stderr
    assert "scanning about 1 item in 1 segment" in done.stderr
    assert "1 segment and 1 shard" in done.stderr
    assert "1 item scanned and loaded in commit" in done.stderr
    assert "the table has 1 row" in done.stderr
    assert " 1 items" not in done.stderr and " 1 rows" not in done.stderr
