"""A history and a log of a global table that goes on in another Region."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from connector.core.state import TableState
from tests.pipeline.replica import ORDERS, key, order
from tests.regions.world import EAST, WEST, World, world
from tests.rigs.scripted import RunningClock, ScriptedDynamoDB

from .conftest import BOTH
from .test_versions import told
from .truth import check_history, versions_of

pytestmark = pytest.mark.by_turns("url")

HOUR = 3600.0


@pytest.fixture
def rig() -> Iterator[ScriptedDynamoDB]:
    """A scripted server with two Regions."""
    with ScriptedDynamoDB(clock=RunningClock(), region=WEST) as running:
        running.add_region(EAST)
        yield running


@pytest.fixture
def there(rig: ScriptedDynamoDB, tmp_path: Path, url: str) -> World:
    """A global table, and its replica with all versions and changes."""
    made = world(rig, tmp_path, url, delay=0.0)
    made.settings |= {**BOTH, "spool": str(tmp_path / "spool")}
    return made


def settled(there: World) -> TableState:
    """A sync of all that both Regions have had for a while."""
    there.group.converge()
    there.rig.clock.advance(60)
    return there.sync_here()


def logged(there: World) -> list[tuple[object, ...]]:
    """The log, without what orders it."""
    return there.sql("SELECT id, _op, _after IS NULL FROM orders__changes ORDER BY _commit, id")


def test_what_another_region_has_as_well_goes_on(there: World) -> None:
    there.model.put(order("same", 1), order("later", 1))
    there.model.put(order("same", 2))
    settled(there)
    before = logged(there)
    rows = there.sql("SELECT * FROM orders ORDER BY id")
    there.rig.clock.advance(60)
    there.fail_over()
    assert there.sql("SELECT * FROM orders ORDER BY id") == rows
    assert told(there, "same") == [(1, "insert", "update"), (2, "update", None)]
    assert told(there, "later") == [(1, "insert", None)]
    assert logged(there) == before
    there.group.tables[EAST].put(order("later", 2))
    there.sync_here()
    assert told(there, "later") == [(1, "insert", "update"), (2, "update", None)]
    assert logged(there) == [*before, ("later", "update", False)]
    check_history(there, gaps=True)


def test_a_write_that_is_lost_ends_by_the_refresh(there: World) -> None:
    there.model.put(order("differs", 1), order("same", 1))
    settled(there)
    there.group.cut(WEST)
    there.model.put(order("differs", 2), order("gone", 1))
    there.sync_here()
    there.rig.clock.advance(60)
    there.lost()
    there.fail_over()
    there.assert_equal()
    assert told(there, "differs") == [
        (1, "insert", "update"),
        (2, "update", "refresh"),
        (1, "snapshot", None),
    ]
    assert told(there, "gone") == [(1, "insert", "refresh")]
    assert told(there, "same") == [(1, "insert", None)]
    check_history(there, gaps=True)


def test_what_changed_since_the_first_region_was_read_has_versions(there: World) -> None:
    there.model.put(order("a", 1))
    settled(there)
    there.rig.clock.advance(60)
    there.lost()
    there.group.tables[EAST].put(order("a", 2), order("a", 3))
    there.group.tables[EAST].delete(key("a"))
    there.group.tables[EAST].put(order("b", 1))
    there.rig.clock.advance(60)
    there.fail_over()
    assert told(there, "a") == [
        (1, "insert", "update"),
        (2, "update", "update"),
        (3, "update", "delete"),
    ]
    assert told(there, "b") == [(1, "insert", None)]
    assert [op for _, op, _ in logged(there)] == ["insert", "update", "update", "delete", "insert"]
    check_history(there, gaps=True)


def test_what_changed_too_long_before_is_a_gap(there: World) -> None:
    there.model.put(order("a", 1), order("b", 1), order("same", 1))
    settled(there)
    there.lost()
    there.group.tables[EAST].put(order("a", 2), order("a", 3))
    there.group.tables[EAST].delete(key("b"))
    there.rig.clock.advance(HOUR)
    there.fail_over()
    assert told(there, "a") == [(1, "insert", "gap"), (3, "gap", None)]
    assert told(there, "b") == [(1, "insert", "gap")]
    assert told(there, "same") == [(1, "insert", None)]
    # The other Region's stream still has these records.
    assert [op for _, op, _ in logged(there)][3:] == ["update", "update", "delete"]
    check_history(there, gaps=True)


def test_failing_back_repeats_nothing(there: World) -> None:
    there.model.put(order("a", 1))
    settled(there)
    there.fail_over()
    there.group.tables[EAST].put(order("a", 2))
    settled(there)
    there.fail_over(WEST)
    there.model.put(order("a", 3))
    there.sync_here()
    assert [v["n"] for v in versions_of(there)["a"]] == [1, 2, 3]
    assert [op for _, op, _ in logged(there)] == ["insert", "update", "update"]
    assert there.state().table == ORDERS
    check_history(there, gaps=True)
