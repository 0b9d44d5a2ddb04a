"""What a person is told: every field of `status`, and the warnings before changes are lost."""

import json
import logging
import time

import pytest

from tests.cli.program import Program
from tests.rigs.scripted.scenario import Append, Before, Delete, Put, Roll, Split, Wait

from .replica import Replica

HOUR = 3600.0
SLACK = 120.0
"""Seconds that a slow machine may take in between."""


def test_status_tells_where_a_table_stands_and_how_long_it_may_wait(stored: Replica) -> None:
    """Thirteen hours ago a shard ended; its child is in no listing yet, and sets the lag."""
    stored.rig.clock.set(time.time() - 13 * HOUR)
    stored.play(Before(4), Put("a", 1))
    stored.sync()
    stored.refresh()
    stored.play(Append("bad", event="UNKNOWN"), Delete("old 1"), Split(), Put("a", 2), Put("b", 1))
    stored.sync()
    stored.play(Roll("0.1", late=10**6))
    stored.rounds(3)
    state = stored.state()
    assert stored.folder
    program = Program(stored.folder, stored.rig.url)
    done = program("status", "--output", "json", *program.to)
    (row,) = json.loads(done.stdout)
    lag, left = row.pop("lag_seconds"), row.pop("seconds_to_data_loss")
    assert 13 * HOUR - SLACK < lag < 13 * HOUR + SLACK
    assert abs(lag + left - 24 * HOUR) < 1
    assert state.consistent_since and state.committed_at
    assert row == {
        "table": "orders",
        "into": "orders",
        "region": "us-west-2",
        "phase": "tailing",
        "generation": 2,
        "rows": 5,
        "consistent_since": row["consistent_since"],
        "open_shards": 1,
        "finished_shards": 2,
        "last_commit": state.commit,
        "committed_at": row["committed_at"],
        "quarantined": 1,
        "drift": 0,
        "problem": None,
        "published_at": None,
        "held_back": None,
    }
    assert row["consistent_since"].startswith(f"{state.consistent_since:%Y-%m-%dT%H:%M}")
    assert row["committed_at"].startswith(f"{state.committed_at:%Y-%m-%dT%H:%M}")
    shown = program("status", *program.to).stdout.split("\n")[0].split()
    assert set(shown) == {*row, "lag_seconds", "seconds_to_data_loss"}


@pytest.mark.parametrize(
    ("hours", "level"), [(11.9, None), (12.1, "WARNING"), (19.9, "WARNING"), (20.1, "ERROR")]
)
@pytest.mark.parametrize("ended", [False, True], ids=["an open shard", "an unlisted child"])
def test_a_tail_warns_from_12_hours_of_lag_and_errs_from_20(
    replica: Replica, caplog: pytest.LogCaptureFixture, hours: float, level: str | None, ended: bool
) -> None:
    """Half a day is left to act; a run that catches up has said so before it does."""
    replica.play(Before(3), Put("a", 1))
    replica.sync()
    if ended:
        replica.play(Roll(late=hours * HOUR + 60))
        replica.rounds(3)
        caplog.clear()
    replica.play(Wait(hours=hours))
    with caplog.at_level(logging.WARNING, "connector"):
        replica.sync()
    told = [each.levelname for each in caplog.records if "behind" in each.getMessage()]
    assert told[:1] == ([level] if level else [])
    caplog.clear()
    with caplog.at_level(logging.WARNING, "connector"):
        replica.sync()
    assert not caplog.records
