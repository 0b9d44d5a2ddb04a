"""Three tables of one command, and what can be wrong with one of them."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.pipeline.replica import SCHEMA, key, order
from tests.rigs import duckdb_file
from tests.rigs.scripted import RunningClock, ScriptedDynamoDB, faults

from .program import Done, Program

NAMES = ("apples", "bananas", "cherries")
GOOD = ("apples", "cherries")
BAD = "bananas"
ROWS = 3


@contextmanager
def three_tables() -> Iterator[ScriptedDynamoDB]:
    """A rig with three tables of three items."""
    with ScriptedDynamoDB(clock=RunningClock()) as running:
        for name in NAMES:
            running.create_table(name, SCHEMA).put(*(order(n, n) for n in range(ROWS)))
        yield running


def results(done: Done) -> dict[str, dict[str, Any]]:
    """The result rows, by table."""
    return {row["table"]: row for row in json.loads(done.stdout)}


def rows_of(program: Program, table: str) -> int:
    """How many rows a table has, counted by DuckDB itself."""
    ((count,),) = duckdb_file.read(program.file, f"SELECT count(*) FROM {table}")
    return int(count)


def assert_only_bad_failed(done: Done, code: int, says: str) -> None:
    """The others are there, the bad one has its sentence, and the exit code is the bad one's."""
    assert done.code == code, done.stderr
    found = results(done)
    assert list(found) == [*found] and set(found) == set(NAMES)
    for name in GOOD:
        assert (found[name]["result"], found[name]["error"], found[name]["rows"]) == (
            "ok",
            None,
            ROWS,
        )
    assert found[BAD]["result"] == "failed"
    assert says in found[BAD]["error"]
    (error,) = done.lines("Error: ")
    assert error.startswith(f"Error: {BAD}: ") and says in error
    assert len(done.lines("Hint: ")) == 1
    assert "Traceback" not in done.stderr


def stream_off(program: Program, rig: ScriptedDynamoDB) -> None:
    """The bad table never had a stream."""
    rig.delete_table(BAD)
    rig.create_table(BAD, SCHEMA, view=None).put(order(1))


def dropped(program: Program, rig: ScriptedDynamoDB) -> None:
    """The bad table was dropped after its first sync."""
    assert program("sync", *NAMES, *program.to).code == 0
    rig.delete_table(BAD)


def denied(program: Program, rig: ScriptedDynamoDB) -> None:
    """The bad table may not be scanned."""
    rig.faults.add(faults.access_denied(), on="Scan", times=10_000, table=BAD)


def throttled(program: Program, rig: ScriptedDynamoDB) -> None:
    """The bad table is throttled for ever."""
    rig.faults.add(faults.throttle(), on="Scan", times=10_000, table=BAD)


def history_lost(program: Program, rig: ScriptedDynamoDB) -> None:
    """The bad table was made anew."""
    dropped(program, rig)
    rig.create_table(BAD, SCHEMA).put(order(1))


def quarantined(program: Program, rig: ScriptedDynamoDB) -> None:
    """The bad table has an item that cannot be stored, and one is too many."""
    rig.model(BAD).put({**key("bad"), "n": {"N": "1e999"}})


def changed(program: Program, rig: ScriptedDynamoDB) -> None:
    """Somebody has dropped a column of the bad table, and has changed its source."""
    assert program("sync", *NAMES, *program.to).code == 0
    with duckdb_file.opened(program.file) as connection:
        connection.execute(f"ALTER TABLE {BAD} DROP COLUMN n")
    rig.model(BAD).put(order(1, 99))
