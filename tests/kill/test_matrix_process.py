"""Fault matrix F 78, 79 and 84 with real processes, real signals and real memory."""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cli.program import Program, ended, wait_until
from tests.pipeline.replica import ORDERS, SCHEMA, Replica, change, order
from tests.rigs import duckdb_file
from tests.rigs.scripted import PrerenderedTable, RunningClock, ScriptedDynamoDB, faults

ITEMS = 19_200
MEMORY = 320 << 20


@pytest.fixture
def rig(monkeypatch: pytest.MonkeyPatch) -> Iterator[ScriptedDynamoDB]:
    """A server whose clock runs."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_REGION", "us-west-2")
    with ScriptedDynamoDB(clock=RunningClock()) as running:
        yield running


@pytest.fixture
def replica(rig: ScriptedDynamoDB, tmp_path: Path) -> Replica:
    """A table of orders that is equal."""
    rig.create_table(ORDERS, SCHEMA).put(*(order(n, 0) for n in range(20)))
    made = Replica(rig, tmp_path)
    made.sync()
    return made


def test_78_a_process_that_is_stopped_and_overtaken_goes_on(
    rig: ScriptedDynamoDB, replica: Replica, tmp_path: Path
) -> None:
    """It sleeps with a page in its hands that another run commits first: it must not commit it."""
    program = Program(tmp_path, rig.url)
    process = program.start("tail", ORDERS, "--follow", *program.to)
    wait_until(lambda: rig.calls.count("GetRecords") > 5, process)
    stopped = rig.faults.add(
        faults.run(lambda: os.kill(process.pid, signal.SIGSTOP)), on="GetRecords"
    )
    change(replica, 1)
    wait_until(lambda: stopped.fired == 1, process)
    overtaken = replica.sync()
    replica.assert_equal()
    replica.model.put(order("later", 2))
    os.kill(process.pid, signal.SIGCONT)
    wait_until(lambda: replica.state().commit > overtaken.commit, process)
    read = rig.calls.count("GetRecords")
    wait_until(lambda: rig.calls.count("GetRecords") > read + 5, process)
    done = ended(process, signal.SIGTERM)
    assert done.code == 130, done.stderr
    replica.assert_equal()
    (counts,) = replica.sql("SELECT sum(written) FROM _connector.runs WHERE command = 'tail'")
    assert counts == (1,)


@pytest.mark.parametrize("at", ["Scan", "GetRecords"])
def test_79_sigterm_ends_a_run_that_waits_for_an_answer(
    rig: ScriptedDynamoDB, replica: Replica, tmp_path: Path, at: str
) -> None:
    """It hardly asks any more, and leaves with its batch committed or not begun."""
    program = Program(tmp_path, rig.url)
    command = ("snapshot", ORDERS, "--full-refresh", "--yes") if at == "Scan" else ("sync", ORDERS)
    slow = rig.faults.add(faults.delay(1.0), on=at, times=10**6)
    change(replica, 1)
    process = program.start(*command, *program.to)
    wait_until(lambda: slow.fired > 0, process)
    asked = slow.fired
    done = ended(process, signal.SIGTERM)
    # Each of its threads may have been about to ask once more.
    assert slow.fired - asked <= 10
    assert done.code == 130, done.stderr
    assert "Traceback" not in done.stderr
    rig.faults.clear()
    replica.sync()
    replica.assert_equal()


def item(number: int) -> dict[str, Any]:
    """An item of 20 KB. DuckDB takes many times longer to compress shorter texts."""
    return {"n": {"N": str(number)}, "text": {"S": f"{number:05d}" * 4000}}


def peak(process: int) -> int:
    """The most memory a process has used beside the files it runs, in bytes; 0 where it has ended.

    How much of its libraries is in memory is up to the system, which may drop it at any time. What
    the system tells of a process that has ended begins with the memory of its parent.
    """
    try:
        status = Path(f"/proc/{process}/status").read_text()
    except ProcessLookupError:
        return 0
    most, files = (status.partition(name)[2].split() for name in ("VmHWM:", "RssFile:"))
    return (int(most[0]) - int(files[0])) << 10 if most and files else 0


def test_84_64_segments_of_a_table_larger_than_the_memory(
    rig: ScriptedDynamoDB, tmp_path: Path
) -> None:
    """Within 320 MiB: what is read waits on disk, and is loaded a piece at a time.

    What the process really used is measured: DuckDB and Arrow reserve far more than they touch, so
    a limit on addresses would forbid what costs nothing.
    """
    table = PrerenderedTable("big", ITEMS, item, kept_pages=4)
    rig.add_prerendered(table)
    program = Program(tmp_path, rig.url, {"CONNECTOR_DESTINATION__MEMORY_LIMIT": "64MB"})
    one = ("--segments", "64", "--workers", "1")
    process = program.start_from_nothing("sync", "big", *one, "--quiet", *program.to)
    used = 0
    while process.poll() is None:
        used = max(used, peak(process.pid))
        time.sleep(0.01)
    assert process.returncode == 0, process.communicate()[1]
    process.communicate()
    assert rig.calls.per_segment().keys() == set(range(64))
    assert ITEMS * len(item(0)["text"]["S"]) > MEMORY > used > 0
    with duckdb_file.opened(program.file, read_only=True) as connection:
        query = "SELECT count(*), count(DISTINCT id), sum(n), min(length(text)) FROM big"
        found = connection.execute(query).fetchone()
    assert found == (ITEMS, ITEMS, table.total("n"), 20_000)
