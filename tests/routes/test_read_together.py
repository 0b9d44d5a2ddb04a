"""A reader of all targets in one transaction finds each item exactly once, under load."""

import json
import random
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from subprocess import PIPE, Popen
from threading import Event, Thread
from typing import Any

import pytest
from adbc_driver_postgresql import dbapi

from connector.stop import Stop
from tests.rigs.combinations import amount

from .routed import Routed, order

pytestmark = pytest.mark.by_turns("url")

ITEMS = 40
READS = amount(60, by_turns=20)


@contextmanager
def followed(replica: Routed) -> Iterator[list[BaseException]]:
    """While the block runs, a run follows the table and a writer changes items' routes."""
    over, failed = Event(), list[BaseException]()
    run = replica.run(Stop(over.is_set, over.wait))

    def follow() -> None:
        try:
            run.sync(lambda tail: over.is_set(), lasts=True)
        except BaseException as error:
            if not over.is_set():
                failed.append(error)

    def write() -> None:
        drawn = random.Random(5)
        while not over.wait(0.005):
            replica.model.put(order(drawn.randrange(ITEMS), drawn.choice((1, 2, 3))))

    threads = [Thread(target=follow), Thread(target=write)]
    for thread in threads:
        thread.start()
    try:
        yield failed
    finally:
        over.set()
        for thread in threads:
            thread.join()


def test_no_item_is_in_two_targets_or_in_none(replica: Routed) -> None:
    replica.model.load([order(n, 1 + n % 2) for n in range(ITEMS)])
    replica.settings["tail.commit_seconds"] = 0.05
    replica.sync()
    before = replica.state().commit
    wanted = Counter((f"C#{n}", f"O#{n}") for n in range(ITEMS))
    seen: set[tuple[int, ...]] = set()
    with reading(replica) as read, followed(replica) as failed:
        reads = 0
        while reads < READS or replica.state().commit < before + 5:
            assert not failed, failed
            found = read()
            reads += 1
            assert Counter(row for rows in found for row in rows) == wanted
            seen.add(tuple(map(len, found)))
    assert len(seen) > 1, "no item has changed its route between two reads"
    replica.sync()
    replica.assert_divided()


@contextmanager
def reading(replica: Routed) -> Iterator[Callable[[], list[list[tuple[Any, ...]]]]]:
    """Reads the keys in each target, one after the other in one transaction."""
    if replica.database:
        with dbapi.connect(replica.database) as connection, connection.cursor() as cursor:

            def of_postgres() -> list[list[tuple[Any, ...]]]:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
                found = [keys_of(cursor, name) for name in replica.targets]
                connection.rollback()
                return found

            yield of_postgres
        return
    command = [sys.executable, "-m", "tests.routes.reader", str(replica.file), *replica.targets]
    with Popen(command, stdin=PIPE, stdout=PIPE, text=True) as process:
        assert process.stdin and process.stdout
        sent, answers = process.stdin, process.stdout

        def of_duckdb() -> list[list[tuple[Any, ...]]]:
            print(file=sent, flush=True)
            return [[tuple(row) for row in rows] for rows in json.loads(answers.readline())]

        yield of_duckdb
        sent.close()


def keys_of(cursor: Any, name: str) -> list[tuple[Any, ...]]:
    """The keys of one target."""
    cursor.execute(f"SELECT pk, sk FROM {name}")
    return [tuple(row) for row in cursor.fetchall()]
