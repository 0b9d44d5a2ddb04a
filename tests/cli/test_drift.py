"""What a person sees of columns that are new or wider: one warning, a row, a count."""

import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.pipeline.replica import ORDERS, SCHEMA, Replica, key, order
from tests.rigs.ready import Done
from tests.rigs.scripted import RunningClock, ScriptedDynamoDB

from .program import Program, ended, wait_until
from .test_terminal import on_a_terminal, plain

pytestmark = [
    pytest.mark.xdist_group("cli_drift"),
    # The contract suites show of each database what it does here.
    pytest.mark.by_turns("either"),
]

SECRET = "a-secret-value"
TEXT = {"S": SECRET}
KILLED = -signal.SIGKILL


@pytest.fixture
def rig() -> Iterator[ScriptedDynamoDB]:
    """A table of orders that was there before its stream."""
    with ScriptedDynamoDB(clock=RunningClock()) as running:
        running.create_table(ORDERS, SCHEMA).load(order(n, n) for n in range(40))
        yield running


@pytest.fixture(params=["duckdb", "postgres"])
def either(
    request: pytest.FixtureRequest, tmp_path: Path, rig: ScriptedDynamoDB
) -> tuple[Program, Replica]:
    """The program with either destination, and the same table as seen by its database."""
    url = request.getfixturevalue("postgres").url if request.param == "postgres" else ""
    return Program(tmp_path, rig.url, database=url), Replica(rig, tmp_path, database=url)


def warnings(done: Done) -> list[str]:
    """The warnings of a run, without their times."""
    assert SECRET not in done.stdout + done.stderr
    lines = [line for line in done.stderr.splitlines() if " WARNING " in line]
    return [line.partition(" WARNING ")[2] for line in lines]


def ran(program: Program, *arguments: str) -> tuple[list[str], dict[str, Any]]:
    """The warnings of a run that succeeds, and its result row."""
    done = program(*arguments, "-o", "json", *program.to)
    assert done.code == 0, done.stderr
    (row,) = json.loads(done.stdout)
    return warnings(done), row


def kept(replica: Replica) -> list[tuple[Any, ...]]:
    """What the state's own table has."""
    sql = 'SELECT "column", "from" IS NULL, key FROM _connector.drift ORDER BY commit, "column"'
    return replica.sql(sql)


def types(program: Program) -> tuple[str, str]:
    """What the destination calls whole numbers and JSON."""
    return ("bigint", "jsonb") if program.database else ("BIGINT", "JSON")


def wider(program: Program, item: str) -> str:
    """The warning of the column `n`."""
    before, after = types(program)
    cause = f'because of the item with the key ["{item}"]'
    return f"{ORDERS}: the column 'n' is {after} instead of {before}, {cause}"


def shown(program: Program) -> int:
    """How much drift `connector status` counts."""
    done = program("status", "-o", "json", *program.to)
    assert done.code == 0, done.stderr
    (row,) = json.loads(done.stdout)
    return int(row["drift"])


def test_a_first_sync_tells_what_is_mixed_and_nothing_else(
    either: tuple[Program, Replica],
) -> None:
    program, replica = either
    replica.model.load([{**key("odd"), "n": TEXT, "m": {"M": {}}, "other": TEXT}])
    told, row = ran(program, "sync", ORDERS)
    assert told == [wider(program, "odd")]
    assert (row["new_columns"], row["widened_columns"]) == (3, 1)
    assert kept(replica) == [("n", False, '["odd"]')]
    told, row = ran(program, "sync", ORDERS)
    assert (told, row["widened_columns"], shown(program)) == ([], 0, 1)
    # The scan comes to the same columns again.
    told, row = ran(program, "snapshot", ORDERS, "--full-refresh", "--yes")
    assert (told, row["widened_columns"], shown(program)) == ([], 0, 1)


def test_a_first_sync_of_what_is_all_in_the_stream(either: tuple[Program, Replica]) -> None:
    program, replica = either
    replica.model.put(*(order(n, n) for n in range(40)), {**key("odd"), "n": TEXT, "s": TEXT})
    assert ran(program, "sync", ORDERS)[0] == [wider(program, "odd")]
    assert shown(program) == 1


def test_a_tail_tells_what_is_wider_and_what_is_new_once(either: tuple[Program, Replica]) -> None:
    program, replica = either
    assert ran(program, "sync", ORDERS)[0] == []
    assert shown(program) == 0
    replica.model.put({**key("odd"), "n": TEXT}, {**key("new"), "a\x1b[2J\nb": {"BOOL": True}})
    told, row = ran(program, "tail", ORDERS)
    flag = "boolean" if program.database else "BOOLEAN"
    new = rf"{ORDERS}: the column 'a\x1b[2J\nb' is new: {flag}, "
    assert sorted(told) == sorted(
        [wider(program, "odd"), new + 'first seen in the item with the key ["new"]']
    )
    assert (row["new_columns"], row["widened_columns"]) == (1, 1)
    replica.model.put({**key("odd again"), "n": TEXT}, {**key(1), "a\x1b[2J\nb": {"BOOL": True}})
    assert ran(program, "sync", ORDERS)[0] == []
    assert len(kept(replica)) == shown(program) == 2


def test_many_columns_have_so_many_lines_and_no_more(either: tuple[Program, Replica]) -> None:
    program, replica = either
    ran(program, "sync", ORDERS)
    replica.model.put({**key("wide"), **{f"c{n:02}": TEXT for n in range(33)}})
    told, row = ran(program, "sync", ORDERS)
    assert len(told) == 21
    assert told[-1] == f"{ORDERS}: and 13 more: see _connector.drift"
    assert row["new_columns"] == len(kept(replica)) == shown(program) == 33


@pytest.mark.parametrize(
    ("point", "again"), [("commit.before_commit", True), ("commit.after_commit", False)]
)
def test_a_commit_that_was_killed_tells_it_once(
    either: tuple[Program, Replica], point: str, again: bool
) -> None:
    program, replica = either
    ran(program, "sync", ORDERS)
    replica.model.put({**key("odd"), "n": TEXT, "new": TEXT})
    done = program.with_(CONNECTOR_FAILPOINT=point)("tail", ORDERS, *program.to)
    assert (done.code, warnings(done)) == (KILLED, [])
    # Whoever opens it first finds what was committed.
    assert shown(program) == (0 if again else 2)
    assert len(kept(replica)) == (0 if again else 2)
    assert len(ran(program, "tail", ORDERS)[0]) == (2 if again else 0)
    assert ran(program, "sync", ORDERS)[0] == []
    assert kept(replica) == [("n", False, '["odd"]'), ("new", True, '["odd"]')]


@pytest.mark.parametrize(
    ("point", "again"), [("load.before_commit", True), ("load.after_commit", False)]
)
def test_a_load_that_was_killed_tells_it_once(
    either: tuple[Program, Replica], point: str, again: bool
) -> None:
    program, replica = either
    replica.model.load([{**key("odd"), "n": TEXT}])
    done = program.with_(CONNECTOR_FAILPOINT=point)("sync", ORDERS, *program.to)
    assert (done.code, warnings(done)) == (KILLED, [])
    assert len(ran(program, "sync", ORDERS)[0]) == again
    assert kept(replica) == [("n", False, '["odd"]')]


def test_who_follows_is_told_once(either: tuple[Program, Replica]) -> None:
    program, replica = either
    ran(program, "sync", ORDERS)
    process = program.start("tail", ORDERS, "--follow", "-o", "json", *program.to)
    for round_ in range(3):
        replica.model.put({**key(f"odd {round_}"), "n": TEXT})
        wait_until(lambda at=round_: count(replica, f"odd {at}") == 1, process)
    done = ended(process, signal.SIGTERM)
    assert warnings(done) == [wider(program, "odd 0")]


def count(replica: Replica, item: str) -> int:
    """How many rows have this key; none as long as nobody can look."""
    try:
        return int(replica.sql(f"SELECT count(*) FROM orders WHERE id = '{item}'")[0][0])
    except Exception as error:
        assert type(error).__module__.split(".")[0] in ("duckdb", "_duckdb", "adbc_driver_manager")
        return 0


def test_a_terminal_has_the_counts_only_if_there_is_something_to_count(
    rig: ScriptedDynamoDB, tmp_path: Path
) -> None:
    program = Program(tmp_path, rig.url, {"COLUMNS": "160"})
    assert "widened" not in plain(on_a_terminal(program, "sync", ORDERS))
    assert "drift" not in plain(on_a_terminal(program, "status"))
    rig.model(ORDERS).put({**key("odd"), "n": TEXT})
    assert "widened_columns" in plain(on_a_terminal(program, "sync", ORDERS))
    status = plain(on_a_terminal(program, "status", COLUMNS="80"))
    header, row = status.splitlines()
    assert header.split()[-2:] == ["drift", "problem"] and row.split()[-1] == "1"


def test_a_query_can_read_it(either: tuple[Program, Replica]) -> None:
    program, replica = either
    ran(program, "sync", ORDERS)
    replica.model.put({**key("odd"), "n": TEXT})
    ran(program, "sync", ORDERS)
    sql = 'select table_name, "column", "from", "to", key from _connector.drift where "at" < now()'
    done = program("query", sql, "-o", "json", *program.to)
    before, after = types(program)
    expected = {"table_name": ORDERS, "column": "n", "from": before, "to": after}
    assert json.loads(done.stdout) == [expected | {"key": '["odd"]'}]
