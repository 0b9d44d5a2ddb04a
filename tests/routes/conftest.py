"""A scripted table whose items go to several targets, in either database."""

from pathlib import Path

import pytest

from tests.history.conftest import rig, url  # noqa: F401
from tests.pipeline.conftest import aws  # noqa: F401
from tests.rigs.scripted import ScriptedDynamoDB

from .routed import KEYS, NAME, ROUTES, Routed


@pytest.fixture
def replica(
    rig: ScriptedDynamoDB,  # noqa: F811
    tmp_path: Path,
    url: str,  # noqa: F811
) -> Routed:
    """An empty table, and the targets that it is divided among."""
    rig.create_table(NAME, KEYS)
    return Routed.of(rig, tmp_path, url, ROUTES)
