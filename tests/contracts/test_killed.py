"""A table with a contract after a crash, in a scan, in a load and in a commit."""

import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cli.program import Program, assert_one_sentence
from tests.pipeline.replica import ORDERS, SCHEMA, Replica, key
from tests.rigs.scripted import RunningClock, ScriptedDynamoDB

pytestmark = pytest.mark.by_turns("destination")

POLICIES = ("evolve", "freeze", "quarantine", "fail")
POINTS = ("scan.after_page", "spool.after_rename", "load.before_commit", "commit.after_merge")
COLUMNS = {
    "at": {"type": "timestamp", "required": True},
    "total": {"type": "decimal(8,2)"},
    "id_": {"type": "uuid"},
}
CANARY = "c4n4ry"


def item(n: int, fits: bool = True) -> dict[str, Any]:
    """An item that fits or does not."""
    return {
        **key(n),
        "at": {"S": f"2024-05-06T07:08:{n % 60:02}Z" if fits else CANARY},
        "total": {"N": f"{n}.5"},
        "id_": {"S": f"a0eebc99-9c0b-4ef8-bb6d-{n:012}"},
        "gift": {"BOOL": True},
    }


def fits(n: int) -> bool:
    """Whether an item of the source does."""
    return n % 7 > 0


@pytest.fixture
def source(monkeypatch: pytest.MonkeyPatch) -> Iterator[ScriptedDynamoDB]:
    """A table of small pages, with changes in its stream."""
    monkeypatch.setattr("tests.rigs.scripted.scan.PAGE_BYTES", 4 * 1024)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_REGION", "us-west-2")
    with ScriptedDynamoDB(clock=RunningClock()) as rig:
        rig.create_table(ORDERS, SCHEMA)
        yield rig


def filled(rig: ScriptedDynamoDB, policy: str) -> None:
    """Items of which some do not fit, unless that would stop the table."""
    table, all_fit = rig.model(ORDERS), policy == "fail"
    table.load(item(n, all_fit or fits(n)) for n in range(60))
    table.put(*(item(n, all_fit or fits(n + 1)) for n in range(20, 80)))
    table.delete(*(key(n) for n in range(5)))


def configured(rig: ScriptedDynamoDB, folder: Path, policy: str, url: str) -> Program:
    """The program with a file of a contract in its folder."""
    settings = {
        "destination": {"url": url or f"duckdb:///{folder}/warehouse.duckdb"},
        "scan": {"segments": 2},
        "spool": str(folder / "spool"),
        "tables": {ORDERS: {"columns": COLUMNS, "contract": policy}},
    }
    (folder / "connector.yaml").write_text(json.dumps(settings))
    environment = {"CONNECTOR_TAIL__BATCH_RECORDS": "20"}
    return Program(folder, rig.url, environment, url)


@pytest.mark.by_turns("destination", "point")
@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize(
    ("destination", "point"),
    [*(("duckdb", point) for point in POINTS), ("postgres", POINTS[2]), ("postgres", POINTS[3])],
)
def test_the_run_after_a_crash_holds_the_contract(
    source: ScriptedDynamoDB,
    tmp_path: Path,
    destination: str,
    point: str,
    policy: str,
    request: pytest.FixtureRequest,
) -> None:
    url = request.getfixturevalue("postgres").url if destination == "postgres" else ""
    filled(source, policy)
    program = configured(source, tmp_path, policy, url)
    killed = program.with_(CONNECTOR_FAILPOINT=point)("sync", ORDERS)
    assert killed.code == -signal.SIGKILL, f"{point} was not reached: {killed.stderr}"
    done = program.with_(CONNECTOR_FAILPOINT="")("sync", ORDERS)
    assert done.code == 0, done.stderr
    assert CANARY not in killed.stderr + done.stderr
    settings: dict[str, object] = {"tables": {ORDERS: {"columns": COLUMNS, "contract": policy}}}
    replica = Replica(source, tmp_path, settings=settings, database=url)
    wrong = [each for each in source.model(ORDERS).items() if each["at"]["S"] == CANARY]
    verdict = replica.verdict()
    assert (verdict.different.count, verdict.extra.count) == (0, 0)
    quarantines = policy == "quarantine"
    assert verdict.missing.count == (len(wrong) if quarantines else 0)
    found = replica.sql(f'SELECT count(*) FROM {ORDERS} WHERE "at" IS NULL')
    assert found == [(0 if quarantines else len(wrong),)]
    assert ("gift" in replica.state().columns) == (policy != "freeze")


def test_a_table_that_fails_says_so_in_one_sentence_and_leaves_with_3(
    source: ScriptedDynamoDB, tmp_path: Path
) -> None:
    filled(source, "evolve")
    program = configured(source, tmp_path, "fail", "")
    done = program("sync", ORDERS, "--workers", "2")
    assert_one_sentence(done, 3, "at does not fit its declared type timestamp")
    assert ORDERS in done.stderr
    assert CANARY not in done.stdout + done.stderr
    status = json.loads(program("status", "--output", "json").stdout)
    assert "does not fit" in json.dumps(status)
    assert CANARY not in json.dumps(status)
