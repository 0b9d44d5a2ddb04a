"""Several tables in one command: each has its result, and a bad one ends none of the others."""

import json
import re
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.pipeline.replica import key, order
from tests.rigs import duckdb_file
from tests.rigs.postgres import Database
from tests.rigs.scripted import ScriptedDynamoDB, faults

from .many import (
    BAD,
    GOOD,
    NAMES,
    ROWS,
    assert_only_bad_failed,
    changed,
    denied,
    dropped,
    history_lost,
    quarantined,
    results,
    rows_of,
    stream_off,
    three_tables,
    throttled,
)
from .mistakes import SOON
from .program import Program, ended, fingerprints, wait_until
from .test_terminal import on_a_terminal, plain

# What its tests share is made once, by one process.
pytestmark = pytest.mark.xdist_group("cli_many")


@pytest.fixture
def rig() -> Iterator[ScriptedDynamoDB]:
    """Three tables, which each test has for itself."""
    with three_tables() as running:
        yield running


@pytest.fixture(autouse=True)
def no_faults() -> None:
    """Each test has a rig of its own."""


BREAKS: dict[Callable[[Program, ScriptedDynamoDB], None], tuple[int, str]] = {
    stream_off: (2, "stream"),
    dropped: (2, "There is no table"),
    denied: (2, "AWS refused Scan"),
    throttled: (4, "throttling Scan"),
    history_lost: (3, "created again"),
    quarantined: (3, "could not be stored"),
    changed: (2, "n"),
}


# Each of these mistakes is told of one table alone elsewhere.
@pytest.mark.by_turns("breaks", "code", "says", "order_of", at_once=3)
@pytest.mark.parametrize(
    ("breaks", "code", "says"),
    [(breaks, *wanted) for breaks, wanted in BREAKS.items()],
    ids=lambda value: getattr(value, "__name__", ""),
)
@pytest.mark.parametrize("order_of", [(BAD, *GOOD), NAMES], ids=["first", "middle"])
def test_a_bad_table_ends_none_of_the_others(
    program: Program,
    rig: ScriptedDynamoDB,
    breaks: Callable[[Program, ScriptedDynamoDB], None],
    code: int,
    says: str,
    order_of: tuple[str, ...],
) -> None:
    strict = program.with_(**SOON, CONNECTOR_QUARANTINE__LIMIT="0")
    breaks(strict, rig)
    done = strict("sync", *order_of, "-o", "json", "--jobs", "1", *program.to)
    assert list(results(done)) == list(order_of)
    assert_only_bad_failed(done, code, says)
    for name in GOOD:
        assert rows_of(program, name) == ROWS


def test_rows_are_printed_as_a_table_too(program: Program, rig: ScriptedDynamoDB) -> None:
    stream_off(program, rig)
    done = program("sync", *NAMES, *program.to)
    assert done.code == 2
    header, *lines = done.stdout.splitlines()
    assert header.split()[-2:] == ["result", "error"]
    assert [line.split()[0] for line in lines] == list(NAMES)
    assert "failed" in lines[1] and "stream" in lines[1]


def test_the_gravest_exit_code_is_the_runs(program: Program, rig: ScriptedDynamoDB) -> None:
    throttled(program, rig)
    impatient = program.with_(**SOON)
    rig.faults.add(faults.access_denied(), on="Scan", times=10_000, table="apples")
    done = impatient("sync", *NAMES, "-o", "json", *program.to)
    assert done.code == 2
    assert {name: row["result"] for name, row in results(done).items()} == {
        "apples": "failed",
        BAD: "failed",
        "cherries": "ok",
    }
    assert {line.split(":")[1].strip() for line in done.lines("Error: ")} == {"apples", BAD}


def test_what_is_wrong_for_all_is_said_once(program: Program) -> None:
    done = program.with_(AWS_ACCESS_KEY_ID="", AWS_SECRET_ACCESS_KEY="")(
        "sync", *NAMES, "-o", "json", *program.to
    )
    assert done.code == 2
    (error,) = done.lines("Error: ")
    assert all(name in error for name in NAMES) and "credentials" in error
    assert [row["result"] for row in results(done).values()] == ["failed"] * 3
    assert all("credentials" in row["error"] for row in results(done).values())


@pytest.mark.by_turns("command")
@pytest.mark.parametrize("command", ["sync", "snapshot", "tail", "verify"])
def test_a_file_that_is_held_is_waited_for_once(
    program: Program, rig: ScriptedDynamoDB, command: str
) -> None:
    assert program("sync", *NAMES, *program.to).code == 0
    before = fingerprints(program.folder)
    with duckdb_file.held(program.file):
        done = program.with_(**SOON)(command, *NAMES, "-o", "json", *program.to)
    assert done.code == 4, done.stderr
    (error,) = done.lines("Error: ")
    assert "held by process" in error
    assert [row["result"] for row in results(done).values()] == ["not tried"] * 3
    assert all("held by process" in row["error"] for row in results(done).values())
    assert fingerprints(program.folder) == before


def test_a_file_that_another_process_reads_is_waited_for_once(
    program: Program, rig: ScriptedDynamoDB
) -> None:
    assert program("sync", *NAMES, *program.to).code == 0
    for name in NAMES:
        rig.model(name).put(order("new"))
    with duckdb_file.held(program.file, read_only=True):
        done = program.with_(**SOON)("sync", *NAMES, "-o", "json", "--jobs", "1", *program.to)
    assert done.code == 4, done.stderr
    assert [row["result"] for row in results(done).values()] == ["failed", *["not tried"] * 2]
    (error,) = done.lines("Error: ")
    assert all(name in error for name in NAMES)


@pytest.mark.by_turns("command", at_once=2)
@pytest.mark.parametrize("command", ["sync", "snapshot", "tail", "verify"])
def test_every_command_takes_all_that_are_configured(
    program: Program, rig: ScriptedDynamoDB, command: str
) -> None:
    tables = ", ".join(f"{name}: {{}}" for name in NAMES)
    (program.folder / "connector.yaml").write_text(
        f"destination: {{url: 'duckdb:///{program.file}'}}\ntables: {{{tables}}}\n"
    )
    if command == "verify":
        assert program("sync").code == 0
    done = program(command, "-o", "json")
    assert done.code == 0, done.stderr
    assert {name: row["result"] for name, row in results(done).items()} == dict.fromkeys(
        NAMES, "ok"
    )


@pytest.mark.parametrize("command", ["sync", "snapshot", "tail", "verify"])
def test_no_table_at_all_is_refused(program: Program, command: str) -> None:
    done = program(command, *program.to)
    assert (done.code, done.stdout) == (2, "")
    (error,) = done.lines("Error: ")
    assert f"no table to {command}" in error


@pytest.mark.parametrize("command", ["sync", "snapshot", "tail", "verify"])
def test_one_that_is_not_listed_is_refused_before_any_begins(
    program: Program, rig: ScriptedDynamoDB, command: str
) -> None:
    (program.folder / "connector.yaml").write_text("tables: {apples: {}, cherries: {}}")
    done = program(command, "apples", "cherrys", *program.to)
    assert (done.code, done.stdout) == (2, "")
    assert "cherrys" in done.lines("Error: ")[0] and "cherries" in done.lines("Hint: ")[0]
    assert len(rig.calls) == 0 and not program.file.exists()


def test_a_table_that_is_named_twice_is_synced_once(
    program: Program, rig: ScriptedDynamoDB
) -> None:
    done = program("sync", "apples", "cherries", "apples", "-o", "json", *program.to)
    assert done.code == 0, done.stderr
    assert list(results(done)) == ["apples", "cherries"]
    assert rig.calls.count("Scan", table="apples") == 1


def test_a_name_and_its_arn_are_refused_together(program: Program, rig: ScriptedDynamoDB) -> None:
    arn = rig.model("apples").arn
    done = program("sync", "apples", arn, *program.to)
    assert done.code == 2
    assert "both be written to apples" in done.lines("Error: ")[0]
    assert len(rig.calls) == 0


def test_verify_of_several_is_a_list_of_what_one_is(
    program: Program, rig: ScriptedDynamoDB
) -> None:
    assert program("sync", *NAMES, *program.to).code == 0
    with duckdb_file.opened(program.file) as connection:
        connection.execute(f"DELETE FROM {BAD} WHERE id = '1'")
    done = program("verify", *NAMES, "-o", "json", *program.to)
    assert done.code == 3
    found = results(done)
    alone = json.loads(program("verify", BAD, "-o", "json", *program.to).stdout)
    assert set(found[BAD]) == {*alone, "result", "error"}
    assert found[BAD]["missing"] == {"count": 1, "keys": ['["1"]']}
    assert {name: row["result"] for name, row in found.items()} == {
        "apples": "ok",
        BAD: "failed",
        "cherries": "ok",
    }
    (error,) = done.lines("Error: ")
    assert BAD in error and "differs" in error
    shown = program("verify", *NAMES, *program.to).stdout
    assert 'missing: ["1"]' in shown


def test_verify_of_one_that_was_never_synced_compares_the_others(
    program: Program, rig: ScriptedDynamoDB
) -> None:
    assert program("sync", *GOOD, *program.to).code == 0
    done = program("verify", *NAMES, "-o", "json", *program.to)
    assert done.code == 2
    found = results(done)
    assert [found[name]["result"] for name in NAMES] == ["ok", "failed", "ok"]
    assert found[BAD]["equal"] is None and "never synced" in found[BAD]["error"]


def test_at_most_as_many_as_jobs_go_on_at_once(program: Program, rig: ScriptedDynamoDB) -> None:
    rig.faults.add(faults.delay(0.1), on="Scan", times=100)
    assert program("sync", *NAMES, "--jobs", "1", *program.to).code == 0
    described = [call.table for call in rig.calls.of("DescribeTable")]
    assert [described[0], described[-1]] == ["apples", "cherries"]
    assert described == sorted(described)


def test_ctrl_c_leaves_the_tables_that_it_did_not_come_to_untried(
    program: Program, rig: ScriptedDynamoDB
) -> None:
    # The first table is still at its scan when the signal comes, however busy the machine is.
    rig.faults.add(faults.throttle(), on="Scan", times=10_000)
    process = program.start("sync", *NAMES, "--jobs", "1", "-o", "json", *program.to)
    wait_until(lambda: rig.calls.count("Scan") > 0, process)
    done = ended(process, signal.SIGTERM)
    assert done.code == 130
    found = results(done)
    assert [found[name]["result"] for name in NAMES] == ["failed", "not tried", "not tried"]
    assert len(done.lines("Interrupted: ")) == 1 and done.lines("Error: ") == []
    rig.faults.clear()
    assert program("sync", *NAMES, *program.to).code == 0


def test_scans_take_turns_at_the_workers(program: Program, rig: ScriptedDynamoDB) -> None:
    rig.faults.add(faults.delay(0.05), on="Scan", times=1000)
    options = ("--workers", "2", "--segments", "4")
    done = program("sync", *GOOD, *options, "-o", "json", *program.to)
    assert done.code == 0, done.stderr
    assert {row["rows"] for row in results(done).values()} == {ROWS}
    scanned = [call.table for call in rig.calls.of("Scan")]
    turns = [name for place, name in enumerate(scanned) if place == scanned.index(name)]
    assert scanned == [name for name in turns for _ in range(4)]


def test_a_cap_on_read_units_is_kept_by_all_scans_together(
    program: Program, rig: ScriptedDynamoDB
) -> None:
    capped = program.with_(CONNECTOR_SOURCE__MAX_READ_UNITS="2")
    assert capped("sync", *NAMES, *program.to).code == 0
    first, *_, last = rig.calls.of("Scan")
    # A page of less than 4 KB is one unit: the third is asked for when two are paid.
    assert last.at - first.at >= 1.0


@pytest.mark.by_turns("ending")
@pytest.mark.parametrize("ending", [[], ["--for", "3s"]], ids=["once", "for"])
def test_a_table_that_fails_leaves_the_snapshot_of_another_alone(
    program: Program, rig: ScriptedDynamoDB, ending: list[str]
) -> None:
    stream_off(program, rig)
    rig.faults.add(faults.delay(0.2), on="Scan", times=100, table="cherries")
    done = program("sync", *NAMES, "--segments", "6", *ending, "-o", "json", *program.to)
    assert_only_bad_failed(done, 2, "stream")
    assert rig.calls.count("Scan", table="cherries") == 6
    begun = [line for line in done.stderr.splitlines() if "loaded in commit" in line]
    assert len(begun) == 2


def test_lines_of_progress_name_the_table_that_has_failed(
    program: Program, rig: ScriptedDynamoDB
) -> None:
    stream_off(program, rig)
    done = program("sync", BAD, *GOOD, "--jobs", "1", *program.to)
    (line,) = [line for line in done.stderr.splitlines() if "apples: scanning about" in line]
    assert line.endswith(f"; failed: {BAD}")


def test_a_view_in_the_way_of_one_table_on_postgres(
    postgres: Database, rig: ScriptedDynamoDB, tmp_path: Path
) -> None:
    program = Program(tmp_path, rig.url, database=postgres.url)
    assert program("sync", *NAMES, *program.to).code == 0
    postgres.by_hand(f"CREATE VIEW report AS SELECT n FROM {BAD}")
    rig.model(BAD).put({**key(1), "n": {"S": "a text now"}})
    for name in GOOD:
        rig.model(name).put(order("new"))
    done = program("sync", BAD, *GOOD, "-o", "json", *program.to)
    assert done.code == 2, done.stderr
    found = results(done)
    assert (found[BAD]["result"], found[BAD]["phase"], found[BAD]["rows"]) == (
        "failed",
        "tailing",
        ROWS,
    )
    assert [(found[name]["result"], found[name]["rows"]) for name in GOOD] == [("ok", ROWS + 1)] * 2
    postgres.by_hand("DROP VIEW report")
    assert program("sync", *NAMES, *program.to).code == 0
    assert postgres.by_hand(f"SELECT n #>> '{{}}' FROM {BAD} WHERE id = '1'") == [("a text now",)]


def test_several_tables_on_a_terminal_have_live_lines_of_their_own(
    program: Program, rig: ScriptedDynamoDB
) -> None:
    rig.faults.add(faults.delay(0.3), on="Scan", times=100)
    stream_off(program, rig)
    written = on_a_terminal(program, "sync", *NAMES, code=2)
    frames = [plain(frame) for frame in written.split(b"\x1b[?25l")[1].split(b"\x1b[2K")]
    shown = "".join(frames)
    for name in GOOD:
        assert f"{name} scan" in shown and f"{name} tail" in shown
    assert re.search(rf"{BAD} failed", shown)
    # One display: the cursor is hidden once, and shown again once.
    assert (written.count(b"\x1b[?25l"), written.count(b"\x1b[?25h")) == (1, 1)
    assert "scanning about" not in shown
    lines = plain(written).splitlines()
    for name in GOOD:
        assert len([line for line in lines if f"{name}: {ROWS} items scanned" in line]) == 1
    summary = plain(written[written.rindex(b"\x1b[2K") :]).splitlines()
    for name in NAMES:
        assert any(re.fullmatch(rf"{name} .* (ok|failed) *", line) for line in summary)


@pytest.mark.by_turns("variable")
@pytest.mark.parametrize("variable", [{"NO_COLOR": "1"}, {"TERM": "dumb"}], ids=str)
def test_a_plain_terminal_has_log_lines(
    program: Program, rig: ScriptedDynamoDB, variable: dict[str, str]
) -> None:
    written = on_a_terminal(program, "sync", *NAMES, **variable)
    assert b"\x1b[2K" not in written and b"\x1b[?25l" not in written
    lines = written.decode().splitlines()
    for name in NAMES:
        assert any(f"{name}: scanning about {ROWS} items" in line for line in lines)
    assert any("tailing" in line for line in lines)
