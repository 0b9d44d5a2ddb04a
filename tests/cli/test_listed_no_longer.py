"""Tables that the file lists and that were never synced, and those it lists no longer."""

import json
from typing import Any

import pytest

from tests.pipeline.replica import ORDERS
from tests.rigs import duckdb_file
from tests.rigs.scripted import ScriptedDynamoDB

from .program import Program, fingerprints

# What its tests share is made once, by one process.
pytestmark = pytest.mark.xdist_group("cli_listed")


def listing(program: Program, *tables: str) -> None:
    """A file that lists these tables."""
    entries = ", ".join(f"{table}: {{}}" for table in tables)
    (program.folder / "connector.yaml").write_text(
        f"destination: {{url: 'duckdb:///{program.file}'}}\ntables: {{{entries}}}\n"
    )


def status(program: Program, *arguments: str) -> dict[str, dict[str, Any]]:
    """The rows of status, by table."""
    done = program("status", "-o", "json", *arguments)
    assert done.code == 0, done.stderr
    return {row["table"]: row for row in json.loads(done.stdout)}


def test_status_lists_what_was_never_synced_although_there_is_no_file_yet(
    program: Program,
) -> None:
    (program.folder / "connector.yaml").write_text(
        f"destination: {{url: 'duckdb:///{program.file}'}}\n"
        "tables: {orders: {into: sales}, customers: {}}\n"
    )
    rows = status(program)
    assert list(rows) == ["customers", "orders"]
    told = {"table": ORDERS, "into": "sales", "phase": "never synced", "configured": True}
    assert rows[ORDERS] == dict.fromkeys(rows[ORDERS]) | told
    assert not program.file.exists()
    shown = program("status")
    assert "never synced" in shown.stdout and "connector sync" in shown.stderr


def test_status_marks_what_the_file_lists_no_longer(synced: Program) -> None:
    listing(synced, "customers", "zebras")
    rows = status(synced)
    assert list(rows) == ["customers", ORDERS, "zebras"]
    assert {name: row["configured"] for name, row in rows.items()} == {
        "customers": True,
        ORDERS: False,
        "zebras": True,
    }
    assert rows[ORDERS]["phase"] == "tailing" and rows[ORDERS]["rows"] == 40
    assert set(rows[ORDERS]) == set(rows["zebras"])
    header, *lines = synced("status").stdout.splitlines()
    assert header.split()[-1] == "configured"
    assert [line.split()[-1] for line in lines] == ["yes", "no", "yes"]


def test_without_a_list_nothing_is_missing_in_it(synced: Program) -> None:
    rows = status(synced, *synced.to)
    assert list(rows) == [ORDERS] and "configured" not in rows[ORDERS]


@pytest.mark.parametrize("drop", [[], ["--drop"]])
def test_reset_takes_what_the_file_lists_no_longer(synced: Program, drop: list[str]) -> None:
    listing(synced, "customers")
    done = synced("reset", ORDERS, "--yes", "-o", "json", *drop)
    assert done.code == 0, done.stderr
    assert json.loads(done.stdout) == [{"table": ORDERS, "reset": True, "dropped": bool(drop)}]
    assert list(status(synced)) == ["customers"]
    with duckdb_file.opened(synced.file, read_only=True) as connection:
        tables = connection.execute("SELECT table_name FROM duckdb_tables()").fetchall()
    assert ((ORDERS,) in tables) is (not drop)


@pytest.mark.parametrize(
    ("name", "says", "hint"),
    [
        ("ordrs", "ordrs has no state here", "Did you mean orders?"),
        ("customers", "customers has no state here", "nothing to reset"),
        ("a/b c'", "has no state here", "orders"),
        ("", "has no state here", "orders"),
    ],
)
def test_reset_of_a_name_that_is_wrong_suggests_another(
    synced: Program, name: str, says: str, hint: str
) -> None:
    listing(synced, "customers")
    before = fingerprints(synced.folder)
    done = synced("reset", name, "--yes")
    assert (done.code, done.stdout) == (2, "")
    assert says in done.lines("Error: ")[0]
    assert hint in done.lines("Hint: ")[0]
    assert fingerprints(synced.folder) == before


@pytest.mark.parametrize("command", ["sync", "snapshot", "tail", "verify", "check"])
def test_what_is_listed_no_longer_is_refused_with_the_way_out(
    synced: Program, command: str
) -> None:
    listing(synced, "customers")
    done = synced(command, "customers", ORDERS)
    assert done.code == 2
    # A check has a line for the configuration, too.
    assert bool(done.stdout) == (command == "check")
    assert f"does not list the table {ORDERS}" in done.lines("Error: ")[0]
    (hint,) = done.lines("Hint: ")
    assert "has a state here" in hint and f"`connector reset {ORDERS}`" in hint
    misspelt = synced(command, "custmers")
    assert "Did you mean customers?" in misspelt.lines("Hint: ")[0]


def test_a_table_by_its_name_that_was_synced_by_its_arn_is_refused_clearly(
    synced: Program, rig: ScriptedDynamoDB
) -> None:
    arn = rig.model(ORDERS).arn
    done = synced("sync", arn, *synced.to)
    assert done.code == 2
    assert f"{arn} has its state here under another name, {ORDERS}." in done.lines("Error: ")[0]
    assert f"`connector reset {ORDERS}`" in done.lines("Hint: ")[0]
    assert synced("reset", ORDERS, "--yes", *synced.to).code == 0
    assert synced("sync", arn, *synced.to).code == 0
    listing(synced, ORDERS)
    rows = status(synced)
    assert {name: (row["phase"], row["configured"]) for name, row in rows.items()} == {
        arn: ("tailing", False),
        ORDERS: ("never synced", True),
    }
    assert synced("reset", arn, "--yes").code == 0
    assert synced("sync").code == 0
    assert list(status(synced)) == [ORDERS]


def test_status_shows_the_others_although_one_cannot_be_counted(synced: Program) -> None:
    with duckdb_file.opened(synced.file) as connection:
        connection.execute("DROP TABLE orders")
    listing(synced, "customers", ORDERS)
    done = synced("status", "-o", "json")
    assert done.code == 2
    rows = {row["table"]: row for row in json.loads(done.stdout)}
    assert rows[ORDERS]["phase"] == "tailing" and rows[ORDERS]["rows"] is None
    assert rows["customers"]["phase"] == "never synced"
    assert ORDERS in done.lines("Error: ")[0]
