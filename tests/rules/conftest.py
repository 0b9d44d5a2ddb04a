"""A replica of a fresh scripted table, on each kind of destination."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from connector.core.rules.hash_key import VARIABLE
from tests.pipeline.conftest import aws, rig  # noqa: F401
from tests.pipeline.replica import ORDERS, SCHEMA, Replica
from tests.rigs.scripted import KeySchema, ScriptedDynamoDB

from .oracle import KEY

Made = Callable[..., Replica]


@pytest.fixture
def tmp_path(same_folder: Path) -> Path:
    """An empty folder."""
    return same_folder


@pytest.fixture(autouse=True)
def hash_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """The key of the digests."""
    monkeypatch.setenv(VARIABLE, KEY.decode())


@pytest.fixture(params=["duckdb", "postgres"])
def make(
    request: pytest.FixtureRequest,
    rig: ScriptedDynamoDB,  # noqa: F811
    tmp_path: Path,
) -> Iterator[Made]:
    """Makes an empty table with rules, and a place for it to go."""
    url = ""
    if request.param == "postgres":
        url = request.getfixturevalue("kept_postgres").url

    def made(
        columns: dict[str, Any], name: str = ORDERS, schema: KeySchema = SCHEMA, **table: Any
    ) -> Replica:
        rig.create_table(name, schema)
        replica = Replica(rig, tmp_path, name=name, database=url)
        replica.settings["tables"] = {name: {"columns": columns, **table}}
        return replica

    yield made
