"""A crash at any named point loses nothing: the next run brings the table to its source."""

import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from connector import failpoints
from tests.cli.program import Program
from tests.pipeline.replica import ORDERS, SCHEMA, Replica, change, key, order
from tests.rigs.scripted import RunningClock, ScriptedDynamoDB

pytestmark = pytest.mark.by_turns("destination")

OFTEN = ("scan.", "spool.", "tail.", "commit.")
"""What is reached several times in one run."""

LARGE = os.environ.get("TEST_SCALE") == "large"
POINTS = list(failpoints.NAMES)
if LARGE:
    POINTS += [f"{name}:2" for name in failpoints.NAMES if name.startswith(OFTEN)]
AROUND_COMMIT = (
    "plan.after_commit",
    "load.before_commit",
    "load.after_commit",
    "commit.after_merge",
)
CASES = [("duckdb", point) for point in POINTS]
CASES += [("postgres", point) for point in (POINTS if LARGE else AROUND_COMMIT)]
LOOKED_UP = [("duckdb", "tail.after_look_up"), ("postgres", "tail.after_look_up")]
LOOKED_UP += [("duckdb", point) for point in ("tail.after_look_up:2", "commit.after_merge:2")]
SETTINGS = {"CONNECTOR_SCAN__SEGMENTS": "2", "CONNECTOR_TAIL__BATCH_RECORDS": "1"}


@pytest.fixture
def view() -> str:
    """What the stream's records have of the items."""
    return "NEW_AND_OLD_IMAGES"


@pytest.fixture
def rig(monkeypatch: pytest.MonkeyPatch, view: str) -> Iterator[ScriptedDynamoDB]:
    """A table of orders with many changes in its stream, old items and deleted ones among them."""
    monkeypatch.setattr("tests.rigs.scripted.scan.PAGE_BYTES", 4 * 1024)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_REGION", "us-west-2")
    with ScriptedDynamoDB(clock=RunningClock()) as running:
        table = running.create_table(ORDERS, SCHEMA, view=view)
        table.load({**order(n, -1), "s": {"S": "x" * 200}} for n in range(80))
        # More than one page of the stream.
        table.put(*(order(n % 50, n) for n in range(1010)))
        table.delete(*(key(n) for n in range(40, 60)))
        table.stream.roll()
        table.put(*(order(n, n) for n in range(45, 50)))
        yield running


@pytest.mark.parametrize(
    ("destination", "point", "view"),
    [
        *((*each, "NEW_AND_OLD_IMAGES") for each in CASES),
        *((*each, "KEYS_ONLY") for each in LOOKED_UP),
    ],
)
def test_the_run_after_a_crash_brings_everything(
    rig: ScriptedDynamoDB,
    tmp_path: Path,
    destination: str,
    point: str,
    request: pytest.FixtureRequest,
) -> None:
    url = request.getfixturevalue("postgres").url if destination == "postgres" else ""
    spool = str(tmp_path / ".connector/spool")
    environment = {"CONNECTOR_FAILPOINT": point, "CONNECTOR_SPOOL": spool, **SETTINGS}
    program = Program(tmp_path, rig.url, environment, url)
    done = program("sync", ORDERS, *program.to)
    assert done.code == -signal.SIGKILL, f"{point} was not reached: {done.stderr}"
    settings: dict[str, object] = {"scan.segments": 2, "spool": spool}
    replica = Replica(rig, tmp_path, settings=settings, database=url)
    change(replica, 7)
    replica.sync()
    replica.assert_equal()
    assert replica.verdict().equal
    assert not list(tmp_path.rglob("*.arrow"))


def test_85_the_death_of_a_worker_ends_the_run_and_loses_nothing(
    rig: ScriptedDynamoDB, tmp_path: Path
) -> None:
    program = Program(tmp_path, rig.url, {"CONNECTOR_FAILPOINT": "spool.before_rename"})
    done = program("sync", ORDERS, "--workers", "2", "--segments", "5", *program.to)
    assert done.code not in (0, -signal.SIGKILL)
    (error,) = done.lines("Error: ")
    assert "scan-" in error
    assert "Traceback" not in done.stderr
    replica = Replica(rig, tmp_path)
    replica.sync()
    replica.assert_equal()


def test_a_spool_left_behind_is_removed_by_the_next_run(
    rig: ScriptedDynamoDB, tmp_path: Path
) -> None:
    program = Program(tmp_path, rig.url, {"CONNECTOR_FAILPOINT": "load.before_drop", **SETTINGS})
    assert program("sync", ORDERS, *program.to).code == -signal.SIGKILL
    assert list(tmp_path.rglob("*.arrow"))
    assert program.with_(CONNECTOR_FAILPOINT="")("sync", ORDERS, *program.to).code == 0
    assert not list(tmp_path.rglob("*.arrow"))


def test_a_spool_that_vanished_is_scanned_again(rig: ScriptedDynamoDB, tmp_path: Path) -> None:
    program = Program(tmp_path, rig.url, {"CONNECTOR_FAILPOINT": "load.before_insert", **SETTINGS})
    assert program("sync", ORDERS, *program.to).code == -signal.SIGKILL
    shutil.rmtree(tmp_path / ".connector")
    replica = Replica(rig, tmp_path, settings={"scan.segments": 2})
    replica.sync()
    replica.assert_equal()
