"""A global table in two Regions behind one address."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.pipeline.replica import order
from tests.rigs.scripted import RunningClock, ScriptedDynamoDB

from .world import EAST, WEST, World, world


@pytest.fixture
def tmp_path(same_folder: Path) -> Path:
    """An empty folder."""
    return same_folder


@pytest.fixture
def rig(monkeypatch: pytest.MonkeyPatch) -> Iterator[ScriptedDynamoDB]:
    """A scripted server with two Regions."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with ScriptedDynamoDB(clock=RunningClock(), region=WEST) as running:
        running.add_region(EAST)
        # Numbers of one Region say nothing about those of another: these are higher by far.
        running.numbers.jump_to(10**22)
        yield running


@pytest.fixture(params=["duckdb", "postgres"])
def there(request: pytest.FixtureRequest, rig: ScriptedDynamoDB, tmp_path: Path) -> World:
    """A global table of forty orders, and its replica in each kind of database."""
    database = request.getfixturevalue("kept_postgres").url if request.param == "postgres" else ""
    return filled(world(rig, tmp_path, database))


@pytest.fixture
def files(rig: ScriptedDynamoDB, tmp_path: Path) -> World:
    """The same, in a DuckDB file alone: for what the kind of database does not change."""
    return filled(world(rig, tmp_path))


def filled(made: World) -> World:
    """Forty orders in both Regions, of which no stream knows any more."""
    for table in made.group.tables.values():
        table.load(order(n, n) for n in range(40))
    return made
