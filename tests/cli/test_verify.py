"""`connector verify` with --repair and --sample."""

import json
from pathlib import Path

import pytest

from tests.pipeline.replica import ORDERS, SCHEMA, Replica, order
from tests.rigs.scripted import RunningClock, ScriptedDynamoDB, faults

from .program import Program, assert_one_sentence

pytestmark = [pytest.mark.xdist_group("cli_verify"), pytest.mark.by_turns("both")]
VERIFY = ("verify", ORDERS)
JSON = ("--output", "json")


@pytest.fixture(params=["duckdb", "postgres"])
def both(request: pytest.FixtureRequest, rig: ScriptedDynamoDB, tmp_path: Path) -> Program:
    """The program, in a folder or with a database where the orders were synced."""
    if request.param == "duckdb":
        synced: Program = request.getfixturevalue("synced")
        return synced
    program = Program(tmp_path, rig.url, database=request.getfixturevalue("postgres").url)
    assert program("sync", ORDERS, *program.to).code == 0
    return program


def spoil(program: Program, rig: ScriptedDynamoDB) -> None:
    """A row that is wrong, one that is missing and one too many."""
    replica = Replica(rig, program.folder, database=program.database)
    replica.by_hand("UPDATE orders SET n = 666 WHERE id = '1'")
    replica.by_hand("UPDATE orders SET id = 'ghost' WHERE id = '2'")


def test_a_table_that_is_not_loaded(begun: Program) -> None:
    done = begun(*VERIFY, "--repair", *begun.to)
    assert_one_sentence(done, 2, "orders is not loaded yet")


def test_what_differs_is_repaired(both: Program, rig: ScriptedDynamoDB) -> None:
    spoil(both, rig)
    found = both(*VERIFY, *both.to, *JSON)
    assert found.code == 3
    assert list(json.loads(found.stdout)) == [
        "table",
        "equal",
        "matching",
        "missing",
        "extra",
        "different",
        "unsettled",
    ]
    assert "connector verify orders --repair" in found.stderr
    repaired = both(*VERIFY, "--repair", *both.to, *JSON)
    assert repaired.code == 0, repaired.stderr
    document = json.loads(repaired.stdout)
    assert document["equal"] is True
    assert document["matching"] == 40
    assert document["missing"] == document["extra"] == document["different"]
    assert document["repaired"] == {"count": 3, "keys": ['["1"]', '["2"]', '["ghost"]']}
    assert both(*VERIFY, *both.to).code == 0
    nothing = json.loads(both(*VERIFY, "--repair", *both.to, *JSON).stdout)
    assert nothing["repaired"] == {"count": 0, "keys": []}


def test_what_cannot_be_repaired_is_told(synced: Program, rig: ScriptedDynamoDB) -> None:
    bad = {"id": {"S": "bad"}, "x": {"ZZ": "1"}}
    rig.model(ORDERS).load([bad])
    try:
        done = synced(*VERIFY, "--repair", *synced.to, *JSON)
    finally:
        rig.model(ORDERS).delete({"id": {"S": "bad"}})
    assert done.code == 3
    document = json.loads(done.stdout)
    assert document["equal"] is False
    assert document["missing"] == {"count": 1, "keys": ['["bad"]']}
    assert document["repaired"]["count"] == 0
    assert len(done.lines("Error: ")) == 1
    (hint,) = done.lines("Hint: ")
    assert "_connector.quarantine" in hint


def test_a_share(both: Program, rig: ScriptedDynamoDB) -> None:
    spoil(both, rig)
    done = both(*VERIFY, "--sample", "100%", *both.to, *JSON)
    assert done.code == 3
    document = json.loads(done.stdout)
    assert document["sample"] == {"share": 1.0, "keys": 41}
    rig.calls.clear()
    small = both(*VERIFY, "--sample", "1%", *both.to, *JSON)
    assert small.code in (0, 3)
    assert json.loads(small.stdout)["sample"]["share"] == 0.01
    assert {call.parameters["TotalSegments"] for call in rig.calls.of("Scan")} == {400}
    assert len({call.segment for call in rig.calls.of("Scan")}) == 4
    table = both(*VERIFY, "--sample", "100%", "--repair", *both.to)
    assert table.code == 0, table.stderr
    assert "repaired" in table.stdout
    assert "compared" in table.stdout
    assert "100.00%" in table.stdout


@pytest.mark.parametrize(
    "percent",
    [
        "0%",
        "101%",
        "1",
        "abc",
        "-1%",
        "",
        "%",
        "1%%",
        "1e1%",
        "nan%",
        "0.0%",
        "1,5%",
        "100.1%",
        "inf%",
    ],
)
def test_what_is_no_share_is_refused(synced: Program, rig: ScriptedDynamoDB, percent: str) -> None:
    done = synced(*VERIFY, "--sample", percent, *synced.to)
    assert_one_sentence(done, 2, "is no share of a table")
    assert rig.calls.count("Scan") == 0


@pytest.mark.parametrize("percent", ["1%", "0.5%", "12.5%", "100%", "1 %", "100.0%"])
def test_shares(percent: str) -> None:
    from connector.cli.verify import share_of

    assert 0 < share_of(percent) <= 1


def test_several_tables(program: Program, rig: ScriptedDynamoDB) -> None:
    rig.create_table("users", SCHEMA).put(*(order(n, n) for n in range(5)))
    try:
        assert program("sync", ORDERS, "users", *program.to).code == 0
        spoil(program, rig)
        found = program(*VERIFY, "users", *program.to, *JSON)
        assert found.code == 3
        done = program(*VERIFY, "users", "--repair", "--sample", "100%", *program.to, *JSON)
        assert done.code == 0, done.stderr
        rows = {row["table"]: row for row in json.loads(done.stdout)}
        assert rows[ORDERS]["repaired"]["count"] == 3
        assert rows["users"]["repaired"]["count"] == 0
        assert {row["result"] for row in rows.values()} == {"ok"}
        shown = program(*VERIFY, "users", "--repair", *program.to)
        assert shown.code == 0
        assert "repaired" in shown.stdout
    finally:
        rig.delete_table("users")


def test_a_table_that_was_never_synced(program: Program) -> None:
    done = program(*VERIFY, "--repair", *program.to)
    assert_one_sentence(done, 2, "never synced")


def test_a_denied_look_up(synced: Program, rig: ScriptedDynamoDB) -> None:
    spoil(synced, rig)
    rig.faults.add(faults.access_denied(), on="BatchGetItem", times=50)
    done = synced(*VERIFY, "--repair", *synced.to)
    assert_one_sentence(done, 2, "dynamodb:BatchGetItem")


def test_check_of_a_stream_without_images(program: Program, tmp_path: Path) -> None:
    with ScriptedDynamoDB(clock=RunningClock()) as rig:
        rig.create_table("keys", SCHEMA, view="KEYS_ONLY").put(order(1))
        there = Program(tmp_path, rig.url)
        found = there("check", "keys", *there.to, *JSON)
        assert found.code == 0, found.stdout
        rows = {row["check"]: row for row in json.loads(found.stdout) if row["table"]}
        assert rows["stream"]["detail"] == "enabled, KEYS_ONLY: items that change are looked up"
        assert rows["BatchGetItem"]["detail"] == "allowed"
        rig.faults.add(faults.access_denied(), on="BatchGetItem", times=9)
        denied = there("check", "keys", *there.to, *JSON)
        assert denied.code == 2
        rows = {row["check"]: row for row in json.loads(denied.stdout) if row["table"]}
        assert not rows["BatchGetItem"]["ok"]
        assert "Only `connector verify`" not in rows["BatchGetItem"]["fix"]
        refused = there("sync", "keys", *there.to)
        assert refused.code == 2
        assert "dynamodb:BatchGetItem" in refused.stderr
