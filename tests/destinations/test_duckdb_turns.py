"""Several tables of one process in one DuckDB file: whose turn it is, and who gives up when."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from threading import Event, Thread, main_thread

import pyarrow as pa
import pytest

from connector.core.rows import schema_of
from connector.core.schema import join_all
from connector.core.state import Load
from connector.destinations.duckdb.file import DuckDBDestination
from connector.destinations.duckdb.session import connection as duckdb_connection
from connector.destinations.duckdb.session.instance import Instance, Opened
from connector.errors import Busy, ConnectorError
from tests.rigs import duckdb_file

from .items import A, B
from .story import EPOCH, SEGMENT, Story, put

PATIENCE = 30.0


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "warehouse.duckdb"


def story(path: Path, table: str, lock_timeout: float = 0.2) -> Story:
    """A table with a plan."""
    told = Story(DuckDBDestination(path, lock_timeout=lock_timeout), table=table, target=table)
    told.plan()
    return told


def waiting(path: Path) -> int:
    """How many of this process wait for the file."""
    return len(duckdb_connection._gates[os.path.realpath(path)].waiting)


def until(condition) -> None:
    """Waits for a condition."""
    for _ in range(int(PATIENCE / 0.01)):
        if condition():
            return
        Event().wait(0.01)
    raise AssertionError("it never came to that")


def test_a_commit_waits_for_the_long_load_of_another_table(path, monkeypatch):
    """However long that takes: the patience of `lock_timeout` is for other processes."""
    orders, others = story(path, "orders"), story(path, "others")
    loading, go_on = Event(), Event()
    page = orders.page(A)
    whole = Load(
        table=orders.table,
        generation=orders.generation,
        plan_id=orders.plan_id,
        schema=join_all([schema_of(page.schema)]),
        partitions=[SEGMENT],
        scanned_until=EPOCH,
    )

    def rows() -> Iterator[pa.Table]:
        loading.set()
        assert go_on.wait(PATIENCE)
        yield page

    load = Thread(target=orders.destination.load, args=[whole, rows(), []])
    commit = Thread(target=others.tail, args=[put(A)])
    load.start()
    assert loading.wait(PATIENCE)
    commit.start()
    # Longer than the patience with other processes.
    commit.join(0.5)
    assert commit.is_alive() and waiting(path) == 1
    go_on.set()
    for thread in (load, commit):
        thread.join(PATIENCE)
    orders.shows(A)
    others.shows(A)


def test_whoever_came_first_is_first(path):
    """A tail that commits without a pause never keeps another table out."""
    story(path, "orders")
    file = DuckDBDestination(path)._file
    order: list[int] = []

    def enter(number: int) -> None:
        with file.open(read_only=number == 3):
            order.append(number)

    threads = [Thread(target=enter, args=[number]) for number in range(6)]
    with file.open():
        for count, thread in enumerate(threads, start=1):
            thread.start()
            until(lambda count=count: waiting(path) == count)
    for thread in threads:
        thread.join(PATIENCE)
    assert order == list(range(6))


def test_who_waited_behind_another_has_waited_for_the_file_too(path):
    tables = [story(path, name) for name in ("orders", "others", "zebras")]
    errors: list[ConnectorError] = []

    def commit(table: Story) -> None:
        try:
            table.tail(put(A))
        except ConnectorError as error:
            errors.append(error)

    with duckdb_file.held(path) as holder:
        threads = [Thread(target=commit, args=[table]) for table in tables]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE)
    assert [type(error).__name__ for error in errors] == ["FileHeld"] * 3
    assert all(f"process {holder} " in error.message for error in errors)


def test_who_still_reads_rows_cannot_write(path):
    orders = story(path, "orders")
    orders.tail(put(A))
    rows = orders.destination.rows("orders")
    next(rows)
    waits = Thread(target=story, args=[path, "others"])
    waits.start()
    until(lambda: waiting(path) == 1)
    # It reads on, although somebody waits to write.
    assert orders.state().commit == 2
    with pytest.raises(Busy):
        orders.tail(put(A))
    rows.close()
    waits.join(PATIENCE)
    assert sorted(orders.destination.tables()) == ["orders", "others"]


def test_one_that_is_interrupted_while_it_waits_keeps_nobody_waiting(path):
    orders = story(path, "orders")
    gate = duckdb_connection._gates[os.path.realpath(path)]
    before = signal.signal(signal.SIGUSR1, signal.default_int_handler)

    def interrupt() -> None:
        until(lambda: gate.waiting)
        signal.pthread_kill(main_thread().ident, signal.SIGUSR1)

    interrupting = Thread(target=interrupt)
    try:
        with gate.changed:
            gate.writing = True
        interrupting.start()
        with pytest.raises(KeyboardInterrupt):
            orders.destination.read("orders")
    finally:
        interrupting.join()
        signal.signal(signal.SIGUSR1, before)
        with gate.changed:
            gate.writing = False
            gate.changed.notify_all()
    reading = Thread(target=orders.destination.read, args=["orders"], daemon=True)
    reading.start()
    reading.join(PATIENCE)
    assert not reading.is_alive()


def test_reads_in_a_row_share_one_opening(path, monkeypatch):
    orders, others = story(path, "orders"), story(path, "others")
    orders.tail(put(A))
    opened, shared = Instance.open, []

    def noted(instance: Instance, read_only: bool) -> Opened:
        shared.append(not instance.idle)
        return opened(instance, read_only)

    monkeypatch.setattr(Instance, "open", noted)
    with orders.destination.reading():
        assert others.destination.tables() == ["orders", "others"]
        assert others.destination.read("orders").table == "orders"
        assert orders.destination.count("orders") == 1
        with pytest.raises(Busy):
            orders.tail(put(B))
    assert shared == [False, True, True, True]
    orders.tail(put(B))
    orders.shows(A, B)


def test_without_a_file_there_is_nothing_to_share(path):
    destination = DuckDBDestination(path)
    with destination.reading():
        assert destination.tables() == []
    assert not path.exists()
