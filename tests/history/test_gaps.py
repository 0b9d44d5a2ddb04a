"""What a history says of what nobody saw: gaps, and items that could not be stored."""

import pytest

from connector.errors import HistoryLost
from tests.pipeline.replica import ORDERS, Replica, key, order

from .test_versions import told
from .truth import check_history

pytestmark = pytest.mark.by_turns("url")


@pytest.mark.parametrize("lost", ["disabled", "noted"])
def test_after_a_gap_versions_say_so(replica: Replica, lost: str) -> None:
    replica.model.load([order(name, 1) for name in ("same", "differs", "gone", "later")])
    replica.sync()
    if lost == "disabled":
        replica.model.disable_stream()
    replica.model.put(order("differs", 2), order("new", 1))
    replica.model.delete(key("gone"))
    if lost == "disabled":
        replica.model.enable_stream()
        with pytest.raises(HistoryLost):
            replica.sync()
    else:
        replica.model.stream.trim()
        replica.run().destination.note(ORDERS, "HistoryLost: told by hand")
    replica.run().snapshot(full_refresh=True)
    assert told(replica, "same") == [(1, "snapshot", None)]
    assert told(replica, "differs") == [(1, "snapshot", "gap"), (2, "gap", None)]
    assert told(replica, "gone") == [(1, "snapshot", "gap")]
    assert told(replica, "new") == [(1, "gap", None)]
    assert replica.sql("SELECT count(*) FROM orders__changes") == [(0,)]
    replica.model.put(order("later", 2))
    replica.sync()
    assert told(replica, "later") == [(1, "snapshot", "update"), (2, "update", None)]
    check_history(replica, gaps=True)


def test_what_a_stream_changes_before_the_load_was_unknown_through_the_gap(
    replica: Replica,
) -> None:
    replica.model.load([order("a", 1), order("b", 1)])
    replica.sync()
    replica.model.disable_stream()
    replica.model.enable_stream()
    run = replica.run()
    planned = run.begin(full_refresh=True)
    assert planned.after_gap
    replica.model.put(order("a", 2), order("a", 3))
    replica.model.delete(key("b"))
    replica.run().tail(lambda tail: tail.caught_up())
    assert told(replica, "a") == [
        (1, "snapshot", "gap"),
        (2, "gap", "update"),
        (3, "update", None),
    ]
    assert told(replica, "b") == [(1, "snapshot", "gap")]
    replica.sync()
    assert told(replica, "a")[-1] == (3, "update", None)
    check_history(replica, gaps=True)
    replica.assert_equal()


def test_an_item_that_cannot_be_stored_has_no_version(replica: Replica) -> None:
    replica.model.load([order("a", 1)])
    replica.sync()
    odd = {**order("a", 2), "text": {"S": "a\ud800b"}}
    replica.model.put(odd, order("a", 3), odd)
    replica.sync()
    assert told(replica, "a") == [(1, "snapshot", "update"), (3, "update", "update")]
    found = replica.sql("SELECT _op, _before IS NULL, _after IS NULL FROM orders__changes")
    assert found == [("update", False, True), ("update", True, False), ("update", False, True)]
    assert replica.sql("SELECT count(*) FROM _connector.quarantine") == [(2,)]
    replica.model.put(order("a", 4))
    replica.sync()
    assert told(replica, "a")[-1] == (4, "update", None)


def test_a_record_that_only_a_global_table_made_is_not_kept(replica: Replica) -> None:
    replica.model.load([order("a", 1)])
    replica.sync()
    replica.model.put({**order("a", 2), "aws:rep:updatetime": {"N": "1"}})
    replica.model.put({**order("a", 2), "aws:rep:updatetime": {"N": "2"}})
    replica.sync()
    assert told(replica, "a") == [(1, "snapshot", "update"), (2, "update", None)]
    ((after,),) = replica.sql("SELECT CAST(_after AS VARCHAR) FROM orders__changes")
    assert "aws:rep" not in after
