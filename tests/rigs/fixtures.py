"""The rigs as fixtures."""

from collections.abc import Iterator
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from connector.destinations import registry

from . import dynamodb_local as local
from . import ministack as another
from .emulator import Unavailable
from .scripted import ScriptedDynamoDB

if TYPE_CHECKING:
    from .postgres import Database


@pytest.fixture
def memory(monkeypatch: pytest.MonkeyPatch) -> str:
    """The url of an empty database of a third kind, which the registry has for this test."""
    from tests.destinations.fake import MEMORY

    monkeypatch.setattr(registry, "BACKENDS", (*registry.BACKENDS, MEMORY))
    return f"{MEMORY.begins}{uuid4()}"


@pytest.fixture
def scripted() -> Iterator[ScriptedDynamoDB]:
    """A started scripted server, empty, with a virtual clock."""
    with ScriptedDynamoDB() as rig:
        yield rig


@pytest.fixture(scope="session")
def dynamodb_local() -> Iterator[str]:
    """The address of a DynamoDB Local; skips where there is none."""
    try:
        with local.started() as url:
            yield url
    except Unavailable as reason:
        pytest.skip(f"DynamoDB Local: {reason}")


@pytest.fixture(scope="session")
def ministack() -> Iterator[str]:
    """The address of a ministack; skips where there is none."""
    try:
        with another.started() as url:
            yield url
    except Unavailable as reason:
        pytest.skip(f"ministack: {reason}")


@pytest.fixture(scope="session")
def postgres_database() -> "Iterator[Database]":
    """A database on a real PostgreSQL, for the whole session."""
    # Tests that need no Postgres run without its driver.
    from .postgres import database, server_url

    with server_url() as url, database(url) as made:
        yield made


@pytest.fixture
def postgres(postgres_database: "Database") -> "Database":
    """An empty database on a real PostgreSQL, to which nothing is connected."""
    from connector.destinations.postgres.session import idle

    idle.release()
    postgres_database.clean()
    return postgres_database


@pytest.fixture
def kept_postgres(postgres_database: "Database") -> "Database":
    """A database on a real PostgreSQL where a state is made, and nothing was ever planned.

    For tests of what becomes of tables; how the state is made, and who may, is for `postgres`.
    """
    postgres_database.clean(with_state=True)
    return postgres_database
