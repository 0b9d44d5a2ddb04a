"""The destinations that must keep the contract."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from connector.config.fields import Section
from connector.destinations import registry
from connector.destinations.duckdb.file import DuckDBDestination
from connector.destinations.postgres import server as destination_module
from connector.destinations.postgres.server import PostgresDestination
from connector.destinations.postgres.session import idle
from connector.ports import Destination
from tests.rigs.postgres import Database, Server, database
from tests.rigs.relay import Relay
from tests.rigs.same_folder import folder_of

from .story import Story

Make = Callable[..., Destination]


def make_of(kind: str, request: pytest.FixtureRequest) -> Make:
    """Makes an empty destination of a kind."""

    made: list[Database] = []

    def duckdb(**options: int) -> Destination:
        factory = request.getfixturevalue("tmp_path_factory")
        folder = folder_of(factory, "destination").emptied()
        return DuckDBDestination(folder / "warehouse.duckdb", lock_timeout=5, **options)

    def postgres(**options: int) -> Destination:
        database: Database = request.getfixturevalue("kept_postgres")
        if made:
            database.clean(with_state=True)
        made.append(database)
        return PostgresDestination(database.parsed, lock_timeout=5, **options)

    def fake() -> Destination:
        url = registry.parse_url(request.getfixturevalue("memory"))
        return registry.open_destination(url, Section(), schema="main", lock_timeout=5)

    return {"fake": fake, "duckdb": duckdb, "postgres": postgres}[kind]


@pytest.fixture
def tmp_path(same_folder: Path) -> Path:
    """An empty folder."""
    return same_folder


@pytest.fixture(params=["fake", "duckdb", "postgres"])
def make(request: pytest.FixtureRequest) -> Make:
    """Makes an empty destination of every kind."""
    return make_of(request.param, request)


@pytest.fixture(params=["duckdb", "postgres"])
def make_real(request: pytest.FixtureRequest) -> Make:
    """Makes an empty destination of every kind but the fake."""
    return make_of(request.param, request)


@pytest.fixture
def destination(make: Make) -> Destination:
    """An empty destination."""
    return make()


@pytest.fixture
def story(destination: Destination) -> Story:
    """A table that is planned."""
    told = Story(destination)
    told.plan()
    return told


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """A server that these tests may stop."""
    started = Server()
    yield started
    started.stop()


@pytest.fixture(scope="session")
def own_database(server: Server) -> Iterator[Database]:
    """A database on it, for the whole session."""
    with database(server.url) as made:
        yield made


@pytest.fixture
def own(own_database: Database) -> Database:
    """An empty database on it, to which nothing is connected."""
    idle.release()
    own_database.clean()
    return own_database


@pytest.fixture
def relay(server: Server) -> Iterator[Relay]:
    with Relay(server.socket) as started:
        yield started


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is tried again."""
    monkeypatch.setattr(destination_module, "AGAIN_SECONDS", 0.0)
