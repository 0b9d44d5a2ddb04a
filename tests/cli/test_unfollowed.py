"""What the commands do and say for a table with `follow: none`."""

import json
from collections.abc import Iterator

import pytest

from tests.pipeline.replica import ORDERS, SCHEMA, key, order
from tests.rigs.scripted import RunningClock, ScriptedDynamoDB, faults

from .program import Program

pytestmark = pytest.mark.xdist_group("cli_unfollowed")


@pytest.fixture
def rig() -> Iterator[ScriptedDynamoDB]:
    """A server of this test's own."""
    with ScriptedDynamoDB(clock=RunningClock()) as running:
        yield running


@pytest.fixture
def program(rig: ScriptedDynamoDB, tmp_path) -> Program:
    """Orders without a stream and users with one, and a configuration that says so."""
    rig.create_table(ORDERS, SCHEMA, view=None).put(*(order(n) for n in range(5)))
    rig.create_table("users", SCHEMA).put(order("u"))
    made = Program(tmp_path, rig.url)
    (tmp_path / "connector.yaml").write_text(
        f"destination: {{url: duckdb:///{made.file}}}\n"
        "tables:\n  orders: {follow: none}\n  users: {}\n"
    )
    return made


def test_sync_status_and_verify(program: Program, rig: ScriptedDynamoDB) -> None:
    done = program("sync", ORDERS, "--output", "json")
    assert done.code == 0, done.stderr
    (row,) = json.loads(done.stdout)
    assert (row["phase"], row["rows"], row["consistent_since"]) == ("loaded", 5, None)
    listed = json.loads(program("status", "--output", "json").stdout)
    (status,) = [row for row in listed if row["table"] == ORDERS]
    assert status["phase"] == "loaded"
    silent = ("lag_seconds", "seconds_to_data_loss", "open_shards", "finished_shards")
    assert [status[name] for name in silent] == [None] * 4
    assert program("verify", ORDERS).code == 0
    rig.model(ORDERS).put(order("later", 1))
    differs = program("verify", ORDERS, "--output", "json")
    assert differs.code == 3
    assert json.loads(differs.stdout)["missing"] == {"count": 1, "keys": ['["later"]']}
    assert program("sync", ORDERS).code == 0
    assert program("verify", ORDERS).code == 0
    assert rig.calls.count("DescribeStream") == 0


def test_a_monitor_hears_how_long_ago_it_was_read(program: Program) -> None:
    assert program("sync").code == 0
    assert program("status", "--max-lag", "1h").code == 0
    late = program("status", "--max-lag", "1ms")
    assert late.code == 3
    assert "orders: was last read" in late.stderr


def test_tail_refuses_it(program: Program, rig: ScriptedDynamoDB) -> None:
    done = program("tail", ORDERS)
    assert done.code == 2
    assert done.lines("Error: ") == [
        "Error: The changes of orders are not followed: tables.orders.follow is none."
    ]
    assert len(done.lines("Hint: ")) == 1
    # The others of the run are followed.
    both = program("tail", "--output", "json")
    assert both.code == 2
    results = {row["table"]: row["result"] for row in json.loads(both.stdout)}
    assert results == {ORDERS: "failed", "users": "ok"}


@pytest.mark.parametrize("flags", [["--follow"], ["--for", "1s"]])
def test_a_run_that_goes_on_refuses_it(program: Program, rig, flags: list[str]) -> None:
    done = program("sync", ORDERS, *flags)
    assert done.code == 2
    assert "cannot be kept up to date by one run" in done.stderr
    assert "without --follow and --for" in done.stderr
    assert rig.calls.count("Scan") == 0


def test_others_of_a_run_that_goes_on_are_followed(program: Program) -> None:
    done = program("sync", "--for", "1s", "--output", "json")
    assert done.code == 2
    results = {row["table"]: row["result"] for row in json.loads(done.stdout)}
    assert results == {ORDERS: "failed", "users": "ok"}


def test_check_asks_for_no_stream(program: Program, rig: ScriptedDynamoDB) -> None:
    for action in ("DescribeStream", "GetShardIterator", "GetRecords"):
        rig.faults.add(faults.access_denied(), on=action, times=99)
    done = program("check", ORDERS, "--output", "json")
    assert done.code == 0, done.stdout
    checks = [row["check"] for row in json.loads(done.stdout) if row["table"] == ORDERS]
    assert checks == ["DescribeTable", "table status", "Scan", "BatchGetItem", "destination table"]


def test_to_follow_it_again_is_refused_in_one_sentence(program: Program) -> None:
    assert program("sync", ORDERS).code == 0
    changed = (program.folder / "connector.yaml").read_text().replace("none", "stream")
    (program.folder / "connector.yaml").write_text(changed)
    refused = program("sync", ORDERS)
    assert refused.code == 2
    # There is no stream to read it with, which is said first by whoever looks.
    assert len(refused.lines("Error: ")) == 1
    assert "follow is now stream and was none" in refused.stderr


@pytest.mark.parametrize(
    ("key_", "value", "says"),
    [
        ("follow", "kafka", "must be 'stream', 'kinesis', 'exports' or 'none'"),
        ("follow", "None", "must be 'stream', 'kinesis', 'exports' or 'none'"),
        ("follow", "false", "must be 'stream', 'kinesis', 'exports' or 'none'"),
        ("follow", "[stream]", "must be 'stream', 'kinesis', 'exports' or 'none'"),
        ("snapshot", "stream", "must be 'scan'"),
        ("snapshot", "none", "must be 'scan'"),
        ("follows", "none", "is not a known key"),
    ],
)
def test_other_values_are_refused(program: Program, key_: str, value: str, says: str) -> None:
    (program.folder / "connector.yaml").write_text(
        f"destination: {{url: duckdb:///{program.file}}}\ntables:\n  orders: {{{key_}: {value}}}\n"
    )
    done = program("sync", ORDERS)
    assert done.code == 2
    (error,) = done.lines("Error: ")
    assert f"tables.orders.{key_}" in error
    assert says in error


def test_a_table_that_lost_most_of_its_items(program: Program, rig: ScriptedDynamoDB) -> None:
    assert program("sync", ORDERS).code == 0
    rig.model(ORDERS).delete(*(key(n) for n in range(4)))
    done = program("sync", ORDERS)
    assert done.code == 3
    assert "connector snapshot orders --yes" in done.stderr
    assert program("snapshot", ORDERS, "--yes").code == 0
    assert program("verify", ORDERS).code == 0
