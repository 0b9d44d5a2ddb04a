"""A destination that refuses one table: the others go on, `status` says it, and it is mended."""

import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest

from tests.pipeline.replica import key, order
from tests.rigs import duckdb_file
from tests.rigs.postgres import Database
from tests.rigs.scripted import ScriptedDynamoDB

from .many import BAD, GOOD, NAMES, ROWS, results, three_tables
from .program import Program, ended, wait_until

# What its tests share is made once, by one process.
pytestmark = [
    pytest.mark.xdist_group("cli_refused"),
    # The contract suites show of each database what it does here.
    pytest.mark.by_turns("warehouse"),
]

WIDER = {**key(1), "n": {"S": "a text now"}}


@pytest.fixture
def rig() -> Iterator[ScriptedDynamoDB]:
    """Three tables, which each test has for itself."""
    with three_tables() as running:
        yield running


@pytest.fixture(autouse=True)
def no_faults() -> None:
    """Each test has a rig of its own."""


class Warehouse:
    """A destination with something in the way of the bad table's column."""

    def __init__(self, program: Program, database: Database | None) -> None:
        self.program = program
        self.database = database
        self.names = "the view bi.report" if database else "the index main.report"

    def by_hand(self, *statements: str) -> list[tuple[Any, ...]]:
        """What somebody else does."""
        if self.database:
            return self.database.by_hand(*statements)
        with duckdb_file.opened(self.program.file) as connection:
            for statement in statements[:-1]:
                connection.execute(statement)
            return connection.execute(statements[-1]).fetchall()

    def block(self) -> None:
        """Puts it there."""
        if self.database:
            self.by_hand("CREATE SCHEMA bi", f"CREATE VIEW bi.report AS SELECT n FROM {BAD}")
        else:
            self.by_hand(f"CREATE INDEX report ON {BAD} (n)")

    def free(self) -> None:
        """Takes it away; a run that follows holds the file whenever it tries again."""
        wait_until(self._freed)

    def _freed(self) -> bool:
        try:
            self.by_hand("DROP VIEW bi.report" if self.database else "DROP INDEX report")
        except duckdb.IOException:
            return False
        return True

    def says(self, *arguments: str) -> Any:
        """One run on this destination."""
        return self.program(*arguments, *self.program.to)

    def problem(self) -> str | None:
        """What `status` has in JSON; its exit code agrees."""
        done = self.says("status", "-o", "json")
        found = {row["table"]: row["problem"] for row in json.loads(done.stdout)}
        assert all(found[name] is None for name in GOOD)
        assert done.code == (3 if found[BAD] else 0), done.stderr
        assert found[BAD] is None or f"{BAD}: needs a person." in done.stderr
        text: str | None = found[BAD]
        return text

    def refused(self, error: str) -> None:
        """The table, the column and what is in the way; no value."""
        for name in (f".{BAD} ", "column n ", self.names):
            assert name in error, error
        assert "a text now" not in error

    def widened(self) -> bool:
        """Whether the change has arrived."""
        sql = f"SELECT count(*) FROM {BAD} WHERE CAST(n AS VARCHAR) LIKE '%text%'"
        (row,) = self.by_hand(sql)
        return bool(row == (1,))


@pytest.fixture(params=["file", "server"])
def warehouse(request: pytest.FixtureRequest, rig: ScriptedDynamoDB, tmp_path: Path) -> Warehouse:
    """Three synced tables, one of which cannot be widened."""
    database = request.getfixturevalue("postgres") if request.param == "server" else None
    program = Program(tmp_path, rig.url, database=database.url if database else "")
    made = Warehouse(program, database)
    assert made.says("sync", *NAMES).code == 0
    made.block()
    return made


def change(rig: ScriptedDynamoDB) -> None:
    """A wider value for the bad table, and a new row for the others."""
    rig.model(BAD).put(WIDER)
    for name in GOOD:
        rig.model(name).put(order("new"))


@pytest.mark.by_turns("warehouse", "command")
@pytest.mark.parametrize("command", ["sync", "tail"])
def test_it_is_named_noted_and_mended(
    warehouse: Warehouse, rig: ScriptedDynamoDB, command: str
) -> None:
    change(rig)
    done = warehouse.says(command, *NAMES, "-o", "json")
    assert done.code == 2, done.stderr
    found = results(done)
    assert found[BAD]["result"] == "failed"
    warehouse.refused(found[BAD]["error"])
    assert [(found[name]["result"], found[name]["rows"]) for name in GOOD] == [("ok", ROWS + 1)] * 2
    assert len(done.lines("Error: ")) == len(done.lines("Hint: ")) == 1
    assert "nexpected" not in done.stderr
    problem = warehouse.problem()
    assert problem and problem.startswith("DestinationRefused: ")
    warehouse.refused(problem)
    # Alone it is the same, and stays noted.
    alone = warehouse.says(command, BAD)
    assert alone.code == 2
    warehouse.refused(alone.stderr)
    assert warehouse.problem() == problem
    rig.model(BAD).put(order("later"))
    warehouse.free()
    done = warehouse.says(command, *NAMES)
    assert done.code == 0, done.stderr
    assert warehouse.problem() is None
    assert warehouse.widened()
    assert warehouse.by_hand(f"SELECT count(*) FROM {BAD}") == [(ROWS + 1,)]


def test_a_run_that_follows_goes_on_once_it_is_mended(
    warehouse: Warehouse, rig: ScriptedDynamoDB
) -> None:
    seldom = warehouse.program.with_(CONNECTOR_TAIL__IDLE_POLL_SECONDS="0.5")
    process = seldom.start("sync", *NAMES, "--follow", *seldom.to)
    try:
        change(rig)
        wait_until(lambda: warehouse.problem() is not None, process)
        warehouse.free()
        wait_until(lambda: warehouse.problem() is None, process)
    finally:
        done = ended(process, signal.SIGTERM)
    assert done.code == 130, done.stderr
    assert warehouse.names in done.stderr
    assert warehouse.widened()


def test_a_full_refresh_is_refused_and_loads_what_it_has_scanned_later(
    warehouse: Warehouse, rig: ScriptedDynamoDB
) -> None:
    # No record of the stream brings it, so only the scan can.
    rig.model(BAD).load([{**WIDER, **key("loaded")}])
    done = warehouse.says("snapshot", *NAMES, "--full-refresh", "--yes", "-o", "json")
    assert done.code == 2, done.stderr
    found = results(done)
    warehouse.refused(found[BAD]["error"])
    assert [found[name]["result"] for name in GOOD] == ["ok", "ok"]
    problem = warehouse.problem()
    assert problem
    warehouse.refused(problem)
    assert warehouse.by_hand(f"SELECT count(*) FROM {BAD}") == [(ROWS,)]
    scans = rig.calls.count("Scan")
    warehouse.free()
    done = warehouse.says("snapshot", BAD)
    assert done.code == 0, done.stderr
    assert rig.calls.count("Scan") == scans
    assert warehouse.problem() is None
    assert warehouse.widened()


def test_a_table_that_has_its_snapshot_keeps_its_problem(
    warehouse: Warehouse, rig: ScriptedDynamoDB
) -> None:
    change(rig)
    assert warehouse.says("sync", BAD).code == 2
    assert warehouse.says("snapshot", BAD).code == 0
    assert warehouse.problem()


def test_a_reset_that_is_refused_changes_nothing(
    postgres: Database, rig: ScriptedDynamoDB, tmp_path: Path
) -> None:
    made = Warehouse(Program(tmp_path, rig.url, database=postgres.url), postgres)
    assert made.says("sync", *NAMES).code == 0
    made.block()
    done = made.says("reset", BAD, "--drop", "--yes")
    assert done.code == 2
    assert made.names in done.stderr and f"table public.{BAD} cannot be dropped" in done.stderr
    assert made.problem() is None
    made.free()
    assert made.says("reset", BAD, "--drop", "--yes").code == 0


# What passes is another thing in each.
@pytest.mark.by_turns()
def test_what_passes_by_itself_is_no_problem(warehouse: Warehouse, rig: ScriptedDynamoDB) -> None:
    warehouse.free()
    change(rig)
    hasty = warehouse.program.with_(CONNECTOR_DESTINATION__LOCK_TIMEOUT="1")
    if warehouse.database:
        with warehouse.database._connect() as other, other.cursor() as cursor:
            other.adbc_connection.set_autocommit(False)
            cursor.execute(f"LOCK TABLE {BAD} IN ACCESS EXCLUSIVE MODE")
            done = hasty("tail", BAD, *hasty.to)
            other.rollback()
    else:
        with duckdb.connect(str(warehouse.program.file)):
            done = hasty("tail", BAD, *hasty.to)
    assert done.code == 4, done.stderr
    assert warehouse.problem() is None
    assert warehouse.says("tail", *NAMES).code == 0
    assert warehouse.widened()
