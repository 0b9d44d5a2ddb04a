"""Histories drawn around incremental exports, with kills: the table ends as its source is."""

import os
import random
from pathlib import Path

import pytest

from connector.sources.exports.data_files import reading
from tests.pipeline.replica import ORDERS, SCHEMA
from tests.rigs.combinations import amount
from tests.rigs.scripted import ScriptedDynamoDB

from .histories import WAYS, History
from .replica import Exported

pytestmark = pytest.mark.by_turns("replica")

SEEDS = range(60 if os.environ.get("TEST_SCALE") == "large" else amount(4, by_turns=1))


@pytest.fixture(params=["duckdb", "postgres"])
def replica(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    server: ScriptedDynamoDB,
    monkeypatch: pytest.MonkeyPatch,
) -> Exported:
    """A table that nobody has written to."""
    monkeypatch.setattr(reading, "LINES_BYTES", 200)
    database = request.getfixturevalue("kept_postgres").url if request.param == "postgres" else ""
    server.clock.advance(hours=-200)
    server.create_table(ORDERS, SCHEMA)
    settings: dict[str, object] = {"spool": str(tmp_path / "spool"), "tail.batch_records": 2}
    return Exported(server, tmp_path, settings=settings, database=database)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("seed", SEEDS)
def test_any_history_ends_as_the_source_is(replica, seed, way):
    dice = random.Random(f"{seed} {way}")
    history = History(replica, dice, way, dice.choice(("apply", "apply", "soft")))
    try:
        history.play()
    except BaseException as error:
        error.add_note("\n".join(history.trace))
        raise
