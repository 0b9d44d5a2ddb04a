"""A kind of database that nothing knows but the registry."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from connector import job
from connector.core.needs import Wanted
from connector.destinations import registry
from connector.errors import ConfigError
from tests.destinations.fake import FakeDestination
from tests.rigs.scripted import ScriptedDynamoDB
from tests.stream.memory import items

from .replica import ORDERS, SCHEMA, Replica, change, key, order

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def replica(rig: ScriptedDynamoDB, memory: str, tmp_path: Path) -> Replica:
    """Old orders and new ones, on their way to it."""
    table = rig.create_table(ORDERS, SCHEMA)
    table.load(order(n, -1) for n in range(30))
    table.put(*(order(n, n) for n in range(20)))
    return Replica(rig, tmp_path, settings={"spool": str(tmp_path / "spool")}, database=memory)


def numbers(replica: Replica) -> dict[str, int]:
    """The orders' numbers by id, as they stand in the table."""
    destination = job.open_destination(replica.config())
    assert isinstance(destination, FakeDestination)
    found = items(destination, ORDERS, marked=False)
    assert destination.count(ORDERS) == len(found)
    return {json.loads(item["id"]): int(item["n"]) for item in found}


def test_every_way_to_move_rows_is_the_same_for_it(replica: Replica) -> None:
    replica.sync()
    assert numbers(replica) == replica.truth()
    change(replica)
    replica.sync()
    assert numbers(replica) == replica.truth()
    assert replica.verdict().equal
    replica.model.delete(*(key(n) for n in range(20)))
    replica.run().snapshot(full_refresh=True, yes=True)
    replica.sync()
    assert numbers(replica) == replica.truth()
    assert replica.verdict().equal
    assert replica.state().generation == 2


def test_what_a_run_needs_of_it_is_tried(replica: Replica) -> None:
    destination = job.open_destination(replica.config())
    for tables in ([], [ORDERS]):
        needs = list(destination.check([Wanted(ORDERS, ORDERS)]))
        assert {need.error for need in needs} == {None}
        assert destination.tables() == tables
        replica.sync()


def test_a_url_that_is_of_no_kind_is_told_of_it(memory: str) -> None:
    with pytest.raises(ConfigError) as caught:
        registry.parse_url("elsewhere:")
    assert caught.value.message.endswith("duckdb:///, postgresql:// or memory:.")
    assert caught.value.hint.endswith("or memory:here.")


PROGRAM = """
import json
import sys
from dataclasses import replace

from pydantic import Field

from connector.config.fields import Section
from connector.destinations import registry
from tests.destinations.fake import MEMORY


class Keys(Section):
    shelf: str | None = Field(default=None, description="Where it lies.")


registry.BACKENDS = (*registry.BACKENDS, replace(MEMORY, keys=Keys))

from connector.cli import app

for line in json.loads(sys.argv[1]):
    assert app.run(line) == 0, line
"""


def test_its_keys_are_keys_of_the_configuration(replica: Replica) -> None:
    file = replica.folder / "connector.yaml"
    file.write_text(f"""
        source: {{endpoint_url: "{replica.rig.url}"}}
        destination: {{url: "memory:here", shelf: top}}
        spool: {replica.folder / "spool"}
        tail: {{quiet_seconds: 0.06, poll_seconds: 0.02, idle_poll_seconds: 0.05}}
        tables: {{{ORDERS}: {{}}}}
    """)
    lines = [[name, "--config", str(file)] for name in ("sync", "verify", "status")]
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, json.dumps(lines)],
        cwd=REPOSITORY,
        check=True,
        text=True,
        stdout=subprocess.PIPE,
    )
    assert done.stdout.count("30") >= len(lines)
