"""A process that becomes a run has imported all that the run needs."""

import json
import sys
from pathlib import Path

import duckdb
import pytest

from tests.pipeline.replica import ORDERS
from tests.rigs.ready import ready
from tests.rigs.scripted import ScriptedDynamoDB

from .program import MODULE, Program
from .spare_duckdb import Spare

pytestmark = pytest.mark.xdist_group("cli_commands")

EVERY_COMMAND = [
    ("check", ORDERS),
    ("sync", ORDERS),
    ("tail", ORDERS),
    ("snapshot", ORDERS, "--full-refresh"),
    ("status",),
    ("verify", ORDERS),
    ("query", "select * from orders"),
    ("reset", ORDERS, "--yes"),
]


@pytest.mark.by_turns("kind")
@pytest.mark.parametrize("kind", ["duckdb", "postgres"])
def test_a_run_imports_nothing_that_is_not_there(
    kind: str, rig: ScriptedDynamoDB, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    url = request.getfixturevalue("postgres").url if kind == "postgres" else ""
    program = Program(tmp_path, rig.url, database=url)
    for words in EVERY_COMMAND:
        done = ready(MODULE).run(
            f"{MODULE}.imports()", [*words, *program.to], program.folder, program.variables()
        )
        found = json.loads(done.stdout)
        assert found["code"] == 0, (words, found["stderr"])
        new = [name for name in found["new"] if name.split(".")[0] not in sys.stdlib_module_names]
        assert not new, (words, new)
        # A query opens the file itself; all others take the DuckDB that was started before.
        assert found["spare"] == (kind == "postgres" or words[0] == "query"), words


def test_a_duckdb_that_was_started_before_is_set_as_one_that_is_started_now(tmp_path: Path) -> None:
    spare = Spare()
    first = {"memory_limit": "100MB", "threads": "2", "temp_directory": str(tmp_path / "first")}
    spare.connect(config=first).close()
    spare.start()
    asked = {**first, "threads": "3", "temp_directory": str(tmp_path / "it's another")}
    with spare.connect(config=asked) as taken, duckdb.connect(config=asked) as started:
        assert not spare.waits
        told, right = (
            connection.execute("SELECT name, value FROM duckdb_settings() ORDER BY name").fetchall()
            for connection in (taken, started)
        )
        assert told == right
    spare.start()
    with spare.connect(config={**asked, "memory_limit": "50MB"}) as other:
        assert spare.waits
        (limit,) = other.execute("SELECT current_setting('memory_limit')").fetchone() or ()
        assert limit == "47.6 MiB"
