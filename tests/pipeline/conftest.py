"""A replica of a fresh scripted table, in real time."""

import functools
from collections.abc import Iterator
from pathlib import Path

import botocore.session
import pytest

from tests.rigs.scripted import RunningClock, ScriptedDynamoDB

from .replica import ORDERS, SCHEMA, Replica

_create_loader = functools.cache(botocore.session.create_loader)


@pytest.fixture
def tmp_path(same_folder: Path) -> Path:
    """An empty folder."""
    return same_folder


@pytest.fixture(autouse=True, scope="module")
def aws() -> Iterator[None]:
    """Credentials that no real service knows, and service models that are read only once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ACCESS_KEY_ID", "test")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "test")
        patch.setenv("AWS_REGION", "us-west-2")
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        patch.setattr(botocore.session, "create_loader", _create_loader)
        yield


@pytest.fixture
def rig() -> Iterator[ScriptedDynamoDB]:
    """A scripted server whose clock runs."""
    with ScriptedDynamoDB(clock=RunningClock()) as running:
        yield running


@pytest.fixture
def replica(rig: ScriptedDynamoDB, tmp_path: Path) -> Replica:
    """An empty table of orders, and the file it goes to."""
    rig.create_table(ORDERS, SCHEMA)
    return Replica(rig, tmp_path)
