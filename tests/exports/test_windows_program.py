"""The real program with incremental exports: what it says, and what a kill leaves behind."""

import json
import signal
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from tests.cli.program import Program, assert_one_sentence, ended, wait_until
from tests.pipeline.replica import ORDERS, SCHEMA, change, key, order
from tests.rigs import exports
from tests.rigs.scripted import ScriptedDynamoDB

from .replica import Exported

pytestmark = pytest.mark.by_turns("replica")

HOUR = timedelta(hours=1)
KILLS = ("tail.after_read", "tail.after_look_up", "commit.before_commit", "commit.after_commit")
MENDS = ("mend.before_plan", "mend.before_commit", "mend.after_commit")


@pytest.fixture
def rig(server: ScriptedDynamoDB) -> ScriptedDynamoDB:
    """Orders of some days ago."""
    server.clock.advance(hours=-100)
    table = server.create_table(ORDERS, SCHEMA)
    table.load(order(n, 0) for n in range(40))
    return server


@pytest.fixture
def replica(request: pytest.FixtureRequest, rig: ScriptedDynamoDB, tmp_path: Path) -> Exported:
    """What the program is to make, in a file unless a test asks for the other database."""
    on_postgres = getattr(request, "param", "duckdb") == "postgres"
    database = request.getfixturevalue("kept_postgres").url if on_postgres else ""
    return Exported(rig, tmp_path, database=database)


def program(replica: Exported, **settings: object) -> Program:
    """The program in a folder with a configuration."""
    place = (replica.folder / "exports").as_uri()
    made = json.dumps(settings)
    text = f"tables: {{{ORDERS}: {made}}}\nexports: {{url: '{place}'}}\n"
    (replica.folder / "connector.yaml").write_text(text)
    return Program(replica.folder, replica.rig.url, database=replica.database)


def overslept(replica: Exported, run: Program) -> datetime:
    """A table whose stream has lost changes; returns when it was last in order."""
    assert run("sync", ORDERS, *run.to).code == 0
    at = replica.now()
    for round_ in range(3):
        change(replica, round_)
        replica.model.delete(key(30 + round_))
        replica.rig.clock.advance(hours=20)
        replica.model.stream.roll()
    change(replica, 9)
    return at


def test_a_repair_prints_the_commands_and_then_mends(replica):
    run = program(replica)
    at = overslept(replica, run)
    assert run("sync", ORDERS, *run.to).code == 3
    done = run("repair", ORDERS, *run.to)
    assert_one_sentence(done, 3, "No incremental export in")
    (hint,) = done.lines("Hint: ")
    assert hint.count("aws dynamodb export-table-to-point-in-time") == 2
    assert f"--table-arn {replica.model.arn}" in hint
    assert run("status", *run.to).code == 3
    replica.export_lost(at)
    done = run("repair", ORDERS, *run.to, "-o", "json")
    assert done.code == 0, done.stderr
    (told,) = json.loads(done.stdout)
    assert (told["table"], told["rows"], told["result"]) == (ORDERS, len(replica.model), "ok")
    replica.assert_equal()
    done = run("repair", ORDERS, *run.to)
    assert done.code == 0
    assert "no changes were lost" in done.stderr
    assert run("verify", ORDERS, *run.to).code == 0


@pytest.mark.by_turns("replica", "point", at_once=2)
@pytest.mark.parametrize("replica", ["duckdb", "postgres"], indirect=True)
@pytest.mark.parametrize("point", [*MENDS, *KILLS])
def test_a_repair_that_is_killed_goes_on(replica, point):
    run = program(replica)
    at = overslept(replica, run)
    assert run("sync", ORDERS, *run.to).code == 3
    replica.export_lost(at)
    killed = run.with_(CONNECTOR_FAILPOINT=point, CONNECTOR_TAIL__BATCH_RECORDS="1")
    done = killed("repair", ORDERS, *run.to)
    assert done.code == -signal.SIGKILL, f"{point} was not reached: {done.stderr}"
    assert replica.sql("SELECT count(*) > 0 FROM orders") == [(True,)]
    assert run("repair", ORDERS, *run.to).code == 0
    replica.assert_equal()
    assert replica.state().consistent_since is not None


@pytest.mark.by_turns("replica", "point", at_once=2)
@pytest.mark.parametrize("replica", ["duckdb", "postgres"], indirect=True)
@pytest.mark.parametrize("point", KILLS)
def test_a_table_that_follows_exports_goes_on_after_a_kill(replica, point):
    run = program(replica, follow="exports")
    begin = replica.now()
    replica.model.put(order("brief", 1))
    assert run("sync", ORDERS, *run.to).code == 0
    replica.model.delete(key("brief"))
    change(replica)
    replica.rig.clock.advance(hours=1)
    replica.window(begin - timedelta(minutes=10))
    killed = run.with_(CONNECTOR_FAILPOINT=f"{point}:2", CONNECTOR_TAIL__BATCH_RECORDS="1")
    if point == "tail.after_look_up":
        killed = run.with_(CONNECTOR_FAILPOINT=point)
    done = killed("sync", ORDERS, *run.to)
    assert done.code == -signal.SIGKILL, f"{point} was not reached: {done.stderr}"
    assert run("sync", ORDERS, *run.to).code == 0
    replica.assert_equal()


def test_status_counts_against_the_recovery_of_the_table(replica):
    replica.rig.backups.days = 7
    run = program(replica, follow="exports")
    assert run("sync", ORDERS, *run.to).code == 0
    done = run("status", *run.to, "-o", "json")
    assert done.code == 0, done.stderr
    (row,) = json.loads(done.stdout)
    assert row["lag_seconds"] + row["seconds_to_data_loss"] == pytest.approx(7 * 86_400, abs=1)


def test_a_check_shows_windows_and_what_may_not_be_asked(replica):
    run = program(replica, follow="exports")
    replica.window(replica.now() - HOUR)
    done = run("check", *run.to, "-o", "json")
    lines = {each["check"]: each for each in json.loads(done.stdout)}
    assert lines["DescribeContinuousBackups"]["detail"] == "point-in-time recovery of 35 days"
    assert lines["DescribeExport"]["detail"] == "allowed"
    assert lines["incremental exports"]["detail"].startswith("1 in file://")
    assert "ExportTableToPointInTime" not in lines
    assert replica.rig.calls.count("ExportTableToPointInTime") == 0


def test_a_tail_that_lasts_reads_each_window_as_it_comes(replica):
    run = program(replica, follow="exports")
    replica.rig.clock.advance(seconds=1)
    begin = replica.now()
    assert run("sync", ORDERS, *run.to).code == 0
    process = run.start("sync", ORDERS, "--follow", *run.to)
    change(replica)
    replica.rig.clock.advance(hours=1)
    replica.window(begin - timedelta(minutes=10))
    wait_until(lambda: replica.rig.calls.count("BatchGetItem") > 0, process)
    done = ended(process, signal.SIGTERM)
    assert done.code == 130, done.stderr
    assert run("sync", ORDERS, *run.to).code == 0
    replica.assert_equal()


def test_exports_written_beside_a_full_one_are_verified(replica):
    run = program(replica, snapshot="export", follow="exports")
    replica.rig.clock.advance(seconds=2)
    at = replica.now()
    exports.write(replica.folder / "exports", replica.model, at, name="full")
    change(replica)
    replica.rig.clock.advance(hours=1)
    assert run("sync", ORDERS, *run.to).code == 0
    replica.window(at)
    done = run("verify", ORDERS, *run.to)
    assert done.code == 0, done.stderr
    change(replica, 2)
    done = run("verify", ORDERS, *run.to)
    assert done.code == 3
    assert "when the last export ends" in done.stderr


def test_a_repair_finds_out_for_itself_that_changes_were_lost(replica):
    run = program(replica)
    at = overslept(replica, run)
    done = run("repair", ORDERS, *run.to)
    assert_one_sentence(done, 3, "No incremental export in")
    assert "aws dynamodb export-table-to-point-in-time" in done.stderr
    replica.export_lost(at)
    assert run("repair", ORDERS, *run.to).code == 0
    replica.assert_equal()
    assert replica.state().problem is None


def test_each_window_is_checked_once(replica):
    run = program(replica, follow="exports")
    begin = replica.now() - HOUR
    assert run("sync", ORDERS, *run.to).code == 0
    for round_ in range(3):
        change(replica, round_)
        replica.rig.clock.advance(hours=1)
        replica.window(begin, replica.now())
        begin = replica.now()
    done = run("sync", ORDERS, *run.to)
    assert done.code == 0, done.stderr
    assert done.stderr.count("has what changed from") == 3
    replica.assert_equal()


@pytest.mark.by_turns("command")
@pytest.mark.parametrize("command", ["tail", "sync", "verify"])
def test_each_command_that_follows_repairs_if_it_is_told_to(replica, command):
    run = program(replica, on_gap="repair")
    at = overslept(replica, run)
    done = run(command, ORDERS, *run.to)
    assert_one_sentence(done, 3, "No incremental export in")
    assert "aws dynamodb export-table-to-point-in-time" in done.stderr
    replica.export_lost(at)
    done = run(command, ORDERS, *run.to)
    assert done.code == 0, done.stderr
    replica.assert_equal()
    assert run("status", *run.to).code == 0


def test_a_tail_that_may_not_repair_names_the_table_in_its_hint(replica):
    run = program(replica)
    overslept(replica, run)
    done = run("tail", ORDERS, *run.to)
    assert_one_sentence(done, 3, "were trimmed before they were read")
    (hint,) = done.lines("Hint: ")
    assert f"`connector repair {ORDERS}`" in hint
