"""Attributes may be called what the SQL calls its tables; equality must not depend on it."""

from pathlib import Path

import duckdb
import pytest

from connector import job
from connector.config.model import Config
from connector.events import quiet
from connector.pipeline.verify import Verdict, verify

from .pipeline.conftest import aws
from .rigs.scripted import Key, KeySchema, RunningClock, ScriptedDynamoDB

__all__ = ["aws"]

ITEM = {"id": {"S": "1"}}
TAKEN = ["s", "t", "d", "o", "n", "c0", "c1", "_connector_staged", "_connector_twice"]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """The DuckDB file."""
    return tmp_path / "warehouse.duckdb"


@pytest.fixture
def config(file: Path, rig: ScriptedDynamoDB, aws: None) -> Config:
    """From the rig's orders into the file."""
    return Config.model_validate(
        {
            "source": {"region": "us-west-2", "endpoint_url": rig.url},
            "destination": {"url": f"duckdb:///{file}"},
            "tail": {"quiet_seconds": 0.06, "poll_seconds": 0.02},
            "tables": {"orders": {}},
        }
    )


@pytest.fixture
def rig():
    """A server whose time passes."""
    with ScriptedDynamoDB(clock=RunningClock()) as started:
        yield started


def sync(config: Config) -> None:
    job.open_run(config, "orders").sync(lambda tail: tail.caught_up())


def verdict(config: Config) -> Verdict:
    run = job.open_run(config, "orders")
    return verify(
        run.pages,
        run.lookup,
        run.destination,
        run.planned(),
        segments=1,
        tail=lambda: sync(config),
        listener=quiet,
    )


def test_a_row_of_the_stream_is_not_loaded_again_whatever_its_attributes_are_called(
    rig, config, file
):
    """Each row has one of the names, and in it a member that a wrong name would compare equal."""
    orders = rig.create_table("orders", KeySchema(Key("id")))
    for name in TAKEN:
        key = {"S": f"row {name}"}
        orders.put({"id": key, name: {"M": {"c0": key, "id": {"S": "x"}}}})
    sync(config)
    with duckdb.connect(file) as connection:
        rows = connection.execute("SELECT id FROM orders ORDER BY id").fetchall()
    assert rows == [(f"row {name}",) for name in sorted(TAKEN)]
    found = verdict(config)
    assert (found.equal, found.matching) == (True, len(TAKEN))


def test_two_rows_of_one_key_are_a_difference(rig, config, file):
    rig.create_table("orders", KeySchema(Key("id"))).put(ITEM)
    sync(config)
    with duckdb.connect(file) as connection:
        connection.execute("INSERT INTO orders FROM orders")
    found = verdict(config)
    assert not found.equal
    assert (found.matching, found.different.count) == (0, 1)
