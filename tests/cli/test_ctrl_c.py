"""Ctrl-C says what became of each table, in one line each, and the rows are the summary."""

import ctypes
import json
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.pipeline.replica import order
from tests.rigs import duckdb_file
from tests.rigs.scripted import ScriptedDynamoDB, faults

from .many import BAD, GOOD, NAMES, ROWS, results, stream_off, three_tables
from .program import Program, ended, wait_until
from .test_what_a_run_did import Replica, looked

pytestmark = pytest.mark.xdist_group("cli_ctrl_c")

UP_TO_DATE = r"committed up to \d+, consistent since \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC, lag \d+ s"
WHILE_SCANNING = r"asked to end while scanning: the same command resumes; committed up to \d+ .*"


@pytest.fixture
def rig() -> Iterator[ScriptedDynamoDB]:
    """Three tables, which each test has for itself."""
    with three_tables() as running:
        yield running


@pytest.fixture(autouse=True)
def no_faults() -> None:
    """Each test has a rig of its own."""


def became(stderr: str) -> dict[str, str]:
    """What is said of each table at the end."""
    pattern = rf"^({'|'.join(NAMES)}): (.+)$"
    found = re.findall(pattern, stderr, re.MULTILINE)
    assert len(found) == len(dict(found)), "a line for each table"
    return dict(found)


def consistent(program: Program, rig: ScriptedDynamoDB, *names: str) -> bool:
    """Whether each of these tables is one consistent image."""
    replica = Replica(rig, program.folder)
    sql = "SELECT table_name FROM _connector.tables WHERE consistent_since IS NOT NULL"
    return {*names} <= {name for (name,) in looked(replica, sql)}


def test_tables_that_were_followed_say_how_far_they_are(
    program: Program, rig: ScriptedDynamoDB
) -> None:
    stream_off(program, rig)
    process = program.start("sync", *NAMES, "--follow", "-o", "json", *program.to)
    wait_until(lambda: consistent(program, rig, *GOOD), process)
    done = ended(process, signal.SIGINT)
    assert done.code == 130, done.stderr
    said = became(done.stderr)
    for name in GOOD:
        assert re.fullmatch(UP_TO_DATE, said[name])
    assert said[BAD] == "nothing is known to be committed"
    assert set(results(done)) == set(NAMES)


def test_a_signal_is_heard_whichever_thread_it_comes_to(
    program: Program, rig: ScriptedDynamoDB
) -> None:
    process = program.start("sync", *NAMES, "--follow", "-o", "json", *program.to)
    wait_until(lambda: consistent(program, rig, *NAMES), process)
    others = {int(path.name) for path in Path(f"/proc/{process.pid}/task").iterdir()}
    thread = max(others - {process.pid})
    # As the kernel may do it: Python hears a signal in its main thread alone, which sleeps.
    sent = ctypes.CDLL(None, use_errno=True).tgkill(process.pid, thread, signal.SIGTERM)
    assert sent == 0, ctypes.get_errno()
    done = ended(process)
    assert done.code == 130, done.stderr
    assert {row["result"] for row in results(done).values()} == {"ok"}


def test_a_table_alone_that_was_followed_has_its_line_and_its_row(
    program: Program, rig: ScriptedDynamoDB
) -> None:
    process = program.start("sync", "apples", "--follow", "-o", "json", *program.to)
    wait_until(lambda: consistent(program, rig, "apples"), process)
    done = ended(process, signal.SIGINT)
    assert done.code == 130, done.stderr
    assert list(became(done.stderr)) == ["apples"]
    assert re.fullmatch(UP_TO_DATE, became(done.stderr)["apples"])
    (row,) = json.loads(done.stdout)
    assert (row["result"], row["written"]) == ("ok", ROWS)
    assert len(done.lines("Interrupted: ")) == 1 and done.lines("Error: ") == []


@pytest.mark.by_turns("tables")
@pytest.mark.parametrize("tables", [("apples",), NAMES], ids=["alone", "several"])
def test_a_table_that_is_scanned_says_that_the_same_command_goes_on(
    program: Program, rig: ScriptedDynamoDB, tables: tuple[str, ...]
) -> None:
    rig.faults.add(faults.throttle(), on="Scan", times=10_000)
    process = program.start("sync", *tables, "--jobs", "1", "-o", "json", *program.to)
    wait_until(lambda: rig.calls.count("Scan") > 0, process)
    done = ended(process, signal.SIGTERM)
    assert done.code == 130, done.stderr
    said = became(done.stderr)
    assert re.fullmatch(WHILE_SCANNING, said.pop("apples"))
    assert set(said.values()) <= {"was not started"} and len(said) == len(tables) - 1
    assert results(done)["apples"]["result"] == "failed"
    rig.faults.clear()
    assert program("sync", *tables, *program.to).code == 0


def test_a_file_that_is_held_meanwhile_keeps_nobody(
    program: Program, rig: ScriptedDynamoDB
) -> None:
    assert program("sync", "apples", *program.to).code == 0
    rig.calls.clear()
    process = program.start("tail", "apples", "--follow", "-o", "json", *program.to)
    wait_until(lambda: rig.calls.count("GetRecords") > 3, process)
    with duckdb_file.held(program.file):
        rig.model("apples").put(order("held"))
        wait_until(lambda: "held by" in process.said(), process)
        done = ended(process, signal.SIGINT)
    assert done.code in (4, 130), done.stderr
    assert "Traceback" not in done.stderr


def test_a_run_that_ends_by_itself_says_nothing_of_an_end(
    program: Program, rig: ScriptedDynamoDB
) -> None:
    done = program("sync", *NAMES, *program.to)
    assert done.code == 0 and became(done.stderr) == {}
