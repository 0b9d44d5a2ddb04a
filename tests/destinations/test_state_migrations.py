"""A state that version 0.1.0 wrote: read as it is, and migrated by the first step that writes."""

import gzip
import os
import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from connector import failpoints
from connector.core.cursors import Cursor
from connector.core.spec import Deletes
from connector.core.state import STATE_VERSION, Phase
from connector.destinations.duckdb.file import DuckDBDestination
from connector.destinations.postgres.server import PostgresDestination
from connector.destinations.state.migrations import STEPS
from connector.destinations.state.tables import all_tables, columns_of, names_of
from connector.errors import StateRefused
from connector.ports import Destination
from tests.cli.program import ALONE, MODULE
from tests.rigs import duckdb_file
from tests.rigs.postgres import Database
from tests.rigs.ready import ready

from .items import A2, A, B, C
from .story import Story, delete, put

pytestmark = pytest.mark.by_turns("old")

FIXTURES = Path(__file__).parent.parent / "fixtures"
VERSION = "SELECT state_version FROM _connector.tables ORDER BY table_name"
TABLES = "SELECT table_name FROM information_schema.tables WHERE table_schema = '_connector'"


@dataclass
class Old:
    """What 0.1.0 left: `orders` follows its stream, `users` (into `people`) is being scanned."""

    open: Callable[..., Destination]
    sql: Callable[[str], list[tuple[Any, ...]]]
    url: str

    def orders(self) -> Story:
        """The story of `orders`, to go on with."""
        story = Story(self.open(), deletes=Deletes.SOFT, plan_id="plan-1", generation=1)
        story.sequence, story.cursor = 3, Cursor("3")
        return story

    def users(self) -> Story:
        """The story of `users`, to go on with."""
        story = Story(
            self.open(), table="users", target="people", plan_id="plan-users", generation=1
        )
        story.sequence, story.cursor = 3, Cursor("3")
        return story

    def versions(self) -> list[int]:
        """The versions that the rows of the state have."""
        return [version for (version,) in self.sql(VERSION)]


def old_duckdb(folder: Path) -> Old:
    """A file that 0.1.0 wrote."""
    path = folder / "warehouse.duckdb"
    path.write_bytes(gzip.decompress((FIXTURES / "state-0.1.0.duckdb.gz").read_bytes()))

    def sql(text: str) -> list[tuple[Any, ...]]:
        with duckdb_file.opened(path) as connection:
            return connection.execute(text).fetchall()

    return Old(lambda: DuckDBDestination(path, lock_timeout=5), sql, f"duckdb:///{path}")


def old_postgres(database: Database) -> Old:
    """A database that 0.1.0 wrote, from its dump."""
    dump = (FIXTURES / "state-0.1.0.sql").read_text()
    database.by_hand(*filter(str.strip, dump.split(";\n")), "SELECT 1")
    return Old(
        lambda: PostgresDestination(database.parsed, lock_timeout=5),
        database.by_hand,
        database.url,
    )


@pytest.fixture(params=["duckdb", "postgres"])
def old(request: pytest.FixtureRequest, tmp_path: Path) -> Old:
    """What 0.1.0 left in each database."""
    if request.param == "duckdb":
        return old_duckdb(tmp_path)
    return old_postgres(request.getfixturevalue("postgres"))


def as_version(old: Old, version: int) -> None:
    """The state as a version after 0.1.0 had it: without what came later."""
    old.open().note("users", None)
    for table in all_tables():
        if table.name not in names_of(version):
            old.sql(f"DROP TABLE _connector.{table.name}")
            continue
        for column in {*table.columns} - {*columns_of(table, version)}:
            old.sql(f'ALTER TABLE _connector.{table.name} DROP COLUMN "{column.name}"')
    old.sql(f"UPDATE _connector.tables SET state_version = {version}")
    old.sql(f"DELETE FROM _connector.migrations WHERE version > {version}")
    assert {name for (name,) in old.sql(TABLES)} == names_of(version)


@pytest.mark.parametrize("version", range(2, STATE_VERSION))
def test_a_state_of_any_version_between_is_read_and_migrated(old: Old, version: int) -> None:
    as_version(old, version)
    state = old.open().read("orders")
    assert state and state.generation == 1
    old.orders().tail(put(A2))
    assert old.versions() == [STATE_VERSION] * 2
    steps = [(each,) for each in range(2, STATE_VERSION + 1)]
    assert old.sql("SELECT version FROM _connector.migrations ORDER BY 1") == steps


def test_a_state_without_drift_has_none_and_gets_its_table(old: Old) -> None:
    as_version(old, 2)
    destination = old.open()
    state = destination.read("orders")
    assert state and state.drift == 0
    assert old.versions() == [2, 2]
    odd = {"id": {"S": "odd"}, "n": {"S": "n/a"}, "new": {"S": "x"}}
    committed = old.orders().tail(put(odd))
    assert [(each.column, each.key) for each in committed.drift] == [
        ("n", '["odd"]'),
        ("new", '["odd"]'),
    ]
    assert old.versions() == [STATE_VERSION] * 2
    assert old.sql('SELECT key FROM _connector.drift WHERE "at" IS NOT NULL') == [('["odd"]',)] * 2


def test_an_old_state_tells_what_grows_from_now_on(old: Old) -> None:
    state = old.open().read("orders")
    assert state and state.drift == 0
    committed = old.orders().tail(put({"id": {"S": "odd"}, "n": {"S": "n/a"}}))
    assert [each.column for each in committed.drift] == ["n"]
    # The scan of the other table is its first.
    users = old.users()
    loaded = users.load(users.page({"id": {"S": "d"}, "fresh": {"S": "x"}}))
    assert not loaded.drift
    assert old.sql("SELECT count(*) FROM _connector.drift") == [(1,)]


def test_every_version_has_a_step_that_leads_to_it() -> None:
    assert list(STEPS) == list(range(2, STATE_VERSION + 1))


def test_an_older_state_is_read_as_it_is(old: Old) -> None:
    destination = old.open()
    assert destination.tables() == ["orders", "users"]
    orders, users = destination.read("orders"), destination.read("users")
    assert orders and users
    assert (orders.phase, orders.commit, orders.quarantined) == (Phase.TAILING, 4, 1)
    assert (users.phase, users.target, users.commit) == (Phase.LOADING, "people", 2)
    # `_deleted` has another column here, and keeps it.
    assert orders.columns["_deleted"].name == "_deleted_8693a0b133"
    assert destination.count("orders") == 2
    old.orders().shows(
        A2,
        {
            **C,
            "Note": {"S": "x"},
            "note": {"S": "y"},
            "_version": {"N": "1"},
            "_deleted": {"BOOL": True},
        },
    )
    assert destination.query("SELECT count(*) AS n FROM people").to_pylist() == [{"n": 2}]
    assert old.versions() == [1, 1]
    assert {name for (name,) in old.sql(TABLES)} == names_of(1)


@pytest.mark.parametrize("step", ["commit", "load", "plan", "note", "reset"])
def test_the_first_step_that_writes_migrates_it(old: Old, step: str) -> None:
    users = old.users()
    steps: dict[str, Callable[[], object]] = {
        "commit": lambda: users.tail(put(A2)),
        "load": lambda: users.load(users.page(B, C)),
        "plan": users.refresh,
        "note": lambda: users.destination.note("users", "why"),
        "reset": lambda: users.destination.reset("users", drop=False),
    }
    steps[step]()
    assert set(old.versions()) == {STATE_VERSION}
    assert old.sql("SELECT max(version) FROM _connector.migrations") == [(STATE_VERSION,)]
    assert {name for (name,) in old.sql(TABLES)} == names_of(STATE_VERSION)
    # The other table goes on where it stood.
    old.orders().tail(put(B))
    assert old.orders().destination.count("orders") == 3


def test_a_scan_that_0_1_0_began_is_loaded_with_what_its_stream_said(old: Old) -> None:
    users = old.users()
    # The stream has put a and b and deleted c since the plan.
    users.load(users.page(A2, C, {"id": {"S": "d"}, "n": {"N": "9"}}))
    users.shows(A, B, {"id": {"S": "d"}, "n": {"N": "9"}})
    users.tail(delete(A), put(C))
    users.shows(B, C, {"id": {"S": "d"}, "n": {"N": "9"}})


def test_a_check_tries_the_migration_and_keeps_nothing_of_it(old: Old) -> None:
    assert not any(need.error for need in old.open().check())
    assert old.versions() == [1, 1]
    assert {name for (name,) in old.sql(TABLES)} == names_of(1)


def test_an_older_state_without_tables_is_migrated_as_well(old: Old) -> None:
    old.sql("DELETE FROM _connector.tables")
    story = Story(old.open(), target="anew")
    story.plan()
    story.tail(put(A))
    story.shows(A)
    assert old.versions() == [STATE_VERSION]


def test_a_newer_state_is_refused_also_where_no_table_says_so(old: Old) -> None:
    old.open().note("users", None)
    old.sql("DELETE FROM _connector.tables")
    old.sql(f"INSERT INTO _connector.migrations VALUES ({STATE_VERSION + 1}, NULL)")
    for use in (old.open().tables, Story(old.open()).plan):
        with pytest.raises(StateRefused, match=f"version {STATE_VERSION + 1}"):
            use()


@pytest.mark.parametrize("point", failpoints.MIGRATION_NAMES)
def test_a_crash_leaves_the_older_state_or_the_newer(old: Old, point: str) -> None:
    assert reset(old, point) == -signal.SIGKILL
    migrated = point.endswith("after_commit")
    assert old.versions() == ([STATE_VERSION] * 2 if migrated else [1, 1])
    assert reset(old) == 0
    assert old.versions() == [STATE_VERSION]
    assert old.open().count("orders") == 2


def reset(old: Old, failpoint: str = "") -> int:
    """The exit code of `connector reset users`, killed at a place."""
    arguments = ["reset", "users", "--yes", "--to", old.url]
    environment = os.environ | {failpoints.VARIABLE: failpoint}
    return ready(MODULE).run(ALONE, arguments, Path(), environment).code


def test_an_older_state_that_lacks_a_table_is_refused(old: Old) -> None:
    old.sql("DROP TABLE _connector.tombstones")
    with pytest.raises(StateRefused, match="lacks tombstones"):
        old.open().read("orders")


def test_two_runs_that_start_at_once_migrate_it_once(old: Old) -> None:
    orders, users = old.orders(), old.users()
    with ThreadPoolExecutor(2) as threads:
        both = [threads.submit(orders.tail, put(B)), threads.submit(users.tail, put(C))]
    assert [each.result().written for each in both] == [1, 1]
    assert old.versions() == [STATE_VERSION] * 2
    assert old.sql("SELECT count(*) FROM _connector.migrations") == [(len(STEPS),)]
