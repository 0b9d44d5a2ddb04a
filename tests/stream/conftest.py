"""One scripted server for all of these tests, set back to its morning for each."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.rigs.scripted import ScriptedDynamoDB
from tests.rigs.scripted.scenario import Create

from .replica import Replica
from .world import world


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
def rig(server: ScriptedDynamoDB) -> Iterator[ScriptedDynamoDB]:
    """The server as new, and the program in its time."""
    with world(server) as ready:
        yield ready


@pytest.fixture
def replica(rig: ScriptedDynamoDB) -> Replica:
    """An empty table with one open shard, and its replica in memory."""
    Create().play(made := Replica(rig))
    return made


@pytest.fixture
def stored(rig: ScriptedDynamoDB, tmp_path: Path) -> Replica:
    """An empty table with one open shard, and its replica in a DuckDB file."""
    Create().play(made := Replica(rig, folder=tmp_path))
    return made


@pytest.fixture
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """GetRecords answers of one record."""
    monkeypatch.setattr("tests.rigs.scripted.reading.MAX_BYTES", 1)
