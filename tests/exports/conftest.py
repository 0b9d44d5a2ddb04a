"""A server for a replica; and a table without a server, whose exports go to a folder."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.rigs.scripted import Key, KeySchema, RunningClock, ScriptedDynamoDB, Table

SCHEMA = KeySchema(Key("id"))


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ScriptedDynamoDB]:
    """A server, and credentials for it in the environment."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_REGION", "us-west-2")
    with ScriptedDynamoDB(clock=RunningClock()) as running:
        yield running


@pytest.fixture
def tmp_path(same_folder: Path) -> Path:
    """An empty folder."""
    return same_folder


@pytest.fixture
def table() -> Table:
    """An empty table; no server runs."""
    return ScriptedDynamoDB().create_table("orders", SCHEMA)
