"""A process that becomes a run has imported all that the run needs."""

import json
import sys
from pathlib import Path

import pytest

from tests.pipeline.replica import ORDERS
from tests.rigs.ready import ready
from tests.rigs.scripted import ScriptedDynamoDB

from .program import MODULE, Program

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
