"""The page on the ways in: its commands print what it shows, and its statements suffice."""

import json
import re
import shlex
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from connector.sources.dynamodb.client import FOR_KINESIS, KINESIS_READ_ONLY, READ_ONLY
from connector.sources.exports.calls import ASKED, STARTED
from tests.cli.program import Program

from .rigs import exports
from .rigs.s3 import ScriptedS3
from .rigs.scripted import Key, KeySchema, RunningClock, ScriptedDynamoDB, global_table

PAGE = (Path(__file__).parent.parent / "docs" / "sources.md").read_text(encoding="utf-8")
SECTIONS = {text.partition("\n")[0]: text for text in PAGE.split("\n## ")[1:]}
ITEMS = [{"id": {"S": str(n)}, "total": {"N": "10.5"}} for n in range(40)]
DEFAULT = "destination: {url: 'duckdb:///warehouse.duckdb'}\ntables: {orders: {}}\n"
GLOBAL = "Global tables and failover"
KINESIS = "Kinesis Data Streams for DynamoDB"
VIEWS = {"Streams without new images": "KEYS_ONLY", "Without a stream": None, KINESIS: None}
S3_ACTIONS = {"s3:GetObject", "s3:ListBucket"}
STARTS = {"s3:PutObject", "s3:AbortMultipartUpload"}
WINDOW, LOST = "01604474917628-b2c3d4e5", "01604474921228-d4e5f6a7"


def blocks(text: str, language: str) -> list[str]:
    """The code blocks of one language in a section."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def plain(line: str) -> str:
    """A line without what differs between two runs: times, numbers and spaces."""
    line = re.sub(r"^\S+ [\d:,]+ (?=[A-Z]+ )", "", line)
    return re.sub(r"\s+", " ", re.sub(r"\d+", "0", line)).strip()


@pytest.fixture
def program(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Program]:
    """The program beside a table of 40 items, and an export of it in the bucket `bucket`."""
    with (
        ScriptedDynamoDB(clock=RunningClock()) as rig,
        ScriptedS3(tmp_path / "s3", bucket="bucket") as s3,
    ):
        rig.clock.advance(hours=-5)
        section = request.node.callspec.params["section"]
        view, schema = VIEWS.get(section, "NEW_AND_OLD_IMAGES"), KeySchema(Key("id"))
        elsewhere = [rig.add_region("ap-southeast-2")] if section == GLOBAL else []
        for name in ("orders", "countries"):
            for table in global_table(name, schema, rig, *elsewhere, view=view).tables.values():
                table.load(ITEMS)
                table.group = table.group if elsewhere else None
        rig.clock.advance(hours=5)
        rig.add_kinesis("orders")
        table = rig.model("orders")
        at = table.clock.datetime().replace(microsecond=0) - timedelta(hours=1)
        root = tmp_path / "s3" / "prefix"
        exports.write(root, table, at, prefix="prefix")
        endpoints = {"AWS_ENDPOINT_URL_S3": s3.url, "AWS_ENDPOINT_URL_KINESIS": rig.url}
        program = Program(tmp_path, rig.url, endpoints)
        if section == "Incremental exports":
            end = at + timedelta(minutes=50)
            exports.write_window(root, table, at, end, prefix="prefix", name=WINDOW)
        if section == "Repair of a gap":
            overslept(program, rig, root)
        yield program


def overslept(program: Program, rig: ScriptedDynamoDB, root: Path) -> None:
    """A table whose stream has lost changes since its sync, and an export of these."""
    assert program("sync", "orders", *program.to).code == 0
    table = rig.model("orders")
    begin = table.clock.datetime().replace(microsecond=0) - timedelta(minutes=20)
    for _ in range(2):
        table.put({"id": {"S": "1"}, "total": {"N": str(len(table.stream.shards))}})
        rig.clock.advance(hours=20)
        table.stream.roll()
    assert program("sync", "orders", *program.to).code == 3
    end = begin + timedelta(hours=24)
    exports.write_window(root, table, begin, end, prefix="prefix", name=LOST)


@pytest.mark.parametrize("section", [each for each in SECTIONS if blocks(SECTIONS[each], "text")])
def test_a_sections_commands_print_what_it_shows(section, program, tmp_path):
    text = SECTIONS[section]
    config = tmp_path / "connector.yaml"
    config.write_text((blocks(text, "yaml") or [DEFAULT])[0])
    printed = ""
    for line in "".join(blocks(text, "sh")).replace("\\\n", "").splitlines():
        if line.startswith("aws "):
            continue
        done = program(*shlex.split(line)[1:])
        assert done.code == 0, (line, done.stdout, done.stderr)
        printed += done.stdout + done.stderr
    lines = {plain(line) for line in printed.splitlines()}
    shown = [plain(line) for part in blocks(text, "text") for line in part.splitlines()]
    assert shown
    assert [line for line in shown if line not in lines] == []


def test_every_statement_is_of_reading_or_of_starting_exports():
    statements = [json.loads(text) for text in blocks(PAGE, "json")]
    calls = READ_ONLY | FOR_KINESIS | ASKED | STARTED
    allowed = {f"dynamodb:{name}" for name in calls} | S3_ACTIONS | STARTS
    allowed |= {f"kinesis:{name}" for name in KINESIS_READ_ONLY}
    asked = {action for each in statements for action in each["Action"]}
    assert asked <= allowed
    assert {each["Effect"] for each in statements} == {"Allow"}


def test_every_way_of_the_table_has_its_section():
    table = SECTIONS["Which way for which need"]
    anchors = re.findall(r"\]\(#([\w-]+)\)", table)
    sections = {each.lower().replace(" ", "-") for each in SECTIONS}
    assert len(anchors) > 3
    assert set(anchors) <= sections
