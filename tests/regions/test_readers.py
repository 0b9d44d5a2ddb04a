"""A reader that looks again and again while a table fails over: it sees all of one Region."""

import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import duckdb
import pytest

from tests.cli.program import ended
from tests.pipeline.replica import ORDERS, order
from tests.rigs.scripted import faults

from .world import EAST, WEST, World

pytestmark = pytest.mark.by_turns("there")

LOOK = "SELECT count(*), sum(n), max(n) FROM orders"


def looks(world: World) -> Iterator[tuple[Any, ...]]:
    """What a reader sees, as often as it gets in."""
    while True:
        # The file of DuckDB is another program's while that commits.
        with suppress(duckdb.IOException):
            yield tuple(map(int, world.sql(LOOK)[0]))
        yield ()
        # Nor may a reader keep it from the other one for ever.
        time.sleep(0.05)


def test_a_reader_never_sees_an_empty_or_half_a_table(
    there: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.rigs.scripted.scan.PAGE_BYTES", 200)
    assert there.program("sync", ORDERS, *there.program.to).code == 0
    there.group.cut(WEST)
    there.group.tables[WEST].put(order(1, 999), order("lost", 5))
    assert there.program("sync", ORDERS, *there.program.to).code == 0
    numbers = list(range(40))
    old, new = (41, sum(numbers) - 1 + 999 + 5, 999), (40, sum(numbers), 39)
    assert tuple(map(int, there.sql(LOOK)[0])) == old
    there.other.faults.add(faults.delay(0.2), on="Scan", times=1000)
    there.lost()
    process = there.program.start("failover", ORDERS, "--region", EAST, *there.program.to)
    seen: set[tuple[Any, ...]] = set()
    scanning = 0
    for look in looks(there):
        if look:
            seen.add(look)
            scanning += look == old and there.other.calls.count("Scan") > 1
        if process.poll() is not None:
            break
    assert ended(process).code == 0
    seen.add(tuple(map(int, there.sql(LOOK)[0])))
    assert seen == {old, new}
    assert scanning, "nobody looked while it was read"
    there.region = EAST
    there.assert_equal()
