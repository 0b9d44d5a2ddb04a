"""The rigs as fixtures."""

from collections.abc import Iterator

import pytest

from .scripted import ScriptedDynamoDB


@pytest.fixture
def scripted() -> Iterator[ScriptedDynamoDB]:
    """A started scripted server, empty, with a virtual clock."""
    with ScriptedDynamoDB() as rig:
        yield rig
