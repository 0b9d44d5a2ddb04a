"""The real program against ministack, an emulator that nobody here wrote."""

import json
import random
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.cli.program import Program, assert_one_sentence
from tests.rigs.kinesis_subject import KinesisSubject, created_stream
from tests.rigs.scripted import connect

pytestmark = pytest.mark.by_turns("on_each")

NAMES = [f"k{n}" for n in range(12)]
WRITES = 150


@pytest.fixture
def subject(ministack: str) -> Iterator[KinesisSubject]:
    """A table that sends its changes to a Kinesis stream."""
    dynamodb, kinesis = connect(ministack), connect(ministack, "kinesis")
    yield created_stream(dynamodb, kinesis)
    dynamodb.close()
    kinesis.close()


@pytest.fixture
def program(subject: KinesisSubject, ministack: str, tmp_path: Path) -> Program:
    """The program in a folder with a configuration; it writes to a file."""
    configure(tmp_path, {subject.table: {"follow": "kinesis", "kinesis": subject.stream}})
    return Program(tmp_path, ministack, {"AWS_ENDPOINT_URL_KINESIS": ministack})


@pytest.fixture(params=["duckdb", "postgres"])
def on_each(request: pytest.FixtureRequest, program: Program) -> Program:
    """The same for each kind of destination."""
    if request.param == "postgres":
        return replace(program, database=request.getfixturevalue("kept_postgres").url)
    return program


def configure(folder: Path, tables: dict[str, Any]) -> None:
    """Says how tables are kept."""
    (folder / "connector.yaml").write_text(json.dumps({"tables": tables}))


def write(subject: KinesisSubject, dice: random.Random) -> None:
    """One put or delete of a few items; many of one item fall into the same second."""
    name = dice.choice(NAMES)
    if dice.random() < 0.3:
        subject.delete(name)
    else:
        subject.put(name, dice.randrange(1000))


def assert_synced(program: Program, table: str) -> None:
    done = program("sync", table, *program.to)
    assert done.code == 0, done.stderr


def assert_equal(program: Program, table: str, source: Any) -> None:
    """What the program says of the table, and that nothing was set aside."""
    done = program("verify", table, *program.to, "-o", "json")
    assert done.code == 0, done.stderr
    assert json.loads(done.stdout)["matching"] == source.scan(TableName=table)["Count"]
    done = program("status", *program.to, "-o", "json")
    assert json.loads(done.stdout)[0]["quarantined"] == 0


def test_a_table_is_followed_by_its_kinesis_stream(subject, on_each):
    program, dice = on_each, random.Random(7)
    for n, name in enumerate(NAMES):
        subject.put(name, n)
    assert_synced(program, subject.table)
    meanwhile = threading.Thread(target=lambda: [write(subject, dice) for _ in range(WRITES)])
    meanwhile.start()
    assert_synced(program, subject.table)
    meanwhile.join()
    subject.delete(NAMES[0])
    subject.put(NAMES[0], 5)
    subject.put(NAMES[1], 6)
    subject.delete(NAMES[1])
    assert_synced(program, subject.table)
    assert_equal(program, subject.table, subject.dynamodb)


def test_a_stream_of_two_tables_is_refused(subject, program):
    other = created_stream(subject.dynamodb, subject.kinesis)
    subject.put("a", 1)
    assert_synced(program, subject.table)
    subject.dynamodb.enable_kinesis_streaming_destination(
        TableName=other.table, StreamArn=subject.stream
    )
    other.put("b", 1)
    done = program("sync", subject.table, *program.to)
    assert_one_sentence(done, 3, "another Region or account")


def test_a_table_is_followed_by_its_dynamodb_stream(ministack, subject, program, tmp_path):
    dice = random.Random(8)
    configure(tmp_path, {subject.table: {}})
    subject.dynamodb.update_table(
        TableName=subject.table,
        StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
    )
    for _ in range(3):
        for _ in range(20):
            write(subject, dice)
        assert_synced(program, subject.table)
    assert_equal(program, subject.table, subject.dynamodb)
