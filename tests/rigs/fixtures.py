"""The rigs as fixtures."""

import os
from collections.abc import Iterator

import pytest

from . import dynamodb_local as local
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
