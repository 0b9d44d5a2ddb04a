"""No value that rules hide is in any byte of what a run leaves behind, wherever it was killed."""

import base64
import json
import logging
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from connector import failpoints
from connector.core.rules.hash_key import VARIABLE
from tests.cli.program import Done, Program, assert_one_sentence
from tests.pipeline.replica import ORDERS, Replica
from tests.rigs.postgres import known
from tests.rigs.scripted import Key, KeySchema, RunningClock, ScriptedDynamoDB, faults

from .oracle import KEY

pytestmark = pytest.mark.by_turns("url")

CANARY = "canary-that-nobody-may-see"
NUMBER = "7345987123987650123498"
BINARY = b"binary canary that nobody may see"
BASE64 = base64.b64encode(BINARY).decode()
INSIDE = [BASE64[4:-8], base64.b64encode(BINARY[1:])[4:-8].decode()]
"""Parts of what it is in base64, wherever it begins."""

FORBIDDEN = [CANARY.encode(), NUMBER.encode(), BINARY, KEY, *map(str.encode, INSIDE)]
SCHEMA = KeySchema(Key("pk"), Key("sk", "N"))

COLUMNS: dict[str, Any] = {
    "pk": {"hash": True},
    "sk": {"hash": True},
    "text": {"hash": True},
    "number": {"hash": True},
    "raw": {"hash": True},
    "set": {"hash": True},
    "tags[]": {"hash": True},
    "map.inner": {"mask": "****"},
    "list[].inner": {"exclude": True},
    "masked": {"mask": "****"},
    "gone": {"exclude": True},
    "mixed": {"hash": True},
}


def place(n: int) -> dict[str, Any]:
    """A key of canaries."""
    return {"pk": {"S": f"{CANARY} {n}"}, "sk": {"N": f"{NUMBER}{n}"}}


def item(n: int, **more: Any) -> dict[str, Any]:
    """An item that is full of canaries, in every place that rules are about."""
    canary = {"S": f"{CANARY} {n}"}
    return {
        **place(n),
        "text": canary,
        "number": {"N": NUMBER},
        "raw": {"B": BASE64},
        "set": {"SS": [CANARY, f"{CANARY} too"]},
        "tags": {"SS": [CANARY]} if n % 2 else {"BS": [BASE64]},
        "map": {"M": {"inner": {"L": [canary, {"B": BASE64}]}, "open": {"N": "1"}}},
        "list": {"L": [{"M": {"inner": canary}}]},
        "masked": {"B": BASE64},
        "gone": {"M": {"x": {"L": [canary, {"N": NUMBER}]}}},
        "mixed": canary if n % 3 else {"N": NUMBER},
        "open": {"S": f"open {n}"},
        **more,
    }


def bad_items() -> list[dict[str, Any]]:
    """Items that cannot be stored, for reasons of every kind."""
    return [
        item(1000, broken={"ZZ": "x"}),
        item(1001, text={"S": f"{CANARY}\ud800"}),
        item(1002, number={"N": f"{NUMBER}x"}),
        item(1003, raw={"B": f"{BASE64}*"}),
        item(1004, text={"S": CANARY, "N": NUMBER}),
        item(1005, broken={"N": "1" * 39}),
        {**item(1006), "map": {"M": [CANARY]}},
    ]


def bad_records(rig: ScriptedDynamoDB) -> None:
    """Records with flaws, full of canaries."""
    stream = rig.model(ORDERS).stream
    for index, changes in enumerate(
        [
            {"eventName": "UNKNOWN"},
            {"NewImage": item(2000, broken={"ZZ": "x"})},
            {"NewImage": item(1)},
            {"NewImage": CANARY},
            {"NewImage": None},
            {"Keys": {"pk": {"N": NUMBER}}},
            {"Keys": CANARY},
            {"SequenceNumber": "none"},
            {"ApproximateCreationDateTime": CANARY},
        ]
    ):
        change = {
            "ApproximateCreationDateTime": stream.clock.now(),
            "Keys": place(3000 + index),
            "NewImage": item(3000 + index),
            "OldImage": item(3000 + index),
            "SequenceNumber": str(stream.numbers.last() + 1),
        }
        record: dict[str, Any] = {"eventID": "x", "eventName": "INSERT"}
        for name, value in changes.items():
            (record if name in record else change)[name] = value
        stream.append({**record, "dynamodb": change})


@pytest.fixture
def source(monkeypatch: pytest.MonkeyPatch) -> Iterator[ScriptedDynamoDB]:
    """A table of canaries whose pages are small, with changes and flaws in its stream."""
    monkeypatch.setattr("tests.rigs.scripted.scan.PAGE_BYTES", 16 * 1024)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_REGION", "us-west-2")
    with ScriptedDynamoDB(clock=RunningClock()) as rig:
        table = rig.create_table(ORDERS, SCHEMA)
        table.load([*(item(n) for n in range(60)), *bad_items()])
        table.put(*(item(n, open={"S": "changed"}) for n in range(40, 80)))
        table.delete(*(place(n) for n in range(5)))
        bad_records(rig)
        yield rig


@pytest.fixture
def program(source: ScriptedDynamoDB, tmp_path: Path) -> Program:
    """The program in an empty folder, at DEBUG."""
    return configured(source, tmp_path)


def configured(rig: ScriptedDynamoDB, folder: Path, url: str = "", **table: Any) -> Program:
    """The program with a file of rules in its folder."""
    settings = {
        "destination": {"url": url or f"duckdb:///{folder}/warehouse.duckdb"},
        "scan": {"segments": 2},
        "spool": str(folder / "spool"),
        "quarantine": {"limit": 100},
        "tables": {ORDERS: {"columns": COLUMNS, **table}},
    }
    (folder / "connector.yaml").write_text(json.dumps(settings))
    environment = {VARIABLE: KEY.decode(), "CONNECTOR_TAIL__BATCH_RECORDS": "20"}
    return Program(folder, rig.url, environment, url)


def assert_silent(folder: Path, *said: Done) -> None:
    """None of the canaries is in a file below the folder, or in what the program said."""
    for file in folder.rglob("*"):
        if file.is_file():
            assert_none(file.read_bytes(), str(file))
    for done in said:
        assert_none(done.stdout.encode(), "standard output")
        assert_none(done.stderr.encode(), "standard error")


def assert_silent_everywhere(folder: Path, url: str, *said: Done) -> None:
    """The same, in the files of the Postgres server as well, if there is one."""
    assert_silent(folder, *said)
    if not url:
        return
    database = known(url)
    database.by_hand("CHECKPOINT")
    (files,) = database.by_hand("SELECT setting FROM pg_settings WHERE name = 'data_directory'")
    assert_silent(Path(str(files[0])))


def assert_none(content: bytes, where: str) -> None:
    """None of the canaries is in some bytes."""
    for canary in FORBIDDEN:
        assert canary not in content, f"{canary!r} is in {where}"


KEPT = {"history": True, "changes": True}


@pytest.fixture(params=["duckdb", "postgres"])
def url(request: pytest.FixtureRequest) -> str:
    """An empty Postgres database; none is a DuckDB file in the test's folder."""
    return request.getfixturevalue("postgres").url if request.param == "postgres" else ""


@pytest.mark.by_turns("url", "point", at_once=5)
@pytest.mark.parametrize("point", failpoints.NAMES)
def test_after_a_kill_no_byte_shows_what_is_hidden(
    source: ScriptedDynamoDB, tmp_path: Path, url: str, point: str
) -> None:
    program = configured(source, tmp_path, url, **KEPT)
    done = program.with_(CONNECTOR_FAILPOINT=point)("sync", ORDERS)
    assert done.code == -signal.SIGKILL, f"{point} was not reached: {done.stderr}"
    assert_silent_everywhere(tmp_path, url, done)
    after = program("sync", ORDERS)
    assert after.code == 0, after.stderr
    assert_silent_everywhere(tmp_path, url, after)


@pytest.mark.by_turns("url", "point")
@pytest.mark.parametrize("point", [None, "load.before_insert", "load.before_commit"])
def test_versions_and_changes_show_nothing_that_is_hidden(
    source: ScriptedDynamoDB, tmp_path: Path, url: str, point: str | None
) -> None:
    program = configured(source, tmp_path, url, **KEPT)
    done = program("sync", ORDERS)
    assert done.code == 0, done.stderr
    table = source.model(ORDERS)
    table.put(*(item(n, open={"S": "later"}, mixed={"N": NUMBER}) for n in range(5, 20)))
    table.put(*(item(n, text={"BOOL": True}) for n in range(5, 20)))
    table.expire(*(place(n) for n in range(20, 25)))
    table.delete(place(25))
    again = program.with_(CONNECTOR_FAILPOINT=point or "")("snapshot", "--full-refresh", "--yes")
    assert again.code == (-signal.SIGKILL if point else 0), again.stderr
    assert_silent_everywhere(tmp_path, url, again)
    said = [
        program("sync", ORDERS),
        program("status", "--output", "json"),
        program("check", "--output", "json"),
        program("query", "SELECT * FROM orders__history", "--output", "json"),
        program("query", "SELECT * FROM orders__changes", "--output", "json"),
    ]
    assert [each.code for each in said] == [0] * 5, [each.stderr for each in said]
    versions, changes = (json.loads(each.stdout) for each in said[3:])
    assert {version["_ended_by"] for version in versions} == {None, "update", "delete", "expiry"}
    assert sum(change["_expired"] for change in changes) == 5
    later = [change for change in changes if "later" in str(change["_before"])]
    assert len(later) == 15
    assert all("****" in str(change["_after"]) for change in later)
    assert_silent_everywhere(tmp_path, url, *said)


def test_no_answer_and_no_log_shows_what_is_hidden(program: Program, tmp_path: Path) -> None:
    said = [
        program(*line)
        for line in (
            ("sync", ORDERS),
            ("status", "--output", "json"),
            ("verify", ORDERS, "--output", "json"),
            ("verify", ORDERS, "--repair"),
            ("query", "SELECT * FROM orders", "--output", "json"),
            ("query", "SELECT * FROM _connector.quarantine", "--output", "json"),
            ("query", "SELECT * FROM _connector.drift", "--output", "json"),
            ("query", "SELECT * FROM _connector.tables", "--output", "json"),
            ("check", "--output", "json"),
            ("snapshot", ORDERS, "--full-refresh", "--yes"),
        )
    ]
    assert [done.code for done in said[:2]] == [0, 0], [done.stderr for done in said[:2]]
    quarantined = json.loads(said[5].stdout)
    assert len(quarantined) >= 15
    assert all(row["reason"] for row in quarantined)
    assert any("withheld" in row["reason"] for row in quarantined)
    # What may be seen is there for whoever is to mend it.
    assert any("open 1000" in row["raw"] for row in quarantined)
    assert_silent(tmp_path, *said)


def test_an_error_shows_nothing_that_is_hidden(source: ScriptedDynamoDB, tmp_path: Path) -> None:
    program = configured(source, tmp_path)
    full = program.with_(CONNECTOR_QUARANTINE__LIMIT="2")("sync", ORDERS)
    assert full.code == 3
    source.faults.add(faults.cut_body(0.9), on="GetRecords", times=10_000)
    cut = program.with_(CONNECTOR_SOURCE__RETRY_SECONDS="0.5")("sync", ORDERS)
    assert cut.code == 4
    assert_silent(tmp_path, full, cut)


def test_postgres_holds_nothing_that_is_hidden(
    source: ScriptedDynamoDB, tmp_path: Path, postgres: Any
) -> None:
    program = configured(source, tmp_path, postgres.url)
    killed = program.with_(CONNECTOR_FAILPOINT="load.before_commit")("sync", ORDERS)
    assert killed.code == -signal.SIGKILL
    done = program("sync", ORDERS)
    assert done.code == 0, done.stderr
    assert_silent_everywhere(tmp_path, postgres.url, killed, done)


def test_the_log_at_debug_shows_nothing_that_is_hidden(
    source: ScriptedDynamoDB,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(VARIABLE, KEY.decode())
    for name in ("botocore", "urllib3", "boto3", "connector"):
        caplog.set_level(logging.DEBUG, name)
    settings: dict[str, object] = {"tables": {ORDERS: {"columns": COLUMNS, **KEPT}}}
    replica = Replica(source, tmp_path, settings=settings)
    source.faults.add(faults.throttle(), on="Scan", times=2)
    state = replica.sync()
    assert state.quarantined
    assert any(record.name.startswith("connector") for record in caplog.records)
    assert_none(caplog.text.encode(), "the log")
    run = replica.run()
    for shown in (state, state.spec, run.config, run.encoder(state), run.hash_key, run):
        assert_none(repr(shown).encode(), f"the form of a {type(shown).__name__}")


def test_check_says_what_rules_need(source: ScriptedDynamoDB, tmp_path: Path) -> None:
    program = configured(source, tmp_path)
    lines = [json.loads(program("check", "--output", "json").stdout)]
    lines.append(json.loads(program.with_(**{VARIABLE: ""})("check", "--output", "json").stdout))
    good, bad = ([line for line in each if line["check"] == "rules"] for each in lines)
    assert [line["ok"] for line in good + bad] == [True, False]
    assert VARIABLE in bad[0]["detail"]
    assert "openssl rand" in bad[0]["fix"]


def test_without_the_key_nothing_is_read_and_the_code_is_2(
    source: ScriptedDynamoDB, tmp_path: Path
) -> None:
    program = configured(source, tmp_path).with_(**{VARIABLE: ""})
    for command in ("sync", "snapshot", "tail"):
        done = program(command, ORDERS)
        assert_one_sentence(done, 2, VARIABLE)
    assert source.calls.count("Scan") == 0
    assert source.calls.count("GetRecords") == 0
