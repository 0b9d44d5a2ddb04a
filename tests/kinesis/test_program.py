"""The real program with a Kinesis stream: what it says, and how it leaves."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.program import Program
from tests.pipeline.replica import ORDERS, SCHEMA, key, order
from tests.rigs.scripted import RunningClock, ScriptedDynamoDB


@pytest.fixture
def rig() -> Iterator[ScriptedDynamoDB]:
    """A table of orders that has no stream of its own, but one of Kinesis."""
    with ScriptedDynamoDB(clock=RunningClock()) as running:
        table = running.create_table(ORDERS, SCHEMA, view=None)
        table.load(order(n, n) for n in range(40))
        running.add_kinesis(ORDERS, shards=2)
        yield running


@pytest.fixture
def program(rig: ScriptedDynamoDB, tmp_path: Path) -> Program:
    """The program in a folder with a configuration."""
    arn = next(iter(rig.kinesis))
    settings = f"tables: {{{ORDERS}: {{follow: kinesis, kinesis: '{arn}'}}}}\n"
    (tmp_path / "connector.yaml").write_text(settings)
    return Program(tmp_path, rig.url, {"AWS_ENDPOINT_URL_KINESIS": rig.url})


def test_a_table_is_synced_and_followed(rig, program):
    done = program("sync", ORDERS, *program.to)
    assert done.code == 0, done.stderr
    table = rig.model(ORDERS)
    table.put(order(1, 99), order(100, 5))
    table.delete(key(2))
    done = program("sync", ORDERS, *program.to)
    assert done.code == 0, done.stderr
    done = program("verify", ORDERS, *program.to, "-o", "json")
    assert done.code == 0, done.stderr
    assert json.loads(done.stdout)["matching"] == 40
    done = program("status", *program.to, "-o", "json")
    assert done.code == 0, done.stderr
    print(done.stdout)
