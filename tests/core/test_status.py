"""What a state says of how a table keeps up, whatever its source keeps."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from connector.core.changes.shards import Retention
from connector.core.cursors import SHARD, Cursor
from connector.core.state import TableState
from connector.core.status import NEVER_SYNCED, Status
from connector.sources.dynamodb.retention import RETENTION
from tests.destinations.fake import FakeDestination
from tests.destinations.story import Story

NOW = datetime(2026, 1, 2, tzinfo=UTC)
WEEK = replace(RETENTION, lasts=timedelta(days=7))


@pytest.fixture
def state() -> TableState:
    """A table that was planned: one shard is open, one has ended."""
    planned = Story(FakeDestination()).plan()
    cursors = {
        f"{SHARD}open": Cursor("5", seen_at=NOW - timedelta(hours=1)),
        f"{SHARD}parent": Cursor("3", done=True, seen_at=NOW - timedelta(hours=30)),
        f"{SHARD}child": Cursor("7", seen_at=NOW, parent="parent"),
    }
    return replace(planned, cursors=cursors)


@pytest.mark.parametrize(("retention", "left"), [(RETENTION, 23 * 3600), (WEEK, 167 * 3600)])
def test_the_time_to_data_loss_is_the_sources(state, retention: Retention, left: float) -> None:
    status = Status.of(state, NOW, retention)
    assert (status.lag_seconds, status.seconds_to_data_loss) == (3600, left)
    assert (status.open_shards, status.finished_shards) == (2, 1)
    assert status.phase == "loading"


def test_a_table_without_a_state_was_never_synced() -> None:
    status = Status.of(None, NOW, RETENTION)
    assert status.phase == NEVER_SYNCED
    assert (status.lag_seconds, status.seconds_to_data_loss, status.problem) == (None, None, None)
    assert status.wrong(None) is None
    error = status.wrong(60)
    assert error is not None and error.message == "was never synced, and 1 min is allowed."


@pytest.mark.parametrize(
    ("hours", "allowed", "says"),
    [(1, None, None), (1, 3600, None), (2, 3600, "is 2 h behind, and 1 h is allowed.")],
)
def test_a_table_is_late_beyond_what_is_allowed(state, hours, allowed, says) -> None:
    status = Status.of(state, NOW + timedelta(hours=hours - 1), RETENTION)
    error = status.wrong(allowed)
    assert (error and error.message) == says


def test_a_lag_that_is_not_known_is_late(state) -> None:
    error = Status.of(replace(state, cursors={}), NOW, RETENTION).wrong(3600)
    assert error is not None and error.message.startswith("has no known lag")


def test_a_problem_comes_before_any_lag(state) -> None:
    troubled = replace(state, problem="HistoryLost: A day is gone.")
    for allowed in (None, 0.0):
        error = Status.of(troubled, NOW, RETENTION).wrong(allowed)
        assert error is not None and error.exit_code == 3
        assert error.message == "needs a person. HistoryLost: A day is gone."
