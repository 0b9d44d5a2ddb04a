"""Every command: what it prints where, in which form, and which code it leaves with."""

import json
import os
import signal
import sys
from typing import Any

import duckdb
import pytest

from tests.pipeline.replica import ORDERS, key, order
from tests.rigs import duckdb_file
from tests.rigs.scripted import ScriptedDynamoDB

from .program import (
    Done,
    Program,
    assert_one_sentence,
    ended,
    fingerprints,
    wait_until,
)

HEAVY = {
    "boto3",
    "botocore",
    "duckdb",
    "pyarrow",
    "sqlalchemy",
    "msgspec",
    "moto",
    "pydantic",
    "numpy",
    "pandas",
    "airflow",
    "yaml",
}
LIGHT = {"pydantic"}
RUN_KEYS = {
    "table",
    "into",
    "phase",
    "rows",
    "quarantined",
    "consistent_since",
    "written",
    "deleted",
    "newly_quarantined",
    "new_columns",
    "widened_columns",
    "commits",
    "seconds",
    "result",
    "error",
}
STATUS_KEYS = {
    "table",
    "into",
    "region",
    "phase",
    "generation",
    "rows",
    "consistent_since",
    "open_shards",
    "finished_shards",
    "lag_seconds",
    "seconds_to_data_loss",
    "last_commit",
    "committed_at",
    "quarantined",
    "drift",
    "problem",
    "published_at",
    "held_back",
}


def parsed(done: Done) -> Any:
    """The one JSON document that a command that succeeded has printed."""
    assert done.code == 0, done.stderr
    return json.loads(done.stdout)


def rows_of(program: Program, query: str = "SELECT count(*) FROM orders") -> list[tuple[Any, ...]]:
    """The rows of a query, read by DuckDB itself."""
    return duckdb_file.read(program.file, query)


def test_help_and_version_import_nothing_heavy(program: Program) -> None:
    script = (
        "import sys\n"
        "from connector.cli.app import app\n"
        "sys.argv = ['connector', *sys.argv[1:]]\n"
        "try:\n    app()\nexcept SystemExit as end:\n    assert not end.code, end.code\n"
        "print('LOADED', *sys.modules)"
    )
    # Typer itself imports pydantic, which is fast, to read the options of a command.
    for arguments, allowed in (["--help"], set()), (["--version"], set()), (["sync", "-h"], LIGHT):
        done = program(*arguments, command=(sys.executable, "-c", script))
        assert done.code == 0, done.stderr
        printed, _, modules = done.stdout.partition("LOADED ")
        assert printed
        assert set(modules.split()) & HEAVY <= allowed


@pytest.mark.parametrize("output", [">&-", "2>&-", "| true"])
def test_an_answer_that_nobody_reads_is_no_error(program: Program, output: str) -> None:
    run = ("sh", "-c", f'"$@" {output}', "sh", sys.executable, "-m", "connector.cli")
    for arguments in (["--version"], ["sync", "--help"]):
        done = program(*arguments, command=run)
        assert done.code == 0, done.stderr
        assert "Traceback" not in done.stderr


@pytest.mark.parametrize("command", ["sync", "snapshot"])
def test_a_first_run_prints_its_result_on_stdout_and_its_progress_on_stderr(
    program: Program, command: str
) -> None:
    done = program(command, ORDERS, "--output", "json", *program.to)
    (row,) = parsed(done)
    assert set(row) == RUN_KEYS
    assert (row["table"], row["into"], row["phase"], row["rows"]) == (ORDERS, ORDERS, "tailing", 40)
    assert (row["result"], row["error"]) == ("ok", None)
    assert "scanning about 40 items" in done.stderr
    assert rows_of(program) == [(40,)]
    assert oct(program.file.stat().st_mode & 0o777) == "0o600"


def test_quiet_says_nothing_but_the_result(program: Program) -> None:
    done = program("sync", ORDERS, "--quiet", *program.to)
    assert (done.code, done.stderr) == (0, "")
    assert done.stdout.split()[:3] == ["table", "into", "phase"]


def test_tail_brings_changes(synced: Program, rig: ScriptedDynamoDB) -> None:
    rig.model(ORDERS).put(order("tailed", 1))
    (row,) = parsed(synced("tail", ORDERS, "--output", "json", *synced.to))
    assert set(row) == RUN_KEYS
    assert rows_of(synced, "SELECT n FROM orders WHERE id = 'tailed'") == [(1,)]
    rig.model(ORDERS).delete(key("tailed"))
    assert synced("tail", ORDERS, *synced.to).code == 0
    assert rows_of(synced) == [(40,)]


def test_status_before_anything_is_empty_and_makes_no_file(program: Program) -> None:
    done = program("status", "--output", "json", *program.to)
    assert parsed(done) == []
    assert not program.file.exists()
    assert "connector sync" in program("status", *program.to).stderr


def test_status_shows_where_a_table_stands(synced: Program) -> None:
    before = fingerprints(synced.folder)
    (row,) = parsed(synced("status", "--output", "json", *synced.to))
    assert set(row) == STATUS_KEYS
    assert (row["table"], row["phase"], row["rows"]) == (ORDERS, "tailing", 40)
    assert row["problem"] is None
    assert 0 <= row["lag_seconds"] < 86_400 - row["seconds_to_data_loss"] + 1
    assert fingerprints(synced.folder) == before


def test_verify_finds_no_difference(synced: Program) -> None:
    found = parsed(synced("verify", ORDERS, "--output", "json", *synced.to))
    assert found["equal"] is True
    assert found["matching"] == 40
    nothing: dict[str, Any] = {"count": 0, "keys": []}
    for kind in ("missing", "extra", "different", "unsettled"):
        assert found[kind] == nothing


def test_verify_names_each_kind_of_difference_and_leaves_with_3(synced: Program) -> None:
    with duckdb_file.opened(synced.file) as connection:
        connection.execute("DELETE FROM orders WHERE id = '1'")
        connection.execute("UPDATE orders SET n = 99 WHERE id = '2'")
        connection.execute("UPDATE orders SET id = 'made up' WHERE id = '3'")
    done = synced("verify", ORDERS, "--output", "json", *synced.to)
    assert done.code == 3
    found = json.loads(done.stdout)
    assert found["equal"] is False
    assert found["matching"] == 37
    assert found["missing"] == {"count": 2, "keys": ['["1"]', '["3"]']}
    assert found["different"] == {"count": 1, "keys": ['["2"]']}
    assert found["extra"] == {"count": 1, "keys": ['["made up"]']}
    assert len(done.lines("Error: ")) == 1


def test_query_prints_exact_values(synced: Program) -> None:
    sql = (
        "SELECT id, n, CAST('12345678901234567890.12' AS DECIMAL(38, 2)) AS d, "
        "NULL AS nothing, CAST('{\"a\":1}' AS JSON) AS j FROM orders ORDER BY n LIMIT 1"
    )
    done = synced("query", sql, "--output", "json", *synced.to)
    wanted = {"id": "0", "n": 0, "d": 12345678901234567890.12, "nothing": None, "j": {"a": 1}}
    assert parsed(done) == [wanted]
    assert "12345678901234567890.12" in done.stdout


def test_query_writes_nothing(synced: Program) -> None:
    before = fingerprints(synced.folder)
    done = synced("query", "DELETE FROM orders", *synced.to)
    assert fingerprints(synced.folder) == before
    assert_one_sentence(done, 2, "query")


def test_reset_forgets_the_state_and_keeps_the_rows(synced: Program) -> None:
    refused = synced("reset", ORDERS, *synced.to)
    assert refused.code == 2
    assert len(refused.lines("Error: ")) == 1
    (row,) = parsed(synced("reset", ORDERS, "--yes", "--output", "json", *synced.to))
    assert row == {"table": ORDERS, "reset": True, "dropped": False}
    assert rows_of(synced) == [(40,)]
    assert parsed(synced("status", "--output", "json", *synced.to)) == []
    (row,) = parsed(synced("sync", ORDERS, "--output", "json", *synced.to))
    assert row["rows"] == 40


def test_reset_drop_takes_the_rows_too(synced: Program) -> None:
    assert synced("reset", ORDERS, "--yes", "--drop", *synced.to).code == 0
    with pytest.raises(duckdb.CatalogException):
        rows_of(synced)


def test_for_goes_on_that_long_and_ends_with_0(synced: Program, rig: ScriptedDynamoDB) -> None:
    process = synced.start("sync", ORDERS, "--for", "5s", *synced.to)
    wait_until(lambda: rig.calls.count("GetRecords") > 0, process)
    rig.model(ORDERS).put(order("meanwhile", 1))
    done = ended(process)
    assert done.code == 0, done.stderr
    assert rows_of(synced, "SELECT n FROM orders WHERE id = 'meanwhile'") == [(1,)]
    rig.model(ORDERS).delete(key("meanwhile"))


@pytest.mark.parametrize(("command", "asked"), [("sync", signal.SIGTERM), ("tail", signal.SIGINT)])
def test_79_a_run_that_follows_commits_what_it_read_and_leaves_with_130(
    synced: Program, rig: ScriptedDynamoDB, command: str, asked: signal.Signals
) -> None:
    process = synced.start(command, ORDERS, "--follow", *synced.to)
    wait_until(lambda: rig.calls.count("GetRecords") > 3, process)
    rig.model(ORDERS).put(order("last", 7))
    read = rig.calls.count("GetRecords")
    wait_until(lambda: rig.calls.count("GetRecords") > read + 1, process)
    done = ended(process, asked)
    assert done.code == 130
    assert len(done.lines("Interrupted: ")) == 1
    assert "Traceback" not in done.stderr
    assert rows_of(synced, "SELECT n FROM orders WHERE id = 'last'") == [(7,)]
    rig.model(ORDERS).delete(key("last"))


def test_a_scan_in_processes_that_is_asked_to_end_leaves_none_behind(
    program: Program, rig: ScriptedDynamoDB
) -> None:
    options = ("--workers", "2", "--segments", "5")
    slowly = program.with_(CONNECTOR_SOURCE__MAX_READ_UNITS="4")
    process = slowly.start("sync", ORDERS, *options, *program.to)
    wait_until(lambda: rig.calls.count("Scan") > 1, process)
    assert ended(process, signal.SIGTERM).code == 130
    assert_all_gone(process.pid)
    assert program("sync", ORDERS, *program.to).code == 0
    assert rows_of(program) == [(40,)]


def assert_all_gone(group: int) -> None:
    """No process of a group is left, or will be in a moment."""

    def gone() -> bool:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return True
        return False

    wait_until(gone)


def test_a_reader_gets_in_while_a_tail_follows_and_the_tail_goes_on(
    synced: Program, rig: ScriptedDynamoDB
) -> None:
    process = synced.start("tail", ORDERS, "--follow", *synced.to)
    wait_until(lambda: rig.calls.count("GetRecords") > 3, process)
    for n in range(5):
        rig.model(ORDERS).put(order("often", n))
        wait_until(lambda n=n: newest(synced) == n, process)
    done = ended(process, signal.SIGTERM)
    assert done.code == 130, done.stderr
    rig.model(ORDERS).delete(key("often"))


def newest(program: Program) -> int | None:
    """What a reader finds; None where the file is held at this moment."""
    try:
        ((found,),) = rows_of(program, "SELECT max(n) FROM orders WHERE id = 'often'")
    except duckdb.IOException:
        return None
    return int(found) if found is not None else None


def test_a_configuration_file_serves_instead_of_flags(program: Program) -> None:
    (program.folder / "connector.yaml").write_text(
        "destination: {url: duckdb:///here.duckdb}\nspool: spool\ntables: {orders: {into: sales}}\n"
    )
    assert program("sync").code == 0
    with duckdb_file.opened(program.folder / "here.duckdb", read_only=True) as connection:
        assert connection.execute("SELECT count(*) FROM sales").fetchall() == [(40,)]
