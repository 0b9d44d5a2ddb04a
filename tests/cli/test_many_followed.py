"""Several tables that are followed: a failed one is tried again, and the others go on."""

import signal
from collections.abc import Iterator

import pytest

from tests.pipeline.replica import SCHEMA, order
from tests.rigs.scripted import ScriptedDynamoDB, faults

from .many import (
    BAD,
    GOOD,
    NAMES,
    ROWS,
    results,
    rows_of,
    stream_off,
    three_tables,
)
from .mistakes import SOON
from .program import Program, ended, wait_until

# What its tests share is made once, by one process.
pytestmark = pytest.mark.xdist_group("cli_followed")


@pytest.fixture
def rig() -> Iterator[ScriptedDynamoDB]:
    """Three tables, which each test has for itself."""
    with three_tables() as running:
        yield running


@pytest.fixture(autouse=True)
def no_faults() -> None:
    """Each test has a rig of its own."""


def test_a_table_that_fails_does_not_end_those_that_are_followed(
    program: Program, rig: ScriptedDynamoDB
) -> None:
    stream_off(program, rig)
    process = program.start("sync", *NAMES, "--follow", "-o", "json", *program.to)
    wait_until(lambda: all(rig.calls.count("Scan", table=name) for name in GOOD), process)
    wait_until(lambda: rig.calls.count("GetRecords") > 10, process)
    rig.model("cherries").put(order("later", 7))
    read = rig.calls.count("GetRecords")
    wait_until(lambda: rig.calls.count("GetRecords") > read + 10, process)
    done = ended(process, signal.SIGTERM)
    assert done.code == 130, done.stderr
    found = results(done)
    assert [found[name]["result"] for name in NAMES] == ["ok", "failed", "ok"]
    assert "stream" in found[BAD]["error"]
    assert rows_of(program, "cherries") == ROWS + 1
    (error,) = done.lines("Error: ")
    assert error.startswith(f"Error: {BAD}: ")
    assert len(done.lines("Interrupted: ")) == 1
    assert f"{BAD}: failed: The stream of {BAD} is not switched on" in done.stderr


def test_a_table_that_is_mended_says_so_and_ends_well(
    program: Program, rig: ScriptedDynamoDB
) -> None:
    stream_off(program, rig)
    seldom = program.with_(CONNECTOR_TAIL__IDLE_POLL_SECONDS="0.5")
    process = seldom.start("sync", *NAMES, "--for", "20s", "-o", "json", *program.to)
    wait_until(lambda: rig.calls.count("DescribeTable", table=BAD) > 0, process)
    rig.model(BAD).enable_stream()
    wait_until(lambda: rig.calls.count("Scan", table=BAD) > 0, process)
    done = ended(process)
    assert done.code == 0, done.stderr
    assert {row["result"] for row in results(done).values()} == {"ok"}
    assert rows_of(program, BAD) == 1
    assert f"{BAD}: is up to date again" in done.stderr
    assert done.lines("Error: ") == []


def test_a_table_that_is_still_failed_at_the_end_has_its_exit_code(
    program: Program, rig: ScriptedDynamoDB
) -> None:
    stream_off(program, rig)
    done = program("tail", *NAMES, "--for", "2s", "-o", "json", *program.to)
    assert_bad = results(done)
    assert done.code == 2, done.stderr
    assert [assert_bad[name]["result"] for name in NAMES] == ["ok", "failed", "ok"]


def test_a_run_in_which_no_table_can_go_on_ends(program: Program, rig: ScriptedDynamoDB) -> None:
    for name in NAMES:
        rig.delete_table(name)
    rig.create_table(BAD, SCHEMA, view=None)
    done = program("sync", *NAMES, "--follow", "-o", "json", *program.to)
    assert done.code == 2, done.stderr
    assert {row["result"] for row in results(done).values()} == {"failed"}
    assert len(done.lines("Error: ")) == 3


def test_ctrl_c_is_the_end_although_every_table_waits_to_be_tried_again(
    program: Program, rig: ScriptedDynamoDB
) -> None:
    rig.faults.add(faults.throttle(), on="Scan", times=10_000)
    impatient = program.with_(**SOON)
    process = impatient.start("sync", "apples", BAD, "--follow", "-o", "json", *program.to)
    wait_until(lambda: rig.calls.count("Scan") > 12, process)
    done = ended(process, signal.SIGINT)
    assert done.code == 130, done.stderr
    assert len(done.lines("Interrupted: ")) == 1
    assert {row["result"] for row in results(done).values()} == {"failed"}


def test_one_that_may_pass_keeps_the_run_going(program: Program, rig: ScriptedDynamoDB) -> None:
    stream_off(program, rig)
    rig.faults.add(faults.throttle(), on="Scan", times=12, table="apples")
    impatient = program.with_(**SOON)
    process = impatient.start("sync", "apples", BAD, "--follow", "-o", "json", *program.to)
    wait_until(lambda: rig.calls.count("Scan", table="apples") > 12, process)
    read = rig.calls.count("GetRecords")
    wait_until(lambda: rig.calls.count("GetRecords") > read + 20, process)
    done = ended(process, signal.SIGINT)
    assert done.code == 130, done.stderr
    assert [row["result"] for row in results(done).values()] == ["ok", "failed"]
    assert "apples: is up to date again" in done.stderr
