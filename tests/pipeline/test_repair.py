"""`verify --repair` and `--sample`: what differs is found, in whole or in part, and mended."""

from pathlib import Path
from typing import Any

import pytest

from connector.core.state import Phase
from connector.errors import ConfigError, CursorMoved
from connector.events import quiet
from connector.pipeline.comparing.sample import Sample
from connector.pipeline.repair import Repair
from connector.pipeline.sync import Run
from connector.pipeline.verify import Verdict, verify
from tests.rigs.scripted import ScriptedDynamoDB, faults

from .replica import ORDERS, SCHEMA, Replica, caught_up, change, key, order

# The contract suites show of each database what it does here.
pytestmark = pytest.mark.by_turns("replica")

LOOK_UP = "BatchGetItem"


@pytest.fixture(params=["duckdb", "postgres"])
def replica(request: pytest.FixtureRequest, rig: ScriptedDynamoDB, tmp_path: Path) -> Replica:
    """Forty orders, loaded."""
    rig.create_table(ORDERS, SCHEMA).load(order(n, n) for n in range(40))
    made = Replica(rig, tmp_path)
    if request.param == "postgres":
        made.database = request.getfixturevalue("kept_postgres").url
    made.sync()
    return made


def compared(
    replica: Replica, repair: bool = True, share: float | None = None, run: Run | None = None
) -> Verdict:
    """A comparison, with a repair unless it is not wanted."""
    run = run or replica.run()
    state = replica.state()
    repairs = Repair(run.lookup, run.destination, run.encoder(state), 100)
    return verify(
        run.pages,
        run.lookup,
        run.destination,
        state,
        segments=2,
        tail=lambda: run.up_to_date(caught_up) and None,
        listener=quiet,
        sample=None if share is None else Sample(share),
        repair=(lambda keys: repairs.run(state, keys)) if repair else None,
    )


def spoil(replica: Replica) -> None:
    """A wrong row, one that is missing, one too many."""
    replica.by_hand("UPDATE orders SET n = 666 WHERE id = '1'")
    replica.by_hand("DELETE FROM orders WHERE id = '2'")
    replica.by_hand(
        "INSERT INTO orders SELECT 'ghost', n, _changed_at, _commit FROM orders WHERE id = '3'"
    )


def test_every_kind_of_difference_is_repaired(replica: Replica) -> None:
    spoil(replica)
    before = replica.state()
    verdict = compared(replica)
    assert verdict.equal
    assert verdict.matching == 40
    assert verdict.repaired is not None
    assert (verdict.repaired.count, verdict.repaired.keys) == (3, ['["1"]', '["2"]', '["ghost"]'])
    replica.assert_equal()
    after = replica.state()
    assert (after.generation, after.shards) == (before.generation, before.shards)
    assert after.commit > before.commit
    assert after.consistent_since == before.consistent_since
    (commits,) = replica.sql(
        "SELECT count(*) FROM orders WHERE _commit = (SELECT max(_commit) FROM orders)"
    )
    assert commits == (2,)
    change(replica)
    replica.sync()
    replica.assert_equal()
    again = compared(replica)
    assert again.equal
    assert again.repaired is not None
    assert again.repaired.count == 0


# Only DuckDB lets anybody add it.
@pytest.mark.by_turns()
def test_a_row_twice(replica: Replica) -> None:
    replica.by_hand("INSERT INTO orders SELECT * FROM orders WHERE id = '4'") if (
        not replica.database
    ) else replica.by_hand("UPDATE orders SET n = 5 WHERE id = '4'")
    verdict = compared(replica)
    assert verdict.equal
    replica.assert_equal()


def test_without_repair_nothing_is_written(replica: Replica) -> None:
    spoil(replica)
    before = replica.numbers()
    verdict = compared(replica, repair=False)
    found = (verdict.missing.count, verdict.extra.count, verdict.different.count)
    assert found == (1, 1, 1)
    assert verdict.repaired is None
    assert replica.numbers() == before


def test_a_tail_beside_is_never_undone(replica: Replica) -> None:
    """What was looked up before the tail's commit is thrown away, and read again."""
    spoil(replica)
    ran: list[bool] = []

    def tailed() -> None:
        if not ran:
            ran.append(True)
            replica.model.put(order(1, 2))
            replica.sync()
            # Written after the look-up's item was read, and before the repair's commit.
            replica.model.put(order(2, 3))
            replica.sync()

    run = replica.run()
    original = run.lookup.confirm

    def confirm(planned: Any) -> None:
        original(planned)
        if run.lookup.looked:  # type: ignore[attr-defined]
            tailed()

    inner = run.lookup.items

    def items(keys: Any) -> Any:
        run.lookup.looked = True  # type: ignore[attr-defined]
        return inner(keys)

    run.lookup.looked = False  # type: ignore[attr-defined]
    run.lookup.confirm, run.lookup.items = confirm, items  # type: ignore[method-assign]
    state = replica.state()
    Repair(run.lookup, run.destination, run.encoder(state), 100).run(
        state, ['["1"]', '["2"]', '["ghost"]']
    )
    assert ran
    replica.assert_equal()


def test_a_new_generation_ends_the_repair(replica: Replica) -> None:
    spoil(replica)
    run, state = replica.run(), replica.state()
    replica.run().snapshot(full_refresh=True, yes=True)
    with pytest.raises(CursorMoved):
        Repair(run.lookup, run.destination, run.encoder(state), 100).run(state, ['["1"]'])


def test_a_table_that_is_not_loaded_is_not_repaired(replica: Replica) -> None:
    state = replica.run().begin(full_refresh=True)
    assert state.phase is Phase.LOADING
    run = replica.run()
    with pytest.raises(ConfigError, match="not loaded yet"):
        Repair(run.lookup, run.destination, run.encoder(state), 100).run(state, ['["1"]'])


def test_an_item_that_cannot_be_stored_stays_a_difference(replica: Replica) -> None:
    replica.model.put({**key(1), "bad": {"ZZ": "1"}})
    replica.sync()
    spoil(replica)
    for _ in range(2):
        verdict = compared(replica)
        assert not verdict.equal
        assert verdict.missing.keys == ['["1"]']
        assert verdict.different.count == verdict.extra.count == 0
    # The record's, and the one of the repair, once.
    assert replica.state().quarantined == 2


def test_thousands_of_keys_are_repaired_in_parts(replica: Replica) -> None:
    replica.model.put(*(order(f"k{n}", n) for n in range(1000)))
    replica.sync()
    replica.by_hand("DELETE FROM orders WHERE id LIKE 'k%'")
    verdict = compared(replica)
    assert verdict.equal
    assert verdict.repaired is not None
    assert (verdict.repaired.count, len(verdict.repaired.keys)) == (1000, 10)
    written = "SELECT count(DISTINCT _commit) FROM orders WHERE id LIKE 'k%'"
    assert replica.sql(written) == [(3,)]
    replica.assert_equal()


def test_items_that_change_meanwhile(replica: Replica) -> None:
    spoil(replica)
    writes = faults.run(lambda: replica.model.put(order(1, 77)))
    replica.rig.faults.add(writes, on=LOOK_UP, after=1)
    compared(replica)
    replica.sync()
    assert compared(replica).equal
    replica.assert_equal()


@pytest.mark.parametrize("deletes", ["soft", "ignore-ttl"])
def test_rows_that_are_marked_as_deleted(
    rig: ScriptedDynamoDB, tmp_path: Path, deletes: str
) -> None:
    rig.create_table(ORDERS, SCHEMA).load(order(n, n) for n in range(6))
    replica = Replica(rig, tmp_path, settings={"tables": {ORDERS: {"deletes": deletes}}})
    replica.sync()
    replica.model.expire(key(5))
    replica.sync()
    replica.by_hand("DELETE FROM orders WHERE id = '1'")
    replica.by_hand("UPDATE orders SET id = 'ghost' WHERE id = '2'")
    assert compared(replica).equal
    found = dict(replica.sql("SELECT id, _deleted FROM orders"))
    assert {each for each, gone in found.items() if gone} == {"5", "ghost"}
    assert {each for each, gone in found.items() if not gone} == {"0", "1", "2", "3", "4"}


def test_a_table_that_is_not_followed(rig: ScriptedDynamoDB, tmp_path: Path) -> None:
    rig.create_table(ORDERS, SCHEMA, view=None).load(order(n, n) for n in range(6))
    replica = Replica(rig, tmp_path, settings={"tables": {ORDERS: {"follow": "none"}}})
    replica.sync()
    replica.model.put(order(1, 9))
    replica.model.delete(key(2))
    replica.model.put(order("new", 1))
    assert compared(replica).equal
    replica.assert_equal()
    assert replica.state().generation == 1


def test_a_sample_reads_a_share_of_both_sides(replica: Replica) -> None:
    replica.model.put(*(order(f"k{n}", n) for n in range(2000)))
    replica.sync()
    replica.rig.calls.clear()
    verdict = compared(replica, repair=False, share=0.1)
    assert verdict.equal
    assert verdict.sampled is not None
    assert verdict.sampled.share == 0.1
    # About a tenth by segments, and another by rows.
    assert 150 < verdict.sampled.keys < 800
    assert verdict.matching == verdict.sampled.keys
    scans = replica.rig.calls.of("Scan")
    assert {call.parameters["TotalSegments"] for call in scans} == {20}
    assert len({call.segment for call in scans}) == 2


def test_samples_find_each_kind_of_difference_in_time(replica: Replica) -> None:
    spoil(replica)
    kinds: set[str] = set()
    for _ in range(60):
        verdict = compared(replica, repair=False, share=0.3)
        for kind in ("missing", "extra", "different"):
            if getattr(verdict, kind).count:
                kinds.add(kind)
        if len(kinds) == 3:
            break
    assert kinds == {"missing", "extra", "different"}


def test_a_sample_of_everything_is_everything(replica: Replica) -> None:
    spoil(replica)
    verdict = compared(replica, repair=False, share=1.0)
    found = (verdict.missing.count, verdict.extra.count, verdict.different.count)
    assert (*found, verdict.matching) == (1, 1, 1, 38)


def test_a_sample_is_repaired(replica: Replica) -> None:
    spoil(replica)
    repaired = 0
    for _ in range(100):
        verdict = compared(replica, share=0.4)
        assert verdict.equal
        assert verdict.repaired is not None
        repaired += verdict.repaired.count
        if repaired == 3:
            break
    assert repaired == 3
    replica.assert_equal()
