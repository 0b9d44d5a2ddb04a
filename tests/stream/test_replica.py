"""The simulation itself: it converges, it repeats, and its checker sees what is wrong."""

import pytest

from tests.destinations.fake import FakeDestination
from tests.rigs.scripted.scenario import Before, Put, Roll, Split, Wait, Write

from .claims import Violation
from .memory import run
from .replica import Replica


def test_thirty_virtual_hours_end_in_equality(replica: Replica) -> None:
    """Writes and rollovers over more than a day, followed in one run."""
    replica.settings |= {"tail.idle_poll_seconds": 900}
    replica.play(Before(5), Put("a", 1))
    for hour in range(30):
        replica.after(Write(10, seed=hour), hours=hour)
        if hour % 4 == 3:
            replica.after(Roll(), hours=hour)
    replica.follow(hours=30)
    replica.play(Put("a", 2))
    replica.sync()
    assert replica.contents()["a"]["n"] == 2
    assert replica.checker.tally.records > 200


def test_a_duckdb_file_is_kept_equal_as_well(stored: Replica) -> None:
    """What holds for the replica in memory holds for the one in a file."""
    stored.play(Before(5), Write(30, seed=1), Roll(), Write(30, seed=2))
    stored.sync()
    stored.play(Write(30, seed=3), Split(), Write(30, seed=4))
    stored.sync()


def test_a_plan_that_was_stored_counts_though_its_run_was_killed(stored: Replica) -> None:
    """The next run goes on from it, and the checker knows."""
    stored.play(Before(3), Put("a", 1))
    assert stored.crash("plan.after_commit")
    assert stored.state().generation == 1
    stored.sync()


def test_the_checker_sees_a_row_that_nobody_wrote(replica: Replica) -> None:
    """A table that differs from the source is no success, however the run ended."""
    replica.play(Put("a", 1), Put("b", 1))
    replica.sync()
    assert isinstance(replica.destination, FakeDestination)
    run(replica.destination, "DELETE FROM orders WHERE id = ?", b'"a"')
    replica.play(Put("b", 2), Wait(minutes=1))
    with pytest.raises(Violation, match="I2"):
        replica.sync()
