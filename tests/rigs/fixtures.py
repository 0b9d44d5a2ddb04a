"""The rigs as fixtures."""

import os
from collections.abc import Iterator

import pytest

from . import dynamodb_local as local
from . import postgres as postgres_rig
from .scripted import ScriptedDynamoDB


@pytest.fixture
def scripted() -> Iterator[ScriptedDynamoDB]:
    """A started scripted server, empty, with a virtual clock."""
    with ScriptedDynamoDB() as rig:
        yield rig


@pytest.fixture(scope="session")
def dynamodb_local() -> Iterator[str]:
    """The address of a DynamoDB Local; skips where there is none, but fails in CI."""
    try:
        with local.started() as url:
            yield url
    except local.Unavailable as reason:
        if os.environ.get("CI"):
            pytest.fail(f"DynamoDB Local: {reason}")
        pytest.skip(f"DynamoDB Local: {reason}")


@pytest.fixture(scope="session")
def postgres_database() -> Iterator[postgres_rig.Database]:
    """A database on a real PostgreSQL, for the whole session."""
    with postgres_rig.server_url() as url, postgres_rig.database(url) as made:
        yield made


@pytest.fixture
def postgres(postgres_database: postgres_rig.Database) -> Iterator[postgres_rig.Database]:
    """An empty database on a real PostgreSQL."""
    yield postgres_database
    postgres_database.clean()
