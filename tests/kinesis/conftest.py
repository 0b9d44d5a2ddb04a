"""One scripted server for all of these tests, in virtual time."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.rigs.scripted import ScriptedDynamoDB
from tests.stream.world import world

from .replica import Followed


@pytest.fixture
def tmp_path(same_folder: Path) -> Path:
    """An empty folder."""
    return same_folder


@pytest.fixture(scope="session")
def server() -> Iterator[ScriptedDynamoDB]:
    """A scripted server with a virtual clock."""
    with ScriptedDynamoDB() as running:
        yield running


@pytest.fixture
def virtual(server: ScriptedDynamoDB) -> Iterator[ScriptedDynamoDB]:
    """The server as new, and the program in its time."""
    with world(server) as ready:
        yield ready


@pytest.fixture
def replica(virtual: ScriptedDynamoDB, tmp_path: Path) -> Followed:
    """An empty table with one shard, and its replica in a DuckDB file."""
    return Followed(virtual, folder=tmp_path)


@pytest.fixture(params=["memory", "duckdb", "postgres"])
def each(request: pytest.FixtureRequest, virtual: ScriptedDynamoDB, tmp_path: Path) -> Followed:
    """The same in each kind of destination."""
    if request.param == "memory":
        return Followed(virtual)
    database = request.getfixturevalue("kept_postgres") if request.param == "postgres" else None
    return Followed(virtual, folder=tmp_path, postgres=database)
