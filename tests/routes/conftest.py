"""A scripted table whose items go to several targets, in either database."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.pipeline.conftest import aws  # noqa: F401
from tests.rigs.postgres import Database
from tests.rigs.scripted import RunningClock, ScriptedDynamoDB

from .routed import KEYS, NAME, ROUTES, Routed


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
    database: Database = request.getfixturevalue("postgres")
    return database.url


@pytest.fixture
def replica(rig: ScriptedDynamoDB, tmp_path: Path, url: str) -> Routed:
    """An empty table, and the targets that it is divided among."""
    rig.create_table(NAME, KEYS)
    return Routed.of(rig, tmp_path, url, ROUTES)
