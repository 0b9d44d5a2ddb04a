"""A configuration that changes after the first sync: applied where that is exact, else refused."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from connector import job
from connector.core.spec import Deletes, TableSpec
from connector.errors import ConfigError, CursorMoved, DestinationRefused, Interrupted
from connector.events import quiet
from connector.stop import Stop
from tests.rigs.scripted import RunningClock, ScriptedDynamoDB

from .replica import ORDERS, SCHEMA, Replica, key, order, polled

# The contract suites show of each database what it does here.
pytestmark = pytest.mark.by_turns("replica")


@pytest.fixture(params=["duckdb", "postgres"])
def replica(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Replica]:
    """Ten orders with their stream, on their way to each database."""
    database = request.getfixturevalue("kept_postgres").url if request.param == "postgres" else ""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_REGION", "us-west-2")
    with ScriptedDynamoDB(clock=RunningClock()) as rig:
        rig.create_table(ORDERS, SCHEMA).load(order(n, n) for n in range(10))
        settings: dict[str, object] = {"spool": str(tmp_path / "spool")}
        yield Replica(rig, tmp_path, settings=settings, database=database)


def keep(replica: Replica, **settings: object) -> None:
    """Changes how the table is kept."""
    replica.settings["tables"] = {ORDERS: settings}


def wide(text: object, **numbers: int) -> dict[str, Any]:
    """An order with numbers by name."""
    return {**key(text), **{name: {"N": str(n)} for name, n in numbers.items()}}


def total(replica: Replica, name: str = "n", table: str = "orders") -> int | None:
    """The sum of a column, as a reader gets it."""
    (row,) = replica.sql(f'SELECT CAST(sum("{name}") AS BIGINT) FROM {table}')
    found: int | None = row[0]
    return found


def packed_total(replica: Replica, name: str = "n") -> int | None:
    """The sum of what is in `_rest`, as a reader gets it."""
    (row,) = replica.sql(
        f"SELECT CAST(sum(CAST(_rest->>'{name}' AS BIGINT)) AS BIGINT) FROM orders"
    )
    found: int | None = row[0]
    return found


def columns(replica: Replica, table: str = "orders") -> set[str]:
    """The columns that a reader sees, but for those that every table has."""
    sql = f"SELECT column_name FROM information_schema.columns WHERE table_name = '{table}'"
    return {name for (name,) in replica.sql(sql)} - {"_changed_at", "_commit"}


def everything(replica: Replica) -> list[tuple[str, str]]:
    """All that a refused change must leave as it was."""
    state = [f"_connector.{name}" for name in ("tables", "cursors", "columns", "tombstones")]
    text = "SELECT '{0}', CAST(t AS TEXT) FROM {0} AS t"
    return sorted(replica.sql(" UNION ALL ".join(map(text.format, (*state, "orders")))))


def refused(replica: Replica, about: str) -> str:
    """The hint of a change that is refused, by every command, and changes nothing."""
    before = everything(replica)
    for use in (replica.sync, replica.run().snapshot, lambda: replica.run().tail(lambda t: True)):
        with pytest.raises(ConfigError, match=about) as caught:
            use()
        assert caught.value.exit_code == 2
        assert everything(replica) == before
    return caught.value.hint


def refresh(replica: Replica, hint: str) -> None:
    """Does what the hint says."""
    assert f"connector snapshot {ORDERS} --full-refresh" in hint
    replica.run().snapshot(full_refresh=True)
    assert replica.verdict().equal


def test_columns_are_packed_by_a_full_refresh_and_come_back_by_another(replica: Replica) -> None:
    replica.sync()
    keep(replica, layout="packed")
    refresh(replica, refused(replica, "layout is now packed and was columns"))
    assert columns(replica) == {"id", "_rest"}
    assert packed_total(replica) == 45
    replica.model.put(order(0, 100))
    replica.sync()
    assert replica.verdict().equal
    keep(replica)
    refresh(replica, refused(replica, "layout is now columns and was packed"))
    assert columns(replica) == {"id", "n"}
    assert total(replica) == 145
    replica.model.put(wide("new", n=5, m=7))
    replica.sync()
    assert (total(replica), total(replica, "m")) == (150, 7)
    assert replica.verdict().equal


def test_rows_stay_readable_while_a_refresh_changes_the_layout(replica: Replica) -> None:
    replica.sync()
    keep(replica, layout="packed")
    with pytest.raises(Interrupted):
        replica.run(polled(lambda: replica.rig.calls.count("Scan") > 1)).snapshot(True)
    replica.model.put(order(3, 30))
    # The tail alone: the old rows are there until the scan is loaded.
    replica.run().tail(lambda tail: tail.caught_up())
    assert total(replica) == 45 - 3
    assert packed_total(replica) == 30
    replica.sync()
    assert columns(replica) == {"id", "_rest"}
    assert packed_total(replica) == 45 + 27
    assert replica.verdict().equal


def test_more_columns_are_allowed_where_none_was_missing(replica: Replica) -> None:
    keep(replica, max_columns=3)
    replica.model.put(wide("a", n=0, m=1))
    replica.sync()
    keep(replica, max_columns=4)
    replica.model.put(wide("b", n=0, m=1, o=2))
    replica.sync()
    assert columns(replica) == {"id", "n", "m", "o"}
    assert replica.verdict().equal


def test_more_columns_need_a_full_refresh_where_some_were_missing(replica: Replica) -> None:
    keep(replica, max_columns=2)
    replica.model.put(wide("a", n=0, m=1))
    replica.sync()
    assert packed_total(replica, "m") == 1
    keep(replica, max_columns=4)
    hint = refused(replica, "max_columns is now 4 and was 2")
    replica.model.put(wide("b", n=0, m=2))
    refresh(replica, hint)
    assert columns(replica) == {"id", "n", "m"}
    assert total(replica, "m") == 3


def test_fewer_columns_leave_those_that_are_there(replica: Replica) -> None:
    replica.model.put(wide("a", n=0, m=1, o=1))
    replica.sync()
    keep(replica, max_columns=2)
    replica.model.put(wide("b", p=7, o=2, m=2, n=5))
    replica.sync()
    assert columns(replica) == {"id", "n", "m", "o", "_rest"}
    assert [total(replica, name) for name in ("n", "m", "o")] == [50, 3, 3]
    assert packed_total(replica, "p") == 7
    assert replica.verdict().equal


def test_an_attribute_is_never_in_two_places_in_whatever_order_they_come(replica: Replica) -> None:
    keep(replica, max_columns=3)
    replica.model.put(wide("a", n=1, m=1))
    replica.sync()
    # A new run meets others first.
    replica.model.put(wide("b", x=1, y=1, z=1), wide("c", y=2, m=2, x=2, n=2))
    replica.sync()
    replica.model.put(wide("d", x=3, n=3, m=3))
    replica.sync()
    assert (total(replica, "n"), total(replica, "m")) == (45 + 6, 6)
    assert packed_total(replica, "x") == 6
    assert columns(replica) == {"id", "n", "m", "_rest"}
    assert replica.verdict().equal


def test_a_null_or_a_foreign_attribute_takes_no_column_from_another(replica: Replica) -> None:
    keep(replica, max_columns=3)
    nothing = {"v": {"NULL": True}, "w": {"NULL": True}, "aws:rep:updatetime": {"N": "1"}}
    replica.model.put({**order("a", 1), **nothing, "m": {"N": "4"}, "b": {"B": "/w=="}})
    replica.sync()
    # No attribute beyond the limit: m and b are the two that have a value.
    replica.model.put({**wide("b", m=5), "b": {"B": "AA=="}}, wide("c", n=5))
    replica.sync()
    everywhere = sum(total(replica, name) or 0 for name in columns(replica) & {"n", "m"}) + sum(
        packed_total(replica, name) or 0 for name in ("n", "m") if "_rest" in columns(replica)
    )
    assert everywhere == 45 + 1 + 5 + 9
    assert not ({"n", "m", "b"} & columns(replica)) & in_rest(replica)
    assert replica.verdict().equal


def in_rest(replica: Replica) -> set[str]:
    """The attributes that some row has in `_rest`."""
    if "_rest" not in columns(replica):
        return set()
    if replica.database:
        sql = "SELECT DISTINCT jsonb_object_keys(_rest) FROM orders WHERE _rest IS NOT NULL"
    else:
        sql = "SELECT DISTINCT unnest(json_keys(_rest)) FROM orders WHERE _rest IS NOT NULL"
    return {name for (name,) in replica.sql(sql)}


def test_several_workers_that_meet_other_attributes_first_agree(replica: Replica) -> None:
    keep(replica, max_columns=3)
    replica.settings |= {"scan.segments": 4, "scan.workers": 4}
    names = ["n", "m", "o", "p", "q"]
    replica.model.load(
        wide(f"row {n}", **{names[(n + k) % 5]: 1 for k in range(5)}) for n in range(40)
    )
    replica.sync()
    assert len(columns(replica) - {"_rest"}) == 3
    assert not columns(replica) & in_rest(replica)
    for name in set(names) - columns(replica):
        assert packed_total(replica, name) == (85 if name == "n" else 40)
    for name in set(names) & columns(replica):
        assert total(replica, name) == (85 if name == "n" else 40)
    assert replica.verdict().equal


def test_verify_reports_a_value_beside_the_column_of_its_name(replica: Replica) -> None:
    keep(replica, max_columns=2)
    replica.model.put(wide("a", n=1, m=1))
    replica.sync()
    assert replica.verdict().equal
    rest = '{"m":1,"n":1}'
    replica.by_hand(f"UPDATE orders SET n = NULL, _rest = '{rest}' WHERE id = 'a'")
    verdict = replica.verdict()
    assert (verdict.different.count, verdict.different.keys) == (1, ['["a"]'])


@pytest.mark.parametrize("after", [{"layout": "packed"}, {"max_columns": 600}])
def test_a_change_while_the_scan_is_under_way_is_refused(
    replica: Replica, after: dict[str, object]
) -> None:
    began_to_scan(replica)
    keep(replica, **after)
    hint = refused(replica, "scan is under way")
    # Its steps under Airflow end as they were planned.
    state = replica.state()
    assert state.spec
    scan = job.open_segment_scan(
        replica.config(),
        ORDERS,
        plan_id=state.plan_id,
        segments=state.segments,
        spec=state.spec,
        listener=quiet,
        stop=Stop.never(),
    )
    assert scan.run(0)
    replica.run().load()
    assert total(replica) == 45
    if after == {"layout": "packed"}:
        hint = refused(replica, "layout is now packed")
        refresh(replica, hint)
        assert packed_total(replica) == 45
    else:
        replica.sync()
        assert replica.verdict().equal


def began_to_scan(replica: Replica) -> None:
    """A snapshot that is planned, and no more."""
    with pytest.raises(Interrupted):
        replica.run(polled(lambda: True)).snapshot()
    assert replica.state().phase.value == "loading"


def test_fewer_columns_while_the_scan_is_under_way(replica: Replica) -> None:
    replica.model.load([wide("z", n=1, m=1, o=1)])
    began_to_scan(replica)
    keep(replica, max_columns=2)
    replica.sync()
    assert len(columns(replica) - {"_rest"}) == 2
    assert replica.verdict().equal
    assert not columns(replica) & in_rest(replica)


def test_a_run_that_began_before_the_change_ends(replica: Replica) -> None:
    replica.sync()
    run = replica.run()
    state = run.planned()
    with run._tail(state) as tail:
        keep(replica, max_columns=2)
        replica.sync()
        replica.model.put(wide("a", n=1, m=1))
        with pytest.raises(CursorMoved, match="changed its settings") as caught:
            tail.until(tail.caught_up)
    assert caught.value.exit_code == 4
    replica.sync()
    assert packed_total(replica, "m") == 1


def test_a_table_gets_its_new_name_with_all_it_holds(replica: Replica) -> None:
    keep(replica, deletes="soft")
    replica.model.put(order("a", 1))
    replica.sync()
    replica.model.delete(key("a"))
    replica.sync()
    keep(replica, deletes="soft", into="sales")
    replica.model.put(order(1, 11))
    state = replica.sync()
    assert (state.target, total(replica, table="sales")) == ("sales", 56)
    assert not columns(replica)
    assert replica.verdict().equal
    keep(replica, deletes="soft", into="Sales")
    replica.sync()
    assert total(replica, table='"Sales"') == 56
    keep(replica, deletes="soft")
    replica.sync()
    assert (total(replica), columns(replica, "sales")) == (56, set())
    assert replica.verdict().equal


def test_a_table_moves_to_another_schema(replica: Replica) -> None:
    keep(replica, deletes="soft")
    replica.sync()
    replica.model.delete(key(9))
    replica.sync()
    replica.settings["destination.schema"] = "analytics"
    replica.model.put(order(1, 11))
    replica.sync()
    assert total(replica, table="analytics.orders") == 55
    assert replica.sql(
        "SELECT table_schema FROM information_schema.tables WHERE table_name = 'orders'"
    ) == [("analytics",)]
    keep(replica, deletes="soft", into="sales")
    replica.settings["destination.schema"] = "other"
    replica.model.delete(key(8))
    replica.run().snapshot(full_refresh=True)
    assert total(replica, table="other.sales") == 55
    assert replica.sql("SELECT count(*) FROM other.sales WHERE _deleted") == [(2,)]
    assert replica.verdict().equal


@pytest.mark.parametrize("kind", ["TABLE", "VIEW"])
def test_a_name_that_is_taken_is_refused(replica: Replica, kind: str) -> None:
    replica.sync()
    body = "AS SELECT 1 AS id" if kind == "VIEW" else "(id bigint)"
    replica.by_hand(f"CREATE {kind} sales {body}")
    keep(replica, into="sales")
    hint = refused(replica, "should go to .*sales, but that name is taken")
    assert "into" in hint
    with pytest.raises(ConfigError):
        replica.run().snapshot(full_refresh=True)
    replica.by_hand(f"DROP {kind} sales")
    replica.sync()
    assert total(replica, table="sales") == 45


def test_two_tables_that_swap_their_names_are_told_how(replica: Replica) -> None:
    replica.rig.create_table("users", SCHEMA).load([order("u", 7)])
    users = Replica(replica.rig, replica.folder, "users", dict(replica.settings), replica.database)
    replica.sync()
    users.sync()
    both = {ORDERS: {"into": "users"}, "users": {"into": "orders"}}
    replica.settings["tables"] = users.settings["tables"] = both
    for each, other in ((replica, "users"), (users, ORDERS)):
        with pytest.raises(ConfigError, match=f"where {other} is") as caught:
            each.sync()
        assert "third name" in caught.value.hint
    replica.settings["tables"] = {ORDERS: {"into": "third"}}
    replica.sync()
    users.sync()
    replica.settings["tables"] = both
    replica.sync()
    assert (total(replica, table="users"), total(replica, table="orders")) == (45, 7)


def test_a_table_takes_the_name_of_one_that_is_kept_no_longer(replica: Replica) -> None:
    replica.rig.create_table("users", SCHEMA).load([order("u", 7)])
    users = Replica(replica.rig, replica.folder, "users", dict(replica.settings), replica.database)
    replica.sync()
    users.sync()
    keep(replica, into="users")
    with pytest.raises(ConfigError, match="where users is") as caught:
        replica.sync()
    assert "`connector reset users --drop`" in caught.value.hint
    job.open_destination(users.config()).reset("users", drop=True)
    replica.sync()
    assert total(replica, table="users") == 45
    assert replica.verdict().equal


def test_a_chain_of_names_goes_from_its_end(replica: Replica) -> None:
    replica.rig.create_table("users", SCHEMA).load([order("u", 7)])
    users = Replica(replica.rig, replica.folder, "users", dict(replica.settings), replica.database)
    replica.sync()
    users.sync()
    both = {ORDERS: {"into": "users"}, "users": {"into": "people"}}
    replica.settings["tables"] = users.settings["tables"] = both
    with pytest.raises(ConfigError, match="where users is") as caught:
        replica.sync()
    assert "connector sync users" in caught.value.hint
    users.sync()
    replica.sync()
    assert (total(replica, table="users"), total(replica, table="people")) == (45, 7)


def test_deletes_are_marked_from_now_on(replica: Replica) -> None:
    replica.sync()
    replica.model.delete(key(0))
    replica.sync()
    keep(replica, deletes="soft")
    replica.model.delete(key(1))
    replica.sync()
    assert replica.sql("SELECT id, _deleted FROM orders WHERE id < '2'") == [("1", True)]
    assert replica.verdict().equal


@pytest.mark.parametrize("before", ["soft", "ignore-ttl"])
def test_marked_rows_go_where_deletes_are_applied(replica: Replica, before: str) -> None:
    keep(replica, deletes=before)
    replica.sync()
    replica.model.delete(key(0))
    replica.model.expire(key(1))
    replica.sync()
    assert replica.sql("SELECT count(*) FROM orders WHERE _deleted")[0][0] >= 1
    keep(replica)
    replica.sync()
    assert replica.sql("SELECT count(*) FROM orders") == [(8,)]
    assert replica.verdict().equal
    replica.model.delete(key(2))
    replica.sync()
    assert replica.sql("SELECT count(*) FROM orders") == [(7,)]


def test_what_expired_cannot_be_told_from_what_was_deleted(replica: Replica) -> None:
    keep(replica, deletes="soft")
    replica.sync()
    replica.model.delete(key(0))
    replica.sync()
    keep(replica, deletes="ignore-ttl")
    refresh(
        replica, refused(replica, "it is unknown which of the rows marked as deleted have expired")
    )
    assert replica.sql("SELECT count(*) FROM orders") == [(9,)]
    replica.model.expire(key(1))
    replica.model.delete(key(2))
    replica.sync()
    assert replica.sql("SELECT id FROM orders WHERE _deleted") == [("1",)]


def test_without_a_marked_row_it_can(replica: Replica) -> None:
    keep(replica, deletes="soft")
    replica.sync()
    keep(replica, deletes="ignore-ttl")
    replica.model.delete(key(0))
    replica.sync()
    assert replica.sql("SELECT count(*) FROM orders") == [(9,)]
    keep(replica, deletes="soft")
    replica.model.delete(key(1))
    replica.sync()
    assert replica.sql("SELECT count(*) FROM orders WHERE _deleted") == [(1,)]


def test_marks_of_a_scan_under_way_are_not_forgotten(replica: Replica) -> None:
    keep(replica, deletes="soft")
    began_to_scan(replica)
    replica.model.delete(key(0))
    replica.run().tail(lambda tail: tail.caught_up())
    keep(replica)
    hint = refused(replica, "could bring back rows")
    refresh(replica, hint)
    assert total(replica) == 45
    assert replica.sql("SELECT count(*) FROM orders") == [(9,)]


def test_what_0_1_0_did_not_remember_is_what_is_configured_now(replica: Replica) -> None:
    keep(replica, max_columns=7)
    replica.sync()
    replica.by_hand("UPDATE _connector.tables SET spec = NULL, overflowed = NULL")
    keep(replica, max_columns=9, deletes="soft")
    replica.sync()
    assert replica.state().spec == TableSpec("columns", 9, Deletes.SOFT)
    keep(replica, layout="packed")
    refused(replica, "layout is now packed")


def test_a_retired_column_of_an_attribute_marks_no_row(replica: Replica) -> None:
    replica.model.put({**order("a"), "_deleted": {"BOOL": True}})
    replica.sync()
    keep(replica, layout="packed")
    with pytest.raises(Interrupted):
        replica.run(polled(lambda: replica.rig.calls.count("Scan") > 1)).snapshot(True)
    replica.model.put({**order("b"), "_deleted": {"BOOL": True}}, order(1, 1))
    replica.run().tail(lambda tail: tail.caught_up())
    assert {mark for (mark,) in replica.sql("SELECT _deleted FROM orders")} == {None}
    assert job.open_destination(replica.config()).count(ORDERS) == 12
    replica.sync()
    assert columns(replica) == {"id", "_rest"}
    assert replica.verdict().equal


def test_deletes_are_not_marked_in_a_retired_column_of_an_attribute(replica: Replica) -> None:
    replica.model.put({**order("a"), "_deleted": {"BOOL": True}})
    replica.sync()
    keep(replica, layout="packed")
    with pytest.raises(Interrupted):
        replica.run(polled(lambda: replica.rig.calls.count("Scan") > 1)).snapshot(True)
    keep(replica, layout="packed", deletes="soft")
    refresh(replica, refused(replica, "an attribute has the column _deleted"))
    replica.model.delete(key("a"))
    replica.sync()
    assert replica.sql("SELECT id FROM orders WHERE _deleted") == [("a",)]
    assert replica.verdict().equal


def test_a_column_that_marked_rows_still_fill_is_used_again(replica: Replica) -> None:
    keep(replica, deletes="soft")
    replica.sync()
    replica.model.delete(*(key(n) for n in range(9)))
    replica.model.put(key(9))
    replica.sync()
    keep(replica, deletes="soft", layout="packed")
    replica.run().snapshot(True, yes=True)
    assert columns(replica) == {"id", "n", "_deleted"}
    keep(replica, deletes="soft")
    for n in (50, 60):
        replica.model.put(order(9, n))
        replica.sync()
    assert columns(replica) == {"id", "n", "_deleted"}
    assert total(replica) == 36 + 60
    assert replica.verdict().equal


def test_a_column_that_only_marked_rows_fill_is_no_difference(replica: Replica) -> None:
    keep(replica, deletes="soft")
    replica.sync()
    replica.model.delete(key(0))
    replica.sync()
    keep(replica, deletes="soft", layout="packed")
    refresh(replica, refused(replica, "layout is now packed and was columns"))
    assert columns(replica) == {"id", "n", "_deleted", "_rest"}
    assert (total(replica), packed_total(replica)) == (0, 45)
    replica.by_hand("UPDATE orders SET n = 7 WHERE id = '3'")
    assert replica.verdict().different.keys


# In Postgres the column takes its index with it.
@pytest.mark.by_turns()
def test_an_index_on_a_column_that_must_go_is_named_and_nothing_is_lost(replica: Replica) -> None:
    replica.sync()
    replica.by_hand("CREATE INDEX mine ON orders (n)")
    keep(replica, layout="packed")
    try:
        replica.run().snapshot(True)
    except DestinationRefused as refusal:
        assert not replica.database
        assert "the index main.mine" in refusal.message
        assert total(replica) == 45
        replica.by_hand("DROP INDEX mine")
        replica.sync()
    assert (columns(replica), packed_total(replica)) == ({"id", "_rest"}, 45)
    assert replica.verdict().equal
