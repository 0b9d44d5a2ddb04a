"""A replica of a scripted table that keeps its history and its changes, in either database."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.pipeline.conftest import aws  # noqa: F401
from tests.pipeline.replica import ORDERS, SCHEMA, Replica
from tests.rigs.postgres import Database
from tests.rigs.scripted import RunningClock, ScriptedDynamoDB

BOTH = {f"tables.{ORDERS}.history": True, f"tables.{ORDERS}.changes": True}


@pytest.fixture
def tmp_path(same_folder: Path) -> Path:
    """An empty folder."""
    return same_folder


@pytest.fixture
def rig() -> Iterator[ScriptedDynamoDB]:
    """A scripted server whose clock runs."""
    with ScriptedDynamoDB(clock=RunningClock()) as running:
        yield running


@pytest.fixture(params=["duckdb", "postgres"])
def url(request: pytest.FixtureRequest) -> str:
    """An empty database; none is a DuckDB file."""
    if request.param == "duckdb":
        return ""
    database: Database = request.getfixturevalue("kept_postgres")
    return database.url


@pytest.fixture
def replica(rig: ScriptedDynamoDB, tmp_path: Path, url: str) -> Replica:
    """An empty table of orders, and what it is replicated to."""
    rig.create_table(ORDERS, SCHEMA)
    spool = str(tmp_path / "spool")
    return Replica(rig, tmp_path, settings={**BOTH, "spool": spool}, database=url)
