"""Going on in another Region: what is read then, what is not, and what a reader sees meanwhile."""

import pytest

from connector import failpoints
from connector.core.state import Phase
from connector.errors import ConfigError, SourceRefused
from tests.cli.program import ended, wait_until
from tests.pipeline.replica import ORDERS, key, order

from .world import EAST, NORTH, WEST, World

pytestmark = pytest.mark.by_turns("there")


def test_a_table_goes_on_in_the_other_region(there: World) -> None:
    there.sync_here()
    assert there.state().identity.region == WEST
    there.lost()
    there.group.tables[EAST].put(order(1, 500), order("new", 1))
    there.group.tables[EAST].delete(key(2))
    state = there.fail_over()
    assert (state.identity.region, state.phase) == (EAST, Phase.TAILING)
    assert state.generation == 2
    there.assert_equal()
    there.group.tables[EAST].put(order(1, 501))
    there.sync_here()
    there.assert_equal()
    assert len(there.rig.calls) == 0


def test_a_lost_write_of_the_first_region_reverts(there: World) -> None:
    there.sync_here()
    there.group.cut(WEST)
    west = there.group.tables[WEST]
    west.put(order(1, 999), order("only here", 1))
    west.delete(key(3))
    there.sync_here()
    assert there.numbers()["1"] == 999
    assert "3" not in there.numbers()
    there.lost()
    there.fail_over()
    assert there.numbers()["1"] == 1
    assert there.numbers()["3"] == 3
    assert "only here" not in there.numbers()
    there.assert_equal()


def test_failing_back_is_the_same_command(there: World) -> None:
    there.sync_here()
    there.group.cut(WEST)
    there.group.tables[WEST].put(order(1, 999))
    there.lost()
    there.fail_over()
    there.group.tables[EAST].put(order(2, 222))
    there.sync_here()
    there.back()
    assert there.group.tables[WEST].items() == there.group.tables[EAST].items()
    state = there.fail_over(WEST)
    assert (state.identity.region, state.generation) == (WEST, 3)
    there.assert_equal()
    assert there.numbers()["2"] == 222
    assert there.numbers()["1"] == 999


def test_what_the_last_writer_has_written_wins_wherever_it_was(there: World) -> None:
    there.sync_here()
    there.group.tables[WEST].put(order(1, 100))
    there.group.tables[EAST].put(order(1, 200))
    there.sync_here()
    there.fail_over()
    there.group.converge()
    there.sync_here()
    assert there.numbers()["1"] == 200
    there.assert_equal()


def test_a_table_that_is_there_already_stays_as_it_is(there: World) -> None:
    there.sync_here()
    before = there.state()
    assert there.fail_over(WEST) == before
    there.fail_over(EAST)
    again = there.state()
    assert there.fail_over(EAST) == again


@pytest.mark.by_turns("layout")
@pytest.mark.parametrize("deletes", ["soft", "apply"])
@pytest.mark.parametrize("layout", ["columns", "packed"])
def test_the_tables_settings_go_with_it(files: World, deletes: str, layout: str) -> None:
    files.settings["tables"] = {ORDERS: {"deletes": deletes, "layout": layout}}
    files.sync_here()
    files.group.cut(WEST)
    files.group.tables[EAST].delete(key(1))
    files.fail_over()
    marked = "AND NOT _deleted" if deletes == "soft" else ""
    assert files.sql(f"SELECT count(*) FROM orders WHERE id = '1' {marked}") == [(0,)]
    verdict = files.verdict()
    assert verdict.equal


@pytest.mark.parametrize("follow", ["none", "stream"])
def test_a_table_that_nobody_follows_is_read_in_the_other_region(files: World, follow: str) -> None:
    files.settings["tables"] = {ORDERS: {"follow": follow}}
    files.sync_here()
    files.lost()
    files.group.tables[EAST].put(order(1, 7))
    files.fail_over()
    files.group.tables[EAST].put(order(1, 8))
    files.sync_here()
    assert files.numbers()["1"] == 8
    assert len(files.rig.calls) == 0


@pytest.mark.by_turns("there", "at", "then", at_once=4)
@pytest.mark.parametrize(
    ("at", "then"),
    [
        ("plan.before_commit", "failover"),
        ("plan.before_commit", "sync"),
        ("plan.after_commit", "failover"),
        ("plan.after_commit", "sync"),
        ("scan.after_page", "failover"),
        ("load.before_drop", "sync"),
        ("load.before_drop", "failover"),
        ("tail.after_read", "sync"),
        ("commit.before_commit", "failover"),
        ("commit.after_commit", "sync"),
        ("commit.before_commit:2", "failover"),
    ],
)
def test_one_that_was_killed_anywhere_goes_on(there: World, at: str, then: str) -> None:
    there.sync_here()
    there.group.cut(WEST)
    there.group.tables[WEST].put(order("lost", 1))
    there.sync_here()
    there.lost()
    there.group.tables[EAST].put(order(1, 11))
    killed = there.program.with_(**{failpoints.VARIABLE: at})
    assert killed("failover", ORDERS, "--region", EAST, *killed.to).code == -9
    # Before the plan is committed, nothing has happened yet.
    state = there.state()
    assert len(there.numbers()) in (40, 41)
    if then == "sync" and state.identity.region == WEST:
        there.back()
        assert there.program("sync", ORDERS, *there.program.to).code == 0
        there.assert_equal()
        return
    region = ["--region", EAST] if then == "failover" else []
    done = there.program(then, ORDERS, *region, *there.program.to)
    assert done.code == 0, done.stderr
    there.region = EAST
    assert there.program("sync", ORDERS, *there.program.to).code == 0
    assert there.state().identity.region == EAST
    there.assert_equal()
    assert len(there.rig.calls) == 0


def test_rows_that_would_vanish_in_numbers_need_a_yes(files: World) -> None:
    files.sync_here()
    files.group.cut(WEST)
    files.group.tables[WEST].put(*(order(f"lost {n}", n) for n in range(60)))
    files.sync_here()
    flags = ("failover", ORDERS, "--region", EAST, *files.program.to)
    refused = files.program(*flags)
    assert refused.code == 3, refused.stderr
    assert f"connector failover {ORDERS} --region {EAST} --yes" in refused.stderr
    assert len(files.numbers()) == 100
    done = files.program(*flags, "--yes")
    assert done.code == 0, done.stderr
    assert len(files.numbers()) == 40


def test_a_table_that_was_never_synced_has_nothing_to_leave(files: World) -> None:
    with pytest.raises(ConfigError, match="never synced"):
        files.fail_over()


def test_a_region_that_is_not_listed_is_refused(files: World) -> None:
    files.sync_here()
    with pytest.raises(ConfigError, match="eu-north-1 is not one of"):
        files.fail_over(NORTH)
    with pytest.raises(ConfigError, match="availability zone"):
        files.fail_over("us-west-2a")


def test_a_region_without_a_replica_is_refused(files: World) -> None:
    files.sync_here()
    files.other.delete_table(ORDERS)
    before = files.state()
    with pytest.raises(SourceRefused, match="no table orders in ap-southeast-2"):
        files.fail_over()
    assert files.state() == before


def test_a_table_that_was_not_loaded_yet_goes_on_too(there: World) -> None:
    killed = there.program.with_(**{failpoints.VARIABLE: "scan.after_page"})
    assert killed("sync", ORDERS, *killed.to).code == -9
    there.lost()
    there.group.tables[EAST].put(order("new", 1))
    there.fail_over()
    there.assert_equal()
    assert there.state().generation == 2


def test_a_table_that_needs_a_person_is_well_again(there: World) -> None:
    there.sync_here()
    there.by_hand("UPDATE _connector.tables SET problem = 'HistoryLost: gone.'")
    there.by_hand("UPDATE _connector.cursors SET seen_at = seen_at - INTERVAL '3 days'")
    assert there.fail_over().problem is None
    there.sync_here()
    there.assert_equal()


def test_what_still_follows_the_first_region_writes_nothing_more(there: World) -> None:
    program = there.program
    assert program("sync", ORDERS, *program.to).code == 0
    follower = program.start("sync", ORDERS, "--follow", *program.to)
    there.group.tables[WEST].put(order("seen", 1))
    wait_until(lambda: there.rig.calls.count("GetRecords") > 5, follower)
    there.group.cut(WEST)
    done = program("failover", ORDERS, "--region", EAST, "--yes", *program.to)
    assert done.code == 0, done.stderr
    there.group.tables[WEST].put(order("too late", 1), order(1, 999))
    left = ended(follower)
    assert left.code == 4, left.stderr
    assert "Another run has planned orders again" in left.stderr
    there.region = EAST
    there.assert_equal()
    assert program("sync", ORDERS, *program.to).code == 0
    there.assert_equal()
