"""Runs killed at random moments while a writer never rests: the last run leaves no difference.

KILL_ROUNDS=30 runs more rounds than the few of every test run, on a larger and busier table.
"""

import contextlib
import json
import os
import random
import signal
import subprocess
import time
from collections import Counter
from pathlib import Path
from typing import Any

import duckdb
import pytest

from tests.cli.program import COMMAND, Program, ended
from tests.rigs import duckdb_file
from tests.rigs.combinations import amount
from tests.rigs.postgres import known
from tests.rigs.scripted import connect

from .writer import Writer, fill

pytestmark = pytest.mark.by_turns("destination")

TABLE = "orders"
MANY = os.environ.get("KILL_ROUNDS")
ROUNDS = int(MANY or amount(3, by_turns=2))
ITEMS, WRITES_PER_SECOND, READ_UNITS = (3_000, 200, "600") if MANY else (800, 60, "200")
SCANS_SLOWLY = {"CONNECTOR_SOURCE__MAX_READ_UNITS": READ_UNITS}
LONGEST_LIFE = 5.0 if MANY else 3.0
START_SECONDS = 0.8
"""What the program takes to start on a machine that has nothing else to do."""


@pytest.fixture
def source(dynamodb_local: str) -> Any:
    """A client of DynamoDB Local with a full table that streams."""
    client: Any = connect(dynamodb_local)
    client.create_table(
        TableName=TABLE,
        KeySchema=[
            {"AttributeName": "pk", "KeyType": "HASH"},
            {"AttributeName": "sk", "KeyType": "RANGE"},
        ],
        AttributeDefinitions=[
            {"AttributeName": "pk", "AttributeType": "S"},
            {"AttributeName": "sk", "AttributeType": "N"},
        ],
        BillingMode="PAY_PER_REQUEST",
        StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
    )
    fill(client, TABLE, ITEMS, random.Random(0))
    yield client
    client.delete_table(TableName=TABLE)
    client.close()


def arguments(dice: random.Random) -> list[str]:
    """One of the ways to run: first or again, once or for ever, in a thread or in processes."""
    workers = ["--workers", "2", "--segments", "5"] if dice.random() < 0.4 else []
    if dice.random() < 0.4:
        return ["snapshot", TABLE, "--full-refresh", "--yes", *workers]
    return ["sync", TABLE, *dice.choice([[], ["--follow"], ["--for", "2s"]]), *workers]


def killed(process: subprocess.Popen[str], life: float) -> bool:
    """Kills a run and all its workers after so many seconds; false where it had ended itself."""
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(life)
    # Workers that outlived their parent are in its process group, too.
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    done = ended(process)
    assert done.code in (0, -signal.SIGKILL), done.stderr
    assert "Traceback" not in done.stderr
    return done.code != 0


def slowness(program: Program) -> float:
    """How many times slower this machine is, so that kills hit scans and tails too."""
    began = time.monotonic()
    program("status", *program.to, command=COMMAND)
    return min(4.0, max(1.0, (time.monotonic() - began) / START_SECONDS))


def moment(program: Program, died: bool) -> str:
    """What the run was doing when it was killed, as far as it can be seen from outside."""
    if not died:
        return "had ended"
    phases: list[Any] = []
    if program.database:
        (there,) = known(program.database).by_hand(
            "SELECT to_regclass('_connector.tables') IS NOT NULL"
        )
        phases = rows_of(program, "SELECT phase FROM _connector.tables") if there[0] else []
    elif program.file.exists():
        with contextlib.suppress(duckdb.CatalogException):
            phases = rows_of(program, "SELECT phase FROM _connector.tables")
    if not phases:
        return "before the plan"
    return {"loading": "scan or load", "tailing": "tail"}[phases[0][0]]


def rows_of(program: Program, sql: str) -> list[Any]:
    """The rows of a query, read by the database itself."""
    if program.database:
        return known(program.database).by_hand(sql)
    with duckdb_file.opened(program.file) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        return connection.execute(sql).fetchall()


@pytest.mark.parametrize("destination", ["duckdb", "postgres"])
def test_runs_killed_at_random_moments_leave_no_difference(
    source: Any,
    dynamodb_local: str,
    tmp_path: Path,
    destination: str,
    request: pytest.FixtureRequest,
) -> None:
    dice = random.Random(20)
    url = request.getfixturevalue("postgres").url if destination == "postgres" else ""
    program = Program(tmp_path, dynamodb_local, SCANS_SLOWLY, url)
    moments: Counter[str] = Counter()
    slower = slowness(program)
    with Writer(source, TABLE, ITEMS, WRITES_PER_SECOND, seed=1) as writer:
        for _ in range(ROUNDS):
            process = program.start_from_nothing(*arguments(dice), *program.to)
            died = killed(process, dice.uniform(0.5, LONGEST_LIFE) * slower)
            moments[moment(program, died)] += 1
            time.sleep(0.05)
    print(f"{writer.written} writes; killed in: {dict(moments)}")
    last = program.with_(CONNECTOR_SOURCE__MAX_READ_UNITS="")
    synced = last("sync", TABLE, *program.to)
    assert synced.code == 0, synced.stderr
    verified = last("verify", TABLE, "--output", "json", *program.to)
    assert verified.code == 0, verified.stderr + verified.stdout
    found = json.loads(verified.stdout)
    there = [item for page in pages(source) for item in page["Items"]]
    assert found["matching"] == len(there)
    assert_same_numbers(there, program)


def pages(source: Any) -> list[dict[str, Any]]:
    """Every page of the table."""
    paginator = source.get_paginator("scan")
    return list(paginator.paginate(TableName=TABLE, ConsistentRead=True))


def assert_same_numbers(items: list[dict[str, Any]], program: Program) -> None:
    """Keys and texts compared without any code of the program."""
    rows = rows_of(program, "SELECT pk, sk, text, flag, raw FROM orders")
    wanted = [
        (
            item["pk"]["S"],
            int(item["sk"]["N"]),
            item.get("text", {}).get("S"),
            item.get("flag", {}).get("BOOL"),
            item.get("raw", {}).get("B"),
        )
        for item in items
    ]
    assert sorted(rows, key=repr) == sorted(wanted, key=repr)
