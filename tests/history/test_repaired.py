"""A history and a log whose gap is filled from exports: what happened in it is still unknown."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from connector.errors import HistoryLost
from tests.exports.replica import Exported
from tests.pipeline.replica import ORDERS, SCHEMA, caught_up, key, order
from tests.rigs.scripted import RunningClock, ScriptedDynamoDB

from .test_versions import told
from .truth import check_history

pytestmark = pytest.mark.by_turns("url")


@pytest.fixture
def rig() -> Iterator[ScriptedDynamoDB]:
    """A server of some days ago."""
    with ScriptedDynamoDB(clock=RunningClock()) as running:
        running.clock.advance(hours=-100)
        yield running


@pytest.fixture
def made(rig: ScriptedDynamoDB, tmp_path: Path, url: str) -> Exported:
    """A table of orders that was read, and has changed since."""
    rig.create_table(ORDERS, SCHEMA)
    kept = Exported(rig, tmp_path, settings={"spool": str(tmp_path / "spool")}, database=url)
    kept.keep(snapshot="scan", history=True, changes=True)
    kept.model.load([order(each, 1) for each in ("a", "b", "same", "untouched")])
    kept.sync()
    kept.model.put(order("a", 2), order("same", 2), order("soon", 1))
    kept.model.delete(key("soon"))
    kept.sync()
    return kept


def logged(made: Exported) -> list[tuple[str, str]]:
    """The changes in the log."""
    return made.sql("SELECT id, _op FROM orders__changes ORDER BY length(_sequence), _sequence")


def oversleep(made: Exported) -> None:
    """Loses what happens in two days; windows have it, and the stream has what comes last."""
    at = made.now()
    made.rig.clock.advance(hours=1)
    made.model.put(order("a", 3), order("a", 4), order("new", 1), order("brief", 1))
    made.model.delete(key("b"), key("brief"))
    made.rig.clock.advance(hours=59)
    made.model.stream.roll_all()
    made.model.put(order("late", 1), order("a", 5))
    made.export_lost(at)


KNOWN = [("a", "update"), ("same", "update"), ("soon", "insert"), ("soon", "delete")]


@pytest.mark.parametrize("by", ["repair", "on_gap"])
def test_what_is_filled_in_says_that_it_was_a_gap(made: Exported, by: str) -> None:
    untouched = "SELECT * FROM orders WHERE id IN ('same', 'untouched') ORDER BY id"
    before = made.sql(untouched)
    assert logged(made) == KNOWN
    oversleep(made)
    if by == "repair":
        with pytest.raises(HistoryLost):
            made.sync()
        made.run().repair(caught_up)
    else:
        made.keep(snapshot="scan", history=True, changes=True, on_gap="repair")
        run = made.run()
        run.sync(caught_up)
    made.assert_equal()
    assert told(made, "a") == [
        (1, "snapshot", "update"),
        (2, "update", "gap"),
        (4, "gap", "update"),
        (5, "update", None),
    ]
    assert told(made, "b") == [(1, "snapshot", "gap")]
    assert told(made, "new") == [(1, "gap", None)]
    assert told(made, "brief") == []
    assert told(made, "soon") == [(1, "insert", "delete")]
    assert told(made, "late") == [(1, "insert", None)]
    assert made.sql(untouched) == before
    assert logged(made) == [*KNOWN, ("late", "insert"), ("a", "update")]
    made.model.put(order("b", 9), order("same", 3))
    made.sync()
    assert told(made, "b")[-1] == (9, "insert", None)
    assert told(made, "same") == [
        (1, "snapshot", "update"),
        (2, "update", "update"),
        (3, "update", None),
    ]
    check_history(made, gaps=True)
    assert made.verdict().equal


def test_a_repair_that_is_done_again_adds_nothing(made: Exported) -> None:
    oversleep(made)
    with pytest.raises(HistoryLost):
        made.sync()
    made.run().repair(caught_up)
    versions = made.sql("SELECT * FROM orders__history ORDER BY id, _version")
    changes = logged(made)
    made.by_hand("UPDATE _connector.tables SET problem = 'HistoryLost: once more'")
    made.run().repair(caught_up)
    made.sync()
    assert made.sql("SELECT * FROM orders__history ORDER BY id, _version") == versions
    assert logged(made) == changes
    made.assert_equal()
