"""The real program with a Kinesis stream: what it says, and how it leaves."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.program import Program, assert_one_sentence
from tests.cli.test_terminal import on_a_terminal, plain
from tests.pipeline.replica import ORDERS, SCHEMA, key, order
from tests.rigs.scripted import RunningClock, ScriptedDynamoDB, faults


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
    (status,) = json.loads(done.stdout)
    assert status["seconds_to_data_loss"] > 86_000


def test_a_check_tries_each_permission_and_asks_for_microseconds(rig, program):
    done = program("check", ORDERS, *program.to, "-o", "json")
    assert done.code == 0, done.stderr
    lines = {each["check"]: each for each in json.loads(done.stdout)}
    assert lines["DescribeKinesisStreamingDestination"]["detail"].endswith("microseconds")
    assert "needed for verify" not in lines["BatchGetItem"]["detail"]
    assert "keeps records for 24 h" in lines["DescribeStreamSummary"]["detail"]
    next(iter(rig.kinesis.values())).precision = "MILLISECOND"
    done = program("check", ORDERS, *program.to, "-o", "json")
    lines = {each["check"]: each for each in json.loads(done.stdout)}
    found = lines["DescribeKinesisStreamingDestination"]
    assert found["ok"] is True
    assert "update-kinesis-streaming-destination" in found["detail"]


@pytest.mark.parametrize(
    ("on", "action"),
    [
        ("DescribeStreamSummary", "kinesis:DescribeStreamSummary"),
        ("ListShards", "kinesis:ListShards"),
        ("GetShardIterator", "kinesis:GetShardIterator"),
        ("GetRecords", "kinesis:GetRecords"),
        ("DescribeKinesisStreamingDestination", "dynamodb:DescribeKinesisStreamingDestination"),
    ],
)
def test_a_missing_permission_is_named(rig, program, on, action):
    rig.faults.add(faults.error("AccessDeniedException", "no"), on=on, times=10**6)
    done = program("check", ORDERS, *program.to, "-o", "json")
    assert done.code == 2
    lines = {each["check"]: each for each in json.loads(done.stdout)}
    assert lines[on]["ok"] is False
    assert action in lines[on]["detail"]
    done = program("sync", ORDERS, *program.to)
    assert_one_sentence(done, 2, action)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ("follow: kinesis", "follow is kinesis, but kinesis does not name a stream"),
        ("follow: kinesis, kinesis: orders", "not the ARN of a Kinesis data stream"),
        (
            "follow: kinesis, kinesis: 'arn:aws:dynamodb:us-west-2:000000000000:table/orders'",
            "not the ARN of a Kinesis data stream",
        ),
        (
            "follow: kinesis, kinesis: 'arn:aws:kinesis:eu-west-1:000000000000:stream/orders'",
            "a stream in eu-west-1",
        ),
        (
            "follow: kinesis, kinesis: 'arn:aws:kinesis:us-west-2:000000000000:stream/others'",
            "does not send its changes",
        ),
    ],
)
def test_a_wrong_setting_is_one_sentence(rig, program, tmp_path, settings, says):
    (tmp_path / "connector.yaml").write_text(f"tables: {{{ORDERS}: {{{settings}}}}}\n")
    done = program("sync", ORDERS, *program.to)
    assert_one_sentence(done, 2, says)
    assert rig.calls.count("Scan") == 0


def test_a_long_name_of_a_need_is_folded_on_a_terminal(program):
    shown = plain(on_a_terminal(program, "check", ORDERS, COLUMNS="80")).splitlines()
    assert shown[0].split() == ["table", "check", "ok", "detail"]
    assert max(map(len, shown)) <= 80
    place = slice(shown[0].index("check"), shown[0].index("ok"))
    checks = "".join(line[place].strip() for line in shown)
    assert "DescribeKinesisStreamingDestinationDescribeStreamSummary" in checks


def test_another_way_to_follow_needs_a_full_refresh(rig, program, tmp_path):
    done = program("sync", ORDERS, *program.to)
    assert done.code == 0, done.stderr
    rig.model(ORDERS).enable_stream()
    (tmp_path / "connector.yaml").write_text(f"tables: {{{ORDERS}: {{}}}}\n")
    done = program("sync", ORDERS, *program.to)
    assert_one_sentence(done, 2, "follow is now stream and was kinesis")
    done = program("snapshot", ORDERS, "--full-refresh", *program.to)
    assert done.code == 0, done.stderr


def test_what_a_stream_has_lost_is_only_read_whole(rig, program):
    assert program("sync", ORDERS, *program.to).code == 0
    rig.clock.advance(hours=30)
    rig.model(ORDERS).put(order(1, 9))
    for command in ("sync", "repair"):
        done = program(command, ORDERS, *program.to)
        assert_one_sentence(done, 3, "may have been trimmed before they were read")
        (hint,) = done.lines("Hint: ")
        assert f"`connector snapshot {ORDERS} --full-refresh`" in hint
        assert "repair" not in hint
    assert program("snapshot", ORDERS, "--full-refresh", *program.to).code == 0
    assert program("verify", ORDERS, *program.to).code == 0


@pytest.mark.parametrize("there", [True, False])
def test_another_stream_than_before_is_told_and_nothing_is_read_of_it(rig, program, there):
    assert program("sync", ORDERS, *program.to).code == 0
    arn = next(iter(rig.kinesis))
    if there:
        rig.create_table("users", SCHEMA, view=None)
        rig.add_kinesis("users")
    other = next((each for each in rig.kinesis if each != arn), f"{arn}2")
    text = (program.folder / "connector.yaml").read_text()
    (program.folder / "connector.yaml").write_text(text.replace(arn, other))
    done = program("sync", ORDERS, *program.to)
    assert_one_sentence(done, 3, f"tables.{ORDERS}.kinesis is now {other} and was {arn}")
    (hint,) = done.lines("Hint: ")
    assert hint.startswith("Hint: Set it back, or")
    assert f"`connector snapshot {ORDERS} --full-refresh`" in hint
    (program.folder / "connector.yaml").write_text(text)
    assert program("sync", ORDERS, *program.to).code == 0
    assert program("status", *program.to).code == 0
